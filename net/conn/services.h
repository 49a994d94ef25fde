/* services.h - the services that the connections of one loop have
 *
 *     struct weir_service --first use--> struct wi_service <--- connections
 *     (the user's)                       (every default resolved)
 *
 * A connection holds one pointer, to its service, and reaches its loop's parts
 * through that. It costs no more than a pointer to the parts.
 *
 * Invariant: an entry below count does not change.
 */
#ifndef WEIR_NET_CONN_SERVICES_H
#define WEIR_NET_CONN_SERVICES_H

#include "../service.h"

#include <assert.h>

struct wi_conns;
struct wi_core;

struct wi_service {
	/* Line one: all that a turn of receive and reply reads. */
	_Alignas(64) struct wi_conns *conns; /* borrowed, as the next */
	struct wi_core *core;
	void *ctx;
	uint32_t message_bytes_max;
	uint32_t send_high_bytes;
	uint32_t send_low_bytes;
	uint32_t send_bytes_max;
	uint32_t idle_ticks; /* 0: no deadline */
	uint32_t drain_ticks;
	struct weir_handlers handlers;
	const struct weir_service *given; /* borrowed */
};

static_assert(offsetof(struct wi_service, handlers.on_data) < 64,
	      "in line one");

struct wi_services {
	uint32_t count;
	uint32_t drain_ms;        /* the longest; WEIR_NO_TIMEOUT: no end */
	uint32_t operation_ticks; /* the operation timeout; UINT32_MAX: none */
	struct wi_conns *conns;   /* borrowed, as the next */
	struct wi_core *core;
	struct wi_service *list; /* borrowed; shape [WEIR_SERVICES_MAX] */
};

void wi_services_init(struct wi_services *services, struct wi_service *memory,
		      struct wi_conns *conns, struct wi_core *core);

/* Finds the entry of @given, or adds one. @out_service is written on success
 * only. Return: 0; -EINVAL, -ENOSPC, with @error filled, which may be NULL. */
int wi_services_use(struct wi_services *services,
		    const struct weir_service *given,
		    const struct wi_service **out_service,
		    struct weir_error *error);

#endif
