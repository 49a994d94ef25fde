/* model_real.c - the real kernel, and its sockets */
#include "model.h"

#include "../rig/kernel_wrap.h"
#include "../rig/loopback.h"
#include "../rig/support.h"

#include <netinet/tcp.h>
#include <unistd.h>

static int real_listener = -1;
static struct sockaddr_in real_address;
static struct loopback real_loopback;

/* In the model every packet arrives before the next enter. */
static void real_after(void *ctx, struct kernel_call *call)
{
	(void)ctx;
	if (call->id == CALL_ENTER)
		loopback_flush(&real_loopback);
}

const struct weir_kernel *model_real_open(void)
{
	static struct kernel_wrap wrap;
	kernel_wrap_init(&wrap, weir_kernel_linux(), NULL, real_after, NULL);
	loopback_open(&real_loopback);
	return &wrap.kernel;
}

void model_real_pair(int out_fds[2])
{
	const int yes = 1;
	if (real_listener < 0)
		real_listener = wi_listener(&real_address);
	out_fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(out_fds[0], 0);
	ck_assert_int_eq(connect(out_fds[0], (struct sockaddr *)&real_address,
				 sizeof(real_address)),
			 0);
	out_fds[1] = accept4(real_listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(out_fds[1], 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(setsockopt(out_fds[i], IPPROTO_TCP,
					    TCP_NODELAY, &yes, sizeof(yes)),
				 0);
}

void model_real_end(void)
{
	if (real_listener >= 0)
		ck_assert_int_eq(close(real_listener), 0);
	real_listener = -1;
	loopback_close(&real_loopback);
}
