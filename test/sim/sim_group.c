/* sim_group.c - groups of provided buffers
 *
 *     head (ours) ....... tail (the program's, in entry 0)
 *      |  lent to us        |
 */
#include "sim_priv.h"

#include <errno.h>

int sim_group_register(struct sim_ring *ring, const void *arg)
{
	const struct io_uring_buf_reg *reg = arg;
	if (reg->flags != 0)
		return -EINVAL; /* incremental ones are not simulated yet */
	for (int i = 0; i < SIM_GROUPS; i++) {
		struct sim_group *group = &ring->groups[i];
		if (group->is_used)
			continue;
		*group = (struct sim_group){
			.is_used = true,
			.id = reg->bgid,
			.ring = (void *)(uintptr_t)reg->ring_addr,
			.entry_count = reg->ring_entries,
		};
		return 0;
	}
	return -ENOMEM;
}

int sim_group_unregister(struct sim_ring *ring, const void *arg)
{
	const struct io_uring_buf_reg *reg = arg;
	for (int i = 0; i < SIM_GROUPS; i++)
		if (ring->groups[i].is_used &&
		    ring->groups[i].id == reg->bgid) {
			ring->groups[i].is_used = false;
			return 0;
		}
	return -EINVAL;
}

struct sim_group *sim_group_find(struct sim_ring *ring, uint16_t id)
{
	for (int i = 0; i < SIM_GROUPS; i++)
		if (ring->groups[i].is_used && ring->groups[i].id == id)
			return &ring->groups[i];
	return NULL;
}

/* The next one, still in the ring; NULL: none. */
const struct io_uring_buf *sim_group_peek(const struct sim_group *group)
{
	const uint16_t tail =
		__atomic_load_n(&group->ring[0].resv, __ATOMIC_ACQUIRE);
	if (tail == group->head)
		return NULL;
	return &group->ring[group->head & (group->entry_count - 1)];
}

void sim_op_haunt(struct weir_sim *sim, int ring)
{
	struct sim_group *group = &sim->rings[ring].groups[0];
	const uint32_t which = weir_tape_below(sim->tape, sim->dead_count);
	const uint64_t token = sim->dead_tokens[which];
	const struct io_uring_buf *buf =
		group->is_used && weir_tape_below(sim->tape, 2) == 1
			? sim_group_peek(group)
			: NULL;

	sim->dead_tokens[which] = sim->dead_tokens[--sim->dead_count];
	weir_sim_note(sim, "fault: a completion for %016llx, which is gone",
		      (unsigned long long)token);
	if (buf == NULL) {
		(void)sim_ring_post(sim, ring, token, -ECANCELED, 0, false);
		return;
	}
	const uint32_t id = buf->bid;
	group->head++;
	(void)sim_ring_post(sim, ring, token, 1,
			    IORING_CQE_F_BUFFER | id << IORING_CQE_BUFFER_SHIFT,
			    false);
}
