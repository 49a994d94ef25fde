/* json.h - write JSON, one key per line
 *
 *     json_object_open(&json, NULL);
 *     json_u64(&json, "messages", 12);
 *     json_object_close(&json);
 */
#ifndef WEIR_TOOLS_JSON_H
#define WEIR_TOOLS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
	JSON_DEPTH_MAX = 16,
};

/**
 * struct json - the state of the writer
 * @file:       borrowed; its error flag says whether all was written
 * @has_member: shape [depth]: a comma goes before the next member
 */
struct json {
	FILE *file;
	unsigned depth;
	bool has_member[JSON_DEPTH_MAX];
};

/* @key is NULL for the outermost value and for members of an array. */
void json_object_open(struct json *json, const char *key);
void json_object_close(struct json *json);
void json_array_open(struct json *json, const char *key);
void json_array_close(struct json *json);
void json_text(struct json *json, const char *key, const char *text);
void json_u64(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);

/** json_double() - six digits after the point; null if not finite. */
void json_double(struct json *json, const char *key, double value);

#endif
