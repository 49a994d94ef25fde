/* op_send.h - sending; vectors and groups are in extra/op_stream.h
 *
 * Rules for streams. Keep one send in flight: two unlinked ones interleave when
 * the socket's buffer is full. Always set MSG_WAITALL; if the result is short
 * all the same, the stream was cut in the middle: close it.
 *
 * Results of all: bytes taken. They may be fewer without MSG_WAITALL; with it
 * they are fewer if the send was cancelled, timed out, shut down or reset
 * half-way (then never -ECANCELED). -EPIPE, without a signal: MSG_NOSIGNAL is
 * implied; -ECONNRESET; -ENOTCONN, -EDESTADDRREQ; -EMSGSIZE for a datagram;
 * -EAGAIN with MSG_DONTWAIT; -ECANCELED if nothing was sent; -EINTR: the same
 * on a kernel worker thread, which the kernel may choose by itself (AF_UNIX
 * with a full buffer, seen on 6.18); -EBADF, -ENOTSOCK, -EFAULT.
 */
#ifndef WEIR_URING_OP_SEND_H
#define WEIR_URING_OP_SEND_H

#include "op_sqe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Most parts of a vector, UIO_MAXIOV: the kernel answers -EINVAL to more. */
#define WEIR_OP_PARTS_MAX 1024

/**
 * weir_op_send() - send(2)
 * @bytes:     the kernel's until the CQE
 * @msg_flags: MSG_WAITALL makes the kernel go on after a short write
 *
 * res: bytes taken, which may be fewer even with MSG_WAITALL (cancelled, shut
 * down, reset half-way). Keep one send per stream in flight. Linux 5.6.
 */
static inline void weir_op_send(struct io_uring_sqe *sqe, int32_t fd,
				const void *bytes, uint32_t byte_count,
				uint32_t msg_flags)
{
	sqe->opcode = IORING_OP_SEND;
	sqe->fd = fd;
	sqe->addr = wi_op_address(bytes);
	sqe->len = byte_count;
	sqe->msg_flags = msg_flags;
}

/**
 * weir_op_sendmsg() - sendmsg(2), the gathered form of weir_op_send()
 * @message: it and its iovec are copied at submission (Linux 5.5); what the
 *           iovec points at is the kernel's until the CQE
 *
 * More than WEIR_OP_PARTS_MAX parts are -EMSGSIZE. Linux 5.3.
 */
static inline void weir_op_sendmsg(struct io_uring_sqe *sqe, int32_t fd,
				   const struct msghdr *message,
				   uint32_t msg_flags)
{
	sqe->opcode = IORING_OP_SENDMSG;
	sqe->fd = fd;
	sqe->addr = wi_op_address(message);
	sqe->len = 1;
	sqe->msg_flags = msg_flags;
}

#ifdef __cplusplus
}
#endif

#endif
