/* test_ladder_lies.c - a rung that is granted but behaves differently
 *
 * The tests falsify the kernel's answers about an operation, a register call
 * and the time (liar.h, and here). The try must detect it.
 */
#include "../rig/count_of.h"
#include "../rig/kernel_wrap.h"
#include "../rig/liar.h"
#include "../rig/peer.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/ladder.h"

#include <errno.h>

enum { SECOND_NS = 1000000000, LOOKS_MAX = 20 };

static struct weir_rung rungs[WEIR_RUNG_COUNT]; /* large */

/* Tries only this rung. */
static const struct weir_rung *probe(const struct weir_kernel *kernel,
				     enum weir_rung_id id)
{
	struct weir_error error = { .text = "" };
	const weir_rung_set others =
		(weir_rung_bit(WEIR_RUNG_COUNT) - 1) & ~weir_rung_bit(id);
	const size_t fds = peer_fd_count();
	const int err = weir_ladder_probe(kernel, others, rungs, &error);
	ck_assert_msg(err == 0, "probe: %s", error.text);
	ck_assert_uint_eq(peer_fd_count(), fds);
	return &rungs[id];
}

static void expect_off(const struct weir_rung *rung, int err)
{
	ck_assert_msg(rung->state == WEIR_RUNG_OFF && rung->err == err,
		      "%s is %s with %d, want off with %d", rung->name,
		      weir_rung_state_name(rung->state), rung->err, err);
	ck_assert_str_ne(rung->cause, "");
	ck_assert_str_ne(rung->remedy, "");
}

/* ---- operations ---------------------------------------------------------- */

static const struct {
	const char *what;
	enum weir_rung_id id;
	struct lie lie;
	int want;
} lies[] = {
	{ "no connection is accepted",
	  WEIR_RUNG_ACCEPT_SLOT_MULTISHOT,
	  { .opcode = IORING_OP_ACCEPT, .has_res = true, .res = -EIO },
	  -EIO },
	{ "an accept is the only one",
	  WEIR_RUNG_ACCEPT_SLOT_MULTISHOT,
	  { .opcode = IORING_OP_ACCEPT, .has_no_flags = true },
	  -EPROTO },
	{ "not all is sent",
	  WEIR_RUNG_BUFRING,
	  { .opcode = IORING_OP_SEND, .has_res = true, .res = 1 },
	  -EPROTO },
	{ "not all is received",
	  WEIR_RUNG_BUFRING,
	  { .opcode = IORING_OP_RECV, .has_res = true, .res = 1 },
	  -EPROTO },
	{ "no buffer is named",
	  WEIR_RUNG_BUFRING,
	  { .opcode = IORING_OP_RECV, .has_no_flags = true },
	  -EPROTO },
	{ "other bytes are received",
	  WEIR_RUNG_BUFRING,
	  { .opcode = IORING_OP_SEND, .has_other_bytes = true },
	  -EPROTO },
	{ "a receive has more than there is",
	  WEIR_RUNG_RECV_MULTISHOT,
	  { .opcode = IORING_OP_RECV, .has_res = true, .res = 2 },
	  -EPROTO },
	{ "a receive is the only one",
	  WEIR_RUNG_RECV_MULTISHOT,
	  { .opcode = IORING_OP_RECV, .has_no_flags = true },
	  -EPROTO },
	{ "a receive is the last one",
	  WEIR_RUNG_RECV_MULTISHOT,
	  { .opcode = IORING_OP_RECV, .from = 2, .has_no_flags = true },
	  -EPROTO },
	{ "of the pieces not all is received",
	  WEIR_RUNG_SEND_VECTORIZED,
	  { .opcode = IORING_OP_RECV, .has_res = true, .res = 1 },
	  -EPROTO },
	{ "other pieces are received",
	  WEIR_RUNG_SEND_VECTORIZED,
	  { .opcode = IORING_OP_SEND, .has_other_bytes = true },
	  -EPROTO },
	{ "not all is sent without a copy",
	  WEIR_RUNG_SEND_ZC,
	  { .opcode = IORING_OP_SEND_ZC, .has_res = true, .res = 1 },
	  -EPROTO },
	{ "no notice is announced",
	  WEIR_RUNG_SEND_ZC,
	  { .opcode = IORING_OP_SEND_ZC, .has_no_flags = true },
	  -EPROTO },
	{ "the notice is none",
	  WEIR_RUNG_SEND_ZC,
	  { .opcode = IORING_OP_SEND_ZC, .from = 2, .has_no_flags = true },
	  -EPROTO },
	{ "another message comes",
	  WEIR_RUNG_MSG_RING,
	  { .opcode = IORING_OP_MSG_RING, .has_res = true, .res = 1 },
	  -EPROTO },
	{ "another message comes from nowhere",
	  WEIR_RUNG_SEND_MSG_RING,
	  { .opcode = IORING_OP_MSG_RING, .has_res = true, .res = 1 },
	  -EPROTO },
	{ "what is cancelled ends well",
	  WEIR_RUNG_SYNC_CANCEL,
	  { .opcode = IORING_OP_RECV, .has_res = true, .res = 0 },
	  -EPROTO },
	{ "no listener accepts",
	  WEIR_RUNG_STEER_CBPF,
	  { .opcode = IORING_OP_ACCEPT, .has_res = true, .res = -EIO },
	  -EIO },
};

START_TEST(operation_that_does_something_else_is_found_out)
{
	struct liar liar;
	wi_skip_if_forced_off(lies[_i].id);
	wi_skip_unless(probe(NULL, lies[_i].id)->state == WEIR_RUNG_ON,
		       "this kernel does without the rung");
	liar_init(&liar, &lies[_i].lie);
	const struct weir_rung *rung = probe(&liar.wrap.kernel, lies[_i].id);
	ck_assert_msg(rung->err == lies[_i].want, "%s: %d, want %d: %s",
		      lies[_i].what, rung->err, lies[_i].want, rung->cause);
	expect_off(rung, lies[_i].want);
	ck_assert_uint_gt(liar.told, 0);
}
END_TEST

/* ---- calls --------------------------------------------------------------- */

/* The real kernel, but one call reports success and does nothing. */
struct yes_man {
	struct kernel_wrap wrap;
	uint32_t opcode; /* of the register call; LAST: enter with a wait
			  * region */
	int result;      /* of the query inside */
};

static bool yes_before(void *ctx, struct kernel_call *call)
{
	const struct yes_man *yes = ctx;
	call->result = 0;
	if (call->id == CALL_ENTER)
		return yes->opcode == IORING_REGISTER_LAST &&
		       call->enter.submit_count == 0 &&
		       (call->enter.flags & IORING_ENTER_EXT_ARG_REG) != 0;
	if (call->id != CALL_REGISTER ||
	    call->register_op.opcode != yes->opcode)
		return false;
	if (yes->opcode == IORING_REGISTER_QUERY)
		((struct io_uring_query_hdr *)call->register_op.arg)->result =
			yes->result;
	return true;
}

static const struct {
	enum weir_rung_id id;
	uint32_t opcode;
	int result;
	int want;
} answers[] = {
	{ WEIR_RUNG_RESIZE, IORING_REGISTER_RESIZE_RINGS, 0, -EPROTO },
	{ WEIR_RUNG_QUERY, IORING_REGISTER_QUERY, 0, -EPROTO },
	{ WEIR_RUNG_QUERY, IORING_REGISTER_QUERY, -EOPNOTSUPP, -EOPNOTSUPP },
	{ WEIR_RUNG_WAIT_REGION, IORING_REGISTER_LAST, 0, -EPROTO },
};

START_TEST(call_that_only_says_yes_is_found_out)
{
	struct yes_man yes = {
		.opcode = answers[_i].opcode,
		.result = answers[_i].result,
	};
	wi_skip_if_forced_off(answers[_i].id);
	wi_skip_unless(probe(NULL, answers[_i].id)->state == WEIR_RUNG_ON,
		       "this kernel does without the rung");
	kernel_wrap_init(&yes.wrap, weir_kernel_linux(), yes_before, NULL,
			 &yes);
	expect_off(probe(&yes.wrap.kernel, answers[_i].id), answers[_i].want);
}
END_TEST

/* ---- time ---------------------------------------------------------------- */

/* The real kernel with a clock that jumps a second at every read; if is_asleep,
 * enters do nothing. */
struct leaper {
	struct kernel_wrap wrap;
	bool is_asleep;
	uint32_t enters;
	uint64_t now_ns;
};

static bool leaper_before(void *ctx, struct kernel_call *call)
{
	struct leaper *leaper = ctx;
	call->result = 0;
	if (call->id == CALL_ENTER) {
		leaper->enters++;
		return leaper->is_asleep;
	}
	if (call->id != CALL_NOW_NS)
		return false;
	leaper->now_ns += SECOND_NS;
	call->ns = leaper->now_ns;
	return true;
}

static const struct {
	enum weir_rung_id id;
	bool is_asleep;
	int want;
} leaps[] = {
	{ WEIR_RUNG_MIN_WAIT, false, -EPROTO }, /* seems to take a second */
	{ WEIR_RUNG_SOCKET_CMD, true, -ETIME },
};

START_TEST(second_that_is_over_is_not_waited_for)
{
	struct leaper leaper = { .is_asleep = leaps[_i].is_asleep };
	wi_skip_if_forced_off(leaps[_i].id);
	wi_skip_unless(probe(NULL, leaps[_i].id)->state == WEIR_RUNG_ON,
		       "this kernel does without the rung");
	kernel_wrap_init(&leaper.wrap, weir_kernel_linux(), leaper_before, NULL,
			 &leaper);
	expect_off(probe(&leaper.wrap.kernel, leaps[_i].id), leaps[_i].want);
	ck_assert_uint_lt(leaper.enters, LOOKS_MAX);
}
END_TEST

WI_SUITE(ladder_lies, "ladder-lies", WI_RUNGS | WI_BPF)
{
	TCase *tcase = tcase_create("lies");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase,
			    operation_that_does_something_else_is_found_out, 0,
			    COUNT_OF(lies));
	tcase_add_loop_test(tcase, call_that_only_says_yes_is_found_out, 0,
			    COUNT_OF(answers));
	tcase_add_loop_test(tcase, second_that_is_over_is_not_waited_for, 0,
			    COUNT_OF(leaps));
}
