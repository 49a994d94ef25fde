/* test_sim_tapes.c - each test/tapes/NAME.tape is a check: it has broken a rule
 * once, or it breaks one when a bug is planted
 *
 * A new tape: weir-sim writes it to weir-sim.tape. For planted bugs:
 * test/sim/mutants --tapes.
 */
#include "test_sim_tapes.h"
#include "../rig/support.h"

#include "story.h"
#include "tape_text.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TAPES_MAX = 256, PATH_BYTES = 512 };

static char *names[TAPES_MAX];
static int name_count;

static int compare(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

static void tapes_find(void)
{
	DIR *folder = opendir(WEIR_TEST_TAPES_DIR);
	const struct dirent *entry;
	while (folder != NULL && name_count < TAPES_MAX &&
	       (entry = readdir(folder)) != NULL) {
		const char *end = strrchr(entry->d_name, '.');
		if (end != NULL && strcmp(end, ".tape") == 0)
			names[name_count++] = strdup(entry->d_name);
	}
	if (folder != NULL)
		(void)closedir(folder);
	qsort(names, (size_t)name_count, sizeof(names[0]), compare);
}

static void path_of(const char *name, char *out_path)
{
	(void)snprintf(out_path, PATH_BYTES, "%s/%s", WEIR_TEST_TAPES_DIR,
		       name);
}

START_TEST(tape_is_played_and_no_rule_is_broken)
{
	static struct sim_tape_text text;
	char path[PATH_BYTES];
	struct sim_story_result result;
	struct weir_sim *sim = NULL;
	struct weir_tape *tape = calloc(1, sizeof(*tape));

	ck_assert_ptr_nonnull(tape);
	path_of(names[_i], path);
	ck_assert_msg(sim_tape_text_load(path, &text) == 0, "%s", path);
	const struct sim_story *story = sim_story_find(text.story);
	ck_assert_msg(story != NULL, "%s: no story '%s'", path, text.story);
	ck_assert_msg(text.rule[0] != '\0', "%s: no rule", path);
	ck_assert_int_eq(weir_sim_open(&sim, tape, NULL), 0);
	weir_tape_load(tape, text.bytes, text.byte_count);
	sim_story_play(sim, tape, story, NULL, &result);
	ck_assert_msg(result.violation == NULL,
		      "%s: %s; see weir-sim --tape test/tapes/%s", names[_i],
		      result.violation, names[_i]);
	weir_sim_close(sim);
	free(tape);
}
END_TEST

START_TEST(there_are_tapes)
{
	ck_assert_int_gt(name_count, 0);
	ck_assert_int_lt(name_count, TAPES_MAX);
}
END_TEST

/* ---- their text -------------------------------------------------------- */

static const struct {
	const char *when;
	const char *file;
	size_t file_bytes;
	int want; /* bytes, or a negative errno */
} text_cases[] = {
	{ "it is empty", "", 0, 0 },
	{ "all is comment", "# story: echo\n# rule: none\n", 27, 0 },
	{ "there are bytes", "# story: echo\n00 ff\n7A", 22, 3 },
	{ "they are close together", "00ff7a", 6, 3 },
	{ "a comment has no end", "01\n# the last", 13, 1 },
	{ "half a byte is missing", "00 f", 4, -EINVAL },
	{ "a byte is torn apart", "00 f f", 6, -EINVAL },
	{ "one letter is no digit: raw", "00 fg", 5, 5 },
	{ "it is raw", "\x00\x81\x23", 3, 3 },
};

START_TEST(tape_text_is_read_or_refused)
{
	static struct sim_tape_text text;
	char path[] = "/tmp/weir-tape-XXXXXX";
	const int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(
		fwrite(text_cases[_i].file, 1, text_cases[_i].file_bytes, file),
		text_cases[_i].file_bytes);
	ck_assert_int_eq(fclose(file), 0);
	int got = sim_tape_text_load(path, &text);
	if (got == 0)
		got = (int)text.byte_count;
	(void)remove(path); /* our own file */
	ck_assert_msg(got == text_cases[_i].want, "when %s: got %d, want %d",
		      text_cases[_i].when, got, text_cases[_i].want);
}
END_TEST

START_TEST(tape_text_says_what_was_saved)
{
	static struct sim_tape_text saved;
	static struct sim_tape_text loaded;
	char path[] = "/tmp/weir-tape-XXXXXX";
	const int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fclose(file), 0);
	(void)strcpy(saved.story, "echo");
	(void)strcpy(saved.rule, "no rule at all");
	saved.byte_count = 600;
	for (size_t i = 0; i < saved.byte_count; i++)
		saved.bytes[i] = (uint8_t)(i * 7);
	ck_assert_int_eq(sim_tape_text_save(path, &saved), 0);
	ck_assert_int_eq(sim_tape_text_load(path, &loaded), 0);
	(void)remove(path); /* our own file */
	ck_assert_str_eq(loaded.story, saved.story);
	ck_assert_str_eq(loaded.rule, saved.rule);
	ck_assert_uint_eq(loaded.byte_count, saved.byte_count);
	ck_assert_mem_eq(loaded.bytes, saved.bytes, saved.byte_count);
	ck_assert_int_eq(sim_tape_text_load("/no/such/tape", &loaded), -ENOENT);
}
END_TEST

TCase *tcase_sim_tapes(void)
{
	TCase *tcase = tcase_create("tapes");
	tapes_find();
	tcase_add_test(tcase, there_are_tapes);
	tcase_add_loop_test(tcase, tape_is_played_and_no_rule_is_broken, 0,
			    name_count);
	tcase_add_loop_test(tcase, tape_text_is_read_or_refused, 0,
			    (int)(sizeof(text_cases) / sizeof(text_cases[0])));
	tcase_add_test(tcase, tape_text_says_what_was_saved);
	return tcase;
}
