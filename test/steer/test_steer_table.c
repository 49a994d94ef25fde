/* test_steer_table.c - turns, buckets and CPUs, from weights
 *
 * Inner loops use ck_abort_msg(): each ck_assert is a message to the parent.
 */
#include "../suites.h"
#include "net/steer/steer_table.h"
#include "uring/barrier.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	NONE = WI_STEER_NO_MEMBER,
	SET_MAX = 8,
	RANDOM_SETS = 200,
	FILLS = 2000,
};

static struct wi_steer_state *state;

static void state_start(void)
{
	state = calloc(1, sizeof(*state));
	ck_assert_ptr_nonnull(state);
}

static void state_end(void)
{
	free(state);
	state = NULL;
}

struct weights {
	const char *when;
	uint32_t count;
	uint32_t of[SET_MAX];
};

static void fill(const struct weights *weights)
{
	state->member_count = weights->count;
	for (uint32_t i = 0; i < weights->count; i++)
		state->members[i].weight = weights->of[i];
	wi_steer_table_fill(state);
}

static void fill_equal(uint32_t count, uint32_t weight)
{
	state->member_count = count;
	for (uint32_t i = 0; i < count; i++)
		state->members[i].weight = weight;
	wi_steer_table_fill(state);
}

static uint32_t weight_sum(void)
{
	uint32_t sum = 0;
	for (uint32_t i = 0; i < state->member_count; i++)
		sum += state->members[i].weight;
	return sum;
}

/* Fills @counts, shape [MEMBERS_MAX]: turns of each member in one round, as the
 * rule reads them. */
static void count_turns(uint32_t *counts)
{
	memset(counts, 0, WI_STEER_MEMBERS_MAX * sizeof(*counts));
	for (uint32_t step = 0; step < state->turn_count; step++) {
		const uint32_t member = wi_steer_by_step(state, step);
		if (member >= state->member_count)
			ck_abort_msg("turn %u: member %u", step, member);
		counts[member]++;
	}
}

static void count_buckets(uint32_t *counts)
{
	memset(counts, 0, WI_STEER_MEMBERS_MAX * sizeof(*counts));
	for (uint32_t i = 0; i < WI_STEER_BUCKETS; i++) {
		const uint32_t member = wi_steer_by_source(state, i);
		if (member >= state->member_count)
			ck_abort_msg("bucket %u: member %u", i, member);
		counts[member]++;
	}
}

/* ---- sets of weights ---- */

static const struct weights sets[] = {
	{ "one member", 1, { 1 } },
	{ "one member, heavy", 1, { 1000 } },
	{ "two equal", 2, { 1, 1 } },
	{ "two equal, not of 1", 2, { 600, 600 } },
	{ "the largest and the smallest", 2, { 1000, 1 } },
	{ "nginx's example", 3, { 5, 1, 1 } },
	{ "one is drained", 3, { 2, 0, 1 } },
	{ "the first is drained", 4, { 0, 7, 7, 7 } },
	{ "all but the last are drained", 5, { 0, 0, 0, 0, 3 } },
	{ "a common divisor", 4, { 100, 200, 300, 400 } },
	{ "no common divisor", 5, { 7, 11, 13, 17, 19 } },
	{ "eight equal", 8, { 1, 1, 1, 1, 1, 1, 1, 1 } },
	{ "eight of a kind", 8, { 1, 2, 3, 4, 5, 6, 7, 8 } },
	{ "a round of just the most turns", 5, { 1000, 1000, 1000, 999, 97 } },
};

enum { SET_COUNT = sizeof(sets) / sizeof(sets[0]) };

static void turns_check(const char *when)
{
	static uint32_t counts[WI_STEER_MEMBERS_MAX];
	const uint32_t sum = weight_sum();

	count_turns(counts);
	for (uint32_t i = 0; i < state->member_count; i++)
		if ((uint64_t)counts[i] * sum !=
		    (uint64_t)state->members[i].weight * state->turn_count)
			ck_abort_msg("when %s: member %u has %u of %u turns, "
				     "weight %u of %u",
				     when, i, counts[i], state->turn_count,
				     state->members[i].weight, sum);
}

START_TEST(turns_of_a_round_are_exactly_the_weights)
{
	fill(&sets[_i]);
	ck_assert_uint_gt(state->turn_count, 0);
	ck_assert_uint_le(state->turn_count, WI_STEER_STEPS_MAX);
	turns_check(sets[_i].when);
}
END_TEST

START_TEST(weights_are_divided_by_what_they_share)
{
	fill(&(struct weights){ "", 4, { 100, 200, 0, 400 } });
	ck_assert_uint_eq(state->turn_count, 7);
	fill(&(struct weights){ "", 3, { 1000, 1000, 1000 } });
	ck_assert_uint_eq(state->turn_count, 3);
	fill(&(struct weights){ "", 1, { 1000 } });
	ck_assert_uint_eq(state->turn_count, 1);
}
END_TEST

START_TEST(turns_are_in_nginx_order)
{
	static const uint16_t want[] = { 0, 0, 1, 0, 2, 0, 0 };
	fill(&(struct weights){ "", 3, { 5, 1, 1 } });
	ck_assert_uint_eq(state->turn_count, 7);
	for (uint32_t i = 0; i < 7; i++)
		ck_assert_uint_eq(state->turns[i], want[i]);
}
END_TEST

/* Over two rounds: no member waits for its next turn longer than its even
 * distance, plus @late_percent of that, plus two turns. */
static void waits_check(const char *when, uint32_t late_percent)
{
	static uint32_t counts[WI_STEER_MEMBERS_MAX];
	static uint32_t last[WI_STEER_MEMBERS_MAX];
	const uint32_t count = state->turn_count;

	count_turns(counts);
	memset(last, 0xff, sizeof(last));
	for (uint32_t step = 0; step < 2 * count; step++) {
		const uint32_t member = wi_steer_by_step(state, step);
		const uint32_t even =
			(count + counts[member] - 1) / counts[member];
		const uint32_t late = even * late_percent / 100 + 2;
		const uint32_t wait = step - last[member];
		if (last[member] != UINT32_MAX && wait > even + late)
			ck_abort_msg("when %s: member %u waits %u turns, even "
				     "is %u",
				     when, member, wait, even);
		last[member] = step;
	}
}

START_TEST(turns_of_a_member_are_spread_evenly)
{
	fill(&sets[_i]);
	waits_check(sets[_i].when, 10);
}
END_TEST

/* With a generator of its own: the same sets in each run. */
static void random_set(struct weights *out_weights, uint32_t *chance,
		       uint32_t most)
{
	*chance = *chance * 1664525u + 1013904223u;
	out_weights->when = "made by chance";
	out_weights->count = 2 + (*chance >> 16) % (SET_MAX - 1);
	for (uint32_t i = 0; i < out_weights->count; i++) {
		*chance = *chance * 1664525u + 1013904223u;
		out_weights->of[i] = 1 + (*chance >> 16) % most;
	}
}

static void shares_check(const char *when);

START_TEST(random_weights_are_met_too)
{
	static const uint32_t mosts[] = { 3, 10, 100, 500 };
	uint32_t chance = 1;
	struct weights weights;

	for (uint32_t i = 0; i < RANDOM_SETS; i++) {
		random_set(&weights, &chance, mosts[i % 4]);
		fill(&weights);
		turns_check(weights.when);
		/* Of 4000 such sets the worst is 60: the order is greedy. */
		waits_check(weights.when, 60);
		shares_check(weights.when);
	}
}
END_TEST

/* ---- sums beyond the table ---- */

START_TEST(weights_beyond_the_table_are_scaled_down)
{
	static const struct weights heavy = {
		"", 8, { 1000, 999, 998, 997, 500, 499, 3, 1 }
	};
	static uint32_t counts[WI_STEER_MEMBERS_MAX];

	fill(&heavy);
	ck_assert_uint_le(state->turn_count, WI_STEER_STEPS_MAX);
	ck_assert_uint_gt(state->turn_count, WI_STEER_STEPS_MAX - 8);
	count_turns(counts);
	for (uint32_t i = 0; i < 8; i++) {
		const double want =
			(double)heavy.of[i] * WI_STEER_STEPS_MAX / weight_sum();
		ck_assert_double_ge(counts[i] + 1.01, want);
		ck_assert_double_le(counts[i] - 1.0, want);
	}
	ck_assert_uint_eq(counts[7], 1);
	waits_check("sum beyond the table", 20);
	shares_check("sum beyond the table");
}
END_TEST

START_TEST(one_turn_more_than_the_table_is_scaled_down)
{
	fill(&(struct weights){ "", 5, { 1000, 1000, 1000, 1000, 97 } });
	ck_assert_uint_le(state->turn_count, WI_STEER_STEPS_MAX);
	ck_assert_uint_gt(state->turn_count, WI_STEER_STEPS_MAX - 5);
}
END_TEST

START_TEST(a_thousand_equal_members_get_equal_turns)
{
	static uint32_t counts[WI_STEER_MEMBERS_MAX];

	fill_equal(WI_STEER_MEMBERS_MAX, 1000);
	ck_assert_uint_eq(state->turn_count, WI_STEER_MEMBERS_MAX);
	turns_check("all equal");
	count_buckets(counts);
	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++)
		if (counts[i] != WI_STEER_BUCKETS / WI_STEER_MEMBERS_MAX)
			ck_abort_msg("member %u: %u buckets", i, counts[i]);
}
END_TEST

/* Each member gets a turn, however light; equal weights get equal turns, a
 * heavier member never fewer. */
START_TEST(a_thousand_members_of_any_weight_all_get_turns)
{
	static uint32_t counts[WI_STEER_MEMBERS_MAX];
	static uint32_t turns_by_weight[WI_STEER_MEMBERS_MAX];

	state->member_count = WI_STEER_MEMBERS_MAX;
	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++)
		state->members[i].weight = 1 + i * 7919 % 1000;
	wi_steer_table_fill(state);
	ck_assert_uint_le(state->turn_count, WI_STEER_STEPS_MAX);
	count_turns(counts);
	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++) {
		uint32_t *turns = &turns_by_weight[state->members[i].weight];
		if (counts[i] == 0 || (*turns != 0 && *turns != counts[i]))
			ck_abort_msg("member %u: %u turns", i, counts[i]);
		*turns = counts[i];
	}
	for (uint32_t weight = 2; weight <= 1000; weight++)
		ck_assert_uint_ge(turns_by_weight[weight],
				  turns_by_weight[weight - 1]);
	ck_assert_uint_ge(turns_by_weight[1000] / 5, turns_by_weight[1]);
	count_buckets(counts);
	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++)
		if (counts[i] == 0)
			ck_abort_msg("member %u has no bucket", i);
}
END_TEST

START_TEST(one_heavy_member_among_a_thousand_light_ones)
{
	static uint32_t counts[WI_STEER_MEMBERS_MAX];

	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++)
		state->members[i].weight = i == 500 ? 1000 : 1;
	state->member_count = WI_STEER_MEMBERS_MAX;
	wi_steer_table_fill(state);
	turns_check("one is heavy");
	count_turns(counts);
	ck_assert_uint_eq(counts[500], 1000);
}
END_TEST

/* ---- none ---- */

static void none_check(void)
{
	const struct wi_steer_facts facts = { .step = 3, .source = 77 };

	ck_assert_uint_eq(state->turn_count, 0);
	for (uint32_t i = 0; i < WI_STEER_BUCKETS; i++)
		if (state->buckets[i] != NONE)
			ck_abort_msg("bucket %u: %u", i, state->buckets[i]);
	/* Also for a reader that has read an older count. */
	for (uint32_t i = 0; i < WI_STEER_STEPS_MAX; i++)
		if (state->turns[i] != NONE)
			ck_abort_msg("turn %u: %u", i, state->turns[i]);
	for (uint32_t policy = 0; policy <= WI_STEER_SOURCE_HASH; policy++)
		ck_assert_uint_eq(wi_steer_choose(state, policy, &facts), NONE);
}

START_TEST(no_weight_at_all_is_no_member_at_all)
{
	fill_equal(3, 0);
	none_check();
	fill_equal(0, 0);
	none_check();
	fill_equal(WI_STEER_MEMBERS_MAX, 0);
	none_check();
	fill_equal(3, 5); /* the loops come and go */
	ck_assert_uint_eq(state->turn_count, 3);
	fill_equal(3, 0);
	none_check();
}
END_TEST

/* ---- what is left of an older table ---- */

START_TEST(no_slot_keeps_a_member_that_has_left)
{
	fill(&(struct weights){ "", 4, { 7, 11, 13, 17 } });
	fill(&(struct weights){ "", 4, { 1, 0, 1, 1 } });
	for (uint32_t i = 0; i < WI_STEER_STEPS_MAX; i++)
		if (state->turns[i] == 1 || state->turns[i] >= 4)
			ck_abort_msg("turn %u: %u", i, state->turns[i]);
	for (uint32_t i = 0; i < WI_STEER_BUCKETS; i++)
		if (state->buckets[i] == 1)
			ck_abort_msg("bucket %u", i);
}
END_TEST

START_TEST(tables_follow_from_the_weights_alone)
{
	static uint16_t turns[WI_STEER_STEPS_MAX];
	static uint16_t buckets[WI_STEER_BUCKETS];
	static const struct weights weights = { "", 4, { 3, 1, 2, 5 } };

	fill(&weights);
	memcpy(turns, state->turns, sizeof(turns));
	memcpy(buckets, state->buckets, sizeof(buckets));
	fill_equal(4, 0);
	fill_equal(8, 9);
	for (uint32_t i = 4; i < 8; i++)
		state->members[i].weight = 0;
	fill(&weights);
	ck_assert_mem_eq(turns, state->turns, sizeof(turns));
	ck_assert_mem_eq(buckets, state->buckets, sizeof(buckets));
}
END_TEST

/* ---- buckets ---- */

/* Within a thousandth of all: well inside the limit of 1 %. */
static void shares_check(const char *when)
{
	static uint32_t counts[WI_STEER_MEMBERS_MAX];
	const uint32_t sum = weight_sum();

	count_buckets(counts);
	for (uint32_t i = 0; i < state->member_count; i++) {
		const double want = (double)state->members[i].weight / sum;
		const double got = (double)counts[i] / WI_STEER_BUCKETS;
		if (got - want > 0.001 || want - got > 0.001)
			ck_abort_msg("when %s: member %u has %.4f, want %.4f",
				     when, i, got, want);
	}
}

START_TEST(shares_of_the_buckets_are_the_weights)
{
	fill(&sets[_i]);
	shares_check(sets[_i].when);
}
END_TEST

/* The part of the buckets in @before that did not belong to @but and have moved
 * to another member. */
static double moved_part(const uint16_t *before, uint32_t but)
{
	uint32_t all = 0;
	uint32_t moved = 0;

	for (uint32_t i = 0; i < WI_STEER_BUCKETS; i++) {
		if (before[i] == but)
			continue;
		all++;
		moved += state->buckets[i] != before[i];
	}
	return all == 0 ? 0 : (double)moved / all;
}

static const uint32_t member_counts[] = { 2, 3, 4, 5, 8, 16, 64, 256, 1024 };

/* hash modulo members would move (n - 1) / n of them. */
START_TEST(few_buckets_move_when_a_member_leaves_and_when_it_is_back)
{
	static uint16_t before[WI_STEER_BUCKETS];
	static uint16_t without[WI_STEER_BUCKETS];
	const uint32_t count = member_counts[_i];
	const uint32_t stride = count > 16 ? count / 16 : 1;

	fill_equal(count, 1);
	memcpy(before, state->buckets, sizeof(before));
	for (uint32_t leaver = 0; leaver < count; leaver += stride) {
		state->members[leaver].weight = 0;
		wi_steer_table_fill(state);
		const double moved = moved_part(before, leaver);
		if (moved > 0.02)
			ck_abort_msg("member %u of %u leaves: %.4f", leaver,
				     count, moved);
		memcpy(without, state->buckets, sizeof(without));
		state->members[leaver].weight = 1;
		wi_steer_table_fill(state);
		ck_assert_mem_eq(before, state->buckets, sizeof(before));
	}
}
END_TEST

START_TEST(few_buckets_move_when_a_member_is_added_at_the_end)
{
	static uint16_t before[WI_STEER_BUCKETS];
	uint32_t moved = 0;

	fill_equal(7, 1);
	memcpy(before, state->buckets, sizeof(before));
	fill_equal(8, 1);
	for (uint32_t i = 0; i < WI_STEER_BUCKETS; i++)
		moved += state->buckets[i] != before[i] &&
			 state->buckets[i] != 7;
	ck_assert_uint_lt(moved, WI_STEER_BUCKETS / 50);
}
END_TEST

START_TEST(few_buckets_move_when_weights_are_unequal)
{
	static uint16_t before[WI_STEER_BUCKETS];
	uint32_t chance = 7;
	struct weights weights;

	for (uint32_t i = 0; i < RANDOM_SETS; i++) {
		random_set(&weights, &chance, i % 2 ? 1000 : 10);
		const uint32_t leaver = chance % weights.count;
		fill(&weights);
		memcpy(before, state->buckets, sizeof(before));
		state->members[leaver].weight = 0;
		wi_steer_table_fill(state);
		const double moved = moved_part(before, leaver);
		if (moved > 0.04)
			ck_abort_msg("set %u, member %u leaves: %.4f", i,
				     leaver, moved);
	}
}
END_TEST

START_TEST(a_weight_that_changes_moves_little_more_than_its_share)
{
	static uint16_t before[WI_STEER_BUCKETS];

	fill(&(struct weights){ "", 4, { 10, 10, 10, 10 } });
	memcpy(before, state->buckets, sizeof(before));
	fill(&(struct weights){ "", 4, { 10, 10, 10, 5 } });
	/* Member 0's share falls from 1/4 to 5/35: a tenth of all. */
	ck_assert_double_lt(moved_part(before, NONE), 0.11 + 0.02);
	ck_assert_double_gt(moved_part(before, NONE), 0.10);
}
END_TEST

/* ---- CPUs ---- */

START_TEST(cpus_know_their_members)
{
	static const int cpus[] = { 3, -1, 3, 0, 1023, 3, 1024, -7 };

	fill_equal(8, 1);
	state->members[2].weight = 0;
	ck_assert(wi_steer_table_fill_cpus(state, cpus));
	ck_assert_uint_eq(state->cpu_member_count[0], 1);
	ck_assert_uint_eq(state->cpu_members[0][0], 3);
	ck_assert_uint_eq(state->cpu_member_count[3], 2);
	ck_assert_uint_eq(state->cpu_members[3][0], 0);
	ck_assert_uint_eq(state->cpu_members[3][1], 5);
	ck_assert_uint_eq(state->cpu_member_count[1023], 1);
	ck_assert_uint_eq(state->cpu_members[1023][0], 4);
	for (uint32_t cpu = 0; cpu < WI_STEER_CPUS_MAX; cpu++)
		if (state->cpu_member_count[cpu] != 0 && cpu != 0 && cpu != 3 &&
		    cpu != 1023)
			ck_abort_msg("CPU %u", cpu);
}
END_TEST

START_TEST(a_cpu_that_loses_its_members_gives_to_all_in_turn)
{
	static const int cpus[] = { 5, 6 };

	fill_equal(2, 1);
	ck_assert(wi_steer_table_fill_cpus(state, cpus));
	ck_assert_uint_eq(wi_steer_by_cpu(state, 5, 1), 0);
	state->members[0].weight = 0;
	wi_steer_table_fill(state);
	ck_assert(wi_steer_table_fill_cpus(state, cpus));
	ck_assert_uint_eq(state->cpu_member_count[5], 0);
	for (uint32_t i = 0; i < WI_STEER_PER_CPU_MAX; i++)
		ck_assert_uint_eq(state->cpu_members[5][i], NONE);
	ck_assert_uint_eq(wi_steer_by_cpu(state, 5, 1), 1);
}
END_TEST

START_TEST(no_slot_of_a_cpu_keeps_a_member_that_has_left)
{
	static const int cpus[] = { 5, 5, 5 };

	fill_equal(3, 1);
	ck_assert(wi_steer_table_fill_cpus(state, cpus));
	state->members[1].weight = 0;
	ck_assert(wi_steer_table_fill_cpus(state, cpus));
	ck_assert_uint_eq(state->cpu_member_count[5], 2);
	for (uint32_t i = 0; i < WI_STEER_PER_CPU_MAX; i++)
		ck_assert_uint_eq(state->cpu_members[5][i], i % 2 == 0 ? 0 : 2);
}
END_TEST

START_TEST(more_members_than_fit_on_a_cpu_are_left_out_and_said)
{
	int cpus[WI_STEER_PER_CPU_MAX + 2];

	for (uint32_t i = 0; i < WI_STEER_PER_CPU_MAX + 2; i++)
		cpus[i] = 9;
	fill_equal(WI_STEER_PER_CPU_MAX, 1);
	ck_assert(wi_steer_table_fill_cpus(state, cpus));
	ck_assert_uint_eq(state->cpu_member_count[9], WI_STEER_PER_CPU_MAX);
	fill_equal(WI_STEER_PER_CPU_MAX + 2, 1);
	ck_assert(!wi_steer_table_fill_cpus(state, cpus));
	ck_assert_uint_eq(state->cpu_member_count[9], WI_STEER_PER_CPU_MAX);
	for (uint32_t i = 0; i < WI_STEER_PER_CPU_MAX; i++)
		ck_assert_uint_eq(state->cpu_members[9][i], i);
	state->members[0].weight = 0; /* one CPU becomes free */
	ck_assert(!wi_steer_table_fill_cpus(state, cpus));
	state->members[1].weight = 0;
	ck_assert(wi_steer_table_fill_cpus(state, cpus));
	ck_assert_uint_eq(wi_steer_by_cpu(state, 9, 7),
			  WI_STEER_PER_CPU_MAX + 1);
}
END_TEST

/* ---- readers meanwhile ---- */

/* Shared with a process that reads like the kernel's program. */
struct shared {
	struct wi_steer_state state;
	uint64_t reads;
	uint32_t stop;
};

/* Members 1 to 6 may be chosen; 0, 7 and above never. No member only for a CPU
 * that loses its last one. Not least-loaded: it has no table. */
static bool reader_accepts(uint32_t policy, uint32_t member)
{
	if (member == NONE)
		return policy == WI_STEER_CPU;
	return member >= 1 && member <= 6;
}

static int reader_run(struct shared *shared)
{
	static const uint32_t policies[] = {
		WI_STEER_CPU,
		WI_STEER_ROUND_ROBIN,
		WI_STEER_SOURCE_HASH,
	};
	struct wi_steer_facts facts = { .cpu = 0 };

	while (wi_load_acquire_u32(&shared->stop) == 0) {
		for (uint32_t i = 0; i < 3000; i++) {
			const uint32_t policy = policies[i % 3];
			if (!reader_accepts(policy,
					    wi_steer_choose(&shared->state,
							    policy, &facts)))
				return 10 + (int)policy;
			facts.cpu = (facts.cpu + 1) % 4;
			facts.step += 0x9e3779b1u;
			facts.source += 0x85ebca6bu;
		}
		wi_counter_add(&shared->reads, 1);
	}
	return 0;
}

static void fill_shared(struct shared *shared, const uint32_t *weights,
			const int *cpus)
{
	for (uint32_t i = 0; i < 8; i++)
		shared->state.members[i].weight = weights[i];
	wi_steer_table_fill(&shared->state);
	ck_assert(wi_steer_table_fill_cpus(&shared->state, cpus));
}

/* Rounds of one turn to thousands; CPUs with six members, some, or none. */
START_TEST(a_reader_never_meets_a_member_of_neither_table)
{
	static const uint32_t weights[][8] = {
		{ 0, 1, 1, 1, 1, 1, 1 },    { 0, 997, 991, 983, 977, 971, 967 },
		{ 0, 1, 0, 1, 0, 1, 0 },    { 0, 0, 1, 0, 0, 0, 0 },
		{ 0, 7, 11, 13, 0, 0, 17 },
	};
	static const int cpus[][8] = {
		{ 0, 0, 0, 0, 0, 0, 0, 0 },
		{ 1, 2, 2, 2, 2, 2, 2, 0 },
		{ 2, 2, 2, 0, 1, 1, 1, 3 },
	};
	struct shared *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	shared->state.member_count = 8;
	fill_shared(shared, weights[0], cpus[0]);

	const pid_t reader = fork();
	ck_assert_int_ge(reader, 0);
	if (reader == 0)
		_exit(reader_run(shared));
	int status = -1;
	pid_t ended = 0;
	for (uint32_t i = 0; ended == 0; i++) {
		fill_shared(shared, weights[i % 5], cpus[i % 3]);
		/* Until both have seen changes of the other. */
		if (i >= FILLS && wi_load_relaxed_u64(&shared->reads) >= FILLS)
			(void)wi_add_fetch_release_u32(&shared->stop, 1);
		ended = waitpid(reader, &status, WNOHANG);
	}
	ck_assert_int_eq(ended, reader);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "the reader ended with %#x", (unsigned)status);
	ck_assert_int_eq(munmap(shared, sizeof(*shared)), 0);
}
END_TEST

WI_SUITE(steer_table, "steer-table", WI_BPF)
{
	TCase *tcase = tcase_create("steer-table");
	const int n_count = sizeof(member_counts) / sizeof(member_counts[0]);

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, state_start, state_end);
	tcase_add_loop_test(tcase, turns_of_a_round_are_exactly_the_weights, 0,
			    SET_COUNT);
	tcase_add_test(tcase, weights_are_divided_by_what_they_share);
	tcase_add_test(tcase, turns_are_in_nginx_order);
	tcase_add_loop_test(tcase, turns_of_a_member_are_spread_evenly, 0,
			    SET_COUNT);
	tcase_add_test(tcase, random_weights_are_met_too);
	tcase_add_test(tcase, weights_beyond_the_table_are_scaled_down);
	tcase_add_test(tcase, one_turn_more_than_the_table_is_scaled_down);
	tcase_add_test(tcase, a_thousand_equal_members_get_equal_turns);
	tcase_add_test(tcase, a_thousand_members_of_any_weight_all_get_turns);
	tcase_add_test(tcase, one_heavy_member_among_a_thousand_light_ones);
	tcase_add_test(tcase, no_weight_at_all_is_no_member_at_all);
	tcase_add_test(tcase, no_slot_keeps_a_member_that_has_left);
	tcase_add_test(tcase, tables_follow_from_the_weights_alone);
	tcase_add_loop_test(tcase, shares_of_the_buckets_are_the_weights, 0,
			    SET_COUNT);
	tcase_add_loop_test(
		tcase,
		few_buckets_move_when_a_member_leaves_and_when_it_is_back, 0,
		n_count);
	tcase_add_test(tcase,
		       few_buckets_move_when_a_member_is_added_at_the_end);
	tcase_add_test(tcase, few_buckets_move_when_weights_are_unequal);
	tcase_add_test(tcase,
		       a_weight_that_changes_moves_little_more_than_its_share);
	tcase_add_test(tcase, cpus_know_their_members);
	tcase_add_test(tcase,
		       a_cpu_that_loses_its_members_gives_to_all_in_turn);
	tcase_add_test(tcase, no_slot_of_a_cpu_keeps_a_member_that_has_left);
	tcase_add_test(tcase,
		       more_members_than_fit_on_a_cpu_are_left_out_and_said);
	tcase_add_test(tcase, a_reader_never_meets_a_member_of_neither_table);
	suite_add_tcase(suite, tcase);
}
