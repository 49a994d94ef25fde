/* frame_slow.h - framing byte by byte: slow, but simple enough to trust
 *
 *     byte -> prefix, until it is complete -> payload, until it ends
 *
 * It shares no code with proto/frame.c. It sums a length digit by digit in 128
 * bits. A prefix is valid if it is the one that an encoder would write for its
 * payload; the code finds that one by trying every width.
 */
#ifndef WEIR_TEST_FRAME_SLOW_H
#define WEIR_TEST_FRAME_SLOW_H

#include "proto/frame.h"

/* All zero except the format at the start of a stream. */
struct frame_slow {
	const struct weir_frame_format *format;
	uint8_t prefix[WEIR_FRAME_PREFIX_BYTES_MAX];
	size_t prefix_bytes;   /* so far */
	bool has_payload;      /* the prefix is complete */
	uint64_t payload_left; /* valid then */
	uint64_t payload_bytes;
};

/* Takes the next byte of the stream. Return: 0: a frame ends here; -EAGAIN: it
 * continues; -EBADMSG, -EMSGSIZE: an error, pass no more bytes. */
int frame_slow_byte(struct frame_slow *slow, uint8_t byte);

#endif
