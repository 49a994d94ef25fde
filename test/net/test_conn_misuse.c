/* test_conn_misuse.c - handlers that call every function at every place
 *
 * Each call of conn.h has a documented result in every callback. The handlers
 * here record the results; the client checks the effect on the wire.
 */
#include "../rig/peer.h"
#include "test_conn.h"

#include <errno.h>
#include <stdlib.h>

enum { LARGE_BYTES = 3 * 1024 * 1024 };

struct misuse {
	struct local local; /* first */
	int results[8];
	int result_count;
	bool has_room; /* reserve succeeded where it must fail */
	uint64_t shown;
	struct weir_conn *other;
	struct weir_conn *current;
	uint8_t *large;
	int step;
};

static void note(struct misuse *misuse, int result)
{
	ck_assert_int_lt(misuse->result_count, 8);
	misuse->results[misuse->result_count++] = result;
}

/* All requests, on a connection that is closing. */
static void ask_in_vain(struct misuse *misuse, struct weir_conn *conn)
{
	note(misuse, weir_conn_send(conn, "late", 4));
	note(misuse, weir_conn_send(conn, "", 0));
	if (weir_conn_reserve(conn, 1) != NULL)
		misuse->has_room = true;
	weir_conn_commit(conn, 0);
	weir_conn_need(conn, 1);
	note(misuse, weir_conn_refuse(conn, -EPROTO, 1, 2));
	weir_conn_close(conn);
	weir_conn_close(conn);
}

static void expect_in_vain(const struct misuse *misuse)
{
	ck_assert(!misuse->has_room);
	ck_assert_int_eq(misuse->result_count, 3);
	ck_assert_int_eq(misuse->results[0], -ESHUTDOWN);
	ck_assert_int_eq(misuse->results[1], -ESHUTDOWN);
	ck_assert_int_eq(misuse->results[2], -EPROTO);
}

static ssize_t count_on_data(struct weir_conn *conn, const uint8_t *bytes,
			     size_t byte_count, void *ctx)
{
	struct misuse *misuse = ctx;
	(void)conn;
	(void)bytes;
	misuse->shown++;
	return (ssize_t)byte_count;
}

/* One client sends something; returns when its connection is closed. */
static int misuse_run(struct misuse *misuse,
		      const struct weir_handlers *handlers)
{
	const struct weir_service service = { .handlers = *handlers };
	local_start(&misuse->local, NULL, &service);
	int fd = peer_open(misuse->local.port);
	peer_send(fd, "hello", 5);
	peer_half_close(fd);
	local_turn_until(&misuse->local, &misuse->local.echo.closes, 1);
	return fd;
}

static struct weir_close_reason misuse_reason(struct misuse *misuse)
{
	return echo_close_reason(&misuse->local.echo, 0);
}

static void misuse_end(struct misuse *misuse, int fd)
{
	peer_close(fd);
	local_end(&misuse->local, NULL);
}

/* ---- on_open ----------------------------------------------------------- */

static void closing_on_open(struct weir_conn *conn, void *ctx)
{
	echo_on_open(conn, ctx);
	weir_conn_close(conn);
	ask_in_vain(ctx, conn);
}

START_TEST(a_close_in_on_open_ends_in_fin_and_shows_no_data)
{
	struct misuse misuse = { .step = 0 };
	int fd = misuse_run(
		&misuse, &(struct weir_handlers){ .on_open = closing_on_open,
						  .on_data = count_on_data });
	struct weir_close_reason reason = misuse_reason(&misuse);
	echo_expect_cause(&reason, WEIR_CLOSE_LOCAL);
	expect_in_vain(&misuse);
	ck_assert_uint_eq(misuse.shown, 0);
	peer_expect_end(fd);
	misuse_end(&misuse, fd);
}
END_TEST

static void aborting_on_open(struct weir_conn *conn, void *ctx)
{
	echo_on_open(conn, ctx);
	weir_conn_abort(conn);
	ask_in_vain(ctx, conn);
	weir_conn_abort(conn);
}

START_TEST(an_abort_in_on_open_shows_no_data)
{
	struct misuse misuse = { .step = 0 };
	int fd = misuse_run(
		&misuse, &(struct weir_handlers){ .on_open = aborting_on_open,
						  .on_data = count_on_data });
	struct weir_close_reason reason = misuse_reason(&misuse);
	echo_expect_cause(&reason, WEIR_CLOSE_ABORTED);
	expect_in_vain(&misuse);
	ck_assert_uint_eq(misuse.shown, 0);
	misuse_end(&misuse, fd);
}
END_TEST

static void refusing_on_open(struct weir_conn *conn, void *ctx)
{
	echo_on_open(conn, ctx);
	(void)weir_conn_send(conn, "no", 2);
	(void)weir_conn_refuse(conn, -EACCES, 0, 0);
}

START_TEST(a_refusal_in_on_open_still_sends_what_was_queued)
{
	struct misuse misuse = { .step = 0 };
	char answer[2];
	int fd = misuse_run(&misuse, &(struct weir_handlers){
					     .on_open = refusing_on_open });
	struct weir_close_reason reason = misuse_reason(&misuse);
	echo_expect_cause(&reason, WEIR_CLOSE_REFUSED);
	ck_assert_int_eq(reason.err, -EACCES);
	peer_recv(fd, answer, 2);
	ck_assert_mem_eq(answer, "no", 2);
	peer_expect_end(fd);
	misuse_end(&misuse, fd);
}
END_TEST

static void shouting_on_open(struct weir_conn *conn, void *ctx)
{
	struct misuse *misuse = ctx;
	echo_on_open(conn, ctx);
	note(misuse, weir_conn_send(conn, misuse->large, LARGE_BYTES));
	note(misuse, weir_conn_queued_bytes(conn) == LARGE_BYTES);
	weir_conn_close(conn);
}

START_TEST(a_large_send_in_on_open_arrives_whole_before_the_close)
{
	struct misuse misuse = { .large = malloc(LARGE_BYTES) };
	uint8_t *got = malloc(LARGE_BYTES);
	(void)peer_frame_put(misuse.large, LARGE_BYTES - PEER_PREFIX_BYTES, 5);

	struct echo *echo = &misuse.local.echo;
	echo_start(echo, NULL,
		   &(struct weir_service){
			   .handlers = { .on_open = shouting_on_open } });
	int fd = peer_open(echo_port(echo));
	peer_recv(fd, got, LARGE_BYTES);
	ck_assert_mem_eq(got, misuse.large, LARGE_BYTES);
	peer_expect_end(fd);
	peer_close(fd);
	struct weir_close_reason reason = echo_close_reason(echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_LOCAL);
	ck_assert_int_eq(misuse.results[0], 0);
	ck_assert_int_eq(misuse.results[1], 1);
	echo_end(echo, NULL);
	free(misuse.large);
	free(got);
}
END_TEST

/* ---- on_data ----------------------------------------------------------- */

static ssize_t closing_on_data(struct weir_conn *conn, const uint8_t *bytes,
			       size_t byte_count, void *ctx)
{
	struct misuse *misuse = ctx;
	misuse->shown++;
	(void)weir_conn_send(conn, bytes, byte_count);
	uint8_t *room = weir_conn_reserve(conn, 5);
	memcpy(room, "later", 5);
	weir_conn_close(conn);
	/* Closed between reserve and commit: the bytes are not sent. */
	weir_conn_commit(conn, 5);
	ask_in_vain(misuse, conn);
	/* A close leaves the input valid during the call. */
	misuse->has_room |= memcmp(bytes, "hello", 5) != 0;
	return 0;
}

START_TEST(a_close_in_on_data_sends_what_was_committed_before_it)
{
	struct misuse misuse = { .step = 0 };
	char answer[8];
	size_t count = 0;
	int fd = misuse_run(
		&misuse, &(struct weir_handlers){ .on_data = closing_on_data });
	struct weir_close_reason reason = misuse_reason(&misuse);
	echo_expect_cause(&reason, WEIR_CLOSE_LOCAL);
	expect_in_vain(&misuse);
	ck_assert_uint_eq(misuse.shown, 1);
	ck_assert_int_eq(peer_recv_rest(fd, answer, sizeof(answer), &count), 0);
	ck_assert_uint_eq(count, 5);
	ck_assert_mem_eq(answer, "hello", 5);
	misuse_end(&misuse, fd);
}
END_TEST

static ssize_t aborting_on_data(struct weir_conn *conn, const uint8_t *bytes,
				size_t byte_count, void *ctx)
{
	struct misuse *misuse = ctx;
	misuse->shown++;
	(void)weir_conn_send(conn, bytes, byte_count);
	weir_conn_abort(conn);
	ask_in_vain(misuse, conn);
	return -EPROTO; /* the close came first: not the reason */
}

START_TEST(an_abort_in_on_data_loses_what_was_queued)
{
	struct misuse misuse = { .step = 0 };
	char answer[8];
	size_t count = 0;
	int fd = misuse_run(&misuse, &(struct weir_handlers){
					     .on_data = aborting_on_data });
	struct weir_close_reason reason = misuse_reason(&misuse);
	echo_expect_cause(&reason, WEIR_CLOSE_ABORTED);
	expect_in_vain(&misuse);
	(void)peer_recv_rest(fd, answer, sizeof(answer), &count);
	ck_assert_uint_eq(count, 0);
	misuse_end(&misuse, fd);
}
END_TEST

/* Reserves and returns without a commit: the room is free again. */
static ssize_t forgetful_on_data(struct weir_conn *conn, const uint8_t *bytes,
				 size_t byte_count, void *ctx)
{
	struct misuse *misuse = ctx;
	misuse->shown++;
	(void)weir_conn_send(conn, bytes, byte_count);
	if (weir_conn_reserve(conn, 10) == NULL ||
	    weir_conn_reserve(conn, 2000) == NULL)
		misuse->has_room = true;
	return (ssize_t)byte_count;
}

START_TEST(room_that_is_reserved_and_not_committed_does_no_harm)
{
	struct misuse misuse = { .step = 0 };
	char answer[6] = "";
	struct local *local = &misuse.local;

	local_start(local, NULL,
		    &(struct weir_service){
			    .handlers = { .on_data = forgetful_on_data } });
	int fd = peer_open(local->port);
	for (uint64_t i = 1; i <= 3; i++) {
		peer_send(fd, "hello", 5);
		local_turn_until(local, &misuse.shown, i);
		local_turns(local, 2);
		peer_recv(fd, answer, 5);
		ck_assert_str_eq(answer, "hello");
	}
	ck_assert(!misuse.has_room);
	peer_half_close(fd);
	local_turn_until(local, &local->echo.closes, 1);
	peer_expect_end(fd);
	misuse_end(&misuse, fd);
}
END_TEST

static ssize_t replacing_on_data(struct weir_conn *conn, const uint8_t *bytes,
				 size_t byte_count, void *ctx)
{
	(void)bytes;
	(void)ctx;
	uint8_t *room = weir_conn_reserve(conn, 100);
	memset(room, 'x', 100);
	room = weir_conn_reserve(conn, 3000);
	memcpy(room, "abcdef", 6);
	weir_conn_commit(conn, 6); /* less than was reserved */
	room = weir_conn_reserve(conn, 3);
	memcpy(room, "ghi", 3);
	weir_conn_commit(conn, 3);
	return (ssize_t)byte_count;
}

START_TEST(a_second_reserve_replaces_the_first)
{
	struct misuse misuse = { .step = 0 };
	char answer[16];
	size_t count = 0;
	int fd = misuse_run(&misuse, &(struct weir_handlers){
					     .on_data = replacing_on_data });
	ck_assert_int_eq(peer_recv_rest(fd, answer, sizeof(answer), &count), 0);
	ck_assert_uint_eq(count, 9);
	ck_assert_mem_eq(answer, "abcdefghi", 9);
	misuse_end(&misuse, fd);
}
END_TEST

/* ---- other connections ------------------------------------------------- */

static void remembering_on_open(struct weir_conn *conn, void *ctx)
{
	struct misuse *misuse = ctx;
	echo_on_open(conn, ctx);
	if (misuse->other == NULL)
		misuse->other = conn;
}

/* The second connection sends to the first, and closes it. */
static ssize_t meddling_on_data(struct weir_conn *conn, const uint8_t *bytes,
				size_t byte_count, void *ctx)
{
	struct misuse *misuse = ctx;
	misuse->shown++;
	if (conn == misuse->other)
		return 0; /* keep it: kept input ends with its connection */
	(void)weir_conn_send(misuse->other, bytes, byte_count);
	weir_conn_close(misuse->other);
	weir_conn_close(conn);
	return (ssize_t)byte_count;
}

START_TEST(a_handler_may_send_to_and_close_another_connection)
{
	struct misuse misuse = { .step = 0 };
	struct local *local = &misuse.local;
	char answer[6] = "";

	local_start(local, NULL,
		    &(struct weir_service){
			    .handlers = { .on_open = remembering_on_open,
					  .on_data = meddling_on_data } });
	int first = peer_open(local->port);
	local_turn_until(local, &local->echo.opens, 1);
	peer_send(first, "kept", 4);
	int second = peer_open(local->port);
	local_turn_until(local, &local->echo.opens, 2);
	peer_send(second, "hello", 5);
	local_turn_until(local, &misuse.shown, 2);
	peer_half_close(second);
	peer_half_close(first);
	local_turn_until(local, &local->echo.closes, 2);
	peer_recv(first, answer, 5);
	ck_assert_str_eq(answer, "hello");
	peer_expect_end(first);
	peer_expect_end(second);
	peer_close(first);
	misuse_end(&misuse, second);
}
END_TEST

/* ---- on_writable and on_tick ----------------------------------------------
 */

static ssize_t filling_on_data(struct weir_conn *conn, const uint8_t *bytes,
			       size_t byte_count, void *ctx)
{
	struct misuse *misuse = ctx;
	(void)bytes;
	misuse->current = conn;
	if (misuse->shown++ == 0)
		(void)weir_conn_send(conn, misuse->large, LARGE_BYTES);
	return (ssize_t)byte_count;
}

static void closing_on_writable(struct weir_conn *conn, void *ctx)
{
	struct misuse *misuse = ctx;
	echo_on_writable(conn, ctx);
	note(misuse, weir_conn_send(conn, "end", 3));
	weir_conn_close(conn);
}

START_TEST(a_close_in_on_writable_sends_the_rest_first)
{
	struct misuse misuse = { .large = calloc(1, LARGE_BYTES) };
	struct echo *echo = &misuse.local.echo;
	uint8_t *got = malloc(LARGE_BYTES + 4);
	size_t count = 0;

	echo_start(
		echo, NULL,
		&(struct weir_service){
			.handlers = { .on_data = filling_on_data,
				      .on_writable = closing_on_writable } });
	int fd = peer_open(echo_port(echo));
	peer_send(fd, "go", 2);
	ck_assert_int_eq(peer_recv_rest(fd, got, LARGE_BYTES + 4, &count), 0);
	ck_assert_uint_eq(count, LARGE_BYTES + 3);
	ck_assert_mem_eq(got + LARGE_BYTES, "end", 3);
	peer_close(fd);
	struct weir_close_reason reason = echo_close_reason(echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_LOCAL);
	echo_end(echo, NULL);
	free(misuse.large);
	free(got);
}
END_TEST

/* Paused for a long queue, and closed between reserve and commit. */
static void closing_on_tick(struct weir_loop *loop, void *ctx)
{
	struct misuse *misuse = ctx;
	(void)loop;
	if (misuse->current == NULL || misuse->step++ > 0)
		return;
	uint8_t *room = weir_conn_reserve(misuse->current, 3);
	memcpy(room, "end", 3);
	weir_conn_close(misuse->current);
	weir_conn_commit(misuse->current, 3);
}

START_TEST(a_commit_after_a_close_does_not_stop_the_draining)
{
	struct misuse misuse = { .large = calloc(1, LARGE_BYTES) };
	/* Without a deadline: if a connection does not end, the test hangs. */
	const struct weir_service service = {
		.handlers = { .on_data = filling_on_data },
		.drain_timeout_ms = WEIR_NO_TIMEOUT,
	};
	const struct weir_loop_opts opts = {
		.tick_interval_ms = 1,
		.hooks = { .on_tick = closing_on_tick, .ctx = &misuse },
	};
	struct local *local = &misuse.local;
	uint8_t *got = malloc(LARGE_BYTES + 4);
	size_t count = 0;

	local_start(local, &opts, &service);
	int fd = peer_open_narrow(local->port);
	peer_send(fd, "go", 2);
	local_turn_until(local, &misuse.shown, 1);
	local_turns(local, 10); /* the paused receive has ended */
	struct weir_loop_stats stats;
	do {
		ck_assert_int_eq(weir_loop_turn(local->loop, 1000000), 1);
		weir_loop_stats(local->loop, &stats);
	} while (misuse.step == 0);
	while (count < LARGE_BYTES) {
		ck_assert_int_eq(weir_loop_turn(local->loop, 1000000), 1);
		ssize_t more = recv(fd, got + count, LARGE_BYTES + 4 - count,
				    MSG_DONTWAIT);
		count += more > 0 ? (size_t)more : 0;
	}
	peer_half_close(fd);
	local_turn_until(local, &local->echo.closes, 1);
	peer_expect_end(fd);
	ck_assert_uint_eq(count, LARGE_BYTES);
	misuse_end(&misuse, fd);
	free(misuse.large);
	free(got);
}
END_TEST

/* ---- on_close ---------------------------------------------------------- */

static void asking_on_close(struct weir_conn *conn,
			    const struct weir_close_reason *reason, void *ctx)
{
	ask_in_vain(ctx, conn);
	weir_conn_abort(conn);
	echo_on_close(conn, reason, ctx);
}

START_TEST(every_call_in_on_close_is_refused_and_harmless)
{
	struct misuse misuse = { .step = 0 };
	int fd = misuse_run(&misuse, &(struct weir_handlers){
					     .on_data = count_on_data,
					     .on_close = asking_on_close });
	struct weir_close_reason reason = misuse_reason(&misuse);
	echo_expect_cause(&reason, WEIR_CLOSE_PEER);
	ck_assert_uint_eq(reason.value, 0);
	expect_in_vain(&misuse);
	ck_assert_uint_eq(misuse.shown, 1);

	/* The slot can be used again. */
	int next = peer_open(misuse.local.port);
	peer_send(next, "hello", 5);
	local_turn_until(&misuse.local, &misuse.shown, 2);
	peer_close(next);
	misuse.result_count = 0;
	local_turn_until(&misuse.local, &misuse.local.echo.closes, 2);
	misuse_end(&misuse, fd);
}
END_TEST

/* ---- what a connection knows ------------------------------------------- */

static void knowing_on_open(struct weir_conn *conn, void *ctx)
{
	struct misuse *misuse = ctx;
	echo_on_open(conn, ctx);
	note(misuse, weir_conn_user(conn) == NULL);
	note(misuse, weir_conn_loop(conn) == misuse->local.loop);
	note(misuse, (int)weir_conn_index(conn));
	note(misuse, (int)weir_conn_queued_bytes(conn));
	weir_conn_user_set(conn, misuse);
}

static void knowing_on_close(struct weir_conn *conn,
			     const struct weir_close_reason *reason, void *ctx)
{
	struct misuse *misuse = ctx;
	note(misuse, weir_conn_user(conn) == misuse);
	echo_on_close(conn, reason, ctx);
}

START_TEST(a_connection_knows_its_loop_its_index_and_its_user)
{
	struct misuse misuse = { .step = 0 };
	int fd = misuse_run(&misuse, &(struct weir_handlers){
					     .on_open = knowing_on_open,
					     .on_data = count_on_data,
					     .on_close = knowing_on_close });
	const int want[] = { true, true, 0, 0, true };
	ck_assert_int_eq(misuse.result_count, 5);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(misuse.results[i], want[i]);
	misuse_end(&misuse, fd);
}
END_TEST

/* ---- the part ---------------------------------------------------------- */

TCase *tcase_conn_misuse(void)
{
	TCase *tcase = tcase_create("misuse");
	tcase_set_timeout(tcase, CONN_TEST_TIMEOUT_S);
	tcase_add_test(tcase, a_close_in_on_open_ends_in_fin_and_shows_no_data);
	tcase_add_test(tcase, an_abort_in_on_open_shows_no_data);
	tcase_add_test(tcase, a_refusal_in_on_open_still_sends_what_was_queued);
	tcase_add_test(tcase,
		       a_large_send_in_on_open_arrives_whole_before_the_close);
	tcase_add_test(tcase,
		       a_close_in_on_data_sends_what_was_committed_before_it);
	tcase_add_test(tcase, an_abort_in_on_data_loses_what_was_queued);
	tcase_add_test(tcase,
		       room_that_is_reserved_and_not_committed_does_no_harm);
	tcase_add_test(tcase, a_second_reserve_replaces_the_first);
	tcase_add_test(tcase,
		       a_handler_may_send_to_and_close_another_connection);
	tcase_add_test(tcase, a_close_in_on_writable_sends_the_rest_first);
	tcase_add_test(tcase,
		       a_commit_after_a_close_does_not_stop_the_draining);
	tcase_add_test(tcase, every_call_in_on_close_is_refused_and_harmless);
	tcase_add_test(tcase,
		       a_connection_knows_its_loop_its_index_and_its_user);
	return tcase;
}
