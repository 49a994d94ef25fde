#include "failing.h"

static bool failing_counts(const struct failing *failing,
			   enum kernel_call_id id)
{
	switch (id) {
	case CALL_ENTER:
		return !failing->spares_enter;
	case CALL_SETUP:
	case CALL_REGISTER:
	case CALL_MAP:
	case CALL_SOCKET:
	case CALL_SOCKOPT:
	case CALL_BIND:
	case CALL_LISTEN:
	case CALL_SOCKNAME:
	case CALL_DOORBELL_OPEN:
	case CALL_RANDOM:
		return true;
	default:
		return false;
	}
}

static bool failing_before(void *ctx, struct kernel_call *call)
{
	struct failing *failing = ctx;
	if (!failing_counts(failing, call->id))
		return false;
	const uint32_t number =
		__atomic_add_fetch(&failing->calls, 1, __ATOMIC_RELAXED);
	const bool is_refused =
		failing->fails_at != 0 &&
		(number == failing->fails_at ||
		 (failing->is_for_ever && number > failing->fails_at));
	if (!is_refused)
		return false;
	(void)__atomic_add_fetch(&failing->refused, 1, __ATOMIC_RELAXED);
	call->result = failing->err;
	return true;
}

static void failing_after(void *ctx, struct kernel_call *call)
{
	struct failing *failing = ctx;
	if (call->id == CALL_MAP && call->result == 0)
		(void)__atomic_add_fetch(&failing->mappings, 1,
					 __ATOMIC_RELAXED);
	if (call->id == CALL_UNMAP)
		(void)__atomic_sub_fetch(&failing->mappings, 1,
					 __ATOMIC_RELAXED);
}

void failing_init(struct failing *failing, const struct weir_kernel *under,
		  uint32_t fails_at, bool is_for_ever, int err)
{
	*failing = (struct failing){
		.fails_at = fails_at,
		.is_for_ever = is_for_ever,
		.err = err,
	};
	kernel_wrap_init(&failing->wrap, under, failing_before, failing_after,
			 failing);
}

uint32_t failing_refused(const struct failing *failing)
{
	return __atomic_load_n(&failing->refused, __ATOMIC_RELAXED);
}
