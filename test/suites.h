/* suites.h - one suite per module, run by main.c */
#ifndef WEIR_TEST_SUITES_H
#define WEIR_TEST_SUITES_H

#include <check.h>

Suite *suite_frame(void);
Suite *suite_abi(void);
Suite *suite_diagnose(void);
Suite *suite_ladder(void);
Suite *suite_ladder_lies(void);
Suite *suite_ladder_steer(void);
Suite *suite_punt(void);
Suite *suite_doctor(void);
Suite *suite_ring(void);
Suite *suite_bufring(void);
Suite *suite_bufring_inc(void);
Suite *suite_buftab(void);
Suite *suite_filetab(void);
Suite *suite_region(void);
Suite *suite_register(void);
Suite *suite_resize(void);
Suite *suite_restrict(void);
Suite *suite_soft(void);
Suite *suite_zerocopy(void);
Suite *suite_op(void);
Suite *suite_handover(void);
Suite *suite_op_accept(void);
Suite *suite_op_file(void);
Suite *suite_op_misuse(void);
Suite *suite_op_sync(void);
Suite *suite_op_cancel(void);
Suite *suite_op_wait(void);
Suite *suite_op_send(void);
Suite *suite_op_recv(void);
Suite *suite_op_socket(void);
Suite *suite_token(void);
Suite *suite_blocks(void);
Suite *suite_timer(void);
Suite *suite_sendq(void);
Suite *suite_addr(void);
Suite *suite_state(void);
Suite *suite_close_text(void);
Suite *suite_hist(void);
Suite *suite_cli(void);
Suite *suite_conn(void);
Suite *suite_seam(void);
Suite *suite_server(void);
Suite *suite_server_faults(void);
Suite *suite_server_roll(void);
Suite *suite_kernel_eventfd(void);
Suite *suite_calls(void);
Suite *suite_listen_socket(void);
Suite *suite_listener(void);
Suite *suite_load_report(void);
Suite *suite_loop(void);
Suite *suite_batching(void);
Suite *suite_steer(void);
Suite *suite_steer_rule(void);
Suite *suite_steer_table(void);
Suite *suite_steer_guard(void);
Suite *suite_fuzz(void);
Suite *suite_sim(void);
Suite *suite_sim_main(void);
Suite *suite_exhaust(void);
Suite *suite_start_sweep(void);
Suite *suite_sim_model(void);
Suite *suite_sim_op(void);
Suite *suite_sim_diff(void);
Suite *suite_stop(void);
Suite *suite_memory(void);
Suite *suite_process(void);
Suite *suite_process_steer(void);
Suite *suite_steer_spread(void);
Suite *suite_steer_change(void);
Suite *suite_steer_faults(void);
Suite *suite_sweep_cut(void);
Suite *suite_sweep_limits(void);
Suite *suite_sweep_output(void);
Suite *suite_sweep_loss(void);
Suite *suite_sweep_inject(void);
Suite *suite_sweep_time(void);

/* What `uring_test --child <name> <argument>` runs, in a process of its own:
 * programs for strace and the like. Each returns an exit code. */
int child_ring_nops(const char *expectation);
int child_handover(const char *name);

#endif
