#include "faults.h"

#include "support.h"

#include "uring/ring_inline.h"

#include <errno.h>

static struct wi_entered entered(const struct wi_faults *faults,
				 const struct kernel_call *call)
{
	const uint32_t flags = call->enter.flags;
	const void *arg = call->enter.arg;
	struct wi_entered seen = {
		.submit_count = call->enter.submit_count,
		.min_complete = call->enter.min_complete,
		.flags = flags,
	};
	if ((flags & IORING_ENTER_EXT_ARG) == 0)
		return seen;
	if ((flags & IORING_ENTER_EXT_ARG_REG) != 0) {
		const struct io_uring_reg_wait *wait =
			faults->wait_region + (uintptr_t)arg / sizeof(*wait);
		seen.min_wait_us = wait->min_wait_usec;
		seen.has_timeout = (wait->flags & IORING_REG_WAIT_TS) != 0;
		seen.timeout = wait->ts;
		return seen;
	}
	const struct io_uring_getevents_arg *wait = arg;
	seen.min_wait_us = wait->min_wait_usec;
	seen.has_timeout = wait->ts != 0;
	if (seen.has_timeout) {
		/* NOLINTNEXTLINE(performance-no-int-to-ptr): ABI */
		const void *timeout = (const void *)(uintptr_t)wait->ts;
		memcpy(&seen.timeout, timeout, sizeof(seen.timeout));
	}
	return seen;
}

static void faults_watch(struct wi_faults *faults, uint32_t min_complete)
{
	faults->enters++;
	if (min_complete == 0)
		return;
	faults->enters_that_slept++;
	if (faults->watched == NULL)
		return;
	if (weir_ring_ready(faults->watched) > 0)
		faults->sleeps_while_ready++;
	if ((weir_ring_held_back(faults->watched) & IORING_SQ_CQ_OVERFLOW) != 0)
		faults->sleeps_on_overflow++;
}

/* The fault of this enter; for a short one also how much it submits. */
static enum wi_enter_fault enter_fault_next(struct wi_faults *faults,
					    uint32_t submit_count,
					    uint32_t *out_short_count)
{
	*out_short_count = faults->enter_short_count;
	if (faults->enters_faulty == 0)
		return WI_ENTER_WHOLE;
	faults->enters_faulty--;
	if (faults->enter_seed == 0)
		return faults->enter_fault;
	const enum wi_enter_fault fault = (enum wi_enter_fault)(
		wi_random(&faults->enter_seed) % WI_ENTER_FAULT_COUNT);
	*out_short_count = wi_random(&faults->enter_seed) % (submit_count + 1);
	return fault;
}

static bool faults_enter(struct wi_faults *faults, struct kernel_call *call)
{
	uint32_t short_count = 0;
	faults_watch(faults, call->enter.min_complete);
	faults->last = entered(faults, call);
	switch (enter_fault_next(faults, call->enter.submit_count,
				 &short_count)) {
	case WI_ENTER_NOT_CALLED:
		call->result = faults->enter_errno;
		return true;
	case WI_ENTER_NOT_TOLD:
		kernel_wrap_call(&faults->wrap, call);
		call->result = faults->enter_errno;
		return true;
	case WI_ENTER_SHORT:
		if (short_count < call->enter.submit_count)
			call->enter.submit_count = short_count;
		/* The wait may be for an entry that was not submitted. */
		call->enter.min_complete = 0;
		return false;
	case WI_ENTER_WHOLE:
	case WI_ENTER_FAULT_COUNT:
		break;
	}
	return false;
}

static bool faults_setup(struct wi_faults *faults, struct kernel_call *call)
{
	const uint32_t flags = call->setup.params->flags;
	faults->setups++;
	call->result = faults->setup_errno;
	if (call->result == 0 && faults->setup_known_flags != 0 &&
	    (flags & ~faults->setup_known_flags) != 0)
		call->result = -EINVAL;
	return call->result != 0;
}

static bool faults_before(void *ctx, struct kernel_call *call)
{
	struct wi_faults *faults = ctx;
	switch (call->id) {
	case CALL_SETUP:
		return faults_setup(faults, call);
	case CALL_ENTER:
		return faults_enter(faults, call);
	case CALL_REGISTER:
		call->result = faults->register_errno;
		return faults->register_errno != 0 &&
		       faults->register_opcode == call->register_op.opcode;
	case CALL_MAP:
		call->result = faults->map_errno;
		return ++faults->maps == faults->map_fails_at;
	case CALL_UNMAP:
		faults->unmaps++;
		return false;
	case CALL_CLOSE:
		faults->closes++;
		return false;
	default:
		return false;
	}
}

static void faults_after_register(struct wi_faults *faults,
				  const struct kernel_call *call)
{
	void *arg = call->register_op.arg;
	if (call->register_op.opcode == IORING_REGISTER_MEM_REGION &&
	    call->result == 0) {
		const struct io_uring_mem_region_reg *reg = arg;
		const struct io_uring_region_desc *region =
			(const void *)(uintptr_t)reg->region_uptr;
		faults->wait_region =
			(const void *)(uintptr_t)region->user_addr;
	}
	if (call->register_op.opcode == IORING_REGISTER_PROBE &&
	    faults->probe_last_op != 0) {
		struct io_uring_probe *probe = arg;
		probe->last_op = faults->probe_last_op;
	}
}

static void faults_after(void *ctx, struct kernel_call *call)
{
	struct wi_faults *faults = ctx;
	if (call->id == CALL_SETUP)
		call->setup.params->features &= ~faults->setup_hidden_features;
	if (call->id == CALL_REGISTER)
		faults_after_register(faults, call);
}

void wi_faults_init(struct wi_faults *faults)
{
	*faults = (struct wi_faults){ .enters = 0 };
	kernel_wrap_init(&faults->wrap, NULL, faults_before, faults_after,
			 faults);
}
