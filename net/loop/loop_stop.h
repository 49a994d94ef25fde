/* loop_stop.h - how a loop ends
 *
 *   RUNNING -> STOP_SEEN -> CUT -> (FORCE) -> LAST -> ENDED
 *                                     |        |        ^
 *                                     +--------+--------+ timed out
 *
 *   STOP_SEEN  every connection gets its last look: what the kernel had
 *              received by then is still shown to on_data, and answered; then
 *              the connection drains: its queue, FIN, the peer's FIN. Clients
 *              that waited in the backlog are accepted and served the same way.
 *   CUT        accepts no more; connections drain.
 *   FORCE      the drain deadline has passed, or stop was called twice.
 *   LAST       no connection is left: the doorbell's read is cancelled.
 *   timed out  an operation does not complete. The loop ends with an error, and
 *              its memory stays mapped for good: closing the ring cancels the
 *              operation, but the kernel does not report when that is done.
 */
#ifndef WEIR_NET_LOOP_STOP_H
#define WEIR_NET_LOOP_STOP_H

#include "listener.h"

#include <stdbool.h>
#include <stdint.h>

struct weir_loop;

enum wi_stop_phase {
	WI_RUNNING = 0,
	WI_STOP_SEEN,  /* accepts no more; what has arrived is still shown */
	WI_STOP_CUT,   /* every connection is draining */
	WI_STOP_FORCE, /* every connection is stopping */
	WI_STOP_LAST,  /* none is left; the doorbell is being cancelled */
	WI_ENDED,
};

struct wi_stop {
	uint32_t requests; /* written by any thread */
	enum wi_stop_phase phase;
	uint64_t deadline_ns;  /* UINT64_MAX: none, or no stop yet */
	uint32_t overdue_tick; /* the last tick that was counted */
	uint32_t overdue_ticks;
	int err; /* with which the loop ended, or 0 */
	struct wi_latecomers latecomers;
};

/* At the start of a turn: has a thread requested the stop? */
void wi_stop_look(struct weir_loop *loop);

/* When the stop needs a turn; UINT64_MAX: it does not. */
uint64_t wi_stop_due_ns(const struct weir_loop *loop);

/* Whether twice the drain time is over. */
bool wi_stop_is_overdue(const struct weir_loop *loop);

/* At the end of a turn: moves on if it is time. Return: false once ended. */
bool wi_stop_advance(struct weir_loop *loop);

/* Ends it with @err: calls each on_close and keeps the memory mapped. */
void wi_stop_time_out(struct weir_loop *loop, int err);

#endif
