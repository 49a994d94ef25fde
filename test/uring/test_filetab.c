/* test_filetab.c - the table of direct descriptors: fill, range, lifetime */
#include "../rig/count_of.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/filetab.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <unistd.h>

enum { SLOTS = 16 };

static int32_t read_slot(struct weir_ring *ring, int slot, void *byte)
{
	struct io_uring_sqe *sqe = weir_ring_take_sqe(ring);
	weir_op_read(sqe, slot, byte, 1);
	weir_op_on_slot(sqe);
	return wi_ring_next(ring).res;
}

static const struct {
	const char *when;
	uint32_t first, count;
	int want;
} ranges[] = {
	{ "it is the whole table", 0, SLOTS, 0 },
	{ "it is the upper half", 8, 8, 0 },
	{ "it is the last slot", SLOTS - 1, 1, 0 },
	{ "it ends one too far", 8, 9, -EINVAL },
	{ "it begins behind the end", SLOTS + 1, 1, -EINVAL },
	{ "its end is above 2^32", UINT32_MAX, 2, -EOVERFLOW },
};
START_TEST(kernel_picks_from_the_range_or_the_range_is_refused)
{
	struct weir_ring ring;
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_filetab_open(&ring, SLOTS, NULL), 0);
	int err = weir_filetab_alloc_range(&ring, ranges[_i].first,
					   ranges[_i].count);
	ck_assert_msg(err == ranges[_i].want, "when %s: got %d, want %d",
		      ranges[_i].when, err, ranges[_i].want);
	uint32_t first = err == 0 ? ranges[_i].first : 0;
	uint32_t count = err == 0 ? ranges[_i].count : SLOTS;
	for (uint32_t i = 0; i <= count; i++) {
		struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
		weir_op_socket_slot(sqe, AF_INET, SOCK_STREAM, 0);
		ck_assert_int_eq(wi_ring_next(&ring).res,
				 i < count ? (int)(first + i) : -ENFILE);
	}
	weir_ring_close(&ring);
}
END_TEST

START_TEST(ring_without_a_table_refuses_each_call)
{
	struct weir_ring ring;
	const int32_t fds[1] = { 0 };
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_filetab_update(&ring, 0, fds, 1), -ENXIO);
	ck_assert_int_eq(weir_filetab_close(&ring), -ENXIO);
	ck_assert_int_eq(weir_filetab_alloc_range(&ring, 0, 1), -EINVAL);
	weir_ring_close(&ring);
}
END_TEST

static const struct {
	const char *when;
	uint32_t first, count;
	int32_t fds[3]; /* 0: an end of a pipe */
	int want;
} updates[] = {
	{ "one is filled", 0, 1, { 0 }, 1 },
	{ "three are filled", SLOTS - 3, 3, { 0, 0, 0 }, 3 },
	{ "one is kept", 0, 3, { 0, WEIR_FILETAB_KEEP, 0 }, 3 },
	{ "an empty one is emptied", 5, 1, { WEIR_FILETAB_EMPTY }, 1 },
	{ "the second is no descriptor", 0, 2, { 0, 1 << 20 }, 1 },
	{ "the first is no descriptor", 0, 2, { 1 << 20, 0 }, -EBADF },
	{ "the last is behind the end", SLOTS - 1, 2, { 0, 0 }, -EINVAL },
	{ "none is given", 0, 0, { 0 }, -EINVAL },
	{ "the first is negative and means nothing", 0, 1, { -3 }, -EBADF },
};
START_TEST(slots_are_set_up_to_the_first_refusal)
{
	struct weir_ring ring;
	int32_t fds[3];
	int ends[2];
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(weir_filetab_open(&ring, SLOTS, NULL), 0);
	for (int i = 0; i < 3; i++)
		fds[i] = updates[_i].fds[i] == 0 ? ends[0] : updates[_i].fds[i];
	int got = weir_filetab_update(&ring, updates[_i].first, fds,
				      updates[_i].count);
	ck_assert_msg(got == updates[_i].want, "when %s: got %d, want %d",
		      updates[_i].when, got, updates[_i].want);
	for (int i = 0; i < got; i++) {
		uint8_t byte = 0;
		bool is_filled = updates[_i].fds[i] == 0;
		if (is_filled)
			ck_assert_int_eq(write(ends[1], "x", 1), 1);
		ck_assert_int_eq(
			read_slot(&ring, (int)updates[_i].first + i, &byte),
			is_filled ? 1 : -EBADF);
	}
	weir_ring_close(&ring);
	ck_assert_int_eq(close(ends[0]), 0);
	ck_assert_int_eq(close(ends[1]), 0);
}
END_TEST

START_TEST(ring_is_not_put_into_its_own_table)
{
	struct weir_ring ring;
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_filetab_open(&ring, SLOTS, NULL), 0);
	const int32_t fd = weir_ring_fd(&ring);
	ck_assert_int_eq(weir_filetab_update(&ring, 0, &fd, 1), -EBADF);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(operation_in_flight_keeps_its_file_when_the_slot_changes)
{
	struct weir_ring ring;
	const int32_t none = WEIR_FILETAB_EMPTY;
	uint8_t byte = 0;
	int ends[2];
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(weir_filetab_open(&ring, SLOTS, NULL), 0);
	ck_assert_int_eq(weir_filetab_update(&ring, 4, &ends[0], 1), 1);
	ck_assert_int_eq(close(ends[0]), 0); /* the table has its own
					      * reference */
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
	weir_op_read(sqe, 4, &byte, 1);
	weir_op_on_slot(sqe);
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	if (_i == 0)
		ck_assert_int_eq(weir_filetab_update(&ring, 4, &none, 1), 1);
	else
		ck_assert_int_eq(weir_filetab_close(&ring), 0);
	ck_assert_int_eq(write(ends[1], "y", 1), 1);
	ck_assert_int_eq(wi_ring_next(&ring).res, 1);
	ck_assert_uint_eq(byte, 'y');
	ck_assert_int_eq(read_slot(&ring, 4, &byte), -EBADF);
	if (_i == 1) /* then a new table can be opened */
		ck_assert_int_eq(weir_filetab_open(&ring, 2, NULL), 0);
	weir_ring_close(&ring);
	ck_assert_int_eq(close(ends[1]), 0);
}
END_TEST

WI_SUITE(filetab, "filetab", WI_RUNGS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("filetab");
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase,
			    kernel_picks_from_the_range_or_the_range_is_refused,
			    0, COUNT_OF(ranges));
	tcase_add_test(tcase, ring_without_a_table_refuses_each_call);
	tcase_add_loop_test(tcase, slots_are_set_up_to_the_first_refusal, 0,
			    COUNT_OF(updates));
	tcase_add_test(tcase, ring_is_not_put_into_its_own_table);
	tcase_add_loop_test(
		tcase, operation_in_flight_keeps_its_file_when_the_slot_changes,
		0, 2);
	suite_add_tcase(suite, tcase);
}
