/* test_soft.c - a ring in plain memory: queues, buffer groups, slots */
#include "../rig/count_of.h"
#include "../rig/nops.h"
#include "../rig/support.h"
#include "../suites.h"

#include "uring/ring_inline.h"
#include "uring/soft/soft_copy.h"
#include "uring/soft/soft_group.h"
#include "uring/soft/soft_ring.h"
#include "uring/soft/soft_slots.h"

#include <errno.h>

/* ---- a kernel with NOP only, under a weir_ring --------------------------- */

enum { RING_FD = 1, SQ_COUNT = 4, CQ_COUNT = 8, OVERFLOW_MOST = 4 };

struct nop_kernel {
	struct weir_kernel kernel;
	struct wi_soft_ring soft;
	struct io_uring_cqe overflow[OVERFLOW_MOST];
	uint32_t dropped;
	uint32_t per_sqe; /* completions per entry */
	uint8_t memory[4096];
	struct io_uring_sqe sqes[SQ_COUNT];
};

static int nop_setup(void *ctx, uint32_t entry_count,
		     struct io_uring_params *params)
{
	struct nop_kernel *nop = ctx;
	size_t bytes;
	size_t sqes_bytes;
	params->sq_entries = wi_soft_ring_round(entry_count);
	params->cq_entries = wi_soft_ring_round(params->cq_entries);
	params->features = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
	wi_soft_ring_shape(params, &bytes, &sqes_bytes);
	ck_assert_uint_le(bytes, sizeof(nop->memory));
	ck_assert_uint_le(sqes_bytes, sizeof(nop->sqes));
	wi_soft_ring_init(&nop->soft, params, nop->memory, nop->sqes,
			  nop->overflow, OVERFLOW_MOST);
	return RING_FD;
}

static int nop_enter(void *ctx, int ring_fd, uint32_t submit_count,
		     uint32_t min_complete, uint32_t flags, const void *arg,
		     size_t arg_bytes)
{
	struct nop_kernel *nop = ctx;
	(void)min_complete;
	(void)arg;
	(void)arg_bytes;
	ck_assert_int_eq(ring_fd, RING_FD);
	ck_assert_uint_eq(wi_soft_ring_submitted(&nop->soft), submit_count);
	if ((flags & IORING_ENTER_GETEVENTS) != 0)
		wi_soft_ring_flush(&nop->soft);
	for (uint32_t i = 0; i < submit_count; i++) {
		struct io_uring_sqe sqe;
		wi_soft_ring_take(&nop->soft, &sqe);
		for (uint32_t c = 0; c < nop->per_sqe; c++) {
			const struct io_uring_cqe cqe = {
				.user_data = sqe.user_data,
				.res = sqe.opcode == IORING_OP_NOP ? (int)c
								   : -EINVAL,
			};
			nop->dropped += wi_soft_ring_post(&nop->soft, &cqe) ==
					WI_SOFT_DROPPED;
		}
	}
	return (int)submit_count;
}

static int nop_register(void *ctx, int ring_fd, uint32_t opcode, void *arg,
			uint32_t arg_count)
{
	(void)ctx;
	(void)ring_fd;
	(void)arg_count;
	if (opcode == IORING_REGISTER_PROBE)
		((struct io_uring_probe *)arg)->last_op = IORING_OP_LAST - 1;
	return opcode == IORING_REGISTER_PROBE ||
			       opcode == IORING_REGISTER_ENABLE_RINGS
		       ? 0
		       : -EINVAL;
}

static int nop_map(void *ctx, size_t bytes, int fd, uint64_t offset,
		   void **out_memory)
{
	struct nop_kernel *nop = ctx;
	(void)bytes;
	if (fd != RING_FD)
		return -ENOMEM; /* no wait region */
	*out_memory = wi_soft_ring_map(&nop->soft, offset);
	return 0;
}

static int nop_unmap(void *ctx, void *memory, size_t bytes)
{
	(void)ctx;
	(void)memory;
	(void)bytes;
	return 0;
}

static int nop_close(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return 0;
}

static void nop_start(struct nop_kernel *nop, struct weir_ring *ring)
{
	*nop = (struct nop_kernel){
		.kernel = { .name = "nop",
			    .ctx = nop,
			    .setup = nop_setup,
			    .enter = nop_enter,
			    .register_op = nop_register,
			    .map = nop_map,
			    .unmap = nop_unmap,
			    .close = nop_close },
		.per_sqe = 1,
	};
	const struct weir_ring_opts opts = {
		.kernel = &nop->kernel,
		.sq_entry_count = SQ_COUNT,
		.cq_entry_count = CQ_COUNT,
	};
	struct weir_error error;
	int err = weir_ring_open(ring, &opts, &error);
	ck_assert_msg(err == 0, "%s", error.text);
	ck_assert_int_eq(weir_ring_enable(ring), 0);
}

/* Reaps all ready completions, which must be numbered from @first on. */
static uint32_t nop_reap(struct weir_ring *ring, uint64_t first)
{
	const uint32_t count = weir_ring_ready(ring);
	for (uint32_t i = 0; i < count; i++)
		ck_assert_uint_eq(weir_ring_cqe(ring, i)->user_data, first + i);
	weir_ring_reaped(ring, count);
	return count;
}

START_TEST(weir_ring_runs_on_a_soft_ring_round_and_round)
{
	static struct nop_kernel nop;
	struct weir_ring ring;
	nop_start(&nop, &ring);
	ck_assert_uint_eq(weir_ring_sq_entry_count(&ring), SQ_COUNT);
	ck_assert_uint_eq(weir_ring_cq_entry_count(&ring), CQ_COUNT);
	for (uint64_t first = 0; first < 100; first += 3) {
		wi_nops_take(&ring, first, 3);
		ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
		ck_assert_uint_eq(weir_ring_unsubmitted(&ring), 0);
		ck_assert_uint_eq(nop_reap(&ring, first), 3);
	}
	ck_assert_uint_eq(nop.soft.posted, 102);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(completions_that_overflow_come_later_and_in_order)
{
	static struct nop_kernel nop;
	struct weir_ring ring;
	nop_start(&nop, &ring);
	for (uint64_t first = 0; first < CQ_COUNT + OVERFLOW_MOST;
	     first += SQ_COUNT) {
		wi_nops_take(&ring, first, SQ_COUNT);
		ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	}
	ck_assert_uint_eq(nop.soft.overflow_count, OVERFLOW_MOST);
	ck_assert_uint_eq(weir_ring_held_back(&ring), IORING_SQ_CQ_OVERFLOW);

	/* While one waits there, no later one overtakes it, although there is
	 * room. */
	const uint32_t count = nop_reap(&ring, 0);
	ck_assert_uint_eq(count, CQ_COUNT);
	ck_assert(!wi_soft_ring_has_room(&nop.soft));
	const struct io_uring_cqe late = { .user_data = 99 };
	ck_assert_int_eq(wi_soft_ring_post(&nop.soft, &late), WI_SOFT_DROPPED);

	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	ck_assert_uint_eq(nop_reap(&ring, CQ_COUNT), OVERFLOW_MOST);
	ck_assert_uint_eq(weir_ring_held_back(&ring), 0);
	ck_assert_uint_eq(nop.dropped, 0);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(overflow_that_does_not_fit_at_once_keeps_its_flag)
{
	static struct nop_kernel nop;
	struct weir_ring ring;
	nop_start(&nop, &ring);
	nop.per_sqe = 3;
	wi_nops_take(&ring, 0, SQ_COUNT);
	ck_assert_int_eq(weir_ring_enter(&ring, NULL), 0);
	ck_assert_uint_eq(nop.soft.overflow_count, 3 * SQ_COUNT - CQ_COUNT);
	weir_ring_reaped(&ring, 1);
	wi_soft_ring_flush(&nop.soft);
	ck_assert_uint_eq(weir_ring_ready(&ring), CQ_COUNT);
	ck_assert_uint_eq(nop.soft.overflow_count, 3 * SQ_COUNT - CQ_COUNT - 1);
	ck_assert_uint_eq(weir_ring_held_back(&ring), IORING_SQ_CQ_OVERFLOW);
	weir_ring_close(&ring);
}
END_TEST

static const struct {
	uint32_t asked;
	uint32_t rounded;
} sizes[] = { { 1, 1 }, { 2, 2 }, { 3, 4 }, { 1000, 1024 }, { 32768, 32768 } };
START_TEST(sizes_are_rounded_up_to_a_power_of_two)
{
	ck_assert_uint_eq(wi_soft_ring_round(sizes[_i].asked),
			  sizes[_i].rounded);
}
END_TEST

/* ---- buffer groups ------------------------------------------------------- */

enum { BUF_COUNT = 8, BUF_BYTES = 100, GROUP = 7 };

static _Alignas(4096) struct io_uring_buf entries[BUF_COUNT];
static uint8_t buffers[BUF_COUNT][BUF_BYTES];

static void group_lend(uint16_t id)
{
	const uint16_t tail = entries[0].resv;
	struct io_uring_buf *entry = &entries[tail & (BUF_COUNT - 1)];
	entry->addr = (uint64_t)(uintptr_t)buffers[id];
	entry->len = BUF_BYTES;
	entry->bid = id;
	wi_store_release_u16(&entries[0].resv, (uint16_t)(tail + 1));
}

static struct wi_soft_group *group_start(struct wi_soft_groups *groups,
					 uint32_t flags, uint16_t lent)
{
	const struct io_uring_buf_reg reg = {
		.ring_addr = (uint64_t)(uintptr_t)entries,
		.ring_entries = BUF_COUNT,
		.bgid = GROUP,
		.flags = (uint16_t)flags,
	};
	memset(entries, 0, sizeof(entries));
	wi_soft_groups_init(groups);
	ck_assert_int_eq(wi_soft_group_register(groups, &reg), 0);
	for (uint16_t i = 0; i < lent; i++)
		group_lend(i);
	struct wi_soft_group *group = wi_soft_group_find(groups, GROUP);
	ck_assert_ptr_nonnull(group);
	ck_assert_ptr_null(wi_soft_group_check(group));
	return group;
}

static const struct {
	const char *when;
	uint64_t address;
	uint32_t entry_count;
	uint32_t flags;
	uint32_t min_left;
	int want;
} groups_refused[] = {
	{ "it is right", 4096, 8, 0, 0, 0 },
	{ "it is incremental", 4096, 8, IOU_PBUF_RING_INC, 4, 0 },
	{ "the kernel is to have the memory", 4096, 8, IOU_PBUF_RING_MMAP, 0,
	  -EINVAL },
	{ "a rest is named without increments", 4096, 8, 0, 4, -EINVAL },
	{ "there are no entries", 4096, 0, 0, 0, -EINVAL },
	{ "their number is no power of two", 4096, 6, 0, 0, -EINVAL },
	{ "they are too many", 4096, 65536, 0, 0, -EINVAL },
	{ "there is no memory", 0, 8, 0, 0, -EFAULT },
	{ "it begins within a page", 4100, 8, 0, 0, -EINVAL },
};
START_TEST(group_is_registered_or_refused_as_by_the_kernel)
{
	static struct wi_soft_groups groups;
	const struct io_uring_buf_reg reg = {
		.ring_addr = groups_refused[_i].address,
		.ring_entries = groups_refused[_i].entry_count,
		.bgid = GROUP,
		.flags = (uint16_t)groups_refused[_i].flags,
		.min_left = groups_refused[_i].min_left,
	};
	wi_soft_groups_init(&groups);
	int got = wi_soft_group_register(&groups, &reg);
	ck_assert_msg(got == groups_refused[_i].want, "when %s: got %d",
		      groups_refused[_i].when, got);
	if (got == 0)
		ck_assert_int_eq(wi_soft_group_register(&groups, &reg),
				 -EEXIST);
	ck_assert_int_eq(wi_soft_group_unregister(&groups, &reg),
			 got == 0 ? 0 : -ENOENT);
	ck_assert_ptr_null(wi_soft_group_find(&groups, GROUP));
}
END_TEST

START_TEST(there_are_so_many_groups_and_no_more)
{
	static struct wi_soft_groups groups;
	struct io_uring_buf_reg reg = { .ring_addr = 4096, .ring_entries = 8 };
	wi_soft_groups_init(&groups);
	for (; reg.bgid < WI_SOFT_GROUPS; reg.bgid++)
		ck_assert_int_eq(wi_soft_group_register(&groups, &reg), 0);
	ck_assert_int_eq(wi_soft_group_register(&groups, &reg), -ENOMEM);
}
END_TEST

START_TEST(one_buffer_is_shown_and_taken_when_it_was_used)
{
	static struct wi_soft_groups groups;
	struct wi_soft_group *group = group_start(&groups, 0, 2);
	struct io_uring_buf_status status = { .buf_group = GROUP };
	struct wi_soft_take take;

	/* Unknown size: the bytes of the buffer. */
	ck_assert_int_eq(
		wi_soft_group_take(group, 0, WI_SOFT_TAKE_ONE, 1, &take), 0);
	ck_assert_ptr_eq(take.iov[0].iov_base, buffers[0]);
	ck_assert_uint_eq(take.iov[0].iov_len, BUF_BYTES);
	ck_assert(!take.is_last);
	/* The buffer is still there for the next request. */
	ck_assert_uint_eq(wi_soft_group_peek(group)->bid, 0);
	ck_assert(wi_soft_group_commit(group, 10, 1));
	ck_assert_uint_eq(wi_soft_group_peek(group)->bid, 1);
	ck_assert_int_eq(wi_soft_group_status(&groups, &status), 0);
	ck_assert_uint_eq(status.head, 1);

	/* At most that many bytes; and it was the last buffer. */
	ck_assert_int_eq(
		wi_soft_group_take(group, 30, WI_SOFT_TAKE_ONE, 1, &take), 0);
	ck_assert_uint_eq(take.bytes, 30);
	ck_assert(take.is_last);
	ck_assert(wi_soft_group_commit(group, 30, 1));
	ck_assert_ptr_null(wi_soft_group_peek(group));
	ck_assert_int_eq(
		wi_soft_group_take(group, 0, WI_SOFT_TAKE_ONE, 1, &take),
		-ENOBUFS);
}
END_TEST

/* A bundle over @lent buffers of 100 bytes. */
static const struct {
	const char *when;
	uint32_t lent;
	uint32_t max_bytes;
	uint32_t guess;
	uint32_t count;
	uint32_t bytes;
	bool is_last;
	bool is_cut;
} bundles[] = {
	{ "the size is not known", 4, 0, 1, 1, 100, false, false },
	{ "and more are guessed", 4, 0, 3, 3, 300, false, false },
	{ "it fits", 4, 200, 1, 2, 200, false, false },
	/* As in the kernel: the buffer that completes the size is not counted
	 * as passed, so the group does not look empty yet. */
	{ "it is all there is", 4, 400, 1, 4, 400, false, false },
	{ "there is less", 2, 400, 1, 2, 200, true, false },
	{ "the last would be cut", 4, 250, 1, 2, 200, false, true },
	{ "the first would be cut", 4, 50, 1, 1, 50, false, true },
};
START_TEST(bundle_takes_whole_buffers_in_ring_order)
{
	static struct wi_soft_groups groups;
	struct wi_soft_group *group =
		group_start(&groups, 0, (uint16_t)bundles[_i].lent);
	struct wi_soft_take take;
	ck_assert_int_eq(wi_soft_group_take(group, bundles[_i].max_bytes,
					    WI_SOFT_TAKE_MANY,
					    bundles[_i].guess, &take),
			 0);
	ck_assert_msg(take.count == bundles[_i].count &&
			      take.bytes == bundles[_i].bytes &&
			      take.is_last == bundles[_i].is_last &&
			      take.is_cut == bundles[_i].is_cut,
		      "when %s: %u buffers, %u bytes, %d, %d", bundles[_i].when,
		      take.count, take.bytes, take.is_last, take.is_cut);
	for (uint32_t i = 0; i < take.count; i++)
		ck_assert_ptr_eq(take.iov[i].iov_base, buffers[i]);
	ck_assert(wi_soft_group_commit(group, take.bytes, take.count));
	ck_assert_uint_eq(group->head, take.count);
}
END_TEST

START_TEST(incremental_buffer_shrinks_until_it_is_used_up)
{
	static struct wi_soft_groups groups;
	struct wi_soft_group *group =
		group_start(&groups, IOU_PBUF_RING_INC, 2);
	struct wi_soft_take take;

	ck_assert(!wi_soft_group_commit(group, 60, 1));
	ck_assert_int_eq(
		wi_soft_group_take(group, 0, WI_SOFT_TAKE_ONE, 1, &take), 0);
	ck_assert_ptr_eq(take.iov[0].iov_base, buffers[0] + 60);
	ck_assert_uint_eq(take.iov[0].iov_len, 40);
	/* The rest of the buffer, and the beginning of the next. */
	ck_assert(!wi_soft_group_commit(group, 50, 2));
	ck_assert_uint_eq(wi_soft_group_peek(group)->bid, 1);
	ck_assert(wi_soft_group_commit(group, 90, 1));
	ck_assert_ptr_null(wi_soft_group_peek(group));
	/* No bytes: no buffer is used up. */
	group_lend(0);
	ck_assert(!wi_soft_group_commit(group, 0, 1));

	/* Fewer bytes are left: the buffer is used up. */
	group->min_left = 30;
	ck_assert(!wi_soft_group_commit(group, 70, 1));
	group_lend(1);
	ck_assert(wi_soft_group_commit(group, 1, 1));
	ck_assert_uint_eq(wi_soft_group_peek(group)->bid, 1);
}
END_TEST

START_TEST(program_that_lends_wrongly_is_told)
{
	static struct wi_soft_groups groups;
	struct wi_soft_group *group = group_start(&groups, 0, 2);
	group_lend(1);
	ck_assert_str_eq(wi_soft_group_check(group),
			 "a buffer is in the ring twice");

	group = group_start(&groups, 0, 2);
	(void)wi_soft_group_commit(group, 1, 1);
	group_lend(0); /* the buffer was back */
	ck_assert_ptr_null(wi_soft_group_check(group));
	for (uint16_t i = 0; i < BUF_COUNT; i++)
		group_lend((uint16_t)(i % 8));
	ck_assert_str_eq(wi_soft_group_check(group),
			 "more buffers are lent than the ring holds");
}
END_TEST

START_TEST(flags_name_the_buffer)
{
	ck_assert_uint_eq(wi_soft_group_flags(3, false),
			  IORING_CQE_F_BUFFER | 3u << IORING_CQE_BUFFER_SHIFT);
	ck_assert_uint_eq(wi_soft_group_flags(65535, true),
			  IORING_CQE_F_BUFFER | IORING_CQE_F_BUF_MORE |
				  65535u << IORING_CQE_BUFFER_SHIFT);
}
END_TEST

/* ---- slots --------------------------------------------------------------- */

START_TEST(slots_are_taken_round_from_the_last_one)
{
	int files[3];
	struct wi_soft_slots slots;
	wi_soft_slots_init(&slots, files, 3);
	ck_assert_int_eq(wi_soft_slots_take(&slots, 10), 0);
	ck_assert_int_eq(wi_soft_slots_take(&slots, 11), 1);
	ck_assert_int_eq(wi_soft_slots_set(&slots, 0, WI_SOFT_NO_FILE), 10);
	ck_assert_int_eq(wi_soft_slots_take(&slots, 12), 2);
	ck_assert_int_eq(wi_soft_slots_take(&slots, 13), 0);
	ck_assert_int_eq(wi_soft_slots_take(&slots, 14), -ENFILE);
	ck_assert_int_eq(wi_soft_slots_file(&slots, 0), 13);
	ck_assert_int_eq(wi_soft_slots_set(&slots, 1, 15), 11);
	ck_assert_int_eq(wi_soft_slots_file(&slots, 1), 15);
	ck_assert_int_eq(wi_soft_slots_file(&slots, 3), WI_SOFT_NO_FILE);
	ck_assert_int_eq(wi_soft_slots_file(&slots, -1), WI_SOFT_NO_FILE);
}
END_TEST

START_TEST(ring_without_a_table_has_no_slot)
{
	struct wi_soft_slots slots;
	wi_soft_slots_init(&slots, NULL, 0);
	ck_assert_int_eq(wi_soft_slots_take(&slots, 10), -ENFILE);
	ck_assert_int_eq(wi_soft_slots_file(&slots, 0), WI_SOFT_NO_FILE);
}
END_TEST

WI_SUITE(soft, "soft", 0)
{
	TCase *ring = tcase_create("ring");
	tcase_add_test(ring, weir_ring_runs_on_a_soft_ring_round_and_round);
	tcase_add_test(ring, completions_that_overflow_come_later_and_in_order);
	tcase_add_test(ring, overflow_that_does_not_fit_at_once_keeps_its_flag);
	tcase_add_loop_test(ring, sizes_are_rounded_up_to_a_power_of_two, 0,
			    COUNT_OF(sizes));
	suite_add_tcase(suite, ring);
	TCase *group = tcase_create("group");
	tcase_add_loop_test(group,
			    group_is_registered_or_refused_as_by_the_kernel, 0,
			    COUNT_OF(groups_refused));
	tcase_add_test(group, there_are_so_many_groups_and_no_more);
	tcase_add_test(group, one_buffer_is_shown_and_taken_when_it_was_used);
	tcase_add_loop_test(group, bundle_takes_whole_buffers_in_ring_order, 0,
			    COUNT_OF(bundles));
	tcase_add_test(group, incremental_buffer_shrinks_until_it_is_used_up);
	tcase_add_test(group, program_that_lends_wrongly_is_told);
	tcase_add_test(group, flags_name_the_buffer);
	suite_add_tcase(suite, group);
	TCase *slots = tcase_create("slots");
	tcase_add_test(slots, slots_are_taken_round_from_the_last_one);
	tcase_add_test(slots, ring_without_a_table_has_no_slot);
	suite_add_tcase(suite, slots);
}
