#include "tape_text.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum { FILE_BYTES_MAX = 4 * WEIR_TAPE_BYTES_MAX, PER_LINE = 24 };

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static const char *line_end(const char *at, const char *end)
{
	const char *stop = memchr(at, '\n', (size_t)(end - at));
	return stop != NULL ? stop : end;
}

static bool is_text(const char *at, const char *end)
{
	for (; at < end; at++) {
		if (*at == '#')
			at = line_end(at, end);
		else if (digit_of(*at) < 0 && isspace((unsigned char)*at) == 0)
			return false;
		if (at == end)
			break;
	}
	return true;
}

/* "# key: value" into @out. */
static void note_read(const char *at, const char *stop, const char *key,
		      char *out, size_t out_bytes)
{
	const size_t key_bytes = strlen(key);
	if ((size_t)(stop - at) <= key_bytes || memcmp(at, key, key_bytes) != 0)
		return;
	size_t bytes = (size_t)(stop - at) - key_bytes;
	if (bytes >= out_bytes)
		bytes = out_bytes - 1;
	memcpy(out, at + key_bytes, bytes);
	out[bytes] = '\0';
}

static int text_read(const char *at, const char *end,
		     struct sim_tape_text *text)
{
	int high = -1;
	for (; at < end; at++) {
		if (*at == '#') {
			const char *stop = line_end(at, end);
			note_read(at, stop, "# story: ", text->story,
				  sizeof(text->story));
			note_read(at, stop, "# rule: ", text->rule,
				  sizeof(text->rule));
			at = stop;
			if (at == end)
				break;
			continue;
		}
		const int digit = digit_of(*at);
		if (digit < 0 && high >= 0)
			return -EINVAL;
		if (digit < 0)
			continue;
		if (high < 0) {
			high = digit;
			continue;
		}
		if (text->byte_count == sizeof(text->bytes))
			return -EFBIG;
		text->bytes[text->byte_count++] = (uint8_t)(high * 16 + digit);
		high = -1;
	}
	return high >= 0 ? -EINVAL : 0;
}

int sim_tape_text_load(const char *file, struct sim_tape_text *out_text)
{
	static char all[FILE_BYTES_MAX];
	memset(out_text, 0, sizeof(*out_text));
	FILE *in = fopen(file, "rb");
	if (in == NULL)
		return -errno;
	const size_t count = fread(all, 1, sizeof(all), in);
	(void)fclose(in); /* it was read only */
	if (is_text(all, all + count))
		return text_read(all, all + count, out_text);
	if (count > sizeof(out_text->bytes))
		return -EFBIG;
	memcpy(out_text->bytes, all, count);
	out_text->byte_count = count;
	return 0;
}

int sim_tape_text_parse(const char *text, struct sim_tape_text *out_text)
{
	const char *end = text + strlen(text);
	memset(out_text, 0, sizeof(*out_text));
	return is_text(text, end) ? text_read(text, end, out_text) : -EINVAL;
}

void sim_tape_text_print(const uint8_t *bytes, size_t byte_count, FILE *out)
{
	for (size_t i = 0; i < byte_count; i++)
		(void)fprintf(out, "%02x%c", bytes[i],
			      i % PER_LINE == PER_LINE - 1 ||
					      i + 1 == byte_count
				      ? '\n'
				      : ' ');
}

int sim_tape_text_save(const char *file, const struct sim_tape_text *text)
{
	FILE *out = fopen(file, "w");
	if (out == NULL)
		return -errno;
	if (text->story[0] != '\0')
		(void)fprintf(out, "# story: %s\n", text->story);
	if (text->rule[0] != '\0')
		(void)fprintf(out, "# rule: %s\n", text->rule);
	sim_tape_text_print(text->bytes, text->byte_count, out);
	const int err = ferror(out) != 0 ? -EIO : 0;
	return fclose(out) != 0 ? -EIO : err;
}
