/* range.h - a small range of blocks, for tests of code that uses blocks */
#ifndef WEIR_TEST_RANGE_H
#define WEIR_TEST_RANGE_H

#include "net/core/blocks.h"
#include "uring/annotate.h"

#include <check.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
	WI_RANGE_LARGEST = 2, /* number of blocks of the largest order */
};

struct wi_range {
	struct wi_blocks blocks;
	void *memory;
	size_t bytes;
	void *table;
};

static inline void wi_range_open(struct wi_range *range)
{
	range->bytes = WI_RANGE_LARGEST * WI_BLOCK_BYTES_MAX;
	range->memory = mmap(NULL, range->bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(range->memory, MAP_FAILED);
	range->table = calloc(1, wi_blocks_table_bytes(range->bytes));
	ck_assert_ptr_nonnull(range->table);
	wi_blocks_init(&range->blocks, range->memory, range->bytes,
		       range->table);
}

static inline void wi_range_close(struct wi_range *range)
{
	wi_region_unpoison(range->memory, range->bytes);
	ck_assert_int_eq(munmap(range->memory, range->bytes), 0);
	free(range->table);
}

/* Checks that no block is in use and all are merged: the largest blocks can be
 * taken, and nothing besides them. */
static inline void wi_range_is_whole(struct wi_range *range)
{
	struct wi_blocks *blocks = &range->blocks;
	void *largest[WI_RANGE_LARGEST];

	ck_assert_uint_eq(blocks->used_bytes, 0);
	ck_assert_uint_eq(wi_blocks_check(blocks), 0);
	for (int i = 0; i < WI_RANGE_LARGEST; i++) {
		largest[i] = wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX);
		ck_assert_msg(largest[i] != NULL,
			      "only %d of the largest blocks came back", i);
	}
	ck_assert_ptr_null(wi_blocks_take(blocks, 0));
	ck_assert_uint_eq(wi_blocks_check(blocks), range->bytes);
	for (int i = 0; i < WI_RANGE_LARGEST; i++)
		wi_blocks_give(blocks, largest[i], WI_BLOCK_ORDER_MAX);
	ck_assert_uint_eq(wi_blocks_check(blocks), 0);
}

/* Takes all blocks of @order, and never returns them. */
static inline void wi_range_hog(struct wi_range *range, unsigned order)
{
	while (wi_blocks_take(&range->blocks, order) != NULL)
		;
}

#endif
