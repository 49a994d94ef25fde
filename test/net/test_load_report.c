/* test_load_report.c - a loop's load report, turn by turn, without a ring */
#include "../rig/support.h"
#include "../suites.h"
#include "net/core/core.h"
#include "net/loop/load_report.h"
#include "net/steer/steer_priv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { NS_PER_TICK = WI_TICK_NS, TICKS_PER_S = WI_TICKS_PER_S };

static struct wi_core core;
static struct wi_load_report report;
static uint32_t open_count;

/* A loop without work; its clock is far from zero. */
static struct wi_steer_member *load_start(void)
{
	memset(&core, 0, sizeof(core));
	memset(&report, 0, sizeof(report));
	open_count = 0;
	core.clock.now_tick = 1000;
	core.clock.now_ns = (uint64_t)core.clock.now_tick * NS_PER_TICK;
	wi_load_report_init(&report);
	return report.member;
}

static void turn_after(uint32_t ticks, uint32_t recvs)
{
	core.clock.now_tick += ticks;
	core.clock.now_ns += (uint64_t)ticks * NS_PER_TICK;
	wi_load_report_turn(&report, &core, open_count, recvs);
}

START_TEST(work_decays_to_a_third_in_160_ms_and_to_nothing)
{
	const struct wi_steer_member *member = load_start();
	turn_after(0, 3000);
	ck_assert_uint_eq(member->work, 3000);
	turn_after(0, 500);
	ck_assert_uint_eq(member->work, 3500);
	for (int i = 0; i < 16; i++)
		turn_after(1, 0);
	ck_assert_uint_ge(member->work, 3500 * 34 / 100);
	ck_assert_uint_le(member->work, 3500 * 36 / 100);
	/* One long sleep counts like many short ones. */
	const uint32_t before = member->work;
	turn_after(3, 0);
	const uint32_t at_once = member->work;
	report.work = before;
	for (int i = 0; i < 3; i++)
		turn_after(1, 0);
	ck_assert_uint_eq(member->work, at_once);
	turn_after(65, 7);
	ck_assert_uint_eq(member->work, 7);
	turn_after(20, 0);
	ck_assert_uint_eq(member->work, 0);
}
END_TEST

START_TEST(a_turn_publishes_connections_and_the_time)
{
	const struct wi_steer_member *member = load_start();
	open_count = 12;
	turn_after(3, 0);
	ck_assert_uint_eq(member->open_count, 12);
	ck_assert_uint_eq(member->published_ms, 10030);
}
END_TEST

START_TEST(what_arrives_is_settled_and_never_more_than_was_sent)
{
	struct wi_steer_member *member = load_start();
	core.stats.accepts = 5; /* from earlier: not counted */
	turn_after(1, 0);
	ck_assert_uint_eq(member->settled, 0);
	member->sent = 3;
	core.stats.accepts = 7;
	turn_after(1, 0);
	ck_assert_uint_eq(member->settled, 2);
	core.stats.accepts = 10;
	turn_after(1, 0);
	ck_assert_uint_eq(member->settled, 3);
	ck_assert_uint_eq(wi_load_report_due_ns(&report), UINT64_MAX);
}
END_TEST

START_TEST(who_was_sent_and_never_came_is_given_up_after_250_ms)
{
	struct wi_steer_member *member = load_start();
	turn_after(10 * TICKS_PER_S, 0); /* idle for long before it */
	member->sent = 4;
	turn_after(0, 0);
	ck_assert_uint_eq(member->settled, 0);
	const uint64_t due_ns = core.clock.now_ns + 250 * 1000 * 1000;
	ck_assert_uint_eq(wi_load_report_due_ns(&report), due_ns);
	turn_after(24, 0);
	ck_assert_uint_eq(member->settled, 0);
	turn_after(1, 0);
	ck_assert_uint_eq(member->settled, 4);
	ck_assert_uint_eq(wi_load_report_due_ns(&report), UINT64_MAX);

	/* An arrival does not postpone the others; those sent later have a wait
	 * of their own. */
	member->sent = 6;
	turn_after(1, 0);
	member->sent = 8;
	core.stats.accepts = 1;
	turn_after(24, 0);
	ck_assert_uint_eq(member->settled, 5);
	turn_after(1, 0);
	ck_assert_uint_eq(member->settled, 6);
	turn_after(24, 0);
	ck_assert_uint_eq(member->settled, 6);
	turn_after(1, 0);
	ck_assert_uint_eq(member->settled, 8);
}
END_TEST

/* They arrive in the very turn in which the wait for them ends. */
START_TEST(who_comes_at_the_end_of_the_wait_is_not_given_up_as_well)
{
	struct wi_steer_member *member = load_start();
	member->sent = 2;
	turn_after(0, 0);
	member->sent = 9;
	core.stats.accepts = 3;
	turn_after(25, 0);
	ck_assert_uint_eq(member->settled, 3);
}
END_TEST

static char told[200];

static void note_line(const char *line, void *ctx)
{
	ck_assert_ptr_eq(ctx, &report);
	(void)snprintf(told, sizeof(told), "%s", line);
}

/* All arrivals of the window went to member 0 of two, or half of them. */
static void guard_window(struct wi_steer_row *row, bool is_spread)
{
	for (int member = 0; member < (is_spread ? 2 : 1); member++) {
		row->chosen[member] += 1000;
		row->requested[member] += 1000;
	}
	turn_after(2 * TICKS_PER_S, 0);
}

START_TEST(a_step_of_the_guard_is_told_if_anybody_listens)
{
	static struct wi_steer_state state;
	static struct wi_steer_row row;
	struct weir_steer *steer = calloc(1, sizeof(*steer));
	ck_assert_ptr_nonnull(steer);
	(void)load_start();
	steer->state = &state;
	steer->rows = &row;
	steer->row_count = 1;
	steer->opts.policy = WEIR_STEER_CPU;
	steer->opts.guard_percent = 75;
	ck_assert_int_eq(pthread_mutex_init(&steer->guard_lock, NULL), 0);
	state.policy = WI_STEER_CPU;
	state.member_count = 2;
	state.members[0].weight = 1;
	state.members[1].weight = 1;
	wi_guard_init(&steer->guard, 75, 1000, core.clock.now_ns);
	wi_load_report_join(&report, steer, 0);
	report.log_ctx = &report;

	/* Another loop holds the lock: this window is not checked, the next one
	 * is. */
	ck_assert_int_eq(pthread_mutex_lock(&steer->guard_lock), 0);
	guard_window(&row, false);
	ck_assert_int_eq(pthread_mutex_unlock(&steer->guard_lock), 0);
	ck_assert_uint_eq(state.is_stepped, 0);
	for (int i = 0; i < 2; i++) {
		told[0] = '\0';
		report.on_log = i == 0 ? NULL : note_line;
		guard_window(&row, false);
		ck_assert_uint_eq(state.is_stepped, 1);
		ck_assert_str_eq(told, i == 0 ? ""
					      : "steering: more than 75 % of "
						"the new connections went to "
						"one loop; least-loaded until "
						"that ends");
		guard_window(&row, true);
		ck_assert_uint_eq(state.is_stepped, 0);
		ck_assert_str_eq(told, i == 0 ? ""
					      : "steering: the cause is gone; "
						"back to cpu");
	}
	ck_assert_int_eq(pthread_mutex_destroy(&steer->guard_lock), 0);
	free(steer);
}
END_TEST

START_TEST(a_loop_that_takes_a_place_starts_without_what_was_left_there)
{
	struct wi_steer_member *member = load_start();
	static struct wi_steer_state state;
	struct weir_steer *steer = calloc(1, sizeof(*steer));
	ck_assert_ptr_nonnull(steer);
	steer->state = &state;
	state.members[3] = (struct wi_steer_member){
		.sent = 9, .settled = 7, .open_count = 40, .work = 50
	};
	wi_load_report_join(&report, steer, 3);
	ck_assert_ptr_eq(report.member, &state.members[3]);
	ck_assert_ptr_ne(report.member, member);
	ck_assert_uint_eq(state.members[3].settled, 9);
	ck_assert_uint_eq(state.members[3].open_count, 0);
	ck_assert_uint_eq(state.members[3].work, 0);
	turn_after(1, 2); /* without a program the guard does nothing */
	ck_assert_uint_eq(state.members[3].work, 2);
	free(steer);
}
END_TEST

WI_SUITE(load_report, "load-report", 0)
{
	TCase *tcase = tcase_create("load");
	tcase_add_test(tcase, work_decays_to_a_third_in_160_ms_and_to_nothing);
	tcase_add_test(tcase, a_turn_publishes_connections_and_the_time);
	tcase_add_test(tcase,
		       what_arrives_is_settled_and_never_more_than_was_sent);
	tcase_add_test(tcase,
		       who_was_sent_and_never_came_is_given_up_after_250_ms);
	tcase_add_test(
		tcase,
		a_loop_that_takes_a_place_starts_without_what_was_left_there);
	tcase_add_test(
		tcase,
		who_comes_at_the_end_of_the_wait_is_not_given_up_as_well);
	tcase_add_test(tcase, a_step_of_the_guard_is_told_if_anybody_listens);
	suite_add_tcase(suite, tcase);
}
