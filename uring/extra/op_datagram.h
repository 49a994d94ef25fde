/* op_datagram.h - datagrams and messages, with their addresses */
#ifndef WEIR_URING_EXTRA_OP_DATAGRAM_H
#define WEIR_URING_EXTRA_OP_DATAGRAM_H

#include "../op/op_recv.h"
#include "../op/op_send.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * weir_op_to() - give a send an address: it becomes a sendto(2)
 * @address: read at submission only
 *
 * For SEND (Linux 6.1) and SEND_ZC (6.0) of datagrams. A message has its own
 * msg_name.
 */
static inline void weir_op_to(struct io_uring_sqe *sqe,
			      const struct sockaddr *address,
			      socklen_t address_bytes)
{
	assert(sqe->opcode == IORING_OP_SEND ||
	       sqe->opcode == IORING_OP_SEND_ZC);
	assert(address_bytes <= UINT16_MAX);
	sqe->addr2 = wi_op_address(address);
	sqe->addr_len = (uint16_t)address_bytes;
}

/** weir_op_sendto() - sendto(2), see weir_op_to(). Linux 6.1. */
static inline void weir_op_sendto(struct io_uring_sqe *sqe, int32_t fd,
				  const void *bytes, uint32_t byte_count,
				  uint32_t msg_flags,
				  const struct sockaddr *address,
				  socklen_t address_bytes)
{
	weir_op_send(sqe, fd, bytes, byte_count, msg_flags);
	weir_op_to(sqe, address, address_bytes);
}

/**
 * weir_op_recvmsg() - recvmsg(2)
 * @message: the struct, its vector, name, control area and payload are the
 *           kernel's until the CQE; the kernel writes results back
 *
 * res: bytes; message->msg_flags has MSG_TRUNC and MSG_CTRUNC. Linux 5.3.
 */
static inline void weir_op_recvmsg(struct io_uring_sqe *sqe, int32_t fd,
				   struct msghdr *message, uint32_t msg_flags)
{
	sqe->opcode = IORING_OP_RECVMSG;
	sqe->fd = fd;
	sqe->addr = wi_op_address(message);
	sqe->len = 1;
	sqe->msg_flags = msg_flags;
}

/**
 * weir_op_recvmsg_multishot() - messages into buffers of @group until it ends
 * @message: msg_namelen and msg_controllen: room that each buffer reserves for
 *           them. msg_iovlen: 0, or 1 to cap the used bytes of each buffer,
 *           header and areas included, at its iov_len. Read at submission only,
 *           but weir_recvmsg_read() needs it too
 *
 * res: bytes of the buffer used: header, both areas in full, payload. See
 * weir_recvmsg_read(). A buffer without room for header and areas ends it with
 * -EFAULT. An empty datagram ends it too, with a header. Linux 6.0.
 */
static inline void weir_op_recvmsg_multishot(struct io_uring_sqe *sqe,
					     int32_t fd, struct msghdr *message,
					     uint16_t group)
{
	assert(message->msg_iovlen <= 1); /* -EINVAL */
	weir_op_recvmsg(sqe, fd, message, 0);
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
}

/**
 * struct weir_recvmsg - one message in its buffer; all pointers are borrowed
 * @name_bytes, @control_bytes: bytes present, at most the size of the area
 * @msg_flags:   MSG_TRUNC: the datagram was longer; MSG_CTRUNC: the control
 *               data was
 * @name_is_cut: the address was longer than the area
 */
struct weir_recvmsg {
	const uint8_t *name;
	const uint8_t *control;
	const uint8_t *payload;
	uint32_t name_bytes;
	uint32_t control_bytes;
	uint32_t payload_bytes;
	uint32_t msg_flags;
	bool name_is_cut;
};

/**
 * weir_recvmsg_read() - parse a buffer of weir_op_recvmsg_multishot()
 * @buffer, @byte_count: the buffer that the completion names, and its res
 * @message:             the one that armed the receive
 *
 * Control messages are aligned if msg_namelen is a multiple of 8: use 16 or 32.
 *
 * Return: true; false if @byte_count is too short for header and areas.
 */
static inline bool weir_recvmsg_read(const uint8_t *buffer, uint32_t byte_count,
				     const struct msghdr *message,
				     struct weir_recvmsg *out)
{
	struct io_uring_recvmsg_out header;
	const uint64_t fixed_bytes =
		(uint64_t)sizeof(header) + message->msg_namelen;
	/* Their sum with the control area could exceed 64 bits. */
	if (byte_count < fixed_bytes ||
	    message->msg_controllen > byte_count - fixed_bytes)
		return false;
	memcpy(&header, buffer, sizeof(header));
	out->name = buffer + sizeof(header);
	out->control = out->name + message->msg_namelen;
	out->payload = out->control + message->msg_controllen;
	out->name_is_cut = header.namelen > message->msg_namelen;
	out->name_bytes = out->name_is_cut ? (uint32_t)message->msg_namelen
					   : header.namelen;
	out->control_bytes = header.controllen > message->msg_controllen
				     ? (uint32_t)message->msg_controllen
				     : header.controllen;
	out->payload_bytes =
		(uint32_t)(byte_count - fixed_bytes - message->msg_controllen);
	out->msg_flags = header.flags;
	return true;
}

#ifdef __cplusplus
}
#endif

#endif
