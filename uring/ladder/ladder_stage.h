/* ladder_stage.h - a throw-away ring, and what a rung is tried on
 *
 *     wi_stage_open() -> sqe -> do, or submit and wait -> wi_stage_close()
 *
 * All goes through the seam, sockets included, so that a kernel that is not
 * the real one is checked by what it does. Results are those of the CQE, or a
 * negative errno of what failed on the way.
 */
#ifndef WEIR_URING_LADDER_STAGE_H
#define WEIR_URING_LADDER_STAGE_H

#include "../ring_priv.h"

/* Where a listener is bound; port 0 resolved. */
struct wi_stage_address {
	struct sockaddr_storage address;
	socklen_t address_bytes;
};

/**
 * struct wi_stage - zero but for kernel and forced_off, until it is opened
 * @near, @far: the two ends of a connection over loopback
 * @listener, @second: the latter shares the former's port
 * @page:       a page of memory: buffers, or what a register call lends
 * @tag:        user_data of the entry taken last
 * @reason:     why there is no ring, in words; code 0: there is one
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

/* The ring that weir would use, enabled; or one with just these flags. */
int wi_stage_open(struct wi_stage *stage);
int wi_stage_open_exact(struct wi_stage *stage, uint32_t setup_flags);

/* Takes one that is open in part, or not at all. */
void wi_stage_close(struct wi_stage *stage);

/* More to try a rung on: memory, a table of direct descriptors, a listener,
 * two that share a port, a connection, a group of buffers. */
int wi_stage_page(struct wi_stage *stage);
int wi_stage_table(struct wi_stage *stage);
int wi_stage_listen(struct wi_stage *stage, struct wi_stage_address *where);
int wi_stage_listen_twice(struct wi_stage *stage,
			  struct wi_stage_address *where);
int wi_stage_pair(struct wi_stage *stage);
int wi_stage_bufs(struct wi_stage *stage, uint32_t buf_count,
		  uint32_t buf_bytes, uint16_t flags);

/* A descriptor for a TCP socket, made by the ring. */
int wi_stage_socket(struct wi_stage *stage);
int wi_stage_connect(struct wi_stage *stage,
		     const struct wi_stage_address *where);

/* An entry with a tag of its own; there is always room. */
struct io_uring_sqe *wi_stage_sqe(struct wi_stage *stage, uint8_t opcode,
				  int fd);

/* Submits, and waits for the completion with @tag for a second at most; others
 * are thrown away, but one that failed ends the wait. Returns 0, -ETIME, or the
 * negative errno of the enter or of that one. */
int wi_stage_wait(struct wi_stage *stage, uint64_t tag,
		  struct io_uring_cqe *out_cqe);
int wi_stage_wait_either(struct wi_stage *stage, uint64_t tag, uint64_t other,
			 struct io_uring_cqe *out_cqe);

/* The result of the entry taken last. */
int wi_stage_do(struct wi_stage *stage);

/* All of @text goes from near to far. */
int wi_stage_send(struct wi_stage *stage, const char *text);

#endif
