/* aborts.h - whether a misuse meets its assert
 *
 * Caught here rather than by Check's raise_signal, so that it also runs with
 * CK_FORK=no and so that gcov's counters survive. What the misuse had begun is
 * left as it was at the assert: throw it away.
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

/* Runs @misuse. Return: whether it ended in SIGABRT. */
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
