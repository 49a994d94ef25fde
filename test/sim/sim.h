/* sim.h - a simulated kernel: rings, sockets, a network, and time
 *
 *     weir_sim_open(&sim, tape, &opts)
 *     weir_loop_open(... .ring.kernel = weir_sim_kernel(sim) ...)
 *     peers: weir_sim_connect(), weir_sim_write(), weir_sim_read() ...
 *     weir_loop_turn() until it is done
 *
 * net/ runs on it unchanged, on one thread. The world moves on inside the
 * loop's enter: operations complete, segments arrive, peers act, time passes.
 * The tape decides what happens next. Where a kernel copies, the simulation
 * calls memcpy, so AddressSanitizer sees a write into memory that was freed.
 *
 * A world holds 4 rings, 64 connections, 64 peers, 61 descriptors and 32,768
 * direct ones per ring, 256 operations in flight, and 4 GiB of address space.
 * Ports are in host order, addresses are 127.0.0.1, time is nanoseconds since
 * one second before the start. One thread at a time uses a world; worlds share
 * nothing. No call blocks.
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

/* Classes of faults, or'ed. With none, the world does only what a healthy
 * kernel and network do, in any legal order. */
enum {
	WEIR_FAULT_SHORT_SEND = 1 << 0,  /* fewer bytes, MSG_WAITALL or not */
	WEIR_FAULT_ENTER = 1 << 1,       /* EINTR, short, an errno */
	WEIR_FAULT_ERRNO = 1 << 2,       /* an operation fails */
	WEIR_FAULT_TERMINATE = 1 << 3,   /* a multishot ends with a success */
	WEIR_FAULT_ENOBUFS = 1 << 4,     /* -ENOBUFS, though buffers are free */
	WEIR_FAULT_CLOCK = 1 << 5,       /* time jumps forward */
	WEIR_FAULT_STALE = 1 << 6,       /* completions for closed streams */
	WEIR_FAULT_CANCEL_MISS = 1 << 7, /* a cancel finds nothing, once */
	WEIR_FAULT_LOSS = 1 << 8,        /* datagrams are lost */
	WEIR_FAULT_DUPLICATE = 1 << 9,
	WEIR_FAULT_REORDER = 1 << 10,
	WEIR_FAULT_TWICE = 1 << 11, /* a last completion comes twice */
	WEIR_FAULT_NEVER = 1 << 12, /* an operation does not complete */
	WEIR_FAULT_STILL = 1 << 13, /* the clock stands still for a while */
	WEIR_FAULT_ALL = (1 << 14) - 1,
};

/**
 * struct weir_sim_opts - zero is the sensible default
 * @faults:       WEIR_FAULT_*; 0: a healthy kernel
 * @fault_rate:   chance of a fault at each place that allows one, in 256ths; 1
 *                to 256, 0 for 16
 * @pipe_bytes:   bytes sent and not yet read, per direction of a connection; at
 *                most 16384, 0 for 4096
 * @sq_entries, @cq_entries: cut the rings down to these, powers of two; 0: as
 *                requested
 * @setup_forbidden: set-up flags (IORING_SETUP_*) to refuse with -EINVAL
 * @migrates:     when a listener ends, its waiting connections go to another
 *                one of its group, as with net.ipv4.tcp_migrate_req; false:
 *                they are reset
 * @is_loopback:  most bytes arrive before the sender continues
 * @is_prompt:    an operation is tried when it is submitted, unless a kernel
 *                worker runs it, and a multishot continues at once, as 6.18
 *                does by sim-model; false: both may happen a little later
 * @is_instant:   sent bytes have arrived, all of them, before the call returns
 * @allows_misuse: a wrong request that a kernel answers with an errno is no
 *                violation
 * @story:        one line per event, in virtual time; borrowed; NULL: none
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
 * weir_sim_open() - an empty world
 * @out_sim: written on success only; the caller's, for weir_sim_close()
 * @tape:    lent until weir_sim_close() or weir_sim_reset()
 * @opts:    copied; NULL for all defaults
 *
 * Takes about a megabyte, and 4 GiB of address space. To play many worlds,
 * reset one.
 *
 * Return: 0; -ENOMEM. Thread: one for all calls of a world.
 */
int weir_sim_open(struct weir_sim **out_sim, struct weir_tape *tape,
		  const struct weir_sim_opts *opts);

/** weir_sim_close() - free it; takes NULL. Close its loops before. */
void weir_sim_close(struct weir_sim *sim);

/**
 * weir_sim_reset() - an empty world again, in the same memory
 * @tape, @opts: as weir_sim_open()
 *
 * A loop that is still open is gone: its memory belonged to the world.
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

/** weir_sim_set_faults() - replaces the classes of faults from now on. */
void weir_sim_set_faults(struct weir_sim *sim, uint32_t faults);

/**
 * weir_sim_heal() - no faults from now on, and every peer gets a step again
 *
 * All that can finish must finish after this: a rule worth checking.
 */
void weir_sim_heal(struct weir_sim *sim);

/** weir_sim_tape() - for choices of the program itself: see tape.h. */
struct weir_tape *weir_sim_tape(const struct weir_sim *sim);

/** weir_sim_now_ns() - virtual time, which begins at 1,000,000,000. */
uint64_t weir_sim_now_ns(const struct weir_sim *sim);

/** weir_sim_pass() - @ns nanoseconds pass, and nothing happens in them. */
void weir_sim_pass(struct weir_sim *sim, uint64_t ns);

/** weir_sim_hash() - of all events so far: same tape, same hash. */
uint64_t weir_sim_hash(const struct weir_sim *sim);

/**
 * weir_sim_violation() - the first rule that was broken, or NULL
 *
 * Rules of the simulated kernel: for example an operation on a closed
 * descriptor, a buffer that is in the ring twice, or memory of a zero-copy send
 * that changes before its notice. Also rules of weir_sim_violate(). The world
 * continues after a violation.
 */
const char *weir_sim_violation(const struct weir_sim *sim);

/**
 * weir_sim_violate() - reports a broken rule of the program; the first counts
 * @rule: a line for people; borrowed until weir_sim_reset() or close. Use the
 *        same text each time for the same rule
 */
void weir_sim_violate(struct weir_sim *sim, const char *rule);

/** weir_sim_note() - a line of the story, like printf(3), without "\n". */
void weir_sim_note(struct weir_sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** weir_sim_set_migrates() - see weir_sim_opts. */
void weir_sim_set_migrates(struct weir_sim *sim, bool migrates);

/* Counts that must be zero again once all loops are closed. */
struct weir_sim_residue {
	uint32_t descriptors; /* open in the process */
	uint32_t slots;       /* direct descriptors */
	uint32_t operations;  /* in flight */
	uint32_t connections; /* with a server's end */
	uint32_t mappings;
};

/** weir_sim_residue() - the counts now. */
void weir_sim_residue(const struct weir_sim *sim,
		      struct weir_sim_residue *out_residue);

/* Bytes that completions of stream operations have reported since
 * weir_sim_reset(). The program's own counters must give the same sums. */
struct weir_sim_traffic {
	uint64_t received_bytes;
	uint64_t sent_bytes;
};

/** weir_sim_traffic() - so far. */
void weir_sim_traffic(const struct weir_sim *sim,
		      struct weir_sim_traffic *out_traffic);

/* ---- peers --------------------------------------------------------------
 *
 * A connection is a small number. It is valid from connect or accept until the
 * peer resets or closes it; a later connection may get the same number.
 */

enum { WEIR_SIM_NO_CONN = -1 };

/**
 * weir_sim_connect() - a client connects
 *
 * Return: the connection, at least 0; -ECONNREFUSED: no listener on @port;
 *         -EAGAIN: the backlog or the world is full.
 */
int weir_sim_connect(struct weir_sim *sim, uint16_t port);

/**
 * weir_sim_pair() - a connection; the program holds both ends
 * @out_fds: descriptors for operations of a ring; weir_kernel.close() ends them
 *
 * Return: 0; -ENFILE, -EMFILE: the world is full.
 */
int weir_sim_pair(struct weir_sim *sim, int out_fds[2]);

/**
 * weir_sim_write() - a peer sends; copied
 *
 * Return: bytes taken: fewer than @byte_count if the pipe fills, 0 if it was
 *         full; -EPIPE after weir_sim_fin(); -ECONNRESET.
 */
int weir_sim_write(struct weir_sim *sim, int conn, const void *bytes,
		   size_t byte_count);

/**
 * weir_sim_read() - a peer receives bytes that have arrived
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

/** weir_sim_udp_port() - the port that @socket is bound to. */
uint16_t weir_sim_udp_port(const struct weir_sim *sim, int socket);

/** weir_sim_port() - the port of the program's descriptor @fd; 0: unbound. */
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

/** weir_sim_udp_close() - drops the datagrams that wait in it. */
void weir_sim_udp_close(struct weir_sim *sim, int socket);

/**
 * weir_sim_on_step() - adds a peer; the tape decides when it makes a step
 * @step: does one thing, such as a connect, a write or a read, and returns
 *        whether it did. After false the peer rests until something happens
 * @ctx:  borrowed until weir_sim_reset() or close
 *
 * Called during a turn of the loop. A step may stop a loop, and may call
 * everything in this file except open, reset and close.
 *
 * Return: 0; -ENOSPC above 64 of them.
 */
int weir_sim_on_step(struct weir_sim *sim,
		     bool (*step)(struct weir_sim *sim, void *ctx), void *ctx);

/* An operation just before an attempt, or, once cancelled, before its end.
 * @user_data and @opcode (IORING_OP_*) are those of its entry. */
struct weir_sim_attempt {
	uint64_t user_data;
	uint8_t opcode;
	bool is_cancelled; /* will end with -ECANCELED */
};

/* Result of the attempt callback: the operation stays in flight for ever, and
 * no cancel finds it. */
enum { WEIR_SIM_NEVER = INT_MIN };

/**
 * weir_sim_on_attempt() - a callback that may set the result of an operation
 * @attempt: returns 0: no change; a negative errno: the operation ends with it
 *           and has no effect, except that a close still closes;
 *           WEIR_SIM_NEVER. NULL: no callback. Not called for an operation that
 *           has sent some of its bytes
 * @ctx:     borrowed
 *
 * weir_sim_reset() removes it.
 */
void weir_sim_on_attempt(struct weir_sim *sim,
			 int (*attempt)(struct weir_sim *sim,
					const struct weir_sim_attempt *what,
					void *ctx),
			 void *ctx);

/**
 * weir_sim_listen() - a peer listens: the program may connect to @port
 * @backlog: how many may wait for weir_sim_accept(), cut to 64; 0: SYNs are not
 *           answered
 *
 * Return: 0; -EADDRINUSE: a peer listens there; -ENFILE.
 */
int weir_sim_listen(struct weir_sim *sim, uint16_t port, int backlog);

/** weir_sim_unlisten() - resets those that wait, and ends the listener. */
void weir_sim_unlisten(struct weir_sim *sim, uint16_t port);

/**
 * weir_sim_accept() - takes the oldest connection of a peer's listener
 *
 * Return: a connection; -EAGAIN: none waits; -EINVAL: no peer listens there.
 */
int weir_sim_accept(struct weir_sim *sim, uint16_t port);

/**
 * weir_sim_on_choice() - chooses among the listeners that share a port
 * @choose:    returns a member: listeners are numbered from 0 in the order in
 *             which they joined. For any other number the kernel's hash chooses
 * @is_moving: true: the connection comes from a listener that is being closed
 * @ctx:       borrowed until weir_sim_reset() or close
 */
void weir_sim_on_choice(struct weir_sim *sim,
			int (*choose)(void *ctx, bool is_moving), void *ctx);

/* ---- several loops ----------------------------------------------------- */

/**
 * weir_sim_on_turn() - adds a loop's thread
 * @turn: one weir_loop_turn(); returns false once the loop has ended
 * @ctx:  borrowed until weir_sim_reset() or close
 *
 * Return: 0; -ENOSPC above 4 of them.
 */
int weir_sim_on_turn(struct weir_sim *sim, bool (*turn)(void *ctx), void *ctx);

/**
 * weir_sim_turn() - one turn of one of these loops
 *
 * While it waits for the kernel, the other loops make their turns.
 *
 * Return: false once all have ended.
 */
bool weir_sim_turn(struct weir_sim *sim);

/**
 * weir_sim_on_enter() - a callback that may limit or fail a call of enter
 * @enter: gets the number of entries of the call; returns how many of them the
 *         kernel takes at most, or a negative errno. NULL: no callback
 *
 * weir_sim_reset() removes it.
 */
void weir_sim_on_enter(struct weir_sim *sim,
		       int (*enter)(struct weir_sim *sim, uint32_t count,
				    void *ctx),
		       void *ctx);

/**
 * weir_sim_rest() - the peer makes no step for @ns, whatever happens
 *
 * Call it only from within the peer's step.
 */
void weir_sim_rest(struct weir_sim *sim, uint64_t ns);

/**
 * weir_sim_settle() - peers and the network continue until they have no more to
 * do
 *
 * For a world between turns, or after the loop's end. Time does not jump to a
 * deadline.
 */
void weir_sim_settle(struct weir_sim *sim);

/** weir_sim_arrived_bytes() - how many bytes of the peer have arrived at the
 * other side since it connected. */
uint32_t weir_sim_arrived_bytes(const struct weir_sim *sim, int conn);

/**
 * weir_sim_revive() - operations that would never complete (WEIR_FAULT_NEVER)
 * continue, late
 *
 * Thread: the world's, at any time.
 */
void weir_sim_revive(struct weir_sim *sim);

/** weir_sim_mapped_bytes() - anonymous memory mapped since weir_sim_reset(),
 * in whole pages; unmapped memory still counts. */
size_t weir_sim_mapped_bytes(const struct weir_sim *sim);

/**
 * weir_sim_is_idle() - at the last enter, nothing could ever happen again
 *
 * No operation can continue, nothing is in transit, no peer has anything to do,
 * and the loop waits without a timeout: a real loop would hang.
 */
bool weir_sim_is_idle(const struct weir_sim *sim);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
