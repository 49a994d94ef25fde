/* ladder.h - what this kernel granted, rung by rung, in words */
#ifndef WEIR_URING_LADDER_H
#define WEIR_URING_LADDER_H

#include "ring.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum weir_rung_state {
	WEIR_RUNG_OFF = 0, /* the kernel does not have it, or refused */
	WEIR_RUNG_ON,
};

/**
 * struct weir_rung - one fast path
 * @name:  short and stable, for scripts
 * @since: first Linux version that has it
 * @costs: what its lack costs
 * All text is constant and lives as long as the process.
 */
struct weir_rung {
	const char *name;
	const char *since;
	const char *costs;
	enum weir_rung_state state;
};

#define WEIR_RUNG_COUNT 6

/**
 * weir_ladder_read() - the rungs that @ring stands on
 * @ring:      open; enabled, for the registered descriptor to be judged
 * @out_rungs: shape [WEIR_RUNG_COUNT]
 *
 * Thread: the ring's own, or any while that thread does not enable it.
 */
void weir_ladder_read(const struct weir_ring *ring,
		      struct weir_rung *out_rungs);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
