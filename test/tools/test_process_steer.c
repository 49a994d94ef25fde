/* test_process_steer.c - weir-echo --steer as a whole program: policies,
 * privileges, addresses, a shared port
 *
 * Not here: how well a policy spreads connections.
 */
#include "../rig/peer.h"
#include "../rig/program.h"
#include "../steer/steer_rig.h"
#include "../suites.h"

#include "net/steer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif

enum {
	LOOPS = 2,
	NOBODY = 65534,
	LINE_BYTES = 256,
};

/* ---- what there is to test with --------------------------------------------
 */

/* Whether this process may load the program; then its children may too. */
static bool has_program(void)
{
	struct weir_steer *steer = NULL;
	struct weir_error error;
	if (weir_steer_open(&steer,
			    &(struct weir_steer_opts){
				    .policy = WEIR_STEER_ROUND_ROBIN,
				    .is_required = true,
			    },
			    &error) < 0) {
		(void)printf("%s\n", error.text);
		return false;
	}
	weir_steer_close(steer);
	return true;
}

/* Whether setpriv(1) exists, knows CAP_BPF, and may use it. */
static bool has_setpriv(void)
{
	static struct outcome outcome;
	if (geteuid() != 0)
		return false;
	program_run((const char *const[]){ "setpriv", "--reuid", "65534",
					   "--regid", "65534", "--clear-groups",
					   "--inh-caps", "+bpf",
					   "--ambient-caps", "+bpf", "true",
					   NULL },
		    &outcome);
	return outcome.status == 0;
}

/* weir-echo for a user that may not enter its folder: an open file can still be
 * run. */
static const char *echo_opened(void)
{
	static char path[64];
	char name[LINE_BYTES];
	(void)snprintf(name, sizeof(name), "%s/weir-echo", tools_dir());
	const int fd = open(name, O_RDONLY); /* kept across execve() */
	ck_assert_int_ge(fd, 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static void scratch_open_to_all(void)
{
	scratch_open();
	ck_assert_int_eq(chmod(scratch_path("."), 0777), 0);
}

/* ---- what must be in there ------------------------------------------------
 */

static void expect_in(const char *text, const char *wanted)
{
	ck_assert_msg(strstr(text, wanted) != NULL, "no '%s' in: %.1000s",
		      wanted, text);
}

/* The sum over all loops; each loop's part begins with "index". */
static uint64_t loops_sum(const char *json, const char *key)
{
	const char *loop = strstr(json, "\"loops\"");
	uint64_t sum = 0;
	ck_assert_ptr_nonnull(loop);
	for (int i = 0; i < LOOPS; i++) {
		loop = strstr(loop + 1, "\"index\"");
		ck_assert_ptr_nonnull(loop);
		sum += NUMBER(loop, key);
	}
	return sum;
}

/* @args end with NULL. */
static void drive(const struct program *echo, const char *const *args)
{
	static struct outcome outcome;
	struct program load = load_program(echo->port, args);
	program_join(&load, &outcome);
	expect_status(&outcome, 0);
	char *json = json_read("load.json");
	ck_assert_uint_eq(NUMBER(json, "lost"), 0);
	ck_assert_uint_eq(NUMBER(json, "failed_connects"), 0);
	free(json);
}

static void drive_some(const struct program *echo)
{
	drive(echo, (const char *const[]){ "--connections", "100", "--requests",
					   "5", NULL });
}

static void end_clean(struct program *echo, struct outcome *outcome)
{
	(void)kill(echo->pid, SIGTERM);
	program_join(echo, outcome);
	expect_status(outcome, 0);
}

/* ---- loading ----------------------------------------------------------- */

/* Closed rings do it: each wakes once the threads that used it, and the
 * verifier takes that for a signal. libbpf alone stops after five. */
#define REFUSED_AT_FIRST                                                       \
	"-f", "-qq", "-o", "/dev/null", "-e", "trace=bpf", "-e",               \
		"inject=bpf:error=EAGAIN:when=1..20"

START_TEST(the_program_is_loaded_after_the_kernel_was_interrupted_in_a_row)
{
	static struct outcome outcome;
	wi_skip_unless(has_program(), "the steering program cannot be had");
	wi_skip_unless(program_may_inject(), "no strace, or it may not trace");
	/* LeakSanitizer cannot run under a tracer. */
	ck_assert_int_eq(setenv("ASAN_OPTIONS", "detect_leaks=0", 1), 0);
	scratch_open();
	struct program echo = echo_program((const char *const[]){
		"strace", "-D", REFUSED_AT_FIRST, ECHO_ARGS, "--loops", "2",
		"--steer", "round-robin", "--steer-required", NULL });
	drive_some(&echo);
	end_clean(&echo, &outcome);
	expect_in(outcome.out, "  steering   round-robin by eBPF\n");
	scratch_close();
	ck_assert_int_eq(unsetenv("ASAN_OPTIONS"), 0);
}
END_TEST

START_TEST(the_doctor_tries_a_program_after_interruptions_in_a_row)
{
	static struct outcome outcome;
	wi_skip_unless(has_program(), "the steering program cannot be had");
	wi_skip_unless(program_may_inject(), "no strace, or it may not trace");
	wi_skip_if_forced_off(WEIR_RUNG_STEER_EBPF);
	ck_assert_int_eq(setenv("ASAN_OPTIONS", "detect_leaks=0", 1), 0);
	program_run((const char *const[]){ "strace", REFUSED_AT_FIRST,
					   "weir-doctor", "--json", NULL },
		    &outcome);
	expect_status(&outcome, 0);
	expect_in(outcome.out, "\"name\": \"steer-ebpf\",\n"
			       "      \"state\": \"on\"");
	ck_assert_int_eq(unsetenv("ASAN_OPTIONS"), 0);
}
END_TEST

/* ---- policies ---------------------------------------------------------- */

static void expect_program_counts(const char *json)
{
	const uint64_t arrived = loops_sum(json, "arrived");
	expect_in(json, "\"means\": \"eBPF\"");
	ck_assert_uint_eq(loops_sum(json, "chosen"), arrived);
	ck_assert_uint_le(loops_sum(json, "chosen_here"), arrived);
	ck_assert_uint_eq(NUMBER(json, "steering", "missed"), 0);
}

START_TEST(each_policy_serves_and_its_counts_add_up)
{
	static struct outcome outcome;
	const enum weir_steer_policy policy = (enum weir_steer_policy)_i;
	const char *name = weir_steer_policy_name(policy);
	char wanted[LINE_BYTES];
	wi_skip_unless(policy == WEIR_STEER_KERNEL || has_program(),
		       "the steering program cannot be had");
	scratch_open();
	struct program echo = echo_program(
		(const char *const[]){ ECHO_ARGS, "--loops", "2", "--steer",
				       name, "--steer-sample", "1", NULL });
	drive_some(&echo);
	end_clean(&echo, &outcome);

	(void)snprintf(wanted, sizeof(wanted), "  steering   %s by eBPF\n",
		       name);
	expect_in(outcome.out, policy == WEIR_STEER_KERNEL
				       ? "  steering   the kernel's hash\n"
				       : wanted);
	expect_in(outcome.out, "  loop  CPU  weight");
	expect_in(outcome.out, "  imbalance  ");
	char *json = json_read("echo.json");
	(void)snprintf(wanted, sizeof(wanted), "\"policy\": \"%s\"", name);
	expect_in(json, wanted);
	ck_assert_uint_eq(loops_sum(json, "arrived"),
			  NUMBER(strstr(json, "\"total\""), "accepts"));
	/* A loop samples one socket at a time: at least the first. */
	if (!wi_is_forced_off(WEIR_RUNG_SOCKET_CMD))
		ck_assert_uint_gt(loops_sum(json, "sampled"), 0);
	ck_assert_uint_le(loops_sum(json, "sampled"),
			  loops_sum(json, "arrived"));
	ck_assert_uint_eq(loops_sum(json, "weight"), LOOPS);
	ck_assert_uint_gt(loops_sum(json, "conns_peak"), 0);
	ck_assert_uint_le(loops_sum(json, "conns_peak"),
			  loops_sum(json, "arrived"));
	if (policy == WEIR_STEER_KERNEL)
		ck_assert_uint_eq(loops_sum(json, "chosen"), 0);
	else
		expect_program_counts(json);
	free(json);
	scratch_close();
}
END_TEST

START_TEST(a_loop_of_no_weight_gets_no_connection)
{
	static struct outcome outcome;
	wi_skip_unless(has_program(), "the steering program cannot be had");
	scratch_open();
	struct program echo = echo_program((const char *const[]){
		ECHO_ARGS, "--loops", "2", "--steer", "round-robin",
		"--weights", "0,3", NULL });
	drive_some(&echo);
	end_clean(&echo, &outcome);
	char *json = json_read("echo.json");
	const char *loops = strstr(json, "\"loops\"");
	ck_assert_ptr_nonnull(loops);
	ck_assert_uint_eq(NUMBER(loops, "weight"), 0);
	ck_assert_uint_eq(NUMBER(loops, "arrived"), 0);
	ck_assert_uint_eq(loops_sum(json, "weight"), 3);
	ck_assert_uint_gt(loops_sum(json, "arrived"), 0);
	free(json);
	scratch_close();
}
END_TEST

/* ---- privileges -------------------------------------------------------- */

/* False: the thread has ended. Threads of the kernel come and go. */
static bool status_read(const char *path, char *text, size_t capacity)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t count = fd < 0 ? -1 : read(fd, text, capacity - 1);
	ck_assert_msg(count > 0 || errno == ENOENT || errno == ESRCH,
		      "cannot read %s: %s", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd); /* was only read */
	text[count > 0 ? count : 0] = '\0';
	return count > 0;
}

/* The number after @key in the text of a status file, in @base. */
static uint64_t status_number(const char *text, const char *key, int base)
{
	const char *at = strstr(text, key);
	ck_assert_msg(at != NULL, "no %s in: %s", key, text);
	return strtoull(at + strlen(key), NULL, base);
}

static void expect_no_privilege(const char *text)
{
	static const char *const sets[] = { "\nCapInh:", "\nCapPrm:",
					    "\nCapEff:", "\nCapAmb:" };
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		ck_assert_msg(status_number(text, sets[i], 16) == 0,
			      "%s is not empty in: %s", sets[i] + 1, text);
	ck_assert_uint_eq(status_number(text, "\nNoNewPrivs:", 10), 1);
	ck_assert_uint_eq(status_number(text, "\nUid:", 10), NOBODY);
	ck_assert_uint_eq(status_number(text, "\nGid:", 10), NOBODY);
}

/* Returns the number of threads. */
static int expect_threads_without_privilege(pid_t pid)
{
	char path[LINE_BYTES + 64];
	char text[8 * LINE_BYTES];
	int count = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/status",
			       (int)pid, entry->d_name);
		if (!status_read(path, text, sizeof(text)))
			continue;
		expect_no_privilege(text);
		count++;
	}
	ck_assert_int_eq(closedir(dir), 0);
	return count;
}

#define AS_NOBODY                                                              \
	"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",   \
		"--pdeathsig", "KILL"
#define NOBODYS_ECHO                                                           \
	echo_opened(), "--bind", "127.0.0.1", "--port", "0", "--loops", "2",   \
		"--stats-json", scratch_path("echo.json"), "--steer",          \
		"least-loaded"

START_TEST(the_launcher_pattern_leaves_no_thread_a_capability)
{
	static struct outcome outcome;
#ifdef HAS_TSAN
	wi_skip_unless_built(false,
			     "the sanitizer has a thread before main() has");
#endif
	wi_skip_unless(has_program(), "the steering program cannot be had");
	wi_skip_unless(has_setpriv(), "no root, or no setpriv that knows bpf");
	scratch_open_to_all();
	struct program echo = echo_program((const char *const[]){
		AS_NOBODY, "--inh-caps", "+bpf", "--ambient-caps", "+bpf",
		NOBODYS_ECHO, "--drop-caps", "--steer-required", NULL });
	drive_some(&echo);
	ck_assert_int_ge(expect_threads_without_privilege(echo.pid), 1 + LOOPS);
	end_clean(&echo, &outcome);
	expect_in(outcome.out, "  steering   least-loaded by eBPF\n");
	char *json = json_read("echo.json");
	expect_program_counts(json);
	free(json);
	scratch_close();
}
END_TEST

START_TEST(without_the_capability_the_hash_serves_and_the_reason_is_told)
{
	static struct outcome outcome;
	wi_skip_unless(has_program(), "the steering program cannot be had");
	wi_skip_unless(has_setpriv(), "no root, or no setpriv that knows bpf");
	scratch_open_to_all();
	struct program echo = echo_program((const char *const[]){
		AS_NOBODY, NOBODYS_ECHO, "--drop-caps", NULL });
	drive_some(&echo);
	end_clean(&echo, &outcome);
	expect_in(outcome.out,
		  "  steering   the kernel's hash instead of least-loaded: ");
	expect_in(outcome.out, "CAP_BPF");
	char *json = json_read("echo.json");
	expect_in(json, "\"means\": \"the kernel's hash\"");
	ck_assert_uint_gt(loops_sum(json, "arrived"), 0);
	ck_assert_uint_eq(loops_sum(json, "chosen"), 0);
	free(json);
	scratch_close();
}
END_TEST

START_TEST(a_policy_that_is_required_and_cannot_be_had_is_status_1)
{
	static struct outcome outcome;
	static const char *const drops[] = { NULL, "--drop-caps" };
	program_run((const char *const[]){ "env", "WEIR_FORCE_OFF=steer-ebpf",
					   "weir-echo", "--port", "0",
					   "--loops", "1", "--steer",
					   "source-hash", "--steer-required",
					   drops[_i], NULL },
		    &outcome);
	expect_status(&outcome, 1);
	expect_one_line(&outcome);
	expect_in(outcome.err, "source-hash is required");
	expect_in(outcome.err, "WEIR_FORCE_OFF");
}
END_TEST

/* ---- addresses and ports ----------------------------------------------- */

START_TEST(all_addresses_serve_on_the_port_of_the_first)
{
	static struct outcome outcome;
	char address[64];
	wi_netns_enter_if_may();
	scratch_open();
	struct program echo = echo_program((const char *const[]){
		"weir-echo", "--bind", "127.0.0.1,127.0.0.2", "--port", "0",
		"--loops", "2", "--stats-json", scratch_path("echo.json"),
		NULL });
	drive_some(&echo);
	drive(&echo,
	      (const char *const[]){ "--host", "127.0.0.2", "--connections",
				     "10", "--requests", "5", NULL });
	end_clean(&echo, &outcome);
	char *json = json_read("echo.json");
	(void)snprintf(address, sizeof(address), "\"127.0.0.2:%u\"",
		       (unsigned)echo.port);
	expect_in(json, address);
	ck_assert_uint_ge(loops_sum(json, "arrived"), 110);
	free(json);
	scratch_close();
}
END_TEST

START_TEST(a_port_is_shared_by_those_who_say_join)
{
	static struct outcome outcome;
	char port[8];
	scratch_open();
	struct program first = echo_program((const char *const[]){
		ECHO_ARGS, "--loops", "1", "--join", NULL });
	(void)snprintf(port, sizeof(port), "%u", (unsigned)first.port);
	program_run((const char *const[]){ "weir-echo", "--bind", "127.0.0.1",
					   "--port", port, "--loops", "1",
					   NULL },
		    &outcome);
	expect_status(&outcome, 1);
	expect_in(outcome.err, "in use");

	struct program second = echo_program((const char *const[]){
		"weir-echo", "--bind", "127.0.0.1", "--port", port, "--loops",
		"2", "--stats-json", scratch_path("echo.json"), "--join",
		NULL });
	ck_assert_uint_eq(second.port, first.port);
	end_clean(&first, &outcome);
	drive_some(&second);
	end_clean(&second, &outcome);
	scratch_close();
}
END_TEST

WI_SUITE(process_steer, "process-steer", WI_RUNGS | WI_THREADS | WI_BPF)
{
	TCase *tcase = tcase_create("process-steer");
	tcase_set_timeout(tcase, PROGRAM_TIMEOUT_S);
	suite_add_tcase(suite, tcase);
	if (tools_dir() == NULL) {
		wi_skip_note("process-steer", "this build has no tools",
			     WI_SKIP_ASKED);
		return;
	}
	if (!wi_kernel_has_rings())
		return;
	tcase_add_test(
		tcase,
		the_program_is_loaded_after_the_kernel_was_interrupted_in_a_row);
	tcase_add_test(tcase,
		       the_doctor_tries_a_program_after_interruptions_in_a_row);
	tcase_add_loop_test(tcase, each_policy_serves_and_its_counts_add_up, 0,
			    WEIR_STEER_POLICY_COUNT);
	tcase_add_test(tcase, a_loop_of_no_weight_gets_no_connection);
	tcase_add_test(tcase,
		       the_launcher_pattern_leaves_no_thread_a_capability);
	tcase_add_test(
		tcase,
		without_the_capability_the_hash_serves_and_the_reason_is_told);
	tcase_add_loop_test(
		tcase, a_policy_that_is_required_and_cannot_be_had_is_status_1,
		0, 2);
	tcase_add_test(tcase, all_addresses_serve_on_the_port_of_the_first);
	tcase_add_test(tcase, a_port_is_shared_by_those_who_say_join);
}
