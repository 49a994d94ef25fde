/* liar.h - the real kernel, with a lie about what became of an operation
 *
 *     ring ---- enter() ----> the kernel ----> completions
 *                 |                                |
 *           bytes to send                     res, flags        changed here
 *
 * For one ring at a time, whose entries each have a number of their own.
 */
#ifndef WEIR_TEST_LIAR_H
#define WEIR_TEST_LIAR_H

#include "ring_view.h"

enum {
	LIAR_OPS_MAX = 64, /* user_data below it names an entry */
};

/* One lie. */
struct lie {
	uint8_t opcode;
	uint8_t from; /* from its n-th completion on, counted from 1 */
	bool has_res;
	bool has_no_flags;
	bool has_other_bytes; /* of a send; the rest is as it should be */
	int32_t res;
};

struct liar {
	struct kernel_wrap wrap; /* for the code that is lied to */
	struct lie lie;
	uint32_t told; /* how often */

	struct ring_view view;
	struct io_uring_sqe entries[LIAR_OPS_MAX]; /* by user_data */
	uint32_t seen; /* of lie.opcode's completions */
};

void liar_init(struct liar *liar, const struct lie *lie);

#endif
