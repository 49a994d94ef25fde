#include "frame_slow.h"

#include <errno.h>
#include <string.h>

/* A length of 10 bytes cannot overflow 128 bits. */
typedef __uint128_t wide;

static size_t slow_fixed_bytes(enum weir_frame_prefix prefix)
{
	switch (prefix) {
	case WEIR_FRAME_U8:
		return 1;
	case WEIR_FRAME_U16:
		return 2;
	case WEIR_FRAME_U32:
		return 4;
	case WEIR_FRAME_U64:
		return 8;
	default:
		return 0;
	}
}

static bool slow_prefix_is_whole(const struct frame_slow *slow)
{
	const size_t fixed = slow_fixed_bytes(slow->format->prefix);
	const uint8_t last = slow->prefix[slow->prefix_bytes - 1];

	if (fixed > 0)
		return slow->prefix_bytes == fixed;
	return last < 128 || slow->prefix_bytes == WEIR_FRAME_PREFIX_BYTES_MAX;
}

/* Digits, the least significant first. */
static wide slow_length(const struct frame_slow *slow)
{
	const bool is_varint = slow->format->prefix == WEIR_FRAME_VARINT;
	const bool is_little = is_varint || slow->format->is_little_endian;
	const wide base = is_varint ? 128 : 256;
	const size_t count = slow->prefix_bytes;
	wide worth = 1;
	wide length = 0;

	for (size_t i = 0; i < count; i++) {
		const uint8_t byte =
			slow->prefix[is_little ? i : count - 1 - i];
		length += worth * (is_varint ? byte % 128 : byte);
		worth *= base;
	}
	return length;
}

static size_t slow_varint(wide value, uint8_t *out)
{
	size_t count = 0;
	do {
		const uint8_t more = value >= 128 ? 128 : 0;
		out[count++] = (uint8_t)(more + (uint8_t)(value % 128));
		value /= 128;
	} while (value > 0);
	return count;
}

/* True if the varint is the valid one for its payload: of all widths, the first
 * that encodes its own length. */
static bool slow_varint_is_right(const struct frame_slow *slow, wide payload)
{
	for (size_t width = 1; width <= WEIR_FRAME_PREFIX_BYTES_MAX; width++) {
		uint8_t bytes[2 * WEIR_FRAME_PREFIX_BYTES_MAX];
		const wide length =
			payload + (slow->format->counts_header ? width : 0);
		if (slow_varint(length, bytes) > width)
			continue;
		return width == slow->prefix_bytes &&
		       slow_varint(length, bytes) == width &&
		       memcmp(bytes, slow->prefix, width) == 0;
	}
	return false;
}

static wide slow_limit(const struct weir_frame_format *format)
{
	const wide highest = (wide)SIZE_MAX - WEIR_FRAME_PREFIX_BYTES_MAX;
	if (format->payload_bytes_max == 0)
		return (wide)1 << 20;
	if (format->payload_bytes_max > highest)
		return highest;
	return format->payload_bytes_max;
}

static int slow_prefix_ends(struct frame_slow *slow)
{
	wide payload = slow_length(slow);

	if (payload > UINT64_MAX)
		return -EBADMSG;
	if (slow->prefix[slow->prefix_bytes - 1] >= 128 &&
	    slow->format->prefix == WEIR_FRAME_VARINT)
		return -EBADMSG; /* an eleventh byte would follow */
	if (slow->format->counts_header) {
		if (payload < slow->prefix_bytes)
			return -EBADMSG;
		payload -= slow->prefix_bytes;
	}
	if (slow->format->prefix == WEIR_FRAME_VARINT &&
	    !slow_varint_is_right(slow, payload))
		return -EBADMSG;
	if (payload > slow_limit(slow->format))
		return -EMSGSIZE;
	slow->has_payload = true;
	slow->payload_bytes = slow->payload_left = (uint64_t)payload;
	return -EAGAIN;
}

int frame_slow_byte(struct frame_slow *slow, uint8_t byte)
{
	if (slow->has_payload && slow->payload_left == 0) {
		slow->has_payload = false; /* the next frame */
		slow->prefix_bytes = 0;
	}
	if (slow->has_payload) {
		slow->payload_left--;
	} else {
		slow->prefix[slow->prefix_bytes++] = byte;
		if (!slow_prefix_is_whole(slow))
			return -EAGAIN;
		const int err = slow_prefix_ends(slow);
		if (err != -EAGAIN)
			return err;
	}
	return slow->payload_left == 0 ? 0 : -EAGAIN;
}
