/* test_hooks.c - callbacks of a loop itself: start, ticks, stop */
#include "../rig/count_of.h"
#include "../rig/faults.h"
#include "../rig/peer.h"
#include "test_server.h"

#include "uring/barrier.h"

#include <errno.h>

enum { LOOPS_MAX = 16, NOBODY = -1 };

/* The callbacks of one loop; its thread writes this, the test reads it once the
 * thread has ended. */
struct life {
	pthread_t thread;
	uint32_t starts;
	uint32_t stops;
	uint32_t calls;       /* of handlers, and ticks */
	bool is_out_of_order; /* a call before the start or after the stop */
	bool is_elsewhere;    /* a call on another thread */
	struct weir_server *server;
};

struct lives {
	struct weir_service service;
	struct life loops[LOOPS_MAX];
	int refusing; /* index of the loop whose start fails, or NOBODY */
	int err;
	uint32_t ticks;
};

static struct life *life_of(struct lives *lives, const struct weir_loop *loop)
{
	return &lives->loops[weir_loop_index(loop)];
}

static int on_start(struct weir_loop *loop, void *ctx)
{
	struct lives *lives = ctx;
	struct life *life = life_of(lives, loop);
	life->thread = pthread_self();
	life->is_out_of_order |= life->calls > 0 || life->stops > 0;
	life->server = weir_loop_server(loop);
	life->starts++;
	return (int)weir_loop_index(loop) == lives->refusing ? lives->err : 0;
}

static void life_call(struct life *life)
{
	life->calls++;
	life->is_out_of_order |= life->starts != 1 || life->stops > 0;
	life->is_elsewhere |= pthread_equal(life->thread, pthread_self()) == 0;
}

static void on_tick(struct weir_loop *loop, void *ctx)
{
	struct lives *lives = ctx;
	life_call(life_of(lives, loop));
	(void)wi_add_fetch_release_u32(&lives->ticks, 1);
}

static void on_stop(struct weir_loop *loop, void *ctx)
{
	struct life *life = life_of(ctx, loop);
	life->is_elsewhere |= pthread_equal(life->thread, pthread_self()) == 0;
	life->stops++;
}

static void on_open(struct weir_conn *conn, void *ctx)
{
	life_call(life_of(ctx, weir_conn_loop(conn)));
}

static void on_close(struct weir_conn *conn,
		     const struct weir_close_reason *reason, void *ctx)
{
	(void)reason;
	life_call(life_of(ctx, weir_conn_loop(conn)));
}

static struct weir_loop_hooks hooks_of(struct lives *lives)
{
	return (struct weir_loop_hooks){ .on_start = on_start,
					 .on_stop = on_stop,
					 .on_tick = on_tick,
					 .ctx = lives };
}

static int lives_open(struct weir_server **out_server, struct lives *lives,
		      struct weir_server_opts opts, struct weir_error *error)
{
	lives->service = (struct weir_service){
		.handlers = { .on_open = on_open, .on_close = on_close },
		.ctx = lives,
	};
	const struct weir_listen listen = { .service = &lives->service,
					    .address = "127.0.0.1" };
	opts.listen = &listen;
	opts.listen_count = 1;
	opts.is_unpinned = true;
	opts.loop.hooks = hooks_of(lives);
	return weir_server_open(out_server, &opts, error);
}

static void life_check(const struct life *life, uint32_t stops)
{
	ck_assert_uint_eq(life->starts, 1);
	ck_assert_uint_eq(life->stops, stops);
	ck_assert(!life->is_out_of_order);
	ck_assert(!life->is_elsewhere);
}

/* ---- of a server ------------------------------------------------------- */

START_TEST(a_loop_starts_before_its_handlers_and_stops_after_them)
{
	struct lives lives = { .refusing = NOBODY };
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	const struct weir_server_opts opts = {
		.loop_count = 3,
		.loop = { .tick_interval_ms = 1 },
	};
	int fds[12];

	int err = lives_open(&server, &lives, opts, &error);
	ck_assert_msg(err == 0, "%s", error.text);
	for (int i = 0; i < COUNT_OF(fds); i++)
		fds[i] = peer_open(seen_port(server));
	while (wi_load_acquire_u32(&lives.ticks) < 30)
		(void)sched_yield();
	for (int i = 0; i < COUNT_OF(fds); i += 2)
		peer_close(fds[i]); /* the others are closed by the stop */
	weir_server_stop(server);
	ck_assert_int_eq(weir_server_join(server), 0);
	for (int i = 0; i < 3; i++) {
		life_check(&lives.loops[i], 1);
		ck_assert_ptr_eq(lives.loops[i].server, server);
	}
	weir_server_close(server);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(lives.loops[i].stops, 1);
	for (int i = 1; i < COUNT_OF(fds); i += 2)
		peer_close(fds[i]);
}
END_TEST

START_TEST(a_start_that_fails_is_that_of_the_server_and_leaves_nothing)
{
	struct lives lives = { .refusing = _i, .err = -ENODEV };
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	const struct weir_server_opts opts = { .loop_count = 3 };
	char hint[32];
	const size_t fds = peer_fd_count();
	const size_t rings = peer_map_count("io_uring");

	ck_assert_int_eq(lives_open(&server, &lives, opts, &error), -ENODEV);
	ck_assert_ptr_null(server);
	ck_assert_int_eq(error.code, -ENODEV);
	(void)snprintf(hint, sizeof(hint), "start of loop %d", _i);
	ck_assert_msg(strstr(error.text, hint) != NULL, "no '%s' in: %s", hint,
		      error.text);
	ck_assert_uint_eq(peer_fd_count(), fds);
	ck_assert_uint_eq(peer_map_count("io_uring"), rings);
	/* Loops that had started are stopped; the failing one is not. */
	for (int i = 0; i < _i; i++)
		life_check(&lives.loops[i], 1);
	life_check(&lives.loops[_i], 0);
	for (int i = _i + 1; i < 3; i++)
		ck_assert_uint_eq(lives.loops[i].starts, 0);
}
END_TEST

START_TEST(a_loop_whose_start_fails_is_not_added)
{
	struct lives lives = { .refusing = 1, .err = -EUCLEAN };
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	const struct weir_server_opts opts = { .loop_count = 1 };

	ck_assert_int_eq(lives_open(&server, &lives, opts, &error), 0);
	ck_assert_int_eq(weir_server_add_loop(server, -1, &error), -EUCLEAN);
	life_check(&lives.loops[1], 0);
	lives.refusing = NOBODY;
	lives.loops[1] = (struct life){ .starts = 0 };
	ck_assert_int_eq(weir_server_add_loop(server, -1, &error), 1);
	ck_assert_int_eq(weir_server_remove_loop(server, 1, &error), 0);
	life_check(&lives.loops[1], 1); /* stopped by its removal */
	weir_server_stop(server);
	ck_assert_int_eq(weir_server_join(server), 0);
	weir_server_close(server);
	life_check(&lives.loops[0], 1);
}
END_TEST

/* ---- the result is there before the first call ------------------------- */

static struct {
	struct weir_server *server;
	uint32_t calls;
	uint32_t blind_calls; /* calls that found no server there */
} early;

static void early_on_tick(struct weir_loop *loop, void *ctx)
{
	(void)loop;
	(void)ctx;
	if (wi_load_seq_cst_pointer(&early.server) == NULL)
		(void)wi_add_fetch_release_u32(&early.blind_calls, 1);
	(void)wi_add_fetch_release_u32(&early.calls, 1);
}

/* A few loops already turn while the others still wait at the gate. */
START_TEST(no_handler_runs_before_the_server_is_known)
{
	const struct weir_server_opts opts = {
		.listen = &silent_listen,
		.listen_count = 1,
		.loop_count = LOOPS_MAX,
		.is_unpinned = true,
		.loop = { .conn_count = 8,
			  .buf_count = 2,
			  .tick_interval_ms = 1,
			  .hooks = { .on_tick = early_on_tick } },
	};
	for (int i = 0; i < 20; i++) {
		early.server = NULL;
		early.calls = 0;
		ck_assert_int_eq(weir_server_open(&early.server, &opts, NULL),
				 0);
		while (wi_load_acquire_u32(&early.calls) < LOOPS_MAX)
			(void)sched_yield();
		weir_server_stop(early.server);
		ck_assert_int_eq(weir_server_join(early.server), 0);
		ck_assert_uint_eq(early.blind_calls, 0);
		weir_server_close(early.server);
	}
}
END_TEST

/* ---- of a loop of its own ---------------------------------------------- */

static struct weir_loop *own_loop(struct lives *lives,
				  const struct weir_kernel *kernel)
{
	const struct weir_loop_opts opts = { .ring = { .kernel = kernel },
					     .conn_count = 8,
					     .hooks = hooks_of(lives) };
	struct weir_loop *loop = NULL;
	ck_assert_int_eq(weir_loop_open(&loop, &opts, NULL), 0);
	return loop;
}

START_TEST(a_loop_of_its_own_that_fails_to_start_can_only_be_closed)
{
	struct lives lives = { .refusing = 0, .err = -ENODEV };
	struct weir_loop *loop = own_loop(&lives, NULL);
	ck_assert_int_eq(weir_loop_enable(loop), -ENODEV);
	ck_assert_int_eq(weir_loop_enable(loop), -EBADFD);
	weir_loop_close(loop);
	life_check(&lives.loops[0], 0);
}
END_TEST

START_TEST(a_loop_of_its_own_stops_with_its_last_turn)
{
	struct lives lives = { .refusing = NOBODY };
	struct weir_loop *loop = own_loop(&lives, NULL);
	int result = 1;
	ck_assert_int_eq(weir_loop_enable(loop), 0);
	weir_loop_stop(loop);
	while (result > 0) {
		ck_assert_uint_eq(lives.loops[0].stops, 0);
		result = weir_loop_turn(loop, 0);
	}
	ck_assert_int_eq(result, 0);
	ck_assert_uint_eq(lives.loops[0].stops, 1);
	ck_assert_int_eq(weir_loop_turn(loop, 0), 0);
	weir_loop_close(loop);
	life_check(&lives.loops[0], 1);
}
END_TEST

START_TEST(a_loop_that_ends_by_an_error_stops_once)
{
	struct lives lives = { .refusing = NOBODY };
	struct wi_faults faults;
	wi_faults_init(&faults);
	struct weir_loop *loop = own_loop(&lives, &faults.wrap.kernel);
	ck_assert_int_eq(weir_loop_enable(loop), 0);
	faults.enter_fault = WI_ENTER_NOT_CALLED;
	faults.enter_errno = -EBADF;
	faults.enters_faulty = UINT32_MAX;
	ck_assert_int_eq(weir_loop_run(loop), -EBADF);
	ck_assert_uint_eq(lives.loops[0].stops, 1);
	weir_loop_close(loop);
	life_check(&lives.loops[0], 1);
}
END_TEST

START_TEST(a_loop_that_is_closed_before_its_end_stops_then)
{
	struct lives lives = { .refusing = NOBODY };
	struct weir_loop *loop = own_loop(&lives, NULL);
	ck_assert_int_eq(weir_loop_enable(loop), 0);
	ck_assert_int_eq(weir_loop_turn(loop, 0), 1);
	ck_assert_uint_eq(lives.loops[0].stops, 0);
	weir_loop_close(loop);
	life_check(&lives.loops[0], 1);

	loop = own_loop(&lives, NULL); /* not started: no calls */
	weir_loop_close(loop);
	ck_assert_uint_eq(lives.loops[0].stops, 1);
}
END_TEST

START_TEST(a_loop_keeps_a_pointer_for_its_user)
{
	struct lives lives = { .refusing = NOBODY };
	struct weir_loop *loop = own_loop(&lives, NULL);
	ck_assert_ptr_null(weir_loop_user(loop));
	weir_loop_user_set(loop, &lives);
	ck_assert_ptr_eq(weir_loop_user(loop), &lives);
	ck_assert_ptr_null(weir_loop_server(loop));
	weir_loop_close(loop);
}
END_TEST

TCase *tcase_hooks(void)
{
	TCase *tcase = tcase_create("hooks");
	tcase_set_timeout(tcase, SERVER_TEST_TIMEOUT_S);
	tcase_add_test(tcase,
		       a_loop_starts_before_its_handlers_and_stops_after_them);
	tcase_add_loop_test(
		tcase,
		a_start_that_fails_is_that_of_the_server_and_leaves_nothing, 0,
		3);
	tcase_add_test(tcase, a_loop_whose_start_fails_is_not_added);
	tcase_add_test(tcase, no_handler_runs_before_the_server_is_known);
	tcase_add_test(
		tcase,
		a_loop_of_its_own_that_fails_to_start_can_only_be_closed);
	tcase_add_test(tcase, a_loop_of_its_own_stops_with_its_last_turn);
	tcase_add_test(tcase, a_loop_that_ends_by_an_error_stops_once);
	tcase_add_test(tcase, a_loop_that_is_closed_before_its_end_stops_then);
	tcase_add_test(tcase, a_loop_keeps_a_pointer_for_its_user);
	return tcase;
}
