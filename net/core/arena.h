/* arena.h - one block of memory per loop, carved at start, freed at the end
 *
 *     measure: wi_arena_add() each piece         (sizes only)
 *     open:    one mapping for the sum           (address space only)
 *     carve:   wi_arena_carve() in the same order
 *
 * The kernel provides zeroed pages on the first touch, so a generous piece
 * costs nothing until it is used.
 */
#ifndef WEIR_NET_ARENA_H
#define WEIR_NET_ARENA_H

#include "../../uring/kernel.h"

struct wi_arena {
	const struct weir_kernel *kernel;
	uint8_t *memory; /* owned: unmapped by wi_arena_close() */
	size_t bytes;
	size_t carved_bytes;
};

/* Adds a piece of @bytes to *@sum, rounded up as it will be carved. */
void wi_arena_add(size_t *sum, size_t bytes);

/* Return: 0, or -ENOMEM. */
int wi_arena_open(struct wi_arena *arena, const struct weir_kernel *kernel,
		  size_t bytes);

/* Page-aligned and zeroed; never fails for what was added. */
void *wi_arena_carve(struct wi_arena *arena, size_t bytes);

void wi_arena_close(struct wi_arena *arena);

#endif
