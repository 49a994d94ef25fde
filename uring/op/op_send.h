/* op_send.h - sending; vectors and groups are in extra/op_stream.h
 *
 * Rules for streams: one send in flight (two unlinked ones interleave when the
 * socket's buffer is full); always MSG_WAITALL, and a short result all the same
 * means that the stream was cut in the middle: close it.
 *
 * Results of all: bytes taken, which without MSG_WAITALL may be fewer, and with
 * it are fewer when it was cancelled, timed out, shut down or reset half-way
 * (never -ECANCELED then). -EPIPE, without a signal: MSG_NOSIGNAL is implied;
 * -ECONNRESET; -ENOTCONN, -EDESTADDRREQ; -EMSGSIZE for a datagram; -EAGAIN with
 * MSG_DONTWAIT; -ECANCELED if nothing was sent; -EINTR: the same on a worker
 * thread of the kernel, where one may end up unasked (AF_UNIX with a full
 * buffer, seen on 6.18); -EBADF, -ENOTSOCK, -EFAULT.
 */
#ifndef WEIR_URING_OP_SEND_H
#define WEIR_URING_OP_SEND_H

#include "op_sqe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Parts of a vector, UIO_MAXIOV: the kernel answers -EINVAL to more. */
#define WEIR_OP_PARTS_MAX 1024

/**
 * weir_op_send() - send(2)
 * @bytes:     the kernel's until the CQE
 * @msg_flags: MSG_WAITALL makes the kernel go on after a short write
 *
 * res: bytes taken, which may be fewer even with MSG_WAITALL (cancelled, shut
 * down, reset half-way). Two unlinked sends on one stream interleave: keep one
 * in flight. MSG_NOSIGNAL is implied. Linux 5.6.
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
