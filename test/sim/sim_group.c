/* sim_group.c - groups of provided buffers
 *
 *     head (ours) ....... tail (the program's, in entry 0)
 *      |  lent to us        |
 *
 * As io_uring/kbuf.c does it: peek shows buffers, commit takes them. On an
 * incremental ring the entry at the head shrinks until it is used up.
 */
#include "sim_priv.h"

#include <errno.h>

enum { ENTRIES_MAX = 32768, PAGE_MASK = 4095 };

int sim_group_register(struct sim_ring *ring, const void *arg)
{
	const struct io_uring_buf_reg *reg = arg;
	struct sim_group *group = NULL;

	if ((reg->flags & ~(uint32_t)IOU_PBUF_RING_INC) != 0)
		return -EINVAL; /* MMAP is not simulated */
	if (reg->min_left != 0 && (reg->flags & IOU_PBUF_RING_INC) == 0)
		return -EINVAL;
	if (reg->ring_entries == 0 || reg->ring_entries > ENTRIES_MAX ||
	    (reg->ring_entries & (reg->ring_entries - 1)) != 0)
		return -EINVAL;
	if (reg->ring_addr == 0)
		return -EFAULT;
	if ((reg->ring_addr & PAGE_MASK) != 0)
		return -EINVAL;
	if (sim_group_find(ring, reg->bgid) != NULL)
		return -EEXIST;
	for (int i = 0; i < SIM_GROUPS && group == NULL; i++)
		if (!ring->groups[i].is_used)
			group = &ring->groups[i];
	if (group == NULL)
		return -ENOMEM;
	*group = (struct sim_group){
		.is_used = true,
		.is_incremental = (reg->flags & IOU_PBUF_RING_INC) != 0,
		.id = reg->bgid,
		.ring = (void *)(uintptr_t)reg->ring_addr,
		.entry_count = reg->ring_entries,
		.min_left = reg->min_left,
	};
	return 0;
}

int sim_group_unregister(struct sim_ring *ring, const void *arg)
{
	const struct io_uring_buf_reg *reg = arg;
	struct sim_group *group = sim_group_find(ring, reg->bgid);
	if (group == NULL)
		return -ENOENT;
	group->is_used = false;
	return 0;
}

int sim_group_status(struct sim_ring *ring, void *arg)
{
	struct io_uring_buf_status *status = arg;
	const struct sim_group *group =
		sim_group_find(ring, (uint16_t)status->buf_group);
	if (group == NULL)
		return -ENOENT;
	status->head = group->head;
	return 0;
}

struct sim_group *sim_group_find(struct sim_ring *ring, uint16_t id)
{
	for (int i = 0; i < SIM_GROUPS; i++)
		if (ring->groups[i].is_used && ring->groups[i].id == id)
			return &ring->groups[i];
	return NULL;
}

static struct io_uring_buf *group_entry(const struct sim_group *group,
					uint16_t at)
{
	return &group->ring[at & (group->entry_count - 1)];
}

static uint16_t group_tail(const struct sim_group *group)
{
	return __atomic_load_n(&group->ring[0].resv, __ATOMIC_ACQUIRE);
}

/* A kernel does not care; but whoever lends a buffer twice has two owners for
 * it. */
static void group_look(struct weir_sim *sim, struct sim_group *group)
{
	const uint16_t tail = group_tail(group);
	if ((uint16_t)(tail - group->head) > group->entry_count) {
		weir_sim_violate(sim, "more buffers are lent than the ring "
				      "holds");
		return;
	}
	for (; group->seen != tail; group->seen++) {
		const uint16_t id = group_entry(group, group->seen)->bid;
		uint64_t *word = &group->ids[id / 64];
		if ((*word & UINT64_C(1) << id % 64) != 0)
			weir_sim_violate(sim, "a buffer is in the ring twice");
		*word |= UINT64_C(1) << id % 64;
	}
}

/* The one at the head is out of the ring. */
static void group_pass(struct sim_group *group)
{
	const uint16_t id = group_entry(group, group->head++)->bid;
	group->ids[id / 64] &= ~(UINT64_C(1) << id % 64);
}

const struct io_uring_buf *sim_group_peek(struct weir_sim *sim,
					  struct sim_group *group)
{
	group_look(sim, group);
	return group_tail(group) == group->head
		       ? NULL
		       : group_entry(group, group->head);
}

/* How many of the entries it looks at. */
static uint32_t peek_count(const struct sim_group *group, uint32_t available,
			   uint32_t max_bytes, uint32_t guess)
{
	const uint32_t bytes = group_entry(group, group->head)->len;
	uint32_t count = available;
	uint32_t needed = guess;
	if (max_bytes != 0 && bytes != 0)
		needed = max_bytes / bytes + (max_bytes % bytes != 0);
	if (needed < count)
		count = needed;
	return count < SIM_IOVS ? count : SIM_IOVS;
}

/* io_ring_buffers_peek() and io_ring_buffer_select() in one. */
int sim_group_take(struct weir_sim *sim, struct sim_group *group,
		   uint32_t max_bytes, enum sim_take_mode mode, uint32_t guess,
		   struct sim_take *out_take)
{
	const uint16_t available = (uint16_t)(group_tail(group) - group->head);
	const bool is_many = mode != SIM_TAKE_ONE;
	uint16_t at = group->head;

	*out_take = (struct sim_take){ .count = 0 };
	group_look(sim, group);
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
			.iov_base = (void *)(uintptr_t)buf->addr,
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

/* io_kbuf_inc_commit(). Return: the last one touched is used up. */
static bool commit_bytes(struct sim_group *group, uint32_t bytes)
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

bool sim_group_commit(struct sim_group *group, uint32_t bytes, uint32_t count)
{
	if (group->is_incremental)
		return commit_bytes(group, bytes);
	while (count-- > 0)
		group_pass(group);
	return true;
}

void sim_op_haunt(struct weir_sim *sim, int ring)
{
	struct sim_group *group = &sim->rings[ring].groups[0];
	const uint32_t which = weir_tape_below(sim->tape, sim->dead_count);
	const uint64_t token = sim->dead_tokens[which];
	if (sim->dead_rings[which] != ring)
		return; /* it haunts another */
	const struct io_uring_buf *buf =
		group->is_used && !group->is_incremental &&
				weir_tape_below(sim->tape, 2) == 1
			? sim_group_peek(sim, group)
			: NULL;

	sim->dead_rings[which] = sim->dead_rings[--sim->dead_count];
	sim->dead_tokens[which] = sim->dead_tokens[sim->dead_count];
	weir_sim_note(sim, "fault: a completion for %016llx, which is gone",
		      (unsigned long long)token);
	if (buf == NULL) {
		(void)sim_ring_post(sim, ring, token, -ECANCELED, 0, false);
		return;
	}
	const uint32_t id = buf->bid;
	group_pass(group);
	(void)sim_ring_post(sim, ring, token, 1,
			    IORING_CQE_F_BUFFER | id << IORING_CQE_BUFFER_SHIFT,
			    false);
}
