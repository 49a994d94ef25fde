/* schedules.c - a small case in every order of events: see odometer.h */
#include "exhaust.h"
#include "odometer.h"

#include <assert.h>

uint64_t sim_exhaust_schedules(struct sim_exhaust *exhaust,
			       const struct sim_case *what, uint32_t depth,
			       uint32_t bends)
{
	static uint16_t ways[WEIR_TAPE_BYTES_MAX];
	struct sim_odometer odometer = { .depth = depth, .bends = bends };
	uint64_t count = 0;

	assert(depth <= SIM_ODOMETER_DEPTH);
	do {
		sim_exhaust_play(exhaust, what, odometer.bytes, odometer.count,
				 ways);
		count++;
	} while (sim_odometer_next(&odometer, ways, exhaust->tape->at));
	return count;
}
