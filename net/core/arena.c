#include "arena.h"

#include "../../uring/annotate.h"

#include <assert.h>

enum { PAGE_BYTES = 4096 };

static size_t arena_round(size_t bytes)
{
	return (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

void wi_arena_add(size_t *sum, size_t bytes)
{
	*sum += arena_round(bytes);
}

int wi_arena_open(struct wi_arena *arena, const struct weir_kernel *kernel,
		  size_t bytes)
{
	void *memory = NULL;
	*arena = (struct wi_arena){ .kernel = kernel };
	int err = kernel->map(kernel->ctx, bytes, -1, 0, &memory);
	if (err < 0)
		return err;
	arena->memory = memory;
	arena->bytes = bytes;
	return 0;
}

void *wi_arena_carve(struct wi_arena *arena, size_t bytes)
{
	assert(arena->carved_bytes + arena_round(bytes) <= arena->bytes);
	void *piece = arena->memory + arena->carved_bytes;
	arena->carved_bytes += arena_round(bytes);
	return piece;
}

void wi_arena_close(struct wi_arena *arena)
{
	assert(arena->memory != NULL);
	/* The addresses may be mapped for another use next. */
	wi_region_unpoison(arena->memory, arena->bytes);
	(void)arena->kernel->unmap(arena->kernel->ctx, arena->memory,
				   arena->bytes);
	arena->memory = NULL;
}
