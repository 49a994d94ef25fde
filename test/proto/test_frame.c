/* test_frame.c - length-prefix framing
 *
 * Tables give the results of single inputs; stories test every format with
 * every cut. Long loops check by hand and fail with ck_abort_msg(), because
 * each ck_assert writes to a file even when it holds.
 */
#include "../fuzz/fuzz_replay.h"
#include "../rig/count_of.h"
#include "../suites.h"
#include "proto/frame.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A literal's bytes without the terminator, but with the NULs inside it. */
#define WIRE(literal) .wire = (literal), .wire_bytes = sizeof(literal) - 1
#define LIMIT_NONE SIZE_MAX

enum {
	FORMAT_COUNT = WEIR_FRAME_PREFIX_COUNT * 2 * 2,
	ROUND_TRIP_LIMIT_BYTES = 70000,
	STREAM_BYTES_MAX = 16384,
	PROPERTY_RUN_COUNT = 10000,
	PROPERTY_LIMIT_BYTES = 300,
	FUZZ_RUN_COUNT = 20000,
};

static const uint64_t property_seed = 20250711;

/* ---- every format -------------------------------------------------------- */

static struct weir_frame_format format_at(int index, size_t payload_bytes_max)
{
	return (struct weir_frame_format){
		.prefix = index % WEIR_FRAME_PREFIX_COUNT,
		.is_little_endian = index / WEIR_FRAME_PREFIX_COUNT % 2 != 0,
		.counts_header = index / WEIR_FRAME_PREFIX_COUNT / 2 != 0,
		.payload_bytes_max = payload_bytes_max,
	};
}

static const char *format_text(const struct weir_frame_format *format)
{
	static const char *const prefix_names[WEIR_FRAME_PREFIX_COUNT] = {
		[WEIR_FRAME_U32] = "u32",       [WEIR_FRAME_U8] = "u8",
		[WEIR_FRAME_U16] = "u16",       [WEIR_FRAME_U64] = "u64",
		[WEIR_FRAME_VARINT] = "varint",
	};
	static char text[64];

	(void)snprintf(text, sizeof(text), "%s%s%s, limit %zu",
		       prefix_names[format->prefix],
		       format->is_little_endian ? " little-endian" : "",
		       format->counts_header ? " counting itself" : "",
		       format->payload_bytes_max);
	return text;
}

/* The largest length of a prefix, from the definition. */
static uint64_t format_payload_bytes_max(const struct weir_frame_format *format)
{
	static const uint64_t length_max[WEIR_FRAME_PREFIX_COUNT] = {
		[WEIR_FRAME_U32] = UINT32_MAX,    [WEIR_FRAME_U8] = UINT8_MAX,
		[WEIR_FRAME_U16] = UINT16_MAX,    [WEIR_FRAME_U64] = UINT64_MAX,
		[WEIR_FRAME_VARINT] = UINT64_MAX,
	};
	static const uint64_t header_bytes[WEIR_FRAME_PREFIX_COUNT] = {
		[WEIR_FRAME_U32] = 4,     [WEIR_FRAME_U8] = 1,
		[WEIR_FRAME_U16] = 2,     [WEIR_FRAME_U64] = 8,
		[WEIR_FRAME_VARINT] = 10,
	};

	return length_max[format->prefix] -
	       (format->counts_header ? header_bytes[format->prefix] : 0);
}

/* ---- a page that must not be touched ------------------------------------- */

static uint8_t *guard_base;
static size_t guard_page_bytes;

static void guard_init(void)
{
	guard_page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	guard_base = mmap(NULL, 2 * guard_page_bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(guard_base, MAP_FAILED);
	ck_assert_int_eq(mprotect(guard_base + guard_page_bytes,
				  guard_page_bytes, PROT_NONE),
			 0);
}

static void guard_fini(void)
{
	ck_assert_int_eq(munmap(guard_base, 2 * guard_page_bytes), 0);
}

/* A copy whose next byte is on the guard page. */
static const uint8_t *guard_place(const void *bytes, size_t byte_count)
{
	uint8_t *place = guard_base + guard_page_bytes - byte_count;

	if (byte_count > guard_page_bytes)
		ck_abort_msg("%zu bytes exceed a page", byte_count);
	if (byte_count > 0)
		memcpy(place, bytes, byte_count);
	return place;
}

/* ---- a reader that gets its stream in pieces ----------------------------- */

struct reading {
	size_t frame_count;
	size_t consumed_bytes;
	uint64_t digest; /* of the place of each payload */
	int err;         /* what ended it */
	struct weir_frame last;
};

static void reading_go_on(struct reading *reading,
			  const struct weir_frame_format *format,
			  const uint8_t *stream, size_t here_bytes)
{
	for (;;) {
		reading->err = weir_frame_decode(
			format, stream + reading->consumed_bytes,
			here_bytes - reading->consumed_bytes, &reading->last);
		if (reading->err < 0)
			return;
		reading->digest = reading->digest * 31 +
				  (uint64_t)(reading->last.payload - stream);
		reading->digest =
			reading->digest * 31 + reading->last.payload_bytes;
		reading->consumed_bytes += reading->last.frame_bytes;
		reading->frame_count++;
	}
}

/* @cuts: ascending places between pieces; the end of the stream is implied */
static struct reading reading_of(const struct weir_frame_format *format,
				 const uint8_t *stream, size_t stream_bytes,
				 const size_t *cuts, size_t cut_count)
{
	struct reading reading = { .err = -EAGAIN };

	for (size_t i = 0; i <= cut_count; i++) {
		reading_go_on(&reading, format, stream,
			      i < cut_count ? cuts[i] : stream_bytes);
		if (reading.err != -EAGAIN)
			break;
	}
	return reading;
}

static struct reading reading_of_single_bytes(
	const struct weir_frame_format *format, const uint8_t *stream,
	size_t stream_bytes)
{
	struct reading reading = { .err = -EAGAIN };

	for (size_t here_bytes = 0; here_bytes <= stream_bytes; here_bytes++) {
		reading_go_on(&reading, format, stream, here_bytes);
		if (reading.err != -EAGAIN)
			break;
	}
	return reading;
}

static bool reading_is_same(const struct reading *a, const struct reading *b)
{
	return a->frame_count == b->frame_count &&
	       a->consumed_bytes == b->consumed_bytes &&
	       a->digest == b->digest && a->err == b->err &&
	       a->last.need_bytes == b->last.need_bytes &&
	       a->last.wire_length == b->last.wire_length &&
	       a->last.limit == b->last.limit;
}

/* ---- a source of chance: splitmix64 -------------------------------------- */

static uint64_t chance_next(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = *state;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static size_t chance_below(uint64_t *state, size_t bound)
{
	return (size_t)(chance_next(state) % bound);
}

/* Writes a frame with a random payload. Returns its bytes. */
static size_t stream_append(const struct weir_frame_format *format,
			    uint8_t *out, size_t room_bytes,
			    size_t payload_bytes)
{
	size_t frame_bytes = weir_frame_bytes(format, payload_bytes);
	uint8_t *payload =
		weir_frame_encode(format, out, room_bytes, payload_bytes);

	if (payload == NULL)
		ck_abort_msg("%s: %zu bytes of payload do not encode",
			     format_text(format), payload_bytes);
	for (size_t i = 0; i < payload_bytes; i++)
		payload[i] = (uint8_t)(i * 167 + payload_bytes);
	return frame_bytes;
}

/* ---- single inputs ------------------------------------------------------- */

#define U8 .prefix = WEIR_FRAME_U8
#define U16 .prefix = WEIR_FRAME_U16
#define U64 .prefix = WEIR_FRAME_U64
#define VARINT .prefix = WEIR_FRAME_VARINT
#define LITTLE .is_little_endian = true
#define COUNTED .counts_header = true
#define LIMIT(bytes) .payload_bytes_max = (bytes)

/* The four outcomes; fields that they do not set are 0. */
#define FRAME(payload, frame_)                                                 \
	.want = 0,                                                             \
	.frame = { .payload_bytes = (payload), .frame_bytes = (frame_) }
#define NEEDS(bytes) .want = -EAGAIN, .frame = { .need_bytes = (bytes) }
#define OVERSIZE(length, limit_)                                               \
	.want = -EMSGSIZE,                                                     \
	.frame = { .wire_length = (length), .limit = (limit_) }
#define MALFORMED(length) .want = -EBADMSG, .frame = { .wire_length = (length) }

static const struct {
	const char *when;
	struct weir_frame_format format;
	const char *wire;
	size_t wire_bytes;
	int want;
	struct weir_frame frame; /* payload: offset of the first byte */
} decode_cases[] = {
	{ "nothing has arrived", { 0 }, WIRE(""), NEEDS(4) },
	{ "the prefix is cut short", { 0 }, WIRE("\0\0\1"), NEEDS(4) },
	{ "the prefix is there, the payload is not",
	  { 0 },
	  WIRE("\0\0\1\0"),
	  NEEDS(260) },
	{ "the payload is cut short", { 0 }, WIRE("\0\0\0\2o"), NEEDS(6) },
	{ "the payload is whole", { 0 }, WIRE("\0\0\0\2ok"), FRAME(2, 6) },
	{ "a second frame follows",
	  { 0 },
	  WIRE("\0\0\0\2ok\0\0\0\1!"),
	  FRAME(2, 6) },
	{ "the payload is empty", { 0 }, WIRE("\0\0\0\0"), FRAME(0, 4) },

	/* Each width and each byte order. */
	{ "u8", { U8 }, WIRE("\2ok"), FRAME(2, 3) },
	{ "u8 at its highest", { U8 }, WIRE("\xff"), NEEDS(256) },
	{ "u16", { U16 }, WIRE("\1\2"), NEEDS(0x102 + 2) },
	{ "u16 little", { U16, LITTLE }, WIRE("\1\2"), NEEDS(0x201 + 2) },
	{ "u16 cut", { U16 }, WIRE("\1"), NEEDS(2) },
	{ "u32",
	  { LIMIT(LIMIT_NONE) },
	  WIRE("\1\2\3\4"),
	  NEEDS(0x01020304 + 4) },
	{ "u32 little",
	  { LITTLE, LIMIT(LIMIT_NONE) },
	  WIRE("\1\2\3\4"),
	  NEEDS(0x04030201 + 4) },
	{ "u64",
	  { U64, LIMIT(LIMIT_NONE) },
	  WIRE("\1\2\3\4\5\6\7\x8"),
	  NEEDS(0x0102030405060708 + 8) },
	{ "u64 little",
	  { U64, LITTLE, LIMIT(LIMIT_NONE) },
	  WIRE("\1\2\3\4\5\6\7\x8"),
	  NEEDS(0x0807060504030201 + 8) },
	{ "u64 cut", { U64 }, WIRE("\0\0\0\0\0\0\0"), NEEDS(8) },
	{ "varint of one byte", { VARINT }, WIRE("\x02ok"), FRAME(2, 3) },
	{ "varint of nothing yet", { VARINT }, WIRE(""), NEEDS(1) },
	{ "varint that goes on", { VARINT }, WIRE("\x80"), NEEDS(2) },
	{ "varint that goes on and on",
	  { VARINT },
	  WIRE("\x80\x80\x80"),
	  NEEDS(4) },
	{ "varint of two bytes", { VARINT }, WIRE("\xac\x02"), NEEDS(300 + 2) },
	{ "varint has no byte order",
	  { VARINT, LITTLE },
	  WIRE("\xac\x02"),
	  NEEDS(300 + 2) },

	/* The limit. */
	{ "at the limit", { LIMIT(5) }, WIRE("\0\0\0\5"), NEEDS(9) },
	{ "one above the limit",
	  { LIMIT(5) },
	  WIRE("\0\0\0\6"),
	  OVERSIZE(6, 5) },
	{ "one above the limit, payload there",
	  { LIMIT(5) },
	  WIRE("\0\0\0\6abcdef"),
	  OVERSIZE(6, 5) },
	{ "at the default limit",
	  { 0 },
	  WIRE("\0\x10\0\0"),
	  NEEDS((1 << 20) + 4) },
	{ "one above the default limit",
	  { 0 },
	  WIRE("\0\x10\0\1"),
	  OVERSIZE((1 << 20) + 1, 1 << 20) },
	{ "the limit is of the payload, not of the length",
	  { COUNTED, LIMIT(5) },
	  WIRE("\0\0\0\x9"),
	  NEEDS(9) },
	{ "one above the limit, header counted",
	  { COUNTED, LIMIT(5) },
	  WIRE("\0\0\0\xa"),
	  OVERSIZE(10, 5) },

	/* Lengths from which sums would wrap. */
	{ "0x80000000",
	  { 0 },
	  WIRE("\x80\0\0\0"),
	  OVERSIZE(0x80000000, 1 << 20) },
	{ "0xFFFFFFFF",
	  { 0 },
	  WIRE("\xff\xff\xff\xff"),
	  OVERSIZE(UINT32_MAX, 1 << 20) },
	{ "0x80000000 and no limit",
	  { LIMIT(LIMIT_NONE) },
	  WIRE("\x80\0\0\0"),
	  NEEDS((size_t)0x80000000 + 4) },
	{ "0xFFFFFFFF and no limit",
	  { LIMIT(LIMIT_NONE) },
	  WIRE("\xff\xff\xff\xff"),
	  NEEDS((size_t)UINT32_MAX + 4) },
	{ "0xFFFFFFFF counted, no limit",
	  { COUNTED, LIMIT(LIMIT_NONE) },
	  WIRE("\xff\xff\xff\xff"),
	  NEEDS(UINT32_MAX) },
	{ "UINT64_MAX",
	  { U64 },
	  WIRE("\xff\xff\xff\xff\xff\xff\xff\xff"),
	  OVERSIZE(UINT64_MAX, 1 << 20) },
	{ "UINT64_MAX and no limit",
	  { U64, LIMIT(LIMIT_NONE) },
	  WIRE("\xff\xff\xff\xff\xff\xff\xff\xff"),
	  OVERSIZE(UINT64_MAX, SIZE_MAX - 10) },
	{ "the highest length of all",
	  { U64, LIMIT(LIMIT_NONE) },
	  WIRE("\xff\xff\xff\xff\xff\xff\xff\xf5"),
	  NEEDS(SIZE_MAX - 2) },
	{ "UINT64_MAX as a varint",
	  { VARINT, LIMIT(LIMIT_NONE) },
	  WIRE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
	  OVERSIZE(UINT64_MAX, SIZE_MAX - 10) },
	{ "UINT64_MAX as a varint, counted",
	  { VARINT, COUNTED, LIMIT(LIMIT_NONE) },
	  WIRE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
	  NEEDS(SIZE_MAX) },

	/* The header counted. */
	{ "nothing but the header",
	  { COUNTED },
	  WIRE("\0\0\0\4"),
	  FRAME(0, 4) },
	{ "u32 below its header", { COUNTED }, WIRE("\0\0\0\3"), MALFORMED(3) },
	{ "u32 of zero", { COUNTED }, WIRE("\0\0\0\0abcd"), MALFORMED(0) },
	{ "u8 below its header", { U8, COUNTED }, WIRE("\0"), MALFORMED(0) },
	{ "u16 below its header",
	  { U16, LITTLE, COUNTED },
	  WIRE("\1\0"),
	  MALFORMED(1) },
	{ "u64 below its header",
	  { U64, COUNTED },
	  WIRE("\0\0\0\0\0\0\0\7"),
	  MALFORMED(7) },
	{ "varint below its header",
	  { VARINT, COUNTED },
	  WIRE("\0"),
	  MALFORMED(0) },
	{ "varint of its header alone",
	  { VARINT, COUNTED },
	  WIRE("\1"),
	  FRAME(0, 1) },
	{ "varint at its highest in one byte",
	  { VARINT, COUNTED },
	  WIRE("\x7f"),
	  NEEDS(127) },
	{ "varint that could be one byte",
	  { VARINT, COUNTED },
	  WIRE("\x80\1"),
	  MALFORMED(128) },
	{ "varint that needs two bytes",
	  { VARINT, COUNTED },
	  WIRE("\x81\1"),
	  NEEDS(129) },

	/* Invalid varints. */
	{ "zero in two bytes", { VARINT }, WIRE("\x80\0"), MALFORMED(0) },
	{ "five in three bytes", { VARINT }, WIRE("\x85\x80\0"), MALFORMED(5) },
	{ "one in ten bytes",
	  { VARINT },
	  WIRE("\x81\x80\x80\x80\x80\x80\x80\x80\x80\0"),
	  MALFORMED(1) },
	{ "not minimal and oversize",
	  { VARINT, LIMIT(1) },
	  WIRE("\x85\x80\0"),
	  MALFORMED(5) },
	{ "bit 64 is set",
	  { VARINT },
	  WIRE("\x80\x80\x80\x80\x80\x80\x80\x80\x80\2"),
	  MALFORMED(UINT64_MAX) },
	{ "ten bytes and going on",
	  { VARINT },
	  WIRE("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"),
	  MALFORMED(UINT64_MAX) },
	{ "eleven bytes",
	  { VARINT },
	  WIRE("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\1"),
	  MALFORMED(UINT64_MAX) },
	{ "nine bytes of ones",
	  { VARINT },
	  WIRE("\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
	  NEEDS(10) },
};

START_TEST(frame_decode_gives_a_frame_or_the_reason)
{
	const char *when = decode_cases[_i].when;
	const struct weir_frame *want = &decode_cases[_i].frame;
	size_t wire_bytes = decode_cases[_i].wire_bytes;
	const uint8_t *wire = guard_place(decode_cases[_i].wire, wire_bytes);
	struct weir_frame got;
	memset(&got, 0xa5, sizeof(got)); /* every field is written */

	int err = weir_frame_decode(&decode_cases[_i].format, wire, wire_bytes,
				    &got);

	ck_assert_msg(err == decode_cases[_i].want, "when %s: got %d, want %d",
		      when, err, decode_cases[_i].want);
	const uint8_t *want_payload =
		err == 0 ? wire + want->frame_bytes - want->payload_bytes
			 : NULL;
	ck_assert_msg(got.payload == want_payload, "when %s: payload", when);
	ck_assert_msg(got.payload_bytes == want->payload_bytes,
		      "when %s: payload of %zu", when, got.payload_bytes);
	ck_assert_msg(got.frame_bytes == want->frame_bytes,
		      "when %s: frame of %zu", when, got.frame_bytes);
	ck_assert_msg(got.need_bytes == want->need_bytes, "when %s: need %zu",
		      when, got.need_bytes);
	ck_assert_msg(got.wire_length == want->wire_length,
		      "when %s: length %" PRIu64, when, got.wire_length);
	ck_assert_msg(got.limit == want->limit, "when %s: limit %" PRIu64, when,
		      got.limit);
}
END_TEST

/* An input gives the same end in one piece, cut anywhere, and byte by byte. */
START_TEST(frame_decode_gives_the_same_in_pieces)
{
	const struct weir_frame_format *format = &decode_cases[_i].format;
	size_t wire_bytes = decode_cases[_i].wire_bytes;
	const uint8_t *wire = guard_place(decode_cases[_i].wire, wire_bytes);
	struct reading whole = reading_of(format, wire, wire_bytes, NULL, 0);

	for (size_t cut = 0; cut <= wire_bytes; cut++) {
		struct reading two =
			reading_of(format, wire, wire_bytes, &cut, 1);
		ck_assert_msg(reading_is_same(&two, &whole),
			      "when %s: cut at %zu", decode_cases[_i].when,
			      cut);
	}
	struct reading single =
		reading_of_single_bytes(format, wire, wire_bytes);
	ck_assert_msg(reading_is_same(&single, &whole), "when %s: byte by byte",
		      decode_cases[_i].when);
}
END_TEST

/* Explicit wire bytes, so that encode and decode cannot share an error. */
static const struct {
	const char *when;
	struct weir_frame_format format;
	size_t payload_bytes;
	const char *wire;
	size_t wire_bytes; /* of the prefix */
} encode_cases[] = {
	{ "u32", { 0 }, 0x1234, WIRE("\0\0\x12\x34") },
	{ "u32 counted", { COUNTED }, 0x1234, WIRE("\0\0\x12\x38") },
	{ "u32 little", { LITTLE }, 0x1234, WIRE("\x34\x12\0\0") },
	{ "u32 little counted",
	  { LITTLE, COUNTED },
	  0x1234,
	  WIRE("\x38\x12\0\0") },
	{ "u32 at its highest",
	  { LIMIT(LIMIT_NONE) },
	  UINT32_MAX,
	  WIRE("\xff\xff\xff\xff") },
	{ "u32 counted at its highest",
	  { COUNTED, LIMIT(LIMIT_NONE) },
	  UINT32_MAX - 4,
	  WIRE("\xff\xff\xff\xff") },
	{ "u8", { U8 }, 255, WIRE("\xff") },
	{ "u8 counted", { U8, COUNTED }, 254, WIRE("\xff") },
	{ "u16", { U16 }, 0x1234, WIRE("\x12\x34") },
	{ "u16 counted", { U16, COUNTED }, 0xfffd, WIRE("\xff\xff") },
	{ "u16 little", { U16, LITTLE }, 0x1234, WIRE("\x34\x12") },
	{ "u64", { U64 }, 0x1234, WIRE("\0\0\0\0\0\0\x12\x34") },
	{ "u64 little", { U64, LITTLE }, 0x1234, WIRE("\x34\x12\0\0\0\0\0\0") },
	{ "u64 little counted",
	  { U64, LITTLE, COUNTED },
	  0x1234,
	  WIRE("\x3c\x12\0\0\0\0\0\0") },
	{ "u64 at its highest",
	  { U64, LIMIT(LIMIT_NONE) },
	  SIZE_MAX - 10,
	  WIRE("\xff\xff\xff\xff\xff\xff\xff\xf5") },
	{ "varint", { VARINT }, 300, WIRE("\xac\x02") },
	{ "varint zero", { VARINT }, 0, WIRE("\0") },
	{ "varint counted zero", { VARINT, COUNTED }, 0, WIRE("\1") },
	{ "varint at the highest of one byte", { VARINT }, 127, WIRE("\x7f") },
	{ "varint at the lowest of two", { VARINT }, 128, WIRE("\x80\1") },
	{ "varint counted, both widths fit",
	  { VARINT, COUNTED },
	  126,
	  WIRE("\x7f") },
	{ "varint counted, pushed over by itself",
	  { VARINT, COUNTED },
	  127,
	  WIRE("\x81\1") },
	{ "varint counted, both widths fit again",
	  { VARINT, COUNTED },
	  16381,
	  WIRE("\xff\x7f") },
	{ "varint counted, pushed over again",
	  { VARINT, COUNTED },
	  16382,
	  WIRE("\x81\x80\1") },
	{ "varint at its highest",
	  { VARINT, LIMIT(LIMIT_NONE) },
	  SIZE_MAX - 10,
	  WIRE("\xf5\xff\xff\xff\xff\xff\xff\xff\xff\1") },
	{ "varint counted at its highest",
	  { VARINT, COUNTED, LIMIT(LIMIT_NONE) },
	  SIZE_MAX - 10,
	  WIRE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\1") },
	/* Sizes without an encoding: no bytes. */
	{ "u8 and 256", { U8 }, 256, WIRE("") },
	{ "u8 counted and 255", { U8, COUNTED }, 255, WIRE("") },
	{ "u16 and 65536", { U16 }, 65536, WIRE("") },
	{ "u16 counted and 65534", { U16, COUNTED }, 65534, WIRE("") },
	{ "u32 and 2^32",
	  { LIMIT(LIMIT_NONE) },
	  (size_t)UINT32_MAX + 1,
	  WIRE("") },
	{ "u32 counted and 2^32 - 4",
	  { COUNTED, LIMIT(LIMIT_NONE) },
	  UINT32_MAX - 3,
	  WIRE("") },
	{ "one above the limit", { LIMIT(5) }, 6, WIRE("") },
	{ "one above the default limit", { 0 }, (1 << 20) + 1, WIRE("") },
	{ "the sum would wrap",
	  { LIMIT(LIMIT_NONE), U64 },
	  SIZE_MAX - 9,
	  WIRE("") },
	{ "SIZE_MAX",
	  { LIMIT(LIMIT_NONE), VARINT, COUNTED },
	  SIZE_MAX,
	  WIRE("") },
};

START_TEST(frame_encode_writes_exactly_the_prefix)
{
	const struct weir_frame_format *format = &encode_cases[_i].format;
	const char *when = encode_cases[_i].when;
	size_t payload_bytes = encode_cases[_i].payload_bytes;
	size_t prefix_bytes = encode_cases[_i].wire_bytes;
	uint8_t *out = guard_base + guard_page_bytes - prefix_bytes;
	size_t frame_bytes = weir_frame_bytes(format, payload_bytes);

	/* Only the prefix is written, so the room may be claimed and not
	 * exist. */
	const uint8_t *payload =
		weir_frame_encode(format, out, SIZE_MAX, payload_bytes);

	if (prefix_bytes == 0) {
		ck_assert_msg(frame_bytes == 0, "when %s: %zu bytes", when,
			      frame_bytes);
		ck_assert_msg(payload == NULL, "when %s: encoded", when);
		return;
	}
	ck_assert_msg(frame_bytes == prefix_bytes + payload_bytes,
		      "when %s: %zu bytes", when, frame_bytes);
	ck_assert_msg(payload == out + prefix_bytes, "when %s: payload", when);
	ck_assert_msg(memcmp(out, encode_cases[_i].wire, prefix_bytes) == 0,
		      "when %s: prefix", when);
}
END_TEST

/* ---- every format -------------------------------------------------------- */

static void check_round_trip(const struct weir_frame_format *format,
			     uint8_t *room, size_t room_bytes,
			     size_t payload_bytes)
{
	size_t frame_bytes =
		stream_append(format, room, room_bytes, payload_bytes);
	struct weir_frame frame;

	int err = weir_frame_decode(format, room, frame_bytes, &frame);
	if (err != 0 || frame.payload_bytes != payload_bytes ||
	    frame.frame_bytes != frame_bytes ||
	    frame.payload != room + frame_bytes - payload_bytes)
		ck_abort_msg("%s: %zu bytes come back as %zu (%d)",
			     format_text(format), payload_bytes,
			     frame.payload_bytes, err);

	struct reading whole = reading_of(format, room, frame_bytes, NULL, 0);
	for (size_t cut = 0; cut <= frame_bytes; cut++) {
		struct reading two =
			reading_of(format, room, frame_bytes, &cut, 1);
		if (!reading_is_same(&two, &whole))
			ck_abort_msg("%s: %zu bytes cut at %zu",
				     format_text(format), payload_bytes, cut);
	}
	struct reading single =
		reading_of_single_bytes(format, room, frame_bytes);
	if (!reading_is_same(&single, &whole))
		ck_abort_msg("%s: %zu bytes one by one", format_text(format),
			     payload_bytes);
}

START_TEST(frame_round_trips_every_size_at_every_cut)
{
	static const size_t sizes[] = {
		0,   1,   2,     126,   127,   128,   254,
		255, 256, 65534, 65535, 65536, 69999, ROUND_TRIP_LIMIT_BYTES,
	};
	struct weir_frame_format format = format_at(_i, ROUND_TRIP_LIMIT_BYTES);
	size_t room_bytes =
		ROUND_TRIP_LIMIT_BYTES + WEIR_FRAME_PREFIX_BYTES_MAX;
	uint8_t *room = malloc(room_bytes);
	ck_assert_ptr_nonnull(room);

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		if (sizes[i] <= format_payload_bytes_max(&format))
			check_round_trip(&format, room, room_bytes, sizes[i]);
		else if (weir_frame_bytes(&format, sizes[i]) != 0)
			ck_abort_msg("%s: says %zu", format_text(&format),
				     sizes[i]);
	}
	ck_assert_uint_eq(weir_frame_bytes(&format, ROUND_TRIP_LIMIT_BYTES + 1),
			  0);
	ck_assert_ptr_null(weir_frame_encode(&format, room, room_bytes,
					     ROUND_TRIP_LIMIT_BYTES + 1));
	free(room);
}
END_TEST

START_TEST(frame_glued_frames_come_apart_at_any_two_cuts)
{
	static const size_t sizes[] = { 0, 1, 2, 0, 0, 126, 3, 127, 0 };
	static uint8_t stream[1024];
	struct weir_frame_format format = format_at(_i, 0);
	size_t stream_bytes = 0;

	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		stream_bytes +=
			stream_append(&format, stream + stream_bytes,
				      sizeof(stream) - stream_bytes, sizes[i]);

	struct reading whole =
		reading_of(&format, stream, stream_bytes, NULL, 0);
	ck_assert_uint_eq(whole.frame_count, COUNT_OF(sizes));
	ck_assert_uint_eq(whole.consumed_bytes, stream_bytes);
	ck_assert_int_eq(whole.err, -EAGAIN); /* the next one's prefix */

	for (size_t a = 0; a <= stream_bytes; a++) {
		for (size_t b = a; b <= stream_bytes; b++) {
			struct reading three =
				reading_of(&format, stream, stream_bytes,
					   (const size_t[]){ a, b }, 2);
			if (!reading_is_same(&three, &whole))
				ck_abort_msg("%s: cut at %zu and %zu",
					     format_text(&format), a, b);
		}
	}
	struct reading single =
		reading_of_single_bytes(&format, stream, stream_bytes);
	ck_assert(reading_is_same(&single, &whole));
}
END_TEST

START_TEST(frame_oversize_is_refused_from_the_prefix_alone)
{
	struct weir_frame_format generous = format_at(_i, 0);
	struct weir_frame_format strict = format_at(_i, 100);
	uint8_t prefix[WEIR_FRAME_PREFIX_BYTES_MAX];
	struct weir_frame frame;
	char want_length[32], want_limit[32], text[128];

	const uint8_t *payload =
		weir_frame_encode(&generous, prefix, SIZE_MAX, 101);
	ck_assert_ptr_nonnull(payload);
	size_t prefix_bytes = (size_t)(payload - prefix);
	size_t length = generous.counts_header ? 101 + prefix_bytes : 101;

	for (size_t i = 0; i < prefix_bytes; i++)
		ck_assert_int_eq(weir_frame_decode(&strict, prefix, i, &frame),
				 -EAGAIN);
	int err = weir_frame_decode(&strict, prefix, prefix_bytes, &frame);

	ck_assert_int_eq(err, -EMSGSIZE);
	ck_assert_uint_eq(frame.wire_length, length);
	ck_assert_uint_eq(frame.limit, 100);
	(void)weir_frame_error_text(&frame, err, text, sizeof(text));
	(void)snprintf(want_length, sizeof(want_length), "length %zu ", length);
	(void)snprintf(want_limit, sizeof(want_limit), " %d", 100);
	ck_assert_ptr_nonnull(strstr(text, want_length));
	ck_assert_ptr_nonnull(strstr(text, want_limit));
}
END_TEST

START_TEST(frame_decode_reads_nothing_past_any_truncation)
{
	struct weir_frame_format format = format_at(_i, 0);
	uint8_t wire[256 + WEIR_FRAME_PREFIX_BYTES_MAX];
	struct weir_frame frame;
	size_t frame_bytes = stream_append(&format, wire, sizeof(wire), 200);

	for (size_t i = 0; i <= frame_bytes; i++) {
		int err = weir_frame_decode(&format, guard_place(wire, i), i,
					    &frame);
		ck_assert_int_eq(err, i < frame_bytes ? -EAGAIN : 0);
		if (err < 0) {
			ck_assert_uint_gt(frame.need_bytes, i);
			ck_assert_uint_le(frame.need_bytes, frame_bytes);
		}
	}
	/* Prefixes whose bytes are all equal; most of them are invalid. */
	for (int value = 0; value <= UINT8_MAX; value++) {
		memset(wire, value, sizeof(wire));
		for (size_t i = 0; i < 16; i++) {
			int err = weir_frame_decode(
				&format, guard_place(wire, i), i, &frame);
			if (err == 0 && frame.frame_bytes > i)
				ck_abort_msg("%s: %zu times %#x",
					     format_text(&format), i, value);
		}
	}
}
END_TEST

START_TEST(frame_encode_leaves_a_small_room_alone)
{
	struct weir_frame_format format = format_at(_i, 0);
	uint8_t room[128 + WEIR_FRAME_PREFIX_BYTES_MAX];
	size_t frame_bytes = weir_frame_bytes(&format, 128);

	ck_assert_ptr_null(weir_frame_encode(&format, NULL, 0, 0));
	for (size_t room_bytes = 0; room_bytes < frame_bytes; room_bytes++) {
		memset(room, 0xa5, sizeof(room));
		ck_assert_ptr_null(
			weir_frame_encode(&format, room, room_bytes, 128));
		for (size_t i = 0; i < sizeof(room); i++)
			if (room[i] != 0xa5)
				ck_abort_msg("%s: byte %zu written",
					     format_text(&format), i);
	}
	ck_assert_ptr_eq(weir_frame_encode(&format, room, frame_bytes, 128),
			 room + frame_bytes - 128);
}
END_TEST

START_TEST(frame_decode_accepts_no_span_at_all)
{
	struct weir_frame_format format = format_at(_i, 0);
	struct weir_frame frame;

	ck_assert_int_eq(weir_frame_decode(&format, NULL, 0, &frame), -EAGAIN);
	ck_assert_uint_ge(frame.need_bytes, 1);
}
END_TEST

/* ---- varints at their borders -------------------------------------------- */

/* Around each power of 128: the prefix grows there, or just before it. */
START_TEST(frame_varint_has_one_encoding_at_every_border)
{
	for (int i = 0; i < 2 * 9 * 32; i++) {
		struct weir_frame_format format = {
			VARINT,
			.counts_header = i % 2 != 0,
			LIMIT(LIMIT_NONE),
		};
		int border_bits = 7 * (1 + i / 2 % 9);
		size_t payload_bytes =
			((size_t)1 << border_bits) - 16 + (size_t)(i / 18);
		size_t frame_bytes = weir_frame_bytes(&format, payload_bytes);
		size_t prefix_bytes = frame_bytes - payload_bytes;
		uint8_t prefix[WEIR_FRAME_PREFIX_BYTES_MAX];
		struct weir_frame frame;

		ck_assert_ptr_eq(weir_frame_encode(&format, prefix, SIZE_MAX,
						   payload_bytes),
				 prefix + prefix_bytes);
		ck_assert_int_eq(weir_frame_decode(&format, prefix,
						   prefix_bytes, &frame),
				 -EAGAIN);
		ck_assert_uint_eq(frame.need_bytes, frame_bytes);
	}
}
END_TEST

START_TEST(frame_counted_varint_of_a_power_of_128_is_refused)
{
	struct weir_frame_format format = { VARINT, LIMIT(LIMIT_NONE) };
	struct weir_frame_format counted = format;
	counted.counts_header = true;

	for (int power = 1; power <= 9; power++) {
		for (int delta = -1; delta <= 1; delta++) {
			/* Any length, written by the format that does not count
			 * itself. */
			uint64_t length =
				(UINT64_C(1) << (7 * power)) + (uint64_t)delta;
			uint8_t prefix[WEIR_FRAME_PREFIX_BYTES_MAX];
			struct weir_frame frame;
			const uint8_t *end = weir_frame_encode(
				&format, prefix, SIZE_MAX, length);
			ck_assert_ptr_nonnull(end);

			int err = weir_frame_decode(&counted, prefix,
						    (size_t)(end - prefix),
						    &frame);
			ck_assert_int_eq(err, delta == 0 ? -EBADMSG : -EAGAIN);
			ck_assert_uint_eq(delta == 0 ? frame.wire_length
						     : frame.need_bytes,
					  length);
		}
	}
}
END_TEST

/* ---- chance -------------------------------------------------------------- */

/* A stream of frames; sometimes one byte is damaged. */
static size_t property_stream(uint64_t *chance,
			      const struct weir_frame_format *format,
			      uint8_t *out, size_t *out_frame_count)
{
	size_t frame_count = chance_below(chance, 24);
	size_t stream_bytes = 0;

	for (size_t i = 0; i < frame_count; i++) {
		size_t payload_bytes = chance_below(chance, 4);
		if (chance_below(chance, 3) == 0)
			payload_bytes =
				chance_below(chance, PROPERTY_LIMIT_BYTES + 1);
		if (weir_frame_bytes(format, payload_bytes) == 0)
			payload_bytes = 0; /* too long for u8 */
		stream_bytes += stream_append(format, out + stream_bytes,
					      STREAM_BYTES_MAX - stream_bytes,
					      payload_bytes);
	}
	*out_frame_count = frame_count;
	if (stream_bytes > 0 && chance_below(chance, 4) == 0) {
		out[chance_below(chance, stream_bytes)] ^=
			(uint8_t)(1 + chance_below(chance, 255));
		*out_frame_count = SIZE_MAX; /* unknown */
	}
	return stream_bytes;
}

START_TEST(frame_any_split_gives_the_frames_of_one_shot)
{
	static uint8_t stream[STREAM_BYTES_MAX];
	uint64_t chance = property_seed;

	for (int run = 0; run < PROPERTY_RUN_COUNT; run++) {
		struct weir_frame_format format =
			format_at((int)chance_below(&chance, FORMAT_COUNT),
				  PROPERTY_LIMIT_BYTES);
		size_t want_frame_count = 0;
		size_t stream_bytes = property_stream(&chance, &format, stream,
						      &want_frame_count);
		size_t cuts[16];
		size_t cut_count = chance_below(&chance, COUNT_OF(cuts) + 1);
		for (size_t i = 0, cut = 0; i < cut_count; i++) {
			cut += chance_below(&chance, stream_bytes - cut + 1) /
			       (1 + chance_below(&chance, 8));
			cuts[i] = cut;
		}

		struct reading whole =
			reading_of(&format, stream, stream_bytes, NULL, 0);
		struct reading pieces = reading_of(
			&format, stream, stream_bytes, cuts, cut_count);
		if (!reading_is_same(&pieces, &whole))
			ck_abort_msg("seed %" PRIu64 ", run %d: %s: %zu and "
				     "%zu frames",
				     property_seed, run, format_text(&format),
				     whole.frame_count, pieces.frame_count);
		if (want_frame_count != SIZE_MAX &&
		    whole.frame_count != want_frame_count)
			ck_abort_msg("seed %" PRIu64 ", run %d: %s: %zu "
				     "frames, not %zu",
				     property_seed, run, format_text(&format),
				     whole.frame_count, want_frame_count);
	}
}
END_TEST

/* Small values in the header and in every other stream, so that frames
 * occur. */
START_TEST(frame_keeps_the_fuzz_targets_promises_on_seeded_bytes)
{
	uint64_t chance = property_seed + 1;
	uint8_t data[96];

	for (int run = 0; run < FUZZ_RUN_COUNT; run++) {
		size_t byte_count = chance_below(&chance, sizeof(data) + 1);
		size_t bound = run % 2 == 0 ? 256 : 8;
		for (size_t i = 0; i < byte_count; i++)
			data[i] = (uint8_t)chance_below(&chance, bound);
		ck_assert_int_eq(wi_fuzz_frame_one(data, byte_count), 0);
	}
}
END_TEST

START_TEST(frame_corpus_still_holds)
{
	int file_count = wi_fuzz_replay(WEIR_TEST_CORPUS_DIR "/frame",
					wi_fuzz_frame_one);

	ck_assert_int_ge(file_count, 10);
	ck_assert_int_eq(wi_fuzz_replay(WEIR_TEST_CORPUS_DIR "/no-such-folder",
					wi_fuzz_frame_one),
			 -ENOENT);
}
END_TEST

/* ---- words for people ---------------------------------------------------- */

static const struct {
	int err;
	struct weir_frame frame;
	const char *want;
} text_cases[] = {
	{ 0,
	  { .payload_bytes = 2, .frame_bytes = 6 },
	  "frame of 6 bytes, 2 of them payload" },
	{ -EAGAIN,
	  { .need_bytes = 260 },
	  "frame incomplete: 260 bytes needed" },
	{ -EMSGSIZE,
	  { .wire_length = UINT32_MAX, .limit = 1 << 20 },
	  "frame refused: length 4294967295 on the wire, largest payload accepted is 1048576" },
	{ -EMSGSIZE,
	  { .wire_length = UINT64_MAX, .limit = UINT64_MAX - 10 },
	  "frame refused: length 18446744073709551615 on the wire, largest payload accepted is 18446744073709551605" },
	{ -EBADMSG,
	  { .wire_length = 3 },
	  "frame refused: malformed length 3, below its own header or not in shortest form" },
	{ -EBADMSG,
	  { .wire_length = UINT64_MAX - 1 },
	  "frame refused: malformed length 18446744073709551614, below its own header or not in shortest form" },
	{ -EBADMSG,
	  { .wire_length = UINT64_MAX },
	  "frame refused: malformed length, a varint of more than 64 bits" },
	{ -EIO, { 0 }, "frame: unexpected error -5" },
};

START_TEST(frame_error_text_names_what_happened_in_any_room)
{
	const struct weir_frame *frame = &text_cases[_i].frame;
	const char *want = text_cases[_i].want;
	int err = text_cases[_i].err;
	char text[129];

	ck_assert_ptr_eq(weir_frame_error_text(frame, err, text, 128), text);
	ck_assert_str_eq(text, want);

	ck_assert_ptr_null(weir_frame_error_text(frame, err, NULL, 0));
	for (size_t room_bytes = 0; room_bytes < 128; room_bytes++) {
		memset(text, '#', sizeof(text));
		(void)weir_frame_error_text(frame, err, text, room_bytes);
		ck_assert_int_eq(text[room_bytes], '#');
		if (room_bytes > 0)
			ck_assert_int_eq(strncmp(text, want, room_bytes - 1),
					 0);
	}
}
END_TEST

/* ---- misuse -------------------------------------------------------------- */

static sigjmp_buf abort_return;

static void abort_on_signal(int signal_number)
{
	siglongjmp(abort_return, signal_number);
}

static void misuse(int index)
{
	static const struct weir_frame_format unknown = {
		.prefix = WEIR_FRAME_PREFIX_COUNT
	};
	static const struct weir_frame_format format;
	static const uint8_t bytes[16];
	struct weir_frame frame = { 0 };

	switch (index) {
	case 0:
		(void)weir_frame_decode(&unknown, bytes, sizeof(bytes), &frame);
		return;
	case 1:
		(void)weir_frame_decode(&format, NULL, 1, &frame);
		return;
	case 2:
		(void)weir_frame_bytes(&unknown, 1);
		return;
	case 3:
		(void)weir_frame_encode(&format, NULL, 16, 1);
		return;
	default:
		(void)weir_frame_error_text(&frame, 0, NULL, 16);
		return;
	}
}

/* Caught here and not by Check's raise_signal, so it also works with CK_FORK=no
 * and keeps gcov's counters. */
START_TEST(frame_misuse_aborts)
{
	struct sigaction action = { .sa_handler = abort_on_signal };
	struct sigaction before;
	ck_assert_int_eq(sigaction(SIGABRT, &action, &before), 0);

	int caught = sigsetjmp(abort_return, 1);
	if (caught == 0)
		misuse(_i);
	ck_assert_int_eq(sigaction(SIGABRT, &before, NULL), 0);
	ck_assert_msg(caught == SIGABRT, "misuse %d went by", _i);
}
END_TEST

WI_SUITE(frame, "frame", 0)
{
	TCase *single = tcase_create("single inputs");
	TCase *formats = tcase_create("every format");
	TCase *chance = tcase_create("chance");
	TCase *edges = tcase_create("words and misuse");

	tcase_add_checked_fixture(single, guard_init, guard_fini);
	tcase_add_loop_test(single, frame_decode_gives_a_frame_or_the_reason, 0,
			    COUNT_OF(decode_cases));
	tcase_add_loop_test(single, frame_decode_gives_the_same_in_pieces, 0,
			    COUNT_OF(decode_cases));
	tcase_add_loop_test(single, frame_encode_writes_exactly_the_prefix, 0,
			    COUNT_OF(encode_cases));
	suite_add_tcase(suite, single);

	tcase_add_checked_fixture(formats, guard_init, guard_fini);
	tcase_set_timeout(formats, 60); /* seconds; valgrind needs some */
	tcase_add_loop_test(formats, frame_round_trips_every_size_at_every_cut,
			    0, FORMAT_COUNT);
	tcase_add_loop_test(formats,
			    frame_glued_frames_come_apart_at_any_two_cuts, 0,
			    FORMAT_COUNT);
	tcase_add_loop_test(formats,
			    frame_oversize_is_refused_from_the_prefix_alone, 0,
			    FORMAT_COUNT);
	tcase_add_loop_test(formats,
			    frame_decode_reads_nothing_past_any_truncation, 0,
			    FORMAT_COUNT);
	tcase_add_loop_test(formats, frame_encode_leaves_a_small_room_alone, 0,
			    FORMAT_COUNT);
	tcase_add_loop_test(formats, frame_decode_accepts_no_span_at_all, 0,
			    FORMAT_COUNT);
	tcase_add_test(formats, frame_varint_has_one_encoding_at_every_border);
	tcase_add_test(formats,
		       frame_counted_varint_of_a_power_of_128_is_refused);
	suite_add_tcase(suite, formats);

	tcase_set_timeout(chance, 60);
	tcase_add_test(chance, frame_any_split_gives_the_frames_of_one_shot);
	tcase_add_test(chance,
		       frame_keeps_the_fuzz_targets_promises_on_seeded_bytes);
	tcase_add_test(chance, frame_corpus_still_holds);
	suite_add_tcase(suite, chance);

	tcase_add_loop_test(edges,
			    frame_error_text_names_what_happened_in_any_room, 0,
			    COUNT_OF(text_cases));
	tcase_add_loop_test(edges, frame_misuse_aborts, 0, 5);
	suite_add_tcase(suite, edges);
}
