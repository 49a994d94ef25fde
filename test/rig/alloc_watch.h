/* alloc_watch.h - count calls of malloc and similar, and make them fail
 *
 * The linker wraps libc's functions (ld, --wrap) for all of uring_test and the
 * library in it. Counts are per thread.
 */
#ifndef WEIR_TEST_ALLOC_WATCH_H
#define WEIR_TEST_ALLOC_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/* Counts from 0. The @fail_at-th call from now fails, with @for_ever all later
 * ones too; 0: none. */
void alloc_watch_start(uint64_t fail_at, bool for_ever);

/* Return: calls since the start. No call fails from here on. */
uint64_t alloc_watch_stop(void);

#endif
