/* test_doctor.c - weir-doctor, as a user runs it */
#include "../rig/count_of.h"
#include "../rig/support.h"
#include "../rig/tool.h"
#include "../suites.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ESCAPE "\033["

static struct tool doctor; /* large */

/* To the terminal: Check cannot print a message of 4 KiB. */
static const char *shown(void)
{
	(void)puts(doctor.output);
	(void)fflush(stdout);
	return "as shown above";
}

static void expect_says(const char *text)
{
	ck_assert_msg(strstr(doctor.output, text) != NULL,
		      "it does not say '%s', %s", text, shown());
}

#define doctor_or_skip()                                                       \
	do {                                                                   \
		if (!tool_is_there(__func__, "weir-doctor"))                   \
			return;                                                \
	} while (0)

/* Arguments, exit status, output. */
static const struct {
	const char *when;
	const char *args[4];
	const char *env[3];
	int status;
	const char *says[3];
} runs[] = {
	{ "nothing is asked for",
	  { NULL },
	  { NULL },
	  0,
	  { "weir can run here", "defer-taskrun", "descriptors" } },
	{ "help is",
	  { "--help" },
	  { NULL },
	  0,
	  { "usage: weir-doctor", "Examples:", "Exit status: 0" } },
	{ "the version is",
	  { "--version" },
	  { NULL },
	  0,
	  { "weir-doctor", "", "" } },
	{ "an optional rung is forced off by the option",
	  { "--force-off", "min-wait" },
	  { NULL },
	  0,
	  { "forced off  min-wait", "cause: forced off by",
	    "costs: batches" } },
	{ "an optional rung is forced off by the environment",
	  { NULL },
	  { "WEIR_FORCE_OFF=no-iowait" },
	  0,
	  { "forced off  no-iowait", "remedy: take it out", "iowait" } },
	{ "all that is optional is forced off",
	  { "--force-off=all" },
	  { NULL },
	  0,
	  { "weir can run here", ": 4 of ", "forced off  query" } },
	{ "a required rung is forced off",
	  { "--force-off", "bufring" },
	  { NULL },
	  1,
	  { "weir cannot run here", "forced off  bufring", "costs:" } },
	{ "a rung is unknown to the option",
	  { "--force-off", "min-wiat" },
	  { NULL },
	  2,
	  { "--force-off names 'min-wiat'", "min-wait", "or all" } },
	{ "a rung is unknown to the environment",
	  { NULL },
	  { "WEIR_FORCE_OFF=napi,foo" },
	  2,
	  { "WEIR_FORCE_OFF names 'foo'", "recv-multishot", "or all" } },
	{ "an option is unknown",
	  { "--frobnicate" },
	  { NULL },
	  2,
	  { "--frobnicate", "", "" } },
	{ "a colour is unknown",
	  { "--color", "pink" },
	  { NULL },
	  2,
	  { "pink", "always", "never" } },
	{ "colours are always wanted",
	  { "--color", "always" },
	  { NULL },
	  0,
	  { ESCAPE, "", "" } },
};
START_TEST(doctor_says_and_ends_as_documented)
{
	doctor_or_skip();
	doctor = (struct tool){ .name = "weir-doctor" };
	memcpy(doctor.args, runs[_i].args, sizeof(runs[_i].args));
	memcpy(doctor.env, runs[_i].env, sizeof(runs[_i].env));
	/* If a required rung is forced off for this suite, the documented
	 * status is expected. */
	int status = tool_run(&doctor);
	ck_assert_msg(status == runs[_i].status, "when %s: status %d, %s",
		      runs[_i].when, status, shown());
	for (int i = 0; i < 3; i++)
		expect_says(runs[_i].says[i]);
}
END_TEST

/* ---- JSON ------------------------------------------------------------------
 */

/* Matching brackets and closed strings: enough to notice a broken writer. */
static bool json_is_whole(const char *text)
{
	int depth = 0;
	bool is_quoted = false;
	for (; *text != '\0'; text++) {
		if (*text == '\\' && is_quoted) {
			text++;
			continue;
		}
		if (*text == '"')
			is_quoted = !is_quoted;
		if (is_quoted)
			continue;
		depth += *text == '{' || *text == '[';
		depth -= *text == '}' || *text == ']';
		if (depth < 0)
			return false;
	}
	return depth == 0 && !is_quoted;
}

START_TEST(doctor_json_has_every_rung_and_every_limit)
{
	static const char *const facts[] = {
		"kernel",
		"kernel.io_uring_disabled",
		"seccomp",
		"descriptors",
		"locked memory",
		"net.core.somaxconn",
		"net.ipv4.tcp_max_syn_backlog",
		"net.ipv4.ip_local_port_range",
		"unprivileged port start",
		"steering program",
		"kernel.unprivileged_bpf_disabled",
		"net.ipv4.tcp_migrate_req",
		"congestion control",
		"CPUs",
		"CPU mitigations",
	};
	char member[96];
	doctor_or_skip();
	doctor = (struct tool){ .name = "weir-doctor", .args = { "--json" } };
	ck_assert_int_eq(tool_run(&doctor), 0);
	ck_assert_int_eq(doctor.output[0], '{');
	ck_assert(json_is_whole(doctor.output));
	expect_says("\"can_run\": true");
	for (int i = 0; i < WEIR_RUNG_COUNT; i++) {
		(void)snprintf(member, sizeof(member), "\"name\": \"%s\"",
			       weir_rung_name((enum weir_rung_id)i));
		expect_says(member);
	}
	for (size_t i = 0; i < COUNT_OF(facts); i++) {
		(void)snprintf(member, sizeof(member), "\"name\": \"%s\"",
			       facts[i]);
		expect_says(member);
	}
}
END_TEST

/* ---- colours ---------------------------------------------------------------
 */

static const struct {
	const char *when;
	const char *env[3];
	bool terminal;
	bool has_color;
} paints[] = {
	{ "on a terminal", { "TERM=xterm", "NO_COLOR" }, true, true },
	{ "NO_COLOR is set", { "TERM=xterm", "NO_COLOR=1" }, true, false },
	{ "NO_COLOR is empty", { "TERM=xterm", "NO_COLOR=" }, true, true },
	{ "the terminal is dumb", { "TERM=dumb", "NO_COLOR" }, true, false },
	{ "into a pipe", { "TERM=xterm", "NO_COLOR" }, false, false },
};
START_TEST(doctor_paints_on_a_terminal_that_wants_it)
{
	doctor_or_skip();
	doctor = (struct tool){
		.name = "weir-doctor",
		.terminal = paints[_i].terminal,
	};
	memcpy(doctor.env, paints[_i].env, sizeof(paints[_i].env));
	ck_assert_int_eq(tool_run(&doctor), 0);
	ck_assert_msg((strstr(doctor.output, ESCAPE) != NULL) ==
			      paints[_i].has_color,
		      "when %s, %s", paints[_i].when, shown());
}
END_TEST

/* ---- other hosts -----------------------------------------------------------
 */

static void file_put(const char *root, const char *path, const char *text)
{
	char full[256];
	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = full + strlen(root) + 1; *slash != '\0'; slash++) {
		if (*slash != '/')
			continue;
		*slash = '\0';
		ck_assert(mkdir(full, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	FILE *file = fopen(full, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static const struct {
	const char *when;
	const char *path;
	const char *text;
	int status;
	const char *says[3];
} hosts[] = {
	{ "io_uring is forbidden",
	  "/proc/sys/kernel/io_uring_disabled",
	  "2\n",
	  1,
	  { "weir cannot run here", "kernel.io_uring_disabled         2",
	    "remedy: sysctl kernel.io_uring_disabled=0" } },
	{ "io_uring is for a group that we are not in",
	  "/proc/sys/kernel/io_uring_disabled",
	  "1\n",
	  1,
	  { "which does not let this process", "", "" } },
	{ "a filter is there",
	  "/proc/self/status",
	  "Name: x\nSeccomp:\t2\n",
	  0,
	  { "a filter", "Docker", "" } },
	{ "the backlog is short",
	  "/proc/sys/net/core/somaxconn",
	  "128\n",
	  0,
	  { "low         net.core.somaxconn               128",
	    "remedy: sysctl net.core.somaxconn=4096", "" } },
	{ "ports are few",
	  "/proc/sys/net/ipv4/ip_local_port_range",
	  "50000\t50099\n",
	  0,
	  { "50000 to 50099, 100 ports", "remedy: sysctl net.ipv4.ip_local",
	    "" } },
	{ "programs are for CAP_BPF, which we have not",
	  "/proc/sys/kernel/unprivileged_bpf_disabled",
	  "1\n",
	  0,
	  { "kernel.unprivileged_bpf_disabled 1, this process has no CAP_BPF",
	    "", "" } },
	{ "waiting connections move",
	  "/proc/sys/net/ipv4/tcp_migrate_req",
	  "1\n",
	  0,
	  { "ok          net.ipv4.tcp_migrate_req         1", "", "" } },
	{ "the kernel is another",
	  "/proc/sys/kernel/osrelease",
	  "6.1.0-x\n",
	  0,
	  { "6.1.0-x", "", "" } },
	{ "mitigations are on",
	  "/sys/devices/system/cpu/vulnerabilities/meltdown",
	  "Mitigation: PTI\n",
	  0,
	  { "for meltdown", "", "" } },
	{ "a file is empty",
	  "/proc/sys/net/core/somaxconn",
	  "",
	  0,
	  { "unknown", "", "" } },
};
/* With a program no connection is lost; without, waiting ones are. */
static const char *const migrations[] = { "steer-ebpf", "query" };
START_TEST(doctor_wants_migration_where_no_program_does_it)
{
	char root[] = "/tmp/weir-doctor-XXXXXX";
	char remove[64];
	doctor_or_skip();
	ck_assert_ptr_nonnull(mkdtemp(root));
	file_put(root, "/proc/sys/net/ipv4/tcp_migrate_req", "0\n");
	doctor = (struct tool){
		.name = "weir-doctor",
		.args = { "--force-off", migrations[_i], "--root", root },
	};
	int status = tool_run(&doctor);
	(void)snprintf(remove, sizeof(remove), "rm -r %s", root);
	ck_assert_int_eq(system(remove), 0);
	ck_assert_int_eq(status, 0);
	if (strstr(doctor.output, "  on          steer-ebpf") != NULL) {
		ck_assert_int_ne(_i, 0);
		expect_says("ok          net.ipv4.tcp_migrate_req         0");
		return;
	}
	expect_says("low         net.ipv4.tcp_migrate_req         0");
	expect_says("remedy: sysctl net.ipv4.tcp_migrate_req=1");
}
END_TEST

START_TEST(doctor_checks_a_copy_of_another_host)
{
	char root[] = "/tmp/weir-doctor-XXXXXX";
	char remove[64];
	doctor_or_skip();
	ck_assert_ptr_nonnull(mkdtemp(root));
	file_put(root, hosts[_i].path, hosts[_i].text);
	doctor = (struct tool){
		.name = "weir-doctor",
		.args = { "--root", root },
	};
	int status = tool_run(&doctor);
	(void)snprintf(remove, sizeof(remove), "rm -r %s", root);
	ck_assert_int_eq(system(remove), 0);
	ck_assert_msg(status == hosts[_i].status, "when %s: status %d, %s",
		      hosts[_i].when, status, shown());
	for (int i = 0; i < 3; i++)
		expect_says(hosts[_i].says[i]);
}
END_TEST

/* As Docker does. */
static void forbid_rings(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WEIR_NR_IO_URING_SETUP, 0,
			 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { COUNT_OF(code), code };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(126);
}

START_TEST(doctor_behind_a_filter_says_so_and_fails)
{
	doctor_or_skip();
	doctor = (struct tool){
		.name = "weir-doctor",
		.prepare = forbid_rings,
	};
	ck_assert_int_eq(tool_run(&doctor), 1);
	expect_says("weir cannot run here: 0 of");
	expect_says("blocked by a seccomp filter");
	expect_says("a filter");
	expect_says("io_uring_register in the profile");
}
END_TEST

WI_SUITE(doctor, "doctor", WI_RUNGS | WI_BPF)
{
	TCase *tcase = tcase_create("doctor");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, doctor_behind_a_filter_says_so_and_fails);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase, doctor_says_and_ends_as_documented, 0,
			    COUNT_OF(runs));
	tcase_add_test(tcase, doctor_json_has_every_rung_and_every_limit);
	tcase_add_loop_test(tcase, doctor_paints_on_a_terminal_that_wants_it, 0,
			    COUNT_OF(paints));
	tcase_add_loop_test(tcase, doctor_checks_a_copy_of_another_host, 0,
			    COUNT_OF(hosts));
	tcase_add_loop_test(tcase,
			    doctor_wants_migration_where_no_program_does_it, 0,
			    COUNT_OF(migrations));
}
