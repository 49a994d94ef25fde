/* fuzz_ring.c - a random program of SQEs on the real kernel
 *
 *     +-------+------+------+------+----
 *     | shape | step | step | step | ...   an SQE, or: enter, reap, give back
 *     +-------+------+------+------+----
 *
 * At the end all operations are cancelled and reaped. Promises, each an assert:
 *   - every SQE has exactly one last completion; only a multishot has others
 *     before it, with F_MORE; none comes after it, and none has an unknown
 *     token;
 *   - each result is one that op.h documents for the operation;
 *   - no operation hangs: after a cancel of all operations, all end;
 *   - the counters are exact: SQEs taken, CQEs reaped;
 *   - received bytes are what was sent to that descriptor, also in a buffer
 * that is held while others are filled; a receive writes no byte past its
 * result;
 *   - the process and the table have as many descriptors as before.
 */
#include "fuzz_ring.h"

#include "fuzz_replay.h"
#include "uring/extra/register.h"
#include "uring/filetab.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	SHAPE_NO_DEFER = 1,
	SHAPE_NO_REGISTERED_FD = 2,
	SHAPE_BUNDLES = 4,
	SHAPE_INCREMENTAL = 8,
	STEP_ENTER = 200, /* and above: no SQE */
	STEP_WAIT = 220,
	STEP_REAP = 235,
	STEP_GIVE = 250,
	ROUND_NS = 10000000,
	ROUNDS = 3000, /* half a minute: after that it hangs */
	UNTOUCHED = 0xa5,
};

static uint8_t ring_memory[RING_BUFS * RING_BUF_BYTES];

/* For steps of the test itself, which cannot fail. */
static void must(bool is_well)
{
	if (!is_well)
		abort();
}

/* ---- completions ---- */

static void ring_say(const struct ring_op *op, const struct io_uring_cqe *cqe)
{
	(void)fprintf(stderr, "op %ld %s: res %d, flags %#x, completion %u\n",
		      (long)(op - ring_ops), op->kind->name, cqe->res,
		      cqe->flags, op->completions);
}

static bool ring_result_is_right(const struct ring_op *op, int32_t result)
{
	if (result >= 0)
		return op->kind->result_is_right == NULL
			       ? result == 0
			       : op->kind->result_is_right(op, result);
	if (result == -ECANCELED ||
	    (op->may_be_refused &&
	     (result == -EINVAL || result == -EOPNOTSUPP)))
		return true;
	if (result == -EINTR && op->may_be_on_worker)
		return true; /* cancelled while it ran there */
	for (const int *number = op->kind->errnos; *number != 0; number++)
		if (result == -*number)
			return true;
	return false;
}

/* The value that the other end sends. */
static uint8_t ring_value(const struct ring_op *op)
{
	return (uint8_t)('a' + (op->fd_index ^ 1));
}

static bool ring_bytes_are(const uint8_t *bytes, size_t byte_count,
			   uint8_t value)
{
	for (size_t i = 0; i < byte_count; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

/* Digest of all bytes of a completion, taken when it comes and when it is
 * returned.
 */
static uint64_t ring_digest(struct weir_bufring_spans spans,
			    uint32_t *out_byte_count)
{
	struct weir_bufring_span span;
	uint64_t digest = 1;
	uint32_t byte_count = 0;

	while (weir_bufring_next(&spans, &span)) {
		assert(span.id < RING_BUFS);
		assert(span.bytes >= ring_memory &&
		       span.bytes + span.byte_count <=
			       ring_memory + sizeof(ring_memory));
		for (uint32_t i = 0; i < span.byte_count; i++)
			digest = digest * 31 + span.bytes[i];
		byte_count += span.byte_count;
	}
	*out_byte_count = byte_count;
	return digest;
}

static void ring_check_message(const struct ring_op *op,
			       const struct weir_bufring_spans *brought,
			       int32_t result)
{
	struct weir_bufring_spans spans = *brought;
	struct weir_bufring_span span;
	struct weir_recvmsg message;

	assert(weir_bufring_next(&spans, &span));
	assert(weir_recvmsg_read(span.bytes, (uint32_t)result, &ring_message,
				 &message));
	assert(message.control_bytes == 0);
	assert(ring_bytes_are(message.payload, message.payload_bytes,
			      ring_value(op)));
}

static void ring_check_spans(const struct ring_op *op,
			     struct weir_bufring_spans spans)
{
	struct weir_bufring_span span;
	while (weir_bufring_next(&spans, &span))
		assert(ring_bytes_are(span.bytes, span.byte_count,
				      ring_value(op)));
}

/* Returns the oldest held completion, which must be unchanged. */
static void ring_give(struct ring_world *world)
{
	uint32_t byte_count;

	if (world->held_count == 0)
		return;
	assert(ring_digest(world->held[0].spans, &byte_count) ==
	       world->held[0].digest);
	weir_bufring_done(&world->held[0].spans);
	weir_bufring_publish(&world->bufring);
	world->held_count--;
	memmove(&world->held[0], &world->held[1],
		world->held_count * sizeof(world->held[0]));
}

static void ring_take_buffers(struct ring_world *world, struct ring_op *op,
			      const struct io_uring_cqe *cqe)
{
	struct ring_held held;
	uint32_t byte_count;

	if ((cqe->flags & IORING_CQE_F_BUFFER) == 0) {
		assert(cqe->res <= 0);
		return;
	}
	weir_bufring_spans(&world->bufring, cqe, &held.spans);
	held.digest = ring_digest(held.spans, &byte_count);
	assert(byte_count == (cqe->res > 0 ? (uint32_t)cqe->res : 0));
	if (ring_kind_is_recvmsg(op->kind))
		ring_check_message(op, &held.spans, cqe->res);
	else
		ring_check_spans(op, held.spans);
	if (world->held_count == RING_HELD)
		ring_give(world);
	world->held[world->held_count++] = held;
}

/* Its own buffer holds the received bytes and not one more. */
static void ring_check_own(const struct ring_op *op, int32_t result)
{
	const size_t got = result > 0 ? (size_t)result : 0;

	if (op->fd_index < 0 || strcmp(op->kind->name, "recv") != 0)
		return;
	assert(ring_bytes_are(op->own, got, ring_value(op)));
	if (result >= 0)
		assert(ring_bytes_are(op->own + got, sizeof(op->own) - got,
				      UNTOUCHED));
}

static void ring_count_slots(struct ring_world *world, const struct ring_op *op,
			     int32_t result)
{
	if (result < 0)
		return;
	if (ring_kind_fills_slot(op->kind))
		world->slots_filled++;
	if (ring_kind_empties_slot(op->kind))
		world->slots_filled--;
}

static void ring_complete(struct ring_world *world,
			  const struct io_uring_cqe *cqe)
{
	assert(cqe->user_data >= 1 && cqe->user_data <= world->op_count);
	struct ring_op *op = &ring_ops[cqe->user_data - 1];
	const bool has_more = (cqe->flags & IORING_CQE_F_MORE) != 0;

	op->completions++;
	if (!ring_result_is_right(op, cqe->res) || op->is_over ||
	    (has_more && !op->kind->is_multishot))
		ring_say(op, cqe);
	assert(!op->is_over);
	assert(!has_more || op->kind->is_multishot);
	assert(ring_result_is_right(op, cqe->res));
	if (op->kind->takes_buffers)
		ring_take_buffers(world, op, cqe);
	else
		assert((cqe->flags & IORING_CQE_F_BUFFER) == 0);
	ring_check_own(op, cqe->res);
	ring_count_slots(world, op, cqe->res);
	if (has_more)
		return;
	op->is_over = true;
	world->over_count++;
	world->hidden_count -= op->is_hidden;
}

static void ring_reap(struct ring_world *world, uint32_t most)
{
	uint32_t count = weir_ring_ready(&world->ring);
	if (count > most)
		count = most;
	for (uint32_t i = 0; i < count; i++)
		ring_complete(world, weir_ring_cqe(&world->ring, i));
	weir_ring_reaped(&world->ring, count);
	world->reaped += count;
}

/* ---- steps ---- */

static void ring_enter(struct ring_world *world, const struct weir_wait *wait)
{
	const int err = weir_ring_enter(&world->ring, wait);
	assert(err == 0);
	/* If a malformed entry ends the batch, a chain may stay incomplete. */
	if (weir_ring_unsubmitted(&world->ring) == 0)
		world->last = NULL;
	world->last_is_published = true;
}

static void ring_step_sqe(struct ring_world *world, uint8_t choice)
{
	const struct ring_kind *kind = ring_kind_of(world, choice);

	if (kind == NULL || world->op_count == RING_OPS)
		return;
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&world->ring);
	if (sqe == NULL) {
		assert(weir_ring_sq_space(&world->ring) == 0);
		ring_enter(world, NULL);
		sqe = weir_ring_take_sqe(&world->ring);
	}
	assert(sqe != NULL);
	world->taken++;
	struct ring_op *op = &ring_ops[world->op_count];
	*op = (struct ring_op){ .kind = kind, .fd_index = -1 };
	memset(op->own, UNTOUCHED, sizeof(op->own));
	kind->fill(world, sqe, op);
	ring_op_modify(sqe, op, fuzz_u8(world->input));
	world->has_drained |= (sqe->flags & IOSQE_IO_DRAIN) != 0;
	op->may_be_on_worker |= world->has_drained;
	if (ring_is_linked(world)) {
		op->may_be_on_worker = true;
		op->is_hidden |= ring_ops[world->op_count - 1].is_hidden;
	}
	sqe->user_data = ++world->op_count;
	world->hidden_count += op->is_hidden;
	world->last = sqe;
	world->last_is_published = false;
}

static void ring_step(struct ring_world *world)
{
	const struct weir_wait wait = {
		.want_count = 1,
		.timeout_ns = ROUND_NS / 100,
	};
	const uint8_t choice = fuzz_u8(world->input);

	if (choice < STEP_ENTER)
		ring_step_sqe(world, choice);
	else if (choice < STEP_WAIT)
		ring_enter(world, NULL);
	else if (choice < STEP_REAP)
		ring_enter(world, &wait);
	else if (choice < STEP_GIVE)
		ring_reap(world, fuzz_u8(world->input));
	else
		ring_give(world);
}

/* ---- from nothing to nothing ---- */

static bool ring_open(struct ring_world *world)
{
	static const uint32_t sizes[] = { 8, 1, 2, 4 };
	const uint8_t shape = fuzz_u8(world->input);
	const uint32_t sq = sizes[shape >> 4 & 3];
	const struct weir_ring_opts opts = {
		.sq_entry_count = sq,
		.cq_entry_count = sq * sizes[shape >> 6],
		.forced_off =
			((shape & SHAPE_NO_DEFER) != 0
				 ? weir_rung_bit(WEIR_RUNG_DEFER_TASKRUN)
				 : 0) |
			((shape & SHAPE_NO_REGISTERED_FD) != 0
				 ? weir_rung_bit(WEIR_RUNG_REGISTERED_RING)
				 : 0),
	};
	world->has_bundles = (shape & SHAPE_BUNDLES) != 0;
	world->is_incremental = (shape & SHAPE_INCREMENTAL) != 0;
	const struct weir_bufring_opts group = {
		.has_bundles = world->has_bundles,
		.is_incremental = world->is_incremental,
	};

	if (weir_ring_open(&world->ring, &opts, NULL) < 0)
		return false;
	if (weir_filetab_open(&world->ring, RING_SLOTS, NULL) == 0 &&
	    weir_bufring_open(&world->bufring, &world->ring, RING_GROUP,
			      ring_memory, RING_BUFS, RING_BUF_BYTES, &group,
			      NULL) == 0 &&
	    weir_ring_enable(&world->ring) == 0)
		return true;
	weir_bufring_close(&world->bufring);
	weir_ring_close(&world->ring);
	return false;
}

static void ring_sockets_open(struct ring_world *world)
{
	const int small = 1; /* the minimum, so that a send may wait */

	for (int i = 0; i < RING_FDS; i += 2)
		must(socketpair(AF_UNIX,
				(i < RING_FIRST_DATAGRAM ? SOCK_STREAM
							 : SOCK_DGRAM) |
					SOCK_CLOEXEC,
				0, &world->fds[i]) == 0);
	for (int i = 0; i < RING_FDS; i++)
		must(setsockopt(world->fds[i], SOL_SOCKET, SO_SNDBUF, &small,
				sizeof(small)) == 0);
}

/* Cancels until all ops are over. An op with a hidden success may have ended:
 * if it had been cancelled, a completion would have come. */
static void ring_drain(struct ring_world *world)
{
	const struct weir_cancel_match all = {
		.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
	};
	const struct weir_wait wait = {
		.want_count = 1,
		.timeout_ns = ROUND_NS,
	};

	ring_enter(world, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		(void)weir_register_cancel(&world->ring, &all, ROUND_NS);
		ring_enter(world, NULL);
		ring_reap(world, UINT32_MAX);
		if (world->over_count + world->hidden_count ==
			    world->op_count &&
		    weir_ring_unsubmitted(&world->ring) == 0)
			return;
		ring_enter(world, &wait);
		ring_reap(world, UINT32_MAX);
	}
	for (uint32_t i = 0; i < world->op_count; i++)
		if (!ring_ops[i].is_over && !ring_ops[i].is_hidden)
			(void)fprintf(stderr, "op %u %s: does not end\n", i,
				      ring_ops[i].kind->name);
	abort();
}

static void ring_check_end(struct ring_world *world)
{
	struct weir_ring_stats stats;

	while (world->held_count > 0)
		ring_give(world);
	weir_ring_stats_read(&world->ring, &stats);
	assert(stats.sqes == world->taken && stats.cqes == world->reaped);
	assert(stats.enters_waiting <= stats.enters);
	assert(stats.enters_failed == 0);
	assert(weir_ring_unsubmitted(&world->ring) == 0);
	assert(world->slots_filled >= 0 && world->slots_filled <= RING_SLOTS);
	/* An op with a hidden success may still fail at any time. */
	assert(weir_ring_ready(&world->ring) == 0 || world->hidden_count > 0);
	for (uint32_t slot = 0; slot < RING_SLOTS; slot++) {
		const int32_t none = WEIR_FILETAB_EMPTY;
		must(weir_filetab_update(&world->ring, slot, &none, 1) == 1);
	}
}

static int next_descriptor(void)
{
	const int fd = dup(STDERR_FILENO);
	must(fd >= 0 && close(fd) == 0);
	return fd;
}

int wi_fuzz_ring_one(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct ring_world world = { .input = &input };
	const int next_before = next_descriptor();

	if (!ring_open(&world))
		return 0; /* the kernel lacks a feature of this shape */
	ring_sockets_open(&world);
	while (input.left_bytes > 0 && world.op_count < RING_OPS)
		ring_step(&world);
	ring_drain(&world);
	ring_check_end(&world);
	weir_bufring_close(&world.bufring);
	weir_ring_close(&world.ring);
	for (int i = 0; i < RING_FDS; i++)
		must(close(world.fds[i]) == 0);
	assert(next_descriptor() == next_before);
	return 0;
}
