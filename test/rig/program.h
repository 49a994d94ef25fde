/* program.h - run weir-echo and weir-load as programs: start them, read their
 * output and their JSON
 *
 * They are found in $WEIR_TOOLS_DIR, or in the build directory. The calls do
 * not return errors: they fail the running test with a message.
 */
#ifndef WEIR_TEST_PROGRAM_H
#define WEIR_TEST_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	PROGRAM_TIMEOUT_S = 120, /* for one test case */
	PROGRAM_ARGS_MAX = 32,
	PROGRAM_TEXT_BYTES = 64 * 1024,
};

struct program {
	pid_t pid;
	int out; /* its stdout, and its stderr */
	int err;
	uint16_t port; /* where weir-echo serves */
};

struct outcome {
	int status; /* exit code; -signal */
	char out[PROGRAM_TEXT_BYTES];
	char err[PROGRAM_TEXT_BYTES];
};

/* NULL: this build has none. */
const char *tools_dir(void);

/* Opens a directory for the files of one test: echo.json, load.json and
 * trace. */
void scratch_open(void);
const char *scratch_path(const char *name);
void scratch_close(void);

/* @args end with NULL. The first, and any other, may be a program of weir or
 * one on the PATH. */
struct program program_start(const char *const *args);
/* The same; the new process calls @prepare before it becomes the program. */
struct program program_start_after(void (*prepare)(void),
				   const char *const *args);
void program_join(struct program *program, struct outcome *outcome);
void program_run(const char *const *args, struct outcome *outcome);

/* True if strace(1) is installed and may change the kernel's answers. */
bool program_may_inject(void);

void expect_status(const struct outcome *outcome, int want);
/* Checks for exactly one line, on stderr. */
void expect_one_line(const struct outcome *outcome);

/* Starts weir-echo and waits until it prints its address. */
struct program echo_program(const char *const *args);

#define ECHO_ARGS                                                              \
	"weir-echo", "--bind", "127.0.0.1", "--port", "0", "--stats-json",     \
		scratch_path("echo.json")

/* weir-load with @args, against @port. */
struct program load_program(uint16_t port, const char *const *args);

/* Reads a whole file, and checks that it is JSON. The caller frees it. */
char *json_read(const char *name);

/* The number after the last of @keys; each key is searched for after the one
 * before. Keys end with NULL. */
uint64_t json_number(const char *text, const char *const *keys);

#define NUMBER(text, ...)                                                      \
	json_number(text, (const char *const[]){ __VA_ARGS__, NULL })

#endif
