/* token.h - user_data: what a completion is about
 *
 *      63   60 59   56 55            32 31             0
 *     | owner | op    | generation     | slot           |
 *
 * The owner is a part of the loop: the loop passes a completion on by a table
 * with a row for each owner (loop.c). The owner defines its ops and slots. The
 * generation is that of the slot when the operation was queued: a completion
 * whose generation differs belongs to a connection that is gone.
 */
#ifndef WEIR_NET_TOKEN_H
#define WEIR_NET_TOKEN_H

#include <assert.h>
#include <stdint.h>

enum wi_token_owner {
	WI_OWNER_NONE = 0, /* no part: the completion is only counted */
	WI_OWNER_DOORBELL,
	WI_OWNER_LISTENER,
	WI_OWNER_SAMPLE,
	WI_OWNER_CONN,
	WI_OWNER_COUNT /* stays last */
};

#define WI_TOKEN_OPS 16u
#define WI_GENERATION_MASK 0xffffffu

static inline uint64_t wi_token(enum wi_token_owner owner, uint32_t op,
				uint32_t generation, uint32_t slot)
{
	assert(owner < WI_OWNER_COUNT);
	assert(op < WI_TOKEN_OPS);
	assert(generation <= WI_GENERATION_MASK);
	return (uint64_t)owner << 60 | (uint64_t)op << 56 |
	       (uint64_t)generation << 32 | slot;
}

static inline uint32_t wi_token_owner(uint64_t token)
{
	return (uint32_t)(token >> 60);
}

static inline uint32_t wi_token_op(uint64_t token)
{
	return (uint32_t)(token >> 56) & (WI_TOKEN_OPS - 1);
}

static inline uint32_t wi_token_generation(uint64_t token)
{
	return (uint32_t)(token >> 32) & WI_GENERATION_MASK;
}

static inline uint32_t wi_token_slot(uint64_t token)
{
	return (uint32_t)token;
}

#endif
