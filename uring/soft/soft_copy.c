/* soft_copy.c - copy lent memory despite AddressSanitizer's marks, by grains */
#include "soft_copy.h"

#ifdef WI_ASAN

static size_t grain_left(const void *memory)
{
	return WI_REGION_GRAIN - ((uintptr_t)memory & (WI_REGION_GRAIN - 1));
}

/* Or the first bytes of the grain are back and the rest is lent. At the end of
 * an object the next grain would be marked too. */
__attribute__((no_sanitize_address)) static bool is_lent(const void *memory)
{
	const volatile uint8_t *shadow = wi_region_shadow(memory);
	return shadow[0] == WI_SHADOW_LENT ||
	       (shadow[0] > 0 && shadow[0] < WI_REGION_GRAIN &&
		(shadow[1] == WI_SHADOW_LENT || shadow[1] < WI_REGION_GRAIN));
}

__attribute__((no_sanitize_address)) static uint8_t mark_swap(
	const void *memory, uint8_t mark)
{
	volatile uint8_t *shadow = wi_region_shadow(memory);
	const uint8_t before = shadow[0];
	shadow[0] = mark;
	return before;
}

/* At most up to the end of a grain, in @to and in @from. */
static void copy_grain(uint8_t *to, const uint8_t *from, size_t byte_count)
{
	const bool to_is_lent = is_lent(to);
	const bool from_is_lent = is_lent(from);
	const uint8_t to_mark = to_is_lent ? mark_swap(to, 0) : 0;
	const uint8_t from_mark = from_is_lent ? mark_swap(from, 0) : 0;

	memcpy(to, from, byte_count);
	if (from_is_lent)
		(void)mark_swap(from, from_mark);
	if (to_is_lent)
		(void)mark_swap(to, to_mark);
}

void wi_soft_copy(void *to_memory, const void *from_memory, size_t byte_count)
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

#endif
