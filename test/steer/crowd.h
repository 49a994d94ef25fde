/* crowd.h - clients by the thousand, for the tests of steering
 *
 * Threads, pinned, that open, ask, hold and close connections, and the exact
 * count of what became of each. Nothing is decided by time: a connection lives
 * for a number of later ones, and a test waits for counts. A server answers
 * each byte with the index of its loop (steered_* in steer_rig.h).
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
 * @source:       where connection i comes from; NULL: the kernel's choice
 * @life:         later connections of its thread for which connection i is
 *                held; CROWD_FOR_EVER: until crowd_end(); NULL: 0 for all
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

/* What became of the connections; each is in one of them, but for opened. */
struct crowd_counts {
	uint64_t opened; /* connect has succeeded */
	uint64_t served; /* answered */
	uint64_t refused;
	uint64_t reset;
	uint64_t failed; /* otherwise: see first_failure */
};

/* The connections held on each loop, after so many. */
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
	/* Shape [count], by the order in which it makes them: */
	int *fds;
	uint32_t *due;  /* the first to close before it makes this one */
	uint32_t *next; /* the next of those */
};

struct crowd {
	struct crowd_opts opts;
	struct crowd_client clients[CROWD_THREADS_MAX];
	uint8_t *loop_of; /* shape [opts.count]: who answered, CROWD_NO_LOOP */
	bool is_joined;

	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t moved;
	bool is_told_to_stop;
	uint64_t tried;
	uint32_t threads_ended;
	struct crowd_counts counts;
	uint64_t batches[CROWD_THREADS_MAX]; /* that are done, by thread */
	bool is_ended[CROWD_THREADS_MAX];
	int first_failure; /* errno */
	uint32_t held[CROWD_LOOPS_MAX];
	uint64_t answers[CROWD_LOOPS_MAX];
	struct crowd_sample samples[CROWD_SAMPLES_MAX];
	uint32_t sample_count;
};

/* Connection @index by hand: a descriptor that is connected, or a negative
 * errno; who answers on it, or a negative errno. */
int crowd_open_one(const struct crowd_opts *opts, uint32_t index);
int crowd_hear_one(int fd);

/* From @opts on, all threads run. */
void crowd_start(struct crowd *crowd, const struct crowd_opts *opts);
/* Wait until so many have been tried, or the last one has. */
void crowd_wait_tried(struct crowd *crowd, uint64_t count);
uint64_t crowd_tried(struct crowd *crowd);
/* How many each loop has answered, all at one moment: whole batches. */
void crowd_answers(struct crowd *crowd, uint64_t out_counts[CROWD_LOOPS_MAX]);
/* Wait until every connection that was begun before this call has ended, or is
 * held. */
void crowd_settle(struct crowd *crowd);
/* No more connections after the batch at hand. */
void crowd_stop(struct crowd *crowd);
/* Wait for the threads; what is held for ever stays. */
void crowd_join(struct crowd *crowd);
/* crowd_join(), and close what is held. */
void crowd_end(struct crowd *crowd);
/* Start, join: for crowds that nobody interferes with. */
void crowd_run(struct crowd *crowd, const struct crowd_opts *opts);

/* Joined: each that was tried was served. */
void crowd_expect_all_served(const struct crowd *crowd);

/* Joined: all were served but those whose handshake was in the kernel's hands
 * in the very moment in which one of @shut_count listeners was shut down. The
 * last ACK looks for its listener, and some microseconds later queues the
 * connection there; where LISTEN ends in between, inet_child_forget() drops it
 * and no migration helps (seen by tracing 6.18 without weir: 9 such drops and 9
 * resets in 600 shutdowns). A CPU handles one ACK at a time, and the one that
 * shuts down handles none. */
void crowd_expect_served_but_for_races(const struct crowd *crowd,
				       uint32_t shut_count);
/* Joined: how many of those from @first on were answered by @loop. */
uint64_t crowd_served_by(const struct crowd *crowd, uint32_t loop,
			 uint32_t first);
/* CPUs that this thread may use; the first two of them. Returns how many there
 * are. */
uint32_t crowd_cpus(int out_cpus[2]);
/* Two threads, pinned to @cpus; one if that is all there are. */
void crowd_pin(struct crowd_opts *opts, int cpus[2]);

/* Most / mean; 0: all are 0. */
double crowd_imbalance(const uint64_t *counts, uint32_t count);

#endif
