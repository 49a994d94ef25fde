/* soft_copy.h - how a kernel in this process reads and writes lent memory
 *
 * What a ring has lent to its kernel is poisoned (annotate.h): the kernel alone
 * may pass. AddressSanitizer reports an access of that kernel to memory that is
 * free or was never allocated, as it does for any code.
 */
#ifndef WEIR_URING_SOFT_COPY_H
#define WEIR_URING_SOFT_COPY_H

#include "../annotate.h"

#include <string.h>

#ifdef WI_ASAN

/* Either side, or both, may be lent memory. */
void wi_soft_copy(void *to, const void *from, size_t byte_count);

#else

static inline void wi_soft_copy(void *to, const void *from, size_t byte_count)
{
	if (byte_count > 0) /* a send of nothing has no address */
		memcpy(to, from, byte_count);
}

#endif

#endif
