/* cli.h - command line options from one table
 *
 *     --name value    --name=value    --switch    --help    --version
 *
 * The table is the documentation: --help takes names, units, limits and
 * defaults from it. A default is the variable's value before cli_parse().
 */
#ifndef WEIR_TOOLS_CLI_H
#define WEIR_TOOLS_CLI_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum cli_kind {
	CLI_GROUP = 0, /* no option: a heading, with its text in help      */
	CLI_SWITCH,    /* out: bool; set to true                           */
	CLI_UINT,      /* out: uint64_t                                    */
	CLI_SIZE,      /* out: uint64_t bytes; suffix k, M, G: powers of 2 */
	CLI_DURATION,  /* out: uint64_t ms; suffix ms, s, m; none means s  */
	CLI_TEXT,      /* out: const char *; points into argv              */
	CLI_CHOICE,    /* out: unsigned, an index into choices             */
	CLI_RANGE,     /* out: struct cli_range, sizes: N or N-M           */
	CLI_LIST,      /* out: struct cli_list, whole numbers: N[,N...]    */
};

enum {
	CLI_LIST_MAX = 1024,
};

struct cli_list {
	uint32_t count;
	uint32_t values[CLI_LIST_MAX];
};

struct cli_range {
	uint64_t min;
	uint64_t max;
};

/**
 * struct cli_option - one row
 * @argument:     name of the value in --help; NULL for a switch
 * @min, @max:    limits of UINT, SIZE, DURATION (ms), RANGE and of each number
 *                of LIST, inclusive
 * @choices:      of CHOICE; ends with NULL
 * @default_text: what --help shows instead of the value in @out; an
 *                empty text shows nothing
 * @help:         wrapped; a line feed begins a new line
 */
struct cli_option {
	const char *name;
	const char *argument;
	enum cli_kind kind;
	void *out;
	uint64_t min;
	uint64_t max;
	const char *const *choices;
	const char *default_text;
	const char *help;
};

/**
 * struct cli_tool - a command and its table
 * @summary: the first lines of --help
 * @closing: the last ones: examples, exit status
 */
struct cli_tool {
	const char *name;
	const char *version;
	const char *summary;
	const struct cli_option *options;
	size_t option_count;
	const char *closing;
};

enum cli_outcome {
	CLI_GO_ON = 0, /* all options are stored */
	CLI_HELP,      /* --help was asked for */
	CLI_VERSION,
	CLI_WRONG, /* out_error has the mistake, the limit, and the remedy */
};

enum {
	CLI_EXIT_USAGE = 2,
	CLI_ERROR_BYTES = 256,
};

/**
 * cli_parse() - store every option of @argv; stops at the first error
 * @out_error: CLI_ERROR_BYTES; one line, written with CLI_WRONG only
 */
enum cli_outcome cli_parse(const struct cli_tool *tool, int argc,
			   char *const *argv, char *out_error);

/** cli_help() - the whole table, for people. */
void cli_help(const struct cli_tool *tool, FILE *file);

/**
 * cli_start() - cli_parse(), and print help, version or error
 *
 * Return: -1 to go on; otherwise the exit status: 0 after --help or
 *         --version, CLI_EXIT_USAGE after an error.
 */
int cli_start(const struct cli_tool *tool, int argc, char *const *argv);

/**
 * cli_usage_error() - one printf-like line on stderr, for what a table cannot
 *                     check: options that contradict each other
 *
 * Return: CLI_EXIT_USAGE.
 */
int cli_usage_error(const struct cli_tool *tool, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

enum {
	CLI_AMOUNT_BYTES = 32,
};

/** cli_size_text() - "64", "16k", "1M". Return: @out_text. */
char *cli_size_text(uint64_t byte_count, char *out_text);

/** cli_duration_text() - "250ms", "5s", "2m". Return: @out_text. */
char *cli_duration_text(uint64_t ms, char *out_text);

#endif
