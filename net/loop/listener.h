/* listener.h - multishot accept, with pauses
 *
 *   IDLE <--> ARMED --> CANCELLING --> IDLE
 *
 * The kernel accepts first and looks for a free slot of the file table second:
 * if the table is full, it drops the client. So accepting pauses at conn_count,
 * and the table has room for one more backlog, which the kernel may accept
 * meanwhile. A multishot accept takes all waiting clients at once, so near
 * conn_count they are accepted one by one.
 *
 * A listener ends by shutdown(2). That takes it out of its SO_REUSEPORT group
 * at once, and moves the clients in its queue to other members where the
 * group's program allows it; later it can listen again. The descriptor stays
 * until the loop is freed, so that another thread may shut it down at any
 * time.
 */
#ifndef WEIR_NET_LISTENER_H
#define WEIR_NET_LISTENER_H

#include "../core/event_count.h"
#include "../steer.h"

#include <stdbool.h>
#include <stdint.h>

struct wi_conns;
struct wi_core;
struct wi_sample;
struct wi_service;
struct io_uring_cqe;

/* The operations of a listener, in its tokens. */
enum { WI_LISTENER_OP_ACCEPT, WI_LISTENER_OP_CANCEL };

enum wi_listener_state {
	WI_LISTENER_IDLE = 0,
	WI_LISTENER_ARMED,
	WI_LISTENER_CANCELLING,
};

/* What another thread has commanded. */
enum wi_listener_command {
	WI_LISTENER_ACCEPT = 0, /* it listens (again) */
	WI_LISTENER_HOLD,       /* stop accepting; the caller shuts it down */
	WI_LISTENER_EMPTY,      /* accept what waits, then shut it down */
};

/* Clients that were in the backlog when accepting was to end, and are accepted
 * now. */
struct wi_latecomers {
	uint32_t turns_left; /* until accepting ends */
	uint64_t accepts;    /* as of the last turn */
	uint64_t accepts_max;
};

struct wi_listener {
	int fd;                           /* owned; closed with the loop */
	const struct wi_service *service; /* of its connections; borrowed */
	enum wi_listener_state state;
	bool is_multishot; /* the armed accept is a multishot */
	bool is_paused;    /* counted once per pause */
	bool is_shut;      /* by this loop */
	uint64_t retry_ns; /* after an error: try again then; 0: at once */
	uint64_t accepts;
	struct wi_latecomers latecomers; /* while it runs empty */

	/* A count of the commands so far, and in the low bits the command. */
	uint32_t command;      /* written by the thread that commands */
	uint32_t acknowledged; /* by the loop: the command after which it
				  accepts none */
	uint32_t seen_command;
	uint32_t armed_command; /* as of when the accept was armed */
};

/* What a loop accepts, while it runs and while it stops. */
enum wi_accepting {
	WI_ACCEPTING = 0,
	WI_ACCEPTING_THE_LAST, /* clients in the backlog are accepted */
	WI_ACCEPTING_NONE,     /* listeners are shut down */
};

struct wi_listeners {
	struct wi_core *core;     /* borrowed, as the next two */
	struct wi_conns *conns;   /* where slots come from */
	struct wi_sample *sample; /* sees each accepted socket */
	uint32_t conn_count;      /* connections at a time */
	uint32_t backlog;         /* of all listeners together */
	enum wi_accepting accepting;
	struct wi_event_count
		acks; /* a listener has acknowledged, or the loop ended */
	uint32_t count;
	struct wi_listener list[WEIR_STEER_GROUPS_MAX];
};

/* One more listener, below WEIR_STEER_GROUPS_MAX; @fd is the loop's now. */
void wi_listeners_add(struct wi_listeners *listeners, int fd,
		      const struct wi_service *service);

/* Once per turn. Arms or cancels accepts, as the number of connections and the
 * commands require; shuts the listeners down once the loop stops. */
void wi_listeners_work(struct wi_listeners *listeners);

/* Shuts all of them down: the loop has ended and serves no more. */
void wi_listeners_shut(struct wi_listeners *listeners);

void wi_listeners_close(struct wi_listeners *listeners);

void wi_listeners_complete(struct wi_listeners *listeners,
			   const struct io_uring_cqe *cqe);

/* When to call work again; UINT64_MAX: only after a completion. */
uint64_t wi_listeners_retry_ns(const struct wi_listeners *listeners);

/* Whether all are shut down, and nothing is in flight. */
bool wi_listeners_are_gone(const struct wi_listeners *listeners);

/* Any thread, one at a time; then wi_loop_wake(). */
void wi_listener_command(struct wi_listener *listener,
			 enum wi_listener_command command);

/* Any thread. Whether the loop has carried out the last command: for a command
 * to end, every connection that the listener accepts before it listens again
 * has been accepted. */
bool wi_listener_has_acknowledged(const struct wi_listener *listener);

/* @accepts: so far, of the listener or of the loop. */
void wi_latecomers_start(struct wi_latecomers *latecomers,
			 const struct wi_listeners *listeners,
			 uint64_t accepts);

/* Once per turn: whether to accept for another turn. It ends after as many
 * clients as a backlog holds, so that later clients cannot put the end off for
 * ever. */
bool wi_latecomers_go_on(struct wi_latecomers *latecomers, uint64_t accepts);

#endif
