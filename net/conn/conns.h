/* conns.h - the connections of one loop: birth and death, and what they share
 *
 *     pool of slots --birth--> connection --death--> pool of slots
 *
 *     once a turn: flush (marked connections), completions, deadlines, and
 *     connections that waited for memory
 *
 * Not here: what one connection does (conn.c, conn_input.c, conn_work.c,
 * deadline.c).
 */
#ifndef WEIR_NET_CONN_CONNS_H
#define WEIR_NET_CONN_CONNS_H

#include "../conn.h"
#include "../core/marks.h"
#include "../core/pool.h"
#include "../core/waiters.h"
#include "services.h"

struct weir_addr;
struct wi_core;
struct io_uring_cqe;

struct wi_conns {
	struct wi_core *core;   /* borrowed */
	struct weir_loop *loop; /* passed to handlers; opaque here */
	struct wi_pool pool;
	struct wi_marks marks;
	struct wi_waiters waiters;
	/* Without DEFER_TASKRUN the kernel goes on receiving for one peer until
	 * the buffers are used up. A loop that would pause that peer sees the
	 * first buffer only then. So each receive is a single one. */
	bool recvs_singly;
	bool is_stopping; /* a connection that opens gets its last look */
	bool is_refused;  /* the kernel was not entered in this turn */
	struct wi_services services;
};

/* The memory of all lists; each has shape [slot_count]; borrowed, zeroed. */
struct wi_conns_memory {
	void *slots; /* wi_conn_bytes() each */
	uint32_t *marks;
	uint32_t *marks_spare;
	uint32_t *waiters;
	struct wi_service *services; /* shape [WEIR_SERVICES_MAX] */
	uint32_t slot_count;
};

/* Bytes of one connection's slot. */
size_t wi_conn_bytes(void);

void wi_conns_init(struct wi_conns *conns, struct wi_core *core,
		   struct weir_loop *loop,
		   const struct wi_conns_memory *memory);

/* Birth: a slot without a socket; NULL if none is free. */
struct weir_conn *wi_conn_birth(struct wi_conns *conns,
				const struct wi_service *service);

/* Death: the slot is free again. No token that the kernel holds names it. */
void wi_conn_death(struct weir_conn *conn);

/* A fresh slot becomes an accepted connection; calls on_open. */
void wi_conn_accepted(struct weir_conn *conn, uint32_t file_slot);

/* A fresh slot becomes an outbound connection. Return: 0; -EAGAIN if there is
 * no memory for the address: the slot is unchanged. */
int wi_conn_connect(struct weir_conn *conn, const struct weir_addr *addr,
		    void *user);

/* Each marked connection queues what its state calls for. */
void wi_conns_flush(struct wi_conns *conns);

/* Handles a completion of a connection, or of one that is gone. */
void wi_conns_complete(struct wi_conns *conns, const struct io_uring_cqe *cqe);

/* Handles deadlines that are due; a bounded number per call. */
void wi_conns_deadlines(struct wi_conns *conns);

/* Resumes connections whose handlers were refused memory, if some has come
 * back. */
void wi_conns_retry_memory(struct wi_conns *conns);

/* The loop stops: each open connection gets its last look. */
void wi_conns_stop(struct wi_conns *conns);

/* Accepting has ended: connects that are still in progress are ended. */
void wi_conns_cut(struct wi_conns *conns);

/* The drain deadline has passed: closes all connections at once. */
void wi_conns_force(struct wi_conns *conns);

/* The loop ends with operations in flight: each connection has its on_close. */
void wi_conns_time_out(struct wi_conns *conns);

#endif
