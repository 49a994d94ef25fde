/* test_listen_socket.c - how a listener opens, and listens again, on the real
 * kernel and with refused calls
 */
#include "../rig/count_of.h"
#include "../rig/kernel_wrap.h"
#include "../rig/sandbox.h"
#include "../rig/support.h"
#include "../suites.h"

#include "net/server/listen_socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct wi_listen_request loopback_request(bool joins_group)
{
	struct wi_listen_request request = { .backlog = 8,
					     .joins_group = joins_group };
	ck_assert_int_eq(weir_addr_parse("127.0.0.1", 0, &request.addr), 0);
	return request;
}

static int listener_open(const struct wi_listen_request *request,
			 struct weir_addr *out_addr)
{
	return wi_listen_socket_open(weir_kernel_linux(), request, out_addr);
}

/* A leaked descriptor takes the lowest free number. */
static int fd_lowest(void)
{
	const int fd = dup(0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
	return fd;
}

START_TEST(listener_gets_a_port_and_hands_no_delay_down)
{
	const struct weir_kernel *kernel = weir_kernel_linux();
	const struct wi_listen_request request = loopback_request(false);
	struct weir_addr addr;
	struct sockaddr_in address;
	int seen = 0;
	socklen_t seen_bytes = sizeof(seen);
	int listener = listener_open(&request, &addr);
	ck_assert_int_ge(listener, 0);
	ck_assert_uint_eq(addr.bytes, sizeof(address));
	memcpy(&address, &addr.storage, sizeof(address));
	ck_assert_uint_ne(address.sin_port, 0);

	int client = wi_connect(&address);
	int server = accept(listener, NULL, NULL);
	ck_assert_int_ge(server, 0);
	ck_assert_int_eq(getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &seen,
				    &seen_bytes),
			 0);
	ck_assert_int_ne(seen, 0);
	ck_assert_int_eq(kernel->close(kernel->ctx, client), 0);
	ck_assert_int_eq(kernel->close(kernel->ctx, server), 0);
	ck_assert_int_eq(kernel->close(kernel->ctx, listener), 0);
	ck_assert_int_eq(kernel->close(kernel->ctx, listener), -EBADF);
}
END_TEST

static const struct {
	const char *when;
	bool first_joins;
	bool second_joins;
	int want; /* 0: a descriptor */
} shared_ports[] = {
	{ "both join the group", true, true, 0 },
	{ "neither joins", false, false, -EADDRINUSE },
	{ "only the first joins", true, false, -EADDRINUSE },
	{ "only the second joins", false, true, -EADDRINUSE },
};
START_TEST(port_is_shared_only_by_those_who_join)
{
	struct wi_listen_request request =
		loopback_request(shared_ports[_i].first_joins);
	int first = listener_open(&request, &request.addr);
	ck_assert_int_ge(first, 0);
	request.joins_group = shared_ports[_i].second_joins;
	int second = listener_open(&request, NULL);
	ck_assert_msg(shared_ports[_i].want == 0
			      ? second >= 0
			      : second == shared_ports[_i].want,
		      "when %s: got %d", shared_ports[_i].when, second);
	if (second >= 0)
		ck_assert_int_eq(close(second), 0);
	ck_assert_int_eq(close(first), 0);
}
END_TEST

START_TEST(listener_may_be_a_unix_socket)
{
	struct wi_listen_request request = {
		.addr = { .storage.ss_family = AF_UNIX,
			  .bytes =
				  sizeof(sa_family_t) }, /* autobind, unix(7) */
		.backlog = 1,
	};
	struct weir_addr addr;
	int listener = listener_open(&request, &addr);
	ck_assert_msg(listener >= 0, "listen: %s", strerror(-listener));
	ck_assert_uint_gt(addr.bytes, sizeof(sa_family_t));
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(client, 0);
	ck_assert_int_eq(
		connect(client, (struct sockaddr *)&addr.storage, addr.bytes),
		0);
	ck_assert_int_eq(close(client), 0);
	ck_assert_int_eq(close(listener), 0);

	/* Newer kernels allow no group of them. */
	request.joins_group = true;
	listener = listener_open(&request, NULL);
	if (listener >= 0)
		ck_assert_int_eq(close(listener), 0);
	else
		ck_assert_int_eq(listener, -EOPNOTSUPP);
}
END_TEST

START_TEST(listener_that_cannot_be_is_refused_and_leaks_nothing)
{
	const int lowest = fd_lowest();
	struct wi_listen_request request = loopback_request(false);
	struct weir_addr addr = { .bytes = 1 };

	request.addr.storage.ss_family = 9999;
	ck_assert_int_eq(listener_open(&request, &addr), -EAFNOSUPPORT);
	request = loopback_request(false);
	request.addr.bytes = 3;
	ck_assert_int_eq(listener_open(&request, &addr), -EINVAL);
	request = loopback_request(true);
	/* 192.0.2.1 is for documentation: no host has it. RFC 5737 */
	ck_assert_int_eq(weir_addr_parse("192.0.2.1", 0, &request.addr), 0);
	ck_assert_int_eq(listener_open(&request, &addr), -EADDRNOTAVAIL);
	ck_assert_uint_eq(addr.bytes, 1);
	ck_assert_int_eq(fd_lowest(), lowest);
}
END_TEST

static int listen_apart(void *ctx, struct weir_error *error)
{
	static const struct sandbox_denial denial = { .err = -EADDRINUSE,
						      .number = SYS_listen };
	(void)error;
	return sandbox_deny(&denial) ? listener_open(ctx, NULL)
				     : -ENOTRECOVERABLE;
}

/* Another socket may listen between bind(2) and listen(2). That is rare, so a
 * filter makes it happen. */
START_TEST(port_that_is_lost_after_bind_is_refused_and_leaks_nothing)
{
	const int lowest = fd_lowest();
	struct wi_listen_request request = loopback_request(false);
	struct weir_error error;
	ck_assert_int_eq(sandbox_run(listen_apart, &request, &error),
			 -EADDRINUSE);
	ck_assert_int_eq(fd_lowest(), lowest);
}
END_TEST

/* ---- an address that is in use for a while ------------------------------- */

static struct {
	struct kernel_wrap wrap;
	uint32_t in_use; /* calls of bind() to refuse */
	uint32_t binds;
	uint64_t paused_ns;
} busy;

static bool busy_before(void *ctx, struct kernel_call *call)
{
	(void)ctx;
	if (call->id == CALL_PAUSE) {
		busy.paused_ns += call->ns;
		return true;
	}
	call->result = -EADDRINUSE;
	return call->id == CALL_BIND && ++busy.binds <= busy.in_use;
}

static int busy_open(uint32_t in_use)
{
	const struct wi_listen_request request = loopback_request(false);
	memset(&busy, 0, sizeof(busy));
	kernel_wrap_init(&busy.wrap, weir_kernel_linux(), busy_before, NULL,
			 NULL);
	busy.in_use = in_use;
	return wi_listen_socket_open(&busy.wrap.kernel, &request, NULL);
}

START_TEST(address_in_use_is_asked_for_again_for_a_while)
{
	enum { TRIES = 40, PAUSE_NS = 5000000 };
	const int lowest = fd_lowest();
	int listener = busy_open(TRIES - 1);
	ck_assert_int_ge(listener, 0);
	ck_assert_uint_eq(busy.binds, TRIES);
	ck_assert_uint_eq(busy.paused_ns, (TRIES - 1) * (uint64_t)PAUSE_NS);
	ck_assert_int_eq(close(listener), 0);
	ck_assert_int_eq(busy_open(TRIES), -EADDRINUSE);
	ck_assert_uint_eq(busy.binds, TRIES);
	ck_assert_uint_eq(busy.paused_ns, TRIES * (uint64_t)PAUSE_NS);
	ck_assert_int_eq(fd_lowest(), lowest);
}
END_TEST

/* ---- once more ----------------------------------------------------------- */

static void expect_byte(int listener, const struct sockaddr_in *address)
{
	char byte = 0;
	int client = wi_connect(address);
	int fd = accept(listener, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	wi_write_all(client, "x", 1);
	wi_read_all(fd, &byte, 1);
	ck_assert_int_eq(byte, 'x');
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(close(client), 0);
}

/* A server's drain and resume depend on this. Found as a bug here: if a
 * listener that was shut down twice is not reset, each connection that it
 * accepts is at the end of its stream. */
START_TEST(listener_that_was_shut_down_listens_again_at_its_address)
{
	const struct weir_kernel *kernel = weir_kernel_linux();
	struct wi_listen_request request = { .backlog = 8 };
	struct sockaddr_in address;
	/* A port that the kernel chose would be lost. */
	int holder = wi_port_hold(&address);
	memcpy(&request.addr.storage, &address, sizeof(address));
	request.addr.bytes = sizeof(address);
	int listener = listener_open(&request, NULL);
	ck_assert_int_ge(listener, 0);
	for (int shutdowns = 1; shutdowns <= 2; shutdowns++) {
		for (int i = 0; i < shutdowns; i++) /* -ENOTCONN */
			(void)kernel->shutdown(kernel->ctx, listener,
					       SHUT_RDWR);
		ck_assert_int_eq(wi_listen_socket_reopen(kernel, listener, 8),
				 0);
		expect_byte(listener, &address);
	}
	ck_assert_int_eq(wi_listen_socket_reopen(kernel, -1, 8), -EBADF);
	ck_assert_int_eq(close(listener), 0);
	ck_assert_int_eq(close(holder), 0);
}
END_TEST

WI_SUITE(listen_socket, "listen-socket", 0)
{
	TCase *tcase = tcase_create("listen-socket");
	tcase_add_test(tcase, listener_gets_a_port_and_hands_no_delay_down);
	tcase_add_test(tcase, listener_may_be_a_unix_socket);
	tcase_add_loop_test(tcase, port_is_shared_only_by_those_who_join, 0,
			    COUNT_OF(shared_ports));
	tcase_add_test(tcase,
		       listener_that_cannot_be_is_refused_and_leaks_nothing);
	tcase_add_test(
		tcase,
		port_that_is_lost_after_bind_is_refused_and_leaks_nothing);
	tcase_add_test(tcase, address_in_use_is_asked_for_again_for_a_while);
	tcase_add_test(
		tcase,
		listener_that_was_shut_down_listens_again_at_its_address);
	suite_add_tcase(suite, tcase);
}
