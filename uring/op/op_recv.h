/* op_recv.h - receiving
 *
 *     into the caller's buffer      recv: one result
 *     into a buffer of a group      ..._group: one result that names its buffer
 *     the same, again and again     ..._multishot: until F_MORE is missing
 *
 * Bundles are in extra/op_stream.h, messages in extra/op_datagram.h. The rules
 * below hold for them too.
 *
 * The kernel takes a group's buffer when data arrives. The group must have a
 * free buffer already when the receive is armed, unless weir_op_poll_first().
 *
 * Results of all: > 0 bytes; 0: end of stream, our own shutdown, or an empty
 * datagram (which ends a multishot too, so any peer can end one); -ENOBUFS: no
 * free buffer or no such group, but no data is lost; -ECONNRESET; -ECANCELED;
 * -EAGAIN with MSG_DONTWAIT; -EBADF, -ENOTSOCK. A buffer was used if and only
 * if IORING_CQE_F_BUFFER is set, whatever res is. If the CQ is full, the
 * completion ends the multishot: it arrives later and without F_MORE.
 * IORING_CQE_F_SOCK_NONEMPTY: there is more to read; it is also set at the end
 * of stream.
 */
#ifndef WEIR_URING_OP_RECV_H
#define WEIR_URING_OP_RECV_H

#include "op_sqe.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * weir_op_recv() - recv(2)
 * @bytes:     the kernel's until the CQE
 * @msg_flags: MSG_WAITALL: until @byte_count, the end or an error
 *
 * res: as above; with MSG_WAITALL fewer bytes at the end or if cancelled. Linux
 * 5.6.
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
 * weir_op_recv_now() - once, into a buffer of @group, without waiting
 *
 * res as weir_op_recv_multishot(), once and without IORING_CQE_F_MORE; -EAGAIN:
 * no data has arrived yet. IORING_CQE_F_SOCK_NONEMPTY in the flags: there is
 * more to read. Linux 5.7; the flag 5.19.
 */
static inline void weir_op_recv_now(struct io_uring_sqe *sqe, int32_t fd,
				    uint16_t group)
{
	weir_op_recv_group(sqe, fd, group, 0);
	sqe->msg_flags = MSG_DONTWAIT;
}

/**
 * weir_op_recv_multishot() - receive into buffers of @group until it ends
 *
 * res > 0: bytes, in the buffer that the flags name; 0: end of stream, no
 * buffer; -ENOBUFS: no free buffer, but no data is lost: arm it again when a
 * buffer has come back, not at once; -ECONNRESET. Without IORING_CQE_F_MORE it
 * has ended and must be armed again. One busy socket can take 33 buffers in a
 * pass. A datagram longer than the buffer is cut silently; only recvmsg reports
 * it. Linux 6.0.
 */
static inline void weir_op_recv_multishot(struct io_uring_sqe *sqe, int32_t fd,
					  uint16_t group)
{
	sqe->opcode = IORING_OP_RECV;
	sqe->fd = fd;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
}

#ifdef __cplusplus
}
#endif

#endif
