/* main.c - uring_test: all suites, or those named on the command line
 *
 *     uring_test              run everything
 *     uring_test ring conn    run these suites
 *     uring_test --list       name the suites
 *     CK_FORK=no uring_test   one process, for gdb
 *     uring_test --child ...  a program that a test runs; see suites.h
 */
#include "suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off: one per line */
static const struct {
	const char *name;
	Suite *(*make)(void);
} suites[] = {
	{ "abi", suite_abi },
	{ "diagnose", suite_diagnose },
	{ "ladder", suite_ladder },
	{ "ladder-lies", suite_ladder_lies },
	{ "ladder-steer", suite_ladder_steer },
	{ "punt", suite_punt },
	{ "ring", suite_ring },
	{ "bufring", suite_bufring },
	{ "op", suite_op },
	{ "frame", suite_frame },
	{ "fuzz", suite_fuzz },
	{ "token", suite_token },
	{ "blocks", suite_blocks },
	{ "timer", suite_timer },
	{ "sendq", suite_sendq },
	{ "addr", suite_addr },
	{ "state", suite_state },
	{ "close-text", suite_close_text },
	{ "conn", suite_conn },
	{ "seam", suite_seam },
	{ "server", suite_server },
	{ "server-faults", suite_server_faults },
	{ "server-roll", suite_server_roll },
	{ "kernel-eventfd", suite_kernel_eventfd },
	{ "calls", suite_calls },
	{ "listen-socket", suite_listen_socket },
	{ "listener", suite_listener },
	{ "load-report", suite_load_report },
	{ "loop", suite_loop },
	{ "batching", suite_batching },
	{ "steer", suite_steer },
	{ "steer-rule", suite_steer_rule },
	{ "steer-table", suite_steer_table },
	{ "steer-guard", suite_steer_guard },
	{ "stop", suite_stop },
	{ "memory", suite_memory },
	{ "process", suite_process },
	{ "process-steer", suite_process_steer },
	{ "hist", suite_hist },
	{ "cli", suite_cli },
	{ "handover", suite_handover },
	{ "op-accept", suite_op_accept },
	{ "op-socket", suite_op_socket },
	{ "op-recv", suite_op_recv },
	{ "op-send", suite_op_send },
	{ "op-wait", suite_op_wait },
	{ "op-cancel", suite_op_cancel },
	{ "op-sync", suite_op_sync },
	{ "op-misuse", suite_op_misuse },
	{ "op-file", suite_op_file },
	{ "doctor", suite_doctor },
	{ "bufring-inc", suite_bufring_inc },
	{ "buftab", suite_buftab },
	{ "filetab", suite_filetab },
	{ "region", suite_region },
	{ "register", suite_register },
	{ "resize", suite_resize },
	{ "restrict", suite_restrict },
	{ "soft", suite_soft },
	{ "zerocopy", suite_zerocopy },
	{ "sim", suite_sim },
	{ "sim-main", suite_sim_main },
	{ "exhaust", suite_exhaust },
	{ "start-sweep", suite_start_sweep },
	{ "sim-model", suite_sim_model },
	{ "sim-op", suite_sim_op },
	{ "sim-diff", suite_sim_diff },
	{ "steer-spread", suite_steer_spread },
	{ "steer-change", suite_steer_change },
	{ "steer-faults", suite_steer_faults },
	{ "sweep-cut", suite_sweep_cut },
	{ "sweep-limits", suite_sweep_limits },
	{ "sweep-output", suite_sweep_output },
	{ "sweep-loss", suite_sweep_loss },
	{ "sweep-inject", suite_sweep_inject },
	{ "sweep-time", suite_sweep_time },
};
/* clang-format on */

enum { SUITE_COUNT = sizeof(suites) / sizeof(suites[0]) };

static const struct {
	const char *name;
	int (*run)(const char *argument);
} children[] = {
	{ "ring-nops", child_ring_nops },
	{ "handover", child_handover },
};

static int suite_index(const char *name)
{
	for (int i = 0; i < SUITE_COUNT; i++)
		if (strcmp(suites[i].name, name) == 0)
			return i;
	return -1;
}

static int child_run(const char *name, const char *argument)
{
	for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++)
		if (strcmp(children[i].name, name) == 0)
			return children[i].run(argument);
	(void)fprintf(stderr, "uring_test: no child named '%s'\n", name);
	return 2;
}

/* A limit ends a test that hangs; no test is judged by how long it takes. So
 * they are long, for a machine that is slow, or stops for seconds. */
static void limits_set(void)
{
	(void)setenv("CK_DEFAULT_TIMEOUT", "60", 0); /* seconds */
	(void)setenv("CK_TIMEOUT_MULTIPLIER", "5", 0);
}

int main(int argc, char **argv)
{
	limits_set();
	if (argc == 4 && strcmp(argv[1], "--child") == 0)
		return child_run(argv[2], argv[3]);

	SRunner *runner = srunner_create(NULL);

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (int i = 0; i < SUITE_COUNT; i++)
			(void)puts(suites[i].name);
		srunner_free(runner);
		return EXIT_SUCCESS;
	}
	for (int i = 1; i < argc; i++) {
		int index = suite_index(argv[i]);
		if (index < 0) {
			(void)fprintf(stderr,
				      "uring_test: no suite named '%s'; see "
				      "--list\n",
				      argv[i]);
			srunner_free(runner);
			return 2;
		}
		srunner_add_suite(runner, suites[index].make());
	}
	for (int i = 0; argc == 1 && i < SUITE_COUNT; i++)
		srunner_add_suite(runner, suites[i].make());

	srunner_run_all(runner, CK_ENV);
	int failed_count = srunner_ntests_failed(runner);
	int run_count = srunner_ntests_run(runner);
	srunner_free(runner);
	(void)printf("%d passed, %d failed\n", run_count - failed_count,
		     failed_count);
	return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
