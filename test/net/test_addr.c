/* test_addr.c - addresses to and from text */
#include "../rig/support.h"
#include "../suites.h"
#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/un.h>

static const struct {
	const char *text;
	int family;       /* 0: invalid, -EINVAL */
	const char *back; /* weir_addr_text() of it, with port 80 */
} parse_cases[] = {
	{ "127.0.0.1", AF_INET, "127.0.0.1:80" },
	{ "0.0.0.0", AF_INET, "0.0.0.0:80" },
	{ "255.255.255.255", AF_INET, "255.255.255.255:80" },
	{ "10.20.30.40", AF_INET, "10.20.30.40:80" },
	{ "::1", AF_INET6, "[::1]:80" },
	{ "::", AF_INET6, "[::]:80" },
	{ "[::1]", AF_INET6, "[::1]:80" },
	{ "[::]", AF_INET6, "[::]:80" },
	{ "2001:db8::42", AF_INET6, "[2001:db8::42]:80" },
	{ "[2001:DB8:0:0::42]", AF_INET6, "[2001:db8::42]:80" },
	{ "::ffff:1.2.3.4", AF_INET6, "[::ffff:1.2.3.4]:80" },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AF_INET6,
	  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80" },
	/* The longest address: 45 characters, and in brackets. */
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", AF_INET6,
	  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80" },
	{ "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]", AF_INET6,
	  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80" },

	{ "", 0, NULL },
	{ " ", 0, NULL },
	{ "localhost", 0, NULL },
	{ "*", 0, NULL },
	{ "127.0.0.1 ", 0, NULL },
	{ " 127.0.0.1", 0, NULL },
	{ "127.0.0.1:80", 0, NULL },
	{ "127.0.0", 0, NULL },
	{ "127.0.0.1.1", 0, NULL },
	{ "127.0.0.256", 0, NULL },
	{ "127.0.0.-1", 0, NULL },
	{ "127.1", 0, NULL },
	{ "0x7f.0.0.1", 0, NULL },
	{ "2130706433", 0, NULL },
	{ ":", 0, NULL },
	{ ":::", 0, NULL },
	{ "::1::", 0, NULL },
	{ "1:2:3:4:5:6:7", 0, NULL },
	{ "1:2:3:4:5:6:7:8:9", 0, NULL },
	{ "::12345", 0, NULL },
	{ "::g", 0, NULL },
	{ "fe80::1%lo", 0, NULL },
	{ "::1/128", 0, NULL },
	{ "[", 0, NULL },
	{ "]", 0, NULL },
	{ "[]", 0, NULL },
	{ "[::1", 0, NULL },
	{ "::1]", 0, NULL },
	{ "[[::1]]", 0, NULL },
	{ "[::1]:80", 0, NULL },
	{ "[ ::1]", 0, NULL },
	{ "[127.0.0.1]", 0, NULL }, /* brackets are for IPv6: RFC 3986, 3.2.2 */
	/* One character too long, and much too long. */
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555", 0, NULL },
	{ "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555]", 0, NULL },
	{ "127.0.0.1.127.0.0.1.127.0.0.1.127.0.0.1.127.0.0.1.127.0.0.1.127."
	  "0.0.1.127.0.0.1.127.0.0.1.127.0.0.1.127.0.0.1.127.0.0.1.127.0.0.1",
	  0, NULL },
};

START_TEST(addr_parse_takes_numeric_addresses_and_nothing_else)
{
	const char *text = parse_cases[_i].text;
	/* Ends at a guard page, so that a read beyond it is seen. */
	struct wi_guarded guarded = wi_guarded_copy(text, strlen(text) + 1);
	char back[WEIR_ADDR_TEXT_BYTES];
	struct weir_addr addr;
	struct weir_addr before;
	memset(&addr, 0x5a, sizeof(addr));
	memcpy(&before, &addr, sizeof(addr));

	int err = weir_addr_parse((const char *)guarded.bytes, 80, &addr);
	wi_guarded_give(&guarded);
	if (parse_cases[_i].family == 0) {
		ck_assert_msg(err == -EINVAL, "'%s' gave %d", text, err);
		ck_assert_mem_eq(&addr, &before, sizeof(addr));
		return;
	}
	ck_assert_msg(err == 0, "'%s' gave %d", text, err);
	ck_assert_int_eq(addr.storage.ss_family, parse_cases[_i].family);
	ck_assert_uint_eq(addr.bytes, parse_cases[_i].family == AF_INET
					      ? sizeof(struct sockaddr_in)
					      : sizeof(struct sockaddr_in6));
	ck_assert_uint_eq(weir_addr_port(&addr), 80);
	ck_assert_ptr_eq(weir_addr_text(&addr, back), back);
	ck_assert_str_eq(back, parse_cases[_i].back);
}
END_TEST

START_TEST(addr_is_what_bind_and_connect_want_and_zero_elsewhere)
{
	struct weir_addr addr;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage zero;
	memset(&zero, 0, sizeof(zero));

	ck_assert_int_eq(weir_addr_parse("1.2.3.4", 0x1234, &addr), 0);
	memcpy(&v4, &addr.storage, sizeof(v4));
	ck_assert_int_eq(v4.sin_family, AF_INET);
	ck_assert_uint_eq(ntohs(v4.sin_port), 0x1234);
	ck_assert_uint_eq(ntohl(v4.sin_addr.s_addr), 0x01020304);
	ck_assert_mem_eq((uint8_t *)&addr.storage + 8, &zero,
			 sizeof(addr.storage) - 8);

	ck_assert_int_eq(weir_addr_parse("[::1]", 0x1234, &addr), 0);
	memcpy(&v6, &addr.storage, sizeof(v6));
	ck_assert_int_eq(v6.sin6_family, AF_INET6);
	ck_assert_uint_eq(ntohs(v6.sin6_port), 0x1234);
	ck_assert_mem_eq(&v6.sin6_addr, &in6addr_loopback,
			 sizeof(in6addr_loopback));
	ck_assert_uint_eq(v6.sin6_flowinfo, 0);
	ck_assert_uint_eq(v6.sin6_scope_id, 0);
}
END_TEST

static const uint16_t ports[] = { 0, 1, 80, 255, 256, 8080, 0x8000, 65535 };

START_TEST(addr_port_is_given_and_read_in_host_order)
{
	static const char *const texts[] = { "127.0.0.1", "::1" };
	static const char *const hosts[] = { "127.0.0.1", "[::1]" };
	char want[WEIR_ADDR_TEXT_BYTES];
	char got[WEIR_ADDR_TEXT_BYTES];
	struct weir_addr parsed;
	struct weir_addr changed;

	for (int i = 0; i < 2; i++) {
		(void)snprintf(want, sizeof(want), "%s:%u", hosts[i],
			       ports[_i]);
		ck_assert_int_eq(weir_addr_parse(texts[i], ports[_i], &parsed),
				 0);
		ck_assert_uint_eq(weir_addr_port(&parsed), ports[_i]);
		ck_assert_str_eq(weir_addr_text(&parsed, got), want);

		ck_assert_int_eq(weir_addr_parse(texts[i], 4711, &changed), 0);
		weir_addr_port_set(&changed, ports[_i]);
		ck_assert_mem_eq(&changed.storage, &parsed.storage,
				 sizeof(parsed.storage));
		ck_assert_uint_eq(changed.bytes, parsed.bytes);
	}
}
END_TEST

/* text writes the port that parse has read, and a host that parse reads. */
START_TEST(addr_text_of_random_addresses_is_parsed_to_the_same)
{
	uint64_t state = 0xadd7 + (uint64_t)_i;
	for (int step = 0; step < 2000; step++) {
		struct weir_addr addr;
		struct weir_addr again;
		char text[WEIR_ADDR_TEXT_BYTES];
		uint8_t raw[16];
		char host[INET6_ADDRSTRLEN];
		const int family = step % 2 == 0 ? AF_INET : AF_INET6;
		uint16_t port = (uint16_t)wi_random(&state);

		for (size_t i = 0; i < sizeof(raw); i++) {
			/* Runs of zero, which "::" stands for. */
			raw[i] = (uint8_t)(wi_random(&state) % 3 == 0
						   ? wi_random(&state)
						   : 0);
		}
		ck_assert_ptr_nonnull(
			inet_ntop(family, raw, host, sizeof(host)));
		ck_assert_int_eq(weir_addr_parse(host, port, &addr), 0);
		(void)weir_addr_text(&addr, text);

		char *colon = strrchr(text, ':');
		ck_assert_ptr_nonnull(colon);
		ck_assert_int_eq(atoi(colon + 1), port);
		*colon = '\0';
		ck_assert_int_eq(weir_addr_parse(text, port, &again), 0);
		ck_assert_mem_eq(&again.storage, &addr.storage,
				 sizeof(addr.storage));
		ck_assert_uint_eq(again.bytes, addr.bytes);
	}
}
END_TEST

START_TEST(addr_of_another_family_has_no_port_and_no_text)
{
	struct weir_addr addr = { .bytes = sizeof(struct sockaddr_un) };
	char text[WEIR_ADDR_TEXT_BYTES];
	ck_assert_uint_eq(weir_addr_port(&addr), 0);
	ck_assert_str_eq(weir_addr_text(&addr, text), "?:0");

	addr.storage.ss_family = AF_UNIX;
	memset((uint8_t *)&addr.storage + 2, 'x', 10);
	ck_assert_uint_eq(weir_addr_port(&addr), 0);
	ck_assert_str_eq(weir_addr_text(&addr, text), "?:0");
}
END_TEST

START_TEST(addr_text_fits_where_it_says_it_does)
{
	struct weir_addr addr;
	ck_assert_int_eq(
		weir_addr_parse("1111:2222:3333:4444:5555:6666:7777:8888",
				65535, &addr),
		0);
	struct wi_guarded guarded = wi_guarded_take(WEIR_ADDR_TEXT_BYTES);
	ck_assert_str_eq(weir_addr_text(&addr, (char *)guarded.bytes),
			 "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
	wi_guarded_give(&guarded);
}
END_TEST

WI_SUITE(addr, "addr", WI_MEMCHECK)
{
	TCase *tcase = tcase_create("addr");

	tcase_add_loop_test(tcase,
			    addr_parse_takes_numeric_addresses_and_nothing_else,
			    0, sizeof(parse_cases) / sizeof(parse_cases[0]));
	tcase_add_test(tcase,
		       addr_is_what_bind_and_connect_want_and_zero_elsewhere);
	tcase_add_loop_test(tcase, addr_port_is_given_and_read_in_host_order, 0,
			    sizeof(ports) / sizeof(ports[0]));
	tcase_add_loop_test(tcase,
			    addr_text_of_random_addresses_is_parsed_to_the_same,
			    0, 3);
	tcase_add_test(tcase, addr_of_another_family_has_no_port_and_no_text);
	tcase_add_test(tcase, addr_text_fits_where_it_says_it_does);
	suite_add_tcase(suite, tcase);
}
