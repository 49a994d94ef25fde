/* program.h - weir-echo and weir-load as whole programs: start them, read what
 * they say, look into their JSON
 *
 * They are looked for in $WEIR_TOOLS_DIR, or where the build has put them. The
 * calls fail the running test with a sentence rather than return an error.
 */
#ifndef WEIR_TEST_PROGRAM_H
#define WEIR_TEST_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	PROGRAM_TIMEOUT_S = 120, /* for a test case of them */
	PROGRAM_ARGS_MAX = 32,
	PROGRAM_TEXT_BYTES = 64 * 1024,
};

struct program {
	pid_t pid;
	int out; /* what it says on stdout, and on stderr */
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

/* A folder for the files of one test: echo.json, load.json and trace. */
void scratch_open(void);
const char *scratch_path(const char *name);
void scratch_close(void);

/* @args end with NULL; the first is a program of ours, or one on the PATH, and
 * so may any other be. */
struct program program_start(const char *const *args);
/* The same; the new process calls @prepare before it becomes the program. */
struct program program_start_after(void (*prepare)(void),
				   const char *const *args);
void program_join(struct program *program, struct outcome *outcome);
void program_run(const char *const *args, struct outcome *outcome);

/* Whether strace(1) is here and may alter what the kernel answers. */
bool program_may_inject(void);

void expect_status(const struct outcome *outcome, int want);
/* One line, and that on stderr. */
void expect_one_line(const struct outcome *outcome);

/* Starts weir-echo and waits until it says where it serves. */
struct program echo_program(const char *const *args);

#define ECHO_ARGS                                                              \
	"weir-echo", "--bind", "127.0.0.1", "--port", "0", "--stats-json",     \
		scratch_path("echo.json")

/* weir-load with @args, against @port. */
struct program load_program(uint16_t port, const char *const *args);

/* A whole file, found to be JSON. The caller frees it. */
char *json_read(const char *name);

/* The number behind the last of @keys, each looked for behind the one before;
 * keys end with NULL. */
uint64_t json_number(const char *text, const char *const *keys);

#define NUMBER(text, ...)                                                      \
	json_number(text, (const char *const[]){ __VA_ARGS__, NULL })

#endif
