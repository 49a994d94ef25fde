/* bufs.h - how many receive buffers are in circulation
 *
 *     lent to the kernel --> filled --> shown --> taken back --+
 *            ^                                                 |
 *            +--------------- lent again, or parked <----------+
 *
 * The kernel fills buffers in the order in which they were lent, so every lent
 * buffer passes through the CPU's cache in turn. So only twice as many
 * circulate as one turn has lately used; the others are parked until needed.
 */
#ifndef WEIR_NET_BUFS_H
#define WEIR_NET_BUFS_H

#include "../../uring/bufring.h"

struct wi_bufs {
	struct weir_bufring bufring;
	uint16_t *parked; /* borrowed: shape [buf_count] */
	uint32_t parked_count;
	uint32_t target;     /* how many circulate; at least 64, or all */
	uint32_t window_max; /* most that one turn of this window has used */
	uint32_t window_turns;
};

/* After weir_bufring_open(), which has lent them all. */
void wi_bufs_init(struct wi_bufs *bufs, uint16_t *parked);

/* The bytes of a completion with a result above 0; the loop's until
 * wi_bufs_take_back(). */
static inline const uint8_t *wi_bufs_bytes(const struct wi_bufs *bufs,
					   const struct io_uring_cqe *cqe)
{
	const uint8_t *bytes =
		wi_bufring_memory(&bufs->bufring, weir_bufring_id(cqe));
	wi_kernel_wrote(bytes, (size_t)cqe->res);
	return bytes;
}

static inline void wi_bufs_take_back(struct wi_bufs *bufs,
				     const struct io_uring_cqe *cqe)
{
	const uint32_t circulating =
		bufs->bufring.buf_count - bufs->parked_count;
	const uint16_t id = weir_bufring_id(cqe);
	if (circulating > bufs->target) {
		bufs->parked[bufs->parked_count++] = id;
		/* Marked as lent, so that a sanitizer reports a late read. */
		if (WI_REGIONS_WATCHED)
			wi_lend_to_fill(wi_bufring_memory(&bufs->bufring, id),
					bufs->bufring.buf_bytes);
	} else {
		weir_bufring_take_back(&bufs->bufring, id);
	}
}

/* At the end of a turn in which @used_count buffers came back. @ran_out: a
 * receive found none. Lends the buffers that were taken back to the kernel. */
void wi_bufs_turn(struct wi_bufs *bufs, uint32_t used_count, bool ran_out);

#endif
