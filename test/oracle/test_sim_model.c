/* test_sim_model.c - the model allows every outcome of the real kernel
 *
 * Random small programs run on the kernel of this machine. The simulated kernel
 * must reach each outcome with some tape. If it cannot, that is a bug of the
 * model: fix it there, and note the fact in a comment.
 *
 *     WEIR_MODEL_SEED=N WEIR_MODEL_PROGRAMS=N uring_test sim-model
 */
#include "../rig/support.h"
#include "../suites.h"

#include "model_search.h"

#include <stdlib.h>

enum {
	PROGRAMS = 1000,
	PROGRAMS_DEEP = 10000,
	OUTCOMES_MAX = 1 << 20,
	COMPLAINTS_MAX = 3,
	LIES = 10,             /* of each kind */
	LIE_PROGRAMS = 100000, /* enough programs to place so many */
	LIE_PLAYS = 1000,
};

static void real_play(const struct weir_kernel *kernel,
		      const struct model_program *program,
		      struct model_outcome *out_outcome)
{
	int fds[2];
	model_real_pair(fds);
	(void)model_play(kernel, fds, program, NULL, out_outcome);
}

static void program_of(uint64_t seed, struct model_program *out_program)
{
	static struct weir_tape tape;
	weir_tape_seed(&tape, seed);
	model_program_draw(out_program, &tape);
}

static void complain(struct model_search *search, uint64_t seed,
		     const struct model_program *program,
		     const struct model_outcome *real)
{
	struct model_outcome outcome;
	printf("program %llu: ", (unsigned long long)seed);
	model_print(stdout, program);
	printf("the kernel:\n");
	model_outcome_print(stdout, program, real);
	model_search_benign(search, program, &outcome);
	printf("the model, if nothing is bent:\n");
	model_outcome_print(stdout, program, &outcome);
	(void)fflush(stdout);
}

static uint64_t outcome_hash(const struct model_outcome *outcome)
{
	const uint8_t *bytes = (const void *)outcome;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < sizeof(*outcome); i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* Adds to a set of hashes. Returns true if the hash is new. */
static bool set_add(uint64_t *set, uint64_t hash)
{
	uint32_t at = (uint32_t)hash % OUTCOMES_MAX;
	while (set[at] != 0 && set[at] != hash)
		at = (at + 1) % OUTCOMES_MAX;
	const bool is_new = set[at] == 0;
	set[at] = hash;
	return is_new;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

START_TEST(what_the_kernel_does_the_model_allows)
{
	struct model_search search = {
		.plays_max = setting("WEIR_MODEL_PLAYS", 0),
	};
	const struct weir_kernel *kernel = NULL;
	struct model_program program;
	struct model_outcome real;
	uint64_t *set = calloc(OUTCOMES_MAX, sizeof(*set));
	uint32_t distinct = 0;
	uint32_t benign = 0;
	uint32_t refuted = 0;
	uint64_t most = 0;
	uint64_t most_seed = 0;
	const uint64_t first = setting("WEIR_MODEL_SEED", 1);
	const uint64_t end =
		first + setting("WEIR_MODEL_PROGRAMS",
				wi_is_deep() ? PROGRAMS_DEEP : PROGRAMS);

	ck_assert_ptr_nonnull(set);
	kernel = model_real_open();
	model_search_open(&search);
	for (uint64_t seed = first; seed < end && refuted < COMPLAINTS_MAX;
	     seed++) {
		program_of(seed, &program);
		real_play(kernel, &program, &real);
		const uint64_t plays =
			model_search_find(&search, &program, &real);
		benign += plays == 1;
		distinct += set_add(set, outcome_hash(&real));
		if (plays > most)
			most_seed = seed;
		most = plays > most ? plays : most;
		if (plays > 0)
			continue;
		complain(&search, seed, &program, &real);
		refuted++;
	}
	printf("sim-model: %llu programs, %u distinct outcomes, %u of them on "
	       "the benign tape, %llu plays of the model, at most %llu for one "
	       "(program %llu)\n",
	       (unsigned long long)(end - first), distinct, benign,
	       (unsigned long long)search.plays, (unsigned long long)most,
	       (unsigned long long)most_seed);
	(void)fflush(stdout);
	model_real_end();
	model_search_close(&search);
	free(set);
	ck_assert_uint_eq(refuted, 0);
}
END_TEST

/* ---- the check itself ---------------------------------------------------- */

START_TEST(what_no_kernel_does_the_model_does_not_allow)
{
	const struct model_lie *lie = &model_lies[_i];
	struct model_search search = { .plays_max = LIE_PLAYS };
	struct model_program program;
	struct model_outcome outcome;
	uint32_t told = 0;

	model_search_open(&search);
	for (uint64_t seed = 1; seed < LIE_PROGRAMS && told < LIES; seed++) {
		program_of(seed, &program);
		model_search_benign(&search, &program, &outcome);
		if (!lie->tell(&program, &outcome))
			continue;
		told++;
		if (model_search_find(&search, &program, &outcome) == 0)
			continue;
		model_print(stdout, &program);
		model_outcome_print(stdout, &program, &outcome);
		ck_abort_msg("program %llu: %s", (unsigned long long)seed,
			     lie->what);
	}
	ck_assert_msg(told == LIES, "%u places for %s", told, lie->what);
	model_search_close(&search);
}
END_TEST

/* The unchanged model plays the kernel's part. */
START_TEST(a_model_that_is_wrong_is_refuted)
{
	struct model_search right = { .plays_max = 1 };
	struct model_search wrong = { .plays_max = LIE_PLAYS,
				      .error = &model_errors[_i] };
	struct model_program program;
	struct model_outcome outcome;
	uint32_t refuted = 0;

	model_search_open(&right);
	model_search_open(&wrong);
	for (uint64_t seed = 1; seed <= PROGRAMS && refuted == 0; seed++) {
		program_of(seed, &program);
		model_search_benign(&right, &program, &outcome);
		refuted += model_search_find(&wrong, &program, &outcome) == 0;
	}
	ck_assert_msg(refuted > 0, "%s, and nobody sees it", wrong.error->what);
	model_search_close(&right);
	model_search_close(&wrong);
}
END_TEST

WI_SUITE(sim_model, "sim-model", 0)
{
	TCase *tcase = tcase_create("model");
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, what_the_kernel_does_the_model_allows);
	tcase_add_loop_test(tcase, what_no_kernel_does_the_model_does_not_allow,
			    0, model_lie_count);
	tcase_add_loop_test(tcase, a_model_that_is_wrong_is_refuted, 0,
			    model_error_count);
	suite_add_tcase(suite, tcase);
}
