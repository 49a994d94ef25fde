#include "sendq.h"

#include <assert.h>

enum {
	/* A long queue grows in chunks as large as itself, up to this: one
	 * block, header included. */
	CHUNK_BYTES_MAX = (256u << 10) - sizeof(struct wi_chunk),
};

/* A chunk for @bytes, larger if the queue is already long. */
static struct wi_chunk *chunk_take(struct wi_blocks *blocks, uint32_t bytes,
				   uint32_t queued_bytes)
{
	size_t want =
		queued_bytes < CHUNK_BYTES_MAX ? queued_bytes : CHUNK_BYTES_MAX;
	if (want < bytes)
		want = bytes;
	unsigned order = wi_block_order(sizeof(struct wi_chunk) + want);
	struct wi_chunk *chunk = wi_blocks_take(blocks, order);
	if (chunk == NULL && want > bytes) {
		order = wi_block_order(sizeof(struct wi_chunk) + bytes);
		chunk = wi_blocks_take(blocks, order);
	}
	if (chunk == NULL)
		return NULL;
	*chunk = (struct wi_chunk){
		.capacity = (uint32_t)(wi_block_bytes(order) -
				       sizeof(struct wi_chunk)),
		.order = order,
	};
	return chunk;
}

uint8_t *wi_sendq_reserve(struct wi_sendq *sendq, struct wi_blocks *blocks,
			  uint32_t bytes)
{
	struct wi_chunk *tail = sendq->tail;
	if (tail == NULL || tail->capacity - tail->end < bytes) {
		tail = chunk_take(blocks, bytes, sendq->queued_bytes);
		if (tail == NULL)
			return NULL;
		if (sendq->tail == NULL)
			sendq->head = tail;
		else
			sendq->tail->next = tail;
		sendq->tail = tail;
	}
	sendq->reserved_bytes = bytes;
	return tail->bytes + tail->end;
}

void wi_sendq_commit(struct wi_sendq *sendq, uint32_t bytes)
{
	assert(bytes <= sendq->reserved_bytes);
	if (bytes > 0)
		sendq->tail->end += bytes;
	sendq->queued_bytes += bytes;
	sendq->reserved_bytes = 0;
}

int wi_sendq_gather(const struct wi_sendq *sendq, struct iovec *out_iov,
		    int iov_count)
{
	int count = 0;
	for (struct wi_chunk *chunk = sendq->head;
	     chunk != NULL && count < iov_count; chunk = chunk->next) {
		if (chunk->end == chunk->begin)
			continue; /* reserved, then nothing was committed */
		out_iov[count].iov_base = chunk->bytes + chunk->begin;
		out_iov[count].iov_len = chunk->end - chunk->begin;
		count++;
	}
	return count;
}

void wi_sendq_lend(struct wi_sendq *sendq, uint32_t bytes)
{
	assert(sendq->lent_bytes == 0);
	assert(bytes > 0 && bytes <= sendq->queued_bytes);
	sendq->lent_bytes = bytes;
}

static void sendq_pop_head(struct wi_sendq *sendq, struct wi_blocks *blocks)
{
	struct wi_chunk *chunk = sendq->head;
	sendq->head = chunk->next;
	if (sendq->head == NULL)
		sendq->tail = NULL;
	wi_blocks_give(blocks, chunk, chunk->order);
}

void wi_sendq_take_back(struct wi_sendq *sendq, struct wi_blocks *blocks,
			uint32_t taken_bytes)
{
	assert(taken_bytes <= sendq->lent_bytes);
	/* Of a handler that has returned without a commit: given up. */
	sendq->reserved_bytes = 0;
	sendq->lent_bytes = 0;
	sendq->queued_bytes -= taken_bytes;
	while (sendq->head != NULL) {
		struct wi_chunk *chunk = sendq->head;
		uint32_t chunk_bytes = chunk->end - chunk->begin;
		if (taken_bytes < chunk_bytes) {
			chunk->begin += taken_bytes;
			return;
		}
		taken_bytes -= chunk_bytes;
		sendq_pop_head(sendq, blocks);
	}
	assert(taken_bytes == 0);
}

void wi_sendq_clear(struct wi_sendq *sendq, struct wi_blocks *blocks)
{
	assert(sendq->lent_bytes == 0);
	while (sendq->head != NULL)
		sendq_pop_head(sendq, blocks);
	sendq->queued_bytes = 0;
	sendq->reserved_bytes = 0;
}

void wi_sendq_check(const struct wi_sendq *sendq)
{
	size_t sum = 0;
	for (const struct wi_chunk *chunk = sendq->head; chunk != NULL;
	     chunk = chunk->next) {
		assert(chunk->begin <= chunk->end);
		assert(chunk->end <= chunk->capacity);
		assert(chunk->next != NULL || chunk == sendq->tail);
		sum += chunk->end - chunk->begin;
	}
	assert(sum == sendq->queued_bytes);
	assert(sendq->lent_bytes <= sendq->queued_bytes);
}
