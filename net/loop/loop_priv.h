/* loop_priv.h - struct weir_loop itself, for the files of net/ */
#ifndef WEIR_NET_LOOP_PRIV_H
#define WEIR_NET_LOOP_PRIV_H

#include "../../uring/mutant.h"
#include "../../uring/op.h"
#include "../../uring/region.h"
#include "../../uring/ring_inline.h"
#include "../conn/conn_priv.h"
#include "../core/arena.h"
#include "../core/blocks.h"
#include "../core/bufs.h"
#include "../core/pace.h"
#include "../core/pool.h"
#include "../core/timer.h"
#include "../loop.h"
#include "give_up.h"
#include "late.h"
#include "listener.h"
#include "load.h"
#include "refusal.h"
#include "sample.h"

enum {
	WI_RECV_GROUP = 0,
	WI_GATHER_IOVS = 16,  /* pieces of one gathered send */
	WI_GATHER_SLOTS = 64, /* gathered sends of one turn; then plain ones */
	/* An enter hands out at least this many pieces of deferred work. */
	WI_TASKRUN_BATCH = 20,
};

/* What SENDMSG reads at submission: alive until the enter has returned. */
struct wi_gather {
	struct msghdr message;
	struct iovec iov[WI_GATHER_IOVS];
};

enum wi_stop_phase {
	WI_RUNNING = 0,
	WI_STOP_SEEN,  /* accepts no more; what has arrived is still shown */
	WI_STOP_CUT,   /* every connection is draining */
	WI_STOP_FORCE, /* every connection is stopping */
	WI_STOP_LAST,  /* none is left; the doorbell is being cancelled */
	WI_ENDED,
};

/* What came of an operation that a loop can do without; any thread reads it. */
struct wi_trial {
	uint32_t is_done;
	uint32_t refusal; /* errno, positive */
};

static inline void wi_trial_done(struct wi_trial *trial)
{
	wi_store_relaxed_u32(&trial->is_done, 1);
}

static inline void wi_trial_refused(struct wi_trial *trial, int err)
{
	wi_store_relaxed_u32(&trial->refusal, (uint32_t)-err);
}

struct weir_loop {
	struct weir_ring ring;
	struct wi_bufs bufs;
	struct wi_pool conns;
	struct wi_blocks blocks;
	struct wi_wheel wheel;
	struct wi_listener listeners[WEIR_STEER_GROUPS_MAX];
	uint32_t listener_count;
	uint32_t index;
	struct weir_loop_opts opts; /* every default resolved */
	struct weir_handlers handlers;
	void *ctx;
	const struct weir_kernel *kernel;

	/* Work for the flush of the next turn: slot indices, in two lists so
	 * that one can be filled while the other is walked. */
	uint32_t *marked;
	uint32_t *marked_spare;
	uint32_t marked_count;

	/* Connections that found the block memory used up, oldest first; tried
	 * again when some has been given back since. */
	uint32_t *awaiting; /* goes round; each of them is in it once at most */
	uint32_t awaiting_head;
	uint32_t awaiting_count;
	size_t awaiting_used_bytes;

	/* Time. */
	uint64_t start_ns;
	uint64_t now_ns;
	uint32_t now_tick;
	uint32_t idle_ticks; /* 0: no deadline */
	uint32_t drain_ticks;
	uint32_t give_up_ticks; /* UINT32_MAX: never */
	uint64_t next_tick_ns;  /* of on_tick; UINT64_MAX: never */
	struct wi_late late;

	struct wi_pace pace;
	uint64_t turn_start_ns;

	/* For steering. */
	struct wi_refusals refusals;
	struct wi_load load;

	/* Rungs of the operations that it can do without. */
	weir_rung_set rungs_off; /* forced, or refused for good */
	struct wi_trial install;
	struct wi_trial socket_cmd;
	/* Without DEFER_TASKRUN the kernel goes on receiving for one peer
	 * until the buffers are used up, before a loop that would pause it
	 * has seen the first of them: then one receive at a time. */
	bool recvs_singly;

	struct wi_sample sample; /* of the CPUs that packets came in on */

	/* Gathered sends of this turn. */
	struct wi_gather *gathers;
	uint32_t gather_count;

	/* Stopping. stop_requests is the only word that others write. */
	uint32_t stop_requests;
	enum wi_stop_phase stop_phase;
	uint64_t stop_deadline_ns;
	struct wi_overdue stop_overdue;
	int stop_err; /* 0, or with what it ended */
	struct wi_latecomers stop_latecomers;
	int doorbell_fd;
	bool doorbell_armed;
	uint64_t doorbell_retry_ns; /* of its cancel: not before */
	uint64_t doorbell_value;    /* the kernel's while armed */

	struct weir_loop_stats stats;
	struct wi_arena arena; /* holds all of the above as well */
};

/* After an enter. The kernel reads a gather when it consumes its SQE, which an
 * interrupted, short or refused enter puts off to a later one. */
static inline void wi_loop_gathers_give(struct weir_loop *loop)
{
	if (WI_MUTANT("gather-is-reused-early",
		      weir_ring_unsubmitted(&loop->ring) == 0, true)) {
		wi_region_back(loop->gathers,
			       loop->gather_count * sizeof(*loop->gathers));
		loop->gather_count = 0;
	}
}

/* The next free SQE; submits early if the queue is full. NULL: the kernel
 * takes no more now. */
static inline struct io_uring_sqe *wi_loop_sqe(struct weir_loop *loop)
{
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&loop->ring);
	if (__builtin_expect(sqe == NULL, 0)) {
		/* An error is seen again by the turn's own enter. */
		(void)weir_ring_enter(&loop->ring, NULL);
		wi_loop_gathers_give(loop);
		sqe = weir_ring_take_sqe(&loop->ring);
	}
	return sqe;
}

static inline bool wi_loop_has_rung(const struct weir_loop *loop,
				    enum weir_rung_id id)
{
	return (loop->rungs_off & weir_rung_bit(id)) == 0;
}

static inline void wi_loop_count(uint64_t *counter, uint64_t how_many)
{
	wi_counter_add(counter, how_many);
}

/* Any thread: a turn, so that the loop sees what has been written for it. */
void wi_loop_wake(struct weir_loop *loop);

/* As weir_loop_stop(), but together with all who call this the loop is asked
 * @least times, and no more. */
void wi_loop_stop_to(struct weir_loop *loop, uint32_t least);

/* A slot from the pool, or NULL. */
struct weir_conn *wi_loop_conn_take(struct weir_loop *loop);

/* The slot is free again: nothing that the kernel holds can name it. */
void wi_loop_conn_give(struct weir_loop *loop, struct weir_conn *conn);

/* @conn is resumed once block memory has been given back. */
void wi_loop_await_blocks(struct weir_loop *loop, struct weir_conn *conn);

#endif
