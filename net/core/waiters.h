/* waiters.h - slots that wait for block memory, first in, first out
 *
 *     ring: | . | 7 | 2 | 9 | . |
 *                 ^head
 *
 * They are tried again once some memory has been given back since. The owner
 * of a slot notes that it waits, so that it is in the ring once.
 */
#ifndef WEIR_NET_CORE_WAITERS_H
#define WEIR_NET_CORE_WAITERS_H

#include "../../uring/mutant.h"
#include "blocks.h"

struct wi_waiters {
	uint32_t *ring; /* borrowed: shape [slot_count] */
	uint32_t slot_count;
	uint32_t head;
	uint32_t count;
	size_t used_bytes; /* the most that was in use as one began to wait */
};

static inline void wi_waiters_add(struct wi_waiters *waiters,
				  uint32_t slot_index,
				  const struct wi_blocks *blocks)
{
	const uint32_t end =
		(waiters->head + waiters->count++) % waiters->slot_count;
	waiters->ring[end] = slot_index;
	/* The most of all waiters: what is given back may help any of them. */
	if (waiters->used_bytes < blocks->used_bytes)
		waiters->used_bytes = blocks->used_bytes;
}

/* How many may be tried again now; 0: none. */
static inline uint32_t wi_waiters_due(struct wi_waiters *waiters,
				      const struct wi_blocks *blocks)
{
	const uint32_t count = waiters->count;
	if (WI_MUTANT("lone-waiter-for-memory-is-forgotten", count == 0,
		      count <= 1) ||
	    blocks->used_bytes >= waiters->used_bytes)
		return 0;
	waiters->used_bytes = 0;
	return count;
}

static inline uint32_t wi_waiters_pop(struct wi_waiters *waiters)
{
	const uint32_t slot_index = waiters->ring[waiters->head];
	waiters->head = (waiters->head + 1) % waiters->slot_count;
	waiters->count--;
	return slot_index;
}

#endif
