/* test_sweep_loss.c - a server and weir-load over a bad network
 *
 * Packets are lost, doubled, reordered, damaged, delayed. TCP repairs that;
 * weir must lose no byte, and must not take the delay for silence.
 */
#include "../rig/peer.h"
#include "../rig/sweep.h"
#include "../rig/wire.h"
#include "../suites.h"

#include <signal.h>
#include <stdlib.h>

static const struct {
	const char *what;
	struct wire_opts wire;
	const char *load[12];
} loss_cases[] = {
	{ "nothing",
	  { .seed = 1 },
	  { "--connections", "16", "--depth", "4", "--requests", "100",
	    "--bytes", "0-5000" } },
	{ "5 % lost",
	  { .seed = 5, .lost = 5 },
	  { "--connections", "16", "--depth", "4", "--requests", "100",
	    "--bytes", "0-5000" } },
	{ "20 % lost",
	  { .seed = 20, .lost = 20 },
	  { "--connections", "12", "--depth", "2", "--requests", "40",
	    "--bytes", "0-5000" } },
	{ "10 % doubled, 20 % overtaken, 5 % damaged",
	  { .seed = 3, .doubled = 10, .late = 20, .flipped = 5 },
	  { "--connections", "16", "--depth", "4", "--requests", "50",
	    "--bytes", "0-5000" } },
	{ "100 ms each way",
	  { .seed = 4, .delay_us = 100000 },
	  { "--connections", "16", "--depth", "4", "--requests", "20",
	    "--bytes", "0-5000" } },
	{ "packets of 576 bytes, and all of it",
	  { .seed = 6,
	    .lost = 5,
	    .doubled = 5,
	    .late = 10,
	    .flipped = 2,
	    .delay_us = 1000,
	    .mtu = 576 },
	  { "--connections", "16", "--depth", "2", "--requests", "20",
	    "--bytes", "0-9000" } },
};

static void expect_percent(const char *what, uint64_t count, uint64_t packets,
			   uint32_t percent)
{
	/* Far more than chance explains. */
	ck_assert_msg(count * 100 >= packets * percent / 2 &&
			      count * 100 <= packets * percent * 2,
		      "%s: %llu of %llu packets, for %u %%", what,
		      (unsigned long long)count, (unsigned long long)packets,
		      percent);
}

/* The network caused the faults that the test asked for. */
static void expect_trouble(const struct wire *wire)
{
	const struct wire_counts *counts = &wire->counts;
	const struct wire_opts *opts = &wire->opts;
	ck_assert_uint_gt(counts->packets, 100);
	expect_percent("lost", counts->lost, counts->packets, opts->lost);
	expect_percent("doubled", counts->doubled, counts->packets,
		       opts->doubled);
	expect_percent("late", counts->late, counts->packets, opts->late);
	expect_percent("flipped", counts->flipped, counts->packets,
		       opts->flipped);
}

static void expect_load(const struct outcome *outcome)
{
	ck_assert_msg(outcome->status == 0, "%s: the load ended with %d: %s%s",
		      sweep_tried(), outcome->status, outcome->out,
		      outcome->err);
	char *load = json_read("load.json");
	ck_assert_uint_eq(NUMBER(load, "mismatches"), 0);
	ck_assert_uint_eq(NUMBER(load, "lost"), 0);
	ck_assert_uint_eq(NUMBER(load, "resets"), 0);
	ck_assert_uint_eq(NUMBER(load, "errors"), 0);
	free(load);
}

START_TEST(a_bad_wire_changes_no_byte_and_trips_no_deadline)
{
	static struct outcome outcome;
	struct wire wire;
	const char *args[PROGRAM_ARGS_MAX] = { "--host", WIRE_HERE, "--timeout",
					       "60s" };

	sweep_now_trying("%s", loss_cases[_i].what);
	const char *why_not = wire_open(&wire, &loss_cases[_i].wire);
	wi_skip_unless(why_not == NULL, why_not);
	scratch_open();
	struct program echo = sweep_start((const char *const[]){
		"weir-echo", "--bind", WIRE_HERE, "--port", "0", "--loops", "2",
		"--idle-timeout", "10s", "--drain-timeout", "20s",
		"--stats-json", scratch_path("echo.json"), NULL });
	ck_assert_int_ne(echo.port, 0);
	wire_enter(&wire, true);
	for (int i = 0; loss_cases[_i].load[i] != NULL; i++)
		args[4 + i] = loss_cases[_i].load[i];
	struct program load = load_program(echo.port, args);
	program_join(&load, &outcome);
	expect_load(&outcome);
	ck_assert_int_eq(kill(echo.pid, SIGTERM), 0);
	sweep_end(&echo, &outcome);
	wire_close(&wire);

	char *json = sweep_expect_clean(&outcome);
	const uint64_t accepts = TOTAL(json, "net", "accepts");
	ck_assert_uint_eq(TOTAL(json, "net", "idle_deadlines"), 0);
	ck_assert_uint_eq(TOTAL(json, "net", "drain_deadlines"), 0);
	/* A FIN may be in transit again when the server is stopped. */
	ck_assert_uint_eq(TOTAL(json, "closes_by", "peer") +
				  TOTAL(json, "closes_by", "stopped"),
			  accepts);
	expect_trouble(&wire);
	(void)printf("%s: %llu packets, %llu lost, %llu doubled, %llu late, "
		     "%llu damaged\n",
		     loss_cases[_i].what,
		     (unsigned long long)wire.counts.packets,
		     (unsigned long long)wire.counts.lost,
		     (unsigned long long)wire.counts.doubled,
		     (unsigned long long)wire.counts.late,
		     (unsigned long long)wire.counts.flipped);
	free(json);
	scratch_close();
}
END_TEST

WI_SUITE(sweep_loss, "sweep-loss", WI_RUNGS | WI_THREADS | WI_SWEEP)
{
	TCase *tcase = tcase_create("loss");
	tcase_set_timeout(tcase, SWEEP_TEST_TIMEOUT_S);
	suite_add_tcase(suite, tcase);
	if (tools_dir() == NULL) {
		wi_skip_note("sweep-loss", "this build has no tools",
			     WI_SKIP_ASKED);
		return;
	}
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase,
			    a_bad_wire_changes_no_byte_and_trips_no_deadline, 0,
			    (int)(sizeof(loss_cases) / sizeof(loss_cases[0])));
}
