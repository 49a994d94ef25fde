/* echo_steer.c - what weir-echo says about which loop gets a connection
 *
 *     at its start   who chooses, and why nobody better
 *     at its end     a line for each loop: asked for, chosen, arrived
 */
#include "../lib/cli.h"
#include "../lib/stats.h"
#include "echo.h"

#include <inttypes.h>
#include <stdio.h>

enum { COLUMN_BYTES = 32 };

static double percent(uint64_t part, uint64_t whole)
{
	return 100.0 * (double)part / (double)whole;
}

/* Connections whose packets came in on their loop's own CPU: of the sockets
 * that were asked, if any were; otherwise of the program's own choices. */
static char *affinity_text(const struct weir_loop_share *share, char *out_text)
{
	char asked[COLUMN_BYTES];

	(void)snprintf(out_text, COLUMN_BYTES, "-");
	if (share->cpu < 0)
		return out_text;
	if (share->sampled > 0)
		(void)snprintf(out_text, COLUMN_BYTES, "%.1f%% of %.20s",
			       percent(share->sampled_here, share->sampled),
			       stats_grouped_text(share->sampled, asked));
	else if (share->chosen > 0)
		(void)snprintf(out_text, COLUMN_BYTES, "%.1f%%",
			       100 * share->affinity);
	return out_text;
}

static char *cpu_text(int cpu, char *out_text)
{
	if (cpu < 0)
		(void)snprintf(out_text, COLUMN_BYTES, "-");
	else
		(void)snprintf(out_text, COLUMN_BYTES, "%d", cpu);
	return out_text;
}

/* "least-loaded by eBPF" */
static void print_choice(const struct weir_server_stats *stats)
{
	(void)printf("  steering   ");
	if (stats->policy == WEIR_STEER_KERNEL)
		(void)printf("%s", weir_steer_means_name(WEIR_STEER_BY_HASH));
	else if (stats->means == WEIR_STEER_BY_HASH)
		(void)printf("%s instead of %s",
			     weir_steer_means_name(stats->means),
			     weir_steer_policy_name(stats->policy));
	else
		(void)printf("%s by %s", weir_steer_policy_name(stats->policy),
			     weir_steer_means_name(stats->means));
}

void echo_steer_print_start(const struct echo *echo)
{
	struct weir_server_stats stats;
	struct weir_rung rungs[WEIR_RUNG_COUNT];

	weir_server_stats(echo->server, &stats);
	weir_server_ladder(echo->server, rungs);
	print_choice(&stats);
	if (stats.policy != WEIR_STEER_KERNEL &&
	    stats.means != WEIR_STEER_BY_EBPF) {
		const struct weir_rung *rung = &rungs[WEIR_RUNG_STEER_EBPF];
		(void)printf("%s: %s; %s",
			     stats.means == WEIR_STEER_BY_HASH
				     ? ""
				     : " instead of eBPF",
			     rung->cause, rung->remedy);
	}
	(void)printf("\n");
}

static void print_loop(uint32_t index, const struct weir_loop_share *share)
{
	char cpu[COLUMN_BYTES];
	char most[COLUMN_BYTES];
	char arrived[COLUMN_BYTES];
	char chosen[COLUMN_BYTES];
	char affinity[COLUMN_BYTES];
	char moved[COLUMN_BYTES];

	(void)printf("  %4u %4s %7u %9s %11s %11s %16s %9s%s\n", index,
		     cpu_text(share->cpu, cpu), share->weight,
		     stats_grouped_text(share->conns_peak, most),
		     stats_grouped_text(share->arrived, arrived),
		     stats_grouped_text(share->chosen, chosen),
		     affinity_text(share, affinity),
		     stats_grouped_text(share->moved, moved),
		     share->is_drained ? "  drained" : "");
}

void echo_steer_print_end(const struct echo *echo)
{
	const uint32_t loop_count = weir_server_loop_count(echo->server);
	struct weir_server_stats stats;
	struct weir_loop_share share;

	weir_server_stats(echo->server, &stats);
	if (loop_count < 2 && stats.policy == WEIR_STEER_KERNEL)
		return;
	print_choice(&stats);
	(void)printf("; connections:\n");
	(void)printf("  %4s %4s %7s %9s %11s %11s %16s %9s\n", "loop", "CPU",
		     "weight", "most open", "arrived", "chosen", "on its CPU",
		     "moved");
	for (uint32_t i = 0; i < loop_count; i++)
		if (weir_server_share(echo->server, i, &share) == 0)
			print_loop(i, &share);
	(void)printf("  imbalance  %.2f, the fullest loop's arrivals / their "
		     "mean; %" PRIu64 " choices missed\n",
		     stats.imbalance, stats.missed);
	if (stats.guard_steps > 0 || stats.is_stepped)
		(void)printf(
			"  guard      stepped to least-loaded %" PRIu64
			" time%s%s\n",
			stats.guard_steps, stats.guard_steps == 1 ? "" : "s",
			stats.is_stepped ? ", and was there at the end" : "");
}

void echo_steer_json(const struct echo *echo, struct json *json)
{
	struct weir_server_stats stats;

	weir_server_stats(echo->server, &stats);
	json_object_open(json, "steering");
	json_text(json, "policy", weir_steer_policy_name(stats.policy));
	json_text(json, "means", weir_steer_means_name(stats.means));
	json_bool(json, "is_stepped", stats.is_stepped);
	json_u64(json, "guard_steps", stats.guard_steps);
	json_u64(json, "missed", stats.missed);
	json_double(json, "imbalance", stats.imbalance);
	json_object_close(json);
}

void echo_steer_loop_json(const struct echo *echo, uint32_t index,
			  struct json *json)
{
	struct weir_loop_share share;

	if (weir_server_share(echo->server, index, &share) < 0)
		return;
	json_u64(json, "weight", share.weight);
	json_bool(json, "is_drained", share.is_drained);
	json_u64(json, "arrived", share.arrived);
	json_u64(json, "chosen", share.chosen);
	json_u64(json, "chosen_here", share.chosen_here);
	json_double(json, "affinity", share.affinity);
	json_u64(json, "moved", share.moved);
	json_u64(json, "sampled", share.sampled);
	json_u64(json, "sampled_here", share.sampled_here);
}
