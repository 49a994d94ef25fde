/* kernel.h - the one seam between weir and the kernel
 *
 * Everything that a loop asks of the kernel goes through one of these
 * functions, so that another kernel can stand behind them: the real one, a
 * test that injects a fault, a simulation. They are called once per turn or
 * on control paths, never per operation.
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
	void *ctx; /* first argument of every call; owned by its maker */

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

	/* Shared mapping of a ring, or with fd -1 private zeroed memory that
	 * is address space only until it is touched. */
	int (*map)(void *ctx, size_t bytes, int fd, uint64_t offset,
		   void **out_memory);
	int (*unmap)(void *ctx, void *memory, size_t bytes);

	/* madvise(2) on memory that map() gave; @advice: MADV_DONTNEED, ... */
	int (*advise)(void *ctx, void *memory, size_t bytes, int advice);

	/* socket(2), setsockopt(2), bind(2), listen(2), getsockname(2): for a
	 * listener, which is made before its ring may be entered, and often by
	 * a thread without one. The ring itself binds and listens since 6.11,
	 * and tells the port that the kernel chose since 6.19. A socket is
	 * closed on exec. */
	int (*socket)(void *ctx, int family, int type, int protocol);
	int (*sockopt)(void *ctx, int fd, int level, int name,
		       const void *value, socklen_t value_bytes);
	int (*bind)(void *ctx, int fd, const struct sockaddr *address,
		    socklen_t address_bytes);
	int (*listen)(void *ctx, int fd, int backlog);
	int (*sockname)(void *ctx, int fd, struct sockaddr *out_address,
			socklen_t *address_bytes);

	/* connect(2) to AF_UNSPEC: the socket forgets a peer, and that it was
	 * shut down. */
	int (*disconnect)(void *ctx, int fd);

	/* shutdown(2): the ring's own operation costs a worker thread. */
	int (*shutdown)(void *ctx, int fd, int how);
	int (*close)(void *ctx, int fd);

	/* A descriptor that the ring can read 8 bytes from, and the call that
	 * makes it readable: from any thread, and from a signal handler. */
	int (*doorbell_open)(void *ctx);
	int (*doorbell_ring)(void *ctx, int fd);

	uint64_t (*now_ns)(void *ctx); /* monotonic */
	/* Sleep, at most so long; a signal ends it. For a thread that can do
	 * nothing else: a kernel that refuses a call is asked again later. */
	void (*pause)(void *ctx, uint64_t ns);

	/* futex(2): sleep while *@word is @value, until another thread of this
	 * process wakes those that wait on the word. Also ends without a wake;
	 * the caller looks again. wake() may be called from a signal handler,
	 * and @word need not be there any more. */
	int (*wait)(void *ctx, const uint32_t *word, uint32_t value);
	int (*wake)(void *ctx, const uint32_t *word);

	/* Bytes that no attacker can guess; at most 256. */
	int (*random)(void *ctx, void *out_bytes, size_t byte_count);

	/* Kernel worker threads that the calling thread's rings have caused
	 * (see punt.h). NULL: this kernel has none. */
	int (*punt_workers)(void *ctx);
};

/**
 * weir_kernel_linux() - the kernel that this process runs on
 *
 * Return: a constant that lives as long as the process. Thread: any.
 */
const struct weir_kernel *weir_kernel_linux(void);

/**
 * weir_kernel_default() - what a ring gets whose options name no kernel
 *
 * Return: weir_kernel_linux(). Thread: any.
 */
const struct weir_kernel *weir_kernel_default(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
