/* steer_bpf.h - the steering program, loaded: one instance for each group
 *
 * The instances share the maps "states" and "rows", and each has its own map
 * of listeners, because a group takes listeners of its own only.
 */
#ifndef WEIR_NET_STEER_BPF_H
#define WEIR_NET_STEER_BPF_H

#include "../../uring/error.h"
#include "../../uring/kernel.h"
#include "steer_rule.h"

/* An ELF object as clang writes it. */
struct wi_steer_object {
	const void *bytes;
	size_t byte_count;
};

struct wi_steer_bpf;

/* The program of this build; its bytes are NULL if there is none. */
struct wi_steer_object wi_steer_bpf_object(void);

/* Loads @object once per group and maps what is shared. Return: 0; -ENOSYS if
 * this build has no program; -EPERM without CAP_BPF; else the kernel's errno,
 * with the verifier's last words in @error. */
int wi_steer_bpf_open(struct wi_steer_bpf **out_bpf,
		      const struct weir_kernel *kernel,
		      struct wi_steer_object object, uint32_t group_count,
		      struct weir_error *error);

/* Takes NULL. Programs stay with the groups that they are attached to. */
void wi_steer_bpf_close(struct wi_steer_bpf *bpf);

struct wi_steer_state *wi_steer_bpf_state(struct wi_steer_bpf *bpf);

/* Shape [*out_count], index CPU. */
struct wi_steer_row *wi_steer_bpf_rows(struct wi_steer_bpf *bpf,
				       uint32_t *out_count);

/* Puts the listener of @member into the map of @group; it leaves the map by
 * itself when it closes. Return: 0; -EINVAL if it does not listen, or has no
 * SO_REUSEPORT; -EBUSY if it is in a map; -E2BIG for a member beyond the
 * map. */
int wi_steer_bpf_put(struct wi_steer_bpf *bpf, uint32_t group, uint32_t member,
		     int listener_fd);

int wi_steer_bpf_program_fd(const struct wi_steer_bpf *bpf, uint32_t group);

#endif
