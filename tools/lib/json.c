#include "json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

/* Bytes of the UTF-8 sequence above ASCII at @text: 2 to 4; 0 if it is not one.
 * The limits of the second byte exclude sequences that are too long,
 * surrogates, and values above U+10FFFF. Source: RFC 3629, 4. */
static size_t json_utf8_bytes(const unsigned char *text)
{
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t count = 2;

	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	if (text[0] >= 0xe0)
		count = text[0] >= 0xf0 ? 4 : 3;
	if (text[0] == 0xe0)
		low = 0xa0;
	if (text[0] == 0xed)
		high = 0x9f;
	if (text[0] == 0xf0)
		low = 0x90;
	if (text[0] == 0xf4)
		high = 0x8f;
	if (text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < count; i++)
		if ((text[i] & 0xc0) != 0x80) /* the end of the text too */
			return 0;
	return count;
}

/* JSON is UTF-8 (RFC 8259, 8.1); each byte that is not becomes U+FFFD. */
static const char *json_above_ascii(FILE *file, const char *text)
{
	const size_t count = json_utf8_bytes((const unsigned char *)text);

	if (count == 0) {
		(void)fputs("\\ufffd", file);
		return text + 1;
	}
	(void)fwrite(text, 1, count, file);
	return text + count;
}

static void json_quoted(FILE *file, const char *text)
{
	(void)fputc('"', file);
	while (*text != '\0') {
		unsigned char byte = (unsigned char)*text;
		if (byte >= 0x80) {
			text = json_above_ascii(file, text);
			continue;
		}
		text++;
		if (byte == '"' || byte == '\\')
			(void)fprintf(file, "\\%c", byte);
		else if (byte < 0x20)
			(void)fprintf(file, "\\u%04x", byte);
		else
			(void)fputc(byte, file);
	}
	(void)fputc('"', file);
}

static void json_indent(const struct json *json)
{
	(void)fputc('\n', json->file);
	for (unsigned i = 0; i < json->depth; i++)
		(void)fputs("  ", json->file);
}

/* Everything that comes before a value: comma, new line, key. */
static void json_member(struct json *json, const char *key)
{
	if (json->depth > 0) {
		bool *has_member = &json->has_member[json->depth - 1];
		if (*has_member)
			(void)fputc(',', json->file);
		*has_member = true;
		json_indent(json);
	}
	if (key != NULL) {
		json_quoted(json->file, key);
		(void)fputs(": ", json->file);
	}
}

static void json_open(struct json *json, const char *key, char bracket)
{
	assert(json->depth < JSON_DEPTH_MAX);

	json_member(json, key);
	(void)fputc(bracket, json->file);
	json->has_member[json->depth++] = false;
}

static void json_close(struct json *json, char bracket)
{
	assert(json->depth > 0);

	json->depth--;
	if (json->has_member[json->depth])
		json_indent(json);
	(void)fputc(bracket, json->file);
	if (json->depth == 0)
		(void)fputc('\n', json->file);
}

void json_object_open(struct json *json, const char *key)
{
	json_open(json, key, '{');
}

void json_object_close(struct json *json)
{
	json_close(json, '}');
}

void json_array_open(struct json *json, const char *key)
{
	json_open(json, key, '[');
}

void json_array_close(struct json *json)
{
	json_close(json, ']');
}

void json_text(struct json *json, const char *key, const char *text)
{
	json_member(json, key);
	json_quoted(json->file, text);
}

void json_u64(struct json *json, const char *key, uint64_t value)
{
	json_member(json, key);
	(void)fprintf(json->file, "%" PRIu64, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	json_member(json, key);
	(void)fputs(value ? "true" : "false", json->file);
}

void json_double(struct json *json, const char *key, double value)
{
	json_member(json, key);
	if (isfinite(value))
		(void)fprintf(json->file, "%.6f", value);
	else
		(void)fputs("null", json->file);
}
