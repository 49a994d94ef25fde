/* epoll_echo.c - the same framed echo over epoll, tuned: what weir is measured
 * against
 *
 * One thread, edge-triggered, a batch of events per epoll_wait, TCP_NODELAY. A
 * short read is taken as the end of the input, so a request costs one recv and
 * one send. (Level-triggered costs the same, within the noise of 5 runs of
 * each.) All whole frames of a read go back in one send, straight from the read
 * buffer, without a copy. An incomplete frame, or an answer that the socket
 * does not take, waits in the connection's own memory. Nothing is read while an
 * answer waits.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	EVENT_COUNT = 512,
	BUF_BYTES = 256 * 1024,
	PREFIX_BYTES = 4,
	SLACK_BYTES = 16 * 1024, /* so that a read can come back short */
	PAYLOAD_BYTES_MAX = 8 << 20,
};

/* held: [unsent answers][start of a frame]; NULL while there are none. */
struct conn {
	int fd;
	uint8_t *held;
	size_t held_bytes;
	size_t unsent_bytes;
	size_t capacity;
};

static volatile sig_atomic_t is_stopping;
static uint8_t shared[BUF_BYTES];
static int epoll_fd;
static uint64_t messages, waits, recvs, sends;

static void on_signal(int number)
{
	(void)number;
	is_stopping = 1;
}

static void conn_close(struct conn *conn)
{
	(void)close(conn->fd);
	free(conn->held);
	free(conn);
}

static bool conn_hold(struct conn *conn, const uint8_t *bytes, size_t count,
		      size_t capacity)
{
	if (capacity < count)
		capacity = count;
	uint8_t *held = malloc(capacity);
	if (held == NULL)
		return false;
	memcpy(held, bytes, count);
	free(conn->held); /* @bytes may be inside it */
	conn->held = held;
	conn->held_bytes = count;
	conn->capacity = capacity;
	return true;
}

/* Bytes of whole frames at the start; *out_need: of the next one, or 0. */
static ssize_t frames_find(const uint8_t *bytes, size_t count, size_t *out_need)
{
	size_t used = 0;
	*out_need = 0;
	while (count - used >= PREFIX_BYTES) {
		uint32_t length;
		memcpy(&length, bytes + used, sizeof(length));
		length = be32toh(length);
		if (length > PAYLOAD_BYTES_MAX)
			return -1;
		*out_need = PREFIX_BYTES + (size_t)length;
		if (count - used < *out_need)
			break;
		used += *out_need;
		*out_need = 0;
		messages++;
	}
	return (ssize_t)used;
}

/* Return: how many bytes the socket took; -1 if the connection has failed. */
static ssize_t conn_send(struct conn *conn, const uint8_t *bytes, size_t count)
{
	if (count == 0)
		return 0;
	sends++;
	ssize_t sent = send(conn->fd, bytes, count, MSG_NOSIGNAL);
	return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

static bool conn_flush(struct conn *conn)
{
	while (conn->unsent_bytes > 0) {
		ssize_t sent = conn_send(conn, conn->held, conn->unsent_bytes);
		if (sent <= 0)
			return sent == 0;
		conn->unsent_bytes -= (size_t)sent;
		conn->held_bytes -= (size_t)sent;
		memmove(conn->held, conn->held + sent, conn->held_bytes);
	}
	return true;
}

/* Answers the whole frames in @bytes, and keeps the rest. */
static bool conn_answer(struct conn *conn, const uint8_t *bytes, size_t count)
{
	size_t need;
	ssize_t whole = frames_find(bytes, count, &need);
	if (whole < 0)
		return false;
	ssize_t sent = conn_send(conn, bytes, (size_t)whole);
	if (sent < 0)
		return false;
	conn->unsent_bytes = (size_t)(whole - sent);
	count -= (size_t)sent;
	if (bytes == conn->held && sent == 0 && conn->capacity >= need) {
		conn->held_bytes = count;
		return true;
	}
	if (count > 0)
		return conn_hold(conn, bytes + sent, count,
				 conn->unsent_bytes + need + SLACK_BYTES);
	free(conn->held);
	conn->held = NULL;
	conn->held_bytes = 0;
	return true;
}

/* Return: whether the connection stays open. */
static bool conn_serve(struct conn *conn, uint32_t events)
{
	if (!conn_flush(conn))
		return false;
	while (conn->unsent_bytes == 0) {
		uint8_t *room = shared;
		size_t room_bytes = sizeof(shared);
		if (conn->held_bytes == conn->capacity && conn->held != NULL &&
		    !conn_hold(conn, conn->held, conn->held_bytes,
			       conn->capacity * 2))
			return false;
		if (conn->held != NULL) {
			room = conn->held + conn->held_bytes;
			room_bytes = conn->capacity - conn->held_bytes;
		}
		recvs++;
		ssize_t got = recv(conn->fd, room, room_bytes, 0);
		if (got <= 0)
			return got < 0 && (errno == EAGAIN || errno == EINTR);
		if (!conn_answer(conn, conn->held != NULL ? conn->held : shared,
				 conn->held_bytes + (size_t)got))
			return false;
		/* A short read emptied the socket: the next byte makes a new
		 * edge. A FIN that came with these bytes does not. */
		if ((size_t)got < room_bytes && (events & EPOLLRDHUP) == 0)
			return true;
	}
	return true;
}

static void accept_all(int listener_fd)
{
	const int yes = 1;
	for (;;) { /* epoll keeps conn: NOLINTNEXTLINE(*-unix.Malloc) */
		int fd = accept4(listener_fd, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		struct conn *conn = calloc(1, sizeof(*conn));
		if (conn == NULL) {
			(void)close(fd);
			return;
		}
		conn->fd = fd;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes,
				 sizeof(yes));
		struct epoll_event event = {
			.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
			.data.ptr = conn,
		};
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
			conn_close(conn);
	}
}

static int listener_open(uint16_t port)
{
	const int yes = 1;
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(port) };
	socklen_t addr_bytes = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, 4096) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &addr_bytes) < 0) {
		perror("epoll_echo: cannot listen");
		exit(EXIT_FAILURE);
	}
	(void)printf("{\"port\": %u}\n", ntohs(addr.sin_port));
	(void)fflush(stdout);
	return fd;
}

static double seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void print_end(void)
{
	struct rusage usage;
	(void)getrusage(RUSAGE_SELF, &usage);
	(void)printf("{\"tool\": \"epoll_echo\", \"messages\": %" PRIu64
		     ", \"enters\": %" PRIu64 ", \"waits\": %" PRIu64
		     ", \"recvs\": %" PRIu64 ", \"sends\": %" PRIu64
		     ", \"cpu_user_s\": %.6f, \"cpu_system_s\": %.6f}\n",
		     messages, waits + recvs + sends, waits, recvs, sends,
		     seconds_of(usage.ru_utime), seconds_of(usage.ru_stime));
}

static void serve(int listener_fd)
{
	static struct epoll_event events[EVENT_COUNT];
	while (!is_stopping) {
		waits++;
		int count = epoll_wait(epoll_fd, events, EVENT_COUNT, -1);
		for (int i = 0; i < count; i++) {
			struct conn *conn = events[i].data.ptr;
			if (conn == NULL)
				accept_all(listener_fd);
			else if (!conn_serve(conn, events[i].events))
				conn_close(conn);
		}
	}
}

int main(int argc, char **argv)
{
	uint16_t port = 7001;
	for (int i = 1; i < argc; i += 2) {
		int value = i + 1 < argc ? atoi(argv[i + 1]) : -1;
		cpu_set_t cpus;
		CPU_ZERO(&cpus);
		if (strcmp(argv[i], "--port") == 0 && value >= 0) {
			port = (uint16_t)value;
		} else if (strcmp(argv[i], "--cpu") == 0 && value >= 0) {
			CPU_SET(value, &cpus);
			(void)sched_setaffinity(0, sizeof(cpus), &cpus);
		} else {
			(void)fprintf(stderr, "usage: epoll_echo [--port N] "
					      "[--cpu N]; SIGTERM ends it\n");
			return 2;
		}
	}
	(void)sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_signal },
			NULL);
	serve(listener_open(port));
	print_end();
	return EXIT_SUCCESS;
}
