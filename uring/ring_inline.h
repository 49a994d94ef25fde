/* ring_inline.h - the hot path: take an SQE, walk the CQEs
 *
 *     sqe = weir_ring_take_sqe(ring);          NULL: full, enter first
 *     weir_op_...(sqe, ...); sqe->user_data = token;
 *
 *     uint32_t count = weir_ring_ready(ring);
 *     for (uint32_t i = 0; i < count; i++)
 *             handle(weir_ring_cqe(ring, i));
 *     weir_ring_reaped(ring, count);           one release store per batch
 */
#ifndef WEIR_URING_RING_INLINE_H
#define WEIR_URING_RING_INLINE_H

#include "barrier.h"
#include "ring_priv.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * weir_ring_unsubmitted() - SQEs taken that the kernel has not consumed
 *
 * Always computed from the kernel's own head: whatever an enter returned, this
 * is what the next one has to submit.
 */
static inline uint32_t weir_ring_unsubmitted(const struct weir_ring *ring)
{
	return (uint32_t)ring->sq_tail - wi_load_acquire(ring->kernel_sq_head);
}

/** weir_ring_sq_space() - how many SQEs can be taken before it is full. */
static inline uint32_t weir_ring_sq_space(const struct weir_ring *ring)
{
	return ring->sq_entry_count - weir_ring_unsubmitted(ring);
}

/**
 * weir_ring_take_sqe() - the next free entry, all 64 bytes zero
 *
 * Return: an entry to fill before the next weir_ring_enter(); NULL if the
 *         queue is full: enter, then take again. Thread: the ring's own.
 */
static inline struct io_uring_sqe *weir_ring_take_sqe(struct weir_ring *ring)
{
	/* The mask is the count less one, and needed below anyway. */
	if (weir_ring_unsubmitted(ring) > ring->sq_mask) {
		wi_count(&ring->stats.sq_full, 1);
		return NULL;
	}
	struct io_uring_sqe *sqe = &ring->sqes[ring->sq_tail & ring->sq_mask];
	ring->sq_tail++;
	/* Most operations answer EINVAL to a stale byte in an unused field. */
	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

/**
 * weir_ring_publish() - the kernel may read every entry taken so far
 *
 * weir_ring_enter() does this itself: publishing alone starts nothing, unless
 * a kernel thread polls the queue.
 */
static inline void weir_ring_publish(struct weir_ring *ring)
{
	wi_store_release(ring->kernel_sq_tail, (uint32_t)ring->sq_tail);
	wi_gauge_set(&ring->stats.sqes, ring->sq_tail);
}

/** weir_ring_ready() - completions that can be read now. */
static inline uint32_t weir_ring_ready(const struct weir_ring *ring)
{
	return wi_load_acquire(ring->kernel_cq_tail) - (uint32_t)ring->cq_head;
}

/** weir_ring_cqe() - the @index-th ready one, @index < weir_ring_ready(). */
static inline const struct io_uring_cqe *weir_ring_cqe(
	const struct weir_ring *ring, uint32_t index)
{
	return &ring->cqes[(ring->cq_head + index) & ring->cq_mask];
}

/** weir_ring_reaped() - give @count entries back to the kernel. */
static inline void weir_ring_reaped(struct weir_ring *ring, uint32_t count)
{
	ring->cq_head += count;
	wi_store_release(ring->kernel_cq_head, (uint32_t)ring->cq_head);
	wi_gauge_set(&ring->stats.cqes, ring->cq_head);
}

/**
 * weir_ring_held_back() - IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW, or 0
 *
 * Non-zero: the kernel has completions that it will hand out only in an
 * enter; nobody may sleep on this ring before that.
 */
static inline uint32_t weir_ring_held_back(const struct weir_ring *ring)
{
	return wi_load_relaxed(ring->kernel_sq_flags) &
	       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

#ifdef __cplusplus
}
#endif

#endif
