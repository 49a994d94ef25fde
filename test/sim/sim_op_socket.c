/* sim_op_socket.c - descriptors: accept, socket, close; and socket options */
#include "sim_op_priv.h"

#include <errno.h>
#include <sys/socket.h>

int sim_op_accept(struct weir_sim *sim, struct sim_op *op)
{
	struct sim_ring *ring = &sim->rings[op->ring];
	const int conn = sim_listen_accept(sim, op->file);

	if (conn == -EAGAIN)
		return SIM_OP_WAITS;
	if (conn < 0)
		return conn;
	const int file = sim_file_take(sim, SIM_STREAM);
	if (file < 0)
		return file;
	sim->files[file].conn = conn;
	const int slot = wi_soft_slots_take(&ring->slots, file);
	if (slot < 0) { /* the client is dropped, as on 6.18 */
		sim_file_drop(sim, file);
		return slot;
	}
	weir_sim_note(sim, "c%d is accepted into slot %d", conn, slot);
	if ((op->sqe.ioprio & IORING_ACCEPT_MULTISHOT) != 0 &&
	    !sim_fault(sim, WEIR_FAULT_TERMINATE) &&
	    sim_ring_post(sim, op->ring, op->sqe.user_data, slot,
			  IORING_CQE_F_MORE, true)) {
		op->is_armed = true;
		return SIM_OP_AGAIN;
	}
	return slot;
}

/* The table that the entry names: the process's or the ring's. */
static int *close_entry(struct weir_sim *sim, const struct sim_op *op)
{
	struct sim_ring *ring = &sim->rings[op->ring];
	const int32_t slot = (int32_t)op->sqe.file_index - 1;
	if (op->sqe.file_index == 0)
		return sim_fd_file(sim, op->sqe.fd) == SIM_NONE
			       ? NULL
			       : &sim->fds[op->sqe.fd];
	return wi_soft_slots_file(&ring->slots, slot) == SIM_NONE
		       ? NULL
		       : &ring->slots.files[slot];
}

int sim_op_close(struct weir_sim *sim, struct sim_op *op)
{
	int *entry = close_entry(sim, op);
	if (entry == NULL) {
		if (!sim->opts.allows_misuse)
			weir_sim_violate(sim, "a slot was closed that holds no "
					      "file");
		return -EBADF;
	}
	const int file = *entry;
	*entry = SIM_NONE;
	sim_file_drop(sim, file);
	return 0;
}

int sim_op_install(struct weir_sim *sim, struct sim_op *op)
{
	const int fd = sim_fd_take(sim, op->file);
	if (fd >= 0)
		sim_file_hold(sim, op->file);
	return fd;
}

int sim_op_socket(struct weir_sim *sim, struct sim_op *op)
{
	const bool is_datagram =
		(op->sqe.off & ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK)) ==
		SOCK_DGRAM;
	const int file =
		sim_file_take(sim, is_datagram ? SIM_DATAGRAMS : SIM_STREAM);
	if (file < 0)
		return file;
	const int made =
		op->sqe.file_index == 0
			? sim_fd_take(sim, file)
			: wi_soft_slots_take(&sim->rings[op->ring].slots, file);
	if (made < 0)
		sim_file_drop(sim, file);
	return made;
}

int sim_op_shutdown(struct weir_sim *sim, struct sim_op *op)
{
	const struct sim_file *file = &sim->files[op->file];
	return sim_net_shutdown(sim, file->conn, file->side, (int)op->sqe.len);
}

/* All packets arrive on the first CPU. */
static int socket_option(const struct sim_op *op)
{
	const int cpu = 0;
	const size_t bytes =
		op->sqe.optlen < sizeof(cpu) ? op->sqe.optlen : sizeof(cpu);
	if (op->sqe.level != SOL_SOCKET)
		return -EOPNOTSUPP;
	if (op->sqe.optname != SO_INCOMING_CPU)
		return -ENOPROTOOPT; /* no other level is simulated */
	wi_soft_copy((void *)(uintptr_t)op->sqe.optval, &cpu, bytes);
	return (int)bytes;
}

int sim_op_command(struct weir_sim *sim, struct sim_op *op)
{
	const enum sim_file_kind kind = sim->files[op->file].kind;
	if (kind == SIM_RING || kind == SIM_DOORBELL)
		return -EOPNOTSUPP;
	switch (op->sqe.cmd_op) {
	case SOCKET_URING_OP_GETSOCKOPT:
		return socket_option(op);
	case SOCKET_URING_OP_SETSOCKOPT:
		return 0; /* none changes the simulation */
	default:
		return -EOPNOTSUPP;
	}
}
