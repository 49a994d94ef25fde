/* op_rig.h - shared by the tests of single operations
 *
 * A ring on the real kernel with a small table of descriptors and a few
 * buffers. Every call succeeds or fails the running test.
 */
#ifndef WEIR_TEST_OP_RIG_H
#define WEIR_TEST_OP_RIG_H

#include "count_of.h"
#include "support.h"

#include "uring/bufring.h"
#include "uring/filetab.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <errno.h>
#include <unistd.h>

enum {
	RIG_SLOTS = 4,
	RIG_GROUP = 3,
	RIG_NO_GROUP = 77, /* never registered */
	RIG_BUFS = 8,
	RIG_BUF_BYTES = 64,
};

/* user_data: DONE for a single operation, another value for each further
 * one. */
enum { DONE = 100, FIRST, SECOND, THIRD, CANCEL };

struct rig {
	struct weir_ring ring;
	struct weir_bufring bufring;
	struct wi_guarded memory;
};

/* With a CQ of @cq_entry_count, 0 for the default. */
void rig_open_cq(struct rig *rig, uint32_t cq_entry_count);
void rig_open(struct rig *rig);
void rig_close(struct rig *rig);

/* True if this kernel knows the opcode. */
bool rig_knows(struct rig *rig, uint8_t opcode);

struct io_uring_sqe *rig_take(struct rig *rig);

/* Submits without sleeping, and runs deferred work. */
void rig_submit(struct rig *rig);

/* Skips the running test if the kernel has no bundles. */
#define rig_need_bundles(rig)                                                  \
	wi_skip_unless((weir_ring_features(&(rig)->ring) &                     \
			IORING_FEAT_RECVSEND_BUNDLE) != 0,                     \
		       "no bundles before Linux 6.10")

/* Sets the user_data of @sqe and submits it. It is then in flight or
 * completed. */
void rig_start(struct rig *rig, struct io_uring_sqe *sqe, uint64_t token);

/* Submits @sqe and returns its CQE. No other operation may be in flight. */
struct io_uring_cqe rig_cqe(struct rig *rig, struct io_uring_sqe *sqe);
/* The same, but returns only the result. */
int32_t rig_do(struct rig *rig, struct io_uring_sqe *sqe);

/* The next completion, which must be of @token and have F_MORE or not. */
struct io_uring_cqe rig_next(struct rig *rig, uint64_t token, bool has_more);

/* Checks twice that no completion is ready. */
void rig_is_quiet(struct rig *rig);

/* The one of @cqes with @token. */
struct io_uring_cqe rig_pick(const struct io_uring_cqe *cqes, uint32_t count,
			     uint64_t token);

/* Cancels all of @token and reaps both CQEs. Returns the target's result. */
int32_t rig_cancel(struct rig *rig, uint64_t token);

/* Takes every buffer out of the group, by receives from a socket pair. */
void rig_drain_group(struct rig *rig);

/* Checks that the completion's buffer contains @text, and returns the
 * buffer. */
void rig_holds(struct rig *rig, const struct io_uring_cqe *cqe,
	       const char *text);

/* A connected TCP socket in a slot; its peer is an ordinary descriptor. */
int32_t rig_connected_slot(struct rig *rig, int *out_peer);

/* Two UDP sockets on loopback, connected to each other. */
void rig_udp_pair(int out_fds[2]);
/* Two AF_UNIX stream sockets. */
void rig_unix_pair(int out_fds[2]);
void rig_close_pair(const int fds[2]);

/* Loopback; the kernel chooses the port. */
struct sockaddr_in rig_loopback(void);

/* An empty, unlinked file. */
int rig_file(void);

/* A read that waits on an eventfd, as a target to cancel. */
int rig_pending_read(struct rig *rig, uint64_t token);

/* Sets small socket buffers, so that a long send is in progress but cannot
 * end. */
void rig_small_buffers(int sender, int receiver);

#endif
