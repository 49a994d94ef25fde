/* server.h - N loops on N threads, one listener each, one port */
#ifndef WEIR_NET_SERVER_H
#define WEIR_NET_SERVER_H

#include "loop.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct weir_server;

/**
 * struct weir_server_opts - zero is the sensible default
 * @address:     numeric, NULL for "0.0.0.0"
 * @port:        0 lets the kernel choose: see weir_server_port()
 * @loop_count:  0 for one per CPU that this process may use
 * @is_unpinned: do not pin loop i to the i-th of those CPUs
 * @joins_group: share the port with another process of the same user that
 *               does so too; by default a port in use is an error
 * @loop:        for each loop
 */
struct weir_server_opts {
	const char *address;
	uint16_t port;
	uint32_t loop_count;
	bool is_unpinned;
	bool joins_group;
	struct weir_loop_opts loop;
};

/**
 * weir_server_open() - rings, listeners, threads: all of them or none
 * @out_server: written on success only; from then on it serves
 * @handlers:   copied; called on the loops' threads, with @ctx
 * @error:      filled on failure: one line; may be NULL
 *
 * The threads block all signals, so that they reach the caller's.
 *
 * Return: 0; -EADDRINUSE, -EACCES, -EADDRNOTAVAIL; -EINVAL for an option out
 *         of range; what weir_loop_open() returns. Thread: any.
 */
int weir_server_open(struct weir_server **out_server,
		     const struct weir_server_opts *opts,
		     const struct weir_handlers *handlers, void *ctx,
		     struct weir_error *error);

/**
 * weir_server_stop() - drain, then force; as weir_loop_stop() on each loop
 *
 * Thread: any; async-signal-safe.
 */
void weir_server_stop(struct weir_server *server);

/**
 * weir_server_join() - wait until every loop has ended
 *
 * Return: 0, or the first negative errno that ended a loop. Thread: any, once.
 */
int weir_server_join(struct weir_server *server);

/** weir_server_close() - free everything, after weir_server_join(). */
void weir_server_close(struct weir_server *server);

uint16_t weir_server_port(const struct weir_server *server);
uint32_t weir_server_loop_count(const struct weir_server *server);

/** weir_server_loop() - the @index-th loop, for its stats and ladder. */
const struct weir_loop *weir_server_loop(const struct weir_server *server,
					 uint32_t index);

/** weir_server_cpu() - the CPU that loop @index is pinned to, or -1. */
int weir_server_cpu(const struct weir_server *server, uint32_t index);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
