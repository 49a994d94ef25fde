/* sim_thread.c - several loops in one world, on one thread
 *
 *     weir_sim_turn(): one of them, by the tape --> its enter: it waits
 *                                                     |
 *              the others: a turn each, by the tape <-+ a step of the world
 *
 * A turn within another loop's wait does not wait itself. Its enter is
 * interrupted where it would sleep. It makes its next turn when there is an
 * event for it: a completion, an operation that can continue, or its timeout.
 */
#include "sim_op_priv.h"

#include <errno.h>

int weir_sim_on_turn(struct weir_sim *sim, bool (*turn)(void *ctx), void *ctx)
{
	if (sim->thread_count == SIM_RINGS)
		return -ENOSPC;
	sim->threads[sim->thread_count++] = (struct sim_thread){
		.turn = turn,
		.ctx = ctx,
		.ring = SIM_NONE,
	};
	return 0;
}

static void thread_run(struct weir_sim *sim, int index)
{
	struct sim_thread *thread = &sim->threads[index];
	const int outer = sim->thread;

	thread->is_running = true;
	thread->is_asleep = false;
	sim->thread = index;
	sim->thread_depth++;
	sim_hash_add(sim, (uint64_t)index);
	if (!thread->turn(thread->ctx)) {
		thread->is_over = true;
		weir_sim_note(sim, "thread %d has ended", index);
	}
	sim->thread_depth--;
	sim->thread = outer;
	thread->is_running = false;
	sim->events++;
}

bool weir_sim_turn(struct weir_sim *sim)
{
	int alive[SIM_RINGS];
	uint32_t count = 0;

	for (int i = 0; i < sim->thread_count; i++)
		if (!sim->threads[i].is_over)
			alive[count++] = i;
	if (count == 0)
		return false;
	thread_run(sim, alive[weir_tape_below(sim->tape, count)]);
	return true;
}

bool sim_thread_is_nested(const struct weir_sim *sim)
{
	return sim->thread_depth > 1;
}

void sim_thread_enters(struct weir_sim *sim, int ring)
{
	if (sim->thread != SIM_NONE)
		sim->threads[sim->thread].ring = ring;
}

void sim_thread_sleeps(struct weir_sim *sim, uint64_t wake_ns)
{
	sim->threads[sim->thread].is_asleep = true;
	sim->threads[sim->thread].wake_ns = wake_ns;
}

static bool thread_is_ready(const struct weir_sim *sim,
			    const struct sim_thread *thread)
{
	if (thread->is_over || thread->is_running)
		return false;
	return !thread->is_asleep || sim->now_ns >= thread->wake_ns ||
	       sim_ring_has_news(sim, thread->ring) ||
	       sim_op_any_runs(sim, thread->ring, SIM_RUN_WAITING);
}

uint32_t sim_threads_ready(const struct weir_sim *sim)
{
	uint32_t count = 0;
	for (int i = 0; i < sim->thread_count; i++)
		count += thread_is_ready(sim, &sim->threads[i]);
	return count;
}

void sim_threads_run(struct weir_sim *sim, uint32_t index)
{
	for (int i = 0; i < sim->thread_count; i++) {
		if (!thread_is_ready(sim, &sim->threads[i]) || index-- > 0)
			continue;
		thread_run(sim, i);
		return;
	}
}

uint64_t sim_threads_due_ns(const struct weir_sim *sim)
{
	uint64_t due_ns = UINT64_MAX;
	for (int i = 0; i < sim->thread_count; i++) {
		const struct sim_thread *thread = &sim->threads[i];
		if (!thread->is_over && !thread->is_running &&
		    thread->wake_ns < due_ns)
			due_ns = thread->wake_ns;
	}
	return due_ns;
}
