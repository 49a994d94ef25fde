/* event_count.h - a thread sleeps until another one has changed something
 *
 *     waiter                              changer
 *     seen = wi_event_seen(events)        changes what the waiter looks at
 *     looks; not yet:                     wi_event_raise(kernel, events)
 *     wi_event_wait(kernel, events, seen)
 *
 * Invariant: if the change comes after the waiter has looked, the raise comes
 * after `seen` was read, so the wait ends at once.
 */
#ifndef WEIR_NET_EVENT_COUNT_H
#define WEIR_NET_EVENT_COUNT_H

#include "../../uring/barrier.h"
#include "../../uring/kernel.h"

struct wi_event_count {
	uint32_t raised; /* a count that wraps around */
};

static inline uint32_t wi_event_seen(const struct wi_event_count *events)
{
	return wi_load_acquire_u32(&events->raised);
}

/* Any thread. */
static inline void wi_event_raise(const struct weir_kernel *kernel,
				  struct wi_event_count *events)
{
	(void)wi_add_fetch_release_u32(&events->raised, 1);
	(void)kernel->wake(kernel->ctx, &events->raised); /* cannot fail */
}

/* May return early, so the caller checks again. */
static inline void wi_event_wait(const struct weir_kernel *kernel,
				 const struct wi_event_count *events,
				 uint32_t seen)
{
	(void)kernel->wait(kernel->ctx, &events->raised, seen);
}

#endif
