/* fuzz_ring.h - a small world around one ring, for programs of SQEs
 *
 *     socket pairs    0-1 and 2-3 streams, 4-5 datagrams; what is sent from
 *                     descriptor i is bytes of the value 'a' + i
 *     group           a few small buffers
 *     slots           a few direct descriptors
 *     ops             one record for each SQE, by its token
 *
 * fuzz_ring.c: the world, and what every completion must keep to.
 * fuzz_ring_op.c: what a program can do, and how each may end.
 */
#ifndef WEIR_TEST_FUZZ_RING_H
#define WEIR_TEST_FUZZ_RING_H

#include "fuzz_input.h"

#include "uring/bufring.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

enum {
	RING_FDS = 6,
	RING_FIRST_DATAGRAM = 4,
	RING_SLOTS = 3,
	RING_GROUP = 5,
	RING_BUFS = 4,
	RING_BUF_BYTES = 96,
	RING_OPS = 96,
	RING_OWN_BYTES = 64, /* of an op's own receive */
	RING_NAME_ROOM = 16,
	RING_HELD = 8,
};

struct ring_kind;

/* One SQE. Its memory is static: the test cannot know of one that hides its
 * success when the kernel has done with it. */
struct ring_op {
	const struct ring_kind *kind;
	int fd_index;          /* or -1 */
	uint32_t byte_count;   /* asked for */
	uint32_t completions;  /* so far */
	bool is_over;          /* its last one has come */
	bool is_hidden;        /* a success would not show, or nothing */
	bool is_linked;        /* to the one that follows */
	bool may_be_refused;   /* by flags that do not go together */
	bool may_be_on_worker; /* asked for, or in a chain without its end */
	struct weir_kernel_timespec time;
	uint8_t own[RING_OWN_BYTES];
};

/* Bytes of a completion that have not been given back, and their digest. */
struct ring_held {
	struct weir_bufring_spans spans;
	uint64_t digest;
};

struct ring_world {
	struct fuzz_input *input;
	struct weir_ring ring;
	struct weir_bufring bufring;
	int fds[RING_FDS];
	bool has_bundles;
	bool is_incremental;
	bool has_drained;          /* from there on all may run on a worker */
	struct io_uring_sqe *last; /* not consumed yet; NULL: none */
	bool last_is_published;    /* it is the kernel's */
	uint32_t op_count;
	uint32_t over_count;
	uint32_t hidden_count; /* of those that are not over */
	uint64_t taken;        /* SQEs */
	uint64_t reaped;       /* CQEs */
	int slots_filled; /* right at the end: workers complete out of order */
	uint32_t held_count;
	struct ring_held held[RING_HELD];
};

extern struct ring_op ring_ops[RING_OPS];
extern struct msghdr ring_message; /* of every multishot recvmsg */

/* How a result below zero is checked, and what an SQE is made of. */
struct ring_kind {
	const char *name;
	void (*fill)(struct ring_world *world, struct io_uring_sqe *sqe,
		     struct ring_op *op);
	/* Both may be NULL: 0 is the only success. */
	bool (*result_is_right)(const struct ring_op *op, int32_t result);
	bool is_multishot;
	bool takes_buffers;
	const int *errnos; /* ends with 0; -ECANCELED is allowed to all */
};

/* The kind of number @choice, of any size; NULL: not in this world. */
const struct ring_kind *ring_kind_of(const struct ring_world *world,
				     uint8_t choice);
bool ring_kind_is_recvmsg(const struct ring_kind *kind);
bool ring_kind_fills_slot(const struct ring_kind *kind);
bool ring_kind_empties_slot(const struct ring_kind *kind);

/* To the one before: where that one hides its success and fails, the rest of
 * the chain ends without completions. */
bool ring_is_linked(const struct ring_world *world);

/* Link, drain, worker thread, hidden success: where the SQE admits it. */
void ring_op_modify(struct io_uring_sqe *sqe, struct ring_op *op,
		    uint8_t flags);

#endif
