#include "sweep.h"

#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char trying[256];

void sweep_now_trying(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(trying, sizeof(trying), format, args);
	va_end(args);
}

const char *sweep_tried(void)
{
	return trying;
}

/* ---- the server ---------------------------------------------------------- */

void sweep_await(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	int ready;
	do {
		ready = poll(&wait, 1, SWEEP_PATIENCE_MS);
	} while (ready < 0 && errno == EINTR);
	ck_assert_msg(ready == 1, "%s: it hangs", trying);
}

struct program sweep_start(const char *const *args)
{
	return sweep_start_after(NULL, args);
}

struct program sweep_start_after(void (*prepare)(void), const char *const *args)
{
	static const char serves[] = "serves ";
	char line[256];
	size_t count = 0;
	struct program program = program_start_after(prepare, args);
	do {
		ck_assert_uint_lt(count + 1, sizeof(line));
		sweep_await(program.out);
		if (read(program.out, line + count, 1) != 1)
			return program;
	} while (line[count++] != '\n');
	line[count] = '\0';
	const char *at = strstr(line, serves);
	if (at != NULL)
		at = strchr(at, ':'); /* of an IPv4 address */
	ck_assert_msg(at != NULL, "%s: no port in: %s", trying, line);
	program.port = (uint16_t)strtoul(at + 1, NULL, 10);
	return program;
}

/* False at the end. */
static bool read_on(int fd, char *text, size_t *count)
{
	const size_t room = PROGRAM_TEXT_BYTES - 1 - *count;
	ck_assert_msg(room > 0, "%s: it says more than fits", trying);
	ssize_t more = read(fd, text + *count, room);
	if (more <= 0)
		return false;
	*count += (size_t)more;
	return true;
}

void sweep_end(struct program *program, struct outcome *outcome)
{
	struct pollfd waits[2] = { { .fd = program->out, .events = POLLIN },
				   { .fd = program->err, .events = POLLIN } };
	char *const texts[2] = { outcome->out, outcome->err };
	size_t counts[2] = { 0, 0 };
	int open_count = 2;
	int status = -1;

	while (open_count > 0) {
		int ready = poll(waits, 2, SWEEP_PATIENCE_MS);
		ck_assert_msg(ready != 0, "%s: it does not end", trying);
		for (int i = 0; i < 2; i++) {
			if (waits[i].fd < 0 || waits[i].revents == 0 ||
			    read_on(waits[i].fd, texts[i], &counts[i]))
				continue;
			peer_close(waits[i].fd);
			waits[i].fd = -1;
			open_count--;
		}
	}
	outcome->out[counts[0]] = '\0';
	outcome->err[counts[1]] = '\0';
	ck_assert_int_eq(waitpid(program->pid, &status, 0), program->pid);
	outcome->status =
		WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- the load ------------------------------------------------------------ */

enum {
	TALK_BYTES_MAX = 4096,
	TALK_STEP_BYTES = 311, /* request i has i + 1 times as many bytes */
};

/* False: the connection was lost. */
static bool talk_send(int fd, const uint8_t *bytes, size_t byte_count)
{
	while (byte_count > 0) {
		ssize_t count = send(fd, bytes, byte_count, MSG_NOSIGNAL);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0) {
			ck_assert_msg(errno != EAGAIN, "%s: no room", trying);
			return false;
		}
		bytes += count;
		byte_count -= (size_t)count;
	}
	return true;
}

static bool talk_recv(int fd, const uint8_t *want, size_t byte_count)
{
	uint8_t got[TALK_BYTES_MAX];
	while (byte_count > 0) {
		ssize_t count = recv(fd, got, byte_count, 0);
		if (count < 0 && errno == EINTR)
			continue;
		ck_assert_msg(count >= 0 || errno != EAGAIN,
			      "%s: no answer and no end", trying);
		if (count <= 0)
			return false;
		ck_assert_msg(memcmp(got, want, (size_t)count) == 0,
			      "%s: wrong bytes", trying);
		want += count;
		byte_count -= (size_t)count;
	}
	return true;
}

static bool talk_once(int fd, uint32_t index)
{
	uint8_t frame[TALK_BYTES_MAX];
	size_t bytes =
		peer_frame_put(frame, TALK_STEP_BYTES * (index + 1), index);
	ck_assert_uint_le(bytes, sizeof(frame));
	return talk_send(fd, frame, bytes) && talk_recv(fd, frame, bytes);
}

bool sweep_talk(uint16_t port)
{
	int fds[SWEEP_TALK_CONNS];
	bool is_whole = true;
	int opened = 0;

	while (opened < SWEEP_TALK_CONNS) {
		fds[opened] = peer_try_open(port);
		if (fds[opened] < 0) {
			ck_assert_msg(fds[opened] == -ECONNREFUSED ||
					      fds[opened] == -ECONNRESET,
				      "%s: connect: %s", trying,
				      strerror(-fds[opened]));
			is_whole = false;
			break;
		}
		opened++;
	}
	for (uint32_t i = 0; is_whole && i < SWEEP_TALK_REQUESTS; i++)
		for (int j = 0; is_whole && j < opened; j++)
			is_whole = talk_once(fds[j], i);
	while (opened > 0)
		peer_close(fds[--opened]);
	return is_whole;
}

/* ---- how it ended -------------------------------------------------------- */

static uint64_t causes_sum(const char *json)
{
	uint64_t sum = 0;
#define ADD_CAUSE(name, key, line)                                             \
	if (WEIR_CLOSE_##name != WEIR_CLOSE_NONE)                              \
		sum += TOTAL(json, "closes_by", key);
	WEIR_CLOSE_CAUSES(ADD_CAUSE)
#undef ADD_CAUSE
	return sum;
}

char *sweep_expect_clean(const struct outcome *outcome)
{
	ck_assert_msg(outcome->status == 0 && outcome->err[0] == '\0',
		      "%s: ended with %d; said: %s", trying, outcome->status,
		      outcome->err);
	char *json = json_read("echo.json");
	const uint64_t accepts = TOTAL(json, "net", "accepts");
	ck_assert_msg(TOTAL(json, "net", "closes") == accepts &&
			      causes_sum(json) == accepts &&
			      TOTAL(json, "gauges", "conns_open") == 0 &&
			      TOTAL(json, "gauges", "block_bytes_used") == 0,
		      "%s: something is still held: %s", trying, json);
	return json;
}

void sweep_expect_refusal(const struct outcome *outcome)
{
	const char *end = strchr(outcome->err, '\n');
	ck_assert_msg(outcome->status == 1 && end != NULL && end[1] == '\0' &&
			      strncmp(outcome->err, "weir-", 5) == 0,
		      "%s: ended with %d, and not with one line; said: %s",
		      trying, outcome->status, outcome->err);
}
