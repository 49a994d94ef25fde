/* sim_copy.h - how the simulated kernel reads and writes a process's memory
 *
 * What net/ has lent to it is poisoned (uring/region.h): the kernel alone may
 * pass. What was given up, or freed, or never was, it meets as any code does:
 * AddressSanitizer reports it.
 */
#ifndef WEIR_SIM_COPY_H
#define WEIR_SIM_COPY_H

#include <stddef.h>

/* Either side, or both, may be lent memory. */
void sim_copy(void *to, const void *from, size_t byte_count);

#endif
