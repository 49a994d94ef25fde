/* loop_open.c - making and freeing a loop
 *
 * One arena holds all that a loop will ever use: sizes are added up, mapped as
 * address space, and carved. Nothing is allocated after that.
 */
#include "loop_priv.h"
#include "loop_struct.h"

#include "../../uring/diagnose.h"
#include "../../uring/filetab.h"
#include "../../uring/mutant.h"

#include <errno.h>
#include <string.h>

enum {
	CONN_COUNT_DEFAULT = 8192,
	BACKLOG_DEFAULT = 4096,
	BACKLOG_MIN = 16,
	BUF_COUNT_DEFAULT = 1024,
	BUF_BYTES_DEFAULT = 16 * 1024,
	BUF_BYTES_MAX = 1024 * 1024,
	BLOCK_MEMORY_DEFAULT = 512 * 1024 * 1024,
	BATCH_WAIT_US_MAX = 50,
	NS_PER_MS = 1000000,
};

static void default_u32(uint32_t *value, uint32_t fallback)
{
	if (*value == 0)
		*value = fallback;
}

static void default_size(size_t *value, size_t fallback)
{
	if (*value == 0)
		*value = fallback;
}

static void opts_resolve(struct weir_loop_opts *opts)
{
	default_u32(&opts->conn_count, CONN_COUNT_DEFAULT);
	default_u32(&opts->backlog, BACKLOG_DEFAULT);
	default_u32(&opts->buf_count, BUF_COUNT_DEFAULT);
	default_u32(&opts->buf_bytes, BUF_BYTES_DEFAULT);
	default_size(&opts->block_memory_bytes, BLOCK_MEMORY_DEFAULT);
	default_u32(&opts->batch_wait_us, BATCH_WAIT_US_MAX);
	if (opts->batch_wait_us == WEIR_NO_BATCH)
		opts->batch_wait_us = 0;
	opts->block_memory_bytes = wi_blocks_round(opts->block_memory_bytes);
}

/* The table of direct descriptors cannot have more slots than the limit of open
 * files. Beyond conn_count it needs room for two backlogs: one that is accepted
 * in the very call in which accepting is to pause, and one that arrives
 * meanwhile. */
static int opts_fit_backlog(struct weir_loop_opts *opts, uint64_t fd_limit,
			    struct weir_error *error)
{
	uint64_t least = opts->conn_count + UINT64_C(2) * BACKLOG_MIN;
	if (least > fd_limit)
		return weir_error_set(
			error, -EMFILE,
			"%u connections per loop need %llu descriptors and the "
			"limit is %llu: raise `ulimit -n` or ask for fewer",
			opts->conn_count, (unsigned long long)least,
			(unsigned long long)fd_limit);
	uint64_t room = (fd_limit - opts->conn_count) / 2;
	if (opts->backlog > room)
		opts->backlog = (uint32_t)room;
	return 0;
}

static int opts_check(const struct weir_loop_opts *opts,
		      struct weir_error *error)
{
	if (opts->buf_bytes > BUF_BYTES_MAX)
		return weir_error_set(error, -EINVAL,
				      "receive buffers of %u bytes asked for; "
				      "the limit is %d",
				      opts->buf_bytes, BUF_BYTES_MAX);
	if (opts->batch_wait_us > BATCH_WAIT_US_MAX)
		return weir_error_set(error, -EINVAL,
				      "a batch wait of %u us asked for; the "
				      "limit is %d us",
				      opts->batch_wait_us, BATCH_WAIT_US_MAX);
	return 0;
}

static uint32_t loop_slot_count(const struct weir_loop_opts *opts)
{
	return opts->conn_count + 2 * opts->backlog;
}

/* The size of every piece. loop_carve() takes the same pieces: keep in step. */
static size_t loop_bytes(const struct weir_loop_opts *opts)
{
	const size_t slots = loop_slot_count(opts);
	size_t sum = 0;
	wi_arena_add(&sum, sizeof(struct weir_loop));
	wi_arena_add(&sum, slots * wi_conn_bytes());
	wi_arena_add(&sum, slots * sizeof(uint32_t));
	wi_arena_add(&sum, slots * sizeof(uint32_t));
	wi_arena_add(&sum, slots * sizeof(uint32_t));
	wi_arena_add(&sum, WEIR_SERVICES_MAX * sizeof(struct wi_service));
	wi_arena_add(&sum, WI_WHEEL_SLOTS * sizeof(struct wi_timer *));
	wi_arena_add(&sum, WI_GATHER_SLOTS * sizeof(struct wi_gather));
	wi_arena_add(&sum, opts->buf_count * sizeof(uint16_t));
	wi_arena_add(&sum, (size_t)opts->buf_count * opts->buf_bytes);
	wi_arena_add(&sum, wi_blocks_table_bytes(opts->block_memory_bytes));
	wi_arena_add(&sum, opts->block_memory_bytes);
	return sum;
}

/* Returns the memory of the receive buffers; *out_parked: their list of parked
 * ones. */
static void *loop_carve(struct weir_loop *loop, uint16_t **out_parked)
{
	const struct weir_loop_opts *opts = &loop->opts;
	struct wi_arena *arena = &loop->arena;
	struct wi_core *core = &loop->core;
	const uint32_t slots = loop_slot_count(opts);

	const struct wi_conns_memory memory = {
		.slots = wi_arena_carve(arena, slots * wi_conn_bytes()),
		.marks = wi_arena_carve(arena, slots * sizeof(uint32_t)),
		.marks_spare = wi_arena_carve(arena, slots * sizeof(uint32_t)),
		.waiters = wi_arena_carve(arena, slots * sizeof(uint32_t)),
		.services = wi_arena_carve(
			arena, WEIR_SERVICES_MAX * sizeof(struct wi_service)),
		.slot_count = slots,
	};
	wi_conns_init(&loop->conns, core, loop, &memory);
	wi_wheel_init(&core->wheel,
		      wi_arena_carve(arena, WI_WHEEL_SLOTS *
						    sizeof(struct wi_timer *)),
		      0);
	core->gathers = wi_arena_carve(arena, WI_GATHER_SLOTS *
						      sizeof(struct wi_gather));
	*out_parked = wi_arena_carve(arena, opts->buf_count * sizeof(uint16_t));
	void *buffers = wi_arena_carve(arena, (size_t)opts->buf_count *
						      opts->buf_bytes);
	void *table = wi_arena_carve(
		arena, wi_blocks_table_bytes(opts->block_memory_bytes));
	wi_blocks_init(&core->blocks,
		       wi_arena_carve(arena, opts->block_memory_bytes),
		       opts->block_memory_bytes, table);
	return buffers;
}

static void loop_time_start(struct weir_loop *loop)
{
	const struct weir_loop_opts *opts = &loop->opts;

	wi_clock_start(&loop->core.clock, loop->core.kernel);
	loop->stop.deadline_ns = UINT64_MAX;
	loop->next_tick_ns =
		opts->tick_interval_ms == 0
			? UINT64_MAX
			: loop->core.clock.now_ns +
				  (uint64_t)opts->tick_interval_ms * NS_PER_MS;
}

static int loop_open_ring(struct weir_loop *loop, void *buffers,
			  uint16_t *parked, struct weir_error *error)
{
	const struct weir_loop_opts *opts = &loop->opts;
	struct wi_core *core = &loop->core;
	int err = weir_ring_open(&core->ring, &opts->ring, error);
	if (err < 0)
		return err;
	core->trials.off = weir_ring_forced_off(&core->ring);
	loop->conns.recvs_singly = (weir_ring_setup_flags(&core->ring) &
				    IORING_SETUP_DEFER_TASKRUN) == 0;
	err = weir_rungs_require(core->trials.off, error);
	if (err < 0)
		return err;
	err = weir_filetab_open(&core->ring, loop->conns.pool.slot_count,
				error);
	if (err < 0)
		return err;
	err = weir_bufring_open(&core->bufs.bufring, &core->ring, WI_RECV_GROUP,
				buffers, opts->buf_count, opts->buf_bytes, NULL,
				error);
	if (err < 0)
		return err;
	wi_bufs_init(&core->bufs, parked);
	return wi_doorbell_open(&loop->doorbell, core, error);
}

static void loop_wire(struct weir_loop *loop)
{
	loop->listeners.core = &loop->core;
	loop->listeners.conns = &loop->conns;
	loop->listeners.sample = &loop->sample;
	loop->listeners.conn_count = loop->opts.conn_count;
	loop->listeners.backlog = loop->opts.backlog;
	wi_load_report_init(&loop->load_report);
	wi_sample_init(&loop->sample, 0, -1);
}

int weir_loop_open(struct weir_loop **out_loop,
		   const struct weir_loop_opts *opts, struct weir_error *error)
{
	static const struct weir_loop_opts defaults;
	struct weir_loop_opts resolved = opts != NULL ? *opts : defaults;
	const struct weir_kernel *kernel = resolved.ring.kernel != NULL
						   ? resolved.ring.kernel
						   : weir_kernel_default();
	struct wi_arena arena;

	opts_resolve(&resolved);
	int err = opts_check(&resolved, error);
	if (err < 0)
		return err;
	err = opts_fit_backlog(&resolved, weir_fd_limit(), error);
	if (err < 0)
		return err;
	const size_t bytes = loop_bytes(&resolved);
	err = wi_arena_open(&arena, kernel, bytes);
	if (err < 0)
		return weir_error_set(error, err,
				      "no address space for a loop of %zu MiB: "
				      "%s; ask for less block memory",
				      bytes >> 20, strerror(-err));

	struct weir_loop *loop = wi_arena_carve(&arena, sizeof(*loop));
	loop->arena = arena;
	loop->opts = resolved;
	loop->core.kernel = kernel;
	loop->core.ring.fd = -1;
	loop->core.ring.kernel = kernel;
	loop->doorbell.fd = -1;
	uint16_t *parked;
	void *buffers = loop_carve(loop, &parked);
	loop_wire(loop);
	loop_time_start(loop);

	err = loop_open_ring(loop, buffers, parked, error);
	if (err < 0) {
		weir_loop_close(loop);
		return err;
	}
	*out_loop = loop;
	return 0;
}

int wi_loop_listen(struct weir_loop *loop, const struct weir_service *service,
		   int listener_fd, struct weir_error *error)
{
	if (loop->listeners.count == WEIR_STEER_GROUPS_MAX)
		return weir_error_set(error, -ENOSPC,
				      "a loop has %d listeners at most, and "
				      "this one has as many",
				      WEIR_STEER_GROUPS_MAX);
	const struct wi_service *used;
	int err = wi_services_use(&loop->conns.services, service, &used, error);
	if (err < 0)
		return err;
	wi_listeners_add(&loop->listeners, listener_fd, used);
	return 0;
}

int weir_loop_listen(struct weir_loop *loop, const struct weir_service *service,
		     int listener_fd, struct weir_error *error)
{
	if (loop->server != NULL)
		return weir_error_set(error, -EINVAL,
				      "loop %u has the listeners of its "
				      "server: name this one in "
				      "weir_server_opts.listen",
				      loop->index);
	return wi_loop_listen(loop, service, listener_fd, error);
}

uint32_t weir_loop_backlog(const struct weir_loop *loop)
{
	return loop->opts.backlog;
}

int wi_loop_take_ring(struct weir_loop *loop)
{
	return weir_ring_enable(&loop->core.ring);
}

int wi_loop_start(struct weir_loop *loop)
{
	const struct weir_loop_hooks *hooks = &loop->opts.hooks;
	int err = 0;
	if (hooks->on_start != NULL)
		err = hooks->on_start(loop, hooks->ctx);
	loop->has_started = err >= 0;
	return err < 0 ? err : 0;
}

void wi_loop_stopped(struct weir_loop *loop)
{
	const struct weir_loop_hooks *hooks = &loop->opts.hooks;
	if (!loop->has_started)
		return;
	loop->has_started = false;
	if (hooks->on_stop != NULL)
		hooks->on_stop(loop, hooks->ctx);
}

int weir_loop_enable(struct weir_loop *loop)
{
	int err = wi_loop_take_ring(loop);
	return err < 0 ? err : wi_loop_start(loop);
}

void weir_loop_close(struct weir_loop *loop)
{
	if (loop == NULL)
		return;
	wi_loop_stopped(loop);
	/* The ring first: then the kernel no longer uses the arena. */
	weir_bufring_close(&loop->core.bufs.bufring);
	weir_ring_close(&loop->core.ring);
	wi_listeners_close(&loop->listeners);
	wi_doorbell_close(&loop->doorbell, &loop->core);
	struct wi_arena arena = loop->arena; /* a copy: the loop is in it */
	/* Unmapped only if the kernel cannot write to it any more. */
	if (WI_MUTANT("memory-is-unmapped-under-the-kernel",
		      loop->core.stats.kept_bytes == 0, true))
		wi_arena_close(&arena);
}
