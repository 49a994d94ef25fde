/* soft_slots.h - the table of direct descriptors of a soft ring
 *
 *     slot --> file, or none; ALLOC searches on from the last one taken
 *
 * A file is a number chosen by the owner, which also counts the references.
 */
#ifndef WEIR_URING_SOFT_SLOTS_H
#define WEIR_URING_SOFT_SLOTS_H

#include <stdint.h>

enum { WI_SOFT_NO_FILE = -1 };

struct wi_soft_slots {
	int *files; /* the owner's, [count]; or WI_SOFT_NO_FILE */
	uint32_t count;
	uint32_t hint; /* ALLOC starts here */
};

/* An empty table of @count slots in @files. */
void wi_soft_slots_init(struct wi_soft_slots *slots, int *files,
			uint32_t count);

/* Puts @file into the next free slot. Return: the slot, or -ENFILE. */
int wi_soft_slots_take(struct wi_soft_slots *slots, int file);

/* The file in @slot; WI_SOFT_NO_FILE also beyond the table. */
static inline int wi_soft_slots_file(const struct wi_soft_slots *slots,
				     int32_t slot)
{
	return slot >= 0 && (uint32_t)slot < slots->count ? slots->files[slot]
							  : WI_SOFT_NO_FILE;
}

/* Puts @file, or WI_SOFT_NO_FILE, into @slot, which is within the table.
 * Return: the previous file; the caller now owns its reference. */
int wi_soft_slots_set(struct wi_soft_slots *slots, uint32_t slot, int file);

#endif
