/* sim_op_recv.c - receives, once and multishot */
#include "sim_priv.h"

#include <errno.h>

/* Posts what it has received. Return: SIM_OP_AGAIN if a multishot goes on. */
static int recv_post(struct weir_sim *sim, struct sim_op *op, int res,
		     uint32_t flags)
{
	const bool is_multishot = (op->sqe.ioprio & IORING_RECV_MULTISHOT) != 0;
	const int conn = sim->files[op->file].conn;

	if (sim_net_readable(sim, conn, sim->files[op->file].side) > 0)
		flags |= IORING_CQE_F_SOCK_NONEMPTY;
	if (is_multishot && !sim_fault(sim, WEIR_FAULT_TERMINATE) &&
	    sim_ring_post(sim, op->ring, op->sqe.user_data, res,
			  flags | IORING_CQE_F_MORE, true)) {
		weir_sim_note(sim, "c%d server receives %d bytes", conn, res);
		op->is_armed = true;
		return SIM_OP_AGAIN;
	}
	op->due_flags = flags;
	return res;
}

int sim_op_recv(struct weir_sim *sim, struct sim_op *op)
{
	const int conn = sim->files[op->file].conn;
	struct sim_group *group =
		sim_group_find(&sim->rings[op->ring], op->sqe.buf_group);

	if (conn == SIM_NONE)
		return -ENOTCONN;
	if (group == NULL)
		return -ENOENT;
	const struct io_uring_buf *buf = sim_group_peek(group);
	if (buf == NULL || sim_fault(sim, WEIR_FAULT_ENOBUFS))
		return -ENOBUFS;
	uint32_t bytes = buf->len;
	if (op->sqe.len != 0 && op->sqe.len < bytes)
		bytes = op->sqe.len;
	const uint16_t id = buf->bid;
	int result = sim_net_read(sim, conn, sim->files[op->file].side,
				  (void *)(uintptr_t)buf->addr, bytes);
	if (result == -EAGAIN)
		return (op->sqe.msg_flags & MSG_DONTWAIT) != 0 ? -EAGAIN
							       : SIM_OP_WAITS;
	if (result <= 0)
		return result;
	group->head++;
	return recv_post(sim, op, result,
			 IORING_CQE_F_BUFFER |
				 (uint32_t)id << IORING_CQE_BUFFER_SHIFT);
}
