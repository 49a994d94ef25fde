/* test_sweep_cut.c - connections end at every byte of an exchange
 *
 *     [len][len .][len ....][len ........]    four requests
 *     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^    one connection for each offset
 *
 * All of them fill the server's table, with a neighbour in the last slot. The
 * clients that come next are answered only if every slot was freed. The report
 * says why each connection ended.
 */
#include "../rig/peer.h"
#include "../rig/sweep.h"
#include "../suites.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum cut {
	CUT_FIN,        /* close, with all answers read */
	CUT_HALF,       /* a FIN, then the answers, then the server's FIN */
	CUT_RST,        /* with all answers read */
	CUT_RST_UNREAD, /* right behind the bytes */
	CUT_KILL_OURS,  /* ss -K on the peer's socket... */
	CUT_KILL_ITS,   /* ...and on the server's own */
	CUT_COUNT
};

static const struct {
	const char *what;
	const char *cause;
} cuts[CUT_COUNT] = {
	[CUT_FIN] = { "FIN", "peer" },
	[CUT_HALF] = { "half-close", "peer" },
	[CUT_RST] = { "RST", "reset" },
	[CUT_RST_UNREAD] = { "RST behind the bytes", "reset" },
	[CUT_KILL_OURS] = { "ss -K of the peer's end", "reset" },
	[CUT_KILL_ITS] = { "ss -K of the server's end", "reset" },
};

/* ---- the exchange ------------------------------------------------------ */

static const size_t payloads[] = { 0, 3, 40, 90 };
enum { EXCHANGE_BYTES = 4 * PEER_PREFIX_BYTES + 0 + 3 + 40 + 90 };

/* A connection for each offset, from 0 to all bytes. */
enum { SWARM = EXCHANGE_BYTES + 1 };

static void exchange_make(uint8_t *out)
{
	size_t done = 0;
	for (uint32_t i = 0; i < 4; i++)
		done += peer_frame_put(out + done, payloads[i], i);
	ck_assert_uint_eq(done, EXCHANGE_BYTES);
}

/* Bytes of the requests that are complete in the first @at bytes, which are the
 * bytes of the answers. */
static size_t exchange_whole(size_t at)
{
	size_t whole = 0;
	for (int i = 0; i < 4; i++) {
		if (whole + PEER_PREFIX_BYTES + payloads[i] > at)
			break;
		whole += PEER_PREFIX_BYTES + payloads[i];
	}
	return whole;
}

static void expect_answers(int fd, const uint8_t *wire, size_t at)
{
	uint8_t got[EXCHANGE_BYTES];
	const size_t whole = exchange_whole(at);
	peer_recv(fd, got, whole);
	ck_assert_msg(memcmp(got, wire, whole) == 0,
		      "%s at byte %zu: wrong bytes", sweep_tried(), at);
}

/* ---- the ends ---------------------------------------------------------- */

static uint16_t local_port(int fd)
{
	struct sockaddr_in address;
	socklen_t address_bytes = sizeof(address);
	ck_assert_int_eq(
		getsockname(fd, (struct sockaddr *)&address, &address_bytes),
		0);
	return ntohs(address.sin_port);
}

/* All connections of @port except @spared: their ends on @port, or the other
 * ends. */
static void ss_kill(uint16_t port, bool is_on_port, uint16_t spared)
{
	static struct outcome outcome;
	char filter[128];
	(void)snprintf(filter, sizeof(filter), "%s = :%u and %s != :%u",
		       is_on_port ? "sport" : "dport", (unsigned)port,
		       is_on_port ? "dport" : "sport", (unsigned)spared);
	program_run((const char *const[]){ "ss", "-K", "-t", "-n", "state",
					   "established", filter, NULL },
		    &outcome);
}

static bool may_kill(void)
{
	struct sockaddr_in address;
	uint8_t byte;
	int listener = wi_listener(&address);
	int fd = peer_open(ntohs(address.sin_port));
	ss_kill(ntohs(address.sin_port), true, 0);
	const bool was_killed =
		recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
	peer_close(fd);
	peer_close(listener);
	return was_killed;
}

static void expect_reset(int fd)
{
	uint8_t byte;
	ssize_t count;
	do {
		count = recv(fd, &byte, 1, 0);
	} while (count < 0 && errno == EINTR);
	ck_assert_msg(count < 0 &&
			      (errno == ECONNRESET || errno == ECONNABORTED),
		      "%s: no reset, errno %d", sweep_tried(), errno);
}

static void swarm_cut(const int *fds, const uint8_t *wire, enum cut cut,
		      uint16_t port, uint16_t spared)
{
	if (cut != CUT_RST_UNREAD && cut != CUT_HALF)
		for (size_t at = 0; at < SWARM; at++)
			expect_answers(fds[at], wire, at);
	if (cut == CUT_KILL_OURS || cut == CUT_KILL_ITS)
		ss_kill(port, cut == CUT_KILL_ITS, spared);
	for (size_t at = 0; at < SWARM; at++) {
		switch (cut) {
		case CUT_HALF:
			peer_half_close(fds[at]);
			expect_answers(fds[at], wire, at);
			peer_expect_end(fds[at]);
			peer_close(fds[at]);
			break;
		case CUT_RST:
		case CUT_RST_UNREAD:
			peer_reset(fds[at]);
			break;
		case CUT_KILL_OURS:
		case CUT_KILL_ITS:
			expect_reset(fds[at]);
			peer_close(fds[at]);
			break;
		case CUT_FIN:
		case CUT_COUNT:
			peer_close(fds[at]);
			break;
		}
	}
}

static void swarm_open(int *fds, const uint8_t *wire, uint16_t port)
{
	for (size_t at = 0; at < SWARM; at++) {
		fds[at] = peer_open(port);
		peer_send(fds[at], wire, at);
	}
}

/* Every slot is free, except the neighbour's. */
static void expect_room(uint16_t port)
{
	int fds[SWARM];
	for (int i = 0; i < SWARM; i++)
		fds[i] = peer_open(port);
	peer_round_trips(fds, SWARM, 1);
	for (int i = 0; i < SWARM; i++)
		peer_close(fds[i]);
}

START_TEST(a_connection_may_be_cut_at_every_byte)
{
	static struct outcome outcome;
	char connections[8];
	uint8_t wire[EXCHANGE_BYTES];
	int fds[SWARM];

	wi_skip_unless((_i != CUT_KILL_OURS && _i != CUT_KILL_ITS) ||
			       may_kill(),
		       "ss -K does not kill: no CAP_NET_ADMIN, or a kernel "
		       "without CONFIG_INET_DIAG_DESTROY");
	sweep_now_trying("%s", cuts[_i].what);
	scratch_open();
	exchange_make(wire);
	(void)snprintf(connections, sizeof(connections), "%d", SWARM + 1);
	struct program echo = echo_program(
		(const char *const[]){ ECHO_ARGS, "--loops", "1",
				       "--connections", connections, NULL });
	int neighbour = peer_open(echo.port);
	peer_round_trip(neighbour, 1);
	swarm_open(fds, wire, echo.port);
	swarm_cut(fds, wire, (enum cut)_i, echo.port, local_port(neighbour));
	peer_round_trip(neighbour, 2);
	expect_room(echo.port);
	peer_round_trip(neighbour, 3);
	peer_close(neighbour);

	ck_assert_int_eq(kill(echo.pid, SIGTERM), 0);
	sweep_end(&echo, &outcome);
	char *json = sweep_expect_clean(&outcome);
	const uint64_t accepts = TOTAL(json, "net", "accepts");
	const uint64_t cut_count = TOTAL(json, "closes_by", cuts[_i].cause);
	ck_assert_uint_eq(accepts, 2 * SWARM + 1);
	if (strcmp(cuts[_i].cause, "peer") == 0)
		ck_assert_uint_eq(cut_count, accepts);
	else
		ck_assert_uint_eq(cut_count, SWARM);
	ck_assert_uint_eq(TOTAL(json, "closes_by", "peer") +
				  TOTAL(json, "closes_by", "reset"),
			  accepts);
	(void)printf("%s: %d connections, each closed as %s\n", cuts[_i].what,
		     SWARM, cuts[_i].cause);
	free(json);
	scratch_close();
}
END_TEST

WI_SUITE(sweep_cut, "sweep-cut", WI_RUNGS | WI_THREADS | WI_SWEEP)
{
	TCase *tcase = tcase_create("cut");
	tcase_set_timeout(tcase, SWEEP_TEST_TIMEOUT_S);
	suite_add_tcase(suite, tcase);
	if (tools_dir() == NULL) {
		wi_skip_note("sweep-cut", "this build has no tools",
			     WI_SKIP_ASKED);
		return;
	}
	if (!wi_kernel_has_rings())
		return;
	tcase_add_loop_test(tcase, a_connection_may_be_cut_at_every_byte, 0,
			    CUT_COUNT);
}
