/* soft_group.h - groups of provided buffers, as a kernel sees them
 *
 *     head (the kernel's) ....... tail (the program's, in entry 0)
 *      |  lent to the kernel        |
 *
 * take() returns buffers but leaves them in the ring; commit() removes those
 * that were used. On an incremental ring the head entry shrinks until it is
 * used up. It follows io_uring/kbuf.c of the kernel.
 */
#ifndef WEIR_URING_SOFT_GROUP_H
#define WEIR_URING_SOFT_GROUP_H

#include "../abi.h"

#include <stdbool.h>
#include <sys/uio.h>

enum {
	WI_SOFT_GROUPS = 4,
	WI_SOFT_GROUP_ENTRIES_MAX = 32768,
	WI_SOFT_PIECES = 32, /* most buffers of one operation */
};

struct wi_soft_group {
	bool is_used;
	bool is_incremental;
	uint16_t id;
	uint16_t head;
	uint32_t entry_count;
	uint32_t min_left;
	struct io_uring_buf *ring; /* the program's */
	uint16_t seen;             /* entries before this one are in ids: */
	uint64_t ids[1024];        /* a bit for each buffer in the ring */
};

/* All groups of a ring. */
struct wi_soft_groups {
	struct wi_soft_group list[WI_SOFT_GROUPS];
};

void wi_soft_groups_init(struct wi_soft_groups *groups);

/* IORING_REGISTER_PBUF_RING with the program's own memory (without MMAP).
 * Return: 0; -EINVAL, -EFAULT, -EEXIST; -ENOMEM beyond WI_SOFT_GROUPS. */
int wi_soft_group_register(struct wi_soft_groups *groups,
			   const struct io_uring_buf_reg *reg);

/* Return: 0; -ENOENT. */
int wi_soft_group_unregister(struct wi_soft_groups *groups,
			     const struct io_uring_buf_reg *reg);
int wi_soft_group_status(struct wi_soft_groups *groups,
			 struct io_uring_buf_status *status);

/* NULL: no such group. */
struct wi_soft_group *wi_soft_group_find(struct wi_soft_groups *groups,
					 uint16_t id);

/* Checks the buffers lent since the last call: a buffer lent twice has two
 * owners, although a kernel would not notice. Return: the fault in words, or
 * NULL. */
const char *wi_soft_group_check(struct wi_soft_group *group);

/* The buffer at the head, still in the ring; NULL: none. */
const struct io_uring_buf *wi_soft_group_peek(
	const struct wi_soft_group *group);

enum wi_soft_take_mode {
	WI_SOFT_TAKE_ONE,
	WI_SOFT_TAKE_MANY /* a bundle */
};

struct wi_soft_take {
	struct iovec iov[WI_SOFT_PIECES];
	uint32_t count;
	uint32_t bytes;
	uint16_t id;  /* of the first */
	bool is_last; /* the group has no more */
	bool is_cut;  /* the requested size cut the last one */
};

/* Finds buffers for up to @max_bytes; if that is 0 (unknown), @guess buffers.
 * Return: 0; -ENOBUFS. */
int wi_soft_group_take(const struct wi_soft_group *group, uint32_t max_bytes,
		       enum wi_soft_take_mode mode, uint32_t guess,
		       struct wi_soft_take *out_take);

/* Removes the used buffers: @bytes in @count of them. Return: false if the last
 * one still has room (incremental): IORING_CQE_F_BUF_MORE. */
bool wi_soft_group_commit(struct wi_soft_group *group, uint32_t bytes,
			  uint32_t count);

/* The flags of a completion that reports buffer @id. */
static inline uint32_t wi_soft_group_flags(uint16_t id, bool goes_on)
{
	return IORING_CQE_F_BUFFER | (goes_on ? IORING_CQE_F_BUF_MORE : 0) |
	       (uint32_t)id << IORING_CQE_BUFFER_SHIFT;
}

#endif
