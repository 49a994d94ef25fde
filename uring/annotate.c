#include "annotate.h"

#if WI_HANDOVERS_WATCHED

#ifdef WI_TSAN
#include <sanitizer/tsan_interface.h>
#else
#define __tsan_release(key) wi_order_release(key)
#define __tsan_acquire(key) wi_order_acquire(key)
#endif

/* Two descriptors with one key can only hide a race between their users from
 * the sanitizer. */
enum { KEY_COUNT = 4096 };

static char keys[KEY_COUNT];

void wi_handover_release(int fd)
{
	__tsan_release(&keys[(unsigned)fd % KEY_COUNT]);
}

void wi_handover_acquire(int fd)
{
	__tsan_acquire(&keys[(unsigned)fd % KEY_COUNT]);
}

#else

typedef int wi_annotate_is_empty; /* ISO C forbids an empty file */

#endif
