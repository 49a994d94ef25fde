/* steer.bpf.c - the program that the kernel runs for each new connection
 *
 * It runs when a packet reaches a group of listeners: for a SYN, and again for
 * each connection that waits in a listener that closes. It collects the facts,
 * applies the rule (steer_rule.h), selects that loop's listener, and counts. If
 * it cannot select one, the kernel's own hash chooses: no client is refused.
 *
 * Source: BPF_PROG_TYPE_SK_REUSEPORT, Linux 4.19; migration 5.14.
 */
#include <stdbool.h>
#include <stdint.h>

#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "steer_rule.h" /* uses a helper declared above */

enum {
	ETHERTYPE_IPV4 = 0x0800,
	IPV4_SOURCE_OFFSET = 12, /* RFC 791, 3.1 */
	IPV6_SOURCE_OFFSET = 8,  /* RFC 8200, 3 */
	TCP_FLAGS_OFFSET = 13,   /* RFC 9293, 3.1 */
	TCP_SYN = 0x02,
	TCP_ACK = 0x10,
	ADDRESS_FAMILY_IPV4 = 2, /* AF_INET */
	NS_PER_MS = 1000000,
};

/* Mapped into the server, which stores to them without a system call. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct wi_steer_state);
} states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* one for each CPU: set before the load */
	__type(key, uint32_t);
	__type(value, struct wi_steer_row);
} rows SEC(".maps");

/* Member -> listener. Each group has its own; states and rows are shared. */
struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, WI_STEER_MEMBERS_MAX);
	__type(key, uint32_t);
	__type(value, uint64_t);
} sockets SEC(".maps");

/* The source of a packet, from its network header. */
static bool packet_source(struct sk_reuseport_md *ctx, uint32_t source[4])
{
	if (ctx->eth_protocol == bpf_htons(ETHERTYPE_IPV4)) {
		source[2] = bpf_htonl(0xffff);
		return bpf_skb_load_bytes_relative(ctx, IPV4_SOURCE_OFFSET,
						   &source[3], 4,
						   BPF_HDR_START_NET) == 0;
	}
	return bpf_skb_load_bytes_relative(ctx, IPV6_SOURCE_OFFSET, source, 16,
					   BPF_HDR_START_NET) == 0;
}

/* The source of a connection that is moved, from its socket: there may be no
 * packet. Each word is read on its own, because the verifier allows no
 * arithmetic on @sk. */
static void socket_source(const struct bpf_sock *sk, uint32_t source[4])
{
	uint32_t last;

	if (sk->family == ADDRESS_FAMILY_IPV4) {
		last = sk->dst_ip4;
		barrier_var(last);
		source[2] = bpf_htonl(0xffff);
		source[3] = last;
		return;
	}
	source[0] = sk->dst_ip6[0];
	source[1] = sk->dst_ip6[1];
	source[2] = sk->dst_ip6[2];
	last = sk->dst_ip6[3];
	barrier_var(last);
	source[3] = last;
}

static uint32_t source_hash(struct sk_reuseport_md *ctx, uint32_t seed)
{
	uint32_t source[4] = { 0, 0, 0, 0 };
	struct bpf_sock *moved = ctx->migrating_sk;

	if (moved)
		socket_source(moved, source);
	else if (!packet_source(ctx, source))
		return ctx->hash;
	return wi_steer_source_hash(source, seed);
}

/* A stray ACK also reaches the group, and is answered by a reset: it must not
 * count as a connection. A datagram always counts. */
static bool is_new_connection(const struct sk_reuseport_md *ctx)
{
	const uint8_t *data = ctx->data;
	const uint8_t *end = ctx->data_end;

	if (ctx->ip_protocol != IPPROTO_TCP)
		return true;
	if (data + TCP_FLAGS_OFFSET + 1 > end)
		return true;
	return (data[TCP_FLAGS_OFFSET] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* A member as an index. The compiler knows that it is in bounds and drops the
 * check, or checks a copy; the verifier must see the check. */
static uint32_t member_index(uint32_t member)
{
	barrier_var(member);
	return member & (WI_STEER_MEMBERS_MAX - 1);
}

SEC("sk_reuseport/migrate")
int weir_steer(struct sk_reuseport_md *ctx)
{
	/* Used from here to the end, so that no pointer is stored on the stack
	 * in its place before: a process with CAP_BPF but without CAP_PERFMON
	 * may not write half a word over a pointer. */
	uint32_t key = 0;
	const uint32_t cpu = bpf_get_smp_processor_id();
	struct wi_steer_state *state = bpf_map_lookup_elem(&states, &key);
	struct wi_steer_row *row = bpf_map_lookup_elem(&rows, &cpu);

	if (!state || !row)
		return SK_PASS;
	const uint32_t policy = WI_STEER_READ(state->policy);
	if (policy == WI_STEER_KERNEL)
		return SK_PASS;

	const bool is_moved = ctx->migrating_sk != (void *)0;
	const bool is_counted = !is_moved && is_new_connection(ctx);
	const bool is_stepped = WI_STEER_READ(state->is_stepped) != 0;
	struct wi_steer_facts facts = {
		.cpu = cpu,
		.step = (uint32_t)row->step,
	};
	if (policy == WI_STEER_SOURCE_HASH)
		facts.source = source_hash(ctx, state->seed);
	if (policy == WI_STEER_LEAST_LOADED || is_stepped)
		facts.now_ms = (uint32_t)(bpf_ktime_get_ns() / NS_PER_MS);

	uint32_t used = policy;
	if (is_stepped) {
		const uint32_t own_choice =
			wi_steer_choose(state, policy, &facts);
		if (is_counted && own_choice < WI_STEER_MEMBERS_MAX)
			row->requested[member_index(own_choice)]++;
		used = WI_STEER_LEAST_LOADED;
	}
	const uint32_t member = wi_steer_choose(state, used, &facts);
	key = member;
	if (is_counted || is_moved)
		row->step++;
	if (member >= WI_STEER_MEMBERS_MAX ||
	    bpf_sk_select_reuseport(ctx, &sockets, &key, 0) != 0) {
		row->missed += is_counted || is_moved;
		return SK_PASS;
	}
	if (is_moved)
		row->moved[member_index(member)]++;
	else if (is_counted)
		row->chosen[member_index(member)]++;
	if (used == WI_STEER_LEAST_LOADED && (is_counted || is_moved)) {
		struct wi_steer_member *chosen =
			&state->members[member_index(member)];
		chosen->sent_ms = facts.now_ms;
		__sync_fetch_and_add(&chosen->sent, 1);
	}
	return SK_PASS;
}

const char steer_license[] SEC("license") = "Dual MIT/GPL";
