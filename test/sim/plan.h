/* plan.h - planned faults, and what net/ does about them
 *
 *     attempt of an operation --> the plan: is it the n-th of its kind, in
 *     that state? --> its errno --> completion --> net/ --> a cell is hit
 *
 * Only one plan can observe at a time, through net/core/observe.h.
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

/* The @nth attempt (from 1) of @row in @state ends with @err. The second fault
 * of a plan counts the attempts after the first fault. */
struct sim_fault {
	int row;   /* or SIM_ANY */
	int state; /* or SIM_ANY */
	uint32_t nth;
	int err; /* or WEIR_SIM_NEVER */
};

/* The @nth enter, and the @more after it. */
struct sim_enter_fault {
	uint32_t nth; /* 0: none */
	uint32_t more;
	int err;       /* or 0: it is short */
	uint32_t most; /* entries that a short enter takes */
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
	uint32_t at;   /* index of the next fault */
	uint32_t seen; /* attempts that match it */
	uint32_t attempts;
	/* The rows of the attempts after the last fault. */
	uint8_t rows[256];
	uint32_t row_count;
	struct sim_given given[SIM_PLAN_GIVEN]; /* not yet seen by net/ */
	uint32_t given_count;
	struct sim_enter_fault enter_fault;
	uint32_t enters;
	bool is_harmful; /* a fault may have cost a connection */

	/* For each completion, with a fault or without: the last attempt of its
	 * row that made it, by the state in which net/ saw it. 0: none. */
	uint32_t row_attempts[SIM_ROW_COUNT];
	struct {
		uint64_t token;
		enum sim_row row;
		uint32_t nth;
	} live[SIM_PLAN_LIVE];
	uint32_t live_count;
	uint32_t places[SIM_ROW_COUNT][SIM_STATES_MAX];

	/* Sums over all runs. */
	struct sim_cells cells;
	uint64_t moves[WEIR_CONN_STATE_COUNT][WEIR_CONN_STATE_COUNT];
	uint64_t undefined; /* faults seen in a state that has no cell */
	struct sim_given undefined_last;
	uint32_t undefined_state;
};

/* Attaches a plan without faults to @sim. */
void sim_plan_start(struct sim_plan *plan, struct weir_sim *sim);

/* The loop whose states count. NULL: it is closed. */
void sim_plan_loop(struct sim_plan *plan, const struct weir_loop *loop);

/* Adds a fault. */
void sim_plan_add(struct sim_plan *plan, struct sim_fault fault);

/* All faults have been given. */
bool sim_plan_is_done(const struct sim_plan *plan);

/* One of its faults was WEIR_SIM_NEVER. */
bool sim_plan_has_lost(const struct sim_plan *plan);

/* Detaches the plan. */
void sim_plan_end(void);

/* How many different moves were seen. */
uint32_t sim_plan_moves(const struct sim_plan *plan);

#endif
