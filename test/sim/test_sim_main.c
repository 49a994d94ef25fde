/* test_sim_main.c - the output of a user's program that plays worlds
 *
 * Each program runs in a process of its own; its output goes to a file.
 */
#include "../suites.h"

#include "../../net/loop.h"
#include "../rig/program.h"
#include "../rig/support.h"
#include "../rig/tool.h"
#include "sim_main.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 4, SAID_BYTES = 256 * 1024, PORT = 7000, LONG_TAPE = 1100 };

static char said[SAID_BYTES];

static void scratch_end(void)
{
	(void)unlink(scratch_path("said"));
	(void)unlink(scratch_path("sim.tape")); /* some do not write it */
	scratch_close();
}

static void said_read(const char *path)
{
	FILE *in = fopen(path, "r");
	ck_assert_ptr_nonnull(in);
	said[fread(said, 1, sizeof(said) - 1, in)] = '\0';
	(void)fclose(in);
}

/* In the new process: its folder, its output, and the program. */
static void become(const char *const *args, weir_sim_play_fn play)
{
	char *argv[ARGS_MAX + 2] = { (char *)(uintptr_t) "prog" };
	int argc = 1;
	for (; args[argc - 1] != NULL; argc++)
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
	if (freopen(scratch_path("said"), "w", stdout) == NULL ||
	    dup2(STDOUT_FILENO, STDERR_FILENO) < 0 ||
	    chdir(scratch_path("")) < 0)
		_exit(99);
	const int status = weir_sim_main(argc, argv, NULL, play, NULL);
	(void)fflush(stdout);
	_exit(status);
}

/* Return: the exit status, or 128 + the signal. */
static int run_play(const char *const *args, weir_sim_play_fn play)
{
	int status = 0;
	const pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		become(args, play);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	said_read(scratch_path("said"));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define RUN(play, ...)                                                         \
	run_play((const char *const[]){ __VA_ARGS__, NULL }, play)

static void expect_said(const char *text)
{
	ck_assert_msg(strstr(said, text) != NULL, "no '%s' in: %s", text, said);
}

/* ---- plays ------------------------------------------------------------- */

static void play_well(struct weir_sim *sim, void *ctx)
{
	(void)ctx;
	(void)weir_tape_byte(weir_sim_tape(sim));
}

/* Only the third choice matters. */
static void play_badly(struct weir_sim *sim, void *ctx)
{
	struct weir_tape *tape = weir_sim_tape(sim);
	(void)ctx;
	for (int i = 0; i < 2; i++)
		(void)weir_tape_byte(tape);
	if (weir_tape_chance(tape, 64))
		weir_sim_violate(sim, "the third is large");
	for (int i = 0; i < 20; i++)
		(void)weir_tape_byte(tape);
}

static void play_assertion(struct weir_sim *sim, void *ctx)
{
	(void)ctx;
	assert(!weir_tape_chance(weir_sim_tape(sim), 64));
}

/* The first needs two bytes, the second needs one. */
static void play_two_assertions(struct weir_sim *sim, void *ctx)
{
	const uint8_t one = weir_tape_byte(weir_sim_tape(sim));
	const uint8_t other = weir_tape_byte(weir_sim_tape(sim));
	(void)ctx;
	assert(one == 0 || other == 0);
	assert(one == 0);
}

static void play_fault(struct weir_sim *sim, void *ctx)
{
	(void)sim;
	(void)ctx;
	(void)raise(SIGSEGV);
}

static volatile bool never;

/* ThreadSanitizer delays a signal until the next call. */
static void play_for_ever(struct weir_sim *sim, void *ctx)
{
	const uint8_t byte = weir_tape_byte(weir_sim_tape(sim));
	(void)ctx;
	while (memmem(&byte, sizeof(byte), "", 1) == NULL && !never)
		;
}

static void play_long(struct weir_sim *sim, void *ctx)
{
	(void)ctx;
	for (int i = 0; i < LONG_TAPE; i++)
		if (weir_tape_byte(weir_sim_tape(sim)) == 0)
			return;
	weir_sim_violate(sim, "none is zero");
}

/* ---- a loop, as large as one is by default ----------------------------- */

static ssize_t serve_on_data(struct weir_conn *conn, const uint8_t *bytes,
			     size_t byte_count, void *ctx)
{
	(void)bytes;
	(void)ctx;
	weir_loop_stop(weir_conn_loop(conn));
	return (ssize_t)byte_count;
}

static bool serve_step(struct weir_sim *sim, void *ctx)
{
	const int conn = *(const int *)ctx >= 0 ? *(const int *)ctx
						: weir_sim_connect(sim, PORT);
	if (*(int *)ctx >= 0 || conn < 0)
		return false;
	*(int *)ctx = conn;
	return weir_sim_write(sim, conn, "x", 1) == 1;
}

static void play_serve(struct weir_sim *sim, bool has_client, int want)
{
	const struct weir_service service = {
		.handlers = { .on_data = serve_on_data },
	};
	const struct weir_loop_opts opts = { .ring.kernel =
						     weir_sim_kernel(sim) };
	struct weir_loop *loop = NULL;
	int conn = WEIR_SIM_NO_CONN;
	if (weir_loop_open(&loop, &opts, NULL) < 0) {
		weir_sim_violate(sim, "the loop does not open");
		return;
	}
	if (has_client)
		weir_sim_on_step(sim, serve_step, &conn);
	if (weir_sim_serve(sim, loop, &service, PORT) != want)
		weir_sim_violate(sim, "serve returns something else");
	weir_loop_close(loop);
}

static void play_served(struct weir_sim *sim, void *ctx)
{
	(void)ctx;
	play_serve(sim, true, 0);
}

static void play_forgotten(struct weir_sim *sim, void *ctx)
{
	(void)ctx;
	play_serve(sim, false, -EPROTO);
}

/* ---- what they say ----------------------------------------------------- */

START_TEST(seeds_that_break_no_rule_are_counted)
{
	ck_assert_int_eq(RUN(play_well, "--seeds", "7", "--first", "3"), 0);
	ck_assert_str_eq(said, "7 seeds from 3: no rule was broken\n");
	ck_assert_int_eq(RUN(play_well, "--seed", "3"), 0);
	ck_assert_str_eq(said, "no rule was broken\n");
}
END_TEST

START_TEST(failure_is_made_small_and_its_command_plays_it_again)
{
	ck_assert_int_eq(RUN(play_badly, "--seeds", "1000"), 1);
	expect_said("rule broken: the third is large\n");
	expect_said("smallest tape: 3 of 23 bytes");
	const char *again = strstr(said, "again: prog --tape 0000");
	ck_assert_msg(again != NULL, "%s", said);
	char tape[8] = { 0 };
	memcpy(tape, again + strlen("again: prog --tape "), 6);
	ck_assert_int_eq(RUN(play_badly, "--tape", tape), 1);
	expect_said("VIOLATION: the third is large\n"
		    "rule broken: the third is large\n");
	ck_assert_int_eq(RUN(play_badly, "--tape", "000000"), 0);
}
END_TEST

START_TEST(assertion_is_a_broken_rule)
{
	ck_assert_int_eq(RUN(play_assertion, "--seeds", "1000"), 1);
	expect_said("rule broken: an assertion fails: ");
	expect_said(": !weir_tape_chance(");
	expect_said("smallest tape: 1 of 1 bytes");
	expect_said("again: prog --tape ");
}
END_TEST

START_TEST(shrinking_stays_with_the_assertion_that_failed)
{
	ck_assert_int_eq(RUN(play_two_assertions, "--first", "3"), 1);
	expect_said(": one == 0 || other == 0\nsmallest tape: 2 of 2 bytes");
}
END_TEST

START_TEST(program_that_dies_says_in_which_world)
{
	ck_assert_int_ne(RUN(play_fault, "--first", "41"), 0);
	expect_said("again: prog --seed 41\n");
	ck_assert_int_ne(RUN(play_fault, "--tape", "0a0b"), 0);
	expect_said("again: prog --tape 0a0b\n");
}
END_TEST

START_TEST(world_without_an_end_is_a_broken_rule)
{
	ck_assert_int_eq(RUN(play_for_ever, "--seeds", "1000"), 1);
	expect_said("rule broken: a world goes on for ever\n");
	expect_said("smallest tape: 1 of 1 bytes");
	expect_said("again: prog --tape ");
}
END_TEST

START_TEST(tape_too_long_for_a_line_is_left_in_a_file)
{
	ck_assert_int_eq(RUN(play_long, "--seeds", "10000"), 1);
	expect_said("again: prog --tape sim.tape\n");
	ck_assert_int_eq(RUN(play_long, "--tape", "sim.tape"), 1);
	expect_said("rule broken: none is zero\n");
}
END_TEST

static const char *const wrong_args[][2] = {
	{ "--seeds", "many" }, { "--seed", "-1" }, { "--seed", "" },
	{ "--tape", "0" },     { "--tape", "zz" }, { "--seeds", NULL },
	{ "--story", NULL },   { "17", NULL },
};
START_TEST(wrong_options_are_told)
{
	const char *const *args = wrong_args[_i];
	ck_assert_int_eq(RUN(play_well, args[0], args[1]), 2);
	ck_assert_ptr_nonnull(strstr(said, "prog: "));
}
END_TEST

START_TEST(loop_of_default_size_is_served_to_its_end)
{
	ck_assert_msg(RUN(play_served, "--seeds", "50") == 0, "%s", said);
}
END_TEST

START_TEST(loop_that_waits_for_ever_is_told)
{
	ck_assert_int_eq(RUN(play_forgotten, "--seeds", "1"), 1);
	expect_said("rule broken: the loop waits for ever\n");
}
END_TEST

/* ---- weir-sim ---------------------------------------------------------- */

/* The first child of @parent, once it has one; 0: unknown. */
static pid_t child_of(pid_t parent)
{
	char path[64];
	int child = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children",
		       (int)parent, (int)parent);
	while (child == 0) {
		FILE *file = fopen(path, "re");
		if (file == NULL)
			return 0;
		if (fscanf(file, "%d", &child) != 1)
			child = 0;
		(void)fclose(file); /* was only read */
	}
	return child;
}

START_TEST(weir_sim_tells_which_seed_a_process_died_of)
{
	static struct outcome outcome;
	struct program program = program_start(
		(const char *const[]){ "weir-sim", "--seeds", "100000000",
				       "--jobs", "2", "--quiet", NULL });
	const pid_t child = child_of(program.pid);
	ck_assert_int_eq(kill(child != 0 ? child : program.pid, SIGKILL), 0);
	program_join(&program, &outcome);
	wi_skip_unless(child != 0, "no /proc with children in it");
	expect_status(&outcome, 1);
	ck_assert_msg(strstr(outcome.out, "its process ended by signal 9\n"
					  "again: weir-sim --seed ") != NULL,
		      "it says: %s", outcome.out);
}
END_TEST

START_TEST(weir_sim_says_what_it_is_before_it_plays)
{
	static struct outcome outcome;
	const char *const options[][2] = { { "--seeds", "20" },
					   { "--seed", "3" },
					   { "--tape", "00" },
					   { "--exhaust", "one" } };
	program_run((const char *const[]){ "weir-sim", options[_i][0],
					   options[_i][1], NULL },
		    &outcome);
	expect_status(&outcome, 0);
	ck_assert_msg(strncmp(outcome.out, "weir-sim ", 9) == 0 &&
			      strchr(outcome.out, ',') != NULL,
		      "it says: %s", outcome.out);
	ck_assert(strstr(outcome.out, "no rule was broken") != NULL ||
		  strstr(outcome.out, "; 0 broke a rule") != NULL);
}
END_TEST

/* A single process has no parent that reports its progress. */
START_TEST(weir_sim_alone_tells_how_far_it_is_on_a_terminal)
{
	static struct tool tool;
	tool = (struct tool){ .name = "weir-sim",
			      .args = { "--seeds", "100000000000", "--jobs",
					"1" },
			      .terminal = true };
	tool_start(&tool);
	tool_await(&tool, " schedules, ");
	ck_assert_int_eq(kill(tool.pid, SIGKILL), 0);
	ck_assert_int_eq(tool_end(&tool), 128 + SIGKILL);
}
END_TEST

static TCase *tcase_weir_sim(void)
{
	TCase *tcase = tcase_create("weir-sim");
	tcase_set_timeout(tcase, 60);
	if (tools_dir() == NULL) {
		wi_skip_note("weir-sim", "this build has no tools",
			     WI_SKIP_ASKED);
		return tcase;
	}
	tcase_add_test(tcase, weir_sim_tells_which_seed_a_process_died_of);
	tcase_add_test(tcase, weir_sim_alone_tells_how_far_it_is_on_a_terminal);
	tcase_add_loop_test(tcase, weir_sim_says_what_it_is_before_it_plays, 0,
			    4);
	return tcase;
}

WI_SUITE(sim_main, "sim-main", 0)
{
	TCase *tcase = tcase_create("sim-main");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, scratch_open, scratch_end);
	tcase_add_test(tcase, seeds_that_break_no_rule_are_counted);
	tcase_add_test(tcase,
		       failure_is_made_small_and_its_command_plays_it_again);
	tcase_add_test(tcase, assertion_is_a_broken_rule);
	tcase_add_test(tcase, shrinking_stays_with_the_assertion_that_failed);
	tcase_add_test(tcase, program_that_dies_says_in_which_world);
	tcase_add_test(tcase, world_without_an_end_is_a_broken_rule);
	tcase_add_test(tcase, tape_too_long_for_a_line_is_left_in_a_file);
	tcase_add_loop_test(tcase, wrong_options_are_told, 0,
			    sizeof(wrong_args) / sizeof(wrong_args[0]));
	tcase_add_test(tcase, loop_of_default_size_is_served_to_its_end);
	tcase_add_test(tcase, loop_that_waits_for_ever_is_told);
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, tcase_weir_sim());
}
