/* trial.h - operations that a loop can do without, and whether they work
 *
 * A loop learns from the first completion whether its kernel has such an
 * operation (the ladder's rungs of that name). After a refusal it does not use
 * the operation again.
 */
#ifndef WEIR_NET_CORE_TRIAL_H
#define WEIR_NET_CORE_TRIAL_H

#include "../../uring/barrier.h"
#include "../../uring/rung.h"

/* Any thread may read it. */
struct wi_trial {
	uint32_t is_done;
	uint32_t refusal; /* errno, positive */
};

struct wi_trials {
	weir_rung_set off; /* forced, or refused for good */
	struct wi_trial install_slot;
	struct wi_trial socket_cmd;
};

static inline bool wi_trials_allow(const struct wi_trials *trials,
				   enum weir_rung_id id)
{
	return (trials->off & weir_rung_bit(id)) == 0;
}

static inline void wi_trial_done(struct wi_trial *trial)
{
	wi_store_relaxed_u32(&trial->is_done, 1);
}

/* The kernel lacks the operation: the loop does not use it again. */
static inline void wi_trial_refused(struct wi_trials *trials,
				    struct wi_trial *trial,
				    enum weir_rung_id id, int err)
{
	wi_store_relaxed_u32(&trial->refusal, (uint32_t)-err);
	trials->off |= weir_rung_bit(id);
}

#endif
