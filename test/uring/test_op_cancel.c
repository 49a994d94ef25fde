/* test_op_cancel.c - cancel in all forms, against the real kernel */
#include "../rig/op_rig.h"
#include "../rig/refused.h"
#include "../suites.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Three waiting operations: a receive and a poll on fds[0], FIRST and SECOND;
 * a receive on a slot, FIRST too. */
struct scene {
	struct rig rig;
	int fds[2];
	int32_t slot;
	int peer;
};

static char scene_bytes[2];

static void scene_open(struct scene *scene)
{
	struct rig *rig = &scene->rig;
	rig_open(rig);
	rig_unix_pair(scene->fds);
	scene->slot = rig_connected_slot(rig, &scene->peer);
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_recv(sqe, scene->fds[0], &scene_bytes[0], 1, 0);
	rig_start(rig, sqe, FIRST);
	sqe = rig_take(rig);
	weir_op_poll(sqe, scene->fds[0], POLLIN);
	rig_start(rig, sqe, SECOND);
	sqe = rig_take(rig);
	weir_op_recv(sqe, scene->slot, &scene_bytes[1], 1, 0);
	weir_op_on_slot(sqe);
	rig_start(rig, sqe, FIRST);
	rig_is_quiet(rig);
}

static void scene_close(struct scene *scene)
{
	rig_close_pair(scene->fds);
	ck_assert_int_eq(close(scene->peer), 0);
	rig_close(&scene->rig);
}

static void by_token(struct io_uring_sqe *sqe, const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_token(sqe, SECOND);
}
static void by_tokens(struct io_uring_sqe *sqe, const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_tokens(sqe, FIRST);
}
static void by_fd(struct io_uring_sqe *sqe, const struct scene *scene)
{
	weir_op_cancel_fd(sqe, scene->fds[0]);
}
static void by_fd_and_op(struct io_uring_sqe *sqe, const struct scene *scene)
{
	weir_op_cancel_fd(sqe, scene->fds[0]);
	weir_op_cancel_opcode(sqe, IORING_OP_POLL_ADD);
}
static void by_slot(struct io_uring_sqe *sqe, const struct scene *scene)
{
	weir_op_cancel_slot(sqe, (uint32_t)scene->slot);
}
static void by_slot_and_op(struct io_uring_sqe *sqe, const struct scene *scene)
{
	weir_op_cancel_slot(sqe, (uint32_t)scene->slot);
	weir_op_cancel_opcode(sqe, IORING_OP_RECV);
}
static void by_slot_and_other(struct io_uring_sqe *sqe,
			      const struct scene *scene)
{
	weir_op_cancel_slot(sqe, (uint32_t)scene->slot);
	weir_op_cancel_opcode(sqe, IORING_OP_SEND);
}
static void by_op(struct io_uring_sqe *sqe, const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_op(sqe, IORING_OP_RECV);
}
static void by_other_op(struct io_uring_sqe *sqe, const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_op(sqe, IORING_OP_ACCEPT);
}
static void by_token_and_op(struct io_uring_sqe *sqe, const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_tokens(sqe, FIRST);
	weir_op_cancel_opcode(sqe, IORING_OP_RECV);
}
static void by_token_and_other(struct io_uring_sqe *sqe,
			       const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_tokens(sqe, FIRST);
	weir_op_cancel_opcode(sqe, IORING_OP_POLL_ADD);
}
static void by_first_of_a_token(struct io_uring_sqe *sqe,
				const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_tokens(sqe, FIRST);
	weir_op_cancel_first(sqe);
}
static void by_first_on_a_descriptor(struct io_uring_sqe *sqe,
				     const struct scene *scene)
{
	weir_op_cancel_fd(sqe, scene->fds[0]);
	weir_op_cancel_first(sqe);
}
static void by_first_of_an_opcode(struct io_uring_sqe *sqe,
				  const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_op(sqe, IORING_OP_RECV);
	weir_op_cancel_first(sqe);
}
static void by_first_on_an_idle_descriptor(struct io_uring_sqe *sqe,
					   const struct scene *scene)
{
	weir_op_cancel_fd(sqe, scene->fds[1]);
	weir_op_cancel_first(sqe);
}
static void by_any(struct io_uring_sqe *sqe, const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_any(sqe);
}
static void by_any_but_not_all(struct io_uring_sqe *sqe,
			       const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_any(sqe);
	sqe->cancel_flags &= ~IORING_ASYNC_CANCEL_ALL;
}
static void by_idle_fd(struct io_uring_sqe *sqe, const struct scene *scene)
{
	weir_op_cancel_fd(sqe, scene->fds[1]);
}
static void by_unknown_token(struct io_uring_sqe *sqe,
			     const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_token(sqe, THIRD);
}
static void by_unknown_tokens(struct io_uring_sqe *sqe,
			      const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_tokens(sqe, THIRD);
}
static void by_no_fd(struct io_uring_sqe *sqe, const struct scene *scene)
{
	(void)scene;
	weir_op_cancel_fd(sqe, -1);
}
static void by_empty_slot(struct io_uring_sqe *sqe, const struct scene *scene)
{
	weir_op_cancel_slot(sqe, (uint32_t)scene->slot + 1);
}

static const struct {
	const char *how;
	void (*fill)(struct io_uring_sqe *sqe, const struct scene *scene);
	int res;
	uint32_t ended;
} cancels[] = {
	{ "one by its token", by_token, 0, 1 },
	{ "all of a token", by_tokens, 2, 2 },
	{ "all on a descriptor", by_fd, 2, 2 },
	{ "one opcode on a descriptor", by_fd_and_op, 1, 1 },
	{ "all on a slot", by_slot, 1, 1 },
	{ "one opcode on a slot", by_slot_and_op, 1, 1 },
	{ "an opcode that the slot has not", by_slot_and_other, 0, 0 },
	{ "one opcode", by_op, 2, 2 },
	{ "an opcode that nobody has", by_other_op, 0, 0 },
	{ "one opcode of a token", by_token_and_op, 2, 2 },
	{ "an opcode that the token has not", by_token_and_other, 0, 0 },
	{ "the first of a token", by_first_of_a_token, 0, 1 },
	{ "the first on a descriptor", by_first_on_a_descriptor, 0, 1 },
	{ "the first of an opcode", by_first_of_an_opcode, 0, 1 },
	{ "the first on an idle one", by_first_on_an_idle_descriptor, -ENOENT,
	  0 },
	{ "everything", by_any, 3, 3 },
	{ "any, which is everything", by_any_but_not_all, 3, 3 },
	{ "all on an idle descriptor", by_idle_fd, 0, 0 },
	{ "one that is not there", by_unknown_token, -ENOENT, 0 },
	{ "all of those that are not there", by_unknown_tokens, 0, 0 },
	{ "all on no descriptor", by_no_fd, -EBADF, 0 },
	{ "all on an empty slot", by_empty_slot, -EBADF, 0 },
};
START_TEST(cancel_finds_those_it_names_and_leaves_the_others)
{
	struct scene scene;
	struct io_uring_cqe cqes[4];
	scene_open(&scene);
	struct rig *rig = &scene.rig;
	struct io_uring_sqe *sqe = rig_take(rig);
	cancels[_i].fill(sqe, &scene);
	sqe->user_data = CANCEL;
	wi_ring_collect(&rig->ring, cqes, 1 + cancels[_i].ended);
	int32_t res = rig_pick(cqes, 1 + cancels[_i].ended, CANCEL).res;
	ck_assert_msg(res == cancels[_i].res, "%s: got %d, want %d",
		      cancels[_i].how, res, cancels[_i].res);
	for (uint32_t i = 0; i < 1 + cancels[_i].ended; i++)
		if (cqes[i].user_data != CANCEL)
			ck_assert_int_eq(cqes[i].res, -ECANCELED);
	rig_is_quiet(rig);

	/* The others are still in flight. */
	sqe = rig_take(rig);
	weir_op_cancel_any(sqe);
	sqe->user_data = CANCEL;
	wi_ring_collect(&rig->ring, cqes, 4 - cancels[_i].ended);
	ck_assert_int_eq(rig_pick(cqes, 4 - cancels[_i].ended, CANCEL).res,
			 3 - (int)cancels[_i].ended);
	scene_close(&scene);
}
END_TEST

START_TEST(cancel_of_a_closed_descriptor_is_too_late_by_descriptor_only)
{
	struct rig rig;
	int fds[2];
	char byte;
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv(sqe, fds[0], &byte, 1, 0);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(close(fds[0]), 0);
	sqe = rig_take(&rig);
	weir_op_cancel_fd(sqe, fds[0]);
	ck_assert_int_eq(rig_do(&rig, sqe), -EBADF);
	ck_assert_int_eq(rig_cancel(&rig, FIRST), -ECANCELED);
	ck_assert_int_eq(close(fds[1]), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(cancel_finds_what_was_submitted_before_it_in_the_same_enter)
{
	struct rig rig;
	struct io_uring_cqe cqes[2];
	int fds[2];
	char byte;
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv(sqe, fds[0], &byte, 1, 0);
	sqe->user_data = FIRST;
	sqe = rig_take(&rig);
	weir_op_cancel_any(sqe);
	sqe->user_data = CANCEL;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, CANCEL).res, 1);
	ck_assert_int_eq(rig_pick(cqes, 2, FIRST).res, -ECANCELED);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

START_TEST(descriptor_and_slot_of_one_socket_are_one_to_cancel)
{
	struct rig rig;
	struct io_uring_cqe cqes[2];
	int peer = -1;
	char byte;
	rig_open(&rig);
	int32_t slot = rig_connected_slot(&rig, &peer);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_install_slot(sqe, (uint32_t)slot);
	int fd = rig_do(&rig, sqe);
	wi_skip_unless(fd != -EINVAL, "no install before Linux 6.8");
	sqe = rig_take(&rig);
	weir_op_recv(sqe, slot, &byte, 1, 0);
	weir_op_on_slot(sqe);
	rig_start(&rig, sqe, FIRST);
	sqe = rig_take(&rig);
	weir_op_cancel_fd(sqe, fd);
	sqe->user_data = CANCEL;
	wi_ring_collect(&rig.ring, cqes, 2);
	ck_assert_int_eq(rig_pick(cqes, 2, CANCEL).res, 1);
	ck_assert_int_eq(rig_pick(cqes, 2, FIRST).res, -ECANCELED);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(close(peer), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(buffer_is_the_kernel_s_until_the_target_s_own_completion)
{
	struct rig rig;
	int fds[2];
	char bytes[4] = "....";
	rig_open(&rig);
	rig_unix_pair(fds);
	struct io_uring_sqe *sqe = rig_take(&rig);
	weir_op_recv(sqe, fds[0], bytes, sizeof(bytes), 0);
	rig_start(&rig, sqe, FIRST);
	ck_assert_int_eq(rig_cancel(&rig, FIRST), -ECANCELED);

	/* No test writes to it from here on. */
	wi_write_all(fds[1], "late", 4);
	rig_is_quiet(&rig);
	ck_assert_mem_eq(bytes, "....", 4);
	rig_close_pair(fds);
	rig_close(&rig);
}
END_TEST

/* The last receive of a chain without its end runs on a kernel worker thread.
 * Once it runs, the first byte is gone from the socket. */
static void receive_on_a_worker(struct rig *rig, const int fds[2],
				uint8_t bytes[2])
{
	int unread = 1;
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_recv(sqe, fds[0], bytes, 2, MSG_WAITALL);
	weir_op_link(sqe);
	rig_start(rig, sqe, FIRST);
	wi_write_all(fds[1], "x", 1);
	while (unread > 0)
		ck_assert_int_eq(ioctl(fds[0], FIONREAD, &unread), 0);
}

static void by_the_token(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_cancel_token(sqe, FIRST);
}
static void by_the_first_on_the_fd(struct io_uring_sqe *sqe, int fd)
{
	weir_op_cancel_fd(sqe, fd);
	weir_op_cancel_first(sqe);
}
static void (*const too_late[])(struct io_uring_sqe *sqe, int fd) = {
	by_the_token,
	by_the_first_on_the_fd,
};
/* The kernel looks twice: an operation that it ended the first time may be gone
 * the second time, and then the result is -ENOENT (39 of 600 on 6.18). */
START_TEST(cancel_of_what_runs_on_a_worker_says_ealready)
{
	enum { ROUNDS_MAX = 1000 };
	struct rig rig;
	struct io_uring_cqe cqes[2];
	int fds[2];
	uint8_t bytes[2];
	int32_t res = 0;
	rig_open(&rig);
	for (int i = 0; i < ROUNDS_MAX && res != -EALREADY; i++) {
		rig_unix_pair(fds);
		receive_on_a_worker(&rig, fds, bytes);
		struct io_uring_sqe *sqe = rig_take(&rig);
		too_late[_i](sqe, fds[0]);
		sqe->user_data = CANCEL;
		wi_ring_collect(&rig.ring, cqes, 2);
		res = rig_pick(cqes, 2, CANCEL).res;
		ck_assert_msg(res == -EALREADY || res == -ENOENT, "got %d",
			      res);
		/* It ends by itself, with the bytes so far. */
		ck_assert_int_eq(rig_pick(cqes, 2, FIRST).res, 1);
		rig_close_pair(fds);
	}
	ck_assert_int_eq(res, -EALREADY);
	rig_close(&rig);
}
END_TEST

static void any_with_an_opcode(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_cancel_any(sqe);
	sqe->cancel_flags |= IORING_ASYNC_CANCEL_OP;
}
static void any_with_a_descriptor(struct io_uring_sqe *sqe, int fd)
{
	(void)fd;
	weir_op_cancel_any(sqe);
	sqe->cancel_flags |= IORING_ASYNC_CANCEL_FD;
}
static const struct refused refused[] = {
	{ "any is of an opcode", any_with_an_opcode, REFUSED_NOTHING, -EINVAL,
	  NULL },
	{ "any is of a descriptor", any_with_a_descriptor, REFUSED_NOTHING,
	  -EINVAL, NULL },
};
START_TEST(cancel_of_any_cannot_name_an_opcode_or_a_descriptor)
{
	refused_check(&refused[_i]);
}
END_TEST

WI_SUITE(op_cancel, "op-cancel", WI_RUNGS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("cancel");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase,
			    cancel_finds_those_it_names_and_leaves_the_others,
			    0, COUNT_OF(cancels));
	tcase_add_test(
		tcase,
		cancel_of_a_closed_descriptor_is_too_late_by_descriptor_only);
	tcase_add_test(
		tcase,
		cancel_finds_what_was_submitted_before_it_in_the_same_enter);
	tcase_add_test(tcase,
		       descriptor_and_slot_of_one_socket_are_one_to_cancel);
	tcase_add_test(
		tcase,
		buffer_is_the_kernel_s_until_the_target_s_own_completion);
	tcase_add_loop_test(tcase,
			    cancel_of_what_runs_on_a_worker_says_ealready, 0,
			    COUNT_OF(too_late));
	tcase_add_loop_test(tcase,
			    cancel_of_any_cannot_name_an_opcode_or_a_descriptor,
			    0, COUNT_OF(refused));
}
