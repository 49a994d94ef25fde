/* model_play.c - run one program on one kernel
 *
 *     entries --> enter --> completions --> ... --> cancel all --> what is left
 *                               |
 *                               +--> differs from @want: stop here
 */
#include "model.h"

#include "../rig/support.h"

#include "uring/bufring.h"
#include "uring/ring_inline.h"

#include <errno.h>

enum {
	TOKEN_DRAIN = 100,
	TOKEN_SWEEP = 101,
	QUIET_ENTERS = 6,
	ENTERS_MAX = 20000,
	DRAIN_BYTES = 64,
};

/* An assertion that is free while it holds: Check's write to a file each
 * time. */
static void must(bool holds, const char *what)
{
	if (!holds)
		ck_abort_msg("%s", what);
}

struct play {
	const struct weir_kernel *kernel;
	const struct model_program *program;
	const struct model_outcome *want; /* or NULL */
	struct model_outcome *outcome;
	bool is_off; /* what is wanted */
	int fds[2];
	struct weir_ring ring;
	struct weir_bufring recv_bufs;
	struct weir_bufring send_bufs;
	uint8_t recv_memory[MODEL_BUFS * MODEL_BUF_BYTES];
	uint8_t send_memory[MODEL_BUFS * MODEL_BUF_BYTES];
	uint8_t bytes[MODEL_OPS][MODEL_BYTES];
	struct iovec iov[MODEL_OPS][2];
	struct msghdr messages[MODEL_OPS];
	struct weir_kernel_timespec times[MODEL_OPS];
	bool is_submitted[MODEL_OPS];
	bool is_final[MODEL_OPS];
	uint8_t drain[DRAIN_BYTES];
	bool drain_is_done;
	int32_t drain_result;
	bool sweep_is_done;
};

static uint32_t digest(uint32_t sum, const uint8_t *bytes, size_t byte_count)
{
	for (size_t i = 0; i < byte_count; i++)
		sum = (sum ^ bytes[i]) * UINT32_C(0x01000193);
	return sum;
}

static bool op_is_send(const struct model_op *op)
{
	return op->opcode == IORING_OP_SEND ||
	       op->opcode == IORING_OP_SENDMSG ||
	       op->opcode == IORING_OP_SEND_ZC;
}

static void play_open(struct play *play)
{
	struct weir_error error;
	const struct model_program *program = play->program;
	const struct weir_ring_opts ring_opts = {
		.kernel = play->kernel,
		.sq_entry_count = 16,
		.cq_entry_count = 64,
	};
	must(weir_ring_open(&play->ring, &ring_opts, &error) == 0 &&
		     weir_ring_enable(&play->ring) == 0,
	     "no ring");
	int err = weir_bufring_open(
		&play->recv_bufs, &play->ring, MODEL_RECV_GROUP,
		play->recv_memory, program->buf_count, MODEL_BUF_BYTES,
		&(struct weir_bufring_opts){
			.is_incremental = program->is_incremental,
			.has_bundles = true,
		},
		&error);
	must(err == 0, error.text);
	err = weir_bufring_open(&play->send_bufs, &play->ring, MODEL_SEND_GROUP,
				play->send_memory, MODEL_BUFS, MODEL_BUF_BYTES,
				&(struct weir_bufring_opts){
					.has_bundles = true,
					.is_lent_by_hand = true,
				},
				&error);
	must(err == 0, error.text);
	for (uint32_t i = 0; i < sizeof(play->send_memory); i++)
		play->send_memory[i] = (uint8_t)(128 + i);
	for (uint32_t i = 0; i < program->send_buf_count; i++)
		weir_bufring_lend(&play->send_bufs, (uint16_t)i, 5 + 3 * i);
	weir_bufring_publish(&play->send_bufs);
	for (uint32_t i = 0; i < MODEL_OPS; i++)
		for (uint32_t b = 0;
		     op_is_send(&program->ops[i]) && b < MODEL_BYTES; b++)
			play->bytes[i][b] = (uint8_t)(i * MODEL_BYTES + b);
}

static void play_close(struct play *play)
{
	weir_bufring_close(&play->recv_bufs);
	weir_bufring_close(&play->send_bufs);
	weir_ring_close(&play->ring);
}

/* Digest of an operation's received bytes, in its own memory or in buffers. */
static uint32_t play_digest(struct play *play, uint32_t index,
			    const struct io_uring_cqe *cqe)
{
	const struct model_op *op = &play->program->ops[index];
	struct weir_bufring_spans spans;
	struct weir_bufring_span span;
	uint32_t sum = 1;

	if (op->opcode != IORING_OP_RECV)
		return 0;
	if ((cqe->flags & IORING_CQE_F_BUFFER) == 0)
		return digest(sum, play->bytes[index],
			      cqe->res > 0 ? (size_t)cqe->res : 0);
	if (play->program->is_raw)
		return sum;
	weir_bufring_spans(&play->recv_bufs, cqe, &spans);
	struct weir_bufring_spans all = spans;
	while (weir_bufring_next(&spans, &span))
		sum = digest(sum, span.bytes, span.byte_count);
	if (play->program->gives_back) {
		weir_bufring_done(&all);
		weir_bufring_publish(&play->recv_bufs);
	}
	return sum;
}

static void play_on_cqe(struct play *play, const struct io_uring_cqe *cqe)
{
	if (cqe->user_data == TOKEN_DRAIN) {
		play->drain_is_done = true;
		play->drain_result = cqe->res;
		return;
	}
	if (cqe->user_data == TOKEN_SWEEP) {
		play->sweep_is_done = true;
		return;
	}
	const uint32_t index = (uint32_t)cqe->user_data - 1;
	must(index < play->program->op_count, "a completion of nothing");
	struct model_outcome *outcome = play->outcome;
	const uint32_t count = outcome->counts[index]++;
	must(count < MODEL_CQES, "too many completions");
	outcome->cqes[index][count] = (struct model_cqe){
		.res = cqe->res,
		.flags = cqe->flags,
		.digest = play_digest(play, index, cqe),
	};
	if (play->want != NULL)
		play->is_off |= count >= play->want->counts[index] ||
				memcmp(&outcome->cqes[index][count],
				       &play->want->cqes[index][count],
				       sizeof(struct model_cqe)) != 0;
	must(!play->is_final[index], "a completion after the last");
	play->is_final[index] = (cqe->flags & IORING_CQE_F_MORE) == 0;
}

static uint32_t play_reap(struct play *play)
{
	const uint32_t count = weir_ring_ready(&play->ring);
	for (uint32_t i = 0; i < count; i++) {
		const struct io_uring_cqe cqe = *weir_ring_cqe(&play->ring, i);
		play_on_cqe(play, &cqe);
	}
	weir_ring_reaped(&play->ring, count);
	return count;
}

/* Enters without sleep. Returns how many completions came. */
static uint32_t play_enter(struct play *play)
{
	must(weir_ring_enter(&play->ring, NULL) == 0, "enter");
	return play_reap(play);
}

/* True if a kernel worker runs an operation: then "no completion" does not mean
 * "done". */
static bool play_has_worker(const struct play *play)
{
	for (uint32_t i = 0; i < play->program->op_count; i++)
		if (play->is_submitted[i] && !play->is_final[i] &&
		    play->program->ops[i].opcode == IORING_OP_SHUTDOWN)
			return true;
	return false;
}

static void play_settle(struct play *play)
{
	const struct weir_wait wait = { .want_count = 1,
					.timeout_ns = 1000000000 };
	uint32_t quiet = 0;
	for (int i = 0; i < ENTERS_MAX && quiet < QUIET_ENTERS && !play->is_off;
	     i++) {
		const bool has_worker = play_has_worker(play);
		int err =
			weir_ring_enter(&play->ring, has_worker ? &wait : NULL);
		must(err == 0, "enter");
		if (play_reap(play) > 0 || has_worker)
			quiet = 0;
		else
			quiet++;
	}
}

static void play_fill(struct play *play, uint32_t index,
		      struct io_uring_sqe *sqe)
{
	const struct model_op *op = &play->program->ops[index];
	uint8_t *bytes = play->bytes[index];

	sqe->opcode = op->opcode;
	sqe->user_data = index + 1;
	sqe->flags = op->sqe_flags;
	sqe->fd = play->fds[op->side];
	sqe->ioprio = op->ioprio;
	switch (op->opcode) {
	case IORING_OP_SEND:
	case IORING_OP_SEND_ZC:
	case IORING_OP_RECV:
		sqe->addr = (op->sqe_flags & IOSQE_BUFFER_SELECT) != 0
				    ? 0
				    : (uint64_t)(uintptr_t)bytes;
		sqe->len = op->len;
		sqe->msg_flags = op->msg_flags;
		sqe->buf_group = op->group;
		break;
	case IORING_OP_SENDMSG:
		play->iov[index][0] = (struct iovec){ .iov_base = bytes,
						      .iov_len = op->len / 2 };
		play->iov[index][1] =
			(struct iovec){ .iov_base = bytes + op->len / 2,
					.iov_len = op->len - op->len / 2 };
		play->messages[index] = (struct msghdr){
			.msg_iov = play->iov[index],
			.msg_iovlen = 2,
		};
		sqe->addr = (uint64_t)(uintptr_t)&play->messages[index];
		sqe->len = 1;
		sqe->msg_flags = op->msg_flags;
		break;
	case IORING_OP_SHUTDOWN:
		sqe->len = op->len;
		break;
	case IORING_OP_ASYNC_CANCEL:
		sqe->cancel_flags = op->msg_flags;
		sqe->addr = (op->msg_flags & (IORING_ASYNC_CANCEL_FD |
					      IORING_ASYNC_CANCEL_ANY)) != 0
				    ? 0
				    : op->target + 1;
		if ((op->msg_flags & IORING_ASYNC_CANCEL_FD) == 0)
			sqe->fd = 0;
		break;
	case IORING_OP_TIMEOUT:
		play->times[index] = (struct weir_kernel_timespec){
			.tv_sec = op->is_long ? 3600 : 0
		};
		sqe->fd = -1;
		sqe->addr = (uint64_t)(uintptr_t)&play->times[index];
		sqe->len = 1;
		break;
	case IORING_OP_TIMEOUT_REMOVE:
		sqe->fd = -1;
		sqe->addr = op->target + 1;
		break;
	case IORING_OP_POLL_ADD:
		sqe->poll32_events = op->msg_flags;
		break;
	default:
		break;
	}
}

static bool play_is_over(const struct play *play)
{
	if (play->is_off)
		return true;
	for (uint32_t i = 0; i < play->program->op_count; i++)
		if (!play->is_final[i])
			return false;
	return play->sweep_is_done;
}

/* Cancels all waiting operations, until each has its last completion. */
static void play_sweep(struct play *play)
{
	const struct weir_wait wait = { .want_count = 1,
					.timeout_ns = 1000000000 };
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&play->ring);
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->cancel_flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
	sqe->user_data = TOKEN_SWEEP;
	for (int i = 0; i < ENTERS_MAX && !play_is_over(play); i++) {
		must(weir_ring_enter(&play->ring, &wait) == 0, "enter");
		(void)play_reap(play);
	}
	must(play_is_over(play), "an operation never ends");
}

/* Reads the bytes left in the socket. */
static void play_drain(struct play *play, int side)
{
	struct model_outcome *outcome = play->outcome;
	outcome->rest[side].digest = 1;
	for (int i = 0; i < 16; i++) {
		struct io_uring_sqe *sqe = weir_ring_take_sqe(&play->ring);
		sqe->opcode = IORING_OP_RECV;
		sqe->fd = play->fds[side];
		sqe->addr = (uint64_t)(uintptr_t)play->drain;
		sqe->len = DRAIN_BYTES;
		sqe->msg_flags = MSG_DONTWAIT;
		sqe->user_data = TOKEN_DRAIN;
		play->drain_is_done = false;
		for (int e = 0; e < ENTERS_MAX && !play->drain_is_done; e++)
			(void)play_enter(play);
		must(play->drain_is_done, "what is left cannot be read");
		const int32_t got = play->drain_result;
		outcome->rest[side].end = got;
		if (got <= 0)
			return;
		outcome->rest[side].byte_count += (uint32_t)got;
		outcome->rest[side].digest = digest(outcome->rest[side].digest,
						    play->drain, (size_t)got);
	}
}

static void play_ops(struct play *play)
{
	const struct model_program *program = play->program;
	for (uint32_t i = 0; i < program->op_count && !play->is_off; i++) {
		struct io_uring_sqe *sqe = weir_ring_take_sqe(&play->ring);
		play_fill(play, i, sqe);
		play->is_submitted[i] = true;
		if (program->ops[i].pause == MODEL_SUBMIT)
			(void)play_enter(play);
		else if (program->ops[i].pause == MODEL_SETTLE)
			play_settle(play);
	}
	play_settle(play);
}

bool model_play(const struct weir_kernel *kernel, int fds[2],
		const struct model_program *program,
		const struct model_outcome *want,
		struct model_outcome *out_outcome)
{
	static struct play play; /* static: 64 KiB is too much for the stack */
	play = (struct play){
		.kernel = kernel,
		.program = program,
		.want = want,
		.outcome = out_outcome,
		.fds = { fds[0], fds[1] },
	};
	memset(out_outcome, 0, sizeof(*out_outcome));
	play_open(&play);
	play_ops(&play);
	if (!play.is_off)
		play_sweep(&play);
	for (int side = 0; side < 2 && !play.is_off; side++) {
		play_drain(&play, side);
		play.is_off =
			want != NULL &&
			memcmp(&out_outcome->rest[side], &want->rest[side],
			       sizeof(want->rest[side])) != 0;
	}
	for (int i = 0; i < 2; i++)
		(void)kernel->close(kernel->ctx, fds[i]); /* may be closed
							   * already */
	play_close(&play);
	return want != NULL && !play.is_off &&
	       memcmp(out_outcome, want, sizeof(*want)) == 0;
}
