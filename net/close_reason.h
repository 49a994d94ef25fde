/* close_reason.h - why a connection ended, in numbers and in words */
#ifndef WEIR_NET_CLOSE_REASON_H
#define WEIR_NET_CLOSE_REASON_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Why a connection ended: cause, stable name, text. */
#define WEIR_CLOSE_CAUSES(X)                                                   \
	X(NONE, "none", "still open")                                          \
	X(PEER, "peer", "the peer closed")                                     \
	X(RESET, "reset", "the peer reset the connection")                     \
	X(LOCAL, "local", "closed by the handler")                             \
	X(ABORTED, "aborted", "aborted by the handler")                        \
	X(REFUSED, "refused", "the handler refused the input")                 \
	X(STOPPED, "stopped", "the loop was stopped")                          \
	X(IDLE, "idle", "nothing moved before the idle deadline")              \
	X(DRAIN_DEADLINE, "drain-deadline",                                    \
	  "the peer did not finish before the drain deadline")                 \
	X(MESSAGE_LIMIT, "message-limit",                                      \
	  "the input needed more memory than a message may take")              \
	X(QUEUE_LIMIT, "queue-limit",                                          \
	  "the output was larger than the send queue may grow")                \
	X(MEMORY, "memory", "the loop's block memory was exhausted")           \
	X(CONNECT, "connect", "the connection could not be made")              \
	X(ERROR, "error", "the kernel reported an error")

enum weir_close_cause {
#define WEIR_CLOSE_ENUM(name, key, text) WEIR_CLOSE_##name,
	WEIR_CLOSE_CAUSES(WEIR_CLOSE_ENUM)
#undef WEIR_CLOSE_ENUM
		WEIR_CLOSE_CAUSE_COUNT /* stays last */
};

/**
 * struct weir_close_reason - why, with the numbers
 * @err:    negative errno; 0 where none is involved
 * @value:  bytes that were asked for, where a limit was hit. With
 *          WEIR_CLOSE_PEER: input bytes that no handler had used
 * @limit:  bytes that are allowed; 0 where no limit was hit
 */
struct weir_close_reason {
	enum weir_close_cause cause;
	int err;
	uint64_t value;
	uint64_t limit;
};

#define WEIR_CLOSE_TEXT_BYTES 160

/** weir_close_cause_name() - short, stable, for counters: "peer", "idle". */
const char *weir_close_cause_name(enum weir_close_cause cause);

/**
 * weir_close_reason_text() - one line for people
 * @out_text: at least WEIR_CLOSE_TEXT_BYTES
 *
 * Return: @out_text. Thread: any.
 */
char *weir_close_reason_text(const struct weir_close_reason *reason,
			     char *out_text);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
