/* op_cancel.h - cancelling more, or less, than op/op_cancel.h does
 *
 *     by token                all that share it
 *     by opcode, or any       all on the ring; of one opcode on a descriptor
 *     the first of these      of several the one that is found first
 *
 * Results are those of op/op_cancel.h.
 */
#ifndef WEIR_URING_EXTRA_OP_CANCEL_H
#define WEIR_URING_EXTRA_OP_CANCEL_H

#include "../op/op_cancel.h"

#ifdef __cplusplus
extern "C" {
#endif

/** weir_op_cancel_tokens() - all with this user_data. res: count. 5.19. */
static inline void weir_op_cancel_tokens(struct io_uring_sqe *sqe,
					 uint64_t user_data)
{
	weir_op_cancel_token(sqe, user_data);
	sqe->cancel_flags = IORING_ASYNC_CANCEL_ALL;
}

/**
 * weir_op_cancel_opcode() - limit a cancel to @opcode
 *
 * Call it after weir_op_cancel_fd(), _slot() or _tokens(): only matches with
 * @opcode are then cancelled. Linux 6.6, -EINVAL before.
 */
static inline void weir_op_cancel_opcode(struct io_uring_sqe *sqe,
					 uint8_t opcode)
{
	assert(sqe->opcode == IORING_OP_ASYNC_CANCEL);
	assert((sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY) == 0);
	if ((sqe->cancel_flags & IORING_ASYNC_CANCEL_FD) == 0)
		sqe->cancel_flags |= IORING_ASYNC_CANCEL_USERDATA;
	sqe->cancel_flags |= IORING_ASYNC_CANCEL_OP;
	sqe->len = opcode;
}

/** weir_op_cancel_op() - all of @opcode. res: count. Linux 6.6. */
static inline void weir_op_cancel_op(struct io_uring_sqe *sqe, uint8_t opcode)
{
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->len = opcode;
	sqe->cancel_flags = IORING_ASYNC_CANCEL_OP | IORING_ASYNC_CANCEL_ALL;
}

/**
 * weir_op_cancel_first() - limit a cancel to one match
 *
 * Call it after weir_op_cancel_fd(), _slot(), _tokens() or _op(), alone or with
 * _opcode(): it cancels the match that the kernel finds first, in no promised
 * order. After _any() it is refused here: 6.18 then cancels all of them. res:
 * 0; -ENOENT, -EALREADY. Linux 5.19, 6.0 or 6.6, as the call before it.
 */
static inline void weir_op_cancel_first(struct io_uring_sqe *sqe)
{
	assert(sqe->opcode == IORING_OP_ASYNC_CANCEL);
	assert((sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY) == 0);
	sqe->cancel_flags &= ~IORING_ASYNC_CANCEL_ALL;
}

/**
 * weir_op_cancel_any() - everything on the ring
 *
 * It also finds waiting entries that were submitted just before it. res: count.
 * Linux 5.19.
 */
static inline void weir_op_cancel_any(struct io_uring_sqe *sqe)
{
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->cancel_flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
}

#ifdef __cplusplus
}
#endif

#endif
