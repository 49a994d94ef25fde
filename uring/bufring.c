#include "bufring.h"

#include "ring_priv.h"

#include <errno.h>
#include <string.h>

enum {
	BUF_COUNT_MAX = 32768,
	PAGE_BYTES = 4096,
};

static int bufring_register(struct weir_bufring *bufring)
{
	struct io_uring_buf_reg reg = {
		.ring_addr = (uint64_t)(uintptr_t)bufring->entries,
		.ring_entries = bufring->buf_count,
		.bgid = bufring->group,
	};
	return weir_ring_register(bufring->ring, IORING_REGISTER_PBUF_RING,
				  &reg, 1);
}

int weir_bufring_open(struct weir_bufring *bufring, struct weir_ring *ring,
		      uint16_t group, void *memory, uint32_t buf_count,
		      uint32_t buf_bytes, struct weir_error *error)
{
	*bufring = (struct weir_bufring){
		.ring = ring,
		.kernel = ring->kernel,
		.memory = memory,
		.buf_count = buf_count,
		.buf_bytes = buf_bytes,
		.group = group,
	};
	if (buf_count == 0 || buf_count > BUF_COUNT_MAX ||
	    (buf_count & (buf_count - 1)) != 0)
		return weir_error_set(error, -EINVAL,
				      "%u receive buffers asked for: the count "
				      "must be a power of two from 1 to %d",
				      buf_count, BUF_COUNT_MAX);
	if (buf_bytes == 0)
		return weir_error_set(error, -EINVAL,
				      "receive buffers of 0 bytes asked for: "
				      "the size must be at least 1");

	size_t entries_bytes = buf_count * sizeof(struct io_uring_buf);
	entries_bytes =
		(entries_bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	void *entries = NULL;
	int err = bufring->kernel->map(bufring->kernel->ctx, entries_bytes, -1,
				       0, &entries);
	if (err < 0)
		return weir_error_set(error, err,
				      "no memory for a ring of %u buffers: %s",
				      buf_count, strerror(-err));
	bufring->entries = entries;
	bufring->entries_bytes = entries_bytes;

	err = bufring_register(bufring);
	if (err < 0) {
		(void)weir_error_set(error, err,
				     "the kernel refused a ring of %u buffers "
				     "as group %u: %s%s",
				     buf_count, group, strerror(-err),
				     err == -ENOMEM ? " (see `ulimit -l`)"
						    : "");
		goto fail;
	}

	for (uint32_t id = 0; id < buf_count; id++)
		weir_bufring_take_back(bufring, (uint16_t)id);
	weir_bufring_publish(bufring);
	return 0;

fail:
	(void)bufring->kernel->unmap(bufring->kernel->ctx, bufring->entries,
				     bufring->entries_bytes);
	bufring->entries = NULL;
	return err;
}

void weir_bufring_close(struct weir_bufring *bufring)
{
	if (bufring->entries == NULL)
		return;
	struct io_uring_buf_reg reg = { .bgid = bufring->group };
	/* On another thread than the ring's this is -EEXIST; the kernel then
	 * lets go of the group, and of its hold on this memory, at close. */
	(void)weir_ring_register(bufring->ring, IORING_UNREGISTER_PBUF_RING,
				 &reg, 1);
	(void)bufring->kernel->unmap(bufring->kernel->ctx, bufring->entries,
				     bufring->entries_bytes);
	bufring->entries = NULL;
}
