/* enter_priv.h - io_uring_enter(2) itself: the one call of the hot path
 *
 * Inline and without syscall(3), which goes through errno and adds one return.
 * On processors that clear their return predictor in the kernel (a mitigation)
 * every return after the call is mispredicted, about 5 ns each. To measure the
 * gain: tools/bench/run micro.
 */
#ifndef WEIR_URING_ENTER_PRIV_H
#define WEIR_URING_ENTER_PRIV_H

#include "abi.h"

#include <errno.h>
#include <unistd.h>

/* The `enter` member of weir_kernel_linux(). */
int wi_linux_enter(void *ctx, int ring_fd, uint32_t submit_count,
		   uint32_t min_complete, uint32_t flags, const void *arg,
		   size_t arg_bytes);

#if defined(__x86_64__) && !defined(__ILP32__)

static inline int wi_enter(int ring_fd, uint32_t submit_count,
			   uint32_t min_complete, uint32_t flags,
			   const void *arg, size_t arg_bytes)
{
	long result = WEIR_NR_IO_URING_ENTER;
	register long flags_in __asm__("r10") = flags;
	register const void *arg_in __asm__("r8") = arg;
	register size_t arg_bytes_in __asm__("r9") = arg_bytes;
	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"((long)ring_fd), "S"((long)submit_count),
			   "d"((long)min_complete), "r"(flags_in), "r"(arg_in),
			   "r"(arg_bytes_in)
			 : "rcx", "r11", "memory");
	return (int)result;
}

#elif defined(__aarch64__)

static inline int wi_enter(int ring_fd, uint32_t submit_count,
			   uint32_t min_complete, uint32_t flags,
			   const void *arg, size_t arg_bytes)
{
	register long number __asm__("x8") = WEIR_NR_IO_URING_ENTER;
	register long result __asm__("x0") = ring_fd;
	register long submit_count_in __asm__("x1") = submit_count;
	register long min_complete_in __asm__("x2") = min_complete;
	register long flags_in __asm__("x3") = flags;
	register const void *arg_in __asm__("x4") = arg;
	register size_t arg_bytes_in __asm__("x5") = arg_bytes;
	__asm__ volatile("svc #0"
			 : "+r"(result)
			 : "r"(number), "r"(submit_count_in),
			   "r"(min_complete_in), "r"(flags_in), "r"(arg_in),
			   "r"(arg_bytes_in)
			 : "memory");
	return (int)result;
}

#else

static inline int wi_enter(int ring_fd, uint32_t submit_count,
			   uint32_t min_complete, uint32_t flags,
			   const void *arg, size_t arg_bytes)
{
	long result = syscall(WEIR_NR_IO_URING_ENTER, ring_fd, submit_count,
			      min_complete, flags, arg, arg_bytes);
	return result < 0 ? -errno : (int)result;
}

#endif

#endif
