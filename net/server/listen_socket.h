/* listen_socket.h - make a listening stream socket: options, bind, listen
 *
 *     socket -> options -> bind, again while the address is in use
 *            -> listen -> the address that it has
 *
 * All system calls go through the kernel wrapper. Not here: accepting
 * (loop/listener.h), and groups of listeners (server_listen.c).
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
 * @out_addr: its address, port 0 resolved; may be NULL. Written on success only
 *
 * Accepted sockets inherit TCP_NODELAY from it, so no call per connection is
 * needed (tcp(7)). If the address is in use, bind is tried again for 200 ms:
 * the kernel frees a ring some time after its process has died, and a restart
 * must not fail because of that.
 *
 * Return: a descriptor; the negative errno of the call that was refused.
 */
int wi_listen_socket_open(const struct weir_kernel *kernel,
			  const struct wi_listen_request *request,
			  struct weir_addr *out_addr);

/**
 * wi_listen_socket_reopen() - listen again after shutdown(2)
 *
 * @fd still has its address, unless it was bound to port 0. Return: 0;
 * -EADDRINUSE if another socket has taken the address.
 */
int wi_listen_socket_reopen(const struct weir_kernel *kernel, int fd,
			    int backlog);

#endif
