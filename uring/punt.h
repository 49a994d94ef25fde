/* punt.h - has the kernel moved our operations to its worker threads?
 *
 * The kernel punts an operation that it can neither do at once nor poll for: a
 * worker thread (io-wq) runs it, which costs several microseconds and keeps no
 * order. A server must stay at 0.
 *
 * How to detect it. Workers are threads of this process (since Linux 5.12), one
 * pool per submitting thread. They are in /proc/<pid>/task, named iou-wrk-<tid
 * of the submitter>. An idle worker ends after five seconds, but the last one
 * of its pool stays while its submitter lives and has a ring open (seen on
 * 6.18). Until then, a thread has no worker if and only if none of its
 * operations was ever punted. So a loop counts its workers as its last action.
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
 * @tid: a living thread with an open ring, gettid(2); 0: all threads
 *
 * Return: how many: 0 means that no operation was punted, but the count does
 *         not say how often; a negative errno if /proc cannot be read. Thread:
 *         any. It reads one small file per thread of the process.
 * Source: proc(5); observed on Linux 6.18.
 */
int weir_punt_workers(pid_t tid);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
