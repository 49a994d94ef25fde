#include "shrink.h"

#include "tape.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void cut(uint8_t *out, const uint8_t *bytes, size_t byte_count,
		size_t at, size_t span)
{
	memcpy(out, bytes, at);
	memcpy(out + at, bytes + at + span, byte_count - at - span);
}

static bool is_zero(const uint8_t *bytes, size_t byte_count)
{
	for (size_t i = 0; i < byte_count; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* One pass with spans of one length. Return: whether it helped. */
static bool shrink_pass(uint8_t *bytes, size_t *byte_count, size_t span,
			sim_shrink_fn fails, void *ctx)
{
	uint8_t candidate[WEIR_TAPE_BYTES_MAX];
	bool has_helped = false;

	for (size_t at = 0; at + span <= *byte_count;) {
		cut(candidate, bytes, *byte_count, at, span);
		if (fails(candidate, *byte_count - span, ctx)) {
			*byte_count -= span;
			memcpy(bytes, candidate, *byte_count);
			has_helped = true;
			continue; /* the next bytes are here now */
		}
		memcpy(candidate, bytes, *byte_count);
		memset(candidate + at, 0, span);
		if (!is_zero(bytes + at, span) &&
		    fails(candidate, *byte_count, ctx)) {
			memcpy(bytes, candidate, *byte_count);
			has_helped = true;
		}
		at += span;
	}
	return has_helped;
}

size_t sim_shrink(uint8_t *bytes, size_t byte_count, sim_shrink_fn fails,
		  void *ctx)
{
	bool has_helped;
	do {
		has_helped = false;
		for (size_t span = byte_count / 2; span > 0; span /= 2)
			has_helped |= shrink_pass(bytes, &byte_count, span,
						  fails, ctx);
	} while (has_helped);
	/* Past its end a tape is benign, so zeros there change nothing. */
	while (byte_count > 0 && bytes[byte_count - 1] == 0)
		byte_count--;
	return byte_count;
}

size_t sim_shrink_in_silence(uint8_t *bytes, size_t byte_count,
			     sim_shrink_fn fails, void *ctx)
{
	const int kept = dup(STDERR_FILENO);
	(void)fflush(stderr);
	if (freopen("/dev/null", "w", stderr) == NULL)
		return byte_count; /* then the tape stays as it is */
	byte_count = sim_shrink(bytes, byte_count, fails, ctx);
	(void)fflush(stderr);
	(void)dup2(kept, STDERR_FILENO);
	(void)close(kept);
	return byte_count;
}
