/* test_resize.c - resizing a ring in use, and the wait region
 *
 * Entries taken and completions ready before a resize come exactly once after
 * it.
 */
#include "../rig/count_of.h"
#include "../rig/faults.h"
#include "../rig/nops.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/extra/resize.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <pthread.h>

#define OFF(name) weir_rung_bit(WEIR_RUNG_##name)

/* Resizing needs 6.13 and a DEFER_TASKRUN ring. */
static bool kernel_resizes(void)
{
	struct weir_ring ring;
	wi_ring_start(&ring, NULL);
	int err = weir_ring_resize(&ring, 0, 0);
	weir_ring_close(&ring);
	return err == 0;
}

static const struct {
	const char *when;
	uint32_t sq_before, cq_before, sq_after, cq_after;
	uint32_t ready, taken;
	weir_rung_set forced_off;
	int want;
} sizes[] = {
	{ "both grow", 8, 16, 64, 256, 0, 0, 0, 0 },
	{ "both shrink", 64, 256, 8, 16, 0, 0, 0, 0 },
	{ "only the CQ grows", 8, 16, 0, 64, 0, 0, 0, 0 },
	{ "only the SQ grows", 8, 16, 16, 0, 0, 0, 0, 0 },
	{ "nothing changes", 8, 16, 0, 0, 0, 0, 0, 0 },
	{ "completions are ready", 8, 16, 8, 64, 7, 0, 0, 0 },
	{ "entries are taken", 8, 16, 32, 64, 0, 7, 0, 0 },
	{ "both are pending", 8, 16, 32, 64, 8, 8, 0, 0 },
	{ "the pending just fit", 32, 64, 8, 8, 8, 8, 0, 0 },
	{ "there is an index array", 8, 16, 32, 64, 8, 8, OFF(NO_SQARRAY),
	  -EINVAL },
	{ "the size is odd", 8, 16, 33, 100, 3, 3, 0, 0 },
	{ "what is ready does not fit", 32, 64, 4, 4, 5, 0, 0, -EOVERFLOW },
	{ "what is taken does not fit", 32, 64, 4, 64, 0, 5, 0, -EOVERFLOW },
	{ "the CQ is smaller than the SQ", 8, 16, 32, 16, 3, 3, 0, -EINVAL },
	{ "the SQ is above the limit", 8, 16, 40000, 65536, 3, 3, 0, -EINVAL },
	{ "the CQ is above the limit", 8, 16, 8, 70000, 3, 3, 0, -EINVAL },
	{ "the ring does not defer", 8, 16, 32, 64, 3, 3, OFF(DEFER_TASKRUN),
	  -EINVAL },
};
START_TEST(pending_entries_move_over_or_the_ring_stays_as_it_was)
{
	struct weir_ring ring;
	const struct weir_ring_opts opts = {
		.sq_entry_count = sizes[_i].sq_before,
		.cq_entry_count = sizes[_i].cq_before,
		.forced_off = sizes[_i].forced_off,
	};
	wi_skip_unless(kernel_resizes(), "this kernel does not resize");
	wi_ring_start(&ring, &opts);
	/* Away from zero, so that masks matter. */
	wi_nops_take(&ring, 0, 5);
	wi_nops_expect(&ring, 0, 5);
	wi_nops_take(&ring, 100, sizes[_i].ready);
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	ck_assert_uint_eq(weir_ring_ready(&ring), sizes[_i].ready);
	wi_nops_take(&ring, 100 + sizes[_i].ready, sizes[_i].taken);

	int err =
		weir_ring_resize(&ring, sizes[_i].sq_after, sizes[_i].cq_after);
	ck_assert_msg(err == sizes[_i].want, "when %s: got %d, want %d",
		      sizes[_i].when, err, sizes[_i].want);
	if (err == 0 && sizes[_i].sq_after != 0)
		ck_assert_uint_ge(weir_ring_sq_entry_count(&ring),
				  sizes[_i].sq_after);
	else
		ck_assert_uint_eq(weir_ring_sq_entry_count(&ring),
				  sizes[_i].sq_before);
	if (err == 0 && sizes[_i].cq_after != 0)
		ck_assert_uint_ge(weir_ring_cq_entry_count(&ring),
				  sizes[_i].cq_after);
	else
		ck_assert_uint_eq(weir_ring_cq_entry_count(&ring),
				  sizes[_i].cq_before);
	ck_assert_uint_eq(weir_ring_ready(&ring), sizes[_i].ready);
	wi_nops_expect(&ring, 100, sizes[_i].ready + sizes[_i].taken);

	uint32_t all = weir_ring_sq_entry_count(&ring);
	wi_nops_take(&ring, 1000, all);
	ck_assert_ptr_null(weir_ring_take_sqe(&ring));
	wi_nops_expect(&ring, 1000, all);
	struct weir_ring_stats stats;
	weir_ring_stats_read(&ring, &stats);
	ck_assert_uint_eq(stats.sqes, stats.cqes);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(ring_can_be_resized_over_and_over)
{
	struct weir_ring ring;
	uint64_t state = 42;
	uint64_t next = 0;
	wi_skip_unless(kernel_resizes(), "this kernel does not resize");
	wi_ring_start(&ring, NULL);
	for (int i = 0; i < 50; i++) {
		uint32_t count = wi_random(&state) % 16;
		wi_nops_take(&ring, next, count);
		uint32_t sq = 16u << (wi_random(&state) % 4);
		ck_assert_int_eq(weir_ring_resize(&ring, sq, 2 * sq), 0);
		wi_nops_expect(&ring, next, count);
		next += count;
	}
	weir_ring_close(&ring);
}
END_TEST

START_TEST(old_queues_are_unmapped)
{
	struct weir_ring ring;
	struct wi_faults faults;
	wi_skip_unless(kernel_resizes(), "this kernel does not resize");
	wi_faults_init(&faults);
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel });
	uint32_t mapped = faults.maps - faults.unmaps;
	ck_assert_int_eq(weir_ring_resize(&ring, 64, 128), 0);
	ck_assert_uint_eq(faults.maps - faults.unmaps, mapped);
	weir_ring_close(&ring);
	ck_assert_uint_eq(faults.maps, faults.unmaps);
}
END_TEST

START_TEST(ring_whose_new_queues_cannot_be_mapped_is_lost_and_closes)
{
	struct weir_ring ring;
	struct wi_faults faults;
	wi_skip_unless(kernel_resizes(), "this kernel does not resize");
	wi_faults_init(&faults);
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel });
	faults.map_fails_at = faults.maps + (uint32_t)_i;
	faults.map_errno = -ENOMEM;
	ck_assert_int_eq(weir_ring_resize(&ring, 64, 128), -ENOMEM);
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), -EBADF);
	weir_ring_close(&ring);
	ck_assert_uint_eq(faults.unmaps, faults.maps - 1); /* it failed */
	ck_assert_uint_eq(faults.closes, 1);
}
END_TEST

START_TEST(resize_that_the_kernel_refuses_changes_nothing)
{
	wi_skip_if_forced_off(WEIR_RUNG_DEFER_TASKRUN);
	wi_skip_if_forced_off(WEIR_RUNG_NO_SQARRAY);
	struct weir_ring ring;
	struct wi_faults faults;
	wi_faults_init(&faults);
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel });
	faults.register_opcode = IORING_REGISTER_RESIZE_RINGS;
	faults.register_errno = -ENOMEM;
	wi_nops_take(&ring, 1, 3);
	ck_assert_int_eq(weir_ring_resize(&ring, 64, 128), -ENOMEM);
	wi_nops_expect(&ring, 1, 3);
	ck_assert_uint_eq(weir_ring_sq_entry_count(&ring), 1024);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(larger_queue_takes_in_what_had_overflowed)
{
	struct weir_ring ring;
	const struct weir_ring_opts opts = {
		.sq_entry_count = 4,
		.cq_entry_count = 4,
	};
	wi_skip_unless(kernel_resizes(), "this kernel does not resize");
	wi_ring_start(&ring, &opts);
	for (uint64_t i = 0; i < 3; i++) {
		wi_nops_take(&ring, 4 * i, 4);
		ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	}
	ck_assert_uint_ne(weir_ring_held_back(&ring) & IORING_SQ_CQ_OVERFLOW,
			  0);
	ck_assert_int_eq(weir_ring_resize(&ring, 0, 64), 0);
	wi_nops_expect(&ring, 0, 12);
	ck_assert_uint_eq(weir_ring_held_back(&ring) & IORING_SQ_CQ_OVERFLOW,
			  0);
	weir_ring_close(&ring);
}
END_TEST

static void *foreign_resize(void *ctx)
{
	return (void *)(intptr_t)weir_ring_resize(ctx, 64, 128);
}

START_TEST(resize_on_the_wrong_thread_says_eexist)
{
	struct weir_ring ring;
	pthread_t thread;
	void *err = NULL;
	wi_skip_unless(kernel_resizes(), "this kernel does not resize");
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, foreign_resize, &ring),
			 0);
	ck_assert_int_eq(pthread_join(thread, &err), 0);
	ck_assert_int_eq((int)(intptr_t)err, -EEXIST);
	wi_nops_take(&ring, 1, 3);
	wi_nops_expect(&ring, 1, 3);
	weir_ring_close(&ring);
}
END_TEST

/* ---- the wait region ----------------------------------------------------- */

static const struct {
	const char *when;
	weir_rung_set forced_off;
	bool is_resized;
} regions[] = {
	{ "it is granted", 0, false },
	{ "it is forced off", OFF(WAIT_REGION), false },
	{ "the index is not registered", OFF(REGISTERED_RING), false },
	{ "the ring is resized", 0, true },
	{ "min-wait is forced off", OFF(MIN_WAIT), false },
	{ "the ring does not defer", OFF(DEFER_TASKRUN), false },
};
START_TEST(waits_are_the_same_with_and_without_the_region)
{
	struct weir_ring ring;
	struct wi_faults faults;
	wi_faults_init(&faults);
	const struct weir_ring_opts opts = {
		.kernel = &faults.wrap.kernel,
		.forced_off = regions[_i].forced_off,
	};
	wi_ring_start(&ring, &opts);
	if (regions[_i].is_resized)
		wi_skip_unless(weir_ring_resize(&ring, 64, 128) == 0,
			       "this kernel does not resize");

	/* No completion: the timeout ends the wait, at once and later. */
	struct weir_wait wait = { .want_count = 1, .timeout_ns = 0 };
	struct weir_ring_stats stats;
	for (uint32_t i = 1; i <= 2; i++) {
		uint64_t before_ns =
			faults.wrap.kernel.now_ns(faults.wrap.kernel.ctx);
		ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
		ck_assert_uint_ge(
			faults.wrap.kernel.now_ns(faults.wrap.kernel.ctx) -
				before_ns,
			wait.timeout_ns);
		weir_ring_stats_read(&ring, &stats);
		ck_assert_uint_eq(stats.enters_timed_out, i);
		wait.timeout_ns = 2000000;
	}
	ck_assert_int_eq((faults.last.flags & IORING_ENTER_EXT_ARG_REG) != 0,
			 ring.wait_region != NULL);
	ck_assert_uint_eq(faults.last.timeout.tv_nsec, 2000000);
	/* A completion ends a wait without a timeout. */
	wait.timeout_ns = WEIR_TIMEOUT_NEVER;
	wi_nops_take(&ring, 3, 1);
	ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
	ck_assert(!faults.last.has_timeout);
	ck_assert_uint_eq(weir_ring_ready(&ring), 1);
	weir_ring_reaped(&ring, 1);
	/* One of two comes: the min-wait ends the wait. */
	wait = (struct weir_wait){
		.want_count = 2,
		.min_wait_us = 500,
		.timeout_ns = WEIR_TIMEOUT_NEVER,
	};
	wi_nops_take(&ring, 4, 1);
	ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
	ck_assert_uint_eq(weir_ring_ready(&ring), 1);
	weir_ring_close(&ring);
	ck_assert_uint_eq(faults.maps, faults.unmaps);
}
END_TEST

START_TEST(refused_region_leaves_a_ring_that_waits_all_the_same)
{
	wi_skip_if_forced_off(WEIR_RUNG_WAIT_REGION);
	struct weir_ring ring;
	struct wi_faults faults;
	const struct weir_ring_opts opts = { .kernel = &faults.wrap.kernel };
	wi_faults_init(&faults);
	if (_i == 0) {
		faults.register_opcode = IORING_REGISTER_MEM_REGION;
		faults.register_errno = -EINVAL;
	} else {
		faults.map_fails_at = 3;
		faults.map_errno = -ENOMEM;
	}
	wi_ring_start(&ring, &opts);
	ck_assert_ptr_null(ring.wait_region);
	const struct weir_wait wait = { .want_count = 1, .timeout_ns = 1000 };
	ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
	ck_assert_uint_eq(faults.last.flags & IORING_ENTER_EXT_ARG_REG, 0);
	weir_ring_close(&ring);
	ck_assert_uint_eq(faults.unmaps, faults.maps - (uint32_t)_i);
}
END_TEST

WI_SUITE(resize, "resize", WI_RUNGS | WI_THREADS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("resize");
	if (!wi_kernel_has_rings())
		return;
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(
		tcase, pending_entries_move_over_or_the_ring_stays_as_it_was, 0,
		COUNT_OF(sizes));
	tcase_add_test(tcase, ring_can_be_resized_over_and_over);
	tcase_add_test(tcase, old_queues_are_unmapped);
	tcase_add_loop_test(
		tcase,
		ring_whose_new_queues_cannot_be_mapped_is_lost_and_closes, 1,
		3);
	tcase_add_test(tcase, resize_that_the_kernel_refuses_changes_nothing);
	tcase_add_test(tcase, larger_queue_takes_in_what_had_overflowed);
	tcase_add_test(tcase, resize_on_the_wrong_thread_says_eexist);
	tcase_add_loop_test(tcase,
			    waits_are_the_same_with_and_without_the_region, 0,
			    COUNT_OF(regions));
	tcase_add_loop_test(
		tcase, refused_region_leaves_a_ring_that_waits_all_the_same, 0,
		2);
	suite_add_tcase(suite, tcase);
}
