/* blocks.h - power-of-two blocks out of one reserved range (buddy system)
 *
 *     order 0: 1 KiB, order 1: 2 KiB, ... order WI_BLOCK_ORDER_MAX: 8 MiB
 *
 * Send queues and kept input live here: memory that a connection holds only
 * while bytes are pending. The range is the limit; when it is full, requests
 * are refused. Pages are touched on demand. No lock: it belongs to one loop.
 *
 * Invariant: every byte of the range is in exactly one block, used or free,
 * and two free buddies are one block. Cached blocks are the exception: they
 * are not merged and stay warm, because they are wanted again at once.
 */
#ifndef WEIR_NET_BLOCKS_H
#define WEIR_NET_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#define WI_BLOCK_BYTES_MIN 1024u
#define WI_BLOCK_ORDER_MAX 13    /* 8 MiB */
#define WI_BLOCK_ORDERS_CACHED 8 /* up to 128 KiB */
#define WI_BLOCK_BYTES_MAX ((size_t)WI_BLOCK_BYTES_MIN << WI_BLOCK_ORDER_MAX)

struct wi_block; /* a free block; its first bytes are the list links */

struct wi_blocks {
	uint8_t *memory; /* borrowed, aligned to a page */
	uint8_t *orders; /* borrowed: one byte per smallest block */
	size_t bytes;    /* multiple of WI_BLOCK_BYTES_MAX */
	size_t used_bytes;
	size_t peak_bytes;
	struct wi_block *free[WI_BLOCK_ORDER_MAX + 1];
	struct wi_block *cached[WI_BLOCK_ORDERS_CACHED]; /* not merged */
	size_t cached_bytes;
	uint32_t cached_count;
};

/* The size of a range for @bytes, and the size of its orders table. */
size_t wi_blocks_round(size_t bytes);
size_t wi_blocks_table_bytes(size_t bytes);

/* @memory and @table are lent for good; @table is zeroed. */
void wi_blocks_init(struct wi_blocks *blocks, void *memory, size_t bytes,
		    void *table);

/* The smallest order that holds @bytes; WI_BLOCK_ORDER_MAX + 1 if none. */
unsigned wi_block_order(size_t bytes);

static inline size_t wi_block_bytes(unsigned order)
{
	return (size_t)WI_BLOCK_BYTES_MIN << order;
}

/* A block of @order, uninitialised; NULL if there is none. */
void *wi_blocks_take(struct wi_blocks *blocks, unsigned order);

/* Gives back what wi_blocks_take() returned for the same @order. */
void wi_blocks_give(struct wi_blocks *blocks, void *block, unsigned order);

/* Walks the whole range and asserts the invariant; for tests. Returns the
 * bytes in use. */
size_t wi_blocks_check(const struct wi_blocks *blocks);

#endif
