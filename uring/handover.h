/* handover.h - order that goes through the kernel, told to the thread sanitizer
 *
 *     thread A: write, release(fd) --> doorbell, MSG_RING --> kernel
 *     thread B: kernel --> completion, acquire(fd), read
 *
 * What A wrote before it rang is visible to B: the kernel's locks see to it.
 * -fsanitize=thread cannot look into the kernel and would call it a race. The
 * key is the descriptor that the message goes to; -1 stands for those that
 * have none here (direct descriptors).
 *
 * Helgrind cannot either (order.h). Without both of them this is nothing.
 */
#ifndef WEIR_URING_HANDOVER_H
#define WEIR_URING_HANDOVER_H

#if defined(__SANITIZE_THREAD__)
#define WI_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WI_THREAD_SANITIZER
#endif
#endif

/* Somebody is to be told. */
#if defined(WI_THREAD_SANITIZER) || defined(WI_VALGRIND)
#define WI_HANDOVERS_WATCHED
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifdef WI_HANDOVERS_WATCHED

#pragma GCC visibility push(default)
void wi_handover_release(int fd);
void wi_handover_acquire(int fd);
#pragma GCC visibility pop

#else

static inline void wi_handover_release(int fd)
{
	(void)fd;
}

static inline void wi_handover_acquire(int fd)
{
	(void)fd;
}

#endif

#ifdef __cplusplus
}
#endif

#endif
