/* loopback.h - wait until data sent over loopback has arrived
 *
 *     send(2) --> queue of this CPU --> receiver
 *     a datagram to oneself is behind it in the same queue: once it is back,
 *     the kernel has handled everything before it
 *
 * The kernel usually empties that queue before the sender continues; sometimes
 * a kernel thread does it later. A test that compares every step waits here.
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

/* Waits until all data that this thread sent has arrived, and TCP's answers
 * too. */
void loopback_flush(const struct loopback *loopback);

#endif
