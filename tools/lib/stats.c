#include "stats.h"

#include <inttypes.h>

void stats_add(struct weir_loop_stats *total,
	       const struct weir_loop_stats *from)
{
#define STATS_ADD_RING(name, help) total->ring.name += from->ring.name;
	WEIR_RING_STATS(STATS_ADD_RING)
#undef STATS_ADD_RING
#define STATS_ADD_LOOP(name, help) total->name += from->name;
	WEIR_LOOP_STATS(STATS_ADD_LOOP)
#undef STATS_ADD_LOOP
	for (int i = 0; i < WEIR_CLOSE_CAUSE_COUNT; i++)
		total->closes_by[i] += from->closes_by[i];
	total->conns_open += from->conns_open;
	total->conns_peak += from->conns_peak;
	total->block_bytes_used += from->block_bytes_used;
	total->block_bytes_peak += from->block_bytes_peak;
	total->punt_workers += from->punt_workers;
}

void stats_members(struct json *json, const struct weir_loop_stats *stats)
{
	json_object_open(json, "ring");
#define STATS_RING_MEMBER(name, help) json_u64(json, #name, stats->ring.name);
	WEIR_RING_STATS(STATS_RING_MEMBER)
#undef STATS_RING_MEMBER
	json_object_close(json);

	json_object_open(json, "net");
#define STATS_LOOP_MEMBER(name, help) json_u64(json, #name, stats->name);
	WEIR_LOOP_STATS(STATS_LOOP_MEMBER)
#undef STATS_LOOP_MEMBER
	json_object_close(json);

	json_object_open(json, "closes_by");
	for (int i = WEIR_CLOSE_NONE + 1; i < WEIR_CLOSE_CAUSE_COUNT; i++)
		json_u64(json, weir_close_cause_name(i), stats->closes_by[i]);
	json_object_close(json);

	json_object_open(json, "gauges");
	json_u64(json, "conns_open", stats->conns_open);
	json_u64(json, "conns_peak", stats->conns_peak);
	json_u64(json, "block_bytes_used", stats->block_bytes_used);
	json_u64(json, "block_bytes_peak", stats->block_bytes_peak);
	json_u64(json, "punt_workers", stats->punt_workers);
	json_object_close(json);
}

char *stats_closes_text(const struct weir_loop_stats *stats, char *out_text)
{
	size_t used = 0;

	(void)snprintf(out_text, STATS_CLOSES_TEXT_BYTES, "none");
	for (int i = 0; i < WEIR_CLOSE_CAUSE_COUNT; i++) {
		if (stats->closes_by[i] == 0)
			continue;
		int wrote = snprintf(
			out_text + used, STATS_CLOSES_TEXT_BYTES - used,
			"%s%s %" PRIu64, used > 0 ? ", " : "",
			weir_close_cause_name(i), stats->closes_by[i]);
		if (wrote < 0 ||
		    used + (size_t)wrote >= STATS_CLOSES_TEXT_BYTES)
			break;
		used += (size_t)wrote;
	}
	return out_text;
}

char *stats_grouped_text(uint64_t value, char *out_text)
{
	char digits[24];
	int count = snprintf(digits, sizeof(digits), "%" PRIu64, value);
	char *to = out_text;

	for (int i = 0; i < count; i++) {
		if (i > 0 && (count - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return out_text;
}
