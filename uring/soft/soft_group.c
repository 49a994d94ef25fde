#include "soft_group.h"

#include "../barrier.h"

#include <errno.h>
#include <limits.h>

enum { PAGE_MASK = 4095 };

/* The program passed a pointer as a number. */
static void *group_memory(uint64_t address)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
	return (void *)(uintptr_t)address;
}

void wi_soft_groups_init(struct wi_soft_groups *groups)
{
	for (int i = 0; i < WI_SOFT_GROUPS; i++)
		groups->list[i].is_used = false;
}

int wi_soft_group_register(struct wi_soft_groups *groups,
			   const struct io_uring_buf_reg *reg)
{
	struct wi_soft_group *group = NULL;

	if ((reg->flags & ~(uint32_t)IOU_PBUF_RING_INC) != 0)
		return -EINVAL; /* no MMAP */
	if (reg->min_left != 0 && (reg->flags & IOU_PBUF_RING_INC) == 0)
		return -EINVAL;
	if (reg->ring_entries == 0 ||
	    reg->ring_entries > WI_SOFT_GROUP_ENTRIES_MAX ||
	    (reg->ring_entries & (reg->ring_entries - 1)) != 0)
		return -EINVAL;
	if (reg->ring_addr == 0)
		return -EFAULT;
	if ((reg->ring_addr & PAGE_MASK) != 0)
		return -EINVAL;
	if (wi_soft_group_find(groups, reg->bgid) != NULL)
		return -EEXIST;
	for (int i = 0; i < WI_SOFT_GROUPS && group == NULL; i++)
		if (!groups->list[i].is_used)
			group = &groups->list[i];
	if (group == NULL)
		return -ENOMEM;
	*group = (struct wi_soft_group){
		.is_used = true,
		.is_incremental = (reg->flags & IOU_PBUF_RING_INC) != 0,
		.id = reg->bgid,
		.ring = group_memory(reg->ring_addr),
		.entry_count = reg->ring_entries,
		.min_left = reg->min_left,
	};
	return 0;
}

int wi_soft_group_unregister(struct wi_soft_groups *groups,
			     const struct io_uring_buf_reg *reg)
{
	struct wi_soft_group *group = wi_soft_group_find(groups, reg->bgid);
	if (group == NULL)
		return -ENOENT;
	group->is_used = false;
	return 0;
}

int wi_soft_group_status(struct wi_soft_groups *groups,
			 struct io_uring_buf_status *status)
{
	const struct wi_soft_group *group =
		wi_soft_group_find(groups, (uint16_t)status->buf_group);
	if (group == NULL)
		return -ENOENT;
	status->head = group->head;
	return 0;
}

struct wi_soft_group *wi_soft_group_find(struct wi_soft_groups *groups,
					 uint16_t id)
{
	for (int i = 0; i < WI_SOFT_GROUPS; i++)
		if (groups->list[i].is_used && groups->list[i].id == id)
			return &groups->list[i];
	return NULL;
}

static struct io_uring_buf *group_entry(const struct wi_soft_group *group,
					uint16_t at)
{
	return &group->ring[at & (group->entry_count - 1)];
}

static uint16_t group_tail(const struct wi_soft_group *group)
{
	return wi_load_acquire_u16(&group->ring[0].resv);
}

const char *wi_soft_group_check(struct wi_soft_group *group)
{
	const uint16_t tail = group_tail(group);
	const char *wrong = NULL;
	if ((uint16_t)(tail - group->head) > group->entry_count)
		return "more buffers are lent than the ring holds";
	for (; group->seen != tail; group->seen++) {
		const uint16_t id = group_entry(group, group->seen)->bid;
		uint64_t *word = &group->ids[id / 64];
		if ((*word & UINT64_C(1) << id % 64) != 0)
			wrong = "a buffer is in the ring twice";
		*word |= UINT64_C(1) << id % 64;
	}
	return wrong;
}

/* Removes the head entry from the ring. */
static void group_pass(struct wi_soft_group *group)
{
	const uint16_t id = group_entry(group, group->head++)->bid;
	group->ids[id / 64] &= ~(UINT64_C(1) << id % 64);
}

const struct io_uring_buf *wi_soft_group_peek(const struct wi_soft_group *group)
{
	return group_tail(group) == group->head
		       ? NULL
		       : group_entry(group, group->head);
}

/* How many entries the kernel looks at. */
static uint32_t peek_count(const struct wi_soft_group *group,
			   uint32_t available, uint32_t max_bytes,
			   uint32_t guess)
{
	const uint32_t bytes = group_entry(group, group->head)->len;
	uint32_t count = available;
	uint32_t needed = guess;
	if (max_bytes != 0 && bytes != 0)
		needed = max_bytes / bytes + (max_bytes % bytes != 0);
	if (needed < count)
		count = needed;
	return count < WI_SOFT_PIECES ? count : WI_SOFT_PIECES;
}

/* io_ring_buffers_peek() and io_ring_buffer_select() in one. */
int wi_soft_group_take(const struct wi_soft_group *group, uint32_t max_bytes,
		       enum wi_soft_take_mode mode, uint32_t guess,
		       struct wi_soft_take *out_take)
{
	const uint16_t available = (uint16_t)(group_tail(group) - group->head);
	const bool is_many = mode != WI_SOFT_TAKE_ONE;
	uint16_t at = group->head;

	*out_take = (struct wi_soft_take){ .count = 0 };
	if (available == 0)
		return -ENOBUFS;
	uint32_t count =
		is_many ? peek_count(group, available, max_bytes, guess) : 1;
	if (max_bytes == 0)
		max_bytes = INT_MAX;
	out_take->id = group_entry(group, at)->bid;
	while (count-- > 0) {
		struct io_uring_buf *buf = group_entry(group, at);
		uint32_t bytes = buf->len;
		if (bytes > max_bytes) {
			bytes = max_bytes;
			if (is_many && !group->is_incremental) {
				out_take->is_cut = true;
				if (out_take->count > 0)
					break;
			}
		}
		out_take->iov[out_take->count++] = (struct iovec){
			.iov_base = group_memory(buf->addr),
			.iov_len = bytes,
		};
		out_take->bytes += bytes;
		max_bytes -= bytes;
		if (is_many && max_bytes == 0)
			break;
		at++;
	}
	out_take->is_last = at == group_tail(group);
	return 0;
}

/* io_kbuf_inc_commit(). Return: true if the last buffer is used up. */
static bool commit_bytes(struct wi_soft_group *group, uint32_t bytes)
{
	if (bytes == 0)
		return false;
	while (bytes > 0) {
		struct io_uring_buf *buf = group_entry(group, group->head);
		const uint32_t here = bytes < buf->len ? bytes : buf->len;
		const uint32_t left = buf->len - here;
		if ((left > 0 && left >= group->min_left) || here == 0) {
			buf->addr += here;
			buf->len = left;
			return false;
		}
		buf->len = 0;
		group_pass(group);
		bytes -= here;
	}
	return true;
}

bool wi_soft_group_commit(struct wi_soft_group *group, uint32_t bytes,
			  uint32_t count)
{
	if (group->is_incremental)
		return commit_bytes(group, bytes);
	while (count-- > 0)
		group_pass(group);
	return true;
}
