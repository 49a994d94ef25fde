#include "../core/min.h"
#include "loop_priv.h"

enum {
	LATE_NS = 2 * WI_TICK_NS,
	/* To arm what had ended, to complete it, and to see its peer's end. */
	LOOK_TURNS = 3,
};

/* The first deadline that is left. */
static uint64_t late_due_ns(const struct weir_loop *loop)
{
	uint64_t due_ns = UINT64_MAX - LATE_NS;
	const uint32_t ticks = wi_wheel_ticks_to_next(&loop->wheel);
	if (ticks != UINT32_MAX)
		due_ns = wi_tick_ns(loop->start_ns, loop->now_ns,
				    loop->wheel.now_tick + ticks);
	if (loop->stop_phase == WI_STOP_SEEN || loop->stop_phase == WI_STOP_CUT)
		due_ns = wi_min_u64(due_ns, loop->stop_deadline_ns);
	return due_ns;
}

/* Enough for each connection to be handed out, and to find a buffer. */
static uint32_t late_look_turns(const struct weir_loop *loop)
{
	const uint32_t batch =
		wi_min_u32(WI_TASKRUN_BATCH, loop->opts.buf_count);
	return loop->conns.used_count / batch + LOOK_TURNS;
}

bool wi_late_turn(struct weir_loop *loop, uint64_t before_ns)
{
	struct wi_late *late = &loop->late;

	/* The last of them judges, late again or not: no loop is kept from it
	 * for ever. */
	if (late->turns_left > 0)
		return --late->turns_left > 0;

	/* Counts from the turn before, which may have left some over. */
	if (loop->now_ns < before_ns + LATE_NS ||
	    loop->now_ns < late_due_ns(loop) + LATE_NS)
		return false;
	late->turns_left = late_look_turns(loop);
	wi_loop_count(&loop->stats.late_turns, 1);
	return true;
}
