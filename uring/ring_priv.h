/* ring_priv.h - the calls between the files of a ring; not installed */
#ifndef WEIR_URING_RING_PRIV_H
#define WEIR_URING_RING_PRIV_H

#include "abi.h"
#include "ring_struct.h"

/* Opens a ring with exactly @setup_flags and no other rung, disabled if they
 * contain R_DISABLED. For the ladder, which tries one rung at a time.
 *
 * Return: 0, or the negative errno of setup or map; then the ring is closed. */
int wi_ring_open_exact(struct weir_ring *ring, const struct weir_kernel *kernel,
		       uint32_t sq_entry_count, uint32_t setup_flags);

/* ring_open.c, for extra/resize.c. Map fills ring_memory and sqes; on failure
 * it leaves there what it has mapped. Wire sets the pointers into them. Unmap
 * accepts a half-mapped ring. */
int wi_ring_map(struct weir_ring *ring, const struct io_uring_params *params);
void wi_ring_wire(struct weir_ring *ring, const struct io_uring_params *params);
void wi_ring_unmap(struct weir_ring *ring);

/* ring.c. Unregisters the index; the ring is then entered by descriptor. */
void wi_ring_forget_index(struct weir_ring *ring);

/* wait_region.c. Open leaves ring->wait_region NULL if the kernel refuses
 * it. */
void wi_wait_region_open(struct weir_ring *ring);
void wi_wait_region_close(struct weir_ring *ring);

#endif
