/* main.c - uring_test: all suites, or those named on the command line
 *
 *     records of WI_SUITE --> a runner for each suite --> a line for each test
 *                                                             |
 *                       tests, cases, skipped, CPU seconds <--+
 *
 * Check counts cases: a loop test has many. Only Check's TAP report says which
 * case belongs to which test. So Check writes that report into memory, and
 * main.c reads it from there.
 */
#include "rig/skips.h"
#include "suites.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
	"usage: uring_test [--times] [SUITE]...\n"
	"       uring_test --list [FLAG | no-FLAG]...\n"
	"\n"
	"Runs the named suites, or all. Each skip is printed with its "
	"reason.\n"
	"The last two lines are \"865 tests (3,510 cases), 7 skipped\" and\n"
	"\"N passed, N failed\", in tests: a test that is a loop has a case "
	"for each\n"
	"round. A suite that skips all of its tests fails, unless this build "
	"is without\n"
	"the part, or WEIR_FORCE_OFF forces it off.\n"
	"\n"
	"  --times   also print the CPU seconds of each suite (user + system, "
	"with its\n"
	"            processes), and its wall time\n"
	"  --list    only print the names of suites: with FLAG those that have "
	"it, with\n"
	"            no-FLAG those that do not; the flags:\n";

static const char usage_end[] =
	"\n"
	"  WEIR_DEEP=1    the deep tier: long forms, and tests that depend on "
	"the clock of\n"
	"                 a busy machine\n"
	"  CK_FORK=no     one process, for gdb\n"
	"  CK_RUN_CASE=X  only the test case X of the suite\n"
	"\n"
	"Exit status: 0 if none failed, 1 if one did, 2 for wrong options.\n";

/* Start and end of the section, from the linker. */
extern const struct wi_suite *const __start_wi_suites[];
extern const struct wi_suite *const __stop_wi_suites[];
extern const struct wi_child *const __start_wi_children[];
extern const struct wi_child *const __stop_wi_children[];

static const struct {
	const char *word;
	const char *what;
} flags[WI_FLAG_COUNT] = {
#define FLAG_ROW(id, flag_word, flag_what)                                     \
	[WI_FLAG_##id] = { .word = flag_word, .what = flag_what },
	WI_SUITE_FLAGS(FLAG_ROW)
#undef FLAG_ROW
};

static int suite_count(void)
{
	return (int)(__stop_wi_suites - __start_wi_suites);
}

static const struct wi_suite *suite_at(int index)
{
	return __start_wi_suites[index];
}

static const struct wi_suite *suite_find(const char *name)
{
	for (int i = 0; i < suite_count(); i++)
		if (strcmp(suite_at(i)->name, name) == 0)
			return suite_at(i);
	return NULL;
}

static int child_run(const char *name, const char *argument)
{
	const struct wi_child *const *at;
	for (at = __start_wi_children; at < __stop_wi_children; at++)
		if (strcmp((*at)->name, name) == 0)
			return (*at)->run(argument);
	(void)fprintf(stderr, "uring_test: no child named '%s'\n", name);
	return 2;
}

/* ---- --help and --list ------------------------------------------------- */

static int help(void)
{
	(void)fputs(usage, stdout);
	for (int i = 0; i < WI_FLAG_COUNT; i++)
		(void)printf("              %-9s %s\n", flags[i].word,
			     flags[i].what);
	(void)fputs(usage_end, stdout);
	return EXIT_SUCCESS;
}

/* The flag that @word names, or 0. */
static unsigned flag_find(const char *word)
{
	for (int i = 0; i < WI_FLAG_COUNT; i++)
		if (strcmp(flags[i].word, word) == 0)
			return 1u << i;
	return 0;
}

static int list(int word_count, char **words)
{
	unsigned wanted = 0;
	unsigned unwanted = 0;
	for (int i = 0; i < word_count; i++) {
		const bool is_no = strncmp(words[i], "no-", 3) == 0;
		const unsigned flag = flag_find(words[i] + (is_no ? 3 : 0));
		if (flag == 0) {
			(void)fprintf(stderr,
				      "uring_test: no flag '%s'; see --help\n",
				      words[i]);
			return 2;
		}
		*(is_no ? &unwanted : &wanted) |= flag;
	}
	for (int i = 0; i < suite_count(); i++) {
		const unsigned has = suite_at(i)->flags;
		if ((has & wanted) == wanted && (has & unwanted) == 0)
			(void)puts(suite_at(i)->name);
	}
	return EXIT_SUCCESS;
}

/* ---- what came of a suite ---------------------------------------------- */

struct counts {
	int tests; /* = passed + failed + skipped */
	int cases;
	int passed;
	int failed;
	int skipped;
};

struct result {
	const struct wi_suite *suite;
	struct counts counts;
	double cpu_s;
	double wall_s;
};

static void counts_add(struct counts *sum, const struct counts *more)
{
	sum->tests += more->tests;
	sum->cases += more->cases;
	sum->passed += more->passed;
	sum->failed += more->failed;
	sum->skipped += more->skipped;
}

enum { TEST_NAME_BYTES = 160 };

/* The cases of one test are next to each other. */
struct tally {
	char name[TEST_NAME_BYTES];
	uint32_t cases;
	uint32_t failed;
};

static void tally_close(struct tally *tally, struct counts *counts)
{
	if (tally->cases == 0)
		return;
	counts->tests++;
	counts->cases += (int)tally->cases;
	if (tally->failed > 0)
		counts->failed++;
	else if (wi_skips_of(strrchr(tally->name, ':') + 1) >= tally->cases)
		counts->skipped++;
	else
		counts->passed++;
	tally->cases = 0;
	tally->failed = 0;
}

/* "ok 7 - path/test_x.c:case:test: words": reads up to "case:test". False: not
 * such a line, but more words of the one before. */
static bool tap_line_read(char *line, const char **out_test, bool *out_is_ok)
{
	unsigned number;
	int name_at = 0;
	*out_is_ok = strncmp(line, "ok ", 3) == 0;
	if (sscanf(line, *out_is_ok ? "ok %u - %n" : "not ok %u - %n", &number,
		   &name_at) != 1 ||
	    name_at == 0)
		return false;
	char *words = strstr(line + name_at, ": ");
	char *test = strchr(line + name_at, ':');
	if (words == NULL || test == NULL || test >= words)
		return false;
	*words = '\0';
	*out_test = test + 1;
	return strchr(*out_test, ':') != NULL;
}

static struct counts tap_count(FILE *tap)
{
	struct counts counts = { .tests = 0 };
	struct tally tally = { .cases = 0 };
	char *line = NULL;
	size_t line_bytes = 0;
	const char *test;
	bool is_ok;
	while (getline(&line, &line_bytes, tap) >= 0) {
		if (!tap_line_read(line, &test, &is_ok))
			continue;
		if (strcmp(tally.name, test) != 0) {
			tally_close(&tally, &counts);
			(void)snprintf(tally.name, sizeof(tally.name), "%s",
				       test);
		}
		tally.cases++;
		tally.failed += !is_ok;
	}
	tally_close(&tally, &counts);
	free(line);
	return counts;
}

/* A suite that tests nothing fails, unless that was requested. */
static void check_empty(const struct wi_suite *suite, struct counts *counts)
{
	if (counts->tests > counts->skipped || wi_skips_were_asked())
		return;
	/* In Check's format of a failure, which tools/check reads. */
	(void)printf("%s:0:F:suite:all:0: it skips all of its tests\n",
		     suite->name);
	if (counts->skipped > 0) {
		counts->skipped--;
	} else {
		counts->tests++;
		counts->cases++;
	}
	counts->failed++;
}

/* ---- running ----------------------------------------------------------- */

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* CPU time of this process and of its ended children. */
static double cpu_now(void)
{
	struct rusage own;
	struct rusage children;
	(void)getrusage(RUSAGE_SELF, &own);
	(void)getrusage(RUSAGE_CHILDREN, &children);
	return seconds(own.ru_utime) + seconds(own.ru_stime) +
	       seconds(children.ru_utime) + seconds(children.ru_stime);
}

static double wall_now(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static FILE *tap_open(char path[32])
{
	const int fd = memfd_create("uring_test.tap", MFD_CLOEXEC);
	FILE *tap = fd < 0 ? NULL : fdopen(fd, "r");
	if (tap == NULL) {
		perror("uring_test: memory for the report of Check");
		exit(EXIT_FAILURE);
	}
	(void)snprintf(path, 32, "/proc/self/fd/%d", fd);
	return tap;
}

static struct result suite_run(const struct wi_suite *suite)
{
	struct result result = {
		.suite = suite,
		.cpu_s = -cpu_now(),
		.wall_s = -wall_now(),
	};
	char path[32];
	FILE *tap = tap_open(path);
	Suite *check_suite = suite_create(suite->name);

	wi_skips_clear();
	suite->fill(check_suite);
	SRunner *runner = srunner_create(check_suite);
	srunner_set_tap(runner, path);
	srunner_run_all(runner, CK_ENV);
	const int run_count = srunner_ntests_run(runner);
	srunner_free(runner);
	result.counts = tap_count(tap);
	(void)fclose(tap);
	if (result.counts.cases != run_count) {
		(void)printf("%s:0:F:suite:all:0: Check ran %d cases and "
			     "reported %d\n",
			     suite->name, run_count, result.counts.cases);
		result.counts.failed++;
	}
	check_empty(suite, &result.counts);
	result.cpu_s += cpu_now();
	result.wall_s += wall_now();
	return result;
}

static int dearer_first(const void *left, const void *right)
{
	const struct result *const one = left;
	const struct result *const other = right;
	return (one->cpu_s < other->cpu_s) - (one->cpu_s > other->cpu_s);
}

static void times_print(struct result *results, int count)
{
	qsort(results, (size_t)count, sizeof(results[0]), dearer_first);
	(void)printf("%-20s %8s %8s %6s %6s\n", "suite", "CPU s", "wall s",
		     "tests", "cases");
	for (int i = 0; i < count; i++)
		(void)printf("%-20s %8.2f %8.2f %6d %6d\n",
			     results[i].suite->name, results[i].cpu_s,
			     results[i].wall_s, results[i].counts.tests,
			     results[i].counts.cases);
}

/* "3,510" */
static const char *grouped(int number, char text[16])
{
	if (number >= 1000000)
		(void)snprintf(text, 16, "%d,%03d,%03d", number / 1000000,
			       number / 1000 % 1000, number % 1000);
	else if (number >= 1000)
		(void)snprintf(text, 16, "%d,%03d", number / 1000,
			       number % 1000);
	else
		(void)snprintf(text, 16, "%d", number);
	return text;
}

static int suites_run(const struct wi_suite **suites, int count, bool has_times)
{
	struct counts sum = { .tests = 0 };
	struct result *results = calloc((size_t)count + 1, sizeof(*results));
	char texts[2][16];

	if (results == NULL)
		return EXIT_FAILURE;
	wi_skips_open();
	for (int i = 0; i < count; i++) {
		results[i] = suite_run(suites[i]);
		counts_add(&sum, &results[i].counts);
	}
	if (has_times)
		times_print(results, count);
	free(results);
	(void)printf("%s tests (%s cases), %d skipped\n",
		     grouped(sum.tests, texts[0]), grouped(sum.cases, texts[1]),
		     sum.skipped);
	(void)printf("%d passed, %d failed\n", sum.passed, sum.failed);
	return sum.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- the command line -------------------------------------------------- */

/* A limit only ends a test that hangs; no test result depends on time. So the
 * limits are long enough for a slow machine, or one that stops for seconds. */
static void limits_set(void)
{
	(void)setenv("CK_DEFAULT_TIMEOUT", "60", 0); /* seconds */
	(void)setenv("CK_TIMEOUT_MULTIPLIER", "5", 0);
}

int main(int argc, char **argv)
{
	bool has_times = false;
	int count = 0;
	int result = 2;

	limits_set();
	if (argc == 4 && strcmp(argv[1], "--child") == 0)
		return child_run(argv[2], argv[3]);
	if (argc >= 2 && strcmp(argv[1], "--help") == 0)
		return help();
	if (argc >= 2 && strcmp(argv[1], "--list") == 0)
		return list(argc - 2, argv + 2);

	const struct wi_suite **suites =
		calloc((size_t)(argc + suite_count()), sizeof(suites[0]));
	if (suites == NULL)
		return EXIT_FAILURE;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--times") == 0) {
			has_times = true;
			continue;
		}
		suites[count] = suite_find(argv[i]);
		if (suites[count++] == NULL) {
			(void)fprintf(stderr,
				      "uring_test: no suite named '%s'; see "
				      "--list and --help\n",
				      argv[i]);
			goto out;
		}
	}
	for (int i = 0; count == 0 && i < suite_count(); i++)
		suites[i] = suite_at(i);
	result = suites_run(suites, count > 0 ? count : suite_count(),
			    has_times);

out:
	free(suites);
	return result;
}
