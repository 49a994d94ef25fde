/* doorbell.h - how other threads get a loop out of its sleep
 *
 *     any thread: ring ---> descriptor ---> a read that is always armed ends,
 *                                           and so does the wait of the loop
 *
 * It carries no message: a thread writes its request first, and rings then.
 */
#ifndef WEIR_NET_CORE_DOORBELL_H
#define WEIR_NET_CORE_DOORBELL_H

#include <stdbool.h>
#include <stdint.h>

struct wi_core;
struct weir_error;

struct wi_doorbell {
	int fd; /* owned; -1: none */
	bool is_armed;
	uint64_t retry_ns; /* of the cancel: not before */
	uint64_t value;    /* the kernel's while it is armed */
};

/* Return: 0, or a negative errno with its text in @error. */
int wi_doorbell_open(struct wi_doorbell *doorbell, const struct wi_core *core,
		     struct weir_error *error);
void wi_doorbell_close(struct wi_doorbell *doorbell,
		       const struct wi_core *core);

/* Any thread, and signal handlers: keeps errno. */
void wi_doorbell_ring(const struct wi_doorbell *doorbell,
		      const struct wi_core *core);

/* Once per turn: keeps the read armed, or cancels it if the loop @ends. */
void wi_doorbell_work(struct wi_doorbell *doorbell, struct wi_core *core,
		      bool ends);

void wi_doorbell_complete(struct wi_doorbell *doorbell, struct wi_core *core);

#endif
