/* test_conn.h - the parts of suite_conn */
#ifndef WEIR_TEST_CONN_H
#define WEIR_TEST_CONN_H

#include <check.h>

enum { CONN_TEST_TIMEOUT_S = 60 };

TCase *tcase_conn_misuse(void);
TCase *tcase_conn_flow(void);

#endif
