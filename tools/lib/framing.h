/* framing.h - the framing options that weir-echo and weir-load share */
#ifndef WEIR_TOOLS_FRAMING_H
#define WEIR_TOOLS_FRAMING_H

#include <weir/proto/frame.h>

/* The longest queue, and the largest payload that leaves room for prefixes. A
 * queue or a message is one block of a loop's memory, 8 MiB less a header;
 * net/loop.h refuses more. */
#define FRAMING_QUEUE_BYTES_MAX (((size_t)8 << 20) - 64)
#define FRAMING_PAYLOAD_BYTES_MAX (((size_t)8 << 20) - ((size_t)64 << 10))

/* For --prefix; ends with NULL, in the order of enum weir_frame_prefix. */
extern const char *const framing_prefix_names[WEIR_FRAME_PREFIX_COUNT + 1];

/** framing_payload_bytes_max() - the most that @prefix can announce. */
size_t framing_payload_bytes_max(enum weir_frame_prefix prefix);

/** framing_text() - "raw", "framed u32 big-endian". Constant. */
const char *framing_text(const struct weir_frame_format *format);

#endif
