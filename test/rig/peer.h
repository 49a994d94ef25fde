/* peer.h - the two ends of a server test
 *
 *     peer_*: a blocking client that gives up after PEER_TIMEOUT_S
 *     echo_*: a server under test that notes what its handlers see
 *     local_*: the same on one loop, turned by the test's own thread
 *
 * The calls fail the running test with a sentence rather than return an error.
 * Handlers run on the loops' threads, so they note; the test's thread asserts.
 */
#ifndef WEIR_TEST_PEER_H
#define WEIR_TEST_PEER_H

#include "kernel_wrap.h"
#include "seen.h"
#include "support.h"

#include "net/server.h"
#include "proto/frame.h"

#include <pthread.h>

enum {
	PEER_TIMEOUT_S = 120,   /* longer than anything that works takes */
	PEER_PREFIX_BYTES = 4,  /* of weir_frame_format's default */
	ECHO_CLOSES_MAX = 4096, /* close reasons that are remembered */
};

/* ---- clients --------------------------------------------------------------
 */

/* Connected to 127.0.0.1:@port, TCP_NODELAY, with time limits. */
int peer_open(uint16_t port);
/* The same, or a negative errno. */
int peer_try_open(uint16_t port);
/* The same with a small SO_RCVBUF: its window closes soon. */
int peer_open_narrow(uint16_t port);
void peer_close(int fd);
/* RST instead of FIN. */
void peer_reset(int fd);
/* FIN; goes on reading. */
void peer_half_close(int fd);

void peer_send(int fd, const void *bytes, size_t byte_count);
void peer_recv(int fd, void *bytes, size_t byte_count);
/* Reads up to the end of the stream. Returns 0 for FIN or a negative errno;
 * what came before it goes to @bytes and *out_count. */
int peer_recv_rest(int fd, void *bytes, size_t capacity, size_t *out_count);
/* Nothing more comes, then FIN. */
void peer_expect_end(int fd);

/* Sends and receives at the same time, so that neither waits for the other. */
void peer_exchange(int fd, const uint8_t *out, size_t out_bytes, uint8_t *in,
		   size_t in_bytes);
/* Sends until the server takes no more for a while, in which it has answered
 * @neighbour, if that is not -1; at most @out_bytes of @out. Returns how many
 * went out. */
size_t peer_stuff(int fd, int neighbour, const uint8_t *out, size_t out_bytes);

/* A frame with a payload that @seed determines. Returns its bytes on the
 * wire: PEER_PREFIX_BYTES more than the payload. */
size_t peer_frame_put(uint8_t *out, size_t payload_bytes, uint32_t seed);
void peer_send_frame(int fd, size_t payload_bytes, uint32_t seed);
void peer_expect_frame(int fd, size_t payload_bytes, uint32_t seed);
/* One small request and its answer: proof that the server has looked at
 * everything that this client sent before. */
void peer_round_trip(int fd, uint32_t seed);
/* @count round trips, all in flight together. */
void peer_round_trips(const int *fds, size_t count, uint32_t seed);

/* Open descriptors of this process, and mappings whose name has @name. */
size_t peer_fd_count(void);
size_t peer_map_count(const char *name);

/* ---- servers ---------------------------------------------------------------
 */

/* One that looks at nothing, and that on 127.0.0.1, at a port of the kernel's
 * choice. */
extern const struct weir_service silent_service;
extern const struct weir_listen silent_listen;

struct echo {
	struct weir_server *server;
	struct weir_service service;
	struct weir_listen listens[WEIR_STEER_GROUPS_MAX];
	struct weir_frame_format format;

	/* Set by a test that removes loops: their counters are gone. */
	bool has_removed;

	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t moved;
	uint64_t opens;
	uint64_t drains;
	uint64_t shown;   /* calls of on_data */
	uint64_t answers; /* frames answered */
	uint64_t closes;
	struct weir_close_reason reasons[ECHO_CLOSES_MAX];
};

/* Echoes frames, on one loop and on 127.0.0.1 unless @opts says otherwise;
 * @opts may be NULL, and so may be the services that it listens for, which are
 * @service in any case. A test puts struct echo first in its own struct; the
 * service gets a pointer to it as ctx, and what is NULL in its handlers, or
 * @service itself, is the echo's. */
void echo_start(struct echo *echo, const struct weir_server_opts *opts,
		const struct weir_service *service);
/* With the options as they are, pinning too. */
void echo_start_as_asked(struct echo *echo, const struct weir_server_opts *opts,
			 const struct weir_service *service);
uint16_t echo_port(const struct echo *echo);

/* The default handlers, for tests that add to them. */
void echo_on_open(struct weir_conn *conn, void *ctx);
ssize_t echo_on_data(struct weir_conn *conn, const uint8_t *bytes,
		     size_t byte_count, void *ctx);
void echo_on_writable(struct weir_conn *conn, void *ctx);
void echo_on_close(struct weir_conn *conn,
		   const struct weir_close_reason *reason, void *ctx);

/* One of the counters, while the server runs. */
uint64_t echo_seen(struct echo *echo, const uint64_t *counter);
/* Wait until so many have been seen. */
void echo_wait_opens(struct echo *echo, uint64_t count);
void echo_wait_closes(struct echo *echo, uint64_t count);
void echo_wait_drains(struct echo *echo, uint64_t count);
void echo_wait_answers(struct echo *echo, uint64_t count);
/* Wait until the server has received so many bytes in all. */
void echo_wait_received(struct echo *echo, uint64_t byte_count);
/* The @index-th close, once it has happened. */
struct weir_close_reason echo_close_reason(struct echo *echo, uint64_t index);
/* How many closes had this cause. */
uint64_t echo_closes_by(struct echo *echo, enum weir_close_cause cause);
void echo_expect_cause(const struct weir_close_reason *reason,
		       enum weir_close_cause cause);

/* Sum of all loops. */
void echo_stats(const struct echo *echo, struct weir_loop_stats *out_stats);

/* Stop, join, and assert that the books balance: every open was closed, no
 * block is in use, nothing was dropped. The counters go to *out_stats, which
 * may be NULL. */
void echo_end(struct echo *echo, struct weir_loop_stats *out_stats);
/* The second half of it, for tests that have stopped the server. */
void echo_end_stopped(struct echo *echo, struct weir_loop_stats *out_stats);

/* ---- a loop of the test's own thread ----------------------------------- */

struct local {
	struct echo echo; /* first; its server is NULL */
	struct weir_loop *loop;
	uint16_t port;
	/* Time as the loop sees it runs ahead by so much, if the options name
	 * no kernel of their own; or it stands, but for that. */
	uint64_t ahead_ns;
	uint64_t start_ns;
	bool is_time_still; /* set before local_start() */
	struct kernel_wrap wrap;
};

void local_start(struct local *local, const struct weir_loop_opts *opts,
		 const struct weir_service *service);
/* One more listener, before the first turn. Returns its port. */
uint16_t local_listen(struct local *local, const struct weir_service *service);
/* Turns until *@counter, which a handler moves, is @count. */
void local_turn_until(struct local *local, const uint64_t *counter,
		      uint64_t count);
/* @count turns that do not sleep. */
void local_turns(struct local *local, int count);
/* Stop, turn until it has ended, balance the books. */
void local_end(struct local *local, struct weir_loop_stats *out_stats);

#endif
