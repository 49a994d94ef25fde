/* cli_help.c - how --help looks
 *
 *     --name VALUE            what it is for, wrapped  (default: 64)
 */
#include "cli.h"

#include <stdbool.h>
#include <string.h>

enum {
	HELP_COLUMN = 26,
	HELP_WIDTH = 80,
	DEFAULT_BYTES = 96,
};

static char *help_range_text(const struct cli_range *range, char *out_text)
{
	char min[CLI_AMOUNT_BYTES];
	char max[CLI_AMOUNT_BYTES];

	(void)cli_size_text(range->min, min);
	(void)cli_size_text(range->max, max);
	(void)snprintf(out_text, DEFAULT_BYTES, "%s%s%s", min,
		       range->min == range->max ? "" : "-",
		       range->min == range->max ? "" : max);
	return out_text;
}

/* NULL: there is no default to show. */
static const char *help_default(const struct cli_option *option, char *text)
{
	if (option->default_text != NULL)
		return *option->default_text != '\0' ? option->default_text
						     : NULL;
	switch (option->kind) {
	case CLI_UINT:
		(void)snprintf(text, DEFAULT_BYTES, "%llu",
			       (unsigned long long)*(uint64_t *)option->out);
		return text;
	case CLI_SIZE:
		return cli_size_text(*(uint64_t *)option->out, text);
	case CLI_DURATION:
		return cli_duration_text(*(uint64_t *)option->out, text);
	case CLI_TEXT:
		return *(const char **)option->out;
	case CLI_CHOICE:
		return option->choices[*(unsigned *)option->out];
	case CLI_RANGE:
		return help_range_text(option->out, text);
	case CLI_GROUP:
	case CLI_SWITCH:
	case CLI_LIST: /* default_text explains an empty list */
		break;
	}
	return NULL;
}

/* Words of @text in the right-hand column, from @column on. */
static int help_words(FILE *file, const char *text, int column)
{
	while (*text != '\0') {
		if (*text == '\n') {
			(void)fprintf(file, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
			text++;
			continue;
		}
		int bytes = (int)strcspn(text, " \n");
		bool fits = column + 1 + bytes <= HELP_WIDTH;
		if (!fits) {
			(void)fprintf(file, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		} else if (column > HELP_COLUMN) {
			(void)fputc(' ', file);
			column++;
		}
		(void)fprintf(file, "%.*s", bytes, text);
		column += bytes;
		text += bytes;
		text += strspn(text, " ");
	}
	return column;
}

static void help_option(FILE *file, const struct cli_option *option)
{
	char text[DEFAULT_BYTES];
	char sentence[DEFAULT_BYTES + 16];
	int column = fprintf(file, "  --%s%s%s", option->name,
			     option->argument != NULL ? " " : "",
			     option->argument != NULL ? option->argument : "");

	if (column >= HELP_COLUMN) {
		(void)fputc('\n', file);
		column = 0;
	}
	(void)fprintf(file, "%*s", HELP_COLUMN - column, "");
	column = help_words(file, option->help, HELP_COLUMN);
	const char *value = help_default(option, text);
	if (value != NULL) {
		(void)snprintf(sentence, sizeof(sentence), "(default: %s)",
			       value);
		(void)help_words(file, sentence, column);
	}
	(void)fputc('\n', file);
}

void cli_help(const struct cli_tool *tool, FILE *file)
{
	(void)fprintf(file, "usage: %s [--option value]...\n\n%s\n", tool->name,
		      tool->summary);
	for (size_t i = 0; i < tool->option_count; i++) {
		const struct cli_option *option = &tool->options[i];
		if (option->kind == CLI_GROUP)
			(void)fprintf(file, "\n%s:\n", option->help);
		else
			help_option(file, option);
	}
	(void)fprintf(
		file,
		"  --help                  this text\n"
		"  --version               the version of weir\n"
		"\n--name value and --name=value are the same. Sizes take "
		"k, M or G (powers of\n1024), times take ms, s or m (no "
		"unit: seconds).\n\n%s",
		tool->closing);
}
