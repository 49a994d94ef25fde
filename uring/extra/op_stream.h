/* op_stream.h - streams in larger pieces: bundles, vectors, caps
 *
 * A bundle uses several buffers of a group in one operation. The completion
 * names the first one; the others follow in the order of the ring.
 */
#ifndef WEIR_URING_EXTRA_OP_STREAM_H
#define WEIR_URING_EXTRA_OP_STREAM_H

#include "../op/op_recv.h"
#include "../op/op_send.h"

#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * weir_op_recv_multishot_capped() - weir_op_recv_multishot() with limits
 * @each_bytes:  most per completion; 0: as much as the buffer holds
 * @total_bytes: ends (no F_MORE) after that many bytes; 0: never. The kernel
 *               checks after each completion: the last one may exceed it
 *
 * Linux 6.17, -EINVAL before.
 */
static inline void weir_op_recv_multishot_capped(struct io_uring_sqe *sqe,
						 int32_t fd, uint16_t group,
						 uint32_t each_bytes,
						 uint32_t total_bytes)
{
	weir_op_recv_multishot(sqe, fd, group);
	sqe->len = each_bytes;
	sqe->optlen = total_bytes;
}

/**
 * weir_op_recv_bundle() - once, over as many buffers of @group as needed
 *
 * res: bytes in all. It takes as many buffers as the waiting bytes can fill, at
 * least one; the rest stays in the socket, with IORING_CQE_F_SOCK_NONEMPTY. The
 * flags name the first buffer. The others follow in the order in which they
 * were lent, which may differ from that of their ids. All are full but the last
 * one, which counts as used up too. An unknown group is -ENOENT, where other
 * receives say -ENOBUFS. Linux 6.10, -EINVAL before.
 *
 * It must not run on a kernel worker thread: so not with weir_op_async(), not
 * in a chain that the same enter does not end, not behind one of these in a
 * chain, and not while a weir_op_drain() waits. There it takes its first buffer
 * at the start and the others when data comes. Other receives may have taken
 * buffers in between, and no completion reports the gap (seen on 6.18).
 */
static inline void weir_op_recv_bundle(struct io_uring_sqe *sqe, int32_t fd,
				       uint16_t group)
{
	weir_op_recv_group(sqe, fd, group, 0);
	sqe->ioprio = IORING_RECVSEND_BUNDLE;
}

/**
 * weir_op_recv_bundle_multishot() - the same until it ends
 *
 * The completion that used the last buffer has no F_MORE; no -ENOBUFS follows.
 * Linux 6.10.
 */
static inline void weir_op_recv_bundle_multishot(struct io_uring_sqe *sqe,
						 int32_t fd, uint16_t group)
{
	weir_op_recv_bundle(sqe, fd, group);
	sqe->ioprio |= IORING_RECV_MULTISHOT;
}

/**
 * weir_op_sendv() - a gathered send without a struct msghdr
 * @parts:      copied at submission; the memory that they point to is the
 *              kernel's until the CQE
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
 * Even a short send uses up the buffer; it is the kernel's until the CQE, which
 * names it. -ENOBUFS: the group is empty; -ENOENT: no such group. Linux 6.10,
 * -EOPNOTSUPP before.
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
 * weir_op_send_bundle() - all buffers lent to @group, in one operation
 *
 * MSG_WAITALL is implied. The CQE names the first buffer; the others follow in
 * ring order. The kernel commits buffers when it picks them, so touch none
 * before the CQE. F_MORE: further buffers were lent meanwhile and are being
 * sent. There is no length argument: 6.18 applies one to the first gathering
 * only, drops the rest of that buffer, and then sends all other buffers. There
 * is no bundle of messages (-EINVAL). An unknown group is -ENOENT. Linux 6.10.
 */
static inline void weir_op_send_bundle(struct io_uring_sqe *sqe, int32_t fd,
				       uint16_t group)
{
	weir_op_send_group(sqe, fd, group, 0, 0);
	sqe->ioprio = IORING_RECVSEND_BUNDLE;
}

#ifdef __cplusplus
}
#endif

#endif
