/* test_exhaust.c - every fault in every state, every pair of faults on a small
 * case, every order of a tiny one
 *
 * All cases: weir-sim --exhaust all.
 */
#include "../rig/support.h"
#include "../suites.h"
#include "test_sim_never.h"

#include "exhaust.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sim_exhaust exhaust;

static void setup(void)
{
	struct weir_tape *tape = calloc(1, sizeof(*tape));
	ck_assert_ptr_nonnull(tape);
	ck_assert_int_eq(sim_exhaust_open(&exhaust, tape), 0);
}

static void teardown(void)
{
	free(exhaust.tape);
	sim_exhaust_close(&exhaust);
}

static void assert_no_violation(void)
{
	if (exhaust.finding_count > 0) {
		const struct sim_finding finding = exhaust.findings[0];
		sim_exhaust_tell(&exhaust, &finding, stdout);
	}
	ck_assert_uint_eq(exhaust.violations, 0);
	ck_assert_uint_eq(exhaust.plan.undefined, 0);
}

START_TEST(every_cell_is_hit_and_every_move_made)
{
	for (uint32_t i = 0; i < sim_case_count; i++)
		(void)sim_exhaust_singles(&exhaust, &sim_cases[i]);
	(void)sim_exhaust_search(&exhaust, 20000);
	assert_no_violation();
	ck_assert_uint_eq(sim_cells_report(&exhaust.plan.cells, stdout), 0);
	for (int from = 0; from < WEIR_CONN_STATE_COUNT; from++)
		for (int to = 0; to < WEIR_CONN_STATE_COUNT; to++) {
			const enum weir_conn_state one =
				(enum weir_conn_state)from;
			const enum weir_conn_state other =
				(enum weir_conn_state)to;
			const bool was_made = exhaust.plan.moves[from][to] > 0;
			ck_assert_msg(was_made == wi_conn_may_move(one, other),
				      "%s to %s", wi_conn_state_name(one),
				      wi_conn_state_name(other));
		}
}
END_TEST

START_TEST(every_two_faults_leave_a_small_case_whole)
{
	ck_assert_uint_gt(sim_exhaust_pairs(&exhaust, sim_case_find("echo")),
			  5000);
	assert_no_violation();
}
END_TEST

START_TEST(every_enter_may_be_refused_or_short)
{
	for (uint32_t i = 0; i < sim_case_count; i++)
		ck_assert_uint_gt(sim_exhaust_enters(&exhaust, &sim_cases[i]),
				  50);
	assert_no_violation();
}
END_TEST

START_TEST(every_order_of_a_tiny_case_is_fine)
{
	const struct sim_case *one = sim_case_find("one");
	const uint64_t shallow = sim_exhaust_schedules(&exhaust, one, 6, 6);
	const uint64_t deep = sim_exhaust_schedules(&exhaust, one, 11, 11);
	assert_no_violation();
	ck_assert_uint_gt(shallow, 10);
	ck_assert_uint_gt(deep, 10 * shallow);
	/* Without choices there is one schedule. */
	ck_assert_uint_eq(sim_exhaust_schedules(&exhaust, one, 0, 0), 1);
}
END_TEST

/* ---- it can fail ------------------------------------------------------- */

START_TEST(a_report_of_holes_counts_them)
{
	static struct sim_cells cells;
	FILE *nowhere = fopen("/dev/null", "w");
	ck_assert_ptr_nonnull(nowhere);
	ck_assert_uint_eq(sim_cells_report(&cells, nowhere),
			  sim_cells_defined());
	ck_assert(sim_cells_hit(&cells, SIM_ROW_RECV, -EINTR, WEIR_CONN_OPEN));
	ck_assert_uint_eq(sim_cells_report(&cells, nowhere),
			  sim_cells_defined() - 1);
	ck_assert_uint_eq(sim_cells_reached(&cells), 1);
	/* A state, and an errno, that the table does not have. */
	ck_assert(!sim_cells_hit(&cells, SIM_ROW_RECV, -EINTR,
				 WEIR_CONN_CLOSING));
	ck_assert(!sim_cells_hit(&cells, SIM_ROW_RECV, -EXDEV, WEIR_CONN_OPEN));
	ck_assert_uint_eq(sim_cells_reached(&cells), 1);
	(void)fclose(nowhere); /* nothing was written */
}
END_TEST

START_TEST(every_row_says_why_it_lacks_a_state)
{
	for (int row = 0; row < SIM_ROW_COUNT; row++) {
		const struct sim_cell_row *cells =
			sim_cell_row((enum sim_row)row);
		ck_assert_ptr_nonnull(cells->no_reason);
		ck_assert(cells->hole_bits == 0 || cells->hole_reason != NULL);
		for (int i = 0; cells->errnos[i].err != 0; i++)
			ck_assert_ptr_nonnull(cells->errnos[i].source);
	}
}
END_TEST

/* Otherwise the cases about used-up memory would test nothing. */
START_TEST(memory_is_used_up)
{
	static const char *const names[] = { "memory", "memory-swarm" };
	struct sim_case_result result;
	exhaust.plan.fault_count = 0;
	weir_tape_load(exhaust.tape, NULL, 0);
	sim_case_play(sim_case_find(names[_i]), exhaust.sim, exhaust.tape,
		      &exhaust.plan, NULL, &result);
	ck_assert_msg(result.violation == NULL, "%s", result.violation);
	ck_assert_uint_ge(result.stats.block_failures, (uint64_t)_i + 1);
	ck_assert_uint_ge(result.stats.block_bytes_peak, 6 << 20);
}
END_TEST

/* For example a ring that is closed under the loop. */
START_TEST(a_fault_that_matters_breaks_a_rule)
{
	struct sim_case_result result;
	exhaust.plan.fault_count = 0;
	exhaust.plan.enter_fault =
		(struct sim_enter_fault){ .nth = 3, .more = 9, .err = -EBADF };
	weir_tape_load(exhaust.tape, NULL, 0);
	sim_case_play(sim_case_find("echo"), exhaust.sim, exhaust.tape,
		      &exhaust.plan, NULL, &result);
	exhaust.plan.enter_fault = (struct sim_enter_fault){ .nth = 0 };
	ck_assert_ptr_nonnull(result.violation);
}
END_TEST

/* ---- runs that do not return ------------------------------------------- */

static volatile bool never;

/* Stories that kill the process, or never end, once a client connects. */
static ssize_t story_dies(void *cookie, const char *text, size_t byte_count)
{
	(void)cookie;
	if (memmem(text, byte_count, "connects", 8) != NULL)
		(void)raise(SIGSEGV);
	return (ssize_t)byte_count;
}

static ssize_t story_lasts(void *cookie, const char *text, size_t byte_count)
{
	(void)cookie;
	while (memmem(text, byte_count, "connects", 8) != NULL && !never)
		;
	return (ssize_t)byte_count;
}

static FILE *story_open(cookie_write_function_t *write)
{
	FILE *story = fopencookie(NULL, "w",
				  (cookie_io_functions_t){ .write = write });
	ck_assert_ptr_nonnull(story);
	(void)setvbuf(story, NULL, _IONBF, 0);
	return story;
}

static struct sim_finding finding_make(void)
{
	return (struct sim_finding){
		.what = sim_case_find("echo"),
		.fault_count = 1,
		.faults = { { .row = SIM_ANY,
			      .state = SIM_ANY,
			      .nth = 77,
			      .err = -EIO } },
		.enter_fault = { .nth = 99, .more = 1, .err = -EINTR },
		.bytes = { 0, 1 },
		.byte_count = 2,
	};
}

START_TEST(a_run_that_dies_is_named)
{
	static const char want[] = "case echo, seed 0 (0: benign)\n"
				   "  the 77. attempt: errno 5\n"
				   "  the 99. enter and 1 after it: errno 4\n"
				   "  tape: 00 01\n"
				   "again: weir-sim --exhaust echo\n";
	static char said[64 * 1024];
	const struct sim_finding finding = finding_make();
	size_t count = 0;
	ssize_t got = 0;
	int ends[2];
	int status = 0;
	ck_assert_int_eq(pipe(ends), 0);
	const pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)dup2(ends[1], STDERR_FILENO);
		(void)close(ends[1]);
		exhaust.again = "weir-sim --exhaust echo";
		sim_exhaust_tell(&exhaust, &finding, story_open(story_dies));
		_exit(0);
	}
	(void)close(ends[1]);
	while ((got = read(ends[0], said + count, sizeof(said) - 1 - count)) >
	       0)
		count += (size_t)got;
	(void)close(ends[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
	ck_assert_msg(strstr(said, want) != NULL, "it says: %s", said);
}
END_TEST

START_TEST(a_run_that_never_ends_breaks_a_rule)
{
	const struct sim_finding finding = finding_make();
	/* The play was left in the middle of a call, so it cannot be closed. */
	sim_exhaust_tell(&exhaust, &finding, story_open(story_lasts));
	ck_assert_uint_eq(exhaust.finding_count, 1);
	const struct sim_finding *found = &exhaust.findings[0];
	ck_assert_str_eq(found->rule, "a world goes on for ever");
	ck_assert_uint_eq(found->faults[0].nth, 77);
	ck_assert_uint_eq(found->enter_fault.nth, 99);
	ck_assert_uint_eq(found->byte_count, 2);
	ck_assert_uint_eq(found->bytes[1], 1);
}
END_TEST

WI_SUITE(exhaust, "exhaust", 0)
{
	TCase *tcase = tcase_create("exhaust");
	tcase_set_timeout(tcase, 240);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, every_cell_is_hit_and_every_move_made);
	tcase_add_test(tcase, every_two_faults_leave_a_small_case_whole);
	tcase_add_test(tcase, every_enter_may_be_refused_or_short);
	tcase_add_test(tcase, every_order_of_a_tiny_case_is_fine);
	tcase_add_test(tcase, a_report_of_holes_counts_them);
	tcase_add_test(tcase, every_row_says_why_it_lacks_a_state);
	tcase_add_loop_test(tcase, memory_is_used_up, 0, 2);
	tcase_add_test(tcase, a_fault_that_matters_breaks_a_rule);
	tcase_add_test(tcase, a_run_that_dies_is_named);
	tcase_add_test(tcase, a_run_that_never_ends_breaks_a_rule);
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, tcase_sim_never());
}
