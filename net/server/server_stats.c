/* server_stats.c - how connections are spread, and what the server stands on */
#include "server_priv.h"

#include <errno.h>

static void share_read(const struct wi_server_seat *seat,
		       struct weir_loop_share *out_share)
{
	const struct weir_steer *steer = seat->server->steer;
	struct weir_loop_stats stats;
	const struct wi_steer_counts *before = &seat->counts_before;
	struct wi_steer_counts counts;

	weir_loop_stats(seat->loop, &stats);
	wi_steer_counts(steer, seat->index, &counts);
	*out_share = (struct weir_loop_share){
		.cpu = seat->cpu,
		.is_drained = seat->is_drained,
		.weight = steer->weights[seat->index],
		.conns_open = stats.conns_open,
		.conns_peak = stats.conns_peak,
		.work = wi_loop_work(seat->loop),
		.chosen = counts.chosen - before->chosen,
		.chosen_here = counts.chosen_here - before->chosen_here,
		.moved = counts.moved - before->moved,
		.arrived = stats.accepts,
		.sampled = stats.samples,
		.sampled_here = stats.samples_here,
	};
	if (out_share->chosen > 0)
		out_share->affinity = (double)out_share->chosen_here /
				      (double)out_share->chosen;
}

int weir_server_share(struct weir_server *server, uint32_t index,
		      struct weir_loop_share *out_share)
{
	wi_server_lock(server);
	struct wi_server_seat *seat = wi_server_seat(server, index, NULL);
	if (seat != NULL)
		share_read(seat, out_share);
	wi_server_unlock(server);
	return seat != NULL ? 0 : -ENOENT;
}

static void stats_add(struct weir_server_stats *stats,
		      const struct weir_loop_share *share)
{
	stats->loop_count++;
	stats->conns_open += share->conns_open;
	stats->arrived += share->arrived;
	stats->chosen += share->chosen;
	stats->moved += share->moved;
}

void weir_server_stats(struct weir_server *server,
		       struct weir_server_stats *out_stats)
{
	struct weir_loop_share share;
	uint64_t most = 0;

	wi_server_lock(server);
	const struct weir_steer *steer = server->steer;
	struct weir_server_stats stats = {
		.policy = steer->opts.policy,
		.means = weir_steer_means(steer),
		.is_stepped =
			wi_load_relaxed_u32(&steer->state->is_stepped) != 0,
		.guard_steps = wi_load_relaxed_u64(&steer->guard.steps),
		.missed = wi_steer_missed(steer),
	};
	for (uint32_t i = 0; i < server->seat_end; i++) {
		if (server->seats[i].loop == NULL)
			continue;
		share_read(&server->seats[i], &share);
		stats_add(&stats, &share);
		if (share.arrived > most)
			most = share.arrived;
	}
	wi_server_unlock(server);
	if (stats.arrived > 0)
		stats.imbalance =
			(double)most * stats.loop_count / (double)stats.arrived;
	*out_stats = stats;
}

void weir_server_ladder(struct weir_server *server, struct weir_rung *out_rungs)
{
	wi_server_lock(server);
	for (uint32_t i = 0; i < server->seat_end; i++) {
		if (server->seats[i].loop == NULL)
			continue;
		weir_loop_ladder(server->seats[i].loop, out_rungs);
		break;
	}
	weir_steer_rungs(server->steer, out_rungs);
	wi_server_unlock(server);
}

uint16_t weir_server_port(const struct weir_server *server)
{
	return weir_addr_port(&server->addrs[0]);
}

const struct weir_addr *weir_server_addr(const struct weir_server *server,
					 uint32_t index)
{
	assert(index < server->addr_count);
	return &server->addrs[index];
}

uint32_t weir_server_loop_count(const struct weir_server *server)
{
	return wi_load_acquire_u32(&server->seat_end);
}

const struct weir_loop *weir_server_loop(const struct weir_server *server,
					 uint32_t index)
{
	assert(index < weir_server_loop_count(server));
	return wi_load_seq_cst_pointer(&server->seats[index].shown);
}

int weir_server_cpu(const struct weir_server *server, uint32_t index)
{
	if (weir_server_loop(server, index) == NULL)
		return -1;
	return server->seats[index].cpu;
}
