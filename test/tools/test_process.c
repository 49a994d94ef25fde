/* test_process.c - weir-echo and weir-load as whole programs
 *
 * Black box: options in; exit status, output, JSON and bytes out.
 */
#include "../rig/count_of.h"
#include "../rig/peer.h"
#include "../rig/program.h"
#include "../steer/steer_rig.h"
#include "../suites.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t closes_sum(const char *part)
{
	uint64_t sum = 0;
#define ADD_CAUSE(name, key, line)                                             \
	if (WEIR_CLOSE_##name != WEIR_CLOSE_NONE)                              \
		sum += NUMBER(part, "closes_by", key);
	WEIR_CLOSE_CAUSES(ADD_CAUSE)
#undef ADD_CAUSE
	return sum;
}

/* Relations that must hold between the counters of a server that has ended. */
static void expect_balance(const char *json, uint64_t loop_count)
{
	static const char *const added[][2] = {
		{ "ring", "enters" },    { "ring", "cqes" },
		{ "ring", "sqes" },      { "net", "accepts" },
		{ "net", "closes" },     { "net", "recv_bytes" },
		{ "net", "sent_bytes" }, { "net", "turns" },
	};
	const char *total = strstr(json, "\"total\"");
	ck_assert_ptr_nonnull(total);
	const uint64_t accepts = NUMBER(total, "net", "accepts");
	ck_assert_uint_eq(accepts, NUMBER(total, "net", "closes"));
	ck_assert_uint_eq(accepts, closes_sum(total));
	ck_assert_uint_eq(NUMBER(total, "net", "accept_drops"), 0);
	ck_assert_uint_eq(NUMBER(total, "gauges", "conns_open"), 0);
	ck_assert_uint_eq(NUMBER(total, "gauges", "block_bytes_used"), 0);
	ck_assert_uint_eq(NUMBER(total, "ring", "enters_failed"), 0);
	ck_assert_uint_ge(NUMBER(total, "ring", "enters"),
			  NUMBER(total, "net", "turns"));
	ck_assert_uint_eq(NUMBER(json, "loop_count"), loop_count);
	for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
		const char *loop = strstr(json, "\"loops\"");
		uint64_t sum = 0;
		for (uint64_t j = 0; j < loop_count; j++) {
			loop = strstr(loop, "\"index\"");
			ck_assert_ptr_nonnull(loop);
			loop++;
			sum += NUMBER(loop, added[i][0], added[i][1]);
		}
		ck_assert_msg(sum == NUMBER(total, added[i][0], added[i][1]),
			      "%s do not add up", added[i][1]);
	}
}

static void expect_no_trouble(const char *load)
{
	static const char *const troubles[] = { "mismatches", "lost",
						"failed_connects", "resets",
						"errors" };
	for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++)
		ck_assert_msg(NUMBER(load, troubles[i]) == 0, "%s: %llu",
			      troubles[i],
			      (unsigned long long)NUMBER(load, troubles[i]));
}

/* Stops the server, and compares its counters with the load's. */
static void echo_program_end(struct program *echo, uint64_t loop_count,
			     uint64_t own_messages)
{
	static struct outcome outcome;
	(void)kill(echo->pid, SIGTERM); /* a second one is harmless */
	program_join(echo, &outcome);
	expect_status(&outcome, 0);
	ck_assert_str_eq(outcome.err, "");
	char *json = json_read("echo.json");
	char *load = json_read("load.json");
	expect_balance(json, loop_count);
	expect_no_trouble(load);
	ck_assert_uint_eq(NUMBER(json, "messages"),
			  NUMBER(load, "messages") + own_messages);
	free(json);
	free(load);
}

/* ---- the command line -------------------------------------------------- */

static const struct {
	const char *args[8];
	const char *hint; /* part of the line */
} wrong_cases[] = {
	{ { "weir-echo", "--bogus" }, "--bogus" },
	{ { "weir-echo", "--port" }, "--port" },
	{ { "weir-echo", "--port", "65536" }, "65535" },
	{ { "weir-echo", "--port", "7x" }, "7x" },
	{ { "weir-echo", "--prefix", "u7" }, "u7" },
	{ { "weir-echo", "--buffers", "0" }, "--buffers" },
	{ { "weir-echo", "stray" }, "stray" },
	{ { "weir-echo", "--steer", "fastest" }, "source-hash" },
	{ { "weir-echo", "--steer-sample", "-1" }, "-1" },
	{ { "weir-echo", "--guard-share", "101" }, "100" },
	{ { "weir-echo", "--guard-time", "2d" }, "2d" },
	{ { "weir-echo", "--weights", "1,2" }, "--steer" },
	{ { "weir-echo", "--steer", "cpu", "--weights", "1,1001" }, "1000" },
	{ { "weir-echo", "--steer", "cpu", "--weights", "1,2", "--loops", "1" },
	  "2 given for --loops 1" },
	{ { "weir-echo", "--steer", "cpu", "--weights", "0", "--loops", "1" },
	  "all are 0" },
	{ { "weir-echo", "--bind", "::1,,127.0.0.1" }, "empty" },
	{ { "weir-echo", "--bind", "1,2,3,4,5,6,7,8,9" }, "at most 8" },
	{ { "weir-load", "--bogus" }, "--bogus" },
	{ { "weir-load", "--connections", "0" }, "--connections" },
	{ { "weir-load", "--bytes", "9-3" }, "9-3" },
	{ { "weir-load", "--depth", "-1" }, "-1" },
	{ { "weir-load", "--seconds", "soon" }, "soon" },
	{ { "weir-load", "--churn", "--idle" }, "--idle" },
	{ { "weir-load", "--requests-per-connection", "2" }, "--churn" },
	{ { "weir-load", "--host", "255.255.255.254", "--hosts", "3" },
	  "--hosts" },
};

START_TEST(a_wrong_option_is_one_line_and_status_2)
{
	static struct outcome outcome;
	program_run(wrong_cases[_i].args, &outcome);
	expect_status(&outcome, 2);
	expect_one_line(&outcome);
	ck_assert_msg(strstr(outcome.err, wrong_cases[_i].hint) != NULL,
		      "no '%s' in: %s", wrong_cases[_i].hint, outcome.err);
}
END_TEST

START_TEST(help_and_version_are_answers_and_not_errors)
{
	static const char *const names[] = { "weir-echo", "weir-load" };
	static struct outcome outcome;
	const char *name = names[_i];
	program_run((const char *const[]){ name, "--help", NULL }, &outcome);
	expect_status(&outcome, 0);
	ck_assert_str_eq(outcome.err, "");
	ck_assert_ptr_nonnull(strstr(outcome.out, "usage: "));
	ck_assert_ptr_nonnull(strstr(outcome.out, "--port"));
	program_run((const char *const[]){ name, "--version", NULL }, &outcome);
	expect_status(&outcome, 0);
	ck_assert_str_eq(outcome.err, "");
	ck_assert_str_ne(outcome.out, "");
}
END_TEST

START_TEST(a_port_in_use_is_one_line_and_status_1)
{
	static struct outcome outcome;
	struct sockaddr_in address;
	char port[8];
	int fd = wi_listener(&address);
	(void)snprintf(port, sizeof(port), "%u",
		       (unsigned)ntohs(address.sin_port));
	program_run((const char *const[]){ "weir-echo", "--bind", "127.0.0.1",
					   "--port", port, NULL },
		    &outcome);
	expect_status(&outcome, 1);
	expect_one_line(&outcome);
	ck_assert_ptr_nonnull(strstr(outcome.err, port));
	ck_assert_ptr_nonnull(strstr(outcome.err, "in use"));
	peer_close(fd);
}
END_TEST

START_TEST(a_server_that_is_not_there_is_status_1)
{
	static struct outcome outcome;
	struct sockaddr_in address;
	char port[8];
	wi_netns_enter_if_may();
	peer_close(wi_listener(&address));
	(void)snprintf(port, sizeof(port), "%u",
		       (unsigned)ntohs(address.sin_port));
	program_run((const char *const[]){ "weir-load", "--port", port,
					   "--connections", "2", NULL },
		    &outcome);
	expect_status(&outcome, 1);
}
END_TEST

/* ---- every byte -------------------------------------------------------- */

static const struct {
	const char *what;
	uint64_t loops;
	const char *echo[4];
	const char *load[12];
} load_cases[] = {
	{ "512 connections, 16 deep",
	  1,
	  { NULL },
	  { "--connections", "512", "--depth", "16", "--requests", "64" } },
	{ "sizes from nothing to 1 MiB",
	  1,
	  { NULL },
	  { "--connections", "16", "--depth", "2", "--requests", "16",
	    "--bytes", "0-1M" } },
	{ "two loops and two threads",
	  2,
	  { NULL },
	  { "--connections", "100", "--depth", "4", "--requests", "100",
	    "--threads", "2", "--bytes", "0-5000" } },
	{ "few small buffers",
	  1,
	  { "--buffers", "2", "--buffer-size", "64" },
	  { "--connections", "50", "--depth", "4", "--requests", "20",
	    "--bytes", "0-3000" } },
};

START_TEST(every_byte_that_a_load_sends_comes_back)
{
	static struct outcome outcome;
	char loops[8];
	int count = 8;
	(void)printf("%s\n", load_cases[_i].what);
	scratch_open();
	const char *args[16] = { ECHO_ARGS, "--loops" };
	(void)snprintf(loops, sizeof(loops), "%u",
		       (unsigned)load_cases[_i].loops);
	args[count++] = loops;
	for (int i = 0; i < 4 && load_cases[_i].echo[i] != NULL; i++)
		args[count++] = load_cases[_i].echo[i];
	struct program echo = echo_program(args);
	struct program load = load_program(echo.port, load_cases[_i].load);
	program_join(&load, &outcome);
	expect_status(&outcome, 0);
	echo_program_end(&echo, load_cases[_i].loops, 0);
	scratch_close();
}
END_TEST

/* ---- connections that come and go ---------------------------------------- */

/* For every churn: each connection is counted in one place. */
static void expect_churn_adds_up(const char *load)
{
	static const char *const kinds[] = { "churn_refused",   "churn_reset",
					     "churn_timed_out", "churn_closed",
					     "churn_portless",  "churn_other" };
	uint64_t failed = 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		failed += NUMBER(load, kinds[i]);
	ck_assert_uint_eq(NUMBER(load, "churn_failures"), failed);
	ck_assert_uint_eq(NUMBER(load, "churn_connections"),
			  NUMBER(load, "churn_answered") + failed);
	ck_assert_uint_eq(NUMBER(load, "first_answer_ns", "count"),
			  NUMBER(load, "churn_answered"));
}

static const struct {
	const char *what;
	const char *load[12];
	uint64_t want_connections; /* 0: as many as time allows */
	uint64_t want_messages;
} churn_cases[] = {
	{ "one request in each life",
	  { "--connections", "16", "--requests", "50" },
	  800,
	  800 },
	{ "seven in each life, three at a time, and the last life is short",
	  { "--connections", "10", "--requests", "50", "--threads", "2",
	    "--requests-per-connection", "7", "--depth", "3" },
	  80,
	  500 },
	{ "until the time is over",
	  { "--connections", "32", "--seconds", "200ms" },
	  0,
	  0 },
	{ "a life is longer than the time",
	  { "--connections", "8", "--seconds", "200ms",
	    "--requests-per-connection", "1000000000" },
	  8,
	  0 },
};

START_TEST(connections_that_come_and_go_are_each_answered)
{
	static struct outcome outcome;
	(void)printf("%s\n", churn_cases[_i].what);
	scratch_open();
	struct program echo = echo_program(
		(const char *const[]){ ECHO_ARGS, "--loops", "2", NULL });
	const char *args[16] = { "--churn" };
	for (int i = 0; i < 12 && churn_cases[_i].load[i] != NULL; i++)
		args[1 + i] = churn_cases[_i].load[i];
	struct program load = load_program(echo.port, args);
	program_join(&load, &outcome);
	expect_status(&outcome, 0);
	echo_program_end(&echo, 2, 0);
	char *text = json_read("load.json");
	char *json = json_read("echo.json");
	expect_churn_adds_up(text);
	ck_assert_uint_eq(NUMBER(text, "churn_failures"), 0);
	const uint64_t connections = NUMBER(text, "churn_connections");
	ck_assert_uint_gt(connections, 0);
	ck_assert_uint_eq(NUMBER(strstr(json, "\"total\""), "net", "accepts"),
			  connections);
	if (churn_cases[_i].want_connections != 0)
		ck_assert_uint_eq(connections,
				  churn_cases[_i].want_connections);
	if (churn_cases[_i].want_messages != 0)
		ck_assert_uint_eq(NUMBER(text, "messages"),
				  churn_cases[_i].want_messages);
	free(json);
	free(text);
	scratch_close();
}
END_TEST

START_TEST(connections_that_are_refused_are_counted_and_the_others_answered)
{
	static struct outcome outcome;
	wi_netns_enter_if_may();
	scratch_open();
	/* It serves only the first of the two addresses. */
	struct program echo = echo_program(
		(const char *const[]){ ECHO_ARGS, "--loops", "1", NULL });
	struct program load = load_program(
		echo.port, (const char *const[]){ "--churn", "--connections",
						  "4", "--requests", "10",
						  "--hosts", "2", NULL });
	program_join(&load, &outcome);
	expect_status(&outcome, 1);
	char *text = json_read("load.json");
	expect_churn_adds_up(text);
	ck_assert_uint_eq(NUMBER(text, "churn_connections"), 40);
	ck_assert_uint_eq(NUMBER(text, "churn_refused"), 20);
	ck_assert_uint_eq(NUMBER(text, "churn_answered"), 20);
	ck_assert_uint_eq(NUMBER(text, "messages"), 20);
	free(text);
	(void)kill(echo.pid, SIGTERM);
	program_join(&echo, &outcome);
	expect_status(&outcome, 0);
	char *json = json_read("echo.json");
	expect_balance(json, 1);
	ck_assert_uint_eq(NUMBER(strstr(json, "\"total\""), "net", "accepts"),
			  20);
	free(json);
	scratch_close();
}
END_TEST

/* It accepts and sends nothing: nothing reads its backlog. */
START_TEST(connections_without_an_answer_are_counted_as_timed_out)
{
	static struct outcome outcome;
	struct sockaddr_in address;
	scratch_open();
	int fd = wi_listener(&address);
	struct program load = load_program(
		ntohs(address.sin_port),
		(const char *const[]){ "--churn", "--connections", "2",
				       "--requests", "2", "--timeout", "50ms",
				       NULL });
	program_join(&load, &outcome);
	expect_status(&outcome, 1);
	char *text = json_read("load.json");
	expect_churn_adds_up(text);
	ck_assert_uint_eq(NUMBER(text, "churn_connections"), 4);
	ck_assert_uint_eq(NUMBER(text, "churn_timed_out"), 4);
	free(text);
	peer_close(fd);
	scratch_close();
}
END_TEST

/* ---- signals ----------------------------------------------------------- */

enum { STATE_ESTABLISHED = 1, STATE_LISTEN = 10 };

/* Sockets bound to @port on loopback, in state @wanted. */
static size_t sockets_in(uint16_t port, unsigned wanted)
{
	char line[256];
	size_t count = 0;
	unsigned local;
	unsigned state;
	FILE *table = fopen("/proc/net/tcp", "re");
	ck_assert_ptr_nonnull(table);
	while (fgets(line, sizeof(line), table) != NULL)
		if (sscanf(line, " %*d: %*8x:%4x %*8x:%*4x %2x", &local,
			   &state) == 2)
			count += local == port && state == wanted;
	(void)fclose(table); /* was only read */
	return count;
}

/* The kernel tears down a ring after its process has ended, which takes time on
 * a busy machine. Until then the ring may hold a listener. */
static void await_free(uint16_t port)
{
	while (sockets_in(port, STATE_LISTEN) > 0)
		(void)sched_yield();
}

/* Waits until a load of so many connections is running and served. */
static uint64_t await_load(uint16_t port, size_t conn_count)
{
	enum { TRIPS = 500 };
	while (sockets_in(port, STATE_ESTABLISHED) < conn_count)
		(void)sched_yield();
	int fd = peer_open(port);
	for (uint32_t i = 0; i < TRIPS; i++)
		peer_round_trip(fd, i);
	peer_close(fd);
	return TRIPS;
}

START_TEST(sigterm_under_load_answers_all_it_received_and_ends_clean)
{
	static struct outcome outcome;
	scratch_open();
	struct program echo = echo_program(
		(const char *const[]){ ECHO_ARGS, "--loops", "2", NULL });
	struct program load = load_program(
		echo.port,
		(const char *const[]){ "--connections", "64", "--depth", "4",
				       "--seconds", "60", NULL });
	uint64_t own = await_load(echo.port, 64);
	ck_assert_int_eq(kill(echo.pid, SIGTERM), 0);
	program_join(&load, &outcome);
	expect_status(&outcome, 0);
	echo_program_end(&echo, 2, own);
	scratch_close();
}
END_TEST

START_TEST(a_second_sigterm_ends_a_server_that_waits_for_a_peer)
{
	static struct outcome outcome;
	scratch_open();
	struct program echo = echo_program((const char *const[]){
		ECHO_ARGS, "--loops", "1", "--drain-timeout", "3600", NULL });
	int fd = peer_open(echo.port);
	peer_round_trip(fd, 1);
	ck_assert_int_eq(kill(echo.pid, SIGTERM), 0);
	peer_expect_end(fd);
	ck_assert_int_eq(kill(echo.pid, SIGTERM), 0);
	program_join(&echo, &outcome);
	expect_status(&outcome, 0);
	char *json = json_read("echo.json");
	expect_balance(json, 1);
	ck_assert_uint_eq(NUMBER(strstr(json, "\"total\""), "closes_by",
				 "drain-deadline"),
			  1);
	free(json);
	peer_close(fd);
	scratch_close();
}
END_TEST

START_TEST(after_sigkill_under_load_the_same_port_serves_again)
{
	static struct outcome outcome;
	char port[8];
	wi_netns_enter_if_may();
	scratch_open();
	struct program echo = echo_program(
		(const char *const[]){ ECHO_ARGS, "--loops", "2", NULL });
	struct program load = load_program(
		echo.port, (const char *const[]){ "--connections", "64",
						  "--seconds", "60", NULL });
	(void)await_load(echo.port, 64);
	ck_assert_int_eq(kill(echo.pid, SIGKILL), 0);
	program_join(&echo, &outcome);
	expect_status(&outcome, -SIGKILL);
	(void)snprintf(port, sizeof(port), "%u", (unsigned)echo.port);
	await_free(echo.port);
	struct program again = echo_program((const char *const[]){
		"weir-echo", "--bind", "127.0.0.1", "--port", port,
		"--stats-json", scratch_path("echo.json"), "--loops", "2",
		NULL });
	program_join(&load, &outcome); /* it has seen the end */

	load = load_program(again.port,
			    (const char *const[]){ "--connections", "64",
						   "--requests", "50", NULL });
	program_join(&load, &outcome);
	expect_status(&outcome, 0);
	echo_program_end(&again, 2, 0);
	scratch_close();
}
END_TEST

/* ---- interrupted calls ------------------------------------------------- */

START_TEST(interrupted_enters_change_nothing)
{
	static struct outcome outcome;
	wi_skip_unless(program_may_inject(), "no strace, or it may not trace");
	/* LeakSanitizer, if built in, cannot run under a tracer. */
	ck_assert_int_eq(setenv("ASAN_OPTIONS", "detect_leaks=0", 1), 0);
	scratch_open();
	/* -D: the server stays our child; strace is its grandchild. */
	struct program echo = echo_program((const char *const[]){
		"strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e",
		"trace=io_uring_enter", "-e",
		"inject=io_uring_enter:error=EINTR:when=5+7", ECHO_ARGS,
		"--loops", "2", NULL });
	struct program load = load_program(
		echo.port,
		(const char *const[]){ "--connections", "64", "--depth", "4",
				       "--requests", "100", "--bytes", "0-5000",
				       NULL });
	program_join(&load, &outcome);
	expect_status(&outcome, 0);
	echo_program_end(&echo, 2, 0);
	char *json = json_read("echo.json");
	ck_assert_uint_gt(
		NUMBER(strstr(json, "\"total\""), "ring", "enters_interrupted"),
		0);
	free(json);
	scratch_close();
	ck_assert_int_eq(unsetenv("ASAN_OPTIONS"), 0);
}
END_TEST

/* ---- the suite --------------------------------------------------------- */

WI_SUITE(process, "process", WI_RUNGS | WI_THREADS | WI_BPF)
{
	TCase *tcase = tcase_create("process");
	tcase_set_timeout(tcase, PROGRAM_TIMEOUT_S);
	suite_add_tcase(suite, tcase);
	if (tools_dir() == NULL) {
		wi_skip_note("process", "this build has no tools",
			     WI_SKIP_ASKED);
		return;
	}
	tcase_add_loop_test(tcase, a_wrong_option_is_one_line_and_status_2, 0,
			    COUNT_OF(wrong_cases));
	tcase_add_loop_test(tcase, help_and_version_are_answers_and_not_errors,
			    0, 2);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_test(tcase, a_port_in_use_is_one_line_and_status_1);
	tcase_add_test(tcase, a_server_that_is_not_there_is_status_1);
	tcase_add_loop_test(tcase, every_byte_that_a_load_sends_comes_back, 0,
			    COUNT_OF(load_cases));
	tcase_add_loop_test(tcase,
			    connections_that_come_and_go_are_each_answered, 0,
			    COUNT_OF(churn_cases));
	tcase_add_test(
		tcase,
		connections_that_are_refused_are_counted_and_the_others_answered);
	tcase_add_test(tcase,
		       connections_without_an_answer_are_counted_as_timed_out);
	tcase_add_test(
		tcase,
		sigterm_under_load_answers_all_it_received_and_ends_clean);
	tcase_add_test(tcase,
		       a_second_sigterm_ends_a_server_that_waits_for_a_peer);
	tcase_add_test(tcase,
		       after_sigkill_under_load_the_same_port_serves_again);
	tcase_add_test(tcase, interrupted_enters_change_nothing);
}
