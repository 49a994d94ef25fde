/* test_region.c - an access to memory that the kernel owns is detected
 *
 *     AddressSanitizer: at once, in a child that dies of it
 *     -Ddebug_regions=true: by an assert, when the memory comes back
 *
 * Each build runs the tests of its own checks, and skips the others.
 */
#include "../rig/aborts.h"
#include "../rig/range.h"
#include "../rig/support.h"
#include "../suites.h"
#include "test_region_flight.h"
#include "uring/soft/soft_copy.h"

#include "net/conn/sendq.h"
#include "uring/bufring.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <sys/wait.h>
#include <unistd.h>

/* ---- sums, when it comes back -------------------------------------------- */

START_TEST(payload_in_flight_that_nobody_touches_is_no_abort)
{
	struct flight flight;
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	flight_start(&flight);
	flight_land(&flight);
	flight_end(&flight);
}
END_TEST

static void touch_and_land(void *ctx)
{
	struct flight *flight = ctx;
	*flight_byte(flight) ^= 1;
	flight_land(flight);
}

START_TEST(payload_touched_in_flight_meets_an_assert)
{
	static struct flight flight;
#ifdef WI_ASAN
	wi_skip_unless_built(false, "the sanitizer is first");
#endif
	wi_skip_unless_built(WI_DEBUG_REGIONS,
			     "built without -Ddebug_regions=true");
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	flight_start(&flight);
	ck_assert(wi_aborts(touch_and_land, &flight));
}
END_TEST

/* ---- the sanitizer, at once ---------------------------------------------- */

#ifdef WI_ASAN

/* Runs @touch in a child. Return: true if it died of a report of @what. */
static bool is_reported(void (*touch)(void *ctx), void *ctx, const char *what)
{
	char report[65536];
	size_t report_bytes = 0;
	int fds[2];
	int status = 0;
	ck_assert_int_eq(pipe(fds), 0);
	const pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		(void)dup2(fds[1], STDERR_FILENO);
		(void)close(fds[0]);
		(void)close(fds[1]);
		touch(ctx);
		_exit(0);
	}
	(void)close(fds[1]);
	while (report_bytes < sizeof(report) - 1) {
		ssize_t got = read(fds[0], report + report_bytes,
				   sizeof(report) - 1 - report_bytes);
		if (got <= 0)
			break;
		report_bytes += (size_t)got;
	}
	report[report_bytes] = '\0';
	(void)close(fds[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return status != 0 && strstr(report, what) != NULL;
}

#define LENT "use-after-poison"
#define FREED "heap-use-after-free"

static void flight_write(void *ctx)
{
	*(volatile uint8_t *)flight_byte(ctx) = 1;
}

static void flight_read(void *ctx)
{
	(void)*(volatile uint8_t *)flight_byte(ctx);
}

START_TEST(payload_in_flight_is_the_kernels)
{
	struct flight flight;
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	flight_start(&flight);
	ck_assert(is_reported(flight_write, &flight, LENT));
	ck_assert(is_reported(flight_read, &flight, LENT));
	flight_land(&flight);
	flight_end(&flight);
}
END_TEST

static void byte_read(void *ctx)
{
	(void)*(volatile uint8_t *)ctx;
}

enum { GROUP = 3, BUF_COUNT = 4, BUF_BYTES = 64 };

START_TEST(receive_buffer_is_the_kernels_but_for_what_has_come)
{
	static _Alignas(8) uint8_t memory[BUF_COUNT * BUF_BYTES];
	struct weir_ring ring;
	struct weir_bufring bufring;
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(
		weir_bufring_open(
			&bufring, &ring, GROUP, memory, BUF_COUNT, BUF_BYTES,
			&(struct weir_bufring_opts){ .has_bundles = true },
			NULL),
		0);
	ck_assert(is_reported(byte_read, memory, LENT));
	const struct io_uring_cqe cqe = { .res = 8,
					  .flags = IORING_CQE_F_BUFFER };
	struct weir_bufring_spans spans;
	weir_bufring_spans(&bufring, &cqe, &spans);
	byte_read(memory + 7);
	ck_assert(is_reported(byte_read, memory + 8, LENT));
	weir_bufring_done(&spans);
	ck_assert(is_reported(byte_read, memory + 7, LENT));
	weir_bufring_close(&bufring);
	byte_read(memory);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(queue_entries_are_the_kernels_but_while_they_are_ours)
{
	struct weir_ring ring;
	wi_skip_unless(wi_kernel_has_rings(), "no rings here");
	wi_ring_start(&ring, NULL);
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
	ck_assert_ptr_nonnull(sqe);
	weir_op_nop(sqe);
	byte_read(sqe);
	weir_ring_publish(&ring);
	ck_assert(is_reported(byte_read, sqe, LENT));
	ck_assert(is_reported(byte_read, ring.cqes, LENT));

	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	ck_assert(is_reported(byte_read, sqe, LENT)); /* consumed */
	ck_assert_uint_eq(weir_ring_ready(&ring), 1);
	byte_read((void *)(uintptr_t)weir_ring_cqe(&ring, 0));
	ck_assert(is_reported(byte_read, &ring.cqes[1], LENT));
	weir_ring_reaped(&ring, 1);
	ck_assert(is_reported(byte_read, ring.cqes, LENT));
	weir_ring_close(&ring);
}
END_TEST

/* ---- the simulated kernel ------------------------------------------------ */

struct copy {
	uint8_t *lent;
	uint8_t *own;
};

static void copy_out(void *ctx)
{
	const struct copy *copy = ctx;
	wi_soft_copy(copy->lent, copy->own, 100);
}

static void copy_in(void *ctx)
{
	const struct copy *copy = ctx;
	wi_soft_copy(copy->own, copy->lent, 100);
}

START_TEST(simulated_kernel_passes_where_memory_is_lent_and_nowhere_else)
{
	struct wi_range range;
	uint8_t own[100];
	wi_range_open(&range);
	uint8_t *block = wi_blocks_take(&range.blocks, 0);
	struct copy copy = { .lent = block + 32 + 3, .own = own };

	memset(block, 'b', wi_block_bytes(0));
	wi_lend_to_read(block, wi_block_bytes(0));
	copy_in(&copy);
	ck_assert_uint_eq(own[99], 'b');
	memset(own, 'c', sizeof(own));
	copy_out(&copy);
	/* The kernel still owns it, up to both ends. */
	for (size_t i = 0; i < wi_block_bytes(0); i++)
		ck_assert_int_ne(__asan_address_is_poisoned(block + i), 0);
	wi_region_back(block, wi_block_bytes(0));
	ck_assert_uint_eq(block[34], 'b');
	ck_assert_uint_eq(block[35], 'c');
	ck_assert_uint_eq(block[134], 'c');
	ck_assert_uint_eq(block[135], 'b');

	wi_blocks_give(&range.blocks, block, 0);
	ck_assert(is_reported(copy_in, &copy, FREED));
	ck_assert(is_reported(copy_out, &copy, FREED));
	wi_range_close(&range);
}
END_TEST

#endif

WI_SUITE(region, "region", WI_RUNGS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("region");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase,
		       payload_in_flight_that_nobody_touches_is_no_abort);
	tcase_add_test(tcase, payload_touched_in_flight_meets_an_assert);
#ifdef WI_ASAN
	tcase_add_test(tcase, payload_in_flight_is_the_kernels);
	tcase_add_test(tcase,
		       receive_buffer_is_the_kernels_but_for_what_has_come);
	tcase_add_test(tcase,
		       queue_entries_are_the_kernels_but_while_they_are_ours);
	tcase_add_test(
		tcase,
		simulated_kernel_passes_where_memory_is_lent_and_nowhere_else);
#endif
	suite_add_tcase(suite, tcase);
}
