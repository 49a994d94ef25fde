/* story.c - a run: one tape, one story, from an empty world to an empty one
 *
 *     draw: which story, which sizes, which faults
 *     phase one: faults, until all peers are done or some hundred turns
 *     phase two: healed; all that can finish must finish within a bound
 *     end: the loop stops, and nothing is left
 */
#include "left.h"
#include "story_priv.h"

#include "../../uring/abi.h"

#include "../../net/loop/loop_struct.h"
#include "../../net/server/listen_socket.h"

#include <errno.h>
#include <string.h>

enum {
	EARLY_TURNS = 60,
	FAULTY_TURNS = 300,
	HEALED_TURNS = 20000,
	STOP_TURNS = 5000,
	SPIN_TURNS = 100,
	SPIN_NS = 1000000,
	/* longer than any peer rests */
	PATIENCE_NS = 2000000000,
};

/* An empty tape plays the first one. */
const struct sim_story sim_stories[] = {
	{ "echo", "a loop echoes what its peers say", story_echo },
	{ "close", "a handler ends connections, and so do peers", story_close },
	{ "stop", "a loop is stopped under load", story_stop },
	{ "deadline", "who is silent is closed, in time", story_deadline },
	{ "handover", "loops share a port, and serve for each other",
	  story_handover },
	{ "outbound", "a loop calls hosts, and some do not answer",
	  story_outbound },
	{ "misuse", "a handler calls anything, at any time", story_misuse },
};
const uint32_t sim_story_count = sizeof(sim_stories) / sizeof(sim_stories[0]);

const struct sim_story *sim_story_find(const char *name)
{
	for (uint32_t i = 0; i < sim_story_count; i++)
		if (strcmp(sim_stories[i].name, name) == 0)
			return &sim_stories[i];
	return NULL;
}

/* ---- sizes and faults -------------------------------------------------- */

uint32_t run_draw(struct weir_tape *tape, const uint32_t *choices,
		  uint32_t count)
{
	return choices[weir_tape_below(tape, count)];
}

/* Faults that no known kernel has. */
/* (A lost operation costs hundreds of turns.) */
static uint32_t draw_rare(struct weir_tape *tape)
{
	const uint32_t byte = weir_tape_byte(tape);
	return ((byte & 3) == 3 ? WEIR_FAULT_TWICE : 0) |
	       (byte >> 2 == 63 ? WEIR_FAULT_NEVER : 0) |
	       (byte >> 2 == 62 || byte >> 3 == 30 ? WEIR_FAULT_STILL : 0);
}

/* Swarm testing: each run has a few classes of faults, and its own small sizes.
 */
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
	opts.faults |= draw_rare(tape);
	return opts;
}

struct weir_loop_opts run_draw_loop(struct sim_run *run)
{
	struct weir_tape *tape = run->tape;
	const struct weir_loop_opts opts = {
		.ring = { .kernel = weir_sim_kernel(run->sim),
			  .sq_entry_count = 64,
			  .cq_entry_count = 256 },
		.conn_count = RUN_DRAW(tape, 8, 1, 2, 3),
		.backlog = 16,
		.buf_count = RUN_DRAW(tape, 8, 1, 2, 4),
		.buf_bytes = RUN_DRAW(tape, 128, 64, 100),
		.block_memory_bytes = 1 << 18,
	};
	run->service = (struct weir_service){
		.message_bytes_max = 1024,
		.send_high_bytes = RUN_DRAW(tape, 512, 16, 64),
		.send_bytes_max = RUN_DRAW(tape, 8192, 512, 1200),
		.idle_timeout_ms = 3000,
		.drain_timeout_ms = 1000,
	};
	return opts;
}

/* A lost operation may still complete, late. */
static void run_patience_ends(struct sim_run *run)
{
	if (weir_tape_below(run->tape, 2) == 1)
		weir_sim_revive(run->sim);
	peers_hang_up(run);
}

/* Clients have deadlines too: where an operation may be lost, a client that
 * receives nothing for long closes. */
static bool run_patience(struct weir_sim *sim, void *ctx)
{
	struct sim_run *run = ctx;
	uint64_t said = 0;
	if (!run->is_healed || peers_are_done(run))
		return false;
	for (uint32_t i = 0; i < run->peer_count; i++)
		said += run->peers[i].sent + run->peers[i].received;
	const bool is_quiet = said == run->patience_said;
	run->patience_said = said;
	weir_sim_rest(sim, PATIENCE_NS);
	run->patience_quiet = is_quiet ? run->patience_quiet + 1 : 0;
	if (run->patience_quiet > 1)
		run_patience_ends(run);
	return false;
}

void run_faults(struct sim_run *run)
{
	if ((run->faults & WEIR_FAULT_NEVER) != 0)
		(void)weir_sim_on_step(run->sim, run_patience, run);
	weir_sim_set_faults(run->sim, run->faults);
}

void run_heal(struct sim_run *run)
{
	weir_sim_heal(run->sim);
	run->is_healed = true;
}

/* ---- a loop ------------------------------------------------------------ */

static int run_listener(struct sim_run *run)
{
	const struct weir_kernel *kernel = weir_sim_kernel(run->sim);
	struct wi_listen_request request = { .backlog = 16,
					     .joins_group = true };

	(void)weir_addr_parse("127.0.0.1", RUN_PORT, &request.addr);
	return wi_listen_socket_open(kernel, &request, NULL);
}

/* The formula that loop.h gives for @block_memory_bytes. */
static size_t conn_bytes_max(const struct weir_loop_opts *opts,
			     const struct weir_service *service)
{
	const size_t buffers = (size_t)opts->buf_count * opts->buf_bytes;
	return 6 * service->send_bytes_max +
	       4 * (service->message_bytes_max + 2 * buffers) + 8192;
}

/* The loop maps no memory after its start. */
static void loop_check_memory(const struct run_loop *loop)
{
	const struct wi_blocks *blocks = &loop->loop->core.blocks;
	const size_t conns = loop->loop->conns.pool.used_count;
	struct weir_sim *sim = loop->run->sim;

	if (blocks->used_bytes > blocks->bytes ||
	    blocks->used_bytes > conns * loop->conn_bytes_max)
		weir_sim_violate(sim, "more memory than the formula says");
	if (weir_sim_mapped_bytes(sim) != loop->run->mapped_bytes)
		weir_sim_violate(sim, "memory is mapped after the start");
}

static bool loop_turn(void *ctx)
{
	struct run_loop *loop = ctx;
	struct sim_run *run = loop->run;
	const int result = weir_loop_turn(loop->loop, WEIR_TIMEOUT_NEVER);

	run->result->turns++;
	loop_check_memory(loop);
	if (run->on_turn != NULL)
		run->on_turn(run->ctx);
	if (result > 0)
		return true;
	loop->is_over = true;
	loop->is_timed_out = result == -ETIMEDOUT && loop->is_stopping &&
			     (run->faults & WEIR_FAULT_NEVER) != 0;
	if ((result < 0 && !loop->is_timed_out) || !loop->is_stopping)
		weir_sim_violate(run->sim, "a loop ends by itself");
	return false;
}

bool run_open(struct sim_run *run, const struct weir_loop_opts *opts,
	      const struct weir_handlers *handlers, void *ctx)
{
	struct weir_error error = { .code = 0 };
	struct run_loop *loop = &run->loops[run->loop_count];

	*loop = (struct run_loop){ .run = run };
	run->service.handlers = *handlers;
	run->service.ctx = ctx;
	if (weir_loop_open(&loop->loop, opts, &error) < 0) {
		weir_sim_note(run->sim, "no loop: %s", error.text);
		weir_sim_violate(run->sim, "the loop does not open");
		return false;
	}
	loop->conn_bytes_max = conn_bytes_max(&loop->loop->opts, &run->service);
	run->mapped_bytes = weir_sim_mapped_bytes(run->sim);
	run->loop_count++;
	loop->listener_fd = run_listener(run);
	(void)weir_loop_listen(loop->loop, &run->service, loop->listener_fd,
			       NULL);       /* the sizes are in range */
	(void)weir_loop_enable(loop->loop); /* for the first time */
	(void)weir_sim_on_turn(run->sim, loop_turn, loop);
	return true;
}

struct run_loop *run_loop_of(struct sim_run *run, const struct weir_loop *loop)
{
	for (uint32_t i = 0; i < run->loop_count; i++)
		if (run->loops[i].loop == loop)
			return &run->loops[i];
	return NULL;
}

bool run_has_timed_out(const struct sim_run *run)
{
	for (uint32_t i = 0; i < run->loop_count; i++) {
		struct weir_loop_stats stats;
		weir_loop_stats(run->loops[i].loop, &stats);
		if (stats.operation_timeouts > 0)
			return true;
	}
	return false;
}

void run_stop_loop(struct run_loop *loop)
{
	weir_sim_note(loop->run->sim, "loop %d is to stop",
		      (int)(loop - loop->run->loops));
	loop->is_stopping = true;
	loop->run->is_stopping = true;
	weir_loop_stop(loop->loop);
}

static bool loops_are_over(const struct sim_run *run)
{
	for (uint32_t i = 0; i < run->loop_count; i++)
		if (!run->loops[i].is_over)
			return false;
	return true;
}

static bool run_is_done(const struct sim_run *run)
{
	/* A lost operation delays no on_close. */
	if ((run->faults & WEIR_FAULT_NEVER) != 0 && run->is_healed &&
	    run->opens != run->closes)
		return false;
	return run->is_done != NULL ? run->is_done(run) : peers_are_done(run);
}

/* Once healed, turns must move something or sleep. A loop that retries a
 * failing operation at once, or does not sleep, would run for ever. */
struct spin {
	uint64_t moved;
	uint64_t now_ns;
	uint32_t turns;
};

static void spin_check(struct sim_run *run, struct spin *spin)
{
	const uint64_t now_ns = weir_sim_now_ns(run->sim);
	if (!run->is_healed || run->moved != spin->moved ||
	    now_ns >= spin->now_ns + SPIN_NS) {
		*spin = (struct spin){ .moved = run->moved, .now_ns = now_ns };
		return;
	}
	if (++spin->turns > SPIN_TURNS)
		weir_sim_violate(run->sim, "turn after turn, and nothing "
					   "moves");
}

bool run_turns(struct sim_run *run, uint32_t turns)
{
	struct spin spin = { .turns = 0 };
	for (uint32_t i = 0; i < turns; i++) {
		if (run_is_done(run) || weir_sim_violation(run->sim) != NULL)
			return true;
		if (!weir_sim_turn(run->sim))
			return true; /* all loops have been stopped */
		if (weir_sim_is_idle(run->sim))
			break; /* nothing can ever happen again */
		spin_check(run, &spin);
	}
	return run_is_done(run);
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

/* ---- the end ----------------------------------------------------------- */

static void run_stop(struct sim_run *run)
{
	struct spin spin = { .turns = 0 };
	for (uint32_t i = 0; i < run->loop_count; i++)
		if (!run->loops[i].is_stopping)
			run_stop_loop(&run->loops[i]);
	for (uint32_t i = 0; i < STOP_TURNS; i++) {
		if (loops_are_over(run) || weir_sim_violation(run->sim) != NULL)
			return;
		(void)weir_sim_turn(run->sim);
		spin_check(run, &spin);
	}
	weir_sim_violate(run->sim, "a stop does not end");
}

static void run_check_peer(struct sim_run *run, const struct peer *peer)
{
	if (!run->is_free && !peer->is_lost && !run->stops_early &&
	    peer->received != peer->total)
		weir_sim_violate(run->sim, "a healthy peer was not echoed in "
					   "full");
	if (peer->has_owed && peer->received > peer->owed)
		weir_sim_violate(run->sim, "a peer received more than the "
					   "handler has said");
	if (peer->is_owed_all && peer->saw_fin && peer->received < peer->owed)
		weir_sim_violate(run->sim, "the stream ends, and not all that "
					   "the handler said is in it");
}

static void run_check_stale(struct sim_run *run,
			    const struct weir_loop_stats *stats)
{
	const uint32_t strays = WEIR_FAULT_STALE | WEIR_FAULT_TWICE;
	if ((run->faults & strays) == 0 && stats->stale_completions > 0)
		weir_sim_violate(run->sim, "a completion is taken for stale, "
					   "and all are due");
	if ((run->faults & WEIR_FAULT_NEVER) == 0 &&
	    stats->operation_timeouts > 0)
		weir_sim_violate(run->sim, "a connection is given up, and all "
					   "operations complete");
}

/* Bytes as counted by the loops, and by the kernel. */
static void run_check_traffic(struct sim_run *run)
{
	struct weir_sim_traffic traffic;
	uint64_t shown = 0;
	weir_sim_traffic(run->sim, &traffic);
	for (uint32_t i = 0; i < run->loop_count; i++) {
		const struct weir_loop_stats *stats = &run->loops[i].stats;
		if (run->loops[i].is_timed_out)
			return; /* later bytes are not counted */
		traffic.received_bytes -= stats->recv_bytes;
		traffic.sent_bytes -= stats->sent_bytes;
		shown += stats->recv_bytes - stats->recv_discarded_bytes;
	}
	for (uint32_t i = 0; i < run->peer_count; i++)
		shown -= run->peers[i].shown;
	if (traffic.received_bytes != 0 || traffic.sent_bytes != 0)
		weir_sim_violate(run->sim, "a loop counts other bytes than the "
					   "kernel has moved");
	if ((int64_t)shown < 0)
		weir_sim_violate(run->sim, "more bytes are shown than the "
					   "loops have counted");
}

static void run_check_end(struct sim_run *run)
{
	struct weir_sim_residue residue;
	uint64_t begun = run->outbound;
	uint64_t closes = 0;
	uint64_t left = 0;
	uint64_t kept = 0; /* loops with memory that the kernel may use */

	for (uint32_t i = 0; i < run->loop_count; i++) {
		const struct weir_loop_stats *stats = &run->loops[i].stats;
		begun += stats->accepts;
		closes += stats->closes;
		if (!run->loops[i].is_timed_out)
			left += stats->conns_open + stats->block_bytes_used +
				stats->kept_bytes;
		kept += run->loops[i].is_timed_out;
		run_check_stale(run, stats);
	}
	weir_sim_residue(run->sim, &residue);
	if (run->opens != run->closes)
		weir_sim_violate(run->sim, "an on_open without its on_close");
	if (begun != closes)
		weir_sim_violate(run->sim, "not as many closes as accepts and "
					   "connects");
	if (left != 0)
		weir_sim_violate(run->sim, "a connection or a block is left");
	if (residue.descriptors + residue.slots + residue.operations > 0 ||
	    residue.mappings != kept)
		weir_sim_violate(run->sim, "descriptors, slots, operations "
					   "or mappings are left");
	for (uint32_t i = 0; i < run->peer_count; i++)
		run_check_peer(run, &run->peers[i]);
	run_check_traffic(run);
}

void run_end(struct sim_run *run)
{
	run->is_ending = true;
	if (weir_sim_violation(run->sim) == NULL)
		run_stop(run);
	for (uint32_t i = 0; i < run->loop_count; i++) {
		struct run_loop *loop = &run->loops[i];
		weir_loop_stats(loop->loop, &loop->stats);
		run->result->cqes += loop->stats.ring.cqes;
		if (weir_sim_violation(run->sim) == NULL && loop->is_over &&
		    !loop->is_timed_out)
			sim_check_left(run->sim, loop->loop);
		weir_loop_close(loop->loop);
	}
	if (weir_sim_violation(run->sim) == NULL)
		run_check_end(run);
}

/* ---- a run ------------------------------------------------------------- */

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
	world.faults = 0; /* a failing start is not part of a story */
	world.story = story;
	weir_sim_reset(sim, tape, &world);
	weir_sim_note(sim, "story %s: %s", which->name, which->what);
	which->play(&run);
	out_result->violation = weir_sim_violation(sim);
	out_result->hash = weir_sim_hash(sim);

	out_result->echoed_bytes = run.echoed_bytes;
	out_result->peers = run.peer_count;
}
