/* model_program.c - draw a small program from a tape
 *
 *     tape --> kind --> side, length, flags, pause --> one of six operations
 */
#include "../rig/count_of.h"
#include "model.h"

#include <poll.h>
#include <sys/socket.h>

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
	op->group =
		weir_tape_chance(tape, 16) ? MODEL_NO_GROUP : MODEL_SEND_GROUP;
	op->len = weir_tape_below(tape, 3) > 0 ? 0 : op->len;
	op->ioprio = weir_tape_below(tape, 3) > 0 ? IORING_RECVSEND_BUNDLE : 0;
}

static void draw_recv_group(struct model_op *op, struct weir_tape *tape,
			    enum kind kind)
{
	op->opcode = IORING_OP_RECV;
	op->sqe_flags = IOSQE_BUFFER_SELECT;
	op->group =
		weir_tape_chance(tape, 16) ? MODEL_NO_GROUP : MODEL_RECV_GROUP;
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
	/* The kernel refuses the combination with a multishot. */
	if ((op->ioprio & IORING_RECV_MULTISHOT) != 0 &&
	    !weir_tape_chance(tape, 8))
		op->msg_flags &= ~(uint32_t)MSG_WAITALL;
	/* A bundle would hold its buffer over an attempt: see bufring.h. */
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
			program->ops[i].group == MODEL_RECV_GROUP;
}
