/* fuzz_ring_op.c - the operations that the ring target draws from
 *
 * Safe, because it uses only the target's own descriptors and memory, and times
 * of at most two milliseconds.
 */
#include "fuzz_ring.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>

enum {
	LONG_BYTES = 4096, /* more than the send buffer takes at once */
	TIME_NS_MAX = 2000000,
	MODIFY_LINK = 1,
	MODIFY_HARDLINK = 2,
	MODIFY_DRAIN = 4,
	MODIFY_HIDE = 8,
	MODIFY_ASYNC = 0xf0, /* all bits: starting a thread is slow */
};

struct ring_op ring_ops[RING_OPS];
struct msghdr ring_message = { .msg_namelen = RING_NAME_ROOM };

static uint8_t ring_sends[RING_FDS][LONG_BYTES];

static int ring_fd(struct ring_world *world, struct ring_op *op, int first,
		   int count)
{
	op->fd_index = first + (int)(fuzz_u8(world->input) % count);
	return world->fds[op->fd_index];
}

static int ring_any_fd(struct ring_world *world, struct ring_op *op)
{
	return ring_fd(world, op, 0, RING_FDS);
}

/* The token of an existing op, or of none. */
static uint64_t ring_token(struct ring_world *world)
{
	return fuzz_u8(world->input) % (world->op_count + 1);
}

static void ring_time(struct ring_world *world, struct ring_op *op)
{
	const long long tick = TIME_NS_MAX / 255;
	op->time.tv_sec = 0;
	op->time.tv_nsec = (long long)fuzz_u8(world->input) * tick;
}

/* A chain without its end runs on a kernel worker (6.18), and so does the entry
 * after it: a bundle must not run there (extra/op_stream.h). */
static void ring_link(struct io_uring_sqe *sqe, struct ring_op *op,
		      uint8_t flag)
{
	if (wi_op_is_bundle_receive(sqe))
		return;
	sqe->flags |= flag;
	op->is_linked = true;
	op->may_be_on_worker = true;
}

bool ring_is_linked(const struct ring_world *world)
{
	return world->last != NULL && ring_ops[world->op_count - 1].is_linked;
}

/* ---- one function for each kind ---- */

static void fill_nop(struct ring_world *world, struct io_uring_sqe *sqe,
		     struct ring_op *op)
{
	(void)world;
	(void)op;
	weir_op_nop(sqe);
}

static void fill_send(struct ring_world *world, struct io_uring_sqe *sqe,
		      struct ring_op *op)
{
	const int fd = ring_any_fd(world, op);
	const uint8_t size = fuzz_u8(world->input);
	op->byte_count = size >= 250 ? LONG_BYTES : size;
	uint8_t *bytes = ring_sends[op->fd_index];
	memset(bytes, 'a' + op->fd_index, op->byte_count);
	weir_op_send(sqe, fd, bytes, op->byte_count,
		     size % 2 == 1 ? MSG_WAITALL : 0);
}

static void fill_recv(struct ring_world *world, struct io_uring_sqe *sqe,
		      struct ring_op *op)
{
	const int fd = ring_any_fd(world, op);
	op->byte_count = fuzz_u8(world->input) % (RING_OWN_BYTES + 1);
	weir_op_recv(sqe, fd, op->own, op->byte_count, 0);
}

static void fill_recv_group(struct ring_world *world, struct io_uring_sqe *sqe,
			    struct ring_op *op)
{
	weir_op_recv_group(sqe, ring_any_fd(world, op), RING_GROUP, 0);
	op->byte_count = RING_BUF_BYTES;
}

static void fill_recv_now(struct ring_world *world, struct io_uring_sqe *sqe,
			  struct ring_op *op)
{
	weir_op_recv_now(sqe, ring_any_fd(world, op), RING_GROUP);
	op->byte_count = RING_BUF_BYTES;
}

static void fill_recv_multi(struct ring_world *world, struct io_uring_sqe *sqe,
			    struct ring_op *op)
{
	const int fd = ring_any_fd(world, op);
	weir_op_recv_multishot(sqe, fd, RING_GROUP);
	if (fuzz_u8(world->input) % 2 != 0)
		weir_op_poll_first(sqe);
	op->byte_count = RING_BUF_BYTES;
}

static void fill_bundle(struct ring_world *world, struct io_uring_sqe *sqe,
			struct ring_op *op)
{
	weir_op_recv_bundle(sqe, ring_fd(world, op, 0, RING_FIRST_DATAGRAM),
			    RING_GROUP);
	op->byte_count = RING_BUFS * RING_BUF_BYTES;
}

static void fill_bundle_multi(struct ring_world *world,
			      struct io_uring_sqe *sqe, struct ring_op *op)
{
	weir_op_recv_bundle_multishot(
		sqe, ring_fd(world, op, 0, RING_FIRST_DATAGRAM), RING_GROUP);
	op->byte_count = RING_BUFS * RING_BUF_BYTES;
}

static void fill_recvmsg(struct ring_world *world, struct io_uring_sqe *sqe,
			 struct ring_op *op)
{
	weir_op_recvmsg_multishot(sqe, ring_any_fd(world, op), &ring_message,
				  RING_GROUP);
	op->byte_count = RING_BUF_BYTES;
}

static void fill_poll(struct ring_world *world, struct io_uring_sqe *sqe,
		      struct ring_op *op)
{
	const int fd = ring_any_fd(world, op);
	weir_op_poll(sqe, fd,
		     fuzz_u8(world->input) % 2 == 0 ? POLLIN : POLLOUT);
}

static void fill_poll_multi(struct ring_world *world, struct io_uring_sqe *sqe,
			    struct ring_op *op)
{
	weir_op_poll_multishot(sqe, ring_any_fd(world, op), POLLIN);
}

static void fill_poll_remove(struct ring_world *world, struct io_uring_sqe *sqe,
			     struct ring_op *op)
{
	(void)op;
	weir_op_poll_remove(sqe, ring_token(world));
}

static void fill_poll_update(struct ring_world *world, struct io_uring_sqe *sqe,
			     struct ring_op *op)
{
	(void)op;
	const uint64_t token = ring_token(world);
	weir_op_poll_update_events(
		sqe, token, fuzz_u8(world->input) % 2 == 0 ? POLLIN : POLLOUT);
}

static void fill_timeout(struct ring_world *world, struct io_uring_sqe *sqe,
			 struct ring_op *op)
{
	ring_time(world, op);
	weir_op_timeout(sqe, &op->time,
			fuzz_u8(world->input) % 2 == 0
				? 0
				: IORING_TIMEOUT_ETIME_SUCCESS);
}

static void fill_timeout_count(struct ring_world *world,
			       struct io_uring_sqe *sqe, struct ring_op *op)
{
	ring_time(world, op);
	weir_op_timeout_count(sqe, &op->time, fuzz_u8(world->input) % 4, 0);
}

static void fill_timeout_multi(struct ring_world *world,
			       struct io_uring_sqe *sqe, struct ring_op *op)
{
	ring_time(world, op);
	weir_op_timeout_multishot(sqe, &op->time, 1 + fuzz_u8(world->input) % 3,
				  0);
}

static void fill_timeout_remove(struct ring_world *world,
				struct io_uring_sqe *sqe, struct ring_op *op)
{
	(void)op;
	weir_op_timeout_remove(sqe, ring_token(world));
}

static void fill_timeout_update(struct ring_world *world,
				struct io_uring_sqe *sqe, struct ring_op *op)
{
	ring_time(world, op);
	weir_op_timeout_update(sqe, ring_token(world), &op->time, false);
}

/* A limit for the linked SQE before it; alone it is refused. */
static void fill_link_timeout(struct ring_world *world,
			      struct io_uring_sqe *sqe, struct ring_op *op)
{
	if (world->last != NULL && !world->last_is_published)
		ring_link(world->last, &ring_ops[world->op_count - 1],
			  IOSQE_IO_LINK);
	op->may_be_refused = true;
	ring_time(world, op);
	weir_op_link_timeout(sqe, &op->time, 0);
}

static void fill_cancel(struct ring_world *world, struct io_uring_sqe *sqe,
			struct ring_op *op)
{
	(void)op;
	weir_op_cancel_token(sqe, ring_token(world));
}

static void fill_cancel_fd(struct ring_world *world, struct io_uring_sqe *sqe,
			   struct ring_op *op)
{
	weir_op_cancel_fd(sqe, ring_any_fd(world, op));
}

static void fill_cancel_any(struct ring_world *world, struct io_uring_sqe *sqe,
			    struct ring_op *op)
{
	(void)world;
	(void)op;
	weir_op_cancel_any(sqe);
}

static void fill_shutdown(struct ring_world *world, struct io_uring_sqe *sqe,
			  struct ring_op *op)
{
	const int fd = ring_any_fd(world, op);
	weir_op_shutdown(sqe, fd, fuzz_u8(world->input) % 3);
}

static void fill_socket(struct ring_world *world, struct io_uring_sqe *sqe,
			struct ring_op *op)
{
	(void)world;
	(void)op;
	weir_op_socket_slot(sqe, AF_UNIX, SOCK_STREAM, 0);
}

static void fill_close(struct ring_world *world, struct io_uring_sqe *sqe,
		       struct ring_op *op)
{
	(void)op;
	weir_op_close_slot(sqe, fuzz_u8(world->input) % RING_SLOTS);
}

/* ---- results of 0 and above ---- */

static bool is_bytes(const struct ring_op *op, int32_t result)
{
	return (uint32_t)result <= op->byte_count;
}

static bool is_events(const struct ring_op *op, int32_t result)
{
	(void)op;
	return result > 0 && (result & ~(POLLIN | POLLOUT | POLLERR | POLLHUP |
					 POLLRDHUP)) == 0;
}

static bool is_count(const struct ring_op *op, int32_t result)
{
	(void)op;
	return result >= 0; /* an op on a worker is counted several times */
}

static bool is_slot(const struct ring_op *op, int32_t result)
{
	(void)op;
	return result < RING_SLOTS;
}

/* ---- the table ---- */

static const int errnos_none[] = { 0 };
static const int errnos_send[] = { EPIPE, ECONNRESET, ENOTCONN, EINTR, 0 };
static const int errnos_recv[] = { ECONNRESET, ENOBUFS, 0 };
static const int errnos_now[] = { ECONNRESET, ENOBUFS, EAGAIN, 0 };
/* An unknown group; and a buffer whose rest is too short for the header. */
static const int errnos_bundle[] = { ECONNRESET, ENOBUFS, ENOENT, 0 };
static const int errnos_recvmsg[] = { ECONNRESET, ENOBUFS, EFAULT, 0 };
static const int errnos_find[] = { ENOENT, EALREADY, 0 };
static const int errnos_time[] = { ETIME, 0 };
static const int errnos_limit[] = { ETIME, EALREADY, ENOENT, 0 };
static const int errnos_shutdown[] = { ENOTCONN, 0 };
static const int errnos_socket[] = { ENFILE, 0 };
static const int errnos_close[] = { EBADF, 0 };

/* clang-format off: one per line */
static const struct ring_kind kinds[] = {
	{ "nop", fill_nop, NULL, false, false, errnos_none },
	{ "send", fill_send, is_bytes, false, false, errnos_send },
	{ "recv", fill_recv, is_bytes, false, false, errnos_recv },
	{ "recv-group", fill_recv_group, is_bytes, false, true, errnos_recv },
	{ "recv-now", fill_recv_now, is_bytes, false, true, errnos_now },
	{ "recv-multishot", fill_recv_multi, is_bytes, true, true,
	  errnos_recv },
	{ "bundle", fill_bundle, is_bytes, false, true, errnos_bundle },
	{ "bundle-multishot", fill_bundle_multi, is_bytes, true, true,
	  errnos_bundle },
	{ "recvmsg-multishot", fill_recvmsg, is_bytes, true, true,
	  errnos_recvmsg },
	{ "poll", fill_poll, is_events, false, false, errnos_none },
	{ "poll-multishot", fill_poll_multi, is_events, true, false,
	  errnos_none },
	{ "poll-remove", fill_poll_remove, NULL, false, false, errnos_find },
	{ "poll-update", fill_poll_update, NULL, false, false, errnos_find },
	{ "timeout", fill_timeout, NULL, false, false, errnos_time },
	{ "timeout-count", fill_timeout_count, NULL, false, false,
	  errnos_time },
	{ "timeout-multishot", fill_timeout_multi, NULL, true, false,
	  errnos_time },
	{ "timeout-remove", fill_timeout_remove, NULL, false, false,
	  errnos_find },
	{ "timeout-update", fill_timeout_update, NULL, false, false,
	  errnos_find },
	{ "link-timeout", fill_link_timeout, NULL, false, false, errnos_limit },
	{ "cancel", fill_cancel, NULL, false, false, errnos_find },
	{ "cancel-fd", fill_cancel_fd, is_count, false, false, errnos_find },
	{ "cancel-any", fill_cancel_any, is_count, false, false, errnos_find },
	{ "shutdown", fill_shutdown, NULL, false, false, errnos_shutdown },
	{ "socket-slot", fill_socket, is_slot, false, false, errnos_socket },
	{ "close-slot", fill_close, NULL, false, false, errnos_close },
};
/* clang-format on */

const struct ring_kind *ring_kind_of(const struct ring_world *world,
				     uint8_t choice)
{
	const struct ring_kind *kind =
		&kinds[choice % (sizeof(kinds) / sizeof(kinds[0]))];
	const bool is_bundle =
		kind->fill == fill_bundle || kind->fill == fill_bundle_multi;

	if (is_bundle && (!world->has_bundles || world->has_drained ||
			  ring_is_linked(world)))
		return NULL;
	/* A message needs a whole buffer, so it does not work on an incremental
	 * ring. */
	if (kind->fill == fill_recvmsg && world->is_incremental)
		return NULL;
	return kind;
}

bool ring_kind_is_recvmsg(const struct ring_kind *kind)
{
	return kind->fill == fill_recvmsg;
}

bool ring_kind_fills_slot(const struct ring_kind *kind)
{
	return kind->fill == fill_socket;
}

bool ring_kind_empties_slot(const struct ring_kind *kind)
{
	return kind->fill == fill_close;
}

static bool may_hide(const struct io_uring_sqe *sqe, const struct ring_op *op)
{
	/* A success that returns something needs its CQE. */
	if (op->kind->is_multishot || op->kind->takes_buffers ||
	    ring_kind_fills_slot(op->kind) || ring_kind_empties_slot(op->kind))
		return false;
	if (wi_op_is_send(sqe) && (sqe->msg_flags & MSG_WAITALL) == 0)
		return false;
	return true;
}

void ring_op_modify(struct io_uring_sqe *sqe, struct ring_op *op, uint8_t flags)
{
	/* Links and drains change the time of a CQE; hiding removes it. */
	if ((flags & MODIFY_LINK) != 0)
		ring_link(sqe, op, IOSQE_IO_LINK);
	else if ((flags & MODIFY_HARDLINK) != 0)
		ring_link(sqe, op, IOSQE_IO_HARDLINK);
	if ((flags & MODIFY_DRAIN) != 0 && !wi_op_is_bundle_receive(sqe)) {
		weir_op_drain(sqe);
		op->may_be_refused = true; /* after an op that hides its
					    * success */
	} else if ((flags & MODIFY_HIDE) != 0 && may_hide(sqe, op)) {
		weir_op_skip_success(sqe);
		op->is_hidden = true;
	}
	if ((flags & MODIFY_ASYNC) == MODIFY_ASYNC &&
	    !op->kind->takes_buffers) {
		weir_op_async(sqe);
		op->may_be_on_worker = true;
	}
}
