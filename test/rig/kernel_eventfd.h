/* kernel_eventfd.h - the real kernel, but a loop sleeps in poll(2)
 *
 * For valgrind, which runs one thread at a time and assumes that
 * io_uring_enter(2) does not sleep (3.19). With this kernel, programs with
 * several loops run under memcheck, helgrind and DRD. It is the default of a
 * build with -Dvalgrind=true, in tests and tools; no other build has it. It
 * costs two more system calls per wait and an occasional pass without work. It
 * has no min-wait, no registered ring and no wait region.
 */
#ifndef WEIR_TEST_KERNEL_EVENTFD_H
#define WEIR_TEST_KERNEL_EVENTFD_H

#include "uring/kernel.h"

/* Lives as long as the process; any thread. */
const struct weir_kernel *kernel_eventfd(void);

/* The number of waits in this process. */
uint64_t kernel_eventfd_waits(void);

#endif
