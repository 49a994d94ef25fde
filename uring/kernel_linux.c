/* kernel_linux.c - struct weir_kernel on the real kernel
 *
 * Thin on purpose: one system call each, with its errno as the result.
 */
#include "kernel.h"

#include "abi.h"
#include "annotate.h"
#include "enter_priv.h"
#include "punt.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_S = 1000 * 1000 * 1000 };

static int linux_result(long result)
{
	return result < 0 ? -errno : (int)result;
}

static int linux_setup(void *ctx, uint32_t entry_count,
		       struct io_uring_params *params)
{
	(void)ctx;
	return linux_result(
		syscall(WEIR_NR_IO_URING_SETUP, entry_count, params));
}

int wi_linux_enter(void *ctx, int ring_fd, uint32_t submit_count,
		   uint32_t min_complete, uint32_t flags, const void *arg,
		   size_t arg_bytes)
{
	(void)ctx;
	return wi_enter(ring_fd, submit_count, min_complete, flags, arg,
			arg_bytes);
}

static int linux_register(void *ctx, int ring_fd, uint32_t opcode, void *arg,
			  uint32_t arg_count)
{
	(void)ctx;
	/* This call has no ring of its own. */
	if (opcode == IORING_REGISTER_SEND_MSG_RING && arg != NULL)
		wi_handover_release(((const struct io_uring_sqe *)arg)->fd);
	return linux_result(syscall(WEIR_NR_IO_URING_REGISTER, ring_fd, opcode,
				    arg, arg_count));
}

static int linux_map(void *ctx, size_t bytes, int fd, uint64_t offset,
		     void **out_memory)
{
	(void)ctx;
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
			   : MAP_SHARED | MAP_POPULATE;
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd,
			    (off_t)offset);
	if (memory == MAP_FAILED)
		return -errno;
	*out_memory = memory;
	return 0;
}

static int linux_unmap(void *ctx, void *memory, size_t bytes)
{
	(void)ctx;
	return linux_result(munmap(memory, bytes));
}

static int linux_advise(void *ctx, void *memory, size_t bytes, int advice)
{
	(void)ctx;
	return linux_result(madvise(memory, bytes, advice));
}

static int linux_socket(void *ctx, int family, int type, int protocol)
{
	(void)ctx;
	return linux_result(socket(family, type | SOCK_CLOEXEC, protocol));
}

static int linux_sockopt(void *ctx, int fd, int level, int name,
			 const void *value, socklen_t value_bytes)
{
	(void)ctx;
	return linux_result(setsockopt(fd, level, name, value, value_bytes));
}

static int linux_bind(void *ctx, int fd, const struct sockaddr *address,
		      socklen_t address_bytes)
{
	(void)ctx;
	return linux_result(bind(fd, address, address_bytes));
}

static int linux_listen(void *ctx, int fd, int backlog)
{
	(void)ctx;
	return linux_result(listen(fd, backlog));
}

static int linux_sockname(void *ctx, int fd, struct sockaddr *out_address,
			  socklen_t *address_bytes)
{
	(void)ctx;
	return linux_result(getsockname(fd, out_address, address_bytes));
}

static int linux_disconnect(void *ctx, int fd)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	(void)ctx;
	return linux_result(connect(fd, &nobody, sizeof(nobody)));
}

static int linux_shutdown(void *ctx, int fd, int how)
{
	(void)ctx;
	return linux_result(shutdown(fd, how));
}

static int linux_close(void *ctx, int fd)
{
	(void)ctx;
	return linux_result(close(fd));
}

static int linux_doorbell_open(void *ctx)
{
	(void)ctx;
	return linux_result(eventfd(0, EFD_CLOEXEC));
}

/* write(2) is async-signal-safe; -EAGAIN cannot occur before 2^64 - 2 rings. */
static int linux_doorbell_ring(void *ctx, int fd)
{
	(void)ctx;
	const uint64_t once = 1;
	wi_handover_release(fd);
	return write(fd, &once, sizeof(once)) < 0 ? -errno : 0;
}

static uint64_t linux_now_ns(void *ctx)
{
	(void)ctx;
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: vDSO */
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void linux_pause(void *ctx, uint64_t ns)
{
	const struct timespec pause = {
		.tv_sec = (time_t)(ns / NS_PER_S),
		.tv_nsec = (long)(ns % NS_PER_S),
	};
	(void)ctx;
	(void)nanosleep(&pause, NULL); /* cut short: the caller retries */
}

static int linux_wait(void *ctx, const uint32_t *word, uint32_t value)
{
	(void)ctx;
	return linux_result(syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value,
				    NULL, NULL, 0));
}

static int linux_wake(void *ctx, const uint32_t *word)
{
	(void)ctx;
	return linux_result(syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE,
				    INT_MAX, NULL, NULL, 0));
}

/* Up to 256 bytes come complete, without EINTR: getrandom(2). */
static int linux_random(void *ctx, void *out_bytes, size_t byte_count)
{
	(void)ctx;
	assert(byte_count <= 256);
	return getrandom(out_bytes, byte_count, 0) < 0 ? -errno : 0;
}

static int linux_punt_workers(void *ctx)
{
	(void)ctx;
	return weir_punt_workers((pid_t)syscall(SYS_gettid));
}

const struct weir_kernel *weir_kernel_linux(void)
{
	static const struct weir_kernel kernel = {
		.name = "linux",
		.setup = linux_setup,
		.enter = wi_linux_enter,
		.register_op = linux_register,
		.map = linux_map,
		.unmap = linux_unmap,
		.advise = linux_advise,
		.socket = linux_socket,
		.sockopt = linux_sockopt,
		.bind = linux_bind,
		.listen = linux_listen,
		.sockname = linux_sockname,
		.disconnect = linux_disconnect,
		.shutdown = linux_shutdown,
		.close = linux_close,
		.doorbell_open = linux_doorbell_open,
		.doorbell_ring = linux_doorbell_ring,
		.now_ns = linux_now_ns,
		.pause = linux_pause,
		.wait = linux_wait,
		.wake = linux_wake,
		.random = linux_random,
		.punt_workers = linux_punt_workers,
	};
	return &kernel;
}
