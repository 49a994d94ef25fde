/* server.h - N loops on N threads, listening together, come and go */
#ifndef WEIR_NET_SERVER_H
#define WEIR_NET_SERVER_H

#include "loop.h"
#include "steer.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct weir_server;

/**
 * struct weir_listen - an address to listen on, and the service there
 * @service: of the connections that it accepts
 * @address: numeric, NULL for "0.0.0.0"
 * @port:    0 lets the kernel choose: see weir_server_snapshot()
 */
struct weir_listen {
	const struct weir_service *service;
	const char *address;
	uint16_t port;
};

/**
 * struct weir_server_opts - zero is the sensible default, except for @listen
 * @listen:         shape [listen_count]; copied, except the services
 * @listen_count:   1 to WEIR_STEER_GROUPS_MAX
 * @loop_count:     0 for one per CPU that this process may use
 * @loop_count_max: how many loops weir_server_add_loop() may reach; 0 for 64,
 *                  or loop_count if that is more
 * @is_unpinned:    do not pin loop i to the i-th of those CPUs
 * @joins_group:    share the port with another process of the same user that
 *                  serves it; by default a port in use is an error. With a
 *                  steering program this server takes all new connections, and
 *                  the other process may stop without losing any. Without one,
 *                  clients in the other's queue are reset when it stops, unless
 *                  net.ipv4.tcp_migrate_req is 1
 * @steering:       which loop gets a connection, see steer.h; the server sets
 *                  its group_count and kernel
 * @steer:          opened before; @steering is then ignored. Borrowed until
 *                  weir_server_close(); NULL: the server opens its own
 * @sample_interval: each loop asks one in so many accepted connections for its
 *                  SO_INCOMING_CPU, one at a time: of a batch that is accepted
 *                  at once perhaps only the first; 0: none
 * @on_log:         gets one line when the collapse guard steps, on a loop's
 *                  thread, with @log_ctx; NULL: no log
 * @loop:           for each loop
 */
struct weir_server_opts {
	const struct weir_listen *listen;
	uint32_t listen_count;
	uint32_t loop_count;
	uint32_t loop_count_max;
	bool is_unpinned;
	bool joins_group;
	struct weir_steer_opts steering;
	struct weir_steer *steer;
	uint32_t sample_interval;
	void (*on_log)(const char *line, void *ctx);
	void *log_ctx;
	struct weir_loop_opts loop;
};

/**
 * weir_server_open() - rings, listeners, threads: all of them or none
 * @out_server: written on success only, before any handler is called; from
 *              then on it serves
 * @error:      filled on failure: one line; may be NULL
 *
 * The threads block all signals, so that the caller's threads get them.
 *
 * Return: 0; -EADDRINUSE, -EACCES, -EADDRNOTAVAIL; -EINVAL for an option out
 *         of range; what weir_loop_open() returns. Thread: any.
 */
int weir_server_open(struct weir_server **out_server,
		     const struct weir_server_opts *opts,
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
 * Also waits for loops that are added meanwhile. Loops that are removed are not
 * waited for, and their errors are not in the result. When this returns, no
 * loop runs, and none can be added. A second call returns 0.
 *
 * Return: 0, or the first negative errno that ended a loop, as of
 *         weir_loop_turn(): -ETIMEDOUT if the kernel never completed an
 *         operation of a stopped loop. Thread: any but a loop's.
 */
int weir_server_join(struct weir_server *server);

/** weir_server_close() - free everything, after weir_server_join(). */
void weir_server_close(struct weir_server *server);

/**
 * weir_server_steer() - another policy, without closing a listener
 *
 * If another process has attached its program to the group since, this server's
 * program replaces it.
 *
 * Return: 0; -EOPNOTSUPP if this server has no means for the policy: one that
 *         was opened with "kernel" has loaded no program; -EINVAL for "cpu"
 *         with a loop that is not pinned.
 * Thread: any but a loop's, as with all calls down to
 * weir_server_remove_loop(); they run one at a time.
 */
int weir_server_steer(struct weir_server *server, enum weir_steer_policy policy,
		      struct weir_error *error);

/**
 * weir_server_set_weight() - change loop @index's share of new connections
 * @weight: 0 to WEIR_STEER_WEIGHT_MAX; stays with the index when the loop is
 *          removed and another added there
 *
 * Return: 0; -EINVAL; -ENOENT if there is no such loop; -EOPNOTSUPP without a
 *         program; -EBUSY for 0 if it is the last loop that takes connections.
 */
int weir_server_set_weight(struct weir_server *server, uint32_t index,
			   uint32_t weight, struct weir_error *error);

/**
 * weir_server_stop_accepting() - loop @index gets no new connections
 *
 * Its open connections go on. When this returns, its listeners are shut down
 * and it has accepted its last connection; that takes the loop a turn or two.
 *
 * With a program, clients in the listeners' queues move to the other loops. The
 * one exception is a client whose last ACK the kernel handles in the very
 * moment of the shutdown, for a handshake that began before the call: it is
 * reset (6.18, inet_csk_complete_hashdance()).
 *
 * Without a program, the loop accepts the clients in the queues first. Clients
 * in the middle of their handshake are reset unless net.ipv4.tcp_migrate_req
 * is 1, and the exception above is reset in any case.
 *
 * Return: 0, also if it had stopped before; -ENOENT; -EBUSY if it is the last
 *         loop that takes connections.
 */
int weir_server_stop_accepting(struct weir_server *server, uint32_t index,
			       struct weir_error *error);

/**
 * weir_server_resume_accepting() - loop @index gets new connections again
 *
 * Return: 0, also if it had not stopped; -ENOENT; -EADDRINUSE if another socket
 *         has taken the port; -ESHUTDOWN while the server stops.
 */
int weir_server_resume_accepting(struct weir_server *server, uint32_t index,
				 struct weir_error *error);

/**
 * weir_server_add_loop() - one more loop, at the lowest free index
 * @cpu: to pin it to; -1: the next in turn, or none if loops are unpinned
 *
 * The process must still run as the user that opened the server, because a
 * group of listeners belongs to one user.
 *
 * Return: its index; -ENOSPC at loop_count_max; -ESHUTDOWN while the server
 *         stops; what weir_server_open() returns.
 */
int weir_server_add_loop(struct weir_server *server, int cpu,
			 struct weir_error *error);

/**
 * weir_server_remove_loop() - stop accepting at loop @index, drain and free it
 *
 * Its connections are drained as by weir_loop_stop(). Returns when its thread
 * has ended, at the latest after the drain timeout.
 *
 * Return: 0, or the error that ended the loop; -ENOENT; -EBUSY as above.
 */
int weir_server_remove_loop(struct weir_server *server, uint32_t index,
			    struct weir_error *error);

/**
 * struct weir_loop_snapshot - one loop of a server
 * @is_present:  there is a loop at this index; if not, @cpu is -1, the rest 0
 * @cpu:         CPU that it is pinned to, or -1
 * @has_stopped_accepting, @weight: as set
 * @work:        recent receives: a sum that decays to a third in 160 ms
 * @chosen:      new connections that the program gave to it
 * @chosen_here: those of them whose packet came in on its own CPU
 * @affinity:    chosen_here / chosen; 0 if none was chosen
 * @moved:       connections that came from a listener that closed
 * @stats:       its counters; `accepts` counts all that arrived, chosen or not
 */
struct weir_loop_snapshot {
	bool is_present;
	int cpu;
	bool has_stopped_accepting;
	uint32_t weight;
	uint64_t work;
	uint64_t chosen;
	uint64_t chosen_here;
	double affinity;
	uint64_t moved;
	struct weir_loop_stats stats;
};

/**
 * struct weir_server_snapshot - a server at one moment
 * @policy, @means: as asked for, and what carries it out
 * @is_stepped:  the collapse guard has put least-loaded in the policy's place
 * @guard_steps: how often it has done so
 * @missed:      choices that found no loop and were left to the kernel's hash
 * @loop_count:  loops of the server, those that have stopped accepting too
 * @loop_end:    all their indices are below it
 * @conns_open, @accepts, @chosen, @moved: sums over these loops
 * @imbalance:   most accepts of one loop / mean; 1: even; 0: none arrived
 * @addrs:       shape [addr_count]; in the order of weir_server_opts.listen,
 *               ports resolved
 * @rungs:       index enum weir_rung_id; as weir_loop_ladder() of a loop, with
 *               those of steering as they were found
 */
struct weir_server_snapshot {
	enum weir_steer_policy policy;
	enum weir_steer_means means;
	bool is_stepped;
	uint64_t guard_steps;
	uint64_t missed;
	uint32_t loop_count;
	uint32_t loop_end;
	uint64_t conns_open;
	uint64_t accepts;
	uint64_t chosen;
	uint64_t moved;
	double imbalance;
	uint32_t addr_count;
	struct weir_addr addrs[WEIR_STEER_GROUPS_MAX];
	struct weir_rung rungs[WEIR_RUNG_COUNT];
};

/**
 * weir_server_snapshot() - the server and its loops, as they are now
 * @out_loops: shape [loop_capacity], index loop; an index without a loop is
 *             written as not present; may be NULL if @loop_capacity is 0
 *
 * Works until weir_server_close(), also after weir_server_join(). Each value is
 * whole, but the loops go on meanwhile, so two values may be of two moments. A
 * loop that is being added appears once it serves; one that is being removed
 * disappears once it has ended.
 *
 * Thread: any, a loop's too, but no signal handler. It waits for other
 * snapshots and for a thread that stores a change. It never waits for a loop,
 * so a call that stops, removes or joins loops does not delay it.
 */
void weir_server_snapshot(struct weir_server *server,
			  struct weir_server_snapshot *out_snapshot,
			  struct weir_loop_snapshot *out_loops,
			  uint32_t loop_capacity);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
