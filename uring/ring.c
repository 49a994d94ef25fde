/* ring.c - open, enable, enter, close
 *
 * Invariant: what is left to submit is sq_tail minus the kernel's SQ head, and
 * nothing else remembers it.
 *
 * Not here: the hot path (ring_inline.h), the operations (op.h), what a failed
 * set-up means (diagnose.c).
 */
#include "ring_inline.h"
#include "ring_priv.h"

#include "diagnose.h"
#include "enter_priv.h"
#include "mutant.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	SQ_ENTRIES_DEFAULT = 1024,
	SQ_ENTRIES_MAX = 32768,
	CQ_ENTRIES_MAX = 65536,
	CQ_PER_SQ_DEFAULT = 8,
	NS_PER_S = 1000000000,
	NS_PER_US = 1000,
};

#define FAR_AWAY_NS (UINT64_C(86400) * NS_PER_S) /* a day */

#define SETUP_ALWAYS                                                           \
	(IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED)
#define SETUP_DEFER                                                            \
	(SETUP_ALWAYS | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | \
	 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG)

/* Best first. EINVAL, or a flag whose rung is forced off, goes one down. */
static const uint32_t setup_rungs[] = {
	SETUP_DEFER | IORING_SETUP_NO_SQARRAY,   /* 6.6 */
	SETUP_DEFER,                             /* 6.1 */
	SETUP_ALWAYS | IORING_SETUP_SUBMIT_ALL | /* 5.19 */
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	SETUP_ALWAYS, /* 5.10 */
};

static uint64_t ring_estimate_bytes(const struct io_uring_params *params)
{
	return (uint64_t)params->sq_entries * sizeof(struct io_uring_sqe) +
	       (uint64_t)params->cq_entries * sizeof(struct io_uring_cqe);
}

/* Set-up flags that a rung stands for. */
static uint32_t ring_rung_flags(weir_rung_set rungs)
{
	uint32_t flags = 0;
	if ((rungs & weir_rung_bit(WEIR_RUNG_DEFER_TASKRUN)) != 0)
		flags |= IORING_SETUP_DEFER_TASKRUN;
	if ((rungs & weir_rung_bit(WEIR_RUNG_COOP_TASKRUN)) != 0)
		flags |= IORING_SETUP_COOP_TASKRUN;
	if ((rungs & weir_rung_bit(WEIR_RUNG_NO_SQARRAY)) != 0)
		flags |= IORING_SETUP_NO_SQARRAY;
	return flags;
}

/* The descriptor of the best rung that the kernel grants. */
static int ring_setup(struct weir_ring *ring, uint32_t sq_entry_count,
		      uint32_t cq_entry_count, struct io_uring_params *params)
{
	const size_t rung_count = sizeof(setup_rungs) / sizeof(setup_rungs[0]);
	/* SUBMIT_ALL is part of several rungs and goes without them. */
	const uint32_t never =
		(ring->forced_off & weir_rung_bit(WEIR_RUNG_SUBMIT_ALL)) != 0
			? IORING_SETUP_SUBMIT_ALL
			: 0;
	const uint32_t forbidden = ring_rung_flags(ring->forced_off);
	int fd = -EINVAL;

	for (size_t i = 0; i < rung_count; i++) {
		const uint32_t flags = setup_rungs[i] & ~never;
		if ((flags & forbidden) != 0)
			continue;
		*params = (struct io_uring_params){
			.flags = flags,
			.cq_entries = cq_entry_count,
		};
		fd = ring->kernel->setup(ring->kernel->ctx, sq_entry_count,
					 params);
		if (fd != -EINVAL)
			break;
		ring->setup_err = fd;
	}
	return fd;
}

int wi_ring_map(struct weir_ring *ring, const struct io_uring_params *params)
{
	const struct weir_kernel *kernel = ring->kernel;
	size_t cqes_end = params->cq_off.cqes +
			  params->cq_entries * sizeof(struct io_uring_cqe);
	size_t array_end =
		params->sq_off.array + params->sq_entries * sizeof(uint32_t);
	size_t ring_bytes = array_end > cqes_end ? array_end : cqes_end;
	size_t sqes_bytes = params->sq_entries * sizeof(struct io_uring_sqe);
	void *memory = NULL;

	int err = kernel->map(kernel->ctx, ring_bytes, ring->fd,
			      IORING_OFF_SQ_RING, &memory);
	if (err < 0)
		return err;
	ring->ring_memory = memory;
	ring->ring_bytes = ring_bytes;

	err = kernel->map(kernel->ctx, sqes_bytes, ring->fd, IORING_OFF_SQES,
			  &memory);
	if (err < 0)
		return err;
	ring->sqes = memory;
	ring->sqes_bytes = sqes_bytes;
	return 0;
}

void wi_ring_wire(struct weir_ring *ring, const struct io_uring_params *params)
{
	char *base = ring->ring_memory;
	ring->kernel_sq_head = (uint32_t *)(void *)(base + params->sq_off.head);
	ring->kernel_sq_tail = (uint32_t *)(void *)(base + params->sq_off.tail);
	ring->kernel_sq_flags =
		(uint32_t *)(void *)(base + params->sq_off.flags);
	ring->kernel_cq_head = (uint32_t *)(void *)(base + params->cq_off.head);
	ring->kernel_cq_tail = (uint32_t *)(void *)(base + params->cq_off.tail);
	ring->cqes =
		(struct io_uring_cqe *)(void *)(base + params->cq_off.cqes);

	ring->sq_entry_count = params->sq_entries;
	ring->sq_mask = params->sq_entries - 1;
	ring->cq_entry_count = params->cq_entries;
	ring->cq_mask = params->cq_entries - 1;
	wi_region_poison(ring->cqes,
			 params->cq_entries * sizeof(struct io_uring_cqe));

	/* Where the kernel keeps an index array, entry i names SQE i for ever.
	 */
	if ((params->flags & IORING_SETUP_NO_SQARRAY) == 0) {
		uint32_t *array =
			(uint32_t *)(void *)(base + params->sq_off.array);
		for (uint32_t i = 0; i < params->sq_entries; i++)
			array[i] = i;
	}
}

/* 6.1 is recognised by what it can do: it was the first with SENDMSG_ZC. */
static int ring_require_6_1(struct weir_ring *ring, struct weir_error *error)
{
	struct io_uring_probe probe = { .last_op = 0 };
	int err = weir_ring_register(ring, IORING_REGISTER_PROBE, &probe,
				     WEIR_PROBE_OP_COUNT);
	if (err < 0)
		return weir_error_set(error, err,
				      "the kernel does not tell which ring "
				      "operations it has: %s",
				      strerror(-err));
	if (probe.last_op < IORING_OP_SENDMSG_ZC)
		return weir_error_set(
			error, -EOPNOTSUPP,
			"this kernel is too old: its last ring "
			"operation is %u, and weir needs %u "
			"(SENDMSG_ZC) and multishot receive, that "
			"is Linux 6.1 or newer",
			probe.last_op, IORING_OP_SENDMSG_ZC);
	return 0;
}

static int ring_explain(struct weir_error *error, int err, uint64_t ring_bytes)
{
	struct weir_host_facts facts;
	weir_host_facts_read(&facts);
	return weir_diagnose_setup(err, ring_bytes, &facts, error);
}

/* The ring is there: it is the process that has no room to see it. */
static int ring_explain_map(struct weir_error *error, int err,
			    uint64_t ring_bytes)
{
	return weir_error_set(error, err,
			      "cannot map a ring of %llu KiB: %s; see "
			      "`ulimit -v` and sysctl vm.max_map_count",
			      (unsigned long long)ring_bytes / 1024,
			      strerror(-err));
}

static _Thread_local uint64_t own_ticket;

/* In the child of a fork, which is its only thread. */
static void ticket_forget(void)
{
	own_ticket = 0;
}

static void ticket_watch_forks(void)
{
	/* Out of memory: a child is taken for its parent. */
	(void)pthread_atfork(NULL, NULL, ticket_forget);
}

/* Names the calling thread for ever, as no thread id does: the pthread_t of a
 * thread that has ended is soon another's, and that of a child its parent's. */
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

/* The kernel itself notices on a SINGLE_ISSUER ring only, and a registered
 * index names another ring on another thread, or none. */
static bool ring_is_foreign(const struct weir_ring *ring)
{
	return ring->owner != 0 && ring->owner != thread_ticket();
}

/* Zeros become the defaults. */
static int ring_read_sizes(const struct weir_ring_opts *opts,
			   uint32_t *out_sq_entry_count,
			   uint32_t *out_cq_entry_count,
			   struct weir_error *error)
{
	uint32_t sq_entry_count = opts->sq_entry_count != 0
					  ? opts->sq_entry_count
					  : SQ_ENTRIES_DEFAULT;
	uint32_t cq_entry_count = opts->cq_entry_count;

	if (sq_entry_count > SQ_ENTRIES_MAX)
		return weir_error_set(error, -EINVAL,
				      "%u submission entries asked for; the "
				      "kernel's limit is %d",
				      sq_entry_count, SQ_ENTRIES_MAX);
	if (cq_entry_count == 0)
		cq_entry_count = sq_entry_count * CQ_PER_SQ_DEFAULT;
	if (cq_entry_count > CQ_ENTRIES_MAX)
		cq_entry_count = CQ_ENTRIES_MAX;
	if (cq_entry_count < sq_entry_count)
		return weir_error_set(error, -EINVAL,
				      "%u completion entries are fewer than "
				      "the %u submission entries",
				      cq_entry_count, sq_entry_count);
	*out_sq_entry_count = sq_entry_count;
	*out_cq_entry_count = cq_entry_count;
	return 0;
}

static void ring_use_features(struct weir_ring *ring)
{
	const weir_rung_set off = ring->forced_off;
	ring->has_min_wait = (off & weir_rung_bit(WEIR_RUNG_MIN_WAIT)) == 0 &&
			     (ring->features & IORING_FEAT_MIN_TIMEOUT) != 0;
	if ((off & weir_rung_bit(WEIR_RUNG_NO_IOWAIT)) == 0 &&
	    (ring->features & IORING_FEAT_NO_IOWAIT) != 0)
		ring->enter_flags |= IORING_ENTER_NO_IOWAIT;
	if ((off & weir_rung_bit(WEIR_RUNG_WAIT_REGION)) == 0)
		wi_wait_region_open(ring);
}

int weir_ring_open(struct weir_ring *ring, const struct weir_ring_opts *opts,
		   struct weir_error *error)
{
	static const struct weir_ring_opts defaults;
	if (opts == NULL)
		opts = &defaults;
	uint32_t sq_entry_count = 0;
	uint32_t cq_entry_count = 0;

	*ring = (struct weir_ring){
		.fd = -1,
		.kernel = opts->kernel != NULL ? opts->kernel
					       : weir_kernel_default(),
	};
	int err = weir_rungs_forced_off(&ring->forced_off, error);
	if (err < 0)
		return err;
	ring->forced_off |= opts->forced_off;
	err = ring_read_sizes(opts, &sq_entry_count, &cq_entry_count, error);
	if (err < 0)
		return err;

	struct io_uring_params params;
	int fd = ring_setup(ring, sq_entry_count, cq_entry_count, &params);
	if (fd < 0) {
		params.sq_entries = sq_entry_count;
		params.cq_entries = cq_entry_count;
		return ring_explain(error, fd, ring_estimate_bytes(&params));
	}
	ring->fd = fd;
	ring->enter_fd = fd;

	err = wi_ring_map(ring, &params);
	if (err < 0) {
		(void)ring_explain_map(error, err,
				       ring_estimate_bytes(&params));
		goto fail;
	}
	wi_ring_wire(ring, &params);
	ring->setup_flags = params.flags;
	ring->features = params.features;
	err = ring_require_6_1(ring, error);
	if (err < 0)
		goto fail;
	ring_use_features(ring);
	return 0;

fail:
	weir_ring_close(ring);
	return err;
}

int wi_ring_open_exact(struct weir_ring *ring, const struct weir_kernel *kernel,
		       uint32_t sq_entry_count, uint32_t setup_flags)
{
	struct io_uring_params params = { .flags = setup_flags };

	*ring = (struct weir_ring){
		.fd = -1,
		.kernel = kernel,
		.forced_off = weir_rung_bit(WEIR_RUNG_REGISTERED_RING),
	};
	int fd = kernel->setup(kernel->ctx, sq_entry_count, &params);
	if (fd < 0)
		return fd;
	ring->fd = fd;
	ring->enter_fd = fd;

	int err = wi_ring_map(ring, &params);
	if (err < 0) {
		weir_ring_close(ring);
		return err;
	}
	wi_ring_wire(ring, &params);
	return 0;
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
	/* A refusal (16 slots per thread) costs some nanoseconds, no more. */
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

/* A wait without any limit of time goes without the extended argument, which
 * costs the kernel a guarded copy of user memory. */
static bool ring_wait_is_unlimited(const struct weir_wait *wait)
{
	return wait->timeout_ns == WEIR_TIMEOUT_NEVER &&
	       (wait->want_count <= 1 || wait->min_wait_us == 0);
}

/* What a call that may sleep asks for, however it is handed over. */
struct ring_sleep {
	uint64_t timeout_ns;
	uint32_t min_wait_us;
};

/* Its timeout has an end: who waits for ever goes without (see above). */
static struct ring_sleep ring_sleep(const struct weir_ring *ring,
				    const struct weir_wait *wait)
{
	struct ring_sleep sleep = { .timeout_ns = wait->timeout_ns };
	uint64_t min_wait_ns = 0;

	/* Who waits for one needs no min-wait; longer than the timeout, it
	 * would replace it. */
	if (wait->want_count > 1)
		min_wait_ns = (uint64_t)wait->min_wait_us * NS_PER_US;
	if (min_wait_ns > sleep.timeout_ns)
		min_wait_ns = sleep.timeout_ns;

	if (min_wait_ns > 0 && !ring->has_min_wait) {
		sleep.timeout_ns = min_wait_ns;
	} else if (min_wait_ns > 0) {
		sleep.min_wait_us = (uint32_t)(min_wait_ns / NS_PER_US);
		/* Without a timeout behind it, the end of the min-wait ends
		 * the call even if nothing came (seen on 6.18): an idle loop
		 * would spin. */
		if (sleep.timeout_ns == WEIR_TIMEOUT_NEVER)
			sleep.timeout_ns = FAR_AWAY_NS;
	}
	assert(sleep.timeout_ns != WEIR_TIMEOUT_NEVER);
	return sleep;
}

/* The argument of one call, and the memory behind it. */
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
 * With IORING_SQ_TASKRUN set it may still ask the kernel to wait: the kernel
 * runs the work that it holds back before it sleeps. The flag itself may not
 * decide: the kernel sets it after it has queued the work, and when the work
 * was run in between it stays set with nothing behind it. A loop that does not
 * sleep because of it spins (seen on 6.18, for milliseconds). */
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

/* Through the seam; where it is known what stands behind it, without the call
 * by pointer (see enter_priv.h). */
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

/* Apart, so that who waits without a limit of time does not carry the stack
 * frame of those who do. */
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
	/* A thread that has ended has given its indices back. */
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

void wi_ring_unmap(struct weir_ring *ring)
{
	const struct weir_kernel *kernel = ring->kernel;

	/* What is mapped there next is somebody else's. */
	if (ring->sqes != NULL) {
		wi_region_unpoison(ring->sqes, ring->sqes_bytes);
		(void)kernel->unmap(kernel->ctx, ring->sqes, ring->sqes_bytes);
	}
	if (ring->ring_memory != NULL) {
		wi_region_unpoison(ring->ring_memory, ring->ring_bytes);
		(void)kernel->unmap(kernel->ctx, ring->ring_memory,
				    ring->ring_bytes);
	}
	ring->sqes = NULL;
	ring->ring_memory = NULL;
}

void weir_ring_close(struct weir_ring *ring)
{
	const struct weir_kernel *kernel = ring->kernel;

	wi_ring_forget_index(ring);
	wi_ring_unmap(ring);
	if (ring->fd >= 0)
		(void)kernel->close(kernel->ctx, ring->fd);
	ring->fd = -1;
	wi_wait_region_close(ring);
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
