/* clock.h - the time, read twice per turn
 *
 *     start ......... now        the kernel's clock is read before and after
 *       |  tick | tick |         the enter; all other code reads these words
 *
 * Deadlines count in ticks (timer.h), everything else in nanoseconds.
 */
#ifndef WEIR_NET_CORE_CLOCK_H
#define WEIR_NET_CORE_CLOCK_H

#include "../../uring/kernel.h"
#include "timer.h"

struct wi_clock {
	uint64_t start_ns;
	uint64_t now_ns;
	uint32_t now_tick;
};

static inline void wi_clock_look(struct wi_clock *clock,
				 const struct weir_kernel *kernel)
{
	clock->now_ns = kernel->now_ns(kernel->ctx);
	clock->now_tick =
		(uint32_t)((clock->now_ns - clock->start_ns) / WI_TICK_NS);
}

static inline void wi_clock_start(struct wi_clock *clock,
				  const struct weir_kernel *kernel)
{
	clock->start_ns = kernel->now_ns(kernel->ctx);
	clock->now_ns = clock->start_ns;
	clock->now_tick = 0;
}

/* The time at which @tick begins. */
static inline uint64_t wi_clock_tick_ns(const struct wi_clock *clock,
					uint32_t tick)
{
	return wi_tick_ns(clock->start_ns, clock->now_ns, tick);
}

/* Nanoseconds until @when_ns, 0 if it has passed; UINT64_MAX stays. */
static inline uint64_t wi_clock_until(const struct wi_clock *clock,
				      uint64_t when_ns)
{
	if (when_ns == UINT64_MAX)
		return UINT64_MAX;
	return when_ns > clock->now_ns ? when_ns - clock->now_ns : 0;
}

#endif
