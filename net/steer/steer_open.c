/* steer_open.c - options, the means that this host allows, open and close
 *
 *     options -> eBPF? -> SO_INCOMING_CPU? -> classic BPF? -> the kernel's hash
 *                 the first that works; each refusal is a rung with its reason
 */
#include "steer_priv.h"

#include "../../uring/barrier.h"
#include "steer_bpf.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	GUARD_PERCENT_DEFAULT = 75,
	GUARD_MS_DEFAULT = 1000,
	GUARD_OFF_PERCENT = 100,
	NO_CPU = -1,
	NO_FD = -1,
};

/* In the order of steer->rungs. */
static const enum weir_rung_id steer_rung_ids[] = {
	WEIR_RUNG_STEER_EBPF,
	WEIR_RUNG_STEER_INCOMING_CPU,
	WEIR_RUNG_STEER_CBPF,
};
enum { RUNG_EBPF, RUNG_INCOMING_CPU, RUNG_CBPF, RUNG_COUNT };

/* ---- names ------------------------------------------------------------- */

const char *weir_steer_policy_name(enum weir_steer_policy policy)
{
	switch (policy) {
#define POLICY_NAME(id, name, what)                                            \
	case WEIR_STEER_##id:                                                  \
		return name;
		WEIR_STEER_POLICIES(POLICY_NAME)
#undef POLICY_NAME
	case WEIR_STEER_POLICY_COUNT:
		break;
	}
	return "?";
}

const char *weir_steer_means_name(enum weir_steer_means means)
{
	switch (means) {
	case WEIR_STEER_BY_HASH:
		return "the kernel's hash";
	case WEIR_STEER_BY_CLASSIC_BPF:
		return "classic BPF";
	case WEIR_STEER_BY_INCOMING_CPU:
		return "SO_INCOMING_CPU";
	case WEIR_STEER_BY_EBPF:
		return "eBPF";
	}
	return "?";
}

int weir_steer_policy_parse(const char *text,
			    enum weir_steer_policy *out_policy)
{
	for (int i = 0; i < WEIR_STEER_POLICY_COUNT; i++) {
		const enum weir_steer_policy policy = (enum weir_steer_policy)i;
		if (strcmp(text, weir_steer_policy_name(policy)) == 0) {
			*out_policy = policy;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- options ----------------------------------------------------------- */

static void opts_resolve(struct weir_steer_opts *opts)
{
	if (opts->group_count == 0)
		opts->group_count = 1;
	if (opts->guard_percent == 0)
		opts->guard_percent = GUARD_PERCENT_DEFAULT;
	if (opts->guard_ms == 0)
		opts->guard_ms = GUARD_MS_DEFAULT;
	if (opts->kernel == NULL)
		opts->kernel = weir_kernel_default();
	if (opts->weights == NULL)
		opts->weight_count = 0;
}

static int opts_check(const struct weir_steer_opts *opts,
		      struct weir_error *error)
{
	if ((unsigned)opts->policy >= WEIR_STEER_POLICY_COUNT)
		return weir_error_set(error, -EINVAL,
				      "steering policy %d: there is none above "
				      "%d",
				      (int)opts->policy,
				      WEIR_STEER_POLICY_COUNT - 1);
	if (opts->group_count > WEIR_STEER_GROUPS_MAX)
		return weir_error_set(error, -EINVAL,
				      "%u addresses asked for; the limit is %d",
				      opts->group_count, WEIR_STEER_GROUPS_MAX);
	if (opts->guard_percent > GUARD_OFF_PERCENT)
		return weir_error_set(error, -EINVAL,
				      "a guard at %u %% asked for; 100 is off, "
				      "and the limit",
				      opts->guard_percent);
	if (opts->weight_count > WEIR_STEER_LOOPS_MAX)
		return weir_error_set(error, -EINVAL,
				      "%u weights given; the limit is %d",
				      opts->weight_count, WEIR_STEER_LOOPS_MAX);
	for (uint32_t i = 0; i < opts->weight_count; i++)
		if (opts->weights[i] > WEIR_STEER_WEIGHT_MAX)
			return weir_error_set(error, -EINVAL,
					      "weight %u of loop %u; the limit "
					      "is %d",
					      opts->weights[i], i,
					      WEIR_STEER_WEIGHT_MAX);
	return 0;
}

/* ---- the means --------------------------------------------------------- */

static struct weir_rung *steer_rung(struct weir_steer *steer, int index)
{
	return &steer->rungs[index];
}

static bool rung_is_forced_off(const struct weir_steer *steer,
			       enum weir_rung_id id)
{
	return (steer->opts.forced_off & weir_rung_bit(id)) != 0;
}

static void rungs_init(struct weir_steer *steer)
{
	for (int i = 0; i < RUNG_COUNT; i++) {
		weir_rung_init(&steer->rungs[i], steer_rung_ids[i]);
		if (rung_is_forced_off(steer, steer_rung_ids[i]))
			weir_rung_force_off(&steer->rungs[i]);
	}
}

/* Loads the program; on failure its rung has the reason. */
static void means_try_bpf(struct weir_steer *steer,
			  struct wi_steer_object object)
{
	struct weir_rung *rung = steer_rung(steer, RUNG_EBPF);
	struct weir_error error = { .code = 0 };

	if (rung->state == WEIR_RUNG_FORCED_OFF)
		return;
	int err = wi_steer_bpf_open(&steer->bpf, steer->kernel, object,
				    steer->opts.group_count, &error);
	weir_rung_set_result(rung, err);
	if (err < 0) {
		(void)snprintf(rung->cause, sizeof(rung->cause), "%.*s",
			       WEIR_RUNG_CAUSE_BYTES - 1, error.text);
		/* ENOSYS alone would look like an old kernel. */
		if (!weir_steer_is_built())
			(void)snprintf(rung->remedy, sizeof(rung->remedy),
				       "build weir with -Dbpf=enabled: it "
				       "names what is missing");
		return;
	}
	steer->means = WEIR_STEER_BY_EBPF;
	steer->state = wi_steer_bpf_state(steer->bpf);
	steer->rows = wi_steer_bpf_rows(steer->bpf, &steer->row_count);
}

/* Only a trial shows whether these two work, and the ladder has that trial. */
static void means_try_cpu(struct weir_steer *steer)
{
	struct weir_rung rungs[WEIR_RUNG_COUNT];
	const int err = weir_ladder_probe(steer->kernel, steer->opts.forced_off,
					  rungs, NULL);
	assert(err == 0); /* the environment has been read before */
	(void)err;
	for (int i = RUNG_INCOMING_CPU; i < RUNG_COUNT; i++)
		steer->rungs[i] = rungs[steer_rung_ids[i]];
	if (steer_rung(steer, RUNG_INCOMING_CPU)->state == WEIR_RUNG_ON)
		steer->means = WEIR_STEER_BY_INCOMING_CPU;
	else if (steer_rung(steer, RUNG_CBPF)->state == WEIR_RUNG_ON)
		steer->means = WEIR_STEER_BY_CLASSIC_BPF;
}

static int means_refuse(const struct weir_steer *steer,
			struct weir_error *error)
{
	const struct weir_rung *rung = &steer->rungs[RUNG_EBPF];
	return weir_error_set(error, rung->err < 0 ? rung->err : -EOPNOTSUPP,
			      "the steering policy %s is required, and: %s",
			      weir_steer_policy_name(steer->opts.policy),
			      rung->cause);
}

static int means_find(struct weir_steer *steer, struct wi_steer_object object,
		      struct weir_error *error)
{
	const enum weir_steer_policy policy = steer->opts.policy;

	if (policy == WEIR_STEER_KERNEL)
		return 0;
	means_try_bpf(steer, object);
	if (steer->means == WEIR_STEER_BY_HASH && policy == WEIR_STEER_CPU)
		means_try_cpu(steer);
	if (steer->means == WEIR_STEER_BY_HASH && steer->opts.is_required)
		return means_refuse(steer, error);
	return 0;
}

/* Without a program the loops publish as well, and nothing reads it. */
static int state_open(struct weir_steer *steer, struct weir_error *error)
{
	const struct weir_kernel *kernel = steer->kernel;
	void *memory = NULL;

	if (steer->state != NULL)
		return 0;
	int err =
		kernel->map(kernel->ctx, sizeof(*steer->state), -1, 0, &memory);
	if (err < 0)
		return weir_error_set(error, err,
				      "no memory for the steering tables: %s",
				      strerror(-err));
	steer->state = memory;
	return 0;
}

/* ---- open and close ---------------------------------------------------- */

static void members_init(struct weir_steer *steer)
{
	const struct weir_steer_opts *opts = &steer->opts;

	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++) {
		steer->weights[i] =
			i < opts->weight_count ? opts->weights[i] : 1;
		steer->cpus[i] = NO_CPU;
		for (uint32_t g = 0; g < WEIR_STEER_GROUPS_MAX; g++)
			steer->member_fds[g][i] = NO_FD;
	}
	steer->opts.weights = NULL; /* the caller's */
}

static int steer_fill(struct weir_steer *steer, struct wi_steer_object object,
		      struct weir_error *error)
{
	const struct weir_kernel *kernel = steer->kernel;
	weir_rung_set from_environment;

	int err = weir_rungs_forced_off(&from_environment, error);
	if (err < 0)
		return err;
	steer->opts.forced_off |= from_environment;
	rungs_init(steer);
	err = means_find(steer, object, error);
	if (err < 0)
		return err;
	err = state_open(steer, error);
	if (err < 0)
		return err;
	err = kernel->random(kernel->ctx, &steer->state->seed,
			     sizeof(steer->state->seed));
	if (err < 0)
		return weir_error_set(error, err,
				      "no random number for the hash of "
				      "sources: %s",
				      strerror(-err));
	steer->state->policy = (uint32_t)steer->opts.policy;
	wi_guard_init(&steer->guard, steer->opts.guard_percent,
		      steer->opts.guard_ms, kernel->now_ns(kernel->ctx));
	members_init(steer);
	return 0;
}

int wi_steer_open(struct weir_steer **out_steer,
		  const struct weir_steer_opts *opts,
		  struct wi_steer_object object, struct weir_error *error)
{
	static const struct weir_steer_opts defaults;
	struct weir_steer_opts resolved = opts != NULL ? *opts : defaults;

	opts_resolve(&resolved);
	int err = opts_check(&resolved, error);
	if (err < 0)
		return err;
	struct weir_steer *steer = calloc(1, sizeof(*steer));
	if (steer == NULL)
		return weir_error_set(error, -ENOMEM, "no memory for steering");
	steer->opts = resolved;
	steer->kernel = resolved.kernel;
	(void)pthread_mutex_init(&steer->guard_lock, NULL);
	err = steer_fill(steer, object, error);
	if (err < 0) {
		weir_steer_close(steer);
		return err;
	}
	*out_steer = steer;
	return 0;
}

int weir_steer_open(struct weir_steer **out_steer,
		    const struct weir_steer_opts *opts,
		    struct weir_error *error)
{
	return wi_steer_open(out_steer, opts, wi_steer_bpf_object(), error);
}

void weir_steer_close(struct weir_steer *steer)
{
	if (steer == NULL)
		return;
	const struct weir_kernel *kernel = steer->kernel;
	if (steer->bpf == NULL && steer->state != NULL)
		(void)kernel->unmap(kernel->ctx, steer->state,
				    sizeof(*steer->state));
	wi_steer_bpf_close(steer->bpf);
	(void)pthread_mutex_destroy(&steer->guard_lock);
	free(steer);
}

/* ---- for users --------------------------------------------------------- */

enum weir_steer_means weir_steer_means(const struct weir_steer *steer)
{
	return steer->means;
}

void weir_steer_rungs(const struct weir_steer *steer, struct weir_rung *rungs)
{
	for (int i = 0; i < RUNG_COUNT; i++)
		rungs[steer_rung_ids[i]] = steer->rungs[i];
}
