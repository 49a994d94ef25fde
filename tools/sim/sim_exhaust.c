/* sim_exhaust.c - every fault in every state, and a report that can fail */
#include "sim_exhaust.h"

#include "../lib/cli.h"

#include "../../test/sim/exhaust.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	NS_PER_S = 1000000000,
	SEARCH_SEEDS = 8000,
};

/* Cases for all orders: of their first choices, or with a few choices that are
 * not the benign one. */
static const struct {
	const char *name;
	uint32_t depth;
	uint32_t bends;
} scheduled[] = {
	{ "one", 14, 14 },      { "one", 256, 3 },  { "close", 256, 2 },
	{ "outbound", 256, 2 }, { "stop", 256, 2 },
};
enum { SCHEDULED = sizeof(scheduled) / sizeof(scheduled[0]) };

static struct timespec start;

static double seconds(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start.tv_sec) +
	       (double)(now.tv_nsec - start.tv_nsec) / NS_PER_S;
}

static void tell_progress(const struct sim_exhaust *exhaust)
{
	(void)printf("\r%" PRIu64 " runs, %.0f per second, %u of %u cells",
		     exhaust->runs, (double)exhaust->runs / seconds(),
		     sim_cells_reached(&exhaust->plan.cells),
		     sim_cells_defined());
	(void)fflush(stdout);
}

static void tell_part(const char *name, uint64_t runs, double since)
{
	(void)printf("\r%-32s %9" PRIu64 " runs in %.1f s%24s\n", name, runs,
		     seconds() - since, "");
}

static void exhaust_case(struct sim_exhaust *exhaust,
			 const struct sim_case *what)
{
	char name[64];
	double since = seconds();
	(void)snprintf(name, sizeof(name), "%s: single faults", what->name);
	tell_part(name, sim_exhaust_singles(exhaust, what), since);
	since = seconds();
	(void)snprintf(name, sizeof(name), "%s: enters", what->name);
	tell_part(name, sim_exhaust_enters(exhaust, what), since);
	if (!what->is_canonical)
		return;
	since = seconds();
	(void)snprintf(name, sizeof(name), "%s: pairs", what->name);
	tell_part(name, sim_exhaust_pairs(exhaust, what), since);
}

/* Return: how many moves of the table no case has made. */
static uint32_t tell_moves(const struct sim_plan *plan)
{
	uint32_t missing = 0;
	uint32_t refused = 0;
	(void)printf("moves:");
	for (int from = 0; from < WEIR_CONN_STATE_COUNT; from++)
		for (int to = 0; to < WEIR_CONN_STATE_COUNT; to++) {
			const char *names[] = {
				wi_conn_state_name((enum weir_conn_state)from),
				wi_conn_state_name((enum weir_conn_state)to)
			};
			if (!wi_conn_may_move((enum weir_conn_state)from,
					      (enum weir_conn_state)to)) {
				refused++;
				missing += plan->moves[from][to] > 0;
				continue;
			}
			(void)printf(" %s>%s %" PRIu64, names[0], names[1],
				     plan->moves[from][to]);
			missing += plan->moves[from][to] == 0;
		}
	(void)printf("; %u made, %u that the table refuses never\n",
		     sim_plan_moves(plan), refused);
	return missing;
}

static bool tell_end(struct sim_exhaust *exhaust, bool is_all)
{
	const uint32_t holes = sim_cells_report(&exhaust->plan.cells, stdout);
	const uint32_t moves = tell_moves(&exhaust->plan);
	const struct sim_plan *plan = &exhaust->plan;

	(void)printf("%" PRIu64 " runs in %.1f s; %" PRIu64 " broke a rule\n",
		     exhaust->runs, seconds(), exhaust->violations);
	if (plan->undefined > 0)
		(void)printf(
			"%" PRIu64 " faults came in a state that has no cell; "
			"the last: %s, errno %d, %s\n",
			plan->undefined,
			sim_cell_row(plan->undefined_last.row)->name,
			-plan->undefined_last.err,
			sim_state_name(
				sim_cell_row(plan->undefined_last.row)->states,
				plan->undefined_state));
	for (uint32_t i = 0; i < exhaust->finding_count; i++) {
		const struct sim_finding finding = exhaust->findings[i];
		sim_exhaust_tell(exhaust, &finding, stdout);
	}
	return exhaust->violations == 0 && plan->undefined == 0 &&
	       (!is_all || holes + moves == 0);
}

static int exhaust_all(struct sim_exhaust *exhaust)
{
	for (uint32_t i = 0; i < sim_case_count; i++)
		exhaust_case(exhaust, &sim_cases[i]);
	double since = seconds();
	tell_part("search for what is missing",
		  sim_exhaust_search(exhaust, SEARCH_SEEDS), since);
	for (uint32_t i = 0; i < SCHEDULED; i++) {
		char name[64];
		since = seconds();
		(void)snprintf(name, sizeof(name), "%s: schedules",
			       scheduled[i].name);
		tell_part(name,
			  sim_exhaust_schedules(
				  exhaust, sim_case_find(scheduled[i].name),
				  scheduled[i].depth, scheduled[i].bends),
			  since);
	}
	return tell_end(exhaust, true) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int sim_exhaust(struct weir_tape *tape, const char *name, bool is_quiet)
{
	static struct sim_exhaust exhaust;
	const struct sim_case *what = sim_case_find(name);
	if (what == NULL && strcmp(name, "all") != 0) {
		(void)fprintf(stderr, "weir-sim: no case is called %s:", name);
		for (uint32_t i = 0; i < sim_case_count; i++)
			(void)fprintf(stderr, " %s", sim_cases[i].name);
		(void)fprintf(stderr, "\n");
		return CLI_EXIT_USAGE;
	}
	if (sim_exhaust_open(&exhaust, tape) < 0) {
		(void)fprintf(stderr, "weir-sim: no memory for a world\n");
		return EXIT_FAILURE;
	}
	static char again[64];
	(void)snprintf(again, sizeof(again), "weir-sim --exhaust %s", name);
	exhaust.again = again;
	if (!is_quiet && isatty(STDOUT_FILENO) == 1)
		exhaust.progress = tell_progress;
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	int status;
	if (what == NULL) {
		status = exhaust_all(&exhaust);
	} else {
		exhaust_case(&exhaust, what);
		status =
			tell_end(&exhaust, false) ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	sim_exhaust_close(&exhaust);
	return status;
}
