/* stash.h - input that no handler has used yet, kept to be shown again
 *
 *     block: | used up | bytes to show ........ | free |
 *                      ^begin                   ^end
 *
 * Contiguous, in one block of the loop's memory, which is given back when the
 * last byte is used. It grows with the bytes that have arrived; a length prefix
 * alone does not make it grow.
 */
#ifndef WEIR_NET_STASH_H
#define WEIR_NET_STASH_H

#include "../core/blocks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wi_stash {
	uint8_t *bytes; /* NULL: empty */
	uint32_t begin;
	uint32_t end;
	uint32_t order;
};

static inline uint32_t wi_stash_count(const struct wi_stash *stash)
{
	return stash->end - stash->begin;
}

/* Whether @byte_count more fit behind the last byte, in the same block. */
static inline bool wi_stash_has_room(const struct wi_stash *stash,
				     uint32_t byte_count)
{
	return stash->bytes != NULL &&
	       stash->end + byte_count <= wi_block_bytes(stash->order);
}

/* Appends a copy. @expected_bytes: how many bytes it will probably hold before
 * any are used; 0: not known. Return: 0; -ENOMEM, nothing appended. */
int wi_stash_append(struct wi_stash *stash, struct wi_blocks *blocks,
		    const uint8_t *bytes, uint32_t byte_count,
		    uint32_t expected_bytes);

/* The first @byte_count are used up. */
void wi_stash_use(struct wi_stash *stash, struct wi_blocks *blocks,
		  uint32_t byte_count);

void wi_stash_clear(struct wi_stash *stash, struct wi_blocks *blocks);

#endif
