/* test_sim.c - the simulated kernel: the same tape is the same run, and net/
 * keeps its rules under schedules and faults
 *
 * More seeds: tools/sim. Planted bugs that it must find: test/sim/mutants.
 */
#include "suites.h"
#include "support.h"

#include "sim/shrink.h"
#include "sim/story.h"

#include <stdlib.h>

static struct weir_sim *world_open(struct weir_tape *tape)
{
	struct weir_sim *sim = NULL;
	ck_assert_int_eq(weir_sim_open(&sim, tape, NULL), 0);
	return sim;
}

static struct weir_tape *tape_make(void)
{
	struct weir_tape *tape = calloc(1, sizeof(*tape));
	ck_assert_ptr_nonnull(tape);
	return tape;
}

/* ---- tapes ------------------------------------------------------------- */

START_TEST(a_seed_always_writes_the_same_tape)
{
	struct weir_tape *one = tape_make();
	struct weir_tape *two = tape_make();
	weir_tape_seed(one, 7);
	weir_tape_seed(two, 7);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(weir_tape_byte(one), weir_tape_byte(two));
	weir_tape_seed(two, 8);
	int same = 0;
	for (int i = 0; i < 1000; i++)
		same += one->bytes[i] == weir_tape_byte(two);
	ck_assert_int_lt(same, 50);
	free(one);
	free(two);
}
END_TEST

START_TEST(past_its_end_a_tape_is_benign)
{
	const uint8_t bytes[] = { 255, 3 };
	struct weir_tape *tape = tape_make();
	weir_tape_load(tape, bytes, sizeof(bytes));
	ck_assert(weir_tape_chance(tape, 1));
	ck_assert(!weir_tape_chance(tape, 0)); /* reads nothing */
	ck_assert_uint_eq(weir_tape_below(tape, 1), 0);
	ck_assert_uint_eq(weir_tape_below(tape, 4), 3);
	for (int i = 0; i < 100; i++) {
		ck_assert(!weir_tape_chance(tape, 255));
		ck_assert_uint_eq(weir_tape_below(tape, 1000), 0);
	}
	free(tape);
}
END_TEST

/* ---- shrinking ------------------------------------------------------------
 */

/* Fails if a 7 comes before a 9. */
static bool has_7_before_9(const uint8_t *bytes, size_t byte_count, void *ctx)
{
	bool has_7 = false;
	uint64_t *calls = ctx;
	(*calls)++;
	for (size_t i = 0; i < byte_count; i++) {
		has_7 |= bytes[i] == 7;
		if (has_7 && bytes[i] == 9)
			return true;
	}
	return false;
}

START_TEST(a_tape_shrinks_to_what_matters)
{
	uint8_t bytes[500];
	uint64_t calls = 0;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i % 5 + 10);
	bytes[100] = 7;
	bytes[400] = 9;
	ck_assert_uint_eq(
		sim_shrink(bytes, sizeof(bytes), has_7_before_9, &calls), 2);
	ck_assert_uint_eq(bytes[0], 7);
	ck_assert_uint_eq(bytes[1], 9);
	ck_assert_uint_lt(calls, 400);
}
END_TEST

/* ---- runs -------------------------------------------------------------- */

START_TEST(the_same_tape_is_the_same_run)
{
	struct weir_tape *tape = tape_make();
	struct weir_tape *copy = tape_make();
	struct weir_sim *sim = world_open(tape);

	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct sim_story_result first;
		struct sim_story_result again;
		weir_tape_seed(tape, seed);
		sim_story_play(sim, tape, NULL, NULL, &first);
		weir_tape_load(copy, tape->bytes, tape->byte_count);
		sim_story_play(sim, copy, NULL, NULL, &again);
		ck_assert_uint_eq(first.hash, again.hash);
		ck_assert_uint_eq(first.cqes, again.cqes);
	}
	weir_sim_close(sim);
	free(tape);
	free(copy);
}
END_TEST

START_TEST(an_empty_tape_is_a_healthy_echo)
{
	struct weir_tape *tape = tape_make();
	struct weir_sim *sim = world_open(tape);
	struct sim_story_result result;
	weir_tape_load(tape, NULL, 0);
	sim_story_play(sim, tape, NULL, NULL, &result);
	ck_assert_msg(result.violation == NULL, "%s", result.violation);
	ck_assert_uint_eq(result.peers, 1);
	ck_assert_uint_eq(result.echoed_bytes, 1);
	weir_sim_close(sim);
	free(tape);
}
END_TEST

enum { SEEDS_EACH = 500 };

START_TEST(no_rule_is_broken)
{
	const uint64_t first = 1 + (uint64_t)_i * SEEDS_EACH;
	struct weir_tape *tape = tape_make();
	struct weir_sim *sim = world_open(tape);

	for (uint64_t seed = first; seed < first + SEEDS_EACH; seed++) {
		struct sim_story_result result;
		weir_tape_seed(tape, seed);
		sim_story_play(sim, tape, NULL, NULL, &result);
		ck_assert_msg(result.violation == NULL,
			      "seed %llu: %s; see weir-sim --seed %llu "
			      "--seeds 1",
			      (unsigned long long)seed, result.violation,
			      (unsigned long long)seed);
	}
	weir_sim_close(sim);
	free(tape);
}
END_TEST

Suite *suite_sim(void)
{
	Suite *suite = suite_create("sim");
	TCase *tcase = tcase_create("sim");
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, a_seed_always_writes_the_same_tape);
	tcase_add_test(tcase, past_its_end_a_tape_is_benign);
	tcase_add_test(tcase, a_tape_shrinks_to_what_matters);
	tcase_add_test(tcase, the_same_tape_is_the_same_run);
	tcase_add_test(tcase, an_empty_tape_is_a_healthy_echo);
	tcase_add_loop_test(tcase, no_rule_is_broken, 0, 10);
	suite_add_tcase(suite, tcase);
	return suite;
}
