#include "loop_stop.h"

#include "../core/min.h"
#include "loop_priv.h"

#include <errno.h>

enum {
	NS_PER_MS = 1000000,
	CANCEL_RETRY_NS = 10 * NS_PER_MS,
};

void wi_loop_wake(struct weir_loop *loop)
{
	int saved_errno = errno; /* this may be a signal handler */
	(void)loop->kernel->doorbell_ring(loop->kernel->ctx, loop->doorbell_fd);
	errno = saved_errno;
}

void weir_loop_stop(struct weir_loop *loop)
{
	(void)wi_add_fetch_release_u32(&loop->stop_requests, 1);
	wi_loop_wake(loop);
}

void wi_loop_stop_to(struct weir_loop *loop, uint32_t least)
{
	(void)wi_fetch_max_release_u32(&loop->stop_requests, least);
	wi_loop_wake(loop);
}

/* Applies @visit to every connection that is not free. */
static void stop_each(struct weir_loop *loop,
		      void (*visit)(struct weir_conn *conn))
{
	for (uint32_t i = 0; i < loop->conns.fresh_index; i++) {
		struct weir_conn *conn =
			(struct weir_conn *)(void *)wi_pool_at(&loop->conns, i);
		if (conn->state != WEIR_CONN_FREE)
			visit(conn);
	}
}

void wi_stop_look(struct weir_loop *loop)
{
	if (loop->stop_phase != WI_RUNNING ||
	    wi_load_acquire_u32(&loop->stop_requests) == 0)
		return;
	loop->stop_phase = WI_STOP_SEEN;
	loop->stop_deadline_ns =
		loop->opts.drain_timeout_ms == WEIR_NO_TIMEOUT
			? UINT64_MAX
			: loop->now_ns + (uint64_t)loop->opts.drain_timeout_ms *
						 NS_PER_MS;
	wi_latecomers_start(&loop->stop_latecomers, loop, loop->stats.accepts);
	stop_each(loop, wi_conn_last_look);
}

static uint64_t doorbell_token(void)
{
	return wi_token(WI_TOKEN_DOORBELL, 0, 0);
}

void wi_stop_work(struct weir_loop *loop)
{
	const bool is_last = loop->stop_phase == WI_STOP_LAST;
	assert(!is_last || loop->doorbell_armed); /* or it would have ended */
	if (is_last ? loop->now_ns < loop->doorbell_retry_ns
		    : loop->doorbell_armed)
		return;

	struct io_uring_sqe *sqe = wi_loop_sqe(loop);
	if (sqe == NULL)
		return; /* again next turn */
	if (is_last) {
		weir_op_cancel_token(sqe, doorbell_token());
		/* It can miss a read that is just looked at: once more. */
		loop->doorbell_retry_ns = loop->now_ns + CANCEL_RETRY_NS;
	} else {
		weir_op_read(sqe, loop->doorbell_fd, &loop->doorbell_value,
			     sizeof(loop->doorbell_value));
		wi_lend_to_fill(&loop->doorbell_value,
				sizeof(loop->doorbell_value));
		sqe->user_data = doorbell_token();
		loop->doorbell_armed = true;
	}
}

/* No connection is left, and none can come. */
static bool stop_is_empty(const struct weir_loop *loop)
{
	return loop->conns.used_count == 0 && wi_listeners_are_gone(loop) &&
	       !loop->sample.is_in_flight;
}

/* The next one that counts for wi_loop_is_overdue(). */
static uint64_t stop_tick_ns(const struct weir_loop *loop)
{
	return wi_tick_ns(loop->start_ns, loop->now_ns, loop->now_tick + 1);
}

uint64_t wi_stop_due_ns(const struct weir_loop *loop)
{
	switch (loop->stop_phase) {
	case WI_STOP_SEEN:
		return 0; /* look at once: what had arrived comes now */
	case WI_STOP_CUT:
		/* The flush that shut the listeners down may leave no
		 * completion to wait for. */
		return stop_is_empty(loop) ? 0 : loop->stop_deadline_ns;
	case WI_STOP_FORCE:
		return stop_is_empty(loop) ? 0 : stop_tick_ns(loop);
	case WI_STOP_LAST:
		return wi_min_u64(loop->doorbell_retry_ns, stop_tick_ns(loop));
	default:
		return UINT64_MAX;
	}
}

/* The open ones end by themselves: each drains after its last look, or when a
 * pause that holds the last look up is over. */
static void stop_cut(struct weir_conn *conn)
{
	if (conn->state == WEIR_CONN_CONNECTING)
		wi_conn_drain(conn, WEIR_CLOSE_STOPPED);
}

static void stop_force(struct weir_conn *conn)
{
	assert(conn->state != WEIR_CONN_CONNECTING); /* stop_cut() */
	if (conn->state == WEIR_CONN_DRAINING ||
	    conn->state == WEIR_CONN_OPEN) {
		wi_loop_count(&conn->loop->stats.drain_deadlines, 1);
		conn->reason.cause = WEIR_CLOSE_NONE;
		wi_conn_stop(conn, WEIR_CLOSE_DRAIN_DEADLINE, 0);
	}
}

void wi_stop_force(struct weir_loop *loop)
{
	stop_each(loop, stop_force);
}

static bool stop_is_forced(const struct weir_loop *loop)
{
	return (loop->now_ns >= loop->stop_deadline_ns &&
		loop->late.turns_left == 0) ||
	       wi_load_acquire_u32(&loop->stop_requests) > 1;
}

/* When this thread has ended nobody can tell any more. */
static void stop_count_punts(struct weir_loop *loop)
{
	const struct weir_kernel *kernel = loop->kernel;
	int workers = kernel->punt_workers != NULL
			      ? kernel->punt_workers(kernel->ctx)
			      : 0;
	if (workers > 0) /* without /proc it is not known: 0 */
		wi_store_relaxed_u64(&loop->stats.punt_workers,
				     (uint64_t)workers);
}

bool wi_stop_advance(struct weir_loop *loop)
{
	assert(loop->stop_phase != WI_ENDED);
	switch (loop->stop_phase) {
	case WI_RUNNING:
		return true;
	case WI_STOP_SEEN:
		if (!stop_is_forced(loop) &&
		    wi_latecomers_go_on(&loop->stop_latecomers,
					loop->stats.accepts))
			return true;
		loop->stop_phase = WI_STOP_CUT;
		stop_each(loop, stop_cut);
		/* fall through */
	case WI_STOP_CUT:
		if (!stop_is_forced(loop))
			break;
		loop->stop_phase = WI_STOP_FORCE;
		/* fall through */
	case WI_STOP_FORCE:
		/* Each turn: an accept may complete ahead of its cancel. */
		wi_stop_force(loop);
		break;
	default: /* WI_STOP_LAST */
		break;
	}
	if (stop_is_empty(loop))
		loop->stop_phase = WI_STOP_LAST;
	if (loop->stop_phase == WI_STOP_LAST && !loop->doorbell_armed) {
		loop->stop_phase = WI_ENDED;
		stop_count_punts(loop);
	}
	if ((loop->stop_phase == WI_STOP_FORCE ||
	     loop->stop_phase == WI_STOP_LAST) &&
	    wi_loop_is_overdue(loop))
		wi_loop_give_up(loop, -ETIMEDOUT);
	return loop->stop_phase != WI_ENDED;
}
