/* register.h - the calls of io_uring_register(2) that own no memory or state
 *
 * One thin function each. The calls that own memory or state have their own
 * files: files (filetab.h), buffers (buftab.h), buffer rings (bufring.h),
 * restrictions (restrict.h), the size of the queues (resize.h).
 *
 * Thread, unless stated otherwise: any before weir_ring_enable(), then the
 * ring's own (-EEXIST otherwise). A restricted ring answers -EACCES to calls
 * that are not allowed.
 */
#ifndef WEIR_URING_EXTRA_REGISTER_H
#define WEIR_URING_EXTRA_REGISTER_H

#include "../ring.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * weir_register_eventfd() - make @eventfd readable when completions come
 * @eventfd:    from eventfd(2); the caller may close it, the ring keeps it
 * @async_only: true: only for completions of kernel worker threads
 *
 * On a DEFER_TASKRUN ring it also signals work that still waits for an enter:
 * the queue may be empty although the descriptor is readable.
 *
 * Return: 0; -EBUSY if the ring has one; -EBADF, -EINVAL if it is not an
 * eventfd.
 * Source: IORING_REGISTER_EVENTFD, Linux 5.2; _ASYNC, 5.6.
 */
int weir_register_eventfd(struct weir_ring *ring, int eventfd, bool async_only);

/** weir_register_eventfd_off() - Return: 0; -ENXIO if the ring has none. */
int weir_register_eventfd_off(struct weir_ring *ring);

/**
 * struct weir_iowq_limits - worker threads of the kernel for one thread's rings
 * @bounded:   for operations that always end (regular files)
 * @unbounded: for those that may not (sockets)
 */
struct weir_iowq_limits {
	uint32_t bounded;
	uint32_t unbounded;
};

/**
 * weir_register_iowq_limits() - cap the kernel's worker threads
 * @limits:     0 leaves a limit as it is
 * @out_before: the limits until now; may be NULL
 *
 * The limits hold for all rings of the calling thread, not for @ring alone.
 *
 * Return: 0; -EINVAL on an older kernel.
 * Source: IORING_REGISTER_IOWQ_MAX_WORKERS, Linux 5.15.
 */
int weir_register_iowq_limits(struct weir_ring *ring,
			      struct weir_iowq_limits limits,
			      struct weir_iowq_limits *out_before);

/**
 * weir_register_clock() - the clock that waits are measured on
 * @clock_id: CLOCK_MONOTONIC (the default) or CLOCK_BOOTTIME, which also runs
 *            while the machine is suspended
 *
 * Return: 0; -EINVAL for any other, or before the kernel had it.
 * Source: IORING_REGISTER_CLOCK, Linux 6.12.
 */
int weir_register_clock(struct weir_ring *ring, uint32_t clock_id);

enum weir_napi_tracking {
	WEIR_NAPI_DYNAMIC = 0,   /* the kernel finds the queues from sockets  */
	WEIR_NAPI_STATIC = 1,    /* those of weir_register_napi_queue() only  */
	WEIR_NAPI_INACTIVE = 255 /* read back only: not registered            */
};

/**
 * struct weir_napi - polling of network queues by the thread that waits
 * @busy_poll_us: how long before it sleeps; 20 to 100 are usual
 * @prefers_busy_poll: keep interrupts of these queues off while polling
 * @tracking:     static: Linux 6.13
 */
struct weir_napi {
	uint32_t busy_poll_us;
	bool prefers_busy_poll;
	enum weir_napi_tracking tracking;
};

/**
 * weir_register_napi() - poll the queues of this ring's sockets while waiting
 * @napi:       use it if the core and the queues serve this ring only
 * @out_before: what was set until now; may be NULL
 *
 * Loopback has no queue, so it gains nothing.
 *
 * Return: 0; -EINVAL on an IOPOLL ring, for an unknown tracking, or before the
 *         kernel had it. Source: IORING_REGISTER_NAPI, Linux 6.9.
 */
int weir_register_napi(struct weir_ring *ring, const struct weir_napi *napi,
		       struct weir_napi *out_before);

/**
 * weir_register_napi_off() - stop polling
 * @out_before: may be NULL; the kernel does not report the tracking here
 *
 * Return: 0; -EINVAL. Source: IORING_UNREGISTER_NAPI, Linux 6.9.
 */
int weir_register_napi_off(struct weir_ring *ring,
			   struct weir_napi *out_before);

/**
 * weir_register_napi_queue() - add or remove one queue, with static tracking
 * @napi_id: from SO_INCOMING_NAPI_ID
 *
 * Return: 0; -EINVAL if the tracking is not static or there is no such queue;
 *         -EEXIST, -ENOENT. Source: IO_URING_NAPI_STATIC_ADD_ID, Linux 6.13.
 */
int weir_register_napi_queue(struct weir_ring *ring, uint32_t napi_id,
			     bool is_added);

/**
 * struct weir_cancel_match - which operations; zero matches user_data 0
 * @flags:     IORING_ASYNC_CANCEL_*: which fields below are keys; ALL for every
 *             match
 * @user_data: key without FD, ANY and OP, or with USERDATA
 * @fd:        key with FD; a slot with FD_FIXED
 * @opcode:    key with OP, IORING_OP_*
 */
struct weir_cancel_match {
	uint32_t flags;
	uint64_t user_data;
	int32_t fd;
	uint8_t opcode;
};

/**
 * weir_register_cancel() - cancel, and wait until it is done
 * @timeout_ns: relative; WEIR_TIMEOUT_NEVER waits for ever
 *
 * Each operation still posts its own last completion. Only that one ends the
 * kernel's use of its memory.
 *
 * Return: 0, or with ALL or ANY how many were found; -ENOENT if none was found
 *         without ALL or ANY; -EALREADY; -ETIME; -EBADF for a closed fd or an
 *         empty slot; -EINVAL for unknown flags.
 * Source: IORING_REGISTER_SYNC_CANCEL, Linux 6.0; OP since 6.6.
 */
int weir_register_cancel(struct weir_ring *ring,
			 const struct weir_cancel_match *match,
			 uint64_t timeout_ns);

/**
 * struct weir_kernel_limits - what the running kernel supports
 * @op_count, @register_op_count: one past the highest
 * @features, @setup_flags, @enter_flags, @sqe_flags: every supported bit
 */
struct weir_kernel_limits {
	uint32_t op_count;
	uint32_t register_op_count;
	uint64_t features;
	uint64_t setup_flags;
	uint64_t enter_flags;
	uint64_t sqe_flags;
};

/**
 * weir_register_query() - read what the kernel supports; needs no ring
 * @kernel: NULL for weir_kernel_default()
 *
 * Return: 0; -EOPNOTSUPP if the kernel lacks this call (before 6.18 it fails
 *         with -EINVAL or -EBADF); -EPERM, -ENOSYS where rings are forbidden.
 * Thread: any. Source: IORING_REGISTER_QUERY, Linux 6.18.
 */
int weir_register_query(const struct weir_kernel *kernel,
			struct weir_kernel_limits *out_limits);

/**
 * weir_register_message() - a completion for another ring, from a thread that
 *                           has none
 * @kernel:    NULL for weir_kernel_default()
 * @ring_fd:   the target's weir_ring_fd()
 * @user_data: and
 * @res:       as they will stand in its CQE
 *
 * Return: 0; -EBADF if @ring_fd is closed; -EBADFD if it is not a ring or not
 *         yet enabled; -EINVAL on an older kernel; -EOVERFLOW or -ENOMEM if the
 *         kernel is out of memory. A full queue overflows in order and loses no
 *         message (seen on 6.18, with and without DEFER_TASKRUN).
 * Thread: any. Source: IORING_REGISTER_SEND_MSG_RING, Linux 6.13.
 */
int weir_register_message(const struct weir_kernel *kernel, int ring_fd,
			  uint64_t user_data, int32_t res);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
