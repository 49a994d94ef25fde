/* shrink.h - a smaller tape that still breaks the same rule
 *
 * Spans are cut out, then set to zero, half as long each time, until nothing
 * helps. A callback says whether a tape still fails.
 */
#ifndef WEIR_SIM_SHRINK_H
#define WEIR_SIM_SHRINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether this tape fails in the same way. */
typedef bool (*sim_shrink_fn)(const uint8_t *bytes, size_t byte_count,
			      void *ctx);

/* @bytes: in and out, a tape that fails. Return: its new length in bytes. */
size_t sim_shrink(uint8_t *bytes, size_t byte_count, sim_shrink_fn fails,
		  void *ctx);

/* The same with stderr closed: a failing assertion would print hundreds of
 * times. */
size_t sim_shrink_in_silence(uint8_t *bytes, size_t byte_count,
			     sim_shrink_fn fails, void *ctx);

#endif
