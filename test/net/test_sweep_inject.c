/* test_sweep_inject.c - every system call of a server fails once
 *
 *     strace -e inject=CALL:error=E:when=1, 2, 3 ...   until a run meets none
 *
 * Each time the server serves every byte, or ends with one line and status 1.
 * With $WEIR_DEEP: every error of every call. In the first tier: each call,
 * with some of the errors.
 */
#include "../rig/peer.h"
#include "../rig/support.h"
#include "../rig/sweep.h"
#include "../suites.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	WHEN_MAX = 400, /* more calls than a run makes */
	BURST = 25,     /* calls in a row that fail */
};

enum fate {
	MUST_SERVE = 1, /* the caller may simply retry */
	MUST_END,       /* the ring is unusable */
	MAY_DO_BOTH,    /* depends on the purpose of the call */
};

struct sweep {
	const char *call;
	const char *fault;
	enum fate fate;
	int step; /* step of the first tier, at least; 1: each */
	bool is_burst;
};

static const struct sweep sweeps[] = {
	{ "io_uring_setup", "error=EINTR", MAY_DO_BOTH, 1, false },
	{ "io_uring_setup", "error=EAGAIN", MAY_DO_BOTH, 1, false },
	{ "io_uring_setup", "error=ENOMEM", MAY_DO_BOTH, 1, false },
	{ "io_uring_setup", "error=EPERM", MAY_DO_BOTH, 1, false },
	{ "io_uring_setup", "error=ENOSYS", MAY_DO_BOTH, 1, false },
	{ "io_uring_setup", "error=EMFILE", MAY_DO_BOTH, 1, false },
	{ "io_uring_setup", "error=ENFILE", MAY_DO_BOTH, 1, false },
	{ "io_uring_setup", "error=EFAULT", MAY_DO_BOTH, 1, false },
	{ "io_uring_setup", "error=EACCES", MAY_DO_BOTH, 1, false },
	/* The first setup is refused; the server goes down a rung and makes no
	 * other. */
	{ "io_uring_setup", "error=EINVAL", MUST_SERVE, 1, false },
	{ "io_uring_setup", "error=EINVAL", MAY_DO_BOTH, 1, true },

	{ "io_uring_register", "error=EINTR", MAY_DO_BOTH, 1, false },
	{ "io_uring_register", "error=EBUSY", MAY_DO_BOTH, 1, false },
	{ "io_uring_register", "error=EAGAIN", MAY_DO_BOTH, 1, false },
	{ "io_uring_register", "error=ENOMEM", MAY_DO_BOTH, 1, false },
	{ "io_uring_register", "error=EPERM", MAY_DO_BOTH, 1, false },
	{ "io_uring_register", "error=EINVAL", MAY_DO_BOTH, 1, false },
	{ "io_uring_register", "error=EOPNOTSUPP", MAY_DO_BOTH, 1, false },
	{ "io_uring_register", "error=EMFILE", MAY_DO_BOTH, 1, false },
	{ "io_uring_register", "error=EINVAL", MAY_DO_BOTH, 1, true },

	{ "mmap", "error=ENOMEM", MAY_DO_BOTH, 1, false },
	{ "mmap", "error=EAGAIN", MAY_DO_BOTH, 1, false },
	{ "mmap", "error=EPERM", MAY_DO_BOTH, 1, false },
	{ "mmap", "error=EINVAL", MAY_DO_BOTH, 1, false },
	{ "mmap", "error=ENOMEM", MAY_DO_BOTH, 1, true },

	{ "io_uring_enter", "error=EINTR", MUST_SERVE, 1, false },
	{ "io_uring_enter", "error=EBUSY", MUST_SERVE, 1, false },
	{ "io_uring_enter", "error=EAGAIN", MUST_SERVE, 1, false },
	{ "io_uring_enter", "error=ENOMEM", MUST_SERVE, 1, false },
	{ "io_uring_enter", "error=ETIME", MUST_SERVE, 3, false },
	/* The result says none, or more than the kernel took; the heads of the
	 * queues are right. */
	{ "io_uring_enter", "retval=0", MUST_SERVE, 2, false },
	{ "io_uring_enter", "retval=1", MUST_SERVE, 3, false },
	{ "io_uring_enter", "retval=1000", MUST_SERVE, 3, false },
	{ "io_uring_enter", "error=EINTR", MUST_SERVE, 3, true },
	{ "io_uring_enter", "error=EBUSY", MUST_SERVE, 3, true },
	{ "io_uring_enter", "error=EAGAIN", MUST_SERVE, 3, true },
	{ "io_uring_enter", "error=ENOMEM", MUST_SERVE, 3, true },
	{ "io_uring_enter", "retval=0", MUST_SERVE, 3, true },
	{ "io_uring_enter", "error=EBADF", MUST_END, 7, false },
	{ "io_uring_enter", "error=EBADR", MUST_END, 7, false },
	{ "io_uring_enter", "error=EFAULT", MUST_END, 7, false },
	{ "io_uring_enter", "error=EINVAL", MUST_END, 7, false },
	{ "io_uring_enter", "error=ENXIO", MUST_END, 7, false },
	{ "io_uring_enter", "error=EPERM", MUST_END, 7, false },
	{ "io_uring_enter", "error=EOPNOTSUPP", MUST_END, 7, false },
};

static bool may_inject(void)
{
	static struct outcome outcome;
	program_run((const char *const[]){ "strace", "-qq", "-o", "/dev/null",
					   "-e", "inject=getpid:error=EINTR",
					   "true", NULL },
		    &outcome);
	return outcome.status == 0;
}

/* How often @what is in strace's output, up to the line with @end. */
static int trace_count(const char *what, const char *end)
{
	char line[512];
	int count = 0;
	FILE *file = fopen(scratch_path("trace"), "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (end != NULL && strstr(line, end) != NULL)
			break;
		count += strstr(line, what) != NULL;
	}
	(void)fclose(file); /* was only read */
	return count;
}

/* -D: the server stays our child. strace is its grandchild and ends after it,
 * when all is written. */
static struct program start_traced(const char *trace, const char *inject)
{
	return sweep_start(
		(const char *const[]){ "strace",  "-D",
				       "-f",      "-qq",
				       "-o",      scratch_path("trace"),
				       "-e",      trace,
				       "-e",      inject,
				       ECHO_ARGS, "--loops",
				       "1",       "--connections",
				       "64",      "--buffers",
				       "64",      "--memory",
				       "16M",     "--drain-timeout",
				       "1000",    NULL });
}

struct tally {
	int runs;
	int served;
	int ended;
};

static void expect_fate(const struct sweep *sweep,
			const struct outcome *outcome, bool is_whole,
			struct tally *tally)
{
	if (outcome->status == 0) {
		ck_assert_msg(is_whole, "%s: it cut a connection",
			      sweep_tried());
		ck_assert_msg(sweep->fate != MUST_END ||
				      trace_count("INJECTED", NULL) == 0,
			      "%s: it goes on without a ring", sweep_tried());
		free(sweep_expect_clean(outcome));
		tally->served++;
		return;
	}
	sweep_expect_refusal(outcome);
	/* The line must not name a call that has succeeded. */
	ck_assert_msg(strcmp(sweep->call, "mmap") != 0 ||
			      (strstr(outcome->err, "io_uring_setup") == NULL &&
			       strstr(outcome->err, "ulimit -l") == NULL),
		      "%s: it blames another call: %s", sweep_tried(),
		      outcome->err);
	/* With rungs forced off there may be no lower rung. */
	ck_assert_msg(sweep->fate != MUST_SERVE ||
			      getenv("WEIR_FORCE_OFF") != NULL,
		      "%s: it gives up: %s", sweep_tried(), outcome->err);
	tally->ended++;
}

/* Arguments of strace. */
struct orders {
	char trace[64];
	char inject[128];
};

static void orders_write(const struct sweep *sweep, int when,
			 struct orders *orders)
{
	char range[32];
	(void)snprintf(range, sizeof(range), sweep->is_burst ? "%d..%d" : "%d",
		       when, when + BURST);
	(void)snprintf(orders->trace, sizeof(orders->trace), "trace=%s",
		       sweep->call);
	(void)snprintf(orders->inject, sizeof(orders->inject),
		       "inject=%s:%s:when=%s", sweep->call, sweep->fault,
		       range);
	sweep_now_trying("%s", orders->inject);
}

/* Each row begins at another call: a call that one row skips is tested by
 * another row. */
static int step_of(const struct sweep *sweep)
{
	enum { SHORT = 3 };
	if (wi_is_deep())
		return 1;
	/* Setup is called a few times only. */
	return sweep->step == 1 && strcmp(sweep->call, "io_uring_setup") != 0
		       ? SHORT
		       : sweep->step;
}

/* False: no fault happened: there are no more calls. */
static bool sweep_once(const struct sweep *sweep, int when, struct tally *tally)
{
	static struct outcome outcome;
	struct orders orders;
	bool is_whole = false;

	orders_write(sweep, when, &orders);
	struct program program = start_traced(orders.trace, orders.inject);
	if (program.port != 0) {
		is_whole = sweep_talk(program.port);
		(void)kill(program.pid, SIGTERM); /* it may have ended */
	}
	sweep_end(&program, &outcome);
	tally->runs++;
	expect_fate(sweep, &outcome, is_whole, tally);
	return trace_count("INJECTED", NULL) > 0;
}

/* Calls of the loader, and of the C library before main(), are not tested: the
 * first one is after main()'s own first call. */
static int first_when(const struct sweep *sweep)
{
	static struct outcome outcome;
	if (strcmp(sweep->call, "mmap") != 0)
		return 1;
	sweep_now_trying("no fault");
	struct program program =
		start_traced("trace=mmap,rt_sigaction",
			     "inject=getpid:error=EINTR:when=1000");
	(void)kill(program.pid, SIGTERM);
	sweep_end(&program, &outcome);
	free(sweep_expect_clean(&outcome));
	return trace_count("mmap(", "SIGPIPE") + 1;
}

START_TEST(each_call_that_fails_is_overcome_or_explained)
{
	const struct sweep *sweep = &sweeps[_i];
	struct tally tally = { 0 };
	wi_skip_unless(may_inject(), "no strace, or it may not trace");
	wi_skip_unless_built(!WI_HAS_SANITIZER ||
				     strcmp(sweep->call, "mmap") != 0,
			     "a sanitizer does not live without mmap");
	scratch_open();
	/* LeakSanitizer, if built in, cannot run under a tracer. */
	ck_assert_int_eq(setenv("ASAN_OPTIONS", "detect_leaks=0", 1), 0);
	const int step = step_of(sweep);
	int when = first_when(sweep) + (step == 3 ? _i % step : 0);
	while (sweep_once(sweep, when, &tally)) {
		when += step;
		ck_assert_msg(when < WHEN_MAX, "%s: and still more calls",
			      sweep_tried());
	}
	(void)printf("%s %s%s: %d runs, %d served, %d ended with one line\n",
		     sweep->call, sweep->fault,
		     sweep->is_burst ? " in a row" : "", tally.runs,
		     tally.served, tally.ended);
	ck_assert_int_gt(tally.runs, 1);
	ck_assert_int_eq(unsetenv("ASAN_OPTIONS"), 0);
	scratch_close();
}
END_TEST

/* ---- the other end ----------------------------------------------------- */

static const struct sweep load_sweeps[] = {
	{ "io_uring_setup", "error=EPERM", MAY_DO_BOTH, 1, false },
	{ "io_uring_register", "error=ENOMEM", MAY_DO_BOTH, 1, false },
	{ "io_uring_enter", "error=EINTR", MUST_SERVE, 2, false },
	{ "io_uring_enter", "error=EBUSY", MUST_SERVE, 2, false },
	{ "io_uring_enter", "error=ENOMEM", MUST_SERVE, 3, true },
	/* Once all is answered and closed, its work is done. */
	{ "io_uring_enter", "error=EBADF", MAY_DO_BOTH, 5, false },
};

static bool load_once(const struct sweep *sweep, int when, uint16_t port,
		      struct tally *tally)
{
	static struct outcome outcome;
	struct orders orders;
	char port_text[8];

	orders_write(sweep, when, &orders);
	(void)snprintf(port_text, sizeof(port_text), "%u", (unsigned)port);
	struct program load =
		program_start((const char *const[]){ "strace",
						     "-D",
						     "-f",
						     "-qq",
						     "-o",
						     scratch_path("trace"),
						     "-e",
						     orders.trace,
						     "-e",
						     orders.inject,
						     "weir-load",
						     "--quiet",
						     "--json",
						     scratch_path("load.json"),
						     "--port",
						     port_text,
						     "--connections",
						     "3",
						     "--requests",
						     "8",
						     "--bytes",
						     "0-2000",
						     NULL });
	sweep_end(&load, &outcome);
	const bool is_met = trace_count("INJECTED", NULL) > 0;
	tally->runs++;
	if (outcome.status == 0) {
		char *json = json_read("load.json");
		ck_assert_uint_eq(NUMBER(json, "messages"), 24);
		ck_assert_uint_eq(NUMBER(json, "mismatches"), 0);
		free(json);
		tally->served++;
		return is_met;
	}
	sweep_expect_refusal(&outcome);
	ck_assert_msg(sweep->fate != MUST_SERVE, "%s: it gives up: %s",
		      sweep_tried(), outcome.err);
	tally->ended++;
	return is_met;
}

START_TEST(each_call_of_a_load_that_fails_is_overcome_or_explained)
{
	static struct outcome outcome;
	const struct sweep *sweep = &load_sweeps[_i];
	struct tally tally = { 0 };
	int when = 1;
	wi_skip_unless(may_inject(), "no strace, or it may not trace");
	scratch_open();
	sweep_now_trying("no fault");
	struct program echo = sweep_start(
		(const char *const[]){ ECHO_ARGS, "--loops", "1", NULL });
	ck_assert_int_eq(setenv("ASAN_OPTIONS", "detect_leaks=0", 1), 0);
	const int step = step_of(sweep);
	while (load_once(sweep, when, echo.port, &tally)) {
		when += step;
		ck_assert_msg(when < WHEN_MAX, "%s: and still more calls",
			      sweep_tried());
	}
	ck_assert_int_eq(unsetenv("ASAN_OPTIONS"), 0);
	(void)printf("weir-load: %s %s%s: %d runs, %d whole, %d ended with one "
		     "line\n",
		     sweep->call, sweep->fault,
		     sweep->is_burst ? " in a row" : "", tally.runs,
		     tally.served, tally.ended);
	ck_assert_int_gt(tally.runs, 1);
	/* Whatever happened to its clients, the server still serves. */
	ck_assert(sweep_talk(echo.port));
	ck_assert_int_eq(kill(echo.pid, SIGTERM), 0);
	sweep_end(&echo, &outcome);
	free(sweep_expect_clean(&outcome));
	scratch_close();
}
END_TEST

/* Without the flag for threads, for now: under the thread sanitizer a traced
 * server did not end in one of five runs of this suite (io_uring_enter, EINTR,
 * when=7..32). The cause is not known, and it may be weir's. The deep tier runs
 * the suite under that sanitizer. */
WI_SUITE(sweep_inject, "sweep-inject", WI_RUNGS | WI_SWEEP)
{
	TCase *tcase = tcase_create("inject");
	tcase_set_timeout(tcase, SWEEP_TEST_TIMEOUT_S);
	suite_add_tcase(suite, tcase);
	if (tools_dir() == NULL) {
		wi_skip_note("sweep-inject", "this build has no tools",
			     WI_SKIP_ASKED);
		return;
	}
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase,
			    each_call_that_fails_is_overcome_or_explained, 0,
			    (int)(sizeof(sweeps) / sizeof(sweeps[0])));
	tcase_add_loop_test(
		tcase, each_call_of_a_load_that_fails_is_overcome_or_explained,
		0, (int)(sizeof(load_sweeps) / sizeof(load_sweeps[0])));
}
