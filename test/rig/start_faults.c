#include "start_faults.h"

static bool fails(struct start_faults *faults)
{
	const uint32_t call =
		__atomic_add_fetch(&faults->calls, 1, __ATOMIC_RELAXED);
	return faults->fail_at != 0 &&
	       (call == faults->fail_at ||
		(faults->for_ever && call > faults->fail_at));
}

static int faults_setup(void *ctx, uint32_t entry_count,
			struct io_uring_params *params)
{
	struct start_faults *faults = ctx;
	const struct weir_kernel *under = faults->under;
	return fails(faults) ? faults->err
			     : under->setup(under->ctx, entry_count, params);
}

static int faults_enter(void *ctx, int ring_fd, uint32_t submit_count,
			uint32_t min_complete, uint32_t flags, const void *arg,
			size_t arg_bytes)
{
	struct start_faults *faults = ctx;
	const struct weir_kernel *under = faults->under;
	return under->enter(under->ctx, ring_fd, submit_count, min_complete,
			    flags, arg, arg_bytes);
}

static int faults_register(void *ctx, int ring_fd, uint32_t opcode, void *arg,
			   uint32_t arg_count)
{
	struct start_faults *faults = ctx;
	const struct weir_kernel *under = faults->under;
	return fails(faults) ? faults->err
			     : under->register_op(under->ctx, ring_fd, opcode,
						  arg, arg_count);
}

static int faults_map(void *ctx, size_t bytes, int fd, uint64_t offset,
		      void **out_memory)
{
	struct start_faults *faults = ctx;
	const struct weir_kernel *under = faults->under;
	if (fails(faults))
		return faults->err;
	const int err = under->map(under->ctx, bytes, fd, offset, out_memory);
	if (err == 0)
		(void)__atomic_add_fetch(&faults->mappings, 1,
					 __ATOMIC_RELAXED);
	return err;
}

static int faults_unmap(void *ctx, void *memory, size_t bytes)
{
	struct start_faults *faults = ctx;
	const struct weir_kernel *under = faults->under;
	(void)__atomic_sub_fetch(&faults->mappings, 1, __ATOMIC_RELAXED);
	return under->unmap(under->ctx, memory, bytes);
}

static int faults_socket(void *ctx, int family, int type, int protocol)
{
	struct start_faults *faults = ctx;
	const struct weir_kernel *under = faults->under;
	return fails(faults)
		       ? faults->err
		       : under->socket(under->ctx, family, type, protocol);
}

static int faults_bind(void *ctx, int fd, const struct sockaddr *address,
		       socklen_t address_bytes)
{
	struct start_faults *faults = ctx;
	const struct weir_kernel *under = faults->under;
	return fails(faults)
		       ? faults->err
		       : under->bind(under->ctx, fd, address, address_bytes);
}

static int faults_listen(void *ctx, int fd, int backlog)
{
	struct start_faults *faults = ctx;
	const struct weir_kernel *under = faults->under;
	return fails(faults) ? faults->err
			     : under->listen(under->ctx, fd, backlog);
}

static int faults_sockname(void *ctx, int fd, struct sockaddr *out_address,
			   socklen_t *address_bytes)
{
	struct start_faults *faults = ctx;
	const struct weir_kernel *under = faults->under;
	return fails(faults) ? faults->err
			     : under->sockname(under->ctx, fd, out_address,
					       address_bytes);
}

static void faults_pause(void *ctx, uint64_t ns)
{
	struct start_faults *faults = ctx;
	faults->under->pause(faults->under->ctx, ns);
}

static int faults_wait(void *ctx, const uint32_t *word, uint32_t value)
{
	struct start_faults *faults = ctx;
	return faults->under->wait(faults->under->ctx, word, value);
}

static int faults_wake(void *ctx, const uint32_t *word)
{
	struct start_faults *faults = ctx;
	return faults->under->wake(faults->under->ctx, word);
}

static int faults_sockopt(void *ctx, int fd, int level, int name,
			  const void *value, socklen_t value_bytes)
{
	struct start_faults *faults = ctx;
	const struct weir_kernel *under = faults->under;
	return fails(faults) ? faults->err
			     : under->sockopt(under->ctx, fd, level, name,
					      value, value_bytes);
}

static int faults_shutdown(void *ctx, int fd, int how)
{
	struct start_faults *faults = ctx;
	return faults->under->shutdown(faults->under->ctx, fd, how);
}

static int faults_close(void *ctx, int fd)
{
	struct start_faults *faults = ctx;
	return faults->under->close(faults->under->ctx, fd);
}

static int faults_doorbell_open(void *ctx)
{
	struct start_faults *faults = ctx;
	const struct weir_kernel *under = faults->under;
	return fails(faults) ? faults->err : under->doorbell_open(under->ctx);
}

static int faults_doorbell_ring(void *ctx, int fd)
{
	struct start_faults *faults = ctx;
	return faults->under->doorbell_ring(faults->under->ctx, fd);
}

static uint64_t faults_now_ns(void *ctx)
{
	struct start_faults *faults = ctx;
	return faults->under->now_ns(faults->under->ctx);
}

static int faults_random(void *ctx, void *out_bytes, size_t byte_count)
{
	struct start_faults *faults = ctx;
	const struct weir_kernel *under = faults->under;
	return fails(faults) ? faults->err
			     : under->random(under->ctx, out_bytes, byte_count);
}

void start_faults_init(struct start_faults *faults,
		       const struct weir_kernel *under, uint32_t fail_at,
		       bool for_ever, int err)
{
	*faults = (struct start_faults){
		.kernel = { .name = "start-faults",
			    .ctx = faults,
			    .setup = faults_setup,
			    .enter = faults_enter,
			    .register_op = faults_register,
			    .map = faults_map,
			    .unmap = faults_unmap,
			    .socket = faults_socket,
			    .bind = faults_bind,
			    .listen = faults_listen,
			    .sockname = faults_sockname,
			    .pause = faults_pause,
			    .wait = faults_wait,
			    .wake = faults_wake,
			    .sockopt = faults_sockopt,
			    .shutdown = faults_shutdown,
			    .close = faults_close,
			    .doorbell_open = faults_doorbell_open,
			    .doorbell_ring = faults_doorbell_ring,
			    .now_ns = faults_now_ns,
			    .random = faults_random },
		.under = under,
		.fail_at = fail_at,
		.for_ever = for_ever,
		.err = err,
	};
}

bool start_faults_had_one(const struct start_faults *faults)
{
	return faults->fail_at != 0 && faults->calls >= faults->fail_at;
}
