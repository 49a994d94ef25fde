/* test_sendq.c - bytes to send, and input that is kept to be shown again
 *
 * Both hold one stream of bytes. Byte n of it has the value stream_byte(n), so
 * the model of either is two numbers: how many went in, how many came out.
 * Inner loops use ck_abort_msg(): each ck_assert is a message to the parent.
 */
#include "../rig/aborts.h"
#include "../rig/range.h"
#include "../rig/support.h"
#include "../suites.h"
#include "net/conn/sendq.h"
#include "net/conn/stash.h"
#include "uring/soft/soft_copy.h"

#include <errno.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

enum {
	IOV_COUNT = 16,
	CHUNK_HEADER_BYTES = sizeof(struct wi_chunk),
	/* The capacity of the first chunk. */
	SMALL_BYTES = WI_BLOCK_BYTES_MIN - CHUNK_HEADER_BYTES,
};

static struct wi_range range;
static struct wi_blocks *blocks;
static struct wi_sendq sendq;
static struct wi_stash stash;
static uint32_t in_count;  /* bytes of the stream that went in */
static uint32_t out_count; /* and that came out */

static void stream_start(void)
{
	wi_range_open(&range);
	blocks = &range.blocks;
	sendq = (struct wi_sendq){ .head = NULL };
	stash = (struct wi_stash){ .bytes = NULL };
	in_count = 0;
	out_count = 0;
}

static void stream_end(void)
{
	wi_range_close(&range);
}

static uint8_t stream_byte(uint32_t n)
{
	return (uint8_t)(n * 2654435761u >> 24);
}

static void stream_fill(uint8_t *bytes, uint32_t from, uint32_t byte_count)
{
	for (uint32_t i = 0; i < byte_count; i++)
		bytes[i] = stream_byte(from + i);
}

static void stream_verify(const uint8_t *bytes, uint32_t from,
			  uint32_t byte_count)
{
	for (uint32_t i = 0; i < byte_count; i++)
		if (bytes[i] != stream_byte(from + i))
			ck_abort_msg("byte %u of the stream differs", from + i);
}

/* The same for bytes that may be lent: only the kernel may read them. */
static void stream_verify_lent(const uint8_t *bytes, uint32_t from,
			       uint32_t byte_count)
{
	uint8_t copy[4096];
	while (byte_count > 0) {
		const uint32_t some =
			byte_count < sizeof(copy) ? byte_count : sizeof(copy);
		wi_soft_copy(copy, bytes, some);
		stream_verify(copy, from, some);
		bytes += some;
		from += some;
		byte_count -= some;
	}
}

/* ---- the send queue ---------------------------------------------------- */

/* Reserves @reserve_bytes and commits the first @byte_count of them. */
static void push(uint32_t reserve_bytes, uint32_t byte_count)
{
	uint8_t *room = wi_sendq_reserve(&sendq, blocks, reserve_bytes);
	if (room == NULL)
		ck_abort_msg("no room for %u bytes", reserve_bytes);
	/* The test may write all of the room, also what is not committed. */
	memset(room, 0xee, reserve_bytes);
	stream_fill(room, in_count, byte_count);
	wi_sendq_commit(&sendq, byte_count);
	in_count += byte_count;
}

/* Checks that the pieces hold the stream from its head; reads the first
 * @look_bytes of it. Returns the bytes of all pieces. */
static uint32_t gather_look(int iov_count, uint32_t look_bytes)
{
	struct iovec iov[IOV_COUNT];
	uint32_t sum = 0;
	int count = wi_sendq_gather(&sendq, iov, iov_count);
	if (count > iov_count)
		ck_abort_msg("%d pieces, %d asked for", count, iov_count);
	for (int i = 0; i < count; i++) {
		if (iov[i].iov_len == 0)
			ck_abort_msg("piece %d is empty", i);
		uint32_t bytes = (uint32_t)iov[i].iov_len;
		uint32_t look = bytes < look_bytes ? bytes : look_bytes;
		stream_verify_lent(iov[i].iov_base, out_count + sum, look);
		look_bytes -= look;
		sum += bytes;
	}
	if (count < iov_count && sum != sendq.queued_bytes)
		ck_abort_msg("%u bytes shown, %u queued", sum,
			     sendq.queued_bytes);
	return sum;
}

static uint32_t gather_verify(int iov_count)
{
	return gather_look(iov_count, UINT32_MAX);
}

static void queue_verify(void)
{
	wi_sendq_check(&sendq);
	if (sendq.queued_bytes != in_count - out_count)
		ck_abort_msg("%u bytes queued, not %u", sendq.queued_bytes,
			     in_count - out_count);
	(void)gather_verify(IOV_COUNT);
}

/* One send: lends @lend_bytes, of which the kernel takes @taken_bytes. */
static void send_out(uint32_t lend_bytes, uint32_t taken_bytes)
{
	wi_sendq_lend(&sendq, lend_bytes);
	wi_sendq_take_back(&sendq, blocks, taken_bytes);
	if (sendq.lent_bytes != 0)
		ck_abort_msg("%u bytes still lent", sendq.lent_bytes);
	out_count += taken_bytes;
	queue_verify();
}

START_TEST(sendq_is_empty_and_holds_nothing_at_first)
{
	struct iovec iov[IOV_COUNT];
	ck_assert_int_eq(wi_sendq_gather(&sendq, iov, IOV_COUNT), 0);
	wi_sendq_commit(&sendq, 0); /* of a refused reserve */
	wi_sendq_check(&sendq);
	wi_sendq_clear(&sendq, blocks);
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(sendq_shows_nothing_of_what_is_only_reserved)
{
	struct iovec iov[IOV_COUNT];
	ck_assert_ptr_nonnull(wi_sendq_reserve(&sendq, blocks, 100));
	ck_assert_int_eq(wi_sendq_gather(&sendq, iov, IOV_COUNT), 0);
	ck_assert_uint_eq(sendq.queued_bytes, 0);
	wi_sendq_clear(&sendq, blocks);
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(sendq_queues_only_what_is_committed_of_a_reserve)
{
	push(500, 500);
	push(300, 1);
	push(100, 0);
	push(10, 10);
	queue_verify();
	ck_assert_ptr_eq(sendq.head, sendq.tail); /* all in one chunk */
	ck_assert_uint_eq(sendq.queued_bytes, 511);
	send_out(511, 511);
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(sendq_second_reserve_replaces_the_first)
{
	uint8_t *first = wi_sendq_reserve(&sendq, blocks, 100);
	uint8_t *second = wi_sendq_reserve(&sendq, blocks, 200);
	ck_assert_ptr_eq(first, second);
	stream_fill(second, 0, 200);
	wi_sendq_commit(&sendq, 200);
	in_count = 200;
	queue_verify();

	/* If it needs another chunk, the one before it stays empty. */
	push(SMALL_BYTES - 200, SMALL_BYTES - 200);
	(void)wi_sendq_reserve(&sendq, blocks, 100);
	const struct wi_chunk *skipped = sendq.tail;
	push(5000, 5000);
	ck_assert_ptr_ne(sendq.tail, skipped);
	push(1, 1);
	queue_verify();
	ck_assert_uint_eq(blocks->used_bytes, (1 + 1 + 8) * KIB);
	send_out(in_count, in_count);
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(sendq_reserve_alone_may_leave_an_empty_chunk_at_its_head)
{
	(void)wi_sendq_reserve(&sendq, blocks, 100);
	push(5000, 5000); /* in a second chunk, behind the empty first */
	queue_verify();
	send_out(5000, 1); /* freed as soon as bytes are taken back */
	ck_assert_ptr_eq(sendq.head, sendq.tail);
	wi_sendq_clear(&sendq, blocks);
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(sendq_forgets_a_reserve_that_was_never_committed)
{
	push(100, 100);
	wi_sendq_lend(&sendq, 100);
	(void)wi_sendq_reserve(&sendq, blocks,
			       50); /* and the handler returns */
	wi_sendq_take_back(&sendq, blocks, 100);
	out_count += 100;
	ck_assert_uint_eq(sendq.reserved_bytes, 0);
	queue_verify();
	wi_range_is_whole(&range);

	/* The same with more bytes behind it. */
	push(100, 100);
	wi_sendq_lend(&sendq, 100);
	(void)wi_sendq_reserve(&sendq, blocks, 50);
	wi_sendq_take_back(&sendq, blocks, 40);
	out_count += 40;
	push(20, 20);
	queue_verify();
	send_out(80, 80);
	wi_range_is_whole(&range);
}
END_TEST

static const struct {
	uint32_t bytes;
	uint32_t block_bytes;
} fit_cases[] = {
	{ 1, KIB },
	{ SMALL_BYTES, KIB },
	{ SMALL_BYTES + 1, 2 * KIB },
	{ 2 * KIB - CHUNK_HEADER_BYTES, 2 * KIB },
	{ 2 * KIB - CHUNK_HEADER_BYTES + 1, 4 * KIB },
	{ MIB, 2 * MIB },
	{ 4 * MIB - CHUNK_HEADER_BYTES, 4 * MIB },
	{ 4 * MIB - CHUNK_HEADER_BYTES + 1, 8 * MIB },
	{ 8 * MIB - CHUNK_HEADER_BYTES, 8 * MIB },
};

START_TEST(sendq_first_chunk_is_the_smallest_that_holds_the_bytes)
{
	push(fit_cases[_i].bytes, fit_cases[_i].bytes);
	ck_assert_uint_eq(blocks->used_bytes, fit_cases[_i].block_bytes);
	queue_verify();
	send_out(in_count, in_count);
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(sendq_reserve_of_more_than_the_largest_block_is_refused)
{
	ck_assert_ptr_null(wi_sendq_reserve(&sendq, blocks,
					    8 * MIB - CHUNK_HEADER_BYTES + 1));
	ck_assert_ptr_null(wi_sendq_reserve(&sendq, blocks, UINT32_MAX));
	ck_assert_ptr_null(sendq.head);
	ck_assert_ptr_null(sendq.tail);
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(sendq_grows_by_chunks_as_long_as_itself)
{
	uint32_t chunk_count = 0;
	const struct wi_chunk *last = NULL;
	while (in_count < 4 * MIB) {
		uint32_t queued_bytes = sendq.queued_bytes;
		push(100, 100);
		if (sendq.tail == last)
			continue;
		last = sendq.tail;
		chunk_count++;
		/* As large as the queue, up to a block of 256 KiB. */
		const uint32_t most = 256 * KIB - CHUNK_HEADER_BYTES;
		uint32_t least = queued_bytes < most ? queued_bytes : most;
		ck_assert_uint_ge(last->capacity, least);
		ck_assert_uint_le(last->capacity, most);
	}
	wi_sendq_check(&sendq);
	/* 1 KiB doubled up to 256 KiB, then chunks of that size. */
	ck_assert_uint_le(chunk_count, 10 + 4 * MIB / (255 * KIB));
	while (sendq.queued_bytes > 0) {
		uint32_t bytes = gather_verify(IOV_COUNT);
		send_out(bytes, bytes);
	}
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(sendq_long_queue_is_content_with_a_small_chunk_when_memory_is_short)
{
	push(100 * KIB, 100 * KIB);
	push(28 * KIB - CHUNK_HEADER_BYTES, 28 * KIB - CHUNK_HEADER_BYTES);
	void *small = wi_blocks_take(blocks, 0);
	ck_assert_ptr_nonnull(small);
	wi_range_hog(&range, WI_BLOCK_ORDER_MAX);
	wi_range_hog(&range, 0);
	wi_blocks_give(blocks, small, 0);

	push(100, 100);
	ck_assert_uint_eq(sendq.tail->capacity, SMALL_BYTES);
	queue_verify();
}
END_TEST

START_TEST(sendq_loses_nothing_when_the_memory_is_used_up)
{
	push(600, 600);
	push(SMALL_BYTES - 600 - 10, SMALL_BYTES - 600 - 10);
	wi_range_hog(&range, WI_BLOCK_ORDER_MAX);
	wi_range_hog(&range, 0);

	ck_assert_ptr_null(wi_sendq_reserve(&sendq, blocks, 11));
	ck_assert_ptr_null(wi_sendq_reserve(&sendq, blocks, 5000));
	queue_verify();
	push(10, 10); /* a small reserve still succeeds */
	queue_verify();
	wi_sendq_lend(&sendq, in_count);
	ck_assert_ptr_null(wi_sendq_reserve(&sendq, blocks, 1));
	wi_sendq_take_back(&sendq, blocks, in_count - 1);
	out_count = in_count - 1;
	queue_verify();
	send_out(1, 1); /* frees a block */
	push(1, 1);
	queue_verify();
}
END_TEST

/* Three chunks: the second is empty, the last has room. */
static void push_three_chunks(void)
{
	push(SMALL_BYTES, SMALL_BYTES);
	(void)wi_sendq_reserve(&sendq, blocks, 10);
	push(2000, 1500);
	queue_verify();
	if (blocks->used_bytes != (1 + 1 + 2) * KIB)
		ck_abort_msg("%zu bytes of blocks", blocks->used_bytes);
}

START_TEST(sendq_goes_on_after_a_short_send_at_every_byte)
{
	push_three_chunks();
	const uint32_t whole = in_count;
	wi_sendq_clear(&sendq, blocks);
	for (uint32_t lent = 1; lent <= whole; lent += lent < 5 ? 1 : 97) {
		for (uint32_t taken = 0; taken <= lent; taken++) {
			in_count = 0;
			out_count = 0;
			push_three_chunks();
			send_out(lent, taken);
			if (taken < whole)
				send_out(whole - taken, whole - taken);
			if (blocks->used_bytes != 0)
				ck_abort_msg("%u of %u: a block is left", taken,
					     lent);
		}
	}
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(sendq_takes_more_in_while_its_head_is_lent)
{
	push(500, 500);
	wi_sendq_lend(&sendq, 500);
	push(400, 400); /* in the same chunk that is lent */
	push(3000, 3000);
	queue_verify();
	wi_sendq_take_back(&sendq, blocks, 500);
	out_count += 500;
	queue_verify();
	send_out(3400, 3400);
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(sendq_gathers_no_more_pieces_than_it_is_given)
{
	for (int i = 0; i < 5; i++) {
		sendq.queued_bytes = 0; /* otherwise it takes larger chunks */
		push(SMALL_BYTES, SMALL_BYTES);
	}
	sendq.queued_bytes = in_count;
	ck_assert_uint_eq(gather_verify(0), 0);
	for (int count = 1; count <= IOV_COUNT; count++)
		ck_assert_uint_eq(gather_verify(count),
				  (size_t)(count < 5 ? count : 5) *
					  SMALL_BYTES);
	send_out(in_count, in_count);
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(sendq_clear_drops_everything_and_gives_it_back)
{
	push_three_chunks();
	(void)wi_sendq_reserve(&sendq, blocks, 10000);
	wi_sendq_clear(&sendq, blocks);
	ck_assert_uint_eq(sendq.queued_bytes, 0);
	ck_assert_uint_eq(sendq.reserved_bytes, 0);
	ck_assert_ptr_null(sendq.head);
	ck_assert_ptr_null(sendq.tail);
	wi_range_is_whole(&range);
	in_count = 0;
	push(10, 10); /* and can be used again */
	queue_verify();
}
END_TEST

static uint32_t chance_bytes(uint64_t *state)
{
	static const uint32_t ceilings[] = { 4, 64, 1000, 5000, 40000, 600000 };
	uint32_t pick = wi_random(state) % 16;
	uint32_t ceiling = ceilings[pick < 6 ? pick : pick % 4];
	return 1 + wi_random(state) % ceiling;
}

static void chance_push(uint64_t *state, uint32_t *refused_count)
{
	uint32_t reserve_bytes = chance_bytes(state);
	const struct wi_sendq before = sendq;

	uint8_t *room = wi_sendq_reserve(&sendq, blocks, reserve_bytes);
	if (room == NULL) {
		if (sendq.head != before.head || sendq.tail != before.tail ||
		    sendq.queued_bytes != before.queued_bytes ||
		    sendq.lent_bytes != before.lent_bytes ||
		    sendq.reserved_bytes != before.reserved_bytes)
			ck_abort_msg("a refusal changed the queue");
		(*refused_count)++;
		return;
	}
	if (wi_random(state) % 8 == 0) {
		uint32_t again_bytes = chance_bytes(state);
		uint8_t *again = wi_sendq_reserve(&sendq, blocks, again_bytes);
		if (again != NULL) { /* else the first is valid */
			room = again;
			reserve_bytes = again_bytes;
		}
	}
	uint32_t byte_count = reserve_bytes;
	if (wi_random(state) % 4 == 0)
		byte_count = wi_random(state) % (reserve_bytes + 1);
	stream_fill(room, in_count, byte_count);
	wi_sendq_commit(&sendq, byte_count);
	in_count += byte_count;
}

START_TEST(sendq_keeps_the_stream_over_random_pushes_and_short_sends)
{
	uint64_t state = 0x5e9d + (uint64_t)_i;
	uint32_t refused_count = 0;
	uint32_t emptied_count = 0;
	void *half = wi_blocks_take(blocks, WI_BLOCK_ORDER_MAX);

	for (int step = 0; step < 6000; step++) {
		/* In waves: full, then empty. */
		bool is_rising = step / 1000 % 2 == 0;
		uint32_t dice = wi_random(&state) % 8;
		if (is_rising ? dice < 7 : dice < 2)
			chance_push(&state, &refused_count);
		if (is_rising && dice != 0)
			continue;
		if (sendq.lent_bytes > 0 && wi_random(&state) % 2 == 0) {
			uint32_t lent_bytes = sendq.lent_bytes;
			uint32_t taken_bytes = lent_bytes;
			if (wi_random(&state) % 3 == 0)
				taken_bytes =
					wi_random(&state) % (lent_bytes + 1);
			wi_sendq_take_back(&sendq, blocks, taken_bytes);
			out_count += taken_bytes;
		} else if (sendq.lent_bytes == 0 && sendq.queued_bytes > 0) {
			int pieces = 1 + (int)(wi_random(&state) % IOV_COUNT);
			uint32_t bytes = gather_look(pieces, 0);
			if (is_rising && bytes > 4 * KIB)
				bytes = 4 * KIB; /* a slow reader */
			bytes = 1 + wi_random(&state) % bytes;
			(void)gather_look(pieces, bytes);
			wi_sendq_lend(&sendq, bytes);
		}
		wi_sendq_check(&sendq);
		if (sendq.queued_bytes != in_count - out_count)
			ck_abort_msg("step %d: %u bytes queued", step,
				     sendq.queued_bytes);
		if (sendq.queued_bytes == 0 && sendq.lent_bytes == 0)
			emptied_count++;
	}
	ck_assert_uint_gt(refused_count, 0);
	ck_assert_uint_gt(emptied_count, 0);
	if (sendq.lent_bytes > 0)
		wi_sendq_take_back(&sendq, blocks, 0);
	while (sendq.queued_bytes > 0) {
		uint32_t bytes = gather_verify(IOV_COUNT);
		wi_sendq_lend(&sendq, bytes);
		wi_sendq_take_back(&sendq, blocks, bytes);
		out_count += bytes;
	}
	ck_assert_uint_eq(out_count, in_count);
	wi_sendq_clear(&sendq, blocks);
	wi_blocks_give(blocks, half, WI_BLOCK_ORDER_MAX);
	wi_range_is_whole(&range);
}
END_TEST

/* ---- misuse of the send queue ------------------------------------------ */

static void misuse_commit(void *ctx)
{
	(void)ctx;
	(void)wi_sendq_reserve(&sendq, blocks, 10);
	wi_sendq_commit(&sendq, 11);
}

static void misuse_commit_twice(void *ctx)
{
	(void)ctx;
	(void)wi_sendq_reserve(&sendq, blocks, 10);
	wi_sendq_commit(&sendq, 10);
	wi_sendq_commit(&sendq, 1);
}

static void misuse_lend_twice(void *ctx)
{
	(void)ctx;
	push(10, 10);
	wi_sendq_lend(&sendq, 5);
	wi_sendq_lend(&sendq, 5);
}

static void misuse_lend_none(void *ctx)
{
	(void)ctx;
	push(10, 10);
	wi_sendq_lend(&sendq, 0);
}

static void misuse_lend_more(void *ctx)
{
	(void)ctx;
	push(10, 10);
	wi_sendq_lend(&sendq, 11);
}

static void misuse_take_back_more(void *ctx)
{
	(void)ctx;
	push(10, 10);
	wi_sendq_lend(&sendq, 5);
	wi_sendq_take_back(&sendq, blocks, 6);
}

static void misuse_clear_lent(void *ctx)
{
	(void)ctx;
	push(10, 10);
	wi_sendq_lend(&sendq, 5);
	wi_sendq_clear(&sendq, blocks);
}

static void check_begin_past_end(void *ctx)
{
	(void)ctx;
	push(10, 10);
	sendq.head->begin = 11;
	wi_sendq_check(&sendq);
}

static void check_end_past_capacity(void *ctx)
{
	(void)ctx;
	push(10, 10);
	sendq.head->end = sendq.head->capacity + 1;
	wi_sendq_check(&sendq);
}

static void check_tail(void *ctx)
{
	(void)ctx;
	push_three_chunks();
	sendq.tail = sendq.head;
	wi_sendq_check(&sendq);
}

static void check_sum(void *ctx)
{
	(void)ctx;
	push(10, 10);
	sendq.queued_bytes = 9;
	wi_sendq_check(&sendq);
}

static void check_lent(void *ctx)
{
	(void)ctx;
	push(10, 10);
	sendq.lent_bytes = 11;
	wi_sendq_check(&sendq);
}

static void misuse_lost_bytes(void *ctx)
{
	(void)ctx;
	push(10, 10);
	sendq.queued_bytes = 20;
	wi_sendq_lend(&sendq, 20);
	wi_sendq_take_back(&sendq, blocks, 20);
}

static void misuse_stash_use(void *ctx)
{
	(void)ctx;
	(void)wi_stash_append(&stash, blocks, (const uint8_t *)"abc", 3, 0);
	wi_stash_use(&stash, blocks, 4);
}

static void misuse_stash_append(void *ctx)
{
	(void)ctx;
	(void)wi_stash_append(&stash, blocks, (const uint8_t *)"", 0, 0);
}

static const struct {
	const char *what;
	void (*misuse)(void *ctx);
} misuses[] = {
	{ "committing more than was reserved", misuse_commit },
	{ "committing twice", misuse_commit_twice },
	{ "lending what is lent", misuse_lend_twice },
	{ "lending nothing", misuse_lend_none },
	{ "lending more than is queued", misuse_lend_more },
	{ "taking back more than was lent", misuse_take_back_more },
	{ "clearing what is lent", misuse_clear_lent },
	{ "taking back bytes that no chunk holds", misuse_lost_bytes },
	{ "a chunk that begins past its end", check_begin_past_end },
	{ "a chunk that ends past its room", check_end_past_capacity },
	{ "a tail that is not the last", check_tail },
	{ "a sum that differs from the chunks", check_sum },
	{ "more lent than queued", check_lent },
	{ "using more than is kept", misuse_stash_use },
	{ "appending nothing", misuse_stash_append },
};

START_TEST(sendq_and_stash_misuse_aborts)
{
	ck_assert_msg(wi_aborts(misuses[_i].misuse, NULL), "%s went by",
		      misuses[_i].what);
}
END_TEST

/* ---- the stash --------------------------------------------------------- */

static struct {
	uint64_t copied_bytes; /* moved within the stash, or to another block */
	uint32_t take_count;   /* blocks taken */
} cost;

/* Appends the next @byte_count of the stream. Returns what append did. */
static int append(uint32_t byte_count, uint32_t expected_bytes)
{
	static uint8_t bytes[8 * MIB];
	const struct wi_stash before = stash;
	stream_fill(bytes, in_count, byte_count);
	int err = wi_stash_append(&stash, blocks, bytes, byte_count,
				  expected_bytes);
	if (err < 0) {
		if (stash.bytes != before.bytes ||
		    stash.begin != before.begin || stash.end != before.end ||
		    stash.order != before.order)
			ck_abort_msg("a refusal changed the stash");
		return err;
	}
	in_count += byte_count;
	if (stash.bytes != before.bytes)
		cost.take_count++;
	if (stash.bytes != before.bytes || stash.begin != before.begin)
		cost.copied_bytes += wi_stash_count(&before);
	return 0;
}

static void use(uint32_t byte_count)
{
	wi_stash_use(&stash, blocks, byte_count);
	out_count += byte_count;
}

/* One piece: the stream from the first unused byte. */
static void stash_verify(void)
{
	uint32_t held = in_count - out_count;
	size_t block_bytes = held > 0 ? wi_block_bytes(stash.order) : 0;
	if (wi_stash_count(&stash) != held || stash.end > block_bytes ||
	    (stash.bytes == NULL) != (held == 0) ||
	    blocks->used_bytes != block_bytes)
		ck_abort_msg("%u bytes kept up to %u in %zu, not %u",
			     wi_stash_count(&stash), stash.end,
			     blocks->used_bytes, held);
	if (held > 0)
		stream_verify(stash.bytes + stash.begin, out_count, held);
}

static void cost_start(void)
{
	cost.copied_bytes = 0;
	cost.take_count = 0;
}

START_TEST(stash_shows_what_was_appended_and_not_used)
{
	ck_assert_uint_eq(wi_stash_count(&stash), 0);
	ck_assert_int_eq(append(10, 0), 0);
	stash_verify();
	use(0);
	stash_verify();
	use(4);
	stash_verify();
	ck_assert_int_eq(append(20, 0), 0);
	stash_verify();
	use(26); /* the last byte gives the block back */
	stash_verify();
	wi_range_is_whole(&range);
}
END_TEST

START_TEST(stash_has_room_for_what_fits_behind_the_last_byte)
{
	ck_assert(!wi_stash_has_room(&stash, 0)); /* it has no block */
	ck_assert(!wi_stash_has_room(&stash, 1));
	ck_assert_int_eq(append(1000, 1000), 0);
	ck_assert(wi_stash_has_room(&stash, 24));
	ck_assert(!wi_stash_has_room(&stash, 25));
	use(999); /* bytes in front of it do not count */
	ck_assert(wi_stash_has_room(&stash, 24));
	ck_assert(!wi_stash_has_room(&stash, 25));
}
END_TEST

START_TEST(stash_clear_gives_the_block_back)
{
	ck_assert_int_eq(append(5000, 0), 0);
	wi_stash_clear(&stash, blocks);
	ck_assert_ptr_null(stash.bytes);
	ck_assert_uint_eq(wi_stash_count(&stash), 0);
	wi_stash_clear(&stash, blocks); /* empty: nothing happens */
	wi_range_is_whole(&range);
}
END_TEST

/* Bytes that arrive first, expected bytes in all, and the resulting block. */
static const struct {
	const char *what;
	uint32_t bytes;
	uint32_t expected_bytes;
	size_t block_bytes;
} believe_cases[] = {
	{ "nothing is known", 10, 0, KIB },
	{ "nothing is known: room for as much again", 1000, 0, 2 * KIB },
	{ "less is expected than is there", 3000, 100, 8 * KIB },
	{ "exactly what is there", 3000, 3000, 4 * KIB },
	{ "a small promise", 10, 5000, 8 * KIB },
	{ "the largest promise that is believed", 10, 64 * KIB, 64 * KIB },
	{ "a larger one is not", 10, 64 * KIB + 1, 64 * KIB },
	{ "an absurd one is not", 10, UINT32_MAX, 64 * KIB },
	{ "half of what is believed has come", 32 * KIB, MIB, 64 * KIB },
	{ "a byte more than half has", 32 * KIB + 1, MIB, 128 * KIB },
	{ "much has come", MIB, 3 * MIB, 2 * MIB },
	{ "and the rest is less than as much again", MIB, MIB + 1, 2 * MIB },
	{ "so much that twice does not exist", 5 * MIB, 0, 8 * MIB },
	{ "all that there can be", 8 * MIB, 8 * MIB, 8 * MIB },
};

START_TEST(stash_believes_a_promise_only_as_far_as_bytes_have_come)
{
	ck_assert_int_eq(append(believe_cases[_i].bytes,
				believe_cases[_i].expected_bytes),
			 0);
	ck_assert_msg(blocks->used_bytes == believe_cases[_i].block_bytes,
		      "%s: %zu bytes", believe_cases[_i].what,
		      blocks->used_bytes);
	stash_verify();
}
END_TEST

START_TEST(stash_of_a_long_promise_is_bounded_by_what_has_come)
{
	/* Steps of @_i bytes and more; 8 MiB announced at the start. */
	static const uint32_t steps[] = { 1000, 4099, 16 * KIB, 100000 };
	while (in_count < 4 * MIB) {
		ck_assert_int_eq(append(steps[_i], 8 * MIB), 0);
		/* Twice the bytes so far, or 64 KiB, in one whole block. */
		size_t ceiling = 2 * (size_t)in_count;
		if (ceiling < 64 * KIB)
			ceiling = 64 * KIB;
		ck_assert_uint_le(stash.order, wi_block_order(ceiling));
		ck_assert_uint_eq(blocks->used_bytes,
				  wi_block_bytes(stash.order));
	}
	stash_verify();
}
END_TEST

START_TEST(stash_of_a_true_promise_is_filled_with_little_copying)
{
	/* 1 MiB in buffers of 16 KiB, announced at the start. */
	cost_start();
	while (in_count < MIB)
		ck_assert_int_eq(append(16 * KIB, MIB), 0);
	stash_verify();
	ck_assert_uint_eq(blocks->used_bytes, MIB);
	ck_assert_uint_le(cost.take_count, 5);
	ck_assert_uint_le(cost.copied_bytes, MIB);
}
END_TEST

START_TEST(stash_copies_each_byte_a_bounded_number_of_times)
{
	/* Byte by byte; announcing "one more" each time must not help. */
	const bool promises = _i == 1;
	cost_start();
	while (in_count < MIB)
		if (append(1, promises ? in_count + 1 : 0) < 0)
			ck_abort_msg("refused at byte %u", in_count);
	stash_verify();
	/* 1 KiB doubled ten times. */
	ck_assert_uint_le(cost.take_count, 11);
	ck_assert_uint_le(cost.copied_bytes, 2 * (uint64_t)in_count);
}
END_TEST

/* A reader that always needs @window bytes and uses a few of them. */
static const struct {
	uint32_t window_bytes;
	uint32_t use_bytes;
	bool promises; /* announces how many it needs */
} window_cases[] = {
	{ 100, 1, false },     { 100, 1, true },      { 1000, 1, false },
	{ 1000, 1, true },     { 1023, 1, true },     { 1024, 1, true },
	{ 1024, 1, false },    { 1025, 1, true },     { 8192, 1, true },
	{ 65536, 1, true },    { 65536, 1, false },   { 8192, 4096, true },
	{ 100000, 100, true }, { 8192, 8191, false }, { 8192, 8192, true },
};

START_TEST(stash_that_slides_copies_each_byte_a_bounded_number_of_times)
{
	const uint32_t window = window_cases[_i].window_bytes;
	const uint32_t step = window_cases[_i].use_bytes;
	const uint32_t expected = window_cases[_i].promises ? window : 0;

	cost_start();
	ck_assert_int_eq(append(window, expected), 0);
	for (int i = 0; i < 20000; i++) {
		use(step);
		if (append(step, expected) < 0)
			ck_abort_msg("refused at byte %u", in_count);
		if (blocks->used_bytes > 4 * (size_t)window + 2 * KIB)
			ck_abort_msg("%zu bytes of blocks", blocks->used_bytes);
	}
	stash_verify();
	ck_assert_msg(cost.copied_bytes <= 3 * (uint64_t)in_count,
		      "%llu bytes copied for %u that came in",
		      (unsigned long long)cost.copied_bytes, in_count);
}
END_TEST

START_TEST(stash_stays_as_it_was_when_the_memory_is_used_up)
{
	ck_assert_int_eq(append(900, 900), 0);
	use(100);
	wi_range_hog(&range, WI_BLOCK_ORDER_MAX);
	wi_range_hog(&range, 0);

	ck_assert_int_eq(append(1000, 0), -ENOMEM);
	ck_assert_int_eq(append(8 * MIB - 800, 0), -ENOMEM);
	stream_verify(stash.bytes + stash.begin, out_count, 800);
	ck_assert_int_eq(append(124, 0), 0); /* fits behind */
	stream_verify(stash.bytes + stash.begin, out_count, 924);
}
END_TEST

START_TEST(stash_that_is_empty_stays_empty_when_the_memory_is_used_up)
{
	wi_range_hog(&range, 0);
	ck_assert_int_eq(append(1, 0), -ENOMEM);
	ck_assert_int_eq(append(1, 5000), -ENOMEM);
	ck_assert_ptr_null(stash.bytes);
	use(0);
	wi_stash_clear(&stash, blocks);
}
END_TEST

START_TEST(stash_moves_to_the_front_of_its_block_when_there_is_no_other)
{
	ck_assert_int_eq(append(1024, 1024), 0);
	use(10);
	wi_range_hog(&range, WI_BLOCK_ORDER_MAX);
	wi_range_hog(&range, 0);
	/* To move 1014 bytes for 10 is expensive, but better than a failure. */
	ck_assert_int_eq(append(10, 0), 0);
	ck_assert_uint_eq(stash.begin, 0);
	ck_assert_uint_eq(stash.end, 1024);
	stream_verify(stash.bytes + stash.begin, out_count, 1024);
	ck_assert_int_eq(append(1, 0), -ENOMEM);
	stream_verify(stash.bytes + stash.begin, out_count, 1024);
}
END_TEST

START_TEST(stash_that_must_move_makes_room_for_all_that_is_expected)
{
	ck_assert_int_eq(append(1024, 1024), 0);
	use(10);
	ck_assert_int_eq(append(10, 50000), 0); /* would fit, once moved */
	ck_assert_uint_eq(blocks->used_bytes, 64 * KIB);
	stash_verify();
}
END_TEST

START_TEST(stash_is_content_with_a_smaller_block_when_memory_is_short)
{
	void *small = wi_blocks_take(blocks, 2);
	wi_range_hog(&range, 0);
	wi_blocks_give(blocks, small, 2);
	ck_assert_int_eq(append(3000, 64 * KIB), 0);
	ck_assert_uint_eq(stash.order, 2);
	stream_verify(stash.bytes, 0, 3000);
}
END_TEST

START_TEST(stash_moves_to_the_front_once_it_is_paid_for)
{
	ck_assert_int_eq(append(1000, 1024), 0);
	use(600);
	cost_start();
	ck_assert_int_eq(append(500, 0), 0);
	ck_assert_uint_eq(stash.begin, 0);
	ck_assert_uint_eq(cost.take_count, 0);
	stash_verify();
	use(900);
	wi_range_is_whole(&range);
}
END_TEST

static void chance_step(uint64_t *state, uint32_t *failed_count)
{
	static const uint32_t ceilings[] = { 8, 300, 3000, 70000, 900000 };
	uint32_t pick = wi_random(state) % 12;
	uint32_t ceiling = ceilings[pick < 5 ? pick : pick % 3];
	uint32_t held = wi_stash_count(&stash);

	if (wi_random(state) % 2 == 0) {
		uint32_t bytes = 1 + wi_random(state) % ceiling;
		uint32_t expected = 0;
		if (wi_random(state) % 2 == 0)
			expected = wi_random(state) % (2 * (held + bytes) + 1);
		if (append(bytes, expected) < 0)
			(*failed_count)++;
	} else if (held > 0) {
		uint32_t bytes = wi_random(state) % (held + 1);
		use(wi_random(state) % 8 == 0 ? held : bytes);
	}
}

START_TEST(stash_keeps_the_stream_over_random_appends_and_uses)
{
	uint64_t state = 0x57a5 + (uint64_t)_i;
	uint32_t failed_count = 0;
	cost_start();
	for (int step = 0; step < 8000; step++) {
		chance_step(&state, &failed_count);
		if (step % 8 == 0 || wi_stash_count(&stash) < 5000)
			stash_verify();
	}
	ck_assert_uint_eq(failed_count, 0);
	ck_assert_uint_le(cost.copied_bytes, 3 * (uint64_t)in_count);
	use(wi_stash_count(&stash));
	wi_range_is_whole(&range);
}
END_TEST

WI_SUITE(sendq, "sendq", 0)
{
	TCase *queue = tcase_create("send queue");
	TCase *kept = tcase_create("stash");

	tcase_add_checked_fixture(queue, stream_start, stream_end);
	tcase_set_timeout(queue, 60); /* seconds; valgrind needs longer */
	tcase_add_test(queue, sendq_is_empty_and_holds_nothing_at_first);
	tcase_add_test(queue, sendq_shows_nothing_of_what_is_only_reserved);
	tcase_add_test(queue, sendq_queues_only_what_is_committed_of_a_reserve);
	tcase_add_test(queue, sendq_second_reserve_replaces_the_first);
	tcase_add_test(
		queue,
		sendq_reserve_alone_may_leave_an_empty_chunk_at_its_head);
	tcase_add_test(queue, sendq_forgets_a_reserve_that_was_never_committed);
	tcase_add_loop_test(
		queue, sendq_first_chunk_is_the_smallest_that_holds_the_bytes,
		0, sizeof(fit_cases) / sizeof(fit_cases[0]));
	tcase_add_test(queue,
		       sendq_reserve_of_more_than_the_largest_block_is_refused);
	tcase_add_test(queue, sendq_grows_by_chunks_as_long_as_itself);
	tcase_add_test(
		queue,
		sendq_long_queue_is_content_with_a_small_chunk_when_memory_is_short);
	tcase_add_test(queue, sendq_loses_nothing_when_the_memory_is_used_up);
	tcase_add_test(queue, sendq_goes_on_after_a_short_send_at_every_byte);
	tcase_add_test(queue, sendq_takes_more_in_while_its_head_is_lent);
	tcase_add_test(queue, sendq_gathers_no_more_pieces_than_it_is_given);
	tcase_add_test(queue, sendq_clear_drops_everything_and_gives_it_back);
	tcase_add_loop_test(
		queue,
		sendq_keeps_the_stream_over_random_pushes_and_short_sends, 0,
		wi_is_deep() ? 8 : 2);
	tcase_add_loop_test(queue, sendq_and_stash_misuse_aborts, 0,
			    sizeof(misuses) / sizeof(misuses[0]));
	suite_add_tcase(suite, queue);

	tcase_add_checked_fixture(kept, stream_start, stream_end);
	tcase_set_timeout(kept, 60);
	tcase_add_test(kept, stash_shows_what_was_appended_and_not_used);
	tcase_add_test(kept, stash_has_room_for_what_fits_behind_the_last_byte);
	tcase_add_test(kept, stash_clear_gives_the_block_back);
	tcase_add_loop_test(
		kept, stash_believes_a_promise_only_as_far_as_bytes_have_come,
		0, sizeof(believe_cases) / sizeof(believe_cases[0]));
	tcase_add_loop_test(kept,
			    stash_of_a_long_promise_is_bounded_by_what_has_come,
			    0, 4);
	tcase_add_test(kept,
		       stash_of_a_true_promise_is_filled_with_little_copying);
	tcase_add_loop_test(
		kept, stash_copies_each_byte_a_bounded_number_of_times, 0, 2);
	tcase_add_loop_test(
		kept,
		stash_that_slides_copies_each_byte_a_bounded_number_of_times, 0,
		sizeof(window_cases) / sizeof(window_cases[0]));
	tcase_add_test(kept, stash_stays_as_it_was_when_the_memory_is_used_up);
	tcase_add_test(
		kept,
		stash_that_is_empty_stays_empty_when_the_memory_is_used_up);
	tcase_add_test(
		kept,
		stash_moves_to_the_front_of_its_block_when_there_is_no_other);
	tcase_add_test(
		kept,
		stash_is_content_with_a_smaller_block_when_memory_is_short);
	tcase_add_test(
		kept, stash_that_must_move_makes_room_for_all_that_is_expected);
	tcase_add_test(kept, stash_moves_to_the_front_once_it_is_paid_for);
	tcase_add_loop_test(kept,
			    stash_keeps_the_stream_over_random_appends_and_uses,
			    0, wi_is_deep() ? 8 : 2);
	suite_add_tcase(suite, kept);
}
