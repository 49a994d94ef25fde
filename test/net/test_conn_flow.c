/* test_conn_flow.c - peers that do not read; full queues, exhausted memory */
#include "../rig/peer.h"
#include "../rig/support.h"
#include "test_conn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

enum { MIB = 1024 * 1024, KIB = 1024 };

/* @frame_count frames of @payload_bytes in a row. */
static uint8_t *frames_make(size_t frame_count, size_t payload_bytes)
{
	size_t frame_bytes = PEER_PREFIX_BYTES + payload_bytes;
	uint8_t *frames = malloc(frame_count * frame_bytes);
	ck_assert_ptr_nonnull(frames);
	for (size_t i = 0; i < frame_count; i++)
		(void)peer_frame_put(frames + i * frame_bytes, payload_bytes,
				     (uint32_t)i);
	return frames;
}

/* The memory that one connection may hold, by its loop's options and service:
 *
 *   queue   send_high_bytes, and the answers to one call of on_data, which is
 *           shown a buffer or else all of the kept input
 *   input   one message, and the bytes that arrive until the cancelled receive
 *           has ended: at most all receive buffers, twice
 *
 * Blocks are powers of two and grow by doubling. So a chunk of the queue takes
 * up to twice its bytes. The kept input takes up to four times its bytes while
 * it is moved to a larger block. The front chunk of a queue is given back as a
 * whole, so one more of 256 KiB may be partly sent. */
static size_t conn_bytes_max(const struct weir_loop_opts *opts,
			     const struct weir_service *service)
{
	size_t input = service->message_bytes_max +
		       (size_t)2 * opts->buf_count * opts->buf_bytes;
	size_t queue = service->send_high_bytes + input;
	if (queue > service->send_bytes_max)
		queue = service->send_bytes_max;
	return 2 * queue + (size_t)256 * KIB + 4 * input;
}

/* ---- a peer that does not read ----------------------------------------- */

START_TEST(a_peer_that_never_reads_is_not_read_from_and_loses_nothing)
{
	enum { FRAMES = 40 * KIB, PAYLOAD = 1020 };
	const struct weir_server_opts opts = {
		.loop = { .buf_bytes = 4 * KIB, .buf_count = 32 },
	};
	const struct weir_service service = { .send_high_bytes = 64 * KIB,
					      .send_bytes_max = 256 * KIB,
					      .message_bytes_max = 8 * KIB };
	const size_t total = (size_t)FRAMES * (PEER_PREFIX_BYTES + PAYLOAD);
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;
	uint8_t *out = frames_make(FRAMES, PAYLOAD);
	uint8_t *in = malloc(total);

	echo_start(&echo, &opts, &service);
	int neighbour = peer_open(echo_port(&echo));
	peer_round_trip(neighbour, 1);
	int fd = peer_open_narrow(echo_port(&echo));
	size_t sent = 0;
	do {
		sent += peer_stuff(fd, neighbour, out + sent, total - sent);
		echo_stats(&echo, &stats);
	} while (stats.recv_pauses == 0 && sent < total);
	ck_assert_uint_lt(sent, total);
	for (uint32_t i = 0; i < 100; i++)
		peer_round_trip(neighbour, i);
	echo_stats(&echo, &stats);
	ck_assert_uint_eq(stats.conns_open, 2);
	(void)printf("never-reader: stuffed %zu KiB, peak of blocks %llu KiB, "
		     "cap %zu KiB\n",
		     sent / KIB,
		     (unsigned long long)stats.block_bytes_peak / KIB,
		     conn_bytes_max(&opts.loop, &service) / KIB);
	/* One smallest block for the answer to the neighbour. */
	ck_assert_uint_le(stats.block_bytes_peak,
			  conn_bytes_max(&opts.loop, &service) + 1 * KIB);

	peer_exchange(fd, out + sent, total - sent, in, total);
	ck_assert_mem_eq(in, out, total);
	echo_wait_drains(&echo, 1);
	peer_round_trip(fd, 9);
	echo_stats(&echo, &stats);
	ck_assert_uint_le(stats.block_bytes_peak,
			  conn_bytes_max(&opts.loop, &service) + 1 * KIB);
	peer_close(fd);
	peer_close(neighbour);
	echo_end(&echo, NULL);
	free(out);
	free(in);
}
END_TEST

/* When reading is paused, the kernel may have far more for the connection than
 * 64 buffers. That is no reason to close it. */
START_TEST(a_flood_through_many_small_buffers_is_paused_and_not_closed)
{
	enum { FRAMES = 16 * KIB, PAYLOAD = 252 };
	const struct weir_loop_opts opts = { .buf_bytes = 256,
					     .buf_count = 4096 };
	const struct weir_service service = { .send_high_bytes = 16 * KIB,
					      .send_bytes_max = 64 * KIB,
					      .message_bytes_max = 1 * KIB };
	const size_t total = (size_t)FRAMES * (PEER_PREFIX_BYTES + PAYLOAD);
	struct local local = { .loop = NULL };
	uint8_t *out = frames_make(FRAMES, PAYLOAD);
	uint8_t *in = malloc(total);
	size_t sent = 0;
	size_t received = 0;

	local_start(&local, &opts, &service);
	int fd = peer_open_narrow(local.port);
	local_turn_until(&local, &local.echo.opens, 1);
	while (received < total) {
		ssize_t count = send(fd, out + sent, total - sent,
				     MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += count > 0 ? (size_t)count : 0;
		ck_assert_int_eq(weir_loop_turn(local.loop, 1000000), 1);
		if (local.echo.closes > 0) {
			char text[WEIR_CLOSE_TEXT_BYTES];
			ck_abort_msg("after %zu bytes: %s", sent,
				     weir_close_reason_text(
					     &local.echo.reasons[0], text));
		}
		if (count > 0 && sent < total)
			continue; /* reads only when its own sends block */
		count = recv(fd, in + received, total - received, MSG_DONTWAIT);
		received += count > 0 ? (size_t)count : 0;
	}
	ck_assert_mem_eq(in, out, total);
	peer_close(fd);
	local_turn_until(&local, &local.echo.closes, 1);
	struct weir_loop_stats stats;
	local_end(&local, &stats);
	/* Without the rung a loop receives one buffer at a time, so the queue
	 * may stay shorter. */
	if (!wi_is_forced_off(WEIR_RUNG_DEFER_TASKRUN))
		ck_assert_uint_ge(stats.recv_pauses, 1);
	free(out);
	free(in);
}
END_TEST

START_TEST(a_full_queue_refuses_room_and_shows_the_message_again)
{
	enum { FRAMES = 500, PAYLOAD = 3000 };
	const struct weir_service service = { .send_low_bytes = 1 * KIB,
					      .send_high_bytes = 8 * KIB,
					      .send_bytes_max = 8 * KIB };
	const size_t total = (size_t)FRAMES * (PEER_PREFIX_BYTES + PAYLOAD);
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;
	uint8_t *out = frames_make(FRAMES, PAYLOAD);
	uint8_t *in = malloc(total);

	echo_start(&echo, NULL, &service);
	int fd = peer_open(echo_port(&echo));
	peer_exchange(fd, out, total, in, total);
	ck_assert_mem_eq(in, out, total);
	peer_half_close(fd);
	peer_expect_end(fd);
	peer_close(fd);
	struct weir_close_reason reason = echo_close_reason(&echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_PEER);
	ck_assert_uint_ge(echo_seen(&echo, &echo.drains), 1);
	echo_end(&echo, &stats);
	ck_assert_uint_ge(stats.recv_pauses, 1);
	free(out);
	free(in);
}
END_TEST

START_TEST(input_held_back_at_the_end_of_the_stream_is_answered_first)
{
	enum { FRAMES = 3000, PAYLOAD = 1020 };
	const struct weir_service service = {
		.send_high_bytes = 8 * KIB,
		.send_bytes_max = 16 * KIB,
		.drain_timeout_ms = WEIR_NO_TIMEOUT,
	};
	const size_t total = (size_t)FRAMES * (PEER_PREFIX_BYTES + PAYLOAD);
	struct echo echo = { .server = NULL };
	uint8_t *out = frames_make(FRAMES, PAYLOAD);
	uint8_t *in = malloc(total + 1);
	size_t count = 0;

	echo_start(&echo, NULL, &service);
	/* Its answers do not fit into the kernel's buffers, so the server is
	 * paused when the FIN arrives. */
	int fd = peer_open_narrow(echo_port(&echo));
	size_t sent = peer_stuff(fd, -1, out, total);
	peer_exchange(fd, out + sent, total - sent, in, 0);
	peer_half_close(fd);
	ck_assert_int_eq(peer_recv_rest(fd, in, total + 1, &count), 0);
	ck_assert_uint_eq(count, total);
	ck_assert_mem_eq(in, out, total);
	peer_close(fd);
	struct weir_close_reason reason = echo_close_reason(&echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_PEER);
	ck_assert_uint_eq(reason.value, 0);
	echo_end(&echo, NULL);
	free(out);
	free(in);
}
END_TEST

/* ---- memory used up ---------------------------------------------------- */

/* A connection that was refused memory sees the server's FIN. Waits for as many
 * as there were refusals, and closes them. Returns how many. */
static size_t close_the_refused(struct echo *echo, int *fds, size_t count)
{
	struct weir_loop_stats stats;
	size_t refused = 0;
	do {
		for (size_t i = 0; i < count; i++) {
			struct pollfd wait = { .fd = fds[i],
					       .events = POLLRDHUP };
			if (fds[i] < 0 || poll(&wait, 1, 0) == 0)
				continue;
			peer_close(fds[i]);
			fds[i] = -1;
			refused++;
		}
		echo_stats(echo, &stats);
		ck_assert_uint_ge(stats.block_failures, 1);
	} while (refused < stats.block_failures);
	return refused;
}

START_TEST(unfinished_messages_that_use_up_the_memory_close_only_themselves)
{
	enum { OFFENDERS = 30, NEIGHBOURS = 8, PAYLOAD = 240 * KIB };
	const struct weir_server_opts opts = {
		.loop = { .block_memory_bytes = 1 }, /* rounded up to 8 MiB */
	};
	const struct weir_service service = {
		.drain_timeout_ms = WEIR_NO_TIMEOUT,
	};
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;
	uint8_t *frame = frames_make(1, PAYLOAD);
	int offenders[OFFENDERS];
	int neighbours[NEIGHBOURS];
	uint64_t sent = 0;

	echo_start(&echo, &opts, &service);
	for (int i = 0; i < NEIGHBOURS; i++)
		neighbours[i] = peer_open(echo_port(&echo));
	for (uint32_t i = 0; i < OFFENDERS; i++) {
		offenders[i] = peer_open(echo_port(&echo));
		peer_send(offenders[i], frame, PAYLOAD); /* 4 bytes short */
		peer_round_trips(neighbours, NEIGHBOURS, i);
		sent += PAYLOAD + NEIGHBOURS * (PEER_PREFIX_BYTES + 16);
		echo_wait_received(&echo, sent);
	}
	size_t refused = close_the_refused(&echo, offenders, OFFENDERS);
	echo_wait_closes(&echo, refused);
	for (uint32_t i = 0; i < 100; i++)
		peer_round_trips(neighbours, NEIGHBOURS, i);
	echo_stats(&echo, &stats);
	ck_assert_uint_ge(stats.block_failures, 1);
	ck_assert_uint_eq(echo_closes_by(&echo, WEIR_CLOSE_MEMORY),
			  echo_seen(&echo, &echo.closes));
	/* Memory is free again: the others finish and are served. */
	for (int i = 0; i < OFFENDERS; i++) {
		if (offenders[i] < 0)
			continue;
		peer_send(offenders[i], frame + PAYLOAD, PEER_PREFIX_BYTES);
		peer_expect_frame(offenders[i], PAYLOAD, 0);
		peer_close(offenders[i]);
		peer_round_trips(neighbours, NEIGHBOURS, 1);
	}
	for (int i = 0; i < NEIGHBOURS; i++)
		peer_close(neighbours[i]);
	echo_end(&echo, NULL);
	free(frame);
}
END_TEST

START_TEST(answers_that_use_up_the_memory_delay_only_those_who_do_not_read)
{
	enum {
		OFFENDERS = 6,
		NEIGHBOURS = 8,
		PAYLOAD = 252,
		FRAMES = 48 * KIB
	};
	const struct weir_server_opts opts = {
		.loop = { .block_memory_bytes = 1, /* rounded up to 8 MiB */
			  .buf_bytes = 256 },
	};
	const struct weir_service service = {
		.send_high_bytes = 3 * MIB,
		.send_bytes_max = 4 * MIB,
		.message_bytes_max = 1 * KIB,
		.idle_timeout_ms = WEIR_NO_TIMEOUT,
		.drain_timeout_ms = WEIR_NO_TIMEOUT,
	};
	const size_t total = (size_t)FRAMES * (PEER_PREFIX_BYTES + PAYLOAD);
	struct echo echo = { .server = NULL };
	struct weir_loop_stats stats;
	uint8_t *out = frames_make(FRAMES, PAYLOAD);
	uint8_t *in = malloc(total);
	int offenders[OFFENDERS];
	int neighbours[NEIGHBOURS];
	size_t sent[OFFENDERS] = { 0 };
	size_t all;

	echo_start(&echo, &opts, &service);
	for (int i = 0; i < NEIGHBOURS; i++)
		neighbours[i] = peer_open(echo_port(&echo));
	for (uint32_t i = 0; i < OFFENDERS; i++)
		offenders[i] = peer_open_narrow(echo_port(&echo));
	do {
		all = 0;
		for (uint32_t i = 0; i < OFFENDERS; i++) {
			sent[i] += peer_stuff(offenders[i], neighbours[0],
					      out + sent[i], total - sent[i]);
			all += sent[i];
			peer_round_trips(neighbours, NEIGHBOURS, i);
		}
		echo_stats(&echo, &stats);
	} while (stats.block_failures == 0 && all < OFFENDERS * total);
	ck_assert_uint_ge(stats.block_failures, 1);
	for (uint32_t i = 0; i < 100; i++)
		peer_round_trips(neighbours, NEIGHBOURS, i);
	for (int i = 0; i < OFFENDERS; i++) {
		peer_exchange(offenders[i], out + sent[i], total - sent[i], in,
			      total);
		ck_assert_mem_eq(in, out, total);
	}
	ck_assert_uint_eq(echo_seen(&echo, &echo.closes), 0);
	for (int i = 0; i < OFFENDERS; i++)
		peer_close(offenders[i]);
	for (int i = 0; i < NEIGHBOURS; i++)
		peer_close(neighbours[i]);
	echo_end(&echo, NULL);
	free(out);
	free(in);
}
END_TEST

/* ---- waiting for memory ------------------------------------------------ */

enum { WAITERS = 6, BIG_BYTES = 6 * MIB, SMALL_BYTES = 16 * KIB };

/* Connection 0 holds all memory; 1 and 2 wait for it. When on_writable of 1
 * reports free memory, 1 gives it to 3 and makes 4 and 5 wait as well. */
struct waiting {
	struct local local; /* first */
	struct weir_conn *conns[WAITERS];
	uint64_t told[WAITERS]; /* calls of on_writable */
	uint8_t *big;
};

static void waiting_on_open(struct weir_conn *conn, void *ctx)
{
	struct waiting *waiting = ctx;
	waiting->conns[waiting->local.echo.opens] = conn;
	echo_on_open(conn, ctx);
}

static size_t waiting_index(const struct waiting *waiting,
			    const struct weir_conn *conn)
{
	size_t index = 0;
	while (waiting->conns[index] != conn)
		index++;
	return index;
}

static void waiting_on_writable(struct weir_conn *conn, void *ctx)
{
	struct waiting *waiting = ctx;
	size_t index = waiting_index(waiting, conn);
	if (waiting->told[index]++ > 0 || index != 1)
		return;
	for (size_t i = 3; i < WAITERS; i++)
		(void)weir_conn_send(waiting->conns[i], waiting->big,
				     BIG_BYTES);
}

/* Reads all bytes sent to @fd while the loop turns. */
static void waiting_read(struct waiting *waiting, int fd, size_t byte_count)
{
	static uint8_t scratch[64 * KIB];
	while (byte_count > 0) {
		ck_assert_int_eq(weir_loop_turn(waiting->local.loop, 1000000),
				 1);
		ssize_t count =
			recv(fd, scratch,
			     byte_count < sizeof(scratch) ? byte_count
							  : sizeof(scratch),
			     MSG_DONTWAIT);
		byte_count -= count > 0 ? (size_t)count : 0;
	}
}

START_TEST(whoever_waits_for_memory_is_told_when_there_is_some)
{
	const struct weir_loop_opts opts = { .block_memory_bytes = 1 };
	const struct weir_service service = {
		.handlers = { .on_open = waiting_on_open,
			      .on_writable = waiting_on_writable },
		.send_bytes_max = 7 * MIB,
	};
	struct waiting waiting = { .big = calloc(1, BIG_BYTES) };
	struct local *local = &waiting.local;
	struct weir_loop_stats stats;
	int fds[WAITERS];

	local_start(local, &opts, &service);
	for (uint64_t i = 0; i < WAITERS; i++) {
		fds[i] = peer_open(local->port);
		local_turn_until(local, &local->echo.opens, i + 1);
	}
	ck_assert_int_eq(
		weir_conn_send(waiting.conns[0], waiting.big, BIG_BYTES), 0);
	for (size_t i = 1; i <= 2; i++)
		ck_assert_int_eq(weir_conn_send(waiting.conns[i], waiting.big,
						SMALL_BYTES),
				 -EAGAIN);
	waiting_read(&waiting, fds[0], BIG_BYTES);
	local_turn_until(local, &waiting.told[1], 1);
	waiting_read(&waiting, fds[3], BIG_BYTES);
	for (size_t i = 2; i < WAITERS; i++)
		local_turn_until(local, &waiting.told[i], 1);
	weir_loop_stats(local->loop, &stats);
	ck_assert_uint_eq(stats.block_bytes_used, 0);
	for (size_t i = 0; i < WAITERS; i++)
		peer_close(fds[i]);
	local_turn_until(local, &local->echo.closes, WAITERS);
	local_end(local, NULL);
	free(waiting.big);
}
END_TEST

TCase *tcase_conn_flow(void)
{
	TCase *tcase = tcase_create("flow");
	tcase_set_timeout(tcase, CONN_TEST_TIMEOUT_S);
	tcase_add_test(
		tcase,
		a_peer_that_never_reads_is_not_read_from_and_loses_nothing);
	tcase_add_test(
		tcase,
		a_flood_through_many_small_buffers_is_paused_and_not_closed);
	tcase_add_test(tcase,
		       a_full_queue_refuses_room_and_shows_the_message_again);
	tcase_add_test(
		tcase,
		input_held_back_at_the_end_of_the_stream_is_answered_first);
	tcase_add_test(
		tcase,
		unfinished_messages_that_use_up_the_memory_close_only_themselves);
	tcase_add_test(
		tcase,
		answers_that_use_up_the_memory_delay_only_those_who_do_not_read);
	tcase_add_test(tcase,
		       whoever_waits_for_memory_is_told_when_there_is_some);
	return tcase;
}
