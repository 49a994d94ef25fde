/* doctor.c - weir-doctor: the options, and the verdict
 *
 *     options -> ladder -> host -> print -> exit status
 */
#include "doctor.h"

#include "../lib/cli.h"
#include "../lib/process.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

static const char *const color_names[] = { "auto", "always", "never", NULL };

static struct {
	bool has_json;
	unsigned color;
	const char *force_off;
	const char *root;
} given = { .root = "" };

/* clang-format off */
static const struct cli_option doctor_options[] = {
	{ .help = "Output" },
	{ "json", NULL, CLI_SWITCH, &given.has_json, 0, 0, NULL, NULL,
	  "print everything as JSON on stdout" },
	{ "color", "WHEN", CLI_CHOICE, &given.color, 0, 0, color_names, NULL,
	  "auto (on a terminal, unless NO_COLOR is set), always or never" },
	{ .help = "What it tries" },
	{ "force-off", "NAMES", CLI_TEXT, &given.force_off, 0, 0, NULL, "",
	  "rungs not to use, with commas between them, or all; like the "
	  "variable WEIR_FORCE_OFF, which every program on weir applies" },
	{ "root", "DIR", CLI_TEXT, &given.root, 0, 0, NULL, "",
	  "read /proc and /sys below DIR: a copy from another host" },
};

const struct cli_tool doctor_tool = {
	.name = "weir-doctor",
	.version = TOOLS_VERSION,
	.summary =
		"Can weir run here, how well, and what would help?\n\n"
		"The ladder: each thing that a kernel may have or lack is tried "
		"on a throw-away\nring. required: weir cannot serve without it. "
		"used: weir has a way around it.\nknown: nothing in weir needs "
		"it yet.\n"
		"The host: limits and settings, each with its value, what is "
		"wanted, and why.",
	.options = doctor_options,
	.option_count = sizeof(doctor_options) / sizeof(doctor_options[0]),
	.closing =
		"Examples:\n"
		"  weir-doctor                           look at this host\n"
		"  weir-doctor --json | jq '.rungs[] | select(.state != \"on\")'\n"
		"  WEIR_FORCE_OFF=min-wait weir-echo     serve as if without it\n"
		"\n"
		"Exit status: 0 weir can run, 1 it cannot, 2 for wrong "
		"options.\n",
};
/* clang-format on */

static struct doctor doctor;

static bool doctor_has_color(void)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if (given.color != COLOR_AUTO)
		return given.color == COLOR_ALWAYS;
	if (no_color != NULL && *no_color != '\0') /* no-color.org */
		return false;
	if (term == NULL || strcmp(term, "dumb") == 0)
		return false;
	return isatty(STDOUT_FILENO) == 1;
}

/* -1, or the exit status. */
static int doctor_try(void)
{
	struct weir_error error;
	weir_rung_set forced_off = 0;

	if (weir_rungs_parse(given.force_off, "--force-off", &forced_off,
			     &error) < 0 ||
	    weir_ladder_probe(NULL, forced_off, doctor.rungs, &error) < 0)
		return cli_usage_error(&doctor_tool, "%s", error.text);
	return -1;
}

static bool doctor_check(void)
{
	for (int i = 0; i < doctor.fact_count; i++)
		if (doctor.facts[i].verdict == DOCTOR_BAD)
			return false;
	return weir_ladder_can_run(doctor.rungs);
}

int main(int argc, char **argv)
{
	process_streams_open();
	int status = cli_start(&doctor_tool, argc, argv);
	if (status < 0)
		status = doctor_try();
	if (status >= 0)
		return status;

	doctor.root = given.root;
	doctor_read_host(&doctor);
	doctor.can_run = doctor_check();
	if (given.has_json)
		doctor_json(&doctor, stdout);
	else
		doctor_print(&doctor, doctor_has_color(), stdout);
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		perror("weir-doctor: cannot write");
		return EXIT_FAILURE;
	}
	return doctor.can_run ? EXIT_SUCCESS : EXIT_FAILURE;
}
