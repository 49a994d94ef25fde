/* test_op_wait.c - poll, epoll and timeouts, against the real kernel */
#include "../rig/op_rig.h"
#include "../rig/refused.h"
#include "../suites.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

/* ---- poll ---------------------------------------------------------------- */

static const struct {
	const char *when;
	uint32_t events;
	uint32_t want;
} polls[] = {
	{ "it can be written", POLLOUT, POLLOUT },
	{ "both are asked for", POLLIN | POLLOUT, POLLOUT },
};
START_TEST(poll_tells_what_is_there_at_once)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_poll(sqe, fds[0], polls[_i].events);
	ck_assert_int_eq(rig_do(&rig, sqe), (int)polls[_i].want);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(poll_waits_for_an_event_and_ends)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_poll(sqe, fds[0], POLLIN);
	rig_start(&rig, sqe, FIRST);
	rig_is_quiet(&rig);
	wi_write_all(fds[1], "x", 1);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, POLLIN);
	sqe = rig_take(&rig);
	weir_op_poll(sqe, fds[0], EPOLLRDHUP);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(close(fds[1]), 0);
	int32_t res = rig_next(&rig, FIRST, false).res;
	ck_assert_int_eq(res & (int)EPOLLRDHUP, (int)EPOLLRDHUP);
	ck_assert_int_eq(res & POLLHUP, POLLHUP); /* not asked for */
	ck_assert_int_eq(close(fds[0]), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(multishot_poll_comes_once_per_event)
{
	struct rig rig;
	const uint64_t one = 1;
	rig_open(&rig);
	int doorbell = eventfd(0, EFD_CLOEXEC);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_poll_multishot(sqe, doorbell, POLLIN);
	rig_start(&rig, sqe, FIRST);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(write(doorbell, &one, sizeof(one)),
				 sizeof(one));
		ck_assert_int_eq(rig_next(&rig, FIRST, true).res, POLLIN);
		rig_is_quiet(&rig); /* although there are bytes to read */
	}
	ck_assert_int_eq(rig_cancel(&rig, FIRST), -ECANCELED);
	ck_assert_int_eq(close(doorbell), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(full_completion_queue_ends_a_multishot_poll)
{
	enum { CQ = 4 };
	struct rig rig;
	const uint64_t one = 1;
	rig_open_cq(&rig, CQ);
	int doorbell = eventfd(0, EFD_CLOEXEC);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_poll_multishot(sqe, doorbell, POLLIN);
	rig_start(&rig, sqe, FIRST);
	for (int i = 0; i <= CQ; i++) {
		ck_assert_int_eq(write(doorbell, &one, sizeof(one)),
				 sizeof(one));
		rig_submit(&rig);
	}
	for (int i = 0; i <= CQ; i++)
		ck_assert_int_eq(rig_next(&rig, FIRST, i < CQ).res, POLLIN);
	ck_assert_int_eq(write(doorbell, &one, sizeof(one)), sizeof(one));
	rig_is_quiet(&rig);
	ck_assert_int_eq(close(doorbell), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(poll_is_removed_with_ecanceled)
{
	struct rig rig;
	struct io_uring_cqe cqes[2];
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	if (_i == 0)
		weir_op_poll(sqe, fds[0], POLLIN);
	else
		weir_op_poll_multishot(sqe, fds[0], POLLIN);
	rig_start(&rig, sqe, FIRST);
	sqe = rig_take(&rig);
	weir_op_poll_remove(sqe, FIRST);
	sqe->user_data = CANCEL;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, CANCEL).res, 0);
	ck_assert_int_eq(rig_pick(cqes, 2, FIRST).res, -ECANCELED);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

static void poll_remove(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_poll_remove(sqe, FIRST);
}
static void poll_events(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_poll_update_events(sqe, FIRST, POLLOUT);
}
static void poll_token(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_poll_update_token(sqe, FIRST, SECOND);
}
static void poll_both(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_poll_update(sqe, FIRST, SECOND, POLLOUT);
}
static void (*const poll_changes[])(struct io_uring_sqe *sqe, int fd) = {
	poll_remove,
	poll_events,
	poll_token,
	poll_both,
};
static const struct refused no_polls[] = {
	{ "nothing is removed", poll_remove, REFUSED_NOTHING, -ENOENT, NULL },
	{ "nothing has other events", poll_events, REFUSED_NOTHING, -ENOENT,
	  NULL },
	{ "nothing has another token", poll_token, REFUSED_NOTHING, -ENOENT,
	  NULL },
	{ "nothing has both", poll_both, REFUSED_NOTHING, -ENOENT, NULL },
	/* A read with that token is not a poll. */
	{ "a read is removed", poll_remove, REFUSED_READ, -ENOENT, NULL },
	{ "a read has other events", poll_events, REFUSED_READ, -ENOENT, NULL },
	{ "a read has another token", poll_token, REFUSED_READ, -ENOENT, NULL },
	{ "a read has both", poll_both, REFUSED_READ, -ENOENT, NULL },
};
START_TEST(change_of_a_poll_that_is_not_there_says_enoent)
{
	refused_check(&no_polls[_i]);
}
END_TEST

START_TEST(poll_goes_on_with_other_events_or_under_another_token)
{
	struct rig rig;
	struct io_uring_cqe cqes[2];
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_poll_multishot(sqe, fds[0], POLLIN);
	rig_start(&rig, sqe, FIRST);
	sqe = rig_take(&rig);
	poll_changes[_i](sqe, -1);
	if (poll_changes[_i] == poll_token) {
		ck_assert_int_eq(rig_do(&rig, sqe), 0);
		wi_write_all(fds[1], "x", 1);
		ck_assert_int_eq(rig_next(&rig, SECOND, true).res &
					 (POLLIN | POLLOUT),
				 POLLIN);
	} else {
		const bool is_both = poll_changes[_i] == poll_both;
		sqe->user_data = DONE;
		wi_ring_collect(&rig.ring, cqes, 2);
		ck_assert_int_eq(rig_pick(cqes, 2, DONE).res, 0);
		struct io_uring_cqe cqe =
			rig_pick(cqes, 2, is_both ? SECOND : FIRST);
		ck_assert_int_eq(cqe.res, POLLOUT);
		ck_assert_uint_ne(cqe.flags & IORING_CQE_F_MORE, 0);
	}
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(poll_of_nothing_says_ebadf_and_of_a_file_is_ready)
{
	struct rig rig;
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_poll(sqe, -1, POLLIN);
	ck_assert_int_eq(rig_do(&rig, sqe), -EBADF);
	int file = rig_file();
	sqe = rig_take(&rig);
	weir_op_poll(sqe, file, POLLIN);
	ck_assert_int_eq(rig_do(&rig, sqe), POLLIN);
	sqe = rig_take(&rig);
	weir_op_poll_multishot(sqe, file, POLLOUT);
	ck_assert_int_eq(rig_do(&rig, sqe), POLLOUT);
	sqe = rig_take(&rig);
	weir_op_poll(sqe, file, POLLPRI);
	ck_assert_int_eq(rig_do(&rig, sqe), -EINVAL);
	ck_assert_int_eq(close(file), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(skip_on_a_multishot_poll_is_refused_by_the_kernel)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_poll_multishot(sqe, fds[0], POLLIN);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	ck_assert_int_eq(rig_do(&rig, sqe), -EINVAL);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

/* ---- epoll --------------------------------------------------------------- */

static int32_t do_ctl(struct rig *rig, int epoll, int operation, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 7 };
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_epoll_ctl(sqe, epoll, operation, fd, &event);
	return rig_do(rig, sqe);
}

START_TEST(epoll_is_changed_and_waited_on)
{
	struct rig rig;
	struct epoll_event events[2];
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	ck_assert_int_eq(do_ctl(&rig, epoll, EPOLL_CTL_ADD, fds[0]), 0);
	ck_assert_int_eq(do_ctl(&rig, epoll, EPOLL_CTL_ADD, fds[0]), -EEXIST);
	ck_assert_int_eq(do_ctl(&rig, epoll, EPOLL_CTL_MOD, fds[1]), -ENOENT);
	ck_assert_int_eq(do_ctl(&rig, epoll, EPOLL_CTL_ADD, -1), -EBADF);
	int file = rig_file(); /* cannot be polled */
	ck_assert_int_eq(do_ctl(&rig, epoll, EPOLL_CTL_ADD, file), -EPERM);
	ck_assert_int_eq(close(file), 0);
	wi_skip_unless(rig_knows(&rig, IORING_OP_EPOLL_WAIT),
		       "no epoll_wait before Linux 6.15");
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_epoll_wait(sqe, epoll, events, 2);
	rig_start(&rig, sqe, FIRST);
	rig_is_quiet(&rig);
	wi_write_all(fds[1], "x", 1);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, 1);
	wi_kernel_wrote(events, sizeof(events[0]));
	ck_assert_uint_eq(events[0].data.u32, 7);
	ck_assert_uint_eq(events[0].events, EPOLLIN);
	ck_assert_int_eq(do_ctl(&rig, epoll, EPOLL_CTL_DEL, fds[0]), 0);
	sqe = rig_take(&rig);
	weir_op_epoll_wait(sqe, fds[0], events, 2);
	ck_assert_int_eq(rig_do(&rig, sqe), -EINVAL);
	ck_assert_int_eq(close(epoll), 0);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

/* ---- timeouts ------------------------------------------------------------ */

static const struct weir_kernel_timespec soon = { .tv_nsec = 1000000 };
static const struct weir_kernel_timespec far = { .tv_sec = 1000 };

static const struct {
	const char *when;
	uint32_t flags;
	clockid_t clock;
} clocks[] = {
	{ "relative", 0, CLOCK_MONOTONIC },
	{ "absolute", IORING_TIMEOUT_ABS, CLOCK_MONOTONIC },
	{ "relative on the boot clock", IORING_TIMEOUT_BOOTTIME,
	  CLOCK_BOOTTIME },
	{ "absolute on the boot clock",
	  IORING_TIMEOUT_ABS | IORING_TIMEOUT_BOOTTIME, CLOCK_BOOTTIME },
	{ "relative on the wall clock", IORING_TIMEOUT_REALTIME,
	  CLOCK_REALTIME },
	{ "absolute on the wall clock",
	  IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME, CLOCK_REALTIME },
	{ "a success to expire", IORING_TIMEOUT_ETIME_SUCCESS,
	  CLOCK_MONOTONIC },
};

/* 2 ms from now, in the form that @index selects. */
static struct weir_kernel_timespec in_2_ms(int index, struct timespec *out_now)
{
	struct weir_kernel_timespec at = { .tv_nsec = 2000000 };
	ck_assert_int_eq(clock_gettime(clocks[index].clock, out_now), 0);
	if ((clocks[index].flags & IORING_TIMEOUT_ABS) != 0) {
		at.tv_sec = out_now->tv_sec;
		at.tv_nsec += out_now->tv_nsec;
		if (at.tv_nsec >= 1000000000) {
			at.tv_nsec -= 1000000000;
			at.tv_sec++;
		}
	}
	return at;
}

START_TEST(timeout_expires_with_etime_and_never_early)
{
	struct rig rig;
	struct timespec before;
	struct timespec after;
	rig_open(&rig);
	struct weir_kernel_timespec at = in_2_ms(_i, &before);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_timeout(sqe, &at, clocks[_i].flags);
	rig_start(&rig, sqe, FIRST);
	memset(&at, 0xff, sizeof(at)); /* read at submission only */
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, -ETIME);
	ck_assert_int_eq(clock_gettime(clocks[_i].clock, &after), 0);
	int64_t passed_ns = (after.tv_sec - before.tv_sec) * 1000000000LL +
			    after.tv_nsec - before.tv_nsec;
	ck_assert_msg(passed_ns >= 2000000, "when %s: after %lld ns",
		      clocks[_i].when, (long long)passed_ns);
	rig_close(&rig);
}
END_TEST

START_TEST(timeout_in_a_chain_breaks_it_unless_expiry_is_a_success)
{
	struct rig rig;
	struct io_uring_cqe cqes[2];
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_timeout(sqe, &soon, _i == 1 ? IORING_TIMEOUT_ETIME_SUCCESS : 0);
	if (_i == 2)
		weir_op_hardlink(sqe);
	else
		weir_op_link(sqe);
	sqe->user_data = FIRST;
	sqe = rig_take(&rig);
	weir_op_nop(sqe);
	sqe->user_data = SECOND;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, FIRST).res, -ETIME);
	ck_assert_int_eq(rig_pick(cqes, 2, SECOND).res,
			 _i == 0 ? -ECANCELED : 0);
	rig_close(&rig);
}
END_TEST

START_TEST(timeout_with_a_count_completes_with_zero_when_others_have)
{
	struct rig rig;
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_timeout_count(sqe, &far, 2, 0);
	rig_start(&rig, sqe, FIRST);
	for (int i = 0; i < 2; i++) {
		sqe = rig_take(&rig);
		weir_op_nop(sqe);
		ck_assert_int_eq(rig_do(&rig, sqe), 0);
	}
	/* The kernel checks it when an entry is submitted or posted. */
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, 0);
	rig_close(&rig);
}
END_TEST

START_TEST(multishot_timeout_repeats_as_often_as_asked)
{
	struct rig rig;
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_timeout_multishot(sqe, &soon, 3, 0);
	sqe->user_data = FIRST;
	for (int i = 0; i < 3; i++) {
		struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
		wi_skip_unless(cqe.res != -EINVAL,
			       "no multishot timeouts before Linux 6.4");
		ck_assert_int_eq(cqe.res, -ETIME);
		ck_assert_int_eq((cqe.flags & IORING_CQE_F_MORE) != 0, i < 2);
	}
	sqe = rig_take(&rig);
	weir_op_timeout_multishot(sqe, &soon, 0, 0);
	rig_start(&rig, sqe, FIRST);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(rig_next(&rig, FIRST, true).res, -ETIME);
	rig_close(&rig);
}
END_TEST

START_TEST(timeout_is_removed_with_ecanceled)
{
	struct rig rig;
	struct io_uring_cqe cqes[2];
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	if (_i == 0)
		weir_op_timeout(sqe, &far, 0);
	else if (_i == 1)
		weir_op_timeout_multishot(sqe, &far, 0, 0);
	else
		weir_op_timeout_count(sqe, &far, 1000, 0);
	rig_start(&rig, sqe, FIRST);
	sqe = rig_take(&rig);
	weir_op_timeout_remove(sqe, FIRST);
	sqe->user_data = CANCEL;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, CANCEL).res, 0);
	ck_assert_int_eq(rig_pick(cqes, 2, FIRST).res, -ECANCELED);
	rig_close(&rig);
}
END_TEST

static void timeout_remove(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_timeout_remove(sqe, FIRST);
}
static void timeout_update(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_timeout_update(sqe, FIRST, &far, false);
}
static void link_timeout_update(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_link_timeout_update(sqe, FIRST, &far, false);
}
static void timeout_expire(struct rig *rig)
{
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_timeout(sqe, &soon, 0);
	rig_start(rig, sqe, FIRST);
	ck_assert_int_eq(rig_next(rig, FIRST, false).res, -ETIME);
}
static const struct refused timeout_changes[] = {
	{ "none is removed", timeout_remove, REFUSED_NOTHING, -ENOENT, NULL },
	{ "none is moved", timeout_update, REFUSED_NOTHING, -ENOENT, NULL },
	{ "no linked one is moved", link_timeout_update, REFUSED_NOTHING,
	  -ENOENT, NULL },
	{ "an expired one is removed", timeout_remove, REFUSED_NOTHING, -ENOENT,
	  timeout_expire },
	{ "an expired one is moved", timeout_update, REFUSED_NOTHING, -ENOENT,
	  timeout_expire },
	{ "an expired one is moved as linked", link_timeout_update,
	  REFUSED_NOTHING, -ENOENT, timeout_expire },
};
START_TEST(change_of_a_timeout_that_is_not_there_says_enoent)
{
	refused_check(&timeout_changes[_i]);
}
END_TEST

START_TEST(timeout_moves_to_another_time_of_its_own_clock)
{
	struct rig rig;
	struct io_uring_cqe cqes[2];
	struct timespec now;
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_timeout(sqe, &far, clocks[_i].flags & ~IORING_TIMEOUT_ABS);
	rig_start(&rig, sqe, FIRST);
	struct weir_kernel_timespec at = in_2_ms(_i, &now);
	sqe = rig_take(&rig);
	weir_op_timeout_update(sqe, FIRST, &at,
			       (clocks[_i].flags & IORING_TIMEOUT_ABS) != 0);
	sqe->user_data = SECOND;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, SECOND).res, 0);
	ck_assert_int_eq(rig_pick(cqes, 2, FIRST).res, -ETIME);
	rig_close(&rig);
}
END_TEST

/* ---- linked timeouts ----------------------------------------------------- */

/* A receive on @fd within @limit, as FIRST and SECOND. */
static void take_limited(struct rig *rig, int fd,
			 const struct weir_kernel_timespec *limit,
			 bool is_quiet)
{
	static char byte;
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_recv(sqe, fd, &byte, 1, 0);
	weir_op_link(sqe);
	sqe->user_data = FIRST;
	sqe = rig_take(rig);
	weir_op_link_timeout(sqe, limit, 0);
	if (is_quiet)
		weir_op_skip_success(sqe);
	sqe->user_data = SECOND;
}

static const struct {
	bool has_data;
	int32_t op, limit;
} races[] = {
	{ false, -ECANCELED, -ETIME },
	{ true, 1, -ECANCELED },
};
START_TEST(linked_timeout_and_its_operation_end_together)
{
	struct rig rig;
	struct io_uring_cqe cqes[2];
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	take_limited(&rig, fds[0], races[_i].has_data ? &far : &soon, false);
	rig_submit(&rig);
	if (races[_i].has_data)
		wi_write_all(fds[1], "x", 1);
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, FIRST).res, races[_i].op);
	ck_assert_int_eq(rig_pick(cqes, 2, SECOND).res, races[_i].limit);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(skip_on_a_linked_timeout_leaves_the_operation_s_word_alone)
{
	struct rig rig;
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	take_limited(&rig, fds[0], races[_i].has_data ? &far : &soon, true);
	rig_submit(&rig);
	if (races[_i].has_data)
		wi_write_all(fds[1], "x", 1);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, races[_i].op);
	rig_is_quiet(&rig);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(linked_timeout_moves_to_another_time)
{
	struct rig rig;
	struct io_uring_cqe cqes[3];
	int fds[2];
	rig_open(&rig);
	rig_unix_pair(fds);
	take_limited(&rig, fds[0], &far, false);
	rig_submit(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_link_timeout_update(sqe, SECOND, &soon, false);
	sqe->user_data = THIRD;
	wi_ring_collect(&rig.ring, cqes, 3);
	ck_assert_int_eq(rig_pick(cqes, 3, THIRD).res, 0);
	ck_assert_int_eq(rig_pick(cqes, 3, FIRST).res, -ECANCELED);
	ck_assert_int_eq(rig_pick(cqes, 3, SECOND).res, -ETIME);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

static void negative_time(struct io_uring_sqe *sqe, int fd)
{
	static const struct weir_kernel_timespec before = { .tv_sec = -1 };
	(void)fd;
	weir_op_timeout(sqe, &soon, 0);
	sqe->addr = (uint64_t)(uintptr_t)&before;
}
static void two_clocks(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_timeout(sqe, &soon, IORING_TIMEOUT_BOOTTIME);
	sqe->timeout_flags |= IORING_TIMEOUT_REALTIME;
}
static void absolute_multishot(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_timeout_multishot(sqe, &soon, 1, 0);
	sqe->timeout_flags |= IORING_TIMEOUT_ABS;
}
static void limit_of_nothing(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_link_timeout(sqe, &soon, 0);
}
static void level_poll(struct io_uring_sqe *sqe, int fd)
{
	weir_op_poll_multishot(sqe, fd, POLLIN);
	sqe->len |= IORING_POLL_ADD_LEVEL;
}
static void level_poll_once(struct io_uring_sqe *sqe, int fd)
{
	weir_op_poll(sqe, fd, POLLIN);
	sqe->len = IORING_POLL_ADD_LEVEL;
}
static const struct refused refused[] = {
	{ "a multishot poll is by level", level_poll, REFUSED_UNIX, -EINVAL,
	  NULL },
	{ "a poll is by level", level_poll_once, REFUSED_UNIX, -EINVAL, NULL },
	{ "the time is negative", negative_time, REFUSED_NOTHING, -EINVAL,
	  NULL },
	{ "there are two clocks", two_clocks, REFUSED_NOTHING, -EINVAL, NULL },
	{ "a multishot is at a time", absolute_multishot, REFUSED_NOTHING,
	  -EINVAL, NULL },
	{ "a linked timeout has no link", limit_of_nothing, REFUSED_NOTHING,
	  -EINVAL, NULL },
};
START_TEST(kernel_refuses_what_the_helpers_do_not_offer)
{
	refused_check(&refused[_i]);
}
END_TEST

WI_SUITE(op_wait, "op-wait", WI_RUNGS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("wait");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase, poll_tells_what_is_there_at_once, 0,
			    COUNT_OF(polls));
	tcase_add_test(tcase, poll_waits_for_an_event_and_ends);
	tcase_add_test(tcase, multishot_poll_comes_once_per_event);
	tcase_add_test(tcase, full_completion_queue_ends_a_multishot_poll);
	tcase_add_loop_test(tcase, poll_is_removed_with_ecanceled, 0, 2);
	tcase_add_loop_test(tcase,
			    change_of_a_poll_that_is_not_there_says_enoent, 0,
			    COUNT_OF(no_polls));
	tcase_add_loop_test(
		tcase, poll_goes_on_with_other_events_or_under_another_token, 1,
		COUNT_OF(poll_changes));
	tcase_add_test(tcase,
		       poll_of_nothing_says_ebadf_and_of_a_file_is_ready);
	tcase_add_test(tcase,
		       skip_on_a_multishot_poll_is_refused_by_the_kernel);
	tcase_add_test(tcase, epoll_is_changed_and_waited_on);
	tcase_add_loop_test(tcase, timeout_expires_with_etime_and_never_early,
			    0, COUNT_OF(clocks));
	tcase_add_loop_test(
		tcase, timeout_in_a_chain_breaks_it_unless_expiry_is_a_success,
		0, 3);
	tcase_add_test(
		tcase,
		timeout_with_a_count_completes_with_zero_when_others_have);
	tcase_add_test(tcase, multishot_timeout_repeats_as_often_as_asked);
	tcase_add_loop_test(tcase, timeout_is_removed_with_ecanceled, 0, 3);
	tcase_add_loop_test(tcase,
			    change_of_a_timeout_that_is_not_there_says_enoent,
			    0, COUNT_OF(timeout_changes));
	tcase_add_loop_test(tcase,
			    timeout_moves_to_another_time_of_its_own_clock, 0,
			    COUNT_OF(clocks));
	tcase_add_loop_test(tcase,
			    linked_timeout_and_its_operation_end_together, 0,
			    COUNT_OF(races));
	tcase_add_loop_test(
		tcase,
		skip_on_a_linked_timeout_leaves_the_operation_s_word_alone, 0,
		COUNT_OF(races));
	tcase_add_test(tcase, linked_timeout_moves_to_another_time);
	tcase_add_loop_test(tcase, kernel_refuses_what_the_helpers_do_not_offer,
			    0, COUNT_OF(refused));
}
