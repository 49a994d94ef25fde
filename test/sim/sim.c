/* sim.c - the world: its descriptors, how it is opened and made anew
 *
 * Not here: the calls of the seam (sim_seam.c), rings (sim_ring.c), operations
 * (sim_op.c), the network (sim_net.c).
 */
#include "sim_op_priv.h"

#include "../../uring/annotate.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
	FAULT_RATE_DEFAULT = 16,
	PIPE_BYTES_DEFAULT = 4096,
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
		sim_listen_end(sim, (int)(file - sim->files));
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
	sim_seam_init(sim);
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
