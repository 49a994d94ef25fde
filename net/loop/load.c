#include "load.h"

#include "../core/min.h"
#include "loop_priv.h"

#include <stdio.h>

enum {
	NS_PER_MS = 1000000,
	DECAY_STEPS_MAX = 64, /* after so many ticks nothing is left */
	DECAY_PARTS = 16,     /* of which one goes with each tick */
	/* A SYN that is no connection by now becomes none: its client is gone,
	 * or was a flood's. */
	SETTLE_NS = 250 * NS_PER_MS,
};

void wi_load_init(struct weir_loop *loop)
{
	loop->load.seat = &loop->load.own;
	loop->load.work_tick = loop->now_tick;
}

void wi_load_sit(struct weir_loop *loop, struct weir_steer *steer,
		 uint32_t seat)
{
	struct wi_load *load = &loop->load;
	load->steer = steer;
	load->seat = wi_steer_seat(steer, seat);
	/* What a loop left here that had the seat before. */
	wi_store_relaxed_u64(&load->seat->settled,
			     wi_load_relaxed_u64(&load->seat->sent));
	wi_store_relaxed_u32(&load->seat->open_count, 0);
	wi_store_relaxed_u32(&load->seat->work, 0);
}

static uint32_t load_decay(uint32_t work, uint32_t ticks)
{
	if (ticks > DECAY_STEPS_MAX)
		return 0;
	for (uint32_t i = 0; i < ticks && work > 0; i++)
		work -= (work + DECAY_PARTS - 1) / DECAY_PARTS;
	return work;
}

/* Another policy than least-loaded does not count what it sends. Of what was
 * sent when the wait began all is given up at its end, whatever came since: a
 * busy loop would otherwise gather SYNs that never became connections. */
static void load_settle(struct weir_loop *loop)
{
	struct wi_load *load = &loop->load;
	const uint64_t accepted = loop->stats.accepts - load->accepts;
	const uint64_t sent = wi_load_relaxed_u64(&load->seat->sent);
	uint64_t settled = wi_min_u64(load->seat->settled + accepted, sent);

	load->accepts = loop->stats.accepts;
	if (load->is_awaiting && loop->now_ns >= wi_load_due_ns(loop)) {
		load->is_awaiting = false;
		if (settled < load->awaited)
			settled = load->awaited;
	}
	if (settled == sent) {
		load->is_awaiting = false;
	} else if (!load->is_awaiting) {
		load->is_awaiting = true;
		load->awaiting_since_ns = loop->now_ns;
		load->awaited = sent;
	}
	wi_store_relaxed_u64(&load->seat->settled, settled);
}

static void load_guard(struct weir_loop *loop)
{
	struct wi_load *load = &loop->load;
	char line[160];
	const char *policy = NULL;

	const enum wi_guard_step step =
		wi_steer_guard(load->steer, loop->now_ns);
	if (step == WI_GUARD_STAY)
		return;
	if (step == WI_GUARD_STEP) {
		(void)snprintf(line, sizeof(line),
			       "steering: more than %u %% of the new "
			       "connections went to one loop; least-loaded "
			       "until that ends",
			       load->steer->opts.guard_percent);
	} else {
		policy = weir_steer_policy_name(wi_steer_policy(load->steer));
		(void)snprintf(line, sizeof(line),
			       "steering: the cause is gone; back to %s",
			       policy);
	}
	if (load->on_log != NULL)
		load->on_log(line, loop->ctx);
}

void wi_load_turn(struct weir_loop *loop, uint32_t recvs)
{
	struct wi_load *load = &loop->load;

	load->work = load_decay(load->work, loop->now_tick - load->work_tick) +
		     recvs;
	load->work_tick = loop->now_tick;
	/* Those that have come are in open_count before they leave the sum of
	 * those that are yet to come: never in neither. */
	wi_store_relaxed_u32(&load->seat->open_count, loop->conns.used_count);
	wi_store_relaxed_u32(&load->seat->work, load->work);
	wi_store_relaxed_u32(&load->seat->published_ms,
			     (uint32_t)(loop->now_ns / NS_PER_MS));
	load_settle(loop);
	if (load->steer != NULL)
		load_guard(loop);
}

uint64_t wi_load_due_ns(const struct weir_loop *loop)
{
	const struct wi_load *load = &loop->load;
	return load->is_awaiting ? load->awaiting_since_ns + SETTLE_NS
				 : UINT64_MAX;
}
