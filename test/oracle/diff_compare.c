/* diff_compare.c - compare two stories, with the differences allowed */
#include "diff.h"

#include <stdio.h>
#include <string.h>

/* ---- freedoms ------------------------------------------------------------ */

static uint64_t bytes_written(const struct diff_script *script, uint32_t conn)
{
	uint64_t written = 0;
	for (uint32_t i = 0; i < script->action_count; i++)
		if (script->actions[i].what == DIFF_WRITE &&
		    script->actions[i].conn == conn)
			written += script->actions[i].amount;
	return written;
}

/* The client sent bytes after the one at which the handler closes. */
static bool ends_amid_input(const struct diff_script *script, uint32_t conn)
{
	return script->reaction.then != DIFF_GO_ON &&
	       bytes_written(script, conn) > script->reaction.at_bytes;
}

static bool aborts(const struct diff_script *script, uint32_t conn)
{
	return script->reaction.then == DIFF_ABORT &&
	       bytes_written(script, conn) >= script->reaction.at_bytes;
}

static bool pauses(const struct diff_script *script, uint32_t conn)
{
	(void)conn;
	return script->reaction.high_bytes > 0;
}

/* And its FIN directly after them. */
static bool ends_amid_the_last_input(const struct diff_script *script,
				     uint32_t conn)
{
	bool is_fresh = false;
	for (uint32_t i = 0; i < script->action_count; i++) {
		const struct diff_action *action = &script->actions[i];
		if (action->what == DIFF_SETTLE)
			is_fresh = false;
		if (action->conn != conn)
			continue;
		is_fresh |= action->what == DIFF_WRITE;
		if (action->what == DIFF_FIN && is_fresh)
			return script->reaction.then != DIFF_GO_ON;
	}
	return false;
}

/* @conn resets or hangs up, or the loop stops, without a settle after the
 * earlier actions of @conn. */
static bool races_with_an_end(const struct diff_script *script, uint32_t conn)
{
	bool is_fresh = false;
	for (uint32_t i = 0; i < script->action_count; i++) {
		const struct diff_action *action = &script->actions[i];
		switch (action->what) {
		case DIFF_SETTLE:
			is_fresh = false;
			break;
		case DIFF_CONNECT:
		case DIFF_WRITE:
		case DIFF_FIN:
		case DIFF_READ: /* makes room */
			is_fresh |= action->conn == conn;
			break;
		case DIFF_PAUSE:
			break;
		case DIFF_STOP:
			if (is_fresh)
				return true;
			break;
		default:
			if (is_fresh && action->conn == conn)
				return true;
			is_fresh |= action->conn == conn;
			break;
		}
	}
	return false;
}

const struct diff_freedom diff_freedoms[] = {
	{ "what comes behind the end",
	  "of the bytes behind the one at which the handler ends it, those in "
	  "the same segment are dropped with it, later ones are discarded and "
	  "counted: no RFC promises where TCP cuts (RFC 9293, 3.7)",
	  DIFF_MAY_DISCARD, ends_amid_input },
	{ "an abort",
	  "loses what is queued: the answers to the last segment; and closes "
	  "with a reset if there are unread bytes, else with a FIN (RFC 2525, "
	  "2.17): it depends on what had arrived",
	  DIFF_MAY_END | DIFF_MAY_RECEIVE, aborts },
	{ "a FIN behind the bytes that end it",
	  "if it comes with them, the loop closes at once; if later, it sends "
	  "a FIN of its own first",
	  DIFF_MAY_HALF_CLOSE, ends_amid_the_last_input },
	{ "pauses",
	  "the answers to one segment fill the queue, those to two halves of "
	  "it do not: how often reading pauses follows the segments",
	  DIFF_MAY_DRAIN, pauses },
	{ "a race with an end",
	  "what was sent right before a reset, a close or the loop's stop may "
	  "arrive before it or be lost with it (RFC 9293, 3.10.7.4)",
	  DIFF_MAY_ALL, races_with_an_end },
};
const uint32_t diff_freedom_count =
	sizeof(diff_freedoms) / sizeof(diff_freedoms[0]);

static uint32_t freedoms_of(const struct diff_script *script, uint32_t conn)
{
	uint32_t may = 0;
	for (uint32_t i = 0; i < diff_freedom_count; i++)
		if (diff_freedoms[i].has(script, conn))
			may |= diff_freedoms[i].may;
	return may;
}

/* ---- comparison ---------------------------------------------------------- */

/* Counters that must agree, unless a freedom covers them. */
static const struct {
	const char *name;
	size_t offset;
	uint32_t may;
} counters[] = {
#define COUNTER(name, may)                                                     \
	{                                                                      \
#name, offsetof(struct weir_loop_stats, name), may             \
	}
	COUNTER(accepts, 0),
	COUNTER(accept_errors, 0),
	COUNTER(accept_drops, 0),
	COUNTER(closes, 0),
	COUNTER(recv_bytes, DIFF_MAY_SHOW | DIFF_MAY_END),
	COUNTER(recv_discarded_bytes, DIFF_MAY_DISCARD | DIFF_MAY_SHOW),
	COUNTER(sent_bytes, DIFF_MAY_RECEIVE),
	COUNTER(stale_completions, 0),
	COUNTER(idle_deadlines, DIFF_MAY_REASON),
	COUNTER(drain_deadlines, DIFF_MAY_REASON),
	COUNTER(block_failures, 0),
	COUNTER(half_closes, DIFF_MAY_HALF_CLOSE),
	COUNTER(conns_open, 0),
	COUNTER(block_bytes_used, 0),
#undef COUNTER
};

static uint64_t counter_of(const struct weir_loop_stats *stats, size_t offset)
{
	uint64_t value = 0;
	memcpy(&value, (const uint8_t *)stats + offset, sizeof(value));
	return value;
}

static bool differ(char *out_text, const char *what, uint64_t sim,
		   uint64_t real)
{
	if (sim == real)
		return false;
	if (out_text != NULL)
		(void)snprintf(out_text, DIFF_TEXT_BYTES,
			       "%s: %llu simulated, %llu real", what,
			       (unsigned long long)sim,
			       (unsigned long long)real);
	return true;
}

/* Removes on_writable, and repeats of on_data. */
static void events_undrained(char *out, const char *events)
{
	size_t length = 0;
	for (; *events != '\0'; events++)
		if (*events != 'r' &&
		    !(*events == 'd' && length > 0 && out[length - 1] == 'd'))
			out[length++] = *events;
	out[length] = '\0';
}

static bool events_are_other(const char *sim, const char *real, uint32_t may)
{
	char sim_rest[DIFF_EVENTS];
	char real_rest[DIFF_EVENTS];

	if ((may & DIFF_MAY_EVENTS) != 0)
		return strchr(sim, 'o') != NULL && strchr(real, 'o') == NULL;
	if ((may & DIFF_MAY_DRAIN) == 0)
		return strcmp(sim, real) != 0;
	events_undrained(sim_rest, sim);
	events_undrained(real_rest, real);
	return strcmp(sim_rest, real_rest) != 0;
}

static bool events_differ(const struct diff_conn *sim,
			  const struct diff_conn *real, uint32_t may,
			  char *out_text)
{
	const bool differs = events_are_other(sim->events, real->events, may);
	if (differs && out_text != NULL)
		(void)snprintf(out_text, DIFF_TEXT_BYTES,
			       "callbacks: %s simulated, %s real", sim->events,
			       real->events);
	return differs;
}

static bool reasons_differ(const struct weir_close_reason *sim,
			   const struct weir_close_reason *real, char *out_text)
{
	return differ(out_text, "cause of the close", sim->cause,
		      real->cause) ||
	       differ(out_text, "errno of the close", (uint64_t)-sim->err,
		      (uint64_t)-real->err) ||
	       differ(out_text, "value of the close", sim->value,
		      real->value) ||
	       differ(out_text, "limit of the close", sim->limit, real->limit);
}

bool diff_settle_differs(const struct diff_script *script, bool is_any_order,
			 uint32_t conn, const struct diff_conn *sim,
			 const struct diff_conn *real, char *out_text)
{
	const uint32_t may = is_any_order ? freedoms_of(script, conn) : 0;

	if (differ(out_text, "wrong bytes", sim->is_wrong, 0) ||
	    differ(out_text, "wrong bytes", 0, real->is_wrong) ||
	    events_differ(sim, real, may, out_text))
		return true;
	return ((may & DIFF_MAY_SHOW) == 0 &&
		differ(out_text, "bytes shown", sim->shown_bytes,
		       real->shown_bytes)) ||
	       ((may & DIFF_MAY_RECEIVE) == 0 &&
		differ(out_text, "bytes received", sim->received_bytes,
		       real->received_bytes)) ||
	       ((may & DIFF_MAY_END) == 0 &&
		differ(out_text, "end (1: FIN, 2: RST)", sim->end,
		       real->end)) ||
	       ((may & DIFF_MAY_REASON) == 0 &&
		reasons_differ(&sim->reason, &real->reason, out_text));
}

static bool stats_differ(const struct weir_loop_stats *sim,
			 const struct weir_loop_stats *real, uint32_t may,
			 char *out_text)
{
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		if ((counters[i].may & may) == 0 &&
		    differ(out_text, counters[i].name,
			   counter_of(sim, counters[i].offset),
			   counter_of(real, counters[i].offset)))
			return true;
	return false;
}

bool diff_differs(const struct diff_script *script,
		  const struct diff_story *sim, const struct diff_story *real,
		  char *out_text)
{
	uint32_t may = 0;

	if (differ(out_text, "settles", sim->settle_count,
		   real->settle_count) ||
	    differ(out_text, "ended", sim->has_ended, real->has_ended))
		return true;
	for (uint32_t c = 0; c < DIFF_CONNS; c++)
		may |= sim->is_any_order ? freedoms_of(script, c) : 0;
	for (uint32_t i = 0; i < sim->settle_count * DIFF_CONNS; i++) {
		const uint32_t s = i / DIFF_CONNS;
		const uint32_t c = i % DIFF_CONNS;
		char text[DIFF_TEXT_BYTES];
		if (!diff_settle_differs(script, sim->is_any_order, c,
					 &sim->settled[s][c],
					 &real->settled[s][c], text))
			continue;
		(void)snprintf(out_text, DIFF_TEXT_BYTES,
			       "settle %u, connection %u: %.3900s", s, c, text);
		return true;
	}
	return stats_differ(&sim->stats, &real->stats, may, out_text);
}
