/* conn_state.h - states of a connection and the moves between them; no I/O
 *
 * The connection itself:
 *
 *   FREE --> CONNECTING --> OPEN --> DRAINING --> STOPPING --> CLOSING --> FREE
 *     |          |          ^  |                  ^
 *     |          +----------|--+---- failure -----+
 *     +------ accepted -----+
 *
 * Its receive. UNWANTED and CANCELLING serve a handler that pauses, and
 * the last look when the loop stops:
 *
 *   IDLE --> ARMED --> UNWANTED --> CANCELLING        IDLE --> ENDED
 *    ^ ^      | ^       |   |        |    |                   (the peer's FIN)
 *    | |      | +-------+---|--------+    |
 *    | +------+-------------+-------------+
 *    +---- LOOKING <---- IDLE
 *
 * Our FIN:
 *
 *   NONE --> IN_FLIGHT --> SENT
 *    |  ^      |    ^
 *    |  +------+    |
 *    +--> BY_OP <---+      no descriptor available: the ring's own SHUTDOWN
 *
 * Whether the peer is alive:
 *
 *   HEARD --quiet--> ASK --> ASKED --bytes arrive--> HEARD
 */
#ifndef WEIR_NET_CONN_STATE_H
#define WEIR_NET_CONN_STATE_H

#include <stdbool.h>

struct weir_conn;

enum weir_conn_state {
	WEIR_CONN_FREE = 0,   /* slot unused: no socket, nothing in flight   */
	WEIR_CONN_CONNECTING, /* outbound only: socket or connect in flight  */
	WEIR_CONN_OPEN,       /* reads and writes both allowed               */
	WEIR_CONN_DRAINING,   /* on_data is called no more; the queue goes out,
			       * then FIN; what arrives is discarded until
			       * the peer's FIN, so that no reset overtakes
			       * the last answers                            */
	WEIR_CONN_STOPPING,   /* no new work; waits for nothing in flight   */
	WEIR_CONN_CLOSING,    /* the close itself is the one op in flight    */
	WEIR_CONN_STATE_COUNT /* stays last */
};

enum wi_recv_state {
	WI_RECV_IDLE = 0,   /* none in flight; the flush arms one if needed */
	WI_RECV_ARMED,      /* in flight */
	WI_RECV_UNWANTED,   /* in flight; the flush cancels it */
	WI_RECV_CANCELLING, /* in flight, and so is its cancel */
	WI_RECV_LOOKING,    /* in flight: the last look, which does not sleep */
	WI_RECV_ENDED,      /* the peer's FIN was seen; no receive is armed */
	WI_RECV_STATE_COUNT /* stays last */
};

enum wi_fin_state {
	WI_FIN_NONE = 0,
	WI_FIN_BY_OP,      /* not sent yet; needs the ring's own SHUTDOWN */
	WI_FIN_IN_FLIGHT,  /* INSTALL before a shutdown(2), or SHUTDOWN */
	WI_FIN_SENT,       /* DRAINING waits for the peer's FIN */
	WI_FIN_STATE_COUNT /* stays last */
};

enum wi_alive_state {
	WI_ALIVE_HEARD = 0,  /* bytes have arrived, or it has just opened */
	WI_ALIVE_ASK,        /* quiet: the flush checks the socket */
	WI_ALIVE_ASKED,      /* checked since bytes last arrived */
	WI_ALIVE_STATE_COUNT /* stays last */
};

const char *wi_conn_state_name(enum weir_conn_state state);

/* Whether the table has this move. */
bool wi_conn_may_move(enum weir_conn_state from, enum weir_conn_state to);

/* The only function that writes conn->state. */
void wi_conn_state_set(struct weir_conn *conn, enum weir_conn_state next);

/* The same for its three state machines. */
bool wi_recv_may_move(enum wi_recv_state from, enum wi_recv_state to);
void wi_recv_set(struct weir_conn *conn, enum wi_recv_state next);
bool wi_fin_may_move(enum wi_fin_state from, enum wi_fin_state to);
void wi_fin_set(struct weir_conn *conn, enum wi_fin_state next);
bool wi_alive_may_move(enum wi_alive_state from, enum wi_alive_state to);
void wi_alive_set(struct weir_conn *conn, enum wi_alive_state next);

/* Asserts what the connection's state promises. */
void wi_conn_check(const struct weir_conn *conn);

#endif
