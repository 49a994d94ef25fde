/* sim_op.c - what each operation does to the world
 *
 *     submitted --> done at once ------------------------------> completion
 *         |                                                        ^
 *         +--> armed: its file is not ready --> ready: runs again --+
 *         +--> late: not tried yet -------------------> tried -----+
 *
 * A multishot stays armed after each of its completions.
 */
#include "sim_priv.h"

#include <errno.h>

enum { IOVS_MAX = 16, ONE_IN_EIGHT = 32 };

/* The errnos that an operation can give without any effect; see
 * io_uring-facts and the manual pages of the calls behind them. */
static const struct {
	uint8_t opcode;
	int errnos[8];
} op_errnos[] = {
	{ IORING_OP_RECV, { -EINTR, -ENOMEM, -ETIMEDOUT, -EHOSTUNREACH } },
	{ IORING_OP_SEND, { -EINTR, -ENOMEM, -ENOBUFS, -ETIMEDOUT, -EPIPE } },
	{ IORING_OP_SENDMSG, { -EINTR, -ENOMEM, -ENOBUFS, -EPIPE } },
	{ IORING_OP_ACCEPT,
	  { -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS, -ECONNABORTED, -EPROTO,
	    -EINTR } },
	{ IORING_OP_FIXED_FD_INSTALL, { -EMFILE, -ENFILE, -ENOMEM } },
	{ IORING_OP_SHUTDOWN, { -ENOTCONN } },
	{ IORING_OP_ASYNC_CANCEL, { -EALREADY, -ENOENT } },
	{ IORING_OP_CLOSE, { -EIO, -EINTR } },
	{ IORING_OP_SOCKET, { -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS } },
};

/* 0, or one of them. */
static int op_errno(struct weir_sim *sim, uint8_t opcode)
{
	if (!sim_fault(sim, WEIR_FAULT_ERRNO))
		return 0;
	for (size_t i = 0; i < sizeof(op_errnos) / sizeof(op_errnos[0]); i++) {
		if (op_errnos[i].opcode != opcode)
			continue;
		uint32_t count = 0;
		while (count < 8 && op_errnos[i].errnos[count] != 0)
			count++;
		return op_errnos[i].errnos[weir_tape_below(sim->tape, count)];
	}
	return 0;
}

/* ---- the life of an operation ---------------------------------------------
 */

static struct sim_op *op_take(struct weir_sim *sim)
{
	for (int i = 0; i < SIM_OPS; i++) {
		if (sim->ops[i].is_used)
			continue;
		if (i >= sim->op_high)
			sim->op_high = i + 1;
		return &sim->ops[i];
	}
	return NULL;
}

static void op_give(struct weir_sim *sim, struct sim_op *op)
{
	if (op->file != SIM_NONE)
		sim_file_drop(sim, op->file);
	op->is_used = false;
}

static void op_end(struct weir_sim *sim, struct sim_op *op, int res,
		   uint32_t flags)
{
	weir_sim_note(sim, "op %u of %016llx ends: %d", op->sqe.opcode,
		      (unsigned long long)op->sqe.user_data, res);
	(void)sim_ring_post(sim, op->ring, op->sqe.user_data, res, flags,
			    false);
	if (op->sqe.opcode == IORING_OP_RECV && op->file != SIM_NONE)
		sim->files[op->file].last_token = op->sqe.user_data;
	op_give(sim, op);
}

void sim_ops_end(struct weir_sim *sim, int ring)
{
	for (int i = 0; i < sim->op_high; i++)
		if (sim->ops[i].is_used && sim->ops[i].ring == ring)
			op_give(sim, &sim->ops[i]);
}

/* ---- attempts ----------------------------------------------------------- */

static int op_read(struct weir_sim *sim, struct sim_op *op)
{
	struct sim_file *file = &sim->files[op->file];
	if (file->kind != SIM_DOORBELL)
		return -EINVAL;
	if (file->value == 0)
		return SIM_OP_WAITS;
	memcpy((void *)(uintptr_t)op->sqe.addr, &file->value,
	       sizeof(file->value));
	file->value = 0;
	return (int)sizeof(file->value);
}

/* An attempt. Return: the result; SIM_OP_WAITS; SIM_OP_AGAIN: it has posted one
 * and goes on. */
static int op_try(struct weir_sim *sim, struct sim_op *op)
{
	switch (op->sqe.opcode) {
	case IORING_OP_NOP:
		return 0;
	case IORING_OP_RECV:
		return sim_op_recv(sim, op);
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
		return sim_op_send(sim, op);
	case IORING_OP_ACCEPT:
		return sim_op_accept(sim, op);
	case IORING_OP_ASYNC_CANCEL:
		return sim_op_cancel(sim, op);
	case IORING_OP_CLOSE:
		return sim_op_close(sim, op);
	case IORING_OP_FIXED_FD_INSTALL:
		return sim_op_install(sim, op);
	case IORING_OP_SHUTDOWN:
		return sim_op_shutdown(sim, op);
	case IORING_OP_READ:
		return op_read(sim, op);
	case IORING_OP_SOCKET:
		return sim_op_socket(sim, op);
	case IORING_OP_CONNECT:
		return -ECONNREFUSED; /* nobody to connect to yet */
	case IORING_OP_URING_CMD:
		return 0;
	default:
		return -EINVAL;
	}
}

/* Whether a fault may stand in for the attempt: CLOSE has its effect first. */
static int op_attempt(struct weir_sim *sim, struct sim_op *op)
{
	const int fault = op_errno(sim, op->sqe.opcode);
	if (fault == 0)
		return op_try(sim, op);
	weir_sim_note(sim, "fault: op %u fails: %d", op->sqe.opcode, fault);
	if (op->sqe.opcode == IORING_OP_CLOSE)
		(void)op_try(sim, op);
	if (op->done > 0)
		return (int)op->done; /* bytes that are out are told first */
	return fault;
}

static void op_go(struct weir_sim *sim, struct sim_op *op)
{
	op->due_flags = 0;
	op->is_armed = false;
	const int result = op_attempt(sim, op);
	if (result == SIM_OP_WAITS)
		op->is_armed = true;
	else if (result != SIM_OP_AGAIN)
		op_end(sim, op, result, op->due_flags);
}

/* ---- submission -------------------------------------------------------- */

static bool op_needs_file(uint8_t opcode)
{
	switch (opcode) {
	case IORING_OP_NOP:
	case IORING_OP_ASYNC_CANCEL:
	case IORING_OP_CLOSE:
	case IORING_OP_SOCKET:
		return false;
	default:
		return true;
	}
}

static int op_find_file(const struct weir_sim *sim, int ring,
			const struct io_uring_sqe *sqe)
{
	return (sqe->flags & IOSQE_FIXED_FILE) != 0
		       ? sim_slot_file(&sim->rings[ring], sqe->fd)
		       : sim_fd_file(sim, sqe->fd);
}

static void op_read_message(struct sim_op *op)
{
	const struct msghdr *message = (const void *)(uintptr_t)op->sqe.addr;
	op->message = *message;
	assert(message->msg_iovlen <= IOVS_MAX);
	memcpy(op->iov, message->msg_iov,
	       message->msg_iovlen * sizeof(op->iov[0]));
}

void sim_op_submit(struct weir_sim *sim, int ring,
		   const struct io_uring_sqe *sqe)
{
	struct sim_op *op = op_take(sim);
	if (op == NULL) {
		weir_sim_violate(sim, "more operations in flight than the "
				      "simulation holds");
		return;
	}
	op->is_used = true;
	op->is_armed = false;
	op->is_cancelled = false;
	op->is_late = false;
	op->due_flags = 0;
	op->done = 0;
	op->ring = ring;
	op->file = SIM_NONE;
	op->order = sim->order++;
	op->sqe = *sqe;
	weir_sim_note(sim, "op %u submitted: %016llx", sqe->opcode,
		      (unsigned long long)sqe->user_data);
	if (op_needs_file(sqe->opcode)) {
		op->file = op_find_file(sim, ring, sqe);
		if (op->file == SIM_NONE) {
			op_end(sim, op, -EBADF, 0);
			return;
		}
		sim_file_hold(sim, op->file);
	}
	if (sqe->opcode == IORING_OP_SENDMSG)
		op_read_message(op);
	/* Poll first; or the kernel was busy, and does it a little later. */
	if ((sqe->opcode == IORING_OP_RECV &&
	     (sqe->ioprio & IORING_RECVSEND_POLL_FIRST) != 0) ||
	    weir_tape_chance(sim->tape, ONE_IN_EIGHT)) {
		op->is_armed = true;
		op->is_late = sqe->opcode != IORING_OP_RECV;
		return;
	}
	op_go(sim, op);
}

/* ---- going on ---------------------------------------------------------- */

static bool op_is_ready(const struct weir_sim *sim, const struct sim_op *op)
{
	if (op->is_cancelled || op->is_late)
		return true;
	const struct sim_file *file = &sim->files[op->file];
	switch (op->sqe.opcode) {
	case IORING_OP_RECV:
		return file->conn != SIM_NONE &&
		       ((op->sqe.msg_flags & MSG_DONTWAIT) != 0 ||
			sim_net_can_read(sim, file->conn, file->side));
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
		return sim_net_can_write(sim, file->conn, file->side);
	case IORING_OP_ACCEPT:
		return file->queued > 0 || !file->is_listening;
	case IORING_OP_READ:
		return file->value > 0;
	default:
		return true;
	}
}

uint32_t sim_op_runnable(const struct weir_sim *sim, int ring)
{
	uint32_t count = 0;
	for (int i = 0; i < sim->op_high; i++) {
		const struct sim_op *op = &sim->ops[i];
		count +=
			op->is_used && op->ring == ring && op_is_ready(sim, op);
	}
	return count;
}

void sim_op_run(struct weir_sim *sim, int ring, uint32_t index)
{
	for (int i = 0; i < sim->op_high; i++) {
		struct sim_op *op = &sim->ops[i];
		if (!op->is_used || op->ring != ring || !op_is_ready(sim, op) ||
		    index-- > 0)
			continue;
		sim_hash_add(sim, op->sqe.user_data);
		op->is_late = false;
		if (!op->is_cancelled)
			op_go(sim, op);
		else if (op->done > 0)
			op_end(sim, op, (int)op->done, 0);
		else
			op_end(sim, op, -ECANCELED, 0);
		return;
	}
}
