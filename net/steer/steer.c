/* steer.c - join, attach, change: what chooses among the listeners
 *
 *     policy      asked for: what the user wants
 *     means       what carries it out: see steer_open.c
 *
 * The state is written here, under the server's lock; the tables in it by
 * steer_table.c, and the members' loads by their loops.
 */
#include "steer_priv.h"

#include "../../uring/barrier.h"
#include "steer_bpf.h"
#include "steer_classic.h"
#include "steer_table.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

enum { NO_CPU = -1, NO_FD = -1 };

/* ---- members ----------------------------------------------------------- */

static bool member_has_joined(const struct weir_steer *steer, uint32_t member)
{
	for (uint32_t g = 0; g < steer->opts.group_count; g++)
		if (steer->member_fds[g][member] == NO_FD)
			return false;
	return true;
}

/* Updates what the program may choose from, after any change. Before the
 * program is attached nothing reads the tables, and a start would fill them
 * once for each of its listeners. */
static void tables_refill(struct weir_steer *steer)
{
	struct wi_steer_state *state = steer->state;
	uint32_t member_count = 0;

	if (!steer->is_attached)
		return;
	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++) {
		const bool takes = steer->is_member[i] &&
				   !steer->has_stopped_accepting[i] &&
				   member_has_joined(steer, i);
		wi_store_relaxed_u32(&state->members[i].weight,
				     takes ? steer->weights[i] : 0);
		if (steer->is_member[i])
			member_count = i + 1;
	}
	wi_store_relaxed_u32(&state->member_count, member_count);
	wi_steer_table_fill(state);
	(void)wi_steer_table_fill_cpus(state, steer->cpus);
}

static uint32_t members_on_cpu(const struct weir_steer *steer, int cpu)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++)
		count += steer->is_member[i] && steer->cpus[i] == cpu;
	return count;
}

/* Whether "cpu" can work with a loop that is pinned to @cpu, or to none. */
static int member_fits_cpu(const struct weir_steer *steer, uint32_t member,
			   int cpu, struct weir_error *error)
{
	if (cpu < 0)
		return weir_error_set(error, -EINVAL,
				      "the steering policy cpu needs loops "
				      "that are pinned, and loop %u is not",
				      member);
	if (members_on_cpu(steer, cpu) > WI_STEER_PER_CPU_MAX)
		return weir_error_set(error, -EINVAL,
				      "the steering policy cpu serves %d loops "
				      "on one CPU, and CPU %d has more: start "
				      "fewer loops",
				      WI_STEER_PER_CPU_MAX, cpu);
	return 0;
}

int wi_steer_member_take(struct weir_steer *steer, uint32_t member, int cpu,
			 struct weir_error *error)
{
	assert(member < WI_STEER_MEMBERS_MAX && !steer->is_member[member]);
	steer->is_member[member] = true;
	steer->has_stopped_accepting[member] = false;
	steer->cpus[member] = cpu;
	if (steer->opts.policy == WEIR_STEER_CPU) {
		int err = member_fits_cpu(steer, member, cpu, error);
		if (err < 0) {
			steer->is_member[member] = false;
			return err;
		}
	}
	tables_refill(steer);
	return 0;
}

void wi_steer_member_give(struct weir_steer *steer, uint32_t member)
{
	assert(member < WI_STEER_MEMBERS_MAX);
	for (uint32_t g = 0; g < steer->opts.group_count; g++)
		wi_steer_leave(steer, g, member);
	steer->is_member[member] = false;
	steer->cpus[member] = NO_CPU;
	tables_refill(steer);
}

void wi_steer_set_weight(struct weir_steer *steer, uint32_t member,
			 uint32_t weight)
{
	assert(weight <= WEIR_STEER_WEIGHT_MAX);
	steer->weights[member] = weight;
	tables_refill(steer);
}

void wi_steer_set_accepting_none(struct weir_steer *steer, uint32_t member,
				 bool has_stopped_accepting)
{
	steer->has_stopped_accepting[member] = has_stopped_accepting;
	tables_refill(steer);
}

/* ---- listeners --------------------------------------------------------- */

static int steer_sockopt(const struct weir_steer *steer, int fd, int name,
			 const void *value, socklen_t value_bytes)
{
	const struct weir_kernel *kernel = steer->kernel;
	return kernel->sockopt(kernel->ctx, fd, SOL_SOCKET, name, value,
			       value_bytes);
}

/* Adds a member, at the index that the kernel gives it. */
static void group_add(struct wi_steer_group *group, uint32_t member)
{
	assert(group->count < WI_STEER_MEMBERS_MAX);
	group->members[group->count++] = (uint16_t)member;
}

/* As in the kernel, the last member takes the place of the one that leaves. */
static void group_remove(struct wi_steer_group *group, uint32_t member)
{
	uint32_t i = 0;
	while (group->members[i] != member)
		i++;
	assert(i < group->count); /* it has joined */
	group->members[i] = group->members[--group->count];
}

/* Any listener of the group will do for its socket options. */
static int group_fd(const struct weir_steer *steer, uint32_t group)
{
	const struct wi_steer_group *members = &steer->groups[group];
	return members->count == 0
		       ? NO_FD
		       : steer->member_fds[group][members->members[0]];
}

static int classic_attach(struct weir_steer *steer, uint32_t group)
{
	const struct wi_steer_group *members = &steer->groups[group];
	struct sock_filter filter[WI_STEER_CLASSIC_MAX];
	int cpus[WI_STEER_MEMBERS_MAX];

	for (uint32_t i = 0; i < members->count; i++)
		cpus[i] = steer->cpus[members->members[i]];
	struct sock_fprog program;
	memset(&program, 0, sizeof(program)); /* its padding goes too */
	program.len = (unsigned short)wi_steer_classic_build(
		cpus, members->count, filter);
	program.filter = filter;
	return steer_sockopt(steer, group_fd(steer, group),
			     SO_ATTACH_REUSEPORT_CBPF, &program,
			     sizeof(program));
}

static int bpf_attach(struct weir_steer *steer, uint32_t group)
{
	const int program_fd = wi_steer_bpf_program_fd(steer->bpf, group);
	return steer_sockopt(steer, group_fd(steer, group),
			     SO_ATTACH_REUSEPORT_EBPF, &program_fd,
			     sizeof(program_fd));
}

static int group_attach(struct weir_steer *steer, uint32_t group)
{
	if (group_fd(steer, group) == NO_FD)
		return 0;
	switch (steer->means) {
	case WEIR_STEER_BY_EBPF:
		return bpf_attach(steer, group);
	case WEIR_STEER_BY_CLASSIC_BPF:
		return classic_attach(steer, group);
	default: /* each listener has its own CPU, or there is no program */
		return 0;
	}
}

static int member_prepare(struct weir_steer *steer, uint32_t group,
			  uint32_t member, int listener_fd)
{
	const int cpu = steer->cpus[member];

	switch (steer->means) {
	case WEIR_STEER_BY_EBPF:
		return wi_steer_bpf_put(steer->bpf, group, member, listener_fd);
	case WEIR_STEER_BY_INCOMING_CPU:
		return steer_sockopt(steer, listener_fd, SO_INCOMING_CPU, &cpu,
				     sizeof(cpu));
	default:
		return 0;
	}
}

int wi_steer_join(struct weir_steer *steer, uint32_t group, uint32_t member,
		  int listener_fd, struct weir_error *error)
{
	assert(group < steer->opts.group_count && steer->is_member[member]);
	assert(steer->member_fds[group][member] == NO_FD && listener_fd >= 0);
	int err = member_prepare(steer, group, member, listener_fd);
	if (err < 0)
		return weir_error_set(error, err,
				      "loop %u cannot be steered to: its "
				      "listener was refused by %s: %s",
				      member,
				      weir_steer_means_name(steer->means),
				      strerror(-err));
	steer->member_fds[group][member] = listener_fd;
	group_add(&steer->groups[group], member);
	tables_refill(steer);
	/* The classic program does not know its index yet. */
	if (steer->is_attached && steer->means == WEIR_STEER_BY_CLASSIC_BPF)
		(void)classic_attach(steer, group); /* else the old one */
	return 0;
}

void wi_steer_leave(struct weir_steer *steer, uint32_t group, uint32_t member)
{
	if (steer->member_fds[group][member] == NO_FD)
		return;
	steer->member_fds[group][member] = NO_FD;
	group_remove(&steer->groups[group], member);
	tables_refill(steer);
	if (steer->is_attached && steer->means == WEIR_STEER_BY_CLASSIC_BPF &&
	    group_fd(steer, group) != NO_FD)
		(void)classic_attach(steer, group);
}

int wi_steer_attach(struct weir_steer *steer, struct weir_error *error)
{
	steer->is_attached = true;
	tables_refill(steer);
	for (uint32_t g = 0; g < steer->opts.group_count; g++) {
		int err = group_attach(steer, g);
		if (err < 0)
			return weir_error_set(
				error, err,
				"%s could not be put in front of "
				"address %u: %s",
				weir_steer_means_name(steer->means), g,
				strerror(-err));
	}
	steer->is_attached = true;
	return 0;
}

bool wi_steer_migrates(const struct weir_steer *steer)
{
	return steer->means == WEIR_STEER_BY_EBPF && steer->is_attached;
}

/* ---- the collapse guard ------------------------------------------------ */

/* What the policy itself has chosen, for each member. */
static void guard_read(const struct weir_steer *steer, bool is_stepped,
		       uint32_t member_count, uint64_t *out_counts)
{
	memset(out_counts, 0, WI_STEER_MEMBERS_MAX * sizeof(*out_counts));
	for (uint32_t i = 0; i < steer->row_count; i++) {
		const struct wi_steer_row *row = &steer->rows[i];
		const uint64_t *counts =
			is_stepped ? row->requested : row->chosen;
		for (uint32_t member = 0; member < member_count; member++)
			out_counts[member] +=
				wi_load_relaxed_u64(&counts[member]);
	}
}

/* The guard compares with the present counts from now on. */
static void guard_restart(struct weir_steer *steer, bool is_stepped,
			  uint32_t member_count)
{
	uint64_t counts[WI_STEER_MEMBERS_MAX];
	guard_read(steer, is_stepped, member_count, counts);
	wi_guard_restart(&steer->guard, counts, member_count);
}

static bool policy_can_collapse(uint32_t policy)
{
	return policy == WI_STEER_CPU || policy == WI_STEER_SOURCE_HASH;
}

static enum wi_guard_step guard_look(struct weir_steer *steer)
{
	struct wi_guard *guard = &steer->guard;
	uint64_t counts[WI_STEER_MEMBERS_MAX];
	uint32_t weights[WI_STEER_MEMBERS_MAX];
	const uint32_t member_count =
		wi_load_relaxed_u32(&steer->state->member_count);

	if (!policy_can_collapse(wi_load_relaxed_u32(&steer->state->policy)))
		return WI_GUARD_STAY;
	guard_read(steer, guard->is_stepped, member_count, counts);
	for (uint32_t i = 0; i < member_count; i++)
		weights[i] =
			wi_load_relaxed_u32(&steer->state->members[i].weight);
	const enum wi_guard_step step =
		wi_guard_check(guard, counts, weights, member_count);
	if (step == WI_GUARD_STAY)
		return step;
	guard_restart(steer, guard->is_stepped, member_count);
	wi_store_relaxed_u32(&steer->state->is_stepped, guard->is_stepped);
	return step;
}

enum wi_guard_step wi_steer_guard(struct weir_steer *steer, uint64_t now_ns)
{
	if (steer->rows == NULL || !wi_guard_is_due(&steer->guard, now_ns))
		return WI_GUARD_STAY;
	/* Once per window. If another loop's check or a change of the policy
	 * holds the lock, this window decides nothing. */
	if (pthread_mutex_trylock(&steer->guard_lock) != 0)
		return WI_GUARD_STAY;
	const enum wi_guard_step step = guard_look(steer);
	(void)pthread_mutex_unlock(&steer->guard_lock);
	return step;
}

/* ---- changes ----------------------------------------------------------- */

static int policy_check_cpus(const struct weir_steer *steer,
			     struct weir_error *error)
{
	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++) {
		if (!steer->is_member[i])
			continue;
		int err = member_fits_cpu(steer, i, steer->cpus[i], error);
		if (err < 0)
			return err;
	}
	return 0;
}

/* Stores the policy and restarts the guard. */
static void policy_store(struct weir_steer *steer,
			 enum weir_steer_policy policy)
{
	(void)pthread_mutex_lock(&steer->guard_lock);
	steer->guard.is_stepped = false;
	wi_store_relaxed_u32(&steer->state->is_stepped, 0);
	wi_store_relaxed_u32(&steer->state->policy, (uint32_t)policy);
	guard_restart(steer, false,
		      wi_load_relaxed_u32(&steer->state->member_count));
	(void)pthread_mutex_unlock(&steer->guard_lock);
}

/* A server without a program still detaches the program of another process,
 * which may be gone. */
static void groups_release(struct weir_steer *steer)
{
	const int zero = 0;
	if (steer->means != WEIR_STEER_BY_HASH &&
	    steer->means != WEIR_STEER_BY_INCOMING_CPU)
		return;
	for (uint32_t g = 0; g < steer->opts.group_count; g++)
		if (group_fd(steer, g) != NO_FD)
			(void)steer_sockopt(steer, group_fd(steer, g),
					    SO_DETACH_REUSEPORT_BPF, &zero,
					    sizeof(zero)); /* -ENOENT: none */
}

int wi_steer_set_policy(struct weir_steer *steer, enum weir_steer_policy policy,
			struct weir_error *error)
{
	if ((unsigned)policy >= WEIR_STEER_POLICY_COUNT)
		return weir_error_set(error, -EINVAL,
				      "steering policy %d: there is none above "
				      "%d",
				      (int)policy, WEIR_STEER_POLICY_COUNT - 1);
	if (policy != steer->opts.policy && steer->means != WEIR_STEER_BY_EBPF)
		return weir_error_set(
			error, -EOPNOTSUPP,
			"steering goes by %s, which cannot change to %s: open "
			"the server with a policy that loads the program",
			weir_steer_means_name(steer->means),
			weir_steer_policy_name(policy));
	if (policy == WEIR_STEER_CPU) {
		int err = policy_check_cpus(steer, error);
		if (err < 0)
			return err;
	}
	steer->opts.policy = policy;
	policy_store(steer, policy);
	groups_release(steer);
	return wi_steer_attach(steer, error);
}

/* ---- counts ------------------------------------------------------------ */

void wi_steer_counts(const struct weir_steer *steer, uint32_t member,
		     struct wi_steer_counts *out_counts)
{
	*out_counts = (struct wi_steer_counts){ .chosen = 0 };
	for (uint32_t i = 0; i < steer->row_count; i++) {
		const struct wi_steer_row *row = &steer->rows[i];
		const uint64_t chosen =
			wi_load_relaxed_u64(&row->chosen[member]);
		out_counts->chosen += chosen;
		out_counts->moved += wi_load_relaxed_u64(&row->moved[member]);
		if (steer->cpus[member] == (int)i)
			out_counts->chosen_here += chosen;
	}
}

uint64_t wi_steer_missed(const struct weir_steer *steer)
{
	uint64_t missed = 0;
	for (uint32_t i = 0; i < steer->row_count; i++)
		missed += wi_load_relaxed_u64(&steer->rows[i].missed);
	return missed;
}
