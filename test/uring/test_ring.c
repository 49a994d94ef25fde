/* test_ring.c - one ring: open, enter, wait, close, and all their failures
 *
 * Most tests have one criterion: each submitted entry completes exactly once,
 * whatever the calls in between returned.
 */
#include "../rig/count_of.h"
#include "../rig/faults.h"
#include "../rig/nops.h"
#include "../rig/support.h"
#include "../suites.h"

#include "net/server/listen_socket.h"
#include "uring/bufring.h"
#include "uring/filetab.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define OFF(name) weir_rung_bit(WEIR_RUNG_##name)

#define DEFERS                                                                 \
	(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |             \
	 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL)
#define COOPERATES                                                             \
	(IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |               \
	 IORING_SETUP_SUBMIT_ALL)

static const struct {
	const char *when;
	weir_rung_set forced_off;
	uint32_t granted;
	uint32_t withheld;
} rungs[] = {
	{ "nothing is forced off", 0, DEFERS | IORING_SETUP_NO_SQARRAY,
	  IORING_SETUP_COOP_TASKRUN },
	{ "NO_SQARRAY is forced off", OFF(NO_SQARRAY), DEFERS,
	  IORING_SETUP_NO_SQARRAY },
	{ "DEFER_TASKRUN is forced off", OFF(DEFER_TASKRUN), COOPERATES,
	  IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		  IORING_SETUP_NO_SQARRAY },
	{ "each task-run flag is forced off, and SUBMIT_ALL",
	  OFF(DEFER_TASKRUN) | OFF(COOP_TASKRUN) | OFF(SUBMIT_ALL), 0,
	  DEFERS | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_NO_SQARRAY },
};

enum { RUNG_COUNT = COUNT_OF(rungs) };

static const struct weir_wait wait_for_one = {
	.want_count = 1,
	.timeout_ns = WEIR_TIMEOUT_NEVER,
};

/* ---- helpers ------------------------------------------------------------- */

static void read_take(struct weir_ring *ring, int fd, void *bytes,
		      uint32_t byte_count, uint64_t user_data)
{
	struct io_uring_sqe *sqe = weir_ring_take_sqe(ring);
	ck_assert_ptr_nonnull(sqe);
	weir_op_read(sqe, fd, bytes, byte_count);
	sqe->user_data = user_data;
}

static struct weir_ring_stats stats_of(const struct weir_ring *ring)
{
	struct weir_ring_stats stats;
	weir_ring_stats_read(ring, &stats);
	return stats;
}

static int uring_mapping_count(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	ck_assert_ptr_nonnull(maps);
	char line[512];
	int count = 0;
	while (fgets(line, sizeof(line), maps) != NULL)
		count += strstr(line, "io_uring") != NULL;
	ck_assert_int_eq(fclose(maps), 0);
	return count;
}

/* These tests count the first rungs of the ladder. */
#define skip_if_setup_is_forced()                                              \
	do {                                                                   \
		wi_skip_if_forced_off(WEIR_RUNG_DEFER_TASKRUN);                \
		wi_skip_if_forced_off(WEIR_RUNG_COOP_TASKRUN);                 \
		wi_skip_if_forced_off(WEIR_RUNG_NO_SQARRAY);                   \
		wi_skip_if_forced_off(WEIR_RUNG_SUBMIT_ALL);                   \
	} while (0)

/* ---- open and enable ----------------------------------------------------- */

START_TEST(ring_opens_on_each_rung_of_the_ladder)
{
	struct weir_ring ring;
	skip_if_setup_is_forced();
	const struct weir_ring_opts opts = {
		.forced_off = rungs[_i].forced_off,
	};
	wi_ring_start(&ring, &opts);
	uint32_t flags = weir_ring_setup_flags(&ring);
	ck_assert_msg((flags & rungs[_i].withheld) == 0,
		      "when %s: granted %#x all the same", rungs[_i].when,
		      flags & rungs[_i].withheld);
	wi_skip_unless((flags & rungs[_i].granted) == rungs[_i].granted,
		       "this kernel does not have this rung");
	wi_nops_take(&ring, 7, 3);
	wi_nops_expect(&ring, 7, 3);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(ring_is_refused_when_the_kernel_knows_no_rung)
{
	struct weir_ring ring;
	struct weir_error error = { .code = 0 };
	struct wi_faults faults;
	wi_faults_init(&faults);
	faults.setup_known_flags = ~IORING_SETUP_R_DISABLED;
	const struct weir_ring_opts opts = { .kernel = &faults.wrap.kernel };
	ck_assert_int_eq(weir_ring_open(&ring, &opts, &error), -EINVAL);
	ck_assert_int_eq(error.code, -EINVAL);
	ck_assert_int_eq(weir_ring_fd(&ring), -1);
	weir_ring_close(&ring);
}
END_TEST

/* A kernel that knows fewer flags: how many setups are tried, which flags
 * remain. */
#define KNOWS_5_10                                                             \
	(IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED)
static const struct {
	const char *when;
	uint32_t known_flags;
	uint32_t setups;
	uint32_t granted;
} descents[] = {
	{ "the kernel is 6.6", KNOWS_5_10 | DEFERS | IORING_SETUP_NO_SQARRAY, 1,
	  DEFERS | IORING_SETUP_NO_SQARRAY },
	{ "the kernel is 6.1", KNOWS_5_10 | DEFERS | IORING_SETUP_COOP_TASKRUN,
	  2, DEFERS },
	{ "the kernel is 5.19", KNOWS_5_10 | COOPERATES, 3, COOPERATES },
	{ "the kernel is 5.10", KNOWS_5_10, 4, 0 },
};
START_TEST(ring_goes_down_one_rung_for_each_refusal)
{
	struct weir_ring ring;
	skip_if_setup_is_forced();
	struct wi_faults faults;
	wi_faults_init(&faults);
	faults.setup_known_flags = descents[_i].known_flags;
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel });
	wi_skip_unless(_i != 0 || faults.setups == 1,
		       "this kernel has no NO_SQARRAY");
	ck_assert_msg(faults.setups == descents[_i].setups,
		      "when %s: %u setups, want %u", descents[_i].when,
		      faults.setups, descents[_i].setups);
	ck_assert_uint_eq(weir_ring_setup_flags(&ring) & ~KNOWS_5_10,
			  descents[_i].granted);
	wi_nops_take(&ring, 0, 4);
	wi_nops_expect(&ring, 0, 4);
	weir_ring_close(&ring);
}
END_TEST

static const struct {
	const char *when;
	struct weir_ring_opts opts;
	int want;
	const char *names[2]; /* words that the text must contain */
} sizes[] = {
	{ "zeros ask for the defaults",
	  { .sq_entry_count = 0 },
	  0,
	  { "", "" } },
	{ "the SQ is one", { .sq_entry_count = 1 }, 0, { "", "" } },
	{ "the SQ is odd", { .sq_entry_count = 33 }, 0, { "", "" } },
	{ "CQ and SQ are equal",
	  { .sq_entry_count = 8, .cq_entry_count = 8 },
	  0,
	  { "", "" } },
	{ "the CQ is above the kernel's limit",
	  { .sq_entry_count = 8, .cq_entry_count = 1u << 20 },
	  0,
	  { "", "" } },
	{ "the SQ is above the kernel's limit",
	  { .sq_entry_count = 32769 },
	  -EINVAL,
	  { "32769", "32768" } },
	{ "the CQ is smaller than the SQ",
	  { .sq_entry_count = 64, .cq_entry_count = 63 },
	  -EINVAL,
	  { "63", "64" } },
};
START_TEST(ring_sizes_are_taken_or_refused_with_the_limit)
{
	struct weir_ring ring;
	struct weir_error error = { .text = "" };
	int err = weir_ring_open(&ring, &sizes[_i].opts, &error);
	ck_assert_msg(err == sizes[_i].want, "when %s: got %d, want %d (%s)",
		      sizes[_i].when, err, sizes[_i].want, error.text);
	for (int i = 0; i < 2; i++)
		ck_assert_msg(strstr(error.text, sizes[_i].names[i]) != NULL,
			      "when %s: '%s' does not name %s", sizes[_i].when,
			      error.text, sizes[_i].names[i]);
	if (err == 0) {
		ck_assert_uint_ge(ring.sq_entry_count,
				  sizes[_i].opts.sq_entry_count);
		ck_assert_uint_ge(ring.cq_entry_count, ring.sq_entry_count);
		ck_assert_int_eq(weir_ring_enable(&ring), 0);
		wi_nops_take(&ring, 1, ring.sq_entry_count);
		wi_nops_expect(&ring, 1, ring.sq_entry_count);
	}
	weir_ring_close(&ring);
}
END_TEST

START_TEST(ring_opens_without_options_and_without_an_error)
{
	struct weir_ring ring;
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	ck_assert_int_ge(weir_ring_fd(&ring), 0);
	ck_assert_uint_ne(weir_ring_features(&ring) & IORING_FEAT_NODROP, 0);
	weir_ring_close(&ring);
	ck_assert_int_eq(weir_ring_open(&ring,
					&(struct weir_ring_opts){
						.sq_entry_count = 40000 },
					NULL),
			 -EINVAL);
}
END_TEST

START_TEST(ring_that_is_enabled_twice_says_ebadfd)
{
	struct weir_ring ring;
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_ring_enable(&ring), -EBADFD);
	wi_nops_take(&ring, 1, 1);
	wi_nops_expect(&ring, 1, 1);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(ring_that_is_entered_before_enable_says_ebadfd_and_keeps_its_entries)
{
	struct weir_ring ring;
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	wi_nops_take(&ring, 1, 5);
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), -EBADFD);
	ck_assert_uint_eq(stats_of(&ring).enters_failed, 1);
	ck_assert_uint_eq(weir_ring_unsubmitted(&ring), 5);

	ck_assert_int_eq(weir_ring_enable(&ring), 0);
	wi_nops_expect(&ring, 1, 5);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(ring_works_without_a_registered_descriptor)
{
	struct weir_ring ring;
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .forced_off = OFF(REGISTERED_RING) });
	ck_assert(!ring.has_registered_fd);
	wi_nops_take(&ring, 1, 9);
	wi_nops_expect(&ring, 1, 9);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(seventeenth_ring_of_a_thread_goes_without_a_registered_descriptor)
{
	struct weir_ring ring[17];
	const struct weir_ring_opts opts = { .sq_entry_count = 4 };
	wi_skip_if_forced_off(WEIR_RUNG_REGISTERED_RING);
	for (size_t i = 0; i < COUNT_OF(ring); i++)
		wi_ring_start(&ring[i], &opts);
	ck_assert(ring[15].has_registered_fd);
	ck_assert(!ring[16].has_registered_fd);

	/* The next ring gets the index of a closed one. */
	weir_ring_close(&ring[3]);
	wi_ring_start(&ring[3], &opts);
	ck_assert(ring[3].has_registered_fd);

	for (size_t i = 0; i < COUNT_OF(ring); i++) {
		wi_nops_take(&ring[i], i * 100, 4);
		wi_nops_expect(&ring[i], i * 100, 4);
		weir_ring_close(&ring[i]);
	}
}
END_TEST

/* ---- threads ------------------------------------------------------------- */

struct thread_work {
	struct weir_ring *ring;
	const struct weir_ring_opts *opts;
	int result;
	pthread_t self;
};

static void *thread_enters(void *ctx)
{
	struct thread_work *work = ctx;
	work->result = weir_ring_enter(work->ring, NULL);
	return NULL;
}

static const struct weir_ring_opts foreign_opts[] = {
	{ .forced_off = 0 },
	{ .forced_off = OFF(REGISTERED_RING) },
	{ .forced_off = OFF(DEFER_TASKRUN) },
};
START_TEST(ring_that_is_entered_by_another_thread_says_eexist)
{
	struct weir_ring ring;
	struct thread_work work = { .ring = &ring };
	pthread_t thread;
	wi_ring_start(&ring, &foreign_opts[_i]);
	wi_nops_take(&ring, 1, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, thread_enters, &work),
			 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(work.result, -EEXIST);
	wi_nops_expect(&ring, 1, 2);
	weir_ring_close(&ring);
}
END_TEST

static void *thread_enables_and_ends(void *ctx)
{
	struct thread_work *work = ctx;
	work->self = pthread_self();
	work->result = weir_ring_enable(work->ring);
	if (work->result == 0) {
		struct io_uring_sqe *sqe = weir_ring_take_sqe(work->ring);
		weir_op_nop(sqe);
		work->result = weir_ring_enter(work->ring, &wait_for_one);
	}
	return NULL;
}

START_TEST(ring_is_opened_and_closed_by_another_thread_than_its_own)
{
	struct weir_ring ring;
	struct thread_work work = { .ring = &ring };
	pthread_t thread;
	ck_assert_int_eq(weir_ring_open(&ring, NULL, NULL), 0);
	ck_assert_int_eq(
		pthread_create(&thread, NULL, thread_enables_and_ends, &work),
		0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(work.result, 0);
	ck_assert_uint_eq(weir_ring_ready(&ring), 1);
	weir_ring_close(&ring);
}
END_TEST

static void *thread_inherits_a_ring(void *ctx)
{
	struct thread_work *work = ctx;
	struct weir_ring own;
	work->self = pthread_self();
	work->result = weir_ring_open(&own, work->opts, NULL);
	if (work->result == 0)
		work->result = weir_ring_enable(&own);
	weir_ring_close(work->ring); /* the ring of the ended thread */
	if (work->result == 0) {
		struct io_uring_sqe *sqe = weir_ring_take_sqe(&own);
		weir_op_nop(sqe);
		work->result = weir_ring_enter(&own, &wait_for_one);
	}
	weir_ring_close(&own);
	return NULL;
}

/* glibc reuses the pthread_t of an ended thread, and the kernel numbers
 * registered indices from 0 in every thread. So a close that trusts pthread_t
 * would unregister the new thread's own ring (unless SINGLE_ISSUER prevents
 * it). */
START_TEST(ring_of_an_ended_thread_is_closed_by_one_with_the_same_pthread_t)
{
	struct weir_ring ring;
	const struct weir_ring_opts opts = {
		.forced_off = rungs[_i].forced_off,
	};
	struct thread_work first = { .ring = &ring };
	struct thread_work second = { .ring = &ring, .opts = &opts };
	pthread_t thread;
	ck_assert_int_eq(weir_ring_open(&ring, &opts, NULL), 0);
	ck_assert_int_eq(
		pthread_create(&thread, NULL, thread_enables_and_ends, &first),
		0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(first.result, 0);

	ck_assert_int_eq(
		pthread_create(&thread, NULL, thread_inherits_a_ring, &second),
		0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_msg(second.result == 0, "the heir's own ring: %s",
		      strerror(-second.result));
	wi_skip_unless(pthread_equal(first.self, second.self),
		       "the C library did not reuse the pthread_t");
}
END_TEST

static int child_enters(void *ctx, struct weir_error *error)
{
	(void)error;
	return weir_ring_enter(ctx, NULL);
}

/* A child has its parent's memory, including the ticket of the parent's thread;
 * but its thread is a different one. */
START_TEST(ring_of_the_parent_is_foreign_to_a_forked_child)
{
	struct weir_ring ring;
	struct weir_error error;
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(wi_in_child(child_enters, &ring, &error), -EEXIST);
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	weir_ring_close(&ring);
}
END_TEST

/* ---- submitting ---------------------------------------------------------- */

START_TEST(nops_in_batches_of_every_size_come_back_once_each)
{
	struct weir_ring ring;
	uint64_t next = 0;
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .sq_entry_count = 16,
				     .forced_off = rungs[_i].forced_off,
			     });
	for (uint32_t round = 0; round < 8; round++) {
		for (uint32_t count = 1; count <= 16; count++) {
			wi_nops_take(&ring, next, count);
			wi_nops_expect(&ring, next, count);
			next += count;
		}
	}
	ck_assert_uint_eq(stats_of(&ring).sqes, next);
	ck_assert_uint_eq(stats_of(&ring).cqes, next);
	ck_assert_uint_eq(stats_of(&ring).sq_full, 0);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(full_queue_gives_no_entry_until_it_is_entered)
{
	struct weir_ring ring;
	wi_ring_start(&ring, &(struct weir_ring_opts){ .sq_entry_count = 8 });
	for (uint64_t round = 0; round < 3; round++) {
		ck_assert_uint_eq(weir_ring_sq_space(&ring), 8);
		wi_nops_take(&ring, round * 8, 8);
		ck_assert_uint_eq(weir_ring_sq_space(&ring), 0);
		ck_assert_ptr_null(weir_ring_take_sqe(&ring));
		ck_assert_ptr_null(weir_ring_take_sqe(&ring));
		ck_assert_uint_eq(stats_of(&ring).sq_full, 2 * (round + 1));
		wi_nops_expect(&ring, round * 8, 8);
	}
	weir_ring_close(&ring);
}
END_TEST

START_TEST(taken_entry_is_all_zero_even_when_it_was_used_before)
{
	static const struct io_uring_sqe zero;
	struct weir_ring ring;
	wi_ring_start(&ring, &(struct weir_ring_opts){ .sq_entry_count = 2 });
	for (int i = 0; i < 6; i++) {
		struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
		ck_assert_ptr_nonnull(sqe);
		ck_assert_mem_eq(sqe, &zero, sizeof(zero));
		/* Garbage that no kernel accepts: the next take must clear
		 * it. */
		memset(sqe, 0xff, sizeof(*sqe));
		ck_assert_int_lt(wi_ring_next(&ring).res, 0);
	}
	weir_ring_close(&ring);
}
END_TEST

/* ---- faults -------------------------------------------------------------- */

static const struct {
	const char *when;
	enum wi_enter_fault fault;
	int err;
} enter_faults[] = {
	{ "a signal comes first", WI_ENTER_NOT_CALLED, -EINTR },
	{ "a signal hides the result", WI_ENTER_NOT_TOLD, -EINTR },
	{ "a timeout hides the result", WI_ENTER_NOT_TOLD, -ETIME },
	{ "only some are submitted", WI_ENTER_SHORT, 0 },
	{ "EAGAIN refuses it", WI_ENTER_NOT_CALLED, -EAGAIN },
	{ "EAGAIN hides the result", WI_ENTER_NOT_TOLD, -EAGAIN },
	{ "EBUSY refuses it", WI_ENTER_NOT_CALLED, -EBUSY },
	{ "ENOMEM refuses it", WI_ENTER_NOT_CALLED, -ENOMEM },
};

enum { FAULT_COUNT = COUNT_OF(enter_faults), FAULT_BATCH = 8 };

/* One faulty enter after @count entries; a short one submits @short_count of
 * them. Then more entries, and enters without faults. */
static void fault_case(size_t fault, uint32_t rung, uint32_t count,
		       uint32_t short_count)
{
	struct weir_ring ring;
	struct wi_faults faults;
	wi_faults_init(&faults);
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel,
				     .sq_entry_count = FAULT_BATCH,
				     .forced_off = rungs[rung].forced_off,
			     });
	wi_nops_take(&ring, 0, count);
	faults.enter_fault = enter_faults[fault].fault;
	faults.enter_errno = enter_faults[fault].err;
	faults.enter_short_count = short_count;
	faults.enters_faulty = 1;
	int err = weir_ring_enter(&ring, NULL);
	ck_assert_msg(err == 0, "when %s: got %d", enter_faults[fault].when,
		      err);
	ck_assert_uint_eq(faults.enters_faulty, 0);

	uint32_t more = weir_ring_sq_space(&ring);
	wi_nops_take(&ring, count, more);
	wi_nops_expect(&ring, 0, count + more);

	struct weir_ring_stats stats = stats_of(&ring);
	ck_assert_uint_eq(stats.sqes, count + more);
	ck_assert_uint_eq(stats.cqes, count + more);
	ck_assert_uint_eq(stats.enters, faults.enters);
	ck_assert_uint_eq(stats.enters_failed, 0);
	ck_assert_uint_eq(stats.enters_interrupted + stats.enters_timed_out +
				  stats.enters_refused,
			  enter_faults[fault].err == 0 ? 0 : 1);
	weir_ring_close(&ring);
}

START_TEST(faulty_enter_loses_and_doubles_nothing)
{
	for (uint32_t rung = 0; rung < RUNG_COUNT; rung++) {
		for (uint32_t count = 0; count <= FAULT_BATCH; count++) {
			uint32_t short_most =
				enter_faults[_i].fault == WI_ENTER_SHORT ? count
									 : 0;
			for (uint32_t k = 0; k <= short_most; k++)
				fault_case((size_t)_i, rung, count, k);
		}
	}
}
END_TEST

START_TEST(failing_enter_reports_its_errno_and_loses_nothing)
{
	static const int errors[] = { -EBADR, -EBADFD, -EFAULT, -ENXIO };
	struct weir_ring ring;
	struct wi_faults faults;
	wi_faults_init(&faults);
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel });
	wi_nops_take(&ring, 0, 6);
	for (size_t i = 0; i < COUNT_OF(errors); i++) {
		faults.enter_fault = WI_ENTER_NOT_CALLED;
		faults.enter_errno = errors[i];
		faults.enters_faulty = 1;
		ck_assert_int_eq(weir_ring_enter(&ring, NULL), errors[i]);
		ck_assert_uint_eq(stats_of(&ring).enters_failed, i + 1);
	}
	ck_assert_uint_eq(stats_of(&ring).sqes, 6);
	wi_nops_expect(&ring, 0, 6);
	weir_ring_close(&ring);
}
END_TEST

/* Random batches, random reaping, random faults of enter, a completion queue
 * that sometimes overflows: 0, 1, 2, ... must still come back in order. */
static void random_nops(struct weir_ring *ring, uint64_t seed,
			uint32_t total_count)
{
	uint64_t state = seed;
	uint32_t taken = 0;
	uint32_t came = 0;
	uint32_t enters = 0;
	while (came < total_count) {
		uint32_t batch = wi_random(&state) % 12;
		while (batch-- > 0 && taken < total_count) {
			struct io_uring_sqe *sqe = weir_ring_take_sqe(ring);
			if (sqe == NULL)
				break;
			weir_op_nop(sqe);
			sqe->user_data = taken++;
		}
		bool may_sleep = taken > came && wi_random(&state) % 2 == 0;
		int err =
			weir_ring_enter(ring, may_sleep ? &wait_for_one : NULL);
		ck_assert_msg(err == 0, "seed %llu: enter: %s",
			      (unsigned long long)seed, strerror(-err));
		ck_assert_msg(enters++ < 100 * total_count,
			      "seed %llu: stuck at %u of %u",
			      (unsigned long long)seed, came, total_count);

		uint32_t ready = weir_ring_ready(ring);
		uint32_t count = wi_random(&state) % (ready + 1);
		for (uint32_t i = 0; i < count; i++)
			ck_assert_msg(weir_ring_cqe(ring, i)->user_data ==
					      came + i,
				      "seed %llu: %llu came back, not %u",
				      (unsigned long long)seed,
				      (unsigned long long)weir_ring_cqe(ring, i)
					      ->user_data,
				      came + i);
		weir_ring_reaped(ring, count);
		came += count;
	}
	ck_assert_int_eq(weir_ring_enter(ring, NULL), 0);
	ck_assert_uint_eq(weir_ring_ready(ring), 0);
}

static const int random_errors[] = { -EINTR, -EAGAIN, -ETIME, -EBUSY };
START_TEST(thousand_nops_through_random_faults_come_back_once_each)
{
	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct weir_ring ring;
		struct wi_faults faults;
		wi_faults_init(&faults);
		wi_ring_start(&ring, &(struct weir_ring_opts){
					     .kernel = &faults.wrap.kernel,
					     .sq_entry_count = 8,
					     .cq_entry_count = 8,
				     });
		faults.enter_errno = random_errors[_i];
		faults.enter_seed = seed * 0x9e3779b97f4a7c15ULL;
		faults.enters_faulty = UINT32_MAX;
		random_nops(&ring, seed, 1000);
		ck_assert_uint_eq(stats_of(&ring).sqes, 1000);
		weir_ring_close(&ring);
	}
}
END_TEST

/* ---- completions --------------------------------------------------------- */

START_TEST(overflowed_completion_queue_loses_nothing_and_keeps_its_order)
{
	struct weir_ring ring;
	uint64_t next = 0;
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .sq_entry_count = 32,
				     .cq_entry_count = 32,
				     .forced_off = rungs[_i].forced_off,
			     });
	for (uint64_t batch = 0; batch < 3; batch++) {
		wi_nops_take(&ring, batch * 32, 32);
		ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	}
	ck_assert_uint_eq(weir_ring_ready(&ring), 32);
	ck_assert_uint_eq(weir_ring_held_back(&ring), IORING_SQ_CQ_OVERFLOW);

	while (next < 96) {
		uint32_t ready = weir_ring_ready(&ring);
		for (uint32_t i = 0; i < ready; i++, next++)
			ck_assert_uint_eq(weir_ring_cqe(&ring, i)->user_data,
					  next);
		weir_ring_reaped(&ring, ready);
		/* Must not sleep: the rest is ready, but held back. */
		if (next < 96)
			ck_assert_int_eq(weir_ring_enter(&ring, &wait_for_one),
					 0);
	}
	ck_assert_uint_eq(weir_ring_held_back(&ring), 0);
	ck_assert_uint_ge(stats_of(&ring).cq_overflows, 2);
	ck_assert_uint_eq(stats_of(&ring).enters_waiting, 0);
	ck_assert_uint_eq(stats_of(&ring).cqes, 96);
	weir_ring_close(&ring);
}
END_TEST

enum { SWARM = 100 };

struct swarm {
	int fds[SWARM][2];
	uint8_t bytes[SWARM];
};

static void swarm_arm(struct swarm *swarm, struct weir_ring *ring)
{
	for (uint32_t i = 0; i < SWARM; i++) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
					    0, swarm->fds[i]),
				 0);
		read_take(ring, swarm->fds[i][0], &swarm->bytes[i], 1, i);
	}
	ck_assert_int_eq(weir_ring_enter(ring, NULL), 0);
	ck_assert_uint_eq(weir_ring_ready(ring), 0);
	for (uint32_t i = 0; i < SWARM; i++) {
		const uint8_t byte = (uint8_t)i;
		wi_write_all(swarm->fds[i][1], &byte, 1);
	}
}

/* Enters and reaps until all have come. Returns the number of enters. */
static uint32_t swarm_drain(struct swarm *swarm, struct weir_ring *ring,
			    const struct weir_wait *wait)
{
	bool came[SWARM] = { false };
	uint32_t enters = 0;
	for (uint32_t done = 0; done < SWARM; enters++) {
		ck_assert_int_eq(weir_ring_enter(ring, wait), 0);
		uint32_t ready = weir_ring_ready(ring);
		ck_assert_msg(ready > 0, "an enter brought nothing");
		for (uint32_t i = 0; i < ready; i++) {
			const struct io_uring_cqe *cqe = weir_ring_cqe(ring, i);
			ck_assert_int_eq(cqe->res, 1);
			ck_assert(!came[cqe->user_data]);
			came[cqe->user_data] = true;
		}
		weir_ring_reaped(ring, ready);
		done += ready;
	}
	for (uint32_t i = 0; i < SWARM; i++)
		ck_assert_uint_eq(swarm->bytes[i], i);
	return enters;
}

static void swarm_close(struct swarm *swarm)
{
	for (uint32_t i = 0; i < SWARM; i++) {
		ck_assert_int_eq(close(swarm->fds[i][0]), 0);
		ck_assert_int_eq(close(swarm->fds[i][1]), 0);
	}
}

static const struct {
	const char *when;
	struct weir_wait wait;
	uint32_t enters_most; /* on a kernel that posts 20 at a time */
} swarms[] = {
	{ "waiting for one, for ever", { 1, 0, WEIR_TIMEOUT_NEVER }, 6 },
	{ "waiting for 20, for ever", { 20, 0, WEIR_TIMEOUT_NEVER }, 6 },
	{ "waiting for 50, for ever", { 50, 0, WEIR_TIMEOUT_NEVER }, 3 },
	{ "waiting for all, for ever", { SWARM, 0, WEIR_TIMEOUT_NEVER }, 1 },
	{ "waiting for more than come, with a min-wait",
	  { SWARM + 1, 1000, WEIR_TIMEOUT_NEVER },
	  1 },
};
START_TEST(hundred_ready_sockets_are_delivered_without_sleeping_on_any)
{
	static struct swarm swarm;
	struct weir_ring ring;
	struct wi_faults faults;
	wi_faults_init(&faults);
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel,
				     .sq_entry_count = 128,
			     });
	wi_skip_unless((weir_ring_setup_flags(&ring) &
			IORING_SETUP_DEFER_TASKRUN) != 0,
		       "this kernel does not defer task work");
	swarm_arm(&swarm, &ring);
	ck_assert_uint_eq(weir_ring_held_back(&ring), IORING_SQ_TASKRUN);
	faults.watched = &ring;

	uint32_t enters = swarm_drain(&swarm, &ring, &swarms[_i].wait);
	ck_assert_msg(enters <= swarms[_i].enters_most,
		      "%s: %u enters, want at most %u", swarms[_i].when, enters,
		      swarms[_i].enters_most);
	ck_assert_uint_eq(faults.sleeps_while_ready, 0);
	ck_assert_uint_eq(faults.sleeps_on_overflow, 0);
	ck_assert_uint_ge(stats_of(&ring).enters_taskrun, 1);
	swarm_close(&swarm);
	weir_ring_close(&ring);
}
END_TEST

/* ---- waiting ------------------------------------------------------------- */

#define DAY_S 86400
static const struct {
	const char *when;
	struct weir_wait wait;
	bool no_min_wait;
	uint32_t min_complete;
	uint32_t min_wait_us;
	bool has_timeout;
	struct weir_kernel_timespec timeout;
} waits[] = {
	{ .when = "nothing is wanted", .wait = { 0, 50, 1000 } },
	{ .when = "one, for ever",
	  .wait = { 1, 0, WEIR_TIMEOUT_NEVER },
	  .min_complete = 1 },
	{ .when = "one, within 3.5 s",
	  .wait = { 1, 0, 3500000000u },
	  .min_complete = 1,
	  .has_timeout = true,
	  .timeout = { 3, 500000000 } },
	{ .when = "one, with a min-wait that has no use",
	  .wait = { 1, 50, WEIR_TIMEOUT_NEVER },
	  .min_complete = 1 },
	{ .when = "eight, or some after 50 us, within 2 ms",
	  .wait = { 8, 50, 2000000 },
	  .min_complete = 8,
	  .min_wait_us = 50,
	  .has_timeout = true,
	  .timeout = { 0, 2000000 } },
	{ .when = "eight, or some after 50 us, for ever",
	  .wait = { 8, 50, WEIR_TIMEOUT_NEVER },
	  .min_complete = 8,
	  .min_wait_us = 50,
	  .has_timeout = true,
	  .timeout = { DAY_S, 0 } },
	{ .when = "the timeout is shorter than the min-wait",
	  .wait = { 8, 5000, 2000000 },
	  .min_complete = 8,
	  .min_wait_us = 2000,
	  .has_timeout = true,
	  .timeout = { 0, 2000000 } },
	{ .when = "the timeout is zero",
	  .wait = { 8, 50, 0 },
	  .min_complete = 8,
	  .has_timeout = true },
	{ .when = "old kernel: the min-wait shortens the timeout",
	  .wait = { 8, 50, 2000000 },
	  .no_min_wait = true,
	  .min_complete = 8,
	  .has_timeout = true,
	  .timeout = { 0, 50000 } },
	{ .when = "old kernel: the min-wait bounds an endless wait",
	  .wait = { 8, 50, WEIR_TIMEOUT_NEVER },
	  .no_min_wait = true,
	  .min_complete = 8,
	  .has_timeout = true,
	  .timeout = { 0, 50000 } },
	{ .when = "old kernel: a wait for one needs no min-wait",
	  .wait = { 1, 50, WEIR_TIMEOUT_NEVER },
	  .no_min_wait = true,
	  .min_complete = 1 },
	{ .when = "old kernel: the timeout is the shorter one",
	  .wait = { 8, 5000, 2000000 },
	  .no_min_wait = true,
	  .min_complete = 8,
	  .has_timeout = true,
	  .timeout = { 0, 2000000 } },
};
START_TEST(enter_tells_the_kernel_how_long_to_sleep)
{
	struct weir_ring ring;
	struct wi_faults faults;
	wi_faults_init(&faults);
	wi_ring_start(
		&ring,
		&(struct weir_ring_opts){
			.kernel = &faults.wrap.kernel,
			.forced_off = waits[_i].no_min_wait ? OFF(MIN_WAIT) : 0,
		});
	wi_skip_unless(waits[_i].no_min_wait || ring.has_min_wait,
		       "this kernel has no min-wait");
	faults.enter_fault = WI_ENTER_NOT_CALLED;
	faults.enter_errno = -ETIME;
	faults.enters_faulty = 1;
	ck_assert_int_eq(weir_ring_enter(&ring, &waits[_i].wait), 0);
	ck_assert_msg(faults.last.min_complete == waits[_i].min_complete,
		      "%s: waits for %u", waits[_i].when,
		      faults.last.min_complete);
	ck_assert_msg(faults.last.min_wait_us == waits[_i].min_wait_us,
		      "%s: min-wait %u us", waits[_i].when,
		      faults.last.min_wait_us);
	ck_assert_msg(
		((faults.last.flags & IORING_ENTER_EXT_ARG) != 0) ==
			(waits[_i].has_timeout || waits[_i].min_wait_us > 0),
		"when %s: the extended argument goes along exactly when "
		"it says something",
		waits[_i].when);
	ck_assert_msg(faults.last.has_timeout == waits[_i].has_timeout &&
			      faults.last.timeout.tv_sec ==
				      waits[_i].timeout.tv_sec &&
			      faults.last.timeout.tv_nsec ==
				      waits[_i].timeout.tv_nsec,
		      "%s: timeout %d, %lld s %lld ns", waits[_i].when,
		      faults.last.has_timeout,
		      (long long)faults.last.timeout.tv_sec,
		      (long long)faults.last.timeout.tv_nsec);
	ck_assert_uint_eq(stats_of(&ring).enters_timed_out, 1);
	ck_assert_uint_eq(stats_of(&ring).enters_waiting,
			  waits[_i].min_complete > 0 ? 1 : 0);
	weir_ring_close(&ring);
}
END_TEST

static const struct weir_ring_opts min_wait_opts[] = {
	{ .forced_off = 0 },
	{ .forced_off = OFF(MIN_WAIT) },
};

START_TEST(wait_with_a_timeout_ends_without_an_error_and_is_counted)
{
	const uint64_t timeout_ns = 2000000;
	const struct weir_kernel *linux_kernel = weir_kernel_linux();
	struct weir_ring ring;
	wi_ring_start(&ring, &min_wait_opts[_i]);
	for (uint64_t i = 1; i <= 3; i++) {
		const struct weir_wait wait = {
			.want_count = (uint32_t)i,
			.min_wait_us = 50,
			.timeout_ns = timeout_ns,
		};
		uint64_t start_ns = linux_kernel->now_ns(NULL);
		ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
		uint64_t slept_ns = linux_kernel->now_ns(NULL) - start_ns;
		if (i == 1 || ring.has_min_wait)
			ck_assert_uint_ge(slept_ns, timeout_ns);
		ck_assert_uint_eq(weir_ring_ready(&ring), 0);
		ck_assert_uint_eq(stats_of(&ring).enters_timed_out, i);
		ck_assert_uint_eq(stats_of(&ring).enters_waiting, i);
	}
	weir_ring_close(&ring);
}
END_TEST

START_TEST(min_wait_ends_a_wait_for_more_than_there_is)
{
	struct weir_ring ring;
	const struct weir_wait wait = {
		.want_count = 8,
		.min_wait_us = 1000,
		.timeout_ns = WEIR_TIMEOUT_NEVER,
	};
	wi_ring_start(&ring, &min_wait_opts[_i]);
	wi_nops_take(&ring, 5, 1);
	ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
	ck_assert_uint_eq(weir_ring_ready(&ring), 1);
	ck_assert_uint_eq(weir_ring_cqe(&ring, 0)->user_data, 5);
	weir_ring_close(&ring);
}
END_TEST

/* The event comes after 40 times the min-wait. A kernel without a timeout would
 * end the wait at the end of the min-wait. */
START_TEST(min_wait_does_not_wake_an_idle_ring)
{
	struct weir_ring ring;
	const struct weir_wait wait = {
		.want_count = 8,
		.min_wait_us = 500,
		.timeout_ns = WEIR_TIMEOUT_NEVER,
	};
	const struct itimerspec in_20_ms = { .it_value.tv_nsec = 20000000 };
	uint64_t expirations = 0;
	wi_ring_start(&ring, NULL);
	wi_skip_unless(ring.has_min_wait, "this kernel has no min-wait");
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	ck_assert_int_ge(timer, 0);
	read_take(&ring, timer, &expirations, sizeof(expirations), 1);
	ck_assert_int_eq(timerfd_settime(timer, 0, &in_20_ms, NULL), 0);

	ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
	ck_assert_uint_eq(weir_ring_ready(&ring), 1);
	ck_assert_uint_eq(expirations, 1);
	ck_assert_uint_eq(stats_of(&ring).enters, 1);
	ck_assert_int_eq(close(timer), 0);
	weir_ring_close(&ring);
}
END_TEST

/* The kernel queues the work and then sets TASKRUN. If the work runs in
 * between, the flag stays set without work. */
START_TEST(stale_taskrun_flag_does_not_keep_the_ring_awake)
{
	struct weir_ring ring;
	wi_ring_start(&ring, NULL);
	wi_skip_unless(
		(weir_ring_setup_flags(&ring) & IORING_SETUP_TASKRUN_FLAG) != 0,
		"this kernel has no TASKRUN flag");
	const struct weir_wait wait = { 1, 0, 1000000 };
	for (uint64_t i = 1; i <= 3; i++) {
		*ring.kernel_sq_flags |= IORING_SQ_TASKRUN;
		ck_assert_int_eq(weir_ring_enter(&ring, &wait), 0);
		ck_assert_uint_eq(stats_of(&ring).enters_timed_out, i);
		ck_assert_uint_eq(stats_of(&ring).enters_taskrun, i);
	}
	weir_ring_close(&ring);
}
END_TEST

START_TEST(enter_without_a_wait_or_with_completions_ready_does_not_sleep)
{
	struct weir_ring ring;
	struct wi_faults faults;
	const struct weir_wait none = { .timeout_ns = WEIR_TIMEOUT_NEVER };
	wi_faults_init(&faults);
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel });
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	ck_assert_int_eq(weir_ring_enter(&ring, &none), 0);
	wi_nops_take(&ring, 1, 1);
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	ck_assert_uint_eq(weir_ring_ready(&ring), 1);
	/* One completion is ready but not reaped: a second one would never
	 * come. */
	ck_assert_int_eq(weir_ring_enter(&ring, &wait_for_one), 0);
	ck_assert_uint_eq(faults.enters_that_slept, 0);
	ck_assert_uint_eq(stats_of(&ring).enters_waiting, 0);
	ck_assert_uint_eq(stats_of(&ring).enters, 4);
	weir_ring_close(&ring);
}
END_TEST

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms++;
}

START_TEST(signal_ends_an_endless_wait_without_an_error)
{
	struct weir_ring ring;
	const struct sigaction action = { .sa_handler = on_alarm };
	/* Repeated, so that one surely comes during the wait. */
	const struct itimerval often = {
		.it_value.tv_usec = 2000,
		.it_interval.tv_usec = 2000,
	};
	const struct itimerval never = { .it_value.tv_usec = 0 };
	uint64_t value = 0;
	int doorbell = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ge(doorbell, 0);
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	while (stats_of(&ring).enters_interrupted == 0)
		ck_assert_int_eq(weir_ring_enter(&ring, &wait_for_one), 0);
	/* An interruption after the submit is no failure either. */
	read_take(&ring, doorbell, &value, sizeof(value), 9);
	ck_assert_int_eq(weir_ring_enter(&ring, &wait_for_one), 0);
	ck_assert_uint_eq(weir_ring_unsubmitted(&ring), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	ck_assert_int_gt(alarms, 0);

	ck_assert_int_eq(weir_kernel_linux()->doorbell_ring(NULL, doorbell), 0);
	struct io_uring_cqe cqe = wi_ring_next(&ring);
	ck_assert_uint_eq(cqe.user_data, 9);
	ck_assert_int_eq(cqe.res, 8);
	ck_assert_uint_eq(value, 1);
	ck_assert_int_eq(close(doorbell), 0);
	weir_ring_close(&ring);
}
END_TEST

/* ---- closing ------------------------------------------------------------- */

/* Binds @address, which a ring that the kernel is freeing may still hold. Each
 * open retries for 200 ms by itself. */
static int listen_again(const struct sockaddr_in *address)
{
	const struct weir_kernel *kernel = weir_kernel_linux();
	struct wi_listen_request request = {
		.addr.bytes = sizeof(*address),
		.backlog = 4,
	};
	memcpy(&request.addr.storage, address, sizeof(*address));
	int fd = -EADDRINUSE;
	for (int i = 0; i < 200 && fd == -EADDRINUSE; i++)
		fd = wi_listen_socket_open(kernel, &request, NULL);
	return fd;
}

START_TEST(closed_ring_lets_go_of_its_memory_and_of_its_ports)
{
	struct weir_ring ring;
	struct sockaddr_in address;
	/* Keeps other processes from the port that the ring frees. */
	int holder = wi_port_hold(&address);
	int listener = listen_again(&address);
	ck_assert_int_ge(listener, 0);
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_filetab_open(&ring, 4, NULL), 0);
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
	weir_op_accept_slot_multishot(sqe, listener);
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	ck_assert_int_eq(close(listener), 0);
	ck_assert_int_gt(uring_mapping_count(), 0);

	/* The armed accept holds the port: a client still gets through. */
	int client = wi_connect(&address);
	ck_assert_int_eq(close(client), 0);

	weir_ring_close(&ring);
	ck_assert_int_eq(uring_mapping_count(), 0);
	ck_assert_int_eq(weir_ring_fd(&ring), -1);
	listener = listen_again(&address);
	ck_assert_msg(listener >= 0, "listen: %s", strerror(-listener));
	ck_assert_int_eq(close(listener), 0);
	ck_assert_int_eq(close(holder), 0);
}
END_TEST

START_TEST(ring_that_could_not_be_mapped_is_closed_whole)
{
	struct weir_ring ring;
	struct weir_error error;
	struct wi_faults faults;
	wi_faults_init(&faults);
	faults.map_fails_at = (uint32_t)_i;
	faults.map_errno = -ENOMEM;
	const struct weir_ring_opts opts = { .kernel = &faults.wrap.kernel };
	ck_assert_int_eq(weir_ring_open(&ring, &opts, &error), -ENOMEM);
	ck_assert_int_eq(error.code, -ENOMEM);
	ck_assert_uint_eq(faults.maps, (unsigned)_i);
	ck_assert_uint_eq(faults.unmaps, (unsigned)_i - 1);
	ck_assert_uint_eq(faults.closes, 1);
	ck_assert_int_eq(uring_mapping_count(), 0);
	weir_ring_close(&ring);
	ck_assert_uint_eq(faults.closes, 1);
}
END_TEST

START_TEST(ring_that_was_never_enabled_and_one_closed_twice_close_well)
{
	struct weir_ring ring;
	struct wi_faults faults;
	wi_faults_init(&faults);
	const struct weir_ring_opts opts = { .kernel = &faults.wrap.kernel };
	ck_assert_int_eq(weir_ring_open(&ring, &opts, NULL), 0);
	weir_ring_close(&ring);
	weir_ring_close(&ring);
	ck_assert_uint_eq(faults.closes, 1);
	ck_assert_uint_eq(faults.unmaps, faults.maps);
	ck_assert_int_eq(uring_mapping_count(), 0);
}
END_TEST

/* ---- the descriptor table ------------------------------------------------ */

START_TEST(table_of_direct_descriptors_is_taken_or_refused_in_words)
{
	struct weir_ring ring;
	struct weir_error error;
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_filetab_open(&ring, 0, &error), -EINVAL);
	ck_assert_int_eq(error.code, -EINVAL);

	struct weir_host_facts facts;
	weir_host_facts_read(&facts);
	if (facts.fd_limit < (1u << 20)) {
		uint32_t above = (uint32_t)facts.fd_limit + 1;
		char number[16];
		(void)snprintf(number, sizeof(number), "%u", above);
		ck_assert_int_eq(weir_filetab_open(&ring, above, &error),
				 -EMFILE);
		ck_assert_ptr_nonnull(strstr(error.text, number));
		ck_assert_ptr_nonnull(strstr(error.text, "ulimit -n"));
		ck_assert_int_eq(weir_filetab_open(&ring, above - 1, &error),
				 0);
	} else {
		ck_assert_int_eq(weir_filetab_open(&ring, 64, &error), 0);
	}
	ck_assert_int_eq(weir_filetab_open(&ring, 64, &error), -EBUSY);
	ck_assert_ptr_nonnull(strstr(error.text, "64"));
	weir_ring_close(&ring);
}
END_TEST

/* ---- under strace -------------------------------------------------------- */

/* In the child: 1000 NOPs in random batches. Exits with 0 if each came back
 * once, and if the fault that @argument names really occurred. */
WI_CHILD(ring_nops, "ring-nops")
{
	struct weir_ring ring;
	const struct weir_ring_opts opts = { .sq_entry_count = 8 };
	uint64_t state = 0x9e3779b97f4a7c15ULL;
	uint32_t taken = 0;
	uint32_t came = 0;
	uint32_t short_enters = 0;
	uint32_t enters_left = 100000;
	if (weir_ring_open(&ring, &opts, NULL) < 0 ||
	    weir_ring_enable(&ring) < 0)
		return 2;
	while (came < 1000 && enters_left-- > 0) {
		uint32_t batch = wi_random(&state) % 9;
		while (batch-- > 0 && taken < 1000 &&
		       weir_ring_sq_space(&ring) > 0) {
			struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
			weir_op_nop(sqe);
			sqe->user_data = taken++;
		}
		if (weir_ring_enter(&ring,
				    taken > came ? &wait_for_one : NULL) < 0)
			return 3;
		short_enters += weir_ring_unsubmitted(&ring) > 0;
		uint32_t ready = weir_ring_ready(&ring);
		for (uint32_t i = 0; i < ready; i++, came++)
			if (weir_ring_cqe(&ring, i)->user_data != came)
				return 4;
		weir_ring_reaped(&ring, ready);
	}
	struct weir_ring_stats stats = stats_of(&ring);
	bool is_met = (strcmp(argument, "interrupted") == 0 &&
		       stats.enters_interrupted > 0) ||
		      (strcmp(argument, "refused") == 0 &&
		       stats.enters_refused > 0) ||
		      (strcmp(argument, "short") == 0 && short_enters > 0);
	weir_ring_close(&ring);
	if (came != 1000 || taken != 1000)
		return 5;
	return is_met ? 0 : 6;
}

static int run_strace(const char *inject, const char *program, const char *mode,
		      const char *expectation)
{
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		/* LeakSanitizer cannot work under ptrace. */
		(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (nowhere >= 0)
			(void)dup2(nowhere, STDERR_FILENO);
		(void)execlp("strace", "strace", "-f", "-qq", "-o", "/dev/null",
			     "-e", inject, program, mode, "ring-nops",
			     expectation, (char *)NULL);
		_exit(127);
	}
	int status = -1;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static const struct {
	const char *inject;
	const char *expectation;
} injections[] = {
	{ "inject=io_uring_enter:error=EINTR:when=2+3", "interrupted" },
	{ "inject=io_uring_enter:error=EINTR:when=1..40", "interrupted" },
	{ "inject=io_uring_enter:error=EAGAIN:when=1+2", "refused" },
	{ "inject=io_uring_enter:error=ENOMEM:when=3+4", "refused" },
	{ "inject=io_uring_enter:retval=0:when=2+2", "short" },
	{ "inject=io_uring_enter:retval=3:when=2+2", "short" }, /* a wrong
								 * result */
};
START_TEST(injected_results_of_enter_lose_and_double_nothing)
{
	char program[4096];
	ssize_t length =
		readlink("/proc/self/exe", program, sizeof(program) - 1);
	ck_assert_int_gt(length, 0);
	program[length] = '\0';

	wi_skip_unless(run_strace("trace=none", "/bin/true", "", "") == 0,
		       "strace is missing, or ptrace is forbidden");
	int result = run_strace(injections[_i].inject, program, "--child",
				injections[_i].expectation);
	ck_assert_msg(result == 0, "%s: the child exited with %d",
		      injections[_i].inject, result);
}
END_TEST

/* ---- the suite ----------------------------------------------------------- */

static void add_open(Suite *suite)
{
	TCase *tcase = tcase_create("open");
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, ring_opens_on_each_rung_of_the_ladder, 0,
			    RUNG_COUNT);
	tcase_add_test(tcase, ring_is_refused_when_the_kernel_knows_no_rung);
	tcase_add_loop_test(tcase, ring_goes_down_one_rung_for_each_refusal, 0,
			    COUNT_OF(descents));
	tcase_add_loop_test(tcase,
			    ring_sizes_are_taken_or_refused_with_the_limit, 0,
			    COUNT_OF(sizes));
	tcase_add_test(tcase, ring_opens_without_options_and_without_an_error);
	tcase_add_test(tcase, ring_that_is_enabled_twice_says_ebadfd);
	tcase_add_test(
		tcase,
		ring_that_is_entered_before_enable_says_ebadfd_and_keeps_its_entries);
	tcase_add_test(tcase, ring_works_without_a_registered_descriptor);
	tcase_add_test(
		tcase,
		seventeenth_ring_of_a_thread_goes_without_a_registered_descriptor);
	tcase_add_loop_test(tcase,
			    ring_that_is_entered_by_another_thread_says_eexist,
			    0, COUNT_OF(foreign_opts));
	tcase_add_test(
		tcase,
		ring_is_opened_and_closed_by_another_thread_than_its_own);
	tcase_add_test(tcase, ring_of_the_parent_is_foreign_to_a_forked_child);
	tcase_add_loop_test(
		tcase,
		ring_of_an_ended_thread_is_closed_by_one_with_the_same_pthread_t,
		0, RUNG_COUNT);
	suite_add_tcase(suite, tcase);
}

static void add_submit(Suite *suite)
{
	TCase *tcase = tcase_create("submit");
	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase,
			    nops_in_batches_of_every_size_come_back_once_each,
			    0, RUNG_COUNT);
	tcase_add_test(tcase, full_queue_gives_no_entry_until_it_is_entered);
	tcase_add_test(tcase,
		       taken_entry_is_all_zero_even_when_it_was_used_before);
	tcase_add_loop_test(tcase, faulty_enter_loses_and_doubles_nothing, 0,
			    FAULT_COUNT);
	tcase_add_test(tcase,
		       failing_enter_reports_its_errno_and_loses_nothing);
	tcase_add_loop_test(
		tcase, thousand_nops_through_random_faults_come_back_once_each,
		0, COUNT_OF(random_errors));
	tcase_add_loop_test(tcase,
			    injected_results_of_enter_lose_and_double_nothing,
			    0, COUNT_OF(injections));
	suite_add_tcase(suite, tcase);
}

static void add_complete(Suite *suite)
{
	TCase *tcase = tcase_create("complete");
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(
		tcase,
		overflowed_completion_queue_loses_nothing_and_keeps_its_order,
		0, RUNG_COUNT);
	tcase_add_loop_test(
		tcase,
		hundred_ready_sockets_are_delivered_without_sleeping_on_any, 0,
		COUNT_OF(swarms));
	suite_add_tcase(suite, tcase);
}

static void add_wait(Suite *suite)
{
	TCase *tcase = tcase_create("wait");
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, enter_tells_the_kernel_how_long_to_sleep, 0,
			    COUNT_OF(waits));
	tcase_add_loop_test(
		tcase, wait_with_a_timeout_ends_without_an_error_and_is_counted,
		0, COUNT_OF(min_wait_opts));
	tcase_add_loop_test(tcase, min_wait_ends_a_wait_for_more_than_there_is,
			    0, COUNT_OF(min_wait_opts));
	tcase_add_test(tcase, min_wait_does_not_wake_an_idle_ring);
	tcase_add_test(tcase, stale_taskrun_flag_does_not_keep_the_ring_awake);
	tcase_add_test(
		tcase,
		enter_without_a_wait_or_with_completions_ready_does_not_sleep);
	tcase_add_test(tcase, signal_ends_an_endless_wait_without_an_error);
	suite_add_tcase(suite, tcase);
}

static void add_close(Suite *suite)
{
	TCase *tcase = tcase_create("close");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase,
		       closed_ring_lets_go_of_its_memory_and_of_its_ports);
	tcase_add_loop_test(
		tcase, ring_that_could_not_be_mapped_is_closed_whole, 1, 3);
	tcase_add_test(
		tcase,
		ring_that_was_never_enabled_and_one_closed_twice_close_well);
	tcase_add_test(
		tcase,
		table_of_direct_descriptors_is_taken_or_refused_in_words);
	suite_add_tcase(suite, tcase);
}

WI_SUITE(ring, "ring", WI_RUNGS | WI_THREADS)
{
	if (!wi_kernel_has_rings())
		return;
	add_open(suite);
	add_submit(suite);
	add_complete(suite);
	add_wait(suite);
	add_close(suite);
}
