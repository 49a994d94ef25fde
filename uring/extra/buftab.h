/* buftab.h - the table of registered buffers
 *
 * The kernel pins and maps this memory once, so READ_FIXED, WRITE_FIXED and
 * zero-copy sends with a buffer index need not do it each time. Each slot is a
 * range of bytes, or empty.
 *
 * The kernel may read and write the memory of a slot until the slot is replaced
 * and the last operation that used it has completed. At that moment a slot with
 * a tag posts a completion.
 */
#ifndef WEIR_URING_EXTRA_BUFTAB_H
#define WEIR_URING_EXTRA_BUFTAB_H

#include "../ring.h"

#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * weir_buftab_open() - register a table of empty slots
 * @slot_count: 1 to 16384
 * @error:      filled on failure; may be NULL
 *
 * Return: 0; -EINVAL if @slot_count is out of range; -EBUSY if the ring has a
 *         table; -ENOMEM. Closing the ring frees it.
 * Thread: any before weir_ring_enable(), then the ring's own.
 * Source: io_uring_register(2), IORING_REGISTER_BUFFERS2 with
 *         IORING_RSRC_REGISTER_SPARSE, Linux 5.19.
 */
int weir_buftab_open(struct weir_ring *ring, uint32_t slot_count,
		     struct weir_error *error);

/**
 * weir_buftab_update() - put memory into slots, or empty them
 * @first_slot: it and the @count - 1 slots after it must be in the table
 * @ranges:     shape [count]; at most 1 GiB each, lent to the kernel as above;
 *              a NULL base with length 0 empties the slot
 * @tags:       shape [count], or NULL for none: when a slot's memory is free
 *              again, a completion comes with this user_data and res 0. A tag
 *              of 0 posts none; an empty slot must have tag 0
 *
 * Return: slots set; fewer than @count if a later one was refused; -EINVAL
 *         outside the table, or for a tag on an empty slot; -EFAULT if a range
 *         is not mapped or not writable, is above 1 GiB, or has an address or a
 *         length but not both; -ENOMEM above the limit of locked memory; -ENXIO
 *         without a table.
 * Thread: as weir_buftab_open().
 * Source: IORING_REGISTER_BUFFERS_UPDATE, Linux 5.13.
 */
int weir_buftab_update(struct weir_ring *ring, uint32_t first_slot,
		       const struct iovec *ranges, const uint64_t *tags,
		       uint32_t count);

/**
 * struct weir_buftab_clone - zero copies the whole table
 * @from_slot, @to_slot: first slot in the source and in the target
 * @count:    0: all of them
 * @replaces: true: these slots replace those of the target's table, if it has
 *            one; false: the target must have no table
 */
struct weir_buftab_clone {
	uint32_t from_slot;
	uint32_t to_slot;
	uint32_t count;
	bool replaces;
};

/**
 * weir_buftab_clone() - share @from's pinned memory with @ring
 * @clone: NULL for the whole table
 *
 * Cheaper than a second registration: no page is pinned or charged twice. The
 * memory stays pinned until both tables have released it.
 *
 * Return: 0; -EBUSY if @ring has a table and @replaces is false; -ENXIO if
 *         @from has none; -EINVAL, -EOVERFLOW outside the table.
 * Thread: @ring's; @from may be another thread's.
 * Source: IORING_REGISTER_CLONE_BUFFERS, Linux 6.12; ranges 6.13.
 */
int weir_buftab_clone(struct weir_ring *ring, const struct weir_ring *from,
		      const struct weir_buftab_clone *clone);

/**
 * weir_buftab_close() - unregister the table
 *
 * Operations in flight keep their memory. Return: 0; -ENXIO without a table.
 * Thread: as weir_buftab_open(). Source: IORING_UNREGISTER_BUFFERS, Linux 5.1.
 */
int weir_buftab_close(struct weir_ring *ring);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
