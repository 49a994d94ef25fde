/* order.h - atomic words and the order they make, told to helgrind and DRD
 *
 *     thread A: writes, release(word) --> thread B: acquire(word), reads
 *
 * valgrind sees an atomic load or store as a plain one. So with -Dvalgrind=true
 * barrier.h tells it which words are atomic, and which of them order what lies
 * around them; handover.h does so for what goes through the kernel. Otherwise
 * all of this is nothing.
 */
#ifndef WEIR_URING_ORDER_H
#define WEIR_URING_ORDER_H

#include <stddef.h>

#ifdef WI_VALGRIND
#include <valgrind/helgrind.h>
/* After it: leaves it what both of them name. */
#include <valgrind/drd.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

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

#ifdef __cplusplus
}
#endif

#endif
