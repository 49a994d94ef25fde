/* faults.h - the default kernel, with failures that a test selects
 *
 *     ring --> enter: complete, short, not called, called but not reported
 *              setup, map, register: an errno
 *              closes, unmaps, sleeps: counted
 */
#ifndef WEIR_TEST_FAULTS_H
#define WEIR_TEST_FAULTS_H

#include "kernel_wrap.h"

struct weir_ring;

enum wi_enter_fault {
	WI_ENTER_WHOLE = 0,  /* pass the call on                             */
	WI_ENTER_NOT_CALLED, /* fail with enter_errno; the kernel saw nothing */
	WI_ENTER_NOT_TOLD,   /* call, then fail with enter_errno              */
	WI_ENTER_SHORT,      /* submit only enter_short_count                 */
	WI_ENTER_FAULT_COUNT /* stays last */
};

/* The arguments of one enter. */
struct wi_entered {
	uint32_t submit_count;
	uint32_t min_complete;
	uint32_t flags;
	uint32_t min_wait_us;
	bool has_timeout;
	struct weir_kernel_timespec timeout;
};

/* All zero is the unchanged kernel. */
struct wi_faults {
	struct kernel_wrap wrap; /* its kernel goes into the ring's options */

	/* Affects the next enters_faulty calls of enter. With a seed, each
	 * draws its own fault instead of enter_fault. */
	enum wi_enter_fault enter_fault;
	int enter_errno; /* negative */
	uint32_t enter_short_count;
	uint32_t enters_faulty;
	uint64_t enter_seed;

	int setup_errno;                /* not 0: every setup fails with it */
	uint32_t setup_known_flags;     /* not 0: -EINVAL for any other flag */
	uint32_t setup_hidden_features; /* IORING_FEAT_* not reported */
	uint32_t map_fails_at;          /* not 0: the n-th map fails... */
	int map_errno;                  /* ...with this */
	uint32_t register_opcode;       /* with register_errno: fails always */
	int register_errno;
	uint8_t probe_last_op; /* not 0: last_op in the answer to PROBE */

	/* Observations. If this ring is set, enters that may sleep although
	 * completions are ready are counted on it. */
	const struct weir_ring *watched;
	uint32_t enters;
	struct wi_entered last; /* the last enter's arguments */
	const struct io_uring_reg_wait *wait_region; /* as registered */
	uint32_t enters_that_slept;
	uint32_t sleeps_while_ready;
	uint32_t sleeps_on_overflow;
	uint32_t setups;
	uint32_t maps;
	uint32_t unmaps;
	uint32_t closes;
};

void wi_faults_init(struct wi_faults *faults);

#endif
