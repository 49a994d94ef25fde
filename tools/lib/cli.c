/* cli.c - command line options from one table
 *
 * Invariant: an option's variable is written only by a value within limits.
 *
 * Not here: options that depend on each other (each tool), how --help looks
 * (cli_help.c).
 */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	MS_PER_S = 1000,
	MS_PER_MINUTE = 60 * MS_PER_S,
	GUESS_DISTANCE_MAX = 2,
	NAME_BYTES_MAX = 32,
};

struct cli_unit {
	const char *suffix;
	uint64_t factor;
};

static const struct cli_unit no_units[] = { { "", 1 }, { NULL, 0 } };
static const struct cli_unit size_units[] = {
	{ "", 1 },
	{ "k", 1u << 10 },
	{ "K", 1u << 10 },
	{ "KiB", 1u << 10 },
	{ "M", 1u << 20 },
	{ "MiB", 1u << 20 },
	{ "G", (uint64_t)1 << 30 },
	{ "GiB", (uint64_t)1 << 30 },
	{ NULL, 0 },
};
static const struct cli_unit duration_units[] = {
	{ "", MS_PER_S },       { "ms", 1 }, { "s", MS_PER_S },
	{ "m", MS_PER_MINUTE }, { NULL, 0 },
};

static const struct cli_unit *cli_units(enum cli_kind kind)
{
	switch (kind) {
	case CLI_SIZE:
	case CLI_RANGE:
		return size_units;
	case CLI_DURATION:
		return duration_units;
	default:
		return no_units;
	}
}

static const char *cli_example(enum cli_kind kind)
{
	switch (kind) {
	case CLI_SIZE:
		return "a size such as 64, 16k or 1M";
	case CLI_RANGE:
		return "a size or a range of sizes, such as 64 or 64-16k";
	case CLI_DURATION:
		return "a time such as 250ms, 5s or 2m";
	case CLI_LIST:
		return "whole numbers with commas between them";
	default:
		return "a whole number";
	}
}

static void cli_say(char *out_error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void cli_say(char *out_error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(out_error, CLI_ERROR_BYTES, format, args);
	va_end(args);
}

/* Digits and a unit that end at @end. -EINVAL, or -ERANGE past 64 bits. */
static int cli_amount(const struct cli_unit *units, const char *text,
		      const char *end, uint64_t *out_value)
{
	uint64_t value = 0;
	const char *at = text;

	for (; at < end && isdigit((unsigned char)*at); at++)
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*at - '0'),
					   &value))
			return -ERANGE;
	if (at == text)
		return -EINVAL;

	size_t suffix_bytes = (size_t)(end - at);
	for (; units->suffix != NULL; units++)
		if (strlen(units->suffix) == suffix_bytes &&
		    strncmp(units->suffix, at, suffix_bytes) == 0)
			break;
	if (units->suffix == NULL)
		return -EINVAL;
	if (__builtin_mul_overflow(value, units->factor, &value))
		return -ERANGE;
	*out_value = value;
	return 0;
}

char *cli_size_text(uint64_t byte_count, char *out_text)
{
	static const char *const suffixes[] = { "", "k", "M", "G" };
	int steps = 0;

	while (steps < 3 && byte_count != 0 && byte_count % 1024 == 0) {
		byte_count /= 1024;
		steps++;
	}
	(void)snprintf(out_text, CLI_AMOUNT_BYTES, "%llu%s",
		       (unsigned long long)byte_count, suffixes[steps]);
	return out_text;
}

char *cli_duration_text(uint64_t ms, char *out_text)
{
	uint64_t value = ms;
	const char *unit = "ms";

	if (ms % MS_PER_S == 0) {
		bool is_minutes = ms % MS_PER_MINUTE == 0 && ms > MS_PER_MINUTE;
		value = ms / (is_minutes ? MS_PER_MINUTE : MS_PER_S);
		unit = is_minutes ? "m" : "s";
	}
	(void)snprintf(out_text, CLI_AMOUNT_BYTES, "%llu%s",
		       (unsigned long long)value, unit);
	return out_text;
}

static char *cli_limit_text(const struct cli_option *option, uint64_t limit,
			    char *out_text)
{
	if (option->kind == CLI_SIZE || option->kind == CLI_RANGE)
		return cli_size_text(limit, out_text);
	if (option->kind == CLI_DURATION)
		return cli_duration_text(limit, out_text);
	(void)snprintf(out_text, CLI_AMOUNT_BYTES, "%llu",
		       (unsigned long long)limit);
	return out_text;
}

/* One number of @option; @value_text is the whole value, for the error. */
static bool cli_take_amount(const struct cli_option *option, const char *text,
			    const char *end, const char *value_text,
			    uint64_t *out_value, char *out_error)
{
	char low[CLI_AMOUNT_BYTES];
	char high[CLI_AMOUNT_BYTES];
	uint64_t value = 0;
	int err = cli_amount(cli_units(option->kind), text, end, &value);

	if (err == -EINVAL) {
		cli_say(out_error, "--%s %.60s: not a value; give %s",
			option->name, value_text, cli_example(option->kind));
		return false;
	}
	if (err < 0 || value < option->min || value > option->max) {
		cli_say(out_error,
			"--%s %.60s: out of range; give a value from %s to %s",
			option->name, value_text,
			cli_limit_text(option, option->min, low),
			cli_limit_text(option, option->max, high));
		return false;
	}
	*out_value = value;
	return true;
}

static bool cli_take_range(const struct cli_option *option, const char *text,
			   char *out_error)
{
	struct cli_range range;
	const char *dash = strchr(text, '-');
	const char *end = text + strlen(text);

	if (!cli_take_amount(option, text, dash != NULL ? dash : end, text,
			     &range.min, out_error))
		return false;
	range.max = range.min;
	if (dash != NULL && !cli_take_amount(option, dash + 1, end, text,
					     &range.max, out_error))
		return false;
	if (range.min > range.max) {
		cli_say(out_error,
			"--%s %.60s: the range is upside down; give the "
			"smaller number first",
			option->name, text);
		return false;
	}
	*(struct cli_range *)option->out = range;
	return true;
}

static bool cli_take_list(const struct cli_option *option, const char *text,
			  char *out_error)
{
	struct cli_list list = { .count = 0 };
	uint64_t value = 0;
	const char *at = text;

	for (;; at++) {
		const char *end = strchrnul(at, ',');
		if (list.count == CLI_LIST_MAX) {
			cli_say(out_error,
				"--%s %.60s: too many; give at most %d",
				option->name, text, CLI_LIST_MAX);
			return false;
		}
		if (!cli_take_amount(option, at, end, text, &value, out_error))
			return false;
		list.values[list.count++] = (uint32_t)value;
		at = end;
		if (*at == '\0')
			break;
	}
	*(struct cli_list *)option->out = list;
	return true;
}

static bool cli_take_choice(const struct cli_option *option, const char *text,
			    char *out_error)
{
	char known[128] = "";
	size_t used = 0;

	for (unsigned i = 0; option->choices[i] != NULL; i++) {
		if (strcmp(option->choices[i], text) == 0) {
			*(unsigned *)option->out = i;
			return true;
		}
		int wrote = snprintf(known + used, sizeof(known) - used, "%s%s",
				     i > 0 ? ", " : "", option->choices[i]);
		if (wrote > 0 && used + (size_t)wrote < sizeof(known))
			used += (size_t)wrote;
	}
	cli_say(out_error, "--%s %.60s: no such choice; give one of %s",
		option->name, text, known);
	return false;
}

static bool cli_take(const struct cli_option *option, const char *text,
		     char *out_error)
{
	switch (option->kind) {
	case CLI_UINT:
	case CLI_SIZE:
	case CLI_DURATION:
		return cli_take_amount(option, text, text + strlen(text), text,
				       option->out, out_error);
	case CLI_TEXT:
		if (*text == '\0') {
			cli_say(out_error, "--%s: is empty; give a %s",
				option->name, option->argument);
			return false;
		}
		*(const char **)option->out = text;
		return true;
	case CLI_CHOICE:
		return cli_take_choice(option, text, out_error);
	case CLI_RANGE:
		return cli_take_range(option, text, out_error);
	case CLI_LIST:
		return cli_take_list(option, text, out_error);
	case CLI_GROUP:
	case CLI_SWITCH:
		break;
	}
	return false; /* neither has a value: see cli_option_store() */
}

static size_t min_of(size_t one, size_t other)
{
	return one < other ? one : other;
}

/* Edits between two words (Levenshtein), for "did you mean". */
static size_t word_distance(const char *one, size_t one_bytes,
			    const char *other)
{
	size_t other_bytes = strlen(other);
	size_t row[NAME_BYTES_MAX + 1];

	if (one_bytes > NAME_BYTES_MAX || other_bytes > NAME_BYTES_MAX)
		return NAME_BYTES_MAX;
	for (size_t j = 0; j <= other_bytes; j++)
		row[j] = j;
	for (size_t i = 1; i <= one_bytes; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= other_bytes; j++) {
			size_t change =
				diagonal + (one[i - 1] != other[j - 1] ? 1 : 0);
			diagonal = row[j];
			row[j] = min_of(change, min_of(row[j - 1], row[j]) + 1);
		}
	}
	return row[other_bytes];
}

static void cli_say_unknown(const struct cli_tool *tool, const char *name,
			    size_t name_bytes, char *out_error)
{
	const char *guess = NULL;
	size_t best = GUESS_DISTANCE_MAX + 1;

	for (size_t i = 0; i < tool->option_count; i++) {
		const char *known = tool->options[i].name;
		if (known == NULL)
			continue;
		size_t distance = word_distance(name, name_bytes, known);
		if (distance < best) {
			best = distance;
			guess = known;
		}
	}
	cli_say(out_error, "unknown option '--%.*s'; %s%s%ssee %s --help",
		(int)min_of(name_bytes, 60), name,
		guess != NULL ? "did you mean --" : "",
		guess != NULL ? guess : "", guess != NULL ? "? " : "",
		tool->name);
}

static const struct cli_option *cli_find(const struct cli_tool *tool,
					 const char *name, size_t name_bytes)
{
	for (size_t i = 0; i < tool->option_count; i++) {
		const struct cli_option *option = &tool->options[i];
		if (option->name != NULL &&
		    strlen(option->name) == name_bytes &&
		    strncmp(option->name, name, name_bytes) == 0)
			return option;
	}
	return NULL;
}

/* How many arguments were used: 1 or 2; 0 with @out_error filled. */
static int cli_option_store(const struct cli_tool *tool, const char *word,
			    const char *next, char *out_error)
{
	const char *name = word + 2;
	const char *equals = strchr(name, '=');
	size_t name_bytes =
		equals != NULL ? (size_t)(equals - name) : strlen(name);
	const struct cli_option *option = cli_find(tool, name, name_bytes);

	if (option == NULL) {
		cli_say_unknown(tool, name, name_bytes, out_error);
		return 0;
	}
	if (option->kind == CLI_SWITCH) {
		if (equals != NULL) {
			cli_say(out_error,
				"--%s takes no value; leave out '%.60s'",
				option->name, equals);
			return 0;
		}
		*(bool *)option->out = true;
		return 1;
	}
	const char *value = equals != NULL ? equals + 1 : next;
	if (value == NULL) {
		cli_say(out_error, "--%s needs a value; give --%s %s",
			option->name, option->name, option->argument);
		return 0;
	}
	if (!cli_take(option, value, out_error))
		return 0;
	return equals != NULL ? 1 : 2;
}

enum cli_outcome cli_parse(const struct cli_tool *tool, int argc,
			   char *const *argv, char *out_error)
{
	for (int i = 1; i < argc;) {
		const char *word = argv[i];
		if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
			return CLI_HELP;
		if (strcmp(word, "--version") == 0)
			return CLI_VERSION;
		if (strncmp(word, "--", 2) != 0 || word[2] == '\0') {
			cli_say(out_error,
				"'%.60s': every option begins with -- and a "
				"name; see %s --help",
				word, tool->name);
			return CLI_WRONG;
		}
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		int used = cli_option_store(tool, word, next, out_error);
		if (used == 0)
			return CLI_WRONG;
		i += used;
	}
	return CLI_GO_ON;
}

int cli_start(const struct cli_tool *tool, int argc, char *const *argv)
{
	char error[CLI_ERROR_BYTES];

	switch (cli_parse(tool, argc, argv, error)) {
	case CLI_GO_ON:
		return -1;
	case CLI_HELP:
		cli_help(tool, stdout);
		return EXIT_SUCCESS;
	case CLI_VERSION:
		(void)printf("%s %s\n", tool->name, tool->version);
		return EXIT_SUCCESS;
	case CLI_WRONG:
		break;
	}
	return cli_usage_error(tool, "%s", error);
}

int cli_usage_error(const struct cli_tool *tool, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)fprintf(stderr, "%s: ", tool->name);
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
	va_end(args);
	return CLI_EXIT_USAGE;
}
