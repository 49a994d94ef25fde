#include "tape.h"

#include <assert.h>
#include <string.h>

/* Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014
 * (the generator known as SplitMix64). */
#define TAPE_STEP UINT64_C(0x9e3779b97f4a7c15)

static uint64_t tape_mix(uint64_t state)
{
	state = (state ^ (state >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	state = (state ^ (state >> 27)) * UINT64_C(0x94d049bb133111eb);
	return state ^ (state >> 31);
}

/* Mixed: otherwise the tape of a seed would be that of the seed before, without
 * its first byte. */
void weir_tape_seed(struct weir_tape *tape, uint64_t seed)
{
	tape->byte_count = 0;
	tape->at = 0;
	tape->is_written = true;
	tape->ways = NULL;
	tape->state = tape_mix(seed * TAPE_STEP + 1);
}

void weir_tape_load(struct weir_tape *tape, const uint8_t *bytes,
		    size_t byte_count)
{
	if (byte_count > WEIR_TAPE_BYTES_MAX)
		byte_count = WEIR_TAPE_BYTES_MAX;
	tape->byte_count = byte_count;
	tape->at = 0;
	tape->is_written = false;
	tape->ways = NULL;
	if (byte_count > 0) /* an empty tape may have no address */
		memcpy(tape->bytes, bytes, byte_count);
}

static uint8_t tape_write(struct weir_tape *tape)
{
	tape->state += TAPE_STEP;
	const uint8_t byte = (uint8_t)(tape_mix(tape->state) >> 32);
	tape->bytes[tape->byte_count++] = byte;
	return byte;
}

/* Beside weir_tape_byte(), so that it is inlined here: 2 % of a world's
 * instructions. */
static inline uint8_t tape_byte(struct weir_tape *tape)
{
	uint8_t byte = 0;
	if (tape->at < tape->byte_count)
		byte = tape->bytes[tape->at];
	else if (tape->is_written && tape->byte_count < WEIR_TAPE_BYTES_MAX)
		byte = tape_write(tape);
	if (tape->at < WEIR_TAPE_BYTES_MAX)
		tape->at++;
	return byte;
}

uint8_t weir_tape_byte(struct weir_tape *tape)
{
	return tape_byte(tape);
}

static void tape_note(struct weir_tape *tape, uint32_t ways)
{
	if (tape->ways != NULL && tape->at < WEIR_TAPE_BYTES_MAX)
		tape->ways[tape->at] = (uint16_t)(ways < 256 ? ways : 256);
}

uint32_t weir_tape_below(struct weir_tape *tape, uint32_t count)
{
	assert(count >= 1 && count <= 65536);
	if (count == 1)
		return 0;
	tape_note(tape, count);
	uint32_t value = tape_byte(tape);
	tape_note(tape, 1); /* for a second byte only 0 is tried */
	if (count > 256)
		value |= (uint32_t)tape_byte(tape) << 8;
	return value % count;
}

bool weir_tape_chance(struct weir_tape *tape, uint32_t of_256)
{
	if (of_256 == 0)
		return false;
	tape_note(tape, 2);
	return tape_byte(tape) >= 256 - of_256;
}
