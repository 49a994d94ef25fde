#include "pace.h"

enum {
	SMOOTHING = 8, /* an eighth of the news, seven eighths of the past */
	SCALE = 256,
	NS_PER_US = 1000,
};

void wi_pace_turn(struct wi_pace *pace, uint32_t recvs, uint64_t turn_ns,
		  uint32_t now_tick)
{
	pace->recvs_256 +=
		recvs * (SCALE / SMOOTHING) - pace->recvs_256 / SMOOTHING;
	pace->turn_ns += turn_ns / SMOOTHING - pace->turn_ns / SMOOTHING;
	if (now_tick != pace->tick) {
		/* A tick in which nothing was looked at had no activity. */
		pace->active =
			now_tick == pace->tick + 1 ? pace->active_now : 0;
		pace->active_now = 0;
		pace->tick = now_tick;
	}
}

uint32_t wi_pace_batch(const struct wi_pace *pace, uint32_t wait_us)
{
	const uint64_t wait_ns = (uint64_t)wait_us * NS_PER_US;
	const uint32_t share = pace->active / WI_PACE_ACTIVE_SHARE;
	uint64_t expected;

	if (wait_us == 0 || pace->turn_ns == 0)
		return 0;
	expected = pace->recvs_256 * wait_ns / pace->turn_ns / SCALE;
	if (expected < WI_PACE_BUSY)
		return 0;
	/* Twice as many: the wait ends by its time, and early only if more
	 * comes than was expected. */
	expected *= 2;
	if (expected > share)
		expected = share;
	return expected < WI_PACE_MAX ? (uint32_t)expected : WI_PACE_MAX;
}
