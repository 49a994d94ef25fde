/* sendq.h - bytes that wait to leave one connection
 *
 *     chunk --------------------> chunk ---------> chunk
 *     | sent | lent | queued      | queued         | queued | free |
 *            ^begin                                         ^end of the last
 *
 * Chunks are blocks of the loop's memory. They are taken when bytes are queued
 * and given back when the bytes have left: an idle connection holds none.
 *
 * Invariant: lent_bytes <= queued_bytes == the sum of end - begin.
 * Not here: when a handler may write (conn.c), when it is sent (conn_work.c).
 */
#ifndef WEIR_NET_SENDQ_H
#define WEIR_NET_SENDQ_H

#include "../../uring/annotate.h"
#include "../core/blocks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct wi_chunk {
	struct wi_chunk *next;
	uint32_t begin; /* offsets into bytes[] */
	uint32_t end;
	uint32_t capacity;
	uint32_t order; /* of the block it lives in */
	uint8_t bytes[];
};

struct wi_sendq {
	struct wi_chunk *head;
	struct wi_chunk *tail;
	uint32_t queued_bytes; /* committed, not yet taken by the kernel */
	uint32_t lent_bytes;   /* of these, lent to the kernel until the CQE */
	uint32_t reserved_bytes; /* at the end of tail, not committed */
	uint32_t lent_sum; /* checksum of these, with -Ddebug_regions=true */
};

/* Room for @bytes, contiguous, at the end; NULL if the memory is used up. */
uint8_t *wi_sendq_reserve(struct wi_sendq *sendq, struct wi_blocks *blocks,
			  uint32_t bytes);

/* Queues the first @bytes of what was reserved. */
void wi_sendq_commit(struct wi_sendq *sendq, uint32_t bytes);

/* Describes up to @iov_count pieces from the front. Returns how many; the
 * caller then lends their sum with wi_sendq_lend(). */
int wi_sendq_gather(const struct wi_sendq *sendq, struct iovec *out_iov,
		    int iov_count);

void wi_sendq_lend(struct wi_sendq *sendq, uint32_t bytes);

/* The kernel has completed the send, and has taken @taken_bytes of it. */
void wi_sendq_take_back(struct wi_sendq *sendq, struct wi_blocks *blocks,
			uint32_t taken_bytes);

/* Drops everything; nothing may be lent. */
void wi_sendq_clear(struct wi_sendq *sendq, struct wi_blocks *blocks);

/* Asserts the invariant by walking the chunks. */
void wi_sendq_check(const struct wi_sendq *sendq);

#endif
