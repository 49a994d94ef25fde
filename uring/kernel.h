/* kernel.h - the one seam between weir and the kernel
 *
 * A loop calls the kernel only through these functions. So the kernel behind
 * them can be replaced: by a test that injects a fault, or by a simulation.
 * They are called once per pass or on control paths, never per operation.
 *
 * All return a negative errno on failure.
 */
#ifndef WEIR_URING_KERNEL_H
#define WEIR_URING_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct io_uring_params;

struct weir_kernel {
	const char *name;
	void *ctx; /* first argument of every call; not owned here */

	/* io_uring_setup(2), io_uring_enter(2), io_uring_register(2). With
	 * IORING_ENTER_EXT_ARG_REG, `arg` is an offset in bytes into the
	 * memory that the ring registered (MEM_REGION), not a pointer. */
	int (*setup)(void *ctx, uint32_t entry_count,
		     struct io_uring_params *params);
	int (*enter)(void *ctx, int ring_fd, uint32_t submit_count,
		     uint32_t min_complete, uint32_t flags, const void *arg,
		     size_t arg_bytes);
	int (*register_op)(void *ctx, int ring_fd, uint32_t opcode, void *arg,
			   uint32_t arg_count);

	/* Shared mapping of a ring; with fd -1, private zeroed memory that uses
	 * no RAM until it is touched. */
	int (*map)(void *ctx, size_t bytes, int fd, uint64_t offset,
		   void **out_memory);
	int (*unmap)(void *ctx, void *memory, size_t bytes);

	/* madvise(2) on memory that map() gave; @advice: MADV_DONTNEED, ... */
	int (*advise)(void *ctx, void *memory, size_t bytes, int advice);

	/* socket(2), setsockopt(2), bind(2), listen(2), getsockname(2): for a
	 * listener, which opens before its ring may be entered, and often on a
	 * thread without a ring. A ring can bind and listen since 6.11, and
	 * return the chosen port since 6.19. Sockets close on exec. */
	int (*socket)(void *ctx, int family, int type, int protocol);
	int (*sockopt)(void *ctx, int fd, int level, int name,
		       const void *value, socklen_t value_bytes);
	int (*bind)(void *ctx, int fd, const struct sockaddr *address,
		    socklen_t address_bytes);
	int (*listen)(void *ctx, int fd, int backlog);
	int (*sockname)(void *ctx, int fd, struct sockaddr *out_address,
			socklen_t *address_bytes);

	/* connect(2) to AF_UNSPEC: the socket forgets its peer and its
	 * shutdown. */
	int (*disconnect)(void *ctx, int fd);

	/* shutdown(2): the ring operation would need a kernel worker thread. */
	int (*shutdown)(void *ctx, int fd, int how);
	int (*close)(void *ctx, int fd);

	/* A descriptor that the ring can read 8 bytes from, and the call that
	 * makes it readable. That call is safe on any thread and in a signal
	 * handler. */
	int (*doorbell_open)(void *ctx);
	int (*doorbell_ring)(void *ctx, int fd);

	uint64_t (*now_ns)(void *ctx); /* monotonic */
	/* Sleep for at most @ns; a signal ends it. For a thread that has
	 * nothing to do until it retries a call that the kernel refused. */
	void (*pause)(void *ctx, uint64_t ns);

	/* futex(2). wait() sleeps while *@word is @value, until another thread
	 * of this process wakes the word's waiters. It may return without a
	 * wake: the caller reads the word again. wake() is safe in a signal
	 * handler, and @word may already be freed. */
	int (*wait)(void *ctx, const uint32_t *word, uint32_t value);
	int (*wake)(void *ctx, const uint32_t *word);

	/* Unpredictable bytes, at most 256. */
	int (*random)(void *ctx, void *out_bytes, size_t byte_count);

	/* Counts the kernel worker threads of the calling thread's rings (see
	 * punt.h). NULL: this kernel has none. */
	int (*punt_workers)(void *ctx);
};

/**
 * weir_kernel_linux() - the kernel that this process runs on
 *
 * Return: a constant that lives as long as the process. Thread: any.
 */
const struct weir_kernel *weir_kernel_linux(void);

/**
 * weir_kernel_default() - the kernel of a ring whose options name none
 *
 * Return: weir_kernel_linux(). Thread: any.
 */
const struct weir_kernel *weir_kernel_default(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
