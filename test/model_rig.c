#include "model_rig.h"
#include "support.h"

#include "uring/bufring.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum {
	RECV_GROUP = 1,
	SEND_GROUP = 2,
	NO_GROUP = 3,
	TOKEN_DRAIN = 100,
	TOKEN_SWEEP = 101,
	QUIET_ENTERS = 6,
	ENTERS_MAX = 20000,
	DRAIN_BYTES = 64,
};

/* ---- programs ---------------------------------------------------------- */

enum kind {
	K_SEND,
	K_SENDMSG,
	K_SEND_ZC,
	K_SEND_GROUP,
	K_RECV,
	K_RECV_GROUP,
	K_RECV_MULTISHOT,
	K_RECV_BUNDLE,
	K_SHUTDOWN,
	K_CLOSE,
	K_CANCEL,
	K_TIMEOUT,
	K_TIMEOUT_REMOVE,
	K_POLL,
	K_NOP,
};

static const uint8_t kinds[] = {
	K_SEND,           K_SEND,
	K_SEND,           K_SEND,
	K_SENDMSG,        K_SEND_ZC,
	K_SEND_GROUP,     K_SEND_GROUP,
	K_RECV,           K_RECV,
	K_RECV_GROUP,     K_RECV_GROUP,
	K_RECV_MULTISHOT, K_RECV_MULTISHOT,
	K_RECV_MULTISHOT, K_RECV_BUNDLE,
	K_RECV_BUNDLE,    K_SHUTDOWN,
	K_SHUTDOWN,       K_CLOSE,
	K_CANCEL,         K_CANCEL,
	K_TIMEOUT,        K_TIMEOUT_REMOVE,
	K_POLL,           K_NOP,
};

static uint32_t draw_msg_flags(struct weir_tape *tape)
{
	static const uint32_t flags[] = { 0, 0, MSG_WAITALL, MSG_DONTWAIT };
	return flags[weir_tape_below(tape, COUNT_OF(flags))];
}

static void draw_send_group(struct model_op *op, struct weir_tape *tape)
{
	op->opcode = IORING_OP_SEND;
	op->sqe_flags = IOSQE_BUFFER_SELECT;
	op->group = weir_tape_chance(tape, 16) ? NO_GROUP : SEND_GROUP;
	op->len = weir_tape_below(tape, 3) > 0 ? 0 : op->len;
	op->ioprio = weir_tape_below(tape, 3) > 0 ? IORING_RECVSEND_BUNDLE : 0;
}

static void draw_recv_group(struct model_op *op, struct weir_tape *tape,
			    enum kind kind)
{
	op->opcode = IORING_OP_RECV;
	op->sqe_flags = IOSQE_BUFFER_SELECT;
	op->group = weir_tape_chance(tape, 16) ? NO_GROUP : RECV_GROUP;
	op->len = weir_tape_below(tape, 3) > 0 ? 0 : 4 + op->len % 9;
	if (kind == K_RECV_MULTISHOT)
		op->ioprio = IORING_RECV_MULTISHOT;
	if (kind == K_RECV_BUNDLE)
		op->ioprio =
			IORING_RECVSEND_BUNDLE |
			(weir_tape_below(tape, 2) == 1 ? IORING_RECV_MULTISHOT
						       : 0);
	if (weir_tape_chance(tape, 48))
		op->ioprio |= IORING_RECVSEND_POLL_FIRST;
	/* The kernel refuses it with a multishot. */
	if ((op->ioprio & IORING_RECV_MULTISHOT) != 0 &&
	    !weir_tape_chance(tape, 8))
		op->msg_flags &= ~(uint32_t)MSG_WAITALL;
	/* A buffer that is held over an attempt: see bufring.h. */
	if ((op->ioprio & IORING_RECVSEND_BUNDLE) != 0)
		op->msg_flags &= ~(uint32_t)MSG_WAITALL;
}

static void draw_cancel(struct model_op *op, struct weir_tape *tape,
			uint32_t index)
{
	static const uint32_t flags[] = {
		0,
		0,
		IORING_ASYNC_CANCEL_ALL,
		IORING_ASYNC_CANCEL_FD,
		IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL,
		IORING_ASYNC_CANCEL_ANY,
		IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
	};
	op->opcode = IORING_OP_ASYNC_CANCEL;
	op->msg_flags = flags[weir_tape_below(tape, COUNT_OF(flags))];
	op->target = weir_tape_below(tape, index + 1);
}

static void draw_op(struct model_op *op, struct weir_tape *tape, uint32_t index)
{
	static const uint32_t events[] = { POLLIN, POLLOUT, POLLRDHUP,
					   POLLIN | POLLRDHUP };
	const enum kind kind = kinds[weir_tape_below(tape, COUNT_OF(kinds))];
	*op = (struct model_op){
		.side = (uint8_t)weir_tape_below(tape, 2),
		.len = 1 + weir_tape_below(tape, MODEL_BYTES),
		.msg_flags = draw_msg_flags(tape),
		.pause = (enum model_pause)weir_tape_below(tape, 3),
	};
	switch (kind) {
	case K_SEND:
		op->opcode = IORING_OP_SEND;
		break;
	case K_SENDMSG:
		op->opcode = IORING_OP_SENDMSG;
		break;
	case K_SEND_ZC:
		op->opcode = IORING_OP_SEND_ZC;
		op->ioprio = weir_tape_below(tape, 2) == 1
				     ? IORING_SEND_ZC_REPORT_USAGE
				     : 0;
		break;
	case K_SEND_GROUP:
		draw_send_group(op, tape);
		break;
	case K_RECV:
		op->opcode = IORING_OP_RECV;
		break;
	case K_RECV_GROUP:
	case K_RECV_MULTISHOT:
	case K_RECV_BUNDLE:
		draw_recv_group(op, tape, kind);
		break;
	case K_SHUTDOWN:
		op->opcode = IORING_OP_SHUTDOWN;
		op->len = weir_tape_below(tape, 4); /* 3 is refused */
		break;
	case K_CLOSE:
		op->opcode = IORING_OP_CLOSE;
		break;
	case K_CANCEL:
		draw_cancel(op, tape, index);
		break;
	case K_TIMEOUT:
		op->opcode = IORING_OP_TIMEOUT;
		op->is_long = weir_tape_below(tape, 2) == 1;
		break;
	case K_TIMEOUT_REMOVE:
		op->opcode = IORING_OP_TIMEOUT_REMOVE;
		op->target = weir_tape_below(tape, index + 1);
		break;
	case K_POLL:
		op->opcode = IORING_OP_POLL_ADD;
		op->msg_flags = events[weir_tape_below(tape, COUNT_OF(events))];
		break;
	case K_NOP:
		op->opcode = IORING_OP_NOP;
		break;
	}
}

void model_program_draw(struct model_program *program, struct weir_tape *tape)
{
	*program = (struct model_program){
		.op_count = 1 + weir_tape_below(tape, MODEL_OPS),
		.is_incremental = weir_tape_chance(tape, 96),
		.gives_back = weir_tape_chance(tape, 128),
		.buf_count = 1u << weir_tape_below(tape, 3),
		.send_buf_count = weir_tape_below(tape, MODEL_BUFS + 1),
	};
	for (uint32_t i = 0; i < program->op_count; i++)
		draw_op(&program->ops[i], tape, i);
	for (uint32_t i = 0; i < program->op_count; i++)
		program->is_raw |=
			program->is_incremental &&
			program->ops[i].opcode == IORING_OP_RECV &&
			(program->ops[i].msg_flags & MSG_WAITALL) != 0 &&
			program->ops[i].group == RECV_GROUP;
}

/* ---- playing ----------------------------------------------------------- */

/* An assertion that costs nothing while it holds: Check writes for each. */
static void must(bool holds, const char *what)
{
	if (!holds)
		ck_abort_msg("%s", what);
}

struct play {
	const struct weir_kernel *kernel;
	const struct model_program *program;
	struct model_outcome *outcome;
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
	int err = weir_bufring_open_as(
		&play->recv_bufs, &play->ring, RECV_GROUP, play->recv_memory,
		program->buf_count, MODEL_BUF_BYTES,
		&(struct weir_bufring_opts){
			.is_incremental = program->is_incremental,
			.has_bundles = true,
		},
		&error);
	must(err == 0, error.text);
	err = weir_bufring_open_as(&play->send_bufs, &play->ring, SEND_GROUP,
				   play->send_memory, MODEL_BUFS,
				   MODEL_BUF_BYTES,
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

/* What an operation received: in its own memory, or in buffers. */
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

/* An enter without sleep; how many completions it brought. */
static uint32_t play_enter(struct play *play)
{
	must(weir_ring_enter(&play->ring, NULL) == 0, "enter");
	return play_reap(play);
}

/* A kernel worker carries it out, so quiet does not mean done. */
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
	for (int i = 0; i < ENTERS_MAX && quiet < QUIET_ENTERS; i++) {
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
	for (uint32_t i = 0; i < play->program->op_count; i++)
		if (!play->is_final[i])
			return false;
	return play->sweep_is_done;
}

/* All that waits is cancelled; every operation has its last completion. */
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

/* What is left in the socket. */
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

void model_play(const struct weir_kernel *kernel, int fds[2],
		const struct model_program *program,
		struct model_outcome *out_outcome)
{
	static struct play play; /* 64 KiB of no interest to the stack */
	play = (struct play){
		.kernel = kernel,
		.program = program,
		.outcome = out_outcome,
		.fds = { fds[0], fds[1] },
	};
	memset(out_outcome, 0, sizeof(*out_outcome));
	play_open(&play);
	for (uint32_t i = 0; i < program->op_count; i++) {
		struct io_uring_sqe *sqe = weir_ring_take_sqe(&play.ring);
		play_fill(&play, i, sqe);
		play.is_submitted[i] = true;
		if (program->ops[i].pause == MODEL_SUBMIT)
			(void)play_enter(&play);
		else if (program->ops[i].pause == MODEL_SETTLE)
			play_settle(&play);
	}
	play_settle(&play);
	play_sweep(&play);
	play_drain(&play, 0);
	play_drain(&play, 1);
	for (int i = 0; i < 2; i++)
		(void)kernel->close(kernel->ctx, fds[i]); /* or it has been */
	play_close(&play);
}

/* ---- the real kernel's sockets ----------------------------------------- */

static int real_listener = -1;
static struct sockaddr_in real_address;

void model_real_pair(int out_fds[2])
{
	const int yes = 1;
	if (real_listener < 0)
		real_listener = wi_listener(&real_address);
	out_fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(out_fds[0], 0);
	ck_assert_int_eq(connect(out_fds[0], (struct sockaddr *)&real_address,
				 sizeof(real_address)),
			 0);
	out_fds[1] = accept4(real_listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(out_fds[1], 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(setsockopt(out_fds[i], IPPROTO_TCP,
					    TCP_NODELAY, &yes, sizeof(yes)),
				 0);
}

void model_real_end(void)
{
	if (real_listener >= 0)
		ck_assert_int_eq(close(real_listener), 0);
	real_listener = -1;
}

/* ---- in words ---------------------------------------------------------- */

static const char *op_name(const struct model_op *op)
{
	switch (op->opcode) {
	case IORING_OP_SEND:
		return "send";
	case IORING_OP_SENDMSG:
		return "sendmsg";
	case IORING_OP_SEND_ZC:
		return "send_zc";
	case IORING_OP_RECV:
		return "recv";
	case IORING_OP_SHUTDOWN:
		return "shutdown";
	case IORING_OP_CLOSE:
		return "close";
	case IORING_OP_ASYNC_CANCEL:
		return "cancel";
	case IORING_OP_TIMEOUT:
		return "timeout";
	case IORING_OP_TIMEOUT_REMOVE:
		return "timeout_remove";
	case IORING_OP_POLL_ADD:
		return "poll";
	default:
		return "nop";
	}
}

void model_print(FILE *out, const struct model_program *program)
{
	static const char *const pauses[] = { "", "; submit", "; settle" };
	fprintf(out, "%u buffers%s%s, %u to send\n", program->buf_count,
		program->is_incremental ? " incremental" : "",
		program->gives_back ? " given back" : "",
		program->send_buf_count);
	for (uint32_t i = 0; i < program->op_count; i++) {
		const struct model_op *op = &program->ops[i];
		fprintf(out,
			"  %u: %s side %u len %u flags %x ioprio %x sqe %x "
			"group %u target %u%s%s\n",
			i, op_name(op), op->side, op->len, op->msg_flags,
			op->ioprio, op->sqe_flags, op->group, op->target,
			op->is_long ? " long" : "", pauses[op->pause]);
	}
}

void model_outcome_print(FILE *out, const struct model_program *program,
			 const struct model_outcome *outcome)
{
	for (uint32_t i = 0; i < program->op_count; i++) {
		fprintf(out, "  %u:", i);
		for (uint32_t c = 0; c < outcome->counts[i]; c++)
			fprintf(out, " (%d %x %08x)", outcome->cqes[i][c].res,
				outcome->cqes[i][c].flags,
				outcome->cqes[i][c].digest);
		fprintf(out, "\n");
	}
	for (int side = 0; side < 2; side++)
		fprintf(out, "  rest %d: %u bytes %08x, then %d\n", side,
			outcome->rest[side].byte_count,
			outcome->rest[side].digest, outcome->rest[side].end);
}
