/* loop.h - one thread, one ring, the connections on it
 *
 * One turn:  flush (one send per connection that has output)
 *            enter (submit everything, wait)          one kernel entry
 *            reap  (completions update state, mark work)
 *            timers
 */
#ifndef WEIR_NET_LOOP_H
#define WEIR_NET_LOOP_H

#include "../uring/ladder.h"
#include "../uring/ring.h"
#include "addr.h"
#include "service.h"
#include "stats.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct weir_server;

/* A value of batch_wait_us: do not wait. It differs from WEIR_NO_TIMEOUT, which
 * would mean the opposite there, and which batch_wait_us refuses. */
#define WEIR_NO_BATCH (UINT32_MAX - 1)

/**
 * struct weir_loop_hooks - what a loop calls for itself, not for a connection
 * @on_start: once, before any handler, to prepare what the loop's thread
 *            needs. If it returns a negative errno, opening the server or
 *            weir_loop_enable() fails with it, and @on_stop is not called
 * @on_stop:  once, after an @on_start that succeeded or was NULL, and after
 *            the last handler: when the loop ends, by an error too, or when a
 *            server abandons its start. If a loop without a server is closed
 *            before it has ended, weir_loop_close() calls it
 * @on_tick:  every tick_interval_ms, never inside a handler
 * @ctx:      passed to each of them
 *
 * All are called on the loop's thread; a NULL member is not called. @on_tick
 * may call what a handler may. So may @on_start, with one exception: while a
 * server is opened or gets one more loop, it must not make a call of server.h
 * that waits for a loop or changes one. If the start fails, connections that
 * @on_start has begun with weir_loop_connect() end without a callback. @on_stop
 * may only read: no connection is left.
 */
struct weir_loop_hooks {
	int (*on_start)(struct weir_loop *loop, void *ctx);
	void (*on_stop)(struct weir_loop *loop, void *ctx);
	void (*on_tick)(struct weir_loop *loop, void *ctx);
	void *ctx;
};

/**
 * struct weir_loop_opts - zero is the sensible default
 * @ring:               see ring.h
 * @conn_count:         connections at a time; 0 for 8192. Accepting pauses
 *                      there, and resumes when one has closed
 * @backlog:            connections that may wait for accept, at all of the
 *                      loop's listeners together; 0 for 4096; cut to what the
 *                      descriptor limit leaves room for
 * @buf_count:          receive buffers, a power of two; 0 for 1024
 * @buf_bytes:          size of each; 0 for 16 KiB
 * @block_memory_bytes: address space for queues and kept input of all
 *                      connections, touched on demand; 0 for 512 MiB. The
 *                      last three sixteenths are for connections that hold
 *                      little. A connection holds none while nothing is
 *                      pending. Queues and input lie in blocks of a power of
 *                      two, so a connection never holds more than
 *                      6 * send_bytes_max +
 *                      4 * (message_bytes_max + 2 * @buf_count * @buf_bytes) +
 *                      8 KiB, with the values of its service
 * @tick_interval_ms:   of hooks.on_tick; 0 for never
 * @batch_wait_us:      how long a busy loop may wait for a fuller batch, at
 *                      most 50; 0 for 50; WEIR_NO_BATCH: do not wait
 * @hooks:              start, stop and ticks of the loop
 */
struct weir_loop_opts {
	struct weir_ring_opts ring;
	uint32_t conn_count;
	uint32_t backlog;
	uint32_t buf_count;
	uint32_t buf_bytes;
	size_t block_memory_bytes;
	uint32_t tick_interval_ms;
	uint32_t batch_wait_us;
	struct weir_loop_hooks hooks;
};

/**
 * weir_loop_open() - make a loop, with all the memory it will ever use
 * @out_loop: written on success only
 * @opts:     NULL for all defaults; copied
 * @error:    filled on failure; may be NULL
 *
 * Return: 0; -EINVAL for an option out of range; -EOPNOTSUPP if a rung that a
 *         loop requires is forced off (see rung.h); -EMFILE, -ENOMEM, and what
 *         weir_ring_open() returns. Thread: any.
 */
int weir_loop_open(struct weir_loop **out_loop,
		   const struct weir_loop_opts *opts, struct weir_error *error);

/**
 * weir_loop_listen() - accept on this listener once the loop runs
 * @service:     of the connections that it accepts
 * @listener_fd: a listening socket. On success the loop owns it, shuts it down
 *               when it stops, and closes it in weir_loop_close()
 * @error:       filled on failure; may be NULL
 *
 * Only for a loop without a server: the loops of a server have the listeners
 * of weir_server_opts. Call it before the loop's first turn, once for each
 * address.
 *
 * Return: 0; -EINVAL for a service that weir_service_check() refuses, and for
 *         a loop of a server; -ENOSPC beyond WEIR_STEER_GROUPS_MAX listeners
 *         or WEIR_SERVICES_MAX services.
 */
int weir_loop_listen(struct weir_loop *loop, const struct weir_service *service,
		     int listener_fd, struct weir_error *error);

/**
 * weir_loop_backlog() - the backlog that its listener should have
 *
 * The listeners of a loop share it: give each of n listeners 1/n of it, and at
 * least 1, so that the loop has room for all clients that wait.
 */
uint32_t weir_loop_backlog(const struct weir_loop *loop);

/**
 * weir_loop_enable() - the calling thread becomes the loop's; hooks.on_start
 *
 * Return: 0; -EBADFD if enabled before; the error of on_start: the loop can
 *         then only be closed.
 */
int weir_loop_enable(struct weir_loop *loop);

/**
 * weir_loop_connect() - open an outbound connection
 * @service:  of the connection
 * @addr:     where to; copied
 * @user:     what weir_conn_user() will return
 * @out_conn: may be NULL
 *
 * on_open follows when it is connected, or else on_close.
 *
 * Return: 0; -EAGAIN if all connections are in use; -ESHUTDOWN while the loop
 *         stops; -EINVAL for a service that weir_service_check() refuses;
 *         -ENOSPC beyond WEIR_SERVICES_MAX services. Thread: the loop's.
 */
int weir_loop_connect(struct weir_loop *loop,
		      const struct weir_service *service,
		      const struct weir_addr *addr, void *user,
		      struct weir_conn **out_conn);

/**
 * weir_loop_turn() - one turn; sleeps at most @timeout_ns
 *
 * Return: 1 while there is more to do; 0 once a stopped loop has ended; or a
 *         negative errno:
 *         - of weir_ring_enter();
 *         - of a kernel that refuses to be entered while the loop stops;
 *         - -ETIMEDOUT if a stopped loop has ended although the kernel never
 *           completed some operation.
 *         In the last two cases each connection has had its on_close, and
 *         weir_loop_close() keeps the loop's memory mapped for good, because
 *         the kernel may still write to it. Thread: the loop's.
 */
int weir_loop_turn(struct weir_loop *loop, uint64_t timeout_ns);

/** weir_loop_run() - turns until the loop has ended. Return: 0 or its error. */
int weir_loop_run(struct weir_loop *loop);

/**
 * weir_loop_stop() - accept no more, answer what was received, then end
 *
 * Input that arrived before the loop sees the stop is still shown to on_data.
 * Then every connection is drained as by weir_conn_close(), with
 * WEIR_CLOSE_STOPPED. The loop's drain deadline (service.h) counts from the
 * first call; a second call closes what is left at once.
 *
 * Thread: any; async-signal-safe.
 */
void weir_loop_stop(struct weir_loop *loop);

/**
 * weir_loop_close() - free everything; takes NULL
 *
 * Thread: the loop's once it has ended, or any after that thread is gone.
 */
void weir_loop_close(struct weir_loop *loop);

/** weir_loop_now_ns() - monotonic time at the start of this turn. */
uint64_t weir_loop_now_ns(const struct weir_loop *loop);

/** weir_loop_index() - position in its server; 0 for a loop of its own. */
uint32_t weir_loop_index(const struct weir_loop *loop);

/** weir_loop_server() - its server; NULL for a loop of its own. Thread: any. */
struct weir_server *weir_loop_server(const struct weir_loop *loop);

/** weir_loop_user() - the user's pointer, NULL at first. Thread: the loop's. */
void *weir_loop_user(const struct weir_loop *loop);
void weir_loop_user_set(struct weir_loop *loop, void *user);

/**
 * weir_loop_ladder() - as weir_ladder_read(), plus what the loop has found out
 * @out_rungs: shape [WEIR_RUNG_COUNT], index enum weir_rung_id
 *
 * An operation of the loop is UNTRIED until the loop first needs it.
 * Thread: any.
 */
void weir_loop_ladder(const struct weir_loop *loop,
		      struct weir_rung *out_rungs);

/** weir_loop_stats() - copy the counters. Thread: any; each value is whole. */
void weir_loop_stats(const struct weir_loop *loop,
		     struct weir_loop_stats *out_stats);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
