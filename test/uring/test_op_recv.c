/* test_op_recv.c - receives in all forms, against the real kernel */
#include "../rig/op_rig.h"
#include "../rig/refused.h"
#include "../suites.h"

#include <fcntl.h>
#include <netinet/udp.h>
#include <sys/socket.h>

/* ---- into the caller's buffer -------------------------------------------- */

START_TEST(recv_waits_and_brings_bytes_then_the_end)
{
	struct rig rig;
	int fds[2];
	char bytes[8];
	rig_open(&rig);
	wi_tcp_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv(sqe, fds[0], bytes, sizeof(bytes), 0);
	rig_start(&rig, sqe, FIRST);
	rig_is_quiet(&rig);
	wi_write_all(fds[1], "abc", 3);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, 3);
	wi_kernel_wrote(bytes, 3);
	ck_assert_mem_eq(bytes, "abc", 3);

	ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
	sqe = rig_take(&rig);
	weir_op_recv(sqe, fds[0], bytes, sizeof(bytes), 0);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(recv_with_waitall_waits_for_the_last_byte_or_the_end)
{
	struct rig rig;
	int fds[2];
	char bytes[6];
	rig_open(&rig);
	wi_tcp_pair(fds);
	for (int i = 0; i < 2; i++) {
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_recv(sqe, fds[0], bytes, sizeof(bytes), MSG_WAITALL);
		rig_start(&rig, sqe, FIRST);
		wi_write_all(fds[1], "abc", 3);
		rig_is_quiet(&rig);
		if (i == 0)
			wi_write_all(fds[1], "def", 3);
		else
			ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
		ck_assert_int_eq(rig_next(&rig, FIRST, false).res,
				 i == 0 ? 6 : 3);
		wi_kernel_wrote(bytes, i == 0 ? 6 : 3);
		ck_assert_mem_eq(bytes, "abcdef", i == 0 ? 6 : 3);
	}
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(recv_with_waitall_that_is_cancelled_gives_what_it_has)
{
	struct rig rig;
	int fds[2];
	char bytes[6];
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv(sqe, fds[0], bytes, sizeof(bytes), MSG_WAITALL);
	wi_write_all(fds[1], "abc", 3);
	rig_start(&rig, sqe, FIRST);
	rig_is_quiet(&rig);
	ck_assert_int_eq(rig_cancel(&rig, FIRST), 3);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(recv_with_dontwait_says_eagain)
{
	struct rig rig;
	int fds[2];
	char byte;
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv(sqe, fds[0], &byte, 1, MSG_DONTWAIT);
	ck_assert_int_eq(rig_do(&rig, sqe), -EAGAIN);
	sqe = rig_take(&rig);
	weir_op_recv_group(sqe, fds[0], RIG_GROUP, 0);
	weir_op_msg_flags(sqe, MSG_DONTWAIT);
	ck_assert_int_eq(rig_do(&rig, sqe), -EAGAIN);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(nonblocking_socket_is_waited_on_all_the_same)
{
	struct rig rig;
	int fds[2];
	char byte = 0;
	rig_open(&rig);
	rig_unix_pair(fds);
	ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv(sqe, fds[0], &byte, 1, 0);
	rig_start(&rig, sqe, FIRST);
	rig_is_quiet(&rig);
	wi_write_all(fds[1], "x", 1);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, 1);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(recv_peeks_and_then_reads_the_same)
{
	struct rig rig;
	int fds[2];
	char bytes[4];
	rig_open(&rig);
	rig_unix_pair(fds);
	wi_write_all(fds[1], "same", 4);
	for (int i = 0; i < 2; i++) {
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_recv(sqe, fds[0], bytes, 4, i == 0 ? MSG_PEEK : 0);
		weir_op_poll_first(sqe);
		ck_assert_int_eq(rig_do(&rig, sqe), 4);
		wi_kernel_wrote(bytes, 4);
		ck_assert_mem_eq(bytes, "same", 4);
	}
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

/* ---- common to all forms ------------------------------------------------- */

static char form_bytes[16];
static struct iovec form_part = { form_bytes, sizeof(form_bytes) };
static struct msghdr form_message = { .msg_iov = &form_part, .msg_iovlen = 1 };
static struct msghdr form_areas; /* no room for a name or control data */

static void fill_recv(struct io_uring_sqe *sqe, int fd, uint16_t group)
{
	(void)group;
	weir_op_recv(sqe, fd, form_bytes, sizeof(form_bytes), 0);
}
static void fill_recvmsg(struct io_uring_sqe *sqe, int fd, uint16_t group)
{
	(void)group;
	weir_op_recvmsg(sqe, fd, &form_message, 0);
}
static void fill_group(struct io_uring_sqe *sqe, int fd, uint16_t group)
{
	weir_op_recv_group(sqe, fd, group, 0);
}
static void fill_multishot(struct io_uring_sqe *sqe, int fd, uint16_t group)
{
	weir_op_recv_multishot(sqe, fd, group);
}
static void fill_bundle(struct io_uring_sqe *sqe, int fd, uint16_t group)
{
	weir_op_recv_bundle(sqe, fd, group);
}
static void fill_bundles(struct io_uring_sqe *sqe, int fd, uint16_t group)
{
	weir_op_recv_bundle_multishot(sqe, fd, group);
}
static void fill_messages(struct io_uring_sqe *sqe, int fd, uint16_t group)
{
	weir_op_recvmsg_multishot(sqe, fd, &form_areas, group);
}

static const struct {
	const char *name;
	void (*fill)(struct io_uring_sqe *sqe, int fd, uint16_t group);
	int unknown_group; /* its result; 0: the form uses no group */
	int empty_group;
} forms[] = {
	{ "recv", fill_recv, 0, 0 },
	{ "recvmsg", fill_recvmsg, 0, 0 },
	{ "group", fill_group, -ENOBUFS, -ENOBUFS },
	{ "multishot", fill_multishot, -ENOBUFS, -ENOBUFS },
	{ "bundle", fill_bundle, -ENOENT, -ENOBUFS },
	{ "bundle multishot", fill_bundles, -ENOENT, -ENOBUFS },
	{ "recvmsg multishot", fill_messages, -ENOBUFS, -ENOBUFS },
};

static struct io_uring_sqe *take_form(struct rig *rig, int form, int fd)
{
	struct io_uring_sqe *sqe = rig_take(rig);
	forms[form].fill(sqe, fd, RIG_GROUP);
	return sqe;
}

/* The form and the group of fill_form(). */
static int form_filled;
static uint16_t form_group;

static void fill_form(struct io_uring_sqe *sqe, int fd)
{
	forms[form_filled].fill(sqe, fd, form_group);
}

static void form_refused(int form, uint16_t group, enum refused_object object,
			 int want)
{
	const struct refused refused = { forms[form].name, fill_form, object,
					 want, NULL };
	form_filled = form;
	form_group = group;
	refused_check(&refused);
}

START_TEST(receive_on_what_is_no_connection_says_why)
{
	form_refused(_i, RIG_GROUP, REFUSED_NOTHING, -EBADF);
	form_refused(_i, RIG_GROUP, REFUSED_FILE, -ENOTSOCK);
	form_refused(_i, RIG_GROUP, REFUSED_STREAM, -ENOTCONN);
}
END_TEST

START_TEST(receive_ends_with_zero_at_the_end_of_stream_and_uses_no_buffer)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	struct io_uring_sqe *sqe = take_form(&rig, _i, fds[0]);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
	struct io_uring_cqe cqe = rig_next(&rig, FIRST, false);
	if (forms[_i].fill == fill_messages && cqe.res != 0) {
		/* A header for zero bytes. */
		ck_assert_int_eq(cqe.res, sizeof(struct io_uring_recvmsg_out));
	} else {
		ck_assert_int_eq(cqe.res, 0);
		ck_assert_uint_eq(cqe.flags & IORING_CQE_F_BUFFER, 0);
	}
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(receive_ends_with_zero_when_our_own_side_is_shut_down)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	struct io_uring_sqe *sqe = take_form(&rig, _i, fds[0]);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(shutdown(fds[0], SHUT_RDWR), 0);
	struct io_uring_cqe cqe = rig_next(&rig, FIRST, false);
	ck_assert_int_ge(cqe.res, 0);
	ck_assert_int_le(cqe.res, sizeof(struct io_uring_recvmsg_out));
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(receive_ends_with_econnreset_and_uses_no_buffer)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	struct io_uring_sqe *sqe = take_form(&rig, _i, fds[0]);
	rig_start(&rig, sqe, FIRST);
	wi_reset_on_close(fds[1]);
	ck_assert_int_eq(close(fds[1]), 0);
	struct io_uring_cqe cqe = rig_next(&rig, FIRST, false);
	ck_assert_int_eq(cqe.res, -ECONNRESET);
	ck_assert_uint_eq(cqe.flags & IORING_CQE_F_BUFFER, 0);
	ck_assert_int_eq(close(fds[0]), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(receive_that_is_cancelled_says_ecanceled)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	struct io_uring_sqe *sqe = take_form(&rig, _i, fds[0]);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(rig_cancel(&rig, FIRST), -ECANCELED);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

/* The forms from FIRST_GROUP_FORM on use a group. */
enum { FIRST_GROUP_FORM = 2 };

START_TEST(receive_into_an_unknown_group_says_so_at_once)
{
	form_refused(_i, RIG_NO_GROUP, REFUSED_TCP, forms[_i].unknown_group);
}
END_TEST

START_TEST(receive_into_an_empty_group_says_enobufs_and_loses_nothing)
{
	struct rig rig;
	int fds[2];
	char byte = 0;
	rig_open(&rig);
	wi_tcp_pair(fds);
	rig_drain_group(&rig);
	int32_t got = rig_do(&rig, take_form(&rig, _i, fds[0]));
	ck_assert_msg(got == forms[_i].empty_group, "%s: got %d, want %d",
		      forms[_i].name, got, forms[_i].empty_group);

	/* The same with a byte in the socket. */
	wi_write_all(fds[1], "k", 1);
	got = rig_do(&rig, take_form(&rig, _i, fds[0]));
	ck_assert_msg(got == forms[_i].empty_group, "%s: got %d, want %d",
		      forms[_i].name, got, forms[_i].empty_group);
	wi_read_all(fds[0], &byte, 1);
	ck_assert_int_eq(byte, 'k');
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(receive_that_polls_first_may_be_armed_on_an_empty_group)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	rig_drain_group(&rig);
	struct io_uring_sqe *sqe = take_form(&rig, _i, fds[0]);
	weir_op_poll_first(sqe);
	rig_start(&rig, sqe, FIRST);
	rig_is_quiet(&rig);
	weir_bufring_take_back(&rig.bufring, 5);
	weir_bufring_publish(&rig.bufring);
	wi_write_all(fds[1], "late", 4);
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	ck_assert_uint_eq(cqe.user_data, FIRST);
	ck_assert_int_gt(cqe.res, 0);
	ck_assert_uint_eq(weir_bufring_id(&cqe), 5);
	const size_t head_bytes = forms[_i].fill == fill_messages
					  ? sizeof(struct io_uring_recvmsg_out)
					  : 0;
	ck_assert_mem_eq(weir_bufring_bytes(&rig.bufring, 5) + head_bytes,
			 "late", 4);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

/* ---- multishot ----------------------------------------------------------- */

START_TEST(multishot_ends_with_enobufs_and_goes_on_when_armed_again)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_multishot(sqe, fds[0], RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	struct io_uring_cqe cqe;
	for (int i = 0; i < RIG_BUFS; i++) {
		wi_write_all(fds[1], "x", 1);
		cqe = rig_next(&rig, FIRST, true);
		ck_assert_int_eq(cqe.res, 1);
	}
	wi_write_all(fds[1], "y", 1);
	struct io_uring_cqe last = rig_next(&rig, FIRST, false);
	ck_assert_int_eq(last.res, -ENOBUFS);
	ck_assert_uint_eq(last.flags & IORING_CQE_F_BUFFER, 0);

	weir_bufring_take_back(&rig.bufring, weir_bufring_id(&cqe));
	weir_bufring_publish(&rig.bufring);
	sqe = rig_take(&rig);
	weir_op_recv_multishot(sqe, fds[0], RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	cqe = wi_ring_next(&rig.ring);
	rig_holds(&rig, &cqe, "y");
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(full_completion_queue_ends_a_multishot_receive)
{
	enum { CQ = 4 };
	struct rig rig;
	int fds[2];
	char rest[16];
	rig_open_cq(&rig, CQ);
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	for (int i = 0; i < CQ + 2; i++)
		wi_write_all(fds[1], "x", 1);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_multishot(sqe, fds[0], RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	rig_submit(&rig);
	ck_assert_uint_ne(
		weir_ring_held_back(&rig.ring) & IORING_SQ_CQ_OVERFLOW, 0);
	for (int i = 0; i <= CQ; i++)
		ck_assert_int_eq(rig_next(&rig, FIRST, i < CQ).res, 1);
	rig_is_quiet(&rig);
	ck_assert_int_eq(recv(fds[0], rest, sizeof(rest), MSG_DONTWAIT), 1);
	ck_assert_int_eq(recv(fds[0], rest, sizeof(rest), MSG_DONTWAIT), -1);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(datagram_of_no_bytes_ends_a_multishot_receive)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_udp_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_multishot(sqe, fds[0], RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(send(fds[1], "dg", 2, 0), 2);
	struct io_uring_cqe cqe = rig_next(&rig, FIRST, true);
	rig_holds(&rig, &cqe, "dg");
	ck_assert_int_eq(send(fds[1], "", 0, 0), 0);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, 0);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(datagram_that_is_too_long_is_cut_without_a_word)
{
	struct rig rig;
	int fds[2];
	char bytes[RIG_BUF_BYTES + 20] = { 0 };
	rig_open(&rig);
	rig_udp_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_multishot(sqe, fds[0], RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(send(fds[1], bytes, sizeof(bytes), 0), sizeof(bytes));
	ck_assert_int_eq(rig_next(&rig, FIRST, true).res, RIG_BUF_BYTES);
	rig_is_quiet(&rig);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

static const struct {
	const char *when;
	uint32_t each, total;
	int32_t sizes[4]; /* of 12 bytes in all; the last is 0 if it goes on */
	int ends_after;   /* completions; 0: it does not end */
} caps[] = {
	{ "each is limited", 5, 0, { 5, 5, 2 }, 0 },
	{ "the total is met exactly", 3, 12, { 3, 3, 3, 3 }, 4 },
	{ "the total is passed by the last one", 4, 7, { 4, 4 }, 2 },
	{ "nothing is limited", 0, 0, { 12 }, 0 },
};
START_TEST(multishot_keeps_to_its_limits)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	wi_write_all(fds[1], "twelve bytes", 12);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_multishot_capped(sqe, fds[0], RIG_GROUP, caps[_i].each,
				      caps[_i].total);
	rig_start(&rig, sqe, FIRST);
	for (int i = 0; i < 4 && caps[_i].sizes[i] != 0; i++) {
		struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
		wi_skip_unless(cqe.res != -EINVAL, "no limits in this kernel");
		ck_assert_msg(cqe.res == caps[_i].sizes[i],
			      "when %s: completion %d of %d bytes",
			      caps[_i].when, i, cqe.res);
		ck_assert_msg(((cqe.flags & IORING_CQE_F_MORE) == 0) ==
				      (i + 1 == caps[_i].ends_after),
			      "when %s: F_MORE of completion %d is wrong",
			      caps[_i].when, i);
	}
	rig_is_quiet(&rig);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(end_of_stream_is_marked_nonempty_too)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_multishot(sqe, fds[0], RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	wi_write_all(fds[1], "x", 1);
	struct io_uring_cqe cqe = rig_next(&rig, FIRST, true);
	ck_assert_uint_eq(cqe.flags & IORING_CQE_F_SOCK_NONEMPTY, 0);
	ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
	cqe = rig_next(&rig, FIRST, false);
	ck_assert_int_eq(cqe.res, 0);
	ck_assert_uint_ne(cqe.flags & IORING_CQE_F_SOCK_NONEMPTY, 0);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

/* ---- bundles ------------------------------------------------------------- */

START_TEST(bundle_goes_over_as_many_buffers_as_it_takes)
{
	struct rig rig;
	int fds[2];
	uint8_t bytes[RIG_BUF_BYTES * 2];
	rig_open(&rig);
	rig_need_bundles(&rig);
	rig_unix_pair(fds);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	wi_write_all(fds[1], bytes, sizeof(bytes));
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_bundle(sqe, fds[0], RIG_GROUP);
	struct io_uring_cqe cqe = rig_cqe(&rig, sqe);
	ck_assert_int_eq(cqe.res, sizeof(bytes));
	ck_assert_uint_eq(weir_bufring_id(&cqe), 0);
	for (uint16_t id = 0; id < 2; id++)
		ck_assert_mem_eq(weir_bufring_bytes(&rig.bufring, id),
				 bytes + (size_t)id * RIG_BUF_BYTES,
				 RIG_BUF_BYTES);

	/* A buffer that is not full counts as used up too. */
	for (uint16_t id = 2; id < 4; id++) {
		wi_write_all(fds[1], "x", 1);
		sqe = rig_take(&rig);
		weir_op_recv_bundle(sqe, fds[0], RIG_GROUP);
		cqe = rig_cqe(&rig, sqe);
		ck_assert_int_eq(cqe.res, 1);
		ck_assert_uint_eq(weir_bufring_id(&cqe), id);
	}
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(bundle_leaves_what_fills_no_buffer_for_the_next_time)
{
	struct rig rig;
	int fds[2];
	uint8_t bytes[RIG_BUF_BYTES * 2 + 10] = { 0 };
	rig_open(&rig);
	rig_need_bundles(&rig);
	wi_tcp_pair(fds);
	wi_write_all(fds[1], bytes, sizeof(bytes));
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_bundle(sqe, fds[0], RIG_GROUP);
	struct io_uring_cqe cqe = rig_cqe(&rig, sqe);
	ck_assert_int_eq(cqe.res, RIG_BUF_BYTES * 2);
	ck_assert_uint_ne(cqe.flags & IORING_CQE_F_SOCK_NONEMPTY, 0);
	sqe = rig_take(&rig);
	weir_op_recv_bundle(sqe, fds[0], RIG_GROUP);
	cqe = rig_cqe(&rig, sqe);
	ck_assert_int_eq(cqe.res, 10);
	ck_assert_uint_eq(weir_bufring_id(&cqe), 2);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(bundle_follows_the_order_of_the_ring_not_of_the_ids)
{
	struct rig rig;
	int fds[2];
	uint8_t bytes[RIG_BUF_BYTES * 2];
	rig_open(&rig);
	rig_need_bundles(&rig);
	rig_unix_pair(fds);
	rig_drain_group(&rig);
	weir_bufring_take_back(&rig.bufring, 6);
	weir_bufring_take_back(&rig.bufring, 2);
	weir_bufring_publish(&rig.bufring);
	memset(bytes, 'a', RIG_BUF_BYTES);
	memset(bytes + RIG_BUF_BYTES, 'z', RIG_BUF_BYTES);
	wi_write_all(fds[1], bytes, sizeof(bytes));
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_bundle(sqe, fds[0], RIG_GROUP);
	struct io_uring_cqe cqe = rig_cqe(&rig, sqe);
	ck_assert_int_eq(cqe.res, sizeof(bytes));
	ck_assert_uint_eq(weir_bufring_id(&cqe), 6);
	ck_assert_uint_eq(*weir_bufring_bytes(&rig.bufring, 2), 'z');
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(multishot_bundle_ends_with_the_last_buffer_and_no_enobufs)
{
	struct rig rig;
	int fds[2];
	uint8_t bytes[RIG_BUF_BYTES * (RIG_BUFS + 1)] = { 0 };
	rig_open(&rig);
	rig_need_bundles(&rig);
	rig_unix_pair(fds);
	wi_write_all(fds[1], bytes, sizeof(bytes));
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_bundle_multishot(sqe, fds[0], RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	int32_t received = 0;
	struct io_uring_cqe cqe;
	do {
		cqe = wi_ring_next(&rig.ring);
		ck_assert_int_gt(cqe.res, 0);
		received += cqe.res;
	} while ((cqe.flags & IORING_CQE_F_MORE) != 0);
	ck_assert_int_eq(received, RIG_BUF_BYTES * RIG_BUFS);
	rig_is_quiet(&rig);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

/* Ways to make a receive run on a kernel worker thread, where it takes its
 * first buffer at once and not when data arrives. */
static void punt_by_chain(struct io_uring_sqe *sqe)
{
	weir_op_link(sqe); /* without a next entry */
}
static void punt_by_async(struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_ASYNC; /* weir_op_async() refuses a bundle */
}

static void (*const punts[])(struct io_uring_sqe *sqe) = {
	punt_by_chain,
	punt_by_async,
};

/* Waits until a kernel thread leaves @count buffers free. Returns the last
 * status. */
static int rig_wait_free(struct rig *rig, uint32_t want_count)
{
	uint32_t free_count = 0;
	int err;
	do
		err = weir_bufring_status(&rig->bufring, &free_count);
	while (err == 0 && free_count != want_count);
	return err < 0 ? err : (int)free_count;
}

/* The reason why bufring.h excludes a bundle on a worker: the buffers of one
 * completion are not adjacent, and no completion reports that. Seen on Linux
 * 6.18. */
START_TEST(bundle_on_a_worker_goes_over_what_another_has_taken)
{
	struct rig rig;
	int fds[2];
	int others[2];
	uint8_t bytes[RIG_BUF_BYTES + 10];
	rig_open(&rig);
	wi_skip_unless((weir_ring_features(&rig.ring) &
			IORING_FEAT_RECVSEND_BUNDLE) != 0,
		       "no bundles before Linux 6.10");
	rig_unix_pair(fds);
	rig_unix_pair(others);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_bundle(sqe, fds[0], RIG_GROUP);
	punts[_i](sqe);
	rig_start(&rig, sqe, FIRST);
	int free_count = rig_wait_free(&rig, RIG_BUFS - 1);
	wi_skip_unless(free_count != -EINVAL, "no status before Linux 6.8");
	ck_assert_int_eq(free_count, RIG_BUFS - 1);

	wi_write_all(others[1], "x", 1);
	sqe = rig_take(&rig);
	weir_op_recv_group(sqe, others[0], RIG_GROUP, 0);
	struct io_uring_cqe cqe = rig_cqe(&rig, sqe);
	ck_assert_int_eq(cqe.res, 1);
	ck_assert_uint_eq(weir_bufring_id(&cqe), 1);

	memset(bytes, 'a', RIG_BUF_BYTES);
	memset(bytes + RIG_BUF_BYTES, 'z', 10);
	wi_write_all(fds[1], bytes, sizeof(bytes));
	cqe = rig_next(&rig, FIRST, false);
	ck_assert_uint_eq(weir_bufring_id(&cqe), 0);
	wi_skip_unless(cqe.res > RIG_BUF_BYTES,
		       "this kernel ends it at the first buffer");
	ck_assert_int_eq(cqe.res, sizeof(bytes));
	ck_assert_uint_eq(*weir_bufring_bytes(&rig.bufring, 1), 'x');
	ck_assert_uint_eq(*weir_bufring_bytes(&rig.bufring, 2), 'z');
	rig_close_pair(fds);
	rig_close_pair(others);
	rig_close(&rig);
}
END_TEST

/* ---- messages ------------------------------------------------------------ */

START_TEST(recvmsg_writes_the_name_and_the_flags_back)
{
	struct rig rig;
	struct sockaddr_in from = { .sin_family = 0 };
	struct sockaddr_in own;
	socklen_t own_bytes = sizeof(own);
	char bytes[2][3];
	int fds[2];
	rig_open(&rig);
	rig_udp_pair(fds);
	struct iovec parts[2] = { { bytes[0], 3 }, { bytes[1], 3 } };
	struct msghdr message = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = parts,
		.msg_iovlen = 2,
	};
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recvmsg(sqe, fds[0], &message, 0);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(send(fds[1], "abcdefgh", 8, 0), 8);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, 6);
	wi_kernel_wrote(bytes, 6);
	ck_assert_mem_eq(bytes, "abcdef", 6);
	ck_assert_int_eq(message.msg_flags & MSG_TRUNC, MSG_TRUNC);
	ck_assert_uint_eq(message.msg_namelen, sizeof(from));
	ck_assert_int_eq(
		getsockname(fds[1], (struct sockaddr *)&own, &own_bytes), 0);
	ck_assert_uint_eq(from.sin_port, own.sin_port);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

static const struct {
	const char *when;
	socklen_t name_room;
	size_t payload_bytes;
	uint32_t want_bytes;
	uint32_t want_flags;
	bool name_is_cut;
} messages[] = {
	{ "all fits", 16, 5, 5, 0, false },
	{ "the room for the name is larger", 32, 5, 5, 0, false },
	{ "no name is wanted", 0, 5, 5, 0, true },
	{ "the name is cut", 4, 5, 5, 0, true },
	{ "the payload is cut", 16, 60, 32, MSG_TRUNC, false },
	{ "the payload fits exactly", 16, 32, 32, 0, false },
};
START_TEST(message_in_a_buffer_is_read_as_it_was_sent)
{
	struct rig rig;
	struct sockaddr_in own;
	socklen_t own_bytes = sizeof(own);
	struct weir_recvmsg got;
	char bytes[60];
	int fds[2];
	rig_open(&rig);
	rig_udp_pair(fds);
	memset(bytes, 'p', sizeof(bytes));
	struct msghdr message = { .msg_namelen = messages[_i].name_room };
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recvmsg_multishot(sqe, fds[0], &message, RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(send(fds[1], bytes, messages[_i].payload_bytes, 0),
			 messages[_i].payload_bytes);
	struct io_uring_cqe cqe = rig_next(&rig, FIRST, true);
	ck_assert(weir_recvmsg_read(
		weir_bufring_bytes(&rig.bufring, weir_bufring_id(&cqe)),
		(uint32_t)cqe.res, &message, &got));
	ck_assert_msg(got.payload_bytes == messages[_i].want_bytes,
		      "when %s: %u bytes", messages[_i].when,
		      got.payload_bytes);
	ck_assert_mem_eq(got.payload, bytes, got.payload_bytes);
	ck_assert_uint_eq(got.msg_flags & MSG_TRUNC, messages[_i].want_flags);
	ck_assert_uint_eq(got.control_bytes, 0);
	ck_assert_int_eq(
		getsockname(fds[1], (struct sockaddr *)&own, &own_bytes), 0);
	if (messages[_i].name_room >= sizeof(own)) {
		ck_assert_uint_eq(got.name_bytes, sizeof(own));
		ck_assert_mem_eq(got.name, &own, 8); /* family, port, address */
	} else {
		ck_assert_uint_eq(got.name_bytes, messages[_i].name_room);
	}
	if (messages[_i].name_room > 0)
		ck_assert_int_eq(got.name_is_cut, messages[_i].name_is_cut);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(control_data_follows_the_room_for_the_name)
{
	enum { CONTROL_BYTES = 24 };
	struct rig rig;
	struct weir_recvmsg got;
	const int on = 1;
	int fds[2];
	rig_open(&rig);
	rig_udp_pair(fds);
	ck_assert_int_eq(
		setsockopt(fds[0], IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)), 0);
	for (int is_cut = 0; is_cut < 2; is_cut++) {
		struct msghdr message = {
			.msg_namelen = 16,
			.msg_controllen = is_cut ? 8 : CONTROL_BYTES,
		};
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_recvmsg_multishot(sqe, fds[0], &message, RIG_GROUP);
		rig_start(&rig, sqe, FIRST);
		ck_assert_int_eq(send(fds[1], "hi", 2, 0), 2);
		struct io_uring_cqe cqe = rig_next(&rig, FIRST, true);
		ck_assert_int_eq(cqe.res,
				 16 + 16 + (is_cut ? 8 : CONTROL_BYTES) + 2);
		ck_assert(weir_recvmsg_read(
			weir_bufring_bytes(&rig.bufring, weir_bufring_id(&cqe)),
			(uint32_t)cqe.res, &message, &got));
		ck_assert_mem_eq(got.payload, "hi", 2);
		if (is_cut) {
			ck_assert_uint_ne(got.msg_flags & MSG_CTRUNC, 0);
		} else {
			struct cmsghdr first;
			memcpy(&first, got.control, sizeof(first));
			ck_assert_int_eq(first.cmsg_level, IPPROTO_IP);
			ck_assert_int_eq(first.cmsg_type, IP_TTL);
			ck_assert_uint_le(got.control_bytes, CONTROL_BYTES);
		}
		ck_assert_int_eq(rig_cancel(&rig, FIRST), -ECANCELED);
	}
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(buffer_without_room_for_header_and_areas_says_efault)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_udp_pair(fds);
	struct msghdr message = { .msg_namelen = RIG_BUF_BYTES };
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recvmsg_multishot(sqe, fds[0], &message, RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(send(fds[1], "hi", 2, 0), 2);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, -EFAULT);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(datagram_of_no_bytes_ends_a_multishot_recvmsg_with_a_header)
{
	struct rig rig;
	struct weir_recvmsg got;
	int fds[2];
	rig_open(&rig);
	rig_udp_pair(fds);
	struct msghdr message = { .msg_namelen = 16 };
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recvmsg_multishot(sqe, fds[0], &message, RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(send(fds[1], "", 0, 0), 0);
	struct io_uring_cqe cqe = rig_next(&rig, FIRST, false);
	ck_assert_int_eq(cqe.res, 16 + 16);
	ck_assert(weir_recvmsg_read(
		weir_bufring_bytes(&rig.bufring, weir_bufring_id(&cqe)),
		(uint32_t)cqe.res, &message, &got));
	ck_assert_uint_eq(got.payload_bytes, 0);
	ck_assert_uint_eq(got.name_bytes, 16);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(message_shorter_than_its_header_is_refused)
{
	static const uint8_t buffer[64];
	const struct msghdr message = { .msg_namelen = 16,
					.msg_controllen = 8 };
	struct weir_recvmsg got;
	ck_assert(!weir_recvmsg_read(buffer, 0, &message, &got));
	ck_assert(!weir_recvmsg_read(buffer, 39, &message, &got));
	ck_assert(weir_recvmsg_read(buffer, 40, &message, &got));
	ck_assert_uint_eq(got.payload_bytes, 0);
}
END_TEST

/* ---- errors that the asserts prevent ------------------------------------- */

static void waitall_on_multishot(struct io_uring_sqe *sqe, int fd)
{
	weir_op_recv_multishot(sqe, fd, RIG_GROUP);
	sqe->msg_flags = MSG_WAITALL;
}
static void several_parts_for_a_group(struct io_uring_sqe *sqe, int fd)
{
	static struct iovec parts[2];
	static struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	weir_op_recvmsg_multishot(sqe, fd, &form_areas, RIG_GROUP);
	sqe->addr = (uint64_t)(uintptr_t)&message;
}
static void multishot_without_a_group(struct io_uring_sqe *sqe, int fd)
{
	weir_op_recv(sqe, fd, NULL, 0, 0);
	sqe->ioprio = IORING_RECV_MULTISHOT;
}
static void fixed_buffer_on_recv(struct io_uring_sqe *sqe, int fd)
{
	weir_op_recv(sqe, fd, form_bytes, 1, 0);
	sqe->ioprio = IORING_RECVSEND_FIXED_BUF;
}
static void bundle_of_messages(struct io_uring_sqe *sqe, int fd)
{
	weir_op_recvmsg_multishot(sqe, fd, &form_message, RIG_GROUP);
	sqe->ioprio |= IORING_RECVSEND_BUNDLE;
}
static void zero_copy_without_a_card(struct io_uring_sqe *sqe, int fd)
{
	weir_op_recv_zc(sqe, fd, 0, 0);
}
static const struct refused refused[] = {
	{ "a multishot waits for all", waitall_on_multishot, REFUSED_TCP,
	  -EINVAL, NULL },
	{ "a group has several parts", several_parts_for_a_group, REFUSED_TCP,
	  -EINVAL, NULL },
	{ "a multishot has no group", multishot_without_a_group, REFUSED_TCP,
	  -EINVAL, NULL },
	{ "a receive has a registered buffer", fixed_buffer_on_recv,
	  REFUSED_TCP, -EINVAL, NULL },
	{ "a bundle is of messages", bundle_of_messages, REFUSED_TCP, -EINVAL,
	  NULL },
	{ "there is no network card", zero_copy_without_a_card, REFUSED_TCP,
	  -EINVAL, NULL },
};
START_TEST(kernel_refuses_what_the_helpers_do_not_offer)
{
	refused_check(&refused[_i]);
}
END_TEST

START_TEST(skip_on_a_multishot_would_hide_the_end_of_stream)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv_multishot(sqe, fds[0], RIG_GROUP);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	rig_start(&rig, sqe, FIRST);
	wi_write_all(fds[1], "x", 1);
	ck_assert_int_eq(rig_next(&rig, FIRST, true).res, 1);
	ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
	sqe = rig_take(&rig);
	weir_op_poll(sqe, fds[0], 0x2000 /* POLLRDHUP */);
	ck_assert_int_gt(rig_do(&rig, sqe), 0);
	rig_is_quiet(&rig);
	sqe = rig_take(&rig);
	weir_op_cancel_tokens(sqe, FIRST);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(length_of_the_message_caps_the_buffer)
{
	struct rig rig;
	struct weir_recvmsg got;
	struct iovec part = { NULL, 20 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int fds[2];
	rig_open(&rig);
	rig_udp_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recvmsg_multishot(sqe, fds[0], &message, RIG_GROUP);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(send(fds[1], "abcdefgh", 8, 0), 8);
	struct io_uring_cqe cqe = rig_next(&rig, FIRST, true);
	ck_assert_int_eq(cqe.res, 20);
	ck_assert(weir_recvmsg_read(
		weir_bufring_bytes(&rig.bufring, weir_bufring_id(&cqe)),
		(uint32_t)cqe.res, &message, &got));
	ck_assert_uint_eq(got.payload_bytes, 4);
	ck_assert_uint_ne(got.msg_flags & MSG_TRUNC, 0);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

WI_SUITE(op_recv, "op-recv", WI_RUNGS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("receive");
	const int form_count = (int)COUNT_OF(forms);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, message_shorter_than_its_header_is_refused);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_test(tcase, recv_waits_and_brings_bytes_then_the_end);
	tcase_add_test(tcase,
		       recv_with_waitall_waits_for_the_last_byte_or_the_end);
	tcase_add_test(tcase,
		       recv_with_waitall_that_is_cancelled_gives_what_it_has);
	tcase_add_test(tcase, recv_with_dontwait_says_eagain);
	tcase_add_test(tcase, nonblocking_socket_is_waited_on_all_the_same);
	tcase_add_test(tcase, recv_peeks_and_then_reads_the_same);
	tcase_add_loop_test(tcase, receive_on_what_is_no_connection_says_why, 0,
			    form_count);
	tcase_add_loop_test(
		tcase,
		receive_ends_with_zero_at_the_end_of_stream_and_uses_no_buffer,
		0, form_count);
	tcase_add_loop_test(
		tcase, receive_ends_with_zero_when_our_own_side_is_shut_down, 0,
		form_count);
	tcase_add_loop_test(tcase,
			    receive_ends_with_econnreset_and_uses_no_buffer, 0,
			    form_count);
	tcase_add_loop_test(tcase, receive_that_is_cancelled_says_ecanceled, 0,
			    form_count);
	tcase_add_loop_test(tcase,
			    receive_into_an_unknown_group_says_so_at_once,
			    FIRST_GROUP_FORM, form_count);
	tcase_add_loop_test(
		tcase,
		receive_into_an_empty_group_says_enobufs_and_loses_nothing,
		FIRST_GROUP_FORM, form_count);
	tcase_add_loop_test(
		tcase, receive_that_polls_first_may_be_armed_on_an_empty_group,
		FIRST_GROUP_FORM, form_count);
	tcase_add_test(
		tcase,
		multishot_ends_with_enobufs_and_goes_on_when_armed_again);
	tcase_add_test(tcase, full_completion_queue_ends_a_multishot_receive);
	tcase_add_test(tcase, datagram_of_no_bytes_ends_a_multishot_receive);
	tcase_add_test(tcase, datagram_that_is_too_long_is_cut_without_a_word);
	tcase_add_loop_test(tcase, multishot_keeps_to_its_limits, 0,
			    COUNT_OF(caps));
	tcase_add_test(tcase, end_of_stream_is_marked_nonempty_too);
	tcase_add_loop_test(tcase,
			    bundle_on_a_worker_goes_over_what_another_has_taken,
			    0, COUNT_OF(punts));
	tcase_add_test(tcase, bundle_goes_over_as_many_buffers_as_it_takes);
	tcase_add_test(tcase,
		       bundle_leaves_what_fills_no_buffer_for_the_next_time);
	tcase_add_test(tcase,
		       bundle_follows_the_order_of_the_ring_not_of_the_ids);
	tcase_add_test(
		tcase,
		multishot_bundle_ends_with_the_last_buffer_and_no_enobufs);
	tcase_add_test(tcase, recvmsg_writes_the_name_and_the_flags_back);
	tcase_add_loop_test(tcase, message_in_a_buffer_is_read_as_it_was_sent,
			    0, COUNT_OF(messages));
	tcase_add_test(tcase, control_data_follows_the_room_for_the_name);
	tcase_add_test(tcase,
		       buffer_without_room_for_header_and_areas_says_efault);
	tcase_add_test(
		tcase,
		datagram_of_no_bytes_ends_a_multishot_recvmsg_with_a_header);
	tcase_add_loop_test(tcase, kernel_refuses_what_the_helpers_do_not_offer,
			    0, COUNT_OF(refused));
	tcase_add_test(tcase, skip_on_a_multishot_would_hide_the_end_of_stream);
	tcase_add_test(tcase, length_of_the_message_caps_the_buffer);
}
