/* failing.h - a kernel whose n-th call fails, or all from the n-th on
 *
 *     calls 1 2 3 4 5 6 7 ...
 *               ^           fails_at 3: this one, or this and all later ones
 *
 * It counts only calls that can fail. A call that frees a resource cannot.
 */
#ifndef WEIR_TEST_FAILING_H
#define WEIR_TEST_FAILING_H

#include "kernel_wrap.h"

struct failing {
	struct kernel_wrap wrap; /* for the code under test; any thread */
	uint32_t fails_at;       /* counted from 1; 0: never */
	bool is_for_ever;
	bool spares_enter; /* do not count enters */
	int err;           /* negative */

	uint32_t calls; /* so far */
	uint32_t refused;
	int mappings; /* not unmapped yet */
};

/* @under: NULL for weir_kernel_default(). */
void failing_init(struct failing *failing, const struct weir_kernel *under,
		  uint32_t fails_at, bool is_for_ever, int err);

/* How many calls it has refused. */
uint32_t failing_refused(const struct failing *failing);

#endif
