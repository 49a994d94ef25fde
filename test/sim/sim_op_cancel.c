/* sim_op_cancel.c - which operations a cancel finds */
#include "sim_op_priv.h"

#include <errno.h>

static int cancel_file(const struct weir_sim *sim, const struct sim_op *op)
{
	return (op->sqe.cancel_flags & IORING_ASYNC_CANCEL_FD_FIXED) != 0
		       ? wi_soft_slots_file(&sim->rings[op->ring].slots,
					    op->sqe.fd)
		       : sim_fd_file(sim, op->sqe.fd);
}

static bool cancel_is_by_file(const struct sim_op *op)
{
	return (op->sqe.cancel_flags & IORING_ASYNC_CANCEL_FD) != 0;
}

/* Its file; before it has looked that up, the file that it would find. */
static int cancel_target_file(const struct weir_sim *sim,
			      const struct sim_op *target)
{
	if (target->file != SIM_NONE ||
	    target->sqe.opcode != IORING_OP_SHUTDOWN)
		return target->file;
	return (target->sqe.flags & IOSQE_FIXED_FILE) != 0
		       ? wi_soft_slots_file(&sim->rings[target->ring].slots,
					    target->sqe.fd)
		       : sim_fd_file(sim, target->sqe.fd);
}

static bool cancel_matches(const struct weir_sim *sim, const struct sim_op *op,
			   const struct sim_op *target)
{
	const uint32_t flags = op->sqe.cancel_flags;

	if (!target->is_used || target == op || target->ring != op->ring ||
	    !target->is_armed || target->is_lost || target->is_notice ||
	    target->is_message || target->has_acted)
		return false;
	/* Its file was ready when it was armed, so it is queued:
	 * io_arm_poll_handler(). */
	if ((target->sqe.opcode == IORING_OP_RECV ||
	     target->sqe.opcode == IORING_OP_RECVMSG) &&
	    target->is_woken &&
	    (target->sqe.ioprio & IORING_RECV_MULTISHOT) == 0)
		return false;
	/* An operation that waits for a file is found until it has ended. */
	if (target->is_cancelled &&
	    (target->is_late || target->sqe.opcode == IORING_OP_TIMEOUT))
		return false;
	if ((flags & IORING_ASYNC_CANCEL_ANY) != 0)
		return true;
	if ((flags & IORING_ASYNC_CANCEL_FD) == 0)
		return target->sqe.user_data == op->sqe.addr;
	return cancel_target_file(sim, target) == cancel_file(sim, op);
}

/* A kernel worker runs it: the cancel finds it, but it continues. */
static bool cancel_finds_running(struct weir_sim *sim,
				 const struct sim_op *target)
{
	return target->is_late && !target->is_cancelled &&
	       target->sqe.opcode == IORING_OP_SHUTDOWN &&
	       weir_tape_below(sim->tape, 4) == 1;
}

static bool cancel_is_all(const struct sim_op *op)
{
	/* ANY matches all, with or without ALL: io_async_cancel(). */
	return (op->sqe.cancel_flags &
		(IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) != 0;
}

/* Return: 0; -EALREADY: a worker runs it; -ENOENT: no match after all. */
static int cancel_target(struct weir_sim *sim, const struct sim_op *op,
			 struct sim_op *target)
{
	const bool is_running = cancel_finds_running(sim, target);
	if (sim_op_timeout_has_fired(sim, target))
		return -ENOENT;
	/* It has looked up its file only once it runs. */
	if (cancel_is_by_file(op) && target->file == SIM_NONE && !is_running)
		return -ENOENT;
	target->is_cancelled |= !is_running;
	return is_running ? -EALREADY : 0;
}

static bool cancel_finds_done(struct weir_sim *sim, const struct sim_op *op)
{
	return sim_worker_holds(
		sim, op->ring, op->sqe.cancel_flags, op->sqe.addr,
		cancel_is_by_file(op) ? cancel_file(sim, op) : SIM_NONE);
}

static int cancel_all(struct weir_sim *sim, const struct sim_op *op)
{
	bool has_worker = cancel_finds_done(sim, op);
	int count = has_worker;
	for (int i = 0; i < sim->op_high; i++) {
		struct sim_op *target = &sim->ops[i];
		if (!cancel_matches(sim, op, target) ||
		    cancel_target(sim, op, target) == -ENOENT)
			continue;
		/* All operations of kernel workers count as one. */
		count += !target->is_late || !has_worker;
		has_worker |= target->is_late;
	}
	return count;
}

/* Which one of several is found depends on a hash: any. */
static int cancel_one(struct weir_sim *sim, const struct sim_op *op)
{
	int matches[SIM_OPS];
	uint32_t count = 0;
	for (int i = 0; i < sim->op_high; i++)
		if (cancel_matches(sim, op, &sim->ops[i]))
			matches[count++] = i;
	if (count == 0)
		return cancel_finds_done(sim, op) ? -EALREADY : -ENOENT;
	return cancel_target(
		sim, op, &sim->ops[matches[weir_tape_below(sim->tape, count)]]);
}

int sim_op_cancel(struct weir_sim *sim, struct sim_op *op)
{
	if (cancel_is_by_file(op) && cancel_file(sim, op) == SIM_NONE)
		return -EBADF;
	if (sim_fault(sim, WEIR_FAULT_CANCEL_MISS))
		return cancel_is_all(op) ? 0 : -EALREADY;
	return cancel_is_all(op) ? cancel_all(sim, op) : cancel_one(sim, op);
}
