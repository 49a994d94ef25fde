#include "doorbell.h"

#include "../../uring/diagnose.h"
#include "../../uring/mutant.h"
#include "core.h"

#include <errno.h>
#include <string.h>

enum {
	NS_PER_MS = 1000000,
	CANCEL_RETRY_NS = 10 * NS_PER_MS,
};

int wi_doorbell_open(struct wi_doorbell *doorbell, const struct wi_core *core,
		     struct weir_error *error)
{
	const struct weir_kernel *kernel = core->kernel;
	doorbell->fd = kernel->doorbell_open(kernel->ctx);
	if (doorbell->fd < 0)
		return weir_error_set(error, doorbell->fd,
				      "no descriptor for the loop's doorbell: "
				      "%s; raise `ulimit -n`",
				      strerror(-doorbell->fd));
	return 0;
}

void wi_doorbell_close(struct wi_doorbell *doorbell, const struct wi_core *core)
{
	if (doorbell->fd >= 0)
		(void)core->kernel->close(core->kernel->ctx, doorbell->fd);
	doorbell->fd = -1;
}

void wi_doorbell_ring(const struct wi_doorbell *doorbell,
		      const struct wi_core *core)
{
	int saved_errno = errno; /* this may be a signal handler */
	(void)core->kernel->doorbell_ring(core->kernel->ctx, doorbell->fd);
	errno = saved_errno;
}

static uint64_t doorbell_token(void)
{
	return wi_token(WI_OWNER_DOORBELL, 0, 0, 0);
}

void wi_doorbell_work(struct wi_doorbell *doorbell, struct wi_core *core,
		      bool ends)
{
	assert(!ends || doorbell->is_armed); /* else the loop has ended */
	if (ends ? core->clock.now_ns < doorbell->retry_ns : doorbell->is_armed)
		return;

	struct io_uring_sqe *sqe = wi_core_sqe(core);
	if (sqe == NULL)
		return; /* again next turn */
	if (ends) {
		weir_op_cancel_token(sqe, doorbell_token());
		/* A cancel can miss a read that just completes: try again. */
		doorbell->retry_ns = core->clock.now_ns + CANCEL_RETRY_NS;
	} else {
		weir_op_read(sqe, doorbell->fd, &doorbell->value,
			     sizeof(doorbell->value));
		wi_lend_to_fill(&doorbell->value, sizeof(doorbell->value));
		sqe->user_data = doorbell_token();
		doorbell->is_armed = true;
	}
}

void wi_doorbell_complete(struct wi_doorbell *doorbell, struct wi_core *core)
{
	if (!doorbell->is_armed) {
		wi_counter_add(&core->stats.stale_completions, 1);
		return;
	}
	wi_handover_acquire(doorbell->fd);
	wi_kernel_wrote(&doorbell->value, sizeof(doorbell->value));
	doorbell->is_armed = WI_MUTANT("doorbell-is-not-heard", false, true);
}
