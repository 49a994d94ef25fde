/* skips.h - which tests were skipped
 *
 *     the test's process: wi_skip_note() --shared memory--> main: counts
 *
 * A skip of kind WI_SKIP_HOST is one too many: the kernel or the machine lacks
 * something. One of kind WI_SKIP_ASKED is what was asked for: by a build
 * without the part, by WEIR_FORCE_OFF, or by the first tier.
 */
#ifndef WEIR_TEST_SKIPS_H
#define WEIR_TEST_SKIPS_H

#include <stdbool.h>
#include <stdint.h>

enum wi_skip_kind {
	WI_SKIP_HOST = 0,
	WI_SKIP_ASKED,
};

/* Before the first test: memory that all processes of tests share. */
void wi_skips_open(void);

/* Forget all: the next suite begins. */
void wi_skips_clear(void);

/* Prints a line, and notes it. @test may be Check's name of a function. */
void wi_skip_note(const char *test, const char *reason, enum wi_skip_kind kind);

/* How many skips were noted for @test; NULL: for all. */
uint32_t wi_skips_of(const char *test);

/* All that was noted was asked for; and there was something. */
bool wi_skips_were_asked(void);

#endif
