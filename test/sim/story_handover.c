/* story_handover.c - loops share a port, and take over for each other
 *
 *     client --> the steering rule (net/steer/steer_rule.h) --> loop 0, 1, 2
 *
 *     SERVES --> LEAVES --> DRAINED --> SERVES          any --> STOPS
 *         drain    acknowledged    resume
 *
 * While loops are drained, resumed and stopped, at least one serves. So no
 * client is refused. If the kernel migrates the connections that wait at a
 * closing listener, none is reset either, except on a loop that stops.
 */
#include "story_priv.h"

#include "../../net/loop/loop_priv.h"
#include "../../net/loop/loop_struct.h"
#include "../../net/server/listen_socket.h"
#include "../../net/steer/steer_rule.h"

#include <errno.h>

enum {
	ACTS = 3,
	CPUS = 4,
	SOURCES = 256 /* different hashes of clients */,
	MOVES_MAX = 30
};

enum act_kind { ACT_DRAIN = 0, ACT_RESUME, ACT_STOP };

struct act {
	enum act_kind kind;
	uint32_t loop;
	uint64_t at_moved; /* not before run->moved is that high */
};

enum member_state {
	MEMBER_SERVES = 0,
	MEMBER_LEAVES,
	MEMBER_STOPPED,
	MEMBER_STOPS
};

struct handover {
	struct sim_run *run;
	struct wi_steer_state *state;
	enum member_state members[RUN_LOOPS];
	uint64_t accepts[RUN_LOOPS]; /* when its end was acknowledged */
	uint32_t turn;
	struct act acts[ACTS];
	uint32_t act_next;
	bool migrates;
};

/* ---- steering ---------------------------------------------------------- */

static void steer_fill(struct handover *handover)
{
	struct wi_steer_state *state = handover->state;
	const uint32_t member_count = handover->run->loop_count;
	uint32_t count = 0;

	state->member_count = member_count;
	for (uint32_t i = 0; i < member_count; i++) {
		const bool serves = handover->members[i] == MEMBER_SERVES;
		state->members[i] =
			(struct wi_steer_member){ .weight = serves };
		if (serves)
			state->turns[count++] = (uint16_t)i;
	}
	state->turn_count = count;
	for (uint32_t i = 0; i < CPUS; i++) {
		state->cpu_member_count[i] = count > 0;
		state->cpu_members[i][0] = count > 0 ? state->turns[i % count]
						     : WI_STEER_NO_MEMBER;
	}
	if (state->policy == WI_STEER_SOURCE_HASH)
		for (uint32_t i = 0; i < SOURCES; i++)
			state->buckets[i] = count > 0 ? state->turns[i % count]
						      : WI_STEER_NO_MEMBER;
}

/* As in steer.bpf.c. For a member without an open listener: the kernel's hash.
 */
static int handover_choose(void *ctx, bool is_moving)
{
	struct handover *handover = ctx;
	struct sim_run *run = handover->run;
	struct wi_steer_state *state = handover->state;
	(void)is_moving;

	for (uint32_t i = 0; i < run->loop_count; i++) {
		struct weir_loop_stats stats;
		weir_loop_stats(run->loops[i].loop, &stats);
		state->members[i].open_count = (uint32_t)stats.conns_open;
		state->members[i].published_ms =
			(uint32_t)(weir_sim_now_ns(run->sim) / 1000000);
	}
	const struct wi_steer_facts facts = {
		.cpu = weir_tape_below(run->tape, CPUS),
		.step = handover->turn++,
		.source = weir_tape_below(run->tape, SOURCES),
		.now_ms = (uint32_t)(weir_sim_now_ns(run->sim) / 1000000),
	};
	const uint32_t member = wi_steer_choose(state, state->policy, &facts);
	if (member == WI_STEER_NO_MEMBER)
		return WEIR_SIM_NO_CONN;
	if (member >= run->loop_count ||
	    handover->members[member] != MEMBER_SERVES)
		weir_sim_violate(run->sim, "a loop that has left is chosen");
	return (int)member;
}

/* ---- acts: as in server_roll.c and server_listen.c --------------------- */

static struct wi_listener *listener_of(const struct handover *handover,
				       uint32_t index)
{
	return &handover->run->loops[index].loop->listeners.list[0];
}

static uint32_t serving_count(const struct handover *handover)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < handover->run->loop_count; i++)
		count += handover->members[i] == MEMBER_SERVES;
	return count;
}

static bool act_drain(struct handover *handover, uint32_t index)
{
	struct run_loop *loop = &handover->run->loops[index];
	const struct weir_kernel *kernel = weir_sim_kernel(handover->run->sim);

	if (handover->members[index] != MEMBER_SERVES ||
	    serving_count(handover) == 1)
		return false;
	weir_sim_note(handover->run->sim, "loop %u is drained", index);
	handover->members[index] = MEMBER_LEAVES;
	steer_fill(handover);
	if (handover->migrates) {
		wi_listener_command(listener_of(handover, index),
				    WI_LISTENER_HOLD);
		wi_loop_wake(loop->loop);
		(void)kernel->shutdown(kernel->ctx, loop->listener_fd,
				       SHUT_RDWR); /* the loop may be first */
	} else {
		wi_listener_command(listener_of(handover, index),
				    WI_LISTENER_EMPTY);
		wi_loop_wake(loop->loop);
	}
	return true;
}

static uint64_t accepts_of(const struct run_loop *loop)
{
	struct weir_loop_stats stats;
	weir_loop_stats(loop->loop, &stats);
	return stats.accepts;
}

/* After the acknowledgement, and never before. */
static bool leaving_step(struct handover *handover)
{
	bool has_moved = false;
	for (uint32_t i = 0; i < handover->run->loop_count; i++) {
		if (handover->members[i] != MEMBER_LEAVES ||
		    !wi_listener_has_acknowledged(listener_of(handover, i)))
			continue;
		weir_sim_note(handover->run->sim, "loop %u has left", i);
		handover->members[i] = MEMBER_STOPPED;
		handover->accepts[i] = accepts_of(&handover->run->loops[i]);
		has_moved = true;
	}
	return has_moved;
}

static void check_drained(const struct handover *handover, uint32_t index)
{
	if (accepts_of(&handover->run->loops[index]) !=
	    handover->accepts[index])
		weir_sim_violate(handover->run->sim,
				 "a loop accepts after it has told that it "
				 "does not");
}

static bool act_resume(struct handover *handover, uint32_t index)
{
	struct run_loop *loop = &handover->run->loops[index];
	const struct weir_kernel *kernel = weir_sim_kernel(handover->run->sim);

	if (handover->members[index] != MEMBER_STOPPED)
		return false;
	check_drained(handover, index);
	weir_sim_note(handover->run->sim, "loop %u is resumed", index);
	if (wi_listen_socket_reopen(kernel, loop->listener_fd, 16) < 0)
		weir_sim_violate(handover->run->sim,
				 "its own address is taken");
	wi_listener_command(listener_of(handover, index), WI_LISTENER_ACCEPT);
	wi_loop_wake(loop->loop);
	handover->members[index] = MEMBER_SERVES;
	steer_fill(handover);
	return true;
}

static bool act_stop(struct handover *handover, uint32_t index)
{
	if (handover->members[index] == MEMBER_STOPS ||
	    (handover->members[index] == MEMBER_SERVES &&
	     serving_count(handover) == 1))
		return false;
	handover->members[index] = MEMBER_STOPS;
	steer_fill(handover);
	run_stop_loop(&handover->run->loops[index]);
	return true;
}

static bool act_do(struct handover *handover, const struct act *act)
{
	switch (act->kind) {
	case ACT_DRAIN:
		return act_drain(handover, act->loop);
	case ACT_RESUME:
		return act_resume(handover, act->loop);
	case ACT_STOP:
		return act_stop(handover, act->loop);
	}
	return false;
}

static bool handover_step(struct weir_sim *sim, void *ctx)
{
	struct handover *handover = ctx;
	bool has_moved = leaving_step(handover);
	(void)sim;
	if (handover->act_next < ACTS &&
	    handover->run->moved >= handover->acts[handover->act_next].at_moved)
		has_moved |=
			act_do(handover, &handover->acts[handover->act_next++]);
	return has_moved;
}

/* The loops that were to leave have acknowledged it, too. */
static bool handover_is_done(const struct sim_run *run)
{
	const struct handover *handover = run->ctx;
	for (uint32_t i = 0; i < run->loop_count; i++)
		if (handover->members[i] == MEMBER_LEAVES &&
		    !wi_listener_has_acknowledged(listener_of(handover, i)))
			return false;
	return peers_are_done(run);
}

/* ---- the story --------------------------------------------------------- */

static void handover_draw(struct handover *handover)
{
	struct weir_tape *tape = handover->run->tape;
	const uint32_t loops = handover->run->loop_count;
	uint64_t at = 0;

	handover->state->policy = RUN_DRAW(
		tape, WI_STEER_ROUND_ROBIN, WI_STEER_KERNEL, WI_STEER_CPU,
		WI_STEER_LEAST_LOADED, WI_STEER_SOURCE_HASH);
	for (uint32_t i = 0; i < ACTS; i++) {
		at += weir_tape_below(tape, MOVES_MAX);
		handover->acts[i] = (struct act){
			.kind = (enum act_kind)(
				(i + RUN_DRAW(tape, 0, 0, 0, 1, 2)) % 3),
			.loop = i > 0 && weir_tape_below(tape, 4) != 1
					? handover->acts[i - 1].loop
					: weir_tape_below(tape, loops),
			.at_moved = at,
		};
	}
	steer_fill(handover);
}

void story_handover(struct sim_run *run)
{
	static struct wi_steer_state state;
	struct handover handover = { .run = run, .state = &state };
	const uint32_t loop_count =
		RUN_DRAW(run->tape, RUN_LOOPS - 1, RUN_LOOPS);

	handover.migrates = weir_tape_below(run->tape, 2) == 0;
	weir_sim_set_migrates(run->sim, handover.migrates);
	for (uint32_t i = 0; i < loop_count; i++) {
		const struct weir_loop_opts opts = run_draw_loop(run);
		if (!run_open(run, &opts, &echo_handlers, run))
			return;
	}
	handover_draw(&handover);
	weir_sim_on_choice(run->sim, handover_choose, &handover);
	(void)weir_sim_on_step(run->sim, handover_step, &handover);
	peers_start(run);
	for (uint32_t i = 0; i < run->peer_count; i++)
		run->peers[i].at_moved =
			weir_tape_below(run->tape, 2 * MOVES_MAX);

	run->ctx = &handover;
	run->is_done = handover_is_done;
	run_faults(run);
	run->is_strict = handover.migrates;
	run_two_phases(run);
	for (uint32_t i = 0; i < run->loop_count; i++)
		if (handover.members[i] == MEMBER_STOPPED)
			check_drained(&handover, i);
	weir_sim_on_choice(run->sim, NULL, NULL);
	run_end(run);
}
