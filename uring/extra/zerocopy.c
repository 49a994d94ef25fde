/* zerocopy.c - zero-copy sends, and when their memory is free again
 *
 * Invariant: lent_bytes is the sum of byte_count over all sends that are not
 * free, and at most the limit.
 *
 * Not here: whether zero copy pays (the caller knows the size and the route).
 */
#include "zerocopy.h"

#include "../ring_inline.h"
#include "op_zerocopy.h"

#include <assert.h>
#include <errno.h>

#define LIMIT_BYTES_DEFAULT (UINT64_C(16) << 20)

#define TO(name) (1u << WEIR_ZEROCOPY_##name)
static const uint8_t zerocopy_next[WEIR_ZEROCOPY_STATE_COUNT] = {
	[WEIR_ZEROCOPY_FREE] = TO(SENDING),
	[WEIR_ZEROCOPY_SENDING] = TO(HELD) | TO(FREE),
	[WEIR_ZEROCOPY_HELD] = TO(FREE),
};

/* The only function that writes send->state. */
static void zerocopy_state_set(struct weir_zerocopy_send *send,
			       enum weir_zerocopy_state next)
{
	assert((zerocopy_next[send->state] & (1u << next)) != 0);
	send->state = next;
}

void weir_zerocopy_init(struct weir_zerocopy *zerocopy,
			const struct weir_zerocopy_opts *opts)
{
	*zerocopy = (struct weir_zerocopy){ .lent_bytes = 0 };
	if (opts != NULL)
		zerocopy->opts = *opts;
	if (zerocopy->opts.limit_bytes == 0)
		zerocopy->opts.limit_bytes = LIMIT_BYTES_DEFAULT;
}

static uint64_t request_bytes(const struct weir_zerocopy_request *request)
{
	uint64_t byte_count = 0;
	if (request->message == NULL)
		return request->byte_count;
	for (size_t i = 0; i < request->message->msg_iovlen; i++)
		byte_count += request->message->msg_iov[i].iov_len;
	return byte_count;
}

static void request_fill(struct io_uring_sqe *sqe,
			 const struct weir_zerocopy_request *request,
			 bool reports_usage)
{
	if (request->message != NULL)
		weir_op_sendmsg_zc(sqe, request->fd, request->message,
				   request->msg_flags);
	else
		weir_op_send_zc(sqe, request->fd, request->bytes,
				request->byte_count, request->msg_flags);
	sqe->user_data = request->user_data;
	if (request->is_slot)
		weir_op_on_slot(sqe);
	if (reports_usage)
		weir_op_report_usage(sqe);
	if (request->is_registered)
		weir_op_fixed_buffer(sqe, request->buf_index);
}

int weir_zerocopy_start(struct weir_zerocopy *zerocopy, struct weir_ring *ring,
			struct weir_zerocopy_send *send,
			const struct weir_zerocopy_request *request)
{
	const uint64_t limit_bytes = zerocopy->opts.limit_bytes;
	const uint64_t byte_count = request_bytes(request);
	assert(send->state == WEIR_ZEROCOPY_FREE);

	if (byte_count > limit_bytes)
		return -EMSGSIZE;
	if (byte_count > limit_bytes - zerocopy->lent_bytes) {
		wi_counter_add(&zerocopy->stats.refusals, 1);
		return -ENOBUFS;
	}
	struct io_uring_sqe *sqe = weir_ring_take_sqe(ring);
	if (sqe == NULL)
		return -EAGAIN;
	request_fill(sqe, request, !zerocopy->opts.no_usage_report);

	*send = (struct weir_zerocopy_send){ .byte_count = byte_count };
	zerocopy_state_set(send, WEIR_ZEROCOPY_SENDING);
	zerocopy->lent_bytes += byte_count;
	wi_counter_add(&zerocopy->stats.sends, 1);
	assert(zerocopy->lent_bytes <= limit_bytes);
	return 0;
}

static void zerocopy_release(struct weir_zerocopy *zerocopy,
			     struct weir_zerocopy_send *send)
{
	assert(zerocopy->lent_bytes >= send->byte_count);
	zerocopy->lent_bytes -= send->byte_count;
	zerocopy_state_set(send, WEIR_ZEROCOPY_FREE);
	wi_counter_add(&zerocopy->stats.releases, 1);
	if (zerocopy->opts.release != NULL)
		zerocopy->opts.release(zerocopy->opts.ctx, send);
}

static unsigned zerocopy_on_notice(struct weir_zerocopy *zerocopy,
				   struct weir_zerocopy_send *send,
				   const struct io_uring_cqe *cqe)
{
	if (!zerocopy->opts.no_usage_report &&
	    ((uint32_t)cqe->res & IORING_NOTIF_USAGE_ZC_COPIED) != 0) {
		send->was_copied = true;
		wi_counter_add(&zerocopy->stats.copies, 1);
	}
	assert(send->state == WEIR_ZEROCOPY_HELD);
	zerocopy_release(zerocopy, send);
	return WEIR_ZEROCOPY_IS_RELEASED;
}

unsigned weir_zerocopy_complete(struct weir_zerocopy *zerocopy,
				struct weir_zerocopy_send *send,
				const struct io_uring_cqe *cqe)
{
	if ((cqe->flags & IORING_CQE_F_NOTIF) != 0)
		return zerocopy_on_notice(zerocopy, send, cqe);

	assert(send->state == WEIR_ZEROCOPY_SENDING);
	send->result = cqe->res;
	if (cqe->res < 0)
		wi_counter_add(&zerocopy->stats.failures, 1);
	else
		wi_counter_add(&zerocopy->stats.sent_bytes, (uint64_t)cqe->res);
	if ((cqe->flags & IORING_CQE_F_MORE) != 0) {
		zerocopy_state_set(send, WEIR_ZEROCOPY_HELD);
		return WEIR_ZEROCOPY_HAS_RESULT;
	}
	zerocopy_release(zerocopy, send);
	return WEIR_ZEROCOPY_HAS_RESULT | WEIR_ZEROCOPY_IS_RELEASED;
}
