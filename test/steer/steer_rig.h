/* steer_rig.h - what the tests of steering share
 *
 *     wi_netns_enter()  a network of the test's own
 *     steered_*         a server whose answer is the index of the loop
 *     member_*          such a server in a process of its own
 *
 * The clients are in swarm.h. A failing call fails the running test with a
 * message.
 */
#ifndef WEIR_TEST_STEER_RIG_H
#define WEIR_TEST_STEER_RIG_H

#include "../rig/seen.h"
#include "../rig/support.h"
#include "swarm.h"

#include "net/server.h"

#include <pthread.h>

enum {
	STEER_TEST_TIMEOUT_S = 60,
	STEERED_HOLD = 2, /* a request: see steered_hold_all() */
	RIG_LINE_BYTES = 256,
};

/* ---- a network of the test's own --------------------------------------- */

/* Moves the calling thread, and threads that it starts later, to a new network
 * namespace. There all of 127.0.0.0/8 and fd00:7765::/64 is local. Returns
 * NULL, or the reason for a failure. */
const char *wi_netns_enter(void);

#define wi_netns_enter_or_skip()                                               \
	do {                                                                   \
		const char *why_not = wi_netns_enter();                        \
		wi_skip_unless(why_not == NULL, why_not);                      \
	} while (0)

/* The same if it is allowed, for a test that binds a port again: in a network
 * of its own no other program can take the port in between. */
void wi_netns_enter_if_may(void);

/* Writes a file of /proc/sys/net, which belongs to the namespace. */
void rig_sysctl(const char *path, const char *value);

/* The @index-th source: 127.1.0.0 + @index, fd00:7765::1:0:0 + @index. */
void rig_source_ipv4(uint32_t index, struct weir_addr *out_source);
void rig_source_ipv6(uint32_t index, struct weir_addr *out_source);

/* Skips the running test if this build has no steering program; else the test
 * gets a network of its own. */
#define wi_steer_enter_or_skip()                                               \
	do {                                                                   \
		wi_skip_if_forced_off(WEIR_RUNG_STEER_EBPF);                   \
		wi_skip_unless_built(weir_steer_is_built(),                    \
				     "this build has no steering program");    \
		wi_netns_enter_or_skip();                                      \
	} while (0)

/* Steering with a fixed seed: each source goes to the same loop in every run,
 * and so does every random decision. The caller's to close. */
struct weir_steer *rig_steer_seeded(const struct weir_steer_opts *opts);
/* The loop that the rule gives a source now, computed without the program. */
uint32_t rig_home_of(const struct weir_steer *steer,
		     const struct weir_addr *source);

/* ---- a server ---------------------------------------------------------- */

struct steered {
	struct weir_server *server;
	struct weir_service service;
	struct weir_listen listens[WEIR_STEER_GROUPS_MAX];
	const char *address;  /* the first */
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t moved;
	pthread_mutex_t gate;
	uint64_t opens;
	uint64_t closes;
	uint64_t held_count; /* loops that wait at the gate */
	uint64_t log_count;
	char log_line[RIG_LINE_BYTES]; /* the last one */
};

/* On 127.0.0.1 unless @opts says otherwise. Each byte is answered with the
 * index of the loop, for every service in @opts. */
void steered_start(struct steered *steered,
		   const struct weir_server_opts *opts);
/* The same with @opts->steering, which must be by the program. */
void steered_start_by_program(struct steered *steered,
			      const struct weir_server_opts *opts);
/* The counters of loop @index; and of all loops. */
struct weir_loop_snapshot steered_share(const struct steered *steered,
					uint32_t index);
struct weir_server_snapshot steered_stats(const struct steered *steered);
/* Wait until so many connections have been closed, in all. */
void steered_wait_closes(struct steered *steered, uint64_t count);
/* From now on a loop that receives STEERED_HOLD blocks in its handler. */
void steered_hold_all(struct steered *steered);
/* Wait until so many loops block. */
void steered_wait_held(struct steered *steered, uint64_t count);
void steered_release_all(struct steered *steered);
uint64_t steered_log_count(struct steered *steered);
/* Its first address. */
struct weir_addr steered_addr(const struct steered *steered);
/* @text at the port of its first address. */
struct weir_addr rig_addr(const char *text, uint16_t port);
/* Accepts of all loops. */
uint64_t steered_accepts(const struct steered *steered);
/* Wait until so many lines have been logged. */
void steered_wait_logs(struct steered *steered, uint64_t count);
/* Stops, joins, frees; checks that nothing was dropped and no accept failed. */
void steered_end(struct steered *steered);
/* The same for a server that a test has damaged: accepts may have failed. */
void steered_end_harmed(struct steered *steered);

/* ---- a server in a process of its own ---------------------------------- */

struct member {
	pid_t pid;
	int orders;  /* the port to serve, once */
	int reports; /* its results */
};

/* Results of a member that has ended. */
struct member_report {
	int result; /* of weir_server_join() */
	uint64_t accepts;
	uint64_t drops;
	uint64_t errors;
};

/* Starts the process, which waits. Call it before any thread starts. */
void member_fork(struct member *member, const struct weir_server_opts *opts);
/* It serves @port, or a port of the kernel's choice for 0. Returns the port. */
uint16_t member_serve(const struct member *member, uint16_t port);
/* It attaches its steering to the group again: weir_server_steer(). */
void member_take_over(const struct member *member);
/* SIGTERM: it stops as weir_server_stop() does. */
void member_stop(const struct member *member);
/* Wait until it has ended. */
void member_end(struct member *member, struct member_report *out_report);

#endif
