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
 * @drain_timeout_ms:  from a close or stop until the connection is closed by
 *                     force; 0 for 5 s
 *
 * Borrowed, and constant, until the last loop that has used it is closed. A
 * loop identifies a service by its address, and reads it once, at first use.
 *
 * The longest @drain_timeout_ms of the services that a loop has used so far
 * gives the loop two times of its own. With WEIR_NO_TIMEOUT both are infinite;
 * a loop without services has 5 s.
 *
 * - Drain deadline: that long after a stop, what is left is closed by force.
 * - Operation timeout: that long after a cancel, and at least 1 s, the loop
 *   waits no longer for the kernel to complete the operation.
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
 * weir_service_check() - whether a loop accepts this service
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
