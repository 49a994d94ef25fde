/* test_diagnose.c - a failed open explains the cause and the remedy
 *
 * The explanations are tested with invented facts; causes that a process can
 * create for itself (memory limit, seccomp) also on this host. The ladder of
 * granted flags is tested here too.
 */
#include "../rig/count_of.h"
#include "../rig/faults.h"
#include "../rig/sandbox.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/ladder.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_BYTES (UINT64_C(3072) * 1024)
#define FREE_HOST                                                              \
	{                                                                      \
		0, 0, UINT64_MAX, 1024                                         \
	}

static const struct {
	const char *when;
	int err;
	struct weir_host_facts facts;
	const char *names[3]; /* cause, value or limit, remedy */
} causes[] = {
	{ "there is no io_uring",
	  -ENOSYS,
	  FREE_HOST,
	  { "no io_uring", "CONFIG_IO_URING", "6.1" } },
	{ "the sysctl forbids it to all",
	  -EPERM,
	  { 2, 0, UINT64_MAX, 1024 },
	  { "kernel.io_uring_disabled is 2", "everybody", "set it to 0" } },
	{ "the sysctl forbids it to most",
	  -EPERM,
	  { 1, 0, UINT64_MAX, 1024 },
	  { "kernel.io_uring_disabled is 1", "this user",
	    "kernel.io_uring_group" } },
	{ "the sysctl forbids it and there is a filter as well",
	  -EPERM,
	  { 2, 2, UINT64_MAX, 1024 },
	  { "kernel.io_uring_disabled is 2", "", "" } },
	{ "a seccomp filter forbids it",
	  -EPERM,
	  { 0, 2, UINT64_MAX, 1024 },
	  { "seccomp", "Docker", "io_uring_setup" } },
	{ "a filter forbids it and there is no such sysctl",
	  -EPERM,
	  { WEIR_HOST_UNKNOWN, 2, UINT64_MAX, 1024 },
	  { "seccomp", "Docker", "io_uring_register" } },
	{ "nothing explains EPERM",
	  -EPERM,
	  FREE_HOST,
	  { "not permitted", "neither", "security module" } },
	{ "nothing can be read about EPERM",
	  -EPERM,
	  { WEIR_HOST_UNKNOWN, WEIR_HOST_UNKNOWN, UINT64_MAX, 1024 },
	  { "not permitted", "neither", "security module" } },
	{ "a security module denies it",
	  -EACCES,
	  FREE_HOST,
	  { "security module", "SELinux", "audit log" } },
	{ "locked memory is limited",
	  -ENOMEM,
	  { 0, 0, 65536, 1024 },
	  { "3072 KiB", "64 KiB", "ulimit -l" } },
	{ "locked memory is not limited",
	  -ENOMEM,
	  FREE_HOST,
	  { "3072 KiB", "unlimited", "control group" } },
	{ "the process has no descriptor left",
	  -EMFILE,
	  { 0, 0, UINT64_MAX, 1024 },
	  { "no descriptor", "1024", "ulimit -n" } },
	{ "the host has no descriptor left",
	  -ENFILE,
	  { 0, 0, UINT64_MAX, 1024 },
	  { "no descriptor", "", "" } },
	{ "the kernel refuses every rung",
	  -EINVAL,
	  FREE_HOST,
	  { "EINVAL", "every way", "6.1" } },
	{ "nobody has heard of it",
	  -EXDEV,
	  FREE_HOST,
	  { "io_uring_setup failed", "cross-device", "" } },
};

static void expect_names(const char *when, const struct weir_error *error,
			 const char *const names[3])
{
	for (int i = 0; i < 3; i++)
		ck_assert_msg(strstr(error->text, names[i]) != NULL,
			      "when %s: '%s' does not name '%s'", when,
			      error->text, names[i]);
	/* One complete line: the longest must not be truncated. */
	ck_assert_uint_lt(strlen(error->text), sizeof(error->text) - 1);
	ck_assert_ptr_null(strchr(error->text, '\n'));
}

START_TEST(refused_ring_names_cause_and_remedy)
{
	struct weir_error error = { .code = 0 };
	ck_assert_int_eq(weir_diagnose_setup(causes[_i].err, RING_BYTES,
					     &causes[_i].facts, &error),
			 causes[_i].err);
	ck_assert_int_eq(error.code, causes[_i].err);
	expect_names(causes[_i].when, &error, causes[_i].names);

	ck_assert_int_eq(weir_diagnose_setup(causes[_i].err, RING_BYTES,
					     &causes[_i].facts, NULL),
			 causes[_i].err);
}
END_TEST

/* As the ring reports it: the errno alone selects the first words. */
static const struct {
	int err;
	const char *names;
} setup_errors[] = {
	{ -ENOSYS, "no io_uring" },     { -EPERM, "" },
	{ -EACCES, "security module" }, { -ENOMEM, "KiB" },
	{ -EMFILE, "ulimit -n" },       { -ENFILE, "ulimit -n" },
	{ -EFAULT, "io_uring_setup" },
};
START_TEST(ring_passes_on_why_the_kernel_refused_it)
{
	struct weir_ring ring;
	struct weir_error error = { .code = 0 };
	struct wi_faults faults;
	wi_faults_init(&faults);
	faults.setup_errno = setup_errors[_i].err;
	const struct weir_ring_opts opts = { .kernel = &faults.wrap.kernel };
	ck_assert_int_eq(weir_ring_open(&ring, &opts, &error),
			 setup_errors[_i].err);
	ck_assert_int_eq(error.code, setup_errors[_i].err);
	ck_assert_msg(strstr(error.text, setup_errors[_i].names) != NULL &&
			      strlen(error.text) > 20,
		      "'%s' does not name '%s'", error.text,
		      setup_errors[_i].names);
	/* Only EINVAL makes it try fewer flags. */
	ck_assert_uint_eq(faults.setups, 1);
	ck_assert_uint_eq(faults.maps + faults.unmaps + faults.closes, 0);
}
END_TEST

START_TEST(kernel_that_is_too_old_is_named_by_what_it_lacks)
{
	struct weir_ring ring;
	struct weir_error error = { .code = 0 };
	struct wi_faults faults;
	const char *const names[3] = { "too old", "SENDMSG_ZC", "6.1" };
	wi_faults_init(&faults);
	faults.probe_last_op = 40;
	const struct weir_ring_opts opts = { .kernel = &faults.wrap.kernel };
	ck_assert_int_eq(weir_ring_open(&ring, &opts, &error), -EOPNOTSUPP);
	ck_assert_int_eq(error.code, -EOPNOTSUPP);
	expect_names("the last operation is 40", &error, names);
	ck_assert_ptr_nonnull(strstr(error.text, " 40,"));
	ck_assert_uint_eq(faults.unmaps, 2);
	ck_assert_uint_eq(faults.closes, 1);

	faults.probe_last_op = IORING_OP_SENDMSG_ZC;
	ck_assert_int_eq(weir_ring_open(&ring, &opts, &error), 0);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(kernel_that_does_not_answer_the_probe_is_refused)
{
	struct weir_ring ring;
	struct weir_error error = { .code = 0 };
	struct wi_faults faults;
	wi_faults_init(&faults);
	faults.register_opcode = IORING_REGISTER_PROBE;
	faults.register_errno = -EACCES;
	const struct weir_ring_opts opts = { .kernel = &faults.wrap.kernel };
	ck_assert_int_eq(weir_ring_open(&ring, &opts, &error), -EACCES);
	ck_assert_ptr_nonnull(strstr(error.text, "operations"));
	ck_assert_uint_eq(faults.closes, 1);
}
END_TEST

/* ---- this host ----------------------------------------------------------- */

START_TEST(facts_of_this_host_are_what_its_limits_say)
{
	struct weir_host_facts facts;
	struct rlimit limit;
	weir_host_facts_read(&facts);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(facts.fd_limit, limit.rlim_cur);
	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	ck_assert_uint_eq(facts.memlock_bytes, limit.rlim_cur == RLIM_INFINITY
						       ? UINT64_MAX
						       : limit.rlim_cur);
	ck_assert_int_eq(facts.seccomp_mode, prctl(PR_GET_SECCOMP));
	ck_assert_int_ge(facts.io_uring_disabled, WEIR_HOST_UNKNOWN);
	ck_assert_int_le(facts.io_uring_disabled, 2);
}
END_TEST

/* A host described by the test's own files instead of /proc. */
static char host_folder[64];

static const char *const host_folders[] = { "proc", "proc/self", "proc/sys",
					    "proc/sys/kernel" };
static const char *const host_files[] = { "proc/self/status",
					  "proc/sys/kernel/io_uring_disabled" };

/* Lasts until the next call. */
static const char *host_path(const char *path)
{
	static char full[256];
	(void)snprintf(full, sizeof(full), "%s/%s", host_folder, path);
	return full;
}

static void host_make(const char *const *texts)
{
	(void)snprintf(host_folder, sizeof(host_folder), "/tmp/weir-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(host_folder));
	for (size_t i = 0; i < COUNT_OF(host_folders); i++)
		ck_assert_int_eq(mkdir(host_path(host_folders[i]), 0755), 0);
	for (size_t i = 0; i < COUNT_OF(host_files); i++) {
		if (texts[i] == NULL)
			continue;
		FILE *file = fopen(host_path(host_files[i]), "we");
		ck_assert_ptr_nonnull(file);
		ck_assert_int_ge(fputs(texts[i], file), 0);
		ck_assert_int_eq(fclose(file), 0);
	}
}

static void host_remove(void)
{
	for (size_t i = 0; i < COUNT_OF(host_files); i++)
		(void)unlink(host_path(host_files[i])); /* may not be there */
	for (size_t i = COUNT_OF(host_folders); i > 0; i--)
		ck_assert_int_eq(rmdir(host_path(host_folders[i - 1])), 0);
	ck_assert_int_eq(rmdir(host_folder), 0);
}

static int body_other_host(void *ctx, struct weir_error *error)
{
	(void)error;
	if (!sandbox_root(host_folder))
		return -errno;
	weir_host_facts_read(ctx);
	return 0;
}

static const struct {
	const char *when;
	const char *texts[COUNT_OF(host_files)]; /* NULL: no such file */
	int want_seccomp;
	int want_disabled;
} hosts[] = {
	{ "both are told",
	  { "Name:\tx\nSeccomp:\t2\nThreads:\t1\n", "1\n" },
	  2,
	  1 },
	{ "it was built without seccomp",
	  { "Name:\tx\nThreads:\t1\n", "0\n" },
	  WEIR_HOST_UNKNOWN,
	  0 },
	{ "the files are empty",
	  { "", "" },
	  WEIR_HOST_UNKNOWN,
	  WEIR_HOST_UNKNOWN },
	{ "the files are not there",
	  { NULL, NULL },
	  WEIR_HOST_UNKNOWN,
	  WEIR_HOST_UNKNOWN },
};
START_TEST(facts_of_a_host_are_read_from_its_files)
{
	struct weir_host_facts facts;
	struct weir_error error;
	host_make(hosts[_i].texts);
	int err = sandbox_run(body_other_host, &facts, &error);
	host_remove();
	wi_skip_unless(err != -EPERM, "may not change the root folder");
	ck_assert_int_eq(err, 0);
	ck_assert_msg(facts.seccomp_mode == hosts[_i].want_seccomp &&
			      facts.io_uring_disabled ==
				      hosts[_i].want_disabled,
		      "when %s: %d, %d", hosts[_i].when, facts.seccomp_mode,
		      facts.io_uring_disabled);
}
END_TEST

static int body_unlimited_memlock(void *ctx, struct weir_error *error)
{
	(void)ctx;
	(void)error;
	struct weir_host_facts facts;
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	if (setrlimit(RLIMIT_MEMLOCK, &none) < 0)
		return -errno;
	weir_host_facts_read(&facts);
	return facts.memlock_bytes == UINT64_MAX;
}

START_TEST(unlimited_locked_memory_is_told_as_such)
{
	struct weir_error error;
	int result = wi_in_child(body_unlimited_memlock, NULL, &error);
	wi_skip_unless(result != -EPERM, "may not raise a limit");
	ck_assert_int_eq(result, 1);
}
END_TEST

static int body_memlock(void *ctx, struct weir_error *error)
{
	(void)ctx;
	const struct rlimit small = { 65536, 65536 };
	const struct weir_ring_opts opts = { .sq_entry_count = 32768 };
	struct weir_ring ring;
	if (setrlimit(RLIMIT_MEMLOCK, &small) < 0)
		return -errno;
	if (geteuid() == 0 && setuid(65534) < 0)
		return -errno;
	int err = weir_ring_open(&ring, &opts, error);
	weir_ring_close(&ring);
	return err;
}

START_TEST(ring_above_the_limit_of_locked_memory_names_the_limit)
{
	struct weir_error error = { .text = "" };
	const char *const names[3] = { "3072 KiB", "64 KiB", "ulimit -l" };
	int err = wi_in_child(body_memlock, NULL, &error);
	wi_skip_unless(err != 0, "this kernel does not count rings as locked");
	ck_assert_msg(err == -ENOMEM, "got %d: %s", err, error.text);
	expect_names("nobody asks for 32768 entries", &error, names);
}
END_TEST

static int body_no_descriptor(void *ctx, struct weir_error *error)
{
	struct weir_host_facts *facts = ctx;
	const struct rlimit none = { 0, 0 };
	struct weir_ring ring;
	if (setrlimit(RLIMIT_NOFILE, &none) < 0)
		return -errno;
	weir_host_facts_read(facts);
	if (facts->io_uring_disabled != WEIR_HOST_UNKNOWN ||
	    facts->seccomp_mode != WEIR_HOST_UNKNOWN || facts->fd_limit != 0)
		return 1;
	int err = weir_ring_open(&ring, NULL, error);
	weir_ring_close(&ring);
	return err;
}

START_TEST(ring_without_a_descriptor_left_names_the_limit)
{
	struct weir_host_facts facts;
	struct weir_error error = { .text = "" };
	const char *const names[3] = { "no descriptor", "limit is 0",
				       "ulimit -n" };
	int err = wi_in_child(body_no_descriptor, &facts, &error);
	ck_assert_msg(err == -EMFILE, "got %d: %s", err, error.text);
	expect_names("the limit is 0", &error, names);
}
END_TEST

/* A minimal filter that answers io_uring_setup with an errno, without an
 * architecture check and without a library. */
static int body_seccomp(void *ctx, struct weir_error *error)
{
	const uint32_t action = SECCOMP_RET_ERRNO |
				((uint32_t) * (int *)ctx & SECCOMP_RET_DATA);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WEIR_NR_IO_URING_SETUP, 0,
			 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = COUNT_OF(filter),
		.filter = filter,
	};
	struct weir_ring ring;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return 1;
	int err = weir_ring_open(&ring, NULL, error);
	weir_ring_close(&ring);
	return err;
}

static const struct {
	int err; /* positive, as in the filter */
	const char *names[3];
} filters[] = {
	{ EPERM, { "seccomp", "Docker", "io_uring_enter" } },
	{ ENOSYS, { "no io_uring", "sandbox", "6.1" } },
	{ EACCES, { "security module", "", "" } },
};
START_TEST(ring_behind_a_seccomp_filter_names_the_filter)
{
	struct weir_host_facts facts;
	struct weir_error error = { .text = "" };
	int err = filters[_i].err;
	int result = wi_in_child(body_seccomp, &err, &error);
	wi_skip_unless(result != 1, "may not install a seccomp filter");
	weir_host_facts_read(&facts);
	wi_skip_unless(facts.io_uring_disabled <= 0,
		       "the sysctl of this host would be blamed");
	ck_assert_msg(result == -err, "got %d: %s", result, error.text);
	expect_names("io_uring_setup is filtered", &error, filters[_i].names);
}
END_TEST

/* ---- errors -------------------------------------------------------------- */

START_TEST(error_keeps_its_code_and_cuts_its_text)
{
	struct weir_error error;
	char longer[2 * sizeof(error.text)];
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_int_eq(weir_error_set(&error, -EIO, "%s", longer), -EIO);
	ck_assert_int_eq(error.code, -EIO);
	ck_assert_uint_eq(strlen(error.text), sizeof(error.text) - 1);
	ck_assert_int_eq(weir_error_set(NULL, -EIO, "%d of %d", 1, 2), -EIO);
}
END_TEST

/* ---- the ladder ---------------------------------------------------------- */

enum { DEFER, COOP, NO_SQARRAY, REGISTERED, MIN_WAIT, NO_IOWAIT, LADDER_COUNT };
#define BIT(rung) (1u << (rung))
#define OFF(name) weir_rung_bit(WEIR_RUNG_##name)

static const struct {
	const char *when;
	weir_rung_set forced_off;
	uint32_t off; /* exactly the rungs that must be missing */
} ladders[] = {
	{ "nothing is forced off", 0, 0 },
	{ "NO_SQARRAY is forced off", OFF(NO_SQARRAY), BIT(NO_SQARRAY) },
	{ "DEFER_TASKRUN is forced off", OFF(DEFER_TASKRUN),
	  BIT(DEFER) | BIT(NO_SQARRAY) },
	{ "each task-run flag is forced off",
	  OFF(DEFER_TASKRUN) | OFF(COOP_TASKRUN),
	  BIT(DEFER) | BIT(COOP) | BIT(NO_SQARRAY) },
	{ "no registered descriptor", OFF(REGISTERED_RING), BIT(REGISTERED) },
	{ "no min-wait", OFF(MIN_WAIT), BIT(MIN_WAIT) },
	{ "no iowait flag", OFF(NO_IOWAIT), BIT(NO_IOWAIT) },
	{ "all of them",
	  OFF(DEFER_TASKRUN) | OFF(COOP_TASKRUN) | OFF(REGISTERED_RING) |
		  OFF(MIN_WAIT) | OFF(NO_IOWAIT),
	  BIT(LADDER_COUNT) - 1 },
};

static uint32_t ladder_off(const struct weir_ring_opts *opts)
{
	static const char *const names[LADDER_COUNT] = {
		[DEFER] = "defer-taskrun",   [COOP] = "coop-taskrun",
		[NO_SQARRAY] = "no-sqarray", [REGISTERED] = "registered-ring",
		[MIN_WAIT] = "min-wait",     [NO_IOWAIT] = "no-iowait",
	};
	struct weir_rung found[WEIR_RUNG_COUNT];
	struct weir_ring ring;
	uint32_t off = 0;
	wi_ring_start(&ring, opts);
	weir_ladder_read(&ring, found);
	for (unsigned i = 0; i < LADDER_COUNT; i++) {
		ck_assert_str_eq(found[i].name, names[i]);
		ck_assert_uint_ge(strlen(found[i].since), 3);
		ck_assert_uint_gt(strlen(found[i].costs), 10);
		if (found[i].state != WEIR_RUNG_ON)
			off |= BIT(i);
	}
	weir_ring_close(&ring);
	return off;
}

START_TEST(ladder_tells_which_rungs_are_on)
{
	/* Rungs that this kernel lacks are off in every case. */
	uint32_t never = ladder_off(NULL);
	uint32_t off = ladder_off(&(struct weir_ring_opts){
		.forced_off = ladders[_i].forced_off });
	ck_assert_msg(off == (ladders[_i].off | never),
		      "when %s: off are %#x, want %#x", ladders[_i].when, off,
		      ladders[_i].off | never);
}
END_TEST

START_TEST(rung_that_the_kernel_does_not_report_is_off)
{
	struct wi_faults faults;
	wi_faults_init(&faults);
	const struct weir_ring_opts opts = { .kernel = &faults.wrap.kernel };
	uint32_t never = ladder_off(&opts);
	faults.setup_hidden_features = IORING_FEAT_MIN_TIMEOUT;
	ck_assert_uint_eq(ladder_off(&opts), never | BIT(MIN_WAIT));
	faults.setup_hidden_features = IORING_FEAT_NO_IOWAIT;
	ck_assert_uint_eq(ladder_off(&opts), never | BIT(NO_IOWAIT));
}
END_TEST

START_TEST(ladder_of_a_ring_not_yet_enabled_has_no_registered_descriptor)
{
	struct weir_ring ring;
	struct weir_rung found[WEIR_RUNG_COUNT];
	wi_skip_if_forced_off(WEIR_RUNG_REGISTERED_RING);
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	weir_ladder_read(&ring, found);
	ck_assert_int_eq(found[REGISTERED].state, WEIR_RUNG_UNTRIED);
	ck_assert_int_eq(weir_ring_enable(&ring), 0);
	weir_ladder_read(&ring, found);
	ck_assert_int_eq(found[REGISTERED].state, WEIR_RUNG_ON);
	weir_ring_close(&ring);
}
END_TEST

WI_SUITE(diagnose, "diagnose", WI_RUNGS | WI_THREADS)
{
	TCase *tcase = tcase_create("diagnose");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, refused_ring_names_cause_and_remedy, 0,
			    COUNT_OF(causes));
	tcase_add_loop_test(tcase, ring_passes_on_why_the_kernel_refused_it, 0,
			    COUNT_OF(setup_errors));
	tcase_add_test(tcase, facts_of_this_host_are_what_its_limits_say);
	tcase_add_loop_test(tcase, facts_of_a_host_are_read_from_its_files, 0,
			    COUNT_OF(hosts));
	tcase_add_test(tcase, unlimited_locked_memory_is_told_as_such);
	tcase_add_test(tcase, error_keeps_its_code_and_cuts_its_text);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_test(tcase, kernel_that_is_too_old_is_named_by_what_it_lacks);
	tcase_add_test(tcase, kernel_that_does_not_answer_the_probe_is_refused);
	tcase_add_test(tcase, ring_without_a_descriptor_left_names_the_limit);
	tcase_add_test(tcase,
		       ring_above_the_limit_of_locked_memory_names_the_limit);
	tcase_add_loop_test(tcase,
			    ring_behind_a_seccomp_filter_names_the_filter, 0,
			    COUNT_OF(filters));
	tcase_add_loop_test(tcase, ladder_tells_which_rungs_are_on, 0,
			    COUNT_OF(ladders));
	tcase_add_test(tcase, rung_that_the_kernel_does_not_report_is_off);
	tcase_add_test(
		tcase,
		ladder_of_a_ring_not_yet_enabled_has_no_registered_descriptor);
}
