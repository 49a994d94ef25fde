#include "sendq.h"
#include "../../uring/mutant.h"

#include <assert.h>

enum {
	/* A long queue grows in chunks as large as itself, up to this size: one
	 * block, header included. */
	CHUNK_BYTES_MAX = (256u << 10) - sizeof(struct wi_chunk),
};

/* A chunk for @bytes; larger if the queue is already long. */
static struct wi_chunk *chunk_take(struct wi_blocks *blocks, uint32_t bytes,
				   uint32_t queued_bytes)
{
	size_t want =
		queued_bytes < CHUNK_BYTES_MAX ? queued_bytes : CHUNK_BYTES_MAX;
	if (want < bytes)
		want = bytes;
	unsigned order = wi_block_order(
		sizeof(struct wi_chunk) +
		WI_MUTANT("queue-takes-more-than-it-says", want, 32 * want));
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
			continue; /* reserved, but nothing was committed */
		out_iov[count].iov_base = chunk->bytes + chunk->begin;
		out_iov[count].iov_len = chunk->end - chunk->begin;
		count++;
	}
	return count;
}

/* ---- what the kernel has --------------------------------------------------
 *
 * Only in builds that watch lent memory: sanitizers, and -Ddebug_regions=true.
 */

/* FNV-1a over a region, from @sum on. */
static uint32_t region_sum(uint32_t sum, const uint8_t *bytes,
			   uint32_t byte_count)
{
	for (uint32_t i = 0; i < byte_count; i++)
		sum = (sum ^ bytes[i]) * 16777619u;
	return sum;
}

/* The start of the grain that holds @begin; bytes before it are sent. */
static uint32_t grain_start(uint32_t begin)
{
	static_assert(offsetof(struct wi_chunk, bytes) % WI_REGION_GRAIN == 0,
		      "a chunk's bytes begin with a grain");
	return begin & ~(uint32_t)(WI_REGION_GRAIN - 1);
}

/* Lends each piece to the kernel if @goes, else takes it back. Return: the
 * checksum of all pieces. */
static uint32_t lent_walk(const struct wi_sendq *sendq, bool goes)
{
	uint32_t sum = 2166136261u;
	uint32_t left = sendq->lent_bytes;
	for (struct wi_chunk *chunk = sendq->head; chunk != NULL && left > 0;
	     chunk = chunk->next) {
		uint32_t bytes = chunk->end - chunk->begin;
		if (bytes > left)
			bytes = left;
		left -= bytes;
		uint8_t *begin = chunk->bytes + grain_start(chunk->begin);
		const uint8_t *end = chunk->bytes + chunk->begin + bytes;
		if (!goes)
			wi_region_back(begin, (size_t)(end - begin));
		if (WI_DEBUG_REGIONS)
			sum = region_sum(sum, end - bytes, bytes);
		if (goes)
			wi_lend_to_read(begin, (size_t)(end - begin));
	}
	return sum;
}

void wi_sendq_lend(struct wi_sendq *sendq, uint32_t bytes)
{
	assert(sendq->lent_bytes == 0);
	assert(bytes > 0 && bytes <= sendq->queued_bytes);
	sendq->lent_bytes = bytes;
	if (WI_DEBUG_REGIONS || WI_REGIONS_WATCHED)
		sendq->lent_sum = lent_walk(sendq, true);
}

static void sendq_lent_back(struct wi_sendq *sendq)
{
	if (WI_DEBUG_REGIONS || WI_REGIONS_WATCHED) {
		const uint32_t sum = lent_walk(sendq, false);
		/* Otherwise a thread wrote to bytes that the kernel was
		 * sending. */
		assert(sendq->lent_bytes == 0 || sum == sendq->lent_sum);
	}
	sendq->lent_bytes = 0;
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
	/* A handler that returned without a commit has lost its room. */
	sendq->reserved_bytes = 0;
	sendq_lent_back(sendq);
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
