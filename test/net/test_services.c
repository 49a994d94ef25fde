/* test_services.c - connections of several kinds on one loop
 *
 *     echo     the listener of the rig
 *     shout    a second one, on the same loop
 *     caller   outbound, to one of them
 */
#include "../rig/count_of.h"
#include "../rig/peer.h"
#include "test_server.h"

#include "net/loop/loop_struct.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000 };

/* A service, and what its handlers have seen; it is their ctx. */
struct kind {
	struct weir_service service; /* first */
	struct weir_conn *conn;      /* the last one */
	uint64_t opens;
	uint64_t closes;
	uint64_t shown_bytes;
	char shown[32];
	struct weir_close_reason reason; /* of the last close */
};

static void kind_on_open(struct weir_conn *conn, void *ctx)
{
	struct kind *kind = ctx;
	kind->conn = conn;
	kind->opens++;
}

static void kind_on_close(struct weir_conn *conn,
			  const struct weir_close_reason *reason, void *ctx)
{
	struct kind *kind = ctx;
	(void)conn;
	kind->reason = *reason;
	kind->closes++;
}

/* Answers in upper case. */
static ssize_t shout_on_data(struct weir_conn *conn, const uint8_t *bytes,
			     size_t byte_count, void *ctx)
{
	struct kind *kind = ctx;
	uint8_t *room = weir_conn_reserve(conn, byte_count);
	if (room == NULL)
		return 0;
	for (size_t i = 0; i < byte_count; i++)
		room[i] = (uint8_t)toupper(bytes[i]);
	weir_conn_commit(conn, byte_count);
	/* Of a server: by several threads. */
	(void)__atomic_add_fetch(&kind->shown_bytes, byte_count,
				 __ATOMIC_RELAXED);
	return (ssize_t)byte_count;
}

static void caller_on_open(struct weir_conn *conn, void *ctx)
{
	kind_on_open(conn, ctx);
	(void)weir_conn_send(conn, "hello", 5);
}

/* Keeps the bytes that it receives. */
static ssize_t caller_on_data(struct weir_conn *conn, const uint8_t *bytes,
			      size_t byte_count, void *ctx)
{
	struct kind *kind = ctx;
	(void)conn;
	if (kind->shown_bytes + byte_count < sizeof(kind->shown))
		memcpy(kind->shown + kind->shown_bytes, bytes, byte_count);
	kind->shown_bytes += byte_count;
	return (ssize_t)byte_count;
}

static struct kind kind_of(struct weir_handlers handlers)
{
	struct kind kind = { .service = { .handlers = handlers } };
	if (handlers.on_open == NULL)
		kind.service.handlers.on_open = kind_on_open;
	if (handlers.on_close == NULL)
		kind.service.handlers.on_close = kind_on_close;
	return kind;
}

static struct weir_addr addr_of(uint16_t port)
{
	struct weir_addr addr;
	ck_assert_int_eq(weir_addr_parse("127.0.0.1", port, &addr), 0);
	return addr;
}

/* ---- whose handlers ---------------------------------------------------- */

START_TEST(each_connection_has_the_service_that_was_named_for_it)
{
	struct kind shout =
		kind_of((struct weir_handlers){ .on_data = shout_on_data });
	struct kind caller = kind_of((struct weir_handlers){
		.on_open = caller_on_open, .on_data = caller_on_data });
	struct local local = { .loop = NULL };
	char answer[5];

	shout.service.ctx = &shout;
	caller.service.ctx = &caller;
	local_start(&local, NULL, NULL);
	const uint16_t port = local_listen(&local, &shout.service);
	const struct weir_addr addr = addr_of(port);
	int echoed = peer_open(local.port);
	int shouted = peer_open(port);
	ck_assert_int_eq(weir_loop_connect(local.loop, &caller.service, &addr,
					   &local, NULL),
			 0);

	peer_send_frame(echoed, 100, 1);
	peer_send(shouted, "aloud", 5);
	local_turn_until(&local, &local.echo.answers, 1);
	local_turn_until(&local, &shout.shown_bytes, 10);
	local_turn_until(&local, &caller.shown_bytes, 5);
	local_turns(&local, 2);
	peer_expect_frame(echoed, 100, 1);
	peer_recv(shouted, answer, sizeof(answer));
	ck_assert_mem_eq(answer, "ALOUD", 5);
	ck_assert_str_eq(caller.shown, "HELLO");
	ck_assert_ptr_eq(weir_conn_user(caller.conn), &local);
	ck_assert_uint_eq(local.echo.opens, 1);
	ck_assert_uint_eq(shout.opens, 2);
	ck_assert_uint_eq(caller.opens, 1);

	peer_close(echoed);
	peer_close(shouted);
	weir_conn_close(caller.conn);
	local_turn_until(&local, &local.echo.closes, 1);
	local_turn_until(&local, &shout.closes, 2);
	local_turn_until(&local, &caller.closes, 1);
	echo_expect_cause(&caller.reason, WEIR_CLOSE_LOCAL);
	/* The rig counts only its own connections. */
	local.echo.opens += 3;
	local.echo.closes += 3;
	local_end(&local, NULL);
}
END_TEST

/* ---- whose limits ------------------------------------------------------ */

static ssize_t needy_on_data(struct weir_conn *conn, const uint8_t *bytes,
			     size_t byte_count, void *ctx)
{
	struct kind *kind = ctx;
	(void)bytes;
	kind->shown_bytes += byte_count;
	weir_conn_need(conn, 100);
	return 0;
}

START_TEST(sizes_and_times_are_those_of_the_service)
{
	struct kind kinds[2];
	struct local local = { .is_time_still = true };
	int fds[2][2];

	local_start(&local, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		kinds[i] = kind_of(
			(struct weir_handlers){ .on_data = needy_on_data });
		kinds[i].service.ctx = &kinds[i];
		kinds[i].service.message_bytes_max = i == 0 ? 99 : 100;
		kinds[i].service.idle_timeout_ms =
			i == 0 ? 50 : WEIR_NO_TIMEOUT;
		const uint16_t port = local_listen(&local, &kinds[i].service);
		fds[i][0] = peer_open(port);
		fds[i][1] = peer_open(port);
	}
	for (int i = 0; i < 2; i++) {
		local_turn_until(&local, &kinds[i].opens, 2);
		peer_send(fds[i][0], "x", 1);
		local_turn_until(&local, &kinds[i].shown_bytes, 1);
	}
	peer_half_close(fds[0][0]);
	local_turn_until(&local, &kinds[0].closes, 1);
	echo_expect_cause(&kinds[0].reason, WEIR_CLOSE_MESSAGE_LIMIT);
	ck_assert_uint_eq(kinds[0].reason.limit, 99);

	local.ahead_ns += (uint64_t)1000 * NS_PER_MS;
	local_turn_until(&local, &kinds[0].closes, 2);
	echo_expect_cause(&kinds[0].reason, WEIR_CLOSE_IDLE);
	local_turns(&local, 5);
	ck_assert_uint_eq(kinds[1].closes, 0);

	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++)
			peer_close(fds[i][j]);
	local_turn_until(&local, &kinds[1].closes, 2);
	local.echo.opens += 4;
	local.echo.closes += 4;
	local_end(&local, NULL);
}
END_TEST

/* Each connection may drain as long as its service allows, and the loop as long
 * as the longest of these. */
START_TEST(a_stop_has_the_time_of_the_most_patient_service)
{
	struct kind hasty = kind_of((struct weir_handlers){ .on_data = NULL });
	struct kind patient =
		kind_of((struct weir_handlers){ .on_data = NULL });
	struct weir_service echo = { .drain_timeout_ms = 100 };
	struct local local = { .is_time_still = true };
	struct weir_loop_stats stats;

	hasty.service.ctx = &hasty;
	hasty.service.drain_timeout_ms = 100;
	patient.service.ctx = &patient;
	patient.service.drain_timeout_ms = 3000;
	local_start(&local, NULL, &echo);
	int fds[2] = { peer_open(local_listen(&local, &hasty.service)),
		       peer_open(local_listen(&local, &patient.service)) };
	local_turn_until(&local, &hasty.opens, 1);
	local_turn_until(&local, &patient.opens, 1);
	weir_loop_stop(local.loop);
	local_turns(&local, 10);
	ck_assert_uint_eq(hasty.closes, 0);
	local.ahead_ns += (uint64_t)200 * NS_PER_MS;
	local_turn_until(&local, &hasty.closes, 1);
	echo_expect_cause(&hasty.reason, WEIR_CLOSE_DRAIN_DEADLINE);
	local.ahead_ns += (uint64_t)2700 * NS_PER_MS;
	local_turns(&local, 10);
	ck_assert_uint_eq(patient.closes, 0);
	local.ahead_ns += (uint64_t)200 * NS_PER_MS;
	ck_assert_int_eq(weir_loop_run(local.loop), 0);
	echo_expect_cause(&patient.reason, WEIR_CLOSE_DRAIN_DEADLINE);
	ck_assert_uint_eq(patient.closes, 1);
	peer_close(fds[0]);
	peer_close(fds[1]);
	local.echo.opens += 2;
	local.echo.closes += 2;
	local_end(&local, &stats);
	ck_assert_uint_eq(stats.drain_deadlines, 2);
}
END_TEST

/* ---- the times of a loop ----------------------------------------------- */

static const struct {
	const char *what;
	uint32_t drain_ms[2]; /* in the order of use; the first 0: none */
	uint32_t want_drain_ms;
	uint32_t want_operation_ticks;
} time_cases[] = {
	{ "no service", { 0, 0 }, 5000, 501 },
	{ "a short one", { 100, 100 }, 100, WI_TICKS_PER_S },
	{ "a long one second", { 100, 3000 }, 3000, 301 },
	{ "a long one first", { 3000, 100 }, 3000, 301 },
	{ "the default, which is longer", { 100, 0 }, 5000, 501 },
	{ "an endless one second",
	  { 100, WEIR_NO_TIMEOUT },
	  WEIR_NO_TIMEOUT,
	  UINT32_MAX },
	{ "an endless one first",
	  { WEIR_NO_TIMEOUT, 100 },
	  WEIR_NO_TIMEOUT,
	  UINT32_MAX },
};

START_TEST(a_loop_has_the_longest_of_its_services_times)
{
	struct wi_services services;
	struct wi_service list[2];
	struct weir_service given[2];
	const struct wi_service *used;

	(void)printf("%s\n", time_cases[_i].what);
	wi_services_init(&services, list, NULL, NULL);
	for (int i = 0; i < 2 && time_cases[_i].drain_ms[0] != 0; i++) {
		given[i] = (struct weir_service){
			.drain_timeout_ms = time_cases[_i].drain_ms[i],
		};
		ck_assert_int_eq(
			wi_services_use(&services, &given[i], &used, NULL), 0);
		ck_assert_ptr_eq(used, &list[i]);
	}
	ck_assert_uint_eq(services.drain_ms, time_cases[_i].want_drain_ms);
	ck_assert_uint_eq(services.operation_ticks,
			  time_cases[_i].want_operation_ticks);
}
END_TEST

/* ---- how many ---------------------------------------------------------- */

START_TEST(a_loop_has_255_services_and_not_one_more)
{
	enum { ALL = WEIR_SERVICES_MAX + 1 };
	const struct weir_loop_opts opts = { .conn_count = 1000 };
	struct kind *kinds = calloc(ALL, sizeof(*kinds));
	struct local local = { .loop = NULL };
	struct weir_error error = { .code = 0 };
	struct sockaddr_in address;

	local_start(&local, &opts, NULL); /* the loop's own is the first */
	const struct weir_addr addr = addr_of(local.port);
	for (int i = 1; i < ALL; i++) {
		kinds[i] = kind_of((struct weir_handlers){ .on_data = NULL });
		kinds[i].service.ctx = &kinds[i];
		const int want = i < WEIR_SERVICES_MAX ? 0 : -ENOSPC;
		ck_assert_int_eq(weir_loop_connect(local.loop,
						   &kinds[i].service, &addr,
						   NULL, NULL),
				 want);
	}
	/* It still uses the services that it knows. */
	ck_assert_int_eq(weir_loop_connect(local.loop, &kinds[1].service, &addr,
					   NULL, NULL),
			 0);
	int fd = wi_listener(&address);
	ck_assert_int_eq(weir_loop_listen(local.loop, &kinds[ALL - 1].service,
					  fd, &error),
			 -ENOSPC);
	ck_assert_msg(strstr(error.text, "255 services") != NULL, "%s",
		      error.text);
	ck_assert_int_eq(close(fd), 0); /* still the caller's */
	for (int i = 1; i < WEIR_SERVICES_MAX; i++)
		local_turn_until(&local, &kinds[i].opens, i == 1 ? 2 : 1);
	local_turn_until(&local, &local.echo.opens, WEIR_SERVICES_MAX);
	weir_loop_stop(local.loop);
	ck_assert_int_eq(weir_loop_run(local.loop), 0);
	for (int i = 1; i < WEIR_SERVICES_MAX; i++)
		ck_assert_uint_eq(kinds[i].closes, i == 1 ? 2 : 1);
	ck_assert_uint_eq(kinds[ALL - 1].closes, 0);
	local.echo.opens += WEIR_SERVICES_MAX;
	local.echo.closes += WEIR_SERVICES_MAX;
	local_end(&local, NULL);
	free(kinds);
}
END_TEST

START_TEST(a_loop_has_eight_listeners_and_not_one_more)
{
	struct local local = { .loop = NULL };
	struct weir_error error = { .code = 0 };
	struct sockaddr_in address;

	local_start(&local, NULL, NULL);
	for (int i = 1; i < WEIR_STEER_GROUPS_MAX; i++)
		(void)local_listen(&local, &local.echo.service);
	int fd = wi_listener(&address);
	ck_assert_int_eq(
		weir_loop_listen(local.loop, &local.echo.service, fd, &error),
		-ENOSPC);
	ck_assert_msg(strstr(error.text, "8 listeners") != NULL, "%s",
		      error.text);
	ck_assert_int_eq(close(fd), 0);
	local_end(&local, NULL);
}
END_TEST

/* ---- what is refused --------------------------------------------------- */

START_TEST(a_service_out_of_range_is_not_used)
{
	const struct weir_service wrong = { .name = "wrong",
					    .send_bytes_max = 1 };
	const struct weir_service right = { .name = "right" };
	struct local local = { .loop = NULL };
	struct weir_error error = { .code = 0 };
	struct sockaddr_in address;

	ck_assert_int_eq(weir_service_check(&right, &error), 0);
	ck_assert_int_eq(weir_service_check(&wrong, &error), -EINVAL);
	ck_assert_msg(strstr(error.text, "service 'wrong'") != NULL, "%s",
		      error.text);
	ck_assert_int_eq(weir_service_check(NULL, NULL), -EINVAL);

	local_start(&local, NULL, NULL);
	const struct weir_addr addr = addr_of(local.port);
	int fd = wi_listener(&address);
	error = (struct weir_error){ .code = 0 };
	ck_assert_int_eq(weir_loop_listen(local.loop, &wrong, fd, &error),
			 -EINVAL);
	ck_assert_msg(strstr(error.text, "service 'wrong'") != NULL, "%s",
		      error.text);
	ck_assert_int_eq(weir_loop_listen(local.loop, NULL, fd, NULL), -EINVAL);
	ck_assert_int_eq(close(fd), 0); /* still the caller's */
	ck_assert_int_eq(
		weir_loop_connect(local.loop, &wrong, &addr, NULL, NULL),
		-EINVAL);
	ck_assert_int_eq(weir_loop_connect(local.loop, NULL, &addr, NULL, NULL),
			 -EINVAL);
	ck_assert_uint_eq(local.loop->conns.services.count, 1);
	ck_assert_uint_eq(local.loop->conns.pool.used_count, 0);
	local_end(&local, NULL);
}
END_TEST

/* ---- a server ---------------------------------------------------------- */

static int listening_on_start(struct weir_loop *loop, void *ctx)
{
	int *result = ctx;
	struct weir_error error;
	*result = weir_loop_listen(loop, &silent_service, 0, &error);
	return strstr(error.text, "weir_server_opts") != NULL ? 0 : -EPROTO;
}

static void expect_shout(uint16_t port)
{
	char answer[5];
	int fd = peer_open(port);
	peer_send(fd, "aloud", 5);
	peer_recv(fd, answer, sizeof(answer));
	ck_assert_mem_eq(answer, "ALOUD", 5);
	peer_close(fd);
}

static void expect_echo(uint16_t port)
{
	int fd = peer_open(port);
	peer_round_trip(fd, 7);
	peer_close(fd);
}

/* On each loop, also on an added one and on a drained and resumed one. */
START_TEST(a_server_speaks_two_services_on_two_ports)
{
	static struct echo echo; /* only for its handlers and their lock */
	struct kind shout =
		kind_of((struct weir_handlers){ .on_data = shout_on_data });
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	int listened = 0;

	shout.service.ctx = &shout;
	shout.service.handlers.on_open = NULL; /* several threads */
	shout.service.handlers.on_close = NULL;
	echo_start(&echo, NULL, NULL);
	const struct weir_listen listen[] = {
		{ .service = &echo.service, .address = "127.0.0.1" },
		{ .service = &shout.service, .address = "127.0.0.1" },
	};
	const struct weir_server_opts opts = {
		.listen = listen,
		.listen_count = 2,
		.loop_count = 2,
		.is_unpinned = true,
		.loop = { .hooks = { .on_start = listening_on_start,
				     .ctx = &listened } },
	};
	int err = weir_server_open(&server, &opts, &error);
	ck_assert_msg(err == 0, "%s", error.text);
	ck_assert_int_eq(listened, -EINVAL);
	const struct weir_server_snapshot seen = seen_server(server);
	const uint16_t ports[2] = {
		weir_addr_port(&seen.addrs[0]),
		weir_addr_port(&seen.addrs[1]),
	};
	ck_assert_int_eq(weir_server_add_loop(server, -1, &error), 2);
	ck_assert_int_eq(weir_server_stop_accepting(server, 0, &error), 0);
	ck_assert_int_eq(weir_server_stop_accepting(server, 1, &error), 0);
	for (int i = 0; i < 3; i++) { /* each loop is alone once */
		expect_echo(ports[0]);
		expect_shout(ports[1]);
		if (i == 2)
			break;
		ck_assert_int_eq(weir_server_resume_accepting(
					 server, (uint32_t)i, &error),
				 0);
		ck_assert_int_eq(weir_server_stop_accepting(
					 server, i == 0 ? 2 : 0, &error),
				 0);
	}
	weir_server_stop(server);
	ck_assert_int_eq(weir_server_join(server), 0);
	weir_server_close(server);
	weir_server_stop(echo.server);
	ck_assert_int_eq(weir_server_join(echo.server), 0);
	weir_server_close(echo.server);
}
END_TEST

TCase *tcase_services(void)
{
	TCase *tcase = tcase_create("services");
	tcase_set_timeout(tcase, SERVER_TEST_TIMEOUT_S);
	tcase_add_test(tcase,
		       each_connection_has_the_service_that_was_named_for_it);
	tcase_add_test(tcase, sizes_and_times_are_those_of_the_service);
	tcase_add_test(tcase, a_stop_has_the_time_of_the_most_patient_service);
	tcase_add_loop_test(tcase, a_loop_has_the_longest_of_its_services_times,
			    0, COUNT_OF(time_cases));
	tcase_add_test(tcase, a_loop_has_255_services_and_not_one_more);
	tcase_add_test(tcase, a_loop_has_eight_listeners_and_not_one_more);
	tcase_add_test(tcase, a_service_out_of_range_is_not_used);
	tcase_add_test(tcase, a_server_speaks_two_services_on_two_ports);
	return tcase;
}
