/* stall_guard.h - a loop that was kept from running
 *
 *     due ......... now         20 ms or more: the process was stopped, or
 *      |             |          another one had the CPU, or a handler took long
 *      deadlines pass
 *      bytes arrive             and wait in the kernel, which delivers those
 *                               of a few connections per turn
 *
 * A late loop has not read its sockets yet, so its idle deadlines would close
 * live peers. The guard holds deadlines back until the loop has read all that
 * has arrived.
 */
#ifndef WEIR_NET_STALL_GUARD_H
#define WEIR_NET_STALL_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct wi_core;

struct wi_stall_guard {
	uint32_t turns_left; /* while deadlines wait; 0: not late */
};

/* Once per turn, after the completions were handled. @before_ns: when the turn
 * before did so. @conn_count: open connections. @stop_deadline_ns: of a loop
 * that stops, else UINT64_MAX. Return: true if no deadline may fire. */
bool wi_stall_guard_turn(struct wi_stall_guard *guard, struct wi_core *core,
			 uint32_t conn_count, uint64_t stop_deadline_ns,
			 uint64_t before_ns);

#endif
