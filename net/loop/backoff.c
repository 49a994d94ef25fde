#include "backoff.h"

#include "../core/core.h"

enum {
	AT_ONCE = 8,
	PAUSE_NS = 1000 * 1000,
};

int wi_backoff_turn(struct wi_backoff *backoff, const struct wi_core *core,
		    bool may_end)
{
	const uint64_t refused = core->ring.stats.enters_refused;

	if (refused == backoff->seen) {
		backoff->in_a_row = 0;
		return 0;
	}
	backoff->seen = refused;
	if (++backoff->in_a_row <= AT_ONCE)
		return 0;
	/* The loop's last completions are pending, and the kernel cannot be
	 * asked for them. All that is left is to close the ring. */
	if (may_end)
		return core->ring.refused_err;
	core->kernel->pause(core->kernel->ctx, PAUSE_NS);
	return 0;
}
