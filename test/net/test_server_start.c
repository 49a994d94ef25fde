/* test_server_start.c - a server starts completely, or reports why it cannot
 * and leaves nothing */
#include "../rig/count_of.h"
#include "../rig/kernel_wrap.h"
#include "../rig/peer.h"
#include "test_server.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

/* State that a failed start must not change. */
struct traces {
	size_t fds;
	size_t rings;
};

static struct traces traces_read(void)
{
	return (struct traces){ .fds = peer_fd_count(),
				.rings = peer_map_count("io_uring") };
}

/* An open that must fail; the error has @err and contains @hint. */
static void expect_refusal(const struct weir_server_opts *opts, int want,
			   const char *hint)
{
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	const struct traces before = traces_read();

	int err = weir_server_open(&server, opts, &error);
	ck_assert_msg(err == want, "got %d, want %d: %s", err, want,
		      error.text);
	ck_assert_int_eq(error.code, want);
	ck_assert_msg(strstr(error.text, hint) != NULL, "no '%s' in: %s", hint,
		      error.text);
	ck_assert_ptr_null(strchr(error.text, '\n'));
	ck_assert_ptr_null(server);
	ck_assert_uint_eq(traces_read().fds, before.fds);
	ck_assert_uint_eq(traces_read().rings, before.rings);
	/* The text is optional. */
	ck_assert_int_eq(weir_server_open(&server, opts, NULL), want);
}

START_TEST(a_port_that_a_plain_listener_has_is_in_use)
{
	struct sockaddr_in address;
	char hint[32];
	int fd = wi_listener(&address);
	const struct weir_listen listen = {
		.service = &silent_service,
		.address = "127.0.0.1",
		.port = ntohs(address.sin_port),
	};
	const struct weir_server_opts opts = {
		.listen = &listen,
		.listen_count = 1,
		.loop_count = 2,
	};
	(void)snprintf(hint, sizeof(hint), "127.0.0.1:%u is in use",
		       (unsigned)listen.port);
	expect_refusal(&opts, -EADDRINUSE, hint);
	expect_refusal(&opts, -EADDRINUSE, "choose another port");
	peer_close(fd);
}
END_TEST

START_TEST(a_port_that_another_server_has_is_in_use)
{
	struct echo echo = { .server = NULL };
	echo_start(&echo, NULL, NULL);
	const struct weir_listen listen = { .service = &silent_service,
					    .address = "127.0.0.1",
					    .port = echo_port(&echo) };
	const struct weir_server_opts opts = { .listen = &listen,
					       .listen_count = 1 };
	expect_refusal(&opts, -EADDRINUSE, "choose another port");
	/* The server that has the port was not disturbed. */
	int fd = peer_open(echo_port(&echo));
	peer_round_trip(fd, 1);
	peer_close(fd);
	echo_end(&echo, NULL);
}
END_TEST

START_TEST(servers_that_join_a_group_share_a_port)
{
	const struct weir_server_opts first_opts = { .joins_group = true };
	struct echo first = { .server = NULL };
	struct echo second = { .server = NULL };
	struct weir_loop_stats stats[2];
	int fds[32];

	echo_start(&first, &first_opts, NULL);
	const struct weir_listen listen = { .port = echo_port(&first) };
	const struct weir_server_opts second_opts = {
		.listen = &listen,
		.listen_count = 1,
		.joins_group = true,
	};
	echo_start(&second, &second_opts, NULL);
	ck_assert_uint_eq(echo_port(&second), echo_port(&first));
	for (int i = 0; i < 32; i++)
		fds[i] = peer_open(echo_port(&first));
	peer_round_trips(fds, 32, 1);
	for (int i = 0; i < 32; i++)
		peer_close(fds[i]);
	echo_end(&first, &stats[0]);
	echo_end(&second, &stats[1]);
	ck_assert_uint_eq(stats[0].accepts + stats[1].accepts, 32);
}
END_TEST

static const struct {
	const char *address;
	int want;
	const char *hint;
} address_cases[] = {
	{ "localhost", -EINVAL, "'localhost' is no numeric" },
	{ "", -EINVAL, "'' is no numeric" },
	{ "127.0.0.1:80", -EINVAL, "is no numeric" },
	{ "256.1.1.1", -EINVAL, "is no numeric" },
	{ "192.0.2.77", -EADDRNOTAVAIL, "is no address of this host" },
};

START_TEST(an_address_that_cannot_be_bound_is_named)
{
	const struct weir_listen listen = {
		.service = &silent_service,
		.address = address_cases[_i].address,
	};
	const struct weir_server_opts opts = {
		.listen = &listen,
		.listen_count = 1,
		.loop_count = 1,
	};
	expect_refusal(&opts, address_cases[_i].want, address_cases[_i].hint);
}
END_TEST

static const struct {
	const char *when;
	struct weir_server_opts opts;
	int want;
	const char *hint;
} option_cases[] = {
	{ "too many loops", { .loop_count = 1025 }, -EINVAL, "1024" },
	{ "too many loops to come",
	  { .loop_count_max = 1025 },
	  -EINVAL,
	  "1024" },
	{ "more loops than there may be",
	  { .loop_count = 3, .loop_count_max = 2 },
	  -EINVAL,
	  "3 loops asked for, and 2 at most" },
	{ "an odd count of buffers",
	  { .loop = { .buf_count = 3 } },
	  -EINVAL,
	  "power of two" },
	{ "buffers too large",
	  { .loop = { .buf_bytes = 2 << 20 } },
	  -EINVAL,
	  "1048576" },
	{ "a batch wait too long",
	  { .loop = { .batch_wait_us = 51 } },
	  -EINVAL,
	  "50" },
	{ "a batch wait without end",
	  { .loop = { .batch_wait_us = WEIR_NO_TIMEOUT } },
	  -EINVAL,
	  "the limit is 50 us" },
	{ "more connections than descriptors",
	  { .loop = { .conn_count = 2000000 } },
	  -EMFILE,
	  "ulimit -n" },
	{ "a queue smaller than its completions",
	  { .loop = { .ring = { .sq_entry_count = 64, .cq_entry_count = 8 } } },
	  -EINVAL,
	  "8 completion entries" },
};

START_TEST(an_option_out_of_range_is_named_with_its_limit)
{
	struct weir_server_opts opts = option_cases[_i].opts;
	opts.listen = &silent_listen;
	opts.listen_count = 1;
	if (opts.loop_count == 0)
		opts.loop_count = 2;
	(void)printf("%s\n", option_cases[_i].when);
	expect_refusal(&opts, option_cases[_i].want, option_cases[_i].hint);
}
END_TEST

static const struct {
	const char *when;
	struct weir_service service;
	const char *hint;
} service_cases[] = {
	{ "low above high",
	  { .send_low_bytes = 10, .send_high_bytes = 5 },
	  "low 10, high 5" },
	{ "high above max",
	  { .send_high_bytes = 10, .send_bytes_max = 5 },
	  "high 10, max 5" },
	{ "a message too large",
	  { .message_bytes_max = 1 << 30 },
	  "1073741824" },
	{ "a queue too long", { .send_bytes_max = 1 << 29 }, "536870912" },
	{ "which one",
	  { .name = "x25", .send_bytes_max = 1 },
	  "service 'x25'" },
};

/* The second service of two: all are checked before anything starts. */
START_TEST(a_service_out_of_range_is_named_with_its_limit)
{
	const struct weir_listen listen[] = {
		silent_listen,
		{ .service = &service_cases[_i].service,
		  .address = "127.0.0.1" },
	};
	const struct weir_server_opts opts = { .listen = listen,
					       .listen_count = 2 };
	(void)printf("%s\n", service_cases[_i].when);
	expect_refusal(&opts, -EINVAL, service_cases[_i].hint);
}
END_TEST

START_TEST(a_server_needs_a_listener_and_each_listener_a_service)
{
	const struct weir_listen listen = { .address = "127.0.0.1" };
	struct weir_server_opts opts = { .loop_count = 1 };
	expect_refusal(&opts, -EINVAL, "listen is empty");
	opts.listen = &listen;
	opts.listen_count = 1;
	expect_refusal(&opts, -EINVAL, "no service");
}
END_TEST

/* In a child, which must not assert. */
static int open_as_nobody(void *ctx, struct weir_error *error)
{
	struct weir_server *server = NULL;
	if (setgid(65534) < 0 || setuid(65534) < 0)
		return -errno;
	return weir_server_open(&server, ctx, error);
}

START_TEST(a_privileged_port_needs_permission)
{
	const struct weir_listen listen = { .service = &silent_service,
					    .address = "127.0.0.1",
					    .port = 81 };
	struct weir_server_opts opts = { .listen = &listen,
					 .listen_count = 1,
					 .loop_count = 1,
					 .loop = { .conn_count = 16 } };
	struct weir_error error = { .code = 0 };
	wi_skip_unless(geteuid() == 0, "only root can become nobody");
	int err = wi_in_child(open_as_nobody, &opts, &error);
	ck_assert_msg(err == -EACCES, "got %d: %s", err, error.text);
	ck_assert_ptr_nonnull(strstr(error.text, "127.0.0.1:81"));
	ck_assert_ptr_nonnull(strstr(error.text, "CAP_NET_BIND_SERVICE"));
}
END_TEST

/* ---- the third loop fails ---------------------------------------------- */

struct third {
	struct kernel_wrap wrap;
	uint32_t setups;
	uint32_t registers;
	uint32_t fail_setup;    /* the n-th setup fails... */
	uint32_t fail_register; /* ...or the n-th register of this opcode */
	uint32_t opcode;
	bool fails_listen;
	uint32_t listens;
	bool fails_doorbell;
	uint32_t doorbells;
};

static bool third_before(void *ctx, struct kernel_call *call)
{
	struct third *third = ctx;
	call->result = -ENOMEM;
	switch (call->id) {
	case CALL_SETUP:
		return ++third->setups == third->fail_setup;
	case CALL_REGISTER:
		return call->register_op.opcode == third->opcode &&
		       __atomic_add_fetch(&third->registers, 1,
					  __ATOMIC_RELAXED) ==
			       third->fail_register;
	case CALL_LISTEN: /* the first is the probe for other listeners */
		return third->fails_listen && ++third->listens == 4;
	case CALL_DOORBELL_OPEN:
		call->result = -EMFILE;
		return third->fails_doorbell && ++third->doorbells == 3;
	default:
		return false;
	}
}

static const struct {
	const char *what;
	struct third third;
	int want;
	const char *hint;
} third_cases[] = {
	{ "its ring", { .fail_setup = 3 }, -ENOMEM, "ring" },
	{ "its table of descriptors",
	  { .opcode = IORING_REGISTER_FILES2, .fail_register = 3 },
	  -ENOMEM,
	  "" },
	{ "its receive buffers",
	  { .opcode = IORING_REGISTER_PBUF_RING, .fail_register = 3 },
	  -ENOMEM,
	  "buffers" },
	{ "its doorbell", { .fails_doorbell = true }, -EMFILE, "doorbell" },
	{ "its listener", { .fails_listen = true }, -ENOMEM, "listen" },
	{ "its thread's taking of the ring",
	  { .opcode = IORING_REGISTER_ENABLE_RINGS, .fail_register = 3 },
	  -ENOMEM,
	  "enable" },
};

START_TEST(a_server_of_which_the_third_loop_fails_leaves_nothing_behind)
{
	struct third third = third_cases[_i].third;
	kernel_wrap_init(&third.wrap, NULL, third_before, NULL, &third);
	const struct weir_server_opts opts = {
		.listen = &silent_listen,
		.listen_count = 1,
		.loop_count = 3,
		.loop = { .ring = { .kernel = &third.wrap.kernel } },
	};
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	const struct traces before = traces_read();

	(void)printf("%s\n", third_cases[_i].what);
	int err = weir_server_open(&server, &opts, &error);
	ck_assert_msg(err == third_cases[_i].want, "%s: got %d: %s",
		      third_cases[_i].what, err, error.text);
	ck_assert_msg(strstr(error.text, third_cases[_i].hint) != NULL,
		      "no '%s' in: %s", third_cases[_i].hint, error.text);
	ck_assert_ptr_null(server);
	ck_assert_uint_eq(traces_read().fds, before.fds);
	ck_assert_uint_eq(traces_read().rings, before.rings);

	/* The fault is over: the next start works. */
	ck_assert_int_eq(weir_server_open(&server, &opts, &error), 0);
	weir_server_stop(server);
	ck_assert_int_eq(weir_server_join(server), 0);
	weir_server_close(server);
	ck_assert_uint_eq(traces_read().fds, before.fds);
}
END_TEST

START_TEST(an_ipv6_address_serves_too)
{
	const struct weir_listen listen = { .service = &silent_service,
					    .address = "[::1]" };
	const struct weir_server_opts opts = { .listen = &listen,
					       .listen_count = 1,
					       .loop_count = 1 };
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	int err = weir_server_open(&server, &opts, &error);
	wi_skip_unless(err == 0, error.text);
	ck_assert_uint_ne(seen_port(server), 0);
	weir_server_stop(server);
	ck_assert_int_eq(weir_server_join(server), 0);
	weir_server_close(server);
}
END_TEST

/* The matrix of tools/check forces off the rungs whose role is "used", and no
 * others. A rung with a wrong role would leave its fallback untested. */
START_TEST(a_server_stands_on_no_rung_that_is_only_known)
{
	const struct weir_server_opts opts = { .loop_count = 2 };
	struct echo echo = { .server = NULL };

	echo_start(&echo, &opts, NULL);
	const int fd = peer_open(echo_port(&echo));
	peer_round_trip(fd, 1);
	peer_close(fd);
	echo_wait_closes(&echo, 1);
	const struct weir_server_snapshot seen = seen_server(echo.server);
	const struct weir_rung *rungs = seen.rungs;
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		ck_assert_msg(rungs[i].role != WEIR_ROLE_KNOWN ||
				      rungs[i].state == WEIR_RUNG_UNTRIED ||
				      rungs[i].state == WEIR_RUNG_FORCED_OFF,
			      "%s is %s, and its role is not 'used'",
			      rungs[i].name,
			      weir_rung_state_name(rungs[i].state));
	echo_end(&echo, NULL);
}
END_TEST

TCase *tcase_server_start(void)
{
	TCase *tcase = tcase_create("start");
	tcase_set_timeout(tcase, SERVER_TEST_TIMEOUT_S);
	tcase_add_test(tcase, a_server_stands_on_no_rung_that_is_only_known);
	tcase_add_test(tcase, a_port_that_a_plain_listener_has_is_in_use);
	tcase_add_test(tcase, a_port_that_another_server_has_is_in_use);
	tcase_add_test(tcase, servers_that_join_a_group_share_a_port);
	tcase_add_loop_test(tcase, an_address_that_cannot_be_bound_is_named, 0,
			    COUNT_OF(address_cases));
	tcase_add_loop_test(tcase,
			    an_option_out_of_range_is_named_with_its_limit, 0,
			    COUNT_OF(option_cases));
	tcase_add_loop_test(tcase,
			    a_service_out_of_range_is_named_with_its_limit, 0,
			    COUNT_OF(service_cases));
	tcase_add_test(tcase,
		       a_server_needs_a_listener_and_each_listener_a_service);
	tcase_add_test(tcase, a_privileged_port_needs_permission);
	tcase_add_loop_test(
		tcase,
		a_server_of_which_the_third_loop_fails_leaves_nothing_behind, 0,
		COUNT_OF(third_cases));
	tcase_add_test(tcase, an_ipv6_address_serves_too);
	return tcase;
}
