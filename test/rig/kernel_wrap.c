#include "kernel_wrap.h"

#include <stddef.h>

/* ---- to the kernel under it ---------------------------------------------- */

static void call_ring(const struct weir_kernel *under, struct kernel_call *call)
{
	switch (call->id) {
	case CALL_SETUP:
		call->result = under->setup(under->ctx, call->setup.entry_count,
					    call->setup.params);
		break;
	case CALL_ENTER:
		call->result = under->enter(under->ctx, call->enter.ring_fd,
					    call->enter.submit_count,
					    call->enter.min_complete,
					    call->enter.flags, call->enter.arg,
					    call->enter.arg_bytes);
		break;
	default:
		call->result = under->register_op(
			under->ctx, call->register_op.ring_fd,
			call->register_op.opcode, call->register_op.arg,
			call->register_op.arg_count);
		break;
	}
}

static void call_memory(const struct weir_kernel *under,
			struct kernel_call *call)
{
	switch (call->id) {
	case CALL_MAP:
		call->result =
			under->map(under->ctx, call->map.bytes, call->map.fd,
				   call->map.offset, call->map.out_memory);
		break;
	case CALL_UNMAP:
		call->result = under->unmap(under->ctx, call->memory.memory,
					    call->memory.bytes);
		break;
	default:
		call->result =
			under->advise(under->ctx, call->memory.memory,
				      call->memory.bytes, call->memory.advice);
		break;
	}
}

static void call_socket(const struct weir_kernel *under,
			struct kernel_call *call)
{
	switch (call->id) {
	case CALL_SOCKET:
		call->result =
			under->socket(under->ctx, call->socket.family,
				      call->socket.type, call->socket.protocol);
		break;
	case CALL_SOCKOPT:
		call->result = under->sockopt(
			under->ctx, call->sockopt.fd, call->sockopt.level,
			call->sockopt.name, call->sockopt.value,
			call->sockopt.value_bytes);
		break;
	case CALL_BIND:
		call->result = under->bind(under->ctx, call->bind.fd,
					   call->bind.address,
					   call->bind.address_bytes);
		break;
	case CALL_LISTEN:
		call->result = under->listen(under->ctx, call->fd.fd,
					     call->fd.backlog);
		break;
	case CALL_SOCKNAME:
		call->result = under->sockname(under->ctx, call->sockname.fd,
					       call->sockname.out_address,
					       call->sockname.address_bytes);
		break;
	case CALL_DISCONNECT:
		call->result = under->disconnect(under->ctx, call->fd.fd);
		break;
	default:
		call->result =
			under->shutdown(under->ctx, call->fd.fd, call->fd.how);
		break;
	}
}

static void call_rest(const struct weir_kernel *under, struct kernel_call *call)
{
	switch (call->id) {
	case CALL_CLOSE:
		call->result = under->close(under->ctx, call->fd.fd);
		break;
	case CALL_DOORBELL_OPEN:
		call->result = under->doorbell_open(under->ctx);
		break;
	case CALL_DOORBELL_RING:
		call->result = under->doorbell_ring(under->ctx, call->fd.fd);
		break;
	case CALL_NOW_NS:
		call->ns = under->now_ns(under->ctx);
		break;
	case CALL_PAUSE:
		under->pause(under->ctx, call->ns);
		break;
	case CALL_WAIT:
		call->result = under->wait(under->ctx, call->word.word,
					   call->word.value);
		break;
	case CALL_WAKE:
		call->result = under->wake(under->ctx, call->word.word);
		break;
	case CALL_RANDOM:
		call->result = under->random(under->ctx, call->random.out_bytes,
					     call->random.byte_count);
		break;
	default:
		call->result = under->punt_workers(under->ctx);
		break;
	}
}

void kernel_wrap_call(const struct kernel_wrap *wrap, struct kernel_call *call)
{
	if (call->id <= CALL_REGISTER)
		call_ring(wrap->under, call);
	else if (call->id <= CALL_ADVISE)
		call_memory(wrap->under, call);
	else if (call->id <= CALL_SHUTDOWN)
		call_socket(wrap->under, call);
	else
		call_rest(wrap->under, call);
}

/* ---- from the code under test -------------------------------------------- */

static int wrap_do(const struct kernel_wrap *wrap, struct kernel_call *call)
{
	if (wrap->before != NULL && wrap->before(wrap->ctx, call))
		return call->result;
	kernel_wrap_call(wrap, call);
	if (wrap->after != NULL)
		wrap->after(wrap->ctx, call);
	return call->result;
}

static int wrap_setup(void *ctx, uint32_t entry_count,
		      struct io_uring_params *params)
{
	struct kernel_call call = { .id = CALL_SETUP };
	call.setup.entry_count = entry_count;
	call.setup.params = params;
	return wrap_do(ctx, &call);
}

static int wrap_enter(void *ctx, int ring_fd, uint32_t submit_count,
		      uint32_t min_complete, uint32_t flags, const void *arg,
		      size_t arg_bytes)
{
	struct kernel_call call = { .id = CALL_ENTER };
	call.enter.ring_fd = ring_fd;
	call.enter.submit_count = submit_count;
	call.enter.min_complete = min_complete;
	call.enter.flags = flags;
	call.enter.arg = arg;
	call.enter.arg_bytes = arg_bytes;
	return wrap_do(ctx, &call);
}

static int wrap_register(void *ctx, int ring_fd, uint32_t opcode, void *arg,
			 uint32_t arg_count)
{
	struct kernel_call call = { .id = CALL_REGISTER };
	call.register_op.ring_fd = ring_fd;
	call.register_op.opcode = opcode;
	call.register_op.arg = arg;
	call.register_op.arg_count = arg_count;
	return wrap_do(ctx, &call);
}

static int wrap_map(void *ctx, size_t bytes, int fd, uint64_t offset,
		    void **out_memory)
{
	struct kernel_call call = { .id = CALL_MAP };
	call.map.bytes = bytes;
	call.map.fd = fd;
	call.map.offset = offset;
	call.map.out_memory = out_memory;
	return wrap_do(ctx, &call);
}

static int wrap_unmap(void *ctx, void *memory, size_t bytes)
{
	struct kernel_call call = { .id = CALL_UNMAP };
	call.memory.memory = memory;
	call.memory.bytes = bytes;
	return wrap_do(ctx, &call);
}

static int wrap_advise(void *ctx, void *memory, size_t bytes, int advice)
{
	struct kernel_call call = { .id = CALL_ADVISE };
	call.memory.memory = memory;
	call.memory.bytes = bytes;
	call.memory.advice = advice;
	return wrap_do(ctx, &call);
}

static int wrap_socket(void *ctx, int family, int type, int protocol)
{
	struct kernel_call call = { .id = CALL_SOCKET };
	call.socket.family = family;
	call.socket.type = type;
	call.socket.protocol = protocol;
	return wrap_do(ctx, &call);
}

static int wrap_sockopt(void *ctx, int fd, int level, int name,
			const void *value, socklen_t value_bytes)
{
	struct kernel_call call = { .id = CALL_SOCKOPT };
	call.sockopt.fd = fd;
	call.sockopt.level = level;
	call.sockopt.name = name;
	call.sockopt.value = value;
	call.sockopt.value_bytes = value_bytes;
	return wrap_do(ctx, &call);
}

static int wrap_bind(void *ctx, int fd, const struct sockaddr *address,
		     socklen_t address_bytes)
{
	struct kernel_call call = { .id = CALL_BIND };
	call.bind.fd = fd;
	call.bind.address = address;
	call.bind.address_bytes = address_bytes;
	return wrap_do(ctx, &call);
}

static int wrap_sockname(void *ctx, int fd, struct sockaddr *out_address,
			 socklen_t *address_bytes)
{
	struct kernel_call call = { .id = CALL_SOCKNAME };
	call.sockname.fd = fd;
	call.sockname.out_address = out_address;
	call.sockname.address_bytes = address_bytes;
	return wrap_do(ctx, &call);
}

static int wrap_fd(void *ctx, enum kernel_call_id id, int fd, int backlog,
		   int how)
{
	struct kernel_call call = { .id = id };
	call.fd.fd = fd;
	call.fd.backlog = backlog;
	call.fd.how = how;
	return wrap_do(ctx, &call);
}

static int wrap_listen(void *ctx, int fd, int backlog)
{
	return wrap_fd(ctx, CALL_LISTEN, fd, backlog, 0);
}

static int wrap_disconnect(void *ctx, int fd)
{
	return wrap_fd(ctx, CALL_DISCONNECT, fd, 0, 0);
}

static int wrap_shutdown(void *ctx, int fd, int how)
{
	return wrap_fd(ctx, CALL_SHUTDOWN, fd, 0, how);
}

static int wrap_close(void *ctx, int fd)
{
	return wrap_fd(ctx, CALL_CLOSE, fd, 0, 0);
}

static int wrap_doorbell_open(void *ctx)
{
	return wrap_fd(ctx, CALL_DOORBELL_OPEN, -1, 0, 0);
}

static int wrap_doorbell_ring(void *ctx, int fd)
{
	return wrap_fd(ctx, CALL_DOORBELL_RING, fd, 0, 0);
}

static uint64_t wrap_now_ns(void *ctx)
{
	struct kernel_call call = { .id = CALL_NOW_NS };
	(void)wrap_do(ctx, &call);
	return call.ns;
}

static void wrap_pause(void *ctx, uint64_t ns)
{
	struct kernel_call call = { .id = CALL_PAUSE };
	call.ns = ns;
	(void)wrap_do(ctx, &call);
}

static int wrap_wait(void *ctx, const uint32_t *word, uint32_t value)
{
	struct kernel_call call = { .id = CALL_WAIT };
	call.word.word = word;
	call.word.value = value;
	return wrap_do(ctx, &call);
}

static int wrap_wake(void *ctx, const uint32_t *word)
{
	struct kernel_call call = { .id = CALL_WAKE };
	call.word.word = word;
	return wrap_do(ctx, &call);
}

static int wrap_random(void *ctx, void *out_bytes, size_t byte_count)
{
	struct kernel_call call = { .id = CALL_RANDOM };
	call.random.out_bytes = out_bytes;
	call.random.byte_count = byte_count;
	return wrap_do(ctx, &call);
}

static int wrap_punt_workers(void *ctx)
{
	struct kernel_call call = { .id = CALL_PUNT_WORKERS };
	return wrap_do(ctx, &call);
}

void kernel_wrap_init(struct kernel_wrap *wrap, const struct weir_kernel *under,
		      bool (*before)(void *ctx, struct kernel_call *call),
		      void (*after)(void *ctx, struct kernel_call *call),
		      void *ctx)
{
	if (under == NULL)
		under = weir_kernel_default();
	*wrap = (struct kernel_wrap){
		.kernel = {
			.name = "wrapped",
			.ctx = wrap,
			.setup = wrap_setup,
			.enter = wrap_enter,
			.register_op = wrap_register,
			.map = wrap_map,
			.unmap = wrap_unmap,
			.advise = wrap_advise,
			.socket = wrap_socket,
			.sockopt = wrap_sockopt,
			.bind = wrap_bind,
			.listen = wrap_listen,
			.sockname = wrap_sockname,
			.disconnect = wrap_disconnect,
			.shutdown = wrap_shutdown,
			.close = wrap_close,
			.doorbell_open = wrap_doorbell_open,
			.doorbell_ring = wrap_doorbell_ring,
			.now_ns = wrap_now_ns,
			.pause = wrap_pause,
			.wait = wrap_wait,
			.wake = wrap_wake,
			.random = wrap_random,
		},
		.under = under,
		.before = before,
		.after = after,
		.ctx = ctx,
	};
	if (under->punt_workers != NULL) /* a kernel may have none */
		wrap->kernel.punt_workers = wrap_punt_workers;
}
