/* steer_guard.h - the collapse guard: when a policy piles all on one loop
 *
 *     WATCHING --- share above the limit for a whole window ---> STEPPED
 *        ^                                                          |
 *        +--- the policy's own choice is below it again for one ------+
 *
 * Pure: counts in, a step out. While stepped the program goes on counting what
 * the policy would have chosen, so the guard sees when the cause is gone.
 */
#ifndef WEIR_NET_STEER_GUARD_H
#define WEIR_NET_STEER_GUARD_H

#include "steer_rule.h"

#include <stdbool.h>
#include <stdint.h>

enum wi_guard_step {
	WI_GUARD_STAY = 0,
	WI_GUARD_STEP,      /* to least-loaded */
	WI_GUARD_STEP_BACK, /* to the policy */
};

enum {
	WI_GUARD_LEAST = 64, /* connections, or a window goes on */
	WI_GUARD_BACK_PERCENT =
		10, /* so far below the limit before the step back */
};

struct wi_guard {
	uint32_t percent; /* 100: off */
	uint64_t window_ns;
	uint64_t window_end_ns; /* claimed by the thread that moves it on */
	uint64_t steps;         /* to least-loaded, in all */
	bool is_stepped;
	uint32_t base_count; /* members that have a base in before[] */
	/* Shape [member]: as of the start of the window; of chosen while
	 * watching, of requested while stepped. */
	uint64_t before[WI_STEER_MEMBERS_MAX];
};

void wi_guard_init(struct wi_guard *guard, uint32_t percent, uint32_t window_ms,
		   uint64_t now_ns);

/* Any thread, often: true for one caller once per window. Nothing more: what
 * follows is for one thread at a time, by the lock of the guard's owner
 * (a check may last longer than a window, or meet a new policy). */
bool wi_guard_is_due(struct wi_guard *guard, uint64_t now_ns);

/* @counts: shape [member_count], sums over all CPUs, of chosen while watching
 * and of requested while stepped. @weights: shape [member_count]; a member with
 * 0 takes none and is left out. By the thread for which it was due.
 *
 * A member may have its share by weight, even where that is above the limit:
 * then half of what is left is. A window with less than WI_GUARD_LEAST says
 * nothing yet and goes on. After a step these are counts of the wrong kind:
 * restart with the right ones. It steps back WI_GUARD_BACK_PERCENT below the
 * limit, or half way between it and the fair share if that is nearer. */
enum wi_guard_step wi_guard_check(struct wi_guard *guard,
				  const uint64_t *counts,
				  const uint32_t *weights,
				  uint32_t member_count);

/* The counts to compare with from now on: after a step, or a new policy. The
 * window's end stays: it may be a short one. */
void wi_guard_restart(struct wi_guard *guard, const uint64_t *counts,
		      uint32_t member_count);

#endif
