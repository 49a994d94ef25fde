/* story.h - one run: an echo server of net/, peers, faults, and the rules */
#ifndef WEIR_SIM_STORY_H
#define WEIR_SIM_STORY_H

#include "sim.h"

struct sim_story_result {
	const char *violation; /* NULL: none */
	uint64_t hash;
	uint64_t turns;
	uint64_t cqes;
	uint64_t echoed_bytes;
	uint32_t peers;
};

/* Plays @tape in @sim, which is reset first; @story: see weir_sim_opts. */
void sim_story_play(struct weir_sim *sim, struct weir_tape *tape, FILE *story,
		    struct sim_story_result *out_result);

#endif
