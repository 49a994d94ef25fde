/* op.h - one inline per operation, each filling one SQE
 *
 * They take an entry fresh from weir_ring_take_sqe() (all zero) and fill what
 * the operation needs. The caller then sets sqe->user_data, and
 * weir_op_on_slot() if `fd` is a slot of the table of direct descriptors.
 * Results are those of the CQE: `res`, with errors as negative errno.
 */
#ifndef WEIR_URING_OP_H
#define WEIR_URING_OP_H

#include "abi.h"

#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/** weir_op_on_slot() - sqe->fd names a direct descriptor, not a descriptor. */
static inline void weir_op_on_slot(struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_FIXED_FILE;
}

/** weir_op_nop() - res 0. Linux 5.1. */
static inline void weir_op_nop(struct io_uring_sqe *sqe)
{
	sqe->opcode = IORING_OP_NOP;
}

/**
 * weir_op_read() - read(2) at the file's own position
 * @bytes: the kernel's until the CQE
 *
 * res: bytes read, 0 at the end. Linux 5.6.
 */
static inline void weir_op_read(struct io_uring_sqe *sqe, int32_t fd,
				void *bytes, uint32_t byte_count)
{
	sqe->opcode = IORING_OP_READ;
	sqe->fd = fd;
	sqe->off = UINT64_MAX;
	sqe->addr = (uint64_t)(uintptr_t)bytes;
	sqe->len = byte_count;
}

/**
 * weir_op_accept_slot() - one connection, into a slot that the kernel picks
 *
 * res: the slot. -ENFILE: the table is full, and the kernel has accepted and
 * dropped the client: stop accepting before that. Linux 5.19.
 */
static inline void weir_op_accept_slot(struct io_uring_sqe *sqe,
				       int32_t listener_fd)
{
	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = listener_fd;
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
}

/**
 * weir_op_accept_slot_multishot() - every connection, until it ends
 *
 * One CQE per connection, as weir_op_accept_slot(). It goes on while
 * IORING_CQE_F_MORE is set; closing the listener does not end it, cancelling
 * does. Peer addresses are not to be had here: the completions would share
 * one buffer. Linux 5.19.
 */
static inline void weir_op_accept_slot_multishot(struct io_uring_sqe *sqe,
						 int32_t listener_fd)
{
	weir_op_accept_slot(sqe, listener_fd);
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
}

/**
 * weir_op_recv_multishot() - receive into buffers of @group until it ends
 * @poll_first: IORING_RECVSEND_POLL_FIRST: do not try before data is
 *              announced; also moves the check for a free buffer to then
 *
 * res > 0: bytes, in the buffer that the flags name; 0: end of stream, no
 * buffer; -ENOBUFS: none was free, nothing is lost; -ECONNRESET. Without
 * IORING_CQE_F_MORE it has ended and must be armed again. Linux 6.0.
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
 * weir_op_recv_now() - once, into a buffer of @group, what is there already
 *
 * res as weir_op_recv_multishot(), once and without IORING_CQE_F_MORE; -EAGAIN:
 * nothing has arrived, and it does not wait. IORING_CQE_F_SOCK_NONEMPTY in the
 * flags: there is more. Linux 5.7; the flag 5.19.
 */
static inline void weir_op_recv_now(struct io_uring_sqe *sqe, int32_t fd,
				    uint16_t group)
{
	sqe->opcode = IORING_OP_RECV;
	sqe->fd = fd;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
	sqe->msg_flags = MSG_DONTWAIT;
}

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
	sqe->addr = (uint64_t)(uintptr_t)bytes;
	sqe->len = byte_count;
	sqe->msg_flags = msg_flags;
}

/**
 * weir_op_sendmsg() - sendmsg(2), the gathered form of weir_op_send()
 * @message: it and its iovec are copied at submission (Linux 5.5); what the
 *           iovec points at is the kernel's until the CQE
 */
static inline void weir_op_sendmsg(struct io_uring_sqe *sqe, int32_t fd,
				   const struct msghdr *message,
				   uint32_t msg_flags)
{
	sqe->opcode = IORING_OP_SENDMSG;
	sqe->fd = fd;
	sqe->addr = (uint64_t)(uintptr_t)message;
	sqe->len = 1;
	sqe->msg_flags = msg_flags;
}

/**
 * weir_op_socket_slot() - socket(2) into a slot that the kernel picks
 *
 * res: the slot; -ENFILE if the table is full. Linux 5.19.
 */
static inline void weir_op_socket_slot(struct io_uring_sqe *sqe, int domain,
				       int type, int protocol)
{
	sqe->opcode = IORING_OP_SOCKET;
	sqe->fd = domain;
	sqe->off = (uint64_t)type;
	sqe->len = (uint32_t)protocol;
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
}

/**
 * weir_op_connect() - connect(2)
 * @address: read at submission only
 *
 * res: 0; -ECONNREFUSED, -ETIMEDOUT, ... Linux 5.5.
 */
static inline void weir_op_connect(struct io_uring_sqe *sqe, int32_t fd,
				   const struct sockaddr *address,
				   socklen_t address_bytes)
{
	sqe->opcode = IORING_OP_CONNECT;
	sqe->fd = fd;
	sqe->addr = (uint64_t)(uintptr_t)address;
	sqe->off = address_bytes;
}

/**
 * weir_op_setsockopt() - setsockopt(2) on a socket
 * @value: read at submission only
 *
 * res: 0; -EOPNOTSUPP before Linux 6.7.
 */
static inline void weir_op_setsockopt(struct io_uring_sqe *sqe, int32_t fd,
				      int level, int option, const void *value,
				      uint32_t value_bytes)
{
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = SOCKET_URING_OP_SETSOCKOPT;
	sqe->level = (uint32_t)level;
	sqe->optname = (uint32_t)option;
	sqe->optlen = value_bytes;
	sqe->optval = (uint64_t)(uintptr_t)value;
}

/**
 * weir_op_install_slot() - a real descriptor for the socket in @slot
 *
 * res: the descriptor, close-on-exec; -EMFILE. Linux 6.8.
 */
static inline void weir_op_install_slot(struct io_uring_sqe *sqe, uint32_t slot)
{
	sqe->opcode = IORING_OP_FIXED_FD_INSTALL;
	sqe->fd = (int32_t)slot;
	sqe->flags |= IOSQE_FIXED_FILE;
}

/**
 * weir_op_shutdown() - shutdown(2); always runs on a kernel worker thread
 *
 * res: 0; -ENOTCONN. Linux 5.11.
 */
static inline void weir_op_shutdown(struct io_uring_sqe *sqe, int32_t fd,
				    int how)
{
	sqe->opcode = IORING_OP_SHUTDOWN;
	sqe->fd = fd;
	sqe->len = (uint32_t)how;
}

/**
 * weir_op_close_slot() - give a slot back
 *
 * Operations in flight on it keep the socket open: cancel first, and close
 * when their last CQE has been seen. res: 0; -EBADF. Linux 5.15.
 */
static inline void weir_op_close_slot(struct io_uring_sqe *sqe, uint32_t slot)
{
	sqe->opcode = IORING_OP_CLOSE;
	sqe->file_index = slot + 1;
}

/**
 * weir_op_cancel_slot() - cancel every operation in flight on a slot
 *
 * res: how many were found, 0 included; each of them still gets its own last
 * CQE, and only that one ends the kernel's use of its memory. Linux 6.0.
 *
 * Not found does not mean ended: an operation that the kernel has queued for
 * a retry (IORING_SQ_TASKRUN; seen with a half-done send on 6.18) is missed,
 * and goes on. Cancel again until its last CQE has come.
 */
static inline void weir_op_cancel_slot(struct io_uring_sqe *sqe, uint32_t slot)
{
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = (int32_t)slot;
	sqe->cancel_flags = IORING_ASYNC_CANCEL_FD |
			    IORING_ASYNC_CANCEL_FD_FIXED |
			    IORING_ASYNC_CANCEL_ALL;
}

/**
 * weir_op_cancel_token() - cancel the one operation with this user_data
 *
 * res: 0; -ENOENT: not found, which does not mean ended (as above);
 * -EALREADY: too late, it ends by itself. Linux 5.5.
 */
static inline void weir_op_cancel_token(struct io_uring_sqe *sqe,
					uint64_t user_data)
{
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = user_data;
}

#ifdef __cplusplus
}
#endif

#endif
