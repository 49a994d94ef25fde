/* observe.h - what the simulation sees of a loop from inside
 *
 * No counter and no handler shows in which state a loop takes a completion, or
 * which moves a connection makes. Without an observer this costs two branches
 * that are never taken: one per turn and one per move.
 */
#ifndef WEIR_NET_OBSERVE_H
#define WEIR_NET_OBSERVE_H

#include <stddef.h>

struct io_uring_cqe;
struct weir_conn;
struct weir_loop;

struct wi_observer {
	void *ctx; /* first argument of both */

	/* @loop is about to act on @cqe. */
	void (*on_completion)(void *ctx, const struct weir_loop *loop,
			      const struct io_uring_cqe *cqe);

	/* The state of @conn is about to become @next, enum weir_conn_state. */
	void (*on_move)(void *ctx, const struct weir_conn *conn, unsigned next);
};

/* NULL: none. Set by wi_observe() alone. */
extern const struct wi_observer *wi_observer;

/* @observer sees all loops of the process from now on. Call it only while no
 * other thread runs a loop.
 * @observer: borrowed until the next call; NULL: none
 */
void wi_observe(const struct wi_observer *observer);

static inline void wi_observe_move(const struct weir_conn *conn, unsigned next)
{
	if (__builtin_expect(wi_observer != NULL, 0))
		wi_observer->on_move(wi_observer->ctx, conn, next);
}

#endif
