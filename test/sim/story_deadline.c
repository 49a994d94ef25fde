/* story_deadline.c - silent peers are closed, and only these
 *
 *     touched --- less than the idle timeout ---> touched ...
 *     touched --- idle timeout ---> closed: IDLE
 *     closed by the handler --- drain timeout ---> DRAIN_DEADLINE
 *
 * Virtual time is exact to the tick: a close is never early, and at most a tick
 * late. Some peers are slow. Some fall silent and read nothing, so that a send
 * never completes.
 */
#include "story_priv.h"

#include "../../net/core/timer.h"

enum {
	WATCHES = 64,
	NS_PER_MS = 1000000,
	/* From a deadline to on_close: a cancel and a close take some turns. */
	CLOSE_NS = 2 * NS_PER_MS,
	/* Missed cancels and refused operations are repeated at the next tick.
	 */
	TROUBLE_NS = 200 * NS_PER_MS,
};

/* From a cancel to the operation timeout, for an operation that never ends.
 * Twice, since the close may be such an operation too. */
#define LOST_NS (2 * UINT64_C(1100) * NS_PER_MS)

struct watch {
	struct weir_conn *conn; /* NULL: unused */
	uint64_t touched_ns;
	uint64_t closed_ns; /* by the handler; 0: not yet */
	size_t queued_bytes;
};

struct deadline {
	struct sim_run *run;
	struct watch watches[WATCHES];
};

static struct watch *watch_of(struct deadline *deadline,
			      const struct weir_conn *conn)
{
	return &deadline->watches[weir_conn_index(conn) % WATCHES];
}

static uint64_t now_ns(const struct deadline *deadline)
{
	return weir_loop_now_ns(deadline->run->loops[0].loop);
}

static void deadline_on_open(struct weir_conn *conn, void *ctx)
{
	struct deadline *deadline = ctx;
	*watch_of(deadline, conn) = (struct watch){
		.conn = conn,
		.touched_ns = now_ns(deadline),
	};
	echo_handlers.on_open(conn, deadline->run);
}

static ssize_t deadline_on_data(struct weir_conn *conn, const uint8_t *bytes,
				size_t byte_count, void *ctx)
{
	struct deadline *deadline = ctx;
	struct watch *watch = watch_of(deadline, conn);
	watch->touched_ns = now_ns(deadline);
	const ssize_t used =
		echo_handlers.on_data(conn, bytes, byte_count, deadline->run);
	const struct peer *peer = weir_conn_user(conn);
	if (peer->was_closed && watch->closed_ns == 0)
		watch->closed_ns = now_ns(deadline);
	return used;
}

/* Bytes that the kernel takes count as activity, but not the last result of a
 * cancelled send. */
static void deadline_turn(void *ctx)
{
	struct deadline *deadline = ctx;
	for (uint32_t i = 0; i < WATCHES; i++) {
		struct watch *watch = &deadline->watches[i];
		if (watch->conn == NULL)
			continue;
		const size_t queued = weir_conn_queued_bytes(watch->conn);
		if (queued < watch->queued_bytes &&
		    weir_conn_send(watch->conn, NULL, 0) == 0)
			watch->touched_ns = now_ns(deadline);
		watch->queued_bytes = queued;
	}
}

/* @was_touched: perhaps later than @from_ns; then nothing counts as late. */
static void check_span(const struct deadline *deadline, uint64_t from_ns,
		       uint32_t timeout_ms, bool was_touched)
{
	const struct sim_run *run = deadline->run;
	const uint64_t span_ns = now_ns(deadline) - from_ns;
	const uint64_t wanted_ns = (uint64_t)timeout_ms * NS_PER_MS;
	const uint32_t trouble =
		WEIR_FAULT_CANCEL_MISS | WEIR_FAULT_ERRNO | WEIR_FAULT_ENTER;
	/* Whole ticks, plus the current one. */
	uint64_t latest_ns =
		(uint64_t)wi_ticks_from_ms(timeout_ms) * WI_TICK_NS + CLOSE_NS;

	if ((run->faults & trouble) != 0)
		latest_ns += TROUBLE_NS;
	if ((run->faults & WEIR_FAULT_NEVER) != 0)
		latest_ns += LOST_NS;
	if (span_ns < wanted_ns)
		weir_sim_violate(run->sim, "a deadline fires early");
	if (span_ns > latest_ns && !was_touched &&
	    (run->faults & RUN_FAULTS_CLOCK) == 0)
		weir_sim_violate(run->sim, "a deadline fires late");
}

static void deadline_on_close(struct weir_conn *conn,
			      const struct weir_close_reason *reason, void *ctx)
{
	struct deadline *deadline = ctx;
	struct watch *watch = watch_of(deadline, conn);

	weir_sim_note(deadline->run->sim, "on_close: %s",
		      weir_close_cause_name(reason->cause));
	if (reason->cause == WEIR_CLOSE_IDLE)
		/* Bytes that arrive behind a full queue are kept, not shown;
		 * they count as activity. */
		check_span(deadline, watch->touched_ns,
			   deadline->run->service.idle_timeout_ms,
			   watch->queued_bytes > 0);
	if (reason->cause == WEIR_CLOSE_DRAIN_DEADLINE &&
	    watch->closed_ns != 0 && !deadline->run->is_stopping)
		check_span(deadline, watch->closed_ns,
			   deadline->run->service.drain_timeout_ms, false);
	watch->conn = NULL;
	echo_handlers.on_close(conn, reason, deadline->run);
}

/* The silent peers must be gone too. */
static bool deadlines_are_over(const struct sim_run *run)
{
	const struct deadline *deadline = run->ctx;
	for (uint32_t i = 0; i < WATCHES; i++)
		if (deadline->watches[i].conn != NULL)
			return false;
	return peers_are_done(run);
}

/* The first peer is always silent. */
static void draw_manners(struct deadline *deadline)
{
	struct sim_run *run = deadline->run;
	for (uint32_t i = 0; i < run->peer_count; i++) {
		struct peer *peer = &run->peers[i];
		peer->is_mute |= weir_tape_below(run->tape, 2) == 0;
		if (!peer->is_mute && !peer->is_polite)
			peer->pause_ms_max = run->service.idle_timeout_ms - 20;
	}
}

void story_deadline(struct sim_run *run)
{
	static const struct weir_handlers handlers = {
		.on_open = deadline_on_open,
		.on_data = deadline_on_data,
		.on_close = deadline_on_close,
	};
	struct deadline deadline = { .run = run };
	const struct weir_loop_opts opts = run_draw_loop(run);

	run->service.idle_timeout_ms = RUN_DRAW(run->tape, 3000, 50, 1000);
	run->service.drain_timeout_ms = RUN_DRAW(run->tape, 1000, 10, 35);
	run->ctx = &deadline;
	run->on_turn = deadline_turn;
	run->is_done = deadlines_are_over;
	run->takes_all = true;
	if (!run_open(run, &opts, &handlers, &deadline))
		return;
	peers_start(run);
	draw_manners(&deadline);
	run_faults(run);
	run_two_phases(run);
	run_end(run);
}
