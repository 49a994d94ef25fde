/* diff_cases.h - named scripts: important orders of closes and resets */
#ifndef WEIR_TEST_DIFF_CASES_H
#define WEIR_TEST_DIFF_CASES_H

#include "diff.h"

struct diff_case {
	const char *name;
	struct diff_reaction reaction;
	const char *text; /* see diff_parse() */
};

extern const struct diff_case diff_cases[];
extern const int diff_case_count;

#endif
