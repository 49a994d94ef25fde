/* ring_view.h - a ring seen from the kernel's side, for a wrapper
 *
 *     setup, map ----> where its queues are
 *     before enter --> the entries that it submits
 *     after enter ---> the new completions
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

/* Call it from after() for every call: it reads setup and map. */
void ring_view_follow(struct ring_view *view, const struct kernel_call *call);

/* Passes each entry that @call submits to @change, before the kernel reads
 * them. */
void ring_view_submitted(struct ring_view *view, const struct kernel_call *call,
			 void (*change)(void *ctx, struct io_uring_sqe *sqe),
			 void *ctx);

/* Passes on the completions since the last call. */
void ring_view_completed(struct ring_view *view,
			 void (*change)(void *ctx, struct io_uring_cqe *cqe),
			 void *ctx);

#endif
