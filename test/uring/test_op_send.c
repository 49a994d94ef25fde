/* test_op_send.c - sends in all forms, against the real kernel */
#include "../rig/op_rig.h"
#include "../rig/refused.h"
#include "../suites.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/uio.h>

enum { BIG = 4 << 20 };

static char text_bytes[] = "hello, world";
static struct iovec text_parts[2] = { { text_bytes, 5 },
				      { text_bytes + 5, 7 } };
static struct msghdr text_message = { .msg_iov = text_parts, .msg_iovlen = 2 };
enum { TEXT = 12 };

static void fill_send(struct io_uring_sqe *sqe, int fd)
{
	weir_op_send(sqe, fd, text_bytes, TEXT, MSG_WAITALL);
}
static void fill_sendmsg(struct io_uring_sqe *sqe, int fd)
{
	weir_op_sendmsg(sqe, fd, &text_message, MSG_WAITALL);
}
static void fill_sendv(struct io_uring_sqe *sqe, int fd)
{
	weir_op_sendv(sqe, fd, text_parts, 2, MSG_WAITALL);
}
static void fill_group(struct io_uring_sqe *sqe, int fd)
{
	weir_op_send_group(sqe, fd, RIG_GROUP, TEXT, MSG_WAITALL);
}
static void fill_bundle(struct io_uring_sqe *sqe, int fd)
{
	weir_op_send_bundle(sqe, fd, RIG_GROUP);
}
static void fill_zc(struct io_uring_sqe *sqe, int fd)
{
	weir_op_send_zc(sqe, fd, text_bytes, TEXT, MSG_WAITALL);
}
static void fill_zc_poll_first(struct io_uring_sqe *sqe, int fd)
{
	weir_op_send_zc(sqe, fd, text_bytes, TEXT, 0);
	weir_op_poll_first(sqe);
	weir_op_msg_flags(sqe, MSG_WAITALL);
}
static void fill_msg_zc(struct io_uring_sqe *sqe, int fd)
{
	weir_op_sendmsg_zc(sqe, fd, &text_message, MSG_WAITALL);
}
static void fill_v_zc(struct io_uring_sqe *sqe, int fd)
{
	weir_op_sendv_zc(sqe, fd, text_parts, 2, MSG_WAITALL);
}

static const struct {
	const char *name;
	void (*fill)(struct io_uring_sqe *sqe, int fd);
	bool is_zero_copy;
} forms[] = {
	{ "send", fill_send, false },
	{ "sendmsg", fill_sendmsg, false },
	{ "sendv", fill_sendv, false },
	{ "group", fill_group, false },
	{ "bundle", fill_bundle, false },
	{ "send_zc", fill_zc, true },
	{ "sendmsg_zc", fill_msg_zc, true },
	{ "sendv_zc", fill_v_zc, true },
	{ "send_zc, poll first", fill_zc_poll_first, true },
};
enum { PLAIN_FORMS = 5 };

/* Lends @ids again, in this order, with @byte_count bytes each. The last of
 * them is the group's last. */
static void lend(struct rig *rig, const char *ids, uint32_t byte_count)
{
	for (; *ids != '\0'; ids++) {
		uint16_t id = (uint16_t)(*ids - '0');
		memset(weir_bufring_bytes(&rig->bufring, id), *ids, byte_count);
		weir_bufring_take_back(&rig->bufring, id);
		struct io_uring_buf *entry =
			&rig->bufring
				 .entries[(uint16_t)(rig->bufring.tail - 1) &
					  (RIG_BUFS - 1)];
		entry->len = byte_count;
	}
	weir_bufring_publish(&rig->bufring);
}

/* Lends the buffers that this form needs. */
static void lend_for_form(struct rig *rig, int form)
{
	if (forms[form].fill == fill_bundle) {
		if (rig->bufring.tail == RIG_BUFS)
			rig_drain_group(rig);
		lend(rig, "0", TEXT);
	}
	memcpy(weir_bufring_bytes(&rig->bufring, 0), text_bytes, TEXT);
}

static struct io_uring_sqe *take_form(struct rig *rig, int form, int fd)
{
	lend_for_form(rig, form);
	struct io_uring_sqe *sqe = rig_take(rig);
	forms[form].fill(sqe, fd);
	return sqe;
}

/* Waits for the result of the send in flight, and for its notice if one will
 * come. */
static int32_t finish(struct rig *rig)
{
	struct io_uring_cqe cqe = wi_ring_next(&rig->ring);
	ck_assert_uint_eq(cqe.flags & IORING_CQE_F_NOTIF, 0);
	if ((cqe.flags & IORING_CQE_F_MORE) != 0) {
		struct io_uring_cqe notice =
			rig_next(rig, cqe.user_data, false);
		ck_assert_uint_ne(notice.flags & IORING_CQE_F_NOTIF, 0);
	}
	return cqe.res;
}

static int32_t do_form(struct rig *rig, int form, int fd)
{
	rig_start(rig, take_form(rig, form, fd), FIRST);
	return finish(rig);
}

/* ---- common to all forms ------------------------------------------------- */

START_TEST(send_delivers_what_it_was_given)
{
	struct rig rig;
	int fds[2];
	char bytes[TEXT];
	rig_open(&rig);
	wi_tcp_pair(fds);
	int32_t res = do_form(&rig, _i, fds[0]);
	wi_skip_unless(res != -EINVAL && res != -EOPNOTSUPP,
		       "this form is newer than the kernel");
	ck_assert_msg(res == TEXT, "%s: %d", forms[_i].name, res);
	wi_read_all(fds[1], bytes, TEXT);
	ck_assert_mem_eq(bytes, text_bytes, TEXT);
	rig_is_quiet(&rig);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

static int form_lent; /* of lend_now() */

static void lend_now(struct rig *rig)
{
	lend_for_form(rig, form_lent);
}

START_TEST(send_on_what_is_no_connection_says_why)
{
	static const struct {
		enum refused_object object;
		int want;
	} cases[] = {
		{ REFUSED_NOTHING, -EBADF },
		{ REFUSED_FILE, -ENOTSOCK },
		{ REFUSED_DATAGRAMS, -EDESTADDRREQ },
	};
	form_lent = _i;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct refused refused = {
			forms[_i].name, forms[_i].fill, cases[i].object,
			cases[i].want,  lend_now,
		};
		refused_check(&refused);
	}
}
END_TEST

START_TEST(send_after_shutdown_says_epipe_without_a_signal)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	ck_assert_int_eq(shutdown(fds[0], SHUT_WR), 0);
	ck_assert_int_eq(do_form(&rig, _i, fds[0]), -EPIPE);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(send_to_a_peer_that_reset_says_econnreset)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	wi_reset_on_close(fds[1]);
	ck_assert_int_eq(close(fds[1]), 0);
	int32_t events;
	do { /* first the error, then the end */
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_poll(sqe, fds[0], POLLHUP);
		events = rig_do(&rig, sqe);
		ck_assert_int_gt(events, 0);
	} while ((events & POLLHUP) == 0);
	ck_assert_int_eq(do_form(&rig, _i, fds[0]), -ECONNRESET);
	ck_assert_int_eq(close(fds[0]), 0);
	rig_close(&rig);
}
END_TEST

/* Fills the buffers to fds[1], until no further byte fits. */
static void fill_up(int fd)
{
	static char bytes[64 * 1024];
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	ck_assert_int_eq(errno, EAGAIN);
}

START_TEST(send_that_waits_for_room_is_cancelled_with_ecanceled)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	fill_up(fds[0]);
	rig_start(&rig, take_form(&rig, _i, fds[0]), FIRST);
	rig_is_quiet(&rig);
	ck_assert_int_eq(rig_cancel(&rig, FIRST), -ECANCELED);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(send_with_dontwait_on_a_full_socket_says_eagain)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	fill_up(fds[0]);
	struct io_uring_sqe *sqe = take_form(&rig, _i, fds[0]);
	weir_op_msg_flags(sqe, MSG_DONTWAIT);
	ck_assert_int_eq(rig_do(&rig, sqe), -EAGAIN);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(shutdown_ends_a_half_done_send_with_what_it_had_sent)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	rig_small_buffers(fds[0], fds[1]);
	char *bytes = calloc(1, BIG);
	ck_assert_ptr_nonnull(bytes);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_send(sqe, fds[0], bytes, BIG, MSG_WAITALL);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(shutdown(fds[0], SHUT_RDWR), 0);
	int32_t res = rig_next(&rig, FIRST, false).res;
	ck_assert_int_gt(res, 0);
	ck_assert_int_lt(res, BIG);
	free(bytes);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(linked_timeout_ends_a_half_done_send_with_what_it_had_sent)
{
	const struct weir_kernel_timespec soon = { .tv_nsec = 1000000 };
	struct rig rig;
	int fds[2];
	struct io_uring_cqe cqes[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	char *bytes = calloc(1, BIG);
	ck_assert_ptr_nonnull(bytes);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_send(sqe, fds[0], bytes, BIG, MSG_WAITALL);
	weir_op_link(sqe);
	sqe->user_data = FIRST;
	sqe = rig_take(&rig);
	weir_op_link_timeout(sqe, &soon, 0);
	sqe->user_data = SECOND;
	wi_ring_collect(&rig.ring, cqes, 2);
	int32_t res = rig_pick(cqes, 2, FIRST).res;
	ck_assert_int_gt(res, 0);
	ck_assert_int_lt(res, BIG);
	ck_assert_int_eq(rig_pick(cqes, 2, SECOND).res, -ETIME);
	free(bytes);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

static const struct {
	const char *when;
	uint32_t msg_flags;
	bool breaks;
} chains[] = {
	{ "a send is short with MSG_WAITALL", MSG_WAITALL | MSG_DONTWAIT,
	  true },
	{ "a send is short without", MSG_DONTWAIT, false },
};
START_TEST(short_send_breaks_a_chain_only_with_waitall)
{
	struct rig rig;
	int fds[2];
	struct io_uring_cqe cqes[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	char *bytes = calloc(1, BIG);
	ck_assert_ptr_nonnull(bytes);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_send(sqe, fds[0], bytes, BIG, chains[_i].msg_flags);
	weir_op_link(sqe);
	sqe->user_data = FIRST;
	sqe = rig_take(&rig);
	weir_op_nop(sqe);
	sqe->user_data = SECOND;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_gt(rig_pick(cqes, 2, FIRST).res, 0);
	ck_assert_int_lt(rig_pick(cqes, 2, FIRST).res, BIG);
	ck_assert_msg(rig_pick(cqes, 2, SECOND).res ==
			      (chains[_i].breaks ? -ECANCELED : 0),
		      "when %s", chains[_i].when);
	free(bytes);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(skip_hides_a_success_and_shows_a_failure)
{
	struct rig rig;
	int fds[2];
	char bytes[TEXT];
	rig_open(&rig);
	wi_tcp_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	fill_send(sqe, fds[0]);
	weir_op_skip_success(sqe);
	rig_start(&rig, sqe, FIRST);
	wi_read_all(fds[1], bytes, TEXT);
	rig_is_quiet(&rig);
	ck_assert_int_eq(shutdown(fds[0], SHUT_WR), 0);
	sqe = rig_take(&rig);
	fill_send(sqe, fds[0]);
	weir_op_skip_success(sqe);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, -EPIPE);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

/* ---- vectors and addresses ----------------------------------------------- */

START_TEST(vector_is_copied_at_submission)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	char *bytes = calloc(1, BIG);
	char *seen = malloc(BIG);
	ck_assert(bytes != NULL && seen != NULL);
	memset(bytes + BIG / 2, 'b', BIG / 2);
	struct iovec parts[2] = { { bytes, BIG / 2 },
				  { bytes + BIG / 2, BIG / 2 } };
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_sendv(sqe, fds[0], parts, 2, MSG_WAITALL);
	rig_start(&rig, sqe, FIRST);
	if (weir_ring_ready(&rig.ring) != 0) {
		ck_assert_int_eq(rig_next(&rig, FIRST, false).res, -EINVAL);
		wi_skip_unless(false, "no vectors before Linux 6.17");
	}
	memset(parts, 0xff, sizeof(parts));
	size_t done = 0;
	while (done < BIG) {
		ssize_t count =
			recv(fds[1], seen + done, BIG - done, MSG_DONTWAIT);
		if (count > 0)
			done += (size_t)count;
		ck_assert_int_eq(weir_ring_enter(&rig.ring, NULL), 0);
	}
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, BIG);
	ck_assert_mem_eq(seen, bytes, BIG);
	free(bytes);
	free(seen);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(datagram_goes_to_the_address_given)
{
	struct rig rig;
	struct sockaddr_in address = rig_loopback();
	socklen_t address_bytes = sizeof(address);
	char bytes[TEXT];
	rig_open(&rig);
	int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(
		bind(receiver, (struct sockaddr *)&address, sizeof(address)),
		0);
	ck_assert_int_eq(getsockname(receiver, (struct sockaddr *)&address,
				     &address_bytes),
			 0);
	struct sockaddr_in to = address;
	struct io_uring_sqe *sqe = rig_take(&rig);
	if (_i == 0) {
		weir_op_sendto(sqe, sender, text_bytes, TEXT, 0,
			       (struct sockaddr *)&to, sizeof(to));
	} else if (_i == 1) {
		weir_op_send_zc(sqe, sender, text_bytes, TEXT, 0);
		weir_op_to(sqe, (struct sockaddr *)&to, sizeof(to));
	} else {
		text_message.msg_name = &to;
		text_message.msg_namelen = sizeof(to);
		weir_op_sendmsg(sqe, sender, &text_message, 0);
	}
	rig_start(&rig, sqe, FIRST);
	memset(&to, 0xff, sizeof(to)); /* no longer needed */
	ck_assert_int_eq(finish(&rig), TEXT);
	ck_assert_int_eq(recv(receiver, bytes, TEXT, 0), TEXT);
	ck_assert_mem_eq(bytes, text_bytes, TEXT);
	ck_assert_int_eq(close(sender), 0);
	ck_assert_int_eq(close(receiver), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(message_of_too_many_parts_says_emsgsize)
{
	static char byte;
	static struct iovec parts[WEIR_OP_PARTS_MAX + 1];
	struct rig rig;
	int fds[2];
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		parts[i] = (struct iovec){ &byte, 1 };
	rig_open(&rig);
	wi_tcp_pair(fds);
	for (int more = 0; more <= 1; more++) {
		const struct msghdr message = {
			.msg_iov = parts,
			.msg_iovlen = (size_t)(WEIR_OP_PARTS_MAX + more),
		};
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_sendmsg(sqe, fds[0], &message, 0);
		ck_assert_int_eq(rig_do(&rig, sqe),
				 more ? -EMSGSIZE : WEIR_OP_PARTS_MAX);
	}
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(datagram_that_is_too_long_says_emsgsize)
{
	enum { TOO_LONG = 66000 };
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_udp_pair(fds);
	char *bytes = calloc(1, TOO_LONG);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_send(sqe, fds[0], bytes, TOO_LONG, 0);
	ck_assert_int_eq(rig_do(&rig, sqe), -EMSGSIZE);
	free(bytes);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

/* ---- buffers of a group -------------------------------------------------- */

START_TEST(sends_take_buffers_in_the_order_they_were_lent)
{
	struct rig rig;
	int fds[2];
	char bytes[12];
	rig_open(&rig);
	wi_tcp_pair(fds);
	rig_drain_group(&rig);
	lend(&rig, "502", 4);
	static const uint16_t order[] = { 5, 0, 2 };
	for (size_t i = 0; i < COUNT_OF(order); i++) {
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_send_group(sqe, fds[0], RIG_GROUP, 0, MSG_WAITALL);
		struct io_uring_cqe cqe = rig_cqe(&rig, sqe);
		wi_skip_unless(cqe.res != -EOPNOTSUPP && cqe.res != -EINVAL,
			       "no buffers for sends before Linux 6.10");
		ck_assert_int_eq(cqe.res, 4);
		ck_assert_uint_eq(weir_bufring_id(&cqe), order[i]);
	}
	wi_read_all(fds[1], bytes, 12);
	ck_assert_mem_eq(bytes, "555500002222", 12);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(bundle_sends_all_that_was_lent)
{
	struct rig rig;
	int fds[2];
	char bytes[16];
	rig_open(&rig);
	rig_need_bundles(&rig);
	wi_tcp_pair(fds);
	rig_drain_group(&rig);
	lend(&rig, "7135", 4);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_send_bundle(sqe, fds[0], RIG_GROUP);
	struct io_uring_cqe cqe = rig_cqe(&rig, sqe);
	ck_assert_int_eq(cqe.res, 16);
	ck_assert_uint_eq(weir_bufring_id(&cqe), 7);
	wi_read_all(fds[1], bytes, 16);
	ck_assert_mem_eq(bytes, "7777111133335555", 16);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(length_does_not_cap_a_bundle)
{
	struct rig rig;
	int fds[2];
	char bytes[10];
	rig_open(&rig);
	rig_need_bundles(&rig);
	wi_tcp_pair(fds);
	rig_drain_group(&rig);
	lend(&rig, "123", 4);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_send_bundle(sqe, fds[0], RIG_GROUP);
	sqe->len = 2; /* the reason why the helper has no such argument */
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(rig_next(&rig, FIRST, true).res, 2);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, 8);
	wi_read_all(fds[1], bytes, 10);
	ck_assert_mem_eq(bytes, "1122223333", 10);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

static void send_empty_group(struct io_uring_sqe *sqe, int fd)
{
	weir_op_send_group(sqe, fd, RIG_GROUP, 0, 0);
}
static void send_unknown_group(struct io_uring_sqe *sqe, int fd)
{
	weir_op_send_group(sqe, fd, RIG_NO_GROUP, 0, 0);
}
static void bundle_of_an_empty_group(struct io_uring_sqe *sqe, int fd)
{
	weir_op_send_bundle(sqe, fd, RIG_GROUP);
}
static void bundle_of_an_unknown_group(struct io_uring_sqe *sqe, int fd)
{
	weir_op_send_bundle(sqe, fd, RIG_NO_GROUP);
}
static const struct refused groups[] = {
	{ "the group is empty", send_empty_group, REFUSED_TCP, -ENOBUFS,
	  rig_drain_group },
	{ "there is no such group", send_unknown_group, REFUSED_TCP, -ENOENT,
	  rig_drain_group },
	{ "the group of a bundle is empty", bundle_of_an_empty_group,
	  REFUSED_TCP, -ENOBUFS, rig_drain_group },
	{ "there is no such group of a bundle", bundle_of_an_unknown_group,
	  REFUSED_TCP, -ENOENT, rig_drain_group },
};
START_TEST(send_from_an_empty_or_unknown_group_is_refused)
{
	struct rig rig;
	rig_open(&rig);
	const uint32_t features = weir_ring_features(&rig.ring);
	rig_close(&rig);
	wi_skip_unless((features & IORING_FEAT_RECVSEND_BUNDLE) != 0,
		       "no buffers for sends before Linux 6.10");
	refused_check(&groups[_i]);
}
END_TEST

/* ---- zero copy ----------------------------------------------------------- */

START_TEST(notice_comes_after_the_result_and_is_the_last)
{
	struct rig rig;
	int fds[2];
	char bytes[TEXT];
	rig_open(&rig);
	wi_tcp_pair(fds);
	struct io_uring_sqe *sqe = take_form(&rig, PLAIN_FORMS + _i, fds[0]);
	weir_op_report_usage(sqe);
	rig_start(&rig, sqe, FIRST);
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	wi_skip_unless(cqe.res != -EINVAL, "newer than this kernel");
	ck_assert_int_eq(cqe.res, TEXT);
	ck_assert_uint_ne(cqe.flags & IORING_CQE_F_MORE, 0);
	wi_read_all(fds[1], bytes, TEXT);
	cqe = rig_next(&rig, FIRST, false);
	ck_assert_uint_ne(cqe.flags & IORING_CQE_F_NOTIF, 0);
	/* Loopback copies, and reports it. */
	ck_assert_uint_eq((uint32_t)cqe.res, IORING_NOTIF_USAGE_ZC_COPIED);
	rig_is_quiet(&rig);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(failed_zero_copy_send_is_over_only_with_its_notice)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	wi_tcp_pair(fds);
	ck_assert_int_eq(shutdown(fds[0], SHUT_WR), 0);
	rig_start(&rig, take_form(&rig, PLAIN_FORMS + _i, fds[0]), FIRST);
	ck_assert_int_eq(rig_next(&rig, FIRST, true).res, -EPIPE);
	struct io_uring_cqe notice = rig_next(&rig, FIRST, false);
	ck_assert_uint_ne(notice.flags & IORING_CQE_F_NOTIF, 0);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(zero_copy_send_of_a_local_socket_is_not_supported)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	ck_assert_int_eq(do_form(&rig, PLAIN_FORMS + _i, fds[0]), -EOPNOTSUPP);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(zero_copy_send_takes_a_registered_buffer)
{
	struct rig rig;
	int fds[2];
	char bytes[TEXT];
	struct iovec whole = { text_bytes, TEXT };
	rig_open(&rig);
	wi_tcp_pair(fds);
	ck_assert_int_eq(weir_ring_register(&rig.ring, IORING_REGISTER_BUFFERS,
					    &whole, 1),
			 0);
	struct io_uring_sqe *sqe = take_form(&rig, PLAIN_FORMS + _i, fds[0]);
	weir_op_fixed_buffer(sqe, 0);
	rig_start(&rig, sqe, FIRST);
	int32_t res = finish(&rig);
	wi_skip_unless(res != -EINVAL, "newer than this kernel");
	ck_assert_int_eq(res, TEXT);
	wi_read_all(fds[1], bytes, TEXT);
	ck_assert_mem_eq(bytes, text_bytes, TEXT);

	/* No such buffer. */
	sqe = take_form(&rig, PLAIN_FORMS + _i, fds[0]);
	weir_op_fixed_buffer(sqe, 1);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(finish(&rig), -EFAULT);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(memory_outside_the_registered_buffer_says_efault)
{
	struct rig rig;
	int fds[2];
	struct iovec half = { text_bytes, TEXT / 2 };
	rig_open(&rig);
	wi_tcp_pair(fds);
	ck_assert_int_eq(weir_ring_register(&rig.ring, IORING_REGISTER_BUFFERS,
					    &half, 1),
			 0);
	struct io_uring_sqe *sqe = rig_take(&rig);
	fill_zc(sqe, fds[0]);
	weir_op_fixed_buffer(sqe, 0);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(finish(&rig), -EFAULT);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

/* ---- errors that the asserts prevent ------------------------------------- */

static void fixed_buffer_on_send(struct io_uring_sqe *sqe, int fd)
{
	fill_send(sqe, fd);
	sqe->ioprio = IORING_RECVSEND_FIXED_BUF;
}
static void report_on_send(struct io_uring_sqe *sqe, int fd)
{
	fill_send(sqe, fd);
	sqe->ioprio = IORING_SEND_ZC_REPORT_USAGE;
}
static void bundle_of_messages(struct io_uring_sqe *sqe, int fd)
{
	fill_sendmsg(sqe, fd);
	sqe->ioprio = IORING_RECVSEND_BUNDLE;
}
static void skip_on_zero_copy(struct io_uring_sqe *sqe, int fd)
{
	fill_zc(sqe, fd);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}
static void bundle_of_zero_copy(struct io_uring_sqe *sqe, int fd)
{
	fill_zc(sqe, fd);
	sqe->ioprio = IORING_RECVSEND_BUNDLE;
}
static void fixed_buffer_on_vector(struct io_uring_sqe *sqe, int fd)
{
	fill_v_zc(sqe, fd);
	sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
}
static const struct refused refused[] = {
	{ "a send has a registered buffer", fixed_buffer_on_send, REFUSED_TCP,
	  -EINVAL, NULL },
	{ "a send is to report", report_on_send, REFUSED_TCP, -EINVAL, NULL },
	{ "a bundle is of messages", bundle_of_messages, REFUSED_TCP, -EINVAL,
	  NULL },
	{ "a success without a copy is hidden", skip_on_zero_copy, REFUSED_TCP,
	  -EINVAL, NULL },
	{ "a bundle is sent without a copy", bundle_of_zero_copy, REFUSED_TCP,
	  -EINVAL, NULL },
	{ "a vector has a registered buffer", fixed_buffer_on_vector,
	  REFUSED_TCP, -EINVAL, NULL },
};
START_TEST(kernel_refuses_what_the_helpers_do_not_offer)
{
	refused_check(&refused[_i]);
}
END_TEST

WI_SUITE(op_send, "op-send", WI_RUNGS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("send");
	const int form_count = (int)COUNT_OF(forms);
	const int zero_copy_count = form_count - PLAIN_FORMS;
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase, send_delivers_what_it_was_given, 0,
			    form_count);
	tcase_add_loop_test(tcase, send_on_what_is_no_connection_says_why, 0,
			    form_count);
	tcase_add_loop_test(tcase,
			    send_after_shutdown_says_epipe_without_a_signal, 0,
			    form_count);
	tcase_add_loop_test(tcase, send_to_a_peer_that_reset_says_econnreset, 0,
			    form_count);
	tcase_add_loop_test(
		tcase, send_that_waits_for_room_is_cancelled_with_ecanceled, 0,
		PLAIN_FORMS);
	tcase_add_loop_test(tcase,
			    send_with_dontwait_on_a_full_socket_says_eagain, 0,
			    PLAIN_FORMS);
	tcase_add_test(tcase,
		       shutdown_ends_a_half_done_send_with_what_it_had_sent);
	tcase_add_test(
		tcase,
		linked_timeout_ends_a_half_done_send_with_what_it_had_sent);
	tcase_add_loop_test(tcase, short_send_breaks_a_chain_only_with_waitall,
			    0, COUNT_OF(chains));
	tcase_add_test(tcase, skip_hides_a_success_and_shows_a_failure);
	tcase_add_test(tcase, vector_is_copied_at_submission);
	tcase_add_loop_test(tcase, datagram_goes_to_the_address_given, 0, 3);
	tcase_add_test(tcase, message_of_too_many_parts_says_emsgsize);
	tcase_add_test(tcase, datagram_that_is_too_long_says_emsgsize);
	tcase_add_test(tcase, sends_take_buffers_in_the_order_they_were_lent);
	tcase_add_test(tcase, bundle_sends_all_that_was_lent);
	tcase_add_test(tcase, length_does_not_cap_a_bundle);
	tcase_add_loop_test(tcase,
			    send_from_an_empty_or_unknown_group_is_refused, 0,
			    COUNT_OF(groups));
	tcase_add_loop_test(tcase,
			    notice_comes_after_the_result_and_is_the_last, 0,
			    zero_copy_count);
	tcase_add_loop_test(tcase,
			    failed_zero_copy_send_is_over_only_with_its_notice,
			    0, zero_copy_count);
	tcase_add_loop_test(tcase,
			    zero_copy_send_of_a_local_socket_is_not_supported,
			    0, zero_copy_count);
	tcase_add_loop_test(tcase, zero_copy_send_takes_a_registered_buffer, 0,
			    2);
	tcase_add_test(tcase, memory_outside_the_registered_buffer_says_efault);
	tcase_add_loop_test(tcase, kernel_refuses_what_the_helpers_do_not_offer,
			    0, COUNT_OF(refused));
}
