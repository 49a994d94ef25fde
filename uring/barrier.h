/* barrier.h - the memory orders of weir, each with its reason
 *
 * The kernel shares four words with a ring: SQ head and tail, CQ head and tail,
 * and for every buffer ring one 16-bit tail. Each has one writer. Threads share
 * counters, flags and pointers in the same way. No other file of the library
 * names a memory order.
 *
 * A name is wi_<operation>_<order>_<width>, in the words of C11's stdatomic.h.
 * add_fetch and sub_fetch return the new value, fetch_max the old one.
 */
#ifndef WEIR_URING_BARRIER_H
#define WEIR_URING_BARRIER_H

#include "annotate.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-tidy does not see that an atomic built-in writes.
 * NOLINTBEGIN(readability-non-const-parameter) */

/* ---- relaxed: the value alone matters ----
 *
 * Relaxed orders nothing and forbids tearing. It is right for a word that its
 * reader can act on whatever its age, and that no other store depends on:
 *
 * - flag words and monotone counters of the kernel: a stale value only means
 *   that the ring looks again at its next turn;
 * - counters and gauges of a loop, which one thread writes and a stats call on
 *   another thread reads;
 * - entries of a table (steering) that another thread, or a program in the
 *   kernel, reads meanwhile: the old entry is as right as the new one. */

static inline uint32_t wi_load_relaxed_u32(const uint32_t *word)
{
	wi_order_atomic(word, sizeof(*word));
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint64_t wi_load_relaxed_u64(const uint64_t *word)
{
	wi_order_atomic(word, sizeof(*word));
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void wi_store_relaxed_u16(uint16_t *word, uint16_t value)
{
	wi_order_atomic(word, sizeof(*word));
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void wi_store_relaxed_u32(uint32_t *word, uint32_t value)
{
	wi_order_atomic(word, sizeof(*word));
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void wi_store_relaxed_u64(uint64_t *word, uint64_t value)
{
	wi_order_atomic(word, sizeof(*word));
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* A counter has one writer (the thread of its loop), so a plain load and a
 * relaxed store are enough. This is no atomic read-modify-write. */
static inline void wi_counter_add(uint64_t *counter, uint64_t how_many)
{
	wi_order_atomic(counter, sizeof(*counter));
	__atomic_store_n(counter, *counter + how_many, __ATOMIC_RELAXED);
}

/* For numbers that no other caller gets: being unique is all that is asked. */
static inline uint64_t wi_add_fetch_relaxed_u64(uint64_t *word, uint64_t value)
{
	wi_order_atomic(word, sizeof(*word));
	return __atomic_add_fetch(word, value, __ATOMIC_RELAXED);
}

/* Moves *@word from @from to @to for one of all threads that try. It decides
 * which thread, nothing more: what the winner then touches has its own lock. */
static inline bool wi_compare_exchange_relaxed_u64(uint64_t *word,
						   uint64_t from, uint64_t to)
{
	wi_order_atomic(word, sizeof(*word));
	return __atomic_compare_exchange_n(word, &from, to, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* ---- acquire and release: what was written before is visible after ----
 *
 * Acquire: what the kernel wrote before it moved an index (CQEs before the CQ
 * tail; the end of its reads of an SQE before the SQ head) is visible to us
 * after we have read the index. The same holds between threads: what one wrote
 * before it raised a flag is visible to the thread that has seen the flag. */

static inline uint32_t wi_load_acquire_u32(const uint32_t *word)
{
	wi_order_atomic(word, sizeof(*word));
	const uint32_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	wi_order_acquire(word);
	return value;
}

/* For the tail of a buffer ring, as the kernel's side reads it (soft/). */
static inline uint16_t wi_load_acquire_u16(const uint16_t *word)
{
	wi_order_atomic(word, sizeof(*word));
	const uint16_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	wi_order_acquire(word);
	return value;
}

/* Release: our writes (SQEs) and reads (CQEs) are finished before the kernel
 * can see the index move past them. A command to another thread, and that
 * thread's acknowledgement, are such a word too. */
static inline void wi_store_release_u32(uint32_t *word, uint32_t value)
{
	wi_order_atomic(word, sizeof(*word));
	wi_order_release(word);
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* For the 16-bit tail of a buffer ring, and for the length of a table of the
 * steering: the entries come first. */
static inline void wi_store_release_u16(uint16_t *word, uint16_t value)
{
	wi_order_atomic(word, sizeof(*word));
	wi_order_release(word);
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* A request to a loop (stop) that several threads may make, each counted. */
static inline uint32_t wi_add_fetch_release_u32(uint32_t *word, uint32_t value)
{
	wi_order_atomic(word, sizeof(*word));
	wi_order_release(word);
	return __atomic_add_fetch(word, value, __ATOMIC_RELEASE);
}

/* The same request at a level: it never falls, and several threads that ask
 * for one level raise it once. */
static inline uint32_t wi_fetch_max_release_u32(uint32_t *word, uint32_t value)
{
	wi_order_atomic(word, sizeof(*word));
	wi_order_release(word);
	uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
	while (seen < value &&
	       !__atomic_compare_exchange_n(word, &seen, value, true,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	return seen;
}

/* ---- sequentially consistent: each side writes its word, then reads ----
 *
 * Two sides that each write their own word first and read the other's second
 * must not both miss the other. The server has two such pairs:
 *
 * - A stop call, perhaps in a signal handler, counts itself in before it reads
 *   the pointers to the loops. A worker empties its pointer before it looks for
 *   such callers, and frees its loop when none is left.
 * - A stop call counts its request before it reads the pointers. A worker that
 *   publishes a pointer reads the count of requests after that. */

static inline uint32_t wi_load_seq_cst_u32(const uint32_t *word)
{
	wi_order_atomic(word, sizeof(*word));
	const uint32_t value = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	wi_order_acquire(word);
	return value;
}

static inline uint32_t wi_add_fetch_seq_cst_u32(uint32_t *word, uint32_t value)
{
	wi_order_atomic(word, sizeof(*word));
	wi_order_release(word);
	return __atomic_add_fetch(word, value, __ATOMIC_SEQ_CST);
}

static inline uint32_t wi_sub_fetch_seq_cst_u32(uint32_t *word, uint32_t value)
{
	wi_order_atomic(word, sizeof(*word));
	wi_order_release(word);
	return __atomic_sub_fetch(word, value, __ATOMIC_SEQ_CST);
}

static inline void *wi_load_seq_cst_pointer(const void *place)
{
	wi_order_atomic(place, sizeof(void *));
	void *value = __atomic_load_n((void *const *)place, __ATOMIC_SEQ_CST);
	wi_order_acquire(place);
	return value;
}

static inline void wi_store_seq_cst_pointer(void *place, void *pointer)
{
	wi_order_atomic(place, sizeof(void *));
	wi_order_release(place);
	__atomic_store_n((void **)place, pointer, __ATOMIC_SEQ_CST);
}

/* NOLINTEND(readability-non-const-parameter) */

#ifdef __cplusplus
}
#endif

#endif
