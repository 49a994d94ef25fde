/* conn.h - what a handler may do with a connection
 *
 * A connection belongs to one loop. Call these functions on that loop's
 * thread, from a handler. A `struct weir_conn *` is valid until on_close has
 * returned; no handler is called for it afterwards.
 *
 *     on_open --> on_data / on_writable, any number --> on_close, exactly once
 */
#ifndef WEIR_NET_CONN_H
#define WEIR_NET_CONN_H

#include "close_reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct weir_conn;
struct weir_loop;

/**
 * struct weir_handlers - the user's side; a NULL member is not called
 * @on_open:  the connection was accepted, or has connected; it may send and
 *            close
 * @on_data:  @bytes is borrowed until the call returns. Return how many bytes
 *            from its start are used up, 0 to @byte_count; the rest is kept
 *            and shown again, contiguous with what follows. A negative errno
 *            refuses the input: what is queued still goes out, then the
 *            connection is closed (see weir_conn_refuse())
 * @on_writable: the send queue fell to its low mark, after it had been above
 *            the high mark or weir_conn_reserve() had failed. Input that was
 *            held meanwhile is shown by on_data right after
 * @on_close: the last call for @conn: its socket is closed, or the kernel did
 *            not complete an operation on it before the operation timeout.
 *            Comes without an on_open only if an outbound connection could not
 *            be made
 *
 * All are called on the loop's thread and must not block. They may call
 * anything in conn.h and loop.h, closing included; no handler is called from
 * inside one of these calls.
 */
struct weir_handlers {
	void (*on_open)(struct weir_conn *conn, void *ctx);
	ssize_t (*on_data)(struct weir_conn *conn, const uint8_t *bytes,
			   size_t byte_count, void *ctx);
	void (*on_writable)(struct weir_conn *conn, void *ctx);
	void (*on_close)(struct weir_conn *conn,
			 const struct weir_close_reason *reason, void *ctx);
};

/**
 * weir_conn_reserve() - room for @byte_count bytes at the end of the queue
 * @byte_count: contiguous bytes, at least 1
 *
 * Encode in place, then weir_conn_commit(). A second reserve replaces the
 * first. The room is the caller's until commit, or until the handler returns.
 *
 * Return: the room, uninitialised; NULL if the queue would exceed its limit,
 *         if the loop's memory is used up, or if the connection is closing.
 *         After NULL, return from on_data without using the message:
 *         on_writable comes when there is room, and the message is shown
 *         again. A @byte_count above the limit closes the connection with
 *         WEIR_CLOSE_QUEUE_LIMIT.
 */
uint8_t *weir_conn_reserve(struct weir_conn *conn, size_t byte_count);

/**
 * weir_conn_commit() - queue the first @byte_count bytes of what was reserved
 *
 * They leave with everything else of this turn, in one send.
 */
void weir_conn_commit(struct weir_conn *conn, size_t byte_count);

/**
 * weir_conn_send() - reserve, copy, commit
 * @bytes: copied; free to change once the call returns
 *
 * Return: 0; -EAGAIN if there is no room now (on_writable comes); -EMSGSIZE if
 *         there never will be; -ESHUTDOWN if the connection is closing.
 */
int weir_conn_send(struct weir_conn *conn, const void *bytes,
		   size_t byte_count);

/** weir_conn_queued_bytes() - committed and not yet taken by the kernel. */
size_t weir_conn_queued_bytes(const struct weir_conn *conn);

/**
 * weir_conn_need() - do not call on_data before @byte_count bytes are there
 * @byte_count: counted from the first byte that on_data leaves unused
 *
 * So an incomplete message is not looked at again and again. Holds for the
 * next call of on_data only. More than the service's message_bytes_max closes
 * with WEIR_CLOSE_MESSAGE_LIMIT.
 */
void weir_conn_need(struct weir_conn *conn, size_t byte_count);

/**
 * weir_conn_close() - send what is queued, then close
 *
 * on_data is not called again. The loop sends FIN once the queue is empty and
 * waits for the peer's FIN, at most until the drain deadline. The cause is
 * WEIR_CLOSE_LOCAL.
 */
void weir_conn_close(struct weir_conn *conn);

/** weir_conn_abort() - close at once; what is queued is lost. */
void weir_conn_abort(struct weir_conn *conn);

/**
 * weir_conn_refuse() - the reason to give for a negative return of on_data
 * @err:    negative errno, for example -EMSGSIZE
 * @value:  what the peer asked for; 0 if no limit is involved
 * @limit:  what is allowed; 0 if no limit is involved
 *
 * Return: @err, so that `return weir_conn_refuse(...)` reads well.
 */
int weir_conn_refuse(struct weir_conn *conn, int err, uint64_t value,
		     uint64_t limit);

/** weir_conn_user() - the user's pointer, NULL at first. */
void *weir_conn_user(const struct weir_conn *conn);
void weir_conn_user_set(struct weir_conn *conn, void *user);

/** weir_conn_loop() - the loop that owns @conn. */
struct weir_loop *weir_conn_loop(const struct weir_conn *conn);

/**
 * weir_conn_index() - its slot in the loop, 0 to conn_count - 1
 *
 * Unique among the open connections of a loop, used again afterwards.
 */
uint32_t weir_conn_index(const struct weir_conn *conn);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
