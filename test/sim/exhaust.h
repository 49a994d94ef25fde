/* exhaust.h - everything that can go wrong, one at a time and in pairs
 *
 *     each case: the benign run --> its attempts, one after the other
 *       each attempt x each errno of its operation: a run      (singles)
 *         each later attempt x each errno: a run               (pairs)
 *     each enter x refused, interrupted, short: a run          (enters)
 *     empty cells: planned faults, on many tapes               (search)
 *     a small case: every order of events                      (schedules.c)
 */
#ifndef WEIR_SIM_EXHAUST_H
#define WEIR_SIM_EXHAUST_H

#include "cases.h"
#include "tape_text.h"

enum { SIM_FINDINGS_MAX = 16 };

/* A run that broke a rule. */
struct sim_finding {
	const struct sim_case *what;
	char rule[SIM_TAPE_RULE_BYTES]; /* copied */
	struct sim_fault faults[SIM_PLAN_FAULTS];
	uint32_t fault_count;
	struct sim_enter_fault enter_fault;
	uint64_t seed; /* 0: these bytes, then all is benign */
	uint8_t bytes[256];
	uint32_t byte_count;
};

struct sim_exhaust {
	struct weir_sim *sim;
	struct weir_tape *tape;
	struct sim_plan plan;
	uint64_t runs;
	uint64_t violations;
	struct sim_finding findings[SIM_FINDINGS_MAX]; /* by rule and row */
	uint32_t finding_count;
	uint64_t seed;        /* of this run */
	const uint8_t *bytes; /* of its tape, if that has no seed */
	uint32_t byte_count;
	const struct sim_case *what; /* the case being played */
	const char *again;           /* command to repeat a crash; or NULL */
	void (*progress)(const struct sim_exhaust *exhaust); /* or NULL */
};

/* @tape: borrowed. Return: 0; -ENOMEM. */
int sim_exhaust_open(struct sim_exhaust *exhaust, struct weir_tape *tape);
void sim_exhaust_close(struct sim_exhaust *exhaust);

/* Each attempt of the benign run fails with each errno. Return: runs. */
uint64_t sim_exhaust_singles(struct sim_exhaust *exhaust,
			     const struct sim_case *what);

/* Two of these faults in one run. */
uint64_t sim_exhaust_pairs(struct sim_exhaust *exhaust,
			   const struct sim_case *what);

/* Each enter of the benign run is refused or short, once and a few times in a
 * row. */
uint64_t sim_exhaust_enters(struct sim_exhaust *exhaust,
			    const struct sim_case *what);

/* Cells without a hit, in every case, on the benign tape and @seeds others. */
uint64_t sim_exhaust_search(struct sim_exhaust *exhaust, uint64_t seeds);

/* Every schedule in which at most @bends of the first @depth choices are not
 * benign. Return: the number of schedules. */
uint64_t sim_exhaust_schedules(struct sim_exhaust *exhaust,
			       const struct sim_case *what, uint32_t depth,
			       uint32_t bends);

/* One run without a fault, on these bytes. @ways: see struct weir_tape. */
void sim_exhaust_play(struct sim_exhaust *exhaust, const struct sim_case *what,
		      const uint8_t *bytes, uint32_t byte_count,
		      uint16_t *ways);

/* Plays it again and prints its story. */
void sim_exhaust_tell(struct sim_exhaust *exhaust,
		      const struct sim_finding *finding, FILE *out);

#endif
