/* load_conn.c - one connection of weir-load: send, check, close
 *
 * Every byte is compared with what was sent, in order, as it arrives, in pieces
 * of any size. Nothing is kept, so a 1 MiB answer takes no memory.
 *
 * Not here: when to connect and when to stop (load_thread.c), what follows a
 * close (load_churn.c).
 */
#include "load_conn.h"

#include "../lib/process.h"
#include "load_churn.h"

#include <weir/uring/barrier.h>

#include <stdio.h>
#include <string.h>

static uint64_t load_conn_outstanding(const struct load_conn *conn)
{
	return conn->sent - conn->answered;
}

/* Whether this connection has sent all that it is to send. */
static bool load_conn_has_sent_all(const struct load_conn *conn)
{
	const struct load_plan *plan = conn->thread->plan;
	return conn->sent == plan->request_count ||
	       conn->sent - conn->first == plan->life_count;
}

/* Whether the time is over; with --churn a connection that has begun still gets
 * its first answer. */
static bool load_conn_is_over(const struct load_conn *conn)
{
	const struct load_thread *thread = conn->thread;
	return thread->phase == LOAD_FINISHING &&
	       (!thread->plan->is_churn || conn->sent > conn->first);
}

static bool load_conn_may_send(const struct load_conn *conn)
{
	return conn->is_open && !conn->is_given_up &&
	       conn->thread->phase != LOAD_PREPARING &&
	       !load_conn_is_over(conn);
}

bool load_conn_is_done(const struct load_conn *conn)
{
	return load_conn_outstanding(conn) == 0 &&
	       (load_conn_is_over(conn) || load_conn_has_sent_all(conn));
}

int load_conn_connect(struct load_conn *conn)
{
	struct load_thread *thread = conn->thread;
	const struct load_plan *plan = thread->plan;
	/* Rotates, so that even a few places use all addresses. */
	const uint64_t host = (conn->id + conn->life_count) % plan->host_count;

	conn->life_count++;
	conn->connect_ns = process_now_ns();
	conn->sent = conn->answered;
	conn->first = conn->sent;
	conn->answer_offset = 0;
	conn->is_given_up = false;
	conn->is_timed_out = false;
	int err = weir_loop_connect(thread->loop, &thread->service,
				    &plan->servers[host], conn, &conn->conn);
	if (err < 0)
		return err;
	thread->connecting_count++;
	thread->live_count++;
	return 0;
}

void load_conn_close_if_done(struct load_conn *conn)
{
	if (conn->is_open && !conn->is_given_up && load_conn_is_done(conn))
		weir_conn_close(conn->conn);
}

/* False: no room now. The next answer or on_writable tries again. */
static bool load_conn_send_one(struct load_conn *conn, uint64_t now_ns)
{
	struct load_thread *thread = conn->thread;
	const struct load_plan *plan = thread->plan;
	struct pattern_message message;

	pattern_message(&plan->pattern, conn->id, conn->sent, &message);
	size_t wire_bytes = pattern_wire_bytes(&message);
	size_t queued_bytes = weir_conn_queued_bytes(conn->conn);
	if (queued_bytes > 0 &&
	    queued_bytes + wire_bytes > plan->queue_bytes_max)
		return false;
	uint8_t *room = weir_conn_reserve(conn->conn, wire_bytes);
	if (room == NULL)
		return false;
	pattern_write(&message, room);
	weir_conn_commit(conn->conn, wire_bytes);
	conn->sent_ns[conn->sent % plan->depth] = now_ns;
	conn->sent++;
	wi_counter_add(&thread->counts.sent_bytes, message.payload_bytes);
	return true;
}

void load_conn_send(struct load_conn *conn, uint64_t now_ns)
{
	const struct load_plan *plan = conn->thread->plan;

	if (!load_conn_may_send(conn))
		return;
	while (load_conn_outstanding(conn) < plan->depth &&
	       !load_conn_has_sent_all(conn))
		if (!load_conn_send_one(conn, now_ns))
			break;
}

static void load_conn_give_up(struct load_conn *conn)
{
	conn->is_given_up = true;
	weir_conn_abort(conn->conn);
}

static void load_conn_mismatch(struct load_conn *conn, uint8_t got)
{
	wi_counter_add(&conn->thread->counts.mismatches, 1);
	if (load_conn_outstanding(conn) == 0)
		load_thread_fail(conn->thread,
				 "connection %llu: a byte came after the last "
				 "answer, 0x%02x",
				 (unsigned long long)conn->id, got);
	else
		load_thread_fail(
			conn->thread,
			"connection %llu, message %llu: byte %zu of %zu "
			"(%zu of them length) is 0x%02x, not what was sent",
			(unsigned long long)conn->id,
			(unsigned long long)conn->answered, conn->answer_offset,
			pattern_wire_bytes(&conn->answer),
			conn->answer.prefix_bytes, got);
	load_conn_give_up(conn);
}

static void load_conn_answered(struct load_conn *conn, uint64_t now_ns)
{
	struct load_thread *thread = conn->thread;
	uint64_t slot = conn->answered % thread->plan->depth;

	hist_record(&thread->latency, now_ns - conn->sent_ns[slot]);
	if (thread->plan->is_churn && conn->answered == conn->first)
		hist_record(&thread->first_answer, now_ns - conn->connect_ns);
	wi_counter_add(&thread->counts.messages, 1);
	wi_counter_add(&thread->counts.received_bytes,
		       conn->answer.payload_bytes);
	thread->end_ns = now_ns;
	conn->answered++;
	conn->answer_offset = 0;
}

/* False at the first wrong byte; the connection is then aborted. */
static bool load_conn_check(struct load_conn *conn, const uint8_t *bytes,
			    size_t byte_count, uint64_t now_ns)
{
	const struct pattern *pattern = &conn->thread->plan->pattern;
	size_t used = 0;

	while (used < byte_count) {
		if (load_conn_outstanding(conn) == 0) {
			load_conn_mismatch(conn, bytes[used]);
			return false;
		}
		if (conn->answer_offset == 0)
			pattern_message(pattern, conn->id, conn->answered,
					&conn->answer);
		size_t wire_bytes = pattern_wire_bytes(&conn->answer);
		size_t left = wire_bytes - conn->answer_offset;
		size_t want =
			left < byte_count - used ? left : byte_count - used;
		size_t matched = pattern_match(
			&conn->answer, conn->answer_offset, bytes + used, want);
		conn->answer_offset += matched;
		used += matched;
		if (matched < want) {
			load_conn_mismatch(conn, bytes[used]);
			return false;
		}
		if (conn->answer_offset == wire_bytes)
			load_conn_answered(conn, now_ns);
	}
	return true;
}

static ssize_t load_conn_on_data(struct weir_conn *weir_conn,
				 const uint8_t *bytes, size_t byte_count,
				 void *ctx)
{
	(void)ctx;
	struct load_conn *conn = weir_conn_user(weir_conn);
	/* One reading of the clock serves the answers in this piece and the
	 * requests that follow them. It makes the latency of those a little
	 * longer, never shorter. */
	uint64_t now_ns = process_now_ns();

	if (!conn->is_given_up &&
	    load_conn_check(conn, bytes, byte_count, now_ns)) {
		load_conn_send(conn, now_ns);
		load_conn_close_if_done(conn);
	}
	return (ssize_t)byte_count;
}

static void load_conn_on_open(struct weir_conn *weir_conn, void *ctx)
{
	struct load_thread *thread = ctx;
	struct load_conn *conn = weir_conn_user(weir_conn);

	conn->is_open = true;
	thread->connecting_count--;
	if (thread->plan->is_churn)
		load_conn_send(conn, process_now_ns());
	load_conn_close_if_done(conn); /* stopped meanwhile */
}

static void load_conn_on_writable(struct weir_conn *weir_conn, void *ctx)
{
	(void)ctx;
	load_conn_send(weir_conn_user(weir_conn), process_now_ns());
}

/* What a close means, for a connection that had been open. */
static void load_conn_examine(struct load_conn *conn,
			      const struct weir_close_reason *reason)
{
	struct load_counts *counts = &conn->thread->counts;
	uint64_t outstanding = load_conn_outstanding(conn);
	char text[WEIR_CLOSE_TEXT_BYTES];

	switch (reason->cause) {
	case WEIR_CLOSE_LOCAL:
	case WEIR_CLOSE_DRAIN_DEADLINE: /* all answers had come before */
		return;
	case WEIR_CLOSE_STOPPED:
		wi_counter_add(&counts->lost, outstanding);
		return;
	case WEIR_CLOSE_PEER:
		if (!load_conn_is_done(conn))
			wi_counter_add(&counts->early_closes, 1);
		wi_counter_add(&counts->unanswered, outstanding);
		return;
	case WEIR_CLOSE_RESET:
		wi_counter_add(&counts->resets, 1);
		break;
	default:
		wi_counter_add(&counts->errors, 1);
		break;
	}
	wi_counter_add(&counts->lost, outstanding);
	load_thread_fail(conn->thread, "connection %llu: %s",
			 (unsigned long long)conn->id,
			 weir_close_reason_text(reason, text));
}

static void load_conn_on_close(struct weir_conn *weir_conn,
			       const struct weir_close_reason *reason,
			       void *ctx)
{
	struct load_thread *thread = ctx;
	struct load_conn *conn = weir_conn_user(weir_conn);
	char text[WEIR_CLOSE_TEXT_BYTES];

	if (!conn->is_open) {
		thread->connecting_count--;
		wi_counter_add(&thread->counts.failed_connects, 1);
		load_thread_fail(thread, "connection %llu: %s",
				 (unsigned long long)conn->id,
				 weir_close_reason_text(reason, text));
	} else if (!conn->is_given_up) {
		load_conn_examine(conn, reason);
	}
	if (thread->plan->is_churn)
		load_churn_closed(conn, reason);
	conn->conn = NULL;
	conn->is_open = false;
	thread->live_count--;
}

/* Checks for requests, or a connect, that have waited too long. */
static void load_conn_examine_wait(struct load_conn *conn, uint64_t now_ns)
{
	const struct load_plan *plan = conn->thread->plan;
	uint64_t outstanding = load_conn_outstanding(conn);

	if (conn->conn == NULL || conn->is_given_up ||
	    (conn->is_open && outstanding == 0))
		return;
	uint64_t since_ns =
		conn->is_open ? conn->sent_ns[conn->answered % plan->depth]
			      : conn->connect_ns;
	if (now_ns < since_ns + plan->timeout_ns)
		return;
	if (conn->is_open) {
		wi_counter_add(&conn->thread->counts.lost, outstanding);
		load_thread_fail(conn->thread,
				 "connection %llu: no answer to message %llu "
				 "in %.1f s; raise --timeout if that is "
				 "expected",
				 (unsigned long long)conn->id,
				 (unsigned long long)conn->answered,
				 (double)plan->timeout_ns / 1e9);
	}
	conn->is_timed_out = true;
	load_conn_give_up(conn);
}

void load_conn_on_tick(struct weir_loop *loop, void *ctx)
{
	(void)loop;
	struct load_thread *thread = ctx;
	uint64_t now_ns = process_now_ns();

	for (uint32_t i = 0; i < thread->started_count; i++)
		load_conn_examine_wait(&thread->conns[i], now_ns);
}

struct weir_handlers load_conn_handlers(void)
{
	return (struct weir_handlers){
		.on_open = load_conn_on_open,
		.on_data = load_conn_on_data,
		.on_writable = load_conn_on_writable,
		.on_close = load_conn_on_close,
	};
}
