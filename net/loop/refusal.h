/* refusal.h - a kernel that will not be entered
 *
 *     refused   1 .. AT_ONCE   once more, at once: completions make room
 *               AT_ONCE ..     after a pause each: a loop does not spin
 *               while stopping, and twice the drain's time is over: it ends
 *
 * io_uring_enter(2) refuses with EAGAIN or ENOMEM while there is no memory for
 * requests, and with EBUSY while completions wait that nobody has reaped.
 */
#ifndef WEIR_NET_REFUSAL_H
#define WEIR_NET_REFUSAL_H

#include <stdint.h>

struct weir_loop;

struct wi_refusals {
	uint64_t count;    /* as of the last look */
	uint64_t turn;     /* of the last one */
	uint32_t in_a_row; /* turns */
};

/* After an enter that was refused. Returns 0 to go on, or the error with which
 * the loop ends. */
int wi_refusals_heed(struct weir_loop *loop);

#endif
