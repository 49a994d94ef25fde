/* fuzz_json.c - the JSON writer's output, read by a strict reader
 *
 * The input is a sequence of json.h's calls, with texts of any bytes. The
 * output must be JSON that reads back as the same calls: brackets, keys, texts
 * (a byte that is not UTF-8 becomes U+FFFD), numbers, booleans.
 */
#include "../../tools/lib/json.h"
#include "../tools/json_read.h"
#include "fuzz_input.h"
#include "fuzz_replay.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
	TRACE_BYTES = 65536,
	TEXT_BYTES_MAX = 24,
	CALLS_MAX = 200,
};

/* Kind and value of each part, one after the other. */
struct trace {
	size_t used;
	char bytes[TRACE_BYTES];
};

/* Both sides, 16 KiB of each at most. */
static struct trace want;
static struct trace got;

/* A run of bytes above 127 counts as one '?': the reader checks that text,
 * because it knows UTF-8. */
static void trace_add(struct trace *trace, char kind, const void *bytes,
		      size_t byte_count)
{
	const uint8_t *at = bytes;
	bool was_high = false;

	assert(trace->used + byte_count + 2 < sizeof(trace->bytes));
	trace->bytes[trace->used++] = kind;
	for (size_t i = 0; i < byte_count; i++) {
		if (at[i] < 0x80)
			trace->bytes[trace->used++] = (char)at[i];
		else if (!was_high)
			trace->bytes[trace->used++] = '?';
		was_high = at[i] >= 0x80;
	}
	trace->bytes[trace->used++] = '\n';
}

static void trace_part(char kind, const uint8_t *bytes, size_t byte_count,
		       void *ctx)
{
	trace_add(ctx, kind, bytes, byte_count);
}

static const char *json_input_text(struct fuzz_input *input, char *out)
{
	const size_t count = fuzz_u8(input) % TEXT_BYTES_MAX;
	fuzz_fill(input, out, count);
	out[count] = '\0';
	return out;
}

struct writer {
	struct json json;
	struct fuzz_input *input;
	char brackets[JSON_DEPTH_MAX]; /* the closing brackets */
};

/* NULL in an array and for the outermost value. */
static const char *writer_key(struct writer *writer, char *out)
{
	const unsigned depth = writer->json.depth;

	if (depth == 0 || writer->brackets[depth - 1] == ']')
		return NULL;
	const char *key = json_input_text(writer->input, out);
	trace_add(&want, 'k', key, strlen(key));
	return key;
}

static void writer_open(struct writer *writer, bool is_array)
{
	char text[TEXT_BYTES_MAX];
	const char *key = writer_key(writer, text);

	trace_add(&want, is_array ? '[' : '{', NULL, 0);
	writer->brackets[writer->json.depth] = is_array ? ']' : '}';
	if (is_array)
		json_array_open(&writer->json, key);
	else
		json_object_open(&writer->json, key);
}

static void writer_close(struct writer *writer)
{
	const char bracket = writer->brackets[writer->json.depth - 1];

	trace_add(&want, bracket, NULL, 0);
	if (bracket == ']')
		json_array_close(&writer->json);
	else
		json_object_close(&writer->json);
}

static void writer_text(struct writer *writer)
{
	char key_text[TEXT_BYTES_MAX];
	char text[TEXT_BYTES_MAX];
	const char *key = writer_key(writer, key_text);

	(void)json_input_text(writer->input, text);
	trace_add(&want, 's', text, strlen(text));
	json_text(&writer->json, key, text);
}

static void writer_double(struct writer *writer)
{
	char key_text[TEXT_BYTES_MAX];
	char text[400]; /* the longest has 309 digits before the point */
	const char *key = writer_key(writer, key_text);
	const uint64_t bits = fuzz_u64(writer->input);
	double value;

	memcpy(&value, &bits, sizeof(value));
	if (__builtin_isfinite(value)) {
		(void)snprintf(text, sizeof(text), "%.6f", value);
		trace_add(&want, 'n', text, strlen(text));
	} else {
		trace_add(&want, 'l', "null", 4);
	}
	json_double(&writer->json, key, value);
}

static void writer_number(struct writer *writer)
{
	char key_text[TEXT_BYTES_MAX];
	char text[32];
	const char *key = writer_key(writer, key_text);
	const uint64_t value = fuzz_u64(writer->input);

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	trace_add(&want, 'n', text, strlen(text));
	json_u64(&writer->json, key, value);
}

static void writer_truth(struct writer *writer)
{
	char key_text[TEXT_BYTES_MAX];
	const char *key = writer_key(writer, key_text);
	const bool value = fuzz_u8(writer->input) % 2 == 1;

	trace_add(&want, 'l', value ? "true" : "false", value ? 4 : 5);
	json_bool(&writer->json, key, value);
}

static void writer_call(struct writer *writer)
{
	const uint8_t choice = fuzz_u8(writer->input) % 8;

	switch (choice) {
	case 0:
	case 1:
		if (writer->json.depth < JSON_DEPTH_MAX)
			writer_open(writer, choice == 1);
		return;
	case 2:
		if (writer->json.depth > 1)
			writer_close(writer);
		return;
	case 3:
		writer_number(writer);
		return;
	case 4:
		writer_truth(writer);
		return;
	case 5:
		writer_double(writer);
		return;
	default:
		writer_text(writer);
	}
}

int wi_fuzz_json_one(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct writer writer = { .input = &input };
	char *text = NULL;
	size_t byte_count = 0;

	want.used = got.used = 0;
	writer.json.file = open_memstream(&text, &byte_count);
	assert(writer.json.file != NULL);
	writer_open(&writer, fuzz_u8(&input) % 2 == 1);
	for (int i = 0; i < CALLS_MAX && input.left_bytes > 0; i++)
		writer_call(&writer);
	while (writer.json.depth > 0)
		writer_close(&writer);
	const int err = fclose(writer.json.file);
	assert(err == 0);
	(void)err;
	const bool is_json =
		json_strict_read(text, byte_count, trace_part, &got);
	assert(is_json);
	(void)is_json;
	assert(got.used == want.used &&
	       memcmp(got.bytes, want.bytes, want.used) == 0);
	free(text);
	return 0;
}
