#include "sim_copy.h"

#include "../../uring/region.h"

#include <string.h>

#ifdef WI_ASAN

static size_t grain_left(const void *memory)
{
	return WI_REGION_GRAIN - ((uintptr_t)memory & (WI_REGION_GRAIN - 1));
}

__attribute__((no_sanitize_address)) static bool is_lent(const void *memory)
{
	return *wi_region_shadow(memory) == WI_SHADOW_LENT;
}

/* At most up to the end of a grain, on either side. */
static void copy_grain(uint8_t *to, const uint8_t *from, size_t byte_count)
{
	const bool to_is_lent = is_lent(to);
	const bool from_is_lent = is_lent(from);
	uint8_t *to_grain = to + grain_left(to) - WI_REGION_GRAIN;
	const uint8_t *from_grain = from + grain_left(from) - WI_REGION_GRAIN;

	if (to_is_lent)
		wi_region_unpoison(to_grain, WI_REGION_GRAIN);
	if (from_is_lent)
		wi_region_unpoison(from_grain, WI_REGION_GRAIN);
	memcpy(to, from, byte_count);
	if (to_is_lent)
		wi_region_poison(to_grain, WI_REGION_GRAIN);
	if (from_is_lent)
		wi_region_poison(from_grain, WI_REGION_GRAIN);
}

void sim_copy(void *to_memory, const void *from_memory, size_t byte_count)
{
	uint8_t *to = to_memory;
	const uint8_t *from = from_memory;
	while (byte_count > 0) {
		size_t bytes = grain_left(to);
		if (bytes > grain_left(from))
			bytes = grain_left(from);
		if (bytes > byte_count)
			bytes = byte_count;
		copy_grain(to, from, bytes);
		to += bytes;
		from += bytes;
		byte_count -= bytes;
	}
}

#else

void sim_copy(void *to, const void *from, size_t byte_count)
{
	if (byte_count > 0) /* a send of nothing has no address */
		memcpy(to, from, byte_count);
}

#endif
