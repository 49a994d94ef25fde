/* bufring_spans.c - which bytes of which buffers one completion covers
 *
 * The kernel gives the first buffer and the number of bytes. weir keeps the
 * rest per buffer (bufring_priv.h):
 *
 *   a bundle continues in the buffer that was lent next, which need not be id +
 *   1, so each buffer records its successor. The link of a buffer is valid from
 *   the next lend until this buffer is lent again. That cannot be before the
 *   completion that names it is done, so completions may be done in any order.
 *
 *   an incremental buffer continues where the last completion stopped. Without
 *   IORING_CQE_F_BUF_MORE the kernel has finished with the last buffer of the
 *   completion; with those before it, it always has.
 *
 * Invariant: a buffer is in the kernel's ring at most once.
 */
#include "bufring_priv.h"

static struct wi_bufring_slot *slot_of(const struct weir_bufring *bufring,
				       uint16_t id)
{
	assert(id < bufring->buf_count);
	return &bufring->slots[id];
}

void wi_bufring_lend(struct weir_bufring *bufring, uint16_t id,
		     uint32_t byte_count)
{
	struct wi_bufring_slot *slot = slot_of(bufring, id);
	assert(slot->state == WI_BUFRING_OURS && slot->ref_count == 0);

	slot->at_bytes = 0;
	slot->end_bytes = byte_count;
	slot->state = WI_BUFRING_LENT;
	if (bufring->has_lent)
		slot_of(bufring, bufring->last_lent_id)->next_id = id;
	bufring->last_lent_id = id;
	bufring->has_lent = true;

	uint8_t *memory = wi_bufring_push(bufring, id, byte_count);
	if (bufring->is_lent_by_hand)
		wi_lend_to_read(memory, byte_count);
	else
		wi_lend_to_fill(memory, byte_count);
}

void weir_bufring_lend(struct weir_bufring *bufring, uint16_t id,
		       uint32_t byte_count)
{
	assert(bufring->is_lent_by_hand);
	assert(byte_count >= 1 && byte_count <= bufring->buf_bytes);
	wi_bufring_lend(bufring, id, byte_count);
}

/* For builds that track lent memory: marks the bytes that slot_take() will
 * take. Empty in other builds. */
static void slot_told(const struct weir_bufring *bufring,
		      const struct wi_bufring_slot *slot, uint32_t byte_count,
		      bool is_last)
{
	const uint8_t *memory =
		bufring->memory +
		(size_t)(slot - bufring->slots) * bufring->buf_bytes;
	if (!bufring->is_lent_by_hand)
		wi_kernel_wrote(memory + slot->at_bytes, byte_count);
	else if (is_last)
		wi_region_back(memory, slot->end_bytes);
}

/* @bytes more of buffer @id now belong to the caller; @is_last: the kernel has
 * finished with the buffer. */
static void slot_take(const struct weir_bufring *bufring,
		      struct wi_bufring_slot *slot, uint32_t byte_count,
		      bool is_last)
{
	assert(slot->state != WI_BUFRING_OURS);
	assert(slot->ref_count < UINT16_MAX);
	slot_told(bufring, slot, byte_count, is_last);
	slot->at_bytes += byte_count;
	slot->ref_count++;
	slot->state = is_last ? WI_BUFRING_OURS : WI_BUFRING_SHARED;
}

static uint32_t slot_left_bytes(const struct wi_bufring_slot *slot)
{
	return slot->end_bytes - slot->at_bytes;
}

/* Marks the bytes of the completion. Returns how many buffers it used. */
static uint16_t spans_take(struct weir_bufring *bufring, uint16_t id,
			   uint32_t byte_count, bool has_more)
{
	uint16_t buf_count = 1;
	struct wi_bufring_slot *slot = slot_of(bufring, id);
	while (byte_count > slot_left_bytes(slot)) {
		byte_count -= slot_left_bytes(slot);
		slot_take(bufring, slot, slot_left_bytes(slot), true);
		assert(id != bufring->last_lent_id); /* nothing was lent next */
		id = slot->next_id;
		slot = slot_of(bufring, id);
		buf_count++;
	}
	slot_take(bufring, slot, byte_count, !has_more);
	return buf_count;
}

void weir_bufring_spans(struct weir_bufring *bufring,
			const struct io_uring_cqe *cqe,
			struct weir_bufring_spans *out_spans)
{
	const uint16_t id = weir_bufring_id(cqe);
	const uint32_t byte_count = cqe->res > 0 ? (uint32_t)cqe->res : 0;
	struct weir_bufring_spans spans = {
		.bufring = bufring,
		.byte_count = byte_count,
		.first_id = id,
		.buf_count = 1,
		.left_bytes = byte_count,
		.at_id = id,
	};
	if (bufring->slots != NULL) {
		spans.at_bytes = slot_of(bufring, id)->at_bytes;
		spans.buf_count =
			spans_take(bufring, id, byte_count,
				   (cqe->flags & IORING_CQE_F_BUF_MORE) != 0);
	}
	assert(bufring->slots != NULL || byte_count <= bufring->buf_bytes);
	if (WI_REGIONS_WATCHED && bufring->slots == NULL)
		wi_kernel_wrote(wi_bufring_memory(bufring, id), byte_count);
	*out_spans = spans;
}

bool weir_bufring_next(struct weir_bufring_spans *spans,
		       struct weir_bufring_span *out_span)
{
	const struct weir_bufring *bufring = spans->bufring;
	if (spans->left_bytes == 0)
		return false;

	uint32_t byte_count = spans->left_bytes;
	if (bufring->slots != NULL) {
		const struct wi_bufring_slot *slot =
			slot_of(bufring, spans->at_id);
		if (byte_count > slot->end_bytes - spans->at_bytes)
			byte_count = slot->end_bytes - spans->at_bytes;
	}
	*out_span = (struct weir_bufring_span){
		.bytes = wi_bufring_memory(bufring, spans->at_id) +
			 spans->at_bytes,
		.byte_count = byte_count,
		.id = spans->at_id,
	};
	spans->left_bytes -= byte_count;
	if (spans->left_bytes > 0) {
		spans->at_id = slot_of(bufring, spans->at_id)->next_id;
		spans->at_bytes = 0;
	}
	return true;
}

void weir_bufring_done(const struct weir_bufring_spans *spans)
{
	struct weir_bufring *bufring = spans->bufring;
	uint16_t id = spans->first_id;
	if (bufring->slots == NULL) {
		weir_bufring_take_back(bufring, id);
		return;
	}
	for (uint16_t i = 0; i < spans->buf_count; i++) {
		/* Read it first: lending the buffer overwrites its link. */
		const uint16_t next_id = slot_of(bufring, id)->next_id;
		weir_bufring_drop(bufring, id);
		id = next_id;
	}
}

void weir_bufring_hold(struct weir_bufring *bufring, uint16_t id)
{
	struct wi_bufring_slot *slot = slot_of(bufring, id);
	assert(slot->ref_count > 0 && slot->ref_count < UINT16_MAX);
	slot->ref_count++;
}

void weir_bufring_drop(struct weir_bufring *bufring, uint16_t id)
{
	struct wi_bufring_slot *slot = slot_of(bufring, id);
	assert(slot->ref_count > 0);
	slot->ref_count--;
	if (slot->ref_count == 0 && slot->state == WI_BUFRING_OURS &&
	    !bufring->is_lent_by_hand)
		wi_bufring_lend(bufring, id, bufring->buf_bytes);
}
