#include "refused.h"

#include <fcntl.h>

struct object {
	int fd;
	int peer; /* or -1 */
};

static struct object object_open(struct rig *rig, enum refused_object kind)
{
	struct object object = { .fd = -1, .peer = -1 };
	struct sockaddr_in address;
	int fds[2];
	switch (kind) {
	case REFUSED_NOTHING:
		return object;
	case REFUSED_FILE:
		object.fd = rig_file();
		break;
	case REFUSED_FOLDER:
		object.fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		break;
	case REFUSED_STREAM:
		object.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		break;
	case REFUSED_DATAGRAMS:
		object.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		break;
	case REFUSED_LISTENER:
		object.fd = wi_listener(&address);
		break;
	case REFUSED_TCP:
	case REFUSED_UNIX:
		(kind == REFUSED_TCP ? wi_tcp_pair : rig_unix_pair)(fds);
		object.fd = fds[0];
		object.peer = fds[1];
		break;
	case REFUSED_READ:
		object.fd = rig_pending_read(rig, FIRST);
		break;
	}
	ck_assert_int_ge(object.fd, 0);
	return object;
}

static void object_close(struct rig *rig, enum refused_object kind,
			 const struct object *object)
{
	if (kind == REFUSED_READ)
		ck_assert_int_eq(rig_cancel(rig, FIRST), -ECANCELED);
	if (object->fd >= 0)
		ck_assert_int_eq(close(object->fd), 0);
	if (object->peer >= 0)
		ck_assert_int_eq(close(object->peer), 0);
}

static bool has_notice(uint8_t opcode)
{
	return opcode == IORING_OP_SEND_ZC || opcode == IORING_OP_SENDMSG_ZC;
}

void refused_check(const struct refused *refused)
{
	struct rig rig;
	rig_open(&rig);
	const struct object object = object_open(&rig, refused->object);
	if (refused->prepare != NULL)
		refused->prepare(&rig);
	struct io_uring_sqe *sqe = rig_take(&rig);
	refused->fill(sqe, object.fd);
	const uint8_t opcode = sqe->opcode;
	const struct io_uring_cqe cqe = rig_cqe(&rig, sqe);
	ck_assert_msg(cqe.res == refused->want, "when %s: got %d, want %d",
		      refused->when, cqe.res, refused->want);
	ck_assert_uint_eq(cqe.flags & IORING_CQE_F_NOTIF, 0);
	if ((cqe.flags & IORING_CQE_F_MORE) != 0) {
		ck_assert(has_notice(opcode));
		const struct io_uring_cqe notice = rig_next(&rig, DONE, false);
		ck_assert_uint_ne(notice.flags & IORING_CQE_F_NOTIF, 0);
	}
	object_close(&rig, refused->object, &object);
	rig_close(&rig);
}
