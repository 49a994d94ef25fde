/* punt.h - has the kernel moved our work to threads of its own?
 *
 * An operation that can neither be done at once nor be polled for is punted:
 * the kernel carries it out on a worker thread (io-wq), which costs several
 * microseconds and keeps no order. A server must stay at 0.
 *
 * How it is known. Workers are threads of this process (since Linux 5.12), one
 * pool per thread that submits. They are in /proc/<pid>/task, named
 * iou-wrk-<tid of the submitter>. A worker that has nothing to do ends after
 * five seconds, but the last of its pool stays for as long as its submitter
 * lives and has a ring open (seen on 6.18). So, until then, a thread has no
 * worker if and only if nothing of its was ever punted; afterwards nothing can
 * be known any more. That is why a loop counts its own as the last thing that
 * it does.
 */
#ifndef WEIR_URING_PUNT_H
#define WEIR_URING_PUNT_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * weir_punt_workers() - io-wq workers that thread @tid of this process has
 * @tid: of a living thread with an open ring, gettid(2); 0: all threads
 *
 * Return: how many; 0 means that nothing was punted, more does not tell how
 *         often; a negative errno if /proc cannot be read. Thread: any. It
 *         reads one small file per thread of the process.
 * Source: proc(5); observed on Linux 6.18.
 */
int weir_punt_workers(pid_t tid);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
