/* barrier.h - the memory orders of the ring protocol, each with its reason
 *
 * The kernel shares four words with us: SQ head and tail, CQ head and tail,
 * and for every buffer ring one 16-bit tail. Each has one writer. No other
 * file names a memory order.
 */
#ifndef WEIR_URING_BARRIER_H
#define WEIR_URING_BARRIER_H

#include "order.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-tidy does not see that an atomic built-in writes.
 * NOLINTBEGIN(readability-non-const-parameter) */

/* Acquire: what the kernel wrote before it moved this index (CQEs before the
 * CQ tail; the end of its reads of an SQE before the SQ head) is visible to
 * us after we have read the index. */
static inline uint32_t wi_load_acquire(const uint32_t *word)
{
	wi_order_atomic(word, sizeof(*word));
	const uint32_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	wi_order_acquire(word);
	return value;
}

/* Release: our writes (SQEs) and reads (CQEs) are finished before the kernel
 * can see the index move past them. */
static inline void wi_store_release(uint32_t *word, uint32_t value)
{
	wi_order_atomic(word, sizeof(*word));
	wi_order_release(word);
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Release for the 16-bit tail of a buffer ring, and for the length of a table
 * of the steering: the entries come first. */
static inline void wi_store_release_u16(uint16_t *word, uint16_t value)
{
	wi_order_atomic(word, sizeof(*word));
	wi_order_release(word);
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Relaxed: flag words and monotone counters of the kernel. They order
 * nothing; a stale value only means that we look again at the next turn. */
static inline uint32_t wi_load_relaxed(const uint32_t *word)
{
	wi_order_atomic(word, sizeof(*word));
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Counters have one writer (the loop) and any reader (a stats call on another
 * thread). The relaxed store is a plain mov; it only forbids tearing. */
static inline void wi_count(uint64_t *counter, uint64_t how_many)
{
	wi_order_atomic(counter, sizeof(*counter));
	__atomic_store_n(counter, *counter + how_many, __ATOMIC_RELAXED);
}

static inline void wi_gauge_set(uint64_t *gauge, uint64_t value)
{
	wi_order_atomic(gauge, sizeof(*gauge));
	__atomic_store_n(gauge, value, __ATOMIC_RELAXED);
}

static inline void wi_gauge_set_u32(uint32_t *gauge, uint32_t value)
{
	wi_order_atomic(gauge, sizeof(*gauge));
	__atomic_store_n(gauge, value, __ATOMIC_RELAXED);
}

static inline uint64_t wi_counted(const uint64_t *counter)
{
	wi_order_atomic(counter, sizeof(*counter));
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* A word with one writer at a time, in memory that a program of the kernel, or
 * another thread, reads at any moment. Relaxed: every value is one that the
 * reader can act on, and no other store depends on it. */
static inline void wi_word_set(uint32_t *word, uint32_t value)
{
	wi_order_atomic(word, sizeof(*word));
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* A number that no other caller gets, from 1 up. Relaxed: being unique is all
 * that is asked of it. */
static inline uint64_t wi_ticket_next(uint64_t *last)
{
	wi_order_atomic(last, sizeof(*last));
	return __atomic_add_fetch(last, 1, __ATOMIC_RELAXED);
}

/* An entry of a table that others read meanwhile, in this process or in the
 * kernel (steering). Relaxed: each is right by itself, the old one as well as
 * the new one; it only forbids tearing. */
static inline void wi_store_relaxed_u16(uint16_t *word, uint16_t value)
{
	wi_order_atomic(word, sizeof(*word));
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* Moves *@word from @from to @to, for one of all who try. Relaxed: it decides
 * who, nothing more; what the winner then touches has a lock of its own. */
static inline bool wi_claim(uint64_t *word, uint64_t from, uint64_t to)
{
	wi_order_atomic(word, sizeof(*word));
	return __atomic_compare_exchange_n(word, &from, to, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* A request from another thread (stop) and its observation by the loop: what
 * the requester wrote before it asked is visible after the loop has seen it. */
static inline void wi_flag_raise(uint32_t *flag)
{
	wi_order_atomic(flag, sizeof(*flag));
	wi_order_release(flag);
	(void)__atomic_fetch_add(flag, 1, __ATOMIC_RELEASE);
}

static inline uint32_t wi_flag_seen(const uint32_t *flag)
{
	wi_order_atomic(flag, sizeof(*flag));
	const uint32_t value = __atomic_load_n(flag, __ATOMIC_ACQUIRE);
	wi_order_acquire(flag);
	return value;
}

/* The same for several who ask for one thing: no more than @least in all. */
static inline void wi_flag_raise_to(uint32_t *flag, uint32_t least)
{
	wi_order_atomic(flag, sizeof(*flag));
	wi_order_release(flag);
	uint32_t seen = __atomic_load_n(flag, __ATOMIC_RELAXED);
	while (seen < least &&
	       !__atomic_compare_exchange_n(flag, &seen, least, true,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* A word that one thread sets for another, and the other's answer to it. */
static inline void wi_word_tell(uint32_t *word, uint32_t value)
{
	wi_order_atomic(word, sizeof(*word));
	wi_order_release(word);
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* A visitor who may be a signal handler, and a host who takes away what the
 * visitor walks over: visitors_enter() before the pointers are read, and the
 * pointer emptied before visitors are looked for. Sequentially consistent,
 * since each side writes its own word first and reads the other's second. */
static inline void wi_visitors_enter(uint32_t *visitors)
{
	wi_order_atomic(visitors, sizeof(*visitors));
	wi_order_release(visitors);
	(void)__atomic_fetch_add(visitors, 1, __ATOMIC_SEQ_CST);
}

static inline void wi_visitors_leave(uint32_t *visitors)
{
	wi_order_atomic(visitors, sizeof(*visitors));
	wi_order_release(visitors);
	(void)__atomic_fetch_sub(visitors, 1, __ATOMIC_SEQ_CST);
}

static inline uint32_t wi_visitors_seen(const uint32_t *visitors)
{
	wi_order_atomic(visitors, sizeof(*visitors));
	const uint32_t value = __atomic_load_n(visitors, __ATOMIC_SEQ_CST);
	wi_order_acquire(visitors);
	return value;
}

/* The count of a request and the pointers that it is for, in the same way:
 * whoever adds a pointer looks at the count after that, and whoever counts
 * looks at the pointers after that. */
static inline uint32_t wi_request_count(uint32_t *requests)
{
	wi_order_atomic(requests, sizeof(*requests));
	wi_order_release(requests);
	return __atomic_add_fetch(requests, 1, __ATOMIC_SEQ_CST);
}

static inline uint32_t wi_requests_seen(const uint32_t *requests)
{
	wi_order_atomic(requests, sizeof(*requests));
	const uint32_t value = __atomic_load_n(requests, __ATOMIC_SEQ_CST);
	wi_order_acquire(requests);
	return value;
}

static inline void wi_pointer_set(void *place, void *pointer)
{
	wi_order_atomic(place, sizeof(void *));
	wi_order_release(place);
	__atomic_store_n((void **)place, pointer, __ATOMIC_SEQ_CST);
}

static inline void *wi_pointer_seen(const void *place)
{
	wi_order_atomic(place, sizeof(void *));
	void *value = __atomic_load_n((void *const *)place, __ATOMIC_SEQ_CST);
	wi_order_acquire(place);
	return value;
}

/* NOLINTEND(readability-non-const-parameter) */

#ifdef __cplusplus
}
#endif

#endif
