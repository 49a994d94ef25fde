/* test_token.c - tokens, and the pool of slots that they name */
#include "../rig/aborts.h"
#include "../rig/support.h"
#include "../suites.h"
#include "net/core/pool.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
	SLOT_COUNT = 8,
	PAGE_BYTES = 4096,
	CHANCE_STEPS = 20000,
};

/* ---- tokens ------------------------------------------------------------ */

static const uint32_t generations[] = { 0, 1, 0x800000, WI_GENERATION_MASK - 1,
					WI_GENERATION_MASK };
static const uint32_t slots[] = { 0, 1, 0x80000000, UINT32_MAX - 1,
				  UINT32_MAX };

enum {
	GENERATION_COUNT = sizeof(generations) / sizeof(generations[0]),
	TOKEN_SLOT_COUNT = sizeof(slots) / sizeof(slots[0]),
};

/* Each owner, each op. */
START_TEST(token_gives_back_what_was_packed_at_every_extreme)
{
	const enum wi_token_owner owner =
		(enum wi_token_owner)(_i / (int)WI_TOKEN_OPS);
	const uint32_t op = (uint32_t)_i % WI_TOKEN_OPS;
	for (int g = 0; g < GENERATION_COUNT; g++) {
		for (int s = 0; s < TOKEN_SLOT_COUNT; s++) {
			uint64_t token =
				wi_token(owner, op, generations[g], slots[s]);
			ck_assert_uint_eq(wi_token_owner(token), owner);
			ck_assert_uint_eq(wi_token_op(token), op);
			ck_assert_uint_eq(wi_token_generation(token),
					  generations[g]);
			ck_assert_uint_eq(wi_token_slot(token), slots[s]);
		}
	}
}
END_TEST

START_TEST(token_has_the_layout_that_its_picture_shows)
{
	ck_assert_uint_eq(wi_token(WI_OWNER_NONE, 0, 0, 0), 0);
	ck_assert_uint_eq(wi_token(WI_OWNER_CONN, 9, 0xabcdef, 0x12345678),
			  (uint64_t)WI_OWNER_CONN << 60 |
				  UINT64_C(0x09abcdef12345678));
}
END_TEST

/* ---- the pool ---------------------------------------------------------- */

struct thing {
	struct wi_pool_slot slot;
	uint32_t content;
	uint32_t pad;
};

static struct wi_pool pool;
static struct thing things[SLOT_COUNT];

static void pool_start(void)
{
	memset(things, 0, sizeof(things));
	wi_pool_init(&pool, things, sizeof(struct thing), SLOT_COUNT);
}

/* The token of an operation on @slot now. */
static uint64_t token_now(const struct wi_pool_slot *slot)
{
	const struct thing *thing = (const struct thing *)(const void *)slot;
	return wi_token(WI_OWNER_CONN, 1, slot->generation,
			(uint32_t)(thing - things));
}

START_TEST(pool_hands_out_fresh_slots_in_order_and_then_none)
{
	for (uint32_t i = 0; i < SLOT_COUNT; i++) {
		struct wi_pool_slot *slot = wi_pool_take(&pool);
		ck_assert_ptr_eq(slot, &things[i].slot);
		ck_assert_ptr_eq(slot, wi_pool_at(&pool, i));
		ck_assert_uint_eq(wi_pool_index(&pool, slot), i);
		ck_assert_uint_eq(slot->generation, 0);
		ck_assert_uint_eq(pool.used_count, i + 1);
	}
	ck_assert_ptr_null(wi_pool_take(&pool));
	ck_assert_ptr_null(wi_pool_take(&pool));
	ck_assert_uint_eq(pool.used_count, SLOT_COUNT);

	wi_pool_give(&pool, &things[3].slot);
	ck_assert_ptr_eq(wi_pool_take(&pool), &things[3].slot);
	ck_assert_ptr_null(wi_pool_take(&pool));
}
END_TEST

START_TEST(pool_gives_the_last_one_back_out_first)
{
	for (int i = 0; i < 5; i++)
		(void)wi_pool_take(&pool);
	wi_pool_give(&pool, &things[1].slot);
	wi_pool_give(&pool, &things[4].slot);
	wi_pool_give(&pool, &things[0].slot);
	ck_assert_uint_eq(pool.used_count, 2);

	ck_assert_ptr_eq(wi_pool_take(&pool), &things[0].slot);
	ck_assert_ptr_eq(wi_pool_take(&pool), &things[4].slot);
	ck_assert_ptr_eq(wi_pool_take(&pool), &things[1].slot);
	ck_assert_ptr_eq(wi_pool_take(&pool), &things[5].slot); /* unused */
}
END_TEST

START_TEST(pool_leaves_the_content_of_a_slot_alone)
{
	struct thing *thing = (struct thing *)(void *)wi_pool_take(&pool);
	ck_assert_uint_eq(thing->content, 0);
	thing->content = 4711;
	wi_pool_give(&pool, &thing->slot);
	ck_assert_ptr_eq(wi_pool_take(&pool), &thing->slot);
	ck_assert_uint_eq(thing->content, 4711);
}
END_TEST

START_TEST(pool_touches_no_slot_before_it_is_needed)
{
	/* One page per slot; from the third on, an access is a SIGSEGV. */
	uint8_t *pages = mmap(NULL, (size_t)SLOT_COUNT * PAGE_BYTES,
			      PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(pages, MAP_FAILED);
	ck_assert_int_eq(mprotect(pages + (size_t)2 * PAGE_BYTES,
				  (size_t)(SLOT_COUNT - 2) * PAGE_BYTES,
				  PROT_NONE),
			 0);
	wi_pool_init(&pool, pages, PAGE_BYTES, SLOT_COUNT);
	for (int round = 0; round < 1000; round++) {
		struct wi_pool_slot *one = wi_pool_take(&pool);
		struct wi_pool_slot *two = wi_pool_take(&pool);
		uint64_t fresh = wi_token(WI_OWNER_CONN, 1, 0, 2);
		ck_assert_ptr_null(wi_pool_find(&pool, fresh));
		wi_pool_give(&pool, round % 2 == 0 ? one : two);
		wi_pool_give(&pool, round % 2 == 0 ? two : one);
	}
	ck_assert_uint_eq(pool.fresh_index, 2);
	ck_assert_int_eq(munmap(pages, (size_t)SLOT_COUNT * PAGE_BYTES), 0);
}
END_TEST

START_TEST(pool_changes_the_generation_when_a_slot_is_given)
{
	struct wi_pool_slot *slot = wi_pool_take(&pool);
	uint64_t first = token_now(slot);
	ck_assert_ptr_eq(wi_pool_find(&pool, first), slot);

	wi_pool_give(&pool, slot);
	ck_assert_uint_eq(slot->generation, 1);
	ck_assert_ptr_null(wi_pool_find(&pool, first));

	ck_assert_ptr_eq(wi_pool_take(&pool), slot);
	ck_assert_uint_eq(slot->generation, 1); /* take changes nothing */
	ck_assert_ptr_null(wi_pool_find(&pool, first));
	ck_assert_ptr_eq(wi_pool_find(&pool, token_now(slot)), slot);
}
END_TEST

START_TEST(pool_generation_wraps_within_its_bits_of_the_token)
{
	struct wi_pool_slot *slot = wi_pool_take(&pool);
	slot->generation = WI_GENERATION_MASK;
	uint64_t last = token_now(slot);
	ck_assert_ptr_eq(wi_pool_find(&pool, last), slot);

	wi_pool_give(&pool, slot);
	ck_assert_uint_eq(slot->generation, 0);
	ck_assert_ptr_null(wi_pool_find(&pool, last));
	ck_assert_ptr_eq(wi_pool_take(&pool), slot);
	ck_assert_ptr_eq(wi_pool_find(&pool, token_now(slot)), slot);
}
END_TEST

/* Slot 0 is free after one use, slot 1 in use at generation 1, slot 2 in use
 * at generation 0; the rest was never used. */
static const struct {
	const char *what;
	uint32_t generation;
	uint32_t slot;
	bool is_found;
} find_cases[] = {
	{ "the slot as it is", 1, 1, true },
	{ "another slot as it is", 0, 2, true },
	{ "a stale generation", 0, 1, false },
	{ "a generation still to come", 2, 1, false },
	{ "the last generation", WI_GENERATION_MASK, 2, false },
	{ "a free slot's past", 0, 0, false },
	{ "a free slot's next generation", 1, 0, false },
	{ "the first fresh slot", 0, 3, false },
	{ "the last fresh slot", 0, SLOT_COUNT - 1, false },
	{ "one past the end", 0, SLOT_COUNT, false },
	{ "far past the end", 0, UINT32_MAX, false },
};

START_TEST(pool_finds_only_the_slot_that_is_still_there)
{
	struct wi_pool_slot *slot[3];
	for (int i = 0; i < 3; i++)
		slot[i] = wi_pool_take(&pool);
	wi_pool_give(&pool, slot[0]);
	wi_pool_give(&pool, slot[1]);
	ck_assert_ptr_eq(wi_pool_take(&pool), slot[1]);

	const struct wi_pool_slot *want =
		find_cases[_i].is_found ? slot[find_cases[_i].slot] : NULL;
	for (uint32_t op = 0; op < WI_TOKEN_OPS; op++) {
		uint64_t token =
			wi_token(WI_OWNER_CONN, op, find_cases[_i].generation,
				 find_cases[_i].slot);
		ck_assert_msg(wi_pool_find(&pool, token) == want, "%s",
			      find_cases[_i].what);
	}
}
END_TEST

START_TEST(pool_agrees_with_a_stack_whatever_is_taken_and_given)
{
	uint64_t state = 20240611;
	uint64_t tokens[SLOT_COUNT] = { 0 }; /* of the slots in use */
	uint64_t stale[SLOT_COUNT] = { 0 };  /* the latest of each slot */
	bool in_use[SLOT_COUNT] = { false };
	bool had_use[SLOT_COUNT] = { false };
	uint32_t stack[SLOT_COUNT];
	uint32_t stack_count = 0;
	uint32_t used_count = 0;
	uint32_t fresh = 0;

	for (int step = 0; step < CHANCE_STEPS; step++) {
		uint32_t pick = wi_random(&state) % SLOT_COUNT;
		if (in_use[pick] && wi_random(&state) % 2 == 0) {
			wi_pool_give(&pool, &things[pick].slot);
			stale[pick] = tokens[pick];
			had_use[pick] = true;
			in_use[pick] = false;
			stack[stack_count++] = pick;
			used_count--;
		} else {
			struct wi_pool_slot *slot = wi_pool_take(&pool);
			if (used_count == SLOT_COUNT) {
				ck_assert_ptr_null(slot);
				continue;
			}
			pick = stack_count > 0 ? stack[--stack_count] : fresh++;
			ck_assert_ptr_eq(slot, &things[pick].slot);
			tokens[pick] = token_now(slot);
			in_use[pick] = true;
			used_count++;
		}
		ck_assert_uint_eq(pool.used_count, used_count);
		for (int i = 0; i < SLOT_COUNT; i++) {
			if (in_use[i])
				ck_assert_ptr_eq(wi_pool_find(&pool, tokens[i]),
						 &things[i].slot);
			if (had_use[i])
				ck_assert_ptr_null(
					wi_pool_find(&pool, stale[i]));
		}
	}
	ck_assert_uint_eq(fresh, SLOT_COUNT);
}
END_TEST

/* ---- misuse ------------------------------------------------------------ */

static void misuse_owner(void *ctx)
{
	(void)ctx;
	(void)wi_token(WI_OWNER_COUNT, 0, 0, 0);
}

static void misuse_op(void *ctx)
{
	(void)ctx;
	(void)wi_token(WI_OWNER_CONN, WI_TOKEN_OPS, 0, 0);
}

static void misuse_generation(void *ctx)
{
	(void)ctx;
	(void)wi_token(WI_OWNER_CONN, 0, WI_GENERATION_MASK + 1, 0);
}

static void misuse_slot_too_small(void *ctx)
{
	(void)ctx;
	wi_pool_init(&pool, things, sizeof(struct wi_pool_slot) - 1, 1);
}

static void misuse_too_many_slots(void *ctx)
{
	(void)ctx;
	wi_pool_init(&pool, things, sizeof(struct thing), WI_POOL_NO_SLOT);
}

static void misuse_index(void *ctx)
{
	(void)ctx;
	(void)wi_pool_at(&pool, SLOT_COUNT);
}

static void misuse_between_slots(void *ctx)
{
	(void)ctx;
	(void)wi_pool_index(
		&pool, (struct wi_pool_slot *)(void *)&things[0].slot.link);
}

static void misuse_index_of_free(void *ctx)
{
	(void)ctx;
	(void)wi_pool_take(&pool);
	(void)wi_pool_take(&pool);
	wi_pool_give(&pool, &things[0].slot);
	wi_pool_give(&pool, &things[1].slot);
	(void)wi_pool_index(&pool, &things[1].slot);
}

static void misuse_give_unused(void *ctx)
{
	(void)ctx;
	wi_pool_give(&pool, &things[0].slot);
}

static void misuse_give_twice(void *ctx)
{
	(void)ctx;
	(void)wi_pool_take(&pool);
	(void)wi_pool_take(&pool);
	wi_pool_give(&pool, &things[0].slot);
	wi_pool_give(&pool, &things[0].slot);
}

static const struct {
	const char *what;
	void (*misuse)(void *ctx);
} misuses[] = {
	{ "an owner that there is not", misuse_owner },
	{ "an op of more than four bits", misuse_op },
	{ "a token of 25 bits of generation", misuse_generation },
	{ "slots smaller than their header", misuse_slot_too_small },
	{ "more slots than the list can name", misuse_too_many_slots },
	{ "an index past the end", misuse_index },
	{ "a pointer between two slots", misuse_between_slots },
	{ "the index of a free slot", misuse_index_of_free },
	{ "giving to a pool that has all its slots", misuse_give_unused },
	{ "giving a slot twice", misuse_give_twice },
};

START_TEST(token_and_pool_misuse_aborts)
{
	ck_assert_msg(wi_aborts(misuses[_i].misuse, NULL), "%s went by",
		      misuses[_i].what);
}
END_TEST

WI_SUITE(token, "token", 0)
{
	TCase *token = tcase_create("token");
	TCase *slot_pool = tcase_create("pool");

	tcase_add_loop_test(token,
			    token_gives_back_what_was_packed_at_every_extreme,
			    0, (int)(WI_OWNER_COUNT * WI_TOKEN_OPS));
	tcase_add_test(token, token_has_the_layout_that_its_picture_shows);
	suite_add_tcase(suite, token);

	tcase_add_checked_fixture(slot_pool, pool_start, NULL);
	tcase_add_test(slot_pool,
		       pool_hands_out_fresh_slots_in_order_and_then_none);
	tcase_add_test(slot_pool, pool_gives_the_last_one_back_out_first);
	tcase_add_test(slot_pool, pool_leaves_the_content_of_a_slot_alone);
	tcase_add_test(slot_pool, pool_touches_no_slot_before_it_is_needed);
	tcase_add_test(slot_pool,
		       pool_changes_the_generation_when_a_slot_is_given);
	tcase_add_test(slot_pool,
		       pool_generation_wraps_within_its_bits_of_the_token);
	tcase_add_loop_test(slot_pool,
			    pool_finds_only_the_slot_that_is_still_there, 0,
			    sizeof(find_cases) / sizeof(find_cases[0]));
	tcase_add_test(slot_pool,
		       pool_agrees_with_a_stack_whatever_is_taken_and_given);
	tcase_add_loop_test(slot_pool, token_and_pool_misuse_aborts, 0,
			    sizeof(misuses) / sizeof(misuses[0]));
	suite_add_tcase(suite, slot_pool);
}
