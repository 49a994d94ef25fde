/* ring_open.c - open and close a ring
 *
 *     sizes --> the best setup flags that the kernel grants --> map, wire
 *
 * Not here: what a failed setup means (diagnose.c), resizing (extra/resize.c).
 */
#include "ring_inline.h"
#include "ring_priv.h"

#include "diagnose.h"

#include <errno.h>
#include <string.h>

enum {
	SQ_ENTRIES_DEFAULT = 1024,
	SQ_ENTRIES_MAX = 32768,
	CQ_ENTRIES_MAX = 65536,
	CQ_PER_SQ_DEFAULT = 8,
};

#define SETUP_ALWAYS                                                           \
	(IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED)
#define SETUP_DEFER                                                            \
	(SETUP_ALWAYS | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | \
	 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG)

/* Best first. On EINVAL, or if a flag's rung is forced off, the next one is
 * tried. */
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

/* The setup flags of a set of rungs. */
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

/* Returns the descriptor of a ring with the best flags that the kernel
 * grants. */
static int ring_setup(struct weir_ring *ring, uint32_t sq_entry_count,
		      uint32_t cq_entry_count, struct io_uring_params *params)
{
	const size_t rung_count = sizeof(setup_rungs) / sizeof(setup_rungs[0]);
	/* SUBMIT_ALL is part of several entries, so it is removed by itself. */
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

	/* If the kernel uses an index array, entry i always names SQE i. */
	if ((params->flags & IORING_SETUP_NO_SQARRAY) == 0) {
		uint32_t *array =
			(uint32_t *)(void *)(base + params->sq_off.array);
		for (uint32_t i = 0; i < params->sq_entries; i++)
			array[i] = i;
	}
}

/* SENDMSG_ZC identifies 6.1: that version was the first to have it. */
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

/* The kernel made the ring, but this process cannot map it. */
static int ring_explain_map(struct weir_error *error, int err,
			    uint64_t ring_bytes)
{
	return weir_error_set(error, err,
			      "cannot map a ring of %llu KiB: %s; see "
			      "`ulimit -v` and sysctl vm.max_map_count",
			      (unsigned long long)ring_bytes / 1024,
			      strerror(-err));
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

static int ring_attach(struct weir_ring *ring, int fd,
		       const struct io_uring_params *params)
{
	ring->fd = fd;
	ring->enter_fd = fd;
	int err = wi_ring_map(ring, params);
	if (err < 0)
		return err;
	wi_ring_wire(ring, params);
	return 0;
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
	err = ring_attach(ring, fd, &params);
	if (err < 0) {
		(void)ring_explain_map(error, err,
				       ring_estimate_bytes(&params));
		goto fail;
	}
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
	int err = ring_attach(ring, fd, &params);
	if (err < 0)
		weir_ring_close(ring);
	return err;
}

void wi_ring_unmap(struct weir_ring *ring)
{
	const struct weir_kernel *kernel = ring->kernel;

	/* Unpoison first: another mapping may reuse the address. */
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
