/* peers.c - clients that send a pattern and read it back
 *
 *     WAITING -> TALKING -> FINISHED -> DONE
 *                   +------ lost -------^
 *
 * Each has its manners: rude, mute, polite, greedy; see struct peer.
 */
#include "story_priv.h"

#include <errno.h>

enum {
	MANY_BYTES = 3000, /* more than a chunk of a send queue */
	CHUNK_MAX = 300,
	NS_PER_MS = 1000000,
};

/* A byte after the first one, which is the id. */
static uint8_t pattern_behind(uint32_t id, uint32_t at)
{
	return (uint8_t)(id * 37 + at * 101 + (at >> 8));
}

uint8_t peer_pattern(uint32_t id, uint32_t at)
{
	return at == 0 ? (uint8_t)id : pattern_behind(id, at);
}

/* Without a branch per byte: a peer offers far more than is taken, and a world
 * has thousands of these calls. */
void peer_say(uint32_t id, uint32_t at, uint8_t *out_bytes, uint32_t byte_count)
{
	for (uint32_t i = 0; i < byte_count; i++)
		out_bytes[i] = pattern_behind(id, at + i);
	if (at == 0 && byte_count > 0)
		out_bytes[0] = (uint8_t)id;
}

void peer_check_shown(const struct peer *peer, const uint8_t *bytes,
		      size_t byte_count)
{
	struct weir_sim *sim = peer->run->sim;
	for (size_t i = 0; i < byte_count; i++)
		if (bytes[i] !=
		    peer_pattern(peer->id, peer->shown + (uint32_t)i)) {
			weir_sim_violate(sim, "the handler is shown other "
					      "bytes than the peer has sent");
			return;
		}
	if (peer->shown + byte_count > peer->sent)
		weir_sim_violate(sim, "the handler is shown more bytes than "
				      "the peer has sent");
}

struct peer *peer_find(struct sim_run *run, uint8_t id)
{
	if (id >= run->peer_count) {
		weir_sim_violate(run->sim, "no peer has this id");
		return NULL;
	}
	struct peer *peer = &run->peers[id];
	if (peer->was_shown)
		weir_sim_violate(run->sim, "two connections of one peer");
	peer->was_shown = true;
	return peer;
}

/* ---- one of them ------------------------------------------------------- */

static void peer_lost(struct peer *peer)
{
	peer->is_lost = true;
	peer->state = PEER_DONE;
}

static bool peer_connect(struct peer *peer)
{
	struct weir_sim *sim = peer->run->sim;
	if (peer->run->moved < peer->at_moved && !peer->run->is_healed)
		return false;
	peer->conn = weir_sim_connect(sim, RUN_PORT);
	if (peer->conn == -ECONNREFUSED) { /* the server has stopped */
		if (peer->run->is_strict && !peer->run->is_ending)
			weir_sim_violate(sim, "a client is refused, and a loop "
					      "could serve it");

		peer_lost(peer);
		return true;
	}
	if (peer->conn < 0)
		return false; /* the backlog is full: try later */
	peer->state = PEER_TALKING;
	return true;
}

static bool peer_write(struct peer *peer)
{
	struct sim_run *run = peer->run;
	uint8_t bytes[CHUNK_MAX];
	const uint32_t left = peer->total - peer->sent;
	uint32_t count = left < CHUNK_MAX ? left : CHUNK_MAX;

	if (count > 1)
		count -= weir_tape_below(run->tape, count);
	peer_say(peer->id, peer->sent, bytes, count);
	int taken = weir_sim_write(run->sim, peer->conn, bytes, count);
	if (taken < 0) {
		/* Bytes that arrived before the reset may still be read. */
		peer->total = peer->sent;
		peer->is_lost = true;
		return true;
	}
	peer->sent += (uint32_t)taken;
	return taken > 0;
}

/* A loop that stops may cut off a peer. */
static bool peer_may_be_cut(const struct peer *peer)
{
	return peer->home != NULL ? peer->home->is_stopping
				  : peer->run->is_stopping;
}

static bool peer_may_be_reset(const struct peer *peer)
{
	const uint32_t excuses =
		WEIR_FAULT_ERRNO | RUN_FAULTS_CLOCK | WEIR_FAULT_NEVER;
	return peer->is_rude || peer->is_mute || peer_may_be_cut(peer) ||
	       (peer->run->faults & excuses) != 0;
}

static bool peer_end_of_stream(struct peer *peer)
{
	struct sim_run *run = peer->run;
	const uint32_t excuses =
		WEIR_FAULT_ERRNO | RUN_FAULTS_CLOCK | WEIR_FAULT_NEVER;
	peer->saw_fin = true;
	if (peer->received < peer->total && !run->is_free) {
		peer->is_lost = true;
		if (!peer->is_rude && peer->pause_ms_max == 0 &&
		    !peer_may_be_cut(peer) && (run->faults & excuses) == 0)
			weir_sim_violate(run->sim, "the server ends a stream "
						   "before all was echoed");
	}
	weir_sim_hang_up(run->sim, peer->conn);
	peer->state = PEER_DONE;
	return true;
}

static bool peer_read(struct peer *peer)
{
	struct sim_run *run = peer->run;
	uint8_t bytes[CHUNK_MAX];
	const uint32_t most = CHUNK_MAX - weir_tape_below(run->tape, CHUNK_MAX);
	int got = weir_sim_read(run->sim, peer->conn, bytes, most);

	if (got == -EAGAIN)
		return false;
	if (got == -ECONNRESET) {
		if (run->is_strict && !peer_may_be_reset(peer))
			weir_sim_violate(run->sim, "a client is reset, and a "
						   "loop could serve it");

		weir_sim_hang_up(run->sim, peer->conn);
		peer_lost(peer);
		return true;
	}
	if (got == 0)
		return peer_end_of_stream(peer);
	/* A free handler sends the same pattern to all peers. */
	const uint32_t voice = run->is_free ? 0 : peer->id;
	for (int i = 0; i < got; i++)
		if (bytes[i] !=
		    peer_pattern(voice, peer->received + (uint32_t)i))
			weir_sim_violate(run->sim,
					 "a peer receives other "
					 "bytes than were said to it");
	peer->received += (uint32_t)got;
	run->echoed_bytes += (uint64_t)got;
	if (peer->received > peer->sent && !run->is_free)
		weir_sim_violate(run->sim,
				 "a peer receives more than it has sent");
	return true;
}

static bool peer_is_rude_now(const struct peer *peer)
{
	return peer->is_rude && !peer->run->is_healed &&
	       weir_tape_chance(peer->run->tape, 4);
}

static bool peer_rests(struct peer *peer)
{
	struct sim_run *run = peer->run;
	/* One rest at a time. */
	peer->has_rested = peer->pause_ms_max != 0 && !run->is_healed &&
			   !peer->has_rested &&
			   weir_tape_below(run->tape, 8) == 1;
	if (!peer->has_rested)
		return false;
	weir_sim_rest(run->sim,
		      (uint64_t)weir_tape_below(run->tape, peer->pause_ms_max) *
			      NS_PER_MS);
	return true;
}

static bool peer_go(struct weir_sim *sim, struct peer *peer)
{

	switch (peer->state) {
	case PEER_WAITING:
		return peer_connect(peer);
	case PEER_TALKING:
		if (peer_rests(peer))
			return false;
		if (peer_is_rude_now(peer)) {
			weir_sim_rst(sim, peer->conn);
			peer_lost(peer);
			return true;
		}
		if (peer->sent < peer->total &&
		    (peer->is_greedy ||
		     weir_tape_below(peer->run->tape, 2) == 0) &&
		    peer_write(peer))
			return true;
		if (peer->is_mute && 2 * peer->sent >= peer->total) {
			weir_sim_note(sim, "c%d falls silent", peer->conn);
			peer_lost(peer);
			return true;
		}
		if (peer->sent == peer->total && !peer->is_polite) {
			weir_sim_fin(sim, peer->conn);
			peer->state = PEER_FINISHED;
			return true;
		}
		return peer_read(peer) ||
		       (peer->sent < peer->total && peer_write(peer));
	case PEER_FINISHED:
		return peer_read(peer);
	case PEER_DONE:
		break;
	}
	return false;
}

static bool peer_step(struct weir_sim *sim, void *ctx)
{
	struct peer *peer = ctx;
	const bool has_moved = peer_go(sim, peer);
	peer->run->moved += has_moved;
	return has_moved;
}

/* ---- all of them ------------------------------------------------------- */

void peers_start(struct sim_run *run)
{
	struct weir_tape *tape = run->tape;
	const uint32_t most =
		RUN_DRAW(tape, 100, 100, 20, 100, 100, 100, 20, MANY_BYTES);
	run->peer_count = 1 + weir_tape_below(tape, RUN_PEERS);
	for (uint32_t i = 0; i < run->peer_count; i++) {
		struct peer *peer = &run->peers[i];
		*peer = (struct peer){
			.run = run,
			.id = i,
			.conn = WEIR_SIM_NO_CONN,
			.total = 1 + weir_tape_below(tape, most),
		};
		const uint32_t manners = weir_tape_below(tape, 16);
		peer->is_rude = manners >= 1 && manners < 5;
		peer->is_mute = manners == 5;
		peer->is_polite = manners >= 6 && manners < 9;
		peer->is_greedy = manners >= 8 && manners < 11;
		run->has_rude |= peer->is_rude;
		(void)weir_sim_on_step(run->sim, peer_step, peer);
	}
}

void peers_hang_up(struct sim_run *run)
{
	for (uint32_t i = 0; i < run->peer_count; i++) {
		struct peer *peer = &run->peers[i];
		if (peer->state == PEER_TALKING || peer->state == PEER_FINISHED)
			weir_sim_hang_up(run->sim, peer->conn);
		if (peer->state != PEER_DONE)
			peer_lost(peer);
	}
}

bool peers_are_done(const struct sim_run *run)
{
	for (uint32_t i = 0; i < run->peer_count; i++)
		if (run->peers[i].state != PEER_DONE)
			return false;
	return true;
}
