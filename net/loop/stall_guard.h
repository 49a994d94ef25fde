/* stall_guard.h - a loop that was kept from running
 *
 *     due ......... now         20 ms or more: the process was stopped, or the
 *      |             |          CPU was another's, or a handler took so long
 *      deadlines pass
 *      bytes arrive             and lie in the kernel, which hands out those
 *                               of a few connections per turn
 *
 * A late loop has not read its sockets yet, so its idle deadlines would close
 * live peers. It looks at everything that has come first, and lets deadlines
 * fire after that.
 */
#ifndef WEIR_NET_STALL_GUARD_H
#define WEIR_NET_STALL_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct wi_core;

struct wi_stall_guard {
	uint32_t turns_left; /* in which deadlines wait; 0: not late */
};

/* Once per turn, after its completions were looked at; the turn before it did
 * so at @before_ns. @conn_count: connections that there are. @stop_deadline_ns:
 * of a loop that stops, else UINT64_MAX. True: no deadline may fire. */
bool wi_stall_guard_turn(struct wi_stall_guard *guard, struct wi_core *core,
			 uint32_t conn_count, uint64_t stop_deadline_ns,
			 uint64_t before_ns);

#endif
