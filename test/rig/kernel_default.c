/* kernel_default.c - what a ring gets in a build for valgrind, in place of
 * uring/kernel_default.c
 */
#include "kernel_eventfd.h"

const struct weir_kernel *weir_kernel_default(void)
{
	return kernel_eventfd();
}
