/* late.h - a loop that was kept from running
 *
 *     due ......... now         20 ms or more: the process was stopped, or the
 *      |             |          CPU was another's, or a handler took so long
 *      deadlines pass
 *      bytes arrive             and lie in the kernel, which hands out those
 *                               of a few connections per turn
 *
 * Such a loop would take for silent whom it has not heard yet. So it looks at
 * all that has come, and judges after that.
 */
#ifndef WEIR_NET_LATE_H
#define WEIR_NET_LATE_H

#include <stdbool.h>
#include <stdint.h>

struct weir_loop;

struct wi_late {
	uint32_t turns_left; /* in which deadlines wait; 0: not late */
};

/* Once per turn, after its completions were looked at; the turn before it did
 * so at @before_ns. True: no deadline may fire. */
bool wi_late_turn(struct weir_loop *loop, uint64_t before_ns);

#endif
