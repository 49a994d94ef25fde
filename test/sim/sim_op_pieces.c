/* sim_op_pieces.c - what an operation sends from, or receives into
 *
 *     one buffer, an array of them, or what a group shows --> iov, iov_count
 *                                                             all: their bytes
 */
#include "sim_priv.h"

#include <errno.h>

struct iovec sim_op_piece(const struct sim_op *op, uint32_t at)
{
	uint32_t i = 0;
	while (i + 1 < op->iov_count && at >= op->iov[i].iov_len)
		at -= (uint32_t)op->iov[i++].iov_len;
	if (op->iov_count == 0)
		return (struct iovec){ .iov_len = 0 };
	return (struct iovec){
		/* As a number: nothing has no address. */
		.iov_base = (void *)((uintptr_t)op->iov[i].iov_base + at),
		.iov_len = op->iov[i].iov_len - at,
	};
}

void sim_op_pieces_one(struct sim_op *op)
{
	op->iov[0] = (struct iovec){
		/* As a number: a send of nothing has no address. */
		.iov_base = (void *)(uintptr_t)op->sqe.addr,
		.iov_len = op->sqe.len,
	};
	op->iov_count = 1;
	op->all = op->sqe.len;
}

int sim_op_pieces_read(struct sim_op *op, const struct iovec *iov, size_t count)
{
	if (count > SIM_IOVS)
		return -EMSGSIZE;
	sim_copy(op->iov, iov, count * sizeof(iov[0]));
	op->iov_count = (uint32_t)count;
	for (size_t i = 0; i < count; i++)
		op->all += (uint32_t)op->iov[i].iov_len;
	return 0;
}

void sim_op_pieces_take(struct weir_sim *sim, struct sim_op *op,
			const struct sim_take *take)
{
	memcpy(op->iov, take->iov, take->count * sizeof(take->iov[0]));
	op->iov_count = take->count;
	op->all = take->bytes;
	op->at = 0;
	sim_op_cache_iov(&sim->rings[op->ring], take->count);
}
