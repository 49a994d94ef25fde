#include "exhaust.h"
#include "watch.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

enum {
	PROGRESS_EVERY = 1024,
	NTH_MAX = 12,
};

/* ---- a fault in words -------------------------------------------------- */

enum { WORDS_BYTES = 2048 };

struct words {
	char text[WORDS_BYTES];
	size_t count;
};

__attribute__((format(printf, 2, 3))) static void say(struct words *words,
						      const char *format, ...)
{
	const size_t room = sizeof(words->text) - words->count;
	va_list args;
	va_start(args, format);
	const int count =
		vsnprintf(words->text + words->count, room, format, args);
	va_end(args);
	if (count > 0)
		words->count += (size_t)count < room ? (size_t)count : room - 1;
}

static void say_fault(struct words *words, const struct sim_fault *fault)
{
	if (fault->row == SIM_ANY) {
		say(words, "  the %u. attempt", fault->nth);
	} else {
		const struct sim_cell_row *row =
			sim_cell_row((enum sim_row)fault->row);
		say(words, "  the %u. %s%s%s", fault->nth, row->name,
		    fault->state == SIM_ANY ? "" : " in ",
		    fault->state == SIM_ANY
			    ? ""
			    : sim_state_name(row->states,
					     (uint32_t)fault->state));
	}
	if (fault->err == WEIR_SIM_NEVER)
		say(words, " never ends\n");
	else
		say(words, ": errno %d\n", -fault->err);
}

static void say_enter(struct words *words, const struct sim_enter_fault *fault)
{
	if (fault->nth == 0)
		return;
	say(words, "  the %u. enter and %u after it: ", fault->nth,
	    fault->more);
	if (fault->err != 0)
		say(words, "errno %d\n", -fault->err);
	else
		say(words, "%u entries at most\n", fault->most);
}

static void say_run(struct words *words, const struct sim_finding *run)
{
	say(words, "case %s, seed %llu (0: benign)\n", run->what->name,
	    (unsigned long long)run->seed);
	for (uint32_t i = 0; i < run->fault_count; i++)
		say_fault(words, &run->faults[i]);
	say_enter(words, &run->enter_fault);
	if (run->byte_count > 0)
		say(words, "  tape:");
	for (uint32_t i = 0; i < run->byte_count; i++)
		say(words, " %02x", run->bytes[i]);
	if (run->byte_count > 0)
		say(words, "\n");
}

/* A line of the story: the run that is played. */
static void run_note(const struct sim_exhaust *exhaust,
		     struct sim_finding *out_run)
{
	*out_run = (struct sim_finding){
		.what = exhaust->what,
		.fault_count = exhaust->plan.fault_count,
		.enter_fault = exhaust->plan.enter_fault,
		.seed = exhaust->seed,
		.byte_count = exhaust->byte_count,
	};
	memcpy(out_run->faults, exhaust->plan.faults, sizeof(out_run->faults));
	if (out_run->byte_count > sizeof(out_run->bytes))
		out_run->byte_count = sizeof(out_run->bytes);
	for (uint32_t i = 0; i < out_run->byte_count; i++)
		out_run->bytes[i] = exhaust->bytes[i];
}

/* ---- one run ----------------------------------------------------------- */

static const struct sim_exhaust *playing;

/* The process dies: print the command. */
static void tell_run(void)
{
	static struct words words;
	static struct sim_finding run;
	run_note(playing, &run);
	words.count = 0;
	say(&words, "\nit dies in ");
	say_run(&words, &run);
	if (playing->again != NULL)
		say(&words, "again: %s\n", playing->again);
	if (write(STDERR_FILENO, words.text, words.count) < 0)
		return; /* stderr is closed */
}

static bool finding_is_new(const struct sim_exhaust *exhaust,
			   const struct sim_case *what, const char *rule)
{
	for (uint32_t i = 0; i < exhaust->finding_count; i++) {
		const struct sim_finding *known = &exhaust->findings[i];
		if (known->what == what && strcmp(known->rule, rule) == 0)
			return false;
	}
	return exhaust->finding_count < SIM_FINDINGS_MAX;
}

static void exhaust_found(struct sim_exhaust *exhaust,
			  const struct sim_case *what, const char *rule)
{
	exhaust->violations++;
	if (!finding_is_new(exhaust, what, rule))
		return;
	struct sim_finding *finding =
		&exhaust->findings[exhaust->finding_count++];
	run_note(exhaust, finding);
	(void)snprintf(finding->rule, sizeof(finding->rule), "%s", rule);
}

/* The parts of one run. */
struct run {
	struct sim_exhaust *exhaust;
	FILE *story;
	struct sim_case_result result;
};

static void run_play(void *ctx)
{
	struct run *run = ctx;
	struct sim_exhaust *exhaust = run->exhaust;
	sim_case_play(exhaust->what, exhaust->sim, exhaust->tape,
		      &exhaust->plan, run->story, &run->result);
}

/* Plays the tape under the plan. */
static void exhaust_run(struct sim_exhaust *exhaust,
			const struct sim_case *what, FILE *story)
{
	struct run run = { .exhaust = exhaust, .story = story };

	exhaust->runs++;
	if (exhaust->progress != NULL && exhaust->runs % PROGRESS_EVERY == 0)
		exhaust->progress(exhaust);
	exhaust->what = what;
	playing = exhaust;
	const char *rule = sim_watch_play(run_play, &run);
	if (rule != NULL) {
		sim_plan_end();
		exhaust_found(exhaust, what, rule);
	} else if (run.result.violation != NULL && story == NULL) {
		exhaust_found(exhaust, what, run.result.violation);
	}
}

/* A plan of these faults, on the benign tape or on the tape of a seed. */
static void exhaust_try(struct sim_exhaust *exhaust,
			const struct sim_case *what,
			const struct sim_fault *faults, uint32_t count,
			uint64_t seed)
{
	exhaust->plan.fault_count = 0;
	for (uint32_t i = 0; i < count; i++)
		sim_plan_add(&exhaust->plan, faults[i]);
	exhaust->seed = seed;
	exhaust->byte_count = 0;
	if (seed == 0)
		weir_tape_load(exhaust->tape, NULL, 0);
	else
		weir_tape_seed(exhaust->tape, seed);
	exhaust_run(exhaust, what, NULL);
}

void sim_exhaust_play(struct sim_exhaust *exhaust, const struct sim_case *what,
		      const uint8_t *bytes, uint32_t byte_count, uint16_t *ways)
{
	exhaust->plan.fault_count = 0;
	exhaust->seed = 0;
	exhaust->bytes = bytes;
	exhaust->byte_count = byte_count;
	weir_tape_load(exhaust->tape, bytes, byte_count);
	exhaust->tape->ways = ways;
	exhaust_run(exhaust, what, NULL);
	exhaust->tape->ways = NULL;
}

/* ---- singles and pairs ------------------------------------------------- */

/* The rows of the attempts after the last fault of the run just played. */
struct attempts {
	uint8_t rows[256];
	uint32_t count;
};

static struct attempts attempts_of(const struct sim_plan *plan)
{
	struct attempts attempts = { .count = plan->row_count };
	memcpy(attempts.rows, plan->rows, sizeof(attempts.rows));
	return attempts;
}

/* Each attempt with each errno, as the last fault of @faults. */
static void exhaust_last(struct sim_exhaust *exhaust,
			 const struct sim_case *what, struct sim_fault *faults,
			 uint32_t at, uint32_t count)
{
	const struct attempts attempts = attempts_of(&exhaust->plan);
	for (uint32_t n = 0; n < attempts.count; n++) {
		const struct sim_cell_errno *errnos =
			sim_cell_row((enum sim_row)attempts.rows[n])->errnos;
		for (; errnos->err != 0; errnos++) {
			faults[at] = (struct sim_fault){ .row = SIM_ANY,
							 .state = SIM_ANY,
							 .nth = n + 1,
							 .err = errnos->err };
			exhaust_try(exhaust, what, faults, at + 1, 0);
			if (at + 1 < count)
				exhaust_last(exhaust, what, faults, at + 1,
					     count);
		}
	}
}

static uint64_t exhaust_all(struct sim_exhaust *exhaust,
			    const struct sim_case *what, uint32_t count)
{
	struct sim_fault faults[SIM_PLAN_FAULTS] = { { .nth = 0 } };
	const uint64_t before = exhaust->runs;
	exhaust_try(exhaust, what, faults, 0, 0);
	exhaust_last(exhaust, what, faults, 0, count);
	return exhaust->runs - before;
}

uint64_t sim_exhaust_singles(struct sim_exhaust *exhaust,
			     const struct sim_case *what)
{
	return exhaust_all(exhaust, what, 1);
}

uint64_t sim_exhaust_pairs(struct sim_exhaust *exhaust,
			   const struct sim_case *what)
{
	return exhaust_all(exhaust, what, 2);
}

/* ---- enters ------------------------------------------------------------ */

static const struct sim_enter_fault enter_ways[] = {
	{ .err = -EINTR },  { .err = -EAGAIN }, { .err = -EBUSY },
	{ .err = -ENOMEM }, { .most = 0 },      { .most = 1 },
	{ .most = 2 },
};

uint64_t sim_exhaust_enters(struct sim_exhaust *exhaust,
			    const struct sim_case *what)
{
	static const uint32_t mores[] = { 0, 1, 6 };
	const uint64_t before = exhaust->runs;
	exhaust_try(exhaust, what, NULL, 0, 0);
	const uint32_t enters = exhaust->plan.enters;
	for (uint32_t nth = 1; nth <= enters; nth++)
		for (size_t i = 0;
		     i < sizeof(enter_ways) / sizeof(enter_ways[0]); i++)
			for (size_t m = 0; m < 3; m++) {
				struct sim_enter_fault fault = enter_ways[i];
				fault.nth = nth;
				fault.more = mores[m];
				exhaust->plan.enter_fault = fault;
				exhaust_try(exhaust, what, NULL, 0, 0);
			}
	exhaust->plan.enter_fault = (struct sim_enter_fault){ .nth = 0 };
	return exhaust->runs - before;
}

/* ---- search ------------------------------------------------------------ */

/* An attempt whose completion was seen in that state. */
struct place {
	const struct sim_case *what;
	uint64_t seed;
	uint32_t nth;
};

enum { PLACES = 6, PLACES_LEAST = 1 };

struct scout {
	struct place places[SIM_ROW_COUNT][SIM_STATES_MAX][PLACES];
	uint32_t counts[SIM_ROW_COUNT][SIM_STATES_MAX];
};

static void scout_note(struct scout *scout, const struct sim_plan *plan,
		       const struct sim_case *what, uint64_t seed)
{
	for (int row = 0; row < SIM_ROW_COUNT; row++)
		for (int state = 0; state < SIM_STATES_MAX; state++) {
			uint32_t *count = &scout->counts[row][state];
			if (plan->places[row][state] == 0 || *count == PLACES)
				continue;
			scout->places[row][state][(*count)++] = (struct place){
				.what = what,
				.seed = seed,
				.nth = plan->places[row][state],
			};
		}
}

/* Whether each empty cell has a place. */
static bool scout_is_done(const struct scout *scout,
			  const struct sim_cells *cells)
{
	for (int row = 0; row < SIM_ROW_COUNT; row++)
		for (uint32_t state = 0; state < SIM_STATES_MAX; state++)
			if (scout->counts[row][state] < PLACES_LEAST &&
			    sim_cell_is_defined((enum sim_row)row, 0, state) &&
			    sim_cells_have_hole(cells, (enum sim_row)row,
						state))
				return false;
	return true;
}

/* Finds a place for each row and state, without a fault. */
static void scout_run(struct sim_exhaust *exhaust, struct scout *scout,
		      uint64_t seeds)
{
	for (uint64_t seed = 0;
	     seed <= seeds && !scout_is_done(scout, &exhaust->plan.cells);
	     seed++)
		for (uint32_t i = 0; i < sim_case_count; i++) {
			exhaust_try(exhaust, &sim_cases[i], NULL, 0, seed);
			scout_note(scout, &exhaust->plan, &sim_cases[i], seed);
		}
}

static bool search_places(struct sim_exhaust *exhaust,
			  const struct scout *scout, enum sim_row row, int err,
			  uint32_t state, const uint32_t *hits)
{
	for (uint32_t i = 0; i < scout->counts[row][state] && *hits == 0; i++) {
		const struct place *place = &scout->places[row][state][i];
		const struct sim_fault fault = { .row = (int)row,
						 .state = SIM_ANY,
						 .nth = place->nth,
						 .err = err };
		exhaust_try(exhaust, place->what, &fault, 1, place->seed);
	}
	return *hits > 0;
}

/* In every case, at every place found for that state. */
static void search_cases(struct sim_exhaust *exhaust, enum sim_row row, int err,
			 uint32_t state, const uint32_t *hits)
{
	for (uint32_t i = 0; i < sim_case_count; i++) {
		struct sim_fault fault = { .row = (int)row,
					   .state = (int)state,
					   .err = err };
		for (fault.nth = 1; fault.nth <= NTH_MAX; fault.nth++) {
			if (*hits > 0)
				return;
			exhaust_try(exhaust, &sim_cases[i], &fault, 1, 0);
			if (exhaust->plan.at == 0)
				break; /* the case has fewer attempts */
		}
	}
}

static void search_row(struct sim_exhaust *exhaust, const struct scout *scout,
		       enum sim_row row)
{
	const struct sim_cell_errno *errnos = sim_cell_row(row)->errnos;
	for (int i = 0; errnos[i].err != 0; i++)
		for (uint32_t state = 0; state < SIM_STATES_MAX; state++) {
			const uint32_t *hits =
				&exhaust->plan.cells.hits[row][i][state];
			if (!sim_cell_is_defined(row, i, state) || *hits > 0)
				continue;
			if (!search_places(exhaust, scout, row, errnos[i].err,
					   state, hits))
				search_cases(exhaust, row, errnos[i].err, state,
					     hits);
		}
}

uint64_t sim_exhaust_search(struct sim_exhaust *exhaust, uint64_t seeds)
{
	static struct scout scout;
	const uint64_t before = exhaust->runs;
	memset(&scout, 0, sizeof(scout));
	scout_run(exhaust, &scout, seeds);
	for (int row = 0; row < SIM_ROW_COUNT; row++)
		search_row(exhaust, &scout, (enum sim_row)row);
	return exhaust->runs - before;
}

/* ---- open, close, tell ------------------------------------------------- */

int sim_exhaust_open(struct sim_exhaust *exhaust, struct weir_tape *tape)
{
	*exhaust = (struct sim_exhaust){ .tape = tape };
	int err = weir_sim_open(&exhaust->sim, tape, NULL);
	if (err < 0)
		return err;
	sim_watch_open(tell_run);
	return 0;
}

void sim_exhaust_close(struct sim_exhaust *exhaust)
{
	sim_watch_close();
	weir_sim_close(exhaust->sim);
}

void sim_exhaust_tell(struct sim_exhaust *exhaust,
		      const struct sim_finding *finding, FILE *out)
{
	static struct words words;
	words.count = 0;
	say_run(&words, finding);
	(void)fprintf(out, "rule broken: %s\n%s", finding->rule, words.text);
	if (exhaust->again != NULL)
		(void)fprintf(out, "again: %s\n", exhaust->again);
	exhaust->plan.fault_count = 0;
	exhaust->plan.enter_fault = finding->enter_fault;
	for (uint32_t i = 0; i < finding->fault_count; i++)
		sim_plan_add(&exhaust->plan, finding->faults[i]);
	exhaust->seed = finding->seed;
	exhaust->bytes = finding->bytes;
	exhaust->byte_count = finding->byte_count;
	if (finding->seed == 0)
		weir_tape_load(exhaust->tape, finding->bytes,
			       finding->byte_count);
	else
		weir_tape_seed(exhaust->tape, finding->seed);
	exhaust_run(exhaust, finding->what, out);
	exhaust->plan.enter_fault = (struct sim_enter_fault){ .nth = 0 };
}
