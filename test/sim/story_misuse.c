/* story_misuse.c - a handler that calls anything, at any time
 *
 *     callback --> act, act ... --> on this or another connection, even closed
 *                    |
 *                    +-- a guest: the connection's known state, from which
 *                        conn.h gives the result of each call
 *
 * In on_open, on_data and on_writable a connection that its handler has not
 * closed is certainly open. At any other time its peer may have ended it.
 */
#include "story_priv.h"

#include <errno.h>
#include <string.h>

enum {
	GUESTS = 64,
	ACTS_MAX = 3,
	BYTES_MAX = 10000,
	NOBODYS_PORT = 9,
};

struct guest {
	struct weir_conn *conn;      /* NULL once it is closed */
	struct peer *peer;           /* NULL: unknown yet */
	enum weir_close_cause first; /* first call that ended it */
	int first_err;
	bool is_sure;     /* it was certainly open then */
	bool is_shut;     /* no more can be sent */
	bool was_aborted; /* queued bytes are lost, for any reason */
	bool is_opened;
	bool is_outbound;
	bool drain_owed;
	bool has_left; /* it left input unread */
	uint32_t said;
};

struct misuse {
	struct sim_run *run;
	struct weir_loop_opts opts;
	struct guest guests[GUESTS];
	uint32_t guest_count;
	bool in_callback;
	bool only_closes; /* acts: only sends and those that end it */
};

static void expect(struct misuse *misuse, bool is_so, const char *rule)
{
	if (!is_so)
		weir_sim_violate(misuse->run->sim, rule);
}

static uint32_t below(struct misuse *misuse, uint32_t count)
{
	return weir_tape_below(misuse->run->tape, count);
}

static void enter_callback(struct misuse *misuse)
{
	expect(misuse, !misuse->in_callback,
	       "a handler is entered again from "
	       "within one");
	misuse->in_callback = true;
	misuse->run->moved++;
}

static struct guest *guest_take(struct misuse *misuse)
{
	struct guest *guest = &misuse->guests[misuse->guest_count++ % GUESTS];
	*guest = (struct guest){ .conn = NULL };
	return guest;
}

/* A call of the handler ends the connection. */
static void guest_ends(struct guest *guest, enum weir_close_cause cause,
		       int err, bool is_open)
{
	/* Before it is open, a connection cannot refuse, need or send. */
	if (!guest->is_opened && cause != WEIR_CLOSE_LOCAL &&
	    cause != WEIR_CLOSE_ABORTED)
		return;
	if (guest->first == WEIR_CLOSE_NONE && !guest->is_shut) {
		guest->first = cause;
		guest->first_err = err;
		guest->is_sure = is_open;
	}
	guest->is_shut = true;
}

static void act_close(struct guest *guest, bool is_open)
{
	weir_conn_close(guest->conn);
	guest_ends(guest, WEIR_CLOSE_LOCAL, 0, is_open);
}

static void act_abort(struct guest *guest, bool is_open)
{
	weir_conn_abort(guest->conn);
	guest->was_aborted = true;
	guest_ends(guest, WEIR_CLOSE_ABORTED, 0, is_open);
}

/* ---- acts: sending ----------------------------------------------------- */

static size_t draw_bytes(struct misuse *misuse, size_t queued)
{
	const size_t limit = misuse->run->service.send_bytes_max;
	switch (below(misuse, 8)) {
	case 1:
		return 0;
	case 2:
		return 1 + below(misuse, 300);
	case 3:
		return limit;
	case 4:
		return limit + 1;
	case 5:
		return limit / 2 + 1;
	case 6:
		return queued < limit ? limit - queued : 1;
	default:
		return 1 + below(misuse, 20);
	}
}

static void say(uint8_t *out, const struct guest *guest, size_t byte_count)
{
	peer_say(0, guest->said, out, (uint32_t)byte_count);
}

/* There was no room. @queued: bytes before the call. */
static void no_room(struct misuse *misuse, struct guest *guest, size_t queued,
		    size_t byte_count)
{
	expect(misuse, !guest->is_shut,
	       "a connection that is closing says: later");
	expect(misuse,
	       queued > 0 && byte_count + queued >
				     misuse->run->service.send_bytes_max,
	       "there was room, and it is refused");
	guest->drain_owed = true;
}

static void too_large(struct misuse *misuse, struct guest *guest,
		      size_t byte_count, bool is_open)
{
	expect(misuse, byte_count > misuse->run->service.send_bytes_max,
	       "what is not too large is called too large");
	guest_ends(guest, WEIR_CLOSE_QUEUE_LIMIT, -EMSGSIZE, is_open);
}

static void act_send(struct misuse *misuse, struct guest *guest, bool is_open)
{
	uint8_t bytes[BYTES_MAX];
	const size_t queued = weir_conn_queued_bytes(guest->conn);
	const size_t count = draw_bytes(misuse, queued);

	say(bytes, guest, count);
	const int result = weir_conn_send(guest->conn, bytes, count);
	memset(bytes, 0xee, count); /* the queue has a copy */
	switch (result) {
	case 0:
		expect(misuse, !guest->is_shut,
		       "a send after close is accepted");
		expect(misuse,
		       weir_conn_queued_bytes(guest->conn) == queued + count,
		       "what was sent is not in the queue");
		guest->said += (uint32_t)count;
		break;
	case -EAGAIN:
		no_room(misuse, guest, queued, count);
		break;
	case -EMSGSIZE:
		expect(misuse, !guest->is_shut, "too large, and it is closed");
		too_large(misuse, guest, count, is_open);
		break;
	case -ESHUTDOWN:
		expect(misuse, !is_open || guest->is_shut,
		       "an open connection says that it is closing");
		guest->is_shut = guest->is_opened; /* or it is not open yet */
		break;
	default:
		expect(misuse, false, "a send has a result of its own");
		break;
	}
}

/* reserve() returned NULL. */
static void not_reserved(struct misuse *misuse, struct guest *guest,
			 size_t queued, size_t count, bool is_open)
{
	if (guest->is_shut || !guest->is_opened)
		return;
	/* A send of 0 bytes reports whether it is closing. */
	if (weir_conn_send(guest->conn, NULL, 0) == 0) {
		no_room(misuse, guest, queued, count);
	} else if (count > misuse->run->service.send_bytes_max && is_open) {
		too_large(misuse, guest, count, is_open);
	} else {
		expect(misuse, !is_open,
		       "an open connection has no room to "
		       "reserve");
		guest_ends(guest, WEIR_CLOSE_QUEUE_LIMIT, -EMSGSIZE, false);
	}
}

static void act_reserve(struct misuse *misuse, struct guest *guest,
			bool is_open)
{
	const size_t queued = weir_conn_queued_bytes(guest->conn);
	size_t count = 1 + draw_bytes(misuse, queued + 1);
	uint8_t *room = weir_conn_reserve(guest->conn, count);

	if (room != NULL && below(misuse, 4) == 1) {
		memset(room, 0xee, count); /* reserved room */
		count = 1 + below(misuse, 40);
		room = weir_conn_reserve(guest->conn, count);
	}
	if (room == NULL) {
		not_reserved(misuse, guest, queued, count, is_open);
		return;
	}
	expect(misuse, !guest->is_shut, "a reserve after close is given room");
	say(room, guest, count);
	switch (below(misuse, 8)) {
	case 1: /* no commit */
		return;
	case 2:
		act_close(guest, is_open);
		break;
	case 3:
		act_abort(guest, is_open);
		break;
	case 4:
		count = below(misuse, (uint32_t)count + 1);
		break;
	default:
		break;
	}
	weir_conn_commit(guest->conn, count);
	if (!guest->is_shut)
		guest->said += (uint32_t)count;
	expect(misuse,
	       guest->is_shut ||
		       weir_conn_queued_bytes(guest->conn) == queued + count,
	       "what was committed is not in the queue");
}

/* ---- acts: the rest ---------------------------------------------------- */

static void act_need(struct misuse *misuse, struct guest *guest, bool is_open)
{
	const size_t limit = misuse->run->service.message_bytes_max;
	if (below(misuse, 4) != 1) {
		weir_conn_need(guest->conn, below(misuse, 50));
		guest->has_left = true;
		return;
	}
	weir_conn_need(guest->conn, limit + 1);
	guest_ends(guest, WEIR_CLOSE_MESSAGE_LIMIT, -EMSGSIZE, is_open);
}

static void act_refuse(struct misuse *misuse, struct guest *guest, bool is_open)
{
	const int err = weir_conn_refuse(guest->conn, -EPROTO, 7, 5);
	expect(misuse, err == -EPROTO, "a refusal returns another errno");
	guest_ends(guest, WEIR_CLOSE_REFUSED, -EPROTO, is_open);
}

static void act_look(struct misuse *misuse, struct guest *guest)
{
	struct weir_conn *conn = guest->conn;
	expect(misuse, weir_conn_user(conn) == guest,
	       "the user's pointer is "
	       "another's");
	expect(misuse, weir_conn_loop(conn) == misuse->run->loops[0].loop,
	       "the connection is on another loop");
	expect(misuse, weir_conn_index(conn) < misuse->opts.conn_count + 64,
	       "the index is out of range");
	for (uint32_t i = 0; i < GUESTS; i++) {
		const struct guest *other = &misuse->guests[i];
		expect(misuse,
		       other == guest || other->conn == NULL ||
			       (other->conn != conn &&
				weir_conn_index(other->conn) !=
					weir_conn_index(conn)),
		       "two open connections have one slot");
	}
	weir_conn_user_set(conn, NULL);
	expect(misuse, weir_conn_user(conn) == NULL, "a pointer is not set");
	weir_conn_user_set(conn, guest);
}

static void act_connect(struct misuse *misuse)
{
	struct sim_run *run = misuse->run;
	struct weir_conn *conn = NULL;
	struct weir_addr addr;

	if (misuse->guests[misuse->guest_count % GUESTS].conn != NULL)
		return; /* no free guest to record it */
	(void)weir_addr_parse("127.0.0.1", NOBODYS_PORT, &addr);
	struct guest *guest = guest_take(misuse);
	const int result = weir_loop_connect(run->loops[0].loop, &run->service,
					     &addr, guest, &conn);
	switch (result) {
	case 0:
		guest->conn = conn;
		guest->is_outbound = true;
		run->outbound++;
		break;
	case -ESHUTDOWN:
		expect(misuse, run->is_stopping,
		       "no loop stops, and it says "
		       "that it does");
		break;
	case -EAGAIN: /* all slots are in use */
		break;
	default:
		expect(misuse, false, "a connect has a result of its own");
		break;
	}
}

static struct guest *pick_another(struct misuse *misuse)
{
	const uint32_t from = below(misuse, GUESTS);
	for (uint32_t i = 0; i < GUESTS; i++) {
		struct guest *guest = &misuse->guests[(from + i) % GUESTS];
		if (guest->conn != NULL)
			return guest;
	}
	return NULL;
}

static void act_stop(struct misuse *misuse)
{
	if (misuse->run->is_healed || below(misuse, 8) != 1)
		return;
	run_stop_loop(&misuse->run->loops[0]);
}

/* @is_open: certainly, unless its handler has ended it. */
static void act_on(struct misuse *misuse, struct guest *guest, bool is_open)
{
	static const uint8_t closes[] = { 6, 1, 4, 6, 7, 8, 9, 6 };
	switch (misuse->only_closes ? closes[below(misuse, sizeof(closes))]
				    : below(misuse, 16)) {
	case 1:
	case 2:
	case 3:
		act_send(misuse, guest, is_open);
		break;
	case 4:
	case 5:
		act_reserve(misuse, guest, is_open);
		break;
	case 6:
		act_close(guest, is_open);
		break;
	case 7:
		act_abort(guest, is_open);
		break;
	case 8:
		act_need(misuse, guest, is_open);
		break;
	case 9:
		act_refuse(misuse, guest, is_open);
		break;
	case 10:
		act_connect(misuse);
		break;
	case 11:
		act_stop(misuse);
		break;
	default:
		act_look(misuse, guest);
		break;
	}
}

/* After the heal it makes no wrong calls. @guest: NULL in a tick. */
static void acts(struct misuse *misuse, struct guest *guest)
{
	if (misuse->run->is_healed)
		return;
	for (uint32_t count = below(misuse, ACTS_MAX + 1); count > 0; count--) {
		struct guest *other = guest == NULL || below(misuse, 4) == 1
					      ? pick_another(misuse)
					      : guest;
		if (other != NULL)
			act_on(misuse, other, other == guest);
	}
}

/* ---- the handler ------------------------------------------------------- */

static void misuse_on_open(struct weir_conn *conn, void *ctx)
{
	struct misuse *misuse = ctx;
	struct guest *guest = weir_conn_user(conn);

	enter_callback(misuse);
	expect(misuse, guest == NULL, "a connection to nobody opens");
	guest = guest_take(misuse);
	guest->conn = conn;
	guest->is_opened = true;
	misuse->run->opens++;
	weir_conn_user_set(conn, guest);
	acts(misuse, guest);
	misuse->in_callback = false;
}

/* Bytes that it leaves are shown again when more arrive. */
static ssize_t misuse_use(struct misuse *misuse, struct guest *guest,
			  size_t byte_count)
{
	if (misuse->run->is_healed)
		return (ssize_t)byte_count;
	switch (below(misuse, 8)) {
	case 1:
		guest->has_left = true;
		return below(misuse, (uint32_t)byte_count + 1);
	case 2:
		guest->has_left = true;
		return 0;
	case 3:
		guest_ends(guest, WEIR_CLOSE_REFUSED, -EBADMSG, true);
		return -EBADMSG;
	default:
		return (ssize_t)byte_count;
	}
}

static ssize_t misuse_on_data(struct weir_conn *conn, const uint8_t *bytes,
			      size_t byte_count, void *ctx)
{
	struct misuse *misuse = ctx;
	struct guest *guest = weir_conn_user(conn);

	enter_callback(misuse);
	expect(misuse, !guest->is_shut, "on_data after the handler has closed");
	expect(misuse, byte_count > 0, "on_data of nothing");
	if (guest->peer == NULL)
		guest->peer = peer_find(misuse->run, bytes[0]);
	if (guest->peer != NULL)
		peer_check_shown(guest->peer, bytes, byte_count);
	acts(misuse, guest);
	const ssize_t used = misuse_use(misuse, guest, byte_count);
	if (guest->peer != NULL && used > 0)
		guest->peer->shown += (uint32_t)used;
	misuse->in_callback = false;
	return used;
}

static void misuse_on_writable(struct weir_conn *conn, void *ctx)
{
	struct misuse *misuse = ctx;
	struct guest *guest = weir_conn_user(conn);

	enter_callback(misuse);
	expect(misuse, !guest->is_shut,
	       "on_writable after the handler has closed");
	guest->drain_owed = false;
	acts(misuse, guest);
	misuse->in_callback = false;
}

/* Other causes must fit the faults and manners of this world. */
static bool cause_is_true(const struct misuse *misuse,
			  const struct guest *guest,
			  const struct weir_close_reason *reason)
{
	const struct sim_run *run = misuse->run;
	if (reason->cause == guest->first && reason->err == guest->first_err)
		return true;
	/* The first cause stays, unless a drain does not end. */
	if (guest->first != WEIR_CLOSE_NONE && guest->is_sure)
		return reason->cause == WEIR_CLOSE_DRAIN_DEADLINE &&
		       guest->first != WEIR_CLOSE_ABORTED;
	switch (reason->cause) {
	case WEIR_CLOSE_PEER:
	case WEIR_CLOSE_RESET:
	case WEIR_CLOSE_IDLE:
	case WEIR_CLOSE_DRAIN_DEADLINE:
		return true;
	case WEIR_CLOSE_ERROR:
		return (run->faults & WEIR_FAULT_ERRNO) != 0;
	case WEIR_CLOSE_STOPPED:
		return run->is_stopping;
	case WEIR_CLOSE_MESSAGE_LIMIT:
		return guest->has_left;
	case WEIR_CLOSE_CONNECT:
		return guest->is_outbound && !guest->is_opened;
	default:
		return false;
	}
}

/* An error during the drain may lose the rest, and the close reason is still
 * that of the drain. */
static void owe(const struct misuse *misuse, struct guest *guest,
		const struct weir_close_reason *reason)
{
	if (guest->peer == NULL)
		return;
	guest->peer->has_owed = true;
	guest->peer->owed = guest->said;
	guest->peer->is_owed_all =
		(misuse->run->faults & WEIR_FAULT_ERRNO) == 0 &&
		!guest->was_aborted &&
		(reason->cause == WEIR_CLOSE_LOCAL ||
		 reason->cause == WEIR_CLOSE_REFUSED ||
		 reason->cause == WEIR_CLOSE_PEER ||
		 reason->cause == WEIR_CLOSE_STOPPED);
}

/* In on_close every call is still harmless. */
static void acts_on_the_dead(struct misuse *misuse, struct guest *guest)
{
	struct weir_conn *conn = guest->conn;
	expect(misuse, weir_conn_send(conn, "x", 1) == -ESHUTDOWN,
	       "a send in on_close is accepted");
	expect(misuse, weir_conn_reserve(conn, 1) == NULL,
	       "a reserve in on_close is given room");
	weir_conn_commit(conn, 0);
	weir_conn_need(conn, SIZE_MAX);
	weir_conn_close(conn);
	weir_conn_abort(conn);
	(void)weir_conn_refuse(conn, -EPROTO, 0, 0); /* returns its argument */
	expect(misuse, weir_conn_queued_bytes(conn) == 0,
	       "a queue outlives its connection");
}

static void misuse_on_close(struct weir_conn *conn,
			    const struct weir_close_reason *reason, void *ctx)
{
	struct misuse *misuse = ctx;
	struct guest *guest = weir_conn_user(conn);
	const struct weir_close_reason seen = *reason;

	enter_callback(misuse);
	expect(misuse, guest->conn == conn, "on_close twice, or of another");
	weir_sim_note(misuse->run->sim, "on_close: %s, errno %d",
		      weir_close_cause_name(seen.cause), seen.err);
	expect(misuse, guest->is_opened || guest->is_outbound,
	       "on_close without on_open");
	expect(misuse, cause_is_true(misuse, guest, &seen),
	       "a connection closes for a reason that was never there");
	misuse->run->closes += guest->is_opened;
	owe(misuse, guest, &seen);
	guest->is_shut = true;
	acts_on_the_dead(misuse, guest);
	acts(misuse, NULL);
	expect(misuse, reason->cause == seen.cause && reason->err == seen.err,
	       "the reason changes under on_close");
	guest->conn = NULL;
	misuse->in_callback = false;
}

static void misuse_on_tick(struct weir_loop *loop, void *ctx)
{
	struct misuse *misuse = ctx;
	enter_callback(misuse);
	expect(misuse, loop == misuse->run->loops[0].loop,
	       "a tick of another loop");
	acts(misuse, NULL);
	misuse->in_callback = false;
}

static void misuse_play(struct sim_run *run, bool only_closes)
{
	static const struct weir_handlers handlers = {
		.on_open = misuse_on_open,
		.on_data = misuse_on_data,
		.on_writable = misuse_on_writable,
		.on_close = misuse_on_close,
	};
	struct misuse misuse = { .run = run,
				 .opts = run_draw_loop(run),
				 .only_closes = only_closes };

	run->is_free = true;
	misuse.opts.hooks = (struct weir_loop_hooks){
		.on_tick = misuse_on_tick,
		.ctx = &misuse,
	};
	misuse.opts.tick_interval_ms = RUN_DRAW(run->tape, 0, 1, 50, 500);
	if (misuse.opts.tick_interval_ms == 1) /* would take too long */
		run->faults &= ~(uint32_t)WEIR_FAULT_NEVER;
	if (!run_open(run, &misuse.opts, &handlers, &misuse))
		return;
	peers_start(run);
	run_faults(run);
	run_two_phases(run);
	run_end(run);
}

void story_misuse(struct sim_run *run)
{
	misuse_play(run, false);
}

void story_close(struct sim_run *run)
{
	misuse_play(run, true);
}
