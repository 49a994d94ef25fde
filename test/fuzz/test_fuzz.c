/* test_fuzz.c - replay the fuzzers' corpus, and some random inputs
 *
 *     corpus/<target>/   each file is an input that reaches different code
 *     seeds              inputs of pseudo-random bytes, short and long
 *
 * A violated promise aborts, so the test fails by its signal. tools/check
 * --fuzz searches for new inputs.
 */
#include "../rig/support.h"
#include "../suites.h"
#include "fuzz_replay.h"
#include "uring/rung.h"

#include <stdlib.h>

enum { SEEDED_BYTES_MAX = 512 };

/* clang-format off: one per line */
static const struct {
	const char *name;
	int (*one)(const uint8_t *data, size_t size);
	uint32_t seeds; /* how many take about a tenth of a second */
} targets[] = {
	{ "frame", wi_fuzz_frame_one, 2000 },
	{ "json", wi_fuzz_json_one, 2000 },
	{ "options", wi_fuzz_options_one, 5000 },
	{ "recvmsg", wi_fuzz_recvmsg_one, 20000 },
	{ "ring", wi_fuzz_ring_one, 300 },
	{ "steer", wi_fuzz_steer_one, 500 },
	{ "tape", wi_fuzz_tape_one, 1000 },
	{ "text", wi_fuzz_text_one, 20000 },
};
/* clang-format on */

enum { TARGETS = (int)(sizeof(targets) / sizeof(targets[0])) };

START_TEST(what_the_corpus_holds_keeps_its_promises)
{
	char folder[256];
	(void)snprintf(folder, sizeof(folder), "%s/%s", WEIR_TEST_CORPUS_DIR,
		       targets[_i].name);
	const int files = wi_fuzz_replay(folder, targets[_i].one);
	ck_assert_msg(files > 0, "corpus %s: %d", targets[_i].name, files);
}
END_TEST

static void fuzz_seeds_run(uint32_t seeds,
			   int (*one)(const uint8_t *data, size_t size))
{
	uint8_t bytes[SEEDED_BYTES_MAX];
	uint64_t state = 0x9e3779b97f4a7c15;

	for (uint32_t seed = 0; seed < seeds; seed++) {
		const size_t byte_count = wi_random(&state) % sizeof(bytes);
		for (size_t i = 0; i < byte_count; i++)
			bytes[i] = (uint8_t)wi_random(&state);
		ck_assert_int_eq(one(bytes, byte_count), 0);
	}
}

START_TEST(so_do_bytes_from_a_seed)
{
	fuzz_seeds_run(targets[_i].seeds, targets[_i].one);
}
END_TEST

/* Simulates an older kernel for the ring target. Without submit-all a malformed
 * entry ends the batch, and the entries after it wait for the next enter. */
static const char *const rungs_off[] = { "all", "defer-taskrun", "submit-all" };

START_TEST(a_ring_without_what_is_new_keeps_them_too)
{
	const char *now = getenv(WEIR_FORCE_OFF);
	char *before = now != NULL ? strdup(now) : NULL; /* CK_FORK=no */
	ck_assert_int_eq(setenv(WEIR_FORCE_OFF, rungs_off[_i], 1), 0);
	const int files =
		wi_fuzz_replay(WEIR_TEST_CORPUS_DIR "/ring", wi_fuzz_ring_one);
	ck_assert_msg(files > 0, "corpus ring: %d", files);
	fuzz_seeds_run(300, wi_fuzz_ring_one);
	ck_assert_int_eq(before != NULL ? setenv(WEIR_FORCE_OFF, before, 1)
					: unsetenv(WEIR_FORCE_OFF),
			 0);
	free(before);
}
END_TEST

WI_SUITE(fuzz, "fuzz", 0)
{
	TCase *tcase = tcase_create("fuzz");
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, what_the_corpus_holds_keeps_its_promises, 0,
			    TARGETS);
	tcase_add_loop_test(tcase, so_do_bytes_from_a_seed, 0, TARGETS);
	tcase_add_loop_test(tcase, a_ring_without_what_is_new_keeps_them_too, 0,
			    sizeof(rungs_off) / sizeof(rungs_off[0]));
	suite_add_tcase(suite, tcase);
}
