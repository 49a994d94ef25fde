/* start_faults.h - a kernel of which one call fails, once or from then on
 *
 *     loop --> start_faults --> the kernel under it
 *                 the n-th call of all that may fail: an errno
 */
#ifndef WEIR_TEST_START_FAULTS_H
#define WEIR_TEST_START_FAULTS_H

#include "uring/kernel.h"

struct start_faults {
	struct weir_kernel kernel; /* give this to who is to fail */
	const struct weir_kernel *under;
	uint32_t calls;
	uint32_t fail_at; /* 0: none */
	bool for_ever;
	int err;
	int mappings; /* that are left */
};

void start_faults_init(struct start_faults *faults,
		       const struct weir_kernel *under, uint32_t fail_at,
		       bool for_ever, int err);

/* Whether any was given. */
bool start_faults_had_one(const struct start_faults *faults);

#endif
