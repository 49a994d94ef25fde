#include "sample.h"

#include "../core/core.h"

#include <errno.h>

void wi_sample_init(struct wi_sample *sample, uint32_t interval, int cpu)
{
	*sample = (struct wi_sample){
		.interval = interval,
		.left = interval,
		.cpu = cpu,
	};
}

static void sample_ask(struct wi_sample *sample, struct wi_core *core,
		       uint32_t file_slot)
{
	struct io_uring_sqe *sqe = wi_core_sqe(core);
	if (sqe == NULL)
		return; /* the next sample is asked instead */
	weir_op_getsockopt(sqe, (int32_t)file_slot, SOL_SOCKET, SO_INCOMING_CPU,
			   &sample->answer, sizeof(sample->answer));
	weir_op_on_slot(sqe);
	wi_lend_to_fill(&sample->answer, sizeof(sample->answer));
	sqe->user_data = wi_token(WI_OWNER_SAMPLE, 0, 0, 0);
	sample->is_in_flight = true;
}

void wi_sample_accepted(struct wi_sample *sample, struct wi_core *core,
			uint32_t file_slot)
{
	if (sample->interval == 0 || --sample->left > 0)
		return;
	sample->left = sample->interval;
	if (!sample->is_in_flight &&
	    wi_trials_allow(&core->trials, WEIR_RUNG_SOCKET_CMD))
		sample_ask(sample, core, file_slot);
}

void wi_sample_complete(struct wi_sample *sample, struct wi_core *core,
			const struct io_uring_cqe *cqe)
{
	if (!sample->is_in_flight) {
		wi_counter_add(&core->stats.stale_completions, 1);
		return;
	}
	sample->is_in_flight = false;
	switch (cqe->res) {
	case sizeof(sample->answer):
		wi_kernel_wrote(&sample->answer, sizeof(sample->answer));
		wi_trial_done(&core->trials.socket_cmd);
		wi_counter_add(&core->stats.samples, 1);
		if (sample->answer == sample->cpu)
			wi_counter_add(&core->stats.samples_here, 1);
		break;
	case -EOPNOTSUPP: /* before 6.7: no samples */
	case -EINVAL:
		wi_trial_refused(&core->trials, &core->trials.socket_cmd,
				 WEIR_RUNG_SOCKET_CMD, cqe->res);
		break;
	default: /* concerns this socket only */
		break;
	}
}
