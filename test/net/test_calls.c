/* test_calls.c - net/ makes no system call of its own, and does not sleep
 *
 *     sources of net/ --> without comments and texts --> name(   : in the list?
 *     libweir.a       --> nm: undefined symbols of its members   : in the list?
 *
 * A loop asks the kernel through the seam (uring/kernel.h) only, so that a
 * simulated kernel sees all of it. Threads and locks belong to net/server
 * (pthread_...); libbpf loads the steering program.
 */
#include "../rig/count_of.h"
#include "../rig/support.h"
#include "../suites.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Each of these calls the kernel, or waits for it. */
static const char *const kernel_calls[] = {
	/* time */
	"nanosleep",
	"clock_nanosleep",
	"usleep",
	"sleep",
	"sched_yield",
	"clock_gettime",
	"gettimeofday",
	"time",
	"alarm",
	"setitimer",
	"timer_create",
	"timerfd_create",
	"timerfd_settime",
	"pause",
	/* waiting */
	"poll",
	"ppoll",
	"select",
	"pselect",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"eventfd",
	"eventfd_read",
	"eventfd_write",
	"signalfd",
	"sigwait",
	"sigwaitinfo",
	"sigtimedwait",
	"sigsuspend",
	"wait",
	"waitpid",
	"waitid",
	"sem_wait",
	"sem_timedwait",
	/* sockets */
	"socket",
	"socketpair",
	"bind",
	"listen",
	"connect",
	"accept",
	"accept4",
	"getsockname",
	"getpeername",
	"setsockopt",
	"getsockopt",
	"shutdown",
	"send",
	"sendto",
	"sendmsg",
	"sendmmsg",
	"recv",
	"recvfrom",
	"recvmsg",
	"recvmmsg",
	"getaddrinfo",
	"gethostbyname",
	/* files */
	"open",
	"openat",
	"open64",
	"creat",
	"fopen",
	"fopen64",
	"fdopen",
	"close",
	"fclose",
	"read",
	"write",
	"readv",
	"writev",
	"pread",
	"pwrite",
	"pread64",
	"pwrite64",
	"lseek",
	"ioctl",
	"fcntl",
	"fcntl64",
	"dup",
	"dup2",
	"dup3",
	"pipe",
	"pipe2",
	"stat",
	"fstat",
	"access",
	"unlink",
	"splice",
	"sendfile",
	"memfd_create",
	"opendir",
	"readlink",
	"printf",
	"fprintf",
	"vfprintf",
	"puts",
	"fputs",
	"perror",
	"fwrite",
	"fflush",
	/* memory */
	"mmap",
	"mmap64",
	"munmap",
	"mremap",
	"mprotect",
	"madvise",
	"posix_madvise",
	"mlock",
	"mlock2",
	"munlock",
	"brk",
	"sbrk",
	/* processes and their limits */
	"fork",
	"vfork",
	"execve",
	"kill",
	"raise",
	"abort",
	"exit",
	"_exit",
	"getpid",
	"gettid",
	"getppid",
	"getuid",
	"geteuid",
	"getenv",
	"secure_getenv",
	"setenv",
	"sysconf",
	"getrlimit",
	"setrlimit",
	"prlimit",
	"prctl",
	"getrusage",
	"getrandom",
	"sched_getaffinity",
	"sched_setaffinity",
	"sched_getcpu",
	"getcpu",
	"sched_setscheduler",
	"get_nprocs",
	"signal",
	"sigaction",
	"sigprocmask",
	/* the rest */
	"syscall",
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
};

static const struct {
	const char *file; /* or the archive member */
	const char *call;
	const char *reason;
} allowed[] = {
	/* None so far. net/server starts threads and needs pthread_sigmask()
	 * and pthread_getaffinity_np(). */
	{ NULL, NULL, NULL },
};

static bool is_kernel_call(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(kernel_calls); i++)
		if (strcmp(kernel_calls[i], name) == 0)
			return true;
	return false;
}

static bool is_allowed(const char *file, const char *call)
{
	for (size_t i = 0; i < COUNT_OF(allowed); i++)
		if (allowed[i].file != NULL &&
		    strstr(file, allowed[i].file) != NULL &&
		    strcmp(allowed[i].call, call) == 0)
			return true;
	return false;
}

/* ---- the sources ---------------------------------------------------------
 */

static char *file_read(const char *path)
{
	FILE *file = fopen(path, "re");
	ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
	ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
	const long bytes = ftell(file);
	ck_assert_int_ge(bytes, 0);
	rewind(file);
	char *text = malloc((size_t)bytes + 1);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(fread(text, 1, (size_t)bytes, file), (size_t)bytes);
	text[bytes] = '\0';
	ck_assert_int_eq(fclose(file), 0);
	return text;
}

/* The end of the string or character constant that begins at @at. */
static char *quoted_end(char *at)
{
	const char quote = *at++;
	while (*at != '\0' && *at != quote)
		at += *at == '\\' && at[1] != '\0' ? 2 : 1;
	return *at == '\0' ? at : at + 1;
}

static char *comment_end(char *at)
{
	if (at[1] == '/')
		return at + strcspn(at, "\n");
	char *end = strstr(at + 2, "*/");
	return end == NULL ? at + strlen(at) : end + 2;
}

/* Replaces comments and strings by spaces; keeps the lines. */
static void text_blank(char *text)
{
	char *at = text;
	while (*at != '\0') {
		char *end = at;
		if (*at == '"' || *at == '\'')
			end = quoted_end(at);
		else if (at[0] == '/' && (at[1] == '*' || at[1] == '/'))
			end = comment_end(at);
		if (end == at) {
			at++;
			continue;
		}
		for (; at < end; at++)
			if (*at != '\n')
				*at = ' ';
	}
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* A member of a struct, `kernel->close(...)`, is not the call itself. */
static bool is_member(const char *text, const char *at)
{
	while (at > text && isspace((unsigned char)at[-1]))
		at--;
	return at > text && (at[-1] == '.' || at[-1] == '>');
}

struct findings {
	uint32_t files;
	uint32_t calls;
};

static void text_search(const char *path, const char *text,
			struct findings *findings)
{
	char name[64];
	uint32_t line = 1;
	for (const char *at = text; *at != '\0'; at++) {
		line += *at == '\n';
		if (!is_word(*at) || (at > text && is_word(at[-1])))
			continue;
		size_t bytes = 0;
		while (is_word(at[bytes]))
			bytes++;
		const char *after = at + bytes;
		after += strspn(after, " \t\n");
		if (*after != '(' || bytes >= sizeof(name) ||
		    is_member(text, at))
			continue;
		memcpy(name, at, bytes);
		name[bytes] = '\0';
		if (!is_kernel_call(name) || is_allowed(path, name))
			continue;
		(void)printf("%s:%u: %s()\n", path, line, name);
		findings->calls++;
	}
}

static bool ends_with(const char *text, const char *end)
{
	const size_t bytes = strlen(text);
	const size_t end_bytes = strlen(end);
	return bytes >= end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

static void file_search(const char *path, struct findings *findings)
{
	/* A BPF program, in a file of its own. */
	if (ends_with(path, ".bpf.c") ||
	    (!ends_with(path, ".c") && !ends_with(path, ".h")))
		return;
	char *text = file_read(path);
	text_blank(text);
	text_search(path, text, findings);
	free(text);
	findings->files++;
}

static void folder_search(const char *folder, struct findings *findings)
{
	DIR *dir = opendir(folder);
	ck_assert_msg(dir != NULL, "%s: %s", folder, strerror(errno));
	for (struct dirent *entry = readdir(dir); entry != NULL;
	     entry = readdir(dir)) {
		char path[4096];
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", folder,
			       entry->d_name);
		if (entry->d_type == DT_DIR)
			folder_search(path, findings);
		else
			file_search(path, findings);
	}
	ck_assert_int_eq(closedir(dir), 0);
}

START_TEST(no_source_of_net_calls_the_kernel_or_sleeps)
{
	struct findings findings = { .files = 0 };
	const char *folder = WEIR_SOURCE_DIR "/net";
	wi_skip_unless(access(folder, R_OK) == 0, "the sources are not here");
	folder_search(folder, &findings);
	ck_assert_uint_gt(findings.files, 30);
	ck_assert_uint_eq(findings.calls, 0);
}
END_TEST

/* ---- the search itself ---------------------------------------------------
 */

static const struct {
	const char *text;
	uint32_t calls;
} search_cases[] = {
	{ "(void)nanosleep(&pause, NULL);", 1 },
	{ "a = close (fd); b = open(\"x\", 0);", 2 },
	{ "if (poll\n\t(&one, 1, 0) < 0)", 1 },
	{ "kernel->close(kernel->ctx, fd)", 0 },
	{ "kernel\n\t->bind(kernel->ctx)", 0 },
	{ "ops.listen(1)", 0 },
	{ "/* close(fd) */ // sleep(1)\n", 0 },
	{ "f(\"read(2) \\\" write(2)\", '\"', '\\'');", 0 },
	{ "my_close(fd); close_all(fd); closed(fd)", 0 },
	{ "close_fn = close;", 0 }, /* for nm to find */
	{ "/* one */ read(0, 0, 0); /* two */", 1 },
};

START_TEST(search_finds_calls_and_nothing_else)
{
	struct findings findings = { .files = 0 };
	char text[128];
	(void)snprintf(text, sizeof(text), "%s", search_cases[_i].text);
	text_blank(text);
	text_search("a case", text, &findings);
	ck_assert_msg(findings.calls == search_cases[_i].calls,
		      "in '%s': %u, not %u", search_cases[_i].text,
		      findings.calls, search_cases[_i].calls);
}
END_TEST

/* ---- the objects ---------------------------------------------------------
 */

/* "libweir.a:net_server_server.c.o:                 U close" */
static bool symbol_parse(char *line, const char **out_member,
			 const char **out_name)
{
	char *member = strchr(line, ':');
	char *name = strstr(line, " U ");
	if (member == NULL || name == NULL)
		return false;
	member++;
	member[strcspn(member, ":")] = '\0';
	name += 3;
	name[strcspn(name, "@\n")] = '\0';
	*out_member = member;
	*out_name = name;
	return true;
}

START_TEST(no_object_of_net_asks_for_a_system_call)
{
	char line[1024];
	uint32_t symbols = 0;
	uint32_t calls = 0;
	/* A sanitizer and gcov add calls of their own. */
	wi_skip_unless(access(WEIR_LIBRARY, R_OK) == 0,
		       "the library is not here");
	FILE *nm = popen("nm -A -u " WEIR_LIBRARY " 2>/dev/null", "re");
	ck_assert_ptr_nonnull(nm);
	while (fgets(line, sizeof(line), nm) != NULL) {
		const char *member;
		const char *name;
		if (!symbol_parse(line, &member, &name) ||
		    strncmp(member, "net_", 4) != 0)
			continue;
		symbols++;
		if (!is_kernel_call(name) || is_allowed(member, name))
			continue;
		(void)printf("%s: %s\n", member, name);
		calls++;
	}
	const int status = pclose(nm);
	wi_skip_unless(status == 0, "nm does not read the library");
	ck_assert_uint_gt(symbols, 100);
	ck_assert_uint_eq(calls, 0);
}
END_TEST

WI_SUITE(calls, "calls", 0)
{
	TCase *tcase = tcase_create("calls");
	tcase_add_test(tcase, no_source_of_net_calls_the_kernel_or_sleeps);
	tcase_add_loop_test(tcase, search_finds_calls_and_nothing_else, 0,
			    (int)COUNT_OF(search_cases));
	tcase_add_test(tcase, no_object_of_net_asks_for_a_system_call);
	suite_add_tcase(suite, tcase);
}
