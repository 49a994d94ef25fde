#include "soft_slots.h"

#include <assert.h>
#include <errno.h>

void wi_soft_slots_init(struct wi_soft_slots *slots, int *files, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		files[i] = WI_SOFT_NO_FILE;
	*slots = (struct wi_soft_slots){ .files = files, .count = count };
}

int wi_soft_slots_take(struct wi_soft_slots *slots, int file)
{
	for (uint32_t i = 0; i < slots->count; i++) {
		const uint32_t slot = (slots->hint + i) % slots->count;
		if (slots->files[slot] == WI_SOFT_NO_FILE) {
			slots->files[slot] = file;
			slots->hint = slot + 1;
			return (int)slot;
		}
	}
	return -ENFILE;
}

int wi_soft_slots_set(struct wi_soft_slots *slots, uint32_t slot, int file)
{
	assert(slot < slots->count);
	const int before = slots->files[slot];
	slots->files[slot] = file;
	return before;
}
