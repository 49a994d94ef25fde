/* sim_priv.h - the world: files, connections, rings, operations
 *
 *     fd / slot --> file --> listener, doorbell, or one end of a connection
 *                    ^
 *     operation -----+        each holds a reference; the last one closes it
 *
 * All of it is small arrays: a world is reset thousands of times a second.
 */
#ifndef WEIR_SIM_PRIV_H
#define WEIR_SIM_PRIV_H

#include "sim.h"

#include "../../uring/abi.h"
#include "../../uring/soft/soft_copy.h"
#include "../../uring/soft/soft_group.h"
#include "../../uring/soft/soft_ring.h"
#include "../../uring/soft/soft_slots.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

enum {
	SIM_FDS = 64,
	SIM_FD_FIRST = 3,
	SIM_FILES = 128,
	SIM_CONNS = 64,
	SIM_RINGS = 4,
	SIM_SLOTS = 32768, /* the loop's default, so also the limit */
	SIM_OPS = 256,
	SIM_OVERFLOW = 512,
	SIM_LISTENERS = 16,
	SIM_BACKLOG = 64,
	SIM_STEPS = 64,       /* peers */
	SIM_STEPS_MAX = 4000, /* in one enter; then it ends with EINTR */
	SIM_DEAD = 8,
	SIM_WORKED = 4,
	SIM_PIPE_BYTES_MAX = 16384,
	SIM_IOVS = WI_SOFT_PIECES,
	SIM_DATAGRAM_COUNT = 32,
	SIM_DATAGRAM_BYTES = 65507,
	SIM_MAPS = 32,
	SIM_NONE = -1,
	SIM_NS_PER_US = 1000,
};

/* Address space: the default need of several loops. */
#define SIM_MEMORY_BYTES (UINT64_C(4) << 30)

/* One direction of a connection. Positions count from the start of the
 * stream: read <= arrived <= written. */
struct sim_pipe {
	uint64_t read;
	uint64_t arrived;
	uint64_t written;
	bool fin_written; /* by the sender, after its last byte */
	bool fin_arrived;
	uint8_t bytes[SIM_PIPE_BYTES_MAX];
};

enum sim_side { SIM_CLIENT = 0, SIM_SERVER, SIM_NO_SIDE };

struct sim_conn {
	bool is_used;
	bool is_accepted;
	bool has_client;    /* its end is open */
	bool has_server;    /* in the backlog, or attached to a file */
	bool rst_to_server; /* has arrived there, not reported yet */
	bool rst_to_client;
	bool rst_sent_to_server; /* on its way */
	bool rst_sent_to_client;
	enum sim_side peers_side; /* NO_SIDE: both ends are a ring's */
	bool rcv_shut[2];         /* by shutdown() of the side itself */
	int error[2];             /* of the side, not reported yet; or 0 */
	uint32_t wakes[2];        /* events that have arrived at the side */
	uint32_t data_wakes[2];   /* of these, with bytes */
	struct sim_pipe pipes[2]; /* index: the side that writes */
};

struct sim_datagram {
	bool is_used;
	int to; /* the file that queues it; SIM_NONE: in transit */
	uint16_t from_port;
	uint16_t to_port;
	uint32_t byte_count;
	uint64_t order;
	uint8_t bytes[SIM_DATAGRAM_BYTES];
};

enum sim_file_kind {
	SIM_FREE = 0,
	SIM_RING,
	SIM_LISTENER,
	SIM_STREAM, /* one end of a connection, or a new socket */
	SIM_DOORBELL,
	SIM_DATAGRAMS,
};

struct sim_file {
	enum sim_file_kind kind;
	int refs;
	int conn;           /* STREAM: or SIM_NONE */
	enum sim_side side; /* STREAM: which end of conn */
	int ring;           /* RING */
	bool is_connecting; /* STREAM */
	uint16_t family;    /* LISTENER, or bound to become one */
	uint16_t port;      /* the same */
	int member;         /* LISTENER: its number on this port */
	bool is_peers;      /* LISTENER */
	bool is_listening;  /* not shut down */
	bool is_in_group;
	int backlog;
	int queue[SIM_BACKLOG]; /* conns in the backlog */
	int queued;
	uint64_t value;     /* DOORBELL */
	uint16_t peer_port; /* DATAGRAMS: connected to; 0: none */
	int error;          /* DATAGRAMS: pending; reported once */
	uint32_t wakes;     /* DATAGRAMS */
	int last_ring;
	uint64_t last_token; /* STREAM: of a finished operation on it */
};

struct sim_op {
	/* The fields that are read most come first. */
	bool is_used;
	bool is_armed;        /* waits for its file */
	bool is_cancelled;    /* ends with -ECANCELED */
	bool is_late;         /* not tried yet */
	bool has_acted;       /* a worker ran it; due_result is pending */
	bool is_lost;         /* never completes */
	bool is_retried;      /* was armed: REQ_F_POLLED */
	bool is_woken;        /* RECV: data or FIN was there at arming */
	uint32_t wakes;       /* RECV: of its side, at arming */
	uint32_t data_wakes;  /* POLL: the same, with bytes only */
	uint32_t activations; /* RECV: of this attempt; 0: at submission */
	int ring;
	int file;          /* referenced, or SIM_NONE */
	uint64_t requeued; /* enter that requeued it: not run again in it */
	struct io_uring_sqe sqe;
	bool is_prepared; /* the kernel has accepted the entry */
	bool is_message;  /* from another ring: task work */
	bool is_notice;   /* of a completed zero-copy send */
	uint32_t due_flags;
	int due_result;
	uint64_t acts_at; /* LATE: the moment; see sim_worker.c */
	uint32_t done;    /* bytes of earlier attempts */
	uint64_t order;
	uint32_t iov_count;
	struct msghdr message; /* SENDMSG, RECVMSG: copied at submission */
	uint32_t all;          /* its bytes in all */
	uint32_t at;           /* of these, done */
	/* Provided buffers that it holds: io_uring's REQ_F_BUFFER_RING. */
	bool has_buffer;
	bool is_last_buffer;
	bool buffer_goes_on; /* BUF_MORE */
	bool is_appended;    /* a bundle: its second part */
	bool is_cut;
	uint16_t buffer_id;
	uint32_t want;     /* bytes; 0: all */
	uint32_t limit;    /* of a multishot; 0: none */
	int64_t inq;       /* left by the last receive; -1: unknown */
	uint32_t checksum; /* NOTICE: of the bytes sent */
	uint64_t due_ns;   /* TIMEOUT, CONNECT */
	uint16_t port;     /* CONNECT */
	uint64_t due_count;
	/* Its memory to send or to fill; a header is read at submission. */
	struct iovec iov[SIM_IOVS];
};

struct sim_ring {
	bool is_used;
	bool is_enabled;
	uint32_t setup_flags;
	struct wi_soft_ring soft;
	struct wi_soft_slots slots;
	struct wi_soft_groups groups;
	/* The last operations that kernel workers have run, in any order. */
	struct {
		uint64_t token;
		int file;
	} worked[SIM_WORKED];
	uint32_t worked_count; /* since the start */
	uint32_t iov_cached;   /* the longest array of pieces so far */
	/* Memory for the parts of soft. */
	struct io_uring_cqe overflow[SIM_OVERFLOW];
	int slot_files[SIM_SLOTS];
};

struct sim_step {
	bool (*step)(struct weir_sim *sim, void *ctx);
	void *ctx;
	bool is_resting;  /* until something happens */
	uint64_t wake_ns; /* not before this, whatever happens; 0: none */

	uint64_t rested_at;
};

struct sim_thread {
	bool (*turn)(void *ctx);
	void *ctx;
	int ring; /* or SIM_NONE: unknown yet */
	bool is_over;
	bool is_running; /* on the stack */
	bool is_asleep;  /* until its ring has an event, or wake_ns */
	uint64_t wake_ns;
};

/* The ring's own thread runs task work in its enter. Kernel workers and the
 * network card run beside it, and while it waits. */
enum sim_runner { SIM_RUN_TASK_WORK, SIM_RUN_BESIDE, SIM_RUN_WAITING };

/* A cache: how many events of each kind are possible next. Most steps are of
 * idle peers and change none of it. */
struct sim_view {
	bool is_fresh;
	int ring;
	enum sim_runner run;
	uint64_t events;
	uint64_t until_ns; /* from then on, time alone may change it */
	uint32_t ops;
	uint32_t segments;
	uint32_t arrivals; /* segments, and datagrams */
	uint32_t threads;
};

struct weir_sim {
	struct weir_kernel kernel;
	struct weir_tape *tape;
	struct weir_sim_opts opts;
	uint64_t now_ns;
	uint64_t hash;
	uint64_t order;
	uint64_t events; /* count of all events in the world */
	uint64_t enters;
	uint64_t moments;  /* points at which a kernel worker may act */
	uint64_t naps_end; /* after this moment no worker is due */
	struct weir_sim_traffic traffic;
	bool is_idle;
	uint64_t clock_ns; /* as last read */
	uint32_t still;    /* it stands still for so many more reads */
	const char *violation;

	uint8_t *memory; /* for map() */
	size_t memory_used;
	size_t map_begins[SIM_MAPS];
	uint32_t map_count;
	uint32_t mappings;
	uint16_t next_port;
	uint64_t random;

	int fds[SIM_FDS]; /* indices of files, or SIM_NONE */
	struct sim_file files[SIM_FILES];
	int file_high; /* none is used at or above it */
	struct sim_ring rings[SIM_RINGS];
	struct sim_op ops[SIM_OPS];
	int op_high;                /* none is used at or above it */
	uint16_t runnable[SIM_OPS]; /* see sim_op_runnable() */
	struct sim_view view;
	int conn_high;
	int datagram_high;
	uint64_t dead_tokens[SIM_DEAD]; /* of closed streams */
	int dead_rings[SIM_DEAD];
	uint32_t dead_count;
	struct sim_step steps[SIM_STEPS];
	int step_count;
	int (*attempt)(struct weir_sim *sim,
		       const struct weir_sim_attempt *what, void *ctx);
	void *attempt_ctx;
	int (*on_enter)(struct weir_sim *sim, uint32_t count, void *ctx);
	void *on_enter_ctx;
	int step; /* the peer whose step runs */

	struct sim_thread threads[SIM_RINGS];
	int thread_count;
	int thread; /* the thread whose turn runs, or SIM_NONE */
	int thread_depth;
	int (*choose)(void *ctx, bool is_moving);
	void *choose_ctx;
	/* Large: each entry is cleared only when it is taken. */
	struct sim_conn conns[SIM_CONNS];
	struct sim_datagram datagrams[SIM_DATAGRAM_COUNT];
};

/* ---- sim.c ---- */
bool sim_fault(struct weir_sim *sim, uint32_t fault);
void sim_hash_add(struct weir_sim *sim, uint64_t value);
int sim_file_take(struct weir_sim *sim, enum sim_file_kind kind);
void sim_file_hold(struct weir_sim *sim, int file);
void sim_file_drop(struct weir_sim *sim, int file);
int sim_fd_take(struct weir_sim *sim, int file);
int sim_fd_file(const struct weir_sim *sim, int fd);

/* ---- sim_seam.c ---- */
void sim_seam_init(struct weir_sim *sim);

/* ---- sim_net.c ---- */
/* What is on its way arrives, on a wire that takes no time. */
void sim_net_rest(struct weir_sim *sim);
int sim_net_conn_take(struct weir_sim *sim); /* or SIM_NONE */
void sim_net_close(struct weir_sim *sim, int conn, enum sim_side side);
/* @how: SHUT_RD, SHUT_WR, SHUT_RDWR. */
int sim_net_shutdown(struct weir_sim *sim, int conn, enum sim_side side,
		     int how);
/* Bytes; 0 FIN; -EAGAIN; -ECONNRESET once. */
int sim_net_read(struct weir_sim *sim, int conn, enum sim_side side,
		 void *bytes, size_t byte_count);
int sim_net_write(struct weir_sim *sim, int conn, enum sim_side side,
		  const void *bytes, size_t byte_count);
uint32_t sim_net_wakes(const struct weir_sim *sim, int conn,
		       enum sim_side side);
uint32_t sim_net_data_wakes(const struct weir_sim *sim, int conn,
			    enum sim_side side);
/* A complete send has been written. */
void sim_net_push(struct weir_sim *sim, int conn);
bool sim_net_can_read(const struct weir_sim *sim, int conn, enum sim_side side);
bool sim_net_can_write(const struct weir_sim *sim, int conn,
		       enum sim_side side);
/* A mask: POLLIN and so on. */
uint32_t sim_net_poll(const struct weir_sim *sim, int conn, enum sim_side side);
uint32_t sim_net_readable(const struct weir_sim *sim, int conn,
			  enum sim_side side);
/* Readable bytes, plus one for a FIN. Call it only after a read without an
 * error. */
uint32_t sim_net_inq(const struct weir_sim *sim, int conn, enum sim_side side);
/* How many segments are in transit; and the arrival of one of them. */
uint32_t sim_net_pending(const struct weir_sim *sim);
void sim_net_arrive(struct weir_sim *sim, uint32_t index);

/* ---- sim_udp.c ---- */
struct sim_udp_info {
	uint16_t from_port;
	bool is_cut;
	bool is_empty;
};
int sim_udp_bind(struct weir_sim *sim, int file, uint16_t port);
void sim_udp_connect(struct weir_sim *sim, int file, uint16_t port);
/* @port: 0: the connected peer. */
int sim_udp_send(struct weir_sim *sim, int file, uint16_t port,
		 const struct iovec *iov, uint32_t iov_count);
int sim_udp_recv(struct weir_sim *sim, int file, const struct iovec *iov,
		 uint32_t iov_count, struct sim_udp_info *out_info);
bool sim_udp_can_read(const struct weir_sim *sim, int file);
bool sim_udp_is_moving(const struct weir_sim *sim);
void sim_udp_arrive(struct weir_sim *sim);
void sim_udp_end(struct weir_sim *sim, int file);

/* ---- sim_listen.c ---- */
int sim_listen_bind(struct weir_sim *sim, int file,
		    const struct sockaddr *address, socklen_t address_bytes);
int sim_listen_name(const struct weir_sim *sim, int file,
		    struct sockaddr *out_address, socklen_t *address_bytes);
int sim_listen_start(struct weir_sim *sim, int file, int backlog);
void sim_listen_end(struct weir_sim *sim, int file);
int sim_listen_accept(struct weir_sim *sim, int listener); /* conn or -EAGAIN */
/* A listener on @port, or SIM_NONE. */
int sim_listen_choose(struct weir_sim *sim, uint16_t port, bool is_moving);
void sim_listen_queue(struct weir_sim *sim, int listener, int conn);
/* The listener ends: its waiting connections move or are reset. */
void sim_listen_move(struct weir_sim *sim, int listener);
int sim_op_connect_prepare(struct sim_op *op);
bool sim_op_connect_is_ready(const struct weir_sim *sim,
			     const struct sim_op *op);
int sim_op_connect(struct weir_sim *sim, struct sim_op *op);

/* ---- sim_thread.c ---- */
bool sim_thread_is_nested(const struct weir_sim *sim);
void sim_thread_enters(struct weir_sim *sim, int ring);
/* Of a nested turn: sleeps until an event or @wake_ns. */
void sim_thread_sleeps(struct weir_sim *sim, uint64_t wake_ns);
uint32_t sim_threads_ready(const struct weir_sim *sim);
void sim_threads_run(struct weir_sim *sim, uint32_t index);
uint64_t sim_threads_due_ns(const struct weir_sim *sim); /* or UINT64_MAX */

/* ---- sim_world.c ---- */
/* Makes one thing happen, while @ring waits or SIM_NONE does. False: nothing
 * can happen. */
bool sim_world_step(struct weir_sim *sim, int ring, enum sim_runner run);
/* The next time at which something can happen by itself; or UINT64_MAX. */
uint64_t sim_world_due_ns(const struct weir_sim *sim);

/* ---- sim_ring.c ---- */
int sim_ring_setup(void *ctx, uint32_t entry_count,
		   struct io_uring_params *params);
int sim_ring_enter(void *ctx, int ring_fd, uint32_t submit_count,
		   uint32_t min_complete, uint32_t flags, const void *arg,
		   size_t arg_bytes);
int sim_ring_register(void *ctx, int ring_fd, uint32_t opcode, void *arg,
		      uint32_t arg_count);
void *sim_ring_map(struct weir_sim *sim, int ring, uint64_t offset);
void sim_ring_close(struct weir_sim *sim, int ring);
/* It has completions that its owner has not read. */
bool sim_ring_has_news(const struct weir_sim *sim, int ring);
/* Posts one. False: the CQ is full: it goes to the overflow list or, with
 * @only_if_room, is dropped. */
bool sim_ring_post(struct weir_sim *sim, int ring, uint64_t user_data, int res,
		   uint32_t flags, bool only_if_room);

#endif
