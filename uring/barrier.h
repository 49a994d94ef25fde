/* barrier.h - every memory order that weir uses, each with its reason
 *
 * The kernel and a ring share four words (SQ head and tail, CQ head and tail)
 * and one 16-bit tail per buffer ring. Each word has one writer. Threads share
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
 * A relaxed access is never torn, and orders nothing. It is right for a word
 * whose reader may act on an old value, and that no other store depends on:
 *
 * - flag words and monotone counters of the kernel: after a stale value the
 *   ring looks again in its next pass;
 * - counters and gauges of a loop: one thread writes, a stats call on another
 *   thread reads;
 * - entries of a steering table that another thread or a BPF program reads
 *   meanwhile: the old entry is as valid as the new one. */

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

/* A counter has one writer, the loop's thread: a plain load and a relaxed store
 * are enough. This is not an atomic read-modify-write. */
static inline void wi_counter_add(uint64_t *counter, uint64_t how_many)
{
	wi_order_atomic(counter, sizeof(*counter));
	__atomic_store_n(counter, *counter + how_many, __ATOMIC_RELAXED);
}

/* Unique numbers: no two callers get the same one. */
static inline uint64_t wi_add_fetch_relaxed_u64(uint64_t *word, uint64_t value)
{
	wi_order_atomic(word, sizeof(*word));
	return __atomic_add_fetch(word, value, __ATOMIC_RELAXED);
}

/* Of all threads that try, one moves *@word from @from to @to. This only picks
 * the thread: the data that it then touches has its own lock. */
static inline bool wi_compare_exchange_relaxed_u64(uint64_t *word,
						   uint64_t from, uint64_t to)
{
	wi_order_atomic(word, sizeof(*word));
	return __atomic_compare_exchange_n(word, &from, to, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* ---- acquire and release: what was written before is visible after ----
 *
 * Acquire: once we have read an index, we see everything that the kernel did
 * before it moved the index: CQEs written before the CQ tail, reads of an SQE
 * finished before the SQ head. The same holds between threads: a thread that
 * has seen a flag sees what the other wrote before it raised the flag. */

static inline uint32_t wi_load_acquire_u32(const uint32_t *word)
{
	wi_order_atomic(word, sizeof(*word));
	const uint32_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	wi_order_acquire(word);
	return value;
}

/* The tail of a buffer ring, read from the kernel's side (soft/). */
static inline uint16_t wi_load_acquire_u16(const uint16_t *word)
{
	wi_order_atomic(word, sizeof(*word));
	const uint16_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	wi_order_acquire(word);
	return value;
}

/* Release: our writes (SQEs) and reads (CQEs) are finished before the kernel
 * can see the index move past them. A command to another thread and its
 * acknowledgement are such words too. */
static inline void wi_store_release_u32(uint32_t *word, uint32_t value)
{
	wi_order_atomic(word, sizeof(*word));
	wi_order_release(word);
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* The 16-bit tail of a buffer ring, and the length of a steering table: the
 * entries come first. */
static inline void wi_store_release_u16(uint16_t *word, uint16_t value)
{
	wi_order_atomic(word, sizeof(*word));
	wi_order_release(word);
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* A stop request to a loop. Several threads may make one; each is counted. */
static inline uint32_t wi_add_fetch_release_u32(uint32_t *word, uint32_t value)
{
	wi_order_atomic(word, sizeof(*word));
	wi_order_release(word);
	return __atomic_add_fetch(word, value, __ATOMIC_RELEASE);
}

/* A request with a level. The level never falls; several threads that request
 * the same level raise it once. */
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
 * Two sides each write their own word and then read the other's word. At least
 * one of them must see the other's write. The server has two such pairs:
 *
 * - A stop call, perhaps in a signal handler, raises a count before it reads
 *   the pointers to the loops. A worker clears its pointer before it reads that
 *   count, and frees its loop when the count is 0.
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
