#include "seen.h"

#include <stdlib.h>

struct weir_server_snapshot seen_server(struct weir_server *server)
{
	struct weir_server_snapshot seen;
	weir_server_snapshot(server, &seen, NULL, 0);
	return seen;
}

static struct weir_loop_snapshot *loops_read(struct weir_server *server,
					     uint32_t count)
{
	struct weir_server_snapshot seen;
	struct weir_loop_snapshot *loops = calloc(count, sizeof(*loops));
	if (loops == NULL)
		abort(); /* not an assertion: callers include processes that
			  * must not assert */
	weir_server_snapshot(server, &seen, loops, count);
	return loops;
}

struct weir_loop_snapshot seen_loop(struct weir_server *server, uint32_t index)
{
	struct weir_loop_snapshot *loops = loops_read(server, index + 1);
	const struct weir_loop_snapshot loop = loops[index];
	free(loops);
	return loop;
}

uint16_t seen_port(struct weir_server *server)
{
	const struct weir_server_snapshot seen = seen_server(server);
	return weir_addr_port(&seen.addrs[0]);
}

static void stats_add(struct weir_loop_stats *sum,
		      const struct weir_loop_stats *one)
{
#define RING_ADD(name, help) sum->ring.name += one->ring.name;
	WEIR_RING_STATS(RING_ADD)
#undef RING_ADD
#define LOOP_ADD(name, help) sum->name += one->name;
	WEIR_LOOP_STATS(LOOP_ADD)
#undef LOOP_ADD
	for (int i = 0; i < WEIR_CLOSE_CAUSE_COUNT; i++)
		sum->closes_by[i] += one->closes_by[i];
	sum->conns_open += one->conns_open;
	sum->block_bytes_used += one->block_bytes_used;
	sum->conns_peak += one->conns_peak;
	sum->block_bytes_peak += one->block_bytes_peak;
}

struct weir_loop_stats seen_stats(struct weir_server *server)
{
	const uint32_t count = seen_server(server).loop_end;
	struct weir_loop_snapshot *loops = loops_read(server, count);
	struct weir_loop_stats sum = { .turns = 0 };
	for (uint32_t i = 0; i < count; i++)
		stats_add(&sum, &loops[i].stats);
	free(loops);
	return sum;
}
