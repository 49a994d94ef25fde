#include "json_read.h"

#include <string.h>

enum {
	DEPTH_MAX = 64,
	STRING_BYTES_MAX = 8192,
};

struct reader {
	const char *at;
	const char *end;
	void (*on_part)(char kind, const uint8_t *bytes, size_t byte_count,
			void *ctx);
	void *ctx;
	unsigned depth;
};

static bool read_value(struct reader *reader);

/* The next byte; '\0' at the end, which no rule accepts. */
static char peek(const struct reader *reader)
{
	return reader->at < reader->end ? *reader->at : '\0';
}

static bool take(struct reader *reader, char byte)
{
	if (peek(reader) != byte || byte == '\0')
		return false;
	reader->at++;
	return true;
}

static void skip_space(struct reader *reader)
{
	while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) &&
	       *reader->at != '\0')
		reader->at++;
}

/* Length of the UTF-8 sequence at @bytes; 0: invalid. */
static size_t utf8_bytes(const uint8_t *bytes, size_t left)
{
	const size_t count = bytes[0] < 0x80    ? 1
			     : bytes[0] >= 0xf0 ? 4
			     : bytes[0] >= 0xe0 ? 3
						: 2;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t code = count == 1 ? bytes[0] : bytes[0] & (0x7fu >> count);

	if (count > left || (bytes[0] >= 0x80 && bytes[0] < 0xc0) ||
	    bytes[0] > 0xf7)
		return 0;
	for (size_t i = 1; i < count; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (bytes[i] & 0x3fu);
	}
	if (code < least[count] || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return 0;
	return count;
}

static bool read_hex(struct reader *reader, uint32_t *out_value)
{
	uint32_t value = 0;
	for (int i = 0; i < 4; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *digit = strchr(digits, peek(reader) | 0x20);
		if (digit == NULL || *digit == '\0')
			return false;
		value = value * 16 + (uint32_t)(digit - digits);
		reader->at++;
	}
	*out_value = value;
	return true;
}

/* After the backslash. Only what the writer uses: up to 16 bits, no pairs. */
static bool read_escape(struct reader *reader, uint8_t *out, size_t *used)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	uint32_t code;

	if (take(reader, 'u')) {
		if (!read_hex(reader, &code) ||
		    (code >= 0xd800 && code < 0xe000))
			return false;
		if (code < 0x80) {
			out[(*used)++] = (uint8_t)code;
			return true;
		}
		if (code >= 0x800)
			out[(*used)++] = (uint8_t)(0xe0 | code >> 12);
		out[(*used)++] =
			(uint8_t)(code >= 0x800 ? 0x80 | (code >> 6 & 0x3f)
						: 0xc0 | code >> 6);
		out[(*used)++] = (uint8_t)(0x80 | (code & 0x3f));
		return true;
	}
	const char *name = strchr(names, peek(reader));
	if (name == NULL || *name == '\0')
		return false;
	reader->at++;
	out[(*used)++] = (uint8_t)values[name - names];
	return true;
}

static bool read_string(struct reader *reader, char kind)
{
	uint8_t value[STRING_BYTES_MAX];
	size_t used = 0;

	if (!take(reader, '"'))
		return false;
	while (!take(reader, '"')) {
		const size_t left = (size_t)(reader->end - reader->at);
		if (left == 0 || used + 4 > sizeof(value) ||
		    (uint8_t)*reader->at < 0x20)
			return false;
		if (take(reader, '\\')) {
			if (!read_escape(reader, value, &used))
				return false;
			continue;
		}
		const size_t count =
			utf8_bytes((const uint8_t *)reader->at, left);
		if (count == 0)
			return false;
		memcpy(value + used, reader->at, count);
		used += count;
		reader->at += count;
	}
	reader->on_part(kind, value, used, reader->ctx);
	return true;
}

static size_t skip_digits(struct reader *reader)
{
	const char *start = reader->at;
	while (peek(reader) >= '0' && peek(reader) <= '9')
		reader->at++;
	return (size_t)(reader->at - start);
}

static bool read_number(struct reader *reader)
{
	const char *start = reader->at;

	(void)take(reader, '-');
	if (!take(reader, '0') && skip_digits(reader) == 0)
		return false;
	if (take(reader, '.') && skip_digits(reader) == 0)
		return false;
	if (take(reader, 'e') || take(reader, 'E')) {
		if (!take(reader, '+'))
			(void)take(reader, '-');
		if (skip_digits(reader) == 0)
			return false;
	}
	reader->on_part('n', (const uint8_t *)start,
			(size_t)(reader->at - start), reader->ctx);
	return true;
}

static bool read_word(struct reader *reader, const char *word)
{
	const size_t count = strlen(word);
	if ((size_t)(reader->end - reader->at) < count ||
	    memcmp(reader->at, word, count) != 0)
		return false;
	reader->at += count;
	reader->on_part('l', (const uint8_t *)word, count, reader->ctx);
	return true;
}

/* After its opening bracket. */
static bool read_members(struct reader *reader, bool is_object)
{
	const char close = is_object ? '}' : ']';

	if (reader->depth == DEPTH_MAX)
		return false;
	reader->depth++;
	reader->on_part(is_object ? '{' : '[', NULL, 0, reader->ctx);
	skip_space(reader);
	for (bool is_first = true; !take(reader, close); is_first = false) {
		if (!is_first && !take(reader, ','))
			return false;
		skip_space(reader);
		if (is_object) {
			if (!read_string(reader, 'k'))
				return false;
			skip_space(reader);
			if (!take(reader, ':'))
				return false;
		}
		if (!read_value(reader))
			return false;
		skip_space(reader);
	}
	reader->on_part(close, NULL, 0, reader->ctx);
	reader->depth--;
	return true;
}

static bool read_value(struct reader *reader)
{
	skip_space(reader);
	if (take(reader, '{'))
		return read_members(reader, true);
	if (take(reader, '['))
		return read_members(reader, false);
	if (peek(reader) == '"')
		return read_string(reader, 's');
	if (peek(reader) == '-' || (peek(reader) >= '0' && peek(reader) <= '9'))
		return read_number(reader);
	return read_word(reader, "true") || read_word(reader, "false") ||
	       read_word(reader, "null");
}

bool json_strict_read(const char *text, size_t byte_count,
		      void (*on_part)(char kind, const uint8_t *bytes,
				      size_t byte_count, void *ctx),
		      void *ctx)
{
	struct reader reader = {
		.at = text,
		.end = text + byte_count,
		.on_part = on_part,
		.ctx = ctx,
	};

	if (!read_value(&reader))
		return false;
	skip_space(&reader);
	return reader.at == reader.end;
}
