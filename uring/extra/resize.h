/* resize.h - change the queue sizes of a ring that is in use */
#ifndef WEIR_URING_EXTRA_RESIZE_H
#define WEIR_URING_EXTRA_RESIZE_H

#include "../ring.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * weir_ring_resize() - change the queue sizes while the ring is in use
 * @sq_entry_count: 0 keeps the size; rounded up to a power of two, at most
 *                  32768
 * @cq_entry_count: 0 keeps the size; at least the SQ, at most 65536
 *
 * SQEs taken but not submitted, and CQEs ready but not reaped, move over in
 * order. A pointer to an SQE or CQE from before the call is invalid.
 *
 * An overflowed completion queue can be resized too; the overflowed completions
 * come at the next enter (seen on 6.18).
 *
 * Return: 0. These errors leave the ring unchanged: -EINVAL if the ring lacks
 *         DEFER_TASKRUN or NO_SQARRAY, a size is out of range or the kernel is
 *         too old; -EOVERFLOW if the pending entries do not fit; -EEXIST on the
 *         wrong thread; -ENOMEM. If the new queues cannot be mapped (-ENOMEM
 *         and others) the ring is lost: every later weir_ring_enter() says
 *         -EBADF; close it.
 * Thread: the ring's own. Source: io_uring_register(2),
 *         IORING_REGISTER_RESIZE_RINGS, Linux 6.13.
 */
int weir_ring_resize(struct weir_ring *ring, uint32_t sq_entry_count,
		     uint32_t cq_entry_count);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
