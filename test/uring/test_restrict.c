/* test_restrict.c - what a restricted ring may do, and what not */
#include "../rig/count_of.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/extra/restrict.h"
#include "uring/filetab.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>

static const struct {
	const char *when;
	uint8_t ops[2];
	uint8_t allowed_flags, required_flags;
	uint8_t opcode, flags; /* of the SQE */
	int want;
} entries[] = {
	{ "the operation is allowed",
	  { IORING_OP_NOP },
	  0,
	  0,
	  IORING_OP_NOP,
	  0,
	  0 },
	{ "it is not",
	  { IORING_OP_RECV, IORING_OP_SEND },
	  0,
	  0,
	  IORING_OP_NOP,
	  0,
	  -EACCES },
	{ "the flag is not allowed",
	  { IORING_OP_NOP },
	  0,
	  0,
	  IORING_OP_NOP,
	  IOSQE_ASYNC,
	  -EACCES },
	{ "the flag is allowed",
	  { IORING_OP_NOP },
	  IOSQE_ASYNC,
	  0,
	  IORING_OP_NOP,
	  IOSQE_ASYNC,
	  0 },
	{ "another flag is allowed",
	  { IORING_OP_NOP },
	  IOSQE_IO_LINK,
	  0,
	  IORING_OP_NOP,
	  IOSQE_ASYNC,
	  -EACCES },
	{ "an allowed flag is not set",
	  { IORING_OP_NOP },
	  IOSQE_ASYNC,
	  0,
	  IORING_OP_NOP,
	  0,
	  0 },
	{ "the required flag is set",
	  { IORING_OP_NOP },
	  0,
	  IOSQE_ASYNC,
	  IORING_OP_NOP,
	  IOSQE_ASYNC,
	  0 },
	{ "the required flag is not set",
	  { IORING_OP_NOP },
	  0,
	  IOSQE_ASYNC,
	  IORING_OP_NOP,
	  0,
	  -EACCES },
	{ "the last known operation is allowed",
	  { IORING_OP_SENDMSG_ZC, 0 },
	  0,
	  0,
	  IORING_OP_NOP,
	  0,
	  0 },
};
START_TEST(restricted_ring_does_what_is_allowed_and_no_more)
{
	struct weir_ring ring;
	struct weir_restrict list = { .allowed_sqe_flags = 0 };
	for (int i = 0; i < 2; i++)
		weir_restrict_allow_op(&list, entries[_i].ops[i] != 0 || i == 0
						      ? entries[_i].ops[i]
						      : entries[_i].ops[0]);
	if (entries[_i].ops[0] == IORING_OP_SENDMSG_ZC)
		weir_restrict_allow_op(&list, IORING_OP_NOP);
	weir_restrict_allow_sqe_flags(&list, entries[_i].allowed_flags);
	weir_restrict_require_sqe_flags(&list, entries[_i].required_flags);
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	ck_assert_int_eq(weir_restrict_apply(&list, &ring), 0);
	ck_assert_int_eq(weir_ring_enable(&ring), 0);
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
	sqe->opcode = entries[_i].opcode;
	sqe->flags = entries[_i].flags;
	struct io_uring_cqe cqe = wi_ring_next(&ring);
	ck_assert_msg(cqe.res == entries[_i].want, "when %s: got %d, want %d",
		      entries[_i].when, cqe.res, entries[_i].want);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(register_calls_are_refused_unless_allowed)
{
	wi_skip_if_forced_off(WEIR_RUNG_REGISTERED_RING);
	struct weir_ring ring;
	struct weir_restrict list = { .allowed_sqe_flags = 0 };
	weir_restrict_allow_op(&list, IORING_OP_NOP);
	if (_i == 1)
		weir_restrict_allow_register(&list, IORING_REGISTER_FILES2);
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	ck_assert_int_eq(weir_restrict_apply(&list, &ring), 0);
	ck_assert_int_eq(weir_ring_enable(&ring), 0);
	ck_assert(ring.has_registered_fd); /* its own descriptor is always
					    * allowed */
	ck_assert_int_eq(weir_filetab_open(&ring, 4, NULL),
			 _i == 1 ? 0 : -EACCES);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(list_holds_from_enable_on_and_not_before)
{
	struct weir_ring ring;
	struct weir_restrict list = { .allowed_sqe_flags = 0 };
	weir_restrict_allow_op(&list, IORING_OP_NOP);
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	ck_assert_int_eq(weir_restrict_apply(&list, &ring), 0);
	ck_assert_int_eq(weir_filetab_open(&ring, 4, NULL), 0);
	ck_assert_int_eq(weir_restrict_apply(&list, &ring), -EBUSY);
	ck_assert_int_eq(weir_ring_enable(&ring), 0);
	ck_assert_int_eq(weir_filetab_close(&ring), -EACCES);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(enabled_ring_is_not_restricted_any_more)
{
	struct weir_ring ring;
	struct weir_restrict list = { .allowed_sqe_flags = 0 };
	weir_restrict_allow_op(&list, IORING_OP_RECV);
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_restrict_apply(&list, &ring), -EBADFD);
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
	weir_op_nop(sqe);
	ck_assert_int_eq(wi_ring_next(&ring).res, 0);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(list_without_an_operation_or_with_an_unknown_one_is_refused)
{
	struct weir_ring ring;
	struct weir_restrict list = { .allowed_sqe_flags = 0 };
	if (_i == 1)
		weir_restrict_allow_op(&list, 255);
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	ck_assert_int_eq(weir_restrict_apply(&list, &ring), -EINVAL);
	weir_ring_close(&ring);
}
END_TEST

WI_SUITE(restrict, "restrict", WI_RUNGS)
{
	TCase *tcase = tcase_create("restrict");
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase,
			    restricted_ring_does_what_is_allowed_and_no_more, 0,
			    COUNT_OF(entries));
	tcase_add_loop_test(tcase, register_calls_are_refused_unless_allowed, 0,
			    2);
	tcase_add_test(tcase, list_holds_from_enable_on_and_not_before);
	tcase_add_test(tcase, enabled_ring_is_not_restricted_any_more);
	tcase_add_loop_test(
		tcase,
		list_without_an_operation_or_with_an_unknown_one_is_refused, 0,
		2);
	suite_add_tcase(suite, tcase);
}
