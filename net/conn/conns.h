/* conns.h - the connections of one loop: birth and death, and what they share
 *
 *     pool of slots --birth--> connection --death--> pool of slots
 *
 *     once a turn: flush (what is marked), completions, deadlines, and
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
	struct weir_loop *loop; /* what handlers get; opaque here */
	struct wi_pool pool;
	struct wi_marks marks;
	struct wi_waiters waiters;
	/* Without DEFER_TASKRUN the kernel goes on receiving for one peer
	 * until the buffers are used up, before a loop that would pause it
	 * has seen the first of them: then one receive at a time. */
	bool recvs_singly;
	bool is_stopping; /* a connection that opens has its last look */
	bool is_refused;  /* the kernel was not entered in this turn */
	struct wi_services services;
};

/* The memory of all lists: shape [slot_count] each, borrowed, zeroed. */
struct wi_conns_memory {
	void *slots; /* as large as wi_conn_bytes() each */
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

/* Birth: a slot without a socket, or NULL. */
struct weir_conn *wi_conn_birth(struct wi_conns *conns,
				const struct wi_service *service);

/* Death: the slot is free again. Nothing that the kernel holds can name it. */
void wi_conn_death(struct weir_conn *conn);

/* A fresh slot becomes an accepted connection; calls on_open. */
void wi_conn_accepted(struct weir_conn *conn, uint32_t file_slot);

/* A fresh slot becomes an outbound one. Return: 0; -EAGAIN: no memory for
 * the address, the slot is as before. */
int wi_conn_connect(struct weir_conn *conn, const struct weir_addr *addr,
		    void *user);

/* Each connection that has work queues what its state calls for. */
void wi_conns_flush(struct wi_conns *conns);

/* A completion of one of theirs, or of one that is gone. */
void wi_conns_complete(struct wi_conns *conns, const struct io_uring_cqe *cqe);

/* Deadlines that are due, a bounded number of them. */
void wi_conns_deadlines(struct wi_conns *conns);

/* Handlers that were refused memory are asked again, if some has come back. */
void wi_conns_retry_memory(struct wi_conns *conns);

/* The loop stops: each open connection has its last look. */
void wi_conns_stop(struct wi_conns *conns);

/* Accepting has ended: outbound connections that are not made yet are not
 * waited for. */
void wi_conns_cut(struct wi_conns *conns);

/* The drain deadline has passed: all of them are closed at once. */
void wi_conns_force(struct wi_conns *conns);

/* The loop ends though operations are in flight: each has its on_close. */
void wi_conns_time_out(struct wi_conns *conns);

#endif
