/* steer_priv.h - struct weir_steer, and its verbs for the server and its loops
 *
 *     open -> join(group, member, listener)... -> attach -> changes -> close
 *
 * The server makes all these calls under one lock, except those marked "any
 * thread". A member is a loop's place; a group is one address with a listener
 * of each loop.
 */
#ifndef WEIR_NET_STEER_PRIV_H
#define WEIR_NET_STEER_PRIV_H

#include "../../uring/barrier.h"
#include "../steer.h"
#include "steer_bpf.h"
#include "steer_guard.h"
#include "steer_rule.h"

#include <pthread.h>

/* The members of one group, in the kernel's order: classic BPF chooses by that
 * index. */
struct wi_steer_group {
	uint16_t members[WI_STEER_MEMBERS_MAX];
	uint32_t count;
};

struct weir_steer {
	const struct weir_kernel *kernel;
	struct weir_steer_opts opts; /* defaults resolved; weights not kept */
	enum weir_steer_means means;
	struct wi_steer_bpf *bpf; /* NULL: no program */
	/* Shared with the program; without a program, memory of our own: loops
	 * publish in any case. */
	struct wi_steer_state *state;
	struct wi_steer_row *rows; /* NULL: no program counts choices */
	uint32_t row_count;
	bool is_attached;
	uint32_t weights[WI_STEER_MEMBERS_MAX]; /* as asked for; 1 by default */
	bool has_stopped_accepting[WI_STEER_MEMBERS_MAX];
	int cpus[WI_STEER_MEMBERS_MAX]; /* or -1 */
	bool is_member[WI_STEER_MEMBERS_MAX];
	int member_fds[WEIR_STEER_GROUPS_MAX]
		      [WI_STEER_MEMBERS_MAX]; /* borrowed;
					       * or -1 */
	struct wi_steer_group groups[WEIR_STEER_GROUPS_MAX];
	pthread_mutex_t guard_lock; /* once per window, and for a new policy */
	struct wi_guard guard;
	struct weir_rung rungs[3]; /* eBPF, SO_INCOMING_CPU, classic BPF */
};

/* weir_steer_open() with another program, for tests with a broken one. */
int wi_steer_open(struct weir_steer **out_steer,
		  const struct weir_steer_opts *opts,
		  struct wi_steer_object object, struct weir_error *error);

/* Adds the loop of @member. @cpu: that it is pinned to, or -1. It gets no
 * connections before its listeners have joined. Return: 0; -EINVAL if the
 * policy cannot work with it. */
int wi_steer_member_take(struct weir_steer *steer, uint32_t member, int cpu,
			 struct weir_error *error);

/* Removes the loop, with its listeners. */
void wi_steer_member_give(struct weir_steer *steer, uint32_t member);

/* Adds its listener to the group; borrowed until it leaves. Return: 0, or the
 * errno of the map or of setsockopt(2). */
int wi_steer_join(struct weir_steer *steer, uint32_t group, uint32_t member,
		  int listener_fd, struct weir_error *error);

/* Removes a listener that was shut down, or that will not be used. */
void wi_steer_leave(struct weir_steer *steer, uint32_t group, uint32_t member);

/* From now on this steer chooses for every group with a member, in place of
 * what chose before. Return: 0, or the errno of setsockopt(2). */
int wi_steer_attach(struct weir_steer *steer, struct weir_error *error);

/* Changes the policy at once. Return: 0; -EOPNOTSUPP if the present means
 * cannot do it; -EINVAL. */
int wi_steer_set_policy(struct weir_steer *steer, enum weir_steer_policy policy,
			struct weir_error *error);

/* 0 to WEIR_STEER_WEIGHT_MAX. */
void wi_steer_set_weight(struct weir_steer *steer, uint32_t member,
			 uint32_t weight);

/* While it has stopped accepting it gets nothing new, whatever its weight. */
void wi_steer_set_accepting_none(struct weir_steer *steer, uint32_t member,
				 bool has_stopped_accepting);

/* Whether the kernel moves the connections that wait in a listener that is
 * shut down; if not, it resets them. */
bool wi_steer_migrates(const struct weir_steer *steer);

/* Any thread: the policy now. */
static inline enum weir_steer_policy wi_steer_policy(
	const struct weir_steer *steer)
{
	return (enum weir_steer_policy)wi_load_relaxed_u32(
		&steer->state->policy);
}

/* Any thread: where the loop of @member publishes its load. */
static inline struct wi_steer_member *wi_steer_member(struct weir_steer *steer,
						      uint32_t member)
{
	return &steer->state->members[member];
}

/* What was chosen: sums over all CPUs, and the part on the member's own CPU. */
struct wi_steer_counts {
	uint64_t chosen;
	uint64_t chosen_here;
	uint64_t moved;
};
void wi_steer_counts(const struct weir_steer *steer, uint32_t member,
		     struct wi_steer_counts *out_counts);
uint64_t wi_steer_missed(const struct weir_steer *steer);

/* Any loop's thread, once per turn: the guard's check. Return: its step. */
enum wi_guard_step wi_steer_guard(struct weir_steer *steer, uint64_t now_ns);

#endif
