/* deadline.c - deadlines of a connection
 *
 *     CONNECTING, OPEN    idle deadline; after a quiet second the socket is
 *                         checked once, to see whether the peer is still there
 *     DRAINING            drain deadline
 *     STOPPING, CLOSING   cancel again, tick by tick, until the operation
 *                         timeout:
 *
 *     cancelled --- overdue, tick by tick ---> timed out: on_close, and
 *         |                                    the slot stays as it is
 *         +--- completed at last: the slot is free ---^
 *
 * Each operation ends with one completion. Until it has come, memory and
 * descriptor may still be in use by the kernel, so both are kept. The handler
 * does not wait that long for the end of the connection. Ticks are counted
 * one by one as the loop sees them: time in which the process was stopped, or
 * in which the kernel could not be entered, is not held against the kernel.
 */
#include "../../uring/mutant.h"
#include "conn_priv.h"

enum {
	QUIET_TICKS = WI_TICKS_PER_S, /* without a byte: check the peer */
};

/* A cancel can miss an operation: it does not find one that the kernel has
 * queued for a retry (a half-done send with MSG_WAITALL, seen on 6.18). So what
 * is still in flight is cancelled again at every tick. */
void wi_conn_watch_cancel(struct weir_conn *conn)
{
	struct wi_core *core = wi_conn_core(conn);
	const uint32_t ticks = conn->is_timed_out ? WI_TICKS_PER_S : 1;
	if (conn->in_flight != 0)
		wi_timer_set(&core->wheel, &conn->timer,
			     core->clock.now_tick + ticks);
	else
		wi_timer_clear(&core->wheel, &conn->timer);
}

void wi_conn_time_out(struct weir_conn *conn)
{
	struct wi_core *core = wi_conn_core(conn);
	if (conn->is_timed_out)
		return;
	conn->is_timed_out = true;
	wi_stash_clear(&conn->stash, &core->blocks);
	conn->has_input = false;
	wi_counter_add(&core->stats.operation_timeouts, 1);
	wi_conn_tell_closed(conn);
}

/* Counts a tick of a connection that is being cancelled or closed. */
static void operation_overdue(struct weir_conn *conn)
{
	if (conn->in_flight == 0)
		return;
	wi_counter_add(&wi_conn_core(conn)->stats.overdue_ticks, 1);
	if (!wi_conn_conns(conn)->is_refused &&
	    WI_MUTANT("lost-operation-is-waited-for",
		      ++conn->overdue_ticks >=
			      wi_conn_conns(conn)->services.operation_ticks,
		      false))
		wi_conn_time_out(conn);
}

/* A multishot receive can miss a reset. When the data in front of the RST and
 * the RST itself wake it only once, the kernel hands out the data and waits for
 * a next event that never comes (seen on 6.18). So the socket is checked once,
 * after QUIET_TICKS without a byte. */
void wi_conn_timer_set(struct weir_conn *conn)
{
	struct wi_core *core = wi_conn_core(conn);
	const struct wi_service *service = conn->service;
	uint32_t ticks = service->idle_ticks;
	if (conn->alive == WI_ALIVE_HEARD &&
	    (ticks == 0 || ticks > QUIET_TICKS))
		ticks = QUIET_TICKS;
	if (ticks != 0)
		wi_timer_set(&core->wheel, &conn->timer,
			     conn->touched_tick + ticks);
}

/* A byte that moves only stores its tick; the deadline is computed here. */
static void deadline_open(struct weir_conn *conn)
{
	struct wi_core *core = wi_conn_core(conn);
	const struct wi_service *service = conn->service;
	const uint32_t quiet_ticks = core->clock.now_tick - conn->touched_tick;

	const bool is_idle =
		quiet_ticks + WI_MUTANT("deadline-is-a-tick-early", 0, 1) >=
		service->idle_ticks;

	if (service->idle_ticks != 0 &&
	    WI_MUTANT("deadline-is-not-disarmed", is_idle, true)) {
		wi_counter_add(&core->stats.idle_deadlines, 1);
		wi_conn_stop(conn, WEIR_CLOSE_IDLE, 0);
		return;
	}
	if (conn->alive == WI_ALIVE_HEARD && quiet_ticks >= QUIET_TICKS) {
		wi_alive_set(conn, WI_ALIVE_ASK);
		wi_conn_mark(conn);
	}
	wi_conn_timer_set(conn);
}

static void deadline_draining(struct weir_conn *conn)
{
	struct wi_core *core = wi_conn_core(conn);
	assert(!wi_tick_before(core->clock.now_tick, conn->drain_tick));
	wi_counter_add(&core->stats.drain_deadlines, 1);
	wi_conn_stop(conn, WEIR_CLOSE_DRAIN_DEADLINE, 0);
}

/* STOPPING, CLOSING. */
static void deadline_overdue(struct weir_conn *conn)
{
	operation_overdue(conn);
	conn->cancel_wanted = conn->state == WEIR_CONN_STOPPING;
	wi_conn_watch_cancel(conn);
	wi_conn_mark(conn);
}

void wi_conn_deadline(struct weir_conn *conn)
{
	assert(conn->state != WEIR_CONN_FREE);
	if (conn->state == WEIR_CONN_CONNECTING ||
	    conn->state == WEIR_CONN_OPEN)
		deadline_open(conn);
	else if (conn->state == WEIR_CONN_DRAINING)
		deadline_draining(conn);
	else
		deadline_overdue(conn);
}
