/* op_send.h - sending
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

#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

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
 * weir_op_to() - where a send goes: what makes it sendto(2)
 * @address: read at submission only
 *
 * For SEND (Linux 6.1) and SEND_ZC (6.0) of datagrams; a message has its own
 * msg_name.
 */
static inline void weir_op_to(struct io_uring_sqe *sqe,
			      const struct sockaddr *address,
			      socklen_t address_bytes)
{
	assert(sqe->opcode == IORING_OP_SEND ||
	       sqe->opcode == IORING_OP_SEND_ZC);
	assert(address_bytes <= UINT16_MAX);
	sqe->addr2 = wi_op_address(address);
	sqe->addr_len = (uint16_t)address_bytes;
}

/** weir_op_sendto() - sendto(2), see weir_op_to(). Linux 6.1. */
static inline void weir_op_sendto(struct io_uring_sqe *sqe, int32_t fd,
				  const void *bytes, uint32_t byte_count,
				  uint32_t msg_flags,
				  const struct sockaddr *address,
				  socklen_t address_bytes)
{
	weir_op_send(sqe, fd, bytes, byte_count, msg_flags);
	weir_op_to(sqe, address, address_bytes);
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

/**
 * weir_op_sendv() - the gathered form without a message
 * @parts:      copied at submission; what they point at is the kernel's until
 *              the CQE
 * @part_count: at most WEIR_OP_PARTS_MAX (-EINVAL: refused here)
 *
 * Linux 6.17, -EINVAL before.
 */
static inline void weir_op_sendv(struct io_uring_sqe *sqe, int32_t fd,
				 const struct iovec *parts, uint32_t part_count,
				 uint32_t msg_flags)
{
	assert(part_count <= WEIR_OP_PARTS_MAX);
	weir_op_send(sqe, fd, parts, part_count, msg_flags);
	sqe->ioprio = IORING_SEND_VECTORIZED;
}

/**
 * weir_op_send_group() - the next buffer of @group, in the order it was lent
 * @byte_count: at most that many; 0: the whole buffer
 *
 * The buffer is used up even by a short send; it is the kernel's until the
 * CQE, which names it. -ENOBUFS: the group is empty; -ENOENT: there is none.
 * Linux 6.10, -EOPNOTSUPP before.
 */
static inline void weir_op_send_group(struct io_uring_sqe *sqe, int32_t fd,
				      uint16_t group, uint32_t byte_count,
				      uint32_t msg_flags)
{
	weir_op_send(sqe, fd, NULL, byte_count, msg_flags);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
}

/**
 * weir_op_send_bundle() - all that was lent to @group, in one go
 *
 * MSG_WAITALL is implied. The CQE names the first buffer, the others follow in
 * ring order; buffers are committed when they are picked, so none may be
 * touched before the CQE. With F_MORE, more buffers had come and are on their
 * way. There is no length here: 6.18 applies one to the first gathering only,
 * drops the rest of that buffer, and then sends all other buffers. There is no
 * bundle of messages (-EINVAL). An unknown group is -ENOENT. Linux 6.10.
 */
static inline void weir_op_send_bundle(struct io_uring_sqe *sqe, int32_t fd,
				       uint16_t group)
{
	weir_op_send_group(sqe, fd, group, 0, 0);
	sqe->ioprio = IORING_RECVSEND_BUNDLE;
}

/* ---- zero copy -----------------------------------------------------------
 *
 *     CQE 1: res, F_MORE     the result; memory still the kernel's
 *     CQE 2: F_NOTIF         the memory is ours again
 *
 * Only F_MORE of the first one says whether the second will come: failures too
 * have both. The notice waits for the peer's acknowledgement: never wait for it
 * before the next send. Pays from 8 to 32 KiB, on real cards; loopback copies.
 * Memory that is not registered is charged to RLIMIT_MEMLOCK meanwhile
 * (-ENOMEM). AF_UNIX is -EOPNOTSUPP. weir_op_skip_success() is refused.
 */

/**
 * weir_op_send_zc() - send(2) without a copy
 * @bytes: the kernel's until the last CQE, notice included
 *
 * Linux 6.0.
 */
static inline void weir_op_send_zc(struct io_uring_sqe *sqe, int32_t fd,
				   const void *bytes, uint32_t byte_count,
				   uint32_t msg_flags)
{
	weir_op_send(sqe, fd, bytes, byte_count, msg_flags);
	sqe->opcode = IORING_OP_SEND_ZC;
}

/**
 * weir_op_sendmsg_zc() - sendmsg(2) without a copy
 * @message: as weir_op_sendmsg(), but what the iovec points at is the kernel's
 *           until the last CQE, notice included
 *
 * Linux 6.1.
 */
static inline void weir_op_sendmsg_zc(struct io_uring_sqe *sqe, int32_t fd,
				      const struct msghdr *message,
				      uint32_t msg_flags)
{
	weir_op_sendmsg(sqe, fd, message, msg_flags);
	sqe->opcode = IORING_OP_SENDMSG_ZC;
}

/** weir_op_sendv_zc() - weir_op_sendv() without a copy. Linux 6.17. */
static inline void weir_op_sendv_zc(struct io_uring_sqe *sqe, int32_t fd,
				    const struct iovec *parts,
				    uint32_t part_count, uint32_t msg_flags)
{
	weir_op_sendv(sqe, fd, parts, part_count, msg_flags);
	sqe->opcode = IORING_OP_SEND_ZC;
}

/**
 * weir_op_fixed_buffer() - what is sent lies in registered buffer @buf_index
 *
 * Saves pinning and the memlock charge. For SEND_ZC (6.0) and SENDMSG_ZC
 * (6.15); plain sends, receives and vectors would be -EINVAL: refused here.
 * Memory outside the buffer, or no such buffer, is -EFAULT.
 */
static inline void weir_op_fixed_buffer(struct io_uring_sqe *sqe,
					uint16_t buf_index)
{
	assert(wi_op_is_zero_copy_send(sqe));
	assert((sqe->ioprio & IORING_SEND_VECTORIZED) == 0);
	sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
	sqe->buf_index = buf_index;
}

/**
 * weir_op_report_usage() - the notice says whether it was copied after all
 *
 * Its res is then IORING_NOTIF_USAGE_ZC_COPIED, or 0. Linux 6.2.
 */
static inline void weir_op_report_usage(struct io_uring_sqe *sqe)
{
	assert(wi_op_is_zero_copy_send(sqe));
	sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE;
}

#ifdef __cplusplus
}
#endif

#endif
