/* model_text.c - a program and its outcome, in words */
#include "model.h"

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
