/* conn.c - what a handler may do with a connection, and the ways out of it
 *
 * Not here: what arrives (conn_input.c), what is submitted (conn_work.c),
 * deadlines (deadline.c).
 */
#include "../../uring/mutant.h"
#include "conn_priv.h"

#include <errno.h>
#include <string.h>

void wi_conn_mark(struct weir_conn *conn)
{
	if (conn->is_marked)
		return;
	conn->is_marked = true;
	wi_marks_add(&wi_conn_conns(conn)->marks, wi_conn_index(conn));
}

void wi_conn_reason_set(struct weir_conn *conn, enum weir_close_cause cause,
			int err, uint64_t value, uint64_t limit)
{
	assert(cause != WEIR_CLOSE_NONE);
	const bool has_reason = conn->reason.cause != WEIR_CLOSE_NONE &&
				cause != WEIR_CLOSE_DRAIN_DEADLINE;
	if (WI_MUTANT("last-reason-wins", has_reason, false))
		return;
	conn->reason = (struct weir_close_reason){
		.cause = cause,
		.err = err,
		.value = value,
		.limit = limit,
	};
}

/* The queue still goes out; on_data is not called again. */
void wi_conn_drain(struct weir_conn *conn, enum weir_close_cause cause)
{
	struct wi_core *core = wi_conn_core(conn);
	const struct wi_service *service = conn->service;
	if (conn->state == WEIR_CONN_CONNECTING) {
		wi_conn_stop(conn, cause, 0);
		return;
	}
	if (conn->state != WEIR_CONN_OPEN)
		return;
	wi_conn_reason_set(conn, cause, 0, 0, 0);
	if (!conn->in_handler) /* a handler may still read it */
		wi_stash_clear(&conn->stash, &core->blocks);
	conn->is_paused = false;
	if (conn->recv == WI_RECV_UNWANTED) /* what arrives is discarded */
		wi_recv_set(conn, WI_RECV_ARMED);
	conn->drain_tick = core->clock.now_tick + service->drain_ticks;
	WI_MUTANT("drain-deadline-is-not-armed",
		  wi_timer_set(&core->wheel, &conn->timer, conn->drain_tick),
		  (void)0);
	wi_conn_state_set(conn, WEIR_CONN_DRAINING);
	wi_conn_mark(conn);
}

/* Nothing more is sent: cancel what is in flight, then close. */
void wi_conn_stop(struct weir_conn *conn, enum weir_close_cause cause, int err)
{
	if (conn->state != WEIR_CONN_CONNECTING &&
	    conn->state != WEIR_CONN_OPEN && conn->state != WEIR_CONN_DRAINING)
		return;
	wi_conn_reason_set(conn, cause, err, 0, 0);
	conn->cancel_wanted = conn->in_flight != 0;
	wi_conn_watch_cancel(conn);
	wi_conn_state_set(conn, WEIR_CONN_STOPPING);
	wi_conn_mark(conn);
}

/* A last look is left alone: it ends by itself. */
static void conn_recv_stop(struct weir_conn *conn)
{
	if (conn->recv == WI_RECV_ARMED)
		wi_recv_set(conn, WI_RECV_UNWANTED);
}

/* The loop stops. What the kernel has received on this connection by now is
 * still shown, by single receives that do not sleep. */
void wi_conn_last_look(struct weir_conn *conn)
{
	if (conn->state != WEIR_CONN_OPEN)
		return;
	assert(!conn->last_look); /* once: at the stop, or when it opens */
	WI_MUTANT("last-look-is-left-out", (void)(conn->last_look = true),
		  wi_conn_drain(conn, WEIR_CLOSE_STOPPED));
	conn_recv_stop(conn);
	wi_conn_mark(conn);
}

bool wi_conn_may_hold(const struct weir_conn *conn, size_t byte_count,
		      size_t held_bytes, unsigned sixteenths)
{
	const struct wi_blocks *blocks = &wi_conn_core(conn)->blocks;
	return held_bytes <= WI_HOLD_LITTLE_BYTES || blocks->used_bytes == 0 ||
	       blocks->used_bytes + byte_count <=
		       blocks->bytes / 16 * sixteenths;
}

/* A handler was refused room: on_writable is called once there is some. */
static void conn_pause(struct weir_conn *conn)
{
	if (conn->is_paused)
		return;
	conn->is_paused = true;
	conn_recv_stop(conn);
	wi_counter_add(&wi_conn_core(conn)->stats.recv_pauses, 1);
	wi_conn_mark(conn);
}

uint8_t *weir_conn_reserve(struct weir_conn *conn, size_t byte_count)
{
	struct wi_core *core = wi_conn_core(conn);
	const struct wi_service *service = conn->service;
	size_t limit = service->send_bytes_max;

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
		room = wi_sendq_reserve(&conn->sendq, &core->blocks,
					(uint32_t)byte_count);
	if (room == NULL) {
		wi_counter_add(&core->stats.block_failures, 1);
		conn_pause(conn);
		WI_MUTANT("refused-for-memory-is-not-listed",
			  wi_conn_await_memory(conn), (void)0);
	}
	return room;
}

void weir_conn_commit(struct weir_conn *conn, size_t byte_count)
{
	const struct wi_service *service = conn->service;
	/* Closed between reserve and commit: the bytes are not sent. A long
	 * queue does not pause reading either, because the peer's FIN must be
	 * seen. */
	if (WI_MUTANT("commit-after-close-is-queued",
		      conn->state != WEIR_CONN_OPEN,
		      conn->state == WEIR_CONN_FREE)) {
		wi_sendq_commit(&conn->sendq, 0);
		return;
	}
	wi_sendq_commit(&conn->sendq, (uint32_t)byte_count);
	if (conn->sendq.queued_bytes > service->send_high_bytes)
		conn_pause(conn);
	if (!wi_conn_awaits(conn, WI_CONN_SEND))
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
	return conn->is_timed_out ? 0 : conn->sendq.queued_bytes;
}

void weir_conn_need(struct weir_conn *conn, size_t byte_count)
{
	const struct wi_service *service = conn->service;
	size_t limit = service->message_bytes_max;
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
	return wi_conn_conns(conn)->loop;
}

uint32_t weir_conn_index(const struct weir_conn *conn)
{
	return wi_pool_index(&wi_conn_conns(conn)->pool, &conn->slot);
}
