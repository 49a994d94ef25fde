/* frame.h - length-prefix framing
 *
 *     +--------+-----------------+--------+-----...
 *     | length |     payload     | length | payload
 *     +--------+-----------------+--------+-----...
 *     |<------ frame_bytes ----->|
 *
 * Pure functions over spans: no sockets, no clock, no allocation, no state.
 * The same bytes give the same frames however they are cut.
 */
#ifndef WEIR_PROTO_FRAME_H
#define WEIR_PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The default (zero) is four bytes, big-endian, as Go's encoding/binary users
 * expect. */
enum weir_frame_prefix {
	WEIR_FRAME_U32 = 0,
	WEIR_FRAME_U8,
	WEIR_FRAME_U16,
	WEIR_FRAME_U64,
	WEIR_FRAME_VARINT, /* base 128, low group first, at most 10 bytes */
	WEIR_FRAME_PREFIX_COUNT
};

#define WEIR_FRAME_PREFIX_BYTES_MAX 10
#define WEIR_FRAME_PAYLOAD_BYTES_DEFAULT ((size_t)1 << 20)

/**
 * struct weir_frame_format - zero is the sensible default
 * @prefix:            width of the length
 * @is_little_endian:  for a fixed-width prefix; a varint has no byte order
 * @counts_header:     the length on the wire includes the prefix itself
 * @payload_bytes_max: largest payload accepted; 0 for 1 MiB; no more than
 *                     SIZE_MAX - WEIR_FRAME_PREFIX_BYTES_MAX is ever accepted
 */
struct weir_frame_format {
	enum weir_frame_prefix prefix;
	bool is_little_endian;
	bool counts_header;
	size_t payload_bytes_max;
};

/**
 * struct weir_frame - the outcome of weir_frame_decode()
 * @payload:       into the caller's span, not a copy
 * @payload_bytes: 0 is a valid frame
 * @frame_bytes:   prefix and payload: how far to advance
 * @need_bytes:    with -EAGAIN: bytes from the start of the frame that the next
 *                 call needs to make progress
 * @wire_length:   with -EMSGSIZE and -EBADMSG: the length that the wire gave,
 *                 header included if it counts; UINT64_MAX with -EBADMSG for a
 *                 varint past 64 bits
 * @limit:         with -EMSGSIZE: the largest payload accepted
 */
struct weir_frame {
	const uint8_t *payload;
	size_t payload_bytes;
	size_t frame_bytes;
	size_t need_bytes;
	uint64_t wire_length;
	uint64_t limit;
};

/**
 * weir_frame_decode() - the frame at the start of a span
 * @format:     how frames look
 * @bytes:      borrowed; may be NULL if @byte_count is 0
 * @byte_count: length of the span
 * @out_frame:  every field is written; a field that does not apply is 0
 *
 * Return: 0 for a whole frame; -EAGAIN if bytes are missing; -EMSGSIZE if the
 *         payload exceeds the limit, known from the prefix alone; -EBADMSG if
 *         the prefix is malformed: a length that counts the header and is
 *         smaller than it, or a varint that is too long or not minimal. A
 *         varint that counts itself must be minimal for its payload. Only what
 *         weir_frame_encode() would write is accepted.
 * Thread: any.
 */
int weir_frame_decode(const struct weir_frame_format *format,
		      const uint8_t *bytes, size_t byte_count,
		      struct weir_frame *out_frame);

/**
 * weir_frame_bytes() - size of a payload on the wire, prefix included
 *
 * Return: the bytes to reserve before weir_frame_encode(); 0 if the payload
 *         exceeds the format's limit or the range of its prefix.
 */
size_t weir_frame_bytes(const struct weir_frame_format *format,
			size_t payload_bytes);

/**
 * weir_frame_encode() - write the prefix; the payload goes right behind it
 * @out:       room for weir_frame_bytes()
 * @out_bytes: size of that room
 *
 * Encode in place: reserve weir_frame_bytes(), write the prefix, produce the
 * payload at the returned pointer, commit.
 *
 * Return: where the payload starts, inside @out; NULL if weir_frame_bytes()
 *         is 0 or does not fit in @out_bytes. Thread: any.
 */
uint8_t *weir_frame_encode(const struct weir_frame_format *format, uint8_t *out,
			   size_t out_bytes, size_t payload_bytes);

/**
 * weir_frame_error_text() - one readable line about a refused frame
 * @frame:      as weir_frame_decode() left it
 * @err:        what weir_frame_decode() returned
 * @out_text:   truncated, but always terminated, if the room is small
 * @text_bytes: size of that room, 128 is plenty; 0 writes nothing
 *
 * Return: @out_text. Thread: any.
 */
char *weir_frame_error_text(const struct weir_frame *frame, int err,
			    char *out_text, size_t text_bytes);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
