#include "left.h"

#include "sim.h"

#include "../../net/loop/loop_struct.h"

void sim_check_left(struct weir_sim *sim, const struct weir_loop *loop)
{
	const struct wi_bufs *bufs = &loop->core.bufs;
	uint32_t lent_count = 0;

	if (loop->core.wheel.timer_count > 0)
		weir_sim_violate(sim, "a timer is left");
	if (weir_bufring_status(&bufs->bufring, &lent_count) < 0 ||
	    lent_count + bufs->parked_count != bufs->bufring.buf_count)
		weir_sim_violate(sim, "a receive buffer is lost");
}
