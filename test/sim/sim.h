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
 *
 * A world holds 4 rings, 64 connections, 64 peers, 61 descriptors beside 32,768
 * direct ones a ring, 256 operations in flight, and 4 GiB of address space.
 * Ports are in host order, addresses are 127.0.0.1, time is nanoseconds since
 * one second before the start. A world has one thread at a time; worlds know
 * nothing of each other. No call blocks.
 *
 * Start with sim_main.h: the command line, and the life of a loop.
 */
#ifndef WEIR_SIM_H
#define WEIR_SIM_H

#include "tape.h"

#include <weir/uring/kernel.h>

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
	WEIR_FAULT_TWICE = 1 << 11, /* a last completion comes again */
	WEIR_FAULT_NEVER = 1 << 12, /* an operation does not complete */
	WEIR_FAULT_STILL = 1 << 13, /* the clock stands still for a while */
	WEIR_FAULT_ALL = (1 << 14) - 1,
};

/**
 * struct weir_sim_opts - zero is the sensible default
 * @faults:       WEIR_FAULT_*; none: a healthy kernel
 * @fault_rate:   how often where one can be, of 256 times; 1 to 256, 0 for 16
 * @pipe_bytes:   what a direction of a connection holds, sent and not read; at
 *                most 16384, 0 for 4096
 * @sq_entries, @cq_entries: cut the rings down to these, powers of two; 0: as
 *                asked for
 * @setup_forbidden: set-up flags (IORING_SETUP_*) to be refused with -EINVAL
 * @migrates:     who waits at a listener that ends goes to another of its
 *                group, as with net.ipv4.tcp_migrate_req; false: they are reset
 * @is_loopback:  most of what is sent has arrived before the sender goes on
 * @is_prompt:    an operation is tried as it is submitted, unless a worker does
 *                it, and a multishot goes on at once, as 6.18 does by
 *                sim-model; otherwise now and then a little later
 * @is_instant:   what is sent has arrived, whole, before the call returns
 * @allows_misuse: what a kernel answers with an errno alone is no violation
 * @story:        each event, a line in virtual time; borrowed; NULL for none
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
 * @out_sim: written on success only; the caller's, for weir_sim_close()
 * @tape:    lent until weir_sim_close() or weir_sim_reset()
 * @opts:    copied; NULL for all defaults
 *
 * Takes a megabyte or so, and 4 GiB of address space: to play many worlds,
 * reset one.
 *
 * Return: 0; -ENOMEM. Thread: one for all calls of a world.
 */
int weir_sim_open(struct weir_sim **out_sim, struct weir_tape *tape,
		  const struct weir_sim_opts *opts);

/** weir_sim_close() - free it; takes NULL. Its loops are closed before. */
void weir_sim_close(struct weir_sim *sim);

/**
 * weir_sim_reset() - as new, with the memory that it has
 * @tape, @opts: as weir_sim_open()
 *
 * A loop that is still open is gone with it: its memory was the world's.
 */
void weir_sim_reset(struct weir_sim *sim, struct weir_tape *tape,
		    const struct weir_sim_opts *opts);

/**
 * weir_sim_kernel() - for weir_loop_opts.ring.kernel
 *
 * Not for weir_server_open(), which starts threads.
 *
 * Return: borrowed; the same until weir_sim_close().
 */
const struct weir_kernel *weir_sim_kernel(const struct weir_sim *sim);

/** weir_sim_set_faults() - from now on these classes. */
void weir_sim_set_faults(struct weir_sim *sim, uint32_t faults);

/**
 * weir_sim_heal() - no faults from now on, and every peer has a turn again
 *
 * What can finish must finish then, which is a rule worth checking.
 */
void weir_sim_heal(struct weir_sim *sim);

/** weir_sim_tape() - for choices of the program's own: see tape.h. */
struct weir_tape *weir_sim_tape(const struct weir_sim *sim);

/** weir_sim_now_ns() - virtual time, which begins at 1,000,000,000. */
uint64_t weir_sim_now_ns(const struct weir_sim *sim);

/** weir_sim_pass() - @ns nanoseconds go by in which nothing happens. */
void weir_sim_pass(struct weir_sim *sim, uint64_t ns);

/** weir_sim_hash() - of all that has happened: same tape, same hash. */
uint64_t weir_sim_hash(const struct weir_sim *sim);

/**
 * weir_sim_violation() - the first rule that was broken, or NULL
 *
 * By the kernel's own books: an operation on a descriptor that is not open, a
 * buffer that is in the ring twice, memory of a zero-copy send that is changed
 * before its notice. Or by weir_sim_violate(). The world goes on all the same.
 */
const char *weir_sim_violation(const struct weir_sim *sim);

/**
 * weir_sim_violate() - a rule of the program was broken: the first one counts
 * @rule: a line for people; borrowed until weir_sim_reset() or close, and the
 *        same text whenever it is this rule
 */
void weir_sim_violate(struct weir_sim *sim, const char *rule);

/** weir_sim_note() - a line of the story, like printf(3), without its end. */
void weir_sim_note(struct weir_sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** weir_sim_set_migrates() - see weir_sim_opts. */
void weir_sim_set_migrates(struct weir_sim *sim, bool migrates);

/* What must be back to zero once all loops are closed: counts. */
struct weir_sim_residue {
	uint32_t descriptors; /* of the process */
	uint32_t slots;       /* direct descriptors */
	uint32_t operations;  /* in flight */
	uint32_t connections; /* with a server's end */
	uint32_t mappings;
};

/** weir_sim_residue() - what there is now. */
void weir_sim_residue(const struct weir_sim *sim,
		      struct weir_sim_residue *out_residue);

/* What operations on streams have told their rings, since weir_sim_reset(): a
 * program that counts must come to the same sums. Bytes. */
struct weir_sim_traffic {
	uint64_t received_bytes;
	uint64_t sent_bytes;
};

/** weir_sim_traffic() - so far. */
void weir_sim_traffic(const struct weir_sim *sim,
		      struct weir_sim_traffic *out_traffic);

/* ---- peers --------------------------------------------------------------
 *
 * A connection is a small number, from connect or accept until the peer resets
 * it or hangs up; another may have the number afterwards.
 */

enum { WEIR_SIM_NO_CONN = -1 };

/**
 * weir_sim_connect() - a client connects
 *
 * Return: the connection, at least 0; -ECONNREFUSED: nobody listens on @port;
 *         -EAGAIN: the backlog is full, or the world is.
 */
int weir_sim_connect(struct weir_sim *sim, uint16_t port);

/**
 * weir_sim_pair() - a connection with both ends in the hands of the program
 * @out_fds: descriptors for operations of a ring; weir_kernel.close() ends them
 *
 * Return: 0; -ENFILE, -EMFILE: the world is full.
 */
int weir_sim_pair(struct weir_sim *sim, int out_fds[2]);

/**
 * weir_sim_write() - a peer sends; copied
 *
 * Return: bytes taken, fewer than @byte_count if the pipe is full, 0 if none
 *         went in; -EPIPE after a FIN of its own; -ECONNRESET.
 */
int weir_sim_write(struct weir_sim *sim, int conn, const void *bytes,
		   size_t byte_count);

/**
 * weir_sim_read() - a peer receives what has arrived
 *
 * Return: bytes, at most @byte_count; 0: FIN; -EAGAIN: nothing yet;
 *         -ECONNRESET, once.
 */
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
 * Return: the socket, until weir_sim_udp_close(); -EADDRINUSE, -ENFILE.
 */
int weir_sim_udp_open(struct weir_sim *sim, uint16_t port);

/** weir_sim_udp_port() - where it is bound. */
uint16_t weir_sim_udp_port(const struct weir_sim *sim, int socket);

/** weir_sim_port() - where descriptor @fd of the program is bound; 0: not. */
uint16_t weir_sim_port(const struct weir_sim *sim, int fd);

/**
 * weir_sim_udp_send() - a datagram to @port; copied
 *
 * Return: @byte_count, lost or not; -EMSGSIZE above 65507.
 */
int weir_sim_udp_send(struct weir_sim *sim, int socket, uint16_t port,
		      const void *bytes, size_t byte_count);

/**
 * weir_sim_udp_recv() - the next datagram
 * @out_port: of its sender; written on success only
 *
 * Return: bytes, cut to @byte_count; -EAGAIN: none has arrived.
 */
int weir_sim_udp_recv(struct weir_sim *sim, int socket, void *bytes,
		      size_t byte_count, uint16_t *out_port);

/** weir_sim_udp_close() - what waits in it is gone. */
void weir_sim_udp_close(struct weir_sim *sim, int socket);

/**
 * weir_sim_on_step() - a peer's turn, whenever the tape gives it one
 * @step: does one thing, like a connect, a write or a read. Returns whether it
 *        did any: after false it has its next turn once something has happened
 * @ctx:  borrowed until weir_sim_reset() or close
 *
 * Called from within the loop's turn: it may stop a loop, and call all of this
 * file but open, reset and close.
 *
 * Return: 0; -ENOSPC above 64 of them.
 */
int weir_sim_on_step(struct weir_sim *sim,
		     bool (*step)(struct weir_sim *sim, void *ctx), void *ctx);

/* An operation that is about to be tried, or, if it was cancelled, to end.
 * @user_data, @opcode: of its entry, IORING_OP_* */
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
 * @ctx:     borrowed
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
 * @backlog: how many may wait for weir_sim_accept(), cut to 64; 0: SYNs are not
 *           answered
 *
 * Return: 0; -EADDRINUSE: a peer listens there; -ENFILE.
 */
int weir_sim_listen(struct weir_sim *sim, uint16_t port, int backlog);

/** weir_sim_unlisten() - who waits there is reset; none may listen. */
void weir_sim_unlisten(struct weir_sim *sim, uint16_t port);

/**
 * weir_sim_accept() - who waits longest at a peer's listener
 *
 * Return: a connection; -EAGAIN: nobody waits; -EINVAL: no peer listens there.
 */
int weir_sim_accept(struct weir_sim *sim, uint16_t port);

/**
 * weir_sim_on_choice() - who chooses among the listeners that share a port
 * @choose:    returns a seat: they have the numbers in which they joined, from
 *             0; any other: the kernel's hash chooses
 * @is_moving: from a listener that ends, in its call
 * @ctx:       borrowed until weir_sim_reset() or close
 */
void weir_sim_on_choice(struct weir_sim *sim,
			int (*choose)(void *ctx, bool is_moving), void *ctx);

/* ---- several loops ----------------------------------------------------- */

/**
 * weir_sim_on_turn() - a loop's thread
 * @turn: one weir_loop_turn(); returns false once the loop has ended
 * @ctx:  borrowed until weir_sim_reset() or close
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

/**
 * weir_sim_rest() - in a peer's turn: the next one not before @ns from now
 *
 * Whatever happens meanwhile. Only from within its step.
 */
void weir_sim_rest(struct weir_sim *sim, uint64_t ns);

/**
 * weir_sim_settle() - peers and the network go on until they are done
 *
 * Without a loop: between its turns, or after its end. Time does not pass to a
 * deadline for it.
 */
void weir_sim_settle(struct weir_sim *sim);

/** weir_sim_arrived_bytes() - how many of the peer's own have, at the other
 * side, since it connected. */
uint32_t weir_sim_arrived_bytes(const struct weir_sim *sim, int conn);

/**
 * weir_sim_revive() - what was to never complete (WEIR_FAULT_NEVER) goes on
 *
 * From here, as what is late. On the world's thread, at any time.
 */
void weir_sim_revive(struct weir_sim *sim);

/** weir_sim_mapped_bytes() - bytes of anonymous memory that were mapped since
 * weir_sim_reset(), in whole pages; what was unmapped counts on. */
size_t weir_sim_mapped_bytes(const struct weir_sim *sim);

/**
 * weir_sim_is_idle() - the last enter found nothing that could ever happen
 *
 * No operation can go on, nothing is under way, no peer has anything to do, and
 * the loop waits without a limit: it would for ever.
 */
bool weir_sim_is_idle(const struct weir_sim *sim);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
