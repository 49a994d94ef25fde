/* story.c - a run: one tape, one story, from nothing to nothing
 *
 *     draw: which story, how small everything is, which faults there are
 *     phase one: faults, until all peers are done or some hundred turns
 *     phase two: healed; what can finish must finish within a bound
 *     end: the loop stops, and nothing is left behind
 */
#include "story_priv.h"

#include "../../uring/abi.h"

#include <string.h>

enum {
	EARLY_TURNS = 60,
	FAULTY_TURNS = 300,
	HEALED_TURNS = 20000,
	STOP_TURNS = 5000,
};

/* The first is what an empty tape plays. */
const struct sim_story sim_stories[] = {
	{ "echo", "a loop echoes what its peers say", story_echo },
};
const uint32_t sim_story_count = sizeof(sim_stories) / sizeof(sim_stories[0]);

const struct sim_story *sim_story_find(const char *name)
{
	for (uint32_t i = 0; i < sim_story_count; i++)
		if (strcmp(sim_stories[i].name, name) == 0)
			return &sim_stories[i];
	return NULL;
}

/* ---- sizes and faults ----------------------------------------------------
 */

uint32_t run_draw(struct weir_tape *tape, const uint32_t *choices,
		  uint32_t count)
{
	return choices[weir_tape_below(tape, count)];
}

/* Swarm: each run has its own few kinds of trouble, and its own small sizes. */
static struct weir_sim_opts draw_world(struct weir_tape *tape)
{
	struct weir_sim_opts opts = {
		.faults = weir_tape_byte(tape),
		.fault_rate = RUN_DRAW(tape, 4, 16, 40),
		.pipe_bytes = RUN_DRAW(tape, 4096, 7, 30, 100, 1000),
		.sq_entries = RUN_DRAW(tape, 64, 2, 4, 8),
		.cq_entries = RUN_DRAW(tape, 256, 8, 16, 32),
	};
	opts.faults &= weir_tape_byte(tape);
	if (opts.cq_entries < opts.sq_entries)
		opts.cq_entries = opts.sq_entries;
	if (weir_tape_below(tape, 4) == 1)
		opts.setup_forbidden = IORING_SETUP_DEFER_TASKRUN;
	return opts;
}

struct weir_loop_opts run_draw_loop(struct sim_run *run)
{
	struct weir_tape *tape = run->tape;
	return (struct weir_loop_opts){
		.ring = { .kernel = weir_sim_kernel(run->sim),
			  .sq_entry_count = 64,
			  .cq_entry_count = 256 },
		.conn_count = RUN_DRAW(tape, 8, 1, 2, 3),
		.backlog = 16,
		.buf_count = RUN_DRAW(tape, 8, 1, 2, 4),
		.buf_bytes = RUN_DRAW(tape, 128, 64, 100),
		.message_bytes_max = 1024,
		.send_high_bytes = RUN_DRAW(tape, 512, 16, 64),
		.send_bytes_max = RUN_DRAW(tape, 8192, 512, 1200),
		.block_memory_bytes = 1 << 20,
		.idle_timeout_ms = 3000,
		.drain_timeout_ms = 1000,
	};
}

void run_faults(struct sim_run *run)
{
	weir_sim_set_faults(run->sim, run->faults);
}

void run_heal(struct sim_run *run)
{
	weir_sim_heal(run->sim);
	run->is_healed = true;
}

/* ---- a loop -------------------------------------------------------------
 */

static int run_listener(struct sim_run *run)
{
	const struct weir_kernel *kernel = weir_sim_kernel(run->sim);
	struct weir_listen_request request = { .backlog = 16 };
	struct weir_addr addr;

	(void)weir_addr_parse("127.0.0.1", RUN_PORT, &addr); /* it is one */
	request.address = addr.storage;
	request.address_bytes = addr.bytes;
	return kernel->listen(kernel->ctx, &request);
}

bool run_open(struct sim_run *run, const struct weir_loop_opts *opts,
	      const struct weir_handlers *handlers)
{
	struct weir_error error = { .code = 0 };
	if (weir_loop_open(&run->loop, opts, handlers, run, &error) < 0) {
		weir_sim_note(run->sim, "no loop: %s", error.text);
		weir_sim_violate(run->sim, "the loop does not open");
		return false;
	}
	weir_loop_listen(run->loop, run_listener(run));
	(void)weir_loop_enable(run->loop);
	return true;
}

bool run_turns(struct sim_run *run, uint32_t turns)
{
	for (uint32_t i = 0; i < turns; i++) {
		if (peers_are_done(run) || weir_sim_violation(run->sim) != NULL)
			return true;
		if (weir_loop_turn(run->loop, WEIR_TIMEOUT_NEVER) <= 0) {
			weir_sim_violate(run->sim, "the loop ends by itself");
			return true;
		}
		run->result->turns++;
		if (weir_sim_is_idle(run->sim))
			break; /* nothing can ever happen */
	}
	return peers_are_done(run);
}

void run_two_phases(struct sim_run *run)
{
	run->stops_early = weir_tape_below(run->tape, 4) == 1;
	(void)run_turns(run, run->stops_early
				     ? weir_tape_below(run->tape, EARLY_TURNS)
				     : FAULTY_TURNS);
	run_heal(run);
	if (!run->stops_early && !run_turns(run, HEALED_TURNS))
		weir_sim_violate(run->sim, "healed, and it does not finish");
}

/* ---- the end ------------------------------------------------------------
 */

static void run_stop(struct sim_run *run)
{
	run->is_stopping = true;
	weir_loop_stop(run->loop);
	for (uint32_t i = 0; i < STOP_TURNS; i++) {
		int result = weir_loop_turn(run->loop, WEIR_TIMEOUT_NEVER);
		if (result == 0)
			return;
		if (result < 0 || weir_sim_violation(run->sim) != NULL) {
			weir_sim_violate(run->sim, "a stop fails");
			return;
		}
	}
	weir_sim_violate(run->sim, "a stop does not end");
}

static void run_check_end(struct sim_run *run)
{
	const struct weir_loop_stats *stats = &run->stats;
	struct weir_sim_residue residue;

	weir_sim_residue(run->sim, &residue);
	if (run->opens != run->closes)
		weir_sim_violate(run->sim, "an on_open without its on_close");
	if (stats->accepts != stats->closes)
		weir_sim_violate(run->sim, "accepts and closes differ");
	if (stats->conns_open != 0 || stats->block_bytes_used != 0)
		weir_sim_violate(run->sim, "a connection or a block is left");
	if (residue.descriptors + residue.slots + residue.operations +
		    residue.mappings >
	    0)
		weir_sim_violate(run->sim, "descriptors, slots, operations "
					   "or mappings are left");
	for (uint32_t i = 0; i < run->peer_count; i++)
		if (!run->peers[i].is_lost && !run->stops_early &&
		    run->peers[i].received != run->peers[i].total)
			weir_sim_violate(run->sim, "a healthy peer was not "
						   "echoed in full");
}

void run_end(struct sim_run *run)
{
	if (weir_sim_violation(run->sim) == NULL)
		run_stop(run);
	weir_loop_stats(run->loop, &run->stats);
	weir_loop_close(run->loop);
	if (weir_sim_violation(run->sim) == NULL)
		run_check_end(run);
}

/* ---- a run --------------------------------------------------------------
 */

void sim_story_play(struct weir_sim *sim, struct weir_tape *tape,
		    const struct sim_story *which, FILE *story,
		    struct sim_story_result *out_result)
{
	if (which == NULL)
		which = &sim_stories[weir_tape_below(tape, sim_story_count)];
	struct weir_sim_opts world = draw_world(tape);
	struct sim_run run = { .sim = sim,
			       .tape = tape,
			       .result = out_result,
			       .faults = world.faults };

	*out_result = (struct sim_story_result){ .story = which };
	world.faults = 0; /* a start that fails is another story */
	world.story = story;
	weir_sim_reset(sim, tape, &world);
	weir_sim_note(sim, "story %s: %s", which->name, which->what);
	which->play(&run);
	out_result->violation = weir_sim_violation(sim);
	out_result->hash = weir_sim_hash(sim);
	out_result->cqes = run.stats.ring.cqes;
	out_result->echoed_bytes = run.echoed_bytes;
	out_result->peers = run.peer_count;
}
