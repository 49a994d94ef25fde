/* fuzz_ring.h - one ring with a few sockets and buffers, for random SQEs
 *
 *     socket pairs    0-1 and 2-3 streams, 4-5 datagrams; what is sent from
 *                     descriptor i is bytes of the value 'a' + i
 *     group           a few small buffers
 *     slots           a few direct descriptors
 *     ops             one record for each SQE, by its token
 *
 * fuzz_ring.c: the world, and the rules for every completion. fuzz_ring_op.c:
 * the operations of a program, and their allowed results.
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

/* One SQE. Its memory is static: if it hides its success, the test cannot know
 * when the kernel has finished with the memory. */
struct ring_op {
	const struct ring_kind *kind;
	int fd_index;          /* or -1 */
	uint32_t byte_count;   /* requested */
	uint32_t completions;  /* so far */
	bool is_over;          /* its last CQE has come */
	bool is_hidden;        /* a success has no CQE, or no result has one */
	bool is_linked;        /* to the next one */
	bool may_be_refused;   /* because its flags conflict */
	bool may_be_on_worker; /* by flag, or in a chain without its end */
	struct weir_kernel_timespec time;
	uint8_t own[RING_OWN_BYTES];
};

/* Bytes of a completion that were not given back yet, and their digest. */
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
	bool has_drained;          /* from then on any op may run on a worker */
	struct io_uring_sqe *last; /* not consumed yet; NULL: none */
	bool last_is_published;    /* it is the kernel's */
	uint32_t op_count;
	uint32_t over_count;
	uint32_t hidden_count; /* hidden ops that are not over */
	uint64_t taken;        /* SQEs */
	uint64_t reaped;       /* CQEs */
	int slots_filled;      /* exact only at the end: workers complete out of
				* order */
	uint32_t held_count;
	struct ring_held held[RING_HELD];
};

extern struct ring_op ring_ops[RING_OPS];
extern struct msghdr ring_message; /* of every multishot recvmsg */

/* How to fill an SQE of a kind, and how to check its negative results. */
struct ring_kind {
	const char *name;
	void (*fill)(struct ring_world *world, struct io_uring_sqe *sqe,
		     struct ring_op *op);
	/* Both may be NULL: then 0 is the only success. */
	bool (*result_is_right)(const struct ring_op *op, int32_t result);
	bool is_multishot;
	bool takes_buffers;
	const int *errnos; /* ends with 0; -ECANCELED is always allowed */
};

/* The kind of number @choice, of any size; NULL: not in this world. */
const struct ring_kind *ring_kind_of(const struct ring_world *world,
				     uint8_t choice);
bool ring_kind_is_recvmsg(const struct ring_kind *kind);
bool ring_kind_fills_slot(const struct ring_kind *kind);
bool ring_kind_empties_slot(const struct ring_kind *kind);

/* True if @op is linked to the op before. If that one hides its success and
 * fails, the rest of the chain ends without completions. */
bool ring_is_linked(const struct ring_world *world);

/* Adds link, drain, worker thread or hidden success, if the SQE allows it. */
void ring_op_modify(struct io_uring_sqe *sqe, struct ring_op *op,
		    uint8_t flags);

#endif
