/* story_stop.c - a loop is stopped under load
 *
 *     peers connect and talk --> stop, maybe twice --> the loop ends
 *                                  |
 *        bytes that had arrived by then, also in the backlog, are shown,
 *        answered, and read by the peer; later bytes may be cut off
 */
#include "story_priv.h"

enum { MOVES_MAX = 40, STOP_TURNS_MAX = 400 };

struct stop {
	struct sim_run *run;
	uint64_t at_moved; /* not before run->moved is that high */
	bool is_forced;    /* a second call follows */
	bool is_done;
	uint32_t arrived[RUN_PEERS]; /* bytes, when it was stopped */
};

static bool stop_step(struct weir_sim *sim, void *ctx)
{
	struct stop *stop = ctx;
	struct sim_run *run = stop->run;

	if (stop->is_done || run->moved < stop->at_moved)
		return false;
	for (uint32_t i = 0; i < run->peer_count; i++) {
		const struct peer *peer = &run->peers[i];
		if (peer->state == PEER_TALKING || peer->state == PEER_FINISHED)
			stop->arrived[i] =
				weir_sim_arrived_bytes(sim, peer->conn);
	}
	stop->is_done = true;
	run_stop_loop(&run->loops[0]);
	if (stop->is_forced)
		run_stop_loop(&run->loops[0]);
	return true;
}

/* Nothing in this world may cut it off before its answer. */
static bool peer_is_sure(const struct stop *stop, const struct peer *peer)
{
	uint32_t excuses =
		WEIR_FAULT_ERRNO | RUN_FAULTS_CLOCK | WEIR_FAULT_NEVER;
	/* A waiting peer has a few turns to be accepted; refused enters use
	 * them up. */
	if (!peer->was_shown)
		excuses |= WEIR_FAULT_ENTER;
	return !stop->is_forced && !peer->is_rude && !peer->is_mute &&
	       (stop->run->faults & excuses) == 0;
}

static void stop_check(const struct stop *stop)
{
	const struct sim_run *run = stop->run;
	for (uint32_t i = 0; i < run->peer_count; i++) {
		const struct peer *peer = &run->peers[i];
		if (!peer_is_sure(stop, peer))
			continue;
		if (peer->shown < stop->arrived[i])
			weir_sim_violate(run->sim,
					 "what had arrived before the stop is "
					 "not shown");
		if (peer->received < stop->arrived[i])
			weir_sim_violate(run->sim,
					 "what had arrived before the stop is "
					 "not answered");
	}
}

static bool stop_is_over(const struct sim_run *run)
{
	return run->loops[0].is_over && peers_are_done(run);
}

void story_stop(struct sim_run *run)
{
	struct stop stop = { .run = run };
	const struct weir_loop_opts opts = run_draw_loop(run);

	stop.at_moved = weir_tape_below(run->tape, MOVES_MAX);
	stop.is_forced = weir_tape_below(run->tape, 8) == 1;
	run->takes_all = true;
	run->stops_early = true;
	run->is_done = stop_is_over;
	if (!run_open(run, &opts, &echo_handlers, run))
		return;
	peers_start(run);
	(void)weir_sim_on_step(run->sim, stop_step, &stop);
	run_faults(run);
	(void)run_turns(run, STOP_TURNS_MAX);
	stop.at_moved = 0;
	run_heal(run);
	run_end(run);
	/* The loop has ended; bytes in transit still arrive. */
	weir_sim_settle(run->sim);
	stop_check(&stop);
}
