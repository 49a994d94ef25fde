#include "steer_guard.h"

#include "../uring/barrier.h"

#include <assert.h>

enum { NS_PER_MS = 1000000, WHOLE_PERCENT = 100 };

void wi_guard_init(struct wi_guard *guard, uint32_t percent, uint32_t window_ms,
		   uint64_t now_ns)
{
	const uint64_t window_ns = (uint64_t)window_ms * NS_PER_MS;

	*guard = (struct wi_guard){
		.percent = percent,
		.window_ns = window_ns,
		.window_end_ns = now_ns + window_ns,
		.base_count = WI_STEER_SEATS_MAX,
	};
}

bool wi_guard_is_due(struct wi_guard *guard, uint64_t now_ns)
{
	const uint64_t end_ns = wi_counted(&guard->window_end_ns);

	if (now_ns < end_ns)
		return false;
	/* From now, not from its end: one that was looked at late does not
	 * make the next one short. */
	return wi_claim(&guard->window_end_ns, end_ns,
			now_ns + guard->window_ns);
}

/* What came in this window. Rows that are read while they grow, or a seat that
 * was away, never make it negative. */
static uint64_t guard_delta(const struct wi_guard *guard,
			    const uint64_t *counts, uint32_t seat)
{
	if (seat >= guard->base_count || counts[seat] < guard->before[seat])
		return 0;
	return counts[seat] - guard->before[seat];
}

struct guard_window {
	uint64_t total;
	uint64_t most; /* of one seat */
};

static struct guard_window guard_look(const struct wi_guard *guard,
				      const uint64_t *counts,
				      uint32_t seat_count)
{
	struct guard_window window = { .total = 0 };

	for (uint32_t i = 0; i < seat_count; i++) {
		const uint64_t delta = guard_delta(guard, counts, i);
		window.total += delta;
		if (delta > window.most)
			window.most = delta;
	}
	return window;
}

static bool guard_is_collapsed(const struct wi_guard *guard,
			       const struct guard_window *window)
{
	return window->most * WHOLE_PERCENT > guard->percent * window->total;
}

/* Some way below the limit, so that it does not go to and fro; but no lower
 * than half way to an even share, which noise alone keeps it above. */
static uint32_t guard_back_percent(const struct wi_guard *guard,
				   uint32_t seat_count)
{
	const uint32_t half_way =
		(guard->percent + WHOLE_PERCENT / seat_count) / 2;
	if (guard->percent < half_way + WI_GUARD_BACK_PERCENT)
		return half_way;
	return guard->percent - WI_GUARD_BACK_PERCENT;
}

static bool guard_is_over(const struct wi_guard *guard,
			  const struct guard_window *window,
			  uint32_t seat_count)
{
	return window->most * WHOLE_PERCENT <=
	       guard_back_percent(guard, seat_count) * window->total;
}

enum wi_guard_step wi_guard_judge(struct wi_guard *guard,
				  const uint64_t *counts, uint32_t seat_count)
{
	assert(seat_count <= WI_STEER_SEATS_MAX);
	const struct guard_window window =
		guard_look(guard, counts, seat_count);

	wi_guard_restart(guard, counts, seat_count);
	if (guard->percent >= WHOLE_PERCENT || seat_count < 2 ||
	    window.total < WI_GUARD_LEAST)
		return WI_GUARD_STAY;
	if (!guard->is_stepped && guard_is_collapsed(guard, &window)) {
		guard->is_stepped = true;
		wi_count(&guard->steps, 1);
		return WI_GUARD_STEP;
	}
	if (guard->is_stepped && guard_is_over(guard, &window, seat_count)) {
		guard->is_stepped = false;
		return WI_GUARD_STEP_BACK;
	}
	return WI_GUARD_STAY;
}

void wi_guard_restart(struct wi_guard *guard, const uint64_t *counts,
		      uint32_t seat_count)
{
	assert(seat_count <= WI_STEER_SEATS_MAX);
	for (uint32_t i = 0; i < seat_count; i++)
		guard->before[i] = counts[i];
	guard->base_count = seat_count;
}
