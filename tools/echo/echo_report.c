/* echo_report.c - what weir-echo prints, at start and end, and writes */
#include "../lib/cli.h"
#include "../lib/framing.h"
#include "../lib/json.h"
#include "../lib/process.h"
#include "../lib/rungs.h"
#include "../lib/stats.h"
#include "echo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Everything that is computed from the counters. */
struct echo_total {
	struct weir_loop_stats stats;
	struct process_cpu cpu;
	uint64_t messages;
	double enters_per_message;
	double cpu_us_per_message;
	double wall_s;
};

void echo_look(struct echo *echo)
{
	weir_server_snapshot(echo->server, &echo->seen, echo->seen_loops,
			     ECHO_LOOPS_MAX);
}

static double per_message(double amount, uint64_t messages)
{
	return messages > 0 ? amount / (double)messages : 0.0;
}

static void echo_total_read(const struct echo *echo, struct echo_total *total)
{
	*total = (struct echo_total){ .cpu = process_cpu_read() };
	for (uint32_t i = 0; i < echo->seen.loop_end; i++) {
		stats_add(&total->stats, &echo->seen_loops[i].stats);
		total->messages += echo->loops[i].messages;
	}
	total->enters_per_message =
		per_message((double)total->stats.ring.enters, total->messages);
	total->cpu_us_per_message =
		per_message((total->cpu.user_s + total->cpu.system_s) * 1e6,
			    total->messages);
	total->wall_s =
		(double)(echo->served_until_ns - echo->served_from_ns) / 1e9;
}

static const char *echo_address_text(const struct echo *echo, uint32_t index,
				     char *out_text)
{
	return weir_addr_text(&echo->seen.addrs[index], out_text);
}

static void echo_print_rungs(const struct echo *echo)
{
	const struct weir_rung *rungs = echo->seen.rungs;
	const char *comma = "";

	(void)printf("  rungs on   ");
	for (int i = 0; i < WEIR_RUNG_COUNT; i++) {
		if (rungs[i].state != WEIR_RUNG_ON)
			continue;
		(void)printf("%s%s", comma, rungs[i].name);
		comma = ", ";
	}
	(void)printf("%s\n", *comma == '\0' ? "none" : "");
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		if (rungs[i].state == WEIR_RUNG_OFF ||
		    (rungs[i].state == WEIR_RUNG_FORCED_OFF &&
		     rungs[i].role != WEIR_ROLE_KNOWN))
			(void)printf("  rung %s  %s (Linux %s); costs: %s\n",
				     weir_rung_state_name(rungs[i].state),
				     rungs[i].name, rungs[i].since,
				     rungs[i].costs);
}

void echo_print_start(const struct echo *echo)
{
	char address[WEIR_ADDR_TEXT_BYTES];
	char limit[CLI_AMOUNT_BYTES];
	uint32_t loop_count = echo->seen.loop_end;

	(void)printf("weir-echo serves ");
	for (uint32_t i = 0; i < echo->address_count; i++)
		(void)printf("%s, ", echo_address_text(echo, i, address));
	if (echo->is_raw)
		(void)printf("raw\n");
	else
		(void)printf(
			"%s, payload up to %s\n", framing_text(&echo->format),
			cli_size_text(echo->format.payload_bytes_max, limit));
	(void)printf("  loops      %u", loop_count);
	for (uint32_t i = 0; i < loop_count; i++) {
		int cpu = echo->seen_loops[i].cpu;
		if (cpu < 0) {
			(void)printf(", not pinned");
			break;
		}
		(void)printf("%s%d", i == 0 ? ", on CPU " : " ", cpu);
	}
	(void)printf("\n");
	echo_steer_print_start(echo);
	echo_print_rungs(echo);
	(void)fflush(stdout);
}

void echo_print_end(const struct echo *echo)
{
	struct echo_total total;
	char closes[STATS_CLOSES_TEXT_BYTES];
	char messages[32];
	char connections[32];

	echo_total_read(echo, &total);
	(void)printf("weir-echo served %s connections, %s messages in %.1f s\n",
		     stats_grouped_text(total.stats.accepts, connections),
		     stats_grouped_text(total.messages, messages),
		     total.wall_s);
	(void)printf("  cost       %.4f kernel entries and %.2f us of CPU per "
		     "message\n",
		     total.enters_per_message, total.cpu_us_per_message);
	(void)printf("  punts      %" PRIu64 " kernel worker threads%s\n",
		     total.stats.punt_workers,
		     total.stats.punt_workers > 0
			     ? ", want 0: see the rungs at the start"
			     : "");
	(void)printf("  closes     %s\n",
		     stats_closes_text(&total.stats, closes));
	echo_steer_print_end(echo);
	if (echo->unprinted > 0)
		(void)printf("  unprinted  %" PRIu64
			     " lines that were left out\n",
			     (uint64_t)echo->unprinted);
	(void)fflush(stdout);
}

static void echo_stats_loops(const struct echo *echo, struct json *json)
{
	json_array_open(json, "loops");
	for (uint32_t i = 0; i < echo->seen.loop_end; i++) {
		const struct weir_loop_snapshot *loop = &echo->seen_loops[i];
		const int cpu = loop->cpu;
		json_object_open(json, NULL);
		json_u64(json, "index", i);
		json_bool(json, "is_pinned", cpu >= 0);
		json_u64(json, "cpu", cpu >= 0 ? (uint64_t)cpu : 0);
		echo_steer_loop_json(loop, json);
		json_u64(json, "messages", echo->loops[i].messages);
		json_double(json, "enters_per_message",
			    per_message((double)loop->stats.ring.enters,
					echo->loops[i].messages));
		stats_members(json, &loop->stats);
		json_object_close(json);
	}
	json_array_close(json);
}

static void echo_stats_json(const struct echo *echo, FILE *file)
{
	struct json json = { .file = file };
	struct echo_total total;
	char address[WEIR_ADDR_TEXT_BYTES];

	echo_total_read(echo, &total);
	json_object_open(&json, NULL);
	json_text(&json, "tool", "weir-echo");
	json_text(&json, "version", TOOLS_VERSION);
	json_text(&json, "address", echo_address_text(echo, 0, address));
	json_array_open(&json, "addresses");
	for (uint32_t i = 0; i < echo->address_count; i++)
		json_text(&json, NULL, echo_address_text(echo, i, address));
	json_array_close(&json);
	json_u64(&json, "port", weir_addr_port(&echo->seen.addrs[0]));
	json_text(&json, "framing",
		  echo->is_raw ? "raw" : framing_text(&echo->format));
	json_u64(&json, "loop_count", echo->seen.loop_end);
	json_double(&json, "wall_s", total.wall_s);
	json_double(&json, "cpu_user_s", total.cpu.user_s);
	json_double(&json, "cpu_system_s", total.cpu.system_s);
	json_u64(&json, "messages", total.messages);
	json_double(&json, "enters_per_message", total.enters_per_message);
	json_double(&json, "cpu_us_per_message", total.cpu_us_per_message);
	echo_steer_json(echo, &json);
	rungs_json(&json, echo->seen.rungs);
	json_object_open(&json, "total");
	stats_members(&json, &total.stats);
	json_object_close(&json);
	echo_stats_loops(echo, &json);
	json_object_close(&json);
}

/* Return: 0, or the errno of the first write that failed. */
static int file_finish(FILE *file)
{
	int err = ferror(file) != 0 ? -EIO : 0;
	if (fclose(file) != 0)
		err = -errno;
	return err;
}

int echo_write_stats(const struct echo *echo)
{
	if (echo->stats_file == NULL)
		return 0;
	FILE *file = fopen(echo->stats_file, "we");
	if (file == NULL)
		return -errno;
	echo_stats_json(echo, file);
	return file_finish(file);
}

int echo_write_port(const struct echo *echo)
{
	char *name = NULL;

	if (echo->port_file == NULL)
		return 0;
	if (asprintf(&name, "%s.new", echo->port_file) < 0)
		return -ENOMEM;
	FILE *file = fopen(name, "we");
	int err = file != NULL ? 0 : -errno;
	if (file != NULL) {
		(void)fprintf(file, "%u\n",
			      weir_addr_port(&echo->seen.addrs[0]));
		err = file_finish(file);
	}
	/* A reader finds no file, or the whole number. */
	if (err == 0 && rename(name, echo->port_file) < 0)
		err = -errno;
	free(name);
	return err;
}
