#include "alloc_watch.h"

#include <stddef.h>
#include <stdlib.h>

static _Thread_local struct {
	bool is_on;
	bool for_ever;
	uint64_t fail_at;
	uint64_t calls;
} alloc_state;

void alloc_watch_start(uint64_t fail_at, bool for_ever)
{
	alloc_state.calls = 0;
	alloc_state.fail_at = fail_at;
	alloc_state.for_ever = for_ever;
	alloc_state.is_on = true;
}

uint64_t alloc_watch_stop(void)
{
	alloc_state.is_on = false;
	return alloc_state.calls;
}

static bool alloc_fails(void)
{
	if (!alloc_state.is_on)
		return false;
	alloc_state.calls++;
	return alloc_state.fail_at != 0 &&
	       (alloc_state.calls == alloc_state.fail_at ||
		(alloc_state.for_ever &&
		 alloc_state.calls > alloc_state.fail_at));
}

/* NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming) */
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
	return alloc_fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return alloc_fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
	return alloc_fails() ? NULL : __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
	return alloc_fails() ? NULL : __real_aligned_alloc(alignment, bytes);
}
/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */
