#include "loop_priv.h"

enum {
	AT_ONCE = 8,
	PAUSE_NS = 1000 * 1000,
	NS_PER_MS = 1000 * 1000,
};

/* The kernel owes the loop's last completions, and it cannot be asked for
 * them. To close the ring is what is left. */
static bool refusals_are_enough(const struct weir_loop *loop)
{
	const uint64_t drain_ns =
		(uint64_t)loop->opts.drain_timeout_ms * NS_PER_MS;
	return loop->stop_phase != WI_RUNNING &&
	       loop->stop_deadline_ns != UINT64_MAX &&
	       loop->now_ns >= loop->stop_deadline_ns + drain_ns;
}

int wi_refusals_heed(struct weir_loop *loop)
{
	struct wi_refusals *refusals = &loop->refusals;
	const uint64_t turn = loop->stats.turns;
	refusals->in_a_row =
		turn == refusals->turn + 1 ? refusals->in_a_row + 1 : 1;
	refusals->turn = turn;
	refusals->count = loop->ring.stats.enters_refused;
	if (refusals->in_a_row <= AT_ONCE)
		return 0;
	if (refusals_are_enough(loop)) {
		wi_loop_give_up(loop, loop->ring.refused_err);
		return loop->stop_err;
	}
	loop->kernel->pause(loop->kernel->ctx, PAUSE_NS);
	return 0;
}
