/* loop_priv.h - what a server asks of its loops, beyond loop.h
 *
 * Unless it says otherwise: before the loop runs, or on its thread.
 */
#ifndef WEIR_NET_LOOP_PRIV_H
#define WEIR_NET_LOOP_PRIV_H

#include "../loop.h"

struct weir_steer;
struct wi_listeners;

/* The kernel wrapper that it uses. Any thread. */
const struct weir_kernel *wi_loop_kernel(const struct weir_loop *loop);

/* Stores its server, and its position there. */
void wi_loop_server_set(struct weir_loop *loop, struct weir_server *server,
			uint32_t index);

/* As weir_loop_listen(), for its server. */
int wi_loop_listen(struct weir_loop *loop, const struct weir_service *service,
		   int listener_fd, struct weir_error *error);

/* The first half of weir_loop_enable(), and the second: on_start. */
int wi_loop_take_ring(struct weir_loop *loop);
int wi_loop_start(struct weir_loop *loop);

/* Calls on_stop, once, if the loop has started. No handler is called after
 * that. */
void wi_loop_stopped(struct weir_loop *loop);

/* It publishes its load as this member of @steer from now on. @on_log: a line,
 * when the collapse guard has stepped; may be NULL. */
void wi_loop_join_steering(struct weir_loop *loop, struct weir_steer *steer,
			   uint32_t member,
			   void (*on_log)(const char *line, void *ctx),
			   void *log_ctx);

/* One in @interval accepted sockets is asked for its CPU; 0: none. @cpu: the
 * loop's, or -1. */
void wi_loop_sample(struct weir_loop *loop, uint32_t interval, int cpu);

/* Its listeners. Any thread may give them commands (listener.h). */
struct wi_listeners *wi_loop_listeners(struct weir_loop *loop);

/* Any thread: wakes the loop, so that it sees what was written for it. */
void wi_loop_wake(struct weir_loop *loop);

/* As weir_loop_stop(), but all callers of this together count as @least
 * requests, and no more. Any thread. */
void wi_loop_stop_to(struct weir_loop *loop, uint32_t least);

/* Recent receives: see load_report.h. Any thread. */
uint32_t wi_loop_work(const struct weir_loop *loop);

#endif
