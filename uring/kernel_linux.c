/* kernel_linux.c - the real kernel behind the seam
 *
 * Thin on purpose: a system call each, its errno as the result. The one
 * decision made here is how a listener is born.
 */
#include "kernel.h"

#include "abi.h"
#include "handover.h"
#include "kernel_priv.h"
#include "punt.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	BIND_TRIES = 40,
	BIND_PAUSE_NS = 5 * 1000 * 1000,
	NS_PER_S = 1000 * 1000 * 1000,
};

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
	/* A message without a ring to send it from. */
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

static int linux_close(void *ctx, int fd)
{
	(void)ctx;
	return linux_result(close(fd));
}

static int linux_sockopt(void *ctx, int fd, int level, int name,
			 const void *value, socklen_t value_bytes)
{
	(void)ctx;
	return linux_result(setsockopt(fd, level, name, value, value_bytes));
}

static int linux_shutdown(void *ctx, int fd, int how)
{
	(void)ctx;
	return linux_result(shutdown(fd, how));
}

/* The teardown of a ring is asynchronous: after a SIGKILL its port stays bound
 * for about 10 ms, and a restart must not fail on that. */
static void linux_pause(void *ctx, uint64_t ns)
{
	const struct timespec pause = {
		.tv_sec = (time_t)(ns / NS_PER_S),
		.tv_nsec = (long)(ns % NS_PER_S),
	};
	(void)ctx;
	(void)nanosleep(&pause, NULL); /* cut short: they look again */
}

static int linux_bind(int fd, const struct weir_listen_request *request)
{
	int err = 0;
	for (int i = 0; i < BIND_TRIES; i++) {
		if (bind(fd, (const struct sockaddr *)&request->address,
			 request->address_bytes) == 0)
			return 0;
		err = -errno;
		if (err != -EADDRINUSE)
			break;
		linux_pause(NULL, BIND_PAUSE_NS);
	}
	return err;
}

static int linux_listener_options(int fd,
				  const struct weir_listen_request *request)
{
	const int family = request->address.ss_family;
	const struct {
		int level;
		int name;
		bool is_wanted;
	} options[] = {
		{ SOL_SOCKET, SO_REUSEADDR, true },
		{ SOL_SOCKET, SO_REUSEPORT, request->joins_group },
		{ IPPROTO_TCP, TCP_NODELAY,
		  family == AF_INET || family == AF_INET6 },
		{ IPPROTO_IPV6, IPV6_V6ONLY,
		  family == AF_INET6 && request->is_v6_only },
	};
	const int on = 1;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].is_wanted &&
		    setsockopt(fd, options[i].level, options[i].name, &on,
			       sizeof(on)) < 0)
			return -errno;
	return 0;
}

static int linux_listener_fill(int fd, struct weir_listen_request *request)
{
	int err = linux_listener_options(fd, request);
	if (err < 0)
		return err;
	err = linux_bind(fd, request);
	if (err < 0)
		return err;
	/* Of two members that only set SO_REUSEADDR the second is refused
	 * here rather than in bind(2). */
	if (listen(fd, request->backlog) < 0)
		return -errno;
	request->address_bytes = sizeof(request->address);
	return linux_result(getsockname(fd,
					(struct sockaddr *)&request->address,
					&request->address_bytes));
}

static int linux_listen(void *ctx, struct weir_listen_request *request)
{
	(void)ctx;
	int fd = socket(request->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC,
			0);
	if (fd < 0)
		return -errno;

	int err = linux_listener_fill(fd, request);
	if (err < 0) {
		(void)close(fd); /* the first error is the one to report */
		return err;
	}
	return fd;
}

/* A socket that was shut down twice has both of its directions shut, and those
 * that it accepts would inherit that; an association with nobody clears it
 * (connect(2)). */
static int linux_listen_again(void *ctx, int fd, int backlog)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	(void)ctx;
	if (connect(fd, &nobody, sizeof(nobody)) < 0)
		return -errno;
	return linux_result(listen(fd, backlog));
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

/* Up to 256 bytes come whole, without an interruption: getrandom(2). */
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

/* What the two kernels share. */
#define LINUX_CALLS                                                            \
	.map = linux_map, .unmap = linux_unmap, .listen = linux_listen,        \
	.listen_again = linux_listen_again, .sockopt = linux_sockopt,          \
	.shutdown = linux_shutdown, .doorbell_open = linux_doorbell_open,      \
	.doorbell_ring = linux_doorbell_ring, .now_ns = linux_now_ns,          \
	.pause = linux_pause, .random = linux_random,                          \
	.punt_workers = linux_punt_workers

const struct weir_kernel *weir_kernel_linux(void)
{
	static const struct weir_kernel kernel = {
		.name = "linux",
		.setup = linux_setup,
		.enter = wi_linux_enter,
		.register_op = linux_register,
		.close = linux_close,
		LINUX_CALLS,
	};
	return &kernel;
}

const struct weir_kernel *weir_kernel_eventfd(void)
{
	static const struct weir_kernel kernel = {
		.name = "linux-eventfd",
		.setup = wi_eventfd_setup,
		.enter = wi_eventfd_enter,
		.register_op = wi_eventfd_register,
		.close = wi_eventfd_close,
		LINUX_CALLS,
	};
	return &kernel;
}

const struct weir_kernel *weir_kernel_default(void)
{
	const char *wait = getenv(WI_WAIT_VARIABLE);
	return wait != NULL && strcmp(wait, "eventfd") == 0
		       ? weir_kernel_eventfd()
		       : weir_kernel_linux();
}
