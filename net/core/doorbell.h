/* doorbell.h - how another thread wakes a loop
 *
 *     any thread: ring ---> descriptor ---> a read that is always armed ends,
 *                                           and so does the wait of the loop
 *
 * It carries no message: the thread writes its request first, then rings.
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
	uint64_t retry_ns; /* the earliest time of the next cancel */
	uint64_t value;    /* lent to the kernel while the read is armed */
};

/* Return: 0, or a negative errno with its text in @error. */
int wi_doorbell_open(struct wi_doorbell *doorbell, const struct wi_core *core,
		     struct weir_error *error);
void wi_doorbell_close(struct wi_doorbell *doorbell,
		       const struct wi_core *core);

/* Any thread, and signal handlers: errno is preserved. */
void wi_doorbell_ring(const struct wi_doorbell *doorbell,
		      const struct wi_core *core);

/* Once per turn: keeps the read armed, or cancels it when the loop @ends. */
void wi_doorbell_work(struct wi_doorbell *doorbell, struct wi_core *core,
		      bool ends);

void wi_doorbell_complete(struct wi_doorbell *doorbell, struct wi_core *core);

#endif
