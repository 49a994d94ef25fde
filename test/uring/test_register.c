/* test_register.c - the thin calls of register.h, and each of their errors */
#include "../rig/count_of.h"
#include "../rig/faults.h"
#include "../rig/kernel_wrap.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/extra/register.h"
#include "uring/filetab.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* ---- eventfd ------------------------------------------------------------- */

START_TEST(eventfd_is_readable_once_a_completion_came)
{
	struct weir_ring ring;
	uint64_t value = 0;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_register_eventfd(&ring, fd, _i == 1), 0);
	ck_assert_int_eq(weir_register_eventfd(&ring, fd, false), -EBUSY);
	ck_assert_int_eq(read(fd, &value, sizeof(value)), -1);
	/* From another thread: the purpose of this call. */
	ck_assert_int_eq(weir_register_message(NULL, weir_ring_fd(&ring), 3, 4),
			 0);
	/* No kernel worker thread was involved. */
	ck_assert_int_eq(read(fd, &value, sizeof(value)),
			 _i == 1 ? -1 : (int)sizeof(value));
	ck_assert_int_eq(wi_ring_next(&ring).res, 4);
	ck_assert_int_eq(weir_register_eventfd_off(&ring), 0);
	ck_assert_int_eq(weir_register_eventfd_off(&ring), -ENXIO);
	weir_ring_close(&ring);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(what_is_no_eventfd_is_refused)
{
	struct weir_ring ring;
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_register_eventfd(&ring, 1 << 20, false), -EBADF);
	ck_assert_int_eq(
		weir_register_eventfd(&ring, weir_ring_fd(&ring), false),
		-EINVAL);
	weir_ring_close(&ring);
}
END_TEST

/* ---- limits, clock, napi ------------------------------------------------- */

START_TEST(limits_of_worker_threads_are_set_and_read_back)
{
	struct weir_ring ring;
	struct weir_iowq_limits before;
	const struct weir_iowq_limits few = { .bounded = 2, .unbounded = 4 };
	const struct weir_iowq_limits keep = { .bounded = 0 };
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_register_iowq_limits(&ring, few, NULL), 0);
	ck_assert_int_eq(weir_register_iowq_limits(&ring, keep, &before), 0);
	ck_assert_uint_eq(before.bounded, 2);
	ck_assert_uint_eq(before.unbounded, 4);
	ck_assert_int_eq(weir_register_iowq_limits(&ring, keep, &before), 0);
	ck_assert_uint_eq(before.bounded, 2);
	weir_ring_close(&ring);
}
END_TEST

static const struct {
	const char *when;
	uint32_t clock_id;
	int want;
} clocks[] = {
	{ "it is monotonic", CLOCK_MONOTONIC, 0 },
	{ "it runs while suspended", CLOCK_BOOTTIME, 0 },
	{ "it is the time of day", CLOCK_REALTIME, -EINVAL },
	{ "there is none", 1000, -EINVAL },
};
START_TEST(clock_is_taken_or_refused_and_waits_go_on)
{
	struct weir_ring ring;
	wi_ring_start(&ring, NULL);
	wi_skip_unless(weir_register_clock(&ring, CLOCK_MONOTONIC) == 0,
		       "this kernel has no choice of clocks");
	int err = weir_register_clock(&ring, clocks[_i].clock_id);
	ck_assert_msg(err == clocks[_i].want, "when %s: %d", clocks[_i].when,
		      err);
	const struct weir_wait wait = { .want_count = 1, .timeout_ns = 1000 };
	ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
	struct weir_ring_stats stats;
	weir_ring_stats_read(&ring, &stats);
	ck_assert_uint_eq(stats.enters_timed_out, 1);
	weir_ring_close(&ring);
}
END_TEST

static const struct {
	const char *when;
	struct weir_napi napi;
	int want;
} napis[] = {
	{ "it is dynamic", { 50, true, WEIR_NAPI_DYNAMIC }, 0 },
	{ "it is static", { 20, false, WEIR_NAPI_STATIC }, 0 },
	{ "it does not poll", { 0, false, WEIR_NAPI_DYNAMIC }, 0 },
	{ "the tracking is unknown",
	  { 50, false, (enum weir_napi_tracking)7 },
	  -EINVAL },
};
START_TEST(napi_is_set_and_what_was_set_before_is_told)
{
	struct weir_ring ring;
	struct weir_napi before;
	wi_ring_start(&ring, NULL);
	int err = weir_register_napi(&ring, &napis[0].napi, NULL);
	wi_skip_unless(err == 0, "this kernel polls no queues");
	ck_assert_int_eq(weir_register_napi_off(&ring, NULL), 0);

	err = weir_register_napi(&ring, &napis[_i].napi, &before);
	ck_assert_msg(err == napis[_i].want, "when %s: %d", napis[_i].when,
		      err);
	if (err == 0) {
		ck_assert_int_eq(before.tracking, WEIR_NAPI_INACTIVE);
		err = weir_register_napi(&ring, &napis[_i].napi, &before);
		ck_assert_int_eq(err, 0);
		ck_assert_int_eq(before.tracking, napis[_i].napi.tracking);
		ck_assert_int_eq(weir_register_napi_off(&ring, &before), 0);
		ck_assert_uint_eq(before.busy_poll_us,
				  napis[_i].napi.busy_poll_us);
		ck_assert_int_eq(before.prefers_busy_poll,
				 napis[_i].napi.prefers_busy_poll);
	}
	weir_ring_close(&ring);
}
END_TEST

START_TEST(queue_that_does_not_exist_is_neither_added_nor_removed)
{
	struct weir_ring ring;
	wi_ring_start(&ring, NULL);
	wi_skip_unless(weir_register_napi(&ring, &napis[_i].napi, NULL) == 0,
		       "this kernel polls no queues");
	ck_assert_int_lt(weir_register_napi_queue(&ring, 1, true), 0);
	ck_assert_int_lt(weir_register_napi_queue(&ring, 1, false), 0);
	weir_ring_close(&ring);
}
END_TEST

/* ---- cancel -------------------------------------------------------------- */

enum { TOKEN = 9 };
static const struct {
	const char *when;
	struct weir_cancel_match match; /* fd 0: that of the armed operation */
	uint32_t armed;
	int want;
} cancels[] = {
	{ "the token matches", { .user_data = TOKEN }, 1, 0 },
	{ "no token matches", { .user_data = TOKEN + 1 }, 1, -ENOENT },
	{ "nothing is armed", { .user_data = TOKEN }, 0, -ENOENT },
	{ "all with the token",
	  { .flags = IORING_ASYNC_CANCEL_ALL, .user_data = TOKEN },
	  3,
	  3 },
	{ "the descriptor matches", { .flags = IORING_ASYNC_CANCEL_FD }, 1, 0 },
	{ "all on the descriptor",
	  { .flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL },
	  2,
	  2 },
	{ "everything", { .flags = IORING_ASYNC_CANCEL_ANY }, 3, 3 },
	{ "everything of nothing", { .flags = IORING_ASYNC_CANCEL_ANY }, 0, 0 },
	{ "the descriptor is closed",
	  { .flags = IORING_ASYNC_CANCEL_FD, .fd = 1 << 20 },
	  1,
	  -EBADF },
	{ "the slot is empty",
	  { .flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_FD_FIXED,
	    .fd = 2 },
	  1,
	  -EBADF },
	{ "the operation matches",
	  { .flags = IORING_ASYNC_CANCEL_OP, .opcode = IORING_OP_READ },
	  1,
	  0 },
	{ "the operation does not",
	  { .flags = IORING_ASYNC_CANCEL_OP, .opcode = IORING_OP_RECV },
	  1,
	  -ENOENT },
	{ "a flag is unknown", { .flags = 1u << 30 }, 1, -EINVAL },
};
START_TEST(cancel_finds_what_matches_and_each_still_completes)
{
	struct weir_ring ring;
	int ends[2];
	uint8_t bytes[3];
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(weir_filetab_open(&ring, 4, NULL), 0);
	for (uint32_t i = 0; i < cancels[_i].armed; i++) {
		struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
		weir_op_read(sqe, ends[0], &bytes[i], 1);
		sqe->user_data = TOKEN;
	}
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	struct weir_cancel_match match = cancels[_i].match;
	if (match.fd == 0)
		match.fd = ends[0];
	int got = weir_register_cancel(
		&ring, &match, _i % 2 == 0 ? WEIR_TIMEOUT_NEVER : 1000000000);
	ck_assert_msg(got == cancels[_i].want, "when %s: got %d, want %d",
		      cancels[_i].when, got, cancels[_i].want);
	for (uint32_t i = 0; got >= 0 && i < cancels[_i].armed; i++)
		ck_assert_int_eq(wi_ring_next(&ring).res, -ECANCELED);
	weir_ring_close(&ring);
	ck_assert_int_eq(close(ends[0]), 0);
	ck_assert_int_eq(close(ends[1]), 0);
}
END_TEST

/* ---- query, and messages without a ring ---------------------------------- */

START_TEST(kernel_tells_what_it_knows_and_grants_no_more)
{
	struct weir_ring ring;
	struct weir_kernel_limits limits;
	int err = weir_register_query(NULL, &limits);
	wi_skip_unless(err != -EOPNOTSUPP, "this kernel cannot be asked");
	ck_assert_int_eq(err, 0);
	wi_ring_start(&ring, NULL);
	ck_assert_uint_eq(weir_ring_features(&ring), limits.features);
	ck_assert_uint_eq(weir_ring_setup_flags(&ring) & ~limits.setup_flags,
			  0);
	ck_assert_uint_eq(ring.enter_flags & ~limits.enter_flags, 0);
	ck_assert_uint_ge(limits.op_count, IORING_OP_LAST);
	ck_assert_uint_ge(limits.register_op_count, IORING_REGISTER_LAST);
	ck_assert_uint_eq(limits.sqe_flags & 0x7f, 0x7f);
	weir_ring_close(&ring);
}
END_TEST

static const struct {
	int err;
	int want;
} unknowns[] = {
	{ -EINVAL, -EOPNOTSUPP },
	{ -EBADF, -EOPNOTSUPP },
	{ -EPERM, -EPERM },
	{ -ENOSYS, -ENOSYS },
};
START_TEST(kernel_that_cannot_be_asked_says_so)
{
	struct wi_faults faults;
	struct weir_kernel_limits limits = { .op_count = 3 };
	wi_faults_init(&faults);
	faults.register_opcode = IORING_REGISTER_QUERY;
	faults.register_errno = unknowns[_i].err;
	ck_assert_int_eq(weir_register_query(&faults.wrap.kernel, &limits),
			 unknowns[_i].want);
	ck_assert_uint_eq(limits.op_count, 3);
}
END_TEST

static bool query_unknown(void *ctx, struct kernel_call *call)
{
	struct io_uring_query_hdr *question = call->register_op.arg;
	(void)ctx;
	ck_assert_int_eq(call->id, CALL_REGISTER);
	ck_assert_int_eq(call->register_op.ring_fd, -1);
	ck_assert_uint_eq(call->register_op.opcode, IORING_REGISTER_QUERY);
	ck_assert_uint_eq(call->register_op.arg_count, 0);
	question->result = -EOPNOTSUPP;
	call->result = 0;
	return true;
}

START_TEST(answer_inside_the_question_counts)
{
	struct kernel_wrap wrap;
	struct weir_kernel_limits limits = { .op_count = 3 };
	kernel_wrap_init(&wrap, weir_kernel_linux(), query_unknown, NULL, NULL);
	ck_assert_int_eq(weir_register_query(&wrap.kernel, &limits),
			 -EOPNOTSUPP);
	ck_assert_uint_eq(limits.op_count, 3);
}
END_TEST

struct sender {
	int ring_fd;
	int err;
};

static void *sender_run(void *ctx)
{
	struct sender *sender = ctx;
	for (int i = 0; i < 100 && sender->err == 0; i++)
		sender->err = weir_register_message(NULL, sender->ring_fd,
						    (uint64_t)i, -i);
	return NULL;
}

static const weir_rung_set forced_off_targets[] = {
	0,
	weir_rung_bit(WEIR_RUNG_DEFER_TASKRUN),
};
START_TEST(messages_come_from_a_thread_without_a_ring_and_wake_the_waiter)
{
	struct weir_ring ring;
	pthread_t thread;
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .forced_off = forced_off_targets[_i] });
	struct sender sender = { .ring_fd = weir_ring_fd(&ring) };
	int err = weir_register_message(NULL, sender.ring_fd, 7, 8);
	wi_skip_unless(err != -EINVAL, "this kernel has no such messages");
	ck_assert_int_eq(err, 0);
	struct io_uring_cqe cqe = wi_ring_next(&ring);
	ck_assert_uint_eq(cqe.user_data, 7);
	ck_assert_int_eq(cqe.res, 8);

	ck_assert_int_eq(pthread_create(&thread, NULL, sender_run, &sender), 0);
	for (int i = 0; i < 100; i++) {
		cqe = wi_ring_next(&ring);
		ck_assert_uint_eq(cqe.user_data, (unsigned)i);
		ck_assert_int_eq(cqe.res, -i);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(sender.err, 0);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(message_to_what_is_no_enabled_ring_is_refused)
{
	struct weir_ring ring;
	int ends[2];
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	int err = weir_register_message(NULL, weir_ring_fd(&ring), 1, 1);
	wi_skip_unless(err != -EINVAL, "this kernel has no such messages");
	ck_assert_int_eq(err, -EBADFD); /* not enabled */
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(weir_register_message(NULL, ends[0], 1, 1), -EBADFD);
	ck_assert_int_eq(weir_register_message(NULL, 1 << 20, 1, 1), -EBADF);
	ck_assert_int_eq(close(ends[0]), 0);
	ck_assert_int_eq(close(ends[1]), 0);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(messages_to_a_full_ring_overflow_and_are_not_lost)
{
	struct weir_ring ring;
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .sq_entry_count = 4,
				     .cq_entry_count = 4,
				     .forced_off = forced_off_targets[_i] });
	for (int i = 0; i < 64; i++) {
		int err =
			weir_register_message(NULL, weir_ring_fd(&ring), 1, i);
		wi_skip_unless(err != -EINVAL,
			       "this kernel has no such messages");
		ck_assert_int_eq(err, 0);
	}
	for (int i = 0; i < 64; i++)
		ck_assert_int_eq(wi_ring_next(&ring).res, i);
	weir_ring_close(&ring);
}
END_TEST

/* ---- refusals, one for each call ----------------------------------------- */

static int call_eventfd(struct weir_ring *ring)
{
	return weir_register_eventfd(ring, 0, false);
}
static int call_limits(struct weir_ring *ring)
{
	const struct weir_iowq_limits limits = { .bounded = 1 };
	return weir_register_iowq_limits(ring, limits, NULL);
}
static int call_clock(struct weir_ring *ring)
{
	return weir_register_clock(ring, CLOCK_MONOTONIC);
}
static int call_napi(struct weir_ring *ring)
{
	return weir_register_napi(ring, &napis[0].napi, NULL);
}
static int call_napi_off(struct weir_ring *ring)
{
	return weir_register_napi_off(ring, NULL);
}
static int call_cancel(struct weir_ring *ring)
{
	return weir_register_cancel(ring, &cancels[0].match, 0);
}
static int call_message(struct weir_ring *ring)
{
	return weir_register_message(ring->kernel, weir_ring_fd(ring), 1, 1);
}
static const struct {
	uint32_t opcode;
	int (*call)(struct weir_ring *ring);
	bool needs_owner;
} calls[] = {
	{ IORING_REGISTER_EVENTFD, call_eventfd, true },
	{ IORING_REGISTER_IOWQ_MAX_WORKERS, call_limits, true },
	{ IORING_REGISTER_CLOCK, call_clock, true },
	{ IORING_REGISTER_NAPI, call_napi, true },
	{ IORING_UNREGISTER_NAPI, call_napi_off, true },
	{ IORING_REGISTER_SYNC_CANCEL, call_cancel, true },
	{ IORING_REGISTER_SEND_MSG_RING, call_message, false },
};

static struct weir_ring *foreign_ring;
static void *foreign_call(void *ctx)
{
	return (void *)(intptr_t)calls[*(const int *)ctx].call(foreign_ring);
}

START_TEST(refusal_of_each_call_is_passed_on)
{
	wi_skip_if_forced_off(WEIR_RUNG_DEFER_TASKRUN);
	struct weir_ring ring;
	struct wi_faults faults;
	pthread_t thread;
	void *err = NULL;
	int index = _i;
	wi_faults_init(&faults);
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel });
	faults.register_opcode = calls[_i].opcode;
	faults.register_errno = -ENOMEM;
	ck_assert_int_eq(calls[_i].call(&ring), -ENOMEM);

	/* And the real kernel's refusal, on a thread that does not own the
	 * ring. */
	faults.register_errno = 0;
	foreign_ring = &ring;
	ck_assert_int_eq(pthread_create(&thread, NULL, foreign_call, &index),
			 0);
	ck_assert_int_eq(pthread_join(thread, &err), 0);
	if (calls[_i].needs_owner)
		ck_assert_int_eq((int)(intptr_t)err, -EEXIST);
	weir_ring_close(&ring);
}
END_TEST

WI_SUITE(register, "register", WI_RUNGS | WI_THREADS)
{
	TCase *tcase = tcase_create("register");
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase, eventfd_is_readable_once_a_completion_came,
			    0, 2);
	tcase_add_test(tcase, what_is_no_eventfd_is_refused);
	tcase_add_test(tcase, limits_of_worker_threads_are_set_and_read_back);
	tcase_add_loop_test(tcase, clock_is_taken_or_refused_and_waits_go_on, 0,
			    COUNT_OF(clocks));
	tcase_add_loop_test(tcase, napi_is_set_and_what_was_set_before_is_told,
			    0, COUNT_OF(napis));
	tcase_add_loop_test(
		tcase, queue_that_does_not_exist_is_neither_added_nor_removed,
		0, 2);
	tcase_add_loop_test(tcase,
			    cancel_finds_what_matches_and_each_still_completes,
			    0, COUNT_OF(cancels));
	tcase_add_test(tcase, kernel_tells_what_it_knows_and_grants_no_more);
	tcase_add_loop_test(tcase, kernel_that_cannot_be_asked_says_so, 0,
			    COUNT_OF(unknowns));
	tcase_add_test(tcase, answer_inside_the_question_counts);
	tcase_add_loop_test(
		tcase,
		messages_come_from_a_thread_without_a_ring_and_wake_the_waiter,
		0, 2);
	tcase_add_test(tcase, message_to_what_is_no_enabled_ring_is_refused);
	tcase_add_loop_test(
		tcase, messages_to_a_full_ring_overflow_and_are_not_lost, 0, 2);
	tcase_add_loop_test(tcase, refusal_of_each_call_is_passed_on, 0,
			    COUNT_OF(calls));
	suite_add_tcase(suite, tcase);
}
