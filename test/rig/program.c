#include "program.h"

#include "peer.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- programs ------------------------------------------------------------ */

const char *tools_dir(void)
{
	const char *dir = getenv("WEIR_TOOLS_DIR");
#ifdef WEIR_TEST_TOOLS_DIR /* where this build has put them */
	if (dir == NULL)
		dir = WEIR_TEST_TOOLS_DIR;
#endif
	return dir;
}

static char scratch[64]; /* a folder for the files of one test */

void scratch_open(void)
{
	(void)snprintf(scratch, sizeof(scratch), "/tmp/weir-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scratch));
}

const char *scratch_path(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];
	(void)snprintf(path, sizeof(paths[0]), "%s/%s", scratch, name);
	return path;
}

void scratch_close(void)
{
	static const char *const names[] = { "echo.json", "load.json",
					     "trace" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(scratch_path(names[i])); /* some tests do not write
						       * it */
	ck_assert_int_eq(rmdir(scratch), 0);
}

struct program program_start(const char *const *args)
{
	return program_start_after(NULL, args);
}

struct program program_start_after(void (*prepare)(void),
				   const char *const *args)
{
	const char *argv[PROGRAM_ARGS_MAX + 1];
	char paths[PROGRAM_ARGS_MAX][256];
	int out[2];
	int err[2];
	int count = 0;
	for (; args[count] != NULL; count++) {
		ck_assert_int_lt(count, PROGRAM_ARGS_MAX);
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
		/* gcov opens files before execvp(3): with a limit that @prepare
		 * sets, these four would leave none for it. */
		for (int i = 0; i < 2; i++) {
			peer_close(out[i]);
			peer_close(err[i]);
		}
		if (prepare != NULL)
			prepare();
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
	while (count + 1 < PROGRAM_TEXT_BYTES &&
	       (more = read(fd, text + count, PROGRAM_TEXT_BYTES - 1 - count)) >
		       0)
		count += (size_t)more;
	text[count] = '\0';
	peer_close(fd);
}

void program_join(struct program *program, struct outcome *outcome)
{
	int status = -1;
	read_up(program->out, outcome->out);
	read_up(program->err, outcome->err);
	ck_assert_int_eq(waitpid(program->pid, &status, 0), program->pid);
	outcome->status =
		WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void program_run(const char *const *args, struct outcome *outcome)
{
	struct program program = program_start(args);
	program_join(&program, outcome);
}

void expect_status(const struct outcome *outcome, int want)
{
	ck_assert_msg(outcome->status == want,
		      "ended with %d, not %d; said: %s%s", outcome->status,
		      want, outcome->out, outcome->err);
}

void expect_one_line(const struct outcome *outcome)
{
	const char *end = strchr(outcome->err, '\n');
	ck_assert_msg(end != NULL && end[1] == '\0' && end != outcome->err,
		      "not one line: '%s'", outcome->err);
	ck_assert_str_eq(outcome->out, "");
}

struct program echo_program(const char *const *args)
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

struct program load_program(uint16_t port, const char *const *args)
{
	/* A slow machine may need more than the default of ten seconds. */
	const char *argv[PROGRAM_ARGS_MAX] = { "weir-load",
					       "--timeout",
					       "120s",
					       "--json",
					       scratch_path("load.json"),
					       "--port" };
	char text[8];
	int count = 6;
	(void)snprintf(text, sizeof(text), "%u", (unsigned)port);
	argv[count++] = text;
	while (*args != NULL)
		argv[count++] = *args++;
	argv[count] = NULL;
	return program_start(argv);
}

/* ---- JSON ---------------------------------------------------------------- */

/* The end of the value at @at, or NULL if it is invalid. Strict, except that it
 * does not check escapes in strings. */
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

char *json_read(const char *name)
{
	char *text = malloc(PROGRAM_TEXT_BYTES);
	ck_assert_ptr_nonnull(text);
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "no %s: %s", name, strerror(errno));
	read_up(fd, text);
	const char *end = json_skip(text);
	ck_assert_msg(end != NULL && *json_blank(end) == '\0',
		      "%s is no JSON: %s", name, text);
	return text;
}

uint64_t json_number(const char *text, const char *const *keys)
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

bool program_may_inject(void)
{
	static struct outcome outcome;
	program_run((const char *const[]){ "strace", "-qq", "-o", "/dev/null",
					   "-e", "inject=getpid:error=EINTR",
					   "true", NULL },
		    &outcome);
	return outcome.status == 0;
}
