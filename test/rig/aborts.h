/* aborts.h - does a misuse reach its assert?
 *
 * Caught here and not by Check's raise_signal, so it also works with CK_FORK=no
 * and keeps gcov's counters. The objects of the misuse stay as they were at the
 * assert: do not use them again.
 */
#ifndef WEIR_TEST_ABORTS_H
#define WEIR_TEST_ABORTS_H

#include <check.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>

static sigjmp_buf wi_abort_return;

static inline void wi_abort_caught(int signal)
{
	siglongjmp(wi_abort_return, signal);
}

/* Runs @misuse. Return: true if it ended in SIGABRT. */
static inline bool wi_aborts(void (*misuse)(void *ctx), void *ctx)
{
	struct sigaction action = { .sa_handler = wi_abort_caught };
	struct sigaction before;
	ck_assert_int_eq(sigaction(SIGABRT, &action, &before), 0);

	bool aborted = true;
	if (sigsetjmp(wi_abort_return, 1) == 0) {
		misuse(ctx);
		aborted = false;
	}
	ck_assert_int_eq(sigaction(SIGABRT, &before, NULL), 0);
	return aborted;
}

#endif
