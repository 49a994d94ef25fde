/* sim_bench.h - a ring on the real kernel, or on the simulated one
 *
 *     sim_bench_open() --> sqe, do --> result, the same on both --> close
 *
 * A failing call fails the running test with a message.
 */
#ifndef WEIR_TEST_SIM_BENCH_H
#define WEIR_TEST_SIM_BENCH_H

#include "sim.h"

#include "uring/bufring.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

enum { SIM_BENCH_REAL = 0, SIM_BENCH_SIMULATED, SIM_BENCH_COUNT };
enum {
	SIM_BENCH_GROUP = 9,
	SIM_BENCH_BUF_BYTES = 32,
	SIM_BENCH_BUFS = 8,
	SIM_BENCH_TOKEN = 7, /* of each sim_bench_do() */
};

struct sim_bench {
	struct weir_sim *sim; /* NULL: the real kernel */
	struct weir_tape *tape;
	const struct weir_kernel *kernel;
	struct weir_ring ring;
	struct weir_bufring bufs;
	uint8_t memory[SIM_BENCH_BUFS * SIM_BENCH_BUF_BYTES];
};

/* @which: SIM_BENCH_REAL or SIM_BENCH_SIMULATED, which is given over loopback.
 */
void sim_bench_open(struct sim_bench *bench, int which);
void sim_bench_open_with(struct sim_bench *bench, int which,
			 const struct weir_sim_opts *opts);

/* Fails if the simulated kernel has seen a broken rule. */
void sim_bench_close(struct sim_bench *bench);

/* A group of buffers, in bench->bufs. */
void sim_bench_group(struct sim_bench *bench, struct weir_bufring_opts opts);
/* Two connected sockets. */
void sim_bench_pair(struct sim_bench *bench, int out_fds[2]);
void sim_bench_close_fd(struct sim_bench *bench, int fd);

struct io_uring_sqe *sim_bench_take(struct sim_bench *bench);
/* Submits it, waits for its completion, which must be the only one, and returns
 * its result. */
int32_t sim_bench_do(struct sim_bench *bench, struct io_uring_sqe *sqe);
void sim_bench_send(struct sim_bench *bench, int fd, const void *bytes,
		    uint32_t byte_count);
void sim_bench_submit(struct sim_bench *bench);
/* Without GETEVENTS: ready completions are not posted. */
void sim_bench_submit_only(struct sim_bench *bench, int count);

#endif
