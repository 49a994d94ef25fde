/* test_steer_faults.c - steering is refused, damaged, or removed
 *
 * Whatever happens to the program and its listeners, clients are served: the
 * kernel's hash always works.
 */
#include "../rig/count_of.h"
#include "../suites.h"
#include "steer_rig.h"

#include "net/steer/steer_priv.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	ENOUGH = 2000000, /* more than any of these tests makes */
	SOME = 300,
	SOURCES = 200,
	GUARD_OFF = 100,
};

static void many_sources(uint32_t index, struct weir_addr *out_source)
{
	rig_source_ipv4(index % SOURCES, out_source);
}

static struct swarm_opts swarm_of(uint32_t count,
				  const struct weir_addr *target)
{
	return (struct swarm_opts){
		.count = count,
		.targets = target,
		.target_count = 1,
		.source = many_sources,
		.batch = 8,
	};
}

static void swarm_pass(struct swarm *swarm, uint64_t count)
{
	swarm_settle(swarm);
	swarm_wait_tried(swarm, swarm_tried(swarm) + count);
	ck_assert_uint_lt(swarm_tried(swarm), swarm->opts.count);
}

static void swarm_end_unharmed(struct swarm *swarm)
{
	swarm_stop(swarm);
	swarm_join(swarm);
	swarm_expect_all_served(swarm);
	swarm_end(swarm);
}

/* SOME clients, all served. */
static void steered_serves(const struct steered *steered)
{
	const struct weir_addr target = steered_addr(steered);
	const struct swarm_opts opts = swarm_of(SOME, &target);
	struct swarm swarm;
	swarm_run(&swarm, &opts);
	swarm_expect_all_served(&swarm);
	swarm_end(&swarm);
}

/* ---- the map ----------------------------------------------------------- */

START_TEST(a_loop_beyond_the_limit_is_refused_and_the_others_serve)
{
	wi_steer_enter_or_skip();
	struct steered steered;
	struct weir_error error = { .code = 0 };

	steered_start_by_program(
		&steered, &(struct weir_server_opts){
				  .loop_count = 2,
				  .loop_count_max = 2,
				  .is_unpinned = true,
				  .steering.policy = WEIR_STEER_ROUND_ROBIN,
			  });
	ck_assert_int_eq(weir_server_add_loop(steered.server, -1, &error),
			 -ENOSPC);
	ck_assert_int_eq(error.code, -ENOSPC);
	steered_serves(&steered);
	ck_assert_uint_eq(steered_stats(&steered).loop_count, 2);
	ck_assert_uint_eq(steered_stats(&steered).chosen, SOME);
	steered_end(&steered);
}
END_TEST

static int reuseport_socket(const struct weir_addr *addr)
{
	const int on = 1;
	int fd = socket(addr->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	ck_assert_int_eq(
		bind(fd, (const struct sockaddr *)&addr->storage, addr->bytes),
		0);
	return fd;
}

START_TEST(the_map_takes_listeners_of_its_group_only)
{
	wi_steer_enter_or_skip();
	enum { NO_SUCH_FD = 19999 };
	struct wi_steer_bpf *bpf = NULL;
	struct weir_error error;
	struct sockaddr_in address;
	const struct weir_addr any = rig_addr("127.0.0.1", 0);
	ck_assert_int_eq(wi_steer_bpf_open(&bpf, weir_kernel_linux(),
					   wi_steer_bpf_object(), 2, &error),
			 0);
	const int bound = reuseport_socket(&any);
	const int alone = wi_listener(&address);

	ck_assert_int_eq(wi_steer_bpf_put(bpf, 0, 0, bound), -EINVAL);
	ck_assert_int_eq(wi_steer_bpf_put(bpf, 0, 0, alone), -EINVAL);
	ck_assert_int_eq(wi_steer_bpf_put(bpf, 0, 0, NO_SUCH_FD), -EBADF);
	ck_assert_int_eq(listen(bound, 1), 0);
	ck_assert_int_eq(wi_steer_bpf_put(bpf, 0, WI_STEER_MEMBERS_MAX, bound),
			 -E2BIG);
	ck_assert_int_eq(
		wi_steer_bpf_put(bpf, 0, WI_STEER_MEMBERS_MAX - 1, bound), 0);
	ck_assert_int_eq(wi_steer_bpf_put(bpf, 0, 0, bound), -EBUSY);
	ck_assert_int_eq(wi_steer_bpf_put(bpf, 1, 0, bound), -EBUSY);
	ck_assert_int_eq(close(bound), 0);
	ck_assert_int_eq(close(alone), 0);
	wi_steer_bpf_close(bpf);
}
END_TEST

/* ---- a packet that opens no connection --------------------------------- */

static int repair_start(void)
{
	const int on = 1;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* An ACK of a connection that never existed; returns the answer to it. */
static int stray_ack(const struct weir_addr *target)
{
	const int off = 0;
	const int fd = repair_start();
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&target->storage,
				 target->bytes),
			 0); /* TCP_REPAIR: it sends no packet */
	ck_assert_int_eq(
		setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)),
		0); /* makes it ask for the window */
	const int heard = swarm_hear_one(fd);
	ck_assert_int_eq(close(fd), 0);
	return heard;
}

START_TEST(a_stray_ack_is_reset_and_is_no_choice)
{
	wi_steer_enter_or_skip();
	struct steered steered;
	const int fd = repair_start();

	wi_skip_unless(fd >= 0, "no TCP_REPAIR");
	ck_assert_int_eq(close(fd), 0);
	steered_start_by_program(
		&steered, &(struct weir_server_opts){
				  .loop_count = 2,
				  .is_unpinned = true,
				  .steering.policy = WEIR_STEER_ROUND_ROBIN,
			  });
	const struct weir_addr target = steered_addr(&steered);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(stray_ack(&target), -ECONNRESET);
	ck_assert_uint_eq(steered_stats(&steered).chosen, 0);
	ck_assert_uint_eq(steered_stats(&steered).missed, 0);
	steered_serves(&steered);
	ck_assert_uint_eq(steered_stats(&steered).chosen, SOME);
	steered_end(&steered);
}
END_TEST

/* ---- a listener is closed under the program ---------------------------- */

/* Finds one of this process's listeners on @port. */
static int listener_find(uint16_t port)
{
	DIR *dir = opendir("/proc/self/fd");
	int found = -1;
	ck_assert_ptr_nonnull(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		const int fd = atoi(entry->d_name);
		struct weir_addr addr = { .bytes = sizeof(addr.storage) };
		int accepts = 0;
		socklen_t bytes = sizeof(accepts);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts,
			       &bytes) < 0 ||
		    accepts == 0 ||
		    getsockname(fd, (struct sockaddr *)&addr.storage,
				&addr.bytes) < 0)
			continue;
		if (weir_addr_port(&addr) == port)
			found = fd;
	}
	(void)closedir(dir);
	ck_assert_int_ge(found, 0);
	return found;
}

static const enum weir_steer_policy closing_cases[] = {
	WEIR_STEER_ROUND_ROBIN,
	WEIR_STEER_LEAST_LOADED,
	WEIR_STEER_SOURCE_HASH,
};

START_TEST(a_listener_that_is_shut_behind_its_servers_back_costs_hardly_any)
{
	wi_steer_enter_or_skip();
	struct steered steered;
	struct swarm swarm;
	int cpus[2];

	steered_start_by_program(
		&steered, &(struct weir_server_opts){
				  .loop_count = 3,
				  .is_unpinned = true,
				  .steering = { .policy = closing_cases[_i],
						.guard_percent = GUARD_OFF },
			  });
	const struct weir_addr target = steered_addr(&steered);
	struct swarm_opts opts = swarm_of(ENOUGH, &target);
	swarm_pin(&opts, cpus);
	swarm_start(&swarm, &opts);
	swarm_pass(&swarm, 1000);
	ck_assert_uint_eq(steered_stats(&steered).missed, 0);
	ck_assert_int_eq(
		shutdown(listener_find(weir_addr_port(&target)), SHUT_RDWR), 0);
	swarm_pass(&swarm, wi_is_deep() ? 5000 : 500);
	/* The tables still name it, so the hash chooses instead. */
	ck_assert_uint_gt(steered_stats(&steered).missed, 0);
	swarm_stop(&swarm);
	swarm_join(&swarm);
	swarm_expect_served_but_for_races(&swarm, 1);
	swarm_end(&swarm);
	steered_end_harmed(&steered);
}
END_TEST

/* ---- the program is replaced ------------------------------------------- */

START_TEST(a_program_that_a_stranger_puts_there_is_replaced_in_turn)
{
	wi_steer_enter_or_skip();
	enum { FIRST_MEMBER = 0 };
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, FIRST_MEMBER) };
	const struct sock_fprog program = { .len = COUNT_OF(code),
					    .filter = code };
	struct steered steered;
	struct swarm swarm;
	struct weir_error error = { .code = 0 };
	int cpus[2];

	steered_start_by_program(
		&steered, &(struct weir_server_opts){
				  .loop_count = 3,
				  .is_unpinned = true,
				  .joins_group = true,
				  .steering.policy = WEIR_STEER_ROUND_ROBIN,
			  });
	const struct weir_addr target = steered_addr(&steered);
	struct swarm_opts opts = swarm_of(ENOUGH, &target);
	swarm_pin(&opts, cpus);
	swarm_start(&swarm, &opts);
	swarm_pass(&swarm, 1000);

	const int stranger = reuseport_socket(&target);
	ck_assert_int_eq(listen(stranger, 16), 0);
	swarm_pass(&swarm, 1000); /* it gets no connection */
	ck_assert_int_eq(setsockopt(stranger, SOL_SOCKET,
				    SO_ATTACH_REUSEPORT_CBPF, &program,
				    sizeof(program)),
			 0);
	swarm_settle(&swarm);
	const uint64_t chosen = steered_stats(&steered).chosen;
	const uint64_t first = steered_share(&steered, 0).stats.accepts;
	swarm_pass(&swarm, 1000);
	ck_assert_uint_eq(steered_stats(&steered).chosen, chosen);
	ck_assert_uint_ge(steered_share(&steered, 0).stats.accepts,
			  first + 1000);

	ck_assert_int_eq(weir_server_steer(steered.server,
					   WEIR_STEER_ROUND_ROBIN, &error),
			 0);
	swarm_pass(&swarm, 1000);
	ck_assert_uint_ge(steered_stats(&steered).chosen, chosen + 1000);
	ck_assert_uint_eq(steered_stats(&steered).missed, 0);
	ck_assert_int_eq(close(stranger), 0);
	swarm_pass(&swarm, 1000);
	swarm_end_unharmed(&swarm);
	steered_end(&steered);
}
END_TEST

/* ---- a program that the kernel refuses --------------------------------- */

static const Elf64_Shdr *elf_section(const uint8_t *elf, const char *name)
{
	const Elf64_Ehdr *header = (const void *)elf;
	const Elf64_Shdr *sections = (const void *)(elf + header->e_shoff);
	const char *names =
		(const char *)elf + sections[header->e_shstrndx].sh_offset;
	for (int i = 0; i < header->e_shnum; i++)
		if (strcmp(names + sections[i].sh_name, name) == 0)
			return &sections[i];
	ck_abort_msg("the program has no section %s", name);
	return NULL;
}

enum breakage { BAD_STACK, NO_RESULT, CUT_SHORT };

/* A damaged copy of the program; the caller frees it. */
static struct wi_steer_object object_break(enum breakage breakage)
{
	static const struct bpf_insn {
		uint8_t code;
		uint8_t registers;
		int16_t offset;
		int32_t value;
	} insns[] = {
		/* r0 = *(u64 *)(r10 + 8): above the stack */
		[BAD_STACK] = { 0x79, 0xa0, 8, 0 },
		/* exit without a value in r0 */
		[NO_RESULT] = { 0x95, 0, 0, 0 },
	};
	struct wi_steer_object object = wi_steer_bpf_object();
	uint8_t *elf = malloc(object.byte_count);
	ck_assert_ptr_nonnull(elf);
	memcpy(elf, object.bytes, object.byte_count);
	object.bytes = elf;
	if (breakage == CUT_SHORT) {
		object.byte_count /= 2;
		return object;
	}
	const Elf64_Shdr *section = elf_section(elf, "sk_reuseport/migrate");
	memcpy(elf + section->sh_offset, &insns[breakage], sizeof(insns[0]));
	return object;
}

static const struct {
	enum breakage breakage;
	const char *hint;
} refusal_cases[] = {
	{ BAD_STACK, "verifier refused" },
	{ NO_RESULT, "verifier refused" },
	{ CUT_SHORT, "could not be loaded" },
};

START_TEST(a_program_that_the_kernel_refuses_leaves_the_hash_and_the_reason)
{
	wi_steer_enter_or_skip();
	const struct wi_steer_object object =
		object_break(refusal_cases[_i].breakage);
	struct weir_steer *steer = NULL;
	struct weir_error error = { .code = 0 };
	struct steered steered;
	struct weir_steer_opts opts = { .policy = WEIR_STEER_ROUND_ROBIN,
					.is_required = true };

	int err = wi_steer_open(&steer, &opts, object, &error);
	ck_assert_int_lt(err, 0);
	ck_assert_int_eq(error.code, err);
	ck_assert_ptr_null(steer);
	ck_assert_msg(strstr(error.text, "round-robin is required") != NULL,
		      "%s", error.text);

	opts.is_required = false;
	ck_assert_int_eq(wi_steer_open(&steer, &opts, object, &error), 0);
	ck_assert_int_eq(weir_steer_means(steer), WEIR_STEER_BY_HASH);
	steered_start(&steered, &(struct weir_server_opts){ .loop_count = 2,
							    .is_unpinned = true,
							    .steer = steer });
	const struct weir_server_snapshot stats = steered_stats(&steered);
	const struct weir_rung *rung = &stats.rungs[WEIR_RUNG_STEER_EBPF];
	ck_assert_int_eq(rung->state, WEIR_RUNG_OFF);
	ck_assert_int_lt(rung->err, 0);
	ck_assert_msg(strstr(rung->cause, refusal_cases[_i].hint) != NULL,
		      "no '%s' in: %s", refusal_cases[_i].hint, rung->cause);
	(void)printf("%s\n", rung->cause);
	steered_serves(&steered);
	ck_assert_int_eq(weir_server_steer(steered.server,
					   WEIR_STEER_LEAST_LOADED, &error),
			 -EOPNOTSUPP);
	steered_end(&steered);
	weir_steer_close(steer);
	free((void *)(uintptr_t)object.bytes);
}
END_TEST

/* ---- no capability ----------------------------------------------------- */

/* In a fork: otherwise later tests would lack it too. */
static bool may_give_up(void)
{
	const char *fork_mode = getenv("CK_FORK");
	return geteuid() == 0 &&
	       (fork_mode == NULL || strcmp(fork_mode, "no") != 0);
}

/* Either of the two allows bpf(2): capabilities(7). */
static void give_up_bpf(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	data[1].effective &= ~(1u << (CAP_BPF - 32));
	data[0].permitted &= ~(1u << CAP_SYS_ADMIN);
	data[1].permitted &= ~(1u << (CAP_BPF - 32));
	ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
}

START_TEST(without_cap_bpf_a_server_falls_back_and_says_why)
{
	wi_steer_enter_or_skip();
	wi_skip_unless(may_give_up(), "it takes root, and CK_FORK");
	struct weir_server *server = NULL;
	struct weir_error error = { .code = 0 };
	struct steered steered;
	const struct weir_service service = { .name = "refused" };
	const struct weir_listen listen = { .service = &service,
					    .address = "127.0.0.1" };
	struct weir_server_opts opts = {
		.listen = &listen,
		.listen_count = 1,
		.loop_count = 2,
		.is_unpinned = true,
		.steering = { .policy = WEIR_STEER_LEAST_LOADED,
			      .is_required = true },
	};

	give_up_bpf();
	ck_assert_int_eq(weir_server_open(&server, &opts, &error), -EPERM);
	ck_assert_ptr_null(server);
	ck_assert_msg(strstr(error.text, "CAP_BPF") != NULL, "%s", error.text);

	opts.steering.is_required = false;
	steered_start(&steered, &opts);
	ck_assert_int_eq(steered_stats(&steered).means, WEIR_STEER_BY_HASH);
	const struct weir_server_snapshot stats = steered_stats(&steered);
	const struct weir_rung *rung = &stats.rungs[WEIR_RUNG_STEER_EBPF];
	ck_assert_int_eq(rung->state, WEIR_RUNG_OFF);
	ck_assert_int_eq(rung->err, -EPERM);
	ck_assert_msg(strstr(rung->cause, "CAP_BPF") != NULL, "%s",
		      rung->cause);
	steered_serves(&steered);
	steered_end(&steered);
}
END_TEST

START_TEST(without_cap_bpf_cpu_goes_by_incoming_cpu)
{
	wi_steer_enter_or_skip();
	wi_skip_unless(may_give_up(), "it takes root, and CK_FORK");
	wi_skip_if_forced_off(WEIR_RUNG_STEER_INCOMING_CPU);
	struct steered steered;

	give_up_bpf();
	steered_start(&steered, &(struct weir_server_opts){
					.loop_count = 2,
					.steering.policy = WEIR_STEER_CPU,
				});
	ck_assert_int_eq(steered_stats(&steered).means,
			 WEIR_STEER_BY_INCOMING_CPU);
	steered_serves(&steered);
	steered_end(&steered);
}
END_TEST

/* What a launcher does: load, drop all privileges, serve. */
START_TEST(a_server_steers_as_nobody_once_the_program_is_loaded)
{
	wi_steer_enter_or_skip();
	wi_skip_unless(may_give_up(), "it takes root, and CK_FORK");
	enum { NOBODY = 65534 };
	struct weir_steer *steer = NULL;
	struct weir_error error = { .code = 0 };
	struct steered steered;
	const struct weir_steer_opts steering = {
		.policy = WEIR_STEER_ROUND_ROBIN,
		.is_required = true,
	};

	ck_assert_msg(weir_steer_open(&steer, &steering, &error) == 0, "%s",
		      error.text);
	ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_lt(setuid(0), 0);
	steered_start_by_program(&steered, &(struct weir_server_opts){
						   .loop_count = 2,
						   .is_unpinned = true,
						   .steer = steer,
					   });
	steered_serves(&steered);
	ck_assert_uint_eq(steered_stats(&steered).chosen, SOME);
	/* All changes work too. */
	ck_assert_int_eq(weir_server_stop_accepting(steered.server, 0, &error),
			 0);
	steered_serves(&steered);
	ck_assert_int_eq(
		weir_server_resume_accepting(steered.server, 0, &error), 0);
	ck_assert_int_eq(weir_server_steer(steered.server,
					   WEIR_STEER_LEAST_LOADED, &error),
			 0);
	ck_assert_int_eq(weir_server_add_loop(steered.server, -1, &error), 2);
	steered_serves(&steered);
	ck_assert_uint_eq(steered_stats(&steered).chosen, 3 * SOME);
	ck_assert_uint_gt(steered_share(&steered, 2).stats.accepts, 0);
	steered_end(&steered);
	weir_steer_close(steer);
}
END_TEST

/* ---- the collapse guard ------------------------------------------------ */

/* As many from each of two CPUs, in phases so short that no window of the guard
 * (WI_GUARD_LEAST connections, or more) is far from even. Two swarms at once
 * would be only as even as the scheduler makes them. */
static void swarms_alternate(struct swarm_opts *opts, const int cpus[2])
{
	enum { EACH = 8 };
	struct swarm swarm;
	opts->count = EACH;
	for (int i = 0; i < 2; i++) {
		opts->cpus = &cpus[i];
		swarm_run(&swarm, opts);
		swarm_expect_all_served(&swarm);
		swarm_end(&swarm);
	}
}

START_TEST(the_guard_steps_when_one_cpu_sends_all_and_steps_back)
{
	wi_skip_unless_deep("windows of 200 ms decide");
	wi_steer_enter_or_skip();
	int cpus[2];
	wi_skip_unless(swarm_cpus(cpus) >= 2, "there is one CPU");
	struct steered steered;
	struct swarm swarm;
	struct weir_error error;
	uint64_t before[SWARM_LOOPS_MAX];
	uint64_t after[SWARM_LOOPS_MAX];

	steered_start_by_program(&steered,
				 &(struct weir_server_opts){
					 .loop_count = 2,
					 .steering = { .policy = WEIR_STEER_CPU,
						       .guard_percent = 75,
						       .guard_ms = 200 },
				 });
	const struct weir_addr target = steered_addr(&steered);
	struct swarm_opts opts = swarm_of(ENOUGH, &target);
	opts.cpus = &cpus[0];
	swarm_start(&swarm, &opts);
	swarm_pass(&swarm, 100);
	/* Unless that took so long that the guard has already stepped. */
	const uint64_t elsewhere = steered_share(&steered, 1).stats.accepts;
	if (steered_stats(&steered).guard_steps == 0)
		ck_assert_uint_eq(elsewhere, 0);
	while (!steered_stats(&steered).is_stepped)
		swarm_pass(&swarm, 100);
	ck_assert_uint_eq(steered_stats(&steered).guard_steps, 1);
	ck_assert_int_eq(steered_stats(&steered).policy, WEIR_STEER_CPU);
	steered_wait_logs(&steered, 1);
	ck_assert_msg(strstr(steered.log_line, "least-loaded") != NULL, "%s",
		      steered.log_line);

	swarm_settle(&swarm);
	swarm_answers(&swarm, before);
	swarm_pass(&swarm, 4000);
	swarm_answers(&swarm, after);
	const uint64_t got[2] = { after[0] - before[0], after[1] - before[1] };
	/* Nor has the share that makes it step. How even they are depends on
	 * the scheduler here; steer-spread tests it. */
	for (int i = 0; i < 2; i++)
		ck_assert_uint_le(got[i] * 100, 75 * (got[0] + got[1]));
	ck_assert(steered_stats(&steered).is_stepped);
	ck_assert_uint_eq(steered_log_count(&steered), 1);

	swarm_end_unharmed(&swarm);

	/* A requested policy is used until the guard steps again. */
	ck_assert(steered_stats(&steered).is_stepped);
	ck_assert_int_eq(
		weir_server_steer(steered.server, WEIR_STEER_CPU, &error), 0);
	ck_assert(!steered_stats(&steered).is_stepped);
	swarm_start(&swarm, &opts);
	while (!steered_stats(&steered).is_stepped)
		swarm_pass(&swarm, 100);
	swarm_end_unharmed(&swarm);
	while (steered_stats(&steered).is_stepped)
		swarms_alternate(&opts, cpus);
	steered_wait_logs(&steered, 3);
	ck_assert_msg(strstr(steered.log_line, "back to cpu") != NULL, "%s",
		      steered.log_line);
	ck_assert_uint_eq(steered_stats(&steered).guard_steps, 2);
	steered_end(&steered);
}
END_TEST

START_TEST(the_guard_stays_out_of_what_cannot_collapse)
{
	wi_steer_enter_or_skip();
	struct steered steered;
	static const uint32_t weights[2] = { 9, 1 };

	steered_start_by_program(
		&steered,
		&(struct weir_server_opts){
			.loop_count = 2,
			.is_unpinned = true,
			.steering = { .policy = WEIR_STEER_ROUND_ROBIN,
				      .weights = weights,
				      .weight_count = 2,
				      .guard_percent = 75,
				      .guard_ms = 1 },
		});
	for (int i = 0; i < 5; i++)
		steered_serves(&steered);
	ck_assert_uint_eq(steered_stats(&steered).guard_steps, 0);
	/* Each CPU has turns of its own: exact to one for each. */
	const uint64_t chosen = steered_share(&steered, 0).chosen;
	const uint64_t cpus = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	ck_assert_uint_ge(chosen + cpus, 5 * SOME * 9 / 10);
	ck_assert_uint_le(chosen, 5 * SOME * 9 / 10 + cpus);
	steered_end(&steered);
}
END_TEST

/* ---- the suite --------------------------------------------------------- */

WI_SUITE(steer_faults, "steer-faults",
	 WI_RUNGS | WI_THREADS | WI_BPF | WI_SWARM)
{
	TCase *tcase = tcase_create("faults");
	if (!wi_kernel_has_rings())
		return;
	tcase_set_timeout(tcase, STEER_TEST_TIMEOUT_S);
	tcase_add_test(tcase,
		       a_loop_beyond_the_limit_is_refused_and_the_others_serve);
	tcase_add_test(tcase, the_map_takes_listeners_of_its_group_only);
	tcase_add_test(tcase, a_stray_ack_is_reset_and_is_no_choice);
	tcase_add_loop_test(
		tcase,
		a_listener_that_is_shut_behind_its_servers_back_costs_hardly_any,
		0, COUNT_OF(closing_cases));
	tcase_add_test(
		tcase,
		a_program_that_a_stranger_puts_there_is_replaced_in_turn);
	tcase_add_loop_test(
		tcase,
		a_program_that_the_kernel_refuses_leaves_the_hash_and_the_reason,
		0, COUNT_OF(refusal_cases));
	tcase_add_test(tcase, without_cap_bpf_a_server_falls_back_and_says_why);
	tcase_add_test(tcase, without_cap_bpf_cpu_goes_by_incoming_cpu);
	tcase_add_test(tcase,
		       a_server_steers_as_nobody_once_the_program_is_loaded);
	tcase_add_test(tcase,
		       the_guard_steps_when_one_cpu_sends_all_and_steps_back);
	tcase_add_test(tcase, the_guard_stays_out_of_what_cannot_collapse);
	suite_add_tcase(suite, tcase);
}
