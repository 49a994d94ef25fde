/* test_abi.c - our ABI header against the running kernel
 *
 * Asserts in the header check the layouts. These tests check that the kernel
 * agrees.
 */
#include "../rig/support.h"
#include "../suites.h"

#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <linux/io_uring.h> /* after our header it must add nothing */
#include <sys/syscall.h>
#include <time.h>

START_TEST(system_call_numbers_are_those_of_this_machine)
{
#ifdef SYS_io_uring_setup
	ck_assert_int_eq(WEIR_NR_IO_URING_SETUP, SYS_io_uring_setup);
	ck_assert_int_eq(WEIR_NR_IO_URING_ENTER, SYS_io_uring_enter);
	ck_assert_int_eq(WEIR_NR_IO_URING_REGISTER, SYS_io_uring_register);
#endif
	ck_assert_int_eq(WEIR_NR_IO_URING_SETUP, 425);
}
END_TEST

START_TEST(kernel_timespec_is_that_of_this_machine)
{
	const struct timespec theirs = { .tv_sec = 3, .tv_nsec = 4 };
	struct weir_kernel_timespec ours;
	if (sizeof(theirs) != sizeof(ours))
		return; /* a 32-bit timespec: weir uses only the kernel's */
	memcpy(&ours, &theirs, sizeof(ours));
	ck_assert_int_eq(ours.tv_sec, 3);
	ck_assert_int_eq(ours.tv_nsec, 4);
}
END_TEST

static const struct {
	const char *name;
	enum io_uring_op op;
} needed_ops[] = {
	{ "NOP", IORING_OP_NOP },
	{ "READ", IORING_OP_READ },
	{ "ACCEPT", IORING_OP_ACCEPT },
	{ "RECV", IORING_OP_RECV },
	{ "SEND", IORING_OP_SEND },
	{ "SENDMSG", IORING_OP_SENDMSG },
	{ "SOCKET", IORING_OP_SOCKET },
	{ "CONNECT", IORING_OP_CONNECT },
	{ "URING_CMD", IORING_OP_URING_CMD },
	{ "SHUTDOWN", IORING_OP_SHUTDOWN },
	{ "CLOSE", IORING_OP_CLOSE },
	{ "ASYNC_CANCEL", IORING_OP_ASYNC_CANCEL },
	{ "SENDMSG_ZC", IORING_OP_SENDMSG_ZC },
};
START_TEST(kernel_has_every_operation_that_6_1_has)
{
	struct io_uring_probe probe = { .last_op = 0 };
	struct weir_ring ring;
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	ck_assert_int_ge(weir_ring_register(&ring, IORING_REGISTER_PROBE,
					    &probe, WEIR_PROBE_OP_COUNT),
			 0);
	enum io_uring_op op = needed_ops[_i].op;
	ck_assert_uint_ge(probe.last_op, op);
	ck_assert_msg(probe.ops[op].op == op && (probe.ops[op].flags &
						 IO_URING_OP_SUPPORTED) != 0,
		      "%s is not supported", needed_ops[_i].name);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(kernel_answers_the_query_as_our_header_expects)
{
	struct weir_ring ring;
	struct io_uring_query_opcode answer = { .nr_request_opcodes = 0 };
	struct io_uring_query_hdr header = {
		.query_data = (uint64_t)(uintptr_t)&answer,
		.query_op = IO_URING_QUERY_OPCODES,
		.size = sizeof(answer),
	};
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	int err = weir_ring_register(&ring, IORING_REGISTER_QUERY, &header, 0);
	uint32_t features = weir_ring_features(&ring);
	uint32_t setup_flags = weir_ring_setup_flags(&ring);
	weir_ring_close(&ring);
	wi_skip_unless(err == 0, "this kernel has no query (before 6.18)");

	ck_assert_int_eq(header.result, 0);
	ck_assert_uint_ge(answer.nr_request_opcodes, IORING_OP_LAST);
	ck_assert_uint_ge(answer.nr_register_opcodes, IORING_REGISTER_LAST);
	ck_assert_uint_eq(answer.feature_flags, features);
	ck_assert_uint_eq(answer.ring_setup_flags & setup_flags, setup_flags);
	ck_assert_uint_ne(answer.ring_setup_flags & IORING_SETUP_CQE_MIXED, 0);
	ck_assert_uint_ne(answer.enter_flags & IORING_ENTER_NO_IOWAIT, 0);
	ck_assert_uint_ne(answer.sqe_flags & IOSQE_CQE_SKIP_SUCCESS, 0);
}
END_TEST

WI_SUITE(abi, "abi", WI_RUNGS)
{
	TCase *tcase = tcase_create("abi");
	tcase_add_test(tcase, system_call_numbers_are_those_of_this_machine);
	tcase_add_test(tcase, kernel_timespec_is_that_of_this_machine);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase, kernel_has_every_operation_that_6_1_has, 0,
			    sizeof(needed_ops) / sizeof(needed_ops[0]));
	tcase_add_test(tcase, kernel_answers_the_query_as_our_header_expects);
}
