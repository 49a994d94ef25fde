/* sim_net.c - listeners, connections, and what is on its way
 *
 *     writer --> written ... arrived ... read --> reader
 *                   on the wire   in the queue
 *
 * Segments are cut where the tape says. A reset overtakes what is on the wire,
 * but not what has arrived: that can still be read, then the error.
 */
#include "sim_priv.h"

#include <errno.h>
#include <netinet/in.h>

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint16_t address_port(const struct sockaddr_storage *address)
{
	struct sockaddr_in in; /* the port lies alike in both families */
	memcpy(&in, address, sizeof(in));
	return ntohs(in.sin_port);
}

static void address_port_set(struct sockaddr_storage *address, uint16_t port)
{
	struct sockaddr_in in;
	memcpy(&in, address, sizeof(in));
	in.sin_port = htons(port);
	memcpy(address, &in, sizeof(in));
}

/* Of a wire that takes no time. */
static void wire_rest(struct weir_sim *sim)
{
	while (sim->opts.is_loopback && sim_net_pending(sim) > 0)
		sim_net_arrive(sim, 0);
}

/* ---- listeners ------------------------------------------------------------
 */

static bool port_is_free(const struct weir_sim *sim, uint16_t port,
			 bool joins_group)
{
	for (int i = 0; i < SIM_FILES; i++) {
		const struct sim_file *file = &sim->files[i];
		if (file->kind == SIM_LISTENER && file->is_listening &&
		    file->port == port && !(joins_group && file->is_in_group))
			return false;
	}
	return true;
}

int sim_net_listen(struct weir_sim *sim, int index,
		   struct weir_listen_request *request)
{
	struct sim_file *file = &sim->files[index];
	uint16_t port = address_port(&request->address);
	if (port == 0)
		port = sim->next_port++;
	if (!port_is_free(sim, port, request->joins_group))
		return -EADDRINUSE;
	address_port_set(&request->address, port);
	file->port = port;
	file->is_in_group = request->joins_group;
	file->is_listening = true;
	file->backlog =
		request->backlog < SIM_BACKLOG ? request->backlog : SIM_BACKLOG;
	return 0;
}

/* Closed or shut down: who waits goes to another member of the group, as with
 * net.ipv4.tcp_migrate_req, or is reset. */
void sim_net_listen_end(struct weir_sim *sim, int index)
{
	struct sim_file *file = &sim->files[index];
	file->is_listening = false;
	for (int i = 0; i < file->queued; i++) {
		weir_sim_note(sim, "c%d reset: its listener is gone",
			      file->queue[i]);
		sim->conns[file->queue[i]].rst_sent_to_client = true;
		sim->conns[file->queue[i]].has_server = false;
	}
	file->queued = 0;
	sim->events++;
	wire_rest(sim);
}

int sim_net_accept(struct weir_sim *sim, int index)
{
	struct sim_file *file = &sim->files[index];
	if (!file->is_listening)
		return -EINVAL;
	if (file->queued == 0)
		return -EAGAIN;
	const int conn = file->queue[0];
	file->queued--;
	memmove(&file->queue[0], &file->queue[1],
		(size_t)file->queued * sizeof(file->queue[0]));
	sim->conns[conn].is_accepted = true;
	return conn;
}

int weir_sim_connect(struct weir_sim *sim, uint16_t port)
{
	int members[SIM_LISTENERS];
	uint32_t member_count = 0;
	int conn = 0;

	for (int i = 0; i < SIM_FILES && member_count < SIM_LISTENERS; i++)
		if (sim->files[i].kind == SIM_LISTENER &&
		    sim->files[i].is_listening && sim->files[i].port == port)
			members[member_count++] = i;
	if (member_count == 0)
		return -ECONNREFUSED;
	struct sim_file *listener =
		&sim->files[members[weir_tape_below(sim->tape, member_count)]];
	while (conn < SIM_CONNS && sim->conns[conn].is_used)
		conn++;
	if (conn == SIM_CONNS || listener->queued >= listener->backlog)
		return -EAGAIN;
	if (conn >= sim->conn_high)
		sim->conn_high = conn + 1;
	struct sim_conn *made = &sim->conns[conn];
	memset(made, 0, offsetof(struct sim_conn, pipes));
	for (int i = 0; i < 2; i++)
		memset(&made->pipes[i], 0, offsetof(struct sim_pipe, bytes));
	made->is_used = true;
	made->has_client = true;
	made->has_server = true;
	listener->queue[listener->queued++] = conn;
	weir_sim_note(sim, "c%d connects", conn);
	sim->events++;
	return conn;
}

/* ---- streams --------------------------------------------------------------
 */

static void conn_forget(struct sim_conn *conn)
{
	if (!conn->has_client && !conn->has_server)
		conn->is_used = false;
}

static bool side_is_reset(const struct sim_conn *conn, enum sim_side side)
{
	return side == SIM_SERVER ? conn->rst_to_server : conn->rst_to_client;
}

/* The other end hears of it once it arrives. */
static void reset_send(struct sim_conn *conn, enum sim_side from)
{
	if (from == SIM_SERVER)
		conn->rst_sent_to_client = true;
	else
		conn->rst_sent_to_server = true;
}

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

bool sim_net_can_read(const struct weir_sim *sim, int index, enum sim_side side)
{
	const struct sim_conn *conn = &sim->conns[index];
	const struct sim_pipe *pipe = &conn->pipes[!side];
	return pipe->arrived > pipe->read || pipe->fin_arrived ||
	       (side_is_reset(conn, side) &&
		!(side == SIM_SERVER && conn->rst_is_unheard));
}

bool sim_net_has_more(struct weir_sim *sim, int index, bool *is_first)
{
	struct sim_conn *conn = &sim->conns[index];
	const bool has_more = sim_net_readable(sim, index, SIM_SERVER) > 0 ||
			      conn->pipes[SIM_CLIENT].fin_arrived;
	if (!has_more) {
		conn->rst_is_unheard = *is_first && conn->rst_to_server;
		*is_first = false;
	}
	return has_more;
}

void sim_net_poll_anew(struct weir_sim *sim, int index)
{
	sim->conns[index].rst_is_unheard = false;
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

int sim_net_read(struct weir_sim *sim, int index, enum sim_side side,
		 void *bytes, size_t byte_count)
{
	struct sim_conn *conn = &sim->conns[index];
	struct sim_pipe *pipe = &conn->pipes[!side];
	const uint32_t count = min_u32(sim_net_readable(sim, index, side),
				       (uint32_t)byte_count);
	uint8_t *out = bytes;

	if (count == 0 && byte_count > 0) {
		/* A FIN that came first hides the reset: tcp_recvmsg() looks
		 * at SOCK_DONE before sk_err. */
		if (side_is_reset(conn, side) && !pipe->fin_arrived) {
			/* Told once; an end of the stream from then on. */
			if (side == SIM_SERVER && conn->server_error_told)
				return 0;
			conn->server_error_told |= side == SIM_SERVER;
			return -ECONNRESET;
		}
		return pipe->fin_arrived ? 0 : -EAGAIN;
	}
	for (uint32_t i = 0; i < count; i++)
		out[i] = pipe->bytes[(pipe->read + i) % SIM_PIPE_BYTES_MAX];
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

	if (side_is_reset(conn, side)) {
		/* Reset in CLOSE_WAIT: EPIPE from the first on (tcp_reset()).
		 */
		const bool has_waited =
			conn->pipes[!side].fin_arrived && !pipe->fin_written;
		if (has_waited ||
		    (side == SIM_SERVER && conn->server_error_told))
			return -EPIPE;
		conn->server_error_told |= side == SIM_SERVER;
		return -ECONNRESET;
	}
	if (pipe->fin_written)
		return -EPIPE;
	const uint32_t count =
		min_u32(pipe_room(sim, pipe), (uint32_t)byte_count);
	if (count == 0)
		return byte_count == 0 ? 0 : -EAGAIN;
	for (uint32_t i = 0; i < count; i++)
		pipe->bytes[(pipe->written + i) % SIM_PIPE_BYTES_MAX] = in[i];
	pipe->written += count;
	sim->events++;
	wire_rest(sim);
	return (int)count;
}

int sim_net_shutdown(struct weir_sim *sim, int index, enum sim_side side)
{
	if (index == SIM_NONE)
		return -ENOTCONN;
	struct sim_conn *conn = &sim->conns[index];
	if (side == SIM_SERVER)
		sim_net_poll_anew(sim, index); /* it wakes whoever polls */
	if (side_is_reset(conn, side))
		return -ENOTCONN;
	conn->pipes[side].fin_written = true;
	sim->events++;
	wire_rest(sim);
	return 0;
}

void sim_net_close(struct weir_sim *sim, int index, enum sim_side side)
{
	struct sim_conn *conn = &sim->conns[index];
	const struct sim_pipe *in = &conn->pipes[!side];

	/* RFC 2525, 2.17: bytes that nobody has read, or that come when nobody
	 * can, are answered by a reset. */
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
	conn_forget(conn);
	sim->events++;
	wire_rest(sim);
}

/* ---- on the wire ----------------------------------------------------------
 */

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

static void pipe_arrive(struct weir_sim *sim, struct sim_conn *conn, int side)
{
	struct sim_pipe *pipe = &conn->pipes[side];
	const uint32_t moving = (uint32_t)(pipe->written - pipe->arrived);
	/* Benign: all at once. */
	const uint32_t left = moving <= 1 || sim->opts.is_loopback
				      ? 0
				      : weir_tape_below(sim->tape, moving);
	pipe->arrived += moving - left;
	if (pipe->arrived == pipe->written && pipe->fin_written)
		pipe->fin_arrived = true;
	/* Nobody is there to take it. */
	if (moving > left && !peer_is_open(conn, (enum sim_side)side))
		reset_send(conn, (enum sim_side) !side);
	weir_sim_note(sim, "c%d %u bytes arrive at the %s%s",
		      (int)(conn - sim->conns), moving - left,
		      side == SIM_CLIENT ? "server" : "client",
		      pipe->fin_arrived ? ", and FIN" : "");
}

void sim_net_arrive(struct weir_sim *sim, uint32_t index)
{
	for (int i = 0; i < sim->conn_high; i++) {
		struct sim_conn *conn = &sim->conns[i];
		for (int what = 0; conn->is_used && what < 4; what++) {
			if (!wire_has(conn, what) || index-- > 0)
				continue;
			if (what < 2)
				pipe_arrive(sim, conn, what);
			else if (what == 2)
				conn->rst_to_server = true;
			else
				conn->rst_to_client = true;
			if (what >= 2)
				weir_sim_note(sim, "c%d RST arrives at the %s",
					      i,
					      what == 2 ? "server" : "client");
			sim_hash_add(sim, (uint64_t)i * 4 + (uint64_t)what);
			sim->events++;
			return;
		}
	}
}

/* ---- peers ------------------------------------------------------------- */

int weir_sim_write(struct weir_sim *sim, int conn, const void *bytes,
		   size_t byte_count)
{
	int result = sim_net_write(sim, conn, SIM_CLIENT, bytes, byte_count);
	return result == -EAGAIN ? 0 : result;
}

int weir_sim_read(struct weir_sim *sim, int conn, void *bytes,
		  size_t byte_count)
{
	return sim_net_read(sim, conn, SIM_CLIENT, bytes, byte_count);
}

void weir_sim_fin(struct weir_sim *sim, int conn)
{
	weir_sim_note(sim, "c%d client FIN", conn);
	(void)sim_net_shutdown(sim, conn, SIM_CLIENT); /* or it is reset */
}

void weir_sim_rst(struct weir_sim *sim, int index)
{
	struct sim_conn *conn = &sim->conns[index];
	weir_sim_note(sim, "c%d client RST", index);
	reset_send(conn, SIM_CLIENT);
	conn->has_client = false;
	conn_forget(conn);
	sim->events++;
	wire_rest(sim);
}

void weir_sim_hang_up(struct weir_sim *sim, int conn)
{
	sim_net_close(sim, conn, SIM_CLIENT);
}
