/* sim_worker.c - operations that a kernel worker thread runs
 *
 *     submitted --> picked up --> runs --> completion --> released
 *               ^             ^        ^              ^
 *               +-------- moments: at any time -------+
 *
 * A worker always runs a shutdown: it looks up the file when it runs, and its
 * completion is task work of the ring. A moment is a point between two events
 * of the world. A worker may run at each; the tape chooses.
 */
#include "sim_op_priv.h"

enum {
	/* The delay of one. 0: until the world's next step, then as the tape
	 * chooses; 1: none; n: n - 1 moments, then it runs. The programs of
	 * sim-model have fewer moments between two settles. */
	DELAYS = 32,
	AT_ONCE = 1,
	ONE_IN = 8,
};

static bool worker_does(const struct sim_op *op)
{
	return op->sqe.opcode == IORING_OP_SHUTDOWN;
}

bool sim_worker_takes(struct weir_sim *sim, struct sim_op *op)
{
	if (!worker_does(op))
		return false;
	const uint32_t delay = weir_tape_below(sim->tape, DELAYS);
	if (delay == AT_ONCE)
		return false;
	op->is_armed = true;
	op->is_late = true;
	if (delay == 0)
		return true;
	op->acts_at = sim->moments + delay;
	if (op->acts_at > sim->naps_end)
		sim->naps_end = op->acts_at;
	return true;
}

bool sim_worker_keeps(struct weir_sim *sim, struct sim_op *op, int result)
{
	if (!worker_does(op) || weir_tape_below(sim->tape, 2) == 0)
		return false;
	op->has_acted = true;
	op->due_result = result;
	sim_worker_has_done(sim, op);
	return true;
}

/* ---- what it still holds ----------------------------------------------- */

void sim_worker_has_done(struct weir_sim *sim, const struct sim_op *op)
{
	struct sim_ring *ring = &sim->rings[op->ring];
	if (!worker_does(op) || !op->is_prepared || op->is_cancelled)
		return;
	const uint32_t at = ring->worked_count++ % SIM_WORKED;
	ring->worked[at].token = op->sqe.user_data;
	ring->worked[at].file = op->file;
}

void sim_worker_forget(struct weir_sim *sim, int file)
{
	for (int i = 0; i < SIM_RINGS; i++)
		for (uint32_t w = 0; w < SIM_WORKED; w++)
			if (sim->rings[i].worked[w].file == file)
				sim->rings[i].worked[w].file = SIM_NONE;
}

static bool worked_matches(const struct sim_ring *ring, uint32_t at,
			   uint32_t cancel_flags, uint64_t token, int file)
{
	if ((cancel_flags & IORING_ASYNC_CANCEL_ANY) != 0)
		return true;
	if ((cancel_flags & IORING_ASYNC_CANCEL_FD) != 0)
		return ring->worked[at].file == file;
	return ring->worked[at].token == token;
}

/* A worker releases an operation only after its completion is posted. In
 * between a cancel still finds it, too late (sim-model, on a busy machine). */
bool sim_worker_holds(struct weir_sim *sim, int index, uint32_t cancel_flags,
		      uint64_t token, int file)
{
	const struct sim_ring *ring = &sim->rings[index];
	for (uint32_t i = 0; i < SIM_WORKED && i < ring->worked_count; i++)
		if (worked_matches(ring, i, cancel_flags, token, file))
			return weir_tape_below(sim->tape, ONE_IN) == 1;
	return false;
}

/* ---- when it acts ------------------------------------------------------ */

static bool worker_naps(const struct weir_sim *sim, const struct sim_op *op)
{
	return op->is_used && op->is_late && !op->is_cancelled &&
	       op->acts_at > sim->moments;
}

void sim_worker_moment(struct weir_sim *sim)
{
	if (++sim->moments > sim->naps_end)
		return;
	for (int i = 0; i < sim->op_high; i++) {
		struct sim_op *op = &sim->ops[i];
		if (op->is_used && op->is_late && !op->is_cancelled &&
		    op->acts_at == sim->moments)
			sim_op_step(sim, op);
	}
}

bool sim_worker_rouse(struct weir_sim *sim)
{
	if (sim->moments >= sim->naps_end)
		return false;
	for (int i = 0; i < sim->op_high; i++)
		if (worker_naps(sim, &sim->ops[i])) {
			sim_op_step(sim, &sim->ops[i]);
			return true;
		}
	return false;
}
