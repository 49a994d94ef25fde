/* listener.h - multishot accept, with pauses
 *
 *   IDLE <--> ARMED --> CANCELLING --> IDLE
 *
 * The kernel accepts first and looks for a free slot of the table second: into
 * a full table it drops the client. So accepting pauses at conn_count, and the
 * table has room beyond for a whole backlog that may be accepted meanwhile.
 * A multishot accept takes all who wait at once, so near conn_count clients are
 * accepted one by one.
 */
#ifndef WEIR_NET_LISTENER_H
#define WEIR_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

struct weir_loop;
struct io_uring_cqe;

enum wi_listener_state {
	WI_LISTENER_IDLE = 0,
	WI_LISTENER_ARMED,
	WI_LISTENER_CANCELLING,
};

struct wi_listener {
	int fd; /* owned; -1: this loop accepts nothing */
	enum wi_listener_state state;
	bool is_multishot; /* what is armed goes on by itself */
	bool is_paused;    /* counted once per pause */
	uint64_t retry_ns; /* after an error: not before; 0: at once */
};

void wi_listener_init(struct wi_listener *listener, int fd);

/* Arm, cancel or leave alone, as the loop's connections call for; and close
 * it for good once the loop stops. Once per turn. */
void wi_listener_work(struct weir_loop *loop);

void wi_listener_complete(struct weir_loop *loop,
			  const struct io_uring_cqe *cqe);

/* When it wants to be worked on again; UINT64_MAX: after a completion. */
uint64_t wi_listener_retry_ns(const struct weir_loop *loop);

/* Nothing in flight, descriptor closed. */
bool wi_listener_is_gone(const struct weir_loop *loop);

#endif
