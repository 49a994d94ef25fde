/* load_churn.c - connections that come and go, and how they are counted
 *
 *     list of places --> connect --> request, answer --> close --> list
 *
 * Invariant, at the end: begun = answered + failed, each connection once.
 *
 * The client closes first and waits for the server's FIN. So TIME_WAIT stays
 * with the client, where it holds a port for each address that is connected to.
 *
 * Not here: what a connection sends and checks (load_conn.c).
 */
#include "load_churn.h"

#include "load_conn.h"

#include <weir/uring/barrier.h>

#include <errno.h>
#include <string.h>

static void churn_list(struct load_conn *conn)
{
	conn->next_closed = conn->thread->closed;
	conn->thread->closed = conn;
}

void load_churn_start(struct load_thread *thread)
{
	thread->started_count = thread->conn_count;
	for (uint32_t i = thread->conn_count; i > 0; i--)
		churn_list(&thread->conns[i - 1]);
	load_churn_open_some(thread);
}

/* Connections are counted as they begin, so a place that always fails ends. */
static bool churn_has_lives(const struct load_conn *conn)
{
	const struct load_plan *plan = conn->thread->plan;
	uint64_t begun;

	return __builtin_mul_overflow(conn->life_count, plan->life_count,
				      &begun) == false &&
	       begun < plan->request_count;
}

/* The connect failed at once, without a completion: the place is given up. */
static void churn_fail_at_once(struct load_conn *conn, int err)
{
	struct load_counts *counts = &conn->thread->counts;

	wi_counter_add(&counts->failed_connects, 1);
	wi_counter_add(&counts->churn_other, 1);
	load_thread_fail(conn->thread, "connection %llu: %s",
			 (unsigned long long)conn->id, strerror(-err));
}

void load_churn_open_some(struct load_thread *thread)
{
	while (thread->phase == LOAD_RUNNING && thread->closed != NULL &&
	       thread->connecting_count < LOAD_CONNECTING_MAX) {
		struct load_conn *conn = thread->closed;
		thread->closed = conn->next_closed;
		if (!churn_has_lives(conn))
			continue;
		wi_counter_add(&thread->counts.churn_connections, 1);
		int err = load_conn_connect(conn);
		if (err < 0)
			churn_fail_at_once(conn, err);
	}
}

/* The counter of a failure with this errno. */
static uint64_t *churn_failure_of(struct load_counts *counts, int err)
{
	switch (err) {
	case -ECONNREFUSED:
		return &counts->churn_refused;
	case -ECONNRESET:
	case -EPIPE:
		return &counts->churn_reset;
	case -ETIMEDOUT:
		return &counts->churn_timed_out;
	case -EADDRNOTAVAIL:
		return &counts->churn_portless;
	default:
		return &counts->churn_other;
	}
}

static uint64_t *churn_account(const struct load_conn *conn,
			       const struct weir_close_reason *reason)
{
	struct load_counts *counts = &conn->thread->counts;

	if (conn->is_timed_out)
		return &counts->churn_timed_out;
	if (conn->is_given_up)
		return &counts->churn_other; /* a wrong byte */
	switch (reason->cause) {
	case WEIR_CLOSE_LOCAL:
	case WEIR_CLOSE_DRAIN_DEADLINE: /* all answers had come before */
		return &counts->churn_answered;
	case WEIR_CLOSE_PEER:
		return load_conn_is_done(conn) ? &counts->churn_answered
					       : &counts->churn_closed;
	case WEIR_CLOSE_RESET:
		return &counts->churn_reset;
	default:
		return churn_failure_of(counts, reason->err);
	}
}

void load_churn_closed(struct load_conn *conn,
		       const struct weir_close_reason *reason)
{
	wi_counter_add(churn_account(conn, reason), 1);
	churn_list(conn);
}

void load_churn_end(struct load_thread *thread)
{
	wi_counter_add(&thread->counts.churn_other, thread->live_count);
}
