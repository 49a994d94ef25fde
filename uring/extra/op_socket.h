/* op_socket.h - further calls on sockets: named slots, descriptors, queries
 *
 * A slot that the caller names loses its previous file.
 */
#ifndef WEIR_URING_EXTRA_OP_SOCKET_H
#define WEIR_URING_EXTRA_OP_SOCKET_H

#include "../op/op_socket.h"

#ifdef __cplusplus
extern "C" {
#endif

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
 * weir_op_close() - close(2)
 *
 * Operations in flight on it keep the socket open, and no FIN is sent: cancel
 * them first, and close after their last CQE. A linger time above 0 blocks the
 * ring's thread. The kernel refuses the ring's own descriptor.
 *
 * res: 0; -EBADF. Linux 5.6.
 */
static inline void weir_op_close(struct io_uring_sqe *sqe, int32_t fd)
{
	sqe->opcode = IORING_OP_CLOSE;
	sqe->fd = fd;
}

/** weir_op_install_slot_inherited() - the same, but it survives exec. 6.8. */
static inline void weir_op_install_slot_inherited(struct io_uring_sqe *sqe,
						  uint32_t slot)
{
	weir_op_install_slot(sqe, slot);
	sqe->install_fd_flags = IORING_FIXED_FD_NO_CLOEXEC;
}

/**
 * weir_op_unread_bytes() - SIOCINQ: how many bytes a receive would find
 *
 * res: bytes (on a datagram socket: of the next datagram); -EINVAL on a
 * listener. Linux 6.6.
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
 * weir_op_tx_timestamps() - time stamps of sent data, until it ends
 *
 * For a socket with SO_TIMESTAMPING. Multishot. Each CQE has 32 bytes with the
 * time in its second half, so the ring needs IORING_SETUP_CQE32 or _CQE_MIXED:
 * -EINVAL without. weir_ring_open() sets neither. Linux 6.17.
 */
static inline void weir_op_tx_timestamps(struct io_uring_sqe *sqe, int32_t fd)
{
	wi_op_socket_command(sqe, fd, SOCKET_URING_OP_TX_TIMESTAMP);
}

#ifdef __cplusplus
}
#endif

#endif
