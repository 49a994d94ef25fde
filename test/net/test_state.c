/* test_state.c - the states of a connection: each move, each refused one, and
 * what each state promises */
#include "../rig/aborts.h"
#include "../rig/support.h"
#include "../suites.h"
#include "net/conn/conn_priv.h"

/* By hand from the diagram in conn_state.h, not from its table. */
static const struct {
	enum weir_conn_state from;
	enum weir_conn_state to;
} moves[] = {
	{ WEIR_CONN_FREE, WEIR_CONN_CONNECTING },
	{ WEIR_CONN_FREE, WEIR_CONN_OPEN },
	{ WEIR_CONN_CONNECTING, WEIR_CONN_OPEN },
	{ WEIR_CONN_CONNECTING, WEIR_CONN_STOPPING },
	{ WEIR_CONN_OPEN, WEIR_CONN_DRAINING },
	{ WEIR_CONN_OPEN, WEIR_CONN_STOPPING },
	{ WEIR_CONN_DRAINING, WEIR_CONN_STOPPING },
	{ WEIR_CONN_STOPPING, WEIR_CONN_CLOSING },
	{ WEIR_CONN_CLOSING, WEIR_CONN_FREE },
};

enum {
	MOVE_COUNT = sizeof(moves) / sizeof(moves[0]),
	PAIR_COUNT = WEIR_CONN_STATE_COUNT * WEIR_CONN_STATE_COUNT,
};

static bool is_move(enum weir_conn_state from, enum weir_conn_state to)
{
	for (int i = 0; i < MOVE_COUNT; i++)
		if (moves[i].from == from && moves[i].to == to)
			return true;
	return false;
}

/* A connection that keeps all the promises of @state. */
static struct weir_conn conn_in(enum weir_conn_state state)
{
	struct weir_conn conn = { .state = (uint8_t)state,
				  .file_slot = WI_NO_FILE };
	if (state == WEIR_CONN_OPEN || state == WEIR_CONN_DRAINING)
		conn.file_slot = 3;
	if (state == WEIR_CONN_DRAINING || state == WEIR_CONN_STOPPING ||
	    state == WEIR_CONN_CLOSING)
		conn.reason.cause = WEIR_CLOSE_LOCAL;
	return conn;
}

/* ---- the table --------------------------------------------------------- */

START_TEST(state_table_has_the_moves_of_the_diagram_and_no_others)
{
	const enum weir_conn_state from =
		(enum weir_conn_state)(_i / WEIR_CONN_STATE_COUNT);
	const enum weir_conn_state to =
		(enum weir_conn_state)(_i % WEIR_CONN_STATE_COUNT);
	ck_assert_msg(wi_conn_may_move(from, to) == is_move(from, to),
		      "%s to %s", wi_conn_state_name(from),
		      wi_conn_state_name(to));
}
END_TEST

static const unsigned no_states[] = { WEIR_CONN_STATE_COUNT,
				      WEIR_CONN_STATE_COUNT + 1,
				      31,
				      32,
				      255,
				      UINT32_MAX };

START_TEST(state_that_does_not_exist_has_no_moves_and_no_name)
{
	const enum weir_conn_state none = (enum weir_conn_state)no_states[_i];
	for (int i = 0; i < WEIR_CONN_STATE_COUNT; i++) {
		ck_assert(!wi_conn_may_move((enum weir_conn_state)i, none));
		ck_assert(!wi_conn_may_move(none, (enum weir_conn_state)i));
	}
	ck_assert(!wi_conn_may_move(none, none));
	ck_assert_str_eq(wi_conn_state_name(none), "?");
}
END_TEST

START_TEST(states_have_names)
{
	static const char *const names[WEIR_CONN_STATE_COUNT] = {
		"free", "connecting", "open", "draining", "stopping", "closing",
	};
	for (int i = 0; i < WEIR_CONN_STATE_COUNT; i++)
		ck_assert_str_eq(wi_conn_state_name((enum weir_conn_state)i),
				 names[i]);
}
END_TEST

/* ---- moving ------------------------------------------------------------ */

struct attempt {
	struct weir_conn conn;
	enum weir_conn_state to;
};

static void attempt_move(void *ctx)
{
	struct attempt *attempt = ctx;
	wi_conn_state_set(&attempt->conn, attempt->to);
}

START_TEST(state_is_moved_along_the_table_and_aborts_elsewhere)
{
	const enum weir_conn_state from =
		(enum weir_conn_state)(_i / WEIR_CONN_STATE_COUNT);
	const enum weir_conn_state to =
		(enum weir_conn_state)(_i % WEIR_CONN_STATE_COUNT);
	/* Whatever else is asked of it, it promises: only the move counts. */
	struct attempt attempt = { .conn = conn_in(to), .to = to };
	attempt.conn.state = (uint8_t)from;

	ck_assert_msg(wi_aborts(attempt_move, &attempt) == !is_move(from, to),
		      "%s to %s", wi_conn_state_name(from),
		      wi_conn_state_name(to));
	ck_assert_uint_eq(attempt.conn.state, is_move(from, to) ? to : from);
}
END_TEST

START_TEST(state_move_to_no_state_aborts)
{
	struct attempt attempt = { .conn = conn_in(WEIR_CONN_OPEN),
				   .to = WEIR_CONN_STATE_COUNT };
	ck_assert(wi_aborts(attempt_move, &attempt));
}
END_TEST

START_TEST(state_move_checks_the_promises_of_the_new_state)
{
	/* OPEN may drain, but only with a reason. */
	struct attempt attempt = { .conn = conn_in(WEIR_CONN_OPEN),
				   .to = WEIR_CONN_DRAINING };
	ck_assert(wi_aborts(attempt_move, &attempt));
}
END_TEST

START_TEST(state_goes_all_the_way_round_accepted_or_connected)
{
	struct weir_conn conn = conn_in(WEIR_CONN_FREE);
	for (int round = 0; round < 2; round++) {
		if (round == 1)
			wi_conn_state_set(&conn, WEIR_CONN_CONNECTING);
		conn.file_slot = 3;
		wi_conn_state_set(&conn, WEIR_CONN_OPEN);
		conn.reason.cause = WEIR_CLOSE_LOCAL;
		wi_conn_state_set(&conn, WEIR_CONN_DRAINING);
		wi_conn_state_set(&conn, WEIR_CONN_STOPPING);
		conn.in_flight = 1;
		wi_conn_state_set(&conn, WEIR_CONN_CLOSING);
		conn.in_flight = 0;
		conn.file_slot = WI_NO_FILE;
		wi_conn_state_set(&conn, WEIR_CONN_FREE);
		conn.reason.cause = WEIR_CLOSE_NONE;
	}
}
END_TEST

/* ---- promises ---------------------------------------------------------- */

static struct wi_chunk chunk;
static uint8_t byte;

static void kept_nothing(struct weir_conn *conn)
{
	(void)conn;
}

static void kept_recv(struct weir_conn *conn)
{
	conn->in_flight = 1;
	conn->recv_armed = true;
}

static void kept_cancel(struct weir_conn *conn)
{
	conn->in_flight = 1;
	conn->cancel_in_flight = true;
}

static void kept_send(struct weir_conn *conn)
{
	conn->in_flight = 1;
	conn->send_in_flight = true;
	conn->sendq.queued_bytes = 10;
	conn->sendq.lent_bytes = 10;
	conn->sendq.head = &chunk;
	conn->sendq.tail = &chunk;
	chunk = (struct wi_chunk){ .end = 10, .capacity = 10 };
}

static void kept_stash(struct weir_conn *conn)
{
	conn->stash.bytes = &byte;
}

static void broken_recv(struct weir_conn *conn)
{
	conn->recv_armed = true;
}

static void broken_cancel(struct weir_conn *conn)
{
	conn->cancel_in_flight = true;
}

static void broken_send_without_bytes(struct weir_conn *conn)
{
	conn->in_flight = 1;
	conn->send_in_flight = true;
}

static void broken_bytes_without_send(struct weir_conn *conn)
{
	kept_send(conn);
	conn->send_in_flight = false;
}

static void broken_lent(struct weir_conn *conn)
{
	kept_send(conn);
	conn->sendq.queued_bytes = 9;
}

static void broken_state(struct weir_conn *conn)
{
	conn->state = WEIR_CONN_STATE_COUNT;
}

static void broken_file(struct weir_conn *conn)
{
	conn->file_slot = conn->file_slot == WI_NO_FILE ? 3 : WI_NO_FILE;
}

static void broken_in_flight(struct weir_conn *conn)
{
	conn->in_flight = 1;
}

static void broken_queue(struct weir_conn *conn)
{
	conn->sendq.head = &chunk;
}

static void broken_reason(struct weir_conn *conn)
{
	conn->reason.cause = conn->reason.cause == WEIR_CLOSE_NONE
				     ? WEIR_CLOSE_PEER
				     : WEIR_CLOSE_NONE;
}

#define IN(name) (1u << WEIR_CONN_##name)
#define IN_ALL ((1u << WEIR_CONN_STATE_COUNT) - 1)

static const struct {
	const char *what;
	void (*change)(struct weir_conn *conn);
	unsigned allowed_in; /* states that keep their promises with it */
} promise_cases[] = {
	{ "nothing is changed", kept_nothing, IN_ALL },
	{ "the receive is armed", kept_recv,
	  IN(OPEN) | IN(DRAINING) | IN(STOPPING) },
	{ "a cancel is in flight", kept_cancel, IN_ALL & ~IN(FREE) },
	{ "a send is in flight", kept_send,
	  IN(OPEN) | IN(DRAINING) | IN(STOPPING) },
	{ "input is kept", kept_stash, IN_ALL & ~IN(FREE) },
	{ "something is in flight", broken_in_flight, IN_ALL & ~IN(FREE) },
	{ "there is a send queue", broken_queue, IN_ALL & ~IN(FREE) },
	/* Without a socket: FREE, CONNECTING, STOPPING and CLOSING here. */
	{ "the socket is there or gone", broken_file,
	  IN(CONNECTING) | IN(STOPPING) | IN(CLOSING) },
	/* Without a reason: FREE, CONNECTING and OPEN here. */
	{ "the reason is there or gone", broken_reason,
	  IN(FREE) | IN(CONNECTING) },
	{ "the receive is armed and not in flight", broken_recv, 0 },
	{ "a cancel is in flight and not counted", broken_cancel, 0 },
	{ "a send is in flight and nothing lent", broken_send_without_bytes,
	  0 },
	{ "bytes are lent and no send in flight", broken_bytes_without_send,
	  0 },
	{ "more is lent than queued", broken_lent, 0 },
	{ "it is in no state at all", broken_state, 0 },
};

enum { PROMISE_COUNT = sizeof(promise_cases) / sizeof(promise_cases[0]) };

static void check_conn(void *ctx)
{
	wi_conn_check(ctx);
}

START_TEST(state_promises_are_kept_or_abort)
{
	const int which = _i / WEIR_CONN_STATE_COUNT;
	const enum weir_conn_state state =
		(enum weir_conn_state)(_i % WEIR_CONN_STATE_COUNT);
	const bool is_allowed =
		(promise_cases[which].allowed_in & (1u << state)) != 0;
	struct weir_conn conn = conn_in(state);

	chunk = (struct wi_chunk){ .capacity = 10 };
	promise_cases[which].change(&conn);
	if (conn.sendq.head != NULL)
		conn.sendq.tail = conn.sendq.head;
	ck_assert_msg(wi_aborts(check_conn, &conn) == !is_allowed,
		      "%s, when %s", wi_conn_state_name(state),
		      promise_cases[which].what);
}
END_TEST

Suite *suite_state(void)
{
	Suite *suite = suite_create("state");
	TCase *table = tcase_create("table");
	TCase *moving = tcase_create("moves");
	TCase *promises = tcase_create("promises");

	tcase_add_loop_test(
		table, state_table_has_the_moves_of_the_diagram_and_no_others,
		0, PAIR_COUNT);
	tcase_add_loop_test(table,
			    state_that_does_not_exist_has_no_moves_and_no_name,
			    0, sizeof(no_states) / sizeof(no_states[0]));
	tcase_add_test(table, states_have_names);
	suite_add_tcase(suite, table);

	tcase_add_loop_test(moving,
			    state_is_moved_along_the_table_and_aborts_elsewhere,
			    0, PAIR_COUNT);
	tcase_add_test(moving, state_move_to_no_state_aborts);
	tcase_add_test(moving, state_move_checks_the_promises_of_the_new_state);
	tcase_add_test(moving,
		       state_goes_all_the_way_round_accepted_or_connected);
	suite_add_tcase(suite, moving);

	tcase_add_loop_test(promises, state_promises_are_kept_or_abort, 0,
			    PROMISE_COUNT * WEIR_CONN_STATE_COUNT);
	suite_add_tcase(suite, promises);
	return suite;
}
