/* sim_op_send.c - sends: one piece, or gathered */
#include "sim_priv.h"

#include <errno.h>

static size_t send_bytes(const struct sim_op *op)
{
	size_t sum = 0;
	if (op->sqe.opcode == IORING_OP_SEND)
		return op->sqe.len;
	for (size_t i = 0; i < op->message.msg_iovlen; i++)
		sum += op->iov[i].iov_len;
	return sum;
}

/* The piece at op->done. */
static struct iovec send_piece(const struct sim_op *op)
{
	size_t skip = op->done;
	if (op->sqe.opcode == IORING_OP_SEND)
		return (struct iovec){
			/* As a number: a send of nothing has no address. */
			.iov_base = (void *)(uintptr_t)(op->sqe.addr + skip),
			.iov_len = op->sqe.len - skip,
		};
	size_t i = 0;
	while (i + 1 < op->message.msg_iovlen && skip >= op->iov[i].iov_len)
		skip -= op->iov[i++].iov_len;
	return (struct iovec){
		.iov_base = (uint8_t *)op->iov[i].iov_base + skip,
		.iov_len = op->iov[i].iov_len - skip,
	};
}

int sim_op_send(struct weir_sim *sim, struct sim_op *op)
{
	const int conn = sim->files[op->file].conn;
	const size_t all = send_bytes(op);
	const bool waits_all = (op->sqe.msg_flags & MSG_WAITALL) != 0;

	if (conn == SIM_NONE)
		return -ENOTCONN;
	do {
		const struct iovec piece = send_piece(op);
		size_t bytes = piece.iov_len;
		const bool is_short =
			bytes > 1 && sim_fault(sim, WEIR_FAULT_SHORT_SEND);
		if (is_short)
			bytes = 1 + weir_tape_below(
					    sim->tape,
					    bytes < 65536 ? (uint32_t)bytes - 1
							  : 65535);
		int result = sim_net_write(sim, conn, sim->files[op->file].side,
					   piece.iov_base, bytes);
		if (result == -EAGAIN)
			return op->done > 0 && !waits_all ? (int)op->done
							  : SIM_OP_WAITS;
		if (result < 0)
			return op->done > 0 ? (int)op->done : result;
		op->done += (uint32_t)result;
		if (is_short)
			return (int)op->done;
	} while (op->done < all);
	return (int)op->done;
}
