/* tool.h - run the installed programs as a user would (black box) */
#ifndef WEIR_TEST_TOOL_H
#define WEIR_TEST_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
	TOOL_ARGS_MAX = 16,
	TOOL_OUTPUT_BYTES = 64 * 1024,
};

/**
 * struct tool - one run of a program
 * @args:     after the name; ends with NULL
 * @env:      "NAME=value", or "NAME" to unset it; ends with NULL
 * @prepare:  runs in the child before exec; may be NULL
 * @terminal: run it on a terminal instead of a pipe
 * @output:   stdout and stderr together, ends with NUL
 */
struct tool {
	const char *name;
	const char *args[TOOL_ARGS_MAX];
	const char *env[TOOL_ARGS_MAX];
	void (*prepare)(void);
	bool terminal;

	pid_t pid;
	int fd;
	size_t output_bytes;
	char output[TOOL_OUTPUT_BYTES];
};

/* False if the tools were not built; prints why. */
bool tool_is_there(const char *test, const char *name);

/* Starts it; the next two calls read the output. */
void tool_start(struct tool *tool);

/* Reads until @text is in the output; fails the test if it never is. */
void tool_await(struct tool *tool, const char *text);

/* Reads the rest and waits. Returns the exit status, or 128 + the signal. */
int tool_end(struct tool *tool);

/* Start, read, wait. */
int tool_run(struct tool *tool);

#endif
