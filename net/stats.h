/* stats.h - the counters of a loop
 *
 * Always on. Each is one word: the loop writes it, any thread may read it.
 */
#ifndef WEIR_NET_STATS_H
#define WEIR_NET_STATS_H

#include "../uring/ring.h"
#include "close_reason.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every counter of a loop beside those of its ring: name, what it counts. */
#define WEIR_LOOP_STATS(X)                                                     \
	X(turns, "passes of the loop")                                         \
	X(accepts, "connections accepted")                                     \
	X(accept_pauses, "times accepting paused: no free slot")               \
	X(accept_errors, "accepts that failed with an errno")                  \
	X(accept_drops, "clients dropped by the kernel: table full")           \
	X(connects, "outbound connections made")                               \
	X(closes, "connections closed")                                        \
	X(recvs, "receive completions with data")                              \
	X(recv_bytes, "bytes received")                                        \
	X(recv_discarded_bytes, "bytes received after reading had ended")      \
	X(recv_rearms, "multishot receives armed again")                       \
	X(recv_pauses, "times reading paused for a full send queue")           \
	X(recv_enobufs, "receives that found no free buffer")                  \
	X(stash_bytes, "bytes copied to be shown again")                       \
	X(sends, "send operations completed")                                  \
	X(sent_bytes, "bytes taken by the kernel")                             \
	X(short_sends, "sends that took fewer bytes than asked")               \
	X(stale_completions, "completions for what was gone or had ended")     \
	X(idle_deadlines, "idle deadlines that fired")                         \
	X(drain_deadlines, "drain deadlines that fired")                       \
	X(stalled_turns, "turns that came too late for a deadline")            \
	X(overdue_ticks,                                                       \
	  "ticks that operations outlived their cancel, or a close took")      \
	X(operation_timeouts,                                                  \
	  "connections that ended with an operation in flight")                \
	X(kept_bytes, "bytes left to the kernel: completions were pending")    \
	X(block_failures, "requests for block memory that were refused")       \
	X(half_closes, "FINs sent ahead of a close")                           \
	X(samples, "sockets asked for the CPU of their packets")               \
	X(samples_here, "those whose packets came in on the loop's CPU")

/**
 * struct weir_loop_stats - a copy of all counters
 * @closes_by: shape [WEIR_CLOSE_CAUSE_COUNT], index enum weir_close_cause
 * @conns_open, @block_bytes_used: gauges, now; @conns_peak, @block_bytes_peak:
 *                the most at a time
 * @punt_workers: gauge, kernel worker threads of the loop's thread; 0: nothing
 *                was ever punted. Counted once, as the loop ends: see punt.h,
 *                and weir_punt_workers() for one that runs
 */
struct weir_loop_stats {
	struct weir_ring_stats ring;
#define WEIR_LOOP_STAT_FIELD(name, help) uint64_t name;
	WEIR_LOOP_STATS(WEIR_LOOP_STAT_FIELD)
#undef WEIR_LOOP_STAT_FIELD
	uint64_t closes_by[WEIR_CLOSE_CAUSE_COUNT];
	uint64_t conns_open;
	uint64_t conns_peak;
	uint64_t block_bytes_used;
	uint64_t block_bytes_peak;
	uint64_t punt_workers;
};

#ifdef __cplusplus
}
#endif

#endif
