#include "../../uring/mutant.h"
#include "loop_priv.h"

#include "loop_stop.h"

/* The kernel was not entered: nothing could come. */
static bool was_refused(const struct weir_loop *loop)
{
	return loop->refusals.in_a_row > 0 &&
	       loop->refusals.turn == loop->stats.turns;
}

static void conn_give_up(struct weir_conn *conn)
{
	struct weir_loop *loop = conn->loop;
	if (conn->is_given_up)
		return;
	conn->is_given_up = true;
	wi_stash_clear(&conn->stash, &loop->blocks);
	conn->has_input = false;
	wi_loop_count(&loop->stats.given_up, 1);
	wi_conn_tell_closed(conn);
}

void wi_conn_overdue(struct weir_conn *conn)
{
	struct weir_loop *loop = conn->loop;
	if (conn->in_flight == 0)
		return;
	wi_loop_count(&loop->stats.overdue_ticks, 1);
	if (!was_refused(loop) &&
	    WI_MUTANT("lost-operation-is-waited-for",
		      ++conn->overdue_ticks >= loop->give_up_ticks, false))
		conn_give_up(conn);
}

bool wi_loop_is_overdue(struct weir_loop *loop)
{
	struct wi_overdue *overdue = &loop->stop_overdue;
	if (loop->now_tick == overdue->tick || was_refused(loop))
		return false;
	overdue->tick = loop->now_tick;
	return WI_MUTANT("stop-waits-for-what-never-comes",
			 ++overdue->count > loop->give_up_ticks, false);
}

void wi_loop_give_up(struct weir_loop *loop, int err)
{
	wi_stop_force(loop);
	for (uint32_t i = 0; i < loop->conns.fresh_index; i++) {
		struct weir_conn *conn =
			(struct weir_conn *)(void *)wi_pool_at(&loop->conns, i);
		if (conn->state != WEIR_CONN_FREE)
			conn_give_up(conn);
	}
	wi_loop_count(&loop->stats.kept_bytes, loop->arena.bytes);
	loop->stop_err = err;
	loop->stop_phase = WI_ENDED;
}
