/* sim_words.c - operations in words, for the story
 *
 *     recv on c0 (0500000000000000) ends: -125, Operation canceled
 */
#include "sim_op_priv.h"

/* Simulated operations; the others are printed as a number. */
static const char *const words[] = {
	[IORING_OP_NOP] = "nop",
	[IORING_OP_POLL_ADD] = "poll",
	[IORING_OP_POLL_REMOVE] = "poll-remove",
	[IORING_OP_SENDMSG] = "sendmsg",
	[IORING_OP_RECVMSG] = "recvmsg",
	[IORING_OP_TIMEOUT] = "timeout",
	[IORING_OP_TIMEOUT_REMOVE] = "timeout-remove",
	[IORING_OP_ACCEPT] = "accept",
	[IORING_OP_ASYNC_CANCEL] = "cancel",
	[IORING_OP_LINK_TIMEOUT] = "link-timeout",
	[IORING_OP_CONNECT] = "connect",
	[IORING_OP_CLOSE] = "close",
	[IORING_OP_READ] = "read",
	[IORING_OP_WRITE] = "write",
	[IORING_OP_SEND] = "send",
	[IORING_OP_RECV] = "recv",
	[IORING_OP_SHUTDOWN] = "shutdown",
	[IORING_OP_MSG_RING] = "msg-ring",
	[IORING_OP_SOCKET] = "socket",
	[IORING_OP_URING_CMD] = "socket-option",
	[IORING_OP_SEND_ZC] = "send-zc",
	[IORING_OP_SENDMSG_ZC] = "sendmsg-zc",
	[IORING_OP_FIXED_FD_INSTALL] = "install",
	[IORING_OP_BIND] = "bind",
	[IORING_OP_LISTEN] = "listen",
};

enum { NAME_BYTES = 48, WORD_COUNT = sizeof(words) / sizeof(words[0]) };

/* "recv on c0" */
static const char *words_name(const struct weir_sim *sim,
			      const struct sim_op *op, char *out_name)
{
	const uint8_t opcode = op->sqe.opcode;
	int at = opcode < WORD_COUNT && words[opcode] != NULL
			 ? snprintf(out_name, NAME_BYTES, "%s", words[opcode])
			 : snprintf(out_name, NAME_BYTES, "op %u", opcode);
	const int conn = op->file != SIM_NONE ? sim_op_conn(sim, op) : SIM_NONE;
	if (conn >= 0)
		(void)snprintf(out_name + at, NAME_BYTES - (size_t)at,
			       " on c%d", conn);
	return out_name;
}

void sim_note_op(struct weir_sim *sim, const struct sim_op *op,
		 const char *what)
{
	char name[NAME_BYTES];
	if (sim->opts.story == NULL)
		return;
	weir_sim_note(sim, "%s (%016llx) %s", words_name(sim, op, name),
		      (unsigned long long)op->sqe.user_data, what);
}

void sim_note_result(struct weir_sim *sim, const struct sim_op *op,
		     const char *what, int res)
{
	char name[NAME_BYTES];
	if (sim->opts.story == NULL)
		return;
	weir_sim_note(sim, "%s (%016llx) %s: %d%s%s", words_name(sim, op, name),
		      (unsigned long long)op->sqe.user_data, what, res,
		      res < 0 ? ", " : "", res < 0 ? strerror(-res) : "");
}
