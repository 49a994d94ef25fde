#include "../../uring/mutant.h"
#include "../core/min.h"
#include "loop_priv.h"

#include "../../uring/filetab.h"

#include <errno.h>

enum {
	RETRY_NS = 100 * 1000 * 1000, /* after an error of accept */
	ONE_BY_ONE = 64,              /* free connections, or fewer */
	/* To arm an accept, to complete it, and to see that no more come. */
	ACCEPT_TURNS = 3,
	WISH_BITS = 2,
};

void wi_listener_init(struct wi_listener *listener, int fd)
{
	*listener = (struct wi_listener){ .fd = fd };
}

/* ---- wishes ------------------------------------------------------------ */

static enum wi_listener_wish wish_of(uint32_t word)
{
	return (enum wi_listener_wish)(word & ((1u << WISH_BITS) - 1));
}

void wi_listener_wish(struct wi_listener *listener, enum wi_listener_wish wish)
{
	const uint32_t count = (listener->wish >> WISH_BITS) + 1;
	wi_store_release_u32(&listener->wish, count << WISH_BITS | wish);
}

bool wi_listener_has_told(const struct wi_listener *listener)
{
	return wi_load_acquire_u32(&listener->told) == listener->wish;
}

void wi_latecomers_start(struct wi_latecomers *latecomers,
			 const struct weir_loop *loop, uint64_t accepts)
{
	/* Enough for the kernel to come to the accept that it holds back. */
	latecomers->turns_left =
		loop->conns.used_count / WI_TASKRUN_BATCH + ACCEPT_TURNS;
	latecomers->accepts = accepts;
	latecomers->accepts_max = accepts + loop->opts.backlog;
}

bool wi_latecomers_go_on(struct wi_latecomers *latecomers, uint64_t accepts)
{
	if (accepts != latecomers->accepts &&
	    accepts < latecomers->accepts_max &&
	    latecomers->turns_left < ACCEPT_TURNS)
		latecomers->turns_left = ACCEPT_TURNS;
	latecomers->accepts = accepts;
	if (latecomers->turns_left == 0)
		return false;
	latecomers->turns_left--;
	return true;
}

/* ---- work -------------------------------------------------------------- */

static uint64_t listener_token(const struct weir_loop *loop,
			       const struct wi_listener *listener,
			       enum wi_token_kind kind)
{
	return wi_token(kind, 0, (uint32_t)(listener - loop->listeners));
}

static bool listener_is_emptied(const struct wi_listener *listener)
{
	return wish_of(listener->seen_wish) == WI_LISTENER_EMPTY;
}

/* Who waits in a backlog that is emptied, or when the loop stops, has room in
 * the table in any case. */
static bool listener_is_full(const struct weir_loop *loop,
			     const struct wi_listener *listener)
{
	uint32_t room = loop->opts.conn_count;
	if (listener_is_emptied(listener) ||
	    WI_MUTANT("stop-forgets-who-waits", loop->stop_phase != WI_RUNNING,
		      false))
		room += loop->opts.backlog;
	return loop->conns.used_count >= room;
}

/* Once the loop stops, all who wait are let in: the table has room for them. */
static bool listener_is_nearly_full(const struct weir_loop *loop,
				    const struct wi_listener *listener)
{
	return loop->stop_phase == WI_RUNNING &&
	       !listener_is_emptied(listener) &&
	       loop->conns.used_count + ONE_BY_ONE >= loop->opts.conn_count;
}

static void listener_arm(struct weir_loop *loop, struct wi_listener *listener)
{
	struct io_uring_sqe *sqe = wi_loop_sqe(loop);
	if (sqe == NULL)
		return; /* again next turn */
	listener->is_multishot = !listener_is_nearly_full(loop, listener);
	if (listener->is_multishot)
		weir_op_accept_slot_multishot(sqe, listener->fd);
	else
		weir_op_accept_slot(sqe, listener->fd);
	sqe->user_data = listener_token(loop, listener, WI_TOKEN_ACCEPT);
	listener->state = WI_LISTENER_ARMED;
	listener->armed_wish = listener->seen_wish;
	listener->is_paused = false;
	listener->retry_ns = 0;
}

static void listener_cancel(struct weir_loop *loop,
			    struct wi_listener *listener)
{
	struct io_uring_sqe *sqe = wi_loop_sqe(loop);
	if (sqe == NULL)
		return;
	weir_op_cancel_token(sqe,
			     listener_token(loop, listener, WI_TOKEN_ACCEPT));
	sqe->user_data = listener_token(loop, listener, WI_TOKEN_ACCEPT_CANCEL);
	listener->state = WI_LISTENER_CANCELLING;
}

/* Ends an accept that is armed as well, with -EINVAL. */
static void listener_shut(struct weir_loop *loop, struct wi_listener *listener)
{
	/* -ENOTCONN if another thread was first. */
	(void)loop->kernel->shutdown(loop->kernel->ctx, listener->fd,
				     SHUT_RDWR);
	listener->is_shut = true;
}

void wi_listeners_shut(struct weir_loop *loop)
{
	/* Those as well that listen again since this loop shut them down. */
	for (uint32_t i = 0; i < loop->listener_count; i++)
		listener_shut(loop, &loop->listeners[i]);
}

static void listener_note_pause(struct weir_loop *loop,
				struct wi_listener *listener)
{
	if (listener->is_paused)
		return;
	listener->is_paused = true;
	wi_loop_count(&loop->stats.accept_pauses, 1);
}

static void listener_heed(struct weir_loop *loop, struct wi_listener *listener,
			  uint32_t word)
{
	listener->seen_wish = word;
	/* It may listen again: a wish to accept that came in between, and was
	 * overtaken by this one, was never seen. */
	listener->is_shut = WI_MUTANT("resumed-loop-does-not-accept", false,
				      listener->is_shut);
	if (wish_of(word) == WI_LISTENER_ACCEPT)
		listener->retry_ns = 0;
	else if (wish_of(word) == WI_LISTENER_EMPTY)
		wi_latecomers_start(&listener->latecomers, loop,
				    listener->accepts);
}

/* Whether this is its last turn: the loop stops, or it was to be emptied and
 * is. Who waits when the loop sees its stop is still let in. */
static bool listener_ends(const struct weir_loop *loop,
			  struct wi_listener *listener)
{
	if (loop->stop_phase >= WI_STOP_CUT)
		return true;
	return listener_is_emptied(listener) &&
	       !wi_latecomers_go_on(&listener->latecomers, listener->accepts);
}

static void listener_work(struct weir_loop *loop, struct wi_listener *listener)
{
	const uint32_t word = wi_load_acquire_u32(&listener->wish);

	if (word != listener->seen_wish)
		listener_heed(loop, listener, word);
	if (!listener->is_shut && listener_ends(loop, listener))
		listener_shut(loop, listener);
	if (listener->is_shut ||
	    WI_MUTANT("held-loop-goes-on", wish_of(word) == WI_LISTENER_HOLD,
		      false)) {
		/* Shut down, or about to be: that ends what is armed. */
		if (WI_MUTANT("drained-loop-says-so-too-early",
			      listener->state == WI_LISTENER_IDLE, true))
			wi_store_release_u32(&listener->told, word);
		return;
	}
	const bool is_full = listener_is_full(loop, listener);
	if (is_full)
		listener_note_pause(loop, listener);
	if (listener->state == WI_LISTENER_IDLE) {
		if (!is_full && loop->now_ns >= listener->retry_ns)
			listener_arm(loop, listener);
	} else if (listener->state == WI_LISTENER_ARMED) {
		if (is_full || (listener->is_multishot &&
				listener_is_nearly_full(loop, listener)))
			listener_cancel(loop, listener);
	} /* else the accept's own last CQE decides */
}

void wi_listeners_work(struct weir_loop *loop)
{
	for (uint32_t i = 0; i < loop->listener_count; i++)
		listener_work(loop, &loop->listeners[i]);
}

/* ---- completions ------------------------------------------------------- */

/* By a call of its own if the SQ is full: nobody remembers the slot. */
static void listener_let_go(struct weir_loop *loop, uint32_t file_slot)
{
	static const int32_t empty = WEIR_FILETAB_EMPTY;
	struct io_uring_sqe *sqe = wi_loop_sqe(loop);
	if (sqe != NULL)
		weir_op_close_slot(sqe, file_slot);
	else /* -ENOMEM, before 6.13: it keeps its place */
		(void)weir_filetab_update(&loop->ring, file_slot, &empty, 1);
}

static void listener_accepted(struct weir_loop *loop, uint32_t file_slot)
{
	struct weir_conn *conn = wi_loop_conn_take(loop);
	wi_loop_count(&loop->stats.accepts, 1);
	if (conn != NULL) {
		/* Ahead of anything that could close the slot. */
		wi_sample_accepted(loop, file_slot);
		wi_conn_accepted(conn, file_slot);
		return;
	}
	/* The pool is as large as the table, so this takes a table that was
	 * refilled in the very turn in which all its slots were closed. */
	wi_loop_count(&loop->stats.accept_drops, 1);
	listener_let_go(loop, file_slot);
}

static void listener_failed(struct weir_loop *loop,
			    struct wi_listener *listener, int err)
{
	switch (err) {
	case -ECANCELED: /* paused */
	case -EINTR:
		break;
	case -EINVAL: /* shut down, by this loop or by who wished it */
		if (listener->is_shut || wi_load_acquire_u32(&listener->wish) !=
						 listener->armed_wish)
			break;
		wi_loop_count(&loop->stats.accept_errors, 1);
		listener->retry_ns = loop->now_ns + RETRY_NS;
		break;
	case -ENFILE: /* the table, or the whole system, is full */
		wi_loop_count(&loop->stats.accept_drops, 1);
		listener_note_pause(loop, listener);
		listener->retry_ns = loop->now_ns + RETRY_NS;
		break;
	case -EMFILE:
	case -ENOMEM:
	case -ENOBUFS:
		wi_loop_count(&loop->stats.accept_errors, 1);
		listener_note_pause(loop, listener);
		listener->retry_ns = loop->now_ns + RETRY_NS;
		break;
	case -ECONNABORTED: /* that client is gone; there are others */
	case -EPROTO:
		wi_loop_count(&loop->stats.accept_errors, 1);
		break;
	default:
		wi_loop_count(&loop->stats.accept_errors, 1);
		listener->retry_ns = loop->now_ns + RETRY_NS;
		break;
	}
}

void wi_listener_complete(struct weir_loop *loop,
			  const struct io_uring_cqe *cqe)
{
	const uint32_t index = wi_token_slot(cqe->user_data);
	assert(index < loop->listener_count);
	struct wi_listener *listener = &loop->listeners[index];

	/* Of one that had ended: what it brought was taken then. */
	if (WI_MUTANT("accept-is-taken-twice",
		      listener->state == WI_LISTENER_IDLE, false) &&
	    wi_token_kind(cqe->user_data) == WI_TOKEN_ACCEPT) {
		wi_loop_count(&loop->stats.stale_completions, 1);
		return;
	}
	if (wi_token_kind(cqe->user_data) == WI_TOKEN_ACCEPT_CANCEL) {
		/* -EALREADY, -ENOENT: it had just ended, or goes on armed and
		 * must be cancelled again; the accept's CQE tells which. */
		if (cqe->res < 0 && listener->state == WI_LISTENER_CANCELLING)
			listener->state = WI_LISTENER_ARMED;
		return;
	}
	if (WI_MUTANT("accept-f-more-is-ignored",
		      (cqe->flags & IORING_CQE_F_MORE) == 0, false))
		listener->state = WI_LISTENER_IDLE;
	if (cqe->res < 0) {
		listener_failed(loop, listener, cqe->res);
		return;
	}
	listener->accepts++;
	listener_accepted(loop, (uint32_t)cqe->res);
	if (WI_MUTANT("client-is-served-twice", false,
		      listener->latecomers.turns_left > 0))
		listener_accepted(loop, (uint32_t)cqe->res);
}

/* ---- for the loop ------------------------------------------------------ */

static uint64_t listener_retry_ns(const struct weir_loop *loop,
				  const struct wi_listener *listener)
{
	if (listener->is_shut)
		return UINT64_MAX;
	if (listener_is_emptied(listener))
		return 0; /* look at once: who waits comes now */
	if (wish_of(listener->seen_wish) == WI_LISTENER_HOLD ||
	    listener->state != WI_LISTENER_IDLE ||
	    listener_is_full(loop, listener))
		return UINT64_MAX;
	return WI_MUTANT("accept-error-is-final", listener->retry_ns,
			 UINT64_MAX);
}

uint64_t wi_listeners_retry_ns(const struct weir_loop *loop)
{
	uint64_t nearest_ns = UINT64_MAX;
	for (uint32_t i = 0; i < loop->listener_count; i++)
		nearest_ns = wi_min_u64(
			nearest_ns,
			listener_retry_ns(loop, &loop->listeners[i]));
	return nearest_ns;
}

bool wi_listeners_are_gone(const struct weir_loop *loop)
{
	for (uint32_t i = 0; i < loop->listener_count; i++) {
		const struct wi_listener *listener = &loop->listeners[i];
		if (!listener->is_shut || listener->state != WI_LISTENER_IDLE)
			return false;
	}
	return true;
}
