/* loop_struct.h - struct weir_loop itself
 *
 * For the files that make, turn and end a loop (loop.c, loop_open.c,
 * loop_stop.c), and for tests that look inside.
 */
#ifndef WEIR_NET_LOOP_STRUCT_H
#define WEIR_NET_LOOP_STRUCT_H

#include "../conn/conns.h"
#include "../core/arena.h"
#include "../core/core.h"
#include "../core/doorbell.h"
#include "../loop.h"
#include "backoff.h"
#include "listener.h"
#include "load_report.h"
#include "loop_stop.h"
#include "sample.h"
#include "stall_guard.h"

struct weir_loop {
	struct wi_core core;
	struct wi_conns conns;
	struct wi_listeners listeners;
	struct wi_doorbell doorbell;
	struct wi_stop stop;

	uint64_t turn_start_ns;
	uint64_t next_tick_ns; /* of on_tick; UINT64_MAX: never */
	struct wi_stall_guard stall_guard;
	struct wi_backoff backoff;
	struct wi_load_report load_report; /* for steering */
	struct wi_sample sample; /* of the CPUs that packets came on */

	uint32_t index;
	struct weir_server *server; /* NULL: a loop of its own */
	void *user;
	bool has_started;           /* on_stop is pending */
	struct weir_loop_opts opts; /* every default resolved */
	struct wi_arena arena;      /* holds all of the above as well */
};

#endif
