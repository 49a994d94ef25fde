/* fuzz_input.h - a fuzzer's bytes, read as choices
 *
 * Past the end every byte is 0, so any string of bytes is a complete input.
 */
#ifndef WEIR_TEST_FUZZ_INPUT_H
#define WEIR_TEST_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fuzz_input {
	const uint8_t *at; /* borrowed */
	size_t left_bytes;
};

static inline uint8_t fuzz_u8(struct fuzz_input *input)
{
	if (input->left_bytes == 0)
		return 0;
	input->left_bytes--;
	return *input->at++;
}

static inline uint32_t fuzz_u32(struct fuzz_input *input)
{
	uint32_t value = 0;
	for (int i = 0; i < 4; i++)
		value |= (uint32_t)fuzz_u8(input) << (8 * i);
	return value;
}

static inline uint64_t fuzz_u64(struct fuzz_input *input)
{
	const uint64_t low = fuzz_u32(input);
	return low | (uint64_t)fuzz_u32(input) << 32;
}

/* 0 to @count - 1; @count up to 65536. */
static inline uint32_t fuzz_below(struct fuzz_input *input, uint32_t count)
{
	uint32_t value = fuzz_u8(input);
	if (count > 256)
		value |= (uint32_t)fuzz_u8(input) << 8;
	return value % count;
}

/* Fills @out with the rest of the input, then with zeroes. */
static inline void fuzz_fill(struct fuzz_input *input, void *out,
			     size_t byte_count)
{
	const size_t given =
		input->left_bytes < byte_count ? input->left_bytes : byte_count;
	memset(out, 0, byte_count);
	if (given > 0)
		memcpy(out, input->at, given);
	input->at += given;
	input->left_bytes -= given;
}

#endif
