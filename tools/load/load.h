/* load.h - weir-load's parts
 *
 *     load.c         options, threads from start to end
 *     load_thread.c  one loop: connect all, run, finish
 *     load_conn.c    one connection: send, check, close
 *     load_churn.c   connections that come and go, and their accounts
 *     load_report.c  what it prints and writes
 */
#ifndef WEIR_TOOLS_LOAD_H
#define WEIR_TOOLS_LOAD_H

#include "../lib/hist.h"
#include "../lib/pattern.h"

#include <weir/net/loop.h>

#include <pthread.h>
#include <stdio.h>

enum {
	LOAD_THREADS_MAX = 256,
	LOAD_FAILURE_BYTES = 256,
	LOAD_HOSTS_MAX = 254,
	/* Connects in flight at a time, per thread. More would overflow the
	 * backlog of a busy server, and TCP would send the SYN again only after
	 * a second. */
	LOAD_CONNECTING_MAX = 256,
};

#define LOAD_NO_LIMIT UINT64_MAX

/**
 * struct load_plan - what was asked for; read-only once the threads run
 * @servers:       shape [host_count]: one port on each address
 * @request_count: per connection; LOAD_NO_LIMIT: until the time is over. With
 *                 is_churn: of all connections in one place together
 * @life_count:    with is_churn: requests in the life of one connection
 * @run_ns:        how long to send; LOAD_NO_LIMIT: until all are sent
 * @hold_ns:       how long to hold idle connections before they send
 * @timeout_ns:    for a connect or an answer
 * @queue_bytes_max: a connection queues no more than this, so that its
 *                 reading never pauses: if both ends waited for the other
 *                 to read, they would wait for ever
 * @cpus:          shape [cpu_count]: thread i runs on CPU i modulo cpu_count
 * @threads_ready: threads whose connections are all made, or failed
 * @stop:          raised by a signal: end early
 */
struct load_plan {
	struct weir_addr servers[LOAD_HOSTS_MAX];
	uint32_t host_count;
	struct pattern pattern;
	uint64_t conn_count;
	uint64_t depth;
	uint64_t request_count;
	uint64_t life_count;
	uint64_t run_ns;
	uint64_t hold_ns;
	uint64_t timeout_ns;
	size_t queue_bytes_max;
	uint32_t thread_count;
	uint32_t batch_wait_us;
	bool is_idle;
	bool is_churn;
	bool is_strict;
	uint32_t cpu_count;
	uint16_t cpus[LOAD_THREADS_MAX];
	_Atomic uint32_t threads_ready;
	uint32_t stop;
};

/* Counters: name, meaning. All but the first three count problems. */
#define LOAD_COUNTS(X)                                                         \
	X(messages, "answers that were checked and right")                     \
	X(sent_bytes, "payload bytes sent")                                    \
	X(received_bytes, "payload bytes received and right")                  \
	X(mismatches, "connections dropped because a byte was wrong")          \
	X(lost, "requests without an answer: time was up, or a reset")         \
	X(failed_connects, "connections that could not be made")               \
	X(resets, "connections that the server reset")                         \
	X(errors, "connections that ended by another error")                   \
	X(unanswered, "requests open when the server closed cleanly")          \
	X(early_closes, "connections that the server closed before the end")

/* How a connection of --churn failed: name, word in the report. */
#define LOAD_CHURN_FAILURES(X)                                                 \
	X(churn_refused, "refused")                                            \
	X(churn_reset, "reset")                                                \
	X(churn_timed_out, "timed out")                                        \
	X(churn_closed, "closed unanswered")                                   \
	X(churn_portless, "without a free port")                               \
	X(churn_other, "otherwise")

/**
 * struct load_counts - one writer; the progress line reads it meanwhile
 * @churn_connections: begun; each ends as answered or as failed, once
 * @churn_answered:    closed cleanly, with every request answered
 */
struct load_counts {
#define LOAD_COUNT_FIELD(name, help) uint64_t name;
	LOAD_COUNTS(LOAD_COUNT_FIELD)
	uint64_t churn_connections;
	uint64_t churn_answered;
	LOAD_CHURN_FAILURES(LOAD_COUNT_FIELD)
#undef LOAD_COUNT_FIELD
};

struct load_conn;

enum load_phase {
	LOAD_PREPARING = 0, /* connects, holds; sends nothing */
	LOAD_RUNNING,       /* requests go out                */
	LOAD_FINISHING,     /* waits for answers, closes      */
};

/**
 * struct load_thread - one loop and its share of the connections
 * @conns:         owned; shape [conn_count]
 * @sent_ns:       owned; shape [conn_count][depth]: when each was committed
 * @conn_first_id: the id of conns[0]; ids are unique over all threads
 * @closed:        with is_churn: places that wait for their next connection
 * @begin_ns, @end_ns: first request, last answer; monotonic
 * @failure:       text of the first failure; empty: none
 * @err:           negative errno that ended the loop, or 0
 */
struct load_thread {
	struct load_plan *plan;
	struct weir_loop *loop;
	struct weir_service service;
	pthread_t thread;
	uint32_t index;
	uint32_t conn_count;
	uint64_t conn_first_id;
	struct load_conn *conns;
	struct load_conn *closed;
	uint64_t *sent_ns;
	uint32_t started_count;    /* connects begun */
	uint32_t connecting_count; /* of these, not settled */
	uint32_t live_count;       /* not closed, connecting included */
	enum load_phase phase;
	int err;
	uint64_t begin_ns;
	uint64_t end_ns;
	struct load_counts counts;
	struct weir_loop_stats stats; /* copied at the end */
	struct hist latency;
	struct hist first_answer; /* with is_churn: from connect on */
	char failure[LOAD_FAILURE_BYTES];
};

/** load_thread_open() - loop and memory for @conn_count connections
 *
 * Return: 0, or a negative errno with @error filled.
 */
int load_thread_open(struct load_thread *thread, struct weir_error *error);

/** load_thread_start() - run it on a thread of its own. Return: as above. */
int load_thread_start(struct load_thread *thread);
void load_thread_close(struct load_thread *thread);

/** load_thread_fail() - keep the first failure, printf-like. */
void load_thread_fail(struct load_thread *thread, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * struct load_result - all threads together
 * @run_s: from the first request to the last answer
 */
struct load_result {
	struct load_counts counts;
	struct weir_loop_stats stats;
	struct hist latency;
	struct hist first_answer;
	double run_s;
	double user_s;
	double system_s;
	const char *failure; /* borrowed; NULL: none */
};

void load_result_read(struct load_result *out_result,
		      const struct load_thread *threads, uint32_t count);

/** load_result_status() - 0, or 1 if an answer is missing or wrong. */
int load_result_status(const struct load_result *result,
		       const struct load_plan *plan);

/** load_report_print() - for people, to @file. */
void load_report_print(const struct load_result *result,
		       const struct load_plan *plan, FILE *file);

/** load_report_json() - for scripts, to @file. */
void load_report_json(const struct load_result *result,
		      const struct load_plan *plan, FILE *file);

/** load_progress_print() - one line, rewritten in place, to stderr. */
void load_progress_print(const struct load_thread *threads, uint32_t count);

/* Its options; the fuzzer parses with the same table (load.c). */
struct cli_tool;
extern const struct cli_tool load_tool;

#endif
