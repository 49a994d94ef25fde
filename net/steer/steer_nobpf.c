/* steer_nobpf.c - replaces steer_bpf.c where the program cannot be built
 *
 * WEIR_NO_BPF says in words what was missing: see net/steer/meson.build.
 */
#include "../steer.h"
#include "steer_bpf.h"

#include <assert.h>
#include <errno.h>

struct wi_steer_object wi_steer_bpf_object(void)
{
	return (struct wi_steer_object){ .bytes = NULL };
}

bool weir_steer_is_built(void)
{
	return false;
}

int wi_steer_bpf_open(struct wi_steer_bpf **out_bpf,
		      const struct weir_kernel *kernel,
		      struct wi_steer_object object, uint32_t group_count,
		      struct weir_error *error)
{
	(void)out_bpf;
	(void)kernel;
	(void)object;
	(void)group_count;
	return weir_error_set(error, -ENOSYS,
			      "this build of weir has no steering program: %s",
			      WEIR_NO_BPF);
}

void wi_steer_bpf_close(struct wi_steer_bpf *bpf)
{
	assert(bpf == NULL); /* none was opened */
	(void)bpf;
}

struct wi_steer_state *wi_steer_bpf_state(struct wi_steer_bpf *bpf)
{
	(void)bpf;
	return NULL;
}

struct wi_steer_row *wi_steer_bpf_rows(struct wi_steer_bpf *bpf,
				       uint32_t *out_count)
{
	(void)bpf;
	*out_count = 0;
	return NULL;
}

int wi_steer_bpf_put(struct wi_steer_bpf *bpf, uint32_t group, uint32_t member,
		     int listener_fd)
{
	(void)bpf;
	(void)group;
	(void)member;
	(void)listener_fd;
	return -ENOSYS;
}

int wi_steer_bpf_program_fd(const struct wi_steer_bpf *bpf, uint32_t group)
{
	(void)bpf;
	(void)group;
	return -ENOSYS;
}
