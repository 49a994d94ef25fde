#include "op_rig.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

void rig_open_cq(struct rig *rig, uint32_t cq_entry_count)
{
	struct weir_error error;
	const struct weir_ring_opts opts = {
		.sq_entry_count = cq_entry_count == 0 ? 0 : 4,
		.cq_entry_count = cq_entry_count,
	};
	wi_ring_start(&rig->ring, &opts);
	int err = weir_filetab_open(&rig->ring, RIG_SLOTS, &error);
	ck_assert_msg(err == 0, "filetab: %s", error.text);
	rig->memory = wi_guarded_take((size_t)RIG_BUFS * RIG_BUF_BYTES);
	memset(rig->memory.bytes, 0, rig->memory.byte_count);
	err = weir_bufring_open(&rig->bufring, &rig->ring, RIG_GROUP,
				rig->memory.bytes, RIG_BUFS, RIG_BUF_BYTES,
				NULL, &error);
	ck_assert_msg(err == 0, "bufring: %s", error.text);
}

void rig_open(struct rig *rig)
{
	rig_open_cq(rig, 0);
}

void rig_close(struct rig *rig)
{
	weir_bufring_close(&rig->bufring);
	weir_ring_close(&rig->ring);
	wi_guarded_give(&rig->memory);
}

bool rig_knows(struct rig *rig, uint8_t opcode)
{
	struct io_uring_probe *probe = calloc(1, sizeof(*probe));
	ck_assert_ptr_nonnull(probe);
	ck_assert_int_eq(weir_ring_register(&rig->ring, IORING_REGISTER_PROBE,
					    probe, WEIR_PROBE_OP_COUNT),
			 0);
	bool knows = (probe->ops[opcode].flags & IO_URING_OP_SUPPORTED) != 0;
	free(probe);
	return knows;
}

struct io_uring_sqe *rig_take(struct rig *rig)
{
	struct io_uring_sqe *sqe = weir_ring_take_sqe(&rig->ring);
	ck_assert_ptr_nonnull(sqe);
	return sqe;
}

void rig_submit(struct rig *rig)
{
	ck_assert_int_eq(weir_ring_enter(&rig->ring, NULL), 0);
	ck_assert_uint_eq(weir_ring_unsubmitted(&rig->ring), 0);
}

void rig_start(struct rig *rig, struct io_uring_sqe *sqe, uint64_t token)
{
	sqe->user_data = token;
	rig_submit(rig);
}

struct io_uring_cqe rig_cqe(struct rig *rig, struct io_uring_sqe *sqe)
{
	sqe->user_data = DONE;
	struct io_uring_cqe cqe = wi_ring_next(&rig->ring);
	ck_assert_uint_eq(cqe.user_data, DONE);
	return cqe;
}

int32_t rig_do(struct rig *rig, struct io_uring_sqe *sqe)
{
	struct io_uring_cqe cqe = rig_cqe(rig, sqe);
	ck_assert_uint_eq(cqe.flags & IORING_CQE_F_MORE, 0);
	return cqe.res;
}

struct io_uring_cqe rig_next(struct rig *rig, uint64_t token, bool has_more)
{
	struct io_uring_cqe cqe = wi_ring_next(&rig->ring);
	ck_assert_msg(cqe.user_data == token,
		      "waited for %llu, got %llu with res %d",
		      (unsigned long long)token,
		      (unsigned long long)cqe.user_data, cqe.res);
	ck_assert_msg(((cqe.flags & IORING_CQE_F_MORE) != 0) == has_more,
		      "F_MORE is %s, res %d", has_more ? "missing" : "set",
		      cqe.res);
	return cqe;
}

void rig_is_quiet(struct rig *rig)
{
	ck_assert_int_eq(weir_ring_enter(&rig->ring, NULL), 0);
	ck_assert_uint_eq(weir_ring_ready(&rig->ring), 0);
}

struct io_uring_cqe rig_pick(const struct io_uring_cqe *cqes, uint32_t count,
			     uint64_t token)
{
	for (uint32_t i = 0; i < count; i++)
		if (cqes[i].user_data == token)
			return cqes[i];
	ck_abort_msg("no completion of operation %llu",
		     (unsigned long long)token);
}

int32_t rig_cancel(struct rig *rig, uint64_t token)
{
	struct io_uring_cqe cqes[2];
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_cancel_token(sqe, token);
	sqe->user_data = CANCEL;
	wi_ring_collect(&rig->ring, cqes, 2);
	/* The cancel of a futex returns 1, of others 0. */
	ck_assert_int_ge(rig_pick(cqes, 2, CANCEL).res, 0);
	struct io_uring_cqe last = rig_pick(cqes, 2, token);
	ck_assert_uint_eq(last.flags & IORING_CQE_F_MORE, 0);
	return last.res;
}

void rig_drain_group(struct rig *rig)
{
	int fds[2];
	rig_unix_pair(fds);
	for (int i = 0; i < RIG_BUFS; i++) {
		wi_write_all(fds[0], "x", 1);
		struct io_uring_sqe *sqe = rig_take(rig);
		weir_op_recv_group(sqe, fds[1], RIG_GROUP, 0);
		ck_assert_int_eq(rig_do(rig, sqe), 1);
	}
	rig_close_pair(fds);
}

void rig_holds(struct rig *rig, const struct io_uring_cqe *cqe,
	       const char *text)
{
	ck_assert_int_eq(cqe->res, (int32_t)strlen(text));
	uint16_t id = weir_bufring_id(cqe);
	ck_assert_mem_eq(weir_bufring_bytes(&rig->bufring, id), text,
			 strlen(text));
	weir_bufring_take_back(&rig->bufring, id);
	weir_bufring_publish(&rig->bufring);
}

int32_t rig_connected_slot(struct rig *rig, int *out_peer)
{
	struct sockaddr_in address;
	int listener = wi_listener(&address);
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_socket_slot(sqe, AF_INET, SOCK_STREAM, 0);
	int32_t slot = rig_do(rig, sqe);
	ck_assert_int_ge(slot, 0);
	sqe = rig_take(rig);
	weir_op_connect(sqe, slot, (const struct sockaddr *)&address,
			sizeof(address));
	weir_op_on_slot(sqe);
	ck_assert_int_eq(rig_do(rig, sqe), 0);
	*out_peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(*out_peer, 0);
	ck_assert_int_eq(close(listener), 0);
	return slot;
}

struct sockaddr_in rig_loopback(void)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

void rig_udp_pair(int out_fds[2])
{
	struct sockaddr_in address[2];
	for (int i = 0; i < 2; i++) {
		socklen_t address_bytes = sizeof(address[i]);
		address[i] = rig_loopback();
		out_fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		ck_assert_int_ge(out_fds[i], 0);
		ck_assert_int_eq(bind(out_fds[i],
				      (struct sockaddr *)&address[i],
				      sizeof(address[i])),
				 0);
		ck_assert_int_eq(getsockname(out_fds[i],
					     (struct sockaddr *)&address[i],
					     &address_bytes),
				 0);
	}
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(connect(out_fds[i],
					 (struct sockaddr *)&address[1 - i],
					 sizeof(address[i])),
				 0);
}

void rig_unix_pair(int out_fds[2])
{
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out_fds), 0);
}

void rig_close_pair(const int fds[2])
{
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(close(fds[1]), 0);
}

int rig_file(void)
{
	char path[] = "/tmp/weir-test-XXXXXX";
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unlink(path), 0);
	return fd;
}

int rig_pending_read(struct rig *rig, uint64_t token)
{
	static uint64_t count; /* the eventfd is never written */
	int doorbell = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ge(doorbell, 0);
	struct io_uring_sqe *sqe = rig_take(rig);
	weir_op_read(sqe, doorbell, &count, sizeof(count));
	rig_start(rig, sqe, token);
	return doorbell;
}

void rig_small_buffers(int sender, int receiver)
{
	const int bytes = 256 * 1024;
	ck_assert_int_eq(setsockopt(sender, SOL_SOCKET, SO_SNDBUF, &bytes,
				    sizeof(bytes)),
			 0);
	ck_assert_int_eq(setsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &bytes,
				    sizeof(bytes)),
			 0);
}
