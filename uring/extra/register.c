#include "register.h"

#include "../abi.h"

#include <errno.h>

enum { NS_PER_S = 1000000000 };

/* Some of these calls return a count or a leftover value. */
static int zero_or_error(int result)
{
	return result < 0 ? result : 0;
}

static int register_without_ring(const struct weir_kernel *kernel,
				 uint32_t opcode, void *arg, uint32_t arg_count)
{
	if (kernel == NULL)
		kernel = weir_kernel_default();
	return kernel->register_op(kernel->ctx, -1, opcode, arg, arg_count);
}

int weir_register_eventfd(struct weir_ring *ring, int eventfd, bool async_only)
{
	int32_t fd = eventfd;
	return zero_or_error(
		weir_ring_register(ring,
				   async_only ? IORING_REGISTER_EVENTFD_ASYNC
					      : IORING_REGISTER_EVENTFD,
				   &fd, 1));
}

int weir_register_eventfd_off(struct weir_ring *ring)
{
	return zero_or_error(
		weir_ring_register(ring, IORING_UNREGISTER_EVENTFD, NULL, 0));
}

int weir_register_iowq_limits(struct weir_ring *ring,
			      struct weir_iowq_limits limits,
			      struct weir_iowq_limits *out_before)
{
	uint32_t pair[2] = { limits.bounded, limits.unbounded };
	int err = weir_ring_register(ring, IORING_REGISTER_IOWQ_MAX_WORKERS,
				     pair, 2);
	if (err < 0)
		return err;
	if (out_before != NULL)
		*out_before = (struct weir_iowq_limits){
			.bounded = pair[0],
			.unbounded = pair[1],
		};
	return 0;
}

int weir_register_clock(struct weir_ring *ring, uint32_t clock_id)
{
	struct io_uring_clock_register clock = { .clockid = clock_id };
	return zero_or_error(
		weir_ring_register(ring, IORING_REGISTER_CLOCK, &clock, 0));
}

static struct weir_napi napi_from_kernel(const struct io_uring_napi *napi)
{
	return (struct weir_napi){
		.busy_poll_us = napi->busy_poll_to,
		.prefers_busy_poll = napi->prefer_busy_poll != 0,
		.tracking = (enum weir_napi_tracking)napi->op_param,
	};
}

int weir_register_napi(struct weir_ring *ring, const struct weir_napi *napi,
		       struct weir_napi *out_before)
{
	struct io_uring_napi arg = {
		.busy_poll_to = napi->busy_poll_us,
		.prefer_busy_poll = napi->prefers_busy_poll,
		.opcode = IO_URING_NAPI_REGISTER_OP,
		.op_param = (uint32_t)napi->tracking,
	};
	int err = weir_ring_register(ring, IORING_REGISTER_NAPI, &arg, 1);
	if (err < 0)
		return err;
	if (out_before != NULL)
		*out_before = napi_from_kernel(&arg);
	return 0;
}

int weir_register_napi_off(struct weir_ring *ring, struct weir_napi *out_before)
{
	struct io_uring_napi arg = { .busy_poll_to = 0 };
	int err = weir_ring_register(ring, IORING_UNREGISTER_NAPI, &arg, 1);
	if (err < 0)
		return err;
	if (out_before != NULL)
		*out_before = napi_from_kernel(&arg);
	return 0;
}

int weir_register_napi_queue(struct weir_ring *ring, uint32_t napi_id,
			     bool is_added)
{
	struct io_uring_napi arg = {
		.opcode = is_added ? IO_URING_NAPI_STATIC_ADD_ID
				   : IO_URING_NAPI_STATIC_DEL_ID,
		.op_param = napi_id,
	};
	return zero_or_error(
		weir_ring_register(ring, IORING_REGISTER_NAPI, &arg, 1));
}

int weir_register_cancel(struct weir_ring *ring,
			 const struct weir_cancel_match *match,
			 uint64_t timeout_ns)
{
	struct io_uring_sync_cancel_reg cancel = {
		.addr = match->user_data,
		.fd = match->fd,
		.flags = match->flags,
		.timeout = { .tv_sec = -1, .tv_nsec = -1 },
		.opcode = match->opcode,
	};
	if (timeout_ns != WEIR_TIMEOUT_NEVER)
		cancel.timeout = (struct weir_kernel_timespec){
			.tv_sec = (int64_t)(timeout_ns / NS_PER_S),
			.tv_nsec = (int64_t)(timeout_ns % NS_PER_S),
		};
	return weir_ring_register(ring, IORING_REGISTER_SYNC_CANCEL, &cancel,
				  1);
}

int weir_register_query(const struct weir_kernel *kernel,
			struct weir_kernel_limits *out_limits)
{
	struct io_uring_query_opcode answer = { .nr_request_opcodes = 0 };
	struct io_uring_query_hdr question = {
		.query_data = (uint64_t)(uintptr_t)&answer,
		.query_op = IO_URING_QUERY_OPCODES,
		.size = sizeof(answer),
	};
	int err = register_without_ring(kernel, IORING_REGISTER_QUERY,
					&question, 0);
	if (err == -EINVAL || err == -EBADF)
		return -EOPNOTSUPP;
	if (err < 0)
		return err;
	if (question.result < 0)
		return question.result;

	*out_limits = (struct weir_kernel_limits){
		.op_count = answer.nr_request_opcodes,
		.register_op_count = answer.nr_register_opcodes,
		.features = answer.feature_flags,
		.setup_flags = answer.ring_setup_flags,
		.enter_flags = answer.enter_flags,
		.sqe_flags = answer.sqe_flags,
	};
	return 0;
}

int weir_register_message(const struct weir_kernel *kernel, int ring_fd,
			  uint64_t user_data, int32_t res)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_MSG_RING,
		.fd = ring_fd,
		.off = user_data,
		.addr = IORING_MSG_DATA,
		.len = (uint32_t)res,
	};
	return zero_or_error(register_without_ring(
		kernel, IORING_REGISTER_SEND_MSG_RING, &sqe, 1));
}
