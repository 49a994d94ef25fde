/* model_errors.c - a simulated kernel with one mistake
 *
 *     enter --> the correct enter --> completions, changed in place
 */
#include "model_lies.h"

#include "../rig/ring_view.h"

#include <errno.h>
#include <poll.h>

static void recv_one_more(const struct model_op *op, struct io_uring_cqe *cqe)
{
	if (op->opcode == IORING_OP_RECV && cqe->res > 0 &&
	    cqe->res < MODEL_BYTES && (cqe->flags & IORING_CQE_F_BUFFER) == 0)
		cqe->res++;
}

static void recv_end_at_once(const struct model_op *op,
			     struct io_uring_cqe *cqe)
{
	if (op->opcode == IORING_OP_RECV && cqe->res > 0 &&
	    (cqe->flags & IORING_CQE_F_BUFFER) == 0)
		cqe->res = 0;
}

static void recv_knows_no_more(const struct model_op *op,
			       struct io_uring_cqe *cqe)
{
	if (op->opcode == IORING_OP_RECV)
		cqe->flags &= ~(uint32_t)IORING_CQE_F_SOCK_NONEMPTY;
}

static void recv_hides_reset(const struct model_op *op,
			     struct io_uring_cqe *cqe)
{
	if (op->opcode == IORING_OP_RECV && cqe->res == -ECONNRESET)
		cqe->res = 0;
}

static void send_one_less(const struct model_op *op, struct io_uring_cqe *cqe)
{
	if (op->opcode == IORING_OP_SEND && cqe->res > 1)
		cqe->res--;
}

static void cancel_finds_all(const struct model_op *op,
			     struct io_uring_cqe *cqe)
{
	if (op->opcode == IORING_OP_ASYNC_CANCEL && cqe->res == -ENOENT)
		cqe->res = 0;
}

static void cancel_miscounts(const struct model_op *op,
			     struct io_uring_cqe *cqe)
{
	if (op->opcode == IORING_OP_ASYNC_CANCEL && cqe->res > 1)
		cqe->res = 1;
}

static void shutdown_of_the_dead(const struct model_op *op,
				 struct io_uring_cqe *cqe)
{
	if (op->opcode == IORING_OP_SHUTDOWN && cqe->res == -ENOTCONN)
		cqe->res = 0;
}

static void poll_without_hangup(const struct model_op *op,
				struct io_uring_cqe *cqe)
{
	if (op->opcode == IORING_OP_POLL_ADD && cqe->res > 0)
		cqe->res &= ~POLLRDHUP;
}

const struct model_error model_errors[] = {
	{ "a receive says one byte more", recv_one_more },
	{ "a receive ends the stream before its bytes", recv_end_at_once },
	{ "a receive never hints at more", recv_knows_no_more },
	{ "a receive takes a reset for an end", recv_hides_reset },
	{ "a send says one byte less", send_one_less },
	{ "a cancel finds what has completed", cancel_finds_all },
	{ "a cancel of all counts one", cancel_miscounts },
	{ "a shutdown of a dead connection is none", shutdown_of_the_dead },
	{ "a poll tells no hang-up", poll_without_hangup },
};
const int model_error_count = sizeof(model_errors) / sizeof(model_errors[0]);

static struct {
	struct kernel_wrap wrap;
	struct ring_view view;
	const struct model_error *error;
	const struct model_program *program;
} wrong;

static void wrong_complete(void *ctx, struct io_uring_cqe *cqe)
{
	const uint64_t op = cqe->user_data - 1;
	(void)ctx;
	if (op < wrong.program->op_count)
		wrong.error->change(&wrong.program->ops[op], cqe);
}

static void wrong_after(void *ctx, struct kernel_call *call)
{
	(void)ctx;
	ring_view_follow(&wrong.view, call);
	if (call->id == CALL_ENTER)
		ring_view_completed(&wrong.view, wrong_complete, NULL);
}

const struct weir_kernel *model_err(const struct weir_kernel *kernel,
				    const struct model_error *error,
				    const struct model_program *program)
{
	wrong.error = error;
	wrong.program = program;
	kernel_wrap_init(&wrong.wrap, kernel, NULL, wrong_after, NULL);
	return &wrong.wrap.kernel;
}
