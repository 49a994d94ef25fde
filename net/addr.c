#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* "[::1]" without its brackets; anything else as it is. */
static int addr_bare(const char *text, char *out, size_t out_bytes)
{
	size_t length = strlen(text);
	if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	}
	if (length >= out_bytes)
		return -EINVAL;
	memcpy(out, text, length);
	out[length] = '\0';
	return 0;
}

int weir_addr_parse(const char *text, uint16_t port, struct weir_addr *out_addr)
{
	char bare[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct in6_addr v6;

	if (addr_bare(text, bare, sizeof(bare)) < 0)
		return -EINVAL;
	struct weir_addr addr;
	memset(&addr, 0, sizeof(addr));
	/* Brackets are for IPv6 only: RFC 3986, 3.2.2. */
	if (text[0] != '[' && inet_pton(AF_INET, bare, &v4) == 1) {
		struct sockaddr_in in = { .sin_family = AF_INET,
					  .sin_addr = v4 };
		memcpy(&addr.storage, &in, sizeof(in));
		addr.bytes = sizeof(in);
	} else if (inet_pton(AF_INET6, bare, &v6) == 1) {
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
					    .sin6_addr = v6 };
		memcpy(&addr.storage, &in6, sizeof(in6));
		addr.bytes = sizeof(in6);
	} else {
		return -EINVAL;
	}
	weir_addr_port_set(&addr, port);
	*out_addr = addr;
	return 0;
}

/* Both families have the port at the same offset (RFC 3493, 3.3). */
uint16_t weir_addr_port(const struct weir_addr *addr)
{
	struct sockaddr_in in;
	sa_family_t family = addr->storage.ss_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	memcpy(&in, &addr->storage, sizeof(in));
	return ntohs(in.sin_port);
}

void weir_addr_port_set(struct weir_addr *addr, uint16_t port)
{
	struct sockaddr_in in;
	memcpy(&in, &addr->storage, sizeof(in));
	in.sin_port = htons(port);
	memcpy(&addr->storage, &in, sizeof(in));
}

char *weir_addr_text(const struct weir_addr *addr, char *out_text)
{
	char host[INET6_ADDRSTRLEN] = "?";
	const char *format = "%s:%u";
	if (addr->storage.ss_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, &addr->storage, sizeof(in));
		(void)inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
	} else if (addr->storage.ss_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, &addr->storage, sizeof(in6));
		(void)inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
		format = "[%s]:%u";
	}
	/* -Wformat-nonliteral is off; both formats are above. */
	(void)snprintf(out_text, WEIR_ADDR_TEXT_BYTES, format, host,
		       (unsigned)weir_addr_port(addr));
	return out_text;
}
