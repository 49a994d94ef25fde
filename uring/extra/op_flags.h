/* op_flags.h - flags that an operation may carry besides its own fields
 *
 * Call these after the weir_op_...() that fills the entry. They check the
 * operation, and assert where the kernel would only say -EINVAL or -EOPNOTSUPP.
 */
#ifndef WEIR_URING_EXTRA_OP_FLAGS_H
#define WEIR_URING_EXTRA_OP_FLAGS_H

#include "../op/op_sqe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The message of a RECVMSG or SENDMSG. */
static inline const struct msghdr *wi_op_message(const struct io_uring_sqe *sqe)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): it was a pointer */
	return (const struct msghdr *)(uintptr_t)sqe->addr;
}

/** weir_op_is_multishot() - whether @sqe may complete more than once.
 *
 * False for zero-copy sends, although their notice is a completion too.
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
 * A failure is a negative result, a short read or write, or a short transfer
 * with MSG_WAITALL; the rest of the chain then completes with -ECANCELED. A
 * short send without MSG_WAITALL counts as a success: the chain goes on, and
 * the stream is corrupt. A TIMEOUT that expires fails, unless it has
 * IORING_TIMEOUT_ETIME_SUCCESS. A chain ends at the first entry without the
 * flag, and with the entries of one enter. If its last entry still has the flag
 * there, the whole chain runs on a kernel worker thread, as with
 * weir_op_async() (seen on 6.18). Linux 5.3.
 */
static inline void weir_op_link(struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_IO_LINK;
}

/**
 * weir_op_hardlink() - the next entry starts when this one has completed
 *
 * Any result will do; only a failure to submit breaks the chain. Linux 5.5.
 */
static inline void weir_op_hardlink(struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_IO_HARDLINK;
}

/**
 * weir_op_drain() - starts when all earlier entries have completed
 *
 * Never use it in a server: it also holds back all later entries, and waits for
 * every armed multishot. The entry, and those submitted while it waits, run as
 * with weir_op_async() (seen on 6.18), so a bundle is refused here. Refused
 * here too: weir_op_skip_success() on the same entry (-EOPNOTSUPP). Linux 5.2.
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
 * Never use it on sockets: each blocked operation occupies one thread. If it is
 * cancelled while it runs there it may end with -EINTR. A receive into a group
 * takes its buffer at once, not when data arrives. A bundle could lose buffers
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
 * timeout. Refused here: multishots, because it would hide a last completion
 * that is a success, such as the end of a stream (a poll gets -EINVAL);
 * zero-copy sends (-EINVAL); weir_op_drain() on the same entry (-EOPNOTSUPP);
 * sends without MSG_WAITALL, because it would hide a short result. (On a
 * datagram socket MSG_WAITALL changes nothing: set it to pass this check.) If a
 * linked entry with this flag fails, the rest of its chain ends without
 * completions, whatever their flags: do not wait for them. Linux 5.17.
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
 * receives and sends have their own weir_op_..._group(). The kernel takes the
 * buffer when data arrives, and the completion names it (IORING_CQE_F_BUFFER).
 * Refused here: any other operation (-EOPNOTSUPP) and more parts (-EINVAL). An
 * empty or unknown group is -ENOBUFS, at once. Linux 5.7.
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
 * MSG_DONTWAIT: -EAGAIN instead of waiting. Refused here: MSG_WAITALL on a
 * multishot receive (-EINVAL). MSG_NOSIGNAL is always implied.
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
