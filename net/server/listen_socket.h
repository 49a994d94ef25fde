/* listen_socket.h - a listening stream socket: how it is bound, and with which
 * options
 *
 *     socket -> options -> bind, again while the address is in use
 *            -> listen -> the address that it has
 *
 * All of it through the seam. Not here: accepting (loop/listener.h), and
 * groups of listeners (server_listen.c).
 */
#ifndef WEIR_NET_LISTEN_SOCKET_H
#define WEIR_NET_LISTEN_SOCKET_H

#include "../../uring/kernel.h"

#include "../addr.h"

/**
 * struct wi_listen_request - where a socket listens, and whether others may
 * @addr:        where to bind
 * @backlog:     connections that may wait for accept, at least 1; the kernel
 *               cuts it to net.core.somaxconn
 * @is_v6_only:  an IPv6 address leaves IPv4 alone, so that another listener
 *               may have the same port there
 * @joins_group: true: SO_REUSEPORT, share the port with sockets of the same
 *               user that set it too; false: fail with -EADDRINUSE if another
 *               socket listens there
 */
struct wi_listen_request {
	struct weir_addr addr;
	int backlog;
	bool is_v6_only;
	bool joins_group;
};

/**
 * wi_listen_socket_open() - a socket that listens
 * @out_addr: where it is bound, port 0 resolved; NULL: not wanted. Written on
 *            success only
 *
 * Accepted sockets inherit TCP_NODELAY from it, so that no call per connection
 * is needed (tcp(7)). An address in use is asked for again during 200 ms: the
 * kernel takes a ring apart after its process has died, and a restart must not
 * fail on that.
 *
 * Return: a descriptor; the negative errno of the call that was refused.
 */
int wi_listen_socket_open(const struct weir_kernel *kernel,
			  const struct wi_listen_request *request,
			  struct weir_addr *out_addr);

/**
 * wi_listen_socket_reopen() - listen again after shutdown(2)
 *
 * @fd has kept its address if that did not have port 0. Return: 0; -EADDRINUSE
 * if another socket has taken the address.
 */
int wi_listen_socket_reopen(const struct weir_kernel *kernel, int fd,
			    int backlog);

#endif
