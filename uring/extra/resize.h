/* resize.h - other queue sizes for a ring that is in use */
#ifndef WEIR_URING_EXTRA_RESIZE_H
#define WEIR_URING_EXTRA_RESIZE_H

#include "../ring.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * weir_ring_resize() - other queue sizes, while the ring is in use
 * @sq_entry_count: 0 keeps the size; rounded up to a power of two, at most
 *                  32768
 * @cq_entry_count: 0 keeps the size; at least the SQ, at most 65536
 *
 * What was taken and not submitted, and what is ready and not reaped, moves
 * over in order. A pointer to an SQE or CQE from before the call is dead.
 *
 * An overflowed completion queue is resized too, and what had overflowed comes
 * in at the next enter (seen on 6.18).
 *
 * Return: 0; and with the ring as it was -EINVAL if it is no DEFER_TASKRUN
 *         and NO_SQARRAY ring, a size is out of range or the kernel is too
 *         old; -EOVERFLOW if what is pending does not fit; -EEXIST on the
 *         wrong thread; -ENOMEM. If the new queues cannot be mapped (-ENOMEM
 *         and the like) the ring is lost: every later weir_ring_enter() says
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
