#include "nops.h"

#include "support.h"

#include "uring/extra/op_sync.h"
#include "uring/ring_inline.h"

#include <check.h>

void wi_nops_take(struct weir_ring *ring, uint64_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct io_uring_sqe *sqe = weir_ring_take_sqe(ring);
		ck_assert_ptr_nonnull(sqe);
		weir_op_nop(sqe);
		sqe->user_data = first + i;
	}
}

void wi_nops_expect(struct weir_ring *ring, uint64_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct io_uring_cqe cqe = wi_ring_next(ring);
		ck_assert_uint_eq(cqe.user_data, first + i);
		ck_assert_int_eq(cqe.res, 0);
	}
	ck_assert_int_eq(weir_ring_enter(ring, NULL), 0);
	ck_assert_msg(weir_ring_ready(ring) == 0, "one came back twice");
}
