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
 * With --churn it is a place for one connection after another. The numbers of
 * messages go on, so an answer that reaches the next connection is noticed.
 *
 * @conn:          NULL: not started, or closed
 * @next_closed:   in the thread's list; with --churn only
 * @first:         number of the first message of this connection
 * @life_count:    connections that this place has had
 * @connect_ns:    when the connect began
 * @sent_ns:       borrowed; shape [depth], index number modulo depth
 * @answer:        number `answered`, once answer_offset > 0
 * @answer_offset: bytes of it that have arrived, prefix included
 * @is_given_up:   weir-load aborted it; what was outstanding is counted
 * @is_timed_out:  it did so because an answer did not come
 */
struct load_conn {
	struct load_thread *thread;
	struct weir_conn *conn;
	struct load_conn *next_closed;
	uint64_t id;
	uint64_t first;
	uint64_t life_count;
	uint64_t connect_ns;
	uint64_t sent;
	uint64_t answered;
	uint64_t *sent_ns;
	struct pattern_message answer;
	size_t answer_offset;
	bool is_open;
	bool is_given_up;
	bool is_timed_out;
};

/** load_conn_handlers() - the handlers; ctx is the load_thread. */
struct weir_handlers load_conn_handlers(void);

/** load_conn_on_tick() - the loop's tick; ctx is the load_thread. */
void load_conn_on_tick(struct weir_loop *loop, void *ctx);

/** load_conn_send() - as many requests as depth, plan and queue allow. */
void load_conn_send(struct load_conn *conn, uint64_t now_ns);

/** load_conn_connect() - begin. Return: as weir_loop_connect(). */
int load_conn_connect(struct load_conn *conn);

/** load_conn_is_done() - nothing is left to send, and no answer is missing. */
bool load_conn_is_done(const struct load_conn *conn);

/** load_conn_close_if_done() - close it if no answer is outstanding. */
void load_conn_close_if_done(struct load_conn *conn);

#endif
