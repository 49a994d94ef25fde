/* steer_table.c - from weights to the tables that the rule reads
 *
 *     weights  ->  turns of a round  ->  order  ->  turns[]     as it is
 *                  (divided, scaled)         |
 *                                            +->  buckets[]   members pick in
 *                                                 that order, each from its
 *                                                 own list of preferences
 *
 * Both follow from the weights alone, not from earlier tables: a loop that
 * comes back finds its sources again.
 *
 * Every slot of turns[] and cpu_members[] is filled; slots beyond the count
 * repeat the round. So a reader that still has an older count finds a present
 * member all the same.
 */
#include "steer_table.h"

#include "../../uring/barrier.h"

#include <assert.h>

/* One round: the order of the members. On the stack. */
struct table_round {
	uint32_t turns[WI_STEER_MEMBERS_MAX]; /* of each member, in one round */
	uint32_t member_count;
	uint16_t order[WI_STEER_STEPS_MAX];
	uint32_t count; /* of order: the sum of turns */
};

/* The list of buckets that a member prefers, and its place in that list. */
struct table_preferences {
	uint32_t next;
	uint32_t skip; /* odd, so it reaches all 2^n buckets */
};

static uint32_t table_sum(const struct table_round *round)
{
	uint32_t sum = 0;
	for (uint32_t i = 0; i < round->member_count; i++)
		sum += round->turns[i];
	return sum;
}

static void table_take_weights(struct table_round *round,
			       const struct wi_steer_state *state)
{
	assert(state->member_count <= WI_STEER_MEMBERS_MAX);
	round->member_count = state->member_count;
	for (uint32_t i = 0; i < round->member_count; i++)
		round->turns[i] = state->members[i].weight;
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		const uint32_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

static void table_reduce(struct table_round *round)
{
	uint32_t divisor = 0;
	for (uint32_t i = 0; i < round->member_count; i++)
		divisor = common_divisor(round->turns[i], divisor);
	for (uint32_t i = 0; divisor > 1 && i < round->member_count; i++)
		round->turns[i] /= divisor;
}

/* Scales to WI_STEER_STEPS_MAX turns or a little less. A member too light for a
 * turn gets one. That leaves less room for the others, which may make more of
 * them too light: repeat until none is. Rounded down, so that equals stay
 * equal. */
static void table_scale(struct table_round *round)
{
	bool is_light[WI_STEER_MEMBERS_MAX] = { false };
	uint64_t room = WI_STEER_STEPS_MAX;
	uint64_t rest = table_sum(round);
	bool is_settled = false;

	if (rest <= room)
		return;
	while (!is_settled) {
		is_settled = true;
		for (uint32_t i = 0; i < round->member_count; i++) {
			const uint32_t turns = round->turns[i];
			if (turns == 0 || is_light[i] || turns * room >= rest)
				continue;
			is_light[i] = true;
			is_settled = false;
			rest -= turns;
			room--;
		}
	}
	for (uint32_t i = 0; i < round->member_count; i++)
		round->turns[i] =
			is_light[i] ? 1
				    : (uint32_t)(round->turns[i] * room / rest);
}

/* Smooth weighted round-robin: at each step all members grow by their weight;
 * the largest is next and falls by the sum. Source: nginx,
 * ngx_http_upstream_get_peer(). */
static void table_order(struct table_round *round)
{
	int32_t current[WI_STEER_MEMBERS_MAX] = { 0 };

	round->count = table_sum(round);
	assert(round->count <= WI_STEER_STEPS_MAX);
	for (uint32_t step = 0; step < round->count; step++) {
		uint32_t best = WI_STEER_NO_MEMBER;
		for (uint32_t i = 0; i < round->member_count; i++) {
			if (round->turns[i] == 0)
				continue;
			current[i] += (int32_t)round->turns[i];
			if (best == WI_STEER_NO_MEMBER ||
			    current[i] > current[best])
				best = i;
		}
		current[best] -= (int32_t)round->count;
		round->order[step] = (uint16_t)best;
	}
}

/* Murmur3's finish. */
static uint32_t table_mix(uint32_t word)
{
	word ^= word >> 16;
	word *= 0x85ebca6bu;
	word ^= word >> 13;
	word *= 0xc2b2ae35u;
	return word ^ (word >> 16);
}

/* The list follows from the member's number alone: it stays the same whichever
 * member joins or leaves. */
static struct table_preferences table_preferences_of(uint32_t member)
{
	const uint32_t where = table_mix(2 * member + 1);
	const uint32_t step = table_mix(2 * member + 2);
	return (struct table_preferences){
		.next = where,
		.skip = step | 1,
	};
}

static uint32_t table_preference(struct table_preferences *preferences)
{
	const uint32_t bucket = preferences->next & (WI_STEER_BUCKETS - 1);
	preferences->next += preferences->skip;
	return bucket;
}

/* In order, each member takes the next bucket on its list that is still free.
 * Source: Eisenbud et al., "Maglev", NSDI 2016, 3.4; there the table's length
 * is a prime and the weights are equal. */
static void table_pick(const struct table_round *round, uint16_t *buckets)
{
	struct table_preferences preferences[WI_STEER_MEMBERS_MAX];

	for (uint32_t i = 0; i < WI_STEER_BUCKETS; i++)
		buckets[i] = WI_STEER_NO_MEMBER;
	if (round->count == 0)
		return;
	for (uint32_t i = 0; i < round->member_count; i++)
		preferences[i] = table_preferences_of(i);
	for (uint32_t i = 0; i < WI_STEER_BUCKETS; i++) {
		const uint16_t member = round->order[i % round->count];
		uint32_t bucket = table_preference(&preferences[member]);
		while (buckets[bucket] != WI_STEER_NO_MEMBER)
			bucket = table_preference(&preferences[member]);
		buckets[bucket] = member;
	}
}

/* Unchanged words are not written, so their cache lines stay shared. */
static void table_store(uint16_t *word, uint16_t value)
{
	if (*word != value)
		wi_store_relaxed_u16(word, value);
}

static void table_store_turns(struct wi_steer_state *state,
			      const struct table_round *round)
{
	if (round->count == 0)
		wi_store_release_u32(&state->turn_count, 0);
	for (uint32_t i = 0; i < WI_STEER_STEPS_MAX; i++)
		table_store(&state->turns[i],
			    round->count == 0 ? WI_STEER_NO_MEMBER
					      : round->order[i % round->count]);
	wi_store_release_u32(&state->turn_count, round->count);
}

void wi_steer_table_fill(struct wi_steer_state *state)
{
	struct table_round round;
	uint16_t buckets[WI_STEER_BUCKETS];

	table_take_weights(&round, state);
	table_reduce(&round);
	table_scale(&round);
	table_order(&round);
	table_store_turns(state, &round);
	table_pick(&round, buckets);
	for (uint32_t i = 0; i < WI_STEER_BUCKETS; i++)
		table_store(&state->buckets[i], buckets[i]);
}

static void table_store_cpu(struct wi_steer_state *state, uint32_t cpu,
			    const uint16_t *members, uint16_t count)
{
	if (count == 0)
		wi_store_release_u16(&state->cpu_member_count[cpu], 0);
	for (uint32_t i = 0; i < WI_STEER_PER_CPU_MAX; i++)
		table_store(&state->cpu_members[cpu][i],
			    count == 0 ? WI_STEER_NO_MEMBER
				       : members[i % count]);
	wi_store_release_u16(&state->cpu_member_count[cpu], count);
}

bool wi_steer_table_fill_cpus(struct wi_steer_state *state, const int *cpus)
{
	uint16_t members[WI_STEER_CPUS_MAX][WI_STEER_PER_CPU_MAX] = { { 0 } };
	uint16_t counts[WI_STEER_CPUS_MAX] = { 0 };
	bool is_complete = true;

	assert(state->member_count <= WI_STEER_MEMBERS_MAX);
	for (uint32_t i = 0; i < state->member_count; i++) {
		const int cpu = cpus[i];
		if (cpu < 0 || cpu >= WI_STEER_CPUS_MAX ||
		    state->members[i].weight == 0)
			continue;
		if (counts[cpu] == WI_STEER_PER_CPU_MAX) {
			is_complete = false;
			continue;
		}
		members[cpu][counts[cpu]++] = (uint16_t)i;
	}
	for (uint32_t cpu = 0; cpu < WI_STEER_CPUS_MAX; cpu++)
		table_store_cpu(state, cpu, members[cpu], counts[cpu]);
	return is_complete;
}
