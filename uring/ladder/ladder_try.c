/* ladder_try.c - each rung as a few operations with their expected results
 *
 * Not here: operations on sockets and buffers (ladder_try_net.c), steering
 * (ladder_try_steer.c), what an errno means (ladder.c).
 */
#include "ladder_try.h"

#include "../ring_inline.h"
#include "ladder_try_net.h"
#include "ladder_try_steer.h"

#include <errno.h>
#include <time.h>

enum {
	NO_SUCH_OPCODE = 255,
	BATCH = 8,
	MIN_WAIT_US = 1000,
	MIN_WAIT_TRIES = 4,
	NS_PER_MS = 1000000,
	SECOND_NS = 1000 * NS_PER_MS,
};

static int try_nop(struct wi_stage *stage)
{
	(void)wi_stage_sqe(stage, IORING_OP_NOP, -1);
	return wi_stage_do(stage);
}

/* ---- set-up -------------------------------------------------------------- */

static int try_flags(struct wi_stage *stage, uint32_t setup_flags)
{
	int err = wi_stage_open_exact(stage, setup_flags);
	return err < 0 ? err : try_nop(stage);
}

static int try_defer_taskrun(struct wi_stage *stage)
{
	return try_flags(stage, IORING_SETUP_SINGLE_ISSUER |
					IORING_SETUP_DEFER_TASKRUN |
					IORING_SETUP_TASKRUN_FLAG);
}

static int try_coop_taskrun(struct wi_stage *stage)
{
	return try_flags(stage,
			 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
}

static int try_no_sqarray(struct wi_stage *stage)
{
	return try_flags(stage, IORING_SETUP_NO_SQARRAY);
}

static int try_cqe_mixed(struct wi_stage *stage)
{
	return try_flags(stage, IORING_SETUP_CQE_MIXED);
}

/* One enter consumes the malformed entry and the one after it. */
static int try_submit_all(struct wi_stage *stage)
{
	int err = wi_stage_open_exact(stage, IORING_SETUP_SUBMIT_ALL);
	if (err < 0)
		return err;
	(void)wi_stage_sqe(stage, NO_SUCH_OPCODE, -1);
	(void)wi_stage_sqe(stage, IORING_OP_NOP, -1);
	err = weir_ring_enter(&stage->ring, NULL);
	if (err < 0)
		return err;
	return weir_ring_ready(&stage->ring) == 2 ? 0 : -EPROTO;
}

static int try_registered_ring(struct wi_stage *stage)
{
	int err = wi_stage_open(stage);
	if (err < 0)
		return err;
	if (!stage->ring.has_registered_fd)
		return stage->ring.registered_err;
	return try_nop(stage);
}

static int try_restrictions(struct wi_stage *stage)
{
	struct io_uring_restriction allowed[] = {
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
		  .value = IORING_REGISTER_ENABLE_RINGS },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .value = IORING_OP_NOP },
	};
	int err = wi_stage_open_exact(stage, IORING_SETUP_R_DISABLED);
	if (err < 0)
		return err;
	err = weir_ring_register(&stage->ring, IORING_REGISTER_RESTRICTIONS,
				 allowed, 2);
	if (err >= 0)
		err = weir_ring_enable(&stage->ring);
	if (err >= 0)
		err = try_nop(stage);
	if (err < 0)
		return err;
	/* The kernel must refuse a forbidden operation before it reads the
	 * arguments. */
	(void)wi_stage_sqe(stage, IORING_OP_ACCEPT, -1);
	return wi_stage_do(stage) == -EACCES ? 0 : -EPROTO;
}

/* ---- entering ------------------------------------------------------------ */

/* One completion is ready and eight are wanted: the wait must end long before
 * the timeout. */
static int try_min_wait_once(struct wi_stage *stage, uint64_t *out_slept_ns)
{
	const struct weir_kernel *kernel = stage->kernel;
	const struct weir_wait wait = {
		.want_count = BATCH,
		.min_wait_us = MIN_WAIT_US,
		.timeout_ns = SECOND_NS,
	};
	(void)wi_stage_sqe(stage, IORING_OP_NOP, -1);
	const uint64_t start_ns = kernel->now_ns(kernel->ctx);
	int err = weir_ring_enter(&stage->ring, &wait);
	if (err < 0)
		return err;
	*out_slept_ns = kernel->now_ns(kernel->ctx) - start_ns;
	const uint32_t ready = weir_ring_ready(&stage->ring);
	weir_ring_reaped(&stage->ring, ready);
	return ready == 1 ? 0 : -EPROTO;
}

/* One short sleep is proof: without min-wait every sleep is long. A long one
 * proves nothing: the machine may have been paused. */
static int try_min_wait(struct wi_stage *stage)
{
	int err = wi_stage_open(stage);
	stage->ring.has_min_wait =
		true; /* try it, whatever the feature bit says */
	for (int i = 0; i < MIN_WAIT_TRIES && err == 0; i++) {
		uint64_t slept_ns = 0;
		err = try_min_wait_once(stage, &slept_ns);
		if (err == 0 && slept_ns < SECOND_NS / 2)
			return 0;
	}
	return err < 0 ? err : -EPROTO;
}

static int try_no_iowait(struct wi_stage *stage)
{
	int err = wi_stage_open(stage);
	if (err < 0)
		return err;
	stage->ring.enter_flags |= IORING_ENTER_NO_IOWAIT;
	return try_nop(stage);
}

/* No operation is in flight: a wait of a millisecond must end by its
 * timeout. */
static int try_wait_region(struct wi_stage *stage)
{
	const struct weir_kernel *kernel = stage->kernel;
	int err = wi_stage_open_exact(stage, IORING_SETUP_R_DISABLED);
	if (err >= 0)
		err = wi_stage_page(stage);
	if (err < 0)
		return err;
	struct io_uring_reg_wait *wait =
		(struct io_uring_reg_wait *)(void *)stage->page;
	struct io_uring_region_desc region = {
		.user_addr = (uint64_t)(uintptr_t)stage->page,
		.size = WI_STAGE_PAGE_BYTES,
		.flags = IORING_MEM_REGION_TYPE_USER,
	};
	struct io_uring_mem_region_reg reg = {
		.region_uptr = (uint64_t)(uintptr_t)&region,
		.flags = IORING_MEM_REGION_REG_WAIT_ARG,
	};
	*wait = (struct io_uring_reg_wait){
		.ts = { .tv_nsec = NS_PER_MS },
		.flags = IORING_REG_WAIT_TS,
	};
	err = weir_ring_register(&stage->ring, IORING_REGISTER_MEM_REGION, &reg,
				 1);
	if (err >= 0)
		err = weir_ring_enable(&stage->ring);
	if (err < 0)
		return err;
	err = kernel->enter(kernel->ctx, stage->ring.fd, 0, 1,
			    IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG |
				    IORING_ENTER_EXT_ARG_REG,
			    NULL, sizeof(*wait)); /* at offset 0 */
	if (err == -ETIME)
		return 0;
	return err < 0 ? err : -EPROTO;
}

/* ---- registering --------------------------------------------------------- */

static int try_register(struct wi_stage *stage, uint32_t opcode, void *arg,
			uint32_t arg_count)
{
	int err = wi_stage_open(stage);
	if (err < 0)
		return err;
	err = weir_ring_register(&stage->ring, opcode, arg, arg_count);
	return err < 0 ? err : try_nop(stage);
}

static int try_napi(struct wi_stage *stage)
{
	struct io_uring_napi napi = { .busy_poll_to = 1 };
	return try_register(stage, IORING_REGISTER_NAPI, &napi, 1);
}

static int try_clock(struct wi_stage *stage)
{
	struct io_uring_clock_register clock = { .clockid = CLOCK_BOOTTIME };
	return try_register(stage, IORING_REGISTER_CLOCK, &clock, 0);
}

static int try_resize(struct wi_stage *stage)
{
	struct io_uring_params params = {
		.sq_entries = 33, /* which the kernel rounds up */
		.cq_entries = 128,
		.flags = IORING_SETUP_CQSIZE,
	};
	int err = wi_stage_open_exact(
		stage, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	if (err < 0)
		return err;
	err = weir_ring_register(&stage->ring, IORING_REGISTER_RESIZE_RINGS,
				 &params, 1);
	if (err < 0)
		return err;
	return params.sq_entries == 64 ? 0 : -EPROTO;
}

static int try_query(struct wi_stage *stage)
{
	struct io_uring_query_opcode answer = { .feature_flags = 0 };
	struct io_uring_query_hdr header = {
		.query_data = (uint64_t)(uintptr_t)&answer,
		.query_op = IO_URING_QUERY_OPCODES,
		.size = sizeof(answer),
	};
	int err = stage->kernel->register_op(stage->kernel->ctx, -1,
					     IORING_REGISTER_QUERY, &header, 0);
	if (err < 0)
		return err;
	if (header.result < 0)
		return header.result;
	return answer.nr_request_opcodes > 0 ? 0 : -EPROTO;
}

int wi_ladder_try(struct wi_stage *stage, enum weir_rung_id id)
{
	static int (*const tries[WEIR_RUNG_COUNT])(struct wi_stage * stage) = {
		[WEIR_RUNG_DEFER_TASKRUN] = try_defer_taskrun,
		[WEIR_RUNG_COOP_TASKRUN] = try_coop_taskrun,
		[WEIR_RUNG_NO_SQARRAY] = try_no_sqarray,
		[WEIR_RUNG_SUBMIT_ALL] = try_submit_all,
		[WEIR_RUNG_REGISTERED_RING] = try_registered_ring,
		[WEIR_RUNG_MIN_WAIT] = try_min_wait,
		[WEIR_RUNG_NO_IOWAIT] = try_no_iowait,
		[WEIR_RUNG_FILE_TABLE] = wi_try_file_table,
		[WEIR_RUNG_ACCEPT_SLOT_MULTISHOT] = wi_try_accept,
		[WEIR_RUNG_BUFRING] = wi_try_bufring,
		[WEIR_RUNG_RECV_MULTISHOT] = wi_try_recv_multishot,
		[WEIR_RUNG_INSTALL_SLOT] = wi_try_install_slot,
		[WEIR_RUNG_SOCKET_CMD] = wi_try_socket_cmd,
		[WEIR_RUNG_WAIT_REGION] = try_wait_region,
		[WEIR_RUNG_STEER_EBPF] = wi_try_steer_ebpf,
		[WEIR_RUNG_STEER_INCOMING_CPU] = wi_try_steer_incoming_cpu,
		[WEIR_RUNG_STEER_CBPF] = wi_try_steer_cbpf,
		[WEIR_RUNG_RECV_BUNDLE] = wi_try_recv_bundle,
		[WEIR_RUNG_BUFRING_INCREMENTAL] = wi_try_bufring_incremental,
		[WEIR_RUNG_SEND_VECTORIZED] = wi_try_send_vectorized,
		[WEIR_RUNG_SEND_ZC] = wi_try_send_zc,
		[WEIR_RUNG_BIND_LISTEN] = wi_try_bind_listen,
		[WEIR_RUNG_MSG_RING] = wi_try_msg_ring,
		[WEIR_RUNG_SEND_MSG_RING] = wi_try_send_msg_ring,
		[WEIR_RUNG_SYNC_CANCEL] = wi_try_sync_cancel,
		[WEIR_RUNG_NAPI] = try_napi,
		[WEIR_RUNG_RESIZE] = try_resize,
		[WEIR_RUNG_RESTRICTIONS] = try_restrictions,
		[WEIR_RUNG_CLOCK] = try_clock,
		[WEIR_RUNG_CQE_MIXED] = try_cqe_mixed,
		[WEIR_RUNG_QUERY] = try_query,
	};
	assert(tries[id] != NULL);
	int result = tries[id](stage);
	return result < 0 ? result : 0;
}
