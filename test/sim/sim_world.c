/* sim_world.c - what happens next: an operation, an arrival, a loop, a peer
 *
 *     count how many of each can --> the tape picks one --> it happens
 */
#include "sim_op_priv.h"

enum { STEP_NS = 1000 };

static bool step_is_ready(const struct weir_sim *sim,
			  const struct sim_step *step)
{
	if (sim->now_ns < step->wake_ns)
		return false;
	return !step->is_resting || step->rested_at != sim->events;
}

/* Return: how many peers can make a step; @out_ready: which. */
static uint32_t steps_ready(const struct weir_sim *sim, uint8_t *out_ready)
{
	uint32_t count = 0;
	for (int i = 0; i < sim->step_count; i++)
		if (step_is_ready(sim, &sim->steps[i]))
			out_ready[count++] = (uint8_t)i;
	return count;
}

static void step_run(struct weir_sim *sim, int index)
{
	struct sim_step *step = &sim->steps[index];
	step->wake_ns = 0;
	sim->step = index;
	step->is_resting = !step->step(sim, step->ctx) && step->wake_ns == 0;
	step->rested_at = sim->events;
}

uint64_t sim_world_due_ns(const struct weir_sim *sim)
{
	const uint64_t op_ns = sim_op_next_due_ns(sim);
	const uint64_t thread_ns = sim_threads_due_ns(sim);
	uint64_t due_ns = op_ns < thread_ns ? op_ns : thread_ns;
	for (int i = 0; i < sim->step_count; i++)
		if (sim->steps[i].wake_ns > sim->now_ns &&
		    sim->steps[i].wake_ns < due_ns)
			due_ns = sim->steps[i].wake_ns;
	return due_ns;
}

static bool view_holds(const struct weir_sim *sim, int ring,
		       enum sim_runner run)
{
	const struct sim_view *view = &sim->view;
	return view->is_fresh && view->ring == ring && view->run == run &&
	       view->events == sim->events && sim->now_ns < view->until_ns &&
	       sim->moments > sim->naps_end;
}

static void view_look(struct weir_sim *sim, int ring, enum sim_runner run)
{
	struct sim_view *view = &sim->view;
	view->ring = ring;
	view->run = run;
	view->events = sim->events;
	view->ops = ring == SIM_NONE ? 0 : sim_op_runnable(sim, ring, run);
	view->segments = sim_net_pending(sim);
	view->arrivals = view->segments + sim_udp_is_moving(sim);
	view->threads = sim_threads_ready(sim);
}

/* Makes one thing happen: an operation of this ring, an arrival, a turn of
 * another loop, a step of a peer. Benign: in this order. False: nothing can. */
bool sim_world_step(struct weir_sim *sim, int ring, enum sim_runner run)
{
	sim_worker_moment(sim);
	const bool is_known = view_holds(sim, ring, run);
	if (!is_known)
		view_look(sim, ring, run);
	const uint32_t ops = sim->view.ops;
	const uint32_t segments = sim->view.segments;
	const uint32_t arrivals = sim->view.arrivals;
	const uint32_t threads = sim->view.threads;
	sim->view.is_fresh = false;
	uint8_t ready[SIM_STEPS];
	const uint32_t peers = steps_ready(sim, ready);
	if (ops + arrivals + threads + peers == 0)
		return false;
	uint32_t pick =
		weir_tape_below(sim->tape, ops + arrivals + threads + peers);
	sim->now_ns += STEP_NS;
	if (sim_fault(sim, WEIR_FAULT_CLOCK))
		sim->now_ns += UINT64_C(1000000)
			       << weir_tape_below(sim->tape, 16);
	/* Only once all its completions are read: then its slot may be reused.
	 */
	if (ring != SIM_NONE && sim->dead_count > 0 &&
	    !sim_ring_has_news(sim, ring) && sim_fault(sim, WEIR_FAULT_STALE))
		sim_op_haunt(sim, ring);
	if (pick < ops) {
		sim_op_run(sim, pick);
		return true;
	}
	pick -= ops;
	if (pick < segments) {
		sim_net_arrive(sim, pick);
		return true;
	}
	if (pick < arrivals) {
		sim_udp_arrive(sim);
		return true;
	}
	pick -= arrivals;
	if (pick < threads) {
		sim_threads_run(sim, pick);
		return true;
	}
	step_run(sim, ready[pick - threads]);
	sim->view.is_fresh = sim->view.events == sim->events;
	if (sim->view.is_fresh && !is_known)
		sim->view.until_ns = sim_world_due_ns(sim);
	return true;
}

void weir_sim_rest(struct weir_sim *sim, uint64_t ns)
{
	sim->steps[sim->step].wake_ns = sim->now_ns + ns;
}

void weir_sim_settle(struct weir_sim *sim)
{
	for (int i = 0; i < SIM_STEPS_MAX &&
			(sim_world_step(sim, SIM_NONE, SIM_RUN_WAITING) ||
			 sim_worker_rouse(sim));
	     i++)
		continue;
}
