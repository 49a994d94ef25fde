/* steer_bpf.c - libbpf: from the object's bytes to programs and mapped memory
 */
#include "steer_bpf.h"

#include "../steer.h"

/* The object file, as one long string. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "steer.skel.h"
#pragma GCC diagnostic pop

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	LOG_BYTES = 64 * 1024,
	LOAD_TRIES = 40,
	LOAD_PAUSE_NS = 5 * 1000 * 1000,
};

struct wi_steer_bpf {
	const struct weir_kernel *kernel;
	struct bpf_object *objects[WEIR_STEER_GROUPS_MAX];
	int program_fds[WEIR_STEER_GROUPS_MAX];
	int socket_map_fds[WEIR_STEER_GROUPS_MAX];
	uint32_t group_count;
	void *state;
	size_t state_bytes;
	void *rows;
	size_t rows_bytes;
	uint32_t row_count;
	char *log; /* the verifier's, while loading */
};

struct wi_steer_object wi_steer_bpf_object(void)
{
	struct wi_steer_object object;
	object.bytes = steer__elf_bytes(&object.byte_count);
	return object;
}

bool weir_steer_is_built(void)
{
	return true;
}

/* ---- what the verifier said -------------------------------------------- */

/* The log ends with statistics (without BPF_LOG_STATS, one line of them); the
 * line before them is the reason. Cuts the log there and returns that line. */
static const char *log_reason(char *log)
{
	char *last = NULL;
	char *rest = NULL;

	for (char *line = strtok_r(log, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "processed ", 10) == 0)
			break;
		last = line;
	}
	return last;
}

static int load_explain(int err, char *log, struct weir_error *error)
{
	const char *reason = log_reason(log);
	char text[128];

	if (err <= -__LIBBPF_ERRNO__START) { /* libbpf's own: no errno */
		(void)libbpf_strerror(err, text, sizeof(text));
		return weir_error_set(error, -EINVAL,
				      "the steering program could not be "
				      "loaded: %s",
				      text);
	}

	if (err == -EPERM)
		return weir_error_set(
			error, err,
			"loading the steering program needs CAP_BPF, which this "
			"process lacks, or a policy (seccomp, lockdown) "
			"forbids bpf(2)");
	if (reason != NULL)
		return weir_error_set(error, err,
				      "the kernel's verifier refused the "
				      "steering program: %.200s (%s)",
				      reason, strerror(-err));
	return weir_error_set(error, err,
			      "the steering program could not be loaded: %s",
			      strerror(-err));
}

/* ---- loading ----------------------------------------------------------- */

/* A library does not print. libbpf's print function is one setting for the
 * whole process, so it is set back afterwards. */
static int print_nothing(enum libbpf_print_level level, const char *format,
			 va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static pthread_mutex_t print_lock = PTHREAD_MUTEX_INITIALIZER;

static libbpf_print_fn_t print_off(void)
{
	(void)pthread_mutex_lock(&print_lock);
	return libbpf_set_print(print_nothing);
}

static void print_back(libbpf_print_fn_t before)
{
	(void)libbpf_set_print(before);
	(void)pthread_mutex_unlock(&print_lock);
}

static int map_share(struct bpf_object *object, const struct bpf_object *first,
		     const char *name)
{
	const struct bpf_map *from = bpf_object__find_map_by_name(first, name);
	struct bpf_map *to = bpf_object__find_map_by_name(object, name);
	if (from == NULL)
		return -ENOENT;
	assert(to != NULL); /* both are of the same bytes */
	return bpf_map__reuse_fd(to, bpf_map__fd(from));
}

/* Between open and load: sets sizes, and which maps are shared. */
static int object_prepare(struct wi_steer_bpf *bpf, struct bpf_object *object)
{
	if (bpf->group_count == 0) {
		struct bpf_map *rows =
			bpf_object__find_map_by_name(object, "rows");
		return rows == NULL
			       ? -ENOENT
			       : bpf_map__set_max_entries(rows, bpf->row_count);
	}
	int err = map_share(object, bpf->objects[0], "states");
	return err < 0 ? err : map_share(object, bpf->objects[0], "rows");
}

static int object_read(struct wi_steer_bpf *bpf, struct bpf_object *object)
{
	const struct bpf_program *program =
		bpf_object__find_program_by_name(object, "weir_steer");
	const struct bpf_map *sockets =
		bpf_object__find_map_by_name(object, "sockets");
	if (program == NULL || sockets == NULL)
		return -ENOENT;
	bpf->program_fds[bpf->group_count] = bpf_program__fd(program);
	bpf->socket_map_fds[bpf->group_count] = bpf_map__fd(sockets);
	return 0;
}

/* Loads the object for one more group. */
static int object_load(struct wi_steer_bpf *bpf, struct wi_steer_object from)
{
	struct bpf_object_open_opts opts;
	/* Its padding too: libbpf refuses options with non-zero bytes that it
	 * does not know. */
	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.object_name = "weir";
	opts.kernel_log_buf = bpf->log;
	opts.kernel_log_size = LOG_BYTES;
	struct bpf_object *object =
		bpf_object__open_mem(from.bytes, from.byte_count, &opts);
	if (object == NULL)
		return -errno;
	int err = object_prepare(bpf, object);
	if (err == 0)
		err = bpf_object__load(object);
	if (err == 0)
		err = object_read(bpf, object);
	if (err < 0) {
		bpf_object__close(object);
		return err;
	}
	bpf->objects[bpf->group_count++] = object;
	return 0;
}

/* The verifier ends with EAGAIN while a signal is pending, and the last work of
 * a closed ring looks like one (see uring/ladder/ladder_try_steer.c). libbpf
 * tries again at once; this tries again after a pause. */
static int object_load_patiently(struct wi_steer_bpf *bpf,
				 struct wi_steer_object from)
{
	const struct weir_kernel *kernel = bpf->kernel;
	int err = -EAGAIN;
	for (int i = 0; i < LOAD_TRIES; i++) {
		err = object_load(bpf, from);
		if (err != -EAGAIN)
			break;
		kernel->pause(kernel->ctx, LOAD_PAUSE_NS);
	}
	return err;
}

static int objects_load(struct wi_steer_bpf *bpf, struct wi_steer_object from,
			uint32_t group_count, struct weir_error *error)
{
	int err = 0;

	bpf->log = calloc(1, LOG_BYTES);
	if (bpf->log == NULL)
		return weir_error_set(error, -ENOMEM,
				      "no memory for the verifier's log");
	const libbpf_print_fn_t before = print_off();
	while (err == 0 && bpf->group_count < group_count)
		err = object_load_patiently(bpf, from);
	print_back(before);
	if (err < 0)
		err = load_explain(err, bpf->log, error);
	free(bpf->log);
	bpf->log = NULL;
	return err;
}

/* ---- the shared memory ------------------------------------------------- */

static int memory_map(struct wi_steer_bpf *bpf, const char *name, size_t bytes,
		      void **out_memory, size_t *out_bytes)
{
	const struct weir_kernel *kernel = bpf->kernel;
	const struct bpf_map *map =
		bpf_object__find_map_by_name(bpf->objects[0], name);
	if (map == NULL)
		return -ENOENT;
	int err = kernel->map(kernel->ctx, bytes, bpf_map__fd(map), 0,
			      out_memory);
	if (err == 0)
		*out_bytes = bytes;
	return err;
}

static int memory_open(struct wi_steer_bpf *bpf, struct weir_error *error)
{
	int err = memory_map(bpf, "states", sizeof(struct wi_steer_state),
			     &bpf->state, &bpf->state_bytes);
	if (err == 0)
		err = memory_map(bpf, "rows",
				 bpf->row_count * sizeof(struct wi_steer_row),
				 &bpf->rows, &bpf->rows_bytes);
	if (err < 0)
		return weir_error_set(error, err,
				      "the steering program's maps could not "
				      "be mapped: %s",
				      strerror(-err));
	return 0;
}

int wi_steer_bpf_open(struct wi_steer_bpf **out_bpf,
		      const struct weir_kernel *kernel,
		      struct wi_steer_object object, uint32_t group_count,
		      struct weir_error *error)
{
	const libbpf_print_fn_t before = print_off();
	const int cpu_count = libbpf_num_possible_cpus();
	print_back(before);
	if (cpu_count < 0)
		return weir_error_set(error, cpu_count,
				      "cannot tell the number of CPUs: %s; is "
				      "/sys mounted?",
				      strerror(-cpu_count));
	struct wi_steer_bpf *bpf = calloc(1, sizeof(*bpf));
	if (bpf == NULL)
		return weir_error_set(error, -ENOMEM,
				      "no memory for the steering program");
	bpf->kernel = kernel;
	bpf->row_count = (uint32_t)cpu_count;
	int err = objects_load(bpf, object, group_count, error);
	if (err == 0)
		err = memory_open(bpf, error);
	if (err < 0) {
		wi_steer_bpf_close(bpf);
		return err;
	}
	*out_bpf = bpf;
	return 0;
}

void wi_steer_bpf_close(struct wi_steer_bpf *bpf)
{
	if (bpf == NULL)
		return;
	const struct weir_kernel *kernel = bpf->kernel;
	if (bpf->state != NULL)
		(void)kernel->unmap(kernel->ctx, bpf->state, bpf->state_bytes);
	if (bpf->rows != NULL)
		(void)kernel->unmap(kernel->ctx, bpf->rows, bpf->rows_bytes);
	/* The first last: it made the maps that the others share. */
	for (uint32_t i = bpf->group_count; i > 0; i--)
		bpf_object__close(bpf->objects[i - 1]);
	free(bpf);
}

/* ---- in use ------------------------------------------------------------ */

struct wi_steer_state *wi_steer_bpf_state(struct wi_steer_bpf *bpf)
{
	return bpf->state;
}

struct wi_steer_row *wi_steer_bpf_rows(struct wi_steer_bpf *bpf,
				       uint32_t *out_count)
{
	*out_count = bpf->row_count;
	return bpf->rows;
}

int wi_steer_bpf_put(struct wi_steer_bpf *bpf, uint32_t group, uint32_t member,
		     int listener_fd)
{
	const uint64_t value = (uint64_t)listener_fd;
	return bpf_map_update_elem(bpf->socket_map_fds[group], &member, &value,
				   BPF_ANY);
}

int wi_steer_bpf_program_fd(const struct wi_steer_bpf *bpf, uint32_t group)
{
	return bpf->program_fds[group];
}
