/* fuzz_tape.c - a tape of the simulation, and the story that it selects
 *
 * The input is the tape, so the fuzzer's crash file works with weir-sim --tape
 * and --shrink. A violated rule prints the tape and aborts, as an assertion
 * does. One tape in eight runs twice, and both runs must be equal.
 */
#include "fuzz_replay.h"

#include "../sim/story.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct weir_sim *world; /* kept; each run resets it */
static struct weir_tape tape;

static struct sim_story_result tape_play(const uint8_t *data, size_t size)
{
	struct sim_story_result result;

	weir_tape_load(&tape, data, size);
	sim_story_play(world, &tape, NULL, NULL, &result);
	if (result.violation == NULL)
		return result;
	(void)fprintf(stderr,
		      "story %s, rule broken: %s\n"
		      "again: weir-sim --tape FILE; its bytes:\n ",
		      result.story->name, result.violation);
	for (size_t i = 0; i < size; i++)
		(void)fprintf(stderr, " %02x%s", data[i],
			      i % 24 == 23 ? "\n " : "");
	(void)fputc('\n', stderr);
	abort();
}

int wi_fuzz_tape_one(const uint8_t *data, size_t size)
{
	if (world == NULL) {
		const int err = weir_sim_open(&world, &tape, NULL);
		assert(err == 0);
		(void)err;
	}
	const struct sim_story_result first = tape_play(data, size);
	if (size % 8 == 0) {
		const struct sim_story_result again = tape_play(data, size);
		assert(again.hash == first.hash);
		assert(again.cqes == first.cqes);
	}
	return 0;
}
