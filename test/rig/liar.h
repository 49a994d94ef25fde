/* liar.h - the real kernel, but with a wrong result for an operation
 *
 *     ring ---- enter() ----> the kernel ----> completions
 *                 |                                |
 *           bytes to send                     res, flags        changed here
 *
 * For one ring at a time, whose entries have unique numbers.
 */
#ifndef WEIR_TEST_LIAR_H
#define WEIR_TEST_LIAR_H

#include "ring_view.h"

enum {
	LIAR_OPS_MAX = 64, /* user_data below it is the number of an entry */
};

/* One wrong answer. */
struct lie {
	uint8_t opcode;
	uint8_t from; /* from the n-th completion on, counted from 1 */
	bool has_res;
	bool has_no_flags;
	bool has_other_bytes; /* a send sends wrong bytes, same result */
	int32_t res;
};

struct liar {
	struct kernel_wrap wrap; /* for the code under test */
	struct lie lie;
	uint32_t told; /* how many wrong answers */

	struct ring_view view;
	struct io_uring_sqe entries[LIAR_OPS_MAX]; /* by user_data */
	uint32_t seen; /* of lie.opcode's completions */
};

void liar_init(struct liar *liar, const struct lie *lie);

#endif
