/* nops.h - entries that do nothing, to see that none is lost or doubled */
#ifndef WEIR_TEST_NOPS_H
#define WEIR_TEST_NOPS_H

#include <stdint.h>

struct weir_ring;

/* Takes @count entries; they bear the numbers from @first on. */
void wi_nops_take(struct weir_ring *ring, uint64_t first, uint32_t count);

/* They complete in order, so "exactly once each" is "first, first + 1, ...". */
void wi_nops_expect(struct weir_ring *ring, uint64_t first, uint32_t count);

#endif
