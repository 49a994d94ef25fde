/* wait_region.c - the arguments of a wait, in memory registered with the kernel
 *
 * One page, pinned at open. weir writes its first 64 bytes before each wait, so
 * the kernel need not copy the timeout from user memory. That saves about 60 ns
 * of a submit and wait.
 *
 * The kernel accepts one such region per ring, and only while it is disabled.
 * Source: io_uring_register(2), IORING_REGISTER_MEM_REGION, Linux 6.13.
 */
#include "ring_priv.h"

#include <unistd.h>

void wi_wait_region_open(struct weir_ring *ring)
{
	const struct weir_kernel *kernel = ring->kernel;
	const size_t byte_count = (size_t)sysconf(_SC_PAGESIZE);
	void *memory = NULL;
	if (kernel->map(kernel->ctx, byte_count, -1, 0, &memory) < 0)
		return;

	struct io_uring_region_desc region = {
		.user_addr = (uint64_t)(uintptr_t)memory,
		.size = byte_count,
		.flags = IORING_MEM_REGION_TYPE_USER,
	};
	struct io_uring_mem_region_reg reg = {
		.region_uptr = (uint64_t)(uintptr_t)&region,
		.flags = IORING_MEM_REGION_REG_WAIT_ARG,
	};
	/* A refusal (old kernel, no memory to lock) costs some nanoseconds. */
	if (weir_ring_register(ring, IORING_REGISTER_MEM_REGION, &reg, 1) < 0) {
		(void)kernel->unmap(kernel->ctx, memory, byte_count);
		return;
	}
	ring->wait_region = memory;
	ring->wait_region_bytes = byte_count;
}

void wi_wait_region_close(struct weir_ring *ring)
{
	if (ring->wait_region == NULL)
		return;
	(void)ring->kernel->unmap(ring->kernel->ctx, ring->wait_region,
				  ring->wait_region_bytes);
	ring->wait_region = NULL;
}
