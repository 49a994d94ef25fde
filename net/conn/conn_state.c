#include "conn_state.h"

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
	assert(wi_conn_may_move(conn->state, next));
	conn->state = next;
	wi_conn_check(conn);
}

void wi_conn_check(const struct weir_conn *conn)
{
	assert(conn->state < WEIR_CONN_STATE_COUNT);
	const unsigned in = 1u << conn->state;
	const bool has_file = conn->file_slot != WI_NO_FILE;
	const bool has_reason = conn->reason.cause != WEIR_CLOSE_NONE;

	assert(!conn->recv_armed || conn->in_flight > 0);
	assert(!conn->cancel_in_flight || conn->in_flight > 0);
	assert((conn->sendq.lent_bytes == 0) == !conn->send_in_flight);
	assert(conn->sendq.lent_bytes <= conn->sendq.queued_bytes);

	assert((in & IN(FREE)) == 0 || !has_file);
	assert((in & IN(FREE)) == 0 || conn->in_flight == 0);
	assert((in & IN(FREE)) == 0 || conn->sendq.head == NULL);
	assert((in & IN(FREE)) == 0 || conn->stash.bytes == NULL);
	assert((in & IN_USE) == 0 || has_file);
	assert((in & IN(OPEN)) == 0 || !has_reason);
	assert((in & IN_ENDING) == 0 || has_reason);
	assert((in & IN_SILENT) == 0 || !conn->recv_armed);
	assert((in & IN_SILENT) == 0 || !conn->send_in_flight);
#ifdef WI_PARANOID
	wi_sendq_check(&conn->sendq);
#endif
}
