/* op_stream.h - streams in larger pieces: bundles, vectors, caps
 *
 * A bundle goes over several buffers of a group at once: the completion names
 * the first one, the others follow in the order of the ring.
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
 * weir_op_recv_multishot_capped() - the same within limits
 * @each_bytes:  most per completion; 0: what the buffer holds
 * @total_bytes: ends (no F_MORE) once so much was received; 0: never. It is
 *               looked at after each completion: the last one may go beyond
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
 * weir_op_recv_bundle() - once, over as many buffers of @group as it takes
 *
 * res: bytes in all. As many buffers as the bytes that wait can fill, at least
 * one: a rest stays in the socket, with IORING_CQE_F_SOCK_NONEMPTY. The flags
 * name the first buffer; the others are those that follow it in the order in
 * which they were lent, which need not be that of their ids. Each is full but
 * the last one, which is used up all the same. An unknown group is -ENOENT
 * where other receives say -ENOBUFS. Linux 6.10, -EINVAL before.
 *
 * Never on a worker thread of the kernel: that is with weir_op_async(), in a
 * chain that the same enter does not end, behind one of these in a chain, or
 * while a weir_op_drain() waits. There it has its first buffer from the start
 * and takes the others when data comes; what other receives took in between is
 * left out, and no completion says so (seen on 6.18).
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

#ifdef __cplusplus
}
#endif

#endif
