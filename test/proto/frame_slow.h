/* frame_slow.h - framing a byte at a time: slow, and plain enough to believe
 *
 *     byte -> prefix, until it is whole -> payload, until it is over
 *
 * It shares no line with proto/frame.c: a length is summed up digit by digit
 * in 128 bits, and a prefix is right if it is the one that would be written
 * for its payload, which is found by trying one width after the other.
 */
#ifndef WEIR_TEST_FRAME_SLOW_H
#define WEIR_TEST_FRAME_SLOW_H

#include "proto/frame.h"

/* Zero, but for the format, at the start of a stream. */
struct frame_slow {
	const struct weir_frame_format *format;
	uint8_t prefix[WEIR_FRAME_PREFIX_BYTES_MAX];
	size_t prefix_bytes;   /* so far */
	bool has_payload;      /* the prefix is whole */
	uint64_t payload_left; /* then */
	uint64_t payload_bytes;
};

/* The next byte of the stream. Return: 0: a frame ends with it; -EAGAIN: it
 * goes on; -EBADMSG, -EMSGSIZE: it ends in error, give no more. */
int frame_slow_byte(struct frame_slow *slow, uint8_t byte);

#endif
