/* poison.h - tell AddressSanitizer what our own pools have free
 *
 * Nothing without it. Memory that malloc did not hand out is invisible to it
 * otherwise.
 */
#ifndef WEIR_NET_POISON_H
#define WEIR_NET_POISON_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define WI_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WI_ASAN 1
#endif
#endif

#ifdef WI_ASAN
#include <sanitizer/asan_interface.h>
static inline void wi_poison(const void *memory, size_t bytes)
{
	__asan_poison_memory_region(memory, bytes);
}
static inline void wi_unpoison(const void *memory, size_t bytes)
{
	__asan_unpoison_memory_region(memory, bytes);
}
#else
static inline void wi_poison(const void *memory, size_t bytes)
{
	(void)memory;
	(void)bytes;
}
static inline void wi_unpoison(const void *memory, size_t bytes)
{
	(void)memory;
	(void)bytes;
}
#endif

#endif
