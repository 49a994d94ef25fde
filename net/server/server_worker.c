/* server_worker.c - one loop and its thread: open, start, run, join, close */
#include "server_priv.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* ---- the thread -------------------------------------------------------- */

static void worker_pin(struct wi_server_worker *worker)
{
	cpu_set_t one;
	if (worker->cpu < 0)
		return;
	CPU_ZERO(&one);
	/* coverage: refused-cpu-is-set */
	CPU_SET(worker->cpu, &one);
	if (pthread_setaffinity_np(pthread_self(), sizeof(one), &one) != 0)
		worker->cpu = -1; /* it serves without pinning */
}

static enum wi_gate worker_wait_at_gate(struct wi_server_worker *worker)
{
	struct weir_server *server = worker->server;
	(void)pthread_mutex_lock(&server->gate_lock);
	worker->is_ready = true;
	(void)pthread_cond_broadcast(&server->gate_moved);
	while (worker->gate == WI_GATE_SHUT)
		(void)pthread_cond_wait(&server->gate_moved,
					&server->gate_lock);
	const enum wi_gate gate = worker->gate;
	(void)pthread_mutex_unlock(&server->gate_lock);
	return gate;
}

static void worker_await_ready(struct wi_server_worker *worker)
{
	struct weir_server *server = worker->server;
	(void)pthread_mutex_lock(&server->gate_lock);
	while (!worker->is_ready)
		(void)pthread_cond_wait(&server->gate_moved,
					&server->gate_lock);
	(void)pthread_mutex_unlock(&server->gate_lock);
}

static void worker_gate_set(struct wi_server_worker *worker, enum wi_gate gate)
{
	struct weir_server *server = worker->server;
	(void)pthread_mutex_lock(&server->gate_lock);
	worker->gate = gate;
	if (gate == WI_GATE_OPEN)
		server->live_count++;
	(void)pthread_cond_broadcast(&server->gate_moved);
	(void)pthread_mutex_unlock(&server->gate_lock);
}

static void worker_live_no_more(struct wi_server_worker *worker)
{
	struct weir_server *server = worker->server;
	wi_store_release_u32(&worker->has_ended, 1);
	wi_event_raise(wi_loop_kernel(worker->loop),
		       &wi_loop_listeners(worker->loop)->acks);
	(void)pthread_mutex_lock(&server->gate_lock);
	server->live_count--;
	(void)pthread_cond_broadcast(&server->gate_moved);
	(void)pthread_mutex_unlock(&server->gate_lock);
}

static int worker_enable(struct wi_server_worker *worker)
{
	worker->refusal = "cannot enable the ring";
	int err = wi_loop_take_ring(worker->loop);
	if (err < 0)
		return err;
	worker->refusal = "on_start refuses the start";
	return wi_loop_start(worker->loop);
}

static void *worker_main(void *arg)
{
	struct wi_server_worker *worker = arg;
	worker_pin(worker);
	worker->result = worker_enable(worker);
	if (worker_wait_at_gate(worker) == WI_GATE_GIVEN_UP) {
		wi_loop_stopped(worker->loop);
		return NULL;
	}
	worker->result = weir_loop_run(worker->loop);
	/* Otherwise connections would still be steered to a loop that is gone.
	 * So a server that has lost a loop stops, and join returns the
	 * reason. */
	if (worker->result < 0) {
		wi_listeners_shut(wi_loop_listeners(worker->loop));
		if (wi_load_seq_cst_u32(&worker->server->stop_requests) == 0)
			weir_server_stop(worker->server);
	}
	worker_live_no_more(worker);
	return NULL;
}

/* The new thread blocks all signals, so that the caller's threads get them. */
static int worker_thread_create(struct wi_server_worker *worker)
{
	sigset_t all;
	sigset_t before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = -pthread_create(&worker->thread, NULL, worker_main, worker);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	worker->is_started = err == 0;
	return err;
}

/* ---- the worker -------------------------------------------------------- */

int wi_worker_open(struct wi_server_worker *worker, int cpu,
		   struct weir_error *error)
{
	struct weir_server *server = worker->server;
	assert(worker->loop == NULL);
	int err = weir_loop_open(&worker->loop, &server->loop_opts, error);
	if (err < 0)
		return err;
	wi_loop_server_set(worker->loop, server, worker->index);
	worker->cpu = cpu;
	worker->gate = WI_GATE_SHUT;
	worker->is_ready = false;
	worker->has_ended = 0;
	return 0;
}

int wi_worker_start(struct wi_server_worker *worker, struct weir_error *error)
{
	struct weir_server *server = worker->server;
	struct weir_loop *loop = worker->loop;
	int err = worker_thread_create(worker);
	if (err < 0)
		return weir_error_set(error, err,
				      "cannot start the thread of loop %u: %s",
				      worker->index, strerror(-err));
	worker_await_ready(worker);
	if (worker->result < 0)
		return weir_error_set(error, worker->result,
				      "%s of loop %u: %s", worker->refusal,
				      worker->index, strerror(-worker->result));
	/* Only now is it known whether the thread could be pinned. */
	err = wi_steer_member_take(server->steer, worker->index, worker->cpu,
				   error);
	if (err < 0)
		return err;
	worker->is_member = true;
	wi_steer_counts(server->steer, worker->index, &worker->counts_before);
	wi_loop_join_steering(loop, server->steer, worker->index,
			      server->on_log, server->log_ctx);
	wi_loop_sample(loop, server->sample_interval, worker->cpu);
	return 0;
}

/* A stop walks over the workers without the lock, a snapshot with it. */
static void worker_show(struct wi_server_worker *worker, struct weir_loop *loop)
{
	struct weir_server *server = worker->server;
	(void)pthread_mutex_lock(&server->shown_lock);
	wi_store_seq_cst_pointer(&worker->shown, loop);
	(void)pthread_mutex_unlock(&server->shown_lock);
}

void wi_worker_run(struct wi_server_worker *worker)
{
	struct weir_server *server = worker->server;
	if (server->worker_end <= worker->index)
		wi_store_release_u32(&server->worker_end, worker->index + 1);
	worker_show(worker, worker->loop);
	worker_gate_set(worker, WI_GATE_OPEN);
	/* A stop that came before this loop was shown is seen here. */
	const uint32_t stops = wi_load_seq_cst_u32(&server->stop_requests);
	if (stops > 0)
		wi_loop_stop_to(worker->loop, stops);
}

int wi_worker_join(struct wi_server_worker *worker)
{
	if (!worker->is_started)
		return 0;
	if (worker->gate == WI_GATE_SHUT)
		worker_gate_set(worker, WI_GATE_GIVEN_UP);
	(void)pthread_join(worker->thread, NULL);
	worker->is_started = false;
	return worker->result;
}

void wi_worker_close(struct wi_server_worker *worker)
{
	struct weir_server *server = worker->server;
	assert(!worker->is_started);
	worker_show(worker, NULL);
	wi_server_await_stoppers(server);
	wi_worker_leave(worker);
	if (worker->is_member)
		wi_steer_member_give(server->steer, worker->index);
	worker->is_member = false;
	worker->has_stopped_accepting = false;
	weir_loop_close(worker->loop);
	worker->loop = NULL;
	worker->cpu = -1;
}
