/* fuzz_entry.c - libFuzzer's entry point; built once for each target
 *
 * WI_FUZZ_ONE is the target's function: wi_fuzz_frame_one and the like.
 */
#include "fuzz_replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return WI_FUZZ_ONE(data, size);
}
