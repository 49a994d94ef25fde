/* test_stop.c - how a server ends: clean, at a deadline, or forced
 *
 * Most tests run without a drain deadline: if something does not end by itself,
 * the test hangs.
 */
#include "../rig/count_of.h"
#include "../rig/kernel_wrap.h"
#include "../rig/peer.h"
#include "../steer/steer_rig.h"
#include "../suites.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { STOP_TEST_TIMEOUT_S = 60 };

static const struct weir_service patient = {
	.drain_timeout_ms = WEIR_NO_TIMEOUT,
};

/* ---- idle ------------------------------------------------------------------
 */

START_TEST(a_stop_without_connections_needs_no_deadline)
{
	struct echo echo = { .server = NULL };
	for (int i = 0; i < 10; i++) {
		echo_start(&echo, NULL, &patient);
		echo_end(&echo, NULL);
	}
}
END_TEST

START_TEST(idle_connections_all_see_a_clean_end)
{
	enum { CLIENTS = 300 };
	const struct weir_server_opts opts = { .loop_count = 2 };
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;
	int fds[CLIENTS];

	echo_start(&echo, &opts, &patient);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = peer_open(echo_port(&echo));
	peer_round_trips(fds, CLIENTS, 1);
	weir_server_stop(echo.server);
	for (int i = 0; i < CLIENTS; i++) {
		peer_expect_end(fds[i]);
		peer_close(fds[i]);
	}
	echo_end_stopped(&echo, &stats);
	ck_assert_uint_eq(stats.closes_by[WEIR_CLOSE_STOPPED], CLIENTS);
	ck_assert_uint_eq(stats.half_closes, CLIENTS);
}
END_TEST

START_TEST(a_stop_while_nobody_accepts_still_ends)
{
	const struct weir_server_opts opts = { .loop = { .conn_count = 2 } };
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;
	int fds[4];

	echo_start(&echo, &opts, &patient);
	for (int i = 0; i < 4; i++)
		fds[i] = peer_open(echo_port(&echo));
	peer_round_trips(fds, 2, 1);
	weir_server_stop(echo.server);
	/* The waiting clients are accepted although the loop is full. */
	for (int i = 0; i < 4; i++) {
		peer_expect_end(fds[i]);
		peer_close(fds[i]);
	}
	echo_end_stopped(&echo, &stats);
	ck_assert_uint_eq(stats.accepts, 4);
}
END_TEST

/* ---- requests in flight ------------------------------------------------ */

/* Every request was sent before the stop, so the server's kernel has it. All
 * must be answered, even if the loop had not read them. */
static void stop_with_requests(const struct weir_loop_opts *opts,
			       size_t client_count, uint32_t depth,
			       size_t payload_bytes, bool is_accepted)
{
	struct local local = { .loop = NULL };
	int *fds = calloc(client_count, sizeof(*fds));

	local_start(&local, opts, &patient);
	for (size_t i = 0; i < client_count; i++)
		fds[i] = peer_open(local.port);
	if (is_accepted)
		local_turn_until(&local, &local.echo.opens, client_count);
	for (size_t i = 0; i < client_count; i++)
		for (uint32_t j = 0; j < depth; j++)
			peer_send_frame(fds[i], payload_bytes, j);
	for (size_t i = 0; i < client_count; i++)
		peer_half_close(fds[i]);
	weir_loop_stop(local.loop);
	int err = weir_loop_run(local.loop);
	ck_assert_int_eq(err, 0);
	ck_assert_uint_eq(local.echo.answers, client_count * depth);
	for (size_t i = 0; i < client_count; i++) {
		for (uint32_t j = 0; j < depth; j++)
			peer_expect_frame(fds[i], payload_bytes, j);
		peer_expect_end(fds[i]);
		peer_close(fds[i]);
	}
	local_end(&local, NULL);
	free(fds);
}

static const struct {
	const char *when;
	struct weir_loop_opts opts;
	size_t client_count;
	uint32_t depth;
	size_t payload_bytes;
	bool is_accepted;
} request_cases[] = {
	{ "accepted connections", { .conn_count = 0 }, 300, 3, 100, true },
	{ "connections in the backlog",
	  { .conn_count = 0 },
	  300,
	  3,
	  100,
	  false },
	{ "requests of many buffers",
	  { .buf_bytes = 256 },
	  20,
	  4,
	  10000,
	  true },
	{ "a backlog of requests of many buffers",
	  { .buf_bytes = 256 },
	  20,
	  4,
	  10000,
	  false },
	{ "very few buffers",
	  { .buf_count = 2, .buf_bytes = 512 },
	  100,
	  3,
	  300,
	  true },
	{ "a tiny ring",
	  { .ring = { .sq_entry_count = 2, .cq_entry_count = 8 } },
	  100,
	  3,
	  100,
	  true },
	{ "a tiny ring and a backlog",
	  { .ring = { .sq_entry_count = 2, .cq_entry_count = 8 } },
	  100,
	  3,
	  100,
	  false },
};

START_TEST(every_request_received_before_the_stop_is_answered)
{
	(void)printf("%s\n", request_cases[_i].when);
	stop_with_requests(
		&request_cases[_i].opts, request_cases[_i].client_count,
		request_cases[_i].depth, request_cases[_i].payload_bytes,
		request_cases[_i].is_accepted);
}
END_TEST

/* Clients that ask until they see the end. The server's count of answers equals
 * what they received. */
START_TEST(under_load_the_answers_counted_are_the_answers_received)
{
	enum { CLIENTS = 64 };
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;
	struct pollfd polls[CLIENTS];
	uint64_t answers = 0;
	size_t open_count = CLIENTS;
	bool is_stopped = false;

	echo_start(&echo, NULL, &patient);
	for (int i = 0; i < CLIENTS; i++) {
		polls[i] = (struct pollfd){ .fd = peer_open(echo_port(&echo)),
					    .events = POLLIN };
		peer_send_frame(polls[i].fd, 16, 7);
	}
	while (open_count > 0) {
		int ready = poll(polls, CLIENTS, PEER_TIMEOUT_S * 1000);
		ck_assert_int_gt(ready, 0);
		for (int i = 0; i < CLIENTS; i++) {
			uint8_t answer[PEER_PREFIX_BYTES + 16];
			if (polls[i].revents == 0)
				continue;
			ssize_t count = recv(polls[i].fd, answer,
					     sizeof(answer), MSG_WAITALL);
			if (count < 0 && errno == EINTR)
				continue; /* this process was stopped */
			if (count == (ssize_t)sizeof(answer)) {
				answers++;
				peer_send_frame(polls[i].fd, 16, 7);
				continue;
			}
			/* A FIN and nothing else: no reset, no partial answer.
			 */
			ck_assert_int_eq(count, 0);
			peer_close(polls[i].fd);
			polls[i].fd = -1;
			open_count--;
		}
		if (answers >= 2000 && !is_stopped) {
			weir_server_stop(echo.server); /* twice would force */
			is_stopped = true;
		}
	}
	echo_end_stopped(&echo, &stats);
	ck_assert_uint_eq(echo.answers, answers);
	ck_assert_uint_eq(stats.closes, CLIENTS);
}
END_TEST

/* ---- peers that hold it up --------------------------------------------- */

START_TEST(a_peer_that_never_closes_is_forced_at_the_drain_deadline)
{
	const struct weir_service service = { .drain_timeout_ms = 100 };
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;

	echo_start(&echo, NULL, &service);
	int fd = peer_open(echo_port(&echo));
	peer_round_trip(fd, 1);
	weir_server_stop(echo.server);
	peer_expect_end(fd); /* and does not close */
	echo_end_stopped(&echo, &stats);
	ck_assert_uint_eq(stats.closes_by[WEIR_CLOSE_DRAIN_DEADLINE], 1);
	ck_assert_uint_eq(stats.drain_deadlines, 1);
	peer_close(fd);
}
END_TEST

static uint8_t stuffing[16 * 1024 * 1024];

static void stuffing_fill(void)
{
	const size_t frame_bytes = 1024;
	for (size_t at = 0; at < sizeof(stuffing); at += frame_bytes)
		(void)peer_frame_put(stuffing + at,
				     frame_bytes - PEER_PREFIX_BYTES, 1);
}

/* Sends until the loop makes no more room for several turns. */
static size_t stuff(struct local *local, int fd)
{
	enum { TURNS_WITHOUT = 20, ACK_MS = 5 };
	size_t sent = 0;
	for (int turns = 0; turns < TURNS_WITHOUT; turns++) {
		struct pollfd wait = { .fd = fd, .events = POLLOUT };
		local_turns(local, 1);
		if (poll(&wait, 1, ACK_MS) == 0)
			continue;
		ssize_t count =
			send(fd, stuffing + sent, sizeof(stuffing) - sent,
			     MSG_DONTWAIT | MSG_NOSIGNAL);
		ck_assert_msg(count > 0, "after %zu bytes: %s", sent,
			      strerror(errno));
		sent += (size_t)count;
		turns = 0;
	}
	return sent;
}

static void turn_until_readable(struct local *local, int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	while (poll(&wait, 1, 0) == 0)
		local_turns(local, 1);
}

/* In the loop's own time: the neighbour can wait. */
START_TEST(a_peer_that_never_reads_is_forced_at_the_drain_deadline)
{
	enum { DRAIN_MS = 1000, NS_PER_MS = 1000000 };
	const struct weir_service service = { .drain_timeout_ms = DRAIN_MS };
	struct local local = { .is_time_still = true };
	struct weir_loop_stats stats;

	stuffing_fill();
	local_start(&local, NULL, &service);
	int neighbour = peer_open(local.port);
	int fd = peer_open_narrow(local.port);
	local_turn_until(&local, &local.echo.opens, 2);
	ck_assert_uint_lt(stuff(&local, fd), sizeof(stuffing));
	peer_send_frame(neighbour, 16, 1);
	turn_until_readable(&local, neighbour);
	peer_expect_frame(neighbour, 16, 1);
	weir_loop_stop(local.loop);
	turn_until_readable(&local, neighbour);
	peer_expect_end(neighbour);
	peer_close(neighbour);
	local_turn_until(&local, &local.echo.closes, 1);
	local.ahead_ns += (uint64_t)(DRAIN_MS - 100) * NS_PER_MS;
	local_turns(&local, 50);
	ck_assert_uint_eq(local.echo.closes, 1);
	local.ahead_ns += (uint64_t)DRAIN_MS * NS_PER_MS;
	while (weir_loop_turn(local.loop, (uint64_t)100 * NS_PER_MS) > 0) {
	}
	local_end(&local, &stats);
	ck_assert_uint_eq(stats.closes_by[WEIR_CLOSE_DRAIN_DEADLINE], 1);
	ck_assert_uint_eq(stats.closes_by[WEIR_CLOSE_STOPPED], 1);
	peer_close(fd);
}
END_TEST

START_TEST(a_second_stop_forces_at_once)
{
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;

	echo_start(&echo, NULL, &patient);
	int fd = peer_open(echo_port(&echo));
	peer_round_trip(fd, 1);
	weir_server_stop(echo.server);
	peer_expect_end(fd);
	weir_server_stop(echo.server);
	echo_end_stopped(&echo, &stats);
	ck_assert_uint_eq(stats.closes_by[WEIR_CLOSE_DRAIN_DEADLINE], 1);
	peer_close(fd);
}
END_TEST

/* Clients that come during a forced stop must not keep it alive. */
START_TEST(two_stops_at_once_end_while_clients_are_coming)
{
	enum { CYCLES = 30, CLIENTS = 40 };
	struct echo echo = { .server = NULL };
	int fds[CLIENTS];
	for (int cycle = 0; cycle < CYCLES; cycle++) {
		echo_start(&echo, NULL, &patient);
		for (int i = 0; i < CLIENTS; i++) {
			fds[i] = peer_open(echo_port(&echo));
			if (i == cycle) {
				weir_server_stop(echo.server);
				weir_server_stop(echo.server);
				for (i++; i < CLIENTS; i++)
					fds[i] = -1;
			}
		}
		echo_end_stopped(&echo, NULL);
		for (int i = 0; i < CLIENTS && fds[i] >= 0; i++)
			peer_close(fds[i]);
	}
}
END_TEST

/* A kernel that lets a client in after the last look for clients. It comes
 * before the enter that cancels the accept; that enter may fail as well. */
struct late {
	struct kernel_wrap wrap;
	uint16_t port;
	int fd;
	int at; /* enters until a client connects */
	bool is_refused;
};

static bool late_before(void *ctx, struct kernel_call *call)
{
	struct late *late = ctx;
	if (call->id != CALL_ENTER || late->at == 0 || --late->at > 0)
		return false;
	late->fd = peer_try_open(late->port);
	call->result = -EAGAIN;
	return late->is_refused;
}

START_TEST(a_client_that_comes_in_behind_a_forced_stop_does_not_hang_it)
{
	struct late late = { .fd = -1, .at = 0 };
	kernel_wrap_init(&late.wrap, NULL, late_before, NULL, &late);
	const struct weir_loop_opts opts = {
		.ring = { .kernel = &late.wrap.kernel,
			  .sq_entry_count = 1,
			  .cq_entry_count = 64 },
	};
	const struct weir_service service = {
		.drain_timeout_ms = WEIR_NO_TIMEOUT,
		.idle_timeout_ms = WEIR_NO_TIMEOUT,
	};
	struct local local = { .loop = NULL };

	local_start(&local, &opts, &service);
	late.port = local.port;
	int fd = peer_open(local.port);
	local_turn_until(&local, &local.echo.opens, 1);
	local_turns(&local, 2);
	weir_loop_stop(local.loop);
	weir_loop_stop(local.loop);
	late.at = _i / 2 + 1;
	late.is_refused = _i % 2 == 1;
	ck_assert_int_eq(weir_loop_run(local.loop), 0);
	if (late.fd >= 0)
		peer_close(late.fd);
	peer_close(fd);
	local_end(&local, NULL);
}
END_TEST

/* ---- from anywhere, at any time ---------------------------------------- */

START_TEST(a_stop_before_the_first_turn_ends_the_loop)
{
	struct local local = { .loop = NULL };
	local_start(&local, NULL, &patient);
	weir_loop_stop(local.loop);
	ck_assert_int_eq(weir_loop_run(local.loop), 0);
	ck_assert_int_eq(weir_loop_turn(local.loop, 0), 0);
	weir_loop_stop(local.loop); /* after the end: harmless */
	local_end(&local, NULL);
}
END_TEST

static struct weir_server *signalled_server;

static void on_signal(int number)
{
	(void)number;
	weir_server_stop(signalled_server);
}

START_TEST(a_stop_from_a_signal_handler_is_a_stop)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct echo echo = { .server = NULL };
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);

	echo_start(&echo, NULL, &patient);
	signalled_server = echo.server;
	int fd = peer_open(echo_port(&echo));
	peer_round_trip(fd, 1);
	errno = EDOM;
	ck_assert_int_eq(raise(SIGUSR1), 0);
	ck_assert_int_eq(errno, EDOM);
	peer_expect_end(fd);
	peer_close(fd);
	echo_end_stopped(&echo, NULL);
}
END_TEST

static ssize_t stopping_on_data(struct weir_conn *conn, const uint8_t *bytes,
				size_t byte_count, void *ctx)
{
	weir_loop_stop(weir_conn_loop(conn));
	return echo_on_data(conn, bytes, byte_count, ctx);
}

START_TEST(a_stop_from_a_handler_answers_what_it_is_looking_at)
{
	struct echo echo = { .server = NULL };
	echo_start(&echo, NULL,
		   &(struct weir_service){
			   .handlers = { .on_data = stopping_on_data },
			   .drain_timeout_ms = WEIR_NO_TIMEOUT });
	int fd = peer_open(echo_port(&echo));
	peer_round_trip(fd, 1);
	peer_expect_end(fd);
	peer_close(fd);
	echo_end_stopped(&echo, NULL);
}
END_TEST

START_TEST(twenty_cycles_leave_no_descriptor_no_mapping_and_a_free_port)
{
	struct weir_listen listen = { .port = 0 };
	const struct weir_server_opts opts = { .listen = &listen,
					       .listen_count = 1,
					       .loop_count = 2 };
	struct echo echo = { .server = NULL };
	wi_netns_enter_if_may();
	const size_t fds_before = peer_fd_count();
	for (int cycle = 0; cycle < 20; cycle++) {
		echo_start(&echo, &opts, &patient);
		listen.port = echo_port(&echo); /* the same again */
		int fd = peer_open(listen.port);
		peer_round_trip(fd, 1);
		weir_server_stop(echo.server);
		peer_expect_end(fd);
		peer_close(fd);
		echo_end_stopped(&echo, NULL);
		ck_assert_uint_eq(peer_fd_count(), fds_before);
		ck_assert_uint_eq(peer_map_count("io_uring"), 0);
	}
}
END_TEST

/* ---- the suite --------------------------------------------------------- */

static TCase *tcase_drain(void)
{
	TCase *tcase = tcase_create("drain");
	tcase_set_timeout(tcase, STOP_TEST_TIMEOUT_S);
	tcase_add_test(tcase, a_stop_without_connections_needs_no_deadline);
	tcase_add_test(tcase, idle_connections_all_see_a_clean_end);
	tcase_add_test(tcase, a_stop_while_nobody_accepts_still_ends);
	tcase_add_loop_test(tcase,
			    every_request_received_before_the_stop_is_answered,
			    0, COUNT_OF(request_cases));
	tcase_add_test(tcase,
		       under_load_the_answers_counted_are_the_answers_received);
	return tcase;
}

static TCase *tcase_force(void)
{
	TCase *tcase = tcase_create("force");
	tcase_set_timeout(tcase, STOP_TEST_TIMEOUT_S);
	tcase_add_test(
		tcase,
		a_peer_that_never_closes_is_forced_at_the_drain_deadline);
	tcase_add_test(tcase,
		       a_peer_that_never_reads_is_forced_at_the_drain_deadline);
	tcase_add_test(tcase, a_second_stop_forces_at_once);
	tcase_add_test(tcase, two_stops_at_once_end_while_clients_are_coming);
	tcase_add_loop_test(
		tcase,
		a_client_that_comes_in_behind_a_forced_stop_does_not_hang_it, 0,
		24);
	return tcase;
}

static TCase *tcase_anywhere(void)
{
	TCase *tcase = tcase_create("anywhere");
	tcase_set_timeout(tcase, STOP_TEST_TIMEOUT_S);
	tcase_add_test(tcase, a_stop_before_the_first_turn_ends_the_loop);
	tcase_add_test(tcase, a_stop_from_a_signal_handler_is_a_stop);
	tcase_add_test(tcase,
		       a_stop_from_a_handler_answers_what_it_is_looking_at);
	tcase_add_test(
		tcase,
		twenty_cycles_leave_no_descriptor_no_mapping_and_a_free_port);
	return tcase;
}

WI_SUITE(stop, "stop", WI_RUNGS | WI_THREADS | WI_BPF)
{
	if (!wi_kernel_has_rings())
		return;
	suite_add_tcase(suite, tcase_drain());
	suite_add_tcase(suite, tcase_force());
	suite_add_tcase(suite, tcase_anywhere());
}
