/* echo.c - weir-echo: the options, and the life of the server
 *
 *     options -> (steering -> capabilities dropped) -> open -> port file
 *         -> (signal) -> join -> report -> close
 */
#include "echo.h"

#include "../lib/cli.h"
#include "../lib/framing.h"
#include "../lib/process.h"
#include "privilege.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PORT_TRIES = 64,
	ECHO_ADDRESSES_MAX = WEIR_STEER_GROUPS_MAX,
};

/* What the table stores; zero means the library's default. */
static struct {
	uint64_t port;
	const char *addresses;
	bool joins;
	uint64_t loops;
	bool is_unpinned;
	unsigned policy;
	struct cli_list weights;
	bool is_steering_required;
	uint64_t sample_interval;
	uint64_t guard_percent;
	uint64_t guard_ms;
	bool drops_capabilities;
	bool is_framed;
	bool is_raw;
	unsigned prefix;
	bool is_little_endian;
	uint64_t frame_bytes_max;
	uint64_t backlog;
	uint64_t buf_count;
	uint64_t buf_bytes;
	uint64_t conn_count;
	uint64_t memory_bytes;
	uint64_t idle_ms;
	uint64_t drain_ms;
	uint64_t batch_wait_us;
	const char *stats_file;
	const char *port_file;
	bool is_verbose;
} given = {
	.port = 7000,
	.addresses = "0.0.0.0",
	.guard_percent = 75,
	.guard_ms = 1000,
	.frame_bytes_max = WEIR_FRAME_PAYLOAD_BYTES_DEFAULT,
	.backlog = 4096,
	.buf_count = 1024,
	.buf_bytes = 16384,
	.conn_count = 8192,
	.memory_bytes = (uint64_t)512 << 20,
	.idle_ms = 75000,
	.drain_ms = 5000,
	.batch_wait_us = 50,
};

static struct echo echo;

/* The addresses of --bind; all have the same port. */
static struct weir_listen echo_listens[ECHO_ADDRESSES_MAX];

#define POLICY_NAME(id, name, what) name,
static const char *const policy_names[] = { WEIR_STEER_POLICIES(POLICY_NAME)
						    NULL };
#undef POLICY_NAME

#define POLICY_HELP(id, name, what) "\n" name ": " what
static const char policy_help[] =
	"which loop gets a new connection:" WEIR_STEER_POLICIES(POLICY_HELP);
#undef POLICY_HELP

/* clang-format off */
static const struct cli_option echo_options[] = {
	{ .help = "Where it listens" },
	{ "port", "PORT", CLI_UINT, &given.port, 0, 65535, NULL, NULL,
	  "TCP port; 0 lets the kernel choose" },
	{ "bind", "ADDRESS[,...]", CLI_TEXT, &given.addresses, 0, 0, NULL, NULL,
	  "numeric IPv4 or IPv6 addresses, 8 at most; all with the same port" },
	{ "join", NULL, CLI_SWITCH, &given.joins, 0, 0, NULL, NULL,
	  "share the port with another weir-echo of the same user: start the "
	  "new one, then stop the old one; with a steering program no "
	  "connection is lost, without one those that wait are reset unless "
	  "net.ipv4.tcp_migrate_req is 1" },
	{ "backlog", "N", CLI_UINT, &given.backlog, 1, 65535, NULL, NULL,
	  "connections that may wait to be accepted, per loop" },
	{ .help = "Where it runs" },
	{ "loops", "N", CLI_UINT, &given.loops, 0, ECHO_LOOPS_MAX, NULL,
	  "0: one per CPU", "event loops, each on a thread of its own" },
	{ "no-pin", NULL, CLI_SWITCH, &given.is_unpinned, 0, 0, NULL, NULL,
	  "let the scheduler move the loops; otherwise each stays on one CPU" },
	{ .help = "Which loop gets a connection" },
	{ "steer", "POLICY", CLI_CHOICE, &given.policy, 0, 0, policy_names,
	  NULL, policy_help },
	{ "weights", "N[,N...]", CLI_LIST, &given.weights, 0,
	  WEIR_STEER_WEIGHT_MAX, NULL, "1 for each",
	  "shares of the first loops; 0: no connections" },
	{ "steer-required", NULL, CLI_SWITCH, &given.is_steering_required, 0,
	  0, NULL, NULL,
	  "fail if the policy is not available; otherwise the kernel's hash "
	  "replaces it" },
	{ "steer-sample", "N", CLI_UINT, &given.sample_interval, 0, 1000000,
	  NULL, "0: none",
	  "check for one in N connections, at most, on which CPU its packets "
	  "come in" },
	{ "guard-share", "PERCENT", CLI_UINT, &given.guard_percent, 1, 100,
	  NULL, NULL,
	  "with cpu or source-hash: when one loop gets more than this share "
	  "of the new connections, step to least-loaded; 100: never" },
	{ "guard-time", "TIME", CLI_DURATION, &given.guard_ms, 1, 3600000,
	  NULL, NULL, "how long that must last before the step" },
	{ "drop-caps", NULL, CLI_SWITCH, &given.drops_capabilities, 0, 0, NULL,
	  NULL,
	  "load the steering program, then drop every capability, then "
	  "serve" },
	{ .help = "What it answers" },
	{ "framed", NULL, CLI_SWITCH, &given.is_framed, 0, 0, NULL, NULL,
	  "answer whole frames: a length, then that many bytes (the default)" },
	{ "raw", NULL, CLI_SWITCH, &given.is_raw, 0, 0, NULL, NULL,
	  "answer every byte as it arrives" },
	{ "prefix", "KIND", CLI_CHOICE, &given.prefix, 0, 0,
	  framing_prefix_names, NULL,
	  "width of the length: u8, u16, u32, u64 or varint" },
	{ "little-endian", NULL, CLI_SWITCH, &given.is_little_endian, 0, 0,
	  NULL, NULL, "byte order of the length; otherwise big-endian" },
	{ "max-frame", "SIZE", CLI_SIZE, &given.frame_bytes_max, 1,
	  FRAMING_PAYLOAD_BYTES_MAX, NULL, NULL,
	  "largest payload accepted; more closes the connection" },
	{ .help = "Limits, for each loop" },
	{ "connections", "N", CLI_UINT, &given.conn_count, 1, 1 << 20, NULL,
	  NULL, "open at a time; more wait in the backlog" },
	{ "buffers", "N", CLI_UINT, &given.buf_count, 1, 32768, NULL, NULL,
	  "receive buffers, a power of two" },
	{ "buffer-size", "SIZE", CLI_SIZE, &given.buf_bytes, 64, 1 << 20, NULL,
	  NULL, "bytes in each receive buffer" },
	{ "memory", "SIZE", CLI_SIZE, &given.memory_bytes, 1 << 20,
	  (uint64_t)1 << 40, NULL, NULL,
	  "address space for queued answers and incomplete frames; touched "
	  "on demand" },
	{ "idle-timeout", "TIME", CLI_DURATION, &given.idle_ms, 0, 86400000,
	  NULL, NULL, "close a connection on which no byte moves; 0: never" },
	{ "drain-timeout", "TIME", CLI_DURATION, &given.drain_ms, 1, 3600000,
	  NULL, NULL, "from SIGTERM, or a refused frame, to a forced close" },
	{ "batch-wait", "US", CLI_UINT, &given.batch_wait_us, 0, 50, NULL,
	  NULL, "microseconds that a busy loop may wait for a fuller batch" },
	{ .help = "Output" },
	{ "stats-json", "FILE", CLI_TEXT, &given.stats_file, 0, 0, NULL, "",
	  "write every counter to FILE at the end" },
	{ "port-file", "FILE", CLI_TEXT, &given.port_file, 0, 0, NULL, "",
	  "write the port number to FILE once it serves, for scripts" },
	{ "verbose", NULL, CLI_SWITCH, &given.is_verbose, 0, 0, NULL, NULL,
	  "print on stderr why each connection closed, 10 lines a second at "
	  "most" },
};

const struct cli_tool echo_tool = {
	.name = "weir-echo",
	.version = TOOLS_VERSION,
	.summary = "A TCP server that sends back what it receives, on "
		   "io_uring.\nSIGTERM or SIGINT: accept no more, answer what "
		   "was received, end.\nA second one: end at once.",
	.options = echo_options,
	.option_count = sizeof(echo_options) / sizeof(echo_options[0]),
	.closing =
		"Examples:\n"
		"  weir-echo                             port 7000, all CPUs\n"
		"  weir-echo --raw --bind ::1            bytes, IPv6 loopback\n"
		"  weir-echo --port 0 --port-file p --loops 1 --stats-json s\n"
		"  weir-echo --steer round-robin --weights 2,1   two of three "
		"to loop 0\n"
		"\n"
		"Exit status: 0 after a clean stop, 1 if it could not serve, "
		"2 for wrong options.\n",
};
/* clang-format on */

/* Only wakes the loops. A second signal closes all connections at once. */
static void echo_on_signal(int number)
{
	(void)number;
	int saved_errno = errno;
	weir_server_stop(echo.server);
	errno = saved_errno;
}

static void echo_signals_block(sigset_t *out_before)
{
	sigset_t stopping;
	(void)sigemptyset(&stopping);
	(void)sigaddset(&stopping, SIGTERM);
	(void)sigaddset(&stopping, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &stopping, out_before);
}

/* From here on a signal stops the server, also one that is pending. */
static void echo_signals_take(const sigset_t *before)
{
	struct sigaction action = { .sa_handler = echo_on_signal };
	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	(void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* Checks of more than one row of the table: each -1, or the exit status. */

static int addresses_check(void)
{
	static char text[1024];
	char *rest = text;
	char *address;

	if (strlen(given.addresses) >= sizeof(text))
		return cli_usage_error(&echo_tool,
				       "--bind %.60s...: too long; give at "
				       "most %zu bytes",
				       given.addresses, sizeof(text) - 1);
	memcpy(text, given.addresses, strlen(given.addresses) + 1);
	while ((address = strsep(&rest, ",")) != NULL) {
		if (*address == '\0')
			return cli_usage_error(
				&echo_tool,
				"--bind %.60s: an address is empty; give "
				"numeric ones with commas between them",
				given.addresses);
		if (echo.address_count == ECHO_ADDRESSES_MAX)
			return cli_usage_error(
				&echo_tool,
				"--bind %.60s: too many addresses; give at "
				"most %d",
				given.addresses, ECHO_ADDRESSES_MAX);
		echo_listens[echo.address_count++] = (struct weir_listen){
			.address = address,
			.port = (uint16_t)given.port,
		};
	}
	return -1;
}

static bool weights_are_zero(void)
{
	for (uint32_t i = 0; i < given.weights.count; i++)
		if (given.weights.values[i] > 0)
			return false;
	return true;
}

static int steering_check(void)
{
	const uint32_t count = given.weights.count;

	if (count == 0)
		return -1;
	if (given.policy == WEIR_STEER_KERNEL)
		return cli_usage_error(&echo_tool,
				       "--weights: the kernel's hash knows "
				       "none; give another --steer with it");
	if (given.loops == 0)
		return -1;
	if (count > given.loops)
		return cli_usage_error(&echo_tool,
				       "--weights: %u given for --loops %llu; "
				       "give one for each loop at most",
				       count, (unsigned long long)given.loops);
	if (count == given.loops && weights_are_zero())
		return cli_usage_error(&echo_tool,
				       "--weights: all are 0; give one loop "
				       "at least 1");
	return -1;
}

static int framing_check(void)
{
	char text[CLI_AMOUNT_BYTES];
	size_t limit = framing_payload_bytes_max(given.prefix);

	if (given.is_raw && given.is_framed)
		return cli_usage_error(&echo_tool, "--raw and --framed exclude "
						   "each other; give one");
	if ((given.buf_count & (given.buf_count - 1)) != 0)
		return cli_usage_error(&echo_tool,
				       "--buffers %llu: not a power of two; "
				       "give 512, 1024, 2048, ...",
				       (unsigned long long)given.buf_count);
	if (given.frame_bytes_max <= limit)
		return -1;
	/* The default is not a request: a narrow prefix lowers it. */
	if (given.frame_bytes_max == WEIR_FRAME_PAYLOAD_BYTES_DEFAULT) {
		given.frame_bytes_max = limit;
		return -1;
	}
	return cli_usage_error(&echo_tool,
			       "--max-frame %s: a length of --prefix %s ends "
			       "at %zu bytes; give that or less",
			       cli_size_text(given.frame_bytes_max, text),
			       framing_prefix_names[given.prefix], limit);
}

static int echo_options_check(void)
{
	int status = addresses_check();
	if (status < 0)
		status = steering_check();
	if (status < 0)
		status = framing_check();
	return status;
}

static uint32_t echo_timeout_ms(uint64_t ms)
{
	return ms == 0 ? WEIR_NO_TIMEOUT : (uint32_t)ms;
}

static struct weir_steer_opts echo_steer_opts(void)
{
	return (struct weir_steer_opts){
		.policy = (enum weir_steer_policy)given.policy,
		.weights = given.weights.values,
		.weight_count = given.weights.count,
		.group_count = echo.address_count,
		.is_required = given.is_steering_required,
		.guard_percent = (uint32_t)given.guard_percent,
		.guard_ms = (uint32_t)given.guard_ms,
	};
}

static struct weir_service echo_service(void)
{
	const size_t message_bytes =
		given.frame_bytes_max + WEIR_FRAME_PREFIX_BYTES_MAX;
	size_t queue_bytes = (size_t)4 << 20;

	if (queue_bytes < 2 * message_bytes)
		queue_bytes = 2 * message_bytes;
	if (queue_bytes > FRAMING_QUEUE_BYTES_MAX)
		queue_bytes = FRAMING_QUEUE_BYTES_MAX;
	return (struct weir_service){
		.name = "echo",
		.handlers = echo_handlers(&echo),
		.ctx = &echo,
		.message_bytes_max = message_bytes,
		.send_bytes_max = queue_bytes,
		.idle_timeout_ms = echo_timeout_ms(given.idle_ms),
		.drain_timeout_ms = (uint32_t)given.drain_ms,
	};
}

static struct weir_server_opts echo_server_opts(void)
{
	return (struct weir_server_opts){
		.listen = echo_listens,
		.listen_count = echo.address_count,
		.loop_count = (uint32_t)given.loops,
		.is_unpinned = given.is_unpinned,
		.joins_group = given.joins,
		.steering = echo_steer_opts(),
		.steer = echo.steer,
		.sample_interval = (uint32_t)given.sample_interval,
		.on_log = echo_on_log,
		.log_ctx = &echo,
		.loop = {
			.conn_count = (uint32_t)given.conn_count,
			.backlog = (uint32_t)given.backlog,
			.buf_count = (uint32_t)given.buf_count,
			.buf_bytes = (uint32_t)given.buf_bytes,
			.block_memory_bytes = given.memory_bytes,
			.batch_wait_us = given.batch_wait_us == 0
						 ? WEIR_NO_BATCH
						 : (uint32_t)given.batch_wait_us,
		},
	};
}

static int echo_fail(const char *what, const char *file, int err)
{
	(void)fprintf(stderr, "weir-echo: %s %s: %s\n", what, file,
		      strerror(-err));
	return EXIT_FAILURE;
}

/* Does the one step that needs a privilege, then drops all privileges. No other
 * thread runs yet. */
static int echo_privileges_drop(void)
{
	const struct weir_steer_opts opts = echo_steer_opts();
	struct weir_error error;

	if (weir_steer_open(&echo.steer, &opts, &error) < 0) {
		(void)fprintf(stderr, "weir-echo: %s\n", error.text);
		return EXIT_FAILURE;
	}
	int err = privilege_drop();
	if (err < 0)
		return echo_fail("cannot drop", "capabilities", err);
	return EXIT_SUCCESS;
}

/* A port that is free on the first address now; 0 if that cannot be known: the
 * server will report why. */
static uint16_t port_find(void)
{
	struct weir_addr addr;
	uint16_t port = 0;

	if (weir_addr_parse(echo_listens[0].address, 0, &addr) < 0)
		return 0;
	int fd = socket(addr.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	if (bind(fd, (const struct sockaddr *)&addr.storage, addr.bytes) == 0 &&
	    getsockname(fd, (struct sockaddr *)&addr.storage, &addr.bytes) == 0)
		port = weir_addr_port(&addr);
	(void)close(fd); /* held nothing */
	return port;
}

static void echo_port_set(uint16_t port)
{
	for (uint32_t i = 0; i < echo.address_count; i++)
		echo_listens[i].port = port;
}

static int echo_open(const struct weir_service *service,
		     struct weir_error *error)
{
	const struct weir_server_opts opts = echo_server_opts();
	int err = -EADDRINUSE;

	for (uint32_t i = 0; i < echo.address_count; i++)
		echo_listens[i].service = service;
	if (given.port != 0 || echo.address_count == 1)
		return weir_server_open(&echo.server, &opts, error);
	/* The port may be in use on another address, or taken meanwhile. */
	for (int tries = 0; tries < PORT_TRIES && err == -EADDRINUSE; tries++) {
		echo_port_set(port_find());
		err = weir_server_open(&echo.server, &opts, error);
	}
	return err;
}

static int echo_serve(void)
{
	const struct weir_service service = echo_service();
	struct weir_error error;
	sigset_t before;
	int status = EXIT_SUCCESS;

	echo_signals_block(&before);
	if (echo_open(&service, &error) < 0) {
		(void)fprintf(stderr, "weir-echo: %s\n", error.text);
		return EXIT_FAILURE;
	}
	echo.served_from_ns = process_now_ns();
	echo_look(&echo);
	echo_print_start(&echo);
	echo_signals_take(&before);

	int err = echo_write_port(&echo);
	if (err < 0) {
		status = echo_fail("cannot write", echo.port_file, err);
		weir_server_stop(echo.server);
	}
	err = weir_server_join(echo.server);
	echo.served_until_ns = process_now_ns();
	if (err < 0)
		status = echo_fail("a loop ended early:", "its ring", err);
	echo_look(&echo);
	echo_print_end(&echo);
	err = echo_write_stats(&echo);
	if (err < 0)
		status = echo_fail("cannot write", echo.stats_file, err);
	echo_signals_block(&before); /* the signal handler uses the server */
	weir_server_close(echo.server);
	return status;
}

int main(int argc, char **argv)
{
	process_streams_open();
	int status = cli_start(&echo_tool, argc, argv);
	if (status < 0)
		status = echo_options_check();
	if (status >= 0)
		return status;

	echo.format = (struct weir_frame_format){
		.prefix = given.prefix,
		.is_little_endian = given.is_little_endian,
		.payload_bytes_max = given.frame_bytes_max,
	};
	echo.is_raw = given.is_raw;
	echo.is_verbose = given.is_verbose;
	echo.stats_file = given.stats_file;
	echo.port_file = given.port_file;
	(void)signal(SIGPIPE, SIG_IGN);
	process_fd_limit_raise(); /* may need what is dropped next */
	status = given.drops_capabilities ? echo_privileges_drop()
					  : EXIT_SUCCESS;
	if (status == EXIT_SUCCESS)
		status = echo_serve();
	weir_steer_close(echo.steer);
	return status;
}
