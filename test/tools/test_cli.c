/* test_cli.c - option tables: accepted and refused values, and errors; and
 * other shared parts of the tools: the JSON writer, the messages that are
 * checked */
#include "../../tools/lib/cli.h"
#include "../../tools/lib/json.h"
#include "../../tools/lib/pattern.h"
#include "../suites.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct {
	uint64_t count;
	uint64_t bytes;
	uint64_t wait_ms;
	const char *file;
	unsigned prefix;
	struct cli_range sizes;
	struct cli_list shares;
	bool is_loud;
} got;

static const char *const prefixes[] = { "u32", "u8", "varint", NULL };

static const struct cli_option options[] = {
	{ .help = "Numbers" },
	{ "count", "N", CLI_UINT, &got.count, 1, 100, NULL, NULL,
	  "how many of them there are" },
	{ "bytes", "SIZE", CLI_SIZE, &got.bytes, 0, UINT64_C(8) << 30, NULL,
	  NULL, "how large" },
	{ "wait", "TIME", CLI_DURATION, &got.wait_ms, 10, 600000, NULL, NULL,
	  "how long a sentence may grow before it has to be wrapped into the "
	  "next line of the right-hand column" },
	{ .help = "The rest" },
	{ "file", "FILE", CLI_TEXT, &got.file, 0, 0, NULL, "none", "where to" },
	{ "prefix", "KIND", CLI_CHOICE, &got.prefix, 0, 0, prefixes, NULL,
	  "which" },
	{ "sizes", "N[-M]", CLI_RANGE, &got.sizes, 1, 1 << 20, NULL, NULL,
	  "from, to" },
	{ "shares", "N[,N...]", CLI_LIST, &got.shares, 0, 10, NULL,
	  "1 for each", "of each:\nfirst line\nsecond line" },
	{ "loud", NULL, CLI_SWITCH, &got.is_loud, 0, 0, NULL, NULL, "shout" },
};

static const struct cli_tool tool = {
	.name = "weir-test",
	.version = "1.2.3",
	.summary = "Tests options.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.closing = "Examples:\n  weir-test --loud\n",
};

static char error[CLI_ERROR_BYTES];

static void reset(void)
{
	memset(&got, 0, sizeof(got));
	got.count = 7;
	got.sizes = (struct cli_range){ 64, 64 };
	error[0] = '\0';
}

static enum cli_outcome parse(const char *one, const char *two)
{
	char *argv[] = { (char *)"weir-test", (char *)one, (char *)two, NULL };
	int argc = 1 + (one != NULL) + (two != NULL);
	return cli_parse(&tool, argc, argv, error);
}

static const struct {
	const char *word;
	const char *value;
	const uint64_t *where;
	uint64_t want;
} good[] = {
	{ "--count", "1", &got.count, 1 },
	{ "--count=100", NULL, &got.count, 100 },
	{ "--bytes", "0", &got.bytes, 0 },
	{ "--bytes=64", NULL, &got.bytes, 64 },
	{ "--bytes", "16k", &got.bytes, 16384 },
	{ "--bytes", "16K", &got.bytes, 16384 },
	{ "--bytes", "1MiB", &got.bytes, 1 << 20 },
	{ "--bytes", "8G", &got.bytes, UINT64_C(8) << 30 },
	{ "--wait", "10ms", &got.wait_ms, 10 },
	{ "--wait", "5", &got.wait_ms, 5000 },
	{ "--wait=5s", NULL, &got.wait_ms, 5000 },
	{ "--wait", "10m", &got.wait_ms, 600000 },
	{ "--sizes", "1-1M", &got.sizes.max, 1 << 20 },
	{ "--sizes", "1-1M", &got.sizes.min, 1 },
	{ "--sizes=5k", NULL, &got.sizes.min, 5120 },
	{ "--sizes=5k", NULL, &got.sizes.max, 5120 },
};

START_TEST(cli_stores_a_number_with_its_unit)
{
	reset();
	enum cli_outcome outcome = parse(good[_i].word, good[_i].value);
	ck_assert_msg(outcome == CLI_GO_ON, "%s %s: refused: %s", good[_i].word,
		      good[_i].value, error);
	ck_assert_msg(*good[_i].where == good[_i].want,
		      "%s: stored %llu, want %llu", good[_i].word,
		      (unsigned long long)*good[_i].where,
		      (unsigned long long)good[_i].want);
}
END_TEST

static const struct {
	const char *word;
	const char *value;
	const char *want; /* the whole line */
} bad[] = {
	{ "--count", "0",
	  "--count 0: out of range; give a value from 1 to "
	  "100" },
	{ "--count", "101",
	  "--count 101: out of range; give a value from 1 to 100" },
	{ "--count", "18446744073709551616",
	  "--count 18446744073709551616: out of range; give a value from 1 to "
	  "100" },
	{ "--count", "-1", "--count -1: not a value; give a whole number" },
	{ "--count", "5k", "--count 5k: not a value; give a whole number" },
	{ "--count", "", "--count : not a value; give a whole number" },
	{ "--bytes", "9G",
	  "--bytes 9G: out of range; give a value from 0 to 8G" },
	{ "--bytes", "99999999999G",
	  "--bytes 99999999999G: out of range; give a value from 0 to 8G" },
	{ "--bytes", "1q",
	  "--bytes 1q: not a value; give a size such as 64, 16k or 1M" },
	{ "--wait", "9ms",
	  "--wait 9ms: out of range; give a value from 10ms to 10m" },
	{ "--wait", "1h",
	  "--wait 1h: not a value; give a time such as 250ms, 5s or 2m" },
	{ "--file", "", "--file: is empty; give a FILE" },
	{ "--prefix", "u33",
	  "--prefix u33: no such choice; give one of u32, u8, varint" },
	{ "--sizes", "9-5",
	  "--sizes 9-5: the range is upside down; give the "
	  "smaller number first" },
	{ "--sizes", "5-",
	  "--sizes 5-: not a value; give a size or a range of "
	  "sizes, such as 64 or 64-16k" },
	{ "--sizes", "0-5",
	  "--sizes 0-5: out of range; give a value from 1 to 1M" },
	{ "--shares", "1,11,2",
	  "--shares 1,11,2: out of range; give a value from 0 to 10" },
	{ "--shares", "1,,2",
	  "--shares 1,,2: not a value; give whole numbers with commas "
	  "between them" },
	{ "--shares", "1,",
	  "--shares 1,: not a value; give whole numbers with commas "
	  "between them" },
	{ "--loud=yes", NULL, "--loud takes no value; leave out '=yes'" },
	{ "--count", NULL, "--count needs a value; give --count N" },
	{ "--cuont", "5",
	  "unknown option '--cuont'; did you mean --count? "
	  "see weir-test --help" },
	{ "--frobnicate", NULL,
	  "unknown option '--frobnicate'; see weir-test --help" },
	{ "7000", NULL,
	  "'7000': every option begins with -- and a name; see "
	  "weir-test --help" },
	{ "--", NULL,
	  "'--': every option begins with -- and a name; see "
	  "weir-test --help" },
};

START_TEST(cli_refuses_in_one_line_that_says_what_to_do)
{
	reset();
	enum cli_outcome outcome = parse(bad[_i].word, bad[_i].value);
	ck_assert_int_eq(outcome, CLI_WRONG);
	ck_assert_str_eq(error, bad[_i].want);
	ck_assert_uint_eq(got.count, 7); /* nothing was stored */
	ck_assert_uint_eq(got.sizes.max, 64);
	ck_assert_uint_eq(got.shares.count, 0);
}
END_TEST

START_TEST(cli_stores_a_list_up_to_its_limit)
{
	char text[2 * CLI_LIST_MAX + 2];
	for (int i = 0; i <= CLI_LIST_MAX; i++)
		memcpy(text + 2 * (size_t)i, "3,", 2);
	reset();
	ck_assert_int_eq(parse("--shares=7", NULL), CLI_GO_ON);
	ck_assert_uint_eq(got.shares.count, 1);
	ck_assert_uint_eq(got.shares.values[0], 7);
	ck_assert_int_eq(parse("--shares", "0,10,2"), CLI_GO_ON);
	ck_assert_uint_eq(got.shares.count, 3);
	ck_assert_uint_eq(got.shares.values[0], 0);
	ck_assert_uint_eq(got.shares.values[1], 10);
	ck_assert_uint_eq(got.shares.values[2], 2);
	text[2 * CLI_LIST_MAX + 1] = '\0'; /* one too many */
	ck_assert_int_eq(parse("--shares", text), CLI_WRONG);
	ck_assert_ptr_nonnull(strstr(error, "too many; give at most 1024"));
	text[2 * CLI_LIST_MAX - 1] = '\0';
	ck_assert_int_eq(parse("--shares", text), CLI_GO_ON);
	ck_assert_uint_eq(got.shares.count, CLI_LIST_MAX);
	ck_assert_uint_eq(got.shares.values[CLI_LIST_MAX - 1], 3);
}
END_TEST

START_TEST(cli_keeps_errors_short_whatever_it_is_given)
{
	char word[4000];
	memset(word, 'x', sizeof(word));
	memcpy(word, "--", 2);
	word[sizeof(word) - 1] = '\0';
	reset();
	ck_assert_int_eq(parse(word, NULL), CLI_WRONG);
	ck_assert_uint_lt(strlen(error), CLI_ERROR_BYTES);
	ck_assert_int_eq(parse("--count", word), CLI_WRONG);
	ck_assert_int_eq(parse("--prefix", word), CLI_WRONG);
	ck_assert_int_eq(parse("--sizes", word), CLI_WRONG);
	ck_assert_ptr_null(strchr(error, '\n'));
}
END_TEST

START_TEST(cli_stores_text_choices_and_switches)
{
	char *argv[] = { (char *)"weir-test", (char *)"--file=a=b",
			 (char *)"--prefix",  (char *)"varint",
			 (char *)"--loud",    NULL };
	reset();
	ck_assert_int_eq(cli_parse(&tool, 5, argv, error), CLI_GO_ON);
	ck_assert_str_eq(got.file, "a=b");
	ck_assert_uint_eq(got.prefix, 2);
	ck_assert(got.is_loud);
}
END_TEST

START_TEST(cli_leaves_defaults_alone_and_lets_the_last_value_win)
{
	reset();
	ck_assert_int_eq(parse(NULL, NULL), CLI_GO_ON);
	ck_assert_uint_eq(got.count, 7);
	ck_assert_int_eq(parse("--count=8", "--count=9"), CLI_GO_ON);
	ck_assert_uint_eq(got.count, 9);
}
END_TEST

START_TEST(cli_sees_help_and_version_before_a_later_error)
{
	reset();
	ck_assert_int_eq(parse("--help", "--nonsense"), CLI_HELP);
	ck_assert_int_eq(parse("--version", "--nonsense"), CLI_VERSION);
	ck_assert_int_eq(parse("--count=5", "--help"), CLI_HELP);
}
END_TEST

/* The output of @write; the caller frees it. */
static char *printed(void (*write)(FILE *file))
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);

	ck_assert_ptr_nonnull(file);
	write(file);
	ck_assert_int_eq(fclose(file), 0);
	return text;
}

static void write_help(FILE *file)
{
	cli_help(&tool, file);
}

START_TEST(cli_help_shows_groups_defaults_and_wraps_at_80_columns)
{
	reset();
	char *text = printed(write_help);

	ck_assert_ptr_nonnull(strstr(text, "\nNumbers:\n"));
	ck_assert_ptr_nonnull(strstr(text, "how many of them there are "
					   "(default: 7)\n"));
	ck_assert_ptr_nonnull(strstr(text, "where to (default: none)\n"));
	ck_assert_ptr_nonnull(strstr(text, "which (default: u32)\n"));
	ck_assert_ptr_nonnull(strstr(text, "from, to (default: 64)\n"));
	ck_assert_ptr_nonnull(strstr(text, "shout\n"));
	ck_assert_ptr_nonnull(strstr(
		text, "of each:\n"
		      "                          first line\n"
		      "                          second line (default: 1 for "
		      "each)\n"));
	ck_assert_ptr_nonnull(strstr(text, "Examples:\n"));
	for (const char *line = text; *line != '\0';) {
		size_t bytes = strcspn(line, "\n");
		ck_assert_msg(bytes <= 80, "too long: %.*s", (int)bytes, line);
		line += bytes + (line[bytes] == '\n');
	}
	free(text);
}
END_TEST

START_TEST(cli_amounts_are_printed_in_their_largest_whole_unit)
{
	char text[CLI_AMOUNT_BYTES];
	ck_assert_str_eq(cli_size_text(0, text), "0");
	ck_assert_str_eq(cli_size_text(1000, text), "1000");
	ck_assert_str_eq(cli_size_text(16384, text), "16k");
	ck_assert_str_eq(cli_size_text(UINT64_C(1) << 40, text), "1024G");
	ck_assert_str_eq(cli_duration_text(0, text), "0s");
	ck_assert_str_eq(cli_duration_text(1500, text), "1500ms");
	ck_assert_str_eq(cli_duration_text(75000, text), "75s");
	ck_assert_str_eq(cli_duration_text(120000, text), "2m");
}
END_TEST

static void write_json(FILE *file)
{
	struct json json = { .file = file };

	json_object_open(&json, NULL);
	json_text(&json, "na\"me", "tab\t, back\\slash, \x01");
	json_u64(&json, "large", UINT64_MAX);
	json_double(&json, "half", 0.5);
	json_double(&json, "none", 0.0 / (double)(file == NULL));
	json_bool(&json, "yes", true);
	json_array_open(&json, "list");
	json_u64(&json, NULL, 1);
	json_object_open(&json, NULL);
	json_object_close(&json);
	json_array_close(&json);
	json_object_close(&json);
}

START_TEST(json_is_written_one_key_per_line_and_escaped)
{
	char *text = printed(write_json);
	ck_assert_str_eq(text, "{\n"
			       "  \"na\\\"me\": \"tab\\u0009, back\\\\slash, "
			       "\\u0001\",\n"
			       "  \"large\": 18446744073709551615,\n"
			       "  \"half\": 0.500000,\n"
			       "  \"none\": null,\n"
			       "  \"yes\": true,\n"
			       "  \"list\": [\n"
			       "    1,\n"
			       "    {}\n"
			       "  ]\n"
			       "}\n");
	free(text);
}
END_TEST

static struct pattern pattern_for(unsigned prefix, bool is_little_endian)
{
	struct pattern pattern = {
		.format = { .prefix = prefix,
			    .is_little_endian = is_little_endian },
		.payload_bytes_min = 0,
		.payload_bytes_max = 200,
	};
	ck_assert_int_eq(pattern_open(&pattern), 0);
	return pattern;
}

/* The checker encodes prefixes itself; the library must agree. */
START_TEST(pattern_prefix_is_what_the_library_encodes)
{
	struct pattern pattern = pattern_for((unsigned)_i / 2, _i % 2 == 1);
	uint8_t mine[WEIR_FRAME_PREFIX_BYTES_MAX + 70000];
	uint8_t theirs[WEIR_FRAME_PREFIX_BYTES_MAX + 70000];
	static const size_t sizes[] = { 0,   1,     127,   128,   255,
					256, 16383, 16384, 65535, 70000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct pattern_message message;
		size_t frame_bytes =
			weir_frame_bytes(&pattern.format, sizes[i]);
		if (frame_bytes == 0)
			continue; /* more than this prefix holds */
		pattern_close(&pattern);
		pattern.payload_bytes_min = sizes[i];
		pattern.payload_bytes_max = sizes[i];
		ck_assert_int_eq(pattern_open(&pattern), 0);
		pattern_message(&pattern, 3, 7, &message);
		ck_assert_uint_eq(pattern_wire_bytes(&message), frame_bytes);
		pattern_write(&message, mine);
		uint8_t *payload = weir_frame_encode(&pattern.format, theirs,
						     sizeof(theirs), sizes[i]);
		ck_assert_ptr_nonnull(payload);
		memcpy(payload, message.payload, sizes[i]);
		ck_assert_mem_eq(mine, theirs, frame_bytes);
	}
	pattern_close(&pattern);
}
END_TEST

START_TEST(pattern_matches_its_own_bytes_however_they_are_cut)
{
	struct pattern pattern = pattern_for(WEIR_FRAME_U32, false);
	struct pattern_message message;
	uint8_t wire[WEIR_FRAME_PREFIX_BYTES_MAX + 200];

	for (uint64_t sequence = 0; sequence < 20; sequence++) {
		pattern_message(&pattern, 1, sequence, &message);
		size_t bytes = pattern_wire_bytes(&message);
		pattern_write(&message, wire);
		for (size_t cut = 0; cut <= bytes; cut++) {
			ck_assert_uint_eq(pattern_match(&message, 0, wire, cut),
					  cut);
			ck_assert_uint_eq(pattern_match(&message, cut,
							wire + cut,
							bytes - cut),
					  bytes - cut);
		}
	}
	pattern_close(&pattern);
}
END_TEST

START_TEST(pattern_finds_any_byte_that_is_wrong)
{
	struct pattern pattern = pattern_for(WEIR_FRAME_VARINT, false);
	struct pattern_message message;
	uint8_t wire[WEIR_FRAME_PREFIX_BYTES_MAX + 200];

	pattern.payload_bytes_min = 150;
	pattern_message(&pattern, 1, 2, &message);
	size_t bytes = pattern_wire_bytes(&message);
	pattern_write(&message, wire);
	for (size_t wrong = 0; wrong < bytes; wrong++) {
		wire[wrong] ^= 0x10;
		for (size_t offset = 0; offset <= wrong; offset++)
			ck_assert_uint_eq(pattern_match(&message, offset,
							wire + offset,
							bytes - offset),
					  wrong - offset);
		wire[wrong] ^= 0x10;
	}
	pattern_close(&pattern);
}
END_TEST

START_TEST(pattern_differs_between_connections_and_between_messages)
{
	struct pattern pattern = pattern_for(WEIR_FRAME_U32, false);
	struct pattern_message one;
	struct pattern_message other;

	pattern.payload_bytes_min = 16;
	for (uint64_t i = 0; i < 1000; i++) {
		pattern_message(&pattern, i, i, &one);
		pattern_message(&pattern, i, i + 1, &other);
		ck_assert_mem_ne(one.payload, other.payload, 16);
		pattern_message(&pattern, i + 1, i, &other);
		ck_assert_mem_ne(one.payload, other.payload, 16);
		pattern_message(&pattern, i, i, &other);
		ck_assert_ptr_eq(one.payload, other.payload);
	}
	pattern_close(&pattern);
}
END_TEST

WI_SUITE(cli, "cli", WI_MEMCHECK)
{
	TCase *tcase = tcase_create("cli");

	tcase_add_loop_test(tcase, cli_stores_a_number_with_its_unit, 0,
			    sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(tcase, cli_refuses_in_one_line_that_says_what_to_do,
			    0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tcase, cli_keeps_errors_short_whatever_it_is_given);
	tcase_add_test(tcase, cli_stores_text_choices_and_switches);
	tcase_add_test(tcase, cli_stores_a_list_up_to_its_limit);
	tcase_add_test(tcase,
		       cli_leaves_defaults_alone_and_lets_the_last_value_win);
	tcase_add_test(tcase, cli_sees_help_and_version_before_a_later_error);
	tcase_add_test(tcase,
		       cli_help_shows_groups_defaults_and_wraps_at_80_columns);
	tcase_add_test(tcase,
		       cli_amounts_are_printed_in_their_largest_whole_unit);
	tcase_add_test(tcase, json_is_written_one_key_per_line_and_escaped);
	tcase_add_loop_test(tcase, pattern_prefix_is_what_the_library_encodes,
			    0, 2 * WEIR_FRAME_PREFIX_COUNT);
	tcase_add_test(tcase,
		       pattern_matches_its_own_bytes_however_they_are_cut);
	tcase_add_test(tcase, pattern_finds_any_byte_that_is_wrong);
	tcase_add_test(
		tcase,
		pattern_differs_between_connections_and_between_messages);
	suite_add_tcase(suite, tcase);
}
