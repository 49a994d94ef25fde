#include "stash.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
	/* Up to this size a promised length is trusted at once. */
	BELIEVED_BYTES = 64 * 1024,
};

/* How much room to take: what is expected, but above BELIEVED_BYTES at most
 * twice what has really arrived. (The block is that, rounded up.) */
static size_t stash_target(uint32_t need_bytes, uint32_t expected_bytes)
{
	size_t ceiling = (size_t)need_bytes * 2;
	if (ceiling < BELIEVED_BYTES)
		ceiling = BELIEVED_BYTES;
	size_t target = expected_bytes < ceiling ? expected_bytes : ceiling;
	return target < need_bytes ? need_bytes : target;
}

static int stash_grow(struct wi_stash *stash, struct wi_blocks *blocks,
		      uint32_t need_bytes, uint32_t expected_bytes)
{
	uint32_t held_bytes = wi_stash_count(stash);
	unsigned order =
		wi_block_order(stash_target(need_bytes, expected_bytes));
	uint8_t *block = wi_blocks_take(blocks, order);
	if (block == NULL) {
		order = wi_block_order(need_bytes);
		block = wi_blocks_take(blocks, order);
	}
	if (block == NULL)
		return -ENOMEM;
	assert(held_bytes == 0 || stash->bytes != NULL);
	if (held_bytes > 0)
		memcpy(block, stash->bytes + stash->begin, held_bytes);
	wi_stash_clear(stash, blocks);
	*stash = (struct wi_stash){
		.bytes = block,
		.end = held_bytes,
		.order = order,
	};
	return 0;
}

int wi_stash_append(struct wi_stash *stash, struct wi_blocks *blocks,
		    const uint8_t *bytes, uint32_t byte_count,
		    uint32_t expected_bytes)
{
	uint32_t held_bytes = wi_stash_count(stash);
	uint32_t need_bytes = held_bytes + byte_count;
	size_t capacity =
		stash->bytes != NULL ? wi_block_bytes(stash->order) : 0;

	bool fits_behind = stash->end + byte_count <= capacity;
	bool fits_moved = need_bytes <= capacity;
	/* The rest moves to the front only if at least as many bytes have been
	 * used up; else many small steps would copy it many times. Otherwise it
	 * moves to a block with room for as much again. */
	bool is_paid = stash->begin >= held_bytes;

	assert(byte_count > 0);
	if (!fits_behind && !(fits_moved && is_paid)) {
		if (expected_bytes < need_bytes ||
		    (fits_moved && expected_bytes < 2 * need_bytes))
			expected_bytes = 2 * need_bytes;
		int err = stash_grow(stash, blocks, need_bytes, expected_bytes);
		if (err < 0 && !fits_moved)
			return err;
		fits_behind = err == 0;
	}
	assert(stash->bytes != NULL); /* an old block or a new one */
	if (!fits_behind) {
		memmove(stash->bytes, stash->bytes + stash->begin, held_bytes);
		stash->begin = 0;
		stash->end = held_bytes;
	}
	memcpy(stash->bytes + stash->end, bytes, byte_count);
	stash->end += byte_count;
	return 0;
}

void wi_stash_use(struct wi_stash *stash, struct wi_blocks *blocks,
		  uint32_t byte_count)
{
	assert(byte_count <= wi_stash_count(stash));
	stash->begin += byte_count;
	if (stash->begin == stash->end)
		wi_stash_clear(stash, blocks);
}

void wi_stash_clear(struct wi_stash *stash, struct wi_blocks *blocks)
{
	if (stash->bytes != NULL)
		wi_blocks_give(blocks, stash->bytes, stash->order);
	*stash = (struct wi_stash){ .bytes = NULL };
}
