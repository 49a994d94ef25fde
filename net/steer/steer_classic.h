/* steer_classic.h - the policy "cpu" in classic BPF */
#ifndef WEIR_NET_STEER_CLASSIC_H
#define WEIR_NET_STEER_CLASSIC_H

#include "steer_rule.h"

struct sock_filter;

enum {
	/* Load the CPU, divide by the count, return. */
	WI_STEER_CLASSIC_FIXED = 3,
	WI_STEER_CLASSIC_MAX =
		2 * WI_STEER_MEMBERS_MAX + WI_STEER_CLASSIC_FIXED,
};

/* Builds a program that returns the index of the first member pinned to the
 * packet's CPU; for a CPU without a member, the CPU modulo @count. @cpus: shape
 * [count], the CPU of each member, or -1, in the order in which they joined;
 * @count: 1 to WI_STEER_MEMBERS_MAX. Returns the length of out_filter, shape
 * [WI_STEER_CLASSIC_MAX]. Source: socket(7), SO_ATTACH_REUSEPORT_CBPF. */
uint32_t wi_steer_classic_build(const int *cpus, uint32_t count,
				struct sock_filter *out_filter);

#endif
