/* test_server.h - the parts of suite_server */
#ifndef WEIR_TEST_SERVER_H
#define WEIR_TEST_SERVER_H

#include <check.h>

enum { SERVER_TEST_TIMEOUT_S = 60 };

TCase *tcase_server_start(void);
TCase *tcase_server_peers(void);
TCase *tcase_server_outbound(void);
TCase *tcase_hooks(void);
TCase *tcase_services(void);
TCase *tcase_snapshot(void);

#endif
