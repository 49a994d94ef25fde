/* peers.c - clients that say a pattern and read it back
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
};

uint8_t peer_pattern(uint32_t id, uint32_t at)
{
	return at == 0 ? (uint8_t)id
		       : (uint8_t)(id * 37 + at * 101 + (at >> 8));
}

static void peer_lost(struct peer *peer)
{
	peer->is_lost = true;
	peer->state = PEER_DONE;
}

static bool peer_connect(struct peer *peer)
{
	struct weir_sim *sim = peer->run->sim;
	peer->conn = weir_sim_connect(sim, RUN_PORT);
	if (peer->conn == -ECONNREFUSED) { /* the server stops */
		peer_lost(peer);
		return true;
	}
	if (peer->conn < 0)
		return false; /* the backlog is full: later */
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
	for (uint32_t i = 0; i < count; i++)
		bytes[i] = peer_pattern(peer->id, peer->sent + i);
	int taken = weir_sim_write(run->sim, peer->conn, bytes, count);
	if (taken < 0) {
		/* What has arrived before the reset may still be read. */
		peer->total = peer->sent;
		peer->is_lost = true;
		return true;
	}
	peer->sent += (uint32_t)taken;
	return taken > 0;
}

static bool peer_end_of_stream(struct peer *peer)
{
	struct sim_run *run = peer->run;
	const uint32_t excuses = WEIR_FAULT_ERRNO | WEIR_FAULT_CLOCK;
	if (peer->received < peer->total) {
		peer->is_lost = true;
		if (!peer->is_rude && !run->is_stopping &&
		    (run->faults & excuses) == 0)
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
		weir_sim_hang_up(run->sim, peer->conn);
		peer_lost(peer);
		return true;
	}
	if (got == 0)
		return peer_end_of_stream(peer);
	for (int i = 0; i < got; i++)
		if (bytes[i] !=
		    peer_pattern(peer->id, peer->received + (uint32_t)i))
			weir_sim_violate(run->sim, "a peer receives other "
						   "bytes than it has sent");
	peer->received += (uint32_t)got;
	run->echoed_bytes += (uint64_t)got;
	if (peer->received > peer->sent)
		weir_sim_violate(run->sim,
				 "a peer receives more than it has sent");
	return true;
}

static bool peer_is_rude_now(const struct peer *peer)
{
	return peer->is_rude && !peer->run->is_healed &&
	       weir_tape_chance(peer->run->tape, 4);
}

static bool peer_step(struct weir_sim *sim, void *ctx)
{
	struct peer *peer = ctx;

	switch (peer->state) {
	case PEER_WAITING:
		return peer_connect(peer);
	case PEER_TALKING:
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

/* ---- all of them -------------------------------------------------------- */

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

bool peers_are_done(const struct sim_run *run)
{
	for (uint32_t i = 0; i < run->peer_count; i++)
		if (run->peers[i].state != PEER_DONE)
			return false;
	return true;
}
