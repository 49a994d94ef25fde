/* load_report.h - what a loop publishes of its load for steering, every turn
 *
 * Plain stores into its member (steer_rule.h), which the steering program reads
 * at any time. A loop without a server has a member of its own, which no
 * program reads.
 */
#ifndef WEIR_NET_LOAD_REPORT_H
#define WEIR_NET_LOAD_REPORT_H

#include "../steer/steer_priv.h"

#include <stdbool.h>
#include <stdint.h>

struct wi_core;

struct wi_load_report {
	struct wi_steer_member *member;
	struct weir_steer *steer; /* NULL: a loop of its own */
	void (*on_log)(const char *line, void *ctx);
	void *log_ctx;
	uint32_t work; /* receives, decaying */
	uint32_t work_tick;
	uint64_t accepts;  /* as of the last turn */
	bool is_expecting; /* connections sent to it have not arrived */
	uint64_t expecting_since_ns;
	uint64_t awaited; /* member->sent as of then */
	struct wi_steer_member own;
};

void wi_load_report_init(struct wi_load_report *report);

/* Before the loop runs: it publishes as this member from now on. */
void wi_load_report_join(struct wi_load_report *report,
			 struct weir_steer *steer, uint32_t member);

/* The end of a turn. @open_count: connections that there are; @recvs:
 * completions with data in this turn. */
void wi_load_report_turn(struct wi_load_report *report,
			 const struct wi_core *core, uint32_t open_count,
			 uint32_t recvs);

/* When to stop waiting for connections that were sent to it and have not
 * arrived; UINT64_MAX: there are none. */
uint64_t wi_load_report_due_ns(const struct wi_load_report *report);

#endif
