/* op_accept.h - listening sockets: bind, listen, accept
 *
 * Accepting into a slot that the kernel picks is in op/op_socket.h.
 */
#ifndef WEIR_URING_EXTRA_OP_ACCEPT_H
#define WEIR_URING_EXTRA_OP_ACCEPT_H

#include "../op/op_socket.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * weir_op_bind() - bind(2)
 * @address: read at submission only
 *
 * res: 0; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -ENOTSOCK; -EINVAL if already
 * bound, and before Linux 6.11. With an AF_UNIX path it runs on a kernel worker
 * thread.
 */
static inline void weir_op_bind(struct io_uring_sqe *sqe, int32_t fd,
				const struct sockaddr *address,
				socklen_t address_bytes)
{
	sqe->opcode = IORING_OP_BIND;
	sqe->fd = fd;
	sqe->addr = wi_op_address(address);
	sqe->off = address_bytes;
}

/**
 * weir_op_listen() - listen(2)
 *
 * res: 0; -EADDRINUSE, -EOPNOTSUPP (datagram), -ENOTSOCK; -EINVAL before Linux
 * 6.11. The kernel silently caps @backlog at net.core.somaxconn.
 */
static inline void weir_op_listen(struct io_uring_sqe *sqe, int32_t fd,
				  int backlog)
{
	sqe->opcode = IORING_OP_LISTEN;
	sqe->fd = fd;
	sqe->len = (uint32_t)backlog;
}

/**
 * weir_op_accept() - accept4(2), one connection
 * @address:       receives the peer's, or NULL; the kernel's until the CQE
 * @address_bytes: in: room, out: size; or NULL; the kernel's until the CQE
 * @socket_flags:  SOCK_CLOEXEC, SOCK_NONBLOCK
 *
 * res: the descriptor; IORING_CQE_F_SOCK_NONEMPTY (6.10): more are waiting.
 * -EMFILE: the limit as it was at submission; the client stays in the backlog.
 * -EINVAL: not listening, or shut down meanwhile. -ENOTSOCK; -EOPNOTSUPP on a
 * datagram socket; -ECANCELED. Linux 5.5.
 */
static inline void weir_op_accept(struct io_uring_sqe *sqe, int32_t listener_fd,
				  struct sockaddr *address,
				  socklen_t *address_bytes,
				  uint32_t socket_flags)
{
	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = listener_fd;
	sqe->addr = wi_op_address(address);
	sqe->addr2 = wi_op_address(address_bytes);
	sqe->accept_flags = socket_flags;
}

/**
 * weir_op_accept_multishot() - every connection, until it ends
 *
 * One CQE per connection, as weir_op_accept(). It goes on while
 * IORING_CQE_F_MORE is set. To end it, cancel it or shut the listener down
 * (-EINVAL); closing the listener is not enough. -EMFILE ends it and loses no
 * client: arm it again after a descriptor was closed, or it spins. It has no
 * peer addresses: the completions would share one buffer. Linux 5.19.
 */
static inline void weir_op_accept_multishot(struct io_uring_sqe *sqe,
					    int32_t listener_fd,
					    uint32_t socket_flags)
{
	weir_op_accept(sqe, listener_fd, NULL, NULL, socket_flags);
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
}

/**
 * weir_op_accept_at_slot() - one connection, into @slot
 *
 * res: 0; -EINVAL beyond the table, -ENXIO without one: the kernel then accepts
 * and drops the client. There is no multishot form. Linux 5.15.
 */
static inline void weir_op_accept_at_slot(struct io_uring_sqe *sqe,
					  int32_t listener_fd, uint32_t slot)
{
	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = listener_fd;
	sqe->file_index = wi_op_file_index(slot);
}

/**
 * weir_op_accept_dontwait() - -EAGAIN instead of waiting for a connection
 *
 * Together with weir_op_poll_first() it would never accept. Linux 6.10, -EINVAL
 * before.
 */
static inline void weir_op_accept_dontwait(struct io_uring_sqe *sqe)
{
	assert(sqe->opcode == IORING_OP_ACCEPT);
	sqe->ioprio |= IORING_ACCEPT_DONTWAIT;
}

#ifdef __cplusplus
}
#endif

#endif
