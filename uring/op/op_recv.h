/* op_recv.h - receiving
 *
 *     into the caller's buffer      recv, recvmsg: one result
 *     into a buffer of a group      ..._group: one result, names its buffer
 *     the same, again and again     ..._multishot: until F_MORE is missing
 *     over several buffers at once  ..._bundle: the first buffer is named, the
 *                                   others follow in the order of the ring
 *
 * A group's buffer is taken when there is data; the group must have one free
 * already when the receive is armed, unless weir_op_poll_first().
 *
 * Results of all: > 0 bytes; 0: end of stream, or our own shutdown, or a
 * datagram of no bytes (which ends a multishot too, so any peer can do that);
 * -ENOBUFS: no buffer was free, or there is no such group; nothing is lost;
 * -ECONNRESET; -ECANCELED; -EAGAIN with MSG_DONTWAIT; -EBADF, -ENOTSOCK.
 * A buffer was used if and only if IORING_CQE_F_BUFFER is set, whatever res.
 * A completion that found the CQ full ends a multishot: it arrives late and
 * without F_MORE. IORING_CQE_F_SOCK_NONEMPTY: there is more to read; it is set
 * at the end of stream too.
 */
#ifndef WEIR_URING_OP_RECV_H
#define WEIR_URING_OP_RECV_H

#include "op_sqe.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * weir_op_recv() - recv(2)
 * @bytes:     the kernel's until the CQE
 * @msg_flags: MSG_WAITALL: until @byte_count, the end or an error
 *
 * res: as above; fewer bytes with MSG_WAITALL at the end or when cancelled.
 * Linux 5.6.
 */
static inline void weir_op_recv(struct io_uring_sqe *sqe, int32_t fd,
				void *bytes, uint32_t byte_count,
				uint32_t msg_flags)
{
	sqe->opcode = IORING_OP_RECV;
	sqe->fd = fd;
	sqe->addr = wi_op_address(bytes);
	sqe->len = byte_count;
	sqe->msg_flags = msg_flags;
}

/**
 * weir_op_recv_group() - once, into a buffer of @group
 * @byte_count: at most that many; 0: what the buffer holds
 *
 * Linux 5.7.
 */
static inline void weir_op_recv_group(struct io_uring_sqe *sqe, int32_t fd,
				      uint16_t group, uint32_t byte_count)
{
	weir_op_recv(sqe, fd, NULL, byte_count, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
}

/**
 * weir_op_recv_now() - once, into a buffer of @group, what is there already
 *
 * res as weir_op_recv_multishot(), once and without IORING_CQE_F_MORE; -EAGAIN:
 * nothing has arrived, and it does not wait. IORING_CQE_F_SOCK_NONEMPTY in the
 * flags: there is more. Linux 5.7; the flag 5.19.
 */
static inline void weir_op_recv_now(struct io_uring_sqe *sqe, int32_t fd,
				    uint16_t group)
{
	weir_op_recv_group(sqe, fd, group, 0);
	sqe->msg_flags = MSG_DONTWAIT;
}

/**
 * weir_op_recv_multishot() - receive into buffers of @group until it ends
 * @poll_first: IORING_RECVSEND_POLL_FIRST: do not try before data is
 *              announced; also moves the check for a free buffer to then
 *
 * res > 0: bytes, in the buffer that the flags name; 0: end of stream, no
 * buffer; -ENOBUFS: none was free, nothing is lost: arm it again when one has
 * come back, not at once; -ECONNRESET. Without IORING_CQE_F_MORE it has ended
 * and must be armed again. One busy socket can take 33 buffers in a turn.
 * A datagram longer than the buffer is cut without a word: recvmsg tells.
 * Linux 6.0.
 */
static inline void weir_op_recv_multishot(struct io_uring_sqe *sqe, int32_t fd,
					  uint16_t group, int poll_first)
{
	sqe->opcode = IORING_OP_RECV;
	sqe->fd = fd;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	if (poll_first)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
}

/**
 * weir_op_recv_multishot_capped() - the same within limits
 * @each_bytes:  most per completion; 0: what the buffer holds
 * @total_bytes: ends (no F_MORE) once so much was received; 0: never. It is
 *               looked at after each completion: the last one may go beyond
 *
 * Linux 6.17, -EINVAL before.
 */
static inline void weir_op_recv_multishot_capped(struct io_uring_sqe *sqe,
						 int32_t fd, uint16_t group,
						 uint32_t each_bytes,
						 uint32_t total_bytes)
{
	weir_op_recv_multishot(sqe, fd, group, 0);
	sqe->len = each_bytes;
	sqe->optlen = total_bytes;
}

/**
 * weir_op_recv_bundle() - once, over as many buffers of @group as it takes
 *
 * res: bytes in all. As many buffers as the bytes that wait can fill, at least
 * one: a rest stays in the socket, with IORING_CQE_F_SOCK_NONEMPTY. The flags
 * name the first buffer; the others are those that follow it in the order in
 * which they were lent, which need not be that of their ids. Each is full but
 * the last one, which is used up all the same. An unknown group is -ENOENT
 * where other receives say -ENOBUFS. Linux 6.10, -EINVAL before.
 *
 * Never on a worker thread of the kernel: that is with weir_op_async(), in a
 * chain that the same enter does not end, behind one of these in a chain, or
 * while a weir_op_drain() waits. There it has its first buffer from the start
 * and takes the others when data comes; what other receives took in between is
 * left out, and no completion says so (seen on 6.18).
 */
static inline void weir_op_recv_bundle(struct io_uring_sqe *sqe, int32_t fd,
				       uint16_t group)
{
	weir_op_recv_group(sqe, fd, group, 0);
	sqe->ioprio = IORING_RECVSEND_BUNDLE;
}

/**
 * weir_op_recv_bundle_multishot() - the same until it ends
 *
 * The completion that used the last buffer has no F_MORE; no -ENOBUFS follows.
 * Linux 6.10.
 */
static inline void weir_op_recv_bundle_multishot(struct io_uring_sqe *sqe,
						 int32_t fd, uint16_t group)
{
	weir_op_recv_bundle(sqe, fd, group);
	sqe->ioprio |= IORING_RECV_MULTISHOT;
}

/* ---- recvmsg ----------------------------------------------------------- */

/**
 * weir_op_recvmsg() - recvmsg(2)
 * @message: it, its vector, name and control area, and the payload are the
 *           kernel's until the CQE: results are written back into it
 *
 * res: bytes; message->msg_flags has MSG_TRUNC and MSG_CTRUNC. Linux 5.3.
 */
static inline void weir_op_recvmsg(struct io_uring_sqe *sqe, int32_t fd,
				   struct msghdr *message, uint32_t msg_flags)
{
	sqe->opcode = IORING_OP_RECVMSG;
	sqe->fd = fd;
	sqe->addr = wi_op_address(message);
	sqe->len = 1;
	sqe->msg_flags = msg_flags;
}

/**
 * weir_op_recvmsg_multishot() - messages into buffers of @group until it ends
 * @message: msg_namelen and msg_controllen say how much room each buffer
 *           reserves for them. No parts: a single one's length caps what is
 *           used of each buffer, header and areas included. Read at submission
 *           only, but weir_recvmsg_read() wants it too
 *
 * res: bytes of the buffer used: header, both areas in full, payload. See
 * weir_recvmsg_read(). A buffer with no room for header and areas is -EFAULT
 * and the end of it. A datagram of no bytes ends it as well, with a header.
 * Linux 6.0.
 */
static inline void weir_op_recvmsg_multishot(struct io_uring_sqe *sqe,
					     int32_t fd, struct msghdr *message,
					     uint16_t group)
{
	assert(message->msg_iovlen <= 1); /* -EINVAL */
	weir_op_recvmsg(sqe, fd, message, 0);
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
}

/**
 * struct weir_recvmsg - one message as it lies in a buffer, all borrowed
 * @name_bytes, @control_bytes: of these, what is there: at most the area
 * @msg_flags:   MSG_TRUNC: the datagram was longer; MSG_CTRUNC: the control
 *               data was
 * @name_is_cut: the address was longer than the area
 */
struct weir_recvmsg {
	const uint8_t *name;
	const uint8_t *control;
	const uint8_t *payload;
	uint32_t name_bytes;
	uint32_t control_bytes;
	uint32_t payload_bytes;
	uint32_t msg_flags;
	bool name_is_cut;
};

/**
 * weir_recvmsg_read() - take a buffer of weir_op_recvmsg_multishot() apart
 * @buffer, @byte_count: the buffer that the completion names, and its res
 * @message:             the one it was armed with
 *
 * Control messages are aligned if the name's room is a multiple of 8: ask for
 * 16 or 32.
 *
 * Return: true; false if @byte_count does not even hold header and areas.
 */
static inline bool weir_recvmsg_read(const uint8_t *buffer, uint32_t byte_count,
				     const struct msghdr *message,
				     struct weir_recvmsg *out)
{
	struct io_uring_recvmsg_out header;
	const uint64_t fixed_bytes =
		(uint64_t)sizeof(header) + message->msg_namelen;
	/* Their sum with the control area could be past 64 bits. */
	if (byte_count < fixed_bytes ||
	    message->msg_controllen > byte_count - fixed_bytes)
		return false;
	memcpy(&header, buffer, sizeof(header));
	out->name = buffer + sizeof(header);
	out->control = out->name + message->msg_namelen;
	out->payload = out->control + message->msg_controllen;
	out->name_is_cut = header.namelen > message->msg_namelen;
	out->name_bytes = out->name_is_cut ? (uint32_t)message->msg_namelen
					   : header.namelen;
	out->control_bytes = header.controllen > message->msg_controllen
				     ? (uint32_t)message->msg_controllen
				     : header.controllen;
	out->payload_bytes =
		(uint32_t)(byte_count - fixed_bytes - message->msg_controllen);
	out->msg_flags = header.flags;
	return true;
}

/* ---- zero copy --------------------------------------------------------- */

/**
 * weir_op_recv_zc() - data left where the network card has put it
 * @queue_id:    of IORING_REGISTER_ZCRX_IFQ
 * @total_bytes: ends after so much; 0: never
 *
 * Always multishot; CQEs of 32 bytes, whose second half says where in the area
 * the bytes lie. Needs a card with header split and a queue of its own,
 * CAP_NET_ADMIN, DEFER_TASKRUN and CQE32 or CQE_MIXED, of which
 * weir_ring_open() asks for neither. Linux 6.15.
 */
static inline void weir_op_recv_zc(struct io_uring_sqe *sqe, int32_t fd,
				   uint32_t queue_id, uint32_t total_bytes)
{
	sqe->opcode = IORING_OP_RECV_ZC;
	sqe->fd = fd;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->len = total_bytes;
	sqe->zcrx_ifq_idx = queue_id;
}

#ifdef __cplusplus
}
#endif

#endif
