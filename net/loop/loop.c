/* loop.c - one turn after the other
 *
 *     flush: wi_listeners_work(), wi_conn_work() of each marked connection
 *     enter: weir_ring_enter()
 *     reap:  dispatch each completion on the kind in its token
 *     timers: deadlines, on_tick, connections that wait for memory
 *
 * Not here: making and freeing a loop (loop_open.c), how it ends
 * (loop_stop.c).
 */
#include "../../uring/mutant.h"
#include "../core/min.h"
#include "loop_priv.h"

#include <errno.h>

#include "loop_stop.h"

enum {
	NS_PER_MS = 1000000,
	DEADLINES_PER_TURN = 256, /* the others come in the next one */
};

/* ---- flush ------------------------------------------------------------------
 */

static void loop_flush(struct weir_loop *loop)
{
	uint32_t *walk = loop->marked;
	const uint32_t count = loop->marked_count;

	/* What is marked meanwhile goes on the other list. */
	loop->marked = loop->marked_spare;
	loop->marked_spare = walk;
	loop->marked_count = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct weir_conn *conn = (struct weir_conn *)(void *)wi_pool_at(
			&loop->conns, walk[i]);
		conn->is_marked = false;
		if (!wi_conn_work(conn))
			wi_conn_mark(conn); /* the SQ is full: next turn */
	}
	wi_listeners_work(loop);
	wi_stop_work(loop);
}

/* ---- enter ------------------------------------------------------------- */

static uint64_t ns_until(const struct weir_loop *loop, uint64_t when_ns)
{
	if (when_ns == UINT64_MAX)
		return UINT64_MAX;
	return when_ns > loop->now_ns ? when_ns - loop->now_ns : 0;
}

static uint64_t loop_tick_ns(const struct weir_loop *loop, uint32_t tick)
{
	return wi_tick_ns(loop->start_ns, loop->now_ns, tick);
}

/* The one timeout that the kernel sees: the nearest of all. */
static uint64_t loop_timeout_ns(const struct weir_loop *loop,
				uint64_t timeout_ns)
{
	uint32_t ticks = wi_wheel_ticks_to_next(&loop->wheel);
	if (ticks != UINT32_MAX)
		timeout_ns = wi_min_u64(
			timeout_ns,
			ns_until(loop, loop_tick_ns(loop, loop->wheel.now_tick +
								  ticks)));
	timeout_ns = wi_min_u64(timeout_ns, ns_until(loop, loop->next_tick_ns));
	timeout_ns = wi_min_u64(timeout_ns,
				ns_until(loop, wi_listeners_retry_ns(loop)));
	timeout_ns =
		wi_min_u64(timeout_ns, ns_until(loop, wi_load_due_ns(loop)));
	return wi_min_u64(timeout_ns, ns_until(loop, wi_stop_due_ns(loop)));
}

/* Sends mostly complete within the call that submits them, so what is queued
 * counts as done, and the batch is what the peers have yet to say. The sum is
 * also how much deferred work one call runs: without its bound, batches would
 * feed on each other until all connections march in step. */
static struct weir_wait loop_wait(const struct weir_loop *loop,
				  uint64_t timeout_ns)
{
	struct weir_wait wait = { .timeout_ns = timeout_ns };

	if (loop->marked_count > 0 || timeout_ns == 0)
		return wait; /* work is left over: look, do not wait */
	wait.want_count = 1;
	uint32_t batch = wi_pace_batch(&loop->pace, loop->opts.batch_wait_us);
	if (batch > 1) {
		wait.want_count = weir_ring_unsubmitted(&loop->ring) + batch;
		if (wait.want_count > WI_PACE_MAX)
			wait.want_count = WI_PACE_MAX;
		wait.min_wait_us = loop->opts.batch_wait_us;
	}
	return wait;
}

static void loop_clock(struct weir_loop *loop)
{
	loop->now_ns = loop->kernel->now_ns(loop->kernel->ctx);
	loop->now_tick =
		(uint32_t)((loop->now_ns - loop->start_ns) / WI_TICK_NS);
}

/* ---- reap -------------------------------------------------------------- */

static void loop_dispatch(struct weir_loop *loop,
			  const struct io_uring_cqe *cqe)
{
	const enum wi_token_kind kind = wi_token_kind(cqe->user_data);

	if (kind >= WI_TOKEN_CONN_FIRST) {
		struct weir_conn *conn =
			(struct weir_conn *)(void *)wi_pool_find(
				&loop->conns, cqe->user_data);
		if (conn != NULL) {
			wi_conn_complete(conn, cqe);
			return;
		}
		/* It is gone. Its buffer is not. */
		wi_loop_count(&loop->stats.stale_completions, 1);
		if (WI_MUTANT("stale-buffer-is-lost",
			      (cqe->flags & IORING_CQE_F_BUFFER) != 0, false)) {
			wi_bufs_take_back(&loop->bufs, cqe);
			WI_MUTANT("buffer-is-returned-twice", (void)0,
				  wi_bufs_take_back(&loop->bufs, cqe));
		}
		return;
	}
	switch (kind) {
	case WI_TOKEN_ACCEPT:
	case WI_TOKEN_ACCEPT_CANCEL:
		wi_listener_complete(loop, cqe);
		break;
	case WI_TOKEN_SAMPLE:
		wi_sample_complete(loop, cqe);
		break;
	case WI_TOKEN_DOORBELL:
		if (!loop->doorbell_armed) {
			wi_loop_count(&loop->stats.stale_completions, 1);
			break;
		}
		wi_handover_acquire(loop->doorbell_fd);
		wi_kernel_wrote(&loop->doorbell_value,
				sizeof(loop->doorbell_value));
		loop->doorbell_armed =
			WI_MUTANT("doorbell-is-not-heard", false, true);
		break;
	default: /* WI_TOKEN_NONE: nobody cares */
		break;
	}
}

static void loop_reap(struct weir_loop *loop)
{
	const uint32_t count = weir_ring_ready(&loop->ring);

	for (uint32_t i = 0; i < count; i++)
		loop_dispatch(loop, weir_ring_cqe(&loop->ring, i));
	weir_ring_reaped(&loop->ring, count);
}

/* ---- timers ------------------------------------------------------------ */

static struct weir_conn *loop_awaiting_pop(struct weir_loop *loop)
{
	const uint32_t index = loop->awaiting[loop->awaiting_head];
	struct weir_conn *conn =
		(struct weir_conn *)(void *)wi_pool_at(&loop->conns, index);
	loop->awaiting_head =
		(loop->awaiting_head + 1) % loop->conns.slot_count;
	loop->awaiting_count--;
	conn->awaits_blocks = false;
	return conn;
}

static void loop_retry_blocks(struct weir_loop *loop)
{
	const uint32_t count = loop->awaiting_count;
	if (WI_MUTANT("lone-waiter-for-memory-is-forgotten", count == 0,
		      count <= 1) ||
	    loop->blocks.used_bytes >= loop->awaiting_used_bytes)
		return;
	loop->awaiting_used_bytes = 0;
	const uint32_t calls =
		WI_MUTANT("one-waiter-for-memory-is-called", count, 1);
	for (uint32_t i = 0; i < calls; i++) {
		/* It may have to wait again, and its handler may make others
		 * wait: they go to the end. */
		struct weir_conn *conn = loop_awaiting_pop(loop);
		if (conn->state == WEIR_CONN_OPEN && conn->is_paused)
			wi_conn_resume(conn);
	}
}

static void loop_deadlines(struct weir_loop *loop)
{
	for (int i = 0; i < DEADLINES_PER_TURN; i++) {
		struct wi_timer *timer =
			wi_wheel_next_due(&loop->wheel, loop->now_tick);
		if (timer == NULL)
			break;
		wi_conn_deadline(
			(struct weir_conn *)(void *)((char *)timer -
						     offsetof(struct weir_conn,
							      timer)));
	}
}

static void loop_timers(struct weir_loop *loop, uint64_t before_ns)
{
	if (!wi_late_turn(loop, before_ns))
		loop_deadlines(loop);
	if (loop->now_ns >= loop->next_tick_ns) {
		uint64_t interval_ns =
			(uint64_t)loop->opts.tick_interval_ms * NS_PER_MS;
		/* A late loop skips ticks rather than making up for them. */
		loop->next_tick_ns = loop->now_ns + interval_ns;
		if (loop->handlers.on_tick != NULL)
			loop->handlers.on_tick(loop, loop->ctx);
	}
	loop_retry_blocks(loop);
}

static void loop_gauges(struct weir_loop *loop)
{
	struct weir_loop_stats *stats = &loop->stats;
	wi_store_relaxed_u64(&stats->conns_open, loop->conns.used_count);
	wi_store_relaxed_u64(&stats->conns_peak, loop->conns.fresh_index);
	wi_store_relaxed_u64(&stats->block_bytes_used, loop->blocks.used_bytes);
	wi_store_relaxed_u64(&stats->block_bytes_peak, loop->blocks.peak_bytes);
}

int weir_loop_turn(struct weir_loop *loop, uint64_t timeout_ns)
{
	if (loop->stop_phase == WI_ENDED)
		return loop->stop_err;
	wi_stop_look(loop);
	WI_MUTANT("no-bug-at-all", loop_flush(loop), loop_flush(loop));

	loop_clock(loop);
	struct weir_wait wait =
		loop_wait(loop, loop_timeout_ns(loop, timeout_ns));
	int err = weir_ring_enter(&loop->ring, &wait);
	if (err < 0)
		return err;
	wi_loop_gathers_give(loop);
	wi_loop_count(&loop->stats.turns, 1);
	if (__builtin_expect(loop->ring.stats.enters_refused !=
				     loop->refusals.count,
			     0)) {
		err = wi_refusals_heed(loop);
		if (err < 0)
			return err;
	}

	const uint64_t recvs_before = loop->stats.recvs;
	const uint64_t enobufs_before = loop->stats.recv_enobufs;
	loop_clock(loop);
	loop_reap(loop);
	const uint32_t recvs = (uint32_t)(loop->stats.recvs - recvs_before);
	const uint64_t before_ns = loop->turn_start_ns;
	wi_bufs_turn(&loop->bufs, recvs,
		     loop->stats.recv_enobufs != enobufs_before);
	wi_pace_turn(&loop->pace, recvs, loop->now_ns - before_ns,
		     loop->now_tick);
	loop->turn_start_ns = loop->now_ns;
	loop_timers(loop, before_ns);
	loop_gauges(loop);
	wi_load_turn(loop, recvs);
	return wi_stop_advance(loop) ? 1 : loop->stop_err;
}

int weir_loop_run(struct weir_loop *loop)
{
	int result;
	do {
		result = weir_loop_turn(loop, WEIR_TIMEOUT_NEVER);
	} while (result > 0);
	return result;
}

/* ---- for the other files of net/ --------------------------------------- */

struct weir_conn *wi_loop_conn_take(struct weir_loop *loop)
{
	struct weir_conn *conn =
		(struct weir_conn *)(void *)wi_pool_take(&loop->conns);
	if (conn == NULL)
		return NULL;
	/* Whether the slot is on a list outlives the connection in it. */
	const struct wi_pool_slot slot = conn->slot;
	const bool is_marked = conn->is_marked;
	const bool awaits_blocks = conn->awaits_blocks;
	*conn = (struct weir_conn){
		.slot = slot,
		.is_marked = is_marked,
		.awaits_blocks = awaits_blocks,
		.file_slot = WI_NO_FILE,
		.loop = loop,
	};
	return conn;
}

void wi_loop_conn_give(struct weir_loop *loop, struct weir_conn *conn)
{
	assert(conn->state == WEIR_CONN_FREE && conn->in_flight == 0);
	WI_MUTANT("timer-is-not-cleared",
		  wi_timer_clear(&loop->wheel, &conn->timer), (void)0);
	wi_pool_give(&loop->conns, &conn->slot);
}

void wi_loop_await_blocks(struct weir_loop *loop, struct weir_conn *conn)
{
	if (conn->awaits_blocks)
		return;
	conn->awaits_blocks = true;
	uint32_t end = (loop->awaiting_head + loop->awaiting_count++) %
		       loop->conns.slot_count;
	loop->awaiting[end] = wi_pool_index(&loop->conns, &conn->slot);
	/* The most of all: any of them may be helped by what is given back. */
	if (loop->awaiting_used_bytes < loop->blocks.used_bytes)
		loop->awaiting_used_bytes = loop->blocks.used_bytes;
}

int weir_loop_connect(struct weir_loop *loop, const struct weir_addr *addr,
		      void *user, struct weir_conn **out_conn)
{
	if (loop->stop_phase != WI_RUNNING)
		return -ESHUTDOWN;
	if (loop->conns.used_count >= loop->opts.conn_count)
		return -EAGAIN;
	struct weir_conn *conn = wi_loop_conn_take(loop);
	assert(conn != NULL); /* there are more slots than conn_count */
	int err = wi_conn_connect(conn, addr, user);
	if (err < 0) {
		wi_loop_conn_give(loop, conn);
		return err;
	}
	if (out_conn != NULL)
		*out_conn = conn;
	return 0;
}

uint64_t weir_loop_now_ns(const struct weir_loop *loop)
{
	return loop->now_ns;
}

uint32_t weir_loop_index(const struct weir_loop *loop)
{
	return loop->index;
}

/* Nothing is known of what was neither used nor refused. */
static void loop_judge(struct weir_rung *rung, bool was_used, int err)
{
	if (rung->state == WEIR_RUNG_UNTRIED && (was_used || err < 0))
		weir_rung_judge(rung, err);
}

static void loop_judge_trial(struct weir_rung *rung,
			     const struct wi_trial *trial)
{
	loop_judge(rung, wi_load_relaxed_u32(&trial->is_done) != 0,
		   -(int)wi_load_relaxed_u32(&trial->refusal));
}

void weir_loop_ladder(const struct weir_loop *loop, struct weir_rung *out_rungs)
{
	const struct weir_loop_stats *stats = &loop->stats;
	const uint64_t recvs = wi_load_relaxed_u64(&stats->recvs);

	weir_ladder_read(&loop->ring, out_rungs);
	/* Without these two it would not have opened. */
	loop_judge(&out_rungs[WEIR_RUNG_FILE_TABLE], true, 0);
	loop_judge(&out_rungs[WEIR_RUNG_BUFRING], true, 0);
	loop_judge(&out_rungs[WEIR_RUNG_ACCEPT_SLOT_MULTISHOT],
		   wi_load_relaxed_u64(&stats->accepts) > 0, 0);
	loop_judge(&out_rungs[WEIR_RUNG_RECV_MULTISHOT],
		   recvs > wi_load_relaxed_u64(&stats->recv_rearms), 0);
	loop_judge_trial(&out_rungs[WEIR_RUNG_INSTALL_SLOT], &loop->install);
	loop_judge_trial(&out_rungs[WEIR_RUNG_SOCKET_CMD], &loop->socket_cmd);
}

void weir_loop_stats(const struct weir_loop *loop,
		     struct weir_loop_stats *out_stats)
{
	weir_ring_stats_read(&loop->ring, &out_stats->ring);
#define LOOP_STAT_COPY(name, help)                                             \
	out_stats->name = wi_load_relaxed_u64(&loop->stats.name);
	WEIR_LOOP_STATS(LOOP_STAT_COPY)
#undef LOOP_STAT_COPY
	for (int i = 0; i < WEIR_CLOSE_CAUSE_COUNT; i++)
		out_stats->closes_by[i] =
			wi_load_relaxed_u64(&loop->stats.closes_by[i]);
	out_stats->conns_open = wi_load_relaxed_u64(&loop->stats.conns_open);
	out_stats->conns_peak = wi_load_relaxed_u64(&loop->stats.conns_peak);
	out_stats->block_bytes_used =
		wi_load_relaxed_u64(&loop->stats.block_bytes_used);
	out_stats->block_bytes_peak =
		wi_load_relaxed_u64(&loop->stats.block_bytes_peak);
	out_stats->punt_workers =
		wi_load_relaxed_u64(&loop->stats.punt_workers);
}
