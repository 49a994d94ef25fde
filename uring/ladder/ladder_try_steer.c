/* ladder_try_steer.c - ways to choose the listener of a new connection
 *
 *     connect --> the port --+--> listener   armed: what comes here is wrong
 *                            +--> second     where all are sent
 *
 * The kernel's hash would send half of the connections to each.
 *
 * bpf(2) and some setsockopt(2) calls here bypass struct weir_kernel: no loop
 * makes them. The BPF program here is not that of net/. If the verifier refuses
 * that one, the code that loads it handles the error.
 */
#include "ladder_try_steer.h"

#include "../ring_inline.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTIONS = 8, /* all go right by chance 1 time in 256 */
	BPF_TRIES = 200,
	BPF_PAUSE_NS = 1000 * 1000,
	SELECT_OR_MIGRATE = 40, /* enum bpf_attach_type, 5.14 */
	KEY_AT = -4,            /* from the program's frame pointer */
};

/* ---- the trial ----------------------------------------------------------- */

static int steer_open(struct wi_stage *stage, struct wi_stage_address *where)
{
	int err = wi_stage_open(stage);
	return err < 0 ? err : wi_stage_listen_twice(stage, where);
}

/* Takes the entry and returns its tag. */
static uint64_t steer_accept(struct wi_stage *stage, int listener)
{
	return wi_stage_sqe(stage, IORING_OP_ACCEPT, listener)->user_data;
}

/* One connection, which must come to the second listener. @wrong is the tag of
 * the first listener's accept. */
static int steer_once(struct wi_stage *stage,
		      const struct wi_stage_address *where, uint64_t wrong)
{
	const struct weir_kernel *kernel = stage->kernel;
	struct io_uring_cqe cqe;
	stage->near = wi_stage_socket(stage);
	if (stage->near < 0)
		return stage->near;
	const uint64_t right = steer_accept(stage, stage->second);
	struct io_uring_sqe *sqe =
		wi_stage_sqe(stage, IORING_OP_CONNECT, stage->near);
	sqe->addr = (uint64_t)(uintptr_t)&where->address;
	sqe->off = where->address_bytes;
	/* Wait for the accepts, not for the connect: a wait for the connect
	 * would drop an accept that comes first. */
	int err = wi_stage_wait_either(stage, right, wrong, &cqe);
	if (err < 0)
		return err;
	if (cqe.res < 0)
		return cqe.res;
	(void)kernel->close(kernel->ctx, cqe.res);
	(void)kernel->close(kernel->ctx, stage->near);
	stage->near = -1;
	return cqe.user_data == right ? 0 : -EPROTO;
}

static int steer_see(struct wi_stage *stage,
		     const struct wi_stage_address *where)
{
	const uint64_t wrong = steer_accept(stage, stage->listener);
	int err = 0;
	for (int i = 0; i < CONNECTIONS && err >= 0; i++)
		err = steer_once(stage, where, wrong);
	return err;
}

static int steer_set(int fd, int option, const void *value, socklen_t bytes)
{
	return setsockopt(fd, SOL_SOCKET, option, value, bytes) < 0 ? -errno
								    : 0;
}

/* ---- by CPU -------------------------------------------------------------- */

/* The CPU that sends a packet over loopback also receives it, so this thread
 * must stay on one CPU during the try. */
struct pin {
	cpu_set_t before;
	int cpu;
	bool is_set;
};

static void pin_set(struct pin *pin)
{
	cpu_set_t here;
	pin->cpu = sched_getcpu();
	/* Fails on a machine with more CPUs than a cpu_set_t holds: the try
	 * then succeeds only by chance. */
	pin->is_set =
		sched_getaffinity(0, sizeof(pin->before), &pin->before) == 0;
	if (!pin->is_set)
		return;
	CPU_ZERO(&here);
	CPU_SET(pin->cpu, &here);
	(void)sched_setaffinity(0, sizeof(here), &here); /* stay on this CPU */
}

static void pin_restore(const struct pin *pin)
{
	/* The old mask is valid. */
	if (pin->is_set)
		(void)sched_setaffinity(0, sizeof(pin->before), &pin->before);
}

/* cBPF and SO_INCOMING_CPU share this: @choose sets the second listener to take
 * the connections. */
static int steer_by_cpu(struct wi_stage *stage,
			int (*choose)(const struct wi_stage *stage, int cpu))
{
	struct wi_stage_address where;
	struct pin pin;
	int err = steer_open(stage, &where);
	if (err < 0)
		return err;
	pin_set(&pin);
	err = choose(stage, pin.cpu);
	if (err >= 0)
		err = steer_see(stage, &where);
	pin_restore(&pin);
	return err;
}

static int choose_incoming_cpu(const struct wi_stage *stage, int cpu)
{
	return steer_set(stage->second, SO_INCOMING_CPU, &cpu, sizeof(cpu));
}

/* The result is an index into the group, in the order of joining. */
static int choose_cbpf(const struct wi_stage *stage, int cpu)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (uint32_t)(SKF_AD_OFF + SKF_AD_CPU)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)cpu, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program;
	memset(&program, 0, sizeof(program)); /* the kernel copies the padding
					       * too */
	program.len = sizeof(code) / sizeof(code[0]);
	program.filter = code;
	return steer_set(stage->listener, SO_ATTACH_REUSEPORT_CBPF, &program,
			 sizeof(program));
}

int wi_try_steer_incoming_cpu(struct wi_stage *stage)
{
	return steer_by_cpu(stage, choose_incoming_cpu);
}

int wi_try_steer_cbpf(struct wi_stage *stage)
{
	return steer_by_cpu(stage, choose_cbpf);
}

/* ---- by an eBPF program -------------------------------------------------- */

/* The verifier ends with EAGAIN when a signal or task work is pending. The
 * kernel frees a closed ring later, and then queues task work to each thread
 * that used it. The rungs before closed several rings, so pause between
 * tries. */
static int bpf_call(enum bpf_cmd command, union bpf_attr *attr)
{
	int result = -EAGAIN;
	for (int i = 0; i < BPF_TRIES; i++) {
		const long got = syscall(SYS_bpf, command, attr, sizeof(*attr));
		result = got < 0 ? -errno : (int)got;
		if (result != -EAGAIN)
			break;
		struct timespec pause = { .tv_nsec = BPF_PAUSE_NS };
		(void)nanosleep(&pause, NULL); /* cut short: the next try is
						* only earlier */
	}
	return result;
}

/* Returns the descriptor of a map with room for one listener. */
static int bpf_map_open(void)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr)); /* all of the union */
	attr.map_type = BPF_MAP_TYPE_REUSEPORT_SOCKARRAY;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = sizeof(uint64_t);
	attr.max_entries = 1;
	return bpf_call(BPF_MAP_CREATE, &attr);
}

static int bpf_map_put(int map_fd, int listener)
{
	const uint32_t key = 0;
	const uint64_t value = (uint64_t)listener;
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map_fd;
	attr.key = (uint64_t)(uintptr_t)&key;
	attr.value = (uint64_t)(uintptr_t)&value;
	return bpf_call(BPF_MAP_UPDATE_ELEM, &attr);
}

/* Returns the descriptor of this program: sk_select_reuseport(ctx, map, &(u32){
 * 0 }, 0); return SK_PASS; */
static int bpf_program_open(int map_fd)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_W,
		  .dst_reg = BPF_REG_10,
		  .off = KEY_AT },
		{ .code = BPF_LD | BPF_IMM | BPF_DW,
		  .dst_reg = BPF_REG_2,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map_fd },
		{ .code = 0 }, /* upper half of the one above */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X,
		  .dst_reg = BPF_REG_3,
		  .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD, /* a constant */
		  .dst_reg = BPF_REG_3,
		  .imm = KEY_AT },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4 },
		{ .code = BPF_JMP | BPF_CALL,
		  .imm = BPF_FUNC_sk_select_reuseport },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K,
		  .dst_reg = BPF_REG_0,
		  .imm = SK_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	static const char license[] = "Dual MIT/GPL";
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SK_REUSEPORT;
	attr.insns = (uint64_t)(uintptr_t)code;
	attr.insn_cnt = sizeof(code) / sizeof(code[0]);
	attr.license = (uint64_t)(uintptr_t)license;
	attr.expected_attach_type = SELECT_OR_MIGRATE;
	return bpf_call(BPF_PROG_LOAD, &attr);
}

static int steer_by_program(struct wi_stage *stage,
			    const struct wi_stage_address *where, int map_fd)
{
	int err = bpf_map_put(map_fd, stage->second);
	if (err < 0)
		return err;
	const int program = bpf_program_open(map_fd);
	if (program < 0)
		return program;
	err = steer_set(stage->listener, SO_ATTACH_REUSEPORT_EBPF, &program,
			sizeof(program));
	(void)close(program); /* the group holds a reference */
	return err < 0 ? err : steer_see(stage, where);
}

int wi_try_steer_ebpf(struct wi_stage *stage)
{
	struct wi_stage_address where;
	int err = steer_open(stage, &where);
	if (err < 0)
		return err;
	const int map_fd = bpf_map_open();
	if (map_fd < 0)
		return map_fd;
	err = steer_by_program(stage, &where, map_fd);
	(void)close(map_fd);
	return err;
}
