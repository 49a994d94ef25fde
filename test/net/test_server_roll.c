/* test_server_roll.c - loops come, go and rest while the server serves
 *
 * Each story runs with the kernel's hash and, if available, with the steering
 * program. Without the program a drain guarantees less: see
 * weir_server_stop_accepting().
 */
#include "../rig/peer.h"
#include "../steer/steer_rig.h"
#include "../suites.h"

#include "net/server/listen_socket.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	ROLL_TEST_TIMEOUT_S = 60,
	LOADERS = 2,
	STEP_EXCHANGES = 200, /* between two changes under load */
};

static const enum weir_steer_policy policies[] = { WEIR_STEER_KERNEL,
						   WEIR_STEER_ROUND_ROBIN };
enum { POLICY_COUNT = sizeof(policies) / sizeof(policies[0]) };

static bool has_program(const struct echo *echo)
{
	return seen_server(echo->server).means == WEIR_STEER_BY_EBPF;
}

static void roll_start(struct echo *echo, enum weir_steer_policy policy,
		       uint32_t loop_count, uint32_t loop_count_max)
{
	const struct weir_server_opts opts = {
		.loop_count = loop_count,
		.loop_count_max = loop_count_max,
		.steering = { .policy = policy },
	};
	const struct weir_service service = {
		.drain_timeout_ms = WEIR_NO_TIMEOUT,
	};
	*echo = (struct echo){ .server = NULL };
	echo_start(echo, &opts, &service);
}

static struct weir_loop_snapshot share_of(const struct echo *echo,
					  uint32_t index)
{
	const struct weir_loop_snapshot share = seen_loop(echo->server, index);
	ck_assert(share.is_present);
	return share;
}

static uint64_t arrived_in_all(const struct echo *echo)
{
	return seen_server(echo->server).accepts;
}

/* Each of them is answered, so it was accepted before this returns. */
static void come_and_go(const struct echo *echo, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		int fd = peer_open(echo_port(echo));
		peer_round_trip(fd, i);
		peer_close(fd);
	}
}

static void expect_ok(int err, const struct weir_error *error)
{
	ck_assert_msg(err >= 0, "%d: %s", err, error->text);
}

static void drain(const struct echo *echo, uint32_t index)
{
	struct weir_error error = { .code = 0 };
	expect_ok(weir_server_stop_accepting(echo->server, index, &error),
		  &error);
	ck_assert(share_of(echo, index).has_stopped_accepting);
}

static void resume(const struct echo *echo, uint32_t index)
{
	struct weir_error error = { .code = 0 };
	expect_ok(weir_server_resume_accepting(echo->server, index, &error),
		  &error);
	ck_assert(!share_of(echo, index).has_stopped_accepting);
}

static void add(const struct echo *echo, int want_index)
{
	struct weir_error error = { .code = 0 };
	int index = weir_server_add_loop(echo->server, -1, &error);
	expect_ok(index, &error);
	ck_assert_int_eq(index, want_index);
	ck_assert(seen_loop(echo->server, (uint32_t)index).is_present);
}

/* ---- drain and resume -------------------------------------------------- */

START_TEST(a_drained_loop_gets_none_and_keeps_what_it_has)
{
	enum { KEPT = 60, MORE = 300 };
	struct echo echo;
	int fds[KEPT];

	roll_start(&echo, policies[_i], 3, 0);
	for (int i = 0; i < KEPT; i++)
		fds[i] = peer_open(echo_port(&echo));
	peer_round_trips(fds, KEPT, 1);
	drain(&echo, 1);
	drain(&echo, 1); /* the same again */
	const uint64_t before = share_of(&echo, 1).stats.accepts;
	ck_assert_uint_gt(before, 0);
	come_and_go(&echo, MORE);
	ck_assert_uint_eq(share_of(&echo, 1).stats.accepts, before);
	ck_assert_uint_eq(arrived_in_all(&echo), KEPT + MORE);
	peer_round_trips(fds, KEPT, 2); /* on all three loops */

	resume(&echo, 1);
	resume(&echo, 1);
	come_and_go(&echo, MORE);
	ck_assert_uint_gt(share_of(&echo, 1).stats.accepts, before);
	ck_assert_uint_eq(arrived_in_all(&echo), KEPT + 2 * MORE);

	/* Once more: a listener can be drained and resumed any number of times.
	 */
	drain(&echo, 1);
	const uint64_t again = share_of(&echo, 1).stats.accepts;
	come_and_go(&echo, MORE);
	ck_assert_uint_eq(share_of(&echo, 1).stats.accepts, again);
	for (int i = 0; i < KEPT; i++)
		peer_close(fds[i]);
	struct weir_loop_stats stats;
	echo_end(&echo, &stats);
	ck_assert_uint_eq(stats.accept_errors, 0);
}
END_TEST

/* A handler that blocks its loop, so that clients wait in its queue. */
enum { HOLD_PAYLOAD_BYTES = 77 };

struct held {
	struct echo echo; /* first */
	pthread_mutex_t gate;
	uint64_t is_held; /* the echo's lock */
	uint32_t loop_index;
};

static ssize_t held_on_data(struct weir_conn *conn, const uint8_t *bytes,
			    size_t byte_count, void *ctx)
{
	struct held *held = ctx;
	if (byte_count == PEER_PREFIX_BYTES + HOLD_PAYLOAD_BYTES) {
		(void)pthread_mutex_lock(&held->echo.lock);
		held->loop_index = weir_loop_index(weir_conn_loop(conn));
		held->is_held = 1;
		(void)pthread_mutex_unlock(&held->echo.lock);
		(void)pthread_mutex_lock(&held->gate);
		(void)pthread_mutex_unlock(&held->gate);
	}
	return echo_on_data(conn, bytes, byte_count, ctx);
}

static void *held_drain(void *ctx)
{
	struct held *held = ctx;
	int err = weir_server_stop_accepting(held->echo.server,
					     held->loop_index, NULL);
	return err == 0 ? NULL : ctx;
}

START_TEST(who_waits_in_the_queue_of_a_drained_loop_is_served)
{
	enum { WAITING = 64 };
	const struct weir_service service = {
		.handlers = { .on_data = held_on_data },
	};
	const struct weir_server_opts opts = {
		.loop_count = 2,
		.steering = { .policy = policies[_i] },
	};
	struct held held = { .gate = PTHREAD_MUTEX_INITIALIZER };
	int fds[WAITING];
	pthread_t drainer;
	void *failed;

	echo_start(&held.echo, &opts, &service);
	/* The program moves them while their own loop still blocks. Without
	 * deferred task work the kernel may accept them there, as soon as that
	 * thread enters the kernel for any reason. */
	const bool is_moved = has_program(&held.echo) &&
			      !wi_is_forced_off(WEIR_RUNG_DEFER_TASKRUN);
	(void)pthread_mutex_lock(&held.gate);
	int holder = peer_open(echo_port(&held.echo));
	peer_send_frame(holder, HOLD_PAYLOAD_BYTES, 1);
	while (echo_seen(&held.echo, &held.is_held) == 0)
		(void)sched_yield();
	for (int i = 0; i < WAITING; i++) {
		fds[i] = peer_open(echo_port(&held.echo));
		peer_send_frame(fds[i], 10, (uint32_t)i);
	}
	ck_assert_int_eq(pthread_create(&drainer, NULL, held_drain, &held), 0);
	if (!is_moved)
		(void)pthread_mutex_unlock(&held.gate);
	for (int i = 0; i < WAITING; i++)
		peer_expect_frame(fds[i], 10, (uint32_t)i);
	if (is_moved)
		(void)pthread_mutex_unlock(&held.gate);
	ck_assert_int_eq(pthread_join(drainer, &failed), 0);
	ck_assert_ptr_null(failed);
	peer_expect_frame(holder, HOLD_PAYLOAD_BYTES, 1);
	const uint64_t on_it =
		share_of(&held.echo, held.loop_index).stats.accepts;
	if (is_moved)
		ck_assert_uint_eq(on_it, 1);
	else
		ck_assert_uint_ge(on_it, 1);
	peer_close(holder);
	for (int i = 0; i < WAITING; i++)
		peer_close(fds[i]);
	echo_end(&held.echo, NULL);
}
END_TEST

/* ---- add and remove ---------------------------------------------------- */

static void *roll_remove(void *ctx)
{
	const struct echo *echo = ctx;
	int err = weir_server_remove_loop(echo->server, 1, NULL);
	return err == 0 ? NULL : ctx;
}

/* Waits for the next stream that has ended, and closes it. */
static void close_next_ended(struct pollfd *polls, uint32_t count)
{
	int ready = poll(polls, count, PEER_TIMEOUT_S * 1000);
	ck_assert_int_gt(ready, 0);
	for (uint32_t i = 0; i < count; i++) {
		if (polls[i].revents == 0)
			continue;
		peer_expect_end(polls[i].fd);
		peer_close(polls[i].fd);
		polls[i].fd = -1;
		return;
	}
}

START_TEST(the_connections_of_a_removed_loop_end_and_the_others_go_on)
{
	enum { KEPT = 60 };
	struct echo echo;
	int fds[KEPT];
	struct pollfd polls[KEPT];
	pthread_t remover;
	void *failed;

	roll_start(&echo, policies[_i], 3, 0);
	for (int i = 0; i < KEPT; i++)
		fds[i] = peer_open(echo_port(&echo));
	peer_round_trips(fds, KEPT, 1);
	const uint64_t ending = share_of(&echo, 1).stats.conns_open;
	ck_assert_uint_gt(ending, 0);
	for (int i = 0; i < KEPT; i++)
		polls[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	ck_assert_int_eq(pthread_create(&remover, NULL, roll_remove, &echo), 0);
	for (uint64_t i = 0; i < ending; i++)
		close_next_ended(polls, KEPT);
	ck_assert_int_eq(pthread_join(remover, &failed), 0);
	ck_assert_ptr_null(failed);

	ck_assert(!seen_loop(echo.server, 1).is_present);
	ck_assert_uint_eq(seen_server(echo.server).loop_end, 3);
	ck_assert_uint_eq(echo_closes_by(&echo, WEIR_CLOSE_STOPPED), ending);
	for (int i = 0; i < KEPT; i++) {
		if (polls[i].fd < 0)
			continue;
		peer_round_trip(polls[i].fd, 2);
		peer_close(polls[i].fd);
	}
	come_and_go(&echo, 100);
	echo.has_removed = true;
	echo_end(&echo, NULL);
}
END_TEST

/* Clients that come and go until the test ends them. They must not assert: only
 * the test's thread may. */
struct loader {
	uint16_t port;
	uint32_t *is_over; /* shared */
	uint64_t exchanges;
	uint64_t failures;
	int first_err;
};

/* A stop of the process interrupts a wait that has a timeout (signal(7)). */
static ssize_t recv_uncut(int fd, uint8_t *bytes, size_t byte_count)
{
	ssize_t count;
	do {
		errno = 0;
		count = recv(fd, bytes, byte_count, MSG_WAITALL);
	} while (count < 0 && errno == EINTR);
	return count;
}

static int loader_exchange(const struct loader *loader)
{
	uint8_t wire[64];
	uint8_t back[64];
	int fd = peer_try_open(loader->port);
	if (fd < 0)
		return fd;
	const size_t bytes =
		peer_frame_put(wire, 20, (uint32_t)loader->exchanges);
	int err = 0;
	if (send(fd, wire, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
		err = -errno;
	else if (recv_uncut(fd, back, bytes) != (ssize_t)bytes)
		err = errno != 0 ? -errno : -ENODATA;
	else if (memcmp(wire, back, bytes) != 0)
		err = -EBADMSG;
	(void)close(fd);
	return err;
}

static void *loader_main(void *ctx)
{
	struct loader *loader = ctx;
	while (__atomic_load_n(loader->is_over, __ATOMIC_ACQUIRE) == 0) {
		errno = 0;
		int err = loader_exchange(loader);
		if (err < 0 && loader->failures++ == 0)
			loader->first_err = err;
		__atomic_add_fetch(&loader->exchanges, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void loaders_go_on(const struct loader *loaders, uint64_t count)
{
	for (int i = 0; i < LOADERS; i++) {
		const uint64_t goal = __atomic_load_n(&loaders[i].exchanges,
						      __ATOMIC_ACQUIRE) +
				      count;
		while (__atomic_load_n(&loaders[i].exchanges,
				       __ATOMIC_ACQUIRE) < goal)
			(void)sched_yield();
	}
}

/* When a loop is removed, a connection that has sent nothing ends without an
 * answer. To lose none, drain first. */
static void drain_and_remove(struct echo *echo, const struct loader *loaders,
			     uint32_t index)
{
	struct weir_error error = { .code = 0 };
	drain(echo, index);
	loaders_go_on(loaders, STEP_EXCHANGES);
	while (share_of(echo, index).stats.conns_open > 0)
		(void)sched_yield();
	expect_ok(weir_server_remove_loop(echo->server, index, &error), &error);
	echo->has_removed = true;
	ck_assert(!seen_loop(echo->server, index).is_present);
}

START_TEST(loops_come_and_go_under_load_and_no_exchange_fails)
{
	struct loader loaders[LOADERS];
	pthread_t threads[LOADERS];
	uint32_t is_over = 0;
	struct echo echo;

	roll_start(&echo, WEIR_STEER_ROUND_ROBIN, 2, 4);
	if (!has_program(&echo)) {
		echo_end(&echo, NULL);
		wi_skip_unless(false, "resets without the program are allowed");
	}
	for (int i = 0; i < LOADERS; i++) {
		loaders[i] = (struct loader){ .port = echo_port(&echo),
					      .is_over = &is_over };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, loader_main,
						&loaders[i]),
				 0);
	}
	loaders_go_on(loaders, STEP_EXCHANGES);
	add(&echo, 2);
	add(&echo, 3);
	loaders_go_on(loaders, STEP_EXCHANGES);
	ck_assert_uint_gt(share_of(&echo, 3).stats.accepts, 0);
	drain_and_remove(&echo, loaders, 0);
	drain_and_remove(&echo, loaders, 1);
	loaders_go_on(loaders, STEP_EXCHANGES);
	add(&echo, 0);
	for (int round = 0; round < 10; round++) {
		drain(&echo, 2);
		loaders_go_on(loaders, STEP_EXCHANGES / 10);
		resume(&echo, 2);
		loaders_go_on(loaders, STEP_EXCHANGES / 10);
	}
	drain_and_remove(&echo, loaders, 3);
	__atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < LOADERS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		ck_assert_msg(loaders[i].failures == 0,
			      "%llu of %llu failed, the first with %s",
			      (unsigned long long)loaders[i].failures,
			      (unsigned long long)loaders[i].exchanges,
			      strerror(-loaders[i].first_err));
	}
	echo_end(&echo, NULL);
}
END_TEST

/* ---- refusals ---------------------------------------------------------- */

static void expect_error(int err, int want, const struct weir_error *error,
			 const char *hint)
{
	ck_assert_msg(err == want, "got %d, want %d: %s", err, want,
		      error->text);
	ck_assert_int_eq(error->code, want);
	ck_assert_msg(strstr(error->text, hint) != NULL, "no '%s' in: %s", hint,
		      error->text);
}

START_TEST(a_change_that_cannot_be_made_says_why)
{
	struct weir_error error = { .code = 0 };
	struct echo echo;

	roll_start(&echo, policies[_i], 2, 2);
	struct weir_server *server = echo.server;
	const uint32_t nobody[] = { 2, 1024, UINT32_MAX };
	for (int i = 0; i < 3; i++) {
		expect_error(
			weir_server_stop_accepting(server, nobody[i], &error),
			-ENOENT, &error, "no loop");
		expect_error(
			weir_server_resume_accepting(server, nobody[i], &error),
			-ENOENT, &error, "no loop");
		expect_error(weir_server_remove_loop(server, nobody[i], &error),
			     -ENOENT, &error, "no loop");
		expect_error(
			weir_server_set_weight(server, nobody[i], 1, &error),
			-ENOENT, &error, "no loop");
		if (nobody[i] < 2000)
			ck_assert(!seen_loop(server, nobody[i]).is_present);
	}
	expect_error(weir_server_add_loop(server, -1, &error), -ENOSPC, &error,
		     "loop_count_max");
	expect_error(weir_server_set_weight(server, 0, 1001, &error), -EINVAL,
		     &error, "1000");
	if (has_program(&echo))
		expect_ok(weir_server_set_weight(server, 0, 3, &error), &error);
	else
		expect_error(weir_server_set_weight(server, 0, 3, &error),
			     -EOPNOTSUPP, &error, "program");
	drain(&echo, 0);
	expect_error(weir_server_stop_accepting(server, 1, &error), -EBUSY,
		     &error, "loop 1 is the last");
	expect_error(weir_server_remove_loop(server, 1, &error), -EBUSY, &error,
		     "loop 1 is the last");
	come_and_go(&echo, 20);
	expect_ok(weir_server_remove_loop(server, 0, &error), &error);
	echo.has_removed = true;
	expect_error(weir_server_remove_loop(server, 0, &error), -ENOENT,
		     &error, "no loop 0");
	expect_error(weir_server_add_loop(server, CPU_SETSIZE, &error), -EINVAL,
		     &error, "CPU");
	add(&echo, 0);
	come_and_go(&echo, 20);
	drain(&echo, 0);
	weir_server_stop(server);
	expect_error(weir_server_add_loop(server, -1, &error), -ESHUTDOWN,
		     &error, "stops");
	expect_error(weir_server_resume_accepting(server, 0, &error),
		     -ESHUTDOWN, &error, "stops");
	echo_end_stopped(&echo, NULL);
}
END_TEST

/* ---- stop -------------------------------------------------------------- */

static void *roll_until_stopped(void *ctx)
{
	struct echo *echo = ctx;
	for (;;) {
		int index = weir_server_add_loop(echo->server, -1, NULL);
		if (index < 0)
			return (void *)(intptr_t)index;
		int err = weir_server_remove_loop(echo->server, (uint32_t)index,
						  NULL);
		if (err < 0)
			return (void *)(intptr_t)err;
		(void)pthread_mutex_lock(&echo->lock);
		echo->answers++; /* a round, counted for the test's thread */
		(void)pthread_cond_broadcast(&echo->moved);
		(void)pthread_mutex_unlock(&echo->lock);
	}
}

START_TEST(a_stop_amid_changes_ends_them_and_the_server)
{
	for (uint64_t i = 0; i < 15; i++) {
		struct echo echo;
		pthread_t roller;
		void *result;

		roll_start(&echo, policies[_i], 2, 3);
		ck_assert_int_eq(pthread_create(&roller, NULL,
						roll_until_stopped, &echo),
				 0);
		echo_wait_answers(&echo, i % 3);
		weir_server_stop(echo.server);
		int err = weir_server_join(echo.server);
		ck_assert_msg(err == 0, "a loop ended with %s", strerror(-err));
		ck_assert_int_eq(pthread_join(roller, &result), 0);
		ck_assert_int_eq((intptr_t)result, -ESHUTDOWN);
		echo.has_removed = true;
		echo_end_stopped(&echo, NULL); /* a second join is harmless */
	}
}
END_TEST

/* Waits until so many streams have ended; reads none of them. */
static void await_ended(const int *fds, uint32_t count, uint64_t want)
{
	uint64_t ended;
	do {
		ended = 0;
		for (uint32_t i = 0; i < count; i++) {
			struct pollfd one = { .fd = fds[i], .events = POLLIN };
			ended += poll(&one, 1, 0) == 1;
		}
		(void)sched_yield();
	} while (ended < want);
}

/* A second stop forces. A stop of the server while one of its loops is removed
 * is the first stop of that loop. */
START_TEST(a_stop_amid_a_removal_forces_nothing)
{
	enum { KEPT = 40 };
	struct echo echo;
	int fds[KEPT];
	pthread_t remover;
	void *failed;
	struct weir_loop_stats stats;

	roll_start(&echo, policies[_i], 2, 0);
	for (int i = 0; i < KEPT; i++)
		fds[i] = peer_open(echo_port(&echo));
	peer_round_trips(fds, KEPT, 1);
	const uint64_t ending = share_of(&echo, 1).stats.conns_open;
	ck_assert_uint_gt(ending, 0);
	ck_assert_int_eq(pthread_create(&remover, NULL, roll_remove, &echo), 0);
	await_ended(fds, KEPT, ending);
	weir_server_stop(echo.server);
	await_ended(fds, KEPT, KEPT);
	for (int i = 0; i < KEPT; i++) {
		peer_expect_end(fds[i]);
		peer_close(fds[i]);
	}
	ck_assert_int_eq(pthread_join(remover, &failed), 0);
	ck_assert_ptr_null(failed);
	echo_wait_closes(&echo, KEPT);
	for (uint64_t i = 0; i < KEPT; i++) {
		const struct weir_close_reason reason =
			echo_close_reason(&echo, i);
		echo_expect_cause(&reason, WEIR_CLOSE_STOPPED);
	}
	echo.has_removed = true;
	echo_end_stopped(&echo, &stats);
	ck_assert_uint_eq(stats.closes, KEPT - ending);
}
END_TEST

/* Its sockets are still bound: they must not block the port. */
START_TEST(the_port_of_a_server_that_has_ended_is_free_before_it_is_closed)
{
	struct echo first;
	struct echo second = { .server = NULL };
	roll_start(&first, policies[_i], 2, 0);
	come_and_go(&first, 20);
	const struct weir_listen listen = { .port = echo_port(&first) };
	const struct weir_server_opts opts = { .listen = &listen,
					       .listen_count = 1,
					       .loop_count = 2 };
	weir_server_stop(first.server);
	ck_assert_int_eq(weir_server_join(first.server), 0);
	echo_start(&second, &opts, NULL);
	come_and_go(&second, 20);
	ck_assert_uint_eq(arrived_in_all(&second), 20);
	echo_end(&second, NULL);
	echo_end_stopped(&first, NULL);
}
END_TEST

/* ---- several addresses ------------------------------------------------- */

static bool has_ipv6(void)
{
	const struct weir_kernel *kernel = weir_kernel_default();
	struct wi_listen_request request = { .backlog = 1 };
	ck_assert_int_eq(weir_addr_parse("::1", 0, &request.addr), 0);
	int fd = wi_listen_socket_open(kernel, &request, NULL);
	if (fd >= 0)
		(void)kernel->close(kernel->ctx, fd);
	return fd >= 0;
}

/* To a loopback address of the family, on the port of address @index. */
static int dial(const struct echo *echo, uint32_t index)
{
	struct weir_addr to = seen_server(echo->server).addrs[index];
	const bool is_v6 = to.storage.ss_family == AF_INET6;
	const uint16_t port = weir_addr_port(&to);
	ck_assert_uint_ne(port, 0);
	ck_assert_int_eq(
		weir_addr_parse(is_v6 ? "::1" : "127.0.0.1", port, &to), 0);
	int fd = socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_msg(connect(fd, (struct sockaddr *)&to.storage, to.bytes) ==
			      0,
		      "address %u: %s", index, strerror(errno));
	return fd;
}

static void come_and_go_on(const struct echo *echo, uint32_t index, int count)
{
	for (int i = 0; i < count; i++) {
		int fd = dial(echo, index);
		peer_round_trip(fd, (uint32_t)i);
		peer_close(fd);
	}
}

static void serve_two_addresses(const struct weir_server_opts *opts)
{
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;
	echo_start_as_asked(&echo, opts, NULL);
	for (uint32_t i = 0; i < 2; i++)
		come_and_go_on(&echo, i, 40);
	drain(&echo, 0);
	const uint64_t before = share_of(&echo, 0).stats.accepts;
	for (uint32_t i = 0; i < 2; i++)
		come_and_go_on(&echo, i, 40);
	ck_assert_uint_eq(share_of(&echo, 0).stats.accepts, before);
	resume(&echo, 0);
	for (uint32_t i = 0; i < 2; i++)
		come_and_go_on(&echo, i, 40);
	ck_assert_uint_gt(share_of(&echo, 0).stats.accepts, before);
	echo_end(&echo, &stats);
	ck_assert_uint_eq(stats.accepts, 240);
}

START_TEST(two_addresses_of_two_families_are_served)
{
	const struct weir_listen listen[] = { { .address = "127.0.0.1" },
					      { .address = "::1" } };
	const struct weir_server_opts opts = {
		.listen = listen,
		.listen_count = 2,
		.loop_count = 2,
		.is_unpinned = true,
		.steering = { .policy = policies[_i] },
	};
	wi_skip_unless(has_ipv6(), "no IPv6");
	serve_two_addresses(&opts);
}
END_TEST

START_TEST(two_wildcards_share_one_port)
{
	struct echo scout = { .server = NULL };
	wi_netns_enter_if_may();
	wi_skip_unless(has_ipv6(), "no IPv6");
	echo_start(&scout, NULL, NULL);
	const uint16_t port = echo_port(&scout);
	echo_end(&scout, NULL);
	const struct weir_listen listen[] = {
		{ .address = "0.0.0.0", .port = port },
		{ .address = "::", .port = port },
	};
	const struct weir_server_opts opts = {
		.listen = listen,
		.listen_count = 2,
		.loop_count = 2,
		.is_unpinned = true,
		.steering = { .policy = policies[_i] },
	};
	serve_two_addresses(&opts);
}
END_TEST

START_TEST(an_ipv6_wildcard_beside_ipv4_leaves_other_ipv4_addresses_alone)
{
	struct sockaddr_in other;
	struct echo echo = { .server = NULL };
	wi_netns_enter_if_may();
	wi_skip_unless(has_ipv6(), "no IPv6");
	ck_assert_int_eq(close(wi_listener(&other)), 0);
	const struct weir_listen listen[] = {
		{ .address = "127.0.0.1" },
		{ .address = "::", .port = ntohs(other.sin_port) },
	};
	const struct weir_server_opts opts = { .listen = listen,
					       .listen_count = 2,
					       .loop_count = 1 };
	echo_start_as_asked(&echo, &opts, NULL);
	come_and_go_on(&echo, 1, 5);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&other, sizeof(other)),
			 -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	peer_close(fd);
	echo_end(&echo, NULL);
}
END_TEST

START_TEST(addresses_that_cannot_all_be_had_are_refused)
{
	struct weir_error error = { .code = 0 };
	struct weir_server *server = NULL;
	struct sockaddr_in taken;
	wi_netns_enter_if_may();
	int listener = wi_listener(&taken);
	struct weir_listen listen[WEIR_STEER_GROUPS_MAX + 1] = {
		silent_listen,
		{ .service = &silent_service,
		  .address = "127.0.0.1",
		  .port = ntohs(taken.sin_port) },
	};
	struct weir_server_opts opts = { .listen = listen,
					 .listen_count = 2,
					 .loop_count = 1 };
	const size_t fds = peer_fd_count();

	expect_error(weir_server_open(&server, &opts, &error), -EADDRINUSE,
		     &error, "in use");
	listen[1].address = "here";
	expect_error(weir_server_open(&server, &opts, &error), -EINVAL, &error,
		     "'here' is no numeric");
	opts.listen_count = WEIR_STEER_GROUPS_MAX + 1;
	expect_error(weir_server_open(&server, &opts, &error), -EINVAL, &error,
		     "9 addresses asked for; the limit is 8");
	peer_close(listener);
	listen[0].port = listen[1].port;
	opts.listen_count = 2;
	listen[1].address = "127.0.0.1";
	expect_error(weir_server_open(&server, &opts, &error), -EINVAL, &error,
		     "asked for twice");
	ck_assert_uint_eq(peer_fd_count(), fds - 1);
}
END_TEST

/* ---- samples ----------------------------------------------------------- */

static void pin_to(int cpu)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* Over loopback the packet's CPU is the client's. */
START_TEST(one_in_so_many_sockets_is_asked_for_its_cpu)
{
	const struct weir_server_opts opts = {
		.loop_count = 1,
		.sample_interval = 4,
	};
	struct echo echo = { .server = NULL };
	cpu_set_t usable;
	int other = -1;

	wi_skip_if_forced_off(WEIR_RUNG_SOCKET_CMD);
	echo_start_as_asked(&echo, &opts, NULL);
	const int cpu = seen_loop(echo.server, 0).cpu;
	ck_assert_int_ge(cpu, 0);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(usable), &usable), 0);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &usable) && i != cpu)
			other = i;
	pin_to(cpu);
	come_and_go(&echo, 40);
	struct weir_loop_snapshot share = share_of(&echo, 0);
	ck_assert_uint_eq(share.stats.samples, 10);
	ck_assert_uint_eq(share.stats.samples_here, 10);
	if (other >= 0) {
		pin_to(other);
		come_and_go(&echo, 40);
		share = share_of(&echo, 0);
		ck_assert_uint_eq(share.stats.samples, 20);
		ck_assert_uint_eq(share.stats.samples_here, 10);
	}
	echo_end(&echo, NULL);
}
END_TEST

WI_SUITE(server_roll, "server-roll", WI_RUNGS | WI_THREADS | WI_BPF)
{
	TCase *tcase = tcase_create("roll");
	tcase_set_timeout(tcase, ROLL_TEST_TIMEOUT_S);
	tcase_add_loop_test(tcase,
			    a_drained_loop_gets_none_and_keeps_what_it_has, 0,
			    POLICY_COUNT);
	tcase_add_loop_test(tcase,
			    who_waits_in_the_queue_of_a_drained_loop_is_served,
			    0, POLICY_COUNT);
	tcase_add_loop_test(
		tcase,
		the_connections_of_a_removed_loop_end_and_the_others_go_on, 0,
		POLICY_COUNT);
	tcase_add_test(tcase,
		       loops_come_and_go_under_load_and_no_exchange_fails);
	tcase_add_loop_test(tcase, a_change_that_cannot_be_made_says_why, 0,
			    POLICY_COUNT);
	tcase_add_loop_test(tcase, a_stop_amid_changes_ends_them_and_the_server,
			    0, POLICY_COUNT);
	tcase_add_loop_test(tcase, a_stop_amid_a_removal_forces_nothing, 0,
			    POLICY_COUNT);
	tcase_add_loop_test(
		tcase,
		the_port_of_a_server_that_has_ended_is_free_before_it_is_closed,
		0, POLICY_COUNT);
	tcase_add_loop_test(tcase, two_addresses_of_two_families_are_served, 0,
			    POLICY_COUNT);
	tcase_add_loop_test(tcase, two_wildcards_share_one_port, 0,
			    POLICY_COUNT);
	tcase_add_test(
		tcase,
		an_ipv6_wildcard_beside_ipv4_leaves_other_ipv4_addresses_alone);
	tcase_add_test(tcase, addresses_that_cannot_all_be_had_are_refused);
	tcase_add_test(tcase, one_in_so_many_sockets_is_asked_for_its_cpu);
	suite_add_tcase(suite, tcase);
}
