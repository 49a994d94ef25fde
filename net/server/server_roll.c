/* server_roll.c - loops come and go, and steering changes, while it serves */
#include "server_priv.h"

#include <errno.h>
#include <string.h>

/* If no loop took connections, the kernel would give them to all. */
static bool worker_takes(const struct wi_server_worker *worker)
{
	return worker->loop != NULL && !worker->has_stopped_accepting &&
	       worker->server->steer->weights[worker->index] > 0;
}

static uint32_t accepting_count(const struct weir_server *server)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < server->worker_end; i++)
		count += worker_takes(&server->workers[i]);
	return count;
}

/* ---- steering ---------------------------------------------------------- */

int weir_server_steer(struct weir_server *server, enum weir_steer_policy policy,
		      struct weir_error *error)
{
	wi_server_lock(server);
	int err = wi_steer_set_policy(server->steer, policy, error);
	wi_server_unlock(server);
	return err;
}

static int weight_set(struct weir_server *server, uint32_t index,
		      uint32_t weight, struct weir_error *error)
{
	if (wi_server_worker(server, index, error) == NULL)
		return -ENOENT;
	if (weight > WEIR_STEER_WEIGHT_MAX)
		return weir_error_set(error, -EINVAL,
				      "a weight of %u asked for; the limit is "
				      "%d",
				      weight, WEIR_STEER_WEIGHT_MAX);
	if (weir_steer_means(server->steer) != WEIR_STEER_BY_EBPF)
		return weir_error_set(
			error, -EOPNOTSUPP,
			"weights need the steering program; %s "
			"knows none",
			weir_steer_means_name(weir_steer_means(server->steer)));
	if (weight == 0 && worker_takes(&server->workers[index]) &&
	    accepting_count(server) == 1)
		return weir_error_set(error, -EBUSY,
				      "loop %u is the last one that accepts: "
				      "add or resume another first",
				      index);
	(void)pthread_mutex_lock(&server->shown_lock);
	wi_steer_set_weight(server->steer, index, weight);
	(void)pthread_mutex_unlock(&server->shown_lock);
	return 0;
}

int weir_server_set_weight(struct weir_server *server, uint32_t index,
			   uint32_t weight, struct weir_error *error)
{
	wi_server_lock(server);
	int err = weight_set(server, index, weight, error);
	wi_server_unlock(server);
	return err;
}

/* ---- drain and resume -------------------------------------------------- */

static bool server_stops(const struct weir_server *server)
{
	return server->is_joined ||
	       wi_load_seq_cst_u32(&server->stop_requests) > 0;
}

static int stops_explain(struct weir_error *error)
{
	return weir_error_set(error, -ESHUTDOWN, "the server stops");
}

static void worker_drained_set(struct wi_server_worker *worker,
			       bool has_stopped_accepting)
{
	(void)pthread_mutex_lock(&worker->server->shown_lock);
	worker->has_stopped_accepting = has_stopped_accepting;
	(void)pthread_mutex_unlock(&worker->server->shown_lock);
}

static int worker_stop_accepting(struct wi_server_worker *worker,
				 struct weir_error *error)
{
	struct weir_server *server = worker->server;
	if (worker->has_stopped_accepting)
		return 0;
	if (accepting_count(server) == 1 && worker_takes(worker))
		return weir_error_set(error, -EBUSY,
				      "loop %u is the last one that accepts: "
				      "add or resume another first",
				      worker->index);
	/* First no new clients, then the clients that wait. */
	wi_steer_set_accepting_none(server->steer, worker->index, true);
	wi_worker_listen_end(worker);
	worker_drained_set(worker, true);
	return 0;
}

int weir_server_stop_accepting(struct weir_server *server, uint32_t index,
			       struct weir_error *error)
{
	wi_server_lock(server);
	struct wi_server_worker *worker =
		wi_server_worker(server, index, error);
	int err =
		worker != NULL ? worker_stop_accepting(worker, error) : -ENOENT;
	wi_server_unlock(server);
	return err;
}

static int worker_resume(struct wi_server_worker *worker,
			 struct weir_error *error)
{
	struct weir_server *server = worker->server;
	if (!worker->has_stopped_accepting)
		return 0;
	if (server_stops(server) ||
	    wi_load_acquire_u32(&worker->has_ended) != 0)
		return stops_explain(error);
	int err = wi_worker_listen_again(worker, error);
	if (err < 0)
		return err;
	wi_steer_set_accepting_none(server->steer, worker->index, false);
	worker_drained_set(worker, false);
	/* If the server stops meanwhile, no thread may be left to shut them
	 * down. */
	if (server_stops(server))
		wi_worker_listen_end(worker);
	return 0;
}

int weir_server_resume_accepting(struct weir_server *server, uint32_t index,
				 struct weir_error *error)
{
	wi_server_lock(server);
	struct wi_server_worker *worker =
		wi_server_worker(server, index, error);
	int err = worker != NULL ? worker_resume(worker, error) : -ENOENT;
	wi_server_unlock(server);
	return err;
}

/* ---- add and remove ---------------------------------------------------- */

static struct wi_server_worker *worker_find_empty(struct weir_server *server)
{
	for (uint32_t i = 0; i < server->worker_count; i++)
		if (server->workers[i].loop == NULL)
			return &server->workers[i];
	return NULL;
}

static int worker_fill(struct wi_server_worker *worker, int cpu,
		       struct weir_error *error)
{
	int err = wi_worker_open(worker, cpu, error);
	if (err < 0)
		return err;
	err = wi_worker_start(worker, error);
	if (err == 0)
		err = wi_worker_listen(worker, error);
	if (err < 0) {
		(void)wi_worker_join(worker); /* it has not run */
		wi_worker_close(worker);
		return err;
	}
	wi_worker_run(worker);
	return 0;
}

static int server_add(struct weir_server *server, int cpu,
		      struct weir_error *error)
{
	if (server_stops(server))
		return stops_explain(error);
	if (cpu >= CPU_SETSIZE)
		return weir_error_set(error, -EINVAL, "there is no CPU %d",
				      cpu);
	struct wi_server_worker *worker = worker_find_empty(server);
	if (worker == NULL)
		return weir_error_set(error, -ENOSPC,
				      "there are %u loops, and no more were "
				      "planned for: raise loop_count_max",
				      server->worker_count);
	if (cpu < 0)
		cpu = wi_server_cpu_pick(server, worker->index);
	int err = worker_fill(worker, cpu, error);
	return err < 0 ? err : (int)worker->index;
}

int weir_server_add_loop(struct weir_server *server, int cpu,
			 struct weir_error *error)
{
	wi_server_lock(server);
	int result = server_add(server, cpu, error);
	wi_server_unlock(server);
	return result;
}

static int worker_remove(struct wi_server_worker *worker,
			 struct weir_error *error)
{
	int err = worker_stop_accepting(worker, error);
	if (err < 0)
		return err;
	wi_loop_stop_to(worker->loop, 1);
	err = wi_worker_join(worker);
	if (err < 0)
		(void)weir_error_set(error, err, "loop %u ended with %s",
				     worker->index, strerror(-err));
	wi_worker_close(worker);
	return err;
}

int weir_server_remove_loop(struct weir_server *server, uint32_t index,
			    struct weir_error *error)
{
	wi_server_lock(server);
	struct wi_server_worker *worker =
		wi_server_worker(server, index, error);
	int err = worker != NULL ? worker_remove(worker, error) : -ENOENT;
	wi_server_unlock(server);
	return err;
}
