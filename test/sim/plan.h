/* plan.h - faults by appointment, and what net/ makes of them
 *
 *     attempt of an operation --> the plan: is it the n-th of its kind, in
 *     that state? --> its errno --> completion --> net/ --> a cell is hit
 *
 * One plan at a time can watch: it is the observer of net/core/observe.h.
 */
#ifndef WEIR_SIM_PLAN_H
#define WEIR_SIM_PLAN_H

#include "cells.h"
#include "sim.h"

#include "../../net/conn/conn_state.h"
#include "../../net/core/observe.h"

struct weir_loop;

enum {
	SIM_PLAN_LIVE = 64,
	SIM_PLAN_FAULTS = 2,
	SIM_PLAN_GIVEN = 16,
	SIM_ANY = -1
};

/* At the @nth attempt (from 1) of @row in @state: @err. After the first fault
 * of a plan the second one counts on: attempts later than that one. */
struct sim_fault {
	int row;   /* or SIM_ANY */
	int state; /* or SIM_ANY */
	uint32_t nth;
	int err; /* or WEIR_SIM_NEVER */
};

/* The @nth enter, and @more after it. */
struct sim_enter_fault {
	uint32_t nth; /* 0: none */
	uint32_t more;
	int err;       /* or 0: it is short */
	uint32_t most; /* entries that a short one takes */
};

struct sim_given {
	uint64_t token;
	enum sim_row row;
	int err;
};

struct sim_plan {
	struct weir_sim *sim;
	struct wi_observer observer;
	const struct weir_loop *loop; /* NULL: not open */
	struct sim_fault faults[SIM_PLAN_FAULTS];
	uint32_t fault_count;
	uint32_t at;   /* the fault that is next */
	uint32_t seen; /* attempts that match it */
	uint32_t attempts;
	/* The rows of the attempts after the last fault was given. */
	uint8_t rows[256];
	uint32_t row_count;
	struct sim_given given[SIM_PLAN_GIVEN]; /* not seen by net/ yet */
	uint32_t given_count;
	struct sim_enter_fault enter_fault;
	uint32_t enters;
	bool is_harmful; /* one was given that may cost a connection */

	/* Where a completion came from, fault or not: the last attempt of its
	 * row that made it, by the state in which it was seen. 0: none. */
	uint32_t row_attempts[SIM_ROW_COUNT];
	struct {
		uint64_t token;
		enum sim_row row;
		uint32_t nth;
	} live[SIM_PLAN_LIVE];
	uint32_t live_count;
	uint32_t places[SIM_ROW_COUNT][SIM_STATES_MAX];

	/* Sums; they outlive a run. */
	struct sim_cells cells;
	uint64_t moves[WEIR_CONN_STATE_COUNT][WEIR_CONN_STATE_COUNT];
	uint64_t undefined; /* faults seen in a state that has no cell */
	struct sim_given undefined_last;
	uint32_t undefined_state;
};

/* A plan without faults, in @sim from now on. */
void sim_plan_start(struct sim_plan *plan, struct weir_sim *sim);

/* Whose states count. NULL: it is closed. */
void sim_plan_loop(struct sim_plan *plan, const struct weir_loop *loop);

/* One fault more. */
void sim_plan_add(struct sim_plan *plan, struct sim_fault fault);

/* All were given. */
bool sim_plan_is_done(const struct sim_plan *plan);

/* One of its operations never completes. */
bool sim_plan_has_lost(const struct sim_plan *plan);

/* No plan watches any more. */
void sim_plan_end(void);

/* How many different moves were made. */
uint32_t sim_plan_moves(const struct sim_plan *plan);

#endif
