/* schedules.c - a small case in every order
 *
 *     benign: 0 0 0 0 0 ...     each run says which choices it met, and how
 *     then:   1 0 0 0 0         many ways each could have gone; the next run
 *             2 0 0 0 0         takes the last one that has a way left, one
 *             0 1 0 0 0 ...     further
 *
 * Like an odometer: no schedule twice, none left out. A bound on how many
 * choices are bent keeps it small; most faults of order need two or three.
 */
#include "exhaust.h"

#include <assert.h>
#include <string.h>

enum { DEPTH_MAX = 256, OF_A_CHANCE = 255 };

struct odometer {
	uint8_t bytes[DEPTH_MAX];
	uint32_t count;
	uint32_t depth;
	uint32_t bends;
};

/* A chance has two ways, and so has a choice between two: both understand 255,
 * whose lowest bit is 1. */
static uint8_t way_next(uint8_t byte, uint16_t ways)
{
	return ways == 2 ? OF_A_CHANCE : (uint8_t)(byte + 1);
}

static bool way_is_left(uint8_t byte, uint16_t ways)
{
	return ways == 2 ? byte == 0 : byte + 1 < ways;
}

static uint32_t bends_of(const struct odometer *odometer, uint32_t count)
{
	uint32_t bends = 0;
	for (uint32_t i = 0; i < count && i < odometer->count; i++)
		bends += odometer->bytes[i] != 0;
	return bends;
}

/* @met: choices of the last run. Return: false: that was the last. */
static bool odometer_next(struct odometer *odometer, const uint16_t *ways,
			  size_t met)
{
	uint32_t at = met < odometer->depth ? (uint32_t)met : odometer->depth;
	while (at-- > 0) {
		const uint8_t byte =
			at < odometer->count ? odometer->bytes[at] : 0;
		if (!way_is_left(byte, ways[at]) ||
		    bends_of(odometer, at) >= odometer->bends)
			continue;
		while (odometer->count <= at)
			odometer->bytes[odometer->count++] = 0;
		odometer->bytes[at] = way_next(byte, ways[at]);
		odometer->count = at + 1;
		return true;
	}
	return false;
}

uint64_t sim_exhaust_schedules(struct sim_exhaust *exhaust,
			       const struct sim_case *what, uint32_t depth,
			       uint32_t bends)
{
	static uint16_t ways[WEIR_TAPE_BYTES_MAX];
	struct odometer odometer = { .depth = depth, .bends = bends };
	uint64_t count = 0;

	assert(depth <= DEPTH_MAX);
	do {
		sim_exhaust_play(exhaust, what, odometer.bytes, odometer.count,
				 ways);
		count++;
	} while (odometer_next(&odometer, ways, exhaust->tape->at));
	return count;
}
