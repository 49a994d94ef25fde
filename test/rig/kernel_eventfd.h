/* kernel_eventfd.h - the real kernel, but a loop sleeps in poll(2)
 *
 * For valgrind, which runs one thread at a time and takes io_uring_enter(2)
 * for a call that does not sleep (3.19): with this one, programs with several
 * loops run under memcheck, helgrind and DRD. A build with -Dvalgrind=true has
 * it as its default, in tests and tools; no other build can choose it. It costs
 * two system calls more per wait and a turn without work now and then; there is
 * no min-wait, no registered ring and no wait region.
 */
#ifndef WEIR_TEST_KERNEL_EVENTFD_H
#define WEIR_TEST_KERNEL_EVENTFD_H

#include "uring/kernel.h"

/* Lives as long as the process; any thread. */
const struct weir_kernel *kernel_eventfd(void);

/* How often it has waited, in this process. */
uint64_t kernel_eventfd_waits(void);

#endif
