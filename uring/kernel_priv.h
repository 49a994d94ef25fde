/* kernel_priv.h - the parts of weir_kernel_eventfd() that are its own */
#ifndef WEIR_URING_KERNEL_PRIV_H
#define WEIR_URING_KERNEL_PRIV_H

#include "enter_priv.h"
#include "kernel.h"

/* See weir_kernel_default(). */
#define WI_WAIT_VARIABLE "WEIR_WAIT"

int wi_eventfd_setup(void *ctx, uint32_t entry_count,
		     struct io_uring_params *params);
int wi_eventfd_enter(void *ctx, int ring_fd, uint32_t submit_count,
		     uint32_t min_complete, uint32_t flags, const void *arg,
		     size_t arg_bytes);
int wi_eventfd_register(void *ctx, int ring_fd, uint32_t opcode, void *arg,
			uint32_t arg_count);
int wi_eventfd_close(void *ctx, int fd);

#endif
