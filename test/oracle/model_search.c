#include "model_search.h"

#include "../rig/support.h"

#include "../sim/odometer.h"

#include <stdlib.h>

enum {
	BENDS_MAX = 8,
	BENDS_FIRST = 2, /* before the first seed */
	SEEDS = 20000,
};

void model_search_open(struct model_search *search)
{
	search->tape = calloc(1, sizeof(*search->tape));
	ck_assert_ptr_nonnull(search->tape);
	weir_tape_load(search->tape, NULL, 0);
	ck_assert_int_eq(weir_sim_open(&search->sim, search->tape, NULL), 0);
}

void model_search_close(struct model_search *search)
{
	weir_sim_close(search->sim);
	free(search->tape);
}

/* Plays the tape unchanged. */
static bool search_play(struct model_search *search,
			const struct model_program *program,
			const struct model_outcome *want,
			struct model_outcome *out_outcome)
{
	static const struct weir_sim_opts opts = { .allows_misuse = true,
						   .is_loopback = true,
						   .is_prompt = true };
	int fds[2];
	weir_sim_reset(search->sim, search->tape, &opts);
	if (weir_sim_pair(search->sim, fds) != 0)
		ck_abort_msg("no pair");
	const struct weir_kernel *kernel = weir_sim_kernel(search->sim);
	if (search->error != NULL)
		kernel = model_err(kernel, search->error, program);
	const bool is_it = model_play(kernel, fds, program, want, out_outcome);
	if (weir_sim_violation(search->sim) != NULL)
		ck_abort_msg("%s", weir_sim_violation(search->sim));
	search->plays++;
	return is_it;
}

void model_search_benign(struct model_search *search,
			 const struct model_program *program,
			 struct model_outcome *out_outcome)
{
	weir_tape_load(search->tape, NULL, 0);
	(void)search_play(search, program, NULL, out_outcome);
}

struct hunt {
	struct model_search *search;
	const struct model_program *program;
	const struct model_outcome *want;
	uint64_t first;
	uint64_t last; /* stop at this number of plays */
};

static bool hunt_is_over(const struct hunt *hunt)
{
	return hunt->search->plays >= hunt->last;
}

/* Plays all schedules with at most @bends bends. */
static bool hunt_schedules(const struct hunt *hunt, uint32_t bends)
{
	static uint16_t ways[WEIR_TAPE_BYTES_MAX];
	struct model_search *search = hunt->search;
	struct model_outcome outcome;
	struct sim_odometer odometer = { .depth = SIM_ODOMETER_DEPTH,
					 .bends = bends };
	do {
		weir_tape_load(search->tape, odometer.bytes, odometer.count);
		search->tape->ways = ways;
		if (search_play(search, hunt->program, hunt->want, &outcome))
			return true;
	} while (!hunt_is_over(hunt) &&
		 sim_odometer_next(&odometer, ways, search->tape->at));
	return false;
}

static bool hunt_seeds(const struct hunt *hunt)
{
	struct model_outcome outcome;
	for (uint64_t seed = 1; seed <= SEEDS && !hunt_is_over(hunt); seed++) {
		weir_tape_seed(hunt->search->tape, seed);
		if (search_play(hunt->search, hunt->program, hunt->want,
				&outcome))
			return true;
	}
	return false;
}

static bool hunt_all(const struct hunt *hunt)
{
	for (uint32_t bends = 0; bends <= BENDS_MAX; bends++) {
		if (hunt_schedules(hunt, bends))
			return true;
		if (bends == BENDS_FIRST && hunt_seeds(hunt))
			return true;
	}
	return false;
}

uint64_t model_search_find(struct model_search *search,
			   const struct model_program *program,
			   const struct model_outcome *want)
{
	const uint64_t most =
		search->plays_max != 0 ? search->plays_max : MODEL_PLAYS;
	const struct hunt hunt = {
		.search = search,
		.program = program,
		.want = want,
		.first = search->plays,
		.last = search->plays + most,
	};
	return hunt_all(&hunt) ? search->plays - hunt.first : 0;
}
