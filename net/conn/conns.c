#include "conns.h"

#include "../../uring/mutant.h"
#include "conn_priv.h"

enum {
	DEADLINES_PER_TURN = 256, /* the rest fire in the next turn */
};

size_t wi_conn_bytes(void)
{
	return sizeof(struct weir_conn);
}

void wi_conns_init(struct wi_conns *conns, struct wi_core *core,
		   struct weir_loop *loop, const struct wi_conns_memory *memory)
{
	conns->core = core;
	conns->loop = loop;
	wi_pool_init(&conns->pool, memory->slots, sizeof(struct weir_conn),
		     memory->slot_count);
	conns->marks.list = memory->marks;
	conns->marks.spare = memory->marks_spare;
	conns->waiters.ring = memory->waiters;
	conns->waiters.slot_count = memory->slot_count;
	wi_services_init(&conns->services, memory->services, conns, core);
}

static struct weir_conn *conn_at(const struct wi_conns *conns, uint32_t index)
{
	return (struct weir_conn *)(void *)wi_pool_at(&conns->pool, index);
}

/* ---- birth and death --------------------------------------------------- */

struct weir_conn *wi_conn_birth(struct wi_conns *conns,
				const struct wi_service *service)
{
	struct weir_conn *conn =
		(struct weir_conn *)(void *)wi_pool_take(&conns->pool);
	if (conn == NULL)
		return NULL;
	/* The slot may still be on a list for the connection before. */
	const struct wi_pool_slot slot = conn->slot;
	const bool is_marked = conn->is_marked;
	const bool waits_for_memory = conn->waits_for_memory;
	*conn = (struct weir_conn){
		.slot = slot,
		.is_marked = is_marked,
		.waits_for_memory = waits_for_memory,
		.service = service,
		.file_slot = WI_NO_FILE,
	};
	return conn;
}

void wi_conn_death(struct weir_conn *conn)
{
	struct wi_conns *conns = wi_conn_conns(conn);
	assert(conn->state == WEIR_CONN_FREE && conn->in_flight == 0);
	WI_MUTANT("timer-is-not-cleared",
		  wi_timer_clear(&conns->core->wheel, &conn->timer), (void)0);
	wi_pool_give(&conns->pool, &conn->slot);
}

/* ---- once a turn ------------------------------------------------------- */

void wi_conns_flush(struct wi_conns *conns)
{
	uint32_t count;
	const uint32_t *walk = wi_marks_take(&conns->marks, &count);

	for (uint32_t i = 0; i < count; i++) {
		struct weir_conn *conn = conn_at(conns, walk[i]);
		conn->is_marked = false;
		if (!wi_conn_work(conn))
			wi_conn_mark(conn); /* the SQ is full: next turn */
	}
}

void wi_conns_complete(struct wi_conns *conns, const struct io_uring_cqe *cqe)
{
	struct wi_core *core = conns->core;
	struct weir_conn *conn = (struct weir_conn *)(void *)wi_pool_find(
		&conns->pool, cqe->user_data);
	if (conn != NULL) {
		wi_conn_complete(conn, cqe);
		return;
	}
	/* The connection is gone, but its buffer must come back. */
	wi_counter_add(&core->stats.stale_completions, 1);
	if (WI_MUTANT("stale-buffer-is-lost",
		      (cqe->flags & IORING_CQE_F_BUFFER) != 0, false)) {
		wi_bufs_take_back(&core->bufs, cqe);
		WI_MUTANT("buffer-is-returned-twice", (void)0,
			  wi_bufs_take_back(&core->bufs, cqe));
	}
}

void wi_conns_deadlines(struct wi_conns *conns)
{
	struct wi_core *core = conns->core;
	for (int i = 0; i < DEADLINES_PER_TURN; i++) {
		struct wi_timer *timer =
			wi_wheel_next_due(&core->wheel, core->clock.now_tick);
		if (timer == NULL)
			break;
		wi_conn_deadline(
			(struct weir_conn *)(void *)((char *)timer -
						     offsetof(struct weir_conn,
							      timer)));
	}
}

/* ---- memory waiters ---------------------------------------------------- */

void wi_conn_await_memory(struct weir_conn *conn)
{
	struct wi_conns *conns = wi_conn_conns(conn);
	if (conn->waits_for_memory)
		return;
	conn->waits_for_memory = true;
	wi_waiters_add(&conns->waiters, weir_conn_index(conn),
		       &conns->core->blocks);
}

void wi_conns_retry_memory(struct wi_conns *conns)
{
	const uint32_t count =
		wi_waiters_due(&conns->waiters, &conns->core->blocks);
	const uint32_t calls =
		WI_MUTANT("one-waiter-for-memory-is-called", count, count > 0);
	for (uint32_t i = 0; i < calls; i++) {
		/* It may have to wait again, and its handler may make others
		 * wait: they go to the end of the ring. */
		struct weir_conn *conn =
			conn_at(conns, wi_waiters_pop(&conns->waiters));
		conn->waits_for_memory = false;
		if (conn->state == WEIR_CONN_OPEN && conn->is_paused)
			wi_conn_resume(conn);
	}
}

/* ---- the loop ends ----------------------------------------------------- */

static void conns_each(struct wi_conns *conns,
		       void (*visit)(struct weir_conn *conn))
{
	for (uint32_t i = 0; i < conns->pool.fresh_index; i++) {
		struct weir_conn *conn = conn_at(conns, i);
		if (conn->state != WEIR_CONN_FREE)
			visit(conn);
	}
}

void wi_conns_stop(struct wi_conns *conns)
{
	conns->is_stopping = true;
	conns_each(conns, wi_conn_last_look);
}

/* Open connections end by themselves: each drains after its last look, or when
 * a pause that delays the last look is over. */
static void conn_cut(struct weir_conn *conn)
{
	if (conn->state == WEIR_CONN_CONNECTING)
		wi_conn_drain(conn, WEIR_CLOSE_STOPPED);
}

void wi_conns_cut(struct wi_conns *conns)
{
	conns_each(conns, conn_cut);
}

static void conn_force(struct weir_conn *conn)
{
	assert(conn->state != WEIR_CONN_CONNECTING); /* wi_conns_cut() */
	if (conn->state == WEIR_CONN_DRAINING ||
	    conn->state == WEIR_CONN_OPEN) {
		wi_counter_add(&wi_conn_core(conn)->stats.drain_deadlines, 1);
		wi_conn_stop(conn, WEIR_CLOSE_DRAIN_DEADLINE, 0);
	}
}

void wi_conns_force(struct wi_conns *conns)
{
	conns_each(conns, conn_force);
}

void wi_conns_time_out(struct wi_conns *conns)
{
	conns_each(conns, wi_conn_time_out);
}
