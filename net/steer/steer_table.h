/* steer_table.h - from weights to the tables that the rule reads
 *
 *     turns[]    round-robin: each member as often as its weight, spread evenly
 *     buckets[]  source-hash: each member's share by weight; when one leaves,
 *                or a weight changes, few buckets change their member
 *
 * Pure, except for the stores. Each stores 16 bits, so that a program that
 * reads meanwhile finds a member of the old table or of the new one.
 */
#ifndef WEIR_NET_STEER_TABLE_H
#define WEIR_NET_STEER_TABLE_H

#include "steer_rule.h"

#include <stdbool.h>

/* Fills state->turns, turn_count and buckets from state->members[].weight of
 * the first member_count. If none has a weight: turn_count 0, no member in any
 * bucket. If the weights, divided by their common divisor, sum to more than
 * WI_STEER_STEPS_MAX turns, they are scaled down, to no less than one turn
 * each. */
void wi_steer_table_fill(struct wi_steer_state *state);

/* Fills cpu_members and cpu_member_count. @cpus: shape [member_count], of each
 * member or -1; a member with weight 0 is left out. Returns false if more than
 * WI_STEER_PER_CPU_MAX members share a CPU; the rest of them are left out. */
bool wi_steer_table_fill_cpus(struct wi_steer_state *state, const int *cpus);

#endif
