/* op_sync.h - between rings and threads: nop, messages, futexes */
#ifndef WEIR_URING_EXTRA_OP_SYNC_H
#define WEIR_URING_EXTRA_OP_SYNC_H

#include "../op/op_sqe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct futex_waitv; /* <linux/futex.h> */

/* ---- nop ----------------------------------------------------------------- */

/** weir_op_nop() - res 0. Linux 5.1. */
static inline void weir_op_nop(struct io_uring_sqe *sqe)
{
	sqe->opcode = IORING_OP_NOP;
}

/**
 * weir_op_nop_result() - res is @result: for tests of a handler
 *
 * A negative @result breaks a link, as a failure does. Linux 6.10; older
 * kernels return 0 or -EINVAL.
 */
static inline void weir_op_nop_result(struct io_uring_sqe *sqe, int32_t result)
{
	sqe->opcode = IORING_OP_NOP;
	sqe->nop_flags = IORING_NOP_INJECT_RESULT;
	sqe->len = (uint32_t)result;
}

/* ---- messages between rings ----------------------------------------------
 *
 * The cheapest way to wake another ring's thread. A DEFER_TASKRUN target gets
 * its completion when it enters. Errors of the target: -EBADFD if it is not a
 * ring or not enabled yet, -EBADF if it is not a descriptor. A full CQ is no
 * error: the message overflows and arrives in order (seen on 6.18, with and
 * without DEFER_TASKRUN); -EOVERFLOW or -ENOMEM if the kernel has no memory for
 * it. The sender gets its own CQE, unless weir_op_skip_success(). A thread
 * without a ring calls weir_register_message().
 */

/**
 * weir_op_msg_data() - a completion on another ring, or on this one
 * @ring_fd:          the target's
 * @their_user_data,
 * @their_result:     contents of the target's CQE
 *
 * res: 0; as above. Linux 5.18.
 */
static inline void weir_op_msg_data(struct io_uring_sqe *sqe, int32_t ring_fd,
				    uint64_t their_user_data,
				    int32_t their_result)
{
	sqe->opcode = IORING_OP_MSG_RING;
	sqe->fd = ring_fd;
	sqe->off = their_user_data;
	sqe->addr = IORING_MSG_DATA;
	sqe->len = (uint32_t)their_result;
}

/** weir_op_msg_data_flags() - the same, with cqe->flags as well. 6.3. */
static inline void weir_op_msg_data_flags(struct io_uring_sqe *sqe,
					  int32_t ring_fd,
					  uint64_t their_user_data,
					  int32_t their_result,
					  uint32_t their_flags)
{
	weir_op_msg_data(sqe, ring_fd, their_user_data, their_result);
	sqe->msg_ring_flags = IORING_MSG_RING_FLAGS_PASS;
	sqe->file_index = their_flags;
}

/**
 * weir_op_msg_slot() - the file of @slot, into a slot of another ring's table
 * @slot:     ours, and it stays: both tables then hold the socket
 * @is_quiet: no completion on the target
 *
 * The target picks the slot. res, and the target's: that slot. -EINVAL if the
 * target is this ring; -EBADF if @slot is empty; -ENFILE if the target's table
 * is full. Linux 6.0.
 */
static inline void weir_op_msg_slot(struct io_uring_sqe *sqe, int32_t ring_fd,
				    uint64_t their_user_data, uint32_t slot,
				    bool is_quiet)
{
	sqe->opcode = IORING_OP_MSG_RING;
	sqe->fd = ring_fd;
	sqe->off = their_user_data;
	sqe->addr = IORING_MSG_SEND_FD;
	sqe->addr3 = slot;
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
	if (is_quiet)
		sqe->msg_ring_flags = IORING_MSG_RING_CQE_SKIP;
}

/**
 * weir_op_msg_slot_at() - the same, into @their_slot, replacing its file
 *
 * res, and the target's: 0; -EINVAL beyond its table. Linux 6.0.
 */
static inline void weir_op_msg_slot_at(struct io_uring_sqe *sqe,
				       int32_t ring_fd,
				       uint64_t their_user_data, uint32_t slot,
				       uint32_t their_slot, bool is_quiet)
{
	assert(their_slot < IORING_FILE_INDEX_ALLOC - 1);
	weir_op_msg_slot(sqe, ring_fd, their_user_data, slot, is_quiet);
	sqe->file_index = their_slot + 1;
}

/* ---- futexes -------------------------------------------------------------
 *
 * 32-bit futexes. @is_private: no other process uses it. @mask selects waiters:
 * ~0 is all; 0 is refused here (-EINVAL).
 */

#define WI_OP_FUTEX_U32 2u
#define WI_OP_FUTEX_PRIVATE 128u
#define WEIR_FUTEX_WAITERS_MAX 128

static inline void wi_op_futex(struct io_uring_sqe *sqe, uint8_t opcode,
			       const uint32_t *word, uint64_t value,
			       uint32_t mask, bool is_private)
{
	assert(mask != 0);
	sqe->opcode = opcode;
	sqe->fd = (int32_t)(WI_OP_FUTEX_U32 |
			    (is_private ? WI_OP_FUTEX_PRIVATE : 0));
	sqe->addr = wi_op_address(word);
	sqe->addr2 = value;
	sqe->addr3 = mask;
}

/**
 * weir_op_futex_wait() - until it is woken
 * @word: read during submission only, but the memory must stay
 *
 * res: 0 woken; -EAGAIN: *word was not @expected; -ECANCELED; -EFAULT.
 * Linux 6.7.
 */
static inline void weir_op_futex_wait(struct io_uring_sqe *sqe,
				      const uint32_t *word, uint32_t expected,
				      uint32_t mask, bool is_private)
{
	wi_op_futex(sqe, IORING_OP_FUTEX_WAIT, word, expected, mask,
		    is_private);
}

/**
 * weir_op_futex_wake() - wake at most @waiter_count waiters of @word
 *
 * res: how many. Linux 6.7.
 */
static inline void weir_op_futex_wake(struct io_uring_sqe *sqe,
				      const uint32_t *word,
				      uint32_t waiter_count, uint32_t mask,
				      bool is_private)
{
	wi_op_futex(sqe, IORING_OP_FUTEX_WAKE, word, waiter_count, mask,
		    is_private);
}

/**
 * weir_op_futex_wait_any() - until one of several is woken
 * @waiters:      read at submission only
 * @waiter_count: 1 to 128
 *
 * res: the index of the woken one; -EAGAIN: one word was not as expected. Linux
 * 6.7.
 */
static inline void weir_op_futex_wait_any(struct io_uring_sqe *sqe,
					  const struct futex_waitv *waiters,
					  uint32_t waiter_count)
{
	assert(waiter_count > 0 && waiter_count <= WEIR_FUTEX_WAITERS_MAX);
	sqe->opcode = IORING_OP_FUTEX_WAITV;
	sqe->addr = wi_op_address(waiters);
	sqe->len = waiter_count;
}

#ifdef __cplusplus
}
#endif

#endif
