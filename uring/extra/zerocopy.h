/* zerocopy.h - zero-copy sends, and when their memory is free again
 *
 *     FREE --start--> SENDING --result, more to come--> HELD --notice--> FREE
 *                        +-------- result, no more --------------------> FREE
 *
 * A zero-copy send completes once or twice: with its result, and later, when
 * the network stack has released the memory, with a notice. A failed send may
 * have a notice too; only the flags show it (IORING_CQE_F_MORE,
 * IORING_CQE_F_NOTIF).
 *
 * It pays from about 16 KiB per send on a real network card. Loopback always
 * copies, and reports that.
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
	WEIR_ZEROCOPY_HELD,       /* lent; result known, notice pending  */
	WEIR_ZEROCOPY_STATE_COUNT /* stays last */
};

/**
 * struct weir_zerocopy_send - one send; zero is free
 * @byte_count: bytes lent, while the send is not free
 * @result:     bytes sent or a negative errno, once it is not SENDING
 * @was_copied: the kernel copied; valid once the send is free, and only if
 *              usage is reported
 *
 * The caller owns it, and keeps it at one address until it is free. The caller
 * may only read the fields.
 */
struct weir_zerocopy_send {
	uint64_t byte_count;
	int32_t result;
	enum weir_zerocopy_state state;
	bool was_copied;
};

/* The memory of @send is free again. Called from weir_zerocopy_complete(). */
typedef void (*weir_zerocopy_release_fn)(void *ctx,
					 struct weir_zerocopy_send *send);

/**
 * struct weir_zerocopy_opts - zero is the sensible default
 * @limit_bytes:     most memory lent at a time, 0 for 16 MiB. Memory that is
 *                   not registered is charged to the limit of locked memory
 * @no_usage_report: do not request the report of copies (needs Linux 6.2)
 * @release:         may be NULL: then read the state
 */
struct weir_zerocopy_opts {
	uint64_t limit_bytes;
	bool no_usage_report;
	weir_zerocopy_release_fn release;
	void *ctx;
};

/**
 * struct weir_zerocopy_stats - monotone counters
 * @sends, @sent_bytes: sends started, and the sum of their results
 * @failures: results below 0
 * @releases: sends whose memory came back
 * @copies:   of these, sends that the kernel copied: if most are, plain sends
 *            are cheaper on this route
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
 * @message:         a gathered send, instead of @bytes; NULL for @bytes. It and
 *                   its iovec are copied at submission; the memory that the
 *                   iovec points to is the kernel's until the send is free
 * @msg_flags:       MSG_WAITALL makes the kernel go on after a short write
 * @is_registered:   the memory is in slot @buf_index of the table of registered
 *                   buffers: no pinning, no charge. With
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
 *         would be exceeded: retry when a send is released, or make a plain
 *         send; -EMSGSIZE if it alone is above the limit; -EAGAIN if the
 *         submission queue is full: enter first. Thread: the ring's own.
 * Source: io_uring_enter(2), IORING_OP_SEND_ZC, Linux 6.0; SENDMSG_ZC 6.1.
 */
int weir_zerocopy_start(struct weir_zerocopy *zerocopy, struct weir_ring *ring,
			struct weir_zerocopy_send *send,
			const struct weir_zerocopy_request *request);

/* What a completion reported. */
enum {
	WEIR_ZEROCOPY_HAS_RESULT = 1, /* send->result is known now    */
	WEIR_ZEROCOPY_IS_RELEASED = 2 /* its memory is the caller's   */
};

/**
 * weir_zerocopy_complete() - account for one completion of @send
 * @cqe: with the user_data of its request
 *
 * At the last completion @send is free and may be started again; this call then
 * runs the release function.
 *
 * Return: those bits above that became true. Thread: the ring's own.
 */
unsigned weir_zerocopy_complete(struct weir_zerocopy *zerocopy,
				struct weir_zerocopy_send *send,
				const struct io_uring_cqe *cqe);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
