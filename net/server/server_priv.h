/* server_priv.h - struct weir_server, and its workers: a loop and its thread
 *
 *     worker: empty -> open -> started -> listening -> running -> empty
 *
 * A worker is opened, started and made to listen while its thread waits at the
 * gate. So all that can fail fails there, and the thread is then sent away.
 * Calls that change workers hold the control lock, and the functions of this
 * file are called under it, except those marked "any thread".
 *
 *     server.c           open, stop, join, close
 *     server_worker.c    one loop and its thread
 *     server_listen.c    addresses, and the listeners of a worker
 *     listen_socket.c    how one of them is bound
 *     server_roll.c      loops come and go while the server runs
 *     server_snapshot.c  one copy of its state
 */
#ifndef WEIR_NET_SERVER_PRIV_H
#define WEIR_NET_SERVER_PRIV_H

#include "../loop/listener.h"
#include "../loop/loop_priv.h"
#include "../server.h"
#include "../steer/steer_priv.h"

#include <assert.h>
#include <pthread.h>

/* A thread enables its ring, reports that, and waits here until its listeners
 * have been made, or until the start is abandoned. */
enum wi_gate { WI_GATE_SHUT = 0, WI_GATE_OPEN, WI_GATE_GIVEN_UP };

struct wi_server_worker {
	struct weir_server *server;
	uint32_t index;
	struct weir_loop *loop;  /* NULL: empty */
	struct weir_loop *shown; /* loop, for any thread, once it runs; under
				  * the shown lock as well */
	pthread_t thread;
	bool is_started;            /* there is a thread to join */
	bool is_member;             /* it is a member of steering */
	bool has_stopped_accepting; /* under the shown lock as well */
	/* Counts of the loops that this worker had before. */
	struct wi_steer_counts counts_before;
	uint32_t joined_count; /* its first listeners, which are in groups */
	int cpu;               /* or -1 */
	int result;          /* of enabling the loop, then of weir_loop_run() */
	const char *refusal; /* the reason, if enabling has failed */
	enum wi_gate gate;   /* under the gate lock */
	bool is_ready;       /* under the gate lock: enabled, or failed */
	uint32_t has_ended;  /* written by its thread: the loop has ended */
};

struct weir_server {
	struct weir_addr addrs[WEIR_STEER_GROUPS_MAX];
	const struct weir_service *services[WEIR_STEER_GROUPS_MAX];
	uint32_t addr_count;
	bool is_v6_only; /* IPv6 sockets do not take IPv4 connections */
	bool joins_group;
	bool is_unpinned;
	uint32_t sample_interval;
	void (*on_log)(const char *line, void *ctx);
	void *log_ctx;
	struct weir_loop_opts loop_opts;
	const struct weir_kernel *kernel;
	cpu_set_t cpus; /* that this process may use */
	struct weir_steer *steer;
	bool owns_steer;

	/* Written by any thread, and by signal handlers. */
	uint32_t stop_requests;
	uint32_t stoppers; /* threads that walk over workers; the last wakes */

	pthread_mutex_t control;
	bool is_joined;

	/* Taken with or without the control lock, and held for moments: a
	 * thread that holds it waits for no loop and no thread. It guards what
	 * a snapshot reads: a worker's shown, has_stopped_accepting, and its
	 * weight. */
	pthread_mutex_t shown_lock;

	pthread_mutex_t gate_lock; /* taken with or without the control lock */
	pthread_cond_t gate_moved;
	uint32_t live_count; /* threads that turn their loop */

	uint32_t worker_end; /* all in use are below; any thread reads it */
	uint32_t worker_count;
	struct wi_server_worker workers[]; /* worker_count of them */
};

void wi_server_lock(struct weir_server *server);
void wi_server_unlock(struct weir_server *server);

/* Ends a walk over the workers that was counted in stoppers: any thread, and
 * signal handlers. Then the wait until no such walk is left. */
void wi_server_stopper_leave(struct weir_server *server);
void wi_server_await_stoppers(struct weir_server *server);

/* Return: the worker; NULL, with -ENOENT in @error, if it has no loop. */
struct wi_server_worker *wi_server_worker(struct weir_server *server,
					  uint32_t index,
					  struct weir_error *error);

/* The CPU for loop @index: usable CPU number @index modulo their count; or -1.
 */
int wi_server_cpu_pick(const struct weir_server *server, uint32_t index);

/* ---- server_worker.c --------------------------------------------------- */

/* Opens a loop for an empty worker; @cpu: to pin it to, or -1. */
int wi_worker_open(struct wi_server_worker *worker, int cpu,
		   struct weir_error *error);

/* Starts its thread, which then waits at the gate. */
int wi_worker_start(struct wi_server_worker *worker, struct weir_error *error);

/* Opens the gate: the loop runs, and any thread may see it. */
void wi_worker_run(struct wi_server_worker *worker);

/* Waits for its thread to end; a thread at the gate is sent away. Return: what
 * ended its loop. */
int wi_worker_join(struct wi_server_worker *worker);

/* After the join: makes it empty. It may be half opened. */
void wi_worker_close(struct wi_server_worker *worker);

/* ---- server_listen.c --------------------------------------------------- */

/* Fills the server's addresses, and the service of each. */
int wi_server_addrs_parse(struct weir_server *server,
			  const struct weir_server_opts *opts,
			  struct weir_error *error);

/* Checks that no other socket listens there, and resolves port 0. */
int wi_server_addrs_probe(struct weir_server *server,
			  const struct weir_kernel *kernel,
			  struct weir_error *error);

/* Makes a listener for each address and joins it to its group. On failure, what
 * has been made stays with the worker. */
int wi_worker_listen(struct wi_server_worker *worker, struct weir_error *error);

/* Its listeners listen again: all or none. */
int wi_worker_listen_again(struct wi_server_worker *worker,
			   struct weir_error *error);

/* Shuts its listeners down, without a reset where that is possible. */
void wi_worker_listen_end(struct wi_server_worker *worker);

/* Takes its listeners out of their groups. */
void wi_worker_leave(struct wi_server_worker *worker);

#endif
