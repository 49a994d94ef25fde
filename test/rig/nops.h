/* nops.h - NOP entries, to check that none is lost or submitted twice */
#ifndef WEIR_TEST_NOPS_H
#define WEIR_TEST_NOPS_H

#include <stdint.h>

struct weir_ring;

/* Takes @count entries with the numbers from @first on. */
void wi_nops_take(struct weir_ring *ring, uint64_t first, uint32_t count);

/* Checks for first, first + 1, ...: NOPs complete in order, each exactly
 * once. */
void wi_nops_expect(struct weir_ring *ring, uint64_t first, uint32_t count);

#endif
