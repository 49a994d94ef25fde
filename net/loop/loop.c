/* loop.c - the turns of a loop
 *
 *     flush:  wi_conns_flush(), wi_listeners_work()
 *     enter:  weir_ring_enter()
 *     reap:   each completion goes to the owner that its token names
 *     timers: deadlines, on_tick, connections that wait for memory
 *
 * Not here: making and freeing a loop (loop_open.c), how it ends
 * (loop_stop.c).
 */
#include "../../uring/mutant.h"
#include "../core/min.h"
#include "../core/observe.h"
#include "loop_priv.h"
#include "loop_struct.h"

#include <errno.h>

enum { NS_PER_MS = 1000000 };

/* ---- flush ------------------------------------------------------------- */

static void loop_flush(struct weir_loop *loop)
{
	wi_conns_flush(&loop->conns);
	wi_listeners_work(&loop->listeners);
	wi_doorbell_work(&loop->doorbell, &loop->core,
			 loop->stop.phase == WI_STOP_LAST);
}

/* ---- enter ------------------------------------------------------------- */

/* The nearest of all due times is the one timeout that the kernel gets. */
static uint64_t loop_timeout_ns(const struct weir_loop *loop,
				uint64_t timeout_ns)
{
	const struct wi_core *core = &loop->core;
	uint64_t due_ns = loop->next_tick_ns;
	const uint32_t ticks = wi_wheel_ticks_to_next(&core->wheel);
	if (ticks != UINT32_MAX)
		due_ns = wi_min_u64(
			due_ns, wi_clock_tick_ns(&core->clock,
						 core->wheel.now_tick + ticks));
	due_ns = wi_min_u64(due_ns, wi_listeners_retry_ns(&loop->listeners));
	due_ns = wi_min_u64(due_ns, wi_load_report_due_ns(&loop->load_report));
	due_ns = wi_min_u64(due_ns, wi_stop_due_ns(loop));
	return wi_min_u64(timeout_ns, wi_clock_until(&core->clock, due_ns));
}

/* Most sends complete within the call that submits them. So queued operations
 * count as done, and the batch is what the peers still have to send. The sum
 * also limits how much deferred task work one call runs: without a bound,
 * batches would grow each other until all connections move in step. */
static struct weir_wait loop_wait(const struct weir_loop *loop,
				  uint64_t timeout_ns)
{
	const struct wi_core *core = &loop->core;
	struct weir_wait wait = { .timeout_ns = timeout_ns };

	if (loop->conns.marks.count > 0 || timeout_ns == 0)
		return wait; /* work is left over: do not sleep */
	wait.want_count = 1;
	uint32_t batch = wi_batching_wait_count(&core->batching,
						loop->opts.batch_wait_us);
	if (batch > 1) {
		wait.want_count = weir_ring_unsubmitted(&core->ring) + batch;
		if (wait.want_count > WI_BATCHING_MAX)
			wait.want_count = WI_BATCHING_MAX;
		wait.min_wait_us = loop->opts.batch_wait_us;
	}
	return wait;
}

/* ---- reap -------------------------------------------------------------- */

static void complete_none(struct weir_loop *loop,
			  const struct io_uring_cqe *cqe)
{
	(void)loop; /* the ring has counted it */
	(void)cqe;
}

static void complete_doorbell(struct weir_loop *loop,
			      const struct io_uring_cqe *cqe)
{
	(void)cqe; /* any result will do: the loop is awake */
	wi_doorbell_complete(&loop->doorbell, &loop->core);
}

static void complete_listener(struct weir_loop *loop,
			      const struct io_uring_cqe *cqe)
{
	wi_listeners_complete(&loop->listeners, cqe);
}

static void complete_sample(struct weir_loop *loop,
			    const struct io_uring_cqe *cqe)
{
	wi_sample_complete(&loop->sample, &loop->core, cqe);
}

/* A new owner of operations adds a row here. Connections have none: almost
 * every completion is theirs, so they are tested first. */
static void (*const complete_by[WI_OWNER_COUNT])(
	struct weir_loop *loop, const struct io_uring_cqe *cqe) = {
	[WI_OWNER_NONE] = complete_none,
	[WI_OWNER_DOORBELL] = complete_doorbell,
	[WI_OWNER_LISTENER] = complete_listener,
	[WI_OWNER_SAMPLE] = complete_sample,
};

static inline void loop_dispatch(struct weir_loop *loop,
				 const struct io_uring_cqe *cqe)
{
	const uint32_t owner = wi_token_owner(cqe->user_data);

	if (__builtin_expect(owner == WI_OWNER_CONN, 1)) {
		wi_conns_complete(&loop->conns, cqe);
		return;
	}
	assert(owner < WI_OWNER_COUNT);
	complete_by[owner](loop, cqe);
}

/* A function of its own, so that the check for an observer is once a turn. */
static __attribute__((noinline, cold)) void loop_reap_observed(
	struct weir_loop *loop, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct io_uring_cqe *cqe =
			weir_ring_cqe(&loop->core.ring, i);
		wi_observer->on_completion(wi_observer->ctx, loop, cqe);
		loop_dispatch(loop, cqe);
	}
}

static void loop_reap(struct weir_loop *loop)
{
	struct weir_ring *ring = &loop->core.ring;
	const uint32_t count = weir_ring_ready(ring);

	if (__builtin_expect(wi_observer != NULL, 0))
		loop_reap_observed(loop, count);
	else
		for (uint32_t i = 0; i < count; i++)
			loop_dispatch(loop, weir_ring_cqe(ring, i));
	weir_ring_reaped(ring, count);
}

/* ---- timers ------------------------------------------------------------ */

static void loop_tick(struct weir_loop *loop)
{
	const uint64_t interval_ns =
		(uint64_t)loop->opts.tick_interval_ms * NS_PER_MS;
	const struct weir_loop_hooks *hooks = &loop->opts.hooks;

	/* A late loop skips ticks rather than making up for them. */
	loop->next_tick_ns = loop->core.clock.now_ns + interval_ns;
	if (hooks->on_tick != NULL)
		hooks->on_tick(loop, hooks->ctx);
}

static void loop_timers(struct weir_loop *loop, uint64_t before_ns)
{
	const struct wi_stop *stop = &loop->stop;
	const bool is_draining =
		stop->phase == WI_STOP_SEEN || stop->phase == WI_STOP_CUT;

	if (!wi_stall_guard_turn(&loop->stall_guard, &loop->core,
				 loop->conns.pool.used_count,
				 is_draining ? stop->deadline_ns : UINT64_MAX,
				 before_ns))
		wi_conns_deadlines(&loop->conns);
	if (loop->core.clock.now_ns >= loop->next_tick_ns)
		loop_tick(loop);
	wi_conns_retry_memory(&loop->conns);
}

static void loop_gauges(struct weir_loop *loop)
{
	struct weir_loop_stats *stats = &loop->core.stats;
	const struct wi_blocks *blocks = &loop->core.blocks;
	wi_store_relaxed_u64(&stats->conns_open, loop->conns.pool.used_count);
	wi_store_relaxed_u64(&stats->conns_peak, loop->conns.pool.fresh_index);
	wi_store_relaxed_u64(&stats->block_bytes_used, blocks->used_bytes);
	wi_store_relaxed_u64(&stats->block_bytes_peak, blocks->peak_bytes);
}

/* ---- the turn ---------------------------------------------------------- */

static int loop_enter(struct weir_loop *loop, uint64_t timeout_ns)
{
	struct wi_core *core = &loop->core;

	wi_clock_look(&core->clock, core->kernel);
	struct weir_wait wait =
		loop_wait(loop, loop_timeout_ns(loop, timeout_ns));
	int err = weir_ring_enter(&core->ring, &wait);
	if (err < 0)
		return err;
	wi_core_gathers_back(core);
	wi_counter_add(&core->stats.turns, 1);
	err = wi_backoff_turn(&loop->backoff, core, wi_stop_is_overdue(loop));
	loop->conns.is_refused = wi_backoff_is_refused(&loop->backoff);
	if (err < 0)
		wi_stop_time_out(loop, err);
	return err;
}

int weir_loop_turn(struct weir_loop *loop, uint64_t timeout_ns)
{
	struct wi_core *core = &loop->core;

	if (loop->stop.phase == WI_ENDED)
		return loop->stop.err;
	wi_stop_look(loop);
	WI_MUTANT("no-bug-at-all", loop_flush(loop), loop_flush(loop));
	int err = loop_enter(loop, timeout_ns);
	if (err < 0) {
		if (loop->stop.phase == WI_ENDED)
			wi_loop_stopped(loop);
		return err;
	}

	const uint64_t recvs_before = core->stats.recvs;
	const uint64_t enobufs_before = core->stats.recv_enobufs;
	wi_clock_look(&core->clock, core->kernel);
	loop_reap(loop);
	const uint32_t recvs = (uint32_t)(core->stats.recvs - recvs_before);
	const uint64_t before_ns = loop->turn_start_ns;
	wi_bufs_turn(&core->bufs, recvs,
		     core->stats.recv_enobufs != enobufs_before);
	wi_batching_turn(&core->batching, recvs, core->clock.now_ns - before_ns,
			 core->clock.now_tick);
	loop->turn_start_ns = core->clock.now_ns;
	loop_timers(loop, before_ns);
	loop_gauges(loop);
	wi_load_report_turn(&loop->load_report, core,
			    loop->conns.pool.used_count, recvs);
	if (wi_stop_advance(loop))
		return 1;
	wi_loop_stopped(loop);
	return loop->stop.err;
}

int weir_loop_run(struct weir_loop *loop)
{
	int result;
	do {
		result = weir_loop_turn(loop, WEIR_TIMEOUT_NEVER);
	} while (result > 0);
	wi_loop_stopped(loop); /* after an error: the loop has not ended */
	return result;
}

/* ---- for handlers and tools -------------------------------------------- */

int weir_loop_connect(struct weir_loop *loop,
		      const struct weir_service *service,
		      const struct weir_addr *addr, void *user,
		      struct weir_conn **out_conn)
{
	if (loop->stop.phase != WI_RUNNING)
		return -ESHUTDOWN;
	const struct wi_service *used;
	int err = wi_services_use(&loop->conns.services, service, &used, NULL);
	if (err < 0)
		return err;
	if (loop->conns.pool.used_count >= loop->opts.conn_count)
		return -EAGAIN;
	struct weir_conn *conn = wi_conn_birth(&loop->conns, used);
	assert(conn != NULL); /* there are more slots than conn_count */
	err = wi_conn_connect(conn, addr, user);
	if (err < 0) {
		wi_conn_death(conn);
		return err;
	}
	if (out_conn != NULL)
		*out_conn = conn;
	return 0;
}

uint64_t weir_loop_now_ns(const struct weir_loop *loop)
{
	return loop->core.clock.now_ns;
}

uint32_t weir_loop_index(const struct weir_loop *loop)
{
	return loop->index;
}

struct weir_server *weir_loop_server(const struct weir_loop *loop)
{
	return loop->server;
}

void *weir_loop_user(const struct weir_loop *loop)
{
	return loop->user;
}

void weir_loop_user_set(struct weir_loop *loop, void *user)
{
	loop->user = user;
}

/* A rung that was neither used nor refused stays untried. */
static void loop_rung_set(struct weir_rung *rung, bool was_used, int err)
{
	if (rung->state == WEIR_RUNG_UNTRIED && (was_used || err < 0))
		weir_rung_set_result(rung, err);
}

static void loop_rung_from_trial(struct weir_rung *rung,
				 const struct wi_trial *trial)
{
	loop_rung_set(rung, wi_load_relaxed_u32(&trial->is_done) != 0,
		      -(int)wi_load_relaxed_u32(&trial->refusal));
}

void weir_loop_ladder(const struct weir_loop *loop, struct weir_rung *out_rungs)
{
	const struct weir_loop_stats *stats = &loop->core.stats;
	const struct wi_trials *trials = &loop->core.trials;
	const uint64_t recvs = wi_load_relaxed_u64(&stats->recvs);

	weir_ladder_read(&loop->core.ring, out_rungs);
	/* Without these two it would not have opened. */
	loop_rung_set(&out_rungs[WEIR_RUNG_FILE_TABLE], true, 0);
	loop_rung_set(&out_rungs[WEIR_RUNG_BUFRING], true, 0);
	loop_rung_set(&out_rungs[WEIR_RUNG_ACCEPT_SLOT_MULTISHOT],
		      wi_load_relaxed_u64(&stats->accepts) > 0, 0);
	loop_rung_set(&out_rungs[WEIR_RUNG_RECV_MULTISHOT],
		      recvs > wi_load_relaxed_u64(&stats->recv_rearms), 0);
	loop_rung_from_trial(&out_rungs[WEIR_RUNG_INSTALL_SLOT],
			     &trials->install_slot);
	loop_rung_from_trial(&out_rungs[WEIR_RUNG_SOCKET_CMD],
			     &trials->socket_cmd);
}

void weir_loop_stats(const struct weir_loop *loop,
		     struct weir_loop_stats *out_stats)
{
	const struct weir_loop_stats *stats = &loop->core.stats;

	weir_ring_stats_read(&loop->core.ring, &out_stats->ring);
#define LOOP_STAT_COPY(name, help)                                             \
	out_stats->name = wi_load_relaxed_u64(&stats->name);
	WEIR_LOOP_STATS(LOOP_STAT_COPY)
#undef LOOP_STAT_COPY
	for (int i = 0; i < WEIR_CLOSE_CAUSE_COUNT; i++)
		out_stats->closes_by[i] =
			wi_load_relaxed_u64(&stats->closes_by[i]);
	out_stats->conns_open = wi_load_relaxed_u64(&stats->conns_open);
	out_stats->conns_peak = wi_load_relaxed_u64(&stats->conns_peak);
	out_stats->block_bytes_used =
		wi_load_relaxed_u64(&stats->block_bytes_used);
	out_stats->block_bytes_peak =
		wi_load_relaxed_u64(&stats->block_bytes_peak);
	out_stats->punt_workers = wi_load_relaxed_u64(&stats->punt_workers);
}

/* ---- for its server ---------------------------------------------------- */

const struct weir_kernel *wi_loop_kernel(const struct weir_loop *loop)
{
	return loop->core.kernel;
}

void wi_loop_server_set(struct weir_loop *loop, struct weir_server *server,
			uint32_t index)
{
	loop->server = server;
	loop->index = index;
}

void wi_loop_join_steering(struct weir_loop *loop, struct weir_steer *steer,
			   uint32_t member,
			   void (*on_log)(const char *line, void *ctx),
			   void *log_ctx)
{
	wi_load_report_join(&loop->load_report, steer, member);
	loop->load_report.on_log = on_log;
	loop->load_report.log_ctx = log_ctx;
}

void wi_loop_sample(struct weir_loop *loop, uint32_t interval, int cpu)
{
	wi_sample_init(&loop->sample, interval, cpu);
}

struct wi_listeners *wi_loop_listeners(struct weir_loop *loop)
{
	return &loop->listeners;
}

uint32_t wi_loop_work(const struct weir_loop *loop)
{
	return wi_load_relaxed_u32(&loop->load_report.member->work);
}
