#include "model_lies.h"

#include <errno.h>
#include <sys/socket.h>

/* ---- what a program has -------------------------------------------------- */

static bool has_opcode(const struct model_program *program, uint8_t opcode)
{
	for (uint32_t i = 0; i < program->op_count; i++)
		if (program->ops[i].opcode == opcode)
			return true;
	return false;
}

/* True if the connection or an operation ends in any way. */
static bool has_end(const struct model_program *program)
{
	return has_opcode(program, IORING_OP_SHUTDOWN) ||
	       has_opcode(program, IORING_OP_CLOSE);
}

static bool has_cancel(const struct model_program *program)
{
	return has_opcode(program, IORING_OP_ASYNC_CANCEL);
}

static bool op_is_send(const struct model_op *op)
{
	return op->opcode == IORING_OP_SEND ||
	       op->opcode == IORING_OP_SENDMSG ||
	       op->opcode == IORING_OP_SEND_ZC;
}

/* A receive whose only completion has some bytes, or -1. */
static int whole_recv(const struct model_program *program,
		      const struct model_outcome *outcome)
{
	for (uint32_t i = 0; i < program->op_count; i++)
		if (program->ops[i].opcode == IORING_OP_RECV &&
		    outcome->counts[i] == 1 && outcome->cqes[i][0].res > 0 &&
		    !program->is_raw)
			return (int)i;
	return -1;
}

/* ---- lies ---------------------------------------------------------------- */

static bool tell_end_of_nothing(const struct model_program *program,
				struct model_outcome *outcome)
{
	const int op = whole_recv(program, outcome);
	if (op < 0 || has_end(program))
		return false;
	outcome->cqes[op][0] = (struct model_cqe){ .digest = 1 };
	return true;
}

static bool tell_reset_of_nothing(const struct model_program *program,
				  struct model_outcome *outcome)
{
	const int op = whole_recv(program, outcome);
	if (op < 0 || has_end(program))
		return false;
	outcome->cqes[op][0] =
		(struct model_cqe){ .res = -ECONNRESET, .digest = 1 };
	return true;
}

/* The bytes still come, after the end of the stream. */
static bool tell_end_before_data(const struct model_program *program,
				 struct model_outcome *outcome)
{
	const int op = whole_recv(program, outcome);
	if (op < 0)
		return false;
	const int side = program->ops[op].side;
	for (uint32_t i = 0; i < program->op_count; i++)
		if (program->ops[i].opcode == IORING_OP_SHUTDOWN &&
		    program->ops[i].side == side)
			return false;
	if (outcome->rest[side].byte_count != 0 || outcome->rest[side].end != 0)
		return false;
	outcome->rest[side].byte_count = (uint32_t)outcome->cqes[op][0].res;
	outcome->rest[side].digest = outcome->cqes[op][0].digest;
	outcome->cqes[op][0] =
		(struct model_cqe){ .flags = IORING_CQE_F_SOCK_NONEMPTY,
				    .digest = 1 };
	return true;
}

static bool tell_bytes_twice(const struct model_program *program,
			     struct model_outcome *outcome)
{
	const int op = whole_recv(program, outcome);
	if (op < 0)
		return false;
	const int side = program->ops[op].side;
	if (outcome->rest[side].byte_count != 0)
		return false;
	outcome->rest[side].byte_count = (uint32_t)outcome->cqes[op][0].res;
	outcome->rest[side].digest = outcome->cqes[op][0].digest;
	return true;
}

static bool tell_bytes_lost(const struct model_program *program,
			    struct model_outcome *outcome)
{
	for (int side = 0; side < 2; side++) {
		if (outcome->rest[side].byte_count == 0 || has_end(program))
			continue;
		outcome->rest[side].byte_count = 0;
		outcome->rest[side].digest = 1;
		return true;
	}
	return false;
}

static bool tell_more_where_none_is(const struct model_program *program,
				    struct model_outcome *outcome)
{
	const int op = whole_recv(program, outcome);
	const uint32_t hint = IORING_CQE_F_SOCK_NONEMPTY;
	uint32_t sends = 0;
	for (uint32_t i = 0; i < program->op_count; i++)
		sends += op_is_send(&program->ops[i]);
	if (op < 0 || has_end(program) || sends != 1 ||
	    (outcome->cqes[op][0].flags & hint) != 0)
		return false;
	for (uint32_t i = 0; i < program->op_count; i++)
		if (op_is_send(&program->ops[i]) &&
		    outcome->cqes[i][0].res != outcome->cqes[op][0].res)
			return false; /* bytes remain */
	outcome->cqes[op][0].flags |= hint;
	return true;
}

static bool tell_short_send(const struct model_program *program,
			    struct model_outcome *outcome)
{
	for (uint32_t i = 0; i < program->op_count; i++)
		if (op_is_send(&program->ops[i]) && outcome->counts[i] > 0 &&
		    outcome->cqes[i][0].res > 1) {
			outcome->cqes[i][0].res--;
			return true;
		}
	return false;
}

static bool tell_broken_pipe(const struct model_program *program,
			     struct model_outcome *outcome)
{
	for (uint32_t i = 0; i < program->op_count && !has_end(program); i++)
		if (program->ops[i].opcode == IORING_OP_SEND &&
		    outcome->counts[i] == 1 && outcome->cqes[i][0].res > 0) {
			outcome->cqes[i][0].res = -EPIPE;
			return true;
		}
	return false;
}

/* A cancel by token reports success for an operation that ended normally. */
static bool tell_cancel_of_done(const struct model_program *program,
				struct model_outcome *outcome)
{
	for (uint32_t i = 0; i < program->op_count; i++) {
		const struct model_op *op = &program->ops[i];
		if (op->opcode != IORING_OP_ASYNC_CANCEL ||
		    op->msg_flags != 0 || outcome->cqes[i][0].res != -ENOENT)
			continue;
		const struct model_op *target = &program->ops[op->target];
		const struct model_cqe *last = outcome->cqes[op->target];
		if (outcome->counts[op->target] != 1 || last->res < 0 ||
		    (target->msg_flags & MSG_WAITALL) != 0 || target == op)
			continue;
		outcome->cqes[i][0].res = 0;
		return true;
	}
	return false;
}

static bool tell_cancel_of_nobody(const struct model_program *program,
				  struct model_outcome *outcome)
{
	for (uint32_t i = 0; i < program->op_count; i++) {
		if (outcome->counts[i] != 1 || has_cancel(program) ||
		    program->ops[i].opcode != IORING_OP_NOP)
			continue;
		outcome->cqes[i][0].res = -ECANCELED;
		return true;
	}
	return false;
}

static bool tell_hour_that_is_over(const struct model_program *program,
				   struct model_outcome *outcome)
{
	for (uint32_t i = 0; i < program->op_count; i++) {
		if (program->ops[i].opcode != IORING_OP_TIMEOUT ||
		    !program->ops[i].is_long)
			continue;
		outcome->cqes[i][0].res = -ETIME;
		return true;
	}
	return false;
}

static bool tell_shutdown_of_a_stranger(const struct model_program *program,
					struct model_outcome *outcome)
{
	for (uint32_t i = 0; i < program->op_count; i++) {
		if (program->ops[i].opcode != IORING_OP_SHUTDOWN ||
		    outcome->cqes[i][0].res != 0 ||
		    has_opcode(program, IORING_OP_CLOSE))
			continue;
		outcome->cqes[i][0].res = -EBADF;
		return true;
	}
	return false;
}

const struct model_lie model_lies[] = {
	{ "an end of the stream that nobody ended", tell_end_of_nothing },
	{ "a reset that nobody sent", tell_reset_of_nothing },
	{ "the end of the stream before its bytes", tell_end_before_data },
	{ "bytes that are received twice", tell_bytes_twice },
	{ "bytes that are lost", tell_bytes_lost },
	{ "more to read where nothing is", tell_more_where_none_is },
	{ "a send that is short, though there is room", tell_short_send },
	{ "a broken pipe that nobody broke", tell_broken_pipe },
	{ "a cancel of what has ended, in time", tell_cancel_of_done },
	{ "an operation that nobody cancelled", tell_cancel_of_nobody },
	{ "an hour that is over at once", tell_hour_that_is_over },
	{ "a descriptor that nobody closed", tell_shutdown_of_a_stranger },
};
const int model_lie_count = sizeof(model_lies) / sizeof(model_lies[0]);
