#include "test_region_flight.h"

#include "../rig/support.h"
#include "net/conn/conn_priv.h"
#include "net/loop.h"

#include <unistd.h>

enum {
	PAYLOAD_BYTES = 7 << 20, /* more than the socket's buffers hold */
	TURNS_MAX = 1000,
	TURN_NS = 10 * 1000 * 1000,
};

static void flight_on_open(struct weir_conn *conn, void *ctx)
{
	struct flight *flight = ctx;
	flight->conn = conn;
	flight->payload = weir_conn_reserve(conn, PAYLOAD_BYTES);
	ck_assert_ptr_nonnull(flight->payload);
	memset(flight->payload, 'a', PAYLOAD_BYTES);
	weir_conn_commit(conn, PAYLOAD_BYTES);
}

static void flight_on_close(struct weir_conn *conn,
			    const struct weir_close_reason *reason, void *ctx)
{
	struct flight *flight = ctx;
	(void)conn;
	(void)reason;
	flight->closes++;
}

static void flight_turn(struct flight *flight)
{
	ck_assert_int_ge(weir_loop_turn(flight->loop, TURN_NS), 0);
}

void flight_start(struct flight *flight)
{
	const struct weir_loop_opts opts = {
		.conn_count = 4,
		.backlog = 4,
		.buf_count = 4,
		.buf_bytes = 4096,
	};
	struct weir_error error;
	struct sockaddr_in address;

	*flight = (struct flight){ .peer_fd = -1 };
	flight->service = (struct weir_service){
		.handlers = { .on_open = flight_on_open,
			      .on_close = flight_on_close },
		.ctx = flight,
		.send_bytes_max = PAYLOAD_BYTES,
	};
	int err = weir_loop_open(&flight->loop, &opts, &error);
	ck_assert_msg(err == 0, "%s", error.text);
	err = weir_loop_listen(flight->loop, &flight->service,
			       wi_listener(&address), &error);
	ck_assert_msg(err == 0, "%s", error.text);
	ck_assert_int_eq(weir_loop_enable(flight->loop), 0);
	flight->peer_fd = wi_connect(&address);
	/* Once a pass ends with the send in flight, the loop has not seen its
	 * completion: the kernel's progress by then does not matter. */
	for (int i = 0; i < TURNS_MAX; i++) {
		flight_turn(flight);
		if (flight->conn != NULL &&
		    wi_conn_awaits(flight->conn, WI_CONN_SEND))
			return;
	}
	ck_abort_msg("no send stayed in flight");
}

uint8_t *flight_byte(const struct flight *flight)
{
	const struct wi_sendq *sendq = &flight->conn->sendq;
	const size_t sent_bytes = PAYLOAD_BYTES - sendq->queued_bytes;
	return flight->payload + sent_bytes + sendq->lent_bytes - 1;
}

void flight_land(struct flight *flight)
{
	wi_reset_on_close(flight->peer_fd);
	ck_assert_int_eq(close(flight->peer_fd), 0);
	for (int i = 0; i < TURNS_MAX && flight->closes == 0; i++)
		flight_turn(flight);
	ck_assert_uint_eq(flight->closes, 1);
}

void flight_end(struct flight *flight)
{
	weir_loop_close(flight->loop);
}
