#include "wire.h"

#include "../steer/steer_rig.h"
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
	PACKET_BYTES_MAX = 1600,
	PACKETS_MAX = 8192, /* in the relay; further ones are lost */
	LATE_US = 3000,
	NS_PER_US = 1000,
	NS_PER_S = 1000000000,
	NOT_AT_ALL_S = 3600,
	TCP_FLAG_SYN_BIT = 0x02,
};

struct wire_packet {
	uint64_t due_ns;
	uint64_t sequence; /* order of packets with the same due time */
	uint32_t to;
	uint32_t bytes;
	uint8_t data[PACKET_BYTES_MAX];
};

/* ---- packets in the relay: a heap ---------------------------------------- */

static bool is_earlier(const struct wire_packet *a, const struct wire_packet *b)
{
	if (a->due_ns != b->due_ns)
		return a->due_ns < b->due_ns;
	return a->sequence < b->sequence;
}

static void packets_swap(struct wire *wire, uint32_t a, uint32_t b)
{
	const struct wire_packet kept = wire->packets[a];
	wire->packets[a] = wire->packets[b];
	wire->packets[b] = kept;
}

static void packet_put(struct wire *wire, const struct wire_packet *packet)
{
	if (wire->packet_count == PACKETS_MAX) {
		wire->counts.lost++;
		return;
	}
	uint32_t at = wire->packet_count++;
	wire->packets[at] = *packet;
	wire->packets[at].sequence = wire->sequence++;
	while (at > 0 &&
	       is_earlier(&wire->packets[at], &wire->packets[(at - 1) / 2])) {
		packets_swap(wire, at, (at - 1) / 2);
		at = (at - 1) / 2;
	}
}

static void packet_drop_first(struct wire *wire)
{
	uint32_t at = 0;
	packets_swap(wire, 0, --wire->packet_count);
	for (;;) {
		uint32_t next = 2 * at + 1;
		if (next >= wire->packet_count)
			return;
		if (next + 1 < wire->packet_count &&
		    is_earlier(&wire->packets[next + 1], &wire->packets[next]))
			next++;
		if (!is_earlier(&wire->packets[next], &wire->packets[at]))
			return;
		packets_swap(wire, at, next);
		at = next;
	}
}

/* ---- the relay ----------------------------------------------------------- */

static uint64_t wire_now_ns(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t wire_due_ns(const struct wire *wire)
{
	return wire_now_ns() + (uint64_t)wire->opts.delay_us * NS_PER_US;
}

static bool wire_draws(struct wire *wire, uint32_t percent)
{
	return wi_random(&wire->random) % 100 < percent;
}

/* A lost SYN costs a second, and later losses 3 and 6 seconds, until TCP has
 * measured a round trip (RFC 6298, 5.7). That does not depend on the server. */
static bool packet_is_syn(const struct wire_packet *packet)
{
	const uint32_t header_bytes = (packet->data[0] & 0x0fu) * 4;
	return packet->data[0] >> 4 == 4 && packet->data[9] == IPPROTO_TCP &&
	       (packet->data[header_bytes + 13] & TCP_FLAG_SYN_BIT) != 0;
}

static void wire_take(struct wire *wire, struct wire_packet *packet)
{
	struct wire_counts *counts = &wire->counts;
	counts->packets++;
	if (packet_is_syn(packet)) {
		packet->due_ns = wire_due_ns(wire);
		packet_put(wire, packet);
		return;
	}
	if (wire_draws(wire, wire->opts.lost)) {
		counts->lost++;
		return;
	}
	packet->due_ns =
		wire_now_ns() + (uint64_t)wire->opts.delay_us * NS_PER_US;
	if (wire_draws(wire, wire->opts.doubled)) {
		counts->doubled++;
		packet_put(wire, packet);
	}
	if (wire_draws(wire, wire->opts.late)) {
		counts->late++;
		packet->due_ns += (uint64_t)LATE_US * NS_PER_US;
	}
	if (wire_draws(wire, wire->opts.flipped)) {
		const uint32_t bit =
			wi_random(&wire->random) % (packet->bytes * 8);
		packet->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		counts->flipped++;
	}
	packet_put(wire, packet);
}

static void wire_read(struct wire *wire, uint32_t from)
{
	struct wire_packet packet = { .to = 1 - from };
	for (;;) {
		ssize_t count = read(wire->tuns[from], packet.data,
				     sizeof(packet.data));
		if (count <= 0)
			return;
		packet.bytes = (uint32_t)count;
		wire_take(wire, &packet);
	}
}

static void wire_write_due(struct wire *wire)
{
	const uint64_t now_ns = wire_now_ns();
	while (wire->packet_count > 0 && wire->packets[0].due_ns <= now_ns) {
		const struct wire_packet *packet = &wire->packets[0];
		/* The kernel refuses a damaged packet: it is lost. */
		(void)!write(wire->tuns[packet->to], packet->data,
			     packet->bytes);
		packet_drop_first(wire);
	}
}

static struct timespec wire_pause(const struct wire *wire)
{
	const uint64_t now_ns = wire_now_ns();
	uint64_t pause_ns = 0;
	if (wire->packet_count == 0)
		return (struct timespec){ .tv_sec = NOT_AT_ALL_S };
	if (wire->packets[0].due_ns > now_ns)
		pause_ns = wire->packets[0].due_ns - now_ns;
	return (struct timespec){ .tv_sec = (time_t)(pause_ns / NS_PER_S),
				  .tv_nsec = (long)(pause_ns % NS_PER_S) };
}

static void *wire_main(void *ctx)
{
	struct wire *wire = ctx;
	for (;;) {
		struct pollfd waits[] = {
			{ .fd = wire->tuns[0], .events = POLLIN },
			{ .fd = wire->tuns[1], .events = POLLIN },
			{ .fd = wire->stop_fds[0], .events = POLLIN },
		};
		const struct timespec pause = wire_pause(wire);
		(void)ppoll(waits, 3, &pause, NULL);
		if (waits[2].revents != 0)
			return NULL;
		wire_read(wire, 0);
		wire_read(wire, 1);
		wire_write_due(wire);
	}
}

/* ---- the two networks ---------------------------------------------------- */

static void ifreq_ioctl(int fd, unsigned long request, struct ifreq *ifreq)
{
	ck_assert_msg(ioctl(fd, request, ifreq) == 0, "wire: %s",
		      strerror(errno));
}

static void ifreq_address(struct ifreq *ifreq, const char *text)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	ck_assert_int_eq(inet_pton(AF_INET, text, &address.sin_addr), 1);
	memcpy(&ifreq->ifr_addr, &address, sizeof(address));
}

/* Acts in the network of the calling thread. */
static void tun_raise(const char *own, const char *other, int mtu)
{
	struct ifreq ifreq = { .ifr_name = "wire" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ifreq_address(&ifreq, own);
	ifreq_ioctl(fd, SIOCSIFADDR, &ifreq);
	ifreq_address(&ifreq, other);
	ifreq_ioctl(fd, SIOCSIFDSTADDR, &ifreq);
	ifreq.ifr_mtu = mtu != 0 ? mtu : 1500;
	ifreq_ioctl(fd, SIOCSIFMTU, &ifreq);
	ifreq_ioctl(fd, SIOCGIFFLAGS, &ifreq);
	ifreq.ifr_flags |= IFF_UP | IFF_RUNNING;
	ifreq_ioctl(fd, SIOCSIFFLAGS, &ifreq);
	peer_close(fd);
}

static int tun_open(void)
{
	struct ifreq ifreq = { .ifr_name = "wire",
			       .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifreq) < 0) {
		peer_close(fd);
		return -1;
	}
	return fd;
}

static int net_open(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "the network's name: %s", strerror(errno));
	return fd;
}

static const char *wire_net_make(struct wire *wire, int index)
{
	static const char *const addresses[] = { WIRE_HERE, WIRE_THERE };
	if (unshare(CLONE_NEWNET) < 0)
		return "it may not make a network namespace";
	/* A loss costs at least 200 ms; after a long one, seconds. */
	if (access("/proc/sys/net/ipv4/tcp_rto_min_us", W_OK) < 0 ||
	    access("/proc/sys/net/ipv4/tcp_rto_max_ms", W_OK) < 0)
		return "losses would cost minutes: this kernel has no "
		       "tcp_rto_min_us, or no tcp_rto_max_ms (Linux 6.15)";
	rig_sysctl("ipv4/tcp_rto_min_us", "5000");
	rig_sysctl("ipv4/tcp_rto_max_ms", "1000");
	wire->tuns[index] = tun_open();
	if (wire->tuns[index] < 0)
		return "no /dev/net/tun";
	wire->nets[index] = net_open();
	tun_raise(addresses[index], addresses[1 - index], wire->opts.mtu);
	return NULL;
}

static void net_enter(int net)
{
	ck_assert_msg(setns(net, CLONE_NEWNET) == 0, "setns: %s",
		      strerror(errno));
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		peer_close(fd);
}

static void wire_fini(struct wire *wire)
{
	net_enter(wire->home);
	for (int i = 0; i < 2; i++) {
		close_if_open(wire->tuns[i]);
		close_if_open(wire->nets[i]);
	}
	peer_close(wire->home);
}

const char *wire_open(struct wire *wire, const struct wire_opts *opts)
{
	*wire = (struct wire){ .opts = *opts,
			       .tuns = { -1, -1 },
			       .nets = { -1, -1 },
			       .random = opts->seed | 1 };
	wire->home = net_open();
	const char *why_not = wire_net_make(wire, 0);
	if (why_not == NULL)
		why_not = wire_net_make(wire, 1);
	if (why_not != NULL) {
		wire_fini(wire);
		return why_not;
	}
	wire->packets = calloc(PACKETS_MAX, sizeof(*wire->packets));
	ck_assert_ptr_nonnull(wire->packets);
	ck_assert_int_eq(pipe2(wire->stop_fds, O_CLOEXEC), 0);
	ck_assert_int_eq(pthread_create(&wire->thread, NULL, wire_main, wire),
			 0);
	wire_enter(wire, false);
	return NULL;
}

void wire_enter(struct wire *wire, bool is_there)
{
	net_enter(wire->nets[is_there ? 1 : 0]);
}

void wire_close(struct wire *wire)
{
	peer_close(wire->stop_fds[1]);
	ck_assert_int_eq(pthread_join(wire->thread, NULL), 0);
	peer_close(wire->stop_fds[0]);
	free(wire->packets);
	wire_fini(wire);
}
