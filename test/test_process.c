/* test_process.c - weir-echo and weir-load as whole programs
 *
 * Black box: options in, exit status, output, JSON and bytes out. The programs
 * are looked for in $WEIR_TOOLS_DIR.
 */
#include "peer.h"
#include "suites.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PROCESS_TEST_TIMEOUT_S = 120,
	ARGS_MAX = 32,
	TEXT_BYTES = 64 * 1024,
};

/* ---- programs --------------------------------------------------------------
 */

struct program {
	pid_t pid;
	int out; /* what it says on stdout, and on stderr */
	int err;
	uint16_t port; /* where weir-echo serves */
};

struct outcome {
	int status; /* exit code; -signal */
	char out[TEXT_BYTES];
	char err[TEXT_BYTES];
};

static const char *tools_dir(void)
{
	return getenv("WEIR_TOOLS_DIR");
}

static char scratch[64]; /* a folder for the files of one test */

static void scratch_open(void)
{
	(void)snprintf(scratch, sizeof(scratch), "/tmp/weir-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scratch));
}

static const char *scratch_path(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];
	(void)snprintf(path, sizeof(paths[0]), "%s/%s", scratch, name);
	return path;
}

static void scratch_close(void)
{
	static const char *const names[] = { "echo.json", "load.json" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(scratch_path(names[i])); /* not all tests write */
	ck_assert_int_eq(rmdir(scratch), 0);
}

/* @args end with NULL; the first is a program of ours, or one on the PATH. */
static struct program program_start(const char *const *args)
{
	const char *argv[ARGS_MAX + 1];
	char paths[ARGS_MAX][256];
	int out[2];
	int err[2];
	int count = 0;
	for (; args[count] != NULL; count++) {
		ck_assert_int_lt(count, ARGS_MAX);
		argv[count] = args[count];
		if (strncmp(args[count], "weir-", 5) != 0)
			continue;
		(void)snprintf(paths[count], sizeof(paths[0]), "%s/%s",
			       tools_dir(), args[count]);
		argv[count] = paths[count];
	}
	argv[count] = NULL;
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);

	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* no orphans */
		(void)dup2(out[1], STDOUT_FILENO);
		(void)dup2(err[1], STDERR_FILENO);
		(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	peer_close(out[1]);
	peer_close(err[1]);
	return (struct program){ .pid = pid, .out = out[0], .err = err[0] };
}

static void read_up(int fd, char *text)
{
	size_t count = 0;
	ssize_t more;
	while (count + 1 < TEXT_BYTES &&
	       (more = read(fd, text + count, TEXT_BYTES - 1 - count)) > 0)
		count += (size_t)more;
	text[count] = '\0';
	peer_close(fd);
}

static void program_join(struct program *program, struct outcome *outcome)
{
	int status = -1;
	read_up(program->out, outcome->out);
	read_up(program->err, outcome->err);
	ck_assert_int_eq(waitpid(program->pid, &status, 0), program->pid);
	outcome->status =
		WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void program_run(const char *const *args, struct outcome *outcome)
{
	struct program program = program_start(args);
	program_join(&program, outcome);
}

static void expect_status(const struct outcome *outcome, int want)
{
	ck_assert_msg(outcome->status == want,
		      "ended with %d, not %d; said: %s%s", outcome->status,
		      want, outcome->out, outcome->err);
}

/* One line, and that on stderr. */
static void expect_one_line(const struct outcome *outcome)
{
	const char *end = strchr(outcome->err, '\n');
	ck_assert_msg(end != NULL && end[1] == '\0' && end != outcome->err,
		      "not one line: '%s'", outcome->err);
	ck_assert_str_eq(outcome->out, "");
}

/* Starts weir-echo and waits until it says where it serves. */
static struct program echo_program(const char *const *args)
{
	static const char serves[] = "serves 127.0.0.1:";
	char line[256];
	size_t count = 0;
	struct program program = program_start(args);
	do {
		ck_assert_uint_lt(count + 1, sizeof(line));
		ssize_t more = read(program.out, line + count, 1);
		ck_assert_msg(more == 1, "it says nothing");
		count++;
	} while (line[count - 1] != '\n');
	line[count] = '\0';
	const char *at = strstr(line, serves);
	ck_assert_msg(at != NULL, "no port in: %s", line);
	program.port = (uint16_t)strtoul(at + strlen(serves), NULL, 10);
	return program;
}

#define ECHO_ARGS                                                              \
	"weir-echo", "--bind", "127.0.0.1", "--port", "0", "--stats-json",     \
		scratch_path("echo.json")

static struct program load_program(uint16_t port, const char *const *args)
{
	const char *argv[ARGS_MAX] = { "weir-load", "--json",
				       scratch_path("load.json"), "--port" };
	char text[8];
	int count = 4;
	(void)snprintf(text, sizeof(text), "%u", (unsigned)port);
	argv[count++] = text;
	while (*args != NULL)
		argv[count++] = *args++;
	argv[count] = NULL;
	return program_start(argv);
}

/* ---- JSON -------------------------------------------------------------- */

/* The end of the value at @at, or NULL if it is none. Strict, but for the
 * escapes in strings, of which only the backslash is looked at. */
static const char *json_skip(const char *at);

static const char *json_blank(const char *at)
{
	return at + strspn(at, " \n\r\t");
}

static const char *json_string(const char *at)
{
	if (*at++ != '"')
		return NULL;
	for (; *at != '"'; at++) {
		if ((unsigned char)*at < ' ')
			return NULL;
		if (*at == '\\' && *++at == '\0')
			return NULL;
	}
	return at + 1;
}

/* The members of an object, or the elements of an array. */
static const char *json_list(const char *at, char end)
{
	at = json_blank(at);
	if (*at == end)
		return at + 1;
	for (;;) {
		if (end == '}') {
			at = json_string(json_blank(at));
			if (at == NULL)
				return NULL;
			at = json_blank(at);
			if (*at++ != ':')
				return NULL;
		}
		at = json_skip(at);
		if (at == NULL)
			return NULL;
		at = json_blank(at);
		if (*at == end)
			return at + 1;
		if (*at++ != ',')
			return NULL;
	}
}

static const char *json_skip(const char *at)
{
	static const char *const words[] = { "true", "false", "null" };
	char *end = NULL;
	at = json_blank(at);
	if (*at == '{')
		return json_list(at + 1, '}');
	if (*at == '[')
		return json_list(at + 1, ']');
	if (*at == '"')
		return json_string(at);
	for (size_t i = 0; i < 3; i++)
		if (strncmp(at, words[i], strlen(words[i])) == 0)
			return at + strlen(words[i]);
	if (*at != '-' && !isdigit((unsigned char)*at))
		return NULL;
	(void)strtod(at, &end);
	return end;
}

/* A whole file, found to be JSON. The caller frees it. */
static char *json_read(const char *name)
{
	char *text = malloc(TEXT_BYTES);
	ck_assert_ptr_nonnull(text);
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "no %s: %s", name, strerror(errno));
	read_up(fd, text);
	const char *end = json_skip(text);
	ck_assert_msg(end != NULL && *json_blank(end) == '\0',
		      "%s is no JSON: %s", name, text);
	return text;
}

/* The number behind the last of @keys, each looked for behind the one before;
 * keys end with NULL. */
static uint64_t json_number(const char *text, const char *const *keys)
{
	for (; *keys != NULL; keys++) {
		char quoted[64];
		(void)snprintf(quoted, sizeof(quoted), "\"%s\":", *keys);
		text = strstr(text, quoted);
		ck_assert_msg(text != NULL, "no %s", quoted);
		text += strlen(quoted);
	}
	return strtoull(text, NULL, 10);
}

#define NUMBER(text, ...)                                                      \
	json_number(text, (const char *const[]){ __VA_ARGS__, NULL })

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

/* What must hold between the counters of a server that has ended. */
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

/* Stops the server, and compares what it counted with what the load got. */
static void echo_program_end(struct program *echo, uint64_t loop_count,
			     uint64_t own_messages)
{
	static struct outcome outcome;
	(void)kill(echo->pid, SIGTERM); /* again does no harm */
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
	const char *args[6];
	const char *hint; /* in the line */
} wrong_cases[] = {
	{ { "weir-echo", "--bogus" }, "--bogus" },
	{ { "weir-echo", "--port" }, "--port" },
	{ { "weir-echo", "--port", "65536" }, "65535" },
	{ { "weir-echo", "--port", "7x" }, "7x" },
	{ { "weir-echo", "--prefix", "u7" }, "u7" },
	{ { "weir-echo", "--buffers", "0" }, "--buffers" },
	{ { "weir-echo", "stray" }, "stray" },
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

/* What must hold of every churn: each connection is in one account. */
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
	uint64_t want_connections; /* 0: as many as there is time for */
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
	scratch_open();
	/* It serves the first of the two addresses only. */
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

/* It accepts and says nothing: a backlog that nobody reads. */
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

/* Established connections of which one end is @port on loopback. */
static size_t established(uint16_t port)
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
			count += local == port && state == 1;
	(void)fclose(table); /* was only read */
	return count;
}

/* Until a load of so many connections is under way, and served. */
static uint64_t await_load(uint16_t port, size_t conn_count)
{
	enum { TRIPS = 500 };
	while (established(port) < conn_count)
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
	struct program again = echo_program((const char *const[]){
		"weir-echo", "--bind", "127.0.0.1", "--port", port,
		"--stats-json", scratch_path("echo.json"), "--loops", "2",
		NULL });
	program_join(&load, &outcome); /* it noticed, in its own way */

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

static bool may_inject(void)
{
	static struct outcome outcome;
	program_run((const char *const[]){ "strace", "-qq", "-o", "/dev/null",
					   "-e", "inject=getpid:error=EINTR",
					   "true", NULL },
		    &outcome);
	return outcome.status == 0;
}

START_TEST(interrupted_enters_change_nothing)
{
	static struct outcome outcome;
	wi_skip_unless(may_inject(), "no strace, or it may not trace");
	/* LeakSanitizer, where it is built in, cannot look while it is traced.
	 */
	ck_assert_int_eq(setenv("ASAN_OPTIONS", "detect_leaks=0", 1), 0);
	scratch_open();
	/* -D: the server stays our child, strace is its grandchild. */
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

/* ---- the suite
 * ------------------------------------------------------------------------------
 */

#define COUNT_OF(table) ((int)(sizeof(table) / sizeof((table)[0])))

Suite *suite_process(void)
{
	Suite *suite = suite_create("process");
	TCase *tcase = tcase_create("process");
	tcase_set_timeout(tcase, PROCESS_TEST_TIMEOUT_S);
	suite_add_tcase(suite, tcase);
	if (tools_dir() == NULL) {
		wi_skip_report("process", "WEIR_TOOLS_DIR is not set");
		return suite;
	}
	tcase_add_loop_test(tcase, a_wrong_option_is_one_line_and_status_2, 0,
			    COUNT_OF(wrong_cases));
	tcase_add_loop_test(tcase, help_and_version_are_answers_and_not_errors,
			    0, 2);
	if (!wi_kernel_has_rings())
		return suite;
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
	return suite;
}
