/* sandbox.h - a thread with a restricted kernel
 *
 *     the test ---- sandbox_run() ........................ goes on, as it was
 *                      '--> thread: sandbox_deny(), sandbox_root() --> ends
 *
 * A filter of system calls and a root directory belong to a thread, not to its
 * process, and end with it. Unlike a child process, a thread keeps gcov's
 * counters.
 */
#ifndef WEIR_TEST_SANDBOX_H
#define WEIR_TEST_SANDBOX_H

#include "uring/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Runs @body in a thread and returns its result. @body must not assert. */
int sandbox_run(int (*body)(void *ctx, struct weir_error *error), void *ctx,
		struct weir_error *out_error);

/* A system call that fails with @err. */
struct sandbox_denial {
	int err;         /* negative */
	uint32_t number; /* SYS_... */
	bool has_arg;    /* only if the low word of this argument... */
	uint8_t arg_index;
	uint32_t arg; /* ...is this */
};

/* Holds until the calling thread ends. False: not permitted. */
bool sandbox_deny(const struct sandbox_denial *denial);

/* Makes @folder the root of the calling thread. False: not permitted. */
bool sandbox_root(const char *folder);

#endif
