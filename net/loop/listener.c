#include "listener.h"

#include "../../uring/mutant.h"
#include "../conn/conns.h"
#include "../core/core.h"
#include "../core/min.h"
#include "sample.h"

#include "../../uring/filetab.h"

#include <errno.h>

enum {
	RETRY_NS = 100 * 1000 * 1000, /* after an error of accept */
	ONE_BY_ONE = 64,              /* free connections, or fewer */
	/* To arm an accept, to complete it, to see that it was the last. */
	ACCEPT_TURNS = 3,
	COMMAND_BITS = 2,
};

void wi_listeners_add(struct wi_listeners *listeners, int fd,
		      const struct wi_service *service)
{
	assert(listeners->count < WEIR_STEER_GROUPS_MAX);
	listeners->list[listeners->count++] = (struct wi_listener){
		.fd = fd,
		.service = service,
	};
}

/* ---- commands ---------------------------------------------------------- */

static enum wi_listener_command command_of(uint32_t word)
{
	return (enum wi_listener_command)(word & ((1u << COMMAND_BITS) - 1));
}

void wi_listener_command(struct wi_listener *listener,
			 enum wi_listener_command command)
{
	const uint32_t count = (listener->command >> COMMAND_BITS) + 1;
	wi_store_release_u32(&listener->command,
			     count << COMMAND_BITS | command);
}

bool wi_listener_has_acknowledged(const struct wi_listener *listener)
{
	return wi_load_acquire_u32(&listener->acknowledged) ==
	       listener->command;
}

void wi_latecomers_start(struct wi_latecomers *latecomers,
			 const struct wi_listeners *listeners, uint64_t accepts)
{
	/* Enough turns for the kernel to run the accept, which it may hold back
	 * behind other task work. */
	latecomers->turns_left =
		listeners->conns->pool.used_count / WI_TASKRUN_BATCH +
		ACCEPT_TURNS;
	latecomers->accepts = accepts;
	latecomers->accepts_max = accepts + listeners->backlog;
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

static uint64_t listener_token(const struct wi_listeners *listeners,
			       const struct wi_listener *listener, uint32_t op)
{
	return wi_token(WI_OWNER_LISTENER, op, 0,
			(uint32_t)(listener - listeners->list));
}

static bool listener_is_emptied(const struct wi_listener *listener)
{
	return command_of(listener->seen_command) == WI_LISTENER_EMPTY;
}

/* Clients in a backlog that is emptied, or in one of a loop that stops, always
 * have room in the table. */
static bool listener_is_full(const struct wi_listeners *listeners,
			     const struct wi_listener *listener)
{
	uint32_t room = listeners->conn_count;
	if (listener_is_emptied(listener) ||
	    WI_MUTANT("stop-forgets-who-waits",
		      listeners->accepting != WI_ACCEPTING, false))
		room += listeners->backlog;
	return listeners->conns->pool.used_count >= room;
}

/* Once the loop stops, all waiting clients are accepted: there is room. */
static bool listener_is_nearly_full(const struct wi_listeners *listeners,
				    const struct wi_listener *listener)
{
	return listeners->accepting == WI_ACCEPTING &&
	       !listener_is_emptied(listener) &&
	       listeners->conns->pool.used_count + ONE_BY_ONE >=
		       listeners->conn_count;
}

static void listener_arm(struct wi_listeners *listeners,
			 struct wi_listener *listener)
{
	struct io_uring_sqe *sqe = wi_core_sqe(listeners->core);
	if (sqe == NULL)
		return; /* again next turn */
	listener->is_multishot = !listener_is_nearly_full(listeners, listener);
	if (listener->is_multishot)
		weir_op_accept_slot_multishot(sqe, listener->fd);
	else
		weir_op_accept_slot(sqe, listener->fd);
	sqe->user_data =
		listener_token(listeners, listener, WI_LISTENER_OP_ACCEPT);
	listener->state = WI_LISTENER_ARMED;
	listener->armed_command = listener->seen_command;
	listener->is_paused = false;
	listener->retry_ns = 0;
}

static void listener_cancel(struct wi_listeners *listeners,
			    struct wi_listener *listener)
{
	struct io_uring_sqe *sqe = wi_core_sqe(listeners->core);
	if (sqe == NULL)
		return;
	weir_op_cancel_token(sqe, listener_token(listeners, listener,
						 WI_LISTENER_OP_ACCEPT));
	sqe->user_data =
		listener_token(listeners, listener, WI_LISTENER_OP_CANCEL);
	listener->state = WI_LISTENER_CANCELLING;
}

/* Also ends an armed accept, with -EINVAL. */
static void listener_shut(struct wi_listeners *listeners,
			  struct wi_listener *listener)
{
	const struct weir_kernel *kernel = listeners->core->kernel;
	/* -ENOTCONN if another thread was first. */
	(void)kernel->shutdown(kernel->ctx, listener->fd, SHUT_RDWR);
	listener->is_shut = true;
}

void wi_listeners_shut(struct wi_listeners *listeners)
{
	/* Also those that have listened again after this loop had shut them
	 * down. */
	for (uint32_t i = 0; i < listeners->count; i++)
		listener_shut(listeners, &listeners->list[i]);
}

static void listener_note_pause(struct wi_listeners *listeners,
				struct wi_listener *listener)
{
	if (listener->is_paused)
		return;
	listener->is_paused = true;
	wi_counter_add(&listeners->core->stats.accept_pauses, 1);
}

static void listener_apply(struct wi_listeners *listeners,
			   struct wi_listener *listener, uint32_t word)
{
	listener->seen_command = word;
	/* It may listen again: this command may have overtaken a command to
	 * accept that the loop never saw. */
	listener->is_shut = WI_MUTANT("resumed-loop-does-not-accept", false,
				      listener->is_shut);
	if (command_of(word) == WI_LISTENER_ACCEPT)
		listener->retry_ns = 0;
	else if (command_of(word) == WI_LISTENER_EMPTY)
		wi_latecomers_start(&listener->latecomers, listeners,
				    listener->accepts);
}

/* Whether this is its last turn: the loop stops, or the backlog was to be
 * emptied and is empty. Clients that wait when the loop sees its stop are still
 * accepted. */
static bool listener_ends(const struct wi_listeners *listeners,
			  struct wi_listener *listener)
{
	if (listeners->accepting == WI_ACCEPTING_NONE)
		return true;
	return listener_is_emptied(listener) &&
	       !wi_latecomers_go_on(&listener->latecomers, listener->accepts);
}

/* Wakes the thread that waits in net/server for it. */
static void listener_tell(struct wi_listeners *listeners,
			  struct wi_listener *listener, uint32_t word)
{
	if (listener->acknowledged == word)
		return;
	wi_store_release_u32(&listener->acknowledged, word);
	wi_event_raise(listeners->core->kernel, &listeners->acks);
}

static void listener_work(struct wi_listeners *listeners,
			  struct wi_listener *listener)
{
	const uint32_t word = wi_load_acquire_u32(&listener->command);

	if (word != listener->seen_command)
		listener_apply(listeners, listener, word);
	if (!listener->is_shut && listener_ends(listeners, listener))
		listener_shut(listeners, listener);
	if (listener->is_shut ||
	    WI_MUTANT("held-loop-goes-on", command_of(word) == WI_LISTENER_HOLD,
		      false)) {
		/* A shutdown, done or coming, ends an armed accept. */
		if (WI_MUTANT("drained-loop-says-so-too-early",
			      listener->state == WI_LISTENER_IDLE, true))
			listener_tell(listeners, listener, word);
		return;
	}
	const bool is_full = listener_is_full(listeners, listener);
	if (is_full)
		listener_note_pause(listeners, listener);
	if (listener->state == WI_LISTENER_IDLE) {
		if (!is_full &&
		    listeners->core->clock.now_ns >= listener->retry_ns)
			listener_arm(listeners, listener);
	} else if (listener->state == WI_LISTENER_ARMED) {
		if (is_full || (listener->is_multishot &&
				listener_is_nearly_full(listeners, listener)))
			listener_cancel(listeners, listener);
	} /* CANCELLING ends with the accept's last CQE */
}

void wi_listeners_work(struct wi_listeners *listeners)
{
	for (uint32_t i = 0; i < listeners->count; i++)
		listener_work(listeners, &listeners->list[i]);
}

/* ---- completions ------------------------------------------------------- */

/* Closes a socket that no connection owns; by a system call if the SQ is
 * full. */
static void listener_let_go(struct wi_listeners *listeners, uint32_t file_slot)
{
	static const int32_t empty = WEIR_FILETAB_EMPTY;
	struct io_uring_sqe *sqe = wi_core_sqe(listeners->core);
	if (sqe != NULL)
		weir_op_close_slot(sqe, file_slot);
	else /* -ENOMEM, before 6.13: the slot stays in use */
		(void)weir_filetab_update(&listeners->core->ring, file_slot,
					  &empty, 1);
}

static void listener_accepted(struct wi_listeners *listeners,
			      const struct wi_listener *listener,
			      uint32_t file_slot)
{
	struct weir_conn *conn =
		wi_conn_birth(listeners->conns, listener->service);
	wi_counter_add(&listeners->core->stats.accepts, 1);
	if (conn != NULL) {
		/* Before anything that could close the slot. */
		wi_sample_accepted(listeners->sample, listeners->core,
				   file_slot);
		wi_conn_accepted(conn, file_slot);
		return;
	}
	/* The pool is as large as the table, so this happens only if the table
	 * was refilled in the very turn in which all its slots were closed. */
	wi_counter_add(&listeners->core->stats.accept_drops, 1);
	listener_let_go(listeners, file_slot);
}

static void listener_failed(struct wi_listeners *listeners,
			    struct wi_listener *listener, int err)
{
	switch (err) {
	case -ECANCELED: /* paused */
	case -EINTR:
		break;
	case -EINVAL: /* shut down, by this loop or by the thread that asked for
			 it */
		if (listener->is_shut ||
		    wi_load_acquire_u32(&listener->command) !=
			    listener->armed_command)
			break;
		wi_counter_add(&listeners->core->stats.accept_errors, 1);
		listener->retry_ns = listeners->core->clock.now_ns + RETRY_NS;
		break;
	case -ENFILE: /* the table, or the whole system, is full */
		wi_counter_add(&listeners->core->stats.accept_drops, 1);
		listener_note_pause(listeners, listener);
		listener->retry_ns = listeners->core->clock.now_ns + RETRY_NS;
		break;
	case -EMFILE:
	case -ENOMEM:
	case -ENOBUFS:
		wi_counter_add(&listeners->core->stats.accept_errors, 1);
		listener_note_pause(listeners, listener);
		listener->retry_ns = listeners->core->clock.now_ns + RETRY_NS;
		break;
	case -ECONNABORTED: /* that client is gone; others wait */
	case -EPROTO:
		wi_counter_add(&listeners->core->stats.accept_errors, 1);
		break;
	default:
		wi_counter_add(&listeners->core->stats.accept_errors, 1);
		listener->retry_ns = listeners->core->clock.now_ns + RETRY_NS;
		break;
	}
}

void wi_listeners_complete(struct wi_listeners *listeners,
			   const struct io_uring_cqe *cqe)
{
	const uint32_t index = wi_token_slot(cqe->user_data);
	assert(index < listeners->count);
	struct wi_listener *listener = &listeners->list[index];

	/* A second completion of an accept that has ended: its socket was taken
	 * with the first. */
	if (WI_MUTANT("accept-is-taken-twice",
		      listener->state == WI_LISTENER_IDLE, false) &&
	    wi_token_op(cqe->user_data) == WI_LISTENER_OP_ACCEPT) {
		wi_counter_add(&listeners->core->stats.stale_completions, 1);
		return;
	}
	if (wi_token_op(cqe->user_data) == WI_LISTENER_OP_CANCEL) {
		/* -EALREADY, -ENOENT: the accept has just ended, or is still
		 * armed and must be cancelled again. Its own CQE shows
		 * which. */
		if (cqe->res < 0 && listener->state == WI_LISTENER_CANCELLING)
			listener->state = WI_LISTENER_ARMED;
		return;
	}
	if (WI_MUTANT("accept-f-more-is-ignored",
		      (cqe->flags & IORING_CQE_F_MORE) == 0, false))
		listener->state = WI_LISTENER_IDLE;
	if (cqe->res < 0) {
		listener_failed(listeners, listener, cqe->res);
		return;
	}
	listener->accepts++;
	listener_accepted(listeners, listener, (uint32_t)cqe->res);
	if (WI_MUTANT("client-is-served-twice", false,
		      listener->latecomers.turns_left > 0))
		listener_accepted(listeners, listener, (uint32_t)cqe->res);
}

/* ---- for the loop ------------------------------------------------------ */

static uint64_t listener_retry_ns(const struct wi_listeners *listeners,
				  const struct wi_listener *listener)
{
	if (listener->is_shut)
		return UINT64_MAX;
	if (listener_is_emptied(listener))
		return 0; /* at once: waiting clients are accepted now */
	if (command_of(listener->seen_command) == WI_LISTENER_HOLD ||
	    listener->state != WI_LISTENER_IDLE ||
	    listener_is_full(listeners, listener))
		return UINT64_MAX;
	return WI_MUTANT("accept-error-is-final", listener->retry_ns,
			 UINT64_MAX);
}

void wi_listeners_close(struct wi_listeners *listeners)
{
	const struct weir_kernel *kernel = listeners->core->kernel;
	for (uint32_t i = 0; i < listeners->count; i++)
		(void)kernel->close(kernel->ctx, listeners->list[i].fd);
	listeners->count = 0;
}

uint64_t wi_listeners_retry_ns(const struct wi_listeners *listeners)
{
	uint64_t nearest_ns = UINT64_MAX;
	for (uint32_t i = 0; i < listeners->count; i++)
		nearest_ns = wi_min_u64(
			nearest_ns,
			listener_retry_ns(listeners, &listeners->list[i]));
	return nearest_ns;
}

bool wi_listeners_are_gone(const struct wi_listeners *listeners)
{
	for (uint32_t i = 0; i < listeners->count; i++) {
		const struct wi_listener *listener = &listeners->list[i];
		if (!listener->is_shut || listener->state != WI_LISTENER_IDLE)
			return false;
	}
	return true;
}
