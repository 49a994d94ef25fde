/* conn.c - what a handler may do with a connection, and the ways out of it
 *
 * Not here: what arrives (conn_input.c), what is submitted (conn_work.c).
 */
#include "../../uring/mutant.h"
#include "../loop/loop_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	QUIET_TICKS = WI_TICKS_PER_S, /* without a byte: is it still there? */
};

static const struct {
	const char *name;
	const char *text;
} close_causes[WEIR_CLOSE_CAUSE_COUNT] = {
#define CLOSE_CAUSE_ROW(cause, key, line) { key, line },
	WEIR_CLOSE_CAUSES(CLOSE_CAUSE_ROW)
#undef CLOSE_CAUSE_ROW
};

const char *weir_close_cause_name(enum weir_close_cause cause)
{
	return cause < WEIR_CLOSE_CAUSE_COUNT ? close_causes[cause].name : "?";
}

char *weir_close_reason_text(const struct weir_close_reason *reason,
			     char *out_text)
{
	const char *text = reason->cause < WEIR_CLOSE_CAUSE_COUNT
				   ? close_causes[reason->cause].text
				   : "?";
	int length = snprintf(out_text, WEIR_CLOSE_TEXT_BYTES, "%s", text);
	char *end = out_text + length;
	size_t room = WEIR_CLOSE_TEXT_BYTES - (size_t)length;

	if (reason->limit != 0)
		(void)snprintf(end, room, ": %llu bytes, the limit is %llu",
			       (unsigned long long)reason->value,
			       (unsigned long long)reason->limit);
	else if (reason->cause == WEIR_CLOSE_PEER && reason->value != 0)
		(void)snprintf(end, room,
			       " with %llu bytes of an unfinished message",
			       (unsigned long long)reason->value);
	else if (reason->err != 0)
		(void)snprintf(end, room, ": %s", strerror(-reason->err));
	return out_text;
}

void wi_conn_mark(struct weir_conn *conn)
{
	struct weir_loop *loop = conn->loop;
	if (conn->is_marked)
		return;
	conn->is_marked = true;
	loop->marked[loop->marked_count++] =
		wi_pool_index(&loop->conns, &conn->slot);
}

void wi_conn_reason_set(struct weir_conn *conn, enum weir_close_cause cause,
			int err, uint64_t value, uint64_t limit)
{
	assert(cause != WEIR_CLOSE_NONE);
	if (WI_MUTANT("last-reason-wins", conn->reason.cause != WEIR_CLOSE_NONE,
		      false))
		return;
	conn->reason = (struct weir_close_reason){
		.cause = cause,
		.err = err,
		.value = value,
		.limit = limit,
	};
}

/* A cancel can miss an operation that is alive: one that the kernel has queued
 * for a retry is found by nobody (a half-done send with MSG_WAITALL, seen on
 * 6.18). So what is still in flight is cancelled again at every tick. */
static void conn_watch_cancel(struct weir_conn *conn)
{
	struct weir_loop *loop = conn->loop;
	const uint32_t ticks = conn->is_given_up ? WI_TICKS_PER_S : 1;
	if (conn->in_flight > 0)
		wi_timer_set(&loop->wheel, &conn->timer,
			     loop->now_tick + ticks);
	else
		wi_timer_clear(&loop->wheel, &conn->timer);
}

/* What is queued goes out; reading, for the handler, has ended. */
void wi_conn_drain(struct weir_conn *conn, enum weir_close_cause cause)
{
	struct weir_loop *loop = conn->loop;
	if (conn->state == WEIR_CONN_CONNECTING) {
		wi_conn_stop(conn, cause, 0);
		return;
	}
	if (conn->state != WEIR_CONN_OPEN)
		return;
	wi_conn_reason_set(conn, cause, 0, 0, 0);
	if (!conn->in_handler) /* which may still be looking at it */
		wi_stash_clear(&conn->stash, &loop->blocks);
	conn->is_paused = false;
	conn->drain_wanted = false;
	conn->drain_tick = loop->now_tick + loop->drain_ticks;
	WI_MUTANT("drain-deadline-is-not-armed",
		  wi_timer_set(&loop->wheel, &conn->timer, conn->drain_tick),
		  (void)0);
	wi_conn_state_set(conn, WEIR_CONN_DRAINING);
	wi_conn_mark(conn);
}

/* Nothing more is said: cancel what is in flight, then close. */
void wi_conn_stop(struct weir_conn *conn, enum weir_close_cause cause, int err)
{
	if (conn->state != WEIR_CONN_CONNECTING &&
	    conn->state != WEIR_CONN_OPEN && conn->state != WEIR_CONN_DRAINING)
		return;
	wi_conn_reason_set(conn, cause, err, 0, 0);
	conn->cancel_wanted = conn->in_flight > 0;
	conn_watch_cancel(conn);
	wi_conn_state_set(conn, WEIR_CONN_STOPPING);
	wi_conn_mark(conn);
}

/* The loop stops. What the kernel has received of this connection by now is
 * still shown, by single receives that do not wait. */
void wi_conn_last_look(struct weir_conn *conn)
{
	if (conn->state != WEIR_CONN_OPEN)
		return;
	assert(!conn->last_look); /* when the stop is seen, or as it opens */
	WI_MUTANT("last-look-is-left-out", (void)(conn->last_look = true),
		  wi_conn_drain(conn, WEIR_CLOSE_STOPPED));
	conn->cancel_wanted = conn->recv_armed;
	wi_conn_mark(conn);
}

/* Reset by its peer, a socket may not tell: when the data in front of the RST
 * and the RST itself wake a multishot receive only once, the kernel hands out
 * the data and waits for a next event that never comes (seen on 6.18). So after
 * QUIET_TICKS it is asked, once. */
void wi_conn_timer_set(struct weir_conn *conn)
{
	struct weir_loop *loop = conn->loop;
	uint32_t ticks = loop->idle_ticks;
	if (!conn->is_checked && (ticks == 0 || ticks > QUIET_TICKS))
		ticks = QUIET_TICKS;
	if (ticks != 0)
		wi_timer_set(&loop->wheel, &conn->timer,
			     conn->touched_tick + ticks);
}

/* Touching a connection is one store: the wheel looks at it here. */
static void deadline_open(struct weir_conn *conn)
{
	struct weir_loop *loop = conn->loop;
	const uint32_t quiet_ticks = loop->now_tick - conn->touched_tick;
	const bool is_idle =
		quiet_ticks + WI_MUTANT("deadline-is-a-tick-early", 0, 1) >=
		loop->idle_ticks;

	if (loop->idle_ticks != 0 &&
	    WI_MUTANT("deadline-is-not-disarmed", is_idle, true)) {
		wi_loop_count(&loop->stats.idle_deadlines, 1);
		wi_conn_stop(conn, WEIR_CLOSE_IDLE, 0);
		return;
	}
	if (!conn->is_checked && quiet_ticks >= QUIET_TICKS) {
		conn->is_checked = true;
		conn->check_wanted = true;
		wi_conn_mark(conn);
	}
	wi_conn_timer_set(conn);
}

static void deadline_draining(struct weir_conn *conn)
{
	struct weir_loop *loop = conn->loop;
	assert(!wi_tick_before(loop->now_tick, conn->drain_tick));
	wi_loop_count(&loop->stats.drain_deadlines, 1);
	/* Why it was draining matters less than that it did not end. */
	conn->reason.cause = WEIR_CLOSE_NONE;
	wi_conn_stop(conn, WEIR_CLOSE_DRAIN_DEADLINE, 0);
}

/* STOPPING, CLOSING. */
static void deadline_overdue(struct weir_conn *conn)
{
	wi_conn_overdue(conn);
	conn->cancel_wanted = conn->state == WEIR_CONN_STOPPING;
	conn_watch_cancel(conn);
	wi_conn_mark(conn);
}

void wi_conn_deadline(struct weir_conn *conn)
{
	assert(conn->state != WEIR_CONN_FREE);
	if (conn->state == WEIR_CONN_CONNECTING ||
	    conn->state == WEIR_CONN_OPEN)
		deadline_open(conn);
	else if (conn->state == WEIR_CONN_DRAINING)
		deadline_draining(conn);
	else
		deadline_overdue(conn);
}

bool wi_conn_may_hold(const struct weir_conn *conn, size_t byte_count,
		      size_t held_bytes, unsigned sixteenths)
{
	const struct wi_blocks *blocks = &conn->loop->blocks;
	return held_bytes <= WI_HOLD_LITTLE_BYTES || blocks->used_bytes == 0 ||
	       blocks->used_bytes + byte_count <=
		       blocks->bytes / 16 * sixteenths;
}

/* A handler was refused room: it is called again once there is some. */
static void conn_pause(struct weir_conn *conn)
{
	conn->drain_wanted = true;
	if (conn->is_paused)
		return;
	conn->is_paused = true;
	conn->cancel_wanted = conn->recv_armed;
	wi_loop_count(&conn->loop->stats.recv_pauses, 1);
	wi_conn_mark(conn);
}

uint8_t *weir_conn_reserve(struct weir_conn *conn, size_t byte_count)
{
	struct weir_loop *loop = conn->loop;
	size_t limit = loop->opts.send_bytes_max;

	assert(byte_count > 0);
	if (WI_MUTANT("dead-handle-is-accepted", conn->state != WEIR_CONN_OPEN,
		      conn->state == WEIR_CONN_FREE))
		return NULL;
	if (byte_count > limit) {
		wi_conn_reason_set(conn, WEIR_CLOSE_QUEUE_LIMIT, -EMSGSIZE,
				   byte_count, limit);
		wi_conn_drain(conn, WEIR_CLOSE_QUEUE_LIMIT);
		return NULL;
	}
	const size_t room_bytes = limit - conn->sendq.queued_bytes;
	if (WI_MUTANT("send-queue-limit-off-by-one", byte_count > room_bytes,
		      byte_count >= room_bytes)) {
		conn_pause(conn);
		return NULL;
	}
	uint8_t *room = NULL;
	if (wi_conn_may_hold(conn, byte_count,
			     conn->sendq.queued_bytes + byte_count,
			     WI_HOLD_OUTPUT_16))
		room = wi_sendq_reserve(&conn->sendq, &loop->blocks,
					(uint32_t)byte_count);
	if (room == NULL) {
		wi_loop_count(&loop->stats.block_failures, 1);
		conn_pause(conn);
		WI_MUTANT("refused-for-memory-is-not-listed",
			  wi_loop_await_blocks(loop, conn), (void)0);
	}
	return room;
}

void weir_conn_commit(struct weir_conn *conn, size_t byte_count)
{
	struct weir_loop *loop = conn->loop;
	/* Closed between reserve and commit: the bytes are not sent, and a
	 * long queue is no reason to stop reading up to the peer's FIN. */
	if (WI_MUTANT("commit-after-close-is-queued",
		      conn->state != WEIR_CONN_OPEN,
		      conn->state == WEIR_CONN_FREE)) {
		wi_sendq_commit(&conn->sendq, 0);
		return;
	}
	wi_sendq_commit(&conn->sendq, (uint32_t)byte_count);
	if (conn->sendq.queued_bytes > loop->opts.send_high_bytes)
		conn_pause(conn);
	if (!conn->send_in_flight)
		wi_conn_mark(conn);
}

int weir_conn_send(struct weir_conn *conn, const void *bytes, size_t byte_count)
{
	if (byte_count == 0)
		return conn->state == WEIR_CONN_OPEN ? 0 : -ESHUTDOWN;
	if (conn->state != WEIR_CONN_OPEN)
		return -ESHUTDOWN;
	uint8_t *room = weir_conn_reserve(conn, byte_count);
	if (room == NULL)
		return conn->state == WEIR_CONN_OPEN ? -EAGAIN : -EMSGSIZE;
	memcpy(room, bytes, byte_count);
	weir_conn_commit(conn, byte_count);
	return 0;
}

size_t weir_conn_queued_bytes(const struct weir_conn *conn)
{
	return conn->is_given_up ? 0 : conn->sendq.queued_bytes;
}

void weir_conn_need(struct weir_conn *conn, size_t byte_count)
{
	size_t limit = conn->loop->opts.message_bytes_max;
	if (conn->state != WEIR_CONN_OPEN)
		return;
	if (byte_count > limit) {
		wi_conn_reason_set(conn, WEIR_CLOSE_MESSAGE_LIMIT, -EMSGSIZE,
				   byte_count, limit);
		wi_conn_drain(conn, WEIR_CLOSE_MESSAGE_LIMIT);
		return;
	}
	conn->need_bytes = (uint32_t)byte_count;
}

void weir_conn_close(struct weir_conn *conn)
{
	wi_conn_drain(conn, WEIR_CLOSE_LOCAL);
}

void weir_conn_abort(struct weir_conn *conn)
{
	WI_MUTANT("abort-only-drains",
		  wi_conn_stop(conn, WEIR_CLOSE_ABORTED, 0),
		  wi_conn_drain(conn, WEIR_CLOSE_ABORTED));
}

int weir_conn_refuse(struct weir_conn *conn, int err, uint64_t value,
		     uint64_t limit)
{
	assert(err < 0);
	if (conn->state == WEIR_CONN_OPEN) {
		wi_conn_reason_set(conn, WEIR_CLOSE_REFUSED, err, value, limit);
		wi_conn_drain(conn, WEIR_CLOSE_REFUSED);
	}
	return err;
}

void *weir_conn_user(const struct weir_conn *conn)
{
	return conn->user;
}

void weir_conn_user_set(struct weir_conn *conn, void *user)
{
	conn->user = user;
}

struct weir_loop *weir_conn_loop(const struct weir_conn *conn)
{
	return conn->loop;
}

uint32_t weir_conn_index(const struct weir_conn *conn)
{
	return wi_pool_index(&conn->loop->conns, &conn->slot);
}
