/* service.h - what connections of one kind have in common: handlers and limits
 *
 *     listener --names--> service <--names-- weir_loop_connect()
 *
 * One loop can serve several protocols, and be a client as well: each
 * connection has the service that its listener, or its connect, has named.
 */
#ifndef WEIR_NET_SERVICE_H
#define WEIR_NET_SERVICE_H

#include "../uring/error.h"
#include "conn.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* As a timeout: none. */
#define WEIR_NO_TIMEOUT UINT32_MAX

enum { WEIR_SERVICES_MAX = 255 }; /* of one loop */

/**
 * struct weir_service - zero is the sensible default
 * @name:              in the text of an error; may be NULL
 * @handlers, @ctx:    what is called, and what is passed to each of them
 * @message_bytes_max: input kept for one connection; 0 for 1 MiB + 16
 * @send_high_bytes:   above this queue length reading pauses; 0 for 256 KiB
 * @send_low_bytes:    at or below it resumes; 0 for a quarter of high
 * @send_bytes_max:    longest queue; 0 for 4 MiB
 * @idle_timeout_ms:   0 for 75 s
 * @drain_timeout_ms:  from close or stop to force; 0 for 5 s
 *
 * Borrowed, and constant, until the last loop that has used it is closed. A
 * loop knows a service by its address, and looks at it once, at first use.
 *
 * A loop has two times of its own, both from the longest @drain_timeout_ms of
 * the services that it has used so far; WEIR_NO_TIMEOUT is longer than any, and
 * a loop without services has 5 s:
 *
 * - a stop forces what is left after that time, or never;
 * - an operation that the kernel does not complete though it was cancelled is
 *   given up after that time, or a second if that is longer, or never.
 */
struct weir_service {
	const char *name;
	struct weir_handlers handlers;
	void *ctx;
	size_t message_bytes_max;
	size_t send_high_bytes;
	size_t send_low_bytes;
	size_t send_bytes_max;
	uint32_t idle_timeout_ms;
	uint32_t drain_timeout_ms;
};

/**
 * weir_service_check() - whether a loop would take it
 * @error: filled on failure; may be NULL
 *
 * Return: 0; -EINVAL for a value out of range, and for NULL. Thread: any.
 */
int weir_service_check(const struct weir_service *service,
		       struct weir_error *error);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
