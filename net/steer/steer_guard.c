#include "steer_guard.h"

#include "../../uring/barrier.h"

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
		.base_count = WI_STEER_MEMBERS_MAX,
	};
}

bool wi_guard_is_due(struct wi_guard *guard, uint64_t now_ns)
{
	const uint64_t end_ns = wi_load_relaxed_u64(&guard->window_end_ns);

	if (now_ns < end_ns)
		return false;
	/* From now, not from its end: a window that was checked late does not
	 * make the next one short. */
	return wi_compare_exchange_relaxed_u64(&guard->window_end_ns, end_ns,
					       now_ns + guard->window_ns);
}

/* Connections of this window. It never becomes negative, although rows grow
 * while they are read and a member may have been away. */
static uint64_t guard_delta(const struct wi_guard *guard,
			    const uint64_t *counts, uint32_t member)
{
	if (member >= guard->base_count ||
	    counts[member] < guard->before[member])
		return 0;
	return counts[member] - guard->before[member];
}

/* Connections and weights of all members that take connections. */
struct guard_window {
	uint64_t total;
	uint64_t weight;       /* sum */
	uint32_t member_count; /* that have a weight */
};

static struct guard_window guard_look(const struct wi_guard *guard,
				      const uint64_t *counts,
				      const uint32_t *weights,
				      uint32_t member_count)
{
	struct guard_window window = { .total = 0 };

	for (uint32_t i = 0; i < member_count; i++) {
		if (weights[i] == 0)
			continue;
		window.total += guard_delta(guard, counts, i);
		window.weight += weights[i];
		window.member_count++;
	}
	return window;
}

/* A share that a member has by its weight is no collapse, whatever the limit.
 */
static uint64_t member_limit(const struct wi_guard *guard, uint64_t fair)
{
	return guard->percent > fair ? guard->percent
				     : (fair + WHOLE_PERCENT) / 2;
}

/* Some way below the limit, so that the guard does not step to and fro. But no
 * lower than half way to the fair share: noise alone can keep it above that. */
static uint64_t member_back(uint64_t limit, uint64_t fair)
{
	const uint64_t half_way = (limit + fair) / 2;
	return limit < half_way + WI_GUARD_BACK_PERCENT
		       ? half_way
		       : limit - WI_GUARD_BACK_PERCENT;
}

/* Whether any member had more than its limit; while stepped, more than the
 * lower limit that allows the step back. */
static bool guard_is_exceeded(const struct wi_guard *guard,
			      const struct guard_window *window,
			      const uint64_t *counts, const uint32_t *weights,
			      uint32_t member_count)
{
	for (uint32_t i = 0; i < member_count; i++) {
		if (weights[i] == 0)
			continue;
		const uint64_t fair =
			weights[i] * (uint64_t)WHOLE_PERCENT / window->weight;
		uint64_t limit = member_limit(guard, fair);
		if (guard->is_stepped)
			limit = member_back(limit, fair);
		if (guard_delta(guard, counts, i) * WHOLE_PERCENT >
		    limit * window->total)
			return true;
	}
	return false;
}

/* A quiet window goes on: only a member that has just joined gets a base. */
static void guard_go_on(struct wi_guard *guard, const uint64_t *counts,
			uint32_t member_count)
{
	for (uint32_t i = guard->base_count; i < member_count; i++)
		guard->before[i] = counts[i];
	if (member_count > guard->base_count)
		guard->base_count = member_count;
}

enum wi_guard_step wi_guard_check(struct wi_guard *guard,
				  const uint64_t *counts,
				  const uint32_t *weights,
				  uint32_t member_count)
{
	assert(member_count <= WI_STEER_MEMBERS_MAX);
	const struct guard_window window =
		guard_look(guard, counts, weights, member_count);
	const bool is_watching =
		guard->percent < WHOLE_PERCENT && window.member_count >= 2;

	if (is_watching && window.total < WI_GUARD_LEAST) {
		guard_go_on(guard, counts, member_count);
		return WI_GUARD_STAY;
	}
	const bool is_exceeded =
		is_watching && guard_is_exceeded(guard, &window, counts,
						 weights, member_count);
	wi_guard_restart(guard, counts, member_count);
	if (!is_watching || is_exceeded == guard->is_stepped)
		return WI_GUARD_STAY;
	guard->is_stepped = is_exceeded;
	if (!is_exceeded)
		return WI_GUARD_STEP_BACK;
	wi_counter_add(&guard->steps, 1);
	return WI_GUARD_STEP;
}

void wi_guard_restart(struct wi_guard *guard, const uint64_t *counts,
		      uint32_t member_count)
{
	assert(member_count <= WI_STEER_MEMBERS_MAX);
	for (uint32_t i = 0; i < member_count; i++)
		guard->before[i] = counts[i];
	guard->base_count = member_count;
}
