/* skips.h - which tests were skipped
 *
 *     the test's process: wi_skip_note() --shared memory--> main: counts
 *
 * A skip of kind WI_SKIP_HOST is unwanted: the kernel or the machine lacks
 * something. A skip of kind WI_SKIP_ASKED was requested: by a build without the
 * part, by WEIR_FORCE_OFF, or by the first tier.
 */
#ifndef WEIR_TEST_SKIPS_H
#define WEIR_TEST_SKIPS_H

#include <stdbool.h>
#include <stdint.h>

enum wi_skip_kind {
	WI_SKIP_HOST = 0,
	WI_SKIP_ASKED,
};

/* Call it before the first test: it maps memory that all test processes
 * share. */
void wi_skips_open(void);

/* Clears all notes for the next suite. */
void wi_skips_clear(void);

/* Prints a line, and records the skip. @test may be Check's function name. */
void wi_skip_note(const char *test, const char *reason, enum wi_skip_kind kind);

/* How many skips were noted for @test; NULL: for all. */
uint32_t wi_skips_of(const char *test);

/* True if there were skips, and all of them were requested. */
bool wi_skips_were_asked(void);

#endif
