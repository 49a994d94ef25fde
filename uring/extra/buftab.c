#include "buftab.h"

#include "../abi.h"

#include <errno.h>
#include <string.h>

enum { SLOT_COUNT_MAX = 16384 };

int weir_buftab_open(struct weir_ring *ring, uint32_t slot_count,
		     struct weir_error *error)
{
	if (slot_count == 0 || slot_count > SLOT_COUNT_MAX)
		return weir_error_set(error, -EINVAL,
				      "a table of %u registered buffers asked "
				      "for: the kernel's range is 1 to %d",
				      slot_count, SLOT_COUNT_MAX);
	struct io_uring_rsrc_register table = {
		.nr = slot_count,
		.flags = IORING_RSRC_REGISTER_SPARSE,
	};
	int err = weir_ring_register(ring, IORING_REGISTER_BUFFERS2, &table,
				     sizeof(table));
	if (err < 0)
		return weir_error_set(error, err,
				      "the kernel refused a table of %u "
				      "registered buffers: %s",
				      slot_count, strerror(-err));
	return 0;
}

int weir_buftab_update(struct weir_ring *ring, uint32_t first_slot,
		       const struct iovec *ranges, const uint64_t *tags,
		       uint32_t count)
{
	struct io_uring_rsrc_update2 update = {
		.offset = first_slot,
		.data = (uint64_t)(uintptr_t)ranges,
		.tags = (uint64_t)(uintptr_t)tags,
		.nr = count,
	};
	return weir_ring_register(ring, IORING_REGISTER_BUFFERS_UPDATE, &update,
				  sizeof(update));
}

int weir_buftab_clone(struct weir_ring *ring, const struct weir_ring *from,
		      const struct weir_buftab_clone *clone)
{
	static const struct weir_buftab_clone whole;
	if (clone == NULL)
		clone = &whole;
	struct io_uring_clone_buffers arg = {
		.src_fd = (uint32_t)weir_ring_fd(from),
		.flags = clone->replaces ? IORING_REGISTER_DST_REPLACE : 0,
		.src_off = clone->from_slot,
		.dst_off = clone->to_slot,
		.nr = clone->count,
	};
	int err = weir_ring_register(ring, IORING_REGISTER_CLONE_BUFFERS, &arg,
				     1);
	return err < 0 ? err : 0;
}

int weir_buftab_close(struct weir_ring *ring)
{
	int err = weir_ring_register(ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
	return err < 0 ? err : 0;
}
