/* sim_op_time.c - timeouts in virtual time, and poll
 *
 * A timeout is due at a time or after a number of completions. When nothing
 * else can happen, time jumps to the next one.
 */
#include "sim_op_priv.h"

#include <errno.h>
#include <poll.h>

enum { NS_PER_S = 1000000000, LATE_NS = 1000000 };

int sim_op_timeout_prepare(struct weir_sim *sim, struct sim_op *op)
{
	const struct io_uring_sqe *sqe = &op->sqe;
	const uint32_t known =
		IORING_TIMEOUT_ABS | IORING_TIMEOUT_ETIME_SUCCESS |
		IORING_TIMEOUT_BOOTTIME | IORING_TIMEOUT_REALTIME;
	const struct weir_kernel_timespec *ts =
		(const void *)(uintptr_t)sqe->addr;

	if (sqe->len != 1 || sqe->buf_index != 0 || sqe->splice_fd_in != 0)
		return -EINVAL;
	if ((sqe->timeout_flags & ~known) != 0)
		return -EINVAL; /* MULTISHOT is not simulated */
	if (ts->tv_sec < 0 || ts->tv_nsec < 0)
		return -EINVAL;
	op->due_ns = (uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec;
	if ((sqe->timeout_flags & IORING_TIMEOUT_ABS) == 0)
		op->due_ns += sim->now_ns;
	/* The timer interrupt comes late: even a timeout of 0 ns can be
	 * cancelled many enters later (sim-model, program 302997, on a busy
	 * machine). */
	op->due_ns += LATE_NS * weir_tape_below(sim->tape, 2);
	op->due_count = sqe->off == 0
				? UINT64_MAX
				: sim->rings[op->ring].soft.posted + sqe->off;
	return 0;
}

int sim_op_timeout(struct weir_sim *sim, struct sim_op *op)
{
	if (sim->rings[op->ring].soft.posted >= op->due_count)
		return 0;
	return sim->now_ns >= op->due_ns ? -ETIME : SIM_OP_WAITS;
}

bool sim_op_timeout_has_fired(struct weir_sim *sim, const struct sim_op *op)
{
	return op->sqe.opcode == IORING_OP_TIMEOUT && !op->is_cancelled &&
	       sim->now_ns >= op->due_ns && weir_tape_below(sim->tape, 2) == 0;
}

int sim_op_timeout_remove(struct weir_sim *sim, struct sim_op *op)
{
	for (int i = 0; i < sim->op_high; i++) {
		struct sim_op *target = &sim->ops[i];
		if (!target->is_used || target->is_cancelled ||
		    target->ring != op->ring || target->is_notice ||
		    target->sqe.opcode != IORING_OP_TIMEOUT ||
		    target->sqe.user_data != op->sqe.addr)
			continue;
		if (sim_op_timeout_has_fired(sim, target))
			return -ENOENT;
		target->is_cancelled = true;
		return 0;
	}
	return -ENOENT;
}

uint64_t sim_op_next_due_ns(const struct weir_sim *sim)
{
	uint64_t next_ns = UINT64_MAX;
	for (int i = 0; i < sim->op_high; i++)
		if (sim->ops[i].is_used && !sim->ops[i].is_lost &&
		    sim->ops[i].due_ns != 0 && sim->ops[i].due_ns < next_ns)
			next_ns = sim->ops[i].due_ns;
	return next_ns;
}

static uint32_t poll_events(const struct sim_op *op)
{
	return (op->sqe.poll32_events & 0xffff) | POLLERR | POLLHUP |
	       POLLRDHUP; /* IO_POLL_UNMASK: never masked */
}

/* The events that are there now. */
static uint32_t poll_level(const struct weir_sim *sim, const struct sim_op *op)
{
	const struct sim_file *file = &sim->files[op->file];
	uint32_t mask = 0;

	switch (file->kind) {
	case SIM_STREAM:
		mask = file->conn == SIM_NONE
			       ? POLLOUT | POLLWRNORM | POLLHUP
			       : sim_net_poll(sim, file->conn, file->side);
		break;
	case SIM_LISTENER:
		mask = file->queued > 0 ? POLLIN | POLLRDNORM : 0;
		break;
	case SIM_DATAGRAMS:
		mask = POLLOUT | POLLWRNORM |
		       (sim_udp_can_read(sim, op->file) ? POLLIN | POLLRDNORM
							: 0) |
		       (file->error != 0 ? POLLERR : 0);
		break;
	case SIM_DOORBELL:
		mask = POLLOUT | (file->value > 0 ? POLLIN : 0);
		break;
	default:
		break;
	}
	return mask & poll_events(op);
}

/* After a single wake-up by bytes it reports these, even if another receive has
 * taken them: __io_poll_execute() keeps the mask of the wake-up. After several
 * it looks at the file: io_poll_check_events(). */
static uint32_t poll_mask(const struct weir_sim *sim, const struct sim_op *op)
{
	const uint32_t stash = (POLLIN | POLLRDNORM) & poll_events(op);
	if (stash != 0 && op->is_retried && sim_op_activations(sim, op) == 1 &&
	    sim_op_data_wakes(sim, op) - op->data_wakes == 1)
		return stash;
	return poll_level(sim, op);
}

bool sim_op_poll_is_ready(const struct weir_sim *sim, const struct sim_op *op)
{
	return poll_mask(sim, op) != 0;
}

int sim_op_poll(struct weir_sim *sim, struct sim_op *op)
{
	if (op->sqe.len != 0 || op->sqe.buf_index != 0 || op->sqe.off != 0)
		return -EINVAL; /* POLL_ADD_MULTI is not simulated */
	const uint32_t mask = poll_mask(sim, op);
	return mask == 0 ? SIM_OP_WAITS : (int)mask;
}
