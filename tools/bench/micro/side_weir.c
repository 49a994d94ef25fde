/* side_weir.c - the rows over uring/ */
#include "side.h"

#include <weir/uring/op.h>
#include <weir/uring/ring_inline.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct micro_weir {
	struct weir_ring ring;
	uint64_t token;
	_Alignas(64) uint8_t bytes[MICRO_RECV_BYTES];
};
#define side micro_weir

static inline struct io_uring_sqe *side_take(struct side *side)
{
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&side->ring);
	if (__builtin_expect(sqe == NULL, 0))
		abort(); /* the rows never take more than there are */
	return sqe;
}

static inline void side_nop(struct side *side)
{
	struct io_uring_sqe *sqe = side_take(side);
	weir_op_nop(sqe);
	sqe->user_data = 1;
}

static inline void side_send(struct side *side, int fd)
{
	uint64_t token = side->token++;
	struct io_uring_sqe *sqe = side_take(side);
	weir_op_send(sqe, fd, side->bytes, sizeof(side->bytes), 0);
	sqe->user_data = token;
}

static inline void side_recv(struct side *side, int fd)
{
	struct io_uring_sqe *sqe = side_take(side);
	weir_op_recv(sqe, fd, side->bytes, sizeof(side->bytes), 0);
	sqe->user_data = 1;
}

static inline void side_submit(struct side *side)
{
	if (weir_ring_enter(&side->ring, NULL) < 0)
		abort();
}

static inline void side_wait(struct side *side)
{
	static const struct weir_wait one = {
		.want_count = 1,
		.timeout_ns = WEIR_TIMEOUT_NEVER,
	};
	if (weir_ring_enter(&side->ring, &one) < 0)
		abort();
}

static inline void side_publish(struct side *side)
{
	weir_ring_publish(&side->ring);
}

static inline void side_reap(struct side *side, uint64_t *seen)
{
	uint32_t count = weir_ring_ready(&side->ring);
	for (uint32_t i = 0; i < count; i++) {
		const struct io_uring_cqe *cqe = weir_ring_cqe(&side->ring, i);
		*seen += (cqe->res >= 0) + (uint64_t)(cqe->user_data >> 63);
	}
	weir_ring_reaped(&side->ring, count);
}

static inline void side_fake_submitted(struct side *side)
{
	__atomic_store_n(
		side->ring.kernel_sq_head,
		__atomic_load_n(side->ring.kernel_sq_tail, __ATOMIC_RELAXED),
		__ATOMIC_RELAXED);
}

static inline void side_fake_completed(struct side *side, uint32_t count)
{
	__atomic_store_n(
		side->ring.kernel_cq_tail,
		__atomic_load_n(side->ring.kernel_cq_tail, __ATOMIC_RELAXED) +
			count,
		__ATOMIC_RELAXED);
}

#include "rows.h"
#undef side

int micro_weir_open(struct micro_weir **out_side, struct micro_setup *setup)
{
	struct micro_weir *side = aligned_alloc(64, sizeof(*side));
	if (side == NULL)
		return -ENOMEM;
	memset(side, 0, sizeof(*side));
	/* NO_SQARRAY is newer than Debian's liburing, which would write over
	 * the ring's indices; and it does not know NO_IOWAIT. */
	const weir_rung_set off =
		weir_rung_bit(WEIR_RUNG_NO_SQARRAY) |
		weir_rung_bit(WEIR_RUNG_NO_IOWAIT) |
		(setup->has_registered_fd
			 ? 0
			 : weir_rung_bit(WEIR_RUNG_REGISTERED_RING));
	int err = weir_ring_open(&side->ring,
				 &(struct weir_ring_opts){
					 .sq_entry_count = MICRO_ENTRY_COUNT,
					 .cq_entry_count = MICRO_CQ_ENTRY_COUNT,
					 .forced_off = off,
				 },
				 NULL);
	if (err == 0)
		err = weir_ring_enable(&side->ring);
	if (err < 0) {
		weir_ring_close(&side->ring);
		free(side);
		return err;
	}
	setup->setup_flags = weir_ring_setup_flags(&side->ring);
	*out_side = side;
	return 0;
}

void micro_weir_close(struct micro_weir *side)
{
	weir_ring_close(&side->ring);
	free(side);
}

uint64_t micro_weir_run(struct micro_weir *side, enum micro_row row,
			uint32_t count, int fd)
{
	return row_run(side, row, count, fd);
}
