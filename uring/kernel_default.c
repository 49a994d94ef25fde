/* kernel_default.c - the kernel of a ring whose options name none
 *
 * A separate file, because a build for valgrind replaces it (test/rig).
 */
#include "kernel.h"

const struct weir_kernel *weir_kernel_default(void)
{
	return weir_kernel_linux();
}
