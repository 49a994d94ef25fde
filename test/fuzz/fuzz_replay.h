/* fuzz_replay.h - a fuzz target's corpus, run again as an ordinary test
 *
 * Each fuzz_<target>.c has one function of libFuzzer's shape that aborts on a
 * broken promise. The fuzzer calls it through LLVMFuzzerTestOneInput()
 * (fuzz_entry.c); uring_test calls it through here.
 */
#ifndef WEIR_TEST_FUZZ_REPLAY_H
#define WEIR_TEST_FUZZ_REPLAY_H

#include <stddef.h>
#include <stdint.h>

/* The targets. */
int wi_fuzz_frame_one(const uint8_t *data, size_t size);
int wi_fuzz_json_one(const uint8_t *data, size_t size);
int wi_fuzz_options_one(const uint8_t *data, size_t size);
int wi_fuzz_recvmsg_one(const uint8_t *data, size_t size);
int wi_fuzz_ring_one(const uint8_t *data, size_t size);
int wi_fuzz_steer_one(const uint8_t *data, size_t size);
int wi_fuzz_tape_one(const uint8_t *data, size_t size);
int wi_fuzz_text_one(const uint8_t *data, size_t size);

/**
 * wi_fuzz_replay() - run a target over each file of a folder
 * @folder: regular files; those whose name starts with a dot are passed over
 * @one:    the target; it sees each file in a block of exactly its size, so
 *          that the sanitizers see a read past the end
 *
 * Return: how many files were run; negative errno if the folder or a file in
 *         it cannot be read. Thread: any.
 */
int wi_fuzz_replay(const char *folder,
		   int (*one)(const uint8_t *data, size_t size));

#endif
