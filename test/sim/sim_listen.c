/* sim_listen.c - which listener gets a client, and how a connection is made
 *
 *     peer ---- weir_sim_connect() ---+        +--> a loop's listener
 *                                     |--> port|--> a member of its group
 *     loop ---- IORING_OP_CONNECT ----+        +--> a peer's listener
 *
 * A member of a SO_REUSEPORT group is named by its member: the order in which
 * they joined. weir_sim_on_choice() is the program that chooses among them.
 * Without one, or if the member is empty, the kernel's hash chooses: the tape.
 */
#include "sim_op_priv.h"

#include <errno.h>
#include <netinet/in.h>

/* tcp_syn_retries 6: from the first SYN to -ETIMEDOUT. */
#define SYN_GIVE_UP_NS UINT64_C(127000000000)

enum { ONE_IN_EIGHT = 32 };

void weir_sim_on_choice(struct weir_sim *sim,
			int (*choose)(void *ctx, bool is_moving), void *ctx)
{
	sim->choose = choose;
	sim->choose_ctx = ctx;
}

/* The listeners on @port. Return: how many. */
static uint32_t members_of(const struct weir_sim *sim, uint16_t port,
			   int *out_members)
{
	uint32_t count = 0;
	for (int i = 0; i < sim->file_high && count < SIM_LISTENERS; i++)
		if (sim->files[i].kind == SIM_LISTENER &&
		    sim->files[i].is_listening && sim->files[i].port == port)
			out_members[count++] = i;
	return count;
}

int sim_listen_choose(struct weir_sim *sim, uint16_t port, bool is_moving)
{
	int members[SIM_LISTENERS];
	const uint32_t count = members_of(sim, port, members);
	if (count == 0)
		return SIM_NONE;
	if (count > 1 && sim->choose != NULL) {
		const int member = sim->choose(sim->choose_ctx, is_moving);
		for (uint32_t i = 0; i < count; i++)
			if (sim->files[members[i]].member == member)
				return members[i];
	}
	return members[weir_tape_below(sim->tape, count)];
}

void sim_listen_queue(struct weir_sim *sim, int listener, int conn)
{
	struct sim_file *file = &sim->files[listener];
	assert(file->queued < SIM_BACKLOG);
	file->queue[file->queued++] = conn;
	sim->events++;
}

/* inet_csk_listen_stop(): with net.ipv4.tcp_migrate_req, or a program that
 * migrates, connections go to another member of the group, even if its backlog
 * is full. */
void sim_listen_move(struct weir_sim *sim, int index)
{
	struct sim_file *file = &sim->files[index];
	for (int i = 0; i < file->queued; i++) {
		const int conn = file->queue[i];
		const int other =
			sim->opts.migrates && file->is_in_group
				? sim_listen_choose(sim, file->port, true)
				: SIM_NONE;
		if (other != SIM_NONE &&
		    sim->files[other].queued < SIM_BACKLOG) {
			weir_sim_note(sim, "c%d moves to another listener",
				      conn);
			sim_listen_queue(sim, other, conn);
			continue;
		}
		weir_sim_note(sim, "c%d reset: its listener is gone", conn);
		sim->conns[conn].rst_sent_to_client = true;
		sim->conns[conn].has_server = false;
	}
	file->queued = 0;
}

/* ---- peers that listen ------------------------------------------------- */

static int peers_listener(const struct weir_sim *sim, uint16_t port)
{
	for (int i = 0; i < sim->file_high; i++)
		if (sim->files[i].kind == SIM_LISTENER &&
		    sim->files[i].is_peers && sim->files[i].port == port)
			return i;
	return SIM_NONE;
}

int weir_sim_listen(struct weir_sim *sim, uint16_t port, int backlog)
{
	if (peers_listener(sim, port) != SIM_NONE)
		return -EADDRINUSE;
	const int file = sim_file_take(sim, SIM_LISTENER);
	if (file < 0)
		return file;
	sim->files[file].port = port;
	sim->files[file].is_peers = true;
	sim->files[file].is_listening = true;
	sim->files[file].backlog =
		backlog < SIM_BACKLOG ? backlog : SIM_BACKLOG;
	sim->events++;
	return 0;
}

void weir_sim_unlisten(struct weir_sim *sim, uint16_t port)
{
	const int file = peers_listener(sim, port);
	if (file != SIM_NONE)
		sim_file_drop(sim, file);
}

int weir_sim_accept(struct weir_sim *sim, uint16_t port)
{
	const int file = peers_listener(sim, port);
	if (file == SIM_NONE)
		return -EINVAL;
	const int conn = sim_listen_accept(sim, file);
	if (conn >= 0) {
		sim->conns[conn].peers_side = SIM_SERVER;
		weir_sim_note(sim, "c%d is accepted by a peer", conn);
	}
	return conn;
}

/* ---- IORING_OP_CONNECT ------------------------------------------------- */

int sim_op_connect_prepare(struct sim_op *op)
{
	const struct sockaddr *address = (const void *)(uintptr_t)op->sqe.addr;
	struct sockaddr_in in; /* port: the same in both */
	if (op->sqe.len != 0 || op->sqe.buf_index != 0 ||
	    op->sqe.rw_flags != 0 || op->sqe.splice_fd_in != 0)
		return -EINVAL;
	wi_soft_copy(&in, address,
		     sizeof(in)); /* copied: move_addr_to_kernel() */
	op->port = ntohs(in.sin_port);
	return 0;
}

/* True: a listener has room, or there is none. False: no answer. */
static bool syn_is_answered(const struct weir_sim *sim, uint16_t port)
{
	int members[SIM_LISTENERS];
	const uint32_t count = members_of(sim, port, members);
	for (uint32_t i = 0; i < count; i++)
		if (sim->files[members[i]].queued <
		    sim->files[members[i]].backlog)
			return true;
	return count == 0;
}

bool sim_op_connect_is_ready(const struct weir_sim *sim,
			     const struct sim_op *op)
{
	const struct sim_file *file = &sim->files[op->file];
	return !file->is_connecting || file->conn != SIM_NONE ||
	       sim->now_ns >= op->due_ns || syn_is_answered(sim, op->port);
}

/* The handshake is done; a reset may have come since. */
static int connect_done(struct weir_sim *sim, struct sim_file *file)
{
	struct sim_conn *conn = &sim->conns[file->conn];
	const int error = conn->error[file->side];
	file->is_connecting = false;
	conn->error[file->side] = 0;
	weir_sim_note(sim, "c%d connect ends: %d", file->conn, error);
	return error;
}

int sim_op_connect(struct weir_sim *sim, struct sim_op *op)
{
	struct sim_file *file = &sim->files[op->file];

	if (file->kind != SIM_STREAM)
		return -ENOTSOCK;
	if (file->conn != SIM_NONE)
		return file->is_connecting ? connect_done(sim, file) : -EISCONN;
	if (!file->is_connecting) {
		file->is_connecting = true;
		op->due_ns = sim->now_ns + SYN_GIVE_UP_NS;
		sim->events++;
		return SIM_OP_WAITS;
	}
	if (!syn_is_answered(sim, op->port)) {
		file->is_connecting = false;
		return sim->now_ns >= op->due_ns ? -ETIMEDOUT : SIM_OP_WAITS;
	}
	const int listener = sim_listen_choose(sim, op->port, false);
	if (listener == SIM_NONE) {
		file->is_connecting = false;
		return -ECONNREFUSED;
	}
	if (sim->files[listener].queued >= sim->files[listener].backlog)
		return SIM_OP_WAITS; /* until the next SYN */
	const int conn = sim_net_conn_take(sim);
	if (conn == SIM_NONE)
		return SIM_OP_WAITS;
	file->conn = conn;
	file->side = SIM_CLIENT;
	sim->conns[conn].peers_side = SIM_NO_SIDE;
	sim_listen_queue(sim, listener, conn);
	weir_sim_note(sim, "c%d is made by the ring", conn);
	/* It completes now, or a little later. */
	return weir_tape_chance(sim->tape, ONE_IN_EIGHT)
		       ? SIM_OP_WAITS
		       : connect_done(sim, file);
}

/* ---- bound, named, listening
 * --------------------------------------------------------- */

static bool port_is_free(const struct weir_sim *sim, uint16_t port,
			 bool joins_group)
{
	for (int i = 0; i < sim->file_high; i++) {
		const struct sim_file *file = &sim->files[i];
		if (file->kind == SIM_LISTENER && file->is_listening &&
		    file->port == port && !(joins_group && file->is_in_group))
			return false;
	}
	return true;
}

/* The next number: a member that is left is not used again. */
static int port_member(const struct weir_sim *sim, int index, uint16_t port)
{
	int member = 0;
	for (int i = 0; i < sim->file_high; i++)
		if (i != index && sim->files[i].kind == SIM_LISTENER &&
		    sim->files[i].port == port &&
		    sim->files[i].member >= member)
			member = sim->files[i].member + 1;
	return member;
}

/* The port has the same offset in both families. */
int sim_listen_bind(struct weir_sim *sim, int index,
		    const struct sockaddr *address, socklen_t address_bytes)
{
	struct sim_file *file = &sim->files[index];
	struct sockaddr_in in;
	if (file->kind != SIM_STREAM || file->port != 0 ||
	    address_bytes < sizeof(in))
		return -EINVAL;
	memcpy(&in, address, sizeof(in));
	uint16_t port = ntohs(in.sin_port);
	if (port == 0)
		port = sim->next_port++;
	if (!port_is_free(sim, port, file->is_in_group))
		return -EADDRINUSE;
	file->port = port;
	file->family = in.sin_family;
	return 0;
}

int sim_listen_name(const struct weir_sim *sim, int index,
		    struct sockaddr *out_address, socklen_t *address_bytes)
{
	const struct sim_file *file = &sim->files[index];
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
				    .sin6_port = htons(file->port),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(file->port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const bool is_v6 = file->family == AF_INET6;
	const void *name = is_v6 ? (const void *)&in6 : &in;
	const socklen_t bytes = is_v6 ? sizeof(in6) : sizeof(in);
	memcpy(out_address, name,
	       bytes < *address_bytes ? bytes : *address_bytes);
	*address_bytes = bytes;
	return 0;
}

/* The first time, or again after a shutdown. */
int sim_listen_start(struct weir_sim *sim, int index, int backlog)
{
	struct sim_file *file = &sim->files[index];
	if (file->kind != SIM_STREAM && file->kind != SIM_LISTENER)
		return -EOPNOTSUPP;
	if (file->kind == SIM_STREAM && file->port == 0)
		return -EINVAL; /* not bound, or connected */
	if (!file->is_listening &&
	    !port_is_free(sim, file->port, file->is_in_group))
		return -EADDRINUSE;
	if (file->kind == SIM_STREAM)
		file->member = port_member(sim, index, file->port);
	else
		sim->events++;
	file->kind = SIM_LISTENER;
	file->is_listening = true;
	file->backlog = backlog < SIM_BACKLOG ? backlog : SIM_BACKLOG;
	return 0;
}

/* The listener is closed or shut down. */
void sim_listen_end(struct weir_sim *sim, int index)
{
	sim->files[index].is_listening = false;
	sim_listen_move(sim, index);
	sim->events++;
	sim_net_rest(sim);
}

int sim_listen_accept(struct weir_sim *sim, int index)
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
	const int chosen = sim_listen_choose(sim, port, false);
	if (chosen == SIM_NONE)
		return -ECONNREFUSED;
	const struct sim_file *listener = &sim->files[chosen];
	if (listener->queued >= listener->backlog)
		return -EAGAIN;
	const int conn = sim_net_conn_take(sim);
	if (conn == SIM_NONE)
		return -EAGAIN;
	weir_sim_note(sim, "c%d connects", conn);
	sim_listen_queue(sim, chosen, conn);
	return conn;
}
