/* suites.h - how a test file registers its suite with uring_test
 *
 *     WI_SUITE(pace, "pace", WI_RUNGS)   at the end of test_pace.c
 *     {
 *             TCase *tcase = tcase_create("pace");
 *             ...
 *             suite_add_tcase(suite, tcase);
 *     }
 *
 * Then add the file's name to meson.build. The record goes into a section of
 * the program, which main.c reads from end to end: there is no list.
 */
#ifndef WEIR_TEST_SUITES_H
#define WEIR_TEST_SUITES_H

#include <check.h>

/* The flags of `uring_test --list FLAG`: name, word, meaning. Scripts such as
 * tools/check select suites by them, so set each flag that applies. */
/* clang-format off */
#define WI_SUITE_FLAGS(X)                                                      \
	X(SWARM, "swarm", "clients by the thousand: half a minute of CPU")     \
	X(THREADS, "threads", "more than one thread runs code of weir")        \
	X(RUNGS, "rungs", "opens rings of the real kernel: the ladder matters") \
	X(BPF, "bpf", "a build without the steering program changes it")       \
	X(MEMCHECK, "memcheck", "over in seconds under valgrind, and leaves "  \
	  "the process as it was")                                             \
	X(SWEEP, "sweep", "whole programs in trouble")
/* clang-format on */

enum wi_suite_flag_index {
#define WI_SUITE_INDEX(id, word, what) WI_FLAG_##id,
	WI_SUITE_FLAGS(WI_SUITE_INDEX)
#undef WI_SUITE_INDEX
		WI_FLAG_COUNT /* stays last */
};

enum {
#define WI_SUITE_BIT(id, word, what) WI_##id = 1 << WI_FLAG_##id,
	WI_SUITE_FLAGS(WI_SUITE_BIT)
#undef WI_SUITE_BIT
};

struct wi_suite {
	const char *name;
	void (*fill)(Suite *suite);
	unsigned flags;
};

/* Pointers instead of records: no compiler pads between them. */
#define WI_REGISTER(section_name, type, record)                                \
	static const type *const record##_place                                \
		__attribute__((used, section(section_name))) = &(record)

/* The body of a function that fills `suite` follows. */
#define WI_SUITE(id, suite_name, suite_flags)                                  \
	static void suite_##id(Suite *suite);                                  \
	static const struct wi_suite suite_##id##_record = {                   \
		.name = (suite_name),                                          \
		.fill = suite_##id,                                            \
		.flags = (suite_flags),                                        \
	};                                                                     \
	WI_REGISTER("wi_suites", struct wi_suite, suite_##id##_record);        \
	static void suite_##id(Suite *suite)

/* A program for strace and the like: `uring_test --child NAME ARGUMENT` runs it
 * in a process of its own. Returns an exit code. */
struct wi_child {
	const char *name;
	int (*run)(const char *argument);
};

/* The body of a function of `argument` follows. */
#define WI_CHILD(id, child_name)                                               \
	static int child_##id(const char *argument);                           \
	static const struct wi_child child_##id##_record = {                   \
		.name = (child_name),                                          \
		.run = child_##id,                                             \
	};                                                                     \
	WI_REGISTER("wi_children", struct wi_child, child_##id##_record);      \
	static int child_##id(const char *argument)

#endif
