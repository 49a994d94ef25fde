/* filetab.h - the table of direct descriptors
 *
 * Sockets in this table need no entry in the process's descriptor table. The
 * kernel picks the slots (IORING_FILE_INDEX_ALLOC: the next free one from the
 * last that was taken or freed); CLOSE of a slot gives it back.
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
 * @slot_count: 1 to 1,048,576, and at most the soft limit of open descriptors
 *              at this moment, although slots are none
 * @error:      filled on failure; may be NULL
 *
 * Return: 0; -EINVAL; -EMFILE above the limit; -EBUSY if the ring has a table;
 *         -ENOMEM. It goes with the ring. Thread: any before
 *         weir_ring_enable(), then the ring's own.
 * Source: io_uring_register(2), IORING_REGISTER_FILES2 with
 *         IORING_RSRC_REGISTER_SPARSE, Linux 5.19.
 */
int weir_filetab_open(struct weir_ring *ring, uint32_t slot_count,
		      struct weir_error *error);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
