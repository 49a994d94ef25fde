/* kernel_eventfd.c - the real kernel, but no thread sleeps in io_uring_enter(2)
 *
 *     enter(submit n, wait for one)
 *       = io_uring_enter(n, 0) -> poll(eventfd) -> io_uring_enter(0, 0)
 *
 * For valgrind, which runs one thread at a time. Version 3.19 does not know
 * that io_uring_enter(2) sleeps and holds its lock over the call, so one idle
 * loop would stop all other threads. It handles poll(2) correctly. The ring
 * signals the descriptor when it posts a completion, and when it queues
 * deferred work (IORING_SETUP_DEFER_TASKRUN).
 *
 * A signal for a completion that was already reaped costs one pass without
 * work. A signal can be lost: if a read of an eventfd completes while another
 * thread writes to that eventfd, the ring signals once and never again (seen on
 * 6.18: the kernel defers a signal inside a signal, and loses the second one).
 * So no sleep is longer than SLICE_NS.
 */
#include "kernel_eventfd.h"

#include "uring/abi.h"
#include "uring/barrier.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	RINGS_MAX = 4096, /* the highest descriptor of a ring, plus one */
	SLICE_NS = 10 * 1000 * 1000,
};

/* For each ring, the descriptor that it signals; 0: none. */
static uint32_t event_fds[RINGS_MAX];
static uint64_t wait_count;

static const struct weir_kernel *real(void)
{
	return weir_kernel_linux();
}

static int eventfd_watch(int ring_fd)
{
	if (ring_fd >= RINGS_MAX)
		return -EMFILE;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	const int err = real()->register_op(real()->ctx, ring_fd,
					    IORING_REGISTER_EVENTFD, &fd, 1);
	if (err < 0) {
		(void)close(fd); /* the first error is the one to report */
		return err;
	}
	wi_store_relaxed_u32(&event_fds[ring_fd], (uint32_t)fd);
	return 0;
}

static int eventfd_setup(void *ctx, uint32_t entry_count,
			 struct io_uring_params *params)
{
	const int ring_fd = real()->setup(real()->ctx, entry_count, params);
	(void)ctx;
	if (ring_fd < 0)
		return ring_fd;
	const int err = eventfd_watch(ring_fd);
	if (err < 0) {
		(void)close(ring_fd);
		return err;
	}
	/* poll(2) has no min-wait. */
	params->features &= ~(uint32_t)IORING_FEAT_MIN_TIMEOUT;
	return ring_fd;
}

/* How long the call may sleep; false: without a limit. */
static bool eventfd_timeout(uint32_t flags, const void *arg,
			    struct timespec *out_timeout)
{
	if ((flags & IORING_ENTER_EXT_ARG) == 0)
		return false;
	const struct io_uring_getevents_arg *ext = arg;
	assert(ext != NULL && ext->ts != 0); /* no region, and see ring.c */
	const uintptr_t address = (uintptr_t)ext->ts; /* 64 bits in the ABI */
	const struct weir_kernel_timespec *ts;
	memcpy(&ts, &address, sizeof(address));
	*out_timeout = (struct timespec){ .tv_sec = ts->tv_sec,
					  .tv_nsec = (long)ts->tv_nsec };
	return true;
}

/* Return: 0: look; -ETIME; -EINTR. */
static int eventfd_wait(int event_fd, const struct timespec *timeout)
{
	static const struct timespec slice = { .tv_nsec = SLICE_NS };
	const bool is_short = timeout != NULL && timeout->tv_sec == 0 &&
			      timeout->tv_nsec <= SLICE_NS;
	struct pollfd poll_fd = { .fd = event_fd, .events = POLLIN };
	uint64_t signals;
	(void)wi_add_fetch_relaxed_u64(&wait_count, 1);
	int ready = ppoll(&poll_fd, 1, is_short ? timeout : &slice, NULL);
	if (ready < 0)
		return -errno;
	if (ready == 0)
		return is_short ? -ETIME : 0;
	/* Clear it before the next enter: later completions signal again. */
	(void)!read(event_fd, &signals, sizeof(signals));
	return 0;
}

static int eventfd_enter(void *ctx, int ring_fd, uint32_t submit_count,
			 uint32_t min_complete, uint32_t flags, const void *arg,
			 size_t arg_bytes)
{
	struct timespec timeout;
	(void)ctx;
	(void)arg_bytes;
	assert(ring_fd < RINGS_MAX); /* setup has checked it */
	const bool has_timeout = eventfd_timeout(flags, arg, &timeout);
	flags &= ~(uint32_t)IORING_ENTER_EXT_ARG;
	const int submitted = real()->enter(real()->ctx, ring_fd, submit_count,
					    0, flags, NULL, 0);
	/* After a short submit it does not wait, as in the kernel. */
	if (submitted < 0 || (uint32_t)submitted < submit_count ||
	    min_complete == 0)
		return submitted;
	const uint32_t event_fd = wi_load_relaxed_u32(&event_fds[ring_fd]);
	int waited = eventfd_wait((int)event_fd, has_timeout ? &timeout : NULL);
	if (waited == 0)
		waited = real()->enter(real()->ctx, ring_fd, 0, 0, flags, NULL,
				       0);
	return submitted > 0 ? submitted : waited;
}

/* An index does not identify the ring here, and a wait region hides the
 * timeout. So this kernel refuses both; uring/ works without them. */
static int eventfd_register(void *ctx, int ring_fd, uint32_t opcode, void *arg,
			    uint32_t arg_count)
{
	(void)ctx;
	if (opcode == IORING_REGISTER_RING_FDS ||
	    opcode == IORING_REGISTER_MEM_REGION)
		return -EINVAL;
	return real()->register_op(real()->ctx, ring_fd, opcode, arg,
				   arg_count);
}

static int eventfd_close(void *ctx, int fd)
{
	(void)ctx;
	if (fd < RINGS_MAX) {
		const uint32_t event_fd = wi_load_relaxed_u32(&event_fds[fd]);
		wi_store_relaxed_u32(&event_fds[fd], 0);
		if (event_fd != 0)
			(void)close((int)event_fd);
	}
	return real()->close(real()->ctx, fd);
}

static struct weir_kernel kernel;

static void kernel_init(void)
{
	kernel = *real(); /* for all other calls; it ignores ctx */
	kernel.name = "linux-eventfd";
	kernel.setup = eventfd_setup;
	kernel.enter = eventfd_enter;
	kernel.register_op = eventfd_register;
	kernel.close = eventfd_close;
}

const struct weir_kernel *kernel_eventfd(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, kernel_init);
	return &kernel;
}

uint64_t kernel_eventfd_waits(void)
{
	return wi_load_relaxed_u64(&wait_count);
}
