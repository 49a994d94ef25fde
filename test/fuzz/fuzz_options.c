/* fuzz_options.c - command lines, for the tables of the tools
 *
 *     +------+------+----+------+----
 *     | tool | word | \n | word | ...
 *     +------+------+----+------+----
 *
 * A word "$c..." is the option with the number c, then the rest: "$B=5k". Each
 * line is parsed by tools/lib/cli.c and by a reference, written from cli.h,
 * which splits first and calculates in 128 bits. They agree on the outcome and
 * on every variable, also on those stored before an error. A printed size or
 * time parses to the same value.
 */
#include "../../tools/lib/cli.h"
#include "fuzz_input.h"
#include "fuzz_replay.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
	WORDS_MAX = 12,
	WORD_BYTES_MAX = 96,
	OPTIONS_MAX = 48,
	NEVER_WRITTEN = 0xa5,
};

typedef __uint128_t wide;

#define WIDE_MAX ((wide)1 << 100)

/* The table of each tool, from its main file. */
extern const struct cli_tool echo_tool;
extern const struct cli_tool load_tool;
extern const struct cli_tool doctor_tool;

/* ---- a table of all kinds, with limits at the ends of what there is ---- */

static struct {
	uint64_t any;
	uint64_t small;
	uint64_t bytes;
	uint64_t time_ms;
	uint64_t short_ms;
	const char *text;
	unsigned choice;
	struct cli_range range;
	struct cli_list list;
	bool is_on;
} given;

static const char *const given_choices[] = { "one", "two", "one-and-two",
					     NULL };

static const struct cli_option own_options[] = {
	{ .help = "All kinds" },
	{ "any", "N", CLI_UINT, &given.any, 0, UINT64_MAX, NULL, NULL, "" },
	{ "small", "N", CLI_UINT, &given.small, 1, 9, NULL, NULL, "" },
	{ "bytes", "SIZE", CLI_SIZE, &given.bytes, 0, UINT64_MAX, NULL, NULL,
	  "" },
	{ "time", "TIME", CLI_DURATION, &given.time_ms, 0, UINT64_MAX, NULL,
	  NULL, "" },
	{ "short", "TIME", CLI_DURATION, &given.short_ms, 10, 60000, NULL, NULL,
	  "" },
	{ "text", "TEXT", CLI_TEXT, &given.text, 0, 0, NULL, "", "" },
	{ "choice", "NAME", CLI_CHOICE, &given.choice, 0, 0, given_choices,
	  NULL, "" },
	{ "range", "N-M", CLI_RANGE, &given.range, 1, UINT64_MAX, NULL, NULL,
	  "" },
	{ "list", "N,N", CLI_LIST, &given.list, 0, UINT32_MAX, NULL, "", "" },
	{ "on", NULL, CLI_SWITCH, &given.is_on, 0, 0, NULL, NULL, "" },
};

static const struct cli_tool own_tool = {
	.name = "weir-fuzz",
	.version = "0",
	.summary = "",
	.options = own_options,
	.option_count = sizeof(own_options) / sizeof(own_options[0]),
	.closing = "",
};

static const struct cli_tool *const tools[] = { &own_tool, &echo_tool,
						&load_tool, &doctor_tool };

/* ---- the variables of a table ---- */

union option_value {
	bool is_on;
	uint64_t number;
	const char *text;
	unsigned choice;
	struct cli_range range;
	struct cli_list list;
};

static union option_value values_before[OPTIONS_MAX];
static union option_value values_want[OPTIONS_MAX];

static size_t value_bytes(enum cli_kind kind)
{
	switch (kind) {
	case CLI_SWITCH:
		return sizeof(bool);
	case CLI_TEXT:
		return sizeof(const char *);
	case CLI_CHOICE:
		return sizeof(unsigned);
	case CLI_RANGE:
		return sizeof(struct cli_range);
	case CLI_LIST:
		return sizeof(struct cli_list);
	case CLI_GROUP:
		return 0;
	default:
		return sizeof(uint64_t);
	}
}

static void values_read(const struct cli_tool *tool, union option_value *out)
{
	for (size_t i = 0; i < tool->option_count; i++)
		if (tool->options[i].out != NULL)
			memcpy(&out[i], tool->options[i].out,
			       value_bytes(tool->options[i].kind));
}

static void values_write(const struct cli_tool *tool,
			 const union option_value *values)
{
	for (size_t i = 0; i < tool->option_count; i++)
		if (tool->options[i].out != NULL)
			memcpy(tool->options[i].out, &values[i],
			       value_bytes(tool->options[i].kind));
}

/* Of a list, compares only its count of elements. */
static bool values_are_equal(enum cli_kind kind, const void *got,
			     const union option_value *want)
{
	if (kind != CLI_LIST)
		return memcmp(got, want, value_bytes(kind)) == 0;
	const struct cli_list *list = got;
	return list->count == want->list.count &&
	       memcmp(list->values, want->list.values,
		      list->count * sizeof(list->values[0])) == 0;
}

static void values_check(const struct cli_tool *tool)
{
	for (size_t i = 0; i < tool->option_count; i++)
		if (tool->options[i].out != NULL)
			assert(values_are_equal(tool->options[i].kind,
						tool->options[i].out,
						&values_want[i]));
}

/* ---- the reference ---- */

/* The factor of a unit; 0: no such unit. */
static uint64_t unit_worth(enum cli_kind kind, const char *unit)
{
	const bool is_size = kind == CLI_SIZE || kind == CLI_RANGE;

	if (*unit == '\0')
		return kind == CLI_DURATION ? 1000 : 1;
	if (kind == CLI_DURATION)
		return strcmp(unit, "ms") == 0  ? 1
		       : strcmp(unit, "s") == 0 ? 1000
		       : strcmp(unit, "m") == 0 ? 60000
						: 0;
	if (!is_size || (unit[1] != '\0' && strcmp(unit + 1, "iB") != 0))
		return 0;
	switch (*unit) {
	case 'k':
		return unit[1] == '\0' ? 1024 : 0;
	case 'K':
		return 1024;
	case 'M':
		return 1024 * 1024;
	case 'G':
		return 1024 * 1024 * 1024;
	default:
		return 0;
	}
}

/* The whole text is an amount, within limits. */
static bool want_amount(const struct cli_option *option, const char *text,
			uint64_t *out_value)
{
	const size_t digits = strspn(text, "0123456789");
	const uint64_t worth = unit_worth(option->kind, text + digits);
	wide value = 0;

	if (digits == 0 || worth == 0)
		return false;
	for (size_t i = 0; i < digits && value < WIDE_MAX; i++)
		value = value * 10 + (wide)(text[i] - '0');
	value *= worth;
	if (value < option->min || value > option->max)
		return false;
	*out_value = (uint64_t)value;
	return true;
}

static bool want_range(const struct cli_option *option, char *text,
		       struct cli_range *out)
{
	struct cli_range range;
	char *dash = strchr(text, '-');

	if (dash != NULL)
		*dash = '\0';
	if (!want_amount(option, text, &range.min))
		return false;
	range.max = range.min;
	if (dash != NULL && !want_amount(option, dash + 1, &range.max))
		return false;
	if (range.min > range.max)
		return false;
	*out = range;
	return true;
}

static bool want_list(const struct cli_option *option, char *text,
		      struct cli_list *out)
{
	static struct cli_list list;
	uint64_t value;
	char *part;

	list.count = 0;
	while ((part = strsep(&text, ",")) != NULL) {
		if (list.count == CLI_LIST_MAX ||
		    !want_amount(option, part, &value))
			return false;
		list.values[list.count++] = (uint32_t)value;
	}
	*out = list;
	return true;
}

static bool want_choice(const struct cli_option *option, const char *text,
			unsigned *out)
{
	for (unsigned i = 0; option->choices[i] != NULL; i++)
		if (strcmp(text, option->choices[i]) == 0) {
			*out = i;
			return true;
		}
	return false;
}

static bool want_value(const struct cli_option *option, const char *text,
		       union option_value *out)
{
	char copy[WORD_BYTES_MAX * 2];

	assert(strlen(text) < sizeof(copy));
	memcpy(copy, text, strlen(text) + 1);
	switch (option->kind) {
	case CLI_TEXT:
		if (*text == '\0')
			return false;
		out->text = text;
		return true;
	case CLI_CHOICE:
		return want_choice(option, text, &out->choice);
	case CLI_RANGE:
		return want_range(option, copy, &out->range);
	case CLI_LIST:
		return want_list(option, copy, &out->list);
	default:
		return want_amount(option, text, &out->number);
	}
}

static size_t want_option(const struct cli_tool *tool, const char *name,
			  size_t name_bytes)
{
	size_t i = 0;
	for (; i < tool->option_count; i++)
		if (tool->options[i].name != NULL &&
		    strlen(tool->options[i].name) == name_bytes &&
		    memcmp(tool->options[i].name, name, name_bytes) == 0)
			break;
	return i;
}

/* The correct result of cli_parse(); values_want gets the correct values. */
static enum cli_outcome want_outcome(const struct cli_tool *tool, char **words)
{
	for (char **word = words; *word != NULL; word++) {
		if (strcmp(*word, "--help") == 0 || strcmp(*word, "-h") == 0)
			return CLI_HELP;
		if (strcmp(*word, "--version") == 0)
			return CLI_VERSION;
		if ((*word)[0] != '-' || (*word)[1] != '-')
			return CLI_WRONG;
		const size_t name_bytes = strcspn(*word + 2, "=");
		const char *equals = (*word)[2 + name_bytes] == '='
					     ? *word + 2 + name_bytes
					     : NULL;
		const size_t at = want_option(tool, *word + 2, name_bytes);
		if (at == tool->option_count)
			return CLI_WRONG;
		const struct cli_option *option = &tool->options[at];
		if (option->kind == CLI_SWITCH) {
			if (equals != NULL)
				return CLI_WRONG;
			values_want[at].is_on = true;
			continue;
		}
		const char *value = equals != NULL ? equals + 1 : *++word;
		if (value == NULL ||
		    !want_value(option, value, &values_want[at]))
			return CLI_WRONG;
	}
	return CLI_GO_ON;
}

/* ---- one input ---- */

/* Reads the words of a line, each into a block of exactly its size. */
static int words_read(struct fuzz_input *input, const struct cli_tool *tool,
		      char **out_words)
{
	int count = 0;

	while (input->left_bytes > 0 && count < WORDS_MAX) {
		char word[WORD_BYTES_MAX * 2] = "";
		size_t used = 0;
		for (;;) {
			const char byte = (char)fuzz_u8(input);
			if (byte == '\n' || byte == '\0' ||
			    used >= WORD_BYTES_MAX)
				break;
			word[used++] = byte;
			if (used != 2 || word[0] != '$')
				continue;
			const size_t number = (uint8_t)byte;
			const char *name =
				tool->options[number % tool->option_count].name;
			used = (size_t)snprintf(word, sizeof(word), "--%s",
						name != NULL ? name : "");
		}
		out_words[count] = malloc(used + 1);
		assert(out_words[count] != NULL);
		memcpy(out_words[count], word, used);
		out_words[count++][used] = '\0';
	}
	out_words[count] = NULL;
	return count;
}

static void check_error(const char *error)
{
	const char *end = memchr(error, '\0', CLI_ERROR_BYTES);
	assert(end != NULL && end > error);
	assert(memchr(error, '\n', (size_t)(end - error)) == NULL);
}

static void check_line(struct fuzz_input *input, const struct cli_tool *tool)
{
	char name[] = "weir";
	char *argv[WORDS_MAX + 2] = { name };
	char error[CLI_ERROR_BYTES];

	memset(error, NEVER_WRITTEN, sizeof(error));
	values_read(tool, values_before);
	values_read(tool, values_want);
	const int count = words_read(input, tool, argv + 1);
	const enum cli_outcome want = want_outcome(tool, argv + 1);
	const enum cli_outcome got = cli_parse(tool, count + 1, argv, error);
	assert(got == want);
	if (got == CLI_WRONG)
		check_error(error);
	else
		assert((uint8_t)error[0] == NEVER_WRITTEN);
	values_check(tool);
	values_write(tool, values_before);
	for (int i = 0; i < count; i++)
		free(argv[1 + i]);
}

/* A printed value must parse to itself. */
static void check_round_trip(uint64_t value)
{
	char text[CLI_AMOUNT_BYTES];
	char word[2][2 * CLI_AMOUNT_BYTES];
	char name[] = "weir";
	char *argv[] = { name, word[0], word[1], NULL };
	char error[CLI_ERROR_BYTES];

	(void)snprintf(word[0], sizeof(word[0]), "--bytes=%s",
		       cli_size_text(value, text));
	(void)snprintf(word[1], sizeof(word[1]), "--time=%s",
		       cli_duration_text(value, text));
	given.bytes = given.time_ms = ~value;
	assert(cli_parse(&own_tool, 3, argv, error) == CLI_GO_ON);
	assert(given.bytes == value && given.time_ms == value);
}

int wi_fuzz_options_one(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	const struct cli_tool *tool =
		tools[fuzz_u8(&input) % (sizeof(tools) / sizeof(tools[0]))];

	assert(tool->option_count <= OPTIONS_MAX);
	struct fuzz_input number = input;
	check_line(&input, tool);
	const uint64_t value = fuzz_u64(&number);
	check_round_trip(value >> (fuzz_u8(&number) % 64));
	check_round_trip(value % 1000 * 60000);
	return 0;
}
