/* region.h - memory that the kernel owns, and what it wrote there
 *
 *     ours --lend--> the kernel's --back, wrote--> ours
 *       ^                                            |
 *       +---- given up: nobody's, until taken -------+
 *
 * The sanitizers cannot look into the kernel. So where memory is handed to it,
 * and where it comes back, they are told here:
 *
 *     AddressSanitizer   who touches what is lent, or given up, is reported
 *     MemorySanitizer,   what the kernel is to send was written; what it is to
 *     memcheck           fill was not, until it says how much it has filled
 *
 * In any other build all of this is nothing. A region is lent in grains of
 * eight bytes: a grain that it does not fill is left alone.
 *
 * Not here: order between threads (handover.h).
 */
#ifndef WEIR_URING_REGION_H
#define WEIR_URING_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define WI_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WI_ASAN 1
#endif
#if __has_feature(memory_sanitizer)
#define WI_MSAN 1
#endif
#endif

/* -Ddebug_regions=true: sums of what is lent, compared when it comes back. */
#ifndef WI_DEBUG_REGIONS
#define WI_DEBUG_REGIONS 0
#endif

#ifdef WI_ASAN
#include <sanitizer/asan_interface.h>
#endif
#ifdef WI_MSAN
#include <sanitizer/msan_interface.h>
#endif
#ifdef WI_VALGRIND
#include <valgrind/memcheck.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Somebody watches: a walk over a list of regions is worth its time. */
#if defined(WI_ASAN) || defined(WI_MSAN) || defined(WI_VALGRIND)
#define WI_REGIONS_WATCHED 1
#else
#define WI_REGIONS_WATCHED 0
#endif

enum { WI_REGION_GRAIN = 8 };

#ifdef WI_ASAN

/* What AddressSanitizer keeps of eight bytes: lent is what its own interface
 * writes, given up what it writes for a freed block of the heap. So the
 * simulated kernel can tell them apart (soft/soft_copy.c). */
enum {
	WI_SHADOW_LENT = 0xf7,
	WI_SHADOW_GIVEN_UP = 0xfd,
};

void __asan_get_shadow_mapping(size_t *scale, size_t *offset);

static inline volatile uint8_t *wi_region_shadow(const void *memory)
{
	size_t scale = 0;
	size_t offset = 0;
	__asan_get_shadow_mapping(&scale, &offset);
	return (volatile uint8_t *)(((uintptr_t)memory >> scale) + offset);
}

static inline void wi_region_poison(const void *memory, size_t bytes)
{
	const uintptr_t grains = ~(uintptr_t)(WI_REGION_GRAIN - 1);
	const uintptr_t begin =
		((uintptr_t)memory + WI_REGION_GRAIN - 1) & grains;
	const uintptr_t end = ((uintptr_t)memory + bytes) & grains;
	if (end > begin)
		__asan_poison_memory_region((void *)begin, end - begin);
}

static inline void wi_region_unpoison(const void *memory, size_t bytes)
{
	__asan_unpoison_memory_region(memory, bytes);
}

/* The shadow itself must be written by code that is not instrumented. */
__attribute__((no_sanitize_address)) static inline void wi_region_mark(
	const void *memory, size_t bytes, uint8_t mark)
{
	volatile uint8_t *shadow = wi_region_shadow(memory);
	for (size_t i = 0; i < bytes / WI_REGION_GRAIN; i++)
		shadow[i] = mark;
}

#else

static inline void wi_region_poison(const void *memory, size_t bytes)
{
	(void)memory;
	(void)bytes;
}

static inline void wi_region_unpoison(const void *memory, size_t bytes)
{
	(void)memory;
	(void)bytes;
}

#endif

/* Contents: written; or nobody has written them yet. */
static inline void wi_region_defined(const void *memory, size_t bytes)
{
	(void)memory;
	(void)bytes;
#ifdef WI_MSAN
	__msan_unpoison(memory, bytes);
#endif
#ifdef WI_VALGRIND
	(void)VALGRIND_MAKE_MEM_DEFINED(memory, bytes);
#endif
}

static inline void wi_region_undefined(const void *memory, size_t bytes)
{
	(void)memory;
	(void)bytes;
#ifdef WI_MSAN
	__msan_poison(memory, bytes);
#endif
#ifdef WI_VALGRIND
	(void)VALGRIND_MAKE_MEM_UNDEFINED(memory, bytes);
#endif
}

/* The kernel is to read it, and perhaps to show it to others: every byte must
 * have been written. */
static inline void wi_lend_to_read(const void *memory, size_t bytes)
{
#ifdef WI_MSAN
	__msan_check_mem_is_initialized(memory, bytes);
#endif
#ifdef WI_VALGRIND
	(void)VALGRIND_CHECK_MEM_IS_DEFINED(memory, bytes);
#endif
	wi_region_poison(memory, bytes);
}

/* The kernel is to fill it. */
static inline void wi_lend_to_fill(const void *memory, size_t bytes)
{
	wi_region_undefined(memory, bytes);
	wi_region_poison(memory, bytes);
}

/* What was lent to be read is ours again, as it was. */
static inline void wi_region_back(const void *memory, size_t bytes)
{
	wi_region_unpoison(memory, bytes);
}

/* The kernel has filled it, and it is ours. */
static inline void wi_kernel_wrote(const void *memory, size_t bytes)
{
	wi_region_unpoison(memory, bytes);
	wi_region_defined(memory, bytes);
}

/* Nobody's, until it is taken again; whole grains. */
static inline void wi_region_give_up(const void *memory, size_t bytes)
{
	wi_region_undefined(memory, bytes);
#ifdef WI_ASAN
	wi_region_mark(memory, bytes, WI_SHADOW_GIVEN_UP);
#endif
}

static inline void wi_region_take(const void *memory, size_t bytes)
{
	wi_region_unpoison(memory, bytes);
	wi_region_undefined(memory, bytes);
}

#ifdef __cplusplus
}
#endif

#endif
