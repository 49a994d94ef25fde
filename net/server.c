/* server.c - N loops on N threads: start, stop, join
 *
 * Start is all or nothing: every ring, every listener and every thread, or one
 * error and nothing left behind. Listeners are made before the first thread
 * runs, so that no connection can land on a socket that nobody serves.
 */
#include "server.h"

#include "loop_priv.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { LOOP_COUNT_MAX = 1024 };

struct server_seat {
	struct weir_server *server;
	struct weir_loop *loop;
	pthread_t thread;
	bool is_running;
	int cpu;    /* or -1 */
	int result; /* of weir_loop_enable(), then of weir_loop_run() */
};

/* A thread takes its ring, says so, and waits here until all of them have, or
 * until the start is given up. */
enum gate { GATE_SHUT = 0, GATE_OPEN, GATE_GIVEN_UP };

struct weir_server {
	struct weir_addr addr;
	uint32_t loop_count;
	pthread_mutex_t gate_lock;
	pthread_cond_t gate_moved;
	enum gate gate;
	uint32_t
		ready_count; /* threads that have taken their ring, or failed */
	struct server_seat seats[]; /* loop_count of them */
};

/* ---- CPUs -------------------------------------------------------------- */

static uint32_t cpus_usable(cpu_set_t *out_set)
{
	CPU_ZERO(out_set);
	if (sched_getaffinity(0, sizeof(*out_set), out_set) < 0)
		return 1; /* more CPUs than the set holds: one loop, unpinned */
	return (uint32_t)CPU_COUNT(out_set);
}

/* The @index-th CPU of the set, going round; -1 if it is empty. */
static int cpu_pick(const cpu_set_t *set, uint32_t index)
{
	uint32_t count = (uint32_t)CPU_COUNT(set);
	if (count == 0)
		return -1;
	uint32_t left = index % count;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, set) && left-- == 0)
			return cpu;
	return -1;
}

/* ---- threads ----------------------------------------------------------- */

static void seat_pin(struct server_seat *seat)
{
	cpu_set_t one;
	if (seat->cpu < 0)
		return;
	CPU_ZERO(&one);
	CPU_SET(seat->cpu, &one);
	if (pthread_setaffinity_np(pthread_self(), sizeof(one), &one) != 0)
		seat->cpu = -1; /* it serves all the same */
}

static enum gate gate_wait(struct weir_server *server)
{
	(void)pthread_mutex_lock(&server->gate_lock);
	server->ready_count++;
	(void)pthread_cond_broadcast(&server->gate_moved);
	while (server->gate == GATE_SHUT)
		(void)pthread_cond_wait(&server->gate_moved,
					&server->gate_lock);
	enum gate gate = server->gate;
	(void)pthread_mutex_unlock(&server->gate_lock);
	return gate;
}

static void gate_await_ready(struct weir_server *server, uint32_t count)
{
	(void)pthread_mutex_lock(&server->gate_lock);
	while (server->ready_count < count)
		(void)pthread_cond_wait(&server->gate_moved,
					&server->gate_lock);
	(void)pthread_mutex_unlock(&server->gate_lock);
}

static void gate_set(struct weir_server *server, enum gate gate)
{
	(void)pthread_mutex_lock(&server->gate_lock);
	server->gate = gate;
	(void)pthread_cond_broadcast(&server->gate_moved);
	(void)pthread_mutex_unlock(&server->gate_lock);
}

static void *seat_main(void *arg)
{
	struct server_seat *seat = arg;
	seat_pin(seat);
	seat->result = weir_loop_enable(seat->loop);
	if (gate_wait(seat->server) == GATE_GIVEN_UP)
		return NULL;
	seat->result = weir_loop_run(seat->loop);
	/* Connections would still be steered to a loop that is gone: a server
	 * that has lost one ends, and join tells why. */
	if (seat->result < 0)
		weir_server_stop(seat->server);
	return NULL;
}

/* Signals are for the thread that knows what to do with them. */
static int seat_start(struct server_seat *seat)
{
	sigset_t all;
	sigset_t before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = -pthread_create(&seat->thread, NULL, seat_main, seat);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	seat->is_running = err == 0;
	return err;
}

/* ---- listeners --------------------------------------------------------- */

static int listen_explain(const struct weir_addr *addr, int err,
			  struct weir_error *error)
{
	char text[WEIR_ADDR_TEXT_BYTES];
	(void)weir_addr_text(addr, text);
	switch (err) {
	case -EADDRINUSE:
		return weir_error_set(error, err,
				      "%s is in use by another socket: stop "
				      "it or choose another port",
				      text);
	case -EACCES:
		return weir_error_set(
			error, err,
			"no permission to bind %s: ports below "
			"net.ipv4.ip_unprivileged_port_start need "
			"CAP_NET_BIND_SERVICE; choose a higher one",
			text);
	case -EADDRNOTAVAIL:
		return weir_error_set(error, err,
				      "%s is no address of this host: see "
				      "`ip address`",
				      text);
	default:
		return weir_error_set(error, err, "cannot listen on %s: %s",
				      text, strerror(-err));
	}
}

static int listener_make(struct weir_server *server,
			 const struct weir_loop *loop, bool joins_group,
			 struct weir_error *error)
{
	struct weir_listen_request request = {
		.address = server->addr.storage,
		.address_bytes = server->addr.bytes,
		.backlog = (int)weir_loop_backlog(loop),
		.joins_group = joins_group,
	};
	int fd = loop->kernel->listen(loop->kernel->ctx, &request);
	if (fd < 0)
		return listen_explain(&server->addr, fd, error);
	/* Port 0 is chosen once; the other listeners take the same. */
	server->addr.storage = request.address;
	return fd;
}

/* Members of a group share a port without a word, so a stranger on it would
 * not be noticed: bind it alone first. */
static int listeners_probe(struct weir_server *server, struct weir_error *error)
{
	const struct weir_loop *loop = server->seats[0].loop;
	int fd = listener_make(server, loop, false, error);
	if (fd < 0)
		return fd;
	(void)loop->kernel->close(loop->kernel->ctx, fd);
	return 0;
}

static int listeners_open(struct weir_server *server,
			  const struct weir_server_opts *opts,
			  struct weir_error *error)
{
	if (!opts->joins_group) {
		int err = listeners_probe(server, error);
		if (err < 0)
			return err;
	}
	for (uint32_t i = 0; i < server->loop_count; i++) {
		struct weir_loop *loop = server->seats[i].loop;
		int fd = listener_make(server, loop, true, error);
		if (fd < 0)
			return fd;
		weir_loop_listen(loop, fd);
	}
	return 0;
}

/* ---- the server -------------------------------------------------------- */

static int loops_open(struct weir_server *server,
		      const struct weir_server_opts *opts,
		      const struct weir_handlers *handlers, void *ctx,
		      struct weir_error *error)
{
	for (uint32_t i = 0; i < server->loop_count; i++) {
		struct server_seat *seat = &server->seats[i];
		int err = weir_loop_open(&seat->loop, &opts->loop, handlers,
					 ctx, error);
		if (err < 0)
			return err;
		seat->loop->index = i;
	}
	return 0;
}

static int threads_start(struct weir_server *server, struct weir_error *error)
{
	for (uint32_t i = 0; i < server->loop_count; i++) {
		int err = seat_start(&server->seats[i]);
		if (err < 0)
			return weir_error_set(error, err,
					      "cannot start thread %u of %u: "
					      "%s",
					      i + 1, server->loop_count,
					      strerror(-err));
	}
	gate_await_ready(server, server->loop_count);
	for (uint32_t i = 0; i < server->loop_count; i++) {
		int err = server->seats[i].result;
		if (err < 0)
			return weir_error_set(
				error, err, "cannot enable ring %u of %u: %s",
				i + 1, server->loop_count, strerror(-err));
	}
	return 0;
}

static struct weir_server *server_make(uint32_t loop_count)
{
	struct weir_server *server = calloc(
		1, sizeof(*server) + loop_count * sizeof(struct server_seat));
	if (server == NULL)
		return NULL;
	server->loop_count = loop_count;
	(void)pthread_mutex_init(&server->gate_lock, NULL);
	(void)pthread_cond_init(&server->gate_moved, NULL);
	for (uint32_t i = 0; i < loop_count; i++)
		server->seats[i].server = server;
	return server;
}

static int server_start(struct weir_server *server,
			const struct weir_server_opts *opts,
			const struct weir_handlers *handlers, void *ctx,
			struct weir_error *error)
{
	int err = loops_open(server, opts, handlers, ctx, error);
	if (err < 0)
		return err;
	err = listeners_open(server, opts, error);
	if (err < 0)
		return err;
	return threads_start(server, error);
}

int weir_server_open(struct weir_server **out_server,
		     const struct weir_server_opts *opts,
		     const struct weir_handlers *handlers, void *ctx,
		     struct weir_error *error)
{
	static const struct weir_server_opts defaults;
	if (opts == NULL)
		opts = &defaults;
	const char *address = opts->address != NULL ? opts->address : "0.0.0.0";
	struct weir_addr addr;
	cpu_set_t cpus;
	uint32_t loop_count = cpus_usable(&cpus);

	if (opts->loop_count != 0)
		loop_count = opts->loop_count;
	if (loop_count > LOOP_COUNT_MAX)
		return weir_error_set(error, -EINVAL,
				      "%u loops asked for; the limit is %d",
				      loop_count, LOOP_COUNT_MAX);
	if (weir_addr_parse(address, opts->port, &addr) < 0)
		return weir_error_set(error, -EINVAL,
				      "'%s' is no numeric IPv4 or IPv6 address",
				      address);

	struct weir_server *server = server_make(loop_count);
	if (server == NULL)
		return weir_error_set(error, -ENOMEM, "no memory for %u loops",
				      loop_count);
	server->addr = addr;
	for (uint32_t i = 0; i < loop_count; i++)
		server->seats[i].cpu =
			opts->is_unpinned ? -1 : cpu_pick(&cpus, i);

	int err = server_start(server, opts, handlers, ctx, error);
	gate_set(server, err < 0 ? GATE_GIVEN_UP : GATE_OPEN);
	if (err < 0) {
		(void)weir_server_join(server); /* none has run */
		weir_server_close(server);
		return err;
	}
	*out_server = server;
	return 0;
}

void weir_server_stop(struct weir_server *server)
{
	for (uint32_t i = 0; i < server->loop_count; i++)
		weir_loop_stop(server->seats[i].loop);
}

int weir_server_join(struct weir_server *server)
{
	int result = 0;
	for (uint32_t i = 0; i < server->loop_count; i++) {
		struct server_seat *seat = &server->seats[i];
		if (!seat->is_running)
			continue;
		(void)pthread_join(seat->thread, NULL);
		seat->is_running = false;
		if (result == 0)
			result = seat->result;
	}
	return result;
}

void weir_server_close(struct weir_server *server)
{
	if (server == NULL)
		return;
	for (uint32_t i = 0; i < server->loop_count; i++)
		weir_loop_close(server->seats[i].loop);
	(void)pthread_cond_destroy(&server->gate_moved);
	(void)pthread_mutex_destroy(&server->gate_lock);
	free(server);
}

uint16_t weir_server_port(const struct weir_server *server)
{
	return weir_addr_port(&server->addr);
}

uint32_t weir_server_loop_count(const struct weir_server *server)
{
	return server->loop_count;
}

const struct weir_loop *weir_server_loop(const struct weir_server *server,
					 uint32_t index)
{
	assert(index < server->loop_count);
	return server->seats[index].loop;
}

int weir_server_cpu(const struct weir_server *server, uint32_t index)
{
	assert(index < server->loop_count);
	return server->seats[index].cpu;
}
