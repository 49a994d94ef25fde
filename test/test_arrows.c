/* test_arrows.c - which file may include which, read from the sources
 *
 *     each .c and .h of uring net proto tools test/sim
 *         --> #include "..." and <weir/...>, as files of the tree
 *         --> from room to room: an arrow of the table?
 *         --> from file to file: no way leads back
 *
 * A room is a folder. An arrow that is missing in the table means a file in the
 * wrong room, or a struct in the wrong file: mend that before the table.
 */
#include "rig/count_of.h"
#include "rig/support.h"
#include "suites.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	FILES_MAX = 600,
	LINKS_MAX = 6000,
	PATH_BYTES = 256,
};

/* ---- the table ----------------------------------------------------------- */

/* Arrows to a folder, and to all folders below it without a row of their own.
 * Each room may include itself. */
static const struct {
	const char *room;
	bool is_flat; /* without its subfolders */
	const char *may[10];
} arrows[] = {
	/* With ladder/. Only op.h includes op/ and extra/. */
	{ "uring", false, { "uring/op", "uring/extra" } },
	{ "uring/op", false, { "uring" } },
	/* Typed calls that net/ does not use. */
	{ "uring/extra", false, { "uring", "uring/op" } },
	{ "uring/soft", false, { "uring" } },
	/* The files directly in net/: the public headers. */
	{ "net", true, { "uring" } },
	{ "net/core",
	  false,
	  { "net", "uring", "uring/op" } }, /* net: stats.h alone, see below */
	{ "net/conn", false, { "net", "net/core", "uring" } },
	{ "net/steer", false, { "net", "net/core", "uring" } },
	{ "net/loop",
	  false,
	  { "net", "net/core", "net/conn", "net/steer", "uring" } },
	{ "net/server",
	  false,
	  { "net", "net/core", "net/loop", "net/steer", "uring" } },
	{ "proto", false, { NULL } },
	{ "tools", false, { "net", "uring", "proto", "test/sim" } },
	/* The simulation looks inside what it plays. */
	{ "test/sim",
	  false,
	  { "net", "net/core", "net/conn", "net/loop", "net/server",
	    "net/steer", "uring", "uring/op", "uring/extra", "uring/soft" } },
};

/* Public headers that core may include: for the counters. */
static const char *const core_may[] = { "net/stats.h", "net/close_reason.h" };

static const char *const tops[] = { "uring", "net", "proto", "tools",
				    "test/sim" };

/* ---- what there is ------------------------------------------------------- */

static struct tree {
	char files[FILES_MAX][PATH_BYTES];
	uint32_t file_count;
	struct {
		uint32_t from;
		uint32_t to;
	} links[LINKS_MAX];
	uint32_t link_count;
} tree;

static uint32_t file_find(const char *path)
{
	for (uint32_t i = 0; i < tree.file_count; i++)
		if (strcmp(tree.files[i], path) == 0)
			return i;
	return FILES_MAX;
}

static bool ends_with(const char *name, const char *end)
{
	const size_t bytes = strlen(name);
	const size_t end_bytes = strlen(end);
	return bytes > end_bytes && strcmp(name + bytes - end_bytes, end) == 0;
}

static void folder_walk(const char *folder)
{
	char path[2 * PATH_BYTES];
	(void)snprintf(path, sizeof(path), "%s/%s", WEIR_SOURCE_DIR, folder);
	DIR *dir = opendir(path);
	ck_assert_msg(dir != NULL, "%s: %s", path, strerror(errno));
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		char name[PATH_BYTES];
		if (entry->d_name[0] == '.')
			continue;
		ck_assert_int_lt(snprintf(name, sizeof(name), "%s/%s", folder,
					  entry->d_name),
				 (int)sizeof(name));
		if (entry->d_type == DT_DIR) {
			folder_walk(name);
		} else if (ends_with(name, ".c") || ends_with(name, ".h")) {
			ck_assert_uint_lt(tree.file_count, FILES_MAX);
			(void)memcpy(tree.files[tree.file_count++], name,
				     sizeof(name));
		}
	}
	ck_assert_int_eq(closedir(dir), 0);
}

/* "net/conn/../core/pool.h" is "net/core/pool.h". */
static void path_join(const char *folder, const char *include, char *out_path)
{
	char joined[2 * PATH_BYTES];
	char *part;
	char *rest = joined;
	size_t bytes = 0;
	(void)snprintf(joined, sizeof(joined), "%s/%s", folder, include);
	out_path[0] = '\0';
	while ((part = strsep(&rest, "/")) != NULL) {
		if (strcmp(part, "..") == 0) {
			char *slash = strrchr(out_path, '/');
			bytes = slash == NULL ? 0 : (size_t)(slash - out_path);
			out_path[bytes] = '\0';
		} else if (part[0] != '\0' && strcmp(part, ".") != 0) {
			bytes += (size_t)snprintf(out_path + bytes,
						  PATH_BYTES - bytes, "%s%s",
						  bytes > 0 ? "/" : "", part);
			ck_assert_uint_lt(bytes, PATH_BYTES);
		}
	}
}

/* The file that an include names; FILES_MAX: not in the tree (libc, generated,
 * another test folder). */
static uint32_t include_find(uint32_t from, const char *include)
{
	char folder[PATH_BYTES];
	char path[PATH_BYTES];
	(void)memcpy(folder, tree.files[from], sizeof(folder));
	path_join(dirname(folder), include, path);
	uint32_t to = file_find(path);
	if (to == FILES_MAX)
		to = file_find(include);
	if (to == FILES_MAX && strncmp(include, "weir/sim/", 9) == 0) {
		(void)snprintf(path, sizeof(path), "test/%s", include + 5);
		to = file_find(path);
	} else if (to == FILES_MAX && strncmp(include, "weir/", 5) == 0) {
		to = file_find(include + 5);
	}
	return to;
}

static void file_read_links(uint32_t from)
{
	char path[2 * PATH_BYTES];
	char line[512];
	char include[PATH_BYTES];
	(void)snprintf(path, sizeof(path), "%s/%s", WEIR_SOURCE_DIR,
		       tree.files[from]);
	FILE *file = fopen(path, "re");
	ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, " # include \"%255[^\"]\"", include) != 1 &&
		    sscanf(line, " # include <%255[^>]>", include) != 1)
			continue;
		const uint32_t to = include_find(from, include);
		if (to == FILES_MAX)
			continue;
		ck_assert_uint_lt(tree.link_count, LINKS_MAX);
		tree.links[tree.link_count].from = from;
		tree.links[tree.link_count++].to = to;
	}
	ck_assert_int_eq(fclose(file), 0);
}

static void tree_read(void)
{
	struct stat status;
	if (stat(WEIR_SOURCE_DIR "/net/conn", &status) < 0)
		return; /* the sources are not on this machine */
	for (size_t i = 0; i < COUNT_OF(tops); i++)
		folder_walk(tops[i]);
	for (uint32_t i = 0; i < tree.file_count; i++)
		file_read_links(i);
	/* A search that finds nothing would allow everything. */
	ck_assert_uint_gt(tree.file_count, 200);
	ck_assert_uint_gt(tree.link_count, 500);
}

/* A macro, so that it has the name of the test. */
#define SKIP_WITHOUT_SOURCES()                                                 \
	wi_skip_unless(tree.file_count > 0,                                    \
		       "the sources are not where they were built")

/* ---- from room to room --------------------------------------------------- */

/* The longest row that is a prefix of @path; COUNT_OF(arrows): none. */
static size_t room_of(const char *path)
{
	size_t best = COUNT_OF(arrows);
	size_t best_bytes = 0;
	for (size_t i = 0; i < COUNT_OF(arrows); i++) {
		const size_t bytes = strlen(arrows[i].room);
		if (bytes > best_bytes && path[bytes] == '/' &&
		    strncmp(path, arrows[i].room, bytes) == 0 &&
		    !(arrows[i].is_flat &&
		      strchr(path + bytes + 1, '/') != NULL)) {
			best = i;
			best_bytes = bytes;
		}
	}
	return best;
}

static bool arrow_is_drawn(size_t from, size_t to)
{
	if (from == to)
		return true;
	for (size_t i = 0; i < COUNT_OF(arrows[from].may); i++)
		if (arrows[from].may[i] != NULL &&
		    strcmp(arrows[from].may[i], arrows[to].room) == 0)
			return true;
	return false;
}

static bool core_may_include(const char *path)
{
	for (size_t i = 0; i < COUNT_OF(core_may); i++)
		if (strcmp(core_may[i], path) == 0)
			return true;
	return false;
}

START_TEST(includes_follow_the_arrows_between_the_rooms)
{
	SKIP_WITHOUT_SOURCES();
	for (uint32_t i = 0; i < tree.link_count; i++) {
		const char *from = tree.files[tree.links[i].from];
		const char *to = tree.files[tree.links[i].to];
		const size_t from_room = room_of(from);
		const size_t to_room = room_of(to);
		ck_assert_msg(from_room < COUNT_OF(arrows) &&
				      to_room < COUNT_OF(arrows) &&
				      arrow_is_drawn(from_room, to_room),
			      "%s includes %s: the rooms have no such arrow",
			      from, to);
		if (strcmp(arrows[from_room].room, "net/core") == 0 &&
		    strcmp(arrows[to_room].room, "net") == 0)
			ck_assert_msg(core_may_include(to),
				      "%s includes %s: core knows no more of "
				      "the public face than it counts",
				      from, to);
	}
}
END_TEST

START_TEST(every_folder_is_a_room_of_the_table)
{
	SKIP_WITHOUT_SOURCES();
	for (uint32_t i = 0; i < tree.file_count; i++)
		ck_assert_msg(room_of(tree.files[i]) < COUNT_OF(arrows), "%s",
			      tree.files[i]);
}
END_TEST

/* ---- from file to file --------------------------------------------------- */

enum { UNSEEN = 0, ON_THE_WAY, DONE };

static uint8_t seen[FILES_MAX];

/* Depth first. A file that includes itself on some way closes a circle. */
static void circle_search(uint32_t file)
{
	seen[file] = ON_THE_WAY;
	for (uint32_t i = 0; i < tree.link_count; i++) {
		const uint32_t to = tree.links[i].to;
		if (tree.links[i].from != file)
			continue;
		ck_assert_msg(seen[to] != ON_THE_WAY,
			      "%s includes %s, and that leads back to it",
			      tree.files[file], tree.files[to]);
		if (seen[to] == UNSEEN)
			circle_search(to);
	}
	seen[file] = DONE;
}

START_TEST(no_include_leads_back_to_where_it_came_from)
{
	SKIP_WITHOUT_SOURCES();
	for (uint32_t i = 0; i < tree.file_count; i++)
		if (seen[i] == UNSEEN)
			circle_search(i);
}
END_TEST

WI_SUITE(arrows, "arrows", 0)
{
	TCase *tcase = tcase_create("arrows");
	tcase_add_checked_fixture(tcase, tree_read, NULL);
	tcase_add_test(tcase, includes_follow_the_arrows_between_the_rooms);
	tcase_add_test(tcase, every_folder_is_a_room_of_the_table);
	tcase_add_test(tcase, no_include_leads_back_to_where_it_came_from);
	suite_add_tcase(suite, tcase);
}
