/* backoff.h - enter back-off: the kernel refuses io_uring_enter(2)
 *
 *     refusal   1 .. AT_ONCE   try again at once: completions make room
 *               AT_ONCE ..     pause before each try, so the loop does not spin
 *     stopping, and twice the drain time is over: the loop ends
 *
 * The kernel refuses with EAGAIN or ENOMEM while there is no memory for
 * requests, and with EBUSY while the loop has not reaped completions that
 * overflowed.
 */
#ifndef WEIR_NET_BACKOFF_H
#define WEIR_NET_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct wi_core;

struct wi_backoff {
	uint64_t seen;     /* refusals so far, as of the last turn */
	uint32_t in_a_row; /* turns that were refused */
};

/* Call it after an enter. @may_end: the loop stops, and has waited long enough.
 * Returns 0 to go on, or the error with which the loop ends. */
int wi_backoff_turn(struct wi_backoff *backoff, const struct wi_core *core,
		    bool may_end);

/* The kernel was not entered in this turn, so nothing could complete. */
static inline bool wi_backoff_is_refused(const struct wi_backoff *backoff)
{
	return backoff->in_a_row > 0;
}

#endif
