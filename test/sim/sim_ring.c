/* sim_ring.c - set-up, registration, enter
 *
 * Queues, buffer groups and slots: uring/soft/. Events while a ring waits:
 * sim_world.c.
 */
#include "sim_op_priv.h"

#include "../../uring/filetab.h"

#include <errno.h>

enum {
	TASKRUN_BATCH = 20, /* DEFER_TASKRUN posts at most so many per enter */
	ONE_IN_FOUR = 64,
	LATE_WAKE = 48, /* chance in 256ths */
	NS_PER_S = 1000000000,
};

/* ---- set-up ------------------------------------------------------------ */

static int ring_memory(struct weir_sim *sim, struct sim_ring *ring,
		       struct io_uring_params *params)
{
	const struct weir_kernel *kernel = &sim->kernel;
	void *memory = NULL;
	void *sqes = NULL;
	size_t bytes;
	size_t sqes_bytes;
	wi_soft_ring_shape(params, &bytes, &sqes_bytes);
	int err = kernel->map(sim, bytes, -1, 0, &memory);
	if (err == 0)
		err = kernel->map(sim, sqes_bytes, -1, 0, &sqes);
	if (err < 0)
		return err;
	sim->mappings -= 2; /* the ring's own mappings */
	wi_soft_ring_init(&ring->soft, params, memory, sqes, ring->overflow,
			  SIM_OVERFLOW);
	return 0;
}

int sim_ring_setup(void *ctx, uint32_t entry_count,
		   struct io_uring_params *params)
{
	struct weir_sim *sim = ctx;
	int index = 0;

	if ((params->flags & sim->opts.setup_forbidden) != 0)
		return -EINVAL;
	while (index < SIM_RINGS && sim->rings[index].is_used)
		index++;
	if (index == SIM_RINGS)
		return -ENOMEM;
	struct sim_ring *ring = &sim->rings[index];
	params->sq_entries = sim->opts.sq_entries != 0
				     ? sim->opts.sq_entries
				     : wi_soft_ring_round(entry_count);
	params->cq_entries = sim->opts.cq_entries != 0
				     ? sim->opts.cq_entries
				     : wi_soft_ring_round(params->cq_entries);
	params->features = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG |
			   IORING_FEAT_MIN_TIMEOUT | IORING_FEAT_NO_IOWAIT |
			   IORING_FEAT_RECVSEND_BUNDLE;
	wi_soft_slots_init(&ring->slots, ring->slot_files, 0);
	wi_soft_groups_init(&ring->groups);
	ring->worked_count = 0;
	ring->iov_cached = 1;
	int err = ring_memory(sim, ring, params);
	if (err < 0)
		return err;
	ring->setup_flags = params->flags;
	ring->is_enabled = (params->flags & IORING_SETUP_R_DISABLED) == 0;
	const int file = sim_file_take(sim, SIM_RING);
	if (file < 0)
		return file;
	sim->files[file].ring = index;
	ring->is_used = true;
	return sim_fd_take(sim, file);
}

void *sim_ring_map(struct weir_sim *sim, int index, uint64_t offset)
{
	return wi_soft_ring_map(&sim->rings[index].soft, offset);
}

void sim_ring_close(struct weir_sim *sim, int index)
{
	struct sim_ring *ring = &sim->rings[index];
	sim_ops_end(sim, index);
	for (uint32_t i = 0; i < ring->slots.count; i++)
		if (ring->slots.files[i] != SIM_NONE)
			sim_file_drop(sim, ring->slots.files[i]);
	ring->is_used = false;
}

bool sim_ring_post(struct weir_sim *sim, int index, uint64_t user_data, int res,
		   uint32_t flags, bool only_if_room)
{
	struct wi_soft_ring *soft = &sim->rings[index].soft;
	const struct io_uring_cqe cqe = { .user_data = user_data,
					  .res = res,
					  .flags = flags };

	if (only_if_room && !wi_soft_ring_has_room(soft))
		return false;
	sim_hash_add(sim, user_data);
	sim_hash_add(sim, (uint64_t)(uint32_t)res << 32 | flags);
	sim->events++;
	switch (wi_soft_ring_post(soft, &cqe)) {
	case WI_SOFT_POSTED:
		return true;
	case WI_SOFT_OVERFLOWED:
		weir_sim_note(sim, "the completion queue overflows");
		return false;
	default:
		weir_sim_violate(sim, "the overflow list of the simulation is "
				      "full");
		return false;
	}
}

/* ---- enter ------------------------------------------------------------- */

struct enter_limit {
	uint64_t start_ns;
	uint64_t min_wait_ns; /* 0: none */
	uint64_t timeout_ns;  /* UINT64_MAX: none */
};

static struct enter_limit enter_limit(const struct weir_sim *sim,
				      uint32_t flags, const void *arg)
{
	struct enter_limit limit = { .start_ns = sim->now_ns,
				     .timeout_ns = UINT64_MAX };
	if ((flags & IORING_ENTER_EXT_ARG) == 0 || arg == NULL)
		return limit;
	const struct io_uring_getevents_arg *ext = arg;
	limit.min_wait_ns = (uint64_t)ext->min_wait_usec * SIM_NS_PER_US;
	if (ext->ts != 0) {
		const struct weir_kernel_timespec *ts =
			(const void *)(uintptr_t)ext->ts;
		limit.timeout_ns =
			(uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec;
	}
	return limit;
}

bool sim_ring_has_news(const struct weir_sim *sim, int index)
{
	const struct wi_soft_ring *soft = &sim->rings[index].soft;
	return wi_soft_ring_ready(soft) > 0 || soft->overflow_count > 0;
}

static int enter_fault(struct weir_sim *sim)
{
	static const int refusals[] = { -EINTR, -EAGAIN, -EBUSY, -ENOMEM };
	if (!sim_fault(sim, WEIR_FAULT_ENTER))
		return 0;
	return refusals[weir_tape_below(sim->tape, 4)];
}

/* How many entries the callback allows, or an errno. */
static int enter_most(struct weir_sim *sim, uint32_t submit_count)
{
	if (sim->on_enter == NULL)
		return (int)submit_count;
	const int most = sim->on_enter(sim, submit_count, sim->on_enter_ctx);
	if (most < (int)submit_count)
		weir_sim_note(sim, "fault: enter of %u entries: %d",
			      submit_count, most);
	return most < (int)submit_count ? most : (int)submit_count;
}

static int enter_submit(struct weir_sim *sim, int index, uint32_t submit_count)
{
	struct sim_ring *ring = &sim->rings[index];
	uint32_t count = wi_soft_ring_submitted(&ring->soft);

	if (count > submit_count)
		count = submit_count;
	if (count > ring->soft.sq_entry_count) {
		weir_sim_violate(sim, "more entries than the queue has");
		return -EINVAL;
	}
	if (count > 0 && sim_fault(sim, WEIR_FAULT_ENTER))
		count = weir_tape_below(sim->tape, count + 1);
	for (uint32_t i = 0; i < count; i++) {
		struct io_uring_sqe sqe;
		wi_soft_ring_take(&ring->soft, &sqe);
		if (!sim_op_submit(sim, index, &sqe) &&
		    (ring->setup_flags & IORING_SETUP_SUBMIT_ALL) == 0)
			return (int)i + 1; /* the rest stays in the queue */
		sim_worker_moment(sim);
	}
	return (int)count;
}

/* Delayed completions, up to the kernel's batch. Now and then the world moves
 * on though the ring does not wait. */
static void enter_task_work(struct weir_sim *sim, int ring,
			    uint32_t min_complete)
{
	const uint32_t batch =
		min_complete > TASKRUN_BATCH ? min_complete : TASKRUN_BATCH;
	/* Within another ring's wait this one does not wait. */
	const enum sim_runner run =
		sim_thread_is_nested(sim) ? SIM_RUN_WAITING : SIM_RUN_TASK_WORK;
	sim_worker_moment(sim);
	for (uint32_t i = 0; i < batch; i++) {
		const uint32_t ops = sim_op_runnable(sim, ring, run);
		if (ops == 0)
			break;
		sim_op_run(sim, weir_tape_below(sim->tape, ops));
	}
	if (min_complete == 0 && !sim_thread_is_nested(sim) &&
	    !weir_tape_chance(sim->tape, ONE_IN_FOUR))
		(void)sim_world_step(sim, ring, SIM_RUN_BESIDE);
}

/* Within another ring's wait: see sim_thread.c. */
static int enter_nap(struct weir_sim *sim, int index, uint32_t min_complete,
		     const struct enter_limit *limit)
{
	const uint32_t ready = wi_soft_ring_ready(&sim->rings[index].soft);
	uint64_t wake_ns = UINT64_MAX;

	if (ready >= min_complete || sim->violation != NULL)
		return 0;
	if (limit->timeout_ns == 0)
		return -ETIME;
	if (limit->timeout_ns != UINT64_MAX)
		wake_ns = limit->start_ns + limit->timeout_ns;
	sim_thread_sleeps(sim, wake_ns);
	return ready > 0 ? 0 : -EINTR;
}

/* Return: 0, or -ETIME, -EINTR. */
static int enter_wait(struct weir_sim *sim, int index, uint32_t min_complete,
		      const struct enter_limit *limit)
{
	const struct sim_ring *ring = &sim->rings[index];

	for (int i = 0; i < SIM_STEPS_MAX; i++) {
		const uint32_t ready = wi_soft_ring_ready(&ring->soft);
		const uint64_t waited_ns = sim->now_ns - limit->start_ns;
		if (sim->violation != NULL)
			return 0;
		/* It wakes up if it slept; the world may move on before it
		 * runs. */
		if (ready >= min_complete &&
		    (min_complete == 0 ||
		     !weir_tape_chance(sim->tape, LATE_WAKE) ||
		     !sim_world_step(sim, index, SIM_RUN_WAITING)))
			return 0;
		if (ready >= min_complete)
			continue;
		if (waited_ns >= limit->timeout_ns)
			return -ETIME;
		if (limit->min_wait_ns > 0 && ready > 0 &&
		    waited_ns >= limit->min_wait_ns)
			return 0;
		if (sim_world_step(sim, index, SIM_RUN_WAITING) ||
		    sim_worker_rouse(sim))
			continue;
		const uint64_t due_ns = sim_world_due_ns(sim);
		if (limit->min_wait_ns > 0 && ready > 0 &&
		    limit->start_ns + limit->min_wait_ns <= due_ns) {
			sim->now_ns = limit->start_ns + limit->min_wait_ns;
			return 0;
		}
		if (due_ns != UINT64_MAX &&
		    (limit->timeout_ns == UINT64_MAX ||
		     due_ns < limit->start_ns + limit->timeout_ns)) {
			sim->now_ns = due_ns;
			continue;
		}
		if (limit->timeout_ns == UINT64_MAX) {
			sim->is_idle = true;
			return -EINTR;
		}
		sim->now_ns = limit->start_ns + limit->timeout_ns;
		weir_sim_note(sim, "the wait times out");
		return -ETIME;
	}
	return -EINTR;
}

static int enter_ring(const struct weir_sim *sim, int ring_fd, uint32_t flags)
{
	if ((flags & IORING_ENTER_REGISTERED_RING) != 0)
		return ring_fd < SIM_RINGS ? ring_fd : SIM_NONE;
	const int file = sim_fd_file(sim, ring_fd);
	if (file == SIM_NONE || sim->files[file].kind != SIM_RING)
		return SIM_NONE;
	return sim->files[file].ring;
}

int sim_ring_enter(void *ctx, int ring_fd, uint32_t submit_count,
		   uint32_t min_complete, uint32_t flags, const void *arg,
		   size_t arg_bytes)
{
	struct weir_sim *sim = ctx;
	const int index = enter_ring(sim, ring_fd, flags);
	(void)arg_bytes;

	sim->is_idle = false;
	sim->view.is_fresh = false;
	sim->enters++;
	if (index == SIM_NONE || !sim->rings[index].is_used)
		return -EBADF;
	if (!sim->rings[index].is_enabled)
		return -EBADFD;
	sim_thread_enters(sim, index);
	int refusal = enter_fault(sim);
	if (refusal < 0) {
		weir_sim_note(sim, "enter is refused: %d", refusal);
		return refusal;
	}
	const struct enter_limit limit = enter_limit(sim, flags, arg);
	const int most = enter_most(sim, submit_count);
	if (most < 0)
		return most;
	const int submitted = enter_submit(sim, index, (uint32_t)most);
	if ((flags & IORING_ENTER_GETEVENTS) == 0 || submitted < 0)
		return submitted;
	/* After a partial submission it does not wait: the kernel returns, and
	 * the rest is submitted again. */
	if ((uint32_t)submitted < submit_count)
		min_complete = 0;
	wi_soft_ring_flush(&sim->rings[index].soft);
	/* Once after the submission, and once before the wait. */
	if (submitted > 0)
		enter_task_work(sim, index, min_complete);
	enter_task_work(sim, index, min_complete);
	const int waited =
		sim_thread_is_nested(sim)
			? enter_nap(sim, index, min_complete, &limit)
			: enter_wait(sim, index, min_complete, &limit);
	return submitted > 0 ? submitted : waited;
}

/* ---- registration ------------------------------------------------------ */

static int register_probe(void *arg, uint32_t count)
{
	struct io_uring_probe *probe = arg;
	(void)count;
	probe->last_op = IORING_OP_LAST - 1;
	return 0;
}

static int register_slots(struct sim_ring *ring, const void *arg)
{
	const struct io_uring_rsrc_register *table = arg;
	if (ring->slots.count > 0)
		return -EBUSY;
	if (table->nr > SIM_SLOTS)
		return -EMFILE;
	wi_soft_slots_init(&ring->slots, ring->slot_files, table->nr);
	return 0;
}

/* As __io_sqe_files_update(): stops at the first refused entry. */
static int update_slots(struct weir_sim *sim, struct wi_soft_slots *slots,
			const void *arg, uint32_t count)
{
	const struct io_uring_rsrc_update *update = arg;
	const int32_t *fds = (const void *)(uintptr_t)update->data;
	uint32_t done = 0;

	if (slots->count == 0)
		return -ENXIO;
	if (count == 0 || count > slots->count ||
	    update->offset > slots->count - count)
		return -EINVAL;
	for (; done < count; done++) {
		const int file = sim_fd_file(sim, fds[done]);
		if (fds[done] == WEIR_FILETAB_KEEP)
			continue;
		const int before = wi_soft_slots_set(
			slots, update->offset + done, SIM_NONE);
		if (before != SIM_NONE)
			sim_file_drop(sim, before);
		if (fds[done] == WEIR_FILETAB_EMPTY)
			continue;
		if (file == SIM_NONE || sim->files[file].kind == SIM_RING)
			return done > 0 ? (int)done : -EBADF;
		sim_file_hold(sim, file);
		(void)wi_soft_slots_set(slots, update->offset + done,
					file); /* the slot was empty */
	}
	return (int)done;
}

int sim_ring_register(void *ctx, int ring_fd, uint32_t opcode, void *arg,
		      uint32_t arg_count)
{
	struct weir_sim *sim = ctx;
	if (ring_fd == -1 && opcode == IORING_REGISTER_SEND_MSG_RING)
		return sim_msg_sync(sim, arg, arg_count);
	const int index = enter_ring(sim, ring_fd, 0);
	if (index == SIM_NONE)
		return -EBADF;
	struct sim_ring *ring = &sim->rings[index];

	switch (opcode) {
	case IORING_REGISTER_PROBE:
		return register_probe(arg, arg_count);
	case IORING_REGISTER_ENABLE_RINGS:
		if (ring->is_enabled)
			return -EBADFD;
		ring->is_enabled = true;
		return 0;
	case IORING_REGISTER_RING_FDS:
		((struct io_uring_rsrc_update *)arg)->offset = (uint32_t)index;
		return 1;
	case IORING_UNREGISTER_RING_FDS:
		return 1;
	case IORING_REGISTER_FILES2:
		return register_slots(ring, arg);
	case IORING_REGISTER_FILES_UPDATE:
		return update_slots(sim, &ring->slots, arg, arg_count);
	case IORING_REGISTER_PBUF_RING:
		return wi_soft_group_register(&ring->groups, arg);
	case IORING_REGISTER_PBUF_STATUS:
		return wi_soft_group_status(&ring->groups, arg);
	case IORING_UNREGISTER_PBUF_RING:
		return wi_soft_group_unregister(&ring->groups, arg);
	default:
		return -EINVAL;
	}
}
