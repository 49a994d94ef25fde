/* test_zerocopy.c - memory comes back after the last completion, not before
 *
 * Loopback always copies, so every report must say "copied".
 */
#include "../rig/aborts.h"
#include "../rig/count_of.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/extra/buftab.h"
#include "uring/extra/zerocopy.h"
#include "uring/filetab.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES = 40000, TOKEN = 5 };

struct rig {
	struct weir_ring ring;
	struct weir_zerocopy zerocopy;
	struct weir_zerocopy_send send;
	uint8_t *bytes; /* BYTES of them */
	int reader;
	int writer;
	uint32_t releases;
	struct weir_zerocopy_send *released;
};

static void rig_on_release(void *ctx, struct weir_zerocopy_send *send)
{
	struct rig *rig = ctx;
	ck_assert_int_eq(send->state, WEIR_ZEROCOPY_FREE);
	rig->releases++;
	rig->released = send;
}

static void rig_open(struct rig *rig, struct weir_zerocopy_opts opts)
{
	int fds[2];
	*rig = (struct rig){ .bytes = malloc(BYTES) };
	ck_assert_ptr_nonnull(rig->bytes);
	for (int i = 0; i < BYTES; i++)
		rig->bytes[i] = (uint8_t)(i * 7 + (i >> 8));
	wi_ring_start(&rig->ring, NULL);
	opts.release = rig_on_release;
	opts.ctx = rig;
	weir_zerocopy_init(&rig->zerocopy, &opts);
	wi_tcp_pair(fds);
	rig->reader = fds[0];
	rig->writer = fds[1];
}

static void rig_close(struct rig *rig)
{
	ck_assert_uint_eq(rig->zerocopy.lent_bytes, 0);
	ck_assert_uint_eq(rig->zerocopy.stats.releases,
			  rig->zerocopy.stats.sends);
	if (rig->reader >= 0)
		ck_assert_int_eq(close(rig->reader), 0);
	ck_assert_int_eq(close(rig->writer), 0);
	weir_ring_close(&rig->ring);
	free(rig->bytes);
}

static struct weir_zerocopy_request rig_request(const struct rig *rig,
						uint32_t byte_count)
{
	return (struct weir_zerocopy_request){
		.fd = rig->writer,
		.bytes = rig->bytes,
		.byte_count = byte_count,
		.msg_flags = MSG_WAITALL,
		.user_data = TOKEN,
	};
}

static int rig_start(struct rig *rig,
		     const struct weir_zerocopy_request *request)
{
	return weir_zerocopy_start(&rig->zerocopy, &rig->ring, &rig->send,
				   request);
}

/* Reaps until the only send is free. Returns the number of completions. */
static uint32_t rig_finish(struct rig *rig)
{
	uint32_t count = 0;
	unsigned told = 0;
	while ((told & WEIR_ZEROCOPY_IS_RELEASED) == 0) {
		struct io_uring_cqe cqe = wi_ring_next(&rig->ring);
		ck_assert_uint_eq(cqe.user_data, TOKEN);
		ck_assert_uint_eq(rig->releases, 0);
		told = weir_zerocopy_complete(&rig->zerocopy, &rig->send, &cqe);
		ck_assert_int_eq((told & WEIR_ZEROCOPY_HAS_RESULT) != 0,
				 count == 0);
		count++;
	}
	ck_assert_int_eq(rig->send.state, WEIR_ZEROCOPY_FREE);
	ck_assert_uint_eq(rig->releases, 1);
	ck_assert_ptr_eq(rig->released, &rig->send);
	return count;
}

static void rig_read(const struct rig *rig, uint32_t byte_count)
{
	uint8_t *bytes = malloc(byte_count);
	ck_assert_ptr_nonnull(bytes);
	wi_read_all(rig->reader, bytes, byte_count);
	ck_assert_mem_eq(bytes, rig->bytes, byte_count);
	free(bytes);
}

/* ---- the forms ----------------------------------------------------------- */

static const struct {
	const char *when;
	bool is_slot;
	bool is_registered;
	bool is_message;
	bool no_usage_report;
	uint32_t byte_count;
} forms[] = {
	{ "it is one byte", false, false, false, false, 1 },
	{ "it is plain", false, false, false, false, BYTES },
	{ "it goes to a slot", true, false, false, false, BYTES },
	{ "the memory is registered", false, true, false, false, BYTES },
	{ "it is gathered", false, false, true, false, BYTES },
	{ "it is gathered from registered memory", false, true, true, false,
	  BYTES },
	{ "nothing is reported", false, false, false, true, BYTES },
	{ "all at once", true, true, true, false, BYTES },
};
START_TEST(bytes_arrive_and_memory_comes_back_in_every_form)
{
	struct rig rig;
	rig_open(&rig, (struct weir_zerocopy_opts){
			       .no_usage_report = forms[_i].no_usage_report });
	struct weir_zerocopy_request request =
		rig_request(&rig, forms[_i].byte_count);
	struct iovec iov[2] = {
		{ .iov_base = rig.bytes, .iov_len = 1000 },
		{ .iov_base = rig.bytes + 1000, .iov_len = BYTES - 1000 },
	};
	struct iovec whole = { .iov_base = rig.bytes, .iov_len = BYTES };
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };
	if (forms[_i].is_slot) {
		ck_assert_int_eq(weir_filetab_open(&rig.ring, 4, NULL), 0);
		ck_assert_int_eq(
			weir_filetab_update(&rig.ring, 3, &rig.writer, 1), 1);
		request.fd = 3;
		request.is_slot = true;
	}
	if (forms[_i].is_registered) {
		ck_assert_int_eq(weir_buftab_open(&rig.ring, 4, NULL), 0);
		int count = weir_buftab_update(&rig.ring, 2, &whole, NULL, 1);
		wi_skip_unless(count != -ENOMEM, "no memory may be locked");
		ck_assert_int_eq(count, 1);
		request.is_registered = true;
		request.buf_index = 2;
	}
	if (forms[_i].is_message)
		request.message = &message;
	ck_assert_int_eq(rig_start(&rig, &request), 0);
	ck_assert_int_eq(rig.send.state, WEIR_ZEROCOPY_SENDING);
	ck_assert_uint_eq(rig.zerocopy.lent_bytes, forms[_i].byte_count);
	uint32_t count = rig_finish(&rig);
	wi_skip_unless(!(rig.send.result == -EINVAL && forms[_i].is_message &&
			 forms[_i].is_registered),
		       "this kernel gathers from no registered memory");
	ck_assert_msg(rig.send.result == (int)forms[_i].byte_count,
		      "when %s: %d", forms[_i].when, rig.send.result);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(rig.send.was_copied, !forms[_i].no_usage_report);
	ck_assert_uint_eq(rig.zerocopy.stats.copies,
			  !forms[_i].no_usage_report);
	ck_assert_uint_eq(rig.zerocopy.stats.sent_bytes, forms[_i].byte_count);
	rig_read(&rig, forms[_i].byte_count);
	rig_close(&rig);
}
END_TEST

/* ---- errors -------------------------------------------------------------- */

enum spoil {
	SPOIL_NOTHING,
	SPOIL_BAD_FD,
	SPOIL_BAD_ADDRESS,
	SPOIL_UNIX_SOCKET,
	SPOIL_SHUT_DOWN,
	SPOIL_EMPTY_SLOT,
	SPOIL_EMPTY_BUFFER,
	SPOIL_OUTSIDE_BUFFER,
};
static const struct {
	const char *when;
	enum spoil spoil;
	int want;
} errors[] = {
	{ "the descriptor is closed", SPOIL_BAD_FD, -EBADF },
	{ "the memory is not mapped", SPOIL_BAD_ADDRESS, -EFAULT },
	{ "the socket is a local one", SPOIL_UNIX_SOCKET, -EOPNOTSUPP },
	{ "the socket is shut down", SPOIL_SHUT_DOWN, -EPIPE },
	{ "the slot is empty", SPOIL_EMPTY_SLOT, -EBADF },
	{ "the registered buffer is empty", SPOIL_EMPTY_BUFFER, -EFAULT },
	{ "the memory is outside of the registered buffer",
	  SPOIL_OUTSIDE_BUFFER, -EFAULT },
};
START_TEST(failed_send_gives_its_memory_back_once)
{
	struct rig rig;
	int local[2] = { -1, -1 };
	rig_open(&rig, (struct weir_zerocopy_opts){ .limit_bytes = 0 });
	struct weir_zerocopy_request request = rig_request(&rig, BYTES);
	struct iovec part = { .iov_base = rig.bytes, .iov_len = BYTES - 1 };
	switch (errors[_i].spoil) {
	case SPOIL_BAD_FD:
		request.fd = 1 << 20;
		break;
	case SPOIL_BAD_ADDRESS:
		request.bytes = (const void *)(uintptr_t)4096;
		break;
	case SPOIL_UNIX_SOCKET:
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
		request.fd = local[0];
		break;
	case SPOIL_SHUT_DOWN:
		ck_assert_int_eq(shutdown(rig.writer, SHUT_WR), 0);
		break;
	case SPOIL_EMPTY_SLOT:
		ck_assert_int_eq(weir_filetab_open(&rig.ring, 4, NULL), 0);
		request.fd = 0;
		request.is_slot = true;
		break;
	case SPOIL_EMPTY_BUFFER:
	case SPOIL_OUTSIDE_BUFFER:
		ck_assert_int_eq(weir_buftab_open(&rig.ring, 2, NULL), 0);
		ck_assert_int_eq(
			weir_buftab_update(&rig.ring, 1, &part, NULL, 1), 1);
		request.is_registered = true;
		request.buf_index =
			errors[_i].spoil == SPOIL_EMPTY_BUFFER ? 0 : 1;
		break;
	case SPOIL_NOTHING:
		break;
	}
	ck_assert_int_eq(rig_start(&rig, &request), 0);
	(void)rig_finish(&rig); /* one completion or two, by the flags */
	ck_assert_msg(rig.send.result == errors[_i].want,
		      "when %s: %d, want %d", errors[_i].when, rig.send.result,
		      errors[_i].want);
	ck_assert_uint_eq(rig.zerocopy.stats.failures, 1);
	ck_assert_uint_eq(rig.zerocopy.stats.sent_bytes, 0);
	if (local[0] >= 0) {
		ck_assert_int_eq(close(local[0]), 0);
		ck_assert_int_eq(close(local[1]), 0);
	}
	rig_close(&rig);
}
END_TEST

START_TEST(send_to_a_peer_that_reset_gives_its_memory_back)
{
	struct rig rig;
	uint8_t byte;
	rig_open(&rig, (struct weir_zerocopy_opts){ .limit_bytes = 0 });
	wi_reset_on_close(rig.reader);
	ck_assert_int_eq(close(rig.reader), 0);
	rig.reader = -1;
	ck_assert_int_eq(recv(rig.writer, &byte, 1, MSG_PEEK), -1);
	struct weir_zerocopy_request request = rig_request(&rig, BYTES);
	ck_assert_int_eq(rig_start(&rig, &request), 0);
	(void)rig_finish(&rig);
	ck_assert(rig.send.result == -EPIPE || rig.send.result == -ECONNRESET);
	rig_close(&rig);
}
END_TEST

START_TEST(cancelled_send_is_held_until_its_last_completion)
{
	struct rig rig;
	const int small = 4096;
	rig_open(&rig, (struct weir_zerocopy_opts){ .limit_bytes = 1 << 30 });
	ck_assert_int_eq(setsockopt(rig.writer, SOL_SOCKET, SO_SNDBUF, &small,
				    sizeof(small)),
			 0);
	enum { MUCH = 16 << 20 };
	uint8_t *much = calloc(1, MUCH);
	ck_assert_ptr_nonnull(much);
	struct weir_zerocopy_request request = rig_request(&rig, MUCH);
	request.bytes = much;
	ck_assert_int_eq(rig_start(&rig, &request), 0);
	ck_assert_int_eq(weir_ring_enter(&rig.ring, NULL), 0);
	ck_assert_int_eq(rig.send.state, WEIR_ZEROCOPY_SENDING);
	ck_assert_uint_eq(rig.zerocopy.lent_bytes, MUCH);
	/* The reader closes: the queue is dropped, and the send ends. */
	wi_reset_on_close(rig.reader);
	ck_assert_int_eq(close(rig.reader), 0);
	rig.reader = -1;
	(void)rig_finish(&rig);
	ck_assert_int_lt(rig.send.result, MUCH);
	free(much);
	rig_close(&rig);
}
END_TEST

/* ---- the bound ----------------------------------------------------------- */

static const struct {
	const char *when;
	uint64_t limit_bytes;
	uint32_t first;
	uint32_t second;
	int want_first;
	int want_second;
} limits[] = {
	{ "both fit", 3000, 1000, 2000, 0, 0 },
	{ "the second is one too many", 3000, 1000, 2001, 0, -ENOBUFS },
	{ "the first fills it", 3000, 3000, 1, 0, -ENOBUFS },
	{ "one alone is too many", 3000, 3001, 3000, -EMSGSIZE, 0 },
	{ "the default is taken", 0, BYTES, BYTES, 0, 0 },
};
START_TEST(bytes_lent_stay_within_the_limit)
{
	struct rig rig;
	struct weir_zerocopy_send second = { .byte_count = 0 };
	rig_open(&rig, (struct weir_zerocopy_opts){
			       .limit_bytes = limits[_i].limit_bytes });
	struct weir_zerocopy_request request =
		rig_request(&rig, limits[_i].first);
	int err = rig_start(&rig, &request);
	ck_assert_msg(err == limits[_i].want_first, "when %s: %d",
		      limits[_i].when, err);
	if (err < 0) {
		ck_assert_int_eq(rig.send.state, WEIR_ZEROCOPY_FREE);
		ck_assert_uint_eq(weir_ring_unsubmitted(&rig.ring), 0);
	}
	request = rig_request(&rig, limits[_i].second);
	request.user_data = TOKEN + 1;
	err = weir_zerocopy_start(&rig.zerocopy, &rig.ring, &second, &request);
	ck_assert_msg(err == limits[_i].want_second, "when %s: %d",
		      limits[_i].when, err);
	ck_assert_uint_eq(rig.zerocopy.stats.refusals, err == -ENOBUFS);
	while (rig.zerocopy.lent_bytes > 0) {
		struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
		(void)weir_zerocopy_complete(
			&rig.zerocopy,
			cqe.user_data == TOKEN ? &rig.send : &second, &cqe);
	}
	/* Refused only for now: it succeeds once the first is back. */
	if (limits[_i].want_second == -ENOBUFS) {
		request.byte_count = 1;
		ck_assert_int_eq(weir_zerocopy_start(&rig.zerocopy, &rig.ring,
						     &second, &request),
				 0);
		while (second.state != WEIR_ZEROCOPY_FREE) {
			struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
			(void)weir_zerocopy_complete(&rig.zerocopy, &second,
						     &cqe);
		}
	}
	rig_close(&rig);
}
END_TEST

START_TEST(full_submission_queue_says_eagain_and_lends_nothing)
{
	struct rig rig;
	rig_open(&rig, (struct weir_zerocopy_opts){ .limit_bytes = 0 });
	while (weir_ring_take_sqe(&rig.ring) != NULL)
		;
	struct weir_zerocopy_request request = rig_request(&rig, 10);
	ck_assert_int_eq(rig_start(&rig, &request), -EAGAIN);
	ck_assert_int_eq(rig.send.state, WEIR_ZEROCOPY_FREE);
	ck_assert_uint_eq(rig.zerocopy.lent_bytes, 0);
	rig_close(&rig);
}
END_TEST

/* ---- the flags decide, whatever the results ------------------------------ */

static const struct {
	const char *when;
	struct io_uring_cqe cqes[2];
	uint32_t count;
	int result;
	bool was_copied;
} stories[] = {
	{ "it went, and the network lets go",
	  { { TOKEN, 9, IORING_CQE_F_MORE }, { TOKEN, 0, IORING_CQE_F_NOTIF } },
	  2,
	  9,
	  false },
	{ "it went, and was copied",
	  { { TOKEN, 9, IORING_CQE_F_MORE },
	    { TOKEN, INT32_MIN, IORING_CQE_F_NOTIF } },
	  2,
	  9,
	  true },
	{ "it failed, and has a notice",
	  { { TOKEN, -EPIPE, IORING_CQE_F_MORE },
	    { TOKEN, 0, IORING_CQE_F_NOTIF } },
	  2,
	  -EPIPE,
	  false },
	{ "it failed without a notice",
	  { { TOKEN, -EINVAL, 0 } },
	  1,
	  -EINVAL,
	  false },
	{ "it went without a notice", { { TOKEN, 9, 0 } }, 1, 9, false },
	{ "nothing went",
	  { { TOKEN, 0, IORING_CQE_F_MORE }, { TOKEN, 0, IORING_CQE_F_NOTIF } },
	  2,
	  0,
	  false },
};
START_TEST(only_the_flags_tell_when_memory_is_free)
{
	struct rig rig;
	rig_open(&rig, (struct weir_zerocopy_opts){ .limit_bytes = 0 });
	struct weir_zerocopy_request request = rig_request(&rig, 9);
	ck_assert_int_eq(rig_start(&rig, &request), 0);
	for (uint32_t i = 0; i < stories[_i].count; i++) {
		ck_assert_uint_eq(rig.releases, 0);
		ck_assert_uint_eq(rig.zerocopy.lent_bytes, 9);
		(void)weir_zerocopy_complete(&rig.zerocopy, &rig.send,
					     &stories[_i].cqes[i]);
		ck_assert_int_eq(rig.send.result, stories[_i].result);
	}
	ck_assert_msg(rig.releases == 1, "when %s", stories[_i].when);
	ck_assert_int_eq(rig.send.was_copied, stories[_i].was_copied);
	rig_close(&rig);
}
END_TEST

START_TEST(without_a_release_function_the_state_tells)
{
	struct rig rig;
	rig_open(&rig, (struct weir_zerocopy_opts){ .limit_bytes = 0 });
	weir_zerocopy_init(&rig.zerocopy, NULL);
	struct weir_zerocopy_request request = rig_request(&rig, 100);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(rig_start(&rig, &request), 0);
		while (rig.send.state != WEIR_ZEROCOPY_FREE) {
			struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
			(void)weir_zerocopy_complete(&rig.zerocopy, &rig.send,
						     &cqe);
		}
		rig_read(&rig, 100);
	}
	ck_assert_uint_eq(rig.releases, 0);
	ck_assert_uint_eq(rig.zerocopy.stats.releases, 3);
	rig_close(&rig);
}
END_TEST

static const struct io_uring_cqe notice = { .flags = IORING_CQE_F_NOTIF };
static const struct io_uring_cqe result = { .flags = IORING_CQE_F_MORE };

static void misuse_start_twice(void *ctx)
{
	struct rig *rig = ctx;
	struct weir_zerocopy_request request = rig_request(rig, 1);
	(void)rig_start(rig, &request);
	(void)rig_start(rig, &request);
}

static void misuse_complete_what_is_free(void *ctx)
{
	struct rig *rig = ctx;
	(void)weir_zerocopy_complete(&rig->zerocopy, &rig->send, &result);
}

static void misuse_notice_of_what_is_free(void *ctx)
{
	struct rig *rig = ctx;
	(void)weir_zerocopy_complete(&rig->zerocopy, &rig->send, &notice);
}

static void (*const misuses[])(void *ctx) = {
	misuse_start_twice,
	misuse_complete_what_is_free,
	misuse_notice_of_what_is_free,
};
START_TEST(misuse_of_a_send_meets_its_assert)
{
	struct rig rig;
	rig_open(&rig, (struct weir_zerocopy_opts){ .limit_bytes = 0 });
	ck_assert(wi_aborts(misuses[_i], &rig));
	weir_zerocopy_init(&rig.zerocopy, NULL);
	rig_close(&rig);
}
END_TEST

WI_SUITE(zerocopy, "zerocopy", WI_RUNGS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("zerocopy");
	if (!wi_kernel_has_rings())
		return;
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase,
			    bytes_arrive_and_memory_comes_back_in_every_form, 0,
			    COUNT_OF(forms));
	tcase_add_loop_test(tcase, failed_send_gives_its_memory_back_once, 0,
			    COUNT_OF(errors));
	tcase_add_test(tcase, send_to_a_peer_that_reset_gives_its_memory_back);
	tcase_add_test(tcase, cancelled_send_is_held_until_its_last_completion);
	tcase_add_loop_test(tcase, bytes_lent_stay_within_the_limit, 0,
			    COUNT_OF(limits));
	tcase_add_test(tcase,
		       full_submission_queue_says_eagain_and_lends_nothing);
	tcase_add_loop_test(tcase, only_the_flags_tell_when_memory_is_free, 0,
			    COUNT_OF(stories));
	tcase_add_test(tcase, without_a_release_function_the_state_tells);
	tcase_add_loop_test(tcase, misuse_of_a_send_meets_its_assert, 0,
			    COUNT_OF(misuses));
	suite_add_tcase(suite, tcase);
}
