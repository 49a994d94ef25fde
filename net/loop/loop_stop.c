#include "loop_stop.h"

#include "../../uring/mutant.h"
#include "../core/min.h"
#include "loop_priv.h"
#include "loop_struct.h"

#include <errno.h>

enum { NS_PER_MS = 1000000 };

void wi_loop_wake(struct weir_loop *loop)
{
	wi_doorbell_ring(&loop->doorbell, &loop->core);
}

void weir_loop_stop(struct weir_loop *loop)
{
	(void)wi_add_fetch_release_u32(&loop->stop.requests, 1);
	wi_loop_wake(loop);
}

void wi_loop_stop_to(struct weir_loop *loop, uint32_t least)
{
	(void)wi_fetch_max_release_u32(&loop->stop.requests, least);
	wi_loop_wake(loop);
}

static uint64_t drain_ns(const struct weir_loop *loop)
{
	return (uint64_t)loop->conns.services.drain_ms * NS_PER_MS;
}

void wi_stop_look(struct weir_loop *loop)
{
	struct wi_stop *stop = &loop->stop;
	if (stop->phase != WI_RUNNING ||
	    wi_load_acquire_u32(&stop->requests) == 0)
		return;
	stop->phase = WI_STOP_SEEN;
	if (loop->conns.services.drain_ms != WEIR_NO_TIMEOUT)
		stop->deadline_ns = loop->core.clock.now_ns + drain_ns(loop);
	loop->listeners.accepting = WI_ACCEPTING_THE_LAST;
	wi_latecomers_start(&stop->latecomers, &loop->listeners,
			    loop->core.stats.accepts);
	wi_conns_stop(&loop->conns);
}

/* No connection is left, and none can come. */
static bool stop_is_empty(const struct weir_loop *loop)
{
	return loop->conns.pool.used_count == 0 &&
	       wi_listeners_are_gone(&loop->listeners) &&
	       !loop->sample.is_in_flight;
}

/* The next tick that stop_operations_are_overdue() counts. */
static uint64_t stop_tick_ns(const struct weir_loop *loop)
{
	const struct wi_clock *clock = &loop->core.clock;
	return wi_clock_tick_ns(clock, clock->now_tick + 1);
}

uint64_t wi_stop_due_ns(const struct weir_loop *loop)
{
	switch (loop->stop.phase) {
	case WI_STOP_SEEN:
		return 0; /* at once: what has arrived is shown now */
	case WI_STOP_CUT:
		/* The flush that shut the listeners down may leave no
		 * completion to wait for. */
		return stop_is_empty(loop) ? 0 : loop->stop.deadline_ns;
	case WI_STOP_FORCE:
		return stop_is_empty(loop) ? 0 : stop_tick_ns(loop);
	case WI_STOP_LAST:
		return wi_min_u64(loop->doorbell.retry_ns, stop_tick_ns(loop));
	default:
		return UINT64_MAX;
	}
}

static bool stop_is_forced(const struct weir_loop *loop)
{
	return (loop->core.clock.now_ns >= loop->stop.deadline_ns &&
		loop->stall_guard.turns_left == 0) ||
	       wi_load_acquire_u32(&loop->stop.requests) > 1;
}

bool wi_stop_is_overdue(const struct weir_loop *loop)
{
	const uint64_t deadline_ns = loop->stop.deadline_ns;
	return loop->stop.phase != WI_RUNNING && deadline_ns != UINT64_MAX &&
	       loop->core.clock.now_ns >= deadline_ns + drain_ns(loop);
}

/* Ticks are counted one by one: see deadline.c. */
static bool stop_operations_are_overdue(struct weir_loop *loop)
{
	struct wi_stop *stop = &loop->stop;
	const uint32_t now_tick = loop->core.clock.now_tick;
	if (now_tick == stop->overdue_tick || loop->conns.is_refused)
		return false;
	stop->overdue_tick = now_tick;
	return WI_MUTANT("stop-waits-for-what-never-comes",
			 ++stop->overdue_ticks >
				 loop->conns.services.operation_ticks,
			 false);
}

void wi_stop_time_out(struct weir_loop *loop, int err)
{
	wi_conns_force(&loop->conns);
	wi_conns_time_out(&loop->conns);
	wi_counter_add(&loop->core.stats.kept_bytes, loop->arena.bytes);
	loop->stop.err = err;
	loop->stop.phase = WI_ENDED;
}

/* Only the submitting thread can see the kernel's workers, and it ends soon. */
static void stop_count_punts(struct weir_loop *loop)
{
	const struct weir_kernel *kernel = loop->core.kernel;
	int workers = kernel->punt_workers != NULL
			      ? kernel->punt_workers(kernel->ctx)
			      : 0;
	if (workers > 0) /* without /proc it is not known: 0 */
		wi_store_relaxed_u64(&loop->core.stats.punt_workers,
				     (uint64_t)workers);
}

static void stop_cut(struct weir_loop *loop)
{
	loop->stop.phase = WI_STOP_CUT;
	loop->listeners.accepting = WI_ACCEPTING_NONE;
	wi_conns_cut(&loop->conns);
}

bool wi_stop_advance(struct weir_loop *loop)
{
	struct wi_stop *stop = &loop->stop;
	assert(stop->phase != WI_ENDED);
	switch (stop->phase) {
	case WI_RUNNING:
		return true;
	case WI_STOP_SEEN:
		if (!stop_is_forced(loop) &&
		    wi_latecomers_go_on(&stop->latecomers,
					loop->core.stats.accepts))
			return true;
		stop_cut(loop);
		/* fall through */
	case WI_STOP_CUT:
		if (!stop_is_forced(loop))
			break;
		stop->phase = WI_STOP_FORCE;
		/* fall through */
	case WI_STOP_FORCE:
		/* Each turn: an accept may complete ahead of its cancel. */
		wi_conns_force(&loop->conns);
		break;
	default: /* WI_STOP_LAST */
		break;
	}
	if (stop_is_empty(loop))
		stop->phase = WI_STOP_LAST;
	if (stop->phase == WI_STOP_LAST && !loop->doorbell.is_armed) {
		stop->phase = WI_ENDED;
		stop_count_punts(loop);
	}
	if ((stop->phase == WI_STOP_FORCE || stop->phase == WI_STOP_LAST) &&
	    stop_operations_are_overdue(loop))
		wi_stop_time_out(loop, -ETIMEDOUT);
	return stop->phase != WI_ENDED;
}
