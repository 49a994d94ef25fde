/* test_ladder.c - each rung is on, or off with a reason, or forced off
 *
 * The tests compare the kernel's rungs with the same rungs forced off, refused
 * by injected faults, and refused by the kernel's own restrictions.
 */
#include "../rig/count_of.h"
#include "../rig/faults.h"
#include "../rig/kernel_wrap.h"
#include "../rig/support.h"
#include "../suites.h"

#include "net/loop.h"
#include "uring/ladder.h"
#include "uring/op.h"
#include "uring/ring_inline.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

static struct weir_rung rungs[WEIR_RUNG_COUNT]; /* large */
static struct weir_rung others[WEIR_RUNG_COUNT];

static void probe(const struct weir_kernel *kernel, weir_rung_set forced_off,
		  struct weir_rung *out_rungs)
{
	struct weir_error error = { .text = "" };
	int err = weir_ladder_probe(kernel, forced_off, out_rungs, &error);
	ck_assert_msg(err == 0, "probe: %s", error.text);
}

static weir_rung_set all_but(enum weir_rung_id id)
{
	return (weir_rung_bit(WEIR_RUNG_COUNT) - 1) & ~weir_rung_bit(id);
}

static void expect_whole(const struct weir_rung *rung)
{
	const bool is_missing = rung->state == WEIR_RUNG_OFF ||
				rung->state == WEIR_RUNG_FORCED_OFF;
	ck_assert_uint_gt(strlen(rung->name), 3);
	ck_assert_uint_ge(strlen(rung->since), 3);
	ck_assert_uint_gt(strlen(rung->what), 10);
	ck_assert_uint_gt(strlen(rung->costs), 10);
	ck_assert_msg((rung->cause[0] != '\0') == is_missing,
		      "%s is %s because of '%s'", rung->name,
		      weir_rung_state_name(rung->state), rung->cause);
	ck_assert_msg((rung->remedy[0] != '\0') == is_missing, "%s is %s: '%s'",
		      rung->name, weir_rung_state_name(rung->state),
		      rung->remedy);
	ck_assert_msg((rung->err < 0) == (rung->state == WEIR_RUNG_OFF),
		      "%s is %s with %d", rung->name,
		      weir_rung_state_name(rung->state), rung->err);
	ck_assert_ptr_null(strchr(rung->cause, '\n'));
}

static void expect_off(enum weir_rung_id id, int err, const char *cause,
		       const char *remedy)
{
	const struct weir_rung *rung = &rungs[id];
	expect_whole(rung);
	ck_assert_msg(rung->state == WEIR_RUNG_OFF && rung->err == err,
		      "%s is %s with %d, want off with %d", rung->name,
		      weir_rung_state_name(rung->state), rung->err, err);
	ck_assert_msg(strstr(rung->cause, cause) != NULL,
		      "%s: cause '%s' does not name '%s'", rung->name,
		      rung->cause, cause);
	ck_assert_msg(strstr(rung->remedy, remedy) != NULL,
		      "%s: remedy '%s' does not name '%s'", rung->name,
		      rung->remedy, remedy);
}

/* ---- names --------------------------------------------------------------- */

static const struct {
	const char *text;
	weir_rung_set want; /* 0 with a name: an error that contains it */
	const char *unknown;
} lists[] = {
	{ NULL, 0, NULL },
	{ "", 0, NULL },
	{ "min-wait", 1u << WEIR_RUNG_MIN_WAIT, NULL },
	{ "napi,min-wait,napi", 1u << WEIR_RUNG_MIN_WAIT | 1u << WEIR_RUNG_NAPI,
	  NULL },
	{ "bufring", 1u << WEIR_RUNG_BUFRING, NULL },
	{ "bufring-incremental", 1u << WEIR_RUNG_BUFRING_INCREMENTAL, NULL },
	{ "foo", 0, "'foo'" },
	{ "min-wait,foo", 0, "'foo'" },
	{ "min-wai", 0, "'min-wai'" },
	{ "min-waits", 0, "'min-waits'" },
	{ " min-wait", 0, "' min-wait'" },
	{ "min-wait,,napi", 0, "''" },
	{ "ALL", 0, "'ALL'" },
	{ "a-name-that-is-much-longer-than-any-of-those-there-are", 0,
	  "'a-name-that-is-much-longer-than-any-of-t'" },
};
START_TEST(list_of_names_is_a_set_or_an_error_that_teaches)
{
	weir_rung_set set = 0;
	struct weir_error error = { .text = "" };
	int err = weir_rungs_parse(lists[_i].text, "the list", &set, &error);
	if (lists[_i].unknown == NULL) {
		ck_assert_int_eq(err, 0);
		ck_assert_uint_eq(set, lists[_i].want);
		return;
	}
	ck_assert_int_eq(err, -EINVAL);
	ck_assert_uint_eq(set, 0);
	ck_assert_ptr_nonnull(strstr(error.text, "the list names"));
	ck_assert_msg(strstr(error.text, lists[_i].unknown) != NULL, "%s",
		      error.text);
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		ck_assert_ptr_nonnull(strstr(
			error.text, weir_rung_name((enum weir_rung_id)i)));
	ck_assert_str_eq(error.text + strlen(error.text) - 6, "or all");
}
END_TEST

START_TEST(all_is_every_rung_that_is_not_required)
{
	const weir_rung_set required = weir_rungs_of_role(WEIR_ROLE_REQUIRED);
	weir_rung_set set = 0;
	ck_assert_int_eq(weir_rungs_parse("all", "", &set, NULL), 0);
	ck_assert_uint_eq(set & required, 0);
	ck_assert_uint_eq(set | required, weir_rung_bit(WEIR_RUNG_COUNT) - 1);
	ck_assert_uint_ne(required, 0);
}
END_TEST

START_TEST(names_are_all_different)
{
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(weir_rung_name((enum weir_rung_id)i),
					 weir_rung_name((enum weir_rung_id)j));
}
END_TEST

/* ---- this kernel --------------------------------------------------------- */

START_TEST(each_rung_of_this_kernel_is_on_or_says_why_not)
{
	probe(NULL, 0, rungs);
	for (int i = 0; i < WEIR_RUNG_COUNT; i++) {
		ck_assert_int_ne(rungs[i].state, WEIR_RUNG_UNTRIED);
		ck_assert_str_eq(rungs[i].name,
				 weir_rung_name((enum weir_rung_id)i));
		expect_whole(&rungs[i]);
	}
	ck_assert(weir_ladder_can_run(rungs));
}
END_TEST

START_TEST(rung_that_is_forced_off_leaves_the_others_as_they_are)
{
	const enum weir_rung_id id = (enum weir_rung_id)_i;
	probe(NULL, 0, others);
	probe(NULL, weir_rung_bit(id), rungs);
	for (int i = 0; i < WEIR_RUNG_COUNT; i++) {
		expect_whole(&rungs[i]);
		if (i == _i) {
			ck_assert_int_eq(rungs[i].state, WEIR_RUNG_FORCED_OFF);
			ck_assert_ptr_nonnull(
				strstr(rungs[i].cause, "WEIR_FORCE_OFF"));
			continue;
		}
		ck_assert_msg(rungs[i].state == others[i].state,
			      "without %s, %s is %s: %s (%d)", rungs[_i].name,
			      rungs[i].name,
			      weir_rung_state_name(rungs[i].state),
			      rungs[i].cause, rungs[i].err);
	}
	ck_assert(weir_ladder_can_run(rungs) ==
		  (rungs[_i].role != WEIR_ROLE_REQUIRED));
}
END_TEST

/* CK_FORK=no: restored for the next test. */
static char *env_before;

static void env_set(const char *value)
{
	const char *now = getenv(WEIR_FORCE_OFF);
	env_before = now != NULL ? strdup(now) : NULL;
	ck_assert_int_eq(setenv(WEIR_FORCE_OFF, value, 1), 0);
}

static void env_restore(void)
{
	ck_assert_int_eq(env_before != NULL
				 ? setenv(WEIR_FORCE_OFF, env_before, 1)
				 : unsetenv(WEIR_FORCE_OFF),
			 0);
	free(env_before);
}

START_TEST(environment_forces_a_rung_off_for_probe_ring_and_loop)
{
	struct weir_ring ring;
	struct weir_loop *loop = NULL;
	const enum weir_rung_id id = (enum weir_rung_id)_i;
	struct weir_error error;
	env_set(weir_rung_name(id));
	probe(NULL, 0, rungs);
	ck_assert_int_eq(rungs[_i].state, WEIR_RUNG_FORCED_OFF);

	wi_ring_start(&ring, NULL);
	ck_assert_uint_eq(weir_ring_forced_off(&ring), weir_rung_bit(id));
	weir_ladder_read(&ring, rungs);
	ck_assert_int_eq(rungs[_i].state, WEIR_RUNG_FORCED_OFF);
	weir_ring_close(&ring);

	int err = weir_loop_open(&loop, NULL, &error);
	if (rungs[_i].role == WEIR_ROLE_REQUIRED) {
		ck_assert_int_eq(err, -EOPNOTSUPP);
		ck_assert_ptr_nonnull(strstr(error.text, rungs[_i].name));
		ck_assert_ptr_nonnull(strstr(error.text, "required are: file-"
							 "table, accept-slot-"
							 "multishot, bufring, "
							 "recv-multishot"));
	} else {
		ck_assert_msg(err == 0, "%s", error.text);
		weir_loop_ladder(loop, rungs);
		ck_assert_int_eq(rungs[_i].state, WEIR_RUNG_FORCED_OFF);
	}
	weir_loop_close(loop);
	env_restore();
}
END_TEST

START_TEST(environment_that_names_no_rung_is_an_error_of_open)
{
	struct weir_ring ring;
	struct weir_error error = { .text = "" };
	env_set("min-wait,frobnicate");
	ck_assert_int_eq(weir_ring_open(&ring, NULL, &error), -EINVAL);
	ck_assert_ptr_nonnull(
		strstr(error.text, "WEIR_FORCE_OFF names 'frobnicate'"));
	weir_ring_close(&ring);
	ck_assert_int_eq(weir_ladder_probe(NULL, 0, rungs, &error), -EINVAL);
	env_restore();
}
END_TEST

static int fd_count(void)
{
	int count = 0;
	DIR *dir = opendir("/proc/self/fd");
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL)
		count++;
	ck_assert_int_eq(closedir(dir), 0);
	return count;
}

START_TEST(probe_leaves_no_descriptor_behind)
{
	int before = fd_count();
	probe(NULL, 0, rungs);
	ck_assert_int_eq(fd_count(), before);
}
END_TEST

/* ---- a kernel that refuses ----------------------------------------------- */

static const struct {
	enum weir_rung_id id;
	uint32_t flag;
} flags[] = {
	{ WEIR_RUNG_DEFER_TASKRUN, IORING_SETUP_DEFER_TASKRUN },
	{ WEIR_RUNG_COOP_TASKRUN, IORING_SETUP_COOP_TASKRUN },
	{ WEIR_RUNG_NO_SQARRAY, IORING_SETUP_NO_SQARRAY },
	{ WEIR_RUNG_SUBMIT_ALL, IORING_SETUP_SUBMIT_ALL },
	{ WEIR_RUNG_CQE_MIXED, IORING_SETUP_CQE_MIXED },
};
START_TEST(set_up_flag_that_is_refused_takes_its_rung_and_no_required_one)
{
	struct wi_faults faults;
	wi_skip_if_forced_off(flags[_i].id);
	wi_faults_init(&faults);
	faults.setup_known_flags = ~flags[_i].flag;
	probe(&faults.wrap.kernel, 0, rungs);
	expect_off(flags[_i].id, -EINVAL, "does not know it",
		   rungs[flags[_i].id].since);
	ck_assert(weir_ladder_can_run(rungs));
}
END_TEST

static const struct {
	enum weir_rung_id id;
	uint32_t opcode;
	int err;
	const char *cause;
	const char *remedy;
} registers[] = {
	{ WEIR_RUNG_FILE_TABLE, IORING_REGISTER_FILES2, -EMFILE,
	  "no descriptor", "ulimit -n" },
	{ WEIR_RUNG_ACCEPT_SLOT_MULTISHOT, IORING_REGISTER_FILES2, -EINVAL,
	  "does not know", "5.19" },
	{ WEIR_RUNG_BUFRING, IORING_REGISTER_PBUF_RING, -ENOMEM,
	  "locked memory", "ulimit -l" },
	{ WEIR_RUNG_RECV_MULTISHOT, IORING_REGISTER_PBUF_RING, -EPERM, "policy",
	  "Seccomp" },
	{ WEIR_RUNG_REGISTERED_RING, IORING_REGISTER_RING_FDS, -EBUSY,
	  "16 rings", "fewer rings" },
	{ WEIR_RUNG_WAIT_REGION, IORING_REGISTER_MEM_REGION, -EINVAL,
	  "does not know", "6.13" },
	{ WEIR_RUNG_SEND_MSG_RING, IORING_REGISTER_SEND_MSG_RING, -EACCES,
	  "policy", "allow it" },
	{ WEIR_RUNG_SYNC_CANCEL, IORING_REGISTER_SYNC_CANCEL, -EINVAL,
	  "does not know", "6.0" },
	{ WEIR_RUNG_NAPI, IORING_REGISTER_NAPI, -EOPNOTSUPP, "built without",
	  "6.9" },
	{ WEIR_RUNG_RESIZE, IORING_REGISTER_RESIZE_RINGS, -EINVAL,
	  "does not know", "6.13" },
	{ WEIR_RUNG_RESTRICTIONS, IORING_REGISTER_RESTRICTIONS, -EINVAL,
	  "does not know", "5.10" },
	{ WEIR_RUNG_CLOCK, IORING_REGISTER_CLOCK, -EINVAL, "does not know",
	  "6.12" },
	{ WEIR_RUNG_QUERY, IORING_REGISTER_QUERY, -EBADF, "does not know",
	  "6.18" },
	{ WEIR_RUNG_QUERY, IORING_REGISTER_QUERY, -ENOTTY,
	  "refused: ", "io_uring_enter(2)" },
};
START_TEST(register_call_that_is_refused_gives_errno_cause_and_remedy)
{
	struct wi_faults faults;
	wi_skip_if_forced_off(registers[_i].id);
	wi_faults_init(&faults);
	faults.register_opcode = registers[_i].opcode;
	faults.register_errno = registers[_i].err;
	probe(&faults.wrap.kernel, 0, rungs);
	expect_off(registers[_i].id, registers[_i].err, registers[_i].cause,
		   registers[_i].remedy);
}
END_TEST

/* The real kernel, but every ring is restricted: all operations but one. */
struct picky {
	struct kernel_wrap wrap;
	uint8_t refused_opcode;
};

static int picky_restrict(const struct picky *picky, int ring_fd)
{
	const struct weir_kernel *under = picky->wrap.under;
	struct io_uring_restriction
		allowed[IORING_OP_LAST + IORING_REGISTER_LAST + 1];
	uint32_t count = 0;

	memset(allowed, 0, sizeof(allowed));
	for (uint8_t i = 0; i < IORING_OP_LAST; i++) {
		if (i == picky->refused_opcode)
			continue;
		allowed[count].opcode = IORING_RESTRICTION_SQE_OP;
		allowed[count++].value = i;
	}
	for (uint8_t i = 0; i < IORING_REGISTER_LAST; i++) {
		allowed[count].opcode = IORING_RESTRICTION_REGISTER_OP;
		allowed[count++].value = i;
	}
	allowed[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	allowed[count++].value = 0x7f;
	return under->register_op(under->ctx, ring_fd,
				  IORING_REGISTER_RESTRICTIONS, allowed, count);
}

static bool picky_before(void *ctx, struct kernel_call *call)
{
	if (call->id != CALL_REGISTER ||
	    call->register_op.opcode != IORING_REGISTER_ENABLE_RINGS)
		return false;
	call->result = picky_restrict(ctx, call->register_op.ring_fd);
	/* -EBUSY: the ring has its own restriction */
	return call->result < 0 && call->result != -EBUSY;
}

static const struct {
	enum weir_rung_id id;
	uint8_t opcode;
} operations[] = {
	{ WEIR_RUNG_FILE_TABLE, IORING_OP_SOCKET },
	{ WEIR_RUNG_ACCEPT_SLOT_MULTISHOT, IORING_OP_ACCEPT },
	{ WEIR_RUNG_BUFRING, IORING_OP_RECV },
	{ WEIR_RUNG_RECV_MULTISHOT, IORING_OP_RECV },
	{ WEIR_RUNG_RECV_MULTISHOT, IORING_OP_SEND },
	{ WEIR_RUNG_INSTALL_SLOT, IORING_OP_FIXED_FD_INSTALL },
	{ WEIR_RUNG_SOCKET_CMD, IORING_OP_URING_CMD },
	{ WEIR_RUNG_RECV_BUNDLE, IORING_OP_RECV },
	{ WEIR_RUNG_BUFRING_INCREMENTAL, IORING_OP_RECV },
	{ WEIR_RUNG_SEND_VECTORIZED, IORING_OP_SEND },
	{ WEIR_RUNG_SEND_ZC, IORING_OP_SEND_ZC },
	{ WEIR_RUNG_BIND_LISTEN, IORING_OP_BIND },
	{ WEIR_RUNG_BIND_LISTEN, IORING_OP_LISTEN },
	{ WEIR_RUNG_MSG_RING, IORING_OP_MSG_RING },
	{ WEIR_RUNG_SYNC_CANCEL, IORING_OP_CONNECT },
	{ WEIR_RUNG_REGISTERED_RING, IORING_OP_NOP },
};
START_TEST(operation_that_is_refused_takes_its_rung)
{
	struct picky picky = { .refused_opcode = operations[_i].opcode };
	wi_skip_if_forced_off(operations[_i].id);
	kernel_wrap_init(&picky.wrap, weir_kernel_linux(), picky_before, NULL,
			 &picky);
	probe(&picky.wrap.kernel, 0, rungs);
	expect_off(operations[_i].id, -EACCES, "policy", "allow it");
}
END_TEST

START_TEST(kernel_without_rings_has_every_rung_off_for_one_reason)
{
	struct wi_faults faults;
	wi_faults_init(&faults);
	faults.setup_errno = -ENOSYS;
	probe(&faults.wrap.kernel, 0, rungs);
	for (int i = 0; i < WEIR_RUNG_COUNT; i++) {
		if (rungs[i].state == WEIR_RUNG_FORCED_OFF)
			continue;
		expect_off((enum weir_rung_id)i, -ENOSYS, "no io_uring",
			   "every rung needs a ring");
	}
	ck_assert(!weir_ladder_can_run(rungs));
}
END_TEST

START_TEST(kernel_whose_enter_fails_has_no_rung_that_enters)
{
	struct wi_faults faults;
	wi_faults_init(&faults);
	faults.enter_fault = WI_ENTER_NOT_CALLED;
	faults.enter_errno = -EFAULT;
	faults.enters_faulty = UINT32_MAX;
	probe(&faults.wrap.kernel, 0, rungs);
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		if (i != WEIR_RUNG_QUERY && i != WEIR_RUNG_RESIZE &&
		    rungs[i].state != WEIR_RUNG_FORCED_OFF)
			expect_off((enum weir_rung_id)i, -EFAULT, "refused",
				   "");
}
END_TEST

/* Enters that do nothing and report success. */
START_TEST(rung_of_which_nothing_comes_is_off_after_a_second)
{
	struct wi_faults faults;
	wi_skip_if_forced_off(WEIR_RUNG_SOCKET_CMD);
	wi_faults_init(&faults);
	faults.enter_fault = WI_ENTER_NOT_CALLED;
	faults.enter_errno = -EINTR;
	faults.enters_faulty = UINT32_MAX;
	probe(&faults.wrap.kernel, all_but(WEIR_RUNG_SOCKET_CMD), rungs);
	expect_off(WEIR_RUNG_SOCKET_CMD, -ETIME, "within a second",
		   "update the kernel");
}
END_TEST

/* A machine that is paused once, for two seconds. */
struct leap {
	struct kernel_wrap wrap;
	int reads_left; /* reads of the clock until it jumps */
};

static void leap_after(void *ctx, struct kernel_call *call)
{
	struct leap *leap = ctx;
	const uint64_t two_s = UINT64_C(2000000000);
	if (call->id != CALL_NOW_NS)
		return;
	if (leap->reads_left > 0)
		leap->reads_left--;
	call->ns += leap->reads_left > 0 ? 0 : two_s;
}

/* Regression test: min-wait was off if its try had been delayed. */
START_TEST(a_machine_that_stands_still_takes_no_rung)
{
	struct leap leap = { .reads_left = 0 };
	kernel_wrap_init(&leap.wrap, weir_kernel_linux(), NULL, leap_after,
			 &leap);
	probe(NULL, 0, others);
	for (int at = 1; leap.reads_left == 0; at++) {
		leap.reads_left = at;
		probe(&leap.wrap.kernel, 0, rungs);
		for (int i = 0; i < WEIR_RUNG_COUNT; i++)
			ck_assert_msg(rungs[i].state == others[i].state,
				      "at look %d: %s is %s: %s (%d)", at,
				      rungs[i].name,
				      weir_rung_state_name(rungs[i].state),
				      rungs[i].cause, rungs[i].err);
	}
	ck_assert_int_gt(leap.reads_left, 0);
}
END_TEST

START_TEST(loopback_that_is_down_is_named)
{
	struct weir_rung *rung = &rungs[WEIR_RUNG_RECV_BUNDLE];
	probe(NULL, 0, rungs);
	weir_rung_set_result(rung, -EADDRNOTAVAIL);
	expect_off(WEIR_RUNG_RECV_BUNDLE, -EADDRNOTAVAIL, "127.0.0.1",
		   "ip link set lo up");
	weir_rung_set_result(rung, -EPROTO);
	expect_off(WEIR_RUNG_RECV_BUNDLE, -EPROTO, "something else",
		   "update the kernel");
	weir_rung_set_result(rung, 0);
	ck_assert_int_eq(rung->state, WEIR_RUNG_ON);
	expect_whole(rung);
}
END_TEST

/* ---- one ring ------------------------------------------------------------ */

START_TEST(ring_works_without_any_one_rung_and_says_so)
{
	struct weir_ring ring;
	const enum weir_rung_id id = (enum weir_rung_id)_i;
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .sq_entry_count = 8,
				     .forced_off = weir_rung_bit(id),
			     });
	weir_ladder_read(&ring, rungs);
	ck_assert_int_eq(rungs[_i].state, WEIR_RUNG_FORCED_OFF);
	for (int i = 0; i < WEIR_RUNG_COUNT; i++)
		ck_assert_str_eq(rungs[i].name,
				 weir_rung_name((enum weir_rung_id)i));
	for (uint64_t i = 0; i < 20; i++) {
		struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
		weir_op_nop(sqe);
		sqe->user_data = i;
		ck_assert_uint_eq(wi_ring_next(&ring).user_data, i);
	}
	weir_ring_close(&ring);
}
END_TEST

/* Without SUBMIT_ALL the kernel stops after the malformed entry. */
START_TEST(malformed_entry_loses_nothing_behind_it_without_submit_all)
{
	struct weir_ring ring;
	struct io_uring_cqe cqes[4];
	struct weir_ring_stats stats;
	const struct weir_ring_opts opts = {
		.forced_off = weir_rung_bit(WEIR_RUNG_SUBMIT_ALL),
	};
	wi_ring_start(&ring, &opts);
	ck_assert_uint_eq(
		weir_ring_setup_flags(&ring) & IORING_SETUP_SUBMIT_ALL, 0);
	for (uint64_t i = 0; i < 4; i++) {
		struct io_uring_sqe *sqe = weir_ring_take_sqe(&ring);
		weir_op_nop(sqe);
		sqe->user_data = i;
		if (i == 1)
			sqe->opcode = 255;
	}
	wi_ring_collect(&ring, cqes, 4);
	for (uint64_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(cqes[i].user_data, i);
		ck_assert_int_eq(cqes[i].res, i == 1 ? -EINVAL : 0);
	}
	weir_ring_stats_read(&ring, &stats);
	ck_assert_uint_eq(stats.enters_short, 1);
	ck_assert_uint_eq(stats.sqes, 4);
	ck_assert_uint_eq(stats.cqes, 4);
	weir_ring_close(&ring);
}
END_TEST

START_TEST(ring_tells_what_it_was_refused)
{
	struct weir_ring ring;
	struct wi_faults faults;
	wi_skip_if_forced_off(WEIR_RUNG_DEFER_TASKRUN);
	wi_skip_if_forced_off(WEIR_RUNG_NO_SQARRAY);
	wi_skip_if_forced_off(WEIR_RUNG_REGISTERED_RING);
	wi_faults_init(&faults);
	faults.setup_known_flags = ~IORING_SETUP_NO_SQARRAY;
	faults.register_opcode = IORING_REGISTER_RING_FDS;
	faults.register_errno = -EBUSY;
	wi_ring_start(&ring, &(struct weir_ring_opts){
				     .kernel = &faults.wrap.kernel });
	weir_ladder_read(&ring, rungs);
	expect_off(WEIR_RUNG_NO_SQARRAY, -EINVAL, "does not know", "6.6");
	expect_off(WEIR_RUNG_REGISTERED_RING, -EBUSY, "16 rings", "fewer");
	if (!wi_is_forced_off(WEIR_RUNG_NAPI))
		ck_assert_int_eq(rungs[WEIR_RUNG_NAPI].state,
				 WEIR_RUNG_UNTRIED);
	weir_ring_close(&ring);
}
END_TEST

static void suite_add_refusals(Suite *suite)
{
	TCase *tcase = tcase_create("refusals");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(
		tcase,
		set_up_flag_that_is_refused_takes_its_rung_and_no_required_one,
		0, COUNT_OF(flags));
	tcase_add_loop_test(
		tcase,
		register_call_that_is_refused_gives_errno_cause_and_remedy, 0,
		COUNT_OF(registers));
	tcase_add_loop_test(tcase, operation_that_is_refused_takes_its_rung, 0,
			    COUNT_OF(operations));
	tcase_add_test(tcase,
		       kernel_without_rings_has_every_rung_off_for_one_reason);
	tcase_add_test(tcase, kernel_whose_enter_fails_has_no_rung_that_enters);
	tcase_add_test(tcase,
		       rung_of_which_nothing_comes_is_off_after_a_second);
	tcase_add_test(tcase, a_machine_that_stands_still_takes_no_rung);
	tcase_add_test(tcase, loopback_that_is_down_is_named);
}

WI_SUITE(ladder, "ladder", WI_RUNGS)
{
	TCase *tcase = tcase_create("ladder");
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase,
			    list_of_names_is_a_set_or_an_error_that_teaches, 0,
			    COUNT_OF(lists));
	tcase_add_test(tcase, all_is_every_rung_that_is_not_required);
	tcase_add_test(tcase, names_are_all_different);
	if (!wi_kernel_has_rings())
		return;
	tcase_add_test(tcase, each_rung_of_this_kernel_is_on_or_says_why_not);
	tcase_add_loop_test(
		tcase, rung_that_is_forced_off_leaves_the_others_as_they_are, 0,
		WEIR_RUNG_COUNT);
	tcase_add_loop_test(
		tcase, environment_forces_a_rung_off_for_probe_ring_and_loop, 0,
		WEIR_RUNG_COUNT);
	tcase_add_test(tcase,
		       environment_that_names_no_rung_is_an_error_of_open);
	tcase_add_test(tcase, probe_leaves_no_descriptor_behind);
	tcase_add_loop_test(tcase, ring_works_without_any_one_rung_and_says_so,
			    0, WEIR_RUNG_COUNT);
	tcase_add_test(
		tcase,
		malformed_entry_loses_nothing_behind_it_without_submit_all);
	tcase_add_test(tcase, ring_tells_what_it_was_refused);
	suite_add_refusals(suite);
}
