/* test_sim_udp.c - datagrams on both kernels, and faults of the network on the
 * simulated one */
#include "test_sim_udp.h"
#include "../rig/support.h"
#include "sim_bench.h"

#include "uring/annotate.h"

#include <errno.h>

static struct sockaddr_in udp_at(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static int udp_open(struct sim_bench *bench, uint16_t *out_port)
{
	struct sockaddr_in address = udp_at(0);
	socklen_t address_bytes = sizeof(address);
	struct io_uring_sqe *sqe = sim_bench_take(bench);
	weir_op_socket(sqe, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const int fd = sim_bench_do(bench, sqe);
	ck_assert_int_ge(fd, 0);
	sqe = sim_bench_take(bench);
	weir_op_bind(sqe, fd, (struct sockaddr *)&address, sizeof(address));
	ck_assert_int_eq(sim_bench_do(bench, sqe), 0);
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

static void udp_send_to(struct sim_bench *bench, int fd, uint16_t port,
			const void *bytes, size_t byte_count)
{
	struct sockaddr_in address = udp_at(port);
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes,
			     .iov_len = byte_count };
	struct msghdr message = { .msg_name = &address,
				  .msg_namelen = sizeof(address),
				  .msg_iov = &iov,
				  .msg_iovlen = 1 };
	struct io_uring_sqe *sqe = sim_bench_take(bench);
	weir_op_sendmsg(sqe, fd, &message, 0);
	ck_assert_int_eq(sim_bench_do(bench, sqe), (int32_t)byte_count);
}

/* A buffer of 32 bytes: header 16, name 0, so that 16 are left. */
START_TEST(a_datagram_in_a_buffer_has_its_header)
{
	static const char text[] = "a datagram too long for it";
	struct msghdr layout = { .msg_namelen = 0 };
	struct sim_bench bench;
	struct io_uring_recvmsg_out out;
	uint16_t ports[2];
	int fds[2];

	sim_bench_open(&bench, _i);
	sim_bench_group(&bench,
			(struct weir_bufring_opts){ .has_bundles = false });
	for (int i = 0; i < 2; i++)
		fds[i] = udp_open(&bench, &ports[i]);
	static const uint32_t sizes[] = { 5, 26, 0 };
	for (int i = 0; i < 3; i++)
		udp_send_to(&bench, fds[0], ports[1], text, sizes[i]);
	struct io_uring_sqe *sqe = sim_bench_take(&bench);
	weir_op_recvmsg_multishot(sqe, fds[1], &layout, SIM_BENCH_GROUP);
	for (int i = 0; i < 3; i++) {
		const uint32_t payload = sizes[i] < 16 ? sizes[i] : 16;
		struct io_uring_cqe cqe = wi_ring_next(&bench.ring);
		ck_assert_int_eq(cqe.res, (int32_t)(16 + payload));
		/* An empty datagram ends it. */
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
	sim_bench_close_fd(&bench, fds[0]);
	sim_bench_close_fd(&bench, fds[1]);
	weir_bufring_close(&bench.bufs);
	sim_bench_close(&bench);
}
END_TEST

START_TEST(a_datagram_says_who_sent_it)
{
	struct sim_bench bench;
	uint8_t bytes[4];
	struct sockaddr_in from = { .sin_family = 0 };
	struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
	struct msghdr message = { .msg_name = &from,
				  .msg_namelen = sizeof(from),
				  .msg_iov = &iov,
				  .msg_iovlen = 1 };
	uint16_t ports[2];
	int fds[2];

	sim_bench_open(&bench, _i);
	for (int i = 0; i < 2; i++)
		fds[i] = udp_open(&bench, &ports[i]);
	udp_send_to(&bench, fds[0], ports[1], "abcdef", 6);
	struct io_uring_sqe *sqe = sim_bench_take(&bench);
	weir_op_recvmsg(sqe, fds[1], &message, 0);
	ck_assert_int_eq(sim_bench_do(&bench, sqe), 4);
	ck_assert_uint_eq(ntohs(from.sin_port), ports[0]);
	ck_assert_uint_eq(message.msg_namelen, sizeof(from));
	ck_assert_uint_ne((uint32_t)message.msg_flags & MSG_TRUNC, 0);
	wi_kernel_wrote(bytes, 4);
	ck_assert_mem_eq(bytes, "abcd", 4);
	/* A plain receive is cut without a sign. */
	udp_send_to(&bench, fds[0], ports[1], "abcdef", 6);
	sqe = sim_bench_take(&bench);
	weir_op_recv(sqe, fds[1], bytes, sizeof(bytes), 0);
	ck_assert_int_eq(sim_bench_do(&bench, sqe), 4);
	sqe = sim_bench_take(&bench);
	weir_op_recv(sqe, fds[1], bytes, sizeof(bytes), MSG_DONTWAIT);
	ck_assert_int_eq(sim_bench_do(&bench, sqe), -EAGAIN);
	sim_bench_close_fd(&bench, fds[0]);
	sim_bench_close_fd(&bench, fds[1]);
	sim_bench_close(&bench);
}
END_TEST

START_TEST(nobody_there_is_told_to_who_is_connected)
{
	struct sim_bench bench;
	uint8_t byte;
	uint16_t ports[2];
	int fds[2];

	sim_bench_open(&bench, _i);
	for (int i = 0; i < 2; i++)
		fds[i] = udp_open(&bench, &ports[i]);
	sim_bench_close_fd(&bench, fds[1]);
	struct io_uring_sqe *sqe = sim_bench_take(&bench);
	weir_op_send(sqe, fds[0], "x", 1, 0);
	ck_assert_int_eq(sim_bench_do(&bench, sqe), -EDESTADDRREQ);
	struct sockaddr_in address = udp_at(ports[1]);
	sqe = sim_bench_take(&bench);
	weir_op_connect(sqe, fds[0], (struct sockaddr *)&address,
			sizeof(address));
	ck_assert_int_eq(sim_bench_do(&bench, sqe), 0);
	sqe = sim_bench_take(&bench);
	weir_op_send(sqe, fds[0], "x", 1, 0);
	ck_assert_int_eq(sim_bench_do(&bench, sqe), 1);
	sqe = sim_bench_take(&bench);
	weir_op_recv(sqe, fds[0], &byte, 1, 0);
	ck_assert_int_eq(sim_bench_do(&bench, sqe), -ECONNREFUSED);
	sim_bench_close_fd(&bench, fds[0]);
	sim_bench_close(&bench);
}
END_TEST

/* How many of ten datagrams arrive, and whether in order. */
static uint32_t datagrams_that_come(uint32_t faults, uint32_t rate,
				    bool *out_is_ordered)
{
	struct sim_bench bench;
	uint8_t byte = 0;
	uint16_t port;
	uint32_t count = 0;
	int last = -1;

	sim_bench_open_with(&bench, SIM_BENCH_SIMULATED,
			    &(struct weir_sim_opts){ .faults = faults,
						     .fault_rate = rate });
	weir_tape_seed(bench.tape, 3);
	*out_is_ordered = true;
	const int fd = udp_open(&bench, &port);
	const int peer = weir_sim_udp_open(bench.sim, 0);
	ck_assert_int_ge(peer, 0);
	for (uint8_t i = 0; i < 10; i++)
		ck_assert_int_eq(
			weir_sim_udp_send(bench.sim, peer, port, &i, 1), 1);
	for (int i = 0; i < 100; i++) {
		sim_bench_submit(&bench); /* the world moves on */
		struct io_uring_sqe *sqe = sim_bench_take(&bench);
		weir_op_recv(sqe, fd, &byte, 1, MSG_DONTWAIT);
		if (sim_bench_do(&bench, sqe) != 1)
			continue;
		*out_is_ordered &= byte >= last;
		last = byte;
		count++;
	}
	weir_sim_udp_close(bench.sim, peer);
	sim_bench_close_fd(&bench, fd);
	sim_bench_close(&bench);
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

TCase *tcase_sim_udp(void)
{
	TCase *tcase = tcase_create("datagrams");
	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, a_datagram_in_a_buffer_has_its_header, 0,
			    SIM_BENCH_COUNT);
	tcase_add_loop_test(tcase, a_datagram_says_who_sent_it, 0,
			    SIM_BENCH_COUNT);
	tcase_add_loop_test(tcase, nobody_there_is_told_to_who_is_connected, 0,
			    SIM_BENCH_COUNT);
	tcase_add_test(tcase, datagrams_are_lost_doubled_and_overtaken);
	return tcase;
}
