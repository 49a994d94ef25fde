/* sim.h - a kernel that is simulated: rings, sockets, a network, and time
 *
 *     weir_sim_open(&sim, tape, &opts)
 *     weir_loop_open(... .ring.kernel = weir_sim_kernel(sim) ...)
 *     peers: weir_sim_connect(), weir_sim_write(), weir_sim_read() ...
 *     weir_loop_turn() until it is done
 *
 * net/ runs on it unchanged. All is one thread; the world moves on inside of
 * the loop's enter: operations complete, segments arrive, peers act, time
 * passes, and what happens next the tape decides. What the kernel copies, it
 * copies by memcpy, so AddressSanitizer sees a write into memory that was
 * given up.
 */
#ifndef WEIR_SIM_H
#define WEIR_SIM_H

#include "tape.h"

#include "../../uring/kernel.h"

#include <limits.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct weir_sim;

/* Classes of faults, or'ed. Off: what a healthy kernel and network do, in any
 * order that is legal. */
enum {
	WEIR_FAULT_SHORT_SEND = 1 << 0,  /* fewer bytes, MSG_WAITALL or not */
	WEIR_FAULT_ENTER = 1 << 1,       /* interrupted, short, refused */
	WEIR_FAULT_ERRNO = 1 << 2,       /* an operation fails as it may */
	WEIR_FAULT_TERMINATE = 1 << 3,   /* a multishot ends with a success */
	WEIR_FAULT_ENOBUFS = 1 << 4,     /* no buffer, though there are some */
	WEIR_FAULT_CLOCK = 1 << 5,       /* time leaps */
	WEIR_FAULT_STALE = 1 << 6,       /* completions of the dead */
	WEIR_FAULT_CANCEL_MISS = 1 << 7, /* a cancel finds nothing, once */
	WEIR_FAULT_LOSS = 1 << 8,        /* of datagrams */
	WEIR_FAULT_DUPLICATE = 1 << 9,
	WEIR_FAULT_REORDER = 1 << 10,
	WEIR_FAULT_ALL = (1 << 11) - 1,
};

/**
 * struct weir_sim_opts - zero is the sensible default
 * @faults:       WEIR_FAULT_*
 * @fault_rate:   of 256 chances each; 0 for 16
 * @pipe_bytes:   what a direction of a connection holds; 0 for 4096
 * @sq_entries, @cq_entries: cut the rings down to these; 0: as asked for
 * @setup_forbidden: set-up flags to be refused with -EINVAL
 * @migrates:     who waits at a listener that ends goes to another of its
 *                group, as with net.ipv4.tcp_migrate_req; false: they are reset
 * @is_loopback:  most of what is sent has arrived before the sender goes on
 * @is_prompt:    an operation is tried as it is submitted, unless a worker does
 *                it, and a multishot goes on at once, as 6.18 does by
 *                sim-model; otherwise now and then a little later
 * @is_instant:   what is sent has arrived, whole, before the call returns
 * @allows_misuse: what a kernel answers with an errno alone is no violation
 * @story:        each event, a line in virtual time; NULL for none
 */
struct weir_sim_opts {
	uint32_t faults;
	uint32_t fault_rate;
	uint32_t pipe_bytes;
	uint32_t sq_entries;
	uint32_t cq_entries;
	uint32_t setup_forbidden;
	bool migrates;
	bool allows_misuse;
	bool is_loopback;
	bool is_prompt;
	bool is_instant;
	FILE *story;
};

/**
 * weir_sim_open() - a world with nothing in it
 * @tape: borrowed until weir_sim_close()
 *
 * Return: 0; -ENOMEM. Thread: one for all calls of a world.
 */
int weir_sim_open(struct weir_sim **out_sim, struct weir_tape *tape,
		  const struct weir_sim_opts *opts);
void weir_sim_close(struct weir_sim *sim);

/** weir_sim_reset() - as new, with the memory that it has. */
void weir_sim_reset(struct weir_sim *sim, struct weir_tape *tape,
		    const struct weir_sim_opts *opts);

const struct weir_kernel *weir_sim_kernel(const struct weir_sim *sim);

/** weir_sim_set_faults() - from now on these classes. */
void weir_sim_set_faults(struct weir_sim *sim, uint32_t faults);

/** weir_sim_heal() - no faults from now on, and peers may finish. */
void weir_sim_heal(struct weir_sim *sim);

uint64_t weir_sim_now_ns(const struct weir_sim *sim);

/** weir_sim_pass() - @ns nanoseconds go by in which nothing happens. */
void weir_sim_pass(struct weir_sim *sim, uint64_t ns);

/** weir_sim_hash() - of all that has happened: same tape, same hash. */
uint64_t weir_sim_hash(const struct weir_sim *sim);

/**
 * weir_sim_violation() - the first rule that was broken, or NULL
 *
 * By the kernel's own books: an entry on a dead descriptor that was never
 * valid, a buffer that is in the ring twice, memory freed under an operation.
 */
const char *weir_sim_violation(const struct weir_sim *sim);

/** weir_sim_violate() - a rule of the harness was broken: the first counts. */
void weir_sim_violate(struct weir_sim *sim, const char *rule);

/** weir_sim_note() - a line of the story. */
void weir_sim_note(struct weir_sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** weir_sim_set_migrates() - see weir_sim_opts. */
void weir_sim_set_migrates(struct weir_sim *sim, bool migrates);

/* What must be back to zero at the end. */
struct weir_sim_residue {
	uint32_t descriptors; /* of the process */
	uint32_t slots;       /* direct descriptors */
	uint32_t operations;  /* in flight */
	uint32_t connections; /* with a server's end */
	uint32_t mappings;
};
void weir_sim_residue(const struct weir_sim *sim,
		      struct weir_sim_residue *out_residue);

/* ---- peers ------------------------------------------------------------- */

enum { WEIR_SIM_NO_CONN = -1 };

/**
 * weir_sim_connect() - a client connects
 *
 * Return: the connection; -ECONNREFUSED: nobody listens there; -EAGAIN: the
 *         backlog is full, or the world is.
 */
int weir_sim_connect(struct weir_sim *sim, uint16_t port);

/**
 * weir_sim_pair() - a connection with both ends in the hands of the program
 *
 * Return: 0; -ENFILE, -EMFILE.
 */
int weir_sim_pair(struct weir_sim *sim, int out_fds[2]);

/** weir_sim_write() - Return: bytes taken, 0: full; -EPIPE, -ECONNRESET. */
int weir_sim_write(struct weir_sim *sim, int conn, const void *bytes,
		   size_t byte_count);

/** weir_sim_read() - Return: bytes; 0: FIN; -EAGAIN; -ECONNRESET. */
int weir_sim_read(struct weir_sim *sim, int conn, void *bytes,
		  size_t byte_count);

void weir_sim_fin(struct weir_sim *sim, int conn);     /* shutdown(SHUT_WR) */
void weir_sim_rst(struct weir_sim *sim, int conn);     /* close with linger 0 */
void weir_sim_hang_up(struct weir_sim *sim, int conn); /* close(2) */

/* ---- peers that send datagrams ----------------------------------------- */

/**
 * weir_sim_udp_open() - a socket on 127.0.0.1
 * @port: 0 for any
 *
 * Return: the socket; -EADDRINUSE, -ENFILE.
 */
int weir_sim_udp_open(struct weir_sim *sim, uint16_t port);
uint16_t weir_sim_udp_port(const struct weir_sim *sim, int socket);

/** weir_sim_port() - where descriptor @fd of the program is bound; 0: not. */
uint16_t weir_sim_port(const struct weir_sim *sim, int fd);

/** weir_sim_udp_send() - Return: bytes; -EMSGSIZE above 65507. */
int weir_sim_udp_send(struct weir_sim *sim, int socket, uint16_t port,
		      const void *bytes, size_t byte_count);

/** weir_sim_udp_recv() - Return: bytes, cut to @byte_count; -EAGAIN. */
int weir_sim_udp_recv(struct weir_sim *sim, int socket, void *bytes,
		      size_t byte_count, uint16_t *out_port);
void weir_sim_udp_close(struct weir_sim *sim, int socket);

/**
 * weir_sim_on_step() - a peer's turn, whenever the tape gives it one
 * @step: returns false if it has nothing to do until something happens
 *
 * Return: 0; -ENOSPC above 64 of them.
 */
int weir_sim_on_step(struct weir_sim *sim,
		     bool (*step)(struct weir_sim *sim, void *ctx), void *ctx);

/* An operation that is about to be tried, or, if it was cancelled, to end. */
struct weir_sim_attempt {
	uint64_t user_data;
	uint8_t opcode;
	bool is_cancelled; /* would end with -ECANCELED */
};

/* An answer to an attempt that is no errno: it stays in flight for ever, and
 * no cancel finds it. */
enum { WEIR_SIM_NEVER = INT_MIN };

/**
 * weir_sim_on_attempt() - a say in how each operation goes
 * @attempt: returns 0: as the world has it; a negative errno: that is its end,
 *           without an effect but that of a close; WEIR_SIM_NEVER. NULL: none.
 *           Not asked of what has sent some of its bytes
 *
 * Forgotten by weir_sim_reset().
 */
void weir_sim_on_attempt(struct weir_sim *sim,
			 int (*attempt)(struct weir_sim *sim,
					const struct weir_sim_attempt *what,
					void *ctx),
			 void *ctx);

/**
 * weir_sim_listen() - a peer listens: connections of the ring may go there
 * @backlog: 0: SYNs are not answered
 *
 * Return: 0; -EADDRINUSE; -ENFILE.
 */
int weir_sim_listen(struct weir_sim *sim, uint16_t port, int backlog);
void weir_sim_unlisten(struct weir_sim *sim, uint16_t port);

/** weir_sim_accept() - Return: a connection; -EAGAIN; -EINVAL: see listen. */
int weir_sim_accept(struct weir_sim *sim, uint16_t port);

/**
 * weir_sim_on_choice() - who chooses among the listeners that share a port
 * @choose:    returns a seat: they have the numbers in which they joined, from
 *             0; any other: the kernel's hash chooses
 * @is_moving: from a listener that ends, in its call
 */
void weir_sim_on_choice(struct weir_sim *sim,
			int (*choose)(void *ctx, bool is_moving), void *ctx);

/* ---- several loops ------------------------------------------------------- */

/**
 * weir_sim_on_turn() - a loop's thread
 * @turn: one weir_loop_turn(); returns false once the loop has ended
 *
 * Return: 0; -ENOSPC above 4 of them.
 */
int weir_sim_on_turn(struct weir_sim *sim, bool (*turn)(void *ctx), void *ctx);

/**
 * weir_sim_turn() - a turn of one of these loops
 *
 * While it waits for the kernel, the others have theirs.
 *
 * Return: false once all have ended.
 */
bool weir_sim_turn(struct weir_sim *sim);

/**
 * weir_sim_on_enter() - a say in how each call of enter goes
 * @enter: is told how many entries the call has; returns how many of them the
 *         kernel takes at most, or a negative errno. NULL: none
 *
 * Forgotten by weir_sim_reset().
 */
void weir_sim_on_enter(struct weir_sim *sim,
		       int (*enter)(struct weir_sim *sim, uint32_t count,
				    void *ctx),
		       void *ctx);

/** weir_sim_rest() - in a peer's turn: the next one not before @ns from now. */
void weir_sim_rest(struct weir_sim *sim, uint64_t ns);

/** weir_sim_settle() - peers and the network go on until they are done. */
void weir_sim_settle(struct weir_sim *sim);

/** weir_sim_arrived_bytes() - how many of the peer's have, since the start. */
uint32_t weir_sim_arrived_bytes(const struct weir_sim *sim, int conn);

/** weir_sim_idle() - the last enter found nothing that could ever happen. */
bool weir_sim_is_idle(const struct weir_sim *sim);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
