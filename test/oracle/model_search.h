/* model_search.h - does the model have this outcome?
 *
 *     outcome --> every schedule with at most 0, 1, 2 ... bends --> found
 *                   |    a run ends where it goes another way,       |
 *                   |    and no schedule that begins alike follows   v
 *                   +--> some tapes of seeds in between           the tape
 *
 * The search is systematic: it refutes an outcome only after all schedules up
 * to a number of bends, or up to the bound on plays.
 */
#ifndef WEIR_TEST_MODEL_SEARCH_H
#define WEIR_TEST_MODEL_SEARCH_H

#include "model_lies.h"

/**
 * struct model_search - all zero except the first two
 * @plays_max: per outcome; 0: MODEL_PLAYS
 * @error:     the planted mistake of the model; NULL: none
 * @plays:     so far, of all outcomes
 */
struct model_search {
	uint64_t plays_max;
	const struct model_error *error;
	uint64_t plays;
	struct weir_sim *sim;
	struct weir_tape *tape;
};

enum { MODEL_PLAYS = 4000000 };

void model_search_open(struct model_search *search);
void model_search_close(struct model_search *search);

/** model_search_benign() - the outcome of the model without any bend. */
void model_search_benign(struct model_search *search,
			 const struct model_program *program,
			 struct model_outcome *out_outcome);

/**
 * model_search_find() - a tape on which @program has the outcome @want
 *
 * Return: the number of plays, 1 for the benign one; 0: not found.
 */
uint64_t model_search_find(struct model_search *search,
			   const struct model_program *program,
			   const struct model_outcome *want);

#endif
