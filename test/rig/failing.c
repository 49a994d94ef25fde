#include "failing.h"

/* 0, or the error that this call is to return. */
static int failing_call(void *ctx)
{
	struct failing *failing = ctx;
	const uint32_t call =
		__atomic_add_fetch(&failing->calls, 1, __ATOMIC_RELAXED);
	const bool is_refused =
		failing->fails_at != 0 &&
		(call == failing->fails_at ||
		 (failing->is_for_ever && call > failing->fails_at));
	if (!is_refused)
		return 0;
	(void)__atomic_add_fetch(&failing->refused, 1, __ATOMIC_RELAXED);
	return failing->err;
}

static const struct weir_kernel *real(void)
{
	return weir_kernel_linux();
}

static int failing_setup(void *ctx, uint32_t entry_count,
			 struct io_uring_params *params)
{
	const int err = failing_call(ctx);
	return err < 0 ? err : real()->setup(real()->ctx, entry_count, params);
}

static int failing_enter(void *ctx, int ring_fd, uint32_t submit_count,
			 uint32_t min_complete, uint32_t flags, const void *arg,
			 size_t arg_bytes)
{
	const int err = failing_call(ctx);
	return err < 0 ? err
		       : real()->enter(real()->ctx, ring_fd, submit_count,
				       min_complete, flags, arg, arg_bytes);
}

static int failing_register(void *ctx, int ring_fd, uint32_t opcode, void *arg,
			    uint32_t arg_count)
{
	const int err = failing_call(ctx);
	return err < 0 ? err
		       : real()->register_op(real()->ctx, ring_fd, opcode, arg,
					     arg_count);
}

static int failing_map(void *ctx, size_t bytes, int fd, uint64_t offset,
		       void **out_memory)
{
	const int err = failing_call(ctx);
	return err < 0 ? err
		       : real()->map(real()->ctx, bytes, fd, offset,
				     out_memory);
}

static int failing_socket(void *ctx, int family, int type, int protocol)
{
	const int err = failing_call(ctx);
	return err < 0 ? err
		       : real()->socket(real()->ctx, family, type, protocol);
}

static int failing_bind(void *ctx, int fd, const struct sockaddr *address,
			socklen_t address_bytes)
{
	const int err = failing_call(ctx);
	return err < 0 ? err
		       : real()->bind(real()->ctx, fd, address, address_bytes);
}

static int failing_listen(void *ctx, int fd, int backlog)
{
	const int err = failing_call(ctx);
	return err < 0 ? err : real()->listen(real()->ctx, fd, backlog);
}

static int failing_sockname(void *ctx, int fd, struct sockaddr *out_address,
			    socklen_t *address_bytes)
{
	const int err = failing_call(ctx);
	return err < 0 ? err
		       : real()->sockname(real()->ctx, fd, out_address,
					  address_bytes);
}

static int failing_sockopt(void *ctx, int fd, int level, int name,
			   const void *value, socklen_t value_bytes)
{
	const int err = failing_call(ctx);
	return err < 0 ? err
		       : real()->sockopt(real()->ctx, fd, level, name, value,
					 value_bytes);
}

static int failing_doorbell_open(void *ctx)
{
	const int err = failing_call(ctx);
	return err < 0 ? err : real()->doorbell_open(real()->ctx);
}

static int failing_random(void *ctx, void *out_bytes, size_t byte_count)
{
	const int err = failing_call(ctx);
	return err < 0 ? err
		       : real()->random(real()->ctx, out_bytes, byte_count);
}

void failing_init(struct failing *failing, uint32_t fails_at, bool is_for_ever,
		  int err)
{
	*failing = (struct failing){
		.kernel = *weir_kernel_linux(),
		.fails_at = fails_at,
		.is_for_ever = is_for_ever,
		.err = err,
	};
	/* What is not replaced here goes to the real one, which has no use for
	 * ctx. */
	failing->kernel.name = "failing";
	failing->kernel.ctx = failing;
	failing->kernel.setup = failing_setup;
	failing->kernel.enter = failing_enter;
	failing->kernel.register_op = failing_register;
	failing->kernel.map = failing_map;
	failing->kernel.socket = failing_socket;
	failing->kernel.bind = failing_bind;
	failing->kernel.listen = failing_listen;
	failing->kernel.sockname = failing_sockname;
	failing->kernel.sockopt = failing_sockopt;
	failing->kernel.doorbell_open = failing_doorbell_open;
	failing->kernel.random = failing_random;
}

uint32_t failing_refused(const struct failing *failing)
{
	return __atomic_load_n(&failing->refused, __ATOMIC_RELAXED);
}
