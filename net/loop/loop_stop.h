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
 *   given up   an operation does not complete: see give_up.h
 */
#ifndef WEIR_NET_LOOP_STOP_H
#define WEIR_NET_LOOP_STOP_H

#include <stdbool.h>
#include <stdint.h>

struct weir_loop;

/* Has another thread asked? Start of a turn. */
void wi_stop_look(struct weir_loop *loop);

/* Keep the doorbell armed, or cancel it: part of the flush. */
void wi_stop_work(struct weir_loop *loop);

/* Every connection that is not on its way out already. */
void wi_stop_force(struct weir_loop *loop);

/* When the stop wants the loop awake; UINT64_MAX: not at all. */
uint64_t wi_stop_due_ns(const struct weir_loop *loop);

/* End of a turn: the next phase, if it is time. Return: false once ended. */
bool wi_stop_advance(struct weir_loop *loop);

#endif
