#include "stall_guard.h"

#include "../core/core.h"
#include "../core/min.h"

enum {
	LATE_NS = 2 * WI_TICK_NS,
	/* To arm a receive, to complete it, and to see the peer's FIN. */
	LOOK_TURNS = 3,
};

/* The next deadline. */
static uint64_t guard_due_ns(const struct wi_core *core,
			     uint64_t stop_deadline_ns)
{
	uint64_t due_ns = UINT64_MAX - LATE_NS;
	const uint32_t ticks = wi_wheel_ticks_to_next(&core->wheel);
	if (ticks != UINT32_MAX)
		due_ns = wi_clock_tick_ns(&core->clock,
					  core->wheel.now_tick + ticks);
	return wi_min_u64(due_ns, stop_deadline_ns);
}

/* Enough turns for each connection to receive once, with a buffer. */
static uint32_t guard_look_turns(const struct wi_core *core,
				 uint32_t conn_count)
{
	const uint32_t batch =
		wi_min_u32(WI_TASKRUN_BATCH, core->bufs.bufring.buf_count);
	return conn_count / batch + LOOK_TURNS;
}

bool wi_stall_guard_turn(struct wi_stall_guard *guard, struct wi_core *core,
			 uint32_t conn_count, uint64_t stop_deadline_ns,
			 uint64_t before_ns)
{
	const uint64_t now_ns = core->clock.now_ns;

	/* In the last of these turns deadlines fire, even if the loop is late
	 * again: they cannot be put off for ever. */
	if (guard->turns_left > 0)
		return --guard->turns_left > 0;

	/* From the turn before, which may have left deadlines over. */
	if (now_ns < before_ns + LATE_NS ||
	    now_ns < guard_due_ns(core, stop_deadline_ns) + LATE_NS)
		return false;
	guard->turns_left = guard_look_turns(core, conn_count);
	wi_counter_add(&core->stats.stalled_turns, 1);
	return true;
}
