/* test_sim_diff.c - the simulated and the real kernel give the same story
 *
 * Scripts by name are in diff/diff_cases.c; others are drawn from seeds.
 */
#include "../rig/support.h"
#include "../suites.h"

#include "diff_cases.h"

#include <stdlib.h>

static struct diff_story *stories;

static struct weir_tape *tape_make(void)
{
	struct weir_tape *tape = calloc(1, sizeof(*tape));
	ck_assert_ptr_nonnull(tape);
	return tape;
}

/* @tape: the order of the simulation, NULL for the benign one. */
static void expect_same(struct diff_world *sim, struct diff_world *real,
			const struct diff_script *script,
			struct weir_tape *tape, const char *name)
{
	char print[DIFF_TEXT_BYTES];
	char text[DIFF_TEXT_BYTES];

	diff_sim_start(sim, tape);
	diff_play(sim, script, NULL, &stories[0]);
	stories[0].is_any_order = tape != NULL;
	diff_play(real, script, &stories[0], &stories[1]);
	ck_assert_msg(!diff_differs(script, &stories[0], &stories[1], text),
		      "%s: %s\n%s", name, text, diff_print(script, print));
}

static void worlds_open(struct diff_world **out_sim,
			struct diff_world **out_real)
{
	stories = calloc(2, sizeof(*stories));
	ck_assert_ptr_nonnull(stories);
	*out_sim = diff_sim_open();
	*out_real = diff_real_open();
}

static void worlds_close(struct diff_world *sim, struct diff_world *real)
{
	diff_sim_close(sim);
	diff_real_close(real);
	free(stories);
}

START_TEST(a_script_tells_one_story_on_both_kernels)
{
	const struct diff_case *row = &diff_cases[_i];
	struct diff_script script = { .reaction = row->reaction };
	struct diff_world *sim = NULL;
	struct diff_world *real = NULL;

	diff_parse(&script, row->text);
	worlds_open(&sim, &real);
	expect_same(sim, real, &script, NULL, row->name);
	worlds_close(sim, real);
}
END_TEST

enum { SEEDS_EACH = 150, ROUNDS = 8 };

/* How many of SEEDS_EACH to play; each is two plays, one on real sockets. */
static uint64_t seeds_played(void)
{
	return wi_is_deep() ? SEEDS_EACH : 40;
}

/* Scripts of seeds, the @index-th time. */
static void expect_same_of_seeds(int index, bool is_any_order)
{
	const uint64_t first = 1 + (uint64_t)index * SEEDS_EACH;
	struct weir_tape *tape = tape_make();
	struct diff_world *sim = NULL;
	struct diff_world *real = NULL;

	worlds_open(&sim, &real);
	for (uint64_t seed = first; seed < first + seeds_played(); seed++) {
		struct diff_script script;
		char name[32];
		(void)snprintf(name, sizeof(name), "seed %llu",
			       (unsigned long long)seed);
		weir_tape_seed(tape, seed);
		diff_draw(&script, tape);
		expect_same(sim, real, &script, is_any_order ? tape : NULL,
			    name);
	}
	worlds_close(sim, real);
	free(tape);
}

START_TEST(a_script_drawn_from_a_seed_does_so_too)
{
	expect_same_of_seeds(_i, false);
}
END_TEST

START_TEST(in_any_order_it_does_but_for_what_is_free)
{
	expect_same_of_seeds(_i, true);
}
END_TEST

/* ---- the comparison itself ----------------------------------------------- */

START_TEST(stories_that_differ_are_told_apart)
{
	static const char *const others[] = {
		"c . w11 . r . h .", /* bytes */
		"c . w10 . r . x .", /* the reason */
		"c . w10 . h .",     /* what the client has read */
	};
	struct diff_script script = { .action_count = 0 };
	struct diff_script other = { .action_count = 0 };
	struct diff_world *sim = NULL;
	struct diff_world *real = NULL;
	char text[DIFF_TEXT_BYTES];

	worlds_open(&sim, &real);
	diff_parse(&script, "c . w10 . r . h .");
	diff_parse(&other, others[_i]);
	diff_sim_start(sim, NULL);
	diff_play(sim, &script, NULL, &stories[0]);
	diff_play(real, &other, NULL, &stories[1]);
	ck_assert(diff_differs(&script, &stories[0], &stories[1], text));
	worlds_close(sim, real);
}
END_TEST

/* A freedom that no script uses is a superfluous row. */
START_TEST(each_freedom_is_some_scripts)
{
	struct weir_tape *tape = tape_make();
	bool is_had = false;
	for (uint64_t seed = 1; seed <= (uint64_t)SEEDS_EACH * ROUNDS; seed++) {
		struct diff_script script;
		weir_tape_seed(tape, seed);
		diff_draw(&script, tape);
		for (uint32_t c = 0; c < DIFF_CONNS; c++)
			is_had |= diff_freedoms[_i].has(&script, c);
	}
	ck_assert_msg(is_had, "%s: %s", diff_freedoms[_i].name,
		      diff_freedoms[_i].reason);
	free(tape);
}
END_TEST

WI_SUITE(sim_diff, "sim-diff", 0)
{
	TCase *named = tcase_create("named");
	TCase *drawn = tcase_create("drawn");
	tcase_set_timeout(named, 60);
	tcase_set_timeout(drawn, 300);
	tcase_add_loop_test(named, a_script_tells_one_story_on_both_kernels, 0,
			    diff_case_count);
	tcase_add_loop_test(drawn, a_script_drawn_from_a_seed_does_so_too, 0,
			    ROUNDS);
	tcase_add_loop_test(drawn, in_any_order_it_does_but_for_what_is_free, 0,
			    ROUNDS);
	tcase_add_loop_test(named, stories_that_differ_are_told_apart, 0, 3);
	tcase_add_loop_test(named, each_freedom_is_some_scripts, 0,
			    (int)diff_freedom_count);
	suite_add_tcase(suite, named);
	suite_add_tcase(suite, drawn);
}
