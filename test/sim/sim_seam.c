/* sim_seam.c - struct weir_kernel as the world carries it out
 *
 * Memory, sockets by call, doorbells, time. Not here: rings (sim_ring.c).
 */
#include "sim_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096 };

static int sim_map(void *ctx, size_t bytes, int fd, uint64_t offset,
		   void **out_memory)
{
	struct weir_sim *sim = ctx;
	if (fd >= 0) {
		const int file = sim_fd_file(sim, fd);
		if (file == SIM_NONE || sim->files[file].kind != SIM_RING)
			return -EBADF;
		*out_memory = sim_ring_map(sim, sim->files[file].ring, offset);
		sim->mappings++;
		return 0;
	}
	bytes = (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	if (sim->memory_used + bytes > SIM_MEMORY_BYTES)
		return -ENOMEM;
	*out_memory = sim->memory + sim->memory_used;
	if (sim->map_count < SIM_MAPS) /* or it is one with the last */
		sim->map_begins[sim->map_count++] = sim->memory_used;
	sim->memory_used += bytes;
	sim->mappings++;
	return 0;
}

static int sim_unmap(void *ctx, void *memory, size_t bytes)
{
	struct weir_sim *sim = ctx;
	(void)memory;
	(void)bytes;
	sim->mappings--;
	return 0;
}

static int sim_advise(void *ctx, void *memory, size_t bytes, int advice)
{
	(void)ctx;
	/* A private mapping reads as zeros after it is given back. */
	return madvise(memory, bytes, advice) < 0 ? -errno : 0;
}

static int sim_socket(void *ctx, int family, int type, int protocol)
{
	struct weir_sim *sim = ctx;
	(void)family;
	(void)protocol;
	if (type != SOCK_STREAM)
		return -EPROTONOSUPPORT; /* datagrams: by a ring only */
	const int file = sim_file_take(sim, SIM_STREAM);
	if (file < 0)
		return file;
	const int fd = sim_fd_take(sim, file);
	if (fd < 0)
		sim_file_drop(sim, file);
	return fd;
}

static int sim_sockopt(void *ctx, int fd, int level, int name,
		       const void *value, socklen_t value_bytes)
{
	struct weir_sim *sim = ctx;
	const int file = sim_fd_file(sim, fd);
	int on = 0;
	if (file == SIM_NONE)
		return -EBADF;
	if (value_bytes >= sizeof(on))
		memcpy(&on, value, sizeof(on));
	if (level != SOL_SOCKET) /* none of them changes the simulation */
		return 0;
	switch (name) {
	case SO_REUSEADDR: /* a port is free again at once */
		return 0;
	case SO_REUSEPORT:
		sim->files[file].is_in_group = on != 0;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int sim_bind(void *ctx, int fd, const struct sockaddr *address,
		    socklen_t address_bytes)
{
	struct weir_sim *sim = ctx;
	const int file = sim_fd_file(sim, fd);
	return file == SIM_NONE
		       ? -EBADF
		       : sim_listen_bind(sim, file, address, address_bytes);
}

static int sim_listen(void *ctx, int fd, int backlog)
{
	struct weir_sim *sim = ctx;
	const int file = sim_fd_file(sim, fd);
	return file == SIM_NONE ? -EBADF : sim_listen_start(sim, file, backlog);
}

static int sim_sockname(void *ctx, int fd, struct sockaddr *out_address,
			socklen_t *address_bytes)
{
	struct weir_sim *sim = ctx;
	const int file = sim_fd_file(sim, fd);
	return file == SIM_NONE
		       ? -EBADF
		       : sim_listen_name(sim, file, out_address, address_bytes);
}

/* A listener here does not remember that it was shut down. */
static int sim_disconnect(void *ctx, int fd)
{
	struct weir_sim *sim = ctx;
	const int file = sim_fd_file(sim, fd);
	if (file == SIM_NONE)
		return -EBADF;
	return sim->files[file].kind == SIM_LISTENER ? 0 : -EOPNOTSUPP;
}

static int sim_shutdown(void *ctx, int fd, int how)
{
	struct weir_sim *sim = ctx;
	const int file = sim_fd_file(sim, fd);
	if (file == SIM_NONE)
		return -EBADF;
	if (sim->files[file].kind == SIM_LISTENER) {
		sim_listen_end(sim, file);
		return 0;
	}
	if (sim->files[file].kind != SIM_STREAM)
		return -ENOTSOCK;
	return sim_net_shutdown(sim, sim->files[file].conn,
				sim->files[file].side, how);
}

static int sim_close(void *ctx, int fd)
{
	struct weir_sim *sim = ctx;
	const int file = sim_fd_file(sim, fd);
	if (file == SIM_NONE)
		return -EBADF;
	sim->fds[fd] = SIM_NONE;
	sim_file_drop(sim, file);
	return 0;
}

static int sim_doorbell_open(void *ctx)
{
	struct weir_sim *sim = ctx;
	const int file = sim_file_take(sim, SIM_DOORBELL);
	return file < 0 ? file : sim_fd_take(sim, file);
}

static int sim_doorbell_ring(void *ctx, int fd)
{
	struct weir_sim *sim = ctx;
	const int file = sim_fd_file(sim, fd);
	if (file == SIM_NONE)
		return -EBADF;
	sim->files[file].value++;
	sim->events++;
	return 0;
}

static void sim_pause(void *ctx, uint64_t ns)
{
	struct weir_sim *sim = ctx;
	sim->now_ns += ns;
}

/* All loops run on one thread, so none could wake this one. */
static int sim_wait(void *ctx, const uint32_t *word, uint32_t value)
{
	(void)ctx;
	return *word != value ? -EAGAIN : -EDEADLK;
}

static int sim_wake(void *ctx, const uint32_t *word)
{
	(void)ctx;
	(void)word;
	return 0;
}

static uint64_t sim_now_ns(void *ctx)
{
	struct weir_sim *sim = ctx;
	if ((sim->opts.faults & WEIR_FAULT_STILL) == 0)
		return sim->now_ns;
	if (sim->still > 0) {
		sim->still--;
		return sim->clock_ns;
	}
	if (sim_fault(sim, WEIR_FAULT_STILL)) {
		sim->still = weir_tape_below(sim->tape, 64);
		weir_sim_note(sim, "fault: the clock stands still %u times",
			      sim->still);
	}
	sim->clock_ns = sim->now_ns;
	return sim->clock_ns;
}

static int sim_random(void *ctx, void *out_bytes, size_t byte_count)
{
	struct weir_sim *sim = ctx;
	uint8_t *out = out_bytes;
	for (size_t i = 0; i < byte_count; i++) {
		sim->random = sim->random * UINT64_C(6364136223846793005) + 1;
		out[i] = (uint8_t)(sim->random >> 56);
	}
	return 0;
}

void sim_seam_init(struct weir_sim *sim)
{
	sim->kernel = (struct weir_kernel){
		.name = "sim",
		.ctx = sim,
		.setup = sim_ring_setup,
		.enter = sim_ring_enter,
		.register_op = sim_ring_register,
		.map = sim_map,
		.unmap = sim_unmap,
		.advise = sim_advise,
		.socket = sim_socket,
		.sockopt = sim_sockopt,
		.bind = sim_bind,
		.listen = sim_listen,
		.sockname = sim_sockname,
		.disconnect = sim_disconnect,
		.shutdown = sim_shutdown,
		.close = sim_close,
		.doorbell_open = sim_doorbell_open,
		.doorbell_ring = sim_doorbell_ring,
		.now_ns = sim_now_ns,
		.pause = sim_pause,
		.wait = sim_wait,
		.wake = sim_wake,
		.random = sim_random,
	};
}
