/* sim_op_wait.c - what an operation waits for, and when it can continue
 *
 *     armed --> its file wakes it, or time does --> runnable
 *
 * Also here: late completions for streams that are closed.
 */
#include "sim_op_priv.h"

#include <errno.h>

/* Its file is a socket that receives bytes. */
static bool op_can_wait(const struct weir_sim *sim, const struct sim_op *op)
{
	if (op->file == SIM_NONE)
		return false;
	const struct sim_file *file = &sim->files[op->file];
	return file->kind == SIM_DATAGRAMS ||
	       (file->kind == SIM_STREAM && file->conn != SIM_NONE);
}

static bool op_can_read(const struct weir_sim *sim, const struct sim_op *op)
{
	const struct sim_file *file = &sim->files[op->file];
	return file->kind == SIM_DATAGRAMS
		       ? sim_udp_can_read(sim, op->file)
		       : sim_net_can_read(sim, file->conn, file->side);
}

static uint32_t op_wakes(const struct weir_sim *sim, const struct sim_op *op)
{
	const struct sim_file *file = &sim->files[op->file];
	return file->kind == SIM_DATAGRAMS
		       ? file->wakes
		       : sim_net_wakes(sim, file->conn, file->side);
}

uint32_t sim_op_data_wakes(const struct weir_sim *sim, const struct sim_op *op)
{
	const struct sim_file *file = &sim->files[op->file];
	return file->kind == SIM_STREAM
		       ? sim_net_data_wakes(sim, file->conn, file->side)
		       : 0;
}

/* One for each event that it has not looked at yet: poll_refs. */
uint32_t sim_op_activations(const struct weir_sim *sim, const struct sim_op *op)
{
	return op_can_wait(sim, op) ? op_wakes(sim, op) - op->wakes : 0;
}

void sim_op_arm(struct weir_sim *sim, struct sim_op *op)
{
	op->is_armed = true;
	if (!op_can_wait(sim, op))
		return;
	op->wakes = op_wakes(sim, op);
	op->data_wakes = sim_op_data_wakes(sim, op);
	op->is_woken =
		(op->sqe.msg_flags & MSG_DONTWAIT) != 0 || op_can_read(sim, op);
}

bool sim_op_polls_first(const struct sim_op *op)
{
	return (sim_op_is_recv(op) || op->sqe.opcode == IORING_OP_SEND ||
		sim_op_is_zerocopy(op)) &&
	       (op->sqe.ioprio & IORING_RECVSEND_POLL_FIRST) != 0;
}

/* How often it was woken since it was armed: poll_refs. */
uint32_t sim_op_woken_count(const struct weir_sim *sim, const struct sim_op *op)
{
	const bool was_polled = op->is_retried || sim_op_polls_first(op);
	if (!op->is_armed || !was_polled || !sim_op_is_recv(op) ||
	    !op_can_wait(sim, op))
		return 0;
	return op->is_woken + sim_op_activations(sim, op);
}

/* Another operation has taken the bytes. After one wake-up it still tries, and
 * may find no buffer. After two, or once requeued, the kernel looks at the
 * socket first (io_poll_check_events()). */
bool sim_op_was_woken_in_vain(struct weir_sim *sim, const struct sim_op *op)
{
	if (!sim_op_is_recv(op) || !op->is_armed ||
	    (op->sqe.msg_flags & MSG_DONTWAIT) != 0)
		return false;
	return op_can_wait(sim, op) && !op_can_read(sim, op) &&
	       weir_tape_below(sim->tape, 2) == 1;
}

/* A wake-up counts even if another operation has taken the bytes since: this
 * one tries, and looks for a buffer first. */
static bool op_is_woken(const struct weir_sim *sim, const struct sim_op *op)
{
	return op->is_woken || !op_can_wait(sim, op) ||
	       op_wakes(sim, op) != op->wakes;
}

static bool op_is_ready(const struct weir_sim *sim, const struct sim_op *op)
{
	if (op->is_lost)
		return false;
	if (op->is_message)
		return sim_op_message_is_next(sim, op);
	if (op->is_late && !op->is_cancelled)
		return sim->moments >= op->acts_at;
	if (op->is_cancelled || op->has_acted)
		return true;
	const struct sim_file *file =
		op->file == SIM_NONE ? NULL : &sim->files[op->file];
	switch (op->sqe.opcode) {
	case IORING_OP_RECV:
	case IORING_OP_RECVMSG:
		return op_is_woken(sim, op);
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
	case IORING_OP_SEND_ZC:
	case IORING_OP_SENDMSG_ZC:
		return file->conn == SIM_NONE ||
		       sim_net_can_write(sim, file->conn, file->side);
	case IORING_OP_ACCEPT:
		return file->queued > 0 || !file->is_listening;
	case IORING_OP_READ:
		return file->value > 0;
	case IORING_OP_TIMEOUT:
		return sim->now_ns >= op->due_ns ||
		       sim->rings[op->ring].soft.posted >= op->due_count;
	case IORING_OP_CONNECT:
		return sim_op_connect_is_ready(sim, op);
	case IORING_OP_POLL_ADD:
		return sim_op_poll_is_ready(sim, op);
	default:
		return true;
	}
}

/* Whether this ring and runner can continue it. */
static bool op_can_run(const struct weir_sim *sim, const struct sim_op *op,
		       int ring, enum sim_runner run)
{
	return op->is_used && op->ring == ring &&
	       !(run == SIM_RUN_TASK_WORK && op->is_late &&
		 !op->is_cancelled) &&
	       !(run == SIM_RUN_BESIDE && !op->is_late) &&
	       !(run != SIM_RUN_WAITING && op->requeued == sim->enters) &&
	       op_is_ready(sim, op);
}

bool sim_op_any_runs(const struct weir_sim *sim, int ring, enum sim_runner run)
{
	for (int i = 0; i < sim->op_high; i++)
		if (op_can_run(sim, &sim->ops[i], ring, run))
			return true;
	return false;
}

uint32_t sim_op_runnable(struct weir_sim *sim, int ring, enum sim_runner run)
{
	uint32_t count = 0;
	for (int i = 0; i < sim->op_high; i++)
		if (op_can_run(sim, &sim->ops[i], ring, run))
			sim->runnable[count++] = (uint16_t)i;
	return count;
}

void sim_op_haunt(struct weir_sim *sim, int ring)
{
	struct wi_soft_group *group = &sim->rings[ring].groups.list[0];
	const uint32_t which = weir_tape_below(sim->tape, sim->dead_count);
	const uint64_t token = sim->dead_tokens[which];
	if (sim->dead_rings[which] != ring)
		return; /* the token is of another ring */
	const struct io_uring_buf *buf = NULL;
	if (group->is_used && !group->is_incremental &&
	    weir_tape_below(sim->tape, 2) == 1) {
		sim_group_look(sim, group);
		buf = wi_soft_group_peek(group);
	}

	sim->dead_rings[which] = sim->dead_rings[--sim->dead_count];
	sim->dead_tokens[which] = sim->dead_tokens[sim->dead_count];
	weir_sim_note(sim, "fault: a completion for %016llx, which is gone",
		      (unsigned long long)token);
	if (buf == NULL) {
		(void)sim_ring_post(sim, ring, token, -ECANCELED, 0, false);
		return;
	}
	const uint16_t id = buf->bid;
	(void)wi_soft_group_commit(group, 1, 1); /* not incremental */
	(void)sim_ring_post(sim, ring, token, 1, wi_soft_group_flags(id, false),
			    false);
}
