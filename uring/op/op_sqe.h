/* op_sqe.h - shared by all operations: pointers, slots, poll first
 *
 * Other flags of an entry (links, a group of buffers, no completion on success)
 * are in extra/op_flags.h.
 */
#ifndef WEIR_URING_OP_SQE_H
#define WEIR_URING_OP_SQE_H

#include "../abi.h"

#include <assert.h>
#include <stdbool.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A pointer as a 64-bit field of the kernel's ABI. */
static inline uint64_t wi_op_address(const void *pointer)
{
	return (uint64_t)(uintptr_t)pointer;
}

static inline bool wi_op_takes_no_slot(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_CLOSE: /* -EBADF, also for the directory of a path */
	case IORING_OP_OPENAT:
	case IORING_OP_OPENAT2:
	case IORING_OP_STATX:
	case IORING_OP_UNLINKAT:
	case IORING_OP_RENAMEAT:
	case IORING_OP_MKDIRAT:
	case IORING_OP_FILES_UPDATE: /* -EINVAL */
	case IORING_OP_TIMEOUT_REMOVE:
	case IORING_OP_EPOLL_CTL: /* uses the descriptor of that number */
		return true;
	default:
		return false;
	}
}

/**
 * weir_op_on_slot() - sqe->fd is a slot of the table, not a descriptor
 *
 * An empty slot, or one beyond the table, is -EBADF. Refused here: operations
 * that take a path (-EBADF), CLOSE (use weir_op_close_slot()), FILES_UPDATE and
 * TIMEOUT_REMOVE (-EINVAL), and EPOLL_CTL, which would read the slot number as
 * a descriptor. Other operations without a file ignore the flag. Linux 5.1.
 */
static inline void weir_op_on_slot(struct io_uring_sqe *sqe)
{
	assert(!wi_op_takes_no_slot(sqe));
	sqe->flags |= IOSQE_FIXED_FILE;
}

static inline bool wi_op_is_receive(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_RECV ||
	       sqe->opcode == IORING_OP_RECVMSG;
}

static inline bool wi_op_is_zero_copy_send(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_SEND_ZC ||
	       sqe->opcode == IORING_OP_SENDMSG_ZC;
}

static inline bool wi_op_is_send(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_SEND ||
	       sqe->opcode == IORING_OP_SENDMSG || wi_op_is_zero_copy_send(sqe);
}

/**
 * weir_op_poll_first() - wait for readiness before the first attempt
 *
 * For receives, sends (Linux 5.19) and accepts (6.10; -EINVAL before). Saves an
 * attempt that would find nothing. A receive into a group then checks for a
 * free buffer only when data arrives. Harmful if the last completion had
 * IORING_CQE_F_SOCK_NONEMPTY, and for most sends.
 */
static inline void weir_op_poll_first(struct io_uring_sqe *sqe)
{
	if (sqe->opcode == IORING_OP_ACCEPT) {
		sqe->ioprio |= IORING_ACCEPT_POLL_FIRST;
		return;
	}
	assert(wi_op_is_receive(sqe) || wi_op_is_send(sqe));
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

#ifdef __cplusplus
}
#endif

#endif
