/* test_op_sync.c - nops, messages between rings, futexes; links and drains */
#include "../rig/op_rig.h"
#include "../suites.h"

#include "uring/punt.h"

#include <linux/futex.h>

/* ---- nop, and the flags of any entry ------------------------------------- */

static const int32_t results[] = { 0, 1, 4096, -1, -EPIPE, INT32_MAX };
START_TEST(nop_gives_the_result_it_was_told_to)
{
	struct rig rig;
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_nop_result(sqe, results[_i]);
	int32_t res = rig_do(&rig, sqe);
	wi_skip_unless(results[_i] == 0 || (res != 0 && res != -EINVAL),
		       "no injected results in this kernel");
	ck_assert_int_eq(res, results[_i]);
	rig_close(&rig);
}
END_TEST

static const struct {
	const char *when;
	void (*flag)(struct io_uring_sqe *sqe);
	int32_t first, second, third;
} chains[] = {
	{ "a linked one succeeds", weir_op_link, 5, 0, 0 },
	{ "a linked one fails", weir_op_link, -EIO, -ECANCELED, 0 },
	{ "a hard-linked one fails", weir_op_hardlink, -EIO, 0, 0 },
};
START_TEST(chain_goes_on_or_breaks)
{
	struct rig rig;
	struct io_uring_cqe cqes[3];
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_nop_result(sqe, chains[_i].first);
	chains[_i].flag(sqe);
	sqe->user_data = FIRST;
	sqe = rig_take(&rig);
	weir_op_nop(sqe);
	sqe->user_data = SECOND;
	sqe = rig_take(&rig);
	weir_op_nop(sqe); /* after the chain's end */
	sqe->user_data = THIRD;
	wi_ring_collect(&rig.ring, cqes, 3);
	ck_assert_int_eq(rig_pick(cqes, 3, FIRST).res, chains[_i].first);
	ck_assert_msg(rig_pick(cqes, 3, SECOND).res == chains[_i].second,
		      "when %s", chains[_i].when);
	ck_assert_int_eq(rig_pick(cqes, 3, THIRD).res, chains[_i].third);
	rig_close(&rig);
}
END_TEST

/* Found by the fuzzer: a wait for the second lasts for ever. */
START_TEST(hidden_one_that_fails_hides_the_rest_of_its_chain)
{
	struct rig rig;
	struct io_uring_cqe cqes[2];
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_close_slot(sqe, 0); /* it is empty */
	weir_op_skip_success(sqe);
	weir_op_link(sqe);
	sqe->user_data = FIRST;
	sqe = rig_take(&rig);
	weir_op_nop(sqe);
	sqe->user_data = SECOND;
	sqe = rig_take(&rig);
	weir_op_nop(sqe); /* after the chain's end */
	sqe->user_data = THIRD;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, FIRST).res, -EBADF);
	ck_assert_int_eq(rig_pick(cqes, 2, THIRD).res, 0);
	rig_is_quiet(&rig);
	rig_close(&rig);
}
END_TEST

/* Found by the fuzzer: a cancelled receive there ends with -EINTR. */
START_TEST(chain_without_its_end_runs_on_a_worker)
{
	struct rig rig;
	int fds[2];
	uint8_t byte;
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv(sqe, fds[0], &byte, 1, 0);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(weir_punt_workers(gettid()), 0); /* it is polled */
	ck_assert_int_eq(rig_cancel(&rig, FIRST), -ECANCELED);

	sqe = rig_take(&rig);
	weir_op_recv(sqe, fds[0], &byte, 1, 0);
	weir_op_link(sqe);
	rig_start(&rig, sqe, FIRST);
	wi_write_all(fds[1], "x", 1);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, 1);
	ck_assert_int_gt(weir_punt_workers(gettid()), 0);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(drain_waits_for_all_before_it_and_holds_back_all_after_it)
{
	struct rig rig;
	int fds[2];
	char byte;
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv(sqe, fds[0], &byte, 1, 0);
	sqe->user_data = FIRST;
	sqe = rig_take(&rig);
	weir_op_nop(sqe);
	weir_op_drain(sqe);
	sqe->user_data = SECOND;
	sqe = rig_take(&rig);
	weir_op_nop(sqe);
	sqe->user_data = THIRD;
	rig_is_quiet(&rig);
	wi_write_all(fds[1], "x", 1);
	for (uint64_t token = FIRST; token <= THIRD; token++)
		(void)rig_next(&rig, token, false);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(async_and_skip_do_what_they_say)
{
	struct rig rig;
	rig_open(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_nop(sqe);
	weir_op_async(sqe);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	sqe = rig_take(&rig);
	weir_op_nop(sqe);
	weir_op_skip_success(sqe);
	rig_start(&rig, sqe, FIRST);
	rig_is_quiet(&rig);
	sqe = rig_take(&rig);
	weir_op_nop(sqe);
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_DRAIN;
	ck_assert_int_eq(rig_do(&rig, sqe), -EOPNOTSUPP);
	sqe = rig_take(&rig);
	weir_op_nop(sqe);
	sqe->flags = 1u << 7;
	ck_assert_int_eq(rig_do(&rig, sqe), -EINVAL);
	sqe = rig_take(&rig);
	weir_op_nop(sqe);
	sqe->flags = IOSQE_BUFFER_SELECT;
	ck_assert_int_eq(rig_do(&rig, sqe), -EOPNOTSUPP);
	rig_close(&rig);
}
END_TEST

/* ---- messages ------------------------------------------------------------ */

START_TEST(message_is_a_completion_on_the_other_ring)
{
	struct rig from;
	struct rig to;
	rig_open(&from);
	rig_open(&to);
	struct rig *target = _i == 0 ? &to : &from; /* the ring itself */
	struct io_uring_sqe *sqe = rig_take(&from);
	weir_op_msg_data(sqe, weir_ring_fd(&target->ring), 0x1234567890, -7);
	weir_op_skip_success(sqe);
	rig_start(&from, sqe, FIRST);
	struct io_uring_cqe cqe = wi_ring_next(&target->ring);
	ck_assert_uint_eq(cqe.user_data, 0x1234567890);
	ck_assert_int_eq(cqe.res, -7);
	ck_assert_uint_eq(cqe.flags, 0);
	rig_is_quiet(&from);
	rig_close(&to);
	rig_close(&from);
}
END_TEST

START_TEST(message_carries_flags)
{
	struct rig from;
	struct rig to;
	rig_open(&from);
	rig_open(&to);
	struct io_uring_sqe *sqe = rig_take(&from);
	weir_op_msg_data_flags(sqe, weir_ring_fd(&to.ring), 1, 2, 0xabcd0000);
	int32_t res = rig_do(&from, sqe);
	wi_skip_unless(res != -EINVAL, "no flags before Linux 6.3");
	ck_assert_int_eq(res, 0);
	struct io_uring_cqe cqe = wi_ring_next(&to.ring);
	ck_assert_int_eq(cqe.res, 2);
	ck_assert_uint_eq(cqe.flags, 0xabcd0000);
	rig_close(&to);
	rig_close(&from);
}
END_TEST

START_TEST(slot_goes_to_another_ring_and_stays_here_too)
{
	struct rig from;
	struct rig to;
	int peer = -1;
	char byte = 0;
	rig_open(&from);
	rig_open(&to);
	int32_t slot = rig_connected_slot(&from, &peer);
	const int ring_fd = weir_ring_fd(&to.ring);
	for (int i = 0; i < 3; i++) {
		struct io_uring_sqe *sqe = rig_take(&from);
		if (i < 2)
			weir_op_msg_slot(sqe, ring_fd, SECOND, (uint32_t)slot,
					 i == 1);
		else
			weir_op_msg_slot_at(sqe, ring_fd, SECOND,
					    (uint32_t)slot, 3, false);
		ck_assert_int_eq(rig_do(&from, sqe), i < 2 ? i : 0);
		if (i == 1)
			rig_is_quiet(&to);
		else
			ck_assert_int_eq(rig_next(&to, SECOND, false).res, 0);
		sqe = rig_take(&to);
		weir_op_send(sqe, i < 2 ? i : 3, "m", 1, MSG_WAITALL);
		weir_op_on_slot(sqe);
		ck_assert_int_eq(rig_do(&to, sqe), 1);
		wi_read_all(peer, &byte, 1);
	}
	struct io_uring_sqe *sqe = rig_take(&from);
	weir_op_send(sqe, slot, "m", 1, MSG_WAITALL);
	weir_op_on_slot(sqe);
	ck_assert_int_eq(rig_do(&from, sqe), 1);
	ck_assert_int_eq(close(peer), 0);
	rig_close(&to);
	rig_close(&from);
}
END_TEST

static const weir_rung_set forced_off_targets[] = {
	0,
	weir_rung_bit(WEIR_RUNG_DEFER_TASKRUN),
	weir_rung_bit(WEIR_RUNG_DEFER_TASKRUN) |
		weir_rung_bit(WEIR_RUNG_COOP_TASKRUN),
};
START_TEST(message_to_a_full_ring_comes_in_its_turn)
{
	enum { CQ = 4, MESSAGES = 10 };
	struct rig from;
	struct weir_ring to;
	struct weir_ring_stats stats;
	rig_open(&from);
	wi_ring_start(&to, &(struct weir_ring_opts){
				   .sq_entry_count = CQ,
				   .cq_entry_count = CQ,
				   .forced_off = forced_off_targets[_i],
			   });
	for (int i = 0; i < MESSAGES; i++) {
		struct io_uring_sqe *sqe = rig_take(&from);
		weir_op_msg_data(sqe, weir_ring_fd(&to), (uint64_t)i, 10 * i);
		ck_assert_int_eq(rig_do(&from, sqe), 0);
	}
	for (int i = 0; i < MESSAGES; i++) {
		const struct io_uring_cqe cqe = wi_ring_next(&to);
		ck_assert_uint_eq(cqe.user_data, (uint64_t)i);
		ck_assert_int_eq(cqe.res, 10 * i);
	}
	weir_ring_stats_read(&to, &stats);
	ck_assert_uint_gt(stats.cq_overflows, 0);
	weir_ring_close(&to);
	rig_close(&from);
}
END_TEST

START_TEST(message_that_cannot_arrive_says_why)
{
	struct rig from;
	struct rig to;
	struct weir_ring asleep;
	int peer = -1;
	rig_open(&from);
	rig_open(&to);
	ck_assert_int_eq(weir_ring_open(&asleep, NULL, NULL), 0);
	int32_t slot = rig_connected_slot(&from, &peer);
	const int fd = weir_ring_fd(&to.ring);
	const struct {
		int ring_fd;
		int want;
	} data[] = {
		{ -1, -EBADF },
		{ peer, -EBADFD },
		{ weir_ring_fd(&asleep), -EBADFD },
	};
	for (size_t i = 0; i < COUNT_OF(data); i++) {
		struct io_uring_sqe *sqe = rig_take(&from);
		weir_op_msg_data(sqe, data[i].ring_fd, 1, 2);
		ck_assert_int_eq(rig_do(&from, sqe), data[i].want);
	}
	struct io_uring_sqe *sqe = rig_take(&from);
	weir_op_msg_slot(sqe, fd, 1, (uint32_t)slot + 1, false);
	ck_assert_int_eq(rig_do(&from, sqe), -EBADF);
	sqe = rig_take(&from);
	weir_op_msg_slot(sqe, weir_ring_fd(&from.ring), 1, (uint32_t)slot,
			 false);
	ck_assert_int_eq(rig_do(&from, sqe), -EINVAL);
	sqe = rig_take(&from);
	weir_op_msg_slot_at(sqe, fd, 1, (uint32_t)slot, RIG_SLOTS, false);
	ck_assert_int_eq(rig_do(&from, sqe), -EINVAL);
	for (int i = 0; i <= RIG_SLOTS; i++) {
		sqe = rig_take(&from);
		weir_op_msg_slot(sqe, fd, 1, (uint32_t)slot, true);
		ck_assert_int_eq(rig_do(&from, sqe),
				 i < RIG_SLOTS ? i : -ENFILE);
	}
	ck_assert_int_eq(close(peer), 0);
	weir_ring_close(&asleep);
	rig_close(&to);
	rig_close(&from);
}
END_TEST

/* ---- futexes ------------------------------------------------------------- */

START_TEST(futex_wait_is_woken_by_a_wake)
{
	struct rig rig;
	struct io_uring_cqe cqes[3];
	uint32_t word = 5;
	const bool is_private = _i == 0;
	rig_open(&rig);
	wi_skip_unless(rig_knows(&rig, IORING_OP_FUTEX_WAIT),
		       "no futexes before Linux 6.7");
	for (uint64_t token = FIRST; token <= SECOND; token++) {
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_futex_wait(sqe, &word, 5, ~0u, is_private);
		rig_start(&rig, sqe, token);
	}
	rig_is_quiet(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_futex_wake(sqe, &word, 1, ~0u, is_private);
	sqe->user_data = THIRD;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, THIRD).res, 1);
	ck_assert_int_eq(rig_pick(cqes, 2, FIRST).res, 0);
	rig_is_quiet(&rig);
	ck_assert_int_eq(rig_cancel(&rig, SECOND), -ECANCELED);
	sqe = rig_take(&rig);
	weir_op_futex_wake(sqe, &word, 1, ~0u, is_private);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(futex_wait_on_another_value_or_mask_does_not_meet)
{
	struct rig rig;
	uint32_t word = 5;
	rig_open(&rig);
	wi_skip_unless(rig_knows(&rig, IORING_OP_FUTEX_WAIT),
		       "no futexes before Linux 6.7");
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_futex_wait(sqe, &word, 6, ~0u, true);
	ck_assert_int_eq(rig_do(&rig, sqe), -EAGAIN);
	sqe = rig_take(&rig);
	weir_op_futex_wait(sqe, &word, 5, 1, true);
	rig_start(&rig, sqe, FIRST);
	sqe = rig_take(&rig);
	weir_op_futex_wake(sqe, &word, 1, 2, true);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	ck_assert_int_eq(rig_cancel(&rig, FIRST), -ECANCELED);
	sqe = rig_take(&rig);
	weir_op_futex_wait(sqe, (const uint32_t *)8, 5, ~0u, true);
	ck_assert_int_eq(rig_do(&rig, sqe), -EFAULT);
	rig_close(&rig);
}
END_TEST

START_TEST(wait_for_any_names_the_one_that_was_woken)
{
	struct rig rig;
	struct io_uring_cqe cqes[2];
	static uint32_t words[3] = { 1, 2, 3 };
	struct futex_waitv waiters[3];
	rig_open(&rig);
	wi_skip_unless(rig_knows(&rig, IORING_OP_FUTEX_WAITV),
		       "no futexes before Linux 6.7");
	for (uint32_t i = 0; i < 3; i++)
		waiters[i] = (struct futex_waitv){
			.val = i + 1,
			.uaddr = (uint64_t)(uintptr_t)&words[i],
			.flags = WI_OP_FUTEX_U32 | WI_OP_FUTEX_PRIVATE,
		};
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_futex_wait_any(sqe, waiters, 3);
	rig_start(&rig, sqe, FIRST);
	memset(waiters, 0xff, sizeof(waiters));
	sqe = rig_take(&rig);
	weir_op_futex_wake(sqe, &words[2], 1, ~0u, true);
	sqe->user_data = SECOND;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, SECOND).res, 1);
	ck_assert_int_eq(rig_pick(cqes, 2, FIRST).res, 2);
	rig_close(&rig);
}
END_TEST

WI_SUITE(op_sync, "op-sync", WI_RUNGS)
{
	TCase *tcase = tcase_create("sync");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase, nop_gives_the_result_it_was_told_to, 0,
			    COUNT_OF(results));
	tcase_add_loop_test(tcase, chain_goes_on_or_breaks, 0,
			    COUNT_OF(chains));
	tcase_add_test(tcase,
		       hidden_one_that_fails_hides_the_rest_of_its_chain);
	tcase_add_test(tcase, chain_without_its_end_runs_on_a_worker);
	tcase_add_test(
		tcase,
		drain_waits_for_all_before_it_and_holds_back_all_after_it);
	tcase_add_test(tcase, async_and_skip_do_what_they_say);
	tcase_add_loop_test(tcase, message_is_a_completion_on_the_other_ring, 0,
			    2);
	tcase_add_test(tcase, message_carries_flags);
	tcase_add_test(tcase, slot_goes_to_another_ring_and_stays_here_too);
	tcase_add_loop_test(tcase, message_to_a_full_ring_comes_in_its_turn, 0,
			    COUNT_OF(forced_off_targets));
	tcase_add_test(tcase, message_that_cannot_arrive_says_why);
	tcase_add_loop_test(tcase, futex_wait_is_woken_by_a_wake, 0, 2);
	tcase_add_test(tcase,
		       futex_wait_on_another_value_or_mask_does_not_meet);
	tcase_add_test(tcase, wait_for_any_names_the_one_that_was_woken);
}
