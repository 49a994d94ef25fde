/* test_bufring_inc.c - spans of one completion, in every mode of a ring
 *
 * All modes have one criterion: the bytes of all spans are the sent bytes, in
 * order, and every buffer is used again.
 */
#include "../rig/aborts.h"
#include "../rig/count_of.h"
#include "../rig/faults.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/bufring.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { GROUP = 9, BUF_BYTES = 32 };

struct rig {
	struct weir_ring ring;
	struct weir_bufring bufring;
	struct wi_guarded memory;
	int reader;
	int writer;
	uint16_t recv_flags; /* sqe->ioprio */
	uint64_t received;   /* bytes checked so far */
	uint64_t sent;
};

/* Classic, incremental, bundle, incremental bundle: a bit each. */
enum { MODE_COUNT = 4 };

static struct weir_bufring_opts mode_opts(int mode)
{
	return (struct weir_bufring_opts){
		.is_incremental = (mode & 1) != 0,
		.has_bundles = (mode & 2) != 0,
	};
}

/* False: this kernel lacks the mode, and all is closed again. */
static bool rig_open(struct rig *rig, struct weir_bufring_opts opts,
		     uint32_t buf_count)
{
	int fds[2];
	struct weir_error error;
	*rig = (struct rig){ .recv_flags = IORING_RECV_MULTISHOT };
	wi_ring_start(&rig->ring, NULL);
	bool can_bundle = (weir_ring_features(&rig->ring) &
			   IORING_FEAT_RECVSEND_BUNDLE) != 0;
	rig->memory = wi_guarded_take((size_t)buf_count * BUF_BYTES);
	int err = weir_bufring_open(&rig->bufring, &rig->ring, GROUP,
				    rig->memory.bytes, buf_count, BUF_BYTES,
				    &opts, &error);
	if ((opts.has_bundles && !can_bundle) ||
	    (err == -EINVAL && opts.is_incremental)) {
		weir_bufring_close(&rig->bufring);
		weir_ring_close(&rig->ring);
		wi_guarded_give(&rig->memory);
		return false;
	}
	ck_assert_msg(err == 0, "%s", error.text);
	if (opts.has_bundles)
		rig->recv_flags |= IORING_RECVSEND_BUNDLE;
	wi_tcp_pair(fds);
	rig->reader = fds[0];
	rig->writer = fds[1];
	return true;
}

static void rig_close(struct rig *rig)
{
	ck_assert_int_eq(close(rig->reader), 0);
	ck_assert_int_eq(close(rig->writer), 0);
	weir_bufring_close(&rig->bufring);
	weir_ring_close(&rig->ring);
	wi_guarded_give(&rig->memory);
}

static void rig_arm(struct rig *rig)
{
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&rig->ring);
	ck_assert_ptr_nonnull(sqe);
	weir_op_recv_multishot(sqe, rig->reader, GROUP);
	sqe->ioprio = rig->recv_flags;
	ck_assert_int_eq(weir_ring_enter(&rig->ring, NULL), 0);
}

/* The stream: the place gives the value of a byte. */
static uint8_t byte_at(uint64_t place)
{
	return (uint8_t)(place * 167 + (place >> 8));
}

static void rig_send(struct rig *rig, uint32_t byte_count)
{
	uint8_t bytes[4096];
	ck_assert_uint_le(byte_count, sizeof(bytes));
	for (uint32_t i = 0; i < byte_count; i++)
		bytes[i] = byte_at(rig->sent + i);
	wi_write_all(rig->writer, bytes, byte_count);
	rig->sent += byte_count;
}

/* Waits until all sent bytes are in the reader's socket, for one receive. */
static void rig_settle(const struct rig *rig)
{
	int queued = 0;
	while ((uint64_t)queued < rig->sent - rig->received)
		ck_assert_int_eq(ioctl(rig->reader, FIONREAD, &queued), 0);
}

/* Checks the bytes of @spans against the stream. Returns how many spans. */
static uint32_t rig_check(struct rig *rig, struct weir_bufring_spans spans)
{
	struct weir_bufring_span span;
	uint32_t count = 0;
	uint32_t total = 0;
	while (weir_bufring_next(&spans, &span)) {
		ck_assert_uint_ge(span.byte_count, 1);
		for (uint32_t i = 0; i < span.byte_count; i++)
			ck_assert_uint_eq(span.bytes[i],
					  byte_at(rig->received + i));
		rig->received += span.byte_count;
		total += span.byte_count;
		count++;
	}
	ck_assert_uint_eq(total, spans.byte_count);
	return count;
}

/* Accounts for and checks the next completion with bytes. Arms the receive
 * again if it ended. */
static struct weir_bufring_spans rig_next(struct rig *rig)
{
	struct weir_bufring_spans spans;
	struct io_uring_cqe cqe = wi_ring_next(&rig->ring);
	while (cqe.res == -ENOBUFS) {
		rig_arm(rig);
		cqe = wi_ring_next(&rig->ring);
	}
	ck_assert_int_gt(cqe.res, 0);
	weir_bufring_spans(&rig->bufring, &cqe, &spans);
	(void)rig_check(rig, spans);
	if ((cqe.flags & IORING_CQE_F_MORE) == 0)
		rig_arm(rig);
	return spans;
}

static uint32_t rig_free_count(const struct rig *rig)
{
	uint32_t count = 0;
	ck_assert_int_eq(weir_bufring_status(&rig->bufring, &count), 0);
	return count;
}

/* ---- all modes ----------------------------------------------------------- */

START_TEST(bytes_come_in_order_and_buffers_go_round_in_every_mode)
{
	enum { TOTAL = 60000, HELD_MAX = 8 };
	struct rig rig;
	struct weir_bufring_spans held[HELD_MAX];
	uint32_t held_count = 0;
	uint64_t state = 0x9e3779b97f4a7c15ULL + (uint64_t)_i;
	wi_skip_unless(rig_open(&rig, mode_opts(_i % MODE_COUNT), 16),
		       "this kernel does not have this mode");
	rig_arm(&rig);
	while (rig.received < TOTAL) {
		if (rig.sent - rig.received < 100)
			rig_send(&rig, 1 + wi_random(&state) % 200);
		held[held_count++] = rig_next(&rig);
		/* In any order, some at once and some late. */
		while (held_count == HELD_MAX ||
		       (held_count > 0 && wi_random(&state) % 3 == 0) ||
		       (held_count > 0 && rig_free_count(&rig) < 2)) {
			uint32_t at = wi_random(&state) % held_count;
			weir_bufring_done(&held[at]);
			held[at] = held[--held_count];
			weir_bufring_publish(&rig.bufring);
		}
	}
	while (rig.received < rig.sent) {
		while (held_count > 0)
			weir_bufring_done(&held[--held_count]);
		weir_bufring_publish(&rig.bufring);
		held[held_count++] = rig_next(&rig);
	}
	while (held_count > 0)
		weir_bufring_done(&held[--held_count]);
	weir_bufring_publish(&rig.bufring);
	ck_assert_uint_eq(rig_free_count(&rig), 16);
	rig_close(&rig);
}
END_TEST

START_TEST(spans_can_be_read_twice_from_a_copy)
{
	struct rig rig;
	wi_skip_unless(rig_open(&rig, mode_opts(_i), 4),
		       "this kernel does not have this mode");
	rig_arm(&rig);
	rig_send(&rig, 20);
	struct weir_bufring_spans spans = rig_next(&rig);
	rig.received = 0;
	ck_assert_uint_eq(rig_check(&rig, spans), 1);
	ck_assert_uint_eq(spans.byte_count, 20);
	weir_bufring_done(&spans);
	rig_close(&rig);
}
END_TEST

START_TEST(negative_result_with_a_buffer_gives_it_back)
{
	struct rig rig;
	struct weir_bufring_spans spans;
	struct weir_bufring_span span;
	wi_skip_unless(rig_open(&rig, mode_opts(_i), 4),
		       "this kernel does not have this mode");
	const struct io_uring_cqe cqe = {
		.res = -ECONNRESET,
		.flags = IORING_CQE_F_BUFFER,
	};
	weir_bufring_spans(&rig.bufring, &cqe, &spans);
	ck_assert(!weir_bufring_next(&spans, &span));
	uint16_t tail = rig.bufring.tail;
	weir_bufring_done(&spans);
	ck_assert_uint_eq(rig.bufring.tail, tail + 1u);
	rig_close(&rig);
}
END_TEST

START_TEST(closed_group_has_no_status)
{
	struct rig rig;
	uint32_t count = 77;
	wi_skip_unless(rig_open(&rig, mode_opts(_i), 4),
		       "this kernel does not have this mode");
	ck_assert_uint_eq(rig_free_count(&rig), 4);
	weir_bufring_close(&rig.bufring);
	ck_assert_int_eq(weir_bufring_status(&rig.bufring, &count), -ENOENT);
	ck_assert_uint_eq(count, 77);
	rig_close(&rig);
}
END_TEST

/* ---- incremental --------------------------------------------------------- */

START_TEST(incremental_buffer_is_filled_bit_by_bit_and_lent_again_once)
{
	struct rig rig;
	wi_skip_unless(rig_open(&rig, mode_opts(1), 4),
		       "this kernel has no incremental buffers");
	rig_arm(&rig);
	struct weir_bufring_spans spans[4];
	for (int i = 0; i < 3; i++) {
		rig_send(&rig, 10);
		spans[i] = rig_next(&rig);
		ck_assert_uint_eq(spans[i].first_id, 0);
		ck_assert_uint_eq(spans[i].at_bytes, (unsigned)i * 10);
	}
	rig_send(&rig, 2);
	spans[3] = rig_next(&rig); /* the last two bytes of buffer 0 */
	ck_assert_uint_eq(spans[3].first_id, 0);
	ck_assert_uint_eq(rig_free_count(&rig), 3);

	/* In any order, the last call lends the buffer again. */
	uint16_t tail = rig.bufring.tail;
	weir_bufring_done(&spans[3]);
	weir_bufring_done(&spans[0]);
	weir_bufring_done(&spans[2]);
	ck_assert_uint_eq(rig.bufring.tail, tail);
	weir_bufring_done(&spans[1]);
	ck_assert_uint_eq(rig.bufring.tail, tail + 1u);
	weir_bufring_publish(&rig.bufring);
	ck_assert_uint_eq(rig_free_count(&rig), 4);
	rig_close(&rig);
}
END_TEST

START_TEST(buffer_that_the_kernel_goes_on_to_fill_is_not_lent)
{
	struct rig rig;
	wi_skip_unless(rig_open(&rig, mode_opts(1), 4),
		       "this kernel has no incremental buffers");
	rig_arm(&rig);
	uint16_t tail = rig.bufring.tail;
	for (int i = 0; i < 3; i++) {
		rig_send(&rig, 10);
		struct weir_bufring_spans spans = rig_next(&rig);
		weir_bufring_done(&spans);
		ck_assert_uint_eq(rig.bufring.tail, tail);
		ck_assert_uint_eq(rig_free_count(&rig), 4);
	}
	rig_send(&rig, 2);
	struct weir_bufring_spans spans = rig_next(&rig);
	weir_bufring_done(&spans);
	ck_assert_uint_eq(rig.bufring.tail, tail + 1u);
	rig_close(&rig);
}
END_TEST

START_TEST(holder_keeps_a_buffer_past_the_completion)
{
	struct rig rig;
	wi_skip_unless(rig_open(&rig, mode_opts(1 + _i), 4),
		       "this kernel does not have this mode");
	rig_arm(&rig);
	rig_send(&rig, BUF_BYTES);
	struct weir_bufring_spans spans = rig_next(&rig);
	uint16_t tail = rig.bufring.tail;
	uint16_t id = spans.first_id;
	weir_bufring_hold(&rig.bufring, id);
	weir_bufring_hold(&rig.bufring, id);
	weir_bufring_done(&spans);
	weir_bufring_drop(&rig.bufring, id);
	ck_assert_uint_eq(rig.bufring.tail, tail);
	weir_bufring_drop(&rig.bufring, id);
	ck_assert_uint_eq(rig.bufring.tail, tail + 1u);
	rig_close(&rig);
}
END_TEST

START_TEST(buffer_is_let_go_once_fewer_than_min_left_bytes_remain)
{
	struct rig rig;
	wi_skip_unless(
		rig_open(&rig,
			 (struct weir_bufring_opts){ .is_incremental = true,
						     .min_left_bytes = 16 },
			 4),
		"this kernel has no min_left");
	rig_arm(&rig);
	rig_send(&rig, 20);
	struct weir_bufring_spans spans = rig_next(&rig);
	ck_assert_uint_eq(spans.first_id, 0);
	uint16_t tail = rig.bufring.tail;
	weir_bufring_done(&spans);
	ck_assert_uint_eq(rig.bufring.tail, tail + 1u);
	rig_send(&rig, 5);
	spans = rig_next(&rig);
	ck_assert_uint_eq(spans.first_id, 1);
	rig_close(&rig);
}
END_TEST

/* ---- bundles ------------------------------------------------------------- */

START_TEST(bundle_spans_buffers_in_the_order_in_which_they_were_lent)
{
	struct rig rig;
	wi_skip_unless(rig_open(&rig, mode_opts(2 + _i), 4),
		       "this kernel does not have this mode");
	struct weir_bufring_spans first[4];
	rig_arm(&rig);
	for (int i = 0; i < 4; i++) {
		rig_send(&rig, BUF_BYTES);
		first[i] = rig_next(&rig);
		ck_assert_uint_eq(first[i].first_id, (unsigned)i);
	}
	/* Ring order becomes 2 0 3 1: never id + 1. */
	static const uint8_t order[4] = { 2, 0, 3, 1 };
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	ck_assert_int_eq(cqe.res, -ENOBUFS);
	for (int i = 0; i < 4; i++)
		weir_bufring_done(&first[order[i]]);
	weir_bufring_publish(&rig.bufring);

	rig_send(&rig, 3 * BUF_BYTES + 5);
	rig_settle(&rig);
	rig_arm(&rig);
	uint32_t at = 0;
	while (rig.received < rig.sent) {
		struct weir_bufring_spans spans = rig_next(&rig);
		struct weir_bufring_spans copy = spans;
		struct weir_bufring_span span;
		while (weir_bufring_next(&copy, &span))
			ck_assert_uint_eq(span.id, order[at++]);
	}
	ck_assert_uint_eq(at, 4);
	rig_close(&rig);
}
END_TEST

START_TEST(one_completion_brings_what_lies_ready_over_several_buffers)
{
	struct rig rig;
	wi_skip_unless(rig_open(&rig, mode_opts(2 + _i), 8),
		       "this kernel does not have this mode");
	rig_send(&rig, 3 * BUF_BYTES);
	rig_settle(&rig);
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&rig.ring);
	weir_op_recv_multishot(sqe, rig.reader, GROUP);
	sqe->ioprio = IORING_RECVSEND_BUNDLE; /* once */
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	struct weir_bufring_spans spans;
	ck_assert_int_eq(cqe.res, 3 * BUF_BYTES);
	weir_bufring_spans(&rig.bufring, &cqe, &spans);
	ck_assert_uint_eq(spans.buf_count, 3);
	ck_assert_uint_eq(rig_check(&rig, spans), 3);
	uint16_t tail = rig.bufring.tail;
	weir_bufring_done(&spans);
	ck_assert_uint_eq(rig.bufring.tail, tail + 3u);
	weir_bufring_publish(&rig.bufring);
	ck_assert_uint_eq(rig_free_count(&rig), 8);
	rig_close(&rig);
}
END_TEST

START_TEST(incremental_bundle_starts_in_the_middle_of_a_buffer)
{
	struct rig rig;
	wi_skip_unless(rig_open(&rig, mode_opts(3), 8),
		       "this kernel does not have this mode");
	rig_arm(&rig);
	rig_send(&rig, 10);
	struct weir_bufring_spans spans = rig_next(&rig);
	weir_bufring_done(&spans);
	rig_send(&rig, 60); /* 22 of buffer 0, 32 of 1, 6 of 2 */
	uint32_t ids = 0;
	while (rig.received < rig.sent) {
		spans = rig_next(&rig);
		struct weir_bufring_spans copy = spans;
		struct weir_bufring_span span;
		while (weir_bufring_next(&copy, &span))
			ids |= 1u << span.id;
		weir_bufring_done(&spans);
	}
	ck_assert_uint_eq(ids, 7);
	weir_bufring_publish(&rig.bufring);
	ck_assert_uint_eq(rig_free_count(&rig), 8); /* 2 is half full */
	rig_close(&rig);
}
END_TEST

/* ---- sends --------------------------------------------------------------- */

static const struct {
	const char *when;
	uint32_t lengths[4];
	uint32_t count;
} bundles[] = {
	{ "one buffer is queued", { 7 }, 1 },
	{ "all are full", { 32, 32, 32, 32 }, 4 },
	{ "all are different", { 1, 32, 5, 17 }, 4 },
	{ "the shortest is last", { 32, 1 }, 2 },
};
START_TEST(send_bundle_gives_back_what_it_sent_by_its_true_lengths)
{
	struct rig rig;
	const struct weir_bufring_opts opts = {
		.has_bundles = true,
		.is_lent_by_hand = true,
	};
	wi_skip_unless(rig_open(&rig, opts, 4), "this kernel has no bundles");
	ck_assert_uint_eq(rig_free_count(&rig), 0);
	uint32_t total = 0;
	for (uint32_t i = 0; i < bundles[_i].count; i++) {
		uint16_t id = (uint16_t)(3 - i); /* not id + 1 */
		uint8_t *bytes = weir_bufring_bytes(&rig.bufring, id);
		for (uint32_t j = 0; j < bundles[_i].lengths[i]; j++)
			bytes[j] = byte_at(total + j);
		weir_bufring_lend(&rig.bufring, id, bundles[_i].lengths[i]);
		total += bundles[_i].lengths[i];
	}
	weir_bufring_publish(&rig.bufring);

	struct io_uring_sqe *sqe = weir_ring_take_sqe(&rig.ring);
	weir_op_send(sqe, rig.writer, NULL, 0, 0);
	sqe->ioprio = IORING_RECVSEND_BUNDLE;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	ck_assert_msg(cqe.res == (int)total, "when %s: sent %d of %u",
		      bundles[_i].when, cqe.res, total);
	struct weir_bufring_spans spans;
	weir_bufring_spans(&rig.bufring, &cqe, &spans);
	ck_assert_uint_eq(spans.buf_count, bundles[_i].count);
	ck_assert_uint_eq(rig_check(&rig, spans), bundles[_i].count);
	weir_bufring_done(&spans);
	ck_assert_uint_eq(rig_free_count(&rig), 0);
	weir_bufring_lend(&rig.bufring, 3, 1); /* it is ours again */

	uint8_t bytes[4 * BUF_BYTES];
	wi_read_all(rig.reader, bytes, total);
	for (uint32_t i = 0; i < total; i++)
		ck_assert_uint_eq(bytes[i], byte_at(i));
	rig_close(&rig);
}
END_TEST

START_TEST(buffer_that_is_sent_bit_by_bit_is_ours_after_its_last_byte)
{
	enum { PARTS = 3, PART_BYTES = 10 };
	struct rig rig;
	const struct weir_bufring_opts opts = {
		.is_incremental = true,
		.is_lent_by_hand = true,
	};
	uint8_t bytes[PARTS * PART_BYTES];
	wi_skip_unless(rig_open(&rig, opts, 4),
		       "this kernel has no incremental buffers");
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		weir_bufring_bytes(&rig.bufring, 2)[i] = byte_at(i);
	weir_bufring_lend(&rig.bufring, 2, sizeof(bytes));
	weir_bufring_publish(&rig.bufring);
	for (int i = 0; i < PARTS; i++) {
		struct weir_bufring_spans spans;
		struct weir_bufring_span span;
		weir_op_send_group(weir_ring_take_sqe(&rig.ring), rig.writer,
				   GROUP, PART_BYTES, MSG_WAITALL);
		struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
		ck_assert_int_eq(cqe.res, PART_BYTES);
		ck_assert_int_eq((cqe.flags & IORING_CQE_F_BUF_MORE) != 0,
				 i < PARTS - 1);
		weir_bufring_spans(&rig.bufring, &cqe, &spans);
		ck_assert_uint_eq(spans.buf_count, 1);
		ck_assert(weir_bufring_next(&spans, &span));
		ck_assert_uint_eq(span.id, 2);
		ck_assert_uint_eq(span.byte_count, PART_BYTES);
		ck_assert_ptr_eq(span.bytes,
				 wi_bufring_memory(&rig.bufring, 2) +
					 i * PART_BYTES);
		weir_bufring_done(&spans);
	}
	weir_bufring_lend(&rig.bufring, 2, 1); /* it is ours again */
	wi_read_all(rig.reader, bytes, sizeof(bytes));
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		ck_assert_uint_eq(bytes[i], byte_at(i));
	rig_close(&rig);
}
END_TEST

START_TEST(send_from_a_group_with_nothing_queued_says_enobufs)
{
	struct rig rig;
	const struct weir_bufring_opts opts = { .is_lent_by_hand = true };
	ck_assert(rig_open(&rig, opts, 4));
	wi_skip_unless(weir_ring_features(&rig.ring) &
			       IORING_FEAT_RECVSEND_BUNDLE,
		       "this kernel sends from no group");
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&rig.ring);
	weir_op_send(sqe, rig.writer, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	ck_assert_int_eq(cqe.res, -ENOBUFS);
	ck_assert_uint_eq(cqe.flags & IORING_CQE_F_BUFFER, 0);
	rig_close(&rig);
}
END_TEST

/* ---- refusals and misuse ------------------------------------------------- */

static const struct {
	const char *when;
	struct weir_bufring_opts opts;
	int err;
	const char *names;
} refusals[] = {
	{ "the kernel has no incremental buffers",
	  { .is_incremental = true },
	  -EINVAL,
	  "Linux 6.12" },
	{ "the kernel has no min_left",
	  { .is_incremental = true, .min_left_bytes = 8 },
	  -EINVAL,
	  "min_left_bytes" },
	{ "memory may not be locked",
	  { .has_bundles = true },
	  -ENOMEM,
	  "ulimit -l" },
	{ "the group is taken", { .has_bundles = true }, -EEXIST, "group 9" },
};
START_TEST(refused_group_says_why_and_leaves_nothing_mapped)
{
	struct weir_ring ring;
	struct weir_bufring bufring;
	struct weir_error error;
	struct wi_faults faults;
	uint8_t memory[4 * BUF_BYTES];
	wi_faults_init(&faults);
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel });
	uint32_t mapped = faults.maps - faults.unmaps;
	faults.register_opcode = IORING_REGISTER_PBUF_RING;
	faults.register_errno = refusals[_i].err;
	ck_assert_int_eq(weir_bufring_open(&bufring, &ring, GROUP, memory, 4,
					   BUF_BYTES, &refusals[_i].opts,
					   &error),
			 refusals[_i].err);
	ck_assert_msg(strstr(error.text, refusals[_i].names) != NULL,
		      "when %s: '%s'", refusals[_i].when, error.text);
	ck_assert_uint_eq(faults.maps - faults.unmaps, mapped);
	weir_bufring_close(&bufring);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(group_without_memory_for_its_book_is_closed_whole)
{
	struct weir_ring ring;
	struct weir_bufring bufring;
	struct wi_faults faults;
	uint8_t memory[4 * BUF_BYTES];
	const struct weir_bufring_opts opts = { .has_bundles = true };
	wi_faults_init(&faults);
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel });
	uint32_t mapped = faults.maps - faults.unmaps;
	faults.map_fails_at = faults.maps + (uint32_t)_i;
	faults.map_errno = -ENOMEM;
	ck_assert_int_eq(weir_bufring_open(&bufring, &ring, GROUP, memory, 4,
					   BUF_BYTES, &opts, NULL),
			 -ENOMEM);
	/* The count includes the failed map. */
	ck_assert_uint_eq(faults.maps - faults.unmaps, mapped + 1);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(status_that_the_kernel_refuses_is_passed_on)
{
	struct weir_ring ring;
	struct weir_bufring bufring;
	struct wi_faults faults;
	uint32_t count = 5;
	uint8_t memory[4 * BUF_BYTES];
	wi_faults_init(&faults);
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel });
	ck_assert_int_eq(weir_bufring_open(&bufring, &ring, GROUP, memory, 4,
					   BUF_BYTES, NULL, NULL),
			 0);
	faults.register_opcode = IORING_REGISTER_PBUF_STATUS;
	faults.register_errno = -EINVAL;
	ck_assert_int_eq(weir_bufring_status(&bufring, &count), -EINVAL);
	ck_assert_uint_eq(count, 5);
	weir_bufring_close(&bufring);
	weir_ring_close(&ring);
}
END_TEST

static void misuse_drop_twice(void *ctx)
{
	weir_bufring_drop(ctx, 0);
}

static void misuse_lend_twice(void *ctx)
{
	weir_bufring_lend(ctx, 0, 1);
	weir_bufring_lend(ctx, 0, 1);
}

static void misuse_lend_too_much(void *ctx)
{
	weir_bufring_lend(ctx, 0, BUF_BYTES + 1);
}

static void misuse_lend_nothing(void *ctx)
{
	weir_bufring_lend(ctx, 0, 0);
}

static void misuse_hold_what_is_lent(void *ctx)
{
	weir_bufring_hold(ctx, 0);
}

static void misuse_bundle_without_the_option(void *ctx)
{
	struct weir_bufring *bufring = ctx;
	struct weir_bufring_spans spans;
	const struct io_uring_cqe cqe = {
		.res = BUF_BYTES + 1,
		.flags = IORING_CQE_F_BUFFER,
	};
	bufring->slots = NULL; /* as weir_bufring_open() leaves it */
	weir_bufring_spans(bufring, &cqe, &spans);
}

static void misuse_take_what_is_ours(void *ctx)
{
	struct weir_bufring_spans spans;
	const struct io_uring_cqe cqe = {
		.res = 1,
		.flags = IORING_CQE_F_BUFFER,
	};
	weir_bufring_spans(ctx, &cqe, &spans); /* nothing was lent */
}

static const struct {
	const char *when;
	void (*misuse)(void *ctx);
} misuses[] = {
	{ "a buffer is dropped that nobody holds", misuse_drop_twice },
	{ "a buffer is lent twice", misuse_lend_twice },
	{ "more is lent than the buffer has", misuse_lend_too_much },
	{ "a buffer is lent empty", misuse_lend_nothing },
	{ "a buffer is held that is the kernel's", misuse_hold_what_is_lent },
	{ "a bundle comes without the option",
	  misuse_bundle_without_the_option },
	{ "a completion names a buffer that is ours",
	  misuse_take_what_is_ours },
};
START_TEST(misuse_of_a_group_meets_its_assert)
{
	struct rig rig;
	const struct weir_bufring_opts opts = { .is_lent_by_hand = true };
	ck_assert(rig_open(&rig, opts, 4));
	struct weir_bufring copy = rig.bufring;
	ck_assert_msg(wi_aborts(misuses[_i].misuse, &copy), "when %s",
		      misuses[_i].when);
	rig_close(&rig);
}
END_TEST

WI_SUITE(bufring_inc, "bufring-inc", WI_RUNGS)
{
	TCase *tcase = tcase_create("bufring-inc");
	if (!wi_kernel_has_rings())
		return;
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(
		tcase, bytes_come_in_order_and_buffers_go_round_in_every_mode,
		0, 3 * MODE_COUNT);
	tcase_add_loop_test(tcase, spans_can_be_read_twice_from_a_copy, 0,
			    MODE_COUNT);
	tcase_add_loop_test(tcase, negative_result_with_a_buffer_gives_it_back,
			    0, MODE_COUNT);
	tcase_add_loop_test(tcase, closed_group_has_no_status, 0, MODE_COUNT);
	tcase_add_test(
		tcase,
		incremental_buffer_is_filled_bit_by_bit_and_lent_again_once);
	tcase_add_test(tcase,
		       buffer_that_the_kernel_goes_on_to_fill_is_not_lent);
	tcase_add_loop_test(tcase, holder_keeps_a_buffer_past_the_completion, 0,
			    2);
	tcase_add_test(tcase,
		       buffer_is_let_go_once_fewer_than_min_left_bytes_remain);
	tcase_add_loop_test(
		tcase,
		bundle_spans_buffers_in_the_order_in_which_they_were_lent, 0,
		2);
	tcase_add_loop_test(
		tcase,
		one_completion_brings_what_lies_ready_over_several_buffers, 0,
		2);
	tcase_add_test(tcase,
		       incremental_bundle_starts_in_the_middle_of_a_buffer);
	tcase_add_loop_test(
		tcase, send_bundle_gives_back_what_it_sent_by_its_true_lengths,
		0, COUNT_OF(bundles));
	tcase_add_test(
		tcase,
		buffer_that_is_sent_bit_by_bit_is_ours_after_its_last_byte);
	tcase_add_test(tcase,
		       send_from_a_group_with_nothing_queued_says_enobufs);
	tcase_add_loop_test(tcase,
			    refused_group_says_why_and_leaves_nothing_mapped, 0,
			    COUNT_OF(refusals));
	tcase_add_loop_test(
		tcase, group_without_memory_for_its_book_is_closed_whole, 1, 3);
	tcase_add_test(tcase, status_that_the_kernel_refuses_is_passed_on);
	tcase_add_loop_test(tcase, misuse_of_a_group_meets_its_assert, 0,
			    COUNT_OF(misuses));
	suite_add_tcase(suite, tcase);
}
