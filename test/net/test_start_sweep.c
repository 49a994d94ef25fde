/* test_start_sweep.c - each call and each allocation of a start fails: once,
 * and from there on
 *
 *     n = 1, 2, 3 ... until a start meets no fault
 *
 * Either the start fails with an errno and a text, and leaves nothing. Or it
 * succeeds without the failing part. The next start always works.
 */
#include "../rig/alloc_watch.h"
#include "../rig/failing.h"
#include "../rig/peer.h"
#include "../rig/support.h"
#include "../suites.h"

#include "../sim/cases.h"
#include "net/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS_MAX = 500 };

static const struct {
	bool for_ever;
	int err;
} sweep_ways[] = {
	{ false, -ENOMEM }, { true, -ENOMEM }, { false, -EMFILE },
	{ true, -EMFILE },  { false, -EPERM }, { true, -EPERM },
};

/* ---- a loop, on the simulated kernel ---------------------------------------
 */

static void assert_nothing_left(const struct weir_sim *sim, uint32_t call)
{
	struct weir_sim_residue residue;
	weir_sim_residue(sim, &residue);
	ck_assert_msg(residue.descriptors == 0 && residue.mappings == 0 &&
			      residue.operations == 0,
		      "call %u: %u descriptors, %u mappings, %u operations",
		      call, residue.descriptors, residue.mappings,
		      residue.operations);
}

static int loop_start(const struct weir_kernel *kernel,
		      struct weir_loop **out_loop, struct weir_error *error)
{
	const struct weir_loop_opts opts = {
		.ring = { .kernel = kernel,
			  .sq_entry_count = 8,
			  .cq_entry_count = 16 },
		.conn_count = 4,
		.backlog = 4,
		.buf_count = 4,
		.buf_bytes = 64,
		.block_memory_bytes = 1 << 16,
	};
	int err = weir_loop_open(out_loop, &opts, error);
	if (err < 0)
		return err;
	err = weir_loop_enable(*out_loop);
	if (err == 0)
		return 0;
	weir_loop_close(*out_loop);
	return err;
}

static void loop_stop(struct weir_loop *loop)
{
	weir_loop_stop(loop);
	while (weir_loop_turn(loop, WEIR_TIMEOUT_NEVER) > 0)
		;
	weir_loop_close(loop);
}

START_TEST(loop_that_cannot_start_leaves_nothing)
{
	struct weir_sim *sim = NULL;
	struct weir_tape *tape = calloc(1, sizeof(*tape));
	struct failing failing;
	uint32_t refused = 0;
	uint32_t call = 0;

	ck_assert_ptr_nonnull(tape);
	ck_assert_int_eq(weir_sim_open(&sim, tape, NULL), 0);
	do {
		struct weir_loop *loop = NULL;
		struct weir_error error = { .code = 0 };
		ck_assert_uint_lt(++call, CALLS_MAX);
		weir_sim_reset(sim, tape, NULL);
		failing_init(&failing, weir_sim_kernel(sim), call,
			     sweep_ways[_i].for_ever, sweep_ways[_i].err);
		failing.spares_enter = true;
		const int err = loop_start(&failing.wrap.kernel, &loop, &error);
		if (err == 0)
			loop_stop(loop);
		else
			refused++;
		ck_assert_msg(err <= 0, "call %u: %d", call, err);
		ck_assert_int_eq(failing.mappings, 0);
		assert_nothing_left(sim, call);
		ck_assert_int_eq(loop_start(weir_sim_kernel(sim), &loop, NULL),
				 0);
		loop_stop(loop);
		assert_nothing_left(sim, call);
	} while (failing_refused(&failing) > 0);
	ck_assert_uint_gt(refused, 5);
	(void)printf("%u calls of a start, %u of them needed (errno %d%s)\n",
		     call - 1, refused, -sweep_ways[_i].err,
		     sweep_ways[_i].for_ever ? ", for ever" : "");
	weir_sim_close(sim);
	free(tape);
}
END_TEST

/* ---- a server, on the real one ------------------------------------------- */

static int server_start(const struct weir_kernel *kernel,
			struct weir_server **out_server,
			struct weir_error *error)
{
	const struct weir_server_opts opts = {
		.listen = &silent_listen,
		.listen_count = 1,
		.loop_count = 2,
		.is_unpinned = true,
		.loop = { .ring = { .kernel = kernel,
				    .sq_entry_count = 8,
				    .cq_entry_count = 16 },
			  .conn_count = 16,
			  .backlog = 16,
			  .buf_count = 4,
			  .block_memory_bytes = 1 << 20 },
	};
	return weir_server_open(out_server, &opts, error);
}

static void server_end(struct weir_server *server)
{
	weir_server_stop(server);
	(void)weir_server_join(server); /* its loops may have failed */
	weir_server_close(server);
}

/* Return: 1: it has started; 0: it has reported an error. */
static int server_try(const struct weir_kernel *kernel, size_t fds,
		      uint64_t fail_alloc, bool for_ever, uint64_t *out_allocs)
{
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	alloc_watch_start(fail_alloc, for_ever);
	const int err = server_start(kernel, &server, &error);
	*out_allocs = alloc_watch_stop();
	if (err == 0) {
		server_end(server);
	} else {
		ck_assert_int_lt(err, 0);
		ck_assert_ptr_null(server);
		ck_assert_int_eq(error.code, err);
		ck_assert_str_ne(error.text, "");
	}
	ck_assert_uint_eq(peer_fd_count(), fds);
	return err == 0;
}

START_TEST(server_that_cannot_start_leaves_nothing)
{
	const size_t fds = peer_fd_count();
	struct failing failing;
	uint64_t allocs;
	uint32_t refused = 0;
	uint32_t call = 0;

	do {
		ck_assert_uint_lt(++call, CALLS_MAX);
		failing_init(&failing, weir_kernel_linux(), call,
			     sweep_ways[_i].for_ever, sweep_ways[_i].err);
		failing.spares_enter = true;
		refused += !server_try(&failing.wrap.kernel, fds, 0, false,
				       &allocs);
		ck_assert_int_eq(failing.mappings, 0);
	} while (failing_refused(&failing) > 0);
	ck_assert_uint_gt(refused, 5);
	(void)printf("%u calls of a server's start, %u of them needed\n",
		     call - 1, refused);
	ck_assert_int_eq(
		server_try(weir_kernel_linux(), fds, 0, false, &allocs), 1);
}
END_TEST

START_TEST(server_without_memory_says_so)
{
	const size_t fds = peer_fd_count();
	const bool for_ever = _i == 1;
	uint64_t allocs = 0;
	uint64_t call = 0;
	uint32_t refused = 0;

	do {
		ck_assert_uint_lt(++call, CALLS_MAX);
		refused += !server_try(weir_kernel_linux(), fds, call, for_ever,
				       &allocs);
	} while (allocs >= call);
	ck_assert_uint_gt(refused, 0);
	(void)printf("%llu allocations of a server's start, %u of them "
		     "needed\n",
		     (unsigned long long)call - 1, refused);
	ck_assert_int_eq(
		server_try(weir_kernel_linux(), fds, 0, false, &allocs), 1);
}
END_TEST

/* ---- and then no more ------------------------------------------------------
 */

START_TEST(loop_allocates_nothing_at_all)
{
	static struct sim_plan plan;
	struct sim_case_result result;
	struct weir_sim *sim = NULL;
	struct weir_tape *tape = calloc(1, sizeof(*tape));

	ck_assert_ptr_nonnull(tape);
	ck_assert_int_eq(weir_sim_open(&sim, tape, NULL), 0);
	for (uint64_t seed = 1; seed < 50; seed++) {
		weir_tape_seed(tape, seed);
		alloc_watch_start(0, false);
		sim_case_play(&sim_cases[seed % sim_case_count], sim, tape,
			      &plan, NULL, &result);
		ck_assert_uint_eq(alloc_watch_stop(), 0);
		ck_assert_msg(result.violation == NULL, "%s", result.violation);
	}
	/* The watch counts existing objects. */
	alloc_watch_start(0, false);
	void *volatile memory = malloc(10);
	ck_assert_uint_eq(alloc_watch_stop(), 1);
	free(memory);
	weir_sim_close(sim);
	free(tape);
}
END_TEST

WI_SUITE(start_sweep, "start-sweep", WI_RUNGS | WI_THREADS | WI_BPF)
{
	TCase *tcase = tcase_create("start-sweep");
	const int ways = (int)(sizeof(sweep_ways) / sizeof(sweep_ways[0]));
	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, loop_that_cannot_start_leaves_nothing, 0,
			    ways);
	tcase_add_loop_test(tcase, server_that_cannot_start_leaves_nothing, 0,
			    ways);
	tcase_add_loop_test(tcase, server_without_memory_says_so, 0, 2);
	tcase_add_test(tcase, loop_allocates_nothing_at_all);
	suite_add_tcase(suite, tcase);
}
