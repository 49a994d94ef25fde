/* op_socket.h - sockets: made, bound, accepted, connected, tuned, closed
 *
 * Where an operation makes a descriptor there are three forms: an ordinary
 * descriptor; a slot that the kernel picks (the next free one of the table or
 * of its allocation range, counted from the last that was taken or freed); the
 * slot that the caller names, whose former content is dropped. Slots are no
 * descriptors: they have no close-on-exec, and SOCK_CLOEXEC with one is
 * -EINVAL, refused here.
 */
#ifndef WEIR_URING_OP_SOCKET_H
#define WEIR_URING_OP_SOCKET_H

#include "op_sqe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Close-on-exec as the kernel's SOCK_CLOEXEC and O_CLOEXEC, which strict C11
 * leaves undeclared. Equal on every architecture but alpha, parisc, sparc. */
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

/* ---- socket, bind, listen ---------------------------------------------- */

/**
 * weir_op_socket() - socket(2)
 * @type: SOCK_STREAM, ...; SOCK_CLOEXEC and SOCK_NONBLOCK may be added. The
 *        operations here wait for themselves, whether it blocks or not
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
 * res: the slot; -ENFILE if the table is full, or if there is none.
 * Linux 5.19.
 */
static inline void weir_op_socket_slot(struct io_uring_sqe *sqe, int domain,
				       int type, int protocol)
{
	assert(((uint32_t)type & WI_OP_SOCK_CLOEXEC) == 0);
	weir_op_socket(sqe, domain, type, protocol);
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
}

/**
 * weir_op_socket_at_slot() - socket(2) into @slot
 *
 * res: 0; -EINVAL beyond the table, -ENXIO without one. Linux 5.19.
 */
static inline void weir_op_socket_at_slot(struct io_uring_sqe *sqe, int domain,
					  int type, int protocol, uint32_t slot)
{
	assert(((uint32_t)type & WI_OP_SOCK_CLOEXEC) == 0);
	weir_op_socket(sqe, domain, type, protocol);
	sqe->file_index = wi_op_file_index(slot);
}

/**
 * weir_op_bind() - bind(2)
 * @address: read at submission only
 *
 * res: 0; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -ENOTSOCK; -EINVAL if it is
 * bound already, and before Linux 6.11. A path of AF_UNIX runs on a kernel
 * worker thread.
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
 * 6.11. @backlog is capped by net.core.somaxconn without a word.
 */
static inline void weir_op_listen(struct io_uring_sqe *sqe, int32_t fd,
				  int backlog)
{
	sqe->opcode = IORING_OP_LISTEN;
	sqe->fd = fd;
	sqe->len = (uint32_t)backlog;
}

/* ---- accept ------------------------------------------------------------ */

/**
 * weir_op_accept() - accept4(2), one connection
 * @address:       the peer's, or NULL; the kernel's until the CQE
 * @address_bytes: in: its room, out: its size; or NULL; as @address
 * @socket_flags:  SOCK_CLOEXEC, SOCK_NONBLOCK
 *
 * res: the descriptor; IORING_CQE_F_SOCK_NONEMPTY (6.10): more are waiting.
 * -EMFILE: the limit, as it was at submission; the client stays in the backlog.
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
 * IORING_CQE_F_MORE is set; closing the listener does not end it: cancel, or
 * shut the listener down (-EINVAL). -EMFILE ends it and loses nothing: arm it
 * again when a descriptor was closed, or it spins. Peer addresses are not to
 * be had here: the completions would share one buffer. Linux 5.19.
 */
static inline void weir_op_accept_multishot(struct io_uring_sqe *sqe,
					    int32_t listener_fd,
					    uint32_t socket_flags)
{
	weir_op_accept(sqe, listener_fd, NULL, NULL, socket_flags);
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
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
 * weir_op_accept_at_slot() - one connection, into @slot
 *
 * res: 0; -EINVAL beyond the table, -ENXIO without one: then the client is
 * accepted and dropped. There is no multishot form. Linux 5.15.
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
 * Nothing could ever come of it together with weir_op_poll_first(). Linux 6.10,
 * -EINVAL before.
 */
static inline void weir_op_accept_dontwait(struct io_uring_sqe *sqe)
{
	assert(sqe->opcode == IORING_OP_ACCEPT);
	sqe->ioprio |= IORING_ACCEPT_DONTWAIT;
}

/* ---- connect, shutdown, close ------------------------------------------ */

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
 * Use the system call, unless all there is is a slot. It completes a receive
 * with 0, a send with what it has sent or -EPIPE, an accept with -EINVAL.
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
 * weir_op_close() - close(2)
 *
 * Operations in flight on it keep the socket open, and no FIN is sent: cancel
 * first, and close when their last CQE has been seen. A linger time above 0
 * blocks the ring's thread. The ring's own descriptor is refused.
 *
 * res: 0; -EBADF. Linux 5.6.
 */
static inline void weir_op_close(struct io_uring_sqe *sqe, int32_t fd)
{
	sqe->opcode = IORING_OP_CLOSE;
	sqe->fd = fd;
}

/**
 * weir_op_close_slot() - give a slot back
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
 * weir_op_install_slot() - a real descriptor for the socket in @slot
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

/** weir_op_install_slot_inherited() - the same, but it survives exec. 6.8. */
static inline void weir_op_install_slot_inherited(struct io_uring_sqe *sqe,
						  uint32_t slot)
{
	weir_op_install_slot(sqe, slot);
	sqe->install_fd_flags = IORING_FIXED_FD_NO_CLOEXEC;
}

/* ---- socket commands --------------------------------------------------- */

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
 * res: 0; -ENOPROTOOPT; -ENOTSOCK or -EOPNOTSUPP on what is no socket;
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

/**
 * weir_op_unread_bytes() - SIOCINQ: how much a receive would find
 *
 * res: bytes (a datagram socket: of the next one); -EINVAL on a listener.
 * Linux 6.6.
 */
static inline void weir_op_unread_bytes(struct io_uring_sqe *sqe, int32_t fd)
{
	wi_op_socket_command(sqe, fd, SOCKET_URING_OP_SIOCINQ);
}

/**
 * weir_op_unacked_bytes() - SIOCOUTQ: sent, and not acknowledged by the peer
 *
 * res: bytes; -EINVAL on a listener. Linux 6.6.
 */
static inline void weir_op_unacked_bytes(struct io_uring_sqe *sqe, int32_t fd)
{
	wi_op_socket_command(sqe, fd, SOCKET_URING_OP_SIOCOUTQ);
}

/**
 * weir_op_tx_timestamps() - the time stamps of what was sent, until it ends
 *
 * For a socket with SO_TIMESTAMPING. Multishot; each CQE is of 32 bytes with
 * the time in its second half, so the ring needs IORING_SETUP_CQE32 or
 * _CQE_MIXED: -EINVAL without. weir_ring_open() asks for neither. Linux 6.17.
 */
static inline void weir_op_tx_timestamps(struct io_uring_sqe *sqe, int32_t fd)
{
	wi_op_socket_command(sqe, fd, SOCKET_URING_OP_TX_TIMESTAMP);
}

#ifdef __cplusplus
}
#endif

#endif
