/* conn_state.h - states of a connection and the moves between them; no I/O
 *
 *   FREE --> CONNECTING --> OPEN --> DRAINING --> STOPPING --> CLOSING --> FREE
 *     |          |          ^  |                  ^
 *     |          +----------|--+---- failure -----+
 *     +------ accepted -----+
 */
#ifndef WEIR_NET_CONN_STATE_H
#define WEIR_NET_CONN_STATE_H

#include <stdbool.h>

struct weir_conn;

enum weir_conn_state {
	WEIR_CONN_FREE = 0,   /* slot unused: no socket, nothing in flight   */
	WEIR_CONN_CONNECTING, /* outbound only: socket or connect in flight  */
	WEIR_CONN_OPEN,       /* reads and writes both allowed               */
	WEIR_CONN_DRAINING,   /* handler reads no more; the queue goes out,
			       * then FIN; what arrives is thrown away until
			       * the peer's FIN, so that no reset overtakes
			       * the last answers                            */
	WEIR_CONN_STOPPING,   /* no new work; waits for in_flight == 0       */
	WEIR_CONN_CLOSING,    /* the close itself is the one op in flight    */
	WEIR_CONN_STATE_COUNT /* stays last */
};

const char *wi_conn_state_name(enum weir_conn_state state);

/* Whether the table has this move. */
bool wi_conn_may_move(enum weir_conn_state from, enum weir_conn_state to);

/* The only function that writes conn->state. */
void wi_conn_state_set(struct weir_conn *conn, enum weir_conn_state next);

/* Asserts what the connection's state promises. */
void wi_conn_check(const struct weir_conn *conn);

#endif
