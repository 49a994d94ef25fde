/* ladder_stage.h - a temporary ring with sockets and memory, to try one rung on
 *
 *     wi_stage_open() -> sqe -> do, or submit and wait -> wi_stage_close()
 *
 * All calls, sockets included, go through struct weir_kernel, so a simulated
 * kernel is probed as well. A result is the CQE's res, or the negative errno of
 * the step that failed before it.
 */
#ifndef WEIR_URING_LADDER_STAGE_H
#define WEIR_URING_LADDER_STAGE_H

#include "../ring_priv.h"

/* The address of a listener, with the port that the kernel chose. */
struct wi_stage_address {
	struct sockaddr_storage address;
	socklen_t address_bytes;
};

/**
 * struct wi_stage - before open, all zero except kernel and forced_off
 * @near, @far: the two ends of a connection over loopback
 * @listener, @second: both listen on one port
 * @page:       a page of memory, for buffers or for a register call
 * @tag:        user_data of the entry taken last
 * @reason:     why the ring did not open; code 0: it is open
 */
struct wi_stage {
	const struct weir_kernel *kernel;
	weir_rung_set forced_off;
	struct weir_ring ring;
	int listener;
	int second;
	int near;
	int far;
	uint8_t *page;
	uint64_t tag;
	struct weir_error reason;
};

enum {
	WI_STAGE_PAGE_BYTES = 4096,
	WI_STAGE_BUFS_AT = 1024, /* in the page; the ring of buffers at 0 */
	WI_STAGE_GROUP = 1,
};

void wi_stage_init(struct wi_stage *stage, const struct weir_kernel *kernel,
		   weir_rung_set forced_off);

/* Opens and enables the ring that weir would use, or one with exactly these
 * flags. */
int wi_stage_open(struct wi_stage *stage);
int wi_stage_open_exact(struct wi_stage *stage, uint32_t setup_flags);

/* Accepts a stage that is half open or not open. */
void wi_stage_close(struct wi_stage *stage);

/* Open more on the stage: memory, a table of direct descriptors, a listener,
 * two listeners on one port, a connection, a group of buffers. */
int wi_stage_page(struct wi_stage *stage);
int wi_stage_table(struct wi_stage *stage);
int wi_stage_listen(struct wi_stage *stage, struct wi_stage_address *where);
int wi_stage_listen_twice(struct wi_stage *stage,
			  struct wi_stage_address *where);
int wi_stage_pair(struct wi_stage *stage);
int wi_stage_bufs(struct wi_stage *stage, uint32_t buf_count,
		  uint32_t buf_bytes, uint16_t flags);

/* A descriptor of a TCP socket that the ring has opened. */
int wi_stage_socket(struct wi_stage *stage);
int wi_stage_connect(struct wi_stage *stage,
		     const struct wi_stage_address *where);

/* An entry with a new tag; the queue always has room. */
struct io_uring_sqe *wi_stage_sqe(struct wi_stage *stage, uint8_t opcode,
				  int fd);

/* Submits, and waits at most one second for the completion with @tag. Others
 * are dropped, but a failed one ends the wait. Returns 0, -ETIME, or the
 * negative errno of the enter or of the failed completion. */
int wi_stage_wait(struct wi_stage *stage, uint64_t tag,
		  struct io_uring_cqe *out_cqe);
int wi_stage_wait_either(struct wi_stage *stage, uint64_t tag, uint64_t other,
			 struct io_uring_cqe *out_cqe);

/* Submits the entry taken last, and returns its result. */
int wi_stage_do(struct wi_stage *stage);

/* Sends all of @text from near to far. */
int wi_stage_send(struct wi_stage *stage, const char *text);

#endif
