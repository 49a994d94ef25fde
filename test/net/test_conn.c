/* test_conn.c - what a handler receives, and what it may return
 *
 * The same suite: handlers that misuse conn.h in test_conn_misuse.c, full
 * queues and exhausted memory in test_conn_flow.c.
 */
#include "test_conn.h"
#include "../rig/peer.h"
#include "../suites.h"

#include <errno.h>
#include <stdlib.h>

/* Turns until the loop has received @byte_count bytes in all. */
static void turn_until_received(struct local *local, uint64_t byte_count)
{
	struct weir_loop_stats stats;
	for (;;) {
		weir_loop_stats(local->loop, &stats);
		if (stats.recv_bytes + stats.recv_discarded_bytes >= byte_count)
			return;
		ck_assert_int_eq(weir_loop_turn(local->loop, 1000000000), 1);
	}
}

/* ---- frames, however they are cut ------------------------------------------
 */

/* Five frames in a row, one of them empty. */
static size_t five_frames(uint8_t *out)
{
	static const size_t payloads[] = { 5, 0, 9, 1, 16 };
	size_t count = 0;
	for (uint32_t i = 0; i < 5; i++)
		count += peer_frame_put(out + count, payloads[i], i);
	return count;
}

START_TEST(frames_cut_at_any_byte_are_answered_the_same)
{
	struct local local = { .loop = NULL };
	uint8_t wire[128];
	uint8_t answer[128];
	uint64_t received = 0;
	const size_t wire_bytes = five_frames(wire);

	local_start(&local, NULL, NULL);
	for (size_t cut = 0; cut <= wire_bytes; cut++) {
		int fd = peer_open(local.port);
		peer_send(fd, wire, cut);
		turn_until_received(&local, received + cut);
		peer_send(fd, wire + cut, wire_bytes - cut);
		received += wire_bytes;
		local_turn_until(&local, &local.echo.answers, 5 * (cut + 1));
		local_turns(&local, 1);
		peer_recv(fd, answer, wire_bytes);
		ck_assert_mem_eq(answer, wire, wire_bytes);
		peer_close(fd);
	}
	local_turn_until(&local, &local.echo.closes, wire_bytes + 1);
	ck_assert_uint_eq(echo_closes_by(&local.echo, WEIR_CLOSE_PEER),
			  wire_bytes + 1);
	local_end(&local, NULL);
}
END_TEST

START_TEST(frames_that_come_one_byte_at_a_time_are_answered)
{
	struct local local = { .loop = NULL };
	struct weir_loop_stats stats;
	uint8_t wire[128];
	uint8_t answer[128];
	const size_t wire_bytes = five_frames(wire);

	local_start(&local, NULL, NULL);
	int fd = peer_open(local.port);
	for (size_t i = 0; i < wire_bytes; i++) {
		peer_send(fd, wire + i, 1);
		turn_until_received(&local, i + 1);
	}
	local_turns(&local, 1);
	peer_recv(fd, answer, wire_bytes);
	ck_assert_mem_eq(answer, wire, wire_bytes);
	peer_close(fd);
	local_turn_until(&local, &local.echo.closes, 1);
	/* weir_conn_need() prevents useless calls: at most one per prefix and
	 * one per payload. */
	ck_assert_uint_le(local.echo.shown, 10);
	local_end(&local, &stats);
	ck_assert_uint_eq(stats.recvs, wire_bytes);
}
END_TEST

START_TEST(a_thousand_frames_glued_together_are_answered_in_order)
{
	enum { FRAMES = 1000, ROOM = 64 * 1024 };
	struct echo echo = { .server = NULL };
	uint8_t *wire = malloc(ROOM);
	uint8_t *answer = malloc(ROOM);
	size_t wire_bytes = 0;
	for (uint32_t i = 0; i < FRAMES; i++)
		wire_bytes += peer_frame_put(wire + wire_bytes, i % 50, i);

	echo_start(&echo, NULL, NULL);
	int fd = peer_open(echo_port(&echo));
	peer_exchange(fd, wire, wire_bytes, answer, wire_bytes);
	ck_assert_mem_eq(answer, wire, wire_bytes);
	peer_close(fd);
	echo_wait_closes(&echo, 1);
	ck_assert_uint_eq(echo.answers, FRAMES);
	echo_end(&echo, NULL);
	free(wire);
	free(answer);
}
END_TEST

START_TEST(every_length_from_none_to_the_maximum_comes_back)
{
	static const size_t lengths[] = {
		0, 1, 2, 1019, 1020, 1021, 65535, 65536, (1 << 20) - 1, 1 << 20
	};
	enum { LENGTHS = sizeof(lengths) / sizeof(lengths[0]) };
	struct echo echo = { .server = NULL };
	uint8_t *wire = malloc(PEER_PREFIX_BYTES + (1 << 20));
	uint8_t *answer = malloc(PEER_PREFIX_BYTES + (1 << 20));

	echo_start(&echo, NULL, NULL);
	int fd = peer_open(echo_port(&echo));
	for (uint32_t i = 0; i < LENGTHS; i++) {
		size_t wire_bytes = peer_frame_put(wire, lengths[i], i);
		peer_exchange(fd, wire, wire_bytes, answer, wire_bytes);
		ck_assert_msg(memcmp(wire, answer, wire_bytes) == 0,
			      "payload of %zu bytes differs", lengths[i]);
	}
	peer_close(fd);
	echo_end(&echo, NULL);
	free(wire);
	free(answer);
}
END_TEST

START_TEST(a_frame_above_the_maximum_closes_with_value_and_limit)
{
	struct echo echo = { .format = { .payload_bytes_max = 1000 } };
	uint8_t wire[3 * (PEER_PREFIX_BYTES + 1001)];
	size_t wire_bytes = 0;
	wire_bytes += peer_frame_put(wire + wire_bytes, 1000, 1);
	wire_bytes += peer_frame_put(wire + wire_bytes, 0, 2);
	wire_bytes += peer_frame_put(wire + wire_bytes, 1001, 3);

	echo_start(&echo, NULL, NULL);
	int neighbour = peer_open(echo_port(&echo));
	peer_round_trip(neighbour, 7);
	int fd = peer_open(echo_port(&echo));
	peer_send(fd, wire, wire_bytes);
	peer_expect_frame(fd, 1000, 1);
	peer_expect_frame(fd, 0, 2);
	peer_expect_end(fd);
	peer_close(fd);

	struct weir_close_reason reason = echo_close_reason(&echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_REFUSED);
	ck_assert_int_eq(reason.err, -EMSGSIZE);
	ck_assert_uint_eq(reason.value, 1001);
	ck_assert_uint_eq(reason.limit, 1000);
	char text[WEIR_CLOSE_TEXT_BYTES];
	ck_assert_str_eq(weir_close_reason_text(&reason, text),
			 "the handler refused the input: 1001 bytes, the limit "
			 "is 1000");

	peer_round_trip(neighbour, 8);
	peer_close(neighbour);
	echo_end(&echo, NULL);
}
END_TEST

/* ---- the contract of on_data ------------------------------------------------
 */

struct raw {
	struct local local; /* first */
	const uint8_t *stream;
	size_t stream_bytes;
	size_t used; /* of the stream, in all calls */
	size_t calls;
	bool is_wrong; /* a span was not the next part of the stream */
	size_t need;   /* passed to need() after each call; 0: never */
	size_t least;  /* shortest span that was shown */
	int refusal;   /* returned when all but @refuse_at is used */
	size_t refuse_at;
};

static void raw_check(struct raw *raw, const uint8_t *bytes, size_t byte_count)
{
	raw->calls++;
	if (byte_count == 0 || raw->used + byte_count > raw->stream_bytes ||
	    memcmp(bytes, raw->stream + raw->used, byte_count) != 0)
		raw->is_wrong = true;
	if (raw->least == 0 || byte_count < raw->least)
		raw->least = byte_count;
}

/* Uses nothing, one byte, half, all, one after the other. */
static ssize_t raw_on_data(struct weir_conn *conn, const uint8_t *bytes,
			   size_t byte_count, void *ctx)
{
	struct raw *raw = ctx;
	(void)conn;
	raw_check(raw, bytes, byte_count);
	const size_t choices[] = { 0, 1, byte_count / 2, byte_count };
	size_t used = choices[raw->calls % 4];
	raw->used += used;
	return (ssize_t)used;
}

static void raw_start(struct raw *raw, const struct weir_loop_opts *opts,
		      struct weir_service limits,
		      ssize_t (*on_data)(struct weir_conn *, const uint8_t *,
					 size_t, void *),
		      size_t stream_bytes)
{
	uint8_t *stream = malloc(PEER_PREFIX_BYTES + stream_bytes);
	ck_assert_ptr_nonnull(stream);
	(void)peer_frame_put(stream, stream_bytes, 1);
	raw->stream = stream;
	raw->stream_bytes = stream_bytes;
	limits.handlers.on_data = on_data;
	local_start(&raw->local, opts, &limits);
}

static void raw_end(struct raw *raw)
{
	ck_assert(!raw->is_wrong);
	local_end(&raw->local, NULL);
	free((void *)(uintptr_t)raw->stream);
}

START_TEST(what_is_not_used_is_shown_again_in_front_of_what_follows)
{
	enum { STREAM = 50000 };
	const struct weir_loop_opts opts = { .buf_bytes = 64 };
	const struct weir_service limits = { .message_bytes_max = STREAM };
	struct raw raw = { .used = 0 };
	uint64_t random = 42;
	size_t sent = 0;

	raw_start(&raw, &opts, limits, raw_on_data, STREAM);
	int fd = peer_open(raw.local.port);
	while (sent < STREAM) {
		size_t part = wi_random(&random) % 300 + 1;
		if (part > STREAM - sent)
			part = STREAM - sent;
		peer_send(fd, raw.stream + sent, part);
		sent += part;
		turn_until_received(&raw.local, sent);
	}
	peer_half_close(fd);
	local_turn_until(&raw.local, &raw.local.echo.closes, 1);
	ck_assert_uint_gt(raw.calls, 100);
	/* The reason counts the unused bytes. */
	struct weir_close_reason reason = echo_close_reason(&raw.local.echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_PEER);
	ck_assert_uint_eq(reason.value, STREAM - raw.used);
	peer_expect_end(fd);
	peer_close(fd);
	raw_end(&raw);
}
END_TEST

static ssize_t needy_on_data(struct weir_conn *conn, const uint8_t *bytes,
			     size_t byte_count, void *ctx)
{
	struct raw *raw = ctx;
	raw_check(raw, bytes, byte_count);
	raw->used += byte_count - byte_count % 10;
	weir_conn_need(conn, raw->need);
	return (ssize_t)(byte_count - byte_count % 10);
}

static void needy_on_open(struct weir_conn *conn, void *ctx)
{
	struct raw *raw = ctx;
	echo_on_open(conn, ctx);
	weir_conn_need(conn, raw->need);
}

START_TEST(need_holds_calls_back_until_so_many_bytes_are_there)
{
	enum { STREAM = 1200, NEED = 100 };
	struct raw raw = { .need = NEED };
	const struct weir_service service = {
		.handlers = { .on_open = needy_on_open,
			      .on_data = needy_on_data },
	};
	uint8_t stream[PEER_PREFIX_BYTES + STREAM];
	(void)peer_frame_put(stream, STREAM, 1);
	raw.stream = stream;
	raw.stream_bytes = STREAM;

	local_start(&raw.local, NULL, &service);
	int fd = peer_open(raw.local.port);
	for (size_t sent = 0; sent < STREAM; sent += 12) {
		peer_send(fd, stream + sent, 12);
		turn_until_received(&raw.local, sent + 12);
	}
	ck_assert(!raw.is_wrong);
	ck_assert_uint_ge(raw.least, NEED);
	ck_assert_uint_eq(raw.calls, STREAM / NEED);
	/* The kept input is filled up to what was needed, so nothing is left
	 * over. */
	ck_assert_uint_eq(raw.used, STREAM);
	peer_close(fd);
	local_turn_until(&raw.local, &raw.local.echo.closes, 1);
	local_end(&raw.local, NULL);
}
END_TEST

static ssize_t refusing_on_data(struct weir_conn *conn, const uint8_t *bytes,
				size_t byte_count, void *ctx)
{
	struct raw *raw = ctx;
	raw_check(raw, bytes, byte_count);
	(void)weir_conn_send(conn, "sorry", 5);
	return -EPROTO;
}

START_TEST(a_negative_return_sends_what_is_queued_and_closes)
{
	struct raw raw = { .used = 0 };
	char answer[5];

	raw_start(&raw, NULL, (struct weir_service){ .name = NULL },
		  refusing_on_data, 10);
	int fd = peer_open(raw.local.port);
	peer_send(fd, raw.stream, 10);
	turn_until_received(&raw.local, 10);
	/* After a refusal bytes are thrown away, without harm. */
	peer_send(fd, raw.stream, 10);
	peer_half_close(fd);
	local_turn_until(&raw.local, &raw.local.echo.closes, 1);
	peer_recv(fd, answer, 5);
	ck_assert_mem_eq(answer, "sorry", 5);
	peer_expect_end(fd);
	peer_close(fd);
	ck_assert_uint_eq(raw.calls, 1);
	struct weir_close_reason reason = echo_close_reason(&raw.local.echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_REFUSED);
	ck_assert_int_eq(reason.err, -EPROTO);
	raw_end(&raw);
}
END_TEST

START_TEST(a_huge_message_passes_through_two_small_buffers)
{
	enum { PAYLOAD = 1 << 20 };
	const struct weir_server_opts opts = {
		.loop = { .buf_bytes = 64, .buf_count = 2 },
	};
	struct echo echo = { .server = NULL };
	uint8_t *wire = malloc(PEER_PREFIX_BYTES + PAYLOAD);
	uint8_t *answer = malloc(PEER_PREFIX_BYTES + PAYLOAD);
	size_t wire_bytes = peer_frame_put(wire, PAYLOAD, 3);

	echo_start(&echo, &opts, NULL);
	int fd = peer_open(echo_port(&echo));
	peer_exchange(fd, wire, wire_bytes, answer, wire_bytes);
	ck_assert_mem_eq(answer, wire, wire_bytes);
	peer_close(fd);
	echo_end(&echo, NULL);
	free(wire);
	free(answer);
}
END_TEST

/* ---- limits ------------------------------------------------------------ */

static ssize_t using_nothing(struct weir_conn *conn, const uint8_t *bytes,
			     size_t byte_count, void *ctx)
{
	(void)conn;
	(void)bytes;
	(void)byte_count;
	(void)ctx;
	return 0;
}

START_TEST(input_that_no_handler_uses_ends_at_the_message_limit)
{
	const struct weir_loop_opts opts = { .buf_bytes = 512 };
	const struct weir_service limits = { .message_bytes_max = 4096 };
	struct raw raw = { .used = 0 };

	raw_start(&raw, &opts, limits, using_nothing, 5000);
	int fd = peer_open(raw.local.port);
	peer_send(fd, raw.stream, 4096);
	turn_until_received(&raw.local, 4096);
	ck_assert_uint_eq(raw.local.echo.closes, 0); /* at the limit */
	peer_send(fd, raw.stream, 1);
	peer_half_close(fd);
	local_turn_until(&raw.local, &raw.local.echo.closes, 1);
	struct weir_close_reason reason = echo_close_reason(&raw.local.echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_MESSAGE_LIMIT);
	ck_assert_uint_eq(reason.value, 4097);
	ck_assert_uint_eq(reason.limit, 4096);
	peer_expect_end(fd);
	peer_close(fd);
	raw_end(&raw);
}
END_TEST

START_TEST(needing_more_than_the_message_limit_closes_at_once)
{
	const struct weir_service limits = { .message_bytes_max = 4096 };
	struct raw raw = { .need = 4097 };

	raw_start(&raw, NULL, limits, needy_on_data, 10);
	int fd = peer_open(raw.local.port);
	peer_send(fd, raw.stream, 5);
	peer_half_close(fd);
	local_turn_until(&raw.local, &raw.local.echo.closes, 1);
	struct weir_close_reason reason = echo_close_reason(&raw.local.echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_MESSAGE_LIMIT);
	ck_assert_uint_eq(reason.value, 4097);
	ck_assert_uint_eq(reason.limit, 4096);
	peer_close(fd);
	raw_end(&raw);
}
END_TEST

static ssize_t sending_too_much(struct weir_conn *conn, const uint8_t *bytes,
				size_t byte_count, void *ctx)
{
	static uint8_t large[8193];
	struct raw *raw = ctx;
	raw_check(raw, bytes, byte_count);
	/* A send of exactly the limit works; one byte more never does. */
	if (weir_conn_send(conn, large, 8192) != 0 ||
	    weir_conn_send(conn, large, 8193) != -EMSGSIZE ||
	    weir_conn_send(conn, large, 1) != -ESHUTDOWN)
		raw->is_wrong = true;
	return (ssize_t)byte_count;
}

START_TEST(output_above_the_queue_limit_closes_with_value_and_limit)
{
	const struct weir_service limits = { .send_high_bytes = 4096,
					     .send_bytes_max = 8192 };
	struct raw raw = { .used = 0 };
	uint8_t answer[8193];
	size_t count = 0;

	raw_start(&raw, NULL, limits, sending_too_much, 10);
	int fd = peer_open(raw.local.port);
	peer_send(fd, raw.stream, 5);
	peer_half_close(fd);
	local_turn_until(&raw.local, &raw.local.echo.closes, 1);
	ck_assert_int_eq(peer_recv_rest(fd, answer, sizeof(answer), &count), 0);
	ck_assert_uint_eq(count, 8192);
	struct weir_close_reason reason = echo_close_reason(&raw.local.echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_QUEUE_LIMIT);
	ck_assert_uint_eq(reason.value, 8193);
	ck_assert_uint_eq(reason.limit, 8192);
	peer_close(fd);
	raw_end(&raw);
}
END_TEST

/* ---- the suite --------------------------------------------------------- */

static TCase *tcase_frames(void)
{
	TCase *tcase = tcase_create("frames");
	tcase_set_timeout(tcase, CONN_TEST_TIMEOUT_S);
	tcase_add_test(tcase, frames_cut_at_any_byte_are_answered_the_same);
	tcase_add_test(tcase, frames_that_come_one_byte_at_a_time_are_answered);
	tcase_add_test(tcase,
		       a_thousand_frames_glued_together_are_answered_in_order);
	tcase_add_test(tcase, every_length_from_none_to_the_maximum_comes_back);
	tcase_add_test(tcase,
		       a_frame_above_the_maximum_closes_with_value_and_limit);
	return tcase;
}

static TCase *tcase_on_data(void)
{
	TCase *tcase = tcase_create("on_data");
	tcase_set_timeout(tcase, CONN_TEST_TIMEOUT_S);
	tcase_add_test(
		tcase,
		what_is_not_used_is_shown_again_in_front_of_what_follows);
	tcase_add_test(tcase,
		       need_holds_calls_back_until_so_many_bytes_are_there);
	tcase_add_test(tcase,
		       a_negative_return_sends_what_is_queued_and_closes);
	tcase_add_test(tcase, a_huge_message_passes_through_two_small_buffers);
	tcase_add_test(tcase,
		       input_that_no_handler_uses_ends_at_the_message_limit);
	tcase_add_test(tcase,
		       needing_more_than_the_message_limit_closes_at_once);
	tcase_add_test(
		tcase,
		output_above_the_queue_limit_closes_with_value_and_limit);
	return tcase;
}

WI_SUITE(conn, "conn", WI_RUNGS | WI_THREADS)
{
	if (!wi_kernel_has_rings())
		return;
	suite_add_tcase(suite, tcase_frames());
	suite_add_tcase(suite, tcase_on_data());
	suite_add_tcase(suite, tcase_conn_misuse());
	suite_add_tcase(suite, tcase_conn_flow());
}
