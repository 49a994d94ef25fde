/* test_memory.c - the memory of a connection; serving allocates nothing
 *
 * Memory is measured in a process that holds only the server.
 */
#include "../rig/faults.h"
#include "../rig/peer.h"
#include "../rig/support.h"
#include "../suites.h"

#include "net/conn/conn_priv.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MEMORY_TEST_TIMEOUT_S = 120 };

/* ---- allocations, counted by thread -----------------------------------------
 */

#if !WI_HAS_SANITIZER && defined(__GLIBC__)
#define COUNTS_ALLOCATIONS 1

/* Volatile: the compiler assumes that malloc changes no variable. */
static _Thread_local volatile uint64_t allocations;

/* glibc's own functions, exported under these names for wrappers. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void __libc_free(void *memory);

void *malloc(size_t bytes)
{
	allocations++;
	return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	allocations++;
	return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
	allocations++;
	return __libc_realloc(memory, bytes);
}

void free(void *memory)
{
	allocations += memory != NULL;
	__libc_free(memory);
}

struct serving {
	struct echo echo; /* first */
	uint64_t before;
	uint64_t after;
	bool has_begun;
};

static ssize_t counting_on_data(struct weir_conn *conn, const uint8_t *bytes,
				size_t byte_count, void *ctx)
{
	struct serving *serving = ctx;
	if (!serving->has_begun)
		serving->before = allocations;
	serving->has_begun = true;
	ssize_t used = echo_on_data(conn, bytes, byte_count, ctx);
	serving->after = allocations;
	return used;
}

START_TEST(a_hundred_thousand_messages_allocate_nothing)
{
	enum {
		CLIENTS = 64,
		DEPTH = 8,
		ROUNDS = 200,
		FRAME_BYTES = PEER_PREFIX_BYTES + 64,
	};
	struct serving serving = { .has_begun = false };
	struct wi_faults seam; /* no faults: it only counts */
	uint8_t out[DEPTH * FRAME_BYTES];
	uint8_t in[DEPTH * FRAME_BYTES];
	int fds[CLIENTS];
	wi_faults_init(&seam);
	const struct weir_server_opts opts = {
		.loop = { .ring = { .kernel = &seam.wrap.kernel } },
	};
	for (uint32_t i = 0; i < DEPTH; i++)
		(void)peer_frame_put(out + (size_t)i * FRAME_BYTES, 64, i);

	/* A test of the counter. */
	const uint64_t own = allocations;
	void *volatile some = malloc(1); /* or it is optimised away */
	free(some);
	ck_assert_uint_eq(allocations, own + 2);

	echo_start(&serving.echo, &opts,
		   &(struct weir_service){
			   .handlers = { .on_data = counting_on_data } });
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = peer_open(echo_port(&serving.echo));
	const uint32_t maps = seam.maps;
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < CLIENTS; i++)
			peer_send(fds[i], out, sizeof(out));
		for (int i = 0; i < CLIENTS; i++) {
			peer_recv(fds[i], in, sizeof(in));
			ck_assert_mem_eq(in, out, sizeof(in));
		}
	}
	for (int i = 0; i < CLIENTS; i++)
		peer_close(fds[i]);
	echo_wait_closes(&serving.echo, CLIENTS);
	ck_assert_uint_eq(serving.echo.answers,
			  (uint64_t)CLIENTS * DEPTH * ROUNDS);
	ck_assert_uint_eq(serving.after - serving.before, 0);
	ck_assert_uint_eq(seam.maps, maps);
	ck_assert_uint_eq(seam.unmaps, 0);
	echo_end(&serving.echo, NULL);
}
END_TEST
#endif

START_TEST(a_slot_is_three_cache_lines)
{
	ck_assert_uint_eq(sizeof(struct weir_conn), 192);
}
END_TEST

/* ---- a server in a process of its own ---------------------------------- */

struct kept {
	pid_t pid;
	int asks;    /* a byte asks for a report; its end ends the server */
	int reports; /* of struct kept_report */
	uint16_t port;
};

struct kept_report {
	uint16_t port;
	uint64_t private_bytes;
	uint64_t conns_open;
	uint64_t accepts;
	uint64_t accept_drops;
};

/* Private_Clean and Private_Dirty of this process. */
static uint64_t private_bytes(void)
{
	char line[256];
	uint64_t sum = 0;
	unsigned long long kib;
	FILE *rollup = fopen("/proc/self/smaps_rollup", "re");
	if (rollup == NULL)
		return 0;
	while (fgets(line, sizeof(line), rollup) != NULL)
		if (sscanf(line, "Private_Clean: %llu", &kib) == 1 ||
		    sscanf(line, "Private_Dirty: %llu", &kib) == 1)
			sum += kib * 1024;
	(void)fclose(rollup); /* was only read */
	return sum;
}

static void kept_serve(uint32_t conn_count, int asks, int reports)
{
	const struct weir_server_opts opts = {
		.loop = { .conn_count = conn_count },
	};
	const struct weir_service service = {
		.idle_timeout_ms = WEIR_NO_TIMEOUT,
	};
	static struct echo echo;
	struct weir_loop_stats stats;
	char ask;
	echo_start(&echo, &opts, &service);
	while (read(asks, &ask, 1) == 1) {
		echo_stats(&echo, &stats);
		struct kept_report report;
		memset(&report, 0, sizeof(report)); /* with its padding */
		report.port = echo_port(&echo);
		report.private_bytes = private_bytes();
		report.conns_open = stats.conns_open;
		report.accepts = stats.accepts;
		report.accept_drops = stats.accept_drops;
		if (write(reports, &report, sizeof(report)) < 0)
			break;
	}
	echo_end(&echo, NULL);
	_exit(0);
}

static struct kept_report kept_ask(const struct kept *kept)
{
	struct kept_report report;
	ck_assert_int_eq(write(kept->asks, "?", 1), 1);
	wi_read_all(kept->reports, &report, sizeof(report));
	return report;
}

static struct kept kept_start(uint32_t conn_count)
{
	int asks[2];
	int reports[2];
	ck_assert_int_eq(pipe(asks), 0);
	ck_assert_int_eq(pipe(reports), 0);
	struct kept kept = { .asks = asks[1], .reports = reports[0] };
	kept.pid = fork();
	ck_assert_int_ge(kept.pid, 0);
	if (kept.pid == 0) {
		(void)close(asks[1]); /* otherwise the end is never seen */
		kept_serve(conn_count, asks[0], reports[1]);
	}
	peer_close(asks[0]);
	peer_close(reports[1]);
	kept.port = kept_ask(&kept).port;
	return kept;
}

/* Returns the report once it counts so many connections. */
static struct kept_report kept_wait(const struct kept *kept, uint64_t count)
{
	for (;;) {
		struct kept_report report = kept_ask(kept);
		if (report.conns_open == count)
			return report;
	}
}

static void kept_end(struct kept *kept)
{
	int status = -1;
	peer_close(kept->asks);
	ck_assert_int_eq(waitpid(kept->pid, &status, 0), kept->pid);
	ck_assert_msg(status == 0, "the server ended with status %#x",
		      (unsigned)status);
	peer_close(kept->reports);
}

/* ---- idle connections -------------------------------------------------- */

START_TEST(an_idle_connection_costs_at_most_256_bytes)
{
	enum { IDLE = 2000, LIMIT_BYTES = 256, PAGE_BYTES = 4096 };
	static int fds[IDLE];
#if WI_HAS_SANITIZER
	wi_skip_unless_built(false, "a sanitizer's shadow would be measured");
#endif
	struct kept kept = kept_start(IDLE + 1);
	int warm = peer_open(kept.port);
	for (uint32_t i = 0; i < 1000; i++)
		peer_round_trip(warm, i);
	struct kept_report before = kept_wait(&kept, 1);
	for (int i = 0; i < IDLE; i++)
		fds[i] = peer_open(kept.port);
	struct kept_report idle = kept_wait(&kept, IDLE + 1);
	peer_round_trips(fds, IDLE, 1);
	struct kept_report used = kept_ask(&kept);

	uint64_t grown = idle.private_bytes - before.private_bytes;
	(void)printf("idle connection: %llu bytes; after one request each, all "
		     "at once: %llu bytes\n",
		     (unsigned long long)grown / IDLE,
		     (unsigned long long)(used.private_bytes -
					  before.private_bytes) /
			     IDLE);
	(void)fflush(stdout);
	/* A few arrays may each have started a new page. */
	ck_assert_uint_le(grown, IDLE * LIMIT_BYTES + 8 * PAGE_BYTES);
	for (int i = 0; i < IDLE; i++)
		peer_reset(fds[i]);
	(void)kept_wait(&kept, 1);
	peer_close(warm);
	kept_end(&kept);
}
END_TEST

START_TEST(ten_thousand_idle_connections_are_held_and_all_answer)
{
	enum { IDLE = 10000 };
	static int fds[IDLE];
	struct kept kept = kept_start(IDLE);
	for (int i = 0; i < IDLE; i++)
		fds[i] = peer_open(kept.port);
	struct kept_report report = kept_wait(&kept, IDLE);
	ck_assert_uint_eq(report.accepts, IDLE);
	ck_assert_uint_eq(report.accept_drops, 0);
	peer_round_trips(fds, IDLE, 1);
	(void)printf("10,000 connections: %llu KiB of private memory\n",
		     (unsigned long long)kept_ask(&kept).private_bytes / 1024);
	(void)fflush(stdout);
	for (int i = 0; i < IDLE; i++)
		peer_reset(fds[i]);
	(void)kept_wait(&kept, 0);
	kept_end(&kept);
}
END_TEST

WI_SUITE(memory, "memory", WI_RUNGS | WI_THREADS)
{
	TCase *tcase = tcase_create("memory");
	tcase_set_timeout(tcase, MEMORY_TEST_TIMEOUT_S);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, a_slot_is_three_cache_lines);
	if (!wi_kernel_has_rings())
		return;
#ifdef COUNTS_ALLOCATIONS
	tcase_add_test(tcase, a_hundred_thousand_messages_allocate_nothing);
#endif
	tcase_add_test(tcase, an_idle_connection_costs_at_most_256_bytes);
	tcase_add_test(tcase,
		       ten_thousand_idle_connections_are_held_and_all_answer);
}
