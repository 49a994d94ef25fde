#include "services.h"

#include "../core/blocks.h"
#include "../core/timer.h"
#include "sendq.h"

#include <errno.h>

enum {
	MESSAGE_BYTES_DEFAULT = 1024 * 1024 + 16,
	SEND_HIGH_DEFAULT = 256 * 1024,
	SEND_MAX_DEFAULT = 4 * 1024 * 1024,
	IDLE_MS_DEFAULT = 75 * 1000,
	DRAIN_MS_DEFAULT = 5 * 1000,
};

/* Largest queue or message: one block, less the header of a chunk. */
#define CONTIGUOUS_BYTES_MAX (WI_BLOCK_BYTES_MAX - sizeof(struct wi_chunk))

static void default_u32(uint32_t *value, uint32_t fallback)
{
	if (*value == 0)
		*value = fallback;
}

static void default_size(size_t *value, size_t fallback)
{
	if (*value == 0)
		*value = fallback;
}

static struct weir_service service_resolve(const struct weir_service *service)
{
	struct weir_service resolved = *service;
	default_size(&resolved.message_bytes_max, MESSAGE_BYTES_DEFAULT);
	default_size(&resolved.send_high_bytes, SEND_HIGH_DEFAULT);
	default_size(&resolved.send_low_bytes, resolved.send_high_bytes / 4);
	default_size(&resolved.send_bytes_max, SEND_MAX_DEFAULT);
	default_u32(&resolved.idle_timeout_ms, IDLE_MS_DEFAULT);
	default_u32(&resolved.drain_timeout_ms, DRAIN_MS_DEFAULT);
	return resolved;
}

/* @service: its defaults are resolved. */
static int service_check(const struct weir_service *service,
			 struct weir_error *error)
{
	const char *name = service->name != NULL ? service->name : "";
	if (service->send_bytes_max > CONTIGUOUS_BYTES_MAX ||
	    service->message_bytes_max > CONTIGUOUS_BYTES_MAX)
		return weir_error_set(
			error, -EINVAL,
			"service '%s': a send queue of %zu and a message of "
			"%zu bytes asked for; the limit of both is %zu",
			name, service->send_bytes_max,
			service->message_bytes_max, CONTIGUOUS_BYTES_MAX);
	if (service->send_low_bytes > service->send_high_bytes ||
	    service->send_high_bytes > service->send_bytes_max)
		return weir_error_set(
			error, -EINVAL,
			"service '%s': send marks low %zu, high %zu, max %zu "
			"bytes asked for: each must be at most the next",
			name, service->send_low_bytes, service->send_high_bytes,
			service->send_bytes_max);
	return 0;
}

int weir_service_check(const struct weir_service *service,
		       struct weir_error *error)
{
	if (service == NULL)
		return weir_error_set(error, -EINVAL, "no service is named");
	const struct weir_service resolved = service_resolve(service);
	return service_check(&resolved, error);
}

/* "Never" is a quarter of the range of ticks, 124 days. At half of the range
 * the wheel, which lags behind, would take the future for the past. */
static uint32_t drain_ticks(uint32_t drain_ms)
{
	return drain_ms == WEIR_NO_TIMEOUT ? INT32_MAX / 2
					   : wi_ticks_from_ms(drain_ms);
}

static void drain_set(struct wi_services *services, uint32_t drain_ms)
{
	services->drain_ms = drain_ms;
	services->operation_ticks = drain_ticks(drain_ms);
	if (services->operation_ticks < WI_TICKS_PER_S)
		services->operation_ticks = WI_TICKS_PER_S;
	if (drain_ms == WEIR_NO_TIMEOUT)
		services->operation_ticks = UINT32_MAX;
}

void wi_services_init(struct wi_services *services, struct wi_service *memory,
		      struct wi_conns *conns, struct wi_core *core)
{
	services->count = 0;
	services->list = memory;
	services->conns = conns;
	services->core = core;
	drain_set(services, DRAIN_MS_DEFAULT);
}

static const struct wi_service *services_add(
	struct wi_services *services, const struct weir_service *given,
	const struct weir_service *resolved)
{
	struct wi_service *service = &services->list[services->count];
	const uint32_t idle_ms = resolved->idle_timeout_ms;
	const uint32_t drain_ms = resolved->drain_timeout_ms;

	if (services->count == 0 || drain_ms > services->drain_ms)
		drain_set(services, drain_ms);
	*service = (struct wi_service){
		.conns = services->conns,
		.core = services->core,
		.given = given,
		.handlers = resolved->handlers,
		.ctx = resolved->ctx,
		.message_bytes_max = (uint32_t)resolved->message_bytes_max,
		.send_high_bytes = (uint32_t)resolved->send_high_bytes,
		.send_low_bytes = (uint32_t)resolved->send_low_bytes,
		.send_bytes_max = (uint32_t)resolved->send_bytes_max,
		.idle_ticks = idle_ms == WEIR_NO_TIMEOUT
				      ? 0
				      : wi_ticks_from_ms(idle_ms),
		.drain_ticks = drain_ticks(drain_ms),
	};
	services->count++;
	return service;
}

int wi_services_use(struct wi_services *services,
		    const struct weir_service *given,
		    const struct wi_service **out_service,
		    struct weir_error *error)
{
	for (uint32_t i = 0; i < services->count; i++) {
		if (services->list[i].given == given) {
			*out_service = &services->list[i];
			return 0;
		}
	}
	int err = weir_service_check(given, error);
	if (err < 0)
		return err;
	if (services->count == WEIR_SERVICES_MAX)
		return weir_error_set(error, -ENOSPC,
				      "a loop has %d services at most, and "
				      "this one has as many",
				      WEIR_SERVICES_MAX);
	const struct weir_service resolved = service_resolve(given);
	*out_service = services_add(services, given, &resolved);
	return 0;
}
