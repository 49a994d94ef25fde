#include "restrict.h"

#include "../abi.h"

#include <errno.h>

enum {
	OPCODE_COUNT = 256,
	WORD_BITS = 64,
	/* Every known operation, every known register call, two flag sets. */
	ENTRIES_MAX = 2 * OPCODE_COUNT + 2,
};

static void bit_set(uint64_t words[4], uint8_t bit)
{
	words[bit / WORD_BITS] |= UINT64_C(1) << (bit % WORD_BITS);
}

static bool bit_is_set(const uint64_t words[4], uint32_t bit)
{
	return ((words[bit / WORD_BITS] >> (bit % WORD_BITS)) & 1) != 0;
}

void weir_restrict_allow_op(struct weir_restrict *list, uint8_t opcode)
{
	bit_set(list->ops, opcode);
}

void weir_restrict_allow_register(struct weir_restrict *list, uint8_t opcode)
{
	bit_set(list->register_ops, opcode);
}

void weir_restrict_allow_sqe_flags(struct weir_restrict *list, uint8_t flags)
{
	list->allowed_sqe_flags |= flags;
}

void weir_restrict_require_sqe_flags(struct weir_restrict *list, uint8_t flags)
{
	list->required_sqe_flags |= flags;
	list->allowed_sqe_flags |= flags;
}

/* Appends one entry per set bit. Returns the new count. */
static uint32_t entries_add(struct io_uring_restriction *entries,
			    uint32_t count, uint16_t kind,
			    const uint64_t words[4])
{
	for (uint32_t bit = 0; bit < OPCODE_COUNT; bit++) {
		if (!bit_is_set(words, bit))
			continue;
		entries[count++] = (struct io_uring_restriction){
			.opcode = kind,
			.value = (uint8_t)bit,
		};
	}
	return count;
}

int weir_restrict_apply(const struct weir_restrict *list,
			struct weir_ring *ring)
{
	struct io_uring_restriction entries[ENTRIES_MAX];
	struct weir_restrict all = *list;
	uint32_t count =
		entries_add(entries, 0, IORING_RESTRICTION_SQE_OP, all.ops);
	if (count == 0)
		return -EINVAL;

	weir_restrict_allow_register(&all, IORING_REGISTER_RING_FDS);
	weir_restrict_allow_register(&all, IORING_UNREGISTER_RING_FDS);
	count = entries_add(entries, count, IORING_RESTRICTION_REGISTER_OP,
			    all.register_ops);
	entries[count++] = (struct io_uring_restriction){
		.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
		.value = all.allowed_sqe_flags,
	};
	entries[count++] = (struct io_uring_restriction){
		.opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
		.value = all.required_sqe_flags,
	};
	int err = weir_ring_register(ring, IORING_REGISTER_RESTRICTIONS,
				     entries, count);
	return err < 0 ? err : 0;
}
