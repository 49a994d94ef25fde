/* load_conn.h - one connection of weir-load: send, check, close */
#ifndef WEIR_TOOLS_LOAD_CONN_H
#define WEIR_TOOLS_LOAD_CONN_H

#include "load.h"

/**
 * struct load_conn - messages are numbered from 0
 *
 *     0 ........ answered ........ sent
 *      checked   |<- outstanding ->|      at most depth
 *
 * @conn:          NULL: not started, or closed
 * @sent_ns:       borrowed; shape [depth], index number modulo depth; entry
 *                 0 is when the connect began, until it has ended
 * @answer:        number `answered`, once answer_offset > 0
 * @answer_offset: bytes of it that have come, prefix included
 * @is_given_up:   aborted by us; what is outstanding has been judged
 */
struct load_conn {
	struct load_thread *thread;
	struct weir_conn *conn;
	uint64_t id;
	uint64_t sent;
	uint64_t answered;
	uint64_t *sent_ns;
	struct pattern_message answer;
	size_t answer_offset;
	bool is_open;
	bool is_given_up;
};

/** load_conn_handlers() - for weir_loop_open(); ctx is the load_thread. */
struct weir_handlers load_conn_handlers(void);

/** load_conn_send() - as many requests as depth, plan and queue allow. */
void load_conn_send(struct load_conn *conn, uint64_t now_ns);

/** load_conn_close_if_done() - close it if no answer is outstanding. */
void load_conn_close_if_done(struct load_conn *conn);

#endif
