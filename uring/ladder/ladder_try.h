/* ladder_try.h - one try per rung, on a stage that is not yet open */
#ifndef WEIR_URING_LADDER_TRY_H
#define WEIR_URING_LADDER_TRY_H

#include "ladder_stage.h"

/* 0: it did what it should; -EPROTO: it did something else; -ETIME: nothing
 * came of it; otherwise the negative errno that refused it, or what it is
 * tried on. */
int wi_ladder_try(struct wi_stage *stage, enum weir_rung_id id);

#endif
