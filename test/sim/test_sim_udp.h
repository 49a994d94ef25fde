/* test_sim_udp.h - datagrams, in the suite "sim-op" */
#ifndef WEIR_TEST_SIM_UDP_H
#define WEIR_TEST_SIM_UDP_H

#include <check.h>

TCase *tcase_sim_udp(void);

#endif
