#include "sample.h"

#include "loop_priv.h"

#include <errno.h>

void wi_sample_init(struct wi_sample *sample, uint32_t interval, int cpu)
{
	*sample = (struct wi_sample){
		.interval = interval,
		.left = interval,
		.cpu = cpu,
	};
}

static void sample_ask(struct weir_loop *loop, uint32_t file_slot)
{
	struct wi_sample *sample = &loop->sample;
	struct io_uring_sqe *sqe = wi_loop_sqe(loop);
	if (sqe == NULL)
		return; /* the next one then */
	weir_op_getsockopt(sqe, (int32_t)file_slot, SOL_SOCKET, SO_INCOMING_CPU,
			   &sample->answer, sizeof(sample->answer));
	weir_op_on_slot(sqe);
	wi_lend_to_fill(&sample->answer, sizeof(sample->answer));
	sqe->user_data = wi_token(WI_TOKEN_SAMPLE, 0, 0);
	sample->is_in_flight = true;
}

void wi_sample_accepted(struct weir_loop *loop, uint32_t file_slot)
{
	struct wi_sample *sample = &loop->sample;
	if (sample->interval == 0 || --sample->left > 0)
		return;
	sample->left = sample->interval;
	if (!sample->is_in_flight &&
	    wi_loop_has_rung(loop, WEIR_RUNG_SOCKET_CMD))
		sample_ask(loop, file_slot);
}

void wi_sample_complete(struct weir_loop *loop, const struct io_uring_cqe *cqe)
{
	struct wi_sample *sample = &loop->sample;

	if (!sample->is_in_flight) {
		wi_loop_count(&loop->stats.stale_completions, 1);
		return;
	}
	sample->is_in_flight = false;
	switch (cqe->res) {
	case sizeof(sample->answer):
		wi_kernel_wrote(&sample->answer, sizeof(sample->answer));
		wi_trial_done(&loop->socket_cmd);
		wi_loop_count(&loop->stats.samples, 1);
		if (sample->answer == sample->cpu)
			wi_loop_count(&loop->stats.samples_here, 1);
		break;
	case -EOPNOTSUPP: /* before 6.7: goes without */
	case -EINVAL:
		wi_trial_refused(&loop->socket_cmd, cqe->res);
		loop->rungs_off |= weir_rung_bit(WEIR_RUNG_SOCKET_CMD);
		break;
	default: /* of this socket alone */
		break;
	}
}
