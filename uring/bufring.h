/* bufring.h - a ring of buffers that the kernel fills on its own
 *
 *     lend ------> [ the kernel's: filled in ring order ] ---CQE---> ours
 *      ^                                                              |
 *      +------------------ take_back by buffer id <-------------------+
 *
 * A receive with IOSQE_BUFFER_SELECT takes a buffer only when data arrives, so
 * an idle connection holds none. Every buffer is in exactly one place.
 */
#ifndef WEIR_URING_BUFRING_H
#define WEIR_URING_BUFRING_H

#include "abi.h"
#include "barrier.h"
#include "ring.h"

#include <assert.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct weir_bufring {
	struct weir_ring *ring;
	const struct weir_kernel *kernel;
	struct io_uring_buf *entries; /* shared with the kernel */
	size_t entries_bytes;
	uint8_t *memory; /* borrowed from the caller of open */
	uint32_t buf_count;
	uint32_t buf_bytes;
	uint16_t group;
	uint16_t tail; /* ours; published by weir_bufring_publish() */
};

/**
 * weir_bufring_open() - register a group of buffers and lend them all
 * @bufring:   caller's memory; after a failure it is closed
 * @ring:      must outlive @bufring
 * @group:     the id that a receive names in sqe->buf_group
 * @memory:    shape [buf_count][buf_bytes]; lent until weir_bufring_close()
 * @buf_count: power of two, 1 to 32768
 * @buf_bytes: size of each, at least 1
 * @error:     filled on failure; may be NULL
 *
 * Return: 0; -EINVAL if @buf_count is no power of two or too large; -EEXIST
 *         if the group is taken; -ENOMEM (locked memory). Thread: any before
 *         weir_ring_enable(), then the ring's own.
 * Source: io_uring_register(2), IORING_REGISTER_PBUF_RING, Linux 5.19.
 */
int weir_bufring_open(struct weir_bufring *bufring, struct weir_ring *ring,
		      uint16_t group, void *memory, uint32_t buf_count,
		      uint32_t buf_bytes, struct weir_error *error);

/**
 * weir_bufring_close() - unregister; takes a half-open one as well
 *
 * An armed multishot receive ends with -ENOBUFS. Thread: the ring's own, or
 * any once that thread has ended: then closing the ring does the rest.
 */
void weir_bufring_close(struct weir_bufring *bufring);

#pragma GCC visibility pop

/** weir_bufring_id() - the buffer that a completion names in its flags. */
static inline uint16_t weir_bufring_id(const struct io_uring_cqe *cqe)
{
	assert((cqe->flags & IORING_CQE_F_BUFFER) != 0);
	return (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
}

/** weir_bufring_bytes() - its memory, ours until weir_bufring_take_back(). */
static inline uint8_t *weir_bufring_bytes(const struct weir_bufring *bufring,
					  uint16_t id)
{
	assert(id < bufring->buf_count);
	return bufring->memory + (size_t)id * bufring->buf_bytes;
}

/**
 * weir_bufring_take_back() - the kernel may fill buffer @id again
 *
 * Seen by the kernel after the next weir_bufring_publish().
 */
static inline void weir_bufring_take_back(struct weir_bufring *bufring,
					  uint16_t id)
{
	struct io_uring_buf *entry =
		&bufring->entries[bufring->tail & (bufring->buf_count - 1)];
	/* Field by field: the last two bytes of entry 0 are the ring's tail. */
	entry->addr = (uint64_t)(uintptr_t)weir_bufring_bytes(bufring, id);
	entry->len = bufring->buf_bytes;
	entry->bid = id;
	bufring->tail++;
}

/** weir_bufring_publish() - one store for all that was taken back. */
static inline void weir_bufring_publish(struct weir_bufring *bufring)
{
	wi_store_release_u16(&bufring->entries[0].resv, bufring->tail);
}

#ifdef __cplusplus
}
#endif

#endif
