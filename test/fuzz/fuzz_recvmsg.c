/* fuzz_recvmsg.c - parsing a buffer of a multishot recvmsg
 *
 *     +--------+------+---------+-------+----------------------------
 *     | shapes | name | control | bytes | the buffer, header first
 *     +--------+------+---------+-------+----------------------------
 *          1      4        8        4
 *
 * The buffer is in a block of exactly its size, so the sanitizers find a read
 * outside it. The test reads all bytes that the parser returns. A reference
 * with a bounds-checked cursor must agree.
 */
#include "fuzz_input.h"
#include "fuzz_replay.h"
#include "uring/extra/op_datagram.h"

#include <assert.h>
#include <stdlib.h>

enum {
	BUFFER_BYTES_MAX = 512,
	SHAPE_WIDE_NAME = 1,    /* any 32 bits, not some tens */
	SHAPE_WIDE_CONTROL = 2, /* any 64 bits */
	SHAPE_FITS = 4,         /* the header's lengths are small */
};

/* A position in the buffer. */
struct cursor {
	const uint8_t *at;
	uint64_t left;
};

/* The next @byte_count; NULL if there are fewer. */
static const uint8_t *cursor_pass(struct cursor *cursor, uint64_t byte_count)
{
	const uint8_t *at = cursor->at;
	if (byte_count > cursor->left)
		return NULL;
	cursor->at += byte_count;
	cursor->left -= byte_count;
	return at;
}

static uint64_t smaller_of(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

/* A word of the header, copied byte by byte. */
static uint32_t header_word(const uint8_t *header, int index)
{
	uint32_t word = 0;
	memcpy(&word, header + (size_t)index * 4, 4);
	return word;
}

static bool reference_read(const uint8_t *buffer, uint32_t byte_count,
			   const struct msghdr *message,
			   struct weir_recvmsg *out)
{
	struct cursor cursor = { buffer, byte_count };
	const uint8_t *header = cursor_pass(&cursor, 16);
	if (header == NULL)
		return false;
	out->name = cursor_pass(&cursor, message->msg_namelen);
	if (out->name == NULL)
		return false;
	out->control = cursor_pass(&cursor, message->msg_controllen);
	if (out->control == NULL)
		return false;
	out->payload = cursor.at;
	out->payload_bytes = (uint32_t)cursor.left;
	out->name_bytes = (uint32_t)smaller_of(header_word(header, 0),
					       message->msg_namelen);
	out->control_bytes = (uint32_t)smaller_of(header_word(header, 1),
						  message->msg_controllen);
	out->msg_flags = header_word(header, 3);
	out->name_is_cut = header_word(header, 0) > message->msg_namelen;
	return true;
}

/* Reads all bytes, for the sanitizers. */
static uint32_t sum_of(const uint8_t *bytes, uint32_t byte_count)
{
	uint32_t sum = 0;
	for (uint32_t i = 0; i < byte_count; i++)
		sum += *(const volatile uint8_t *)(bytes + i);
	return sum;
}

static void recvmsg_check(const struct weir_recvmsg *got,
			  const struct weir_recvmsg *want)
{
	assert(got->name == want->name);
	assert(got->control == want->control);
	assert(got->payload == want->payload);
	assert(got->name_bytes == want->name_bytes);
	assert(got->control_bytes == want->control_bytes);
	assert(got->payload_bytes == want->payload_bytes);
	assert(got->msg_flags == want->msg_flags);
	assert(got->name_is_cut == want->name_is_cut);
	(void)sum_of(got->name, got->name_bytes);
	(void)sum_of(got->control, got->control_bytes);
	(void)sum_of(got->payload, got->payload_bytes);
}

int wi_fuzz_recvmsg_one(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct msghdr message = { .msg_namelen = 0 };
	struct weir_recvmsg got;
	struct weir_recvmsg want;

	const uint8_t shapes = fuzz_u8(&input);
	message.msg_namelen = fuzz_u32(&input);
	message.msg_controllen = fuzz_u64(&input);
	if ((shapes & SHAPE_WIDE_NAME) == 0)
		message.msg_namelen %= 64;
	if ((shapes & SHAPE_WIDE_CONTROL) == 0)
		message.msg_controllen %= 64;
	const uint32_t byte_count = fuzz_u32(&input) % (BUFFER_BYTES_MAX + 1);
	uint8_t *buffer = malloc(byte_count + (size_t)(byte_count == 0));
	assert(buffer != NULL);
	fuzz_fill(&input, buffer, byte_count);
	for (uint32_t i = 0; i < 8 && i < byte_count; i++)
		if ((shapes & SHAPE_FITS) != 0 && i % 4 != 0)
			buffer[i] = 0;

	memset(&got, 0xa5, sizeof(got));
	const bool is_whole =
		weir_recvmsg_read(buffer, byte_count, &message, &got);
	assert(is_whole == reference_read(buffer, byte_count, &message, &want));
	if (is_whole)
		recvmsg_check(&got, &want);
	free(buffer);
	return 0;
}
