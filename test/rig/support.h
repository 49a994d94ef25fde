/* support.h - shared by all test files
 *
 * Every call succeeds or fails the running test with a message, so callers
 * check no results. The kernel chooses ports, and no call waits by sleeping.
 */
#ifndef WEIR_TEST_SUPPORT_H
#define WEIR_TEST_SUPPORT_H

#include "skips.h"

#include "uring/abi.h"
#include "uring/diagnose.h"
#include "uring/error.h"
#include "uring/kernel.h"
#include "uring/rung.h"

#include <check.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct weir_ring;
struct weir_ring_opts;

/* ---- skipping ------------------------------------------------------------ */

/* A sanitizer is part of the program: it needs /proc, its own mappings and the
 * list of CPUs, and complains on the program's stderr. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WI_HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||     \
	__has_feature(memory_sanitizer)
#define WI_HAS_SANITIZER 1
#endif
#endif
#ifndef WI_HAS_SANITIZER
#define WI_HAS_SANITIZER 0
#endif

/* Skips the running test, and prints why: the kernel or the machine lacks
 * something. A macro, because a function cannot return from its caller. */
#define wi_skip_unless(condition, reason)                                      \
	wi_skip_as(WI_SKIP_HOST, condition, reason)

/* The same, but requested: this build lacks the part. */
#define wi_skip_unless_built(condition, reason)                                \
	wi_skip_as(WI_SKIP_ASKED, condition, reason)

/* The same, in the first tier: the test depends on the clock of a machine that
 * may be busy, or it is long on purpose. */
#define wi_skip_unless_deep(reason)                                            \
	wi_skip_as(WI_SKIP_ASKED, wi_is_deep(),                                \
		   "not in the first tier: " reason)

#define wi_skip_as(kind, condition, reason)                                    \
	do {                                                                   \
		if (!(condition)) {                                            \
			wi_skip_note(__func__, reason, kind);                  \
			return;                                                \
		}                                                              \
	} while (0)

/* Skips the test if WEIR_FORCE_OFF names @id. */
#define wi_skip_if_forced_off(id)                                              \
	wi_skip_unless_built(!wi_is_forced_off(id),                            \
			     "WEIR_FORCE_OFF names the rung")

bool wi_is_forced_off(enum weir_rung_id id);

/* $WEIR_DEEP is set: the deep tier runs the long form of a test. */
bool wi_is_deep(void);

/* True if this kernel lets us open a ring; if not, it prints why. */
bool wi_kernel_has_rings(void);

/* ---- sockets ------------------------------------------------------------- */

/* A listening IPv4 socket on 127.0.0.1; its address goes to *out_address. */
int wi_listener(struct sockaddr_in *out_address);

/* A socket that keeps a port of 127.0.0.1 from all other sockets, except those
 * that set SO_REUSEADDR to listen there; the address goes to *out_address. */
int wi_port_hold(struct sockaddr_in *out_address);

/* Two connected TCP sockets over loopback: TCP_NODELAY on both. */
void wi_tcp_pair(int out_fds[2]);

/* A blocking connection to @address. */
int wi_connect(const struct sockaddr_in *address);

/* Writes all of @byte_count, on a blocking socket. */
void wi_write_all(int fd, const void *bytes, size_t byte_count);
void wi_read_all(int fd, void *bytes, size_t byte_count);

/* Makes a close of @fd send RST rather than FIN. */
void wi_reset_on_close(int fd);

/* ---- guard pages --------------------------------------------------------- */

struct wi_guarded {
	uint8_t *bytes; /* exactly byte_count, then a page that traps */
	size_t byte_count;
	void *map;
	size_t map_bytes;
};

/* @byte_count bytes in front of a guard page: an access past the end is a
 * SIGSEGV. */
struct wi_guarded wi_guarded_take(size_t byte_count);
/* The same, filled from @bytes. */
struct wi_guarded wi_guarded_copy(const void *bytes, size_t byte_count);
void wi_guarded_give(struct wi_guarded *guarded);

/* ---- random, repeatable -------------------------------------------------- */

/* xorshift64*; @state is never 0. */
static inline uint32_t wi_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (uint32_t)((*state * 0x2545f4914f6cdd1dULL) >> 32);
}

/* ---- rings --------------------------------------------------------------- */

/* Open and enable, or fail the test with the error's text. */
void wi_ring_start(struct weir_ring *ring, const struct weir_ring_opts *opts);

/* Sleeps until at least one completion is ready, and reaps up to @capacity of
 * them into @out_cqes. Returns how many; 0 only if a fault made the enter
 * fail. */
uint32_t wi_ring_reap(struct weir_ring *ring, struct io_uring_cqe *out_cqes,
		      uint32_t capacity);

/* Repeats wi_ring_reap() until exactly @count have come. */
void wi_ring_collect(struct weir_ring *ring, struct io_uring_cqe *out_cqes,
		     uint32_t count);

/* The next completion, reaped. */
struct io_uring_cqe wi_ring_next(struct weir_ring *ring);

/* ---- processes ----------------------------------------------------------- */

/* Runs @body in a forked child, and copies its result and its error back. The
 * child must not assert. */
int wi_in_child(int (*body)(void *ctx, struct weir_error *error), void *ctx,
		struct weir_error *out_error);

#endif
