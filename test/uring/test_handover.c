/* test_handover.c - after a message, a thread sees another thread's writes
 *
 * The words are plain, not atomic, on purpose: with -fsanitize=thread
 * (tools/check --tsan) a missing order in uring/annotate.h fails these tests.
 * Without it they show that the message arrives once, with its contents. Two
 * planted bugs prove that the sanitizer works: a message without an annotation,
 * and a word that is written too late.
 */
#include "../rig/support.h"
#include "../suites.h"

#include "uring/annotate.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MESSAGE_COUNT = 50,
	TOKEN = 77,
	CANNOT_SAY = 77, /* exit codes: of a child, */
	HAS_FAILED = 2,
	RACE = 66, /* and of the sanitizer */
};

static const struct weir_wait wait_for_one = {
	.want_count = 1,
	.timeout_ns = WEIR_TIMEOUT_NEVER,
};

/* Static: on the stack of a test under Check, the sanitizer sees no race. */
static struct sender {
	int target_fd; /* a ring or a doorbell */
	int result;
	_Atomic bool is_refused;       /* no message will come */
	uint64_t words[MESSAGE_COUNT]; /* plain; the message orders them */
} sender;

static void msg_ring_fill(struct io_uring_sqe *sqe, int target_fd,
			  uint32_t number)
{
	sqe->opcode = IORING_OP_MSG_RING;
	sqe->fd = target_fd;
	sqe->len = number;
	sqe->off = TOKEN; /* the user_data that arrives */
}

static void *sender_by_ring(void *ctx)
{
	(void)ctx;
	struct weir_ring ring;
	sender.result = weir_ring_open(&ring, NULL, NULL);
	if (sender.result == 0)
		sender.result = weir_ring_enable(&ring);
	for (uint32_t i = 0; i < MESSAGE_COUNT && sender.result == 0; i++) {
		sender.words[i] = i + 1;
		msg_ring_fill(weir_ring_take_sqe(&ring), sender.target_fd, i);
		sender.result = weir_ring_enter(&ring, &wait_for_one);
		weir_ring_reaped(&ring, weir_ring_ready(&ring));
	}
	weir_ring_close(&ring);
	return NULL;
}

START_TEST(message_between_rings_hands_over_what_was_written_before_it)
{
	struct weir_ring ring;
	pthread_t thread;
	wi_ring_start(&ring, NULL);
	sender = (struct sender){ .target_fd = weir_ring_fd(&ring) };
	ck_assert_int_eq(pthread_create(&thread, NULL, sender_by_ring, NULL),
			 0);
	for (uint32_t i = 0; i < MESSAGE_COUNT; i++) {
		struct io_uring_cqe cqe = wi_ring_next(&ring);
		ck_assert_uint_eq(cqe.user_data, TOKEN);
		ck_assert_int_eq(cqe.res, (int)i);
		ck_assert_uint_eq(sender.words[cqe.res], i + 1);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(sender.result, 0);
	weir_ring_close(&ring);
}
END_TEST

static void *sender_by_doorbell(void *ctx)
{
	(void)ctx;
	const struct weir_kernel *kernel = weir_kernel_linux();
	sender.words[0] = 1;
	sender.result = kernel->doorbell_ring(kernel->ctx, sender.target_fd);
	return NULL;
}

START_TEST(doorbell_hands_over_what_was_written_before_it_rang)
{
	const struct weir_kernel *kernel = weir_kernel_linux();
	struct weir_ring ring;
	pthread_t thread;
	uint64_t rung = 0;
	sender = (struct sender){
		.target_fd = kernel->doorbell_open(kernel->ctx),
	};
	ck_assert_int_ge(sender.target_fd, 0);
	wi_ring_start(&ring, NULL);
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
	weir_op_read(sqe, sender.target_fd, &rung, sizeof(rung));
	ck_assert_int_eq(
		pthread_create(&thread, NULL, sender_by_doorbell, NULL), 0);

	ck_assert_int_eq(wi_ring_next(&ring).res, (int)sizeof(rung));
	wi_handover_acquire(sender.target_fd);
	ck_assert_uint_eq(sender.words[0], 1);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(sender.result, 0);
	weir_ring_close(&ring);
	ck_assert_int_eq(kernel->close(kernel->ctx, sender.target_fd), 0);
}
END_TEST

static void *sender_without_a_ring(void *ctx)
{
	(void)ctx;
	const struct weir_kernel *kernel = weir_kernel_linux();
	struct io_uring_sqe sqe = { .opcode = 0 };
	sender.words[0] = 1;
	msg_ring_fill(&sqe, sender.target_fd, 0);
	sender.result = kernel->register_op(
		kernel->ctx, -1, IORING_REGISTER_SEND_MSG_RING, &sqe, 1);
	if (sender.result < 0)
		sender.is_refused = true;
	return NULL;
}

/* A kernel without this call (before 6.13) is a skip, not a hang: each wait has
 * a limit, and the sender reports it. The join would order the two threads by
 * itself, so it comes after the read. */
START_TEST(message_from_a_thread_without_a_ring_hands_over_as_well)
{
	struct weir_ring ring;
	pthread_t thread;
	wi_ring_start(&ring, NULL);
	sender = (struct sender){ .target_fd = weir_ring_fd(&ring) };
	ck_assert_int_eq(
		pthread_create(&thread, NULL, sender_without_a_ring, NULL), 0);
	const struct weir_wait for_a_while = {
		.want_count = 1,
		.timeout_ns = 10000000,
	};
	while (weir_ring_ready(&ring) == 0 && !sender.is_refused)
		ck_assert_int_eq(weir_ring_enter(&ring, &for_a_while), 0);
	bool has_come = weir_ring_ready(&ring) == 1;
	uint64_t word = has_come ? sender.words[0] : 0;
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	wi_skip_unless(sender.result != -EINVAL,
		       "this kernel sends no message without a ring");
	ck_assert_int_eq(sender.result, 0);
	ck_assert(has_come);
	ck_assert_uint_eq(word, 1);
	weir_ring_close(&ring);
}
END_TEST

/* ---- a request of several ------------------------------------------------ */

enum { RAISED_TO = 1000000, RAISERS = 2 };

static uint32_t raised;

struct raiser {
	pthread_barrier_t *start;
	uint32_t step;      /* the level that it requests */
	bool has_seen_less; /* a level below its own request */
};

/* Requests a higher level again and again, so the other thread often comes
 * between the load and the store. */
static void *raiser_run(void *ctx)
{
	struct raiser *raiser = ctx;
	uint32_t level = 0;
	(void)pthread_barrier_wait(raiser->start);
	while (level < RAISED_TO) {
		level = wi_load_acquire_u32(&raised) + raiser->step;
		(void)wi_fetch_max_release_u32(&raised, level);
		if (wi_load_acquire_u32(&raised) < level)
			raiser->has_seen_less = true;
	}
	return NULL;
}

START_TEST(flag_that_two_raise_is_never_lower_than_either_asked_for)
{
	pthread_t threads[RAISERS];
	struct raiser raisers[RAISERS];
	pthread_barrier_t start;
	raised = 0;
	ck_assert_int_eq(pthread_barrier_init(&start, NULL, RAISERS), 0);
	for (int i = 0; i < RAISERS; i++) {
		raisers[i] = (struct raiser){ .start = &start,
					      .step = (uint32_t)i + 1 };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, raiser_run,
						&raisers[i]),
				 0);
	}
	for (int i = 0; i < RAISERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < RAISERS; i++)
		ck_assert(!raisers[i].has_seen_less);
	ck_assert_uint_ge(wi_load_acquire_u32(&raised), RAISED_TO);
	ck_assert_int_eq(pthread_barrier_destroy(&start), 0);
}
END_TEST

/* ---- bugs that the sanitizer must see, each in a process of its own ---- */

static int send_told(struct io_uring_sqe *sqe)
{
	const struct weir_kernel *kernel = weir_kernel_linux();
	return kernel->register_op(kernel->ctx, -1,
				   IORING_REGISTER_SEND_MSG_RING, sqe, 1);
}

/* Bypasses struct weir_kernel, where the annotation is. */
static int send_untold(struct io_uring_sqe *sqe)
{
	return syscall(SYS_io_uring_register, -1, IORING_REGISTER_SEND_MSG_RING,
		       sqe, 1) < 0
		       ? -errno
		       : 0;
}

static const struct racer {
	const char *name;
	int (*send)(struct io_uring_sqe *sqe);
	bool is_late; /* writes after the message was sent */
	int want;     /* exit code, under the sanitizer */
} racers[] = {
	{ "told", send_told, false, 0 },
	{ "untold", send_untold, false, RACE },
	{ "late", send_told, true, RACE },
};

static void *racer_run(void *ctx)
{
	const struct racer *racer = ctx;
	struct io_uring_sqe sqe = { .opcode = 0 };
	msg_ring_fill(&sqe, sender.target_fd, 0);
	if (!racer->is_late)
		sender.words[0] = 1;
	sender.result = racer->send(&sqe);
	if (racer->is_late)
		sender.words[0] = 1;
	return NULL;
}

static int racer_await(const struct racer *racer)
{
	const struct weir_wait for_ten_seconds = {
		.want_count = 1,
		.timeout_ns = UINT64_C(10000000000),
	};
	struct weir_ring ring;
	pthread_t thread;
	if (weir_ring_open(&ring, NULL, NULL) < 0 ||
	    weir_ring_enable(&ring) < 0)
		return HAS_FAILED;
	sender = (struct sender){ .target_fd = weir_ring_fd(&ring) };
	if (pthread_create(&thread, NULL, racer_run,
			   (void *)(uintptr_t)racer) != 0)
		return HAS_FAILED;
	const bool has_come = weir_ring_enter(&ring, &for_ten_seconds) == 0 &&
			      weir_ring_ready(&ring) == 1;
	const bool is_written = has_come && sender.words[0] == 1;
	(void)pthread_join(thread, NULL);
	weir_ring_close(&ring);
	if (sender.result == -EINVAL)
		return CANNOT_SAY;
	return is_written || racer->is_late ? 0 : HAS_FAILED;
}

WI_CHILD(handover, "handover")
{
	for (size_t i = 0; i < sizeof(racers) / sizeof(racers[0]); i++)
		if (strcmp(racers[i].name, argument) == 0)
			return racer_await(&racers[i]);
	return HAS_FAILED;
}

#ifdef WI_TSAN
/* Return: its exit code. */
static int racer_start(const struct racer *racer)
{
	int status = -1;
	const pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (nowhere >= 0)
			(void)dup2(nowhere, STDERR_FILENO); /* the report */
		(void)setenv("TSAN_OPTIONS",
			     "halt_on_error=1:exitcode=66:symbolize=0", 1);
		(void)execl("/proc/self/exe", "uring_test", "--child",
			    "handover", racer->name, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

START_TEST(race_is_seen_but_where_the_order_was_told)
{
	const int got = racer_start(&racers[_i]);
	wi_skip_unless(got != CANNOT_SAY,
		       "this kernel sends no message without a ring");
	ck_assert_msg(got == racers[_i].want, "%s: exit code %d, want %d",
		      racers[_i].name, got, racers[_i].want);
}
END_TEST
#endif

WI_SUITE(handover, "handover", WI_RUNGS | WI_THREADS | WI_MEMCHECK)
{
	TCase *threads = tcase_create("between threads");
	tcase_add_test(
		threads,
		message_between_rings_hands_over_what_was_written_before_it);
	tcase_add_test(threads,
		       doorbell_hands_over_what_was_written_before_it_rang);
	tcase_add_test(threads,
		       message_from_a_thread_without_a_ring_hands_over_as_well);
	tcase_add_test(
		threads,
		flag_that_two_raise_is_never_lower_than_either_asked_for);
#ifdef WI_TSAN
	tcase_set_timeout(threads, 60);
	tcase_add_loop_test(threads, race_is_seen_but_where_the_order_was_told,
			    0, sizeof(racers) / sizeof(racers[0]));
#endif
	suite_add_tcase(suite, threads);
}
