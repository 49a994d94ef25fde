#include "blocks.h"

#include "../../uring/annotate.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum {
	CACHED_BYTES_MAX = 1024 * 1024, /* the size of a second-level cache */
	/* In the orders table, at the first smallest block of each block. */
	ORDER_MASK = 0x1f,
	BLOCK_CACHED = 0x20,
	BLOCK_FREE = 0x40,
	BLOCK_START = 0x80,
};

struct wi_block {
	struct wi_block *next;
	struct wi_block **prev_next; /* what points at this block */
};

size_t wi_blocks_round(size_t bytes)
{
	return (bytes + WI_BLOCK_BYTES_MAX - 1) & ~(WI_BLOCK_BYTES_MAX - 1);
}

size_t wi_blocks_table_bytes(size_t bytes)
{
	return wi_blocks_round(bytes) / WI_BLOCK_BYTES_MIN;
}

static size_t block_index(const struct wi_blocks *blocks, const void *block)
{
	size_t offset = (size_t)((const uint8_t *)block - blocks->memory);
	assert(offset < blocks->bytes);
	assert(offset % WI_BLOCK_BYTES_MIN == 0);
	return offset / WI_BLOCK_BYTES_MIN;
}

static void free_push(struct wi_blocks *blocks, void *memory, unsigned order)
{
	struct wi_block *block = memory;
	wi_region_take(block, sizeof(*block));
	block->next = blocks->free[order];
	block->prev_next = &blocks->free[order];
	if (block->next != NULL)
		block->next->prev_next = &block->next;
	blocks->free[order] = block;
	blocks->orders[block_index(blocks, block)] =
		(uint8_t)(BLOCK_START | BLOCK_FREE | order);
}

static void free_remove(struct wi_blocks *blocks, struct wi_block *block)
{
	*block->prev_next = block->next;
	if (block->next != NULL)
		block->next->prev_next = block->prev_next;
	blocks->orders[block_index(blocks, block)] = 0;
	wi_region_give(block, sizeof(*block));
}

void wi_blocks_init(struct wi_blocks *blocks, void *memory, size_t bytes,
		    void *table)
{
	assert(bytes % WI_BLOCK_BYTES_MAX == 0);
	*blocks = (struct wi_blocks){
		.memory = memory,
		.orders = table,
		.bytes = bytes,
	};
	/* Highest first, so that the low addresses are used first. */
	for (size_t at = bytes; at > 0; at -= WI_BLOCK_BYTES_MAX)
		free_push(blocks, blocks->memory + at - WI_BLOCK_BYTES_MAX,
			  WI_BLOCK_ORDER_MAX);
}

unsigned wi_block_order(size_t bytes)
{
	unsigned order = 0;
	while (order <= WI_BLOCK_ORDER_MAX && wi_block_bytes(order) < bytes)
		order++;
	return order;
}

static void blocks_account(struct wi_blocks *blocks, unsigned order)
{
	blocks->used_bytes += wi_block_bytes(order);
	if (blocks->used_bytes > blocks->peak_bytes)
		blocks->peak_bytes = blocks->used_bytes;
}

/* Splits the smallest free block that is large enough. */
static void *take_split(struct wi_blocks *blocks, unsigned order)
{
	unsigned from = order;
	while (from <= WI_BLOCK_ORDER_MAX && blocks->free[from] == NULL)
		from++;
	if (from > WI_BLOCK_ORDER_MAX)
		return NULL;

	struct wi_block *block = blocks->free[from];
	free_remove(blocks, block);
	while (from > order) {
		from--;
		free_push(blocks, (uint8_t *)block + wi_block_bytes(from),
			  from);
	}
	return block;
}

/* Merges the block with its buddy as long as the buddy is free and whole. */
static void give_merge(struct wi_blocks *blocks, uint8_t *memory,
		       unsigned order)
{
	blocks->orders[block_index(blocks, memory)] = 0;
	wi_region_give(memory, wi_block_bytes(order));
	while (order < WI_BLOCK_ORDER_MAX) {
		size_t offset = (size_t)(memory - blocks->memory);
		uint8_t *buddy =
			blocks->memory + (offset ^ wi_block_bytes(order));
		uint8_t mark = blocks->orders[block_index(blocks, buddy)];
		if (mark != (BLOCK_START | BLOCK_FREE | order))
			break;
		free_remove(blocks, (struct wi_block *)(void *)buddy);
		if (buddy < memory)
			memory = buddy;
		order++;
	}
	free_push(blocks, memory, order);
}

static struct wi_block *cached_pop(struct wi_blocks *blocks, unsigned order)
{
	if (order >= WI_BLOCK_ORDERS_CACHED)
		return NULL;
	struct wi_block *block = blocks->cached[order];
	if (block == NULL)
		return NULL;
	blocks->cached[order] = block->next;
	blocks->cached_bytes -= wi_block_bytes(order);
	blocks->cached_count--;
	return block;
}

/* Return: false if it is too large, or enough are cached. */
static bool cached_push(struct wi_blocks *blocks, void *memory, unsigned order)
{
	struct wi_block *block = memory;
	if (order >= WI_BLOCK_ORDERS_CACHED ||
	    blocks->cached_bytes + wi_block_bytes(order) > CACHED_BYTES_MAX)
		return false;
	block->next = blocks->cached[order];
	blocks->cached[order] = block;
	blocks->cached_bytes += wi_block_bytes(order);
	blocks->cached_count++;
	blocks->orders[block_index(blocks, block)] =
		(uint8_t)(BLOCK_START | BLOCK_CACHED | order);
	wi_region_give((uint8_t *)memory + sizeof(*block),
		       wi_block_bytes(order) - sizeof(*block));
	return true;
}

/* Cached blocks may prevent a merge that a request needs: give them all back.
 * Return: false if there were none. */
static bool cached_merge(struct wi_blocks *blocks)
{
	const bool had_some = blocks->cached_count > 0;
	for (unsigned order = 0; order < WI_BLOCK_ORDERS_CACHED; order++) {
		struct wi_block *block;
		while ((block = cached_pop(blocks, order)) != NULL)
			give_merge(blocks, (uint8_t *)block, order);
	}
	return had_some;
}

void *wi_blocks_take(struct wi_blocks *blocks, unsigned order)
{
	if (order > WI_BLOCK_ORDER_MAX)
		return NULL;
	void *block = cached_pop(blocks, order);
	if (block == NULL)
		block = take_split(blocks, order);
	if (block == NULL && cached_merge(blocks))
		block = take_split(blocks, order);
	if (block == NULL)
		return NULL;
	blocks->orders[block_index(blocks, block)] =
		(uint8_t)(BLOCK_START | order);
	blocks_account(blocks, order);
	wi_region_take(block, wi_block_bytes(order));
	return block;
}

void wi_blocks_give(struct wi_blocks *blocks, void *memory, unsigned order)
{
	assert(blocks->orders[block_index(blocks, memory)] ==
	       (BLOCK_START | order));
	assert(blocks->used_bytes >= wi_block_bytes(order));

	blocks->used_bytes -= wi_block_bytes(order);
	if (!cached_push(blocks, memory, order))
		give_merge(blocks, memory, order);
}

size_t wi_blocks_check(const struct wi_blocks *blocks)
{
	size_t used_bytes = 0;
	size_t cached_count = 0;
	size_t at = 0;
	while (at < blocks->bytes) {
		uint8_t mark = blocks->orders[at / WI_BLOCK_BYTES_MIN];
		unsigned order = mark & ORDER_MASK;
		assert((mark & BLOCK_START) != 0);
		assert(at % wi_block_bytes(order) == 0);
		if ((mark & BLOCK_CACHED) != 0)
			cached_count++;
		else if ((mark & BLOCK_FREE) == 0)
			used_bytes += wi_block_bytes(order);
		else if (order < WI_BLOCK_ORDER_MAX)
			assert(mark !=
			       blocks->orders[(at ^ wi_block_bytes(order)) /
					      WI_BLOCK_BYTES_MIN]);
		at += wi_block_bytes(order);
	}
	assert(at == blocks->bytes);
	assert(cached_count == blocks->cached_count);
	assert(used_bytes == blocks->used_bytes);
	return used_bytes;
}
