/* test_steer.c - steering without clients: names, options, means, and failures
 * of each step
 *
 *     options -> means -> members are taken -> listeners join -> attach
 *
 * Each step may fail; the tests check what is left then. What clients see:
 * test_steer_spread.c, _change.c and _faults.c.
 */
#include "../rig/alloc_watch.h"
#include "../rig/count_of.h"
#include "../rig/kernel_wrap.h"
#include "../rig/support.h"
#include "../suites.h"

#include "net/server.h"
#include "net/server/listen_socket.h"
#include "net/steer/steer_priv.h"

#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BPF_PROG_LOAD_COMMAND = 5 };

#define NO_EBPF weir_rung_bit(WEIR_RUNG_STEER_EBPF)
#define NO_INCOMING weir_rung_bit(WEIR_RUNG_STEER_INCOMING_CPU)
#define NO_CBPF weir_rung_bit(WEIR_RUNG_STEER_CBPF)

/* ---- names ------------------------------------------------------------- */

START_TEST(policies_have_names_that_are_read_back)
{
	enum weir_steer_policy policy = WEIR_STEER_POLICY_COUNT;
	for (int i = 0; i < WEIR_STEER_POLICY_COUNT; i++) {
		const char *name =
			weir_steer_policy_name((enum weir_steer_policy)i);
		ck_assert_int_eq(weir_steer_policy_parse(name, &policy), 0);
		ck_assert_int_eq(policy, i);
	}
	ck_assert_str_eq(weir_steer_policy_name(WEIR_STEER_POLICY_COUNT), "?");
	ck_assert_str_eq(weir_steer_policy_name((enum weir_steer_policy)77),
			 "?");
	ck_assert_int_eq(weir_steer_policy_parse("kernels", &policy), -EINVAL);
	ck_assert_int_eq(weir_steer_policy_parse("?", &policy), -EINVAL);
	ck_assert_int_eq(policy, WEIR_STEER_POLICY_COUNT - 1);
}
END_TEST

START_TEST(means_have_names)
{
	static const char *const names[] = {
		[WEIR_STEER_BY_HASH] = "the kernel's hash",
		[WEIR_STEER_BY_CLASSIC_BPF] = "classic BPF",
		[WEIR_STEER_BY_INCOMING_CPU] = "SO_INCOMING_CPU",
		[WEIR_STEER_BY_EBPF] = "eBPF",
	};
	for (int i = 0; i < COUNT_OF(names); i++)
		ck_assert_str_eq(
			weir_steer_means_name((enum weir_steer_means)i),
			names[i]);
	ck_assert_str_eq(
		weir_steer_means_name((enum weir_steer_means)COUNT_OF(names)),
		"?");
}
END_TEST

/* ---- options ----------------------------------------------------------- */

static const uint32_t heavy[] = { 1, 1001 };

static const struct {
	struct weir_steer_opts opts;
	const char *hint;
} option_cases[] = {
	{ { .policy = WEIR_STEER_POLICY_COUNT }, "there is none above" },
	{ { .group_count = 9 }, "9 addresses asked for; the limit is 8" },
	{ { .guard_percent = 101 }, "a guard at 101 %" },
	{ { .weights = heavy, .weight_count = 1025 }, "1025 weights given" },
	{ { .weights = heavy, .weight_count = 2 }, "weight 1001 of loop 1" },
};

START_TEST(a_steering_option_out_of_range_is_named_with_its_limit)
{
	struct weir_steer *steer = NULL;
	struct weir_error error = { .code = 0 };
	ck_assert_int_eq(
		weir_steer_open(&steer, &option_cases[_i].opts, &error),
		-EINVAL);
	ck_assert_ptr_null(steer);
	ck_assert_msg(strstr(error.text, option_cases[_i].hint) != NULL, "%s",
		      error.text);
}
END_TEST

START_TEST(steering_without_options_is_the_kernels)
{
	struct weir_steer *steer = NULL;
	ck_assert_int_eq(weir_steer_open(&steer, NULL, NULL), 0);
	ck_assert_int_eq(weir_steer_means(steer), WEIR_STEER_BY_HASH);
	ck_assert_int_eq(wi_steer_policy(steer), WEIR_STEER_KERNEL);
	weir_steer_close(steer);
	weir_steer_close(NULL); /* as free(3) */
}
END_TEST

START_TEST(a_rung_of_the_environment_that_is_none_is_named)
{
	struct weir_steer *steer = NULL;
	struct weir_error error = { .code = 0 };
	ck_assert_int_eq(setenv("WEIR_FORCE_OFF", "no-such-rung", 1), 0);
	ck_assert_int_eq(weir_steer_open(&steer, NULL, &error), -EINVAL);
	ck_assert_ptr_null(steer);
	ck_assert_msg(strstr(error.text, "no-such-rung") != NULL, "%s",
		      error.text);
	ck_assert_int_eq(unsetenv("WEIR_FORCE_OFF"), 0);
}
END_TEST

/* ---- the means --------------------------------------------------------- */

static const struct {
	weir_rung_set forced_off;
	enum weir_rung_id needs;
	enum weir_steer_means want;
} means_cases[] = {
	{ NO_EBPF, WEIR_RUNG_STEER_INCOMING_CPU, WEIR_STEER_BY_INCOMING_CPU },
	{ NO_EBPF | NO_INCOMING, WEIR_RUNG_STEER_CBPF,
	  WEIR_STEER_BY_CLASSIC_BPF },
	{ NO_EBPF | NO_INCOMING | NO_CBPF, WEIR_RUNG_COUNT,
	  WEIR_STEER_BY_HASH },
};

START_TEST(without_the_program_cpu_goes_by_the_next_best_means)
{
	struct weir_steer_opts opts = {
		.policy = WEIR_STEER_CPU,
		.forced_off = means_cases[_i].forced_off,
		.is_required = true,
	};
	const bool is_hash = means_cases[_i].want == WEIR_STEER_BY_HASH;
	struct weir_steer *steer = NULL;
	struct weir_error error = { .code = 0 };
	if (!is_hash)
		wi_skip_if_forced_off(means_cases[_i].needs);
	const int err = weir_steer_open(&steer, &opts, &error);
	if (is_hash) {
		ck_assert_int_eq(err, -EOPNOTSUPP);
		ck_assert_msg(strstr(error.text, "cpu is required") != NULL,
			      "%s", error.text);
		opts.is_required = false;
		ck_assert_int_eq(weir_steer_open(&steer, &opts, &error), 0);
	} else {
		ck_assert_msg(err == 0, "%s", error.text);
	}
	ck_assert_int_eq(weir_steer_means(steer), means_cases[_i].want);
	weir_steer_close(steer);
}
END_TEST

START_TEST(a_build_without_the_program_names_the_build)
{
	const struct weir_steer_opts opts = { .policy = WEIR_STEER_CPU };
	struct weir_steer *steer = NULL;
	wi_skip_unless_built(!weir_steer_is_built(),
			     "this build has the program");
	wi_skip_if_forced_off(WEIR_RUNG_STEER_EBPF);
	ck_assert_int_eq(weir_steer_open(&steer, &opts, NULL), 0);
	const struct weir_rung *rung = &steer->rungs[0];
	ck_assert_int_eq(rung->state, WEIR_RUNG_OFF);
	ck_assert_msg(strstr(rung->cause, "this build of weir has no steering "
					  "program: ") != NULL,
		      "%s", rung->cause);
	ck_assert_msg(strstr(rung->remedy, "build weir") != NULL, "%s",
		      rung->remedy);
	weir_steer_close(steer);
}
END_TEST

/* The real kernel with some refused calls. */
static struct {
	struct kernel_wrap wrap;
	int setup_err;
	int option; /* of setsockopt(2) */
	int option_err;
	uint32_t map_at;  /* n-th call on a descriptor, to be refused */
	uint32_t options; /* how often it was set or tried */
} refusing;

static bool refusing_before(void *ctx, struct kernel_call *call)
{
	(void)ctx;
	switch (call->id) {
	case CALL_SETUP:
		call->result = refusing.setup_err;
		return refusing.setup_err < 0;
	case CALL_SOCKOPT:
		if (call->sockopt.name != refusing.option)
			return false;
		refusing.options++;
		call->result = refusing.option_err;
		return refusing.option_err < 0;
	case CALL_MAP:
		call->result = -ENOMEM;
		return call->map.fd >= 0 && refusing.map_at > 0 &&
		       --refusing.map_at == 0;
	default:
		return false;
	}
}

static const struct weir_kernel *refusing_init(int option)
{
	memset(&refusing, 0, sizeof(refusing));
	kernel_wrap_init(&refusing.wrap, NULL, refusing_before, NULL, NULL);
	refusing.option = option;
	return &refusing.wrap.kernel;
}

START_TEST(means_that_cannot_be_tried_are_none)
{
	const struct weir_steer_opts opts = {
		.policy = WEIR_STEER_CPU,
		.forced_off = NO_EBPF,
		.kernel = refusing_init(0),
	};
	struct weir_steer *steer = NULL;
	struct weir_error error = { .code = 0 };
	wi_skip_if_forced_off(WEIR_RUNG_STEER_INCOMING_CPU);
	refusing.setup_err = -ENOMEM;
	ck_assert_int_eq(weir_steer_open(&steer, &opts, &error), 0);
	ck_assert_int_eq(weir_steer_means(steer), WEIR_STEER_BY_HASH);
	ck_assert_int_eq(steer->rungs[1].err, -ENOMEM);
	weir_steer_close(steer);
}
END_TEST

/* ---- members and listeners ----------------------------------------------- */

static struct weir_steer *steer_by(enum weir_steer_policy policy,
				   weir_rung_set forced_off, int option)
{
	const struct weir_steer_opts opts = {
		.policy = policy,
		.forced_off = forced_off,
		.kernel = refusing_init(option),
	};
	struct weir_steer *steer = NULL;
	struct weir_error error = { .code = 0 };
	const int err = weir_steer_open(&steer, &opts, &error);
	ck_assert_msg(err == 0, "%s", error.text);
	return steer;
}

/* Members of one group, on a port that the kernel chooses. */
static void listeners_open(int *out_fds, int count)
{
	const struct weir_kernel *real = weir_kernel_linux();
	struct wi_listen_request request = {
		.backlog = 1,
		.joins_group = true,
	};
	ck_assert_int_eq(weir_addr_parse("127.0.0.1", 0, &request.addr), 0);
	for (int i = 0; i < count; i++) {
		out_fds[i] =
			wi_listen_socket_open(real, &request, &request.addr);
		ck_assert_int_ge(out_fds[i], 0);
	}
}

static void listeners_close(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(close(fds[i]), 0);
}

START_TEST(cpu_takes_pinned_loops_only_and_so_many_on_one_cpu)
{
	struct weir_steer *steer =
		steer_by(WEIR_STEER_CPU, NO_EBPF | NO_INCOMING | NO_CBPF, 0);
	struct weir_error error = { .code = 0 };
	ck_assert_int_eq(wi_steer_member_take(steer, 3, -1, &error), -EINVAL);
	ck_assert_msg(strstr(error.text, "loop 3 is not") != NULL, "%s",
		      error.text);
	ck_assert(!steer->is_member[3]);
	for (uint32_t i = 0; i < WI_STEER_PER_CPU_MAX; i++)
		ck_assert_int_eq(wi_steer_member_take(steer, i, 1, &error), 0);
	const uint32_t more = WI_STEER_PER_CPU_MAX;
	ck_assert_int_eq(wi_steer_member_take(steer, more, 1, &error), -EINVAL);
	ck_assert_msg(strstr(error.text, "CPU 1 has more") != NULL, "%s",
		      error.text);
	ck_assert_int_eq(wi_steer_member_take(steer, more, 0, &error), 0);
	weir_steer_close(steer);
}
END_TEST

/* With classic BPF each change of a group is a new program. If the kernel
 * refuses that, the old one stays. */
START_TEST(classic_bpf_is_put_there_again_for_who_comes_and_who_goes)
{
	enum { MEMBERS = 3 };
	struct weir_steer *steer;
	struct weir_error error = { .code = 0 };
	int fds[MEMBERS];

	wi_skip_if_forced_off(WEIR_RUNG_STEER_CBPF);
	steer = steer_by(WEIR_STEER_CPU, NO_EBPF | NO_INCOMING,
			 SO_ATTACH_REUSEPORT_CBPF);
	ck_assert_int_eq(weir_steer_means(steer), WEIR_STEER_BY_CLASSIC_BPF);
	listeners_open(fds, MEMBERS);
	refusing.options = 0;
	for (uint32_t i = 0; i < MEMBERS; i++)
		ck_assert_int_eq(wi_steer_member_take(steer, i, (int)i, &error),
				 0);
	/* The group has no member to carry it. */
	ck_assert_int_eq(wi_steer_attach(steer, &error), 0);
	ck_assert_uint_eq(refusing.options, 0);
	for (uint32_t i = 0; i < MEMBERS; i++) {
		ck_assert_int_eq(wi_steer_join(steer, 0, i, fds[i], &error), 0);
		ck_assert_uint_eq(refusing.options, i + 1);
	}
	ck_assert_int_eq(wi_steer_set_policy(steer, WEIR_STEER_CPU, &error), 0);
	ck_assert_uint_eq(refusing.options, MEMBERS + 1);
	refusing.option_err = -ENOMEM;
	ck_assert_int_eq(wi_steer_attach(steer, &error), -ENOMEM);
	ck_assert_msg(strstr(error.text, "could not be put in front") != NULL,
		      "%s", error.text);
	refusing.option_err = 0;
	refusing.options = 0;
	for (uint32_t i = 0; i < MEMBERS; i++)
		wi_steer_leave(steer, 0, i);
	ck_assert_uint_eq(refusing.options, MEMBERS - 1); /* none is left */
	ck_assert(!wi_steer_migrates(steer));
	weir_steer_close(steer);
	listeners_close(fds, MEMBERS);
}
END_TEST

START_TEST(a_listener_that_the_means_refuse_does_not_join)
{
	struct weir_steer *steer;
	struct weir_error error = { .code = 0 };
	int fd;

	wi_skip_if_forced_off(WEIR_RUNG_STEER_INCOMING_CPU);
	steer = steer_by(WEIR_STEER_CPU, NO_EBPF, SO_INCOMING_CPU);
	ck_assert_int_eq(weir_steer_means(steer), WEIR_STEER_BY_INCOMING_CPU);
	listeners_open(&fd, 1);
	ck_assert_int_eq(wi_steer_member_take(steer, 0, 0, &error), 0);
	refusing.option_err = -EPERM;
	ck_assert_int_eq(wi_steer_join(steer, 0, 0, fd, &error), -EPERM);
	ck_assert_msg(strstr(error.text, "refused by SO_INCOMING_CPU") != NULL,
		      "%s", error.text);
	ck_assert_uint_eq(steer->groups[0].count, 0);
	refusing.option_err = 0;
	ck_assert_int_eq(wi_steer_join(steer, 0, 0, fd, &error), 0);
	ck_assert_uint_eq(steer->groups[0].count, 1);
	weir_steer_close(steer);
	listeners_close(&fd, 1);
}
END_TEST

static const struct {
	enum weir_steer_policy policy;
	weir_rung_set forced_off;
	uint32_t releases; /* of the two groups with a member */
} release_cases[] = {
	{ WEIR_STEER_KERNEL, 0, 1 },
	{ WEIR_STEER_CPU, NO_EBPF, 1 },
	{ WEIR_STEER_CPU, NO_EBPF | NO_INCOMING, 0 },
};

/* A server without a program removes another server's program by setting the
 * policy that it already has. */
START_TEST(the_same_policy_again_takes_a_strangers_program_away)
{
	if (release_cases[_i].policy == WEIR_STEER_CPU) {
		wi_skip_if_forced_off(WEIR_RUNG_STEER_INCOMING_CPU);
		wi_skip_if_forced_off(WEIR_RUNG_STEER_CBPF);
	}
	struct weir_steer *steer =
		steer_by(release_cases[_i].policy, release_cases[_i].forced_off,
			 SO_DETACH_REUSEPORT_BPF);
	struct weir_error error = { .code = 0 };
	int fd;

	steer->opts.group_count = 2;
	listeners_open(&fd, 1);
	ck_assert_int_eq(wi_steer_member_take(steer, 0, 0, &error), 0);
	ck_assert_int_eq(wi_steer_join(steer, 0, 0, fd, &error), 0);
	refusing.options = 0; /* of the probes */
	ck_assert_int_eq(
		wi_steer_set_policy(steer, release_cases[_i].policy, &error),
		0);
	ck_assert_uint_eq(refusing.options, release_cases[_i].releases);
	ck_assert_int_eq(
		wi_steer_set_policy(steer, WEIR_STEER_POLICY_COUNT, &error),
		-EINVAL);
	ck_assert_int_eq(
		wi_steer_set_policy(steer, WEIR_STEER_ROUND_ROBIN, &error),
		-EOPNOTSUPP);
	weir_steer_close(steer);
	listeners_close(&fd, 1);
}
END_TEST

/* ---- the program ------------------------------------------------------- */

static struct weir_steer *steer_by_program_or_null(void)
{
	const struct weir_steer_opts opts = { .policy = WEIR_STEER_ROUND_ROBIN,
					      .is_required = true };
	struct weir_steer *steer = NULL;
	struct weir_error error = { .code = 0 };
	return weir_steer_open(&steer, &opts, &error) == 0 ? steer : NULL;
}

START_TEST(a_policy_that_the_loops_cannot_have_leaves_the_one_there_is)
{
	struct weir_steer *steer = steer_by_program_or_null();
	struct weir_error error = { .code = 0 };
	wi_skip_unless(steer != NULL, "there is no steering program");
	ck_assert(!wi_steer_migrates(steer)); /* it is not attached */
	ck_assert_int_eq(wi_steer_member_take(steer, 5, -1, &error), 0);
	ck_assert_int_eq(wi_steer_set_policy(steer, WEIR_STEER_CPU, &error),
			 -EINVAL);
	ck_assert_msg(strstr(error.text, "loop 5 is not") != NULL, "%s",
		      error.text);
	ck_assert_int_eq(wi_steer_policy(steer), WEIR_STEER_ROUND_ROBIN);
	wi_steer_member_give(steer, 5);
	ck_assert_int_eq(wi_steer_set_policy(steer, WEIR_STEER_CPU, &error), 0);
	weir_steer_close(steer);
}
END_TEST

static const struct {
	const char *name; /* in the object; its last letter is changed */
	uint32_t group_count;
} part_cases[] = {
	{ "weir_steer", 1 }, { "sockets", 1 }, { "rows", 1 },
	{ "states", 1 },     { "states", 2 },
};

/* Changes it in the object's table of names. */
static void object_rename(uint8_t *elf, size_t byte_count, const char *name)
{
	const size_t name_bytes = strlen(name) + 1;
	uint32_t found = 0;
	for (size_t at = 1; at + name_bytes <= byte_count; at++)
		if (elf[at - 1] == '\0' &&
		    memcmp(elf + at, name, name_bytes) == 0) {
			elf[at + name_bytes - 2] = 'X';
			found++;
		}
	ck_assert_uint_gt(found, 0);
}

START_TEST(a_program_that_lacks_a_part_is_no_program)
{
	struct wi_steer_object object = wi_steer_bpf_object();
	struct weir_steer *steer = steer_by_program_or_null();
	struct wi_steer_bpf *bpf = NULL;
	struct weir_error error = { .code = 0 };

	wi_skip_unless(steer != NULL, "there is no steering program");
	weir_steer_close(steer);
	uint8_t *elf = malloc(object.byte_count);
	ck_assert_ptr_nonnull(elf);
	memcpy(elf, object.bytes, object.byte_count);
	object_rename(elf, object.byte_count, part_cases[_i].name);
	object.bytes = elf;
	ck_assert_int_eq(wi_steer_bpf_open(&bpf, weir_kernel_linux(), object,
					   part_cases[_i].group_count, &error),
			 -ENOENT);
	ck_assert_ptr_null(bpf);
	ck_assert_str_ne(error.text, "");
	free(elf);
}
END_TEST

START_TEST(maps_that_cannot_be_mapped_are_no_program)
{
	struct weir_steer *steer = steer_by_program_or_null();
	struct wi_steer_bpf *bpf = NULL;
	struct weir_error error = { .code = 0 };

	wi_skip_unless(steer != NULL, "there is no steering program");
	weir_steer_close(steer);
	const struct weir_kernel *kernel = refusing_init(0);
	refusing.map_at = (uint32_t)_i; /* states, rows */
	ck_assert_int_eq(wi_steer_bpf_open(&bpf, kernel, wi_steer_bpf_object(),
					   1, &error),
			 -ENOMEM);
	ck_assert_ptr_null(bpf);
	ck_assert_msg(strstr(error.text, "could not be mapped") != NULL, "%s",
		      error.text);
}
END_TEST

START_TEST(steering_without_memory_says_so)
{
	const struct weir_steer_opts opts = { .policy = WEIR_STEER_ROUND_ROBIN,
					      .is_required = true };
	struct weir_steer *steer = steer_by_program_or_null();
	struct weir_error error = { .code = 0 };
	uint64_t allocs;
	uint64_t call = 0;

	wi_skip_unless(steer != NULL, "there is no steering program");
	for (;;) {
		weir_steer_close(steer);
		steer = NULL;
		alloc_watch_start(++call, false);
		const int err = weir_steer_open(&steer, &opts, &error);
		allocs = alloc_watch_stop();
		if (err == 0)
			break;
		ck_assert_int_eq(err, -ENOMEM);
		ck_assert_ptr_null(steer);
		ck_assert_msg(strstr(error.text, "no memory for") != NULL, "%s",
			      error.text);
	}
	weir_steer_close(steer);
	ck_assert_uint_eq(allocs, call - 1);
	ck_assert_uint_ge(allocs, 3);
}
END_TEST

/* ---- a host that is not as usual --------------------------------------- */

/* bpf(2) of a program fails with this errno; all other calls work. */
static bool forbid_load(int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BPF_PROG_LOAD_COMMAND, 0,
			 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)-err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { COUNT_OF(code), code };
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int load_forbidden(void *ctx, struct weir_error *error)
{
	const struct weir_steer_opts opts = { .policy = WEIR_STEER_ROUND_ROBIN,
					      .is_required = true };
	struct weir_steer *steer = NULL;
	return forbid_load(*(int *)ctx) ? weir_steer_open(&steer, &opts, error)
					: 1;
}

static const int load_errs[] = { -EAGAIN, -ENOMEM };

/* The verifier returns EAGAIN while a signal is pending. The load is repeated,
 * but not for ever. */
START_TEST(a_program_that_cannot_be_loaded_is_given_up)
{
	struct weir_steer *steer = steer_by_program_or_null();
	struct weir_error error = { .code = 0 };
	int want = load_errs[_i];

	wi_skip_unless(steer != NULL, "there is no steering program");
	weir_steer_close(steer);
	ck_assert_int_eq(wi_in_child(load_forbidden, &want, &error), want);
	ck_assert_msg(strstr(error.text, "could not be loaded: ") != NULL, "%s",
		      error.text);
	ck_assert_msg(strstr(error.text, strerror(-want)) != NULL, "%s",
		      error.text);
}
END_TEST

/* /sys is an empty file system, for this process only. */
static int open_without_sys(void *ctx, struct weir_error *error)
{
	struct wi_steer_bpf *bpf = NULL;
	const int said = memfd_create("stderr", MFD_CLOEXEC);
	(void)ctx;
	if (said < 0 || dup2(said, STDERR_FILENO) < 0 ||
	    unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/sys", "tmpfs", 0, NULL) != 0)
		return 1;
	const int err = wi_steer_bpf_open(&bpf, weir_kernel_linux(),
					  wi_steer_bpf_object(), 1, error);
	return lseek(said, 0, SEEK_CUR) == 0 ? err : 2; /* it has printed */
}

START_TEST(without_sys_the_cpus_cannot_be_counted)
{
	struct weir_error error = { .code = 0 };
	wi_skip_unless_built(weir_steer_is_built(),
			     "this build has no steering program");
	const int err = wi_in_child(open_without_sys, NULL, &error);
	wi_skip_unless(err != 1, "may not mount");
	ck_assert_int_eq(err, -ENOENT);
	ck_assert_msg(strstr(error.text, "is /sys mounted?") != NULL, "%s",
		      error.text);
}
END_TEST

WI_SUITE(steer, "steer", WI_RUNGS | WI_BPF)
{
	TCase *tcase = tcase_create("steer");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, policies_have_names_that_are_read_back);
	tcase_add_test(tcase, means_have_names);
	tcase_add_loop_test(
		tcase, a_steering_option_out_of_range_is_named_with_its_limit,
		0, COUNT_OF(option_cases));
	tcase_add_test(tcase, steering_without_options_is_the_kernels);
	tcase_add_test(tcase, a_rung_of_the_environment_that_is_none_is_named);
	tcase_add_loop_test(tcase,
			    without_the_program_cpu_goes_by_the_next_best_means,
			    0, COUNT_OF(means_cases));
	tcase_add_test(tcase, a_build_without_the_program_names_the_build);
	tcase_add_test(tcase, means_that_cannot_be_tried_are_none);
	tcase_add_test(tcase,
		       cpu_takes_pinned_loops_only_and_so_many_on_one_cpu);
	tcase_add_test(
		tcase,
		classic_bpf_is_put_there_again_for_who_comes_and_who_goes);
	tcase_add_test(tcase, a_listener_that_the_means_refuse_does_not_join);
	tcase_add_loop_test(
		tcase, the_same_policy_again_takes_a_strangers_program_away, 0,
		COUNT_OF(release_cases));
	tcase_add_test(
		tcase,
		a_policy_that_the_loops_cannot_have_leaves_the_one_there_is);
	tcase_add_loop_test(tcase, a_program_that_lacks_a_part_is_no_program, 0,
			    COUNT_OF(part_cases));
	tcase_add_loop_test(tcase, maps_that_cannot_be_mapped_are_no_program, 1,
			    3);
	tcase_add_test(tcase, steering_without_memory_says_so);
	tcase_add_loop_test(tcase, a_program_that_cannot_be_loaded_is_given_up,
			    0, COUNT_OF(load_errs));
	tcase_add_test(tcase, without_sys_the_cpus_cannot_be_counted);
	suite_add_tcase(suite, tcase);
}
