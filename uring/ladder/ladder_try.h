/* ladder_try.h - one try per rung; each opens the stage itself */
#ifndef WEIR_URING_LADDER_TRY_H
#define WEIR_URING_LADDER_TRY_H

#include "ladder_stage.h"

/* Returns 0: the rung works; -EPROTO: the kernel did something else; -ETIME: no
 * result came; otherwise the negative errno that refused the rung, or a part of
 * the stage. */
int wi_ladder_try(struct wi_stage *stage, enum weir_rung_id id);

#endif
