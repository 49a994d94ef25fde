/* steer_guard.h - the collapse guard: when a policy piles all on one loop
 *
 *     WATCHING --- share above the limit for a whole window ---> STEPPED
 *        ^                                                          |
 *        +--- share of the policy's own choice is below again ------+
 *
 * Pure: counts in, a step out. While stepped, the program still counts what the
 * policy would have chosen, so the guard sees when the cause is gone.
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
	WI_GUARD_LEAST = 64,        /* connections, else the window goes on */
	WI_GUARD_BACK_PERCENT = 10, /* this far below the limit it steps back */
};

struct wi_guard {
	uint32_t percent; /* 100: off */
	uint64_t window_ns;
	uint64_t window_end_ns; /* the thread that moves it has the window */
	uint64_t steps;         /* to least-loaded, in all */
	bool is_stepped;
	uint32_t base_count; /* members that have a base in before[] */
	/* Shape [member], at the start of the window: chosen while watching,
	 * requested while stepped. */
	uint64_t before[WI_STEER_MEMBERS_MAX];
};

void wi_guard_init(struct wi_guard *guard, uint32_t percent, uint32_t window_ms,
		   uint64_t now_ns);

/* Any thread, often. True for one caller per window. The calls below are for
 * one thread at a time, under the lock of the guard's owner: a check may last
 * longer than a window, or meet a new policy. */
bool wi_guard_is_due(struct wi_guard *guard, uint64_t now_ns);

/* By the thread for which it was due. @counts: shape [member_count], sums over
 * all CPUs, of chosen while watching and of requested while stepped. @weights:
 * shape [member_count]; a member with 0 takes none and is left out.
 *
 * A member may have its share by weight. If that is above the limit, the limit
 * is half way from that share to the whole. A window with fewer than
 * WI_GUARD_LEAST connections decides nothing and goes on. After a step these
 * are counts of the wrong kind: restart with the right ones. The guard steps
 * back WI_GUARD_BACK_PERCENT below the limit, or half way between the limit and
 * the fair share if that is nearer. */
enum wi_guard_step wi_guard_check(struct wi_guard *guard,
				  const uint64_t *counts,
				  const uint32_t *weights,
				  uint32_t member_count);

/* The counts to compare with from now on, after a step or a new policy. The
 * window's end stays, so this window may be a short one. */
void wi_guard_restart(struct wi_guard *guard, const uint64_t *counts,
		      uint32_t member_count);

#endif
