/* token.h - user_data: what a completion is about
 *
 *      63      56 55            32 31             0
 *     | kind     | generation     | slot           |
 *
 * The generation is that of the slot when the operation was queued. A
 * completion whose generation differs belongs to a connection that is gone.
 */
#ifndef WEIR_NET_TOKEN_H
#define WEIR_NET_TOKEN_H

#include <assert.h>
#include <stdint.h>

enum wi_token_kind {
	WI_TOKEN_NONE = 0, /* nobody cares: its completion is only counted */
	WI_TOKEN_DOORBELL,
	WI_TOKEN_ACCEPT,
	WI_TOKEN_ACCEPT_CANCEL,
	WI_TOKEN_SAMPLE,
	WI_TOKEN_CONN_FIRST, /* from here on: about a connection */
	WI_TOKEN_RECV = WI_TOKEN_CONN_FIRST,
	WI_TOKEN_SEND,
	WI_TOKEN_CANCEL,
	WI_TOKEN_CLOSE,
	WI_TOKEN_SOCKET,
	WI_TOKEN_SETSOCKOPT,
	WI_TOKEN_CONNECT,
	WI_TOKEN_INSTALL,
	WI_TOKEN_SHUTDOWN,
	WI_TOKEN_CHECK,
	WI_TOKEN_KIND_COUNT /* stays last */
};

#define WI_GENERATION_MASK 0xffffffu

static inline uint64_t wi_token(enum wi_token_kind kind, uint32_t generation,
				uint32_t slot)
{
	assert(kind < WI_TOKEN_KIND_COUNT);
	assert(generation <= WI_GENERATION_MASK);
	return (uint64_t)kind << 56 | (uint64_t)generation << 32 | slot;
}

static inline enum wi_token_kind wi_token_kind(uint64_t token)
{
	return (enum wi_token_kind)(token >> 56);
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
