/* test_sweep_time.c - time is taken away from a server
 *
 *     a loop that was late    judges nobody by what it has not looked at
 *     SIGSTOP, SIGCONT        the same of the whole program
 *     SIGALRM, 1000 a second  every call may be cut short
 */
#include "peer.h"
#include "suites.h"
#include "sweep.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	CROWD = 200, /* more than one enter hands out */
	NS_PER_MS = 1000000,
};

/* ---- a loop that was late ---------------------------------------------- */

enum {
	LATE_IDLE_MS = 3000,
	LATE_PAYLOAD_BYTES = 20,
};

static void crowd_open(int *fds, uint16_t port)
{
	for (int i = 0; i < CROWD; i++)
		fds[i] = peer_open(port);
}

static void crowd_say(const int *fds, int first, int step, uint32_t seed)
{
	for (int i = first; i < CROWD; i += step)
		peer_send_frame(fds[i], LATE_PAYLOAD_BYTES, seed + (uint32_t)i);
}

static void crowd_hear(const int *fds, int first, int step, uint32_t seed)
{
	for (int i = first; i < CROWD; i += step)
		peer_expect_frame(fds[i], LATE_PAYLOAD_BYTES,
				  seed + (uint32_t)i);
}

static void crowd_close(const int *fds)
{
	for (int i = 0; i < CROWD; i++)
		peer_close(fds[i]);
}

/* Found as a bug: the first turn after a stop looked at 20 peers, and closed
 * all others as silent, with their requests lying in the kernel. */
START_TEST(a_late_loop_hears_who_has_spoken_and_closes_who_has_not)
{
	const struct weir_loop_opts opts = {
		.idle_timeout_ms = LATE_IDLE_MS,
		/* Fewer than peers: those who found none come again. */
		.buf_count = _i == 0 ? 0 : 4,
	};
	struct local local = { .loop = NULL };
	struct weir_loop_stats stats;
	int fds[CROWD];

	local_start(&local, &opts, NULL);
	crowd_open(fds, local.port);
	local_turn_until(&local, &local.echo.opens, CROWD);
	crowd_say(fds, 0, 1, 1);
	local_turn_until(&local, &local.echo.answers, CROWD);
	local_turns(&local, 5);
	crowd_hear(fds, 0, 1, 1);

	crowd_say(fds, 0, 2, 2);
	local.ahead_ns += (uint64_t)10 * LATE_IDLE_MS * NS_PER_MS;
	local_turn_until(&local, &local.echo.answers, CROWD + CROWD / 2);
	ck_assert_uint_eq(local.echo.closes, 0);
	local_turns(&local, 5);
	crowd_hear(fds, 0, 2, 2);
	local_turn_until(&local, &local.echo.closes, CROWD / 2);
	ck_assert_uint_eq(echo_closes_by(&local.echo, WEIR_CLOSE_IDLE),
			  CROWD / 2);

	/* Late again and again is no excuse to wait for ever. */
	local.ahead_ns += (uint64_t)10 * LATE_IDLE_MS * NS_PER_MS;
	local_turn_until(&local, &local.echo.closes, CROWD);
	ck_assert_uint_eq(echo_closes_by(&local.echo, WEIR_CLOSE_IDLE), CROWD);
	crowd_close(fds);
	local_end(&local, &stats);
	ck_assert_uint_eq(stats.idle_deadlines, CROWD);
}
END_TEST

START_TEST(many_deadlines_at_once_are_shared_out_over_turns)
{
	enum { SILENT = 700, PER_TURN = 256 };
	const struct weir_loop_opts opts = { .idle_timeout_ms = LATE_IDLE_MS };
	struct local local = { .loop = NULL };
	struct weir_loop_stats stats;
	int *fds = calloc(SILENT, sizeof(int));
	uint64_t most = 0;
	uint64_t done = 0;

	local_start(&local, &opts, NULL);
	for (int i = 0; i < SILENT; i++)
		fds[i] = peer_open(local.port);
	local_turn_until(&local, &local.echo.opens, SILENT);
	local_turns(&local, 5);
	local.ahead_ns += (uint64_t)10 * LATE_IDLE_MS * NS_PER_MS;
	while (done < SILENT) {
		local_turns(&local, 1);
		weir_loop_stats(local.loop, &stats);
		if (stats.idle_deadlines - done > most)
			most = stats.idle_deadlines - done;
		done = stats.idle_deadlines;
	}
	ck_assert_uint_eq(most, PER_TURN);
	local_turn_until(&local, &local.echo.closes, SILENT);
	for (int i = 0; i < SILENT; i++)
		peer_close(fds[i]);
	local_end(&local, NULL);
	free(fds);
}
END_TEST

Suite *suite_sweep_time(void)
{
	Suite *suite = suite_create("sweep-time");
	TCase *tcase = tcase_create("time");
	tcase_set_timeout(tcase, SWEEP_TEST_TIMEOUT_S);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return suite;
	tcase_add_loop_test(
		tcase, a_late_loop_hears_who_has_spoken_and_closes_who_has_not,
		0, 2);
	tcase_add_test(tcase, many_deadlines_at_once_are_shared_out_over_turns);
	return suite;
}
