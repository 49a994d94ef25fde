/* zerocopy.h - sends from the caller's own memory, and when it is free again
 *
 *     FREE --start--> SENDING --result, more to come--> HELD --notice--> FREE
 *                        +-------- result, no more --------------------> FREE
 *
 * A zero-copy send completes up to twice: with its result, and later, when the
 * network has let go of the memory, with a notice. A failed send may have a
 * notice too; only the flags tell (IORING_CQE_F_MORE, IORING_CQE_F_NOTIF).
 *
 * Worth it from some 16 KiB per send, on a real network card: loopback always
 * copies, and says so.
 */
#ifndef WEIR_URING_EXTRA_ZEROCOPY_H
#define WEIR_URING_EXTRA_ZEROCOPY_H

#include "../ring.h"

#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct io_uring_cqe;

enum weir_zerocopy_state {
	WEIR_ZEROCOPY_FREE = 0,   /* memory is the caller's              */
	WEIR_ZEROCOPY_SENDING,    /* lent; no completion yet             */
	WEIR_ZEROCOPY_HELD,       /* lent; result known, notice to come  */
	WEIR_ZEROCOPY_STATE_COUNT /* stays last */
};

/**
 * struct weir_zerocopy_send - one send; zero is free
 * @byte_count: lent in all, while it is not free
 * @result:     bytes sent or a negative errno, once it is not SENDING
 * @was_copied: the kernel copied after all; once it is free, and only where
 *              usage is reported
 *
 * The caller's, at an address that does not change until it is free. Read
 * only for him.
 */
struct weir_zerocopy_send {
	uint64_t byte_count;
	int32_t result;
	enum weir_zerocopy_state state;
	bool was_copied;
};

/* Memory of @send is free again. Called within weir_zerocopy_complete(). */
typedef void (*weir_zerocopy_release_fn)(void *ctx,
					 struct weir_zerocopy_send *send);

/**
 * struct weir_zerocopy_opts - zero is the sensible default
 * @limit_bytes:     memory lent at a time, 0 for 16 MiB. What is not
 *                   registered is charged to the limit of locked memory
 * @no_usage_report: do not ask whether it was copied (needs Linux 6.2)
 * @release:         may be NULL: then look at the state
 */
struct weir_zerocopy_opts {
	uint64_t limit_bytes;
	bool no_usage_report;
	weir_zerocopy_release_fn release;
	void *ctx;
};

/**
 * struct weir_zerocopy_stats - monotone counters
 * @sends, @sent_bytes: started, and what their results add up to
 * @failures: results below 0
 * @releases: sends whose memory came back
 * @copies:   of these, sends that the kernel copied after all: if most are,
 *            plain sends are cheaper on this route
 * @refusals: starts refused by the limit
 */
struct weir_zerocopy_stats {
	uint64_t sends;
	uint64_t sent_bytes;
	uint64_t failures;
	uint64_t releases;
	uint64_t copies;
	uint64_t refusals;
};

/* All zero-copy sends of one ring. */
struct weir_zerocopy {
	struct weir_zerocopy_opts opts;
	uint64_t lent_bytes;
	struct weir_zerocopy_stats stats;
};

/**
 * struct weir_zerocopy_request - what to send, and where
 * @fd, @is_slot:    socket, or slot of the table of direct descriptors
 * @bytes, @byte_count: the kernel's until the send is free
 * @message:         or this, gathered; it and its iovec are copied at
 *                   submission, what the iovec points at is the kernel's
 *                   until the send is free. NULL: @bytes
 * @msg_flags:       MSG_WAITALL makes the kernel go on after a short write
 * @is_registered:   the memory lies in slot @buf_index of the table of
 *                   registered buffers: nothing is pinned or charged. With
 *                   @message: Linux 6.15
 * @user_data:       of both completions
 */
struct weir_zerocopy_request {
	int32_t fd;
	bool is_slot;
	bool is_registered;
	uint16_t buf_index;
	uint32_t msg_flags;
	uint32_t byte_count;
	const void *bytes;
	const struct msghdr *message;
	uint64_t user_data;
};

/** weir_zerocopy_init() - @opts: NULL for all defaults. */
void weir_zerocopy_init(struct weir_zerocopy *zerocopy,
			const struct weir_zerocopy_opts *opts);

/**
 * weir_zerocopy_start() - take an SQE of @ring and fill it
 * @send: free
 *
 * Return: 0: the memory is lent until @send is free; -ENOBUFS if the limit
 *         would be passed: go on when one is released, or send plainly;
 *         -EMSGSIZE if it alone is above the limit; -EAGAIN if the submission
 *         queue is full: enter first. Thread: the ring's own.
 * Source: io_uring_enter(2), IORING_OP_SEND_ZC, Linux 6.0; SENDMSG_ZC 6.1.
 */
int weir_zerocopy_start(struct weir_zerocopy *zerocopy, struct weir_ring *ring,
			struct weir_zerocopy_send *send,
			const struct weir_zerocopy_request *request);

/* What a completion said. */
enum {
	WEIR_ZEROCOPY_HAS_RESULT = 1, /* send->result is known now    */
	WEIR_ZEROCOPY_IS_RELEASED = 2 /* its memory is the caller's   */
};

/**
 * weir_zerocopy_complete() - account for one completion of @send
 * @cqe: with the user_data of its request
 *
 * Calls the release function at the last one, when @send is free and may be
 * started again.
 *
 * Return: the bits above that became true. Thread: the ring's own.
 */
unsigned weir_zerocopy_complete(struct weir_zerocopy *zerocopy,
				struct weir_zerocopy_send *send,
				const struct io_uring_cqe *cqe);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
