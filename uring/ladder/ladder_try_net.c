#include "ladder_try_net.h"

#include "../ring_inline.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

static const char text[] = "weir climbs";
enum { TEXT_BYTES = sizeof(text) - 1 };

/* Waits for the completion of @tag. Fails if its res is an error. */
static int success_await(struct wi_stage *stage, uint64_t tag,
			 struct io_uring_cqe *out_cqe)
{
	int err = wi_stage_wait(stage, tag, out_cqe);
	if (err < 0)
		return err;
	return out_cqe->res < 0 ? out_cqe->res : 0;
}

/* ---- sockets ------------------------------------------------------------- */

static int table_open(struct wi_stage *stage)
{
	int err = wi_stage_open(stage);
	return err < 0 ? err : wi_stage_table(stage);
}

/* Opens a ring, and a socket as stage->near. */
static int near_open(struct wi_stage *stage)
{
	int err = wi_stage_open(stage);
	if (err < 0)
		return err;
	stage->near = wi_stage_socket(stage);
	return stage->near;
}

static int socket_slot(struct wi_stage *stage)
{
	int err = table_open(stage);
	if (err < 0)
		return err;
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_SOCKET, AF_INET);
	sqe->off = SOCK_STREAM;
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
	return wi_stage_do(stage);
}

int wi_try_file_table(struct wi_stage *stage)
{
	int slot = socket_slot(stage);
	if (slot < 0)
		return slot;
	struct io_uring_sqe *sqe = wi_stage_sqe(stage, IORING_OP_CLOSE, 0);
	sqe->file_index = (uint32_t)slot + 1;
	return wi_stage_do(stage);
}

int wi_try_accept(struct wi_stage *stage)
{
	struct wi_stage_address where;
	struct io_uring_cqe cqe;
	int err = table_open(stage);
	if (err >= 0)
		err = wi_stage_listen(stage, &where);
	if (err < 0)
		return err;
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_ACCEPT, stage->listener);
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
	const uint64_t tag = sqe->user_data;
	stage->near = wi_stage_socket(stage);
	if (stage->near < 0)
		return stage->near;
	sqe = wi_stage_sqe(stage, IORING_OP_CONNECT, stage->near);
	sqe->addr = (uint64_t)(uintptr_t)&where.address;
	sqe->off = where.address_bytes;
	/* The tag is the accept's: it and the connect complete in any order. */
	err = success_await(stage, tag, &cqe);
	if (err < 0)
		return err;
	return (cqe.flags & IORING_CQE_F_MORE) != 0 ? 0 : -EPROTO;
}

int wi_try_install_slot(struct wi_stage *stage)
{
	int slot = socket_slot(stage);
	if (slot < 0)
		return slot;
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_FIXED_FD_INSTALL, slot);
	sqe->flags = IOSQE_FIXED_FILE;
	stage->near = wi_stage_do(stage);
	return stage->near;
}

int wi_try_socket_cmd(struct wi_stage *stage)
{
	const int on = 1;
	int err = near_open(stage);
	if (err < 0)
		return err;
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_URING_CMD, stage->near);
	sqe->cmd_op = SOCKET_URING_OP_SETSOCKOPT;
	sqe->level = IPPROTO_TCP;
	sqe->optname = TCP_NODELAY;
	sqe->optlen = sizeof(on);
	sqe->optval = (uint64_t)(uintptr_t)&on;
	return wi_stage_do(stage);
}

int wi_try_bind_listen(struct wi_stage *stage)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int err = near_open(stage);
	if (err < 0)
		return err;
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_BIND, stage->near);
	sqe->addr = (uint64_t)(uintptr_t)&address;
	sqe->off = sizeof(address);
	err = wi_stage_do(stage);
	if (err < 0)
		return err;
	sqe = wi_stage_sqe(stage, IORING_OP_LISTEN, stage->near);
	sqe->len = 1;
	return wi_stage_do(stage);
}

/* ---- receiving ----------------------------------------------------------- */

/* Opens everything that a receive into a group of buffers needs. */
static int recv_open(struct wi_stage *stage, uint32_t buf_count,
		     uint32_t buf_bytes, uint16_t buf_flags)
{
	int err = wi_stage_open(stage);
	if (err >= 0)
		err = wi_stage_bufs(stage, buf_count, buf_bytes, buf_flags);
	if (err >= 0)
		err = wi_stage_pair(stage);
	return err;
}

/* Takes the entry and returns its tag. */
static uint64_t recv_arm(struct wi_stage *stage, uint16_t ioprio)
{
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_RECV, stage->far);
	sqe->ioprio = ioprio;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = WI_STAGE_GROUP;
	return sqe->user_data;
}

/* One receive of the bytes sent before: all of them, with @flags. */
static int recv_text(struct wi_stage *stage, uint16_t ioprio, uint32_t flags)
{
	struct io_uring_cqe cqe;
	int err = wi_stage_send(stage, text);
	if (err < 0)
		return err;
	err = success_await(stage, recv_arm(stage, ioprio), &cqe);
	if (err < 0)
		return err;
	if (cqe.res != TEXT_BYTES || (cqe.flags & flags) != flags ||
	    memcmp(stage->page + WI_STAGE_BUFS_AT, text, TEXT_BYTES) != 0)
		return -EPROTO;
	return 0;
}

int wi_try_bufring(struct wi_stage *stage)
{
	int err = recv_open(stage, 2, 64, 0);
	return err < 0 ? err : recv_text(stage, 0, IORING_CQE_F_BUFFER);
}

int wi_try_bufring_incremental(struct wi_stage *stage)
{
	int err = recv_open(stage, 1, 64, IOU_PBUF_RING_INC);
	return err < 0 ? err
		       : recv_text(stage, 0,
				   IORING_CQE_F_BUFFER | IORING_CQE_F_BUF_MORE);
}

/* Two buffers, each too small for the text: one completion for both. */
int wi_try_recv_bundle(struct wi_stage *stage)
{
	int err = recv_open(stage, 2, 8, 0);
	return err < 0 ? err
		       : recv_text(stage, IORING_RECVSEND_BUNDLE,
				   IORING_CQE_F_BUFFER);
}

int wi_try_recv_multishot(struct wi_stage *stage)
{
	const char *const pieces[] = { "a", "b" };
	int err = recv_open(stage, 2, 64, 0);
	if (err < 0)
		return err;
	const uint64_t tag = recv_arm(
		stage, IORING_RECV_MULTISHOT | IORING_RECVSEND_POLL_FIRST);
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe cqe;
		struct io_uring_sqe *sqe =
			wi_stage_sqe(stage, IORING_OP_SEND, stage->near);
		sqe->addr = (uint64_t)(uintptr_t)pieces[i];
		sqe->len = 1;
		err = success_await(stage, tag, &cqe);
		if (err < 0)
			return err;
		if (cqe.res != 1 || (cqe.flags & IORING_CQE_F_MORE) == 0)
			return -EPROTO;
	}
	return 0;
}

/* ---- sending ------------------------------------------------------------- */

static int send_open(struct wi_stage *stage)
{
	int err = wi_stage_open(stage);
	return err < 0 ? err : wi_stage_pair(stage);
}

int wi_try_send_vectorized(struct wi_stage *stage)
{
	char copy[TEXT_BYTES];
	struct iovec pieces[] = {
		{ .iov_base = copy, .iov_len = 5 },
		{ .iov_base = copy + 5, .iov_len = TEXT_BYTES - 5 },
	};
	memcpy(copy, text, sizeof(copy));
	int err = send_open(stage);
	if (err >= 0)
		err = wi_stage_page(stage);
	if (err < 0)
		return err;
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_SEND, stage->near);
	sqe->ioprio = IORING_SEND_VECTORIZED;
	sqe->addr = (uint64_t)(uintptr_t)pieces;
	sqe->len = 2;
	int res = wi_stage_do(stage);
	if (res < 0)
		return res;
	/* A kernel without the flag would send the bytes of the vector struct
	 * itself. */
	sqe = wi_stage_sqe(stage, IORING_OP_RECV, stage->far);
	sqe->addr = (uint64_t)(uintptr_t)stage->page;
	sqe->len = TEXT_BYTES;
	sqe->msg_flags = MSG_WAITALL;
	res = wi_stage_do(stage);
	if (res < 0)
		return res;
	return res == TEXT_BYTES && memcmp(stage->page, text, TEXT_BYTES) == 0
		       ? 0
		       : -EPROTO;
}

int wi_try_send_zc(struct wi_stage *stage)
{
	struct io_uring_cqe cqe;
	int err = send_open(stage);
	if (err < 0)
		return err;
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_SEND_ZC, stage->near);
	const uint64_t tag = sqe->user_data;
	sqe->addr = (uint64_t)(uintptr_t)text;
	sqe->len = TEXT_BYTES;
	err = success_await(stage, tag, &cqe);
	if (err < 0)
		return err;
	if (cqe.res != TEXT_BYTES || (cqe.flags & IORING_CQE_F_MORE) == 0)
		return -EPROTO;
	err = wi_stage_wait(stage, tag, &cqe);
	if (err < 0)
		return err;
	return (cqe.flags & IORING_CQE_F_NOTIF) != 0 ? 0 : -EPROTO;
}

/* ---- messages and cancelling --------------------------------------------- */

enum { MESSAGE = 1234, MESSAGE_TAG = 1u << 30 };

static struct io_uring_sqe message(const struct wi_stage *stage)
{
	return (struct io_uring_sqe){
		.opcode = IORING_OP_MSG_RING,
		.fd = stage->ring.fd,
		.addr = IORING_MSG_DATA,
		.off = MESSAGE_TAG,
		.len = MESSAGE,
	};
}

static int message_await(struct wi_stage *stage)
{
	struct io_uring_cqe cqe;
	int err = wi_stage_wait(stage, MESSAGE_TAG, &cqe);
	if (err < 0)
		return err;
	return cqe.res == MESSAGE ? 0 : -EPROTO;
}

/* The ring sends to itself: the kernel handles another ring in the same way. */
int wi_try_msg_ring(struct wi_stage *stage)
{
	int err = wi_stage_open(stage);
	if (err < 0)
		return err;
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_MSG_RING, stage->ring.fd);
	const uint64_t tag = sqe->user_data;
	*sqe = message(stage);
	sqe->user_data = tag;
	return message_await(stage);
}

int wi_try_send_msg_ring(struct wi_stage *stage)
{
	int err = wi_stage_open(stage);
	if (err < 0)
		return err;
	struct io_uring_sqe sqe = message(stage);
	err = stage->kernel->register_op(
		stage->kernel->ctx, -1, IORING_REGISTER_SEND_MSG_RING, &sqe, 1);
	return err < 0 ? err : message_await(stage);
}

int wi_try_sync_cancel(struct wi_stage *stage)
{
	struct io_uring_cqe cqe;
	int err = send_open(stage);
	if (err >= 0)
		err = wi_stage_page(stage);
	if (err < 0)
		return err;
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_RECV, stage->far);
	sqe->addr = (uint64_t)(uintptr_t)stage->page;
	sqe->len = 1;
	struct io_uring_sync_cancel_reg cancel = {
		.addr = sqe->user_data,
		.fd = -1,
		.timeout = { .tv_sec = -1, .tv_nsec = -1 },
	};
	err = weir_ring_enter(&stage->ring, NULL);
	if (err < 0)
		return err;
	err = weir_ring_register(&stage->ring, IORING_REGISTER_SYNC_CANCEL,
				 &cancel, 1);
	if (err < 0)
		return err;
	err = wi_stage_wait(stage, cancel.addr, &cqe);
	if (err < 0)
		return err;
	return cqe.res == -ECANCELED ? 0 : -EPROTO;
}
