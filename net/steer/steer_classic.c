#include "steer_classic.h"

#include <assert.h>
#include <linux/filter.h>

uint32_t wi_steer_classic_build(const int *cpus, uint32_t count,
				struct sock_filter *out_filter)
{
	uint32_t length = 0;

	assert(count > 0 && count <= WI_STEER_MEMBERS_MAX);
	out_filter[length++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_CPU));
	for (uint32_t i = 0; i < count; i++) {
		assert(cpus[i] >= 0); /* the policy cpu needs pinned loops */
		/* Equal: run the next one; else skip it. */
		out_filter[length++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)cpus[i], 0, 1);
		out_filter[length++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, i);
	}
	out_filter[length++] =
		(struct sock_filter)BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count);
	out_filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
	return length;
}
