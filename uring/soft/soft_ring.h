/* soft_ring.h - the two queues of a ring, in plain memory
 *
 *     the program                                     its kernel
 *     take, publish --> [ submission queue ] --> wi_soft_ring_take()
 *     ready, reaped <-- [ completion queue ] <-- wi_soft_ring_post()
 *                              ^                       |
 *                              +--- overflow list <----+ while it is full
 *
 * For a kernel inside this process: the simulated one (test/sim), or one over
 * epoll. Indices, entries and completions have the real kernel's layout, so
 * ring.c and ring_inline.h work on them unchanged.
 *
 * Invariant: the program reads completions in the order in which they were
 * posted. While the overflow list has one, no later one enters the queue.
 *
 * Not here: what an operation does, and when it completes. Provided buffers:
 * soft_group.h. Direct descriptors: soft_slots.h. Thread: the one that enters
 * the ring.
 */
#ifndef WEIR_URING_SOFT_RING_H
#define WEIR_URING_SOFT_RING_H

#include "../abi.h"
#include "../barrier.h"

/* Offsets of the words, in bytes from the start of the memory. */
enum {
	WI_SOFT_SQ_HEAD = 0,
	WI_SOFT_SQ_TAIL = 4,
	WI_SOFT_SQ_MASK = 8,
	WI_SOFT_SQ_ENTRIES = 12,
	WI_SOFT_SQ_FLAGS = 16,
	WI_SOFT_SQ_DROPPED = 20,
	WI_SOFT_CQ_HEAD = 64,
	WI_SOFT_CQ_TAIL = 68,
	WI_SOFT_CQ_MASK = 72,
	WI_SOFT_CQ_ENTRIES = 76,
	WI_SOFT_CQ_OVERFLOW = 80,
	WI_SOFT_CQ_FLAGS = 84,
	WI_SOFT_CQES = 128,
};

struct wi_soft_ring {
	uint8_t *memory; /* words and completions */
	struct io_uring_sqe *sqes;
	uint32_t sq_entry_count;
	uint32_t cq_entry_count;
	struct io_uring_cqe *overflow; /* the owner's, [overflow_most] */
	uint32_t overflow_most;
	uint32_t overflow_count;
	uint64_t posted; /* completions, including overflowed ones */
};

/* Rounds a number of entries up to a power of two, as the kernel does. */
uint32_t wi_soft_ring_round(uint32_t entry_count);

/* Fills in the offsets for @params->sq_entries and cq_entries, which are powers
 * of two, and returns the sizes of the two mappings, which must be zeroed. */
void wi_soft_ring_shape(struct io_uring_params *params, size_t *out_bytes,
			size_t *out_sqes_bytes);

/* @memory and @sqes: zeroed, sized for @params; borrowed, as is
 * @overflow, [@overflow_most]. */
void wi_soft_ring_init(struct wi_soft_ring *ring,
		       const struct io_uring_params *params, void *memory,
		       void *sqes, struct io_uring_cqe *overflow,
		       uint32_t overflow_most);

/* The mapping for an IORING_OFF_* offset. */
void *wi_soft_ring_map(const struct wi_soft_ring *ring, uint64_t offset);

static inline uint32_t *wi_soft_ring_word(const struct wi_soft_ring *ring,
					  size_t offset)
{
	return (uint32_t *)(void *)(ring->memory + offset);
}

/* ---- submission ---------------------------------------------------------- */

/* Entries that the program has published and the kernel has not taken. A faulty
 * program can publish more than the queue holds. */
static inline uint32_t wi_soft_ring_submitted(const struct wi_soft_ring *ring)
{
	return wi_load_acquire_u32(wi_soft_ring_word(ring, WI_SOFT_SQ_TAIL)) -
	       *wi_soft_ring_word(ring, WI_SOFT_SQ_HEAD);
}

/* Takes the next entry; the program may reuse its place. */
void wi_soft_ring_take(struct wi_soft_ring *ring, struct io_uring_sqe *out_sqe);

/* ---- completion ---------------------------------------------------------- */

/* Completions in the queue that the program has not reaped. */
static inline uint32_t wi_soft_ring_ready(const struct wi_soft_ring *ring)
{
	return *wi_soft_ring_word(ring, WI_SOFT_CQ_TAIL) -
	       wi_load_acquire_u32(wi_soft_ring_word(ring, WI_SOFT_CQ_HEAD));
}

/* True if the next completion goes into the queue, not onto the overflow
 * list. */
static inline bool wi_soft_ring_has_room(const struct wi_soft_ring *ring)
{
	return ring->overflow_count == 0 &&
	       wi_soft_ring_ready(ring) < ring->cq_entry_count;
}

enum wi_soft_post {
	WI_SOFT_POSTED,
	WI_SOFT_OVERFLOWED, /* IORING_SQ_CQ_OVERFLOW is set */
	WI_SOFT_DROPPED,    /* the overflow list is full too */
};

enum wi_soft_post wi_soft_ring_post(struct wi_soft_ring *ring,
				    const struct io_uring_cqe *cqe);

/* Moves overflowed completions into the queue while it has room. Call it in
 * each enter with IORING_ENTER_GETEVENTS. */
void wi_soft_ring_flush(struct wi_soft_ring *ring);

#endif
