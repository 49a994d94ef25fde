/* tape.h - every choice of a simulation, from one string of bytes
 *
 * A choice reads the next byte or two; 0 is the benign one: no fault, the
 * oldest first. Past the end of the tape every choice is benign. A seed makes a
 * tape that is written while it is read. So every run can be repeated from its
 * bytes; cut short or zeroed in places, they give the same run up to there.
 *
 * One thread at a time uses a tape. None of the calls fails.
 */
#ifndef WEIR_SIM_TAPE_H
#define WEIR_SIM_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum { WEIR_TAPE_BYTES_MAX = 65536 };

/**
 * struct weir_tape - embed it; 64 KiB
 * @byte_count: how many of @bytes are given, or have been written
 * @at:         index of the next byte to read
 * @is_written: the generator writes each byte just before it is read
 * @ways:       for exhaustive runs: in how many ways each byte read could
 *              matter, shape [WEIR_TAPE_BYTES_MAX], 1 to 256; or NULL. The
 *              other values of a chance: 255; of a choice: 1, 2 ...
 */
struct weir_tape {
	size_t byte_count;
	size_t at;
	bool is_written;
	uint64_t state; /* of the generator */
	uint16_t *ways;
	uint8_t bytes[WEIR_TAPE_BYTES_MAX];
};

/**
 * weir_tape_seed() - a tape of pseudo-random bytes, the same for the same seed
 * @tape: needs no other initialisation; the caller's
 *
 * The same on every machine and compiler. Tapes of near seeds are unrelated.
 */
void weir_tape_seed(struct weir_tape *tape, uint64_t seed);

/**
 * weir_tape_load() - a tape of given bytes
 * @bytes: copied; those above WEIR_TAPE_BYTES_MAX are cut off; may be NULL if
 *         there are none: then every choice is benign
 */
void weir_tape_load(struct weir_tape *tape, const uint8_t *bytes,
		    size_t byte_count);

/** weir_tape_byte() - the next byte; 0 past the end. */
uint8_t weir_tape_byte(struct weir_tape *tape);

/**
 * weir_tape_below() - one of @count ways
 * @count: 1 to 65536; 1 reads nothing, above 256 reads two bytes
 *
 * Return: 0 to @count - 1; the benign one is 0.
 */
uint32_t weir_tape_below(struct weir_tape *tape, uint32_t count);

/**
 * weir_tape_chance() - true @of_256 times in 256; false is the benign one
 * @of_256: 0 to 256; 0 reads nothing
 */
bool weir_tape_chance(struct weir_tape *tape, uint32_t of_256);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
