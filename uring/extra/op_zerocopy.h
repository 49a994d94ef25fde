/* op_zerocopy.h - sends and receives without a copy
 *
 *     CQE 1: res, F_MORE     the result; memory still the kernel's
 *     CQE 2: F_NOTIF         the memory is ours again
 *
 * Only F_MORE of the first CQE says whether the second will come; a failure may
 * have both too. The notice (F_NOTIF) needs the peer's acknowledgement: never
 * wait for it before the next send. It pays from 8 to 32 KiB on real network
 * cards; loopback copies. Until the notice, memory that is not registered is
 * charged to RLIMIT_MEMLOCK (-ENOMEM). AF_UNIX is -EOPNOTSUPP.
 * weir_op_skip_success() is refused.
 */
#ifndef WEIR_URING_EXTRA_OP_ZEROCOPY_H
#define WEIR_URING_EXTRA_OP_ZEROCOPY_H

#include "op_flags.h"
#include "op_stream.h"

#ifdef __cplusplus
extern "C" {
#endif

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
 * @message: as weir_op_sendmsg(), but the memory that the iovec points to is
 *           the kernel's until the last CQE, notice included
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
 * weir_op_fixed_buffer() - the bytes to send are in registered buffer
 * @buf_index
 *
 * Saves pinning and the memlock charge. For SEND_ZC (6.0) and SENDMSG_ZC
 * (6.15). Refused here: plain sends, receives and vectors (-EINVAL). Memory
 * outside the buffer, or no such buffer, is -EFAULT.
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
 * weir_op_report_usage() - the notice reports whether the kernel copied
 *
 * Its res is then IORING_NOTIF_USAGE_ZC_COPIED, or 0. Linux 6.2.
 */
static inline void weir_op_report_usage(struct io_uring_sqe *sqe)
{
	assert(wi_op_is_zero_copy_send(sqe));
	sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE;
}

/**
 * weir_op_recv_zc() - receive without a copy, from the network card's memory
 * @queue_id:    of IORING_REGISTER_ZCRX_IFQ
 * @total_bytes: ends after that many; 0: never
 *
 * Always multishot. CQEs have 32 bytes; the second half gives the offset of the
 * bytes in the area. Needs a card with header split and a dedicated queue,
 * CAP_NET_ADMIN, DEFER_TASKRUN, and CQE32 or CQE_MIXED; weir_ring_open() sets
 * neither of these two. Linux 6.15.
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
