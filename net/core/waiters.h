/* waiters.h - slots that wait for block memory, first in, first out
 *
 *     ring: | . | 7 | 2 | 9 | . |
 *                 ^head
 *
 * They are tried again once some memory has been given back. The owner of a
 * slot remembers that the slot waits, so it is in the ring once.
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
	size_t used_bytes; /* most in use when any of them began to wait */
};

static inline void wi_waiters_add(struct wi_waiters *waiters,
				  uint32_t slot_index,
				  const struct wi_blocks *blocks)
{
	const uint32_t end =
		(waiters->head + waiters->count++) % waiters->slot_count;
	waiters->ring[end] = slot_index;
	/* The maximum: memory that is given back may help any waiter. */
	if (waiters->used_bytes < blocks->used_bytes)
		waiters->used_bytes = blocks->used_bytes;
}

/* How many to try again now; 0: none. */
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
