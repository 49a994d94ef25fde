/* annotate.h - what weir reports to sanitizers and valgrind about the kernel
 *
 * Private. It is installed because the inline calls of ring_inline.h, bufring.h
 * and barrier.h need it; a user's program calls nothing here.
 *
 * These tools cannot see the kernel, and valgrind takes an atomic access for a
 * plain one. So weir marks where memory is lent and taken back, where one
 * thread passes data to another through the kernel, and each atomic word:
 *
 *     AddressSanitizer   reports an access to memory that is lent, or free
 *     MemorySanitizer,   report lent bytes that were never written; know what
 *     memcheck           the kernel has filled
 *     ThreadSanitizer,   know the order that a message through the kernel makes
 *     helgrind, DRD
 *
 * -Db_sanitize sets WI_ANNOTATE and -Dvalgrind=true sets WI_VALGRIND, for the
 * library and for all code compiled against it: both sides of an inline call
 * must agree. In any other build these calls are empty.
 */
#ifndef WEIR_URING_ANNOTATE_H
#define WEIR_URING_ANNOTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef WI_ANNOTATE
#if defined(__SANITIZE_ADDRESS__)
#define WI_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define WI_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WI_ASAN 1
#elif __has_feature(memory_sanitizer)
#define WI_MSAN 1
#elif __has_feature(thread_sanitizer)
#define WI_TSAN 1
#endif
#endif
#endif

#ifdef WI_ASAN
#include <sanitizer/asan_interface.h>
#endif
#ifdef WI_MSAN
#include <sanitizer/msan_interface.h>
#endif
#ifdef WI_VALGRIND
#include <valgrind/helgrind.h>
#include <valgrind/memcheck.h>
/* After helgrind.h: drd.h skips the names that both define. */
#include <valgrind/drd.h>
#endif

/* -Ddebug_regions=true: checksum lent memory, and compare when it returns. */
#ifndef WI_DEBUG_REGIONS
#define WI_DEBUG_REGIONS 0
#endif

/* A memory checker runs: walking a list of regions is worth the time. */
#if defined(WI_ASAN) || defined(WI_MSAN) || defined(WI_VALGRIND)
#define WI_REGIONS_WATCHED 1
#else
#define WI_REGIONS_WATCHED 0
#endif

/* A race detector runs. */
#if defined(WI_TSAN) || defined(WI_VALGRIND)
#define WI_HANDOVERS_WATCHED 1
#else
#define WI_HANDOVERS_WATCHED 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- memory that the kernel owns -----------------------------------------
 *
 *     ours --lend--> the kernel's --back, wrote--> ours
 *       ^                                            |
 *       +------ take -------- free <------ give -----+
 *
 * A region is marked in grains of eight bytes. A grain that is only partly in
 * the region stays unmarked. */

enum { WI_REGION_GRAIN = 8 };

#ifdef WI_ASAN

/* AddressSanitizer's shadow byte for eight bytes of memory. "Lent" is the value
 * that its own interface writes; "free" is the value of a freed heap block. A
 * kernel in this process can tell the two apart (soft/soft_copy.c). */
enum {
	WI_SHADOW_LENT = 0xf7,
	WI_SHADOW_FREE = 0xfd,
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

/* Only code without instrumentation may write the shadow itself. */
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

/* Mark the bytes as written, or as not yet written. */
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

/* The kernel will read it and may send it: every byte must have been
 * written. */
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

/* The kernel will fill it. */
static inline void wi_lend_to_fill(const void *memory, size_t bytes)
{
	wi_region_undefined(memory, bytes);
	wi_region_poison(memory, bytes);
}

/* Memory that was lent for reading is ours again, unchanged. */
static inline void wi_region_back(const void *memory, size_t bytes)
{
	wi_region_unpoison(memory, bytes);
}

/* The kernel has filled it, and it is ours again. */
static inline void wi_kernel_wrote(const void *memory, size_t bytes)
{
	wi_region_unpoison(memory, bytes);
	wi_region_defined(memory, bytes);
}

/* Memory goes back to a pool, until it is taken again; whole grains only. */
static inline void wi_region_give(const void *memory, size_t bytes)
{
	wi_region_undefined(memory, bytes);
#ifdef WI_ASAN
	wi_region_mark(memory, bytes, WI_SHADOW_FREE);
#endif
}

static inline void wi_region_take(const void *memory, size_t bytes)
{
	wi_region_unpoison(memory, bytes);
	wi_region_undefined(memory, bytes);
}

/* ---- atomic words --------------------------------------------------------
 *
 *     thread A: writes, release(word) --> thread B: acquire(word), reads
 *
 * Used by barrier.h only: which words are atomic, and which of them order the
 * accesses around them. */

static inline void wi_order_atomic(const volatile void *word, size_t bytes)
{
	(void)word;
	(void)bytes;
#ifdef WI_VALGRIND
	VALGRIND_HG_DISABLE_CHECKING(word, bytes);
	VALGRIND_DO_CLIENT_REQUEST_STMT(VG_USERREQ__DRD_START_SUPPRESSION, word,
					bytes, 0, 0, 0);
#endif
}

static inline void wi_order_release(const volatile void *word)
{
	(void)word;
#ifdef WI_VALGRIND
	ANNOTATE_HAPPENS_BEFORE(word);
	VALGRIND_DO_CLIENT_REQUEST_STMT(VG_USERREQ__DRD_ANNOTATE_HAPPENS_BEFORE,
					word, 0, 0, 0, 0);
#endif
}

static inline void wi_order_acquire(const volatile void *word)
{
	(void)word;
#ifdef WI_VALGRIND
	ANNOTATE_HAPPENS_AFTER(word);
	VALGRIND_DO_CLIENT_REQUEST_STMT(VG_USERREQ__DRD_ANNOTATE_HAPPENS_AFTER,
					word, 0, 0, 0, 0);
#endif
}

/* ---- order that goes through the kernel ----------------------------------
 *
 *     thread A: writes, release(fd) --> doorbell, MSG_RING --> kernel
 *     thread B: kernel --> completion, acquire(fd), reads
 *
 * The kernel's locks make visible to B what A wrote before it rang. The key is
 * the descriptor that the message goes to; -1 stands for all direct
 * descriptors. */

#if WI_HANDOVERS_WATCHED

#pragma GCC visibility push(default)
void wi_handover_release(int fd);
void wi_handover_acquire(int fd);
#pragma GCC visibility pop

#else

static inline void wi_handover_release(int fd)
{
	(void)fd;
}

static inline void wi_handover_acquire(int fd)
{
	(void)fd;
}

#endif

#ifdef __cplusplus
}
#endif

#endif
