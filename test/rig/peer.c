#include "peer.h"

#include "net/loop/loop_priv.h"

#include "net/server/listen_socket.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
	NARROW_BYTES = 4096,
	STUFFED_MS = 100, /* no room for this long: the server does not read */
};

static uint64_t now_s(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

/* ---- clients ------------------------------------------------------------- */

static void peer_option(int fd, int level, int option, const void *value,
			socklen_t value_bytes)
{
	ck_assert_int_eq(setsockopt(fd, level, option, value, value_bytes), 0);
}

static int peer_open_with(uint16_t port, int receive_bytes)
{
	const struct timeval limit = { .tv_sec = PEER_TIMEOUT_S };
	const int on = 1;
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_msg(fd >= 0, "socket: %s", strerror(errno));
	peer_option(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	peer_option(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	peer_option(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (receive_bytes > 0)
		peer_option(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes,
			    sizeof(receive_bytes));
	int err;
	do { /* an interrupted connect goes on: a second call waits for it */
		err = connect(fd, (const struct sockaddr *)&address,
			      sizeof(address));
	} while (err < 0 && errno == EINTR);
	if (err == 0)
		return fd;
	err = -errno;
	peer_close(fd);
	return err;
}

int peer_try_open(uint16_t port)
{
	return peer_open_with(port, 0);
}

static int peer_opened(int fd, uint16_t port)
{
	ck_assert_msg(fd >= 0, "connect to port %u: %s", (unsigned)port,
		      strerror(-fd));
	return fd;
}

int peer_open(uint16_t port)
{
	return peer_opened(peer_open_with(port, 0), port);
}

int peer_open_narrow(uint16_t port)
{
	return peer_opened(peer_open_with(port, NARROW_BYTES), port);
}

void peer_close(int fd)
{
	ck_assert_int_eq(close(fd), 0);
}

void peer_reset(int fd)
{
	wi_reset_on_close(fd);
	peer_close(fd);
}

void peer_half_close(int fd)
{
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
}

void peer_send(int fd, const void *bytes, size_t byte_count)
{
	wi_write_all(fd, bytes, byte_count);
}

void peer_recv(int fd, void *bytes, size_t byte_count)
{
	wi_read_all(fd, bytes, byte_count);
}

int peer_recv_rest(int fd, void *bytes, size_t capacity, size_t *out_count)
{
	size_t done = 0;
	for (;;) {
		ssize_t count =
			recv(fd, (uint8_t *)bytes + done, capacity - done, 0);
		if (count > 0) {
			done += (size_t)count;
			ck_assert_msg(done < capacity,
				      "more came than the %zu bytes expected",
				      capacity - 1);
			continue;
		}
		if (count < 0 && errno == EINTR)
			continue;
		*out_count = done;
		ck_assert_msg(count == 0 || errno != EAGAIN,
			      "no end of stream within %d s, after %zu bytes",
			      PEER_TIMEOUT_S, done);
		return count == 0 ? 0 : -errno;
	}
}

void peer_expect_end(int fd)
{
	uint8_t byte;
	size_t count = 0;
	int err = peer_recv_rest(fd, &byte, sizeof(byte), &count);
	ck_assert_msg(err == 0, "instead of FIN: %s", strerror(-err));
	ck_assert_uint_eq(count, 0);
}

static ssize_t peer_try(ssize_t count)
{
	if (count >= 0)
		return count;
	if (errno != EAGAIN && errno != EINTR)
		ck_abort_msg("exchange: %s", strerror(errno));
	return 0;
}

void peer_exchange(int fd, const uint8_t *out, size_t out_bytes, uint8_t *in,
		   size_t in_bytes)
{
	size_t sent = 0;
	size_t received = 0;
	while (sent < out_bytes || received < in_bytes) {
		struct pollfd wait = { .fd = fd };
		if (sent < out_bytes)
			wait.events |= POLLOUT;
		if (received < in_bytes)
			wait.events |= POLLIN;
		int ready = poll(&wait, 1, PEER_TIMEOUT_S * 1000);
		if (ready <= 0 && errno != EINTR)
			ck_abort_msg("stuck after %zu of %zu out, %zu of %zu "
				     "in",
				     sent, out_bytes, received, in_bytes);
		if ((wait.revents & POLLOUT) != 0)
			sent += (size_t)peer_try(
				send(fd, out + sent, out_bytes - sent,
				     MSG_DONTWAIT | MSG_NOSIGNAL));
		if ((wait.revents & (POLLIN | POLLHUP)) == 0)
			continue;
		ssize_t count = recv(fd, in + received, in_bytes - received,
				     MSG_DONTWAIT);
		if (count == 0)
			ck_abort_msg("end of stream after %zu of %zu", received,
				     in_bytes);
		received += (size_t)peer_try(count);
	}
}

/* The server had the chance to read, however slow it is: its loop has answered
 * another client meanwhile. */
static bool peer_has_room(int fd, int neighbour)
{
	enum { TRIPS = 10 };
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	if (poll(&wait, 1, STUFFED_MS) != 0)
		return true;
	if (neighbour < 0)
		return false;
	for (uint32_t i = 0; i < TRIPS; i++)
		peer_round_trip(neighbour, i);
	return poll(&wait, 1, STUFFED_MS) != 0;
}

size_t peer_stuff(int fd, int neighbour, const uint8_t *out, size_t out_bytes)
{
	size_t sent = 0;
	while (sent < out_bytes) {
		if (!peer_has_room(fd, neighbour))
			break;
		sent += (size_t)peer_try(send(fd, out + sent, out_bytes - sent,
					      MSG_DONTWAIT | MSG_NOSIGNAL));
	}
	return sent;
}

/* ---- frames -------------------------------------------------------------- */

static void payload_fill(uint8_t *bytes, size_t byte_count, uint32_t seed)
{
	/* An odd step, so that a lost or doubled byte shows. */
	uint32_t word = seed * 2654435761u + 1;
	for (size_t i = 0; i < byte_count; i++) {
		word = word * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(word >> 24);
	}
}

size_t peer_frame_put(uint8_t *out, size_t payload_bytes, uint32_t seed)
{
	out[0] = (uint8_t)(payload_bytes >> 24);
	out[1] = (uint8_t)(payload_bytes >> 16);
	out[2] = (uint8_t)(payload_bytes >> 8);
	out[3] = (uint8_t)payload_bytes;
	payload_fill(out + PEER_PREFIX_BYTES, payload_bytes, seed);
	return PEER_PREFIX_BYTES + payload_bytes;
}

static uint8_t *frame_make(size_t payload_bytes, uint32_t seed)
{
	uint8_t *frame = malloc(PEER_PREFIX_BYTES + payload_bytes);
	ck_assert_ptr_nonnull(frame);
	(void)peer_frame_put(frame, payload_bytes, seed);
	return frame;
}

void peer_send_frame(int fd, size_t payload_bytes, uint32_t seed)
{
	uint8_t *frame = frame_make(payload_bytes, seed);
	peer_send(fd, frame, PEER_PREFIX_BYTES + payload_bytes);
	free(frame);
}

void peer_expect_frame(int fd, size_t payload_bytes, uint32_t seed)
{
	size_t frame_bytes = PEER_PREFIX_BYTES + payload_bytes;
	uint8_t *want = frame_make(payload_bytes, seed);
	uint8_t *got = malloc(frame_bytes);
	ck_assert_ptr_nonnull(got);
	peer_recv(fd, got, frame_bytes);
	size_t same = 0; /* one assert per frame: Check writes each to a file */
	while (same < frame_bytes && got[same] == want[same])
		same++;
	ck_assert_msg(same == frame_bytes,
		      "frame %u of %zu bytes: byte %zu is %02x, not %02x", seed,
		      payload_bytes, same, same < frame_bytes ? got[same] : 0,
		      same < frame_bytes ? want[same] : 0);
	free(got);
	free(want);
}

void peer_round_trip(int fd, uint32_t seed)
{
	peer_send_frame(fd, 16, seed);
	peer_expect_frame(fd, 16, seed);
}

void peer_round_trips(const int *fds, size_t count, uint32_t seed)
{
	for (size_t i = 0; i < count; i++)
		peer_send_frame(fds[i], 16, seed + (uint32_t)i);
	for (size_t i = 0; i < count; i++)
		peer_expect_frame(fds[i], 16, seed + (uint32_t)i);
}

/* ---- this process -------------------------------------------------------- */

size_t peer_fd_count(void)
{
	size_t count = 0;
	DIR *dir = opendir("/proc/self/fd");
	ck_assert_ptr_nonnull(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
		count += entry->d_name[0] != '.';
	(void)closedir(dir);
	return count - 1; /* without that of the directory itself */
}

size_t peer_map_count(const char *name)
{
	char line[512];
	size_t count = 0;
	FILE *maps = fopen("/proc/self/maps", "re");
	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps) != NULL)
		count += strstr(line, name) != NULL;
	(void)fclose(maps); /* was only read */
	return count;
}

/* ---- servers ------------------------------------------------------------- */

const struct weir_service silent_service = { .name = "silent" };
const struct weir_listen silent_listen = { .service = &silent_service,
					   .address = "127.0.0.1" };

/* Call it with the lock held. */
static void echo_count(struct echo *echo, uint64_t *counter)
{
	(*counter)++;
	(void)pthread_cond_broadcast(&echo->moved);
}

static void echo_note(struct echo *echo, uint64_t *counter)
{
	(void)pthread_mutex_lock(&echo->lock);
	echo_count(echo, counter);
	(void)pthread_mutex_unlock(&echo->lock);
}

void echo_on_open(struct weir_conn *conn, void *ctx)
{
	struct echo *echo = ctx;
	(void)conn;
	echo_note(echo, &echo->opens);
}

ssize_t echo_on_data(struct weir_conn *conn, const uint8_t *bytes,
		     size_t byte_count, void *ctx)
{
	struct echo *echo = ctx;
	size_t used = 0;
	struct weir_frame frame;

	echo_note(echo, &echo->shown);
	for (;;) {
		int err = weir_frame_decode(&echo->format, bytes + used,
					    byte_count - used, &frame);
		if (err == -EAGAIN) {
			weir_conn_need(conn, frame.need_bytes);
			return (ssize_t)used;
		}
		if (err < 0)
			return weir_conn_refuse(conn, err, frame.wire_length,
						frame.limit);
		uint8_t *room = weir_conn_reserve(conn, frame.frame_bytes);
		if (room == NULL)
			return (ssize_t)used;
		memcpy(room, bytes + used, frame.frame_bytes);
		weir_conn_commit(conn, frame.frame_bytes);
		used += frame.frame_bytes;
		echo_note(echo, &echo->answers);
	}
}

void echo_on_writable(struct weir_conn *conn, void *ctx)
{
	struct echo *echo = ctx;
	(void)conn;
	echo_note(echo, &echo->drains);
}

void echo_on_close(struct weir_conn *conn,
		   const struct weir_close_reason *reason, void *ctx)
{
	struct echo *echo = ctx;
	(void)conn;
	(void)pthread_mutex_lock(&echo->lock);
	if (echo->closes < ECHO_CLOSES_MAX)
		echo->reasons[echo->closes] = *reason;
	echo_count(echo, &echo->closes);
	(void)pthread_mutex_unlock(&echo->lock);
}

static void echo_init(struct echo *echo, const struct weir_service *service)
{
	struct weir_handlers *all = &echo->service.handlers;
	echo->service = (struct weir_service){ .name = "echo" };
	if (service != NULL)
		echo->service = *service;
	echo->service.ctx = echo;
	if (all->on_open == NULL)
		all->on_open = echo_on_open;
	if (all->on_data == NULL)
		all->on_data = echo_on_data;
	if (all->on_writable == NULL)
		all->on_writable = echo_on_writable;
	if (all->on_close == NULL)
		all->on_close = echo_on_close;

	pthread_condattr_t clock;
	(void)pthread_condattr_init(&clock);
	(void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&echo->lock, NULL);
	(void)pthread_cond_init(&echo->moved, &clock);
	(void)pthread_condattr_destroy(&clock);
	echo->opens = 0;
	echo->drains = 0;
	echo->shown = 0;
	echo->answers = 0;
	echo->closes = 0;
}

static void echo_fini(struct echo *echo)
{
	(void)pthread_cond_destroy(&echo->moved);
	(void)pthread_mutex_destroy(&echo->lock);
}

void echo_start_as_asked(struct echo *echo, const struct weir_server_opts *opts,
			 const struct weir_service *service)
{
	struct weir_error error = { .code = 0 };
	struct weir_server_opts resolved = *opts;

	echo_init(echo, service);
	memset(echo->listens, 0, sizeof(echo->listens));
	for (uint32_t i = 0; i < opts->listen_count; i++)
		echo->listens[i] = opts->listen[i];
	for (uint32_t i = 0; i < WEIR_STEER_GROUPS_MAX; i++) {
		echo->listens[i].service = &echo->service;
		if (echo->listens[i].address == NULL)
			echo->listens[i].address = "127.0.0.1";
	}
	resolved.listen = echo->listens;
	resolved.listen_count = opts->listen_count + (opts->listen_count == 0);
	int err = weir_server_open(&echo->server, &resolved, &error);
	ck_assert_msg(err == 0, "server: %s", error.text);
}

void echo_start(struct echo *echo, const struct weir_server_opts *opts,
		const struct weir_service *service)
{
	struct weir_server_opts resolved = { .loop_count = 0 };

	if (opts != NULL)
		resolved = *opts;
	resolved.is_unpinned = true;
	if (resolved.loop_count == 0)
		resolved.loop_count = 1;
	echo_start_as_asked(echo, &resolved, service);
}

uint16_t echo_port(const struct echo *echo)
{
	return seen_port(echo->server);
}

uint64_t echo_seen(struct echo *echo, const uint64_t *counter)
{
	(void)pthread_mutex_lock(&echo->lock);
	uint64_t seen = *counter;
	(void)pthread_mutex_unlock(&echo->lock);
	return seen;
}

static void echo_wait(struct echo *echo, const uint64_t *counter,
		      uint64_t count, const char *what)
{
	struct timespec until;
	int err = 0;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PEER_TIMEOUT_S;
	(void)pthread_mutex_lock(&echo->lock);
	while (*counter < count && err == 0)
		err = pthread_cond_timedwait(&echo->moved, &echo->lock, &until);
	uint64_t seen = *counter;
	(void)pthread_mutex_unlock(&echo->lock);
	ck_assert_msg(seen >= count, "%llu of %llu %s within %d s",
		      (unsigned long long)seen, (unsigned long long)count, what,
		      PEER_TIMEOUT_S);
}

void echo_wait_opens(struct echo *echo, uint64_t count)
{
	echo_wait(echo, &echo->opens, count, "opens");
}

void echo_wait_closes(struct echo *echo, uint64_t count)
{
	echo_wait(echo, &echo->closes, count, "closes");
}

void echo_wait_drains(struct echo *echo, uint64_t count)
{
	echo_wait(echo, &echo->drains, count, "drains");
}

void echo_wait_answers(struct echo *echo, uint64_t count)
{
	echo_wait(echo, &echo->answers, count, "answers");
}

struct weir_close_reason echo_close_reason(struct echo *echo, uint64_t index)
{
	ck_assert_uint_lt(index, ECHO_CLOSES_MAX);
	echo_wait_closes(echo, index + 1);
	return echo->reasons[index]; /* not written again */
}

uint64_t echo_closes_by(struct echo *echo, enum weir_close_cause cause)
{
	uint64_t count = 0;
	ck_assert_uint_le(echo_seen(echo, &echo->closes), ECHO_CLOSES_MAX);
	(void)pthread_mutex_lock(&echo->lock);
	for (uint64_t i = 0; i < echo->closes; i++)
		count += echo->reasons[i].cause == cause;
	(void)pthread_mutex_unlock(&echo->lock);
	return count;
}

void echo_expect_cause(const struct weir_close_reason *reason,
		       enum weir_close_cause cause)
{
	char text[WEIR_CLOSE_TEXT_BYTES];
	ck_assert_msg(reason->cause == cause, "closed because %s, not %s",
		      weir_close_reason_text(reason, text),
		      weir_close_cause_name(cause));
}

void echo_stats(const struct echo *echo, struct weir_loop_stats *out_stats)
{
	*out_stats = seen_stats(echo->server);
}

void echo_wait_received(struct echo *echo, uint64_t byte_count)
{
	const uint64_t end_s = now_s() + PEER_TIMEOUT_S;
	struct weir_loop_stats stats;
	do {
		(void)sched_yield();
		ck_assert_msg(now_s() < end_s, "not received within %d s",
			      PEER_TIMEOUT_S);
		echo_stats(echo, &stats);
	} while (stats.recv_bytes < byte_count);
}

/* Every connection has ended, once, and holds no memory. */
static void echo_balance(const struct echo *echo,
			 const struct weir_loop_stats *stats)
{
	uint64_t by_cause = 0;
	for (int i = 0; i < WEIR_CLOSE_CAUSE_COUNT; i++)
		by_cause += stats->closes_by[i];
	ck_assert_uint_eq(by_cause, stats->closes);
	ck_assert_uint_eq(stats->closes_by[WEIR_CLOSE_NONE], 0);
	if (!echo->has_removed) {
		ck_assert_uint_eq(stats->closes, echo->closes);
		ck_assert_uint_eq(stats->accepts + stats->connects,
				  echo->opens);
	}
	/* Only an outbound connection may end without an open. */
	ck_assert_uint_ge(echo->closes,
			  echo->opens + stats->closes_by[WEIR_CLOSE_CONNECT]);
	ck_assert_uint_eq(stats->conns_open, 0);
	ck_assert_uint_eq(stats->block_bytes_used, 0);
	ck_assert_uint_eq(stats->accept_drops, 0);
	ck_assert_uint_eq(stats->ring.enters_failed, 0);
}

void echo_end_stopped(struct echo *echo, struct weir_loop_stats *out_stats)
{
	struct weir_loop_stats stats;
	int err = weir_server_join(echo->server);
	ck_assert_msg(err == 0, "a loop ended with %s", strerror(-err));
	echo_stats(echo, &stats);
	weir_server_close(echo->server);
	echo->server = NULL;
	echo_balance(echo, &stats);
	echo_fini(echo);
	if (out_stats != NULL)
		*out_stats = stats;
}

void echo_end(struct echo *echo, struct weir_loop_stats *out_stats)
{
	weir_server_stop(echo->server);
	echo_end_stopped(echo, out_stats);
}

/* ---- a loop of the test's own thread ------------------------------------- */

uint16_t local_listen(struct local *local, const struct weir_service *service)
{
	struct weir_error error = { .code = 0 };
	struct wi_listen_request request = {
		.backlog = (int)weir_loop_backlog(local->loop),
	};
	struct weir_addr addr;
	ck_assert_int_eq(weir_addr_parse("127.0.0.1", 0, &request.addr), 0);
	int fd = wi_listen_socket_open(wi_loop_kernel(local->loop), &request,
				       &addr);
	ck_assert_msg(fd >= 0, "listen: %s", strerror(-fd));
	int err = weir_loop_listen(local->loop, service, fd, &error);
	ck_assert_msg(err == 0, "listen: %s", error.text);
	return weir_addr_port(&addr);
}

static bool local_before(void *ctx, struct kernel_call *call)
{
	const struct local *local = ctx;
	if (call->id != CALL_NOW_NS || !local->is_time_still)
		return false;
	call->ns = local->start_ns + local->ahead_ns;
	return true;
}

static void local_after(void *ctx, struct kernel_call *call)
{
	const struct local *local = ctx;
	if (call->id == CALL_NOW_NS)
		call->ns += local->ahead_ns;
}

void local_start(struct local *local, const struct weir_loop_opts *opts,
		 const struct weir_service *service)
{
	struct weir_error error = { .code = 0 };
	const struct weir_kernel *real = weir_kernel_default();
	struct weir_loop_opts resolved = { .conn_count = 0 };
	echo_init(&local->echo, service);
	if (opts != NULL)
		resolved = *opts;
	kernel_wrap_init(&local->wrap, real, local_before, local_after, local);
	if (resolved.ring.kernel == NULL)
		resolved.ring.kernel = &local->wrap.kernel;

	local->ahead_ns = 0;
	local->start_ns = real->now_ns(real->ctx);
	local->echo.server = NULL;
	int err = weir_loop_open(&local->loop, &resolved, &error);
	ck_assert_msg(err == 0, "loop: %s", error.text);
	local->port = local_listen(local, &local->echo.service);
	err = weir_loop_enable(local->loop);
	ck_assert_msg(err == 0, "enable: %s", strerror(-err));
}

void local_turn_until(struct local *local, const uint64_t *counter,
		      uint64_t count)
{
	const uint64_t end_s = now_s() + PEER_TIMEOUT_S;
	while (*counter < count) {
		int result = weir_loop_turn(local->loop, 100 * 1000 * 1000);
		ck_assert_msg(result == 1, "the loop ended with %d", result);
		ck_assert_msg(now_s() < end_s, "%llu of %llu within %d s",
			      (unsigned long long)*counter,
			      (unsigned long long)count, PEER_TIMEOUT_S);
	}
}

void local_turns(struct local *local, int count)
{
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(weir_loop_turn(local->loop, 0), 1);
}

void local_end(struct local *local, struct weir_loop_stats *out_stats)
{
	struct weir_loop_stats stats;
	weir_loop_stop(local->loop);
	int err = weir_loop_run(local->loop);
	ck_assert_msg(err == 0, "the loop ended with %s", strerror(-err));
	weir_loop_stats(local->loop, &stats);
	weir_loop_close(local->loop);
	local->loop = NULL;
	echo_balance(&local->echo, &stats);
	echo_fini(&local->echo);
	if (out_stats != NULL)
		*out_stats = stats;
}
