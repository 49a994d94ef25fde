/* rung.h - the names of the capability ladder
 *
 * A rung is one kernel feature that a host may have, lack or refuse. This table
 * names them all; ladder.h reports which of them a host has, and which a ring
 * uses.
 *
 *     REQUIRED  a loop (net/) cannot run without it
 *     USED      used where it is there, with a way around it where it is not
 *     KNOWN     tried and reported; net/ does not use it. Where there are typed
 *               calls for it, they are in extra/
 */
#ifndef WEIR_URING_RUNG_H
#define WEIR_URING_RUNG_H

#include "error.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Id, name, role, first Linux version, what it is, cost if missing. The version
 * is for people: no code depends on it. */
/* clang-format off */
#define WEIR_RUNGS(X)                                                          \
	X(DEFER_TASKRUN, "defer-taskrun", USED, "6.1",                         \
	  "completions are made in the loop's own enter, in batches",          \
	  "completions run at odd moments, not in batches")                    \
	X(COOP_TASKRUN, "coop-taskrun", USED, "5.19",                          \
	  "no interrupt for a completion; needed where defer-taskrun is off",  \
	  "an interrupt between cores per completion")                         \
	X(NO_SQARRAY, "no-sqarray", USED, "6.6",                               \
	  "submission entries without an index array",                         \
	  "4 bytes and part of a cache line per entry")                        \
	X(REGISTERED_RING, "registered-ring", USED, "5.18",                    \
	  "the ring is entered by index, not by descriptor",                   \
	  "about 70 ns per kernel entry")                                      \
	X(MIN_WAIT, "min-wait", USED, "6.12",                                  \
	  "a wait for a batch ends early once something is there",             \
	  "batches are bounded by a timeout instead")                          \
	X(NO_IOWAIT, "no-iowait", USED, "6.15",                                \
	  "waiting for the network is not counted as waiting for a disk",      \
	  "an idle server is shown as 100 % iowait")                           \
	X(SUBMIT_ALL, "submit-all", USED, "5.18",                              \
	  "a malformed entry does not stop those behind it",                   \
	  "one more kernel entry after each malformed submission")             \
	X(FILE_TABLE, "file-table", REQUIRED, "5.19",                          \
	  "sockets in a sparse table of the ring, not in the process's",       \
	  "weir has no other place for a connection's socket")                 \
	X(ACCEPT_SLOT_MULTISHOT, "accept-slot-multishot", REQUIRED, "5.19",    \
	  "one request accepts every connection, into the file table",         \
	  "weir has no other way to accept")                                   \
	X(BUFRING, "bufring", REQUIRED, "5.19",                                \
	  "receive buffers that the kernel picks when data arrives",           \
	  "weir has no other place for what it receives")                      \
	X(RECV_MULTISHOT, "recv-multishot", REQUIRED, "6.0",                   \
	  "one request receives until the end of the stream",                  \
	  "weir has no other way to receive")                                  \
	X(INSTALL_SLOT, "install-slot", USED, "6.8",                           \
	  "a real descriptor for a socket of the file table",                  \
	  "each half-close runs on a kernel worker thread")                    \
	X(SOCKET_CMD, "socket-cmd", USED, "6.7",                               \
	  "socket options set by the ring",                                    \
	  "outbound connections go without TCP_NODELAY")                       \
	X(WAIT_REGION, "wait-region", USED, "6.13",                            \
	  "the arguments of a wait lie in registered memory",                  \
	  "about 60 ns per waiting kernel entry")                              \
	X(STEER_EBPF, "steer-ebpf", USED, "5.17",                              \
	  "a program in the kernel picks the loop of each new connection",     \
	  "only the policies kernel and cpu; a drained loop may reset "        \
	  "clients in their handshake")                                        \
	X(STEER_INCOMING_CPU, "steer-incoming-cpu", USED, "6.2",               \
	  "listeners are chosen by the CPU that handles the packet, without "  \
	  "a program",                                                         \
	  "the policy cpu needs a program")                                    \
	X(STEER_CBPF, "steer-cbpf", USED, "4.5",                               \
	  "listeners are chosen by a small classic program, by CPU",           \
	  "the policy cpu needs an eBPF program or SO_INCOMING_CPU")           \
	X(RECV_BUNDLE, "recv-bundle", KNOWN, "6.10",                           \
	  "one completion for several receive buffers",                        \
	  "one completion per buffer when a peer sends a lot")                 \
	X(BUFRING_INCREMENTAL, "bufring-incremental", KNOWN, "6.12",           \
	  "a large receive buffer is used up piece by piece",                  \
	  "a short message takes a whole receive buffer")                      \
	X(SEND_VECTORIZED, "send-vectorized", KNOWN, "6.17",                   \
	  "a gathered send without a message header",                          \
	  "gathered sends go through sendmsg, some ns dearer")                 \
	X(SEND_ZC, "send-zc", KNOWN, "6.0",                                    \
	  "sends without a copy",                                              \
	  "large answers are copied once")                                     \
	X(BIND_LISTEN, "bind-listen", KNOWN, "6.11",                           \
	  "listeners made by the ring",                                        \
	  "listeners are made by system calls, at start only")                 \
	X(MSG_RING, "msg-ring", KNOWN, "5.18",                                 \
	  "a message from one ring to another",                                \
	  "other loops are woken through a descriptor")                        \
	X(SEND_MSG_RING, "send-msg-ring", KNOWN, "6.13",                       \
	  "a message to a ring from a thread without one",                     \
	  "such threads wake a loop through a descriptor")                     \
	X(SYNC_CANCEL, "sync-cancel", KNOWN, "6.0",                            \
	  "a cancel that has taken effect when the call returns",              \
	  "a cancel is a request with a completion of its own")                \
	X(NAPI, "napi", KNOWN, "6.9",                                          \
	  "a waiting ring polls the network device",                           \
	  "no busy polling: an interrupt before each wake-up")                 \
	X(RESIZE, "resize", KNOWN, "6.13",                                     \
	  "a ring grows while it runs",                                        \
	  "rings have the size that they are opened with")                     \
	X(RESTRICTIONS, "restrictions", KNOWN, "5.10",                         \
	  "a ring gives up operations that it does not need",                  \
	  "a hijacked ring can do all that the process may")                   \
	X(CLOCK, "clock", KNOWN, "6.12",                                       \
	  "the clock of a ring's timeouts can be chosen",                      \
	  "timeouts stand still while the machine is suspended")               \
	X(CQE_MIXED, "cqe-mixed", KNOWN, "6.18",                               \
	  "short and long completions in one ring",                            \
	  "send timestamps need completions of 32 bytes throughout")           \
	X(QUERY, "query", KNOWN, "6.18",                                       \
	  "the kernel lists what it has",                                      \
	  "nothing: weir tries each thing anyway")
/* clang-format on */

enum weir_rung_id {
#define WEIR_RUNG_ENUM(id, name, role, since, what, costs) WEIR_RUNG_##id,
	WEIR_RUNGS(WEIR_RUNG_ENUM)
#undef WEIR_RUNG_ENUM
		WEIR_RUNG_COUNT /* stays last */
};

enum weir_rung_role {
	WEIR_ROLE_REQUIRED = 0,
	WEIR_ROLE_USED,
	WEIR_ROLE_KNOWN,
};

/* A set of rungs: weir_rung_bit() of each, or'ed. */
typedef uint64_t weir_rung_set;

/* A macro, so that a table can use it as a constant. */
#define weir_rung_bit(id) ((weir_rung_set)1 << (id))

/** weir_rung_name() - "defer-taskrun"; constant. */
const char *weir_rung_name(enum weir_rung_id id);

/** weir_rungs_of_role() - the set of all rungs with @role. */
weir_rung_set weir_rungs_of_role(enum weir_rung_role role);

/**
 * weir_rungs_parse() - rungs from a list of names
 * @text:    names separated by commas; "all" is every rung that is not
 *           REQUIRED; NULL and "" are the empty set
 * @source:  where @text comes from, for the error: "WEIR_FORCE_OFF"
 * @out_set: written on success only
 * @error:   filled on failure: the unknown name, and the known ones
 *
 * Return: 0; -EINVAL for an unknown name. Thread: any.
 */
int weir_rungs_parse(const char *text, const char *source,
		     weir_rung_set *out_set, struct weir_error *error);

/* The environment variable that forces rungs off. */
#define WEIR_FORCE_OFF "WEIR_FORCE_OFF"

/**
 * weir_rungs_forced_off() - what the environment forces off
 *
 * As weir_rungs_parse() of the variable WEIR_FORCE_OFF. A setuid or setgid
 * program ignores the variable (secure_getenv(3)). Only weir_ring_open() and
 * weir_ladder_probe() read it.
 *
 * Return: 0; -EINVAL. Thread: any, while no thread changes the environment.
 */
int weir_rungs_forced_off(weir_rung_set *out_set, struct weir_error *error);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
