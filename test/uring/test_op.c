/* test_op.c - every operation of op.h against the real kernel
 *
 * Each result that a comment of op.h promises is provoked here: the success,
 * and each error that a process can cause by itself.
 */
#include "../rig/kernel_wrap.h"
#include "../rig/op_rig.h"
#include "../suites.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* user_data of what stays in flight. */
enum { ACCEPT = FIRST, RECV = SECOND, SEND = THIRD };

static int32_t rig_socket(struct rig *rig)
{
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_socket_slot(sqe, AF_INET, SOCK_STREAM, 0);
	return rig_do(rig, sqe);
}

static int32_t rig_connect(struct rig *rig, int32_t slot,
			   const struct sockaddr_in *address)
{
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_connect(sqe, slot, (const struct sockaddr *)address,
			sizeof(*address));
	weir_op_on_slot(sqe);
	return rig_do(rig, sqe);
}

static int32_t rig_install(struct rig *rig, int32_t slot)
{
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_install_slot(sqe, (uint32_t)slot);
	return rig_do(rig, sqe);
}

static int32_t rig_close_slot(struct rig *rig, int32_t slot)
{
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_close_slot(sqe, (uint32_t)slot);
	return rig_do(rig, sqe);
}

static void arm_recv(struct rig *rig, int32_t slot)
{
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_recv_multishot(sqe, slot, RIG_GROUP);
	weir_op_on_slot(sqe);
	sqe->user_data = RECV;
	rig_submit(rig);
}

static uint8_t pattern_byte(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8));
}

static uint8_t *pattern_take(size_t byte_count)
{
	uint8_t *bytes = malloc(byte_count);
	ck_assert_ptr_nonnull(bytes);
	for (size_t i = 0; i < byte_count; i++)
		bytes[i] = pattern_byte(i);
	return bytes;
}

/* Reads and checks the available bytes without waiting. Returns how many. */
static size_t pattern_read_some(int fd, size_t from)
{
	static uint8_t bytes[64 * 1024];
	ssize_t count = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (count < 0) {
		ck_assert_int_eq(errno, EAGAIN);
		return 0;
	}
	size_t same = 0;
	while (same < (size_t)count && bytes[same] == pattern_byte(from + same))
		same++;
	ck_assert_msg(same == (size_t)count, "byte %zu is not what was sent",
		      from + same);
	return (size_t)count;
}

/* ---- nop and read -------------------------------------------------------- */

START_TEST(nop_gives_zero_and_its_user_data)
{
	struct rig rig;
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_nop(sqe);
	sqe->user_data = UINT64_MAX - 1;
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	ck_assert_uint_eq(cqe.user_data, UINT64_MAX - 1);
	ck_assert_int_eq(cqe.res, 0);
	ck_assert_uint_eq(cqe.flags, 0);
	rig_close(&rig);
}
END_TEST

START_TEST(read_waits_for_an_eventfd_and_brings_its_count)
{
	const struct weir_kernel *kernel = weir_kernel_linux();
	struct rig rig;
	uint64_t count = 0;
	rig_open(&rig);
	int doorbell = kernel->doorbell_open(kernel->ctx);
	ck_assert_int_ge(doorbell, 0);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_read(sqe, doorbell, &count, sizeof(count));
	sqe->user_data = DONE;
	rig_submit(&rig);
	ck_assert_uint_eq(weir_ring_ready(&rig.ring), 0);

	ck_assert_int_eq(kernel->doorbell_ring(kernel->ctx, doorbell), 0);
	ck_assert_int_eq(kernel->doorbell_ring(kernel->ctx, doorbell), 0);
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	ck_assert_int_eq(cqe.res, sizeof(count));
	ck_assert_uint_ge(count, 1);
	ck_assert_uint_le(count, 2);
	ck_assert_int_eq(kernel->close(kernel->ctx, doorbell), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(read_goes_on_where_the_last_one_ended)
{
	struct rig rig;
	char bytes[4];
	rig_open(&rig);
	FILE *file = tmpfile();
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fputs("abcdefghij", file), 1);
	ck_assert_int_eq(fflush(file), 0);
	int fd = fileno(file);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	static const struct {
		const char *bytes;
		int32_t count;
	} want[] = { { "abcd", 4 }, { "efgh", 4 }, { "ij", 2 }, { "", 0 } };
	for (size_t i = 0; i < COUNT_OF(want); i++) {
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_read(sqe, fd, bytes, sizeof(bytes));
		ck_assert_int_eq(rig_do(&rig, sqe), want[i].count);
		wi_kernel_wrote(bytes, (size_t)want[i].count);
		ck_assert_mem_eq(bytes, want[i].bytes, (size_t)want[i].count);
	}
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_read(sqe, -1, bytes, sizeof(bytes));
	ck_assert_int_eq(rig_do(&rig, sqe), -EBADF);
	ck_assert_int_eq(fclose(file), 0);
	rig_close(&rig);
}
END_TEST

/* ---- accept -------------------------------------------------------------- */

START_TEST(accept_gives_one_connection_in_the_lowest_free_slot)
{
	struct rig rig;
	struct sockaddr_in address;
	char bytes[2];
	rig_open(&rig);
	int listener = wi_listener(&address);
	for (int32_t i = 0; i < 2; i++) {
		int client = wi_connect(&address);
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_accept_slot(sqe, listener);
		ck_assert_int_eq(rig_do(&rig, sqe), i);

		/* Check that it is that client's connection. */
		sqe = rig_take(&rig);
		weir_op_send(sqe, i, "ok", 2, MSG_WAITALL);
		weir_op_on_slot(sqe);
		ck_assert_int_eq(rig_do(&rig, sqe), 2);
		wi_read_all(client, bytes, 2);
		ck_assert_mem_eq(bytes, "ok", 2);
		ck_assert_int_eq(close(client), 0);
	}
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

static void arm_accept(struct rig *rig, int listener)
{
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_accept_slot_multishot(sqe, listener);
	sqe->user_data = ACCEPT;
	rig_submit(rig);
}

START_TEST(multishot_accept_goes_on_until_it_is_cancelled)
{
	struct rig rig;
	struct sockaddr_in address;
	int clients[3];
	rig_open(&rig);
	int listener = wi_listener(&address);
	arm_accept(&rig, listener);
	for (int32_t i = 0; i < 3; i++) {
		clients[i] = wi_connect(&address);
		struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
		ck_assert_uint_eq(cqe.user_data, ACCEPT);
		ck_assert_int_eq(cqe.res, i);
		ck_assert_uint_ne(cqe.flags & IORING_CQE_F_MORE, 0);
	}
	struct io_uring_cqe cqes[2];
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_cancel_token(sqe, ACCEPT);
	sqe->user_data = CANCEL;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, CANCEL).res, 0);
	struct io_uring_cqe last = rig_pick(cqes, 2, ACCEPT);
	ck_assert_int_eq(last.res, -ECANCELED);
	ck_assert_uint_eq(last.flags & IORING_CQE_F_MORE, 0);

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(close(clients[i]), 0);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(accept_into_a_full_table_says_enfile_and_drops_the_client)
{
	struct rig rig;
	struct sockaddr_in address;
	int clients[RIG_SLOTS + 1];
	char byte = 0;
	rig_open(&rig);
	int listener = wi_listener(&address);
	arm_accept(&rig, listener);
	for (int32_t i = 0; i <= RIG_SLOTS; i++) {
		clients[i] = wi_connect(&address);
		struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
		ck_assert_int_eq(cqe.res, i < RIG_SLOTS ? i : -ENFILE);
		ck_assert_int_eq((cqe.flags & IORING_CQE_F_MORE) != 0,
				 i < RIG_SLOTS);
	}
	/* Only the last client is closed without a byte. */
	ck_assert_int_le(recv(clients[RIG_SLOTS], &byte, 1, 0), 0);
	for (int i = 0; i < RIG_SLOTS; i++)
		ck_assert_int_eq(recv(clients[i], &byte, 1, MSG_DONTWAIT), -1);

	/* The next socket gets the slot that was freed. */
	ck_assert_int_eq(rig_close_slot(&rig, 2), 0);
	ck_assert_int_eq(close(clients[RIG_SLOTS]), 0);
	arm_accept(&rig, listener);
	clients[RIG_SLOTS] = wi_connect(&address);
	ck_assert_int_eq(wi_ring_next(&rig.ring).res, 2);
	for (int i = 0; i <= RIG_SLOTS; i++)
		ck_assert_int_eq(close(clients[i]), 0);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(closing_the_listener_does_not_end_an_armed_accept)
{
	struct rig rig;
	struct sockaddr_in address;
	rig_open(&rig);
	int listener = wi_listener(&address);
	arm_accept(&rig, listener);
	ck_assert_int_eq(close(listener), 0);
	int client = wi_connect(&address);
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	ck_assert_int_eq(cqe.res, 0);
	ck_assert_uint_ne(cqe.flags & IORING_CQE_F_MORE, 0);
	ck_assert_int_eq(close(client), 0);
	rig_close(&rig);
}
END_TEST

/* ---- receive ------------------------------------------------------------- */

START_TEST(multishot_receive_brings_bytes_then_the_end_without_a_buffer)
{
	struct rig rig;
	int peer = -1;
	rig_open(&rig);
	int32_t slot = rig_connected_slot(&rig, &peer);
	arm_recv(&rig, slot);
	for (int i = 0; i < 2 * RIG_BUFS; i++) {
		const uint8_t byte = (uint8_t)i;
		wi_write_all(peer, &byte, 1);
		struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
		ck_assert_uint_eq(cqe.user_data, RECV);
		ck_assert_int_eq(cqe.res, 1);
		ck_assert_uint_ne(cqe.flags & IORING_CQE_F_MORE, 0);
		uint16_t id = weir_bufring_id(&cqe);
		ck_assert_uint_eq(*weir_bufring_bytes(&rig.bufring, id), byte);
		weir_bufring_take_back(&rig.bufring, id);
		weir_bufring_publish(&rig.bufring);
	}
	ck_assert_int_eq(close(peer), 0);
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	ck_assert_int_eq(cqe.res, 0);
	ck_assert_uint_eq(cqe.flags & (IORING_CQE_F_MORE | IORING_CQE_F_BUFFER),
			  0);
	rig_close(&rig);
}
END_TEST

START_TEST(multishot_receive_on_a_reset_connection_says_econnreset)
{
	struct rig rig;
	int peer = -1;
	rig_open(&rig);
	int32_t slot = rig_connected_slot(&rig, &peer);
	arm_recv(&rig, slot);
	wi_reset_on_close(peer);
	ck_assert_int_eq(close(peer), 0);
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	ck_assert_int_eq(cqe.res, -ECONNRESET);
	ck_assert_uint_eq(cqe.flags & (IORING_CQE_F_MORE | IORING_CQE_F_BUFFER),
			  0);
	rig_close(&rig);
}
END_TEST

/* ---- send ---------------------------------------------------------------- */

enum { BIG = 4 << 20 };

/* Together far less than BIG, but each several of loopback's 64 KiB segments:
 * with fewer, TCP waits for its timers. */
static void small_buffers(int sender, int receiver)
{
	const int send_bytes = 256 * 1024;
	const int receive_bytes = 256 * 1024;
	ck_assert_int_eq(setsockopt(sender, SOL_SOCKET, SO_SNDBUF, &send_bytes,
				    sizeof(send_bytes)),
			 0);
	ck_assert_int_eq(setsockopt(receiver, SOL_SOCKET, SO_RCVBUF,
				    &receive_bytes, sizeof(receive_bytes)),
			 0);
}

START_TEST(send_without_waitall_may_be_short)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	small_buffers(fds[0], fds[1]);
	uint8_t *bytes = pattern_take(BIG);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_send(sqe, fds[0], bytes, BIG, 0);
	int32_t sent = rig_do(&rig, sqe);
	ck_assert_int_gt(sent, 0);
	ck_assert_int_lt(sent, BIG);

	/* The peer gets exactly the reported bytes. */
	ck_assert_int_eq(shutdown(fds[0], SHUT_WR), 0);
	for (size_t done = 0; done < (size_t)sent;)
		done += pattern_read_some(fds[1], done);
	uint8_t byte;
	ck_assert_int_eq(recv(fds[1], &byte, 1, 0), 0);
	free(bytes);
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(close(fds[1]), 0);
	rig_close(&rig);
}
END_TEST

/* Reads slowly until the send has completed and all bytes are read. */
static void drain_pattern(struct rig *rig, int fd, size_t byte_count)
{
	size_t done = 0;
	while (weir_ring_ready(&rig->ring) == 0 || done < byte_count) {
		size_t count = pattern_read_some(fd, done);
		done += count;
		ck_assert_int_eq(weir_ring_enter(&rig->ring, NULL), 0);
	}
	ck_assert_uint_eq(done, byte_count);
	struct io_uring_cqe cqe = wi_ring_next(&rig->ring);
	ck_assert_uint_eq(cqe.user_data, SEND);
	ck_assert_int_eq(cqe.res, (int32_t)byte_count);
}

START_TEST(send_with_waitall_goes_on_at_the_pace_of_the_reader)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	small_buffers(fds[0], fds[1]);
	uint8_t *bytes = pattern_take(BIG);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_send(sqe, fds[0], bytes, BIG, MSG_WAITALL);
	sqe->user_data = SEND;
	rig_submit(&rig);
	ck_assert_uint_eq(weir_ring_ready(&rig.ring), 0);
	drain_pattern(&rig, fds[1], BIG);
	free(bytes);
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(close(fds[1]), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(sendmsg_gathers_and_has_copied_the_vector_at_submission)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	small_buffers(fds[0], fds[1]);
	uint8_t *bytes = pattern_take(BIG);
	struct iovec parts[3] = {
		{ bytes, 1 },
		{ bytes + 1, BIG / 2 },
		{ bytes + 1 + BIG / 2, BIG / 2 - 1 },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 3 };
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_sendmsg(sqe, fds[0], &message, MSG_WAITALL);
	sqe->user_data = SEND;
	rig_submit(&rig);
	ck_assert_uint_eq(weir_ring_ready(&rig.ring), 0);

	/* Still in flight, but neither memory is needed any more. */
	memset(parts, 0xff, sizeof(parts));
	memset(&message, 0xff, sizeof(message));
	drain_pattern(&rig, fds[1], BIG);
	free(bytes);
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(close(fds[1]), 0);
	rig_close(&rig);
}
END_TEST

static void cancel_by_token(struct io_uring_sqe *sqe)
{
	weir_op_cancel_token(sqe, SEND);
}

static void cancel_by_slot(struct io_uring_sqe *sqe)
{
	weir_op_cancel_slot(sqe, 0);
}

static const struct {
	void (*fill)(struct io_uring_sqe *sqe);
	int32_t found; /* its result if it finds one operation */
} cancels[] = {
	{ cancel_by_token, 0 },
	{ cancel_by_slot, 1 },
};

/* Cancels until the send ends, and returns its result. One cancel is not
 * enough: while the kernel has the send queued for a retry (TASKRUN), no cancel
 * finds it, and it goes on. */
static int32_t cancel_send(struct rig *rig, int how)
{
	struct io_uring_cqe cqe = { .res = 0 };
	for (int tries = 0; tries < 1000; tries++) {
		bool has_ended = false;
		int32_t res = 0;
		struct io_uring_sqe *sqe = rig_take(rig);
		cancels[how].fill(sqe);
		sqe->user_data = CANCEL;
		do {
			cqe = wi_ring_next(&rig->ring);
			if (cqe.user_data == SEND) {
				has_ended = true;
				res = cqe.res;
			}
		} while (cqe.user_data != CANCEL);
		if (has_ended)
			return res;
		if (cqe.res == cancels[how].found) {
			cqe = wi_ring_next(&rig->ring);
			ck_assert_uint_eq(cqe.user_data, SEND);
			return cqe.res;
		}
	}
	ck_abort_msg("the send cannot be cancelled");
}

START_TEST(send_that_is_cancelled_half_way_gives_what_it_had_sent)
{
	struct rig rig;
	int peer = -1;
	rig_open(&rig);
	int32_t slot = rig_connected_slot(&rig, &peer);
	ck_assert_int_eq(slot, 0);
	int32_t fd = rig_install(&rig, slot);
	wi_skip_unless(fd != -EINVAL, "no install before Linux 6.8");
	small_buffers(fd, peer);
	ck_assert_int_eq(close(fd), 0);
	uint8_t *bytes = pattern_take(BIG);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_send(sqe, slot, bytes, BIG, MSG_WAITALL);
	weir_op_on_slot(sqe);
	sqe->user_data = SEND;
	rig_submit(&rig);
	int32_t sent = cancel_send(&rig, _i);
	ck_assert_int_gt(sent, 0);
	ck_assert_int_lt(sent, BIG);
	free(bytes);
	ck_assert_int_eq(close(peer), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(send_after_shutdown_says_epipe_without_a_signal)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	ck_assert_int_eq(weir_kernel_linux()->shutdown(NULL, fds[0], SHUT_WR),
			 0);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_send(sqe, fds[0], "x", 1, MSG_WAITALL);
	ck_assert_int_eq(rig_do(&rig, sqe), -EPIPE);
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(close(fds[1]), 0);
	rig_close(&rig);
}
END_TEST

/* ---- sockets ------------------------------------------------------------- */

START_TEST(sockets_fill_the_table_and_then_say_enfile)
{
	struct rig rig;
	rig_open(&rig);
	for (int32_t i = 0; i < RIG_SLOTS; i++)
		ck_assert_int_eq(rig_socket(&rig), i);
	ck_assert_int_eq(rig_socket(&rig), -ENFILE);
	ck_assert_int_eq(rig_close_slot(&rig, 1), 0);
	ck_assert_int_eq(rig_socket(&rig), 1);

	ck_assert_int_eq(rig_close_slot(&rig, 1), 0);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_socket_slot(sqe, 9999, SOCK_STREAM, 0);
	ck_assert_int_eq(rig_do(&rig, sqe), -EAFNOSUPPORT);
	rig_close(&rig);
}
END_TEST

START_TEST(connect_to_a_port_where_nobody_listens_is_refused)
{
	struct rig rig;
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t address_bytes = sizeof(address);
	rig_open(&rig);
	/* Bound but not listening, so no other socket gets the port. */
	int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(holder, 0);
	ck_assert_int_eq(
		bind(holder, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(getsockname(holder, (struct sockaddr *)&address,
				     &address_bytes),
			 0);
	int32_t slot = rig_socket(&rig);
	ck_assert_int_eq(rig_connect(&rig, slot, &address), -ECONNREFUSED);
	ck_assert_int_eq(rig_close_slot(&rig, slot), 0);
	ck_assert_int_eq(close(holder), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(connect_has_read_its_address_at_submission)
{
	struct rig rig;
	struct sockaddr_in address;
	rig_open(&rig);
	int listener = wi_listener(&address);
	int32_t slot = rig_socket(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_connect(sqe, slot, (const struct sockaddr *)&address,
			sizeof(address));
	weir_op_on_slot(sqe);
	rig_submit(&rig);
	memset(&address, 0xff, sizeof(address));
	ck_assert_int_eq(wi_ring_next(&rig.ring).res, 0);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(option_set_on_a_slot_is_seen_through_its_descriptor)
{
	const int on = 1;
	int seen = 0;
	socklen_t seen_bytes = sizeof(seen);
	struct rig rig;
	rig_open(&rig);
	int32_t slot = rig_socket(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_setsockopt(sqe, slot, IPPROTO_TCP, TCP_NODELAY, &on,
			   sizeof(on));
	weir_op_on_slot(sqe);
	int32_t res = rig_do(&rig, sqe);
	wi_skip_unless(res != -EOPNOTSUPP, "no setsockopt before Linux 6.7");
	ck_assert_int_eq(res, 0);

	int32_t fd = rig_install(&rig, slot);
	wi_skip_unless(fd != -EINVAL, "no install before Linux 6.8");
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
		getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &seen, &seen_bytes),
		0);
	ck_assert_int_ne(seen, 0);

	/* An unknown option, and a descriptor that is not a socket. */
	sqe = rig_take(&rig);
	weir_op_setsockopt(sqe, fd, IPPROTO_TCP, 9999, &on, sizeof(on));
	ck_assert_int_eq(rig_do(&rig, sqe), -ENOPROTOOPT);
	ck_assert_int_eq(close(fd), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(installed_descriptor_is_the_same_socket_and_closes_on_exec)
{
	struct rig rig;
	int peer = -1;
	char byte = 0;
	rig_open(&rig);
	int32_t slot = rig_connected_slot(&rig, &peer);
	int32_t fd = rig_install(&rig, slot);
	wi_skip_unless(fd != -EINVAL, "no install before Linux 6.8");
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	wi_write_all(fd, "q", 1);
	wi_read_all(peer, &byte, 1);
	ck_assert_int_eq(byte, 'q');

	/* The socket lives as long as one of the two is open. */
	ck_assert_int_eq(rig_close_slot(&rig, slot), 0);
	ck_assert_int_eq(rig_install(&rig, slot), -EBADF);
	wi_write_all(fd, "r", 1);
	wi_read_all(peer, &byte, 1);
	ck_assert_int_eq(byte, 'r');
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(recv(peer, &byte, 1, 0), 0);
	ck_assert_int_eq(close(peer), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(shutdown_sends_the_end_of_stream)
{
	struct rig rig;
	int peer = -1;
	char byte = 0;
	rig_open(&rig);
	int32_t slot = rig_connected_slot(&rig, &peer);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_shutdown(sqe, slot, SHUT_WR);
	weir_op_on_slot(sqe);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	ck_assert_int_eq(recv(peer, &byte, 1, 0), 0);

	int32_t lonely = rig_socket(&rig);
	sqe = rig_take(&rig);
	weir_op_shutdown(sqe, lonely, SHUT_WR);
	weir_op_on_slot(sqe);
	ck_assert_int_eq(rig_do(&rig, sqe), -ENOTCONN);
	ck_assert_int_eq(close(peer), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(slot_that_is_closed_twice_says_ebadf)
{
	struct rig rig;
	rig_open(&rig);
	ck_assert_int_eq(rig_close_slot(&rig, 0), -EBADF);
	ck_assert_int_eq(rig_socket(&rig), 0);
	ck_assert_int_eq(rig_close_slot(&rig, 0), 0);
	ck_assert_int_eq(rig_close_slot(&rig, 0), -EBADF);
	ck_assert_int_lt(rig_close_slot(&rig, RIG_SLOTS), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(close_of_a_slot_leaves_an_armed_receive_on_it)
{
	struct rig rig;
	int peer = -1;
	rig_open(&rig);
	int32_t slot = rig_connected_slot(&rig, &peer);
	arm_recv(&rig, slot);
	ck_assert_int_eq(rig_close_slot(&rig, slot), 0);
	wi_write_all(peer, "x", 1);
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	ck_assert_uint_eq(cqe.user_data, RECV);
	ck_assert_int_eq(cqe.res, 1);
	ck_assert_uint_ne(cqe.flags & IORING_CQE_F_MORE, 0);
	ck_assert_int_eq(close(peer), 0);
	rig_close(&rig);
}
END_TEST

/* ---- cancel -------------------------------------------------------------- */

START_TEST(cancel_of_a_slot_counts_what_it_found_and_each_ends)
{
	struct rig rig;
	struct io_uring_cqe cqes[3];
	int peer = -1;
	char bytes[8];
	rig_open(&rig);
	int32_t slot = rig_connected_slot(&rig, &peer);
	arm_recv(&rig, slot);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_read(sqe, slot, bytes, sizeof(bytes));
	weir_op_on_slot(sqe);
	sqe->user_data = DONE;
	rig_submit(&rig);

	sqe = rig_take(&rig);
	weir_op_cancel_slot(sqe, (uint32_t)slot);
	sqe->user_data = CANCEL;
	wi_ring_collect(&rig.ring, cqes, 3);
	ck_assert_int_eq(rig_pick(cqes, 3, CANCEL).res, 2);
	ck_assert_int_eq(rig_pick(cqes, 3, RECV).res, -ECANCELED);
	ck_assert_uint_eq(rig_pick(cqes, 3, RECV).flags & IORING_CQE_F_MORE, 0);
	ck_assert_int_eq(rig_pick(cqes, 3, DONE).res, -ECANCELED);

	/* A slot without operations gives a count of 0; an empty slot is an
	 * error. */
	sqe = rig_take(&rig);
	weir_op_cancel_slot(sqe, (uint32_t)slot);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	ck_assert_int_eq(rig_close_slot(&rig, slot), 0);
	sqe = rig_take(&rig);
	weir_op_cancel_slot(sqe, (uint32_t)slot);
	ck_assert_int_eq(rig_do(&rig, sqe), -EBADF);
	ck_assert_int_eq(close(peer), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(cancel_of_a_receive_with_data_on_its_way_ends_it_all_the_same)
{
	struct rig rig;
	struct io_uring_cqe cqe = { .res = 0 };
	bool is_answered = false;
	bool has_ended = false;
	int peer = -1;
	rig_open(&rig);
	int32_t slot = rig_connected_slot(&rig, &peer);
	arm_recv(&rig, slot);
	wi_write_all(peer, "x", 1);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_cancel_slot(sqe, (uint32_t)slot);
	sqe->user_data = CANCEL;
	while (!is_answered || !has_ended) {
		cqe = wi_ring_next(&rig.ring);
		if (cqe.user_data == CANCEL) {
			ck_assert_int_eq(cqe.res, 1);
			is_answered = true;
		} else if ((cqe.flags & IORING_CQE_F_MORE) == 0) {
			ck_assert_int_eq(cqe.res, -ECANCELED);
			has_ended = true;
		}
	}
	ck_assert_int_eq(close(peer), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(cancel_of_one_slot_leaves_the_others)
{
	struct rig rig;
	struct io_uring_cqe cqes[2];
	int peer[2] = { -1, -1 };
	rig_open(&rig);
	int32_t first = rig_connected_slot(&rig, &peer[0]);
	arm_recv(&rig, first);
	int32_t second = rig_connected_slot(&rig, &peer[1]);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_multishot(sqe, second, RIG_GROUP);
	weir_op_poll_first(sqe);
	weir_op_on_slot(sqe);
	sqe->user_data = DONE;
	rig_submit(&rig);

	sqe = rig_take(&rig);
	weir_op_cancel_slot(sqe, (uint32_t)first);
	sqe->user_data = CANCEL;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, CANCEL).res, 1);
	ck_assert_int_eq(rig_pick(cqes, 2, RECV).res, -ECANCELED);

	wi_write_all(peer[1], "x", 1);
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	ck_assert_uint_eq(cqe.user_data, DONE);
	ck_assert_int_eq(cqe.res, 1);
	ck_assert_int_eq(close(peer[0]), 0);
	ck_assert_int_eq(close(peer[1]), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(cancel_of_a_token_finds_one_or_says_enoent)
{
	struct rig rig;
	struct io_uring_cqe cqes[2];
	uint64_t count = 0;
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_cancel_token(sqe, RECV);
	ck_assert_int_eq(rig_do(&rig, sqe), -ENOENT);

	int doorbell = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ge(doorbell, 0);
	sqe = rig_take(&rig);
	weir_op_read(sqe, doorbell, &count, sizeof(count));
	sqe->user_data = RECV;
	rig_submit(&rig);
	sqe = rig_take(&rig);
	weir_op_cancel_token(sqe, RECV);
	sqe->user_data = CANCEL;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, CANCEL).res, 0);
	ck_assert_int_eq(rig_pick(cqes, 2, RECV).res, -ECANCELED);

	sqe = rig_take(&rig);
	weir_op_cancel_token(sqe, RECV);
	ck_assert_int_eq(rig_do(&rig, sqe), -ENOENT);
	ck_assert_int_eq(close(doorbell), 0);
	rig_close(&rig);
}
END_TEST

/* ---- the kernel's own calls ---------------------------------------------- */

/* For the wrapper of all fault injection: each call reaches the kernel
 * unchanged, once. */
static struct {
	struct kernel_wrap wrap;
	uint32_t before[CALL_COUNT];
	uint32_t after[CALL_COUNT];
} noted;

static bool note_before(void *ctx, struct kernel_call *call)
{
	(void)ctx;
	noted.before[call->id]++;
	return false;
}

static void note_after(void *ctx, struct kernel_call *call)
{
	(void)ctx;
	noted.after[call->id]++;
}

static const struct weir_kernel *noted_kernel(void)
{
	memset(&noted, 0, sizeof(noted));
	kernel_wrap_init(&noted.wrap, weir_kernel_linux(), note_before,
			 note_after, NULL);
	return &noted.wrap.kernel;
}

static void expect_socket_errnos(const struct weir_kernel *kernel)
{
	struct sockaddr address = { .sa_family = AF_INET };
	socklen_t bytes = sizeof(address);
	const int value = 1;
	ck_assert_int_eq(kernel->socket(kernel->ctx, 9999, SOCK_STREAM, 0),
			 -EAFNOSUPPORT);
	ck_assert_int_eq(kernel->socket(kernel->ctx, AF_INET, 15, 0), -EINVAL);
	ck_assert_int_eq(
		kernel->socket(kernel->ctx, AF_INET, SOCK_STREAM, IPPROTO_UDP),
		-EPROTONOSUPPORT);
	ck_assert_int_eq(kernel->sockopt(kernel->ctx, -1, SOL_SOCKET,
					 SO_REUSEADDR, &value, sizeof(value)),
			 -EBADF);
	ck_assert_int_eq(
		kernel->bind(kernel->ctx, -1, &address, sizeof(address)),
		-EBADF);
	ck_assert_int_eq(kernel->listen(kernel->ctx, -1, 1), -EBADF);
	ck_assert_int_eq(kernel->sockname(kernel->ctx, -1, &address, &bytes),
			 -EBADF);
	ck_assert_int_eq(kernel->disconnect(kernel->ctx, -1), -EBADF);
	ck_assert_int_eq(kernel->shutdown(kernel->ctx, -1, SHUT_RDWR), -EBADF);
	ck_assert_int_eq(kernel->close(kernel->ctx, -1), -EBADF);
}

static void expect_memory_errnos(const struct weir_kernel *kernel)
{
	void *memory = NULL;
	ck_assert_int_eq(kernel->map(kernel->ctx, 0, -1, 0, &memory), -EINVAL);
	ck_assert_ptr_null(memory);
	ck_assert_int_eq(kernel->map(kernel->ctx, 4096, -1, 0, &memory), 0);
	ck_assert_ptr_nonnull(memory);
	ck_assert_uint_eq(*(uint8_t *)memory, 0);
	/* Discarded memory is zero at the next access. */
	*(uint8_t *)memory = 1;
	ck_assert_int_eq(
		kernel->advise(kernel->ctx, memory, 4096, MADV_DONTNEED), 0);
	ck_assert_uint_eq(*(uint8_t *)memory, 0);
	ck_assert_int_eq(kernel->advise(kernel->ctx, memory, 4096, -1),
			 -EINVAL);
	ck_assert_int_eq(kernel->random(kernel->ctx, memory, 8), 0);
	ck_assert_int_eq(kernel->unmap(kernel->ctx, memory, 4096), 0);
	ck_assert_int_eq(kernel->random(kernel->ctx, memory, 8), -EFAULT);
	ck_assert_int_eq(kernel->unmap(kernel->ctx, (char *)memory + 1, 4096),
			 -EINVAL);
}

static void expect_ring_errnos(const struct weir_kernel *kernel)
{
	struct io_uring_params params = { .flags = 1u << 31 };
	int err = kernel->setup(kernel->ctx, 8, &params);
	ck_assert_int_lt(err, 0); /* -EINVAL; -ENOSYS, -EPERM: no rings here */
	ck_assert_int_eq(kernel->setup(kernel->ctx, 8, &params), err);
	err = kernel->enter(kernel->ctx, -1, 0, 0, 0, NULL, 0);
	ck_assert_msg(err == -EBADF || err == -ENOSYS || err == -EPERM,
		      "got %d", err);
	/* Newer than 6.12: an invalid message. */
	err = kernel->register_op(kernel->ctx, -1,
				  IORING_REGISTER_SEND_MSG_RING, NULL, 1);
	ck_assert_msg(err == -EFAULT || err == -EINVAL || err == -EBADF,
		      "got %d", err);
	ck_assert_int_ge(kernel->punt_workers(kernel->ctx), 0);
}

START_TEST(kernel_calls_on_nothing_give_their_errno)
{
	const struct weir_kernel *kernel =
		_i == 0 ? weir_kernel_linux() : noted_kernel();
	const uint32_t word = 0;
	ck_assert_str_eq(kernel->name, _i == 0 ? "linux" : "wrapped");
	expect_socket_errnos(kernel);
	expect_memory_errnos(kernel);
	expect_ring_errnos(kernel);
	const int doorbell = kernel->doorbell_open(kernel->ctx);
	ck_assert_int_ge(doorbell, 0);
	ck_assert_int_eq(kernel->doorbell_ring(kernel->ctx, doorbell), 0);
	ck_assert_int_eq(kernel->close(kernel->ctx, doorbell), 0);
	ck_assert_int_eq(kernel->doorbell_ring(kernel->ctx, -1), -EBADF);
	ck_assert_int_eq(kernel->wait(kernel->ctx, &word, 1), -EAGAIN);
	ck_assert_int_eq(kernel->wake(kernel->ctx, &word), 0);
	uint64_t before_ns = kernel->now_ns(kernel->ctx);
	ck_assert_uint_gt(before_ns, 0);
	kernel->pause(kernel->ctx, 1000000);
	ck_assert_uint_ge(kernel->now_ns(kernel->ctx), before_ns + 1000000);
	for (int i = 0; i < CALL_COUNT && _i == 1; i++) {
		ck_assert_msg(noted.before[i] > 0, "call %d was not seen", i);
		ck_assert_uint_eq(noted.after[i], noted.before[i]);
	}
}
END_TEST

static uint32_t gate; /* a word to wait on */

static void *gate_open(void *ctx)
{
	const struct weir_kernel *kernel = ctx;
	__atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
	(void)kernel->wake(kernel->ctx, &gate);
	return NULL;
}

START_TEST(wait_ends_when_another_thread_changes_the_word_and_wakes)
{
	const struct weir_kernel *kernel = weir_kernel_linux();
	pthread_t thread;
	__atomic_store_n(&gate, 0, __ATOMIC_RELAXED);
	/* A different value: no sleep. */
	ck_assert_int_eq(kernel->wait(kernel->ctx, &gate, 1), -EAGAIN);
	ck_assert_int_eq(
		pthread_create(&thread, NULL, gate_open, (void *)kernel), 0);
	while (__atomic_load_n(&gate, __ATOMIC_ACQUIRE) == 0)
		(void)kernel->wait(kernel->ctx, &gate, 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(kernel->wake(kernel->ctx, &gate), 0); /* no waiter */
}
END_TEST

/* ---- the suite ----------------------------------------------------------- */

static TCase *add_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return tcase;
}

WI_SUITE(op, "op", WI_RUNGS | WI_THREADS)
{
	TCase *tcase = add_case(suite, "kernel");
	tcase_add_loop_test(tcase, kernel_calls_on_nothing_give_their_errno, 0,
			    2);
	tcase_add_test(
		tcase,
		wait_ends_when_another_thread_changes_the_word_and_wakes);
	if (!wi_kernel_has_rings())
		return;

	tcase = add_case(suite, "nop and read");
	tcase_add_test(tcase, nop_gives_zero_and_its_user_data);
	tcase_add_test(tcase, read_waits_for_an_eventfd_and_brings_its_count);
	tcase_add_test(tcase, read_goes_on_where_the_last_one_ended);

	tcase = add_case(suite, "accept");
	tcase_add_test(tcase,
		       accept_gives_one_connection_in_the_lowest_free_slot);
	tcase_add_test(tcase, multishot_accept_goes_on_until_it_is_cancelled);
	tcase_add_test(
		tcase,
		accept_into_a_full_table_says_enfile_and_drops_the_client);
	tcase_add_test(tcase,
		       closing_the_listener_does_not_end_an_armed_accept);

	tcase = add_case(suite, "receive");
	tcase_add_test(
		tcase,
		multishot_receive_brings_bytes_then_the_end_without_a_buffer);
	tcase_add_test(tcase,
		       multishot_receive_on_a_reset_connection_says_econnreset);

	tcase = add_case(suite, "send");
	tcase_add_test(tcase, send_without_waitall_may_be_short);
	tcase_add_test(tcase,
		       send_with_waitall_goes_on_at_the_pace_of_the_reader);
	tcase_add_test(tcase,
		       sendmsg_gathers_and_has_copied_the_vector_at_submission);
	tcase_add_loop_test(
		tcase, send_that_is_cancelled_half_way_gives_what_it_had_sent,
		0, COUNT_OF(cancels));
	tcase_add_test(tcase, send_after_shutdown_says_epipe_without_a_signal);

	tcase = add_case(suite, "sockets");
	tcase_add_test(tcase, sockets_fill_the_table_and_then_say_enfile);
	tcase_add_test(tcase,
		       connect_to_a_port_where_nobody_listens_is_refused);
	tcase_add_test(tcase, connect_has_read_its_address_at_submission);
	tcase_add_test(tcase,
		       option_set_on_a_slot_is_seen_through_its_descriptor);
	tcase_add_test(
		tcase,
		installed_descriptor_is_the_same_socket_and_closes_on_exec);
	tcase_add_test(tcase, shutdown_sends_the_end_of_stream);
	tcase_add_test(tcase, slot_that_is_closed_twice_says_ebadf);
	tcase_add_test(tcase, close_of_a_slot_leaves_an_armed_receive_on_it);

	tcase = add_case(suite, "cancel");
	tcase_add_test(tcase,
		       cancel_of_a_slot_counts_what_it_found_and_each_ends);
	tcase_add_test(
		tcase,
		cancel_of_a_receive_with_data_on_its_way_ends_it_all_the_same);
	tcase_add_test(tcase, cancel_of_one_slot_leaves_the_others);
	tcase_add_test(tcase, cancel_of_a_token_finds_one_or_says_enoent);
}
