#include "plan.h"

#include "../../net/conn/conn_priv.h"
#include "../../net/loop/loop_struct.h"

#include <string.h>

/* ---- what and where ---------------------------------------------------- */

static enum sim_row plan_row(uint64_t token, uint8_t opcode)
{
	static const enum sim_row conn_rows[WI_CONN_OP_COUNT] = {
		[WI_CONN_RECV] = SIM_ROW_RECV,
		[WI_CONN_SEND] = SIM_ROW_SEND,
		[WI_CONN_CANCEL] = SIM_ROW_CANCEL,
		[WI_CONN_CLOSE] = SIM_ROW_CLOSE,
		[WI_CONN_SOCKET] = SIM_ROW_SOCKET,
		[WI_CONN_SETSOCKOPT] = SIM_ROW_SETSOCKOPT,
		[WI_CONN_CONNECT] = SIM_ROW_CONNECT,
		[WI_CONN_INSTALL] = SIM_ROW_INSTALL,
		[WI_CONN_SHUTDOWN] = SIM_ROW_SHUTDOWN,
		[WI_CONN_CHECK] = SIM_ROW_CHECK,
	};
	const uint32_t op = wi_token_op(token);

	switch (wi_token_owner(token)) {
	case WI_OWNER_CONN:
		return opcode == IORING_OP_SENDMSG ? SIM_ROW_SENDMSG
						   : conn_rows[op];
	case WI_OWNER_LISTENER:
		return op == WI_LISTENER_OP_ACCEPT ? SIM_ROW_ACCEPT
						   : SIM_ROW_ACCEPT_CANCEL;
	case WI_OWNER_SAMPLE:
		return SIM_ROW_SAMPLE;
	case WI_OWNER_DOORBELL:
		return SIM_ROW_DOORBELL;
	default:
		return opcode == IORING_OP_ASYNC_CANCEL
			       ? SIM_ROW_DOORBELL_CANCEL
			       : SIM_ROW_NONE;
	}
}

static uint32_t listener_state(const struct weir_loop *loop, uint64_t token)
{
	const struct wi_listener *listener =
		&loop->listeners.list[wi_token_slot(token)];
	return listener->is_shut ? SIM_LISTENER_SHUT
				 : (uint32_t)listener->state;
}

static uint32_t plan_state(const struct weir_loop *loop, enum sim_row row,
			   uint64_t token)
{
	switch (sim_cell_row(row)->states) {
	case SIM_STATES_LISTENER:
		return listener_state(loop, token);
	case SIM_STATES_LOOP:
		return (uint32_t)loop->stop.phase;
	case SIM_STATES_CONN:
		break;
	}
	const struct weir_conn *conn =
		(const struct weir_conn *)(const void *)wi_pool_find(
			&loop->conns.pool, token);
	return conn != NULL ? conn->state : WEIR_CONN_FREE;
}

/* ---- giving ------------------------------------------------------------ */

static bool fault_matches(const struct sim_plan *plan,
			  const struct sim_fault *fault, enum sim_row row,
			  uint64_t token)
{
	return (fault->row == SIM_ANY || fault->row == (int)row) &&
	       (fault->state == SIM_ANY ||
		fault->state == (int)plan_state(plan->loop, row, token));
}

static void plan_give(struct sim_plan *plan, enum sim_row row, uint64_t token,
		      int err)
{
	const int index = sim_cell_errno_index(row, err);
	plan->is_harmful |=
		index < 0 || !sim_cell_row(row)->errnos[index].is_harmless;
	plan->at++;
	plan->seen = 0;
	plan->row_count = 0;
	if (err == WEIR_SIM_NEVER)
		return;
	/* Their completions go only to the loop itself. */
	if (row == SIM_ROW_DOORBELL || row == SIM_ROW_DOORBELL_CANCEL) {
		(void)sim_cells_hit(&plan->cells, row, err,
				    plan_state(plan->loop, row, token));
		return;
	}
	assert(plan->given_count < SIM_PLAN_GIVEN);
	plan->given[plan->given_count++] = (struct sim_given){
		.token = token,
		.row = row,
		.err = err,
	};
}

/* Its index; live_count: no entry has this token. */
static uint32_t live_find(const struct sim_plan *plan, uint64_t token)
{
	uint32_t i = 0;
	while (i < plan->live_count && plan->live[i].token != token)
		i++;
	return i;
}

static void live_note(struct sim_plan *plan, enum sim_row row, uint64_t token)
{
	const uint32_t at = live_find(plan, token);
	const uint32_t nth = ++plan->row_attempts[row];
	if (at == SIM_PLAN_LIVE)
		return;
	if (at == plan->live_count)
		plan->live_count++;
	plan->live[at].token = token;
	plan->live[at].row = row;
	plan->live[at].nth = nth;
}

static int plan_attempt(struct weir_sim *sim,
			const struct weir_sim_attempt *what, void *ctx)
{
	struct sim_plan *plan = ctx;
	const enum sim_row row = plan_row(what->user_data, what->opcode);
	(void)sim;

	if (plan->loop == NULL || row == SIM_ROW_NONE)
		return 0;
	plan->attempts++;
	live_note(plan, row, what->user_data);
	if (plan->at == plan->fault_count) {
		if (plan->row_count < sizeof(plan->rows))
			plan->rows[plan->row_count++] = (uint8_t)row;
		return 0;
	}
	const struct sim_fault *fault = &plan->faults[plan->at];
	if (!fault_matches(plan, fault, row, what->user_data) ||
	    ++plan->seen < fault->nth)
		return 0;
	plan_give(plan, row, what->user_data, fault->err);
	return fault->err;
}

static int plan_enter(struct weir_sim *sim, uint32_t count, void *ctx)
{
	struct sim_plan *plan = ctx;
	const struct sim_enter_fault *fault = &plan->enter_fault;
	const uint32_t nth = ++plan->enters;
	(void)sim;

	if (fault->nth == 0 || nth < fault->nth ||
	    nth > fault->nth + fault->more)
		return (int)count;
	return fault->err != 0 ? fault->err : (int)fault->most;
}

/* ---- seeing ------------------------------------------------------------ */

static void place_note(struct sim_plan *plan, const struct weir_loop *loop,
		       uint64_t token)
{
	const uint32_t at = live_find(plan, token);
	if (at == plan->live_count)
		return;
	const enum sim_row row = plan->live[at].row;
	plan->places[row][plan_state(loop, row, token)] = plan->live[at].nth;
}

static void plan_see(struct sim_plan *plan, const struct weir_loop *loop,
		     const struct io_uring_cqe *cqe)
{
	place_note(plan, loop, cqe->user_data);
	for (uint32_t i = 0; i < plan->given_count; i++) {
		const struct sim_given given = plan->given[i];
		if (given.token != cqe->user_data || given.err != cqe->res)
			continue;
		plan->given[i] = plan->given[--plan->given_count];
		const uint32_t state = plan_state(loop, given.row, given.token);
		if (sim_cells_hit(&plan->cells, given.row, given.err, state))
			return;
		plan->undefined++;
		plan->undefined_last = given;
		plan->undefined_state = state;
		return;
	}
}

/* The plan skips closed connections, and the doorbell. */
static bool plan_minds(const struct weir_loop *loop, uint64_t token)
{
	const uint32_t owner = wi_token_owner(token);
	if (owner == WI_OWNER_CONN)
		return wi_pool_find(&loop->conns.pool, token) != NULL;
	return owner == WI_OWNER_LISTENER || owner == WI_OWNER_SAMPLE;
}

static void plan_on_completion(void *ctx, const struct weir_loop *loop,
			       const struct io_uring_cqe *cqe)
{
	struct sim_plan *plan = ctx;
	if (plan->loop == loop && plan_minds(loop, cqe->user_data))
		plan_see(plan, loop, cqe);
}

static void plan_on_move(void *ctx, const struct weir_conn *conn, unsigned next)
{
	struct sim_plan *plan = ctx;
	if (next < WEIR_CONN_STATE_COUNT)
		plan->moves[conn->state][next]++;
}

/* ---- the plan itself --------------------------------------------------- */

void sim_plan_start(struct sim_plan *plan, struct weir_sim *sim)
{
	plan->sim = sim;
	plan->loop = NULL;
	plan->at = 0;
	plan->seen = 0;
	plan->attempts = 0;
	plan->row_count = 0;
	plan->given_count = 0;
	plan->is_harmful = false;
	plan->live_count = 0;
	memset(plan->row_attempts, 0, sizeof(plan->row_attempts));
	memset(plan->places, 0, sizeof(plan->places));
	plan->observer = (struct wi_observer){
		.ctx = plan,
		.on_completion = plan_on_completion,
		.on_move = plan_on_move,
	};
	wi_observe(&plan->observer);
	plan->enters = 0;
	weir_sim_on_attempt(sim, plan_attempt, plan);
	weir_sim_on_enter(sim, plan_enter, plan);
}

void sim_plan_loop(struct sim_plan *plan, const struct weir_loop *loop)
{
	plan->loop = loop;
}

void sim_plan_add(struct sim_plan *plan, struct sim_fault fault)
{
	assert(plan->fault_count < SIM_PLAN_FAULTS);
	plan->faults[plan->fault_count++] = fault;
}

bool sim_plan_is_done(const struct sim_plan *plan)
{
	return plan->at == plan->fault_count;
}

bool sim_plan_has_lost(const struct sim_plan *plan)
{
	for (uint32_t i = 0; i < plan->at; i++)
		if (plan->faults[i].err == WEIR_SIM_NEVER)
			return true;
	return false;
}

void sim_plan_end(void)
{
	wi_observe(NULL);
}

uint32_t sim_plan_moves(const struct sim_plan *plan)
{
	uint32_t count = 0;
	for (int from = 0; from < WEIR_CONN_STATE_COUNT; from++)
		for (int to = 0; to < WEIR_CONN_STATE_COUNT; to++)
			count += plan->moves[from][to] > 0;
	return count;
}
