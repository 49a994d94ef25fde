/* test_seam.c - the n-th call to the kernel fails, once or from then on for
 * ever; for every n
 *
 * Each open either succeeds all the same, or gives the cause in one line and
 * leaks nothing.
 */
#include "../rig/count_of.h"
#include "../rig/failing.h"
#include "../rig/peer.h"
#include "../rig/support.h"
#include "../suites.h"

#include "net/server.h"
#include "uring/ladder.h"
#include "uring/ring_inline.h"

#include <errno.h>

enum {
	CALLS_MAX = 4000, /* more calls than any of these makes */
	LOOPS = 2,
	DRAIN_MS = 20,
	REFUSED_AT_ONCE = 120, /* limit: the calls of a start and of eight
				* passes */
	NS_PER_MS = 1000000,
};

/* ---- the objects to open ------------------------------------------------- */

/* Opens an object, and closes it if it opened. */
struct subject {
	const char *name;
	int (*play)(const struct weir_kernel *kernel, int rung,
		    struct weir_error *error);
};

static int play_ring(const struct weir_kernel *kernel, int rung,
		     struct weir_error *error)
{
	struct weir_ring ring;
	(void)rung;
	const int err = weir_ring_open(
		&ring, &(struct weir_ring_opts){ .kernel = kernel }, error);
	if (err == 0)
		weir_ring_close(&ring);
	return err;
}

static int play_loop(const struct weir_kernel *kernel, int rung,
		     struct weir_error *error)
{
	struct weir_loop *loop = NULL;
	(void)rung;
	const int err =
		weir_loop_open(&loop,
			       &(struct weir_loop_opts){ .ring.kernel = kernel,
							 .conn_count = 64,
							 .buf_count = 16 },
			       error);
	if (err == 0)
		weir_loop_close(loop);
	else
		ck_assert_ptr_null(loop);
	return err;
}

static int play_server(const struct weir_kernel *kernel, int rung,
		       struct weir_error *error)
{
	struct weir_server *server = NULL;
	(void)rung;
	const struct weir_service service = { .drain_timeout_ms = DRAIN_MS };
	const struct weir_listen listen = { .service = &service,
					    .address = "127.0.0.1" };
	const struct weir_server_opts opts = {
		.listen = &listen,
		.listen_count = 1,
		.loop_count = LOOPS,
		.is_unpinned = true,
		.loop = { .ring.kernel = kernel,
			  .conn_count = 64,
			  .buf_count = 16 },
	};
	const int err = weir_server_open(&server, &opts, error);
	if (err < 0) {
		ck_assert_ptr_null(server);
		return err;
	}
	weir_server_stop(server);
	/* A loop that can never enter reports it only here. */
	ck_assert_int_le(weir_server_join(server), 0);
	weir_server_close(server);
	return 0;
}

/* The try of one rung: a refusal is a valid answer. */
static int play_trial(const struct weir_kernel *kernel, int rung,
		      struct weir_error *error)
{
	static struct weir_rung rungs[WEIR_RUNG_COUNT];
	const weir_rung_set others = (weir_rung_bit(WEIR_RUNG_COUNT) - 1) &
				     ~weir_rung_bit((enum weir_rung_id)rung);
	ck_assert_int_eq(weir_ladder_probe(kernel, others, rungs, error), 0);
	if (rungs[rung].state != WEIR_RUNG_OFF)
		return 0;
	ck_assert_int_lt(rungs[rung].err, 0);
	ck_assert_str_ne(rungs[rung].cause, "");
	return weir_error_set(error, rungs[rung].err, "%s", rungs[rung].cause);
}

/* ---- the sweep ----------------------------------------------------------- */

static void sweep_once(const struct subject *subject, int rung,
		       struct failing *failing)
{
	struct weir_error error = { .code = 0 };
	const size_t fds = peer_fd_count();
	const size_t rings = peer_map_count("io_uring");
	const int err = subject->play(&failing->wrap.kernel, rung, &error);
	ck_assert_msg(err <= 0 && error.code == err,
		      "%s, call %u: returns %d, the error says %d: %s",
		      subject->name, failing->fails_at, err, error.code,
		      error.text);
	ck_assert_msg(err == 0 || (error.text[0] != '\0' &&
				   strchr(error.text, '\n') == NULL),
		      "%s, call %u: %d without a line", subject->name,
		      failing->fails_at, err);
	ck_assert_msg(peer_fd_count() == fds &&
			      peer_map_count("io_uring") == rings,
		      "%s, call %u: leaves something behind: %s", subject->name,
		      failing->fails_at, error.text);
}

static uint64_t now_ms(void)
{
	const struct weir_kernel *kernel = weir_kernel_linux();
	return kernel->now_ns(kernel->ctx) / NS_PER_MS;
}

/* A loop whose enters always fail retries once per millisecond, and ends. Its
 * duration depends on the machine: the stop may be delayed. */
static void expect_no_spin(const struct subject *subject,
			   const struct failing *failing, uint64_t begun_ms)
{
	const uint64_t passed_ms = now_ms() - begun_ms;
	const uint64_t limit = REFUSED_AT_ONCE + LOOPS * passed_ms;
	const uint32_t refused = failing_refused(failing);
	ck_assert_msg(refused < limit,
		      "%s, call %u: refused %u times in %llu ms, the limit is "
		      "%llu",
		      subject->name, failing->fails_at, refused,
		      (unsigned long long)passed_ms, (unsigned long long)limit);
}

/* Returns how many calls there are. */
static uint32_t sweep(const struct subject *subject, int rung, bool is_for_ever,
		      int err)
{
	for (uint32_t at = 1; at < CALLS_MAX; at++) {
		struct failing failing;
		const uint64_t begun_ms = now_ms();
		failing_init(&failing, weir_kernel_linux(), at, is_for_ever,
			     err);
		sweep_once(subject, rung, &failing);
		expect_no_spin(subject, &failing, begun_ms);
		if (failing_refused(&failing) == 0)
			return at - 1;
	}
	ck_abort_msg("%s: there is no end to its calls", subject->name);
	return 0;
}

static const int sweep_errnos[] = { -ENOMEM, -EPERM, -EINTR, -EINVAL };

static const struct subject openings[] = {
	{ "ring", play_ring },
	{ "loop", play_loop },
	{ "server", play_server },
};

START_TEST(what_cannot_be_opened_leaves_nothing_behind)
{
	const struct subject *subject = &openings[_i];
	for (int i = 0; i < COUNT_OF(sweep_errnos); i++) {
		const int err = sweep_errnos[i];
		ck_assert_uint_gt(sweep(subject, 0, false, err), 3);
		if (err != -EINTR) /* EINTR cannot come for ever */
			ck_assert_uint_gt(sweep(subject, 0, true, err), 3);
	}
}
END_TEST

START_TEST(a_trial_that_is_refused_anywhere_says_so)
{
	const struct subject subject = { weir_rung_name(_i), play_trial };
	wi_skip_if_forced_off((enum weir_rung_id)_i);
	(void)sweep(&subject, _i, false, -ENOMEM);
	(void)sweep(&subject, _i, true, -EPERM);
}
END_TEST

/* ---- the suite ----------------------------------------------------------- */

WI_SUITE(seam, "seam", WI_RUNGS | WI_THREADS)
{
	TCase *tcase = tcase_create("sweep");
	tcase_set_timeout(tcase, 120);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase, what_cannot_be_opened_leaves_nothing_behind,
			    0, COUNT_OF(openings));
	tcase_add_loop_test(tcase, a_trial_that_is_refused_anywhere_says_so, 0,
			    WEIR_RUNG_COUNT);
}
