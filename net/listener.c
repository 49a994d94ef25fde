#include "loop_priv.h"

#include <errno.h>

enum {
	RETRY_NS = 100 * 1000 * 1000, /* after an error of accept */
	ONE_BY_ONE = 64,              /* free connections, or fewer */
};

void wi_listener_init(struct wi_listener *listener, int fd)
{
	*listener = (struct wi_listener){ .fd = fd };
}

static uint64_t accept_token(enum wi_token_kind kind)
{
	return wi_token(kind, 0, 0);
}

static bool listener_is_full(const struct weir_loop *loop)
{
	return loop->conns.used_count >= loop->opts.conn_count;
}

/* Once the loop stops, all who wait are let in: the table has room for them. */
static bool listener_is_nearly_full(const struct weir_loop *loop)
{
	return loop->stop_phase == WI_RUNNING &&
	       loop->conns.used_count + ONE_BY_ONE >= loop->opts.conn_count;
}

static void listener_arm(struct weir_loop *loop)
{
	struct wi_listener *listener = &loop->listener;
	struct io_uring_sqe *sqe = wi_loop_sqe(loop);
	if (sqe == NULL)
		return; /* again next turn */
	listener->is_multishot = !listener_is_nearly_full(loop);
	if (listener->is_multishot)
		weir_op_accept_slot_multishot(sqe, listener->fd);
	else
		weir_op_accept_slot(sqe, listener->fd);
	sqe->user_data = accept_token(WI_TOKEN_ACCEPT);
	listener->state = WI_LISTENER_ARMED;
	listener->is_paused = false;
	listener->retry_ns = 0;
}

static void listener_cancel(struct weir_loop *loop)
{
	struct io_uring_sqe *sqe = wi_loop_sqe(loop);
	if (sqe == NULL)
		return;
	weir_op_cancel_token(sqe, accept_token(WI_TOKEN_ACCEPT));
	sqe->user_data = accept_token(WI_TOKEN_ACCEPT_CANCEL);
	loop->listener.state = WI_LISTENER_CANCELLING;
}

static void listener_close(struct weir_loop *loop)
{
	(void)loop->kernel->close(loop->kernel->ctx, loop->listener.fd);
	loop->listener.fd = -1;
}

static void listener_note_pause(struct weir_loop *loop)
{
	if (loop->listener.is_paused)
		return;
	loop->listener.is_paused = true;
	wi_loop_count(&loop->stats.accept_pauses, 1);
}

void wi_listener_work(struct weir_loop *loop)
{
	struct wi_listener *listener = &loop->listener;
	/* Who waits in the backlog when the stop is seen is still let in. */
	const bool is_stopping = loop->stop_phase >= WI_STOP_CUT;

	if (listener->fd < 0)
		return;
	if (!is_stopping && listener_is_full(loop))
		listener_note_pause(loop);
	switch (listener->state) {
	case WI_LISTENER_IDLE:
		if (is_stopping)
			listener_close(loop);
		else if (!listener_is_full(loop) &&
			 loop->now_ns >= listener->retry_ns)
			listener_arm(loop);
		break;
	case WI_LISTENER_ARMED:
		if (is_stopping || listener_is_full(loop) ||
		    (listener->is_multishot && listener_is_nearly_full(loop)))
			listener_cancel(loop);
		break;
	case WI_LISTENER_CANCELLING: /* the accept's own last CQE decides */
		break;
	}
}

static void listener_accepted(struct weir_loop *loop, uint32_t file_slot)
{
	struct weir_conn *conn = wi_loop_conn_take(loop);
	wi_loop_count(&loop->stats.accepts, 1);
	if (conn != NULL) {
		wi_conn_accepted(conn, file_slot);
		return;
	}
	/* The pool is as large as the table, so this takes a table that was
	 * refilled in the very turn in which all its slots were closed. */
	wi_loop_count(&loop->stats.accept_drops, 1);
	struct io_uring_sqe *sqe = wi_loop_sqe(loop);
	if (sqe != NULL)
		weir_op_close_slot(sqe, file_slot);
}

void wi_listener_complete(struct weir_loop *loop,
			  const struct io_uring_cqe *cqe)
{
	struct wi_listener *listener = &loop->listener;

	if (wi_token_kind(cqe->user_data) == WI_TOKEN_ACCEPT_CANCEL) {
		/* -EALREADY, -ENOENT: it had just ended, or goes on armed and
		 * must be cancelled again; the accept's CQE tells which. */
		if (cqe->res < 0 && listener->state == WI_LISTENER_CANCELLING)
			listener->state = WI_LISTENER_ARMED;
		return;
	}
	if ((cqe->flags & IORING_CQE_F_MORE) == 0)
		listener->state = WI_LISTENER_IDLE;
	if (cqe->res >= 0) {
		listener_accepted(loop, (uint32_t)cqe->res);
		return;
	}
	switch (cqe->res) {
	case -ECANCELED: /* paused, or stopping */
	case -EINTR:
		break;
	case -ENFILE: /* the table, or the whole system, is full */
		wi_loop_count(&loop->stats.accept_drops, 1);
		listener_note_pause(loop);
		listener->retry_ns = loop->now_ns + RETRY_NS;
		break;
	case -EMFILE:
	case -ENOMEM:
	case -ENOBUFS:
		wi_loop_count(&loop->stats.accept_errors, 1);
		listener_note_pause(loop);
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

uint64_t wi_listener_retry_ns(const struct weir_loop *loop)
{
	const struct wi_listener *listener = &loop->listener;
	if (listener->fd < 0 || listener->state != WI_LISTENER_IDLE ||
	    listener_is_full(loop))
		return UINT64_MAX;
	return listener->retry_ns;
}

bool wi_listener_is_gone(const struct weir_loop *loop)
{
	return loop->listener.fd < 0;
}
