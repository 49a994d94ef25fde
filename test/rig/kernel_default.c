/* kernel_default.c - the default kernel in a build for valgrind; replaces
 * uring/kernel_default.c
 */
#include "kernel_eventfd.h"

const struct weir_kernel *weir_kernel_default(void)
{
	return kernel_eventfd();
}
