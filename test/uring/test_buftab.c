/* test_buftab.c - the table of registered buffers: fill, share, lifetime */
#include "../rig/count_of.h"
#include "../rig/faults.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/extra/buftab.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 8, BYTES = 4096 };

static _Alignas(4096) uint8_t memory[SLOTS * BYTES];

static void expect_update(struct weir_ring *ring, uint32_t first, void *base,
			  size_t byte_count)
{
	const struct iovec range = { .iov_base = base, .iov_len = byte_count };
	ck_assert_int_eq(weir_buftab_update(ring, first, &range, NULL, 1), 1);
}

/* Reads one byte from a pipe into @at, with slot @slot. */
static int32_t read_fixed(struct weir_ring *ring, uint16_t slot, void *at)
{
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(write(ends[1], "z", 1), 1);
	struct io_uring_sqe *sqe = weir_ring_take_sqe(ring);
	weir_op_read(sqe, ends[0], at, 1);
	sqe->opcode = IORING_OP_READ_FIXED;
	sqe->buf_index = slot;
	int32_t res = wi_ring_next(ring).res;
	ck_assert_int_eq(close(ends[0]), 0);
	ck_assert_int_eq(close(ends[1]), 0);
	return res;
}

static const struct {
	const char *when;
	uint32_t slot_count;
	int want;
	const char *names;
} sizes[] = {
	{ "there is one", 1, 0, "" },
	{ "it is the largest", 16384, 0, "" },
	{ "there is none", 0, -EINVAL, "1 to 16384" },
	{ "it is one too large", 16385, -EINVAL, "16385" },
};
START_TEST(table_is_opened_or_refused_with_the_limit)
{
	struct weir_ring ring;
	struct weir_error error = { .text = "" };
	wi_ring_start(&ring, NULL);
	int err = weir_buftab_open(&ring, sizes[_i].slot_count, &error);
	ck_assert_msg(err == sizes[_i].want, "when %s: got %d (%s)",
		      sizes[_i].when, err, error.text);
	ck_assert_ptr_nonnull(strstr(error.text, sizes[_i].names));
	ck_assert_int_eq(weir_buftab_close(&ring), err == 0 ? 0 : -ENXIO);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(second_table_says_ebusy_and_a_third_fits_after_close)
{
	struct weir_ring ring;
	struct weir_error error;
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_buftab_open(&ring, SLOTS, NULL), 0);
	ck_assert_int_eq(weir_buftab_open(&ring, SLOTS, &error), -EBUSY);
	ck_assert_ptr_nonnull(strstr(error.text, "8 registered buffers"));
	ck_assert_int_eq(weir_buftab_close(&ring), 0);
	ck_assert_int_eq(weir_buftab_close(&ring), -ENXIO);
	ck_assert_int_eq(weir_buftab_open(&ring, SLOTS, NULL), 0);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(bytes_are_read_into_a_slot_and_not_into_an_empty_one)
{
	struct weir_ring ring;
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_buftab_open(&ring, SLOTS, NULL), 0);
	expect_update(&ring, 5, memory, BYTES);
	memory[100] = 0;
	ck_assert_int_eq(read_fixed(&ring, 5, memory + 100), 1);
	ck_assert_uint_eq(memory[100], 'z');
	ck_assert_int_eq(read_fixed(&ring, 5, memory + BYTES), -EFAULT);
	ck_assert_int_eq(read_fixed(&ring, 4, memory), -EFAULT);
	ck_assert_int_eq(read_fixed(&ring, SLOTS, memory), -EFAULT);
	expect_update(&ring, 5, NULL, 0);
	ck_assert_int_eq(read_fixed(&ring, 5, memory), -EFAULT);
	weir_ring_close(&ring);
}
END_TEST

enum place { WHOLE, NOTHING, NULL_WITH_LENGTH, EMPTY_AT, UNMAPPED, HUGE_ };
static const struct {
	const char *when;
	uint32_t first, count;
	enum place places[3];
	int want;
} updates[] = {
	{ "one is filled", 0, 1, { WHOLE }, 1 },
	{ "the last three are filled",
	  SLOTS - 3,
	  3,
	  { WHOLE, WHOLE, WHOLE },
	  3 },
	{ "one between is emptied", 0, 3, { WHOLE, NOTHING, WHOLE }, 3 },
	{ "the second is not mapped", 0, 2, { WHOLE, UNMAPPED }, 1 },
	{ "the first is not mapped", 0, 2, { UNMAPPED, WHOLE }, -EFAULT },
	{ "a length stands without an address",
	  0,
	  1,
	  { NULL_WITH_LENGTH },
	  -EFAULT },
	{ "an address stands without a length", 0, 1, { EMPTY_AT }, -EFAULT },
	{ "it is above 1 GiB", 0, 1, { HUGE_ }, -EFAULT },
	{ "the last is behind the end",
	  SLOTS - 1,
	  2,
	  { WHOLE, WHOLE },
	  -EINVAL },
	{ "none is given", 0, 0, { WHOLE }, -EINVAL },
};
START_TEST(slots_are_set_up_to_the_first_refusal)
{
	struct weir_ring ring;
	struct iovec ranges[3];
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_buftab_open(&ring, SLOTS, NULL), 0);
	void *hole = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	ck_assert_ptr_ne(hole, MAP_FAILED);
	for (int i = 0; i < 3; i++) {
		const struct iovec places[] = {
			[WHOLE] = { memory, BYTES },
			[NOTHING] = { NULL, 0 },
			[NULL_WITH_LENGTH] = { NULL, BYTES },
			[EMPTY_AT] = { memory, 0 },
			[UNMAPPED] = { hole, BYTES },
			[HUGE_] = { memory, (1u << 30) + 1 },
		};
		ranges[i] = places[updates[_i].places[i]];
	}
	int got = weir_buftab_update(&ring, updates[_i].first, ranges, NULL,
				     updates[_i].count);
	wi_skip_unless(got != -ENOMEM, "no memory may be locked");
	ck_assert_msg(got == updates[_i].want, "when %s: got %d, want %d",
		      updates[_i].when, got, updates[_i].want);
	weir_ring_close(&ring);
	ck_assert_int_eq(munmap(hole, BYTES), 0);
}
END_TEST

START_TEST(update_without_a_table_says_enxio)
{
	struct weir_ring ring;
	const struct iovec range = { memory, BYTES };
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_buftab_update(&ring, 0, &range, NULL, 1), -ENXIO);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(tag_comes_when_the_memory_is_free_again)
{
	struct weir_ring ring;
	const struct iovec range = { memory, BYTES };
	const uint64_t tag = 77;
	int ends[2];
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(weir_buftab_open(&ring, SLOTS, NULL), 0);
	ck_assert_int_eq(weir_buftab_update(&ring, 1, &range, &tag, 1), 1);
	/* A read that uses the slot, and waits. */
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
	weir_op_read(sqe, ends[0], memory, 1);
	sqe->opcode = IORING_OP_READ_FIXED;
	sqe->buf_index = 1;
	sqe->user_data = 5;
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	if (_i == 0)
		expect_update(&ring, 1, NULL, 0);
	else
		ck_assert_int_eq(weir_buftab_close(&ring), 0);
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	ck_assert_uint_eq(weir_ring_ready(&ring), 0); /* not while it reads */
	ck_assert_int_eq(write(ends[1], "q", 1), 1);
	struct io_uring_cqe cqes[2];
	wi_ring_collect(&ring, cqes, 2);
	int tagged = cqes[0].user_data == tag ? 0 : 1;
	ck_assert_uint_eq(cqes[tagged].user_data, tag);
	ck_assert_int_eq(cqes[tagged].res, 0);
	ck_assert_uint_eq(cqes[1 - tagged].user_data, 5);
	ck_assert_int_eq(cqes[1 - tagged].res, 1);
	weir_ring_close(&ring);
	ck_assert_int_eq(close(ends[0]), 0);
	ck_assert_int_eq(close(ends[1]), 0);
}
END_TEST

START_TEST(empty_slot_takes_no_tag)
{
	struct weir_ring ring;
	const struct iovec range = { NULL, 0 };
	const uint64_t tag = 77;
	wi_ring_start(&ring, NULL);
	ck_assert_int_eq(weir_buftab_open(&ring, SLOTS, NULL), 0);
	ck_assert_int_eq(weir_buftab_update(&ring, 0, &range, &tag, 1),
			 -EINVAL);
	weir_ring_close(&ring);
}
END_TEST

static const struct {
	const char *when;
	bool has_source, has_target;
	struct weir_buftab_clone clone;
	int want;
	uint16_t slot; /* the new place of slot 2 of the source */
} clones[] = {
	{ "it is the whole table", true, false, { .count = 0 }, 0, 2 },
	{ "the target has a table", true, true, { .count = 0 }, -EBUSY, 0 },
	{ "it is to be replaced", true, true, { .replaces = true }, 0, 2 },
	{ "one slot moves up",
	  true,
	  true,
	  { .from_slot = 2, .to_slot = 6, .count = 1, .replaces = true },
	  0,
	  6 },
	{ "one slot goes to an empty ring",
	  true,
	  false,
	  { .from_slot = 2, .to_slot = 3, .count = 1 },
	  0,
	  3 },
	{ "it ends behind the source",
	  true,
	  false,
	  { .from_slot = 2, .count = SLOTS },
	  -EOVERFLOW,
	  0 },
	{ "it begins behind the source",
	  true,
	  false,
	  { .from_slot = SLOTS, .count = 1 },
	  -EOVERFLOW,
	  0 },
	{ "the source has none", false, false, { .count = 0 }, -ENXIO, 0 },
};
START_TEST(table_is_shared_with_another_ring)
{
	struct weir_ring source;
	struct weir_ring target;
	wi_ring_start(&source, NULL);
	wi_ring_start(&target, NULL);
	if (clones[_i].has_source) {
		ck_assert_int_eq(weir_buftab_open(&source, SLOTS, NULL), 0);
		expect_update(&source, 2, memory, BYTES);
	}
	if (clones[_i].has_target)
		ck_assert_int_eq(weir_buftab_open(&target, SLOTS, NULL), 0);
	int err = weir_buftab_clone(&target, &source,
				    _i == 0 ? NULL : &clones[_i].clone);
	wi_skip_unless(err != -EINVAL || clones[_i].want == -EINVAL,
		       "this kernel does not clone (so)");
	ck_assert_msg(err == clones[_i].want, "when %s: got %d, want %d",
		      clones[_i].when, err, clones[_i].want);
	weir_ring_close(&source); /* the target keeps the memory pinned */
	if (err == 0)
		ck_assert_int_eq(read_fixed(&target, clones[_i].slot, memory),
				 1);
	weir_ring_close(&target);
}
END_TEST

START_TEST(refusals_of_the_kernel_are_passed_on)
{
	struct weir_ring ring;
	struct wi_faults faults;
	struct weir_error error;
	wi_faults_init(&faults);
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel });
	faults.register_errno = -ENOMEM;
	faults.register_opcode = IORING_REGISTER_BUFFERS2;
	ck_assert_int_eq(weir_buftab_open(&ring, SLOTS, &error), -ENOMEM);
	ck_assert_int_eq(error.code, -ENOMEM);
	faults.register_opcode = IORING_REGISTER_BUFFERS_UPDATE;
	ck_assert_int_eq(weir_buftab_update(&ring, 0, NULL, NULL, 1), -ENOMEM);
	faults.register_opcode = IORING_REGISTER_CLONE_BUFFERS;
	ck_assert_int_eq(weir_buftab_clone(&ring, &ring, NULL), -ENOMEM);
	weir_ring_close(&ring);
}
END_TEST

WI_SUITE(buftab, "buftab", WI_RUNGS | WI_MEMCHECK)
{
	TCase *tcase = tcase_create("buftab");
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase, table_is_opened_or_refused_with_the_limit, 0,
			    COUNT_OF(sizes));
	tcase_add_test(tcase,
		       second_table_says_ebusy_and_a_third_fits_after_close);
	tcase_add_test(tcase,
		       bytes_are_read_into_a_slot_and_not_into_an_empty_one);
	tcase_add_loop_test(tcase, slots_are_set_up_to_the_first_refusal, 0,
			    COUNT_OF(updates));
	tcase_add_test(tcase, update_without_a_table_says_enxio);
	tcase_add_loop_test(tcase, tag_comes_when_the_memory_is_free_again, 0,
			    2);
	tcase_add_test(tcase, empty_slot_takes_no_tag);
	tcase_add_loop_test(tcase, table_is_shared_with_another_ring, 0,
			    COUNT_OF(clones));
	tcase_add_test(tcase, refusals_of_the_kernel_are_passed_on);
	suite_add_tcase(suite, tcase);
}
