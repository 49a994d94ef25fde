/* sim_main.c - plays worlds by the command line: seeds, a seed, or a tape
 *
 *     play --> (violation, assertion) --> shrink --> story --> the command
 *
 * Not here: what a world does.
 */
#include "sim_main.h"

#include "shrink.h"
#include "tape_text.h"
#include "watch.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	EXIT_USAGE = 2,
	SEEDS_DEFAULT = 1000,
	AGAIN_BYTES = 4096,
	LINE_BYTES_MAX = 1024, /* of a tape printed as one argument */
	RULE_BYTES = SIM_TAPE_RULE_BYTES,
};

static struct {
	const char *program;
	struct weir_sim_opts opts;
	weir_sim_play_fn play;
	void *ctx;
	struct weir_sim *sim;
	struct weir_tape tape;
	struct sim_tape_text text;
	char again[AGAIN_BYTES]; /* the command that plays this world again */
	FILE *story;             /* of the current world; may be NULL */
} given;

/* ---- a world ----------------------------------------------------------- */

/* The program dies: print the command. */
static void tell_again(void)
{
	const size_t bytes = strlen(given.again);
	if (write(STDERR_FILENO, "again: ", 7) < 0 ||
	    write(STDERR_FILENO, given.again, bytes) < 0 ||
	    write(STDERR_FILENO, "\n", 1) < 0)
		return; /* stderr is closed */
}

static void world_begin(void *ctx)
{
	struct weir_sim_opts opts = given.opts;
	(void)ctx;
	opts.story = given.story;
	weir_sim_reset(given.sim, &given.tape, &opts);
	given.play(given.sim, given.ctx);
}

/* Plays the tape. Return: the rule that was broken, or NULL. */
static const char *world_play(FILE *story)
{
	given.story = story;
	const char *rule = sim_watch_play(world_begin, NULL);
	return rule != NULL ? rule : weir_sim_violation(given.sim);
}

static void again_by_tape(const uint8_t *bytes, size_t byte_count)
{
	size_t at = (size_t)snprintf(given.again, sizeof(given.again),
				     "%s --tape ", given.program);
	if (at >= sizeof(given.again))
		return;
	if (byte_count == 0)
		(void)snprintf(given.again + at, sizeof(given.again) - at,
			       "''");
	for (size_t i = 0; i < byte_count && at + 2 < sizeof(given.again); i++)
		at += (size_t)snprintf(given.again + at,
				       sizeof(given.again) - at, "%02x",
				       bytes[i]);
}

/* ---- a failure --------------------------------------------------------- */

static bool fails_alike(const uint8_t *bytes, size_t byte_count, void *ctx)
{
	weir_tape_load(&given.tape, bytes, byte_count);
	again_by_tape(bytes, byte_count);
	const char *rule = world_play(NULL);
	return rule != NULL && strncmp(rule, ctx, RULE_BYTES - 1) == 0;
}

/* A long tape goes to a file. */
static void tell_command(const uint8_t *bytes, size_t byte_count,
			 const char *rule)
{
	static const char file[] = "sim.tape";
	again_by_tape(bytes, byte_count);
	if (byte_count > LINE_BYTES_MAX) {
		memcpy(given.text.rule, rule, RULE_BYTES);
		given.text.story[0] = '\0';
		memcpy(given.text.bytes, bytes, byte_count);
		given.text.byte_count = byte_count;
		const int err = sim_tape_text_save(file, &given.text);
		if (err < 0)
			(void)printf("%s: %s\n", file, strerror(-err));
		(void)snprintf(given.again, sizeof(given.again), "%s --tape %s",
			       given.program, file);
	}
	(void)printf("again: %s\n", given.again);
}

/* Copies the rule: the next play may overwrite its text. */
static int tell_failure(const char *broken)
{
	static uint8_t bytes[WEIR_TAPE_BYTES_MAX];
	char rule[RULE_BYTES];
	const size_t all = given.tape.at < given.tape.byte_count
				   ? given.tape.at
				   : given.tape.byte_count;
	(void)snprintf(rule, sizeof(rule), "%s", broken);
	memcpy(bytes, given.tape.bytes, all);
	const size_t count =
		sim_shrink_in_silence(bytes, all, fails_alike, rule);
	(void)printf("rule broken: %s\n", rule);
	(void)printf("smallest tape: %zu of %zu bytes; how it goes:\n", count,
		     all);
	(void)fflush(stdout);
	weir_tape_load(&given.tape, bytes, count);
	(void)world_play(stdout);
	tell_command(bytes, count, rule);
	return EXIT_FAILURE;
}

/* ---- what was asked for ------------------------------------------------ */

static int play_seeds(uint64_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		const uint64_t seed = first + i;
		weir_tape_seed(&given.tape, seed);
		(void)snprintf(given.again, sizeof(given.again),
			       "%s --seed %" PRIu64, given.program, seed);
		const char *rule = world_play(NULL);
		if (rule == NULL)
			continue;
		(void)printf("seed %" PRIu64 "\n", seed);
		(void)fflush(stdout);
		return tell_failure(rule);
	}
	(void)printf("%" PRIu64 " seeds from %" PRIu64 ": no rule was broken\n",
		     count, first);
	return EXIT_SUCCESS;
}

/* Plays the tape as it is. */
static int play_told(void)
{
	const char *rule = world_play(stdout);
	(void)printf("%s%s\n", rule != NULL ? "rule broken: " : "",
		     rule != NULL ? rule : "no rule was broken");
	return rule != NULL ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int play_seed(uint64_t seed)
{
	weir_tape_seed(&given.tape, seed);
	(void)snprintf(given.again, sizeof(given.again), "%s --seed %" PRIu64,
		       given.program, seed);
	return play_told();
}

/* @tape: a file, or else hex. */
static int play_tape(const char *tape)
{
	int err = sim_tape_text_load(tape, &given.text);
	if (err == -ENOENT)
		err = sim_tape_text_parse(tape, &given.text);
	if (err < 0) {
		(void)fprintf(stderr,
			      "%s: --tape wants a file or bytes in hex, not "
			      "'%s' (%s)\n",
			      given.program, tape, strerror(-err));
		return EXIT_USAGE;
	}
	weir_tape_load(&given.tape, given.text.bytes, given.text.byte_count);
	again_by_tape(given.text.bytes, given.text.byte_count);
	return play_told();
}

static void print_help(void)
{
	(void)printf(
		"usage: %s [--first S] [--seeds N] | --seed S | --tape T\n"
		"\n"
		"Plays worlds: handlers on a kernel that is simulated. Every "
		"choice, which thing\nhappens next and which fails, comes from "
		"one string of bytes, a tape; a seed\nwrites one.\n"
		"\n"
		"  --seeds N   how many worlds, up to the first that breaks a "
		"rule; %d\n"
		"              unless given\n"
		"  --first S   the first seed; 1 unless given\n"
		"  --seed S    this one alone, with its story in virtual time\n"
		"  --tape T    the choices in T, bytes in hex or a file of "
		"them, with their\n"
		"              story\n"
		"  --help      this text\n"
		"\n"
		"If a rule is broken, the smallest tape that breaks it is "
		"played, and the command\nis printed that plays it again. Exit "
		"status: 0 if no rule was broken, 1 if one\nwas, 2 for wrong "
		"options.\n",
		given.program, SEEDS_DEFAULT);
}

/* False: not a number. */
static bool number_read(const char *text, uint64_t *out_value)
{
	char *end = NULL;
	errno = 0;
	const unsigned long long value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || *text == '-') {
		(void)fprintf(stderr, "%s: '%s' is no number of a seed\n",
			      given.program, text);
		return false;
	}
	*out_value = value;
	return true;
}

static int play_asked(int argc, char **argv)
{
	enum { SEED = 1, FIRST, SEEDS, TAPE, HELP };
	static const struct option options[] = {
		{ "seed", required_argument, NULL, SEED },
		{ "first", required_argument, NULL, FIRST },
		{ "seeds", required_argument, NULL, SEEDS },
		{ "tape", required_argument, NULL, TAPE },
		{ "help", no_argument, NULL, HELP },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t first = 1, count = SEEDS_DEFAULT, seed = 0;
	const char *tape = NULL;
	bool has_seed = false;
	int option;
	optind = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == HELP) {
			print_help();
			return EXIT_SUCCESS;
		}
		if (option == TAPE)
			tape = optarg;
		else if (option == '?' ||
			 !number_read(optarg, option == SEED    ? &seed
					      : option == FIRST ? &first
								: &count))
			return EXIT_USAGE;
		has_seed = has_seed || option == SEED;
	}
	if (optind < argc) {
		(void)fprintf(stderr, "%s: what is '%s'? See --help\n",
			      given.program, argv[optind]);
		return EXIT_USAGE;
	}
	if (tape != NULL)
		return play_tape(tape);
	return has_seed ? play_seed(seed) : play_seeds(first, count);
}

int weir_sim_main(int argc, char **argv, const struct weir_sim_opts *opts,
		  weir_sim_play_fn play, void *ctx)
{
	given.program = argc > 0 ? argv[0] : "simulate";
	given.opts = opts != NULL ? *opts : (struct weir_sim_opts){ 0 };
	given.play = play;
	given.ctx = ctx;
	if (weir_sim_open(&given.sim, &given.tape, NULL) < 0) {
		(void)fprintf(stderr, "%s: no memory for a world\n",
			      given.program);
		return EXIT_FAILURE;
	}
	sim_watch_open(tell_again);
	const int status = play_asked(argc, argv);
	sim_watch_close();
	weir_sim_close(given.sim);
	return status;
}
