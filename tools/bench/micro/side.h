/* side.h - the two sides of the micro-benchmark, and their common calls
 *
 *     micro.c --> micro_weir_run()      side_weir.c      --> uring/
 *            `--> micro_liburing_run()  side_liburing.c  --> liburing
 *                        both include rows.h: the same loops
 *
 * Each side is a file of its own because uring/abi.h stands in for
 * <linux/io_uring.h>, which liburing brings along.
 */
#ifndef WEIR_TOOLS_MICRO_SIDE_H
#define WEIR_TOOLS_MICRO_SIDE_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, operations per call of the row's loop body, text). Those above
 * TAKE_SEND enter the kernel; it and those below have no kernel: the program
 * moves the kernel's indices itself. */
#define MICRO_ROWS(X)                                                          \
	X(NOP, 1, "nop alone: submit, reap")                                   \
	X(NOP_BATCH, 32, "nop, 32 at a time: submit, reap")                    \
	X(WAIT_PLAIN, 1, "submit and wait, plain descriptor")                  \
	X(WAIT_REGISTERED, 1, "submit and wait, registered descriptor")        \
	X(RECV, 1, "recv 64 bytes, socket ready")                              \
	X(TAKE_SEND, 32, "take entry, fill send; publish 32")                  \
	X(TAKE_SEND_ONE, 1, "take entry, fill send, publish")                  \
	X(REAP, 32, "reap 32 completions")                                     \
	X(REAP_ONE, 1, "reap one completion")                                  \
	X(ROUND, 1, "take, fill send, publish, reap one")

enum micro_row {
#define MICRO_ROW_NAME(name, batch, text) MICRO_##name,
	MICRO_ROWS(MICRO_ROW_NAME)
#undef MICRO_ROW_NAME
		MICRO_ROW_COUNT
};

enum {
	MICRO_ENTRY_COUNT = 64,
	MICRO_CQ_ENTRY_COUNT = 512,
	MICRO_BATCH = 32,
	MICRO_RECV_BYTES = 64,
};

/**
 * struct micro_setup - the same for both sides
 * @setup_flags:       IORING_SETUP_*; on weir's side filled by open
 * @has_registered_fd: enter by index rather than by descriptor
 */
struct micro_setup {
	uint32_t setup_flags;
	bool has_registered_fd;
};

struct micro_weir;
struct micro_liburing;

/* Opens and enables. Return: 0 or a negative errno. */
int micro_weir_open(struct micro_weir **out_side, struct micro_setup *setup);
int micro_liburing_open(struct micro_liburing **out_side,
			struct micro_setup *setup);

void micro_weir_close(struct micro_weir *side);
void micro_liburing_close(struct micro_liburing *side);

/**
 * micro_..._run() - the loop of @row, @count times
 * @fd: for RECV: a socket with @count * MICRO_RECV_BYTES waiting
 *
 * Rows with and without a kernel must not share a side: without a kernel, the
 * program leaves the ring's indices where no kernel has put them.
 *
 * Return: how many completions (TAKE_SEND: entries) were seen to be right.
 */
uint64_t micro_weir_run(struct micro_weir *side, enum micro_row row,
			uint32_t count, int fd);
uint64_t micro_liburing_run(struct micro_liburing *side, enum micro_row row,
			    uint32_t count, int fd);

#endif
