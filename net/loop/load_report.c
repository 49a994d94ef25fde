#include "load_report.h"

#include "../core/core.h"
#include "../core/min.h"

#include <stdio.h>

enum {
	NS_PER_MS = 1000000,
	DECAY_STEPS_MAX = 64, /* after so many ticks nothing is left */
	DECAY_PARTS = 16,     /* one of them is subtracted with each tick */
	/* A SYN that has not become a connection by then never does: its client
	 * is gone, or it was part of a flood. */
	SETTLE_NS = 250 * NS_PER_MS,
};

void wi_load_report_init(struct wi_load_report *report)
{
	report->member = &report->own;
}

void wi_load_report_join(struct wi_load_report *report,
			 struct weir_steer *steer, uint32_t member)
{
	report->steer = steer;
	report->member = wi_steer_member(steer, member);
	/* What a loop left here that was this member before. */
	wi_store_relaxed_u64(&report->member->settled,
			     wi_load_relaxed_u64(&report->member->sent));
	wi_store_relaxed_u32(&report->member->open_count, 0);
	wi_store_relaxed_u32(&report->member->work, 0);
}

static uint32_t load_decay(uint32_t work, uint32_t ticks)
{
	if (ticks > DECAY_STEPS_MAX)
		return 0;
	for (uint32_t i = 0; i < ticks && work > 0; i++)
		work -= (work + DECAY_PARTS - 1) / DECAY_PARTS;
	return work;
}

/* Only least-loaded counts what it sends. When the wait ends, all that had been
 * sent when it began counts as settled, whatever arrived since. Otherwise a
 * busy loop would collect SYNs that never became connections. */
static void report_settle(struct wi_load_report *report,
			  const struct wi_core *core)
{
	const uint64_t accepted = core->stats.accepts - report->accepts;
	const uint64_t sent = wi_load_relaxed_u64(&report->member->sent);
	uint64_t settled = wi_min_u64(report->member->settled + accepted, sent);

	report->accepts = core->stats.accepts;
	if (report->is_expecting &&
	    core->clock.now_ns >= wi_load_report_due_ns(report)) {
		report->is_expecting = false;
		if (settled < report->awaited)
			settled = report->awaited;
	}
	if (settled == sent) {
		report->is_expecting = false;
	} else if (!report->is_expecting) {
		report->is_expecting = true;
		report->expecting_since_ns = core->clock.now_ns;
		report->awaited = sent;
	}
	wi_store_relaxed_u64(&report->member->settled, settled);
}

static void report_guard(struct wi_load_report *report,
			 const struct wi_core *core)
{
	char line[160];
	const char *policy = NULL;

	const enum wi_guard_step step =
		wi_steer_guard(report->steer, core->clock.now_ns);
	if (step == WI_GUARD_STAY)
		return;
	if (step == WI_GUARD_STEP) {
		(void)snprintf(line, sizeof(line),
			       "steering: more than %u %% of the new "
			       "connections went to one loop; least-loaded "
			       "until that ends",
			       report->steer->opts.guard_percent);
	} else {
		policy = weir_steer_policy_name(wi_steer_policy(report->steer));
		(void)snprintf(line, sizeof(line),
			       "steering: the cause is gone; back to %s",
			       policy);
	}
	if (report->on_log != NULL)
		report->on_log(line, report->log_ctx);
}

void wi_load_report_turn(struct wi_load_report *report,
			 const struct wi_core *core, uint32_t open_count,
			 uint32_t recvs)
{
	report->work = load_decay(report->work,
				  core->clock.now_tick - report->work_tick) +
		       recvs;
	report->work_tick = core->clock.now_tick;
	/* A connection enters open_count before it leaves the sum of those
	 * still to come, so that it is always in one of them. */
	wi_store_relaxed_u32(&report->member->open_count, open_count);
	wi_store_relaxed_u32(&report->member->work, report->work);
	wi_store_relaxed_u32(&report->member->published_ms,
			     (uint32_t)(core->clock.now_ns / NS_PER_MS));
	report_settle(report, core);
	if (report->steer != NULL)
		report_guard(report, core);
}

uint64_t wi_load_report_due_ns(const struct wi_load_report *report)
{
	return report->is_expecting ? report->expecting_since_ns + SETTLE_NS
				    : UINT64_MAX;
}
