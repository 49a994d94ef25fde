/* test_sim_tapes.h - the tapes of test/tapes as tests of the suite "sim" */
#ifndef WEIR_TEST_SIM_TAPES_H
#define WEIR_TEST_SIM_TAPES_H

#include <check.h>

TCase *tcase_sim_tapes(void);

#endif
