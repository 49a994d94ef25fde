/* loop_stop.h - how a loop ends
 *
 *   RUNNING -> STOP_SEEN -> CUT -> (FORCE) -> LAST -> ENDED
 *                                     |        |        ^
 *                                     +--------+--------+ given up
 *
 *   STOP_SEEN  every connection has its last look: what the kernel had
 *              received by then is still shown to on_data, and answered; then
 *              it drains: its queue, FIN, the peer's FIN. Clients that waited
 *              in the backlog come in, and have theirs.
 *   CUT        accepts no more; connections are on their way out.
 *   FORCE      the drain deadline has passed, or stop was called twice.
 *   LAST       no connection is left: the doorbell's read is cancelled.
 *   given up   an operation does not complete. The loop ends with an error, and
 *              its memory stays mapped for good: closing the ring cancels what
 *              is left, but does not say when that is done.
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
	uint32_t requests; /* other threads' word */
	enum wi_stop_phase phase;
	uint64_t deadline_ns;  /* UINT64_MAX: none, or no stop yet */
	uint32_t overdue_tick; /* the last one that was counted */
	uint32_t overdue_ticks;
	int err; /* 0, or with what the loop ended */
	struct wi_latecomers latecomers;
};

/* Has another thread asked? Start of a turn. */
void wi_stop_look(struct weir_loop *loop);

/* When the stop wants the loop awake; UINT64_MAX: not at all. */
uint64_t wi_stop_due_ns(const struct weir_loop *loop);

/* Twice the time of a drain is over. */
bool wi_stop_is_overdue(const struct weir_loop *loop);

/* End of a turn: the next phase, if it is time. Return: false once ended. */
bool wi_stop_advance(struct weir_loop *loop);

/* It ends, with @err: each connection has its on_close, the memory is kept. */
void wi_stop_time_out(struct weir_loop *loop, int err);

#endif
