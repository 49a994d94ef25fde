/* micro.c - weir-micro: what an operation costs on uring/ and on liburing
 *
 *     round:  for each row   slice weir, slice liburing, slice liburing, ...
 *             of each side the median slice; their ratio is the round's
 *     report: median, least and greatest of the rounds
 *
 * Both sides run in one process, on one CPU, in turn, in slices well under a
 * millisecond. So a disturbance hits both alike, or one slice only.
 *
 *     weir-micro [--rounds N] [--slices N] [--cpu N] [--json FILE]
 *     weir-micro --row NAME weir|liburing N    the loop of a row, N times: for
 *                                              callgrind and perf
 */
#include "../../lib/json.h"
#include "side.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>

enum {
	SIDE_WEIR,
	SIDE_LIBURING,
	SIDE_COUNT,

	ROUNDS_MAX = 1000,
	SLICES_MAX = 1000,
	SLICE_NS = 150 * 1000, /* about; a slice is sized by one of weir's */
	RECV_WAITING_MAX = 1024,
};

static const char *const side_names[SIDE_COUNT] = { "weir", "liburing" };

static const struct {
	const char *name;
	uint32_t batch;
	const char *text;
} rows[MICRO_ROW_COUNT] = {
#define ROW_TEXT(name, batch, text) { #name, batch, text },
	MICRO_ROWS(ROW_TEXT)
#undef ROW_TEXT
};

/* Four rings on each side: registered, plain, without a kernel. */
enum ring_use { RING_REGISTERED, RING_PLAIN, RING_FAKE, RING_USE_COUNT };

struct bench {
	struct micro_weir *weir[RING_USE_COUNT];
#ifdef MICRO_HAS_LIBURING
	struct micro_liburing *liburing[RING_USE_COUNT];
#endif
	uint32_t setup_flags;
	int sockets[2];
	uint32_t counts[MICRO_ROW_COUNT]; /* of one slice */
};

/* The results of one row: shape [round]. */
struct result {
	double ns[SIDE_COUNT][ROUNDS_MAX];
	double ratio[ROUNDS_MAX];
};

static int has_side(int side)
{
#ifdef MICRO_HAS_LIBURING
	return side < SIDE_COUNT;
#else
	return side == SIDE_WEIR;
#endif
}

static void fail(const char *what, int err)
{
	(void)fprintf(stderr, "weir-micro: %s: %s\n", what, strerror(-err));
	exit(1);
}

static enum ring_use row_ring(enum micro_row row)
{
	if (row >= MICRO_TAKE_SEND)
		return RING_FAKE;
	return row == MICRO_WAIT_PLAIN ? RING_PLAIN : RING_REGISTERED;
}

static void bench_open(struct bench *bench)
{
	for (int use = 0; use < RING_USE_COUNT; use++) {
		struct micro_setup setup = {
			.has_registered_fd = use != RING_PLAIN,
		};
		int err = micro_weir_open(&bench->weir[use], &setup);
		if (err < 0)
			fail("no ring", err);
		bench->setup_flags = setup.setup_flags;
#ifdef MICRO_HAS_LIBURING
		err = micro_liburing_open(&bench->liburing[use], &setup);
		if (err < 0)
			fail("no ring for liburing", err);
#endif
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, bench->sockets) < 0)
		fail("no sockets", -errno);
}

static void bench_close(struct bench *bench)
{
	for (int use = 0; use < RING_USE_COUNT; use++) {
		micro_weir_close(bench->weir[use]);
#ifdef MICRO_HAS_LIBURING
		micro_liburing_close(bench->liburing[use]);
#endif
	}
}

static void recv_fill(const struct bench *bench, uint32_t count)
{
	static const char zeros[RECV_WAITING_MAX * MICRO_RECV_BYTES];
	size_t byte_count = (size_t)count * MICRO_RECV_BYTES;
	ssize_t sent = send(bench->sockets[1], zeros, byte_count, 0);
	if (sent < 0 || (size_t)sent != byte_count)
		fail("the socket does not take what is to be received", -errno);
}

static uint64_t now_ns(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: vDSO */
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t side_run(const struct bench *bench, int side,
			 enum micro_row row, uint32_t count)
{
	enum ring_use use = row_ring(row);
	int fd = bench->sockets[0];
#ifdef MICRO_HAS_LIBURING
	if (side == SIDE_LIBURING)
		return micro_liburing_run(bench->liburing[use], row, count, fd);
#endif
	(void)side;
	return micro_weir_run(bench->weir[use], row, count, fd);
}

/* One slice. Return: ns per operation. */
static double slice(const struct bench *bench, int side, enum micro_row row,
		    uint32_t count)
{
	if (row == MICRO_RECV)
		recv_fill(bench, count);
	uint64_t start_ns = now_ns();
	uint64_t seen = side_run(bench, side, row, count);
	uint64_t spent_ns = now_ns() - start_ns;

	uint64_t operations = (uint64_t)count * rows[row].batch;
	if (seen != operations) {
		(void)fprintf(stderr,
			      "weir-micro: %s, row %s: %ju of %ju operations "
			      "came back well\n",
			      side_names[side], rows[row].name, (uintmax_t)seen,
			      (uintmax_t)operations);
		exit(1);
	}
	return (double)spent_ns / (double)operations;
}

static void slices_size(struct bench *bench)
{
	for (int row = 0; row < MICRO_ROW_COUNT; row++) {
		double ns = 0;
		for (int i = 0; i < 20; i++)
			ns = slice(bench, SIDE_WEIR, (enum micro_row)row, 100);
		double count = SLICE_NS / (ns * rows[row].batch);
		if (row == MICRO_RECV && count > RECV_WAITING_MAX)
			count = RECV_WAITING_MAX;
		bench->counts[row] = count < 10 ? 10 : (uint32_t)count;
	}
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(const double *values, uint32_t count)
{
	static double sorted[SLICES_MAX > ROUNDS_MAX ? SLICES_MAX : ROUNDS_MAX];
	memcpy(sorted, values, count * sizeof(*values));
	qsort(sorted, count, sizeof(*sorted), compare_doubles);
	return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

static void round_run(const struct bench *bench, enum micro_row row,
		      uint32_t round, uint32_t slice_count,
		      struct result *result)
{
	static double ns[SIDE_COUNT][SLICES_MAX];
	for (uint32_t i = 0; i < slice_count; i++)
		for (int k = 0; k < SIDE_COUNT; k++) {
			/* The side that goes first alternates. */
			int side = (k + (int)i) % SIDE_COUNT;
			if (has_side(side))
				ns[side][i] = slice(bench, side, row,
						    bench->counts[row]);
		}
	for (int side = 0; side < SIDE_COUNT; side++)
		if (has_side(side))
			result->ns[side][round] = median(ns[side], slice_count);
	if (has_side(SIDE_LIBURING))
		result->ratio[round] = result->ns[SIDE_WEIR][round] /
				       result->ns[SIDE_LIBURING][round];
}

static double least(const double *values, uint32_t count)
{
	double least = values[0];
	for (uint32_t i = 1; i < count; i++)
		least = values[i] < least ? values[i] : least;
	return least;
}

static double greatest(const double *values, uint32_t count)
{
	double greatest = values[0];
	for (uint32_t i = 1; i < count; i++)
		greatest = values[i] > greatest ? values[i] : greatest;
	return greatest;
}

static void report_print(const struct result *results, uint32_t round_count)
{
	(void)printf("%-40s  %10s  %10s  %s\n", "", "weir", "liburing",
		     "weir / liburing");
	(void)printf("%-40s  %10s  %10s  %6s  %6s  %6s\n", "ns per operation",
		     "median", "median", "median", "min", "max");
	for (int row = 0; row < MICRO_ROW_COUNT; row++) {
		const struct result *result = &results[row];
		(void)printf("%-40s  %10.2f", rows[row].text,
			     median(result->ns[SIDE_WEIR], round_count));
		if (has_side(SIDE_LIBURING))
			(void)printf(
				"  %10.2f  %6.3f  %6.3f  %6.3f",
				median(result->ns[SIDE_LIBURING], round_count),
				median(result->ratio, round_count),
				least(result->ratio, round_count),
				greatest(result->ratio, round_count));
		(void)putchar('\n');
	}
}

static void json_spread(struct json *json, const char *key,
			const double *values, uint32_t count)
{
	json_object_open(json, key);
	json_double(json, "min", least(values, count));
	json_double(json, "median", median(values, count));
	json_double(json, "max", greatest(values, count));
	json_object_close(json);
}

static void report_json(const struct bench *bench, const struct result *results,
			uint32_t round_count, uint32_t slice_count,
			const char *path)
{
	FILE *file = fopen(path, "we");
	if (file == NULL)
		fail(path, -errno);
	struct utsname host;
	struct json json = { .file = file };
	json_object_open(&json, NULL);
	json_text(&json, "kernel", uname(&host) == 0 ? host.release : "");
	json_u64(&json, "setup_flags", bench->setup_flags);
	json_u64(&json, "rounds", round_count);
	json_u64(&json, "slices", slice_count);
	json_array_open(&json, "rows");
	for (int row = 0; row < MICRO_ROW_COUNT; row++) {
		const struct result *result = &results[row];
		json_object_open(&json, NULL);
		json_text(&json, "name", rows[row].name);
		json_text(&json, "text", rows[row].text);
		json_spread(&json, "weir_ns", result->ns[SIDE_WEIR],
			    round_count);
		if (has_side(SIDE_LIBURING)) {
			json_spread(&json, "liburing_ns",
				    result->ns[SIDE_LIBURING], round_count);
			json_spread(&json, "ratio", result->ratio, round_count);
		}
		json_object_close(&json);
	}
	json_array_close(&json);
	json_object_close(&json);
	if (fclose(file) != 0)
		fail(path, -errno);
}

static uint32_t number(const char *option, const char *text, uint32_t max)
{
	char *end = NULL;
	errno = 0;
	unsigned long value = strtoul(text != NULL ? text : "", &end, 10);
	if (text == NULL || end == text || *end != '\0' || errno != 0 ||
	    value > max) {
		(void)fprintf(stderr,
			      "weir-micro: %s: give a whole number up to %u\n",
			      option, max);
		exit(2);
	}
	return (uint32_t)value;
}

static void usage_fail(const char *argument)
{
	(void)fprintf(stderr,
		      "weir-micro: cannot make sense of '%s'; see the head of "
		      "tools/bench/micro/micro.c\n",
		      argument);
	exit(2);
}

static void cpu_pin(uint32_t cpu)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		fail("cannot be pinned to that CPU", -errno);
}

/* --row NAME SIDE COUNT */
static int row_only(struct bench *bench, char **arguments)
{
	int row = 0;
	while (row < MICRO_ROW_COUNT &&
	       strcmp(rows[row].name, arguments[0]) != 0)
		row++;
	int side = strcmp(arguments[1], side_names[SIDE_LIBURING]) == 0;
	if (row == MICRO_ROW_COUNT || row == MICRO_RECV || !has_side(side) ||
	    strcmp(arguments[1], side_names[side]) != 0)
		usage_fail(row == MICRO_ROW_COUNT ? arguments[0]
						  : arguments[1]);
	uint32_t count = number("--row", arguments[2], 1000000000);
	bench_open(bench);
	(void)slice(bench, side, (enum micro_row)row, count);
	bench_close(bench);
	return 0;
}

int main(int argc, char **argv)
{
	static struct result results[MICRO_ROW_COUNT];
	static struct bench bench;
	uint32_t round_count = 15;
	uint32_t slice_count = 50;
	const char *json_path = NULL;

	for (int i = 1; i < argc; i += 2) {
		if (strcmp(argv[i], "--row") == 0 && argc == i + 4)
			return row_only(&bench, &argv[i + 1]);
		if (strcmp(argv[i], "--rounds") == 0)
			round_count = number(argv[i], argv[i + 1], ROUNDS_MAX);
		else if (strcmp(argv[i], "--slices") == 0)
			slice_count = number(argv[i], argv[i + 1], SLICES_MAX);
		else if (strcmp(argv[i], "--cpu") == 0)
			cpu_pin(number(argv[i], argv[i + 1], 1023));
		else if (strcmp(argv[i], "--json") == 0 && argv[i + 1] != NULL)
			json_path = argv[i + 1];
		else
			usage_fail(argv[i]);
	}
	if (round_count == 0 || slice_count == 0)
		usage_fail("0");

	bench_open(&bench);
	slices_size(&bench);
	for (uint32_t round = 0; round < round_count; round++)
		for (int row = 0; row < MICRO_ROW_COUNT; row++)
			round_run(&bench, (enum micro_row)row, round,
				  slice_count, &results[row]);
	report_print(results, round_count);
	if (json_path != NULL)
		report_json(&bench, results, round_count, slice_count,
			    json_path);
	bench_close(&bench);
	return 0;
}
