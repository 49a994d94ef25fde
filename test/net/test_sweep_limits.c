/* test_sweep_limits.c - a server with few resources, or fewer than it needs
 *
 * Descriptors, locked memory, system calls, files: it serves with what it has,
 * or says in one line what is missing and ends with status 1.
 */
#include "../rig/count_of.h"
#include "../rig/peer.h"
#include "../rig/support.h"
#include "../rig/sweep.h"
#include "../suites.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NOBODY = 65534 };

/* For the new process, which must not assert: if the preparation fails, it ends
 * with this status. */
enum { CANNOT_PREPARE = 77 };

static void must(bool is_done)
{
	if (!is_done)
		_exit(CANNOT_PREPARE);
}

static void limit_set(int resource, rlim_t value)
{
	const struct rlimit limit = { .rlim_cur = value, .rlim_max = value };
	/* An enum in one C library, an int in another. */
	must(setrlimit((__typeof__(RLIMIT_NOFILE))resource, &limit) == 0);
}

#define ONE_LOOP                                                               \
	"weir-echo", "--bind", "127.0.0.1", "--port", "0", "--loops", "1"

static void stop_and_end(struct program *echo, struct outcome *outcome)
{
	ck_assert_int_eq(kill(echo->pid, SIGTERM), 0);
	sweep_end(echo, outcome);
}

/* ---- descriptors ------------------------------------------------------- */

enum {
	FEW_FDS = 64,
	FEW_CONNS = 32, /* the most for so many descriptors */
	FEW_CLIENTS = 200,
	/* A spinning loop enters the kernel a hundred thousand times a second.
	 */
	FULL_MS = 300,
	ENTERS_MAX = 5000,
};

static int fd_limit = FEW_FDS;

static void prepare_few_fds(void)
{
	limit_set(RLIMIT_NOFILE, (rlim_t)fd_limit);
}

static int connect_begin(uint16_t port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		ck_assert_int_eq(errno, EINPROGRESS);
	return fd;
}

enum client_state {
	CLIENT_CONNECTS = 0, /* or waits in the backlog */
	CLIENT_HAS_ASKED,
	CLIENT_IS_ANSWERED,
	CLIENT_HAS_LEFT,
};

struct clients {
	int fds[FEW_CLIENTS];
	enum client_state states[FEW_CLIENTS];
	int answered; /* and still connected */
};

static void client_step(struct clients *clients, int index, short events)
{
	uint8_t frame[PEER_PREFIX_BYTES + 16];
	const size_t bytes = peer_frame_put(frame, 16, 1);
	if (clients->states[index] == CLIENT_CONNECTS &&
	    (events & POLLOUT) != 0) {
		ck_assert_int_eq(
			send(clients->fds[index], frame, bytes, MSG_NOSIGNAL),
			(ssize_t)bytes);
		clients->states[index] = CLIENT_HAS_ASKED;
	} else if (clients->states[index] == CLIENT_HAS_ASKED &&
		   (events & POLLIN) != 0) {
		peer_expect_frame(clients->fds[index], 16, 1);
		clients->states[index] = CLIENT_IS_ANSWERED;
		clients->answered++;
	}
}

/* True if something changed within @wait_ms. */
static bool clients_step(struct clients *clients, int wait_ms)
{
	static const short wanted[] = {
		[CLIENT_CONNECTS] = POLLOUT, [CLIENT_HAS_ASKED] = POLLIN
	};
	struct pollfd waits[FEW_CLIENTS];
	for (int i = 0; i < FEW_CLIENTS; i++) {
		const bool waits_for = clients->states[i] <= CLIENT_HAS_ASKED;
		waits[i] = (struct pollfd){
			.fd = waits_for ? clients->fds[i] : -1,
			.events = waits_for ? wanted[clients->states[i]] : 0,
		};
	}
	if (poll(waits, FEW_CLIENTS, wait_ms) <= 0)
		return false;
	for (int i = 0; i < FEW_CLIENTS; i++)
		client_step(clients, i, waits[i].revents);
	return true;
}

static void clients_await(struct clients *clients, int answered)
{
	while (clients->answered < answered)
		ck_assert_msg(clients_step(clients, SWEEP_PATIENCE_MS),
			      "%s: %d are answered, and then nobody",
			      sweep_tried(), clients->answered);
}

static void client_leave(struct clients *clients)
{
	int i = 0;
	while (clients->states[i] != CLIENT_IS_ANSWERED)
		i++;
	peer_close(clients->fds[i]);
	clients->states[i] = CLIENT_HAS_LEFT;
	clients->answered--;
}

static void let_pass_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

START_TEST(a_full_table_lets_the_next_in_when_one_has_left)
{
	enum { LEAVE = 8 };
	static struct outcome outcome;
	struct clients clients = { .answered = 0 };

	sweep_now_trying("prlimit --nofile=%d", FEW_FDS);
	scratch_open();
	struct program echo = sweep_start_after(
		prepare_few_fds,
		(const char *const[]){ ECHO_ARGS, "--loops", "1",
				       "--connections", "32", NULL });
	ck_assert_msg(echo.port != 0, "it does not serve");
	for (int i = 0; i < FEW_CLIENTS; i++)
		clients.fds[i] = connect_begin(echo.port);
	clients_await(&clients, FEW_CONNS);
	let_pass_ms(FULL_MS);
	while (clients_step(&clients, 0)) {
	}
	ck_assert_int_eq(clients.answered, FEW_CONNS);
	for (int i = 0; i < LEAVE; i++) {
		client_leave(&clients);
		clients_await(&clients, FEW_CONNS);
	}
	for (int i = 0; i < FEW_CLIENTS; i++)
		if (clients.states[i] != CLIENT_HAS_LEFT)
			peer_close(clients.fds[i]);
	stop_and_end(&echo, &outcome);
	char *json = sweep_expect_clean(&outcome);
	ck_assert_uint_ge(TOTAL(json, "net", "accept_pauses"), 1);
	ck_assert_uint_eq(TOTAL(json, "net", "accept_errors"), 0);
	ck_assert_uint_eq(TOTAL(json, "net", "accept_drops"), 0);
	const uint64_t enters = TOTAL(json, "ring", "enters");
	ck_assert_msg(enters < ENTERS_MAX, "%llu enters: it spins",
		      (unsigned long long)enters);
	(void)printf("full for %d ms: %llu enters, %llu pauses\n", FULL_MS,
		     (unsigned long long)enters,
		     (unsigned long long)TOTAL(json, "net", "accept_pauses"));
	free(json);
	scratch_close();
}
END_TEST

START_TEST(too_few_descriptors_for_the_connections_are_one_line)
{
	static const int limits[] = { FEW_FDS, 10 };
	static struct outcome outcome;
	char want[160];
	fd_limit = limits[_i];
	sweep_now_trying("prlimit --nofile=%d", fd_limit);
	struct program echo = sweep_start_after(
		prepare_few_fds, (const char *const[]){ ONE_LOOP, NULL });
	sweep_end(&echo, &outcome);
	sweep_expect_refusal(&outcome);
	(void)snprintf(want, sizeof(want),
		       "weir-echo: 8192 connections per loop need 8224 "
		       "descriptors and the limit is %d: raise `ulimit -n` or "
		       "ask for fewer\n",
		       fd_limit);
	ck_assert_str_eq(outcome.err, want);
}
END_TEST

static int free_fds; /* left for the program */

/* Takes all other descriptors of FEW_FDS; the program inherits them. */
static void prepare_taken_fds(void)
{
	limit_set(RLIMIT_NOFILE, FEW_FDS);
	for (int fd = 3; fd < FEW_FDS - free_fds; fd++)
		must(dup2(STDIN_FILENO, fd) == fd);
	for (int fd = FEW_FDS - free_fds; fd < FEW_FDS; fd++)
		(void)close(fd); /* mostly not open */
}

/* After a half-close the rest of the answer comes. The server uses one more
 * descriptor for that, and works without. */
static void expect_half_close(uint16_t port)
{
	int fd = peer_open(port);
	peer_send_frame(fd, 100, 1);
	peer_half_close(fd);
	peer_expect_frame(fd, 100, 1);
	peer_expect_end(fd);
	peer_close(fd);
}

START_TEST(with_any_count_of_descriptors_it_serves_or_says_what_is_missing)
{
	enum { ENOUGH = 12 };
	static struct outcome outcome;
	int served = 0;
	int explained = 0;
	/* The program's loader needs some descriptors too. */
	for (free_fds = 1; free_fds <= ENOUGH; free_fds++) {
		sweep_now_trying("%d descriptors", free_fds);
		struct program echo = sweep_start_after(
			prepare_taken_fds,
			(const char *const[]){ ONE_LOOP, "--connections", "8",
					       NULL });
		if (echo.port != 0) {
			ck_assert_msg(sweep_talk(echo.port), "%s: cut",
				      sweep_tried());
			expect_half_close(echo.port);
			stop_and_end(&echo, &outcome);
			ck_assert_msg(outcome.status == 0 &&
					      outcome.err[0] == '\0',
				      "%s: %d: %s", sweep_tried(),
				      outcome.status, outcome.err);
			served++;
			continue;
		}
		sweep_end(&echo, &outcome);
		if (outcome.status == 127)
			continue; /* not even loaded */
		sweep_expect_refusal(&outcome);
		ck_assert_int_eq(served, 0);
		explained++;
	}
	ck_assert_int_gt(served, 0);
	ck_assert_int_gt(explained, 0);
	(void)printf("%d counts of descriptors: %d served, %d explained\n",
		     ENOUGH, served, explained);
}
END_TEST

START_TEST(without_a_free_descriptor_it_goes_on_serving)
{
	static struct outcome outcome;
	struct rlimit before;
	struct rlimit none;
	sweep_now_trying("no descriptor is left");
	scratch_open();
	struct program echo = sweep_start(
		(const char *const[]){ ECHO_ARGS, "--loops", "1", NULL });
	ck_assert_int_eq(prlimit(echo.pid, RLIMIT_NOFILE, NULL, &before), 0);
	none = before;
	none.rlim_cur = 0;
	ck_assert_int_eq(prlimit(echo.pid, RLIMIT_NOFILE, &none, NULL), 0);
	for (int i = 0; i < 20; i++)
		expect_half_close(echo.port);
	ck_assert(sweep_talk(echo.port));
	ck_assert_int_eq(prlimit(echo.pid, RLIMIT_NOFILE, &before, NULL), 0);
	stop_and_end(&echo, &outcome);
	char *json = sweep_expect_clean(&outcome);
	ck_assert_uint_eq(TOTAL(json, "net", "accepts"), 20 + SWEEP_TALK_CONNS);
	free(json);
	scratch_close();
}
END_TEST

/* ---- standard streams -------------------------------------------------- */

static unsigned closed_streams; /* a bit for each */

static void prepare_closed_streams(void)
{
	for (int fd = 0; fd < 3; fd++)
		if ((closed_streams & (1u << fd)) != 0)
			(void)close(fd);
}

/* Found as a bug: descriptors 0, 1 and 2 were those of the ring, the doorbell
 * and the listener, and the tool printed into them. */
START_TEST(what_it_says_goes_nowhere_if_there_is_nowhere)
{
	static struct outcome outcome;
	char path[64];
	char target[64];
	char *port_text;

	closed_streams = (unsigned)_i;
	sweep_now_trying("streams closed: %u", closed_streams);
	scratch_open();
	struct program echo = program_start_after(
		prepare_closed_streams,
		(const char *const[]){ ECHO_ARGS, "--loops", "1", "--verbose",
				       "--port-file", scratch_path("load.json"),
				       NULL });
	while (access(scratch_path("load.json"), R_OK) < 0)
		let_pass_ms(1);
	port_text = json_read("load.json"); /* a number is JSON */
	echo.port = (uint16_t)strtoul(port_text, NULL, 10);
	for (int fd = 0; fd < 3; fd++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d",
			       (int)echo.pid, fd);
		ssize_t count = readlink(path, target, sizeof(target) - 1);
		ck_assert_msg(count > 0, "%s: nothing is %s", sweep_tried(),
			      path);
		target[count] = '\0';
		if ((closed_streams & (1u << fd)) != 0)
			ck_assert_str_eq(target, "/dev/null");
	}
	ck_assert(sweep_talk(echo.port));
	expect_half_close(echo.port);
	stop_and_end(&echo, &outcome);
	ck_assert_int_eq(outcome.status, 0);
	free(port_text);
	scratch_close();
}
END_TEST

/* ---- locked memory ----------------------------------------------------- */

static void prepare_nobody(void)
{
	limit_set(RLIMIT_MEMLOCK, (rlim_t)64 << 10);
	must(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 &&
	     setuid(NOBODY) == 0);
}

START_TEST(too_little_locked_memory_is_one_line)
{
	static struct outcome outcome;
	wi_skip_unless(geteuid() == 0, "only root can become nobody");
	sweep_now_trying("prlimit --memlock=65536 as nobody");
	struct program echo = sweep_start_after(
		prepare_nobody, (const char *const[]){ ONE_LOOP, NULL });
	if (echo.port != 0)
		(void)kill(echo.pid, SIGTERM);
	sweep_end(&echo, &outcome);
	wi_skip_unless(outcome.status != 127,
		       "nobody may not read the built tools");
	wi_skip_unless(echo.port == 0,
		       "this kernel counts no rings: it is older than 6.14");
	wi_skip_unless(strstr(outcome.err, "\nprofiling:") == NULL,
		       "built with coverage: nobody may not write its counts");
	sweep_expect_refusal(&outcome);
	ck_assert_str_eq(
		outcome.err,
		"weir-echo: no memory for a ring of 192 KiB: locked memory is "
		"limited to 64 KiB per user and the kernel counts rings "
		"against it since 6.14; raise `ulimit -l` (LimitMEMLOCK= in a "
		"unit) or ask for smaller rings\n");
}
END_TEST

/* ---- a sandbox --------------------------------------------------------- */

static uint32_t forbidden_errno;

/* A filter like that of container runtimes: the three calls are refused. */
static void prepare_forbidden(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, WEIR_NR_IO_URING_SETUP, 0,
			 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, WEIR_NR_IO_URING_REGISTER,
			 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | forbidden_errno),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void without_proc(void)
{
	must(unshare(CLONE_NEWNS) == 0);
	must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	must(umount2("/proc", MNT_DETACH) == 0);
}

static void prepare_forbidden_without_proc(void)
{
	without_proc();
	prepare_forbidden();
}

#define BY_SECCOMP                                                             \
	"io_uring is blocked by a seccomp filter (the default of Docker and "  \
	"containerd): allow io_uring_setup, io_uring_enter and "               \
	"io_uring_register in the profile\n"
#define BY_SOMEBODY                                                            \
	"io_uring_setup is not permitted, and neither sysctl "                 \
	"kernel.io_uring_disabled nor a seccomp filter explains it: look for " \
	"a security module\n"
#define NO_RING                                                                \
	"this kernel has no io_uring: it is older than 5.1, built without "    \
	"CONFIG_IO_URING, or a sandbox; Linux 6.1 or newer is needed\n"

static const struct {
	const char *what;
	void (*prepare)(void);
	uint32_t err;
	bool is_load;
	const char *want;
} forbidden_cases[] = {
	{ "EPERM", prepare_forbidden, EPERM, false, "weir-echo: " BY_SECCOMP },
	{ "ENOSYS", prepare_forbidden, ENOSYS, false, "weir-echo: " NO_RING },
	{ "EPERM for weir-load", prepare_forbidden, EPERM, true,
	  "weir-load: " BY_SECCOMP },
	{ "ENOSYS for weir-load", prepare_forbidden, ENOSYS, true,
	  "weir-load: " NO_RING },
	{ "EPERM without /proc", prepare_forbidden_without_proc, EPERM, false,
	  "weir-echo: " BY_SOMEBODY },
};

START_TEST(a_sandbox_without_rings_is_named)
{
	static const char *const echo[] = { ONE_LOOP, NULL };
	static const char *const load[] = { "weir-load", "--port", "1", NULL };
	static struct outcome outcome;
	wi_skip_unless_built(!WI_HAS_SANITIZER || forbidden_cases[_i].prepare ==
							  prepare_forbidden,
			     "a sanitizer does not live without /proc");
	forbidden_errno = forbidden_cases[_i].err;
	sweep_now_trying("seccomp, %s", forbidden_cases[_i].what);
	struct program program =
		program_start_after(forbidden_cases[_i].prepare,
				    forbidden_cases[_i].is_load ? load : echo);
	sweep_end(&program, &outcome);
	wi_skip_unless(outcome.status != CANNOT_PREPARE,
		       "no filter, or no mount namespace, to be had");
	ck_assert_str_eq(outcome.err, forbidden_cases[_i].want);
	ck_assert_str_eq(outcome.out, "");
	ck_assert_int_eq(outcome.status, 1);
}
END_TEST

/* ---- files ------------------------------------------------------------- */

START_TEST(without_proc_it_serves)
{
	static struct outcome outcome;
	wi_skip_unless_built(!WI_HAS_SANITIZER,
			     "a sanitizer does not live without /proc");
	sweep_now_trying("no /proc");
	scratch_open();
	struct program echo = sweep_start_after(
		without_proc,
		(const char *const[]){ ECHO_ARGS, "--loops", "2", NULL });
	if (echo.port != 0) {
		ck_assert(sweep_talk(echo.port));
		expect_half_close(echo.port);
		(void)kill(echo.pid, SIGTERM);
	}
	sweep_end(&echo, &outcome);
	if (outcome.status != CANNOT_PREPARE) {
		ck_assert_int_ne(echo.port, 0);
		free(sweep_expect_clean(&outcome));
	} else {
		wi_skip_note(__func__, "no mount namespace to be had",
			     WI_SKIP_HOST);
	}
	scratch_close();
}
END_TEST

/* The current folder is deleted, so nothing can be written there. */
static void prepare_no_folder(void)
{
	char path[] = "/tmp/weir-test-gone-XXXXXX";
	must(mkdtemp(path) != NULL);
	must(chdir(path) == 0);
	must(rmdir(path) == 0);
}

START_TEST(a_report_that_cannot_be_written_is_one_line_after_the_service)
{
	static struct outcome outcome;
	sweep_now_trying("no working folder");
	struct program echo = sweep_start_after(
		prepare_no_folder,
		(const char *const[]){ ONE_LOOP, "--stats-json", "s.json",
				       NULL });
	ck_assert_int_ne(echo.port, 0);
	ck_assert(sweep_talk(echo.port));
	stop_and_end(&echo, &outcome);
	sweep_expect_refusal(&outcome);
	ck_assert_str_eq(outcome.err, "weir-echo: cannot write s.json: No such "
				      "file or directory\n");
}
END_TEST

START_TEST(a_port_file_that_cannot_be_written_ends_the_service)
{
	static struct outcome outcome;
	sweep_now_trying("no working folder");
	struct program echo = sweep_start_after(
		prepare_no_folder,
		(const char *const[]){ ONE_LOOP, "--port-file", "p", NULL });
	sweep_end(&echo, &outcome);
	sweep_expect_refusal(&outcome);
	ck_assert_str_eq(outcome.err,
			 "weir-echo: cannot write p: No such file or "
			 "directory\n");
}
END_TEST

WI_SUITE(sweep_limits, "sweep-limits", WI_RUNGS | WI_THREADS | WI_SWEEP)
{
	TCase *tcase = tcase_create("limits");
	tcase_set_timeout(tcase, SWEEP_TEST_TIMEOUT_S);
	suite_add_tcase(suite, tcase);
	if (tools_dir() == NULL) {
		wi_skip_note("sweep-limits", "this build has no tools",
			     WI_SKIP_ASKED);
		return;
	}
	if (!wi_kernel_has_rings())
		return;
	tcase_add_test(tcase, a_full_table_lets_the_next_in_when_one_has_left);
	tcase_add_loop_test(
		tcase, too_few_descriptors_for_the_connections_are_one_line, 0,
		2);
	tcase_add_test(
		tcase,
		with_any_count_of_descriptors_it_serves_or_says_what_is_missing);
	tcase_add_test(tcase, without_a_free_descriptor_it_goes_on_serving);
	tcase_add_loop_test(
		tcase, what_it_says_goes_nowhere_if_there_is_nowhere, 1, 8);
	tcase_add_test(tcase, too_little_locked_memory_is_one_line);
	tcase_add_loop_test(tcase, a_sandbox_without_rings_is_named, 0,
			    COUNT_OF(forbidden_cases));
	tcase_add_test(tcase, without_proc_it_serves);
	tcase_add_test(
		tcase,
		a_report_that_cannot_be_written_is_one_line_after_the_service);
	tcase_add_test(tcase,
		       a_port_file_that_cannot_be_written_ends_the_service);
}
