#include "filetab.h"

#include "abi.h"

#include <errno.h>
#include <string.h>

int weir_filetab_open(struct weir_ring *ring, uint32_t slot_count,
		      struct weir_error *error)
{
	struct io_uring_rsrc_register table = {
		.nr = slot_count,
		.flags = IORING_RSRC_REGISTER_SPARSE,
	};
	int err = weir_ring_register(ring, IORING_REGISTER_FILES2, &table,
				     sizeof(table));
	if (err == -EMFILE)
		return weir_error_set(error, err,
				      "a table of %u direct descriptors is "
				      "above the limit of open files: raise "
				      "`ulimit -n` or ask for fewer "
				      "connections per loop",
				      slot_count);
	if (err < 0)
		return weir_error_set(error, err,
				      "the kernel refused a table of %u direct "
				      "descriptors: %s",
				      slot_count, strerror(-err));
	return 0;
}

int weir_filetab_alloc_range(struct weir_ring *ring, uint32_t first_slot,
			     uint32_t slot_count)
{
	struct io_uring_file_index_range range = {
		.off = first_slot,
		.len = slot_count,
	};
	/* The manual says nr_args 1; the kernel requires 0 (seen on 6.18). */
	int err = weir_ring_register(ring, IORING_REGISTER_FILE_ALLOC_RANGE,
				     &range, 0);
	return err < 0 ? err : 0;
}

int weir_filetab_update(struct weir_ring *ring, uint32_t first_slot,
			const int32_t *fds, uint32_t count)
{
	struct io_uring_rsrc_update update = {
		.offset = first_slot,
		.data = (uint64_t)(uintptr_t)fds,
	};
	return weir_ring_register(ring, IORING_REGISTER_FILES_UPDATE, &update,
				  count);
}

int weir_filetab_close(struct weir_ring *ring)
{
	int err = weir_ring_register(ring, IORING_UNREGISTER_FILES, NULL, 0);
	return err < 0 ? err : 0;
}
