/* conn_priv.h - struct weir_conn itself, and its verbs inside net/
 *
 * Completions and handlers only change the connection's fields and mark it.
 * Once per turn wi_conn_work() reads the fields and queues the operations that
 * the state calls for. So no handler recurses, and a full SQ only means "again
 * next turn".
 */
#ifndef WEIR_NET_CONN_PRIV_H
#define WEIR_NET_CONN_PRIV_H

#include "../addr.h"
#include "../conn.h"
#include "../core/core.h"
#include "../core/pool.h"
#include "../core/timer.h"
#include "conn_state.h"
#include "conns.h"
#include "sendq.h"
#include "stash.h"

#include <assert.h>

struct io_uring_cqe;

/* The operations of a connection, in its tokens. */
enum wi_conn_op {
	WI_CONN_RECV = 0,
	WI_CONN_SEND,
	WI_CONN_CANCEL,
	WI_CONN_CLOSE,
	WI_CONN_SOCKET,
	WI_CONN_SETSOCKOPT,
	WI_CONN_CONNECT,
	WI_CONN_INSTALL,
	WI_CONN_SHUTDOWN,
	WI_CONN_CHECK,
	WI_CONN_OP_COUNT /* stays last */
};

static_assert(WI_CONN_OP_COUNT <= WI_TOKEN_OPS, "an op is four bits");
static_assert(WI_CONN_OP_COUNT <= 16, "and a bit of in_flight");

#define WI_NO_FILE UINT32_MAX /* no slot in the direct descriptor table */

/* See wi_conn_may_hold(). As memory runs out, new messages are refused first
 * and answers second. Input read ahead of a pause comes last, because it would
 * be lost. */
enum {
	WI_HOLD_LITTLE_BYTES = 4096,
	WI_HOLD_INPUT_16 = 13,
	WI_HOLD_OUTPUT_16 = 14,
	WI_HOLD_PAUSED_16 = 15,
};

struct weir_conn {
	/* Line one: all that a turn of receive and reply touches. */
	struct wi_pool_slot slot; /* first; the pool writes it */
	uint8_t state;            /* enum weir_conn_state */
	uint8_t recv;             /* enum wi_recv_state */
	uint8_t fin;              /* enum wi_fin_state */
	uint8_t alive;            /* enum wi_alive_state */
	uint16_t in_flight;       /* a bit for each enum wi_conn_op: at most one
				   * of each. A multishot is in flight until
				   * its completion without F_MORE */
	bool is_marked : 1;       /* is on the loop's list of work */
	bool waits_for_memory : 1; /* is on the list of memory waiters */
	bool in_handler : 1;       /* a user's function is on the stack */
	bool has_input : 1;        /* the stash is not empty */
	bool is_paused : 1;     /* the handler was refused room: on_writable is
				 * pending; nothing is read or shown */
	bool last_look : 1;     /* the loop stops: what has arrived is still
				 * shown, then the connection drains */
	bool cancel_wanted : 1; /* STOPPING: cancel all that is in flight */
	bool is_timed_out : 1;  /* on_close was called: see deadline.c */
	uint32_t file_slot;     /* or WI_NO_FILE */
	uint32_t touched_tick;  /* the last time that bytes moved */
	struct wi_sendq sendq;
	const struct wi_service *service; /* borrowed */

	/* Line two: input kept, and the user's pointer. */
	void *user;
	struct wi_stash stash;
	uint32_t need_bytes; /* before on_data is called again; 0: any */
	uint32_t drain_tick; /* DRAINING ends here */
	struct weir_addr *connect_to; /* block, lent until connect's CQE */
	uint32_t overdue_ticks;       /* STOPPING, CLOSING: see deadline.c */
	uint8_t pad_two[12];

	/* Line three: start and end. */
	struct wi_timer timer;
	struct weir_close_reason reason;
	uint8_t pad_three[16];
};

static_assert(sizeof(struct weir_conn) == 192, "three cache lines");
static_assert(offsetof(struct weir_conn, user) == 64, "line one is 64 bytes");
static_assert(offsetof(struct weir_conn, timer) == 128, "line two as well");

/* Whether an operation of this kind is in flight. */
static inline bool wi_conn_awaits(const struct weir_conn *conn,
				  enum wi_conn_op op)
{
	return (conn->in_flight & 1u << op) != 0;
}

/* Its slot, as weir_conn_index(), but inline and unchecked: wi_pool_find()
 * checks each completion against it. */
static inline uint32_t wi_conn_index(const struct weir_conn *conn)
{
	return conn->slot.link;
}

static inline struct wi_core *wi_conn_core(const struct weir_conn *conn)
{
	return conn->service->core;
}

static inline struct wi_conns *wi_conn_conns(const struct weir_conn *conn)
{
	return conn->service->conns;
}

/* Sets the timer of an open connection to its next deadline. */
void wi_conn_timer_set(struct weir_conn *conn);

/* Handles one completion of one of its operations. */
void wi_conn_complete(struct weir_conn *conn, const struct io_uring_cqe *cqe);

/* Queues the operations that the state calls for. May free the slot. Return:
 * false if the SQ was full: call it again next turn. */
bool wi_conn_work(struct weir_conn *conn);

/* Puts the connection on the loop's list of work, once. */
void wi_conn_mark(struct weir_conn *conn);

/* Its timer fired. (deadline.c) */
void wi_conn_deadline(struct weir_conn *conn);

/* Cancels again, at every tick, what is still in flight. (deadline.c) */
void wi_conn_watch_cancel(struct weir_conn *conn);

/* The loop stops waiting for its operations: it calls on_close, and no handler
 * after that. (deadline.c) */
void wi_conn_time_out(struct weir_conn *conn);

/* Resumes @conn once block memory has been given back. (conns.c) */
void wi_conn_await_memory(struct weir_conn *conn);

/* Counts it as closed, and calls on_close. */
void wi_conn_tell_closed(struct weir_conn *conn);

/* Ways out. The first reason stays, but a drain deadline replaces it: that the
 * drain did not end matters more than why it began. */
void wi_conn_reason_set(struct weir_conn *conn, enum weir_close_cause cause,
			int err, uint64_t value, uint64_t limit);
void wi_conn_drain(struct weir_conn *conn, enum weir_close_cause cause);
void wi_conn_stop(struct weir_conn *conn, enum weir_close_cause cause, int err);
void wi_conn_last_look(struct weir_conn *conn);

/* Bytes have arrived; borrowed until the call returns. (conn_input.c) */
void wi_conn_input(struct weir_conn *conn, const uint8_t *bytes,
		   uint32_t byte_count);

/* The peer will send no more. (conn_input.c) */
void wi_conn_input_end(struct weir_conn *conn);

/* Whether the connection may take @byte_count of block memory, and so hold
 * @held_bytes in all. Once @sixteenths of the loop's block memory are in use,
 * only connections that hold little may take more, so that a few large ones
 * cannot stop all others. */
bool wi_conn_may_hold(const struct weir_conn *conn, size_t byte_count,
		      size_t held_bytes, unsigned sixteenths);

/* The queue has room again: on_writable, then the input that was held. */
void wi_conn_resume(struct weir_conn *conn);

#endif
