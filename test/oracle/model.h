/* model.h - small programs of SQEs, run on the real or the simulated kernel
 *
 *     tape --> program --> play(real)  --> outcome --+
 *                    \---> play(model) --> outcome --+-- the same?
 *
 * A program has up to six operations on the two ends of one connection. Its
 * outcome is every completion of each operation, the bytes received, and the
 * bytes left in the sockets. The order between completions of different
 * operations is not part of it.
 */
#ifndef WEIR_TEST_MODEL_H
#define WEIR_TEST_MODEL_H

#include "../sim/sim.h"

#include "uring/abi.h"

enum {
	MODEL_OPS = 6,
	MODEL_CQES = 56, /* per operation */
	MODEL_BYTES = 40,
	MODEL_BUF_BYTES = 16,
	MODEL_BUFS = 4,
	MODEL_RECV_GROUP = 1,
	MODEL_SEND_GROUP = 2,
	MODEL_NO_GROUP = 3,
};

/* What happens after an operation. */
enum model_pause { MODEL_BATCH = 0, MODEL_SUBMIT, MODEL_SETTLE };

struct model_op {
	uint8_t opcode;
	uint8_t side; /* index of the descriptor */
	uint8_t sqe_flags;
	uint16_t ioprio;
	uint16_t group;
	uint32_t len;
	uint32_t msg_flags; /* cancel flags, timeout flags, poll events */
	uint32_t target;    /* of a cancel: an operation */
	bool is_long;       /* TIMEOUT */
	enum model_pause pause;
};

struct model_program {
	uint32_t op_count;
	bool is_incremental;
	bool gives_back; /* returns buffers at once */
	bool is_raw;     /* without spans, which bufring.h forbids */
	uint32_t buf_count;
	uint32_t send_buf_count;
	struct model_op ops[MODEL_OPS];
};

struct model_cqe {
	int32_t res;
	uint32_t flags;
	uint32_t digest; /* of the received bytes */
};

struct model_outcome {
	uint32_t counts[MODEL_OPS];
	struct model_cqe cqes[MODEL_OPS][MODEL_CQES];
	/* The bytes left to read at the end, and how reading ended. */
	struct {
		uint32_t byte_count;
		uint32_t digest;
		int32_t end;
	} rest[2];
};

void model_program_draw(struct model_program *program, struct weir_tape *tape);

/**
 * model_play() - run a program
 * @kernel: real or simulated
 * @fds:    the two ends; both are closed
 * @want:   the outcome to compare with, or NULL
 *
 * Return: true if the outcome is @want. The run ends at the first difference:
 * it reads no further choice, and @out_outcome is then incomplete.
 */
bool model_play(const struct weir_kernel *kernel, int fds[2],
		const struct model_program *program,
		const struct model_outcome *want,
		struct model_outcome *out_outcome);

/* The real kernel, with loopback flushed after each enter (loopback.h). */
const struct weir_kernel *model_real_open(void);
/* Two connected sockets of the real kernel. */
void model_real_pair(int out_fds[2]);
void model_real_end(void);

void model_print(FILE *out, const struct model_program *program);
void model_outcome_print(FILE *out, const struct model_program *program,
			 const struct model_outcome *outcome);

#endif
