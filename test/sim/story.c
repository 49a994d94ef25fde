/* story.c - an echo server and its peers, from one tape
 *
 *     draw: how small everything is, which faults there are, how many peers
 *     phase one: faults, until all peers are done or some hundred turns
 *     phase two: healed; what can finish must finish within a bound
 *     stop: the loop ends, and nothing is left behind
 */
#include "story.h"

#include "../../net/loop.h"
#include "../../uring/abi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PEERS_MAX = 4,
	MANY_BYTES = 3000, /* more than a chunk of a send queue */
	EARLY_TURNS = 60,
	PIECE_BYTES = 256,
	CHUNK_MAX = 300,
	FAULTY_TURNS = 300,
	HEALED_TURNS = 20000,
	STOP_TURNS = 5000,
	PORT = 7000,
};

enum peer_state {
	PEER_WAITING = 0, /* to connect */
	PEER_TALKING,
	PEER_FINISHED, /* its FIN is out: it reads on */
	PEER_DONE,
};

struct peer {
	struct story *story;
	uint32_t id;
	enum peer_state state;
	int conn;
	uint32_t total; /* bytes it has to say; the first is its id */
	uint32_t sent;
	uint32_t received;
	bool is_lost;   /* by a reset, its own or the server's */
	bool is_rude;   /* may reset, and may be closed early */
	bool is_mute;   /* says and reads nothing more from some time on */
	bool is_polite; /* the server closes once it has shown all */
	bool is_greedy; /* reads only when it cannot write */
	/* The server's side of it. */
	bool was_shown;
	bool was_closed; /* by the handler */
	uint32_t shown;
};

struct story {
	struct weir_sim *sim;
	struct weir_tape *sim_tape;
	struct weir_loop *loop;
	struct peer peers[PEERS_MAX];
	uint32_t peer_count;
	uint32_t faults;
	bool stops_early; /* while peers talk */
	bool has_rude;
	bool is_healed;
	bool is_stopping;
	uint64_t opens;
	uint64_t closes;
	uint64_t echoed_bytes;
};

static uint8_t pattern(uint32_t id, uint32_t at)
{
	return at == 0 ? (uint8_t)id
		       : (uint8_t)(id * 37 + at * 101 + (at >> 8));
}

/* ---- the server -------------------------------------------------------- */

/* A connection's user pointer: closed, unknown yet, or a peer. */
static struct peer unknown;

static void story_on_open(struct weir_conn *conn, void *ctx)
{
	struct story *story = ctx;
	story->opens++;
	weir_conn_user_set(conn, &unknown);
}

static void story_check_shown(struct story *story, struct peer *peer,
			      const uint8_t *bytes, size_t byte_count)
{
	for (size_t i = 0; i < byte_count; i++)
		if (bytes[i] != pattern(peer->id, peer->shown + (uint32_t)i)) {
			weir_sim_violate(story->sim,
					 "the handler is shown other bytes "
					 "than the peer has sent");
			return;
		}
	if (peer->shown + byte_count > peer->sent)
		weir_sim_violate(story->sim, "the handler is shown more bytes "
					     "than the peer has sent");
}

/* How many of these bytes it takes now. Benign: all. What it leaves is shown
 * again with what follows, so only if something does. */
static size_t story_take(struct story *story, struct weir_conn *conn,
			 const struct peer *peer, size_t byte_count)
{
	if (peer->is_rude || peer->shown + byte_count >= peer->total)
		return byte_count;
	switch (weir_tape_below(story->sim_tape, 8)) {
	case 1:
		return 1 +
		       weir_tape_below(story->sim_tape, (uint32_t)byte_count);
	case 2:
		weir_conn_need(conn, byte_count + 1);
		return 0;
	default:
		return byte_count;
	}
}

static struct peer *story_find(struct story *story, struct weir_conn *conn,
			       uint8_t id)
{
	if (id >= story->peer_count) {
		weir_sim_violate(story->sim, "no peer has this id");
		return NULL;
	}
	struct peer *peer = &story->peers[id];
	if (peer->was_shown)
		weir_sim_violate(story->sim, "two connections of one peer");
	peer->was_shown = true;
	weir_conn_user_set(conn, peer);
	return peer;
}

/* In pieces that the smallest queue holds. Return: what went in; the rest is
 * shown again when the queue has room. */
static size_t story_send(struct weir_conn *conn, const uint8_t *bytes,
			 size_t byte_count)
{
	size_t sent = 0;
	while (sent < byte_count) {
		const size_t left = byte_count - sent;
		const size_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;
		if (weir_conn_send(conn, bytes + sent, piece) < 0)
			break;
		sent += piece;
	}
	return sent;
}

static ssize_t story_on_data(struct weir_conn *conn, const uint8_t *bytes,
			     size_t byte_count, void *ctx)
{
	struct story *story = ctx;
	struct peer *peer = weir_conn_user(conn);

	if (peer == NULL) {
		weir_sim_violate(story->sim, "on_data after on_close");
		return 0;
	}
	if (peer == &unknown)
		peer = story_find(story, conn, bytes[0]);
	if (peer == NULL)
		return 0;
	story_check_shown(story, peer, bytes, byte_count);
	const size_t taken = story_send(
		conn, bytes, story_take(story, conn, peer, byte_count));
	peer->shown += (uint32_t)taken;
	if ((peer->is_polite && peer->shown == peer->total) ||
	    (peer->is_rude && !story->is_healed &&
	     weir_tape_chance(story->sim_tape, 8))) {
		peer->was_closed = true;
		weir_conn_close(conn);
	}
	return (ssize_t)taken;
}

/* Whether anything in this world can have caused it. */
static bool reason_is_true(const struct story *story, const struct peer *peer,
			   const struct weir_close_reason *reason)
{
	const bool has_errnos = (story->faults & WEIR_FAULT_ERRNO) != 0;
	const bool has_leaps = (story->faults & WEIR_FAULT_CLOCK) != 0;

	switch (reason->cause) {
	case WEIR_CLOSE_PEER:
		return true;
	case WEIR_CLOSE_RESET:
		return has_errnos || story->has_rude || story->is_stopping;
	case WEIR_CLOSE_ERROR:
		return has_errnos;
	case WEIR_CLOSE_IDLE:
		return has_leaps || peer->is_mute;
	case WEIR_CLOSE_LOCAL:
		return peer->was_closed;
	case WEIR_CLOSE_DRAIN_DEADLINE:
		return has_leaps || has_errnos || story->has_rude ||
		       story->is_stopping || peer->is_mute;
	case WEIR_CLOSE_STOPPED:
		return story->is_stopping;
	default:
		return false;
	}
}

static void story_on_close(struct weir_conn *conn,
			   const struct weir_close_reason *reason, void *ctx)
{
	struct story *story = ctx;
	const struct peer *peer = weir_conn_user(conn);

	story->closes++;
	if (peer == NULL)
		weir_sim_violate(story->sim, "on_close twice");
	if (peer != NULL && !reason_is_true(story, peer, reason)) {
		weir_sim_note(story->sim, "reason %s, errno %d",
			      weir_close_cause_name(reason->cause),
			      reason->err);
		weir_sim_violate(story->sim, "a connection closes for a reason "
					     "that was never there");
	}
	/* A close that claims to be healthy has lost nothing. */
	if (peer != NULL && peer != &unknown &&
	    reason->cause == WEIR_CLOSE_PEER && !peer->is_rude &&
	    !story->is_stopping && peer->shown != peer->total)
		weir_sim_violate(story->sim, "closed by the peer, but not all "
					     "of its bytes were shown");
	weir_conn_user_set(conn, NULL);
}

/* ---- peers ------------------------------------------------------------- */

static void peer_lost(struct peer *peer)
{
	peer->is_lost = true;
	peer->state = PEER_DONE;
}

static bool peer_connect(struct peer *peer)
{
	struct weir_sim *sim = peer->story->sim;
	peer->conn = weir_sim_connect(sim, PORT);
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
	struct story *story = peer->story;
	uint8_t bytes[CHUNK_MAX];
	const uint32_t left = peer->total - peer->sent;
	uint32_t count = left < CHUNK_MAX ? left : CHUNK_MAX;

	if (count > 1)
		count -= weir_tape_below(story->sim_tape, count);
	for (uint32_t i = 0; i < count; i++)
		bytes[i] = pattern(peer->id, peer->sent + i);
	int taken = weir_sim_write(story->sim, peer->conn, bytes, count);
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
	struct story *story = peer->story;
	const uint32_t excuses = WEIR_FAULT_ERRNO | WEIR_FAULT_CLOCK;
	if (peer->received < peer->total) {
		peer->is_lost = true;
		if (!peer->is_rude && !story->is_stopping &&
		    (story->faults & excuses) == 0)
			weir_sim_violate(story->sim, "the server ends a stream "
						     "before all was echoed");
	}
	weir_sim_hang_up(story->sim, peer->conn);
	peer->state = PEER_DONE;
	return true;
}

static bool peer_read(struct peer *peer)
{
	struct story *story = peer->story;
	uint8_t bytes[CHUNK_MAX];
	const uint32_t most =
		CHUNK_MAX - weir_tape_below(story->sim_tape, CHUNK_MAX);
	int got = weir_sim_read(story->sim, peer->conn, bytes, most);

	if (got == -EAGAIN)
		return false;
	if (got == -ECONNRESET) {
		weir_sim_hang_up(story->sim, peer->conn);
		peer_lost(peer);
		return true;
	}
	if (got == 0)
		return peer_end_of_stream(peer);
	for (int i = 0; i < got; i++)
		if (bytes[i] != pattern(peer->id, peer->received + (uint32_t)i))
			weir_sim_violate(story->sim, "a peer receives other "
						     "bytes than it has sent");
	peer->received += (uint32_t)got;
	story->echoed_bytes += (uint64_t)got;
	if (peer->received > peer->sent)
		weir_sim_violate(story->sim,
				 "a peer receives more than it has sent");
	return true;
}

static bool peer_is_rude_now(const struct peer *peer)
{
	return peer->is_rude && !peer->story->is_healed &&
	       weir_tape_chance(peer->story->sim_tape, 4);
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
		     weir_tape_below(peer->story->sim_tape, 2) == 0) &&
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

/* ---- a run ------------------------------------------------------------- */

static uint32_t draw(struct weir_tape *tape, const uint32_t *choices,
		     uint32_t count)
{
	return choices[weir_tape_below(tape, count)];
}

#define DRAW(tape, ...)                                                        \
	draw(tape, (const uint32_t[]){ __VA_ARGS__ },                          \
	     sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* Swarm: each run has its own few kinds of trouble, and its own small sizes. */
static struct weir_sim_opts draw_world(struct weir_tape *tape)
{
	struct weir_sim_opts opts = {
		.faults = weir_tape_byte(tape),
		.fault_rate = DRAW(tape, 4, 16, 40),
		.pipe_bytes = DRAW(tape, 4096, 7, 30, 100, 1000),
		.sq_entries = DRAW(tape, 64, 2, 4, 8),
		.cq_entries = DRAW(tape, 256, 8, 16, 32),
	};
	opts.faults &= weir_tape_byte(tape);
	if (opts.cq_entries < opts.sq_entries)
		opts.cq_entries = opts.sq_entries;
	if (weir_tape_below(tape, 4) == 1)
		opts.setup_forbidden = IORING_SETUP_DEFER_TASKRUN;
	return opts;
}

static struct weir_loop_opts draw_loop(struct weir_tape *tape,
				       const struct weir_sim *sim)
{
	return (struct weir_loop_opts){
		.ring = { .kernel = weir_sim_kernel(sim),
			  .sq_entry_count = 64,
			  .cq_entry_count = 256 },
		.conn_count = DRAW(tape, 8, 1, 2, 3),
		.backlog = 16,
		.buf_count = DRAW(tape, 8, 1, 2, 4),
		.buf_bytes = DRAW(tape, 128, 64, 100),
		.message_bytes_max = 1024,
		.send_high_bytes = DRAW(tape, 512, 16, 64),
		.send_bytes_max = DRAW(tape, 8192, 512, 1200),
		.block_memory_bytes = 1 << 20,
		.idle_timeout_ms = 3000,
		.drain_timeout_ms = 1000,
	};
}

static void story_start_peers(struct story *story)
{
	struct weir_tape *tape = story->sim_tape;
	const uint32_t most =
		DRAW(tape, 100, 100, 20, 100, 100, 100, 20, MANY_BYTES);
	story->peer_count = 1 + weir_tape_below(tape, PEERS_MAX);
	for (uint32_t i = 0; i < story->peer_count; i++) {
		struct peer *peer = &story->peers[i];
		*peer = (struct peer){
			.story = story,
			.id = i,
			.conn = WEIR_SIM_NO_CONN,
			.total = 1 + weir_tape_below(tape, most),
		};
		const uint32_t manners = weir_tape_below(tape, 16);
		peer->is_rude = manners >= 1 && manners < 5;
		peer->is_mute = manners == 5;
		peer->is_polite = manners >= 6 && manners < 9;
		peer->is_greedy = manners >= 8 && manners < 11;
		story->has_rude |= peer->is_rude;
		(void)weir_sim_on_step(story->sim, peer_step, peer);
	}
}

static bool peers_are_done(const struct story *story)
{
	for (uint32_t i = 0; i < story->peer_count; i++)
		if (story->peers[i].state != PEER_DONE)
			return false;
	return true;
}

/* Turns until @is_done or the bound. Return: whether it was done. */
static bool story_turns(struct story *story, uint32_t turns,
			struct sim_story_result *result)
{
	for (uint32_t i = 0; i < turns; i++) {
		if (peers_are_done(story) ||
		    weir_sim_violation(story->sim) != NULL)
			return true;
		if (weir_loop_turn(story->loop, WEIR_TIMEOUT_NEVER) <= 0) {
			weir_sim_violate(story->sim, "the loop ends by itself");
			return true;
		}
		result->turns++;
		if (weir_sim_is_idle(story->sim))
			break; /* nothing can ever happen */
	}
	return peers_are_done(story);
}

static void story_stop(struct story *story)
{
	story->is_stopping = true;
	weir_loop_stop(story->loop);
	for (uint32_t i = 0; i < STOP_TURNS; i++) {
		int result = weir_loop_turn(story->loop, WEIR_TIMEOUT_NEVER);
		if (result == 0)
			return;
		if (result < 0 || weir_sim_violation(story->sim) != NULL) {
			weir_sim_violate(story->sim, "a stop fails");
			return;
		}
	}
	weir_sim_violate(story->sim, "a stop does not end");
}

static void story_check_end(struct story *story,
			    const struct weir_loop_stats *stats)
{
	struct weir_sim_residue residue;
	weir_sim_residue(story->sim, &residue);
	if (story->opens != story->closes)
		weir_sim_violate(story->sim, "an on_open without its on_close");
	if (stats->accepts != stats->closes)
		weir_sim_violate(story->sim, "accepts and closes differ");
	if (stats->conns_open != 0 || stats->block_bytes_used != 0)
		weir_sim_violate(story->sim, "a connection or a block is left");
	if (residue.descriptors + residue.slots + residue.operations +
		    residue.mappings >
	    0)
		weir_sim_violate(story->sim, "descriptors, slots, operations "
					     "or mappings are left");
	for (uint32_t i = 0; i < story->peer_count; i++)
		if (!story->peers[i].is_lost && !story->stops_early &&
		    story->peers[i].received != story->peers[i].total)
			weir_sim_violate(story->sim, "a healthy peer was not "
						     "echoed in full");
}

void sim_story_play(struct weir_sim *sim, struct weir_tape *tape,
		    FILE *story_file, struct sim_story_result *out_result)
{
	static const struct weir_handlers handlers = {
		.on_open = story_on_open,
		.on_data = story_on_data,
		.on_close = story_on_close,
	};
	struct story story = { .sim = sim, .sim_tape = tape };
	struct weir_loop_stats stats = { .turns = 0 };
	struct weir_error error = { .code = 0 };
	struct weir_listen_request request = { .backlog = 16 };
	struct weir_addr addr;

	*out_result = (struct sim_story_result){ .violation = NULL };
	struct weir_sim_opts world = draw_world(tape);
	const uint32_t faults = world.faults;
	world.faults = 0; /* a start that fails is another story */
	world.story = story_file;
	weir_sim_reset(sim, tape, &world);
	const struct weir_kernel *kernel = weir_sim_kernel(sim);
	const struct weir_loop_opts opts = draw_loop(tape, sim);
	if (weir_loop_open(&story.loop, &opts, &handlers, &story, &error) < 0) {
		weir_sim_note(sim, "no loop: %s", error.text);
		weir_sim_violate(sim, "the loop does not open");
		goto end;
	}
	(void)weir_addr_parse("127.0.0.1", PORT, &addr); /* it is one */
	request.address = addr.storage;
	request.address_bytes = addr.bytes;
	weir_loop_listen(story.loop, kernel->listen(kernel->ctx, &request));
	(void)weir_loop_enable(story.loop);
	story_start_peers(&story);
	story.faults = faults;
	weir_sim_set_faults(sim, faults);

	story.stops_early = weir_tape_below(tape, 4) == 1;
	(void)story_turns(&story,
			  story.stops_early ? weir_tape_below(tape, EARLY_TURNS)
					    : FAULTY_TURNS,
			  out_result);
	weir_sim_heal(sim);
	story.is_healed = true;
	if (!story.stops_early &&
	    !story_turns(&story, HEALED_TURNS, out_result))
		weir_sim_violate(sim, "healed, and it does not finish");
	if (weir_sim_violation(sim) == NULL)
		story_stop(&story);
	weir_loop_stats(story.loop, &stats);
	weir_loop_close(story.loop);
	if (weir_sim_violation(sim) == NULL)
		story_check_end(&story, &stats);
end:
	out_result->violation = weir_sim_violation(sim);
	out_result->hash = weir_sim_hash(sim);
	out_result->cqes = stats.ring.cqes;
	out_result->echoed_bytes = story.echoed_bytes;
	out_result->peers = story.peer_count;
}
