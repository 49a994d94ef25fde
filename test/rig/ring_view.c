#include "ring_view.h"

#include "uring/barrier.h"
#include "uring/soft/soft_copy.h"

void ring_view_follow(struct ring_view *view, const struct kernel_call *call)
{
	if (call->id == CALL_SETUP) {
		*view = (struct ring_view){ .params = *call->setup.params };
		return;
	}
	if (call->id != CALL_MAP || call->result < 0 || call->map.fd < 0)
		return;
	if (call->map.offset == IORING_OFF_SQES)
		view->sqes = *call->map.out_memory;
	else if (call->map.offset == IORING_OFF_SQ_RING)
		view->rings = *call->map.out_memory;
}

void ring_view_submitted(struct ring_view *view, const struct kernel_call *call,
			 void (*change)(void *ctx, struct io_uring_sqe *sqe),
			 void *ctx)
{
	const uint32_t mask = view->params.sq_entries - 1;
	for (uint32_t i = 0; i < call->enter.submit_count; i++) {
		struct io_uring_sqe *entry =
			&view->sqes[view->sqe_index++ & mask];
		struct io_uring_sqe sqe; /* copied as a kernel does: see
					  * soft_copy.h */
		wi_soft_copy(&sqe, entry, sizeof(sqe));
		change(ctx, &sqe);
		wi_soft_copy(entry, &sqe, sizeof(sqe));
	}
}

void ring_view_completed(struct ring_view *view,
			 void (*change)(void *ctx, struct io_uring_cqe *cqe),
			 void *ctx)
{
	const struct io_cqring_offsets *at = &view->params.cq_off;
	struct io_uring_cqe *cqes =
		(struct io_uring_cqe *)(void *)(view->rings + at->cqes);
	const uint32_t tail = wi_load_acquire_u32(
		(uint32_t *)(void *)(view->rings + at->tail));
	const uint32_t mask = view->params.cq_entries - 1;
	while (view->cqe_index != tail) {
		struct io_uring_cqe *entry = &cqes[view->cqe_index++ & mask];
		struct io_uring_cqe cqe;
		wi_soft_copy(&cqe, entry, sizeof(cqe));
		change(ctx, &cqe);
		wi_soft_copy(entry, &cqe, sizeof(cqe));
	}
}
