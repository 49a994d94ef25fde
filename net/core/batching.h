/* batching.h - how many completions a loop waits for
 *
 * An idle loop answers each request at once. A busy loop that enters the kernel
 * for every second request spends its time on entries, so it waits for a few
 * more requests, at most batch_wait_us. It is busy when it expects at least
 * WI_BATCHING_BUSY receives within that time. It never waits for more than a
 * quarter of the active connections: their peers may be waiting for it.
 */
#ifndef WEIR_NET_BATCHING_H
#define WEIR_NET_BATCHING_H

#include <stdint.h>

enum {
	WI_BATCHING_BUSY = 4,
	WI_BATCHING_MAX =
		64, /* latency grows with a batch; its gain does not */
	WI_BATCHING_ACTIVE_SHARE = 4,
};

struct wi_batching {
	uint32_t recvs_256; /* receives per turn, smoothed, times 256 */
	uint64_t turn_ns;   /* length of a turn, smoothed */
	uint32_t tick;      /* the tick that active_now counts */
	uint32_t active_now;
	uint32_t active; /* connections that moved bytes in the last tick */
};

/* Counts a connection that moves bytes for the first time in this tick. */
static inline void wi_batching_active(struct wi_batching *batching)
{
	batching->active_now++;
}

/* At the end of a turn of @turn_ns, with @recvs receives that had data. */
void wi_batching_turn(struct wi_batching *batching, uint32_t recvs,
		      uint64_t turn_ns, uint32_t now_tick);

/* How many receives to wait for, for at most @wait_us; 0: do not wait for a
 * batch. */
uint32_t wi_batching_wait_count(const struct wi_batching *batching,
				uint32_t wait_us);

#endif
