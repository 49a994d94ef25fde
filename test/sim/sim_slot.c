/* sim_slot.c - the table of direct descriptors of a ring
 *
 *     slot --> file, or none; ALLOC goes round from the last one taken
 */
#include "sim_priv.h"

#include <errno.h>

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
