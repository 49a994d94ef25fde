#include "json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

static void json_quoted(FILE *file, const char *text)
{
	(void)fputc('"', file);
	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;
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
