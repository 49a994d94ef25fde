/* restrict.h - what a ring may still do once it is enabled
 *
 *     struct weir_restrict allowed = { 0 };
 *     weir_restrict_allow_op(&allowed, IORING_OP_RECV); ...
 *     weir_restrict_apply(&allowed, &ring);     open, not yet enabled
 *     weir_ring_enable(&ring);                  from here on it holds
 *
 * Zero allows nothing; everything that is not allowed is answered -EACCES.
 * It limits what a bug in this ring can do, and does not keep anybody from
 * making another ring: combine it with seccomp(2).
 */
#ifndef WEIR_URING_EXTRA_RESTRICT_H
#define WEIR_URING_EXTRA_RESTRICT_H

#include "../ring.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * struct weir_restrict - an allow list; a value, to be copied at will
 * @ops, @register_ops: one bit per IORING_OP_* and per io_uring_register_op
 * @allowed_sqe_flags, @required_sqe_flags: IOSQE_*
 */
struct weir_restrict {
	uint64_t ops[4];
	uint64_t register_ops[4];
	uint8_t allowed_sqe_flags;
	uint8_t required_sqe_flags;
};

/** weir_restrict_allow_op() - @opcode: IORING_OP_*. */
void weir_restrict_allow_op(struct weir_restrict *list, uint8_t opcode);

/** weir_restrict_allow_register() - @opcode: enum io_uring_register_op. */
void weir_restrict_allow_register(struct weir_restrict *list, uint8_t opcode);

/** weir_restrict_allow_sqe_flags() - @flags: IOSQE_*; adds to those before. */
void weir_restrict_allow_sqe_flags(struct weir_restrict *list, uint8_t flags);

/** weir_restrict_require_sqe_flags() - every SQE must carry @flags; these are
 * allowed as well. */
void weir_restrict_require_sqe_flags(struct weir_restrict *list, uint8_t flags);

/**
 * weir_restrict_apply() - @ring may do no more than this once it is enabled
 *
 * Register and unregister of the ring's own descriptor are always allowed:
 * weir_ring_enable() and weir_ring_close() make these calls, and they give
 * no thread anything.
 *
 * Return: 0; -EINVAL if no operation is allowed, which some kernels would
 *         read as "all are", or if one is unknown to the kernel; -EBADFD if
 *         the ring is enabled; -EBUSY if it is restricted already.
 * Thread: any. Source: io_uring_register(2), IORING_REGISTER_RESTRICTIONS,
 *         Linux 5.10.
 */
int weir_restrict_apply(const struct weir_restrict *list,
			struct weir_ring *ring);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
