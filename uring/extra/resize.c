/* resize.c - change the queue sizes while the ring is in use
 *
 *     publish the SQ tail --> RESIZE --> map the new queues --> unmap the old
 *
 * The kernel copies the pending entries. The indices keep their values; only
 * the masks change. Not here: the first mapping (ring_open.c).
 */
#include "resize.h"

#include "../ring_inline.h"
#include "../ring_priv.h"

#include <errno.h>

/* The kernel's new queues are not mapped. The old ones still are: make sure
 * that no code uses them. */
static void ring_lose(struct weir_ring *ring)
{
	wi_ring_forget_index(ring);
	ring->enter_fd = -1;
}

int weir_ring_resize(struct weir_ring *ring, uint32_t sq_entry_count,
		     uint32_t cq_entry_count)
{
	struct io_uring_params params = {
		.sq_entries = sq_entry_count != 0 ? sq_entry_count
						  : ring->sq_entry_count,
		.cq_entries = cq_entry_count != 0 ? cq_entry_count
						  : ring->cq_entry_count,
		.flags = IORING_SETUP_CQSIZE,
	};

	/* 6.18 does not report the offset of the new index array (sq_off.array
	 * is 0). Indices written at 0 would overwrite heads and tails. */
	if ((ring->setup_flags & IORING_SETUP_NO_SQARRAY) == 0)
		return -EINVAL;

	/* The kernel moves only entries before the published tail. */
	weir_ring_publish(ring);

	int err = weir_ring_register(ring, IORING_REGISTER_RESIZE_RINGS,
				     &params, 1);
	if (err < 0)
		return err;

	struct weir_ring before = *ring;
	ring->sqes = NULL;
	ring->ring_memory = NULL;
	err = wi_ring_map(ring, &params);
	if (err < 0) {
		wi_ring_unmap(ring);
		ring->sqes = before.sqes;
		ring->ring_memory = before.ring_memory;
		ring->ring_bytes = before.ring_bytes;
		ring->sqes_bytes = before.sqes_bytes;
		ring_lose(ring);
		return err;
	}
	wi_ring_wire(ring, &params);
	wi_ring_unmap(&before);

	assert(weir_ring_sq_space(ring) <= ring->sq_entry_count);
	return 0;
}
