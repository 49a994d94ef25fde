/* ring.c - enable and enter a ring
 *
 * Invariant: sq_tail minus the kernel's SQ head is the number of entries left
 * to submit. No other variable holds it.
 *
 * Not here: the hot path (ring_inline.h), the operations (op.h), open and close
 * (ring_open.c).
 */
#include "ring_inline.h"
#include "ring_priv.h"

#include "enter_priv.h"
#include "mutant.h"

#include <errno.h>
#include <pthread.h>

enum {
	NS_PER_S = 1000000000,
	NS_PER_US = 1000,
};

#define FAR_AWAY_NS (UINT64_C(86400) * NS_PER_S) /* a day */

static _Thread_local uint64_t own_ticket;

/* Runs in the child of a fork, on its only thread. */
static void ticket_forget(void)
{
	own_ticket = 0;
}

static void ticket_watch_forks(void)
{
	/* Fails without memory: a child then passes for its parent. */
	(void)pthread_atfork(NULL, NULL, ticket_forget);
}

/* A number that only the calling thread ever has. A pthread_t is not unique: a
 * new thread may reuse it, and a forked child has its parent's. */
static uint64_t thread_ticket(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static uint64_t last_ticket;
	if (own_ticket == 0) {
		(void)pthread_once(&once, ticket_watch_forks);
		own_ticket = wi_add_fetch_relaxed_u64(&last_ticket, 1);
	}
	return own_ticket;
}

/* The kernel detects a foreign thread on a SINGLE_ISSUER ring only. On another
 * thread a registered index names another ring, or none. */
static bool ring_is_foreign(const struct weir_ring *ring)
{
	return ring->owner != 0 && ring->owner != thread_ticket();
}

int weir_ring_enable(struct weir_ring *ring)
{
	int err =
		weir_ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (err < 0)
		return err;
	ring->owner = thread_ticket();
	if ((ring->forced_off & weir_rung_bit(WEIR_RUNG_REGISTERED_RING)) != 0)
		return 0;

	struct io_uring_rsrc_update update = {
		.offset = UINT32_MAX, /* the kernel chooses the slot */
		.data = (uint64_t)ring->fd,
	};
	/* A refusal (16 slots per thread) costs only some nanoseconds. */
	int result =
		weir_ring_register(ring, IORING_REGISTER_RING_FDS, &update, 1);
	if (result < 0) {
		ring->registered_err = result;
		return 0;
	}
	assert(result == 1); /* of one */
	ring->enter_fd = (int)update.offset;
	ring->enter_flags |= IORING_ENTER_REGISTERED_RING;
	ring->has_registered_fd = true;
	return 0;
}

/* A wait without a time limit omits the extended argument: the kernel would
 * have to copy it from user memory. */
static bool ring_wait_is_unlimited(const struct weir_wait *wait)
{
	return wait->timeout_ns == WEIR_TIMEOUT_NEVER &&
	       (wait->want_count <= 1 || wait->min_wait_us == 0);
}

/* The limits of a call that may sleep, independent of how they are passed. */
struct ring_sleep {
	uint64_t timeout_ns;
	uint32_t min_wait_us;
};

/* For a wait with a time limit; the result always has a timeout. */
static struct ring_sleep ring_sleep(const struct weir_ring *ring,
				    const struct weir_wait *wait)
{
	struct ring_sleep sleep = { .timeout_ns = wait->timeout_ns };
	uint64_t min_wait_ns = 0;

	/* A wait for one completion needs no min-wait. A min-wait longer than
	 * the timeout would replace the timeout. */
	if (wait->want_count > 1)
		min_wait_ns = (uint64_t)wait->min_wait_us * NS_PER_US;
	if (min_wait_ns > sleep.timeout_ns)
		min_wait_ns = sleep.timeout_ns;

	if (min_wait_ns > 0 && !ring->has_min_wait) {
		sleep.timeout_ns = min_wait_ns;
	} else if (min_wait_ns > 0) {
		sleep.min_wait_us = (uint32_t)(min_wait_ns / NS_PER_US);
		/* Without a timeout, the end of the min-wait ends the call even
		 * without a completion (seen on 6.18): an idle loop would
		 * spin. */
		if (sleep.timeout_ns == WEIR_TIMEOUT_NEVER)
			sleep.timeout_ns = FAR_AWAY_NS;
	}
	assert(sleep.timeout_ns != WEIR_TIMEOUT_NEVER);
	return sleep;
}

/* The argument of one call, and the memory that it points to. */
struct ring_arg {
	struct io_uring_getevents_arg plain;
	struct weir_kernel_timespec timespec;
	const void *pointer;
	size_t byte_count;
	uint32_t flags;
};

static void ring_arg_fill(struct weir_ring *ring, const struct ring_sleep sleep,
			  struct ring_arg *arg)
{
	const struct weir_kernel_timespec timespec = {
		.tv_sec = (int64_t)(sleep.timeout_ns / NS_PER_S),
		.tv_nsec = (int64_t)(sleep.timeout_ns % NS_PER_S),
	};
	struct io_uring_reg_wait *region = ring->wait_region;
	if (region != NULL) {
		region->ts = timespec;
		region->min_wait_usec = sleep.min_wait_us;
		region->flags = IORING_REG_WAIT_TS;
		arg->pointer = NULL; /* an offset: the region's first entry */
		arg->byte_count = sizeof(*region);
		arg->flags = IORING_ENTER_EXT_ARG | IORING_ENTER_EXT_ARG_REG;
		return;
	}
	arg->timespec = timespec;
	arg->plain = (struct io_uring_getevents_arg){
		.min_wait_usec = sleep.min_wait_us,
		.ts = (uint64_t)(uintptr_t)&arg->timespec,
	};
	arg->pointer = &arg->plain;
	arg->byte_count = sizeof(arg->plain);
	arg->flags = IORING_ENTER_EXT_ARG;
}

/* How many completions this call may sleep for.
 *
 * It ignores IORING_SQ_TASKRUN: the kernel runs deferred work before it sleeps.
 * The flag can be stale: the kernel queues the work and then sets the flag, and
 * if the work has run in between the flag stays set without work. A loop that
 * does not sleep because of the flag spins (seen on 6.18, for milliseconds). */
static uint32_t ring_want(const struct weir_ring *ring,
			  const struct weir_wait *wait, uint32_t held_back)
{
	if (wait == NULL || weir_ring_ready(ring) > 0)
		return 0;
	if ((held_back & IORING_SQ_CQ_OVERFLOW) != 0)
		return 0;
	return wait->want_count;
}

static void ring_count_held_back(struct weir_ring *ring, uint32_t held_back)
{
	if ((held_back & IORING_SQ_TASKRUN) != 0)
		wi_counter_add(&ring->stats.enters_taskrun, 1);
	if ((held_back & IORING_SQ_CQ_OVERFLOW) != 0)
		wi_counter_add(&ring->stats.cq_overflows, 1);
}

static __attribute__((noinline, cold)) int ring_enter_refused(
	struct weir_ring *ring, int result)
{
	switch (result) {
	case -EINTR:
		wi_counter_add(&ring->stats.enters_interrupted, 1);
		return 0;
	case -ETIME:
		wi_counter_add(&ring->stats.enters_timed_out, 1);
		return 0;
	case -EAGAIN:
	case -EBUSY:
	case -ENOMEM:
		wi_counter_add(&ring->stats.enters_refused, 1);
		ring->refused_err = result;
		return 0;
	default:
		wi_counter_add(&ring->stats.enters_failed, 1);
		return result;
	}
}

/* Enters through struct weir_kernel, or directly for the real kernel, which
 * saves the indirect call (see enter_priv.h). */
static inline int ring_kernel_enter(struct weir_ring *ring, uint32_t want_count,
				    uint32_t flags, const void *arg,
				    size_t arg_bytes)
{
	const struct weir_kernel *kernel = ring->kernel;
	uint32_t submit_count =
		WI_MUTANT("entries-are-forgotten-after-eintr",
			  weir_ring_unsubmitted(ring),
			  (uint32_t)ring->sq_tail - (uint32_t)ring->stats.sqes);
	int result;
	flags |= ring->enter_flags |
		 WI_MUTANT("overflow-list-is-not-asked-for",
			   IORING_ENTER_GETEVENTS,
			   want_count > 0 ? IORING_ENTER_GETEVENTS : 0);
	wi_counter_add(&ring->stats.enters, 1);
	if (__builtin_expect(kernel->enter == wi_linux_enter, 1))
		result = wi_enter(ring->enter_fd, submit_count, want_count,
				  flags, arg, arg_bytes);
	else
		result =
			kernel->enter(kernel->ctx, ring->enter_fd, submit_count,
				      want_count, flags, arg, arg_bytes);
	if (__builtin_expect(weir_ring_unsubmitted(ring) > 0, 0))
		wi_counter_add(&ring->stats.enters_short, 1);
	return result >= 0 ? 0 : ring_enter_refused(ring, result);
}

/* A separate function, so that a wait without a time limit does not need this
 * stack frame. */
static __attribute__((noinline)) int ring_enter_limited(
	struct weir_ring *ring, const struct weir_wait *wait)
{
	struct ring_arg arg;
	ring_arg_fill(ring, ring_sleep(ring, wait), &arg);
	return ring_kernel_enter(ring, wait->want_count, arg.flags, arg.pointer,
				 arg.byte_count);
}

int weir_ring_enter(struct weir_ring *ring, const struct weir_wait *wait)
{
	if (__builtin_expect(ring_is_foreign(ring), 0))
		return -EEXIST;

	weir_ring_publish(ring);
	uint32_t held_back = weir_ring_held_back(ring);
	if (__builtin_expect(held_back != 0, 0))
		ring_count_held_back(ring, held_back);

	uint32_t want_count = ring_want(ring, wait, held_back);
	if (want_count > 0) {
		wi_counter_add(&ring->stats.enters_waiting, 1);
		if (!ring_wait_is_unlimited(wait))
			return ring_enter_limited(ring, wait);
	}
	return ring_kernel_enter(ring, want_count, 0, NULL, 0);
}

void wi_ring_forget_index(struct weir_ring *ring)
{
	/* If that thread has ended, its indices are already free. */
	if (ring->has_registered_fd && !ring_is_foreign(ring)) {
		struct io_uring_rsrc_update update = {
			.offset = (uint32_t)ring->enter_fd,
		};
		(void)weir_ring_register(ring, IORING_UNREGISTER_RING_FDS,
					 &update, 1); /* it was there */
	}
	ring->has_registered_fd = false;
	ring->enter_flags &= ~(uint32_t)IORING_ENTER_REGISTERED_RING;
}

int weir_ring_fd(const struct weir_ring *ring)
{
	return ring->fd;
}

uint32_t weir_ring_setup_flags(const struct weir_ring *ring)
{
	return ring->setup_flags;
}

weir_rung_set weir_ring_forced_off(const struct weir_ring *ring)
{
	return ring->forced_off;
}

uint32_t weir_ring_sq_entry_count(const struct weir_ring *ring)
{
	return ring->sq_entry_count;
}

uint32_t weir_ring_cq_entry_count(const struct weir_ring *ring)
{
	return ring->cq_entry_count;
}

uint32_t weir_ring_features(const struct weir_ring *ring)
{
	return ring->features;
}

int weir_ring_register(struct weir_ring *ring, uint32_t opcode, void *arg,
		       uint32_t arg_count)
{
	return ring->kernel->register_op(ring->kernel->ctx, ring->fd, opcode,
					 arg, arg_count);
}

void weir_ring_stats_read(const struct weir_ring *ring,
			  struct weir_ring_stats *out_stats)
{
#define RING_STAT_COPY(name, help)                                             \
	out_stats->name = wi_load_relaxed_u64(&ring->stats.name);
	WEIR_RING_STATS(RING_STAT_COPY)
#undef RING_STAT_COPY
}
