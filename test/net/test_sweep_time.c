/* test_sweep_time.c - a server gets too little time
 *
 *     a late loop             closes no peer whose bytes it has not read yet
 *     SIGSTOP, SIGCONT        the same for the whole program
 *     SIGALRM, 1000 a second  may interrupt every call
 */
#include "../rig/peer.h"
#include "../rig/sweep.h"
#include "../suites.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	SWARM = 200, /* more than one enter returns */
	NS_PER_MS = 1000000,
};

/* ---- a loop that was late ---------------------------------------------- */

enum {
	LATE_IDLE_MS = 3000,
	LATE_PAYLOAD_BYTES = 20,
};

static void swarm_open(int *fds, uint16_t port)
{
	for (int i = 0; i < SWARM; i++)
		fds[i] = peer_open(port);
}

static void swarm_say(const int *fds, int first, int step, uint32_t seed)
{
	for (int i = first; i < SWARM; i += step)
		peer_send_frame(fds[i], LATE_PAYLOAD_BYTES, seed + (uint32_t)i);
}

static void swarm_hear(const int *fds, int first, int step, uint32_t seed)
{
	for (int i = first; i < SWARM; i += step)
		peer_expect_frame(fds[i], LATE_PAYLOAD_BYTES,
				  seed + (uint32_t)i);
}

static void swarm_close(const int *fds)
{
	for (int i = 0; i < SWARM; i++)
		peer_close(fds[i]);
}

/* Found as a bug: the first turn after a stop read 20 peers and closed all
 * others as silent, though their requests were in the kernel. */
START_TEST(a_late_loop_hears_who_has_spoken_and_closes_who_has_not)
{
	const struct weir_service service = { .idle_timeout_ms = LATE_IDLE_MS };
	const struct weir_loop_opts opts = {
		/* Fewer than peers: receives without a buffer are repeated. */
		.buf_count = _i == 0 ? 0 : 4,
	};
	struct local local = { .is_time_still = true };
	struct weir_loop_stats stats;
	int fds[SWARM];

	local_start(&local, &opts, &service);
	swarm_open(fds, local.port);
	local_turn_until(&local, &local.echo.opens, SWARM);
	swarm_say(fds, 0, 1, 1);
	local_turn_until(&local, &local.echo.answers, SWARM);
	local_turns(&local, 5);
	swarm_hear(fds, 0, 1, 1);

	swarm_say(fds, 0, 2, 2);
	local.ahead_ns += (uint64_t)10 * LATE_IDLE_MS * NS_PER_MS;
	local_turn_until(&local, &local.echo.answers, SWARM + SWARM / 2);
	ck_assert_uint_eq(local.echo.closes, 0);
	local_turns(&local, 5);
	swarm_hear(fds, 0, 2, 2);
	local_turn_until(&local, &local.echo.closes, SWARM / 2);
	ck_assert_uint_eq(echo_closes_by(&local.echo, WEIR_CLOSE_IDLE),
			  SWARM / 2);

	/* If it is late every time, silent peers must still be closed. */
	local.ahead_ns += (uint64_t)10 * LATE_IDLE_MS * NS_PER_MS;
	local_turn_until(&local, &local.echo.closes, SWARM);
	ck_assert_uint_eq(echo_closes_by(&local.echo, WEIR_CLOSE_IDLE), SWARM);
	swarm_close(fds);
	local_end(&local, &stats);
	ck_assert_uint_eq(stats.idle_deadlines, SWARM);
}
END_TEST

START_TEST(many_deadlines_at_once_are_shared_out_over_turns)
{
	enum { SILENT = 700, PER_TURN = 256 };
	const struct weir_service service = { .idle_timeout_ms = LATE_IDLE_MS };
	struct local local = { .is_time_still = true };
	struct weir_loop_stats stats;
	int *fds = calloc(SILENT, sizeof(int));
	uint64_t most = 0;
	uint64_t done = 0;

	local_start(&local, NULL, &service);
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

/* ---- SIGSTOP ----------------------------------------------------------- */

static uint64_t clock_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}

/* Here time itself matters: the server's deadlines pass. */
static void let_pass(uint64_t until_ms)
{
	while (clock_ms() < until_ms) {
		const struct timespec rest = { .tv_nsec = 10 * NS_PER_MS };
		(void)nanosleep(&rest, NULL);
	}
}

/* One exchange with each; closed connections are skipped. */
static void swarm_greet(const int *fds)
{
	uint8_t frame[PEER_PREFIX_BYTES + LATE_PAYLOAD_BYTES];
	const size_t bytes = peer_frame_put(frame, LATE_PAYLOAD_BYTES, 1);
	for (int i = 0; i < SWARM; i++)
		(void)send(fds[i], frame, bytes, MSG_NOSIGNAL);
	for (int i = 0; i < SWARM; i++)
		(void)recv(fds[i], frame, bytes, MSG_WAITALL);
}

/* A server that is stopped, with a swarm of clients that it has served once.
 * False: that took so long that it may have closed some of them before. */
static bool stopped_start(struct program *echo, uint64_t idle_ms, int *fds)
{
	char idle[32];
	int status = 0;

	(void)snprintf(idle, sizeof(idle), "%llums",
		       (unsigned long long)idle_ms);
	*echo = echo_program((const char *const[]){
		ECHO_ARGS, "--loops", "2", "--idle-timeout", idle, NULL });
	const uint64_t begun_ms = clock_ms();
	swarm_open(fds, echo->port);
	swarm_greet(fds);
	ck_assert_int_eq(kill(echo->pid, SIGSTOP), 0);
	ck_assert_int_eq(waitpid(echo->pid, &status, WUNTRACED), echo->pid);
	ck_assert(WIFSTOPPED(status));
	return clock_ms() - begun_ms < idle_ms;
}

static void stopped_give_up(struct program *echo, const int *fds)
{
	static struct outcome outcome;
	swarm_close(fds);
	ck_assert_int_eq(kill(echo->pid, SIGKILL), 0);
	sweep_end(echo, &outcome);
}

START_TEST(after_a_stop_of_seconds_nobody_is_closed_who_has_spoken)
{
	static struct outcome outcome;
	struct program echo;
	uint64_t idle_ms = 1000;
	int fds[SWARM];

	wi_skip_unless_deep("seconds of the real clock pass");
	sweep_now_trying("SIGSTOP");
	scratch_open();
	while (!stopped_start(&echo, idle_ms, fds)) {
		stopped_give_up(&echo, fds);
		idle_ms *= 2;
	}
	swarm_say(fds, 0, 2, 2);
	let_pass(clock_ms() + 5 * idle_ms / 2);
	ck_assert_int_eq(kill(echo.pid, SIGCONT), 0);
	/* Those that have sent something are answered... */
	swarm_hear(fds, 0, 2, 2);
	/* ...and the others have been silent for longer than they may. */
	for (int i = 1; i < SWARM; i += 2)
		peer_expect_end(fds[i]);
	swarm_close(fds);
	ck_assert_int_eq(kill(echo.pid, SIGTERM), 0);
	sweep_end(&echo, &outcome);
	char *json = sweep_expect_clean(&outcome);
	ck_assert_uint_eq(TOTAL(json, "net", "accepts"), SWARM);
	ck_assert_uint_ge(TOTAL(json, "closes_by", "idle"), SWARM / 2);
	ck_assert_uint_ge(TOTAL(json, "net", "stalled_turns"), 1);
	free(json);
	scratch_close();
}
END_TEST

/* ---- a storm of signals ------------------------------------------------ */

enum {
	STORM_US = 1000,
	STORM_SIGNALS = 400,
	STORM_CONNS = 8,
	STORM_BYTES_MAX = 60000,
};

static int storm_signals;

/* Of any thread. */
static int storm_count(void)
{
	return __atomic_load_n(&storm_signals, __ATOMIC_RELAXED);
}

static void storm_on_alarm(int number)
{
	(void)number;
	(void)__atomic_add_fetch(&storm_signals, 1, __ATOMIC_RELAXED);
}

/* Goes to any thread that does not block SIGALRM. */
static void storm_start(void)
{
	const struct sigaction action = { .sa_handler = storm_on_alarm };
	const struct itimerval every = { .it_interval.tv_usec = STORM_US,
					 .it_value.tv_usec = STORM_US };
	storm_signals = 0;
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &every, NULL), 0);
}

static void storm_end(void)
{
	const struct itimerval never = { .it_interval.tv_usec = 0 };
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	(void)signal(SIGALRM, SIG_IGN); /* one may be pending */
}

static void storm_block(int how)
{
	sigset_t alarm_only;
	(void)sigemptyset(&alarm_only);
	(void)sigaddset(&alarm_only, SIGALRM);
	(void)pthread_sigmask(how, &alarm_only, NULL);
}

struct storm_load {
	pthread_t thread;
	uint16_t port;
	uint64_t answers;
	_Atomic bool is_done;
};

/* Clients at a slow rate, until the server has had enough signals. */
static void *storm_load_main(void *ctx)
{
	struct storm_load *load = ctx;
	int fds[STORM_CONNS];
	storm_block(SIG_BLOCK);
	for (int i = 0; i < STORM_CONNS; i++)
		fds[i] = peer_open(load->port);
	for (uint32_t round = 0; storm_count() < STORM_SIGNALS; round++) {
		const size_t bytes = round * 997 % STORM_BYTES_MAX;
		for (int i = 0; i < STORM_CONNS; i++)
			peer_send_frame(fds[i], bytes, round);
		for (int i = 0; i < STORM_CONNS; i++)
			peer_expect_frame(fds[i], bytes, round);
		load->answers += STORM_CONNS;
	}
	for (int i = 0; i < STORM_CONNS; i++)
		peer_close(fds[i]);
	load->is_done = true;
	return NULL;
}

static void storm_load_start(struct storm_load *load, uint16_t port)
{
	load->port = port;
	ck_assert_int_eq(
		pthread_create(&load->thread, NULL, storm_load_main, load), 0);
}

START_TEST(a_loop_in_a_storm_of_signals_answers_every_byte)
{
	struct local local = { .loop = NULL };
	struct storm_load load = { .port = 0 };
	struct weir_loop_stats stats;
	wi_skip_unless_deep("when a signal comes is the clock's choice");

	local_start(&local, NULL, NULL);
	storm_load_start(&load, local.port);
	storm_start();
	while (!load.is_done)
		ck_assert_int_eq(
			weir_loop_turn(local.loop, (uint64_t)100 * NS_PER_MS),
			1);
	local_turn_until(&local, &local.echo.closes, STORM_CONNS);
	storm_end();
	ck_assert_int_eq(pthread_join(load.thread, NULL), 0);
	ck_assert_uint_eq(local.echo.answers, load.answers);
	local_end(&local, &stats);
	ck_assert_uint_eq(stats.closes_by[WEIR_CLOSE_PEER], STORM_CONNS);
	ck_assert_uint_gt(stats.ring.enters_interrupted, 0);
	(void)printf("%llu answers, %d signals, %llu of %llu enters cut\n",
		     (unsigned long long)load.answers, storm_count(),
		     (unsigned long long)stats.ring.enters_interrupted,
		     (unsigned long long)stats.ring.enters);
}
END_TEST

/* An application may unblock signals in the loops, whose threads block all. */
static void storm_on_open(struct weir_conn *conn, void *ctx)
{
	storm_block(SIG_UNBLOCK);
	echo_on_open(conn, ctx);
}

START_TEST(a_server_in_a_storm_of_signals_answers_every_byte)
{
	const struct weir_server_opts opts = { .loop_count = 2 };
	const struct weir_service service = {
		.handlers = { .on_open = storm_on_open },
	};
	struct echo echo = { .server = NULL };
	struct storm_load load = { .port = 0 };
	struct weir_loop_stats stats;
	wi_skip_unless_deep("when a signal comes is the clock's choice");

	/* Only the loops should get it: this thread could be chosen too. */
	storm_block(SIG_BLOCK);
	echo_start(&echo, &opts, &service);
	storm_start();
	storm_load_start(&load, echo_port(&echo));
	ck_assert_int_eq(pthread_join(load.thread, NULL), 0);
	echo_wait_closes(&echo, STORM_CONNS);
	echo_end(&echo, &stats);
	storm_end();
	storm_block(SIG_UNBLOCK);
	ck_assert_uint_eq(echo.answers, load.answers);
	ck_assert_uint_eq(stats.closes_by[WEIR_CLOSE_PEER], STORM_CONNS);
	ck_assert_uint_gt(stats.ring.enters_interrupted, 0);
}
END_TEST

WI_SUITE(sweep_time, "sweep-time", WI_RUNGS | WI_THREADS | WI_SWEEP)
{
	TCase *tcase = tcase_create("time");
	tcase_set_timeout(tcase, SWEEP_TEST_TIMEOUT_S);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(
		tcase, a_late_loop_hears_who_has_spoken_and_closes_who_has_not,
		0, 2);
	tcase_add_test(tcase, many_deadlines_at_once_are_shared_out_over_turns);
	tcase_add_test(tcase, a_loop_in_a_storm_of_signals_answers_every_byte);
	tcase_add_test(tcase,
		       a_server_in_a_storm_of_signals_answers_every_byte);
	if (tools_dir() == NULL) {
		wi_skip_note("SIGSTOP", "this build has no tools",
			     WI_SKIP_ASKED);
		return;
	}
	tcase_add_test(tcase,
		       after_a_stop_of_seconds_nobody_is_closed_who_has_spoken);
}
