/* test_op_socket.c - sockets: open, bind, connect, set options, close */
#include "../rig/op_rig.h"
#include "../rig/refused.h"
#include "../suites.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

static const struct {
	const char *when;
	int domain, type, protocol;
	int want; /* 0: a descriptor */
} sockets[] = {
	{ "stream", AF_INET, SOCK_STREAM, 0, 0 },
	{ "stream by name", AF_INET, SOCK_STREAM, IPPROTO_TCP, 0 },
	{ "datagram", AF_INET, SOCK_DGRAM, 0, 0 },
	{ "local", AF_UNIX, SOCK_SEQPACKET, 0, 0 },
	{ "non-blocking", AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, 0 },
	{ "no such family", 9999, SOCK_STREAM, 0, -EAFNOSUPPORT },
	{ "no such protocol", AF_INET, SOCK_STREAM, IPPROTO_UDP,
	  -EPROTONOSUPPORT },
	{ "no such type", AF_INET, 15, 0, -EINVAL },
};
START_TEST(socket_is_made_or_refused_as_by_the_system_call)
{
	struct rig rig;
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_socket(sqe, sockets[_i].domain, sockets[_i].type,
		       sockets[_i].protocol);
	int32_t fd = rig_do(&rig, sqe);
	ck_assert_msg(sockets[_i].want == 0 ? fd >= 0 : fd == sockets[_i].want,
		      "when %s: got %d", sockets[_i].when, fd);
	sqe = rig_take(&rig);
	weir_op_socket_at_slot(sqe, sockets[_i].domain, sockets[_i].type,
			       sockets[_i].protocol, 3);
	int32_t res = rig_do(&rig, sqe);
	ck_assert_msg(res == sockets[_i].want, "when %s, in a slot: got %d",
		      sockets[_i].when, res);
	if (fd >= 0) {
		sqe = rig_take(&rig);
		weir_op_close(sqe, fd);
		ck_assert_int_eq(rig_do(&rig, sqe), 0);
		ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	}
	rig_close(&rig);
}
END_TEST

START_TEST(socket_with_cloexec_closes_on_exec)
{
	struct rig rig;
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_socket(sqe, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int32_t fd = rig_do(&rig, sqe);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(close(fd), 0);

	/* The kernel refuses it for a slot; the helper asserts. */
	sqe = rig_take(&rig);
	weir_op_socket(sqe, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
	ck_assert_int_eq(rig_do(&rig, sqe), -EINVAL);
	rig_close(&rig);
}
END_TEST

static void socket_beyond_the_table(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_socket_at_slot(sqe, AF_INET, SOCK_STREAM, 0, RIG_SLOTS);
}
static void close_beyond_the_table(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_close_slot(sqe, RIG_SLOTS);
}
static const struct refused beyond[] = {
	{ "a socket is made there", socket_beyond_the_table, REFUSED_NOTHING,
	  -EINVAL, NULL },
	{ "it is closed", close_beyond_the_table, REFUSED_NOTHING, -EINVAL,
	  NULL },
};
START_TEST(slot_beyond_the_table_is_refused)
{
	refused_check(&beyond[_i]);
}
END_TEST

START_TEST(ring_without_a_table_has_no_slots)
{
	struct weir_ring ring;
	wi_ring_start(&ring, NULL);
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
	weir_op_socket_slot(sqe, AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(wi_ring_next(&ring).res, -ENFILE);
	sqe = weir_ring_take_sqe(&ring);
	weir_op_socket_at_slot(sqe, AF_INET, SOCK_STREAM, 0, 0);
	ck_assert_int_eq(wi_ring_next(&ring).res, -ENXIO);
	sqe = weir_ring_take_sqe(&ring);
	weir_op_close_slot(sqe, 0);
	ck_assert_int_eq(wi_ring_next(&ring).res, -ENXIO);
	weir_ring_close(&ring);
}
END_TEST

static int32_t do_bind(struct rig *rig, int fd, const struct sockaddr_in *at)
{
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_bind(sqe, fd, (const struct sockaddr *)at, sizeof(*at));
	return rig_do(rig, sqe);
}

static int32_t do_listen(struct rig *rig, int fd)
{
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_listen(sqe, fd, 8);
	return rig_do(rig, sqe);
}

START_TEST(bind_and_listen_make_a_listener)
{
	struct rig rig;
	struct sockaddr_in address = rig_loopback();
	socklen_t address_bytes = sizeof(address);
	rig_open(&rig);
	wi_skip_unless(rig_knows(&rig, IORING_OP_BIND),
		       "no bind before Linux 6.11");
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(do_bind(&rig, fd, &address), 0);
	ck_assert_int_eq(do_bind(&rig, fd, &address), -EINVAL);
	ck_assert_int_eq(do_listen(&rig, fd), 0);
	ck_assert_int_eq(
		getsockname(fd, (struct sockaddr *)&address, &address_bytes),
		0);
	int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(do_bind(&rig, other, &address), -EADDRINUSE);
	address.sin_addr.s_addr = htonl(0xc0000201); /* RFC 5737 */
	ck_assert_int_eq(do_bind(&rig, other, &address), -EADDRNOTAVAIL);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int client = wi_connect(&address);
	ck_assert_int_eq(close(client), 0);
	ck_assert_int_eq(close(other), 0);
	ck_assert_int_eq(close(fd), 0);
	rig_close(&rig);
}
END_TEST

static void fill_bind(struct io_uring_sqe *sqe, int fd)
{
	static struct sockaddr_in address;
	address = rig_loopback();
	weir_op_bind(sqe, fd, (const struct sockaddr *)&address,
		     sizeof(address));
}
static void fill_listen(struct io_uring_sqe *sqe, int fd)
{
	weir_op_listen(sqe, fd, 8);
}
static const struct refused no_streams[] = {
	{ "nothing is bound", fill_bind, REFUSED_NOTHING, -EBADF, NULL },
	{ "a file is bound", fill_bind, REFUSED_FILE, -ENOTSOCK, NULL },
	{ "nothing listens", fill_listen, REFUSED_NOTHING, -EBADF, NULL },
	{ "a file listens", fill_listen, REFUSED_FILE, -ENOTSOCK, NULL },
	{ "a datagram socket listens", fill_listen, REFUSED_DATAGRAMS,
	  -EOPNOTSUPP, NULL },
};
START_TEST(bind_and_listen_on_no_stream_socket_say_why)
{
	struct rig rig;
	rig_open(&rig);
	const bool knows = rig_knows(&rig, IORING_OP_LISTEN);
	rig_close(&rig);
	wi_skip_unless(knows, "no listen before Linux 6.11");
	refused_check(&no_streams[_i]);
}
END_TEST

START_TEST(chain_of_links_builds_a_listener_in_a_slot)
{
	struct rig rig;
	struct io_uring_cqe cqes[4];
	struct sockaddr_in address = rig_loopback();
	socklen_t address_bytes = sizeof(address);
	const int on = 1;
	rig_open(&rig);
	wi_skip_unless(rig_knows(&rig, IORING_OP_LISTEN),
		       "no listen before Linux 6.11");
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_socket_at_slot(sqe, AF_INET, SOCK_STREAM, 0, 1);
	weir_op_link(sqe);
	sqe = rig_take(&rig);
	weir_op_setsockopt(sqe, 1, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	weir_op_on_slot(sqe);
	weir_op_link(sqe);
	sqe = rig_take(&rig);
	weir_op_bind(sqe, 1, (struct sockaddr *)&address, sizeof(address));
	weir_op_on_slot(sqe);
	weir_op_link(sqe);
	sqe = rig_take(&rig);
	weir_op_listen(sqe, 1, 8);
	weir_op_on_slot(sqe);
	wi_ring_collect(&rig.ring, cqes, 4);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(cqes[i].res, 0);

	sqe = rig_take(&rig);
	weir_op_install_slot(sqe, 1);
	int fd = rig_do(&rig, sqe);
	ck_assert_int_eq(
		getsockname(fd, (struct sockaddr *)&address, &address_bytes),
		0);
	ck_assert_int_eq(close(fd), 0);
	int client = wi_connect(&address);
	ck_assert_int_eq(close(client), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(connect_says_what_the_system_call_would)
{
	struct rig rig;
	struct sockaddr_in address;
	rig_open(&rig);
	int listener = wi_listener(&address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int file = rig_file();
	const struct {
		int fd;
		socklen_t bytes;
		int want;
	} cases[] = {
		{ -1, sizeof(address), -EBADF },
		{ file, sizeof(address), -ENOTSOCK },
		{ fd, 3, -EINVAL },
		{ fd, sizeof(address), 0 },
		{ fd, sizeof(address), -EISCONN },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_connect(sqe, cases[i].fd, (struct sockaddr *)&address,
				cases[i].bytes);
		ck_assert_int_eq(rig_do(&rig, sqe), cases[i].want);
	}
	ck_assert_int_eq(close(file), 0);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(shutdown_says_what_the_system_call_would)
{
	struct rig rig;
	int fds[2];
	char byte;
	rig_open(&rig);
	rig_unix_pair(fds);
	int file = rig_file();
	int lonely = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct {
		int fd, how, want;
	} cases[] = {
		{ -1, SHUT_WR, -EBADF },        { file, SHUT_WR, -ENOTSOCK },
		{ lonely, SHUT_WR, -ENOTCONN }, { fds[0], 99, -EINVAL },
		{ fds[0], SHUT_WR, 0 },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_shutdown(sqe, cases[i].fd, cases[i].how);
		ck_assert_int_eq(rig_do(&rig, sqe), cases[i].want);
	}
	ck_assert_int_eq(recv(fds[1], &byte, 1, 0), 0);
	rig_close_pair(fds);
	ck_assert_int_eq(close(file), 0);
	ck_assert_int_eq(close(lonely), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(close_of_what_is_not_open_says_ebadf)
{
	struct rig rig;
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_close(sqe, -1);
	ck_assert_int_eq(rig_do(&rig, sqe), -EBADF);
	sqe = rig_take(&rig);
	weir_op_close(sqe, weir_ring_fd(&rig.ring));
	ck_assert_int_eq(rig_do(&rig, sqe), -EBADF);
	rig_close(&rig);
}
END_TEST

START_TEST(close_of_a_descriptor_leaves_an_armed_receive_and_sends_no_end)
{
	struct rig rig;
	int fds[2];
	char byte;
	rig_open(&rig);
	wi_tcp_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_multishot(sqe, fds[0], RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	sqe = rig_take(&rig);
	weir_op_close(sqe, fds[0]);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	ck_assert_int_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
	wi_write_all(fds[1], "late", 4);
	struct io_uring_cqe cqe = rig_next(&rig, FIRST, true);
	rig_holds(&rig, &cqe, "late");

	/* The end of this operation closes the socket. */
	ck_assert_int_eq(rig_cancel(&rig, FIRST), -ECANCELED);
	rig_submit(&rig);
	ck_assert_int_eq(recv(fds[1], &byte, 1, 0), 0);
	ck_assert_int_eq(close(fds[1]), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(installed_descriptor_survives_exec_if_asked_to)
{
	struct rig rig;
	rig_open(&rig);
	wi_skip_unless(rig_knows(&rig, IORING_OP_FIXED_FD_INSTALL),
		       "no install before Linux 6.8");
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_socket_slot(sqe, AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	sqe = rig_take(&rig);
	weir_op_install_slot_inherited(sqe, 0);
	int fd = rig_do(&rig, sqe);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(close(fd), 0);
	sqe = rig_take(&rig);
	weir_op_install_slot(sqe, 1);
	ck_assert_int_eq(rig_do(&rig, sqe), -EBADF);
	rig_close(&rig);
}
END_TEST

/* ---- commands ------------------------------------------------------------ */

START_TEST(getsockopt_reads_what_setsockopt_wrote)
{
	struct rig rig;
	int value = 1;
	rig_open(&rig);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_setsockopt(sqe, fd, SOL_SOCKET, SO_KEEPALIVE, &value,
			   sizeof(value));
	int32_t res = rig_do(&rig, sqe);
	wi_skip_unless(res != -EOPNOTSUPP, "no setsockopt before Linux 6.7");
	ck_assert_int_eq(res, 0);
	value = 0;
	sqe = rig_take(&rig);
	weir_op_getsockopt(sqe, fd, SOL_SOCKET, SO_KEEPALIVE, &value,
			   sizeof(value));
	ck_assert_int_eq(rig_do(&rig, sqe), sizeof(value));
	ck_assert_int_eq(value, 1);
	sqe = rig_take(&rig);
	weir_op_getsockopt(sqe, fd, SOL_SOCKET, 9999, &value, sizeof(value));
	ck_assert_int_eq(rig_do(&rig, sqe), -ENOPROTOOPT);

	/* Another level: the kernel's error, which the assert prevents. */
	sqe = rig_take(&rig);
	weir_op_getsockopt(sqe, fd, SOL_SOCKET, TCP_NODELAY, &value,
			   sizeof(value));
	sqe->level = IPPROTO_TCP;
	ck_assert_int_eq(rig_do(&rig, sqe), -EOPNOTSUPP);
	ck_assert_int_eq(close(fd), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(commands_tell_unread_and_unacknowledged_bytes)
{
	struct rig rig;
	struct sockaddr_in address;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	wi_write_all(fds[0], "twelve bytes", 12);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_poll(sqe, fds[1], 1 /* POLLIN */);
	ck_assert_int_eq(rig_do(&rig, sqe) & 1, 1);
	sqe = rig_take(&rig);
	weir_op_unread_bytes(sqe, fds[1]);
	int32_t res = rig_do(&rig, sqe);
	wi_skip_unless(res != -EOPNOTSUPP, "no commands before Linux 6.6");
	ck_assert_int_eq(res, 12);

	int queued = -1;
	sqe = rig_take(&rig);
	weir_op_unacked_bytes(sqe, fds[1]);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	ck_assert_int_eq(ioctl(fds[0], TIOCOUTQ, &queued), 0);
	sqe = rig_take(&rig);
	weir_op_unacked_bytes(sqe, fds[0]);
	res = rig_do(&rig, sqe);
	ck_assert_int_ge(res, 0);
	ck_assert_int_le(res, queued);

	int listener = wi_listener(&address);
	sqe = rig_take(&rig);
	weir_op_unread_bytes(sqe, listener);
	ck_assert_int_eq(rig_do(&rig, sqe), -EINVAL);
	sqe = rig_take(&rig);
	weir_op_unacked_bytes(sqe, listener);
	ck_assert_int_eq(rig_do(&rig, sqe), -EINVAL);
	ck_assert_int_eq(close(listener), 0);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

static void fill_set(struct io_uring_sqe *sqe, int fd)
{
	static const int on = 1;
	weir_op_setsockopt(sqe, fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}
static void fill_get(struct io_uring_sqe *sqe, int fd)
{
	static int value;
	weir_op_getsockopt(sqe, fd, SOL_SOCKET, SO_KEEPALIVE, &value,
			   sizeof(value));
}
static void fill_inq(struct io_uring_sqe *sqe, int fd)
{
	weir_op_unread_bytes(sqe, fd);
}
static void fill_outq(struct io_uring_sqe *sqe, int fd)
{
	weir_op_unacked_bytes(sqe, fd);
}
static const struct refused commands[] = {
	{ "nothing is set", fill_set, REFUSED_NOTHING, -EBADF, NULL },
	{ "nothing is asked", fill_get, REFUSED_NOTHING, -EBADF, NULL },
	{ "nothing has bytes", fill_inq, REFUSED_NOTHING, -EBADF, NULL },
	{ "nothing has sent", fill_outq, REFUSED_NOTHING, -EBADF, NULL },
	{ "a file is set", fill_set, REFUSED_FILE, -EOPNOTSUPP, NULL },
	{ "a file is asked", fill_get, REFUSED_FILE, -EOPNOTSUPP, NULL },
	{ "a file has bytes", fill_inq, REFUSED_FILE, -EOPNOTSUPP, NULL },
	{ "a file has sent", fill_outq, REFUSED_FILE, -EOPNOTSUPP, NULL },
};
START_TEST(command_on_what_is_no_socket_is_refused)
{
	refused_check(&commands[_i]);
}
END_TEST

START_TEST(time_stamps_need_large_completions)
{
	struct rig rig;
	rig_open(&rig);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_tx_timestamps(sqe, fd);
	int32_t res = rig_do(&rig, sqe);
	wi_skip_unless(res != -EOPNOTSUPP, "no time stamps before Linux 6.17");
	ck_assert_int_eq(res, -EINVAL);
	ck_assert_int_eq(close(fd), 0);
	rig_close(&rig);
}
END_TEST

WI_SUITE(op_socket, "op-socket", WI_RUNGS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("socket");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase,
			    socket_is_made_or_refused_as_by_the_system_call, 0,
			    COUNT_OF(sockets));
	tcase_add_test(tcase, socket_with_cloexec_closes_on_exec);
	tcase_add_loop_test(tcase, slot_beyond_the_table_is_refused, 0,
			    COUNT_OF(beyond));
	tcase_add_test(tcase, ring_without_a_table_has_no_slots);
	tcase_add_test(tcase, bind_and_listen_make_a_listener);
	tcase_add_loop_test(tcase, bind_and_listen_on_no_stream_socket_say_why,
			    0, COUNT_OF(no_streams));
	tcase_add_test(tcase, chain_of_links_builds_a_listener_in_a_slot);
	tcase_add_test(tcase, connect_says_what_the_system_call_would);
	tcase_add_test(tcase, shutdown_says_what_the_system_call_would);
	tcase_add_test(tcase, close_of_what_is_not_open_says_ebadf);
	tcase_add_test(
		tcase,
		close_of_a_descriptor_leaves_an_armed_receive_and_sends_no_end);
	tcase_add_test(tcase, installed_descriptor_survives_exec_if_asked_to);
	tcase_add_test(tcase, getsockopt_reads_what_setsockopt_wrote);
	tcase_add_test(tcase, commands_tell_unread_and_unacknowledged_bytes);
	tcase_add_loop_test(tcase, command_on_what_is_no_socket_is_refused, 0,
			    COUNT_OF(commands));
	tcase_add_test(tcase, time_stamps_need_large_completions);
}
