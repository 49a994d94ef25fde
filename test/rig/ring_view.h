/* ring_view.h - a ring as its kernel sees it, for a wrapper that changes it
 *
 *     setup, map ----> where its queues lie
 *     before enter --> the entries that it submits
 *     after enter ---> the completions that are new
 *
 * One ring at a time.
 */
#ifndef WEIR_TEST_RING_VIEW_H
#define WEIR_TEST_RING_VIEW_H

#include "kernel_wrap.h"

struct ring_view {
	struct io_uring_params params;
	char *rings; /* NULL: not mapped yet */
	struct io_uring_sqe *sqes;
	uint32_t sqe_index; /* the next that is submitted */
	uint32_t cqe_index; /* the next that is posted */
};

/* From after(), of every call: it looks at setup and map. */
void ring_view_follow(struct ring_view *view, const struct kernel_call *call);

/* The entries that @call submits, each of which @change may change. Before the
 * kernel has seen them. */
void ring_view_submitted(struct ring_view *view, const struct kernel_call *call,
			 void (*change)(void *ctx, struct io_uring_sqe *sqe),
			 void *ctx);

/* The completions since the last time. */
void ring_view_completed(struct ring_view *view,
			 void (*change)(void *ctx, struct io_uring_cqe *cqe),
			 void *ctx);

#endif
