#include "timer.h"

#include <assert.h>
#include <stddef.h>

static uint32_t wheel_slot(uint32_t tick)
{
	return tick % WI_WHEEL_SLOTS;
}

static void wheel_link(struct wi_wheel *wheel, struct wi_timer *timer,
		       uint32_t slot)
{
	timer->next = wheel->slots[slot];
	timer->prev_next = &wheel->slots[slot];
	if (timer->next != NULL)
		timer->next->prev_next = &timer->next;
	wheel->slots[slot] = timer;
	wheel->in_use[slot / 64] |= UINT64_C(1) << (slot % 64);
}

void wi_wheel_init(struct wi_wheel *wheel, struct wi_timer **slots,
		   uint32_t now_tick)
{
	*wheel = (struct wi_wheel){ .slots = slots, .now_tick = now_tick };
}

/* The slot in which @due_tick is next checked: its own, or the furthest. */
static uint32_t wheel_slot_for(const struct wi_wheel *wheel, uint32_t due_tick)
{
	if (due_tick - wheel->now_tick >= WI_WHEEL_SLOTS)
		return wheel_slot(wheel->now_tick + WI_WHEEL_SLOTS - 1);
	return wheel_slot(due_tick);
}

void wi_timer_set(struct wi_wheel *wheel, struct wi_timer *timer,
		  uint32_t due_tick)
{
	wi_timer_clear(wheel, timer);
	/* A tick further back than half the range would look like the
	 * future. */
	if (!wi_tick_before(wheel->now_tick, due_tick))
		due_tick = wheel->now_tick + 1;
	timer->due_tick = due_tick;
	wheel_link(wheel, timer, wheel_slot_for(wheel, due_tick));
	wheel->timer_count++;
}

void wi_timer_clear(struct wi_wheel *wheel, struct wi_timer *timer)
{
	if (!wi_timer_is_set(timer))
		return;
	assert(wheel->timer_count > 0);
	*timer->prev_next = timer->next;
	if (timer->next != NULL)
		timer->next->prev_next = timer->prev_next;
	timer->next = NULL;
	timer->prev_next = NULL;
	wheel->timer_count--;
	/* The slot's bit stays until the wheel reaches the slot. */
}

/* The next slot is empty: advance to the next slot in use, but no further than
 * @now_tick. */
static void wheel_advance(struct wi_wheel *wheel, uint32_t now_tick)
{
	uint32_t slot = wheel_slot(wheel->now_tick + 1);
	wheel->in_use[slot / 64] &= ~(UINT64_C(1) << (slot % 64));

	uint32_t empty_ticks = wi_wheel_ticks_to_next(wheel) - 1;
	uint32_t left_ticks = now_tick - wheel->now_tick;
	assert(empty_ticks > 0 && left_ticks > 0);
	wheel->now_tick += empty_ticks < left_ticks ? empty_ticks : left_ticks;
}

struct wi_timer *wi_wheel_next_due(struct wi_wheel *wheel, uint32_t now_tick)
{
	while (wi_tick_before(wheel->now_tick, now_tick)) {
		struct wi_timer *timer =
			wheel->slots[wheel_slot(wheel->now_tick + 1)];
		if (timer == NULL) {
			wheel_advance(wheel, now_tick);
			continue;
		}
		uint32_t due_tick = timer->due_tick;
		wi_timer_clear(wheel, timer);
		if (!wi_tick_before(now_tick, due_tick))
			return timer;
		wi_timer_set(wheel, timer, due_tick); /* still far away */
	}
	return NULL;
}

uint32_t wi_wheel_ticks_to_next(const struct wi_wheel *wheel)
{
	if (wheel->timer_count == 0)
		return UINT32_MAX;
	const uint32_t words = WI_WHEEL_SLOTS / 64;
	uint32_t from = wheel_slot(wheel->now_tick + 1);
	for (uint32_t i = 0;; i++) {
		assert(i <= words); /* each timer has its bit */
		uint32_t word = (from / 64 + i) % words;
		uint64_t bits = wheel->in_use[word];
		if (i == 0)
			bits &= ~UINT64_C(0) << (from % 64);
		if (bits == 0)
			continue;
		uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
		return (slot - from + WI_WHEEL_SLOTS) % WI_WHEEL_SLOTS + 1;
	}
}
