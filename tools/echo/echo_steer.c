/* echo_steer.c - what weir-echo prints about which loop gets a connection
 *
 *     at its start   what chooses, and why no better means does
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

/* The share of connections whose packets came in on their loop's own CPU: of
 * the sockets that were asked, if any were; otherwise of the program's own
 * choices. */
static char *affinity_text(const struct weir_loop_snapshot *loop,
			   char *out_text)
{
	char asked[COLUMN_BYTES];

	(void)snprintf(out_text, COLUMN_BYTES, "-");
	if (loop->cpu < 0)
		return out_text;
	if (loop->stats.samples > 0)
		(void)snprintf(
			out_text, COLUMN_BYTES, "%.1f%% of %.20s",
			percent(loop->stats.samples_here, loop->stats.samples),
			stats_grouped_text(loop->stats.samples, asked));
	else if (loop->chosen > 0)
		(void)snprintf(out_text, COLUMN_BYTES, "%.1f%%",
			       100 * loop->affinity);
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
static void print_choice(const struct weir_server_snapshot *seen)
{
	(void)printf("  steering   ");
	if (seen->policy == WEIR_STEER_KERNEL)
		(void)printf("%s", weir_steer_means_name(WEIR_STEER_BY_HASH));
	else if (seen->means == WEIR_STEER_BY_HASH)
		(void)printf("%s instead of %s",
			     weir_steer_means_name(seen->means),
			     weir_steer_policy_name(seen->policy));
	else
		(void)printf("%s by %s", weir_steer_policy_name(seen->policy),
			     weir_steer_means_name(seen->means));
}

void echo_steer_print_start(const struct echo *echo)
{
	const struct weir_server_snapshot *seen = &echo->seen;

	print_choice(seen);
	if (seen->policy != WEIR_STEER_KERNEL &&
	    seen->means != WEIR_STEER_BY_EBPF) {
		const struct weir_rung *rung =
			&seen->rungs[WEIR_RUNG_STEER_EBPF];
		(void)printf("%s: %s; %s",
			     seen->means == WEIR_STEER_BY_HASH
				     ? ""
				     : " instead of eBPF",
			     rung->cause, rung->remedy);
	}
	(void)printf("\n");
}

static void print_loop(uint32_t index, const struct weir_loop_snapshot *loop)
{
	char cpu[COLUMN_BYTES];
	char most[COLUMN_BYTES];
	char arrived[COLUMN_BYTES];
	char chosen[COLUMN_BYTES];
	char affinity[COLUMN_BYTES];
	char moved[COLUMN_BYTES];

	(void)printf("  %4u %4s %7u %9s %11s %11s %16s %9s%s\n", index,
		     cpu_text(loop->cpu, cpu), loop->weight,
		     stats_grouped_text(loop->stats.conns_peak, most),
		     stats_grouped_text(loop->stats.accepts, arrived),
		     stats_grouped_text(loop->chosen, chosen),
		     affinity_text(loop, affinity),
		     stats_grouped_text(loop->moved, moved),
		     loop->has_stopped_accepting ? "  drained" : "");
}

void echo_steer_print_end(const struct echo *echo)
{
	const struct weir_server_snapshot *seen = &echo->seen;

	if (seen->loop_end < 2 && seen->policy == WEIR_STEER_KERNEL)
		return;
	print_choice(seen);
	(void)printf("; connections:\n");
	(void)printf("  %4s %4s %7s %9s %11s %11s %16s %9s\n", "loop", "CPU",
		     "weight", "most open", "arrived", "chosen", "on its CPU",
		     "moved");
	for (uint32_t i = 0; i < seen->loop_end; i++)
		if (echo->seen_loops[i].is_present)
			print_loop(i, &echo->seen_loops[i]);
	(void)printf("  imbalance  %.2f, the fullest loop's arrivals / their "
		     "mean; %" PRIu64 " choices missed\n",
		     seen->imbalance, seen->missed);
	if (seen->guard_steps > 0 || seen->is_stepped)
		(void)printf(
			"  guard      stepped to least-loaded %" PRIu64
			" time%s%s\n",
			seen->guard_steps, seen->guard_steps == 1 ? "" : "s",
			seen->is_stepped ? ", and was there at the end" : "");
}

void echo_steer_json(const struct echo *echo, struct json *json)
{
	const struct weir_server_snapshot *seen = &echo->seen;

	json_object_open(json, "steering");
	json_text(json, "policy", weir_steer_policy_name(seen->policy));
	json_text(json, "means", weir_steer_means_name(seen->means));
	json_bool(json, "is_stepped", seen->is_stepped);
	json_u64(json, "guard_steps", seen->guard_steps);
	json_u64(json, "missed", seen->missed);
	json_double(json, "imbalance", seen->imbalance);
	json_object_close(json);
}

void echo_steer_loop_json(const struct weir_loop_snapshot *loop,
			  struct json *json)
{
	if (!loop->is_present)
		return;
	json_u64(json, "weight", loop->weight);
	json_bool(json, "has_stopped_accepting", loop->has_stopped_accepting);
	json_u64(json, "arrived", loop->stats.accepts);
	json_u64(json, "chosen", loop->chosen);
	json_u64(json, "chosen_here", loop->chosen_here);
	json_double(json, "affinity", loop->affinity);
	json_u64(json, "moved", loop->moved);
	json_u64(json, "sampled", loop->stats.samples);
	json_u64(json, "sampled_here", loop->stats.samples_here);
}
