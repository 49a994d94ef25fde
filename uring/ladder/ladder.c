/* ladder.c - the table of rungs, and what an errno means for each
 *
 * Not here: how a rung is tried (ladder_try.c).
 */
#include "../ladder.h"

#include "ladder_try.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* NOLINTBEGIN(bugprone-macro-parentheses): -Wpedantic rejects a string literal
 * in parentheses as initialiser */
static const struct weir_rung rung_rows[WEIR_RUNG_COUNT] = {
#define RUNG_ROW(id, rung_name, rung_role, rung_since, rung_what, rung_costs)  \
	[WEIR_RUNG_##id] = {                                                   \
		.name = rung_name,                                             \
		.since = rung_since,                                           \
		.what = rung_what,                                             \
		.costs = rung_costs,                                           \
		.role = WEIR_ROLE_##rung_role,                                 \
		.state = WEIR_RUNG_UNTRIED,                                    \
	},
	WEIR_RUNGS(RUNG_ROW)
#undef RUNG_ROW
};
/* NOLINTEND(bugprone-macro-parentheses) */

const char *weir_rung_state_name(enum weir_rung_state state)
{
	static const char *const names[] = {
		[WEIR_RUNG_UNTRIED] = "untried",
		[WEIR_RUNG_ON] = "on",
		[WEIR_RUNG_OFF] = "off",
		[WEIR_RUNG_FORCED_OFF] = "forced off",
	};
	assert((size_t)state < sizeof(names) / sizeof(names[0]));
	return names[state];
}

void weir_rung_init(struct weir_rung *out_rung, enum weir_rung_id id)
{
	*out_rung = rung_rows[id];
}

/* ---- in words ------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void rung_cause(
	struct weir_rung *rung, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(rung->cause, sizeof(rung->cause), format, args);
	va_end(args);
}

__attribute__((format(printf, 2, 3))) static void rung_remedy(
	struct weir_rung *rung, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(rung->remedy, sizeof(rung->remedy), format, args);
	va_end(args);
}

void weir_rung_force_off(struct weir_rung *rung)
{
	rung->state = WEIR_RUNG_FORCED_OFF;
	rung->err = 0;
	rung_cause(rung, "forced off by %s or by an option", WEIR_FORCE_OFF);
	rung_remedy(rung, "take it out of %s and of the options",
		    WEIR_FORCE_OFF);
}

static bool rung_is(const struct weir_rung *rung, enum weir_rung_id id)
{
	return strcmp(rung->name, rung_rows[id].name) == 0;
}

/* Explains an errno that has a special meaning for steering. */
static bool rung_explain_steer(struct weir_rung *rung)
{
	const bool is_ebpf = rung_is(rung, WEIR_RUNG_STEER_EBPF);

	if (rung->err == -EPERM && is_ebpf) {
		rung_cause(rung, "loading a program needs CAP_BPF, which this "
				 "process lacks, or a policy (seccomp, "
				 "lockdown) forbids bpf(2)");
		rung_remedy(rung, "give it CAP_BPF (setpriv --inh-caps +bpf "
				  "--ambient-caps +bpf, AmbientCapabilities="
				  "CAP_BPF in a unit), which it may drop once "
				  "the server is open");
		return true;
	}
	if (rung->err == -EPROTO &&
	    (rung_is(rung, WEIR_RUNG_STEER_INCOMING_CPU) ||
	     rung_is(rung, WEIR_RUNG_STEER_CBPF))) {
		rung_cause(rung, "accepted, and connections over loopback did "
				 "not stay on the client's CPU");
		rung_remedy(rung,
			    "run Linux %s or newer; if it is, look for packet "
			    "steering in /sys/class/net/lo/queues/rx-0/"
			    "rps_cpus",
			    rung->since);
		return true;
	}
	return false;
}

/* Explains an errno that means that the host lacks a resource. */
static bool rung_explain_scarcity(struct weir_rung *rung)
{
	switch (rung->err) {
	case -ENOMEM:
		rung_cause(rung, "no memory for it: locked memory is limited "
				 "per user, or the control group is full");
		rung_remedy(rung, "raise `ulimit -l` (LimitMEMLOCK= in a "
				  "unit)");
		return true;
	case -EMFILE:
	case -ENFILE:
		rung_cause(rung, "no descriptor left for it");
		rung_remedy(rung, "raise `ulimit -n` (LimitNOFILE= in a unit)");
		return true;
	case -EBUSY:
		rung_cause(rung, "taken: a thread can register 16 rings");
		rung_remedy(rung, "open fewer rings per thread");
		return true;
	case -EADDRNOTAVAIL:
	case -EADDRINUSE:
	case -ENETUNREACH:
	case -ECONNREFUSED:
		rung_cause(rung,
			   "not tried: no connection over 127.0.0.1 can be "
			   "made: %s",
			   strerror(-rung->err));
		rung_remedy(rung, "bring loopback up: `ip link set lo up`");
		return true;
	default:
		return false;
	}
}

static void rung_explain(struct weir_rung *rung)
{
	if (rung_explain_steer(rung) || rung_explain_scarcity(rung))
		return;
	switch (rung->err) {
	case -EINVAL:
	case -E2BIG:       /* a structure longer than the kernel's */
	case -ENOPROTOOPT: /* a socket option */
	case -EOPNOTSUPP:
	case -ENOSYS:
	case -EBADF: /* a register call without a ring, on an older kernel */
		rung_cause(rung,
			   "this kernel does not know it, or was built without "
			   "it: %s",
			   strerror(-rung->err));
		rung_remedy(rung, "run Linux %s or newer", rung->since);
		break;
	case -EPERM:
	case -EACCES:
		rung_cause(rung,
			   "a policy forbids it (a seccomp filter, a security "
			   "module, restrictions): %s",
			   strerror(-rung->err));
		rung_remedy(rung, "allow it there; `grep Seccomp "
				  "/proc/self/status` tells of a filter");
		break;
	case -ETIME:
		rung_cause(rung, "accepted, and nothing came of it within a "
				 "second");
		rung_remedy(rung, "update the kernel: this one is at fault");
		break;
	case -EPROTO:
		rung_cause(rung, "accepted, and it did something else");
		rung_remedy(rung, "update the kernel: this one is at fault");
		break;
	default:
		rung_cause(rung, "refused: %s", strerror(-rung->err));
		rung_remedy(rung, "see io_uring_enter(2) for this error");
		break;
	}
}

void weir_rung_set_result(struct weir_rung *rung, int err)
{
	rung->state = err < 0 ? WEIR_RUNG_OFF : WEIR_RUNG_ON;
	rung->err = err < 0 ? err : 0;
	rung->cause[0] = '\0';
	rung->remedy[0] = '\0';
	if (err < 0)
		rung_explain(rung);
}

/* ---- the whole host ------------------------------------------------------ */

/* Without a ring no rung can be tried: @reason says why. */
static void rung_have_no_ring(struct weir_rung *rung,
			      const struct weir_error *reason)
{
	rung->state = WEIR_RUNG_OFF;
	rung->err = reason->code;
	rung_cause(rung, "no ring: %.*s", WEIR_RUNG_CAUSE_BYTES - 16,
		   reason->text);
	rung_remedy(rung, "see the cause: every rung needs a ring");
}

static void rung_try(struct weir_rung *rung, struct wi_stage *stage,
		     enum weir_rung_id id)
{
	int err = wi_ladder_try(stage, id);
	/* The machine may have been paused for a second. One timeout must not
	 * turn the rung off until the next start. */
	if (err == -ETIME) {
		wi_stage_close(stage);
		err = wi_ladder_try(stage, id);
	}
	if (stage->reason.code < 0)
		rung_have_no_ring(rung, &stage->reason);
	else
		weir_rung_set_result(rung, err);
	wi_stage_close(stage);
}

int weir_ladder_probe(const struct weir_kernel *kernel,
		      weir_rung_set forced_off, struct weir_rung *out_rungs,
		      struct weir_error *error)
{
	struct wi_stage stage;
	struct weir_error no_ring;
	weir_rung_set from_environment;

	int err = weir_rungs_forced_off(&from_environment, error);
	if (err < 0)
		return err;
	forced_off |= from_environment;
	wi_stage_init(&stage, kernel != NULL ? kernel : weir_kernel_default(),
		      forced_off);
	(void)wi_stage_open(&stage); /* @reason has the error */
	no_ring = stage.reason;
	wi_stage_close(&stage);

	memcpy(out_rungs, rung_rows, sizeof(rung_rows));
	for (int i = 0; i < WEIR_RUNG_COUNT; i++) {
		const enum weir_rung_id id = (enum weir_rung_id)i;
		if ((forced_off & weir_rung_bit(id)) != 0)
			weir_rung_force_off(&out_rungs[i]);
		else if (no_ring.code < 0)
			rung_have_no_ring(&out_rungs[i], &no_ring);
		else
			rung_try(&out_rungs[i], &stage, id);
	}
	return 0;
}

bool weir_ladder_can_run(const struct weir_rung *rungs)
{
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		if (rungs[i].role == WEIR_ROLE_REQUIRED &&
		    rungs[i].state != WEIR_RUNG_ON)
			return false;
	return true;
}

int weir_rungs_require(weir_rung_set forced_off, struct weir_error *error)
{
	const weir_rung_set required = weir_rungs_of_role(WEIR_ROLE_REQUIRED);
	const char *missing = NULL;
	char names[WEIR_RUNG_CAUSE_BYTES] = "";
	size_t used = 0;

	for (int i = 0; i < WEIR_RUNG_COUNT; i++) {
		const weir_rung_set bit = weir_rung_bit((enum weir_rung_id)i);
		if ((required & bit) == 0)
			continue;
		if (missing == NULL && (forced_off & bit) != 0)
			missing = rung_rows[i].name;
		used += (size_t)snprintf(names + used, sizeof(names) - used,
					 "%s%s", used > 0 ? ", " : "",
					 rung_rows[i].name);
	}
	if (missing == NULL)
		return 0;
	return weir_error_set(error, -EOPNOTSUPP,
			      "rung '%s' is forced off by %s or by an option, "
			      "and a loop cannot run without it; required "
			      "are: %s",
			      missing, WEIR_FORCE_OFF, names);
}

/* ---- one ring ------------------------------------------------------------ */

static bool ring_has_flags(const struct weir_ring *ring, uint32_t flags)
{
	return (ring->setup_flags & flags) == flags;
}

/* A missing flag was refused, or was not requested at the level where setup
 * ended. */
static void read_setup(struct weir_rung *rung, const struct weir_ring *ring,
		       bool is_on)
{
	if (is_on || ring->setup_err < 0) {
		weir_rung_set_result(rung, is_on ? 0 : ring->setup_err);
		return;
	}
	rung->state = WEIR_RUNG_OFF;
	rung_cause(rung,
		   "not asked for, because an option or %s forbids what "
		   "it goes with",
		   WEIR_FORCE_OFF);
	rung_remedy(rung, "take out what is forced off or forbidden");
}

void weir_ladder_read(const struct weir_ring *ring, struct weir_rung *out_rungs)
{
	const bool defers = ring_has_flags(ring, IORING_SETUP_DEFER_TASKRUN);
	const bool cooperates =
		defers || ring_has_flags(ring, IORING_SETUP_COOP_TASKRUN);

	memcpy(out_rungs, rung_rows, sizeof(rung_rows));
	read_setup(&out_rungs[WEIR_RUNG_DEFER_TASKRUN], ring, defers);
	read_setup(&out_rungs[WEIR_RUNG_COOP_TASKRUN], ring, cooperates);
	read_setup(&out_rungs[WEIR_RUNG_NO_SQARRAY], ring,
		   ring_has_flags(ring, IORING_SETUP_NO_SQARRAY));
	read_setup(&out_rungs[WEIR_RUNG_SUBMIT_ALL], ring,
		   ring_has_flags(ring, IORING_SETUP_SUBMIT_ALL));
	if (ring->has_registered_fd || ring->registered_err < 0)
		weir_rung_set_result(&out_rungs[WEIR_RUNG_REGISTERED_RING],
				     ring->registered_err);
	weir_rung_set_result(&out_rungs[WEIR_RUNG_MIN_WAIT],
			     ring->has_min_wait ? 0 : -EOPNOTSUPP);
	weir_rung_set_result(&out_rungs[WEIR_RUNG_WAIT_REGION],
			     ring->wait_region != NULL ? 0 : -EOPNOTSUPP);
	weir_rung_set_result(&out_rungs[WEIR_RUNG_NO_IOWAIT],
			     (ring->enter_flags & IORING_ENTER_NO_IOWAIT) != 0
				     ? 0
				     : -EOPNOTSUPP);
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		if ((ring->forced_off & weir_rung_bit((enum weir_rung_id)i)) !=
		    0)
			weir_rung_force_off(&out_rungs[i]);
}
