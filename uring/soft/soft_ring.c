#include "soft_ring.h"

#include "soft_copy.h"

uint32_t wi_soft_ring_round(uint32_t entry_count)
{
	uint32_t power = 1;
	while (power < entry_count)
		power <<= 1;
	return power;
}

void wi_soft_ring_shape(struct io_uring_params *params, size_t *out_bytes,
			size_t *out_sqes_bytes)
{
	params->sq_off = (struct io_sqring_offsets){
		.head = WI_SOFT_SQ_HEAD,
		.tail = WI_SOFT_SQ_TAIL,
		.ring_mask = WI_SOFT_SQ_MASK,
		.ring_entries = WI_SOFT_SQ_ENTRIES,
		.flags = WI_SOFT_SQ_FLAGS,
		.dropped = WI_SOFT_SQ_DROPPED,
		.array = WI_SOFT_CQES +
			 params->cq_entries *
				 (uint32_t)sizeof(struct io_uring_cqe),
	};
	params->cq_off = (struct io_cqring_offsets){
		.head = WI_SOFT_CQ_HEAD,
		.tail = WI_SOFT_CQ_TAIL,
		.ring_mask = WI_SOFT_CQ_MASK,
		.ring_entries = WI_SOFT_CQ_ENTRIES,
		.overflow = WI_SOFT_CQ_OVERFLOW,
		.cqes = WI_SOFT_CQES,
		.flags = WI_SOFT_CQ_FLAGS,
	};
	*out_bytes =
		params->sq_off.array + params->sq_entries * sizeof(uint32_t);
	*out_sqes_bytes = params->sq_entries * sizeof(struct io_uring_sqe);
}

void wi_soft_ring_init(struct wi_soft_ring *ring,
		       const struct io_uring_params *params, void *memory,
		       void *sqes, struct io_uring_cqe *overflow,
		       uint32_t overflow_most)
{
	*ring = (struct wi_soft_ring){
		.memory = memory,
		.sqes = sqes,
		.sq_entry_count = params->sq_entries,
		.cq_entry_count = params->cq_entries,
		.overflow = overflow,
		.overflow_most = overflow_most,
	};
	*wi_soft_ring_word(ring, WI_SOFT_SQ_MASK) = params->sq_entries - 1;
	*wi_soft_ring_word(ring, WI_SOFT_SQ_ENTRIES) = params->sq_entries;
	*wi_soft_ring_word(ring, WI_SOFT_CQ_MASK) = params->cq_entries - 1;
	*wi_soft_ring_word(ring, WI_SOFT_CQ_ENTRIES) = params->cq_entries;
}

void *wi_soft_ring_map(const struct wi_soft_ring *ring, uint64_t offset)
{
	return offset == IORING_OFF_SQES ? (void *)ring->sqes
					 : (void *)ring->memory;
}

void wi_soft_ring_take(struct wi_soft_ring *ring, struct io_uring_sqe *out_sqe)
{
	const uint32_t head = *wi_soft_ring_word(ring, WI_SOFT_SQ_HEAD);
	wi_soft_copy(out_sqe, &ring->sqes[head & (ring->sq_entry_count - 1)],
		     sizeof(*out_sqe));
	wi_store_release_u32(wi_soft_ring_word(ring, WI_SOFT_SQ_HEAD),
			     head + 1);
}

static void cq_write(struct wi_soft_ring *ring, const struct io_uring_cqe *cqe)
{
	struct io_uring_cqe *cqes =
		(struct io_uring_cqe *)(void *)(ring->memory + WI_SOFT_CQES);
	const uint32_t tail = *wi_soft_ring_word(ring, WI_SOFT_CQ_TAIL);
	wi_soft_copy(&cqes[tail & (ring->cq_entry_count - 1)], cqe,
		     sizeof(*cqe));
	wi_store_release_u32(wi_soft_ring_word(ring, WI_SOFT_CQ_TAIL),
			     tail + 1);
}

enum wi_soft_post wi_soft_ring_post(struct wi_soft_ring *ring,
				    const struct io_uring_cqe *cqe)
{
	ring->posted++;
	if (wi_soft_ring_has_room(ring)) {
		cq_write(ring, cqe);
		return WI_SOFT_POSTED;
	}
	if (ring->overflow_count == ring->overflow_most)
		return WI_SOFT_DROPPED;
	ring->overflow[ring->overflow_count++] = *cqe;
	*wi_soft_ring_word(ring, WI_SOFT_SQ_FLAGS) |= IORING_SQ_CQ_OVERFLOW;
	return WI_SOFT_OVERFLOWED;
}

void wi_soft_ring_flush(struct wi_soft_ring *ring)
{
	uint32_t moved = 0;
	while (moved < ring->overflow_count &&
	       wi_soft_ring_ready(ring) < ring->cq_entry_count)
		cq_write(ring, &ring->overflow[moved++]);
	ring->overflow_count -= moved;
	memmove(&ring->overflow[0], &ring->overflow[moved],
		ring->overflow_count * sizeof(ring->overflow[0]));
	if (ring->overflow_count == 0)
		*wi_soft_ring_word(ring, WI_SOFT_SQ_FLAGS) &=
			~(uint32_t)IORING_SQ_CQ_OVERFLOW;
}
