/* server_priv.h - struct weir_server, and the workers that its loops have
 *
 *     worker: empty -> open -> started -> listening -> running -> empty
 *
 * A worker is opened, started and made to listen while its thread waits at the
 * gate: what can fail, fails there, and the thread is given up. The calls that
 * change workers hold the control lock, and those of this file are made under
 * it, but for what is marked "any thread".
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

/* A thread takes its ring, says so, and waits here until its listeners have
 * been made, or until the start is given up. */
enum wi_gate { WI_GATE_SHUT = 0, WI_GATE_OPEN, WI_GATE_GIVEN_UP };

struct wi_server_worker {
	struct weir_server *server;
	uint32_t index;
	struct weir_loop *loop;  /* NULL: empty */
	struct weir_loop *shown; /* the same for any thread, once it runs; the
				  * shown lock's as well */
	pthread_t thread;
	bool is_started;            /* there is a thread to join */
	bool is_member;             /* steering knows of it */
	bool has_stopped_accepting; /* the shown lock's as well */
	/* Of the loops that had this worker before. */
	struct wi_steer_counts counts_before;
	uint32_t joined_count; /* its listeners in groups, from the first on */
	int cpu;               /* or -1 */
	int result;          /* of enabling its loop, then of weir_loop_run() */
	const char *refusal; /* why, if enabling it has failed */
	enum wi_gate gate;   /* the gate lock's */
	bool is_ready;       /* the gate lock's: took its ring, or failed */
	uint32_t has_ended;  /* its thread's: the loop turns no more */
};

struct weir_server {
	struct weir_addr addrs[WEIR_STEER_GROUPS_MAX];
	const struct weir_service *services[WEIR_STEER_GROUPS_MAX]; /* of each
								     */
	uint32_t addr_count;
	bool is_v6_only; /* IPv6 addresses leave IPv4 to the others */
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
	uint32_t stoppers; /* walk over the workers now; the last one wakes */

	pthread_mutex_t control;
	bool is_joined;

	/* Taken with or without the control lock, and held for moments: no loop
	 * and no thread is waited for. For what a snapshot reads, while it is
	 * shown: a worker's shown, has_stopped_accepting, and its weight. */
	pthread_mutex_t shown_lock;

	pthread_mutex_t gate_lock; /* taken with or without the control lock */
	pthread_cond_t gate_moved;
	uint32_t live_count; /* threads that turn their loop */

	uint32_t worker_end; /* those in use lie below; any thread reads it */
	uint32_t worker_count;
	struct wi_server_worker workers[]; /* worker_count of them */
};

void wi_server_lock(struct weir_server *server);
void wi_server_unlock(struct weir_server *server);

/* The end of a walk over the workers, whose begin was counted in stoppers: any
 * thread, and signal handlers. And the wait until there is no such walk. */
void wi_server_stopper_leave(struct weir_server *server);
void wi_server_await_stoppers(struct weir_server *server);

/* Return: its worker; NULL, and -ENOENT in @error, if there is no such loop. */
struct wi_server_worker *wi_server_worker(struct weir_server *server,
					  uint32_t index,
					  struct weir_error *error);

/* The CPU for loop @index: the index-th that may be used, going round; or -1.
 */
int wi_server_cpu_pick(const struct weir_server *server, uint32_t index);

/* ---- server_worker.c --------------------------------------------------- */

/* A loop for an empty worker, to be pinned to @cpu or -1. */
int wi_worker_open(struct wi_server_worker *worker, int cpu,
		   struct weir_error *error);

/* Its thread, up to the gate. */
int wi_worker_start(struct wi_server_worker *worker, struct weir_error *error);

/* Through the gate: it runs, and any thread may see it. */
void wi_worker_run(struct wi_server_worker *worker);

/* Waits for its thread; one that waits at the gate is sent home. Return: what
 * ended its loop. */
int wi_worker_join(struct wi_server_worker *worker);

/* After the join: empty again. Takes a half-opened one. */
void wi_worker_close(struct wi_server_worker *worker);

/* ---- server_listen.c --------------------------------------------------- */

/* Fills the server's addresses, and the service of each. */
int wi_server_addrs_parse(struct weir_server *server,
			  const struct weir_server_opts *opts,
			  struct weir_error *error);

/* No other socket listens there, and port 0 is resolved. */
int wi_server_addrs_probe(struct weir_server *server,
			  const struct weir_kernel *kernel,
			  struct weir_error *error);

/* A listener for each address, joined to its group. What has been made stays
 * with the worker on failure. */
int wi_worker_listen(struct wi_server_worker *worker, struct weir_error *error);

/* Its listeners listen again. All or none. */
int wi_worker_listen_again(struct wi_server_worker *worker,
			   struct weir_error *error);

/* Its listeners are shut down, without a reset where that can be had. */
void wi_worker_listen_end(struct wi_server_worker *worker);

/* Its listeners are in no group any more. */
void wi_worker_leave(struct wi_server_worker *worker);

#endif
