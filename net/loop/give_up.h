/* give_up.h - operations that never complete
 *
 *     cancelled --- overdue, tick by tick ---> given up: on_close, and
 *         |                                    the slot stays as it is
 *         +--- completed at last: the slot is free ---^
 *
 * The kernel owes one completion for each operation. Until it has come nobody
 * can tell when the kernel lets go of the memory and of the descriptor, so both
 * are kept; but who waits for the end of the connection need not wait as long.
 * A loop that is stopped ends with an error, and its memory stays mapped for
 * ever: the ring is closed, which cancels what is left, but without a word of
 * when that is done (see weir_ring_close()).
 *
 * Ticks are counted one by one as the loop sees them: it is not the kernel's
 * fault if the process was stopped meanwhile, or if it could not be entered.
 */
#ifndef WEIR_NET_GIVE_UP_H
#define WEIR_NET_GIVE_UP_H

#include <stdbool.h>
#include <stdint.h>

struct weir_conn;
struct weir_loop;

/* How long a loop has waited for the last of its operations. */
struct wi_overdue {
	uint32_t tick;  /* the last one that was counted */
	uint32_t count; /* ticks */
};

/* A tick of a connection whose operations were cancelled, or which is being
 * closed. */
void wi_conn_overdue(struct weir_conn *conn);

/* End of a turn of a loop that stops and has forced all. True: long enough. */
bool wi_loop_is_overdue(struct weir_loop *loop);

/* It ends, with @err: each connection is told, and the memory is kept. */
void wi_loop_give_up(struct weir_loop *loop, int err);

#endif
