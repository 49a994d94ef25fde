/* op_read.h - one plain read, as for a doorbell; others: extra/op_file.h */
#ifndef WEIR_URING_OP_READ_H
#define WEIR_URING_OP_READ_H

#include "op_sqe.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_OP_CURRENT UINT64_MAX

static inline void wi_op_transfer(struct io_uring_sqe *sqe, uint8_t opcode,
				  int32_t fd, const void *from, uint32_t len,
				  uint64_t offset)
{
	sqe->opcode = opcode;
	sqe->fd = fd;
	sqe->off = offset;
	sqe->addr = wi_op_address(from);
	sqe->len = len;
}

/**
 * weir_op_read() - read(2) at the file's own position
 * @bytes: the kernel's until the CQE
 *
 * res: bytes read, 0 at the end. Linux 5.6.
 */
static inline void weir_op_read(struct io_uring_sqe *sqe, int32_t fd,
				void *bytes, uint32_t byte_count)
{
	wi_op_transfer(sqe, IORING_OP_READ, fd, bytes, byte_count,
		       WEIR_OP_CURRENT);
}

#ifdef __cplusplus
}
#endif

#endif
