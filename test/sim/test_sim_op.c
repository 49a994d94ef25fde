/* test_sim_op.c - operations, on the real kernel and on the simulated one
 *
 * Most tests run on both: the same calls of uring/, the same expectations. Some
 * events cannot be caused on a real kernel (loss, a clock that jumps, memory
 * that is written too early). Their tests run on the simulated one only.
 */
#include "../rig/support.h"
#include "../suites.h"
#include "sim_bench.h"
#include "test_sim_udp.h"

#include "facts.h"

#include "uring/annotate.h"
#include "uring/extra/zerocopy.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- buffers ----------------------------------------------------------- */

START_TEST(an_incremental_buffer_is_filled_bit_by_bit)
{
	static const char text[] = "0123456789";
	static const struct {
		int32_t res;
		uint16_t id;
		bool goes_on;
	} want[] = { { 10, 0, true }, { 10, 0, true }, { 10, 0, true },
		     { 2, 0, false }, { 8, 1, true },  { 10, 1, true } };
	struct sim_bench bench;
	struct weir_bufring_spans spans;
	struct weir_bufring_span span;
	int fds[2];
	uint32_t sum = 0;

	sim_bench_open(&bench, _i);
	sim_bench_group(&bench,
			(struct weir_bufring_opts){ .is_incremental = true });
	sim_bench_pair(&bench, fds);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		/* The fourth buffer has bytes of the third send. */
		if (i != 4)
			sim_bench_send(&bench, fds[0], text, 10);
		struct io_uring_sqe *sqe = sim_bench_take(&bench);
		weir_op_recv_group(sqe, fds[1], SIM_BENCH_GROUP, 0);
		struct io_uring_cqe cqe = wi_ring_next(&bench.ring);
		ck_assert_int_eq(cqe.res, want[i].res);
		ck_assert_uint_eq(weir_bufring_id(&cqe), want[i].id);
		ck_assert_int_eq((cqe.flags & IORING_CQE_F_BUF_MORE) != 0,
				 want[i].goes_on);
		weir_bufring_spans(&bench.bufs, &cqe, &spans);
		while (weir_bufring_next(&spans, &span))
			for (uint32_t b = 0; b < span.byte_count; b++, sum++)
				ck_assert_int_eq(span.bytes[b], text[sum % 10]);
		weir_bufring_done(&spans);
		weir_bufring_publish(&bench.bufs);
	}
	uint32_t free_count = 0;
	ck_assert_int_eq(weir_bufring_status(&bench.bufs, &free_count), 0);
	ck_assert_uint_eq(free_count,
			  SIM_BENCH_BUFS); /* the half full buffer counts */
	sim_bench_close_fd(&bench, fds[0]);
	sim_bench_close_fd(&bench, fds[1]);
	weir_bufring_close(&bench.bufs);
	sim_bench_close(&bench);
}
END_TEST

START_TEST(a_bundle_spans_buffers_both_ways)
{
	struct sim_bench bench;
	struct weir_bufring_spans spans;
	uint8_t bytes[100];
	int fds[2];

	sim_bench_open(&bench, _i);
	sim_bench_group(&bench,
			(struct weir_bufring_opts){ .has_bundles = true });
	sim_bench_pair(&bench, fds);
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	sim_bench_send(&bench, fds[0], bytes, sizeof(bytes));
	struct io_uring_sqe *sqe = sim_bench_take(&bench);
	weir_op_recv_bundle(sqe, fds[1], SIM_BENCH_GROUP);
	struct io_uring_cqe cqe = wi_ring_next(&bench.ring);
	ck_assert_int_eq(cqe.res, 96); /* three are full, the rest waits */
	ck_assert_uint_ne(cqe.flags & IORING_CQE_F_SOCK_NONEMPTY, 0);
	weir_bufring_spans(&bench.bufs, &cqe, &spans);
	ck_assert_uint_eq(spans.buf_count, 3);
	weir_bufring_done(&spans);
	weir_bufring_close(&bench.bufs);

	sim_bench_group(&bench,
			(struct weir_bufring_opts){ .has_bundles = true,
						    .is_lent_by_hand = true });
	for (uint16_t id = 0; id < 4; id++)
		weir_bufring_lend(&bench.bufs, id, 10);
	weir_bufring_publish(&bench.bufs);
	sqe = sim_bench_take(&bench);
	weir_op_send_bundle(sqe, fds[1], SIM_BENCH_GROUP);
	cqe = wi_ring_next(&bench.ring);
	ck_assert_int_eq(cqe.res, 40);
	ck_assert_uint_eq(weir_bufring_id(&cqe), 0);
	sqe = sim_bench_take(&bench);
	weir_op_send_bundle(sqe, fds[1], SIM_BENCH_GROUP);
	ck_assert_int_eq(sim_bench_do(&bench, sqe), -ENOBUFS);
	sim_bench_close_fd(&bench, fds[0]);
	sim_bench_close_fd(&bench, fds[1]);
	weir_bufring_close(&bench.bufs);
	sim_bench_close(&bench);
}
END_TEST

/* ---- sends ------------------------------------------------------------- */

START_TEST(memory_of_a_zero_copy_send_comes_back_with_its_notice)
{
	struct sim_bench bench;
	struct weir_zerocopy zerocopy;
	struct weir_zerocopy_send send = { .state = WEIR_ZEROCOPY_FREE };
	uint8_t bytes[1000] = { 1, 2, 3 };
	uint8_t got[1000];
	int fds[2];

	sim_bench_open(&bench, _i);
	sim_bench_pair(&bench, fds);
	weir_zerocopy_init(&zerocopy, NULL);
	ck_assert_int_eq(
		weir_zerocopy_start(&zerocopy, &bench.ring, &send,
				    &(struct weir_zerocopy_request){
					    .fd = fds[0],
					    .bytes = bytes,
					    .byte_count = sizeof(bytes),
					    .msg_flags = MSG_WAITALL,
					    .user_data = SIM_BENCH_TOKEN }),
		0);
	struct io_uring_cqe cqe = wi_ring_next(&bench.ring);
	ck_assert_uint_eq(weir_zerocopy_complete(&zerocopy, &send, &cqe),
			  WEIR_ZEROCOPY_HAS_RESULT);
	ck_assert_int_eq(send.result, sizeof(bytes));
	struct io_uring_sqe *sqe = sim_bench_take(&bench);
	weir_op_recv(sqe, fds[1], got, sizeof(got), MSG_WAITALL);
	sqe->user_data = SIM_BENCH_TOKEN + 1;
	bool is_free = false;
	bool is_read = false;
	while (!is_free || !is_read) {
		cqe = wi_ring_next(&bench.ring);
		if (cqe.user_data == SIM_BENCH_TOKEN + 1)
			is_read = cqe.res == sizeof(got);
		else
			is_free = weir_zerocopy_complete(&zerocopy, &send,
							 &cqe) ==
				  WEIR_ZEROCOPY_IS_RELEASED;
	}
	ck_assert(send.was_copied); /* loopback copies */
	wi_kernel_wrote(got, sizeof(got));
	ck_assert_mem_eq(got, bytes, sizeof(got));
	sim_bench_close_fd(&bench, fds[0]);
	sim_bench_close_fd(&bench, fds[1]);
	sim_bench_close(&bench);
}
END_TEST

/* With MSG_WAITALL or without; and the result after a cancel. */
START_TEST(a_send_that_is_cut_short_says_how_much_went)
{
	enum { MANY = 32 << 20 };
	struct sim_bench bench;
	uint8_t *bytes = calloc(1, MANY);
	int fds[2];

	ck_assert_ptr_nonnull(bytes);
	sim_bench_open(&bench, _i);
	sim_bench_pair(&bench, fds);
	struct io_uring_sqe *sqe = sim_bench_take(&bench);
	weir_op_send(sqe, fds[0], bytes, MANY, 0);
	const int32_t first = sim_bench_do(&bench, sqe);
	ck_assert_int_gt(first, 0);
	ck_assert_int_lt(first, MANY);
	sqe = sim_bench_take(&bench);
	weir_op_send(sqe, fds[1], bytes, MANY, MSG_WAITALL);
	sqe->user_data = SIM_BENCH_TOKEN;
	sim_bench_submit(&bench);
	ck_assert_uint_eq(weir_ring_ready(&bench.ring), 0); /* it waits */
	sqe = sim_bench_take(&bench);
	weir_op_cancel_token(sqe, SIM_BENCH_TOKEN);
	sqe->user_data = SIM_BENCH_TOKEN + 1;
	struct io_uring_cqe cqes[2];
	wi_ring_collect(&bench.ring, cqes, 2);
	const int of_send = cqes[0].user_data == SIM_BENCH_TOKEN ? 0 : 1;
	ck_assert_int_eq(cqes[1 - of_send].res, 0);
	ck_assert_int_gt(cqes[of_send].res, 0); /* and not -ECANCELED */
	ck_assert_int_lt(cqes[of_send].res, MANY);
	sim_bench_close_fd(&bench, fds[0]);
	sim_bench_close_fd(&bench, fds[1]);
	sim_bench_close(&bench);
	free(bytes);
}
END_TEST

/* ---- the batch of DEFER_TASKRUN ---------------------------------------- */

START_TEST(an_enter_hands_out_twenty_at_most)
{
	enum { PAIRS = 25 };
	struct sim_bench bench;
	uint8_t bytes[PAIRS];
	int fds[PAIRS][2];

	sim_bench_open(&bench, _i);
	for (int i = 0; i < PAIRS; i++) {
		sim_bench_pair(&bench, fds[i]);
		struct io_uring_sqe *sqe = sim_bench_take(&bench);
		weir_op_recv(sqe, fds[i][1], &bytes[i], 1, 0);
		sqe->user_data = SIM_BENCH_TOKEN + 1;
	}
	sim_bench_submit(&bench);
	ck_assert_uint_eq(weir_ring_ready(&bench.ring), 0);
	for (int i = 0; i < PAIRS; i++) {
		struct io_uring_sqe *sqe = sim_bench_take(&bench);
		weir_op_send(sqe, fds[i][0], "x", 1, 0);
		sqe->user_data = SIM_BENCH_TOKEN;
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	}
	sim_bench_submit_only(&bench, PAIRS);
	ck_assert_uint_eq(weir_ring_ready(&bench.ring), 0);
	sim_bench_submit(&bench);
	ck_assert_uint_eq(weir_ring_ready(&bench.ring), 20);
	weir_ring_reaped(&bench.ring, 20);
	sim_bench_submit(&bench);
	ck_assert_uint_eq(weir_ring_ready(&bench.ring), PAIRS - 20);
	weir_ring_reaped(&bench.ring, PAIRS - 20);
	for (int i = 0; i < PAIRS; i++) {
		sim_bench_close_fd(&bench, fds[i][0]);
		sim_bench_close_fd(&bench, fds[i][1]);
	}
	sim_bench_close(&bench);
}
END_TEST

/* ---- only simulated ---------------------------------------------------- */

START_TEST(an_hour_is_over_in_no_time)
{
	struct sim_bench bench;
	const struct weir_kernel_timespec hour = { .tv_sec = 3600 };
	sim_bench_open(&bench, SIM_BENCH_SIMULATED);
	const uint64_t start_ns = weir_sim_now_ns(bench.sim);
	struct io_uring_sqe *sqe = sim_bench_take(&bench);
	weir_op_timeout(sqe, &hour, 0);
	ck_assert_int_eq(sim_bench_do(&bench, sqe), -ETIME);
	ck_assert_uint_ge(weir_sim_now_ns(bench.sim) - start_ns,
			  UINT64_C(3600000000000));
	sim_bench_close(&bench);
}
END_TEST

static void expect_violation(struct sim_bench *bench, const char *want)
{
	const char *rule = weir_sim_violation(bench->sim);
	ck_assert_msg(rule != NULL && strcmp(rule, want) == 0, "%s, not: %s",
		      rule != NULL ? rule : "nothing", want);
	weir_ring_close(&bench->ring);
	weir_sim_close(bench->sim);
	free(bench->tape);
}

START_TEST(memory_that_is_written_before_its_notice_is_a_violation)
{
	struct sim_bench bench;
	uint8_t bytes[100] = { 0 };
	int fds[2];
	sim_bench_open(&bench, SIM_BENCH_SIMULATED);
	sim_bench_pair(&bench, fds);
	struct io_uring_sqe *sqe = sim_bench_take(&bench);
	weir_op_send_zc(sqe, fds[0], bytes, sizeof(bytes), 0);
	ck_assert_int_eq(sim_bench_do(&bench, sqe), sizeof(bytes));
	bytes[50] = 1;
	(void)wi_ring_next(&bench.ring); /* the notice */
	expect_violation(&bench,
			 "memory of a zero-copy send was changed before "
			 "its notice");
}
END_TEST

static uint16_t recv_one(struct sim_bench *bench, const int *fds)
{
	sim_bench_send(bench, fds[0], "x", 1);
	struct io_uring_sqe *sqe = sim_bench_take(bench);
	weir_op_recv_group(sqe, fds[1], SIM_BENCH_GROUP, 0);
	struct io_uring_cqe cqe = wi_ring_next(&bench->ring);
	ck_assert_int_eq(cqe.res, 1);
	return weir_bufring_id(&cqe);
}

static void lend_again(struct sim_bench *bench, uint16_t id)
{
	weir_bufring_take_back(&bench->bufs, id);
	weir_bufring_publish(&bench->bufs);
}

START_TEST(a_buffer_that_is_lent_twice_is_a_violation)
{
	struct sim_bench bench;
	int fds[2];
	sim_bench_open(&bench, SIM_BENCH_SIMULATED);
	sim_bench_group(&bench, (struct weir_bufring_opts){ 0 });
	sim_bench_pair(&bench, fds);
	const uint16_t first = recv_one(&bench, fds);
	lend_again(&bench, first);
	(void)recv_one(&bench, fds);
	ck_assert_ptr_null(weir_sim_violation(bench.sim));
	lend_again(&bench, first); /* for the other buffer, which is kept */
	(void)recv_one(&bench, fds);
	expect_violation(&bench, "a buffer is in the ring twice");
}
END_TEST

START_TEST(more_buffers_than_there_are_is_a_violation)
{
	struct sim_bench bench;
	int fds[2];
	sim_bench_open(&bench, SIM_BENCH_SIMULATED);
	sim_bench_group(&bench, (struct weir_bufring_opts){ 0 });
	sim_bench_pair(&bench, fds);
	const uint16_t id = recv_one(&bench, fds);
	lend_again(&bench, id);
	lend_again(&bench, id);
	(void)recv_one(&bench, fds);
	expect_violation(&bench, "more buffers are lent than the ring holds");
}
END_TEST

START_TEST(an_operation_on_what_is_closed_is_a_violation)
{
	struct sim_bench bench;
	uint8_t byte;
	int fds[2];
	sim_bench_open(&bench, SIM_BENCH_SIMULATED);
	sim_bench_pair(&bench, fds);
	sim_bench_close_fd(&bench, fds[1]);
	ck_assert_ptr_null(weir_sim_violation(bench.sim));
	struct io_uring_sqe *sqe = sim_bench_take(&bench);
	weir_op_recv(sqe, fds[1], &byte, 1, 0);
	ck_assert_int_eq(sim_bench_do(&bench, sqe), -EBADF);
	expect_violation(&bench, "an operation names a descriptor that is not "
				 "open");
}
END_TEST

START_TEST(an_option_of_a_socket_is_told_by_its_length)
{
	struct sim_bench bench;
	int cpu = -7;
	int on = 1;
	int fds[2];
	sim_bench_open(&bench, _i);
	sim_bench_pair(&bench, fds);
	sim_bench_send(&bench, fds[0], "x", 1);
	struct io_uring_sqe *sqe = sim_bench_take(&bench);
	weir_op_getsockopt(sqe, fds[1], SOL_SOCKET, SO_INCOMING_CPU, &cpu,
			   sizeof(cpu));
	ck_assert_int_eq(sim_bench_do(&bench, sqe), sizeof(cpu));
	ck_assert_int_ge(cpu, -1); /* -1: none yet */
	sqe = sim_bench_take(&bench);
	weir_op_getsockopt(sqe, fds[1], SOL_SOCKET, 9999, &cpu, sizeof(cpu));
	ck_assert_int_eq(sim_bench_do(&bench, sqe), -ENOPROTOOPT);
	sqe = sim_bench_take(&bench);
	weir_op_setsockopt(sqe, fds[1], IPPROTO_TCP, TCP_NODELAY, &on,
			   sizeof(on));
	ck_assert_int_eq(sim_bench_do(&bench, sqe), 0);
	sqe = sim_bench_take(&bench);
	weir_op_setsockopt(sqe, fds[1], IPPROTO_TCP, TCP_NODELAY, &on,
			   sizeof(on));
	sqe->cmd_op = 4711;
	ck_assert_int_eq(sim_bench_do(&bench, sqe), -EOPNOTSUPP);
	sim_bench_close_fd(&bench, fds[0]);
	sim_bench_close_fd(&bench, fds[1]);
	sim_bench_close(&bench);
}
END_TEST

START_TEST(a_reset_behind_bytes_is_told)
{
	static const int32_t want[] = { 3, -ECONNRESET };
	struct sim_bench bench;
	int fds[2];

	sim_bench_open(&bench, _i);
	sim_bench_group(&bench,
			(struct weir_bufring_opts){ .has_bundles = false });
	sim_bench_pair(&bench, fds);
	sim_bench_send(&bench, fds[1], "z", 1); /* stays unread */
	struct io_uring_sqe *sqe = sim_bench_take(&bench);
	weir_op_recv_multishot(sqe, fds[1], SIM_BENCH_GROUP);
	sim_bench_submit(&bench);
	sqe = sim_bench_take(&bench);
	weir_op_send(sqe, fds[0], "abc", 3, 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sim_bench_submit_only(&bench, 1);
	sim_bench_close_fd(&bench, fds[0]);
	/* Bytes and reset have arrived before the receive looks. */
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe cqe = wi_ring_next(&bench.ring);
		ck_assert_int_eq(cqe.res, want[i]);
		ck_assert_int_eq((cqe.flags & IORING_CQE_F_MORE) != 0, i == 0);
	}
	sim_bench_close_fd(&bench, fds[1]);
	weir_bufring_close(&bench.bufs);
	sim_bench_close(&bench);
}
END_TEST

/* A reset arrives before the receive. A receive that is tried at once looks at
 * the socket while it is armed, after the bytes; one that polls first does not.
 */
static int32_t told_after_bytes(int which, bool polls_first)
{
	struct sim_bench bench;
	int fds[2];

	sim_bench_open(&bench, which);
	sim_bench_group(&bench,
			(struct weir_bufring_opts){ .has_bundles = false });
	sim_bench_pair(&bench, fds);
	sim_bench_send(&bench, fds[1], "z", 1); /* stays unread */
	sim_bench_send(&bench, fds[0], "abc", 3);
	sim_bench_close_fd(&bench, fds[0]);
	struct io_uring_sqe *sqe = sim_bench_take(&bench);
	weir_op_poll(sqe, fds[1], POLLERR);
	ck_assert_int_ne(sim_bench_do(&bench, sqe) & POLLERR, 0);
	sqe = sim_bench_take(&bench);
	weir_op_recv_multishot(sqe, fds[1], SIM_BENCH_GROUP);
	if (polls_first)
		weir_op_poll_first(sqe);
	ck_assert_int_eq(wi_ring_next(&bench.ring).res, 3);
	sim_bench_submit(&bench);
	sqe = sim_bench_take(&bench);
	weir_op_cancel_any(sqe);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	const struct io_uring_cqe cqe = wi_ring_next(&bench.ring);
	sim_bench_close_fd(&bench, fds[1]);
	weir_bufring_close(&bench.bufs);
	sim_bench_close(&bench);
	return cqe.res;
}

START_TEST(a_reset_that_lies_behind_bytes_is_missed_by_who_polls_first)
{
	ck_assert_int_eq(told_after_bytes(_i, false), -ECONNRESET);
	ck_assert_int_eq(told_after_bytes(_i, true), -ECANCELED);
}
END_TEST

/* ---- facts ------------------------------------------------------------- */

static uint32_t facts_of(uint32_t fault)
{
	uint32_t count = 0;
	for (size_t i = 0; i < sim_fact_count; i++)
		count += (sim_facts[i].fault & fault) != 0;
	return count;
}

START_TEST(nothing_happens_that_is_not_known_to_happen)
{
	for (uint32_t fault = 1; (fault & WEIR_FAULT_ALL) != 0; fault <<= 1)
		ck_assert_msg(facts_of(fault) > 0, "class %x has no source",
			      fault);
	for (size_t i = 0; i < sim_fact_count; i++) {
		const struct sim_fact *fact = &sim_facts[i];
		ck_assert_ptr_nonnull(fact->known_from);
		ck_assert_uint_gt(strlen(fact->known_from), 4);
		ck_assert((fact->what != NULL) != (fact->error != 0));
		for (size_t j = 0; j < i; j++)
			ck_assert(fact->error == 0 ||
				  fact->error != sim_facts[j].error ||
				  fact->opcode != sim_facts[j].opcode);
	}
}
END_TEST

WI_SUITE(sim_op, "sim-op", 0)
{
	TCase *both = tcase_create("both");
	tcase_set_timeout(both, 30);
#define BOTH(test) tcase_add_loop_test(both, test, 0, SIM_BENCH_COUNT)
	BOTH(an_incremental_buffer_is_filled_bit_by_bit);
	BOTH(a_bundle_spans_buffers_both_ways);
	BOTH(memory_of_a_zero_copy_send_comes_back_with_its_notice);
	BOTH(a_send_that_is_cut_short_says_how_much_went);
	BOTH(an_enter_hands_out_twenty_at_most);
	BOTH(an_option_of_a_socket_is_told_by_its_length);
	BOTH(a_reset_behind_bytes_is_told);
	BOTH(a_reset_that_lies_behind_bytes_is_missed_by_who_polls_first);
#undef BOTH
	suite_add_tcase(suite, both);
	TCase *alone = tcase_create("simulated");
	tcase_add_test(alone, nothing_happens_that_is_not_known_to_happen);
	tcase_add_test(alone, an_hour_is_over_in_no_time);
	tcase_add_test(alone,
		       memory_that_is_written_before_its_notice_is_a_violation);
	tcase_add_test(alone, a_buffer_that_is_lent_twice_is_a_violation);
	tcase_add_test(alone, more_buffers_than_there_are_is_a_violation);
	tcase_add_test(alone, an_operation_on_what_is_closed_is_a_violation);
	suite_add_tcase(suite, alone);
	suite_add_tcase(suite, tcase_sim_udp());
}
