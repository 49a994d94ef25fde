/* fuzz_frame.c - any bytes, cut into any pieces, in any format
 *
 *     +--------+-------+-------+------------+------+--------
 *     | prefix | flags | limit | tape_bytes | tape | stream
 *     +--------+-------+-------+------------+------+--------
 *       1 byte   1       1       1            n      the rest
 *
 * The tape cuts the stream: each of its bytes is the size of one piece, and the
 * tape repeats. An empty tape cuts byte by byte. The upper half of the flags
 * shifts the limit by 0 to 60 bits.
 *
 * Promises, each an assert:
 *   - the stream whole and the stream in pieces give the same frames and the
 *     same end, for a reader that retries on each piece and for one that waits
 *     for need_bytes;
 *   - a decoder that reads byte by byte (frame_slow.h) gives the same;
 *   - each decode agrees with a model written from the definition;
 *   - encoding the payload of a decoded frame gives its bytes back;
 *   - any size_t has an encoding that decodes to it, or has none.
 */
#include "../proto/frame_slow.h"
#include "fuzz_replay.h"
#include "proto/frame.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	HEAD_BYTES = 4,
	FLAG_LITTLE = 1,
	FLAG_COUNTED = 2,
	FLAG_LIMIT_TIMES_256 = 4,
	FLAG_LIMIT_NONE = 8,
	FLAGS_SHIFT = 4, /* of the limit: the flags above, times 4 */
	TAPE_BYTES_MAX = 16,
	PIECE_BYTES_MAX = 64,
};

/* The result of reading a stream, in a form that can be compared. */
struct fuzz_reading {
	size_t frame_count;
	size_t consumed_bytes;
	uint64_t digest; /* of the place of each frame and its payload */
	int err;         /* the error that ended it: never 0 */
	struct weir_frame last;
};

/* Bytes of a varint by definition: groups of 7 bits until the rest is 0. */
static size_t model_varint_bytes(uint64_t value)
{
	size_t byte_count = 1;

	while (value >= 128) {
		value /= 128;
		byte_count++;
	}
	return byte_count;
}

static size_t model_fixed_bytes(enum weir_frame_prefix prefix)
{
	switch (prefix) {
	case WEIR_FRAME_U8:
		return 1;
	case WEIR_FRAME_U16:
		return 2;
	case WEIR_FRAME_U32:
		return 4;
	default:
		return 8;
	}
}

/* The value of a complete prefix and its size; -EAGAIN or -EBADMSG. */
static int model_prefix(const struct weir_frame_format *format,
			const uint8_t *bytes, size_t byte_count,
			uint64_t *out_length, size_t *out_prefix_bytes)
{
	uint64_t length = 0;
	size_t size = 0;

	if (format->prefix != WEIR_FRAME_VARINT) {
		size = model_fixed_bytes(format->prefix);
		if (byte_count < size)
			return -EAGAIN;
		for (size_t i = 0; i < size; i++)
			length = length * 256 +
				 bytes[format->is_little_endian ? size - 1 - i
								: i];
		*out_length = length;
		*out_prefix_bytes = size;
		return 0;
	}

	while (size < byte_count && size < 10 && bytes[size] >= 128)
		size++;
	if (size == 10 || (size == 9 && byte_count > 9 && bytes[9] > 1))
		return -EBADMSG;
	if (size == byte_count)
		return -EAGAIN;
	for (size_t i = size + 1; i > 0; i--)
		length = length * 128 + bytes[i - 1] % 128;
	*out_length = length;
	*out_prefix_bytes = size + 1;
	return model_varint_bytes(length) == size + 1 ? 0 : -EBADMSG;
}

/* The correct result of decode, and the payload if the prefix is valid. */
static int model_decode(const struct weir_frame_format *format,
			const uint8_t *bytes, size_t byte_count,
			uint64_t *out_payload_bytes)
{
	uint64_t length;
	size_t prefix_bytes;
	size_t limit = format->payload_bytes_max;
	int err =
		model_prefix(format, bytes, byte_count, &length, &prefix_bytes);
	if (err < 0)
		return err;

	uint64_t payload_bytes = length;
	if (format->counts_header) {
		if (length < prefix_bytes)
			return -EBADMSG;
		payload_bytes = length - prefix_bytes;
		/* The narrowest prefix that can count itself is the valid
		 * one. */
		for (size_t i = 1; format->prefix == WEIR_FRAME_VARINT; i++) {
			if (model_varint_bytes(payload_bytes + i) > i)
				continue;
			if (i < prefix_bytes)
				return -EBADMSG;
			break;
		}
	}
	if (limit == 0)
		limit = WEIR_FRAME_PAYLOAD_BYTES_DEFAULT;
	if (limit > SIZE_MAX - WEIR_FRAME_PREFIX_BYTES_MAX)
		limit = SIZE_MAX - WEIR_FRAME_PREFIX_BYTES_MAX;
	if (payload_bytes > limit)
		return -EMSGSIZE;
	*out_payload_bytes = payload_bytes;
	return payload_bytes <= byte_count - prefix_bytes ? 0 : -EAGAIN;
}

/* Encodes again a frame that was just decoded. */
static void fuzz_check_encode(const struct weir_frame_format *format,
			      const uint8_t *bytes,
			      const struct weir_frame *frame)
{
	size_t prefix_bytes = frame->frame_bytes - frame->payload_bytes;
	uint8_t prefix[WEIR_FRAME_PREFIX_BYTES_MAX];

	assert(weir_frame_bytes(format, frame->payload_bytes) ==
	       frame->frame_bytes);
	/* No payload is written, so the room may be claimed and not exist. */
	assert(weir_frame_encode(format, prefix, frame->frame_bytes,
				 frame->payload_bytes) ==
	       prefix + prefix_bytes);
	assert(memcmp(prefix, bytes, prefix_bytes) == 0);
	assert(weir_frame_encode(format, prefix, frame->frame_bytes - 1,
				 frame->payload_bytes) == NULL);
}

static int fuzz_decode(const struct weir_frame_format *format,
		       const uint8_t *bytes, size_t byte_count,
		       struct weir_frame *out_frame)
{
	uint64_t want_payload_bytes = 0;
	int want = model_decode(format, bytes, byte_count, &want_payload_bytes);

	memset(out_frame, 0xa5, sizeof(*out_frame));
	int err = weir_frame_decode(format, bytes, byte_count, out_frame);
	assert(err == want);

	switch (err) {
	case 0:
		assert(out_frame->payload_bytes == want_payload_bytes);
		assert(out_frame->frame_bytes <= byte_count);
		assert(out_frame->payload + out_frame->payload_bytes ==
		       bytes + out_frame->frame_bytes);
		assert(out_frame->need_bytes == 0);
		assert(out_frame->wire_length == 0 && out_frame->limit == 0);
		fuzz_check_encode(format, bytes, out_frame);
		return 0;
	case -EAGAIN:
		assert(out_frame->need_bytes > byte_count);
		assert(out_frame->wire_length == 0 && out_frame->limit == 0);
		break;
	case -EMSGSIZE:
		assert(out_frame->wire_length > out_frame->limit);
		assert(out_frame->need_bytes == 0);
		break;
	default:
		assert(out_frame->limit == 0 && out_frame->need_bytes == 0);
		break;
	}
	assert(out_frame->payload == NULL && out_frame->payload_bytes == 0);
	assert(out_frame->frame_bytes == 0);
	return err;
}

static void fuzz_read_one(struct fuzz_reading *reading, size_t frame_bytes,
			  size_t payload_bytes)
{
	const uint64_t prime = UINT64_C(0x100000001b3); /* of FNV-1a */

	reading->frame_count++;
	reading->consumed_bytes += frame_bytes;
	reading->digest = (reading->digest ^ reading->consumed_bytes) * prime;
	reading->digest = (reading->digest ^ payload_bytes) * prime;
}

/* Reads all frames up to @byte_count, the bytes that have come so far. */
static void fuzz_read_on(const struct weir_frame_format *format,
			 const uint8_t *stream, size_t byte_count,
			 struct fuzz_reading *reading)
{
	for (;;) {
		reading->err = fuzz_decode(
			format, stream + reading->consumed_bytes,
			byte_count - reading->consumed_bytes, &reading->last);
		if (reading->err < 0)
			return;
		fuzz_read_one(reading, reading->last.frame_bytes,
			      reading->last.payload_bytes);
	}
}

/* The same with a decoder that reads one byte at a time. */
static void fuzz_check_slow(const struct weir_frame_format *format,
			    const uint8_t *stream, size_t stream_bytes,
			    const struct fuzz_reading *whole)
{
	struct frame_slow slow = { .format = format };
	struct fuzz_reading reading = { .err = -EAGAIN };

	for (size_t i = 0; i < stream_bytes; i++) {
		reading.err = frame_slow_byte(&slow, stream[i]);
		if (reading.err == 0) {
			fuzz_read_one(&reading, i + 1 - reading.consumed_bytes,
				      slow.payload_bytes);
			reading.err = -EAGAIN; /* for the next frame */
		}
		if (reading.err != -EAGAIN)
			break;
	}
	assert(reading.frame_count == whole->frame_count);
	assert(reading.consumed_bytes == whole->consumed_bytes);
	assert(reading.digest == whole->digest);
	assert(reading.err == whole->err);
}

static struct fuzz_reading fuzz_read_pieces(
	const struct weir_frame_format *format, const uint8_t *stream,
	size_t stream_bytes, const uint8_t *tape, size_t tape_bytes,
	bool is_patient)
{
	struct fuzz_reading reading = { .err = -EAGAIN };
	size_t here_bytes = 0;

	for (size_t i = 0; here_bytes < stream_bytes; i++) {
		size_t piece_bytes = 1;
		if (tape_bytes > 0)
			piece_bytes += tape[i % tape_bytes] % PIECE_BYTES_MAX;
		here_bytes += piece_bytes;
		if (here_bytes > stream_bytes)
			here_bytes = stream_bytes;
		if (is_patient && here_bytes - reading.consumed_bytes <
					  reading.last.need_bytes)
			continue;

		fuzz_read_on(format, stream, here_bytes, &reading);
		if (reading.err != -EAGAIN)
			break; /* a server would close here */
	}
	return reading;
}

/* Compares the last need_bytes too: a reader that waits for them misses no
 * frame. */
static void fuzz_check_same(const struct fuzz_reading *whole,
			    const struct fuzz_reading *pieces)
{
	assert(pieces->frame_count == whole->frame_count);
	assert(pieces->consumed_bytes == whole->consumed_bytes);
	assert(pieces->digest == whole->digest);
	assert(pieces->err == whole->err);
	assert(pieces->last.need_bytes == whole->last.need_bytes);
	assert(pieces->last.wire_length == whole->last.wire_length);
	assert(pieces->last.limit == whole->last.limit);
}

static void fuzz_check_text(const struct fuzz_reading *reading)
{
	char text[128];

	assert(weir_frame_error_text(&reading->last, reading->err, text,
				     sizeof(text)) == text);
	assert(strlen(text) < sizeof(text) - 1); /* 128 is plenty */
}

/* Any size, even larger than memory: only the prefix is written. */
static void fuzz_check_size(const struct weir_frame_format *format,
			    size_t payload_bytes)
{
	uint8_t prefix[WEIR_FRAME_PREFIX_BYTES_MAX];
	struct weir_frame frame;
	size_t frame_bytes = weir_frame_bytes(format, payload_bytes);
	const uint8_t *payload =
		weir_frame_encode(format, prefix, SIZE_MAX, payload_bytes);

	if (frame_bytes == 0) {
		assert(payload == NULL);
		return;
	}
	assert(frame_bytes > payload_bytes);
	assert(payload == prefix + (frame_bytes - payload_bytes));

	size_t prefix_bytes = frame_bytes - payload_bytes;
	int err = fuzz_decode(format, prefix, prefix_bytes, &frame);
	if (payload_bytes == 0)
		assert(err == 0 && frame.frame_bytes == frame_bytes);
	else
		assert(err == -EAGAIN && frame.need_bytes == frame_bytes);
}

int wi_fuzz_frame_one(const uint8_t *data, size_t size)
{
	if (size < HEAD_BYTES)
		return 0;

	uint8_t flags = data[1];
	struct weir_frame_format format = {
		.prefix = data[0] % WEIR_FRAME_PREFIX_COUNT,
		.is_little_endian = (flags & FLAG_LITTLE) != 0,
		.counts_header = (flags & FLAG_COUNTED) != 0,
		.payload_bytes_max = data[2],
	};
	if ((flags & FLAG_LIMIT_TIMES_256) != 0)
		format.payload_bytes_max *= 256;
	format.payload_bytes_max <<= 4 * (flags >> FLAGS_SHIFT);
	if ((flags & FLAG_LIMIT_NONE) != 0)
		format.payload_bytes_max = SIZE_MAX - data[2];

	size_t tape_bytes = data[3] % (TAPE_BYTES_MAX + 1);
	if (tape_bytes > size - HEAD_BYTES)
		tape_bytes = size - HEAD_BYTES;
	const uint8_t *tape = data + HEAD_BYTES;
	const uint8_t *stream = tape + tape_bytes;
	size_t stream_bytes = size - HEAD_BYTES - tape_bytes;

	struct fuzz_reading whole = { .err = -EAGAIN };
	fuzz_read_on(&format, stream, stream_bytes, &whole);
	fuzz_check_text(&whole);
	fuzz_check_slow(&format, stream, stream_bytes, &whole);
	if (stream_bytes == 0)
		return 0;

	for (int is_patient = 0; is_patient <= 1; is_patient++) {
		struct fuzz_reading pieces =
			fuzz_read_pieces(&format, stream, stream_bytes, tape,
					 tape_bytes, is_patient != 0);
		fuzz_check_same(&whole, &pieces);
		pieces = fuzz_read_pieces(&format, stream, stream_bytes, tape,
					  0, is_patient != 0);
		fuzz_check_same(&whole, &pieces);
	}

	size_t payload_bytes = 0;
	memcpy(&payload_bytes, stream,
	       stream_bytes < sizeof(payload_bytes) ? stream_bytes
						    : sizeof(payload_bytes));
	fuzz_check_size(&format, payload_bytes);
	return 0;
}
