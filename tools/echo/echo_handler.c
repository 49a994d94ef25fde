/* echo_handler.c - what weir-echo does on its loops
 *
 *     span:  [frame][frame][frame][fra         what on_data is shown
 *            |<----- run ----->|               one reserve, one copy
 *                              |<-- kept, shown again with what follows
 *
 * Not here: finding frames (proto/frame.c), queues (net/).
 */
#include "../lib/process.h"
#include "echo.h"

#include <weir/uring/barrier.h>

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	/* Answers are queued in runs of at most this size, or one frame. So
	 * when the queue is nearly full, most of a long span still goes in. */
	ECHO_RUN_BYTES_MAX = 256 * 1024,
	ECHO_LINES_PER_S = 10,
};

/* Whole frames at the start of a span, and what stopped the search. */
struct echo_run {
	size_t byte_count;
	uint64_t frame_count;
	int err; /* of the frame behind the run; 0: the run is cut by its limit
		    or by the end of the span */
	struct weir_frame frame;
};

static void echo_run_find(const struct weir_frame_format *format,
			  const uint8_t *bytes, size_t byte_count,
			  struct echo_run *out_run)
{
	struct weir_frame frame;
	size_t run_bytes = 0;
	uint64_t frame_count = 0;
	int err = 0;

	while (run_bytes < byte_count) {
		err = weir_frame_decode(format, bytes + run_bytes,
					byte_count - run_bytes, &frame);
		if (err < 0)
			break;
		if (run_bytes > 0 &&
		    run_bytes + frame.frame_bytes > ECHO_RUN_BYTES_MAX)
			break;
		run_bytes += frame.frame_bytes;
		frame_count++;
	}
	out_run->byte_count = run_bytes;
	out_run->frame_count = frame_count;
	out_run->err = err;
	if (err < 0)
		out_run->frame = frame;
}

/* False if there is no room now; on_writable and on_data will be called. */
static bool echo_bytes(struct weir_conn *conn, const uint8_t *bytes,
		       size_t byte_count)
{
	uint8_t *room = weir_conn_reserve(conn, byte_count);
	if (room == NULL)
		return false;
	memcpy(room, bytes, byte_count);
	weir_conn_commit(conn, byte_count);
	return true;
}

static void echo_count(struct echo *echo, const struct weir_conn *conn,
		       uint64_t message_count)
{
	uint32_t index = weir_loop_index(weir_conn_loop(conn));
	wi_counter_add(&echo->loops[index].messages, message_count);
}

static ssize_t echo_on_frames(struct weir_conn *conn, const uint8_t *bytes,
			      size_t byte_count, void *ctx)
{
	struct echo *echo = ctx;
	struct echo_run run;
	uint64_t answered = 0;
	size_t used = 0;

	do {
		echo_run_find(&echo->format, bytes + used, byte_count - used,
			      &run);
		if (run.byte_count > 0 &&
		    !echo_bytes(conn, bytes + used, run.byte_count)) {
			run.err = 0;
			break;
		}
		used += run.byte_count;
		answered += run.frame_count;
	} while (run.err == 0 && used < byte_count);
	echo_count(echo, conn, answered);

	if (run.err == -EAGAIN)
		weir_conn_need(conn, run.frame.need_bytes);
	else if (run.err < 0)
		return weir_conn_refuse(conn, run.err, run.frame.wire_length,
					run.frame.limit);
	return (ssize_t)used;
}

static ssize_t echo_on_bytes(struct weir_conn *conn, const uint8_t *bytes,
			     size_t byte_count, void *ctx)
{
	size_t used = 0;

	while (used < byte_count) {
		size_t left = byte_count - used;
		size_t piece =
			left < ECHO_RUN_BYTES_MAX ? left : ECHO_RUN_BYTES_MAX;
		if (!echo_bytes(conn, bytes + used, piece))
			break;
		used += piece;
	}
	if (used > 0)
		echo_count(ctx, conn, 1);
	return (ssize_t)used;
}

/* True at most ECHO_LINES_PER_S times a second, over all loops. */
static bool echo_may_print(void)
{
	static _Atomic uint64_t window; /* second << 8 | lines in it */
	uint64_t second = process_now_ns() / NS_PER_S;
	uint64_t seen = window;
	uint64_t next;

	do {
		next = seen >> 8 == second ? seen + 1 : (second << 8) + 1;
		if ((next & 0xff) > ECHO_LINES_PER_S)
			return false;
	} while (!atomic_compare_exchange_weak(&window, &seen, next));
	return true;
}

/* A loop does not wait for a reader of its log: if there is no room, the line
 * is left out. The lock keeps the room for the thread that has found it. */
static __attribute__((format(printf, 2, 3))) void echo_say(struct echo *echo,
							   const char *format,
							   ...)
{
	struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };
	va_list args;

	flockfile(stderr);
	if (poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0) {
		va_start(args, format);
		(void)vfprintf(stderr, format, args);
		va_end(args);
	} else {
		echo->unprinted++;
	}
	funlockfile(stderr);
}

static void echo_on_close(struct weir_conn *conn,
			  const struct weir_close_reason *reason, void *ctx)
{
	struct echo *echo = ctx;
	char text[WEIR_CLOSE_TEXT_BYTES];

	if (!echo_may_print()) {
		echo->unprinted++;
		return;
	}
	echo_say(echo, "weir-echo: loop %u, connection %u: %s\n",
		 weir_loop_index(weir_conn_loop(conn)), weir_conn_index(conn),
		 weir_close_reason_text(reason, text));
}

void echo_on_log(const char *line, void *ctx)
{
	echo_say(ctx, "weir-echo: %s\n", line);
}

struct weir_handlers echo_handlers(const struct echo *echo)
{
	return (struct weir_handlers){
		.on_data = echo->is_raw ? echo_on_bytes : echo_on_frames,
		.on_close = echo->is_verbose ? echo_on_close : NULL,
	};
}
