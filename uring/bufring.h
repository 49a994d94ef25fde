/* bufring.h - a ring of buffers that the kernel fills on its own
 *
 *     lend ------> [ the kernel's: filled in ring order ] ---CQE---> ours
 *      ^                                                              |
 *      +------------------ take_back by buffer id <-------------------+
 *
 * A receive with IOSQE_BUFFER_SELECT takes a buffer only when data arrives, so
 * an idle connection holds none. At any time, each byte of a buffer is either
 * the kernel's or ours.
 */
#ifndef WEIR_URING_BUFRING_H
#define WEIR_URING_BUFRING_H

#include "abi.h"
#include "annotate.h"
#include "barrier.h"
#include "ring.h"

#include <assert.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct wi_bufring_slot;

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

	/* The state of each buffer for weir_bufring_spans(), shape [buf_count];
	 * NULL on a classic ring. */
	struct wi_bufring_slot *slots;
	size_t slots_bytes;
	uint16_t last_lent_id;
	bool has_lent; /* last_lent_id is valid */
	bool is_incremental;
	bool is_lent_by_hand;
};

/**
 * struct weir_bufring_opts - zero is the classic ring, all buffers lent
 * @is_incremental:  the kernel fills a buffer piece by piece, over many
 *                   completions (Linux 6.12); for streams
 * @min_left_bytes:  incremental only: finish a buffer once fewer bytes are
 *                   left, so that a datagram finds room; newer than 6.18, in
 *                   stable kernels
 * @has_bundles:     receives or sends with IORING_RECVSEND_BUNDLE use the ring:
 *                   one completion spans many buffers (Linux 6.10)
 * @is_lent_by_hand: for sends: only weir_bufring_lend() lends a buffer, not
 *                   open and not weir_bufring_done()
 */
struct weir_bufring_opts {
	bool is_incremental;
	uint32_t min_left_bytes;
	bool has_bundles;
	bool is_lent_by_hand;
};

/**
 * weir_bufring_open() - register a group of buffers and lend them all
 * @bufring:   caller's memory; after a failure it is closed
 * @ring:      must outlive @bufring
 * @group:     the id that a receive puts into sqe->buf_group
 * @memory:    shape [buf_count][buf_bytes]; lent until weir_bufring_close()
 * @buf_count: power of two, 1 to 32768
 * @buf_bytes: size of each, at least 1
 * @opts:      NULL for a classic ring
 * @error:     filled on failure; may be NULL
 *
 * With any option set, weir keeps 16 bytes per buffer beside the ring. Read its
 * completions with weir_bufring_spans(); weir_bufring_take_back() is not for
 * such a ring.
 *
 * Return: 0; -EINVAL if @buf_count is no power of two or too large, or if the
 *         kernel lacks what @opts needs; -EEXIST if the group is taken; -ENOMEM
 *         (locked memory). Thread: any before weir_ring_enable(), then the
 *         ring's own.
 * Source: io_uring_register(2), IORING_REGISTER_PBUF_RING, Linux 5.19.
 */
int weir_bufring_open(struct weir_bufring *bufring, struct weir_ring *ring,
		      uint16_t group, void *memory, uint32_t buf_count,
		      uint32_t buf_bytes, const struct weir_bufring_opts *opts,
		      struct weir_error *error);

/**
 * weir_bufring_status() - how many published buffers the kernel has not taken
 *
 * On an incremental ring a half-full buffer counts. Return: 0; -EINVAL on an
 * older kernel; -ENOENT after weir_bufring_close(). Thread: the ring's own.
 * Source: IORING_REGISTER_PBUF_STATUS, Linux 6.8.
 */
int weir_bufring_status(const struct weir_bufring *bufring,
			uint32_t *out_free_count);

/**
 * weir_bufring_close() - unregister; takes a half-open one as well
 *
 * An armed multishot receive ends with -ENOBUFS. Thread: the ring's own, or any
 * once that thread has ended; closing the ring then unregisters the group.
 */
void weir_bufring_close(struct weir_bufring *bufring);

/**
 * struct weir_bufring_spans - the bytes of one completion, and its buffers
 *
 * A plain value: copy it to read it twice. The last four fields are a cursor.
 */
struct weir_bufring_spans {
	struct weir_bufring *bufring;
	uint32_t byte_count; /* in all */
	uint16_t first_id;
	uint16_t buf_count; /* touched, at least 1 */

	uint32_t at_bytes; /* into buffer at_id */
	uint32_t left_bytes;
	uint16_t at_id;
};

/**
 * struct weir_bufring_span - bytes in one buffer
 * @bytes:      ours until weir_bufring_done()
 * @byte_count: at least 1
 * @id:         of the buffer
 */
struct weir_bufring_span {
	uint8_t *bytes;
	uint32_t byte_count;
	uint16_t id;
};

/**
 * weir_bufring_spans() - account for one completion, whatever the ring's mode
 * @cqe: has IORING_CQE_F_BUFFER; a completion without it took no buffer
 *
 * Call it once per such completion, in the order of the completion queue, also
 * if res is negative. Two kinds break that order: receives with MSG_WAITALL may
 * complete in another order than they took bytes, so do not use them on an
 * incremental ring; for bundles on a kernel worker thread see
 * weir_op_recv_bundle(). Then read with weir_bufring_next(), and finish with
 * one weir_bufring_done(), which may come later and in any order.
 *
 *     weir_bufring_spans(bufring, cqe, &spans);
 *     while (weir_bufring_next(&spans, &span))
 *             parse(span.bytes, span.byte_count);
 *     weir_bufring_done(&spans);
 *     ... weir_bufring_publish(bufring);               once per batch
 *
 * Thread: the ring's own, also for all calls below.
 */
void weir_bufring_spans(struct weir_bufring *bufring,
			const struct io_uring_cqe *cqe,
			struct weir_bufring_spans *out_spans);

/** weir_bufring_next() - Return: false when there is no further span. */
bool weir_bufring_next(struct weir_bufring_spans *spans,
		       struct weir_bufring_span *out_span);

/**
 * weir_bufring_done() - the caller has finished with the bytes of @spans
 *
 * A buffer is lent again once the kernel has finished with it and no span holds
 * it. The kernel sees that after weir_bufring_publish().
 */
void weir_bufring_done(const struct weir_bufring_spans *spans);

/**
 * weir_bufring_hold() - keep buffer @id past weir_bufring_done()
 *
 * For a caller that stores a span and not the whole completion. Not on a
 * classic ring. At most 65,535 completions and holders may share one buffer.
 */
void weir_bufring_hold(struct weir_bufring *bufring, uint16_t id);

/** weir_bufring_drop() - ends one weir_bufring_hold(). */
void weir_bufring_drop(struct weir_bufring *bufring, uint16_t id);

/**
 * weir_bufring_lend() - queue buffer @id, with @byte_count bytes to send
 * @byte_count: 1 to the ring's buf_bytes
 *
 * On a ring with is_lent_by_hand, for a buffer that is ours. The kernel sends
 * in the order of these calls, and sees them after weir_bufring_publish().
 */
void weir_bufring_lend(struct weir_bufring *bufring, uint16_t id,
		       uint32_t byte_count);

#pragma GCC visibility pop

/** weir_bufring_id() - the buffer that a completion names in its flags. */
static inline uint16_t weir_bufring_id(const struct io_uring_cqe *cqe)
{
	assert((cqe->flags & IORING_CQE_F_BUFFER) != 0);
	return (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
}

static inline uint8_t *wi_bufring_memory(const struct weir_bufring *bufring,
					 uint16_t id)
{
	assert(id < bufring->buf_count);
	return bufring->memory + (size_t)id * bufring->buf_bytes;
}

/** weir_bufring_bytes() - its memory, ours until weir_bufring_take_back(). */
static inline uint8_t *weir_bufring_bytes(const struct weir_bufring *bufring,
					  uint16_t id)
{
	uint8_t *memory = wi_bufring_memory(bufring, id);
	wi_kernel_wrote(memory, bufring->buf_bytes);
	return memory;
}

/* Fills the next entry of the ring. Return: the memory that it lends. */
static inline uint8_t *wi_bufring_push(struct weir_bufring *bufring,
				       uint16_t id, uint32_t byte_count)
{
	struct io_uring_buf *entry =
		&bufring->entries[bufring->tail & (bufring->buf_count - 1)];
	uint8_t *memory = wi_bufring_memory(bufring, id);
	/* Field by field: the last two bytes of entry 0 are the ring's tail. */
	entry->addr = (uint64_t)(uintptr_t)memory;
	entry->len = byte_count;
	entry->bid = id;
	bufring->tail++;
	return memory;
}

/**
 * weir_bufring_take_back() - the kernel may fill buffer @id again
 *
 * The kernel sees it after the next weir_bufring_publish(). Only on a classic
 * ring; for the others call weir_bufring_done().
 */
static inline void weir_bufring_take_back(struct weir_bufring *bufring,
					  uint16_t id)
{
	wi_lend_to_fill(wi_bufring_push(bufring, id, bufring->buf_bytes),
			bufring->buf_bytes);
}

/** weir_bufring_publish() - one store for all buffers that were taken back. */
static inline void weir_bufring_publish(struct weir_bufring *bufring)
{
	wi_store_release_u16(&bufring->entries[0].resv, bufring->tail);
}

#ifdef __cplusplus
}
#endif

#endif
