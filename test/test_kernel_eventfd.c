/* test_kernel_eventfd.c - the kernel whose loops sleep in poll(2)
 *
 * The other suites run on it with WEIR_WAIT=eventfd (tools/check --helgrind).
 */
#include "suites.h"
#include "support.h"

#include "uring/op.h"
#include "uring/ring_inline.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void start(struct weir_ring *ring)
{
	wi_ring_start(ring, &(struct weir_ring_opts){
				    .kernel = weir_kernel_eventfd() });
}

START_TEST(environment_chooses_the_kernel)
{
	ck_assert_int_eq(unsetenv("WEIR_WAIT"), 0);
	ck_assert_ptr_eq(weir_kernel_default(), weir_kernel_linux());
	ck_assert_int_eq(setenv("WEIR_WAIT", "eventfd", 1), 0);
	ck_assert_ptr_eq(weir_kernel_default(), weir_kernel_eventfd());
	ck_assert_int_eq(setenv("WEIR_WAIT", "ring", 1), 0);
	ck_assert_ptr_eq(weir_kernel_default(), weir_kernel_linux());
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
	const uint64_t waits = weir_kernel_eventfd_waits();
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
	ck_assert_uint_gt(weir_kernel_eventfd_waits(), waits);
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

START_TEST(descriptors_are_given_back)
{
	struct weir_ring ring;
	int before = dup(0);
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	ck_assert_int_eq(close(before), 0);
	start(&ring);
	weir_ring_close(&ring);
	int after = dup(0);
	ck_assert_int_eq(after, before);
	ck_assert_int_eq(close(after), 0);
}
END_TEST

Suite *suite_kernel_eventfd(void)
{
	Suite *suite = suite_create("kernel_eventfd");
	TCase *tcase = tcase_create("sleeping in poll");
	tcase_add_test(tcase, environment_chooses_the_kernel);
	tcase_add_test(tcase, what_is_done_at_once_is_there_after_the_enter);
	tcase_add_test(tcase, who_sleeps_is_woken_by_a_completion);
	tcase_add_test(tcase, sleep_has_its_limit);
	tcase_add_test(tcase, descriptors_are_given_back);
	suite_add_tcase(suite, tcase);
	return suite;
}
