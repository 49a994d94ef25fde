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
