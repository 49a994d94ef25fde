/* alloc_watch.h - malloc and its like, counted, and failing on demand
 *
 * The link puts them in front of libc's (ld, --wrap) for all of uring_test and
 * the library in it. Of one thread each: what others allocate is not meant.
 */
#ifndef WEIR_TEST_ALLOC_WATCH_H
#define WEIR_TEST_ALLOC_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/* Counts from 0. The @fail_at-th call from now fails, 0: none; with @for_ever
 * all after it too. */
void alloc_watch_start(uint64_t fail_at, bool for_ever);

/* Return: calls since the start. They fail no more. */
uint64_t alloc_watch_stop(void);

#endif
