/* addr.h - socket addresses to and from text; numeric only, no resolver */
#ifndef WEIR_NET_ADDR_H
#define WEIR_NET_ADDR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define WEIR_ADDR_TEXT_BYTES 64

/**
 * struct weir_addr - an IPv4 or IPv6 address and port
 * @bytes: length of @storage in use, as bind(2) and connect(2) want it
 */
struct weir_addr {
	struct sockaddr_storage storage;
	socklen_t bytes;
};

/**
 * weir_addr_parse() - from "127.0.0.1", "::1" or "[::1]"
 * @port:     host byte order; 0 lets the kernel choose
 * @out_addr: written on success only
 *
 * Return: 0; -EINVAL if @text is no numeric address. Thread: any.
 */
int weir_addr_parse(const char *text, uint16_t port,
		    struct weir_addr *out_addr);

/** weir_addr_port() - the port, in host byte order; 0 for other families. */
uint16_t weir_addr_port(const struct weir_addr *addr);

/** weir_addr_port_set() - change the port, given in host byte order. */
void weir_addr_port_set(struct weir_addr *addr, uint16_t port);

/**
 * weir_addr_text() - "127.0.0.1:80" or "[::1]:80"
 * @out_text: at least WEIR_ADDR_TEXT_BYTES
 *
 * Return: @out_text. Thread: any.
 */
char *weir_addr_text(const struct weir_addr *addr, char *out_text);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
