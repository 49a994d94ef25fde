/* model_errors.c - a simulated kernel that is wrong in one thing
 *
 *     enter --> the true enter --> completions, changed where they lie
 */
#include "model_lies.h"

#include "uring/soft/soft_copy.h"

#include "uring/barrier.h"

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

/* The kernel behind it, its rings' memory, and what is wrong with it. */
static struct {
	struct weir_kernel kernel;
	const struct weir_kernel *behind;
	const struct model_error *error;
	const struct model_program *program;
	struct io_cqring_offsets offsets;
	uint8_t *memory;
} wrong;

static int wrong_setup(void *ctx, uint32_t entry_count,
		       struct io_uring_params *params)
{
	const int fd = wrong.behind->setup(ctx, entry_count, params);
	wrong.offsets = params->cq_off;
	wrong.memory = NULL;
	return fd;
}

static int wrong_map(void *ctx, size_t bytes, int fd, uint64_t offset,
		     void **out_memory)
{
	int err = wrong.behind->map(ctx, bytes, fd, offset, out_memory);
	if (err == 0 && fd >= 0 && offset == IORING_OFF_SQ_RING)
		wrong.memory = *out_memory;
	return err;
}

static uint32_t wrong_word(uint32_t offset)
{
	return *(uint32_t *)(void *)(wrong.memory + offset);
}

static int wrong_enter(void *ctx, int ring_fd, uint32_t submit_count,
		       uint32_t min_complete, uint32_t flags, const void *arg,
		       size_t arg_bytes)
{
	const uint32_t tail = wrong_word(wrong.offsets.tail);
	const int result =
		wrong.behind->enter(ctx, ring_fd, submit_count, min_complete,
				    flags, arg, arg_bytes);
	struct io_uring_cqe *cqes =
		(struct io_uring_cqe *)(void *)(wrong.memory +
						wrong.offsets.cqes);
	const uint32_t mask = wrong_word(wrong.offsets.ring_mask);
	for (uint32_t i = tail; i != wrong_word(wrong.offsets.tail); i++) {
		struct io_uring_cqe cqe; /* as the kernel: see soft_copy.h */
		wi_soft_copy(&cqe, &cqes[i & mask], sizeof(cqe));
		const uint64_t op = cqe.user_data - 1;
		if (op < wrong.program->op_count)
			wrong.error->change(&wrong.program->ops[op], &cqe);
		wi_soft_copy(&cqes[i & mask], &cqe, sizeof(cqe));
	}
	return result;
}

const struct weir_kernel *model_err(const struct weir_kernel *kernel,
				    const struct model_error *error,
				    const struct model_program *program)
{
	wrong.behind = kernel;
	wrong.error = error;
	wrong.program = program;
	wrong.kernel = *kernel;
	wrong.kernel.setup = wrong_setup;
	wrong.kernel.map = wrong_map;
	wrong.kernel.enter = wrong_enter;
	return &wrong.kernel;
}
