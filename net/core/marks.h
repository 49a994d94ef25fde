/* marks.h - slots that have work for the flush of the next turn
 *
 *     list:  | 7 | 2 | 9 |      completions and handlers add to it
 *     spare: | 4 | 1 |          the flush walks it; what it marks is in list
 *
 * The owner of a slot remembers that the slot is listed, so it is listed once.
 */
#ifndef WEIR_NET_CORE_MARKS_H
#define WEIR_NET_CORE_MARKS_H

#include <stdint.h>

struct wi_marks {
	uint32_t *list;  /* borrowed: shape [slot_count] */
	uint32_t *spare; /* borrowed: shape [slot_count] */
	uint32_t count;
};

static inline void wi_marks_add(struct wi_marks *marks, uint32_t slot_index)
{
	marks->list[marks->count++] = slot_index;
}

/* Takes the whole list, which is empty afterwards. The result is valid until
 * the next call. */
static inline const uint32_t *wi_marks_take(struct wi_marks *marks,
					    uint32_t *out_count)
{
	uint32_t *walk = marks->list;
	*out_count = marks->count;
	marks->list = marks->spare;
	marks->spare = walk;
	marks->count = 0;
	return walk;
}

#endif
