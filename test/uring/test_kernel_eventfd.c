/* test_kernel_eventfd.c - the kernel whose loops sleep in poll(2)
 *
 * In a build for valgrind (tools/check --valgrind) the other suites use it.
 */
#include "../rig/count_of.h"
#include "../rig/kernel_eventfd.h"
#include "../rig/peer.h"
#include "../rig/sandbox.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	RINGS_MAX = 4096, /* kernel_eventfd.c */
	NO_ROOM = 1,      /* result of a try: the host lacks descriptors */
};

static void start(struct weir_ring *ring)
{
	wi_ring_start(ring,
		      &(struct weir_ring_opts){ .kernel = kernel_eventfd() });
}

START_TEST(build_alone_chooses_the_kernel)
{
	static const char *const waits[] = { "eventfd", "ring", "" };
#ifdef WI_VALGRIND
	const struct weir_kernel *chosen = kernel_eventfd();
#else
	const struct weir_kernel *chosen = weir_kernel_linux();
#endif
	ck_assert_int_eq(unsetenv("WEIR_WAIT"), 0);
	ck_assert_ptr_eq(weir_kernel_default(), chosen);
	for (size_t i = 0; i < COUNT_OF(waits); i++) {
		ck_assert_int_eq(setenv("WEIR_WAIT", waits[i], 1), 0);
		ck_assert_ptr_eq(weir_kernel_default(), chosen);
	}
}
END_TEST

START_TEST(what_is_done_at_once_is_there_after_the_enter)
{
	struct weir_ring ring;
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	start(&ring);
	for (uint64_t i = 1; i <= 100; i++) {
		weir_ring_take_sqe(&ring)->user_data = i;
		ck_assert_uint_eq(wi_ring_next(&ring).user_data, i);
	}
	weir_ring_close(&ring);
}
END_TEST

static void *ring_doorbell(void *ctx)
{
	const struct weir_kernel *kernel = weir_kernel_linux();
	ck_assert_int_eq(kernel->doorbell_ring(kernel->ctx, *(int *)ctx), 0);
	return NULL;
}

START_TEST(who_sleeps_is_woken_by_a_completion)
{
	static uint64_t value;
	static int fd;
	struct weir_ring ring;
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	start(&ring);
	fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	const uint64_t waits = kernel_eventfd_waits();
	for (uint64_t i = 1; i <= 20; i++) {
		pthread_t thread;
		struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
		weir_op_read(sqe, fd, &value, sizeof(value));
		sqe->user_data = i;
		ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
		ck_assert_int_eq(
			pthread_create(&thread, NULL, ring_doorbell, &fd), 0);
		ck_assert_uint_eq(wi_ring_next(&ring).user_data, i);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
	}
	ck_assert_uint_gt(kernel_eventfd_waits(), waits);
	ck_assert_int_eq(close(fd), 0);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(sleep_has_its_limit)
{
	struct weir_ring ring;
	struct weir_ring_stats stats;
	const struct weir_wait wait = { .want_count = 1,
					.timeout_ns = 1000000 };
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	start(&ring);
	ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
	ck_assert_uint_eq(weir_ring_ready(&ring), 0);
	weir_ring_stats_read(&ring, &stats);
	ck_assert_uint_eq(stats.enters_timed_out, 1);
	weir_ring_close(&ring);
}
END_TEST

/* Each wait ends early, as if a completion had come. */
static const uint64_t long_timeouts_ns[] = { 20000000, 2000000000,
					     WEIR_TIMEOUT_NEVER };
START_TEST(long_sleep_is_cut_into_slices)
{
	struct weir_ring ring;
	struct weir_ring_stats stats;
	const struct weir_wait wait = { .want_count = 1,
					.timeout_ns = long_timeouts_ns[_i] };
	const uint64_t waits = kernel_eventfd_waits();
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	start(&ring);
	ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
	ck_assert_uint_eq(weir_ring_ready(&ring), 0);
	ck_assert_uint_eq(kernel_eventfd_waits(), waits + 1);
	weir_ring_stats_read(&ring, &stats);
	ck_assert_uint_eq(stats.enters_timed_out, 0);
	weir_ring_close(&ring);
}
END_TEST

static void on_alarm(int signal)
{
	(void)signal;
}

START_TEST(signal_ends_a_sleep)
{
	struct weir_ring ring;
	struct weir_ring_stats stats;
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct weir_wait wait = { .want_count = 1,
					.timeout_ns = WEIR_TIMEOUT_NEVER };
	/* Repeated, so that one surely comes during a sleep. */
	const struct itimerval often = { { 0, 2000 }, { 0, 2000 } };
	const struct itimerval never = { .it_value.tv_usec = 0 };
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	start(&ring);
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	do {
		ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
		weir_ring_stats_read(&ring, &stats);
	} while (stats.enters_interrupted == 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(enter_that_is_refused_does_not_sleep)
{
	struct weir_ring ring;
	const struct weir_ring_opts opts = { .kernel = kernel_eventfd() };
	const struct weir_wait wait = { .want_count = 1,
					.timeout_ns = WEIR_TIMEOUT_NEVER };
	const uint64_t waits = kernel_eventfd_waits();
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	ck_assert_int_eq(weir_ring_open(&ring, &opts, NULL), 0);
	ck_assert_int_eq(weir_ring_enter(&ring, &wait), -EBADFD);
	ck_assert_uint_eq(kernel_eventfd_waits(), waits);
	weir_ring_close(&ring);
}
END_TEST

/* Without SUBMIT_ALL the kernel stops after the malformed entry. */
START_TEST(enter_that_submits_less_does_not_sleep)
{
	struct weir_ring ring;
	const struct weir_ring_opts opts = {
		.kernel = kernel_eventfd(),
		.forced_off = weir_rung_bit(WEIR_RUNG_SUBMIT_ALL),
	};
	const struct weir_wait wait = { .want_count = 2,
					.timeout_ns = WEIR_TIMEOUT_NEVER };
	const uint64_t waits = kernel_eventfd_waits();
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	wi_ring_start(&ring, &opts);
	weir_ring_take_sqe(&ring)->opcode = 255;
	weir_op_nop(weir_ring_take_sqe(&ring));
	ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
	ck_assert_uint_eq(weir_ring_ready(&ring), 1);
	ck_assert_int_eq(weir_ring_cqe(&ring, 0)->res, -EINVAL);
	ck_assert_uint_eq(weir_ring_unsubmitted(&ring), 1);
	ck_assert_uint_eq(kernel_eventfd_waits(), waits);
	weir_ring_close(&ring);
}
END_TEST

/* ---- descriptors --------------------------------------------------------- */

static int setup(uint32_t flags)
{
	const struct weir_kernel *kernel = kernel_eventfd();
	struct io_uring_params params = { .flags = flags };
	return kernel->setup(kernel->ctx, 8, &params);
}

static int setup_with_unknown_flag(void)
{
	return setup(1u << 31);
}

static int setup_with_one_descriptor(void)
{
	struct rlimit before;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	const int lowest = dup(0);
	ck_assert_int_ge(lowest, 0);
	ck_assert_int_eq(close(lowest), 0);
	const struct rlimit one_more = { (rlim_t)lowest + 1, before.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &one_more), 0);
	int err = setup(0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	return err;
}

static int setup_above_all_rings(void)
{
	static int fds[RINGS_MAX];
	struct rlimit limit;
	size_t count = 0;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur <= RINGS_MAX)
		return NO_ROOM;
	do {
		fds[count] = dup(0);
		ck_assert_int_ge(fds[count], 0);
	} while (fds[count++] < RINGS_MAX - 1);
	int err = setup(0);
	while (count > 0)
		ck_assert_int_eq(close(fds[--count]), 0);
	return err;
}

static int setup_apart(void *ctx, struct weir_error *error)
{
	(void)error;
	return sandbox_deny(ctx) ? setup(0) : -ENOTRECOVERABLE;
}

static int setup_without_watch(void)
{
	struct weir_error error;
	struct sandbox_denial denial = {
		.err = -EACCES,
		.number = WEIR_NR_IO_URING_REGISTER,
		.has_arg = true,
		.arg_index = 1,
		.arg = IORING_REGISTER_EVENTFD,
	};
	return sandbox_run(setup_apart, &denial, &error);
}

static const struct {
	const char *when;
	int (*setup)(void);
	int want;
} setups[] = {
	{ "a flag is unknown", setup_with_unknown_flag, -EINVAL },
	{ "there is room for the ring only", setup_with_one_descriptor,
	  -EMFILE },
	{ "there are more descriptors than rings", setup_above_all_rings,
	  -EMFILE },
	{ "no completion may be signalled", setup_without_watch, -EACCES },
};
START_TEST(setup_that_is_refused_leaves_nothing)
{
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	const size_t before = peer_fd_count();
	const int err = setups[_i].setup();
	wi_skip_unless(err != NO_ROOM, "too few descriptors");
	ck_assert_msg(err == setups[_i].want, "when %s: %d, want %d",
		      setups[_i].when, err, setups[_i].want);
	ck_assert_uint_eq(peer_fd_count(), before);
}
END_TEST

static const int other_fds[] = { 100, RINGS_MAX + 1 };
START_TEST(descriptor_that_is_no_ring_is_closed_as_such)
{
	const struct weir_kernel *kernel = kernel_eventfd();
	const int fd = fcntl(0, F_DUPFD_CLOEXEC, other_fds[_i]);
	wi_skip_unless(fd >= 0, "too few descriptors");
	ck_assert_int_eq(kernel->close(kernel->ctx, fd), 0);
	ck_assert_int_eq(kernel->close(kernel->ctx, fd), -EBADF);
}
END_TEST

START_TEST(descriptors_are_given_back)
{
	struct weir_ring ring;
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	const size_t before = peer_fd_count();
	start(&ring);
	ck_assert_uint_gt(peer_fd_count(), before);
	weir_ring_close(&ring);
	ck_assert_uint_eq(peer_fd_count(), before);
}
END_TEST

WI_SUITE(kernel_eventfd, "kernel-eventfd", WI_RUNGS | WI_THREADS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("sleeping in poll");
	tcase_add_test(tcase, build_alone_chooses_the_kernel);
	tcase_add_test(tcase, what_is_done_at_once_is_there_after_the_enter);
	tcase_add_test(tcase, who_sleeps_is_woken_by_a_completion);
	tcase_add_test(tcase, sleep_has_its_limit);
	tcase_add_loop_test(tcase, long_sleep_is_cut_into_slices, 0,
			    COUNT_OF(long_timeouts_ns));
	tcase_add_test(tcase, signal_ends_a_sleep);
	tcase_add_test(tcase, enter_that_is_refused_does_not_sleep);
	tcase_add_test(tcase, enter_that_submits_less_does_not_sleep);
	tcase_add_loop_test(tcase, setup_that_is_refused_leaves_nothing, 0,
			    COUNT_OF(setups));
	tcase_add_loop_test(tcase, descriptor_that_is_no_ring_is_closed_as_such,
			    0, COUNT_OF(other_fds));
	tcase_add_test(tcase, descriptors_are_given_back);
	suite_add_tcase(suite, tcase);
}
