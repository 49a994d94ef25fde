/* test_steer_change.c - steering changes while clients come: none is lost
 *
 * A swarm of clients connects all the time, and the test's thread changes the
 * server. The result of a change is checked once all connections that were
 * begun before it have ended.
 */
#include "../rig/count_of.h"
#include "../suites.h"
#include "steer_rig.h"

#include <errno.h>
#include <unistd.h>

enum {
	ENOUGH = 2000000, /* more than any of these tests makes */
	SOURCES = 200,
	GUARD_OFF = 100,
};

/* How many connections come before and after a change. A fault that hits one in
 * a hundred escapes 500 of them in 0.99^500 = 0.7 % of all runs; one that hits
 * one in a thousand escapes the 5000 of the deep tier as rarely. Faults in the
 * moment of the change do not depend on these numbers. */
static uint32_t some(uint32_t count)
{
	return wi_is_deep() ? count : count / 10;
}

static void many_sources(uint32_t index, struct weir_addr *out_source)
{
	rig_source_ipv4(index % SOURCES, out_source);
}

/* On one or two CPUs, until swarm_stop(). */
static void swarm_flow(struct swarm *swarm, const struct weir_addr *targets,
		       int cpus[2])
{
	struct swarm_opts opts = {
		.count = ENOUGH,
		.targets = targets,
		.target_count = 1,
		.source = many_sources,
		.batch = 8,
	};
	swarm_pin(&opts, cpus);
	swarm_start(swarm, &opts);
}

/* @count connections that begin after this call have ended. They include a
 * batch of each thread, so each CPU has sent some. */
static void swarm_pass(struct swarm *swarm, uint64_t count)
{
	swarm_settle(swarm);
	swarm_wait_tried(swarm, swarm_tried(swarm) + count);
	swarm_settle(swarm);
	ck_assert_uint_lt(swarm_tried(swarm), ENOUGH);
}

static void swarm_end_unharmed(struct swarm *swarm)
{
	swarm_stop(swarm);
	swarm_join(swarm);
	swarm_expect_all_served(swarm);
	swarm_end(swarm);
}

/* By the kernel's hash, SYNs reach a listener up to its end. A program stops
 * sending connections there well before. */
static void swarm_end_nearly_unharmed(struct swarm *swarm, uint32_t shut_count)
{
	swarm_stop(swarm);
	swarm_join(swarm);
	swarm_expect_served_but_for_races(swarm, shut_count);
	swarm_end(swarm);
}

/* ---- drain ------------------------------------------------------------- */

static const struct {
	enum weir_steer_policy policy;
	bool has_two_addresses;
} drain_cases[] = {
	{ WEIR_STEER_ROUND_ROBIN, false },  { WEIR_STEER_ROUND_ROBIN, true },
	{ WEIR_STEER_LEAST_LOADED, false }, { WEIR_STEER_LEAST_LOADED, true },
	{ WEIR_STEER_SOURCE_HASH, false },  { WEIR_STEER_CPU, false },
	{ WEIR_STEER_KERNEL, false },
};

static const struct weir_listen addresses[] = { { .address = "127.0.0.1" },
						{ .address = "::1" } };

/* Without a program the kernel moves waiting connections only if its setting
 * allows it. */
static void drain_start(struct steered *steered, int drain_case)
{
	const struct weir_server_opts opts = {
		.loop_count = 3,
		.listen = addresses,
		.listen_count =
			drain_cases[drain_case].has_two_addresses ? 2 : 1,
		.steering = { .policy = drain_cases[drain_case].policy,
			      .guard_percent = GUARD_OFF },
	};
	if (opts.steering.policy != WEIR_STEER_KERNEL) {
		steered_start_by_program(steered, &opts);
		return;
	}
	rig_sysctl("ipv4/tcp_migrate_req", "1");
	steered_start(steered, &opts);
}

static void both_families(uint32_t index, struct weir_addr *out_source)
{
	if (index % 2 == 0)
		rig_source_ipv4(index % SOURCES, out_source);
	else
		rig_source_ipv6(index % SOURCES, out_source);
}

START_TEST(a_loop_that_is_drained_gets_nothing_and_nobody_notices)
{
	wi_steer_enter_or_skip();
	enum { GONE = 1 };
	struct steered steered;
	struct swarm swarm;
	struct weir_error error;
	int cpus[2];

	drain_start(&steered, _i);
	struct weir_addr targets[2] = { steered_addr(&steered) };
	struct swarm_opts opts = {
		.count = ENOUGH,
		.targets = targets,
		.target_count = 1,
		.source = many_sources,
		.batch = 8,
	};
	if (drain_cases[_i].has_two_addresses) {
		targets[1] = seen_server(steered.server).addrs[1];
		opts.target_count = 2;
		opts.source = both_families;
	}
	swarm_pin(&opts, cpus);
	swarm_start(&swarm, &opts);
	swarm_pass(&swarm, some(2000));
	ck_assert_uint_gt(steered_share(&steered, GONE).stats.accepts, 0);

	ck_assert_int_eq(
		weir_server_stop_accepting(steered.server, GONE, &error), 0);
	/* None after the call, not even those that are connecting now. */
	const uint64_t arrived = steered_share(&steered, GONE).stats.accepts;
	ck_assert(steered_share(&steered, GONE).has_stopped_accepting);
	swarm_settle(&swarm);
	const uint64_t chosen = steered_share(&steered, GONE).chosen;
	swarm_pass(&swarm, some(5000));
	ck_assert_uint_eq(steered_share(&steered, GONE).stats.accepts, arrived);
	ck_assert_uint_eq(steered_share(&steered, GONE).chosen, chosen);
	while (steered_share(&steered, GONE).stats.conns_open > 0)
		swarm_pass(&swarm, 100);

	ck_assert_int_eq(
		weir_server_resume_accepting(steered.server, GONE, &error), 0);
	swarm_pass(&swarm, some(2000));
	ck_assert(!steered_share(&steered, GONE).has_stopped_accepting);
	ck_assert_uint_gt(steered_share(&steered, GONE).stats.accepts, arrived);
	if (drain_cases[_i].policy == WEIR_STEER_KERNEL)
		swarm_end_nearly_unharmed(&swarm, opts.target_count);
	else
		swarm_end_unharmed(&swarm);
	steered_end(&steered);
}
END_TEST

/* ---- clients that wait in a queue -------------------------------------- */

enum { WAITING = 64, LEAVING = 1 };

static const struct {
	const char *address; /* of the server, and target of the clients */
	const char *target;
	void (*source)(uint32_t index, struct weir_addr *out_source);
} wait_cases[] = {
	{ "127.0.0.1", "127.0.0.1", rig_source_ipv4 },
	{ "::1", "::1", rig_source_ipv6 },
	{ "::", "127.0.0.1", rig_source_ipv4 },
};

/* Of a case's sources, those whose loop is LEAVING. */
static struct weir_addr leaving_sources[1 + WAITING];

static void leaving_source(uint32_t index, struct weir_addr *out_source)
{
	*out_source = leaving_sources[index];
}

static void leaving_sources_find(const struct weir_steer *steer, int wait_case)
{
	uint32_t found = 0;
	for (uint32_t i = 0; found < 1 + WAITING; i++) {
		wait_cases[wait_case].source(i, &leaving_sources[found]);
		found += rig_home_of(steer, &leaving_sources[found]) == LEAVING;
	}
}

static void *drain_leaving(void *ctx)
{
	const struct steered *steered = ctx;
	const int err =
		weir_server_stop_accepting(steered->server, LEAVING, NULL);
	return err == 0 ? NULL : ctx;
}

/* Connects and asks. */
static int client_start(const struct swarm_opts *opts, uint32_t index,
			uint8_t request)
{
	const int fd = swarm_open_one(opts, index);
	ck_assert_msg(fd >= 0, "client %u: %s", index, strerror(-fd));
	ck_assert_int_eq(send(fd, &request, sizeof(request), MSG_NOSIGNAL), 1);
	return fd;
}

/* The loop blocks until all others are served, which only the move can cause.
 */
START_TEST(who_waits_goes_where_the_policy_sends_him_and_none_is_missed)
{
	wi_steer_enter_or_skip();
	/* Without it the kernel may accept them there. */
	wi_skip_if_forced_off(WEIR_RUNG_DEFER_TASKRUN);
	enum { LOOPS = 3 };
	struct steered steered;
	uint64_t want[LOOPS] = { 0 };
	int fds[1 + WAITING];
	int heard[1 + WAITING];
	pthread_t drainer;
	void *failed;

	struct weir_steer *steer = rig_steer_seeded(&(struct weir_steer_opts){
		.policy = WEIR_STEER_SOURCE_HASH,
		.guard_percent = GUARD_OFF,
	});
	const struct weir_listen listen = { .address = wait_cases[_i].address };
	steered_start_by_program(&steered, &(struct weir_server_opts){
						   .listen = &listen,
						   .listen_count = 1,
						   .loop_count = LOOPS,
						   .steer = steer,
					   });
	const struct weir_addr target =
		rig_addr(wait_cases[_i].target, seen_port(steered.server));
	const struct swarm_opts opts = { .targets = &target,
					 .target_count = 1,
					 .source = leaving_source };
	leaving_sources_find(steer, _i);
	steered_hold_all(&steered);
	fds[0] = client_start(&opts, 0, STEERED_HOLD);
	steered_wait_held(&steered, 1);
	for (uint32_t i = 1; i <= WAITING; i++)
		fds[i] = client_start(&opts, i, 1);
	ck_assert_int_eq(
		pthread_create(&drainer, NULL, drain_leaving, &steered), 0);
	for (uint32_t i = 1; i <= WAITING; i++)
		heard[i] = swarm_hear_one(fds[i]);
	steered_release_all(&steered);
	ck_assert_int_eq(pthread_join(drainer, &failed), 0);
	ck_assert_ptr_null(failed);
	for (uint32_t i = 1; i <= WAITING; i++) {
		const uint32_t home = rig_home_of(steer, &leaving_sources[i]);
		ck_assert_int_eq(heard[i], home);
		ck_assert_int_ne(heard[i], LEAVING);
		want[home]++;
	}
	ck_assert_int_eq(swarm_hear_one(fds[0]), LEAVING);
	ck_assert_uint_eq(steered_share(&steered, LEAVING).stats.accepts, 1);
	ck_assert_uint_eq(steered_share(&steered, LEAVING).chosen, 1 + WAITING);
	for (uint32_t i = 0; i < LOOPS; i++)
		ck_assert_uint_eq(steered_share(&steered, i).moved, want[i]);
	ck_assert_uint_eq(steered_stats(&steered).moved, WAITING);
	ck_assert_uint_eq(steered_stats(&steered).missed, 0);
	for (uint32_t i = 0; i <= WAITING; i++)
		ck_assert_int_eq(close(fds[i]), 0);
	steered_end(&steered);
	weir_steer_close(steer);
}
END_TEST

START_TEST(each_loop_may_be_drained_in_turn)
{
	wi_steer_enter_or_skip();
	enum { LOOPS = 3 };
	const uint32_t rounds = wi_is_deep() ? 4 : 1;
	struct steered steered;
	struct swarm swarm;
	struct weir_error error;
	int cpus[2];

	steered_start_by_program(
		&steered, &(struct weir_server_opts){
				  .loop_count = LOOPS,
				  .steering.policy = WEIR_STEER_ROUND_ROBIN,
			  });
	const struct weir_addr target = steered_addr(&steered);
	swarm_flow(&swarm, &target, cpus);
	for (uint32_t i = 0; i < LOOPS * rounds; i++) {
		const uint32_t loop = i % LOOPS;
		const uint32_t next = (loop + 1) % LOOPS;
		ck_assert_int_eq(weir_server_stop_accepting(steered.server,
							    loop, &error),
				 0);
		ck_assert_int_eq(weir_server_stop_accepting(steered.server,
							    next, &error),
				 0);
		swarm_pass(&swarm, 200);
		/* One loop must stay to serve. */
		ck_assert_int_eq(weir_server_stop_accepting(steered.server,
							    (loop + 2) % LOOPS,
							    &error),
				 -EBUSY);
		ck_assert_int_eq(weir_server_resume_accepting(steered.server,
							      next, &error),
				 0);
		ck_assert_int_eq(weir_server_resume_accepting(steered.server,
							      loop, &error),
				 0);
	}
	swarm_end_unharmed(&swarm);
	steered_end(&steered);
}
END_TEST

/* ---- policies and weights ---------------------------------------------- */

START_TEST(policies_are_replaced_under_load)
{
	wi_steer_enter_or_skip();
	const int rounds = wi_is_deep() ? 8 : 2;
	struct steered steered;
	struct swarm swarm;
	struct weir_error error = { .code = 0 };
	int cpus[2];

	/* Pinned loops, as the policy cpu needs. */
	steered_start_by_program(
		&steered,
		&(struct weir_server_opts){
			.loop_count = 3,
			.steering = { .policy = WEIR_STEER_ROUND_ROBIN,
				      .guard_percent = GUARD_OFF },
		});
	const struct weir_addr target = steered_addr(&steered);
	swarm_flow(&swarm, &target, cpus);
	for (int i = 0; i < rounds * WEIR_STEER_POLICY_COUNT; i++) {
		const enum weir_steer_policy policy =
			(enum weir_steer_policy)(i % WEIR_STEER_POLICY_COUNT);
		ck_assert_msg(
			weir_server_steer(steered.server, policy, &error) == 0,
			"%s: %s", weir_steer_policy_name(policy), error.text);
		ck_assert_int_eq(steered_stats(&steered).policy, policy);
		const uint64_t chosen = steered_stats(&steered).chosen;
		swarm_pass(&swarm, 300);
		/* The program does not count the kernel's own choices. */
		if (policy == WEIR_STEER_KERNEL)
			ck_assert_uint_le(steered_stats(&steered).chosen,
					  chosen + 2 * 8);
		else
			ck_assert_uint_ge(steered_stats(&steered).chosen,
					  chosen + 300);
	}
	ck_assert_uint_eq(steered_stats(&steered).missed, 0);
	swarm_end_unharmed(&swarm);
	steered_end(&steered);
}
END_TEST

START_TEST(a_weight_holds_for_all_that_come_after_it)
{
	wi_steer_enter_or_skip();
	struct steered steered;
	struct swarm swarm;
	struct weir_error error = { .code = 0 };
	uint64_t before[SWARM_LOOPS_MAX];
	uint64_t after[SWARM_LOOPS_MAX];
	int cpus[2];

	steered_start_by_program(
		&steered, &(struct weir_server_opts){
				  .loop_count = 2,
				  .is_unpinned = true,
				  .steering.policy = WEIR_STEER_ROUND_ROBIN,
			  });
	const struct weir_addr target = steered_addr(&steered);
	swarm_flow(&swarm, &target, cpus);
	swarm_pass(&swarm, 500);
	ck_assert_int_eq(weir_server_set_weight(steered.server, 0, 0, &error),
			 0);
	swarm_settle(&swarm);
	const uint64_t first = steered_share(&steered, 0).stats.accepts;
	swarm_pass(&swarm, 1000);
	ck_assert_uint_eq(steered_share(&steered, 0).stats.accepts, first);

	ck_assert_int_eq(weir_server_set_weight(steered.server, 0, 3, &error),
			 0);
	swarm_settle(&swarm);
	swarm_answers(&swarm, before);
	swarm_pass(&swarm, 4000);
	swarm_answers(&swarm, after);
	const uint64_t got[2] = { after[0] - before[0], after[1] - before[1] };
	/* Exact to one turn per CPU. */
	ck_assert_msg(got[0] <= 3 * got[1] + 2 * 4 &&
			      got[0] + 2 * 4 >= 3 * got[1],
		      "3 to 1 was wanted, and got %llu to %llu",
		      (unsigned long long)got[0], (unsigned long long)got[1]);
	ck_assert_int_eq(weir_server_set_weight(steered.server, 2, 1, &error),
			 -ENOENT);
	ck_assert_int_eq(weir_server_set_weight(steered.server, 0,
						WEIR_STEER_WEIGHT_MAX + 1,
						&error),
			 -EINVAL);
	swarm_end_unharmed(&swarm);
	steered_end(&steered);
}
END_TEST

/* ---- loops ------------------------------------------------------------- */

START_TEST(loops_come_and_go_under_load)
{
	wi_steer_enter_or_skip();
	const uint32_t rounds = wi_is_deep() ? 5 : 2;
	struct steered steered;
	struct swarm swarm;
	struct weir_error error = { .code = 0 };
	int cpus[2];

	steered_start_by_program(
		&steered, &(struct weir_server_opts){
				  .loop_count = 2,
				  .loop_count_max = 3,
				  .steering.policy = WEIR_STEER_ROUND_ROBIN,
			  });
	const struct weir_addr target = steered_addr(&steered);
	swarm_flow(&swarm, &target, cpus);
	for (uint32_t i = 0; i < rounds; i++) {
		const uint32_t gone = i % 2;
		swarm_pass(&swarm, 300);
		int added = weir_server_add_loop(steered.server, -1, &error);
		ck_assert_msg(added == 2, "%d: %s", added, error.text);
		swarm_pass(&swarm, 300);
		ck_assert_uint_gt(steered_share(&steered, 2).stats.accepts, 0);

		/* A client that is cut off before its request is lost, so the
		 * loop is removed when it is idle. */
		ck_assert_int_eq(weir_server_stop_accepting(steered.server,
							    gone, &error),
				 0);
		swarm_settle(&swarm);
		ck_assert_int_eq(
			weir_server_remove_loop(steered.server, gone, &error),
			0);
		ck_assert(!seen_loop(steered.server, gone).is_present);
		swarm_pass(&swarm, 300);
		added = weir_server_add_loop(steered.server, -1, &error);
		ck_assert_msg(added == (int)gone, "%d: %s", added, error.text);
		ck_assert_int_eq(
			weir_server_stop_accepting(steered.server, 2, &error),
			0);
		swarm_settle(&swarm);
		ck_assert_int_eq(
			weir_server_remove_loop(steered.server, 2, &error), 0);
	}
	swarm_end_unharmed(&swarm);

	/* The loop that takes another's place starts at zero. */
	ck_assert_uint_gt(steered_share(&steered, 1).chosen, 0);
	ck_assert_int_eq(weir_server_remove_loop(steered.server, 1, &error), 0);
	ck_assert_int_eq(weir_server_add_loop(steered.server, -1, &error), 1);
	ck_assert_uint_eq(steered_share(&steered, 1).chosen, 0);
	ck_assert_uint_eq(steered_share(&steered, 1).chosen_here, 0);
	steered_end(&steered);
}
END_TEST

/* ---- a second process on the port -------------------------------------- */

static const struct {
	enum weir_steer_policy policy;
	bool a_stays; /* B goes again */
} join_cases[] = {
	{ WEIR_STEER_ROUND_ROBIN, false },  { WEIR_STEER_ROUND_ROBIN, true },
	{ WEIR_STEER_LEAST_LOADED, false }, { WEIR_STEER_LEAST_LOADED, true },
	{ WEIR_STEER_SOURCE_HASH, false },  { WEIR_STEER_SOURCE_HASH, true },
};

START_TEST(a_second_process_joins_and_one_leaves_with_no_client_lost)
{
	wi_steer_enter_or_skip();
	const struct weir_server_opts server_opts = {
		.loop_count = 2,
		.is_unpinned = true,
		.joins_group = true,
		.steering = { .policy = join_cases[_i].policy,
			      .guard_percent = GUARD_OFF },
	};
	const bool a_stays = join_cases[_i].a_stays;
	const uint32_t short_ones = some(20000);
	struct member members[2];
	struct member_report reports[2];
	struct member *goes = &members[a_stays ? 1 : 0];
	struct member *stays = &members[a_stays ? 0 : 1];
	struct swarm swarm;
	int cpus[2];

	member_fork(&members[0], &server_opts);
	member_fork(&members[1], &server_opts);
	const uint16_t port = member_serve(&members[0], 0);
	const struct weir_addr target = rig_addr("127.0.0.1", port);
	struct swarm_opts opts = {
		.count = ENOUGH,
		.targets = &target,
		.target_count = 1,
		.source = many_sources,
		.batch = 8,
	};
	swarm_pin(&opts, cpus);
	swarm_start(&swarm, &opts);
	swarm_wait_tried(&swarm, short_ones / 5);
	ck_assert_uint_eq(member_serve(&members[1], port), port);
	/* However many have come during its start. */
	swarm_pass(&swarm, short_ones * 3 / 10);
	/* The new process has all new ones; the one that stays takes them back.
	 */
	if (a_stays)
		member_take_over(stays);
	swarm_settle(&swarm);
	member_stop(goes);
	member_end(goes, &reports[0]);
	swarm_pass(&swarm, short_ones / 5);
	swarm_wait_tried(&swarm, short_ones);
	swarm_stop(&swarm);
	swarm_join(&swarm);
	swarm_expect_all_served(&swarm);
	const uint64_t all = swarm.tried;
	swarm_end(&swarm);
	member_stop(stays);
	member_end(stays, &reports[1]);

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(reports[i].result, 0);
		ck_assert_uint_eq(reports[i].drops, 0);
		ck_assert_uint_eq(reports[i].errors, 0);
		ck_assert_msg(reports[i].accepts > short_ones / 20,
			      "who %s has accepted %llu of %llu",
			      i == 0 ? "goes" : "stays",
			      (unsigned long long)reports[i].accepts,
			      (unsigned long long)all);
	}
	ck_assert_uint_eq(reports[0].accepts + reports[1].accepts, all);
}
END_TEST

/* ---- the suite --------------------------------------------------------- */

static TCase *tcase_changes(void)
{
	TCase *tcase = tcase_create("changes");
	tcase_set_timeout(tcase, STEER_TEST_TIMEOUT_S);
	tcase_add_loop_test(
		tcase, a_loop_that_is_drained_gets_nothing_and_nobody_notices,
		0, COUNT_OF(drain_cases));
	tcase_add_loop_test(
		tcase,
		who_waits_goes_where_the_policy_sends_him_and_none_is_missed, 0,
		COUNT_OF(wait_cases));
	tcase_add_test(tcase, each_loop_may_be_drained_in_turn);
	tcase_add_test(tcase, policies_are_replaced_under_load);
	tcase_add_test(tcase, a_weight_holds_for_all_that_come_after_it);
	tcase_add_test(tcase, loops_come_and_go_under_load);
	return tcase;
}

static TCase *tcase_processes(void)
{
	TCase *tcase = tcase_create("processes");
	tcase_set_timeout(tcase, STEER_TEST_TIMEOUT_S);
	tcase_add_loop_test(
		tcase,
		a_second_process_joins_and_one_leaves_with_no_client_lost, 0,
		COUNT_OF(join_cases));
	return tcase;
}

WI_SUITE(steer_change, "steer-change",
	 WI_RUNGS | WI_THREADS | WI_BPF | WI_SWARM)
{
	if (!wi_kernel_has_rings())
		return;
	suite_add_tcase(suite, tcase_changes());
	suite_add_tcase(suite, tcase_processes());
}
