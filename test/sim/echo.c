/* echo.c - handlers that send back what they are shown, and check it
 *
 *     on_open: unknown --> first byte: a peer's id --> on_close: NULL
 *
 * The handler is shown what the peer has sent, each byte once. A connection
 * closes once, and for a reason that this world has.
 */
#include "story_priv.h"

#include <errno.h>

enum { PIECE_BYTES = 256 };

/* A connection's user pointer: NULL if closed, &unknown, or a peer. */
static struct peer unknown;

static void echo_on_open(struct weir_conn *conn, void *ctx)
{
	struct sim_run *run = ctx;
	run->opens++;
	run->moved++;
	weir_conn_user_set(conn, &unknown);
}

/* How many of these bytes it takes now. Benign: all. Bytes that it leaves are
 * shown again when more arrive. */
static size_t echo_take(struct sim_run *run, struct weir_conn *conn,
			const struct peer *peer, size_t byte_count)
{
	if (run->takes_all || peer->is_rude ||
	    peer->shown + byte_count >= peer->total)
		return byte_count;
	switch (weir_tape_below(run->tape, 8)) {
	case 1:
		return 1 + weir_tape_below(run->tape, (uint32_t)byte_count);
	case 2:
		weir_conn_need(conn, byte_count + 1);
		return 0;
	default:
		return byte_count;
	}
}

/* In pieces that fit into the smallest queue. Return: bytes queued; the rest is
 * shown again when the queue has room. */
static size_t echo_send(struct weir_conn *conn, const uint8_t *bytes,
			size_t byte_count)
{
	size_t sent = 0;
	while (sent < byte_count) {
		const size_t left = byte_count - sent;
		const size_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;
		if (weir_conn_send(conn, bytes + sent, piece) < 0)
			break;
		sent += piece;
	}
	return sent;
}

static struct peer *echo_meet(struct sim_run *run, struct weir_conn *conn,
			      uint8_t id)
{
	struct peer *peer = peer_find(run, id);
	if (peer != NULL) {
		peer->home = run_loop_of(run, weir_conn_loop(conn));
		weir_conn_user_set(conn, peer);
	}
	return peer;
}

static ssize_t echo_on_data(struct weir_conn *conn, const uint8_t *bytes,
			    size_t byte_count, void *ctx)
{
	struct sim_run *run = ctx;
	struct peer *peer = weir_conn_user(conn);

	if (peer == NULL) {
		weir_sim_violate(run->sim, "on_data after on_close");
		return 0;
	}
	if (peer == &unknown)
		peer = echo_meet(run, conn, bytes[0]);
	if (peer == NULL)
		return 0;
	run->moved++;
	peer_check_shown(peer, bytes, byte_count);
	const size_t taken =
		echo_send(conn, bytes, echo_take(run, conn, peer, byte_count));
	peer->shown += (uint32_t)taken;
	if ((peer->is_polite && peer->shown == peer->total) ||
	    (peer->is_rude && !run->is_healed &&
	     weir_tape_chance(run->tape, 8))) {
		peer->was_closed = true;
		weir_conn_close(conn);
	}
	return (ssize_t)taken;
}

/* Whether something in this world can be the cause. */
static bool reason_is_true(const struct sim_run *run, const struct peer *peer,
			   bool is_stopping,
			   const struct weir_close_reason *reason)
{
	const bool has_errnos = (run->faults & WEIR_FAULT_ERRNO) != 0;
	const bool has_leaps = (run->faults & RUN_FAULTS_CLOCK) != 0;
	const bool has_lost = (run->faults & WEIR_FAULT_NEVER) != 0;

	switch (reason->cause) {
	case WEIR_CLOSE_PEER:
		return true;
	case WEIR_CLOSE_RESET:
		return has_errnos || has_lost || run->has_rude || is_stopping;
	case WEIR_CLOSE_ERROR:
		return has_errnos;
	case WEIR_CLOSE_IDLE:
		return has_leaps || has_lost || peer->is_mute ||
		       peer->pause_ms_max != 0;
	case WEIR_CLOSE_LOCAL:
		return peer->was_closed;
	case WEIR_CLOSE_DRAIN_DEADLINE:
		return has_leaps || has_errnos || has_lost || run->has_rude ||
		       is_stopping || peer->is_mute;
	case WEIR_CLOSE_STOPPED:
		return is_stopping;
	default:
		return false;
	}
}

static void echo_on_close(struct weir_conn *conn,
			  const struct weir_close_reason *reason, void *ctx)
{
	struct sim_run *run = ctx;
	const struct peer *peer = weir_conn_user(conn);
	const bool is_stopping =
		run_loop_of(run, weir_conn_loop(conn))->is_stopping;

	run->closes++;
	run->moved++;
	if (peer == NULL)
		weir_sim_violate(run->sim, "on_close twice");
	if (peer != NULL && !reason_is_true(run, peer, is_stopping, reason)) {
		weir_sim_note(run->sim, "reason %s, errno %d",
			      weir_close_cause_name(reason->cause),
			      reason->err);
		weir_sim_violate(run->sim, "a connection closes for a reason "
					   "that was never there");
	}
	/* A close without an error has lost nothing. */
	if (peer != NULL && peer != &unknown &&
	    reason->cause == WEIR_CLOSE_PEER && !peer->is_rude &&
	    !is_stopping && peer->shown != peer->total)
		weir_sim_violate(run->sim, "closed by the peer, but not all "
					   "of its bytes were shown");
	weir_conn_user_set(conn, NULL);
}

const struct weir_handlers echo_handlers = {
	.on_open = echo_on_open,
	.on_data = echo_on_data,
	.on_close = echo_on_close,
};
