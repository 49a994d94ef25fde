/* diff_world.c - clients on the real kernel, and on the simulated one */
#include "diff.h"

#include "../rig/kernel_wrap.h"
#include "../rig/loopback.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	NS_PER_S = 1000000000,
	EXPECT_S = 20,   /* limit of the wait for expected events */
	QUIET_TURNS = 3, /* then passes to catch unexpected events */
	/* With a tape, most passes may do nothing. */
	SIM_QUIET_TURNS = 40,
};

/* ---- the real one -------------------------------------------------------- */

struct real {
	struct diff_world world; /* first */
	struct kernel_wrap wrap;
	struct loopback loopback;
	uint64_t now_ns; /* only pass() moves the loop's clock */
	uint64_t settling_since_ns;
	uint32_t quiet_turns;
	int fds[DIFF_CONNS];
};

static uint64_t clock_ns(void)
{
	const struct weir_kernel *linux_kernel = weir_kernel_linux();
	return linux_kernel->now_ns(linux_kernel->ctx);
}

/* In the simulation loopback is instant: the loop always finds what the clients
 * have sent, and the clients what the loop has sent. So flush loopback here. */
static bool real_before(void *ctx, struct kernel_call *call)
{
	struct real *real = ctx;
	if (call->id == CALL_ENTER)
		loopback_flush(&real->loopback);
	if (call->id != CALL_NOW_NS)
		return false;
	call->ns = real->now_ns;
	return true;
}

static void real_after(void *ctx, struct kernel_call *call)
{
	struct real *real = ctx;
	if (call->id == CALL_ENTER || call->id == CALL_SHUTDOWN ||
	    call->id == CALL_CLOSE)
		loopback_flush(&real->loopback);
}

static int real_connect(void *ctx, uint32_t conn, uint16_t port)
{
	struct real *real = ctx;
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int on = 1;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) <
	    0) {
		const int err = -errno;
		(void)close(fd);
		return err;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	real->fds[conn] = fd;
	return 0;
}

static int real_write(void *ctx, uint32_t conn, const uint8_t *bytes,
		      uint32_t byte_count)
{
	struct real *real = ctx;
	const ssize_t result = send(real->fds[conn], bytes, byte_count,
				    MSG_DONTWAIT | MSG_NOSIGNAL);
	return result < 0 ? -errno : (int)result;
}

static int real_read(void *ctx, uint32_t conn, uint8_t *bytes,
		     uint32_t byte_count)
{
	struct real *real = ctx;
	const ssize_t result =
		recv(real->fds[conn], bytes, byte_count, MSG_DONTWAIT);
	return result < 0 ? -errno : (int)result;
}

static void real_fin(void *ctx, uint32_t conn)
{
	struct real *real = ctx;
	(void)shutdown(real->fds[conn], SHUT_WR); /* may fail after a reset */
}

static void real_hang_up(void *ctx, uint32_t conn)
{
	struct real *real = ctx;
	(void)close(real->fds[conn]);
	real->fds[conn] = -1;
}

static void real_rst(void *ctx, uint32_t conn)
{
	struct real *real = ctx;
	const struct linger nothing = { .l_onoff = 1, .l_linger = 0 };
	(void)setsockopt(real->fds[conn], SOL_SOCKET, SO_LINGER, &nothing,
			 sizeof(nothing));
	real_hang_up(ctx, conn);
}

static void real_pass(void *ctx, uint64_t ns)
{
	struct real *real = ctx;
	real->now_ns += ns;
}

/* A kernel thread may deliver packets on loopback a little later. So wait for
 * what the other kernel has already reported. */
static bool real_is_settled(void *ctx, bool is_as_expected)
{
	struct real *real = ctx;
	if (real->settling_since_ns == 0)
		real->settling_since_ns = clock_ns();
	if (is_as_expected)
		real->quiet_turns++;
	else
		real->quiet_turns = 0;
	if (real->quiet_turns < QUIET_TURNS &&
	    clock_ns() - real->settling_since_ns <
		    (uint64_t)EXPECT_S * NS_PER_S)
		return false;
	real->settling_since_ns = 0;
	real->quiet_turns = 0;
	return true;
}

struct diff_world *diff_real_open(void)
{
	struct real *real = calloc(1, sizeof(*real));
	assert(real != NULL);
	kernel_wrap_init(&real->wrap, weir_kernel_linux(), real_before,
			 real_after, real);
	loopback_open(&real->loopback);
	real->now_ns = NS_PER_S;
	real->world = (struct diff_world){
		.kernel = &real->wrap.kernel,
		.ctx = real,
		.connect = real_connect,
		.write = real_write,
		.read = real_read,
		.fin = real_fin,
		.rst = real_rst,
		.hang_up = real_hang_up,
		.pass = real_pass,
		.is_settled = real_is_settled,
	};
	return &real->world;
}

void diff_real_close(struct diff_world *world)
{
	struct real *real = world->ctx;
	loopback_close(&real->loopback);
	free(real);
}

/* ---- the simulated one --------------------------------------------------- */

struct simulated {
	struct diff_world world; /* first */
	struct weir_sim *sim;
	struct weir_tape *benign;
	uint64_t hash;
	uint32_t quiet_turns;
	int conns[DIFF_CONNS];
};

static int simulated_connect(void *ctx, uint32_t conn, uint16_t port)
{
	struct simulated *simulated = ctx;
	const int result = weir_sim_connect(simulated->sim, port);
	simulated->conns[conn] = result;
	return result < 0 ? result : 0;
}

static int simulated_write(void *ctx, uint32_t conn, const uint8_t *bytes,
			   uint32_t byte_count)
{
	struct simulated *simulated = ctx;
	return weir_sim_write(simulated->sim, simulated->conns[conn], bytes,
			      byte_count);
}

static int simulated_read(void *ctx, uint32_t conn, uint8_t *bytes,
			  uint32_t byte_count)
{
	struct simulated *simulated = ctx;
	return weir_sim_read(simulated->sim, simulated->conns[conn], bytes,
			     byte_count);
}

static void simulated_fin(void *ctx, uint32_t conn)
{
	struct simulated *simulated = ctx;
	weir_sim_fin(simulated->sim, simulated->conns[conn]);
}

static void simulated_rst(void *ctx, uint32_t conn)
{
	struct simulated *simulated = ctx;
	weir_sim_rst(simulated->sim, simulated->conns[conn]);
}

static void simulated_hang_up(void *ctx, uint32_t conn)
{
	struct simulated *simulated = ctx;
	weir_sim_hang_up(simulated->sim, simulated->conns[conn]);
}

static void simulated_pass(void *ctx, uint64_t ns)
{
	struct simulated *simulated = ctx;
	weir_sim_pass(simulated->sim, ns);
}

/* The hash covers every event. */
static bool simulated_is_settled(void *ctx, bool is_as_expected)
{
	struct simulated *simulated = ctx;
	const uint64_t hash = weir_sim_hash(simulated->sim);
	(void)is_as_expected;
	simulated->quiet_turns =
		hash == simulated->hash ? simulated->quiet_turns + 1 : 0;
	simulated->hash = hash;
	if (simulated->quiet_turns < SIM_QUIET_TURNS)
		return false;
	simulated->quiet_turns = 0;
	return true;
}

struct diff_world *diff_sim_open(void)
{
	struct simulated *simulated = calloc(1, sizeof(*simulated));
	assert(simulated != NULL);
	simulated->benign = calloc(1, sizeof(*simulated->benign));
	assert(simulated->benign != NULL);
	int err = weir_sim_open(&simulated->sim, simulated->benign, NULL);
	assert(err == 0);
	(void)err;
	simulated->world = (struct diff_world){
		.kernel = weir_sim_kernel(simulated->sim),
		.ctx = simulated,
		.connect = simulated_connect,
		.write = simulated_write,
		.read = simulated_read,
		.fin = simulated_fin,
		.rst = simulated_rst,
		.hang_up = simulated_hang_up,
		.pass = simulated_pass,
		.is_settled = simulated_is_settled,
	};
	return &simulated->world;
}

void diff_sim_close(struct diff_world *world)
{
	struct simulated *simulated = world->ctx;
	weir_sim_close(simulated->sim);
	free(simulated->benign);
	free(simulated);
}

void diff_sim_start(struct diff_world *world, struct weir_tape *tape)
{
	struct simulated *simulated = world->ctx;
	const struct weir_sim_opts loopback = { .is_instant = true };
	weir_tape_load(simulated->benign, NULL, 0);
	if (tape != NULL)
		weir_sim_reset(simulated->sim, tape, NULL);
	else
		weir_sim_reset(simulated->sim, simulated->benign, &loopback);
}
