#include "ladder_stage.h"

#include "../ring_inline.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum {
	SQ_ENTRIES = 8,
	TABLE_SLOTS = 4,
	BACKLOG = 4,
	WAIT_NS = 1000000000,
	WAIT_TRIES_MAX = 100000, /* in case the clock does not advance */
};

void wi_stage_init(struct wi_stage *stage, const struct weir_kernel *kernel,
		   weir_rung_set forced_off)
{
	*stage = (struct wi_stage){
		.kernel = kernel,
		.forced_off = forced_off,
		.ring = { .fd = -1, .kernel = kernel },
		.listener = -1,
		.second = -1,
		.near = -1,
		.far = -1,
	};
}

int wi_stage_open(struct wi_stage *stage)
{
	const struct weir_ring_opts opts = {
		.kernel = stage->kernel,
		.sq_entry_count = SQ_ENTRIES,
		.cq_entry_count = 2 * SQ_ENTRIES,
		.forced_off = stage->forced_off,
	};
	int err = weir_ring_open(&stage->ring, &opts, &stage->reason);
	if (err < 0)
		return err;
	return weir_ring_enable(&stage->ring);
}

int wi_stage_open_exact(struct wi_stage *stage, uint32_t setup_flags)
{
	return wi_ring_open_exact(&stage->ring, stage->kernel, SQ_ENTRIES,
				  setup_flags);
}

static void stage_close_fd(const struct wi_stage *stage, int fd)
{
	if (fd >= 0)
		(void)stage->kernel->close(stage->kernel->ctx, fd);
}

void wi_stage_close(struct wi_stage *stage)
{
	weir_ring_close(&stage->ring);
	stage_close_fd(stage, stage->near);
	stage_close_fd(stage, stage->far);
	stage_close_fd(stage, stage->listener);
	stage_close_fd(stage, stage->second);
	/* The kernel may still write to it, but it has pinned the pages. */
	if (stage->page != NULL)
		(void)stage->kernel->unmap(stage->kernel->ctx, stage->page,
					   WI_STAGE_PAGE_BYTES);
	wi_stage_init(stage, stage->kernel, stage->forced_off);
}

int wi_stage_page(struct wi_stage *stage)
{
	void *page = NULL;
	int err = stage->kernel->map(stage->kernel->ctx, WI_STAGE_PAGE_BYTES,
				     -1, 0, &page);
	if (err < 0)
		return err;
	stage->page = page;
	return 0;
}

int wi_stage_table(struct wi_stage *stage)
{
	struct io_uring_rsrc_register table = {
		.nr = TABLE_SLOTS,
		.flags = IORING_RSRC_REGISTER_SPARSE,
	};
	return weir_ring_register(&stage->ring, IORING_REGISTER_FILES2, &table,
				  sizeof(table));
}

int wi_stage_bufs(struct wi_stage *stage, uint32_t buf_count,
		  uint32_t buf_bytes, uint16_t flags)
{
	assert(WI_STAGE_BUFS_AT + buf_count * buf_bytes <= WI_STAGE_PAGE_BYTES);

	int err = wi_stage_page(stage);
	if (err < 0)
		return err;
	struct io_uring_buf *entries =
		(struct io_uring_buf *)(void *)stage->page;
	struct io_uring_buf_reg reg = {
		.ring_addr = (uint64_t)(uintptr_t)entries,
		.ring_entries = buf_count,
		.bgid = WI_STAGE_GROUP,
		.flags = flags,
	};
	err = weir_ring_register(&stage->ring, IORING_REGISTER_PBUF_RING, &reg,
				 1);
	if (err < 0)
		return err;
	for (uint32_t i = 0; i < buf_count; i++) {
		entries[i].addr =
			(uint64_t)(uintptr_t)(stage->page + WI_STAGE_BUFS_AT +
					      (size_t)i * buf_bytes);
		entries[i].len = buf_bytes;
		entries[i].bid = (uint16_t)i;
	}
	wi_store_release_u16(&entries[0].resv, (uint16_t)buf_count);
	return 0;
}

/* ---- operations ---------------------------------------------------------- */

struct io_uring_sqe *wi_stage_sqe(struct wi_stage *stage, uint8_t opcode,
				  int fd)
{
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&stage->ring);
	assert(sqe != NULL); /* no rung fills the queue */
	sqe->opcode = opcode;
	sqe->fd = fd;
	sqe->user_data = ++stage->tag;
	return sqe;
}

/* True if a completion of these tags is ready, or a failed one: no operation on
 * a stage may fail. */
static bool stage_find(struct wi_stage *stage, uint64_t tag, uint64_t other,
		       struct io_uring_cqe *out_cqe)
{
	while (weir_ring_ready(&stage->ring) > 0) {
		*out_cqe = *weir_ring_cqe(&stage->ring, 0);
		weir_ring_reaped(&stage->ring, 1);
		if (out_cqe->user_data == tag || out_cqe->user_data == other ||
		    out_cqe->res < 0)
			return true;
	}
	return false;
}

int wi_stage_wait_either(struct wi_stage *stage, uint64_t tag, uint64_t other,
			 struct io_uring_cqe *out_cqe)
{
	const struct weir_kernel *kernel = stage->kernel;
	const struct weir_wait wait = { .want_count = 1,
					.timeout_ns = WAIT_NS };
	const uint64_t end_ns = kernel->now_ns(kernel->ctx) + WAIT_NS;
	bool is_last = false;

	for (int i = 0; i < WAIT_TRIES_MAX; i++) {
		int err = weir_ring_enter(&stage->ring, &wait);
		if (err < 0)
			return err;
		if (stage_find(stage, tag, other, out_cqe))
			return out_cqe->user_data == tag ||
					       out_cqe->user_data == other
				       ? 0
				       : out_cqe->res;
		/* The machine may have been paused for that long: then the
		 * completion comes now. */
		if (is_last)
			break;
		is_last = kernel->now_ns(kernel->ctx) >= end_ns;
	}
	return -ETIME;
}

int wi_stage_wait(struct wi_stage *stage, uint64_t tag,
		  struct io_uring_cqe *out_cqe)
{
	return wi_stage_wait_either(stage, tag, tag, out_cqe);
}

int wi_stage_do(struct wi_stage *stage)
{
	struct io_uring_cqe cqe;
	int err = wi_stage_wait(stage, stage->tag, &cqe);
	return err < 0 ? err : cqe.res;
}

/* ---- sockets ------------------------------------------------------------- */

static void stage_where(struct wi_stage_address *out_where)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	*out_where =
		(struct wi_stage_address){ .address_bytes = sizeof(address) };
	memcpy(&out_where->address, &address, sizeof(address));
}

/* Binds @fd to @where, then stores the actual address there. */
static int stage_bind(const struct wi_stage *stage, int fd, bool joins_group,
		      struct wi_stage_address *where)
{
	const struct weir_kernel *kernel = stage->kernel;
	struct sockaddr *address = (struct sockaddr *)&where->address;
	const int on = 1;
	int err = 0;
	if (joins_group)
		err = kernel->sockopt(kernel->ctx, fd, SOL_SOCKET, SO_REUSEPORT,
				      &on, sizeof(on));
	if (err >= 0)
		err = kernel->bind(kernel->ctx, fd, address,
				   where->address_bytes);
	if (err >= 0)
		err = kernel->listen(kernel->ctx, fd, BACKLOG);
	where->address_bytes = sizeof(where->address);
	if (err >= 0)
		err = kernel->sockname(kernel->ctx, fd, address,
				       &where->address_bytes);
	return err;
}

/* Return: the descriptor. */
static int stage_listener(const struct wi_stage *stage, bool joins_group,
			  struct wi_stage_address *where)
{
	const struct weir_kernel *kernel = stage->kernel;
	const int fd = kernel->socket(kernel->ctx, AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return fd;
	const int err = stage_bind(stage, fd, joins_group, where);
	if (err < 0) {
		(void)kernel->close(kernel->ctx, fd);
		return err;
	}
	return fd;
}

int wi_stage_listen(struct wi_stage *stage, struct wi_stage_address *where)
{
	stage_where(where);
	stage->listener = stage_listener(stage, false, where);
	return stage->listener < 0 ? stage->listener : 0;
}

int wi_stage_listen_twice(struct wi_stage *stage,
			  struct wi_stage_address *where)
{
	stage_where(where);
	stage->listener = stage_listener(stage, true, where);
	if (stage->listener < 0)
		return stage->listener;
	stage->second = stage_listener(stage, true, where);
	return stage->second < 0 ? stage->second : 0;
}

int wi_stage_socket(struct wi_stage *stage)
{
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_SOCKET, AF_INET);
	sqe->off = SOCK_STREAM;
	return wi_stage_do(stage);
}

int wi_stage_connect(struct wi_stage *stage,
		     const struct wi_stage_address *where)
{
	stage->near = wi_stage_socket(stage);
	if (stage->near < 0)
		return stage->near;
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_CONNECT, stage->near);
	sqe->addr = (uint64_t)(uintptr_t)&where->address;
	sqe->off = where->address_bytes;
	return wi_stage_do(stage);
}

int wi_stage_pair(struct wi_stage *stage)
{
	struct wi_stage_address where;
	int err = wi_stage_listen(stage, &where);
	if (err < 0)
		return err;
	err = wi_stage_connect(stage, &where);
	if (err < 0)
		return err;
	(void)wi_stage_sqe(stage, IORING_OP_ACCEPT, stage->listener);
	stage->far = wi_stage_do(stage);
	return stage->far < 0 ? stage->far : 0;
}

int wi_stage_send(struct wi_stage *stage, const char *text)
{
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_SEND, stage->near);
	const int bytes = (int)strlen(text);
	sqe->addr = (uint64_t)(uintptr_t)text;
	sqe->len = (uint32_t)bytes;
	int res = wi_stage_do(stage);
	if (res < 0)
		return res;
	return res == bytes ? 0 : -EPROTO;
}
