/* filetab.h - the table of direct descriptors
 *
 * Sockets in this table need no entry in the process's descriptor table. The
 * kernel picks the slots (IORING_FILE_INDEX_ALLOC: the next free one after the
 * last that was taken or freed). A CLOSE frees its slot.
 */
#ifndef WEIR_URING_FILETAB_H
#define WEIR_URING_FILETAB_H

#include "ring.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * weir_filetab_open() - register an empty table
 * @slot_count: 1 to 1,048,576, and at most the current soft limit of open
 *              descriptors, although slots are not descriptors
 * @error:      filled on failure; may be NULL
 *
 * Return: 0; -EINVAL; -EMFILE above the limit; -EBUSY if the ring has a table;
 *         -ENOMEM. Closing the ring frees the table. Thread: any before
 *         weir_ring_enable(), then the ring's own.
 * Source: io_uring_register(2), IORING_REGISTER_FILES2 with
 *         IORING_RSRC_REGISTER_SPARSE, Linux 5.19.
 */
int weir_filetab_open(struct weir_ring *ring, uint32_t slot_count,
		      struct weir_error *error);

/**
 * weir_filetab_alloc_range() - the slots from which the kernel picks
 * @first_slot, @slot_count: within the table; the rest is for
 *                           weir_filetab_update() and explicit slots
 *
 * Slots already picked stay in use.
 *
 * Return: 0; -EINVAL outside the table, or without one; -EOVERFLOW if the end
 *         is above 2^32. Thread: as weir_filetab_open().
 * Source: IORING_REGISTER_FILE_ALLOC_RANGE, Linux 6.0.
 */
int weir_filetab_alloc_range(struct weir_ring *ring, uint32_t first_slot,
			     uint32_t slot_count);

#define WEIR_FILETAB_EMPTY (-1) /* the slot becomes empty */
#define WEIR_FILETAB_KEEP (-2)  /* the slot stays as it is; Linux 5.12 */

/**
 * weir_filetab_update() - put descriptors into slots, or empty them
 * @first_slot: it and the @count - 1 slots after it must be in the table
 * @fds:        shape [count]; a descriptor each, or one of the two constants
 *              above; the table takes a reference, so the caller may close its
 *              own
 *
 * Operations in flight on a slot keep the file that they started with.
 *
 * Return: slots set; fewer than @count if a later one was refused; -EBADF if
 *         the first is not a descriptor, or is a ring; -EINVAL outside the
 *         table; -ENXIO without one.
 * Thread: as weir_filetab_open().
 * Source: IORING_REGISTER_FILES_UPDATE, Linux 5.5.
 */
int weir_filetab_update(struct weir_ring *ring, uint32_t first_slot,
			const int32_t *fds, uint32_t count);

/**
 * weir_filetab_close() - unregister the table
 *
 * Operations in flight keep their file, and so their connection, open.
 * Return: 0; -ENXIO without a table. Thread: as weir_filetab_open().
 * Source: IORING_UNREGISTER_FILES, Linux 5.1.
 */
int weir_filetab_close(struct weir_ring *ring);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
