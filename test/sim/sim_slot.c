/* sim_slot.c - the table of direct descriptors of a ring
 *
 *     slot --> file, or none; ALLOC goes round from the last one taken
 */
#include "sim_priv.h"

#include <errno.h>

enum { SLOT_EMPTY = -1, SLOT_KEEP = -2 };

int sim_slots_register(struct sim_ring *ring, const void *arg)
{
	const struct io_uring_rsrc_register *table = arg;
	if (ring->slot_count > 0)
		return -EBUSY;
	if (table->nr > SIM_SLOTS)
		return -EMFILE;
	for (uint32_t i = 0; i < table->nr; i++)
		ring->slots[i] = SIM_NONE;
	ring->slot_count = table->nr;
	return 0;
}

/* As __io_sqe_files_update(): up to the first that is refused. */
int sim_slots_update(struct weir_sim *sim, struct sim_ring *ring,
		     const void *arg, uint32_t count)
{
	const struct io_uring_rsrc_update *update = arg;
	const int32_t *fds = (const void *)(uintptr_t)update->data;
	uint32_t done = 0;

	if (ring->slot_count == 0)
		return -ENXIO;
	if (count == 0 || count > ring->slot_count ||
	    update->offset > ring->slot_count - count)
		return -EINVAL;
	for (; done < count; done++) {
		int *slot = &ring->slots[update->offset + done];
		const int file = sim_fd_file(sim, fds[done]);
		if (fds[done] == SLOT_KEEP)
			continue;
		if (*slot != SIM_NONE)
			sim_file_drop(sim, *slot);
		*slot = SIM_NONE;
		if (fds[done] == SLOT_EMPTY)
			continue;
		if (file == SIM_NONE || sim->files[file].kind == SIM_RING)
			return done > 0 ? (int)done : -EBADF;
		sim_file_hold(sim, file);
		*slot = file;
	}
	return (int)done;
}

int sim_slot_take(struct sim_ring *ring, int file)
{
	for (uint32_t i = 0; i < ring->slot_count; i++) {
		const uint32_t slot = (ring->slot_hint + i) % ring->slot_count;
		if (ring->slots[slot] == SIM_NONE) {
			ring->slots[slot] = file;
			ring->slot_hint = slot + 1;
			return (int)slot;
		}
	}
	return -ENFILE;
}

int sim_slot_file(const struct sim_ring *ring, int32_t slot)
{
	return slot >= 0 && (uint32_t)slot < ring->slot_count
		       ? ring->slots[slot]
		       : SIM_NONE;
}
