/* load_thread.c - one loop of weir-load, from connect to close
 *
 *     connect all --> wait for the other threads --> (hold) --> run --> finish
 *
 * Not here: what a connection sends and checks (load_conn.c).
 */
#include "../lib/framing.h"
#include "../lib/process.h"
#include "load_churn.h"
#include "load_conn.h"

#include <weir/uring/barrier.h>

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TURN_MS_MAX = 100,
	BARRIER_TURN_MS = 1,
};

#define MEMORY_BYTES_MIN ((size_t)512 << 20)
#define MEMORY_BYTES_MAX ((size_t)64 << 30)

/* Address space for every queue at its fullest, twice for block rounding. */
static size_t load_thread_memory_bytes(const struct load_thread *thread)
{
	size_t bytes =
		2 * thread->plan->queue_bytes_max * (size_t)thread->conn_count;

	if (bytes < MEMORY_BYTES_MIN)
		return MEMORY_BYTES_MIN;
	return bytes < MEMORY_BYTES_MAX ? bytes : MEMORY_BYTES_MAX;
}

/* So often that a timeout is noticed within a tenth of its length. */
static uint32_t load_thread_tick_ms(const struct load_plan *plan)
{
	uint64_t tick_ms = plan->timeout_ns / NS_PER_MS / 10;
	if (tick_ms < 1)
		return 1;
	return tick_ms < 1000 ? (uint32_t)tick_ms : 1000;
}

int load_thread_open(struct load_thread *thread, struct weir_error *error)
{
	const struct load_plan *plan = thread->plan;
	const struct weir_loop_opts opts = {
		.conn_count = thread->conn_count,
		.backlog = 1, /* nothing is accepted */
		.block_memory_bytes = load_thread_memory_bytes(thread),
		.tick_interval_ms = load_thread_tick_ms(plan),
		.batch_wait_us = plan->batch_wait_us,
		.hooks = { .on_tick = load_conn_on_tick, .ctx = thread },
	};

	thread->service = (struct weir_service){
		.name = "load",
		.handlers = load_conn_handlers(),
		.ctx = thread,
		/* Above plan->queue_bytes_max, so reading never pauses. */
		.send_high_bytes = FRAMING_QUEUE_BYTES_MAX,
		.send_bytes_max = FRAMING_QUEUE_BYTES_MAX,
		.idle_timeout_ms = WEIR_NO_TIMEOUT,
	};
	hist_init(&thread->latency);
	hist_init(&thread->first_answer);
	thread->conns = calloc(thread->conn_count, sizeof(*thread->conns));
	thread->sent_ns = calloc((size_t)thread->conn_count * plan->depth,
				 sizeof(*thread->sent_ns));
	if (thread->conns == NULL || thread->sent_ns == NULL)
		return weir_error_set(error, -ENOMEM,
				      "no memory for %u connections at depth "
				      "%llu; lower --connections or --depth",
				      thread->conn_count,
				      (unsigned long long)plan->depth);
	for (uint32_t i = 0; i < thread->conn_count; i++) {
		thread->conns[i].thread = thread;
		thread->conns[i].id = thread->conn_first_id + i;
		thread->conns[i].sent_ns = &thread->sent_ns[i * plan->depth];
	}
	return weir_loop_open(&thread->loop, &opts, error);
}

void load_thread_close(struct load_thread *thread)
{
	weir_loop_close(thread->loop);
	free(thread->conns);
	free(thread->sent_ns);
	thread->loop = NULL;
	thread->conns = NULL;
	thread->sent_ns = NULL;
}

void load_thread_fail(struct load_thread *thread, const char *format, ...)
{
	if (thread->failure[0] != '\0')
		return;
	va_list args;
	va_start(args, format);
	(void)vsnprintf(thread->failure, sizeof(thread->failure), format, args);
	va_end(args);
}

static void load_thread_pin(struct load_thread *thread)
{
	const struct load_plan *plan = thread->plan;
	cpu_set_t set;

	if (plan->cpu_count == 0)
		return;
	unsigned cpu = plan->cpus[thread->index % plan->cpu_count];
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		load_thread_fail(thread,
				 "thread %u is not pinned to CPU %u: "
				 "%s",
				 thread->index, cpu, strerror(errno));
}

static bool load_thread_is_stopped(const struct load_thread *thread)
{
	return thread->err < 0 || wi_load_acquire_u32(&thread->plan->stop) != 0;
}

/* One turn, which ends by @until_ns. */
static void load_thread_turn(struct load_thread *thread, uint64_t until_ns)
{
	uint64_t now_ns = process_now_ns();
	uint64_t timeout_ns = (uint64_t)TURN_MS_MAX * NS_PER_MS;

	if (until_ns <= now_ns)
		timeout_ns = 0;
	else if (until_ns - now_ns < timeout_ns)
		timeout_ns = until_ns - now_ns;
	int more = weir_loop_turn(thread->loop, timeout_ns);
	if (more < 0) {
		thread->err = more;
		load_thread_fail(thread, "thread %u: its loop ended: %s",
				 thread->index, strerror(-more));
	}
	if (thread->plan->is_churn)
		load_churn_open_some(thread);
}

static void load_thread_connect_some(struct load_thread *thread)
{
	while (thread->started_count < thread->conn_count &&
	       thread->connecting_count < LOAD_CONNECTING_MAX) {
		struct load_conn *conn = &thread->conns[thread->started_count];
		thread->started_count++;
		int err = load_conn_connect(conn);
		if (err == 0)
			continue;
		wi_counter_add(&thread->counts.failed_connects, 1);
		load_thread_fail(thread, "connection %llu: %s",
				 (unsigned long long)conn->id, strerror(-err));
	}
}

static void load_thread_connect(struct load_thread *thread)
{
	do {
		load_thread_connect_some(thread);
		load_thread_turn(thread, UINT64_MAX);
	} while (!load_thread_is_stopped(thread) &&
		 (thread->started_count < thread->conn_count ||
		  thread->connecting_count > 0));
}

/* Waits until all threads can begin to send together. */
static void load_thread_meet(struct load_thread *thread)
{
	struct load_plan *plan = thread->plan;

	plan->threads_ready++;
	while (plan->threads_ready < plan->thread_count &&
	       !load_thread_is_stopped(thread))
		load_thread_turn(thread,
				 process_now_ns() +
					 (uint64_t)BARRIER_TURN_MS * NS_PER_MS);
}

/* Turns until @until_ns, or until no connection is left. */
static void load_thread_wait(struct load_thread *thread, uint64_t until_ns)
{
	while (!load_thread_is_stopped(thread) && thread->live_count > 0 &&
	       process_now_ns() < until_ns)
		load_thread_turn(thread, until_ns);
}

static uint64_t time_after(uint64_t now_ns, uint64_t wait_ns)
{
	return wait_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + wait_ns;
}

static void load_thread_run(struct load_thread *thread)
{
	const struct load_plan *plan = thread->plan;

	thread->begin_ns = process_now_ns();
	thread->end_ns = thread->begin_ns;
	thread->phase = LOAD_RUNNING;
	if (plan->is_churn)
		load_churn_start(thread);
	for (uint32_t i = 0; i < thread->started_count; i++)
		load_conn_send(&thread->conns[i], process_now_ns());
	load_thread_wait(thread, time_after(thread->begin_ns, plan->run_ns));
}

/* This ends by itself: each answer has a timeout, each close a deadline. */
static void load_thread_finish(struct load_thread *thread)
{
	thread->phase = LOAD_FINISHING;
	for (uint32_t i = 0; i < thread->started_count; i++)
		load_conn_close_if_done(&thread->conns[i]);
	while (thread->err == 0 && thread->live_count > 0)
		load_thread_turn(thread, UINT64_MAX);
	weir_loop_stop(thread->loop);
	while (thread->err == 0 &&
	       weir_loop_turn(thread->loop, (uint64_t)NS_PER_MS) > 0)
		continue;
}

static void *load_thread_main(void *ctx)
{
	struct load_thread *thread = ctx;

	load_thread_pin(thread);
	thread->err = weir_loop_enable(thread->loop);
	if (thread->err < 0)
		load_thread_fail(thread,
				 "thread %u: its loop did not start: "
				 "%s",
				 thread->index, strerror(-thread->err));
	else if (!thread->plan->is_churn)
		load_thread_connect(thread);
	load_thread_meet(thread);
	if (thread->plan->is_idle)
		load_thread_wait(thread, time_after(process_now_ns(),
						    thread->plan->hold_ns));
	if (!load_thread_is_stopped(thread))
		load_thread_run(thread);
	if (thread->err == 0)
		load_thread_finish(thread);
	if (thread->plan->is_churn)
		load_churn_end(thread);
	weir_loop_stats(thread->loop, &thread->stats);
	return NULL;
}

int load_thread_start(struct load_thread *thread)
{
	return -pthread_create(&thread->thread, NULL, load_thread_main, thread);
}
