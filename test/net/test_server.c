/* test_server.c - many connections at once: on every rung, on rings that are
 * too small, over a failing kernel, and up to the limit of connections
 *
 * How a server starts: test_server_start.c. What its peers do to it:
 * test_server_peers.c. Connections that it makes: test_server_outbound.c.
 */
#include "test_server.h"
#include "../rig/count_of.h"

#include "../rig/faults.h"
#include "../rig/peer.h"
#include "../suites.h"
#include "net/server/server_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CLIENTS = 200, DEPTH = 8 };

/* ---- traffic ----------------------------------------------------------- */

/* Every client sends DEPTH frames at a time, of 0 to 700 bytes. Their answers
 * take several chunks of a send queue, so sends are gathered. */
static size_t traffic_payload(uint32_t seed)
{
	return seed * 37 % 701;
}

static void traffic_send(int fd, uint32_t seed)
{
	uint8_t wire[DEPTH * (PEER_PREFIX_BYTES + 700)];
	size_t wire_bytes = 0;
	for (uint32_t i = 0; i < DEPTH; i++)
		wire_bytes += peer_frame_put(
			wire + wire_bytes, traffic_payload(seed + i), seed + i);
	peer_send(fd, wire, wire_bytes);
}

static void traffic_expect(int fd, uint32_t seed)
{
	for (uint32_t i = 0; i < DEPTH; i++)
		peer_expect_frame(fd, traffic_payload(seed + i), seed + i);
}

/* The loop waits in its first call until the gate opens. Then all bytes that
 * clients have sent meanwhile are there at once. */
struct gated {
	struct echo echo; /* first */
	pthread_mutex_t gate;
};

static ssize_t gated_on_data(struct weir_conn *conn, const uint8_t *bytes,
			     size_t byte_count, void *ctx)
{
	struct gated *gated = ctx;
	(void)pthread_mutex_lock(&gated->gate);
	(void)pthread_mutex_unlock(&gated->gate);
	return echo_on_data(conn, bytes, byte_count, ctx);
}

static void traffic_run(uint16_t port, size_t client_count, uint32_t rounds,
			pthread_mutex_t *gate)
{
	int fds[CLIENTS];
	ck_assert_uint_le(client_count, CLIENTS);
	for (size_t i = 0; i < client_count; i++)
		fds[i] = peer_open(port);
	for (uint32_t round = 0; round < rounds; round++) {
		for (uint32_t i = 0; i < client_count; i++)
			traffic_send(fds[i], round * 1000 + i);
		if (gate != NULL && round == 0)
			(void)pthread_mutex_unlock(gate);
		for (uint32_t i = 0; i < client_count; i++)
			traffic_expect(fds[i], round * 1000 + i);
	}
	for (size_t i = 0; i < client_count; i++)
		peer_close(fds[i]);
}

static void traffic_on(const struct weir_server_opts *opts, size_t client_count,
		       uint32_t rounds, struct weir_loop_stats *out_stats)
{
	const struct weir_service service = {
		.handlers = { .on_data = gated_on_data },
	};
	struct gated gated = { .gate = PTHREAD_MUTEX_INITIALIZER };
	struct echo *echo = &gated.echo;
	(void)pthread_mutex_lock(&gated.gate);
	echo_start(echo, opts, &service);
	traffic_run(echo_port(echo), client_count, rounds, &gated.gate);
	echo_wait_closes(echo, client_count);
	ck_assert_uint_eq(echo->answers, client_count * rounds * DEPTH);
	ck_assert_uint_eq(echo_closes_by(echo, WEIR_CLOSE_PEER), client_count);
	echo_end(echo, out_stats);
}

/* ---- rungs ------------------------------------------------------------- */

#define OFF(name) weir_rung_bit(WEIR_RUNG_##name)
static const struct {
	const char *without;
	weir_rung_set forced_off;
} rung_cases[] = {
	{ "nothing", 0 },
	{ "no-sqarray", OFF(NO_SQARRAY) },
	{ "defer-taskrun", OFF(DEFER_TASKRUN) },
	{ "any task-run flag", OFF(DEFER_TASKRUN) | OFF(COOP_TASKRUN) },
	{ "registered-ring", OFF(REGISTERED_RING) },
	{ "min-wait", OFF(MIN_WAIT) },
	{ "no-iowait", OFF(NO_IOWAIT) },
	{ "any rung at all", OFF(NO_SQARRAY) | OFF(DEFER_TASKRUN) |
				     OFF(COOP_TASKRUN) | OFF(REGISTERED_RING) |
				     OFF(MIN_WAIT) | OFF(NO_IOWAIT) },
};

START_TEST(every_byte_comes_back_on_every_rung_of_the_ladder)
{
	const struct weir_server_opts opts = {
		.loop = { .ring = { .forced_off = rung_cases[_i].forced_off } },
	};
	(void)printf("without %s\n", rung_cases[_i].without);
	traffic_on(&opts, 50, 10, NULL);
}
END_TEST

START_TEST(several_loops_share_the_connections)
{
	const struct weir_server_opts opts = { .loop_count = 3 };
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;

	echo_start(&echo, &opts, NULL);
	ck_assert_uint_eq(seen_server(echo.server).loop_end, 3);
	traffic_run(echo_port(&echo), CLIENTS, 5, NULL);
	echo_wait_closes(&echo, CLIENTS);
	for (uint32_t i = 0; i < 3; i++) {
		const struct weir_loop_snapshot loop =
			seen_loop(echo.server, i);
		ck_assert_uint_eq(weir_loop_index(echo.server->workers[i].loop),
				  i);
		ck_assert_uint_gt(loop.stats.accepts, 0);
		ck_assert_int_eq(loop.cpu, -1);
	}
	echo_end(&echo, &stats);
	ck_assert_uint_eq(stats.accepts, CLIENTS);
}
END_TEST

/* ---- rings and buffers that are too small ------------------------------ */

static const struct {
	uint32_t sq;
	uint32_t cq;
} tiny_cases[] = { { 1, 8 }, { 2, 8 }, { 4, 8 }, { 8, 8 } };

START_TEST(a_tiny_ring_is_slow_and_loses_nothing)
{
	const struct weir_server_opts opts = {
		.loop = { .ring = { .sq_entry_count = tiny_cases[_i].sq,
				    .cq_entry_count = tiny_cases[_i].cq } },
	};
	struct weir_loop_stats stats;
	traffic_on(&opts, CLIENTS, 5, &stats);
	/* Eight entries may be enough; it depends on the timing of clients. */
	if (tiny_cases[_i].sq < 8)
		ck_assert_uint_gt(stats.ring.sq_full, 0);
	ck_assert_uint_gt(stats.ring.cq_overflows, 0);
}
END_TEST

START_TEST(two_hundred_clients_share_very_few_buffers)
{
	const struct weir_server_opts opts = {
		.loop = { .buf_count = (uint32_t)_i,
			  .buf_bytes = 2048,
			  .ring = { .cq_entry_count = 4096 } },
	};
	struct weir_loop_stats stats;
	traffic_on(&opts, CLIENTS, 5, &stats);
	ck_assert_uint_gt(stats.recv_enobufs, 0);
	/* No spinning: nearly every enter returns completions. */
	ck_assert_uint_le(stats.ring.enters, stats.ring.cqes + 100);
}
END_TEST

START_TEST(a_tiny_ring_with_one_buffer_over_a_faulty_kernel_is_exact)
{
	struct wi_faults faults;
	wi_faults_init(&faults);
	faults.enter_errno = -EINTR;
	faults.enter_seed = 8123;
	faults.enters_faulty = UINT32_MAX;
	const struct weir_server_opts opts = {
		.loop = { .ring = { .kernel = &faults.wrap.kernel,
				    .sq_entry_count = 2,
				    .cq_entry_count = 8 },
			  .buf_count = 1,
			  .buf_bytes = 128 },
	};
	traffic_on(&opts, 20, 3, NULL);
}
END_TEST

/* ---- a kernel that fails ----------------------------------------------- */

static const int fault_cases[] = { -EINTR, -EAGAIN, -EBUSY, -ENOMEM };

START_TEST(enters_that_fail_or_fall_short_lose_and_double_nothing)
{
	struct wi_faults faults;
	struct weir_loop_stats stats;
	wi_faults_init(&faults);
	faults.enter_errno = fault_cases[_i];
	faults.enter_seed = 42 + (uint64_t)_i;
	faults.enters_faulty = UINT32_MAX;
	(void)printf("seed %d, errno %d\n", 42 + _i, -fault_cases[_i]);
	const struct weir_server_opts opts = {
		.loop = { .ring = { .kernel = &faults.wrap.kernel } },
	};
	traffic_on(&opts, CLIENTS, 10, &stats);
	ck_assert_uint_gt(
		stats.ring.enters_interrupted + stats.ring.enters_refused, 0);
}
END_TEST

/* The memory behind SENDMSG must stay until the kernel has read it. A short or
 * refused submission postpones that: found as a bug here. */
START_TEST(gathered_sends_survive_a_submission_that_falls_short)
{
	struct wi_faults faults;
	wi_faults_init(&faults);
	faults.enter_fault = WI_ENTER_SHORT;
	faults.enter_short_count = 1;
	faults.enters_faulty = UINT32_MAX;
	const struct weir_server_opts opts = {
		.loop = { .ring = { .kernel = &faults.wrap.kernel } },
	};
	traffic_on(&opts, CLIENTS, 5, NULL);
}
END_TEST

/* Before 6.8 there is no FIXED_FD_INSTALL. A full descriptor table has the same
 * effect: the ring's own SHUTDOWN sends the FIN. */
START_TEST(fin_is_sent_by_the_ring_when_no_descriptor_is_to_be_had)
{
	struct local local = { .loop = NULL };
	struct weir_loop_stats stats;
	int fillers[64];
	int filler_count = 0;
	local.echo.format.payload_bytes_max = 10;

	local_start(&local, &(struct weir_loop_opts){ .conn_count = 32 }, NULL);
	int fd = peer_open(local.port);
	const struct rlimit few = { .rlim_cur = 40, .rlim_max = 20000 };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (filler_count < 64 && (fillers[filler_count] = dup(fd)) >= 0)
		filler_count++;
	peer_send_frame(fd, 11, 1); /* refused */
	struct weir_loop_stats before;
	do {
		ck_assert_int_eq(weir_loop_turn(local.loop, 1000000000), 1);
		weir_loop_stats(local.loop, &before);
	} while (before.half_closes == 0);
	peer_expect_end(fd);
	while (filler_count > 0)
		peer_close(fillers[--filler_count]);
	peer_close(fd);
	local_turn_until(&local, &local.echo.closes, 1);
	echo_expect_cause(&local.echo.reasons[0], WEIR_CLOSE_REFUSED);
	local_end(&local, &stats);
	ck_assert_uint_eq(stats.half_closes, 1);
}
END_TEST

/* ---- the limit of connections ------------------------------------------ */

START_TEST(clients_beyond_the_limit_wait_and_are_served_one_for_one)
{
	enum { LIMIT = 8, ALL = 50, TRIPS = 200 };
	const struct weir_server_opts opts = { .loop = { .conn_count =
								 LIMIT } };
	struct echo echo = { .server = NULL };
	struct weir_loop_stats before;
	struct weir_loop_stats stats;
	int fds[ALL];

	echo_start(&echo, &opts, NULL);
	for (uint32_t i = 0; i < ALL; i++)
		fds[i] = peer_open(echo_port(&echo));
	for (uint32_t i = 0; i < ALL; i++)
		peer_send_frame(fds[i], 16, i);
	for (uint32_t i = 0; i < LIMIT; i++)
		peer_expect_frame(fds[i], 16, i);

	/* While accepts are paused, waiting clients cost nothing. */
	echo_stats(&echo, &before);
	for (uint32_t i = 0; i < TRIPS; i++)
		peer_round_trip(fds[0], i);
	echo_stats(&echo, &stats);
	ck_assert_uint_eq(stats.accepts, LIMIT);
	ck_assert_uint_eq(stats.conns_open, LIMIT);
	ck_assert_uint_ge(stats.accept_pauses, 1);
	ck_assert_uint_le(stats.ring.enters - before.ring.enters, 3 * TRIPS);

	for (uint32_t i = 0; i + LIMIT < ALL; i++) {
		peer_close(fds[i]);
		peer_expect_frame(fds[i + LIMIT], 16, i + LIMIT);
		echo_stats(&echo, &stats);
		ck_assert_uint_eq(stats.accepts, LIMIT + i + 1);
	}
	for (uint32_t i = ALL - LIMIT; i < ALL; i++)
		peer_close(fds[i]);
	echo_wait_closes(&echo, ALL);
	echo_end(&echo, &stats);
	ck_assert_uint_eq(stats.accepts, ALL);
	ck_assert_uint_eq(stats.accept_drops, 0);
	ck_assert_uint_eq(stats.conns_open, 0);
	ck_assert_uint_eq(stats.conns_peak, LIMIT);
}
END_TEST

START_TEST(a_burst_of_clients_does_not_break_the_limit)
{
	enum { LIMIT = 8, ALL = 50 };
	const struct weir_loop_opts opts = { .conn_count = LIMIT };
	struct local local = { .loop = NULL };
	int fds[ALL];

	local_start(&local, &opts, NULL);
	for (uint32_t i = 0; i < ALL; i++) {
		fds[i] = peer_open(local.port);
		peer_send_frame(fds[i], 16, i);
	}
	/* All are in the backlog before the first is accepted. */
	local_turn_until(&local, &local.echo.answers, LIMIT);
	local_turns(&local, 50);
	ck_assert_uint_eq(local.echo.opens, LIMIT);
	for (uint32_t i = 0; i < ALL; i++) {
		local_turn_until(&local, &local.echo.answers, i + 1);
		local_turns(&local, 2);
		peer_expect_frame(fds[i], 16, i);
		peer_close(fds[i]);
		ck_assert_uint_le(local.echo.opens - local.echo.closes, LIMIT);
	}
	local_turn_until(&local, &local.echo.closes, ALL);
	local_end(&local, NULL);
}
END_TEST

/* ---- the suite --------------------------------------------------------- */

static TCase *tcase_rings(void)
{
	TCase *tcase = tcase_create("rings");
	tcase_set_timeout(tcase, SERVER_TEST_TIMEOUT_S);
	tcase_add_loop_test(tcase,
			    every_byte_comes_back_on_every_rung_of_the_ladder,
			    0, COUNT_OF(rung_cases));
	tcase_add_test(tcase, several_loops_share_the_connections);
	tcase_add_loop_test(tcase, a_tiny_ring_is_slow_and_loses_nothing, 0,
			    COUNT_OF(tiny_cases));
	tcase_add_loop_test(tcase, two_hundred_clients_share_very_few_buffers,
			    1, 3);
	tcase_add_loop_test(
		tcase, enters_that_fail_or_fall_short_lose_and_double_nothing,
		0, COUNT_OF(fault_cases));
	tcase_add_test(
		tcase,
		a_tiny_ring_with_one_buffer_over_a_faulty_kernel_is_exact);
	tcase_add_test(tcase,
		       gathered_sends_survive_a_submission_that_falls_short);
	tcase_add_test(tcase,
		       fin_is_sent_by_the_ring_when_no_descriptor_is_to_be_had);
	return tcase;
}

static TCase *tcase_limit(void)
{
	TCase *tcase = tcase_create("limit");
	tcase_set_timeout(tcase, SERVER_TEST_TIMEOUT_S);
	tcase_add_test(
		tcase,
		clients_beyond_the_limit_wait_and_are_served_one_for_one);
	tcase_add_test(tcase, a_burst_of_clients_does_not_break_the_limit);
	return tcase;
}

WI_SUITE(server, "server", WI_RUNGS | WI_THREADS)
{
	if (!wi_kernel_has_rings())
		return;
	suite_add_tcase(suite, tcase_server_start());
	suite_add_tcase(suite, tcase_rings());
	suite_add_tcase(suite, tcase_limit());
	suite_add_tcase(suite, tcase_server_peers());
	suite_add_tcase(suite, tcase_server_outbound());
	suite_add_tcase(suite, tcase_hooks());
	suite_add_tcase(suite, tcase_services());
	suite_add_tcase(suite, tcase_snapshot());
}
