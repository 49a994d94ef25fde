/* sim_op.c - what each operation does to the world
 *
 *     submitted --> done at once ------------------------------> completion
 *         |                                                        ^
 *         +--> armed: its file is not ready --> ready: runs again -+
 *         +--> late: not tried yet ------------------> tried ------+
 *
 * A multishot stays armed after each of its completions.
 */
#include "facts.h"
#include "sim_op_priv.h"

#include <errno.h>

enum { ONE_IN_EIGHT = 32 };

/* 0, or an errno that facts.c has for @opcode. */
static int op_errno(struct weir_sim *sim, uint8_t opcode)
{
	uint32_t count = 0;
	if (!sim_fault(sim, WEIR_FAULT_ERRNO))
		return 0;
	while (sim_fact_errno(opcode, count) != 0)
		count++;
	return count == 0 ? 0
			  : sim_fact_errno(opcode,
					   weir_tape_below(sim->tape, count));
}

/* ---- the life of an operation ------------------------------------------ */

struct sim_op *sim_op_take(struct weir_sim *sim)
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

int sim_op_conn(const struct weir_sim *sim, const struct sim_op *op)
{
	const struct sim_file *file = &sim->files[op->file];
	if (file->kind == SIM_STREAM && file->conn != SIM_NONE)
		return file->conn;
	return file->kind == SIM_STREAM || file->kind == SIM_LISTENER
		       ? -ENOTCONN
		       : -ENOTSOCK;
}

uint32_t sim_op_buffer_flags(struct sim_op *op)
{
	if (!op->has_buffer)
		return 0;
	return wi_soft_group_flags(op->buffer_id, op->buffer_goes_on);
}

/* CQE_SKIP_SUCCESS. A short MSG_WAITALL counts as a failure. */
static bool op_is_silent(const struct sim_op *op, int res)
{
	return (op->sqe.flags & IOSQE_CQE_SKIP_SUCCESS) != 0 && res >= 0 &&
	       !((op->sqe.msg_flags & MSG_WAITALL) != 0 && op->all > 0 &&
		 (uint32_t)res < op->all);
}

/* The last completion; with WEIR_FAULT_TWICE perhaps a second time. */
static void op_post(struct weir_sim *sim, const struct sim_op *op, int res,
		    uint32_t flags)
{
	if (!sim_ring_post(sim, op->ring, op->sqe.user_data, res, flags,
			   false) ||
	    (flags & IORING_CQE_F_MORE) != 0 ||
	    !sim_fault(sim, WEIR_FAULT_TWICE))
		return;
	weir_sim_note(sim, "fault: that completion comes twice");
	(void)sim_ring_post(sim, op->ring, op->sqe.user_data, res, flags, true);
}

bool sim_op_is_recv(const struct sim_op *op)
{
	return op->sqe.opcode == IORING_OP_RECV ||
	       op->sqe.opcode == IORING_OP_RECVMSG;
}

void sim_op_moved(struct weir_sim *sim, const struct sim_op *op, int res)
{
	if (res <= 0 || op->file == SIM_NONE ||
	    sim->files[op->file].kind != SIM_STREAM)
		return;
	if (sim_op_is_recv(op))
		sim->traffic.received_bytes += (uint32_t)res;
	else if (op->sqe.opcode == IORING_OP_SEND ||
		 op->sqe.opcode == IORING_OP_SENDMSG || sim_op_is_zerocopy(op))
		sim->traffic.sent_bytes += (uint32_t)res;
}

static void op_end(struct weir_sim *sim, struct sim_op *op, int res,
		   uint32_t flags)
{
	const bool has_notice = sim_op_is_zerocopy(op) && op->is_prepared;
	if (has_notice)
		flags |= IORING_CQE_F_MORE;
	sim_note_result(sim, op, "ends", res);
	sim_op_moved(sim, op, res);
	if (!op_is_silent(op, res))
		op_post(sim, op, res, flags);
	if (op->sqe.opcode == IORING_OP_RECV && op->file != SIM_NONE) {
		sim->files[op->file].last_token = op->sqe.user_data;
		sim->files[op->file].last_ring = op->ring;
	}
	sim_worker_has_done(sim, op);
	if (has_notice)
		sim_op_send_notice(sim, op);
	op_give(sim, op);
}

/* It ends without an attempt. Bytes that earlier attempts moved are reported,
 * as in io_sendrecv_fail(). */
static void op_fail(struct weir_sim *sim, struct sim_op *op, int res)
{
	op_end(sim, op, op->done > 0 ? (int)op->done : res,
	       sim_op_buffer_flags(op));
}

void sim_ops_end(struct weir_sim *sim, int ring)
{
	for (int i = 0; i < sim->op_high; i++)
		if (sim->ops[i].is_used && sim->ops[i].ring == ring)
			op_give(sim, &sim->ops[i]);
}

/* ---- attempts ---------------------------------------------------------- */

static int op_read(struct weir_sim *sim, struct sim_op *op)
{
	struct sim_file *file = &sim->files[op->file];
	if (file->kind != SIM_DOORBELL)
		return -EINVAL;
	if (file->value == 0)
		return SIM_OP_WAITS;
	wi_soft_copy((void *)(uintptr_t)op->sqe.addr, &file->value,
		     sizeof(file->value));
	file->value = 0;
	return (int)sizeof(file->value);
}

/* An attempt. Return: the result; SIM_OP_WAITS; SIM_OP_AGAIN: it has posted a
 * completion and continues. */
static int op_try(struct weir_sim *sim, struct sim_op *op)
{
	switch (op->sqe.opcode) {
	case IORING_OP_NOP:
		return 0;
	case IORING_OP_RECV:
	case IORING_OP_RECVMSG:
		return sim_op_recv(sim, op);
	case IORING_OP_BIND:
		return sim_op_udp_bind(sim, op);
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
	case IORING_OP_SEND_ZC:
	case IORING_OP_SENDMSG_ZC:
		return sim_op_send(sim, op);
	case IORING_OP_TIMEOUT:
		return sim_op_timeout(sim, op);
	case IORING_OP_MSG_RING:
		return sim_op_msg(sim, op);
	case IORING_OP_TIMEOUT_REMOVE:
		return sim_op_timeout_remove(sim, op);
	case IORING_OP_POLL_ADD:
		return sim_op_poll(sim, op);
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
		if (sim->files[op->file].kind == SIM_DATAGRAMS)
			return sim_op_udp_connect(sim, op);
		return sim_op_connect(sim, op);
	case IORING_OP_URING_CMD:
		return sim_op_command(sim, op);
	default:
		return -EINVAL;
	}
}

/* What the attempt callback returns: 0, an errno, or WEIR_SIM_NEVER. */
static int op_planned(struct weir_sim *sim, const struct sim_op *op)
{
	if (sim->attempt == NULL || op->done > 0)
		return 0;
	const struct weir_sim_attempt what = {
		.user_data = op->sqe.user_data,
		.opcode = op->sqe.opcode,
		.is_cancelled = op->is_cancelled,
	};
	return sim->attempt(sim, &what, sim->attempt_ctx);
}

static void op_lose(struct weir_sim *sim, struct sim_op *op)
{
	sim_note_op(sim, op, "never ends: a fault");
	op->is_armed = true;
	op->is_lost = true;
}

/* The program could not notice a lost accept or a lost read of a doorbell. */
static bool op_is_of_a_connection(const struct weir_sim *sim,
				  const struct sim_op *op)
{
	return op->file == SIM_NONE ? op->sqe.opcode == IORING_OP_CLOSE ||
					      op->sqe.opcode == IORING_OP_SOCKET
				    : sim->files[op->file].kind == SIM_STREAM;
}

/* One of four that might: each costs a connection's slot for good. */
static bool op_is_never(struct weir_sim *sim, const struct sim_op *op)
{
	return (sim->opts.faults & WEIR_FAULT_NEVER) != 0 &&
	       op->sqe.opcode != IORING_OP_URING_CMD &&
	       op_is_of_a_connection(sim, op) &&
	       sim_fault(sim, WEIR_FAULT_NEVER) &&
	       weir_tape_below(sim->tape, 4) == 1;
}

static void op_go(struct weir_sim *sim, struct sim_op *op)
{
	if (sim_op_was_woken_in_vain(sim, op)) {
		sim_op_arm(sim, op);
		return;
	}
	int fault = op_planned(sim, op);
	if (fault == 0 && op_is_never(sim, op))
		fault = WEIR_SIM_NEVER;
	op->due_flags = 0;
	op->activations = sim_op_woken_count(sim, op);
	op->is_armed = false;
	if (fault == WEIR_SIM_NEVER) {
		op_lose(sim, op);
		return;
	}
	if (fault == 0)
		fault = op_errno(sim, op->sqe.opcode);
	if (fault != 0) {
		sim_note_result(sim, op, "fails by a fault", fault);
		/* A failing CLOSE still closes. */
		if (op->sqe.opcode == IORING_OP_CLOSE)
			(void)op_try(sim, op);
		op_fail(sim, op, fault);
		return;
	}
	const int result = op_try(sim, op);
	if (result == SIM_OP_WAITS)
		sim_op_arm(sim, op);
	else if (result == -EAGAIN)
		op_fail(sim, op, result);
	else if (result != SIM_OP_AGAIN && !sim_worker_keeps(sim, op, result))
		op_end(sim, op, result, op->due_flags);
	op->is_retried = op->is_used;
}

/* It had not started, or has just failed. */
static void op_end_cancelled(struct weir_sim *sim, struct sim_op *op)
{
	const int fault = op_planned(sim, op);
	if (fault == WEIR_SIM_NEVER)
		op_lose(sim, op);
	else
		op_fail(sim, op, fault != 0 ? fault : -ECANCELED);
}

/* ---- submission -------------------------------------------------------- */

static bool op_needs_file(uint8_t opcode)
{
	switch (opcode) {
	case IORING_OP_NOP:
	case IORING_OP_ASYNC_CANCEL:
	case IORING_OP_CLOSE:
	case IORING_OP_SOCKET:
	case IORING_OP_TIMEOUT:
	case IORING_OP_TIMEOUT_REMOVE:
		return false;
	default:
		return true;
	}
}

static int op_find_file(const struct weir_sim *sim, int ring,
			const struct io_uring_sqe *sqe)
{
	return (sqe->flags & IOSQE_FIXED_FILE) != 0
		       ? wi_soft_slots_file(&sim->rings[ring].slots, sqe->fd)
		       : sim_fd_file(sim, sqe->fd);
}

/* False: the file does not exist, and the operation has ended. */
static bool op_hold_file(struct weir_sim *sim, struct sim_op *op)
{
	if (!op_needs_file(op->sqe.opcode) || op->file != SIM_NONE)
		return true;
	op->file = op_find_file(sim, op->ring, &op->sqe);
	if (op->file == SIM_NONE) {
		if (!sim->opts.allows_misuse)
			weir_sim_violate(sim, "an operation names a descriptor "
					      "that is not open");
		op_end(sim, op, -EBADF, 0);
		return false;
	}
	sim_file_hold(sim, op->file);
	return true;
}

static bool op_selects_buffers(uint8_t opcode)
{
	return opcode == IORING_OP_RECV || opcode == IORING_OP_RECVMSG ||
	       opcode == IORING_OP_SEND;
}

/* 0, or the errno for an invalid entry. */
static int op_prepare(struct weir_sim *sim, struct sim_op *op)
{
	const struct io_uring_sqe *sqe = &op->sqe;
	const uint8_t known = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT |
			      IOSQE_CQE_SKIP_SUCCESS | IOSQE_ASYNC;
	if (sqe->opcode >= IORING_OP_LAST || (sqe->flags & ~known) != 0)
		return -EINVAL; /* links and drain are not simulated */
	if ((sqe->flags & IOSQE_BUFFER_SELECT) != 0 &&
	    !op_selects_buffers(sqe->opcode))
		return -EOPNOTSUPP;
	switch (sqe->opcode) {
	case IORING_OP_RECV:
	case IORING_OP_RECVMSG:
		return sim_op_recv_prepare(op);
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
	case IORING_OP_SEND_ZC:
	case IORING_OP_SENDMSG_ZC:
		return sim_op_send_prepare(op);
	case IORING_OP_TIMEOUT:
		return sim_op_timeout_prepare(sim, op);
	case IORING_OP_CONNECT:
		return sim_op_connect_prepare(op);
	default:
		return 0;
	}
}

/* It polls first; or the kernel is busy and tries it later. */
static bool op_is_put_off(struct weir_sim *sim, const struct sim_op *op)
{
	if (op->sqe.opcode == IORING_OP_TIMEOUT)
		return true;
	/* io_accept() tries it at submission, without a wait. */
	if (op->sqe.opcode == IORING_OP_ACCEPT)
		return false;
	if (sim_op_polls_first(op))
		return true;
	return !sim->opts.is_prompt &&
	       weir_tape_chance(sim->tape, ONE_IN_EIGHT);
}

/* It waits for a file and is not tried until that is ready. */
static bool op_waits_for_file(const struct sim_op *op)
{
	return sim_op_is_recv(op) || op->sqe.opcode == IORING_OP_TIMEOUT;
}

bool sim_op_submit(struct weir_sim *sim, int ring,
		   const struct io_uring_sqe *sqe)
{
	struct sim_op *op = sim_op_take(sim);
	if (op == NULL) {
		weir_sim_violate(sim, "more operations in flight than the "
				      "simulation holds");
		return true;
	}
	memset(op, 0, offsetof(struct sim_op, iov));
	op->is_used = true;
	op->ring = ring;
	op->file = SIM_NONE;
	op->order = sim->order++;
	op->sqe = *sqe;
	sim_note_op(sim, op, "is submitted");
	const int refusal = op_prepare(sim, op);
	if (refusal < 0) {
		op_end(sim, op, refusal, 0);
		return false;
	}
	op->is_prepared = true;
	if (sim_worker_takes(sim, op))
		return true;
	if (!op_hold_file(sim, op))
		return true;
	/* Both together give -EAGAIN, ready or not: sim-model. */
	if (sim_op_polls_first(op) && (sqe->msg_flags & MSG_DONTWAIT) != 0) {
		op_fail(sim, op, -EAGAIN);
		return true;
	}
	if (op_is_put_off(sim, op)) {
		sim_op_arm(sim, op);
		op->is_late = !op_waits_for_file(op);
		return true;
	}
	op_go(sim, op);
	return true;
}

/* ---- going on ---------------------------------------------------------- */

void sim_op_step(struct weir_sim *sim, struct sim_op *op)
{
	sim_hash_add(sim, op->sqe.user_data);
	op->is_late = false;
	if (op->is_message)
		sim_op_message_run(sim, op);
	else if (op->is_notice)
		sim_op_notice_run(sim, op);
	else if (op->has_acted)
		op_end(sim, op, op->due_result, 0);
	else if (op->is_cancelled)
		op_end_cancelled(sim, op);
	else if (op_hold_file(sim, op))
		op_go(sim, op);
}

void sim_op_run(struct weir_sim *sim, uint32_t index)
{
	sim_op_step(sim, &sim->ops[sim->runnable[index]]);
}
