/* sim_op_msg.c - messages from one ring to another
 *
 *     data:       a completion in the target
 *     descriptor: the same, and the file of a slot here in a slot of the target
 *
 * A DEFER_TASKRUN target gets its completion as task work when it enters, in
 * the order of the senders; any other target at once. With a full queue the
 * target overflows in order and loses nothing, as seen on 6.18.
 */
#include "sim_op_priv.h"

#include <errno.h>

/* __io_msg_ring_prep(), io_msg_ring_data() of io_uring/msg_ring.c. */
static int msg_check(const struct weir_sim *sim, const struct io_uring_sqe *sqe,
		     int file, int *out_target)
{
	const uint32_t known =
		IORING_MSG_RING_CQE_SKIP | IORING_MSG_RING_FLAGS_PASS;

	if (sqe->buf_index != 0 || (sqe->msg_ring_flags & ~known) != 0)
		return -EINVAL;
	if (sim->files[file].kind != SIM_RING)
		return -EBADFD;
	*out_target = sim->files[file].ring;
	return 0;
}

static int msg_data_check(const struct weir_sim *sim,
			  const struct io_uring_sqe *sqe, int target)
{
	const bool passes_flags =
		(sqe->msg_ring_flags & IORING_MSG_RING_FLAGS_PASS) != 0;
	if (sqe->addr3 != 0 ||
	    (sqe->msg_ring_flags & IORING_MSG_RING_CQE_SKIP) != 0)
		return -EINVAL;
	if (!passes_flags && sqe->file_index != 0)
		return -EINVAL;
	return sim->rings[target].is_enabled ? 0 : -EBADFD;
}

static int msg_post(struct weir_sim *sim, int target, uint64_t user_data,
		    int res, uint32_t flags)
{
	if ((sim->rings[target].setup_flags & IORING_SETUP_DEFER_TASKRUN) ==
	    0) {
		(void)sim_ring_post(sim, target, user_data, res, flags, false);
		return 0;
	}
	struct sim_op *message = sim_op_take(sim);
	if (message == NULL)
		return -ENOMEM;
	memset(message, 0, offsetof(struct sim_op, iov));
	message->is_used = true;
	message->is_message = true;
	message->ring = target;
	message->file = SIM_NONE;
	message->order = sim->order++;
	message->sqe.opcode = IORING_OP_MSG_RING;
	message->sqe.user_data = user_data;
	message->sqe.len = (uint32_t)res;
	message->due_flags = flags;
	sim->events++;
	return 0;
}

bool sim_op_message_is_next(const struct weir_sim *sim,
			    const struct sim_op *message)
{
	for (int i = 0; i < sim->op_high; i++) {
		const struct sim_op *other = &sim->ops[i];
		if (other->is_used && other->is_message &&
		    other->ring == message->ring &&
		    other->order < message->order)
			return false;
	}
	return true;
}

void sim_op_message_run(struct weir_sim *sim, struct sim_op *message)
{
	(void)sim_ring_post(sim, message->ring, message->sqe.user_data,
			    (int)message->sqe.len, message->due_flags, false);
	message->is_used = false;
}

static int msg_data(struct weir_sim *sim, const struct io_uring_sqe *sqe,
		    int target)
{
	const int err = msg_data_check(sim, sqe, target);
	if (err < 0)
		return err;
	const uint32_t flags =
		(sqe->msg_ring_flags & IORING_MSG_RING_FLAGS_PASS) != 0
			? sqe->file_index
			: 0;
	return msg_post(sim, target, sqe->off, (int)sqe->len, flags);
}

/* Return: the slot in the target; 0 if the entry named it. */
static int slot_put(struct weir_sim *sim, int target, uint32_t file_index,
		    int file)
{
	struct wi_soft_slots *slots = &sim->rings[target].slots;
	if (file_index == IORING_FILE_INDEX_ALLOC)
		return wi_soft_slots_take(slots, file);
	if (file_index == 0 || file_index > slots->count)
		return -EINVAL;
	const int before = wi_soft_slots_set(slots, file_index - 1, file);
	if (before != SIM_NONE)
		sim_file_drop(sim, before);
	return 0;
}

static int msg_descriptor(struct weir_sim *sim, const struct sim_op *op,
			  int target)
{
	const struct io_uring_sqe *sqe = &op->sqe;
	if (sqe->len != 0 || target == op->ring)
		return -EINVAL;
	if (!sim->rings[target].is_enabled)
		return -EBADFD;
	const int file = wi_soft_slots_file(&sim->rings[op->ring].slots,
					    (int32_t)sqe->addr3);
	if (file == SIM_NONE)
		return -EBADF;
	const int slot = slot_put(sim, target, sqe->file_index, file);
	if (slot < 0)
		return slot;
	sim_file_hold(sim, file); /* both slots hold it */
	if ((sqe->msg_ring_flags & IORING_MSG_RING_CQE_SKIP) != 0)
		return slot;
	const int err = msg_post(sim, target, sqe->off, slot, 0);
	return err < 0 ? err : slot;
}

int sim_op_msg(struct weir_sim *sim, struct sim_op *op)
{
	int target = SIM_NONE;
	const int err = msg_check(sim, &op->sqe, op->file, &target);
	if (err < 0)
		return err;
	switch (op->sqe.addr) {
	case IORING_MSG_DATA:
		return msg_data(sim, &op->sqe, target);
	case IORING_MSG_SEND_FD:
		return msg_descriptor(sim, op, target);
	default:
		return -EINVAL;
	}
}

/* IORING_REGISTER_SEND_MSG_RING: io_uring_sync_msg_ring(). */
int sim_msg_sync(struct weir_sim *sim, const void *arg, uint32_t count)
{
	const struct io_uring_sqe *sqe = arg;
	int target = SIM_NONE;

	if (arg == NULL || count != 1)
		return -EINVAL;
	if (sqe->flags != 0 || sqe->opcode != IORING_OP_MSG_RING)
		return -EINVAL;
	const int file = sim_fd_file(sim, sqe->fd);
	if (file == SIM_NONE)
		return -EBADF;
	const int err = msg_check(sim, sqe, file, &target);
	if (err < 0)
		return err;
	return sqe->addr == IORING_MSG_DATA ? msg_data(sim, sqe, target)
					    : -EINVAL;
}
