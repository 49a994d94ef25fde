/* test_steer_guard.c - when the collapse guard steps, and when it steps back
 *
 * The tests pass the time as a number.
 */
#include "../suites.h"
#include "net/steer/steer_guard.h"
#include "uring/barrier.h"

#include <pthread.h>
#include <stdlib.h>

enum {
	PERCENT = 75,
	WINDOW_MS = 1000,
	MEMBERS = 4,
	CALLERS = 2,
	TOLD_LEAST = 100000,
	START_NS = 5000,
};
#define WINDOW_NS (WINDOW_MS * UINT64_C(1000000))

static struct wi_guard *guard;

static void guard_start(void)
{
	guard = malloc(sizeof(*guard));
	ck_assert_ptr_nonnull(guard);
	wi_guard_init(guard, PERCENT, WINDOW_MS, START_NS);
}

static void guard_end(void)
{
	free(guard);
	guard = NULL;
}

/* With equal weights. */
static enum wi_guard_step check(const uint64_t *counts, uint32_t member_count)
{
	static uint32_t ones[WI_STEER_MEMBERS_MAX];
	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++)
		ones[i] = 1;
	return wi_guard_check(guard, counts, ones, member_count);
}

/* ---- one window ---- */

static const struct {
	const char *when;
	uint32_t percent;
	bool is_stepped;
	uint32_t member_count;
	enum wi_guard_step want;
	uint64_t news[MEMBERS];
} result_cases[] = {
	{ "nothing came", 75, false, 4, WI_GUARD_STAY, { 0 } },
	{ "all are even", 75, false, 4, WI_GUARD_STAY, { 50, 50, 50, 50 } },
	{ "all came to one", 75, false, 4, WI_GUARD_STEP, { 0, 0, 500 } },
	{ "all came to the last",
	  75,
	  false,
	  4,
	  WI_GUARD_STEP,
	  { 0, 0, 0, 64 } },
	{ "all came to one, but few", 75, false, 4, WI_GUARD_STAY, { 63 } },
	{ "just the limit", 75, false, 4, WI_GUARD_STAY, { 75, 25 } },
	{ "one above the limit", 75, false, 4, WI_GUARD_STEP, { 76, 24 } },
	{ "just below it, of a million",
	  75,
	  false,
	  4,
	  WI_GUARD_STAY,
	  { 249, 750001, 250000, 0 } /* 74.98 % */ },
	{ "a millionth above it",
	  75,
	  false,
	  4,
	  WI_GUARD_STEP,
	  { 0, 750001, 249999, 0 } },
	{ "counts are beyond 32 bits",
	  75,
	  false,
	  4,
	  WI_GUARD_STEP,
	  { 1, 1ull << 40, 1, 1 } },
	{ "there is but one loop", 75, false, 1, WI_GUARD_STAY, { 500 } },
	{ "there is no loop", 75, false, 0, WI_GUARD_STAY, { 0 } },
	{ "there are two, one gets all", 75, false, 2, WI_GUARD_STEP, { 500 } },
	{ "the guard is off", 100, false, 4, WI_GUARD_STAY, { 500 } },
	{ "one for all, of 99", 99, false, 4, WI_GUARD_STEP, { 500 } },
	{ "a low limit", 30, false, 4, WI_GUARD_STEP, { 31, 23, 23, 23 } },
	{ "a low limit, even",
	  30,
	  false,
	  4,
	  WI_GUARD_STAY,
	  { 25, 25, 25, 25 } },

	{ "stepped, nothing came", 75, true, 4, WI_GUARD_STAY, { 0 } },
	{ "stepped, all requested for one",
	  75,
	  true,
	  4,
	  WI_GUARD_STAY,
	  { 500 } },
	{ "stepped, even, but few",
	  75,
	  true,
	  4,
	  WI_GUARD_STAY,
	  { 15, 16, 16, 16 } },
	{ "stepped, even",
	  75,
	  true,
	  4,
	  WI_GUARD_STEP_BACK,
	  { 16, 16, 16, 16 } },
	{ "stepped, below the limit, not by enough",
	  75,
	  true,
	  4,
	  WI_GUARD_STAY,
	  { 66, 34 } },
	{ "stepped, below it by just enough",
	  75,
	  true,
	  4,
	  WI_GUARD_STEP_BACK,
	  { 65, 35 } },
	{ "stepped, a limit below an even share",
	  5,
	  true,
	  4,
	  WI_GUARD_STEP_BACK,
	  { 25, 25, 25, 25 } },
	{ "stepped, one loop is left", 75, true, 1, WI_GUARD_STAY, { 500 } },
	{ "stepped, then off",
	  100,
	  true,
	  4,
	  WI_GUARD_STAY,
	  { 25, 25, 25, 25 } },
};

START_TEST(a_window_is_checked_by_its_largest_share)
{
	const uint32_t member_count = result_cases[_i].member_count;
	uint64_t counts[MEMBERS] = { 1000, 0, 77, 1ull << 33 };

	/* Counts from before the window do not matter. */
	guard->percent = result_cases[_i].percent;
	guard->is_stepped = result_cases[_i].is_stepped;
	wi_guard_restart(guard, counts, member_count);
	for (uint32_t i = 0; i < member_count; i++)
		counts[i] += result_cases[_i].news[i];

	const enum wi_guard_step want = result_cases[_i].want;
	const enum wi_guard_step got = check(counts, member_count);
	ck_assert_msg(got == want, "when %s: got %d, want %d",
		      result_cases[_i].when, (int)got, (int)want);
	const bool is_stepped = want == WI_GUARD_STAY
					? result_cases[_i].is_stepped
					: want == WI_GUARD_STEP;
	ck_assert_int_eq(guard->is_stepped, is_stepped);
	ck_assert_uint_eq(guard->steps, want == WI_GUARD_STEP ? 1 : 0);
}
END_TEST

/* ---- a story ---- */

START_TEST(it_steps_stays_steps_back_and_steps_again)
{
	uint64_t chosen[MEMBERS] = { 0 };
	uint64_t requested[MEMBERS] = { 0 };

	chosen[1] += 100;
	ck_assert_int_eq(check(chosen, MEMBERS), WI_GUARD_STEP);
	wi_guard_restart(guard, requested, MEMBERS);
	requested[1] += 100;
	ck_assert_int_eq(check(requested, MEMBERS), WI_GUARD_STAY);
	ck_assert(guard->is_stepped);
	for (uint32_t i = 0; i < MEMBERS; i++)
		requested[i] += 25;
	ck_assert_int_eq(check(requested, MEMBERS), WI_GUARD_STEP_BACK);
	ck_assert(!guard->is_stepped);
	for (uint32_t i = 0; i < MEMBERS; i++)
		chosen[i] += 1000; /* by least-loaded, while stepped */
	wi_guard_restart(guard, chosen, MEMBERS);
	chosen[2] += 100;
	ck_assert_int_eq(check(chosen, MEMBERS), WI_GUARD_STEP);
	ck_assert_uint_eq(guard->steps, 2);
}
END_TEST

START_TEST(quiet_windows_add_up)
{
	uint64_t counts[MEMBERS] = { 0 };

	counts[1] += WI_GUARD_LEAST - 1;
	ck_assert_int_eq(check(counts, MEMBERS), WI_GUARD_STAY);
	ck_assert_int_eq(check(counts, MEMBERS), WI_GUARD_STAY);
	counts[1] += 1;
	ck_assert_int_eq(check(counts, MEMBERS), WI_GUARD_STEP);
	wi_guard_restart(guard, counts, MEMBERS);
	for (int window = 0; window < WI_GUARD_LEAST / MEMBERS; window++) {
		ck_assert(guard->is_stepped);
		for (uint32_t i = 0; i < MEMBERS; i++)
			counts[i]++;
		(void)check(counts, MEMBERS);
	}
	ck_assert(!guard->is_stepped);
}
END_TEST

static const struct {
	const char *when;
	uint32_t percent;
	uint32_t weights[MEMBERS];
	uint64_t news[MEMBERS];
	enum wi_guard_step want;
} weight_cases[] = {
	{ "one has what its weight says",
	  75,
	  { 9, 1, 0, 0 },
	  { 900, 100 },
	  WI_GUARD_STAY },
	{ "it has more than that",
	  75,
	  { 9, 1, 0, 0 },
	  { 960, 40 },
	  WI_GUARD_STEP },
	{ "the light one has all",
	  75,
	  { 9, 1, 0, 0 },
	  { 0, 1000 },
	  WI_GUARD_STEP },
	{ "all others are drained",
	  75,
	  { 0, 1, 0, 0 },
	  { 0, 1000 },
	  WI_GUARD_STAY },
	{ "two of four are drained, the others even",
	  75,
	  { 1, 0, 0, 1 },
	  { 500, 0, 0, 500 },
	  WI_GUARD_STAY },
	{ "the limit is below an even share",
	  40,
	  { 1, 1, 0, 0 },
	  { 550, 450 },
	  WI_GUARD_STAY },
};

START_TEST(a_share_by_weight_is_no_collapse)
{
	guard->percent = weight_cases[_i].percent;
	const enum wi_guard_step got =
		wi_guard_check(guard, weight_cases[_i].news,
			       weight_cases[_i].weights, MEMBERS);
	ck_assert_msg(got == weight_cases[_i].want, "when %s: got %d",
		      weight_cases[_i].when, (int)got);
}
END_TEST

/* Ten below the limit would be 65. The fair share is 60, and noise alone would
 * keep it above 65: so half way between. */
static const struct {
	uint64_t news[2]; /* of 100 */
	enum wi_guard_step want;
} back_cases[] = {
	{ { 680, 320 }, WI_GUARD_STAY },
	{ { 670, 330 }, WI_GUARD_STEP_BACK },
	{ { 660, 340 }, WI_GUARD_STEP_BACK },
};

START_TEST(a_heavy_member_goes_back_half_way_to_its_share)
{
	static const uint32_t weights[] = { 3, 2 };
	guard->percent = 75;
	guard->is_stepped = true;
	ck_assert_int_eq(wi_guard_check(guard, back_cases[_i].news, weights, 2),
			 back_cases[_i].want);
}
END_TEST

START_TEST(the_base_moves_on_while_the_guard_is_off_or_alone)
{
	uint64_t counts[MEMBERS] = { 0 };

	counts[0] = 1000;
	ck_assert_int_eq(check(counts, 1), WI_GUARD_STAY);
	for (uint32_t i = 0; i < MEMBERS; i++)
		counts[i] += 30;
	ck_assert_int_eq(check(counts, MEMBERS), WI_GUARD_STAY);
}
END_TEST

/* Member 3 was chosen 5000 times long ago. Then it was away, and now it comes
 * back. */
START_TEST(a_member_that_comes_is_checked_from_its_next_window_on)
{
	uint64_t counts[MEMBERS] = { 0, 0, 0, 5000 };

	wi_guard_restart(guard, counts, 3);
	for (uint32_t i = 0; i < MEMBERS; i++)
		counts[i] += 100;
	ck_assert_int_eq(check(counts, MEMBERS), WI_GUARD_STAY);
	counts[3] += 100;
	ck_assert_int_eq(check(counts, MEMBERS), WI_GUARD_STEP);
}
END_TEST

START_TEST(a_count_that_falls_is_none)
{
	const uint64_t before[MEMBERS] = { 500, 500, 500, 500 };
	const uint64_t after[MEMBERS] = { 600, 600, 600, 499 };

	wi_guard_restart(guard, before, MEMBERS);
	ck_assert_int_eq(check(after, MEMBERS), WI_GUARD_STAY);
}
END_TEST

START_TEST(all_members_are_checked)
{
	uint64_t *counts = calloc(WI_STEER_MEMBERS_MAX, sizeof(*counts));
	ck_assert_ptr_nonnull(counts);
	counts[WI_STEER_MEMBERS_MAX - 1] = 100;
	ck_assert_int_eq(check(counts, WI_STEER_MEMBERS_MAX), WI_GUARD_STEP);
	free(counts);
}
END_TEST

/* ---- when ---- */

START_TEST(it_is_due_once_per_window)
{
	const uint64_t end_ns = START_NS + WINDOW_NS;

	ck_assert(!wi_guard_is_due(guard, START_NS));
	ck_assert(!wi_guard_is_due(guard, end_ns - 1));
	ck_assert(wi_guard_is_due(guard, end_ns));
	ck_assert(!wi_guard_is_due(guard, end_ns));
	ck_assert(!wi_guard_is_due(guard, end_ns + WINDOW_NS - 1));
	ck_assert(wi_guard_is_due(guard, end_ns + WINDOW_NS));
}
END_TEST

/* Idle loops turn rarely: missed windows are not repeated. */
START_TEST(a_late_look_begins_a_whole_window)
{
	const uint64_t late_ns = START_NS + 10 * WINDOW_NS + 3;

	ck_assert(wi_guard_is_due(guard, late_ns));
	ck_assert(!wi_guard_is_due(guard, late_ns + WINDOW_NS - 1));
	ck_assert(wi_guard_is_due(guard, late_ns + WINDOW_NS));
}
END_TEST

/* All threads ask at the very end of the current window, until each has got
 * many windows. */
struct caller {
	pthread_t thread;
	uint64_t told;
};

static struct caller callers[CALLERS];

static bool all_were_told(void)
{
	for (uint32_t i = 0; i < CALLERS; i++)
		if (wi_load_relaxed_u64(&callers[i].told) < TOLD_LEAST)
			return false;
	return true;
}

static void *caller_run(void *ctx)
{
	struct caller *caller = ctx;

	while (!all_were_told()) {
		const uint64_t end_ns =
			wi_load_relaxed_u64(&guard->window_end_ns);
		if (wi_guard_is_due(guard, end_ns))
			wi_counter_add(&caller->told, 1);
	}
	return NULL;
}

START_TEST(of_all_who_ask_one_is_told)
{
	uint64_t told = 0;

	for (uint32_t i = 0; i < CALLERS; i++)
		ck_assert_int_eq(pthread_create(&callers[i].thread, NULL,
						caller_run, &callers[i]),
				 0);
	for (uint32_t i = 0; i < CALLERS; i++) {
		ck_assert_int_eq(pthread_join(callers[i].thread, NULL), 0);
		told += callers[i].told;
	}
	/* Each window that a thread gets moves the end by one. */
	ck_assert_uint_eq(guard->window_end_ns,
			  START_NS + (1 + told) * WINDOW_NS);
}
END_TEST

WI_SUITE(steer_guard, "steer-guard", WI_THREADS | WI_BPF)
{
	TCase *tcase = tcase_create("steer-guard");
	const int case_count = sizeof(result_cases) / sizeof(result_cases[0]);

	tcase_add_checked_fixture(tcase, guard_start, guard_end);
	tcase_add_loop_test(tcase, a_window_is_checked_by_its_largest_share, 0,
			    case_count);
	tcase_add_test(tcase, it_steps_stays_steps_back_and_steps_again);
	tcase_add_test(tcase, quiet_windows_add_up);
	tcase_add_loop_test(tcase, a_share_by_weight_is_no_collapse, 0,
			    sizeof(weight_cases) / sizeof(weight_cases[0]));
	tcase_add_loop_test(tcase,
			    a_heavy_member_goes_back_half_way_to_its_share, 0,
			    sizeof(back_cases) / sizeof(back_cases[0]));
	tcase_add_test(tcase,
		       the_base_moves_on_while_the_guard_is_off_or_alone);
	tcase_add_test(tcase,
		       a_member_that_comes_is_checked_from_its_next_window_on);
	tcase_add_test(tcase, a_count_that_falls_is_none);
	tcase_add_test(tcase, all_members_are_checked);
	tcase_add_test(tcase, it_is_due_once_per_window);
	tcase_add_test(tcase, a_late_look_begins_a_whole_window);
	tcase_add_test(tcase, of_all_who_ask_one_is_told);
	suite_add_tcase(suite, tcase);
}
