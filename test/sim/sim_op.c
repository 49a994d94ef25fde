/* sim_op.c - what each operation does to the world
 *
 *     submitted --> done at once ------------------------------> completion
 *         |                                                        ^
 *         +--> armed: its file is not ready --> ready: runs again --+
 *         +--> late: not tried yet -------------------> tried -----+
 *
 * A multishot stays armed after each of its completions.
 */
#include "sim_priv.h"

#include <errno.h>
#include <limits.h>

enum { IOVS_MAX = 16, ONE_IN_EIGHT = 32 };

/* What an attempt came to. WAITS is no errno. */
enum { OP_WAITS = INT_MIN, OP_AGAIN };

/* The errnos that an operation can give without any effect; see
 * io_uring-facts and the manual pages of the calls behind them. */
static const struct {
	uint8_t opcode;
	int errnos[8];
} op_errnos[] = {
	{ IORING_OP_RECV, { -EINTR, -ENOMEM, -ETIMEDOUT, -EHOSTUNREACH } },
	{ IORING_OP_SEND, { -EINTR, -ENOMEM, -ENOBUFS, -ETIMEDOUT, -EPIPE } },
	{ IORING_OP_SENDMSG, { -EINTR, -ENOMEM, -ENOBUFS, -EPIPE } },
	{ IORING_OP_ACCEPT,
	  { -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS, -ECONNABORTED, -EPROTO,
	    -EINTR } },
	{ IORING_OP_FIXED_FD_INSTALL, { -EMFILE, -ENFILE, -ENOMEM } },
	{ IORING_OP_SHUTDOWN, { -ENOTCONN } },
	{ IORING_OP_ASYNC_CANCEL, { -EALREADY, -ENOENT } },
	{ IORING_OP_CLOSE, { -EIO, -EINTR } },
	{ IORING_OP_SOCKET, { -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS } },
};

/* 0, or one of them. */
static int op_errno(struct weir_sim *sim, uint8_t opcode)
{
	if (!sim_fault(sim, WEIR_FAULT_ERRNO))
		return 0;
	for (size_t i = 0; i < sizeof(op_errnos) / sizeof(op_errnos[0]); i++) {
		if (op_errnos[i].opcode != opcode)
			continue;
		uint32_t count = 0;
		while (count < 8 && op_errnos[i].errnos[count] != 0)
			count++;
		return op_errnos[i].errnos[weir_tape_below(sim->tape, count)];
	}
	return 0;
}

/* ---- the life of an operation ---------------------------------------------
 */

static struct sim_op *op_take(struct weir_sim *sim)
{
	for (int i = 0; i < SIM_OPS; i++) {
		if (sim->ops[i].is_used)
			continue;
		if (i >= sim->op_high)
			sim->op_high = i + 1;
		return &sim->ops[i];
	}
	return NULL;
}

static void op_give(struct weir_sim *sim, struct sim_op *op)
{
	if (op->file != SIM_NONE)
		sim_file_drop(sim, op->file);
	op->is_used = false;
}

static void op_end(struct weir_sim *sim, struct sim_op *op, int res,
		   uint32_t flags)
{
	weir_sim_note(sim, "op %u of %016llx ends: %d", op->sqe.opcode,
		      (unsigned long long)op->sqe.user_data, res);
	(void)sim_ring_post(sim, op->ring, op->sqe.user_data, res, flags,
			    false);
	if (op->sqe.opcode == IORING_OP_RECV && op->file != SIM_NONE)
		sim->files[op->file].last_token = op->sqe.user_data;
	op_give(sim, op);
}

void sim_ops_end(struct weir_sim *sim, int ring)
{
	for (int i = 0; i < sim->op_high; i++)
		if (sim->ops[i].is_used && sim->ops[i].ring == ring)
			op_give(sim, &sim->ops[i]);
}

/* ---- slots ------------------------------------------------------------- */

static int slot_take(struct sim_ring *ring, int file)
{
	for (uint32_t i = 0; i < ring->slot_count; i++) {
		const uint32_t slot = (ring->slot_hint + i) % ring->slot_count;
		if (ring->slots[slot] == SIM_NONE) {
			ring->slots[slot] = file;
			ring->slot_hint = slot + 1;
			return (int)slot;
		}
	}
	return -ENFILE;
}

static int slot_file(const struct sim_ring *ring, int32_t slot)
{
	return slot >= 0 && (uint32_t)slot < ring->slot_count
		       ? ring->slots[slot]
		       : SIM_NONE;
}

/* ---- buffers ------------------------------------------------------------ */

static struct sim_group *group_find(struct sim_ring *ring, uint16_t id)
{
	for (int i = 0; i < SIM_GROUPS; i++)
		if (ring->groups[i].is_used && ring->groups[i].id == id)
			return &ring->groups[i];
	return NULL;
}

/* The next one, still in the ring; NULL: none. */
static const struct io_uring_buf *group_peek(const struct sim_group *group)
{
	const uint16_t tail =
		__atomic_load_n(&group->ring[0].resv, __ATOMIC_ACQUIRE);
	if (tail == group->head)
		return NULL;
	return &group->ring[group->head & (group->entry_count - 1)];
}

void sim_op_haunt(struct weir_sim *sim, int ring)
{
	struct sim_group *group = &sim->rings[ring].groups[0];
	const uint32_t which = weir_tape_below(sim->tape, sim->dead_count);
	const uint64_t token = sim->dead_tokens[which];
	const struct io_uring_buf *buf =
		group->is_used && weir_tape_below(sim->tape, 2) == 1
			? group_peek(group)
			: NULL;

	sim->dead_tokens[which] = sim->dead_tokens[--sim->dead_count];
	weir_sim_note(sim, "fault: a completion for %016llx, which is gone",
		      (unsigned long long)token);
	if (buf == NULL) {
		(void)sim_ring_post(sim, ring, token, -ECANCELED, 0, false);
		return;
	}
	const uint32_t id = buf->bid;
	group->head++;
	(void)sim_ring_post(sim, ring, token, 1,
			    IORING_CQE_F_BUFFER | id << IORING_CQE_BUFFER_SHIFT,
			    false);
}

/* ---- receive ------------------------------------------------------------ */

/* Posts what it has received. Return: OP_AGAIN if a multishot goes on. */
static int recv_post(struct weir_sim *sim, struct sim_op *op, int res,
		     uint32_t flags)
{
	const bool is_multishot = (op->sqe.ioprio & IORING_RECV_MULTISHOT) != 0;
	const int conn = sim->files[op->file].conn;

	if (sim_net_has_more(sim, conn, &op->is_first))
		flags |= IORING_CQE_F_SOCK_NONEMPTY;
	if (is_multishot && !sim_fault(sim, WEIR_FAULT_TERMINATE) &&
	    sim_ring_post(sim, op->ring, op->sqe.user_data, res,
			  flags | IORING_CQE_F_MORE, true)) {
		weir_sim_note(sim, "c%d server receives %d bytes", conn, res);
		op->is_armed = true;
		return OP_AGAIN;
	}
	op->due_flags = flags;
	return res;
}

static int op_recv(struct weir_sim *sim, struct sim_op *op)
{
	const int conn = sim->files[op->file].conn;
	struct sim_group *group =
		group_find(&sim->rings[op->ring], op->sqe.buf_group);

	if (conn == SIM_NONE)
		return -ENOTCONN;
	if (group == NULL)
		return -ENOENT;
	const struct io_uring_buf *buf = group_peek(group);
	if (buf == NULL || sim_fault(sim, WEIR_FAULT_ENOBUFS))
		return -ENOBUFS;
	uint32_t bytes = buf->len;
	if (op->sqe.len != 0 && op->sqe.len < bytes)
		bytes = op->sqe.len;
	const uint16_t id = buf->bid;
	int result = sim_net_read(sim, conn, SIM_SERVER,
				  (void *)(uintptr_t)buf->addr, bytes);
	if (result == -EAGAIN)
		return (op->sqe.msg_flags & MSG_DONTWAIT) != 0 ? -EAGAIN
							       : OP_WAITS;
	if (result <= 0)
		return result;
	group->head++;
	return recv_post(sim, op, result,
			 IORING_CQE_F_BUFFER |
				 (uint32_t)id << IORING_CQE_BUFFER_SHIFT);
}

/* ---- send --------------------------------------------------------------- */

static size_t send_bytes(const struct sim_op *op)
{
	size_t sum = 0;
	if (op->sqe.opcode == IORING_OP_SEND)
		return op->sqe.len;
	for (size_t i = 0; i < op->message.msg_iovlen; i++)
		sum += op->iov[i].iov_len;
	return sum;
}

/* The piece at op->done. */
static struct iovec send_piece(const struct sim_op *op)
{
	size_t skip = op->done;
	if (op->sqe.opcode == IORING_OP_SEND)
		return (struct iovec){
			/* As a number: a send of nothing has no address. */
			.iov_base = (void *)(uintptr_t)(op->sqe.addr + skip),
			.iov_len = op->sqe.len - skip,
		};
	size_t i = 0;
	while (i + 1 < op->message.msg_iovlen && skip >= op->iov[i].iov_len)
		skip -= op->iov[i++].iov_len;
	return (struct iovec){
		.iov_base = (uint8_t *)op->iov[i].iov_base + skip,
		.iov_len = op->iov[i].iov_len - skip,
	};
}

static int op_send(struct weir_sim *sim, struct sim_op *op)
{
	const int conn = sim->files[op->file].conn;
	const size_t all = send_bytes(op);
	const bool waits_all = (op->sqe.msg_flags & MSG_WAITALL) != 0;

	if (conn == SIM_NONE)
		return -ENOTCONN;
	do {
		const struct iovec piece = send_piece(op);
		size_t bytes = piece.iov_len;
		const bool is_short =
			bytes > 1 && sim_fault(sim, WEIR_FAULT_SHORT_SEND);
		if (is_short)
			bytes = 1 + weir_tape_below(
					    sim->tape,
					    bytes < 65536 ? (uint32_t)bytes - 1
							  : 65535);
		int result = sim_net_write(sim, conn, SIM_SERVER,
					   piece.iov_base, bytes);
		if (result == -EAGAIN)
			return op->done > 0 && !waits_all ? (int)op->done
							  : OP_WAITS;
		if (result < 0)
			return op->done > 0 ? (int)op->done : result;
		op->done += (uint32_t)result;
		if (is_short)
			return (int)op->done;
	} while (op->done < all);
	return (int)op->done;
}

/* ---- accept ---------------------------------------------------------------
 */

static int op_accept(struct weir_sim *sim, struct sim_op *op)
{
	struct sim_ring *ring = &sim->rings[op->ring];
	const int conn = sim_net_accept(sim, op->file);

	if (conn == -EAGAIN)
		return OP_WAITS;
	if (conn < 0)
		return conn;
	const int file = sim_file_take(sim, SIM_STREAM);
	if (file < 0)
		return file;
	sim->files[file].conn = conn;
	const int slot = slot_take(ring, file);
	if (slot < 0) { /* the client is dropped, as on 6.18 */
		sim_file_drop(sim, file);
		return slot;
	}
	weir_sim_note(sim, "c%d is accepted into slot %d", conn, slot);
	if ((op->sqe.ioprio & IORING_ACCEPT_MULTISHOT) != 0 &&
	    !sim_fault(sim, WEIR_FAULT_TERMINATE) &&
	    sim_ring_post(sim, op->ring, op->sqe.user_data, slot,
			  IORING_CQE_F_MORE, true)) {
		op->is_armed = true;
		return OP_AGAIN;
	}
	return slot;
}

/* ---- cancel ------------------------------------------------------------- */

static bool cancel_matches(const struct weir_sim *sim, const struct sim_op *op,
			   const struct sim_op *target)
{
	const uint32_t flags = op->sqe.cancel_flags;

	if (!target->is_used || target == op || target->ring != op->ring ||
	    target->is_cancelled || !target->is_armed)
		return false;
	if ((flags & IORING_ASYNC_CANCEL_ANY) != 0)
		return true;
	if ((flags & IORING_ASYNC_CANCEL_FD) == 0)
		return target->sqe.user_data == op->sqe.addr;
	const struct sim_ring *ring = &sim->rings[op->ring];
	const int file = (flags & IORING_ASYNC_CANCEL_FD_FIXED) != 0
				 ? slot_file(ring, op->sqe.fd)
				 : sim_fd_file(sim, op->sqe.fd);
	return file != SIM_NONE && target->file == file;
}

static int op_cancel(struct weir_sim *sim, struct sim_op *op)
{
	const bool is_all =
		(op->sqe.cancel_flags & IORING_ASYNC_CANCEL_ALL) != 0;
	int count = 0;

	if (sim_fault(sim, WEIR_FAULT_CANCEL_MISS))
		return is_all ? 0 : -EALREADY;
	for (int i = 0; i < sim->op_high; i++) {
		struct sim_op *target = &sim->ops[i];
		if (!cancel_matches(sim, op, target))
			continue;
		target->is_cancelled = true;
		count++;
		if (!is_all)
			return 0;
	}
	return is_all ? count : -ENOENT;
}

/* ---- the rest ----------------------------------------------------------- */

static int op_close(struct weir_sim *sim, struct sim_op *op)
{
	struct sim_ring *ring = &sim->rings[op->ring];
	const int32_t slot = (int32_t)op->sqe.file_index - 1;
	const int file = slot_file(ring, slot);
	if (file == SIM_NONE) {
		weir_sim_violate(sim, "a slot was closed that holds no file");
		return -EBADF;
	}
	ring->slots[slot] = SIM_NONE;
	sim_file_drop(sim, file);
	return 0;
}

static int op_install(struct weir_sim *sim, struct sim_op *op)
{
	const int fd = sim_fd_take(sim, op->file);
	if (fd >= 0)
		sim_file_hold(sim, op->file);
	return fd;
}

static int op_read(struct weir_sim *sim, struct sim_op *op)
{
	struct sim_file *file = &sim->files[op->file];
	if (file->kind != SIM_DOORBELL)
		return -EINVAL;
	if (file->value == 0)
		return OP_WAITS;
	memcpy((void *)(uintptr_t)op->sqe.addr, &file->value,
	       sizeof(file->value));
	file->value = 0;
	return (int)sizeof(file->value);
}

static int op_socket(struct weir_sim *sim, struct sim_op *op)
{
	const int file = sim_file_take(sim, SIM_STREAM);
	if (file < 0)
		return file;
	const int slot = slot_take(&sim->rings[op->ring], file);
	if (slot < 0)
		sim_file_drop(sim, file);
	return slot;
}

/* An attempt. Return: the result; OP_WAITS; OP_AGAIN: it has posted one and
 * goes on. */
static int op_try(struct weir_sim *sim, struct sim_op *op)
{
	switch (op->sqe.opcode) {
	case IORING_OP_NOP:
		return 0;
	case IORING_OP_RECV:
		return op_recv(sim, op);
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
		return op_send(sim, op);
	case IORING_OP_ACCEPT:
		return op_accept(sim, op);
	case IORING_OP_ASYNC_CANCEL:
		return op_cancel(sim, op);
	case IORING_OP_CLOSE:
		return op_close(sim, op);
	case IORING_OP_FIXED_FD_INSTALL:
		return op_install(sim, op);
	case IORING_OP_SHUTDOWN:
		return sim_net_shutdown(sim, sim->files[op->file].conn,
					SIM_SERVER);
	case IORING_OP_READ:
		return op_read(sim, op);
	case IORING_OP_SOCKET:
		return op_socket(sim, op);
	case IORING_OP_CONNECT:
		return -ECONNREFUSED; /* nobody to connect to yet */
	case IORING_OP_URING_CMD:
		return 0;
	default:
		return -EINVAL;
	}
}

/* Whether a fault may stand in for the attempt: CLOSE has its effect first. */
static int op_attempt(struct weir_sim *sim, struct sim_op *op)
{
	const int fault = op_errno(sim, op->sqe.opcode);
	if (fault == 0)
		return op_try(sim, op);
	weir_sim_note(sim, "fault: op %u fails: %d", op->sqe.opcode, fault);
	if (op->sqe.opcode == IORING_OP_CLOSE)
		(void)op_try(sim, op);
	if (op->done > 0)
		return (int)op->done; /* bytes that are out are told first */
	return fault;
}

static void op_go(struct weir_sim *sim, struct sim_op *op)
{
	op->due_flags = 0;
	op->is_armed = false;
	const int result = op_attempt(sim, op);
	if (result == OP_WAITS)
		op->is_armed = true;
	else if (result != OP_AGAIN)
		op_end(sim, op, result, op->due_flags);
}

/* ---- submission -------------------------------------------------------- */

static bool op_needs_file(uint8_t opcode)
{
	switch (opcode) {
	case IORING_OP_NOP:
	case IORING_OP_ASYNC_CANCEL:
	case IORING_OP_CLOSE:
	case IORING_OP_SOCKET:
		return false;
	default:
		return true;
	}
}

static int op_find_file(const struct weir_sim *sim, int ring,
			const struct io_uring_sqe *sqe)
{
	return (sqe->flags & IOSQE_FIXED_FILE) != 0
		       ? slot_file(&sim->rings[ring], sqe->fd)
		       : sim_fd_file(sim, sqe->fd);
}

static void op_read_message(struct sim_op *op)
{
	const struct msghdr *message = (const void *)(uintptr_t)op->sqe.addr;
	op->message = *message;
	assert(message->msg_iovlen <= IOVS_MAX);
	memcpy(op->iov, message->msg_iov,
	       message->msg_iovlen * sizeof(op->iov[0]));
}

void sim_op_submit(struct weir_sim *sim, int ring,
		   const struct io_uring_sqe *sqe)
{
	struct sim_op *op = op_take(sim);
	if (op == NULL) {
		weir_sim_violate(sim, "more operations in flight than the "
				      "simulation holds");
		return;
	}
	op->is_used = true;
	op->is_armed = false;
	op->is_cancelled = false;
	op->is_late = false;
	op->is_first = false;
	op->due_flags = 0;
	op->done = 0;
	op->ring = ring;
	op->file = SIM_NONE;
	op->order = sim->order++;
	op->sqe = *sqe;
	weir_sim_note(sim, "op %u submitted: %016llx", sqe->opcode,
		      (unsigned long long)sqe->user_data);
	if (op_needs_file(sqe->opcode)) {
		op->file = op_find_file(sim, ring, sqe);
		if (op->file == SIM_NONE) {
			op_end(sim, op, -EBADF, 0);
			return;
		}
		sim_file_hold(sim, op->file);
	}
	if (sqe->opcode == IORING_OP_SENDMSG)
		op_read_message(op);
	if (sqe->opcode == IORING_OP_RECV &&
	    sim->files[op->file].conn != SIM_NONE) {
		const int conn = sim->files[op->file].conn;
		sim_net_poll_anew(sim, conn);
		op->is_first = sim_net_can_read(sim, conn, SIM_SERVER);
	}
	/* Poll first; or the kernel was busy, and does it a little later. */
	if ((sqe->opcode == IORING_OP_RECV &&
	     (sqe->ioprio & IORING_RECVSEND_POLL_FIRST) != 0) ||
	    weir_tape_chance(sim->tape, ONE_IN_EIGHT)) {
		op->is_armed = true;
		op->is_late = sqe->opcode != IORING_OP_RECV;
		return;
	}
	op_go(sim, op);
}

/* ---- going on ---------------------------------------------------------- */

static bool op_is_ready(const struct weir_sim *sim, const struct sim_op *op)
{
	if (op->is_cancelled || op->is_late)
		return true;
	const struct sim_file *file = &sim->files[op->file];
	switch (op->sqe.opcode) {
	case IORING_OP_RECV:
		return file->conn != SIM_NONE &&
		       ((op->sqe.msg_flags & MSG_DONTWAIT) != 0 ||
			sim_net_can_read(sim, file->conn, SIM_SERVER));
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
		return sim_net_can_write(sim, file->conn, SIM_SERVER);
	case IORING_OP_ACCEPT:
		return file->queued > 0 || !file->is_listening;
	case IORING_OP_READ:
		return file->value > 0;
	default:
		return true;
	}
}

uint32_t sim_op_runnable(const struct weir_sim *sim, int ring)
{
	uint32_t count = 0;
	for (int i = 0; i < sim->op_high; i++) {
		const struct sim_op *op = &sim->ops[i];
		count +=
			op->is_used && op->ring == ring && op_is_ready(sim, op);
	}
	return count;
}

void sim_op_run(struct weir_sim *sim, int ring, uint32_t index)
{
	for (int i = 0; i < sim->op_high; i++) {
		struct sim_op *op = &sim->ops[i];
		if (!op->is_used || op->ring != ring || !op_is_ready(sim, op) ||
		    index-- > 0)
			continue;
		sim_hash_add(sim, op->sqe.user_data);
		op->is_late = false;
		if (!op->is_cancelled)
			op_go(sim, op);
		else if (op->done > 0)
			op_end(sim, op, (int)op->done, 0);
		else
			op_end(sim, op, -ECANCELED, 0);
		return;
	}
}
