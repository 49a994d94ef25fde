/* cells.h - what can go wrong: each operation of net/, each errno that it can
 * return, each state in which it can be in flight
 *
 *            state of its connection, listener or loop
 *     RECV   free - connecting - OPEN - DRAINING - STOPPING - closing
 *      EINTR                     [ ]      [ ]        [ ]
 *      ENOMEM                    [ ]      [ ]        [ ]   each [ ] is a cell
 *
 * A state in which net/ never has the operation in flight has no cell, and the
 * table says why not. A cell is hit when net/ sees that errno in that state:
 * the state when net/ reads the completion, not when the kernel makes it.
 */
#ifndef WEIR_SIM_CELLS_H
#define WEIR_SIM_CELLS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Operations, as net/ uses them. */
enum sim_row {
	SIM_ROW_RECV = 0,
	SIM_ROW_SEND,
	SIM_ROW_SENDMSG,
	SIM_ROW_CHECK,
	SIM_ROW_CANCEL,
	SIM_ROW_CLOSE,
	SIM_ROW_SOCKET,
	SIM_ROW_SETSOCKOPT,
	SIM_ROW_CONNECT,
	SIM_ROW_INSTALL,
	SIM_ROW_SHUTDOWN,
	SIM_ROW_ACCEPT,
	SIM_ROW_ACCEPT_CANCEL,
	SIM_ROW_SAMPLE,
	SIM_ROW_DOORBELL,
	SIM_ROW_DOORBELL_CANCEL,
	SIM_ROW_COUNT,
	SIM_ROW_NONE = SIM_ROW_COUNT,
};

/* The object whose states a row uses. */
enum sim_states { SIM_STATES_CONN = 0, SIM_STATES_LISTENER, SIM_STATES_LOOP };

enum { SIM_STATES_MAX = 8, SIM_ERRNOS_MAX = 16 };

/* A listener has the states of enum wi_listener_state, and this one: */
enum { SIM_LISTENER_SHUT = 3 };

struct sim_cell_errno {
	int err; /* negative */
	/* No connection is lost: everything is still echoed. */
	bool is_harmless;
	const char *source;
};

struct sim_cell_row {
	const char *name;
	enum sim_states states;
	uint32_t state_bits; /* states in which it can be in flight */
	uint32_t hole_bits;  /* of these, not reached; see hole_reason */
	const char *hole_reason;
	const char *no_reason;               /* why others have no cell */
	const struct sim_cell_errno *errnos; /* ends with err 0 */
};

const struct sim_cell_row *sim_cell_row(enum sim_row row);
const char *sim_state_name(enum sim_states states, uint32_t state);

/* The index of @err in the row; -1: the operation cannot return it. */
int sim_cell_errno_index(enum sim_row row, int err);

struct sim_cells {
	uint32_t hits[SIM_ROW_COUNT][SIM_ERRNOS_MAX][SIM_STATES_MAX];
};

bool sim_cell_is_defined(enum sim_row row, int err_index, uint32_t state);

/* Counts one hit; false: the table has no such cell. */
bool sim_cells_hit(struct sim_cells *cells, enum sim_row row, int err,
		   uint32_t state);

/* Whether an errno of this row has not been seen in that state yet. */
bool sim_cells_have_hole(const struct sim_cells *cells, enum sim_row row,
			 uint32_t state);

/* Prints each row, and each hole by name. Return: holes without a reason. */
uint32_t sim_cells_report(const struct sim_cells *cells, FILE *out);

uint32_t sim_cells_defined(void);
uint32_t sim_cells_reached(const struct sim_cells *cells);

#endif
