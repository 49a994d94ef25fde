/* echo.h - the parts of weir-echo
 *
 *     echo.c          options and counters
 *     echo_handler.c  what runs on the loops
 *     echo_report.c   what it prints and writes
 *     echo_steer.c    the same about steering
 */
#ifndef WEIR_TOOLS_ECHO_H
#define WEIR_TOOLS_ECHO_H

#include "../lib/json.h"

#include <weir/net/server.h>
#include <weir/proto/frame.h>

#include <stdalign.h>

enum {
	ECHO_LOOPS_MAX = 1024,
	ECHO_CACHE_LINE_BYTES = 64,
};

/**
 * struct echo_loop - what one loop counts for itself; its thread writes
 * @messages: whole frames answered; with --raw, pieces of the stream
 */
struct echo_loop {
	alignas(ECHO_CACHE_LINE_BYTES) uint64_t messages;
};

/**
 * struct echo - the whole tool
 * @is_raw:         answer bytes, not frames
 * @is_verbose:     print why connections close
 * @address_count:  addresses that it listens on
 * @loops:          shape [ECHO_LOOPS_MAX], index weir_loop_index()
 * @unprinted:      lines that were left out
 * @stats_file, @port_file: NULL: not asked for
 * @steer:          NULL: the server opens its own
 * @seen, @seen_loops: what echo_look() has read; shape [ECHO_LOOPS_MAX]
 * @served_from_ns, @served_until_ns: monotonic
 */
struct echo {
	struct weir_frame_format format;
	bool is_raw;
	bool is_verbose;
	uint32_t address_count;
	const char *stats_file;
	const char *port_file;
	struct weir_steer *steer;
	struct weir_server *server;
	struct weir_server_snapshot seen;
	struct weir_loop_snapshot seen_loops[ECHO_LOOPS_MAX];
	uint64_t served_from_ns;
	uint64_t served_until_ns;
	_Atomic uint64_t unprinted;
	struct echo_loop loops[ECHO_LOOPS_MAX];
};

/** echo_handlers() - the handlers of its service; ctx is the struct echo. */
struct weir_handlers echo_handlers(const struct echo *echo);

/** echo_on_log() - prints a line of the server on stderr. */
void echo_on_log(const char *line, void *ctx);

/** echo_look() - reads the server's state, for the functions below. */
void echo_look(struct echo *echo);

/** echo_print_start() - where it listens, on which CPUs, with which rungs. */
void echo_print_start(const struct echo *echo);

/** echo_print_end() - connections, messages, kernel entries, causes. */
void echo_print_end(const struct echo *echo);

/** echo_write_stats() - all counters as JSON. Return: 0 or negative errno. */
int echo_write_stats(const struct echo *echo);

/** echo_write_port() - the port, as a file that appears whole. Return: same. */
int echo_write_port(const struct echo *echo);

/** echo_steer_print_start() - what chooses loops, or why nothing better does */
void echo_steer_print_start(const struct echo *echo);

/** echo_steer_print_end() - what each loop got, if there is a choice. */
void echo_steer_print_end(const struct echo *echo);

/** echo_steer_json() - "steering", in the object that is open. */
void echo_steer_json(const struct echo *echo, struct json *json);

/** echo_steer_loop_json() - members of one loop, in the open object. */
void echo_steer_loop_json(const struct weir_loop_snapshot *loop,
			  struct json *json);

/* Its options; the fuzzer parses with the same table (echo.c). */
struct cli_tool;
extern const struct cli_tool echo_tool;

#endif
