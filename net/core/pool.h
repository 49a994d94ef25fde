/* pool.h - fixed slots with generations
 *
 *     memory: | slot 0 | slot 1 | ... | fresh, never touched ... |
 *     free:   a list through the slots that were given back
 *
 * A slot begins with a struct wi_pool_slot. Giving a slot back changes its
 * generation, so that an older token names no slot. The slot given back last is
 * taken first, and a fresh one only if no used one is free: memory that was
 * never needed is never touched.
 */
#ifndef WEIR_NET_POOL_H
#define WEIR_NET_POOL_H

#include "../../uring/mutant.h"
#include "token.h"

#include <stdbool.h>
#include <stddef.h>

#define WI_POOL_NO_SLOT UINT32_MAX

struct wi_pool_slot {
	uint32_t generation;
	uint32_t link; /* in use: its own index; free: the next free one */
};

struct wi_pool {
	uint8_t *memory; /* borrowed, zeroed: shape [slot_count][slot_bytes] */
	uint32_t slot_bytes;
	uint32_t slot_count;
	uint32_t fresh_index; /* slots from here on were never used, so it is
			       * also the most that were in use at once */
	uint32_t free_index;  /* head of the list, or WI_POOL_NO_SLOT */
	uint32_t used_count;
};

static inline void wi_pool_init(struct wi_pool *pool, void *memory,
				uint32_t slot_bytes, uint32_t slot_count)
{
	assert(slot_bytes >= sizeof(struct wi_pool_slot));
	assert(slot_count < WI_POOL_NO_SLOT);
	pool->memory = (uint8_t *)memory;
	pool->slot_bytes = slot_bytes;
	pool->slot_count = slot_count;
	pool->fresh_index = 0;
	pool->free_index = WI_POOL_NO_SLOT;
	pool->used_count = 0;
}

static inline struct wi_pool_slot *wi_pool_at(const struct wi_pool *pool,
					      uint32_t index)
{
	assert(index < pool->slot_count);
	return (struct wi_pool_slot *)(void *)(pool->memory +
					       (size_t)index *
						       pool->slot_bytes);
}

/* The index of a slot in use. It is read, not computed: a division costs more
 * than a turn of the loop has to spare. */
static inline uint32_t wi_pool_index(const struct wi_pool *pool,
				     const struct wi_pool_slot *slot)
{
	assert(wi_pool_at(pool, slot->link) == slot);
	return slot->link;
}

/* A slot, or NULL. Behind its header it is as it was given back; fresh: zero.
 */
static inline struct wi_pool_slot *wi_pool_take(struct wi_pool *pool)
{
	uint32_t index = pool->free_index;
	if (index != WI_POOL_NO_SLOT)
		pool->free_index = wi_pool_at(pool, index)->link;
	else if (pool->fresh_index < pool->slot_count)
		index = pool->fresh_index++;
	else
		return NULL;
	pool->used_count++;
	struct wi_pool_slot *slot = wi_pool_at(pool, index);
	slot->link = index;
	return slot;
}

static inline void wi_pool_give(struct wi_pool *pool, struct wi_pool_slot *slot)
{
	assert(pool->used_count > 0);
	const uint32_t index = wi_pool_index(pool, slot);
	slot->generation = (slot->generation + 1) & WI_GENERATION_MASK;
	slot->link = pool->free_index;
	pool->free_index = index;
	pool->used_count--;
}

/* The slot that @token names, or NULL if it has been given back. */
static inline struct wi_pool_slot *wi_pool_find(const struct wi_pool *pool,
						uint64_t token)
{
	uint32_t index = wi_token_slot(token);
	if (index >= pool->fresh_index)
		return NULL;
	struct wi_pool_slot *slot = wi_pool_at(pool, index);
	const bool is_named =
		WI_MUTANT("generation-is-not-checked",
			  slot->generation == wi_token_generation(token), true);
	return is_named && slot->link == index ? slot : NULL;
}

#endif
