/* conn_work.c - what a connection submits, and what comes back
 *
 * wi_conn_work() derives the next operations from the connection's fields, once
 * per turn. wi_conn_complete() has one function per operation. Each names the
 * results that it expects; any other errno closes this connection only.
 */
#include "../../uring/mutant.h"
#include "conn_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

enum {
	/* One send lends at most this much. So progress is seen and memory
	 * comes back at least this often, even with a peer that reads
	 * slowly. */
	SEND_BYTES_MAX = 256 * 1024,
};

/* ---- submission -------------------------------------------------------- */

static uint64_t conn_token(const struct weir_conn *conn, enum wi_conn_op op)
{
	return wi_token(WI_OWNER_CONN, op, conn->slot.generation,
			wi_conn_index(conn));
}

static struct io_uring_sqe *conn_sqe(struct weir_conn *conn, enum wi_conn_op op)
{
	struct io_uring_sqe *sqe = wi_core_sqe(wi_conn_core(conn));
	if (sqe == NULL)
		return NULL;
	sqe->user_data = conn_token(conn, op);
	assert(!wi_conn_awaits(conn, op));
	conn->in_flight |= (uint16_t)(1u << op);
	return sqe;
}

static bool work_recv(struct weir_conn *conn)
{
	if (conn->recv != WI_RECV_IDLE || conn->is_paused ||
	    WI_MUTANT("recv-is-not-armed-again", false,
		      conn->touched_tick != 0))
		return true;
	struct io_uring_sqe *sqe = conn_sqe(conn, WI_CONN_RECV);
	if (sqe == NULL)
		return false;
	const bool is_look = conn->last_look && conn->state == WEIR_CONN_OPEN;
	const int32_t slot = (int32_t)conn->file_slot;
	if (is_look) {
		weir_op_recv_now(sqe, slot, WI_RECV_GROUP);
	} else if (wi_conn_conns(conn)->recvs_singly) {
		weir_op_recv_group(sqe, slot, WI_RECV_GROUP, 0);
	} else {
		weir_op_recv_multishot(sqe, slot, WI_RECV_GROUP);
		weir_op_poll_first(sqe);
	}
	weir_op_on_slot(sqe);
	wi_recv_set(conn, is_look ? WI_RECV_LOOKING : WI_RECV_ARMED);
	return true;
}

/* Describes the queue in one SQE, and lends those bytes. */
static void work_send_fill(struct weir_conn *conn, struct io_uring_sqe *sqe)
{
	struct wi_core *core = wi_conn_core(conn);
	struct wi_sendq *sendq = &conn->sendq;
	const int32_t slot = (int32_t)conn->file_slot;
	struct iovec first;
	uint32_t lent_bytes = 0;

	if (sendq->head->next == NULL ||
	    core->gather_count == WI_GATHER_SLOTS) {
		(void)wi_sendq_gather(sendq, &first, 1);
		lent_bytes = first.iov_len < SEND_BYTES_MAX
				     ? (uint32_t)first.iov_len
				     : SEND_BYTES_MAX;
		weir_op_send(sqe, slot, first.iov_base, lent_bytes,
			     MSG_WAITALL);
	} else {
		struct wi_gather *gather = &core->gathers[core->gather_count++];
		int count = wi_sendq_gather(sendq, gather->iov, WI_GATHER_IOVS);
		int used = 0;
		while (used < count && lent_bytes < SEND_BYTES_MAX)
			lent_bytes += (uint32_t)gather->iov[used++].iov_len;
		gather->message = (struct msghdr){
			.msg_iov = gather->iov,
			.msg_iovlen = (size_t)used,
		};
		weir_op_sendmsg(sqe, slot, &gather->message, MSG_WAITALL);
		wi_lend_to_read(&gather->message, sizeof(gather->message));
		wi_lend_to_read(gather->iov,
				(size_t)used * sizeof(gather->iov[0]));
	}
	wi_sendq_lend(sendq, lent_bytes);
}

static bool work_send(struct weir_conn *conn)
{
	if (WI_MUTANT("second-send-in-flight",
		      wi_conn_awaits(conn, WI_CONN_SEND), false) ||
	    conn->sendq.queued_bytes == 0)
		return true;
	struct io_uring_sqe *sqe = conn_sqe(conn, WI_CONN_SEND);
	if (sqe == NULL)
		return false;
	work_send_fill(conn, sqe);
	weir_op_on_slot(sqe);
	return true;
}

/* A send of no bytes: it fails on a socket that was reset. A send that is in
 * flight does the same. */
static bool work_check(struct weir_conn *conn)
{
	if (conn->alive != WI_ALIVE_ASK)
		return true;
	if (!wi_conn_awaits(conn, WI_CONN_SEND) &&
	    !wi_conn_awaits(conn, WI_CONN_CHECK)) {
		struct io_uring_sqe *sqe = conn_sqe(conn, WI_CONN_CHECK);
		if (sqe == NULL)
			return false;
		weir_op_send(sqe, (int32_t)conn->file_slot, NULL, 0, 0);
		weir_op_on_slot(sqe);
	}
	wi_alive_set(conn, WI_ALIVE_ASKED);
	return true;
}

/* Reading is paused: end the multishot receive, and only that. */
static bool work_cancel_recv(struct weir_conn *conn)
{
	if (conn->recv != WI_RECV_UNWANTED ||
	    wi_conn_awaits(conn, WI_CONN_CANCEL))
		return true;
	struct io_uring_sqe *sqe = conn_sqe(conn, WI_CONN_CANCEL);
	if (sqe == NULL)
		return false;
	weir_op_cancel_token(sqe, conn_token(conn, WI_CONN_RECV));
	wi_recv_set(conn, WI_RECV_CANCELLING);
	return true;
}

static bool work_cancel_all(struct weir_conn *conn)
{
	if (WI_MUTANT("close-without-cancel", !conn->cancel_wanted, true) ||
	    wi_conn_awaits(conn, WI_CONN_CANCEL) ||
	    conn->file_slot == WI_NO_FILE)
		return true;
	struct io_uring_sqe *sqe = conn_sqe(conn, WI_CONN_CANCEL);
	if (sqe == NULL)
		return false;
	weir_op_cancel_slot(sqe, conn->file_slot);
	conn->cancel_wanted = false;
	return true;
}

/* FIN ahead of the close: shutdown(2) on an ordinary descriptor, because the
 * ring's own SHUTDOWN costs a kernel worker thread. */
static bool work_fin(struct weir_conn *conn)
{
	if (conn->fin == WI_FIN_IN_FLIGHT || conn->fin == WI_FIN_SENT)
		return true;
	const bool by_op = conn->fin == WI_FIN_BY_OP ||
			   !wi_trials_allow(&wi_conn_core(conn)->trials,
					    WEIR_RUNG_INSTALL_SLOT);
	struct io_uring_sqe *sqe =
		conn_sqe(conn, by_op ? WI_CONN_SHUTDOWN : WI_CONN_INSTALL);
	if (sqe == NULL)
		return false;
	if (by_op) {
		weir_op_shutdown(sqe, (int32_t)conn->file_slot, SHUT_WR);
		weir_op_on_slot(sqe);
	} else {
		weir_op_install_slot(sqe, conn->file_slot);
	}
	wi_fin_set(conn, WI_FIN_IN_FLIGHT);
	return true;
}

static bool work_connect_start(struct weir_conn *conn)
{
	struct io_uring_sqe *sqe = conn_sqe(conn, WI_CONN_SOCKET);
	if (sqe == NULL)
		return false;
	weir_op_socket_slot(sqe, conn->connect_to->storage.ss_family,
			    SOCK_STREAM, 0);
	return true;
}

/* Otherwise small answers wait for the peer's acknowledgement. Without the rung
 * they do; nothing else is lost. */
static bool work_no_delay(struct weir_conn *conn)
{
	static const int on = 1;
	if (!wi_trials_allow(&wi_conn_core(conn)->trials, WEIR_RUNG_SOCKET_CMD))
		return true;
	struct io_uring_sqe *sqe = conn_sqe(conn, WI_CONN_SETSOCKOPT);
	if (sqe == NULL)
		return false;
	weir_op_setsockopt(sqe, (int32_t)conn->file_slot, IPPROTO_TCP,
			   TCP_NODELAY, &on, sizeof(on));
	weir_op_on_slot(sqe);
	return true;
}

static bool work_connect_go(struct weir_conn *conn)
{
	if (!work_no_delay(conn))
		return false;
	struct io_uring_sqe *sqe = conn_sqe(conn, WI_CONN_CONNECT);
	if (sqe == NULL)
		return false; /* next turn repeats both; that is harmless */
	weir_op_connect(sqe, (int32_t)conn->file_slot,
			(struct sockaddr *)&conn->connect_to->storage,
			conn->connect_to->bytes);
	weir_op_on_slot(sqe);
	wi_lend_to_read(&conn->connect_to->storage, conn->connect_to->bytes);
	return true;
}

static bool work_connecting(struct weir_conn *conn)
{
	if (conn->in_flight != 0)
		return true;
	return conn->file_slot == WI_NO_FILE ? work_connect_start(conn)
					     : work_connect_go(conn);
}

static bool work_draining(struct weir_conn *conn)
{
	if (!work_send(conn) || !work_recv(conn))
		return false;
	/* Nothing is in flight once the queue is empty. */
	if (WI_MUTANT("fin-before-the-queue-is-empty",
		      conn->sendq.queued_bytes > 0, false))
		return true;
	if (conn->recv != WI_RECV_ENDED)
		return work_fin(conn);
	/* Both FINs are out; the reason was set when the drain began. */
	if (conn->fin != WI_FIN_IN_FLIGHT)
		wi_conn_stop(conn, conn->reason.cause, 0);
	return true;
}

void wi_conn_tell_closed(struct weir_conn *conn)
{
	struct wi_core *core = wi_conn_core(conn);
	const struct wi_service *service = conn->service;
	wi_counter_add(&core->stats.closes, 1);
	wi_counter_add(&core->stats.closes_by[conn->reason.cause], 1);
	if (service->handlers.on_close == NULL)
		return;
	conn->in_handler = true;
	service->handlers.on_close(conn, &conn->reason, service->ctx);
	conn->in_handler = false;
}

/* The last use of the connection. */
static void conn_release(struct weir_conn *conn)
{
	struct wi_core *core = wi_conn_core(conn);

	assert(conn->state == WEIR_CONN_CLOSING && conn->in_flight == 0);
	wi_sendq_clear(&conn->sendq, &core->blocks);
	wi_stash_clear(&conn->stash, &core->blocks);
	if (conn->connect_to != NULL)
		wi_blocks_give(&core->blocks, conn->connect_to,
			       wi_block_order(sizeof(struct weir_addr)));
	conn->connect_to = NULL;
	conn->file_slot = WI_NO_FILE;

	if (WI_MUTANT("given-up-is-told-twice", !conn->is_timed_out, true))
		wi_conn_tell_closed(conn);
	wi_conn_state_set(conn, WEIR_CONN_FREE);
	wi_conn_death(conn);
	if (WI_MUTANT("timer-outlives-its-connection", false,
		      wi_conn_conns(conn)->is_stopping))
		wi_timer_set(&core->wheel, &conn->timer,
			     core->clock.now_tick + 9);
}

static bool work_stopping(struct weir_conn *conn)
{
	struct wi_core *core = wi_conn_core(conn);
	if (WI_MUTANT("slot-is-freed-on-the-error", conn->in_flight != 0,
		      false))
		return work_cancel_all(conn);
	if (conn->file_slot == WI_NO_FILE) {
		wi_conn_state_set(conn, WEIR_CONN_CLOSING);
		conn_release(conn);
		return true;
	}
	struct io_uring_sqe *sqe = conn_sqe(conn, WI_CONN_CLOSE);
	if (sqe == NULL)
		return false;
	WI_MUTANT("slot-is-not-closed",
		  weir_op_close_slot(sqe, conn->file_slot), (void)0);
	wi_conn_state_set(conn, WEIR_CONN_CLOSING);
	conn->overdue_ticks = 0;
	/* wi_conn_deadline() counts a close that does not complete. */
	wi_timer_set(&core->wheel, &conn->timer, core->clock.now_tick + 1);
	return true;
}

bool wi_conn_work(struct weir_conn *conn)
{
	if (conn->state == WEIR_CONN_OPEN)
		return work_send(conn) && work_check(conn) &&
		       work_cancel_recv(conn) && work_recv(conn);
	if (conn->state == WEIR_CONN_CONNECTING)
		return work_connecting(conn);
	if (conn->state == WEIR_CONN_DRAINING && !work_draining(conn))
		return false;
	if (conn->state == WEIR_CONN_STOPPING)
		return work_stopping(conn);
	return true;
}

/* ---- completion -------------------------------------------------------- */

static void conn_lost(struct weir_conn *conn, int err)
{
	bool is_reset =
		err == -ECONNRESET || err == -EPIPE || err == -ECONNABORTED;
	wi_conn_stop(conn, is_reset ? WEIR_CLOSE_RESET : WEIR_CLOSE_ERROR, err);
}

/* Whether all that had arrived before this completion has been seen. */
static bool recv_was_last(const struct io_uring_cqe *cqe)
{
	return cqe->res == -EAGAIN ||
	       (cqe->res > 0 &&
		(cqe->flags &
		 (IORING_CQE_F_MORE | IORING_CQE_F_SOCK_NONEMPTY)) == 0);
}

static void recv_cancel_again(struct weir_conn *conn)
{
	if (conn->state == WEIR_CONN_STOPPING)
		conn->cancel_wanted = true;
	else if (conn->state == WEIR_CONN_OPEN && conn->recv == WI_RECV_ARMED &&
		 (conn->is_paused || conn->last_look))
		wi_recv_set(conn, WI_RECV_UNWANTED);
}

/* The end of the stream, an errno, or an operation that was cancelled. */
static void recv_without_bytes(struct weir_conn *conn, int res)
{
	switch (res) {
	case 0:
		WI_MUTANT("end-of-stream-is-ignored", wi_conn_input_end(conn),
			  (void)0);
		break;
	case -ENOBUFS: /* armed again once buffers are back */
		wi_counter_add(&wi_conn_core(conn)->stats.recv_enobufs, 1);
		WI_MUTANT("enobufs-is-fatal", (void)0, conn_lost(conn, res));
		break;
	case -ECANCELED: /* paused, or stopping */
	case -EINTR:
	case -EAGAIN: /* the last look: nothing more has arrived */
		break;
	default:
		conn_lost(conn, res);
		break;
	}
}

static void conn_on_recv(struct weir_conn *conn, const struct io_uring_cqe *cqe)
{
	struct wi_core *core = wi_conn_core(conn);
	const bool has_more = (cqe->flags & IORING_CQE_F_MORE) != 0;
	const int res = cqe->res;
	const bool was_look = conn->recv == WI_RECV_LOOKING;

	if (!WI_MUTANT("f-more-is-ignored", has_more, true))
		wi_recv_set(conn, WI_RECV_IDLE);
	if (res > 0) {
		wi_counter_add(&core->stats.recvs, 1);
		wi_counter_add(
			&core->stats.recv_bytes,
			WI_MUTANT("received-bytes-are-counted-while-open",
				  (uint64_t)res,
				  conn->state == WEIR_CONN_OPEN ? (uint64_t)res
								: 0));
		wi_conn_input(conn, wi_bufs_bytes(&core->bufs, cqe),
			      (uint32_t)res);
	}
	if ((cqe->flags & IORING_CQE_F_BUFFER) != 0 &&
	    WI_MUTANT("buffer-is-not-returned", true,
		      conn->state == WEIR_CONN_OPEN))
		wi_bufs_take_back(&core->bufs, cqe);
	if (res <= 0)
		recv_without_bytes(conn, res);
	/* Only the last look proves that all has been seen: an older receive
	 * may have ended before the rest had arrived. */
	if (was_look && recv_was_last(cqe) && !conn->is_paused)
		wi_conn_drain(conn, WEIR_CLOSE_STOPPED);

	/* A cancel that came between two of its completions has missed it. */
	if (WI_MUTANT("missed-cancel-is-not-repeated", has_more, false) &&
	    !wi_conn_awaits(conn, WI_CONN_CANCEL))
		recv_cancel_again(conn);
	if (!has_more) {
		if (conn->state == WEIR_CONN_OPEN &&
		    conn->recv != WI_RECV_ENDED)
			wi_counter_add(&core->stats.recv_rearms, 1);
		wi_conn_mark(conn);
	} else if (conn->recv == WI_RECV_UNWANTED || conn->cancel_wanted) {
		wi_conn_mark(conn);
	}
}

static void conn_on_send(struct weir_conn *conn, const struct io_uring_cqe *cqe)
{
	struct wi_core *core = wi_conn_core(conn);
	const struct wi_service *service = conn->service;
	struct wi_sendq *sendq = &conn->sendq;
	const uint32_t lent_bytes = sendq->lent_bytes;
	const int res = cqe->res;

	wi_sendq_take_back(sendq, &core->blocks,
			   res > 0 ? WI_MUTANT("short-send-is-complete",
					       (uint32_t)res, lent_bytes)
				   : 0);
	if (res > 0) {
		conn->touched_tick =
			WI_MUTANT("sent-bytes-do-not-touch",
				  core->clock.now_tick, conn->touched_tick);
		wi_counter_add(&core->stats.sends, 1);
		wi_counter_add(&core->stats.sent_bytes,
			       WI_MUTANT("sent-bytes-are-those-lent",
					 (uint64_t)res, lent_bytes));
		if ((uint32_t)res < lent_bytes)
			wi_counter_add(&core->stats.short_sends, 1);
	} else {
		switch (res) {
		case -ECANCELED: /* stopping */
		case -EINTR:
		case -EAGAIN:
			break;
		case 0: /* no progress and no error: do not retry for ever */
			conn_lost(conn, -EIO);
			break;
		default:
			conn_lost(conn, res);
			break;
		}
	}
	if (conn->state == WEIR_CONN_OPEN && conn->is_paused &&
	    WI_MUTANT("water-mark-never-reached",
		      sendq->queued_bytes <= service->send_low_bytes, false))
		wi_conn_resume(conn);
	if (conn->state != WEIR_CONN_OPEN || sendq->queued_bytes > 0)
		wi_conn_mark(conn);
}

static void conn_on_cancel(struct weir_conn *conn,
			   const struct io_uring_cqe *cqe)
{
	if (conn->recv == WI_RECV_CANCELLING) /* if it has not ended */
		wi_recv_set(conn, WI_RECV_ARMED);
	switch (cqe->res) {
	/* The expected codes are named, although there is nothing to do. */
	/* NOLINTNEXTLINE(bugprone-branch-clone) */
	case -ENOENT:   /* it had ended; its completion follows */
	case -EALREADY: /* too late; it ends by itself, or shows F_MORE */
		break;
	default: /* how many were found; each still completes */
		break;
	}
	/* Stopping may have begun while the receive was being cancelled. */
	if (conn->state == WEIR_CONN_STOPPING || conn->recv == WI_RECV_UNWANTED)
		wi_conn_mark(conn);
}

static void conn_on_socket(struct weir_conn *conn,
			   const struct io_uring_cqe *cqe)
{
	if (cqe->res >= 0)
		conn->file_slot = (uint32_t)cqe->res;
	else
		wi_conn_stop(conn, WEIR_CLOSE_CONNECT, cqe->res);
	wi_conn_mark(conn);
}

static void conn_opened(struct weir_conn *conn)
{
	struct wi_core *core = wi_conn_core(conn);
	const struct wi_service *service = conn->service;
	conn->touched_tick = core->clock.now_tick;
	wi_conn_state_set(conn, WEIR_CONN_OPEN);
	if (conn->alive != WI_ALIVE_HEARD)
		wi_alive_set(conn, WI_ALIVE_HEARD);
	WI_MUTANT("deadline-is-not-armed", wi_conn_timer_set(conn), (void)0);
	if (service->handlers.on_open != NULL) {
		conn->in_handler = true;
		service->handlers.on_open(conn, service->ctx);
		conn->in_handler = false;
	}
	if (wi_conn_conns(conn)->is_stopping)
		wi_conn_last_look(conn);
	wi_conn_mark(conn);
}

static void conn_on_connect(struct weir_conn *conn,
			    const struct io_uring_cqe *cqe)
{
	struct wi_core *core = wi_conn_core(conn);
	wi_region_back(conn->connect_to, sizeof(*conn->connect_to));
	WI_MUTANT("address-of-a-connect-leaks",
		  wi_blocks_give(&core->blocks, conn->connect_to,
				 wi_block_order(sizeof(struct weir_addr))),
		  (void)0);
	conn->connect_to = NULL;
	if (WI_MUTANT("closed-call-opens-all-the-same",
		      conn->state == WEIR_CONN_CONNECTING,
		      conn->state != WEIR_CONN_FREE)) {
		if (WI_MUTANT("refused-connect-is-opened", cqe->res == 0,
			      cqe->res <= 0)) {
			wi_counter_add(&core->stats.connects, 1);
			conn_opened(conn);
		} else {
			wi_conn_stop(conn, WEIR_CLOSE_CONNECT, cqe->res);
		}
	}
	wi_conn_mark(conn);
}

static void conn_on_setsockopt(struct weir_conn *conn,
			       const struct io_uring_cqe *cqe)
{
	struct wi_trials *trials = &wi_conn_core(conn)->trials;

	switch (cqe->res) {
	case -EOPNOTSUPP: /* before 6.7; it works without */
	case -EINVAL:
		wi_trial_refused(trials, &trials->socket_cmd,
				 WEIR_RUNG_SOCKET_CMD, cqe->res);
		break;
	case 0:
		wi_trial_done(&trials->socket_cmd);
		break;
	default: /* concerns this socket only */
		break;
	}
	wi_conn_mark(conn);
}

static void conn_on_install(struct weir_conn *conn,
			    const struct io_uring_cqe *cqe)
{
	const struct weir_kernel *kernel = wi_conn_core(conn)->kernel;
	struct wi_trials *trials = &wi_conn_core(conn)->trials;

	if (cqe->res >= 0) {
		(void)kernel->shutdown(kernel->ctx, cqe->res,
				       SHUT_WR); /* the peer may be gone */
		/* Closes the copy only. */
		(void)WI_MUTANT("copy-of-the-descriptor-leaks",
				kernel->close(kernel->ctx, cqe->res), 0);
		wi_fin_set(conn, WI_FIN_SENT);
		wi_counter_add(&wi_conn_core(conn)->stats.half_closes, 1);
		wi_trial_done(&trials->install_slot);
	} else if (cqe->res != -ECANCELED) {
		wi_fin_set(conn,
			   WI_FIN_BY_OP); /* -EINVAL before 6.8; -EMFILE */
	} else {
		wi_fin_set(conn, WI_FIN_NONE);
	}
	if (cqe->res == -EINVAL) {
		wi_trial_refused(trials, &trials->install_slot,
				 WEIR_RUNG_INSTALL_SLOT, cqe->res);
	}
	wi_conn_mark(conn);
}

static void conn_on_shutdown(struct weir_conn *conn,
			     const struct io_uring_cqe *cqe)
{
	wi_fin_set(conn, cqe->res == 0 ? WI_FIN_SENT : WI_FIN_BY_OP);
	if (cqe->res == 0) {
		wi_counter_add(&wi_conn_core(conn)->stats.half_closes, 1);
	} else if (cqe->res != -ECANCELED) {
		conn_lost(conn, cqe->res); /* -ENOTCONN: it was reset */
	}
	wi_conn_mark(conn);
}

static void conn_on_check(struct weir_conn *conn,
			  const struct io_uring_cqe *cqe)
{
	switch (cqe->res) {
	case 0: /* alive */
	case -ECANCELED:
	case -EINTR:
	case -EAGAIN:
		break;
	default:
		conn_lost(conn, cqe->res);
		break;
	}
	if (conn->state != WEIR_CONN_OPEN)
		wi_conn_mark(conn);
}

void wi_conn_complete(struct weir_conn *conn, const struct io_uring_cqe *cqe)
{
	const enum wi_conn_op op = (enum wi_conn_op)wi_token_op(cqe->user_data);

	/* This operation has ended: the kernel has sent its completion a second
	 * time. The buffer that it names came back with the first. */
	if (__builtin_expect(WI_MUTANT("duplicate-is-applied",
				       !wi_conn_awaits(conn, op), false),
			     0)) {
		wi_counter_add(&wi_conn_core(conn)->stats.stale_completions, 1);
		return;
	}
	if (WI_MUTANT("on-close-before-the-last-completion",
		      (cqe->flags & IORING_CQE_F_MORE) == 0, true)) {
		assert(wi_conn_awaits(conn, op));
		conn->in_flight &= (uint16_t) ~(1u << op);
	}
	switch (op) {
	case WI_CONN_RECV:
		conn_on_recv(conn, cqe);
		break;
	case WI_CONN_SEND:
		conn_on_send(conn, cqe);
		break;
	case WI_CONN_CANCEL:
		conn_on_cancel(conn, cqe);
		break;
	case WI_CONN_CLOSE: /* of any result: the slot is free for the kernel */
		conn_release(conn);
		break;
	case WI_CONN_SOCKET:
		conn_on_socket(conn, cqe);
		break;
	case WI_CONN_SETSOCKOPT:
		conn_on_setsockopt(conn, cqe);
		break;
	case WI_CONN_CONNECT:
		conn_on_connect(conn, cqe);
		break;
	case WI_CONN_INSTALL:
		conn_on_install(conn, cqe);
		break;
	case WI_CONN_SHUTDOWN:
		conn_on_shutdown(conn, cqe);
		break;
	default:
		assert(op == WI_CONN_CHECK);
		conn_on_check(conn, cqe);
		break;
	}
}

/* ---- birth ------------------------------------------------------------- */

void wi_conn_accepted(struct weir_conn *conn, uint32_t file_slot)
{
	conn->file_slot = file_slot;
	conn_opened(conn);
}

int wi_conn_connect(struct weir_conn *conn, const struct weir_addr *addr,
		    void *user)
{
	struct wi_core *core = wi_conn_core(conn);
	struct weir_addr *copy = wi_blocks_take(
		&core->blocks, wi_block_order(sizeof(struct weir_addr)));
	if (copy == NULL)
		return -EAGAIN;
	*copy = *addr;
	conn->connect_to = copy;
	conn->user = user;
	conn->touched_tick = core->clock.now_tick;
	conn->alive = WI_ALIVE_ASKED; /* there is no socket to check yet */
	wi_conn_timer_set(conn);
	wi_conn_state_set(conn, WEIR_CONN_CONNECTING);
	wi_conn_mark(conn);
	return 0;
}
