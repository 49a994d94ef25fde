/* steer_rule.h - which loop gets the next connection: the facts and the rule
 *
 * One text for all that choose: the program that the kernel runs
 * (steer.bpf.c), the tests, and any simulated kernel. The facts are in memory
 * that this process and that program share. Each word has one writer, named
 * beside it. A reader uses the value that it finds: a choice from facts that
 * are a moment old is as good as any other.
 *
 *     state   one: policy, tables, and a line for each member
 *     rows    one for each CPU: what was chosen there
 *
 * A member is the place of one loop. Compiled for the kernel too: no libc, no
 * signed division, every index checked where it is used.
 */
#ifndef WEIR_NET_STEER_RULE_H
#define WEIR_NET_STEER_RULE_H

#include <stdint.h>

enum {
	WI_STEER_MEMBERS_MAX = 1024,
	WI_STEER_CPUS_MAX = 1024,
	WI_STEER_PER_CPU_MAX = 8,  /* loops that are pinned to one CPU */
	WI_STEER_STEPS_MAX = 4096, /* longest round of round-robin */
	WI_STEER_BUCKETS = 16384,  /* of source-hash: a power of two */
	WI_STEER_NO_MEMBER = 0xffff,
	WI_STEER_WORK_STALE_MS = 250,
	WI_STEER_SENT_STALE_MS = 500,
};

/* The values of enum weir_steer_policy (steer.h). */
enum {
	WI_STEER_KERNEL = 0,
	WI_STEER_CPU,
	WI_STEER_ROUND_ROBIN,
	WI_STEER_LEAST_LOADED,
	WI_STEER_SOURCE_HASH,
};

/* A cache line of its own: its loop stores here once per turn. */
struct wi_steer_member {
	uint64_t sent;         /* the program: given to it by least-loaded */
	uint64_t settled;      /* its loop: of these, those that it has counted
				* in open_count, or that never arrived */
	uint32_t open_count;   /* its loop: connections */
	uint32_t work;         /* its loop: recent receives, a decaying sum */
	uint32_t published_ms; /* its loop: when it stored these; wraps */
	uint32_t weight;       /* the server: 0: takes no new ones */
	uint32_t sent_ms;      /* the program: when it last counted in sent */
	uint8_t pad[28];
};

struct wi_steer_state {
	uint32_t policy;       /* the server: WI_STEER_KERNEL ... */
	uint32_t is_stepped;   /* the guard: least-loaded instead of policy */
	uint32_t member_count; /* the server: all that are in use are below */
	uint32_t turn_count;   /* the server: length of turns[]; 0: none left */
	uint32_t seed;         /* the server: of the source's hash */
	uint32_t pad[11];
	/* The server: all tables. */
	uint16_t cpu_member_count[WI_STEER_CPUS_MAX];
	uint16_t cpu_members[WI_STEER_CPUS_MAX][WI_STEER_PER_CPU_MAX];
	uint16_t turns[WI_STEER_STEPS_MAX];
	uint16_t buckets[WI_STEER_BUCKETS];
	struct wi_steer_member members[WI_STEER_MEMBERS_MAX];
};

/* Written only by the program, and only on its CPU. */
struct wi_steer_row {
	uint64_t step;   /* choices made here */
	uint64_t missed; /* no member, or its listener is closed: the kernel's
			  * hash has chosen */
	uint64_t pad[6];
	uint64_t chosen[WI_STEER_MEMBERS_MAX]; /* new connections */
	uint64_t moved[WI_STEER_MEMBERS_MAX];  /* from a listener that closes */
	uint64_t requested[WI_STEER_MEMBERS_MAX]; /* while stepped: the policy's
						   * own choice */
};

_Static_assert(sizeof(struct wi_steer_member) == 64, "one cache line");
_Static_assert(sizeof(struct wi_steer_state) % 64 == 0, "and so are all");
_Static_assert(sizeof(struct wi_steer_row) % 64 == 0, "and these");

/* A word that another thread, or the program, writes at any time. */
#define WI_STEER_READ(word) (*(const volatile __typeof__(word) *)&(word))

/* What a choice is made from, beside the state. */
struct wi_steer_facts {
	uint32_t cpu;    /* that handles the packet */
	uint32_t step;   /* choices made on that CPU before */
	uint32_t source; /* wi_steer_source_hash(); for source-hash only */
	uint32_t now_ms; /* goes round; for least-loaded only */
};

/* Of an IPv6 address, or an IPv4 address in its mapped form; words in the
 * packet's byte order. The seed keeps clients from choosing their loop. */
static inline uint32_t wi_steer_source_hash(const uint32_t source[4],
					    uint32_t seed)
{
	uint32_t hash = seed;
	for (int i = 0; i < 4; i++) {
		/* Murmur3's mixing of a word, then its finish. */
		uint32_t word = source[i] * 0xcc9e2d51u;
		word = (word << 15) | (word >> 17);
		hash ^= word * 0x1b873593u;
		hash = ((hash << 13) | (hash >> 19)) * 5 + 0xe6546b64u;
	}
	hash ^= hash >> 16;
	hash *= 0x85ebca6bu;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35u;
	return hash ^ (hash >> 16);
}

static inline uint32_t wi_steer_by_step(const struct wi_steer_state *state,
					uint32_t step)
{
	const uint32_t count = WI_STEER_READ(state->turn_count);
	if (count == 0)
		return WI_STEER_NO_MEMBER;
	const uint32_t at = step % count;
	if (at >= WI_STEER_STEPS_MAX)
		return WI_STEER_NO_MEMBER;
	return WI_STEER_READ(state->turns[at]);
}

/* A CPU without a loop gives its connections to all loops in turn. */
static inline uint32_t wi_steer_by_cpu(const struct wi_steer_state *state,
				       uint32_t cpu, uint32_t step)
{
	if (cpu >= WI_STEER_CPUS_MAX)
		return wi_steer_by_step(state, step);
	const uint32_t count = WI_STEER_READ(state->cpu_member_count[cpu]);
	if (count == 0)
		return wi_steer_by_step(state, step);
	const uint32_t at = step % count;
	if (at >= WI_STEER_PER_CPU_MAX)
		return WI_STEER_NO_MEMBER;
	return WI_STEER_READ(state->cpu_members[cpu][at]);
}

/* Whether @then_ms is near @now_ms. It may be a little later: another CPU has
 * read the clock. */
static inline uint32_t wi_steer_is_fresh(uint32_t now_ms, uint32_t then_ms,
					 uint32_t stale_ms)
{
	return now_ms - then_ms + stale_ms <= 2 * stale_ms;
}

/* Connections that the member has, or is about to have. It publishes once per
 * turn, so what was sent to it since then is added: otherwise all that come
 * between two turns of the emptiest loop would pile up on it. What was sent
 * long ago and never arrived is not added: a sleeping loop has not yet
 * subtracted it. */
static inline uint64_t wi_steer_load(const struct wi_steer_member *member,
				     uint32_t now_ms)
{
	const uint64_t settled = WI_STEER_READ(member->settled);
	const uint64_t sent = WI_STEER_READ(member->sent);
	const uint64_t open_count = WI_STEER_READ(member->open_count);
	if (sent <= settled ||
	    !wi_steer_is_fresh(now_ms, WI_STEER_READ(member->sent_ms),
			       WI_STEER_SENT_STALE_MS))
		return open_count;
	return open_count + (sent - settled);
}

/* An idle loop has no turns: a value that it published long ago counts as 0. */
static inline uint32_t wi_steer_work(const struct wi_steer_member *member,
				     uint32_t now_ms)
{
	if (!wi_steer_is_fresh(now_ms, WI_STEER_READ(member->published_ms),
			       WI_STEER_WORK_STALE_MS))
		return 0;
	return WI_STEER_READ(member->work);
}

/* A walk over all members for the least loaded one. */
struct wi_steer_walk {
	const struct wi_steer_state *state;
	uint32_t count;
	uint32_t index; /* the next to look at */
	uint32_t now_ms;
	uint32_t best; /* or WI_STEER_NO_MEMBER */
	uint32_t best_work;
	uint64_t best_load;
	uint64_t best_weight;
};

/* @index, or 0 if it is not below @count. Without a branch: on a path where the
 * verifier knows the index to be 0, it would not let it be added to a pointer,
 * unless the process that loads the program has CAP_PERFMON beside CAP_BPF. */
static inline uint32_t wi_steer_wrapped(uint32_t index, uint32_t count)
{
	int64_t below = (int64_t)index - (int64_t)count;
#ifdef __bpf__
	__asm__ volatile("" : "+r"(below)); /* else clang makes a branch */
#endif
	return index & (uint32_t)(below >> 63);
}

/* One step. Return: 0 to go on, 1 to end: what bpf_loop() wants. */
static long wi_steer_walk_step(uint32_t step, void *ctx)
{
	struct wi_steer_walk *walk = ctx;
	const uint32_t index = wi_steer_wrapped(walk->index, walk->count);

	(void)step;
	if (index >= WI_STEER_MEMBERS_MAX)
		return 1;
	walk->index = index + 1;
	const struct wi_steer_member *member = &walk->state->members[index];
	const uint64_t weight = WI_STEER_READ(member->weight);
	if (weight == 0)
		return 0;
	const uint64_t load = wi_steer_load(member, walk->now_ms) + 1;
	const uint32_t work = wi_steer_work(member, walk->now_ms);
	/* load / weight against best_load / best_weight */
	const uint64_t left = load * walk->best_weight;
	const uint64_t right = walk->best_load * weight;
	if (walk->best != WI_STEER_NO_MEMBER &&
	    (left > right || (left == right && work >= walk->best_work)))
		return 0;
	walk->best = index;
	walk->best_load = load;
	walk->best_weight = weight;
	walk->best_work = work;
	return 0;
}

/* The member with the least load per weight, this connection included; of
 * equals the one with less recent work, and of those the next in turn. */
static inline uint32_t wi_steer_by_load(const struct wi_steer_state *state,
					const struct wi_steer_facts *facts)
{
	const uint32_t count = WI_STEER_READ(state->member_count);
	if (count == 0)
		return WI_STEER_NO_MEMBER;
	struct wi_steer_walk walk = {
		.state = state,
		.count = count,
		.index = facts->step % count,
		.now_ms = facts->now_ms,
		.best = WI_STEER_NO_MEMBER,
	};
#ifdef __bpf__
	/* Linux 5.17. The verifier would walk a plain loop member by member, on
	 * every path. */
	bpf_loop(count, wi_steer_walk_step, &walk, 0);
#else
	for (uint32_t i = 0; i < count; i++)
		if (wi_steer_walk_step(i, &walk) != 0)
			break;
#endif
	return walk.best;
}

/* A table instead of a division by the number of members: when one leaves, few
 * sources of the others move (steer_table.h). */
static inline uint32_t wi_steer_by_source(const struct wi_steer_state *state,
					  uint32_t source)
{
	return WI_STEER_READ(state->buckets[source & (WI_STEER_BUCKETS - 1)]);
}

/* What @policy chooses: a member, or WI_STEER_NO_MEMBER for the kernel's hash.
 */
static inline uint32_t wi_steer_choose(const struct wi_steer_state *state,
				       uint32_t policy,
				       const struct wi_steer_facts *facts)
{
	switch (policy) {
	case WI_STEER_CPU:
		return wi_steer_by_cpu(state, facts->cpu, facts->step);
	case WI_STEER_ROUND_ROBIN:
		return wi_steer_by_step(state, facts->step);
	case WI_STEER_LEAST_LOADED:
		return wi_steer_by_load(state, facts);
	case WI_STEER_SOURCE_HASH:
		return wi_steer_by_source(state, facts->source);
	default:
		return WI_STEER_NO_MEMBER;
	}
}

#endif
