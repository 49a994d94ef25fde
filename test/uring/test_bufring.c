/* test_bufring.c - a ring of provided buffers, for several rounds
 *
 * A SEQPACKET pair replaces a connection: each message takes one buffer, so the
 * test can compare the numbers of messages and buffers.
 */
#include "../rig/count_of.h"
#include "../rig/faults.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/bufring.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GROUP = 7, BUF_BYTES = 64, RECV = 1 };

/* A ring, buffers that end at a guard page, and an end to write to. */
struct rig {
	struct weir_ring ring;
	struct weir_bufring bufring;
	struct wi_guarded memory;
	int reader;
	int writer;
};

static void rig_open(struct rig *rig, uint32_t buf_count,
		     weir_rung_set forced_off)
{
	int fds[2];
	struct weir_error error;
	wi_ring_start(&rig->ring,
		      &(struct weir_ring_opts){ .forced_off = forced_off });
	rig->memory = wi_guarded_take((size_t)buf_count * BUF_BYTES);
	int err = weir_bufring_open(&rig->bufring, &rig->ring, GROUP,
				    rig->memory.bytes, buf_count, BUF_BYTES,
				    NULL, &error);
	ck_assert_msg(err == 0, "bufring: %s", error.text);
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	rig->reader = fds[0];
	rig->writer = fds[1];
}

static void rig_close(struct rig *rig)
{
	ck_assert_int_eq(close(rig->reader), 0);
	if (rig->writer >= 0)
		ck_assert_int_eq(close(rig->writer), 0);
	weir_bufring_close(&rig->bufring);
	weir_ring_close(&rig->ring);
	wi_guarded_give(&rig->memory);
}

static void rig_arm(struct rig *rig, uint16_t group, int poll_first)
{
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&rig->ring);
	ck_assert_ptr_nonnull(sqe);
	weir_op_recv_multishot(sqe, rig->reader, group);
	if (poll_first)
		weir_op_poll_first(sqe);
	sqe->user_data = RECV;
	ck_assert_int_eq(weir_ring_enter(&rig->ring, NULL), 0);
}

/* Message @number: its number, then bytes derived from it. */
static void message_fill(uint8_t message[BUF_BYTES], uint32_t number)
{
	memcpy(message, &number, sizeof(number));
	for (size_t i = sizeof(number); i < BUF_BYTES; i++)
		message[i] = (uint8_t)((size_t)number * 31 + i);
}

static void rig_send(struct rig *rig, uint32_t number)
{
	uint8_t message[BUF_BYTES];
	message_fill(message, number);
	wi_write_all(rig->writer, message, sizeof(message));
}

/* Checks that @cqe has message @number. Returns its buffer. */
static uint16_t rig_expect(struct rig *rig, struct io_uring_cqe cqe,
			   uint32_t number)
{
	uint8_t message[BUF_BYTES];
	message_fill(message, number);
	ck_assert_int_eq(cqe.res, BUF_BYTES);
	uint16_t id = weir_bufring_id(&cqe);
	ck_assert_mem_eq(weir_bufring_bytes(&rig->bufring, id), message,
			 sizeof(message));
	return id;
}

static void expect_ended(struct io_uring_cqe cqe, int32_t res)
{
	ck_assert_int_eq(cqe.res, res);
	ck_assert_uint_eq(cqe.flags & (IORING_CQE_F_MORE | IORING_CQE_F_BUFFER),
			  0);
}

/* The next message. The kernel checks for a buffer before it checks for data,
 * so a receive that took the last buffer ends; it is armed again here. */
static struct io_uring_cqe rig_next_armed(struct rig *rig)
{
	struct io_uring_cqe cqe = wi_ring_next(&rig->ring);
	while (cqe.res == -ENOBUFS) {
		expect_ended(cqe, -ENOBUFS);
		rig_arm(rig, GROUP, 0);
		cqe = wi_ring_next(&rig->ring);
	}
	ck_assert_uint_ne(cqe.flags & IORING_CQE_F_MORE, 0);
	return cqe;
}

static const struct {
	uint32_t buf_count;
	weir_rung_set forced_off;
} rounds[] = {
	{ 1, 0 },
	{ 4, 0 },
	{ 64, 0 },
	{ 4, weir_rung_bit(WEIR_RUNG_DEFER_TASKRUN) },
};
START_TEST(buffers_go_round_past_the_wrap_of_the_tail_with_their_bytes)
{
	/* The tail has 16 bits. In the first tier one wrap is enough: with most
	 * buffers, where the ring's own index wraps at another place. */
	const uint32_t buf_count = rounds[_i].buf_count;
	const uint32_t total = buf_count == 64 || wi_is_deep() ? 70001 : 5001;
	struct rig rig;
	uint32_t number = 0;
	uint64_t state = 0x9e3779b97f4a7c15ULL;
	rig_open(&rig, buf_count, rounds[_i].forced_off);
	rig_arm(&rig, GROUP, 0);
	while (number < total) {
		uint32_t batch = 1 + wi_random(&state) % buf_count;
		for (uint32_t i = 0; i < batch; i++)
			rig_send(&rig, number + i);
		uint16_t held[64];
		for (uint32_t i = 0; i < batch; i++) {
			struct io_uring_cqe cqe = rig_next_armed(&rig);
			held[i] = rig_expect(&rig, cqe, number + i);
		}
		/* In any order: the kernel takes the id from the entry. */
		for (uint32_t i = batch; i > 0; i--)
			weir_bufring_take_back(&rig.bufring, held[i - 1]);
		weir_bufring_publish(&rig.bufring);
		number += batch;
	}
	ck_assert_uint_eq(rig.bufring.tail, (uint16_t)(number + buf_count));
	rig_close(&rig);
}
END_TEST

START_TEST(group_that_is_all_taken_says_enobufs_and_recovers)
{
	struct rig rig;
	struct io_uring_cqe cqes[5];
	uint16_t id = 0;
	rig_open(&rig, 4, 0);
	rig_arm(&rig, GROUP, 0);
	for (uint32_t number = 0; number < 6; number++)
		rig_send(&rig, number);
	wi_ring_collect(&rig.ring, cqes, 5);
	for (uint32_t number = 0; number < 4; number++)
		id = rig_expect(&rig, cqes[number], number);
	expect_ended(cqes[4], -ENOBUFS);

	/* No buffer was given back: a new receive ends at once. */
	rig_arm(&rig, GROUP, 0);
	expect_ended(wi_ring_next(&rig.ring), -ENOBUFS);

	/* A buffer taken back but not published does not count. */
	weir_bufring_take_back(&rig.bufring, id);
	rig_arm(&rig, GROUP, 0);
	expect_ended(wi_ring_next(&rig.ring), -ENOBUFS);

	weir_bufring_publish(&rig.bufring);
	rig_arm(&rig, GROUP, 0);
	ck_assert_uint_eq(rig_expect(&rig, wi_ring_next(&rig.ring), 4), id);
	expect_ended(wi_ring_next(&rig.ring), -ENOBUFS);

	/* None of these lost the last message. */
	weir_bufring_take_back(&rig.bufring, id);
	weir_bufring_publish(&rig.bufring);
	rig_arm(&rig, GROUP, 0);
	ck_assert_uint_eq(rig_expect(&rig, wi_ring_next(&rig.ring), 5), id);
	rig_close(&rig);
}
END_TEST

START_TEST(receive_armed_poll_first_looks_for_a_buffer_when_data_comes)
{
	struct rig rig;
	rig_open(&rig, 1, 0);
	rig_arm(&rig, GROUP, 0);
	rig_send(&rig, 0);
	uint16_t id = rig_expect(&rig, wi_ring_next(&rig.ring), 0);
	rig_send(&rig, 1);
	expect_ended(wi_ring_next(&rig.ring), -ENOBUFS);
	uint8_t message[BUF_BYTES];
	wi_read_all(rig.reader, message, sizeof(message));

	rig_arm(&rig, GROUP, 1);
	ck_assert_uint_eq(weir_ring_ready(&rig.ring), 0);
	weir_bufring_take_back(&rig.bufring, id);
	weir_bufring_publish(&rig.bufring);
	rig_send(&rig, 2);
	ck_assert_uint_eq(rig_expect(&rig, wi_ring_next(&rig.ring), 2), id);
	rig_close(&rig);
}
END_TEST

START_TEST(end_of_stream_comes_without_a_buffer)
{
	struct rig rig;
	rig_open(&rig, 2, 0);
	rig_arm(&rig, GROUP, 0);
	rig_send(&rig, 0);
	ck_assert_int_eq(close(rig.writer), 0);
	rig.writer = -1;
	struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
	(void)rig_expect(&rig, cqe, 0);
	expect_ended(wi_ring_next(&rig.ring), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(group_that_nobody_opened_says_enobufs)
{
	struct rig rig;
	rig_open(&rig, 2, 0);
	rig_arm(&rig, GROUP + 1, 0);
	expect_ended(wi_ring_next(&rig.ring), -ENOBUFS);
	rig_close(&rig);
}
END_TEST

START_TEST(closing_the_group_ends_an_armed_receive_with_enobufs)
{
	struct rig rig;
	rig_open(&rig, 2, 0);
	rig_arm(&rig, GROUP, 0);
	weir_bufring_close(&rig.bufring);
	weir_bufring_close(&rig.bufring); /* a second close does nothing */
	rig_send(&rig, 0);
	expect_ended(wi_ring_next(&rig.ring), -ENOBUFS);
	rig_close(&rig);
}
END_TEST

START_TEST(group_can_be_opened_again_after_its_close)
{
	struct rig rig;
	rig_open(&rig, 2, 0);
	for (uint32_t number = 0; number < 3; number++) {
		weir_bufring_close(&rig.bufring);
		ck_assert_int_eq(weir_bufring_open(&rig.bufring, &rig.ring,
						   GROUP, rig.memory.bytes, 2,
						   BUF_BYTES, NULL, NULL),
				 0);
		if (number == 0)
			rig_arm(&rig, GROUP, 0);
		rig_send(&rig, number);
		struct io_uring_cqe cqe = wi_ring_next(&rig.ring);
		(void)rig_expect(&rig, cqe, number);
	}
	rig_close(&rig);
}
END_TEST

static const struct {
	const char *when;
	uint32_t buf_count;
	uint32_t buf_bytes;
	const char *names[2]; /* value and limit */
} refusals[] = {
	{ "there are none", 0, 64, { "0", "power of two" } },
	{ "the count is no power of two", 3, 64, { "3", "power of two" } },
	{ "the count is one too many", 32769, 64, { "32769", "32768" } },
	{ "the count is the next power of two",
	  65536,
	  64,
	  { "65536", "32768" } },
	{ "the count has every bit",
	  UINT32_MAX,
	  64,
	  { "4294967295", "32768" } },
	{ "the buffers are empty", 4, 0, { "0 bytes", "at least 1" } },
};
START_TEST(bad_sizes_are_refused_with_value_and_limit)
{
	struct weir_ring ring;
	struct weir_bufring bufring;
	struct weir_error error;
	uint8_t memory[64];
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	ck_assert_int_eq(weir_bufring_open(&bufring, &ring, GROUP, memory,
					   refusals[_i].buf_count,
					   refusals[_i].buf_bytes, NULL,
					   &error),
			 -EINVAL);
	ck_assert_int_eq(error.code, -EINVAL);
	for (int i = 0; i < 2; i++)
		ck_assert_msg(strstr(error.text, refusals[_i].names[i]) != NULL,
			      "when %s: '%s' does not name %s",
			      refusals[_i].when, error.text,
			      refusals[_i].names[i]);
	weir_bufring_close(&bufring);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(largest_group_is_granted_and_lent_whole)
{
	struct weir_ring ring;
	struct weir_bufring bufring;
	struct weir_error error;
	struct wi_guarded memory = wi_guarded_take(32768);
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	int err = weir_bufring_open(&bufring, &ring, GROUP, memory.bytes, 32768,
				    1, NULL, &error);
	ck_assert_msg(err == 0, "%s", error.text);
	ck_assert_uint_eq(bufring.tail, 32768);
	ck_assert_ptr_eq(weir_bufring_bytes(&bufring, 32767),
			 memory.bytes + 32767);
	ck_assert_uint_eq(bufring.entries[32767].bid, 32767);
	weir_bufring_close(&bufring);
	weir_ring_close(&ring);
	wi_guarded_give(&memory);
}
END_TEST

START_TEST(group_that_is_taken_says_eexist_and_leaves_the_first_alone)
{
	struct rig rig;
	struct weir_bufring second;
	struct weir_error error;
	uint8_t memory[2 * BUF_BYTES];
	rig_open(&rig, 2, 0);
	ck_assert_int_eq(weir_bufring_open(&second, &rig.ring, GROUP, memory, 2,
					   BUF_BYTES, NULL, &error),
			 -EEXIST);
	ck_assert_int_eq(error.code, -EEXIST);
	ck_assert_ptr_nonnull(strstr(error.text, "group 7"));
	weir_bufring_close(&second);

	rig_arm(&rig, GROUP, 0);
	rig_send(&rig, 0);
	(void)rig_expect(&rig, wi_ring_next(&rig.ring), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(group_without_memory_or_lock_limit_says_so)
{
	struct weir_ring ring;
	struct weir_bufring bufring;
	struct weir_error error;
	struct wi_faults faults;
	uint8_t memory[64];
	wi_faults_init(&faults);
	ck_assert_int_eq(weir_ring_open(&ring,
					&(struct weir_ring_opts){
						.kernel = &faults.wrap.kernel },
					NULL),
			 0);
	faults.map_fails_at = faults.maps + 1;
	faults.map_errno = -ENOMEM;
	ck_assert_int_eq(weir_bufring_open(&bufring, &ring, GROUP, memory, 1,
					   64, NULL, &error),
			 -ENOMEM);
	ck_assert_ptr_nonnull(strstr(error.text, "no memory"));

	faults.register_opcode = IORING_REGISTER_PBUF_RING;
	faults.register_errno = -ENOMEM;
	uint32_t unmaps = faults.unmaps;
	ck_assert_int_eq(weir_bufring_open(&bufring, &ring, GROUP, memory, 1,
					   64, NULL, &error),
			 -ENOMEM);
	ck_assert_ptr_nonnull(strstr(error.text, "ulimit -l"));
	ck_assert_uint_eq(faults.unmaps, unmaps + 1);

	faults.register_errno = 0;
	ck_assert_int_eq(weir_bufring_open(&bufring, &ring, GROUP, memory, 1,
					   64, NULL, &error),
			 0);
	weir_bufring_close(&bufring);
	weir_ring_close(&ring);
}
END_TEST

WI_SUITE(bufring, "bufring", WI_RUNGS)
{
	TCase *tcase = tcase_create("bufring");
	if (!wi_kernel_has_rings())
		return;
	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(
		tcase,
		buffers_go_round_past_the_wrap_of_the_tail_with_their_bytes, 0,
		COUNT_OF(rounds));
	tcase_add_test(tcase,
		       group_that_is_all_taken_says_enobufs_and_recovers);
	tcase_add_test(
		tcase,
		receive_armed_poll_first_looks_for_a_buffer_when_data_comes);
	tcase_add_test(tcase, end_of_stream_comes_without_a_buffer);
	tcase_add_test(tcase, group_that_nobody_opened_says_enobufs);
	tcase_add_test(tcase,
		       closing_the_group_ends_an_armed_receive_with_enobufs);
	tcase_add_test(tcase, group_can_be_opened_again_after_its_close);
	tcase_add_loop_test(tcase, bad_sizes_are_refused_with_value_and_limit,
			    0, COUNT_OF(refusals));
	tcase_add_test(tcase, largest_group_is_granted_and_lent_whole);
	tcase_add_test(
		tcase,
		group_that_is_taken_says_eexist_and_leaves_the_first_alone);
	tcase_add_test(tcase, group_without_memory_or_lock_limit_says_so);
	suite_add_tcase(suite, tcase);
}
