/* core.h - what a loop lends its parts
 *
 *     connections   listeners   load report ...
 *          \            |           /
 *           +---- struct wi_core --+      the ring, memory, time, counters
 *
 * One per loop; only the loop's thread uses it. Not here: connections,
 * listeners and the turn.
 */
#ifndef WEIR_NET_CORE_CORE_H
#define WEIR_NET_CORE_CORE_H

#include "../../uring/annotate.h"
#include "../../uring/mutant.h"
#include "../../uring/op/op_cancel.h"
#include "../../uring/op/op_read.h"
#include "../../uring/op/op_recv.h"
#include "../../uring/op/op_send.h"
#include "../../uring/op/op_socket.h"
#include "../../uring/ring_inline.h"
#include "../stats.h"
#include "batching.h"
#include "blocks.h"
#include "bufs.h"
#include "clock.h"
#include "timer.h"
#include "token.h"
#include "trial.h"

enum {
	WI_RECV_GROUP = 0,
	WI_GATHER_IOVS = 16,  /* pieces of one gathered send */
	WI_GATHER_SLOTS = 64, /* gathered sends of one turn; then plain ones */
	/* One enter runs at least this many pieces of deferred task work. */
	WI_TASKRUN_BATCH = 20,
};

/* What SENDMSG reads at submission; alive until the enter has returned. */
struct wi_gather {
	struct msghdr message;
	struct iovec iov[WI_GATHER_IOVS];
};

struct wi_core {
	struct weir_ring ring;
	struct wi_bufs bufs;
	struct wi_blocks blocks;
	struct wi_wheel wheel;
	struct wi_clock clock;
	struct wi_batching batching;
	const struct weir_kernel *kernel;
	struct wi_gather *gathers; /* borrowed: shape [WI_GATHER_SLOTS] */
	uint32_t gather_count;     /* of this turn */
	struct wi_trials trials;
	struct weir_loop_stats stats;
};

/* Call it after an enter. The kernel reads a gather when it consumes its SQE;
 * an interrupted, short or refused enter leaves that to a later one. */
static inline void wi_core_gathers_back(struct wi_core *core)
{
	if (WI_MUTANT("gather-is-reused-early",
		      weir_ring_unsubmitted(&core->ring) == 0, true)) {
		wi_region_back(core->gathers,
			       core->gather_count * sizeof(*core->gathers));
		core->gather_count = 0;
	}
}

/* The next free SQE; submits early if the queue is full. NULL: the kernel takes
 * no more now. */
static inline struct io_uring_sqe *wi_core_sqe(struct wi_core *core)
{
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&core->ring);
	if (__builtin_expect(sqe == NULL, 0)) {
		/* The turn's own enter sees the same error again. */
		(void)weir_ring_enter(&core->ring, NULL);
		wi_core_gathers_back(core);
		sqe = weir_ring_take_sqe(&core->ring);
	}
	return sqe;
}

#endif
