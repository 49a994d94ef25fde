/* ring.h - one submission and completion ring
 *
 *     take SQE ... take SQE --> weir_ring_enter() --> reap CQEs --+
 *        ^                                                        |
 *        +--------------------------------------------------------+
 *
 * A ring belongs to one thread: the one that called weir_ring_enable(). The hot
 * path (take an SQE, walk the CQEs) is in ring_inline.h; the operations are in
 * op.h.
 */
#ifndef WEIR_URING_RING_H
#define WEIR_URING_RING_H

#include "error.h"
#include "kernel.h"
#include "rung.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct weir_ring;

/**
 * struct weir_ring_opts - zero is the sensible default
 * @kernel:          NULL for weir_kernel_default(); must outlive the ring
 * @sq_entry_count:  0 for 1024; rounded up to a power of two, at most 32768
 * @cq_entry_count:  0 for 8 times the SQ; at least the SQ, at most 65536
 * @forced_off:      rungs that neither this ring nor a loop on it may use, as
 *                   if the kernel did not have them: weir_rung_bit() of each;
 *                   those that WEIR_FORCE_OFF names in the environment are
 *                   added (see rung.h). A KNOWN rung is only reported as
 *                   forced off: weir does not use it, and refuses no call of
 *                   the program
 */
struct weir_ring_opts {
	const struct weir_kernel *kernel;
	uint32_t sq_entry_count;
	uint32_t cq_entry_count;
	weir_rung_set forced_off;
};

/* Every counter of a ring: its name and what it counts. Monotone. Only the
 * ring's thread writes them; any thread may read (weir_ring_stats_read()).
 *
 * These numbers follow from the counters:
 *     SQEs per enter     sqes / enters
 *     CQEs per enter     cqes / enters
 *     CQEs per wake      cqes / enters_waiting, for a loop that sleeps in each
 *                        pass: a call that did not sleep leaves its
 *                        completions to the next one that would
 *     enters that slept  at most enters_waiting
 * A ring cannot see punts to kernel worker threads: see punt.h. Nor does it see
 * receives that found no buffer (-ENOBUFS): the caller counts them, as a loop
 * does (recv_enobufs). */
#define WEIR_RING_STATS(X)                                                     \
	X(enters, "io_uring_enter calls")                                      \
	X(enters_waiting, "of these, calls that were willing to sleep")        \
	X(enters_interrupted, "calls cut short by a signal (EINTR)")           \
	X(enters_timed_out, "calls that ended by their timeout (ETIME)")       \
	X(enters_refused, "calls refused for want of memory (EAGAIN, EBUSY)")  \
	X(enters_failed, "calls that failed with any other errno")             \
	X(enters_taskrun, "calls made because the kernel held more work back") \
	X(enters_short, "calls that left entries unsubmitted")                 \
	X(sqes, "submission queue entries taken")                              \
	X(sq_full, "times that the submission queue was full")                 \
	X(cqes, "completion queue entries reaped")                             \
	X(cq_overflows, "calls made to flush an overflowed completion queue")

struct weir_ring_stats {
#define WEIR_RING_STAT_FIELD(name, help) uint64_t name;
	WEIR_RING_STATS(WEIR_RING_STAT_FIELD)
#undef WEIR_RING_STAT_FIELD
};

#define WEIR_TIMEOUT_NEVER UINT64_MAX

/**
 * struct weir_wait - how long weir_ring_enter() may sleep
 * @want_count:   completions to wait for; 0 does not sleep. On a DEFER_TASKRUN
 *                ring also the batch size: one call returns at most max(20,
 *                @want_count) completions of deferred work
 * @timeout_ns:   relative, from now; WEIR_TIMEOUT_NEVER waits for ever
 * @min_wait_us:  after this time one completion is enough; 0: not used. Never
 *                longer than the timeout, and without effect if @want_count is
 *                1. A kernel before 6.12 lacks it: weir then shortens the
 *                timeout
 */
struct weir_wait {
	uint32_t want_count;
	uint32_t min_wait_us;
	uint64_t timeout_ns;
};

/**
 * weir_ring_open() - make a ring, not yet enabled
 * @ring:  caller's memory; after a failure it is closed and may be reused
 * @opts:  NULL for all defaults
 * @error: filled on failure, one clear line by cause; may be NULL
 *
 * Requests SINGLE_ISSUER + DEFER_TASKRUN + SUBMIT_ALL + NO_SQARRAY, and drops
 * one flag after the other while the kernel answers EINVAL. The ring starts
 * disabled, so any thread may open it and register its resources.
 *
 * Return: 0; -ENOSYS, -EPERM, -EACCES, -ENOMEM, -EMFILE as explained in
 *         @error; -EOPNOTSUPP if the kernel is older than 6.1; -EINVAL if an
 *         option is out of range, or WEIR_FORCE_OFF names an unknown rung (the
 *         environment is read here only). Thread: any.
 * Source: io_uring_setup(2).
 */
int weir_ring_open(struct weir_ring *ring, const struct weir_ring_opts *opts,
		   struct weir_error *error);

/**
 * weir_ring_enable() - the calling thread becomes the only one to use @ring
 *
 * Also registers the ring's descriptor with this thread if the kernel can
 * (Linux 5.18; 16 per thread).
 *
 * Return: 0; -EBADFD if enabled before. Source: io_uring_register(2),
 *         IORING_REGISTER_ENABLE_RINGS, Linux 5.10.
 */
int weir_ring_enable(struct weir_ring *ring);

/**
 * weir_ring_enter() - submit all that was taken, run deferred work, maybe wait
 * @wait: NULL for "do not sleep"
 *
 * Submits every entry that the kernel has not consumed yet: an interrupted or
 * short call loses nothing and submits nothing twice. While completions are
 * ready, or overflowed ones wait for room, it returns at once and does not
 * sleep; the caller reaps. The kernel runs deferred work (IORING_SQ_TASKRUN)
 * before it sleeps. That flag may be stale, so it must not keep a caller from
 * sleeping.
 *
 * Return: 0, also if the call was interrupted, timed out or lacked memory:
 *         reap, then call again. Fatal for the ring: -EBADR if the kernel
 *         dropped a completion, -EEXIST on the wrong thread, -EBADFD before
 *         enable. Thread: the ring's own.
 * Source: io_uring_enter(2).
 */
int weir_ring_enter(struct weir_ring *ring, const struct weir_wait *wait);

/**
 * weir_ring_close() - unmap and close; takes a half-open ring as well
 *
 * Unmaps before it closes: a remaining mapping would keep the ring alive, with
 * every armed accept and its port. The kernel cancels requests in flight
 * asynchronously.
 *
 * Thread: the ring's own, or any once that thread has ended.
 */
void weir_ring_close(struct weir_ring *ring);

/** weir_ring_fd() - the descriptor, for fdinfo and register calls. */
int weir_ring_fd(const struct weir_ring *ring);

/** weir_ring_setup_flags() - the IORING_SETUP_* that the kernel granted. */
uint32_t weir_ring_setup_flags(const struct weir_ring *ring);

/** weir_ring_forced_off() - the rungs that the ring may not use, as
 *                           options and environment said at open. */
weir_rung_set weir_ring_forced_off(const struct weir_ring *ring);

/** weir_ring_sq_entry_count() - size of the submission queue, as granted. */
uint32_t weir_ring_sq_entry_count(const struct weir_ring *ring);

/** weir_ring_cq_entry_count() - size of the completion queue, as granted. */
uint32_t weir_ring_cq_entry_count(const struct weir_ring *ring);

/** weir_ring_features() - the IORING_FEAT_* that the kernel reported. */
uint32_t weir_ring_features(const struct weir_ring *ring);

/**
 * weir_ring_register() - io_uring_register(2) on this ring
 *
 * Return: what the call returns, or a negative errno. Thread: any until
 *         weir_ring_enable(), then the ring's own (-EEXIST otherwise).
 */
int weir_ring_register(struct weir_ring *ring, uint32_t opcode, void *arg,
		       uint32_t arg_count);

/**
 * weir_ring_stats_read() - copy the counters
 *
 * Thread: any. Each value is whole, but the values are not from one instant.
 */
void weir_ring_stats_read(const struct weir_ring *ring,
			  struct weir_ring_stats *out_stats);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
