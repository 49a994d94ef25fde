#include "batching.h"

enum {
	SMOOTHING = 8, /* an eighth of the news, seven eighths of the past */
	SCALE = 256,
	NS_PER_US = 1000,
};

void wi_batching_turn(struct wi_batching *batching, uint32_t recvs,
		      uint64_t turn_ns, uint32_t now_tick)
{
	batching->recvs_256 +=
		recvs * (SCALE / SMOOTHING) - batching->recvs_256 / SMOOTHING;
	batching->turn_ns +=
		turn_ns / SMOOTHING - batching->turn_ns / SMOOTHING;
	if (now_tick != batching->tick) {
		/* A tick without a turn had no activity. */
		batching->active = now_tick == batching->tick + 1
					   ? batching->active_now
					   : 0;
		batching->active_now = 0;
		batching->tick = now_tick;
	}
}

uint32_t wi_batching_wait_count(const struct wi_batching *batching,
				uint32_t wait_us)
{
	const uint64_t wait_ns = (uint64_t)wait_us * NS_PER_US;
	const uint32_t share = batching->active / WI_BATCHING_ACTIVE_SHARE;
	uint64_t expected;

	if (wait_us == 0 || batching->turn_ns == 0)
		return 0;
	expected = batching->recvs_256 * wait_ns / batching->turn_ns / SCALE;
	if (expected < WI_BATCHING_BUSY)
		return 0;
	/* Twice as many, so that the wait ends by its time, and early only if
	 * more receives come than expected. */
	expected *= 2;
	if (expected > share)
		expected = share;
	return expected < WI_BATCHING_MAX ? (uint32_t)expected
					  : WI_BATCHING_MAX;
}
