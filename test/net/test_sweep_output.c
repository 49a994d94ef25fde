/* test_sweep_output.c - a server whose output cannot be written; its children
 *
 *     stderr a full pipe, stdout and the report on a full disk
 *     SIGPIPE with the system's default
 *     fork, and fork with exec
 */
#include "../rig/peer.h"
#include "../rig/sweep.h"
#include "../suites.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- where it goes ----------------------------------------------------- */

static int pipe_ends[2];

static void prepare_full_stderr(void)
{
	if (dup2(pipe_ends[1], STDERR_FILENO) < 0)
		_exit(127);
}

static void pipe_fill(void)
{
	static const char zeros[4096];
	ck_assert_int_eq(pipe2(pipe_ends, O_CLOEXEC), 0);
	ck_assert_int_eq(fcntl(pipe_ends[1], F_SETFL, O_NONBLOCK), 0);
	while (write(pipe_ends[1], zeros, sizeof(zeros)) > 0) {
	}
	ck_assert_int_eq(errno, EAGAIN);
	/* The server's end blocks, as most pipes do. */
	ck_assert_int_eq(fcntl(pipe_ends[1], F_SETFL, 0), 0);
}

/* Found as a bug: a loop with a line for stderr waited for the reader, and so
 * did all its clients. */
START_TEST(a_full_stderr_holds_up_nobody)
{
	enum { CLOSES = 3 };
	static struct outcome outcome;
	sweep_now_trying("stderr is a full pipe");
	scratch_open();
	pipe_fill();
	struct program echo = sweep_start_after(
		prepare_full_stderr,
		(const char *const[]){ ECHO_ARGS, "--loops", "1", "--verbose",
				       NULL });
	for (int i = 0; i < CLOSES; i++)
		ck_assert(sweep_talk(echo.port));
	ck_assert_int_eq(kill(echo.pid, SIGTERM), 0);
	sweep_end(&echo, &outcome);
	char *json = sweep_expect_clean(&outcome);
	ck_assert_uint_eq(TOTAL(json, "net", "closes"),
			  CLOSES * SWEEP_TALK_CONNS);
	ck_assert_ptr_nonnull(strstr(outcome.out, "left out"));
	peer_close(pipe_ends[0]);
	peer_close(pipe_ends[1]);
	free(json);
	scratch_close();
}
END_TEST

START_TEST(a_stderr_without_a_reader_holds_up_nobody)
{
	static struct outcome outcome;
	sweep_now_trying("nobody reads stderr");
	scratch_open();
	ck_assert_int_eq(pipe2(pipe_ends, O_CLOEXEC), 0);
	peer_close(pipe_ends[0]);
	struct program echo = sweep_start_after(
		prepare_full_stderr,
		(const char *const[]){ ECHO_ARGS, "--loops", "1", "--verbose",
				       NULL });
	peer_close(pipe_ends[1]);
	ck_assert(sweep_talk(echo.port));
	ck_assert(sweep_talk(echo.port));
	ck_assert_int_eq(kill(echo.pid, SIGTERM), 0);
	sweep_end(&echo, &outcome);
	free(sweep_expect_clean(&outcome));
	scratch_close();
}
END_TEST

START_TEST(a_report_on_a_full_disk_is_one_line)
{
	static struct outcome outcome;
	wi_skip_unless(access("/dev/full", W_OK) == 0, "no /dev/full");
	sweep_now_trying("--stats-json /dev/full");
	struct program echo = sweep_start((const char *const[]){
		"weir-echo", "--bind", "127.0.0.1", "--port", "0", "--loops",
		"1", "--stats-json", "/dev/full", NULL });
	ck_assert(sweep_talk(echo.port));
	ck_assert_int_eq(kill(echo.pid, SIGTERM), 0);
	sweep_end(&echo, &outcome);
	sweep_expect_refusal(&outcome);
	ck_assert_str_eq(outcome.err, "weir-echo: cannot write /dev/full: No "
				      "space left on device\n");
}
END_TEST

static void prepare_full_stdout(void)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
		_exit(127);
}

START_TEST(a_full_stdout_costs_what_was_said_there_and_no_more)
{
	static struct outcome outcome;
	wi_skip_unless(access("/dev/full", W_OK) == 0, "no /dev/full");
	sweep_now_trying("stdout is /dev/full");
	scratch_open();
	struct program echo = program_start_after(
		prepare_full_stdout,
		(const char *const[]){ ECHO_ARGS, "--loops", "1", "--port-file",
				       scratch_path("load.json"), NULL });
	while (access(scratch_path("load.json"), R_OK) < 0)
		(void)poll(NULL, 0, 1);
	char *port_text = json_read("load.json"); /* a number is JSON */
	ck_assert(sweep_talk((uint16_t)strtoul(port_text, NULL, 10)));
	ck_assert_int_eq(kill(echo.pid, SIGTERM), 0);
	sweep_end(&echo, &outcome);
	free(sweep_expect_clean(&outcome));
	free(port_text);
	scratch_close();
}
END_TEST

/* ---- SIGPIPE ----------------------------------------------------------- */

START_TEST(a_peer_that_is_gone_raises_no_signal)
{
	enum { ROUNDS = 100, PAYLOAD = 100000 };
	struct echo echo = { .server = NULL };
	uint8_t *frame = malloc(PEER_PREFIX_BYTES + PAYLOAD);
	const size_t bytes = peer_frame_put(frame, PAYLOAD, 1);

	/* The signal would end the process, and the test. */
	(void)signal(SIGPIPE, SIG_DFL);
	echo_start(&echo, NULL, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		int fd = peer_open(echo_port(&echo));
		peer_send(fd, frame, bytes);
		if (i % 2 == 0)
			peer_half_close(fd); /* the answer meets the RST */
		peer_reset(fd);
	}
	echo_wait_closes(&echo, ROUNDS);
	echo_end(&echo, NULL);
	free(frame);
}
END_TEST

/* ---- children ---------------------------------------------------------- */

/* A child that lives until its leash is released. */
static pid_t child_start(int *out_leash)
{
	int leash[2];
	ck_assert_int_eq(pipe2(leash, O_CLOEXEC), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		char byte;
		(void)close(leash[1]);
		_exit(read(leash[0], &byte, 1) == 0 ? 0 : 1);
	}
	peer_close(leash[0]);
	*out_leash = leash[1];
	return pid;
}

/* Another program that lives as long. It has answered: before that, the loader
 * opens and closes files of its own. */
static pid_t program_on_leash(int *out_leash)
{
	int leash[2];
	int answers[2];
	char byte = 'a';
	ck_assert_int_eq(pipe2(leash, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(answers, O_CLOEXEC), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (dup2(leash[0], STDIN_FILENO) == STDIN_FILENO &&
		    dup2(answers[1], STDOUT_FILENO) == STDOUT_FILENO)
			(void)execlp("cat", "cat", (char *)NULL);
		_exit(127);
	}
	peer_close(leash[0]);
	peer_close(answers[1]);
	ck_assert_int_eq(write(leash[1], &byte, 1), 1);
	ck_assert_int_eq(read(answers[0], &byte, 1), 1);
	peer_close(answers[0]);
	*out_leash = leash[1];
	return pid;
}

static void child_end(pid_t pid, int leash)
{
	int status = -1;
	peer_close(leash);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* Descriptors of a started program. */
static size_t child_fd_count(pid_t pid)
{
	char path[64];
	size_t count = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL)
		count++;
	(void)closedir(dir); /* was only read */
	return count;
}

/* Every descriptor of a server is closed by exec. */
START_TEST(a_program_that_the_application_starts_inherits_nothing)
{
	struct echo echo = { .server = NULL };
	int leashes[2];
	pid_t before = program_on_leash(&leashes[0]);
	echo_start(&echo, &(struct weir_server_opts){ .loop_count = 2 }, NULL);
	int fd = peer_open(echo_port(&echo));
	peer_round_trip(fd, 1);
	pid_t pid = program_on_leash(&leashes[1]);
	ck_assert_uint_eq(child_fd_count(pid), child_fd_count(before));
	peer_round_trip(fd, 2);
	peer_close(fd);
	echo_end(&echo, NULL);
	child_end(pid, leashes[1]);
	child_end(before, leashes[0]);
}
END_TEST

/* The kernel writes to this memory too: it must go on writing to the parent's
 * copy. */
START_TEST(children_under_load_change_no_byte)
{
	enum { CHILDREN = 30, CONNS = 20 };
	struct echo echo = { .server = NULL };
	int fds[CONNS];
	int leashes[CHILDREN];
	pid_t pids[CHILDREN];

	echo_start(&echo, NULL, NULL);
	for (int i = 0; i < CONNS; i++)
		fds[i] = peer_open(echo_port(&echo));
	peer_round_trips(fds, CONNS, 0);
	for (uint32_t i = 0; i < CHILDREN; i++) {
		for (uint32_t j = 0; j < CONNS; j++)
			peer_send_frame(fds[j], 1000 * j, i + j);
		pids[i] = child_start(&leashes[i]);
		for (uint32_t j = 0; j < CONNS; j++)
			peer_expect_frame(fds[j], 1000 * j, i + j);
	}
	/* Each child holds the leashes of those before it. */
	for (int i = CHILDREN - 1; i >= 0; i--)
		child_end(pids[i], leashes[i]);
	for (int i = 0; i < CONNS; i++)
		peer_close(fds[i]);
	echo_wait_closes(&echo, CONNS);
	echo_end(&echo, NULL);
}
END_TEST

/* A ring belongs to its thread, which a child does not have. */
START_TEST(a_turn_in_a_child_is_refused_and_harms_nobody)
{
	struct local local = { .loop = NULL };
	int status = -1;
	local_start(&local, NULL, NULL);
	int fd = peer_open(local.port);
	peer_send_frame(fd, 100, 1);
	local_turn_until(&local, &local.echo.answers, 1);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(weir_loop_turn(local.loop, 0) < 0 ? 0 : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "the child ended with %x", (unsigned)status);
	local_turns(&local, 3);
	peer_expect_frame(fd, 100, 1);
	peer_send_frame(fd, 100, 2);
	local_turn_until(&local, &local.echo.answers, 2);
	local_turns(&local, 3);
	peer_expect_frame(fd, 100, 2);
	peer_close(fd);
	local_turn_until(&local, &local.echo.closes, 1);
	local_end(&local, NULL);
}
END_TEST

static void add_programs(TCase *tcase)
{
	tcase_add_test(tcase, a_full_stderr_holds_up_nobody);
	tcase_add_test(tcase, a_stderr_without_a_reader_holds_up_nobody);
	tcase_add_test(tcase, a_report_on_a_full_disk_is_one_line);
	tcase_add_test(tcase,
		       a_full_stdout_costs_what_was_said_there_and_no_more);
}

WI_SUITE(sweep_output, "sweep-output", WI_RUNGS | WI_THREADS | WI_SWEEP)
{
	TCase *tcase = tcase_create("output");
	tcase_set_timeout(tcase, SWEEP_TEST_TIMEOUT_S);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	if (tools_dir() != NULL)
		add_programs(tcase);
	else
		wi_skip_note("weir-echo", "this build has no tools",
			     WI_SKIP_ASKED);
	tcase_add_test(tcase, a_peer_that_is_gone_raises_no_signal);
	tcase_add_test(tcase,
		       a_program_that_the_application_starts_inherits_nothing);
	tcase_add_test(tcase, children_under_load_change_no_byte);
	tcase_add_test(tcase, a_turn_in_a_child_is_refused_and_harms_nobody);
}
