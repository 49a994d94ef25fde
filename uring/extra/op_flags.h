/* op_flags.h - what an operation may carry beside its own fields
 *
 * Call these after the weir_op_...() that fills the entry: they look at what
 * the operation is, and refuse by assert what the kernel would answer with
 * -EINVAL or -EOPNOTSUPP and no word of why.
 */
#ifndef WEIR_URING_EXTRA_OP_FLAGS_H
#define WEIR_URING_EXTRA_OP_FLAGS_H

#include "../op/op_sqe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* That of a RECVMSG or SENDMSG. */
static inline const struct msghdr *wi_op_message(const struct io_uring_sqe *sqe)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): it was a pointer */
	return (const struct msghdr *)(uintptr_t)sqe->addr;
}

/** weir_op_is_multishot() - whether @sqe may complete more than once.
 *
 * Zero-copy sends are not meant, although their notice is a completion too.
 */
static inline bool weir_op_is_multishot(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_ACCEPT:
		return (sqe->ioprio & IORING_ACCEPT_MULTISHOT) != 0;
	case IORING_OP_RECV:
	case IORING_OP_RECVMSG:
	case IORING_OP_RECV_ZC:
		return (sqe->ioprio & IORING_RECV_MULTISHOT) != 0;
	case IORING_OP_POLL_ADD:
		return (sqe->len & IORING_POLL_ADD_MULTI) != 0;
	case IORING_OP_TIMEOUT:
		return (sqe->timeout_flags & IORING_TIMEOUT_MULTISHOT) != 0;
	case IORING_OP_READ_MULTISHOT:
		return true;
	case IORING_OP_URING_CMD:
		return sqe->cmd_op == SOCKET_URING_OP_TX_TIMESTAMP;
	default:
		return false;
	}
}

static inline bool wi_op_is_bundle_receive(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_RECV &&
	       (sqe->ioprio & IORING_RECVSEND_BUNDLE) != 0;
}

/**
 * weir_op_link() - the next entry starts when this one has succeeded
 *
 * "Failed" is a negative result, a short read or write, a short transfer with
 * MSG_WAITALL; the rest of the chain then completes with -ECANCELED. A short
 * send without MSG_WAITALL is a success: the chain goes on, and the stream is
 * corrupt. A TIMEOUT that expires fails, unless it has
 * IORING_TIMEOUT_ETIME_SUCCESS. A chain ends at the first entry without the
 * flag, and at the end of what one enter submits; there, if its last entry has
 * the flag, all of it runs on a kernel worker thread, as with weir_op_async()
 * (seen on 6.18). Linux 5.3.
 */
static inline void weir_op_link(struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_IO_LINK;
}

/**
 * weir_op_hardlink() - the next entry starts when this one has completed
 *
 * Whatever the result; only a failure to submit breaks the chain. Linux 5.5.
 */
static inline void weir_op_hardlink(struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_IO_HARDLINK;
}

/**
 * weir_op_drain() - starts when all that was submitted before has completed
 *
 * It holds back everything submitted after it as well, and it waits for every
 * armed multishot: never in a server. It, and what is submitted while it waits,
 * runs as with weir_op_async() (seen on 6.18): a bundle is refused here.
 * Together with weir_op_skip_success() the kernel answers -EOPNOTSUPP: refused
 * here. Linux 5.2.
 */
static inline void weir_op_drain(struct io_uring_sqe *sqe)
{
	assert((sqe->flags & IOSQE_CQE_SKIP_SUCCESS) == 0);
	assert(!wi_op_is_bundle_receive(sqe));
	sqe->flags |= IOSQE_IO_DRAIN;
}

/**
 * weir_op_async() - runs on a kernel worker thread, without a first attempt
 *
 * One thread per operation that blocks: never on sockets. One that is cancelled
 * while it runs there may end with -EINTR. A receive into a group takes its
 * buffer there at once, not when there is data. A bundle would not be whole
 * (see weir_op_recv_bundle()): refused here. Linux 5.6.
 */
static inline void weir_op_async(struct io_uring_sqe *sqe)
{
	assert(!wi_op_is_bundle_receive(sqe));
	sqe->flags |= IOSQE_ASYNC;
}

/**
 * weir_op_skip_success() - no completion unless it fails
 *
 * Good for close, cancel, setsockopt, the sender of a message, a linked
 * timeout. Refused here: multishots, whose last completion it would hide if
 * that is a success, the end of a stream say (a poll gets -EINVAL); zero-copy
 * sends (-EINVAL); together with weir_op_drain() (-EOPNOTSUPP); sends without
 * MSG_WAITALL, whose short result counts as a success, so no program would ever
 * know. (On a datagram socket that flag changes nothing, and says that you have
 * thought of it.) If it fails with weir_op_link(), the rest of its chain ends
 * without completions, whatever their flags: do not wait for them. Linux
 * 5.17.
 */
static inline void weir_op_skip_success(struct io_uring_sqe *sqe)
{
	assert(!weir_op_is_multishot(sqe));
	assert(!wi_op_is_zero_copy_send(sqe));
	assert((sqe->flags & IOSQE_IO_DRAIN) == 0);
	assert(!wi_op_is_send(sqe) || (sqe->msg_flags & MSG_WAITALL) != 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

/**
 * weir_op_select_group() - the kernel picks a buffer of @group
 *
 * For READ, READV (one part), RECVMSG (one part or none) and READ_MULTISHOT;
 * receives and sends have weir_op_..._group() of their own. The buffer is taken
 * when there is data, and the completion names it (IORING_CQE_F_BUFFER). Any
 * other operation would get -EOPNOTSUPP, and other parts -EINVAL: refused here.
 * An empty or unknown group is -ENOBUFS, at once. Linux 5.7.
 */
static inline void weir_op_select_group(struct io_uring_sqe *sqe,
					uint16_t group)
{
	assert(sqe->opcode == IORING_OP_READ ||
	       sqe->opcode == IORING_OP_READV ||
	       sqe->opcode == IORING_OP_READ_MULTISHOT ||
	       sqe->opcode == IORING_OP_RECV ||
	       sqe->opcode == IORING_OP_RECVMSG ||
	       sqe->opcode == IORING_OP_SEND);
	assert(sqe->opcode != IORING_OP_READV || sqe->len == 1);
	assert(sqe->opcode != IORING_OP_RECVMSG ||
	       wi_op_message(sqe)->msg_iovlen <= 1);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
}

/**
 * weir_op_msg_flags() - further MSG_* flags for a receive or a send
 *
 * MSG_DONTWAIT: -EAGAIN instead of waiting. MSG_WAITALL on a multishot receive
 * would be -EINVAL: refused here. MSG_NOSIGNAL is always implied.
 */
static inline void weir_op_msg_flags(struct io_uring_sqe *sqe,
				     uint32_t msg_flags)
{
	assert(wi_op_is_receive(sqe) || wi_op_is_send(sqe));
	assert(!weir_op_is_multishot(sqe) || (msg_flags & MSG_WAITALL) == 0);
	sqe->msg_flags |= msg_flags;
}

#ifdef __cplusplus
}
#endif

#endif
