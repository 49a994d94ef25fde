/* test_sim_op.c - operations, on the real kernel and on the simulated one
 *
 * Each test of the first kind runs on both: the same calls of uring/, the same
 * expectations. What no real kernel shows on demand (loss, time that leaps,
 * memory that is written too early) runs on the simulated one only.
 */
#include "model_rig.h"
#include "suites.h"
#include "support.h"

#include "sim/facts.h"

#include "uring/bufring.h"
#include "uring/op.h"
#include "uring/region.h"
#include "uring/ring_inline.h"
#include "uring/zerocopy.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { REAL = 0, SIMULATED, KERNEL_COUNT };
enum { GROUP = 9, BUF_BYTES = 32, BUFS = 8, TOKEN = 7 };

struct bench {
	struct weir_sim *sim; /* NULL: the real kernel */
	struct weir_tape *tape;
	const struct weir_kernel *kernel;
	struct weir_ring ring;
	struct weir_bufring bufs;
	uint8_t memory[BUFS * BUF_BYTES];
};

static void bench_open_with(struct bench *bench, int which,
			    const struct weir_sim_opts *opts)
{
	const struct weir_ring_opts ring_opts = { .sq_entry_count = 64 };
	*bench = (struct bench){ .kernel = weir_kernel_linux() };
	if (which == SIMULATED) {
		bench->tape = calloc(1, sizeof(*bench->tape));
		ck_assert_ptr_nonnull(bench->tape);
		weir_tape_load(bench->tape, NULL, 0);
		ck_assert_int_eq(weir_sim_open(&bench->sim, bench->tape, opts),
				 0);
		bench->kernel = weir_sim_kernel(bench->sim);
	}
	struct weir_ring_opts with_kernel = ring_opts;
	with_kernel.kernel = bench->kernel;
	wi_ring_start(&bench->ring, &with_kernel);
}

static void bench_open(struct bench *bench, int which)
{
	bench_open_with(bench, which,
			&(struct weir_sim_opts){ .is_loopback = true });
}

static void bench_close(struct bench *bench)
{
	weir_ring_close(&bench->ring);
	if (bench->sim != NULL) {
		const char *rule = weir_sim_violation(bench->sim);
		ck_assert_msg(rule == NULL, "%s", rule);
		weir_sim_close(bench->sim);
	}
	free(bench->tape);
}

static void bench_group(struct bench *bench, struct weir_bufring_opts opts)
{
	struct weir_error error;
	int err = weir_bufring_open_as(&bench->bufs, &bench->ring, GROUP,
				       bench->memory, BUFS, BUF_BYTES, &opts,
				       &error);
	ck_assert_msg(err == 0, "%s", error.text);
}

static void bench_pair(struct bench *bench, int fds[2])
{
	if (bench->sim == NULL)
		wi_tcp_pair(fds);
	else
		ck_assert_int_eq(weir_sim_pair(bench->sim, fds), 0);
}

static void bench_close_fd(struct bench *bench, int fd)
{
	ck_assert_int_eq(bench->kernel->close(bench->kernel->ctx, fd), 0);
}

static struct io_uring_sqe *bench_take(struct bench *bench)
{
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&bench->ring);
	ck_assert_ptr_nonnull(sqe);
	return sqe;
}

/* Submits it, waits for the one completion. */
static int32_t bench_do(struct bench *bench, struct io_uring_sqe *sqe)
{
	sqe->user_data = TOKEN;
	struct io_uring_cqe cqe = wi_ring_next(&bench->ring);
	ck_assert_uint_eq(cqe.user_data, TOKEN);
	return cqe.res;
}

static void bench_send(struct bench *bench, int fd, const void *bytes,
		       uint32_t byte_count)
{
	struct io_uring_sqe *sqe = bench_take(bench);
	weir_op_send(sqe, fd, bytes, byte_count, MSG_WAITALL);
	ck_assert_int_eq(bench_do(bench, sqe), (int32_t)byte_count);
}

static void bench_submit(struct bench *bench)
{
	ck_assert_int_eq(weir_ring_enter(&bench->ring, NULL), 0);
}

/* Without GETEVENTS: what gets ready is not handed out. */
static void bench_submit_only(struct bench *bench, int count)
{
	weir_ring_publish(&bench->ring);
	ck_assert_int_eq(bench->kernel->enter(bench->kernel->ctx,
					      weir_ring_fd(&bench->ring),
					      (uint32_t)count, 0, 0, NULL, 0),
			 count);
}

/* ---- buffers ----------------------------------------------------------- */

START_TEST(an_incremental_buffer_is_filled_bit_by_bit)
{
	static const char text[] = "0123456789";
	static const struct {
		int32_t res;
		uint16_t id;
		bool goes_on;
	} want[] = { { 10, 0, true }, { 10, 0, true }, { 10, 0, true },
		     { 2, 0, false }, { 8, 1, true },  { 10, 1, true } };
	struct bench bench;
	struct weir_bufring_spans spans;
	struct weir_bufring_span span;
	int fds[2];
	uint32_t sum = 0;

	bench_open(&bench, _i);
	bench_group(&bench,
		    (struct weir_bufring_opts){ .is_incremental = true });
	bench_pair(&bench, fds);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		/* The fourth finds what the third has left. */
		if (i != 4)
			bench_send(&bench, fds[0], text, 10);
		struct io_uring_sqe *sqe = bench_take(&bench);
		weir_op_recv_group(sqe, fds[1], GROUP, 0);
		struct io_uring_cqe cqe = wi_ring_next(&bench.ring);
		ck_assert_int_eq(cqe.res, want[i].res);
		ck_assert_uint_eq(weir_bufring_id(&cqe), want[i].id);
		ck_assert_int_eq((cqe.flags & IORING_CQE_F_BUF_MORE) != 0,
				 want[i].goes_on);
		weir_bufring_spans(&bench.bufs, &cqe, &spans);
		while (weir_bufring_next(&spans, &span))
			for (uint32_t b = 0; b < span.byte_count; b++, sum++)
				ck_assert_int_eq(span.bytes[b], text[sum % 10]);
		weir_bufring_done(&spans);
		weir_bufring_publish(&bench.bufs);
	}
	uint32_t free_count = 0;
	ck_assert_int_eq(weir_bufring_status(&bench.bufs, &free_count), 0);
	ck_assert_uint_eq(free_count, BUFS); /* the half full one counts */
	bench_close_fd(&bench, fds[0]);
	bench_close_fd(&bench, fds[1]);
	weir_bufring_close(&bench.bufs);
	bench_close(&bench);
}
END_TEST

START_TEST(a_bundle_spans_buffers_both_ways)
{
	struct bench bench;
	struct weir_bufring_spans spans;
	uint8_t bytes[100];
	int fds[2];

	bench_open(&bench, _i);
	bench_group(&bench, (struct weir_bufring_opts){ .has_bundles = true });
	bench_pair(&bench, fds);
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	bench_send(&bench, fds[0], bytes, sizeof(bytes));
	struct io_uring_sqe *sqe = bench_take(&bench);
	weir_op_recv_bundle(sqe, fds[1], GROUP);
	struct io_uring_cqe cqe = wi_ring_next(&bench.ring);
	ck_assert_int_eq(cqe.res, 96); /* three are full, the rest waits */
	ck_assert_uint_ne(cqe.flags & IORING_CQE_F_SOCK_NONEMPTY, 0);
	weir_bufring_spans(&bench.bufs, &cqe, &spans);
	ck_assert_uint_eq(spans.buf_count, 3);
	weir_bufring_done(&spans);
	weir_bufring_close(&bench.bufs);

	bench_group(&bench,
		    (struct weir_bufring_opts){ .has_bundles = true,
						.is_lent_by_hand = true });
	for (uint16_t id = 0; id < 4; id++)
		weir_bufring_lend(&bench.bufs, id, 10);
	weir_bufring_publish(&bench.bufs);
	sqe = bench_take(&bench);
	weir_op_send_bundle(sqe, fds[1], GROUP);
	cqe = wi_ring_next(&bench.ring);
	ck_assert_int_eq(cqe.res, 40);
	ck_assert_uint_eq(weir_bufring_id(&cqe), 0);
	sqe = bench_take(&bench);
	weir_op_send_bundle(sqe, fds[1], GROUP);
	ck_assert_int_eq(bench_do(&bench, sqe), -ENOBUFS);
	bench_close_fd(&bench, fds[0]);
	bench_close_fd(&bench, fds[1]);
	weir_bufring_close(&bench.bufs);
	bench_close(&bench);
}
END_TEST

/* ---- sends ------------------------------------------------------------- */

START_TEST(memory_of_a_zero_copy_send_comes_back_with_its_notice)
{
	struct bench bench;
	struct weir_zerocopy zerocopy;
	struct weir_zerocopy_send send = { .state = WEIR_ZEROCOPY_FREE };
	uint8_t bytes[1000] = { 1, 2, 3 };
	uint8_t got[1000];
	int fds[2];

	bench_open(&bench, _i);
	bench_pair(&bench, fds);
	weir_zerocopy_init(&zerocopy, NULL);
	ck_assert_int_eq(
		weir_zerocopy_start(&zerocopy, &bench.ring, &send,
				    &(struct weir_zerocopy_request){
					    .fd = fds[0],
					    .bytes = bytes,
					    .byte_count = sizeof(bytes),
					    .msg_flags = MSG_WAITALL,
					    .user_data = TOKEN }),
		0);
	struct io_uring_cqe cqe = wi_ring_next(&bench.ring);
	ck_assert_uint_eq(weir_zerocopy_complete(&zerocopy, &send, &cqe),
			  WEIR_ZEROCOPY_HAS_RESULT);
	ck_assert_int_eq(send.result, sizeof(bytes));
	struct io_uring_sqe *sqe = bench_take(&bench);
	weir_op_recv(sqe, fds[1], got, sizeof(got), MSG_WAITALL);
	sqe->user_data = TOKEN + 1;
	bool is_free = false;
	bool is_read = false;
	while (!is_free || !is_read) {
		cqe = wi_ring_next(&bench.ring);
		if (cqe.user_data == TOKEN + 1)
			is_read = cqe.res == sizeof(got);
		else
			is_free = weir_zerocopy_complete(&zerocopy, &send,
							 &cqe) ==
				  WEIR_ZEROCOPY_IS_RELEASED;
	}
	ck_assert(send.was_copied); /* as loopback does */
	wi_kernel_wrote(got, sizeof(got));
	ck_assert_mem_eq(got, bytes, sizeof(got));
	bench_close_fd(&bench, fds[0]);
	bench_close_fd(&bench, fds[1]);
	bench_close(&bench);
}
END_TEST

/* MSG_WAITALL or not, and what a cancel makes of it. */
START_TEST(a_send_that_is_cut_short_says_how_much_went)
{
	enum { MANY = 32 << 20 };
	struct bench bench;
	uint8_t *bytes = calloc(1, MANY);
	int fds[2];

	ck_assert_ptr_nonnull(bytes);
	bench_open(&bench, _i);
	bench_pair(&bench, fds);
	struct io_uring_sqe *sqe = bench_take(&bench);
	weir_op_send(sqe, fds[0], bytes, MANY, 0);
	const int32_t first = bench_do(&bench, sqe);
	ck_assert_int_gt(first, 0);
	ck_assert_int_lt(first, MANY);
	sqe = bench_take(&bench);
	weir_op_send(sqe, fds[1], bytes, MANY, MSG_WAITALL);
	sqe->user_data = TOKEN;
	bench_submit(&bench);
	ck_assert_uint_eq(weir_ring_ready(&bench.ring), 0); /* it waits */
	sqe = bench_take(&bench);
	weir_op_cancel_token(sqe, TOKEN);
	sqe->user_data = TOKEN + 1;
	struct io_uring_cqe cqes[2];
	wi_ring_collect(&bench.ring, cqes, 2);
	const int of_send = cqes[0].user_data == TOKEN ? 0 : 1;
	ck_assert_int_eq(cqes[1 - of_send].res, 0);
	ck_assert_int_gt(cqes[of_send].res, 0); /* and not -ECANCELED */
	ck_assert_int_lt(cqes[of_send].res, MANY);
	bench_close_fd(&bench, fds[0]);
	bench_close_fd(&bench, fds[1]);
	bench_close(&bench);
	free(bytes);
}
END_TEST

/* ---- the batch of DEFER_TASKRUN ---------------------------------------- */

START_TEST(an_enter_hands_out_twenty_at_most)
{
	enum { PAIRS = 25 };
	struct bench bench;
	uint8_t bytes[PAIRS];
	int fds[PAIRS][2];

	bench_open(&bench, _i);
	for (int i = 0; i < PAIRS; i++) {
		bench_pair(&bench, fds[i]);
		struct io_uring_sqe *sqe = bench_take(&bench);
		weir_op_recv(sqe, fds[i][1], &bytes[i], 1, 0);
		sqe->user_data = TOKEN + 1;
	}
	bench_submit(&bench);
	ck_assert_uint_eq(weir_ring_ready(&bench.ring), 0);
	for (int i = 0; i < PAIRS; i++) {
		struct io_uring_sqe *sqe = bench_take(&bench);
		weir_op_send(sqe, fds[i][0], "x", 1, 0);
		sqe->user_data = TOKEN;
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	}
	bench_submit_only(&bench, PAIRS);
	ck_assert_uint_eq(weir_ring_ready(&bench.ring), 0);
	bench_submit(&bench);
	ck_assert_uint_eq(weir_ring_ready(&bench.ring), 20);
	weir_ring_reaped(&bench.ring, 20);
	bench_submit(&bench);
	ck_assert_uint_eq(weir_ring_ready(&bench.ring), PAIRS - 20);
	weir_ring_reaped(&bench.ring, PAIRS - 20);
	for (int i = 0; i < PAIRS; i++) {
		bench_close_fd(&bench, fds[i][0]);
		bench_close_fd(&bench, fds[i][1]);
	}
	bench_close(&bench);
}
END_TEST

/* ---- datagrams --------------------------------------------------------- */

static struct sockaddr_in at_port(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static int bench_udp(struct bench *bench, uint16_t *out_port)
{
	struct sockaddr_in address = at_port(0);
	socklen_t address_bytes = sizeof(address);
	struct io_uring_sqe *sqe = bench_take(bench);
	weir_op_socket(sqe, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const int fd = bench_do(bench, sqe);
	ck_assert_int_ge(fd, 0);
	sqe = bench_take(bench);
	weir_op_bind(sqe, fd, (struct sockaddr *)&address, sizeof(address));
	ck_assert_int_eq(bench_do(bench, sqe), 0);
	if (bench->sim != NULL) {
		*out_port = weir_sim_port(bench->sim, fd);
		return fd;
	}
	ck_assert_int_eq(
		getsockname(fd, (struct sockaddr *)&address, &address_bytes),
		0);
	*out_port = ntohs(address.sin_port);
	return fd;
}

static void bench_send_to(struct bench *bench, int fd, uint16_t port,
			  const void *bytes, size_t byte_count)
{
	struct sockaddr_in address = at_port(port);
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes,
			     .iov_len = byte_count };
	struct msghdr message = { .msg_name = &address,
				  .msg_namelen = sizeof(address),
				  .msg_iov = &iov,
				  .msg_iovlen = 1 };
	struct io_uring_sqe *sqe = bench_take(bench);
	weir_op_sendmsg(sqe, fd, &message, 0);
	ck_assert_int_eq(bench_do(bench, sqe), (int32_t)byte_count);
}

/* In a buffer of 32: header 16, name 0, so that 16 are left. */
START_TEST(a_datagram_in_a_buffer_has_its_header)
{
	static const char text[] = "a datagram too long for it";
	struct msghdr layout = { .msg_namelen = 0 };
	struct bench bench;
	struct io_uring_recvmsg_out out;
	uint16_t ports[2];
	int fds[2];

	bench_open(&bench, _i);
	bench_group(&bench, (struct weir_bufring_opts){ .has_bundles = false });
	for (int i = 0; i < 2; i++)
		fds[i] = bench_udp(&bench, &ports[i]);
	static const uint32_t sizes[] = { 5, 26, 0 };
	for (int i = 0; i < 3; i++)
		bench_send_to(&bench, fds[0], ports[1], text, sizes[i]);
	struct io_uring_sqe *sqe = bench_take(&bench);
	weir_op_recvmsg_multishot(sqe, fds[1], &layout, GROUP);
	for (int i = 0; i < 3; i++) {
		const uint32_t payload = sizes[i] < 16 ? sizes[i] : 16;
		struct io_uring_cqe cqe = wi_ring_next(&bench.ring);
		ck_assert_int_eq(cqe.res, (int32_t)(16 + payload));
		/* One of nothing ends it. */
		ck_assert_int_eq((cqe.flags & IORING_CQE_F_MORE) != 0, i < 2);
		const uint8_t *bytes =
			weir_bufring_bytes(&bench.bufs, weir_bufring_id(&cqe));
		memcpy(&out, bytes, sizeof(out));
		ck_assert_uint_eq(out.payloadlen, payload);
		ck_assert_uint_eq(out.controllen, 0);
		ck_assert_uint_eq(out.flags & MSG_TRUNC,
				  sizes[i] > 16 ? MSG_TRUNC : 0);
		ck_assert_mem_eq(bytes + 16, text, payload);
		weir_bufring_take_back(&bench.bufs, weir_bufring_id(&cqe));
		weir_bufring_publish(&bench.bufs);
	}
	bench_close_fd(&bench, fds[0]);
	bench_close_fd(&bench, fds[1]);
	weir_bufring_close(&bench.bufs);
	bench_close(&bench);
}
END_TEST

START_TEST(a_datagram_says_who_sent_it)
{
	struct bench bench;
	uint8_t bytes[4];
	struct sockaddr_in from = { .sin_family = 0 };
	struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
	struct msghdr message = { .msg_name = &from,
				  .msg_namelen = sizeof(from),
				  .msg_iov = &iov,
				  .msg_iovlen = 1 };
	uint16_t ports[2];
	int fds[2];

	bench_open(&bench, _i);
	for (int i = 0; i < 2; i++)
		fds[i] = bench_udp(&bench, &ports[i]);
	bench_send_to(&bench, fds[0], ports[1], "abcdef", 6);
	struct io_uring_sqe *sqe = bench_take(&bench);
	weir_op_recvmsg(sqe, fds[1], &message, 0);
	ck_assert_int_eq(bench_do(&bench, sqe), 4);
	ck_assert_uint_eq(ntohs(from.sin_port), ports[0]);
	ck_assert_uint_eq(message.msg_namelen, sizeof(from));
	ck_assert_uint_ne((uint32_t)message.msg_flags & MSG_TRUNC, 0);
	wi_kernel_wrote(bytes, 4);
	ck_assert_mem_eq(bytes, "abcd", 4);
	/* A plain receive is cut without a word. */
	bench_send_to(&bench, fds[0], ports[1], "abcdef", 6);
	sqe = bench_take(&bench);
	weir_op_recv(sqe, fds[1], bytes, sizeof(bytes), 0);
	ck_assert_int_eq(bench_do(&bench, sqe), 4);
	sqe = bench_take(&bench);
	weir_op_recv(sqe, fds[1], bytes, sizeof(bytes), MSG_DONTWAIT);
	ck_assert_int_eq(bench_do(&bench, sqe), -EAGAIN);
	bench_close_fd(&bench, fds[0]);
	bench_close_fd(&bench, fds[1]);
	bench_close(&bench);
}
END_TEST

START_TEST(nobody_there_is_told_to_who_is_connected)
{
	struct bench bench;
	uint8_t byte;
	uint16_t ports[2];
	int fds[2];

	bench_open(&bench, _i);
	for (int i = 0; i < 2; i++)
		fds[i] = bench_udp(&bench, &ports[i]);
	bench_close_fd(&bench, fds[1]);
	struct io_uring_sqe *sqe = bench_take(&bench);
	weir_op_send(sqe, fds[0], "x", 1, 0);
	ck_assert_int_eq(bench_do(&bench, sqe), -EDESTADDRREQ);
	struct sockaddr_in address = at_port(ports[1]);
	sqe = bench_take(&bench);
	weir_op_connect(sqe, fds[0], (struct sockaddr *)&address,
			sizeof(address));
	ck_assert_int_eq(bench_do(&bench, sqe), 0);
	sqe = bench_take(&bench);
	weir_op_send(sqe, fds[0], "x", 1, 0);
	ck_assert_int_eq(bench_do(&bench, sqe), 1);
	sqe = bench_take(&bench);
	weir_op_recv(sqe, fds[0], &byte, 1, 0);
	ck_assert_int_eq(bench_do(&bench, sqe), -ECONNREFUSED);
	bench_close_fd(&bench, fds[0]);
	bench_close(&bench);
}
END_TEST

/* ---- only simulated ---------------------------------------------------- */

/* How many of ten datagrams come, and whether in order. */
static uint32_t datagrams_that_come(uint32_t faults, uint32_t rate,
				    bool *out_is_ordered)
{
	struct bench bench;
	uint8_t byte = 0;
	uint16_t port;
	uint32_t count = 0;
	int last = -1;

	bench_open_with(&bench, SIMULATED,
			&(struct weir_sim_opts){ .faults = faults,
						 .fault_rate = rate });
	weir_tape_seed(bench.tape, 3);
	*out_is_ordered = true;
	const int fd = bench_udp(&bench, &port);
	const int peer = weir_sim_udp_open(bench.sim, 0);
	ck_assert_int_ge(peer, 0);
	for (uint8_t i = 0; i < 10; i++)
		ck_assert_int_eq(
			weir_sim_udp_send(bench.sim, peer, port, &i, 1), 1);
	for (int i = 0; i < 100; i++) {
		bench_submit(&bench); /* the world moves on */
		struct io_uring_sqe *sqe = bench_take(&bench);
		weir_op_recv(sqe, fd, &byte, 1, MSG_DONTWAIT);
		if (bench_do(&bench, sqe) != 1)
			continue;
		*out_is_ordered &= byte >= last;
		last = byte;
		count++;
	}
	weir_sim_udp_close(bench.sim, peer);
	bench_close_fd(&bench, fd);
	bench_close(&bench);
	return count;
}

START_TEST(datagrams_are_lost_doubled_and_overtaken)
{
	bool is_ordered;
	ck_assert_uint_eq(datagrams_that_come(0, 0, &is_ordered), 10);
	ck_assert(is_ordered);
	ck_assert_uint_lt(
		datagrams_that_come(WEIR_FAULT_LOSS, 128, &is_ordered), 10);
	ck_assert_uint_gt(
		datagrams_that_come(WEIR_FAULT_DUPLICATE, 128, &is_ordered),
		10);
	ck_assert_uint_eq(
		datagrams_that_come(WEIR_FAULT_REORDER, 128, &is_ordered), 10);
	ck_assert(!is_ordered);
}
END_TEST

START_TEST(an_hour_is_over_in_no_time)
{
	struct bench bench;
	const struct weir_kernel_timespec hour = { .tv_sec = 3600 };
	bench_open(&bench, SIMULATED);
	const uint64_t start_ns = weir_sim_now_ns(bench.sim);
	struct io_uring_sqe *sqe = bench_take(&bench);
	weir_op_timeout(sqe, &hour, 0);
	ck_assert_int_eq(bench_do(&bench, sqe), -ETIME);
	ck_assert_uint_ge(weir_sim_now_ns(bench.sim) - start_ns,
			  UINT64_C(3600000000000));
	bench_close(&bench);
}
END_TEST

START_TEST(memory_that_is_written_before_its_notice_is_a_violation)
{
	struct bench bench;
	uint8_t bytes[100] = { 0 };
	int fds[2];
	bench_open(&bench, SIMULATED);
	bench_pair(&bench, fds);
	struct io_uring_sqe *sqe = bench_take(&bench);
	weir_op_send_zc(sqe, fds[0], bytes, sizeof(bytes), 0);
	ck_assert_int_eq(bench_do(&bench, sqe), sizeof(bytes));
	bytes[50] = 1;
	(void)wi_ring_next(&bench.ring); /* the notice */
	const char *rule = weir_sim_violation(bench.sim);
	ck_assert_ptr_nonnull(rule);
	ck_assert_str_eq(rule, "memory of a zero-copy send was changed before "
			       "its notice");
	weir_ring_close(&bench.ring);
	weir_sim_close(bench.sim);
	free(bench.tape);
}
END_TEST

START_TEST(a_reset_behind_bytes_is_told)
{
	static const int32_t want[] = { 3, -ECONNRESET };
	struct bench bench;
	int fds[2];

	bench_open(&bench, _i);
	bench_group(&bench, (struct weir_bufring_opts){ .has_bundles = false });
	bench_pair(&bench, fds);
	bench_send(&bench, fds[1], "z", 1); /* nobody will read it */
	struct io_uring_sqe *sqe = bench_take(&bench);
	weir_op_recv_multishot(sqe, fds[1], GROUP, 0);
	bench_submit(&bench);
	sqe = bench_take(&bench);
	weir_op_send(sqe, fds[0], "abc", 3, 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	bench_submit_only(&bench, 1);
	bench_close_fd(&bench, fds[0]);
	/* Bytes and reset have arrived before the receive looks. */
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe cqe = wi_ring_next(&bench.ring);
		ck_assert_int_eq(cqe.res, want[i]);
		ck_assert_int_eq((cqe.flags & IORING_CQE_F_MORE) != 0, i == 0);
	}
	bench_close_fd(&bench, fds[1]);
	weir_bufring_close(&bench.bufs);
	bench_close(&bench);
}
END_TEST

/* ---- facts ------------------------------------------------------------- */

static uint32_t facts_of(uint32_t fault)
{
	uint32_t count = 0;
	for (size_t i = 0; i < sim_fact_count; i++)
		count += (sim_facts[i].fault & fault) != 0;
	return count;
}

START_TEST(nothing_happens_that_is_not_known_to_happen)
{
	for (uint32_t fault = 1; (fault & WEIR_FAULT_ALL) != 0; fault <<= 1)
		ck_assert_msg(facts_of(fault) > 0, "class %x has no source",
			      fault);
	for (size_t i = 0; i < sim_fact_count; i++) {
		const struct sim_fact *fact = &sim_facts[i];
		ck_assert_ptr_nonnull(fact->known_from);
		ck_assert_uint_gt(strlen(fact->known_from), 4);
		ck_assert((fact->what != NULL) != (fact->error != 0));
		for (size_t j = 0; j < i; j++)
			ck_assert(fact->error == 0 ||
				  fact->error != sim_facts[j].error ||
				  fact->opcode != sim_facts[j].opcode);
	}
}
END_TEST

Suite *suite_sim_op(void)
{
	Suite *suite = suite_create("sim-op");
	TCase *both = tcase_create("both");
	tcase_set_timeout(both, 30);
#define BOTH(test) tcase_add_loop_test(both, test, 0, KERNEL_COUNT)
	BOTH(an_incremental_buffer_is_filled_bit_by_bit);
	BOTH(a_bundle_spans_buffers_both_ways);
	BOTH(memory_of_a_zero_copy_send_comes_back_with_its_notice);
	BOTH(a_send_that_is_cut_short_says_how_much_went);
	BOTH(an_enter_hands_out_twenty_at_most);
	BOTH(a_reset_behind_bytes_is_told);
	BOTH(a_datagram_in_a_buffer_has_its_header);
	BOTH(a_datagram_says_who_sent_it);
	BOTH(nobody_there_is_told_to_who_is_connected);
#undef BOTH
	suite_add_tcase(suite, both);
	TCase *alone = tcase_create("simulated");
	tcase_add_test(alone, datagrams_are_lost_doubled_and_overtaken);
	tcase_add_test(alone, nothing_happens_that_is_not_known_to_happen);
	tcase_add_test(alone, an_hour_is_over_in_no_time);
	tcase_add_test(alone,
		       memory_that_is_written_before_its_notice_is_a_violation);
	suite_add_tcase(suite, alone);
	return suite;
}
