/* test_sim.c - the simulated kernel: the same tape is the same run, and net/
 * keeps its rules under all schedules and faults
 *
 * More seeds: tools/sim/run. Planted bugs that it must find: test/sim/mutants.
 */
#include "../rig/support.h"
#include "../suites.h"
#include "test_sim_tapes.h"

#include "shrink.h"
#include "story.h"
#include "uring/extra/register.h"
#include "uring/filetab.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>

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

START_TEST(seeds_one_apart_write_tapes_that_share_nothing)
{
	enum { ALL = 1000, RUN = 8 };
	struct weir_tape *one = tape_make();
	struct weir_tape *two = tape_make();
	weir_tape_seed(one, (uint64_t)_i);
	weir_tape_seed(two, (uint64_t)_i + 1);
	for (int i = 0; i < ALL; i++) {
		(void)weir_tape_byte(one);
		(void)weir_tape_byte(two);
	}
	for (int i = 0; i + RUN <= ALL; i++)
		ck_assert_ptr_null(
			memmem(two->bytes, ALL, one->bytes + i, RUN));
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

/* ---- shrinking --------------------------------------------------------- */

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

/* ---- messages between rings -------------------------------------------- */

static void ring_start(struct weir_ring *ring, const struct weir_sim *sim)
{
	const struct weir_ring_opts opts = { .kernel = weir_sim_kernel(sim),
					     .sq_entry_count = 4,
					     .cq_entry_count = 8 };
	ck_assert_int_eq(weir_ring_open(ring, &opts, NULL), 0);
}

static void ring_turn(struct weir_ring *ring)
{
	const struct weir_wait wait = { .timeout_ns = WEIR_TIMEOUT_NEVER,
					.want_count = 1 };
	ck_assert_int_ge(weir_ring_enter(ring, &wait), 0);
}

static void ring_expect(struct weir_ring *ring, uint64_t token, int res)
{
	ring_turn(ring);
	ck_assert_uint_ge(weir_ring_ready(ring), 1);
	const struct io_uring_cqe *cqe = weir_ring_cqe(ring, 0);
	ck_assert_uint_eq(cqe->user_data, token);
	ck_assert_int_eq(cqe->res, res);
	weir_ring_reaped(ring, 1);
}

static void message(struct weir_ring *from, const struct weir_ring *to,
		    uint64_t token)
{
	struct io_uring_sqe *sqe = weir_ring_take_sqe(from);
	weir_op_msg_data(sqe, weir_ring_fd(to), token, (int)token + 1);
	sqe->user_data = 7;
}

START_TEST(messages_between_rings_come_in_order_and_none_is_lost)
{
	enum { MESSAGES = 20 }; /* more than the target's queue holds */
	struct weir_tape *tape = tape_make();
	struct weir_sim *sim = world_open(tape);
	const struct weir_kernel *kernel = weir_sim_kernel(sim);
	struct weir_ring from;
	struct weir_ring to;

	weir_tape_seed(tape, (uint64_t)_i);
	ring_start(&from, sim);
	ring_start(&to, sim);
	ck_assert_int_eq(weir_ring_enable(&from), 0);
	message(&from, &to, 1); /* not enabled yet */
	ring_expect(&from, 7, -EBADFD);
	ck_assert_int_eq(weir_register_message(kernel, weir_ring_fd(&to), 1, 2),
			 -EBADFD);
	ck_assert_int_eq(weir_ring_enable(&to), 0);
	for (uint64_t i = 0; i < MESSAGES; i++) {
		message(&from, &to, i);
		ring_expect(&from, 7, 0);
	}
	ck_assert_int_eq(weir_register_message(kernel, weir_ring_fd(&to),
					       MESSAGES, MESSAGES + 1),
			 0);
	for (uint64_t i = 0; i <= MESSAGES; i++)
		ring_expect(&to, i, (int)i + 1);
	ck_assert_int_eq(weir_register_message(kernel, 63, 1, 2), -EBADF);
	weir_ring_close(&from);
	weir_ring_close(&to);
	weir_sim_close(sim);
	free(tape);
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
	ck_assert_str_eq(result.story->name, "echo");
	ck_assert_uint_eq(result.peers, 1);
	ck_assert_uint_eq(result.echoed_bytes, 1);
	weir_sim_close(sim);
	free(tape);
}
END_TEST

START_TEST(each_story_is_told_to_its_end_by_an_empty_tape)
{
	const struct sim_story *story = &sim_stories[_i];
	struct weir_tape *tape = tape_make();
	struct weir_sim *sim = world_open(tape);
	struct sim_story_result first;
	struct sim_story_result again;
	weir_tape_load(tape, NULL, 0);
	sim_story_play(sim, tape, story, NULL, &first);
	ck_assert_msg(first.violation == NULL, "%s: %s", story->name,
		      first.violation);
	ck_assert_ptr_eq(sim_story_find(story->name), story);
	ck_assert_uint_gt(first.cqes, 3);
	sim_story_play(sim, tape, story, NULL, &again);
	ck_assert_uint_eq(first.hash, again.hash);
	weir_sim_close(sim);
	free(tape);
}
END_TEST

START_TEST(a_tape_is_another_run_of_another_story)
{
	struct weir_tape *tape = tape_make();
	struct weir_sim *sim = world_open(tape);
	struct sim_story_result echo;
	struct sim_story_result handover;
	weir_tape_seed(tape, 7);
	sim_story_play(sim, tape, sim_story_find("echo"), NULL, &echo);
	weir_tape_seed(tape, 7);
	sim_story_play(sim, tape, sim_story_find("handover"), NULL, &handover);
	ck_assert_ptr_null(sim_story_find("none"));
	ck_assert_uint_ne(echo.hash, handover.hash);
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

WI_SUITE(sim, "sim", 0)
{
	TCase *tcase = tcase_create("sim");
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, a_seed_always_writes_the_same_tape);
	tcase_add_loop_test(
		tcase, seeds_one_apart_write_tapes_that_share_nothing, 0, 10);
	tcase_add_test(tcase, past_its_end_a_tape_is_benign);
	tcase_add_test(tcase, a_tape_shrinks_to_what_matters);
	tcase_add_loop_test(
		tcase, messages_between_rings_come_in_order_and_none_is_lost, 0,
		20);
	tcase_add_test(tcase, the_same_tape_is_the_same_run);
	tcase_add_test(tcase, an_empty_tape_is_a_healthy_echo);
	tcase_add_loop_test(tcase,
			    each_story_is_told_to_its_end_by_an_empty_tape, 0,
			    (int)sim_story_count);
	tcase_add_test(tcase, a_tape_is_another_run_of_another_story);
	tcase_add_loop_test(tcase, no_rule_is_broken, 0, 10);
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, tcase_sim_tapes());
}
