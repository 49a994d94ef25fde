/* crowd.h - a swarm of clients, by the thousand, for the tests of steering
 *
 * Pinned threads open, ask, hold and close connections, and count exactly what
 * became of each. Nothing depends on time: a connection is held while its
 * thread makes so many later ones, and a test waits for counts. A server
 * answers each byte with the index of its loop (steered_* in steer_rig.h).
 */
#ifndef WEIR_TEST_CROWD_H
#define WEIR_TEST_CROWD_H

#include "net/addr.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	CROWD_THREADS_MAX = 4,
	CROWD_BATCH_MAX = 64,
	CROWD_SAMPLES_MAX = 256,
	CROWD_LOOPS_MAX = 8,
	CROWD_NO_LOOP = 0xff,
};

#define CROWD_FOR_EVER UINT32_MAX

/**
 * struct crowd_opts - zero is one thread, one connection at a time
 * @count:        connections in all; thread t makes t, t + threads, ...
 * @targets:      shape [target_count]: connection i goes to i % target_count
 * @source:       source address of connection i; NULL: the kernel's choice
 * @life:         connection i is held while its thread makes so many later
 *                ones; CROWD_FOR_EVER: until crowd_end(); NULL: 0 for all
 * @batch:        connections that are opened before the first of them asks;
 *                0 for 1
 * @thread_count: 0 for 1
 * @cpus:         shape [thread_count], to pin them to; NULL: not pinned
 * @sample_every: see struct crowd_sample; 0: none
 */
struct crowd_opts {
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
struct crowd_counts {
	uint64_t opened; /* connect has succeeded */
	uint64_t served; /* answered */
	uint64_t refused;
	uint64_t reset;
	uint64_t failed; /* otherwise: see first_failure */
};

/* The connections held on each loop, after @tried of them. */
struct crowd_sample {
	uint64_t tried;
	uint32_t held[CROWD_LOOPS_MAX];
};

struct crowd;

struct crowd_client {
	struct crowd *crowd;
	pthread_t thread;
	uint32_t index;
	uint32_t count; /* of its own connections */
	/* Shape [count], in the order in which it makes them: */
	int *fds;
	uint32_t *due;  /* the first to close before it makes this one */
	uint32_t *next; /* the next to close after that one */
};

struct crowd {
	struct crowd_opts opts;
	struct crowd_client clients[CROWD_THREADS_MAX];
	uint8_t *loop_of; /* shape [opts.count]; or CROWD_NO_LOOP */
	bool is_joined;

	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t moved;
	bool is_told_to_stop;
	uint64_t tried;
	uint32_t threads_ended;
	struct crowd_counts counts;
	uint64_t batches[CROWD_THREADS_MAX]; /* finished, by thread */
	bool is_ended[CROWD_THREADS_MAX];
	int first_failure; /* errno */
	uint32_t held[CROWD_LOOPS_MAX];
	uint64_t answers[CROWD_LOOPS_MAX];
	struct crowd_sample samples[CROWD_SAMPLES_MAX];
	uint32_t sample_count;
};

/* One connection without a thread: returns a connected descriptor; returns the
 * loop that answers on it. Both return a negative errno on failure. */
int crowd_open_one(const struct crowd_opts *opts, uint32_t index);
int crowd_hear_one(int fd);

/* Starts all threads with @opts. */
void crowd_start(struct crowd *crowd, const struct crowd_opts *opts);
/* Wait until so many have been tried, or all of them. */
void crowd_wait_tried(struct crowd *crowd, uint64_t count);
uint64_t crowd_tried(struct crowd *crowd);
/* How many each loop has answered, at one moment: only whole batches. */
void crowd_answers(struct crowd *crowd, uint64_t out_counts[CROWD_LOOPS_MAX]);
/* Wait until every connection that was begun before this call has ended or is
 * held. */
void crowd_settle(struct crowd *crowd);
/* No more connections after the current batch. */
void crowd_stop(struct crowd *crowd);
/* Wait for the threads; connections held for ever stay open. */
void crowd_join(struct crowd *crowd);
/* crowd_join(), then close all that are held. */
void crowd_end(struct crowd *crowd);
/* Start and join, for tests that change nothing in between. */
void crowd_run(struct crowd *crowd, const struct crowd_opts *opts);

/* After a join: each connection that was tried was served. */
void crowd_expect_all_served(const struct crowd *crowd);

/* After a join: all were served, except for handshakes that the kernel was
 * completing at the moment in which one of @shut_count listeners was shut down.
 * The last ACK looks up its listener, and queues the connection there some
 * microseconds later. If LISTEN ends in between, inet_child_forget() drops it
 * and no migration helps (seen by tracing 6.18 without weir: 9 such drops and 9
 * resets in 600 shutdowns). A CPU handles one ACK at a time, and the CPU that
 * shuts down handles none. */
void crowd_expect_served_but_for_races(const struct crowd *crowd,
				       uint32_t shut_count);
/* After a join: how many from connection @first on were answered by @loop. */
uint64_t crowd_served_by(const struct crowd *crowd, uint32_t loop,
			 uint32_t first);
/* The first two CPUs that this thread may use. Returns how many it may use. */
uint32_t crowd_cpus(int out_cpus[2]);
/* Two threads, pinned to @cpus; one if there is only one CPU. */
void crowd_pin(struct crowd_opts *opts, int cpus[2]);

/* Most / mean; 0: all are 0. */
double crowd_imbalance(const uint64_t *counts, uint32_t count);

#endif
