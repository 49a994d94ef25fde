/* test_timer.c - the wheel, against a plain list of deadlines
 *
 * Inner loops use ck_abort_msg(): each ck_assert is a message to the parent.
 */
#include "../rig/aborts.h"
#include "../rig/support.h"
#include "../suites.h"
#include "net/core/timer.h"

enum {
	TIMER_COUNT = 512,
	CHANCE_STEPS = 20000,
};

static struct wi_wheel wheel;
static struct wi_timer *wheel_slots[WI_WHEEL_SLOTS];
static struct wi_timer timers[TIMER_COUNT];

static void wheel_start(uint32_t now_tick)
{
	memset(wheel_slots, 0, sizeof(wheel_slots));
	memset(timers, 0, sizeof(timers));
	wi_wheel_init(&wheel, wheel_slots, now_tick);
}

/* Advances to @now_tick. Return: how many timers fired. */
static int fire_all(uint32_t now_tick)
{
	int count = 0;
	while (wi_wheel_next_due(&wheel, now_tick) != NULL)
		count++;
	return count;
}

/* First ticks: also near the wrap-around, and near the change of sign. */
static const uint32_t starts[] = {
	0,
	1,
	63,
	WI_WHEEL_SLOTS - 1,
	INT32_MAX - 5000u,
	(uint32_t)INT32_MAX,
	UINT32_MAX - 5000u,
	UINT32_MAX - 1,
	UINT32_MAX,
};

enum { START_COUNT = sizeof(starts) / sizeof(starts[0]) };

/* Also beyond the wheel's horizon, by several rounds. */
static const uint32_t distances[] = {
	1,
	2,
	63,
	64,
	65,
	1000,
	WI_WHEEL_SLOTS - 2,
	WI_WHEEL_SLOTS - 1,
	WI_WHEEL_SLOTS,
	WI_WHEEL_SLOTS + 1,
	2 * WI_WHEEL_SLOTS - 1,
	2 * WI_WHEEL_SLOTS,
	2 * WI_WHEEL_SLOTS + 77,
	5 * WI_WHEEL_SLOTS + 3,
};

enum { DISTANCE_COUNT = sizeof(distances) / sizeof(distances[0]) };

/* ---- one timer --------------------------------------------------------- */

START_TEST(timer_fires_at_its_tick_when_every_tick_is_looked_at)
{
	const uint32_t start = starts[_i / DISTANCE_COUNT];
	const uint32_t distance = distances[_i % DISTANCE_COUNT];

	wheel_start(start);
	wi_timer_set(&wheel, &timers[0], start + distance);
	for (uint32_t tick = 1; tick < distance; tick++) {
		if (wi_wheel_next_due(&wheel, start + tick) != NULL ||
		    wheel.now_tick != start + tick)
			ck_abort_msg("early: %u of %u ticks", tick, distance);
	}
	ck_assert(wi_timer_is_set(&timers[0]));
	ck_assert_ptr_eq(wi_wheel_next_due(&wheel, start + distance),
			 &timers[0]);
	ck_assert(!wi_timer_is_set(&timers[0]));
	ck_assert_ptr_null(wi_wheel_next_due(&wheel, start + distance));
	ck_assert_uint_eq(wheel.timer_count, 0);
}
END_TEST

START_TEST(timer_fires_at_the_jump_that_reaches_it_and_not_at_the_one_before)
{
	const uint32_t start = starts[_i / DISTANCE_COUNT];
	const uint32_t distance = distances[_i % DISTANCE_COUNT];

	wheel_start(start);
	wi_timer_set(&wheel, &timers[0], start + distance);
	ck_assert_int_eq(fire_all(start + distance - 1), 0);
	ck_assert_int_eq(fire_all(start + distance), 1);

	/* In one jump beyond it, longer than the wheel. */
	wheel_start(start);
	wi_timer_set(&wheel, &timers[0], start + distance);
	ck_assert_int_eq(fire_all(start + distance + 3 * WI_WHEEL_SLOTS), 1);
}
END_TEST

/* As the loop does: sleep as long as the wheel says, advance, repeat. */
START_TEST(timer_is_reached_by_sleeping_as_long_as_the_wheel_says)
{
	const uint32_t start = starts[_i / DISTANCE_COUNT];
	const uint32_t distance = distances[_i % DISTANCE_COUNT];
	uint32_t now = start;
	uint32_t sleeps = 0;

	wheel_start(start);
	wi_timer_set(&wheel, &timers[0], start + distance);
	for (;;) {
		uint32_t ticks = wi_wheel_ticks_to_next(&wheel);
		ck_assert_uint_ge(ticks, 1);
		ck_assert_uint_le(ticks, start + distance - now);
		now += ticks;
		sleeps++;
		if (wi_wheel_next_due(&wheel, now) != NULL)
			break;
	}
	ck_assert_uint_eq(now, start + distance);
	/* Once per round of the wheel, and once for the timer. */
	ck_assert_uint_le(sleeps, distance / (WI_WHEEL_SLOTS - 1) + 1);
	ck_assert_uint_eq(wi_wheel_ticks_to_next(&wheel), UINT32_MAX);
}
END_TEST

static const uint32_t passed_by[] = {
	0, 1, 100, WI_WHEEL_SLOTS, 10 * WI_WHEEL_SLOTS, INT32_MAX
};

START_TEST(timer_whose_tick_has_passed_fires_at_the_next_advance)
{
	for (int i = 0; i < START_COUNT; i++) {
		wheel_start(starts[i]);
		wi_timer_set(&wheel, &timers[0], starts[i] - passed_by[_i]);
		ck_assert_uint_eq(wi_wheel_ticks_to_next(&wheel), 1);
		ck_assert_ptr_null(wi_wheel_next_due(&wheel, starts[i]));
		ck_assert_ptr_eq(wi_wheel_next_due(&wheel, starts[i] + 1),
				 &timers[0]);
	}
}
END_TEST

START_TEST(timer_as_far_away_as_ticks_can_tell_is_not_early)
{
	wheel_start(1000);
	wi_timer_set(&wheel, &timers[0], 1000 + (uint32_t)INT32_MAX);
	ck_assert_int_eq(fire_all(1000 + (uint32_t)INT32_MAX - 1), 0);
	ck_assert_int_eq(fire_all(1000 + (uint32_t)INT32_MAX), 1);
}
END_TEST

START_TEST(wheel_stays_where_it_is_when_time_does_not_move_or_goes_back)
{
	wheel_start(100);
	wi_timer_set(&wheel, &timers[0], 101);
	ck_assert_ptr_null(wi_wheel_next_due(&wheel, 100));
	ck_assert_ptr_null(wi_wheel_next_due(&wheel, 50));
	ck_assert_uint_eq(wheel.now_tick, 100);
	ck_assert_ptr_eq(wi_wheel_next_due(&wheel, 101), &timers[0]);
}
END_TEST

/* ---- set, clear, set anew ---------------------------------------------- */

START_TEST(timer_that_was_cleared_does_not_fire)
{
	wheel_start(7);
	ck_assert(!wi_timer_is_set(&timers[0]));
	wi_timer_clear(&wheel, &timers[0]); /* not set: nothing happens */
	ck_assert_uint_eq(wheel.timer_count, 0);

	wi_timer_set(&wheel, &timers[0], 20);
	ck_assert(wi_timer_is_set(&timers[0]));
	ck_assert_uint_eq(wheel.timer_count, 1);
	wi_timer_clear(&wheel, &timers[0]);
	ck_assert(!wi_timer_is_set(&timers[0]));
	ck_assert_uint_eq(wheel.timer_count, 0);
	ck_assert_uint_eq(wi_wheel_ticks_to_next(&wheel), UINT32_MAX);
	wi_timer_clear(&wheel, &timers[0]);
	ck_assert_int_eq(fire_all(100), 0);
}
END_TEST

START_TEST(timer_cleared_from_any_place_in_its_slot_leaves_the_others)
{
	for (int cleared = 0; cleared < 3; cleared++) {
		wheel_start(0);
		for (int i = 0; i < 3; i++)
			wi_timer_set(&wheel, &timers[i], 5);
		wi_timer_clear(&wheel, &timers[cleared]);
		ck_assert_int_eq(fire_all(4), 0);
		ck_assert_int_eq(fire_all(5), 2);
		for (int i = 0; i < 3; i++)
			ck_assert(!wi_timer_is_set(&timers[i]));
	}
}
END_TEST

static const struct {
	const char *what;
	uint32_t before;
	uint32_t after;
} anew_cases[] = {
	{ "to a later tick", 10, 30 },
	{ "to an earlier tick", 30, 10 },
	{ "to the same tick", 10, 10 },
	{ "over the horizon", 10, 3 * WI_WHEEL_SLOTS },
	{ "back from the horizon", 3 * WI_WHEEL_SLOTS, 10 },
	{ "to the same slot a round later", 10, 10 + WI_WHEEL_SLOTS },
};

START_TEST(timer_set_anew_fires_once_at_its_new_tick)
{
	wheel_start(0);
	wi_timer_set(&wheel, &timers[0], anew_cases[_i].before);
	wi_timer_set(&wheel, &timers[0], anew_cases[_i].after);
	ck_assert_uint_eq(wheel.timer_count, 1);
	ck_assert_int_eq(fire_all(anew_cases[_i].after - 1), 0);
	ck_assert_int_eq(fire_all(anew_cases[_i].after), 1);
	ck_assert_int_eq(fire_all(10 * WI_WHEEL_SLOTS), 0);
}
END_TEST

START_TEST(timer_set_anew_each_time_it_fires_keeps_its_pace)
{
	wheel_start(0);
	wi_timer_set(&wheel, &timers[0], 10);
	for (uint32_t tick = 1; tick <= 20000; tick++) {
		struct wi_timer *due = wi_wheel_next_due(&wheel, tick);
		if (due != (tick % 10 == 0 ? &timers[0] : NULL))
			ck_abort_msg("out of step at tick %u", tick);
		if (due != NULL)
			wi_timer_set(&wheel, due, tick + 10);
	}
}
END_TEST

/* ---- time to sleep ----------------------------------------------------- */

START_TEST(wheel_with_no_timer_has_no_next)
{
	wheel_start(starts[_i]);
	ck_assert_uint_eq(wi_wheel_ticks_to_next(&wheel), UINT32_MAX);
	ck_assert_int_eq(fire_all(starts[_i] + 100000), 0);
	ck_assert_uint_eq(wheel.now_tick, starts[_i] + 100000);
	ck_assert_uint_eq(wi_wheel_ticks_to_next(&wheel), UINT32_MAX);
}
END_TEST

START_TEST(wheel_tells_the_next_of_any_two_slots)
{
	/* Around the limits of its words, and around its end. */
	static const uint32_t near[] = { 1,    2,    62,   63,   64,
					 65,   127,  128,  129,  4031,
					 4032, 4033, 4093, 4094, 4095 };
	const size_t count = sizeof(near) / sizeof(near[0]);
	for (size_t a = 0; a < count; a++) {
		for (size_t b = 0; b < count; b++) {
			uint32_t first = near[a] < near[b] ? near[a] : near[b];
			wheel_start(starts[_i]);
			wi_timer_set(&wheel, &timers[0], starts[_i] + near[a]);
			wi_timer_set(&wheel, &timers[1], starts[_i] + near[b]);
			ck_assert_uint_eq(wi_wheel_ticks_to_next(&wheel),
					  first);
		}
	}
}
END_TEST

/* ---- chance ------------------------------------------------------------ */

static bool is_due(uint32_t due_tick, uint32_t now_tick)
{
	return (int32_t)(due_tick - now_tick) <= 0;
}

static uint32_t chance_distance(uint64_t *state)
{
	switch (wi_random(state) % 4) {
	case 0:
		return wi_random(state) % 64;
	case 1:
		return wi_random(state) % WI_WHEEL_SLOTS;
	case 2:
		return wi_random(state) % (8 * WI_WHEEL_SLOTS);
	default:
		return 0u - wi_random(state) % 100; /* in the past */
	}
}

static uint32_t chance_jump(uint64_t *state)
{
	switch (wi_random(state) % 16) {
	case 0:
		return wi_random(state) % (4 * WI_WHEEL_SLOTS);
	case 1:
	case 2:
		return wi_random(state) % WI_WHEEL_SLOTS;
	case 3:
		return 0;
	default:
		return 1 + wi_random(state) % 8;
	}
}

/* The model: the due tick of each timer that is set. */
static uint32_t due_ticks[TIMER_COUNT];
static bool is_set[TIMER_COUNT];

static void chance_sleep_is_right(uint32_t now)
{
	uint32_t next = UINT32_MAX;
	for (int i = 0; i < TIMER_COUNT; i++) {
		if (!is_set[i])
			continue;
		uint32_t ticks =
			is_due(due_ticks[i], now + 1) ? 1 : due_ticks[i] - now;
		if (ticks < next)
			next = ticks;
	}
	uint32_t got = wi_wheel_ticks_to_next(&wheel);
	ck_assert_uint_ge(got, 1);
	ck_assert_uint_le(got, next);
	ck_assert_int_eq(got == UINT32_MAX, next == UINT32_MAX);
}

static void chance_advance(uint64_t *state, uint32_t now)
{
	struct wi_timer *timer;
	while ((timer = wi_wheel_next_due(&wheel, now)) != NULL) {
		size_t index = (size_t)(timer - timers);
		if (!is_set[index] || wi_timer_is_set(timer) ||
		    !is_due(due_ticks[index], now))
			ck_abort_msg("timer %zu fired at %u, is due at %u",
				     index, now, due_ticks[index]);
		is_set[index] = false;
		/* Some are set again at once, as an idle deadline is. */
		if (wi_random(state) % 4 == 0) {
			due_ticks[index] = now + 1 + wi_random(state) % 9000;
			is_set[index] = true;
			wi_timer_set(&wheel, timer, due_ticks[index]);
		}
	}
}

/* After an advance that moved, no due timer is left. */
static void chance_nothing_is_late(uint32_t now)
{
	uint32_t set_count = 0;
	for (int i = 0; i < TIMER_COUNT; i++) {
		if (wi_timer_is_set(&timers[i]) != is_set[i])
			ck_abort_msg("timer %d is set, or is not", i);
		if (!is_set[i])
			continue;
		set_count++;
		if (is_due(due_ticks[i], now))
			ck_abort_msg("timer %d was due at %u, it is %u", i,
				     due_ticks[i], now);
	}
	ck_assert_uint_eq(wheel.timer_count, set_count);
}

START_TEST(wheel_agrees_with_a_list_of_deadlines_over_random_jumps)
{
	uint64_t state = 0x7177 + (uint64_t)_i;
	uint32_t now = starts[_i];
	memset(is_set, 0, sizeof(is_set));
	wheel_start(now);

	for (int step = 0; step < CHANCE_STEPS; step++) {
		/* In waves: now and then none is left. */
		uint32_t index = wi_random(&state) % TIMER_COUNT;
		if (step % 2000 < 1500 && wi_random(&state) % 3 != 0) {
			due_ticks[index] = now + chance_distance(&state);
			is_set[index] = true;
			wi_timer_set(&wheel, &timers[index], due_ticks[index]);
		} else {
			is_set[index] = false;
			wi_timer_clear(&wheel, &timers[index]);
		}
		if (step % 16 == 0)
			chance_sleep_is_right(now);
		if (wi_random(&state) % 4 != 0)
			continue;
		uint32_t jump = chance_jump(&state);
		now += jump;
		chance_advance(&state, now);
		ck_assert_uint_eq(wheel.now_tick, now);
		if (jump > 0)
			chance_nothing_is_late(now);
	}
	/* At the end, each that is left fires. */
	for (int i = 0; i < 12; i++) {
		now += WI_WHEEL_SLOTS;
		struct wi_timer *timer;
		while ((timer = wi_wheel_next_due(&wheel, now)) != NULL) {
			ck_assert(is_set[timer - timers]);
			is_set[timer - timers] = false;
		}
		chance_nothing_is_late(now);
	}
	ck_assert_uint_eq(wheel.timer_count, 0);
	ck_assert_uint_eq(wi_wheel_ticks_to_next(&wheel), UINT32_MAX);
}
END_TEST

/* ---- ticks ------------------------------------------------------------- */

static const struct {
	uint32_t a;
	uint32_t b;
	bool is_before;
} before_cases[] = {
	{ 0, 0, false },
	{ 0, 1, true },
	{ 1, 0, false },
	{ UINT32_MAX, 0, true },
	{ 0, UINT32_MAX, false },
	{ UINT32_MAX - 10, 10, true },
	{ 5, 5 + (uint32_t)INT32_MAX, true },
	{ 5 + (uint32_t)INT32_MAX, 5, false },
};

START_TEST(ticks_are_compared_by_their_distance)
{
	ck_assert_int_eq(wi_tick_before(before_cases[_i].a, before_cases[_i].b),
			 before_cases[_i].is_before);
}
END_TEST

static const uint32_t deadlines_ms[] = { 1,       9,       10,        11,
					 99,      100,     5000,      75000,
					 4294967, 4294968, UINT32_MAX };

/* A deadline can be set at any moment of a tick, and the wheel knows only
 * ticks. Neither may make it early; the cost is a delay of one tick. */
START_TEST(deadline_in_ms_is_never_early_and_at_most_two_ticks_late)
{
	const uint64_t after_ns = (uint64_t)deadlines_ms[_i] * 1000000;
	static const uint64_t moments_ns[] = { 0, 1, WI_TICK_NS / 2,
					       WI_TICK_NS - 1 };
	for (size_t i = 0; i < sizeof(moments_ns) / sizeof(moments_ns[0]);
	     i++) {
		uint64_t set_ns = 1000 * (uint64_t)WI_TICK_NS + moments_ns[i];
		uint32_t now_tick = (uint32_t)(set_ns / WI_TICK_NS);
		uint64_t due_tick =
			(uint64_t)now_tick + wi_ticks_from_ms(deadlines_ms[_i]);
		uint64_t fires_ns = due_tick * WI_TICK_NS;
		ck_assert_uint_ge(fires_ns, set_ns + after_ns);
		ck_assert_uint_lt(fires_ns,
				  set_ns + after_ns + (uint64_t)2 * WI_TICK_NS);
	}
}
END_TEST

static const struct {
	const char *what;
	uint64_t now_ticks; /* since the start, not wrapped */
	int64_t ahead_ticks;
} tick_ns_cases[] = {
	{ "the start itself", 0, 0 },
	{ "this very tick", 1000, 0 },
	{ "one to come", 1000, 1 },
	{ "one that has passed", 1000, -1 },
	{ "the other side of the wrap, to come", UINT32_MAX - 10, 100 },
	{ "the other side of the wrap, passed", UINT64_C(0x100000005), -100 },
	{ "497 days on, to come", UINT64_C(0x100000000), 7500 },
	{ "many wraps on, passed", UINT64_C(0x700000123), -7500 },
	{ "as far ahead as can be told", 77, INT32_MAX },
	{ "as far back as can be told", UINT64_C(0x180000000), INT32_MIN },
};

START_TEST(tick_begins_at_the_time_that_is_nearest_of_its_name)
{
	static const uint64_t starts_ns[] = { 0, 123456789, UINT64_C(1) << 60 };
	static const uint64_t moments_ns[] = { 0, WI_TICK_NS - 1 };
	const uint64_t now_ticks = tick_ns_cases[_i].now_ticks;
	const uint64_t want_ticks =
		now_ticks + (uint64_t)tick_ns_cases[_i].ahead_ticks;

	for (int i = 0; i < 6; i++) {
		uint64_t start_ns = starts_ns[i / 2];
		uint64_t now_ns =
			start_ns + now_ticks * WI_TICK_NS + moments_ns[i % 2];
		uint64_t want_ns = start_ns + want_ticks * WI_TICK_NS;
		uint64_t got_ns =
			wi_tick_ns(start_ns, now_ns, (uint32_t)want_ticks);
		ck_assert_msg(got_ns == want_ns, "%s: got %llu, want %llu",
			      tick_ns_cases[_i].what,
			      (unsigned long long)got_ns,
			      (unsigned long long)want_ns);
	}
}
END_TEST

/* ---- misuse ------------------------------------------------------------ */

static void misuse_foreign_wheel(void *ctx)
{
	static struct wi_timer *other_slots[WI_WHEEL_SLOTS];
	struct wi_wheel other;
	(void)ctx;
	wheel_start(0);
	wi_wheel_init(&other, other_slots, 0);
	wi_timer_set(&wheel, &timers[0], 5);
	wi_timer_clear(&other, &timers[0]);
}

START_TEST(timer_cleared_from_a_wheel_that_has_none_aborts)
{
	ck_assert(wi_aborts(misuse_foreign_wheel, NULL));
}
END_TEST

WI_SUITE(timer, "timer", 0)
{
	TCase *one = tcase_create("one timer");
	TCase *anew = tcase_create("clear and set anew");
	TCase *chance = tcase_create("chance");
	TCase *ticks = tcase_create("ticks");

	tcase_set_timeout(one, 60); /* seconds; valgrind needs longer */
	tcase_add_loop_test(
		one, timer_fires_at_its_tick_when_every_tick_is_looked_at, 0,
		START_COUNT * DISTANCE_COUNT);
	tcase_add_loop_test(
		one,
		timer_fires_at_the_jump_that_reaches_it_and_not_at_the_one_before,
		0, START_COUNT * DISTANCE_COUNT);
	tcase_add_loop_test(
		one, timer_is_reached_by_sleeping_as_long_as_the_wheel_says, 0,
		START_COUNT * DISTANCE_COUNT);
	tcase_add_loop_test(
		one, timer_whose_tick_has_passed_fires_at_the_next_advance, 0,
		sizeof(passed_by) / sizeof(passed_by[0]));
	tcase_add_test(one, timer_as_far_away_as_ticks_can_tell_is_not_early);
	tcase_add_test(
		one,
		wheel_stays_where_it_is_when_time_does_not_move_or_goes_back);
	suite_add_tcase(suite, one);

	tcase_add_test(anew, timer_that_was_cleared_does_not_fire);
	tcase_add_test(
		anew,
		timer_cleared_from_any_place_in_its_slot_leaves_the_others);
	tcase_add_loop_test(anew, timer_set_anew_fires_once_at_its_new_tick, 0,
			    sizeof(anew_cases) / sizeof(anew_cases[0]));
	tcase_add_test(anew, timer_set_anew_each_time_it_fires_keeps_its_pace);
	tcase_add_loop_test(anew, wheel_with_no_timer_has_no_next, 0,
			    START_COUNT);
	tcase_add_loop_test(anew, wheel_tells_the_next_of_any_two_slots, 0,
			    START_COUNT);
	tcase_add_test(anew, timer_cleared_from_a_wheel_that_has_none_aborts);
	suite_add_tcase(suite, anew);

	tcase_set_timeout(chance, 60);
	tcase_add_loop_test(
		chance, wheel_agrees_with_a_list_of_deadlines_over_random_jumps,
		0, START_COUNT);
	suite_add_tcase(suite, chance);

	tcase_add_loop_test(ticks, ticks_are_compared_by_their_distance, 0,
			    sizeof(before_cases) / sizeof(before_cases[0]));
	tcase_add_loop_test(
		ticks, deadline_in_ms_is_never_early_and_at_most_two_ticks_late,
		0, sizeof(deadlines_ms) / sizeof(deadlines_ms[0]));
	tcase_add_loop_test(
		ticks, tick_begins_at_the_time_that_is_nearest_of_its_name, 0,
		sizeof(tick_ns_cases) / sizeof(tick_ns_cases[0]));
	suite_add_tcase(suite, ticks);
}
