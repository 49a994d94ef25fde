#include "support.h"

#include "uring/ring_inline.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- skipping ------------------------------------------------------------ */

bool wi_is_forced_off(enum weir_rung_id id)
{
	weir_rung_set set = 0;
	struct weir_error error;
	ck_assert_msg(weir_rungs_forced_off(&set, &error) == 0, "%s",
		      error.text);
	return (set & weir_rung_bit(id)) != 0;
}

bool wi_is_deep(void)
{
	const char *deep = getenv("WEIR_DEEP");
	return deep != NULL && strcmp(deep, "0") != 0 && deep[0] != '\0';
}

bool wi_kernel_has_rings(void)
{
	struct weir_ring ring;
	struct weir_error error;
	if (weir_ring_open(&ring, NULL, &error) < 0) {
		wi_skip_note("all that need a ring", error.text, WI_SKIP_HOST);
		return false;
	}
	weir_ring_close(&ring);
	return true;
}

/* ---- sockets ------------------------------------------------------------- */

static void set_no_delay(int fd)
{
	const int on = 1;
	ck_assert_int_eq(
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
}

/* A socket bound to a port that the kernel chooses. If @is_held, other sockets
 * may listen on it. */
static int bound(bool is_held, struct sockaddr_in *out_address)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int on = is_held;
	socklen_t address_bytes = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	ck_assert_int_eq(
		getsockname(fd, (struct sockaddr *)&address, &address_bytes),
		0);
	*out_address = address;
	return fd;
}

int wi_listener(struct sockaddr_in *out_address)
{
	int fd = bound(false, out_address);
	ck_assert_int_eq(listen(fd, SOMAXCONN), 0);
	return fd;
}

int wi_port_hold(struct sockaddr_in *out_address)
{
	return bound(true, out_address);
}

int wi_connect(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
		connect(fd, (const struct sockaddr *)address, sizeof(*address)),
		0);
	set_no_delay(fd);
	return fd;
}

void wi_tcp_pair(int out_fds[2])
{
	struct sockaddr_in address;
	int listener = wi_listener(&address);
	out_fds[0] = wi_connect(&address);
	out_fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(out_fds[1], 0);
	set_no_delay(out_fds[1]);
	ck_assert_int_eq(close(listener), 0);
}

void wi_write_all(int fd, const void *bytes, size_t byte_count)
{
	size_t done = 0;
	while (done < byte_count) {
		ssize_t count = send(fd, (const char *)bytes + done,
				     byte_count - done, MSG_NOSIGNAL);
		if (count < 0 && errno == EINTR)
			continue;
		ck_assert_msg(count > 0, "write stopped after %zu of %zu: %s",
			      done, byte_count, strerror(errno));
		done += (size_t)count;
	}
}

void wi_read_all(int fd, void *bytes, size_t byte_count)
{
	size_t done = 0;
	while (done < byte_count) {
		ssize_t count =
			read(fd, (char *)bytes + done, byte_count - done);
		if (count < 0 && errno == EINTR)
			continue;
		ck_assert_msg(count > 0, "read stopped after %zu of %zu: %s",
			      done, byte_count,
			      count == 0 ? "end of stream" : strerror(errno));
		done += (size_t)count;
	}
}

void wi_reset_on_close(int fd)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	ck_assert_int_eq(
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)),
		0);
}

/* ---- guard pages --------------------------------------------------------- */

struct wi_guarded wi_guarded_take(size_t byte_count)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	size_t body_bytes =
		(byte_count + page_bytes - 1) / page_bytes * page_bytes;
	size_t map_bytes = body_bytes + page_bytes;
	uint8_t *map = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(mprotect(map + body_bytes, page_bytes, PROT_NONE), 0);
	return (struct wi_guarded){
		.bytes = map + body_bytes - byte_count,
		.byte_count = byte_count,
		.map = map,
		.map_bytes = map_bytes,
	};
}

struct wi_guarded wi_guarded_copy(const void *bytes, size_t byte_count)
{
	struct wi_guarded guarded = wi_guarded_take(byte_count);
	if (byte_count > 0)
		memcpy(guarded.bytes, bytes, byte_count);
	return guarded;
}

void wi_guarded_give(struct wi_guarded *guarded)
{
	ck_assert_int_eq(munmap(guarded->map, guarded->map_bytes), 0);
	*guarded = (struct wi_guarded){ .map = NULL };
}

/* ---- rings --------------------------------------------------------------- */

void wi_ring_start(struct weir_ring *ring, const struct weir_ring_opts *opts)
{
	struct weir_error error = { .code = 0 };
	int err = weir_ring_open(ring, opts, &error);
	ck_assert_msg(err == 0, "open: %s", error.text);
	err = weir_ring_enable(ring);
	ck_assert_msg(err == 0, "enable: %s", strerror(-err));
}

uint32_t wi_ring_reap(struct weir_ring *ring, struct io_uring_cqe *out_cqes,
		      uint32_t capacity)
{
	const struct weir_wait wait = {
		.want_count = 1,
		.timeout_ns = WEIR_TIMEOUT_NEVER,
	};
	int err = weir_ring_enter(ring, &wait);
	ck_assert_msg(err == 0, "enter: %s", strerror(-err));
	uint32_t count = weir_ring_ready(ring);
	if (count > capacity)
		count = capacity;
	for (uint32_t i = 0; i < count; i++)
		out_cqes[i] = *weir_ring_cqe(ring, i);
	weir_ring_reaped(ring, count);
	return count;
}

void wi_ring_collect(struct weir_ring *ring, struct io_uring_cqe *out_cqes,
		     uint32_t count)
{
	uint32_t done = 0;
	while (done < count)
		done += wi_ring_reap(ring, out_cqes + done, count - done);
}

struct io_uring_cqe wi_ring_next(struct weir_ring *ring)
{
	struct io_uring_cqe cqe;
	wi_ring_collect(ring, &cqe, 1);
	return cqe;
}

/* ---- processes ----------------------------------------------------------- */

struct child_report {
	int result;
	struct weir_error error;
};

/* Of --coverage: _exit(2) does not write the counters, so the code must call
 * it. */
extern void __gcov_dump(void) __attribute__((weak));

int wi_in_child(int (*body)(void *ctx, struct weir_error *error), void *ctx,
		struct weir_error *out_error)
{
	struct child_report report = { .result = 0 };
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		report.result = body(ctx, &report.error);
		ssize_t count = write(ends[1], &report, sizeof(report));
		if (__gcov_dump != NULL)
			__gcov_dump();
		_exit(count == (ssize_t)sizeof(report) ? 0 : 1);
	}
	ck_assert_int_eq(close(ends[1]), 0);
	wi_read_all(ends[0], &report, sizeof(report));
	ck_assert_int_eq(close(ends[0]), 0);

	int status = -1;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "the child ended with status %#x", (unsigned)status);
	*out_error = report.error;
	return report.result;
}
