/* sim.c - weir-sim: schedules and faults, from a seed or a tape
 *
 *     seed or tape -> play -> (violation) -> shrink -> story
 *
 * An assertion of the library counts as a violation too: its text is on
 * stderr, and the run goes on in the handler of SIGABRT.
 */
#include "cli.h"

#include "../test/sim/shrink.h"
#include "../test/sim/story.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_S = 1000000000, PROGRESS_EVERY = 1024 };

static struct {
	uint64_t seed;
	uint64_t seeds;
	const char *tape_file;
	const char *shrink_file;
	const char *story_name;
	bool lists_stories;
	bool is_quiet;
} given = { .seed = 1, .seeds = 10000, .story_name = "all" };

/* clang-format off */
static const struct cli_option sim_options[] = {
	{ .help = "What it plays" },
	{ "seed", "N", CLI_UINT, &given.seed, 0, UINT64_MAX, NULL, NULL,
	  "the first seed; alone, that one with its story" },
	{ "seeds", "N", CLI_UINT, &given.seeds, 1, UINT64_MAX, NULL, NULL,
	  "how many from there on" },
	{ "story", "NAME", CLI_TEXT, &given.story_name, 0, 0, NULL, NULL,
	  "this one; all: each tape chooses by its first byte. --stories lists "
	  "them" },
	{ "stories", NULL, CLI_SWITCH, &given.lists_stories, 0, 0, NULL, NULL,
	  "only list the stories" },
	{ "tape", "FILE", CLI_TEXT, &given.tape_file, 0, 0, NULL, "",
	  "the choices in FILE, with their story" },
	{ "shrink", "FILE", CLI_TEXT, &given.shrink_file, 0, 0, NULL, "",
	  "make the tape in FILE, which fails, as small as it goes; it is "
	  "written back" },
	{ .help = "What it tells" },
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
		"  weir-sim --seed 4711 --seeds 1        one, and what happens\n"
		"  weir-sim --tape weir-sim.tape         the last failure again\n"
		"\n"
		"Exit status: 0 if no rule was broken, 1 if one was, 2 for "
		"wrong options.\n",
};
/* clang-format on */

static struct weir_sim *world;
static struct weir_tape tape;
static sigjmp_buf on_abort;
static volatile sig_atomic_t is_playing;
static bool prints_story;
static const struct sim_story *story; /* NULL: the tape's choice */

static void handle_abort(int number)
{
	(void)number;
	if (is_playing)
		siglongjmp(on_abort, 1);
}

/* Plays what is on the tape. */
static struct sim_story_result play(FILE *out)
{
	struct sim_story_result result = { .violation = NULL };

	if (sigsetjmp(on_abort, 1) != 0) {
		is_playing = 0;
		result.violation = "an assertion fails (see above)";
		result.hash = weir_sim_hash(world);
		return result;
	}
	is_playing = 1;
	sim_story_play(world, &tape, story, out, &result);
	is_playing = 0;
	return result;
}

/* ---- tapes in files -------------------------------------------------------
 */

static bool tape_read(const char *name)
{
	static uint8_t bytes[WEIR_TAPE_BYTES_MAX];
	FILE *file = fopen(name, "rb");
	if (file == NULL) {
		perror(name);
		return false;
	}
	const size_t count = fread(bytes, 1, sizeof(bytes), file);
	(void)fclose(file); /* it was read only */
	weir_tape_load(&tape, bytes, count);
	return true;
}

static bool tape_write(const char *name, const uint8_t *bytes, size_t count)
{
	FILE *file = fopen(name, "wb");
	if (file == NULL || fwrite(bytes, 1, count, file) != count ||
	    fclose(file) != 0) {
		perror(name);
		return false;
	}
	return true;
}

/* ---- a failure ------------------------------------------------------------
 */

static bool fails_alike(const uint8_t *bytes, size_t byte_count, void *ctx)
{
	const char *rule = ctx;
	weir_tape_load(&tape, bytes, byte_count);
	const struct sim_story_result result = play(NULL);
	return result.violation != NULL && strcmp(result.violation, rule) == 0;
}

/* Assertions print; while a tape shrinks, the same one hundreds of times. */
static size_t shrink_in_silence(uint8_t *bytes, size_t count, const char *rule)
{
	const int kept = dup(STDERR_FILENO);
	(void)fflush(stderr);
	if (freopen("/dev/null", "w", stderr) == NULL)
		return count; /* as it is, then */
	count = sim_shrink(bytes, count, fails_alike, (void *)(uintptr_t)rule);
	(void)fflush(stderr);
	(void)dup2(kept, STDERR_FILENO);
	(void)close(kept);
	return count;
}

static int tell_failure(const char *rule, const char *file)
{
	static uint8_t bytes[WEIR_TAPE_BYTES_MAX];
	const size_t all =
		tape.at < tape.byte_count ? tape.at : tape.byte_count;
	memcpy(bytes, tape.bytes, all);
	const size_t count = shrink_in_silence(bytes, all, rule);

	(void)printf("rule broken: %s\n", rule);
	(void)printf("smallest tape: %zu of %zu bytes\n ", count, all);
	for (size_t i = 0; i < count; i++)
		(void)printf(" %02x%s", bytes[i], i % 24 == 23 ? "\n " : "");
	(void)printf("\nits story:\n");
	weir_tape_load(&tape, bytes, count);
	(void)fflush(stdout);
	(void)play(stdout);
	if (tape_write(file, bytes, count))
		(void)printf("again: weir-sim --story %s --tape %s\n",
			     given.story_name, file);
	return EXIT_FAILURE;
}

/* ---- many -----------------------------------------------------------------
 */

static double seconds_since(const struct timespec *start)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) +
	       (double)(now.tv_nsec - start->tv_nsec) / NS_PER_S;
}

struct sum {
	struct timespec start;
	uint64_t schedules;
	uint64_t cqes;
	uint64_t bytes;
	uint64_t hash;
};

static void tell_progress(const struct sum *sum, const char *end)
{
	const double seconds = seconds_since(&sum->start);
	(void)printf("\r%" PRIu64 " schedules, %.0f per second", sum->schedules,
		     (double)sum->schedules / seconds);
	(void)printf("%s", end);
	(void)fflush(stdout);
}

static int play_seeds(void)
{
	struct sum sum = { .schedules = 0 };
	(void)clock_gettime(CLOCK_MONOTONIC, &sum.start);

	for (uint64_t i = 0; i < given.seeds; i++) {
		weir_tape_seed(&tape, given.seed + i);
		const struct sim_story_result result =
			play(prints_story ? stdout : NULL);
		sum.schedules++;
		sum.cqes += result.cqes;
		sum.bytes += result.echoed_bytes;
		sum.hash = sum.hash * 31 + result.hash;
		if (result.violation != NULL) {
			(void)printf("\nseed %" PRIu64 "\n", given.seed + i);
			return tell_failure(result.violation, "weir-sim.tape");
		}
		if (!given.is_quiet && isatty(STDOUT_FILENO) == 1 &&
		    i % PROGRESS_EVERY == 0)
			tell_progress(&sum, "");
	}
	tell_progress(&sum, "\n");
	(void)printf("%.1f completions and %.1f echoed bytes each; hash "
		     "%016" PRIx64 "; no rule was broken\n",
		     (double)sum.cqes / (double)sum.schedules,
		     (double)sum.bytes / (double)sum.schedules, sum.hash);
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
	const struct sigaction action = { .sa_handler = handle_abort };
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
	if (weir_sim_open(&world, &tape, NULL) < 0) {
		(void)fprintf(stderr, "weir-sim: no memory for a world\n");
		return EXIT_FAILURE;
	}
	(void)sigaction(SIGABRT, &action, NULL);
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
