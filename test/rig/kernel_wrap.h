/* kernel_wrap.h - a kernel with a test in front of it
 *
 *     code under test --> before(call) --> the kernel under it --> after(call)
 *                           |     may change the arguments          |
 *                           +--> may answer itself                  |
 *            <---------------------- may change the result ---------+
 *
 * Every change of a kernel by a test goes through this: faults, clocks, counts,
 * wrong answers. Calls come from any thread; each has its own struct
 * kernel_call.
 */
#ifndef WEIR_TEST_KERNEL_WRAP_H
#define WEIR_TEST_KERNEL_WRAP_H

#include "uring/abi.h"
#include "uring/kernel.h"

#include <stdbool.h>
#include <stdint.h>

/* The calls of struct weir_kernel. */
enum kernel_call_id {
	CALL_SETUP,
	CALL_ENTER,
	CALL_REGISTER,
	CALL_MAP,
	CALL_UNMAP,
	CALL_ADVISE,
	CALL_SOCKET,
	CALL_SOCKOPT,
	CALL_BIND,
	CALL_LISTEN,
	CALL_SOCKNAME,
	CALL_DISCONNECT,
	CALL_SHUTDOWN,
	CALL_CLOSE,
	CALL_DOORBELL_OPEN,
	CALL_DOORBELL_RING,
	CALL_NOW_NS,
	CALL_PAUSE,
	CALL_WAIT,
	CALL_WAKE,
	CALL_RANDOM,
	CALL_PUNT_WORKERS,
	CALL_COUNT /* stays last */
};

/* One call: its arguments, by the name of the call, and its result. */
struct kernel_call {
	enum kernel_call_id id;
	int result;
	union {
		struct {
			uint32_t entry_count;
			struct io_uring_params *params;
		} setup;
		struct {
			int ring_fd;
			uint32_t submit_count;
			uint32_t min_complete;
			uint32_t flags;
			const void *arg;
			size_t arg_bytes;
		} enter;
		struct {
			int ring_fd;
			uint32_t opcode;
			void *arg;
			uint32_t arg_count;
		} register_op;
		struct {
			size_t bytes;
			int fd;
			uint64_t offset;
			void **out_memory;
		} map;
		struct {
			void *memory;
			size_t bytes;
			int advice; /* advise() only */
		} memory;           /* unmap(), advise() */
		struct {
			int family;
			int type;
			int protocol;
		} socket;
		struct {
			int fd;
			int level;
			int name;
			const void *value;
			socklen_t value_bytes;
		} sockopt;
		struct {
			int fd;
			const struct sockaddr *address;
			socklen_t address_bytes;
		} bind;
		struct {
			int fd;
			struct sockaddr *out_address;
			socklen_t *address_bytes;
		} sockname;
		struct {
			int fd;
			int backlog; /* listen() only */
			int how;     /* shutdown() only */
		} fd; /* listen(), disconnect(), shutdown(), close(), doorbell
		       */
		uint64_t ns; /* result of the clock, or time to pause */
		struct {
			const uint32_t *word;
			uint32_t value; /* wait() only */
		} word;
		struct {
			void *out_bytes;
			size_t byte_count;
		} random;
	};
};

struct kernel_wrap {
	struct weir_kernel kernel; /* for the code under test */
	const struct weir_kernel *under;

	/* May change the arguments. Return true to skip the kernel: the answer
	 * is then call->result (of the clock: call->ns). May be NULL. */
	bool (*before)(void *ctx, struct kernel_call *call);
	/* May change the kernel's answer. May be NULL. */
	void (*after)(void *ctx, struct kernel_call *call);
	void *ctx;
};

/* @under: NULL for weir_kernel_default(). @wrap must not move. */
void kernel_wrap_init(struct kernel_wrap *wrap, const struct weir_kernel *under,
		      bool (*before)(void *ctx, struct kernel_call *call),
		      void (*after)(void *ctx, struct kernel_call *call),
		      void *ctx);

/* Makes the call without the wrapper: for a before() that answers a call
 * itself, but needs the kernel's result first. */
void kernel_wrap_call(const struct kernel_wrap *wrap, struct kernel_call *call);

#endif
