#include "ladder.h"

#include "ring_priv.h"

static bool ring_has_flags(const struct weir_ring *ring, uint32_t flags)
{
	return (ring->setup_flags & flags) == flags;
}

static struct weir_rung rung(bool is_on, const char *name, const char *since,
			     const char *costs)
{
	return (struct weir_rung){
		.name = name,
		.since = since,
		.costs = costs,
		.state = is_on ? WEIR_RUNG_ON : WEIR_RUNG_OFF,
	};
}

void weir_ladder_read(const struct weir_ring *ring, struct weir_rung *out_rungs)
{
	const bool defers = ring_has_flags(ring, IORING_SETUP_DEFER_TASKRUN);
	const bool cooperates =
		defers || ring_has_flags(ring, IORING_SETUP_COOP_TASKRUN);
	int i = 0;

	out_rungs[i++] = rung(defers, "defer-taskrun", "6.1",
			      "completions run at odd moments, not in batches");
	out_rungs[i++] = rung(cooperates, "coop-taskrun", "5.19",
			      "an interrupt between cores per completion");
	out_rungs[i++] = rung(ring_has_flags(ring, IORING_SETUP_NO_SQARRAY),
			      "no-sqarray", "6.6",
			      "4 bytes and part of a cache line per entry");
	out_rungs[i++] = rung(ring->has_registered_fd, "registered-ring",
			      "5.18", "about 70 ns per kernel entry");
	out_rungs[i++] = rung(ring->has_min_wait, "min-wait", "6.12",
			      "batches are bounded by a timeout instead");
	out_rungs[i++] = rung((ring->enter_flags & IORING_ENTER_NO_IOWAIT) != 0,
			      "no-iowait", "6.15",
			      "an idle server is shown as 100 % iowait");
}
