/* sim_op_send.c - sends: plain, gathered, from provided buffers, zero-copy
 *
 *     taken --> written, in one or many attempts --> completion
 *                                                       |
 *                        zero-copy: F_MORE .........> notice
 *
 * As io_send() and io_send_zc() of Linux 6.18.
 */
#include "sim_op_priv.h"

#include <errno.h>

static bool send_is_bundle(const struct sim_op *op)
{
	return (op->sqe.ioprio & IORING_RECVSEND_BUNDLE) != 0;
}

static bool send_selects(const struct sim_op *op)
{
	return (op->sqe.flags & IOSQE_BUFFER_SELECT) != 0;
}

static bool send_waits_all(const struct sim_op *op)
{
	return send_is_bundle(op) || (op->sqe.msg_flags & MSG_WAITALL) != 0;
}

bool sim_op_is_zerocopy(const struct sim_op *op)
{
	return op->sqe.opcode == IORING_OP_SEND_ZC ||
	       op->sqe.opcode == IORING_OP_SENDMSG_ZC;
}

int sim_op_send_prepare(struct sim_op *op)
{
	const struct io_uring_sqe *sqe = &op->sqe;
	uint32_t known = IORING_RECVSEND_POLL_FIRST | IORING_RECVSEND_BUNDLE |
			 IORING_SEND_VECTORIZED;
	if (sim_op_is_zerocopy(op)) {
		known = IORING_RECVSEND_POLL_FIRST | IORING_RECVSEND_FIXED_BUF |
			IORING_SEND_ZC_REPORT_USAGE | IORING_SEND_VECTORIZED;
		if ((sqe->flags & IOSQE_CQE_SKIP_SUCCESS) != 0)
			return -EINVAL;
	}
	if ((sqe->ioprio & ~known) != 0)
		return -EINVAL;
	op->want = sqe->len;
	if (sqe->opcode == IORING_OP_SENDMSG ||
	    sqe->opcode == IORING_OP_SENDMSG_ZC) {
		struct msghdr message;
		if (send_is_bundle(op))
			return -EINVAL;
		wi_soft_copy(&message, (const void *)(uintptr_t)sqe->addr,
			     sizeof(message));
		op->message = message;
		return sim_op_pieces_read(op, message.msg_iov,
					  message.msg_iovlen);
	}
	if ((sqe->ioprio & IORING_SEND_VECTORIZED) != 0)
		return sim_op_pieces_read(
			op, (const void *)(uintptr_t)sqe->addr, sqe->len);
	if (!send_selects(op))
		sim_op_pieces_one(op);
	return 0;
}

/* io_send_select_buffer(): taken at once, even if the send fails. */
static int send_take(struct weir_sim *sim, struct sim_op *op)
{
	struct wi_soft_group *group = sim_op_group(sim, op);
	struct wi_soft_take take;

	if (group == NULL)
		return -ENOENT;
	/* The size is known to the kernel: a send does not guess. */
	int err = sim_group_take(sim, group, op->want != 0 ? op->want : INT_MAX,
				 send_is_bundle(op) ? WI_SOFT_TAKE_MANY
						    : WI_SOFT_TAKE_ONE,
				 1, &take);
	if (err < 0)
		return err;
	sim_op_pieces_take(sim, op, &take);
	op->is_last_buffer = take.is_last;
	op->buffer_id = take.id;
	op->has_buffer = true;
	op->buffer_goes_on =
		!wi_soft_group_commit(group, take.bytes, take.count);
	return 0;
}

/* Bytes of the next piece that are sent at once. */
static size_t send_piece_bytes(struct weir_sim *sim, size_t bytes,
			       bool *out_is_short)
{
	*out_is_short = bytes > 1 && sim_fault(sim, WEIR_FAULT_SHORT_SEND);
	if (!*out_is_short)
		return bytes;
	return 1 + weir_tape_below(sim->tape,
				   bytes < 65536 ? (uint32_t)bytes - 1 : 65535);
}

/* Return: the result, or WAITS. */
static int send_write(struct weir_sim *sim, struct sim_op *op, int conn)
{
	const bool is_impatient = (op->sqe.msg_flags & MSG_DONTWAIT) != 0;
	do {
		const struct iovec piece = sim_op_piece(op, op->at);
		bool is_short;
		const size_t bytes =
			send_piece_bytes(sim, piece.iov_len, &is_short);
		const int result =
			sim_net_write(sim, conn, sim->files[op->file].side,
				      piece.iov_base, bytes);
		if (result == -EAGAIN && op->done > 0 && !send_waits_all(op))
			return (int)op->done;
		if (result == -EAGAIN && !is_impatient)
			return SIM_OP_WAITS;
		if (result < 0)
			return op->done > 0 ? (int)op->done : result;
		op->at += (uint32_t)result;
		op->done += (uint32_t)result;
		if (is_short)
			return (int)op->done;
	} while (op->at < op->all);
	return (int)op->done;
}

void sim_op_cache_iov(struct sim_ring *ring, uint32_t count)
{
	if (count > ring->iov_cached)
		ring->iov_cached = count;
}

int sim_op_send(struct weir_sim *sim, struct sim_op *op)
{
	if (sim->files[op->file].kind == SIM_DATAGRAMS)
		return sim_op_udp_send(sim, op);
	const int conn = sim_op_conn(sim, op);
	if (conn == -ENOTCONN)
		return -EPIPE; /* tcp_sendmsg() on an unconnected socket */
	if (conn < 0)
		return conn;
	sim_op_cache_iov(&sim->rings[op->ring], op->iov_count);
	for (;;) {
		if (send_selects(op) && !op->has_buffer) {
			int err = send_take(sim, op);
			op->due_flags = 0;
			if (err < 0)
				return err;
		}
		const bool was_armed = op->is_retried;
		const int result = send_write(sim, op, conn);
		sim_net_push(sim, conn);
		if (result == SIM_OP_WAITS)
			return result;
		op->due_flags = sim_op_buffer_flags(op);
		if (!send_is_bundle(op) || result <= 0 || op->is_last_buffer ||
		    was_armed ||
		    !sim_ring_post(sim, op->ring, op->sqe.user_data, result,
				   op->due_flags | IORING_CQE_F_MORE, true))
			return result;
		op->has_buffer = false;
		op->done = 0;
		op->want = 0; /* the size counts for the first round only */
	}
}

/* ---- notices ----------------------------------------------------------- */

static uint32_t notice_checksum(const struct sim_op *op)
{
	uint32_t sum = 1;
	for (uint32_t at = 0; at < op->done;) {
		const struct iovec piece = sim_op_piece(op, at);
		const uint8_t *bytes = piece.iov_base;
		for (size_t i = 0; i < piece.iov_len && at < op->done;
		     i++, at++)
			sum = sum * 31 + bytes[i];
		if (piece.iov_len == 0)
			break;
	}
	return sum;
}

void sim_op_send_notice(struct weir_sim *sim, const struct sim_op *op)
{
	struct sim_op *notice = sim_op_take(sim);
	if (notice == NULL) {
		weir_sim_violate(sim, "more operations in flight than the "
				      "simulation holds");
		return;
	}
	*notice = *op;
	notice->is_notice = true;
	notice->is_armed = false;
	notice->is_cancelled = false;
	notice->is_late = true;
	notice->file = SIM_NONE;
	notice->checksum = notice_checksum(notice);
}

void sim_op_notice_run(struct weir_sim *sim, struct sim_op *op)
{
	const bool reports =
		(op->sqe.ioprio & IORING_SEND_ZC_REPORT_USAGE) != 0;
	/* Loopback copies. A send of 0 bytes used no memory. */
	const bool is_copied =
		op->done == 0 || weir_tape_below(sim->tape, 2) == 0;

	if (notice_checksum(op) != op->checksum)
		weir_sim_violate(sim, "memory of a zero-copy send was changed "
				      "before its notice");
	weir_sim_note(sim, "notice of %016llx",
		      (unsigned long long)op->sqe.user_data);
	(void)sim_ring_post(
		sim, op->ring, op->sqe.user_data,
		reports && is_copied ? (int)IORING_NOTIF_USAGE_ZC_COPIED : 0,
		IORING_CQE_F_NOTIF, false);
	op->is_used = false;
}
