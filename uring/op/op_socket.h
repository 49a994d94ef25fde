/* op_socket.h - sockets in slots: open, accept, connect, set options, close
 *
 * A slot of the table of direct descriptors is not a descriptor: it has no
 * close-on-exec flag, and SOCK_CLOEXEC with a slot is -EINVAL, refused here.
 * The kernel picks the slot: the next free one of the table or of its
 * allocation range, after the last that was taken or freed. Ordinary
 * descriptors, and slots that the caller names, are in extra/op_socket.h and
 * extra/op_accept.h.
 */
#ifndef WEIR_URING_OP_SOCKET_H
#define WEIR_URING_OP_SOCKET_H

#include "op_sqe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The kernel's SOCK_CLOEXEC and O_CLOEXEC, which strict C11 does not declare.
 * The two are equal on all architectures but alpha, parisc and sparc. */
#ifdef SOCK_CLOEXEC
#define WI_OP_SOCK_CLOEXEC ((uint32_t)SOCK_CLOEXEC)
#else
#define WI_OP_SOCK_CLOEXEC 02000000u
#endif

/* sqe->file_index of a slot. */
static inline uint32_t wi_op_file_index(uint32_t slot)
{
	assert(slot < IORING_FILE_INDEX_ALLOC - 1);
	return slot + 1;
}

/**
 * weir_op_socket() - socket(2)
 * @type: SOCK_STREAM, ...; SOCK_CLOEXEC and SOCK_NONBLOCK may be added. The
 *        operations here wait for readiness, with SOCK_NONBLOCK or without
 *
 * res: the descriptor; -EAFNOSUPPORT, -EPROTONOSUPPORT, -EMFILE. Linux 5.19.
 */
static inline void weir_op_socket(struct io_uring_sqe *sqe, int domain,
				  int type, int protocol)
{
	sqe->opcode = IORING_OP_SOCKET;
	sqe->fd = domain;
	sqe->off = (uint64_t)(uint32_t)type;
	sqe->len = (uint32_t)protocol;
}

/**
 * weir_op_socket_slot() - socket(2) into a slot that the kernel picks
 *
 * res: the slot; -ENFILE if the table is full or missing. Linux 5.19.
 */
static inline void weir_op_socket_slot(struct io_uring_sqe *sqe, int domain,
				       int type, int protocol)
{
	assert(((uint32_t)type & WI_OP_SOCK_CLOEXEC) == 0);
	weir_op_socket(sqe, domain, type, protocol);
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
}

/**
 * weir_op_accept_slot() - one connection, into a slot that the kernel picks
 *
 * res: the slot. -ENFILE: the table is full, and the kernel has accepted and
 * dropped the client; stop accepting before that. Linux 5.19.
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
 * IORING_CQE_F_MORE is set. To end it, cancel it; closing the listener is not
 * enough. It has no peer addresses: the completions would share one buffer.
 * Linux 5.19.
 */
static inline void weir_op_accept_slot_multishot(struct io_uring_sqe *sqe,
						 int32_t listener_fd)
{
	weir_op_accept_slot(sqe, listener_fd);
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
}

/**
 * weir_op_connect() - connect(2)
 * @address: read at submission only
 *
 * res: 0; -ECONNREFUSED, -ETIMEDOUT, -EISCONN, -ENOTSOCK, ... Linux 5.5.
 */
static inline void weir_op_connect(struct io_uring_sqe *sqe, int32_t fd,
				   const struct sockaddr *address,
				   socklen_t address_bytes)
{
	sqe->opcode = IORING_OP_CONNECT;
	sqe->fd = fd;
	sqe->addr = wi_op_address(address);
	sqe->off = address_bytes;
}

/**
 * weir_op_shutdown() - shutdown(2); always runs on a kernel worker thread
 *
 * Prefer the system call, unless the socket has only a slot. Shutdown completes
 * a receive with 0, a send with its bytes so far or -EPIPE, an accept with
 * -EINVAL.
 *
 * res: 0; -ENOTCONN, -ENOTSOCK. Linux 5.11.
 */
static inline void weir_op_shutdown(struct io_uring_sqe *sqe, int32_t fd,
				    int how)
{
	sqe->opcode = IORING_OP_SHUTDOWN;
	sqe->fd = fd;
	sqe->len = (uint32_t)how;
}

/**
 * weir_op_close_slot() - close a slot
 *
 * As weir_op_close(). res: 0; -EBADF if it is empty, -EINVAL beyond the table,
 * -ENXIO without one. Linux 5.15.
 */
static inline void weir_op_close_slot(struct io_uring_sqe *sqe, uint32_t slot)
{
	sqe->opcode = IORING_OP_CLOSE;
	sqe->file_index = wi_op_file_index(slot);
}

/**
 * weir_op_install_slot() - an ordinary descriptor for the socket in @slot
 *
 * Both then hold the socket. res: the descriptor, close-on-exec; -EBADF for an
 * empty slot; -EMFILE. Linux 6.8, -EINVAL before.
 */
static inline void weir_op_install_slot(struct io_uring_sqe *sqe, uint32_t slot)
{
	sqe->opcode = IORING_OP_FIXED_FD_INSTALL;
	sqe->fd = (int32_t)slot;
	sqe->flags |= IOSQE_FIXED_FILE;
}

/* ---- socket commands ----------------------------------------------------- */

static inline void wi_op_socket_command(struct io_uring_sqe *sqe, int32_t fd,
					uint32_t command)
{
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = command;
}

/**
 * weir_op_setsockopt() - setsockopt(2) on a socket, any level
 * @value: read at submission only
 *
 * res: 0; -ENOPROTOOPT; -ENOTSOCK or -EOPNOTSUPP if it is not a socket;
 * -EOPNOTSUPP before Linux 6.7.
 */
static inline void weir_op_setsockopt(struct io_uring_sqe *sqe, int32_t fd,
				      int level, int option, const void *value,
				      uint32_t value_bytes)
{
	wi_op_socket_command(sqe, fd, SOCKET_URING_OP_SETSOCKOPT);
	sqe->level = (uint32_t)level;
	sqe->optname = (uint32_t)option;
	sqe->optlen = value_bytes;
	sqe->optval = wi_op_address(value);
}

/**
 * weir_op_getsockopt() - getsockopt(2) on a socket, level SOL_SOCKET only
 * @out_value: the kernel's until the CQE
 *
 * Any other level would be -EOPNOTSUPP: refused here. res: bytes written;
 * -ENOPROTOOPT; -EOPNOTSUPP before Linux 6.7.
 */
static inline void weir_op_getsockopt(struct io_uring_sqe *sqe, int32_t fd,
				      int level, int option, void *out_value,
				      uint32_t value_bytes)
{
	assert(level == SOL_SOCKET);
	wi_op_socket_command(sqe, fd, SOCKET_URING_OP_GETSOCKOPT);
	sqe->level = (uint32_t)level;
	sqe->optname = (uint32_t)option;
	sqe->optlen = value_bytes;
	sqe->optval = wi_op_address(out_value);
}

#ifdef __cplusplus
}
#endif

#endif
