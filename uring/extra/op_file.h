/* op_file.h - files and pipes, as far as a server needs them; see op_read.h
 *
 * Reads and writes of regular files may run on kernel worker threads; on
 * sockets, pipes and eventfds they wait for readiness as receives do. An offset
 * of WEIR_OP_CURRENT is the file's own position, which then moves: keep one
 * operation in flight. Sockets and pipes take only this or 0 (-ESPIPE).
 *
 * Results of all: those of the named system call, errors as negative errno. A
 * transfer: the bytes moved, which may be fewer than requested, 0 at the end.
 * The others: 0, unless another result is given. -EBADF, -EFAULT, and -EINVAL
 * before the given version; -ECANCELED when cancelled, or -EINTR on a worker
 * thread.
 */
#ifndef WEIR_URING_EXTRA_OP_FILE_H
#define WEIR_URING_EXTRA_OP_FILE_H

#include "../op/op_read.h"
#include "../op/op_send.h"
#include "../op/op_socket.h"

#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct open_how; /* <linux/openat2.h> */
struct statx;    /* <sys/stat.h>, with _GNU_SOURCE */

/* ---- read and write ------------------------------------------------------ */

static inline void wi_op_vector(struct io_uring_sqe *sqe, uint8_t opcode,
				int32_t fd, const struct iovec *parts,
				uint32_t part_count, uint64_t offset)
{
	assert(part_count <= WEIR_OP_PARTS_MAX);
	wi_op_transfer(sqe, opcode, fd, parts, part_count, offset);
}

/**
 * weir_op_read_at() - pread(2)
 *
 * res: bytes read, fewer at the end; -EBADF, -EISDIR, -EINVAL. Linux 5.6.
 */
static inline void weir_op_read_at(struct io_uring_sqe *sqe, int32_t fd,
				   void *bytes, uint32_t byte_count,
				   uint64_t offset)
{
	wi_op_transfer(sqe, IORING_OP_READ, fd, bytes, byte_count, offset);
}

/**
 * weir_op_write() - write(2) at the file's own position
 * @bytes: the kernel's until the CQE
 *
 * res: bytes written. On a socket it lacks MSG_WAITALL: use a send. Linux 5.6.
 */
static inline void weir_op_write(struct io_uring_sqe *sqe, int32_t fd,
				 const void *bytes, uint32_t byte_count)
{
	wi_op_transfer(sqe, IORING_OP_WRITE, fd, bytes, byte_count,
		       WEIR_OP_CURRENT);
}

/** weir_op_write_at() - pwrite(2). res: bytes written. Linux 5.6. */
static inline void weir_op_write_at(struct io_uring_sqe *sqe, int32_t fd,
				    const void *bytes, uint32_t byte_count,
				    uint64_t offset)
{
	wi_op_transfer(sqe, IORING_OP_WRITE, fd, bytes, byte_count, offset);
}

/**
 * weir_op_readv() - preadv(2)
 * @parts:      copied at submission (5.5); the memory that they point to is the
 *              kernel's until the CQE
 * @part_count: at most WEIR_OP_PARTS_MAX (-EINVAL: refused here)
 *
 * res: bytes read. Linux 5.1.
 */
static inline void weir_op_readv(struct io_uring_sqe *sqe, int32_t fd,
				 const struct iovec *parts, uint32_t part_count,
				 uint64_t offset)
{
	wi_op_vector(sqe, IORING_OP_READV, fd, parts, part_count, offset);
}

/** weir_op_writev() - pwritev(2), as weir_op_readv(). Linux 5.1. */
static inline void weir_op_writev(struct io_uring_sqe *sqe, int32_t fd,
				  const struct iovec *parts,
				  uint32_t part_count, uint64_t offset)
{
	wi_op_vector(sqe, IORING_OP_WRITEV, fd, parts, part_count, offset);
}

/**
 * weir_op_read_fixed() - read into registered buffer @buf_index
 * @bytes: within that buffer, which exists; otherwise -EFAULT
 *
 * Works on sockets too: the only receive into registered memory. Linux 5.1.
 */
static inline void weir_op_read_fixed(struct io_uring_sqe *sqe, int32_t fd,
				      void *bytes, uint32_t byte_count,
				      uint64_t offset, uint16_t buf_index)
{
	wi_op_transfer(sqe, IORING_OP_READ_FIXED, fd, bytes, byte_count,
		       offset);
	sqe->buf_index = buf_index;
}

/** weir_op_write_fixed() - write from a registered buffer. Linux 5.1. */
static inline void weir_op_write_fixed(struct io_uring_sqe *sqe, int32_t fd,
				       const void *bytes, uint32_t byte_count,
				       uint64_t offset, uint16_t buf_index)
{
	wi_op_transfer(sqe, IORING_OP_WRITE_FIXED, fd, bytes, byte_count,
		       offset);
	sqe->buf_index = buf_index;
}

/** weir_op_readv_fixed() - scattered over one registered buffer. 6.15. */
static inline void weir_op_readv_fixed(struct io_uring_sqe *sqe, int32_t fd,
				       const struct iovec *parts,
				       uint32_t part_count, uint64_t offset,
				       uint16_t buf_index)
{
	wi_op_vector(sqe, IORING_OP_READV_FIXED, fd, parts, part_count, offset);
	sqe->buf_index = buf_index;
}

/** weir_op_writev_fixed() - gathered from one registered buffer. 6.15. */
static inline void weir_op_writev_fixed(struct io_uring_sqe *sqe, int32_t fd,
					const struct iovec *parts,
					uint32_t part_count, uint64_t offset,
					uint16_t buf_index)
{
	wi_op_vector(sqe, IORING_OP_WRITEV_FIXED, fd, parts, part_count,
		     offset);
	sqe->buf_index = buf_index;
}

/**
 * weir_op_read_multishot() - read into buffers of @group until it ends
 *
 * For files that can be polled: pipes, eventfds, tuns; a regular file is
 * -EBADFD. Completions as those of weir_op_recv_multishot(). Linux 6.7.
 */
static inline void weir_op_read_multishot(struct io_uring_sqe *sqe, int32_t fd,
					  uint16_t group)
{
	wi_op_transfer(sqe, IORING_OP_READ_MULTISHOT, fd, NULL, 0,
		       WEIR_OP_CURRENT);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
}

/* ---- pipes --------------------------------------------------------------- */

/**
 * weir_op_pipe() - pipe2(2)
 * @out_fds:    the kernel's until the CQE: read end, write end
 * @pipe_flags: O_CLOEXEC, O_NONBLOCK, ...
 *
 * res: 0; -EMFILE, -EFAULT; -EINVAL before Linux 6.16.
 */
static inline void weir_op_pipe(struct io_uring_sqe *sqe, int32_t out_fds[2],
				uint32_t pipe_flags)
{
	sqe->opcode = IORING_OP_PIPE;
	sqe->addr = wi_op_address(out_fds);
	sqe->pipe_flags = pipe_flags;
}

/**
 * weir_op_pipe_slots() - a pipe into two slots that the kernel picks
 *
 * O_CLOEXEC would be -EINVAL: refused here. res: 0; -ENFILE. Linux 6.16.
 */
static inline void weir_op_pipe_slots(struct io_uring_sqe *sqe,
				      int32_t out_slots[2], uint32_t pipe_flags)
{
	assert((pipe_flags & WI_OP_SOCK_CLOEXEC) == 0);
	weir_op_pipe(sqe, out_slots, pipe_flags);
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
}

/**
 * weir_op_splice() - splice(2): move bytes; one side is a pipe
 * @in_offset, @out_offset: WEIR_OP_CURRENT, and always so for a pipe (-ESPIPE)
 * @splice_flags:           SPLICE_F_MOVE, ...
 *
 * Always runs on a kernel worker thread and blocks it while it waits: not for
 * proxying. weir_op_on_slot() applies to @out_fd. res: bytes, 0 at the end;
 * -EINVAL without a pipe, -EBADF. Linux 5.7.
 */
static inline void weir_op_splice(struct io_uring_sqe *sqe, int32_t in_fd,
				  uint64_t in_offset, int32_t out_fd,
				  uint64_t out_offset, uint32_t byte_count,
				  uint32_t splice_flags)
{
	sqe->opcode = IORING_OP_SPLICE;
	sqe->fd = out_fd;
	sqe->off = out_offset;
	sqe->splice_off_in = in_offset;
	sqe->splice_fd_in = in_fd;
	sqe->len = byte_count;
	sqe->splice_flags = splice_flags;
}

/** weir_op_tee() - tee(2): copy from pipe to pipe; as a splice. Linux 5.8. */
static inline void weir_op_tee(struct io_uring_sqe *sqe, int32_t in_fd,
			       int32_t out_fd, uint32_t byte_count,
			       uint32_t splice_flags)
{
	weir_op_splice(sqe, in_fd, 0, out_fd, 0, byte_count, splice_flags);
	sqe->opcode = IORING_OP_TEE;
}

/** weir_op_splice_in_slot() - the input side is a slot. 5.7. */
static inline void weir_op_splice_in_slot(struct io_uring_sqe *sqe)
{
	assert(sqe->opcode == IORING_OP_SPLICE || sqe->opcode == IORING_OP_TEE);
	sqe->splice_flags |= 1u << 31; /* SPLICE_F_FD_IN_FIXED */
}

/* ---- opening and asking -------------------------------------------------- */

/**
 * weir_op_openat() - openat(2)
 * @path: read at submission only
 *
 * res: the descriptor; -ENOENT, -EACCES, -EEXIST, -EMFILE, ... Linux 5.6.
 */
static inline void weir_op_openat(struct io_uring_sqe *sqe, int32_t folder_fd,
				  const char *path, uint32_t open_flags,
				  uint32_t mode)
{
	sqe->opcode = IORING_OP_OPENAT;
	sqe->fd = folder_fd;
	sqe->addr = wi_op_address(path);
	sqe->len = mode;
	sqe->open_flags = open_flags;
}

/**
 * weir_op_openat_slot() - openat(2) into a slot that the kernel picks
 *
 * O_CLOEXEC would be -EINVAL: refused here. res: the slot; -ENFILE. 5.19.
 */
static inline void weir_op_openat_slot(struct io_uring_sqe *sqe,
				       int32_t folder_fd, const char *path,
				       uint32_t open_flags, uint32_t mode)
{
	assert((open_flags & WI_OP_SOCK_CLOEXEC) == 0);
	weir_op_openat(sqe, folder_fd, path, open_flags, mode);
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
}

/**
 * weir_op_openat2() - openat2(2): with limits on path resolution
 * @how:       RESOLVE_BENEATH and the like; read at submission only
 * @how_bytes: sizeof(struct open_how)
 *
 * res: the descriptor; -EXDEV, -ELOOP, ...; -EINVAL, -E2BIG. Linux 5.6.
 */
static inline void weir_op_openat2(struct io_uring_sqe *sqe, int32_t folder_fd,
				   const char *path, const struct open_how *how,
				   uint32_t how_bytes)
{
	sqe->opcode = IORING_OP_OPENAT2;
	sqe->fd = folder_fd;
	sqe->addr = wi_op_address(path);
	sqe->len = how_bytes;
	sqe->addr2 = wi_op_address(how);
}

/**
 * weir_op_statx() - statx(2); always on a kernel worker thread
 * @path:     read at submission only
 * @out_stat: the kernel's until the CQE
 *
 * res: 0; -ENOENT, ... Linux 5.6.
 */
static inline void weir_op_statx(struct io_uring_sqe *sqe, int32_t folder_fd,
				 const char *path, uint32_t statx_flags,
				 uint32_t mask, struct statx *out_stat)
{
	sqe->opcode = IORING_OP_STATX;
	sqe->fd = folder_fd;
	sqe->addr = wi_op_address(path);
	sqe->addr2 = wi_op_address(out_stat);
	sqe->len = mask;
	sqe->statx_flags = statx_flags;
}

/**
 * weir_op_fsync() - fsync(2); always on a kernel worker thread
 * @is_data_only: fdatasync(2)
 *
 * It does not wait for writes in flight: link them. res: 0; -EINVAL on a
 * socket, -EIO. Linux 5.1.
 */
static inline void weir_op_fsync(struct io_uring_sqe *sqe, int32_t fd,
				 bool is_data_only)
{
	sqe->opcode = IORING_OP_FSYNC;
	sqe->fd = fd;
	if (is_data_only)
		sqe->fsync_flags = 1; /* IORING_FSYNC_DATASYNC */
}

/** weir_op_ftruncate() - ftruncate(2), on a worker thread. Linux 6.9. */
static inline void weir_op_ftruncate(struct io_uring_sqe *sqe, int32_t fd,
				     uint64_t byte_count)
{
	sqe->opcode = IORING_OP_FTRUNCATE;
	sqe->fd = fd;
	sqe->off = byte_count;
}

/**
 * weir_op_fallocate() - fallocate(2), on a worker thread
 *
 * res: 0; -EOPNOTSUPP, -ENOSPC. Linux 5.6.
 */
static inline void weir_op_fallocate(struct io_uring_sqe *sqe, int32_t fd,
				     uint32_t mode, uint64_t offset,
				     uint64_t byte_count)
{
	sqe->opcode = IORING_OP_FALLOCATE;
	sqe->fd = fd;
	sqe->off = offset;
	sqe->addr = byte_count;
	sqe->len = mode;
}

/** weir_op_unlinkat() - unlinkat(2), on a worker thread. Linux 5.11. */
static inline void weir_op_unlinkat(struct io_uring_sqe *sqe, int32_t folder_fd,
				    const char *path, uint32_t unlink_flags)
{
	sqe->opcode = IORING_OP_UNLINKAT;
	sqe->fd = folder_fd;
	sqe->addr = wi_op_address(path);
	sqe->op_flags = unlink_flags;
}

/** weir_op_renameat() - renameat2(2), on a worker thread. Linux 5.11. */
static inline void weir_op_renameat(struct io_uring_sqe *sqe, int32_t folder_fd,
				    const char *path, int32_t new_folder_fd,
				    const char *new_path, uint32_t rename_flags)
{
	sqe->opcode = IORING_OP_RENAMEAT;
	sqe->fd = folder_fd;
	sqe->addr = wi_op_address(path);
	sqe->len = (uint32_t)new_folder_fd;
	sqe->addr2 = wi_op_address(new_path);
	sqe->op_flags = rename_flags;
}

/** weir_op_mkdirat() - mkdirat(2), on a worker thread. Linux 5.15. */
static inline void weir_op_mkdirat(struct io_uring_sqe *sqe, int32_t folder_fd,
				   const char *path, uint32_t mode)
{
	sqe->opcode = IORING_OP_MKDIRAT;
	sqe->fd = folder_fd;
	sqe->addr = wi_op_address(path);
	sqe->len = mode;
}

/* ---- the table of direct descriptors ------------------------------------- */

/**
 * weir_op_files_update() - put descriptors into slots from @first_slot on
 * @fds: -1 empties a slot, IORING_REGISTER_FILES_SKIP leaves it; the kernel's
 *       until the CQE
 *
 * The descriptors stay open: both the process and the table hold the file. res:
 * slots set; -EINVAL beyond the table, -ENXIO without one; -EBADF: none of them
 * is a descriptor. Linux 5.6.
 */
static inline void weir_op_files_update(struct io_uring_sqe *sqe,
					uint32_t first_slot, const int32_t *fds,
					uint32_t fd_count)
{
	assert(first_slot != IORING_FILE_INDEX_ALLOC);
	assert(fd_count > 0);
	sqe->opcode = IORING_OP_FILES_UPDATE;
	sqe->fd = -1;
	sqe->off = first_slot;
	sqe->addr = wi_op_address(fds);
	sqe->len = fd_count;
}

/**
 * weir_op_files_add() - put descriptors into slots that the kernel picks
 * @fds_to_slots: in: descriptors, out: their slots; the kernel's until the CQE
 *
 * res: how many; -ENFILE or -EBADF if none; -ENXIO without a table. Linux 6.0.
 */
static inline void weir_op_files_add(struct io_uring_sqe *sqe,
				     int32_t *fds_to_slots, uint32_t fd_count)
{
	assert(fd_count > 0);
	sqe->opcode = IORING_OP_FILES_UPDATE;
	sqe->fd = -1;
	sqe->off = IORING_FILE_INDEX_ALLOC;
	sqe->addr = wi_op_address(fds_to_slots);
	sqe->len = fd_count;
}

#ifdef __cplusplus
}
#endif

#endif
