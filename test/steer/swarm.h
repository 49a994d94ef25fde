/* swarm.h - a swarm of clients, by the thousand, for the tests of steering
 *
 * Pinned threads open, ask, hold and close connections, and count exactly what
 * became of each. Nothing depends on time: a connection is held while its
 * thread makes so many later ones, and a test waits for counts. A server
 * answers each byte with the index of its loop (steered_* in steer_rig.h).
 */
#ifndef WEIR_TEST_SWARM_H
#define WEIR_TEST_SWARM_H

#include "net/addr.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	SWARM_THREADS_MAX = 4,
	SWARM_BATCH_MAX = 64,
	SWARM_SAMPLES_MAX = 256,
	SWARM_LOOPS_MAX = 8,
	SWARM_NO_LOOP = 0xff,
};

#define SWARM_FOR_EVER UINT32_MAX

/**
 * struct swarm_opts - zero is one thread, one connection at a time
 * @count:        connections in all; thread t makes t, t + threads, ...
 * @targets:      shape [target_count]: connection i goes to i % target_count
 * @source:       source address of connection i; NULL: the kernel's choice
 * @life:         connection i is held while its thread makes so many later
 *                ones; SWARM_FOR_EVER: until swarm_end(); NULL: 0 for all
 * @batch:        connections that are opened before the first of them asks;
 *                0 for 1
 * @thread_count: 0 for 1
 * @cpus:         shape [thread_count], to pin them to; NULL: not pinned
 * @sample_every: see struct swarm_sample; 0: none
 */
struct swarm_opts {
	uint32_t count;
	const struct weir_addr *targets;
	uint32_t target_count;
	void (*source)(uint32_t index, struct weir_addr *out_source);
	uint32_t (*life)(uint32_t index);
	uint32_t batch;
	uint32_t thread_count;
	const int *cpus;
	uint32_t sample_every;
};

/* Results: each ended connection is in one of the last four. */
struct swarm_counts {
	uint64_t opened; /* connect has succeeded */
	uint64_t served; /* answered */
	uint64_t refused;
	uint64_t reset;
	uint64_t failed; /* otherwise: see first_failure */
};

/* The connections held on each loop, after @tried of them. */
struct swarm_sample {
	uint64_t tried;
	uint32_t held[SWARM_LOOPS_MAX];
};

struct swarm;

struct swarm_client {
	struct swarm *swarm;
	pthread_t thread;
	uint32_t index;
	uint32_t count; /* of its own connections */
	/* Shape [count], in the order in which it makes them: */
	int *fds;
	uint32_t *due;  /* the first to close before it makes this one */
	uint32_t *next; /* the next to close after that one */
};

struct swarm {
	struct swarm_opts opts;
	struct swarm_client clients[SWARM_THREADS_MAX];
	uint8_t *loop_of; /* shape [opts.count]; or SWARM_NO_LOOP */
	bool is_joined;

	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t moved;
	bool is_told_to_stop;
	uint64_t tried;
	uint32_t threads_ended;
	struct swarm_counts counts;
	uint64_t batches[SWARM_THREADS_MAX]; /* finished, by thread */
	bool is_ended[SWARM_THREADS_MAX];
	int first_failure; /* errno */
	uint32_t held[SWARM_LOOPS_MAX];
	uint64_t answers[SWARM_LOOPS_MAX];
	struct swarm_sample samples[SWARM_SAMPLES_MAX];
	uint32_t sample_count;
};

/* One connection without a thread: returns a connected descriptor; returns the
 * loop that answers on it. Both return a negative errno on failure. */
int swarm_open_one(const struct swarm_opts *opts, uint32_t index);
int swarm_hear_one(int fd);

/* Starts all threads with @opts. */
void swarm_start(struct swarm *swarm, const struct swarm_opts *opts);
/* Wait until so many have been tried, or all of them. */
void swarm_wait_tried(struct swarm *swarm, uint64_t count);
uint64_t swarm_tried(struct swarm *swarm);
/* How many each loop has answered, at one moment: only whole batches. */
void swarm_answers(struct swarm *swarm, uint64_t out_counts[SWARM_LOOPS_MAX]);
/* Wait until every connection that was begun before this call has ended or is
 * held. */
void swarm_settle(struct swarm *swarm);
/* No more connections after the current batch. */
void swarm_stop(struct swarm *swarm);
/* Wait for the threads; connections held for ever stay open. */
void swarm_join(struct swarm *swarm);
/* swarm_join(), then close all that are held. */
void swarm_end(struct swarm *swarm);
/* Start and join, for tests that change nothing in between. */
void swarm_run(struct swarm *swarm, const struct swarm_opts *opts);

/* After a join: each connection that was tried was served. */
void swarm_expect_all_served(const struct swarm *swarm);

/* After a join: all were served, except for handshakes that the kernel was
 * completing at the moment in which one of @shut_count listeners was shut down.
 * The last ACK looks up its listener, and queues the connection there some
 * microseconds later. If LISTEN ends in between, inet_child_forget() drops it
 * and no migration helps (seen by tracing 6.18 without weir: 9 such drops and 9
 * resets in 600 shutdowns). A CPU handles one ACK at a time, and the CPU that
 * shuts down handles none. */
void swarm_expect_served_but_for_races(const struct swarm *swarm,
				       uint32_t shut_count);
/* After a join: how many from connection @first on were answered by @loop. */
uint64_t swarm_served_by(const struct swarm *swarm, uint32_t loop,
			 uint32_t first);
/* The first two CPUs that this thread may use. Returns how many it may use. */
uint32_t swarm_cpus(int out_cpus[2]);
/* Two threads, pinned to @cpus; one if there is only one CPU. */
void swarm_pin(struct swarm_opts *opts, int cpus[2]);

/* Most / mean; 0: all are 0. */
double swarm_imbalance(const uint64_t *counts, uint32_t count);

#endif
