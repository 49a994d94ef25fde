/* case_play.c - plays one case, from an empty world to an empty world
 *
 *     loop opens -> peers follow their scripts -> all done -> stop -> close
 *
 * Rules: what is shown and what is read equals what was sent, once and in
 * order; one on_close for each on_open, and no callback after it; the run ends
 * within a bound; nothing is left. Without a fault that may cost a connection,
 * all bytes are echoed.
 */
#include "cases.h"
#include "left.h"

#include "../../net/loop/loop_priv.h"
#include "../../net/loop/loop_struct.h"
#include "../../net/server/listen_socket.h"

#include <errno.h>
#include <string.h>

enum {
	PORT = 7000,
	CHUNK_BYTES = 100,
	FINISH_TURNS = 2000,
	NS_PER_MS = 1000000,
	OUTBOUND_ID = 0x80, /* what an outbound connection sends */
	OUTBOUND_BYTES = 6,
	APART_BYTES = 1000,
	WAKE_TURNS = 40,
};

struct actor {
	struct play *play;
	uint32_t id;
	const struct sim_act *act;
	uint32_t done; /* bytes of a WRITE */
	uint64_t quiet_ns;
	int conn;
	uint32_t sent;
	uint32_t received;
	bool is_lost;
};

struct play {
	const struct sim_case *what;
	struct weir_sim *sim;
	struct sim_plan *plan;
	struct weir_loop *loop;
	struct weir_service service;
	struct actor actors[SIM_CASE_PEERS];
	struct weir_conn *outbound[SIM_CASE_PEERS];
	uint32_t opens;
	uint32_t open_closes; /* of opened connections */
	bool is_stopping;
	uint32_t turns_more; /* drawn from the tape */
};

/* What the server knows of a connection; index: its slot. */
struct member {
	bool is_used;
	bool is_outbound;
	bool has_id;
	uint8_t id;
	uint32_t shown;
};
static struct member members[96];

static uint8_t pattern(uint32_t id, uint32_t at)
{
	return at == 0 ? (uint8_t)id : (uint8_t)(id * 53 + at * 101);
}

/* ---- the server -------------------------------------------------------- */

static struct member *member_of(struct weir_conn *conn)
{
	const uint32_t index = weir_conn_index(conn);
	assert(index < sizeof(members) / sizeof(members[0]));
	return &members[index];
}

/* A connection that the loop made sends one message, then waits. */
static void outbound_say(struct weir_conn *conn)
{
	uint8_t bytes[OUTBOUND_BYTES];
	for (uint32_t i = 0; i < OUTBOUND_BYTES; i++)
		bytes[i] = pattern(OUTBOUND_ID, i);
	(void)weir_conn_send(conn, bytes, sizeof(bytes)); /* has room: new */
}

static void case_on_open(struct weir_conn *conn, void *ctx)
{
	struct play *play = ctx;
	struct member *member = member_of(conn);
	const bool is_outbound = weir_conn_user(conn) != NULL;

	play->opens++;
	if (member->is_used)
		weir_sim_violate(play->sim, "on_open twice");
	*member =
		(struct member){ .is_used = true, .is_outbound = is_outbound };
	if (is_outbound)
		outbound_say(conn);
}

static void member_check(struct play *play, struct member *member,
			 const uint8_t *bytes, size_t byte_count)
{
	if (!member->has_id) {
		member->has_id = true;
		member->id = bytes[0];
	}
	for (size_t i = 0; i < byte_count; i++)
		if (bytes[i] !=
		    pattern(member->id, member->shown + (uint32_t)i))
			weir_sim_violate(play->sim,
					 "the handler is shown other "
					 "bytes than were sent");
	if (member->id < SIM_CASE_PEERS &&
	    member->shown + byte_count > play->actors[member->id].sent)
		weir_sim_violate(play->sim, "the handler is shown more bytes "
					    "than were sent");
}

/* A reserve that does not fit into the rest of a chunk gets a chunk of its own.
 */
static size_t room_of(const struct sim_case *what, size_t byte_count)
{
	if (what->reserve_bytes > 0)
		return what->reserve_bytes;
	return what->sends_twice ? APART_BYTES : byte_count;
}

static bool send_apart(struct weir_conn *conn, const uint8_t *bytes,
		       size_t byte_count, size_t room_bytes)
{
	uint8_t *room = weir_conn_reserve(conn, room_bytes);
	if (room == NULL)
		return false;
	memcpy(room, bytes, byte_count);
	weir_conn_commit(conn, byte_count);
	return true;
}

static ssize_t case_on_data(struct weir_conn *conn, const uint8_t *bytes,
			    size_t byte_count, void *ctx)
{
	struct play *play = ctx;
	const struct sim_case *what = play->what;
	struct member *member = member_of(conn);

	if (!member->is_used)
		weir_sim_violate(play->sim, "on_data after on_close");
	member_check(play, member, bytes, byte_count);
	if (member->is_outbound) { /* this is its echo; it sends no more */
		member->shown += (uint32_t)byte_count;
		if (member->shown == OUTBOUND_BYTES && what->close_after == 0)
			weir_conn_close(conn);
		return (ssize_t)byte_count;
	}
	const size_t half = what->sends_twice ? byte_count / 2 : 0;
	if (half > 0 && weir_conn_send(conn, bytes, half) < 0)
		return 0;
	if (!send_apart(conn, bytes + half, byte_count - half,
			room_of(what, byte_count - half))) {
		member->shown += (uint32_t)half;
		return (ssize_t)half;
	}
	member->shown += (uint32_t)byte_count;
	if (what->abort_after != 0 && member->shown >= what->abort_after)
		weir_conn_abort(conn);
	else if (what->close_after != 0 && member->shown >= what->close_after)
		weir_conn_close(conn);
	return (ssize_t)byte_count;
}

static void case_on_close(struct weir_conn *conn,
			  const struct weir_close_reason *reason, void *ctx)
{
	struct play *play = ctx;
	struct member *member = member_of(conn);

	weir_sim_note(play->sim, "slot %u closes: %s, errno %d",
		      weir_conn_index(conn),
		      weir_close_cause_name(reason->cause), -reason->err);
	for (uint32_t i = 0; i < SIM_CASE_PEERS; i++)
		if (play->outbound[i] == conn)
			play->outbound[i] = NULL;
	if (reason->cause == WEIR_CLOSE_NONE)
		weir_sim_violate(play->sim, "a close without a reason");
	if (!member->is_used && reason->cause != WEIR_CLOSE_CONNECT &&
	    weir_conn_user(conn) == NULL)
		weir_sim_violate(play->sim, "on_close without an on_open");
	play->open_closes += member->is_used;
	member->is_used = false;
}

/* ---- peers ------------------------------------------------------------- */

static const struct sim_act no_act;

static bool actor_ends(struct actor *actor, bool is_lost)
{
	actor->is_lost |= is_lost;
	actor->act = &no_act;
	return true;
}

static bool actor_next(struct actor *actor)
{
	actor->act++;
	actor->done = 0;
	actor->quiet_ns = 0;
	if (actor->act->kind == SIM_ACT_END && actor->conn >= 0) {
		weir_sim_hang_up(actor->play->sim, actor->conn);
		actor->conn = WEIR_SIM_NO_CONN;
	}
	return true;
}

static bool actor_connect(struct actor *actor)
{
	actor->conn = weir_sim_connect(actor->play->sim, PORT);
	if (actor->conn == -ECONNREFUSED)
		return actor_ends(actor, true);
	return actor->conn >= 0 && actor_next(actor);
}

static bool actor_hang_up(struct actor *actor, bool is_lost)
{
	weir_sim_hang_up(actor->play->sim, actor->conn);
	actor->conn = WEIR_SIM_NO_CONN;
	return actor_ends(actor, is_lost);
}

static bool actor_write(struct actor *actor)
{
	uint8_t bytes[CHUNK_BYTES];
	uint32_t count = actor->act->count - actor->done;
	if (count > CHUNK_BYTES)
		count = CHUNK_BYTES;
	for (uint32_t i = 0; i < count; i++)
		bytes[i] = pattern(actor->id, actor->sent + i);
	const int taken =
		weir_sim_write(actor->play->sim, actor->conn, bytes, count);
	if (taken < 0)
		return actor_hang_up(actor, true);
	actor->sent += (uint32_t)taken;
	actor->done += (uint32_t)taken;
	if (actor->done == actor->act->count)
		return actor_next(actor);
	return taken > 0;
}

/* Return: bytes; 0: end of stream; -EAGAIN. */
static int actor_take(struct actor *actor)
{
	uint8_t bytes[CHUNK_BYTES];
	struct weir_sim *sim = actor->play->sim;
	const int got = weir_sim_read(sim, actor->conn, bytes, sizeof(bytes));
	for (int i = 0; i < got; i++)
		if (bytes[i] !=
		    pattern(actor->id, actor->received + (uint32_t)i))
			weir_sim_violate(sim, "a peer reads other bytes than "
					      "it has sent");
	if (got > 0)
		actor->received += (uint32_t)got;
	if (actor->received > actor->sent)
		weir_sim_violate(sim, "a peer reads more than it has sent");
	return got;
}

static bool actor_read(struct actor *actor)
{
	if (actor->act->kind == SIM_ACT_READ &&
	    actor->received >= actor->act->count)
		return actor_next(actor);
	const int got = actor_take(actor);
	if (got == -EAGAIN)
		return false;
	if (got <= 0)
		return actor_hang_up(actor, actor->received < actor->sent);
	return true;
}

static bool actor_quiet(struct actor *actor)
{
	const uint64_t now_ns = weir_sim_now_ns(actor->play->sim);
	if (actor->quiet_ns == 0)
		actor->quiet_ns =
			now_ns + (uint64_t)actor->act->count * NS_PER_MS;
	return now_ns >= actor->quiet_ns && actor_next(actor);
}

static bool actor_step(struct weir_sim *sim, void *ctx)
{
	struct actor *actor = ctx;

	switch (actor->act->kind) {
	case SIM_ACT_CONNECT:
		return actor_connect(actor);
	case SIM_ACT_WRITE:
		/* A peer that cannot write reads; otherwise both sides would
		 * wait. */
		return actor_write(actor) || actor_take(actor) > 0;
	case SIM_ACT_READ:
	case SIM_ACT_READ_END:
		return actor_read(actor);
	case SIM_ACT_FIN:
		weir_sim_fin(sim, actor->conn);
		return actor_next(actor);
	case SIM_ACT_RST:
		weir_sim_rst(sim, actor->conn);
		actor->conn = WEIR_SIM_NO_CONN;
		return actor_ends(actor, true);
	case SIM_ACT_QUIET:
		return actor_quiet(actor);
	case SIM_ACT_REST:
		weir_sim_rest(sim, (uint64_t)actor->act->count * NS_PER_MS);
		return actor_next(actor);
	case SIM_ACT_MUTE:
		return actor_ends(actor, true);
	case SIM_ACT_END:
		break;
	}
	return false;
}

static void actors_start(struct play *play)
{
	for (uint32_t i = 0; i < SIM_CASE_PEERS; i++) {
		play->actors[i] = (struct actor){
			.play = play,
			.id = i,
			.act = play->what->peers[i],
			.conn = WEIR_SIM_NO_CONN,
		};
		if (play->actors[i].act->kind != SIM_ACT_END)
			(void)weir_sim_on_step(play->sim, actor_step,
					       &play->actors[i]);
	}
}

/* ---- a run ------------------------------------------------------------- */

static struct weir_loop_opts case_opts(const struct sim_case *what,
				       struct weir_sim *sim)
{
	struct weir_loop_opts opts = what->loop;
	opts.ring = (struct weir_ring_opts){
		.kernel = weir_sim_kernel(sim),
		.sq_entry_count = 32,
		.cq_entry_count = 64,
		.forced_off = what->rungs_off,
	};
	if (opts.conn_count == 0)
		opts.conn_count = 4;
	opts.backlog = 4;
	if (opts.buf_count == 0)
		opts.buf_count = 4;
	if (opts.buf_bytes == 0)
		opts.buf_bytes = 64;
	opts.block_memory_bytes = 1 << 18;
	return opts;
}

static struct weir_service case_service(struct play *play)
{
	struct weir_service service = play->what->service;
	service.handlers = (struct weir_handlers){
		.on_open = case_on_open,
		.on_data = case_on_data,
		.on_close = case_on_close,
	};
	service.ctx = play;
	service.message_bytes_max = 512;
	service.idle_timeout_ms = 3000;
	service.drain_timeout_ms = 1000;
	return service;
}

/* Fewer connections if the table is full. */
static void case_connect(struct play *play)
{
	struct weir_addr addr;
	(void)weir_addr_parse("127.0.0.1", PORT, &addr); /* valid text */
	for (uint32_t i = 0; i < play->what->outbound; i++)
		(void)weir_loop_connect(play->loop, &play->service, &addr, play,
					&play->outbound[i]);
}

static bool case_open(struct play *play)
{
	const struct weir_kernel *kernel = weir_sim_kernel(play->sim);
	const struct weir_loop_opts opts = case_opts(play->what, play->sim);
	struct wi_listen_request request = { .backlog = 4 };

	if (weir_loop_open(&play->loop, &opts, NULL) < 0) {
		weir_sim_violate(play->sim, "the loop does not open");
		return false;
	}
	(void)weir_addr_parse("127.0.0.1", PORT,
			      &request.addr); /* valid text */
	play->service = case_service(play);
	(void)weir_loop_listen(play->loop, &play->service,
			       wi_listen_socket_open(kernel, &request, NULL),
			       NULL); /* the sizes are in range */
	(void)weir_loop_enable(play->loop);
	wi_sample_init(&play->loop->sample, play->what->sample_every, 0);
	if (play->what->outbound_turn == 0)
		case_connect(play);
	sim_plan_loop(play->plan, play->loop);
	return true;
}

static bool case_is_over(const struct play *play)
{
	if (play->loop->conns.pool.used_count > 0)
		return false;
	for (uint32_t i = 0; i < SIM_CASE_PEERS; i++)
		if (play->actors[i].act->kind != SIM_ACT_END)
			return false;
	return play->what->stop_turn == 0;
}

/* Runs the server's actions of this turn. */
static void case_act(struct play *play, uint64_t turn)
{
	const struct sim_case *what = play->what;
	turn -= turn < play->turns_more ? turn : play->turns_more;
	if (what->outbound_turn != 0 && turn == what->outbound_turn)
		case_connect(play);
	if (what->wakes && turn < WAKE_TURNS)
		wi_loop_wake(play->loop);
	if ((what->stop_turn != 0 && turn == what->stop_turn) ||
	    (what->force_turn != 0 && turn == what->force_turn)) {
		play->is_stopping = true;
		weir_sim_note(play->sim, "the loop is to stop");
		weir_loop_stop(play->loop);
	}
	for (uint32_t i = 0; what->abort_turn != 0 &&
			     turn == what->abort_turn && i < what->outbound;
	     i++)
		if (play->outbound[i] != NULL)
			weir_conn_abort(play->outbound[i]);
}

/* Return: whether the loop has ended. */
static bool case_turn(struct play *play, struct sim_case_result *result)
{
	case_act(play, result->turns++);
	const int turned = weir_loop_turn(play->loop, WEIR_TIMEOUT_NEVER);
	result->err = turned < 0 ? turned : 0;
	if (turned < 0 && !(turned == -ETIMEDOUT && play->is_stopping &&
			    sim_plan_has_lost(play->plan)))
		weir_sim_violate(play->sim, "the loop fails");
	if (turned == 0 && !play->is_stopping)
		weir_sim_violate(play->sim, "the loop ends by itself");
	return turned <= 0;
}

static void case_run(struct play *play, struct sim_case_result *result)
{
	bool has_ended = false;
	while (!has_ended && result->turns < FINISH_TURNS &&
	       weir_sim_violation(play->sim) == NULL &&
	       !(case_is_over(play) && sim_plan_is_done(play->plan))) {
		has_ended = case_turn(play, result);
		if (weir_sim_is_idle(play->sim))
			break; /* nothing can ever happen again */
	}
	const bool is_to_stop =
		play->what->stop_turn != 0 && !play->is_stopping;
	result->hangs = !has_ended && !is_to_stop && !case_is_over(play);
	if (result->hangs && !sim_plan_has_lost(play->plan))
		weir_sim_violate(play->sim, "it does not end");
	if (!has_ended && !play->is_stopping &&
	    weir_sim_violation(play->sim) == NULL) {
		play->is_stopping = true;
		weir_loop_stop(play->loop);
	}
	while (!has_ended && result->turns < SIM_CASE_TURNS_MAX &&
	       weir_sim_violation(play->sim) == NULL)
		has_ended = case_turn(play, result);
	if (!has_ended)
		weir_sim_violate(play->sim, "a stop does not end");
}

static void case_check(struct play *play, const struct weir_loop_stats *stats)
{
	struct weir_sim_residue residue;
	weir_sim_residue(play->sim, &residue);
	if (play->opens != play->open_closes)
		weir_sim_violate(play->sim, "an on_open without its on_close");
	/* Memory that the kernel may still write to is kept, and no other. */
	const bool is_kept = stats->kept_bytes > 0;
	if (!is_kept && (stats->conns_open != 0 || stats->block_bytes_used))
		weir_sim_violate(play->sim, "a connection or a block is left");
	if (residue.descriptors + residue.slots + residue.operations > 0 ||
	    residue.mappings != is_kept)
		weir_sim_violate(play->sim, "descriptors, slots, operations or "
					    "mappings are left");
	if (play->what->may_lose || play->plan->is_harmful)
		return;
	for (uint32_t i = 0; i < SIM_CASE_PEERS; i++)
		if (play->actors[i].is_lost ||
		    play->actors[i].received != play->actors[i].sent)
			weir_sim_violate(play->sim, "a healthy peer was not "
						    "echoed in full");
}

void sim_case_play(const struct sim_case *what, struct weir_sim *sim,
		   struct weir_tape *tape, struct sim_plan *plan, FILE *story,
		   struct sim_case_result *out_result)
{
	struct play play = { .what = what, .sim = sim, .plan = plan };
	struct weir_sim_opts world = what->world;
	struct weir_loop_stats *stats = &out_result->stats;

	*out_result = (struct sim_case_result){ .violation = NULL };
	memset(members, 0, sizeof(members));
	world.story = story;
	weir_sim_reset(sim, tape, &world);
	weir_sim_note(sim, "case %s: %s", what->name, what->what);
	sim_plan_start(plan, sim);
	play.turns_more = weir_tape_below(tape, what->turns_drawn + 1);
	actors_start(&play);
	if (case_open(&play)) {
		weir_sim_set_faults(sim, what->faults);
		case_run(&play, out_result);
		weir_loop_stats(play.loop, stats);
		sim_plan_loop(plan, NULL);
		if (weir_sim_violation(sim) == NULL && out_result->err == 0)
			sim_check_left(sim, play.loop);
		weir_loop_close(play.loop);
		if (weir_sim_violation(sim) == NULL)
			case_check(&play, stats);
	}
	sim_plan_end();
	out_result->violation = weir_sim_violation(sim);
	out_result->hash = weir_sim_hash(sim);
}

const struct sim_case *sim_case_find(const char *name)
{
	for (uint32_t i = 0; i < sim_case_count; i++)
		if (strcmp(sim_cases[i].name, name) == 0)
			return &sim_cases[i];
	return NULL;
}
