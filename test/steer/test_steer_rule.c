/* test_steer_rule.c - the member that each policy chooses
 *
 * The tests write the state by hand. The code that fills its tables has its own
 * suite (test_steer_table.c).
 */
#include "../suites.h"
#include "net/steer.h"
#include "net/steer/steer_rule.h"

#include <stdlib.h>

enum {
	NOW_MS = 100000,
	NONE = WI_STEER_NO_MEMBER,
};

_Static_assert((int)WI_STEER_KERNEL == (int)WEIR_STEER_KERNEL &&
		       (int)WI_STEER_CPU == (int)WEIR_STEER_CPU &&
		       (int)WI_STEER_ROUND_ROBIN == (int)WEIR_STEER_ROUND_ROBIN,
	       "the program's names for the policies");
_Static_assert((int)WI_STEER_LEAST_LOADED == (int)WEIR_STEER_LEAST_LOADED &&
		       (int)WI_STEER_SOURCE_HASH == (int)WEIR_STEER_SOURCE_HASH,
	       "the program's names for the policies");
_Static_assert((int)WI_STEER_MEMBERS_MAX == (int)WEIR_STEER_LOOPS_MAX,
	       "a member for each loop");

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

static uint32_t choose(uint32_t policy, struct wi_steer_facts facts)
{
	return wi_steer_choose(state, policy, &facts);
}

/* ---- no member ---- */

START_TEST(kernel_and_unknown_policies_choose_nothing)
{
	state->member_count = state->turn_count = 1;
	state->members[0].weight = 1;
	ck_assert_uint_eq(choose(WI_STEER_KERNEL, (struct wi_steer_facts){ 0 }),
			  NONE);
	ck_assert_uint_eq(
		choose(WI_STEER_SOURCE_HASH + 1, (struct wi_steer_facts){ 0 }),
		NONE);
	ck_assert_uint_eq(choose(UINT32_MAX, (struct wi_steer_facts){ 0 }),
			  NONE);
}
END_TEST

START_TEST(a_state_without_members_chooses_nothing)
{
	for (uint32_t i = 0; i < WI_STEER_BUCKETS; i++)
		state->buckets[i] = NONE;
	for (uint32_t policy = 0; policy <= WI_STEER_SOURCE_HASH; policy++)
		for (uint32_t step = 0; step < 8; step++)
			ck_assert_uint_eq(choose(policy,
						 (struct wi_steer_facts){
							 .cpu = step,
							 .step = step,
							 .source = step,
						 }),
					  NONE);
}
END_TEST

/* Counts that no server stores. The rule must still read inside the state (a
 * sanitizer would end the test) and return a member or none. */
START_TEST(counts_beyond_their_tables_stay_inside_the_state)
{
	static const uint32_t wild[] = {
		0,          1,    7,    8,          1023,
		1024,       4095, 4096, 0x7fffffff, UINT32_MAX - 1,
		UINT32_MAX,
	};
	const uint32_t wild_count = sizeof(wild) / sizeof(wild[0]);

	for (uint32_t i = 0; i < wild_count * wild_count; i++) {
		const uint32_t count = wild[i / wild_count];
		const uint32_t fact = wild[i % wild_count];
		state->member_count = count;
		state->turn_count = count;
		state->cpu_member_count[0] = (uint16_t)count;
		state->cpu_member_count[WI_STEER_CPUS_MAX - 1] =
			(uint16_t)count;
		const struct wi_steer_facts facts = { fact, fact, fact, fact };
		for (uint32_t policy = 0; policy <= WI_STEER_SOURCE_HASH;
		     policy++) {
			const uint32_t member =
				wi_steer_choose(state, policy, &facts);
			if (member >= WI_STEER_MEMBERS_MAX && member != NONE)
				ck_abort_msg("policy %u, count %u, fact %u: %u",
					     policy, count, fact, member);
		}
	}
}
END_TEST

/* ---- round-robin ---- */

START_TEST(round_robin_walks_its_table_again_and_again)
{
	static const uint16_t turns[] = { 5, 0, 5, 1023 };
	for (uint32_t i = 0; i < 4; i++)
		state->turns[i] = turns[i];
	state->turns[4] = 77; /* beyond the count: never chosen */
	state->turn_count = 4;
	for (uint32_t step = 0; step < 12; step++)
		ck_assert_uint_eq(
			choose(WI_STEER_ROUND_ROBIN,
			       (struct wi_steer_facts){ .step = step }),
			turns[step % 4]);
}
END_TEST

START_TEST(round_robin_uses_the_last_slot_of_a_full_table)
{
	state->turns[WI_STEER_STEPS_MAX - 1] = 9;
	state->turn_count = WI_STEER_STEPS_MAX;
	ck_assert_uint_eq(choose(WI_STEER_ROUND_ROBIN,
				 (struct wi_steer_facts){
					 .step = 2 * WI_STEER_STEPS_MAX - 1 }),
			  9);
}
END_TEST

/* ---- cpu ---- */

static void cpu_tables_make(void)
{
	state->turn_count = 2;
	state->turns[0] = 30;
	state->turns[1] = 31;
	state->cpu_member_count[3] = 1;
	state->cpu_members[3][0] = 13;
	state->cpu_member_count[4] = 3;
	state->cpu_members[4][0] = 40;
	state->cpu_members[4][1] = 41;
	state->cpu_members[4][2] = 42;
	state->cpu_member_count[WI_STEER_CPUS_MAX - 1] = 1;
	state->cpu_members[WI_STEER_CPUS_MAX - 1][0] = 99;
	state->cpu_member_count[6] = WI_STEER_PER_CPU_MAX + 1; /* invalid */
}

static const struct {
	const char *when;
	uint32_t cpu;
	uint32_t step;
	uint32_t want;
} cpu_cases[] = {
	{ "one loop is there", 3, 0, 13 },
	{ "one loop is there, later", 3, 12345, 13 },
	{ "three are there, first", 4, 0, 40 },
	{ "three are there, second", 4, 1, 41 },
	{ "three are there, third", 4, 2, 42 },
	{ "three are there, the next round", 4, 3, 40 },
	{ "the last CPU", WI_STEER_CPUS_MAX - 1, 0, 99 },
	{ "no loop is there: all in turn, first", 5, 0, 30 },
	{ "no loop is there: all in turn, second", 5, 1, 31 },
	{ "beyond the table: all in turn", WI_STEER_CPUS_MAX, 1, 31 },
	{ "far beyond it", UINT32_MAX, 0, 30 },
	{ "more than fit, within", 6, 0, 0 },
	{ "more than fit, beyond", 6, WI_STEER_PER_CPU_MAX, NONE },
};

START_TEST(cpu_chooses_the_loops_of_that_cpu_in_turn)
{
	cpu_tables_make();
	const uint32_t got =
		choose(WI_STEER_CPU,
		       (struct wi_steer_facts){ .cpu = cpu_cases[_i].cpu,
						.step = cpu_cases[_i].step });
	ck_assert_msg(got == cpu_cases[_i].want, "when %s: got %u, want %u",
		      cpu_cases[_i].when, got, cpu_cases[_i].want);
}
END_TEST

/* ---- least-loaded ---- */

enum { LOAD_MEMBERS = 4 };

/* All shapes are [member]; an unnamed member has weight 0. */
static const struct {
	const char *when;
	uint32_t step;
	uint32_t want;
	uint32_t weight[LOAD_MEMBERS];
	uint32_t open_count[LOAD_MEMBERS];
	uint64_t sent[LOAD_MEMBERS];
	uint64_t settled[LOAD_MEMBERS];
	uint32_t work[LOAD_MEMBERS];
	uint32_t age_ms[LOAD_MEMBERS]; /* of the work, at NOW_MS */
	uint32_t sent_age_ms[LOAD_MEMBERS];
} load_cases[] = {
	{ .when = "one has fewer connections",
	  .step = 0,
	  .want = 1,
	  .weight = { 1, 1, 1, 1 },
	  .open_count = { 5, 4, 6, 5 } },
	{ .when = "whoever is first in turn, fewer are fewer",
	  .step = 3,
	  .want = 1,
	  .weight = { 1, 1, 1, 1 },
	  .open_count = { 5, 4, 6, 5 } },
	{ .when = "nobody has a weight",
	  .step = 2,
	  .want = NONE,
	  .weight = { 0 } },
	{ .when = "the emptiest is drained",
	  .step = 1,
	  .want = 2,
	  .weight = { 1, 0, 1 },
	  .open_count = { 5, 0, 4 } },
	{ .when = "only the last has a weight",
	  .step = 1,
	  .want = 3,
	  .weight = { 0, 0, 0, 1 },
	  .open_count = { 0, 0, 0, 1000000 } },
	{ .when = "all are equal: the first in turn",
	  .step = 0,
	  .want = 0,
	  .weight = { 1, 1, 1, 1 },
	  .open_count = { 2, 2, 2, 2 } },
	{ .when = "all are equal: the third in turn",
	  .step = 6,
	  .want = 2,
	  .weight = { 1, 1, 1, 1 },
	  .open_count = { 2, 2, 2, 2 } },
	{ .when = "two are equal: the next in turn, around the end",
	  .step = 3,
	  .want = 0,
	  .weight = { 1, 1, 1, 1 },
	  .open_count = { 2, 3, 2, 3 } },
	{ .when = "outstanding ones count as connections",
	  .step = 0,
	  .want = 1,
	  .weight = { 1, 1 },
	  .open_count = { 2, 4 },
	  .sent = { 13, 10 },
	  .settled = { 10, 10 } },
	{ .when = "settled ones count once",
	  .step = 1,
	  .want = 0,
	  .weight = { 1, 1 },
	  .open_count = { 3, 4 },
	  .sent = { 13 },
	  .settled = { 13 } },
	{ .when = "more are settled than sent: none outstanding",
	  .step = 0,
	  .want = 1,
	  .weight = { 1, 1 },
	  .open_count = { 3, 2 },
	  .sent = { 5, 5 },
	  .settled = { 9, 5 } },
	{ .when = "outstanding ones were sent too long ago to come",
	  .step = 0,
	  .want = 0,
	  .weight = { 1, 1 },
	  .open_count = { 1, 2 },
	  .sent = { 13 },
	  .sent_age_ms = { WI_STEER_SENT_STALE_MS + 1 } },
	{ .when = "sent and settled are beyond 32 bits",
	  .step = 0,
	  .want = 1,
	  .weight = { 1, 1 },
	  .open_count = { 0, 2 },
	  .sent = { (1ull << 40) + 3 },
	  .settled = { 1ull << 40 } },
	/* (7 + 1) / 4 < (2 + 1) / 1 */
	{ .when = "a heavier one has more, but less for its weight",
	  .step = 0,
	  .want = 1,
	  .weight = { 1, 4 },
	  .open_count = { 2, 7 } },
	/* (12 + 1) / 4 > (2 + 1) / 1 */
	{ .when = "a heavier one has more for its weight",
	  .step = 1,
	  .want = 0,
	  .weight = { 1, 4 },
	  .open_count = { 2, 12 } },
	/* (11 + 1) / 4 == (2 + 1) / 1 */
	{ .when = "weights make them equal: the next in turn",
	  .step = 1,
	  .want = 1,
	  .weight = { 1, 4 },
	  .open_count = { 2, 11 } },
	{ .when = "all are empty: the heaviest, for it can take most",
	  .step = 0,
	  .want = 1,
	  .weight = { 1, 3, 2 } },
	{ .when = "loads and weights are the largest",
	  .step = 0,
	  .want = 1,
	  .weight = { 1000, 1000 },
	  .open_count = { UINT32_MAX, UINT32_MAX - 1 } },
	{ .when = "of equals the one with less work",
	  .step = 2,
	  .want = 1,
	  .weight = { 1, 1, 1 },
	  .open_count = { 2, 2, 2 },
	  .work = { 9, 8, 9 } },
	{ .when = "less work does not outweigh a connection",
	  .step = 0,
	  .want = 0,
	  .weight = { 1, 1 },
	  .open_count = { 2, 3 },
	  .work = { 9, 0 } },
	{ .when = "work is just not stale",
	  .step = 0,
	  .want = 1,
	  .weight = { 1, 1 },
	  .open_count = { 2, 2 },
	  .work = { 9, 8 },
	  .age_ms = { WI_STEER_WORK_STALE_MS } },
	{ .when = "work is stale: it is idle",
	  .step = 1,
	  .want = 0,
	  .weight = { 1, 1 },
	  .open_count = { 2, 2 },
	  .work = { 9, 8 },
	  .age_ms = { WI_STEER_WORK_STALE_MS + 1 } },
	{ .when = "work was told after the clock was read",
	  .step = 0,
	  .want = 1,
	  .weight = { 1, 1 },
	  .open_count = { 2, 2 },
	  .work = { 9, 8 },
	  .age_ms = { -1u } },
	{ .when = "work is older than half a round of the clock",
	  .step = 1,
	  .want = 0,
	  .weight = { 1, 1 },
	  .open_count = { 2, 2 },
	  .work = { 9, 8 },
	  .age_ms = { 1u << 31 } },
};

START_TEST(least_loaded_chooses_the_fewest_for_its_weight)
{
	state->member_count = LOAD_MEMBERS;
	for (uint32_t i = 0; i < LOAD_MEMBERS; i++) {
		state->members[i] = (struct wi_steer_member){
			.weight = load_cases[_i].weight[i],
			.open_count = load_cases[_i].open_count[i],
			.sent = load_cases[_i].sent[i],
			.settled = load_cases[_i].settled[i],
			.sent_ms = NOW_MS - load_cases[_i].sent_age_ms[i],
			.work = load_cases[_i].work[i],
			.published_ms = NOW_MS - load_cases[_i].age_ms[i],
		};
	}
	const uint32_t got =
		choose(WI_STEER_LEAST_LOADED,
		       (struct wi_steer_facts){ .step = load_cases[_i].step,
						.now_ms = NOW_MS });
	ck_assert_msg(got == load_cases[_i].want, "when %s: got %u, want %u",
		      load_cases[_i].when, got, load_cases[_i].want);
}
END_TEST

START_TEST(stale_work_is_told_across_the_end_of_the_clock)
{
	state->member_count = 2;
	for (uint32_t i = 0; i < 2; i++)
		state->members[i] = (struct wi_steer_member){
			.weight = 1,
			.work = 9 - i,
			.published_ms = UINT32_MAX - 100,
		};
	struct wi_steer_facts facts = { .now_ms = 100 };
	ck_assert_uint_eq(choose(WI_STEER_LEAST_LOADED, facts), 1);
	facts.now_ms = 100 + WI_STEER_WORK_STALE_MS;
	ck_assert_uint_eq(choose(WI_STEER_LEAST_LOADED, facts), 0);
}
END_TEST

/* No loop publishes meanwhile. A thousand choices follow the weights by the
 * sent connections alone. */
START_TEST(least_loaded_spreads_a_burst_between_two_looks)
{
	static const uint32_t weights[] = { 1, 2, 0, 5, 2 };
	const uint32_t total = 10;
	const uint32_t rounds = 100;

	state->member_count = 5;
	for (uint32_t i = 0; i < 5; i++)
		state->members[i].weight = weights[i];
	for (uint32_t step = 0; step < total * rounds; step++) {
		const uint32_t member =
			choose(WI_STEER_LEAST_LOADED,
			       (struct wi_steer_facts){ .step = step });
		ck_assert_uint_lt(member, 5);
		state->members[member].sent++;
	}
	for (uint32_t i = 0; i < 5; i++) {
		const int64_t off = (int64_t)state->members[i].sent -
				    (int64_t)weights[i] * rounds;
		ck_assert_msg(off >= -1 && off <= 1, "member %u: %+d", i,
			      (int)off);
	}
}
END_TEST

START_TEST(least_loaded_looks_at_every_member)
{
	state->member_count = WI_STEER_MEMBERS_MAX;
	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++)
		state->members[i] = (struct wi_steer_member){ .weight = 1,
							      .open_count = 1 };
	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++) {
		state->members[i].open_count = 0;
		const uint32_t got =
			choose(WI_STEER_LEAST_LOADED,
			       (struct wi_steer_facts){ .step = 7 * i });
		if (got != i)
			ck_abort_msg("got %u, want %u", got, i);
		state->members[i].open_count = 1;
	}
	/* Beyond the count there is no member. */
	state->member_count = 10;
	state->members[10].open_count = 0;
	ck_assert_uint_lt(choose(WI_STEER_LEAST_LOADED,
				 (struct wi_steer_facts){ .step = 10 }),
			  10);
}
END_TEST

/* ---- source-hash ---- */

START_TEST(source_hash_reads_the_bucket_of_the_low_bits)
{
	state->buckets[5] = 50;
	state->buckets[WI_STEER_BUCKETS - 1] = 51;
	ck_assert_uint_eq(choose(WI_STEER_SOURCE_HASH,
				 (struct wi_steer_facts){ .source = 5 }),
			  50);
	ck_assert_uint_eq(choose(WI_STEER_SOURCE_HASH,
				 (struct wi_steer_facts){
					 .source = 5 + 3 * WI_STEER_BUCKETS }),
			  50);
	ck_assert_uint_eq(
		choose(WI_STEER_SOURCE_HASH,
		       (struct wi_steer_facts){ .source = UINT32_MAX }),
		51);
}
END_TEST

/* As the program makes them: words in the packet's byte order. */
static uint32_t hash_ipv4(uint32_t address_be, uint32_t seed)
{
	const uint32_t mapped[4] = { 0, 0, __builtin_bswap32(0xffff),
				     address_be };
	return wi_steer_source_hash(mapped, seed);
}

START_TEST(every_word_of_a_source_and_the_seed_matter)
{
	const uint32_t source[4] = { 1, 2, 3, 4 };
	const uint32_t base = wi_steer_source_hash(source, 7);

	ck_assert_uint_eq(wi_steer_source_hash(source, 7), base);
	ck_assert_uint_ne(wi_steer_source_hash(source, 8), base);
	for (uint32_t word = 0; word < 4; word++)
		for (uint32_t bit = 0; bit < 32; bit++) {
			uint32_t other[4] = { 1, 2, 3, 4 };
			other[word] ^= 1u << bit;
			if (wi_steer_source_hash(other, 7) == base)
				ck_abort_msg("word %u, bit %u", word, bit);
		}
	/* An IPv4 source is not the IPv6 source with the same bits. */
	const uint32_t plain[4] = { 0, 0, 0, 4 };
	ck_assert_uint_ne(wi_steer_source_hash(plain, 7), hash_ipv4(4, 7));
}
END_TEST

/* @counts: shape [16], sources in each sixteenth of the buckets. */
static void spread_check(const char *what, const uint32_t *counts,
			 uint32_t count)
{
	/* Six standard deviations of a fair spread: 62 each. */
	const uint32_t mean = count / 16;
	for (uint32_t i = 0; i < 16; i++)
		ck_assert_msg(counts[i] > mean - 380 && counts[i] < mean + 380,
			      "%s: %u of %u in group %u", what, counts[i],
			      count, i);
}

START_TEST(neighbouring_sources_spread_over_all_buckets)
{
	static uint32_t seen[WI_STEER_BUCKETS];
	uint32_t groups_v4[16] = { 0 };
	uint32_t groups_v6[16] = { 0 };
	const uint32_t count = 65536;
	uint32_t empty = 0;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t v4 = hash_ipv4(
			__builtin_bswap32(0x0a000000u + i), 0x12345678);
		/* A /64 each, as providers assign them. */
		const uint32_t source[4] = { __builtin_bswap32(0x20010db8),
					     __builtin_bswap32(i), 0,
					     __builtin_bswap32(1) };
		const uint32_t v6 = wi_steer_source_hash(source, 0x12345678);
		groups_v4[(v4 & (WI_STEER_BUCKETS - 1)) >> 10]++;
		groups_v6[(v6 & (WI_STEER_BUCKETS - 1)) >> 10]++;
		seen[v4 & (WI_STEER_BUCKETS - 1)]++;
	}
	spread_check("IPv4", groups_v4, count);
	spread_check("IPv6", groups_v6, count);
	for (uint32_t i = 0; i < WI_STEER_BUCKETS; i++)
		empty += seen[i] == 0;
	/* By chance e^-4 of them: 300. */
	ck_assert_uint_lt(empty, 400);
}
END_TEST

/* A client that knows the function but not the seed cannot aim at one bucket.
 */
START_TEST(sources_of_one_bucket_part_under_another_seed)
{
	uint32_t together = 0;
	uint32_t still = 0;
	const uint32_t mask = WI_STEER_BUCKETS - 1;
	const uint32_t want = hash_ipv4(0, 1) & mask;
	const uint32_t then = hash_ipv4(0, 2) & mask;

	for (uint32_t i = 1; i < 1u << 20; i++) {
		if ((hash_ipv4(i, 1) & mask) != want)
			continue;
		together++;
		still += (hash_ipv4(i, 2) & mask) == then;
	}
	ck_assert_uint_gt(together, 20);
	ck_assert_uint_lt(still, together / 4);
}
END_TEST

WI_SUITE(steer_rule, "steer-rule", 0)
{
	TCase *tcase = tcase_create("steer-rule");
	const int cpu_count = sizeof(cpu_cases) / sizeof(cpu_cases[0]);
	const int load_count = sizeof(load_cases) / sizeof(load_cases[0]);

	tcase_add_checked_fixture(tcase, state_start, state_end);
	tcase_add_test(tcase, kernel_and_unknown_policies_choose_nothing);
	tcase_add_test(tcase, a_state_without_members_chooses_nothing);
	tcase_add_test(tcase, counts_beyond_their_tables_stay_inside_the_state);
	tcase_add_test(tcase, round_robin_walks_its_table_again_and_again);
	tcase_add_test(tcase, round_robin_uses_the_last_slot_of_a_full_table);
	tcase_add_loop_test(tcase, cpu_chooses_the_loops_of_that_cpu_in_turn, 0,
			    cpu_count);
	tcase_add_loop_test(tcase,
			    least_loaded_chooses_the_fewest_for_its_weight, 0,
			    load_count);
	tcase_add_test(tcase, stale_work_is_told_across_the_end_of_the_clock);
	tcase_add_test(tcase, least_loaded_spreads_a_burst_between_two_looks);
	tcase_add_test(tcase, least_loaded_looks_at_every_member);
	tcase_add_test(tcase, source_hash_reads_the_bucket_of_the_low_bits);
	tcase_add_test(tcase, every_word_of_a_source_and_the_seed_matter);
	tcase_add_test(tcase, neighbouring_sources_spread_over_all_buckets);
	tcase_add_test(tcase, sources_of_one_bucket_part_under_another_seed);
	suite_add_tcase(suite, tcase);
}
