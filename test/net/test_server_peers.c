/* test_server_peers.c - peers that reset, half-close, or send nothing */
#include "../rig/peer.h"
#include "test_server.h"

#include "net/core/timer.h"

#include <errno.h>
#include <stdlib.h>

enum { REQUESTS = 4, NS_PER_S = 1000000000 };

/* Four requests, one of them empty. */
static size_t exchange_make(uint8_t *wire)
{
	static const size_t payloads[REQUESTS] = { 5, 0, 9, 1 };
	size_t count = 0;
	for (uint32_t i = 0; i < REQUESTS; i++)
		count += peer_frame_put(wire + count, payloads[i], i);
	return count;
}

/* Bytes of complete requests in the first @byte_count of the exchange. */
static size_t exchange_whole(const uint8_t *wire, size_t byte_count)
{
	size_t whole = 0;
	while (whole + PEER_PREFIX_BYTES <= byte_count) {
		size_t frame_bytes = PEER_PREFIX_BYTES + wire[whole + 3];
		if (whole + frame_bytes > byte_count)
			break;
		whole += frame_bytes;
	}
	return whole;
}

/* ---- an end at every byte ---------------------------------------------- */

enum ending { ENDS_HALF = 0, ENDS_FIN, ENDS_RST, ENDING_COUNT };

static void turn_until_received(struct local *local, uint64_t byte_count)
{
	struct weir_loop_stats stats;
	for (;;) {
		weir_loop_stats(local->loop, &stats);
		if (stats.recv_bytes >= byte_count)
			return;
		ck_assert_int_eq(weir_loop_turn(local->loop, 1000000000), 1);
	}
}

/* All complete requests are answered, then comes a FIN. */
static void expect_answers(int fd, const uint8_t *wire, size_t whole_bytes)
{
	uint8_t answer[128];
	size_t count = 0;
	ck_assert_int_eq(peer_recv_rest(fd, answer, sizeof(answer), &count), 0);
	ck_assert_uint_eq(count, whole_bytes);
	ck_assert_mem_eq(answer, wire, whole_bytes);
}

static void expect_ending(enum ending ending,
			  const struct weir_close_reason *reason,
			  size_t left_bytes)
{
	switch (ending) {
	case ENDS_HALF:
		echo_expect_cause(reason, WEIR_CLOSE_PEER);
		ck_assert_uint_eq(reason->value, left_bytes);
		break;
	case ENDS_FIN: /* a close with unread answers is a reset */
		ck_assert(reason->cause == WEIR_CLOSE_PEER ||
			  reason->cause == WEIR_CLOSE_RESET);
		break;
	case ENDS_RST:
		echo_expect_cause(reason, WEIR_CLOSE_RESET);
		break;
	case ENDING_COUNT:
		break;
	}
}

static void exchange_end(struct local *local, enum ending ending, size_t at,
			 bool waits)
{
	uint8_t wire[128];
	(void)exchange_make(wire);
	const size_t whole = exchange_whole(wire, at);
	const uint64_t closes = local->echo.closes;
	struct weir_loop_stats stats;
	weir_loop_stats(local->loop, &stats);

	int fd = peer_open(local->port);
	peer_send(fd, wire, at);
	if (waits)
		turn_until_received(local, stats.recv_bytes + at);
	switch (ending) {
	case ENDS_HALF:
		peer_half_close(fd);
		break;
	case ENDS_FIN:
		peer_close(fd);
		break;
	case ENDS_RST:
		peer_reset(fd);
		break;
	case ENDING_COUNT:
		break;
	}
	/* A reset in the same wake-up as data is found once the connection has
	 * been quiet for a while. */
	local_turns(local, 5);
	if (local->echo.closes == closes)
		local->ahead_ns += 2 * (uint64_t)NS_PER_S;
	local_turn_until(local, &local->echo.closes, closes + 1);
	expect_ending(ending, &local->echo.reasons[closes], at - whole);
	if (ending == ENDS_HALF) {
		expect_answers(fd, wire, whole);
		peer_close(fd);
	}
}

START_TEST(a_peer_may_end_at_every_byte_of_an_exchange)
{
	struct local local = { .loop = NULL };
	struct weir_loop_stats stats;
	uint8_t wire[128];
	const size_t wire_bytes = exchange_make(wire);
	uint64_t ends = 0;

	/* No idle deadline: only the reset can end a connection. */
	local_start(
		&local, NULL,
		&(struct weir_service){ .idle_timeout_ms = WEIR_NO_TIMEOUT });
	int neighbour = peer_open(local.port);
	for (int ending = 0; ending < ENDING_COUNT; ending++) {
		for (size_t at = 0; at <= wire_bytes; at++) {
			exchange_end(&local, ending, at, false);
			exchange_end(&local, ending, at, true);
			ends += 2;
		}
	}
	ck_assert_uint_eq(local.echo.opens, ends + 1);
	ck_assert_uint_eq(local.echo.closes, ends);
	weir_loop_stats(local.loop, &stats);
	ck_assert_uint_eq(stats.conns_open, 1);
	ck_assert_uint_eq(stats.block_bytes_used, 0);
	peer_close(neighbour);
	local_turn_until(&local, &local.echo.closes, ends + 1);
	local_end(&local, NULL);
}
END_TEST

START_TEST(a_thousand_resets_right_after_the_connect_leave_nothing)
{
	enum { RESETS = 1000 };
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;

	echo_start(&echo, NULL, NULL);
	for (int i = 0; i < RESETS; i++)
		peer_reset(peer_open(echo_port(&echo)));
	/* Only the kernel's backlog can have lost a client; it has not. */
	int fd = peer_open(echo_port(&echo));
	peer_round_trip(fd, 1);
	peer_close(fd);
	echo_wait_closes(&echo, RESETS + 1);
	ck_assert_uint_eq(echo_closes_by(&echo, WEIR_CLOSE_RESET), RESETS);
	echo_end(&echo, &stats);
	ck_assert_uint_eq(stats.accepts, RESETS + 1);
}
END_TEST

START_TEST(resets_with_answers_in_flight_hurt_nobody_else)
{
	enum { ROUNDS = 200, PAYLOAD = 100000 };
	struct echo echo = { .server = NULL };
	uint8_t *frame = malloc(PEER_PREFIX_BYTES + PAYLOAD);
	size_t frame_bytes = peer_frame_put(frame, PAYLOAD, 1);

	echo_start(&echo, NULL, NULL);
	int neighbour = peer_open(echo_port(&echo));
	for (uint32_t i = 0; i < ROUNDS; i++) {
		int fd = peer_open(echo_port(&echo));
		peer_send(fd, frame, frame_bytes - i * 400);
		peer_round_trip(neighbour, i);
		peer_reset(fd);
	}
	echo_wait_closes(&echo, ROUNDS);
	ck_assert_uint_eq(echo_closes_by(&echo, WEIR_CLOSE_RESET), ROUNDS);
	peer_round_trip(neighbour, 1);
	peer_close(neighbour);
	echo_end(&echo, NULL);
	free(frame);
}
END_TEST

START_TEST(a_half_close_after_the_last_request_gets_all_answers_then_fin)
{
	enum { FRAMES = 2000, PAYLOAD = 1000 };
	const size_t frame_bytes = PEER_PREFIX_BYTES + PAYLOAD;
	struct echo echo = { .server = NULL };
	uint8_t *out = malloc(FRAMES * frame_bytes);
	uint8_t *in = malloc(FRAMES * frame_bytes + 1);
	size_t count = 0;
	for (uint32_t i = 0; i < FRAMES; i++)
		(void)peer_frame_put(out + i * frame_bytes, PAYLOAD, i);

	echo_start(&echo, NULL, NULL);
	int fd = peer_open(echo_port(&echo));
	peer_send(fd, out, FRAMES * frame_bytes);
	peer_half_close(fd);
	int err = peer_recv_rest(fd, in, FRAMES * frame_bytes + 1, &count);
	ck_assert_int_eq(err, 0);
	ck_assert_uint_eq(count, FRAMES * frame_bytes);
	ck_assert_mem_eq(in, out, count);
	peer_close(fd);
	struct weir_close_reason reason = echo_close_reason(&echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_PEER);
	ck_assert_uint_eq(reason.value, 0);
	echo_end(&echo, NULL);
	free(out);
	free(in);
}
END_TEST

/* ---- deadlines --------------------------------------------------------- */

START_TEST(who_says_nothing_is_closed_at_the_idle_deadline)
{
	const struct weir_service service = { .idle_timeout_ms = 50 };
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;

	echo_start(&echo, NULL, &service);
	int silent = peer_open(echo_port(&echo));
	int halfway = peer_open(echo_port(&echo));
	peer_send(halfway, "\0\0\0\5he", 6);
	peer_expect_end(silent);
	peer_expect_end(halfway);
	echo_wait_closes(&echo, 2);
	ck_assert_uint_eq(echo_closes_by(&echo, WEIR_CLOSE_IDLE), 2);
	peer_close(silent);
	peer_close(halfway);
	echo_end(&echo, &stats);
	ck_assert_uint_eq(stats.idle_deadlines, 2);
}
END_TEST

/* In the loop's own time: not before the deadline, and at most one tick and one
 * turn later. */
START_TEST(the_idle_deadline_counts_from_the_last_byte)
{
	enum { IDLE_MS = 5000 };
	const struct weir_service service = { .idle_timeout_ms = IDLE_MS };
	const uint64_t ms_ns = 1000000;
	struct local local = { .is_time_still = true };

	local_start(&local, NULL, &service);
	int fd = peer_open(local.port);
	local_turn_until(&local, &local.echo.opens, 1);
	for (uint32_t i = 1; i <= 5; i++) {
		local.ahead_ns += (IDLE_MS - 1000) * ms_ns;
		local_turns(&local, 5);
		ck_assert_uint_eq(local.echo.closes, 0);
		peer_send_frame(fd, 16, i);
		local_turn_until(&local, &local.echo.answers, i);
		local_turns(&local, 1);
		peer_expect_frame(fd, 16, i);
	}
	local.ahead_ns += IDLE_MS * ms_ns + WI_TICK_NS;
	local_turn_until(&local, &local.echo.closes, 1);
	echo_expect_cause(&local.echo.reasons[0], WEIR_CLOSE_IDLE);
	peer_expect_end(fd);
	peer_close(fd);
	local_end(&local, NULL);
}
END_TEST

/* Even if many are due, others are served in between. None is due before all
 * are connected, since that takes none of the loop's own time. */
START_TEST(deadlines_of_a_swarm_are_met_over_several_turns)
{
	enum { SWARM = 300, PER_TURN = 256, TURNS_MAX = 1000 };
	const struct weir_service service = { .idle_timeout_ms = 5000 };
	struct local local = { .is_time_still = true };
	struct weir_loop_stats stats = { .turns = 0 };
	int fds[SWARM];

	local_start(&local, NULL, &service);
	for (uint64_t i = 0; i < SWARM; i++) {
		fds[i] = peer_open(local.port);
		local_turn_until(&local, &local.echo.opens, i + 1);
	}
	local.ahead_ns += UINT64_C(60) * NS_PER_S;
	for (int i = 0; i < TURNS_MAX && stats.idle_deadlines < SWARM; i++) {
		const uint64_t before = stats.idle_deadlines;
		local_turns(&local, 1);
		weir_loop_stats(local.loop, &stats);
		ck_assert_uint_le(stats.idle_deadlines - before, PER_TURN);
	}
	ck_assert_uint_eq(stats.idle_deadlines, SWARM);
	local_turn_until(&local, &local.echo.closes, SWARM);
	for (int i = 0; i < SWARM; i++)
		peer_close(fds[i]);
	local_end(&local, NULL);
}
END_TEST

START_TEST(a_quiet_connection_is_asked_once_whether_it_is_alive)
{
	const struct weir_service service = {
		.idle_timeout_ms = WEIR_NO_TIMEOUT,
	};
	struct weir_loop_stats before;
	struct weir_loop_stats stats;
	struct local local = { .is_time_still = true };

	local_start(&local, NULL, &service);
	int fd = peer_open(local.port);
	local_turn_until(&local, &local.echo.opens, 1);
	local_turns(&local, 5);
	for (uint32_t i = 0; i < 3; i++) {
		weir_loop_stats(local.loop, &before);
		for (int j = 0; j < 10; j++) {
			local.ahead_ns += NS_PER_S;
			local_turns(&local, 3);
		}
		weir_loop_stats(local.loop, &stats);
		ck_assert_uint_eq(stats.ring.sqes, before.ring.sqes + 1);
		ck_assert_uint_eq(stats.conns_open, 1);
		/* And again after its request. */
		peer_send_frame(fd, 16, i);
		local_turn_until(&local, &local.echo.answers, i + 1);
		local_turns(&local, 3);
		peer_expect_frame(fd, 16, i);
	}
	peer_close(fd);
	local_turn_until(&local, &local.echo.closes, 1);
	local_end(&local, NULL);
}
END_TEST

START_TEST(a_peer_that_never_closes_is_cut_at_the_drain_deadline)
{
	const struct weir_service service = { .drain_timeout_ms = 50 };
	struct echo echo = { .format = { .payload_bytes_max = 10 } };
	struct weir_loop_stats stats;

	echo_start(&echo, NULL, &service);
	int fd = peer_open(echo_port(&echo));
	peer_send_frame(fd, 11, 1); /* refused */
	peer_expect_end(fd);
	/* ...but this side still sends and does not close. */
	peer_send(fd, "more", 4);
	struct weir_close_reason reason = echo_close_reason(&echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_DRAIN_DEADLINE);
	peer_close(fd);
	echo_end(&echo, &stats);
	ck_assert_uint_eq(stats.drain_deadlines, 1);
}
END_TEST

/* Found as a bug: the deadline "never" was taken for one in the past, and the
 * loop checked it for ever. */
START_TEST(a_drain_without_a_deadline_does_not_stop_the_loop)
{
	const struct weir_service service = {
		.drain_timeout_ms = WEIR_NO_TIMEOUT,
	};
	struct local local = { .echo = { .format = { .payload_bytes_max =
							     10 } } };
	local_start(&local, NULL, &service);
	int fd = peer_open(local.port);
	local_turn_until(&local, &local.echo.opens, 1);
	local_turns(&local, 2);
	local.ahead_ns += NS_PER_S; /* the wheel is behind the turn */
	peer_send_frame(fd, 11, 1); /* refused */
	turn_until_received(&local, PEER_PREFIX_BYTES + 11);
	for (int i = 0; i < 10; i++) {
		local.ahead_ns += NS_PER_S;
		local_turns(&local, 2);
	}
	peer_expect_end(fd);
	peer_close(fd);
	local_turn_until(&local, &local.echo.closes, 1);
	echo_expect_cause(&local.echo.reasons[0], WEIR_CLOSE_REFUSED);
	local_end(&local, NULL);
}
END_TEST

static void ticking(struct weir_loop *loop, void *ctx)
{
	struct echo *echo = ctx;
	(void)loop;
	echo_on_writable(NULL, echo); /* counted as one */
}

START_TEST(ticks_come_without_any_connection)
{
	struct echo echo = { .server = NULL };
	const struct weir_server_opts opts = {
		.loop = { .tick_interval_ms = 1,
			  .hooks = { .on_tick = ticking, .ctx = &echo } },
	};
	echo_start(&echo, &opts, NULL);
	echo_wait_drains(&echo, 20);
	echo_end(&echo, NULL);
}
END_TEST

TCase *tcase_server_peers(void)
{
	TCase *tcase = tcase_create("peers");
	tcase_set_timeout(tcase, SERVER_TEST_TIMEOUT_S);
	tcase_add_test(tcase, a_peer_may_end_at_every_byte_of_an_exchange);
	tcase_add_test(tcase,
		       a_thousand_resets_right_after_the_connect_leave_nothing);
	tcase_add_test(tcase, resets_with_answers_in_flight_hurt_nobody_else);
	tcase_add_test(
		tcase,
		a_half_close_after_the_last_request_gets_all_answers_then_fin);
	tcase_add_test(tcase, who_says_nothing_is_closed_at_the_idle_deadline);
	tcase_add_test(tcase, the_idle_deadline_counts_from_the_last_byte);
	tcase_add_test(tcase, deadlines_of_a_swarm_are_met_over_several_turns);
	tcase_add_test(tcase,
		       a_quiet_connection_is_asked_once_whether_it_is_alive);
	tcase_add_test(tcase,
		       a_peer_that_never_closes_is_cut_at_the_drain_deadline);
	tcase_add_test(tcase,
		       a_drain_without_a_deadline_does_not_stop_the_loop);
	tcase_add_test(tcase, ticks_come_without_any_connection);
	return tcase;
}
