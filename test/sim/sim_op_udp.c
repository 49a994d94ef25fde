/* sim_op_udp.c - operations on datagram sockets
 *
 * A buffer of a multishot recvmsg holds a header, a name area, a control area
 * and the payload. The areas have the requested sizes; the header says how much
 * of them is used.
 */
#include "sim_op_priv.h"

#include <errno.h>
#include <netinet/in.h>

static uint16_t port_of(uint64_t address)
{
	struct sockaddr_in in; /* port: the same in both */
	if (address == 0)
		return 0;
	wi_soft_copy(&in, (const void *)(uintptr_t)address, sizeof(in));
	return ntohs(in.sin_port);
}

static bool udp_has_header(const struct sim_op *op)
{
	return op->sqe.opcode == IORING_OP_RECVMSG;
}

static bool udp_is_multishot(const struct sim_op *op)
{
	return (op->sqe.ioprio & IORING_RECV_MULTISHOT) != 0;
}

int sim_op_udp_bind(struct weir_sim *sim, struct sim_op *op)
{
	if (sim->files[op->file].kind != SIM_DATAGRAMS)
		return -EINVAL; /* listeners are made by listen() of the seam */
	return sim_udp_bind(sim, op->file, port_of(op->sqe.addr));
}

int sim_op_udp_connect(struct weir_sim *sim, struct sim_op *op)
{
	sim_udp_connect(sim, op->file, port_of(op->sqe.addr));
	return 0;
}

int sim_op_udp_send(struct weir_sim *sim, struct sim_op *op)
{
	uint64_t address = op->sqe.addr2;
	if (op->sqe.opcode == IORING_OP_SENDMSG ||
	    op->sqe.opcode == IORING_OP_SENDMSG_ZC)
		address = (uint64_t)(uintptr_t)op->message.msg_name;
	const int result = sim_udp_send(sim, op->file, port_of(address),
					op->iov, op->iov_count);
	if (result > 0)
		op->done = (uint32_t)result;
	return result;
}

static socklen_t name_write(void *memory, socklen_t room, uint16_t port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if (memory != NULL)
		wi_soft_copy(memory, &in,
			     room < sizeof(in) ? room : sizeof(in));
	return sizeof(in);
}

/* Into one buffer of the group, with the header in front. */
static int udp_recv_framed(struct weir_sim *sim, struct sim_op *op,
			   struct sim_udp_info *info)
{
	const uint32_t name_bytes = op->message.msg_namelen;
	const uint32_t control_bytes = (uint32_t)op->message.msg_controllen;
	const uint32_t front = (uint32_t)sizeof(struct io_uring_recvmsg_out) +
			       name_bytes + control_bytes;
	uint8_t *memory = op->iov[0].iov_base;

	if (op->iov[0].iov_len < front)
		return -EFAULT;
	const struct iovec payload = {
		.iov_base = memory + front,
		.iov_len = op->iov[0].iov_len - front,
	};
	const int result = sim_udp_recv(sim, op->file, &payload, 1, info);
	if (result < 0)
		return result;
	struct io_uring_recvmsg_out out = {
		.payloadlen = (uint32_t)result,
		.flags = info->is_cut ? MSG_TRUNC : 0,
	};
	out.namelen =
		name_write(memory + sizeof(out), name_bytes, info->from_port);
	wi_soft_copy(memory, &out, sizeof(out));
	info->is_empty = result == 0;
	return (int)front + result;
}

/* A msghdr of the program, written at completion. */
static void udp_fill_header(const struct sim_op *op,
			    const struct sim_udp_info *info)
{
	struct msghdr *message = (void *)(uintptr_t)op->sqe.addr;
	message->msg_namelen = name_write(
		message->msg_name, message->msg_namelen, info->from_port);
	message->msg_flags = info->is_cut ? MSG_TRUNC : 0;
	message->msg_controllen = 0;
}

static int udp_recv_once(struct weir_sim *sim, struct sim_op *op,
			 struct sim_udp_info *info)
{
	*info = (struct sim_udp_info){ .from_port = 0 };
	if ((op->sqe.flags & IOSQE_BUFFER_SELECT) != 0) {
		int err = sim_op_recv_take(sim, op);
		if (err < 0)
			return err;
	}
	if (udp_has_header(op) && udp_is_multishot(op))
		return udp_recv_framed(sim, op, info);
	const int result =
		sim_udp_recv(sim, op->file, op->iov, op->iov_count, info);
	if (result >= 0 && udp_has_header(op))
		udp_fill_header(op, info);
	info->is_empty = result == 0;
	return result;
}

int sim_op_udp_recv(struct weir_sim *sim, struct sim_op *op)
{
	const uint32_t want = op->want;
	for (;;) {
		struct sim_udp_info info;
		const int result = udp_recv_once(sim, op, &info);
		if (result == -EAGAIN &&
		    (op->sqe.msg_flags & MSG_DONTWAIT) == 0)
			return SIM_OP_WAITS;
		if (result > 0)
			sim_op_recv_commit(sim, op, (uint32_t)result);
		op->due_flags = sim_op_buffer_flags(op);
		/* An empty datagram ends a multishot: io-uring-facts 2.4. */
		if (!udp_is_multishot(op) || result <= 0 || info.is_empty ||
		    sim_fault(sim, WEIR_FAULT_TERMINATE) ||
		    !sim_ring_post(sim, op->ring, op->sqe.user_data, result,
				   op->due_flags | IORING_CQE_F_MORE, true))
			return result;
		/* A datagram has no hint of more: it tries again. */
		op->has_buffer = false;
		op->want = want;
		op->due_flags = 0;
	}
}
