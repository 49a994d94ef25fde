/* server_snapshot.c - the state of a server, in one copy
 *
 * A snapshot reads the workers that are shown, under the lock that shows and
 * hides them. No thread waits for a loop while it holds that lock, so a
 * snapshot does not wait for a loop either.
 */
#include "server_priv.h"

static void loop_read(const struct wi_server_worker *worker,
		      struct weir_loop_snapshot *out_loop)
{
	const struct weir_steer *steer = worker->server->steer;
	const struct wi_steer_counts *before = &worker->counts_before;
	struct wi_steer_counts counts;

	wi_steer_counts(steer, worker->index, &counts);
	*out_loop = (struct weir_loop_snapshot){
		.is_present = true,
		.cpu = worker->cpu,
		.has_stopped_accepting = worker->has_stopped_accepting,
		.weight = steer->weights[worker->index],
		.work = wi_loop_work(worker->shown),
		.chosen = counts.chosen - before->chosen,
		.chosen_here = counts.chosen_here - before->chosen_here,
		.moved = counts.moved - before->moved,
	};
	if (out_loop->chosen > 0)
		out_loop->affinity = (double)out_loop->chosen_here /
				     (double)out_loop->chosen;
	weir_loop_stats(worker->shown, &out_loop->stats);
}

static void server_read(const struct weir_server *server,
			struct weir_server_snapshot *out_snapshot)
{
	const struct weir_steer *steer = server->steer;
	*out_snapshot = (struct weir_server_snapshot){
		.policy = wi_steer_policy(steer),
		.means = weir_steer_means(steer),
		.is_stepped =
			wi_load_relaxed_u32(&steer->state->is_stepped) != 0,
		.guard_steps = wi_load_relaxed_u64(&steer->guard.steps),
		.missed = wi_steer_missed(steer),
		.loop_end = wi_load_acquire_u32(&server->worker_end),
		.addr_count = server->addr_count,
	};
	for (uint32_t i = 0; i < server->addr_count; i++)
		out_snapshot->addrs[i] = server->addrs[i];
}

/* The ladder is that of the first loop: all loops have the same. */
static void snapshot_add(struct weir_server_snapshot *snapshot,
			 const struct wi_server_worker *worker,
			 const struct weir_loop_snapshot *loop)
{
	if (snapshot->loop_count == 0)
		weir_loop_ladder(worker->shown, snapshot->rungs);
	snapshot->loop_count++;
	snapshot->conns_open += loop->stats.conns_open;
	snapshot->accepts += loop->stats.accepts;
	snapshot->chosen += loop->chosen;
	snapshot->moved += loop->moved;
}

void weir_server_snapshot(struct weir_server *server,
			  struct weir_server_snapshot *out_snapshot,
			  struct weir_loop_snapshot *out_loops,
			  uint32_t loop_capacity)
{
	uint64_t most = 0;

	(void)pthread_mutex_lock(&server->shown_lock);
	server_read(server, out_snapshot);
	for (uint32_t i = 0; i < server->worker_count; i++) {
		const struct wi_server_worker *worker = &server->workers[i];
		struct weir_loop_snapshot loop = { .cpu = -1 };
		if (worker->shown != NULL) {
			loop_read(worker, &loop);
			snapshot_add(out_snapshot, worker, &loop);
		}
		if (loop.stats.accepts > most)
			most = loop.stats.accepts;
		if (i < loop_capacity)
			out_loops[i] = loop;
	}
	(void)pthread_mutex_unlock(&server->shown_lock);
	/* While a server is opened, no loop is shown yet. */
	for (int i = 0; i < WEIR_RUNG_COUNT && out_snapshot->loop_count == 0;
	     i++)
		weir_rung_init(&out_snapshot->rungs[i], (enum weir_rung_id)i);
	for (uint32_t i = server->worker_count; i < loop_capacity; i++)
		out_loops[i] = (struct weir_loop_snapshot){ .cpu = -1 };
	weir_steer_rungs(server->steer, out_snapshot->rungs);
	if (out_snapshot->accepts > 0)
		out_snapshot->imbalance = (double)most *
					  out_snapshot->loop_count /
					  (double)out_snapshot->accepts;
}
