/* sim_op_cancel.c - which operations a cancel finds */
#include "sim_priv.h"

#include <errno.h>

static bool cancel_matches(const struct weir_sim *sim, const struct sim_op *op,
			   const struct sim_op *target)
{
	const uint32_t flags = op->sqe.cancel_flags;

	if (!target->is_used || target == op || target->ring != op->ring ||
	    target->is_cancelled || !target->is_armed)
		return false;
	if ((flags & IORING_ASYNC_CANCEL_ANY) != 0)
		return true;
	if ((flags & IORING_ASYNC_CANCEL_FD) == 0)
		return target->sqe.user_data == op->sqe.addr;
	const struct sim_ring *ring = &sim->rings[op->ring];
	const int file = (flags & IORING_ASYNC_CANCEL_FD_FIXED) != 0
				 ? sim_slot_file(ring, op->sqe.fd)
				 : sim_fd_file(sim, op->sqe.fd);
	return file != SIM_NONE && target->file == file;
}

int sim_op_cancel(struct weir_sim *sim, struct sim_op *op)
{
	const bool is_all =
		(op->sqe.cancel_flags & IORING_ASYNC_CANCEL_ALL) != 0;
	int count = 0;

	if (sim_fault(sim, WEIR_FAULT_CANCEL_MISS))
		return is_all ? 0 : -EALREADY;
	for (int i = 0; i < sim->op_high; i++) {
		struct sim_op *target = &sim->ops[i];
		if (!cancel_matches(sim, op, target))
			continue;
		target->is_cancelled = true;
		count++;
		if (!is_all)
			return 0;
	}
	return is_all ? count : -ENOENT;
}
