/* sim.c - the world: descriptors, memory, time, and the seam
 *
 * Not here: rings (sim_ring.c), operations (sim_op.c), the network
 * (sim_net.c).
 */
#include "sim_priv.h"

#include "../../uring/annotate.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
	FAULT_RATE_DEFAULT = 16,
	PIPE_BYTES_DEFAULT = 4096,
	PAGE_BYTES = 4096,
	NEAR_BYTES = 128 * 1024, /* of a mapping; whole pages */
};

/* ---- what the tape is asked ------------------------------------------- */

bool sim_fault(struct weir_sim *sim, uint32_t fault)
{
	if ((sim->opts.faults & fault) == 0)
		return false;
	return weir_tape_chance(sim->tape, sim->opts.fault_rate);
}

/* FNV-1a, a word at a time. */
void sim_hash_add(struct weir_sim *sim, uint64_t value)
{
	sim->hash = (sim->hash ^ value) * UINT64_C(0x100000001b3);
}

void weir_sim_note(struct weir_sim *sim, const char *format, ...)
{
	va_list args;
	if (sim->opts.story == NULL)
		return;
	(void)fprintf(sim->opts.story, "%12.6f ms  ",
		      (double)sim->now_ns / 1e6);
	va_start(args, format);
	(void)vfprintf(sim->opts.story, format, args);
	va_end(args);
	(void)fputc('\n', sim->opts.story);
}

void weir_sim_violate(struct weir_sim *sim, const char *rule)
{
	if (sim->violation != NULL)
		return;
	sim->violation = rule;
	weir_sim_note(sim, "VIOLATION: %s", rule);
}

const char *weir_sim_violation(const struct weir_sim *sim)
{
	return sim->violation;
}

/* ---- files ------------------------------------------------------------- */

int sim_file_take(struct weir_sim *sim, enum sim_file_kind kind)
{
	for (int i = 0; i < SIM_FILES; i++) {
		struct sim_file *file = &sim->files[i];
		if (file->kind != SIM_FREE)
			continue;
		*file = (struct sim_file){ .kind = kind,
					   .refs = 1,
					   .conn = SIM_NONE,
					   .side = SIM_SERVER,
					   .ring = SIM_NONE };
		if (i >= sim->file_high)
			sim->file_high = i + 1;
		return i;
	}
	return -ENFILE;
}

void sim_file_hold(struct weir_sim *sim, int file)
{
	sim->files[file].refs++;
}

static void file_end(struct weir_sim *sim, struct sim_file *file)
{
	switch (file->kind) {
	case SIM_STREAM:
		if (file->conn != SIM_NONE)
			sim_net_close(sim, file->conn, file->side);
		if (file->last_token != 0 && sim->dead_count < SIM_DEAD) {
			sim->dead_rings[sim->dead_count] = file->last_ring;
			sim->dead_tokens[sim->dead_count++] = file->last_token;
		}
		break;
	case SIM_DATAGRAMS:
		sim_udp_end(sim, (int)(file - sim->files));
		break;
	case SIM_LISTENER:
		sim_net_listen_end(sim, (int)(file - sim->files));
		break;
	case SIM_RING:
		sim_ring_close(sim, file->ring);
		break;
	default:
		break;
	}
	sim_worker_forget(sim, (int)(file - sim->files));
	file->kind = SIM_FREE;
}

void sim_file_drop(struct weir_sim *sim, int index)
{
	struct sim_file *file = &sim->files[index];
	assert(file->kind != SIM_FREE && file->refs > 0);
	if (--file->refs == 0)
		file_end(sim, file);
}

int sim_fd_take(struct weir_sim *sim, int file)
{
	for (int fd = SIM_FD_FIRST; fd < SIM_FDS; fd++)
		if (sim->fds[fd] == SIM_NONE) {
			sim->fds[fd] = file;
			return fd;
		}
	return -EMFILE;
}

int sim_fd_file(const struct weir_sim *sim, int fd)
{
	return fd >= 0 && fd < SIM_FDS ? sim->fds[fd] : SIM_NONE;
}

/* ---- the seam ---------------------------------------------------------- */

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
		       : sim_net_bind(sim, file, address, address_bytes);
}

static int sim_listen(void *ctx, int fd, int backlog)
{
	struct weir_sim *sim = ctx;
	const int file = sim_fd_file(sim, fd);
	return file == SIM_NONE ? -EBADF : sim_net_listen(sim, file, backlog);
}

static int sim_sockname(void *ctx, int fd, struct sockaddr *out_address,
			socklen_t *address_bytes)
{
	struct weir_sim *sim = ctx;
	const int file = sim_fd_file(sim, fd);
	return file == SIM_NONE
		       ? -EBADF
		       : sim_net_name(sim, file, out_address, address_bytes);
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
		sim_net_listen_end(sim, file);
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

/* ---- open, reset, close ------------------------------------------------ */

/* Zeros again, as map() promises. The first bytes of each mapping, all that
 * most worlds touch, are cleared by hand: that costs less than a new page. */
static void sim_memory_clear(struct weir_sim *sim)
{
	/* A loop that was left open has memory that it lent to the kernel. */
	if (sim->mappings > 0)
		wi_region_unpoison(sim->memory, sim->memory_used);
	for (uint32_t i = 0; i < sim->map_count; i++) {
		const size_t begin = sim->map_begins[i];
		const size_t end = i + 1 < sim->map_count
					   ? sim->map_begins[i + 1]
					   : sim->memory_used;
		const size_t near_end =
			end - begin < NEAR_BYTES ? end : begin + NEAR_BYTES;
		memset(sim->memory + begin, 0, near_end - begin);
		if (end > near_end)
			(void)madvise(sim->memory + near_end, end - near_end,
				      MADV_DONTNEED);
	}
	sim->map_count = 0;
}

static void sim_clear(struct weir_sim *sim)
{
	for (int i = 0; i < SIM_FDS; i++)
		sim->fds[i] = SIM_NONE;
	memset(sim->files, 0, (size_t)sim->file_high * sizeof(sim->files[0]));
	sim->file_high = 0;
	for (int i = 0; i < SIM_RINGS; i++)
		sim->rings[i].is_used = false;
	for (int i = 0; i < sim->op_high; i++)
		sim->ops[i].is_used = false;
	for (int i = 0; i < sim->conn_high; i++)
		sim->conns[i].is_used = false;
	sim->op_high = 0;
	for (int i = 0; i < sim->datagram_high; i++)
		sim->datagrams[i].is_used = false;
	sim->datagram_high = 0;
	sim->conn_high = 0;
	sim->dead_count = 0;
	sim->step_count = 0;
	sim->attempt = NULL;
	sim->on_enter = NULL;
	sim->thread_count = 0;
	sim->thread = SIM_NONE;
	sim->thread_depth = 0;
	sim->choose = NULL;
	sim->view.is_fresh = false;
	sim_memory_clear(sim);
	sim->memory_used = 0;
	sim->mappings = 0;
	sim->events = 0;
	sim->enters = 0;
	sim->moments = 0;
	sim->naps_end = 0;
	sim->still = 0;
	sim->order = 0;
	sim->violation = NULL;
	sim->is_idle = false;
	sim->traffic = (struct weir_sim_traffic){ .sent_bytes = 0 };
	sim->now_ns = UINT64_C(1000000000);
	sim->hash = UINT64_C(0xcbf29ce484222325);
	sim->next_port = 40000;
	sim->random = 1;
}

void weir_sim_reset(struct weir_sim *sim, struct weir_tape *tape,
		    const struct weir_sim_opts *opts)
{
	static const struct weir_sim_opts defaults;
	sim_clear(sim);
	sim->tape = tape;
	sim->opts = opts != NULL ? *opts : defaults;
	if (sim->opts.fault_rate == 0)
		sim->opts.fault_rate = FAULT_RATE_DEFAULT;
	if (sim->opts.pipe_bytes == 0)
		sim->opts.pipe_bytes = PIPE_BYTES_DEFAULT;
	assert(sim->opts.pipe_bytes <= SIM_PIPE_BYTES_MAX);
}

int weir_sim_open(struct weir_sim **out_sim, struct weir_tape *tape,
		  const struct weir_sim_opts *opts)
{
	struct weir_sim *sim = calloc(1, sizeof(*sim));
	if (sim == NULL)
		return -ENOMEM;
	void *memory = mmap(NULL, SIM_MEMORY_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		free(sim);
		return -ENOMEM;
	}
	sim->memory = memory;
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
	weir_sim_reset(sim, tape, opts);
	*out_sim = sim;
	return 0;
}

void weir_sim_close(struct weir_sim *sim)
{
	if (sim == NULL)
		return;
	(void)munmap(sim->memory, SIM_MEMORY_BYTES);
	free(sim);
}

const struct weir_kernel *weir_sim_kernel(const struct weir_sim *sim)
{
	return &sim->kernel;
}

void weir_sim_set_faults(struct weir_sim *sim, uint32_t faults)
{
	sim->opts.faults = faults;
}

void weir_sim_heal(struct weir_sim *sim)
{
	sim->opts.faults = 0;
	for (int i = 0; i < sim->step_count; i++)
		sim->steps[i].is_resting = false;
	weir_sim_note(sim, "-- healed: no faults from here on");
}

void weir_sim_set_migrates(struct weir_sim *sim, bool migrates)
{
	sim->opts.migrates = migrates;
}

struct weir_tape *weir_sim_tape(const struct weir_sim *sim)
{
	return sim->tape;
}

uint64_t weir_sim_now_ns(const struct weir_sim *sim)
{
	return sim->now_ns;
}

void weir_sim_pass(struct weir_sim *sim, uint64_t ns)
{
	sim->now_ns += ns;
	weir_sim_note(sim, "%llu ns go by", (unsigned long long)ns);
}

uint64_t weir_sim_hash(const struct weir_sim *sim)
{
	return sim->hash;
}

void weir_sim_revive(struct weir_sim *sim)
{
	for (int i = 0; i < sim->op_high; i++)
		sim->ops[i].is_lost = false;
	sim->events++;
	weir_sim_note(sim, "what was lost goes on");
}

size_t weir_sim_mapped_bytes(const struct weir_sim *sim)
{
	return sim->memory_used;
}

bool weir_sim_is_idle(const struct weir_sim *sim)
{
	return sim->is_idle;
}

int weir_sim_on_step(struct weir_sim *sim,
		     bool (*step)(struct weir_sim *sim, void *ctx), void *ctx)
{
	if (sim->step_count == SIM_STEPS)
		return -ENOSPC;
	sim->steps[sim->step_count++] =
		(struct sim_step){ .step = step, .ctx = ctx };
	return 0;
}

void weir_sim_on_attempt(struct weir_sim *sim,
			 int (*attempt)(struct weir_sim *sim,
					const struct weir_sim_attempt *what,
					void *ctx),
			 void *ctx)
{
	sim->attempt = attempt;
	sim->attempt_ctx = ctx;
}

void weir_sim_on_enter(struct weir_sim *sim,
		       int (*enter)(struct weir_sim *sim, uint32_t count,
				    void *ctx),
		       void *ctx)
{
	sim->on_enter = enter;
	sim->on_enter_ctx = ctx;
}

void weir_sim_traffic(const struct weir_sim *sim,
		      struct weir_sim_traffic *out_traffic)
{
	*out_traffic = sim->traffic;
}

void weir_sim_residue(const struct weir_sim *sim,
		      struct weir_sim_residue *out_residue)
{
	*out_residue = (struct weir_sim_residue){ .mappings = sim->mappings };
	for (int i = 0; i < SIM_FDS; i++)
		out_residue->descriptors += sim->fds[i] != SIM_NONE;
	for (int i = 0; i < sim->op_high; i++)
		out_residue->operations += sim->ops[i].is_used;
	for (int i = 0; i < sim->conn_high; i++)
		out_residue->connections +=
			sim->conns[i].is_used && sim->conns[i].has_server;
	for (int i = 0; i < SIM_RINGS; i++)
		for (uint32_t s = 0;
		     sim->rings[i].is_used && s < sim->rings[i].slots.count;
		     s++)
			out_residue->slots +=
				sim->rings[i].slots.files[s] != SIM_NONE;
}
