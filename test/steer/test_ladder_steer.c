/* test_ladder_steer.c - the rungs of steering, and when they are refused
 *
 * A child gives up what a process may do, and a thread of its own what a thread
 * may do. So other tests keep it.
 */
#include "../rig/count_of.h"
#include "../rig/kernel_wrap.h"
#include "../rig/sandbox.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/ladder.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { CAP_BPF_BIT = 39, NOBODY = 65534 };

static struct weir_rung rungs[WEIR_RUNG_COUNT]; /* large */

static const struct {
	enum weir_rung_id id;
	long major, minor; /* the first kernel that must have it */
} steers[] = {
	{ WEIR_RUNG_STEER_EBPF, 5, 17 },
	{ WEIR_RUNG_STEER_INCOMING_CPU, 6, 2 },
	{ WEIR_RUNG_STEER_CBPF, 4, 5 },
};

static weir_rung_set all_but(enum weir_rung_id id)
{
	return (weir_rung_bit(WEIR_RUNG_COUNT) - 1) & ~weir_rung_bit(id);
}

static const struct weir_rung *probe_one(const struct weir_kernel *kernel,
					 enum weir_rung_id id)
{
	struct weir_error error = { .text = "" };
	int err = weir_ladder_probe(kernel, all_but(id), rungs, &error);
	ck_assert_msg(err == 0, "probe: %s", error.text);
	return &rungs[id];
}

static bool kernel_is_at_least(long major, long minor)
{
	struct utsname name;
	char *end;
	ck_assert_int_eq(uname(&name), 0);
	const long this_major = strtol(name.release, &end, 10);
	const long this_minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
	return this_major > major ||
	       (this_major == major && this_minor >= minor);
}

/* ---- capabilities ----------------------------------------------------------
 */

struct caps {
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[2];
};

static bool has_cap_bpf(void)
{
	struct caps caps = {
		.header = { .version = _LINUX_CAPABILITY_VERSION_3 },
	};
	ck_assert_int_eq(syscall(SYS_capget, &caps.header, caps.data), 0);
	return (caps.data[1].effective >> (CAP_BPF_BIT - 32) & 1) != 0;
}

/* These run in a child, which must not assert. */
static bool caps_drop(void)
{
	struct caps caps = {
		.header = { .version = _LINUX_CAPABILITY_VERSION_3 },
	};
	return syscall(SYS_capset, &caps.header, caps.data) == 0;
}

static bool become_nobody(void)
{
	return setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
	       setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

/* ---- this host -------------------------------------------------------------
 */

START_TEST(rung_of_steering_is_on_where_kernel_and_capabilities_allow_it)
{
	const enum weir_rung_id id = steers[_i].id;
	wi_skip_if_forced_off(id);
	wi_skip_unless(kernel_is_at_least(steers[_i].major, steers[_i].minor),
		       "the kernel is too old");
	wi_skip_unless(id != WEIR_RUNG_STEER_EBPF || has_cap_bpf(),
		       "no CAP_BPF");
	const struct weir_rung *rung = probe_one(NULL, id);
	ck_assert_msg(rung->state == WEIR_RUNG_ON, "%s is %s: %s", rung->name,
		      weir_rung_state_name(rung->state), rung->cause);
	ck_assert_str_eq(rung->cause, "");
	ck_assert_str_eq(rung->remedy, "");
}
END_TEST

START_TEST(trial_leaves_the_thread_on_the_cpus_it_had)
{
	cpu_set_t before;
	cpu_set_t after;
	ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	(void)probe_one(NULL, steers[_i].id);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(after), &after), 0);
	ck_assert(CPU_EQUAL(&before, &after));
}
END_TEST

/* ---- refused ---------------------------------------------------------------
 */

static const struct refusal {
	const char *when;
	bool (*prepare)(void);        /* in a child, or... */
	struct sandbox_denial denial; /* ...in a thread */
	int want[COUNT_OF(steers)];   /* errno of each rung; 0: on */
	const char *cause;            /* of the refused rung */
	const char *remedy;
} refusals[] = {
	{ .when = "no capability is left",
	  .prepare = caps_drop,
	  .want = { -EPERM, 0, 0 },
	  .cause = "needs CAP_BPF",
	  .remedy = "AmbientCapabilities=CAP_BPF" },
	{ .when = "the user is nobody",
	  .prepare = become_nobody,
	  .want = { -EPERM, 0, 0 },
	  .cause = "needs CAP_BPF",
	  .remedy = "setpriv --inh-caps +bpf --ambient-caps +bpf" },
	{ .when = "a filter forbids bpf(2)",
	  .denial = { .err = -EPERM, .number = SYS_bpf },
	  .want = { -EPERM, 0, 0 },
	  .cause = "seccomp",
	  .remedy = "CAP_BPF" },
	{ .when = "another errno of a filter",
	  .denial = { .err = -EACCES, .number = SYS_bpf },
	  .want = { -EACCES, 0, 0 },
	  .cause = "a policy forbids it",
	  .remedy = "Seccomp" },
	{ .when = "bpf(2) is not there",
	  .denial = { .err = -ENOSYS, .number = SYS_bpf },
	  .want = { -ENOSYS, 0, 0 },
	  .cause = "does not know it",
	  .remedy = "5.17" },
	{ .when = "bpf(2) knows a shorter structure",
	  .denial = { .err = -E2BIG, .number = SYS_bpf },
	  .want = { -E2BIG, 0, 0 },
	  .cause = "does not know it",
	  .remedy = "5.17" },
	{ .when = "bpf(2) is interrupted for ever",
	  .denial = { .err = -EAGAIN, .number = SYS_bpf },
	  .want = { -EAGAIN, 0, 0 },
	  .cause = "refused: ",
	  .remedy = "for this error" },
	{ .when = "no map can be filled",
	  .denial = { .err = -EPERM,
		      .number = SYS_bpf,
		      .has_arg = true,
		      .arg_index = 0,
		      .arg = BPF_MAP_UPDATE_ELEM },
	  .want = { -EPERM, 0, 0 },
	  .cause = "needs CAP_BPF",
	  .remedy = "CAP_BPF" },
	{ .when = "no program can be loaded",
	  .denial = { .err = -EPERM,
		      .number = SYS_bpf,
		      .has_arg = true,
		      .arg_index = 0,
		      .arg = BPF_PROG_LOAD },
	  .want = { -EPERM, 0, 0 },
	  .cause = "needs CAP_BPF",
	  .remedy = "CAP_BPF" },
	{ .when = "no program can be attached",
	  .denial = { .err = -EPERM,
		      .number = SYS_setsockopt,
		      .has_arg = true,
		      .arg_index = 2,
		      .arg = SO_ATTACH_REUSEPORT_EBPF },
	  .want = { -EPERM, 0, 0 },
	  .cause = "needs CAP_BPF",
	  .remedy = "CAP_BPF" },
	{ .when = "no listener can name a CPU",
	  .denial = { .err = -ENOPROTOOPT,
		      .number = SYS_setsockopt,
		      .has_arg = true,
		      .arg_index = 2,
		      .arg = SO_INCOMING_CPU },
	  .want = { 0, -ENOPROTOOPT, 0 },
	  .cause = "does not know it",
	  .remedy = "6.2" },
	{ .when = "no classic program can be attached",
	  .denial = { .err = -EACCES,
		      .number = SYS_setsockopt,
		      .has_arg = true,
		      .arg_index = 2,
		      .arg = SO_ATTACH_REUSEPORT_CBPF },
	  .want = { 0, 0, -EACCES },
	  .cause = "a policy forbids it",
	  .remedy = "Seccomp" },
};

/* A probe to run in a child or a thread. */
struct question {
	const struct refusal *refusal;
	enum weir_rung_id id;
	bool wants_remedy;
};

/* Its result: the rung's errno; its cause or remedy as the text. */
static int probe_refused(void *ctx, struct weir_error *error)
{
	const struct question *question = ctx;
	const struct refusal *refusal = question->refusal;
	const struct weir_rung *rung = &rungs[question->id];
	if (!(refusal->prepare != NULL ? refusal->prepare()
				       : sandbox_deny(&refusal->denial)))
		return weir_error_set(error, -ENOTRECOVERABLE, "prepare: %s",
				      strerror(errno));
	int err = weir_ladder_probe(NULL, all_but(question->id), rungs, error);
	if (err < 0)
		return err;
	return weir_error_set(error, rung->err, "%s",
			      question->wants_remedy ? rung->remedy
						     : rung->cause);
}

static void expect_answer(const struct question *question, int want,
			  const char *text)
{
	struct weir_error answer = { .text = "" };
	int (*const run)(int (*)(void *, struct weir_error *), void *,
			 struct weir_error *) =
		question->refusal->prepare != NULL ? wi_in_child : sandbox_run;
	int err = run(probe_refused, (void *)question, &answer);
	ck_assert_msg(err == want && strstr(answer.text, text) != NULL,
		      "when %s, %s: %d '%s', want %d '%s'",
		      question->refusal->when, weir_rung_name(question->id),
		      err, answer.text, want, text);
}

START_TEST(who_is_refused_one_rung_has_the_other_two)
{
	const struct refusal *refusal = &refusals[_i];
	wi_skip_unless(refusal->prepare != become_nobody || geteuid() == 0,
		       "only root can become nobody");
	for (size_t i = 0; i < COUNT_OF(steers); i++) {
		struct question question = { refusal, steers[i].id, false };
		if (wi_is_forced_off(question.id) ||
		    !kernel_is_at_least(steers[i].major, steers[i].minor))
			continue;
		const bool is_refused = refusal->want[i] < 0;
		if (question.id == WEIR_RUNG_STEER_EBPF && !is_refused &&
		    !has_cap_bpf())
			continue;
		expect_answer(&question, refusal->want[i],
			      is_refused ? refusal->cause : "");
		question.wants_remedy = true;
		expect_answer(&question, refusal->want[i],
			      is_refused ? refusal->remedy : "");
	}
}
END_TEST

static int probe_unpinned(void *ctx, struct weir_error *error)
{
	static const struct sandbox_denial denial = {
		.err = -EPERM, .number = SYS_sched_getaffinity
	};
	const enum weir_rung_id id = *(const enum weir_rung_id *)ctx;
	cpu_set_t here;
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	if (sched_setaffinity(0, sizeof(here), &here) < 0 ||
	    !sandbox_deny(&denial))
		return weir_error_set(error, -ENOTRECOVERABLE, "prepare: %s",
				      strerror(errno));
	int err = weir_ladder_probe(NULL, all_but(id), rungs, error);
	if (err < 0)
		return err;
	return weir_error_set(error, rungs[id].err, "%s", rungs[id].cause);
}

/* As on a machine with more CPUs than the set holds: the thread is not moved,
 * and the probe still runs. */
START_TEST(who_cannot_ask_for_its_cpus_is_tried_where_it_runs)
{
	enum weir_rung_id id = steers[_i].id;
	struct weir_error answer = { .text = "" };
	wi_skip_if_forced_off(id);
	wi_skip_unless(probe_one(NULL, id)->state == WEIR_RUNG_ON,
		       "this kernel does without the rung");
	int err = sandbox_run(probe_unpinned, &id, &answer);
	ck_assert_msg(err == 0, "%s: %d, %s", weir_rung_name(id), err,
		      answer.text);
}
END_TEST

/* A kernel that returns the port's first listener for the second one: no means
 * can choose it. */
struct twin {
	struct kernel_wrap wrap;
	int first;
};

static bool twin_before(void *ctx, struct kernel_call *call)
{
	struct twin *twin = ctx;
	if (call->id != CALL_LISTEN)
		return false;
	if (twin->first >= 0) {
		call->result = dup2(twin->first, call->fd.fd) < 0 ? -errno : 0;
		return true;
	}
	twin->first = call->fd.fd;
	return false;
}

START_TEST(means_that_chooses_another_listener_is_found_out)
{
	const enum weir_rung_id id = steers[_i].id;
	struct twin twin = { .first = -1 };
	kernel_wrap_init(&twin.wrap, weir_kernel_linux(), twin_before, NULL,
			 &twin);
	wi_skip_if_forced_off(id);
	wi_skip_unless(id != WEIR_RUNG_STEER_EBPF || has_cap_bpf(),
		       "no CAP_BPF");
	const struct weir_rung *rung = probe_one(&twin.wrap.kernel, id);
	ck_assert_int_eq(rung->state, WEIR_RUNG_OFF);
	ck_assert_msg(rung->err == -EPROTO, "%s: %s", rung->name, rung->cause);
	ck_assert_ptr_nonnull(strstr(rung->cause, "accepted, and"));
	if (id != WEIR_RUNG_STEER_EBPF)
		ck_assert_ptr_nonnull(strstr(rung->remedy, "rps_cpus"));
}
END_TEST

WI_SUITE(ladder_steer, "ladder-steer", WI_RUNGS | WI_THREADS | WI_BPF)
{
	TCase *tcase = tcase_create("ladder-steer");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(
		tcase,
		rung_of_steering_is_on_where_kernel_and_capabilities_allow_it,
		0, COUNT_OF(steers));
	tcase_add_loop_test(tcase, trial_leaves_the_thread_on_the_cpus_it_had,
			    0, COUNT_OF(steers));
	tcase_add_loop_test(tcase, who_is_refused_one_rung_has_the_other_two, 0,
			    COUNT_OF(refusals));
	tcase_add_loop_test(tcase,
			    who_cannot_ask_for_its_cpus_is_tried_where_it_runs,
			    0, COUNT_OF(steers));
	tcase_add_loop_test(tcase,
			    means_that_chooses_another_listener_is_found_out, 0,
			    COUNT_OF(steers));
}
