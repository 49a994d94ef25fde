/* steer_rig.c - see steer_rig.h */
#include "steer_rig.h"

#include "net/steer/steer_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void rig_read(int fd, void *bytes, size_t byte_count)
{
	ssize_t count = read(fd, bytes, byte_count); /* written in one call */
	ck_assert_msg(count == (ssize_t)byte_count,
		      "the server's process has told %zd of %zu bytes", count,
		      byte_count);
}

/* ---- a network of the test's own --------------------------------------- */

void rig_sysctl(const char *path, const char *value)
{
	char name[128];
	(void)snprintf(name, sizeof(name), "/proc/sys/net/%s", path);
	int fd = open(name, O_WRONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "%s: %s", name, strerror(errno));
	ck_assert_msg(write(fd, value, strlen(value)) >= 0, "%s: %s", name,
		      strerror(errno));
	ck_assert_int_eq(close(fd), 0);
}

static int loopback_raise(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int err = ioctl(fd, SIOCGIFFLAGS, &request);
	request.ifr_flags |= IFF_UP;
	if (err == 0)
		err = ioctl(fd, SIOCSIFFLAGS, &request);
	err = err < 0 ? -errno : 0;
	(void)close(fd);
	return err;
}

/* ip -6 route add local fd00:7765::/64 dev lo */
struct route_request {
	struct nlmsghdr header;
	struct rtmsg route;
	struct rtattr to_header;
	uint8_t to[16];
	struct rtattr device_header;
	uint32_t device;
};

static int route_add(void)
{
	const struct route_request request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = RTM_NEWROUTE,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK |
					   NLM_F_CREATE | NLM_F_EXCL },
		.route = { .rtm_family = AF_INET6,
			   .rtm_dst_len = 64,
			   .rtm_table = RT_TABLE_LOCAL,
			   .rtm_protocol = RTPROT_STATIC,
			   .rtm_scope = RT_SCOPE_HOST,
			   .rtm_type = RTN_LOCAL },
		.to_header = { .rta_len = RTA_LENGTH(16), .rta_type = RTA_DST },
		.to = { 0xfd, 0x00, 0x77, 0x65 },
		.device_header = { .rta_len = RTA_LENGTH(4),
				   .rta_type = RTA_OIF },
		.device = if_nametoindex("lo"),
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer = { .error.error = -EPROTO };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	if (send(fd, &request, sizeof(request), 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < 0)
		answer.error.error = -errno;
	(void)close(fd);
	return answer.error.error;
}

const char *wi_netns_enter(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		return "it may not make a network namespace";
	int err = loopback_raise();
	ck_assert_msg(err == 0, "loopback: %s", strerror(-err));
	if (if_nametoindex("lo") == 0 || access("/proc/net/if_inet6", F_OK) < 0)
		return "there is no IPv6";
	err = route_add();
	ck_assert_msg(err == 0, "route: %s", strerror(-err));
	rig_sysctl("ipv4/ip_local_port_range", "1024 65535");
	return NULL;
}

void wi_netns_enter_if_may(void)
{
	const char *why_not = wi_netns_enter();
	if (why_not != NULL)
		(void)printf("a network that others use: %s\n", why_not);
}

void rig_source_ipv4(uint32_t index, struct weir_addr *out_source)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0x7f010000u + index),
	};
	memcpy(&out_source->storage, &address, sizeof(address));
	out_source->bytes = sizeof(address);
}

void rig_source_ipv6(uint32_t index, struct weir_addr *out_source)
{
	const uint32_t low = htonl(index);
	struct sockaddr_in6 address = {
		.sin6_family = AF_INET6,
		.sin6_addr.s6_addr = { 0xfd, 0x00, 0x77, 0x65, 0, 0, 0, 0, 0, 0,
				       0, 1 },
	};
	memcpy(&address.sin6_addr.s6_addr[12], &low, sizeof(low));
	memcpy(&out_source->storage, &address, sizeof(address));
	out_source->bytes = sizeof(address);
}

/* ---- sources and loops ------------------------------------------------- */

enum { SEED = 4711 };

struct weir_steer *rig_steer_seeded(const struct weir_steer_opts *opts)
{
	struct weir_steer *steer = NULL;
	struct weir_error error = { .code = 0 };
	const int err = weir_steer_open(&steer, opts, &error);
	ck_assert_msg(err == 0, "%s", error.text);
	steer->state->seed = SEED;
	return steer;
}

uint32_t rig_home_of(const struct weir_steer *steer,
		     const struct weir_addr *source)
{
	const struct sockaddr_in *v4 = (const void *)&source->storage;
	const struct sockaddr_in6 *v6 = (const void *)&source->storage;
	uint32_t words[4] = { 0, 0, htonl(0xffff), v4->sin_addr.s_addr };
	if (source->storage.ss_family == AF_INET6)
		memcpy(words, &v6->sin6_addr, sizeof(words));
	return wi_steer_by_source(steer->state,
				  wi_steer_source_hash(words, SEED));
}

/* ---- a server ---------------------------------------------------------- */

static void steered_on_open(struct weir_conn *conn, void *ctx)
{
	struct steered *steered = ctx;
	(void)conn;
	(void)pthread_mutex_lock(&steered->lock);
	steered->opens++;
	(void)pthread_mutex_unlock(&steered->lock);
}

static void steered_hang(struct steered *steered)
{
	(void)pthread_mutex_lock(&steered->lock);
	steered->held_count++;
	(void)pthread_cond_broadcast(&steered->moved);
	(void)pthread_mutex_unlock(&steered->lock);
	(void)pthread_mutex_lock(&steered->gate);
	(void)pthread_mutex_unlock(&steered->gate);
}

static ssize_t steered_on_data(struct weir_conn *conn, const uint8_t *bytes,
			       size_t byte_count, void *ctx)
{
	const uint32_t index = weir_loop_index(weir_conn_loop(conn));
	if (bytes[0] == STEERED_HOLD)
		steered_hang(ctx);
	uint8_t *answer = weir_conn_reserve(conn, byte_count);
	if (answer == NULL)
		return 0;
	memset(answer, (int)index, byte_count);
	weir_conn_commit(conn, byte_count);
	return (ssize_t)byte_count;
}

static void steered_on_close(struct weir_conn *conn,
			     const struct weir_close_reason *reason, void *ctx)
{
	struct steered *steered = ctx;
	(void)conn;
	(void)reason;
	(void)pthread_mutex_lock(&steered->lock);
	steered->closes++;
	(void)pthread_cond_broadcast(&steered->moved);
	(void)pthread_mutex_unlock(&steered->lock);
}

static void steered_on_log(const char *line, void *ctx)
{
	struct steered *steered = ctx;
	(void)pthread_mutex_lock(&steered->lock);
	steered->log_count++;
	(void)snprintf(steered->log_line, sizeof(steered->log_line), "%s",
		       line);
	(void)pthread_cond_broadcast(&steered->moved);
	(void)pthread_mutex_unlock(&steered->lock);
}

static void steered_listen(struct steered *steered,
			   struct weir_server_opts *opts, uint16_t port)
{
	if (opts->listen_count == 0)
		opts->listen_count = 1;
	else
		memcpy(steered->listens, opts->listen,
		       opts->listen_count * sizeof(*opts->listen));
	for (uint32_t i = 0; i < opts->listen_count; i++) {
		steered->listens[i].service = &steered->service;
		if (steered->listens[i].address == NULL)
			steered->listens[i].address = "127.0.0.1";
	}
	steered->listens[0].port = port;
	steered->address = steered->listens[0].address;
	opts->listen = steered->listens;
}

/* @port: of the first address, or 0. */
static int steered_open(struct steered *steered,
			const struct weir_server_opts *opts, uint16_t port,
			struct weir_error *error)
{
	struct weir_server_opts resolved = *opts;
	*steered = (struct steered){
		.service = { .handlers = { .on_open = steered_on_open,
					   .on_data = steered_on_data,
					   .on_close = steered_on_close },
			     .ctx = steered },
	};
	resolved.on_log = steered_on_log;
	resolved.log_ctx = steered;
	steered_listen(steered, &resolved, port);
	(void)pthread_mutex_init(&steered->lock, NULL);
	(void)pthread_mutex_init(&steered->gate, NULL);
	(void)pthread_cond_init(&steered->moved, NULL);
	return weir_server_open(&steered->server, &resolved, error);
}

void steered_start(struct steered *steered, const struct weir_server_opts *opts)
{
	struct weir_error error = { .code = 0 };
	int err = steered_open(steered, opts, 0, &error);
	ck_assert_msg(err == 0, "server: %s", error.text);
}

void steered_start_by_program(struct steered *steered,
			      const struct weir_server_opts *opts)
{
	steered_start(steered, opts);
	const struct weir_server_snapshot stats = steered_stats(steered);
	ck_assert_msg(stats.means == WEIR_STEER_BY_EBPF,
		      "no steering program: %s",
		      stats.rungs[WEIR_RUNG_STEER_EBPF].cause);
}

struct weir_loop_snapshot steered_share(const struct steered *steered,
					uint32_t index)
{
	const struct weir_loop_snapshot share =
		seen_loop(steered->server, index);
	ck_assert(share.is_present);
	return share;
}

struct weir_server_snapshot steered_stats(const struct steered *steered)
{
	return seen_server(steered->server);
}

static void steered_wait(struct steered *steered, const uint64_t *counter,
			 uint64_t count)
{
	(void)pthread_mutex_lock(&steered->lock);
	while (*counter < count)
		(void)pthread_cond_wait(&steered->moved, &steered->lock);
	(void)pthread_mutex_unlock(&steered->lock);
}

void steered_wait_closes(struct steered *steered, uint64_t count)
{
	steered_wait(steered, &steered->closes, count);
}

void steered_hold_all(struct steered *steered)
{
	(void)pthread_mutex_lock(&steered->gate);
}

void steered_wait_held(struct steered *steered, uint64_t count)
{
	steered_wait(steered, &steered->held_count, count);
}

void steered_release_all(struct steered *steered)
{
	(void)pthread_mutex_unlock(&steered->gate);
}

void steered_wait_logs(struct steered *steered, uint64_t count)
{
	steered_wait(steered, &steered->log_count, count);
}

uint64_t steered_log_count(struct steered *steered)
{
	(void)pthread_mutex_lock(&steered->lock);
	const uint64_t count = steered->log_count;
	(void)pthread_mutex_unlock(&steered->lock);
	return count;
}

struct weir_addr rig_addr(const char *text, uint16_t port)
{
	struct weir_addr addr;
	ck_assert_int_eq(weir_addr_parse(text, port, &addr), 0);
	return addr;
}

struct weir_addr steered_addr(const struct steered *steered)
{
	return rig_addr(steered->address, seen_port(steered->server));
}

static void steered_tell(const struct steered *steered,
			 struct member_report *out_report)
{
	const struct weir_loop_stats stats = seen_stats(steered->server);
	*out_report = (struct member_report){ .accepts = stats.accepts,
					      .drops = stats.accept_drops,
					      .errors = stats.accept_errors };
}

uint64_t steered_accepts(const struct steered *steered)
{
	struct member_report report;
	steered_tell(steered, &report);
	return report.accepts;
}

static void steered_free(struct steered *steered)
{
	weir_server_close(steered->server);
	(void)pthread_cond_destroy(&steered->moved);
	(void)pthread_mutex_destroy(&steered->gate);
	(void)pthread_mutex_destroy(&steered->lock);
}

static void steered_finish(struct steered *steered,
			   struct member_report *out_report)
{
	weir_server_stop(steered->server);
	ck_assert_int_eq(weir_server_join(steered->server), 0);
	steered_tell(steered, out_report);
	ck_assert_uint_eq(out_report->drops, 0);
	ck_assert_uint_eq(steered->opens, steered->closes);
	steered_free(steered);
}

void steered_end(struct steered *steered)
{
	struct member_report report;
	steered_finish(steered, &report);
	ck_assert_uint_eq(report.errors, 0);
}

void steered_end_harmed(struct steered *steered)
{
	struct member_report report;
	steered_finish(steered, &report);
}

/* ---- a server in a process of its own ---------------------------------- */

/* The answer to an order. */
struct member_hello {
	int result;
	uint16_t port;
	struct weir_error error;
};

static bool member_tell(int fd, const void *bytes, size_t byte_count)
{
	return write(fd, bytes, byte_count) == (ssize_t)byte_count;
}

/* SIGTERM: stop; SIGUSR1: take over the group. */
static void member_signals(sigset_t *out_signals)
{
	(void)sigemptyset(out_signals);
	(void)sigaddset(out_signals, SIGTERM);
	(void)sigaddset(out_signals, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, out_signals, NULL);
}

static bool member_serve_until_term(struct steered *steered, int reports,
				    const struct weir_server_opts *opts,
				    const sigset_t *signals)
{
	for (;;) {
		struct member_hello hello = { .result = 0 };
		int signal_number = 0;
		if (sigwait(signals, &signal_number) != 0)
			continue;
		if (signal_number == SIGTERM)
			return true;
		hello.result = weir_server_steer(
			steered->server, opts->steering.policy, &hello.error);
		if (!member_tell(reports, &hello, sizeof(hello)))
			return false;
	}
}

/* The child: asserts nothing. */
static int member_main(int orders, int reports,
		       const struct weir_server_opts *opts)
{
	struct steered steered;
	uint16_t port = 0;
	struct member_hello hello = { .result = 0 };
	struct member_report report;
	sigset_t signals;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* no orphans */
	member_signals(&signals);
	if (read(orders, &port, sizeof(port)) != (ssize_t)sizeof(port))
		return 1;
	hello.result = steered_open(&steered, opts, port, &hello.error);
	if (hello.result == 0)
		hello.port = seen_port(steered.server);
	if (!member_tell(reports, &hello, sizeof(hello)) || hello.result < 0)
		return 1;
	if (!member_serve_until_term(&steered, reports, opts, &signals))
		return 1;
	weir_server_stop(steered.server);
	const int result = weir_server_join(steered.server);
	steered_tell(&steered, &report);
	report.result = result;
	steered_free(&steered);
	return member_tell(reports, &report, sizeof(report)) ? 0 : 1;
}

void member_fork(struct member *member, const struct weir_server_opts *opts)
{
	int orders[2];
	int reports[2];
	ck_assert_int_eq(pipe2(orders, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(reports, O_CLOEXEC), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(member_main(orders[0], reports[1], opts));
	ck_assert_int_eq(close(orders[0]), 0);
	ck_assert_int_eq(close(reports[1]), 0);
	*member = (struct member){ .pid = pid,
				   .orders = orders[1],
				   .reports = reports[0] };
}

static struct member_hello member_answer(const struct member *member)
{
	struct member_hello hello;
	rig_read(member->reports, &hello, sizeof(hello));
	ck_assert_msg(hello.result == 0, "server: %s", hello.error.text);
	return hello;
}

uint16_t member_serve(const struct member *member, uint16_t port)
{
	ck_assert(member_tell(member->orders, &port, sizeof(port)));
	return member_answer(member).port;
}

void member_take_over(const struct member *member)
{
	ck_assert_int_eq(kill(member->pid, SIGUSR1), 0);
	(void)member_answer(member);
}

void member_stop(const struct member *member)
{
	ck_assert_int_eq(kill(member->pid, SIGTERM), 0);
}

void member_end(struct member *member, struct member_report *out_report)
{
	int status = -1;
	rig_read(member->reports, out_report, sizeof(*out_report));
	ck_assert_int_eq(close(member->reports), 0);
	ck_assert_int_eq(close(member->orders), 0);
	ck_assert_int_eq(waitpid(member->pid, &status, 0), member->pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "the server ended with status %#x", (unsigned)status);
}
