/* test_loop.c - one loop on the simulated kernel, changed between its turns
 *
 *     turn - turn - the test changes a word, or uses up a resource - turn
 *
 * The test makes what rarely happens by itself (a queue that stays full,
 * fragmented memory, a pool without a slot), and checks the result. Effects of
 * traffic are in the stories of test/sim.
 */
#include "../rig/kernel_wrap.h"
#include "../rig/support.h"
#include "../suites.h"

#include "../sim/sim.h"
#include "net/conn/conn_priv.h"
#include "net/loop/loop_struct.h"
#include "net/server/listen_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

enum {
	PORT = 7000,
	FAR_PORT = 9000,
	NS_PER_S = 1000000000,
	TURNS_MAX = 200, /* the awaited event takes a few */
	RIG_PEERS = 3,
	CONNS = 4 + 2 * 2, /* conn_count, two backlogs */
};

static struct rig {
	struct weir_tape tape; /* benign */
	struct weir_sim *sim;
	struct kernel_wrap wrap; /* of the simulated one: counts and refuses */
	struct weir_loop *loop;
	struct weir_service service;        /* of all connections */
	struct weir_conn *conns[RIG_PEERS]; /* in the order of on_open */
	int peers[RIG_PEERS];
	bool refuses;   /* enter fails */
	bool takes_all; /* then: takes all connections and entries */
	struct weir_conn *taken[CONNS + 1]; /* and a NULL at the end */
	uint32_t want_count;
	uint8_t opcode; /* operations to fail */
	int err;        /* with this result */
	uint32_t tried;

	uint32_t opens;
	uint32_t drains;
	uint32_t shows;
	uint32_t shown_bytes;
	uint32_t closes;
	struct weir_close_reason reason; /* of the last close */
} rig;

/* ---- the rig ----------------------------------------------------------- */

static void rig_on_open(struct weir_conn *conn, void *ctx)
{
	(void)ctx;
	rig.conns[rig.opens++] = conn;
}

/* Looks at the bytes and uses none. */
static ssize_t rig_on_data(struct weir_conn *conn, const uint8_t *bytes,
			   size_t byte_count, void *ctx)
{
	(void)conn;
	(void)bytes;
	(void)ctx;
	rig.shows++;
	rig.shown_bytes = (uint32_t)byte_count;
	return 0;
}

static void rig_on_writable(struct weir_conn *conn, void *ctx)
{
	(void)conn;
	(void)ctx;
	rig.drains++;
}

static void rig_on_close(struct weir_conn *conn,
			 const struct weir_close_reason *reason, void *ctx)
{
	(void)conn;
	(void)ctx;
	rig.closes++;
	rig.reason = *reason;
}

static const struct weir_service all_handlers = {
	.handlers = { .on_open = rig_on_open,
		      .on_data = rig_on_data,
		      .on_writable = rig_on_writable,
		      .on_close = rig_on_close },
};

/* No test here checks on_data and on_writable. */
static const struct weir_service few_handlers = {
	.handlers = { .on_open = rig_on_open, .on_close = rig_on_close },
};

/* The submission queue is full, and stays so until sq_heal(). */
static void sq_jam(void)
{
	rig.refuses = true;
	while (weir_ring_take_sqe(&rig.loop->core.ring) != NULL)
		; /* all zero: a no-op; its completion is ignored */
}

static void sq_heal(void)
{
	rig.refuses = false;
}

/* Takes all slots of the pool. */
static void conns_take(void)
{
	int count = 0;
	while ((rig.taken[count] = wi_conn_birth(
			&rig.loop->conns, &rig.loop->conns.services.list[0])) !=
	       NULL)
		count++;
	ck_assert_int_eq(count, CONNS);
}

static void conns_give(void)
{
	for (int i = 0; i < CONNS; i++)
		wi_conn_death(rig.taken[i]);
}

static bool rig_before(void *ctx, struct kernel_call *call)
{
	(void)ctx;
	if (call->id != CALL_ENTER)
		return false;
	rig.want_count = call->enter.min_complete;
	call->result = -EBUSY;
	return rig.refuses;
}

static void rig_after(void *ctx, struct kernel_call *call)
{
	(void)ctx;
	if (call->id != CALL_ENTER)
		return;
	if (rig.takes_all) {
		conns_take();
		sq_jam();
	}
	rig.takes_all = false;
}

static int rig_attempt(struct weir_sim *sim,
		       const struct weir_sim_attempt *what, void *ctx)
{
	(void)sim;
	(void)ctx;
	if (what->opcode != rig.opcode || what->is_cancelled)
		return 0;
	rig.tried++;
	return rig.err;
}

static int rig_listen(void)
{
	struct wi_listen_request request = {
		.backlog = (int)weir_loop_backlog(rig.loop),
	};
	ck_assert_int_eq(weir_addr_parse("0.0.0.0", PORT, &request.addr), 0);
	const int fd = wi_listen_socket_open(&rig.wrap.kernel, &request, NULL);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Small sizes, where @opts and @service give none. */
static void rig_start(struct weir_loop_opts opts,
		      const struct weir_service *service)
{
	const struct weir_sim_opts world = { .is_instant = true,
					     .allows_misuse = true };
	struct weir_error error = { .code = 0 };

	memset(&rig, 0, sizeof(rig));
	ck_assert_int_eq(weir_sim_open(&rig.sim, &rig.tape, &world), 0);
	kernel_wrap_init(&rig.wrap, weir_sim_kernel(rig.sim), rig_before,
			 rig_after, NULL);
	opts.ring.kernel = &rig.wrap.kernel;
	opts.ring.sq_entry_count = 8;
	opts.ring.cq_entry_count = 16;
	opts.conn_count = 4;
	opts.backlog = 2;
	opts.buf_count = 4;
	opts.buf_bytes = 64;
	opts.block_memory_bytes = 1;
	rig.service = *service;
	if (rig.service.message_bytes_max == 0)
		rig.service.message_bytes_max = 16;
	int err = weir_loop_open(&rig.loop, &opts, &error);
	ck_assert_msg(err == 0, "%s", error.text);
	err = weir_loop_listen(rig.loop, &rig.service, rig_listen(), &error);
	ck_assert_msg(err == 0, "%s", error.text);
	ck_assert_int_eq(weir_loop_enable(rig.loop), 0);
}

static void rig_turns(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		ck_assert_int_eq(weir_loop_turn(rig.loop, 0), 1);
}

static void rig_turn_until(const uint32_t *counter, uint32_t count)
{
	for (int i = 0; i < TURNS_MAX && *counter < count; i++)
		ck_assert_int_eq(weir_loop_turn(rig.loop, 1000000), 1);
	ck_assert_uint_eq(*counter, count);
}

/* @count clients, all open. */
static void rig_clients(int count)
{
	rig_turns(1);
	for (int i = 0; i < count; i++) {
		rig.peers[i] = weir_sim_connect(rig.sim, PORT);
		ck_assert_int_ge(rig.peers[i], 0);
		rig_turn_until(&rig.opens, (uint32_t)i + 1);
	}
	rig_turns(2); /* their receives are armed */
}

/* The loop ends and frees all its resources. */
static void rig_end(void)
{
	struct weir_sim_residue residue;
	int result = 1;
	weir_loop_stop(rig.loop);
	for (int i = 0; i < TURNS_MAX && result == 1; i++)
		result = weir_loop_turn(rig.loop, WEIR_TIMEOUT_NEVER);
	ck_assert_int_eq(result, 0);
	ck_assert_uint_eq(rig.loop->core.blocks.used_bytes, 0);
	weir_loop_close(rig.loop);
	weir_sim_residue(rig.sim, &residue);
	ck_assert_uint_eq(residue.descriptors, 0);
	ck_assert_uint_eq(residue.operations, 0);
	ck_assert_uint_eq(residue.mappings, 0);
	ck_assert_msg(weir_sim_violation(rig.sim) == NULL, "%s",
		      weir_sim_violation(rig.sim));
	weir_sim_close(rig.sim);
}

/* ---- the submission queue is full -------------------------------------- */

static void want_send(struct weir_conn *conn)
{
	ck_assert_int_eq(weir_conn_send(conn, "late", 4), 0);
}

static void want_check(struct weir_conn *conn)
{
	if (conn->alive == WI_ALIVE_ASKED) /* requested by an earlier pass */
		wi_alive_set(conn, WI_ALIVE_HEARD);
	wi_alive_set(conn, WI_ALIVE_ASK);
}

static void want_pause(struct weir_conn *conn)
{
	conn->is_paused = true;
	wi_recv_set(conn, WI_RECV_UNWANTED);
}

static void want_close(struct weir_conn *conn)
{
	weir_conn_close(conn);
}

static void want_abort(struct weir_conn *conn)
{
	weir_conn_abort(conn);
}

static const struct {
	const char *what;
	void (*want)(struct weir_conn *conn);
	int want_read; /* its peer reads: bytes, 0 for FIN, or an errno */
} jam_cases[] = {
	{ "a send", want_send, 4 },         { "a check", want_check, -EAGAIN },
	{ "a pause", want_pause, -EAGAIN }, { "a close", want_close, 0 },
	{ "an abort", want_abort, 0 },
};

START_TEST(work_that_finds_the_queue_full_is_done_once_there_is_room)
{
	uint8_t bytes[8];
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	rig_clients(1);
	struct weir_conn *conn = rig.conns[0];

	sq_jam();
	jam_cases[_i].want(conn);
	const uint16_t in_flight = conn->in_flight;
	ck_assert_msg(!wi_conn_work(conn), "%s", jam_cases[_i].what);
	ck_assert_uint_eq(conn->in_flight, in_flight);
	ck_assert(!wi_conn_awaits(conn, WI_CONN_SEND) &&
		  !wi_conn_awaits(conn, WI_CONN_CANCEL));
	ck_assert(conn->fin != WI_FIN_IN_FLIGHT);

	sq_heal();
	wi_conn_mark(conn);
	rig_turns(4);
	ck_assert_msg(rig.closes == (jam_cases[_i].want == want_abort), "%s",
		      jam_cases[_i].what);
	ck_assert_msg(weir_sim_read(rig.sim, rig.peers[0], bytes,
				    sizeof(bytes)) == jam_cases[_i].want_read,
		      "%s", jam_cases[_i].what);
	rig_end();
}
END_TEST

START_TEST(a_client_without_a_slot_is_let_go_and_counted)
{
	const struct io_uring_cqe accepted = {
		.user_data = wi_token(WI_OWNER_LISTENER, WI_LISTENER_OP_ACCEPT,
				      0, 0),
		.res = 5,
		.flags = IORING_CQE_F_MORE,
	};
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	rig_turns(2);
	conns_take();

	const uint32_t queued = weir_ring_unsubmitted(&rig.loop->core.ring);
	wi_listeners_complete(&rig.loop->listeners, &accepted);
	ck_assert_uint_eq(rig.loop->core.stats.accept_drops, 1);
	ck_assert_uint_eq(weir_ring_unsubmitted(&rig.loop->core.ring),
			  queued + 1);
	ck_assert_uint_eq(rig.opens, 0);

	conns_give();
	rig_clients(1); /* the queue has room again */
	rig_end();
}
END_TEST

/* Otherwise it would keep its direct descriptor, and never be served. */
START_TEST(a_client_without_a_slot_is_let_go_though_the_queue_is_full)
{
	struct weir_sim_residue residue;
	uint8_t byte;
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	rig_turns(2);
	const int client = weir_sim_connect(rig.sim, PORT);
	ck_assert_int_ge(client, 0);
	rig.takes_all = true;
	rig_turns(1);
	ck_assert_uint_eq(rig.loop->core.stats.accept_drops, 1);
	ck_assert_uint_eq(rig.opens, 0);
	weir_sim_residue(rig.sim, &residue);
	ck_assert_uint_eq(residue.slots, 0);
	ck_assert_int_eq(weir_sim_read(rig.sim, client, &byte, 1), 0);

	sq_heal();
	conns_give();
	rig_clients(1);
	rig_end();
}
END_TEST

START_TEST(a_sample_that_finds_the_queue_full_is_left_to_the_next_client)
{
	wi_skip_if_forced_off(WEIR_RUNG_SOCKET_CMD);
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	rig_turns(2);
	wi_sample_init(&rig.loop->sample, 1, 0);
	sq_jam();
	wi_sample_accepted(&rig.loop->sample, &rig.loop->core, 5);
	ck_assert(!rig.loop->sample.is_in_flight);
	sq_heal();
	rig_turns(2);
	wi_sample_accepted(&rig.loop->sample, &rig.loop->core, 5);
	ck_assert(rig.loop->sample.is_in_flight);
	rig_turns(2); /* the socket was not made */
	ck_assert(!rig.loop->sample.is_in_flight);
	ck_assert_uint_eq(rig.loop->core.stats.samples, 0);
	rig_end();
}
END_TEST

/* Not even after months: the user chose no deadline. */
START_TEST(a_drain_without_a_deadline_outlasts_a_kernel_that_refuses)
{
	struct weir_service service = all_handlers;
	service.drain_timeout_ms = WEIR_NO_TIMEOUT;
	rig_start((struct weir_loop_opts){ 0 }, &service);
	rig_clients(1);
	weir_loop_stop(rig.loop);
	rig_turns(1);
	rig.refuses = true;
	for (int i = 0; i < 50; i++) {
		weir_sim_pass(rig.sim, UINT64_C(36) * 3600 * NS_PER_S);
		rig_turns(1);
	}
	ck_assert_uint_eq(rig.closes, 0);
	rig.refuses = false;
	weir_sim_hang_up(rig.sim, rig.peers[0]);
	rig_end();
	ck_assert_uint_eq(rig.closes, 1);
}
END_TEST

/* ---- what an operation says -------------------------------------------- */

START_TEST(a_send_that_takes_nothing_ends_its_connection)
{
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	rig_clients(1);
	struct weir_conn *conn = rig.conns[0];
	struct weir_ring *ring = &rig.loop->core.ring;

	ck_assert_int_eq(weir_conn_send(conn, "none", 4), 0);
	ck_assert(wi_conn_work(conn));
	struct io_uring_sqe *sqe =
		&ring->sqes[(ring->sq_tail - 1) & ring->sq_mask];
	ck_assert_uint_eq(wi_token_op(sqe->user_data), WI_CONN_SEND);
	/* The kernel never gives 0 here, so a no-op does. */
	const uint64_t user_data = sqe->user_data;
	memset(sqe, 0, sizeof(*sqe));
	sqe->user_data = user_data;
	rig_turn_until(&rig.closes, 1);
	ck_assert_int_eq(rig.reason.cause, WEIR_CLOSE_ERROR);
	ck_assert_int_eq(rig.reason.err, -EIO);
	rig_end();
}
END_TEST

START_TEST(an_operation_that_is_refused_for_good_shows_in_the_ladder)
{
	struct weir_rung rungs[WEIR_RUNG_COUNT];
	wi_skip_if_forced_off(WEIR_RUNG_INSTALL_SLOT);
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	rig_clients(1);
	rig.opcode = IORING_OP_FIXED_FD_INSTALL;
	rig.err = -EINVAL;
	weir_sim_on_attempt(rig.sim, rig_attempt, NULL);
	weir_conn_close(rig.conns[0]);
	rig_turns(4);
	ck_assert_uint_eq(rig.tried, 1);
	weir_loop_ladder(rig.loop, rungs);
	ck_assert_int_eq(rungs[WEIR_RUNG_INSTALL_SLOT].state, WEIR_RUNG_OFF);
	ck_assert_int_eq(rungs[WEIR_RUNG_INSTALL_SLOT].err, -EINVAL);
	weir_sim_hang_up(rig.sim, rig.peers[0]);
	rig_end();
}
END_TEST

static const int accept_errs[] = { -EMFILE,  -ENFILE, -ENOMEM,
				   -ENOBUFS, -EINVAL, -EPERM };

/* Otherwise a loop without descriptors would use all of its CPU. */
START_TEST(an_accept_that_goes_on_failing_is_tried_ten_times_a_second)
{
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	rig.opcode = IORING_OP_ACCEPT;
	rig.err = accept_errs[_i];
	weir_sim_on_attempt(rig.sim, rig_attempt, NULL);
	ck_assert_int_ge(weir_sim_connect(rig.sim, PORT), 0);

	const uint64_t end_ns = weir_sim_now_ns(rig.sim) + NS_PER_S;
	int turns = 0;
	while (weir_sim_now_ns(rig.sim) < end_ns && turns++ < TURNS_MAX)
		ck_assert_int_eq(weir_loop_turn(rig.loop, NS_PER_S), 1);
	ck_assert_int_lt(turns, TURNS_MAX);
	ck_assert_uint_ge(rig.tried, 9);
	ck_assert_uint_le(rig.tried, 11);

	rig.err = 0;
	rig_turn_until(&rig.opens, 1);
	rig_end();
}
END_TEST

static const struct {
	const char *when;
	bool is_off;
} no_delay_cases[] = {
	{ "the rung is there", false },
	{ "the rung is forced off", true },
};

START_TEST(an_outbound_connection_needs_no_socket_option)
{
	struct weir_loop_opts opts = { .conn_count = 0 };
	struct weir_addr addr;
	wi_skip_if_forced_off(WEIR_RUNG_SOCKET_CMD);
	if (no_delay_cases[_i].is_off)
		opts.ring.forced_off = weir_rung_bit(WEIR_RUNG_SOCKET_CMD);
	rig_start(opts, &all_handlers);
	rig.opcode = IORING_OP_URING_CMD;
	weir_sim_on_attempt(rig.sim, rig_attempt, NULL);
	ck_assert_int_eq(weir_sim_listen(rig.sim, FAR_PORT, 4), 0);
	ck_assert_int_eq(weir_addr_parse("127.0.0.1", FAR_PORT, &addr), 0);
	ck_assert_int_eq(
		weir_loop_connect(rig.loop, &rig.service, &addr, NULL, NULL),
		0);
	rig_turn_until(&rig.opens, 1);
	ck_assert_msg(rig.tried == !no_delay_cases[_i].is_off,
		      "%u options when %s", rig.tried, no_delay_cases[_i].when);
	weir_conn_abort(rig.conns[0]);
	rig_end();
}
END_TEST

/* ---- input ------------------------------------------------------------- */

START_TEST(without_on_data_what_arrives_is_used_up)
{
	rig_start((struct weir_loop_opts){ 0 }, &few_handlers);
	rig_clients(1);
	ck_assert_int_eq(weir_sim_write(rig.sim, rig.peers[0], "unread", 6), 6);
	rig_turns(4);
	ck_assert_uint_eq(rig.loop->core.stats.recv_bytes, 6);
	ck_assert_uint_eq(rig.loop->core.blocks.used_bytes, 0);
	weir_sim_hang_up(rig.sim, rig.peers[0]);
	rig_turn_until(&rig.closes, 1);
	ck_assert_int_eq(rig.reason.cause, WEIR_CLOSE_PEER);
	ck_assert_uint_eq(rig.reason.value, 0); /* no unfinished input */
	rig_end();
}
END_TEST

/* As if the cancel of a paused receive missed it again and again. */
START_TEST(what_arrives_behind_a_pause_has_a_bound)
{
	enum { LIMIT = 16 + 2 * 4 * 64 }; /* a message, twice the buffers */
	static const uint8_t bytes[LIMIT];
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	rig_clients(1);
	struct weir_conn *conn = rig.conns[0];

	want_pause(conn);
	wi_conn_input(conn, bytes, LIMIT - 1);
	wi_conn_input(conn, bytes, 1);
	ck_assert_int_eq(conn->state, WEIR_CONN_OPEN);
	ck_assert_uint_eq(rig.shown_bytes, 0);
	wi_conn_input(conn, bytes, 1);
	ck_assert_int_eq(conn->state, WEIR_CONN_DRAINING);
	ck_assert_int_eq(conn->reason.cause, WEIR_CLOSE_MESSAGE_LIMIT);
	ck_assert_uint_eq(conn->reason.value, LIMIT + 1);
	ck_assert_uint_eq(conn->reason.limit, 16);
	rig_end();
}
END_TEST

/* ---- memory ------------------------------------------------------------ */

/* Takes half of the memory, no two smallest blocks side by side. */
static uint32_t blocks_crumble(struct wi_blocks *blocks, void **out_blocks)
{
	uint32_t count = 0;
	uint32_t kept = 0;
	void *block;
	while ((block = wi_blocks_take(blocks, 0)) != NULL)
		out_blocks[count++] = block;
	for (uint32_t i = 0; i < count; i++) {
		const uintptr_t at = (uintptr_t)out_blocks[i];
		if (at / WI_BLOCK_BYTES_MIN % 2 == 0)
			wi_blocks_give(blocks, out_blocks[i], 0);
		else
			out_blocks[kept++] = out_blocks[i];
	}
	return kept;
}

START_TEST(memory_in_crumbs_closes_who_needs_a_whole_piece)
{
	static uint8_t bytes[WI_BLOCK_BYTES_MIN];
	struct weir_service service = all_handlers;
	service.message_bytes_max = 4096;
	rig_start((struct weir_loop_opts){ 0 }, &service);
	void **crumbs = calloc(rig.loop->core.blocks.bytes / WI_BLOCK_BYTES_MIN,
			       sizeof(*crumbs));
	ck_assert_ptr_nonnull(crumbs);
	rig_clients(1);
	const uint32_t kept = blocks_crumble(&rig.loop->core.blocks, crumbs);
	struct weir_conn *conn = rig.conns[0];

	wi_conn_input(conn, bytes, 2);
	ck_assert_int_eq(conn->state, WEIR_CONN_OPEN);
	ck_assert(conn->has_input);
	ck_assert_uint_eq(rig.loop->core.stats.block_failures, 0);
	wi_conn_input(conn, bytes, sizeof(bytes) - 1);
	ck_assert_int_eq(conn->reason.cause, WEIR_CLOSE_MEMORY);
	ck_assert_uint_eq(rig.loop->core.stats.block_failures, 1);
	for (uint32_t i = 0; i < kept; i++)
		wi_blocks_give(&rig.loop->core.blocks, crumbs[i], 0);
	free(crumbs);
	rig_end();
}
END_TEST

/* Takes the rest of the memory; blocks_return() gives it back. */
static void blocks_use_up(struct wi_blocks *blocks, void **out_blocks)
{
	for (unsigned order = 0; order <= WI_BLOCK_ORDER_MAX; order++)
		out_blocks[order] = NULL;
	for (unsigned order = WI_BLOCK_ORDER_MAX + 1; order-- > 0;)
		out_blocks[order] = wi_blocks_take(blocks, order);
}

static void blocks_return(struct wi_blocks *blocks, void **taken)
{
	for (unsigned order = 0; order <= WI_BLOCK_ORDER_MAX; order++)
		if (taken[order] != NULL)
			wi_blocks_give(blocks, taken[order], order);
}

START_TEST(a_connect_without_memory_for_the_address_is_tried_again_later)
{
	struct weir_addr addr;
	struct weir_conn *conn = NULL;
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	void *all = wi_blocks_take(&rig.loop->core.blocks, WI_BLOCK_ORDER_MAX);
	ck_assert_ptr_nonnull(all);
	ck_assert_int_eq(weir_addr_parse("127.0.0.1", FAR_PORT, &addr), 0);
	ck_assert_int_eq(
		weir_loop_connect(rig.loop, &rig.service, &addr, NULL, &conn),
		-EAGAIN);
	ck_assert_ptr_null(conn);
	ck_assert_uint_eq(rig.loop->conns.pool.used_count, 0);
	wi_blocks_give(&rig.loop->core.blocks, all, WI_BLOCK_ORDER_MAX);
	ck_assert_int_eq(
		weir_loop_connect(rig.loop, &rig.service, &addr, NULL, &conn),
		0);
	rig_turn_until(&rig.closes, 1); /* no listener there */
	ck_assert_int_eq(rig.reason.cause, WEIR_CLOSE_CONNECT);
	rig_end();
}
END_TEST

/* Three wait for memory: one stays, one is resumed by its queue, one is closed.
 */
START_TEST(of_those_who_wait_for_memory_only_who_still_waits_is_told)
{
	void *taken[WI_BLOCK_ORDER_MAX + 1];
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	rig_clients(3);
	ck_assert_int_eq(weir_sim_write(rig.sim, rig.peers[1], "kept", 4), 4);
	rig_turn_until(&rig.shows, 1);
	blocks_use_up(&rig.loop->core.blocks, taken);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_null(weir_conn_reserve(rig.conns[i], 5000));
	ck_assert_ptr_null(weir_conn_reserve(rig.conns[0], 5000));
	ck_assert_uint_eq(rig.loop->conns.waiters.count, 3); /* once each */
	wi_conn_resume(rig.conns[1]);
	ck_assert_uint_eq(rig.drains, 1);
	ck_assert_uint_eq(rig.shows, 2);
	weir_conn_abort(rig.conns[2]);
	rig_turns(1);
	ck_assert_uint_eq(rig.drains, 1); /* memory is not free yet */
	blocks_return(&rig.loop->core.blocks, taken);
	rig_turns(1);
	ck_assert_uint_eq(rig.drains, 2);
	ck_assert_uint_eq(rig.shows, 2); /* no more bytes have arrived */
	ck_assert_uint_eq(rig.loop->conns.waiters.count, 0);
	ck_assert(!rig.conns[0]->is_paused);
	rig_end();
}
END_TEST

START_TEST(without_on_writable_a_pause_ends_all_the_same)
{
	rig_start((struct weir_loop_opts){ 0 }, &few_handlers);
	rig_clients(1);
	void *all = wi_blocks_take(&rig.loop->core.blocks, WI_BLOCK_ORDER_MAX);
	ck_assert_ptr_null(weir_conn_reserve(rig.conns[0], 5000));
	ck_assert(rig.conns[0]->is_paused);
	rig_turns(1);
	wi_blocks_give(&rig.loop->core.blocks, all, WI_BLOCK_ORDER_MAX);
	rig_turns(2);
	ck_assert(!rig.conns[0]->is_paused);
	ck_assert_int_eq(weir_sim_write(rig.sim, rig.peers[0], "more", 4), 4);
	rig_turns(4);
	ck_assert_uint_eq(rig.loop->core.stats.recv_bytes, 4);
	rig_end();
}
END_TEST

/* ---- time -------------------------------------------------------------- */

START_TEST(ticks_that_nobody_wants_go_by)
{
	rig_start((struct weir_loop_opts){ .tick_interval_ms = 5 },
		  &few_handlers);
	for (int i = 0; i < 3; i++) {
		const uint64_t next_ns = rig.loop->next_tick_ns;
		weir_sim_pass(rig.sim, 7 * 1000 * 1000);
		rig_turns(1);
		ck_assert_uint_gt(rig.loop->next_tick_ns, next_ns);
	}
	rig_end();
}
END_TEST

/* Entries to submit plus expected completions have a limit too. */
START_TEST(no_turn_waits_for_more_than_a_batch)
{
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	rig_turns(2);
	for (int i = 0; i < 2; i++) {
		rig.loop->core.batching = (struct wi_batching){
			.recvs_256 = 1000 * 256,
			.turn_ns = 1000,
			.active = 1000 * WI_BATCHING_ACTIVE_SHARE,
			.tick = rig.loop->core.clock.now_tick,
		};
		if (i == 1) /* one more entry */
			(void)weir_ring_take_sqe(&rig.loop->core.ring);
		ck_assert_int_eq(weir_loop_turn(rig.loop, 1000), 1);
		ck_assert_uint_eq(rig.want_count, WI_BATCHING_MAX);
	}
	rig_end();
}
END_TEST

/* ---- completions that nothing awaits ----------------------------------- */

static void complete(struct weir_conn *conn, enum wi_conn_op op)
{
	const struct io_uring_cqe cqe = {
		.user_data = wi_token(WI_OWNER_CONN, op, 0, 0), .res = -EIO
	};
	const uint64_t stale = rig.loop->core.stats.stale_completions;
	const uint16_t in_flight = conn->in_flight;
	wi_conn_complete(conn, &cqe);
	ck_assert_uint_eq(rig.loop->core.stats.stale_completions, stale + 1);
	ck_assert_uint_eq(conn->in_flight, in_flight);
}

START_TEST(a_completion_that_nothing_awaits_is_counted_and_not_applied)
{
	static const enum wi_conn_op ops[] = {
		WI_CONN_SEND,    WI_CONN_CANCEL,     WI_CONN_CLOSE,
		WI_CONN_SOCKET,  WI_CONN_SETSOCKOPT, WI_CONN_CONNECT,
		WI_CONN_INSTALL, WI_CONN_SHUTDOWN,   WI_CONN_CHECK,
	};
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	rig_clients(1);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		complete(rig.conns[0], ops[i]);
		ck_assert_int_eq(rig.conns[0]->state, WEIR_CONN_OPEN);
	}
	/* Its socket was refused; it is closed at the end of the turn. */
	struct weir_conn *refused = wi_conn_birth(
		&rig.loop->conns, &rig.loop->conns.services.list[0]);
	ck_assert_ptr_nonnull(refused);
	complete(refused, WI_CONN_SOCKET);
	wi_conn_death(refused);
	rig_end();
}
END_TEST

START_TEST(a_check_that_has_not_ended_is_not_made_again)
{
	rig_start((struct weir_loop_opts){ 0 }, &all_handlers);
	rig_clients(1);
	struct weir_conn *conn = rig.conns[0];
	want_check(conn);
	ck_assert(wi_conn_work(conn));
	const uint16_t in_flight = conn->in_flight;
	ck_assert(wi_conn_awaits(conn, WI_CONN_CHECK));
	want_check(conn);
	ck_assert(wi_conn_work(conn));
	ck_assert_uint_eq(conn->in_flight, in_flight);
	rig_turns(2);
	ck_assert(!wi_conn_awaits(conn, WI_CONN_CHECK));
	ck_assert_int_eq(conn->state, WEIR_CONN_OPEN);
	rig_end();
}
END_TEST

WI_SUITE(loop, "loop", 0)
{
	TCase *tcase = tcase_create("hands");
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(
		tcase,
		work_that_finds_the_queue_full_is_done_once_there_is_room, 0,
		sizeof(jam_cases) / sizeof(jam_cases[0]));
	tcase_add_test(tcase, a_client_without_a_slot_is_let_go_and_counted);
	tcase_add_loop_test(
		tcase,
		an_accept_that_goes_on_failing_is_tried_ten_times_a_second, 0,
		sizeof(accept_errs) / sizeof(accept_errs[0]));
	tcase_add_test(
		tcase,
		a_client_without_a_slot_is_let_go_though_the_queue_is_full);
	tcase_add_test(
		tcase,
		a_sample_that_finds_the_queue_full_is_left_to_the_next_client);
	tcase_add_test(
		tcase,
		a_drain_without_a_deadline_outlasts_a_kernel_that_refuses);
	tcase_add_test(
		tcase,
		a_completion_that_nothing_awaits_is_counted_and_not_applied);
	tcase_add_test(tcase, a_check_that_has_not_ended_is_not_made_again);
	tcase_add_test(tcase, a_send_that_takes_nothing_ends_its_connection);
	tcase_add_test(
		tcase,
		an_operation_that_is_refused_for_good_shows_in_the_ladder);
	tcase_add_loop_test(tcase,
			    an_outbound_connection_needs_no_socket_option, 0,
			    sizeof(no_delay_cases) / sizeof(no_delay_cases[0]));
	tcase_add_test(tcase, without_on_data_what_arrives_is_used_up);
	tcase_add_test(tcase, what_arrives_behind_a_pause_has_a_bound);
	tcase_add_test(tcase, memory_in_crumbs_closes_who_needs_a_whole_piece);
	tcase_add_test(
		tcase,
		a_connect_without_memory_for_the_address_is_tried_again_later);
	tcase_add_test(
		tcase,
		of_those_who_wait_for_memory_only_who_still_waits_is_told);
	tcase_add_test(tcase, without_on_writable_a_pause_ends_all_the_same);
	tcase_add_test(tcase, ticks_that_nobody_wants_go_by);
	tcase_add_test(tcase, no_turn_waits_for_more_than_a_batch);
	suite_add_tcase(suite, tcase);
}
