#include "liar.h"

#include <sys/uio.h>
#include <unistd.h>

/* At least as long as any send of the tests. */
static const char other_bytes[64] = "other bytes";

static void send_others(struct liar *liar, struct io_uring_sqe *sqe)
{
	struct iovec *parts = (struct iovec *)(uintptr_t)sqe->addr;
	if ((sqe->ioprio & IORING_SEND_VECTORIZED) != 0)
		parts[0].iov_base = (void *)other_bytes;
	else
		sqe->addr = (uint64_t)(uintptr_t)other_bytes;
	liar->told++;
}

static void liar_submit(void *ctx, struct io_uring_sqe *sqe)
{
	struct liar *liar = ctx;
	if (sqe->user_data < LIAR_OPS_MAX)
		liar->entries[sqe->user_data] = *sqe;
	if (liar->lie.has_other_bytes && sqe->opcode == liar->lie.opcode)
		send_others(liar, sqe);
}

static bool makes_fd(const struct io_uring_sqe *sqe)
{
	return sqe->file_index == 0 && (sqe->opcode == IORING_OP_ACCEPT ||
					sqe->opcode == IORING_OP_SOCKET);
}

static void liar_complete(void *ctx, struct io_uring_cqe *cqe)
{
	/* Other user_data values belong to messages. */
	static const struct io_uring_sqe message = {
		.opcode = IORING_OP_MSG_RING,
	};
	struct liar *liar = ctx;
	const struct lie *lie = &liar->lie;
	const struct io_uring_sqe *sqe =
		cqe->user_data < LIAR_OPS_MAX ? &liar->entries[cqe->user_data]
					      : &message;
	if (sqe->opcode != lie->opcode || ++liar->seen < lie->from)
		return;
	if (lie->has_res || lie->has_no_flags)
		liar->told++;
	/* The code under test gets no descriptor, so close it here. */
	if (lie->has_res && makes_fd(sqe) && cqe->res >= 0)
		(void)close(cqe->res);
	if (lie->has_res)
		cqe->res = lie->res;
	if (lie->has_no_flags)
		cqe->flags = 0;
}

static bool liar_before(void *ctx, struct kernel_call *call)
{
	struct liar *liar = ctx;
	if (call->id == CALL_ENTER)
		ring_view_submitted(&liar->view, call, liar_submit, liar);
	return false;
}

static void liar_after(void *ctx, struct kernel_call *call)
{
	struct liar *liar = ctx;
	ring_view_follow(&liar->view, call);
	if (call->id == CALL_SETUP)
		liar->seen = 0;
	if (call->id == CALL_ENTER)
		ring_view_completed(&liar->view, liar_complete, liar);
}

void liar_init(struct liar *liar, const struct lie *lie)
{
	*liar = (struct liar){ .lie = *lie };
	kernel_wrap_init(&liar->wrap, weir_kernel_linux(), liar_before,
			 liar_after, liar);
}
