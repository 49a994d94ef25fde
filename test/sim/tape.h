/* tape.h - every choice of a simulation, from one string of bytes
 *
 * A choice reads the next byte or two; 0 is the benign one: no fault, the
 * oldest first. Past the end of the tape all is benign. A seed is a tape that
 * is written while it is read, so every run can be given again as bytes, cut
 * short, or zeroed in places, and is the same run as far as it is the same.
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
 * @at:         the next to be read
 * @is_written: by the generator, as far as it is read
 * @ways:       for who tries all: in how many ways the byte that was read
 *              could matter, shape [WEIR_TAPE_BYTES_MAX], 1 to 256; or NULL.
 *              The other values of a chance: 255, of a choice: 1, 2 ...
 */
struct weir_tape {
	size_t byte_count;
	size_t at;
	bool is_written;
	uint64_t state; /* of the generator */
	uint16_t *ways;
	uint8_t bytes[WEIR_TAPE_BYTES_MAX];
};

/** weir_tape_seed() - a tape of pseudo-random bytes. */
void weir_tape_seed(struct weir_tape *tape, uint64_t seed);

/** weir_tape_load() - a given tape; what is above the limit is cut off. */
void weir_tape_load(struct weir_tape *tape, const uint8_t *bytes,
		    size_t byte_count);

/** weir_tape_byte() - the next byte. */
uint8_t weir_tape_byte(struct weir_tape *tape);

/** weir_tape_below() - 0 to @count - 1; @count 1 to 65536; 1 reads nothing. */
uint32_t weir_tape_below(struct weir_tape *tape, uint32_t count);

/** weir_tape_chance() - true @of_256 times in 256; 0 reads nothing. */
bool weir_tape_chance(struct weir_tape *tape, uint32_t of_256);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
