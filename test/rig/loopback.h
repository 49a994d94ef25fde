/* loopback.h - what was sent over loopback has arrived
 *
 *     send(2) --> queue of this CPU --> receiver
 *     a datagram to oneself, behind it in the same queue: once it is back, all
 *     that was in front of it has been handled
 *
 * The kernel mostly empties that queue before a sender goes on; now and then it
 * leaves that to a thread of its own. A test that compares what happens at each
 * step waits for it here.
 */
#ifndef WEIR_TEST_LOOPBACK_H
#define WEIR_TEST_LOOPBACK_H

#include <sched.h>

struct loopback {
	int fd;
	cpu_set_t cpus; /* of the thread, before */
};

/* Until loopback_close() the calling thread stays on one CPU. */
void loopback_open(struct loopback *loopback);
void loopback_close(struct loopback *loopback);

/* Waits until what this thread has sent has arrived, and the answers of TCP to
 * it as well. */
void loopback_flush(const struct loopback *loopback);

#endif
