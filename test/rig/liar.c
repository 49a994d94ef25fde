#include "liar.h"

#include "uring/soft/soft_copy.h"

#include "uring/barrier.h"

#include <unistd.h>

/* At least as long as what is sent. */
static const char other_bytes[64] = "other bytes";

static const struct weir_kernel *real(void)
{
	return weir_kernel_linux();
}

static int liar_setup(void *ctx, uint32_t entry_count,
		      struct io_uring_params *params)
{
	struct liar *liar = ctx;
	const int fd = real()->setup(real()->ctx, entry_count, params);
	liar->params = *params;
	liar->sqe_index = 0;
	liar->cqe_index = 0;
	liar->seen = 0;
	return fd;
}

static int liar_map(void *ctx, size_t bytes, int fd, uint64_t offset,
		    void **out_memory)
{
	struct liar *liar = ctx;
	const int err = real()->map(real()->ctx, bytes, fd, offset, out_memory);
	if (err < 0 || fd < 0)
		return err;
	if (offset == IORING_OFF_SQES)
		liar->sqes = *out_memory;
	else
		liar->rings = *out_memory;
	return 0;
}

static uint32_t *word_at(const struct liar *liar, uint32_t offset)
{
	return (uint32_t *)(void *)(liar->rings + offset);
}

static void send_others(struct liar *liar, struct io_uring_sqe *sqe)
{
	struct iovec *parts = (struct iovec *)(uintptr_t)sqe->addr;
	if ((sqe->ioprio & IORING_SEND_VECTORIZED) != 0)
		parts[0].iov_base = (void *)other_bytes;
	else
		sqe->addr = (uint64_t)(uintptr_t)other_bytes;
	liar->told++;
}

static void liar_submit(struct liar *liar, uint32_t count)
{
	const uint32_t mask = liar->params.sq_entries - 1;
	for (uint32_t i = 0; i < count; i++) {
		struct io_uring_sqe *entry =
			&liar->sqes[liar->sqe_index++ & mask];
		struct io_uring_sqe sqe;
		wi_soft_copy(&sqe, entry, sizeof(sqe));
		if (sqe.user_data < LIAR_OPS_MAX)
			liar->entries[sqe.user_data] = sqe;
		if (!liar->lie.has_other_bytes ||
		    sqe.opcode != liar->lie.opcode)
			continue;
		send_others(liar, &sqe);
		wi_soft_copy(entry, &sqe, sizeof(sqe));
	}
}

static bool makes_fd(const struct io_uring_sqe *sqe)
{
	return sqe->file_index == 0 && (sqe->opcode == IORING_OP_ACCEPT ||
					sqe->opcode == IORING_OP_SOCKET);
}

static void liar_complete(struct liar *liar, struct io_uring_cqe *cqe)
{
	/* Other numbers are those of messages. */
	static const struct io_uring_sqe message = {
		.opcode = IORING_OP_MSG_RING,
	};
	const struct lie *lie = &liar->lie;
	const struct io_uring_sqe *sqe =
		cqe->user_data < LIAR_OPS_MAX ? &liar->entries[cqe->user_data]
					      : &message;
	if (sqe->opcode != lie->opcode || ++liar->seen < lie->from)
		return;
	if (lie->has_res || lie->has_no_flags)
		liar->told++;
	/* Who is lied to about a descriptor cannot close it. */
	if (lie->has_res && makes_fd(sqe) && cqe->res >= 0)
		(void)close(cqe->res);
	if (lie->has_res)
		cqe->res = lie->res;
	if (lie->has_no_flags)
		cqe->flags = 0;
}

static int liar_enter(void *ctx, int ring_fd, uint32_t submit_count,
		      uint32_t min_complete, uint32_t flags, const void *arg,
		      size_t arg_bytes)
{
	struct liar *liar = ctx;
	const struct io_cqring_offsets *at = &liar->params.cq_off;
	liar_submit(liar, submit_count);
	const int result = real()->enter(real()->ctx, ring_fd, submit_count,
					 min_complete, flags, arg, arg_bytes);
	struct io_uring_cqe *cqes =
		(struct io_uring_cqe *)(void *)(liar->rings + at->cqes);
	const uint32_t tail = wi_load_acquire_u32(word_at(liar, at->tail));
	while (liar->cqe_index != tail) {
		struct io_uring_cqe *entry =
			&cqes[liar->cqe_index++ &
			      (liar->params.cq_entries - 1)];
		struct io_uring_cqe cqe;
		wi_soft_copy(&cqe, entry, sizeof(cqe));
		liar_complete(liar, &cqe);
		wi_soft_copy(entry, &cqe, sizeof(cqe));
	}
	return result;
}

void liar_init(struct liar *liar, const struct lie *lie)
{
	*liar = (struct liar){ .kernel = *weir_kernel_linux(), .lie = *lie };
	/* What is not replaced here goes to the real one, which has no use for
	 * ctx. */
	liar->kernel.name = "liar";
	liar->kernel.ctx = liar;
	liar->kernel.setup = liar_setup;
	liar->kernel.map = liar_map;
	liar->kernel.enter = liar_enter;
}
