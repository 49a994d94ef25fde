/* test_server_outbound.c - connections that a loop makes itself */
#include "../rig/peer.h"
#include "test_server.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

enum { OUTBOUND_MAX = 100, TRIPS = 10 };

/* One loop listens and connects to itself. Outbound connections have a user
 * pointer; accepted ones have none and echo. */
struct outbound {
	struct local local; /* first */
	uint64_t opened;
	uint64_t finished; /* all round trips done */
	uint64_t mismatches;
	uint64_t trips[OUTBOUND_MAX];
	struct weir_addr address;
	struct outbound *self;
	uint64_t left_to_connect; /* from on_close */
};

static void ping(struct weir_conn *conn, struct outbound *outbound,
		 uint64_t *trips)
{
	uint8_t frame[PEER_PREFIX_BYTES + 20];
	size_t bytes = peer_frame_put(
		frame, 20,
		(uint32_t)(trips - outbound->trips) * 100 + (uint32_t)*trips);
	if (weir_conn_send(conn, frame, bytes) != 0)
		outbound->mismatches++;
}

static void outbound_on_open(struct weir_conn *conn, void *ctx)
{
	struct outbound *outbound = ctx;
	echo_on_open(conn, ctx);
	if (weir_conn_user(conn) == NULL)
		return;
	outbound->opened++;
	ping(conn, outbound, weir_conn_user(conn));
}

static ssize_t outbound_on_data(struct weir_conn *conn, const uint8_t *bytes,
				size_t byte_count, void *ctx)
{
	struct outbound *outbound = ctx;
	uint64_t *trips = weir_conn_user(conn);
	uint8_t want[PEER_PREFIX_BYTES + 20];
	if (trips == NULL)
		return echo_on_data(conn, bytes, byte_count, ctx);
	if (byte_count < sizeof(want))
		return 0;
	(void)peer_frame_put(want, 20,
			     (uint32_t)(trips - outbound->trips) * 100 +
				     (uint32_t)*trips);
	if (byte_count != sizeof(want) || memcmp(bytes, want, byte_count) != 0)
		outbound->mismatches++;
	if (++*trips < TRIPS) {
		ping(conn, outbound, trips);
	} else {
		outbound->finished++;
		weir_conn_close(conn);
	}
	return (ssize_t)byte_count;
}

static void outbound_on_close(struct weir_conn *conn,
			      const struct weir_close_reason *reason, void *ctx)
{
	struct outbound *outbound = ctx;
	struct weir_loop *loop = weir_conn_loop(conn);
	if (weir_conn_user(conn) != NULL && outbound->left_to_connect > 0) {
		uint64_t *trips = &outbound->trips[--outbound->left_to_connect];
		if (weir_loop_connect(loop, &outbound->local.echo.service,
				      &outbound->address, trips, NULL) < 0)
			outbound->mismatches++;
	}
	echo_on_close(conn, reason, ctx);
}

static void outbound_start(struct outbound *outbound,
			   const struct weir_loop_opts *opts)
{
	const struct weir_service service = {
		.handlers = { .on_open = outbound_on_open,
			      .on_data = outbound_on_data,
			      .on_close = outbound_on_close },
	};
	local_start(&outbound->local, opts, &service);
	ck_assert_int_eq(weir_addr_parse("127.0.0.1", outbound->local.port,
					 &outbound->address),
			 0);
}

START_TEST(a_loop_connects_to_itself_and_echoes)
{
	struct outbound outbound = { .opened = 0 };
	struct weir_loop_stats stats;
	outbound_start(&outbound, NULL);
	for (int i = 0; i < OUTBOUND_MAX; i++)
		ck_assert_int_eq(weir_loop_connect(outbound.local.loop,
						   &outbound.local.echo.service,
						   &outbound.address,
						   &outbound.trips[i], NULL),
				 0);
	local_turn_until(&outbound.local, &outbound.local.echo.closes,
			 2 * OUTBOUND_MAX);
	ck_assert_uint_eq(outbound.finished, OUTBOUND_MAX);
	ck_assert_uint_eq(outbound.mismatches, 0);
	ck_assert_uint_eq(
		echo_closes_by(&outbound.local.echo, WEIR_CLOSE_LOCAL),
		OUTBOUND_MAX);
	ck_assert_uint_eq(echo_closes_by(&outbound.local.echo, WEIR_CLOSE_PEER),
			  OUTBOUND_MAX);
	local_end(&outbound.local, &stats);
	ck_assert_uint_eq(stats.connects, OUTBOUND_MAX);
	ck_assert_uint_eq(stats.accepts, OUTBOUND_MAX);
}
END_TEST

START_TEST(a_tiny_ring_connects_as_well)
{
	const struct weir_loop_opts opts = {
		.ring = { .sq_entry_count = 1, .cq_entry_count = 8 },
		.buf_count = 1,
	};
	struct outbound outbound = { .opened = 0 };
	outbound_start(&outbound, &opts);
	for (int i = 0; i < OUTBOUND_MAX; i++)
		ck_assert_int_eq(weir_loop_connect(outbound.local.loop,
						   &outbound.local.echo.service,
						   &outbound.address,
						   &outbound.trips[i], NULL),
				 0);
	local_turn_until(&outbound.local, &outbound.local.echo.closes,
			 2 * OUTBOUND_MAX);
	ck_assert_uint_eq(outbound.finished, OUTBOUND_MAX);
	ck_assert_uint_eq(outbound.mismatches, 0);
	local_end(&outbound.local, NULL);
}
END_TEST

START_TEST(on_close_may_connect_again)
{
	struct outbound outbound = { .left_to_connect = 19 };
	outbound_start(&outbound, NULL);
	ck_assert_int_eq(weir_loop_connect(outbound.local.loop,
					   &outbound.local.echo.service,
					   &outbound.address,
					   &outbound.trips[19], NULL),
			 0);
	local_turn_until(&outbound.local, &outbound.local.echo.closes, 40);
	ck_assert_uint_eq(outbound.finished, 20);
	ck_assert_uint_eq(outbound.mismatches, 0);
	local_end(&outbound.local, NULL);
}
END_TEST

/* A socket that holds a port and does not listen there. */
static int bound_only(struct sockaddr_in *out_address)
{
	socklen_t bytes = sizeof(*out_address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	*out_address = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	ck_assert_int_eq(bind(fd, (struct sockaddr *)out_address, bytes), 0);
	ck_assert_int_eq(
		getsockname(fd, (struct sockaddr *)out_address, &bytes), 0);
	return fd;
}

START_TEST(a_refused_connection_is_closed_without_having_been_open)
{
	struct outbound outbound = { .opened = 0 };
	struct sockaddr_in nobody;
	struct weir_conn *conn = NULL;
	const int bound = bound_only(&nobody);

	outbound_start(&outbound, NULL);
	weir_addr_port_set(&outbound.address, ntohs(nobody.sin_port));
	ck_assert_int_eq(weir_loop_connect(outbound.local.loop,
					   &outbound.local.echo.service,
					   &outbound.address,
					   &outbound.trips[0], &conn),
			 0);
	ck_assert_ptr_nonnull(conn);
	ck_assert_ptr_eq(weir_conn_user(conn), &outbound.trips[0]);
	ck_assert_int_eq(weir_conn_send(conn, "x", 1), -ESHUTDOWN);
	local_turn_until(&outbound.local, &outbound.local.echo.closes, 1);
	struct weir_close_reason reason =
		echo_close_reason(&outbound.local.echo, 0);
	echo_expect_cause(&reason, WEIR_CLOSE_CONNECT);
	ck_assert_int_eq(reason.err, -ECONNREFUSED);
	ck_assert_uint_eq(outbound.local.echo.opens, 0);
	local_end(&outbound.local, NULL);
	peer_close(bound);
}
END_TEST

START_TEST(a_loop_with_all_connections_in_use_says_so)
{
	const struct weir_loop_opts opts = { .conn_count = 4 };
	struct outbound outbound = { .opened = 0 };
	struct weir_loop_stats stats;
	outbound_start(&outbound, &opts);
	struct weir_conn *conns[4];
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(weir_loop_connect(outbound.local.loop,
						   &outbound.local.echo.service,
						   &outbound.address,
						   &outbound.trips[i],
						   &conns[i]),
				 0);
	ck_assert_int_eq(weir_loop_connect(outbound.local.loop,
					   &outbound.local.echo.service,
					   &outbound.address, NULL, NULL),
			 -EAGAIN);
	/* They wait in the backlog of a full loop. An abort before the connect
	 * has ended: never open. */
	weir_conn_abort(conns[0]);
	weir_conn_close(conns[1]);
	local_turn_until(&outbound.local, &outbound.finished, 2);
	local_turn_until(&outbound.local, &outbound.local.echo.closes, 6);
	ck_assert_uint_eq(outbound.mismatches, 0);
	ck_assert_uint_eq(
		echo_closes_by(&outbound.local.echo, WEIR_CLOSE_ABORTED), 1);
	local_end(&outbound.local, &stats);
	ck_assert_uint_eq(stats.connects, 2);
}
END_TEST

START_TEST(a_loop_that_stops_connects_no_more)
{
	struct outbound outbound = { .opened = 0 };
	outbound_start(&outbound, NULL);
	ck_assert_int_eq(weir_loop_connect(outbound.local.loop,
					   &outbound.local.echo.service,
					   &outbound.address,
					   &outbound.trips[0], NULL),
			 0);
	weir_loop_stop(outbound.local.loop);
	ck_assert_int_eq(weir_loop_turn(outbound.local.loop, 0), 1);
	ck_assert_int_eq(weir_loop_connect(outbound.local.loop,
					   &outbound.local.echo.service,
					   &outbound.address, NULL, NULL),
			 -ESHUTDOWN);
	local_end(&outbound.local, NULL);
}
END_TEST

TCase *tcase_server_outbound(void)
{
	TCase *tcase = tcase_create("outbound");
	tcase_set_timeout(tcase, SERVER_TEST_TIMEOUT_S);
	tcase_add_test(tcase, a_loop_connects_to_itself_and_echoes);
	tcase_add_test(tcase, a_tiny_ring_connects_as_well);
	tcase_add_test(tcase, on_close_may_connect_again);
	tcase_add_test(tcase,
		       a_refused_connection_is_closed_without_having_been_open);
	tcase_add_test(tcase, a_loop_with_all_connections_in_use_says_so);
	tcase_add_test(tcase, a_loop_that_stops_connects_no_more);
	return tcase;
}
