/* test_sim_never.h - completions that never come, in the suite "exhaust" */
#ifndef WEIR_TEST_SIM_NEVER_H
#define WEIR_TEST_SIM_NEVER_H

#include <check.h>

TCase *tcase_sim_never(void);

#endif
