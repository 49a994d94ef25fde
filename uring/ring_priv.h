/* ring_priv.h - what the files of a ring ask of each other; not installed */
#ifndef WEIR_URING_RING_PRIV_H
#define WEIR_URING_RING_PRIV_H

#include "abi.h"
#include "ring_struct.h"

/* A ring with exactly @setup_flags and no rung on top, disabled if they say
 * so; for the ladder, which asks for one thing at a time.
 *
 * Return: 0 or what setup or map returned; then the ring is closed. */
int wi_ring_open_exact(struct weir_ring *ring, const struct weir_kernel *kernel,
		       uint32_t sq_entry_count, uint32_t setup_flags);

/* ring_open.c, for extra/resize.c. Map fills ring_memory and sqes, and leaves
 * what it has mapped there on failure; wire points into them; unmap takes a
 * half. */
int wi_ring_map(struct weir_ring *ring, const struct io_uring_params *params);
void wi_ring_wire(struct weir_ring *ring, const struct io_uring_params *params);
void wi_ring_unmap(struct weir_ring *ring);

/* ring.c. The registered index goes back; the ring is entered by descriptor. */
void wi_ring_forget_index(struct weir_ring *ring);

/* wait_region.c. Open leaves ring->wait_region NULL where it is refused. */
void wi_wait_region_open(struct weir_ring *ring);
void wi_wait_region_close(struct weir_ring *ring);

#endif
