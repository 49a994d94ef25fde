/* sim_net.c - listeners, connections, and segments in transit
 *
 *     writer --> written ... arrived ... read --> reader
 *                   on the wire   in the queue
 *
 * The tape decides where segments are cut. A reset overtakes the bytes on the
 * wire, but not those that have arrived: these are read first, then the error.
 */
#include "sim_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void sim_net_rest(struct weir_sim *sim)
{
	while (sim->opts.is_instant && sim_net_pending(sim) > 0)
		sim_net_arrive(sim, 0);
}

/* ---- connections ------------------------------------------------------ */

/* Both ends open. Return: its index, or SIM_NONE. */
int sim_net_conn_take(struct weir_sim *sim)
{
	int conn = 0;
	while (conn < SIM_CONNS && sim->conns[conn].is_used)
		conn++;
	if (conn == SIM_CONNS)
		return SIM_NONE;
	if (conn >= sim->conn_high)
		sim->conn_high = conn + 1;
	struct sim_conn *made = &sim->conns[conn];
	memset(made, 0, offsetof(struct sim_conn, pipes));
	for (int i = 0; i < 2; i++)
		memset(&made->pipes[i], 0, offsetof(struct sim_pipe, bytes));
	made->is_used = true;
	made->has_client = true;
	made->has_server = true;
	return conn;
}

int weir_sim_pair(struct weir_sim *sim, int out_fds[2])
{
	const int conn = sim_net_conn_take(sim);
	if (conn == SIM_NONE)
		return -ENFILE;
	for (int side = SIM_CLIENT; side <= SIM_SERVER; side++) {
		const int file = sim_file_take(sim, SIM_STREAM);
		if (file < 0)
			return file;
		sim->files[file].conn = conn;
		sim->files[file].side = (enum sim_side)side;
		out_fds[side] = sim_fd_take(sim, file);
		if (out_fds[side] < 0)
			return out_fds[side];
	}
	sim->conns[conn].is_accepted = true;
	return 0;
}

/* ---- streams ----------------------------------------------------------- */

static void conn_forget(struct sim_conn *conn)
{
	if (!conn->has_client && !conn->has_server)
		conn->is_used = false;
}

static bool side_is_reset(const struct sim_conn *conn, enum sim_side side)
{
	return side == SIM_SERVER ? conn->rst_to_server : conn->rst_to_client;
}

/* The other end sees the reset when it arrives. */
static void reset_send(struct sim_conn *conn, enum sim_side from)
{
	if (from == SIM_SERVER)
		conn->rst_sent_to_client = true;
	else
		conn->rst_sent_to_server = true;
}

static void wire_rush(struct weir_sim *sim, struct sim_conn *conn);

static bool peer_is_open(const struct sim_conn *conn, enum sim_side side)
{
	return side == SIM_SERVER ? conn->has_client : conn->has_server;
}

uint32_t sim_net_readable(const struct weir_sim *sim, int index,
			  enum sim_side side)
{
	const struct sim_pipe *pipe = &sim->conns[index].pipes[!side];
	return (uint32_t)(pipe->arrived - pipe->read);
}

uint32_t sim_net_inq(const struct weir_sim *sim, int index, enum sim_side side)
{
	/* tcp_inq_hint(): a FIN counts as a byte of the stream. */
	return sim_net_readable(sim, index, side) +
	       sim->conns[index].pipes[!side].fin_arrived;
}

bool sim_net_can_read(const struct weir_sim *sim, int index, enum sim_side side)
{
	const struct sim_conn *conn = &sim->conns[index];
	return sim_net_inq(sim, index, side) > 0 || conn->rcv_shut[side] ||
	       side_is_reset(conn, side);
}

static uint32_t pipe_room(const struct weir_sim *sim,
			  const struct sim_pipe *pipe)
{
	const uint32_t held = (uint32_t)(pipe->written - pipe->read);
	return held < sim->opts.pipe_bytes ? sim->opts.pipe_bytes - held : 0;
}

bool sim_net_can_write(const struct weir_sim *sim, int index,
		       enum sim_side side)
{
	const struct sim_conn *conn = &sim->conns[index];
	return side_is_reset(conn, side) || conn->pipes[side].fin_written ||
	       pipe_room(sim, &conn->pipes[side]) > 0;
}

/* An error is reported once; then the stream has ended. */
static int error_take(struct sim_conn *conn, enum sim_side side)
{
	const int error = conn->error[side];
	conn->error[side] = 0;
	return error;
}

/* The order of tcp_recvmsg_locked(): no error after a FIN. */
static int read_nothing(struct sim_conn *conn, enum sim_side side)
{
	if (conn->pipes[!side].fin_arrived)
		return 0;
	if (conn->error[side] != 0)
		return error_take(conn, side);
	if (conn->rcv_shut[side] || side_is_reset(conn, side))
		return 0;
	return -EAGAIN;
}

int sim_net_read(struct weir_sim *sim, int index, enum sim_side side,
		 void *bytes, size_t byte_count)
{
	struct sim_conn *conn = &sim->conns[index];
	struct sim_pipe *pipe = &conn->pipes[!side];
	const uint32_t count = min_u32(sim_net_readable(sim, index, side),
				       (uint32_t)byte_count);
	uint8_t *out = bytes;

	if (count == 0 && byte_count > 0)
		return read_nothing(conn, side);
	const uint32_t at = (uint32_t)(pipe->read % SIM_PIPE_BYTES_MAX);
	const uint32_t whole = min_u32(count, SIM_PIPE_BYTES_MAX - at);
	wi_soft_copy(out, pipe->bytes + at, whole);
	wi_soft_copy(out + whole, pipe->bytes, count - whole);
	pipe->read += count;
	sim->events++;
	return (int)count;
}

int sim_net_write(struct weir_sim *sim, int index, enum sim_side side,
		  const void *bytes, size_t byte_count)
{
	struct sim_conn *conn = &sim->conns[index];
	struct sim_pipe *pipe = &conn->pipes[side];
	const uint8_t *in = bytes;

	if (conn->error[side] != 0)
		return error_take(conn, side);
	if (pipe->fin_written || side_is_reset(conn, side))
		return -EPIPE;
	const uint32_t count =
		min_u32(pipe_room(sim, pipe), (uint32_t)byte_count);
	if (count == 0)
		return byte_count == 0 ? 0 : -EAGAIN;
	const uint32_t at = (uint32_t)(pipe->written % SIM_PIPE_BYTES_MAX);
	const uint32_t whole = min_u32(count, SIM_PIPE_BYTES_MAX - at);
	wi_soft_copy(pipe->bytes + at, in, whole);
	wi_soft_copy(pipe->bytes, in + whole, count - whole);
	pipe->written += count;
	sim->events++;
	sim_net_rest(sim);
	return (int)count;
}

/* TCP_CLOSE: reset, or both have ended and both know. */
static bool side_is_dead(const struct sim_conn *conn, enum sim_side side)
{
	return side_is_reset(conn, side) ||
	       (conn->pipes[0].fin_arrived && conn->pipes[1].fin_arrived);
}

/* tcp_poll(). */
uint32_t sim_net_poll(const struct weir_sim *sim, int index, enum sim_side side)
{
	const struct sim_conn *conn = &sim->conns[index];
	const bool is_dead = side_is_dead(conn, side);
	const bool no_more_in = conn->pipes[!side].fin_arrived ||
				conn->rcv_shut[side] || is_dead;
	const bool no_more_out = conn->pipes[side].fin_written || is_dead;
	uint32_t mask = 0;

	if (no_more_in && no_more_out)
		mask |= POLLHUP;
	if (no_more_in)
		mask |= POLLIN | POLLRDNORM | POLLRDHUP;
	if (sim_net_readable(sim, index, side) > 0)
		mask |= POLLIN | POLLRDNORM;
	if (sim_net_can_write(sim, index, side))
		mask |= POLLOUT | POLLWRNORM;
	if (conn->error[side] != 0)
		mask |= POLLERR;
	return mask;
}

int sim_net_shutdown(struct weir_sim *sim, int index, enum sim_side side,
		     int how)
{
	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (index == SIM_NONE)
		return -ENOTCONN;
	struct sim_conn *conn = &sim->conns[index];
	if (how != SHUT_WR)
		conn->rcv_shut[side] = true;
	conn->wakes[side]++;
	sim->events++;
	if (side_is_dead(conn, side))
		return -ENOTCONN;
	if (how != SHUT_RD)
		conn->pipes[side].fin_written = true;
	wire_rush(sim, conn);
	sim_net_rest(sim);
	return 0;
}

void sim_net_close(struct weir_sim *sim, int index, enum sim_side side)
{
	struct sim_conn *conn = &sim->conns[index];
	const struct sim_pipe *in = &conn->pipes[!side];

	/* RFC 2525, 2.17: unread bytes, and bytes that arrive after the close,
	 * are answered by a reset. */
	if (in->read < in->arrived)
		reset_send(conn, side);
	else
		conn->pipes[side].fin_written = true;
	if (side == SIM_SERVER)
		conn->has_server = false;
	else
		conn->has_client = false;
	weir_sim_note(sim, "c%d %s closes%s", index,
		      side == SIM_SERVER ? "server" : "client",
		      in->read < in->arrived ? ", unread bytes: RST" : "");
	wire_rush(sim, conn);
	conn_forget(conn);
	sim->events++;
	sim_net_rest(sim);
}

/* ---- on the wire ------------------------------------------------------- */

static bool pipe_is_moving(const struct sim_conn *conn,
			   const struct sim_pipe *pipe)
{
	(void)conn;
	return pipe->arrived < pipe->written ||
	       (pipe->fin_written && !pipe->fin_arrived);
}

/* Of one connection: two pipes, two resets. */
static bool wire_has(const struct sim_conn *conn, int what)
{
	switch (what) {
	case 0:
	case 1:
		return pipe_is_moving(conn, &conn->pipes[what]) &&
		       !side_is_reset(conn, (enum sim_side) !what);
	case 2:
		return conn->rst_sent_to_server && !conn->rst_to_server;
	default:
		return conn->rst_sent_to_client && !conn->rst_to_client;
	}
}

uint32_t sim_net_pending(const struct weir_sim *sim)
{
	uint32_t count = 0;
	for (int i = 0; i < sim->conn_high; i++)
		for (int what = 0; sim->conns[i].is_used && what < 4; what++)
			count += wire_has(&sim->conns[i], what);
	return count;
}

/* tcp_reset() at the receiver of an RST. Bytes that have arrived stay. */
static void reset_arrive(struct sim_conn *conn, enum sim_side side)
{
	if (!side_is_dead(conn, side))
		conn->error[side] =
			conn->pipes[!side].fin_arrived &&
					!conn->pipes[side].fin_written
				? -EPIPE
				: -ECONNRESET;
	conn->wakes[side] += 2; /* sk_state_change(), sk_error_report() */
	if (side == SIM_SERVER)
		conn->rst_to_server = true;
	else
		conn->rst_to_client = true;
}

/* Bytes for a side that has shut down both ways: tcp_rcv_state_process() always
 * resets. While its shutdown holds the lock, bytes wait in the backlog and are
 * processed after it, in the new state. Of 10,000 such sends over loopback none
 * was taken. In sim-model's program 517477 bytes were taken, since a worker ran
 * the shutdown later. */
static bool refuses_bytes(const struct sim_conn *conn, enum sim_side side)
{
	return peer_is_open(conn, (enum sim_side) !side) &&
	       conn->rcv_shut[side] && conn->pipes[side].fin_written;
}

static void pipe_arrive(struct weir_sim *sim, struct sim_conn *conn, int side)
{
	struct sim_pipe *pipe = &conn->pipes[side];
	const uint32_t moving = (uint32_t)(pipe->written - pipe->arrived);
	/* Benign: all at once. */
	const uint32_t left = moving <= 1 || sim->opts.is_instant
				      ? 0
				      : weir_tape_below(sim->tape, moving);
	if (moving > left && refuses_bytes(conn, (enum sim_side) !side)) {
		reset_send(conn, (enum sim_side) !side);
		reset_arrive(conn, (enum sim_side) !side);
		return;
	}
	pipe->arrived += moving - left;
	conn->wakes[!side]++;
	if (pipe->arrived == pipe->written && pipe->fin_written)
		pipe->fin_arrived = true;
	else
		conn->data_wakes[!side]++;
	/* The side that would take it is closed. */
	if (moving > left && !peer_is_open(conn, (enum sim_side)side))
		reset_send(conn, (enum sim_side) !side);
	weir_sim_note(sim, "c%d %u bytes arrive at the %s%s",
		      (int)(conn - sim->conns), moving - left,
		      side == SIM_CLIENT ? "server" : "client",
		      pipe->fin_arrived ? ", and FIN" : "");
}

static void wire_arrive(struct weir_sim *sim, struct sim_conn *conn, int what)
{
	const int index = (int)(conn - sim->conns);
	if (what < 2)
		pipe_arrive(sim, conn, what);
	else
		reset_arrive(conn, what == 2 ? SIM_SERVER : SIM_CLIENT);
	if (what >= 2)
		weir_sim_note(sim, "c%d RST arrives at the %s", index,
			      what == 2 ? "server" : "client");
	sim_hash_add(sim, (uint64_t)index * 4 + (uint64_t)what);
	sim->events++;
}

/* Over loopback, bytes and their answer arrive before the sending call returns;
 * elsewhere they do now and then. */
static void wire_rush(struct weir_sim *sim, struct sim_conn *conn)
{
	if (sim->opts.is_loopback ? weir_tape_below(sim->tape, 4) == 1
				  : !weir_tape_chance(sim->tape, 16))
		return;
	for (int round = 0; round < 2; round++)
		for (int what = 0; what < 4; what++)
			if (wire_has(conn, what))
				wire_arrive(sim, conn, what);
}

uint32_t sim_net_wakes(const struct weir_sim *sim, int conn, enum sim_side side)
{
	return sim->conns[conn].wakes[side];
}

uint32_t sim_net_data_wakes(const struct weir_sim *sim, int conn,
			    enum sim_side side)
{
	return sim->conns[conn].data_wakes[side];
}

void sim_net_push(struct weir_sim *sim, int conn)
{
	wire_rush(sim, &sim->conns[conn]);
}

void sim_net_arrive(struct weir_sim *sim, uint32_t index)
{
	for (int i = 0; i < sim->conn_high; i++) {
		struct sim_conn *conn = &sim->conns[i];
		for (int what = 0; conn->is_used && what < 4; what++)
			if (wire_has(conn, what) && index-- == 0) {
				wire_arrive(sim, conn, what);
				return;
			}
	}
}

/* ---- peers ------------------------------------------------------------- */

static enum sim_side peers_side(const struct weir_sim *sim, int conn)
{
	assert(conn >= 0 && conn < SIM_CONNS);
	return sim->conns[conn].peers_side;
}

uint32_t weir_sim_arrived_bytes(const struct weir_sim *sim, int conn)
{
	return (uint32_t)sim->conns[conn].pipes[peers_side(sim, conn)].arrived;
}

int weir_sim_write(struct weir_sim *sim, int conn, const void *bytes,
		   size_t byte_count)
{
	int result = sim_net_write(sim, conn, peers_side(sim, conn), bytes,
				   byte_count);
	return result == -EAGAIN ? 0 : result;
}

int weir_sim_read(struct weir_sim *sim, int conn, void *bytes,
		  size_t byte_count)
{
	const enum sim_side side = peers_side(sim, conn);
	const int result = sim_net_read(sim, conn, side, bytes, byte_count);
	/* An end of stream that came first hides the reset. */
	return result == 0 && byte_count > 0 &&
			       side_is_reset(&sim->conns[conn], side) &&
			       !sim->conns[conn].pipes[!side].fin_arrived
		       ? -ECONNRESET
		       : result;
}

void weir_sim_fin(struct weir_sim *sim, int conn)
{
	weir_sim_note(sim, "c%d peer FIN", conn);
	/* Or it is reset. */
	(void)sim_net_shutdown(sim, conn, peers_side(sim, conn), SHUT_WR);
}

void weir_sim_rst(struct weir_sim *sim, int index)
{
	const enum sim_side side = peers_side(sim, index);
	struct sim_conn *conn = &sim->conns[index];
	weir_sim_note(sim, "c%d peer RST", index);
	reset_send(conn, side);
	if (conn->peers_side == SIM_CLIENT)
		conn->has_client = false;
	else
		conn->has_server = false;
	conn_forget(conn);
	sim->events++;
	sim_net_rest(sim);
}

void weir_sim_hang_up(struct weir_sim *sim, int conn)
{
	sim_net_close(sim, conn, peers_side(sim, conn));
}
