#include "conn_state.h"

#include "../core/observe.h"
#include "conn_priv.h"

#include <assert.h>

#define IN(name) (1u << WEIR_CONN_##name)
#define IN_USE (IN(OPEN) | IN(DRAINING))
#define IN_ENDING (IN(DRAINING) | IN(STOPPING) | IN(CLOSING))
#define IN_SILENT (IN(CONNECTING) | IN(CLOSING))

#define TO(name) IN(name)
static const uint8_t conn_next[WEIR_CONN_STATE_COUNT] = {
	[WEIR_CONN_FREE] = TO(CONNECTING) | TO(OPEN),
	[WEIR_CONN_CONNECTING] = TO(OPEN) | TO(STOPPING),
	[WEIR_CONN_OPEN] = TO(DRAINING) | TO(STOPPING),
	[WEIR_CONN_DRAINING] = TO(STOPPING),
	[WEIR_CONN_STOPPING] = TO(CLOSING),
	[WEIR_CONN_CLOSING] = TO(FREE),
};
#undef TO

#define TO(name) (1u << WI_RECV_##name)
static const uint8_t recv_next[WI_RECV_STATE_COUNT] = {
	[WI_RECV_IDLE] = TO(ARMED) | TO(LOOKING) | TO(ENDED),
	[WI_RECV_ARMED] = TO(UNWANTED) | TO(IDLE),
	[WI_RECV_UNWANTED] = TO(ARMED) | TO(CANCELLING) | TO(IDLE),
	[WI_RECV_CANCELLING] = TO(ARMED) | TO(IDLE),
	[WI_RECV_LOOKING] = TO(IDLE),
	[WI_RECV_ENDED] = 0,
};
#undef TO

#define TO(name) (1u << WI_FIN_##name)
static const uint8_t fin_next[WI_FIN_STATE_COUNT] = {
	[WI_FIN_NONE] = TO(IN_FLIGHT) | TO(BY_OP),
	[WI_FIN_BY_OP] = TO(IN_FLIGHT),
	[WI_FIN_IN_FLIGHT] = TO(SENT) | TO(NONE) | TO(BY_OP),
	[WI_FIN_SENT] = 0,
};
#undef TO

#define TO(name) (1u << WI_ALIVE_##name)
static const uint8_t alive_next[WI_ALIVE_STATE_COUNT] = {
	[WI_ALIVE_HEARD] = TO(ASK),
	[WI_ALIVE_ASK] = TO(ASKED) | TO(HEARD),
	[WI_ALIVE_ASKED] = TO(HEARD),
};
#undef TO

static const char *const conn_state_names[WEIR_CONN_STATE_COUNT] = {
	[WEIR_CONN_FREE] = "free",
	[WEIR_CONN_CONNECTING] = "connecting",
	[WEIR_CONN_OPEN] = "open",
	[WEIR_CONN_DRAINING] = "draining",
	[WEIR_CONN_STOPPING] = "stopping",
	[WEIR_CONN_CLOSING] = "closing",
};

const char *wi_conn_state_name(enum weir_conn_state state)
{
	return state < WEIR_CONN_STATE_COUNT ? conn_state_names[state] : "?";
}

bool wi_conn_may_move(enum weir_conn_state from, enum weir_conn_state to)
{
	return from < WEIR_CONN_STATE_COUNT && to < WEIR_CONN_STATE_COUNT &&
	       (conn_next[from] & (1u << to)) != 0;
}

void wi_conn_state_set(struct weir_conn *conn, enum weir_conn_state next)
{
	wi_observe_move(conn, next);
	assert(wi_conn_may_move(conn->state, next));
	conn->state = next;
	wi_conn_check(conn);
}

bool wi_recv_may_move(enum wi_recv_state from, enum wi_recv_state to)
{
	return from < WI_RECV_STATE_COUNT && to < WI_RECV_STATE_COUNT &&
	       (recv_next[from] & (1u << to)) != 0;
}

void wi_recv_set(struct weir_conn *conn, enum wi_recv_state next)
{
	assert(wi_recv_may_move(conn->recv, next));
	conn->recv = (uint8_t)next;
}

bool wi_fin_may_move(enum wi_fin_state from, enum wi_fin_state to)
{
	return from < WI_FIN_STATE_COUNT && to < WI_FIN_STATE_COUNT &&
	       (fin_next[from] & (1u << to)) != 0;
}

void wi_fin_set(struct weir_conn *conn, enum wi_fin_state next)
{
	assert(wi_fin_may_move(conn->fin, next));
	conn->fin = (uint8_t)next;
}

bool wi_alive_may_move(enum wi_alive_state from, enum wi_alive_state to)
{
	return from < WI_ALIVE_STATE_COUNT && to < WI_ALIVE_STATE_COUNT &&
	       (alive_next[from] & (1u << to)) != 0;
}

void wi_alive_set(struct weir_conn *conn, enum wi_alive_state next)
{
	assert(wi_alive_may_move(conn->alive, next));
	conn->alive = (uint8_t)next;
}

/* What the state machines promise about the operations in flight. */
static void check_machines(const struct weir_conn *conn)
{
	const bool is_receiving =
		conn->recv != WI_RECV_IDLE && conn->recv != WI_RECV_ENDED;
	const bool has_fin_op = wi_conn_awaits(conn, WI_CONN_INSTALL) ||
				wi_conn_awaits(conn, WI_CONN_SHUTDOWN);

	assert(conn->recv < WI_RECV_STATE_COUNT);
	assert(is_receiving == wi_conn_awaits(conn, WI_CONN_RECV));
	assert(conn->recv != WI_RECV_CANCELLING ||
	       wi_conn_awaits(conn, WI_CONN_CANCEL));
	assert(conn->fin < WI_FIN_STATE_COUNT);
	assert((conn->fin == WI_FIN_IN_FLIGHT) == has_fin_op);
	assert(conn->alive < WI_ALIVE_STATE_COUNT);
}

void wi_conn_check(const struct weir_conn *conn)
{
	assert(conn->state < WEIR_CONN_STATE_COUNT);
	const unsigned in = 1u << conn->state;
	const bool has_file = conn->file_slot != WI_NO_FILE;
	const bool has_reason = conn->reason.cause != WEIR_CLOSE_NONE;

	check_machines(conn);
	assert((conn->sendq.lent_bytes == 0) ==
	       !wi_conn_awaits(conn, WI_CONN_SEND));
	assert(conn->sendq.lent_bytes <= conn->sendq.queued_bytes);

	assert((in & IN(FREE)) == 0 || !has_file);
	assert((in & IN(FREE)) == 0 || conn->in_flight == 0);
	assert((in & IN(FREE)) == 0 || conn->sendq.head == NULL);
	assert((in & IN(FREE)) == 0 || conn->stash.bytes == NULL);
	assert((in & IN_USE) == 0 || has_file);
	assert((in & IN(OPEN)) == 0 || !has_reason);
	assert((in & IN_ENDING) == 0 || has_reason);
	assert((in & IN_SILENT) == 0 || !wi_conn_awaits(conn, WI_CONN_RECV));
	assert((in & IN_SILENT) == 0 || !wi_conn_awaits(conn, WI_CONN_SEND));
#ifdef WI_PARANOID
	wi_sendq_check(&conn->sendq);
#endif
}
