/* kernel_default.c - what a ring gets whose options name no kernel
 *
 * A file of its own: a build for valgrind has another one (test/rig).
 */
#include "kernel.h"

const struct weir_kernel *weir_kernel_default(void)
{
	return weir_kernel_linux();
}
