/* test_server_faults.c - a call fails while a server starts or serves
 *
 *     server --> faulty --> the kernel of this host
 *                  the call that the test names: an errno
 *
 * A failing request leaves the server unchanged, and succeeds once the fault is
 * over.
 */
#include "../rig/count_of.h"
#include "../rig/kernel_wrap.h"
#include "../rig/peer.h"
#include "../suites.h"

#include "net/server/server_priv.h"

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { FAULTS_TEST_TIMEOUT_S = 60 };

/* ---- a kernel with faults ---------------------------------------------- */

/* Steps of a server at its kernel, each of which a test can refuse. */
enum step {
	STEP_OTHER = 0,
	STEP_SETUP,
	STEP_ENABLE,
	STEP_SOCKET,
	STEP_OPTION, /* of a listener */
	STEP_BIND,
	STEP_LISTEN,
	STEP_NAME,
	STEP_LISTEN_AGAIN,
	STEP_STEER, /* the option for steering */
};

static struct {
	struct kernel_wrap wrap;
	/* Written while no thread makes such a call. */
	enum step step;
	int err;
	struct weir_server *stop_first; /* stopped before STEP_LISTEN_AGAIN */
	int backlog_least;              /* smallest one requested */
} faulty;

static _Thread_local bool enter_fails;

static enum step step_of(const struct kernel_call *call)
{
	static const enum step steps[CALL_COUNT] = {
		[CALL_SETUP] = STEP_SETUP,
		[CALL_SOCKET] = STEP_SOCKET,
		[CALL_BIND] = STEP_BIND,
		[CALL_LISTEN] = STEP_LISTEN,
		[CALL_SOCKNAME] = STEP_NAME,
		[CALL_DISCONNECT] = STEP_LISTEN_AGAIN,
	};
	if (call->id == CALL_REGISTER &&
	    call->register_op.opcode == IORING_REGISTER_ENABLE_RINGS)
		return STEP_ENABLE;
	if (call->id == CALL_SOCKOPT)
		return call->sockopt.name == SO_INCOMING_CPU ? STEP_STEER
							     : STEP_OPTION;
	return steps[call->id];
}

static bool faulty_before(void *ctx, struct kernel_call *call)
{
	const enum step step = step_of(call);
	(void)ctx;
	if (call->id == CALL_ENTER) {
		call->result = -EBADF;
		return enter_fails;
	}
	if (step == STEP_LISTEN && call->fd.backlog < faulty.backlog_least)
		faulty.backlog_least = call->fd.backlog;
	if (step == STEP_LISTEN_AGAIN && faulty.stop_first != NULL)
		weir_server_stop(faulty.stop_first);
	/* The loops' own calls look at none of it: it is written meanwhile. */
	if (step == STEP_OTHER || step != faulty.step)
		return false;
	call->result = faulty.err;
	return true;
}

static const struct weir_kernel *faulty_init(void)
{
	memset(&faulty, 0, sizeof(faulty));
	faulty.backlog_least = INT_MAX;
	kernel_wrap_init(&faulty.wrap, weir_kernel_linux(), faulty_before, NULL,
			 NULL);
	return &faulty.wrap.kernel;
}

/* ---- a server that says nothing ---------------------------------------- */

static const struct weir_handlers none = { .on_open = NULL };

static void expect(int err, int want, const struct weir_error *error,
		   const char *hint)
{
	ck_assert_msg(err == want, "got %d, want %d: %s", err, want,
		      error->text);
	ck_assert_msg(strstr(error->text, hint) != NULL, "no '%s' in: %s", hint,
		      error->text);
}

/* On the faulty kernel; @by_cpu: each listener is given its CPU. */
static struct weir_server *faulty_start(uint32_t loop_count,
					uint32_t loop_count_max, bool by_cpu,
					const struct weir_handlers *handlers)
{
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	struct weir_server_opts opts = {
		.loop_count = loop_count,
		.loop_count_max = loop_count_max,
		.loop = { .ring = { .kernel = faulty_init() } },
	};
	if (by_cpu) {
		opts.steering.policy = WEIR_STEER_CPU;
		opts.steering.forced_off = weir_rung_bit(WEIR_RUNG_STEER_EBPF);
	}
	static struct weir_service service;
	static struct weir_listen listen;
	service = (struct weir_service){ .handlers = *handlers };
	listen = silent_listen;
	listen.service = &service;
	opts.listen = &listen;
	opts.listen_count = 1;
	const int err = weir_server_open(&server, &opts, &error);
	ck_assert_msg(err == 0, "%s", error.text);
	return server;
}

static void server_end(struct weir_server *server)
{
	weir_server_stop(server);
	ck_assert_int_eq(weir_server_join(server), 0);
	weir_server_close(server);
}

static uint32_t loops_of(struct weir_server *server)
{
	return seen_server(server).loop_count;
}

static bool has_stopped_accepting(struct weir_server *server, uint32_t index)
{
	const struct weir_loop_snapshot loop = seen_loop(server, index);
	ck_assert(loop.is_present);
	return loop.has_stopped_accepting;
}

/* ---- the start --------------------------------------------------------- */

static const struct {
	enum step step;
	int err;
	const char *hint;
} listen_cases[] = {
	{ STEP_BIND, -EACCES, "CAP_NET_BIND_SERVICE" },
	{ STEP_BIND, -EADDRINUSE, "is in use" },
	{ STEP_BIND, -EADDRNOTAVAIL, "is no address of this host" },
	{ STEP_LISTEN, -EADDRINUSE, "is in use" },
	{ STEP_SOCKET, -EMFILE, "cannot listen on 127.0.0.1" },
	{ STEP_OPTION, -ENOPROTOOPT, "cannot listen on 127.0.0.1" },
	{ STEP_LISTEN, -ENOBUFS, "cannot listen on 127.0.0.1" },
	{ STEP_NAME, -ENOBUFS, "cannot listen on 127.0.0.1" },
};

START_TEST(a_listener_that_cannot_be_had_is_explained)
{
	const struct weir_server_opts opts = {
		.listen = &silent_listen,
		.listen_count = 1,
		.loop_count = 1,
		.loop = { .ring = { .kernel = faulty_init() } },
	};
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	faulty.step = listen_cases[_i].step;
	faulty.err = listen_cases[_i].err;
	expect(weir_server_open(&server, &opts, &error), listen_cases[_i].err,
	       &error, listen_cases[_i].hint);
	ck_assert_ptr_null(server);
}
END_TEST

START_TEST(cpu_steering_wants_pinned_loops)
{
	const struct weir_server_opts opts = {
		.listen = &silent_listen,
		.listen_count = 1,
		.loop_count = 1,
		.is_unpinned = true,
		.steering = { .policy = WEIR_STEER_CPU },
	};
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	expect(weir_server_open(&server, &opts, &error), -EINVAL, &error,
	       "needs loops that are pinned");
}
END_TEST

START_TEST(steering_for_fewer_addresses_than_there_are_is_refused)
{
	const struct weir_listen listen[] = {
		silent_listen,
		silent_listen,
		{ .service = &silent_service, .address = "here" },
		silent_listen,
	};
	struct weir_server_opts opts = { .listen = listen,
					 .listen_count = 2,
					 .loop_count = 1 };
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	ck_assert_int_eq(weir_steer_open(&opts.steer, NULL, &error), 0);
	expect(weir_server_open(&server, &opts, &error), -EINVAL, &error,
	       "opened for 1 addresses, and there are 2");
	opts.listen_count = 4;
	expect(weir_server_open(&server, &opts, &error), -EINVAL, &error,
	       "'here' is no numeric");
	weir_steer_close(opts.steer);
}
END_TEST

START_TEST(a_server_without_options_has_a_loop_for_each_cpu)
{
	const struct weir_server_opts opts = { .listen = &silent_listen,
					       .listen_count = 1 };
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	cpu_set_t cpus;
	const int err = weir_server_open(&server, &opts, &error);
	ck_assert_msg(err == 0, "%s", error.text);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	ck_assert_uint_eq(seen_server(server).loop_end,
			  (uint32_t)CPU_COUNT(&cpus));
	peer_close(peer_open(seen_port(server)));
	server_end(server);
	weir_server_close(NULL); /* as free(3) */
}
END_TEST

/* A backlog that cannot be divided: each address gets 1. */
START_TEST(two_addresses_share_a_backlog_of_one)
{
	const struct weir_listen listen[] = {
		silent_listen,
		{ .service = &silent_service, .address = "127.0.0.2" },
	};
	const struct weir_server_opts opts = {
		.listen = listen,
		.listen_count = 2,
		.loop_count = 1,
		.loop = { .ring = { .kernel = faulty_init() }, .backlog = 1 }
	};
	struct weir_server *server = NULL;
	ck_assert_int_eq(weir_server_open(&server, &opts, NULL), 0);
	ck_assert_uint_eq(weir_loop_backlog(server->workers[0].loop), 1);
	ck_assert_int_eq(faulty.backlog_least, 1);
	peer_close(peer_open(seen_port(server)));
	server_end(server);
}
END_TEST

START_TEST(loops_are_pinned_to_cpus_that_may_be_used)
{
	const struct weir_server_opts opts = { .listen = &silent_listen,
					       .listen_count = 1,
					       .loop_count = 2 };
	struct weir_server *server = NULL;
	cpu_set_t usable;
	cpu_set_t one;
	int last = -1;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(usable), &usable), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, &usable))
			last = cpu;
	CPU_ZERO(&one);
	CPU_SET((size_t)last, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	ck_assert_int_eq(weir_server_open(&server, &opts, NULL), 0);
	for (uint32_t i = 0; i < 2; i++)
		ck_assert_int_eq(seen_loop(server, i).cpu, last);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(usable), &usable), 0);
	server_end(server);
}
END_TEST

/* sched_getaffinity(2) fails as on a host with more CPUs than the set holds. */
static bool forbid_affinity(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_getaffinity, 0,
			 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { COUNT_OF(code), code };
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* In a child. Return: the number of loops, none of them pinned. */
static int open_without_affinity(void *ctx, struct weir_error *error)
{
	const struct weir_server_opts opts = { .listen = &silent_listen,
					       .listen_count = 1 };
	struct weir_server *server = NULL;
	(void)ctx;
	if (!forbid_affinity())
		return 0;
	const int err = weir_server_open(&server, &opts, error);
	if (err < 0)
		return err;
	const int count = seen_loop(server, 0).cpu == -1
				  ? (int)seen_server(server).loop_end
				  : -ERANGE;
	weir_server_stop(server);
	(void)weir_server_join(server);
	weir_server_close(server);
	return count;
}

START_TEST(where_the_cpus_cannot_be_told_one_loop_serves)
{
	wi_skip_unless_built(
		!WI_HAS_SANITIZER,
		"a sanitizer asks for the CPUs in every new thread");
	struct weir_error error = { .code = 0 };
	ck_assert_int_eq(wi_in_child(open_without_affinity, NULL, &error), 1);
}
END_TEST

/* ---- loops that come --------------------------------------------------- */

/* A call that fails during a change, and the text of the error. */
struct change_case {
	enum step step;
	int err;
	const char *hint;
	bool by_cpu;
};

static const struct change_case add_cases[] = {
	{ STEP_SETUP, -ENOMEM, "", false },
	{ STEP_ENABLE, -ENOMEM, "cannot enable the ring of loop 1", false },
	{ STEP_SOCKET, -EMFILE, "cannot listen", false },
	{ STEP_LISTEN, -EMFILE, "cannot listen", false },
	{ STEP_STEER, -EPERM, "loop 1 cannot be steered to", true },
};

START_TEST(a_loop_that_cannot_be_added_leaves_the_server_as_it_was)
{
	struct weir_error error = { .code = 0 };
	if (add_cases[_i].by_cpu)
		wi_skip_if_forced_off(WEIR_RUNG_STEER_INCOMING_CPU);
	struct weir_server *server =
		faulty_start(1, 2, add_cases[_i].by_cpu, &none);
	const size_t fds = peer_fd_count();
	faulty.step = add_cases[_i].step;
	faulty.err = add_cases[_i].err;
	expect(weir_server_add_loop(server, -1, &error), add_cases[_i].err,
	       &error, add_cases[_i].hint);
	ck_assert_uint_eq(loops_of(server), 1);
	ck_assert_uint_eq(peer_fd_count(), fds);
	faulty.step = STEP_OTHER;
	expect(weir_server_add_loop(server, -1, &error), 1, &error, "");
	ck_assert_uint_eq(loops_of(server), 2);
	server_end(server);
}
END_TEST

START_TEST(a_loop_may_be_added_on_a_cpu_that_is_named)
{
	struct weir_server *server = faulty_start(1, 0, false, &none);
	const int cpu = seen_loop(server, 0).cpu;
	struct weir_error error = { .code = 0 };

	ck_assert_int_ge(cpu, 0);
	ck_assert_int_eq(weir_server_add_loop(server, cpu, &error), 1);
	ck_assert_int_eq(seen_loop(server, 1).cpu, cpu);
	/* No such CPU: the loop serves, on any CPU. */
	ck_assert_int_eq(weir_server_add_loop(server, CPU_SETSIZE - 1, &error),
			 2);
	ck_assert_int_eq(seen_loop(server, 2).cpu, -1);
	/* The server's snapshot does not need its first loop. */
	ck_assert_int_eq(weir_server_remove_loop(server, 0, &error), 0);
	ck_assert_int_eq(seen_loop(server, 0).cpu, -1);
	ck_assert_uint_eq(loops_of(server), 2);
	ck_assert_int_eq(seen_server(server).rungs[WEIR_RUNG_BUFRING].state,
			 WEIR_RUNG_ON);
	server_end(server);
}
END_TEST

/* ---- loops that rest --------------------------------------------------- */

static const struct change_case resume_cases[] = {
	{ STEP_LISTEN_AGAIN, -EADDRINUSE, "is in use", false },
	{ STEP_LISTEN, -EADDRINUSE, "is in use", false },
	{ STEP_STEER, -EPERM, "loop 1 cannot be steered to", true },
};

START_TEST(a_loop_that_cannot_be_resumed_stays_drained)
{
	struct weir_error error = { .code = 0 };
	if (resume_cases[_i].by_cpu)
		wi_skip_if_forced_off(WEIR_RUNG_STEER_INCOMING_CPU);
	struct weir_server *server =
		faulty_start(2, 2, resume_cases[_i].by_cpu, &none);
	ck_assert_int_eq(weir_server_stop_accepting(server, 1, &error), 0);
	faulty.step = resume_cases[_i].step;
	faulty.err = resume_cases[_i].err;
	expect(weir_server_resume_accepting(server, 1, &error),
	       resume_cases[_i].err, &error, resume_cases[_i].hint);
	ck_assert(has_stopped_accepting(server, 1));
	faulty.step = STEP_OTHER;
	ck_assert_int_eq(weir_server_resume_accepting(server, 1, &error), 0);
	ck_assert(!has_stopped_accepting(server, 1));
	server_end(server);
}
END_TEST

START_TEST(a_stop_amid_a_resume_leaves_nobody_listening)
{
	struct weir_error error = { .code = 0 };
	struct weir_server *server = faulty_start(2, 2, false, &none);
	const uint16_t port = seen_port(server);

	ck_assert_int_eq(weir_server_stop_accepting(server, 1, &error), 0);
	faulty.stop_first = server;
	ck_assert_int_eq(weir_server_resume_accepting(server, 1, &error), 0);
	ck_assert_int_eq(weir_server_join(server), 0);
	ck_assert_int_eq(peer_try_open(port), -ECONNREFUSED);
	weir_server_close(server);
}
END_TEST

/* ---- loops that end ---------------------------------------------------- */

static uint32_t ending_index; /* of the loop that ends; read once it has */

static void ending_told(struct weir_conn *conn)
{
	wi_store_release_u32(&ending_index,
			     weir_loop_index(weir_conn_loop(conn)));
}

static ssize_t stop_own_loop(struct weir_conn *conn, const uint8_t *bytes,
			     size_t byte_count, void *ctx)
{
	(void)bytes;
	(void)ctx;
	ending_told(conn);
	weir_loop_stop(weir_conn_loop(conn));
	return (ssize_t)byte_count;
}

static ssize_t fail_own_loop(struct weir_conn *conn, const uint8_t *bytes,
			     size_t byte_count, void *ctx)
{
	(void)bytes;
	(void)ctx;
	ending_told(conn);
	enter_fails = true;
	return (ssize_t)byte_count;
}

/* Ends the loop in @on_data and returns its index. */
static uint32_t one_loop_ends(struct weir_server *server)
{
	const int fd = peer_open(seen_port(server));
	wi_store_release_u32(&ending_index, UINT32_MAX);
	peer_send(fd, "end", 3);
	while (wi_load_acquire_u32(&ending_index) == UINT32_MAX)
		(void)sched_yield();
	peer_close(fd);
	const uint32_t index = wi_load_acquire_u32(&ending_index);
	while (wi_load_acquire_u32(&server->workers[index].has_ended) == 0)
		(void)sched_yield();
	return index;
}

START_TEST(a_loop_that_a_handler_has_ended_is_drained_but_not_resumed)
{
	struct weir_error error = { .code = 0 };
	struct weir_server *server = faulty_start(
		2, 2, false,
		&(struct weir_handlers){ .on_data = stop_own_loop });
	const uint32_t index = one_loop_ends(server);

	ck_assert_int_eq(weir_server_stop_accepting(server, index, &error), 0);
	expect(weir_server_resume_accepting(server, index, &error), -ESHUTDOWN,
	       &error, "stops");
	ck_assert_int_eq(weir_server_remove_loop(server, index, &error), 0);
	server_end(server);
}
END_TEST

START_TEST(to_remove_a_loop_that_has_failed_tells_its_error)
{
	struct weir_error error = { .code = 0 };
	struct weir_server *server = faulty_start(
		2, 2, false,
		&(struct weir_handlers){ .on_data = fail_own_loop });
	const uint32_t index = one_loop_ends(server);

	expect(weir_server_remove_loop(server, index, &error), -EBADF, &error,
	       "ended with Bad file descriptor");
	/* The others have stopped with it; the remaining server has not failed.
	 */
	ck_assert_int_eq(weir_server_join(server), 0);
	weir_server_close(server);
}
END_TEST

struct removal {
	struct weir_server *server;
	int result;
};

static void *remove_first(void *ctx)
{
	struct removal *removal = ctx;
	removal->result = weir_server_remove_loop(removal->server, 0, NULL);
	return NULL;
}

/* A thread that stops the server walks over its loops: none may be freed
 * meanwhile. */
START_TEST(a_loop_is_not_freed_while_somebody_may_look_at_it)
{
	enum { YIELDS = 1000 };
	struct weir_server *server = faulty_start(2, 2, false, &none);
	struct removal removal = { .server = server, .result = 1 };
	pthread_t thread;

	(void)wi_add_fetch_seq_cst_u32(&server->stoppers, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, remove_first, &removal),
			 0);
	while (seen_loop(server, 0).is_present)
		(void)sched_yield();
	for (int i = 0; i < YIELDS; i++) {
		ck_assert_ptr_nonnull(__atomic_load_n(&server->workers[0].loop,
						      __ATOMIC_RELAXED));
		(void)sched_yield();
	}
	wi_server_stopper_leave(server);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(removal.result, 0);
	ck_assert_ptr_null(server->workers[0].loop);
	server_end(server);
}
END_TEST

/* ---- weights ----------------------------------------------------------- */

static struct weir_server *weighed_start_or_null(const uint32_t *weights)
{
	const struct weir_server_opts opts = {
		.listen = &silent_listen,
		.listen_count = 1,
		.loop_count = 2,
		.steering = { .policy = WEIR_STEER_ROUND_ROBIN,
			      .weights = weights,
			      .weight_count = 2,
			      .is_required = true },
	};
	struct weir_server *server = NULL;
	const int err = weir_server_open(&server, &opts, NULL);
	return err == 0 ? server : NULL;
}

START_TEST(the_last_loop_with_a_weight_keeps_it)
{
	static const uint32_t weights[] = { 2, 1 };
	struct weir_server *server = weighed_start_or_null(weights);
	struct weir_error error = { .code = 0 };
	wi_skip_unless(server != NULL, "there is no steering program");

	ck_assert_int_eq(weir_server_set_weight(server, 0, 0, &error), 0);
	ck_assert_int_eq(weir_server_set_weight(server, 0, 0, &error), 0);
	expect(weir_server_set_weight(server, 1, 0, &error), -EBUSY, &error,
	       "loop 1 is the last");
	expect(weir_server_stop_accepting(server, 1, &error), -EBUSY, &error,
	       "loop 1 is the last");
	/* It takes no connection already. */
	ck_assert_int_eq(weir_server_stop_accepting(server, 0, &error), 0);
	server_end(server);
}
END_TEST

START_TEST(loops_without_any_weight_may_all_be_removed)
{
	static const uint32_t weights[] = { 0, 0 };
	struct weir_server *server = weighed_start_or_null(weights);
	struct weir_error error = { .code = 0 };
	wi_skip_unless(server != NULL, "there is no steering program");

	for (uint32_t i = 0; i < 2; i++)
		ck_assert_int_eq(weir_server_remove_loop(server, i, &error), 0);
	ck_assert_uint_eq(loops_of(server), 0);
	ck_assert_int_eq(seen_server(server).rungs[WEIR_RUNG_STEER_EBPF].state,
			 WEIR_RUNG_ON);
	ck_assert_int_eq(weir_server_add_loop(server, -1, &error), 0);
	server_end(server);
}
END_TEST

WI_SUITE(server_faults, "server-faults", WI_RUNGS | WI_THREADS | WI_BPF)
{
	TCase *tcase = tcase_create("faults");
	tcase_set_timeout(tcase, FAULTS_TEST_TIMEOUT_S);
	tcase_add_loop_test(tcase, a_listener_that_cannot_be_had_is_explained,
			    0, COUNT_OF(listen_cases));
	tcase_add_test(tcase, cpu_steering_wants_pinned_loops);
	tcase_add_test(tcase,
		       steering_for_fewer_addresses_than_there_are_is_refused);
	tcase_add_test(tcase, a_server_without_options_has_a_loop_for_each_cpu);
	tcase_add_test(tcase, two_addresses_share_a_backlog_of_one);
	tcase_add_test(tcase, loops_are_pinned_to_cpus_that_may_be_used);
	tcase_add_test(tcase, where_the_cpus_cannot_be_told_one_loop_serves);
	tcase_add_loop_test(
		tcase, a_loop_that_cannot_be_added_leaves_the_server_as_it_was,
		0, COUNT_OF(add_cases));
	tcase_add_test(tcase, a_loop_may_be_added_on_a_cpu_that_is_named);
	tcase_add_loop_test(tcase, a_loop_that_cannot_be_resumed_stays_drained,
			    0, COUNT_OF(resume_cases));
	tcase_add_test(tcase, a_stop_amid_a_resume_leaves_nobody_listening);
	tcase_add_test(
		tcase,
		a_loop_that_a_handler_has_ended_is_drained_but_not_resumed);
	tcase_add_test(tcase, to_remove_a_loop_that_has_failed_tells_its_error);
	tcase_add_test(tcase,
		       a_loop_is_not_freed_while_somebody_may_look_at_it);
	tcase_add_test(tcase, the_last_loop_with_a_weight_keeps_it);
	tcase_add_test(tcase, loops_without_any_weight_may_all_be_removed);
	suite_add_tcase(suite, tcase);
}
