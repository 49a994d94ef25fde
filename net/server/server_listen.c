/* server_listen.c - addresses, and the listeners that a worker has on them
 *
 * The listeners on one address are one SO_REUSEPORT group, with one listener of
 * each loop. The index of an address is also that of its group, and that of the
 * listener in its loop.
 */
#include "listen_socket.h"
#include "server_priv.h"

#include <errno.h>
#include <string.h>

/* ---- addresses --------------------------------------------------------- */

static int addr_parse(const char *address, uint16_t port,
		      struct weir_addr *out_addr, struct weir_error *error)
{
	if (address == NULL)
		address = "0.0.0.0";
	if (weir_addr_parse(address, port, out_addr) < 0)
		return weir_error_set(error, -EINVAL,
				      "'%s' is no numeric IPv4 or IPv6 address",
				      address);
	return 0;
}

int wi_server_addrs_parse(struct weir_server *server,
			  const struct weir_server_opts *opts,
			  struct weir_error *error)
{
	int err = 0;
	if (opts->listen_count == 0)
		return weir_error_set(error, -EINVAL,
				      "no address asked for: "
				      "weir_server_opts.listen is empty");
	if (opts->listen_count > WEIR_STEER_GROUPS_MAX)
		return weir_error_set(error, -EINVAL,
				      "%u addresses asked for; the limit is %d",
				      opts->listen_count,
				      WEIR_STEER_GROUPS_MAX);
	for (uint32_t i = 0; i < opts->listen_count && err == 0; i++) {
		const struct weir_listen *listen = &opts->listen[i];
		server->services[i] = listen->service;
		err = weir_service_check(listen->service, error);
		if (err == 0)
			err = addr_parse(listen->address, listen->port,
					 &server->addrs[i], error);
	}
	if (err < 0)
		return err;
	server->addr_count = opts->listen_count;
	for (uint32_t i = 0; i < server->addr_count; i++)
		if (server->addrs[i].storage.ss_family == AF_INET)
			server->is_v6_only = true;
	return 0;
}

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

static int listener_make(struct weir_server *server, uint32_t group,
			 const struct weir_kernel *kernel, int backlog,
			 bool joins_group, struct weir_error *error)
{
	struct weir_addr *addr = &server->addrs[group];
	const struct wi_listen_request request = {
		.addr = *addr,
		.backlog = backlog,
		.is_v6_only = server->is_v6_only,
		.joins_group = joins_group,
	};
	struct weir_addr bound;
	int fd = wi_listen_socket_open(kernel, &request, &bound);
	if (fd < 0)
		return listen_explain(addr, fd, error);
	if (weir_addr_port(addr) == 0) /* other threads read it, so only once */
		addr->storage = bound.storage;
	return fd;
}

/* The kernel would take two groups on one address for one group. */
static int addrs_check_distinct(const struct weir_server *server,
				struct weir_error *error)
{
	char texts[2][WEIR_ADDR_TEXT_BYTES];
	for (uint32_t i = 0; i < server->addr_count; i++) {
		(void)weir_addr_text(&server->addrs[i], texts[0]);
		for (uint32_t j = 0; j < i; j++) {
			(void)weir_addr_text(&server->addrs[j], texts[1]);
			if (strcmp(texts[0], texts[1]) == 0)
				return weir_error_set(error, -EINVAL,
						      "%s is asked for twice",
						      texts[0]);
		}
	}
	return 0;
}

/* Members of a group share a port silently, so a foreign socket on it would not
 * be noticed: bind the port alone first. That also resolves port 0. No listener
 * may be bound to port 0, because it would lose its port in a shutdown. */
int wi_server_addrs_probe(struct weir_server *server,
			  const struct weir_kernel *kernel,
			  struct weir_error *error)
{
	for (uint32_t i = 0; i < server->addr_count; i++) {
		if (server->joins_group &&
		    weir_addr_port(&server->addrs[i]) != 0)
			continue;
		int fd = listener_make(server, i, kernel, 1, false, error);
		if (fd < 0)
			return fd;
		(void)kernel->close(kernel->ctx, fd);
	}
	return addrs_check_distinct(server, error);
}

/* ---- the listeners of a worker ----------------------------------------- */

static int worker_backlog(const struct wi_server_worker *worker)
{
	const uint32_t share =
		weir_loop_backlog(worker->loop) / worker->server->addr_count;
	return share > 0 ? (int)share : 1;
}

static int worker_join(struct wi_server_worker *worker, uint32_t group,
		       struct weir_error *error)
{
	assert(worker->joined_count == group);
	int err = wi_steer_join(worker->server->steer, group, worker->index,
				wi_loop_listeners(worker->loop)->list[group].fd,
				error);
	if (err == 0)
		worker->joined_count++;
	return err;
}

void wi_worker_leave(struct wi_server_worker *worker)
{
	while (worker->joined_count > 0)
		wi_steer_leave(worker->server->steer, --worker->joined_count,
			       worker->index);
}

static int worker_accept(struct wi_server_worker *worker, uint32_t group,
			 int fd, struct weir_error *error)
{
	const struct weir_kernel *kernel = worker->server->kernel;
	int err = wi_loop_listen(worker->loop, worker->server->services[group],
				 fd, error);
	if (err < 0) /* on_start has used up the services */
		(void)kernel->close(kernel->ctx, fd);
	return err;
}

int wi_worker_listen(struct wi_server_worker *worker, struct weir_error *error)
{
	struct weir_server *server = worker->server;
	for (uint32_t i = 0; i < server->addr_count; i++) {
		int fd = listener_make(server, i, wi_loop_kernel(worker->loop),
				       worker_backlog(worker), true, error);
		if (fd < 0)
			return fd;
		int err = worker_accept(worker, i, fd, error);
		if (err == 0)
			err = worker_join(worker, i, error);
		if (err < 0)
			return err;
	}
	return 0;
}

static void worker_command(struct wi_server_worker *worker,
			   enum wi_listener_command command)
{
	struct wi_listeners *listeners = wi_loop_listeners(worker->loop);
	for (uint32_t i = 0; i < listeners->count; i++)
		wi_listener_command(&listeners->list[i], command);
	wi_loop_wake(worker->loop);
}

static void worker_shut(struct wi_server_worker *worker)
{
	const struct weir_kernel *kernel = wi_loop_kernel(worker->loop);
	const struct wi_listeners *listeners = wi_loop_listeners(worker->loop);
	/* -ENOTCONN if a stopping loop has done it first. */
	for (uint32_t i = 0; i < listeners->count; i++)
		(void)kernel->shutdown(kernel->ctx, listeners->list[i].fd,
				       SHUT_RDWR);
}

static bool worker_has_acknowledged(const struct wi_server_worker *worker)
{
	const struct wi_listeners *listeners = wi_loop_listeners(worker->loop);
	for (uint32_t i = 0; i < listeners->count; i++)
		if (!wi_listener_has_acknowledged(&listeners->list[i]))
			return false;
	return true;
}

/* The loop's thread raises `acks` in both cases: a listener has acknowledged,
 * or the loop has ended. */
static void worker_await_acknowledged(const struct wi_server_worker *worker)
{
	const struct weir_kernel *kernel = wi_loop_kernel(worker->loop);
	const struct wi_event_count *acks =
		&wi_loop_listeners(worker->loop)->acks;
	uint32_t seen = wi_event_seen(acks);
	while (!worker_has_acknowledged(worker) &&
	       wi_load_acquire_u32(&worker->has_ended) == 0) {
		wi_event_wait(kernel, acks, seen);
		seen = wi_event_seen(acks);
	}
}

void wi_worker_listen_end(struct wi_server_worker *worker)
{
	if (wi_steer_migrates(worker->server->steer)) {
		/* Works at once, even if the loop is stuck in a handler. */
		worker_command(worker, WI_LISTENER_HOLD);
		worker_shut(worker);
	} else {
		worker_command(worker, WI_LISTENER_EMPTY);
	}
	worker_await_acknowledged(worker);
	if (!worker_has_acknowledged(worker))
		worker_shut(worker); /* the loop has ended and cannot */
	wi_worker_leave(worker);
}

static int worker_relisten(struct wi_server_worker *worker,
			   struct weir_error *error)
{
	const struct weir_kernel *kernel = wi_loop_kernel(worker->loop);
	const struct wi_listeners *listeners = wi_loop_listeners(worker->loop);
	for (uint32_t i = 0; i < listeners->count; i++) {
		int err = wi_listen_socket_reopen(kernel, listeners->list[i].fd,
						  worker_backlog(worker));
		if (err < 0)
			return listen_explain(&worker->server->addrs[i], err,
					      error);
		err = worker_join(worker, i, error);
		if (err < 0)
			return err;
	}
	return 0;
}

int wi_worker_listen_again(struct wi_server_worker *worker,
			   struct weir_error *error)
{
	/* Some listeners get connections before all of them listen; the loop
	 * accepts those as soon as the command is sent. */
	int err = worker_relisten(worker, error);
	if (err < 0) {
		worker_shut(worker);
		wi_worker_leave(worker);
		return err;
	}
	worker_command(worker, WI_LISTENER_ACCEPT);
	return 0;
}
