/* test_sim_never.c - completions that never come, or come twice
 *
 * The kernel posts a completion for each operation. If it does not come, no
 * buffer may be freed and no slot reused. But it must show, and everything that
 * waits must end. A deadline moves the connection on. Every tick that an
 * operation is overdue is counted. After some ticks on_close comes, with the
 * reason of the deadline. A loop that is stopped ends with -ETIMEDOUT and keeps
 * its memory. A lost accept, sample, or read of a doorbell shows only then: it
 * looks like one to which nothing happens.
 */
#include "test_sim_never.h"
#include "../rig/support.h"

#include "cases.h"

#include <errno.h>
#include <stdlib.h>

enum { SEEDS_MAX = 500 };

enum never {
	NEVER_MATTERS = 0, /* the same as if it had come */
	NEVER_SHOWS,       /* is counted as overdue, and times out */
	NEVER_HIDES,       /* shows only when the loop stops */
};

static const struct {
	const char *name;
	enum sim_row row;
	const char *played;
	enum never want;
	enum weir_close_cause cause; /* SHOWS: the reason of on_close */
} never_cases[] = {
	{ "recv", SIM_ROW_RECV, "echo", NEVER_SHOWS, WEIR_CLOSE_IDLE },
	{ "send", SIM_ROW_SEND, "echo", NEVER_SHOWS, WEIR_CLOSE_IDLE },
	{ "sendmsg", SIM_ROW_SENDMSG, "swarm", NEVER_SHOWS, WEIR_CLOSE_IDLE },
	{ "check", SIM_ROW_CHECK, "quiet", NEVER_SHOWS, WEIR_CLOSE_IDLE },
	{ "cancel", SIM_ROW_CANCEL, "abort", NEVER_SHOWS, WEIR_CLOSE_ABORTED },
	{ "close", SIM_ROW_CLOSE, "echo", NEVER_SHOWS, WEIR_CLOSE_PEER },
	{ "socket", SIM_ROW_SOCKET, "outbound", NEVER_SHOWS, WEIR_CLOSE_IDLE },
	{ "setsockopt", SIM_ROW_SETSOCKOPT, "outbound", NEVER_SHOWS,
	  WEIR_CLOSE_DRAIN_DEADLINE },
	{ "connect", SIM_ROW_CONNECT, "outbound", NEVER_SHOWS,
	  WEIR_CLOSE_IDLE },
	{ "install", SIM_ROW_INSTALL, "close", NEVER_SHOWS,
	  WEIR_CLOSE_DRAIN_DEADLINE },
	{ "shutdown", SIM_ROW_SHUTDOWN, "shutdown", NEVER_SHOWS,
	  WEIR_CLOSE_DRAIN_DEADLINE },
	{ "accept", SIM_ROW_ACCEPT, "echo", NEVER_HIDES, 0 },
	{ "accept-cancel", SIM_ROW_ACCEPT_CANCEL, "full", NEVER_MATTERS, 0 },
	/* It keeps the socket open: the peer waits for the end. */
	{ "sample", SIM_ROW_SAMPLE, "echo", NEVER_HIDES, 0 },
	{ "doorbell", SIM_ROW_DOORBELL, "one", NEVER_HIDES, 0 },
	{ "doorbell-cancel", SIM_ROW_DOORBELL_CANCEL, "one", NEVER_MATTERS, 0 },
};

START_TEST(completion_that_never_comes_is_counted_and_given_up)
{
	static struct sim_plan plan;
	struct sim_case_result result;
	struct weir_sim *sim = NULL;
	struct weir_tape *tape = calloc(1, sizeof(*tape));
	const enum never want = never_cases[_i].want;
	const char *name = never_cases[_i].name;

	ck_assert_ptr_nonnull(tape);
	ck_assert_int_eq(weir_sim_open(&sim, tape, NULL), 0);
	sim_plan_add(&plan, (struct sim_fault){ .row = (int)never_cases[_i].row,
						.state = SIM_ANY,
						.nth = 1,
						.err = WEIR_SIM_NEVER });
	weir_tape_load(tape, NULL, 0);
	/* The benign tape, or the first on which the operation is tried. */
	for (uint64_t seed = 1; seed < SEEDS_MAX; seed++) {
		sim_case_play(sim_case_find(never_cases[_i].played), sim, tape,
			      &plan, NULL, &result);
		if (sim_plan_is_done(&plan))
			break;
		weir_tape_seed(tape, seed);
	}
	ck_assert_msg(sim_plan_is_done(&plan), "%s: none was lost", name);
	ck_assert_msg(result.violation == NULL, "%s: %s", name,
		      result.violation);
	ck_assert_msg(result.err == (want == NEVER_MATTERS ? 0 : -ETIMEDOUT),
		      "%s: the loop ends with %d", name, result.err);
	ck_assert_msg((result.stats.kept_bytes > 0) == (want != NEVER_MATTERS),
		      "%s: %llu bytes are kept", name,
		      (unsigned long long)result.stats.kept_bytes);
	/* In all other cases the loop ends as usual. */
	ck_assert_msg(result.stats.operation_timeouts == (want == NEVER_SHOWS),
		      "%s: %llu are given up", name,
		      (unsigned long long)result.stats.operation_timeouts);
	if (want == NEVER_SHOWS)
		ck_assert_msg(result.stats.closes_by[never_cases[_i].cause] > 0,
			      "%s: and not for its reason", name);
	ck_assert_msg((result.stats.overdue_ticks > 0) == (want == NEVER_SHOWS),
		      "%s: %llu ticks overdue", name,
		      (unsigned long long)result.stats.overdue_ticks);
	weir_sim_close(sim);
	free(tape);
}
END_TEST

static const char *const twice_cases[] = { "echo",  "outbound", "close",
					   "quiet", "swarm",    "abort" };

/* The first result counts: all is echoed, and each connection ends once. */
START_TEST(completion_that_comes_twice_is_counted_and_not_applied)
{
	static struct sim_plan plan;
	struct sim_case_result result;
	struct weir_sim *sim = NULL;
	struct weir_tape *tape = calloc(1, sizeof(*tape));
	struct sim_case twice = *sim_case_find(twice_cases[_i]);

	ck_assert_ptr_nonnull(tape);
	ck_assert_int_eq(weir_sim_open(&sim, tape, NULL), 0);
	twice.faults = WEIR_FAULT_TWICE;
	twice.world.fault_rate = 128;
	for (uint64_t seed = 1; seed < SEEDS_MAX; seed++) {
		weir_tape_seed(tape, seed);
		sim_case_play(&twice, sim, tape, &plan, NULL, &result);
		ck_assert_msg(result.violation == NULL, "%s, seed %llu: %s",
			      twice.name, (unsigned long long)seed,
			      result.violation);
		ck_assert_uint_gt(result.stats.stale_completions, 0);
	}
	weir_sim_close(sim);
	free(tape);
}
END_TEST

TCase *tcase_sim_never(void)
{
	TCase *tcase = tcase_create("never");
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(
		tcase, completion_that_never_comes_is_counted_and_given_up, 0,
		(int)(sizeof(never_cases) / sizeof(never_cases[0])));
	tcase_add_loop_test(
		tcase, completion_that_comes_twice_is_counted_and_not_applied,
		0, (int)(sizeof(twice_cases) / sizeof(twice_cases[0])));
	return tcase;
}
