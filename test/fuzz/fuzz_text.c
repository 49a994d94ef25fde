/* fuzz_text.c - parsers of user input: addresses, and lists of rungs
 *
 *     +------+------+-----...
 *     | kind | port | text, up to its end or a zero byte
 *     +------+------+-----...
 *
 * Each parser agrees with a reference written from the definition (RFC 4291,
 * 2.2 and RFC 3986, 3.2.2 for addresses; rung.h for the list), and does not
 * touch its results on an error. A printed address parses to itself.
 */
#include "fuzz_input.h"
#include "fuzz_replay.h"
#include "net/addr.h"
#include "uring/rung.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	TEXT_BYTES_MAX = 300,
	GROUPS = 8,
};

/* ---- addresses ---- */

/* "1.2.3.4" without leading zeroes, and nothing after it. */
static bool want_v4(const char *text, uint8_t out[4])
{
	for (int i = 0; i < 4; i++) {
		const size_t digits = strspn(text, "0123456789");
		uint32_t value = 0;
		if (digits < 1 || digits > 3 || (digits > 1 && *text == '0'))
			return false;
		for (size_t j = 0; j < digits; j++)
			value = value * 10 + (uint32_t)(text[j] - '0');
		if (value > 255 || text[digits] != (i < 3 ? '.' : '\0'))
			return false;
		out[i] = (uint8_t)value;
		text += digits + 1;
	}
	return true;
}

/* Groups separated by ':'; if @may_end, the last may be an IPv4 address.
 * Return: how many, in @out; -1. An empty text has none. */
static int want_groups(char *text, bool may_end, uint16_t *out)
{
	int count = 0;
	char *part;

	if (*text == '\0')
		return 0;
	while ((part = strsep(&text, ":")) != NULL) {
		const size_t digits = strspn(part, "0123456789abcdefABCDEF");
		uint8_t v4[4];
		if (count > GROUPS - 1)
			return -1;
		if (text == NULL && may_end && strchr(part, '.') != NULL) {
			if (count > GROUPS - 2 || !want_v4(part, v4))
				return -1;
			out[count++] = (uint16_t)(v4[0] << 8 | v4[1]);
			out[count++] = (uint16_t)(v4[2] << 8 | v4[3]);
			return count;
		}
		if (digits < 1 || digits > 4 || part[digits] != '\0')
			return -1;
		out[count++] = (uint16_t)strtoul(part, NULL, 16);
	}
	return count;
}

static bool want_v6(const char *text, uint16_t out[GROUPS])
{
	char copy[TEXT_BYTES_MAX + 1];
	uint16_t right[GROUPS];

	memcpy(copy, text, strlen(text) + 1);
	memset(out, 0, GROUPS * sizeof(*out));
	char *gap = strstr(copy, "::");
	if (gap == NULL)
		return want_groups(copy, true, out) == GROUPS;
	*gap = '\0';
	const int left_count = want_groups(copy, false, out);
	const int right_count = want_groups(gap + 2, true, right);
	if (left_count < 0 || right_count < 0 ||
	    left_count + right_count >= GROUPS)
		return false;
	memset(out + left_count, 0,
	       (size_t)(GROUPS - left_count) * sizeof(*out));
	memcpy(out + GROUPS - right_count, right,
	       (size_t)right_count * sizeof(*out));
	return true;
}

/* Returns the family, or 0; the address is in network byte order. */
static int want_address(const char *text, uint8_t out[16])
{
	char bare[TEXT_BYTES_MAX + 1];
	uint16_t groups[GROUPS];
	size_t length = strlen(text);
	const bool is_bracketed =
		length >= 2 && text[0] == '[' && text[length - 1] == ']';

	memcpy(bare, text + is_bracketed, length + 1 - is_bracketed);
	if (is_bracketed)
		bare[length - 2] = '\0';
	if (!is_bracketed && want_v4(bare, out))
		return AF_INET;
	if (!want_v6(bare, groups))
		return 0;
	for (int i = 0; i < GROUPS; i++) {
		out[2 * i] = (uint8_t)(groups[i] >> 8);
		out[2 * i + 1] = (uint8_t)groups[i];
	}
	return AF_INET6;
}

/* "address:port", cut at its last colon and read again. */
static void check_printed(const struct weir_addr *addr, uint16_t port)
{
	char text[WEIR_ADDR_TEXT_BYTES];
	struct weir_addr again;

	assert(weir_addr_text(addr, text) == text);
	char *colon = strrchr(text, ':');
	assert(colon != NULL && strtoul(colon + 1, NULL, 10) == port);
	*colon = '\0';
	const int err = weir_addr_parse(text, port, &again);
	assert(err == 0);
	(void)err;
	assert(again.bytes == addr->bytes);
	assert(memcmp(&again.storage, &addr->storage, sizeof(again.storage)) ==
	       0);
}

static void check_address(const char *text, uint16_t port)
{
	struct weir_addr addr;
	struct weir_addr untouched;
	uint8_t bytes[16];

	memset(&untouched, 0xa5, sizeof(untouched));
	addr = untouched;
	const int family = want_address(text, bytes);
	const int err = weir_addr_parse(text, port, &addr);
	assert(err == (family == 0 ? -EINVAL : 0));
	if (err < 0) {
		assert(memcmp(&addr, &untouched, sizeof(addr)) == 0);
		return;
	}
	assert(addr.storage.ss_family == family);
	assert(weir_addr_port(&addr) == port);
	const uint8_t *storage = (const uint8_t *)&addr.storage;
	if (family == AF_INET)
		assert(memcmp(storage + offsetof(struct sockaddr_in, sin_addr),
			      bytes, 4) == 0);
	else
		assert(memcmp(storage +
				      offsetof(struct sockaddr_in6, sin6_addr),
			      bytes, 16) == 0);
	check_printed(&addr, port);
	const uint16_t other = (uint16_t)(UINT16_MAX - port);
	weir_addr_port_set(&addr, other);
	assert(weir_addr_port(&addr) == other);
}

/* ---- rungs ---- */

static weir_rung_set want_rung(const char *name)
{
	weir_rung_set set = 0;

	for (int i = 0; i < WEIR_RUNG_COUNT; i++) {
		const enum weir_rung_id id = (enum weir_rung_id)i;
		if (strcmp(name, weir_rung_name(id)) == 0)
			return weir_rung_bit(id);
		set |= weir_rung_bit(id);
	}
	return strcmp(name, "all") == 0
		       ? set & ~weir_rungs_of_role(WEIR_ROLE_REQUIRED)
		       : 0;
}

static bool want_rungs(const char *text, weir_rung_set *out_set)
{
	char copy[TEXT_BYTES_MAX + 1];
	weir_rung_set set = 0;
	char *rest = copy;
	char *name;

	memcpy(copy, text, strlen(text) + 1);
	while (*text != '\0' && (name = strsep(&rest, ",")) != NULL) {
		const weir_rung_set named = want_rung(name);
		if (named == 0)
			return false;
		set |= named;
	}
	*out_set = set;
	return true;
}

static void check_rungs(const char *text)
{
	const weir_rung_set untouched = UINT64_C(0xa5a5a5a5a5a5a5a5);
	weir_rung_set want = untouched;
	weir_rung_set got = untouched;
	struct weir_error error;

	memset(&error, 0xa5, sizeof(error));
	const bool is_right = want_rungs(text, &want);
	const int err = weir_rungs_parse(text, "fuzz", &got, &error);
	assert(err == (is_right ? 0 : -EINVAL));
	assert(got == want);
	if (err < 0)
		assert(error.code == err &&
		       memchr(error.text, '\0', sizeof(error.text)) != NULL);
}

/* Names are long, so a byte above 127 stands for the rung of that number. */
static void text_expand(struct fuzz_input *input, char *out)
{
	size_t used = 0;

	while (input->left_bytes > 0 && used < TEXT_BYTES_MAX - 64) {
		const uint8_t byte = fuzz_u8(input);
		if (byte == '\0')
			break;
		if (byte < 128) {
			out[used++] = (char)byte;
			continue;
		}
		const enum weir_rung_id id =
			(enum weir_rung_id)(byte % WEIR_RUNG_COUNT);
		used += (size_t)snprintf(out + used, 64, "%s",
					 weir_rung_name(id));
	}
	out[used] = '\0';
}

int wi_fuzz_text_one(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	char text[TEXT_BYTES_MAX + 1];

	const uint8_t kind = fuzz_u8(&input);
	if (kind % 2 == 1) {
		text_expand(&input, text);
		check_rungs(text);
		return 0;
	}
	const uint16_t port = (uint16_t)fuzz_u32(&input);
	const size_t length = input.left_bytes < TEXT_BYTES_MAX
				      ? input.left_bytes
				      : TEXT_BYTES_MAX;
	fuzz_fill(&input, text, length);
	text[length] = '\0';
	check_address(text, port);
	return 0;
}
