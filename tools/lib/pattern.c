#include "pattern.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Slices start anywhere in this range, so a wrong slice of 8 bytes or more
 * matches by accident once in a quarter of a million. */
#define OFFSET_COUNT ((size_t)256 * 1024)

/* splitmix64: a bijection whose every output bit depends on every input bit. */
static uint64_t mix(uint64_t value)
{
	value += UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return value ^ (value >> 31);
}

int pattern_open(struct pattern *pattern)
{
	assert(pattern->payload_bytes_min <= pattern->payload_bytes_max);

	size_t word_count = (OFFSET_COUNT + pattern->payload_bytes_max) / 8 + 1;
	uint64_t *words = calloc(word_count, sizeof(*words));
	if (words == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < word_count; i++)
		words[i] = mix(i);
	pattern->table = (uint8_t *)words;
	pattern->table_bytes = word_count * 8;
	return 0;
}

void pattern_close(struct pattern *pattern)
{
	free(pattern->table);
	pattern->table = NULL;
}

/* proto/frame.c has the same function. It is repeated on purpose: a checker
 * that shares code with what it checks accepts every mistake in that code. */
static size_t prefix_write(const struct weir_frame_format *format,
			   uint64_t length, uint8_t *out)
{
	static const uint8_t widths[WEIR_FRAME_PREFIX_COUNT] = {
		[WEIR_FRAME_U8] = 1,
		[WEIR_FRAME_U16] = 2,
		[WEIR_FRAME_U32] = 4,
		[WEIR_FRAME_U64] = 8,
	};
	size_t width = widths[format->prefix];

	if (format->prefix == WEIR_FRAME_VARINT) {
		for (; length > 0x7f; length >>= 7)
			out[width++] = (uint8_t)(length | 0x80);
		out[width++] = (uint8_t)length;
		return width;
	}
	for (size_t i = 0; i < width; i++, length >>= 8)
		out[format->is_little_endian ? i : width - 1 - i] =
			(uint8_t)length;
	return width;
}

void pattern_message(const struct pattern *pattern, uint64_t conn_id,
		     uint64_t sequence, struct pattern_message *out_message)
{
	uint64_t hash = mix(mix(conn_id) ^ sequence);
	size_t spread =
		pattern->payload_bytes_max - pattern->payload_bytes_min + 1;

	out_message->payload = pattern->table + hash % OFFSET_COUNT;
	out_message->payload_bytes =
		pattern->payload_bytes_min + (hash >> 32) % spread;
	out_message->prefix_bytes =
		pattern->is_raw ? 0
				: prefix_write(&pattern->format,
					       out_message->payload_bytes,
					       out_message->prefix);
}

void pattern_write(const struct pattern_message *message, uint8_t *out)
{
	memcpy(out, message->prefix, message->prefix_bytes);
	memcpy(out + message->prefix_bytes, message->payload,
	       message->payload_bytes);
}

/* How many bytes are the same at the start of both. */
static size_t same_bytes(const uint8_t *one, const uint8_t *other,
			 size_t byte_count)
{
	if (memcmp(one, other, byte_count) == 0)
		return byte_count;
	size_t same = 0;
	while (one[same] == other[same])
		same++;
	return same;
}

size_t pattern_match(const struct pattern_message *message, size_t offset,
		     const uint8_t *bytes, size_t byte_count)
{
	size_t matched = 0;

	assert(offset <= pattern_wire_bytes(message));
	if (offset < message->prefix_bytes) {
		size_t left = message->prefix_bytes - offset;
		size_t want = left < byte_count ? left : byte_count;
		matched = same_bytes(message->prefix + offset, bytes, want);
		if (matched < want || matched == byte_count)
			return matched;
		offset += matched;
	}
	size_t at = offset - message->prefix_bytes;
	size_t left = message->payload_bytes - at;
	size_t want = left < byte_count - matched ? left : byte_count - matched;
	return matched +
	       same_bytes(message->payload + at, bytes + matched, want);
}
