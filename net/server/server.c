/* server.c - N loops on N threads: start, stop, join
 *
 * Start is all or nothing: every ring, every thread and every listener, or one
 * error and nothing left behind. No thread runs its loop before all listeners
 * have been made, and steering changes over last. So no connection can get to a
 * socket that no loop serves.
 */
#include "../server.h"

#include "server_priv.h"

#include <errno.h>
#include <stdlib.h>

enum { LOOP_COUNT_MAX_DEFAULT = 64 };

void wi_server_lock(struct weir_server *server)
{
	(void)pthread_mutex_lock(&server->control);
}

void wi_server_unlock(struct weir_server *server)
{
	(void)pthread_mutex_unlock(&server->control);
}

struct wi_server_worker *wi_server_worker(struct weir_server *server,
					  uint32_t index,
					  struct weir_error *error)
{
	if (index < server->worker_count && server->workers[index].loop != NULL)
		return &server->workers[index];
	(void)weir_error_set(error, -ENOENT, "there is no loop %u", index);
	return NULL;
}

/* ---- CPUs -------------------------------------------------------------- */

static uint32_t cpus_usable(cpu_set_t *out_set)
{
	CPU_ZERO(out_set);
	if (pthread_getaffinity_np(pthread_self(), sizeof(*out_set), out_set) !=
	    0)
		return 1; /* more CPUs than the set holds: one loop, unpinned */
	return (uint32_t)CPU_COUNT(out_set);
}

int wi_server_cpu_pick(const struct weir_server *server, uint32_t index)
{
	const uint32_t count = (uint32_t)CPU_COUNT(&server->cpus);
	if (server->is_unpinned || count == 0)
		return -1;
	uint32_t left = index % count;
	for (int cpu = 0;; cpu++) {
		assert(cpu < CPU_SETSIZE); /* there are count of them */
		/* coverage: cpu-beyond-the-set */
		if (CPU_ISSET((size_t)cpu, &server->cpus) && left-- == 0)
			return cpu;
	}
}

/* ---- open -------------------------------------------------------------- */

static struct weir_server *server_make(uint32_t worker_count)
{
	struct weir_server *server = calloc(
		1, sizeof(*server) +
			   worker_count * sizeof(struct wi_server_worker));
	if (server == NULL)
		return NULL;
	server->worker_count = worker_count;
	(void)pthread_mutex_init(&server->control, NULL);
	(void)pthread_mutex_init(&server->shown_lock, NULL);
	(void)pthread_mutex_init(&server->gate_lock, NULL);
	(void)pthread_cond_init(&server->gate_moved, NULL);
	for (uint32_t i = 0; i < worker_count; i++) {
		server->workers[i].server = server;
		server->workers[i].index = i;
		server->workers[i].cpu = -1;
	}
	return server;
}

static void server_free(struct weir_server *server)
{
	(void)pthread_cond_destroy(&server->gate_moved);
	(void)pthread_mutex_destroy(&server->gate_lock);
	(void)pthread_mutex_destroy(&server->shown_lock);
	(void)pthread_mutex_destroy(&server->control);
	free(server);
}

static int steer_find(struct weir_server *server,
		      const struct weir_server_opts *opts,
		      struct weir_error *error)
{
	if (opts->steer != NULL) {
		const uint32_t groups = opts->steer->opts.group_count;
		if (groups < server->addr_count)
			return weir_error_set(
				error, -EINVAL,
				"steering was opened for %u addresses, and "
				"there are %u",
				groups, server->addr_count);
		/* A loop joins steering once all its listeners have. */
		opts->steer->opts.group_count = server->addr_count;
		server->steer = opts->steer;
		return 0;
	}
	struct weir_steer_opts steering = opts->steering;
	steering.group_count = server->addr_count;
	steering.kernel = opts->loop.ring.kernel;
	steering.forced_off |= opts->loop.ring.forced_off;
	/* It chooses by the index in the group, and other processes change
	 * that. */
	if (opts->joins_group)
		steering.forced_off |= weir_rung_bit(WEIR_RUNG_STEER_CBPF);
	server->owns_steer = true;
	return weir_steer_open(&server->steer, &steering, error);
}

static int server_start(struct weir_server *server, uint32_t loop_count,
			struct weir_error *error)
{
	struct wi_server_worker *workers = server->workers;
	int err = 0;
	for (uint32_t i = 0; i < loop_count && err == 0; i++)
		err = wi_worker_open(&workers[i], wi_server_cpu_pick(server, i),
				     error);
	if (err < 0)
		return err;
	err = wi_server_addrs_probe(server, wi_loop_kernel(workers[0].loop),
				    error);
	for (uint32_t i = 0; i < loop_count && err == 0; i++)
		err = wi_worker_start(&workers[i], error);
	for (uint32_t i = 0; i < loop_count && err == 0; i++)
		err = wi_worker_listen(&workers[i], error);
	if (err < 0)
		return err;
	return wi_steer_attach(server->steer, error);
}

/* Keeps the options that are needed after the start. */
static void server_keep(struct weir_server *server,
			const struct weir_server_opts *opts)
{
	server->joins_group = opts->joins_group;
	server->is_unpinned = opts->is_unpinned;
	server->sample_interval = opts->sample_interval;
	server->on_log = opts->on_log;
	server->log_ctx = opts->log_ctx;
	server->loop_opts = opts->loop;
	server->kernel = opts->loop.ring.kernel != NULL ? opts->loop.ring.kernel
							: weir_kernel_default();
}

static int counts_resolve(const struct weir_server_opts *opts,
			  uint32_t cpu_count, uint32_t *out_loop_count,
			  uint32_t *out_worker_count, struct weir_error *error)
{
	uint32_t loop_count = opts->loop_count;
	if (loop_count == 0)
		loop_count = cpu_count;
	uint32_t worker_count = opts->loop_count_max;
	if (worker_count == 0)
		worker_count = loop_count > LOOP_COUNT_MAX_DEFAULT
				       ? loop_count
				       : LOOP_COUNT_MAX_DEFAULT;
	if (loop_count > WEIR_STEER_LOOPS_MAX ||
	    worker_count > WEIR_STEER_LOOPS_MAX)
		return weir_error_set(
			error, -EINVAL, "%u loops asked for; the limit is %d",
			loop_count > worker_count ? loop_count : worker_count,
			WEIR_STEER_LOOPS_MAX);
	if (loop_count > worker_count)
		return weir_error_set(error, -EINVAL,
				      "%u loops asked for, and %u at most",
				      loop_count, worker_count);
	*out_loop_count = loop_count;
	*out_worker_count = worker_count;
	return 0;
}

static void server_run(struct weir_server *server, uint32_t loop_count)
{
	wi_server_lock(server);
	for (uint32_t i = 0; i < loop_count; i++)
		wi_worker_run(&server->workers[i]);
	wi_server_unlock(server);
}

int weir_server_open(struct weir_server **out_server,
		     const struct weir_server_opts *opts,
		     struct weir_error *error)
{
	cpu_set_t cpus;
	uint32_t loop_count = 0;
	uint32_t worker_count = 0;
	int err = counts_resolve(opts, cpus_usable(&cpus), &loop_count,
				 &worker_count, error);
	if (err < 0)
		return err;
	struct weir_server *server = server_make(worker_count);
	if (server == NULL)
		return weir_error_set(error, -ENOMEM, "no memory for %u loops",
				      worker_count);
	server->cpus = cpus;
	server_keep(server, opts);
	err = wi_server_addrs_parse(server, opts, error);
	if (err == 0)
		err = steer_find(server, opts, error);
	if (err == 0)
		err = server_start(server, loop_count, error);
	if (err < 0) {
		(void)weir_server_join(server); /* none has run */
		weir_server_close(server);
		return err;
	}
	*out_server = server; /* before the first handler, which may read it */
	server_run(server, loop_count);
	return 0;
}

/* ---- the end ----------------------------------------------------------- */

void weir_server_stop(struct weir_server *server)
{
	/* Each loop must get as many requests as the server, even if several
	 * threads stop it. A loop that is being added reads the count. */
	const uint32_t count =
		wi_add_fetch_seq_cst_u32(&server->stop_requests, 1);
	(void)wi_add_fetch_seq_cst_u32(&server->stoppers, 1);
	for (uint32_t i = 0; i < server->worker_count; i++) {
		struct weir_loop *loop =
			wi_load_seq_cst_pointer(&server->workers[i].shown);
		if (loop != NULL)
			wi_loop_stop_to(loop, count);
	}
	wi_server_stopper_leave(server);
}

void wi_server_stopper_leave(struct weir_server *server)
{
	/* The server may be closed and freed as soon as this stopper has
	 * left. */
	const struct weir_kernel *kernel = server->kernel;
	uint32_t *stoppers = &server->stoppers;
	if (wi_sub_fetch_seq_cst_u32(stoppers, 1) == 0)
		(void)kernel->wake(kernel->ctx, stoppers); /* cannot fail */
}

void wi_server_await_stoppers(struct weir_server *server)
{
	const struct weir_kernel *kernel = server->kernel;
	uint32_t count = wi_load_seq_cst_u32(&server->stoppers);
	while (count > 0) {
		(void)kernel->wait(kernel->ctx, &server->stoppers, count);
		count = wi_load_seq_cst_u32(&server->stoppers);
	}
}

static void server_await_end(struct weir_server *server)
{
	(void)pthread_mutex_lock(&server->gate_lock);
	while (server->live_count > 0)
		(void)pthread_cond_wait(&server->gate_moved,
					&server->gate_lock);
	(void)pthread_mutex_unlock(&server->gate_lock);
}

static bool server_is_live(struct weir_server *server)
{
	(void)pthread_mutex_lock(&server->gate_lock);
	const bool is_live = server->live_count > 0;
	(void)pthread_mutex_unlock(&server->gate_lock);
	return is_live;
}

/* Waits without the control lock, so that loops may come and go meanwhile. Once
 * it has the lock, no thread is adding a loop. */
static void server_lock_ended(struct weir_server *server)
{
	server_await_end(server);
	wi_server_lock(server);
	while (server_is_live(server)) {
		wi_server_unlock(server);
		server_await_end(server);
		wi_server_lock(server);
	}
	server->is_joined = true; /* none is added from here on */
}

int weir_server_join(struct weir_server *server)
{
	int result = 0;
	server_lock_ended(server);
	for (uint32_t i = 0; i < server->worker_count; i++) {
		int err = wi_worker_join(&server->workers[i]);
		if (result == 0)
			result = err;
	}
	wi_server_unlock(server);
	return result;
}

void weir_server_close(struct weir_server *server)
{
	if (server == NULL)
		return;
	for (uint32_t i = 0; i < server->worker_count; i++)
		if (server->workers[i].loop != NULL)
			wi_worker_close(&server->workers[i]);
	if (server->owns_steer)
		weir_steer_close(server->steer);
	server_free(server);
}
