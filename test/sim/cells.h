/* cells.h - what can go wrong: each operation of net/, each errno that it can
 * give, each state in which it can be in flight
 *
 *            states of what it belongs to
 *     RECV   free - connecting - OPEN - DRAINING - STOPPING - closing
 *      EINTR                     [ ]      [ ]        [ ]
 *      ENOMEM                    [ ]      [ ]        [ ]   each [ ] is a cell
 *
 * A state in which net/ never has the operation in flight has no cell, and the
 * table says why not. A cell is hit when net/ is handed that errno while it is
 * in that state: the state when the completion is seen, not when it is made.
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

/* Whose states count for a row. */
enum sim_states { SIM_STATES_CONN = 0, SIM_STATES_LISTENER, SIM_STATES_LOOP };

enum { SIM_STATES_MAX = 8, SIM_ERRNOS_MAX = 16 };

/* Of a listener: those of enum wi_listener_state, and then: */
enum { SIM_LISTENER_SHUT = 3 };

struct sim_cell_errno {
	int err; /* negative */
	/* The world is as healthy as before: everything is still echoed. */
	bool is_harmless;
	const char *source;
};

struct sim_cell_row {
	const char *name;
	enum sim_states states;
	uint32_t state_bits; /* in which it can be in flight */
	uint32_t hole_bits;  /* of these: not reached, and why */
	const char *hole_reason;
	const char *no_reason;               /* why the others have no cells */
	const struct sim_cell_errno *errnos; /* ends with err 0 */
};

const struct sim_cell_row *sim_cell_row(enum sim_row row);
const char *sim_state_name(enum sim_states states, uint32_t state);

/* The index of @err in the row; -1: it cannot give that. */
int sim_cell_errno_index(enum sim_row row, int err);

struct sim_cells {
	uint32_t hits[SIM_ROW_COUNT][SIM_ERRNOS_MAX][SIM_STATES_MAX];
};

bool sim_cell_is_defined(enum sim_row row, int err_index, uint32_t state);

/* Counts one; false: the table says that this cannot be. */
bool sim_cells_hit(struct sim_cells *cells, enum sim_row row, int err,
		   uint32_t state);

/* Whether an errno of this row is still to be seen in that state. */
bool sim_cells_have_hole(const struct sim_cells *cells, enum sim_row row,
			 uint32_t state);

/* Lines per row, each hole by name. Return: holes without an explanation. */
uint32_t sim_cells_report(const struct sim_cells *cells, FILE *out);

uint32_t sim_cells_defined(void);
uint32_t sim_cells_reached(const struct sim_cells *cells);

#endif
