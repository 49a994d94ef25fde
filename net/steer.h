/* steer.h - which loop gets the next connection
 *
 * All loops of a server listen on the same port (SO_REUSEPORT), so the choice
 * of a listener is the choice of a loop. These can make it, the best first:
 *
 *     an eBPF program   every policy and weights; a loop stops accepting
 *                       without a reset. Only loading it needs CAP_BPF
 *     SO_INCOMING_CPU   the policy "cpu" only
 *     classic BPF       the policy "cpu" only
 *     the kernel's hash always there: even over many clients, nothing more
 *
 * weir_steer_rungs() says which of them is used, and why not a better one.
 */
#ifndef WEIR_NET_STEER_H
#define WEIR_NET_STEER_H

#include "../uring/kernel.h"
#include "../uring/ladder.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Id, name, what it does. */
/* clang-format off */
#define WEIR_STEER_POLICIES(X)                                                 \
	X(KERNEL, "kernel",                                                    \
	  "the kernel's hash of addresses and ports; no program")              \
	X(CPU, "cpu",                                                          \
	  "the loop on the CPU that handles the packet")                       \
	X(ROUND_ROBIN, "round-robin",                                          \
	  "each loop in turn, as often as its weight")                         \
	X(LEAST_LOADED, "least-loaded",                                        \
	  "the loop with the fewest connections for its weight")               \
	X(SOURCE_HASH, "source-hash",                                          \
	  "the same loop for the same client address")
/* clang-format on */

enum weir_steer_policy {
#define WEIR_STEER_POLICY_ENUM(id, name, what) WEIR_STEER_##id,
	WEIR_STEER_POLICIES(WEIR_STEER_POLICY_ENUM)
#undef WEIR_STEER_POLICY_ENUM
		WEIR_STEER_POLICY_COUNT /* stays last */
};

/* What chooses. */
enum weir_steer_means {
	WEIR_STEER_BY_HASH = 0,
	WEIR_STEER_BY_CLASSIC_BPF,
	WEIR_STEER_BY_INCOMING_CPU,
	WEIR_STEER_BY_EBPF,
};

enum {
	WEIR_STEER_LOOPS_MAX = 1024,
	WEIR_STEER_WEIGHT_MAX = 1000,
	WEIR_STEER_GROUPS_MAX = 8, /* addresses that a server listens on */
};

/**
 * struct weir_steer_opts - zero is the sensible default
 * @policy:        at start; weir_server_steer() changes it
 * @weights:       shape [weight_count], of the first loops; copied; NULL: 1
 *                 for each. At most WEIR_STEER_WEIGHT_MAX; 0: that loop gets
 *                 no connections while another has a weight. With "cpu" the
 *                 packet decides, so all weights above 0 mean the same
 * @group_count:   addresses that it will serve; 0 for 1
 * @is_required:   fail if the policy is not available, instead of falling back
 * @forced_off:    rungs not to use (rung.h), besides those of WEIR_FORCE_OFF
 * @guard_percent: collapse guard: no loop should get more than this share of
 *                 the new connections; 0 for 75; 100: no guard
 * @guard_ms:      the guard steps once that has lasted so long, over at least
 *                 64 connections; 0 for 1000
 * @kernel:        NULL for the real one; borrowed
 *
 * The guard watches cpu and source-hash, which can collapse: over loopback
 * the packet's CPU is the client's, and all users behind one address are one
 * source. It steps to least-loaded, and back when the cause is gone. A loop may
 * have the share that its weight gives it, and the last loop that accepts may
 * have all. The guard reads the program's counts: without one there is no
 * guard.
 */
struct weir_steer_opts {
	enum weir_steer_policy policy;
	const uint32_t *weights;
	uint32_t weight_count;
	uint32_t group_count;
	bool is_required;
	weir_rung_set forced_off;
	uint32_t guard_percent;
	uint32_t guard_ms;
	const struct weir_kernel *kernel;
};

struct weir_steer;

/**
 * weir_steer_open() - load what the policy needs
 * @out_steer: written on success only; for one server at a time
 * @opts:      NULL for all defaults
 * @error:     filled on failure; may be NULL
 *
 * Only this step may need a privilege, CAP_BPF. A process that wants to serve
 * without it calls this first, drops its capabilities, and opens its server
 * then (weir_server_opts.steer). See capabilities(7), setpriv(1).
 *
 * Return: 0; -EINVAL for an option out of range, or a bad WEIR_FORCE_OFF;
 *         -ENOMEM. If the policy is not available and @is_required is set:
 *         -EOPNOTSUPP, -ENOSYS (not built in), -EPERM, or the verifier's errno.
 * Thread: any.
 */
int weir_steer_open(struct weir_steer **out_steer,
		    const struct weir_steer_opts *opts,
		    struct weir_error *error);

/** weir_steer_close() - after its server is closed; takes NULL. */
void weir_steer_close(struct weir_steer *steer);

/** weir_steer_means() - what chooses now. Thread: any. */
enum weir_steer_means weir_steer_means(const struct weir_steer *steer);

/**
 * weir_steer_rungs() - the rungs of steering, as they were found
 * @rungs: shape [WEIR_RUNG_COUNT]; only the rungs steer-* are written
 */
void weir_steer_rungs(const struct weir_steer *steer, struct weir_rung *rungs);

/**
 * weir_steer_is_built() - whether this build of weir has the program
 *
 * It needs libbpf, clang and bpftool when weir is built.
 */
bool weir_steer_is_built(void);

/** weir_steer_policy_name() - "least-loaded"; constant. */
const char *weir_steer_policy_name(enum weir_steer_policy policy);

/** weir_steer_means_name() - "eBPF", "the kernel's hash"; constant. */
const char *weir_steer_means_name(enum weir_steer_means means);

/** weir_steer_policy_parse() - Return: 0; -EINVAL if it is none of them. */
int weir_steer_policy_parse(const char *text,
			    enum weir_steer_policy *out_policy);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
