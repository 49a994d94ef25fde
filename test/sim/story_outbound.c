/* story_outbound.c - a loop calls hosts: most answer, others do not
 *
 *     call: IDLE -> CALLING -> TALKING -> OVER
 *                      +-------------------^   refused, timed out, cancelled
 *
 * The handler sends a pattern and closes once it has received all of it again.
 * The host's manner decides whether the call succeeds, and why it ends.
 */
#include "story_priv.h"

#include <errno.h>

enum {
	CALLS = 4,
	LINKS = 1, /* of one host at a time */
	BACKLOG = 4,

	FIRST_PORT = 7100,
	CALL_BYTES_MAX = 4000,       /* some chunks of a send queue */
	LINK_BYTES = CALL_BYTES_MAX, /* all that a caller may send */
	PIECE_MAX = 64,
};

enum host_manner {
	HOST_ECHOES = 0,
	HOST_REFUSES,  /* no listener */
	HOST_SILENT,   /* no answer to a SYN */
	HOST_RESETS,   /* as soon as it has accepted */
	HOST_RUDE,     /* resets in the middle */
	HOST_HANGS_UP, /* close(2), as soon as it has accepted */
	HOST_MUTE,     /* accepts, and does nothing else */
};

struct link {
	bool is_used;
	bool is_ended; /* the caller's FIN was read */
	int conn;
	uint8_t bytes[LINK_BYTES]; /* to be sent back */
	uint32_t begin;
	uint32_t end;
};

struct outbound;

struct host {
	struct outbound *outbound;
	enum host_manner manner;
	uint16_t port;
	struct link links[LINKS];
};

enum call_state { CALL_IDLE = 0, CALL_CALLING, CALL_TALKING, CALL_OVER };

/* Each call has its host. */
struct call {
	enum call_state state;
	uint32_t id;
	struct host host;
	struct weir_conn *conn;
	uint32_t total; /* bytes to send, and to receive */
	uint32_t said;
	uint32_t heard;
	bool was_closed; /* by the handler */
	bool was_aborted;
	bool ends_early; /* the handler will close early */
};

struct outbound {
	struct sim_run *run;
	struct call calls[CALLS];
	uint32_t call_count;
	bool has_no_idle; /* no idle deadline */
	bool is_heavy;    /* each call sends many chunks at once */
};

/* ---- hosts ------------------------------------------------------------- */

static void link_drop(struct host *host, struct link *link, bool is_reset)
{
	struct weir_sim *sim = host->outbound->run->sim;
	if (is_reset)
		weir_sim_rst(sim, link->conn);
	else
		weir_sim_hang_up(sim, link->conn);
	link->is_used = false;
}

static bool host_accept(struct host *host)
{
	struct weir_sim *sim = host->outbound->run->sim;
	for (int i = 0; i < LINKS; i++) {
		struct link *link = &host->links[i];
		if (link->is_used)
			continue;
		const int conn = weir_sim_accept(sim, host->port);
		if (conn < 0)
			return false;
		*link = (struct link){ .is_used = true, .conn = conn };
		if (host->manner == HOST_RESETS ||
		    host->manner == HOST_HANGS_UP)
			link_drop(host, link, host->manner == HOST_RESETS);
		return true;
	}
	return false;
}

static bool link_answer(struct host *host, struct link *link)
{
	const int taken = weir_sim_write(host->outbound->run->sim, link->conn,
					 link->bytes + link->begin,
					 link->end - link->begin);
	if (taken < 0) {
		link_drop(host, link, false);
		return true;
	}
	link->begin += (uint32_t)taken;
	return taken > 0;
}

static bool link_listen(struct host *host, struct link *link)
{
	const int got =
		weir_sim_read(host->outbound->run->sim, link->conn,
			      link->bytes + link->end, LINK_BYTES - link->end);
	if (got == -EAGAIN)
		return false;
	if (got < 0) {
		link_drop(host, link, false);
		return true;
	}
	link->end += (uint32_t)got;
	link->is_ended = got == 0;
	return true;
}

/* All is sent: its FIN. */
static bool link_end(struct host *host, struct link *link)
{
	uint8_t byte;
	const int got =
		weir_sim_read(host->outbound->run->sim, link->conn, &byte, 1);
	if (got == -EAGAIN)
		return false;
	link_drop(host, link, false);
	return true;
}

static bool link_step(struct host *host, struct link *link)
{
	const struct sim_run *run = host->outbound->run;
	if (host->manner == HOST_MUTE) {
		if (!run->is_healed || !host->outbound->has_no_idle)
			return false;
		link_drop(host, link, false); /* else it waits for ever */
		return true;
	}
	if (host->manner == HOST_RUDE && !run->is_healed &&
	    weir_tape_chance(run->tape, 32)) {
		link_drop(host, link, true);
		return true;
	}
	/* Read first: two sides that only write block each other. */
	if (!link->is_ended && link->end < LINK_BYTES &&
	    link_listen(host, link))
		return true;
	if (link->begin < link->end)
		return link_answer(host, link);
	if (!link->is_ended)
		return link->end == LINK_BYTES && link_end(host, link);
	link_drop(host, link, false);
	return true;
}

static bool host_step(struct weir_sim *sim, void *ctx)
{
	struct host *host = ctx;
	bool has_moved = host_accept(host);
	(void)sim;
	for (int i = 0; i < LINKS; i++)
		if (host->links[i].is_used)
			has_moved |= link_step(host, &host->links[i]);
	host->outbound->run->moved += has_moved;
	return has_moved;
}

static void host_start(struct outbound *outbound, struct host *host,
		       uint32_t index)
{
	struct sim_run *run = outbound->run;
	*host = (struct host){
		.outbound = outbound,
		.port = (uint16_t)(FIRST_PORT + index),
		.manner = RUN_DRAW(run->tape, HOST_ECHOES, HOST_REFUSES,
				   HOST_SILENT, HOST_RESETS, HOST_RUDE,
				   HOST_HANGS_UP, HOST_MUTE, HOST_ECHOES,
				   HOST_ECHOES, HOST_ECHOES),
	};
	run->has_rude |= host->manner == HOST_RUDE;
	if (host->manner != HOST_REFUSES)
		(void)weir_sim_listen(run->sim, host->port,
				      host->manner == HOST_SILENT ? 0
								  : BACKLOG);
	(void)weir_sim_on_step(run->sim, host_step, host);
}

static void host_end(struct host *host)
{
	struct weir_sim *sim = host->outbound->run->sim;
	weir_sim_unlisten(sim, host->port);
	for (int i = 0; i < LINKS; i++)
		if (host->links[i].is_used)
			link_drop(host, &host->links[i], false);
}

/* ---- the handler ------------------------------------------------------- */

static void call_say(struct outbound *outbound, struct call *call)
{
	uint8_t piece[PIECE_MAX];
	while (call->said < call->total) {
		const uint32_t left = call->total - call->said;
		const uint32_t count = left < PIECE_MAX ? left : PIECE_MAX;
		peer_say(call->id, call->said, piece, count);
		const int result = weir_conn_send(call->conn, piece, count);
		if (result == -EAGAIN)
			return; /* on_writable follows */
		if (result < 0)
			weir_sim_violate(outbound->run->sim,
					 "an open call cannot be spoken to");
		if (result < 0)
			return;
		call->said += count;
	}
}

static void call_try(struct outbound *outbound, struct call *call)
{
	struct sim_run *run = outbound->run;
	struct weir_addr addr;
	(void)weir_addr_parse("127.0.0.1", call->host.port, &addr);
	const int result = weir_loop_connect(run->loops[0].loop, &run->service,
					     &addr, call, &call->conn);
	switch (result) {
	case 0:
		call->state = CALL_CALLING;
		run->outbound++;
		break;
	case -EAGAIN: /* all slots are in use: at the next tick */
		if (run->is_healed && run_has_timed_out(run))
			call->state = CALL_OVER; /* slots are lost for good */
		break;
	case -ESHUTDOWN:
		if (!run->is_stopping)
			weir_sim_violate(run->sim, "no loop stops, and a call "
						   "is refused for it");
		call->state = CALL_OVER;
		break;
	default:
		weir_sim_violate(run->sim, "a connect has a result of its own");
		break;
	}
}

static void call_end_early(struct outbound *outbound, struct call *call)
{
	if (!call->ends_early || outbound->run->is_healed ||
	    weir_tape_below(outbound->run->tape, 4) != 1)
		return;
	call->ends_early = false;
	if (weir_tape_below(outbound->run->tape, 2) == 1) {
		call->was_aborted = true;
		weir_conn_abort(call->conn);
	} else {
		call->was_closed = true;
		weir_conn_close(call->conn);
	}
}

static void outbound_on_tick(struct weir_loop *loop, void *ctx)
{
	struct outbound *outbound = ctx;
	(void)loop;
	for (uint32_t i = 0; i < outbound->call_count; i++) {
		struct call *call = &outbound->calls[i];
		if (call->state == CALL_IDLE)
			call_try(outbound, call);
		if (call->state == CALL_CALLING || call->state == CALL_TALKING)
			call_end_early(outbound, call);
	}
}

static void outbound_on_open(struct weir_conn *conn, void *ctx)
{
	struct outbound *outbound = ctx;
	struct call *call = weir_conn_user(conn);
	struct weir_sim *sim = outbound->run->sim;

	outbound->run->opens++;
	outbound->run->moved++;
	if (call->state != CALL_CALLING || call->conn != conn)
		weir_sim_violate(sim, "a call opens that was not made");
	if (call->was_closed || call->was_aborted)
		weir_sim_violate(sim, "a call opens that was closed");
	if (call->host.manner == HOST_REFUSES ||
	    call->host.manner == HOST_SILENT)
		weir_sim_violate(sim, "a call opens, and nobody has answered");
	call->state = CALL_TALKING;
	call_say(outbound, call);
	call_end_early(outbound, call);
}

static ssize_t outbound_on_data(struct weir_conn *conn, const uint8_t *bytes,
				size_t byte_count, void *ctx)
{
	struct outbound *outbound = ctx;
	struct call *call = weir_conn_user(conn);
	outbound->run->moved++;
	for (size_t i = 0; i < byte_count; i++)
		if (bytes[i] != peer_pattern(call->id, call->heard++))
			weir_sim_violate(outbound->run->sim,
					 "a call hears other bytes than it has "
					 "said");
	outbound->run->echoed_bytes += byte_count;
	if (call->heard > call->said)
		weir_sim_violate(outbound->run->sim,
				 "a call hears more than it has said");
	if (call->heard == call->total) {
		call->was_closed = true;
		weir_conn_close(conn);
	}
	return (ssize_t)byte_count;
}

static void outbound_on_writable(struct weir_conn *conn, void *ctx)
{
	call_say(ctx, weir_conn_user(conn));
}

/* ---- why it ended ------------------------------------------------------ */

/* The call failed: does that fit its host? */
static bool refusal_is_true(const struct outbound *outbound,
			    const struct call *call, int err)
{
	if ((outbound->run->faults & WEIR_FAULT_ERRNO) != 0)
		return err < 0;
	switch (call->host.manner) {
	case HOST_REFUSES:
		return err == -ECONNREFUSED;
	case HOST_SILENT:
		return err == -ETIMEDOUT;
	case HOST_RESETS:
	case HOST_RUDE:
		return err == -ECONNRESET;
	default:
		return false;
	}
}

static bool end_is_true(const struct outbound *outbound,
			const struct call *call,
			const struct weir_close_reason *reason)
{
	const struct sim_run *run = outbound->run;
	const bool has_errnos = (run->faults & WEIR_FAULT_ERRNO) != 0;
	const bool has_leaps = (run->faults & RUN_FAULTS_CLOCK) != 0;
	const bool has_lost = (run->faults & WEIR_FAULT_NEVER) != 0;
	const enum host_manner manner = call->host.manner;
	const bool was_made = call->state == CALL_TALKING;

	switch (reason->cause) {
	case WEIR_CLOSE_CONNECT:
		return !was_made &&
		       refusal_is_true(outbound, call, reason->err);
	case WEIR_CLOSE_LOCAL:
		return call->was_closed;
	case WEIR_CLOSE_ABORTED:
		return call->was_aborted;
	case WEIR_CLOSE_IDLE:
		return has_leaps || has_lost || manner == HOST_SILENT ||
		       manner == HOST_MUTE;
	case WEIR_CLOSE_PEER:
		/* Also after a reset: a send that was partly out reports its
		 * bytes, and then no completion carries the error. */
		return was_made &&
		       (manner == HOST_HANGS_UP || manner == HOST_MUTE ||
			manner == HOST_RESETS || manner == HOST_RUDE);
	case WEIR_CLOSE_RESET:
		return was_made &&
		       (has_errnos || manner == HOST_RESETS ||
			manner == HOST_RUDE || manner == HOST_HANGS_UP ||
			manner == HOST_MUTE);
	case WEIR_CLOSE_ERROR:
		return was_made && has_errnos;
	case WEIR_CLOSE_STOPPED:
		return run->is_stopping;
	case WEIR_CLOSE_DRAIN_DEADLINE:
		/* After our FIN no operation reports a reset, and a receive may
		 * miss it (sim-diff). Then the wait for the peer's FIN ends the
		 * connection. */
		return run->is_stopping || has_errnos || has_leaps ||
		       has_lost || manner == HOST_MUTE ||
		       manner == HOST_RESETS || manner == HOST_RUDE ||
		       manner == HOST_HANGS_UP;
	default:
		return false;
	}
}

static void outbound_on_close(struct weir_conn *conn,
			      const struct weir_close_reason *reason, void *ctx)
{
	struct outbound *outbound = ctx;
	struct sim_run *run = outbound->run;
	struct call *call = weir_conn_user(conn);

	run->moved++;
	run->closes += call->state == CALL_TALKING;
	weir_sim_note(run->sim, "call %u ends: %s, errno %d", call->id,
		      weir_close_cause_name(reason->cause), reason->err);
	if (call->state != CALL_CALLING && call->state != CALL_TALKING)
		weir_sim_violate(run->sim, "on_close twice");
	if (!end_is_true(outbound, call, reason))
		weir_sim_violate(run->sim, "a call ends for a reason that was "
					   "never there");

	call->state = CALL_OVER;
	call->conn = NULL;
}

/* ---- the story --------------------------------------------------------- */

static bool calls_are_over(const struct sim_run *run)
{
	const struct outbound *outbound = run->ctx;
	for (uint32_t i = 0; i < outbound->call_count; i++)
		if (outbound->calls[i].state != CALL_OVER)
			return false;
	return true;
}

static uint32_t draw_total(const struct outbound *outbound)
{
	struct weir_tape *tape = outbound->run->tape;
	if (outbound->is_heavy)
		return CALL_BYTES_MAX - weir_tape_below(tape, 1000);
	return 1 + weir_tape_below(tape, RUN_DRAW(tape, 30, 30, 30, 1000));
}

static void calls_start(struct outbound *outbound)
{
	struct weir_tape *tape = outbound->run->tape;
	outbound->call_count = 1 + weir_tape_below(tape, CALLS);
	if (outbound->is_heavy)
		outbound->call_count = CALLS; /* all of them at once */
	for (uint32_t i = 0; i < outbound->call_count; i++) {
		struct call *call = &outbound->calls[i];
		*call = (struct call){
			.id = i + 1,
			.total = draw_total(outbound),
			.ends_early = weir_tape_below(tape, 4) == 1,
		};
		host_start(outbound, &call->host, i);
		call_try(outbound, call);
	}
}

void story_outbound(struct sim_run *run)
{
	static const struct weir_handlers handlers = {
		.on_open = outbound_on_open,
		.on_data = outbound_on_data,
		.on_writable = outbound_on_writable,
		.on_close = outbound_on_close,
	};
	struct outbound outbound = { .run = run };
	struct weir_loop_opts opts = run_draw_loop(run);

	opts.tick_interval_ms = 1000;
	opts.hooks = (struct weir_loop_hooks){ .on_tick = outbound_on_tick,
					       .ctx = &outbound };
	outbound.is_heavy = weir_tape_below(run->tape, 8) == 1;
	if (outbound.is_heavy) {
		run->service.send_bytes_max = 8192;
		run->faults |= WEIR_FAULT_ENTER; /* between two such sends */
	}
	run->service.idle_timeout_ms =
		RUN_DRAW(run->tape, 3000, 3000, 3000, WEIR_NO_TIMEOUT);
	outbound.has_no_idle = run->service.idle_timeout_ms == WEIR_NO_TIMEOUT;
	if (outbound.has_no_idle) /* the timeout that ends a lost operation */
		run->faults &= ~(uint32_t)WEIR_FAULT_NEVER;
	run->ctx = &outbound;
	run->is_done = calls_are_over;
	if (!run_open(run, &opts, &handlers, &outbound))
		return;
	run_faults(run);
	calls_start(&outbound);
	run_two_phases(run);
	run_end(run);
	for (uint32_t i = 0; i < outbound.call_count; i++)
		host_end(&outbound.calls[i].host);
}
