/* test_batching.c - how long a busy loop waits; how many buffers circulate */
#include "../suites.h"
#include "net/core/batching.h"
#include "net/core/bufs.h"
#include "uring/ring_inline.h"

#include <string.h>

enum { TURN_NS = 100 * 1000, SETTLED_TURNS = 200, TICK_TURNS = 100 };

/* Turns of @turn_ns with @recvs each; @active connections per tick. */
static void pace_run(struct wi_batching *batching, uint32_t recvs,
		     uint64_t turn_ns, uint32_t active)
{
	for (uint32_t turn = 0; turn < SETTLED_TURNS; turn++) {
		wi_batching_turn(batching, recvs, turn_ns,
				 1 + turn / TICK_TURNS);
		if (turn % TICK_TURNS != 0)
			continue;
		for (uint32_t i = 0; i < active; i++)
			wi_batching_active(batching);
	}
	wi_batching_turn(batching, recvs, turn_ns,
			 1 + SETTLED_TURNS / TICK_TURNS);
}

static const struct {
	const char *when;
	uint32_t recvs;
	uint64_t turn_ns;
	uint32_t active;
	uint32_t wait_us;
	uint32_t want;
} pace_cases[] = {
	{ "nothing has happened yet", 0, 0, 0, 50, 0 },
	{ "a loop is idle", 1, 100 * TURN_NS, 400, 50, 0 },
	{ "fewer than four are expected", 7, TURN_NS, 400, 50, 0 },
	{ "many are expected: twice as many", 20, TURN_NS, 400, 50, 20 },
	{ "few connections are active", 20, TURN_NS, 12, 50, 3 },
	{ "one connection is active", 20, TURN_NS, 1, 50, 0 },
	{ "more than the bound are expected", 900, TURN_NS, 4000, 50, 64 },
	{ "the wait is forbidden", 900, TURN_NS, 4000, 0, 0 },
};

START_TEST(pace_waits_for_what_it_may_expect)
{
	struct wi_batching batching = { .turn_ns = 0 };
	if (pace_cases[_i].turn_ns != 0)
		pace_run(&batching, pace_cases[_i].recvs,
			 pace_cases[_i].turn_ns, pace_cases[_i].active);
	uint32_t want =
		wi_batching_wait_count(&batching, pace_cases[_i].wait_us);
	/* Smoothing rounds down: the result may be one less. */
	ck_assert_msg(want == pace_cases[_i].want ||
			      want + 1 == pace_cases[_i].want,
		      "when %s: got %u, want %u", pace_cases[_i].when, want,
		      pace_cases[_i].want);
}
END_TEST

START_TEST(pace_forgets_activity_after_a_tick_without_a_look)
{
	struct wi_batching batching = { .turn_ns = 0 };
	pace_run(&batching, 20, TURN_NS, 400);
	ck_assert_uint_gt(wi_batching_wait_count(&batching, 50), 0);
	wi_batching_turn(&batching, 20, TURN_NS, batching.tick + 5);
	ck_assert_uint_eq(wi_batching_wait_count(&batching, 50), 0);
}
END_TEST

enum { BUF_COUNT = 256, BUF_BYTES = 64, BUFS_MIN = 64, WINDOW_TURNS = 1024 };

struct bufs_rig {
	struct weir_ring ring;
	struct wi_bufs bufs;
	uint8_t memory[BUF_COUNT * BUF_BYTES];
	uint16_t parked[BUF_COUNT];
};

static void bufs_start(struct bufs_rig *rig)
{
	ck_assert_int_eq(weir_ring_open(&rig->ring, NULL, NULL), 0);
	ck_assert_int_eq(weir_bufring_open(&rig->bufs.bufring, &rig->ring, 0,
					   rig->memory, BUF_COUNT, BUF_BYTES,
					   NULL, NULL),
			 0);
	wi_bufs_init(&rig->bufs, rig->parked);
}

static void bufs_come_back(struct bufs_rig *rig, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct io_uring_cqe cqe = {
			.flags = IORING_CQE_F_BUFFER |
				 i << IORING_CQE_BUFFER_SHIFT,
		};
		wi_bufs_take_back(&rig->bufs, &cqe);
	}
}

static uint32_t bufs_circulating(const struct bufs_rig *rig)
{
	return BUF_COUNT - rig->bufs.parked_count;
}

START_TEST(bufs_circulate_as_few_as_a_turn_needs_and_more_when_they_run_out)
{
	static struct bufs_rig rig;
	bufs_start(&rig);
	bufs_come_back(&rig, BUF_COUNT);
	wi_bufs_turn(&rig.bufs, 10, false);
	ck_assert_uint_eq(bufs_circulating(&rig), BUFS_MIN);

	wi_bufs_turn(&rig.bufs, 50, false); /* twice as many as were used */
	ck_assert_uint_eq(bufs_circulating(&rig), 100);
	wi_bufs_turn(&rig.bufs, 50, true); /* none was free: doubled */
	ck_assert_uint_eq(bufs_circulating(&rig), 200);
	wi_bufs_turn(&rig.bufs, 200, true); /* all buffers, not more */
	ck_assert_uint_eq(bufs_circulating(&rig), BUF_COUNT);

	/* After two whole windows without need, the rest is parked again. */
	for (int turn = 0; turn < 2 * WINDOW_TURNS; turn++)
		wi_bufs_turn(&rig.bufs, 5, false);
	bufs_come_back(&rig, BUF_COUNT);
	ck_assert_uint_eq(bufs_circulating(&rig), BUFS_MIN);
	weir_bufring_close(&rig.bufs.bufring);
	weir_ring_close(&rig.ring);
}
END_TEST

WI_SUITE(batching, "batching", WI_RUNGS | WI_MEMCHECK)
{
	TCase *batching = tcase_create("batching");
	tcase_add_loop_test(batching, pace_waits_for_what_it_may_expect, 0,
			    sizeof(pace_cases) / sizeof(pace_cases[0]));
	tcase_add_test(batching,
		       pace_forgets_activity_after_a_tick_without_a_look);
	suite_add_tcase(suite, batching);
	TCase *bufs = tcase_create("bufs");
	tcase_add_test(
		bufs,
		bufs_circulate_as_few_as_a_turn_needs_and_more_when_they_run_out);
	suite_add_tcase(suite, bufs);
}
