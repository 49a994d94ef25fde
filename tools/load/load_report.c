/* load_report.c - the results of weir-load, as text and as JSON */
#include "../lib/cli.h"
#include "../lib/framing.h"
#include "../lib/json.h"
#include "../lib/process.h"
#include "../lib/stats.h"
#include "load.h"

#include <weir/uring/barrier.h>

#include <inttypes.h>

enum {
	AMOUNT_BYTES = 32,
};

/* The sum of those LOAD_COUNTS that are failures. */
static uint64_t load_failure_count(const struct load_counts *counts)
{
	return counts->mismatches + counts->lost + counts->failed_connects +
	       counts->resets + counts->errors;
}

/* Connections of --churn that were not answered. */
static uint64_t load_churn_failures(const struct load_counts *counts)
{
	uint64_t sum = 0;
#define LOAD_ADD_FAILURE(name, text) sum += counts->name;
	LOAD_CHURN_FAILURES(LOAD_ADD_FAILURE)
#undef LOAD_ADD_FAILURE
	return sum;
}

void load_result_read(struct load_result *out_result,
		      const struct load_thread *threads, uint32_t count)
{
	struct process_cpu cpu = process_cpu_read();
	uint64_t begin_ns = UINT64_MAX;
	uint64_t end_ns = 0;

	*out_result = (struct load_result){
		.user_s = cpu.user_s,
		.system_s = cpu.system_s,
	};
	for (uint32_t i = 0; i < count; i++) {
		const struct load_thread *thread = &threads[i];
#define LOAD_ADD(name, help) out_result->counts.name += thread->counts.name;
		LOAD_COUNTS(LOAD_ADD)
		LOAD_ADD(churn_connections, "")
		LOAD_ADD(churn_answered, "")
		LOAD_CHURN_FAILURES(LOAD_ADD)
#undef LOAD_ADD
		stats_add(&out_result->stats, &thread->stats);
		hist_merge(&out_result->latency, &thread->latency);
		hist_merge(&out_result->first_answer, &thread->first_answer);
		if (out_result->failure == NULL && thread->failure[0] != '\0')
			out_result->failure = thread->failure;
		if (thread->err < 0)
			out_result->counts.errors++;
		if (thread->begin_ns == 0)
			continue;
		if (thread->begin_ns < begin_ns)
			begin_ns = thread->begin_ns;
		if (thread->end_ns > end_ns)
			end_ns = thread->end_ns;
	}
	if (end_ns > begin_ns)
		out_result->run_s = (double)(end_ns - begin_ns) / 1e9;
}

int load_result_status(const struct load_result *result,
		       const struct load_plan *plan)
{
	const struct load_counts *counts = &result->counts;

	if (load_failure_count(counts) + load_churn_failures(counts) > 0 ||
	    counts->messages == 0)
		return 1;
	return plan->is_strict && counts->unanswered + counts->early_closes > 0
		       ? 1
		       : 0;
}

static double per_second(const struct load_result *result, double amount)
{
	return result->run_s > 0 ? amount / result->run_s : 0.0;
}

static double per_message(const struct load_result *result, double amount)
{
	return result->counts.messages > 0
		       ? amount / (double)result->counts.messages
		       : 0.0;
}

static double megabytes_per_s(const struct load_result *result, uint64_t bytes)
{
	return per_second(result, (double)bytes / 1e6);
}

/* "870 ns", "24.1 us", "1.30 ms", "2.10 s": three digits or so. */
static char *latency_text(double ns, char *out_text)
{
	static const struct {
		double factor;
		const char *unit;
	} units[] = { { 1e9, "s" }, { 1e6, "ms" }, { 1e3, "us" }, { 1, "ns" } };
	int i = 0;

	while (i < 3 && ns < units[i].factor)
		i++;
	double value = ns / units[i].factor;
	int digits = i == 3 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
	(void)snprintf(out_text, AMOUNT_BYTES, "%.*f %s", digits, value,
		       units[i].unit);
	return out_text;
}

static void print_latency(const char *what, const struct hist *hist, FILE *file)
{
	static const struct {
		const char *name;
		double percent;
	} rows[] = {
		{ "p50", 50 },     { "p90", 90 },  { "p99", 99 },
		{ "p99.9", 99.9 }, { "max", 100 },
	};
	char text[AMOUNT_BYTES];

	(void)fprintf(file, "  %-9s  ", what);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t ns = hist_percentile_ns(hist, rows[i].percent);
		(void)fprintf(file, "%s %s   ", rows[i].name,
			      latency_text((double)ns, text));
	}
	(void)fprintf(file, "mean %s\n",
		      latency_text(hist_mean_ns(hist), text));
}

static void print_plan(const struct load_plan *plan, FILE *file)
{
	const struct pattern *pattern = &plan->pattern;
	char address[WEIR_ADDR_TEXT_BYTES];
	char min[CLI_AMOUNT_BYTES];
	char max[CLI_AMOUNT_BYTES];
	bool is_range = pattern->payload_bytes_min < pattern->payload_bytes_max;

	(void)fprintf(
		file,
		"weir-load: %" PRIu64 " connections to %s, depth %" PRIu64
		", payload %s%s%s bytes, %s, %u thread%s\n",
		plan->conn_count, weir_addr_text(&plan->servers[0], address),
		plan->depth, cli_size_text(pattern->payload_bytes_min, min),
		is_range ? "-" : "",
		is_range ? cli_size_text(pattern->payload_bytes_max, max) : "",
		pattern->is_raw ? "raw" : framing_text(&pattern->format),
		plan->thread_count, plan->thread_count == 1 ? "" : "s");
}

static void print_churn(const struct load_result *result, FILE *file)
{
	const struct load_counts *counts = &result->counts;
	char text[AMOUNT_BYTES];

	(void)fprintf(file, "  churn      %s connections begun",
		      stats_grouped_text(counts->churn_connections, text));
	(void)fprintf(file, ", %s answered = %.0f per second\n",
		      stats_grouped_text(counts->churn_answered, text),
		      per_second(result, (double)counts->churn_answered));
	if (result->first_answer.count > 0)
		print_latency("to answer", &result->first_answer, file);
	(void)fprintf(file, "  failed     %" PRIu64,
		      load_churn_failures(counts));
	const char *between = ": ";
#define LOAD_PRINT_FAILURE(name, text)                                         \
	(void)fprintf(file, "%s%" PRIu64 " " text, between, counts->name);     \
	between = ", ";
	LOAD_CHURN_FAILURES(LOAD_PRINT_FAILURE)
#undef LOAD_PRINT_FAILURE
	(void)between;
	(void)fputc('\n', file);
}

static void print_notes(const struct load_result *result,
			const struct load_plan *plan, FILE *file)
{
	const struct load_counts *counts = &result->counts;

	if (counts->early_closes > 0)
		(void)fprintf(file,
			      "  note       the server closed %" PRIu64
			      " connections before the end, cleanly, with "
			      "%" PRIu64 " requests unanswered: %s\n",
			      counts->early_closes, counts->unanswered,
			      plan->is_strict ? "a failure with --strict"
					      : "no failure without --strict");
	if (result->failure != NULL)
		(void)fprintf(file, "  failure    first: %s\n",
			      result->failure);
	else if (counts->messages == 0)
		(void)fprintf(file, "  failure    not one message was "
				    "answered\n");
}

void load_report_print(const struct load_result *result,
		       const struct load_plan *plan, FILE *file)
{
	const struct load_counts *counts = &result->counts;
	const double cpu_s = result->user_s + result->system_s;
	char text[AMOUNT_BYTES];
	char closes[STATS_CLOSES_TEXT_BYTES];

	print_plan(plan, file);
	(void)fprintf(file, "  messages   %s in %.2f s",
		      stats_grouped_text(counts->messages, text),
		      result->run_s);
	(void)fprintf(
		file, " = %s per second\n",
		stats_grouped_text(
			(uint64_t)per_second(result, (double)counts->messages),
			text));
	(void)fprintf(file, "  payload    %.2f MB/s sent, %.2f MB/s received\n",
		      megabytes_per_s(result, counts->sent_bytes),
		      megabytes_per_s(result, counts->received_bytes));
	if (counts->messages > 0)
		print_latency("latency", &result->latency, file);
	if (plan->is_churn)
		print_churn(result, file);
	(void)fprintf(file,
		      "  checked    every byte: %" PRIu64
		      " mismatches, %" PRIu64 " lost, %" PRIu64 " unanswered\n",
		      counts->mismatches, counts->lost, counts->unanswered);
	(void)fprintf(file,
		      "  trouble    %" PRIu64 " failed connects, %" PRIu64
		      " resets, %" PRIu64 " errors\n",
		      counts->failed_connects, counts->resets, counts->errors);
	(void)fprintf(file, "  closes     %s\n",
		      stats_closes_text(&result->stats, closes));
	(void)fprintf(file,
		      "  own cost   %.4f kernel entries and %.2f us of CPU per "
		      "message (user %.2f s, system %.2f s)\n",
		      per_message(result, (double)result->stats.ring.enters),
		      per_message(result, cpu_s * 1e6), result->user_s,
		      result->system_s);
	print_notes(result, plan, file);
}

static void json_latency(struct json *json, const char *key,
			 const struct hist *hist)
{
	json_object_open(json, key);
	json_u64(json, "min", hist->min_ns);
	json_u64(json, "p50", hist_percentile_ns(hist, 50));
	json_u64(json, "p90", hist_percentile_ns(hist, 90));
	json_u64(json, "p99", hist_percentile_ns(hist, 99));
	json_u64(json, "p99_9", hist_percentile_ns(hist, 99.9));
	json_u64(json, "max", hist->max_ns);
	json_double(json, "mean", hist_mean_ns(hist));
	json_u64(json, "count", hist->count);
	json_object_close(json);
}

static void json_plan(struct json *json, const struct load_plan *plan)
{
	const struct pattern *pattern = &plan->pattern;
	char address[WEIR_ADDR_TEXT_BYTES];

	json_text(json, "tool", "weir-load");
	json_text(json, "version", TOOLS_VERSION);
	json_text(json, "server", weir_addr_text(&plan->servers[0], address));
	json_text(json, "framing",
		  pattern->is_raw ? "raw" : framing_text(&pattern->format));
	json_u64(json, "hosts", plan->host_count);
	json_u64(json, "connections", plan->conn_count);
	json_u64(json, "depth", plan->depth);
	json_u64(json, "payload_bytes_min", pattern->payload_bytes_min);
	json_u64(json, "payload_bytes_max", pattern->payload_bytes_max);
	json_u64(json, "thread_count", plan->thread_count);
}

static void json_churn(struct json *json, const struct load_result *result)
{
	const struct load_counts *counts = &result->counts;

	json_u64(json, "churn_connections", counts->churn_connections);
	json_u64(json, "churn_answered", counts->churn_answered);
	json_u64(json, "churn_failures", load_churn_failures(counts));
#define LOAD_CHURN_MEMBER(name, text) json_u64(json, #name, counts->name);
	LOAD_CHURN_FAILURES(LOAD_CHURN_MEMBER)
#undef LOAD_CHURN_MEMBER
	json_double(json, "churn_per_s",
		    per_second(result, (double)counts->churn_answered));
	json_double(json, "cpu_us_per_connection",
		    counts->churn_connections > 0
			    ? (result->user_s + result->system_s) * 1e6 /
				      (double)counts->churn_connections
			    : 0.0);
	json_latency(json, "first_answer_ns", &result->first_answer);
}

void load_report_json(const struct load_result *result,
		      const struct load_plan *plan, FILE *file)
{
	struct json json = { .file = file };
	const struct load_counts *counts = &result->counts;

	json_object_open(&json, NULL);
	json_plan(&json, plan);
	json_double(&json, "run_s", result->run_s);
#define LOAD_MEMBER(name, help) json_u64(&json, #name, counts->name);
	LOAD_COUNTS(LOAD_MEMBER)
#undef LOAD_MEMBER
	json_double(&json, "messages_per_s",
		    per_second(result, (double)counts->messages));
	json_double(&json, "sent_mb_per_s",
		    megabytes_per_s(result, counts->sent_bytes));
	json_double(&json, "received_mb_per_s",
		    megabytes_per_s(result, counts->received_bytes));
	json_latency(&json, "latency_ns", &result->latency);
	if (plan->is_churn)
		json_churn(&json, result);
	json_double(&json, "cpu_user_s", result->user_s);
	json_double(&json, "cpu_system_s", result->system_s);
	json_double(&json, "enters_per_message",
		    per_message(result, (double)result->stats.ring.enters));
	json_double(
		&json, "cpu_us_per_message",
		per_message(result, (result->user_s + result->system_s) * 1e6));
	json_text(&json, "first_failure",
		  result->failure != NULL ? result->failure : "");
	json_u64(&json, "status", (uint64_t)load_result_status(result, plan));
	stats_members(&json, &result->stats);
	json_object_close(&json);
}

void load_progress_print(const struct load_thread *threads, uint32_t count)
{
	static uint64_t seen_messages;
	static uint64_t seen_ns;
	uint64_t now_ns = process_now_ns();
	uint64_t messages = 0;
	char text[AMOUNT_BYTES];

	for (uint32_t i = 0; i < count; i++)
		messages += wi_load_relaxed_u64(&threads[i].counts.messages);
	double span_s = (double)(now_ns - seen_ns) / 1e9;
	double rate = (double)(messages - seen_messages) / span_s;
	if (seen_ns != 0)
		(void)fprintf(stderr, "\r  %12s messages per second ",
			      stats_grouped_text((uint64_t)rate, text));
	seen_messages = messages;
	seen_ns = now_ns;
}
