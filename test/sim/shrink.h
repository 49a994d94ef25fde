/* shrink.h - a smaller tape that still breaks the same rule
 *
 * Spans are cut out, then set to zero, half as long each time, for as long as
 * something helps. What a tape does is the caller's to say.
 */
#ifndef WEIR_SIM_SHRINK_H
#define WEIR_SIM_SHRINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether this tape fails in the same way. */
typedef bool (*sim_shrink_fn)(const uint8_t *bytes, size_t byte_count,
			      void *ctx);

/* @bytes: in and out, a tape that fails. Return: its new length. */
size_t sim_shrink(uint8_t *bytes, size_t byte_count, sim_shrink_fn fails,
		  void *ctx);

/* The same, with stderr closed off meanwhile: an assertion that fails prints,
 * here the same one hundreds of times. */
size_t sim_shrink_in_silence(uint8_t *bytes, size_t byte_count,
			     sim_shrink_fn fails, void *ctx);

#endif
