#include "bufring_priv.h"

#include "ring_priv.h"

#include <errno.h>
#include <string.h>

enum {
	BUF_COUNT_MAX = 32768,
	PAGE_BYTES = 4096,
};

static int bufring_register(struct weir_bufring *bufring,
			    uint32_t min_left_bytes)
{
	struct io_uring_buf_reg reg = {
		.ring_addr = (uint64_t)(uintptr_t)bufring->entries,
		.ring_entries = bufring->buf_count,
		.bgid = bufring->group,
		.flags = bufring->is_incremental ? IOU_PBUF_RING_INC : 0,
		.min_left = min_left_bytes,
	};
	return weir_ring_register(bufring->ring, IORING_REGISTER_PBUF_RING,
				  &reg, 1);
}

static size_t pages_bytes(size_t byte_count)
{
	return (byte_count + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

/* Maps the entries, and the slots if needed; all zero at first. */
static int bufring_map(struct weir_bufring *bufring, bool needs_slots)
{
	const struct weir_kernel *kernel = bufring->kernel;
	void *memory = NULL;
	size_t byte_count =
		pages_bytes(bufring->buf_count * sizeof(struct io_uring_buf));
	int err = kernel->map(kernel->ctx, byte_count, -1, 0, &memory);
	if (err < 0)
		return err;
	bufring->entries = memory;
	bufring->entries_bytes = byte_count;
	if (!needs_slots)
		return 0;

	byte_count = pages_bytes(bufring->buf_count *
				 sizeof(struct wi_bufring_slot));
	err = kernel->map(kernel->ctx, byte_count, -1, 0, &memory);
	if (err < 0)
		return err;
	bufring->slots = memory;
	bufring->slots_bytes = byte_count;
	return 0;
}

static void bufring_unmap(struct weir_bufring *bufring)
{
	const struct weir_kernel *kernel = bufring->kernel;
	if (bufring->entries != NULL)
		(void)kernel->unmap(kernel->ctx, bufring->entries,
				    bufring->entries_bytes);
	if (bufring->slots != NULL)
		(void)kernel->unmap(kernel->ctx, bufring->slots,
				    bufring->slots_bytes);
	bufring->entries = NULL;
	bufring->slots = NULL;
}

static void bufring_lend_all(struct weir_bufring *bufring)
{
	for (uint32_t id = 0; id < bufring->buf_count; id++) {
		if (bufring->slots != NULL)
			wi_bufring_lend(bufring, (uint16_t)id,
					bufring->buf_bytes);
		else
			weir_bufring_take_back(bufring, (uint16_t)id);
	}
	weir_bufring_publish(bufring);
}

static const char *bufring_hint(int err, const struct weir_bufring_opts *opts)
{
	if (err == -ENOMEM)
		return " (see `ulimit -l`)";
	if (err == -EINVAL && opts->min_left_bytes != 0)
		return " (min_left_bytes is newer than 6.18)";
	if (err == -EINVAL && opts->is_incremental)
		return " (incremental buffers need Linux 6.12)";
	return "";
}

int weir_bufring_open(struct weir_bufring *bufring, struct weir_ring *ring,
		      uint16_t group, void *memory, uint32_t buf_count,
		      uint32_t buf_bytes, const struct weir_bufring_opts *opts,
		      struct weir_error *error)
{
	static const struct weir_bufring_opts classic;
	if (opts == NULL)
		opts = &classic;
	*bufring = (struct weir_bufring){
		.ring = ring,
		.kernel = ring->kernel,
		.memory = memory,
		.buf_count = buf_count,
		.buf_bytes = buf_bytes,
		.group = group,
		.is_incremental = opts->is_incremental,
		.is_lent_by_hand = opts->is_lent_by_hand,
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

	int err = bufring_map(bufring, opts->is_incremental ||
					       opts->has_bundles ||
					       opts->is_lent_by_hand);
	if (err < 0) {
		(void)weir_error_set(error, err,
				     "no memory for a ring of %u buffers: %s",
				     buf_count, strerror(-err));
		goto fail;
	}

	err = bufring_register(bufring, opts->min_left_bytes);
	if (err < 0) {
		(void)weir_error_set(error, err,
				     "the kernel refused a ring of %u buffers "
				     "as group %u: %s%s",
				     buf_count, group, strerror(-err),
				     bufring_hint(err, opts));
		goto fail;
	}

	if (!opts->is_lent_by_hand)
		bufring_lend_all(bufring);
	return 0;

fail:
	bufring_unmap(bufring);
	return err;
}

int weir_bufring_status(const struct weir_bufring *bufring,
			uint32_t *out_free_count)
{
	struct io_uring_buf_status status = { .buf_group = bufring->group };
	if (bufring->entries == NULL)
		return -ENOENT;
	int err = weir_ring_register(bufring->ring, IORING_REGISTER_PBUF_STATUS,
				     &status, 1);
	if (err < 0)
		return err;
	/* Both count modulo 2^16; only we write the tail. */
	*out_free_count =
		(uint16_t)(bufring->entries[0].resv - (uint16_t)status.head);
	return 0;
}

void weir_bufring_close(struct weir_bufring *bufring)
{
	if (bufring->entries == NULL)
		return;
	struct io_uring_buf_reg reg = { .bgid = bufring->group };
	/* On a thread other than the ring's this is -EEXIST. The kernel then
	 * releases the group and this memory when the ring closes. */
	(void)weir_ring_register(bufring->ring, IORING_UNREGISTER_PBUF_RING,
				 &reg, 1);
	bufring_unmap(bufring);
	wi_kernel_wrote(bufring->memory,
			(size_t)bufring->buf_count * bufring->buf_bytes);
}
