/* stats.h - a loop's counters, added up and written as JSON */
#ifndef WEIR_TOOLS_STATS_H
#define WEIR_TOOLS_STATS_H

#include "json.h"

#include <weir/net/loop.h>

/** stats_add() - every counter and gauge of @from, onto @total. */
void stats_add(struct weir_loop_stats *total,
	       const struct weir_loop_stats *from);

/** stats_members() - ring, net, closes_by and gauges, as four objects of the
 *                    object that is open. */
void stats_members(struct json *json, const struct weir_loop_stats *stats);

enum {
	STATS_CLOSES_TEXT_BYTES = 512,
};

/** stats_closes_text() - "peer 12, reset 1"; "none". Return: @out_text. */
char *stats_closes_text(const struct weir_loop_stats *stats, char *out_text);

/** stats_grouped_text() - 1234567 as "1,234,567". Return: @out_text, of at
 *                         least 32 bytes. */
char *stats_grouped_text(uint64_t value, char *out_text);

#endif
