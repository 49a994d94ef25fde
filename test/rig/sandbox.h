/* sandbox.h - a thread for which the kernel is another one
 *
 *     the test ---- sandbox_run() ........................ goes on, as it was
 *                      '--> thread: sandbox_deny(), sandbox_root() --> ends
 *
 * A filter of system calls and a root folder belong to a thread, not to its
 * process, and end with it. Unlike in a child, gcov counts what was reached.
 */
#ifndef WEIR_TEST_SANDBOX_H
#define WEIR_TEST_SANDBOX_H

#include "uring/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Runs @body in a thread, in which it must not assert, and returns what it
 * returns. */
int sandbox_run(int (*body)(void *ctx, struct weir_error *error), void *ctx,
		struct weir_error *out_error);

/* A system call that is answered with @err. */
struct sandbox_denial {
	int err;         /* negative */
	uint32_t number; /* SYS_... */
	bool has_arg;    /* only if the low word of this argument... */
	uint8_t arg_index;
	uint32_t arg; /* ...is this */
};

/* From here to the end of the calling thread. False: not allowed to. */
bool sandbox_deny(const struct sandbox_denial *denial);

/* @folder is the root of the calling thread. False: not allowed to. */
bool sandbox_root(const char *folder);

#endif
