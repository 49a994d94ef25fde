/* load.h - what a loop tells of its load, once per turn, for steering
 *
 * Plain stores into its seat (steer_rule.h), which the program reads at any
 * time; a loop without a server has a seat of its own, that nobody reads.
 */
#ifndef WEIR_NET_LOAD_H
#define WEIR_NET_LOAD_H

#include "../steer/steer_priv.h"

#include <stdbool.h>
#include <stdint.h>

struct weir_loop;

struct wi_load {
	struct wi_steer_seat *seat;
	struct weir_steer *steer; /* NULL: a loop of its own */
	void (*on_log)(const char *line, void *ctx);
	uint32_t work; /* receives, decaying */
	uint32_t work_tick;
	uint64_t accepts; /* as of the last turn */
	bool is_awaiting; /* some were sent to it that have not come */
	uint64_t awaiting_since_ns;
	uint64_t awaited; /* seat->sent as of then */
	struct wi_steer_seat own;
};

void wi_load_init(struct weir_loop *loop);

/* Before the loop runs: it publishes in this seat from now on. */
void wi_load_sit(struct weir_loop *loop, struct weir_steer *steer,
		 uint32_t seat);

/* The end of a turn. @recvs: completions with data in it. */
void wi_load_turn(struct weir_loop *loop, uint32_t recvs);

/* When connections that were sent to it and never came are to be given up;
 * UINT64_MAX: there are none. */
uint64_t wi_load_due_ns(const struct weir_loop *loop);

#endif
