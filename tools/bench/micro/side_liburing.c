/* side_liburing.c - the rows over liburing, as its manual pages use it */
#include "side.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct micro_liburing {
	struct io_uring ring;
	uint64_t token;
	_Alignas(64) uint8_t bytes[MICRO_RECV_BYTES];
};
#define side micro_liburing

static inline struct io_uring_sqe *side_take(struct side *side)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&side->ring);
	if (__builtin_expect(sqe == NULL, 0))
		abort(); /* the rows never take more than there are */
	return sqe;
}

static inline void side_nop(struct side *side)
{
	struct io_uring_sqe *sqe = side_take(side);
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data64(sqe, 1);
}

static inline void side_send(struct side *side, int fd)
{
	uint64_t token = side->token++;
	struct io_uring_sqe *sqe = side_take(side);
	io_uring_prep_send(sqe, fd, side->bytes, sizeof(side->bytes), 0);
	io_uring_sqe_set_data64(sqe, token);
}

static inline void side_recv(struct side *side, int fd)
{
	struct io_uring_sqe *sqe = side_take(side);
	io_uring_prep_recv(sqe, fd, side->bytes, sizeof(side->bytes), 0);
	io_uring_sqe_set_data64(sqe, 1);
}

static inline void side_submit(struct side *side)
{
	if (io_uring_submit_and_get_events(&side->ring) < 0)
		abort();
}

static inline void side_wait(struct side *side)
{
	if (io_uring_submit_and_wait(&side->ring, 1) < 0)
		abort();
}

/* What io_uring_submit() does before the system call; no call for it alone. */
static inline void side_publish(struct side *side)
{
	struct io_uring_sq *sq = &side->ring.sq;
	if (sq->sqe_head != sq->sqe_tail) {
		sq->sqe_head = sq->sqe_tail;
		io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
	}
}

static inline void side_reap(struct side *side, uint64_t *seen)
{
	struct io_uring_cqe *cqe;
	unsigned head;
	unsigned count = 0;
	io_uring_for_each_cqe(&side->ring, head, cqe)
	{
		*seen += (cqe->res >= 0) + (uint64_t)(cqe->user_data >> 63);
		count++;
	}
	io_uring_cq_advance(&side->ring, count);
}

static inline void side_fake_submitted(struct side *side)
{
	__atomic_store_n(side->ring.sq.khead,
			 __atomic_load_n(side->ring.sq.ktail, __ATOMIC_RELAXED),
			 __ATOMIC_RELAXED);
}

static inline void side_fake_completed(struct side *side, uint32_t count)
{
	__atomic_store_n(
		side->ring.cq.ktail,
		__atomic_load_n(side->ring.cq.ktail, __ATOMIC_RELAXED) + count,
		__ATOMIC_RELAXED);
}

#include "rows.h"
#undef side

int micro_liburing_open(struct micro_liburing **out_side,
			struct micro_setup *setup)
{
	struct micro_liburing *side = aligned_alloc(64, sizeof(*side));
	if (side == NULL)
		return -ENOMEM;
	memset(side, 0, sizeof(*side));
	struct io_uring_params params = {
		.flags = setup->setup_flags,
		.cq_entries = MICRO_CQ_ENTRY_COUNT,
	};
	int err = io_uring_queue_init_params(MICRO_ENTRY_COUNT, &side->ring,
					     &params);
	if (err < 0) {
		free(side);
		return err;
	}
	if ((params.flags & IORING_SETUP_R_DISABLED) != 0)
		/* liburing 2.3 declares a call for it and exports none. */
		err = syscall(__NR_io_uring_register, side->ring.ring_fd,
			      IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0
			      ? -errno
			      : 0;
	if (err >= 0 && setup->has_registered_fd)
		err = io_uring_register_ring_fd(&side->ring);
	if (err < 0) {
		io_uring_queue_exit(&side->ring);
		free(side);
		return err;
	}
	*out_side = side;
	return 0;
}

void micro_liburing_close(struct micro_liburing *side)
{
	io_uring_queue_exit(&side->ring);
	free(side);
}

uint64_t micro_liburing_run(struct micro_liburing *side, enum micro_row row,
			    uint32_t count, int fd)
{
	return row_run(side, row, count, fd);
}
