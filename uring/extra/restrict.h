/* restrict.h - limit what a ring may do once it is enabled
 *
 *     struct weir_restrict allowed = { 0 };
 *     weir_restrict_allow_op(&allowed, IORING_OP_RECV); ...
 *     weir_restrict_apply(&allowed, &ring);     open, not yet enabled
 *     weir_ring_enable(&ring);                  from here on it holds
 *
 * Zero allows nothing; the kernel answers -EACCES to everything that is not
 * allowed. It limits the damage of a bug in this ring. It does not stop the
 * process from opening another ring: combine it with seccomp(2).
 */
#ifndef WEIR_URING_EXTRA_RESTRICT_H
#define WEIR_URING_EXTRA_RESTRICT_H

#include "../ring.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * struct weir_restrict - an allow list; a plain value that may be copied
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

/** weir_restrict_allow_sqe_flags() - @flags: IOSQE_*; added to earlier ones. */
void weir_restrict_allow_sqe_flags(struct weir_restrict *list, uint8_t flags);

/** weir_restrict_require_sqe_flags() - every SQE must carry @flags; they are
 * allowed too. */
void weir_restrict_require_sqe_flags(struct weir_restrict *list, uint8_t flags);

/**
 * weir_restrict_apply() - @ring may do no more than this once it is enabled
 *
 * Register and unregister of the ring's own descriptor are always allowed:
 * weir_ring_enable() and weir_ring_close() make these calls, and they grant no
 * further right.
 *
 * Return: 0; -EINVAL if no operation is allowed, which some kernels read as
 *         "all", or if the kernel does not know one; -EBADFD if the ring is
 *         enabled; -EBUSY if it is already restricted.
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
