/* server_seat.c - one loop and its thread: open, start, run, join, close */
#include "server_priv.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* ---- the thread -------------------------------------------------------- */

static void seat_pin(struct wi_server_seat *seat)
{
	cpu_set_t one;
	if (seat->cpu < 0)
		return;
	CPU_ZERO(&one);
	CPU_SET(seat->cpu, &one);
	if (pthread_setaffinity_np(pthread_self(), sizeof(one), &one) != 0)
		seat->cpu = -1; /* it serves all the same */
}

static enum wi_gate seat_wait_at_gate(struct wi_server_seat *seat)
{
	struct weir_server *server = seat->server;
	(void)pthread_mutex_lock(&server->gate_lock);
	seat->is_ready = true;
	(void)pthread_cond_broadcast(&server->gate_moved);
	while (seat->gate == WI_GATE_SHUT)
		(void)pthread_cond_wait(&server->gate_moved,
					&server->gate_lock);
	const enum wi_gate gate = seat->gate;
	(void)pthread_mutex_unlock(&server->gate_lock);
	return gate;
}

static void seat_await_ready(struct wi_server_seat *seat)
{
	struct weir_server *server = seat->server;
	(void)pthread_mutex_lock(&server->gate_lock);
	while (!seat->is_ready)
		(void)pthread_cond_wait(&server->gate_moved,
					&server->gate_lock);
	(void)pthread_mutex_unlock(&server->gate_lock);
}

static void seat_gate_set(struct wi_server_seat *seat, enum wi_gate gate)
{
	struct weir_server *server = seat->server;
	(void)pthread_mutex_lock(&server->gate_lock);
	seat->gate = gate;
	if (gate == WI_GATE_OPEN)
		server->live_count++;
	(void)pthread_cond_broadcast(&server->gate_moved);
	(void)pthread_mutex_unlock(&server->gate_lock);
}

static void seat_live_no_more(struct wi_server_seat *seat)
{
	struct weir_server *server = seat->server;
	wi_store_release_u32(&seat->has_ended, 1);
	wi_event_raise(wi_loop_kernel(seat->loop),
		       &wi_loop_listeners(seat->loop)->acks);
	(void)pthread_mutex_lock(&server->gate_lock);
	server->live_count--;
	(void)pthread_cond_broadcast(&server->gate_moved);
	(void)pthread_mutex_unlock(&server->gate_lock);
}

static int seat_enable(struct wi_server_seat *seat)
{
	seat->refusal = "cannot enable the ring";
	int err = wi_loop_take_ring(seat->loop);
	if (err < 0)
		return err;
	seat->refusal = "on_start refuses the start";
	return wi_loop_start(seat->loop);
}

static void *seat_main(void *arg)
{
	struct wi_server_seat *seat = arg;
	seat_pin(seat);
	seat->result = seat_enable(seat);
	if (seat_wait_at_gate(seat) == WI_GATE_GIVEN_UP) {
		wi_loop_stopped(seat->loop);
		return NULL;
	}
	seat->result = weir_loop_run(seat->loop);
	/* Connections would still be steered to a loop that is gone: a server
	 * that has lost one ends, and join tells why. */
	if (seat->result < 0) {
		wi_listeners_shut(wi_loop_listeners(seat->loop));
		if (wi_load_seq_cst_u32(&seat->server->stop_requests) == 0)
			weir_server_stop(seat->server);
	}
	seat_live_no_more(seat);
	return NULL;
}

/* Signals are for the thread that knows what to do with them. */
static int seat_thread_create(struct wi_server_seat *seat)
{
	sigset_t all;
	sigset_t before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = -pthread_create(&seat->thread, NULL, seat_main, seat);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	seat->is_started = err == 0;
	return err;
}

/* ---- the seat ---------------------------------------------------------- */

int wi_seat_open(struct wi_server_seat *seat, int cpu, struct weir_error *error)
{
	struct weir_server *server = seat->server;
	assert(seat->loop == NULL);
	int err = weir_loop_open(&seat->loop, &server->loop_opts, error);
	if (err < 0)
		return err;
	wi_loop_server_set(seat->loop, server, seat->index);
	seat->cpu = cpu;
	seat->gate = WI_GATE_SHUT;
	seat->is_ready = false;
	seat->has_ended = 0;
	return 0;
}

int wi_seat_start(struct wi_server_seat *seat, struct weir_error *error)
{
	struct weir_server *server = seat->server;
	struct weir_loop *loop = seat->loop;
	int err = seat_thread_create(seat);
	if (err < 0)
		return weir_error_set(error, err,
				      "cannot start the thread of loop %u: %s",
				      seat->index, strerror(-err));
	seat_await_ready(seat);
	if (seat->result < 0)
		return weir_error_set(error, seat->result, "%s of loop %u: %s",
				      seat->refusal, seat->index,
				      strerror(-seat->result));
	/* Only now is it known whether it could be pinned. */
	err = wi_steer_seat_take(server->steer, seat->index, seat->cpu, error);
	if (err < 0)
		return err;
	seat->is_seated = true;
	wi_steer_counts(server->steer, seat->index, &seat->counts_before);
	wi_loop_join_steering(loop, server->steer, seat->index, server->on_log,
			      server->log_ctx);
	wi_loop_sample(loop, server->sample_interval, seat->cpu);
	return 0;
}

/* Stop walks over the seats without a lock, and snapshots with one. */
static void seat_show(struct wi_server_seat *seat, struct weir_loop *loop)
{
	struct weir_server *server = seat->server;
	(void)pthread_mutex_lock(&server->shown_lock);
	wi_store_seq_cst_pointer(&seat->shown, loop);
	(void)pthread_mutex_unlock(&server->shown_lock);
}

void wi_seat_run(struct wi_server_seat *seat)
{
	struct weir_server *server = seat->server;
	if (server->seat_end <= seat->index)
		wi_store_release_u32(&server->seat_end, seat->index + 1);
	seat_show(seat, seat->loop);
	seat_gate_set(seat, WI_GATE_OPEN);
	/* A stop that did not see this loop is seen here. */
	const uint32_t stops = wi_load_seq_cst_u32(&server->stop_requests);
	if (stops > 0)
		wi_loop_stop_to(seat->loop, stops);
}

int wi_seat_join(struct wi_server_seat *seat)
{
	if (!seat->is_started)
		return 0;
	if (seat->gate == WI_GATE_SHUT)
		seat_gate_set(seat, WI_GATE_GIVEN_UP);
	(void)pthread_join(seat->thread, NULL);
	seat->is_started = false;
	return seat->result;
}

void wi_seat_close(struct wi_server_seat *seat)
{
	struct weir_server *server = seat->server;
	assert(!seat->is_started);
	seat_show(seat, NULL);
	wi_server_await_stoppers(server);
	wi_seat_leave(seat);
	if (seat->is_seated)
		wi_steer_seat_give(server->steer, seat->index);
	seat->is_seated = false;
	seat->is_drained = false;
	weir_loop_close(seat->loop);
	seat->loop = NULL;
	seat->cpu = -1;
}
