#include "odometer.h"

enum { OF_A_CHANCE = 255 };

/* A chance has two ways, and so has a choice of two. Both read 255, whose
 * lowest bit is 1, as the second way. */
static uint8_t way_next(uint8_t byte, uint16_t ways)
{
	return ways == 2 ? OF_A_CHANCE : (uint8_t)(byte + 1);
}

static bool way_is_left(uint8_t byte, uint16_t ways)
{
	return ways == 2 ? byte == 0 : byte + 1 < ways;
}

/* How many of the bytes below @end are not benign. */
static uint32_t bends_below(const struct sim_odometer *odometer, uint32_t end)
{
	uint32_t bends = 0;
	for (uint32_t i = 0; i < end && i < odometer->count; i++)
		bends += odometer->bytes[i] != 0;
	return bends;
}

static uint8_t byte_at(const struct sim_odometer *odometer, uint32_t at)
{
	return at < odometer->count ? odometer->bytes[at] : 0;
}

bool sim_odometer_next(struct sim_odometer *odometer, const uint16_t *ways,
		       size_t met)
{
	uint32_t at = met < odometer->depth ? (uint32_t)met : odometer->depth;
	uint32_t bends = bends_below(odometer, at);
	while (at-- > 0) {
		const uint8_t byte = byte_at(odometer, at);
		bends -= byte != 0;
		if (!way_is_left(byte, ways[at]) || bends >= odometer->bends)
			continue;
		while (odometer->count <= at)
			odometer->bytes[odometer->count++] = 0;
		odometer->bytes[at] = way_next(byte, ways[at]);
		odometer->count = at + 1;
		return true;
	}
	return false;
}
