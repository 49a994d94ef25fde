/* sim_op_recv.c - receives: single, multishot, bundles
 *
 *     take buffers --> read --> commit --> completion --> again, or armed
 *
 * Step by step as io_recv() and io_recv_finish() of Linux 6.18.
 */
#include "sim_op_priv.h"

#include <errno.h>
#include <poll.h>

enum { MULTISHOT_LOOPS = 32 };

static bool recv_is_multishot(const struct sim_op *op)
{
	return (op->sqe.ioprio & IORING_RECV_MULTISHOT) != 0;
}

static bool recv_is_bundle(const struct sim_op *op)
{
	return (op->sqe.ioprio & IORING_RECVSEND_BUNDLE) != 0;
}

static bool recv_selects(const struct sim_op *op)
{
	return (op->sqe.flags & IOSQE_BUFFER_SELECT) != 0;
}

static int recv_read_header(struct sim_op *op)
{
	const struct msghdr *message = (const void *)(uintptr_t)op->sqe.addr;
	if (recv_is_bundle(op))
		return -EINVAL;
	op->message = *message;
	if (recv_selects(op)) {
		/* With a single part, its size limits what is used of each
		 * buffer. */
		op->want = message->msg_iovlen == 1
				   ? (uint32_t)message->msg_iov[0].iov_len
				   : 0;
		return message->msg_iovlen > 1 ? -EINVAL : 0;
	}
	return sim_op_pieces_read(op, message->msg_iov, message->msg_iovlen);
}

int sim_op_recv_prepare(struct sim_op *op)
{
	const struct io_uring_sqe *sqe = &op->sqe;
	const uint32_t known = IORING_RECVSEND_POLL_FIRST |
			       IORING_RECV_MULTISHOT | IORING_RECVSEND_BUNDLE;

	op->want = sqe->len;
	op->limit = sqe->file_index;
	op->inq = -1;
	if (sqe->addr2 != 0 || (sqe->ioprio & ~known) != 0)
		return -EINVAL;
	if (recv_is_multishot(op) &&
	    (!recv_selects(op) || (sqe->msg_flags & MSG_WAITALL) != 0 ||
	     (sqe->flags & IOSQE_CQE_SKIP_SUCCESS) != 0))
		return -EINVAL;
	if (!recv_is_multishot(op) && op->limit != 0)
		return -EINVAL;
	if (sqe->opcode == IORING_OP_RECVMSG)
		return recv_read_header(op);
	if (!recv_selects(op))
		sim_op_pieces_one(op);
	return 0;
}

/* A bundle of unknown size takes one buffer, or as many as fit into an array of
 * pieces that an earlier operation left in the ring's cache: sim-model. */
static uint32_t recv_guess(struct weir_sim *sim, const struct sim_op *op)
{
	const uint32_t cached = sim->rings[op->ring].iov_cached;
	return recv_is_bundle(op) && cached > 1
		       ? 1 + weir_tape_below(sim->tape, cached)
		       : 1;
}

/* io_recv_buf_select(). */
int sim_op_recv_take(struct weir_sim *sim, struct sim_op *op)
{
	struct wi_soft_group *group = sim_op_group(sim, op);
	struct wi_soft_take take;
	uint32_t max = op->want;

	if (group == NULL)
		return recv_is_bundle(op) ? -ENOENT : -ENOBUFS;
	if (sim_fault(sim, WEIR_FAULT_ENOBUFS))
		return -ENOBUFS;
	if (recv_is_bundle(op)) {
		if (max == 0 && op->inq > 1)
			max = (uint32_t)op->inq;
		if (op->limit != 0 && (max == 0 || op->limit < max))
			max = op->limit;
	}
	const uint32_t guess = recv_guess(sim, op);
	int err = sim_group_take(sim, group, max,
				 recv_is_bundle(op) ? WI_SOFT_TAKE_MANY
						    : WI_SOFT_TAKE_ONE,
				 guess, &take);
	if (err < 0)
		return err;
	sim_op_pieces_take(sim, op, &take);
	/* REQ_F_BL_EMPTY: an attempt without bytes has set it as well. */
	op->is_last_buffer |= take.is_last;
	op->is_cut |= take.is_cut;
	/* The room of one buffer stays its size until a completion. So the
	 * bundle does not end if this buffer has become the last one meanwhile.
	 */
	if (take.count == 1)
		op->want = take.bytes;
	if (!op->is_appended)
		op->buffer_id = take.id;
	return 0;
}

/* Bytes; 0: end of stream; -EAGAIN and other errnos. */
static int recv_read(struct weir_sim *sim, struct sim_op *op, int conn)
{
	const enum sim_side side = sim->files[op->file].side;
	uint32_t sum = 0;

	if (op->all == op->at)
		return 0;
	while (op->at + sum < op->all) {
		const struct iovec piece = sim_op_piece(op, op->at + sum);
		const int result = sim_net_read(sim, conn, side, piece.iov_base,
						piece.iov_len);
		if (result <= 0)
			return sum > 0 ? (int)sum : result;
		sum += (uint32_t)result;
		if ((size_t)result < piece.iov_len)
			break;
	}
	return (int)sum;
}

/* How many buffers @bytes have touched. */
static uint32_t recv_touched(const struct sim_op *op, uint32_t bytes)
{
	uint32_t count = 0;
	while (bytes > 0) {
		const uint32_t here = (uint32_t)op->iov[count++].iov_len;
		bytes -= here < bytes ? here : bytes;
	}
	return count;
}

/* An operation that keeps buffers over an attempt (MSG_WAITALL) commits them
 * once, with the bytes of the first attempt, and then reports no BUF_MORE: seen
 * on 6.18 by sim-model. So on an incremental ring later attempts fill the same
 * bytes twice; bufring.h says not to do it. */
void sim_op_recv_commit(struct weir_sim *sim, struct sim_op *op, uint32_t bytes)
{
	struct wi_soft_group *group = sim_op_group(sim, op);

	if (!recv_selects(op))
		return;
	op->buffer_goes_on = false;
	if (group != NULL && (!op->has_buffer || recv_is_bundle(op)))
		op->buffer_goes_on = !wi_soft_group_commit(
			group, bytes, recv_touched(op, bytes));
	op->has_buffer = true;
}

/* A bundle that was filled completely takes a second part. */
static bool recv_appends(struct sim_op *op, uint32_t bytes)
{
	if (!recv_is_bundle(op) || op->is_last_buffer || op->is_appended ||
	    op->is_cut || op->inq <= 1 || op->at != op->all)
		return false;
	if (recv_is_multishot(op) && op->sqe.len != 0 &&
	    op->done >= op->sqe.len)
		return false;
	(void)bytes;
	op->want = (uint32_t)op->inq;
	op->is_appended = true;
	return true;
}

/* One receive. Return: bytes in all, another result, or WAITS. */
static int recv_once(struct weir_sim *sim, struct sim_op *op, int conn)
{
	const bool waits_all = (op->sqe.msg_flags & MSG_WAITALL) != 0;
	const bool is_impatient = (op->sqe.msg_flags & MSG_DONTWAIT) != 0;
	do {
		if (recv_selects(op) && (!op->has_buffer || op->is_appended)) {
			int err = sim_op_recv_take(sim, op);
			if (err < 0) {
				op->inq = -1;
				/* No second part: the last completion. */
				op->is_last_buffer = true;
				return op->done > 0 ? (int)op->done : err;
			}
		}
		op->inq = -1;
		const int result = recv_read(sim, op, conn);
		if (result == -EAGAIN)
			return is_impatient ? -EAGAIN : SIM_OP_WAITS;
		if (result >= 0)
			op->inq = sim_net_inq(sim, conn,
					      sim->files[op->file].side);
		if (result <= 0)
			return op->done > 0 ? (int)op->done : result;
		sim_op_recv_commit(sim, op, (uint32_t)result);
		op->at += (uint32_t)result;
		op->done += (uint32_t)result;
		if (!waits_all || op->at == op->all)
			continue;
		op->buffer_goes_on = false;
		return is_impatient ? -EAGAIN : SIM_OP_WAITS;
	} while (recv_appends(op, op->done));
	return (int)op->done;
}

/* Prepares the next completion of a multishot. */
static void recv_renew(struct sim_op *op)
{
	op->done = 0;
	op->has_buffer = false;
	op->is_appended = false;
	op->is_cut = false;
	op->is_last_buffer = false; /* io_mshot_prep_retry() */
	op->want = op->sqe.len;
}

/* Whether that completion was the last of a multishot. */
static bool recv_is_over(struct sim_op *op, int result)
{
	if (result <= 0)
		return true;
	if (op->limit == 0)
		return recv_is_bundle(op) && op->is_last_buffer;
	if (op->limit <= (uint32_t)result)
		return true;
	op->limit -= (uint32_t)result;
	return recv_is_bundle(op) && op->is_last_buffer;
}

/* The receive gave no hint of more. At its submission it now looks at the
 * socket while it is armed: __io_arm_poll_handler(). After a single wake-up it
 * does not look, so it misses its own shutdown, or a reset behind the bytes.
 * After several wake-ups it continues at a hang-up: io_poll_check_events().
 * Return: whether it continues. */
static bool recv_looks_again(struct weir_sim *sim, struct sim_op *op, int conn)
{
	const uint32_t mask =
		sim_net_poll(sim, conn, sim->files[op->file].side);
	op->is_woken = op->activations == 0 &&
		       (mask & (POLLIN | POLLERR | POLLHUP)) != 0;
	if (op->activations < 2 || (mask & (POLLHUP | POLLRDHUP)) == 0)
		return false;
	op->activations = 1;
	return true;
}

int sim_op_recv(struct weir_sim *sim, struct sim_op *op)
{
	if (sim->files[op->file].kind == SIM_DATAGRAMS)
		return sim_op_udp_recv(sim, op);
	const int conn = sim_op_conn(sim, op);
	if (conn < 0)
		return conn;
	for (uint32_t loops = 0;; loops++) {
		const int result = recv_once(sim, op, conn);
		if (result == SIM_OP_WAITS)
			return result;
		uint32_t flags = sim_op_buffer_flags(op);
		if (op->inq > 0)
			flags |= IORING_CQE_F_SOCK_NONEMPTY;
		op->due_flags = flags;
		if (!recv_is_multishot(op) || recv_is_over(op, result) ||
		    sim_fault(sim, WEIR_FAULT_TERMINATE) ||
		    !sim_ring_post(sim, op->ring, op->sqe.user_data, result,
				   flags | IORING_CQE_F_MORE, true))
			return result;
		weir_sim_note(sim, "c%d receives %d bytes", conn, result);
		sim_op_moved(sim, op, result);
		const bool is_capped = recv_is_bundle(op) && op->sqe.len != 0 &&
				       (uint32_t)result >= op->sqe.len;
		recv_renew(op);
		sim_op_arm(sim, op);
		const bool has_more = (flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
		const bool is_stopped = loops == MULTISHOT_LOOPS || is_capped;
		if ((op->sqe.msg_flags & MSG_DONTWAIT) != 0 &&
		    (!has_more || is_stopped))
			return -EAGAIN; /* even if bytes have come by now */
		if (!has_more) {
			if (recv_looks_again(sim, op, conn))
				continue;
			return SIM_OP_AGAIN;
		}
		if (is_stopped) {
			if (weir_tape_below(sim->tape, 2) == 0)
				op->requeued = sim->enters;
			return SIM_OP_AGAIN;
		}
		/* It continues; no known kernel leaves the rest for later. */
		if (!sim->opts.is_prompt && weir_tape_below(sim->tape, 2) == 1)
			return SIM_OP_AGAIN;
	}
}
