/* timer.h - deadlines on a timer wheel
 *
 *     slot:   0     1     2   ...   now   ...   4095
 *             |           |          |
 *             timers      timers     fired first
 *
 * Time is counted in ticks of WI_TICK_NS. A timer beyond the wheel's horizon
 * waits in the last slot and is put back when that slot comes round, so every
 * operation is O(1). To move a deadline costs nothing here: the owner stores
 * the time of the last event, and compares it when the timer fires.
 */
#ifndef WEIR_NET_TIMER_H
#define WEIR_NET_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WI_TICK_NS 10000000u /* 10 ms */
#define WI_TICKS_PER_S (1000000000u / WI_TICK_NS)
#define WI_WHEEL_SLOTS 4096u /* a horizon of 41 s */

struct wi_timer {
	struct wi_timer *next;
	struct wi_timer **prev_next; /* NULL while it is not set */
	uint32_t due_tick;
};

struct wi_wheel {
	struct wi_timer **slots; /* borrowed, zeroed: [WI_WHEEL_SLOTS] */
	uint64_t in_use[WI_WHEEL_SLOTS / 64];
	uint32_t now_tick; /* everything due up to here has fired */
	uint32_t timer_count;
};

/* Ticks wrap after 497 days: compare them by their distance only. */
static inline bool wi_tick_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* Rounded up, plus one for the tick that has already begun, so that no deadline
 * fires early. */
static inline uint32_t wi_ticks_from_ms(uint32_t ms)
{
	return (uint32_t)(((uint64_t)ms * 1000000u + WI_TICK_NS - 1) /
			  WI_TICK_NS) +
	       1;
}

/* The time at which @tick begins, with ticks counted from @start_ns. Tick
 * numbers wrap, so it is the tick of that number nearest to @now_ns. */
static inline uint64_t wi_tick_ns(uint64_t start_ns, uint64_t now_ns,
				  uint32_t tick)
{
	uint64_t now_ticks = (now_ns - start_ns) / WI_TICK_NS;
	int64_t ahead_ticks = (int32_t)(tick - (uint32_t)now_ticks);
	return start_ns + (now_ticks + (uint64_t)ahead_ticks) * WI_TICK_NS;
}

void wi_wheel_init(struct wi_wheel *wheel, struct wi_timer **slots,
		   uint32_t now_tick);

/* Sets it, or moves it. A tick that has passed fires at the next advance. */
void wi_timer_set(struct wi_wheel *wheel, struct wi_timer *timer,
		  uint32_t due_tick);

/* Does nothing if it is not set. */
void wi_timer_clear(struct wi_wheel *wheel, struct wi_timer *timer);

static inline bool wi_timer_is_set(const struct wi_timer *timer)
{
	return timer->prev_next != NULL;
}

/* A timer that is due at @now_tick, cleared; NULL if none is left. Call it
 * until it returns NULL. */
struct wi_timer *wi_wheel_next_due(struct wi_wheel *wheel, uint32_t now_tick);

/* Ticks from the wheel's now until a timer may be due, UINT32_MAX: none set. */
uint32_t wi_wheel_ticks_to_next(const struct wi_wheel *wheel);

#endif
