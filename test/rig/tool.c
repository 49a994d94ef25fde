#include "tool.h"

#include "program.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static bool tool_path(const char *name, char *out_path)
{
	const char *dir = tools_dir();
	if (dir == NULL)
		return false;
	(void)snprintf(out_path, PATH_MAX, "%s/%s", dir, name);
	return access(out_path, X_OK) == 0;
}

bool tool_is_there(const char *test, const char *name)
{
	char path[PATH_MAX];
	if (tool_path(name, path))
		return true;
	wi_skip_note(test, "this build has no tools", WI_SKIP_ASKED);
	return false;
}

static void tool_become(const struct tool *tool, int out)
{
	const char *argv[TOOL_ARGS_MAX + 1] = { tool->name };
	char path[PATH_MAX];

	for (int i = 0; tool->args[i] != NULL; i++)
		argv[i + 1] = tool->args[i];
	for (int i = 0; tool->env[i] != NULL; i++) {
		const char *equals = strchr(tool->env[i], '=');
		char name[64];
		(void)snprintf(name, sizeof(name), "%.*s",
			       (int)strcspn(tool->env[i], "="), tool->env[i]);
		if (equals != NULL)
			(void)setenv(name, equals + 1, 1);
		else
			(void)unsetenv(name);
	}
	if (!tool_path(tool->name, path) || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(out, STDERR_FILENO) < 0)
		_exit(127);
	if (tool->prepare != NULL)
		tool->prepare();
	(void)execv(path, (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* Opens our end and the program's. */
static void tool_ends(const struct tool *tool, int out_ends[2])
{
	if (!tool->terminal) {
		ck_assert_int_eq(pipe2(out_ends, O_CLOEXEC), 0);
		return;
	}
	out_ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(out_ends[0], 0);
	ck_assert_int_eq(grantpt(out_ends[0]), 0);
	ck_assert_int_eq(unlockpt(out_ends[0]), 0);
	out_ends[1] = open(ptsname(out_ends[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(out_ends[1], 0);
}

void tool_start(struct tool *tool)
{
	int ends[2];
	tool_ends(tool, ends);
	tool->pid = fork();
	ck_assert_int_ge(tool->pid, 0);
	if (tool->pid == 0)
		tool_become(tool, ends[1]);
	ck_assert_int_eq(close(ends[1]), 0);
	tool->fd = ends[0];
	tool->output_bytes = 0;
	tool->output[0] = '\0';
}

/* False at the end. */
static bool tool_read(struct tool *tool)
{
	const size_t room = TOOL_OUTPUT_BYTES - 1 - tool->output_bytes;
	ck_assert_msg(room > 0, "%s says more than fits", tool->name);
	ssize_t count;
	do {
		count = read(tool->fd, tool->output + tool->output_bytes, room);
	} while (count < 0 && errno == EINTR);
	if (count <= 0) /* a terminal ends with EIO */
		return false;
	tool->output_bytes += (size_t)count;
	tool->output[tool->output_bytes] = '\0';
	return true;
}

void tool_await(struct tool *tool, const char *text)
{
	while (strstr(tool->output, text) == NULL)
		ck_assert_msg(tool_read(tool), "%s ended without '%s':\n%s",
			      tool->name, text, tool->output);
}

int tool_end(struct tool *tool)
{
	int status = 0;
	while (tool_read(tool)) {
	}
	ck_assert_int_eq(waitpid(tool->pid, &status, 0), tool->pid);
	ck_assert_int_eq(close(tool->fd), 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int tool_run(struct tool *tool)
{
	tool_start(tool);
	return tool_end(tool);
}
