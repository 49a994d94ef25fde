/* op_cancel.h - cancelling operations
 *
 *     by token                one; for several: extra/op_cancel.h
 *     by descriptor or slot   all on it
 *
 * A cancelled operation posts its own last CQE: -ECANCELED, or its result so
 * far. Only that CQE ends the kernel's use of its memory; the CQE of the cancel
 * itself usually comes before it. Cancel before close: a closed slot is -EBADF.
 *
 * Results for one: 0 found (1 for a futex wait); -ENOENT not found; -EALREADY
 * it runs and ends by itself. Results for all: a count, which may be 0. An
 * operation on a kernel worker is counted again and again until it ends (2,266
 * for at most 96 seen on 6.18), so do not wait for that many.
 *
 * "Not found" does not mean ended. The cancel misses an operation that the
 * kernel has queued for a retry (IORING_SQ_TASKRUN; seen with a half-done send
 * on 6.18), and that operation goes on: cancel again until its last CQE has
 * come. Nor does it mean that the cancel had no effect: it may end an operation
 * on a kernel worker, which is gone when the kernel looks a second time
 * (-ENOENT instead of -EALREADY, 39 of 600 seen on 6.18).
 */
#ifndef WEIR_URING_OP_CANCEL_H
#define WEIR_URING_OP_CANCEL_H

#include "op_sqe.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * weir_op_cancel_token() - cancel the one operation with this user_data
 *
 * res: 0; -ENOENT: not found, which does not mean ended (as above); -EALREADY:
 * it already runs and ends by itself. Linux 5.5.
 */
static inline void weir_op_cancel_token(struct io_uring_sqe *sqe,
					uint64_t user_data)
{
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = user_data;
}

/**
 * weir_op_cancel_fd() - cancel every operation in flight on a descriptor
 *
 * The kernel compares the file: it also finds operations that were submitted by
 * slot or by another descriptor of the same socket. res: count; -EBADF. Linux
 * 5.19.
 */
static inline void weir_op_cancel_fd(struct io_uring_sqe *sqe, int32_t fd)
{
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = fd;
	sqe->cancel_flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
}

/**
 * weir_op_cancel_slot() - cancel every operation in flight on a slot
 *
 * res: how many were found, 0 included; -EBADF: the slot is empty. Linux 6.0.
 */
static inline void weir_op_cancel_slot(struct io_uring_sqe *sqe, uint32_t slot)
{
	weir_op_cancel_fd(sqe, (int32_t)slot);
	sqe->cancel_flags |= IORING_ASYNC_CANCEL_FD_FIXED;
}

#ifdef __cplusplus
}
#endif

#endif
