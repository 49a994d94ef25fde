/* fuzz_replay.h - run the corpus of a fuzz target as an ordinary test
 *
 * Each fuzz_<target>.c has one function with libFuzzer's signature, which
 * aborts on an error. The fuzzer calls it through LLVMFuzzerTestOneInput()
 * (fuzz_entry.c), uring_test through this file.
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
 * @folder: its regular files; names that start with a dot are skipped
 * @one:    the target; it gets each file in a block of exactly its size, so the
 *          sanitizers find a read past the end
 *
 * Return: how many files were run; negative errno if the folder or a file in
 *         it cannot be read. Thread: any.
 */
int wi_fuzz_replay(const char *folder,
		   int (*one)(const uint8_t *data, size_t size));

#endif
