/* ring_struct.h - struct weir_ring itself
 *
 * Installed because the inline calls of ring_inline.h read it. Only they and
 * the files of uring/ touch its fields.
 */
#ifndef WEIR_URING_RING_STRUCT_H
#define WEIR_URING_RING_STRUCT_H

#include "abi.h"
#include "ring.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_ring {
	/* Submission. sq_tail is ours: how many entries were taken since open,
	 * published at the next enter. The kernel's index is its low 32 bits;
	 * all 64 are the counter of SQEs. */
	struct io_uring_sqe *sqes;
	uint32_t *kernel_sq_head;
	uint32_t *kernel_sq_tail;
	uint32_t *kernel_sq_flags;
	uint64_t sq_tail;
	uint32_t sq_mask;
	uint32_t sq_entry_count;

	/* Completion. cq_head is ours: how many were reaped since open,
	 * published after each batch. */
	uint64_t cq_head;
	struct io_uring_cqe *cqes;
	uint32_t *kernel_cq_head;
	uint32_t *kernel_cq_tail;
	uint32_t cq_mask;
	uint32_t cq_entry_count;

	/* Entering. */
	const struct weir_kernel *kernel;
	int enter_fd;         /* fd, or the registered index */
	uint32_t enter_flags; /* flags of every call */
	bool has_min_wait;
	struct io_uring_reg_wait *wait_region; /* NULL: none; wait_region.c */

	struct weir_ring_stats stats;
	int refused_err; /* errno of the last of stats.enters_refused */

	/* Set once, at open. */
	int fd;
	weir_rung_set forced_off;
	bool has_registered_fd;
	int registered_err; /* why there is no registered fd */
	int setup_err;      /* why a requested flag is missing */
	uint64_t owner;     /* thread_ticket(), once has_registered_fd */
	uint32_t setup_flags;
	uint32_t features;
	void *ring_memory; /* SQ and CQ indices, CQEs, maybe the SQ array */
	size_t ring_bytes;
	size_t sqes_bytes;
	size_t wait_region_bytes;
};

#ifdef __cplusplus
}
#endif

#endif
