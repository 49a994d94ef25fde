/* facts.c - the table; see facts.h */
#include "facts.h"

#include "sim.h"

#include "../../uring/abi.h"

#include <errno.h>

#define FAILS(op, errno_, from)                                                \
	{                                                                      \
		WEIR_FAULT_ERRNO, IORING_OP_##op, -(errno_), NULL, from        \
	}
#define HAPPENS(class, what, from)                                             \
	{                                                                      \
		WEIR_FAULT_##class, 0, 0, what, from                           \
	}
#define CHOICE(what, from)                                                     \
	{                                                                      \
		0, 0, 0, what, from                                            \
	}

const struct sim_fact sim_facts[] = {
	/* Errnos of each operation. A tape counts them in this order. */
	FAILS(RECV, EINTR, "io_recv(): -ERESTARTSYS of a worker"),
	FAILS(RECV, ENOMEM, "io_recvmsg_prep_setup(), recv(2)"),
	FAILS(RECV, ETIMEDOUT, "tcp(7): keepalive, TCP_USER_TIMEOUT"),
	FAILS(RECV, EHOSTUNREACH, "ip(7): ICMP, told once"),
	FAILS(SEND, EINTR, "io_send(): -ERESTARTSYS of a worker"),
	FAILS(SEND, ENOMEM, "send(2)"),
	FAILS(SEND, ENOBUFS, "send(2)"),
	FAILS(SEND, ETIMEDOUT, "tcp(7): retransmissions"),
	FAILS(SEND, EPIPE, "sim-model"),
	FAILS(SENDMSG, EINTR, "io_sendmsg(): -ERESTARTSYS of a worker"),
	FAILS(SENDMSG, ENOMEM, "send(2); facts 4.6: the copy of the iovec"),
	FAILS(SENDMSG, ENOBUFS, "send(2)"),
	FAILS(SENDMSG, EPIPE, "sim-model"),
	FAILS(ACCEPT, EMFILE, "facts 2.3 [V]"),
	FAILS(ACCEPT, ENFILE, "facts 2.3 [V]"),
	FAILS(ACCEPT, ENOMEM, "accept(2)"),
	FAILS(ACCEPT, ENOBUFS, "accept(2)"),
	FAILS(ACCEPT, ECONNABORTED, "accept(2), facts 2.3"),
	FAILS(ACCEPT, EPROTO, "accept(2)"),
	FAILS(ACCEPT, EINTR, "io_accept(): -ERESTARTSYS of a worker"),
	FAILS(FIXED_FD_INSTALL, EMFILE, "receive_fd(), RLIMIT_NOFILE"),
	FAILS(FIXED_FD_INSTALL, ENFILE, "receive_fd()"),
	FAILS(FIXED_FD_INSTALL, ENOMEM, "expand_files()"),
	FAILS(SHUTDOWN, ENOTCONN, "sim-model"),
	FAILS(ASYNC_CANCEL, EALREADY, "facts 2.8"),
	FAILS(ASYNC_CANCEL, ENOENT, "sim-model, facts 2.8 [V]"),
	FAILS(CLOSE, EIO, "close(2)"),
	FAILS(CLOSE, EINTR, "close(2)"),
	FAILS(CONNECT, EADDRNOTAVAIL, "connect(2): no port is left"),
	FAILS(CONNECT, ENETUNREACH, "connect(2)"),
	FAILS(CONNECT, EHOSTUNREACH, "ip(7): ICMP"),
	FAILS(CONNECT, EACCES, "connect(2): a firewall"),
	FAILS(CONNECT, EPERM, "connect(2): a firewall"),
	FAILS(CONNECT, ENOMEM, "io_connect(), ip(7)"),
	FAILS(SOCKET, EMFILE, "socket(2)"),
	FAILS(SOCKET, ENFILE, "socket(2), facts 2.6"),
	FAILS(SOCKET, ENOMEM, "socket(2)"),
	FAILS(SOCKET, ENOBUFS, "socket(2)"),
	FAILS(SEND_ZC, ENOMEM, "facts 2.5 [V]: RLIMIT_MEMLOCK"),
	FAILS(SEND_ZC, EPIPE, "sim-model"),
	FAILS(RECVMSG, EINTR, "io_recvmsg(): -ERESTARTSYS of a worker"),
	FAILS(RECVMSG, ENOMEM, "recv(2)"),

	/* Faults of each class. */
	HAPPENS(SHORT_SEND, "fewer bytes than the socket has room for",
		"facts 2.5 [V], sim-op"),
	HAPPENS(SHORT_SEND, "MSG_WAITALL is short as well",
		"io_send(): an error after some bytes tells these; sim-op"),
	HAPPENS(ENTER, "EINTR, EAGAIN, EBUSY, ENOMEM; nothing is submitted",
		"facts 1.1, io_uring_enter(2)"),
	HAPPENS(ENTER, "fewer entries are consumed than there are",
		"facts 1.1, io_submit_sqes(): no memory for a request"),
	HAPPENS(TERMINATE, "a multishot ends with a success",
		"facts 2.4 [V]: no room for a completion; sim-model: a limit"),
	HAPPENS(ENOBUFS, "no buffer, though there are some by now",
		"facts 2.4 [V]: another receive had the last one; sim-model"),
	HAPPENS(CLOCK, "time leaps, up to half a minute",
		"a process that is stopped, a machine that is; SIGSTOP"),
	HAPPENS(STILL, "the clock stands still, up to 63 times that it is read",
		"a clock source that stalls: a guest that is moved; coarse ones"),
	HAPPENS(STALE,
		"a completion for what is gone, with a buffer or without",
		"facts 2.8; harsher than any kernel known: after the last one"),
	HAPPENS(TWICE,
		"the last completion of an operation comes again, at once",
		"harsher than any kernel known: io_uring posts one each"),
	HAPPENS(NEVER, "an operation on a connection never completes",
		"harsher than any kernel known: a driver or a worker that "
		"hangs (D state)"),
	HAPPENS(CANCEL_MISS, "a cancel finds nothing, and the target goes on",
		"facts 2.8; sim-model: it was queued when it was armed"),
	HAPPENS(LOSS, "a datagram is lost", "udp(7)"),
	HAPPENS(DUPLICATE, "a datagram comes twice", "RFC 768, RFC 791"),
	HAPPENS(REORDER, "a datagram overtakes others", "RFC 768, RFC 791"),

	/* Choices of every tape, with all classes off. */
	CHOICE("an operation is tried a little later (1 of 8)",
	       "facts 1.9: IOSQE_ASYNC; io_req_task_queue()"),
	CHOICE("a shutdown is a worker's, which looks for the file then",
	       "facts 2.5 [V], sim-model"),
	CHOICE("a worker acts at any moment, whatever else goes on",
	       "io_wq_enqueue(): a thread; sim-model, on a busy machine"),
	CHOICE("its completion is told later than it has acted",
	       "io_req_complete_post(): task work, with DEFER_TASKRUN"),
	CHOICE("operations that are ready go on in any order",
	       "facts 4.8, sim-model"),
	CHOICE("segments are cut and arrive at any time", "RFC 9293, 3.7"),
	CHOICE("bytes come before a shutdown both ways, or are answered by RST",
	       "tcp_rcv_state_process(), sim-model 517477"),
	CHOICE("what is sent has arrived before the send returns",
	       "loopback: sim-model"),
	CHOICE("a multishot hands out what there is in one go, or not",
	       "facts 2.4 [V]: 33 completions in a turn"),
	CHOICE("one with a cap is queued again for this enter or the next",
	       "IOU_REQUEUE; sim-model"),
	CHOICE("a wake-up for bytes that another took is tried all the same",
	       "io_poll_check_events(); sim-model"),
	CHOICE("a bundle of unknown size looks at one buffer, or at more",
	       "io_ring_buffers_peek(); sim-model"),
	CHOICE("a notice comes at any time after the result", "facts 2.5"),
	CHOICE("a zero-copy send was copied, or not", "facts 2.5 [V]"),
	CHOICE("a cancel of one finds any of those that match",
	       "a hash: io_poll_file_find(); sim-model"),
	CHOICE("a timer has fired before it is cancelled", "sim-model"),
	CHOICE("a timer of no time has not fired for long",
	       "hrtimer: an interrupt; sim-model, on a busy machine"),
	CHOICE("a worker has it in hand when it is cancelled", "sim-model"),
	CHOICE("a worker still holds what it has done", "sim-model"),
	CHOICE("any listener of a group gets a client", "facts 6.2"),
};
const size_t sim_fact_count = sizeof(sim_facts) / sizeof(sim_facts[0]);

int sim_fact_errno(uint8_t opcode, uint32_t nth)
{
	for (size_t i = 0; i < sim_fact_count; i++)
		if (sim_facts[i].error != 0 && sim_facts[i].opcode == opcode &&
		    nth-- == 0)
			return sim_facts[i].error;
	return 0;
}
