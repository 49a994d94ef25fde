/* sim.c - weir-sim: schedules and faults, from a seed or a tape
 *
 *     seed or tape -> play -> (violation) -> shrink -> story
 *
 * A failed assertion of the library is a violation too; its text is on stderr.
 * So is a world that never ends (watch.h). If a process dies, its seed is
 * known.
 */
#include "../lib/cli.h"
#include "sim_exhaust.h"

#include "../../test/sim/shrink.h"
#include "../../test/sim/story.h"
#include "../../test/sim/tape_text.h"
#include "../../test/sim/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __clang__
#define COMPILER __VERSION__ /* says "Clang" itself */
#else
#define COMPILER "gcc " __VERSION__
#endif

enum {
	NS_PER_S = 1000000000,
	PROGRESS_NS = 200 * 1000 * 1000,
	SHARE = 256, /* seeds that a process takes at a time */
	JOBS_MAX = 256,
	SEEDS_DEFAULT = 10000,
};

#define SEED_NONE UINT64_MAX /* none was given */

static struct {
	uint64_t seed;
	uint64_t seeds;
	const char *tape_file;
	const char *shrink_file;
	const char *story_name;
	const char *exhaust_name;
	uint64_t jobs;
	bool lists_stories;
	bool is_quiet;
} given = { .seed = SEED_NONE, .story_name = "all" };

/* clang-format off */
static const struct cli_option sim_options[] = {
	{ .help = "What it plays" },
	{ "seed", "N", CLI_UINT, &given.seed, 0, UINT64_MAX - 1, NULL, "1",
	  "the first seed; without --seeds only this one, with its story" },
	{ "seeds", "N", CLI_UINT, &given.seeds, 1, UINT64_MAX, NULL, "10000",
	  "how many seeds, from --seed on" },
	{ "story", "NAME", CLI_TEXT, &given.story_name, 0, 0, NULL, NULL,
	  "play this story; all: the first byte of each tape chooses one. "
	  "--stories lists them" },
	{ "stories", NULL, CLI_SWITCH, &given.lists_stories, 0, 0, NULL, NULL,
	  "list the stories, and play none" },
	{ "tape", "FILE", CLI_TEXT, &given.tape_file, 0, 0, NULL, "",
	  "play the choices in FILE, hex text or raw; FILE may also be the hex "
	  "itself. Prints the story" },
	{ "shrink", "FILE", CLI_TEXT, &given.shrink_file, 0, 0, NULL, "",
	  "make the failing tape in FILE as small as possible, and write it "
	  "back" },
	{ "exhaust", "CASE", CLI_TEXT, &given.exhaust_name, 0, 0, NULL, "",
	  "play every fault in every state of this small case, and every two; "
	  "all: each case, with a report of what was reached" },
	{ "jobs", "N", CLI_UINT, &given.jobs, 0, JOBS_MAX, NULL, "one per CPU",
	  "processes that share the seeds; the result is the same" },
	{ .help = "Output" },
	{ "quiet", NULL, CLI_SWITCH, &given.is_quiet, 0, 0, NULL, NULL,
	  "no progress line" },
};

static const struct cli_tool sim_tool = {
	.name = "weir-sim",
	.version = TOOLS_VERSION,
	.summary =
		"Plays stories: weir at work, its peers, and a kernel that is "
		"simulated:\nin any order of completions, with any segments, "
		"and with faults. Every choice\ncomes from one string of bytes, "
		"a tape; a seed writes one.",
	.options = sim_options,
	.option_count = sizeof(sim_options) / sizeof(sim_options[0]),
	.closing =
		"A run that breaks a rule prints the rule, the smallest tape "
		"that breaks it in\nhex, and its story in virtual time; the tape "
		"is left in weir-sim.tape.\n"
		"\n"
		"Examples:\n"
		"  weir-sim                              ten thousand seeds\n"
		"  weir-sim --seed 4711                  one, and what happens\n"
		"  weir-sim --tape weir-sim.tape         the last failure again\n"
		"\n"
		"Exit status: 0 if no rule was broken, 1 if one was, 2 for "
		"wrong options.\n",
};
/* clang-format on */

#define HASH_SEED UINT64_C(0x9e3779b97f4a7c15)
#define HASH_MIX UINT64_C(0xff51afd7ed558ccd)

static struct weir_sim *world;
static struct weir_tape tape;
static bool prints_story;
static const struct sim_story *story; /* NULL: the tape's choice */

struct world_ctx {
	FILE *out;
	struct sim_story_result result;
};

static void world_play(void *ctx)
{
	struct world_ctx *play = ctx;
	sim_story_play(world, &tape, story, play->out, &play->result);
}

/* Plays what is on the tape. */
static struct sim_story_result play(FILE *out)
{
	struct world_ctx ctx = { .out = out };
	const char *rule = sim_watch_play(world_play, &ctx);
	if (rule != NULL) {
		ctx.result.violation = rule;
		ctx.result.hash = weir_sim_hash(world);
	}
	return ctx.result;
}

/* ---- tapes in files ---------------------------------------------------- */

static struct sim_tape_text text;

/* Reads a tape, and its story unless an option names another. */
static bool tape_read(const char *name)
{
	int err = sim_tape_text_load(name, &text);
	if (err == -ENOENT && sim_tape_text_parse(name, &text) == 0)
		err = 0;
	if (err == 0 && text.story[0] != '\0' && story == NULL) {
		story = sim_story_find(text.story);
		if (story == NULL)
			err = -ENOENT;
	}
	if (err < 0) {
		(void)fprintf(stderr, "weir-sim: %s: %s\n", name,
			      err == -EINVAL ? "half a byte" : strerror(-err));
		return false;
	}
	weir_tape_load(&tape, text.bytes, text.byte_count);
	return true;
}

static bool tape_write(const char *name, const char *rule, const uint8_t *bytes,
		       size_t count)
{
	(void)snprintf(text.story, sizeof(text.story), "%s", story->name);
	(void)snprintf(text.rule, sizeof(text.rule), "%s", rule);
	memcpy(text.bytes, bytes, count);
	text.byte_count = count;
	const int err = sim_tape_text_save(name, &text);
	if (err < 0)
		(void)fprintf(stderr, "weir-sim: %s: %s\n", name,
			      strerror(-err));
	return err == 0;
}

/* ---- a failure --------------------------------------------------------- */

static bool fails_alike(const uint8_t *bytes, size_t byte_count, void *ctx)
{
	const char *rule = ctx;
	weir_tape_load(&tape, bytes, byte_count);
	const struct sim_story_result result = play(NULL);
	return result.violation != NULL && strcmp(result.violation, rule) == 0;
}

/* Names the story that the tape has chosen, so that the tape keeps its meaning
 * when stories are added. Return: bytes that the choice took. */
static size_t story_settle(void)
{
	if (story != NULL || sim_story_count == 1)
		return 0;
	story = &sim_stories[tape.bytes[0] % sim_story_count];
	return 1;
}

/* Works on a copy of the rule: the next play may overwrite the text. */
static int tell_failure(const char *broken, const char *file)
{
	static uint8_t bytes[WEIR_TAPE_BYTES_MAX];
	char rule[SIM_TAPE_RULE_BYTES];
	size_t all = tape.at < tape.byte_count ? tape.at : tape.byte_count;
	const size_t skip = story_settle();
	(void)snprintf(rule, sizeof(rule), "%s", broken);
	all -= skip < all ? skip : all;
	memcpy(bytes, tape.bytes + skip, all);
	const size_t count =
		sim_shrink_in_silence(bytes, all, fails_alike, rule);
	(void)printf("story: %s\nrule broken: %s\n", story->name, rule);
	(void)printf("smallest tape: %zu of %zu bytes\n", count, all);
	sim_tape_text_print(bytes, count, stdout);
	(void)printf("how it goes:\n");
	weir_tape_load(&tape, bytes, count);
	(void)fflush(stdout);
	(void)play(stdout);
	if (tape_write(file, rule, bytes, count))
		(void)printf("again: weir-sim --tape %s\n", file);
	return EXIT_FAILURE;
}

/* ---- many -------------------------------------------------------------- */

static double seconds_since(const struct timespec *start)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) +
	       (double)(now.tv_nsec - start->tv_nsec) / NS_PER_S;
}

/* The sums of all processes, in memory that they share. */
struct sum {
	struct timespec start;
	uint64_t taken; /* seeds */
	uint64_t schedules;
	uint64_t cqes;
	uint64_t bytes;
	uint64_t hash; /* in any order of the seeds */
	uint32_t failures;
	uint64_t seeds[JOBS_MAX]; /* the seed that each process plays */
};

static struct sum *sum;
static uint64_t job; /* the number of this process */

static void sum_add(uint64_t seed, const struct sim_story_result *result)
{
	const uint64_t mixed = (result->hash ^ seed * HASH_SEED) * HASH_MIX;
	(void)__atomic_add_fetch(&sum->schedules, 1, __ATOMIC_RELAXED);
	(void)__atomic_add_fetch(&sum->cqes, result->cqes, __ATOMIC_RELAXED);
	(void)__atomic_add_fetch(&sum->bytes, result->echoed_bytes,
				 __ATOMIC_RELAXED);
	(void)__atomic_add_fetch(&sum->hash, mixed ^ mixed >> 32,
				 __ATOMIC_RELAXED);
}

static void tell_progress(const char *end)
{
	const double seconds = seconds_since(&sum->start);
	const uint64_t schedules =
		__atomic_load_n(&sum->schedules, __ATOMIC_RELAXED);
	(void)printf("\r%" PRIu64 " schedules, %.0f per second", schedules,
		     (double)schedules / seconds);
	(void)printf("%s", end);
	(void)fflush(stdout);
}

/* Return: the exit status of this process. One of several failures is reported.
 */
static int play_one(uint64_t seed)
{
	weir_tape_seed(&tape, seed);
	__atomic_store_n(&sum->seeds[job], seed, __ATOMIC_RELAXED);
	const struct sim_story_result result =
		play(prints_story ? stdout : NULL);
	sum_add(seed, &result);
	if (result.violation == NULL)
		return EXIT_SUCCESS;
	if (__atomic_fetch_add(&sum->failures, 1, __ATOMIC_RELAXED) > 0)
		return EXIT_FAILURE;
	(void)printf("\nseed %" PRIu64 "\n", seed);
	(void)fflush(stdout);
	return tell_failure(result.violation, "weir-sim.tape");
}

static bool tells_progress(void)
{
	return !given.is_quiet && isatty(STDOUT_FILENO) == 1;
}

/* Prints progress if there is one process, after each share. */
static void tell_progress_alone(struct timespec *told)
{
	if (seconds_since(told) * NS_PER_S < PROGRESS_NS)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, told);
	tell_progress("");
}

/* Plays shares of the seeds until none is left or one has failed. */
static int play_shares(bool tells)
{
	struct timespec told = sum->start;
	sim_watch_open(NULL); /* each process has its own */
	for (;;) {
		const uint64_t first = __atomic_fetch_add(&sum->taken, SHARE,
							  __ATOMIC_RELAXED);
		for (uint64_t i = first; i < first + SHARE; i++) {
			if (i >= given.seeds ||
			    __atomic_load_n(&sum->failures, __ATOMIC_RELAXED))
				return EXIT_SUCCESS;
			const int status = play_one(given.seed + i);
			if (status != EXIT_SUCCESS)
				return status;
		}
		if (tells)
			tell_progress_alone(&told);
	}
}

static uint64_t jobs_count(void)
{
	cpu_set_t cpus;
	uint64_t jobs = given.jobs;
	if (jobs == 0)
		jobs = sched_getaffinity(0, sizeof(cpus), &cpus) == 0
			       ? (uint64_t)CPU_COUNT(&cpus)
			       : 1;
	const uint64_t shares = (given.seeds + SHARE - 1) / SHARE;
	return jobs < shares ? jobs : shares;
}

static pid_t pids[JOBS_MAX];

/* Returns how many were started. */
static uint64_t jobs_start(uint64_t count)
{
	(void)fflush(NULL);
	for (uint64_t i = 0; i < count; i++) {
		sum->seeds[i] = given.seed;
		pids[i] = fork();
		if (pids[i] < 0)
			return i;
		if (pids[i] == 0) {
			job = i;
			const int status = play_shares(false);
			(void)fflush(NULL);
			_exit(status);
		}
	}
	return count;
}

/* One process has ended. Return: whether it succeeded; if not, the others end
 * as well. */
static bool job_ended(pid_t pid, int status)
{
	uint64_t at = 0;
	if (status == 0)
		return true;
	if (__atomic_fetch_add(&sum->failures, 1, __ATOMIC_RELAXED) > 0 &&
	    WIFEXITED(status))
		return false; /* a process has reported it */
	while (at + 1 < JOBS_MAX && pids[at] != pid)
		at++;
	const uint64_t seed =
		__atomic_load_n(&sum->seeds[at], __ATOMIC_RELAXED);
	(void)printf("\nseed %" PRIu64 ": its process ended by %s %d\n"
		     "again: weir-sim --seed %" PRIu64 " --story %s\n",
		     seed, WIFEXITED(status) ? "exit" : "signal",
		     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
		     seed, given.story_name);
	return false;
}

/* Whether all processes succeeded. */
static bool jobs_await(uint64_t count)
{
	const bool tells = tells_progress();
	bool is_well = true;
	while (count > 0) {
		int status = 0;
		const pid_t pid = waitpid(-1, &status, tells ? WNOHANG : 0);
		if (pid > 0) {
			is_well = job_ended(pid, status) && is_well;
			count--;
			continue;
		}
		const struct timespec pause = { .tv_nsec = PROGRESS_NS };
		(void)nanosleep(&pause, NULL);
		tell_progress("");
	}
	return is_well;
}

static int play_seeds(void)
{
	const uint64_t jobs = jobs_count();
	sum = mmap(NULL, sizeof(*sum), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sum == MAP_FAILED) {
		perror("weir-sim: mmap");
		return EXIT_FAILURE;
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &sum->start);
	const uint64_t started = jobs > 1 ? jobs_start(jobs) : 0;
	const bool is_well =
		started > 0 ? jobs_await(started)
			    : play_shares(tells_progress()) == EXIT_SUCCESS;
	if (!is_well)
		return EXIT_FAILURE;
	tell_progress("\n");
	(void)printf("%.1f completions and %.1f echoed bytes each; hash "
		     "%016" PRIx64 "; no rule was broken\n",
		     (double)sum->cqes / (double)sum->schedules,
		     (double)sum->bytes / (double)sum->schedules, sum->hash);
	return EXIT_SUCCESS;
}

static int play_tape(void)
{
	if (!tape_read(given.tape_file))
		return CLI_EXIT_USAGE;
	const struct sim_story_result result = play(stdout);
	if (result.violation == NULL) {
		(void)printf("no rule was broken\n");
		return EXIT_SUCCESS;
	}
	(void)printf("rule broken: %s\n", result.violation);
	return EXIT_FAILURE;
}

static int shrink_tape(void)
{
	if (!tape_read(given.shrink_file))
		return CLI_EXIT_USAGE;
	const struct sim_story_result result = play(NULL);
	if (result.violation == NULL) {
		(void)printf("no rule was broken: there is nothing to "
			     "shrink\n");
		return EXIT_SUCCESS;
	}
	return tell_failure(result.violation, given.shrink_file);
}

static void list_stories(void)
{
	for (uint32_t i = 0; i < sim_story_count; i++)
		(void)printf("%-10s %s\n", sim_stories[i].name,
			     sim_stories[i].what);
}

int main(int argc, char **argv)
{
	int status = cli_start(&sim_tool, argc, argv);
	if (status >= 0)
		return status;
	if (given.lists_stories) {
		list_stories();
		return EXIT_SUCCESS;
	}
	story = sim_story_find(given.story_name);
	if (story == NULL && strcmp(given.story_name, "all") != 0) {
		(void)fprintf(stderr, "weir-sim: no story is called %s\n",
			      given.story_name);
		return CLI_EXIT_USAGE;
	}
	if (given.seeds == 0)
		given.seeds = given.seed == SEED_NONE ? SEEDS_DEFAULT : 1;
	if (given.seed == SEED_NONE)
		given.seed = 1;
	(void)printf("weir-sim %s, %s", TOOLS_VERSION, COMPILER);
	if (given.exhaust_name != NULL) {
		(void)printf("; every fault of: %s\n", given.exhaust_name);
		return sim_exhaust(&tape, given.exhaust_name, given.is_quiet);
	}
	(void)printf("; first seed %" PRIu64 "\n", given.seed);
	if (weir_sim_open(&world, &tape, NULL) < 0) {
		(void)fprintf(stderr, "weir-sim: no memory for a world\n");
		return EXIT_FAILURE;
	}
	sim_watch_open(NULL);
	prints_story = given.seeds == 1;
	if (given.tape_file != NULL)
		status = play_tape();
	else if (given.shrink_file != NULL)
		status = shrink_tape();
	else
		status = play_seeds();
	weir_sim_close(world);
	return status;
}
