/* steer_table.h - from weights to the tables that the rule walks
 *
 *     turns[]    round-robin: each seat as often as its weight, spread evenly
 *     buckets[]  source-hash: each seat's share by weight; when one leaves, or
 *                a weight changes, few buckets change their seat
 *
 * Pure, but for the stores: 16 bits each, so that a program that reads
 * meanwhile finds a seat of the old table or of the new one.
 */
#ifndef WEIR_NET_STEER_TABLE_H
#define WEIR_NET_STEER_TABLE_H

#include "steer_rule.h"

#include <stdbool.h>

/* Fills state->turns, turn_count, buckets from state->seats[].weight of the
 * first seat_count; none with a weight: turn_count 0, no seat in any bucket.
 * Weights of more than WI_STEER_TURNS_MAX turns in sum, after their common
 * divisor, are scaled down, to no less than one turn each. */
void wi_steer_table_fill(struct wi_steer_state *state);

/* Fills cpu_seats, cpu_seat_count. @cpus: shape [seat_count], of each seat or
 * -1; a seat with weight 0 is left out. Returns false if more than
 * WI_STEER_PER_CPU_MAX seats share a CPU; those beyond are left out. */
bool wi_steer_table_fill_cpus(struct wi_steer_state *state, const int *cpus);

#endif
