/* test_blocks.c - the buddy system, against a map of all blocks in use
 *
 * Inner loops use ck_abort_msg(): each ck_assert is a message to the parent.
 */
#include "../rig/aborts.h"
#include "../rig/range.h"
#include "../rig/support.h"
#include "../suites.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

enum {
	ORDER_COUNT = WI_BLOCK_ORDER_MAX + 1,
	SMALLEST_COUNT = WI_RANGE_LARGEST
			 << WI_BLOCK_ORDER_MAX, /* in the range */
	CACHED_MAX = 1024, /* smallest cached ones: as in blocks.c */
	CHANCE_STEPS = 100000,
	CHANCE_HELD_MAX = 4000,
};

static struct wi_range range;
static struct wi_blocks *blocks;

static void range_start(void)
{
	wi_range_open(&range);
	blocks = &range.blocks;
}

static void range_end(void)
{
	wi_range_close(&range);
}

/* ---- sizes ------------------------------------------------------------- */

static const struct {
	size_t bytes;
	unsigned order;
} order_cases[] = {
	{ 0, 0 },
	{ 1, 0 },
	{ 1023, 0 },
	{ 1024, 0 },
	{ 1025, 1 },
	{ 2048, 1 },
	{ 2049, 2 },
	{ 64 * KIB, 6 },
	{ 64 * KIB + 1, 7 },
	{ 4 * MIB, 12 },
	{ 4 * MIB + 1, 13 },
	{ 8 * MIB - 1, 13 },
	{ 8 * MIB, 13 },
	{ 8 * MIB + 1, 14 },
	{ SIZE_MAX, 14 },
};

START_TEST(block_order_is_the_smallest_that_holds_the_bytes)
{
	ck_assert_uint_eq(wi_block_order(order_cases[_i].bytes),
			  order_cases[_i].order);
}
END_TEST

START_TEST(block_order_changes_just_past_each_power_of_two)
{
	for (unsigned order = 0; order <= WI_BLOCK_ORDER_MAX; order++) {
		size_t bytes = wi_block_bytes(order);
		ck_assert_uint_eq(bytes, (size_t)1024 << order);
		ck_assert_uint_eq(wi_block_order(bytes), order);
		ck_assert_uint_eq(wi_block_order(bytes + 1), order + 1);
	}
	ck_assert_uint_eq(wi_block_bytes(WI_BLOCK_ORDER_MAX),
			  WI_BLOCK_BYTES_MAX);
}
END_TEST

static const struct {
	size_t bytes;
	size_t rounded;
	size_t table_bytes;
} round_cases[] = {
	{ 0, 0, 0 },
	{ 1, WI_BLOCK_BYTES_MAX, 8192 },
	{ WI_BLOCK_BYTES_MAX - 1, WI_BLOCK_BYTES_MAX, 8192 },
	{ WI_BLOCK_BYTES_MAX, WI_BLOCK_BYTES_MAX, 8192 },
	{ WI_BLOCK_BYTES_MAX + 1, 2 * WI_BLOCK_BYTES_MAX, 16384 },
	{ 64 * WI_BLOCK_BYTES_MAX, 64 * WI_BLOCK_BYTES_MAX, 524288 },
};

START_TEST(blocks_round_a_range_up_to_the_largest_block)
{
	ck_assert_uint_eq(wi_blocks_round(round_cases[_i].bytes),
			  round_cases[_i].rounded);
	ck_assert_uint_eq(wi_blocks_table_bytes(round_cases[_i].bytes),
			  round_cases[_i].table_bytes);
}
END_TEST

/* ---- one order at a time ----------------------------------------------- */

static size_t index_of(const void *block)
{
	return (size_t)((const uint8_t *)block - (uint8_t *)range.memory) /
	       WI_BLOCK_BYTES_MIN;
}

START_TEST(blocks_of_every_order_are_aligned_whole_and_come_back)
{
	const unsigned order = (unsigned)_i;
	const size_t bytes = wi_block_bytes(order);

	uint8_t *block = wi_blocks_take(blocks, order);
	ck_assert_ptr_nonnull(block);
	size_t offset = (size_t)(block - (uint8_t *)range.memory);
	ck_assert_uint_eq(offset % bytes, 0);
	ck_assert_uint_le(offset + bytes, range.bytes);
	memset(block, 0xa5, bytes);
	ck_assert_uint_eq(wi_blocks_check(blocks), bytes);
	wi_blocks_give(blocks, block, order);
	wi_range_is_whole(&range);
}
END_TEST

/* Which of @count is given back at step @i: each once. */
static size_t give_order(int pattern, size_t i, size_t count)
{
	if (pattern == 0)
		return i;
	if (pattern == 1)
		return count - 1 - i;
	/* Every second one first, so that nothing can merge for a long time. */
	return i < (count + 1) / 2 ? 2 * i : 2 * (i - (count + 1) / 2) + 1;
}

START_TEST(blocks_are_exactly_as_many_as_fit_and_merge_in_any_order)
{
	static void *held[SMALLEST_COUNT];
	const unsigned order = (unsigned)_i / 3;
	const size_t count = range.bytes / wi_block_bytes(order);

	for (size_t i = 0; i < count; i++) {
		held[i] = wi_blocks_take(blocks, order);
		ck_assert_msg(held[i] != NULL, "only %zu of %zu", i, count);
	}
	ck_assert_uint_eq(blocks->used_bytes, range.bytes);
	for (unsigned any = 0; any <= WI_BLOCK_ORDER_MAX; any++)
		ck_assert_ptr_null(wi_blocks_take(blocks, any));
	ck_assert_uint_eq(wi_blocks_check(blocks), range.bytes);

	for (size_t i = 0; i < count; i++)
		wi_blocks_give(blocks, held[give_order(_i % 3, i, count)],
			       order);
	ck_assert_uint_eq(blocks->peak_bytes, range.bytes);
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(blocks_larger_than_the_largest_do_not_exist)
{
	ck_assert_ptr_null(wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX + 1));
	ck_assert_ptr_null(wi_blocks_take(blocks, UINT32_MAX));
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(blocks_of_low_addresses_are_used_first)
{
	void *small = wi_blocks_take(blocks, 0);
	void *large = wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX - 1);
	void *largest = wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX);
	ck_assert_uint_eq(index_of(small), 0);
	ck_assert_uint_eq(index_of(large), 4096);
	ck_assert_uint_eq(index_of(largest), 8192);
}
END_TEST

START_TEST(blocks_of_an_empty_range_are_never_there)
{
	struct wi_blocks none;
	wi_blocks_init(&none, range.memory, 0, range.table);
	ck_assert_ptr_null(wi_blocks_take(&none, 0));
	ck_assert_ptr_null(wi_blocks_take(&none, WI_BLOCK_ORDER_MAX));
	ck_assert_uint_eq(wi_blocks_check(&none), 0);
}
END_TEST

/* ---- accounting -------------------------------------------------------- */

START_TEST(blocks_count_what_is_used_and_the_most_that_ever_was)
{
	void *one = wi_blocks_take(blocks, 0);
	void *four = wi_blocks_take(blocks, 2);
	ck_assert_uint_eq(blocks->used_bytes, 5 * KIB);
	ck_assert_uint_eq(blocks->peak_bytes, 5 * KIB);

	wi_blocks_give(blocks, four, 2);
	ck_assert_uint_eq(blocks->used_bytes, 1024);
	ck_assert_uint_eq(blocks->peak_bytes, 5 * KIB);

	void *two = wi_blocks_take(blocks, 1);
	ck_assert_uint_eq(blocks->used_bytes, 3 * KIB);
	ck_assert_uint_eq(blocks->peak_bytes, 5 * KIB);
	ck_assert_uint_eq(wi_blocks_check(blocks), 3 * KIB);

	/* A refused block does not count. */
	ck_assert_ptr_null(wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX + 1));
	void *half = wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX);
	ck_assert_ptr_null(wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX));
	ck_assert_uint_eq(blocks->used_bytes, 3 * KIB + WI_BLOCK_BYTES_MAX);
	ck_assert_uint_eq(blocks->peak_bytes, 3 * KIB + WI_BLOCK_BYTES_MAX);

	wi_blocks_give(blocks, half, WI_BLOCK_ORDER_MAX);
	wi_blocks_give(blocks, two, 1);
	wi_blocks_give(blocks, one, 0); /* cached, and not in use */
	ck_assert_uint_eq(blocks->used_bytes, 0);
	ck_assert_uint_eq(blocks->peak_bytes, 3 * KIB + WI_BLOCK_BYTES_MAX);
}
END_TEST

/* ---- cached ------------------------------------------------------------ */

START_TEST(blocks_cached_come_back_last_in_first_out)
{
	void *held[3];
	for (int i = 0; i < 3; i++)
		held[i] = wi_blocks_take(blocks, 0);
	for (int i = 0; i < 3; i++)
		wi_blocks_give(blocks, held[i], 0);
	ck_assert_uint_eq(blocks->cached_count, 3);
	for (int i = 2; i >= 0; i--)
		ck_assert_ptr_eq(wi_blocks_take(blocks, 0), held[i]);
	ck_assert_uint_eq(blocks->cached_count, 0);
}
END_TEST

START_TEST(blocks_cached_are_small_ones_only)
{
	for (unsigned order = 0; order <= WI_BLOCK_ORDER_MAX; order++) {
		void *block = wi_blocks_take(blocks, order);
		const uint32_t before = blocks->cached_count;
		const bool is_small = order < WI_BLOCK_ORDERS_CACHED;
		wi_blocks_give(blocks, block, order);
		ck_assert_uint_eq(blocks->cached_count,
				  before + (is_small ? 1 : 0));
	}
	ck_assert_uint_eq(wi_blocks_check(blocks), 0);
}
END_TEST

START_TEST(blocks_cached_have_a_bound_and_the_rest_is_merged)
{
	static void *held[SMALLEST_COUNT];
	for (int i = 0; i < SMALLEST_COUNT; i++)
		held[i] = wi_blocks_take(blocks, 0);
	for (int i = 0; i < CACHED_MAX; i++) {
		wi_blocks_give(blocks, held[i], 0);
		ck_assert_uint_eq(blocks->cached_count, (unsigned)i + 1);
	}
	for (int i = CACHED_MAX; i < SMALLEST_COUNT; i++) {
		wi_blocks_give(blocks, held[i], 0);
		ck_assert_uint_eq(blocks->cached_count, CACHED_MAX);
	}
	ck_assert_uint_eq(wi_blocks_check(blocks), 0);
	/* The other largest block is whole without cached blocks. */
	void *largest = wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX);
	ck_assert_uint_eq(index_of(largest), 8192);
	ck_assert_uint_eq(blocks->cached_count, CACHED_MAX);
	wi_blocks_give(blocks, largest, WI_BLOCK_ORDER_MAX);
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(blocks_cached_are_merged_when_a_large_one_is_wanted)
{
	/* One small block is cached in each of the largest. */
	void *one = wi_blocks_take(blocks, 0);
	void *rest[WI_BLOCK_ORDER_MAX];
	for (unsigned order = 0; order < WI_BLOCK_ORDER_MAX; order++)
		rest[order] = wi_blocks_take(blocks, order);
	void *two = wi_blocks_take(blocks, 0);
	ck_assert_uint_lt(index_of(one), 8192);
	ck_assert_uint_ge(index_of(two), 8192);
	wi_blocks_give(blocks, one, 0);
	wi_blocks_give(blocks, two, 0);
	for (unsigned order = 1; order < WI_BLOCK_ORDER_MAX; order++)
		wi_blocks_give(blocks, rest[order], order);
	wi_blocks_give(blocks, rest[0], 0);
	ck_assert_uint_eq(blocks->cached_count, 2 + WI_BLOCK_ORDERS_CACHED);

	void *first = wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX);
	ck_assert_ptr_nonnull(first);
	ck_assert_uint_eq(blocks->cached_count, 0);
	ck_assert_uint_eq(wi_blocks_check(blocks), WI_BLOCK_BYTES_MAX);
	void *second = wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX);
	ck_assert_ptr_nonnull(second);
	ck_assert_ptr_ne(first, second);
}
END_TEST

START_TEST(blocks_cached_that_do_not_help_are_merged_and_counted_right)
{
	void *largest = wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX);
	void *kept = wi_blocks_take(blocks, 0);
	void *back = wi_blocks_take(blocks, 0);
	wi_blocks_give(blocks, back, 0);
	ck_assert_ptr_null(wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX));
	ck_assert_uint_eq(blocks->cached_count, 0);
	ck_assert_uint_eq(wi_blocks_check(blocks), WI_BLOCK_BYTES_MAX + 1024);
	wi_blocks_give(blocks, kept, 0);
	wi_blocks_give(blocks, largest, WI_BLOCK_ORDER_MAX);
	wi_range_is_whole(&range);
}
END_TEST

#ifdef WI_ASAN
START_TEST(blocks_given_back_are_poisoned_but_for_their_links)
{
	const size_t link_bytes = 2 * sizeof(void *);
	for (unsigned order = 0; order < 3; order++) {
		uint8_t *block = wi_blocks_take(blocks, order);
		size_t bytes = wi_block_bytes(order);
		ck_assert_ptr_null(__asan_region_is_poisoned(block, bytes));
		wi_blocks_give(blocks, block, order);
		ck_assert_int_ne(__asan_address_is_poisoned(block + link_bytes),
				 0);
		ck_assert_int_ne(__asan_address_is_poisoned(block + bytes - 1),
				 0);
	}
}
END_TEST
#endif

/* ---- chance ------------------------------------------------------------ */

/* A map of the smallest blocks: the stamp of the block that holds each. */
struct held {
	uint8_t *memory;
	unsigned order;
	uint32_t stamp;
};

static struct held held[CHANCE_HELD_MAX];
static uint32_t held_count;
static uint32_t owners[SMALLEST_COUNT]; /* stamp, or 0 */

/* Marks both ends of each smallest block in it. */
static void held_stamp(const struct held *one)
{
	size_t first = index_of(one->memory);
	for (size_t i = 0; i < (size_t)1 << one->order; i++) {
		uint8_t *piece = one->memory + i * WI_BLOCK_BYTES_MIN;
		uint8_t *piece_end = piece + WI_BLOCK_BYTES_MIN;
		if (owners[first + i] != 0)
			ck_abort_msg("block %u of order %u lies over block %u",
				     one->stamp, one->order, owners[first + i]);
		owners[first + i] = one->stamp;
		memcpy(piece, &one->stamp, sizeof(one->stamp));
		memcpy(piece_end - sizeof(one->stamp), &one->stamp,
		       sizeof(one->stamp));
	}
}

static void held_verify(const struct held *one)
{
	size_t first = index_of(one->memory);
	for (size_t i = 0; i < (size_t)1 << one->order; i++) {
		const uint8_t *piece = one->memory + i * WI_BLOCK_BYTES_MIN;
		const uint8_t *piece_end = piece + WI_BLOCK_BYTES_MIN;
		if (memcmp(piece, &one->stamp, sizeof(one->stamp)) != 0 ||
		    memcmp(piece_end - sizeof(one->stamp), &one->stamp,
			   sizeof(one->stamp)) != 0)
			ck_abort_msg("block %u was written over", one->stamp);
		owners[first + i] = 0;
	}
}

static void chance_give(uint32_t index)
{
	held_verify(&held[index]);
	wi_blocks_give(blocks, held[index].memory, held[index].order);
	held[index] = held[--held_count];
}

/* Return: whether it got a block. */
static bool chance_take(unsigned order, uint32_t stamp)
{
	uint8_t *memory = wi_blocks_take(blocks, order);
	if (memory == NULL)
		return false;
	size_t offset = (size_t)(memory - (uint8_t *)range.memory);
	if (offset % wi_block_bytes(order) != 0 ||
	    offset + wi_block_bytes(order) > range.bytes)
		ck_abort_msg("order %u at offset %zu", order, offset);
	held[held_count] = (struct held){ memory, order, stamp };
	held_stamp(&held[held_count++]);
	return true;
}

/* A refusal is right only if no aligned place is free: a buddy system has no
 * other fragmentation. */
static void chance_refused(unsigned order)
{
	const size_t step = (size_t)1 << order;
	for (size_t first = 0; first < SMALLEST_COUNT; first += step) {
		size_t i = 0;
		while (i < step && owners[first + i] == 0)
			i++;
		if (i == step)
			ck_abort_msg("order %u refused, place %zu is free",
				     order, first);
	}
}

static size_t held_bytes(void)
{
	size_t sum = 0;
	for (uint32_t i = 0; i < held_count; i++)
		sum += wi_block_bytes(held[i].order);
	return sum;
}

START_TEST(blocks_never_overlap_and_all_merge_after_random_use)
{
	uint64_t state = 0x5eed + (uint64_t)_i;
	size_t peak_bytes = 0;
	uint32_t refused_count = 0;
	held_count = 0;
	memset(owners, 0, sizeof(owners));

	for (uint32_t step = 1; step <= CHANCE_STEPS; step++) {
		/* In waves: nearly full, then nearly empty. */
		bool is_rising = step / 4096 % 2 == 0;
		uint32_t dice = wi_random(&state) % 8;
		bool takes = is_rising ? dice < 5 : dice < 3;
		if (held_count == 0 ||
		    (takes && held_count < CHANCE_HELD_MAX)) {
			/* Each order half as often as the next smaller one. */
			unsigned order = (unsigned)__builtin_ctz(
				wi_random(&state) | 1u << WI_BLOCK_ORDER_MAX);
			if (!chance_take(order, step)) {
				refused_count++;
				chance_refused(order);
			}
		} else {
			chance_give(wi_random(&state) % held_count);
		}
		if (blocks->used_bytes > peak_bytes)
			peak_bytes = blocks->used_bytes;
		if (step % 500 == 0)
			ck_assert_uint_eq(wi_blocks_check(blocks),
					  held_bytes());
	}
	ck_assert_uint_gt(refused_count, 0);
	ck_assert_uint_eq(blocks->peak_bytes, peak_bytes);
	while (held_count > 0)
		chance_give(wi_random(&state) % held_count);
	wi_range_is_whole(&range);
}
END_TEST

/* ---- misuse ------------------------------------------------------------ */

static void misuse_init_odd(void *ctx)
{
	(void)ctx;
	wi_blocks_init(blocks, range.memory, WI_BLOCK_BYTES_MAX - 1024,
		       range.table);
}

static void misuse_other_order(void *ctx)
{
	(void)ctx;
	wi_blocks_give(blocks, wi_blocks_take(blocks, 2), 1);
}

static void misuse_inside(void *ctx)
{
	(void)ctx;
	uint8_t *block = wi_blocks_take(blocks, 1);
	wi_blocks_give(blocks, block + 8, 1);
}

static void misuse_inner_piece(void *ctx)
{
	(void)ctx;
	uint8_t *block = wi_blocks_take(blocks, 1);
	wi_blocks_give(blocks, block + WI_BLOCK_BYTES_MIN, 0);
}

static void misuse_outside(void *ctx)
{
	(void)ctx;
	(void)wi_blocks_take(blocks, 0);
	wi_blocks_give(blocks, (uint8_t *)range.memory + range.bytes, 0);
}

static void misuse_twice_large(void *ctx)
{
	(void)ctx;
	void *one = wi_blocks_take(blocks, 1);
	(void)wi_blocks_take(blocks, 1);
	wi_blocks_give(blocks, one, 1);
	wi_blocks_give(blocks, one, 1);
}

static void misuse_twice_small(void *ctx)
{
	(void)ctx;
	void *one = wi_blocks_take(blocks, 0);
	(void)wi_blocks_take(blocks, 0);
	wi_blocks_give(blocks, one, 0);
	wi_blocks_give(blocks, one, 0);
}

static void misuse_more_than_used(void *ctx)
{
	(void)ctx;
	void *block = wi_blocks_take(blocks, 1);
	blocks->used_bytes = 1024;
	wi_blocks_give(blocks, block, 1);
}

static void check_no_start(void *ctx)
{
	(void)ctx;
	blocks->orders[0] = 0;
	(void)wi_blocks_check(blocks);
}

static void check_misaligned(void *ctx)
{
	(void)ctx;
	(void)wi_blocks_take(blocks, 0);
	blocks->orders[1] = blocks->orders[2]; /* order 1 at 1 KiB */
	(void)wi_blocks_check(blocks);
}

static void check_past_the_end(void *ctx)
{
	(void)ctx;
	uint8_t largest = blocks->orders[8192];
	(void)wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX);
	blocks->orders[0] = (uint8_t)(largest + 1);
	blocks->bytes = WI_BLOCK_BYTES_MAX;
	(void)wi_blocks_check(blocks);
}

static void check_unmerged(void *ctx)
{
	(void)ctx;
	void *small = wi_blocks_take(blocks, 0);
	(void)small;
	/* Both buddies at 1 KiB are free but not merged. */
	blocks->orders[0] = blocks->orders[1];
	blocks->used_bytes = 0;
	(void)wi_blocks_check(blocks);
}

static void check_used(void *ctx)
{
	(void)ctx;
	(void)wi_blocks_take(blocks, 0);
	blocks->used_bytes = 2048;
	(void)wi_blocks_check(blocks);
}

static void check_cached(void *ctx)
{
	(void)ctx;
	wi_blocks_give(blocks, wi_blocks_take(blocks, 0), 0);
	blocks->cached_count = 2;
	(void)wi_blocks_check(blocks);
}

static const struct {
	const char *what;
	void (*misuse)(void *ctx);
} misuses[] = {
	{ "a range of no whole largest block", misuse_init_odd },
	{ "giving another order than was taken", misuse_other_order },
	{ "giving a pointer into a block", misuse_inside },
	{ "giving a piece of a block", misuse_inner_piece },
	{ "giving what is not in the range", misuse_outside },
	{ "giving a large block twice", misuse_twice_large },
	{ "giving a small block twice", misuse_twice_small },
	{ "giving more than is in use", misuse_more_than_used },
	{ "a table without a start", check_no_start },
	{ "a table with a misaligned block", check_misaligned },
	{ "a table that goes past the end", check_past_the_end },
	{ "a table with two free buddies", check_unmerged },
	{ "a table that differs from the account", check_used },
	{ "a table that differs from the list cached", check_cached },
};

START_TEST(blocks_misuse_aborts)
{
	ck_assert_msg(wi_aborts(misuses[_i].misuse, NULL), "%s went by",
		      misuses[_i].what);
}
END_TEST

WI_SUITE(blocks, "blocks", 0)
{
	TCase *sizes = tcase_create("sizes");
	TCase *story = tcase_create("take and give");
	TCase *chance = tcase_create("chance");

	tcase_add_loop_test(sizes,
			    block_order_is_the_smallest_that_holds_the_bytes, 0,
			    sizeof(order_cases) / sizeof(order_cases[0]));
	tcase_add_test(sizes, block_order_changes_just_past_each_power_of_two);
	tcase_add_loop_test(sizes, blocks_round_a_range_up_to_the_largest_block,
			    0, sizeof(round_cases) / sizeof(round_cases[0]));
	suite_add_tcase(suite, sizes);

	tcase_add_checked_fixture(story, range_start, range_end);
	tcase_add_loop_test(
		story, blocks_of_every_order_are_aligned_whole_and_come_back, 0,
		ORDER_COUNT);
	tcase_add_loop_test(
		story, blocks_are_exactly_as_many_as_fit_and_merge_in_any_order,
		0, 3 * ORDER_COUNT);
	tcase_add_test(story, blocks_larger_than_the_largest_do_not_exist);
	tcase_add_test(story, blocks_of_low_addresses_are_used_first);
	tcase_add_test(story, blocks_of_an_empty_range_are_never_there);
	tcase_add_test(story,
		       blocks_count_what_is_used_and_the_most_that_ever_was);
	tcase_add_test(story, blocks_cached_come_back_last_in_first_out);
	tcase_add_test(story, blocks_cached_are_small_ones_only);
	tcase_add_test(story,
		       blocks_cached_have_a_bound_and_the_rest_is_merged);
	tcase_add_test(story,
		       blocks_cached_are_merged_when_a_large_one_is_wanted);
	tcase_add_test(
		story,
		blocks_cached_that_do_not_help_are_merged_and_counted_right);
#ifdef WI_ASAN
	tcase_add_test(story,
		       blocks_given_back_are_poisoned_but_for_their_links);
#endif
	tcase_add_loop_test(story, blocks_misuse_aborts, 0,
			    sizeof(misuses) / sizeof(misuses[0]));
	suite_add_tcase(suite, story);

	tcase_add_checked_fixture(chance, range_start, range_end);
	tcase_set_timeout(chance, 60); /* seconds; valgrind needs longer */
	tcase_add_loop_test(chance,
			    blocks_never_overlap_and_all_merge_after_random_use,
			    0, 3);
	suite_add_tcase(suite, chance);
}
