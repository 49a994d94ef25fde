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

#include "annotate.h"
#include "barrier.h"
#include "ring_struct.h"

#include <assert.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * weir_ring_unsubmitted() - SQEs taken that the kernel has not consumed
 *
 * Always computed from the kernel's own head: this is the number that the next
 * enter has to submit, whatever the last one returned.
 */
static inline uint32_t weir_ring_unsubmitted(const struct weir_ring *ring)
{
	return (uint32_t)ring->sq_tail -
	       wi_load_acquire_u32(ring->kernel_sq_head);
}

/** weir_ring_sq_space() - how many SQEs can be taken before the queue is
 * full. */
static inline uint32_t weir_ring_sq_space(const struct weir_ring *ring)
{
	return ring->sq_entry_count - weir_ring_unsubmitted(ring);
}

/* Most operations answer EINVAL to a stale byte in an unused field. Field by
 * field: a compiler merges these stores with those of the operation that
 * follows, but keeps a memset(). */
static inline void wi_sqe_clear(struct io_uring_sqe *sqe)
{
	static_assert(sizeof(*sqe) == 64, "every field is named below");
	sqe->opcode = 0;
	sqe->flags = 0;
	sqe->ioprio = 0;
	sqe->fd = 0;
	sqe->off = 0;
	sqe->addr = 0;
	sqe->len = 0;
	sqe->op_flags = 0;
	sqe->user_data = 0;
	sqe->buf_index = 0;
	sqe->personality = 0;
	sqe->file_index = 0;
	sqe->addr3 = 0;
	sqe->pad2 = 0;
}

/**
 * weir_ring_take_sqe() - the next free entry, all 64 bytes zero
 *
 * Return: an entry to fill before the next weir_ring_enter(); NULL if the
 *         queue is full: enter, then take again. Thread: the ring's own.
 */
static inline struct io_uring_sqe *weir_ring_take_sqe(struct weir_ring *ring)
{
	/* Read once: the compiler must not reload it after the acquire. */
	uint64_t tail = ring->sq_tail;
	uint32_t mask = ring->sq_mask;
	uint32_t unsubmitted =
		(uint32_t)tail - wi_load_acquire_u32(ring->kernel_sq_head);
	if (unsubmitted > mask) {
		wi_counter_add(&ring->stats.sq_full, 1);
		return NULL;
	}
	ring->sq_tail = tail + 1;
	struct io_uring_sqe *sqe = &ring->sqes[tail & mask];
	wi_region_unpoison(sqe, sizeof(*sqe));
	wi_sqe_clear(sqe);
	return sqe;
}

/* The two ends of a message between rings, for the thread sanitizer. An entry
 * about to be published may send one; any completion may receive one. */
static inline void wi_ring_handover_release(const struct weir_ring *ring)
{
#if WI_HANDOVERS_WATCHED
	for (uint64_t i = ring->stats.sqes; i != ring->sq_tail; i++) {
		const struct io_uring_sqe *sqe = &ring->sqes[i & ring->sq_mask];
		if (sqe->opcode == IORING_OP_MSG_RING)
			wi_handover_release((sqe->flags & IOSQE_FIXED_FILE) != 0
						    ? -1
						    : sqe->fd);
	}
#else
	(void)ring;
#endif
}

static inline void wi_ring_handover_acquire(const struct weir_ring *ring)
{
	wi_handover_acquire(ring->fd);
	wi_handover_acquire(-1);
}

/* AddressSanitizer knows which entries of the two queues are ours: an SQE from
 * take to publish, a CQE from ready to reaped. */
static inline void wi_ring_lend_sqes(const struct weir_ring *ring)
{
	if (!WI_REGIONS_WATCHED)
		return;
	for (uint64_t i = ring->stats.sqes; i != ring->sq_tail; i++)
		wi_region_poison(&ring->sqes[i & ring->sq_mask],
				 sizeof(ring->sqes[0]));
}

static inline void wi_ring_show_cqes(const struct weir_ring *ring,
				     uint32_t count)
{
	if (!WI_REGIONS_WATCHED)
		return;
	for (uint32_t i = 0; i < count; i++)
		wi_region_unpoison(
			&ring->cqes[(ring->cq_head + i) & ring->cq_mask],
			sizeof(ring->cqes[0]));
}

static inline void wi_ring_hide_cqes(const struct weir_ring *ring,
				     uint32_t count)
{
	if (!WI_REGIONS_WATCHED)
		return;
	for (uint32_t i = 0; i < count; i++)
		wi_region_poison(
			&ring->cqes[(ring->cq_head + i) & ring->cq_mask],
			sizeof(ring->cqes[0]));
}

/**
 * weir_ring_publish() - the kernel may read every entry taken so far
 *
 * weir_ring_enter() calls this itself. Publishing alone starts nothing, unless
 * a kernel thread polls the queue.
 */
static inline void weir_ring_publish(struct weir_ring *ring)
{
	uint64_t tail = ring->sq_tail;
	wi_ring_handover_release(ring);
	wi_ring_lend_sqes(ring);
	wi_store_release_u32(ring->kernel_sq_tail, (uint32_t)tail);
	wi_store_relaxed_u64(&ring->stats.sqes, tail);
}

/** weir_ring_ready() - completions that can be read now. */
static inline uint32_t weir_ring_ready(const struct weir_ring *ring)
{
	uint32_t count = wi_load_acquire_u32(ring->kernel_cq_tail) -
			 (uint32_t)ring->cq_head;
	if (count > 0)
		wi_ring_handover_acquire(ring);
	wi_ring_show_cqes(ring, count);
	return count;
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
	uint64_t head = ring->cq_head + count;
	wi_ring_hide_cqes(ring, count);
	ring->cq_head = head;
	wi_store_release_u32(ring->kernel_cq_head, (uint32_t)head);
	wi_store_relaxed_u64(&ring->stats.cqes, head);
}

/**
 * weir_ring_held_back() - IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW, or 0
 *
 * Non-zero: the kernel has completions that it will post only in an enter. No
 * thread may sleep on this ring before that.
 */
static inline uint32_t weir_ring_held_back(const struct weir_ring *ring)
{
	return wi_load_relaxed_u32(ring->kernel_sq_flags) &
	       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

#ifdef __cplusplus
}
#endif

#endif
