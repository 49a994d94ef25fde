#include "sim_bench.h"

#include "../rig/support.h"

#include <stdlib.h>

void sim_bench_open_with(struct sim_bench *bench, int which,
			 const struct weir_sim_opts *opts)
{
	const struct weir_ring_opts ring_opts = { .sq_entry_count = 64 };
	*bench = (struct sim_bench){ .kernel = weir_kernel_linux() };
	if (which == SIM_BENCH_SIMULATED) {
		bench->tape = calloc(1, sizeof(*bench->tape));
		ck_assert_ptr_nonnull(bench->tape);
		weir_tape_load(bench->tape, NULL, 0);
		ck_assert_int_eq(weir_sim_open(&bench->sim, bench->tape, opts),
				 0);
		bench->kernel = weir_sim_kernel(bench->sim);
	}
	struct weir_ring_opts with_kernel = ring_opts;
	with_kernel.kernel = bench->kernel;
	wi_ring_start(&bench->ring, &with_kernel);
}

void sim_bench_open(struct sim_bench *bench, int which)
{
	sim_bench_open_with(bench, which,
			    &(struct weir_sim_opts){ .is_loopback = true });
}

void sim_bench_close(struct sim_bench *bench)
{
	weir_ring_close(&bench->ring);
	if (bench->sim != NULL) {
		const char *rule = weir_sim_violation(bench->sim);
		ck_assert_msg(rule == NULL, "%s", rule);
		weir_sim_close(bench->sim);
	}
	free(bench->tape);
}

void sim_bench_group(struct sim_bench *bench, struct weir_bufring_opts opts)
{
	struct weir_error error;
	int err = weir_bufring_open(&bench->bufs, &bench->ring, SIM_BENCH_GROUP,
				    bench->memory, SIM_BENCH_BUFS,
				    SIM_BENCH_BUF_BYTES, &opts, &error);
	ck_assert_msg(err == 0, "%s", error.text);
}

void sim_bench_pair(struct sim_bench *bench, int fds[2])
{
	if (bench->sim == NULL)
		wi_tcp_pair(fds);
	else
		ck_assert_int_eq(weir_sim_pair(bench->sim, fds), 0);
}

void sim_bench_close_fd(struct sim_bench *bench, int fd)
{
	ck_assert_int_eq(bench->kernel->close(bench->kernel->ctx, fd), 0);
}

struct io_uring_sqe *sim_bench_take(struct sim_bench *bench)
{
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&bench->ring);
	ck_assert_ptr_nonnull(sqe);
	return sqe;
}

int32_t sim_bench_do(struct sim_bench *bench, struct io_uring_sqe *sqe)
{
	sqe->user_data = SIM_BENCH_TOKEN;
	struct io_uring_cqe cqe = wi_ring_next(&bench->ring);
	ck_assert_uint_eq(cqe.user_data, SIM_BENCH_TOKEN);
	return cqe.res;
}

void sim_bench_send(struct sim_bench *bench, int fd, const void *bytes,
		    uint32_t byte_count)
{
	struct io_uring_sqe *sqe = sim_bench_take(bench);
	weir_op_send(sqe, fd, bytes, byte_count, MSG_WAITALL);
	ck_assert_int_eq(sim_bench_do(bench, sqe), (int32_t)byte_count);
}

void sim_bench_submit(struct sim_bench *bench)
{
	ck_assert_int_eq(weir_ring_enter(&bench->ring, NULL), 0);
}

void sim_bench_submit_only(struct sim_bench *bench, int count)
{
	weir_ring_publish(&bench->ring);
	ck_assert_int_eq(bench->kernel->enter(bench->kernel->ctx,
					      weir_ring_fd(&bench->ring),
					      (uint32_t)count, 0, 0, NULL, 0),
			 count);
}
