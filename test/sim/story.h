/* story.h - stories: net/ in a simulated world, with peers and rules
 *
 *     tape --> which story, which small sizes, which faults
 *          --> play: loops, peers, a rule after every step --> result
 */
#ifndef WEIR_SIM_STORY_H
#define WEIR_SIM_STORY_H

#include "sim.h"

struct sim_run;

/* @what: one line for people. @play: from an empty world to an empty world. */
struct sim_story {
	const char *name;
	const char *what;
	void (*play)(struct sim_run *run);
};

extern const struct sim_story sim_stories[];
extern const uint32_t sim_story_count;

/* NULL: unknown name. */
const struct sim_story *sim_story_find(const char *name);

struct sim_story_result {
	const struct sim_story *story; /* the one played */
	const char *violation;         /* NULL: none */
	uint64_t hash;
	uint64_t turns;
	uint64_t cqes;
	uint64_t echoed_bytes;
	uint32_t peers;
};

/* Resets @sim and plays @tape in it. @which: NULL: the first byte of the tape
 * chooses; @story: see weir_sim_opts. */
void sim_story_play(struct weir_sim *sim, struct weir_tape *tape,
		    const struct sim_story *which, FILE *story,
		    struct sim_story_result *out_result);

#endif
