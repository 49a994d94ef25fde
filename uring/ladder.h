/* ladder.h - which kernel features (rungs) this host grants, explained in words
 *
 *     weir_ladder_probe()  the whole host: every rung tried on a throw-away
 *                          ring with sockets of its own; some milliseconds
 *     weir_ladder_read()   one ring: what it stands on, and what it was refused
 *
 * Neither looks at the kernel version: distributions add features to old
 * kernels, and remove them from new ones.
 */
#ifndef WEIR_URING_LADDER_H
#define WEIR_URING_LADDER_H

#include "ring.h"
#include "rung.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum weir_rung_state {
	WEIR_RUNG_OFF = 0,    /* the kernel lacks it or refused it       */
	WEIR_RUNG_ON,         /* tried, and it works                     */
	WEIR_RUNG_FORCED_OFF, /* by WEIR_FORCE_OFF or by an option       */
	WEIR_RUNG_UNTRIED,    /* a ring that has not needed it yet       */
};

enum {
	WEIR_RUNG_CAUSE_BYTES = 448,
	WEIR_RUNG_REMEDY_BYTES = 192,
};

/**
 * struct weir_rung - one row of the ladder
 * @name, @since, @what, @costs: constant text; see WEIR_RUNGS
 * @role:   required by a loop, used if there, or only reported
 * @err:    OFF: the negative errno of the refusal; -EPROTO: the kernel accepted
 *          it and did something else; -ETIME: accepted, but no result came. 0
 *          in every other state, also if options kept the ring from trying
 * @cause:  OFF and FORCED_OFF: why, one line; otherwise empty
 * @remedy: OFF and FORCED_OFF: what to do about it; otherwise empty
 */
struct weir_rung {
	const char *name;
	const char *since;
	const char *what;
	const char *costs;
	enum weir_rung_role role;
	enum weir_rung_state state;
	int err;
	char cause[WEIR_RUNG_CAUSE_BYTES];
	char remedy[WEIR_RUNG_REMEDY_BYTES];
};

/** weir_rung_state_name() - "on", "off", "forced off", "untried". */
const char *weir_rung_state_name(enum weir_rung_state state);

/** weir_rung_init() - fills in the row of @id, untried. */
void weir_rung_init(struct weir_rung *out_rung, enum weir_rung_id id);

/** weir_rung_force_off() - marks a row as forced off. */
void weir_rung_force_off(struct weir_rung *rung);

/**
 * weir_ladder_probe() - try every rung of @kernel
 * @kernel:     NULL for weir_kernel_default()
 * @forced_off: rungs not to try, besides those in WEIR_FORCE_OFF
 * @out_rungs:  shape [WEIR_RUNG_COUNT], index enum weir_rung_id; written on
 *              success only
 * @error:      filled on failure; may be NULL
 *
 * Each rung is tried on a ring of its own, and on a connection over 127.0.0.1
 * where it needs sockets. All are closed when this returns. No try takes longer
 * than about two seconds. On a host that refuses every ring, all rungs are off
 * with that error.
 *
 * Return: 0; -EINVAL if WEIR_FORCE_OFF names an unknown rung. Thread: any.
 */
int weir_ladder_probe(const struct weir_kernel *kernel,
		      weir_rung_set forced_off, struct weir_rung *out_rungs,
		      struct weir_error *error);

/** weir_ladder_can_run() - true if every required rung is on. */
bool weir_ladder_can_run(const struct weir_rung *rungs);

/**
 * weir_ladder_read() - the rungs that @ring uses
 * @ring:      open; it must be enabled to check the registered descriptor
 * @out_rungs: shape [WEIR_RUNG_COUNT], index enum weir_rung_id; a rung that no
 *             ring needs for itself is UNTRIED
 *
 * Thread: the ring's own, or any while no thread enables the ring.
 */
void weir_ladder_read(const struct weir_ring *ring,
		      struct weir_rung *out_rungs);

/**
 * weir_rung_set_result() - fill in the state of one row from a result
 * @err: 0: ON; otherwise OFF, with cause and remedy in words
 *
 * For a caller that has tried a rung itself. Thread: any.
 */
void weir_rung_set_result(struct weir_rung *rung, int err);

/**
 * weir_rungs_require() - fail if a rung that a loop needs is forced off
 * @forced_off: as in weir_ring_forced_off()
 * @error:      filled on failure: the rung, and the list of required rungs
 *
 * Return: 0; -EOPNOTSUPP. Thread: any.
 */
int weir_rungs_require(weir_rung_set forced_off, struct weir_error *error);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
