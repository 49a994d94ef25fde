/* sim_udp.c - datagrams: each whole, or not at all
 *
 *     sent --> on the wire --> in the queue of a socket --> received
 *                |  lost, twice, in another order (faults)
 *                +--> the port is closed: ECONNREFUSED for a connected sender
 */
#include "sim_priv.h"

#include <errno.h>
#include <netinet/in.h>

static int udp_by_port(const struct weir_sim *sim, uint16_t port)
{
	for (int i = 0; i < SIM_FILES; i++)
		if (sim->files[i].kind == SIM_DATAGRAMS &&
		    sim->files[i].port == port)
			return i;
	return SIM_NONE;
}

int sim_udp_bind(struct weir_sim *sim, int index, uint16_t port)
{
	struct sim_file *file = &sim->files[index];
	if (file->port != 0)
		return -EINVAL; /* already bound */
	if (port != 0 && udp_by_port(sim, port) != SIM_NONE)
		return -EADDRINUSE;
	file->port = port != 0 ? port : sim->next_port++;
	return 0;
}

void sim_udp_connect(struct weir_sim *sim, int index, uint16_t port)
{
	if (sim->files[index].port == 0)
		(void)sim_udp_bind(sim, index, 0); /* a port is always free */
	sim->files[index].peer_port = port;
}

static struct sim_datagram *datagram_take(struct weir_sim *sim)
{
	for (int i = 0; i < SIM_DATAGRAM_COUNT; i++) {
		if (sim->datagrams[i].is_used)
			continue;
		if (i >= sim->datagram_high)
			sim->datagram_high = i + 1;
		return &sim->datagrams[i];
	}
	return NULL;
}

static bool datagram_put(struct weir_sim *sim, const struct sim_file *from,
			 uint16_t to_port, const struct iovec *iov,
			 uint32_t iov_count)
{
	struct sim_datagram *datagram = datagram_take(sim);
	if (datagram == NULL)
		return false; /* full queue: dropped without a report */
	datagram->is_used = true;
	datagram->to = SIM_NONE;
	datagram->from_port = from->port;
	datagram->to_port = to_port;
	datagram->order = sim->order++;
	datagram->byte_count = 0;
	for (uint32_t i = 0; i < iov_count; i++) {
		wi_soft_copy(datagram->bytes + datagram->byte_count,
			     iov[i].iov_base, iov[i].iov_len);
		datagram->byte_count += (uint32_t)iov[i].iov_len;
	}
	return true;
}

int sim_udp_send(struct weir_sim *sim, int index, uint16_t port,
		 const struct iovec *iov, uint32_t iov_count)
{
	struct sim_file *file = &sim->files[index];
	const int error = file->error;
	size_t bytes = 0;

	file->error = 0;
	if (error != 0)
		return error;
	if (port == 0)
		port = file->peer_port;
	if (port == 0)
		return -EDESTADDRREQ;
	for (uint32_t i = 0; i < iov_count; i++)
		bytes += iov[i].iov_len;
	if (bytes > SIM_DATAGRAM_BYTES)
		return -EMSGSIZE;
	if (file->port == 0)
		(void)sim_udp_bind(sim, index, 0); /* a port is always free */
	const bool is_lost = sim_fault(sim, WEIR_FAULT_LOSS);
	const bool is_twice = sim_fault(sim, WEIR_FAULT_DUPLICATE);
	if (is_lost)
		weir_sim_note(sim, "fault: a datagram is lost");
	if (is_twice)
		weir_sim_note(sim, "fault: a datagram comes twice");
	for (int i = 0; !is_lost && i < 1 + is_twice; i++)
		(void)datagram_put(sim, file, port, iov, iov_count);
	sim->events++;
	return (int)bytes;
}

/* The @nth in transit, or NULL. Benign: the oldest first. */
static struct sim_datagram *datagram_moving(struct weir_sim *sim, uint32_t nth)
{
	for (int i = 0; i < sim->datagram_high; i++)
		if (sim->datagrams[i].is_used &&
		    sim->datagrams[i].to == SIM_NONE && nth-- == 0)
			return &sim->datagrams[i];
	return NULL;
}

static struct sim_datagram *datagram_oldest(struct weir_sim *sim, int to)
{
	struct sim_datagram *oldest = NULL;
	for (int i = 0; i < sim->datagram_high; i++) {
		struct sim_datagram *datagram = &sim->datagrams[i];
		if (datagram->is_used && datagram->to == to &&
		    (oldest == NULL || datagram->order < oldest->order))
			oldest = datagram;
	}
	return oldest;
}

bool sim_udp_is_moving(const struct weir_sim *sim)
{
	for (int i = 0; i < sim->datagram_high; i++)
		if (sim->datagrams[i].is_used &&
		    sim->datagrams[i].to == SIM_NONE)
			return true;
	return false;
}

/* A connected socket accepts datagrams of its peer only. */
static bool udp_takes(const struct sim_file *file, uint16_t from_port)
{
	return file->peer_port == 0 || file->peer_port == from_port;
}

static void udp_refuse(struct weir_sim *sim, uint16_t port)
{
	const int from = udp_by_port(sim, port);
	weir_sim_note(sim, "a datagram finds no socket");
	if (from == SIM_NONE || sim->files[from].peer_port == 0)
		return; /* an unconnected sender gets no error: udp(7) */
	sim->files[from].error = -ECONNREFUSED;
	sim->files[from].wakes++;
}

void sim_udp_arrive(struct weir_sim *sim)
{
	struct sim_datagram *datagram = datagram_oldest(sim, SIM_NONE);
	if (sim_fault(sim, WEIR_FAULT_REORDER)) {
		uint32_t count = 0;
		while (datagram_moving(sim, count) != NULL)
			count++;
		datagram =
			datagram_moving(sim, weir_tape_below(sim->tape, count));
	}
	const int to = udp_by_port(sim, datagram->to_port);
	sim->events++;
	sim_hash_add(sim, datagram->byte_count);
	if (to == SIM_NONE ||
	    !udp_takes(&sim->files[to], datagram->from_port)) {
		datagram->is_used = false;
		udp_refuse(sim, datagram->from_port);
		return;
	}
	datagram->to = to;
	datagram->order = sim->order++; /* now of the queue */
	sim->files[to].wakes++;
	weir_sim_note(sim, "a datagram of %u bytes arrives",
		      datagram->byte_count);
}

bool sim_udp_can_read(const struct weir_sim *sim, int index)
{
	for (int i = 0; i < sim->datagram_high; i++)
		if (sim->datagrams[i].is_used && sim->datagrams[i].to == index)
			return true;
	return sim->files[index].error != 0;
}

int sim_udp_recv(struct weir_sim *sim, int index, const struct iovec *iov,
		 uint32_t iov_count, struct sim_udp_info *out_info)
{
	struct sim_file *file = &sim->files[index];
	struct sim_datagram *datagram = datagram_oldest(sim, index);
	uint32_t done = 0;

	if (file->error != 0) {
		const int error = file->error;
		file->error = 0;
		return error;
	}
	if (datagram == NULL)
		return -EAGAIN;
	for (uint32_t i = 0; i < iov_count; i++) {
		uint32_t bytes = datagram->byte_count - done;
		if (bytes > iov[i].iov_len)
			bytes = (uint32_t)iov[i].iov_len;
		wi_soft_copy(iov[i].iov_base, datagram->bytes + done, bytes);
		done += bytes;
	}
	*out_info = (struct sim_udp_info){
		.from_port = datagram->from_port,
		.is_cut = done < datagram->byte_count,
	};
	datagram->is_used = false;
	sim->events++;
	return (int)done;
}

/* The socket is closed: queued datagrams are gone. */
void sim_udp_end(struct weir_sim *sim, int index)
{
	for (int i = 0; i < sim->datagram_high; i++)
		if (sim->datagrams[i].to == index)
			sim->datagrams[i].is_used = false;
}

/* ---- peers ------------------------------------------------------------- */

int weir_sim_udp_open(struct weir_sim *sim, uint16_t port)
{
	const int file = sim_file_take(sim, SIM_DATAGRAMS);
	if (file < 0)
		return file;
	int err = sim_udp_bind(sim, file, port);
	if (err == 0)
		return file;
	sim_file_drop(sim, file);
	return err;
}

uint16_t weir_sim_udp_port(const struct weir_sim *sim, int socket)
{
	return sim->files[socket].port;
}

uint16_t weir_sim_port(const struct weir_sim *sim, int fd)
{
	const int file = sim_fd_file(sim, fd);
	return file == SIM_NONE ? 0 : sim->files[file].port;
}

int weir_sim_udp_send(struct weir_sim *sim, int socket, uint16_t port,
		      const void *bytes, size_t byte_count)
{
	const struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes,
				   .iov_len = byte_count };
	return sim_udp_send(sim, socket, port, &iov, 1);
}

int weir_sim_udp_recv(struct weir_sim *sim, int socket, void *bytes,
		      size_t byte_count, uint16_t *out_port)
{
	const struct iovec iov = { .iov_base = bytes, .iov_len = byte_count };
	struct sim_udp_info info = { .from_port = 0 };
	const int result = sim_udp_recv(sim, socket, &iov, 1, &info);
	if (result >= 0)
		*out_port = info.from_port;
	return result;
}

void weir_sim_udp_close(struct weir_sim *sim, int socket)
{
	sim_file_drop(sim, socket);
}
