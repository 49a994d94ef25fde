#include "bufs.h"

#include "min.h"

enum {
	BUFS_MIN = 64,
	WINDOW_TURNS = 1024,
};

void wi_bufs_init(struct wi_bufs *bufs, uint16_t *parked)
{
	bufs->parked = parked;
	bufs->parked_count = 0;
	bufs->target = wi_min_u32(BUFS_MIN, bufs->bufring.buf_count);
	bufs->window_max = 0;
	bufs->window_turns = 0;
}

static void bufs_aim(struct wi_bufs *bufs, uint32_t target)
{
	if (target < BUFS_MIN)
		target = BUFS_MIN;
	bufs->target = wi_min_u32(target, bufs->bufring.buf_count);

	uint32_t circulating = bufs->bufring.buf_count - bufs->parked_count;
	for (; circulating < bufs->target; circulating++)
		weir_bufring_take_back(&bufs->bufring,
				       bufs->parked[--bufs->parked_count]);
}

void wi_bufs_turn(struct wi_bufs *bufs, uint32_t used_count, bool ran_out)
{
	if (used_count > bufs->window_max)
		bufs->window_max = used_count;
	if (ran_out)
		bufs_aim(bufs, 2 * bufs->target);
	else if (2 * used_count > bufs->target)
		bufs_aim(bufs, 2 * used_count);
	if (++bufs->window_turns == WINDOW_TURNS) {
		/* Only a whole window without need makes it smaller. */
		bufs_aim(bufs, 2 * bufs->window_max);
		bufs->window_max = 0;
		bufs->window_turns = 0;
	}
	weir_bufring_publish(&bufs->bufring);
}
