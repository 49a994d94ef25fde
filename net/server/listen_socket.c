#include "listen_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

enum {
	BIND_TRIES = 40,
	BIND_PAUSE_NS = 5 * 1000 * 1000,
};

static int socket_options_set(const struct weir_kernel *kernel, int fd,
			      const struct wi_listen_request *request)
{
	const int family = request->addr.storage.ss_family;
	const struct {
		int level;
		int name;
		bool is_wanted;
	} options[] = {
		{ SOL_SOCKET, SO_REUSEADDR, true },
		{ SOL_SOCKET, SO_REUSEPORT, request->joins_group },
		{ IPPROTO_TCP, TCP_NODELAY,
		  family == AF_INET || family == AF_INET6 },
		{ IPPROTO_IPV6, IPV6_V6ONLY,
		  family == AF_INET6 && request->is_v6_only },
	};
	const int on = 1;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (!options[i].is_wanted)
			continue;
		const int err =
			kernel->sockopt(kernel->ctx, fd, options[i].level,
					options[i].name, &on, sizeof(on));
		if (err < 0)
			return err;
	}
	return 0;
}

/* The kernel frees a ring asynchronously: after a SIGKILL its port stays bound
 * for about 10 ms. */
static int socket_bind(const struct weir_kernel *kernel, int fd,
		       const struct weir_addr *addr)
{
	int err = 0;
	for (int i = 0; i < BIND_TRIES; i++) {
		err = kernel->bind(kernel->ctx, fd,
				   (const struct sockaddr *)&addr->storage,
				   addr->bytes);
		if (err != -EADDRINUSE)
			break;
		kernel->pause(kernel->ctx, BIND_PAUSE_NS);
	}
	return err;
}

static int socket_name(const struct weir_kernel *kernel, int fd,
		       struct weir_addr *out_addr)
{
	struct weir_addr addr = { .bytes = sizeof(addr.storage) };
	const int err = kernel->sockname(
		kernel->ctx, fd, (struct sockaddr *)&addr.storage, &addr.bytes);
	if (err == 0)
		*out_addr = addr;
	return err;
}

static int socket_fill(const struct weir_kernel *kernel, int fd,
		       const struct wi_listen_request *request,
		       struct weir_addr *out_addr)
{
	int err = socket_options_set(kernel, fd, request);
	if (err == 0)
		err = socket_bind(kernel, fd, &request->addr);
	/* If two sockets set only SO_REUSEADDR, the second is refused here
	 * rather than in bind(2). */
	if (err == 0)
		err = kernel->listen(kernel->ctx, fd, request->backlog);
	if (err == 0 && out_addr != NULL)
		err = socket_name(kernel, fd, out_addr);
	return err;
}

int wi_listen_socket_open(const struct weir_kernel *kernel,
			  const struct wi_listen_request *request,
			  struct weir_addr *out_addr)
{
	const int fd = kernel->socket(
		kernel->ctx, request->addr.storage.ss_family, SOCK_STREAM, 0);
	if (fd < 0)
		return fd;
	const int err = socket_fill(kernel, fd, request, out_addr);
	if (err < 0) {
		(void)kernel->close(kernel->ctx, fd); /* err is the reason */
		return err;
	}
	return fd;
}

/* A socket that was shut down twice has both directions shut, and the sockets
 * that it accepts would inherit that. So it is disconnected first. */
int wi_listen_socket_reopen(const struct weir_kernel *kernel, int fd,
			    int backlog)
{
	const int err = kernel->disconnect(kernel->ctx, fd);
	return err < 0 ? err : kernel->listen(kernel->ctx, fd, backlog);
}
