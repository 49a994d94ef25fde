/* sim_priv.h - the world: files, connections, rings, operations
 *
 *     fd / slot --> file --> listener, or one end of a connection, or a
 * doorbell
 *                    ^
 *     operation -----+        each holds a reference; the last one closes it
 *
 * All of it is small arrays: a world is made anew thousands of times a second.
 */
#ifndef WEIR_SIM_PRIV_H
#define WEIR_SIM_PRIV_H

#include "sim.h"

#include "../../uring/abi.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

enum {
	SIM_FDS = 64,
	SIM_FD_FIRST = 3,
	SIM_FILES = 128,
	SIM_CONNS = 64,
	SIM_RINGS = 4,
	SIM_SLOTS = 256,
	SIM_OPS = 256,
	SIM_OVERFLOW = 512,
	SIM_GROUPS = 4,
	SIM_LISTENERS = 16,
	SIM_BACKLOG = 64,
	SIM_STEPS = 64, /* peers */
	SIM_DEAD = 8,
	SIM_PIPE_BYTES_MAX = 16384,
	SIM_MEMORY_BYTES = 64 << 20,
	SIM_NONE = -1,
	SIM_NS_PER_US = 1000,
};

/* One direction of a connection. Positions count from the start of the
 * stream: read <= arrived <= written. */
struct sim_pipe {
	uint64_t read;
	uint64_t arrived;
	uint64_t written;
	bool fin_written; /* by the sender: after its last byte */
	bool fin_arrived;
	uint8_t bytes[SIM_PIPE_BYTES_MAX];
};

enum sim_side { SIM_CLIENT = 0, SIM_SERVER };

struct sim_conn {
	bool is_used;
	bool is_accepted;
	bool has_client;    /* its end is open */
	bool has_server;    /* in the backlog, or behind a file */
	bool rst_to_server; /* has arrived there, and is to be reported */
	bool rst_to_client;
	bool rst_sent_to_server; /* on its way */
	bool rst_sent_to_client;
	bool server_error_told;
	bool rst_is_unheard; /* by a multishot receive that goes on waiting */
	struct sim_pipe pipes[2]; /* index: the side that writes */
};

enum sim_file_kind {
	SIM_FREE = 0,
	SIM_RING,
	SIM_LISTENER,
	SIM_STREAM, /* conn, or none yet: a socket to be connected */
	SIM_DOORBELL,
};

struct sim_file {
	enum sim_file_kind kind;
	int refs;
	int conn;          /* STREAM: or SIM_NONE */
	int ring;          /* RING */
	uint16_t port;     /* LISTENER */
	bool is_listening; /* not shut down */
	bool is_in_group;
	int backlog;
	int queue[SIM_BACKLOG]; /* conns that wait */
	int queued;
	uint64_t value;      /* DOORBELL */
	uint64_t last_token; /* STREAM: of an operation on it that has ended */
};

struct sim_op {
	bool is_used;
	bool is_armed;     /* waits for its file */
	bool is_cancelled; /* ends with -ECANCELED */
	bool is_late;      /* was not tried yet */
	bool is_first;     /* RECV: was ready when it was submitted */
	uint32_t due_flags;
	int ring;
	int file;      /* referenced, or SIM_NONE */
	uint32_t done; /* bytes of a MSG_WAITALL send that went out */
	uint64_t order;
	struct io_uring_sqe sqe;
	/* SENDMSG: the header is read at submission. */
	struct msghdr message;
	struct iovec iov[16];
};

struct sim_group {
	bool is_used;
	uint16_t id;
	struct io_uring_buf *ring;
	uint32_t entry_count;
	uint16_t head;
};

struct sim_ring {
	bool is_used;
	bool is_enabled;
	uint32_t setup_flags;
	uint32_t sq_entries;
	uint32_t cq_entries;
	uint8_t *memory; /* indices and completions; see sim_ring.c */
	struct io_uring_sqe *sqes;
	struct io_uring_cqe overflow[SIM_OVERFLOW];
	uint32_t overflow_count;
	int slots[SIM_SLOTS]; /* files, or SIM_NONE */
	uint32_t slot_count;
	uint32_t slot_hint; /* ALLOC begins after the last used */
	struct sim_group groups[SIM_GROUPS];
};

struct sim_step {
	bool (*step)(struct weir_sim *sim, void *ctx);
	void *ctx;
	bool is_resting; /* until something happens */
	uint64_t rested_at;
};

struct weir_sim {
	struct weir_kernel kernel;
	struct weir_tape *tape;
	struct weir_sim_opts opts;
	uint64_t now_ns;
	uint64_t hash;
	uint64_t order;
	uint64_t events; /* things that have happened in the world */
	bool is_idle;
	const char *violation;

	uint8_t *memory; /* what map() hands out */
	size_t memory_used;
	uint32_t mappings;
	uint16_t next_port;
	uint64_t random;

	int fds[SIM_FDS]; /* files, or SIM_NONE */
	struct sim_file files[SIM_FILES];
	struct sim_ring rings[SIM_RINGS];
	struct sim_op ops[SIM_OPS];
	int op_high; /* none is used at or above it */
	int conn_high;
	uint64_t dead_tokens[SIM_DEAD]; /* of streams that are closed */
	uint32_t dead_count;
	struct sim_step steps[SIM_STEPS];
	int step_count;
	/* Large, and not cleared but by who takes one. */
	struct sim_conn conns[SIM_CONNS];
};

/* ---- sim.c ---- */
bool sim_fault(struct weir_sim *sim, uint32_t fault);
void sim_hash_add(struct weir_sim *sim, uint64_t value);
int sim_file_take(struct weir_sim *sim, enum sim_file_kind kind);
void sim_file_hold(struct weir_sim *sim, int file);
void sim_file_drop(struct weir_sim *sim, int file);
int sim_fd_take(struct weir_sim *sim, int file);
int sim_fd_file(const struct weir_sim *sim, int fd);

/* ---- sim_net.c ---- */
int sim_net_listen(struct weir_sim *sim, int file,
		   struct weir_listen_request *request);
void sim_net_listen_end(struct weir_sim *sim, int file);
int sim_net_accept(struct weir_sim *sim, int listener); /* conn or -EAGAIN */
void sim_net_close(struct weir_sim *sim, int conn, enum sim_side side);
int sim_net_shutdown(struct weir_sim *sim, int conn, enum sim_side side);
/* Bytes; 0 FIN; -EAGAIN; -ECONNRESET once. */
int sim_net_read(struct weir_sim *sim, int conn, enum sim_side side,
		 void *bytes, size_t byte_count);
int sim_net_write(struct weir_sim *sim, int conn, enum sim_side side,
		  const void *bytes, size_t byte_count);
bool sim_net_can_read(const struct weir_sim *sim, int conn, enum sim_side side);
bool sim_net_can_write(const struct weir_sim *sim, int conn,
		       enum sim_side side);
uint32_t sim_net_readable(const struct weir_sim *sim, int conn,
			  enum sim_side side);
/* After a receive: whether the socket has more (IORING_CQE_F_SOCK_NONEMPTY; a
 * FIN counts, tcp_inq()). If not, a multishot waits for the next event; and if
 * @is_first, what it has received was there when it was armed, a RST that was
 * there as well is none (seen on 6.18). */
bool sim_net_has_more(struct weir_sim *sim, int conn, bool *is_first);
/* The socket is polled anew: a RST is heard. */
void sim_net_poll_anew(struct weir_sim *sim, int conn);
/* How many things are under way, and the arrival of one of them. */
uint32_t sim_net_pending(const struct weir_sim *sim);
void sim_net_arrive(struct weir_sim *sim, uint32_t index);

/* ---- sim_op.c ---- */
void sim_op_submit(struct weir_sim *sim, int ring,
		   const struct io_uring_sqe *sqe);
/* How many could go on now, and the next step of one of them. */
uint32_t sim_op_runnable(const struct weir_sim *sim, int ring);
void sim_op_run(struct weir_sim *sim, int ring, uint32_t index);
void sim_ops_end(struct weir_sim *sim, int ring);
/* A completion of an operation whose stream is gone. */
void sim_op_haunt(struct weir_sim *sim, int ring);

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
/* Posts one; false: the CQ was full and it is on the overflow list. With
 * @only_if_room nothing is posted then. */
bool sim_ring_post(struct weir_sim *sim, int ring, uint64_t user_data, int res,
		   uint32_t flags, bool only_if_room);

#endif
