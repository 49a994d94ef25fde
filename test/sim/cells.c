/* cells.c - the table of faults, and the cells that were hit
 *
 * Sources: "[V]" is the facts sheet: seen on 6.18; a number in parentheses is a
 * section of the manual; others name a function of the kernel. Not in the
 * table, though in a manual page: errnos that a socket in a direct slot cannot
 * give: EBADF, EFAULT and EINVAL, which are the caller's errors, and EAGAIN,
 * for which the ring polls.
 */
#include "cells.h"

#include "../../net/conn/conn_state.h"

#include <errno.h>
#include <stddef.h>

#define BIT(state) (1u << (state))
#define CONN(name) BIT(WEIR_CONN_##name)

static const struct sim_cell_errno recv_errnos[] = {
	{ -EINTR, true, "recv(2); io_recv: ERESTARTSYS" },
	{ -EAGAIN, true, "MSG_DONTWAIT of the last look [V]" },
	{ -ENOBUFS, true, "the group is empty [V]" },
	{ -ECANCELED, true, "cancelled [V]" },
	{ -ENOMEM, false, "recv(2)" },
	{ -ECONNRESET, false, "RST [V]" },
	{ -EPIPE, false, "tcp_reset in CLOSE_WAIT" },
	{ -ETIMEDOUT, false, "tcp(7); tcp_write_err" },
	{ -EHOSTUNREACH, false, "tcp_write_err: the soft error" },
	{ -ENETUNREACH, false, "tcp_write_err: the soft error" },
	{ -ECONNABORTED, false, "tcp_diag_destroy: ss -K" },
	{ -EACCES, false, "security_socket_recvmsg" },
	{ 0 },
};

static const struct sim_cell_errno send_errnos[] = {
	{ -EINTR, true, "send(2); io_send: ERESTARTSYS" },
	{ -ECANCELED, true, "cancelled [V]" },
	{ -ENOMEM, false, "send(2)" },
	{ -ENOBUFS, false, "send(2)" },
	{ -EPIPE, false, "send(2); after RST [V]" },
	{ -ECONNRESET, false, "send(2)" },
	{ -ETIMEDOUT, false, "tcp(7); tcp_write_err" },
	{ -EHOSTUNREACH, false, "tcp_write_err: the soft error" },
	{ -ENETUNREACH, false, "tcp_write_err: the soft error" },
	{ -ECONNABORTED, false, "tcp_diag_destroy: ss -K" },
	{ -EACCES, false, "security_socket_sendmsg" },
	{ 0 },
};

static const struct sim_cell_errno check_errnos[] = {
	{ -EINTR, true, "send(2)" },
	{ -ECANCELED, true, "cancelled [V]" },
	{ -ENOMEM, false, "send(2)" },
	{ -EPIPE, false, "send(2); after RST [V]" },
	{ -ECONNRESET, false, "send(2)" },
	{ -ETIMEDOUT, false, "tcp(7); tcp_write_err" },
	{ -EHOSTUNREACH, false, "tcp_write_err: the soft error" },
	{ -ECONNABORTED, false, "tcp_diag_destroy: ss -K" },
	{ -EACCES, false, "security_socket_sendmsg" },
	{ 0 },
};

static const struct sim_cell_errno cancel_errnos[] = {
	{ -ENOENT, true, "nothing found [V]" },
	{ -EALREADY, true, "it runs already [V]" },
	{ 0 },
};

static const struct sim_cell_errno close_errnos[] = {
	{ -EINTR, true, "close(2)" },
	{ -EIO, true, "close(2)" },
	{ -ENOMEM, true, "io_queue_rsrc_removal, before 6.13" },
	{ 0 },
};

static const struct sim_cell_errno socket_errnos[] = {
	{ -EMFILE, false, "socket(2)" },
	{ -ENFILE, false, "socket(2); the table is full [V]" },
	{ -ENOMEM, false, "socket(2)" },
	{ -ENOBUFS, false, "socket(2)" },
	{ -EACCES, false, "socket(2)" },
	{ -EPERM, false, "a cgroup's sock_create program" },
	{ -EAFNOSUPPORT, false, "socket(2): no IPv6" },
	{ -ECANCELED, false, "cancelled while a worker had it" },
	{ 0 },
};

static const struct sim_cell_errno setsockopt_errnos[] = {
	{ -EOPNOTSUPP, true, "before 6.7 [V]" },
	{ -EINVAL, true, "before 6.7, of its number" },
	{ -ENOPROTOOPT, true, "setsockopt(2)" },
	{ -EPERM, true, "a cgroup's setsockopt program" },
	{ -EACCES, true, "security_socket_setsockopt" },
	{ -ENOMEM, true, "tcp_setsockopt" },
	{ 0 },
};

static const struct sim_cell_errno connect_errnos[] = {
	{ -ECONNREFUSED, false, "connect(2)" },
	{ -ETIMEDOUT, false, "connect(2)" },
	{ -EHOSTUNREACH, false, "tcp_v4_err" },
	{ -ENETUNREACH, false, "connect(2)" },
	{ -ECONNRESET, false, "tcp_reset in SYN_RECV" },
	{ -ECONNABORTED, false, "tcp_diag_destroy: ss -K" },
	{ -EADDRNOTAVAIL, false, "connect(2): no port is left" },
	{ -EADDRINUSE, false, "connect(2)" },
	{ -EACCES, false, "connect(2)" },
	{ -EPERM, false, "connect(2): a firewall" },
	{ -EAFNOSUPPORT, false, "connect(2)" },
	{ -EINTR, false, "connect(2)" },
	{ -ENOMEM, false, "inet_stream_connect" },
	{ -ENOBUFS, false, "tcp_connect" },
	{ -ECANCELED, false, "cancelled [V]" },
	{ 0 },
};

static const struct sim_cell_errno install_errnos[] = {
	{ -EMFILE, true, "get_unused_fd_flags" },
	{ -ENOMEM, true, "expand_files" },
	{ -EINVAL, true, "before 6.8" },
	{ -EPERM, true, "io_install_fixed_fd_prep" },
	{ -EACCES, true, "security_file_receive" },
	{ -ECANCELED, true, "cancelled while a worker had it" },
	{ 0 },
};

static const struct sim_cell_errno shutdown_errnos[] = {
	{ -ENOTCONN, false, "shutdown(2)" },
	{ -EACCES, false, "security_socket_shutdown" },
	{ -ECANCELED, true, "cancelled before a worker had it" },
	{ 0 },
};

static const struct sim_cell_errno accept_errnos[] = {
	{ -EMFILE, true, "accept(2)" },
	{ -ENFILE, true, "accept(2); the table is full [V]" },
	{ -ENOMEM, true, "accept(2)" },
	{ -ENOBUFS, true, "accept(2)" },
	{ -ECONNABORTED, true, "accept(2)" },
	{ -EPROTO, true, "accept(2)" },
	{ -EPERM, true, "accept(2): a firewall" },
	{ -EINTR, true, "accept(2)" },
	{ -ENETDOWN, true, "accept(2): pending errors" },
	{ -EHOSTUNREACH, true, "accept(2): pending errors" },
	{ -EOPNOTSUPP, true, "accept(2): pending errors" },
	{ -EINVAL, true, "the listener is shut down [V]" },
	{ -ECANCELED, true, "cancelled [V]" },
	{ 0 },
};

static const struct sim_cell_errno sample_errnos[] = {
	{ -EOPNOTSUPP, true, "before 6.7 [V]" },
	{ -EINVAL, true, "before 6.7, of its number" },
	{ -ENOPROTOOPT, true, "getsockopt(2)" },
	{ -EPERM, true, "a cgroup's getsockopt program" },
	{ -EACCES, true, "security_socket_getsockopt" },
	{ 0 },
};

static const struct sim_cell_errno doorbell_errnos[] = {
	{ -EINTR, true, "eventfd_read: ERESTARTSYS" },
	{ -ENOMEM, true, "io_arm_poll_handler, io_read" },
	{ -ECANCELED, true, "cancelled [V]" },
	{ 0 },
};

enum {
	LISTENER_STATES = 0xf,
	LOOP_RUNNING = 1 << 0,
	LOOP_STOPPING = 1 << 1 | 1 << 2 | 1 << 3,
	LOOP_LAST = 1 << 4,
};

static const struct sim_cell_row rows[SIM_ROW_COUNT] = {
	[SIM_ROW_RECV] = {
		.name = "recv",
		.state_bits = CONN(OPEN) | CONN(DRAINING) | CONN(STOPPING),
		.no_reason = "armed from OPEN on; none is armed in CLOSING",
		.errnos = recv_errnos,
	},
	[SIM_ROW_SEND] = {
		.name = "send",
		.state_bits = CONN(OPEN) | CONN(DRAINING) | CONN(STOPPING),
		.no_reason = "there is a queue from OPEN on; CLOSING has none "
			     "in flight",
		.errnos = send_errnos,
	},
	[SIM_ROW_SENDMSG] = {
		.name = "sendmsg",
		.state_bits = CONN(OPEN) | CONN(DRAINING) | CONN(STOPPING),
		.no_reason = "as of send",
		.errnos = send_errnos,
	},
	[SIM_ROW_CHECK] = {
		.name = "check",
		.state_bits = CONN(OPEN) | CONN(DRAINING) | CONN(STOPPING),
		.no_reason = "asked in OPEN only; what is in flight ends "
			     "before CLOSING",
		.errnos = check_errnos,
	},
	[SIM_ROW_CANCEL] = {
		.name = "cancel",
		.state_bits = CONN(OPEN) | CONN(DRAINING) | CONN(STOPPING),
		.no_reason = "CONNECTING is cancelled in STOPPING; nothing is "
			     "in flight in CLOSING",
		.errnos = cancel_errnos,
	},
	[SIM_ROW_CLOSE] = {
		.name = "close",
		.state_bits = CONN(CLOSING),
		.no_reason = "it is what CLOSING is",
		.errnos = close_errnos,
	},
	[SIM_ROW_SOCKET] = {
		.name = "socket",
		.state_bits = CONN(CONNECTING) | CONN(STOPPING),
		.no_reason = "the first of an outbound connection",
		.errnos = socket_errnos,
	},
	[SIM_ROW_SETSOCKOPT] = {
		.name = "setsockopt",
		.state_bits = CONN(CONNECTING) | CONN(OPEN) | CONN(DRAINING) |
			      CONN(STOPPING),
		.no_reason = "beside connect, which may end before it does",
		.errnos = setsockopt_errnos,
	},
	[SIM_ROW_CONNECT] = {
		.name = "connect",
		.state_bits = CONN(CONNECTING) | CONN(STOPPING),
		.no_reason = "OPEN is what comes of it",
		.errnos = connect_errnos,
	},
	[SIM_ROW_INSTALL] = {
		.name = "install",
		.state_bits = CONN(DRAINING) | CONN(STOPPING),
		.no_reason = "the FIN of DRAINING",
		.errnos = install_errnos,
	},
	[SIM_ROW_SHUTDOWN] = {
		.name = "shutdown",
		.state_bits = CONN(DRAINING) | CONN(STOPPING),
		.no_reason = "the FIN of DRAINING",
		.errnos = shutdown_errnos,
	},
	[SIM_ROW_ACCEPT] = {
		.name = "accept",
		.states = SIM_STATES_LISTENER,
		.state_bits = 1 << 1 | 1 << 2 | 1 << SIM_LISTENER_SHUT,
		.no_reason = "IDLE is: none is in flight",
		.errnos = accept_errnos,
	},
	[SIM_ROW_ACCEPT_CANCEL] = {
		.name = "accept-cancel",
		.states = SIM_STATES_LISTENER,
		.state_bits = LISTENER_STATES,
		.no_reason = "",
		.errnos = cancel_errnos,
	},
	[SIM_ROW_SAMPLE] = {
		.name = "sample",
		.states = SIM_STATES_LOOP,
		.state_bits = LOOP_RUNNING | LOOP_STOPPING,
		.no_reason = "asked of one that was accepted; all are gone "
			     "before the loop is at its last",
		.errnos = sample_errnos,
	},
	[SIM_ROW_DOORBELL] = {
		.name = "doorbell",
		.states = SIM_STATES_LOOP,
		.state_bits = LOOP_RUNNING | LOOP_STOPPING | LOOP_LAST,
		.no_reason = "a loop that has ended has none",
		.errnos = doorbell_errnos,
	},
	[SIM_ROW_DOORBELL_CANCEL] = {
		.name = "doorbell-cancel",
		.states = SIM_STATES_LOOP,
		.state_bits = LOOP_LAST,
		.no_reason = "the last that a loop does",
		.errnos = cancel_errnos,
	},
};

const struct sim_cell_row *sim_cell_row(enum sim_row row)
{
	return &rows[row];
}

const char *sim_state_name(enum sim_states states, uint32_t state)
{
	static const char *const listener[] = { "idle", "armed", "cancelling",
						"shut" };
	static const char *const loop[] = { "running",   "stop-seen",
					    "stop-cut",  "stop-force",
					    "stop-last", "ended" };
	switch (states) {
	case SIM_STATES_LISTENER:
		return state < 4 ? listener[state] : "?";
	case SIM_STATES_LOOP:
		return state < 6 ? loop[state] : "?";
	case SIM_STATES_CONN:
		break;
	}
	return wi_conn_state_name((enum weir_conn_state)state);
}

int sim_cell_errno_index(enum sim_row row, int err)
{
	if (row >= SIM_ROW_COUNT)
		return -1;
	for (int i = 0; rows[row].errnos[i].err != 0; i++)
		if (rows[row].errnos[i].err == err)
			return i;
	return -1;
}

bool sim_cell_is_defined(enum sim_row row, int err_index, uint32_t state)
{
	return err_index >= 0 && state < SIM_STATES_MAX &&
	       (rows[row].state_bits & BIT(state)) != 0;
}

bool sim_cells_hit(struct sim_cells *cells, enum sim_row row, int err,
		   uint32_t state)
{
	const int index = sim_cell_errno_index(row, err);
	if (!sim_cell_is_defined(row, index, state))
		return false;
	cells->hits[row][index][state]++;
	return true;
}

bool sim_cells_have_hole(const struct sim_cells *cells, enum sim_row row,
			 uint32_t state)
{
	for (int i = 0; rows[row].errnos[i].err != 0; i++)
		if (sim_cell_is_defined(row, i, state) &&
		    cells->hits[row][i][state] == 0)
			return true;
	return false;
}

/* Calls @visit for each cell of the table. */
static void cells_each(void (*visit)(enum sim_row row, int index,
				     uint32_t state, void *ctx),
		       void *ctx)
{
	for (int row = 0; row < SIM_ROW_COUNT; row++)
		for (int i = 0; rows[row].errnos[i].err != 0; i++)
			for (uint32_t state = 0; state < SIM_STATES_MAX;
			     state++)
				if (sim_cell_is_defined((enum sim_row)row, i,
							state))
					visit((enum sim_row)row, i, state, ctx);
}

struct cell_sum {
	const struct sim_cells *cells;
	uint32_t defined;
	uint32_t reached;
	uint32_t explained;
	FILE *out;
};

static void cell_count(enum sim_row row, int index, uint32_t state, void *ctx)
{
	struct cell_sum *sum = ctx;
	sum->defined++;
	if (sum->cells == NULL)
		return;
	if (sum->cells->hits[row][index][state] > 0) {
		sum->reached++;
		return;
	}
	const bool is_known = (rows[row].hole_bits & BIT(state)) != 0;
	sum->explained += is_known;
	if (sum->out != NULL)
		(void)fprintf(sum->out, "  hole: %s, errno %d, %s: %s\n",
			      rows[row].name, -rows[row].errnos[index].err,
			      sim_state_name(rows[row].states, state),
			      is_known ? rows[row].hole_reason
				       : "NOT EXPLAINED");
}

uint32_t sim_cells_defined(void)
{
	struct cell_sum sum = { .cells = NULL };
	cells_each(cell_count, &sum);
	return sum.defined;
}

uint32_t sim_cells_reached(const struct sim_cells *cells)
{
	struct cell_sum sum = { .cells = cells };
	cells_each(cell_count, &sum);
	return sum.reached;
}

uint32_t sim_cells_report(const struct sim_cells *cells, FILE *out)
{
	struct cell_sum sum = { .cells = cells, .out = out };
	cells_each(cell_count, &sum);
	(void)fprintf(out, "cells: %u of %u hit; %u of the rest explained\n",
		      sum.reached, sum.defined, sum.explained);
	return sum.defined - sum.reached - sum.explained;
}
