/* fuzz_steer.c - the steering rule on any state and any facts
 *
 *     +------+--------------------------------------------------
 *     | kind | wild:   words for the state, then facts
 *     +------+--------------------------------------------------
 *            | loads:  members and weights, facts, the load of each
 *            | tables: members, weights and CPUs
 *
 * Wild: state that no server writes. The rule reads only inside the state,
 * which is in a block of exactly its size, and returns a member or none. Loads:
 * least-loaded chooses a minimum, checked by exact division, and chooses each
 * loop with a weight when the others have more load. Tables, which take
 * milliseconds to fill: with every other policy
 *   - a loop with a weight can be chosen;
 *   - a loop without one never is;
 *   - round-robin gives each its exact share, unless the weights were scaled.
 */
#include "fuzz_input.h"
#include "fuzz_replay.h"
#include "net/steer/steer_table.h"

#include <assert.h>
#include <stdlib.h>

enum {
	FEW_MEMBERS = 13,
	CPUS = 8,
	WEIGHT_MAX = 1000, /* WEIR_STEER_WEIGHT_MAX */
	POLICIES = WI_STEER_SOURCE_HASH + 2,
	WILD_WORDS = 24,
	FAR_MS = 1 << 20,
};

/* As all callers read a choice: a member, or -1 for the kernel's hash. */
static int steer_member(const struct wi_steer_state *state, uint32_t policy,
			const struct wi_steer_facts *facts)
{
	const uint32_t member = wi_steer_choose(state, policy, facts);

	assert(member <= UINT16_MAX); /* an entry of a table, or an index */
	return member < WI_STEER_MEMBERS_MAX ? (int)member : -1;
}

static struct wi_steer_facts steer_facts(struct fuzz_input *input)
{
	const uint32_t cpu = fuzz_u32(input);
	const uint32_t step = fuzz_u32(input);
	uint32_t source[4];

	fuzz_fill(input, source, sizeof(source));
	return (struct wi_steer_facts){
		.cpu = cpu,
		.step = step,
		.source = wi_steer_source_hash(source, fuzz_u32(input)),
		.now_ms = fuzz_u32(input),
	};
}

/* ---- wild ---- */

/* A word of the state, often one that the rule reads. */
static uint32_t *steer_wild_word(struct fuzz_input *input,
				 struct wi_steer_state *state)
{
	switch (fuzz_u8(input) % 6) {
	case 0:
		return &state->member_count;
	case 1:
		return &state->turn_count;
	case 2: { /* two words: most of the input are words */
		const uint32_t cpu = fuzz_below(input, WI_STEER_CPUS_MAX) & ~1u;
		return (uint32_t *)(void *)&state->cpu_member_count[cpu];
	}
	case 3:
		return &state->members[fuzz_below(input, WI_STEER_MEMBERS_MAX)]
				.weight;
	default:
		return (uint32_t *)(void *)state +
		       fuzz_u32(input) % (sizeof(*state) / 4);
	}
}

static void steer_wild(struct fuzz_input *input, struct wi_steer_state *state)
{
	memset(state, fuzz_u8(input), sizeof(*state));
	if (fuzz_u8(input) % 2 == 1)
		fuzz_fill(input, state->members, 4 * sizeof(state->members[0]));
	const uint32_t words = fuzz_u8(input) % WILD_WORDS;
	for (uint32_t i = 0; i < words; i++) {
		uint32_t *word = steer_wild_word(input, state);
		*word = fuzz_u32(input);
	}
	const struct wi_steer_facts facts = steer_facts(input);
	for (uint32_t policy = 0; policy < POLICIES; policy++) {
		const int member = steer_member(state, policy, &facts);
		if (policy == WI_STEER_LEAST_LOADED && member >= 0)
			assert(state->members[member].weight > 0);
		if (policy == WI_STEER_KERNEL || policy == POLICIES - 1)
			assert(member < 0);
	}
}

/* ---- loads and tables ---- */

/* Mostly small: a long round takes long to build. */
static uint32_t steer_weight(struct fuzz_input *input, uint32_t plain)
{
	if (input->left_bytes == 0)
		return plain;
	const uint32_t weight = fuzz_u8(input);
	return weight < 224 ? weight % 6 : fuzz_below(input, WEIGHT_MAX + 1);
}

static void steer_make(struct fuzz_input *input, struct wi_steer_state *state,
		       int *out_cpus)
{
	const bool is_large = fuzz_u8(input) >= 250;
	const uint32_t plain = fuzz_u8(input) % 16;

	memset(state, 0, sizeof(*state));
	state->member_count = fuzz_below(
		input, is_large ? WI_STEER_MEMBERS_MAX + 1 : FEW_MEMBERS);
	for (uint32_t i = 0; i < state->member_count; i++) {
		struct wi_steer_member *member = &state->members[i];
		member->weight = steer_weight(input, plain);
		out_cpus[i] = (int)fuzz_u8(input) % CPUS - 1;
	}
}

/* Counts in @out_chosen the answers of @policy for all steps of a round, for
 * all buckets, or on @cpu. */
static void steer_count(const struct wi_steer_state *state, uint32_t policy,
			uint32_t cpu, uint32_t rounds, uint32_t *out_chosen)
{
	memset(out_chosen, 0, WI_STEER_MEMBERS_MAX * sizeof(*out_chosen));
	for (uint32_t i = 0; i < rounds; i++) {
		const struct wi_steer_facts facts = {
			.cpu = cpu,
			.step = i,
			.source = i,
		};
		const int member = steer_member(state, policy, &facts);
		if (member >= 0)
			out_chosen[member]++;
	}
}

static void steer_check_reached(const struct wi_steer_state *state,
				const uint32_t *chosen)
{
	for (uint32_t i = 0; i < WI_STEER_MEMBERS_MAX; i++) {
		const bool may =
			i < state->member_count && state->members[i].weight > 0;
		assert((chosen[i] > 0) == may);
	}
}

/* Shares are exact if the length of the round is the sum of the weights over a
 * common divisor: then steps times sum of weights equals weight times round. */
static void steer_check_shares(const struct wi_steer_state *state,
			       const uint32_t *chosen)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < state->member_count; i++)
		sum += state->members[i].weight;
	if (sum > WI_STEER_STEPS_MAX)
		return; /* it may have been scaled */
	for (uint32_t i = 0; i < state->member_count; i++)
		assert(chosen[i] * sum ==
		       (uint64_t)state->members[i].weight * state->turn_count);
}

/* All members of that CPU with a weight, at most 8, and no other; on a CPU
 * without members, all members. */
static void steer_check_cpu(const struct wi_steer_state *state, const int *cpus,
			    int cpu, uint32_t *chosen)
{
	uint32_t own = 0;
	for (uint32_t i = 0; i < state->member_count; i++)
		own += cpus[i] == cpu && state->members[i].weight > 0;
	if (own > WI_STEER_PER_CPU_MAX)
		own = WI_STEER_PER_CPU_MAX;
	steer_count(state, WI_STEER_CPU, (uint32_t)cpu,
		    own > 0 ? own : state->turn_count, chosen);
	if (own == 0) {
		steer_check_reached(state, chosen);
		return;
	}
	for (uint32_t i = 0; i < state->member_count; i++) {
		if (cpus[i] != cpu || state->members[i].weight == 0)
			assert(chosen[i] == 0);
		else if (own > 0) /* the first 8 in their order */
			assert(chosen[i] == 1 && own-- > 0);
		else
			assert(chosen[i] == 0);
	}
}

/* True if the load over the weight of @one is less than that of @other. */
static bool steer_is_less(const struct wi_steer_member *one,
			  const struct wi_steer_member *other, uint32_t now_ms)
{
	const __uint128_t left =
		((__uint128_t)wi_steer_load(one, now_ms) + 1) * other->weight;
	const __uint128_t right =
		((__uint128_t)wi_steer_load(other, now_ms) + 1) * one->weight;
	if (left != right)
		return left < right;
	return wi_steer_work(one, now_ms) < wi_steer_work(other, now_ms);
}

static void steer_check_load(struct fuzz_input *input,
			     struct wi_steer_state *state)
{
	struct wi_steer_facts facts = steer_facts(input);
	for (uint32_t i = 0; i < state->member_count; i++) {
		struct wi_steer_member *member = &state->members[i];
		member->open_count = fuzz_u8(input);
		member->sent = fuzz_u8(input) % 8;
		member->settled = fuzz_u8(input) % 8;
		member->work = fuzz_u8(input) % 4;
		member->sent_ms = facts.now_ms - fuzz_u8(input) * 4u;
		member->published_ms = facts.now_ms - fuzz_u8(input) * 2u;
		if (input->left_bytes == 0)
			break;
	}
	const int best = steer_member(state, WI_STEER_LEAST_LOADED, &facts);
	for (uint32_t i = 0; i < state->member_count; i++) {
		if (state->members[i].weight == 0)
			continue;
		assert(best >= 0);
		assert(!steer_is_less(&state->members[i], &state->members[best],
				      facts.now_ms));
	}

	/* Each member (a sample if there are many), when the others have
	 * more. */
	for (uint32_t i = 0; i < state->member_count; i++)
		state->members[i].open_count = FAR_MS;
	const uint32_t step = 1 + state->member_count / FEW_MEMBERS;
	for (uint32_t i = facts.cpu % step; i < state->member_count;
	     i += step) {
		struct wi_steer_member *member = &state->members[i];
		if (member->weight == 0)
			continue;
		const struct wi_steer_member before = *member;
		member->open_count = 0;
		member->sent = member->settled;
		facts.step++;
		assert(steer_member(state, WI_STEER_LEAST_LOADED, &facts) ==
		       (int)i);
		*member = before;
	}
}

static void steer_loads(struct fuzz_input *input, struct wi_steer_state *state)
{
	int cpus[WI_STEER_MEMBERS_MAX];

	steer_make(input, state, cpus);
	steer_check_load(input, state);
}

static void steer_tables(struct fuzz_input *input, struct wi_steer_state *state)
{
	int cpus[WI_STEER_MEMBERS_MAX];
	uint32_t chosen[WI_STEER_MEMBERS_MAX];

	const int cpu = (int)fuzz_below(input, CPUS);
	steer_make(input, state, cpus);
	wi_steer_table_fill(state);
	(void)wi_steer_table_fill_cpus(state, cpus);
	steer_count(state, WI_STEER_ROUND_ROBIN, 0, state->turn_count, chosen);
	steer_check_reached(state, chosen);
	steer_check_shares(state, chosen);
	steer_count(state, WI_STEER_SOURCE_HASH, 0, WI_STEER_BUCKETS, chosen);
	steer_check_reached(state, chosen);
	steer_check_cpu(state, cpus, cpu, chosen);
}

int wi_fuzz_steer_one(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	static struct wi_steer_state *state; /* kept: 140 KiB */

	if (state == NULL)
		state = malloc(sizeof(*state));
	assert(state != NULL);
	const uint8_t kind = fuzz_u8(&input);
	if (kind % 2 == 0)
		steer_wild(&input, state);
	else if (kind % 64 != 63)
		steer_loads(&input, state);
	else
		steer_tables(&input, state);
	return 0;
}
