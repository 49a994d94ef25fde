#include "sandbox.h"

#include <check.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { LOW_WORD_AT = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0 };

struct sandbox {
	int (*body)(void *ctx, struct weir_error *error);
	void *ctx;
	struct weir_error *error;
	int result;
};

static void *sandbox_body(void *ctx)
{
	struct sandbox *apart = ctx;
	apart->result = apart->body(apart->ctx, apart->error);
	return NULL;
}

int sandbox_run(int (*body)(void *ctx, struct weir_error *error), void *ctx,
		struct weir_error *out_error)
{
	struct sandbox apart = { body, ctx, out_error, 0 };
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, sandbox_body, &apart),
			 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	return apart.result;
}

/* A rule without an argument compares the call number a second time. */
bool sandbox_deny(const struct sandbox_denial *denial)
{
	const uint32_t number_at = offsetof(struct seccomp_data, nr);
	const uint32_t arg_at = (uint32_t)offsetof(struct seccomp_data, args) +
				8u * denial->arg_index + LOW_WORD_AT;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number_at),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denial->number, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 denial->has_arg ? arg_at : number_at),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			 denial->has_arg ? denial->arg : denial->number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K,
			 SECCOMP_RET_ERRNO | (uint32_t)-denial->err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool sandbox_root(const char *folder)
{
	return unshare(CLONE_FS) == 0 && chroot(folder) == 0 && chdir("/") == 0;
}
