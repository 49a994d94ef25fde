/* peer.h - the two ends of a server test
 *
 *     peer_*:  a blocking client that fails after PEER_TIMEOUT_S
 *     echo_*:  a server under test that records what its handlers see
 *     local_*: the same on one loop that runs on the test's own thread
 *
 * The calls do not return errors: they fail the running test with a message.
 * Handlers run on the loops' threads, so they record; the test's thread
 * asserts.
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
	PEER_TIMEOUT_S = 120,   /* far longer than any correct run */
	PEER_PREFIX_BYTES = 4,  /* of weir_frame_format's default */
	ECHO_CLOSES_MAX = 4096, /* most close reasons recorded */
};

/* ---- clients ------------------------------------------------------------- */

/* Connected to 127.0.0.1:@port, TCP_NODELAY, with time limits. */
int peer_open(uint16_t port);
/* The same, or a negative errno. */
int peer_try_open(uint16_t port);
/* The same with a small SO_RCVBUF: its window closes soon. */
int peer_open_narrow(uint16_t port);
void peer_close(int fd);
/* RST instead of FIN. */
void peer_reset(int fd);
/* Sends FIN, and continues to read. */
void peer_half_close(int fd);

void peer_send(int fd, const void *bytes, size_t byte_count);
void peer_recv(int fd, void *bytes, size_t byte_count);
/* Reads up to the end of the stream. Returns 0 for FIN or a negative errno; the
 * bytes before it go to @bytes and *out_count. */
int peer_recv_rest(int fd, void *bytes, size_t capacity, size_t *out_count);
/* Checks that FIN comes next. */
void peer_expect_end(int fd);

/* Sends and receives at the same time, so neither blocks the other. */
void peer_exchange(int fd, const uint8_t *out, size_t out_bytes, uint8_t *in,
		   size_t in_bytes);
/* Sends up to @out_bytes of @out, until the server takes no more for a while.
 * If @neighbour is not -1, the server must answer it during that while. Returns
 * how many bytes were sent. */
size_t peer_stuff(int fd, int neighbour, const uint8_t *out, size_t out_bytes);

/* A frame with a payload that @seed determines. Returns its bytes on the
 * wire: PEER_PREFIX_BYTES more than the payload. */
size_t peer_frame_put(uint8_t *out, size_t payload_bytes, uint32_t seed);
void peer_send_frame(int fd, size_t payload_bytes, uint32_t seed);
void peer_expect_frame(int fd, size_t payload_bytes, uint32_t seed);
/* One small request and its answer: proof that the server has read everything
 * that this client sent before. */
void peer_round_trip(int fd, uint32_t seed);
/* @count round trips, all in flight together. */
void peer_round_trips(const int *fds, size_t count, uint32_t seed);

/* Open descriptors of this process, and mappings whose name has @name. */
size_t peer_fd_count(void);
size_t peer_map_count(const char *name);

/* ---- servers ------------------------------------------------------------- */

/* A service without handlers, and its address: 127.0.0.1 with a port that the
 * kernel chooses. */
extern const struct weir_service silent_service;
extern const struct weir_listen silent_listen;

struct echo {
	struct weir_server *server;
	struct weir_service service;
	struct weir_listen listens[WEIR_STEER_GROUPS_MAX];
	struct weir_frame_format format;

	/* Set by a test that removes loops, because their counters are lost. */
	bool has_removed;

	pthread_mutex_t lock; /* guards all fields below */
	pthread_cond_t moved;
	uint64_t opens;
	uint64_t drains;
	uint64_t shown;   /* calls of on_data */
	uint64_t answers; /* frames answered */
	uint64_t closes;
	struct weir_close_reason reasons[ECHO_CLOSES_MAX];
};

/* Echoes frames, on one loop and on 127.0.0.1 unless @opts says otherwise.
 * @opts may be NULL, and so may the services of its addresses: all use
 * @service. A test puts struct echo first in its own struct; the service gets
 * that pointer as ctx. If @service or one of its handlers is NULL, echo's own
 * replaces it. */
void echo_start(struct echo *echo, const struct weir_server_opts *opts,
		const struct weir_service *service);
/* The same, but with the options unchanged, pinning included. */
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
/* Wait until that many have been counted. */
void echo_wait_opens(struct echo *echo, uint64_t count);
void echo_wait_closes(struct echo *echo, uint64_t count);
void echo_wait_drains(struct echo *echo, uint64_t count);
void echo_wait_answers(struct echo *echo, uint64_t count);
/* Wait until the server has received that many bytes in all. */
void echo_wait_received(struct echo *echo, uint64_t byte_count);
/* The @index-th close, once it has happened. */
struct weir_close_reason echo_close_reason(struct echo *echo, uint64_t index);
/* How many closes had this cause. */
uint64_t echo_closes_by(struct echo *echo, enum weir_close_cause cause);
void echo_expect_cause(const struct weir_close_reason *reason,
		       enum weir_close_cause cause);

/* Sum of all loops. */
void echo_stats(const struct echo *echo, struct weir_loop_stats *out_stats);

/* Stop, join, and check the totals: every open was closed, no block is in use,
 * nothing was dropped. The counters go to *out_stats, which may be NULL. */
void echo_end(struct echo *echo, struct weir_loop_stats *out_stats);
/* The part after the stop, for tests that have stopped the server. */
void echo_end_stopped(struct echo *echo, struct weir_loop_stats *out_stats);

/* ---- a loop of the test's own thread ------------------------------------- */

struct local {
	struct echo echo; /* first; its server is NULL */
	struct weir_loop *loop;
	uint16_t port;
	/* The loop's clock runs ahead by this much, unless the options name a
	 * kernel. With is_time_still it only moves by this. */
	uint64_t ahead_ns;
	uint64_t start_ns;
	bool is_time_still; /* set before local_start() */
	struct kernel_wrap wrap;
};

void local_start(struct local *local, const struct weir_loop_opts *opts,
		 const struct weir_service *service);
/* One more listener, before the first pass. Returns its port. */
uint16_t local_listen(struct local *local, const struct weir_service *service);
/* Makes passes until *@counter, which a handler raises, is @count. */
void local_turn_until(struct local *local, const uint64_t *counter,
		      uint64_t count);
/* Makes @count passes that do not sleep. */
void local_turns(struct local *local, int count);
/* Stop, make passes until the loop has ended, check the totals. */
void local_end(struct local *local, struct weir_loop_stats *out_stats);

#endif
