#include "story.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
int main(int argc, char **argv)
{
	static struct weir_tape tape;
	struct weir_sim *sim;
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	struct timespec a, b;
	uint64_t cqes = 0, bytes = 0, bad = 0, hash = 0, turns = 0;
	weir_sim_open(&sim, &tape, NULL);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (uint64_t s = first; s < first + count; s++) {
		struct sim_story_result r;
		weir_tape_seed(&tape, s);
		sim_story_play(sim, &tape, count == 1 ? stdout : NULL, &r);
		cqes += r.cqes; bytes += r.echoed_bytes; turns += r.turns;
		hash = hash * 31 + r.hash;
		if (r.violation) {
			printf("seed %lu: %s\n", s, r.violation);
			if (++bad >= 10) break;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	double t = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	printf("%lu schedules, %.0f/s, %.0f CQEs and %.0f turns and %.0f bytes each, hash %016lx, %lu bad\n", count, (double)count / t, (double)cqes / (double)count, (double)turns/(double)count, (double)bytes / (double)count, hash, bad);
	return bad > 0;
}
