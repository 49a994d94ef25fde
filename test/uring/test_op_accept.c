/* test_op_accept.c - accept in all forms, against the real kernel */
#include "../rig/op_rig.h"
#include "../rig/refused.h"
#include "../suites.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

/* Connects @count clients to @address. */
static void clients_open(const struct sockaddr_in *address, int *fds, int count)
{
	for (int i = 0; i < count; i++)
		fds[i] = wi_connect(address);
}

static void clients_close(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(close(fds[i]), 0);
}

static const struct {
	const char *when;
	uint32_t flags;
	bool is_cloexec;
	bool is_nonblock;
} accept_flags[] = {
	{ "no flag is given", 0, false, false },
	{ "close-on-exec is asked for", SOCK_CLOEXEC, true, false },
	{ "non-blocking is asked for", SOCK_NONBLOCK, false, true },
	{ "both are", SOCK_CLOEXEC | SOCK_NONBLOCK, true, true },
};
START_TEST(accept_gives_a_descriptor_with_the_flags_asked_for)
{
	struct rig rig;
	struct sockaddr_in address;
	rig_open(&rig);
	int listener = wi_listener(&address);
	int client = wi_connect(&address);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_accept(sqe, listener, NULL, NULL, accept_flags[_i].flags);
	int fd = rig_do(&rig, sqe);
	ck_assert_int_ge(fd, 0);
	ck_assert_msg(((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0) ==
			      accept_flags[_i].is_cloexec,
		      "when %s", accept_flags[_i].when);
	ck_assert_msg(((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0) ==
			      accept_flags[_i].is_nonblock,
		      "when %s", accept_flags[_i].when);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(close(client), 0);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(accept_that_waited_brings_the_address_of_the_peer)
{
	struct rig rig;
	struct sockaddr_in address;
	struct sockaddr_in peer = { .sin_family = 0 };
	struct sockaddr_in own;
	socklen_t peer_bytes = sizeof(peer);
	socklen_t own_bytes = sizeof(own);
	rig_open(&rig);
	int listener = wi_listener(&address);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_accept(sqe, listener, (struct sockaddr *)&peer, &peer_bytes, 0);
	rig_start(&rig, sqe, FIRST);
	rig_is_quiet(&rig);
	int client = wi_connect(&address);
	int fd = rig_next(&rig, FIRST, false).res;
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(peer_bytes, sizeof(peer));
	ck_assert_int_eq(
		getsockname(client, (struct sockaddr *)&own, &own_bytes), 0);
	ck_assert_uint_eq(peer.sin_port, own.sin_port);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(close(client), 0);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(accept_tells_whether_the_backlog_holds_more)
{
	struct rig rig;
	struct sockaddr_in address;
	int clients[2];
	rig_open(&rig);
	int listener = wi_listener(&address);
	clients_open(&address, clients, 2);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_accept_slot(sqe, listener);
	struct io_uring_cqe cqe = rig_cqe(&rig, sqe);
	ck_assert_int_eq(cqe.res, 0);
	wi_skip_unless((cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0,
		       "no NONEMPTY on accept before Linux 6.10");
	sqe = rig_take(&rig);
	weir_op_accept_slot(sqe, listener);
	cqe = rig_cqe(&rig, sqe);
	ck_assert_int_eq(cqe.res, 1);
	ck_assert_uint_eq(cqe.flags & IORING_CQE_F_SOCK_NONEMPTY, 0);
	clients_close(clients, 2);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(accept_with_dontwait_says_eagain_or_takes_what_is_there)
{
	struct rig rig;
	struct sockaddr_in address;
	rig_open(&rig);
	int listener = wi_listener(&address);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_accept_slot(sqe, listener);
	weir_op_accept_dontwait(sqe);
	int32_t res = rig_do(&rig, sqe);
	wi_skip_unless(res != -EINVAL, "no DONTWAIT before Linux 6.10");
	ck_assert_int_eq(res, -EAGAIN);
	int client = wi_connect(&address);
	sqe = rig_take(&rig);
	weir_op_poll(sqe, listener, POLLIN); /* the client's last ACK has
					      * arrived */
	ck_assert_int_eq(rig_do(&rig, sqe), POLLIN);
	sqe = rig_take(&rig);
	weir_op_accept_slot(sqe, listener);
	weir_op_accept_dontwait(sqe);
	ck_assert_int_eq(rig_do(&rig, sqe), 0);
	ck_assert_int_eq(close(client), 0);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(accept_that_polls_first_takes_what_is_there_already)
{
	struct rig rig;
	struct sockaddr_in address;
	rig_open(&rig);
	int listener = wi_listener(&address);
	int client = wi_connect(&address);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_accept_slot(sqe, listener);
	weir_op_poll_first(sqe);
	int32_t res = rig_do(&rig, sqe);
	wi_skip_unless(res != -EINVAL, "no POLL_FIRST before Linux 6.10");
	ck_assert_int_eq(res, 0);
	ck_assert_int_eq(close(client), 0);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(nonblocking_listener_is_waited_on_all_the_same)
{
	struct rig rig;
	struct sockaddr_in address;
	rig_open(&rig);
	int listener = wi_listener(&address);
	ck_assert_int_eq(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_accept_multishot(sqe, listener, SOCK_CLOEXEC);
	rig_start(&rig, sqe, FIRST);
	rig_is_quiet(&rig);
	for (int i = 0; i < 3; i++) {
		int client = wi_connect(&address);
		int fd = rig_next(&rig, FIRST, true).res;
		ck_assert_int_ge(fd, 0);
		ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
		ck_assert_int_eq(close(fd), 0);
		ck_assert_int_eq(close(client), 0);
	}
	ck_assert_int_eq(rig_cancel(&rig, FIRST), -ECANCELED);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

static void fill_one(struct io_uring_sqe *sqe, int fd)
{
	weir_op_accept(sqe, fd, NULL, NULL, 0);
}
static void fill_all(struct io_uring_sqe *sqe, int fd)
{
	weir_op_accept_multishot(sqe, fd, 0);
}
static void fill_slot(struct io_uring_sqe *sqe, int fd)
{
	weir_op_accept_slot(sqe, fd);
}
static void fill_all_slots(struct io_uring_sqe *sqe, int fd)
{
	weir_op_accept_slot_multishot(sqe, fd);
}
static void fill_at_slot(struct io_uring_sqe *sqe, int fd)
{
	weir_op_accept_at_slot(sqe, fd, 2);
}

static void (*const accept_forms[])(struct io_uring_sqe *, int) = {
	fill_one, fill_all, fill_slot, fill_all_slots, fill_at_slot,
};
static const struct {
	const char *when;
	enum refused_object object;
	int want;
} no_listeners[] = {
	{ "there is no descriptor", REFUSED_NOTHING, -EBADF },
	{ "it is a file", REFUSED_FILE, -ENOTSOCK },
	{ "it does not listen", REFUSED_STREAM, -EINVAL },
	{ "it is a datagram socket", REFUSED_DATAGRAMS, -EOPNOTSUPP },
};
START_TEST(accept_on_what_is_no_listener_says_why)
{
	const size_t form = (size_t)_i % COUNT_OF(accept_forms);
	const size_t thing = (size_t)_i / COUNT_OF(accept_forms);
	const struct refused refused = {
		no_listeners[thing].when,
		accept_forms[form],
		no_listeners[thing].object,
		no_listeners[thing].want,
		NULL,
	};
	refused_check(&refused);
}
END_TEST

START_TEST(shutdown_of_the_listener_ends_an_armed_accept_with_einval)
{
	struct rig rig;
	struct sockaddr_in address;
	rig_open(&rig);
	int listener = wi_listener(&address);
	struct io_uring_sqe *sqe = rig_take(&rig);
	accept_forms[_i](sqe, listener);
	rig_start(&rig, sqe, FIRST);
	rig_is_quiet(&rig);
	ck_assert_int_eq(shutdown(listener, SHUT_RDWR), 0);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, -EINVAL);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(cancel_ends_an_armed_accept_of_any_form)
{
	struct rig rig;
	struct sockaddr_in address;
	rig_open(&rig);
	int listener = wi_listener(&address);
	struct io_uring_sqe *sqe = rig_take(&rig);
	accept_forms[_i](sqe, listener);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(rig_cancel(&rig, FIRST), -ECANCELED);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(accept_at_a_slot_drops_what_the_slot_held)
{
	struct rig rig;
	struct sockaddr_in address;
	int clients[2];
	char byte = 0;
	rig_open(&rig);
	int listener = wi_listener(&address);
	for (int i = 0; i < 2; i++) {
		clients[i] = wi_connect(&address);
		struct io_uring_sqe *sqe = rig_take(&rig);
		weir_op_accept_at_slot(sqe, listener, 2);
		ck_assert_int_eq(rig_do(&rig, sqe), 0);
	}
	ck_assert_int_eq(recv(clients[0], &byte, 1, 0), 0);
	ck_assert_int_eq(recv(clients[1], &byte, 1, MSG_DONTWAIT), -1);
	clients_close(clients, 2);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(accept_at_a_slot_beyond_the_table_drops_the_client)
{
	struct rig rig;
	struct sockaddr_in address;
	char byte = 0;
	rig_open(&rig);
	int listener = wi_listener(&address);
	int client = wi_connect(&address);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_accept_at_slot(sqe, listener, RIG_SLOTS);
	ck_assert_int_eq(rig_do(&rig, sqe), -EINVAL);
	ck_assert_int_le(recv(client, &byte, 1, 0), 0);
	ck_assert_int_eq(close(client), 0);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(accept_without_a_descriptor_left_keeps_the_client_waiting)
{
	struct rig rig;
	struct sockaddr_in address;
	struct rlimit before;
	rig_open(&rig);
	int listener = wi_listener(&address);
	int client = wi_connect(&address);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	int lowest = dup(client);
	ck_assert_int_ge(lowest, 0);
	ck_assert_int_eq(close(lowest), 0);
	struct rlimit limit = before;
	limit.rlim_cur = (rlim_t)lowest;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);

	struct io_uring_sqe *sqe = rig_take(&rig);
	accept_forms[_i](sqe, listener);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(rig_next(&rig, FIRST, false).res, -EMFILE);

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	sqe = rig_take(&rig);
	weir_op_accept(sqe, listener, NULL, NULL, 0);
	int fd = rig_do(&rig, sqe);
	ck_assert_int_ge(fd, 0);
	wi_write_all(fd, "k", 1);
	char byte = 0;
	wi_read_all(client, &byte, 1);
	ck_assert_int_eq(byte, 'k');
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(close(client), 0);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(full_completion_queue_ends_a_multishot_accept)
{
	enum { CQ = 4, CLIENTS = 6 };
	struct rig rig;
	struct sockaddr_in address;
	int clients[CLIENTS];
	rig_open_cq(&rig, CQ);
	int listener = wi_listener(&address);
	clients_open(&address, clients, CLIENTS);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_accept_multishot(sqe, listener, 0);
	rig_start(&rig, sqe, FIRST);
	rig_submit(&rig);

	/* The completion that found the CQ full comes later, and is the
	 * last. */
	for (int i = 0; i <= CQ; i++) {
		struct io_uring_cqe cqe = rig_next(&rig, FIRST, i < CQ);
		ck_assert_int_ge(cqe.res, 0);
		ck_assert_int_eq(close(cqe.res), 0);
	}
	rig_is_quiet(&rig);
	clients_close(clients, CLIENTS);
	ck_assert_int_eq(close(listener), 0);
	rig_close(&rig);
}
END_TEST

static void multishot_at_a_slot(struct io_uring_sqe *sqe, int fd)
{
	weir_op_accept_at_slot(sqe, fd, 1);
	sqe->ioprio |= IORING_ACCEPT_MULTISHOT;
}
static void cloexec_at_a_slot(struct io_uring_sqe *sqe, int fd)
{
	weir_op_accept_at_slot(sqe, fd, 1);
	sqe->accept_flags = SOCK_CLOEXEC;
}
static const struct refused refused[] = {
	{ "a multishot names its slot", multishot_at_a_slot, REFUSED_LISTENER,
	  -EINVAL, NULL },
	{ "a slot is to be closed on exec", cloexec_at_a_slot, REFUSED_LISTENER,
	  -EINVAL, NULL },
};
START_TEST(kernel_refuses_what_the_asserts_refuse)
{
	refused_check(&refused[_i]);
}
END_TEST

WI_SUITE(op_accept, "op-accept", WI_RUNGS)
{
	TCase *tcase = tcase_create("accept");
	const int forms = (int)COUNT_OF(accept_forms);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase,
			    accept_gives_a_descriptor_with_the_flags_asked_for,
			    0, COUNT_OF(accept_flags));
	tcase_add_test(tcase,
		       accept_that_waited_brings_the_address_of_the_peer);
	tcase_add_test(tcase, accept_tells_whether_the_backlog_holds_more);
	tcase_add_test(tcase,
		       accept_with_dontwait_says_eagain_or_takes_what_is_there);
	tcase_add_test(tcase,
		       accept_that_polls_first_takes_what_is_there_already);
	tcase_add_test(tcase, nonblocking_listener_is_waited_on_all_the_same);
	tcase_add_loop_test(tcase, accept_on_what_is_no_listener_says_why, 0,
			    forms * (int)COUNT_OF(no_listeners));
	tcase_add_loop_test(
		tcase,
		shutdown_of_the_listener_ends_an_armed_accept_with_einval, 0,
		forms);
	tcase_add_loop_test(tcase, cancel_ends_an_armed_accept_of_any_form, 0,
			    forms);
	tcase_add_test(tcase, accept_at_a_slot_drops_what_the_slot_held);
	tcase_add_test(tcase,
		       accept_at_a_slot_beyond_the_table_drops_the_client);
	tcase_add_loop_test(
		tcase,
		accept_without_a_descriptor_left_keeps_the_client_waiting, 0,
		2);
	tcase_add_test(tcase, full_completion_queue_ends_a_multishot_accept);
	tcase_add_loop_test(tcase, kernel_refuses_what_the_asserts_refuse, 0,
			    COUNT_OF(refused));
}
