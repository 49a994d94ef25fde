/* test_state.c - the states of a connection: each move, each refused move, and
 * the invariants of each state */
#include "../rig/aborts.h"
#include "../rig/support.h"
#include "../suites.h"
#include "net/conn/conn_priv.h"

/* Written by hand from the diagram in conn_state.h, not from its table. */
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

/* A connection that keeps all invariants of @state. */
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
	/* It keeps all other invariants: only the move counts. */
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
		conn.in_flight = 1u << WI_CONN_CLOSE;
		wi_conn_state_set(&conn, WEIR_CONN_CLOSING);
		conn.in_flight = 0;
		conn.file_slot = WI_NO_FILE;
		wi_conn_state_set(&conn, WEIR_CONN_FREE);
		conn.reason.cause = WEIR_CLOSE_NONE;
	}
}
END_TEST

/* ---- the three machines ------------------------------------------------ */

/* One state machine, so that one loop tests all. */
struct machine {
	const char *name;
	int state_count;
	bool (*may_move)(unsigned from, unsigned to);
	void (*set)(struct weir_conn *conn, unsigned next);
	uint8_t *(*field)(struct weir_conn *conn);
	unsigned next[8]; /* by state: a bit for each next state */
};

static bool recv_may_move(unsigned from, unsigned to)
{
	return wi_recv_may_move((enum wi_recv_state)from,
				(enum wi_recv_state)to);
}

static void recv_set(struct weir_conn *conn, unsigned next)
{
	wi_recv_set(conn, (enum wi_recv_state)next);
}

static uint8_t *recv_field(struct weir_conn *conn)
{
	return &conn->recv;
}

static bool fin_may_move(unsigned from, unsigned to)
{
	return wi_fin_may_move((enum wi_fin_state)from, (enum wi_fin_state)to);
}

static void fin_set(struct weir_conn *conn, unsigned next)
{
	wi_fin_set(conn, (enum wi_fin_state)next);
}

static uint8_t *fin_field(struct weir_conn *conn)
{
	return &conn->fin;
}

static bool alive_may_move(unsigned from, unsigned to)
{
	return wi_alive_may_move((enum wi_alive_state)from,
				 (enum wi_alive_state)to);
}

static void alive_set(struct weir_conn *conn, unsigned next)
{
	wi_alive_set(conn, (enum wi_alive_state)next);
}

static uint8_t *alive_field(struct weir_conn *conn)
{
	return &conn->alive;
}

/* Written by hand from the diagrams in conn_state.h, not from its tables. */
#define TO(name) (1u << WI_##name)
static const struct machine machines[] = {
	{ "receive",
	  WI_RECV_STATE_COUNT,
	  recv_may_move,
	  recv_set,
	  recv_field,
	  { [WI_RECV_IDLE] = TO(RECV_ARMED) | TO(RECV_LOOKING) | TO(RECV_ENDED),
	    [WI_RECV_ARMED] = TO(RECV_UNWANTED) | TO(RECV_IDLE),
	    [WI_RECV_UNWANTED] =
		    TO(RECV_CANCELLING) | TO(RECV_ARMED) | TO(RECV_IDLE),
	    [WI_RECV_CANCELLING] = TO(RECV_ARMED) | TO(RECV_IDLE),
	    [WI_RECV_LOOKING] = TO(RECV_IDLE) } },
	{ "FIN",
	  WI_FIN_STATE_COUNT,
	  fin_may_move,
	  fin_set,
	  fin_field,
	  { [WI_FIN_NONE] = TO(FIN_IN_FLIGHT) | TO(FIN_BY_OP),
	    [WI_FIN_BY_OP] = TO(FIN_IN_FLIGHT),
	    [WI_FIN_IN_FLIGHT] =
		    TO(FIN_SENT) | TO(FIN_NONE) | TO(FIN_BY_OP) } },
	{ "liveness",
	  WI_ALIVE_STATE_COUNT,
	  alive_may_move,
	  alive_set,
	  alive_field,
	  { [WI_ALIVE_HEARD] = TO(ALIVE_ASK),
	    [WI_ALIVE_ASK] = TO(ALIVE_ASKED) | TO(ALIVE_HEARD),
	    [WI_ALIVE_ASKED] = TO(ALIVE_HEARD) } },
};
#undef TO

enum { MACHINE_COUNT = sizeof(machines) / sizeof(machines[0]) };

struct machine_attempt {
	const struct machine *machine;
	struct weir_conn conn;
	unsigned to;
};

static void attempt_machine(void *ctx)
{
	struct machine_attempt *attempt = ctx;
	attempt->machine->set(&attempt->conn, attempt->to);
}

/* One more state on each side than there are. */
START_TEST(machine_moves_along_its_diagram_and_aborts_elsewhere)
{
	const struct machine *machine = &machines[_i];
	const unsigned none = (unsigned)machine->state_count;
	for (unsigned from = 0; from <= none; from++) {
		for (unsigned to = 0; to <= none; to++) {
			struct machine_attempt attempt = {
				.machine = machine,
				.conn = conn_in(WEIR_CONN_OPEN),
				.to = to,
			};
			uint8_t *field = machine->field(&attempt.conn);
			const bool may = from < none && to < none &&
					 (machine->next[from] & 1u << to) != 0;
			*field = (uint8_t)from;
			ck_assert_msg(machine->may_move(from, to) == may,
				      "%s, %u to %u", machine->name, from, to);
			ck_assert_msg(wi_aborts(attempt_machine, &attempt) ==
					      !may,
				      "%s, %u to %u", machine->name, from, to);
			ck_assert_uint_eq(*field, may ? to : from);
		}
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
	conn->in_flight = 1u << WI_CONN_RECV;
	conn->recv = WI_RECV_ARMED;
}

static void kept_cancel(struct weir_conn *conn)
{
	conn->in_flight = 1u << WI_CONN_CANCEL;
}

static void kept_send(struct weir_conn *conn)
{
	conn->in_flight = 1u << WI_CONN_SEND;
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
	conn->recv = WI_RECV_ARMED;
}

static void broken_idle(struct weir_conn *conn)
{
	conn->in_flight = 1u << WI_CONN_RECV;
}

static void broken_cancel(struct weir_conn *conn)
{
	conn->in_flight = 1u << WI_CONN_RECV;
	conn->recv = WI_RECV_CANCELLING;
}

static void kept_fin(struct weir_conn *conn)
{
	conn->in_flight = 1u << WI_CONN_INSTALL;
	conn->fin = WI_FIN_IN_FLIGHT;
}

static void broken_fin(struct weir_conn *conn)
{
	conn->fin = WI_FIN_IN_FLIGHT;
}

static void broken_fin_sent(struct weir_conn *conn)
{
	conn->in_flight = 1u << WI_CONN_SHUTDOWN;
	conn->fin = WI_FIN_SENT;
}

static void broken_recv_state(struct weir_conn *conn)
{
	conn->recv = WI_RECV_STATE_COUNT;
	conn->in_flight = 1u << WI_CONN_RECV;
}

static void broken_fin_state(struct weir_conn *conn)
{
	conn->fin = WI_FIN_STATE_COUNT;
}

static void broken_alive_state(struct weir_conn *conn)
{
	conn->alive = WI_ALIVE_STATE_COUNT;
}

static void broken_send_without_bytes(struct weir_conn *conn)
{
	conn->in_flight = 1u << WI_CONN_SEND;
}

static void broken_bytes_without_send(struct weir_conn *conn)
{
	kept_send(conn);
	conn->in_flight = 0;
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
	conn->in_flight = 1u << WI_CONN_CHECK;
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
	unsigned allowed_in; /* states that allow it */
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
	{ "a receive is in flight and the machine says none", broken_idle, 0 },
	{ "the receive is being cancelled by no cancel", broken_cancel, 0 },
	{ "the FIN is in flight", kept_fin, IN_ALL & ~IN(FREE) },
	{ "the FIN is in flight without an operation", broken_fin, 0 },
	{ "the FIN was sent and is in flight", broken_fin_sent, 0 },
	{ "the receive is in no state at all", broken_recv_state, 0 },
	{ "the FIN is in no state at all", broken_fin_state, 0 },
	{ "it is neither alive nor asked", broken_alive_state, 0 },
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

WI_SUITE(state, "state", WI_MEMCHECK)
{
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
	tcase_add_loop_test(
		moving, machine_moves_along_its_diagram_and_aborts_elsewhere, 0,
		MACHINE_COUNT);
	suite_add_tcase(suite, moving);

	tcase_add_loop_test(promises, state_promises_are_kept_or_abort, 0,
			    PROMISE_COUNT * WEIR_CONN_STATE_COUNT);
	suite_add_tcase(suite, promises);
}
