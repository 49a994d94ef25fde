/* load.c - weir-load: the options, and the threads from start to end
 *
 * Not here: one loop (load_thread.c), one connection (load_conn.c), the report
 * (load_report.c).
 */
#include "load.h"

#include "../lib/cli.h"
#include "../lib/framing.h"
#include "../lib/process.h"

#include <weir/uring/barrier.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	QUEUE_BYTES_MIN = 256 * 1024,
	QUEUE_BYTES_MAX = 2 * 1024 * 1024,
	RUN_MS_DEFAULT = 5000,
};

/* What the table stores. */
static struct {
	const char *host;
	uint64_t port;
	uint64_t host_count;
	bool is_framed;
	bool is_raw;
	unsigned prefix;
	bool is_little_endian;
	uint64_t conn_count;
	struct cli_range payload;
	uint64_t depth;
	uint64_t run_ms;
	uint64_t request_count;
	bool is_idle;
	bool is_churn;
	uint64_t life_count;
	uint64_t timeout_ms;
	uint64_t thread_count;
	const char *cpus;
	uint64_t batch_wait_us;
	bool is_strict;
	bool is_quiet;
	const char *json_file;
} given = {
	.host = "127.0.0.1",
	.port = 7000,
	.host_count = 1,
	.life_count = 1,
	.conn_count = 64,
	.payload = { 64, 64 },
	.depth = 1,
	.run_ms = LOAD_NO_LIMIT,
	.request_count = LOAD_NO_LIMIT,
	.timeout_ms = 10000,
	.thread_count = 1,
	.batch_wait_us = 0,
};

/* clang-format off */
static const struct cli_option load_options[] = {
	{ .help = "Server" },
	{ "host", "ADDRESS", CLI_TEXT, &given.host, 0, 0, NULL, NULL,
	  "numeric IPv4 or IPv6 address, or localhost" },
	{ "port", "PORT", CLI_UINT, &given.port, 1, 65535, NULL, NULL,
	  "TCP port of the server" },
	{ "hosts", "N", CLI_UINT, &given.host_count, 1, LOAD_HOSTS_MAX, NULL,
	  NULL, "spread connections over this many addresses, counted up from "
	  "--host: a client has some 28,000 ports for each" },
	{ .help = "What it sends" },
	{ "connections", "N", CLI_UINT, &given.conn_count, 1, 1 << 20, NULL,
	  NULL, "open at the same time, over all threads" },
	{ "bytes", "N[-M]", CLI_RANGE, &given.payload, 0,
	  FRAMING_PAYLOAD_BYTES_MAX, NULL, NULL,
	  "payload of each message, one size or a range of sizes" },
	{ "depth", "N", CLI_UINT, &given.depth, 1, 4096, NULL, NULL,
	  "requests that wait for their answers, per connection" },
	{ "framed", NULL, CLI_SWITCH, &given.is_framed, 0, 0, NULL, NULL,
	  "a length before each payload (the default)" },
	{ "raw", NULL, CLI_SWITCH, &given.is_raw, 0, 0, NULL, NULL,
	  "payloads only; the answer is checked as one stream" },
	{ "prefix", "KIND", CLI_CHOICE, &given.prefix, 0, 0,
	  framing_prefix_names, NULL,
	  "width of the length: u8, u16, u32, u64 or varint" },
	{ "little-endian", NULL, CLI_SWITCH, &given.is_little_endian, 0, 0,
	  NULL, NULL, "byte order of the length; otherwise big-endian" },
	{ .help = "How long" },
	{ "seconds", "TIME", CLI_DURATION, &given.run_ms, 1, 86400000, NULL,
	  "5s; no limit with --requests",
	  "send for this long, then wait for the answers that are missing" },
	{ "requests", "N", CLI_UINT, &given.request_count, 1,
	  (uint64_t)1 << 48, NULL, "no limit",
	  "end when each connection has had this many answers" },
	{ "idle", NULL, CLI_SWITCH, &given.is_idle, 0, 0, NULL, NULL,
	  "open all connections, hold them silent for --seconds, then send one "
	  "message on each and wait for its answer" },
	{ "churn", NULL, CLI_SWITCH, &given.is_churn, 0, 0, NULL, NULL,
	  "connections that come and go: connect, send, read the answer, "
	  "close, connect again; --connections of them at a time" },
	{ "requests-per-connection", "N", CLI_UINT, &given.life_count, 1,
	  (uint64_t)1 << 48, NULL, NULL,
	  "with --churn: before it closes; --requests counts over all the "
	  "connections in one place" },
	{ "timeout", "TIME", CLI_DURATION, &given.timeout_ms, 1, 3600000, NULL,
	  NULL, "a request without an answer for this long is lost" },
	{ .help = "Where it runs" },
	{ "threads", "N", CLI_UINT, &given.thread_count, 1, LOAD_THREADS_MAX,
	  NULL, NULL, "event loops; each gets its share of the connections" },
	{ "pin", "CPU[,CPU...]", CLI_TEXT, &given.cpus, 0, 0, NULL,
	  "not pinned", "run thread i on the i-th of these CPUs" },
	{ "batch-wait", "US", CLI_UINT, &given.batch_wait_us, 0, 50, NULL,
	  NULL, "microseconds that a busy loop may wait for a fuller batch; "
	  "part of the latency measured" },
	{ .help = "Output" },
	{ "json", "FILE", CLI_TEXT, &given.json_file, 0, 0, NULL, "",
	  "write the report to FILE as JSON; - is stdout, and moves the text "
	  "to stderr" },
	{ "strict", NULL, CLI_SWITCH, &given.is_strict, 0, 0, NULL, NULL,
	  "count a server that closes cleanly before the end as a failure" },
	{ "quiet", NULL, CLI_SWITCH, &given.is_quiet, 0, 0, NULL, NULL,
	  "no progress and no text report" },
};

const struct cli_tool load_tool = {
	.name = "weir-load",
	.version = TOOLS_VERSION,
	.summary =
		"Sends messages to an echo server, checks every byte and the "
		"order of what comes\nback, and measures each message from the "
		"moment it is queued until its answer is\nchecked. The next "
		"request leaves when an answer comes: the server sets the "
		"pace.",
	.options = load_options,
	.option_count = sizeof(load_options) / sizeof(load_options[0]),
	.closing =
		"Examples:\n"
		"  weir-load --connections 512 --depth 16\n"
		"  weir-load --bytes 64-64k --seconds 30s --json report\n"
		"  weir-load --idle --connections 10000 --seconds 1m\n"
		"  weir-load --churn --hosts 16 --seconds 30s\n"
		"\n"
		"Exit status: 0 if every answer was right. 1 if one was wrong "
		"or lost, a connect\nfailed, a connection was reset, or not "
		"one answer came. A server that closes\ncleanly (FIN) while "
		"requests are open leaves them unanswered: status 0 with a\n"
		"note, 1 with --strict. 2 for wrong options.\n",
};
/* clang-format on */

static struct load_plan plan;

/* SA_RESETHAND: the same signal again ends the process. */
static void load_on_signal(int number)
{
	(void)number;
	(void)wi_add_fetch_release_u32(&plan.stop, 1);
}

static void load_signals_take(void)
{
	struct sigaction action = {
		.sa_handler = load_on_signal,
		.sa_flags = (int)SA_RESETHAND,
	};
	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* Parses "0,1,2" into plan.cpus. */
static bool load_cpus_parse(const char *text)
{
	while (plan.cpu_count < LOAD_THREADS_MAX) {
		char *end = NULL;
		if (!isdigit((unsigned char)*text))
			return false;
		errno = 0;
		unsigned long cpu = strtoul(text, &end, 10);
		if (errno != 0 || cpu >= CPU_SETSIZE)
			return false;
		plan.cpus[plan.cpu_count++] = (uint16_t)cpu;
		if (*end == '\0')
			return true;
		if (*end != ',')
			return false;
		text = end + 1;
	}
	return false;
}

/* The last 32 bits of @addr, IPv4 or IPv6, in network byte order. */
static uint8_t *load_addr_tail(struct weir_addr *addr)
{
	if (addr->storage.ss_family == AF_INET)
		return (uint8_t *)&((struct sockaddr_in *)&addr->storage)
			->sin_addr;
	return &((struct sockaddr_in6 *)&addr->storage)->sin6_addr.s6_addr[12];
}

/* Fills plan.servers, counting up. False: beyond the last address. */
static bool load_hosts_fill(void)
{
	uint32_t first_be;

	memcpy(&first_be, load_addr_tail(&plan.servers[0]), sizeof(first_be));
	if (ntohl(first_be) > UINT32_MAX - (given.host_count - 1))
		return false;
	plan.host_count = (uint32_t)given.host_count;
	for (uint32_t i = 1; i < plan.host_count; i++) {
		uint32_t address_be = htonl(ntohl(first_be) + i);
		plan.servers[i] = plan.servers[0];
		memcpy(load_addr_tail(&plan.servers[i]), &address_be,
		       sizeof(address_be));
	}
	return true;
}

static int load_where_check(void)
{
	const char *host =
		strcmp(given.host, "localhost") == 0 ? "127.0.0.1" : given.host;

	if (weir_addr_parse(host, (uint16_t)given.port, &plan.servers[0]) < 0)
		return cli_usage_error(&load_tool,
				       "--host %.60s: no numeric address; give "
				       "one such as 127.0.0.1 or ::1, or "
				       "localhost",
				       given.host);
	if (!load_hosts_fill())
		return cli_usage_error(&load_tool,
				       "--hosts %llu: the addresses end before "
				       "that, counted up from --host %.60s; "
				       "give fewer",
				       (unsigned long long)given.host_count,
				       given.host);
	if (given.cpus != NULL && !load_cpus_parse(given.cpus))
		return cli_usage_error(&load_tool,
				       "--pin %.60s: not a list of CPUs from 0 "
				       "to %d; give numbers and commas, such "
				       "as 0,1",
				       given.cpus, CPU_SETSIZE - 1);
	if (given.thread_count > given.conn_count)
		return cli_usage_error(
			&load_tool,
			"--threads %llu: more than --connections %llu; give "
			"each thread at least one connection",
			(unsigned long long)given.thread_count,
			(unsigned long long)given.conn_count);
	return -1;
}

/* Checks of more than one row of the table: -1, or the exit status. */
static int load_options_check(void)
{
	size_t limit = framing_payload_bytes_max(given.prefix);

	if (given.is_raw && given.is_framed)
		return cli_usage_error(&load_tool, "--raw and --framed exclude "
						   "each other; give one");
	if (given.is_raw && given.payload.min == 0)
		return cli_usage_error(&load_tool,
				       "--bytes 0: an empty message leaves no "
				       "trace in a --raw stream; give 1 or "
				       "more, or use --framed");
	if (!given.is_raw && given.payload.max > limit)
		return cli_usage_error(
			&load_tool,
			"--bytes %llu: a length of --prefix %s ends at %zu; "
			"give less, or a wider prefix",
			(unsigned long long)given.payload.max,
			framing_prefix_names[given.prefix], limit);
	if (given.is_idle && given.request_count != LOAD_NO_LIMIT)
		return cli_usage_error(&load_tool,
				       "--idle and --requests exclude each "
				       "other; --idle sends one message each");
	if (given.is_idle && given.is_churn)
		return cli_usage_error(&load_tool, "--idle and --churn exclude "
						   "each other; give one");
	if (given.life_count != 1 && !given.is_churn)
		return cli_usage_error(&load_tool,
				       "--requests-per-connection %llu: only "
				       "with --churn; give that too",
				       (unsigned long long)given.life_count);
	return load_where_check();
}

static uint64_t ns_of_ms(uint64_t ms)
{
	return ms == LOAD_NO_LIMIT ? LOAD_NO_LIMIT : ms * NS_PER_MS;
}

static size_t load_queue_bytes_max(void)
{
	size_t message_bytes = given.payload.max + WEIR_FRAME_PREFIX_BYTES_MAX;
	size_t bytes = message_bytes * given.depth;

	if (bytes > QUEUE_BYTES_MAX)
		bytes = QUEUE_BYTES_MAX;
	if (bytes < QUEUE_BYTES_MIN)
		bytes = QUEUE_BYTES_MIN;
	return bytes > message_bytes ? bytes : message_bytes;
}

static void load_plan_fill(void)
{
	if (given.run_ms == LOAD_NO_LIMIT &&
	    given.request_count == LOAD_NO_LIMIT)
		given.run_ms = RUN_MS_DEFAULT;
	plan.pattern = (struct pattern){
		.format = {
			.prefix = given.prefix,
			.is_little_endian = given.is_little_endian,
		},
		.is_raw = given.is_raw,
		.payload_bytes_min = given.payload.min,
		.payload_bytes_max = given.payload.max,
	};
	plan.conn_count = given.conn_count;
	plan.depth = given.depth;
	plan.request_count = given.is_idle ? 1 : given.request_count;
	plan.life_count = given.is_churn ? given.life_count : LOAD_NO_LIMIT;
	plan.run_ns = given.is_idle ? LOAD_NO_LIMIT : ns_of_ms(given.run_ms);
	plan.hold_ns = given.is_idle ? ns_of_ms(given.run_ms) : 0;
	plan.timeout_ns = ns_of_ms(given.timeout_ms);
	plan.queue_bytes_max = load_queue_bytes_max();
	plan.thread_count = (uint32_t)given.thread_count;
	plan.batch_wait_us = given.batch_wait_us == 0
				     ? WEIR_NO_BATCH
				     : (uint32_t)given.batch_wait_us;
	plan.is_idle = given.is_idle;
	plan.is_churn = given.is_churn;
	plan.is_strict = given.is_strict;
}

static int load_fail(const char *text)
{
	(void)fprintf(stderr, "weir-load: %s\n", text);
	return EXIT_FAILURE;
}

/* Opens all loops before any runs. */
static int load_threads_open(struct load_thread *threads)
{
	uint64_t first_id = 0;
	struct weir_error error;

	for (uint32_t i = 0; i < plan.thread_count; i++) {
		uint64_t left = plan.conn_count - first_id;
		threads[i].plan = &plan;
		threads[i].index = i;
		threads[i].conn_first_id = first_id;
		threads[i].conn_count =
			(uint32_t)(left / (plan.thread_count - i));
		first_id += threads[i].conn_count;
		if (load_thread_open(&threads[i], &error) < 0)
			return load_fail(error.text);
	}
	return 0;
}

/* The threads inherit the mask, so this thread gets the signals. */
static int load_threads_start(struct load_thread *threads)
{
	sigset_t all;
	sigset_t before;
	int err = 0;
	uint32_t started = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	while (started < plan.thread_count && err == 0)
		err = load_thread_start(&threads[started++]);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err == 0)
		return 0;
	(void)wi_add_fetch_release_u32(&plan.stop, 1);
	for (uint32_t i = 0; i + 1 < started; i++)
		(void)pthread_join(threads[i].thread, NULL);
	(void)fprintf(stderr,
		      "weir-load: thread %u of %u was not started: %s; lower "
		      "--threads\n",
		      started, plan.thread_count, strerror(-err));
	return EXIT_FAILURE;
}

static void load_threads_join(struct load_thread *threads)
{
	const bool has_progress = !given.is_quiet && isatty(STDERR_FILENO) == 1;

	for (uint32_t i = 0; i < plan.thread_count;) {
		struct timespec until;
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		if (pthread_timedjoin_np(threads[i].thread, NULL, &until) == 0)
			i++;
		else if (has_progress)
			load_progress_print(threads, plan.thread_count);
	}
	if (has_progress)
		(void)fputc('\n', stderr);
}

static int load_json_write(const struct load_result *result)
{
	if (given.json_file == NULL)
		return 0;
	bool is_stdout = strcmp(given.json_file, "-") == 0;
	FILE *file = is_stdout ? stdout : fopen(given.json_file, "we");
	if (file == NULL)
		return -errno;
	load_report_json(result, &plan, file);
	int err = fflush(file) != 0 ? -errno : 0;
	if (!is_stdout && fclose(file) != 0 && err == 0)
		err = -errno;
	return err;
}

static int load_report(const struct load_thread *threads)
{
	static struct load_result result; /* a histogram is 36 KiB */
	bool text_moves =
		given.json_file != NULL && strcmp(given.json_file, "-") == 0;

	load_result_read(&result, threads, plan.thread_count);
	if (!given.is_quiet)
		load_report_print(&result, &plan, text_moves ? stderr : stdout);
	else if (result.failure != NULL)
		(void)load_fail(result.failure);
	int err = load_json_write(&result);
	if (err < 0) {
		(void)fprintf(stderr, "weir-load: cannot write %s: %s\n",
			      given.json_file, strerror(-err));
		return EXIT_FAILURE;
	}
	return load_result_status(&result, &plan);
}

int main(int argc, char **argv)
{
	process_streams_open();
	int status = cli_start(&load_tool, argc, argv);
	if (status < 0)
		status = load_options_check();
	if (status >= 0)
		return status;

	load_plan_fill();
	load_signals_take();
	process_fd_limit_raise();
	struct load_thread *threads =
		calloc(plan.thread_count, sizeof(*threads));
	if (threads == NULL || pattern_open(&plan.pattern) < 0) {
		free(threads);
		return load_fail("no memory for the threads; lower --threads");
	}
	status = load_threads_open(threads);
	if (status == 0)
		status = load_threads_start(threads);
	if (status == 0) {
		load_threads_join(threads);
		status = load_report(threads);
	}
	for (uint32_t i = 0; i < plan.thread_count; i++)
		load_thread_close(&threads[i]);
	pattern_close(&plan.pattern);
	free(threads);
	return status;
}
