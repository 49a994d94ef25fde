/* sim_op_pieces.c - the memory that an operation sends, or receives into
 *
 *     one buffer, an array, or buffers of a group --> iov, iov_count
 *                                                     all: their bytes
 */
#include "sim_op_priv.h"

#include <errno.h>

struct iovec sim_op_piece(const struct sim_op *op, uint32_t at)
{
	uint32_t i = 0;
	while (i + 1 < op->iov_count && at >= op->iov[i].iov_len)
		at -= (uint32_t)op->iov[i++].iov_len;
	if (op->iov_count == 0)
		return (struct iovec){ .iov_len = 0 };
	return (struct iovec){
		/* A number, since a piece of 0 bytes may have no address. */
		.iov_base = (void *)((uintptr_t)op->iov[i].iov_base + at),
		.iov_len = op->iov[i].iov_len - at,
	};
}

void sim_op_pieces_one(struct sim_op *op)
{
	op->iov[0] = (struct iovec){
		/* A number, since a send of 0 bytes may have no address. */
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
	wi_soft_copy(op->iov, iov, count * sizeof(iov[0]));
	op->iov_count = (uint32_t)count;
	for (size_t i = 0; i < count; i++)
		op->all += (uint32_t)op->iov[i].iov_len;
	return 0;
}

struct wi_soft_group *sim_op_group(struct weir_sim *sim,
				   const struct sim_op *op)
{
	return wi_soft_group_find(&sim->rings[op->ring].groups,
				  op->sqe.buf_group);
}

void sim_group_look(struct weir_sim *sim, struct wi_soft_group *group)
{
	const char *wrong = wi_soft_group_check(group);
	if (wrong != NULL)
		weir_sim_violate(sim, wrong);
}

int sim_group_take(struct weir_sim *sim, struct wi_soft_group *group,
		   uint32_t max_bytes, enum wi_soft_take_mode mode,
		   uint32_t guess, struct wi_soft_take *out_take)
{
	sim_group_look(sim, group);
	return wi_soft_group_take(group, max_bytes, mode, guess, out_take);
}

void sim_op_pieces_take(struct weir_sim *sim, struct sim_op *op,
			const struct wi_soft_take *take)
{
	memcpy(op->iov, take->iov, take->count * sizeof(take->iov[0]));
	op->iov_count = take->count;
	op->all = take->bytes;
	op->at = 0;
	sim_op_cache_iov(&sim->rings[op->ring], take->count);
}
