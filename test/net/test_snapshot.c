/* test_snapshot.c - a server's snapshot, and when it can be taken */
#include "../rig/peer.h"
#include "test_server.h"

#include "net/server/server_priv.h"

#include <errno.h>

enum { LOOPS = 3, CAPACITY = 8 };

static const struct weir_server_opts three_loops = { .loop_count = LOOPS };

/* Without a deadline: a peer that stays delays a stop for ever. */
static const struct weir_service patient = {
	.drain_timeout_ms = WEIR_NO_TIMEOUT,
};

/* ---- what it says ------------------------------------------------------ */

START_TEST(a_snapshot_has_the_server_and_each_of_its_loops)
{
	enum { CLIENTS = 20 };
	const struct weir_listen listen[] = { { .address = "127.0.0.1" },
					      { .address = "127.0.0.2" } };
	const struct weir_server_opts opts = {
		.listen = listen,
		.listen_count = 2,
		.loop_count = LOOPS,
		.steering = { .policy = WEIR_STEER_KERNEL },
	};
	struct echo echo = { .server = NULL };
	struct weir_server_snapshot seen;
	struct weir_loop_snapshot loops[CAPACITY];
	uint64_t accepts = 0;
	uint64_t most = 0;
	int fds[CLIENTS];

	echo_start(&echo, &opts, NULL);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = peer_open(echo_port(&echo));
	peer_round_trips(fds, CLIENTS, 1);
	memset(loops, 0xaa, sizeof(loops));
	weir_server_snapshot(echo.server, &seen, loops, CAPACITY);
	ck_assert_int_eq(seen.policy, WEIR_STEER_KERNEL);
	ck_assert_int_eq(seen.means, WEIR_STEER_BY_HASH);
	ck_assert_uint_eq(seen.loop_count, LOOPS);
	ck_assert_uint_eq(seen.loop_end, LOOPS);
	ck_assert_uint_eq(seen.conns_open, CLIENTS);
	ck_assert_uint_eq(seen.accepts, CLIENTS);
	ck_assert_uint_eq(seen.addr_count, 2);
	for (int i = 0; i < 2; i++)
		ck_assert_uint_ne(weir_addr_port(&seen.addrs[i]), 0);
	ck_assert_int_eq(seen.rungs[WEIR_RUNG_BUFRING].state, WEIR_RUNG_ON);
	ck_assert_str_eq(seen.rungs[WEIR_RUNG_STEER_EBPF].name, "steer-ebpf");
	for (int i = 0; i < CAPACITY; i++) {
		ck_assert_int_eq(loops[i].is_present, i < LOOPS);
		ck_assert_int_eq(loops[i].cpu, -1);
		ck_assert_uint_eq(loops[i].weight, i < LOOPS ? 1 : 0);
		ck_assert(!loops[i].has_stopped_accepting);
		accepts += loops[i].stats.accepts;
		if (loops[i].stats.accepts > most)
			most = loops[i].stats.accepts;
	}
	ck_assert_uint_eq(accepts, CLIENTS);
	ck_assert_double_eq_tol(seen.imbalance, (double)most * LOOPS / CLIENTS,
				1e-9);
	for (int i = 0; i < CLIENTS; i++)
		peer_close(fds[i]);
	echo_end(&echo, NULL);
}
END_TEST

START_TEST(a_snapshot_writes_no_more_loops_than_there_is_room_for)
{
	struct echo echo = { .server = NULL };
	struct weir_server_snapshot seen;
	struct weir_loop_snapshot loops[2] = { { .cpu = 4711 },
					       { .cpu = 4711 } };
	echo_start(&echo, &three_loops, NULL);
	weir_server_snapshot(echo.server, &seen, loops, 1);
	ck_assert_int_eq(loops[0].cpu, -1);
	ck_assert_int_eq(loops[1].cpu, 4711);
	weir_server_snapshot(echo.server, &seen, NULL, 0);
	ck_assert_uint_eq(seen.loop_count, LOOPS);
	echo_end(&echo, NULL);
}
END_TEST

START_TEST(a_server_that_has_ended_still_tells)
{
	struct echo echo = { .server = NULL };
	echo_start(&echo, &three_loops, NULL);
	peer_close(peer_open(echo_port(&echo)));
	echo_wait_closes(&echo, 1);
	weir_server_stop(echo.server);
	ck_assert_int_eq(weir_server_join(echo.server), 0);
	const struct weir_server_snapshot seen = seen_server(echo.server);
	ck_assert_uint_eq(seen.loop_count, LOOPS);
	ck_assert_uint_eq(seen.accepts, 1);
	ck_assert_uint_eq(seen.conns_open, 0);
	echo_end_stopped(&echo, NULL);
}
END_TEST

/* ---- beside changes ---------------------------------------------------- */

struct change {
	int (*call)(struct weir_server *server, uint32_t index,
		    struct weir_error *error);
	struct weir_server *server;
	uint32_t index;
	int result;
	pthread_t thread;
};

static void *change_run(void *ctx)
{
	struct change *change = ctx;
	change->result = change->call(change->server, change->index, NULL);
	return NULL;
}

/* Returns while the change is in progress. */
static void change_start(struct change *change)
{
	pthread_mutex_t *control = &change->server->control;
	change->result = 1;
	ck_assert_int_eq(
		pthread_create(&change->thread, NULL, change_run, change), 0);
	while (pthread_mutex_trylock(control) == 0) {
		(void)pthread_mutex_unlock(control);
		(void)sched_yield();
	}
}

static void change_end(struct change *change)
{
	ck_assert_int_eq(pthread_join(change->thread, NULL), 0);
	ck_assert_int_eq(change->result, 0);
}

/* A loop that blocks in its handler, so that it has not stopped accepting yet.
 */
struct held {
	struct echo echo; /* first */
	pthread_mutex_t gate;
	uint32_t index;
	uint32_t is_held;
};

static ssize_t held_on_data(struct weir_conn *conn, const uint8_t *bytes,
			    size_t byte_count, void *ctx)
{
	struct held *held = ctx;
	held->index = weir_loop_index(weir_conn_loop(conn));
	wi_store_release_u32(&held->is_held, 1);
	(void)pthread_mutex_lock(&held->gate);
	(void)pthread_mutex_unlock(&held->gate);
	return echo_on_data(conn, bytes, byte_count, ctx);
}

START_TEST(a_snapshot_does_not_wait_for_a_drain)
{
	const struct weir_service service = {
		.handlers = { .on_data = held_on_data },
	};
	/* Without a program a drain waits for the loop. */
	const struct weir_server_opts opts = {
		.loop_count = 2,
		.steering = { .policy = WEIR_STEER_KERNEL },
	};
	struct held held = { .gate = PTHREAD_MUTEX_INITIALIZER };

	(void)pthread_mutex_lock(&held.gate);
	echo_start(&held.echo, &opts, &service);
	int fd = peer_open(echo_port(&held.echo));
	peer_send_frame(fd, 16, 1);
	while (wi_load_acquire_u32(&held.is_held) == 0)
		(void)sched_yield();
	struct change drain = { .call = weir_server_stop_accepting,
				.server = held.echo.server,
				.index = held.index };
	change_start(&drain);
	/* Of both loops, also of the blocked one. */
	ck_assert_uint_eq(seen_server(drain.server).conns_open, 1);
	ck_assert(seen_loop(drain.server, held.index).is_present);
	(void)pthread_mutex_unlock(&held.gate);
	change_end(&drain);
	ck_assert(seen_loop(drain.server, held.index).has_stopped_accepting);
	peer_expect_frame(fd, 16, 1);
	peer_close(fd);
	echo_end(&held.echo, NULL);
}
END_TEST

START_TEST(a_snapshot_does_not_wait_for_a_removal)
{
	struct echo echo = { .server = NULL };
	echo_start(&echo, &three_loops, &patient);
	int fd = peer_open(echo_port(&echo));
	peer_round_trip(fd, 1);
	uint32_t index = 0;
	while (seen_loop(echo.server, index).stats.conns_open == 0)
		index++;
	struct change removal = { .call = weir_server_remove_loop,
				  .server = echo.server,
				  .index = index };
	echo.has_removed = true;
	change_start(&removal);
	while (!seen_loop(echo.server, index).has_stopped_accepting)
		(void)sched_yield();
	ck_assert_uint_eq(seen_loop(echo.server, index).stats.conns_open, 1);
	ck_assert_uint_eq(seen_server(echo.server).loop_count, LOOPS);
	peer_close(fd); /* it may end */
	change_end(&removal);
	ck_assert(!seen_loop(echo.server, index).is_present);
	ck_assert_uint_eq(seen_server(echo.server).loop_count, LOOPS - 1);
	ck_assert_uint_eq(seen_server(echo.server).loop_end, LOOPS);
	echo_end(&echo, NULL);
}
END_TEST

/* Found as a bug: the snapshot waited for the lock of a drain, which waited for
 * the loop. */
struct asking {
	struct echo echo; /* first */
	uint64_t asked;
};

static void asking_on_tick(struct weir_loop *loop, void *ctx)
{
	struct asking *asking = ctx;
	struct weir_server_snapshot seen;
	struct weir_loop_snapshot loops[CAPACITY];
	weir_server_snapshot(weir_loop_server(loop), &seen, loops, CAPACITY);
	(void)__atomic_add_fetch(&asking->asked, seen.loop_count != 0,
				 __ATOMIC_RELAXED);
}

START_TEST(loops_may_ask_while_others_are_drained_added_and_removed)
{
	struct asking asking = { .asked = 0 };
	const struct weir_server_opts opts = {
		.loop_count = LOOPS,
		.loop_count_max = LOOPS,
		.loop = { .tick_interval_ms = 1,
			  .conn_count = 16,
			  .buf_count = 4,
			  .hooks = { .on_tick = asking_on_tick,
				     .ctx = &asking } },
	};
	struct weir_error error;
	echo_start(&asking.echo, &opts, NULL);
	asking.echo.has_removed = true;
	struct weir_server *server = asking.echo.server;
	for (uint32_t i = 0; i < 12; i++) {
		const uint32_t index = i % LOOPS;
		ck_assert_int_eq(
			weir_server_stop_accepting(server, index, &error), 0);
		ck_assert_int_eq(
			weir_server_resume_accepting(server, index, &error), 0);
		ck_assert_int_eq(weir_server_remove_loop(server, index, &error),
				 0);
		ck_assert_int_eq(weir_server_add_loop(server, -1, &error),
				 (int)index);
	}
	while (__atomic_load_n(&asking.asked, __ATOMIC_RELAXED) < 20)
		(void)sched_yield();
	echo_end(&asking.echo, NULL);
}
END_TEST

/* ---- before the server serves ------------------------------------------ */

static int asking_on_start(struct weir_loop *loop, void *ctx)
{
	struct weir_server_snapshot *seen = ctx;
	weir_server_snapshot(weir_loop_server(loop), seen, NULL, 0);
	return 0;
}

START_TEST(a_loop_may_ask_as_it_starts)
{
	static struct weir_server_snapshot seen;
	const struct weir_server_opts opts = {
		.loop_count = 1,
		.loop = { .hooks = { .on_start = asking_on_start,
				     .ctx = &seen } },
	};
	struct echo echo = { .server = NULL };
	echo_start(&echo, &opts, NULL);
	ck_assert_uint_eq(seen.loop_count, 0);
	ck_assert_uint_eq(weir_addr_port(&seen.addrs[0]), echo_port(&echo));
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		ck_assert_ptr_nonnull(seen.rungs[i].name);
	echo_end(&echo, NULL);
}
END_TEST

TCase *tcase_snapshot(void)
{
	TCase *tcase = tcase_create("snapshot");
	tcase_set_timeout(tcase, SERVER_TEST_TIMEOUT_S);
	tcase_add_test(tcase, a_snapshot_has_the_server_and_each_of_its_loops);
	tcase_add_test(tcase,
		       a_snapshot_writes_no_more_loops_than_there_is_room_for);
	tcase_add_test(tcase, a_server_that_has_ended_still_tells);
	tcase_add_test(tcase, a_snapshot_does_not_wait_for_a_drain);
	tcase_add_test(tcase, a_snapshot_does_not_wait_for_a_removal);
	tcase_add_test(
		tcase,
		loops_may_ask_while_others_are_drained_added_and_removed);
	tcase_add_test(tcase, a_loop_may_ask_as_it_starts);
	return tcase;
}
