/* soft_copy.h - how a kernel in this process reads and writes lent memory
 *
 * Memory that a ring has lent to its kernel is poisoned (annotate.h), and only
 * the kernel may access it. If the kernel accesses freed or invalid memory,
 * AddressSanitizer reports it as for any other code.
 */
#ifndef WEIR_URING_SOFT_COPY_H
#define WEIR_URING_SOFT_COPY_H

#include "../annotate.h"

#include <string.h>

#ifdef WI_ASAN

/* @to, @from or both may be lent memory. */
void wi_soft_copy(void *to, const void *from, size_t byte_count);

#else

static inline void wi_soft_copy(void *to, const void *from, size_t byte_count)
{
	if (byte_count > 0) /* an empty send has no address */
		memcpy(to, from, byte_count);
}

#endif

#endif
